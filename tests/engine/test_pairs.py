"""The four pairs against integration over the latent errors, other code, closed forms and finite differences."""

from itertools import pairwise

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm
from statsmodels.tools.numdiff import approx_fprime

from which_world.engine.laplace import ascent
from which_world.engine.likelihoods import Rows, derivatives, log_likelihood, pointwise, scores, slopes
from which_world.engine.pairs import KINDS as OF_A_KIND
from which_world.engine.pairs import PAIRS

KINDS = list(PAIRS)


def tank(kinds, n=300, seed=2):
    """Responses with some of either sign, an instrument in Z, and a θ that is not special."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    one = np.ones(n)
    U, V = rng.multivariate_normal([0, 0], [[1, 0.4], [0.4, 1]], n).T
    t = 0.3 + 0.5 * x + 0.6 * z + V
    t = (t > 0).astype(float) if kinds[1] == "binary" else t
    y = -0.2 + 0.4 * x + 0.7 * t + U
    y = (y > 0).astype(float) if kinds[0] == "binary" else y
    rows = Rows(np.column_stack([one, x, t]), np.column_stack([one, x, z]), y, t, n, kinds, tuple("abc"), tuple("abc"))
    return rows, rng.normal(0.2, 0.3, size=(5, rows.size)), rng.normal(0, 0.5, size=5)


@pytest.mark.parametrize("kinds", KINDS)
def test_derivatives_are_finite_differences(kinds):
    rows, theta, a = tank(kinds)
    point = np.r_[theta[0], a[0]]
    value, gradient, hessian = derivatives(rows, point[:-1], point[-1])
    assert value == pytest.approx(log_likelihood(rows, theta[:1], a[:1])[0], rel=1e-12)
    differences = approx_fprime(point, lambda x: log_likelihood(rows, x[None, :-1], x[-1:])[0], centered=True)
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-5)
    alone = slopes(rows, point[:-1], point[-1])
    assert alone[0] == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(alone[1], differences, rtol=1e-6, atol=1e-5)
    curvatures = approx_fprime(point, lambda x: derivatives(rows, x[:-1], x[-1])[1], centered=True)
    np.testing.assert_allclose(hessian, curvatures, rtol=1e-6, atol=1e-6 * np.abs(hessian).max())


@pytest.mark.parametrize("kinds", KINDS)
def test_each_rows_score_is_its_finite_difference(kinds):
    rows, theta, a = tank(kinds)
    point = np.r_[theta[0], a[0]]
    differences = approx_fprime(point, lambda x: pointwise(rows, x[None, :-1], x[-1:])[0], centered=True)
    np.testing.assert_allclose(scores(rows, point[:-1], point[-1]), differences, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="uncompressed"):
        scores(rows._replace(n=2 * rows.n), point[:-1], point[-1])


@pytest.mark.parametrize("kinds", KINDS)
def test_kernels_derivatives_one_by_one(kinds):
    rng = np.random.default_rng(3)
    o, t, a = rng.normal(0, 2, (3, 200))
    a = np.clip(a, -2.6, 2.6)
    s, q = rng.choice([-1.0, 1.0], (2, 200))
    pair, step = PAIRS[kinds], 1e-5
    p = pair.partials(o, t, s, q, a)
    np.testing.assert_allclose(p.value, pair.kernel(o, t, s, q, a), rtol=1e-12)
    names = {
        "o": ("first", "first_first", "first_second", "first_a"),
        "t": ("second", "first_second", "second_second", "second_a"),
        "a": ("a", "first_a", "second_a", "a_a"),
    }
    for moved, (slope, *curvatures) in names.items():
        d = {name: step * (name == moved) for name in "ota"}
        low, high = (pair.partials(o + e * d["o"], t + e * d["t"], s, q, a + e * d["a"]) for e in (-1, 1))
        for name, of in zip((slope, *curvatures), ("value", "first", "second", "a")):
            difference = (getattr(high, of) - getattr(low, of)) / (2 * step)
            size = 1 + np.abs(difference) + 1e-3 * np.abs(p.value)
            np.testing.assert_allclose(getattr(p, name) / size, difference / size, atol=1e-6, err_msg=f"{name}")


def contribution(kinds, o, t, s, q, rho):
    """log p of one observation by integration of the joint normal density over whatever is latent, σ = 1."""
    density = multivariate_normal(cov=[[1, rho], [rho, 1]]).pdf
    # U > -μ where y = 1 and U < -μ where y = 0; V likewise
    over_U, over_V = (
        (-index, max(-index, 0) + 40) if sign > 0 else (min(-index, 0) - 40, -index) for index, sign in ((o, s), (t, q))
    )
    if kinds == ("continuous", "continuous"):
        return np.log(density([o, t]))
    if kinds == ("continuous", "binary"):
        return np.log(_integral(lambda v: density([o, v]), *over_V, rho * o))
    if kinds == ("binary", "continuous"):
        return np.log(_integral(lambda u: density([u, t]), *over_U, rho * t))
    return np.log(_integral(lambda u: norm.pdf(u) * norm.cdf(q * (t + rho * u) / np.sqrt(1 - rho**2)), *over_U, 0))


def _integral(f, low, high, peak):
    steps = np.array([-5, -2, -1, -0.5, -0.2, 0, 0.2, 0.5, 1, 2, 5])
    cuts = np.sort(np.clip(np.r_[low, peak + steps, low + steps, high + steps, high], low, high))
    return sum(quad(f, *ends, epsabs=0, epsrel=1e-11)[0] for ends in pairwise(cuts) if ends[1] > ends[0])


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("o, t, rho", [(0.3, 0.2, 0.6), (-1.5, 0.8, -0.3), (0, 0, 0), (2, -3, 0.9), (1, 1, -0.95)])
@pytest.mark.parametrize("s, q", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_a_contribution_is_the_integral_over_what_is_latent(kinds, o, t, rho, s, q):
    sights, signs, a = (np.array([float(o)]), np.array([float(t)])), (float(s), float(q)), np.arctanh(rho)
    ours = PAIRS[kinds].kernel(*sights, *signs, a)[0] + PAIRS[kinds].constant(a)[0]
    assert ours == pytest.approx(contribution(kinds, o, t, s, q, rho), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kinds", KINDS)
def test_observations_add_up(kinds):
    rows, theta, a = tank(kinds)
    np.testing.assert_allclose(pointwise(rows, theta, a).sum(axis=1), log_likelihood(rows, theta, a), rtol=1e-12)


def maximum(rows, theta, a):
    for _ in range(50):
        _, gradient, H = derivatives(rows, theta, a)
        step = ascent(gradient[:-1], H[:-1, :-1])
        theta = theta + step
        if np.abs(step).max() < 1e-10:
            return theta
    raise AssertionError("no maximum")


@pytest.mark.parametrize("treatment", ["continuous", "binary"])
def test_without_a_current_the_outcome_is_statsmodels_probit(treatment):
    rows, *_ = tank(("binary", treatment))
    k = rows.A.shape[1]
    theirs = sm.Probit(rows.y, rows.A).fit(disp=0, tol=1e-12, maxiter=100).params
    np.testing.assert_allclose(maximum(rows, np.zeros(rows.size), 0.0)[:k], theirs, rtol=1e-8)


def test_a_continuous_treatment_leaves_a_flat_ridge():
    """With x = z, α(ρ) = d√(1-ρ²) - ρ/σ_V, and the maximum is as high at any ρ."""
    rows, *_ = tank(("binary", "continuous"))
    rows = rows._replace(Z=rows.Z[:, :2], names_T=tuple("ab"))
    start = np.zeros(rows.size)
    at_zero = maximum(rows, start, 0.0)
    d, sigma_V = at_zero[2], np.exp(at_zero[-1])
    top = log_likelihood(rows, at_zero[None], np.zeros(1))
    for rho in (-0.9, -0.4, 0.3, 0.8):
        there = maximum(rows, at_zero, np.arctanh(rho))
        assert there[2] == pytest.approx(d * np.sqrt(1 - rho**2) - rho / sigma_V, rel=1e-7)
        np.testing.assert_allclose(log_likelihood(rows, there[None], np.arctanh([rho])), top, rtol=1e-10)


def test_every_pair_is_made_of_known_kinds():
    assert {kind for kinds in PAIRS for kind in kinds} == set(OF_A_KIND)
