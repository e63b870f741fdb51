"""Forests by backfitting, compiled: the sampler behind `fit` for a joint model with `bart()` in an
equation.

One sweep draws everything once. With V the treatment's error (for a binary treatment latent, and
truncated to the side that t names), each equation is a regression with known noise given the
other's error:

    y - λV              ~ Normal(A θ_O + forest_O, σ_U √(1-ρ²)),      λ = ρ σ_U/σ_V
    η + V - ρ (σ_V/σ_U) u  ~ Normal(Z θ_T + forest_T, σ_V √(1-ρ²)),      u = y - A θ_O - forest_O

so coefficients are drawn from their Gaussian, and the trees against what the others leave. A binary
outcome's y is latent as well, with σ_U = 1, and drawn from the side that the answer names. ρ and
σ_U move with a latent V integrated out, and ρ moves along the ridge: whatever it adds to the mean
of U given T and x is taken out of θ_O in the same step.

A tree is a heap: the children of node i are 2i+1 and 2i+2, and `variable[i]` is what node i splits
by, -1 for a leaf and -2 where the tree has no node. A step grows a leaf into two, prunes two into
one, or changes the rule above two (Chipman, George & McCulloch 2010). Heights are integrated out
meanwhile, so all that a step asks of the data are the number of rows and the sum in each leaf:
`count` and `part`, kept up to date.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

jitted = njit(nogil=True, cache=True)
# sums in an order that the processor likes
summed = njit(nogil=True, cache=True, fastmath={"reassoc", "nsz"})

# by default one prior branch in twenty thousand would go deeper; a byte holds a node up to depth 7
DEPTH = 5
HEAP = 2 ** (DEPTH + 1) - 1
DEEPEST = 2**DEPTH - 1  # the first node that may not split
GROW, PRUNE = 0.35, 0.35  # chances of a step's kind; the rest changes a rule
TREE_STEPS = 8  # of a tree between two draws of its heights
RIDGE_MOVES = 4  # moves of ρ in a sweep


class CoefficientPrior(NamedTuple):
    """The prior of an equation's coefficients."""

    mean: np.ndarray  # (p,)
    precision: np.ndarray  # (p, p)


class TreePrior(NamedTuple):
    """The prior of an equation's forest; 0 trees where it has none."""

    trees: int = 0
    alpha: float = 0.95  # a node at depth d splits with probability alpha (1 + d)^(-beta)
    beta: float = 2.0
    leaf_sd: float = 1.0
    level: float = 0.0  # what a forest of stumps at zero stands for


class ForestEquation(NamedTuple):
    """One equation: what is seen of it, and its priors."""

    response: np.ndarray  # (n,)
    columns: np.ndarray  # (n, p), what has coefficients
    X: np.ndarray  # (covariates, n), what the forest sees
    prior: CoefficientPrior
    growth: TreePrior
    sigma_scale: float  # of the half-normal prior of its σ; a binary response has none
    binary: bool


class Errors(NamedTuple):
    """The errors' distribution: a = atanh ρ, log σ_U, log σ_V."""

    a: float
    log_U: float
    log_V: float


class Grid(NamedTuple):
    """The log prior density of a = atanh ρ at points; one point holds ρ there."""

    a: np.ndarray
    log_density: np.ndarray


class Plan(NamedTuple):
    """How many draws are kept, how many sweeps go before, and how many to each draw."""

    draws: int
    tune: int
    thin: int


class Trees(NamedTuple):
    """A forest: the nodes of each tree (trees, nodes), and the leaf of each row (trees, n)."""

    variable: np.ndarray
    value: np.ndarray
    leaf: np.ndarray
    height: np.ndarray


class Tree(NamedTuple):
    """One tree, and the number and the sum of the rows in each of its leaves."""

    variable: np.ndarray
    value: np.ndarray
    leaf: np.ndarray
    count: np.ndarray
    part: np.ndarray


class Kept(NamedTuple):
    """Draws: coefficients and forest of both equations, and the errors (a, log σ_U, log σ_V)."""

    theta_O: np.ndarray
    theta_T: np.ndarray
    errors: np.ndarray
    forest_O: np.ndarray
    forest_T: np.ndarray


@jitted
def Phi(z):
    """Φ(z)."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


@jitted
def log_Phi(z):
    """log Φ(z), by its asymptotic series where erfc would underflow."""
    if z > -30.0:
        return math.log(Phi(z))
    w = 1.0 / (z * z)
    return (
        -0.5 * z * z - math.log(-z) - 0.5 * math.log(2.0 * math.pi) + math.log1p(-w + 3.0 * w * w)
    )


@jitted
def above(bound, rng):
    """A standard normal above a bound: by rejection, with Robert's exponential in the tail."""
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


@jitted
def gaussian(equation, square, target, noise, rng):
    """θ of target = columns θ + Normal(0, noise), from its posterior; `square`: columns'columns."""
    A, (mean, precision) = equation.columns, equation.prior
    P = square / noise**2 + precision
    L = np.linalg.cholesky(P)
    centre = np.linalg.solve(P, A.T @ target / noise**2 + precision @ mean)
    return centre + np.linalg.solve(L.T, rng.normal(0.0, 1.0, len(mean)))


@jitted
def log_likelihood(y, t, mean, index, errors, binary):
    """The log-likelihood of `which_world.engine.likelihoods`, given both indices."""
    a, log_U, log_V = errors
    sinh, cosh, scale_U, scale_V = math.sinh(a), math.cosh(a), math.exp(-log_U), math.exp(-log_V)
    # chances are multiplied, and their logarithm is taken before they vanish
    total, product = 0.0, 1.0
    for i in range(len(y)):
        r = (y[i] - mean[i]) * scale_U
        if not binary:
            v = (t[i] - index[i]) * scale_V
            total -= 0.5 * (v * v + (r * cosh - v * sinh) ** 2)
            continue
        total -= 0.5 * r * r
        z = (2.0 * t[i] - 1.0) * (index[i] * cosh + r * sinh)
        if z > -10.0:
            product *= Phi(z)
        else:
            total += log_Phi(z)
        if product < 1e-250:
            total, product = total + math.log(product), 1.0
    own = -log_U if binary else math.log(cosh) - log_U - log_V
    return total + math.log(product) + len(y) * own


@jitted
def latent(y, t, mean, index, errors, rng):
    """V of a binary treatment given its side and the outcome's error."""
    rho, V = math.tanh(errors.a), np.empty(len(y))
    spread = math.sqrt(1.0 - rho * rho)
    for i in range(len(y)):
        q, centre = 2.0 * t[i] - 1.0, rho * (y[i] - mean[i]) * math.exp(-errors.log_U)
        V[i] = centre + q * spread * above(-q * (index[i] + centre) / spread, rng)
    return V


@jitted
def latent_outcome(yes, mean, V, errors, rng):
    """y of a binary outcome given its side and the treatment's error; its σ is 1."""
    rho, y = math.tanh(errors.a), np.empty(len(yes))
    spread = math.sqrt(1.0 - rho * rho)
    for i in range(len(yes)):
        q, centre = 2.0 * yes[i] - 1.0, mean[i] + rho * V[i] * math.exp(-errors.log_V)
        y[i] = centre + q * spread * above(-q * centre / spread, rng)
    return y


@jitted
def pull(t, index, log_V, binary):
    """E[V | T, x] in units of σ_V: what one unit of ρσ_U adds to the mean of Y given T and x."""
    m, scale_V = np.empty(len(t)), math.exp(-log_V)
    for i in range(len(t)):
        if binary:
            q, z = 2.0 * t[i] - 1.0, index[i]
            log_height = -0.5 * z * z - 0.5 * math.log(2.0 * math.pi)
            m[i] = q * (
                math.exp(log_height) / Phi(q * z)
                if q * z > -10.0
                else math.exp(log_height - log_Phi(q * z))
            )
        else:
            m[i] = (t[i] - index[i]) * scale_V
    return m


@jitted
def half_normal(log_sigma, scale):
    """Log density of log σ when σ is half-normal."""
    return -0.5 * (math.exp(log_sigma) / scale) ** 2 + log_sigma


@jitted
def normal_terms(theta, prior):
    """Log density of jointly normal coefficients, but for what does not change."""
    off = theta - prior.mean
    return -0.5 * off @ (prior.precision @ off)


@jitted
def move_rho(y, outcome, treatment, inverse, rest, index, theta, errors, grid, rng):
    """ρ by Metropolis along the ridge, α and its companions giving way: θ_O, the errors and the
    log-likelihood.

    `rest` is the outcome's mean but for its columns, `inverse` the inverse of columns'columns.
    """
    A, t, scale_U = outcome.columns, treatment.response, outcome.sigma_scale
    answer, binary = outcome.binary, treatment.binary
    now = log_likelihood(y, t, A @ theta + rest, index, errors, binary)
    if len(grid.a) == 1:
        return theta, errors, now
    a, log_U, log_V = errors
    way = inverse @ (A.T @ pull(t, index, log_V, binary))
    for _ in range(RIDGE_MOVES):
        new = a + np.array([0.05, 0.2, 0.6])[rng.integers(0, 3)] * rng.normal()
        log_new = log_U
        if not (answer or binary):
            log_new = log_U + math.log(math.cosh(new)) - math.log(math.cosh(a))
        moved = theta - (math.tanh(new) * math.exp(log_new) - math.tanh(a) * math.exp(log_U)) * way
        then = log_likelihood(y, t, A @ moved + rest, index, Errors(new, log_new, log_V), binary)
        gain = then - now
        gain += np.interp(new, grid.a, grid.log_density)
        gain -= np.interp(a, grid.a, grid.log_density)
        gain += normal_terms(moved, outcome.prior) - normal_terms(theta, outcome.prior)
        gain += half_normal(log_new, scale_U) - half_normal(log_U, scale_U)
        if abs(new) < grid.a[-1] and math.log(1.0 - rng.random()) < gain:
            theta, a, log_U, now = moved, new, log_new, then
    return theta, Errors(a, log_U, log_V), now


@jitted
def move_spread(y, outcome, treatment, mean, index, errors, now, which, rng):
    """σ_U (which 0) or σ_V (which 1) by Metropolis: the errors and the log-likelihood."""
    a, log_U, log_V = errors
    scale_U, scale_V = outcome.sigma_scale, treatment.sigma_scale
    step = 1.7 / math.sqrt(len(y)) * rng.normal()
    new = Errors(a, log_U + step * (which == 0), log_V + step * (which == 1))
    then = log_likelihood(y, treatment.response, mean, index, new, treatment.binary)
    gain = then - now + half_normal(new.log_U, scale_U) - half_normal(log_U, scale_U)
    gain += half_normal(new.log_V, scale_V) - half_normal(log_V, scale_V)
    if math.log(1.0 - rng.random()) < gain:
        return new, then
    return errors, now


@jitted
def move_equation(equation, square, share, trees, forest, theta, noise, rng):
    """θ and trees of one equation, against its share of the response; `forest` (n,) changes."""
    if equation.columns.shape[1] > 0:
        theta = gaussian(equation, square, share - forest, noise, rng)
    if equation.growth.trees > 0:
        share = share - equation.columns @ theta
        change_forest(equation.X, equation.growth, trees, forest, share, noise, rng)
    return theta


@jitted
def sample(outcome, treatment, grid, start, plan, rng):
    """Draws of everything, as `Kept`.

    `outcome` and `treatment` are each an `ForestEquation`, `start` is `Errors`; `grid` a `Grid` and
    `plan` the `Plan`.
    """
    n, errors, A, Z = len(outcome.response), start, outcome.columns, treatment.columns
    growth_O, growth_T = outcome.growth, treatment.growth
    answer, binary = outcome.binary, treatment.binary
    theta, gamma = outcome.prior.mean.copy(), treatment.prior.mean.copy()
    forest_O, forest_T = np.zeros(n), np.zeros(n)
    trees_O, trees_T = stumps(n, growth_O.trees), stumps(n, growth_T.trees)
    square_O, square_T = A.T @ A, Z.T @ Z
    t, inverse, y = treatment.response, np.linalg.inv(square_O), outcome.response.astype(np.float64)
    if answer:
        y = 2.0 * y - 1.0  # a start on the right side
    kept = Kept(
        np.empty((plan.draws, A.shape[1])),
        np.empty((plan.draws, Z.shape[1])),
        np.empty((plan.draws, 3)),
        np.empty((plan.draws, n if growth_O.trees > 0 else 0)),
        np.empty((plan.draws, n if growth_T.trees > 0 else 0)),
    )
    for sweep in range(plan.tune + plan.draws * plan.thin):
        level, index = growth_O.level + forest_O, Z @ gamma + growth_T.level + forest_T
        theta, errors, now = move_rho(
            y, outcome, treatment, inverse, level, index, theta, errors, grid, rng
        )
        mean = A @ theta + level
        for which in range(1 if answer else 0, 1 if binary else 2):
            errors, now = move_spread(y, outcome, treatment, mean, index, errors, now, which, rng)
        V = latent(y, t, mean, index, errors, rng) if binary else t - index
        if answer:
            y = latent_outcome(outcome.response, mean, V, errors, rng)
        T = index + V  # a binary treatment's latent index, and its error
        rho, ratio = math.tanh(errors.a), math.exp(errors.log_U - errors.log_V)
        noise = math.sqrt(1.0 - rho * rho)
        share = y - rho * ratio * V - growth_O.level
        theta = move_equation(
            outcome, square_O, share, trees_O, forest_O, theta, noise * math.exp(errors.log_U), rng
        )
        share = T - rho / ratio * (y - A @ theta - growth_O.level - forest_O) - growth_T.level
        gamma = move_equation(
            treatment,
            square_T,
            share,
            trees_T,
            forest_T,
            gamma,
            noise * math.exp(errors.log_V),
            rng,
        )
        if sweep >= plan.tune and (sweep - plan.tune) % plan.thin == plan.thin - 1:
            i = (sweep - plan.tune) // plan.thin
            kept.theta_O[i], kept.theta_T[i] = theta, gamma
            kept.errors[i] = np.array([errors.a, errors.log_U, errors.log_V])
            if growth_O.trees > 0:
                kept.forest_O[i] = growth_O.level + forest_O
            if growth_T.trees > 0:
                kept.forest_T[i] = growth_T.level + forest_T
    return kept


@jitted
def leaf_evidence(count, total, noise2, leaf2):
    """Log evidence of a leaf's rows, up to what does not depend on the tree."""
    seen = noise2 + count * leaf2
    return -0.5 * math.log(seen / noise2) + 0.5 * leaf2 * total * total / (noise2 * seen)


@jitted
def depth_of(node):
    """How many splits lie above a node."""
    return math.floor(math.log2(node + 1.0) + 1e-9)


@jitted
def split_chance(node, growth):
    """Prior probability that a node splits."""
    depth = depth_of(node)
    return 0.0 if depth >= DEPTH else growth.alpha * (1.0 + depth) ** (-growth.beta)


@jitted
def choose(variable, kind, rng):
    """A node of a kind (0: a leaf that may grow, 1: a parent of two leaves), and their number."""
    chosen, count = -1, 0
    for node in range(HEAP):
        if variable[node] == -2:
            continue
        if kind == 0:
            fits = variable[node] == -1 and node < DEEPEST
        else:
            fits = (
                variable[node] >= 0
                and variable[2 * node + 1] == -1
                and variable[2 * node + 2] == -1
            )
        if fits:
            count += 1
            if rng.random() * count < 1.0:
                chosen = node
    return chosen, count


@jitted
def one_of(size, rng):
    """A whole number from 0 to size - 1: `rng.integers` makes an array of each, and is slower."""
    return int(size * rng.random())


@jitted
def rule(X, leaf, first, second, rng):
    """A variable, and a value that it takes in the rows of one or two leaves; of no rows, none."""
    row = one_of(len(leaf), rng)
    while leaf[row] != first and leaf[row] != second:
        row = one_of(len(leaf), rng)
    variable = one_of(len(X), rng)
    return variable, X[variable, row]


@summed
def inside(leaf, rest, node):
    """Number and sum of the rows of a leaf."""
    count, total = 0, 0.0
    for i in range(len(leaf)):
        here = leaf[i] == node
        count += here
        total += rest[i] * here
    return count, total


@summed
def below(x, value, leaf, rest, first, second):
    """Number and sum of those rows of two leaves (or of one) that a rule sends to the left."""
    count, total = 0, 0.0
    for i in range(len(leaf)):
        here = ((leaf[i] == first) | (leaf[i] == second)) & (x[i] <= value)
        count += here
        total += rest[i] * here
    return count, total


@jitted
def split_evidence(count, part, left, noise2, leaf2):
    """Log evidence of `count` rows with sum `part`, less those of `left`; -inf if one is empty."""
    if left[0] == 0 or left[0] == count:
        return -np.inf
    return leaf_evidence(left[0], left[1], noise2, leaf2) + leaf_evidence(
        count - left[0], part - left[1], noise2, leaf2
    )


@jitted
def change_tree(X, tree, rest, noise2, leaf2, odds, rng):
    """One Metropolis step on a tree: grow, prune, or change the rule above two."""
    u = 0.0 if tree.variable[0] == -1 else rng.random()
    if u < GROW:
        grow(X, tree, rest, noise2, leaf2, odds, rng)
    elif u < GROW + PRUNE:
        prune(tree, noise2, leaf2, odds, rng)
    else:
        change_rule(X, tree, rest, noise2, leaf2, rng)


@jitted
def grow(X, tree, rest, noise2, leaf2, odds, rng):
    """Split a leaf by a rule drawn from its prior."""
    variable, _, leaf, count, part = tree
    stump = variable[0] == -1
    node, leaves = choose(variable, 0, rng)
    if node < 0:
        return
    k, c = rule(X, leaf, node, node, rng)
    lower = below(X[k], c, leaf, rest, node, node)
    gain = split_evidence(count[node], part[node], lower, noise2, leaf2) - leaf_evidence(
        count[node], part[node], noise2, leaf2
    )
    if gain == -np.inf:
        return
    left, right = 2 * node + 1, 2 * node + 2
    variable[node], variable[left], variable[right] = k, -1, -1
    _, parents = choose(variable, 1, rng)
    gain += odds[node] + _way_back(parents, leaves, stump)
    if math.log(1.0 - rng.random()) < gain:
        _send(X[k], tree, node, node, node, c, lower)
    else:
        variable[node], variable[left], variable[right] = -1, -2, -2


@jitted
def prune(tree, noise2, leaf2, odds, rng):
    """Make one leaf of two siblings."""
    variable, _, leaf, count, part = tree
    node, parents = choose(variable, 1, rng)
    left, right, k = 2 * node + 1, 2 * node + 2, variable[node]
    both = count[left] + count[right], part[left] + part[right]
    before = split_evidence(*both, (count[left], part[left]), noise2, leaf2)
    variable[node], variable[left], variable[right] = -1, -2, -2
    _, leaves = choose(variable, 0, rng)
    gain = leaf_evidence(*both, noise2, leaf2) - before - odds[node]
    if math.log(1.0 - rng.random()) < gain - _way_back(parents, leaves, variable[0] == -1):
        count[node], part[node] = both
        for i in range(len(leaf)):
            if leaf[i] == left or leaf[i] == right:
                leaf[i] = node
    else:
        variable[node], variable[left], variable[right] = k, -1, -1


@jitted
def change_rule(X, tree, rest, noise2, leaf2, rng):
    """Another rule, drawn from its prior, above two sibling leaves."""
    variable, _, leaf, count, part = tree
    node, _ = choose(variable, 1, rng)
    left, right = 2 * node + 1, 2 * node + 2
    both = count[left] + count[right], part[left] + part[right]
    before = split_evidence(*both, (count[left], part[left]), noise2, leaf2)
    k, c = rule(X, leaf, left, right, rng)
    lower = below(X[k], c, leaf, rest, left, right)
    if math.log(1.0 - rng.random()) < split_evidence(*both, lower, noise2, leaf2) - before:
        variable[node], count[node], part[node] = k, both[0], both[1]
        _send(X[k], tree, left, right, node, c, lower)


@jitted
def prior_odds(growth):
    """Log prior odds, for each node that may split, of two leaves against a leaf."""
    odds = np.empty(DEEPEST)
    for node in range(DEEPEST):
        here, below = split_chance(node, growth), split_chance(2 * node + 1, growth)
        odds[node] = math.log(here) + 2.0 * math.log(1.0 - below) - math.log(1.0 - here)
    return odds


@jitted
def _way_back(parents, leaves, stump):
    """Log odds of proposing to prune what has grown and to grow it; a stump can only grow."""
    return math.log((PRUNE / parents) / ((1.0 if stump else GROW) / leaves))


@jitted
def _send(x, tree, first, second, node, c, lower):
    """Rows of one or two leaves to the children of a node, `lower` (number and sum) to the left."""
    _, value, leaf, count, part = tree
    left, right = 2 * node + 1, 2 * node + 2
    value[node] = c
    for i in range(len(leaf)):
        if leaf[i] == first or leaf[i] == second:
            leaf[i] = left if x[i] <= c else right
    count[left], part[left] = lower
    count[right], part[right] = count[node] - lower[0], part[node] - lower[1]


@jitted
def change_forest(X, growth, trees, total, target, noise, rng):
    """Each tree against what the others leave of the target; `total` (n,), their sum, changes."""
    variable, value, leaf, height = trees
    n, noise2, leaf2 = len(target), noise**2, growth.leaf_sd**2
    rest, count, part = np.empty(n), np.zeros(HEAP, np.int64), np.zeros(HEAP)
    odds = prior_odds(growth)
    for j in range(len(variable)):
        for i in range(n):
            total[i] -= height[j, leaf[j, i]]
            rest[i] = target[i] - total[i]
        for node in range(HEAP):
            if variable[j, node] == -1:
                count[node], part[node] = inside(leaf[j], rest, node)
        tree = Tree(variable[j], value[j], leaf[j], count, part)
        for _ in range(TREE_STEPS):
            change_tree(X, tree, rest, noise2, leaf2, odds, rng)
        for node in range(HEAP):
            if variable[j, node] == -1:
                seen = noise2 + count[node] * leaf2
                spread = math.sqrt(noise2 * leaf2 / seen)
                height[j, node] = leaf2 * part[node] / seen + spread * rng.normal()
        for i in range(n):
            total[i] += height[j, leaf[j, i]]


@jitted
def stumps(n, trees):
    """So many trees without a split."""
    variable = np.full((trees, HEAP), -2)
    variable[:, 0] = -1
    value, leaf = np.zeros((trees, HEAP)), np.zeros((trees, n), np.uint8)
    return Trees(variable, value, leaf, np.zeros((trees, HEAP)))
