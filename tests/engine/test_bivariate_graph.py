"""The graph of log Φ₂ for PyMC: the compiled loop and its slopes, sampled by nutpie."""

import itertools

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest

from which_world.engine import bivariate_graph
from which_world.engine.bivariate import log_Phi2, log_Phi2_partials

CORRELATIONS = [-0.99999, -0.99, -0.5, 0, 0.3, 0.9, 0.99999]


def points(size, *, limit=10.0, reach=2.6):
    rng = np.random.default_rng(4)
    return rng.uniform(-limit, limit, (2, size)), rng.uniform(-reach, reach, size)


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
