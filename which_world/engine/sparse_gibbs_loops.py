"""The collapsed Gibbs sampler of the sparse coefficients, θ and ρ summed out: compiled loops and
nothing else.

The state is each coefficient's *kind* (which spread of its list it has) and, kept up to date with
it, at every column k: the covariance C_k = (H_k + D)⁻¹, the mean M_k = C_k b_k and the log evidence
E_k. Changing one precision by d is a rank-one change of all three, so a coefficient's kinds are
compared at a cost of one number a column.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

REBUILT = 10  # rounds between two computations from scratch
NO_WEIGHT = (
    60.0  # a column so far below the best, in log evidence, adds nothing that a sum would notice
)
SCALE_STEPS = 10  # Metropolis steps of τ and c² between two rounds over the coefficients


class Likelihood(NamedTuple):
    """K columns of the likelihood, Gaussian in θ, and the prior of what is not sparse."""

    H: np.ndarray  # (K, m, m), precisions
    b: np.ndarray  # (K, m), precisions times modes
    height: np.ndarray  # (K,), log heights at θ = 0
    log_width: np.ndarray  # (K,), of what each column stands for
    base: np.ndarray  # (m,), prior precisions, to be overwritten where θ is sparse


class Sparse(NamedTuple):
    """Where the sparse coefficients stand in θ, and in which equation (0 or 1)."""

    place: np.ndarray  # (J,)
    equation: np.ndarray  # (J,)


class SieveNumbers(NamedTuple):
    """Spreads of a coefficient that is free, or zero, and the Beta of each equation's share."""

    slab: np.ndarray  # (J,)
    zero: np.ndarray  # (J,)
    beta_a: np.ndarray  # (2,)
    beta_b: np.ndarray  # (2,), below zero: the share is `beta_a`


class FunnelNumbers(NamedTuple):
    """Nodes of the half-Cauchy λ, and each equation's prior of τ and c²."""

    unit: np.ndarray  # (J,), what one unit of a sparse coefficient in θ stands for
    node: np.ndarray
    weight: np.ndarray
    tau_0: np.ndarray  # (2,)
    shape: np.ndarray  # (2,)
    scale: np.ndarray  # (2,)


class ColumnState(NamedTuple):
    """Prior precisions, and the columns under them: covariances, means, log evidences."""

    D: np.ndarray  # (m,)
    C: np.ndarray  # (K, m, m)
    M: np.ndarray  # (K, m)
    E: np.ndarray  # (K,)


class Plan(NamedTuple):
    """How many draws are kept, of how many rounds each, after how many."""

    draws: int
    thin: int
    tune: int


@njit(nogil=True, cache=True)
def sieve(likelihood, sparse, numbers, plan, rng):
    """Kinds 0 (a coefficient is zero) and 1 (it is free), and each equation's inclusion
    probability.

    Returns the kinds (draws, J), the inclusion probabilities (draws, 2) and the log evidences
    (draws, K).
    """
    (place, equation), log_width = sparse, likelihood.log_width
    columns, J = _blank(likelihood), len(place)
    kinds, options = np.empty(J, np.int64), np.empty((J, 2))
    for j in range(J):
        options[j, 0], options[j, 1] = 1 / numbers.zero[j] ** 2, 1 / numbers.slab[j] ** 2
        kinds[j] = rng.integers(0, 2)  # chains start far apart
        columns.D[place[j]] = options[j, kinds[j]]
    draws, K = plan.draws, len(log_width)
    kept = np.empty((draws, J), np.int64), np.empty((draws, 2)), np.empty((draws, K))
    share, log_share = np.empty(2), np.empty((2, 2))
    for step in range(plan.tune + plan.thin * draws):
        if step % REBUILT == 0:  # rounding errors of many small changes are swept away
            _rebuild(likelihood, columns)
        for e in range(2):
            free = np.sum(kinds[equation == e])
            total = np.sum(equation == e)
            a, b = numbers.beta_a[e], numbers.beta_b[e]
            share[e] = a if b < 0 else rng.beta(a + free, b + total - free)
            share[e] = min(max(share[e], 1e-300), 1 - 1e-16)
            log_share[e, 0], log_share[e, 1] = np.log1p(-share[e]), np.log(share[e])
        for j in _shuffled(J, rng):
            kinds[j] = _visit(place[j], options[j], log_share[equation[j]], columns, log_width, rng)
        for _ in range(2 * J):
            _swap(kinds, options, sparse, columns, log_width, rng)
        if step >= plan.tune and (step - plan.tune) % plan.thin == 0:
            i = (step - plan.tune) // plan.thin
            kept[0][i], kept[1][i], kept[2][i] = kinds, share, columns.E
    return kept


@njit(nogil=True, cache=True)
def funnel(likelihood, sparse, numbers, plan, rng):
    """Kinds: which node λ of the half-Cauchy a coefficient has; τ and c² of each equation by
    Metropolis.

    Returns the kinds (draws, J), τ and c² (draws, 4) and the log evidences (draws, K).
    """
    (place, equation), unit, node = sparse, numbers.unit, numbers.node
    columns, log_width, J = _blank(likelihood), likelihood.log_width, len(place)
    kinds, options = rng.integers(0, len(node), J), np.empty((J, len(node)))
    log_weight, hyper = np.log(numbers.weight), np.empty(4)
    for e in range(2):
        hyper[e] = numbers.tau_0[e] * np.exp(rng.normal())
        hyper[2 + e] = numbers.scale[e] / (numbers.shape[e] + 1) * np.exp(0.5 * rng.normal())
    draws, K, m = plan.draws, *likelihood.b.shape
    kept = np.empty((draws, J), np.int64), np.empty((draws, 4)), np.empty((draws, K))
    for step in range(plan.tune + plan.thin * draws):
        for j in range(J):
            tau, c2 = hyper[equation[j]], hyper[2 + equation[j]]
            for s in range(len(node)):
                options[j, s] = (unit[j] / _spread(tau, c2, node[s])) ** 2
            columns.D[place[j]] = options[j, kinds[j]]
        _rebuild(likelihood, columns)
        for j in _shuffled(J, rng):
            kinds[j] = _visit(place[j], options[j], log_weight, columns, log_width, rng)
        if step >= plan.tune and (step - plan.tune) % plan.thin == 0:
            i = (step - plan.tune) // plan.thin
            kept[0][i], kept[1][i], kept[2][i] = kinds, hyper, columns.E
        k = _choose(columns.E + log_width, rng)
        theta = columns.M[k] + np.linalg.cholesky(columns.C[k]) @ rng.normal(0.0, 1.0, m)
        theta[place] *= unit
        for e in range(2):
            _move_scales(e, hyper, theta, sparse, kinds, numbers, rng)
    return kept


@njit(nogil=True, cache=True)
def _blank(likelihood):
    """Columns to be filled, with the prior precisions of what is not sparse."""
    K, m = likelihood.b.shape
    return ColumnState(likelihood.base.copy(), np.empty((K, m, m)), np.empty((K, m)), np.empty(K))


@njit(nogil=True, cache=True)
def _shuffled(J, rng):
    """0 to J - 1 in random order."""
    order = np.arange(J)
    for i in range(J - 1, 0, -1):
        j = rng.integers(0, i + 1)
        order[i], order[j] = order[j], order[i]
    return order


@njit(nogil=True, cache=True)
def _spread(tau, c2, local):
    """τ λ̃ of the regularised horseshoe."""
    return tau * local * np.sqrt(c2 / (c2 + (tau * local) ** 2))


@njit(nogil=True, cache=True)
def _move_scales(e, hyper, theta, sparse, kinds, numbers, rng):
    """Random-walk Metropolis of log τ and log c² of equation e, given its coefficients and λ."""
    if not np.any(sparse.equation == e):
        return
    old = _scale_density(e, hyper[e], hyper[2 + e], theta, sparse, kinds, numbers)
    for step in range(2 * SCALE_STEPS):
        tau, c2 = hyper[e], hyper[2 + e]
        if step % 2:
            c2 *= np.exp(rng.normal())
        else:
            tau *= np.exp(0.7 * rng.normal())
        new = _scale_density(e, tau, c2, theta, sparse, kinds, numbers)
        if np.log(rng.random()) < new - old:
            hyper[e], hyper[2 + e], old = tau, c2, new


@njit(nogil=True, cache=True)
def _scale_density(e, tau, c2, theta, sparse, kinds, numbers):
    """Log density of τ and c² of equation e, given its coefficients and their λ."""
    shape, scale = numbers.shape[e], numbers.scale[e]
    value = np.log(tau) - np.log1p((tau / numbers.tau_0[e]) ** 2) - shape * np.log(c2) - scale / c2
    for j in range(len(sparse.place)):
        if sparse.equation[j] == e:
            s = _spread(tau, c2, numbers.node[kinds[j]])
            value += -np.log(s) - 0.5 * (theta[sparse.place[j]] / s) ** 2
    return value


@njit(nogil=True, cache=True)
def _rebuild(likelihood, columns):
    """Covariance, mean and log evidence of every column from scratch, under its D."""
    (H, b, height, _, _), (D, C, M, E) = likelihood, columns
    log_D = 0.0
    for value in D:
        log_D += np.log(value) if value > 0 else 0.0
    for k in range(len(H)):
        log_det = _invert(H[k], D, C[k])
        M[k] = C[k] @ b[k]
        E[k] = height[k] + 0.5 * log_D - 0.5 * log_det + 0.5 * np.dot(b[k], M[k])


@njit(nogil=True, cache=True)
def _invert(H, D, C):
    """(H + diag D)⁻¹ into C, and its log determinant: Gauss-Jordan, without pivots."""
    log_det = 0.0
    C[:] = H + np.diag(D)
    for p in range(len(D)):
        pivot = C[p, p]
        log_det += np.log(pivot)
        C[p, p] = 1.0
        row = C[p] / pivot
        for i in range(len(D)):
            factor = C[i, p]
            C[i, p] = 0.0
            for j in range(len(D)):
                C[i, j] -= factor * row[j]
        C[p] = row
    return log_det


@njit(nogil=True, cache=True)
def _choose(log_weight, rng):
    """An index drawn by its weight."""
    cumulative = np.cumsum(np.exp(log_weight - np.max(log_weight)))
    return min(np.searchsorted(cumulative, rng.random() * cumulative[-1]), len(log_weight) - 1)


@njit(nogil=True, cache=True)
def _total(E, log_width):
    """The log of all columns' evidence together."""
    top = np.max(E + log_width)
    return top + np.log(np.sum(np.exp(E + log_width - top)))


@njit(nogil=True, cache=True)
def _visit(p, options, log_prior, columns, log_width, rng):
    """Draw the kind of the coefficient at p given all others, and change the columns to it."""
    D, C, M, E = columns
    log_weight, value, t = np.empty(len(options)), np.empty(len(E)), np.empty(len(E))
    level, variance, pull = E + log_width, C[:, p, p].copy(), 0.5 * M[:, p] ** 2
    for s in range(len(options)):
        d, top, total = options[s] - D[p], -np.inf, 0.0
        for k in range(len(E)):
            t[k] = 1 + d * variance[k]
            value[k] = level[k] - d * pull[k] / t[k]
            top = max(top, value[k])
        for k in range(len(E)):
            if value[k] > top - NO_WEIGHT:
                total += np.exp(value[k] - top) / np.sqrt(t[k])
        log_weight[s] = log_prior[s] + 0.5 * np.log(options[s]) + top + np.log(total)
    s = _choose(log_weight, rng)
    _change(p, options[s], columns)
    return s


@njit(nogil=True, cache=True)
def _change(p, precision, columns):
    """Give the coefficient at p another prior precision: a change of rank one."""
    D, C, M, E = columns
    d = precision - D[p]
    if d == 0.0:
        return
    half = 0.5 * np.log(precision / D[p])
    for k in range(len(E)):
        t = 1 + d * C[k, p, p]
        E[k] += half - 0.5 * np.log(t) - 0.5 * d * M[k, p] ** 2 / t
        column, step = C[k, p].copy(), d / t * M[k, p]
        for i in range(len(column)):
            M[k, i] -= step * column[i]
            factor = d / t * column[i]
            for j in range(len(column)):
                C[k, i, j] -= factor * column[j]
    D[p] = precision


@njit(nogil=True, cache=True)
def _swap(kinds, options, sparse, columns, log_width, rng):
    """Metropolis: a free coefficient and a zero one of an equation change roles, judged before."""
    (place, equation), (D, C, M, E) = sparse, columns
    i, j = rng.integers(0, len(kinds)), rng.integers(0, len(kinds))
    if equation[i] != equation[j] or kinds[i] == kinds[j]:
        return
    p, q, new_p, new_q = place[i], place[j], options[i, kinds[j]], options[j, kinds[i]]
    d, e, value = new_p - D[p], new_q - D[q], np.empty(len(E))
    for k in range(len(E)):
        s_p, s_q, both = 1 + d * C[k, p, p], 1 + e * C[k, q, q], C[k, p, q]
        t = s_p * s_q - d * e * both**2
        x_p, x_q = s_q * M[k, p] - both * e * M[k, q], s_p * M[k, q] - both * d * M[k, p]
        value[k] = E[k] - 0.5 * np.log(t) - 0.5 * (d * M[k, p] * x_p + e * M[k, q] * x_q) / t
    gain = (
        _total(value, log_width)
        + 0.5 * np.log(new_p * new_q / (D[p] * D[q]))
        - _total(E, log_width)
    )
    if np.log(rng.random()) < gain:
        _change(p, new_p, columns)
        _change(q, new_q, columns)
        kinds[i], kinds[j] = kinds[j], kinds[i]
