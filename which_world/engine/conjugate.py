"""A column without a Laplace approximation: two continuous responses, whatever the number of
covariates.

At fixed ρ, and given σ_U and σ_V, both equations together are one linear regression with normal
priors: the evidence of the two scales and the posterior of α are then known in closed form. What is
left is an integral over (log σ_U, log σ_V), in which everything is smooth.

The covariates that stand in both equations are turned, once, until no two of them are correlated.
Each is then a pair of coefficients by itself; only the other columns (intercepts, the treatment,
instruments) are solved for together. Five hundred fixed effects so cost little more than five.
"""

from typing import NamedTuple

import numpy as np
from arviz_stats.base import array_stats
from scipy.interpolate import RectBivariateSpline
from scipy.linalg import block_diag
from scipy.special import logsumexp

from which_world.engine.laplace import Columns, ascent, start
from which_world.engine.pairs import LOG_2PI

SCALE_NODES = np.linspace(-6.0, 6.0, 11)  # of each scale, in its own standard deviations
# for differences
AROUND = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 2)
NUMBERS_HELD = 2**22  # of an array at a time
PARTED = 1e-9  # of the largest precision: what is left beside the diagonal by rounding


class CrossProducts(NamedTuple):
    """Cross products of k paired columns X, e other columns E and the responses R of both
    equations, and the priors.

    X'X is diagonal, `XX`, and so is the paired columns' prior precision in either equation.
    `equation` says where each other column stands, the outcome's being 0. Responses are measured
    from least squares, and so are prior means.
    """

    XX: np.ndarray  # (k,)
    XE: np.ndarray  # (k, e)
    XR: np.ndarray  # (k, 2)
    EE: np.ndarray  # (e, e)
    ER: np.ndarray  # (e, 2)
    RR: np.ndarray  # (2, 2)
    equation: np.ndarray  # (e,)
    precision_X: np.ndarray  # (2, k)
    precision_XE: np.ndarray  # (k, e), each other column with the paired ones of its own equation
    precision_E: np.ndarray  # (e, e)
    pull_X: np.ndarray  # (2, k), precision times mean
    pull_E: np.ndarray  # (e,)
    height: float  # log density of the coefficients' priors at least squares, without 2π
    scales: tuple  # of the half-normal priors of σ_U and σ_V
    n: int
    turn: np.ndarray  # (k, k), of the paired columns
    pairs: tuple  # masks of the paired columns of each equation
    least: tuple  # least squares of each equation

    @property
    def place(self):
        """Where the effect stands among the other columns: last of the outcome's."""
        return int(np.sum(self.equation == 0)) - 1


def sums(rows, scales):
    """The cross products of rows with two continuous responses, beside their prior."""
    theta_O, _, theta_T, _ = rows.split(start(rows))
    R = np.column_stack([rows.y - rows.A @ theta_O, rows.t - rows.Z @ theta_T])
    roots = (scales.root_O, scales.root_T)
    means = (scales.mean_O - theta_O, scales.mean_T - theta_T)
    pairs, X, turn, turned = _paired(rows, roots)
    E = np.column_stack([rows.A[:, ~pairs[0]], rows.Z[:, ~pairs[1]]])
    own = [root[:, ~pair] for root, pair in zip(roots, pairs)]
    off = [root @ mean for root, mean in zip(roots, means)]
    height = sum(
        np.log(np.abs(np.diagonal(root))).sum() - 0.5 * z @ z for root, z in zip(roots, off)
    )
    return CrossProducts(
        np.sum(X**2, axis=0),
        X.T @ E,
        X.T @ R,
        E.T @ E,
        E.T @ R,
        R.T @ R,
        np.repeat([0, 1], [part.shape[1] for part in own]),
        np.array([np.sum(part**2, axis=0) for part in turned]),
        np.column_stack([part.T @ other for part, other in zip(turned, own)]),
        block_diag(*(part.T @ part for part in own)),
        np.array([part.T @ z for part, z in zip(turned, off)]),
        np.concatenate([part.T @ z for part, z in zip(own, off)]),
        height,
        (scales.sigma_U, scales.sigma_V),
        rows.n,
        turn,
        pairs,
        (theta_O, theta_T),
    )


def _paired(rows, roots):
    """Masks of the columns of either equation that stand in both, these columns when they are
    turned until no two are correlated, the turn, and the prior's roots beside them.

    None are paired whose prior is not parted by the same turn.
    """
    names = set(rows.names_O) & set(rows.names_T) - {"intercept"}
    pairs = [
        np.array([name in names for name in own], dtype=bool)
        for own in (rows.names_O, rows.names_T)
    ]
    # of a product X'X nearly equal columns would keep half their digits
    across, size, turn = np.linalg.svd(rows.A[:, pairs[0]], full_matrices=False)
    turned = [root[:, pair] @ turn.T for root, pair in zip(roots, pairs)]
    if all(map(_parted, turned)):
        return pairs, across * size, turn.T, turned
    pairs, none = [pair & False for pair in pairs], np.zeros((0, 0))
    return pairs, np.zeros((len(rows.A), 0)), none, [root[:, :0] for root in roots]


def _parted(root):
    """Whether columns have no products but their squares."""
    precision = root.T @ root
    widest = np.diagonal(precision).max(initial=0.0)
    np.fill_diagonal(precision, 0.0)
    return np.abs(precision).max(initial=0.0) <= PARTED * widest


def guess(sums):
    """log σ_U and log σ_V near their mode at ρ = 0: least squares, degrees of freedom counted."""
    left = np.maximum(sums.n - np.array([len(each) for each in sums.least]), 1)
    return 0.5 * np.log(np.diagonal(sums.RR) / left)


def column(sums, a, near, z):
    """α at one ρ = tanh a, weighted: (draws,) each, the log evidence and Pareto k̂.

    `near` is log σ_U and log σ_V near their mode, (2,); `z`, (draws, 3), are standard normals: two
    for the scales, one for α.
    """
    middle, curvature = _mode(sums, a, near)
    root = np.linalg.inv(np.linalg.cholesky(-curvature)).T
    steps = np.stack(np.meshgrid(SCALE_NODES, SCALE_NODES, indexing="ij"), axis=-1).reshape(-1, 2)
    nodes = _given(sums, a, middle + steps @ root.T).reshape(len(SCALE_NODES), len(SCALE_NODES), 3)
    at = z[:, :2].clip(SCALE_NODES[0], SCALE_NODES[-1])
    value, mean, log_sd = (
        RectBivariateSpline(SCALE_NODES, SCALE_NODES, each, kx=5, ky=5).ev(*at.T)
        for each in np.moveaxis(nodes, -1, 0)
    )
    log_q = -0.5 * (at**2).sum(axis=1) - LOG_2PI - np.log(np.diagonal(root)).sum()
    log_ratio = value - log_q
    smoothed, k_hat = array_stats.psislw(-log_ratio)  # it takes the negative, a log likelihood
    alpha = sums.least[0][-1] + mean + np.exp(log_sd) * z[:, 2]
    log_evidence = logsumexp(log_ratio) - np.log(len(z))
    return alpha, smoothed - logsumexp(smoothed), log_evidence, float(k_hat)


def _mode(sums, a, point, iterations=60):
    """Mode of (log σ_U, log σ_V) and its Hessian, by Newton's method on central differences."""
    step = float(np.clip(0.5 / np.sqrt(sums.n), 1e-6, 0.05))  # about half a standard deviation
    last = False
    for _ in range(iterations):
        f = _given(sums, a, point + step * AROUND)[:, 0].reshape(3, 3)
        gradient = np.array([f[2, 1] - f[0, 1], f[1, 2] - f[1, 0]]) / (2 * step)
        mixed = (f[2, 2] - f[2, 0] - f[0, 2] + f[0, 0]) / 4
        down = f[2, 1] + f[0, 1] - 2 * f[1, 1]
        right = f[1, 2] + f[1, 0] - 2 * f[1, 1]
        H = np.array([[down, mixed], [mixed, right]]) / step**2
        if last:
            return point, H
        move = ascent(gradient, H)
        last = gradient @ move < 1e-9  # and once more, for the digits
        point = point + move / max(1.0, np.abs(move).max())
    raise RuntimeError(
        f"no scales were found that fit best at rho={np.tanh(a):.3f}, in {iterations} Newton steps."
    )


def columns(sums, near, a):
    """`laplace.Columns` of the two scales alone, at increasing values of a = atanh ρ."""
    modes = [_mode(sums, each, near + [np.log(np.cosh(each)), 0.0]) for each in a]
    point, H = (np.array(part) for part in zip(*modes))
    root = np.array([np.linalg.inv(np.linalg.cholesky(-each)).T for each in H])
    value = evidence(sums, point, np.asarray(a))
    log_det = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    return Columns(np.asarray(a), point, root, value + log_det + LOG_2PI, value)


def evidence(sums, log_sigma, a):
    """Log evidence of scales (draws, 2) at a (draws,), their prior included and that of ρ not."""
    return _given(sums, a, log_sigma)[:, 0]


def coefficients(sums, log_sigma, a, rng):
    """θ, (draws, size): the scales as given, each coefficient from its posterior given them."""
    parts = [
        _coefficients(sums, each, log_sigma[cut], rng) for cut, each in _chunks(sums, a, log_sigma)
    ]
    return np.concatenate(parts)


def _coefficients(sums, a, log_sigma, rng):
    """θ of a few draws, (draws, size): the paired columns given the others, drawn first."""
    given = _regression(sums, a, log_sigma)
    root = np.linalg.cholesky(given.S)
    plain = rng.normal(size=(*given.s.shape, 1))
    E = np.linalg.solve(given.S, given.s[..., None]) + np.linalg.solve(
        np.swapaxes(root, -1, -2), plain
    )
    X = np.einsum(
        "ijnk,njk->nik", given.inverse, given.b - np.einsum("nike,ne->nik", given.B, E[..., 0])
    )
    first, cross, second = given.inverse[0, 0], given.inverse[0, 1], given.inverse[1, 1]
    one, two = rng.normal(size=(2, *first.shape))
    X[:, 0] += np.sqrt(first) * one
    X[:, 1] += cross / np.sqrt(first) * one + np.sqrt(second - cross**2 / first) * two
    theta = []
    for equation, (mask, least) in enumerate(zip(sums.pairs, sums.least)):
        own = np.tile(least, (len(X), 1))
        own[:, mask] += X[:, equation] @ sums.turn.T
        own[:, ~mask] += E[:, sums.equation == equation, 0]
        theta += [own, log_sigma[:, [equation]]]
    return np.concatenate(theta, axis=1)


def _chunks(sums, a, log_sigma):
    """Cuts of the draws, with a for each: as many as may be held together."""
    size = max(1, NUMBERS_HELD // (2 * sums.XE.size + sums.EE.size + 2 * len(sums.XX) + 1))
    a = np.broadcast_to(a, len(log_sigma))
    return [(slice(i, i + size), a[i : i + size]) for i in range(0, len(a), size)]


def _given(sums, a, log_sigma):
    """Log evidence of scales (nodes, 2) and their prior; mean and log sd of α: (nodes, 3)."""
    return np.concatenate(
        [_given_some(sums, each, log_sigma[cut]) for cut, each in _chunks(sums, a, log_sigma)]
    )


class Regression(NamedTuple):
    """Given the scales: the precision of the errors, the paired columns' inverse precision and its
    determinant, their products with the others, right-hand sides, and the others' precision when
    the paired ones are summed out."""

    M: np.ndarray  # (nodes, 2, 2)
    inverse: np.ndarray  # (2, 2, nodes, k)
    det: np.ndarray  # (nodes, k)
    B: np.ndarray  # (nodes, 2, k, e)
    b: np.ndarray  # (nodes, 2, k)
    S: np.ndarray  # (nodes, e, e)
    s: np.ndarray  # (nodes, e)
    solved_b: np.ndarray  # (nodes, 2, k)


def _regression(sums, a, log_sigma):
    """The normal posterior of all coefficients at each node, the paired columns solved out."""
    U, V = np.exp(-log_sigma).T
    cross, at = -np.tanh(a) * U * V, sums.equation
    M = np.moveaxis(np.cosh(a) ** 2 * np.array([[U**2, cross], [cross, V**2]]), -1, 0)
    # the paired columns, two by two
    P = M[..., None] * sums.XX  # (nodes, 2, 2, k)
    P[:, 0, 0] += sums.precision_X[0]
    P[:, 1, 1] += sums.precision_X[1]
    det = P[:, 0, 0] * P[:, 1, 1] - P[:, 0, 1] ** 2
    inverse = np.array([[P[:, 1, 1], -P[:, 0, 1]], [-P[:, 0, 1], P[:, 0, 0]]]) / det
    B = M[:, :, None, at] * sums.XE
    for equation in (0, 1):
        B[:, equation][..., at == equation] += sums.precision_XE[:, at == equation]
    b = np.einsum("nij,kj->nik", M, sums.XR) + sums.pull_X
    solved_B = np.stack([np.sum(row[..., None] * B.swapaxes(0, 1), axis=0) for row in inverse], 1)
    # the others, given these
    beside, solved = (each.reshape(len(M), -1, len(at)) for each in (B, solved_B))
    S = M[:, at][:, :, at] * sums.EE - np.swapaxes(beside, 1, 2) @ solved + sums.precision_E
    s = np.einsum("nej,ej->ne", M[:, at], sums.ER) + sums.pull_E
    s -= np.einsum("nike,nik->ne", solved_B, b)
    return Regression(M, inverse, det, B, b, S, s, np.einsum("ijnk,njk->nik", inverse, b))


def _given_some(sums, a, log_sigma):
    """Each node's log density, posterior mean of α and log of its sd, (nodes, 3)."""
    given = _regression(sums, a, log_sigma)
    unit = np.broadcast_to(np.eye(len(sums.equation))[sums.place], given.s.shape)
    solved = np.linalg.solve(given.S, np.stack([given.s, unit], axis=-1))
    value = sums.n * (np.log(np.cosh(a)) - log_sigma.sum(axis=1) - LOG_2PI)
    value -= 0.5 * np.einsum("nij,ij->n", given.M, sums.RR)
    log_det = np.log(np.diagonal(np.linalg.cholesky(given.S), axis1=1, axis2=2)).sum(axis=1)
    value -= 0.5 * np.log(given.det).sum(axis=1) + log_det
    value += 0.5 * (
        np.einsum("nik,nik->n", given.b, given.solved_b)
        + np.einsum("ne,ne->n", given.s, solved[..., 0])
    )
    value += sums.height
    value += np.sum(
        log_sigma - 0.5 * (np.exp(log_sigma) / sums.scales) ** 2 - np.log(sums.scales), axis=1
    )
    value += np.log(2 / np.pi)  # of two half-normals
    return np.column_stack(
        [value, solved[:, sums.place, 0], 0.5 * np.log(solved[:, sums.place, 1])]
    )
