"""Two formulas and a frame become a checked design; or one sentence says what is wrong and what would do."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ponds import FISH

from helpers import make_design, map_rho

RNG = np.random.default_rng(3)
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
    "separation by many levels": (
        FISH.assign(g=[f"g{k // 4:02d}" for k in range(60)], t=[k % 2 if k < 32 else k // 4 % 2 for k in range(60)]),
        "y ~ t + z + C(g)", "t ~ z + C(g)", ["a combination of ['C(g)'", "a category in the outcome formula alone"]),
    "a product in a column of its own": (
        FISH.assign(a=np.arange(60) % 2, b=np.arange(60) // 30, t=np.arange(60) % 2 * (np.arange(60) // 30)),
        "y ~ t + a + b + z", "t ~ a + b + z",
        ["t is the product of a and b", "outcome='y ~ a * b + ...' and treatment='a ~ b + ...'"]),
    "text in three arms": (
        FISH.assign(t=np.resize(["A", "B", "C"], 60)), OUTCOME, TREATMENT,
        ["write I(t == 'A')", "two of them alone, keep their rows: data[data['t'].isin(['A', 'B'])]"]),
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
