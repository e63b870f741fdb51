"""Forests by backfitting, compiled: the sampler behind `fit` for a joint model with `bart()` in an equation.

One sweep draws everything once. With V the treatment's error (for a binary treatment latent, and truncated to the
side that t names), each equation is a regression with known noise given the other's error:

    y - λV              ~ Normal(A θ_O + forest_O, σ_U √(1-ρ²)),      λ = ρ σ_U/σ_V
    η + V - ρ (σ_V/σ_U) u  ~ Normal(Z θ_T + forest_T, σ_V √(1-ρ²)),      u = y - A θ_O - forest_O

so coefficients are drawn from their Gaussian and trees change one at a time against what the others leave
(Chipman, George & McCulloch 2010). ρ and σ_U move with a latent V integrated out, and ρ moves along the ridge:
whatever it adds to the mean of U given T and x is taken out of θ_O in the same step.

A tree is a heap: the children of node i are 2i+1 and 2i+2, and `cut[0, i]` is its variable, -1 for a leaf.
"""

import math

import numpy as np
from numba import njit

DEPTH = 5  # by default one prior branch in twenty thousand would go deeper
NODES = 2 ** (DEPTH + 1) - 1
compiled = njit(nogil=True, cache=True)


@compiled
def log_Phi(z):
    """log Φ(z), by its asymptotic series where erfc would underflow."""
    if z > -30.0:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2.0)))
    w = 1.0 / (z * z)
    return -0.5 * z * z - math.log(-z) - 0.5 * math.log(2.0 * math.pi) + math.log1p(-w + 3.0 * w * w)


@compiled
def above(bound, rng):
    """A standard normal above a bound: by rejection near the middle, Robert's exponential in the tail."""
    if bound < 0.5:
        while True:
            z = rng.normal()
            if z > bound:
                return z
    rate = 0.5 * (bound + math.sqrt(bound * bound + 4.0))
    while True:
        z = bound - math.log(1.0 - rng.random()) / rate
        if math.log(1.0 - rng.random()) < -0.5 * (z - rate) ** 2:
            return z


@compiled
def gaussian(A, target, noise, mean, precision, rng):
    """Coefficients of target = A θ + Normal(0, noise), from their posterior."""
    P = A.T @ A / noise**2 + np.diag(precision)
    L = np.linalg.cholesky(P)
    centre = np.linalg.solve(P, A.T @ target / noise**2 + precision * mean)
    return centre + np.linalg.solve(L.T, rng.normal(0.0, 1.0, len(mean)))


@compiled
def evidence(count, total, noise2, leaf2):
    """Log evidence of a leaf's rows, up to what does not depend on the tree."""
    seen = noise2 + count * leaf2
    return -0.5 * math.log(seen / noise2) + 0.5 * leaf2 * total * total / (noise2 * seen)


@compiled
def depth_of(node):
    """How many splits lie above a node."""
    return math.floor(math.log2(node + 1.0) + 1e-9)


@compiled
def split_chance(node, alpha, beta):
    """Prior probability that a node splits."""
    depth = depth_of(node)
    return 0.0 if depth >= DEPTH else alpha * (1.0 + depth) ** (-beta)


@compiled
def choose(variable, kind, rng):
    """One node of a kind (0: a leaf that may grow, 1: a parent of two leaves), and how many there are."""
    found, count = -1, 0
    for node in range(NODES):
        if variable[node] == -2:
            continue
        if kind == 0:
            fits = variable[node] == -1 and depth_of(node) < DEPTH
        else:
            fits = variable[node] >= 0 and variable[2 * node + 1] == -1 and variable[2 * node + 2] == -1
        if fits:
            count += 1
            if rng.random() * count < 1.0:
                found = node
    return found, count


@compiled
def rule(X, leaf, left, right, rng):
    """A variable, and one of the values it takes among the rows of two sibling leaves (or of one)."""
    found, count = -1, 0
    for i in range(len(leaf)):
        if leaf[i] == left or leaf[i] == right:
            count += 1
            if rng.random() * count < 1.0:
                found = i
    variable = rng.integers(0, X.shape[1])
    return variable, X[max(found, 0), variable], count


@compiled
def sums(leaf, rest, first, second, X, variable, value, noise2, leaf2):
    """Log evidence of the rows of two leaves once split by a rule; -inf when a side would be empty."""
    n_left, n_right, left, right = 0, 0, 0.0, 0.0
    for i in range(len(leaf)):
        if leaf[i] == first or leaf[i] == second:
            if X[i, variable] <= value:
                n_left, left = n_left + 1, left + rest[i]
            else:
                n_right, right = n_right + 1, right + rest[i]
    if n_left == 0 or n_right == 0:
        return -np.inf
    return evidence(n_left, left, noise2, leaf2) + evidence(n_right, right, noise2, leaf2)


@compiled
def whole(leaf, rest, first, second, noise2, leaf2):
    """Log evidence of the rows of two leaves (or of one) taken together."""
    count, total = 0, 0.0
    for i in range(len(leaf)):
        if leaf[i] == first or leaf[i] == second:
            count, total = count + 1, total + rest[i]
    return evidence(count, total, noise2, leaf2)


@compiled
def change_tree(X, variable, value, leaf, rest, noise2, leaf2, alpha, beta, rng):
    """One Metropolis step on a tree: grow, prune, or change the rule above two leaves."""
    stump = variable[0] == -1
    u = 0.0 if stump else rng.random()
    if u < 0.35:
        node, leaves = choose(variable, 0, rng)
        if node < 0:
            return
        k, c, _ = rule(X, leaf, node, node, rng)
        gain = sums(leaf, rest, node, node, X, k, c, noise2, leaf2) - whole(leaf, rest, node, node, noise2, leaf2)
        if gain == -np.inf:
            return
        left, right = 2 * node + 1, 2 * node + 2
        variable[node], variable[left], variable[right] = k, -1, -1
        gain += _prior(node, alpha, beta) + _proposal(variable, leaves, stump, rng)
        if math.log(1.0 - rng.random()) < gain:
            value[node] = c
            _send(X, leaf, node, node, left, right, k, c)
        else:
            variable[node], variable[left], variable[right] = -1, -2, -2
        return
    node, parents = choose(variable, 1, rng)
    left, right, k, c = 2 * node + 1, 2 * node + 2, variable[node], value[node]
    before = sums(leaf, rest, left, right, X, k, c, noise2, leaf2)
    if u < 0.7:
        variable[node], variable[left], variable[right] = -1, -2, -2
        _, leaves = choose(variable, 0, rng)
        gain = whole(leaf, rest, left, right, noise2, leaf2) - before - _prior(node, alpha, beta)
        gain -= math.log((0.35 / parents) / ((1.0 if variable[0] == -1 else 0.35) / leaves))
        if math.log(1.0 - rng.random()) < gain:
            for i in range(len(leaf)):
                if leaf[i] == left or leaf[i] == right:
                    leaf[i] = node
        else:
            variable[node], variable[left], variable[right] = k, -1, -1
        return
    k, c, _ = rule(X, leaf, left, right, rng)
    if math.log(1.0 - rng.random()) < sums(leaf, rest, left, right, X, k, c, noise2, leaf2) - before:
        variable[node], value[node] = k, c
        _send(X, leaf, left, right, left, right, k, c)


@compiled
def _prior(node, alpha, beta):
    """Log prior odds of a split of this node into two leaves against a leaf."""
    here, below = split_chance(node, alpha, beta), split_chance(2 * node + 1, alpha, beta)
    return math.log(here) + 2.0 * math.log(1.0 - below) - math.log(1.0 - here)


@compiled
def _proposal(variable, leaves, stump, rng):
    """Log odds of proposing to prune what has just grown against proposing to grow it."""
    _, parents = choose(variable, 1, rng)
    return math.log((0.35 / parents) / ((1.0 if stump else 0.35) / leaves))


@compiled
def _send(X, leaf, first, second, left, right, k, c):
    for i in range(len(leaf)):
        if leaf[i] == first or leaf[i] == second:
            leaf[i] = left if X[i, k] <= c else right


@compiled
def change_forest(X, variable, value, leaf, height, total, target, noise, leaf_sd, alpha, beta, rng):
    """Every tree once, against what the others leave of the target; `total` is their sum, updated in place."""
    n, noise2, leaf2 = len(target), noise**2, leaf_sd**2
    rest, count, part, drawn = np.empty(n), np.zeros(NODES), np.zeros(NODES), np.zeros(NODES)
    for j in range(len(variable)):
        for i in range(n):
            total[i] -= height[j, i]
            rest[i] = target[i] - total[i]
        change_tree(X, variable[j], value[j], leaf[j], rest, noise2, leaf2, alpha, beta, rng)
        count[:], part[:] = 0.0, 0.0
        for i in range(n):
            count[leaf[j, i]] += 1.0
            part[leaf[j, i]] += rest[i]
        for node in range(NODES):
            if variable[j, node] == -1:
                seen = noise2 + count[node] * leaf2
                drawn[node] = leaf2 * part[node] / seen + math.sqrt(noise2 * leaf2 / seen) * rng.normal()
        for i in range(n):
            height[j, i] = drawn[leaf[j, i]]
            total[i] += height[j, i]


@compiled
def log_density(y, t, mean, index, a, log_U, log_V, binary):
    """The log-likelihood of `helpers.likelihoods`, given both indices."""
    sinh, cosh, total = math.sinh(a), math.cosh(a), 0.0
    for i in range(len(y)):
        r = (y[i] - mean[i]) * math.exp(-log_U)
        if binary:
            total += -0.5 * r * r + log_Phi((2.0 * t[i] - 1.0) * (index[i] * cosh + r * sinh)) - log_U
        else:
            v = (t[i] - index[i]) * math.exp(-log_V)
            total += -0.5 * (v * v + (r * cosh - v * sinh) ** 2) + math.log(cosh) - log_U - log_V
    return total


@compiled
def latent(y, t, mean, index, a, log_U, rng):
    """V of a binary treatment given its side and the outcome's error."""
    rho, V = math.tanh(a), np.empty(len(y))
    spread = math.sqrt(1.0 - rho * rho)
    for i in range(len(y)):
        q, centre = 2.0 * t[i] - 1.0, rho * (y[i] - mean[i]) * math.exp(-log_U)
        V[i] = centre + q * spread * above(-q * (index[i] + centre) / spread, rng)
    return V


@compiled
def pull(t, index, log_V, binary):
    """E[V | T, x] in units of σ_V: what one unit of ρσ_U adds to the mean of Y given T and x."""
    m = np.empty(len(t))
    for i in range(len(t)):
        q = 2.0 * t[i] - 1.0
        mills = q * math.exp(-0.5 * index[i] ** 2 - log_Phi(q * index[i])) / math.sqrt(2.0 * math.pi)
        m[i] = mills if binary else (t[i] - index[i]) * math.exp(-log_V)
    return m


@compiled
def half_normal(log_sigma, scale):
    """Log density of log σ when σ is half-normal."""
    return -0.5 * (math.exp(log_sigma) / scale) ** 2 + log_sigma


@compiled
def normal_terms(theta, mean, precision):
    """Log density of independent normals."""
    return -0.5 * np.sum(precision * (theta - mean) ** 2)


@compiled
def move_rho(y, t, A, inverse, rest, index, theta, a, log_U, log_V, normal, grid, density, scale_U, binary, rng):
    """ρ by Metropolis along the ridge, α and its companions giving way; returns θ_O, a and log σ_U."""
    mean, precision = normal
    new = a + np.array([0.05, 0.2, 0.6])[rng.integers(0, 3)] * rng.normal()
    log_new = log_U if binary else log_U + math.log(math.cosh(new)) - math.log(math.cosh(a))
    step = math.tanh(new) * math.exp(log_new) - math.tanh(a) * math.exp(log_U)
    moved = theta - step * (inverse @ (A.T @ pull(t, index, log_V, binary)))
    gain = np.interp(new, grid, density) - np.interp(a, grid, density)
    gain += normal_terms(moved, mean, precision) - normal_terms(theta, mean, precision)
    gain += half_normal(log_new, scale_U) - half_normal(log_U, scale_U)
    gain += log_density(y, t, A @ moved + rest, index, new, log_new, log_V, binary)
    gain -= log_density(y, t, A @ theta + rest, index, a, log_U, log_V, binary)
    if abs(new) < grid[-1] and math.log(1.0 - rng.random()) < gain:
        return moved, new, log_new
    return theta, a, log_U


@compiled
def move_spread(y, t, fitted, index, a, log_U, log_V, scale_U, scale_V, which, binary, rng):
    """σ_U (which 0) or σ_V (which 1) by Metropolis; returns both logarithms."""
    step = 1.7 / math.sqrt(len(y)) * rng.normal()
    new_U, new_V = log_U + step * (which == 0), log_V + step * (which == 1)
    gain = half_normal(new_U, scale_U) - half_normal(log_U, scale_U)
    gain += half_normal(new_V, scale_V) - half_normal(log_V, scale_V)
    gain += log_density(y, t, fitted, index, a, new_U, new_V, binary)
    gain -= log_density(y, t, fitted, index, a, log_U, log_V, binary)
    if math.log(1.0 - rng.random()) < gain:
        return new_U, new_V
    return log_U, log_V


@compiled
def stumps(n, trees):
    """So many trees without a split: variables, values, each row's leaf, each row's height."""
    variable = np.full((trees, NODES), -2)
    variable[:, 0] = -1
    return variable, np.zeros((trees, NODES)), np.zeros((trees, n), np.int64), np.zeros((trees, n))


@compiled
def walk(y, t, A, Z, X_O, X_T, normal_O, normal_T, forest_O, forest_T, scales, grid, density, start, binary, plan, rng):
    """Draws of θ_O, θ_T, (a, log σ_U, log σ_V), forest_O and forest_T.

    `normal_O` and `normal_T` hold means and precisions of θ_O and θ_T; `forest_O` and `forest_T` (trees, alpha, beta,
    leaf sd, level); `scales` those of σ_U and σ_V; `start` (a, log σ_U, log σ_V); `plan` (draws, tune, thin). One
    point in `grid` fixes ρ.
    """
    draws, tune, thin = plan
    (a, log_U, log_V), n = start, len(y)
    theta, gamma = normal_O[0].copy(), normal_T[0].copy()
    trees_O, trees_T = stumps(n, int(forest_O[0])), stumps(n, int(forest_T[0]))
    f_O, f_T = np.zeros(n), np.zeros(n)
    inverse = np.linalg.inv(A.T @ A)
    kept = (np.empty((draws, A.shape[1])), np.empty((draws, Z.shape[1])), np.empty((draws, 3)),
            np.empty((draws, n if forest_O[0] > 0 else 0)), np.empty((draws, n if forest_T[0] > 0 else 0)))  # fmt: skip
    for sweep in range(tune + draws * thin):
        level_O, index = forest_O[4] + f_O, Z @ gamma + forest_T[4] + f_T
        if len(grid) > 1:
            for _ in range(2):
                theta, a, log_U = move_rho(y, t, A, inverse, level_O, index, theta, a, log_U, log_V, normal_O,
                                           grid, density, scales[0], binary, rng)  # fmt: skip
        for which in range(1 if binary else 2):
            log_U, log_V = move_spread(y, t, A @ theta + level_O, index, a, log_U, log_V, scales[0], scales[1], which,
                                       binary, rng)  # fmt: skip
        V = latent(y, t, A @ theta + level_O, index, a, log_U, rng) if binary else t - index
        T = index + V
        rho, ratio = math.tanh(a), math.exp(log_U - log_V)
        noise = math.sqrt(1.0 - rho * rho)
        share = y - rho * ratio * V
        theta = gaussian(A, share - level_O, noise * math.exp(log_U), normal_O[0], normal_O[1], rng)
        if forest_O[0] > 0:
            change_forest(X_O, *trees_O, f_O, share - A @ theta - forest_O[4], noise * math.exp(log_U), forest_O[3],
                          forest_O[1], forest_O[2], rng)  # fmt: skip
        share = T - rho / ratio * (y - A @ theta - forest_O[4] - f_O)
        if Z.shape[1] > 0:
            gamma = gaussian(Z, share - forest_T[4] - f_T, noise * math.exp(log_V), normal_T[0], normal_T[1], rng)
        if forest_T[0] > 0:
            change_forest(X_T, *trees_T, f_T, share - Z @ gamma - forest_T[4], noise * math.exp(log_V), forest_T[3],
                          forest_T[1], forest_T[2], rng)  # fmt: skip
        if sweep >= tune and (sweep - tune) % thin == thin - 1:
            i = (sweep - tune) // thin
            kept[0][i], kept[1][i], kept[2][i] = theta, gamma, np.array([a, log_U, log_V])
            if forest_O[0] > 0:
                kept[3][i] = forest_O[4] + f_O
            if forest_T[0] > 0:
                kept[4][i] = forest_T[4] + f_T
    return kept
