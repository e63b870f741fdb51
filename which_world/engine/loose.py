"""Rows whose index is known so loosely that their log chance bends within a column.

As where nobody of a level says yes: no likelihood holds its constant back, only the prior, and a
column is far from a Gaussian along it. All other rows hold everything else, and nearly as a
Gaussian. So each direction in which loose rows bend is drawn from a density of its own; and where
rows are many, the loose ones are weighed for every draw, the others for a few.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from which_world.design import Design, total
from which_world.engine.laplace import covariance, leading, posterior_derivatives
from which_world.engine.likelihoods import PART, Rows, derivatives, log_likelihood, rows_of
from which_world.moments import BLOCK, cuts

LOOSE = 0.01  # variance of a row's index in a column beyond which its log chance bends
UNKNOWN = 9.0  # and beyond which it is anything between none and one
DIRECTIONS = 24  # in which they may bend, at most
# how far out a density is worked out, in sds of its column: until it has fallen by so much
REACH, FARTHEST, FALLEN = 8.0, 1e9, 30.0
PLACES, STRETCH = 800, 12.0  # at how many places, and how much closer the innermost of them are


class Loose(NamedTuple):
    """Rows, and the slopes (r, m) in θ of some of their indices, which nearly span those of all.

    Each of the slopes stands in place of one of θ, at `places`.
    """

    rows: Rows
    slopes: np.ndarray
    places: list


def loose_rows(rows, found, many):
    """The rows that are loose in the column nearest to ρ = 0; None where none are, or too many.

    Of few rows those alone whose chance is all but unknown: each draw is weighed for all of them.
    """
    root = found.root[int(np.argmin(np.abs(found.a)))]
    work = partial(_loose_of, root, LOOSE if many else UNKNOWN)
    few = _joined(rows, work(rows) if rows.whole is None else total(rows.whole, work))
    if not 0 < few.n <= rows.n // PART:
        return None
    slopes = np.concatenate(_slopes_of_indices(few, len(root)))
    chosen = _spanning(slopes, root, _place(rows), LOOSE if many else UNKNOWN)
    return Loose(few, *chosen) if chosen else None


def _loose_of(root, least, rows):
    """A list of the columns of both equations and the responses of loose rows, a block of each."""
    rows = rows_of(rows) if isinstance(rows, Design) else rows
    found = []
    for block in cuts(len(rows.y), BLOCK):
        part = rows.cut(block)
        variance = np.sum((_slopes_of_indices(part, len(root)) @ root) ** 2, axis=-1).max(axis=0)
        part = part.cut(np.flatnonzero(variance > least))
        found.append((part.A, part.Z, part.y, part.t))
    return found


def _joined(rows, blocks):
    A, Z, y, t = (np.concatenate(each) for each in zip(*blocks))
    return rows._replace(A=A, Z=Z, y=y, t=t, n=len(y), whole=None)


def _place(rows):
    """Where α stands in θ."""
    return len(rows.names_O) - 1


def _slopes_of_indices(rows, size):
    """Those of each row's indices in θ: (equations, rows, size), of the binary equations."""
    every, start = [], 0
    for kind, M, scaled in zip(rows.kinds, (rows.A, rows.Z), rows.scaled):
        if kind == "binary":
            slopes = np.zeros((len(M), size))
            slopes[:, start : start + M.shape[1]] = M
            every.append(slopes)
        start += M.shape[1] + scaled
    return np.array(every)


def _spanning(slopes, root, place, least):
    """Some of many slopes, and a place in θ for each but α's; None where α moves all there are.

    The next is that of which most is left: a pivoted Cholesky decomposition, which takes the levels
    of a factor one by one.
    """
    sd, left = np.linalg.norm(root, axis=1), _without(slopes @ root, root[place])
    chosen, places = [], []
    while len(chosen) < DIRECTIONS:
        variance = np.sum(left**2, axis=1)
        first = int(np.argmax(variance))
        if variance[first] <= least:
            break
        size = np.abs(slopes[first]) * sd
        size[[place, *places]] = 0
        chosen, places = [*chosen, first], [*places, int(np.argmax(size))]
        left = _without(left, left[first])
    return (slopes[chosen], places) if chosen else None


def _without(vectors, direction):
    """Vectors less what lies along a direction."""
    unit = direction / np.linalg.norm(direction)
    return vectors - np.outer(vectors @ unit, unit)


class Straight(NamedTuple):
    """A column's proposals: its mode, and a root of its covariance."""

    mode: np.ndarray
    root: np.ndarray

    def __call__(self, z, log_density):
        """θ of standard draws z, (draws, m), and its log density, given theirs."""
        return self.mode + z @ self.root.T, log_density - np.linalg.slogdet(self.root)[1]

    def told(self, theta):
        """What is known of their log posterior: nothing but their own density."""


class Bent(NamedTuple):
    """The same, but that some directions, from the second on, have densities of their own."""

    rows: Rows  # the loose ones
    a: float
    mode: np.ndarray
    root: np.ndarray
    directions: int
    value: float  # of the others and the prior, at the mode, with slopes and curvature
    gradient: np.ndarray
    H: np.ndarray

    @classmethod
    def every(cls, rows, prior, loose, points, slopes):
        """The proposals of columns whose modes are known, some points (θ, a), for which rows are
        read once; None for one where slopes depend on others.

        `slopes` are those of what is read in θ. The first normal moves it alone, while loose
        indices stay: where they are hardly known, to move them a little is to move them far.
        """
        told = posterior_derivatives(rows, prior, points)
        return [cls._of(loose, *each) for each in zip(points, slopes, told)]

    @classmethod
    def _of(cls, loose, point, slope, told):
        (mode, a), (value, gradient, H), rows = point, told, loose.rows
        bends, places = len(loose.places), [*loose.places, _place(rows)]
        try:
            root = leading(covariance(H), [*loose.slopes, slope], places)
        except np.linalg.LinAlgError:
            return None
        root[:, : bends + 1] = np.roll(root[:, : bends + 1], 1, axis=1)
        own, own_gradient, own_H = derivatives(rows, mode, a)
        others = value - own, gradient - own_gradient[:-1], H - own_H[:-1, :-1]
        return cls(rows, a, mode, root, bends, *others)

    def __call__(self, z, log_density):
        """θ of standard draws z, (draws, m), and its log density, given theirs."""
        draws, log_density = z.copy(), log_density - np.linalg.slogdet(self.root)[1]
        for j in range(1, self.directions + 1):
            draws[:, j], own = quantiles(partial(self._along, self.root[:, j]), z[:, j])
            log_density = log_density + own - norm.logpdf(z[:, j])
        return self.mode + draws @ self.root.T, log_density

    def _along(self, direction, places):
        return self.told(self.mode + np.outer(places, direction))

    def told(self, theta):
        """Their log posterior, by the loose rows and the Gaussian of the others."""
        beside = theta - self.mode
        others = beside @ self.gradient + 0.5 * np.sum((beside @ self.H) * beside, axis=1)
        return self.value + others + log_likelihood(self.rows, theta, np.full(len(theta), self.a))


def quantiles(log_density, z):
    """The places whose shares below are those of standard normals z, and their log density.

    `log_density`, but for a constant, has its one maximum about zero, and may fall as a cliff does
    on one side and hardly at all on the other: places are the closer the nearer they are to it.
    """
    reach = REACH
    while reach < FARTHEST:
        low, middle, high = log_density(reach * np.array([-1.0, 0.0, 1.0]))
        if max(low, high) < middle - FALLEN:
            break
        reach *= 2
    edges = reach * np.sinh(np.linspace(-STRETCH, STRETCH, PLACES + 1)) / np.sinh(STRETCH)
    height = log_density(0.5 * (edges[1:] + edges[:-1]))
    mass = np.exp(height - height.max()) * np.diff(edges)
    place = np.interp(norm.cdf(z), np.r_[0.0, np.cumsum(mass)] / mass.sum(), edges)
    step = np.clip(np.searchsorted(edges, place) - 1, 0, PLACES - 1)
    return place, height[step] - height.max() - np.log(mass.sum())
