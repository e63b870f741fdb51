"""log Φ₂, the bivariate normal CDF, right in every tail, with two derivatives.

Everything is a function of a = atanh r, so that 1/√(1-r²) = cosh a and r/√(1-r²) = sinh a. With

    A = h cosh a - k sinh a,     B = k cosh a - h sinh a,     D² = h² + B² = k² + A²

the quadrant {x < h, y < k} is a wedge whose corner lies D away from the origin once (x, y) are made
independent. Three steps bring any (h, k, r) to a wedge whose likeliest point is its corner. The
first adds what is positive; the last leaves at least 0.7 arccos(-r)/π of what it subtracts from
(measured):

    h + k > 0      Φ₂(h, k; r) = Φ(h) - Φ(-k) + Φ₂(-h, -k; r)
    h > k          the two change places
    B > 0          Φ₂(h, k; r) = Φ(h) - Φ₂(h, -k; -r)

What is left has h ≤ -|k| and A ≤ B ≤ 0. The ray from the origin through the corner cuts that wedge
in two, and along the ray the mass across it is a Mills ratio m(x) = Φ(-x)/φ(x):

    Φ₂ = φ(D)/√(2π) ∫₀^∞ exp(-Dw - w²/2) Σᵢ cos αᵢ m((D + w) sin αᵢ) dw
    sin α₁ = -B/D, cos α₁ = -h/D,     sin α₂ = -A/D, cos α₂ = -k/D

Each m falls slowly and has no singularity, so 24 Gauss-Legendre nodes reach rounding error; where
cos α₂ < 0 the sum cancels, by a factor of about 2/√(1-r²) at most. The halves are the wedges of
Owen (1956), integrated along their common ray.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import log_ndtr

LOG_2PI = np.log(2 * np.pi)
# of |a| that eight nodes are good for; and how many times eight are worth it
SPAN, BLOCKS = 0.65, 4
SMALL = 1e-3  # a Φ₂ below which an error of 1e-14 counts


def log_Phi2(h, k, r):
    """log P(X < h, Y < k) for standard normal X, Y with correlation r.

    Parameters
    ----------
    h, k : array_like
        Limits; they and r broadcast.
    r : array_like
        Correlations, |r| < 1.

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        When a correlation is not inside (-1, 1).

    Notes
    -----
    Against 40-digit integration: Φ₂ within 2e-12 of itself over |h|, |k| ≤ 10, |r| ≤ 0.99; beyond,
    log Φ₂ keeps 14 digits up to |h|, |k| ≤ 40 and |r| ≤ 0.99999.
    """
    r = np.asarray(r, dtype=float)
    if not np.all(np.abs(r) < 1):
        worst = r.flat[np.argmax(np.where(np.isnan(r), np.inf, np.abs(r)))]
        raise ValueError(f"r={worst} is no correlation of two errors; accepted is -1 < r < 1.")
    return log_Phi2_atanh(h, k, np.arctanh(r))


@cache
def _loops():
    """The compiled loops where numba is installed, loaded when needed; else the same in NumPy."""
    try:
        from which_world.engine import bivariate_loops
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        from which_world.engine import bivariate_plain as bivariate_loops
    return bivariate_loops


def log_Phi2_atanh(h, k, a):
    """`log_Phi2` as a function of a = atanh r, which is any number."""
    return _loops().log_Phi2(h, k, np.cosh(a), np.sinh(a))


def log_Phi2_rows(h, k, sign, a):
    """`log_Phi2_atanh` of many rows at a few values of a, in a quarter of the time.

    Parameters
    ----------
    h, k : ndarray, shape (draws, rows)
    sign : ndarray, shape (rows,)
        1 or -1: what each row has its correlation times.
    a : ndarray, shape (draws,)

    Notes
    -----
    Φ₂(h, k; r) = Φ(h)Φ(k) + ∫ exp(-(h² + k² - 2hk sin θ)/(2 cos²θ)) dθ/2π from 0 to arcsin r
    (Sheppard 1899; Drezner & Wesolowsky 1990), by 8 Gauss-Legendre nodes for each 0.65 of |a|:
    within 1e-12. Where that is no share of Φ₂, or nodes would be many, the wedge above has the
    word.
    """
    blocks = np.abs(a).max() / SPAN
    if not blocks <= BLOCKS:
        return log_Phi2_atanh(h, k, sign * a[:, None])
    x, w = _nodes(8 * max(1, int(np.ceil(blocks))))
    h, k, sign = (np.ascontiguousarray(each, dtype=float) for each in (h, k, sign))
    half = 0.5 * np.arcsin(np.tanh(a))[:, None]
    sine = np.sin(half * (x + 1))
    chances = _loops().Phi2(h, k, sign, sine, 0.5 / (1 - sine**2), half * w / (2 * np.pi))
    return _log(
        chances, lambda small: log_Phi2_atanh(h[small], k[small], (sign * a[:, None])[small])
    )


@cache
def _nodes(count):
    """Gauss-Legendre nodes and weights; of the few counts that BLOCKS allows."""
    return np.polynomial.legendre.leggauss(count)


def Phi(x):
    """Φ, to 14 digits of one, in a quarter of SciPy's time."""
    return _loops().Phi(x)


def log_Phi(x):
    """log Φ, to 11 digits, of an array."""
    return _log(Phi(x), lambda small: log_ndtr(x[small]))


def _log(chances, exactly):
    """Of chances that are right to 14 digits of one: of a small one as it is given."""
    small = ~(chances > SMALL)
    chances = np.log(np.where(small, 1.0, chances))
    if small.any():
        chances[small] = exactly(small)
    return chances


class Partials(NamedTuple):
    """A function of two arguments and a, elementwise, with its first and second derivatives."""

    value: np.ndarray
    first: np.ndarray
    second: np.ndarray
    a: np.ndarray
    first_first: np.ndarray
    first_second: np.ndarray
    second_second: np.ndarray
    first_a: np.ndarray
    second_a: np.ndarray
    a_a: np.ndarray


def log_Phi2_partials(h, k, a, value=None):
    """Value and derivatives of `log_Phi2_atanh`; the two arguments are h and k. The value may be
    known.

    Every slope is a ratio of densities to Φ₂, taken in logarithms, so none of them is 0/0 in a
    tail.
    """
    cosh, sinh = np.cosh(a), np.sinh(a)
    A, B = h * cosh - k * sinh, k * cosh - h * sinh
    value = log_Phi2_atanh(h, k, a) if value is None else value
    g_h = np.exp(-0.5 * h**2 - 0.5 * LOG_2PI + log_Phi(B) - value)
    g_k = np.exp(-0.5 * k**2 - 0.5 * LOG_2PI + log_Phi(A) - value)
    both = np.exp(-0.5 * (h**2 + B**2) - LOG_2PI - value)  # φ(h) φ(B) / Φ₂
    g_a = both / cosh
    return Partials(
        value,
        g_h,
        g_k,
        g_a,
        -g_h * (h + g_h) - sinh * both,
        cosh * both - g_h * g_k,
        -g_k * (k + g_k) - sinh * both,
        -A * both - g_h * g_a,
        -B * both - g_k * g_a,
        g_a * (A * B - np.tanh(a) - g_a),
    )
