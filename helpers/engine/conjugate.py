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
from statsmodels.tools.numdiff import approx_hess

from helpers.engine.laplace import start
from helpers.engine.pairs import LOG_2PI

NODES = np.linspace(-6.0, 6.0, 11)  # of each scale, in its own standard deviations
SMALL = 40  # coefficients up to which stacked matrices are quicker than one after the other
CHUNK = 2**22  # numbers of a matrix held at a time


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
    steps = np.stack(np.meshgrid(NODES, NODES, indexing="ij"), axis=-1).reshape(-1, 2)
    size = max(1, CHUNK // len(sums.mean) ** 2)
    parts = [_given(sums, a, found.x + steps[i : i + size] @ root.T) for i in range(0, len(steps), size)]
    nodes = np.concatenate(parts).reshape(len(NODES), len(NODES), 3)
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
    """Log evidence of scales (..., 2), with their prior, and the mean and log sd of α given them: (..., 3)."""
    U, V = np.exp(-log_sigma)[..., None, None, :].transpose(-1, *range(log_sigma.ndim + 1))
    cross = -np.tanh(a) * U * V * sums.cross
    rows = [U**2 * sums.outcome, cross], [np.swapaxes(cross, -1, -2), V**2 * sums.treatment]
    whole = np.cosh(a) ** 2 * np.concatenate([np.concatenate(row, axis=-1) for row in rows], axis=-2)
    k, m = len(sums.outcome), whole.shape[-1]
    responses = [k - 1, m - 1]  # they stand last in their blocks
    own = np.delete(np.arange(m), responses)
    rest = whole[..., responses, :][..., responses].sum(axis=(-1, -2))
    P = whole[..., own, :]
    b = P[..., responses].sum(axis=-1) + sums.mean / sums.sd**2
    P = P[..., own] + np.diag(sums.sd**-2.0)
    unit = np.broadcast_to(np.eye(len(own))[sums.place], b.shape)
    solved, log_det = _solve(P, np.stack([b, unit], axis=-1))
    value = sums.n * (np.log(np.cosh(a)) - log_sigma.sum(axis=-1) - LOG_2PI) - 0.5 * rest - log_det
    value += 0.5 * (b * solved[..., 0]).sum(axis=-1)
    value -= 0.5 * np.sum((sums.mean / sums.sd) ** 2) + np.log(sums.sd).sum()
    value += np.sum(log_sigma - 0.5 * (np.exp(log_sigma) / sums.spread) ** 2 - np.log(sums.spread), axis=-1)
    value += np.log(2 / np.pi)  # of two half-normals
    return np.stack([value, solved[..., sums.place, 0], 0.5 * np.log(solved[..., sums.place, 1])], axis=-1)


def _solve(P, right):
    """P⁻¹ right and half of log|P|, of many P: stacked while they are small, one after the other when not."""
    if P.shape[-1] <= SMALL:
        root = np.linalg.cholesky(P)
        return np.linalg.solve(P, right), np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    solved, log_det = np.empty_like(right), np.empty(P.shape[:-2])
    for each in np.ndindex(P.shape[:-2]):
        factor = cho_factor(P[each], lower=True, check_finite=False)
        solved[each] = cho_solve(factor, right[each], check_finite=False)
        log_det[each] = np.log(np.diagonal(factor[0])).sum()
    return solved, log_det
