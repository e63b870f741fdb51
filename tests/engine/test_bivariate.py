"""log Φ₂ against closed forms, 40-digit integration, SciPy and finite differences."""

import itertools
import sys

import numpy as np
import pytest
from oracles import FORTY_DIGITS
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_ndtr
from scipy.stats import multivariate_normal

from which_world.engine import bivariate, bivariate_plain
from which_world.engine.bivariate import log_Phi, log_Phi2, log_Phi2_atanh, log_Phi2_partials, log_Phi2_rows

LIMITS = [-10, -6, -3, -1, -0.3, 0, 0.3, 1, 3, 6, 10]
GRID = np.array(list(itertools.product(LIMITS, LIMITS, [-0.99, -0.9, -0.5, -0.1, 0, 0.2, 0.6, 0.95, 0.99]))).T
CORRELATIONS = [-0.99999, -0.99, -0.5, 0, 0.3, 0.9, 0.99999]


def by_integration(h, k, r):
    """log ∫ φ(x) Φ((k - rx)/√(1-r²)) dx up to h, scaled by the integrand's largest value."""
    spread = np.sqrt((1 - r) * (1 + r))

    def height(x):
        return -0.5 * x**2 + log_ndtr((k - r * x) / spread)

    best = minimize_scalar(lambda x: -height(x), bounds=(-60, h), method="bounded", options={"xatol": 1e-10}).x
    best = max((best, h), key=height)
    top = height(best)
    low = brentq(lambda x: height(x) - top + 45, best - 90, best)
    high = h if height(h) > top - 45 else brentq(lambda x: height(x) - top + 45, best, h)
    cuts = np.r_[np.linspace(low, best, 9), np.linspace(best, high, 9)[1:]]
    pieces = [quad(lambda x: np.exp(height(x) - top), *ends, epsabs=0, epsrel=1e-13)[0]
              for ends in itertools.pairwise(cuts) if ends[1] > ends[0]]  # fmt: skip
    return top + np.log(sum(pieces)) - 0.5 * np.log(2 * np.pi)


def test_forty_digits():
    h, k, r, expected = np.array(FORTY_DIGITS).T
    error = np.abs(log_Phi2(h, k, r) - expected)  # of a logarithm: Φ₂'s relative error
    near = (np.abs(r) <= 0.99) & (np.abs(h) <= 10) & (np.abs(k) <= 10)
    # a logarithm of -10,000 is itself written to 2e-12 only
    assert (error <= 1e-13 + 4e-16 * np.abs(expected))[near].all()
    assert (error <= 1e-13 + 1e-14 * np.abs(expected))[~near].all()


def test_the_grid_by_integration():
    expected = [by_integration(*point) for point in GRID.T]
    np.testing.assert_allclose(log_Phi2(*GRID), expected, rtol=1e-14, atol=2e-12)


@pytest.mark.parametrize("r", [-0.99, -0.9, -0.5, -0.1, 0, 0.2, 0.6, 0.95, 0.99])
def test_many_rows_at_once_by_integration(r):
    """Rows of either sign, in blocks that no tile divides, in two draws of which one has another correlation."""
    h, k, at = GRID
    h, k = h[at == r], k[at == r]
    sign = np.where(np.arange(len(h)) % 3, 1.0, -1.0)
    a = np.arctanh([r, 0.3])
    found = log_Phi2_rows(*(np.tile(np.r_[each, each, each], (2, 1)) for each in (h, k)), np.tile(sign, 3), a)
    assert found.shape == (2, 363)
    for draw, correlation in zip(found.reshape(2, 3, -1)[:, 2], np.tanh(a)):
        expected = [by_integration(x, y, s * correlation) for x, y, s in zip(h, k, sign)]
        np.testing.assert_allclose(draw, expected, rtol=1e-14, atol=2e-11)


def test_log_Phi_is_scipys():
    x = np.linspace(-40, 9, 4901)
    np.testing.assert_allclose(log_Phi(x), log_ndtr(x), rtol=1e-13, atol=1e-11)


def test_scipy():
    h, k, r = GRID
    theirs = [multivariate_normal(cov=[[1, each], [each, 1]]).cdf([a, b]) for a, b, each in GRID.T]
    np.testing.assert_allclose(np.exp(log_Phi2(h, k, r)), theirs, atol=1e-8)


def test_independent_errors_multiply():
    h, k = np.meshgrid(np.linspace(-38, 38, 77), np.linspace(-38, 38, 75))
    np.testing.assert_allclose(log_Phi2(h, k, 0.0), log_ndtr(h) + log_ndtr(k), rtol=1e-12, atol=1e-300)


def test_a_quadrant_at_the_origin_is_an_angle():
    r = np.tanh(np.linspace(-6, 6, 101))
    np.testing.assert_allclose(np.exp(log_Phi2(0, 0, r)), 0.25 + np.arcsin(r) / (2 * np.pi), rtol=1e-11)


def test_infinite_limits_leave_one_error():
    k = np.linspace(-30, 30, 61)
    np.testing.assert_allclose(log_Phi2(np.inf, k, 0.7), log_ndtr(k), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(log_Phi2(k, 50.0, -0.7), log_ndtr(k), rtol=1e-12, atol=1e-300)
    assert np.exp(log_Phi2(-np.inf, 0, 0.7)) == 0


@pytest.mark.parametrize("r", CORRELATIONS)
def test_far_beyond_it_is_finite_and_rises_in_each_argument(r):
    line = np.linspace(-40, 40, 321)
    value = log_Phi2(line[:, None], line, r)
    assert np.isfinite(value).all() and (value <= 0).all()
    np.testing.assert_array_equal(value, value.T)
    assert (np.diff(value, axis=0) >= -4e-16 * np.abs(value[1:])).all()
    assert (log_Phi2(line[:, None], line, min(r + 1e-6, 0.999995)) >= value - 4e-16 * np.abs(value)).all() or r > 0.9999


@pytest.mark.parametrize("r", [1.0, -1.0, 1.5, np.nan, [0.2, -1.2]])
def test_no_correlation(r):
    with pytest.raises(ValueError, match="accepted is -1 < r < 1"):
        log_Phi2(0.0, 0.0, r)


def points(size, *, limit=10.0, reach=2.6):
    rng = np.random.default_rng(4)
    return rng.uniform(-limit, limit, (2, size)), rng.uniform(-reach, reach, size)


def test_slopes_and_curvatures_are_finite_differences():
    (h, k), a = points(3000)
    p = log_Phi2_partials(h, k, a)
    np.testing.assert_array_equal(p.value, log_Phi2_atanh(h, k, a))
    columns = [
        ("first", "first_first", "first_second", "first_a"),
        ("second", "first_second", "second_second", "second_a"),
        ("a", "first_a", "second_a", "a_a"),
    ]
    step = 1e-5
    for moved, names in enumerate(columns):
        at = [[h, k, a], [h, k, a]]
        for side, sign in zip(at, (-1, 1)):
            side[moved] = side[moved] + sign * step
        low, high = (log_Phi2_partials(*side) for side in at)
        for name, below, above in zip(names, ("value", "first", "second", "a"), ("value", "first", "second", "a")):
            slope = (getattr(high, above) - getattr(low, below)) / (2 * step)
            size = 1 + np.abs(p.value)
            np.testing.assert_allclose(getattr(p, name) / size, slope / size, rtol=2e-6, atol=2e-8, err_msg=name)


def test_it_is_log_concave_in_its_limits_however_far():
    (h, k), a = points(3000, limit=30.0, reach=3.0)
    p = log_Phi2_partials(h, k, a)
    assert all(np.isfinite(each).all() for each in p)
    scale = 1 + h**2 * np.cosh(a) ** 2  # of the terms that cancel
    assert (p.first_first <= 1e-12 * scale).all() and (p.second_second <= 1e-12 * (1 + k**2 * np.cosh(a) ** 2)).all()


def test_without_numba_numpy_steps_in(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "which_world.engine.bivariate_loops")
    monkeypatch.delattr("which_world.engine.bivariate_loops")
    assert bivariate._loops.__wrapped__() is bivariate_plain
