"""Readings of a map: the posterior under a prior, a table, a tipping point, on maps fitted and drawn by hand."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr
from drawn import GRID, by_hand
from oracles import as_fit, distance
from scipy.stats import beta, cauchy, gaussian_kde, norm, uniform

from helpers import atanh_normal, fit, joint_model, map_rho, read_map, reading_table, tipping_point, weigh
from which_world.engine import weighing
from which_world.maps import trusted


@pytest.fixture(scope="module", params=[("binary", "plain"), ("continuous", "instrument")], ids="-".join)
def mapped(request, designs):
    return designs[request.param], map_rho(designs[request.param])


@pytest.mark.parametrize("prior", [atanh_normal(), atanh_normal(-0.3, 0.1), uniform(-0.9, 1.8), 0.2, norm(0.1, 0.4)])
def test_a_reading_is_the_posterior_under_that_prior(mapped, prior):
    design, the_map = mapped
    fitted = fit(joint_model(design, rho=prior))
    assert distance(as_fit(weigh(the_map, prior)), fitted, ["alpha"] if prior == 0.2 else ["alpha", "rho"]) < 4.5


def test_a_function_is_a_prior_whatever_its_scale(mapped):
    prior = atanh_normal(0.1, 0.3)
    named, drawn = (weigh(mapped[1], p) for p in (prior, lambda rho: 7 * np.exp(prior.logpdf(rho))))
    for name in ("alpha", "rho"):
        assert float(named[name].mean()) == pytest.approx(
            float(drawn[name].mean()), abs=0.01 * float(named[name].std())
        )
    assert named.attrs["log_evidence"] == pytest.approx(drawn.attrs["log_evidence"], abs=1e-4)


def test_the_evidence_under_a_prior_is_that_of_its_columns_averaged(mapped):
    the_map, prior = mapped[1], uniform(-0.9, 1.8)
    rho = np.linspace(-0.9, 0.9, 4001)
    columns = np.interp(
        np.arctanh(rho), np.arctanh(the_map.rho), np.exp(the_map.log_evidence - the_map.log_evidence.max())
    )
    averaged = np.log(np.trapezoid(columns * prior.pdf(rho), rho)) + float(the_map.log_evidence.max())
    assert weigh(the_map, prior).attrs["log_evidence"] == pytest.approx(averaged, abs=0.05)
    middle = the_map.sel(rho=0, method="nearest")
    assert weigh(the_map, 0.0).attrs["log_evidence"] == pytest.approx(float(middle.log_evidence))


def test_where_the_data_are_silent_the_reading_is_the_prior():
    reading = weigh(by_hand(), atanh_normal(-0.2, 0.3), draws=20_000)
    assert float(np.arctanh(reading.rho).mean()) == pytest.approx(-0.2, abs=2e-4)
    assert float(np.arctanh(reading.rho).std()) == pytest.approx(0.3, abs=2e-4)
    residual = reading.alpha - (3 - 12 * reading.rho)
    assert abs(float(residual.mean())) < 0.02
    assert float(residual.std()) == pytest.approx(0.5, rel=0.03)


def test_a_draw_has_the_effect_of_its_own_rho():
    """Where α is all but known at every ρ, it is 3 - 12 ρ in every draw, between the columns as well."""
    for prior in (atanh_normal(), lambda rho: 1.0 * (abs(rho) < 0.9)):
        reading = weigh(by_hand(sd=1e-6), prior)
        np.testing.assert_allclose(reading.effect, 3 - 12 * reading.rho, atol=2e-4)
        np.testing.assert_array_equal(reading.effect, reading.alpha)


@pytest.mark.parametrize("mean, sd", [(0.3, 1e-5), (-0.2, 1e-3), (0.1, 0.02), (0.0, 0.5)])
def test_a_prior_of_any_width_meets_the_evidence(mean, sd):
    """Evidence Normal(0.1, 0.2) in a = atanh ρ: the posterior of a is the product of two normals."""
    a = np.arctanh(GRID)
    reading = weigh(by_hand(evidence=norm.logpdf(a, 0.1, 0.2)), atanh_normal(mean, sd), draws=20_000)
    precision = sd**-2 + 0.2**-2
    found = np.arctanh(reading.rho)
    assert float(found.mean()) == pytest.approx((mean / sd**2 + 0.1 / 0.2**2) / precision, abs=0.01 * precision**-0.5)
    assert float(found.std()) == pytest.approx(precision**-0.5, rel=0.02)
    expected = norm.logpdf(mean, 0.1, np.hypot(sd, 0.2))
    assert reading.attrs["log_evidence"] == pytest.approx(expected, abs=1e-3)


def test_what_the_data_or_a_function_narrow_down_is_met_as_well():
    """The same product of two normals, with the evidence the narrow one, and with a prior that is a plain function."""
    a = np.arctanh(GRID)
    reading = weigh(by_hand(evidence=norm.logpdf(a, 0.1003, 5e-4)), atanh_normal(), draws=20_000)
    assert float(np.arctanh(reading.rho).mean()) == pytest.approx(0.1003, abs=1e-5)
    assert float(np.arctanh(reading.rho).std()) == pytest.approx(5e-4, rel=0.02)
    assert reading.attrs["log_evidence"] == pytest.approx(norm.logpdf(0.1003, 0, 0.5), abs=1e-3)
    for sd in (1e-3, 2.5e-4):
        reading = weigh(by_hand(), lambda rho, sd=sd: np.exp(-0.5 * ((rho - 0.3) / sd) ** 2), draws=20_000)
        assert float(reading.rho.std()) == pytest.approx(sd, rel=0.01)
        assert reading.attrs["log_evidence"] == pytest.approx(0.0, abs=1e-4)
    block = weigh(by_hand(), lambda rho: 1.0 * (abs(rho - 0.3) < 0.01), draws=20_000)
    assert float(block.rho.std()) == pytest.approx(0.01 / np.sqrt(3), rel=0.01)


BEYOND = [norm(0.5, 1.0), uniform(-3, 3.5), norm(0.2, 1e-4), cauchy(0, 0.3), beta(2, 5, -0.5, 1), uniform(0.1, 1e-3)]


@pytest.mark.parametrize("prior", BEYOND, ids=lambda prior: prior.dist.name)
def test_a_distribution_is_cut_to_correlations_and_normalised(prior):
    a = np.arctanh(GRID)
    reading = weigh(by_hand(evidence=norm.logpdf(a, 0.1, 0.2)), prior)
    ends = np.clip(prior.ppf([1e-12, 1 - 1e-12]), -0.98, 0.98)
    inside = np.linspace(*ends, 200_001)
    density = prior.pdf(inside) / (prior.cdf(1) - prior.cdf(-1))
    expected = np.log(np.trapezoid(density * norm.pdf(np.arctanh(inside), 0.1, 0.2), inside))
    assert reading.attrs["log_evidence"] == pytest.approx(expected, abs=2e-3)


class Unnamed:
    """A density that nobody knows the integral of: 7 times a normal's, on all numbers."""

    def logpdf(self, rho):
        return np.log(7) + norm.logpdf(rho, 0.5, 1.0)


def test_a_density_without_a_distribution_function_is_normalised_as_well():
    chart = by_hand(evidence=norm.logpdf(np.arctanh(GRID), 0.1, 0.2))
    named, own = weigh(chart, norm(0.5, 1.0)), weigh(chart, Unnamed())
    assert own.attrs["log_evidence"] == pytest.approx(named.attrs["log_evidence"], abs=1e-4)
    assert float(own.rho.mean()) == pytest.approx(float(named.rho.mean()), abs=2e-3)
    drawn = weigh(chart, gaussian_kde(norm.rvs(0.1, 0.2, size=400, random_state=0)))
    assert float(drawn.rho.std()) == pytest.approx(np.sqrt(1 / (1 / 0.2**2 + 1 / 0.2**2)), rel=0.15)


ALONE = {
    "normal": (atanh_normal(0.2, 0.3), lambda q: np.tanh(norm.ppf(q, 0.2, 0.3))),
    "narrow": (atanh_normal(-0.4, 1e-3), lambda q: np.tanh(norm.ppf(q, -0.4, 1e-3))),
    "uniform": (uniform(-0.5, 0.8), uniform(-0.5, 0.8).ppf),
    "beta": (beta(2, 5, -0.5, 1), beta(2, 5, -0.5, 1).ppf),
    "function": (lambda rho: 7.0 * (abs(rho - 0.1) < 0.4), uniform(-0.3, 0.8).ppf),
}  # fmt: skip


@pytest.mark.parametrize("prior, quantile", ALONE.values(), ids=ALONE)
def test_of_a_belief_alone_rho_keeps_its_prior_and_the_effect_follows_the_columns(prior, quantile):
    """Evidence that shouts for ρ near 0.9 is not heard: ρ has its prior's quantiles, α is Normal(3 - 12 ρ, 1/2)."""
    loud = by_hand(evidence=2000 * np.tanh(np.arctanh(GRID) - 1.5))
    reading = weigh(loud, prior, likelihood=False, draws=40_000)
    q = (np.arange(200_000) + 0.5) / 200_000
    rho = quantile(q)
    few = np.array([0.025, 0.25, 0.5, 0.75, 0.975])
    np.testing.assert_allclose(np.quantile(reading.rho, few), quantile(few), atol=0.02 * rho.std())
    assert float(reading.effect.mean()) == pytest.approx(3 - 12 * rho.mean(), abs=0.03)
    assert float(reading.effect.std()) == pytest.approx(np.hypot(0.5, 12 * rho.std()), rel=0.02)
    assert float((reading.effect > 0).mean()) == pytest.approx(norm.cdf((3 - 12 * rho) / 0.5).mean(), abs=0.006)
    assert np.isnan(reading.attrs["log_evidence"]) and reading.attrs["edge"] < 1e-3
    xr.testing.assert_identical(reading, weigh(by_hand(), prior, likelihood=False, draws=40_000))


def test_a_belief_alone_on_a_fitted_map_is_prior_times_columns(mapped):
    """Against the sum over the map's own columns, at the weights that the prior gives to steps of atanh ρ."""
    chart, prior = mapped[1], atanh_normal(0.1, 0.2)
    reading = weigh(chart, prior, likelihood=False, draws=40_000)
    a = np.arctanh(chart.rho.values)
    step = np.diff(norm.cdf(np.r_[-np.inf, (a[1:] + a[:-1]) / 2, np.inf], 0.1, 0.2))
    weight = step[:, None] * np.exp(chart.log_weight.values)
    mean = (weight * chart.effect.values).sum()
    sd = np.sqrt((weight * (chart.effect.values - mean) ** 2).sum())
    assert float(reading.effect.mean()) == pytest.approx(mean, abs=0.03 * sd)
    assert float(reading.effect.std()) == pytest.approx(sd, rel=0.03)
    assert float(np.arctanh(reading.rho).std()) == pytest.approx(0.2, rel=0.01)
    listened = weigh(chart, prior, draws=40_000)
    assert abs(float(listened.rho.mean() - reading.rho.mean())) > 0.005


def test_at_a_fixed_rho_the_likelihood_has_nothing_to_say(mapped):
    still, alone = (weigh(mapped[1], 0.2, likelihood=said) for said in (True, False))
    xr.testing.assert_equal(still, alone)
    assert np.isnan(alone.attrs["log_evidence"])


def test_a_reading_asks_the_data_nothing(mapped, monkeypatch):
    """A new prior of ρ costs milliseconds, since no likelihood is worked out for it."""

    def never(*arguments, **named):
        raise AssertionError("a likelihood was worked out")

    for name in ("log_likelihood", "derivatives", "pointwise"):
        monkeypatch.setattr(f"which_world.engine.likelihoods.{name}", never)
    for name in ("log_posterior", "columns", "mode"):
        monkeypatch.setattr(f"which_world.engine.laplace.{name}", never)
    monkeypatch.setattr(weighing, "log_posterior", never)
    monkeypatch.setattr(weighing, "columns", never)
    for mean in (-0.2, 0.0, 0.2):
        weigh(mapped[1], atanh_normal(mean))


def test_a_map_of_many_draws_is_read_in_a_few_times_its_memory():
    chart = by_hand()
    tracemalloc.start()
    weigh(chart)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * chart.alpha.nbytes  # a line of weights for each of 4,000 draws alone is 80


def test_the_table_of_a_map_holds_weighted_quantiles():
    the_map = by_hand()
    table = read_map(the_map, probability=0.8)
    np.testing.assert_allclose(table["mean"], 3 - 12 * GRID, atol=1e-9)
    np.testing.assert_allclose(table["high"] - table["mean"], 0.5 * norm.ppf(0.9), atol=0.01)
    np.testing.assert_allclose(table["mean"] - table["low"], 0.5 * norm.ppf(0.9), atol=0.01)


def test_evidence_is_told_beside_that_of_the_best_column_that_can_be_relied_on():
    """Evidence Normal(0.1, 0.2) in a = atanh ρ, and the column at its top a bad one: the next best are at 0 and 0.2."""
    a = np.arctanh(GRID)
    table = read_map(by_hand(evidence=norm.logpdf(a, 0.1, 0.2) - 70, k=np.where(np.isclose(a, 0.1), 0.9, 0.1)))
    expected = -0.5 * ((a - 0.1) / 0.2) ** 2 + 0.5 * (0.1 / 0.2) ** 2
    np.testing.assert_allclose(table["log_evidence"].dropna(), expected[~np.isclose(a, 0.1)], atol=1e-9)


def test_draws_count_by_their_weights():
    """Draws of Normal(m, 0.5) in weights exp(0.4 z) are Normal(m + 0.2, 0.5)."""
    tilted = by_hand(tilt=0.2)
    table = read_map(tilted, probability=0.8)
    np.testing.assert_allclose(table["mean"], 3.2 - 12 * GRID, atol=0.01)
    np.testing.assert_allclose(table["high"], 3.2 - 12 * GRID + 0.5 * norm.ppf(0.9), atol=0.02)
    np.testing.assert_allclose(table["low"], 3.2 - 12 * GRID - 0.5 * norm.ppf(0.9), atol=0.02)
    assert tipping_point(tilted)["mean"] == pytest.approx(3.2 / 12, abs=1e-3)
    reading = weigh(tilted, 0.1, draws=20_000)
    assert float(reading.effect.mean()) == pytest.approx(3.2 - 1.2, abs=0.02)


@pytest.mark.parametrize("slope", [-12.0, 12.0])
@pytest.mark.parametrize("middle, sd", [(0.5, 0.5), (-0.5, 0.5), (0.0, 0.01), (0.9, 0.5)])
def test_where_zero_is_inside_already_there_is_no_sign_to_overturn(slope, middle, sd):
    shifted = by_hand(slope, sd)
    found = tipping_point(shifted.assign(alpha=shifted.alpha - 3 + middle))
    assert found["interval"] == 0
    assert found["mean"] == pytest.approx(-middle / slope, abs=1e-3)


@pytest.mark.parametrize("side", [-1, 1])
def test_the_nearest_of_two_crossings_counts(side):
    """The effect is zero at ±0.1 ± √(3/40): the one nearer to ρ = 0 is the first or the last."""
    bowl = by_hand(slope=0.0)
    bent = bowl.assign(alpha=bowl.alpha - 40 * (bowl.rho + 0.1 * side) ** 2)
    found = tipping_point(bent)
    assert found["mean"] == pytest.approx(side * (np.sqrt(3 / 40) - 0.1), abs=1e-3)
    assert found["interval"] == pytest.approx(side * (np.sqrt((3 - 0.5 * norm.ppf(0.975)) / 40) - 0.1), abs=2e-3)


def test_columns_that_cannot_be_relied_on_are_left_empty():
    table = read_map(SKEWED)
    bad = np.abs(GRID) < 0.2
    assert table[bad].isna().all(axis=None) and table[~bad].notna().all(axis=None)
    with pytest.raises(ValueError, match=r"Pareto k̂ exceeds 0.7 .* the whole map"):
        read_map(by_hand(k=np.nan))


HIDDEN = [(GRID > 0.15, -12.0), (GRID < -0.15, 12.0), (GRID > 0.9, 0.1), (GRID < -0.9, 0.1),
          ((GRID > -0.2) & (GRID < -0.1), -12.0), (np.abs(GRID) < 0.05, -12.0)]  # fmt: skip


@pytest.mark.parametrize("bad, slope", HIDDEN)
@pytest.mark.parametrize("k", [0.9, np.nan, np.inf])
def test_no_tipping_point_is_told_across_columns_that_cannot_be_relied_on(bad, slope, k):
    """They hide the crossing, might hide one where none was found, or might hold a nearer one."""
    chart = by_hand(slope, k=np.where(bad, k, 0.1))
    assert np.isfinite(tipping_point(by_hand(slope))["interval"]) == (abs(slope) > 1)
    with pytest.raises(ValueError, match=r"Pareto k̂ exceeds 0.7 .* on the way"):
        tipping_point(chart)


def test_a_bad_column_farther_away_than_the_tipping_point_does_no_harm():
    chart = by_hand(k=np.where(np.abs(GRID) > 0.4, 0.9, 0.1))
    assert tipping_point(chart)["mean"] == pytest.approx(0.25, abs=1e-3)
    assert trusted(chart) == slice(*np.flatnonzero(np.abs(GRID) <= 0.4)[[0, -1]] + [0, 1])
    assert not len(GRID[trusted(by_hand(k=np.where(GRID == 0, 0.9, 0.1)))])


@pytest.mark.parametrize("prior", [0.06, atanh_normal(0.06, 1e-4)])
def test_a_reading_leans_on_the_columns_on_both_sides(prior):
    """ρ = 0.06 lies nearer to the good column at 0.1 than to the bad one at 0, and is interpolated from both."""
    with pytest.raises(ValueError, match=r"Pareto k̂ exceeds 0.7 at rho = \[0.0\], which hold (39.9|40.0)%"):
        weigh(by_hand(k=np.where(np.arange(49) == 24, np.nan, 0.1)), prior)


@pytest.mark.parametrize("slope, sign", [(-12.0, 1), (12.0, -1)])
def test_the_tipping_point_is_where_the_line_crosses_zero(slope, sign):
    found = tipping_point(by_hand(slope))
    assert found["at_zero"] == pytest.approx(3.0)
    assert found["mean"] == pytest.approx(sign * 3 / 12, abs=1e-3)
    assert found["interval"] == pytest.approx(sign * (3 - 0.5 * norm.ppf(0.975)) / 12, abs=2e-3)


@pytest.mark.parametrize("rho, slope", [(GRID[23:], -12.0), (GRID[:26], 12.0)], ids=["from below", "to above"])
def test_one_column_beyond_zero_is_enough(rho, slope):
    found = tipping_point(by_hand(slope, rho=rho))
    assert found["at_zero"] == pytest.approx(3.0, abs=1e-4)
    assert found["mean"] == pytest.approx(-3 / slope, abs=1e-3)


def test_a_lean_distribution_tips_at_its_own_end_and_its_own_mean():
    """Draws 3 - 12ρ + e with e exponential less one: the interval ends at -0.975 and 2.689, the mean at nothing."""
    draws = -np.log(1 - (np.arange(4000) + 0.5) / 4000) - 1
    for sign in (1, -1):
        chart = by_hand().assign(alpha=(("rho", "draw"), sign * (3 - 12 * GRID[:, None]) + draws))
        found = tipping_point(chart)
        end = {1: 3 + np.log(1 / 0.975) - 1, -1: 3 - (np.log(1 / 0.025) - 1)}[sign]  # 0.025 or 0.975 of e
        assert found["interval"] == pytest.approx(end / 12, abs=2e-3)
        assert found["mean"] == pytest.approx(3 / 12, abs=2e-3) and found["at_zero"] == pytest.approx(
            3 * sign, abs=0.01
        )


def test_a_reading_tells_the_effective_draws_of_the_columns_it_leans_on():
    """A world between two columns has what they have, as much of each as it lies near it."""
    chart = by_hand()
    chart = chart.assign(ess=("rho", np.where(GRID < 0.0995, 100.0, 900.0)))
    assert weigh(chart, -0.3).attrs["ess"] == pytest.approx(100)
    assert weigh(chart, 0.5).attrs["ess"] == pytest.approx(900)
    between = np.tanh(0.75 * 0.1)  # the columns beside it stand at a = 0 and 0.1
    assert weigh(chart, between).attrs["ess"] == pytest.approx(0.25 * 100 + 0.75 * 900)


def test_an_effect_that_no_current_overturns_has_no_tipping_point():
    assert tipping_point(by_hand(slope=0.1))[["interval", "mean"]].isna().all()


SKEWED = by_hand(k=np.where(np.abs(GRID) < 0.2, 0.9, 0.1))
REFUSED = {
    "bad column": (lambda: weigh(SKEWED), r"Pareto k̂ exceeds 0.7 at rho = \[.*0.0.*% of the posterior.*Accepted are"),
    "bad column on the way": (lambda: tipping_point(SKEWED), r"Pareto k̂ exceeds 0.7 .* on the way.*Accepted are"),
    "value off the map": (lambda: weigh(by_hand(), 0.99), r"prior=0.99 lies outside.*-0.984 to 0.984; accepted is"),
    "mass at the ends": (
        lambda: weigh(by_hand(), atanh_normal(2.3, 0.2)), r"% of the posterior lies at the ends.*accepted is a wider"),
    "belief at the ends": (lambda: weigh(by_hand(), atanh_normal(2.3, 0.2), likelihood=False),
                           r"% of the belief lies at the ends .* or beyond; accepted is a wider map"),
    "belief beyond": (lambda: weigh(by_hand(rho=GRID[15:34]), norm(0, 0.5), likelihood=False),
                      r"^1[0-9]\.[0-9]% of the belief lies at .*-0.716 and 0.716\) or beyond; accepted is a wider map"),
    "belief on a bad column": (lambda: weigh(SKEWED, likelihood=False), r"Pareto k̂ exceeds 0.7.*Accepted are"),
    "negative density": (lambda: weigh(by_hand(), lambda rho: rho), r"prior=<function.*smallest -0.98.*zero or more"),
    "wrong shape": (lambda: weigh(by_hand(), lambda rho: 1.0), r"prior=<function.*gave \(\) values.*for every rho"),
    "no mass": (lambda: weigh(by_hand(), uniform(2, 1)), r"prior=uniform\(2, 1\) has no density on \(-1, 1\); acc"),
    "no mass here": (lambda: weigh(by_hand(rho=GRID[:20]), uniform(0.1, 0.2)), r"no density on the map; accepted is a"),
    "one-sided map": (
        lambda: tipping_point(by_hand(rho=GRID[30:])), r"the map runs from rho=.*accepted is a map with rho = 0"),
}  # fmt: skip


@pytest.mark.parametrize("use, said", REFUSED.values(), ids=REFUSED)
def test_a_reading_that_cannot_be_trusted_is_refused(use, said):
    with pytest.raises(ValueError, match=said):
        use()


def test_a_bad_column_without_weight_does_no_harm():
    assert weigh(SKEWED, atanh_normal(1.0, 0.1)).attrs["pareto_k"] == pytest.approx(0.1)


def test_a_table_of_readings_has_the_moments_of_its_draws():
    """On a map drawn by hand α is Normal(3 - 12 ρ, 1/2): at a fixed ρ, and under a prior without evidence."""
    chart = by_hand()
    spread = np.sqrt(0.25 + 144 * 0.2**2 / 3)
    table = reading_table({"still": weigh(chart, 0.2), "even": weigh(chart, uniform(-0.2, 0.4), draws=40_000)})
    assert list(table.columns) == ["effect", "low", "high", "P(effect>0)", "rho", "rho_sd"]
    still = norm(3 - 12 * 0.2, 0.5)
    expected = [still.mean(), *still.interval(0.95), still.sf(0), 0.2, 0.0]
    np.testing.assert_allclose(table.loc["still"], expected, atol=0.03)
    np.testing.assert_allclose(table.loc["even", ["effect", "rho", "rho_sd"]], [3, 0, 0.2 / np.sqrt(3)], atol=0.02)
    # the sum of a uniform and a normal: P(effect > 0) by its integral
    u = np.linspace(-0.2, 0.2, 4001)
    assert table.loc["even", "P(effect>0)"] == pytest.approx(norm.cdf((3 - 12 * u) / 0.5).mean(), abs=0.003)
    assert weigh(chart, uniform(-0.2, 0.4), draws=40_000).alpha.std().item() == pytest.approx(spread, rel=0.01)
    half = reading_table({"still": weigh(chart, 0.2)}, probability=0.5)
    np.testing.assert_allclose(half.loc["still", ["low", "high"]].astype(float), still.interval(0.5), atol=0.02)
