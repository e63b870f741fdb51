"""The four pairs of outcome and treatment as one table, and the likelihood written once for all of them.

Each equation shows an observation one number, its *sight*:

    continuous    e = (y - Aθ)/σ     the error, in units of its spread
    binary        e = Aθ             the index; the latent error is integrated out, σ = 1

With o the outcome's sight, t the treatment's, ρ = tanh a and a sign s = 2y - 1 (or q) for what is binary, one
observation contributes, beside -log σ for each continuous equation,

    outcome      treatment
    continuous   continuous   -½t² - ½(o cosh a - t sinh a)² + log cosh a - log 2π
    continuous   binary       -½o² + log Φ(q(t cosh a + o sinh a)) - ½ log 2π
    binary       continuous   -½t² + log Φ(s(o cosh a + t sinh a)) - ½ log 2π
    binary       binary       log Φ₂(so, qt; sqρ)

A fifth kind of pair is a fifth row of `PAIRS`; a third kind of equation is a row of `SIGHTS` as well.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

from helpers.engine.bivariate import Partials, log_Phi2_atanh, log_Phi2_partials

LOG_2PI = np.log(2 * np.pi)


class Pair(NamedTuple):
    """What the likelihood needs to know of two kinds: three functions.

    kernel(o, t, s, q, a) is a value per observation, partials(o, t, s, q, a) the same as `Partials`
    in (o, t, a); constant(a) is what every observation adds, with its two derivatives. s and q are the signs
    of the two responses.
    """

    kernel: Callable
    partials: Callable
    constant: Callable
    compressible: bool = False  # a sum of squares: n rows say no more than the R of their QR


class Sight(NamedTuple):
    """What one equation shows: the sight, its Jacobian in (θ[, log σ]), and whether it has a σ."""

    error: Callable
    jacobian: Callable
    scaled: bool


def two_errors(o, t, s, q, a):
    """Both continuous: t is normal, and so is o given t."""
    return -0.5 * (t**2 + (o * np.cosh(a) - t * np.sinh(a)) ** 2)


def two_errors_partials(o, t, s, q, a):
    cosh, sinh = np.cosh(a), np.sinh(a)
    e, e_a, one = o * cosh - t * sinh, o * sinh - t * cosh, np.ones_like(o)
    return Partials(
        -0.5 * (t**2 + e**2), -e * cosh, -t + e * sinh, -e * e_a,
        -(cosh**2) * one, cosh * sinh * one, -(cosh**2) * one,
        -(e_a * cosh + e * sinh), e_a * sinh + e * cosh, -(e_a**2 + e**2),
    )  # fmt: skip


def two_errors_constant(a):
    return np.log(np.cosh(a)) - LOG_2PI, np.tanh(a), 1 / np.cosh(a) ** 2


def error_and_index(error, index, sign, a):
    """One continuous, one binary: the error is normal, and the index takes its share of it."""
    return -0.5 * error**2 + log_ndtr(sign * (index * np.cosh(a) + error * np.sinh(a)))


def error_and_index_partials(error, index, sign, a):
    """Derivatives in (error, index, a)."""
    cosh, sinh = sign * np.cosh(a), sign * np.sinh(a)
    w, w_a = index * cosh + error * sinh, index * sinh + error * cosh
    log_Phi = log_ndtr(w)
    g = np.exp(-0.5 * w**2 - 0.5 * LOG_2PI - log_Phi)  # inverse Mills ratio φ(w)/Φ(w)
    h = -g * (w + g)
    return Partials(
        -0.5 * error**2 + log_Phi, -error + g * sinh, g * cosh, g * w_a,
        h * sinh**2 - 1, h * sinh * cosh, h * cosh**2,
        h * w_a * sinh + g * cosh, h * w_a * cosh + g * sinh, h * w_a**2 + g * w,
    )  # fmt: skip


def exchanged(p):
    """The same partials with the two arguments in the other order."""
    return Partials(p.value, p.second, p.first, p.a, p.second_second, p.first_second, p.first_first,
                    p.second_a, p.first_a, p.a_a)  # fmt: skip


def two_indices(o, t, s, q, a):
    """Both binary: the chance that both latent errors fall where the responses say."""
    return log_Phi2_atanh(s * o, q * t, s * q * a)


def two_indices_partials(o, t, s, q, a):
    p = log_Phi2_partials(s * o, q * t, s * q * a)
    return Partials(p.value, s * p.first, q * p.second, s * q * p.a, p.first_first, s * q * p.first_second,
                    p.second_second, q * p.first_a, s * p.second_a, p.a_a)  # fmt: skip


PAIRS = {
    ("continuous", "continuous"): Pair(two_errors, two_errors_partials, two_errors_constant, compressible=True),
    ("continuous", "binary"): Pair(
        lambda o, t, s, q, a: error_and_index(o, t, q, a),
        lambda o, t, s, q, a: error_and_index_partials(o, t, q, a),
        lambda a: (-0.5 * LOG_2PI, 0.0, 0.0),
    ),
    ("binary", "continuous"): Pair(
        lambda o, t, s, q, a: error_and_index(t, o, s, a),
        lambda o, t, s, q, a: exchanged(error_and_index_partials(t, o, s, a)),
        lambda a: (-0.5 * LOG_2PI, 0.0, 0.0),
    ),
    ("binary", "binary"): Pair(two_indices, two_indices_partials, lambda a: (0.0, 0.0, 0.0)),
}

SIGHTS = {
    "continuous": Sight(
        lambda M, y, theta, log_sigma: (y - theta @ M.T) * np.exp(-log_sigma)[..., None],
        lambda M, e, log_sigma: np.column_stack([-M * np.exp(-log_sigma), -e]),
        True,
    ),
    "binary": Sight(lambda M, y, theta, log_sigma: theta @ M.T, lambda M, e, log_sigma: M, False),
}


class PairRows(NamedTuple):
    """Columns and responses of both equations, the true n, and the kinds (outcome, treatment)."""

    A: np.ndarray
    Z: np.ndarray
    y: np.ndarray
    t: np.ndarray
    n: int
    kinds: tuple

    @property
    def size(self):
        """Length of θ = (θ_O[, log σ_U], θ_T[, log σ_V])."""
        return self.A.shape[1] + self.Z.shape[1] + sum(SIGHTS[kind].scaled for kind in self.kinds)

    def split(self, theta):
        """θ_O, log σ_U, θ_T, log σ_V of one or many θ; log σ is zero where an equation has none."""
        parts, start = [], 0
        for M, kind in zip((self.A, self.Z), self.kinds):
            end = start + M.shape[1]
            scaled = SIGHTS[kind].scaled
            parts += [theta[..., start:end], theta[..., end] if scaled else np.zeros(theta.shape[:-1])]
            start = end + scaled
        return parts


def sights(rows, theta):
    """o and t of many θ: two arrays of shape (draws, rows)."""
    theta_O, log_U, theta_T, log_V = rows.split(theta)
    outcome, treatment = (SIGHTS[kind] for kind in rows.kinds)
    return outcome.error(rows.A, rows.y, theta_O, log_U), treatment.error(rows.Z, rows.t, theta_T, log_V)


def kernel(rows, theta, a):
    """What each observation (columns) contributes under each draw (rows), without the constant."""
    return PAIRS[rows.kinds].kernel(*sights(rows, theta), 2 * rows.y - 1, 2 * rows.t - 1, a[:, None])


def constant(rows, theta, a):
    """What every observation adds, per draw."""
    _, log_U, _, log_V = rows.split(theta)
    return PAIRS[rows.kinds].constant(a)[0] - log_U - log_V


def log_likelihood(rows, theta, a):
    """Log-likelihood of many θ, shape (draws,)."""
    return kernel(rows, theta, a).sum(axis=1) + rows.n * constant(rows, theta, a)


def pointwise(rows, theta, a):
    """Log-likelihood of each observation (columns) under each draw (rows)."""
    return kernel(rows, theta, a) + constant(rows, theta, a)[:, None]


def derivatives(rows, theta, a):
    """Value, gradient and Hessian of the log-likelihood in (θ, a), at one point."""
    _, log_U, _, log_V = rows.split(theta)
    o, t = sights(rows, theta)
    outcome, treatment = (SIGHTS[kind] for kind in rows.kinds)
    p = PAIRS[rows.kinds].partials(o, t, 2 * rows.y - 1, 2 * rows.t - 1, a)
    J_o, J_t = outcome.jacobian(rows.A, o, log_U), treatment.jacobian(rows.Z, t, log_V)
    k, m = J_o.shape[1], rows.size
    gradient = np.concatenate([p.first @ J_o, p.second @ J_t, [p.a.sum()]])
    H = np.empty((m + 1, m + 1))
    H[:k, :k] = J_o.T @ (p.first_first[:, None] * J_o) + _curvature(J_o, p.first, outcome)
    H[:k, k:m] = J_o.T @ (p.first_second[:, None] * J_t)
    H[k:m, k:m] = J_t.T @ (p.second_second[:, None] * J_t) + _curvature(J_t, p.second, treatment)
    H[:k, m], H[k:m, m], H[m, m] = J_o.T @ p.first_a, J_t.T @ p.second_a, p.a_a.sum()
    H = np.triu(H) + np.triu(H, 1).T
    value = p.value.sum() + rows.n * float(constant(rows, theta, np.asarray(a)))
    for place, sight in ((k - 1, outcome), (m - 1, treatment)):
        gradient[place] -= rows.n * sight.scaled  # of -log σ
    _, slope, curvature = PAIRS[rows.kinds].constant(a)
    gradient[m] += rows.n * slope
    H[m, m] += rows.n * curvature
    return float(value), gradient, H


def _curvature(J, f, sight):
    """Σ f ∂²e: an index is linear in θ; an error bends with log σ, its last column, alone."""
    extra = np.zeros((J.shape[1], J.shape[1]))
    if sight.scaled:
        extra[:, -1] = extra[-1, :] = -(f @ J)
    return extra
