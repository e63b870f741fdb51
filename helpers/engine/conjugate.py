"""A column without a Laplace approximation: two continuous responses, whatever the number of covariates.

At fixed ρ, and given σ_U and σ_V, both equations together are one linear regression with normal priors: the evidence of
the two scales and the posterior of α are then known in closed form, by one Cholesky factor. What is left is
an integral over (log σ_U, log σ_V), in which everything is smooth.
"""

from typing import NamedTuple

import numpy as np
from arviz_stats.base import array_stats
from scipy.interpolate import RectBivariateSpline
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import halfnorm
from statsmodels.tools.numdiff import approx_hess

from helpers.engine.laplace import start
from helpers.engine.pairs import LOG_2PI

NODES = np.linspace(-6.0, 6.0, 11)  # of each scale, in its own standard deviations


class Sums(NamedTuple):
    """What the data say to the regression, measured from least squares: cross products of [A r] and [Z v], n, priors.

    `alpha` is the least-squares effect, `place` its place among the coefficients.
    """

    outcome: np.ndarray
    cross: np.ndarray
    treatment: np.ndarray
    n: int
    mean: np.ndarray
    sd: np.ndarray
    spread: tuple
    alpha: float
    place: int


def sums(rows, scales):
    """The cross products of rows with two continuous responses, beside their prior."""
    theta_O, _, theta_T, _ = rows.split(start(rows))
    first, second = (
        np.column_stack([M, response - M @ theta])  # residuals, so that nothing large cancels
        for M, response, theta in ((rows.A, rows.y, theta_O), (rows.Z, rows.t, theta_T))
    )
    mean = np.r_[scales.mean_O - theta_O, scales.mean_T - theta_T]
    return Sums(first.T @ first, first.T @ second, second.T @ second, rows.n, mean, np.r_[scales.sd_O, scales.sd_T],
                (scales.sigma_U, scales.sigma_V), theta_O[-1], len(theta_O) - 1)  # fmt: skip


def guess(rows):
    """log σ_U and log σ_V near their mode where ρ = 0: least squares, the degrees of freedom counted."""
    theta, used = start(rows), np.array([rows.A.shape[1], rows.Z.shape[1]])
    return theta[list(rows.places)] - 0.5 * np.log(np.maximum(rows.n - used, 1) / rows.n)


def column(sums, a, near, z):
    """α at one ρ, weighted, with the log evidence and Pareto k̂.

    Parameters
    ----------
    sums : Sums
    a : float
        atanh ρ.
    near : ndarray, shape (2,)
        log σ_U and log σ_V near their mode.
    z : ndarray, shape (draws, 3)
        Standard normals: two for the scales, one for α.

    Returns
    -------
    alpha, log_weight : ndarray, shape (draws,)
    log_evidence, pareto_k : float
    """
    found = minimize(lambda s: -_given(sums, a, s)[0], near, method="BFGS", options={"gtol": 1e-6})
    root = np.linalg.inv(np.linalg.cholesky(-approx_hess(found.x, lambda s: _given(sums, a, s)[0]))).T
    nodes = [[_given(sums, a, found.x + root @ [i, j]) for j in NODES] for i in NODES]
    at = z[:, :2].clip(NODES[0], NODES[-1])
    value, mean, log_sd = (
        RectBivariateSpline(NODES, NODES, each, kx=5, ky=5).ev(*at.T) for each in np.moveaxis(nodes, -1, 0)
    )
    log_q = -0.5 * (at**2).sum(axis=1) - LOG_2PI - np.log(np.diagonal(root)).sum()
    log_ratio = value - log_q
    smoothed, k_hat = array_stats.psislw(-log_ratio)  # it takes the negative, a log likelihood
    alpha = sums.alpha + mean + np.exp(log_sd) * z[:, 2]
    return alpha, smoothed - logsumexp(smoothed), logsumexp(log_ratio) - np.log(len(z)), float(k_hat)


def _given(sums, a, log_sigma):
    """Log evidence of two scales (with their prior), and the mean and log sd of α given them."""
    U, V = np.exp(-log_sigma)
    outcome, cross, treatment = U**2 * sums.outcome, -np.tanh(a) * U * V * sums.cross, V**2 * sums.treatment
    whole = np.cosh(a) ** 2 * np.block([[outcome, cross], [cross.T, treatment]])
    k = len(outcome)
    own = np.r_[0 : k - 1, k : len(whole) - 1]  # coefficients; the two responses stand last in their blocks
    rest = whole[np.ix_([k - 1, -1], [k - 1, -1])]
    P, b = whole[np.ix_(own, own)], whole[np.ix_(own, [k - 1, -1])].sum(axis=1)
    P[np.diag_indices_from(P)] += sums.sd**-2.0
    b = b + sums.mean / sums.sd**2
    factor = cho_factor(P, lower=True)
    solved = cho_solve(factor, np.column_stack([b, np.eye(len(P))[:, sums.place]]))
    value = sums.n * (np.log(np.cosh(a)) - log_sigma.sum() - LOG_2PI) - 0.5 * rest.sum()
    value += 0.5 * b @ solved[:, 0] - np.log(np.diagonal(factor[0])).sum()
    value -= 0.5 * np.sum((sums.mean / sums.sd) ** 2) + np.log(sums.sd).sum()
    value += np.sum(halfnorm.logpdf(np.exp(log_sigma), scale=sums.spread) + log_sigma)
    return value, solved[sums.place, 0], 0.5 * np.log(solved[sums.place, 1])
