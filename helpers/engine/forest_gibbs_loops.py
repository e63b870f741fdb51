"""Forests by backfitting, compiled: the sampler behind `fit` for a joint model with `bart()` in an equation.

One sweep draws everything once. With V the treatment's error (for a binary treatment latent, and truncated to the
side that t names), each equation is a regression with known noise given the other's error:

    y - λV              ~ Normal(A θ_O + forest_O, σ_U √(1-ρ²)),      λ = ρ σ_U/σ_V
    η + V - ρ (σ_V/σ_U) u  ~ Normal(Z θ_T + forest_T, σ_V √(1-ρ²)),      u = y - A θ_O - forest_O

so coefficients are drawn from their Gaussian, and the trees of `helpers.engine.tree_moves` against what the others
leave. A binary outcome's y is latent as well, with σ_U = 1, and drawn from the side that the answer
names. ρ and σ_U move with a latent V integrated out, and ρ moves along the ridge: whatever it adds to the mean of U
given T and x is taken out of θ_O in the same step.
"""

import math

import numpy as np

from helpers.engine.tree_moves import change_forest, compiled, stumps


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
def log_density(y, t, mean, index, a, log_U, log_V, binary):
    """The log-likelihood of `helpers.engine.likelihoods`, given both indices."""
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
def answered(yes, mean, V, a, log_V, rng):
    """y of a binary outcome given its side and the treatment's error; its σ is 1."""
    rho, y = math.tanh(a), np.empty(len(yes))
    spread = math.sqrt(1.0 - rho * rho)
    for i in range(len(yes)):
        q, centre = 2.0 * yes[i] - 1.0, mean[i] + rho * V[i] * math.exp(-log_V)
        y[i] = centre + q * spread * above(-q * centre / spread, rng)
    return y


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
def move_rho(y, t, A, inverse, rest, index, theta, a, log_U, log_V, normal, grid, density, scale_U, kinds, rng):
    """ρ by Metropolis along the ridge, α and its companions giving way; returns θ_O, a and log σ_U."""
    (mean, precision), (answer, binary) = normal, kinds
    new = a + np.array([0.05, 0.2, 0.6])[rng.integers(0, 3)] * rng.normal()
    log_new = log_U if answer or binary else log_U + math.log(math.cosh(new)) - math.log(math.cosh(a))
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
def equations(y, T, V, A, Z, X, normal, forest, trees, height, theta, gamma, state, rng):
    """θ_O, forest_O, θ_T and forest_T in turn, given T (for a binary treatment its latent index plus V) and V.

    `X`, `normal`, `forest`, `trees` and `height` hold the outcome's part and the treatment's; heights change in place.
    """
    a, log_U, log_V = state
    rho, ratio = math.tanh(a), math.exp(log_U - log_V)
    noise = math.sqrt(1.0 - rho * rho)
    noise_U, noise_V = noise * math.exp(log_U), noise * math.exp(log_V)
    (X_O, X_T), (normal_O, normal_T), (forest_O, forest_T) = X, normal, forest
    (trees_O, trees_T), (f_O, f_T) = trees, height
    share = y - rho * ratio * V - forest_O[4]
    theta = gaussian(A, share - f_O, noise_U, normal_O[0], normal_O[1], rng)
    if forest_O[0] > 0:
        change_forest(X_O, *trees_O, f_O, share - A @ theta, noise_U, forest_O[3], forest_O[1], forest_O[2], rng)
    share = T - rho / ratio * (y - A @ theta - forest_O[4] - f_O) - forest_T[4]
    if Z.shape[1] > 0:
        gamma = gaussian(Z, share - f_T, noise_V, normal_T[0], normal_T[1], rng)
    if forest_T[0] > 0:
        change_forest(X_T, *trees_T, f_T, share - Z @ gamma, noise_V, forest_T[3], forest_T[1], forest_T[2], rng)
    return theta, gamma


@compiled
def sample(
    seen, t, A, Z, X_O, X_T, normal_O, normal_T, forest_O, forest_T, scales, grid, density, start, kinds, plan, rng
):
    """Draws of θ_O, θ_T, (a, log σ_U, log σ_V), forest_O and forest_T.

    `normal_O` and `normal_T` hold means and precisions of θ_O and θ_T; `forest_O` and `forest_T` (trees, alpha, beta,
    leaf sd, level); `scales` those of σ_U and σ_V; `start` (a, log σ_U, log σ_V); `kinds` whether
    outcome and treatment are binary; `plan` (draws, tune, thin). One
    point in `grid` fixes ρ.
    """
    (draws, tune, thin), (answer, binary) = plan, kinds
    (a, log_U, log_V), n = start, len(seen)
    X, normal, forest, height = (X_O, X_T), (normal_O, normal_T), (forest_O, forest_T), (np.zeros(n), np.zeros(n))
    theta, gamma, (f_O, f_T) = normal_O[0].copy(), normal_T[0].copy(), height
    trees = stumps(n, int(forest_O[0])), stumps(n, int(forest_T[0]))
    inverse, y = np.linalg.inv(A.T @ A), seen.astype(np.float64)
    if answer:
        y = 2.0 * y - 1.0  # a start on the right side
    kept = (np.empty((draws, A.shape[1])), np.empty((draws, Z.shape[1])), np.empty((draws, 3)),
            np.empty((draws, n if forest_O[0] > 0 else 0)), np.empty((draws, n if forest_T[0] > 0 else 0)))  # fmt: skip
    for sweep in range(tune + draws * thin):
        level_O, index = forest_O[4] + f_O, Z @ gamma + forest_T[4] + f_T
        if len(grid) > 1:
            for _ in range(2):
                theta, a, log_U = move_rho(y, t, A, inverse, level_O, index, theta, a, log_U, log_V, normal_O,
                                           grid, density, scales[0], kinds, rng)  # fmt: skip
        for which in range(1 if answer else 0, 1 if binary else 2):
            log_U, log_V = move_spread(y, t, A @ theta + level_O, index, a, log_U, log_V, scales[0], scales[1], which,
                                       binary, rng)  # fmt: skip
        V = latent(y, t, A @ theta + level_O, index, a, log_U, rng) if binary else t - index
        if answer:
            y = answered(seen, A @ theta + level_O, V, a, log_V, rng)
        theta, gamma = equations(y, index + V, V, A, Z, X, normal, forest, trees, height, theta, gamma,
                                 (a, log_U, log_V), rng)  # fmt: skip
        if sweep >= tune and (sweep - tune) % thin == thin - 1:
            i = (sweep - tune) // thin
            kept[0][i], kept[1][i], kept[2][i] = theta, gamma, np.array([a, log_U, log_V])
            if forest_O[0] > 0:
                kept[3][i] = forest_O[4] + f_O
            if forest_T[0] > 0:
                kept[4][i] = forest_T[4] + f_T
    return kept
