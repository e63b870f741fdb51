"""A column of two continuous responses, its scales apart, against one normal vector of all rows."""

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import block_diag
from scipy.stats import multivariate_normal

from helpers import make_design, normal, unit_information
from which_world.engine import conjugate
from which_world.engine.likelihoods import rows_of
from which_world.priors import scales


@pytest.mark.parametrize("outcome, treatment", [
    ("y ~ t + x + w", "t ~ x + w + z"), ("y ~ 0 + t + x", "t ~ 0 + x + w"), ("y ~ t", "t ~ 1"), ("y ~ t * x", "t ~ x"),
])  # fmt: skip
@pytest.mark.parametrize("spread", [1.0, [0.5, 2.0, 0.3, 0.7, 1.1]])
@pytest.mark.parametrize("coefficients", [normal(), unit_information()], ids=["apart", "together"])
def test_the_evidence_of_two_scales_is_that_of_one_normal_vector(outcome, treatment, spread, coefficients):
    """Given ρ and both scales, (y, t) of all rows are jointly normal; priors alike, and priors of unlike widths."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame(rng.normal(size=(12, 5)), columns=list("xtywz"))
    design = make_design(data, outcome=outcome, treatment=treatment)
    rows, prior = rows_of(design), scales(design, coefficients)
    roots = [root / np.resize(spread, len(root)) for root in (prior.root_O, prior.root_T)]
    prior = prior._replace(root_O=roots[0], root_T=roots[1])
    a, log_sigma = 0.4, np.array([0.2, -0.3])
    U, V = np.exp(log_sigma)
    errors = np.array([[U**2, np.tanh(a) * U * V], [np.tanh(a) * U * V, V**2]])
    # the treatment stands in A as it is observed, so the density is that of the errors, whose Jacobian is one
    A, Z, n = rows.A, rows.Z, len(rows.y)
    M = np.block([[A, np.zeros((n, Z.shape[1]))], [np.zeros((n, A.shape[1])), Z]])
    mean, precision = np.r_[prior.mean_O, prior.mean_T], block_diag(*(root.T @ root for root in roots))
    # R of a QR stands for the rows: their likelihood has the same sum of squares, and n of the constants
    covariance = np.kron(errors, np.eye(n)) + M @ np.linalg.solve(precision, M.T)
    whole = multivariate_normal(M @ mean, covariance, allow_singular=True).logpdf(np.r_[rows.y, rows.t])
    missing = rows.n - n
    whole -= missing * (np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(errors)[1])
    half_normal = [np.log(2) - 0.5 * np.log(2 * np.pi) - np.log(s) - 0.5 * (np.exp(ls) / s) ** 2 + ls
                   for ls, s in zip(log_sigma, (prior.sigma_U, prior.sigma_V))]  # fmt: skip
    found = conjugate._given(conjugate.sums(rows, prior), a, log_sigma[None])[0]
    assert found[0] == pytest.approx(whole + sum(half_normal), abs=1e-7)
    posterior = np.linalg.inv(M.T @ np.linalg.solve(np.kron(errors, np.eye(n)), M) + precision)
    right = M.T @ np.linalg.solve(np.kron(errors, np.eye(n)), np.r_[rows.y, rows.t]) + precision @ mean
    place = A.shape[1] - 1
    assert found[2] == pytest.approx(0.5 * np.log(posterior[place, place]), abs=1e-7)
    assert conjugate.sums(rows, prior).least[0][-1] + found[1] == pytest.approx((posterior @ right)[place], abs=1e-7)
    draws = conjugate.coefficients(conjugate.sums(rows, prior), np.tile(log_sigma, (40_000, 1)), a, rng)
    own = np.delete(draws, [A.shape[1], draws.shape[1] - 1], axis=1)  # without the scales
    sd = np.sqrt(np.diag(posterior))
    assert np.abs((own.mean(axis=0) - posterior @ right) / sd).max() < 0.03
    assert np.abs(np.cov(own.T) / np.outer(sd, sd) - posterior / np.outer(sd, sd)).max() < 0.03
