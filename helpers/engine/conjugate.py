"""A column without a Laplace approximation: two continuous responses, whatever the number of covariates.

At fixed ρ, and given σ_U and σ_V, both equations together are one linear regression with normal priors: the evidence of
the two scales and the posterior of α are then known in closed form. What is left is an integral over
(log σ_U, log σ_V), in which everything is smooth.

The covariates that stand in both equations are turned, once, until no two of them are correlated. Each is then a pair
of coefficients by itself; only the other columns (intercepts, the treatment, instruments) are solved for together. Five
hundred fixed effects so cost little more than five.
"""

from typing import NamedTuple

import numpy as np
from arviz_stats.base import array_stats
from scipy.interpolate import RectBivariateSpline
from scipy.special import logsumexp

from helpers.engine.laplace import ascent, start
from helpers.engine.pairs import LOG_2PI

NODES = np.linspace(-6.0, 6.0, 11)  # of each scale, in its own standard deviations
AROUND = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 2)  # for differences
CHUNK = 2**22  # numbers of an array held at a time


class Sums(NamedTuple):
    """Cross products of k paired columns X, e other columns E and the responses R of both equations, beside the priors.

    X'X is diagonal, `XX`. `equation` says where each other column stands, the outcome's being 0. Responses are
    measured from least squares, where the effect is `alpha`, whose place among the other columns is `place`; prior
    means likewise.
    """

    XX: np.ndarray  # (k,)
    XE: np.ndarray  # (k, e)
    XR: np.ndarray  # (k, 2)
    EE: np.ndarray  # (e, e)
    ER: np.ndarray  # (e, 2)
    RR: np.ndarray  # (2, 2)
    equation: np.ndarray  # (e,)
    mean_X: np.ndarray  # (2, k)
    precision_X: np.ndarray  # (2, 1)
    mean_E: np.ndarray  # (e,)
    precision_E: np.ndarray  # (e,)
    scales: tuple  # of the half-normal priors of σ_U and σ_V
    n: int
    alpha: float
    place: int


def sums(rows, scales):
    """The cross products of rows with two continuous responses, beside their prior."""
    theta_O, _, theta_T, _ = rows.split(start(rows))
    R = np.column_stack([rows.y - rows.A @ theta_O, rows.t - rows.Z @ theta_T])
    pair_O, pair_T = _paired(rows, scales)
    X = rows.A[:, pair_O]
    XX, turn = np.linalg.eigh(X.T @ X)
    X, E = X @ turn, np.column_stack([rows.A[:, ~pair_O], rows.Z[:, ~pair_T]])
    mean_O, mean_T = scales.mean_O - theta_O, scales.mean_T - theta_T
    return Sums(
        np.maximum(XX, 0), X.T @ E, X.T @ R, E.T @ E, E.T @ R, R.T @ R, np.repeat([0, 1], [sum(~pair_O), sum(~pair_T)]),
        np.stack([mean_O[pair_O], mean_T[pair_T]]) @ turn,
        np.array([scales.sd_O[pair_O][:1], scales.sd_T[pair_T][:1]]) ** -2.0,
        np.r_[mean_O[~pair_O], mean_T[~pair_T]], np.r_[scales.sd_O[~pair_O], scales.sd_T[~pair_T]] ** -2.0,
        (scales.sigma_U, scales.sigma_V), rows.n, theta_O[-1], int(sum(~pair_O)) - 1,
    )  # fmt: skip


def _paired(rows, scales):
    """Masks of the columns of either equation that stand in both, if one prior holds for all of them."""
    names = [set(rows.names_O) & set(rows.names_T) - {"intercept"}] * 2
    masks = [np.array([name in own for name in all]) for own, all in zip(names, (rows.names_O, rows.names_T))]
    alike = all(len(np.unique(sd[mask])) == 1 for sd, mask in zip((scales.sd_O, scales.sd_T), masks))
    return masks if alike else [mask & False for mask in masks]


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
    middle, curvature = _mode(sums, a, near)
    root = np.linalg.inv(np.linalg.cholesky(-curvature)).T
    steps = np.stack(np.meshgrid(NODES, NODES, indexing="ij"), axis=-1).reshape(-1, 2)
    nodes = _given(sums, a, middle + steps @ root.T).reshape(len(NODES), len(NODES), 3)
    at = z[:, :2].clip(NODES[0], NODES[-1])
    value, mean, log_sd = (
        RectBivariateSpline(NODES, NODES, each, kx=5, ky=5).ev(*at.T) for each in np.moveaxis(nodes, -1, 0)
    )
    log_q = -0.5 * (at**2).sum(axis=1) - LOG_2PI - np.log(np.diagonal(root)).sum()
    log_ratio = value - log_q
    smoothed, k_hat = array_stats.psislw(-log_ratio)  # it takes the negative, a log likelihood
    alpha = sums.alpha + mean + np.exp(log_sd) * z[:, 2]
    return alpha, smoothed - logsumexp(smoothed), logsumexp(log_ratio) - np.log(len(z)), float(k_hat)


def _mode(sums, a, point, iterations=60):
    """The mode of (log σ_U, log σ_V) and the second derivatives there, by Newton's method on central differences."""
    step = float(np.clip(0.5 / np.sqrt(sums.n), 1e-6, 0.05))  # about half a standard deviation
    last = False
    for _ in range(iterations):
        f = _given(sums, a, point + step * AROUND)[:, 0].reshape(3, 3)
        gradient = np.array([f[2, 1] - f[0, 1], f[1, 2] - f[1, 0]]) / (2 * step)
        mixed = (f[2, 2] - f[2, 0] - f[0, 2] + f[0, 0]) / 4
        H = np.array([[f[2, 1] + f[0, 1] - 2 * f[1, 1], mixed], [mixed, f[1, 2] + f[1, 0] - 2 * f[1, 1]]]) / step**2
        if last:
            return point, H
        move = ascent(gradient, H)
        last = gradient @ move < 1e-9  # and once more, for the digits
        point = point + move / max(1.0, np.abs(move).max())
    raise RuntimeError(f"no scales were found that fit best at rho={np.tanh(a):.3f}, in {iterations} Newton steps.")


def _given(sums, a, log_sigma):
    """Log evidence of scales (nodes, 2), with their prior, and the mean and log sd of α given them: (nodes, 3)."""
    size = max(1, CHUNK // (2 * sums.XE.size + sums.EE.size + 2 * len(sums.XX) + 1))
    parts = [_given_some(sums, a, log_sigma[i : i + size]) for i in range(0, len(log_sigma), size)]
    return np.concatenate(parts)


def _given_some(sums, a, log_sigma):
    U, V = np.exp(-log_sigma).T
    cross, at = -np.tanh(a) * U * V, sums.equation
    M = np.cosh(a) ** 2 * np.moveaxis(
        np.array([[U**2, cross], [cross, V**2]]), -1, 0
    )  # precision of (U, V): (nodes, 2, 2)
    # the paired columns, two by two
    P = M[..., None] * sums.XX  # (nodes, 2, 2, k)
    P[:, 0, 0] += sums.precision_X[0]
    P[:, 1, 1] += sums.precision_X[1]
    det = P[:, 0, 0] * P[:, 1, 1] - P[:, 0, 1] ** 2
    inverse = np.array([[P[:, 1, 1], -P[:, 0, 1]], [-P[:, 0, 1], P[:, 0, 0]]]) / det  # (2, 2, nodes, k)
    B = M[:, :, None, at] * sums.XE  # (nodes, 2, k, e)
    b = np.einsum("nij,kj->nik", M, sums.XR) + sums.precision_X * sums.mean_X
    solved_B = np.einsum("ijnk,njke->nike", inverse, B)
    solved_b = np.einsum("ijnk,njk->nik", inverse, b)
    # the others, given these
    S = M[:, at][:, :, at] * sums.EE - np.einsum("nike,nikf->nef", B, solved_B)
    S += np.diag(sums.precision_E)
    s = (
        np.einsum("nej,ej->ne", M[:, at], sums.ER)
        + sums.precision_E * sums.mean_E
        - np.einsum("nike,nik->ne", B, solved_b)
    )
    root = np.linalg.cholesky(S)
    unit = np.broadcast_to(np.eye(len(at))[sums.place], s.shape)
    solved = np.linalg.solve(S, np.stack([s, unit], axis=-1))
    value = sums.n * (np.log(np.cosh(a)) - log_sigma.sum(axis=1) - LOG_2PI)
    value -= 0.5 * np.einsum("nij,ij->n", M, sums.RR)
    value -= 0.5 * np.log(det).sum(axis=1) + np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    value += 0.5 * (np.einsum("nik,nik->n", b, solved_b) + np.einsum("ne,ne->n", s, solved[..., 0]))
    value -= 0.5 * (np.sum(sums.precision_X * sums.mean_X**2) + np.sum(sums.precision_E * sums.mean_E**2))
    value += 0.5 * (len(sums.XX) * np.log(sums.precision_X).sum() + np.log(sums.precision_E).sum())
    value += np.sum(log_sigma - 0.5 * (np.exp(log_sigma) / sums.scales) ** 2 - np.log(sums.scales), axis=1)
    value += np.log(2 / np.pi)  # of two half-normals
    return np.column_stack([value, solved[:, sums.place, 0], 0.5 * np.log(solved[:, sums.place, 1])])
