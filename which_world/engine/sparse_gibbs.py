"""Sieve and funnel, sampled on what is discrete about them, with ρ and the coefficients summed out.

Under a sparse prior the posterior of ρ can have two modes, far apart along the ridge, and no
sampler that moves ρ itself finds both in their right proportions. So ρ is not moved. At each ρ_k of
a grid the likelihood is Gaussian around its own mode (a column, `which_world.engine.laplace`), and
given each coefficient's spread s_j so is the prior. Their product integrates in closed form, which
leaves a sum over the grid::

    p(s | data) ∝ p(s) Σ_k w_k exp(ℓ_k) ∫ exp(-½ (θ-θ_k)'H_k(θ-θ_k)) Normal(θ; 0, s²) dθ

A collapsed Gibbs sampler (`which_world.engine.sparse_gibbs_loops`) goes over s alone, one
coefficient after another. It passes from one mode of ρ to the other because it never stands in
either. ρ and θ are drawn afterwards, and weights (true likelihood over the Gaussian one, Pareto k̂
the judge) make the draws exact.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from arviz_stats.base import array_stats
from joblib import Parallel, delayed
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp
from scipy.stats import halfnorm, norm

from which_world.engine import sparse_gibbs_loops as loops
from which_world.engine.draws import named, tree
from which_world.engine.from_pymc import Funnel, Sieve
from which_world.engine.laplace import PARETO_K, adaptive_columns, columns, log_prior_a
from which_world.engine.likelihoods import LOG_2PI, log_likelihood, rows_of

COARSE, FEWEST_KNOTS, PASSING, STRIDE = 31, 30, 6.0, 1.0  # see `_knots`
# a ρ whose log posterior lies this far below the best is left out: five standard deviations
DROP = 12.5
# what stands for zero while sampling, in standard errors: the data cannot tell, and no digit is
# lost
ZERO = 0.03
SPREAD_NODES = 24  # values of λ: Gauss-Legendre nodes of the half-Cauchy's distribution function
ROUNDS_BETWEEN = {"sieve": 2, "funnel": 2}  # rounds of the loop between two proposals
# for every draw that is kept: weights need something to choose from
PROPOSALS_A_DRAW = {"sieve": 5, "funnel": 3}
# proposals of all chains together: fewer cannot be judged by the tail of their weights
FEWEST_PROPOSALS = 200
MATRICES_AT_ONCE = 1000  # precision matrices held at a time


class Target(NamedTuple):
    """The columns as Gaussians in θ, which has m entries, at K values of a = atanh ρ."""

    a: np.ndarray
    mode: np.ndarray  # (K, m)
    precision: np.ndarray  # (K, m, m)
    height: np.ndarray  # (K,), log density at the mode: likelihood, prior of σ and prior of a
    place: np.ndarray  # (J,), where the sparse coefficients stand in θ
    equation: np.ndarray  # (J,), 0 for the outcome's and 1 for the treatment's
    # (m,), means of θ's entries with a normal prior of their own, zero elsewhere
    centre: np.ndarray
    base: np.ndarray  # (m,), their precisions, zero elsewhere
    slab: np.ndarray  # (J,), sd of a free coefficient (sieve)
    hyper: np.ndarray  # (2, 3), each equation's (a, b, 0) (sieve) or (τ₀, shape, scale) (funnel)


def sparse_gibbs(joint, *, draws, tune, chains, seed):
    """The posterior of a sparse `Joint`, as a DataTree.

    None when Pareto k̂ objects, or when the grid of ρ ends too soon.
    """
    target = _target(joint)
    proposals = max(draws * PROPOSALS_A_DRAW[joint.family], FEWEST_PROPOSALS // chains)
    generators = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(chains + 1)]
    work = (delayed(_chain)(joint, target, proposals, tune, one) for one in generators[1:])
    paths = zip(*Parallel(n_jobs=min(2, chains), require="sharedmem")(work))
    kinds, hyper, log_height = (np.concatenate(parts) for parts in paths)
    rng = generators[0]
    a, log_q = _draw_a(target.a, log_height, rng)
    spread = _spreads(joint, target, kinds, hyper)
    theta, log_density = _draw_theta(target, spread, a, rng)
    log_weight = log_likelihood(rows_of(joint.design), theta, a)
    log_weight += _log_prior(joint, target, theta, spread)
    log_weight += _log_prior_rho(joint, a) - log_q - log_density
    smooth, pareto_k = array_stats.psislw(-log_weight)
    if pareto_k > PARETO_K or _edge(target.a, log_height) > 1e-3:
        return None
    kept = _resample(np.reshape(smooth, (chains, proposals)), draws, rng)
    if joint.family == "sieve":
        theta[:, target.place] *= kinds  # exactly zero
    posterior = named(joint.design, theta[kept], a[kept])
    posterior |= _prior_variables(
        joint, target, theta[kept], kinds[kept], hyper[kept], spread[kept], rng
    )
    return tree(joint.design, posterior, route="spreads", pareto_k=float(pareto_k))


def half_cauchy_nodes(count=SPREAD_NODES):
    """A half-Cauchy's values and weights: Gauss-Legendre on its distribution function."""
    node, weight = np.polynomial.legendre.leggauss(count)
    return np.tan(np.pi / 4 * (node + 1)), weight / 2


def _target(joint):
    """What chains walk on: columns at the knots of a, and where sparse coefficients stand."""
    knots = _knots(joint)
    precision = np.array([np.linalg.inv(root @ root.T) for root in knots.root])
    height = knots.value + _log_prior_sigma(joint, knots.mode)
    height += _log_prior_rho(joint, knots.a)
    places = _places(joint.design)
    equation = np.repeat([0, 1], [len(p) for p in places])
    # each log σ follows its equation
    flat = [np.zeros(int(scaled)) for scaled in rows_of(joint.design).scaled]
    # independent beside a sparse prior
    own = [(e.mean, e.precision.diagonal()) for _, e in joint.equations]
    centre, base = (
        np.concatenate([first, flat[0], second, flat[1]]) for first, second in zip(*own)
    )
    return Target(
        knots.a,
        knots.mode,
        precision,
        height,
        np.concatenate(places),
        equation,
        centre,
        base,
        *_hyper(joint),
    )


def _hyper(joint):
    """Free coefficients' sds, and each equation's three numbers: neutral without covariates."""
    slab, hyper = [], []
    for _, equation in joint.equations:
        if joint.family == "sieve":
            prior = equation.sparse or Sieve(np.zeros(0), 1.0, 1.0)
            slab, hyper = [*slab, *prior.slab], [*hyper, (prior.a, prior.b, 0.0)]
        else:
            hyper = [*hyper, equation.sparse or Funnel(1.0, 1.0, 1.0)]
    return np.array(slab), np.array(hyper)


def _places(design):
    """Where β_O and β_T stand in θ."""
    outcome = int(design.intercept_O) + np.arange(int(design.in_outcome.sum()))
    rows = rows_of(design)
    start = len(rows.names_O) + int(rows.scaled[0]) + int(design.intercept_T)
    return outcome, start + np.arange(int(design.in_treatment.sum()))


def _knots(joint):
    """Columns of the likelihood, dense in ρ wherever a coefficient of the outcome passes through
    zero.

    There a sparse prior changes within a standard error, and the strides along the ridge keep to
    that; elsewhere nothing happens fast. A coefficient passes while it is within PASSING standard
    errors of zero.
    """
    rows, rho = rows_of(joint.design), joint.rho
    coarse = adaptive_columns(partial(columns, rows, None), rho, size=COARSE, drop=DROP)
    if isinstance(rho, float):
        return coarse
    place, _ = _places(joint.design)
    a = np.linspace(coarse.a[0], coarse.a[-1], 4001)
    error = CubicSpline(coarse.a, np.sqrt((coarse.root**2).sum(axis=2))[:, place])(a)
    path = CubicSpline(coarse.a, coarse.mode[:, place])
    pace = np.where(np.abs(path(a)) < PASSING * error, np.abs(path(a, 1)) / (STRIDE * error), 0.0)
    slowest = FEWEST_KNOTS / (a[-1] - a[0])
    walked = cumulative_trapezoid(
        np.maximum(pace.max(axis=1, initial=0.0), slowest), a, initial=0.0
    )
    return columns(
        rows, None, np.interp(np.linspace(0, walked[-1], int(walked[-1]) + 2), walked, a)
    )


def _chain(joint, target, draws, tune, rng):
    """One chain: kinds, hyperparameters and the K log evidences of every draw."""
    # standard errors, in which the matrices are well conditioned
    unit = 1 / np.sqrt(_middle(target).diagonal())
    mode, precision = target.mode / unit, target.precision * np.outer(unit, unit)
    base, centre = target.base * unit**2, target.centre / unit
    linear = np.einsum("kij,kj->ki", precision, mode) + base * centre
    height = target.height - 0.5 * np.einsum("ki,kij,kj->k", mode, precision, mode)
    likelihood = loops.Likelihood(precision, linear, height, _log_width(target.a), base)
    sparse = loops.Sparse(target.place, target.equation)
    plan = loops.Plan(draws, ROUNDS_BETWEEN[joint.family], tune)
    first, second, third = np.ascontiguousarray(target.hyper.T)
    unit = unit[target.place]
    if joint.family == "sieve":
        sieve = loops.SieveNumbers(target.slab / unit, _zero(target) / unit, first, second)
        return loops.sieve(likelihood, sparse, sieve, plan, rng)
    funnel = loops.FunnelNumbers(unit, *half_cauchy_nodes(), first, second, third)
    return loops.funnel(likelihood, sparse, funnel, plan, rng)


def _middle(target):
    """The precision of θ at the smallest |ρ|."""
    return target.precision[np.argmin(np.abs(target.a))]


def _zero(target):
    """The spread of a coefficient called zero: a few hundredths of its standard error."""
    return ZERO / np.sqrt(_middle(target)[target.place, target.place])


def _spreads(joint, target, kinds, hyper):
    """Prior sd of every sparse coefficient in every draw, (draws, J)."""
    if joint.family == "sieve":
        return np.where(kinds == 1, target.slab, _zero(target))
    tau = hyper[:, target.equation]
    c2 = hyper[:, 2 + target.equation]
    local = half_cauchy_nodes()[0][kinds]
    return tau * local * np.sqrt(c2 / (c2 + (tau * local) ** 2))


def _draw_a(knots, log_height, rng):
    """a of every draw, by a density linear between knots, and its log height (not normalised)."""
    if len(knots) == 1:
        return np.full(len(log_height), knots[0]), log_height[:, 0]
    top = log_height.max(axis=1, keepdims=True)
    height = np.exp(log_height - top)
    cumulative = np.cumsum((height[:, 1:] + height[:, :-1]) * np.diff(knots), axis=1)
    cell = (cumulative < cumulative[:, -1:] * rng.uniform(size=(len(height), 1))).sum(axis=1)
    each = np.arange(len(height))
    left, right = height[each, cell], height[each, cell + 1]
    # either end of the cell by its height, then the triangle under that end
    far = 1 - np.sqrt(rng.uniform(size=len(height)))
    part = np.where(rng.uniform(size=len(height)) * (left + right) < left, far, 1 - far)
    a = knots[cell] + part * np.diff(knots)[cell]
    return a, top[:, 0] + np.log(left + part * (right - left))


def _draw_theta(target, spread, a, rng):
    """θ given the spreads and a, from the Gaussian that is their product, and its log density."""
    one = len(target.a) == 1
    mode, precision = (
        x if one else CubicSpline(target.a, x) for x in (target.mode, target.precision)
    )
    parts = []
    for i in range(0, len(a), MATRICES_AT_ONCE):
        own = slice(i, i + MATRICES_AT_ONCE)
        size = len(a[own])
        centre, H = (np.repeat(x, size, axis=0) if one else x(a[own]) for x in (mode, precision))
        parts.append(_draw_gaussian(target, spread[own], centre, H, rng))
    theta, log_density = map(np.concatenate, zip(*parts))
    return theta, log_density


def _draw_gaussian(target, spread, mode, H, rng):
    """θ from the Gaussian of likelihood (mode, precision H) times prior, and its log density."""
    base = np.tile(target.base, (len(mode), 1))
    linear = np.einsum("nij,nj->ni", H, mode) + base * target.centre
    base[:, target.place] = spread**-2.0
    each = np.arange(base.shape[1])
    H[:, each, each] += base
    L, z = np.linalg.cholesky(H), rng.normal(size=mode.shape)
    half = np.linalg.solve(L, linear[..., None])[..., 0] + z
    theta = np.linalg.solve(np.swapaxes(L, 1, 2), half[..., None])[..., 0]
    log_det = np.log(np.diagonal(L, axis1=1, axis2=2)).sum(axis=1)
    return theta, log_det - 0.5 * (z**2).sum(axis=1) - 0.5 * z.shape[1] * LOG_2PI


def _log_prior(joint, target, theta, spread):
    """Log prior of θ given the spreads; the loop has the prior of the spreads in it already."""
    plain = np.flatnonzero(target.base)
    sd = target.base[plain] ** -0.5
    normal = norm.logpdf(theta[:, plain], target.centre[plain], sd).sum(axis=1)
    sparse = norm.logpdf(theta[:, target.place], 0.0, spread).sum(axis=1)
    return normal + sparse + _log_prior_sigma(joint, theta)


def _log_prior_rho(joint, a):
    """Log prior of a = atanh ρ; none where ρ is fixed."""
    return 0.0 if isinstance(joint.rho, float) else log_prior_a(joint.rho, a)


def _log_prior_sigma(joint, theta):
    """Half-normal prior of σ_U and σ_V, with the Jacobian of the logarithm."""
    rows, value = rows_of(joint.design), np.zeros(len(theta))
    for place, scale in zip(rows.places, (joint.sigma_U, joint.sigma_V)):
        if place is not None:
            value += halfnorm.logpdf(np.exp(theta[:, place]), scale=scale) + theta[:, place]
    return value


def _log_width(knots):
    """Log weights of the trapezoidal rule."""
    if len(knots) == 1:
        return np.zeros(1)
    gap = np.diff(knots)
    return np.log(0.5 * (np.r_[gap, 0.0] + np.r_[0.0, gap]))


def _edge(knots, log_height):
    """Posterior share of the outermost values of ρ."""
    if len(knots) == 1:
        return 0.0
    summand = log_height + _log_width(knots)
    share = np.exp(summand - logsumexp(summand, axis=1, keepdims=True))
    return float(share[:, [0, -1]].mean(axis=0).max())


def _resample(log_weight, draws, rng):
    """Systematic resampling within each chain, in the chain's own order."""
    chains, steps = log_weight.shape
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    cumulative = np.cumsum(weight, axis=1) / weight.sum(axis=1, keepdims=True)
    points = (np.arange(draws) + rng.uniform(size=(chains, 1))) / draws
    chosen = [np.searchsorted(c, p).clip(max=steps - 1) for c, p in zip(cumulative, points)]
    return np.array(chosen) + steps * np.arange(chains)[:, None]


def _prior_variables(joint, target, theta, kinds, hyper, spread, rng):
    """The prior's own variables under the model's names."""
    variables = {}
    for e, label in enumerate("OT"):
        mine = target.equation == e
        if not mine.any():
            continue
        beta, kind = theta[..., target.place[mine]], kinds[..., mine]
        if joint.family == "sieve":
            variables[f"included_{label}"] = kind
            if target.hyper[e][1] > 0:
                variables[f"inclusion_{label}"] = hyper[..., e]
            unused = target.slab[mine] * rng.normal(size=beta.shape)
            variables[f"slab_{label}"] = np.where(kind == 1, beta, unused)
        else:
            variables |= {
                f"tau_{label}": hyper[..., e],
                f"c2_{label}": hyper[..., 2 + e],
                f"lambda_{label}": half_cauchy_nodes()[0][kind],
                f"z_{label}": beta / spread[..., mine],
            }
    return variables
