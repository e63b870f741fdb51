"""The loop of log Φ₂, compiled: `bivariate.py` says what it computes and why nothing cancels."""

import math

import numpy as np
from numba import float64, njit, vectorize
from numpy.polynomial.chebyshev import cheb2poly, chebinterpolate
from scipy.special import erfcx

QUADRATURE_NODES = 24  # a multiple of what a processor multiplies at once
CUT = 36.0  # e^-36 is below rounding error
INFINITE = 1e100  # stands for infinity
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
INV_SQRT_2PI = 1 / math.sqrt(2 * math.pi)
CENTRE = 4.0
TILE = 256  # rows that are worked on together

_X, _W = np.polynomial.legendre.leggauss(QUADRATURE_NODES)
X, W = 0.5 * (_X + 1), 0.5 * _W


def _scaled(t):
    """(x + 4) Φ(-x)/φ(x) at t = (x - 4)/(x + 4): a polynomial (Shepherd & Laframboise 1981)."""
    x = CENTRE * (1 + t) / np.maximum(1 - t, 1e-300)
    return (x + CENTRE) * math.sqrt(math.pi / 2) * erfcx(x / math.sqrt(2))


# Written out below, because only a polynomial without a loop is evaluated for several nodes at once
P = tuple(cheb2poly(chebinterpolate(_scaled, 20)).tolist())
E = tuple((-1 / 64) ** i / math.factorial(i) for i in range(9))


@njit(inline="always", fastmath={"contract"}, error_model="numpy")
def mills(x):
    """Φ(-x)/φ(x) for x ≥ 0, to 14 digits."""
    u = 1 / (x + CENTRE)
    t = 1 - 2 * CENTRE * u
    p = P[15] + t * (P[16] + t * (P[17] + t * (P[18] + t * (P[19] + t * P[20]))))
    p = P[10] + t * (P[11] + t * (P[12] + t * (P[13] + t * (P[14] + t * p))))
    p = P[5] + t * (P[6] + t * (P[7] + t * (P[8] + t * (P[9] + t * p))))
    return u * (P[0] + t * (P[1] + t * (P[2] + t * (P[3] + t * (P[4] + t * p)))))


@njit(inline="always", fastmath={"contract"}, error_model="numpy")
def decay(x):
    """e^-x for 0 ≤ x ≤ 36, to 14 digits of one: Taylor's series of e^(-x/64), squared six times."""
    p = E[4] + x * (E[5] + x * (E[6] + x * (E[7] + x * E[8])))
    p = E[0] + x * (E[1] + x * (E[2] + x * (E[3] + x * p)))
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    return p * p


@njit(error_model="numpy")
def log_Phi(x):
    """log Φ(x)."""
    if x < 0:
        return math.log(mills(-x)) - 0.5 * x * x - HALF_LOG_2PI
    return math.log1p(-math.exp(-0.5 * x * x - HALF_LOG_2PI) * mills(x))


@njit(fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")
def log_corner(h, k, A, B):
    """log Φ₂ where the corner is its quadrant's likeliest point: h ≤ -|k|; A ≥ B ≥ 0, negated."""
    D = math.sqrt(h * h + B * B)
    sin_1, cos_1, sin_2, cos_2 = B / D, -h / D, A / D, -k / D
    width = 2 * CUT / (D + math.sqrt(D * D + 2 * CUT))
    total = 0.0
    for i in range(QUADRATURE_NODES):
        w = width * X[i]
        mass = cos_1 * mills(sin_1 * (D + w)) + cos_2 * mills(sin_2 * (D + w))
        total += W[i] * decay(w * (D + 0.5 * w)) * mass
    return math.log(total * width) - 2 * HALF_LOG_2PI - 0.5 * D * D


@vectorize(cache=True)  # of what it is first called with: a map of one yes or no never calls it
def log_Phi2(h, k, cosh, sinh):
    """log Φ₂(h, k; tanh a), given cosh a and sinh a."""
    h, k = min(max(h, -INFINITE), INFINITE), min(max(k, -INFINITE), INFINITE)
    if h == 0 and k == 0:
        h = -1e-150  # the angles below are those of a direction
    flip = h + k > 0
    if flip:
        h, k = -h, -k
    if h > k:
        h, k = k, h
    A, B = k * sinh - h * cosh, h * sinh - k * cosh
    if B >= 0:
        corner = log_corner(h, k, A, B)
        if not flip:
            return corner
        whole = log_Phi(-k)
        return whole + math.log1p(math.exp(corner - whole) - math.exp(log_Phi(h) - whole))
    whole = log_Phi(-k) if flip else log_Phi(h)
    return whole + math.log1p(-math.exp(log_corner(h, -k, A, -B) - whole))


@njit(inline="always", fastmath={"contract"}, error_model="numpy")
def chance(x):
    """Φ(x), to 14 digits of one."""
    tail = INV_SQRT_2PI * decay(min(0.5 * x * x, CUT)) * mills(abs(x))
    return 1 - tail if x > 0 else tail


@vectorize([float64(float64)], cache=True)
def Phi(x):
    """`chance`, of many."""
    return chance(x)


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")
def Phi2(h, k, sign, sine, bend, weight):
    """Φ₂ of limits h and k (draws, rows), for r times the sign of each row; nodes (draws, N) as
    `bivariate` has them.

    Of a tile of rows each node is done for all before the next, so that a processor has several at
    once.
    """
    draws, rows = h.shape
    chances = np.empty((draws, rows))
    squares, product, total = np.empty(TILE), np.empty(TILE), np.empty(TILE)
    for j in range(draws):
        for start in range(0, rows, TILE):
            size = min(TILE, rows - start)
            for i in range(size):
                x, y = h[j, start + i], k[j, start + i]
                squares[i], product[i], total[i] = x * x + y * y, sign[start + i] * x * y, 0.0
            for node in range(sine.shape[1]):
                b, c, w = bend[j, node], bend[j, node] * 2 * sine[j, node], weight[j, node]
                for i in range(size):
                    total[i] += w * decay(min(b * squares[i] - c * product[i], CUT))
            for i in range(size):
                x, y = h[j, start + i], k[j, start + i]
                chances[j, start + i] = chance(x) * chance(y) + sign[start + i] * total[i]
    return chances
