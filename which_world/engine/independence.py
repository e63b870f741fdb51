"""Independence Metropolis: proposals from the Laplace columns, made exact (Tierney 1994).

ρ is proposed from the columns' evidence and everything else from the Gaussian at that ρ; the draws
are independent but for the rejections, and Pareto k̂ of the proposals' weights is the judge.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from arviz_stats.base import array_stats
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp

from which_world.engine import conjugate
from which_world.engine.draws import named, tree
from which_world.engine.laplace import (
    PARETO_K,
    adaptive_columns,
    columns,
    log_posterior,
    log_prior_a,
    matched,
)
from which_world.engine.likelihoods import rows_of
from which_world.engine.pairs import PAIRS

# beyond which two continuous responses have only their scales and ρ proposed
MANY_PARAMETERS = 60
PROPOSALS = 4000  # at least so many, and at least two for every draw that is kept
STAY = 12.0  # steps a chain may stay in one place before better proposals are made
PROPOSAL_ROUNDS = 4  # each better than the last, before NUTS takes over


def independence_metropolis(design, prior, rho, *, draws, chains, seed):
    """Draws made exact from the columns; None when Pareto k̂ or the effective size objects.

    Of two continuous responses with many coefficients the scales and ρ alone are proposed, and the
    coefficients drawn from their posterior given these.
    """
    rng = np.random.default_rng(seed)
    rows = rows_of(design)
    settings = {"draws": draws, "chains": chains}
    scales_alone = PAIRS[design.kinds].compressible and rows.size > MANY_PARAMETERS
    if scales_alone:
        sums = conjugate.sums(rows, prior)
        at = adaptive_columns(partial(conjugate.columns, sums, conjugate.guess(sums)), rho)
        sampled = _sample(partial(conjugate.evidence, sums), at, rho, rng, **settings)
    else:
        at = adaptive_columns(partial(columns, rows, prior), rho)
        sampled = _sample(partial(log_posterior, rows, prior), at, rho, rng, **settings)
    if sampled is None:
        return None
    theta, a, accepted, pareto_k = sampled
    if scales_alone:
        flat = conjugate.coefficients(sums, theta.reshape(-1, 2), a.ravel(), rng)
        theta = flat.reshape(*a.shape, rows.size)
    return tree(
        design,
        named(design, theta, a),
        route="columns",
        stats={"accepted": accepted},
        pareto_k=pareto_k,
    )


def _sample(log_density, at, rho, rng, *, draws, chains):
    """θ and a of shape (chains, draws, ...), whether each was accepted, and Pareto k̂; or None.

    `log_density` is a function of θ and a, (proposals, ...): the posterior without the prior of ρ.
    """
    thin = max(2, -(-PROPOSALS // (draws * chains)))
    proposals = _propose(log_density, rho, at, chains * (thin * draws + 1), rng)
    pareto_k, stay, moments = _judge(proposals)
    thin *= 1 if stay < STAY and pareto_k < 0.5 else 4
    for _ in range(PROPOSAL_ROUNDS):
        if stay < STAY and pareto_k < 0.5:
            break
        # a skewed column: propose again, and more, with the mean and spread that the weights show
        proposals = _propose(log_density, rho, at, chains * (thin * draws + 1), rng, *moments)
        pareto_k, stay, moments = _judge(proposals)
    if pareto_k > PARETO_K or stay > 0.1 * thin * draws:
        return None
    paths = _metropolis(proposals.log_weight.reshape(chains, -1), rng)
    kept, accepted = (path[:, thin - 1 :: thin] for path in paths)
    return proposals.theta[kept], proposals.a[kept], accepted, pareto_k


class Proposals(NamedTuple):
    """Proposals and the log weights that would make them exact; z is θ in its column's units."""

    z: np.ndarray
    theta: np.ndarray
    a: np.ndarray
    log_weight: np.ndarray


def _propose(log_density, rho, at, size, rng, centre=0.0, spread=None):
    """a by the columns' evidence, and θ = mode + root z with z ~ Normal(centre, spread spread')."""
    if len(at.a) == 1:
        a, log_target, log_q = np.full(size, at.a[0]), 0.0, 0.0
    else:
        a, log_q = _draw_a(at, rho, size, rng)
        log_target = log_prior_a(rho, a)
    mode, root = at.at(a)
    spread = np.eye(mode.shape[1]) if spread is None else spread
    plain = rng.normal(size=mode.shape)
    z = centre + plain @ spread.T
    theta = mode + np.einsum("sij,sj->si", root, z)
    log_det = (
        np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1) + np.log(np.diag(spread)).sum()
    )
    log_q = log_q - 0.5 * (plain**2).sum(axis=1) - log_det
    return Proposals(z, theta, a, log_density(theta, a) + log_target - log_q)


def _judge(proposals):
    """Pareto k̂, the steps a chain would stay at its heaviest, mean and root covariance of z."""
    z, log_weight = proposals.z, proposals.log_weight
    smooth, pareto_k = array_stats.psislw(-log_weight)  # it takes the negative, a log likelihood
    centre, covariance = matched(z, smooth)
    root = np.linalg.cholesky(1.1 * covariance + 1e-6 * np.eye(z.shape[1]))
    stay = len(z) * np.exp(log_weight.max() - logsumexp(log_weight))
    return float(pareto_k), stay, (centre, root)


def _draw_a(at, rho, size, rng, cells=4000):
    """a from a histogram of `cells` bars, splined evidence times prior, and its log height."""
    edges = np.linspace(at.a[0], at.a[-1], cells + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    log_height = CubicSpline(at.a, at.log_evidence)(middle) + log_prior_a(rho, middle)
    share = np.exp(log_height - logsumexp(log_height))
    cell = rng.choice(cells, size=size, p=share)
    width = edges[1] - edges[0]
    return edges[cell] + width * rng.uniform(size=size), np.log(share[cell] / width)


def _metropolis(log_weight, rng):
    """Which proposal each chain holds at each step, and whether it moved."""
    chains, steps = log_weight.shape
    log_u = np.log(rng.uniform(size=log_weight.shape))
    kept = np.zeros((chains, steps), dtype=int)
    for c in range(chains):
        # start from a draw by weight, which is already (nearly) a draw from the posterior
        weight = np.exp(log_weight[c] - log_weight[c].max())
        kept[c, 0] = rng.choice(steps, p=weight / weight.sum())
        for i in range(1, steps):
            moves = log_u[c, i] < log_weight[c, i] - log_weight[c, kept[c, i - 1]]
            kept[c, i] = i if moves else kept[c, i - 1]
    accepted = kept[:, 1:] == np.arange(1, steps)
    return kept[:, 1:] + steps * np.arange(chains)[:, None], accepted
