"""The numbers of a report: worlds, benchmarks, tipping points, and what cannot be relied on."""

from dataclasses import replace

import numpy as np
import pytest
from oracles import residual_sd
from ponds import scarred

from helpers import make_design, make_report, simulate_aquarium, write_report
from which_world.engine import weighing
from which_world.engine.weighing import smoothed
from which_world.maps import reweighed, unreliable
from which_world.report.sentences import unread


def test_the_truth_lies_where_its_current_says(report):
    """The ponds were made with α = 2 and, in this design, a current of about 0.37."""
    firmly, least = report.worlds.loc["ρ near +0.3, firmly"], report.worlds.loc["OLS"]
    assert firmly["low"] < 2.0 < firmly["high"] and least["low"] > 2.0


def test_the_mean_of_the_treatment_does_not_matter(report):
    """A prior of the intercept at a treatment of zero would be a prior on α in disguise."""
    moved = make_report(replace(report.design, t=report.design.t + 1e3))
    assert np.allclose(moved.worlds["alpha"], report.worlds["alpha"], atol=1e-5)
    assert abs(report.worlds.loc["ρ free", "rho"]) < 0.15  # what is left is the prior of α, which prefers small ones


def test_other_units_give_the_same_answer_in_other_units(report):
    design = report.design
    heavy = make_report(replace(design, y=design.y / 1e3))
    assert np.allclose(1e3 * heavy.worlds["alpha"], report.worlds["alpha"], rtol=0.02)
    assert heavy.tipping["interval"] == pytest.approx(report.tipping["interval"], abs=1e-3)


def test_a_small_binary_design_reports_what_its_map_cannot_carry(recwarn, monkeypatch):
    monkeypatch.setattr(weighing, "WIDER_ROUNDS", 0)  # or wider Gaussians would carry it
    tank = simulate_aquarium(60, rho=0.4, treatment="binary", noise=6)
    terms = " + ".join(name for name in tank.data if name.startswith("X"))
    thin = make_report(make_design(tank.data, outcome=f"Y ~ T + {terms}", treatment="T ~ X0 + X1 + X2"))
    bad = unreliable(thin.map)
    assert bad.any() and unread(thin.map.rho.values, bad)[0] in thin.checks
    assert not [warning for warning in recwarn if "Pareto" in str(warning.message)]  # the report says it in its words


def test_weights_upon_weights_are_judged_anew(report):
    """A prior of α a fiftieth as wide leaves next to no draw with weight: Pareto k̂ says so."""
    design = report.design
    sd = design.y.std() / residual_sd(design.t, design.C[:, design.in_outcome])
    narrow = reweighed(report.map, sd, sd / 50)
    assert unreliable(narrow)[np.abs(narrow.rho) < 0.3].all()
    np.testing.assert_allclose(np.exp(narrow.log_weight).sum("draw"), 1)
    scars = scarred(report, report.map.rho < 0)
    assert (unreliable(reweighed(scars.map, sd, sd / 2)) == (report.map.rho < 0)).all()
    assert smoothed(np.log(1 / np.random.default_rng(0).uniform(size=4000)))[1] > 0.7  # weights of a tail index 1


def test_a_lone_covariate_or_none_has_no_benchmark(tmp_path):
    data = simulate_aquarium(300, seed=4).data
    for terms in ("1", "X0"):
        lone = make_report(make_design(data, outcome=f"Y ~ T + {terms}", treatment=f"T ~ {terms}"))
        assert lone.benchmarks.empty and "no measured one" in " ".join(lone.overturns)
        assert ("with no covariates" in lone.paragraph) == ("alone" in lone.assumptions[0]) == (terms == "1")
    assert "With one covariate none can be left out" in " ".join(lone.overturns)
    assert "left out one at a time" not in (write_report(lone, tmp_path / "out") / "report.md").read_text("utf-8")


def test_too_many_terms_for_the_rows_are_refused(monkeypatch):
    """Where not even the column at no current can be relied on."""
    design = make_design(
        simulate_aquarium(90, treatment="binary", seed=0).data, outcome="Y ~ T + X0", treatment="T ~ X0"
    )
    monkeypatch.setattr("which_world.report.contents.unreliable", lambda chart: np.ones(chart.sizes["rho"], dtype=bool))
    with pytest.raises(ValueError, match="90 rows are too few for 6 parameters"):
        make_report(design)


def test_hundreds_of_levels_are_refused_before_anything_is_shuffled(monkeypatch):
    """300 units of eight rows, each with a constant in the outcome's equation."""
    data = simulate_aquarium(2_400, treatment="binary", seed=0).data.assign(unit=np.repeat(np.arange(300), 8))
    design = make_design(data, outcome="Y ~ T + X0 + C(unit)", treatment="T ~ X0")
    monkeypatch.delattr("which_world.report.contents.shuffle_test")
    with pytest.raises(ValueError, match=r"2,400 rows are too few for 3\d\d parameters.*fewer terms, more rows"):
        make_report(design)
