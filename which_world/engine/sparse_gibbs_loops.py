"""The collapsed Gibbs sampler of the sparse coefficients, θ and ρ summed out: compiled loops and
nothing else.

The state is each coefficient's *kind* (which spread of its list it has) and, kept up to date with
it, at every column k: the covariance C_k = (H_k + D)⁻¹, the mean M_k = C_k b_k and the log evidence
E_k. Changing one precision by d is a rank-one change of all three, so a coefficient's kinds are
compared at a cost of one number a column.
"""

import numpy as np
from numba import njit

REBUILT = 10  # rounds between two computations from scratch
FAR = 60.0  # a column so far below the best, in log evidence, adds nothing that a sum would notice
STEPS = 10  # Metropolis steps of τ and c² between two rounds over the coefficients


@njit(nogil=True, cache=True)
def sieve(
    H, b, height, log_width, D, place, equation, slab, zero, beta_a, beta_b, draws, thin, tune, rng
):
    """Kinds 0 (a coefficient is zero) and 1 (it is free), and each equation's inclusion
    probability.

    Returns the kinds (draws, J), the inclusion probabilities (draws, 2) and the log evidences
    (draws, K). `beta_b` below zero marks a fixed inclusion probability, `beta_a`.
    """
    J, K, m = len(place), *b.shape
    C, M, E = np.empty((K, m, m)), np.empty((K, m)), np.empty(K)
    kinds, options = np.empty(J, np.int64), np.empty((J, 2))
    for j in range(J):
        options[j, 0], options[j, 1] = 1 / zero[j] ** 2, 1 / slab[j] ** 2
        kinds[j] = rng.integers(0, 2)  # chains start far apart
        D[place[j]] = options[j, kinds[j]]
    kept = np.empty((draws, J), np.int64), np.empty((draws, 2)), np.empty((draws, K))
    share, log_share = np.empty(2), np.empty((2, 2))
    for step in range(tune + thin * draws):
        if step % REBUILT == 0:  # rounding errors of many small changes are swept away
            _rebuild(H, b, height, D, C, M, E)
        for e in range(2):
            free = np.sum(kinds[equation == e])
            total = np.sum(equation == e)
            fixed = beta_b[e] < 0
            share[e] = beta_a[e] if fixed else rng.beta(beta_a[e] + free, beta_b[e] + total - free)
            share[e] = min(max(share[e], 1e-300), 1 - 1e-16)
            log_share[e, 0], log_share[e, 1] = np.log1p(-share[e]), np.log(share[e])
        for j in _shuffled(J, rng):
            kinds[j] = _visit(
                j, place[j], options[j], log_share[equation[j]], D, C, M, E, log_width, rng
            )
        for _ in range(2 * J):
            _swap(kinds, options, place, equation, D, C, M, E, log_width, rng)
        if step >= tune and (step - tune) % thin == 0:
            i = (step - tune) // thin
            kept[0][i], kept[1][i], kept[2][i] = kinds, share, E
    return kept


@njit(nogil=True, cache=True)
def funnel(
    H,
    b,
    height,
    log_width,
    D,
    place,
    equation,
    unit,
    node,
    weight,
    tau_0,
    shape,
    scale,
    draws,
    thin,
    tune,
    rng,
):
    """Kinds: which node λ of the half-Cauchy a coefficient has; τ and c² of each equation by
    Metropolis.

    `unit` (J,) is what one unit of a sparse coefficient in θ stands for.

    Returns the kinds (draws, J), τ and c² (draws, 4) and the log evidences (draws, K).
    """
    J, K, m = len(place), *b.shape
    C, M, E = np.empty((K, m, m)), np.empty((K, m)), np.empty(K)
    kinds, options, log_weight = (
        rng.integers(0, len(node), J),
        np.empty((J, len(node))),
        np.log(weight),
    )
    hyper = np.empty(4)
    for e in range(2):
        hyper[e] = tau_0[e] * np.exp(rng.normal())
        hyper[2 + e] = scale[e] / (shape[e] + 1) * np.exp(0.5 * rng.normal())
    kept = np.empty((draws, J), np.int64), np.empty((draws, 4)), np.empty((draws, K))
    for step in range(tune + thin * draws):
        for j in range(J):
            for s in range(len(node)):
                options[j, s] = (
                    unit[j] / _spread(hyper[equation[j]], hyper[2 + equation[j]], node[s])
                ) ** 2
            D[place[j]] = options[j, kinds[j]]
        _rebuild(H, b, height, D, C, M, E)
        for j in _shuffled(J, rng):
            kinds[j] = _visit(j, place[j], options[j], log_weight, D, C, M, E, log_width, rng)
        if step >= tune and (step - tune) % thin == 0:
            i = (step - tune) // thin
            kept[0][i], kept[1][i], kept[2][i] = kinds, hyper, E
        k = _choose(E + log_width, rng)
        theta = M[k] + np.linalg.cholesky(C[k]) @ rng.normal(0.0, 1.0, m)
        theta[place] *= unit
        for e in range(2):
            _move_scales(
                e, hyper, theta, place, equation, node, kinds, tau_0[e], shape[e], scale[e], rng
            )
    return kept


@njit(nogil=True, cache=True)
def _shuffled(J, rng):
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
def _move_scales(e, hyper, theta, place, equation, node, kinds, tau_0, shape, scale, rng):
    """Random-walk Metropolis of log τ and log c² given the coefficients of equation e and their
    λ.
    """
    if not np.any(equation == e):
        return
    old = _scale_density(
        e, hyper[e], hyper[2 + e], theta, place, equation, node, kinds, tau_0, shape, scale
    )
    for step in range(2 * STEPS):
        tau, c2 = hyper[e], hyper[2 + e]
        if step % 2:
            c2 *= np.exp(rng.normal())
        else:
            tau *= np.exp(0.7 * rng.normal())
        new = _scale_density(e, tau, c2, theta, place, equation, node, kinds, tau_0, shape, scale)
        if np.log(rng.random()) < new - old:
            hyper[e], hyper[2 + e], old = tau, c2, new


@njit(nogil=True, cache=True)
def _scale_density(e, tau, c2, theta, place, equation, node, kinds, tau_0, shape, scale):
    value = np.log(tau) - np.log1p((tau / tau_0) ** 2) - shape * np.log(c2) - scale / c2
    for j in range(len(place)):
        if equation[j] == e:
            s = _spread(tau, c2, node[kinds[j]])
            value += -np.log(s) - 0.5 * (theta[place[j]] / s) ** 2
    return value


@njit(nogil=True, cache=True)
def _rebuild(H, b, height, D, C, M, E):
    """Covariance, mean and log evidence of every column from scratch;
    `height` holds all that D leaves alone.
    """
    log_D = 0.0
    for value in D:
        log_D += np.log(value) if value > 0 else 0.0
    for k in range(len(H)):
        log_det = _invert(H[k], D, C[k])
        M[k] = C[k] @ b[k]
        E[k] = height[k] + 0.5 * log_D - 0.5 * log_det + 0.5 * np.dot(b[k], M[k])


@njit(nogil=True, cache=True)
def _invert(H, D, C):
    """(H + diag D)⁻¹ into C, and the log determinant: Gauss and Jordan,
    who need no pivots where all is positive.
    """
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
    top = np.max(E + log_width)
    return top + np.log(np.sum(np.exp(E + log_width - top)))


@njit(nogil=True, cache=True)
def _visit(j, p, options, log_prior, D, C, M, E, log_width, rng):
    """Draw the kind of one coefficient given all others, ρ and θ summed out,
    and change the columns to it.
    """
    log_weight, value, t = np.empty(len(options)), np.empty(len(E)), np.empty(len(E))
    level, variance, pull = E + log_width, C[:, p, p].copy(), 0.5 * M[:, p] ** 2
    for s in range(len(options)):
        d, top, total = options[s] - D[p], -np.inf, 0.0
        for k in range(len(E)):
            t[k] = 1 + d * variance[k]
            value[k] = level[k] - d * pull[k] / t[k]
            top = max(top, value[k])
        for k in range(len(E)):
            if value[k] > top - FAR:
                total += np.exp(value[k] - top) / np.sqrt(t[k])
        log_weight[s] = log_prior[s] + 0.5 * np.log(options[s]) + top + np.log(total)
    s = _choose(log_weight, rng)
    _change(p, options[s], D, C, M, E)
    return s


@njit(nogil=True, cache=True)
def _change(p, precision, D, C, M, E):
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
def _swap(kinds, options, place, equation, D, C, M, E, log_width, rng):
    """Metropolis: let a free coefficient and a zero one of the same equation change roles,
    judged before it is done.
    """
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
        _change(p, new_p, D, C, M, E)
        _change(q, new_q, D, C, M, E)
        kinds[i], kinds[j] = kinds[j], kinds[i]
