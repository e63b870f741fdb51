"""Columns that may name who belongs together: found among names, numbers and texts, and no measurement among them."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import binom

from helpers import make_design, make_report, write_report
from which_world.clusters import grown_by_groups, grown_by_spread
from which_world.report.identifiers import belonging, identifiers, nameable
from which_world.report.short import in_short

LINE = {"outcome": "y ~ t + x", "treatment": "t ~ x"}
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
    with pytest.raises(ValueError, match=r"\['C\(sid\)', .*predicts.*outcome formula alone.*gives up") as refused:
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


def rated(seed, named, levels=7):
    """Both equations leave out what a rating tells, along a bend, or what its numbers only name."""
    draw = np.random.default_rng(seed)
    x, v, u = draw.normal(size=(3, 1400))
    rating = draw.integers(1, levels + 1, 1400)
    along = (rating - 3) ** 2 / levels
    shared = draw.permutation(np.linspace(-1, 1, levels))[rating - 1] if named else along
    t = 0.5 * x + 0.5 * shared + v
    return pd.DataFrame({"y": t + x + 0.5 * shared + u, "t": t, "x": x, "rating": rating})


def test_a_rating_is_asked_about_less_than_numbers_that_name():
    """Seven points whose answers bend are a measurement; the same seven shuffled are names."""
    asked = {named: 0 for named in (False, True)}
    for seed in range(12):
        for named in asked:
            data = rated(seed, named)
            asked[named] += len(identifiers(make_design(data, **LINE), data)[0])
    assert asked[False] == 0 and asked[True] >= 7


@pytest.mark.parametrize("again", [np.square, np.cbrt, np.negative, lambda x: 10 * x + 3])
def test_a_used_column_in_other_words_is_looked_through_for_nothing(again):
    data = rated(0, named=False).drop(columns="rating")
    data["x"] = np.round(10 + 2 * data.x)
    data["more"] = np.round(1e6 * again(data.x))
    assert data.more.nunique() == data.x.nunique()
    assert identifiers(make_design(data, **LINE), data)[1] == []
    names = np.random.default_rng(0).permutation(data.more.nunique())
    data["more"] = names[pd.factorize(data.more)[0]]
    assert identifiers(make_design(data, **LINE), data)[1] == ["'more'"]  # a village beside what all of it share
