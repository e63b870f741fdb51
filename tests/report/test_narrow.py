"""Intervals that are too narrow, by uneven spread, rows that repeat, or errors of instruments."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from ponds import EVEN, spread
from scipy.stats import t as student

from helpers import make_design, make_report
from which_world.report.examine import data_checks, doubts
from which_world.report.instruments import anderson_rubin, grown_by_instruments, sums
from which_world.report.short import in_short

# ---- uneven spread, and rows that repeat


def test_nobody_acts_on_a_sign_that_an_even_spread_makes():
    """True effect 0: the usual interval misses it in every third of such data."""
    missed = 0
    for seed in range(12):
        data = spread(seed)
        usual = smf.ols(EVEN["outcome"], data).fit()
        (narrow,) = doubts(make_design(data, **EVEN))
        assert narrow.factor == pytest.approx(usual.HC3_se["t"] / usual.bse["t"], rel=1e-8)
        if usual.pvalues["t"] > 0.05 or missed == 3:
            continue
        missed += 1
        report = make_report(make_design(data, **EVEN))
        effect, _, advice = in_short(report)
        assert "Since y is spread unevenly, the interval is too narrow, by a factor of 1." in effect
        if abs(usual.params["t"]) < 1.96 * usual.HC3_se["t"]:
            assert advice.startswith("Do not act on the sign before that is settled: ols(design).HC3_se")
        assert sum("(HC3) is 1." in line for line in report.checks) == 1
    assert missed == 3


def test_an_even_spread_a_narrower_one_and_a_yes_or_no_are_not_spoken_of():
    for seed in range(10):
        data = spread(seed, uneven=False, n=150)
        answer = data.assign(y=(data.y > 1.5).astype(int))
        narrower = data.assign(y=data.y / (1 + np.abs(data.t)))
        for rows in (data, answer, narrower):
            assert doubts(make_design(rows, **EVEN)) == []


def test_the_rarer_of_two_treatments_may_have_the_wider_spread():
    data = spread(4, uneven=False)
    line = {"outcome": "y ~ b + x", "treatment": "b ~ x"}
    wide = data.assign(y=data.y * (1 + 2 * data.b))
    usual = smf.ols(line["outcome"], wide).fit()
    (narrow,) = doubts(make_design(wide, **line))
    assert narrow.factor == pytest.approx(usual.HC3_se["b"] / usual.bse["b"], rel=1e-8)
    assert "in the rarer of b = 0 and 1" in " ".join(data_checks(make_design(wide, **line)))
    assert doubts(make_design(data.assign(y=data.y * (3 - 2 * data.b)), **line)) == []  # the commoner: too wide


def rows(n=400, seed=5):
    rng = np.random.default_rng(seed)
    x, v, u = rng.normal(size=(3, n))
    t = x + v
    data = pd.DataFrame({"x": x, "t": t, "y": 0.02 * t + x + u, "g": rng.integers(0, 3, n), "b": (t > 0).astype(int)})
    return data.assign(score=(50 + 10 * data.y).round(), dose=(3 * t).round())


REPEATED = {
    "numbers": ("y ~ t + x", "t ~ x"),
    "a yes or no, and few groups": ("y ~ b + C(g)", "b ~ C(g)"),
    "a score": ("score ~ t + x", "t ~ x"),
    "a score and whole doses": ("score ~ dose + x", "dose ~ x"),
}


@pytest.mark.parametrize("kind", REPEATED)
@pytest.mark.parametrize("more", [0, 20, 1200])
def test_rows_that_repeat_are_counted_and_asked_about(kind, more):
    outcome, treatment = REPEATED[kind]
    data = rows()
    data = pd.concat([data, *[data] * (more // 400), data[: more % 400]], ignore_index=True)
    design = make_design(data, outcome=outcome, treatment=treatment)
    asked = [line for line in data_checks(design) if "repeat another in every column used" in line]
    assert len(asked) == bool(more)
    if more:
        assert asked[0].startswith(f"{more:,} of these rows") and "did a join" in asked[0]
    factors = [narrow.factor for narrow in doubts(design)]
    assert factors == ([pytest.approx(2, rel=0.1)] if more == 1200 else [])  # four copies: half the error


def test_answers_that_are_alike_by_chance_are_not_asked_about():
    """Few values in every column, or men without income who share an age: no join made these."""
    rng, n = np.random.default_rng(1), 3000
    income = np.where(rng.uniform(size=n) < 0.4, 0, rng.lognormal(9, 1, n))
    data = rows(n).assign(income=income, age=rng.integers(20, 50, n), before=income * (rng.uniform(size=n) < 0.8))
    for outcome, treatment in (("score ~ b + C(g)", "b ~ C(g)"), ("score ~ dose + C(g)", "dose ~ C(g)"),
                               ("income ~ b + age + before", "b ~ age + before")):  # fmt: skip
        design = make_design(data, outcome=outcome, treatment=treatment)
        assert not any("repeat" in line for line in data_checks(design))


def test_a_precise_nothing_made_of_copies_is_open():
    once = rows(n=100)
    once["y"] += (0.003 - smf.ols("y ~ t + x", once).fit().params["t"]) * once.t
    data = pd.concat([once] * 30, ignore_index=True)
    formulas = dict(zip(("outcome", "treatment"), REPEATED["numbers"]))
    alone, copied = (in_short(make_report(make_design(part, **formulas))) for part in (once, data))
    assert "If rows that repeat are one row each, the interval is too narrow, by a factor of " in copied[0]
    assert "open even then" in alone[1] and copied[1:] == alone[1:]


# ---- intervals that instruments make


def watered(seed, lakes=40, uneven=False):
    """No effect, a current, and a strong instrument; growth is spread wider where that moves food far, or by lakes."""
    rng = np.random.default_rng(seed)
    lake = np.arange(320) % lakes
    x, z, v, e = rng.normal(size=(4, 320))
    u = (0.6 * v + 0.8 * e) * (np.abs(z) if uneven else 1)
    if not uneven:
        z, own = rng.normal(size=(2, lakes))[:, lake]
        u = u + own
    return pd.DataFrame({"y": x + u, "t": x + 0.8 * z + v, "x": x, "z": z, "lake": [f"lake {k}" for k in lake]})


WATERED = {"outcome": "y ~ t + x", "treatment": "t ~ x + z"}


def two_stage_errors(data, groups):
    """The usual error of two-stage least squares and the sandwich, in whole matrices."""
    A = np.column_stack([np.ones(len(data)), data.x, data.t])
    Z = np.column_stack([np.ones(len(data)), data.x, data.z])
    fitted = Z @ np.linalg.solve(Z.T @ Z, Z.T @ A)
    bread = np.linalg.inv(fitted.T @ fitted)
    theta = bread @ fitted.T @ data.y.to_numpy()
    u = data.y.to_numpy() - A @ theta
    usual = np.sqrt(u @ u / (len(u) - 3) * bread[2, 2])
    sums_of = pd.DataFrame(fitted * u[:, None]).groupby(groups).sum().to_numpy()
    robust = np.sqrt((bread @ sums_of.T @ sums_of @ bread)[2, 2])
    return theta[2], usual, robust


@pytest.mark.parametrize("uneven", [True, False])
def test_errors_of_two_stages_grow_as_their_sandwich_has_it(uneven):
    data = watered(0, uneven=uneven)
    codes = np.arange(320) if uneven else pd.factorize(data.lake)[0]
    _, usual, robust = two_stage_errors(data, codes)
    spare = 320 / 317 if uneven else 40 / 39 * 319 / 317
    found = grown_by_instruments(make_design(data, **WATERED), None if uneven else codes)
    assert found.factor == pytest.approx(robust / usual * np.sqrt(spare), rel=1e-8)
    assert found.factor > 1.4 and found.p < 0.01


@pytest.mark.parametrize("uneven", [True, False])
def test_nobody_acts_on_a_sign_that_even_or_single_rows_make_of_an_instrument(uneven):
    """True effect 0: the usual interval of two-stage least squares misses it in a quarter of such data."""
    missed = 0
    for seed in range(20):
        data = watered(seed, uneven=uneven)
        effect, usual, robust = two_stage_errors(data, np.arange(320) if uneven else data.lake)
        if missed == 3 or not 1.96 * usual < abs(effect) < 1.9 * robust:
            continue
        missed += 1
        said, _, advice = in_short(make_report(make_design(data, **WATERED), data=data))
        why = "Since y is spread unevenly" if uneven else "If 'lake' names who belongs together"
        assert f"{why}, the interval is too narrow" in said and advice.startswith("Do not act on the sign")
    assert missed == 3


def test_an_anderson_rubin_set_is_as_wide_as_its_errors_are():
    """One instrument, errors f times as large: a set is every effect that Fieller's ratio does not reject at f."""
    data, factor = watered(3), 1.7
    low, high = anderson_rubin(sums(make_design(data, **WATERED)), factor=factor)
    for end in (low, high):
        line = smf.ols("left ~ x + z", data.assign(left=data.y - end * data.t)).fit()
        assert abs(line.tvalues["z"]) == pytest.approx(factor * student.ppf(0.975, 317), rel=1e-6)


# ---- money


MONEY = {
    "a price in whole dollars": lambda rng: rng.lognormal(9.8, 0.6, 500).round(),
    "from 5,000 in fifties": lambda rng: 5000 + 50 * rng.gamma(2, 180, 500).round(),
    "many prices in whole dollars": lambda rng: 326 + rng.gamma(1, 3600, 20_000).round(),
    "pay in thousands": lambda rng: 100 + rng.gamma(1, 700, 177).round(),
    "pay, of some none": lambda rng: rng.lognormal(10, 1, 500).round() * (rng.uniform(size=500) > 0.2),
    "years of age": lambda rng: rng.integers(18, 90, 500),
}
COUNTS = {
    "visits": lambda rng: rng.poisson(rng.gamma(1, 3, 500)),
    "cigarettes": lambda rng: np.where(rng.uniform(size=500) < 0.6, 0, rng.integers(1, 41, 500)),
    "children of families": lambda rng: 1 + rng.poisson(rng.gamma(2, 2, 500)),
    "deaths": lambda rng: rng.poisson(rng.lognormal(2.5, 1, 500)),
    "from two": lambda rng: 2 + rng.poisson(rng.gamma(1, 8, 120)),
}


@pytest.mark.parametrize("kind", [*MONEY, *COUNTS])
def test_money_is_no_count(kind):
    rng = np.random.default_rng(0)
    y = {**MONEY, **COUNTS}[kind](rng).astype(float)
    data = pd.DataFrame({"y": y, "t": rng.normal(size=len(y)), "x": rng.normal(size=len(y))})
    checks = " ".join(data_checks(make_design(data, outcome="y ~ t + x", treatment="t ~ x")))
    assert ("looks like a count" in checks) == (kind in COUNTS)
