"""The four pairs of outcome and treatment: one table, and the only place that tells them apart.

Each equation has one number for an observation, and the *kind* of its response says which:

    continuous    (y - Aθ)/σ     the error, in units of its spread
    binary        Aθ             the index; the latent error is integrated out, σ = 1

With u the outcome's number, v the treatment's, ρ = tanh a, so that 1/√(1-ρ²) = cosh a and ρ/√(1-ρ²)
= sinh a, and the signs s = 2y - 1 and q = 2t - 1 of what is binary, one observation contributes,
beside -log σ for each continuous equation,

    outcome      treatment
    continuous   continuous   -½v² - ½(u cosh a - v sinh a)² + log cosh a - log 2π
    continuous   binary       -½u² + log Φ(q(v cosh a + u sinh a)) - ½ log 2π
    binary       continuous   -½v² + log Φ(s(u cosh a + v sinh a)) - ½ log 2π
    binary       binary       log Φ₂(su, qv; sqρ)

A new pair is a row of `PAIRS`; a new kind of response is a row of `KINDS` as well.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from which_world.engine.bivariate import (
    LOG_2PI,
    Partials,
    log_Phi,
    log_Phi2_atanh,
    log_Phi2_partials,
    log_Phi2_rows,
)


class Response(NamedTuple):
    """A number of many θ, its Jacobian in (θ[, log σ]) at one θ, and whether there is a σ.

    `pulled` is f @ jacobian, for a number f of each observation, without the Jacobian.
    """

    number: Callable
    jacobian: Callable
    pulled: Callable
    scaled: bool


class Pair(NamedTuple):
    """What the likelihood needs to know of two kinds.

    kernel(u, v, s, q, a) is a value per observation, partials(u, v, s, q, a) the same as `Partials`
    in (u, v, a); constant(a) is what every observation adds, with its two derivatives.
    """

    kernel: Callable
    partials: Callable
    constant: Callable
    compressible: bool = False  # a sum of squares: n rows say no more than the R of their QR


def error(M, response, theta, log_sigma, offset=0.0):
    """(y - Mθ - offset)/σ, of shape (..., rows)."""
    return (response - theta @ M.T - offset) * np.exp(-log_sigma)[..., None]


def index(M, response, theta, log_sigma, offset=0.0):
    """Mθ + offset, of shape (..., rows)."""
    return theta @ M.T + offset


KINDS = {
    "continuous": Response(
        error,
        lambda M, e, log_sigma: np.column_stack([-M * np.exp(-log_sigma), -e]),
        lambda M, e, log_sigma, f: np.r_[-np.exp(-log_sigma) * (f @ M), -(f @ e)],
        True,
    ),
    "binary": Response(index, lambda M, e, log_sigma: M, lambda M, e, log_sigma, f: f @ M, False),
}


def two_errors(u, v, s, q, a):
    """Both continuous: v is normal, and so is u given v."""
    return -0.5 * (v**2 + (u * np.cosh(a) - v * np.sinh(a)) ** 2)


def two_errors_partials(u, v, s, q, a):
    """Value and derivatives in (error, error, a)."""
    cosh, sinh = np.cosh(a), np.sinh(a)
    e, e_a, one = u * cosh - v * sinh, u * sinh - v * cosh, np.ones_like(u)
    return Partials(
        -0.5 * (v**2 + e**2),
        -e * cosh,
        -v + e * sinh,
        -e * e_a,
        -(cosh**2) * one,
        cosh * sinh * one,
        -(cosh**2) * one,
        -(e_a * cosh + e * sinh),
        e_a * sinh + e * cosh,
        -(e_a**2 + e**2),
    )


def two_errors_constant(a):
    return np.log(np.cosh(a)) - LOG_2PI, np.tanh(a), 1 / np.cosh(a) ** 2


def error_and_index(error, index, sign, a):
    """One continuous, one binary: the error is normal, and the index takes its share of it."""
    return -0.5 * error**2 + log_Phi(sign * (index * np.cosh(a) + error * np.sinh(a)))


def error_and_index_partials(error, index, sign, a):
    """Derivatives in (error, index, a)."""
    cosh, sinh = sign * np.cosh(a), sign * np.sinh(a)
    w, w_a = index * cosh + error * sinh, index * sinh + error * cosh
    log_chance = log_Phi(w)
    g = np.exp(-0.5 * w**2 - 0.5 * LOG_2PI - log_chance)  # inverse Mills ratio φ(w)/Φ(w)
    h = -g * (w + g)
    return Partials(
        -0.5 * error**2 + log_chance,
        -error + g * sinh,
        g * cosh,
        g * w_a,
        h * sinh**2 - 1,
        h * sinh * cosh,
        h * cosh**2,
        h * w_a * sinh + g * cosh,
        h * w_a * cosh + g * sinh,
        h * w_a**2 + g * w,
    )


def exchanged(p):
    """The same partials with the two arguments in the other order."""
    return Partials(
        p.value,
        p.second,
        p.first,
        p.a,
        p.second_second,
        p.first_second,
        p.first_first,
        p.second_a,
        p.first_a,
        p.a_a,
    )


def two_indices(u, v, s, q, a):
    """Both binary: the chance that both latent errors fall where the responses say."""
    if np.ndim(a) == 2 and a.shape[1] == 1:  # one for all rows of a draw
        return log_Phi2_rows(s * u, q * v, s * q, a[:, 0])
    return log_Phi2_atanh(s * u, q * v, s * q * a)


def two_indices_partials(u, v, s, q, a):
    """Value and derivatives in (index, index, a)."""
    value = None
    if np.ndim(a) == 0:
        value = log_Phi2_rows((s * u)[None], (q * v)[None], s * q, np.array([a]))[0]
    p = log_Phi2_partials(s * u, q * v, s * q * a, value)
    return Partials(
        p.value,
        s * p.first,
        q * p.second,
        s * q * p.a,
        p.first_first,
        s * q * p.first_second,
        p.second_second,
        q * p.first_a,
        s * p.second_a,
        p.a_a,
    )


PAIRS = {
    ("continuous", "continuous"): Pair(
        two_errors, two_errors_partials, two_errors_constant, compressible=True
    ),
    ("continuous", "binary"): Pair(
        lambda u, v, s, q, a: error_and_index(u, v, q, a),
        lambda u, v, s, q, a: error_and_index_partials(u, v, q, a),
        lambda a: (-0.5 * LOG_2PI, 0.0, 0.0),
    ),
    ("binary", "continuous"): Pair(
        lambda u, v, s, q, a: error_and_index(v, u, s, a),
        lambda u, v, s, q, a: exchanged(error_and_index_partials(v, u, s, a)),
        lambda a: (-0.5 * LOG_2PI, 0.0, 0.0),
    ),
    ("binary", "binary"): Pair(two_indices, two_indices_partials, lambda a: (0.0, 0.0, 0.0)),
}
