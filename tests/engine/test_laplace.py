"""The columns that a fit visits: they hold the posterior of ρ, wherever it lies, and little else."""

import numpy as np
import pandas as pd
import pytest

from helpers import atanh_normal, make_design
from helpers.engine.laplace import adaptive_columns, log_prior_a
from helpers.engine.likelihoods import rows_of
from helpers.priors import scales


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
    found = adaptive_columns(rows_of(design), scales(design), prior.logpdf)
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
