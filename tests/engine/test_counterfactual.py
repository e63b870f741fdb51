"""The average effect and its gradient, beside the formula in complex numbers, whose imaginary part is the slope."""

import numpy as np
import pytest
import statsmodels.api as sm
from conftest import INSTRUMENT
from scipy.special import erfc

from helpers import make_design, maximum_likelihood, simulate_aquarium
from which_world.engine import counterfactual
from which_world.engine.counterfactual import average_effect, effect_slope
from which_world.engine.likelihoods import derivatives, rows_of

WITH_MODERATORS = INSTRUMENT | {"outcome": "Y ~ T * (X0 + X3) + X1"}


def Phi(z):
    return 0.5 * erfc(-z / np.sqrt(2))


def by_hand(design, point):
    """The effect in points, written from the equations; `point` may be complex."""
    theta, a = point[:-1], point[-1]
    X, W = design.C[:, design.in_outcome], design.C[:, design.moderates]
    p, k = X.shape[1], W.shape[1]
    effect = theta[1 + p + k] + W @ theta[1 + p : 1 + p + k]
    line, rest = theta[0] + X @ theta[1 : 1 + p], theta[2 + p + k :]
    if design.kind == "binary":
        return 100 * np.mean(Phi(line + effect) - Phi(line))
    v = (design.t - rest[0] - design.C[:, design.in_treatment] @ rest[1:-1]) / np.exp(rest[-1])
    rho = np.tanh(a)
    moved = [line + effect * (design.dose + s) + rho * v for s in (0, design.step)]
    return 100 * np.mean(Phi(moved[1] / np.sqrt(1 - rho**2)) - Phi(moved[0] / np.sqrt(1 - rho**2)))


@pytest.fixture(params=["continuous", "binary"])
def design(request):
    kind = request.param
    tank = simulate_aquarium(200, rho=0.5, treatment=kind, outcome="binary", seed=1)
    step = {"step": 0.3} if kind == "continuous" else {}
    return make_design(tank.data, **WITH_MODERATORS, **step)


@pytest.mark.parametrize("a", [-1.2, 0.0, 0.7])
def test_the_effect_and_its_slope_are_those_of_the_formula(design, a):
    point = np.r_[0.4 * np.random.default_rng(2).normal(size=rows_of(design).size), a]
    assert average_effect(design, point[:-1], a) == pytest.approx(by_hand(design, point), rel=1e-12)
    around = point + 1e-30j * np.eye(len(point))
    slope = [by_hand(design, each).imag / 1e-30 for each in around]
    ours = effect_slope(design, point[:-1], a)
    np.testing.assert_allclose(ours, slope, rtol=1e-10, atol=1e-10 * np.abs(ours).max())


def test_many_rows_are_summed_in_blocks(design, monkeypatch):
    rng, size = np.random.default_rng(3), rows_of(design).size
    theta, a = 0.4 * rng.normal(size=(3, 2, size)), rng.normal(size=(3, 2))
    whole, slope = average_effect(design, theta, a), effect_slope(design, theta[0, 0], 0.4)
    monkeypatch.setattr(counterfactual, "BLOCK", 64)
    monkeypatch.setattr(counterfactual, "CHUNK", 128)
    np.testing.assert_allclose(average_effect(design, theta, a), whole, rtol=1e-12)
    np.testing.assert_allclose(effect_slope(design, theta[0, 0], 0.4), slope, rtol=1e-10)


def test_the_standard_error_counts_that_rho_was_estimated(design):
    best = maximum_likelihood(design)
    rows, point = rows_of(design), natural(design, best)
    information = -derivatives(rows, point[:-1], point[-1])[2]
    slope = [by_hand(design, each).imag / 1e-30 for each in point + 1e-30j * np.eye(len(point))]
    expected = np.sqrt(slope @ np.linalg.solve(information, slope))
    assert best.effect_se == pytest.approx(expected, rel=1e-6)


def natural(design, best):
    """θ and a of an estimate: log σ_V for σ_V, atanh ρ for ρ."""
    point = best.estimates.to_numpy(copy=True)
    point[-1] = np.arctanh(point[-1])
    if design.kind == "continuous":
        point[-2] = np.log(point[-2])
    return point


def test_without_a_current_the_error_is_that_of_statsmodels_probit(design):
    """The delta method on its own estimates and covariance, of the difference that the step makes."""
    ours = maximum_likelihood(design, rho=0)
    A = rows_of(design).A
    theirs = sm.Probit(design.y, A).fit(disp=0, tol=1e-12)
    extra, k = natural(design, maximum_likelihood(design))[A.shape[1] :], A.shape[1]

    def effect(theta_O):
        return by_hand(design, np.r_[theta_O, extra[:-1], 0.0])

    slope = [effect(each).imag / 1e-30 for each in theirs.params + 1e-30j * np.eye(k)]
    assert ours.effect == pytest.approx(effect(theirs.params), rel=1e-6)
    error = np.sqrt(slope @ theirs.cov_params() @ slope)
    assert ours.effect_se == pytest.approx(error, rel=1e-4)
