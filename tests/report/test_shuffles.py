"""The shuffle test in a report: where a current is only shape."""

import re

import numpy as np
import pytest

from helpers import load_lalonde, make_design, make_report, simulate_aquarium
from which_world.checks import shuffle_test
from which_world.report.examine import MISLED, data_checks
from which_world.report.sentences import limits, overturns


def test_a_current_found_in_shuffled_data_is_not_learned_from(strong):
    assert "the posterior of ρ" in overturns(strong)[0] and "the data put" not in strong.paragraph
    condemned = strong._replace(shuffled=0.6)
    assert "the posterior of ρ" not in overturns(condemned)[0]
    assert "ρ free" not in " ".join(overturns(condemned)) and "contradict" not in " ".join(overturns(condemned))
    settled = strong.sensitivity.assign(**{"P(alpha>0)": 0.0, "alpha": -7.0})
    said = " ".join(overturns(strong._replace(sensitivity=settled)))
    assert re.search(r"lies at -7\.\d+ mm, P\(α > 0\) at under 1 %, and .* excludes zero in 5 of 5 cases", said)


def test_a_continuous_treatment_is_not_shuffled(report):
    with pytest.raises(ValueError, match=r"'feed_g' is continuous, .* accepted is a design with a binary treatment"):
        shuffle_test(report.design)


def test_where_the_shuffles_condemn_the_likelihood_a_belief_alone_is_offered():
    data = simulate_aquarium(80, treatment="binary", seed=3).data
    design = make_design(data, outcome="Y ~ T + X0", treatment="T ~ X0")
    said = "weigh(report.map, belief, likelihood=False)"
    assert said in limits(design, 0.6)[0] and said not in limits(design, MISLED)[0]


def test_two_moments_reassure_nobody_where_the_shuffles_condemn():
    data = simulate_aquarium(400, treatment="binary", seed=3).data
    design = make_design(data, outcome="Y ~ T + X0", treatment="T ~ X0")
    for share, reassured in ((MISLED, True), (MISLED + 0.01, False)):
        assert ("not far from the normal shape" in " ".join(data_checks(design, shuffled=share))) is reassured


def test_the_shuffle_test_condemns_real_earnings_and_not_normal_ones():
    """The randomised men: no current by design, and earnings so far from normal that the likelihood sees one."""
    trial = load_lalonde("experimental")
    formulas = {"outcome": "re78 ~ treat + age + educ + re75", "treatment": "treat ~ age + educ + re75"}
    earned = make_report(make_design(trial, **formulas), unit="dollars")
    assert "Do not lean on the world" in earned.limits[0] and earned.limits[0] in earned.paragraph
    assert re.search(r"With ρ free it would be -\d,\d{3} dollars, but .* not to be used\.", earned.paragraph)
    assert "free under its prior" not in earned.paragraph and "half and twice" not in earned.paragraph
    near = earned.worlds.loc["ρ near -0.3, loosely"]
    believed = np.tanh(np.random.default_rng(0).normal(np.arctanh(-0.3), 0.25, 100_000))  # the belief, and nothing else
    assert (near["rho"], near["rho_sd"]) == pytest.approx((believed.mean(), believed.std()), abs=0.01)
    assert "has no say on ρ" in near["interpretation"]
    normal = np.random.default_rng(0).normal(5e3, 6e3, len(trial))
    assert shuffle_test(make_design(trial.assign(re78=normal), **formulas)) <= MISLED
