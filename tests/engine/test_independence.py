"""Independence Metropolis on targets whose evidence and moments are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm

from helpers import atanh_normal
from which_world.engine.independence import _metropolis, _propose

SLOPE, ROOT = np.array([2.0, -1.0]), np.array([[0.5, 0.0], [0.3, 0.8]])


def target(theta, a):
    """Evidence Normal(0.1, 0.2) in a, and around its line θ two normals, one leaning on the other.

    Less their constant, which proposals leave out as well.
    """
    z = np.linalg.solve(ROOT, (theta - a[:, None] * SLOPE).T)
    return norm.logpdf(a, 0.1, 0.2) - 0.5 * (z**2).sum(axis=0) - np.log(np.diag(ROOT)).sum()


@pytest.fixture
def at():
    """Columns that hold exactly this target."""
    a = np.linspace(-2.4, 2.4, 97)
    return SimpleNamespace(
        a=a, log_evidence=norm.logpdf(a, 0.1, 0.2), at=lambda a: (a[:, None] * SLOPE, np.tile(ROOT, (len(a), 1, 1)))
    )


def test_proposals_of_an_exact_column_all_weigh_the_evidence(at):
    """Of the prior Normal(-0.2, 0.5) of a, the evidence is that of two normals that meet."""
    found = _propose(target, atanh_normal(-0.2, 0.5).logpdf, at, 4_000, np.random.default_rng(0))
    np.testing.assert_allclose(found.log_weight, norm.logpdf(-0.2, 0.1, np.hypot(0.2, 0.5)), atol=0.02)


def test_better_proposals_have_the_same_evidence_in_their_mean(at):
    settings = np.array([0.2, -0.1]), np.array([[1.3, 0.0], [0.2, 1.4]])
    found = _propose(target, atanh_normal(-0.2, 0.5).logpdf, at, 40_000, np.random.default_rng(0), *settings)
    assert found.log_weight.std() > 0.1
    mean = np.log(np.exp(found.log_weight).mean())
    assert mean == pytest.approx(norm.logpdf(-0.2, 0.1, np.hypot(0.2, 0.5)), abs=0.02)


def test_a_chain_of_proposals_visits_each_as_often_as_it_weighs():
    """Proposals of Normal(0, 1.5) for Normal(0.4, 1), in two chains that share none."""
    proposed = 1.5 * np.random.default_rng(0).standard_normal((2, 20_000))
    log_weight = norm.logpdf(proposed, 0.4, 1) - norm.logpdf(proposed, 0, 1.5)
    kept, accepted = _metropolis(log_weight, np.random.default_rng(1))
    assert (kept // 20_000 == [[0], [1]]).all()
    for chain in proposed.ravel()[kept]:
        assert (chain.mean(), chain.std()) == (pytest.approx(0.4, abs=0.04), pytest.approx(1, abs=0.03))
    assert accepted.mean() == pytest.approx((np.diff(kept, axis=1) != 0).mean(), abs=0.001)
