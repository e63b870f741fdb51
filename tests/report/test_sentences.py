"""What a report says, and when it says nothing."""

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from ponds import scarred, tank
from scipy.stats import norm

from helpers import make_design, make_report, simulate_aquarium, write_report
from which_world.report.beliefs import _unread
from which_world.report.figure import reach, shown
from which_world.report.sentences import conclusion, overturns, unread
from which_world.report.short import in_short


def test_the_paragraph_counts_the_dropped_rows_and_says_how_far_the_priors_matter(report):
    rows = "Among 397 of 420 rows (the other 23 have a missing value and were dropped), "
    assert report.paragraph.startswith(f"{rows}the least-squares slope of gain_g on feed_g is 3.26 g per g (95 %")
    table = report.sensitivity
    said = next(line for line in report.overturns if "half and twice as wide" in line)
    assert said in report.paragraph
    assert f"lies between {table.alpha.min():.1f} and {table.alpha.max():.1f} g per g" in said
    assert f"P(α > 0) between {100 * table['P(alpha>0)'].min():.0f} % and over 99 %" in said
    assert f"excludes zero in {(table.low > 0).sum()} of 5 cases" in said and (table.low > 0).sum() == 1
    one = conclusion(report._replace(dropped=1))
    assert one.startswith("Among 397 of 398 rows (the other has a missing value and was dropped), ")
    assert conclusion(report._replace(dropped=0)).startswith("Among 397 rows, the ")
    assert "holds only under the prior of ρ: these data leave ρ open" in report.paragraph  # the likelihood is flat


def test_every_assumption_is_named(report):
    text = " ".join(report.assumptions)
    for word in ("straight-line", "same effect", "normal", "independent", "before the treatment", "dropped", "atanh ρ",
                 "α ~ Normal", "σ_U"):  # fmt: skip
        assert word in text
    assert "flat in ρ" in report.limits[0] and report.limits[0] in report.paragraph


def test_an_instrument_and_a_binary_treatment_are_spoken_of():
    data = simulate_aquarium(400, treatment="binary", seed=2).data
    plain = make_report(make_design(data, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1"))
    piped = make_report(make_design(data, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1 + X2"))
    assert "normal shape" in plain.limits[0] and "X2" in piped.limits[0]
    assert any("exclusion" in line for line in piped.assumptions) and "first-stage F" in " ".join(piped.checks)
    assert any("treated" in line for line in plain.checks)


def test_a_belief_from_scipy_is_told_by_its_family():
    design = make_design(tank(2.0), outcome="y ~ t + x", treatment="t ~ x")
    said = " ".join(make_report(design, belief=norm(0, scale=0.3)).assumptions)
    assert "ρ has the prior norm(0, scale=0.3)" in said and "object at" not in said


def test_a_belief_that_the_data_contradict_says_so(strong):
    world = strong.worlds.loc["ρ near -0.3, firmly"]
    against = f"the data contradict this belief: they move ρ from -0.30 to {world['rho']:+.2f}"
    assert against in world["interpretation"] and against in " ".join(strong.overturns)
    assert "contradict" not in strong.worlds.loc["ρ free", "interpretation"]


def test_a_map_that_cannot_carry_the_free_world_says_why(strong):
    edge = "18.2% of the posterior lies at the ends of the map (rho -0.984 and 0.984); accepted is a wider map: map_rho"
    assert _unread(edge) == "18 % of the posterior lies beyond ρ = ±0.98"
    worlds = strong.worlds.copy()
    worlds.loc["ρ free", "alpha"] = np.nan
    worlds.loc["ρ free", "interpretation"] = f"not shown: {_unread(edge)}"
    said = conclusion(strong._replace(worlds=worlds))
    assert "no answer can be given: 18 % of the posterior lies beyond ρ = ±0.98, so these formulas" in said
    assert "Check the instrument z, or state a narrower belief (--belief 0 0.2)." in said


def test_a_current_no_covariate_can_match_is_called_none(report):
    table = report.benchmarks.assign(rho=-np.sign(report.tipping["interval"]) * report.benchmarks.rho.abs())
    assert "there is no measured current at all" in " ".join(overturns(report._replace(benchmarks=table)))


def test_an_effect_that_was_never_there_has_no_sign_to_overturn(tmp_path):
    """Least squares' interval holds zero, and value, sentence and figure say so; no benchmark is judged by it."""
    data = simulate_aquarium(300, alpha=0.0, rho=0.0, seed=4).data
    quiet = make_report(make_design(data, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1 + X2"))
    low, high = smf.ols("Y ~ T + X0 + X1", data).fit().conf_int().loc["T"]
    assert low < 0 < high and quiet.tipping["interval"] == 0
    assert re.search(
        r"95 % interval -0\.\d+ to 0\.\d+ already contains zero: there is no sign to overturn", quiet.overturns[0]
    )
    assert "tipping point" not in " ".join(quiet.overturns)
    svg = (write_report(quiet, tmp_path / "out") / "map.svg").read_text(encoding="utf-8")
    assert "no sign to overturn" in svg and "tipping point" not in svg


def test_a_tipping_point_beyond_what_can_be_read_is_not_ruled_out(report):
    tip, rho = report.tipping["interval"], report.map.rho
    assert 0.61 < tip < 0.66 < 0.69 < report.tipping["mean"]
    known = scarred(report, rho > 0.69)  # the mean crosses zero farther out, where nothing can be read
    assert known.tipping["interval"] == pytest.approx(tip, abs=2e-3) and np.isnan(known.tipping["mean"])
    hidden = scarred(report, rho > tip - 0.1)
    last = float(rho[rho <= tip - 0.1][-1])
    assert f"No hidden current from ρ = -0.98 to {last:.2f}, as far as the map" in overturns(hidden)[0]
    alone = scarred(report, (rho != 0) & (abs(rho) < 0.15))
    assert "cannot be read: columns on the way are not reliable" in overturns(alone)[0]


def test_columns_that_cannot_be_relied_on_are_named_and_shaded(report):
    rho = np.tanh(np.arange(-4, 5) / 4)
    (said,) = unread(rho, np.array([1, 1, 0, 0, 0, 0, 1, 0, 1], dtype=bool))
    assert "at ρ = -0.76 to -0.64, 0.46, 0.76 (Pareto" in said
    assert unread(rho, np.zeros(9, dtype=bool)) == []
    scars = scarred(report, (report.map.rho > 0.45) & (report.map.rho < 0.59))
    table = shown(scars)
    assert reach(scars) >= 0.6 and table.index[-1] > 0.6
    assert np.arctanh(table.index.to_numpy()[table["mean"].isna()]).round(6).tolist() == [0.5, 0.6]


@pytest.mark.parametrize(
    ("low", "high", "tip", "along", "said"),
    [
        (-1.0, 2.0, 0.0, 0.1, "Do not act on its sign"),
        (1.0, 3.0, 0.4, 0.1, "act on the sign; how large"),
        (1.0, 3.0, 0.4, 0.3, "do not act on the sign alone"),
        (-3.0, -1.0, -0.4, 0.1, "raises one and lowers the other"),
        (1.0, 3.0, np.nan, 0.1, "No hidden common cause"),
    ],
)
def test_what_to_do_follows_from_the_interval_and_the_measured_currents(report, low, high, tip, along, said):
    worlds = report.worlds.copy()
    worlds.loc["ρ = 0", ["low", "high"]] = low, high
    tipping = report.tipping.copy()
    tipping["interval"] = tip
    benchmarks = report.benchmarks.assign(rho=along)
    changed = report._replace(worlds=worlds, tipping=tipping, benchmarks=benchmarks)
    assert said in " ".join(in_short(changed)) and len(in_short(changed)) == 3


def test_a_map_that_cannot_be_read_gives_no_licence(report):
    tipping = pd.Series({"interval": np.nan, "mean": np.nan, "at_zero": 2.0, "refused": True}, dtype=object)
    worlds = report.worlds.copy()
    worlds.loc["ρ = 0", ["low", "high"]] = 1.0, 3.0
    said = " ".join(in_short(report._replace(worlds=worlds, tipping=tipping)))
    assert "cannot be read" in said and "No hidden common cause" not in said and "Do not act" in said
