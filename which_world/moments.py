"""Many rows as a few, which have the same means, variances and covariances: all that least squares ever reads.

So does the likelihood of a continuous outcome and a continuous treatment: a design of a billion rows is then one of as
many rows as it has columns, and one.
"""

from dataclasses import replace
from functools import cache, reduce
from typing import NamedTuple

import numpy as np
from scipy.linalg import helmert
from threadpoolctl import ThreadpoolController

AT_ONCE = 2**14  # rows of a table that are worked on together
CACHED = 2**12  # rows that a processor's cache holds
ONE_THREAD = {"limits": 1, "user_api": "blas"}  # matrices of some columns are too small to share
WORTH = 4  # rows for each column, from which a design is condensed


class Moments(NamedTuple):
    """What some rows of k columns are to a least-squares line.

    `triangle` is the R of a QR of the rows less their means: R'R are their sums of squares and products.
    """

    n: int
    mean: np.ndarray
    triangle: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, rows):
        """Of an array (n, k), n at least 1."""
        mean = rows.mean(axis=0)
        centred = rows - mean
        parts = [np.linalg.qr(centred[cut], mode="r") for cut in cuts(len(rows), CACHED)]
        triangle = np.linalg.qr(np.vstack(parts), mode="r")
        return cls(len(rows), mean, triangle, rows.min(axis=0), rows.max(axis=0))

    def __add__(self, other):
        """Of both sets of rows (Chan, Golub & LeVeque 1983, with triangles for sums of squares)."""
        n, apart = self.n + other.n, other.mean - self.mean
        between = np.sqrt(self.n / n * other.n) * apart
        triangle = np.linalg.qr(np.vstack([self.triangle, other.triangle, between]), mode="r")
        return Moments(n, self.mean + other.n / n * apart, triangle, np.minimum(self.low, other.low),
                       np.maximum(self.high, other.high))  # fmt: skip

    def few(self):
        """k + 1 rows with these means, variances (of denominator n) and covariances; what is constant stays so."""
        size = len(self.mean) + 1
        turned = helmert(size)[: len(self.triangle)].T @ self.triangle  # the rows of a Helmert matrix sum to zero
        rows = self.mean + np.sqrt(size / self.n) * turned
        return np.where(self.low == self.high, self.low, rows)


@cache
def _pools():
    return ThreadpoolController()  # to look for them takes longer than many a sum


def one_thread():
    """A context in which linear algebra keeps to one thread: rows and columns are what is worth sharing."""
    return _pools().limit(**ONE_THREAD)


def cuts(n, at_once=AT_ONCE):
    """Slices of n rows, so many at a time."""
    return [slice(i, min(i + at_once, n)) for i in range(0, n, at_once)]


def condensed(design):
    """The design in as few rows as will do for least squares, and for the likelihood of two continuous responses.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Design
        Of the same ``n``, in `p` + 3 rows; the design itself if that has hardly more, or if its effect changes with
        covariates, since the products of few rows are not the products of many.
    """
    if design.moderators or len(design.y) <= WORTH * (design.C.shape[1] + 3):
        return design
    if "condensed" not in design.kept:
        parts = (np.column_stack([design.C[cut], design.t[cut], design.y[cut]]) for cut in cuts(len(design.y)))
        with one_thread():
            rows = reduce(Moments.__add__, map(Moments.of, parts)).few()
        few = replace(design, C=rows[:, :-2], t=rows[:, -2], y=rows[:, -1], stands_for=design.n)
        design.kept["condensed"] = few
    return design.kept["condensed"]
