"""Few rows of many whose index is known so loosely that their log chance bends within a column.

As where nobody of a level says yes: no likelihood holds its constant back, only the prior, and a
column is far from a Gaussian along it. All other rows hold everything else, and nearly as a
Gaussian. So loose rows are weighed for every draw, the others for a few, and each direction in
which loose rows bend is drawn from a density of its own.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from which_world.engine.laplace import covariance, leading, posterior_derivatives
from which_world.engine.likelihoods import PART, Rows, derivatives, log_likelihood
from which_world.moments import BLOCK, cuts

LOOSE = 0.01  # variance of a row's index in a column beyond which its log chance bends
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


class Bent(NamedTuple):
    """Draws θ, (draws, m), and their log density; their first standard normals, which move what is
    read; and their log posterior, by the loose rows and the Gaussian of the others.
    """

    theta: np.ndarray
    log_q: np.ndarray
    along: np.ndarray
    told: np.ndarray


def loose_rows(rows, found):
    """The rows that are loose in the column nearest to ρ = 0; None where none are, or many."""
    root = found.root[int(np.argmin(np.abs(found.a)))]
    variance = [
        np.sum((_slopes_of_indices(rows.cut(block), len(root)) @ root) ** 2, axis=-1).max(axis=0)
        for block in cuts(len(rows.y), BLOCK)
    ]
    few = np.flatnonzero(np.concatenate(variance) > LOOSE)
    if not 0 < len(few) <= len(rows.y) // PART:
        return None
    few = rows.cut(few)
    chosen = _spanning(np.concatenate(_slopes_of_indices(few, len(root))), root, _place(rows))
    return Loose(few, *chosen) if chosen else None


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


def _spanning(slopes, root, place):
    """Some of many slopes, and a place in θ for each but α's; None where α moves all there are.

    The next is that of which most is left: a pivoted Cholesky decomposition, which takes the levels
    of a factor one by one.
    """
    sd, left = np.linalg.norm(root, axis=1), _without(slopes @ root, root[place])
    chosen, places = [], []
    while len(chosen) < DIRECTIONS:
        variance = np.sum(left**2, axis=1)
        first = int(np.argmax(variance))
        if variance[first] <= LOOSE:
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


def bent_draws(rows, prior, loose, mode, a, slope, z):
    """`Bent` draws of a column, whose mode at a is known, from standard normals z, (draws, m).

    `slope` is that of what is read in θ. The first normal moves it alone, while loose indices stay:
    where they are hardly known, to move them a little is to move them far.
    """
    value, gradient, H = posterior_derivatives(rows, prior, mode, a)
    bends = len(loose.places)
    root = leading(covariance(H), [*loose.slopes, slope], [*loose.places, _place(rows)])
    root[:, : bends + 1] = np.roll(root[:, : bends + 1], 1, axis=1)
    own_value, own_gradient, own_H = derivatives(loose.rows, mode, a)
    gradient, H = gradient - own_gradient[:-1], H - own_H[:-1, :-1]

    def told(draws):
        beside = draws @ root.T
        others = beside @ gradient + 0.5 * np.sum((beside @ H) * beside, axis=1)
        own = log_likelihood(loose.rows, mode + beside, np.full(len(draws), a))
        return value - own_value + others + own

    def along(j, places):
        return told(np.outer(places, np.eye(len(root))[j]))

    draws, log_q = z.copy(), norm.logpdf(z)
    for j in range(1, bends + 1):
        draws[:, j], log_q[:, j] = quantiles(partial(along, j), z[:, j])
    log_q = log_q.sum(axis=1) - np.linalg.slogdet(root)[1]
    return Bent(mode + draws @ root.T, log_q, draws[:, 0], told(draws))


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
