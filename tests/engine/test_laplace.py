"""One column and the columns of a fit: SciPy's prior, finite differences, and the posterior of ρ wherever it lies."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.stats import halfnorm, norm
from statsmodels.tools.numdiff import approx_fprime, approx_hess

from helpers import atanh_normal, make_design, normal
from which_world.engine.laplace import adaptive_columns, columns, log_posterior, log_prior, log_prior_a
from which_world.engine.likelihoods import rows_of
from which_world.priors import scales


def tank(rho):
    """An instrument z, and a current that may be next to one; with it the correlation of the two-stage residuals."""
    z, V, e = np.random.default_rng(1).normal(size=(3, 400))
    y, t = z + V + rho * V + np.sqrt(1 - rho**2) * e, z + V
    Z, X = (np.column_stack([np.ones(400), column]) for column in (z, t))
    residuals = y - X @ np.linalg.solve(Z.T @ X, Z.T @ y), t - Z @ np.linalg.lstsq(Z, t)[0]
    return pd.DataFrame({"y": y, "t": t, "z": z}), np.corrcoef(*residuals)[0, 1]


def window(data, prior):
    """The columns of a fit, and the log posterior of a = atanh ρ at each."""
    design = make_design(data, outcome="y ~ t", treatment="t ~ z")
    found = adaptive_columns(partial(columns, rows_of(design), scales(design)), prior.logpdf)
    return found, found.log_evidence + log_prior_a(prior.logpdf, found.a)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.997, 0.9999])
def test_the_columns_of_a_fit_hold_the_posterior_on_either_side(rho):
    """Turning the treatment's sign turns that of ρ, and nothing else."""
    data, estimate = tank(rho)
    found, density = window(data, atanh_normal(0, 3))
    turned, mirrored = window(data.assign(t=-data.t, z=-data.z), atanh_normal(0, 3))
    assert len(found.a) == 31
    assert found.a[density.argmax()] == pytest.approx(np.arctanh(estimate), abs=0.15)
    for ends in (density[[0, -1]], mirrored[[0, -1]]):
        assert (ends < density.max() - 20).all()
    assert np.sum(density > density.max() - 25) > 15
    np.testing.assert_allclose(turned.a, -found.a[::-1], atol=1e-9)
    np.testing.assert_allclose(mirrored, density[::-1], atol=1e-6)


@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_a_column_is_the_mode_of_scipys_prior_times_the_likelihood_and_its_bend(designs, kind):
    """Under a prior that pulls: flat at the mode, and the covariance is minus the inverse of the second differences."""
    design = designs[kind, "instrument"]
    prior, rows = scales(design, normal(beta_O=0.3, beta_T=0.2), alpha=0.1, sigma=0.5), rows_of(design)
    theta = np.random.default_rng(0).normal(0.2, 0.5, rows.size)
    theta_O, log_U, theta_T, log_V = rows.split(theta)
    wide = [2.5 * design.y.std(), None if kind == "binary" else 2.5 * design.t.std()]
    p, q = design.in_outcome.sum(), design.in_treatment.sum()
    expected = norm.logpdf(theta_O, prior.mean_O, np.r_[wide[0], np.full(p, 0.3), 0.1]).sum()
    expected += norm.logpdf(theta_T, prior.mean_T, np.r_[wide[1] or 1.0, np.full(q, 0.2)]).sum()
    for log_sigma, spread in [(log_U, prior.sigma_U), (log_V, prior.sigma_V)][: sum(rows.scaled)]:
        expected += halfnorm.logpdf(np.exp(log_sigma), scale=spread) + log_sigma
    assert log_prior(rows, prior, theta) == pytest.approx(expected)
    found = columns(rows, prior, [-0.4, 0.3])
    for a, mode, root, value in zip(found.a, found.mode, found.root, found.value):

        def height(point, a=a):
            return log_posterior(rows, prior, point[None], np.array([a]))[0]

        assert value == pytest.approx(height(mode))
        spread = np.sqrt(np.diag(root @ root.T))
        assert np.abs(spread * approx_fprime(mode, height, centered=True)).max() < 1e-3
        np.testing.assert_allclose(root.T @ -approx_hess(mode, height) @ root, np.eye(rows.size), atol=1e-3)
