"""Intervals that are too narrow, whatever the reason: groups of the formulas, uneven spread, rows that repeat."""

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import binom
from scipy.stats import t as student

from helpers import make_design, make_report, write_report
from which_world.clusters import grown_by_groups, grown_by_spread
from which_world.report.examine import data_checks, doubts
from which_world.report.identifiers import belonging, identifiers, nameable
from which_world.report.instruments import anderson_rubin, grown_by_instruments, sums
from which_world.report.long import turns
from which_world.report.sentences import tipping, wide_tip
from which_world.report.short import in_short

BOTH = " + C(state) + C(year) + x"


def panel(seed, states=40, years=25, lasting=0.9):
    """Outcome and treatment wander from year to year: there is no effect, and rows of a state go along."""
    rng = np.random.default_rng(seed)

    def wander():
        e = rng.normal(size=(states, years))
        for year in range(1, years):
            e[:, year] = lasting * e[:, year - 1] + np.sqrt(1 - lasting**2) * e[:, year]
        return e.ravel()

    state = np.repeat(np.arange(states), years)
    return pd.DataFrame({"y": wander() + state % 5, "t": wander(), "x": rng.normal(size=states * years),
                         "state": [f"s{k:02d}" for k in state], "year": np.tile(np.arange(years), states)})  # fmt: skip


def clustered(line, data, group):
    """statsmodels' clustered error of t over its usual one, with and without its correction for parameters."""
    fit = smf.ols(line, data).fit()
    groups = {"groups": pd.factorize(data[group])[0]}
    parts = [fit.get_robustcov_results("cluster", use_correction=use, **groups).bse for use in (True, False)]
    place = list(fit.params.index).index("t")
    return [part[place] / fit.bse["t"] for part in parts]


def test_errors_grow_as_statsmodels_has_them():
    data = panel(0)
    data["y"] += data.x * data.t
    design = make_design(data, outcome="y ~ t * x" + BOTH, treatment="t ~ x" + BOTH)
    fit = smf.ols("y ~ t + I(t - t.mean()):I(x - x.mean())" + BOTH, data).fit()
    with_k, raw = clustered("y ~ t + I(t - t.mean()):I(x - x.mean())" + BOTH, data, "state")
    codes, n, groups = pd.factorize(data.state)[0], len(data), data.state.nunique()
    assert grown_by_groups(design, codes).factor == pytest.approx(with_k, rel=1e-8)
    nested = raw * np.sqrt(groups / (groups - 1) * (n - 1) / (fit.df_resid + groups - 1))
    assert grown_by_groups(design, codes, absorbed=groups - 1).factor == pytest.approx(nested, rel=1e-8)
    assert grown_by_spread(design).factor == pytest.approx(fit.HC3_se["t"] / fit.bse["t"], rel=1e-8)


def test_constants_for_states_hide_no_states_that_wander():
    """True effect 0: the usual interval misses it often; where the clustered one holds it, nobody acts on a sign."""
    misled = 0
    for seed in range(5):
        data = panel(seed)
        report = make_report(make_design(data, outcome="y ~ t" + BOTH, treatment="t ~ x" + BOTH), data=data)
        row, (effect, _, advice) = report.identifiers.loc["'state'"], in_short(report)
        grown = clustered("y ~ t" + BOTH, data, "state")[0]
        assert row["factor"] == pytest.approx(grown, rel=0.03) and grown > 1.6
        assert "Since rows of one 'state' move together even with a constant for each, the interval is" in effect
        assert sum("'state'" in line for line in report.clustered) == 1
        assert not any("no column marks" in line for line in report.checks)
        usual = smf.ols("y ~ t" + BOTH, data).fit()
        if abs(usual.tvalues["t"]) < 1.9 * grown:
            assert "act on the sign;" not in advice
            misled += abs(usual.tvalues["t"]) > 2
    assert misled


def test_the_page_of_a_panel_says_why_and_shows_no_empty_column(tmp_path):
    data = panel(1, states=25, years=12)
    report = make_report(make_design(data, outcome="y ~ t" + BOTH, treatment="t ~ x" + BOTH))
    text = (write_report(report, tmp_path / "out") / "report.md").read_text(encoding="utf-8")
    assert "C(state) takes out what all rows of one 'state' share" in text and "outside the formulas" not in text
    assert "alike in Y" not in text and text.count("bootstrap_map(design, data['state'])") == 1


@pytest.mark.parametrize("states, years", [(40, 6), (25, 12)])
def test_rows_on_their_own_are_spoken_of_as_seldom_as_chance_allows(states, years):
    """With constants for states the usual error is right: 5 of 100 may be spoken of, and an uneven spread is none's."""
    told = {"even": 0, "uneven": 0}
    for seed in range(40):
        data = panel(seed, states, years, lasting=0.0)
        for name, y in (("even", data.y), ("uneven", data.y * np.abs(data.t))):
            design = make_design(data.assign(y=y), outcome="y ~ t" + BOTH, treatment="t ~ x" + BOTH)
            told[name] += "'state'" in identifiers(design, data)[0].index
    assert max(binom.sf(count - 1, 40, 0.05) > 1e-3 for count in told.values())
    assert all(binom.sf(count - 1, 40, 0.05) > 1e-3 for count in told.values())


def test_what_encloses_the_groups_of_the_formulas_is_found_and_their_double_is_not():
    rng, villages, persons, visits = np.random.default_rng(0), 40, 4, 8
    village, visit = (part.ravel() for part in np.indices((villages, persons, visits))[[0, 2]])
    person = np.repeat(np.arange(villages * persons), visits)
    year = rng.normal(size=(2, villages, visits))[:, village, visit]  # what a village has in one year
    t, y = year + 0.3 * rng.normal(size=(2, len(person)))
    data = pd.DataFrame({"y": y, "t": t, "person": person, "village": [f"v{k}" for k in village],
                         "name": [f"p{k}" for k in person]})  # fmt: skip
    design = make_design(data, outcome="y ~ t + C(person)", treatment="t ~ C(person)")
    table, looked = identifiers(design, data)
    assert looked == ["'person'", "'village'"] and list(table.index) == ["'village'"]
    assert table.loc["'village'", "factor"] == pytest.approx(
        clustered("y ~ t + C(person)", data, "village")[0], rel=1e-6
    )
    (asked,) = belonging(table, design)
    assert asked.startswith("Does 'village' name who belongs together? What both equations leave moves together")


@pytest.mark.parametrize("states", [10, 15])
def test_ten_states_that_wander_are_found_and_ten_that_do_not_are_not(states):
    """Their clustered error is still too small, and far nearer the truth than the usual one."""
    line, found = " + C(state) + x", {}
    for lasting in (0.0, 0.9):
        panels = [panel(seed, states, 30, lasting) for seed in range(20)]
        designs = [make_design(data, outcome="y ~ t" + line, treatment="t ~" + line[2:]) for data in panels]
        tables = [identifiers(*pair)[0] for pair in zip(designs, panels)]
        found[lasting] = [table.loc["'state'", "factor"] if len(table) else 1.0 for table in tables]
    assert sum(factor > 1 for factor in found[0.0]) <= 2 and sum(factor > 1.5 for factor in found[0.9]) >= 14
    with_k, raw = clustered("y ~ t" + line, panels[0], "state")
    assert raw < found[0.9][0] < with_k * 1.01


def test_few_groups_of_the_formulas_are_not_judged():
    """Nine regions: their clustered error is itself too small (Cameron & Miller 2015)."""
    data = panel(3, states=9, years=40)
    design = make_design(data, outcome="y ~ t + C(state) + x", treatment="t ~ C(state) + x")
    table, looked = identifiers(design, data)
    assert table.empty and looked == ["'year'"]


# ---- what is no name


def counties(n=4000, seed=0):
    """Deaths by people: a rate, the count that makes it, and a treatment that both follow the size of the place."""
    rng = np.random.default_rng(seed)
    people = rng.lognormal(10, 1.5, n)
    deaths = rng.poisson(1e-4 * people * rng.gamma(2, 0.5, n))
    rate = np.round(1e4 * rng.poisson(0.5, n) / people, 3)
    text = np.where(rng.uniform(size=n) < 0.02, ".", np.round(1e4 * deaths / people, 2).astype(str))
    data = {"y": 1e4 * deaths / people, "t": rng.poisson(0.002 * np.sqrt(people) * rng.gamma(1, 1, n)), "rate": text,
            "x": rng.normal(size=n), "deaths": deaths, "told": np.where(deaths > 40, ".", deaths.astype(str)),
            "lag": rate.astype(str)}  # fmt: skip
    return pd.DataFrame(data)


def test_a_measured_number_is_no_name_of_groups_even_as_text():
    data = counties()
    design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    table, looked = identifiers(design, data)
    assert table.empty and set(looked) <= {"'deaths'", "'told'"}


NAMES = {
    "codes of places, which begin with a zero": (lambda k: f"{k:03d}", True),
    "codes of regions and their parts": (lambda k: f"{k:02d}.5", True),
    "whole numbers as text": (lambda k: str(1000 + 7 * k), True),
    "names": (lambda k: f"place {k}", True),
    "decimals as text": (lambda k: f"{k / 7:.3f}", False),
    "decimals": (lambda k: k / 7, False),
    "days": (lambda k: pd.Timestamp("2020-01-01") + pd.Timedelta(days=k), True),
}


@pytest.mark.parametrize("kind", NAMES)
def test_what_may_name_a_group(kind):
    made, names = NAMES[kind]
    values = pd.DataFrame({"place": [made(k) for k in np.tile(np.arange(30), 4)]})
    assert list(nameable(values)) == ["place"] * names


def test_a_number_that_a_curve_says_nearly_whole_is_no_name():
    """In so many rows the little that eight terms leave of it is certain, and is little."""
    rng = np.random.default_rng(0)
    dose = rng.integers(1, 200, 20_000)
    curved = np.log(dose) + 0.3 * np.sin(dose)
    t, y = curved + rng.normal(size=(2, len(dose)))
    data = pd.DataFrame({"y": y, "t": t, "dose": dose, "other": rng.permutation(200)[dose]})
    table, looked = identifiers(make_design(data, outcome="y ~ t", treatment="t ~ 1"), data)
    assert list(table.index) == ["'other'"] and "'dose'" in looked  # the same groups, in no order of size


ANSWERS = {
    "a yes, by what was seen": lambda y: (y > 0).astype(int),
    "a score of six": lambda y: np.digitize(y, [-2.0, -1.0, 0.0, 1.0, 2.0]),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_outcome_in_other_words_is_no_group_that_belongs_together(kind):
    """A trial with an effect: what the patient looked like afterwards, in words, takes it away and is no cause."""
    rng = np.random.default_rng(0)
    t, (x, u) = rng.integers(0, 2, 300), rng.normal(size=(2, 300))
    seen = np.digitize(1.5 * t - 0.7 + 0.3 * x + u, [-2.0, -1.0, 0.0, 1.0, 2.0])
    words = np.array(["far worse", "worse", "a bit worse", "a bit better", "better", "far better"])[seen]
    data = pd.DataFrame({"y": ANSWERS[kind](seen - 2.5), "t": t, "x": x, "seen": words})
    table, looked = identifiers(make_design(data, outcome="y ~ t + x", treatment="t ~ x"), data)
    assert table.empty and looked == []


def test_regions_with_one_outcome_each_are_clusters_without_an_effect_within():
    rng = np.random.default_rng(1)
    region = np.repeat(np.arange(15), 30)
    own = rng.normal(size=(2, 15))[:, region]
    data = pd.DataFrame({"y": own[0], "t": own[1] + rng.normal(size=450), "region": [f"r{k}" for k in region]})
    design = make_design(data, outcome="y ~ t", treatment="t ~ 1")
    table, _ = identifiers(design, data)
    assert table.loc["'region'", "factor"] > 2 and np.isnan(table.loc["'region'", "within"])
    assert belonging(table, design)[0].endswith("nothing is left to compare, so what they share stays in it.")


def test_villages_written_as_numbers_in_a_text_are_found_all_the_same():
    rng = np.random.default_rng(2)
    village = np.repeat(rng.permutation(np.arange(100, 160)), 10)
    t, y = rng.normal(size=(2, 160))[:, village] + rng.normal(size=(2, 600))
    data = pd.DataFrame({"y": y, "t": t, "place": village.astype(str)})
    table, _ = identifiers(make_design(data, outcome="y ~ t", treatment="t ~ 1"), data)
    assert table.loc["'place'", "factor"] == pytest.approx(clustered("y ~ t", data, "place")[0], rel=1e-6)


# ---- uneven spread, and rows that repeat


def spread(seed, uneven=True, n=2000):
    rng = np.random.default_rng(seed)
    x, x2, x3, v, e = rng.normal(size=(5, n))
    t = v + 0.05 * x
    y = 0.1 * (x + x2 + x3) + e * (np.abs(t) if uneven else 1)
    return pd.DataFrame({"y": y, "t": t, "x": x, "x2": x2, "x3": x3, "b": (v > 1).astype(int)})


EVEN = {"outcome": "y ~ t + x + x2 + x3", "treatment": "t ~ x + x2 + x3"}


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


# ---- the current that turns the sign, with the interval as wide as it should be


def turned(delta, se, left_T, left_O):
    """The ρ at which an end of δ ∓ 1.96 se reaches zero: α(ρ) = δ - ρ/√(1-ρ²) σ_e/σ_V with equal covariates."""
    k = (abs(delta) - 1.96 * se) * left_T / left_O
    return np.sign(delta) * k / np.sqrt(1 + k**2)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_current_that_turns_the_sign_is_that_of_the_error_that_is_right(sign):
    data = spread(7)
    data["y"] += sign * 0.3 * data.t
    usual = smf.ols(EVEN["outcome"], data).fit()
    lefts = np.sqrt(smf.ols(EVEN["treatment"], data).fit().mse_resid), np.sqrt(usual.mse_resid)
    plain, wide = (turned(usual.params["t"], bse["t"], *lefts) for bse in (usual.bse, usual.HC3_se))
    report = make_report(make_design(data, **EVEN))
    assert abs(plain) - abs(wide) > 0.02 and wide_tip(report) == pytest.approx(wide, abs=0.01)
    _, why, _ = in_short(report)
    read = re.search(r"correlation of (0\.\d\d) between what is unmeasured \((0\.\d\d) by the interval as it is\)", why)
    assert [float(part) for part in read.groups()] == pytest.approx([abs(wide), abs(plain)], abs=0.011)
    assert f"With that interval as wide as it should be, ρ = {wide_tip(report):z.2f} is enough." in tipping(report)


def test_groups_bring_the_current_that_turns_the_sign_nearer():
    """Lakes with a growth and a food of their own: by rows the sign seems far out of reach, by lakes it is near."""
    rng = np.random.default_rng(6)
    lake = np.repeat(np.arange(60), 12)
    a, b, c, v, u = rng.normal(size=(5, 720))
    t = rng.normal(size=60)[lake] + 0.2 * v + 0.1 * (a + b + c)
    own = rng.normal(size=60)
    own -= np.polyval(np.polyfit(pd.Series(t).groupby(lake).mean(), own, 1), pd.Series(t).groupby(lake).mean())
    y = 0.45 * t + own[lake] + 0.12 * (a + b + c) + u
    data = pd.DataFrame({"y": y, "t": t, "a": a, "b": b, "c": c, "lake": [f"lake {k}" for k in lake]})
    line = "y ~ t + a + b + c"
    report = make_report(make_design(data, outcome=line, treatment="t ~ a + b + c"), data=data)
    usual = smf.ols(line, data).fit()
    by_lake = usual.get_robustcov_results("cluster", groups=lake).bse[1]
    lefts = np.sqrt(smf.ols("t ~ a + b + c", data).fit().mse_resid), np.sqrt(usual.mse_resid)
    assert by_lake > 2 * usual.bse["t"] and usual.params["t"] > 1.96 * by_lake
    assert wide_tip(report) == pytest.approx(turned(usual.params["t"], by_lake, *lefts), abs=5e-3)
    said = [*turns(report, frozenset()), *report.overturns]
    assert sum("as wide as it should be" in line for line in said) == 2


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


# ---- advice that can be followed, and money


def policy(seed=0, states=40, years=12):
    """A law that half the states never pass."""
    rng = np.random.default_rng(seed)
    state, year = np.repeat(np.arange(states), years), np.tile(np.arange(years), states)
    high = rng.normal(size=states)
    law = (year >= np.where(high + rng.normal(size=states) > 0, rng.integers(3, 9, states), 99)[state]).astype(int)
    x, u = rng.normal(size=(2, len(state)))
    data = {"y": high[state] + 0.2 * law + 0.3 * u, "law": law, "x": x, "year": year, "sid": [f"s{k}" for k in state]}
    return pd.DataFrame(data)


def test_constants_for_states_that_never_change_belong_in_the_outcome_alone():
    data = policy()
    line = {"outcome": "y ~ law + x + year", "treatment": "law ~ x + year"}
    design = make_design(data, **line)
    table, _ = identifiers(design, data)
    (asked,) = belonging(table, design)
    never = sum(len(set(laws)) == 1 for _, laws in data.groupby("sid").law)
    assert "C(sid) belongs in the outcome formula alone: in the treatment's it would settle law" in asked
    assert asked.endswith(f"which never changes in {never} of the 40 groups.")
    followed = make_design(data, outcome=line["outcome"] + " + C(sid)", treatment=line["treatment"])
    report = make_report(followed)
    assert report.worlds.loc["OLS", "alpha"] == pytest.approx(table.loc["'sid'", "within"], abs=1e-8)
    with pytest.raises(ValueError, match=r"and \d+ others predicts.*in the outcome formula alone.*gives up") as refused:
        make_design(data, outcome=line["outcome"] + " + C(sid)", treatment=line["treatment"] + " + C(sid)")
    assert len(str(refused.value)) < 600


def test_constants_belong_in_both_formulas_where_every_group_has_both_treatments():
    rng = np.random.default_rng(0)
    group, high = np.repeat(np.arange(30), 40), rng.normal(size=30)
    law = (0.7 * high[group] + rng.normal(size=1200) > 0).astype(int)
    data = pd.DataFrame({"y": high[group] + rng.normal(size=1200), "law": law, "sid": [f"s{k}" for k in group]})
    data = data[data.groupby("sid").law.transform("nunique") == 2].reset_index(drop=True)
    design = make_design(data, outcome="y ~ law", treatment="law ~ 1")
    assert belonging(identifiers(design, data)[0], design)[0].endswith("C(sid) belongs in both formulas.")
    assert make_design(data, outcome="y ~ law + C(sid)", treatment="law ~ C(sid)").n == len(data)


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
