"""log Φ₂ as a PyTensor graph: the formula of `bivariate.py`, with its gradient written down, for
models that NUTS runs.

The graph is plain arithmetic over an axis of quadrature nodes, so it compiles wherever PyTensor
does.
"""

import numpy as np
import pytensor.tensor as pt
from pytensor.compile.builders import OpFromGraph

LOG_2PI = np.log(2 * np.pi)
CUT = 36.0  # e^-36 is below rounding error
_X, _W = np.polynomial.legendre.leggauss(24)
X, W = 0.5 * (_X + 1), 0.5 * _W


def log_Phi(z):
    """log Φ(z), accurate in both tails, with gradients that stay finite there."""
    left, right = pt.minimum(z, -1.0), pt.maximum(z, -1.0)
    return pt.switch(
        z < -1.0,
        pt.log(0.5 * pt.erfcx(-left / np.sqrt(2))) - 0.5 * left**2,
        pt.log1p(-0.5 * pt.erfc(right / np.sqrt(2))),
    )


def log_Phi2(h, k, r):
    """log P(X < h, Y < k) for standard normal X, Y with correlation r, with its exact gradient.

    Parameters
    ----------
    h, k, r : TensorVariable
        They broadcast; |r| < 1. No second derivative: Newton's method has
        `bivariate.log_Phi2_partials`.
    """
    h, k, r = pt.broadcast_arrays(*(pt.as_tensor(each).astype("float64") for each in (h, k, r)))
    inner = [each.type() for each in (h, k, r)]
    return OpFromGraph(inner, [_value(*inner)], inline=True, pullback=_pullback)(h, k, r)


def _pullback(inputs, outputs, cotangents):
    """Each slope is a ratio of densities to Φ₂, taken in logarithms."""
    (h, k, r), (value,), (slope,) = inputs, outputs, cotangents
    cosh = 1 / pt.sqrt((1 - r) * (1 + r))
    A, B = (h - r * k) * cosh, (k - r * h) * cosh
    return [
        slope * pt.exp(-0.5 * h**2 - 0.5 * LOG_2PI + log_Phi(B) - value),
        slope * pt.exp(-0.5 * k**2 - 0.5 * LOG_2PI + log_Phi(A) - value),
        slope * cosh * pt.exp(-0.5 * (h**2 + B**2) - LOG_2PI - value),
    ]


def _value(h, k, r):
    """log Φ₂(h, k; r) as a graph: the corner of a quadrant, or what it lacks to a half-plane."""
    h = pt.switch(pt.eq(h, 0) & pt.eq(k, 0), -1e-150, h)
    flip = h + k > 0
    h, k = pt.switch(flip, -h, h), pt.switch(flip, -k, k)
    h, k = pt.minimum(h, k), pt.maximum(h, k)
    cosh = 1 / pt.sqrt((1 - r) * (1 + r))
    A, B = (r * k - h) * cosh, (r * h - k) * cosh
    turn = B < 0
    corner = _log_corner(h, pt.switch(turn, -k, k), A, pt.abs(B))
    below = log_Phi(h)
    whole = pt.switch(flip, log_Phi(-k), below)
    part = pt.exp(pt.minimum(corner - whole, 0.0))
    rest = pt.switch(turn, -part, part - pt.exp(pt.minimum(below - whole, 0.0)))
    return pt.switch(flip | turn, whole + pt.log1p(pt.maximum(rest, -1.0)), corner)


def _log_corner(h, k, A, B):
    """log Φ₂ where the corner (h, k) is the likeliest point of its quadrant."""
    D = pt.sqrt(h**2 + B**2)
    width = 2 * CUT / (D + pt.sqrt(D**2 + 2 * CUT))
    w = width[..., None] * X
    along = (D[..., None] + w) * np.sqrt(0.5)
    halves = [
        (side / D)[..., None] * pt.erfcx((across / D)[..., None] * along)
        for side, across in ((-h, B), (-k, A))
    ]
    weight = W * pt.exp(-w * (D[..., None] + 0.5 * w))
    total = pt.sum(weight * (halves[0] + halves[1]), axis=-1)
    return pt.log(total * width) - 0.5 * LOG_2PI - np.log(2) - 0.5 * D**2
