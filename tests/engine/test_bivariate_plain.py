"""log Φ₂ in NumPy alone: forty digits, and the loop."""

import itertools

import numpy as np
from oracles import FORTY_DIGITS

from which_world.engine import bivariate_loops, bivariate_plain

LIMITS = [-10, -6, -3, -1, -0.3, 0, 0.3, 1, 3, 6, 10]
GRID = np.array(list(itertools.product(LIMITS, LIMITS, [-0.99, -0.9, -0.5, -0.1, 0, 0.2, 0.6, 0.95, 0.99]))).T


# without a compiler


def test_numpy_alone_has_forty_digits_too():
    h, k, r, expected = np.array(FORTY_DIGITS).T
    a = np.arctanh(r)
    np.testing.assert_allclose(bivariate_plain.log_Phi2(h, k, np.cosh(a), np.sinh(a)), expected, rtol=2e-11)


def test_numpy_alone_is_the_loop():
    h, k, r = GRID
    a = np.arctanh(r)
    given = h, k, np.cosh(a), np.sinh(a)
    np.testing.assert_allclose(bivariate_plain.log_Phi2(*given), bivariate_loops.log_Phi2(*given), rtol=1e-11)
    rng = np.random.default_rng(1)
    h, k = rng.normal(size=(2, 3, 50))
    sign, sine = rng.choice([-1.0, 1.0], 50), rng.uniform(-0.9, 0.9, (3, 8))
    given = h, k, sign, sine, 0.5 / (1 - sine**2), rng.normal(size=(3, 8))
    np.testing.assert_allclose(bivariate_plain.Phi2(*given), bivariate_loops.Phi2(*given), rtol=1e-9, atol=1e-12)
