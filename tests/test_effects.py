"""Effects that differ from fish to fish: against statsmodels, brute force, and tanks with both potential outcomes."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import binom

from helpers import (
    World,
    bart,
    effect_at,
    excluded,
    fit,
    fit_worlds,
    joint_model,
    make_design,
    map_rho,
    maximum_likelihood,
    ols,
    potential_outcomes,
    simulate_aquarium,
    spike_and_slab,
    weigh,
)
from which_world.engine.from_pymc import extract, observed

EFFECT, SLOPE, GAP = 3.0, 0.5, -0.8  # at x = 5 in group a; per unit of x; what group b gets more
MODERATED = {"outcome": "Y ~ T * (x + g)", "treatment": "T ~ x + g + z"}


class Tank(NamedTuple):
    """What is seen, and both potential outcomes (of a binary treatment)."""

    data: pd.DataFrame
    Y0: np.ndarray
    Y1: np.ndarray


def tank(seed, n=400, rho=0.6, kind="binary"):
    """A tank whose effect changes with x and g, while x, g and z move the treatment."""
    rng = np.random.default_rng(seed)
    x, z, g = rng.normal(5, 2, n), rng.normal(size=n), rng.choice(["a", "b"], n)
    V = rng.normal(size=n)
    U = rho * V + np.sqrt(1 - rho**2) * rng.normal(size=n)
    T = 0.3 + 0.3 * (x - 5) + 0.4 * (g == "b") + 0.7 * z + V
    T = (T > 0).astype(int) if kind == "binary" else T
    Y0 = 2 + 0.3 * x + U
    Y1 = Y0 + EFFECT + SLOPE * (x - 5) + GAP * (g == "b")
    return Tank(pd.DataFrame({"Y": Y0 + (Y1 - Y0) * T, "T": T, "x": x, "g": g, "z": z}), Y0, Y1)


@pytest.fixture(scope="module", params=["binary", "continuous"])
def design(request):
    return make_design(tank(0, kind=request.param).data, **MODERATED)


@pytest.fixture(scope="module")
def fitted():
    """One binary tank, its design and its fit."""
    one = tank(0)
    design = make_design(one.data, **MODERATED)
    return one, design, fit(design)


def test_without_a_current_it_is_least_squares_with_an_interaction(design):
    data = pd.DataFrame({"Y": design.y, "T": design.t, "m1": design.M[:, 0], "m2": design.M[:, 1]})
    theirs = smf.ols("Y ~ T * (m1 + m2)", data).fit().params
    wanted = [theirs["T"], theirs["T:m1"], theirs["T:m2"]]
    names = ["alpha", "delta[x]", "delta[g[T.b]]"]
    np.testing.assert_allclose(ols(design).params[names], wanted)
    np.testing.assert_allclose(maximum_likelihood(design, rho=0.0).estimates[names], wanted, rtol=1e-6)


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_without_a_current_the_average_effect_on_an_answer_is_that_of_a_probit_with_an_interaction(kind):
    """statsmodels predicts every fish twice, as it was and moved; α alone is the effect at average moderators."""
    data = tank(0, n=1500, rho=0.0, kind=kind).data
    data["Y"] = (data.Y > data.Y.median()).astype(int)
    theirs = smf.probit("Y ~ T * (x + g)", data).fit(disp=0)
    before = np.zeros(len(data)) if kind == "binary" else data["T"]
    moved = [100 * theirs.predict(data.assign(T=before + step)).mean() for step in (0, 1)]
    found = maximum_likelihood(make_design(data, **MODERATED), rho=0)
    assert found.effect == pytest.approx(moved[1] - moved[0], abs=1e-4)
    flat = smf.probit("Y ~ T + x + g", data).fit(disp=0)
    other = [100 * flat.predict(data.assign(T=before + step)).mean() for step in (0, 1)]
    assert abs(found.effect - (other[1] - other[0])) > 0.01


def test_alpha_is_the_average_of_the_effects_in_readers_units():
    data = tank(1, kind="continuous").data
    raw = smf.ols("Y ~ T * (x + C(g))", data).fit().params
    each = raw["T"] + raw["T:x"] * data.x + raw["T:C(g)[T.b]"] * (data.g == "b")
    assert ols(make_design(data, **MODERATED)).params["alpha"] == pytest.approx(each.mean())


def test_the_model_is_read_back_and_its_draws_keep_their_names(design):
    reading = extract(observed(joint_model(design, rho=0.3)))
    assert reading.design.moderators == design.moderators
    idata = fit(joint_model(design, rho=0.3))
    assert idata.attrs["route"] == "columns"
    posterior = idata["posterior"]
    assert posterior["delta"].dims == ("chain", "draw", "moderator")
    assert list(posterior["delta"].moderator.values) == list(design.moderators)
    classical = maximum_likelihood(design, rho=0.3)
    wanted = classical.estimates[[f"delta[{label}]" for label in design.moderators]]
    spread = classical.standard_errors[wanted.index].to_numpy()
    gap = (posterior["delta"].mean(("chain", "draw")).values - wanted.to_numpy()) / spread
    assert np.abs(gap).max() < 0.2  # weak priors, four hundred fish


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_excluded_and_sparse_coefficients_leave_the_moderators_in(kind):
    design = make_design(tank(0, kind=kind).data, outcome="Y ~ T * (x + g) + z", treatment="T ~ x + g + z")
    reading = extract(observed(joint_model(design, coefficients=excluded("z"))))
    assert (reading.design.moderators, reading.design.instruments) == (("x", "g[T.b]"), ("z",))
    assert extract(observed(joint_model(design, coefficients=spike_and_slab()))).design.moderators == (
        "x",
        "g[T.b]",
    )


def test_a_model_with_another_moderation_is_not_mistaken_for_ours(design):
    model = joint_model(design, rho=0.3)
    model["X"].set_value(model["X"].get_value() + 0.1)
    assert extract(observed(model)) is not None  # X is what the moderators are read from
    short = make_design(pd.DataFrame({"Y": design.y, "T": design.t, "x": design.M[:, 0]}), outcome="Y ~ T * x",
                        treatment="T ~ x")  # fmt: skip
    assert extract(observed(joint_model(short, rho=0.3))).design.moderators == ("x",)


def test_maps_and_worlds_take_moderators(design):
    reading = weigh(map_rho(design))
    world = fit_worlds([World("free", design)], draws=250, folder=None)["free"]
    assert reading.alpha.mean().item() == pytest.approx(world["posterior"].alpha.mean().item(), abs=0.1)
    assert np.isfinite(world["score"].elpd).all()


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_intervals_of_effect_and_moderation_cover_over_many_tanks(kind):
    tanks, hits = 200, []
    for seed in range(tanks):
        design = make_design(tank(1000 + seed, kind=kind).data, **MODERATED)
        sd, mean = design.scales["sd"], design.scales["mean"]
        truth = {
            "alpha": EFFECT + SLOPE * (mean["x"] - 5) + GAP * mean["g[T.b]"],
            "delta[x]": SLOPE * sd["x"],
            "delta[g[T.b]]": GAP * sd["g[T.b]"],
            "rho": 0.6,
        }
        table = maximum_likelihood(design).summary()
        hits.append([table.low[name] < value < table.high[name] for name, value in truth.items()])
    low, high = binom.interval(0.9999, tanks, 0.95)
    assert ((low <= np.sum(hits, axis=0)) & (np.sum(hits, axis=0) <= high)).all(), np.mean(hits, axis=0)


def test_the_imputed_means_are_those_of_every_fish_imputed_in_every_draw(fitted):
    one, design, idata = fitted
    got = potential_outcomes(idata, design)
    posterior = idata["posterior"]
    each = posterior["alpha"].values[..., None] + posterior["delta"].values @ design.M.T
    Y1 = np.where(design.t == 1, design.y, design.y + each)
    Y0 = np.where(design.t == 0, design.y, design.y - each)
    for group, rows in {"everyone": design.t < 2, "treated": design.t == 1, "untreated": design.t == 0}.items():
        mine = got.sel(group=group)
        np.testing.assert_allclose(mine.Y1, Y1[..., rows].mean(axis=-1))
        np.testing.assert_allclose(mine.Y0, Y0[..., rows].mean(axis=-1))
        np.testing.assert_allclose(mine.effect, each[..., rows].mean(axis=-1), atol=1e-12)
    np.testing.assert_allclose(got.effect.sel(group="everyone"), posterior["alpha"])


def test_the_observed_half_is_not_uncertain_and_the_groups_add_up(fitted):
    _, design, idata = fitted
    got = potential_outcomes(idata, design)
    assert np.ptp(got.Y1.sel(group="treated").values) == pytest.approx(0, abs=1e-12)
    assert got.Y0.sel(group="untreated").mean().item() == pytest.approx(design.y[design.t == 0].mean())
    share = design.t.mean()
    mixed = share * got.sel(group="treated") + (1 - share) * got.sel(group="untreated")
    for name in got:
        np.testing.assert_allclose(mixed[name], got[name].sel(group="everyone"))


def test_intervals_of_potential_outcomes_cover_over_many_tanks():
    tanks, hits = 100, []
    for seed in range(tanks):
        one = tank(2000 + seed)
        design = make_design(one.data, **MODERATED)
        got = potential_outcomes(fit(design, draws=250, seed=seed), design)
        interval = got.quantile((0.025, 0.975), ("chain", "draw"))
        low, high = interval.isel(quantile=0), interval.isel(quantile=1)
        treated = one.data["T"] == 1
        truth = {
            ("effect", "everyone"): (one.Y1 - one.Y0).mean(),
            ("effect", "treated"): (one.Y1 - one.Y0)[treated].mean(),
            ("effect", "untreated"): (one.Y1 - one.Y0)[~treated].mean(),
            ("Y0", "everyone"): one.Y0.mean(),
            ("Y1", "everyone"): one.Y1.mean(),
            ("Y0", "treated"): one.Y0[treated].mean(),
            ("Y1", "untreated"): one.Y1[~treated].mean(),
        }
        hits.append([bool(low[name].sel(group=group) < value < high[name].sel(group=group))
                     for (name, group), value in truth.items()])  # fmt: skip
    least, most = binom.interval(0.9999, tanks, 0.95)
    assert ((least <= np.sum(hits, axis=0)) & (np.sum(hits, axis=0) <= most)).all(), np.mean(hits, axis=0)


def test_a_continuous_treatment_is_set_to_any_two_levels():
    design = make_design(tank(0, kind="continuous").data, **MODERATED)
    got = potential_outcomes(idata := fit(design), design, levels=(1.0, 3.0))
    assert list(got.group.values) == ["everyone"]
    np.testing.assert_allclose(got.effect.sel(group="everyone"), 2 * idata["posterior"]["alpha"])
    mean = design.y.mean() + idata["posterior"]["alpha"] * (1 - design.t.mean())
    mean = mean.values - idata["posterior"]["delta"].values @ (design.M * design.t[:, None]).mean(axis=0)
    np.testing.assert_allclose(got.Y0.sel(group="everyone"), mean)


def test_without_moderators_everyone_has_the_same_effect():
    design = make_design(tank(0).data, outcome="Y ~ T + x + g", treatment="T ~ x + g + z")
    idata = fit(design)
    assert "delta" not in idata["posterior"]
    for group in ("everyone", "treated", "untreated"):
        np.testing.assert_allclose(potential_outcomes(idata, design).effect.sel(group=group), idata["posterior"].alpha)


def test_the_effect_at_a_value_is_in_the_readers_units(fitted):
    _, design, idata = fitted
    at = effect_at(idata, design, {"x": [3.0, 5.0], "g[T.b]": [0, 1]})
    alpha, delta = idata["posterior"]["alpha"], idata["posterior"]["delta"]
    mean, sd = design.scales["mean"], design.scales["sd"]
    second = alpha + delta.sel(moderator="x") * (5 - mean["x"]) / sd["x"]
    second = second + delta.sel(moderator="g[T.b]") * (1 - mean["g[T.b]"]) / sd["g[T.b]"]
    np.testing.assert_allclose(at.isel(at=1), second)
    assert at.dims == ("chain", "draw", "at") and list(at.x.values) == [3.0, 5.0]
    step = effect_at(idata, design, {"x": [4.0, 5.0]}).diff("at").squeeze()
    np.testing.assert_allclose(step, delta.sel(moderator="x") / sd["x"])


@pytest.mark.parametrize(
    "values, said",
    [
        ({"z": [1]}, "names ['z'], which do not change the effect in this design; accepted are its moderators ['x', "),
        ({"x": [1, 2], "g[T.b]": [0]}, "equally many finite numbers"),
        ({"x": [np.nan]}, "equally many finite numbers"),
        ({}, "accepted is a mapping of moderators to their values"),
        ([30], "values=[30]; accepted is a mapping"),
    ],
)
def test_values_that_mean_nothing_are_refused(fitted, values, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        effect_at(fitted[2], fitted[1], values)


OTHERS = {
    "moderators": ({"outcome": "Y ~ T * z + x + g"}, slice(None), "it has the moderators ['x', 'g[T.b]'], the design"),
    "no moderators": (
        {"outcome": "Y ~ T + x + g"},
        slice(None),
        "it has the moderators ['x', 'g[T.b]'], the design []",
    ),
    "covariates": ({"treatment": "T ~ x + g"}, slice(None), "it has the covariates ['x', 'g[T.b]', 'z'], the design"),
    "rows": ({}, slice(1, None), "it has 400 rows of the outcome, the design 399"),
    "order": ({}, slice(None, None, -1), "it has other values of the treatment 'T'"),
    "outcome": ({"outcome": "I(2 * Y) ~ T * (x + g)"}, slice(None), "it has other values of the outcome 'I(2 * Y)'"),
}


@pytest.mark.parametrize(("formulas", "rows", "said"), OTHERS.values(), ids=OTHERS)
def test_a_fit_of_another_design_is_refused(fitted, formulas, rows, said):
    one, _, idata = fitted
    other = make_design(one.data[rows], **(MODERATED | formulas))
    for read in (potential_outcomes, lambda *given: effect_at(*given, {"x": [1.0]})):
        with pytest.raises(ValueError, match=re.escape(said)):
            read(idata, other)
    with pytest.raises(ValueError, match=re.escape("levels=(1, 1); accepted is a pair of different numbers")):
        potential_outcomes(idata, design, levels=(1, 1))


@pytest.mark.filterwarnings("ignore:this posterior is not to be shown")  # a few draws
@pytest.mark.parametrize("equation", ["outcome", "treatment"])
@pytest.mark.parametrize("treatment", ["continuous", "binary"])
def test_the_chances_of_a_forest_are_refused_by_name(equation, treatment):
    data = simulate_aquarium(120, outcome="binary", treatment=treatment, seed=1).data
    design = make_design(data, outcome="Y ~ T + X0", treatment="T ~ X0 + X1")
    idata = fit(joint_model(design, **{equation: bart(trees=2)}), draws=20, tune=20, chains=1)
    with pytest.raises(ValueError, match=f"a forest in the {equation} equation.*accepted is a fit whose"):
        potential_outcomes(idata, design)
