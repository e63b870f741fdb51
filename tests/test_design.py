"""Formulas in, a checked design out; or one sentence that says what is wrong and what would do."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers import fit, make_design, map_rho, maximum_likelihood, ols, read_map
from which_world import design
from which_world.tables import guards

RNG = np.random.default_rng(3)
FISH = pd.DataFrame(RNG.normal(size=(60, 3)), columns=["y", "x", "z"]).assign(
    t=lambda d: (d.x + RNG.normal(size=60) > 0).astype(int), dose=lambda d: d.x + RNG.normal(size=60)
)
OUTCOME, TREATMENT, CURVED = "y ~ t + x", "t ~ x", "y ~ dose + x + z + I(x**2) + I(z**2)"


def some(column, value, places=slice(0, 2)):
    """The fish with a value written into the first rows of a column."""
    changed = FISH.astype({column: object if isinstance(value, str) else float})
    changed.loc[changed.index[places], column] = value
    return changed


FAULTS = {
    "missing column": (FISH.drop(columns="x"), OUTCOME, TREATMENT, ["outcome='y ~ t + x'", "'x'", "columns are ['y'"]),
    "missing in treatment": (FISH, OUTCOME, "t ~ pH", ["treatment='t ~ pH'", "'pH'", "columns are ['y'"]),
    "NaN": (some("x", np.nan), OUTCOME, TREATMENT, ["'x' has 2 missing", "of 60 rows", "accepted are complete rows"]),
    "infinity": (some("x", np.inf), OUTCOME, TREATMENT, ["'x' has 2 infinite", "accepted are finite numbers"]),
    "infinite outcome": (some("y", -np.inf), OUTCOME, TREATMENT, ["'y' has 2 infinite", "finite numbers"]),
    "infinite after a transformation": (
        FISH.assign(x=FISH.x - FISH.x.min()), "y ~ t + I(1 / x)", TREATMENT, ["1 / x: 1 of 60 values", "x is 0"]),
    "constant treatment": (FISH.assign(t=1), OUTCOME, TREATMENT, ["treatment 't'", "constant at 1", "must vary"]),
    "constant outcome": (FISH.assign(y=2.0), OUTCOME, TREATMENT, ["outcome 'y'", "constant at 2", "must vary"]),
    "constant covariate": (FISH.assign(x=4.0), OUTCOME, TREATMENT, ["covariate 'x'", "constant at 4", "leave it out"]),
    "three-valued treatment": (
        FISH.assign(t=np.arange(60) % 3), OUTCOME, TREATMENT, ["'t'", "[0.0, 1.0, 2.0]", "coded 0 and 1"]),
    "two values, not 0 and 1": (
        FISH.assign(t=FISH.t + 1), OUTCOME, TREATMENT, ["'t'", "[1.0, 2.0]", "coded 0 and 1"]),
    "text treatment": (
        FISH.assign(t=np.where(FISH.t, "yes", "no")), OUTCOME, TREATMENT, ["'t'", "['no', 'yes']", "numbers 0 and 1",
        "write I(t == 'yes') on the left"]),
    "words as outcome": (
        FISH.assign(y=np.where(FISH.t, "yes", "no")), OUTCOME, TREATMENT,
        ["['no', 'yes']", "write I(y == 'yes') on the left"]),
    "a name in backticks": (
        FISH.rename(columns={"x": "x (m)"}), "y ~ t + `x (m)`", "t ~ `x (m)`", ["'x (m)' is no plain", "read_table"]),
    "a name that wants backticks": (
        FISH, "body mass ~ t", "t ~ x", ["outcome='body mass ~ t' cannot be read", "stands in backticks"]),
    "perfect separation": (
        FISH.assign(x=FISH.t + 0.1 * FISH.z), OUTCOME, TREATMENT,
        ["perfect separation: a combination of ['the intercept', 'x']", "'t'", "leave"]),
    "quasi separation": (
        FISH.assign(g=np.where((FISH.t == 1) & (FISH.z > 0), "b", "a")), "y ~ t + g", "t ~ g",
        ["separation", "g[T.b]", "'t'", "merge rare levels"]),
    "collinear columns": (
        FISH.assign(w=FISH.x + 2 * FISH.z), "y ~ t + x + z + w", "t ~ x", ["collinear", "'x'", "'z'", "'w'", "leave"]),
    "collinear with the treatment": (
        FISH.assign(w=2 * FISH.dose), "y ~ dose + w", "dose ~ x", ["collinear", "'w'", "'dose'", "leave"]),
    "an exact outcome": (FISH.assign(y=2 * FISH.dose + FISH.x), "y ~ dose + x", "dose ~ x",
        ["the outcome 'y' is an exact combination of ['x', 'dose']", "accepted are responses that were measured"]),
    "an exact outcome with a moderator": (FISH.assign(y=2 * FISH.t * FISH.x - FISH.x), "y ~ t * x", "t ~ x",
        ["the outcome 'y' is an exact combination of ['x', 't:x'"]),
    "an exact treatment": (FISH.assign(dose=FISH.x - FISH.z), "y ~ dose", "dose ~ x + z",
        ["the treatment 'dose' is an exact combination of ['x', 'z']"]),
    "a huge outcome": (FISH.assign(y=FISH.y * 1e200), OUTCOME, TREATMENT, ["outcome 'y' lies", "e+200", "unit"]),
    "a tiny outcome": (FISH.assign(y=FISH.y * 1e-200), OUTCOME, TREATMENT, ["outcome 'y' lies between", "unit"]),
    "a huge covariate": (FISH.assign(x=FISH.x * 1e200), OUTCOME, TREATMENT, ["covariate 'x' lies between", "unit"]),
    "a tiny covariate": (FISH.assign(x=FISH.x * 1e-200), OUTCOME, TREATMENT, ["covariate 'x' lies between", "unit"]),
    "a huge instrument": (FISH.assign(z=FISH.z * 1e60), OUTCOME, "t ~ x + z", ["'z' lies"]),
    "a huge treatment": (FISH.assign(dose=FISH.dose * 1e16), "y ~ dose", "dose ~ x", ["treatment 'dose' lies", "unit"]),
    "a tiny treatment": (FISH.assign(dose=FISH.dose * 1e-16), "y ~ dose", "dose ~ x", ["'dose' lies", "unit"]),
    "an outcome far from zero": (FISH.assign(y=FISH.y + 3e8), OUTCOME, TREATMENT, [
        "the outcome 'y' varies by", "around 3e+08", "subtract 3e+08"]),
    "a dose far from zero": (FISH.assign(dose=FISH.dose - 1e9), "y ~ dose + x", "dose ~ x + z", [
        "the treatment 'dose' varies by", "subtract -1e+09"]),
    "a covariate far from zero": (FISH.assign(x=FISH.x + 1e13), OUTCOME, TREATMENT, [
        "the covariate 'x' varies by", "subtract 1e+13"]),
    "no rows": (FISH[:0], OUTCOME, TREATMENT, ["data=pandas.DataFrame has 0 rows", "accepted"]),
    "a column named Intercept": (
        FISH.rename(columns={"x": "Intercept"}), "y ~ t + Intercept", "t ~ Intercept", ["'Intercept'", "rename"]),
    "fewer rows than columns": (FISH[:5], CURVED, "dose ~ x", ["outcome equation", "5 rows", "6 columns", "more rows"]),
    "as many rows as columns": (FISH[:6], CURVED, "dose ~ x", ["outcome equation", "6 rows", "6 columns", "more rows"]),
    "no treatment in the outcome": (FISH, "y ~ x", "t ~ x", ["outcome='y ~ x'", "'t'", "'y ~ t + ...'"]),
    "moderator without a term": (
        FISH, "y ~ t + t:x", "t ~ x", ["'y ~ t + t:x'", "'x'", "no term of its own", "'t * x'"]),
    "moderator in the treatment formula alone": (FISH, "y ~ t + z:t", "t ~ z", ["'z'", "forced to zero", "'t * z'"]),
    "interaction and no effect": (
        FISH, "y ~ x + t:x", "t ~ x", ["does not contain the treatment 't'", "'y ~ t + ...'"]),
    "level never treated": (
        FISH.assign(g=np.where((FISH.t == 0) & (FISH.z > 0), "b", "a")), "y ~ t * g", "t ~ x",
        ["t:g[T.b]", "collinear"]),
    "curved treatment": (FISH, "y ~ dose + I(dose**2)", "dose ~ x", ["'dose'", "I(dose ** 2)", "multiplied by"]),
    "treatment causes itself": (FISH, OUTCOME, "t ~ x + t", ["'t'", "['t']", "nowhere in the right-hand side"]),
    "treatment in an interaction of its own formula": (FISH, OUTCOME, "t ~ x:t", ["'t'", "['x:t']", "nowhere"]),
    "half a formula": (FISH, "t + x", "t ~ x", ["outcome='t + x'", "two-sided formula", "'y ~ t + x'"]),
}  # fmt: skip


@pytest.mark.parametrize("data, outcome, treatment, said", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_its_value_and_its_remedy(data, outcome, treatment, said):
    with pytest.raises(ValueError, match=re.escape(said[0])) as caught:
        make_design(data, outcome=outcome, treatment=treatment)
    assert [part for part in said if part not in str(caught.value)] == []


@pytest.mark.parametrize("y, dose", [(1e49, 1.0), (1e-49, 1.0), (1.0, 1e9), (1.0, 1e-9), (1e9, 1e-9)])
def test_a_unit_that_is_accepted_changes_nothing_else(y, dose):
    formulas = {"outcome": "y ~ dose + x", "treatment": "dose ~ x + z"}
    one, other = (
        make_design(FISH.assign(y=FISH.y * a, dose=FISH.dose * b), **formulas) for a, b in ((1, 1), (y, dose))
    )
    for estimate in (lambda d: ols(d).params["alpha"], lambda d: maximum_likelihood(d, rho=0.3).alpha):
        assert estimate(other) * dose / y == pytest.approx(estimate(one), rel=1e-6)


def test_covariates_are_standardised_and_the_effect_keeps_its_units(nhefs, smokers):
    np.testing.assert_allclose(smokers.C.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(smokers.C.std(axis=0), 1)
    np.testing.assert_array_equal(smokers.y, nhefs.wt82_71)
    np.testing.assert_array_equal(smokers.t, nhefs.qsmk)
    assert smokers.scales.loc["age", "mean"] == pytest.approx(nhefs.age.mean())
    assert smokers.kind == "binary" and smokers.n == 1566 and len(smokers.covariates) == 14


def test_of_standardised_columns_leaving_out_the_intercepts_leaves_everything_else_alone(smokers, talk):
    """Centred by hand, they add up to no constant, and zero is where their means are."""
    assert (talk.intercept_O, talk.intercept_T) == (False, False) and talk.notes == ()
    np.testing.assert_allclose(talk.C, smokers.C, rtol=1e-12, atol=1e-14)
    assert (talk.scales["mean"] == 0).all() and talk.t_mean == 0


def test_a_term_of_the_treatment_formula_alone_is_an_instrument():
    design = make_design(FISH, outcome="y ~ dose + x", treatment="dose ~ x + z")
    assert design.kind == "continuous"
    assert design.instruments == ("z",)
    assert "instruments: z" in repr(design)


@pytest.mark.parametrize(
    "formula, moderators",
    [
        ("y ~ t * x", ["x"]),
        ("y ~ x + t + x:t + z", ["x"]),
        ("y ~ 0 + t * x", ["x"]),
        ("y ~ t * (x + g)", ["x", "g[T.b]", "g[T.c]"]),
        ("y ~ t * x * z", ["x", "z", "x:z"]),
        ("y ~ t * C(g):x + C(g) + x", ["C(g)[T.b]:x", "C(g)[T.c]:x"]),
        ("y ~ t + x + z", []),
    ],
)
def test_what_the_treatment_is_multiplied_by_moderates_its_effect(formula, moderators):
    data = FISH.assign(g=np.resize(["a", "b", "c"], 60))
    design = make_design(data, outcome=formula, treatment="t ~ z")
    assert list(design.moderators) == moderators
    assert not any("t" in label.split(":") for label in design.covariates)
    for label, column in zip(design.moderators, design.M.T):
        np.testing.assert_array_equal(column, design.C[:, design.covariates.index(label)])
    assert ("moderators: " + ", ".join(moderators) in repr(design)) == bool(moderators)


def test_a_moderator_is_no_instrument():
    design = make_design(FISH, outcome="y ~ dose * x", treatment="dose ~ x + z")
    assert design.instruments == ("z",)
    assert replace(design, in_outcome=np.zeros(2, dtype=bool)).instruments == ("z",)


@pytest.mark.parametrize("hidden, refused", [(True, True), (False, False)])
def test_separation_is_seen_in_all_rows_and_believed_of_no_part(hidden, refused, monkeypatch):
    """A rare level whose rows are all treated stands where the few rows that are asked first do not look."""
    monkeypatch.setattr(guards, "PLENTY", 50)
    rng, n = np.random.default_rng(0), 400
    data = pd.DataFrame({"x": rng.normal(size=n), "t": rng.integers(0, 2, n), "g": "common"})
    data["y"] = data.x + data.t + rng.normal(size=n)
    data.loc[[1, 2, 3, 9, 10], "g"] = "rare"  # every eighth row is asked
    data.loc[[1, 2, 3, 9, 10], "t"] = 1 if hidden else [0, 1, 0, 1, 1]
    formulas = {"outcome": "y ~ t + x + g", "treatment": "t ~ x + g"}
    if refused:
        with pytest.raises(ValueError, match="separation"):
            make_design(data, **formulas)
    else:
        assert make_design(data, **formulas).n == n
    apart = data.assign(g="common", z=np.where(np.arange(n) % 8 == 0, data.t, rng.normal(size=n)))
    assert make_design(apart, outcome="y ~ t + x + z", treatment="t ~ x + z").n == n  # the part alone would separate


def test_each_column_knows_its_term_and_the_data_it_is_made_of():
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(size=(60, 4)), columns=list("ytxz")).assign(g=list("ab]c[") * 12)
    found = make_design(data, outcome="y ~ t * x + C(g):x + I(x**2)", treatment="t ~ x * C(g) + z")
    by_label = dict(zip(found.covariates, zip(found.terms, found.variables)))
    assert by_label["x"] == ("x", ("x",)) and by_label["I(x ** 2)"] == ("I(x ** 2)", ("x",))
    assert by_label["C(g)[T.b]:x"] == ("C(g):x", ("g", "x")) and by_label["z"] == ("z", ("z",))
    kept = design.with_covariates(found, np.array([label != "x" for label in found.covariates]))
    del by_label["x"]
    assert dict(zip(kept.covariates, zip(kept.terms, kept.variables))) == by_label


def sea(outcome, treatment, n=800):
    """An effect of 2 for each unit of the treatment, on the outcome or on its index."""
    x, z, v, e = np.random.default_rng(8).normal(size=(4, n))
    t = 0.5 * x + z + v
    t = (t > 0).astype(float) if treatment == "binary" else t
    y = 2 * t + x + 0.3 * v + e
    return pd.DataFrame({"y": (y > 0.5) * 1.0 if outcome == "binary" else y, "t": t, "x": x, "z": z})


@pytest.mark.parametrize("outcome", ["continuous", "binary"])
@pytest.mark.parametrize("treatment", ["continuous", "binary"])
def test_numbers_as_far_from_zero_as_is_accepted_give_the_same_effect(outcome, treatment):
    near, far = sea(outcome, treatment), sea(outcome, treatment)
    for name, kind in {"y": outcome, "t": treatment, "x": "continuous"}.items():
        far[name] += 9e6 * far[name].std() * (kind == "continuous")
    designs = [make_design(data, outcome="y ~ t + x", treatment="t ~ x + z") for data in (near, far)]
    settings = {"rho": np.tanh([-0.6, -0.3, 0, 0.3, 0.6]), "draws": 128}
    for effects in zip(
        *([ols(each).params["alpha"], maximum_likelihood(each).alpha, maximum_likelihood(each, rho=0.2).effect,
           *read_map(map_rho(each, **settings))["mean"], float(fit(each, draws=250)["posterior"]["alpha"].mean())]
          for each in designs)
    ):  # fmt: skip
        assert effects[1] == pytest.approx(effects[0], rel=2e-4)
    assert maximum_likelihood(designs[1]).alpha == pytest.approx(2, abs=0.5)


SHOPS = pd.DataFrame(RNG.normal(size=(27_000, 3)), columns=["y", "t", "x"]).assign(
    shop=lambda d: "s" + (d.index % 1600).astype(str), code=lambda d: d.index % 1600, week=lambda d: d.index % 40,
    month=lambda d: d.index % 9, yes=lambda d: (d.y > 0).astype(int), bought=lambda d: (d.t > 0) * 1,
)  # fmt: skip
MANY_LEVELS = {
    "slopes": ("y ~ t + x:shop", "t ~ x", "'shop' has 1,600 levels", "seconds.*transform"),
    "products": ("y ~ t + C(week):C(code)", "t ~ x", "'code' has 1,600 levels", "hours.*leave the level out"),
    "a yes or a no": ("yes ~ t + C(week) * x", "t ~ C(week) * C(month)", "'week' has 40 levels", "straight line"),
}
TOO_MANY_LEVELS = {
    "a yes or a no": ("yes ~ t + C(shop)", "t ~ C(shop)"),
    "yes or no to the treatment": ("y ~ bought + shop", "bought ~ x"),
}


@pytest.mark.parametrize("outcome, treatment, who, what", MANY_LEVELS.values(), ids=MANY_LEVELS)
@pytest.mark.filterwarnings("error::UserWarning")
def test_very_many_levels_are_told_before_any_work(outcome, treatment, who, what):
    with pytest.raises(UserWarning, match=f"{who} in 27,000 rows; .* takes some .*{what}"):
        make_design(SHOPS, outcome=outcome, treatment=treatment)


@pytest.mark.parametrize("outcome, treatment", TOO_MANY_LEVELS.values(), ids=TOO_MANY_LEVELS)
def test_thousands_of_levels_beside_a_yes_or_a_no_are_refused_before_any_work(outcome, treatment):
    said = r"'shop' has 1,600 levels in 27,000 rows; .* minutes, and a map hours; accepted are fewer levels .*straight"
    with pytest.raises(ValueError, match=said):
        make_design(SHOPS, outcome=outcome, treatment=treatment)


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("outcome, binary", [("y", False), ("yes", True)])
def test_a_map_that_takes_long_is_told_before_any_work(outcome, binary):
    plain = make_design(SHOPS[:2000], outcome=f"{outcome} ~ t + x", treatment="t ~ x")
    many = {"C": np.broadcast_to(0.0, (27_000, 1_600)), "in_outcome": np.ones(1600, bool)}
    rows = {name: np.resize(getattr(plain, name), 27_000) for name in "yt"}
    wide = replace(plain, in_treatment=np.ones(1600, bool), **many, **rows)
    said = "hours.*straight line" if binary else "seconds.*subtract"
    with pytest.raises(UserWarning, match=f"a map of 49 columns, with 1,600 covariates in 27,000 rows, .*{said}"):
        map_rho(wide)


def test_without_its_means_a_level_can_be_left_out():
    """What the warning says: the same coefficients, and an interval narrower by √(1 - levels/rows)."""
    data = sea("continuous", "continuous", 900).assign(shop=lambda d: d.index % 90)
    data["y"] += data["shop"] % 7
    numbers = data.drop(columns="shop")
    swept = numbers - numbers.groupby(data["shop"]).transform("mean")
    whole = ols(make_design(data, outcome="y ~ t + x + C(shop)", treatment="t ~ x + C(shop)"))
    few = ols(make_design(swept, outcome="y ~ t + x", treatment="t ~ x"))
    assert few.params["alpha"] == pytest.approx(whole.params["alpha"], rel=1e-9)
    assert few.bse["alpha"] / whole.bse["alpha"] == pytest.approx(np.sqrt(1 - 90 / 900), rel=0.001)


@pytest.mark.parametrize("kind", ["binary", "continuous"])
@pytest.mark.parametrize("ask", [map_rho, ols, maximum_likelihood, fit])
def test_a_design_made_constant_is_refused_by_whatever_asks(kind, ask):
    x, v, u = np.random.default_rng(0).normal(size=(3, 50))
    t = (x + v > 0) * 1.0 if kind == "binary" else x + v
    whole = make_design(pd.DataFrame({"x": x, "t": t, "y": u}), outcome="y ~ t + x", treatment="t ~ x")
    with pytest.raises(ValueError, match="the treatment 't' is constant at 1; it must vary to have an effect"):
        ask(replace(whole, t=np.ones(50)))
    with pytest.raises(ValueError, match="the outcome 'y' is constant at 1"):
        ask(replace(whole, y=np.ones(50)))
