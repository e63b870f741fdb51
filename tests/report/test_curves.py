"""Curves and products that both formulas leave out, and covariates that the treatment itself moved."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from ponds import spoken_of
from statsmodels.sandbox.regression.gmm import IV2SLS

from helpers import make_design, make_report
from which_world.report.curves import curves
from which_world.report.short import in_short

LINE = {"outcome": "y ~ t + a + b + c", "treatment": "t ~ a + b + c"}


def world(bend, effect, n=800, seed=0, yes=False, kind="continuous"):
    """Something that both follow, `bend` of the covariates, and the effect that a sentence should not miss."""
    a, b, c, v, u = np.random.default_rng(seed).normal(size=(5, n))
    data = pd.DataFrame({"a": a, "b": b, "c": c})
    moved = 0.4 * a + 0.3 * b + 0.2 * c
    data["t"] = moved + bend(a, b) + v
    if kind == "binary":
        data["t"] = (data.t > 0).astype(int)
    data["y"] = effect * data.t + moved + bend(a, b) + u
    return data.assign(y=(data.y > 0).astype(int)) if yes else data


def square(a, b):
    return 0.5 * (a**2 - 1)


def product(a, b):
    return 0.6 * a * b


def cube(a, b):
    return 0.25 * (a**3 - 3 * a)


def nothing(a, b):
    return 0 * a


@pytest.mark.parametrize(
    ("bend", "terms", "with_them"),
    [
        (square, ("I(a ** 2)",), "I(a**2)"),
        (product, ("a:b",), "a:b"),
        (cube, ("I(a ** 2)", "I(a ** 3)"), "I(a**2) + I(a**3)"),
    ],
)
def test_a_curve_that_both_formulas_leave_out_is_found_and_forbids_to_act(bend, terms, with_them):
    data = world(bend, effect=-0.15)
    naive = smf.ols(LINE["outcome"], data).fit()
    truer = smf.ols(f"{LINE['outcome']} + {with_them}", data).fit()
    assert naive.conf_int().loc["t"].min() > 0 > truer.params["t"]  # the sign would have been wrong
    report = make_report(make_design(data, **LINE))
    assert report.curved.terms == terms
    assert report.curved.straightened == pytest.approx(truer.params["t"], abs=1e-8)
    _, why, advice = in_short(report)
    assert f"{terms[0]} " in why + advice and "stand" in advice and "act on the sign; how" not in advice
    assert advice.startswith("Do not act before") and f"is {truer.params['t']:.2f}" in advice


@pytest.mark.parametrize("kind", ["continuous", "binary"])
@pytest.mark.parametrize("yes", [False, True])
def test_a_curve_is_found_in_each_pair_of_responses(kind, yes):
    found = curves(make_design(world(square, 0.0, n=1500, yes=yes, kind=kind), **LINE))
    assert found.terms == ("I(a ** 2)",) and abs(found.straightened) < abs(found.effect) / 2


def uneven(seed, n=400):
    """Straight lines, and errors of both whose spread grows with the square of a covariate."""
    a, b, c, v, u = np.random.default_rng(seed).normal(size=(5, n))
    t = 0.3 * a + b + v * (1 + a**2)
    return pd.DataFrame({"y": 0.3 * t + a + b + u * (1 + a**2), "t": t, "a": a, "b": b, "c": c})


@pytest.mark.parametrize("worlds", [lambda seed: world(nothing, 0.3, n=200, seed=seed), uneven], ids=["even", "uneven"])
def test_nothing_is_found_where_nothing_is(worlds):
    """Of 60 worlds without a curve one in twenty might be asked about."""
    assert sum(curves(make_design(worlds(seed), **LINE)) is not None for seed in range(60)) <= 4


def test_many_covariates_are_many_chances_and_are_counted():
    """Of 30 worlds without a curve, with 230 terms each: uncounted, some twenty would be asked about."""
    asked, names = 0, [f"x{k}" for k in range(20)]
    shared = " + ".join(names)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        data = pd.DataFrame(rng.normal(size=(120, 20)), columns=names)
        data["t"] = data.x0 + rng.normal(size=120)
        data["y"] = 0.3 * data.t + data.x0 + rng.normal(size=120)
        asked += curves(make_design(data, outcome=f"y ~ t + {shared}", treatment=f"t ~ {shared}")) is not None
    assert asked <= 4


@pytest.mark.parametrize("bend", [lambda a, b: 0.7 * np.sin(3 * a), lambda a, b: 1.0 * (abs(a - 0.2) < 0.5)])
def test_a_curve_that_no_cube_follows_is_found_by_rows_beside_each_other(bend):
    data = world(bend, effect=0.0, n=1500)
    spline = smf.ols("y ~ t + bs(a, df=8) + b + c", data).fit().params["t"]
    found = curves(make_design(data, **LINE))
    assert "bs(a, df=8)" in found.terms and not any("** " in term for term in found.terms)
    assert found.straightened == pytest.approx(spline, abs=1e-6) and abs(spline) < abs(found.effect) / 2


def test_villages_that_share_a_covariate_are_no_rows_beside_each_other():
    """What a village shares in each error alone, 40 villages with one value of `a` each."""
    asked = 0
    for seed in range(40):
        rng = np.random.default_rng([3, seed])
        shared = rng.normal(size=(3, 40))[:, np.arange(800) // 20]
        b, c, v, u = rng.normal(size=(4, 800))
        data = pd.DataFrame({"a": shared[0], "b": b, "c": c, "t": shared[1] + v, "y": shared[2] + u})
        found = curves(make_design(data, **LINE))
        asked += found is not None and any("bs(" in term for term in found.terms)
    assert asked <= 4


def test_a_curve_of_one_equation_alone_makes_no_current():
    data = world(nothing, 0.3)
    assert curves(make_design(data.assign(y=data.y + data.a**2), **LINE)) is None
    data = world(square, 0.3)
    inside = {"outcome": "y ~ t + a + I(a**2) + b + c", "treatment": "t ~ a + I(a**2) + b + c"}
    assert curves(make_design(data, **inside)) is None


def test_a_precise_zero_that_a_curve_makes_is_no_zero():
    data = world(square, effect=-0.33, n=4000, seed=1)
    assert abs(smf.ols(LINE["outcome"], data).fit().params["t"]) < 0.05
    _, why, advice = in_short(make_report(make_design(data, **LINE)))
    assert "straight lines" in why and advice.startswith("Do not act before I(a ** 2) stands")


def after(covariate, n=600, seed=2):
    """A trial: t was drawn by lot and raises y by 0.5 in all; w was settled after it."""
    a, b, c, t, e, u = np.random.default_rng(seed).normal(size=(6, n))
    w = t + 0.7 * e
    y = -0.3 * t + 0.8 * w + a + u
    if covariate == "consequence of both":
        y = 0.5 * t + 0.1 * a + u
        w = t + y + 0.7 * e
    return pd.DataFrame({"y": y, "t": t, "w": w, "a": a, "b": b, "c": c})


@pytest.mark.parametrize("covariate", ["on the way", "consequence of both"])
def test_a_sign_that_rests_on_one_covariate_is_licensed_only_if_it_came_first(covariate):
    data = after(covariate)
    trial = smf.ols("y ~ t + a + b + c", data).fit().params["t"]
    assert trial > 0.3 and smf.ols("y ~ t + a + b + c + w", data).fit().conf_int().loc["t"].max() < 0
    _, _, advice = in_short(
        make_report(make_design(data, outcome="y ~ t + a + b + c + w", treatment="t ~ a + b + c + w"))
    )
    assert f"Only if w was settled before t (without it the effect is {trial:.2f}), and unless you know" in advice
    _, _, advice = in_short(make_report(make_design(data, **LINE)))
    assert "was settled before" not in advice


def test_a_precise_nothing_names_the_covariate_that_makes_it_one():
    data = after("on the way", n=6000)
    data["y"] += 0.3 * data.t  # all of the effect goes through w
    _, _, advice = in_short(make_report(make_design(data, outcome="y ~ t + a + w", treatment="t ~ a + w")))
    through = smf.ols("y ~ t + a", data).fit().params["t"]
    assert advice.startswith("Act as if there were none") and f"without it the effect is {through:.2f}" in advice


def eligible(effect, n=1500, seed=5):
    """Whoever is old enough is offered it, which moves t; the outcome bends with age on its own."""
    age, b, hidden, v, u = np.random.default_rng(seed).normal(size=(5, n))
    offered = (abs(age) < 0.7).astype(int)
    t = offered + 0.2 * age + 0.5 * hidden + v
    y = effect * t - 0.6 * age**2 + 0.3 * b + 0.5 * hidden + u
    return pd.DataFrame({"y": y, "t": t, "age": age, "b": b, "offered": offered})


@pytest.mark.parametrize(("effect", "curve", "acts"), [(0.0, "", False), (1.0, " + I(age ** 2)", True)])
def test_an_instrument_that_follows_a_curve_licenses_nothing_before_the_curve_stands(effect, curve, acts):
    data = eligible(effect)
    outcome, treatment = f"y ~ t + age + b{curve}", f"t ~ age + b{curve} + offered"
    design = make_design(data, outcome=outcome, treatment=treatment)
    told = in_short(make_report(design))
    assert ("Act on the sign" in told[2]) is acts
    if not acts:
        exogenous = sm.add_constant(data[["age", "b"]].assign(square=data.age**2))
        two = IV2SLS(data.y, exogenous.assign(t=data.t), exogenous.assign(z=data.offered)).fit()
        assert "I(age ** 2) stands in both formulas" in told[2] and f"is {two.params['t']:.1f}" in told[2]


def villages(seed, many=40, size=30):
    """Villages share what moves the treatment and, apart from that, what moves the outcome."""
    draw = np.random.default_rng(seed)
    village = np.repeat(np.arange(many), size)
    (a, b), c = draw.normal(size=(2, many))[:, village], draw.normal(size=many * size)
    of_t, of_y = draw.normal(size=(2, many))[:, village]
    v, u = draw.normal(size=(2, many * size))
    t = 0.3 * (a + b + c) + of_t + v
    return pd.DataFrame({"y": t + 0.3 * (a + b + c) + of_y + u, "t": t, "a": a, "b": b, "c": c, "village_id": village})


def test_what_villages_share_is_no_curve_of_what_they_have_in_common():
    counted, alone = spoken_of(map(villages, range(20)), LINE, lambda design, groups: curves(design, groups=groups))
    assert sum(counted) <= 2 and sum(alone) >= 8
