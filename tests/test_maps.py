"""The map and its readings against exact integrals, against `fit`, and against maps drawn by hand."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import xarray as xr
from conftest import INSTRUMENT
from oracles import as_fit, bayesian_regression, distance, outcome_alone, worth_a_row
from scipy.optimize import minimize
from scipy.special import log_ndtr, logsumexp, ndtr, owens_t
from scipy.stats import beta, cauchy, gaussian_kde, multivariate_normal, multivariate_t, norm, uniform
from statsmodels.tools.numdiff import approx_hess

from helpers import (
    atanh_normal,
    fit,
    joint_model,
    make_design,
    map_rho,
    normal,
    read_map,
    reading_table,
    simulate_aquarium,
    tipping_point,
    weigh,
)
from which_world import maps
from which_world.maps import smoothed, trusted

GRID = np.tanh(np.linspace(-2.4, 2.4, 49))


@pytest.fixture(scope="module", params=[("binary", "plain"), ("continuous", "instrument")], ids="-".join)
def mapped(request, designs):
    return designs[request.param], map_rho(designs[request.param])


def by_hand(slope=-12.0, sd=0.5, evidence=0.0, k=0.1, rho=GRID, tilt=0.0):
    """α is Normal(3 + slope ρ + tilt, sd) at every ρ: draws around 3 + slope ρ, in weights exp(z tilt/sd)."""
    draws = norm.ppf((np.arange(4000) + 0.5) / 4000)
    shape = (len(rho), 4000)
    weight = tilt / sd * draws
    return xr.Dataset(
        {
            "alpha": (("rho", "draw"), 3 + slope * rho[:, None] + sd * draws),
            "log_weight": (("rho", "draw"), np.broadcast_to(weight - logsumexp(weight), shape)),
            "log_evidence": ("rho", np.broadcast_to(evidence, len(rho))),
            "pareto_k": ("rho", np.broadcast_to(k, len(rho))),
            "ess": ("rho", np.full(len(rho), 4000.0)),
        },
        coords={"rho": rho, "draw": np.arange(4000)},
        attrs={"outcome": "Y", "treatment": "T"},
    )


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


@pytest.mark.parametrize("given", [{}, {"alpha": 0.2, "sigma": 0.6}])
@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_a_column_is_the_exact_integral(tanks, kind, given):
    """At ρ = 0: a regression, summed over its σ, beside another, or a share whose index is worth one row."""
    formulas = INSTRUMENT if kind == "continuous" else {"outcome": "Y ~ T + X0", "treatment": "T ~ 1"}
    design = make_design(tanks[kind].data, **formulas)
    slopes = {"coefficients": normal(beta_O=0.5, beta_T=0.4)} if given else {}
    centre, spread, evidence = outcome_alone(design, **given, **({"beta": 0.5} if given else {}))
    t = design.t
    if kind == "continuous":
        widths = worth_a_row(design.C, t)
        if given:
            widths = np.array([2.5 * t.std(), 0.4, 0.4, 0.4])
        Z = np.column_stack([np.ones(design.n), design.C])
        evidence += bayesian_regression(t, Z, np.r_[t.mean(), 0, 0, 0], widths, t.std())[2]
    else:
        index = np.linspace(-3, 3, 2001)
        log_p = (
            t.sum() * norm.logcdf(index)
            + np.sum(1 - t) * norm.logsf(index)
            + norm.logpdf(index, 0, 1 if given else worth_a_row(np.empty((len(t), 0)), t, "binary")[0, 0] ** 0.5)
        )
        evidence += logsumexp(log_p) + np.log(index[1] - index[0])
    column = map_rho(design, draws=1024, **given, **slopes).sel(rho=0, method="nearest")
    assert float(column.log_evidence) == pytest.approx(evidence, abs=0.01)
    weight = np.exp(column.log_weight)
    found = float(weight @ column.alpha)
    assert found == pytest.approx(centre, abs=0.02 * spread)
    assert float(weight @ (column.alpha - found) ** 2) ** 0.5 == pytest.approx(spread, rel=0.02)


CELLS = {(0, 0): 50, (0, 1): 30, (1, 0): 25, (1, 1): 45}  # how many have (y, t)


def four_cells(rho, alpha_sd):
    """Log evidence, mean of α and of the effect in points at one ρ, where a table of two by two is all the data.

    A sum over the index of a yes without the treatment, of one with it, and of the treatment itself. Beforehand the
    last is worth one row; so are the first and α, by which the second differs.
    """
    y, t = np.array([cell for cell, count in CELLS.items() for _ in range(count)], dtype=float).T
    of_outcome = multivariate_normal(cov=worth_a_row(t[:, None], y, "binary", alpha_sd))
    s_t = worth_a_row(np.empty((len(t), 0)), t, "binary")[0, 0] ** 0.5
    grid = np.linspace(-2.4, 2.4, 61)
    both = multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf(np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1))
    yes, treated = norm.cdf(grid)[:, None], norm.cdf(grid)
    chance = {(1, 1): both, (1, 0): yes - both, (0, 1): treated - both, (0, 0): 1 - yes - treated + both}
    without, with_it = (sum(CELLS[y, t] * np.log(chance[y, t]) for y in (0, 1)) for t in (0, 1))
    alpha = grid - grid[:, None]
    log_joint = without[:, None] + with_it + norm.logpdf(grid, scale=s_t)
    log_joint += of_outcome.logpdf(np.stack(np.broadcast_arrays(grid[:, None], alpha), axis=-1))[..., None]
    total = logsumexp(log_joint)
    share = np.exp(log_joint - total).sum(axis=2)
    evidence = total + 3 * np.log(grid[1] - grid[0])
    return evidence, (share * alpha).sum(), 100 * (share * (treated - yes)).sum()


@pytest.mark.parametrize("given", [{}, {"alpha": 0.4}])
def test_a_column_of_yes_and_no_is_the_exact_integral(given):
    """Evidence and effect at every ρ of a map that is no regression, in the wide prior and in a tight one."""
    data = pd.DataFrame([cell for cell, count in CELLS.items() for _ in range(count)], columns=["Y", "T"])
    chart = map_rho(make_design(data, outcome="Y ~ T", treatment="T ~ 1"), rho=np.tanh([-1, -0.5, 0, 0.5, 1]),
                    draws=1024, **given)  # fmt: skip
    expected = np.array([four_cells(rho, given.get("alpha")) for rho in chart.rho.values])
    weight = np.exp(chart.log_weight)
    found = chart.log_evidence, (weight * chart.alpha).sum("draw"), (weight * chart.effect).sum("draw")
    for values, wanted, within in zip(found, expected.T, (0.002, 0.002, 0.05)):
        np.testing.assert_allclose(values, wanted, atol=within)
    assert ((chart.ess > 2048) & (chart.ess <= 4096)).all()  # of so many proposals, none of which counts twice


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


def test_fit_and_the_map_mean_the_same_narrow_prior(designs):
    design, prior = designs["continuous", "instrument"], norm(0.2, 1e-3)
    fitted = fit(joint_model(design, rho=prior), draws=500)["posterior"]["rho"]
    assert float(fitted.std()) == pytest.approx(1e-3, rel=0.1)
    assert float(weigh(map_rho(design), prior).rho.std()) == pytest.approx(1e-3, rel=0.05)


def test_a_seed_repeats_the_map(designs):
    design, rho = designs["continuous", "plain"], [-0.5, -0.2, 0.0, 0.2, 0.5]
    first, again, other = (map_rho(design, rho=rho, draws=128, seed=seed) for seed in (3, 3, 4))
    xr.testing.assert_equal(first, again)
    assert (first.alpha != other.alpha).all()


def test_a_reading_asks_the_data_nothing(mapped, monkeypatch):
    """A new prior of ρ costs milliseconds, since no likelihood is worked out for it."""

    def never(*arguments, **named):
        raise AssertionError("a likelihood was worked out")

    for name in ("log_likelihood", "derivatives", "pointwise"):
        monkeypatch.setattr(f"which_world.engine.likelihoods.{name}", never)
    for name in ("log_posterior", "columns", "mode"):
        monkeypatch.setattr(f"which_world.engine.laplace.{name}", never)
    monkeypatch.setattr(maps, "log_posterior", never)
    monkeypatch.setattr(maps, "columns", never)
    for mean in (-0.2, 0.0, 0.2):
        weigh(mapped[1], atanh_normal(mean))


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


@pytest.mark.parametrize("probability", [95, 0, 1, -0.1, np.nan, "0.9", None])
def test_what_is_no_probability_is_refused(probability):
    for reading in (read_map, lambda chart, p: tipping_point(chart, probability=p)):
        with pytest.raises(ValueError, match=r"probability=.*accepted is a number in \(0, 1\)"):
            reading(by_hand(), probability)


def test_columns_that_cannot_be_relied_on_are_left_empty():
    table = read_map(SKEWED)
    bad = np.abs(GRID) < 0.2
    assert table[bad].isna().all(axis=None) and table[~bad].notna().all(axis=None)
    with pytest.raises(ValueError, match=r"Pareto k̂ exceeds 0.7 .* the whole map"):
        read_map(by_hand(k=np.nan))


def test_many_dummies_leave_the_map_exact():
    """40 and 120 groups of four rows: at ρ = 0, and under wide priors, the interval is least squares'."""
    rng = np.random.default_rng(5)
    for groups in (40, 120):
        site = np.repeat(np.arange(groups), 4)
        x, level = rng.normal(size=4 * groups), rng.normal(size=groups)[site]
        t = x + level + rng.normal(size=4 * groups)
        data = pd.DataFrame({"y": t + x - level + rng.normal(size=4 * groups), "t": t, "x": x, "site": site})
        design = make_design(data, outcome="y ~ t + x + C(site)", treatment="t ~ x + C(site)")
        row = read_map(map_rho(design, rho=[-0.5, -0.2, 0.0, 0.2, 0.5], alpha=100, coefficients=normal(30))).loc[0.0]
        interval = sm.OLS.from_formula("y ~ t + x + C(site)", data).fit().conf_int().loc["t"].to_numpy()
        np.testing.assert_allclose(row[["low", "high"]].to_numpy(), interval, atol=0.04 * np.ptp(interval))


@pytest.mark.parametrize("outcome", ["continuous", "binary"])
def test_the_weights_of_a_few_draws_carry_the_others_where_they_are_calm(outcome, monkeypatch):
    """Beside the map of which every draw is weighed, eight times as many of them."""
    data = simulate_aquarium(4_000, outcome=outcome, rho=0.4, seed=3).data
    design = make_design(data, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1 + X2")
    rho = np.tanh(np.linspace(-1, 1, 5))
    whole = map_rho(design, rho=rho, draws=4_096)
    monkeypatch.setattr(maps, "WORK", 0)
    monkeypatch.setattr(maps, "CALM", 0.3)
    few, table = map_rho(design, rho=rho), read_map(whole)
    sd = (table["high"] - table["low"]) / 4
    assert np.abs(read_map(few)["mean"] - table["mean"]).max() < 0.03 * sd.min()
    assert few.log_evidence.values == pytest.approx(whole.log_evidence.values, abs=0.02)
    if outcome == "binary":  # unweighed, they would miss
        assert np.abs(few.effect.mean("draw") - table["mean"].to_numpy()).max() > 0.05 * sd.min()
    monkeypatch.setattr(maps, "CALM", 0.0)
    assert map_rho(design, rho=rho).log_weight.values == pytest.approx(_weighed(design, rho, monkeypatch))


def few_say_yes(n=400, seed=5):
    """One in twenty is treated, and in one group of four hardly anybody says yes."""
    rng = np.random.default_rng(seed)
    x, V, e, g = *rng.normal(size=(3, n)), rng.integers(0, 4, n)
    T = (0.3 * x + V > np.quantile(0.3 * x + V, 0.95)).astype(int)
    Y = (0.3 * x + 0.5 * T + 0.3 * V + e > np.where(g == 3, 2.3, 0.2)).astype(int)
    return pd.DataFrame({"Y": Y, "T": T, "x": x, "g": g})


BETWEEN = {
    "answer by choice": lambda: make_design(few_say_yes(), outcome="Y ~ T + x + C(g)", treatment="T ~ x"),
    "answer by dose": lambda: make_design(simulate_aquarium(300, outcome="binary", seed=3).data, **INSTRUMENT),
    "amount by choice": lambda: make_design(simulate_aquarium(300, treatment="binary", seed=3).data, **INSTRUMENT),
}  # fmt: skip


@pytest.mark.parametrize("made", BETWEEN.values(), ids=BETWEEN)
def test_a_column_between_nodes_is_what_weighing_it_gives(made):
    """Columns on which no node falls, beside maps of these alone, with eight times as many draws."""
    design, a = made(), np.array([-1.7, -1.1, -0.5, 0.1, 0.7, 1.3, 1.7])
    whole = map_rho(design, rho=np.tanh(a), draws=4_096)
    chart = map_rho(design)
    assert not np.isin(np.abs(np.arctanh(GRID)[:, None] - a).argmin(axis=0), maps._nodes(np.arctanh(GRID))).any()
    expected = read_map(whole)
    table, sd = read_map(chart).iloc[np.abs(np.arctanh(GRID)[:, None] - a).argmin(axis=0)], whole.effect.std("draw")
    for name, within in {"mean": 0.03, "low": 0.15, "high": 0.15}.items():
        assert (np.abs(table[name].to_numpy() - expected[name].to_numpy()) < within * sd.values).all(), name
    found = chart.log_evidence.values[np.abs(np.arctanh(GRID)[:, None] - a).argmin(axis=0)]
    np.testing.assert_allclose(found, whole.log_evidence, atol=0.03)


def test_a_node_that_the_others_miss_gets_columns_beside_it():
    """A bend in the evidence at one node alone: exact columns on both sides of it, and a bad one is told of by both."""
    a, z = np.linspace(-2.4, 2.4, 49), norm.ppf((np.arange(200) + 0.5) / 200)
    frame, made = maps.Frame(a, np.zeros((49, 2)), np.ones(49), np.zeros(49)), []

    def propose(some):
        made.extend(some)
        bend, weight = 5 * np.exp(-((a / 0.1) ** 2)), np.full(200, -np.log(200))
        return [(z, z, weight, bend[k], 0.9 if k == 6 else 0.1, 200.0) for k in some]

    every = maps._filled(frame, maps._nodes(a), propose)
    assert {5, 7, 23, 25} <= set(made) and len(made) < 49
    np.testing.assert_allclose([each[3] for each in every], 5 * np.exp(-((a / 0.1) ** 2)), atol=0.05)
    assert [k for k, each in enumerate(every) if each[4] > 0.7] == [6]


def _weighed(design, rho, monkeypatch):
    monkeypatch.setattr(maps, "WORK", np.inf)
    return map_rho(design, rho=rho).log_weight.values


def test_a_few_draws_tell_a_column_of_many_rows(monkeypatch):
    """A dose whose answer is a rare yes: α and the effect part, and weights follow what is read."""
    rng, n = np.random.default_rng(3), 8_000
    x, z, v, e = rng.normal(size=(4, n))
    data = pd.DataFrame({"x": x, "z": z, "t": 0.3 * x + 0.4 * z + v})
    index = 0.3 * x + 0.7 * data.t + 0.5 * v + np.sqrt(0.75) * e
    data["y"] = (index > np.quantile(index, 0.99)).astype(int)
    design, rho = make_design(data, outcome="y ~ t + x", treatment="t ~ z + x"), np.tanh([-1.8, -1, 0, 1, 1.8])
    asked, sums = [], maps._sums

    def watched(*given):
        asked.extend(len(each.weighed) for each in given[-1])
        return sums(*given)

    monkeypatch.setattr(maps, "_sums", watched)
    monkeypatch.setattr(maps, "WORK", 2**21)
    few = map_rho(design, rho=rho)
    assert asked and set(asked) <= {0, 32, 96}
    monkeypatch.setattr(maps, "WORK", np.inf)
    whole = map_rho(design, rho=rho, draws=2048)
    apart = (read_map(few) - read_map(whole))[["mean", "low", "high"]].to_numpy() / whole.effect.std("draw").values[
        :, None
    ]
    assert np.abs(apart[:, 0]).max() < 0.03 and np.abs(apart).max() < 0.1
    np.testing.assert_allclose(few.log_evidence, whole.log_evidence, atol=0.02)


@pytest.mark.parametrize("k", [0.2, 0.5])
def test_the_weights_of_a_pareto_have_its_k(k):
    """Ratios u^-k of a uniform u: k̂ is k, and weighted by them u has the mean (1 - k)/(2 - k)."""
    u = np.random.default_rng(0).permutation((np.arange(20_000) + 0.5) / 20_000)
    weight, k_hat = smoothed(-k * np.log(u))
    assert k_hat == pytest.approx(k, abs=0.03)
    assert np.exp(weight) @ u == pytest.approx((1 - k) / (2 - k), abs=0.005)


def test_a_draw_that_outweighs_all_others_is_all_there_is_and_is_not_relied_on():
    weight, k_hat = smoothed(np.r_[1000.0, np.random.default_rng(0).normal(size=511)])
    assert np.isnan(k_hat) and np.exp(weight).tolist() == [1.0] + [0.0] * 511


def test_a_level_in_which_nobody_answered_yes_is_carried_by_its_prior(monkeypatch):
    """Its coefficient has no maximum but the prior's: a posterior that leans, beside a grid over all its values."""
    rng, n = np.random.default_rng(3), 400
    g, z, v, u = np.arange(n) < 8, rng.integers(0, 2, n), *rng.normal(size=(2, n))
    data = pd.DataFrame({"g": np.where(g, "rare", "usual"), "z": z, "t": (0.8 * z - 0.4 + v > 0).astype(int)})
    data["y"] = ((0.5 * data.t - 0.2 + u > 0) & ~g).astype(int)
    design = make_design(data, outcome="y ~ t + C(g)", treatment="t ~ z + C(g)")

    b = np.mgrid[-4:4:81j, -4:5:91j, -4:4:81j]  # three coefficients, each standard normal before

    def posterior(first, second, answer):
        """On the grid, of a probit with a constant; and the log evidence."""
        log_p = norm.logpdf(b).sum(axis=0)
        for x, z in {*zip(first, second)}:
            here = (first == x) & (second == z)
            index = b[0] + b[1] * x + b[2] * z
            log_p += answer[here].sum() * norm.logcdf(index) + (1 - answer[here]).sum() * norm.logcdf(-index)
        return np.exp(log_p - logsumexp(log_p)), logsumexp(log_p) + 3 * np.log(0.1)

    level, invited = ((each - np.mean(each)) / np.std(each) for each in (~g, z))
    p, of_outcome = posterior(level, data.t.to_numpy(), data.y.to_numpy())
    _, of_treatment = posterior(level, invited, data.t.to_numpy())
    mean = (p * b[2]).sum()
    sd = np.sqrt((p * (b[2] - mean) ** 2).sum())

    plain = {"coefficients": normal(), "alpha": 1.0}
    chart = map_rho(design, rho=GRID[22:27], draws=2048, **plain).sel(rho=0.0)
    weight = np.exp(chart.log_weight.values)
    alpha = chart.alpha.values
    assert chart.pareto_k < 0.7 and weight @ alpha == pytest.approx(mean, abs=0.06 * sd)
    assert np.sqrt(weight @ (alpha - mean) ** 2) == pytest.approx(sd, rel=0.05)
    assert chart.log_evidence == pytest.approx(of_outcome + of_treatment, abs=0.05)
    monkeypatch.setattr(maps, "WIDER_ROUNDS", 0)
    monkeypatch.setattr(maps, "UPRIGHT", 0.0)
    monkeypatch.setattr(maps, "FEW_ROWS", 0.1)
    monkeypatch.setattr(maps, "LEANING", 0.1)
    with pytest.warns(UserWarning, match="Pareto k̂ exceeds"):
        map_rho(design, rho=GRID[22:27], draws=2048)


def small_world(kinds, n, instrument, rare):
    """Few rows of two covariates, and perhaps an instrument; a rare yes is one in ten."""
    rng = np.random.default_rng(n + 3)
    a, b, z, v, e = rng.normal(size=(5, n))
    t = 0.3 + 0.6 * a - 0.4 * b + 0.8 * z + v
    t = (t > 0).astype(float) if kinds[1] == "binary" else t
    y = 0.5 * a + 0.3 * b + 0.6 * t + 0.5 * v + np.sqrt(0.75) * e
    y = (y > np.quantile(y, 0.9 if rare else 0.45)).astype(float) if kinds[0] == "binary" else 3 * y
    formulas = {"outcome": "y ~ t + a + b", "treatment": "t ~ a + b" + " + z" * instrument}
    return make_design(pd.DataFrame({"y": y, "t": t, "a": a, "b": b, "z": z}), **formulas)


def log_chance_of_both(h, k, r):
    """log P(U < h, V < k) of two standard normals of correlation r, by Owen's T."""
    across = np.sqrt(1 - r**2)
    found = 0.5 * (ndtr(h) + ndtr(k)) - owens_t(h, (k / h - r) / across) - owens_t(k, (h / k - r) / across)
    return np.log(np.maximum(found - 0.5 * (h * k < 0), 1e-14))


def small_posterior(design, rho, alpha, slope, sigma):
    """The log posterior of θ and its size, both equations and every prior written out."""
    binary_y, binary_t = (kind == "binary" for kind in design.kinds)
    y, t, dose = design.y, design.t, design.t - (0 if binary_t else design.t.mean())
    A, Z = (np.column_stack([np.ones(len(y)), design.C[:, used]]) for used in (design.in_outcome, design.in_treatment))
    A = np.column_stack([A, dose])
    k, m, across = A.shape[1], Z.shape[1], np.sqrt(1 - rho**2)
    starts = [(0.0, 1.0) if binary else (values.mean(), 2.5 * values.std())
              for binary, values in ((binary_y, y), (binary_t, t))]  # fmt: skip
    means = np.r_[starts[0][0], np.zeros(k - 1), starts[1][0], np.zeros(m - 1)]
    sds = np.r_[starts[0][1], np.full(k - 2, slope[0]), alpha, starts[1][1], np.full(m - 1, slope[1])]
    scales = [s for s, binary in ((sigma, binary_y), (t.std(), binary_t)) if not binary]

    def log_p(theta):
        b, g, logs = np.split(theta, [k, k + m], axis=1)
        s, q, mu, eta = 2 * y - 1, 2 * t - 1, b @ A.T, g @ Z.T
        value = norm.logpdf(np.c_[b, g], means, sds).sum(axis=1)
        value += np.sum(np.log(2) + norm.logpdf(np.exp(logs), 0, scales) + logs, axis=1)
        u = None if binary_y else (y - mu) / np.exp(logs[:, :1])
        v = None if binary_t else (t - eta) / np.exp(logs[:, -1:])
        if binary_y and binary_t:
            return value + log_chance_of_both(s * mu, q * eta, s * q * rho).sum(axis=1)
        if binary_y:
            each = norm.logpdf(v) - logs[:, -1:] + log_ndtr(s * (mu + rho * v) / across)
        elif binary_t:
            each = norm.logpdf(u) - logs[:, :1] + log_ndtr(q * (eta + rho * u) / across)
        else:
            each = norm.logpdf(v) + norm.logpdf(u, rho * v, across) - logs.sum(axis=1, keepdims=True)
        return value + each.sum(axis=1)

    return log_p, means, len(scales), A, k


def sampled(log_p, start, size):
    """Draws of a Student t of five degrees of freedom, matched three times to the posterior, and their log weights."""

    def one(theta):
        return -log_p(theta[None])[0]

    centre = minimize(one, start, method="BFGS").x
    S = np.linalg.inv(approx_hess(centre, one))
    for seed, count in enumerate((5_000, 10_000, size)):
        proposal = multivariate_t(centre, 0.45 * (S + S.T), df=5, seed=seed)
        draws = proposal.rvs(count)
        parts = np.array_split(draws, count // 1000)  # in a processor's cache
        log_weight = np.concatenate([log_p(part) for part in parts]) - proposal.logpdf(draws)
        weight = np.exp(log_weight - logsumexp(log_weight))
        centre = weight @ draws
        S = (draws - centre).T @ (weight[:, None] * (draws - centre))
    return draws, log_weight


def told(values, weight):
    """Mean, both ends of the 95 % interval, and sd."""
    order = np.argsort(values)
    ends = np.interp([0.025, 0.975], np.cumsum(weight[order]) - weight[order] / 2, values[order])
    mean = weight @ values
    return np.array([mean, *ends, np.sqrt(weight @ (values - mean) ** 2)])


SMALL = [
    ("continuous", "binary", 60, True, False), ("continuous", "binary", 100, False, False),
    ("binary", "continuous", 60, True, True), ("binary", "continuous", 60, False, False),
    ("binary", "continuous", 300, False, True), ("binary", "binary", 60, True, False),
    ("binary", "binary", 100, False, False), ("continuous", "continuous", 30, True, False),
]  # fmt: skip


@pytest.mark.parametrize("outcome, treatment, n, instrument, rare", SMALL)
def test_columns_of_few_rows_have_the_tails_of_the_posterior(outcome, treatment, n, instrument, rare):
    """Mean, ends, sd and evidence where |ρ| is large, beside a Student t of another make."""
    design = small_world((outcome, treatment), n, instrument, rare)
    prior = {"alpha": 1.0} | ({"sigma": 2.0} if outcome == "continuous" else {})
    rho = np.array([-0.95, -0.5, 0.0, 0.5, 0.95])
    chart = map_rho(design, rho=rho, coefficients=normal(beta_O=1.5, beta_T=0.8), **prior)
    assert dict(chart.sizes) == {"rho": 5, "draw": 512}
    assert (chart.pareto_k < (0.35 if "binary" in (outcome, treatment) else 0.7)).all()
    for k in (0, 4):
        log_p, means, logs, A, size = small_posterior(design, rho[k], 1.0, (1.5, 0.8), 2.0)
        draws, log_weight = sampled(log_p, np.r_[means, np.zeros(logs)] + 0.01, min(60_000, 6_000_000 // n))
        weight, right = np.exp(log_weight - logsumexp(log_weight)), draws[:, size - 1]
        mine, count = np.exp(chart.log_weight.values[k]), chart.alpha.values[k]
        gap = (told(count, mine) - (wanted := told(right, weight))) / wanted[3]
        assert np.abs(gap[:3]).max() < 0.1 and abs(gap[3]) < 0.03
        assert chart.log_evidence.values[k] == pytest.approx(logsumexp(log_weight) - np.log(len(right)), abs=0.03)
        if (outcome, treatment) == ("binary", "binary"):
            b = draws[:, :size] * np.r_[np.ones(size - 1), 0.0]
            points = 100 * (ndtr(b @ A.T + right[:, None]) - ndtr(b @ A.T)).mean(axis=1)
            gap = (told(chart.effect.values[k], mine) - (wanted := told(points, weight))) / wanted[3]
            assert np.abs(gap[:3]).max() < 0.1 and abs(gap[3]) < 0.03
            both = np.cov(points, right, aweights=weight)
            found = np.corrcoef(chart.effect.values[k], count)[0, 1]
            assert found == pytest.approx(both[0, 1] / np.sqrt(both[0, 0] * both[1, 1]), abs=0.05)


def test_a_map_that_is_not_to_be_relied_on_says_so():
    tank = simulate_aquarium(60, treatment="binary", noise=20, seed=4)
    covariates = " + ".join(name for name in tank.data if name.startswith("X"))
    design = make_design(tank.data, outcome=f"Y ~ T + {covariates}", treatment="T ~ X0 + X1 + X2")
    said = r"Pareto k̂ exceeds 0.7 in \d+ of 5 columns, rho -?0.*: their.*Accepted are more draws"
    with pytest.warns(UserWarning, match=said):
        map_rho(design, rho=[-0.5, -0.2, 0.0, 0.2, 0.5], draws=128)


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


@pytest.mark.parametrize(
    "rho", [[0.0], [-0.2, 0.2, 0.1, 0.3, 0.4], [-1.0, -0.5, 0.0, 0.5, 1.0], [0.1, 0.2, 0.3, 0.4, np.nan]]
)
def test_what_is_no_grid_is_refused(designs, rho):
    with pytest.raises(
        ValueError, match=r"rho=\[.*; accepted is a grid of five or more increasing numbers in \(-1, 1\)"
    ):
        map_rho(designs["continuous", "plain"], rho=rho)


@pytest.mark.parametrize("draws", [10, 512.0])
def test_too_few_draws_to_tell_k_are_refused(designs, draws):
    with pytest.raises(ValueError, match=rf"draws={draws}; accepted is a whole number of at least 100"):
        map_rho(designs["continuous", "plain"], draws=draws)


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
