"""What the treatment does to the chance of a yes: differences of Φ, averaged over the rows at hand.

The effect on the mean of a continuous outcome is α itself. A binary outcome's α shifts an index, and its effect on the
chance of Y = 1 depends on where a row stands: Φ(μ₁) - Φ(μ₀), since U is standard normal in a tank where T is set.
"""

import numpy as np
from joblib import Parallel, cpu_count, delayed
from scipy.special import ndtr

from helpers.engine.likelihoods import BLOCK, numbers
from helpers.engine.pairs import PAIRS
from helpers.moments import cuts

POINTS = 100.0  # chances are told in percentage points
CHUNK = 2**16  # numbers held at a time, in the cache


def average_effect(design, theta_O, offset=None):
    """The effect that is read, of many θ_O.

    Parameters
    ----------
    design : Design
    theta_O : ndarray, shape (..., size of θ_O)
        (intercept_O, β_O, δ, α).
    offset : ndarray, shape (..., n), optional
        What a forest adds to each row's index.

    Returns
    -------
    ndarray, shape (...)
        α for a continuous outcome. For a binary one the average over rows of Φ(μ₁) - Φ(μ₀), in percentage points: T = 1
        against 0, or a continuous T one unit higher than it was.
    """
    if design.outcome_kind == "continuous":
        return theta_O[..., -1]
    flat, size = theta_O.reshape(-1, theta_O.shape[-1]), max(1, CHUNK // min(design.n, BLOCK))
    more = np.zeros((len(flat), 1)) if offset is None else offset.reshape(-1, design.n)
    parts = [slice(i, i + size) for i in range(0, len(flat), size)]
    jobs = (delayed(_difference)(design, flat[part], more[part]) for part in parts)
    each = Parallel(n_jobs=min(cpu_count(), len(parts)), require="sharedmem")(jobs)
    return POINTS * np.concatenate(each).reshape(theta_O.shape[:-1])


def imputed_chances(rows, theta, a, steps):
    """The chance of Y = 1 after a step in the treatment, given the row's own answer, averaged over groups of rows.

    The latent error stays with the row: U > -μ where y = 1, and the index moves from μ to μ + step. With
    K(m) = P(U > -m, T) the chance is K(min(μ, μ + step))/K(μ) for a yes; a no likewise keeps its own side.

    Parameters
    ----------
    rows : Rows
        All n of them, with a binary outcome.
    theta : ndarray, shape (draws, rows.size)
    a : ndarray, shape (draws,)
    steps : ndarray, shape (draws, n)
        What the step adds to each row's index, draw by draw.

    Returns
    -------
    ndarray, shape (draws, n)
    """
    pair = PAIRS[rows.kinds]
    mu, v = numbers(rows, theta)
    s, q, a = 2 * rows.y - 1, 2 * rows.t - 1, a[:, None]
    kept = np.where(s > 0, np.minimum(mu, mu + steps), np.maximum(mu, mu + steps))
    stays = np.exp(pair.kernel(kept, v, s, q, a) - pair.kernel(mu, v, s, q, a))
    return np.where(s > 0, stays, 1 - stays)


def _difference(design, theta_O, offset):
    """Averaged over rows, a block of them at a time."""
    k, size = int(design.intercept_O), len(design.moderators)
    end = theta_O.shape[1] - 1
    beta, delta = np.zeros((2, len(theta_O), design.C.shape[1]))
    beta[:, design.in_outcome], delta[:, design.moderates] = theta_O[:, k : end - size], theta_O[:, end - size : end]
    total, dose = 0.0, design.dose
    for block in cuts(design.n, BLOCK):
        C, here = design.C[block], offset[:, block] if offset.shape[1] > 1 else offset
        before = here + beta @ C.T + (theta_O[:, :1] if k else 0.0)
        step = theta_O[:, -1:] + delta @ C.T
        if design.kind == "continuous":
            before = before + step * dose[block]
        total += (ndtr(before + step) - ndtr(before)).sum(axis=1)
    return total / design.n
