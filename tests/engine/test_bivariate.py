"""log Φ₂ against closed forms, 40-digit integration, SciPy and finite differences; its graph against its loop."""

import itertools
import sys

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_ndtr
from scipy.stats import multivariate_normal

from which_world.engine import bivariate, bivariate_graph, bivariate_loops, bivariate_plain
from which_world.engine.bivariate import log_Phi, log_Phi2, log_Phi2_atanh, log_Phi2_partials, log_Phi2_rows

# log Φ₂(h, k; r) by mpmath at 40 digits, ∫ φ(x) Φ((k - rx)/√(1-r²)) dx
FORTY_DIGITS = [
    (-10, -10, -0.99, -10013.69502007566574), (-10, -10, 0.99, -53.977614033144727097),
    (-10, -6, -0.99, -6415.2588661253102525), (-10, -6, 0.6, -53.867677965462847565),
    (-10, 0, -0.1, -55.095040595855965791), (-10, 10, -0.99, -53.873936674960972029),
    (-10, 10, 0.99, -53.231285150512470578), (-6, -0.3, -0.9, -111.42041077771063158),
    (-6, 6, -0.5, -20.737163679889979472), (-3, -1, 0.2, -7.6205990526478903867),
    (-3, 3, 0.99, -6.6077262215103495433), (-1, 1, -0.99, -4.2938898251005495756),
    (-0.3, 0.3, -0.99, -3.8381289776591520833), (0, 0, -0.99, -3.7930537037877368389),
    (0, 6, 0.99, -0.69314718055994530942), (3, 3, -0.99, -0.0027034470854759631542),
    (6, 10, 0.95, -9.8658764552437573169e-10), (10, 10, -0.99, -1.5239706048321052129e-23),
    (2.24, -6.75, 0.98, -25.630587909629852907), (-0.85, 7.59, 0.969, -1.6211940299694810301),
    (1.94, -2.51, 0.75, -5.1099212848221034894), (-5.02, 5.94, -0.517, -15.169004778778936127),
    (8.97, -3.79, 0.984, -9.4937164966259897101), (1.91, -5.14, 0.978, -15.800593395200997357),
    (7.54, -0.39, -0.733, -1.0547821954404246462), (-7.84, 4.97, 0.918, -33.726632625585166583),
    (8.31, -4.23, -0.975, -11.357241766988039324), (4.42, -0.45, 0.195, -1.1197701303795606142),
    (-5.23, 7.31, 0.972, -16.283500861090951339), (4.54, -0.85, -0.826, -1.6212082599355530092),
    (3.1, 5.14, 0.836, -0.00096807278729866879036), (-6.22, 4.6, 0.978, -22.115266685879800293),
    (1, -1.02, -0.999, -6.0753776566682341484), (-39, -38, 0.99999, -765.0831565643775444),
    (-40, 40, -0.99999, -807.24909800256726768), (25, -24.9, -0.9999, -314.2261531451322306),
]  # fmt: skip
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


@pytest.fixture(scope="module")
def graph():
    h, k, r = pt.dvectors("h", "k", "r")
    value = bivariate_graph.log_Phi2(h, k, r)
    return pytensor.function([h, k, r], [value, *pt.grad(value.sum(), [h, k, r])], mode="NUMBA")


def test_the_graph_is_the_loop(graph):
    (h, k), a = points(2000)
    h[0] = k[0] = 0.0
    p = log_Phi2_partials(h, k, a)
    value, *slopes = graph(h, k, np.tanh(a))
    np.testing.assert_allclose(value, p.value, rtol=1e-13)
    for ours, theirs in zip(slopes, (p.first, p.second, p.a * np.cosh(a) ** 2)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-250)


def test_the_graph_stays_finite_far_out(graph):
    corners = np.array(list(itertools.product([-40, -10, 0, 10, 40], [-40, -10, 0, 10, 40], CORRELATIONS))).T
    assert all(np.isfinite(each).all() for each in graph(*corners))


def test_the_graph_broadcasts_and_takes_scalars():
    h, r = pt.dvector("h"), pt.dscalar("r")
    value = bivariate_graph.log_Phi2(h, 0.5, -r)
    here, slope = pytensor.function([h, r], [value, pt.grad(value.sum(), r)])(np.array([-1.0, 2.0]), 0.3)
    np.testing.assert_allclose(here, log_Phi2([-1.0, 2.0], 0.5, -0.3), rtol=1e-13)
    p = log_Phi2_partials(np.array([-1.0, 2.0]), 0.5, np.arctanh(-0.3))
    assert slope == pytest.approx(-np.sum(p.a) / (1 - 0.3**2), rel=1e-12)


def test_nutpie_samples_it():
    """One correlation from agreeing signs: P(both positive or both negative) = 1/2 + arcsin ρ/π."""
    same, n = 700, 1000
    with pm.Model():
        rho = pm.Uniform("rho", -1, 1)
        signs = np.r_[np.ones(same), -np.ones(n - same)]
        pm.Potential("both", bivariate_graph.log_Phi2(np.zeros(n), np.zeros(n), signs * rho).sum())
        draws = pm.sample(400, tune=400, chains=2, cores=1, nuts_sampler="nutpie", random_seed=1, progressbar=False)
    rho = draws.posterior["rho"].to_numpy().ravel()
    # under a flat ρ the agreement's posterior is Beta(701, 301) times cos, nearly its mode at 0.7
    share = 0.5 + np.arcsin(rho) / np.pi
    assert share.mean() == pytest.approx(0.7, abs=0.006) and share.std() == pytest.approx(0.0145, rel=0.2)


# without a compiler


def test_numpy_alone_has_forty_digits_too():
    h, k, r, expected = np.array(FORTY_DIGITS).T
    a = np.arctanh(r)
    np.testing.assert_allclose(bivariate_plain.log_Phi2(h, k, np.cosh(a), np.sinh(a)), expected, rtol=2e-11)


def test_numpy_alone_is_the_loop():
    h, k, r = GRID
    a = np.arctanh(r)
    given = h, k, np.cosh(a), np.sinh(a)
    np.testing.assert_allclose(bivariate_plain.log_Phi2(*given), bivariate_loops.log_Phi2(*given), rtol=1e-11)
    rng = np.random.default_rng(1)
    h, k = rng.normal(size=(2, 3, 50))
    sign, sine = rng.choice([-1.0, 1.0], 50), rng.uniform(-0.9, 0.9, (3, 8))
    given = h, k, sign, sine, 0.5 / (1 - sine**2), rng.normal(size=(3, 8))
    np.testing.assert_allclose(bivariate_plain.Phi2(*given), bivariate_loops.Phi2(*given), rtol=1e-9, atol=1e-12)


def test_without_numba_numpy_steps_in(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "which_world.engine.bivariate_loops")
    monkeypatch.delattr("which_world.engine.bivariate_loops")
    assert bivariate._loops.__wrapped__() is bivariate_plain
