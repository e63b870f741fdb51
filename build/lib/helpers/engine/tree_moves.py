"""A forest, compiled: trees that change one at a time against what the others leave (Chipman, George & McCulloch 2010).

A tree is a heap: the children of node i are 2i+1 and 2i+2, and `variable[i]` is what node i splits by, -1 for a leaf
and -2 where the tree has no node. A step grows a leaf into two, prunes two into one, or changes the rule above two.
"""

import math

import numpy as np
from numba import njit

DEPTH = 5  # by default one prior branch in twenty thousand would go deeper
NODES = 2 ** (DEPTH + 1) - 1
GROW, PRUNE = 0.35, 0.35  # chances of a step's kind; the rest changes a rule
compiled = njit(nogil=True, cache=True)


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
    u = 0.0 if variable[0] == -1 else rng.random()
    if u < GROW:
        grow(X, variable, value, leaf, rest, noise2, leaf2, alpha, beta, rng)
    elif u < GROW + PRUNE:
        prune(X, variable, value, leaf, rest, noise2, leaf2, alpha, beta, rng)
    else:
        change_rule(X, variable, value, leaf, rest, noise2, leaf2, rng)


@compiled
def grow(X, variable, value, leaf, rest, noise2, leaf2, alpha, beta, rng):
    """Split a leaf by a rule drawn from its prior."""
    stump = variable[0] == -1
    node, leaves = choose(variable, 0, rng)
    if node < 0:
        return
    k, c, _ = rule(X, leaf, node, node, rng)
    gain = sums(leaf, rest, node, node, X, k, c, noise2, leaf2) - whole(leaf, rest, node, node, noise2, leaf2)
    if gain == -np.inf:
        return
    left, right = 2 * node + 1, 2 * node + 2
    variable[node], variable[left], variable[right] = k, -1, -1
    _, parents = choose(variable, 1, rng)
    gain += _prior(node, alpha, beta) + _way_back(parents, leaves, stump)
    if math.log(1.0 - rng.random()) < gain:
        value[node] = c
        _send(X, leaf, node, node, left, right, k, c)
    else:
        variable[node], variable[left], variable[right] = -1, -2, -2


@compiled
def prune(X, variable, value, leaf, rest, noise2, leaf2, alpha, beta, rng):
    """Make one leaf of two siblings."""
    node, parents = choose(variable, 1, rng)
    left, right, k = 2 * node + 1, 2 * node + 2, variable[node]
    before = sums(leaf, rest, left, right, X, k, value[node], noise2, leaf2)
    variable[node], variable[left], variable[right] = -1, -2, -2
    _, leaves = choose(variable, 0, rng)
    gain = whole(leaf, rest, left, right, noise2, leaf2) - before - _prior(node, alpha, beta)
    if math.log(1.0 - rng.random()) < gain - _way_back(parents, leaves, variable[0] == -1):
        for i in range(len(leaf)):
            if leaf[i] == left or leaf[i] == right:
                leaf[i] = node
    else:
        variable[node], variable[left], variable[right] = k, -1, -1


@compiled
def change_rule(X, variable, value, leaf, rest, noise2, leaf2, rng):
    """Another rule, drawn from its prior, above two sibling leaves."""
    node, _ = choose(variable, 1, rng)
    left, right = 2 * node + 1, 2 * node + 2
    before = sums(leaf, rest, left, right, X, variable[node], value[node], noise2, leaf2)
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
def _way_back(parents, leaves, stump):
    """Log odds of proposing to prune what has just grown against proposing to grow it; a stump can only grow."""
    return math.log((PRUNE / parents) / ((1.0 if stump else GROW) / leaves))


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
def stumps(n, trees):
    """So many trees without a split: variables, values, each row's leaf, each row's height."""
    variable = np.full((trees, NODES), -2)
    variable[:, 0] = -1
    return variable, np.zeros((trees, NODES)), np.zeros((trees, n), np.int64), np.zeros((trees, n))
