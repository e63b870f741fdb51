"""What a report tells people to do, on tanks whose truth is known: would the file itself overturn the advice?"""

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.sandbox.regression.gmm import IV2SLS

from helpers import explore_map, influence, make_design, make_report, write_report
from which_world.report.examine import data_checks
from which_world.report.identifiers import identifiers
from which_world.report.instruments import anderson_rubin, holds_zero, instrument_table, region, sums, two_stages
from which_world.report.sentences import FEW, decisive, overturns, yardsticks
from which_world.report.short import in_short
from which_world.report.words import number


def lakes(shared=0.8, alpha=0.0, units=60, each=10, seed=3):
    """Lakes visited again and again; what a lake is moves food and growth, and three covariates hardly do."""
    rng = np.random.default_rng(seed)
    lake, n = np.repeat(np.arange(units), each), units * each
    kind = rng.normal(size=units)[lake]
    a, b, c, v, u = rng.normal(size=(5, n))
    t = shared * kind + 0.1 * (a + b + c) + v
    y = alpha * t + shared * kind + 0.1 * (a + b - c) + u
    number_of = rng.permutation(np.arange(100, 100 + units))
    return pd.DataFrame({"y": y, "t": t, "a": a, "b": b, "c": c, "lake": [f"lake {k}" for k in lake],
                         "place": number_of[lake], "day": np.tile(np.arange(each), units)})  # fmt: skip


LINE = {"outcome": "y ~ t + a + b + c", "treatment": "t ~ a + b + c"}


@pytest.fixture(scope="module")
def panel():
    data = lakes()
    return make_report(make_design(data, **LINE), data=data), data


def test_what_rows_of_one_lake_share_is_a_current(panel):
    """Shared variance 0.64 of 1.64 in both: the correlation of what is unmeasured is 0.64 / 1.64."""
    report, data = panel
    row = report.identifiers.loc["'lake'"]
    dummies = smf.ols("y ~ t + a + b + c + C(lake)", data).fit()
    assert row["within"] == pytest.approx(dummies.params["t"], abs=1e-8)
    assert row["rho"] == pytest.approx(0.64 / 1.64, abs=0.07)
    change = smf.ols("y ~ t + a + b + c", data).fit().params["t"] - dummies.params["t"]
    spread = [np.sqrt(smf.ols(line, data).fit().ssr) for line in ("y ~ t + a + b + c", "t ~ a + b + c")]
    slope = change * spread[1] / spread[0]
    assert row["rho"] == pytest.approx(slope / np.sqrt(1 + slope**2), abs=1e-5)
    by_lake = smf.ols("y ~ t + a + b + c + C(lake)", data).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(data.lake)[0], "use_correction": False}
    )
    assert (row["high"] - row["low"]) / 3.92 == pytest.approx(by_lake.bse["t"], rel=0.02)


def test_nobody_is_told_to_act_on_a_sign_that_the_lakes_take_away(panel):
    report, _ = panel
    effect, why, advice = in_short(report)
    assert report.worlds.loc["ρ = 0", "low"] > 0.2 and report.benchmarks["rho"].abs().max() < 0.05
    assert "If 'lake' names who belongs together" in effect and "'lake' (what its rows share)" in why
    assert advice.startswith("Do not act on the sign: such a cause is in these data") and " not 0." in advice
    assert "since rows come in clusters" not in " ".join([effect, *report.clustered])
    assert all(said.startswith("Does '") for said in report.clustered)


def test_numbers_that_name_are_told_from_numbers_that_measure(panel):
    _, data = panel
    rng = np.random.default_rng(0)
    wage = np.exp(2 + data.y / 2).round()
    cuts = pd.qcut(data.y, 8, labels=list("abcdefgh")).astype(str)
    score = (100 + 15 * (0.5 * data.y + 0.5 * data.t + rng.normal(size=len(data)))).round()
    years = pd.cut(data.t, 12, labels=False) + 1990
    more = data.assign(wage=wage, band=cuts, score=score, years=years, half=data.lake.str[-1], village=data.place * 7.0)
    found, looked = identifiers(make_design(data, **LINE), more)
    assert {"'lake'", "'place'", "'village'"} == set(found.index) - {"'half'"}
    assert {"'wage'", "'score'", "'years'", "'band'", "'day'"} <= set(looked)
    np.testing.assert_allclose(found["rho"].loc[["'lake'", "'place'"]].diff().iloc[1:], 0, atol=1e-12)
    inside, _ = identifiers(make_design(data, outcome="y ~ t + a + C(place)", treatment="t ~ a + C(place)"), more)
    assert "'place'" not in inside.index and "'lake'" not in inside.index


def test_lakes_that_share_nothing_leave_the_sign_to_a_lot_where_the_benchmarks_are_faint():
    data = lakes(shared=0.0, alpha=0.5)
    report = make_report(make_design(data, **LINE), data=data)
    assert report.identifiers.empty and report.clustered == ()
    _, why, advice = in_short(report)
    tip, strongest = report.tipping["interval"], report.benchmarks["rho"].max()
    assert strongest < 0.05 and advice.startswith("Act on the sign only if t was drawn by lot") and f"{tip:.2f}" in why
    few = make_report(make_design(data, outcome="y ~ t + a + b", treatment="t ~ a + b"), data=data)
    assert "two currents alone to compare it with" in in_short(few)[2] and "act on the sign" not in in_short(few)[2]


def test_one_row_that_decides_is_named_and_nobody_acts():
    data = lakes(shared=0.0, alpha=0.5)
    data.loc[41, ["t", "y"]] = [80.0, -80.0]
    report = make_report(make_design(data, **LINE), data=data)
    alone = smf.ols("y ~ t + a + b + c", data.drop(index=41)).fit().params["t"]
    _, why, advice = in_short(report)
    assert (
        why.startswith("One row of 600 turns the sign: without row 42 (t = 80, y = -80)") and f"is {alone:.3f}" in why
    )
    assert advice.startswith("Do not act") and why in report.paragraph and why in report.overturns


@pytest.mark.parametrize("n", [60, 400, 3000])
def test_normal_errors_never_make_few_rows_decide(n):
    """The rule that a report warns by, where a sign is barely clear: t between 2 and 4."""
    for seed in range(8):
        x, v, u = np.random.default_rng(seed).normal(size=(3, n))
        data = pd.DataFrame({"y": 3 / np.sqrt(n) * v + x + u, "t": v, "x": x})
        table = influence(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
        clear = abs(smf.ols("y ~ t + x", data).fit().tvalues["t"]) > 2
        assert not (clear and table["rows"].iloc[0] <= max(1, min(FEW, n // 100)))
        assert table["rows"].iloc[1] > 1


def test_a_precise_nothing_is_no_ignorance():
    n, rng = 20_000, np.random.default_rng(5)
    x, v, u = rng.normal(size=(3, n))
    data = pd.DataFrame({"y": 0.4 * x + u, "t": 0.5 * x + v, "x": x})
    small = in_short(make_report(make_design(data, outcome="y ~ t + x", treatment="t ~ x")))
    assert re.search(r"If nothing is hidden it is smaller than about 0\.0[12] either way", small[1])
    of_t, of_y = (f"standard deviation of {name}, {data[name].std():.2f}" for name in "ty")
    assert f"even for one {of_t}, beside the {of_y}," in small[1]
    assert "more rows" not in " ".join(small) and re.search(r"it would be -0\.3\d or 0\.3\d\.$", small[2])
    thin = in_short(make_report(make_design(data.sample(60, random_state=2), outcome="y ~ t + x", treatment="t ~ x")))
    assert "Do not act on its sign" in thin[2] and "open even then: that interval holds zero" in thin[1]


def programme(gap, seed=4, n=1500, share=0.0):
    """Few join, who are alike in x; without a line's help nobody of the others can be compared with them."""
    rng = np.random.default_rng(seed)
    x, a, b, v, u = rng.normal(size=(5, n))
    t = (gap * x + v > np.quantile(gap * x + v, 1 - (share or 0.4))).astype(int)
    return pd.DataFrame({"y": 3.0 * t + 0.1 * (a + b) + 0.5 * x + u, "t": t, "x": x, "a": a, "b": b})


JOINED = {"outcome": "y ~ t + x + a + b", "treatment": "t ~ x + a + b"}


def test_a_line_that_stands_in_for_missing_people_is_no_licence():
    for gap, alike in ((0.3, True), (3.0, False)):
        data = programme(gap)
        fitted = smf.probit(JOINED["treatment"], data).fit(disp=0).predict(data)
        beyond = ((fitted < 0.02) | (fitted > 0.98)).mean()
        assert bool(beyond < 0.1) is alike
        _, why, advice = in_short(make_report(make_design(data, **JOINED)))
        assert ("act on the sign; how large" in advice) is alike
        assert (f"For {beyond:.0%}".replace("%", " %") in why and advice.startswith("Do not act")) is not alike


def test_a_rare_treatment_is_not_settled_by_being_rare():
    """Drawn by lot, 1.5 % of the rows: every chance is near 0, and everybody can be compared."""
    data = programme(0.0, share=0.015, n=4000)
    said = " ".join(data_checks(make_design(data, **JOINED)))
    assert "for none of the rows the covariates all but settle the treatment" in said and "extrapolate" not in said


# ---- instruments


def pipes(strength=(1.0, 0.5), past=(0.0, 0.0), n=800, alpha=0.5, rho=0.6, seed=2):
    rng = np.random.default_rng(seed)
    x, z, w, v, e = rng.normal(size=(5, n))
    t = x + strength[0] * z + strength[1] * w + v
    u = rho * v + np.sqrt(1 - rho**2) * e
    return pd.DataFrame({"y": alpha * t + x + past[0] * z + past[1] * w + 2 * u, "t": t, "x": x, "z": z, "w": w})


PIPED = {"outcome": "y ~ t + x", "treatment": "t ~ x + z + w"}


def test_two_stages_and_sargan_are_those_of_statsmodels():
    data = pipes()
    effect, se, p = two_stages(sums(make_design(data, **PIPED)))
    A, Z = sm.add_constant(data[["t", "x"]]), sm.add_constant(data[["x", "z", "w"]])
    theirs = IV2SLS(data.y, A, Z).fit()
    assert effect == pytest.approx(theirs.params["t"], rel=1e-10) and se == pytest.approx(theirs.bse["t"], rel=1e-8)
    left = data.y - A @ theirs.params
    from scipy.stats import chi2

    assert p == pytest.approx(chi2.sf(len(data) * sm.OLS(left, Z).fit().rsquared, 1), rel=1e-6)


def rejected(data, effect):
    """The p-value of z and w in y - effect t, by statsmodels: what Anderson & Rubin invert."""
    line = smf.ols("left ~ x + z + w", data.assign(left=data.y - effect * data.t)).fit()
    return float(line.f_test("z = 0, w = 0").pvalue)


@pytest.mark.parametrize("strength", [(1.0, 0.5), (0.15, 0.0), (0.02, 0.0)])
def test_an_anderson_rubin_interval_is_every_effect_that_an_f_test_does_not_reject(strength):
    data = pipes(strength)
    low, high = anderson_rubin(sums(make_design(data, **PIPED)))
    for effect in np.r_[np.linspace(-5, 5, 41), -1e3, 1e3]:
        kept = low <= effect <= high if low <= high else (effect <= high or effect >= low)
        assert kept == (rejected(data, effect) >= 0.05)
    for end in (low, high):
        if np.isfinite(end):
            assert rejected(data, end) == pytest.approx(0.05, abs=1e-6)
    assert np.isinf(low) or low > high or strength[0] >= 0.1


def test_sets_are_told_by_what_they_hold():
    def table(low, high):
        return pd.DataFrame({"effect": np.nan, "low": low, "high": high}, index=["Anderson–Rubin"])

    assert region(table(1.0, 2.0)) == "is 1.0 to 2.0" and not holds_zero(table(1.0, 2.0))
    assert region(table(2.0, -1.0)) == "holds every effect but those from -1.0 to 2.0" and not holds_zero(
        table(2.0, -1.0)
    )
    assert holds_zero(table(-np.inf, np.inf)) and holds_zero(table(3.0, 1.0)) and not holds_zero(table(np.nan, np.nan))


@pytest.fixture(scope="module")
def piped():
    return make_report(make_design(pipes(), **PIPED), unit="mm")


def test_a_posterior_stands_beside_what_has_no_prior(piped, tmp_path):
    table = piped.instruments
    assert table.loc["two-stage least squares", "effect"] == pytest.approx(0.5, abs=0.2)
    assert table.loc["maximum likelihood", "rho"] == pytest.approx(0.6, abs=0.1)
    said = piped.overturns[0]
    assert "the posterior of ρ, under its prior" in said and "the data put" not in piped.paragraph
    assert f"maximum likelihood, which has no prior, says {table.loc['maximum likelihood', 'rho']:.2f}" in said
    assert "two-stage least squares says 0." in in_short(piped)[0] and "under the prior of ρ" in in_short(piped)[0]
    text = (write_report(piped, tmp_path / "out") / "report.md").read_text(encoding="utf-8")
    assert "Anderson–Rubin" in text and "Sargan's test" in text and "do not contradict each other" in text


def test_instruments_that_contradict_each_other_give_no_licence():
    report = make_report(make_design(pipes(past=(0.0, 1.0)), **PIPED))
    assert report.instruments.attrs["overidentified"] < 1e-4
    assert "contradict each other" in in_short(report)[1] and in_short(report)[2].startswith("Do not act")


def test_what_only_a_prior_clears_of_zero_is_not_acted_on(piped):
    table = piped.instruments.copy()
    table.loc["Anderson–Rubin", ["low", "high"]] = -0.1, 1.2
    said = in_short(piped._replace(instruments=table))
    assert "Anderson–Rubin interval is -0.1 to 1.2" in said[1] and said[2].startswith("Do not act on the sign")


def test_a_hairs_breadth_is_no_failing_exclusion(piped):
    rho = piped.draws.rho.sel(world="ρ free")
    low, high = np.quantile(rho, [0.025, 0.975])
    near, far = (piped._replace(tipping=piped.tipping.copy()) for _ in range(2))
    near.tipping["interval"], far.tipping["interval"] = high + 0.005, -0.5
    assert re.search(r"as strong, or stronger, has posterior probability [12] %", overturns(near)[0])
    near.tipping["interval"] = low - 0.2  # the posterior lies beyond it: the sign at ρ = 0 is gone
    assert "posterior probability over 99 %" in overturns(near)[0]
    assert "failing exclusion" not in overturns(near)[0] and "failing exclusion" in overturns(far)[0]


@pytest.mark.parametrize(("strength", "told"), [(0.05, False), (1.0, True)])
def test_a_weak_instrument_is_neither_a_world_nor_a_yardstick(strength, told):
    """What maximum likelihood makes of a worthless one is noise: it would forbid to act at random."""
    data = pipes(strength=(strength, 0.0))
    report = make_report(make_design(data, outcome="y ~ t + x", treatment="t ~ x + z"))
    f = smf.ols("t ~ x + z", data).fit().tvalues["z"] ** 2
    assert (f"moves both (z is too weak to tell, F = {f:.1f})." in in_short(report)[0]) is not told
    assert any("maximum likelihood" in name for name in yardsticks(report).index) is told


def test_an_instrument_that_groups_make_weak_is_told_where_the_report_opens():
    """Forty villages of one z each: many rows say no more of it than forty would."""
    draw = np.random.default_rng(3)
    village = np.repeat(np.arange(40), 30)
    z, of_t, of_y = draw.normal(size=(3, 40))[:, village]
    x, v, u = draw.normal(size=(3, len(village)))
    data = pd.DataFrame({"t": 0.35 * z + of_t + x + v, "x": x, "z": z, "village_id": village})
    data["y"] = data.t + of_y + x + u
    line, groups = smf.ols("t ~ x + z", data), {"groups": village}
    assert line.fit().tvalues["z"] ** 2 > 30
    assert line.fit(cov_type="cluster", cov_kwds=groups).tvalues["z"] ** 2 < 8
    report = make_report(make_design(data, outcome="y ~ t + x", treatment="t ~ x + z"), data=data)
    why = r"moves both \(z is too weak to tell, F = \d\.\d if rows are counted by 'village_id'\)"
    assert re.search(why, in_short(report)[0])


def test_a_design_without_rows_at_hand_has_the_same_instruments():
    import dask.dataframe as dd

    data = pipes()
    few = make_design(dd.from_pandas(data, npartitions=3), **PIPED)
    free = pd.Series({"alpha": 0.0, "low": 0.0, "high": 0.0, "rho": 0.0})
    tables = [instrument_table(design, free) for design in (few, make_design(data, **PIPED))]
    pd.testing.assert_frame_equal(*tables, rtol=1e-6)


# ---- what a check condemns, what an outcome is, and one number for text and figure


@pytest.fixture(scope="module")
def skewed():
    rng, n = np.random.default_rng(1), 900
    x = rng.normal(size=n)
    t = (0.5 * x + rng.normal(size=n) > 0).astype(int)
    data = pd.DataFrame({"y": 0.4 * x + rng.exponential(size=n), "t": t, "x": x})
    return make_report(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))


def test_what_shuffles_condemn_supports_nothing(skewed, tmp_path):
    assert skewed.shuffled > 0.5
    said = " ".join([*in_short(skewed), *skewed.overturns, *skewed.worlds["interpretation"]])
    assert "ρ free" not in said and "contradict" not in said and "excludes zero" not in said
    text = (write_report(skewed, tmp_path / "out") / "report.md").read_text(encoding="utf-8")
    assert "Other priors" not in text and "cases" not in text.split("## What these data cannot say")[0]


def test_text_and_figure_print_the_same_digits(panel, piped):
    for report in (panel[0], piped):
        row = report.worlds.loc["ρ = 0"]
        spec = explore_map(report.map).spec
        values = {each["name"]: each["value"] for each in spec["params"] if isinstance(each.get("value"), list)}
        first = round(next(each["bind"]["min"] for each in spec["params"] if each["name"] == "r") * 100)
        digits = re.search(r"means\[k\], ',\.(\d)f'", spec["title"]["text"]["expr"])[1]
        for name, column in (("mean", "alpha"), ("low", "low"), ("high", "high")):
            shown = f"{values[f'{name}s'][-first]:,.{digits}f}"
            assert shown == number(row[column], row["high"] - row["low"])


KINDS = {
    "looks like a count": lambda rng, x: rng.poisson(np.exp(1.5 + 0.5 * x)),
    "as a count or answers on a scale have": lambda rng, x: rng.poisson(np.exp(0.3 * x - 0.5)),
    "as answers on a scale have": lambda rng, x: np.clip(np.round(3 + x + rng.normal(size=len(x))), 1, 5),
    "is exactly 0 in": lambda rng, x: np.maximum(0, x + rng.normal(size=len(x))),
    "": lambda rng, x: np.round(100 + 15 * (x + rng.normal(size=len(x)))),
}


@pytest.mark.parametrize("said", KINDS)
@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_outcomes_that_no_normal_error_makes_are_spoken_of(said, kind):
    rng = np.random.default_rng(3)
    x, v = rng.normal(size=(2, 500))
    t = (x + v > 0).astype(int) if kind == "binary" else x + v
    data = pd.DataFrame({"y": KINDS[said](rng, x), "t": t, "x": x})
    checks = " ".join(data_checks(make_design(data, outcome="y ~ t + x", treatment="t ~ x")))
    told = "α remains the line's effect on its mean" in checks
    assert said in checks and told == bool(said)
    assert ("what the errors' shape says about ρ is not to be used" in checks) == (told and kind == "binary")


def test_few_rows_that_move_it_a_little_do_not_hide_a_stronger_reason(panel):
    report, _ = panel
    table = report.influence.copy()
    table.iloc[1, table.columns.get_loc("rows")] = 1
    table["which"] = [(), (3,)]
    moved = report._replace(influence=table)
    assert decisive(moved).startswith("One row of 600 moves the effect by a standard error")
    assert in_short(moved)[2] == in_short(report)[2]
