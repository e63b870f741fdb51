"""Many rows as a few, which have the same means, variances and covariances.

These are all that least squares ever reads, and so does the likelihood of a continuous outcome and
a continuous treatment: a design of a billion rows is then one of as many rows as it has columns,
and one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache, reduce, wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from joblib import Parallel, cpu_count
from scipy.linalg import helmert
from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from which_world.design import Design

AT_ONCE = 2**14  # rows of a table that are worked on together
BLOCK = 2**13  # rows of which arrays of one number each fit a processor's cache
CACHED = 2**12  # rows that a processor's cache holds
MANY_COLUMNS = 100  # columns from which a factor's dummies are looked for
LEAST_SPARE = 1e-8  # of a row's leverage: one of less is fitted by a coefficient of its own
WORTH = 4  # rows for each column: a design of more is condensed


class Moments(NamedTuple):
    """What some rows of k columns are to a least-squares line.

    `triangle` is the R of a QR of the rows less their means: R'R are their sums of squares and
    products.
    """

    n: int
    mean: np.ndarray
    triangle: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Moments:
        """The moments of an array (n, k), n at least 1."""
        mean = rows.mean(axis=0)
        centred = rows - mean
        few = as_few(centred)
        triangle = triangle_of(few[cut] for cut in cuts(len(few), CACHED))
        return cls(len(rows), mean, triangle, rows.min(axis=0), rows.max(axis=0))

    def __add__(self, other: Moments) -> Moments:  # type: ignore[override]  # not a tuple's sum
        """The moments of both sets of rows.

        Chan, Golub & LeVeque 1983, with triangles for sums of squares.
        """
        n, apart = self.n + other.n, other.mean - self.mean
        between = np.sqrt(self.n / n * other.n) * apart
        stacked = np.vstack([self.triangle, other.triangle, between])
        return Moments(
            n=n,
            mean=self.mean + other.n / n * apart,
            triangle=np.linalg.qr(stacked, mode="r"),
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
        )

    def few(self) -> np.ndarray:
        """k + 1 rows with these means, variances (of denominator n) and covariances.

        A constant column stays constant.
        """
        size = len(self.mean) + 1
        contrasts = helmert(size)[: len(self.triangle)]  # orthonormal rows that sum to zero
        rows = self.mean + np.sqrt(size / self.n) * (contrasts.T @ self.triangle)
        return np.where(self.low == self.high, self.low, rows)


def triangle_of(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The R of a QR of rows that come in parts."""
    triangles = [np.linalg.qr(part, mode="r") for part in parts]
    return triangles[0] if len(triangles) == 1 else np.linalg.qr(np.vstack(triangles), mode="r")


def as_few(rows: np.ndarray) -> np.ndarray:
    """Rows with the same sums of squares and products: few, where most columns are a factor's.

    A factor's dummies are no work. Rows of one level stand there as their mean, times the root of
    their number, beside the triangle of what the other columns do inside levels: the regression
    with each level's constant swept out (Frisch & Waugh 1933), in the columns as they are.

    Parameters
    ----------
    rows : ndarray, shape (n, k)

    Returns
    -------
    ndarray, shape (m, k)
        The rows themselves where half of the columns are no such dummies, or rows hardly fewer.
    """
    swept = one_factor(rows)
    if swept is None:
        return rows
    level, others = swept
    counts, first = np.bincount(level), np.unique(level, return_index=True)[1]
    means = level_means(rows[:, others], level)
    apart = rows[:, others] - means[level]
    few = np.zeros((len(counts) + len(others), rows.shape[1]))
    few[: len(counts)] = rows[first]
    few[: len(counts), others] = means
    few[: len(counts)] *= np.sqrt(counts)[:, None]
    few[len(counts) :, others] = triangle_of(apart[cut] for cut in cuts(len(rows)))
    return few


def one_factor(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The level of each row from 0, (n,), where most columns are a factor's dummies; the others.

    None where half of the columns are no such dummies, or levels are hardly fewer than rows.
    """
    n, k = rows.shape
    if k < MANY_COLUMNS:
        return None
    own, level = np.unique(_levels_apart(rows), return_inverse=True)
    others = np.setdiff1d(np.arange(k), own)
    if len(others) > k / 2 or len(own) + len(others) > n / 2:
        return None
    return level, others


def level_means(columns: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The mean of each column (n, k) in each level, (levels, k)."""
    sums = np.array([np.bincount(level, column) for column in columns.T])
    return (sums / np.bincount(level)).T


def _levels_apart(rows: np.ndarray) -> np.ndarray:
    """Which of the dummies that exclude each other is one in each row, (n,); -1 where none is.

    A dummy has two values, the higher one being its one. The rarest come first.
    """
    low, high = rows.min(axis=0), rows.max(axis=0)
    ones = np.asfortranarray(rows == high)
    two = [(ones[cut] | (rows[cut] == low)).all(axis=0) for cut in cuts(len(rows))]
    dummies = np.flatnonzero(np.all(two, axis=0) & (low < high))
    level = np.full(len(rows), -1)
    for column in dummies[np.argsort(ones[:, dummies].sum(axis=0), kind="stable")]:
        here = np.flatnonzero(ones[:, column])
        if (level[here] < 0).all():
            level[here] = column
    return level


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()  # to look for them takes longer than many a sum


def one_thread() -> AbstractContextManager:
    """A context of one thread for linear algebra: rows and columns are what is worth sharing."""
    return _pools().limit(limits=1, user_api="blas")


def side_by_side(work: Iterable[Any], many: bool = True) -> list[Any]:
    """What joblib's `delayed` calls give: two or more at a time, where each does much at once.

    Threads of little work wait for each other.
    """
    if not many:
        return [function(*given, **named) for function, given, named in work]
    with one_thread():
        return Parallel(n_jobs=min(cpu_count(), 4), require="sharedmem")(work)


def on_one_thread[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """The function, its linear algebra on one thread: a second waits longer than it works."""

    @wraps(function)
    def alone(*arguments: P.args, **named: P.kwargs) -> R:
        with one_thread():
            return function(*arguments, **named)

    return alone


def cuts(n: int, at_once: int = AT_ONCE) -> list[slice]:
    """Slices of n rows, so many at a time."""
    return [slice(start, min(start + at_once, n)) for start in range(0, n, at_once)]


def condensed(design: Design) -> Design:
    """The design in as few rows as will do for least squares.

    They do for the likelihood of two continuous responses as well.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Design
        Of the same ``n``, in `p` + 3 rows; the design itself if that has hardly more, or if its
        effect changes with covariates, since the products of few rows are not the products of many.
    """
    if design.moderators or len(design.y) <= WORTH * (design.C.shape[1] + 3):
        return design
    if "condensed" not in design.kept:
        rows = reduce(Moments.__add__, map(Moments.of, _pieces(design))).few()
        C, t, y = rows[:, :-2], rows[:, -2], rows[:, -1]
        design.kept["condensed"] = replace(design, C=C, t=t, y=y, stands_for=design.n)
    return design.kept["condensed"]


def _pieces(design: Design) -> Iterator[np.ndarray]:
    """The covariates, the treatment and the outcome side by side, some rows at a time."""
    for cut in cuts(len(design.y)):
        yield np.column_stack([design.C[cut], design.t[cut], design.y[cut]])
