"""The worlds of a report: least squares first, and other priors beside them as the map reads them."""

import pytest
from oracles import residual_sd

from helpers import make_report, ols


def test_the_first_worlds_are_least_squares(report):
    alpha = ols(report.design).params["alpha"]
    assert report.worlds.loc["OLS", "alpha"] == pytest.approx(alpha)
    assert report.worlds.loc["ρ = 0", "alpha"] == pytest.approx(alpha, abs=0.03)


def test_sensitivity_agrees_with_a_map_under_that_prior(report):
    design = report.design
    sd = design.y.std() / residual_sd(design.t, design.C[:, design.in_outcome])
    again = make_report(report.design, alpha=sd / 2)
    read = report.sensitivity.loc["prior of α half as wide"]
    assert again.worlds.loc["ρ free", ["alpha", "low", "high"]].to_numpy() == pytest.approx(
        read[["alpha", "low", "high"]].to_numpy(), abs=0.15
    )
