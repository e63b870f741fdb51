"""Take a PyMC model apart into the numbers that made it, and prove that nothing was missed.

A reader may have changed a model since `joint_model` built it: observed other data, intervened with
`pm.do`, added a potential. The model itself is therefore the authority. What is extracted from it
is believed only if it gives the model's own log density at random points; otherwise NUTS samples
the model as it is.
"""

from typing import NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.continuous import HalfCauchyRV
from pymc.logprob.basic import conditional_logp
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.basic import (
    BernoulliRV,
    BetaRV,
    HalfNormalRV,
    InvGammaRV,
    MvNormalRV,
    NormalRV,
)
from scipy import stats

from which_world.design import Design, check_varies
from which_world.engine.compiled import as_it_stands, compiled, evaluated
from which_world.engine.draws import OBSERVED, named
from which_world.engine.laplace import allowed
from which_world.engine.likelihoods import Rows, log_likelihood, pointwise, rows_of
from which_world.priors import Scales

OF_AN_EQUATION = "intercept beta forest inclusion included slab tau c2 lambda z".split()
OWN_VARIABLES = {f"{name}_{e}" for name in OF_AN_EQUATION for e in "OT"} | set(
    "alpha delta rho sigma_U sigma_V beta_O_free beta_T_free".split()
)


class Unreadable(Exception):
    """Not one of our joint models; NUTS, or particle Gibbs, takes it as it is."""


class Sieve(NamedTuple):
    """The free coefficients' sd (J,), and (a, b) of the inclusion's Beta, or (π, -1) if fixed."""

    slab: np.ndarray
    a: float
    b: float

    def point(self, count, rng):
        """β, the variables that make it, and their log prior density."""
        share = self.a if self.b < 0 else 0.4
        included, free = rng.integers(0, 2, count), 0.1 * self.slab * rng.normal(size=count)
        value = stats.bernoulli.logpmf(included, share).sum()
        value += stats.norm.logpdf(free, 0, self.slab).sum()
        value += 0.0 if self.b < 0 else stats.beta.logpdf(share, self.a, self.b)
        return included * free, {"inclusion": share, "included": included, "slab": free}, value


class Funnel(NamedTuple):
    """A regularised horseshoe's numbers: τ₀, and shape and scale of c²."""

    tau_0: float
    shape: float
    scale: float

    def point(self, count, rng):
        """β, the variables that make it, and their log prior density."""
        tau, c2 = self.tau_0 * rng.uniform(0.5, 2), self.scale / self.shape * rng.uniform(0.5, 2)
        local, z = np.exp(rng.normal(size=count)), rng.normal(size=count)
        value = stats.halfcauchy.logpdf(tau, scale=self.tau_0)
        value += stats.invgamma.logpdf(c2, self.shape, scale=self.scale)
        value += stats.halfcauchy.logpdf(local).sum() + stats.norm.logpdf(z).sum()
        beta = z * tau * local * np.sqrt(c2 / (c2 + (tau * local) ** 2))
        return beta, {"tau": tau, "c2": c2, "lambda": local, "z": z}, value


class ForestPrior(NamedTuple):
    """What a forest sees (n, p), its trees, the prior of a split and of a leaf, and its level."""

    X: np.ndarray
    trees: int
    alpha: float
    beta: float
    leaf_sd: float
    level: float

    def point(self, count, rng):
        """The forest's values, as its variable, and no density: PyMC-BART gives its trees none."""
        return self.level + self.leaf_sd * rng.normal(size=count), {}, 0.0


class EquationPriors(NamedTuple):
    """The prior of one equation in numbers.

    `mean` and `root` belong to its coefficients in θ's order (intercept, β[, δ, α]), as in
    `which_world.priors.Scales`; a coefficient under a sparse prior has a column of zeros, and
    `sparse` then has that prior. A forest stands for the intercept and β.
    """

    mean: np.ndarray
    root: np.ndarray
    sparse: Sieve | Funnel | None = None
    forest: ForestPrior | None = None

    @property
    def precision(self):
        """Of the coefficients, (m, m)."""
        return self.root.T @ self.root


class Joint(NamedTuple):
    """A joint model in numbers: its data, its priors, and ρ (a float, or its log prior density).

    In the design an equation with a forest has neither an intercept nor covariates.
    """

    design: Design
    rho: object
    sigma_U: float
    sigma_V: float
    outcome: EquationPriors
    treatment: EquationPriors

    @property
    def equations(self):
        """Both equations, with the letters of their variables."""
        return ("O", self.outcome), ("T", self.treatment)

    @property
    def family(self):
        """What samples it: ``"normal"``, ``"sieve"``, ``"funnel"`` or ``"forest"``."""
        if any(e.forest is not None for _, e in self.equations):
            return "forest"
        kinds = {type(e.sparse) for _, e in self.equations} - {type(None)}
        return "normal" if not kinds else "sieve" if kinds == {Sieve} else "funnel"

    @property
    def scales(self):
        """The priors of a model without a sparse one, as `which_world.priors.scales` gives them."""
        return Scales(*self.outcome[:2], *self.treatment[:2], self.sigma_U, self.sigma_V)


def observed(model):
    """The model with its own stored data observed, where the reader has observed none herself."""
    waiting = {rv.name for rv in model.free_RVs} & set(OBSERVED)
    if not waiting:
        return model
    return pm.observe(model, {name: model[OBSERVED[name]].get_value() for name in waiting})


def extract(model):
    """The numbers of an observed joint model, or None when it is something else."""
    try:
        joint = _joint(model)
        return joint if _agrees(model, joint) else None
    except (Unreadable, KeyError):
        return None


def _joint(model):
    """The numbers of a joint model of ours; Unreadable, if it is none."""
    free = {rv.name: rv for rv in model.free_RVs}
    seen = {
        rv.name: np.asarray(evaluated(model.rvs_to_values[rv]), dtype=float)
        for rv in model.observed_RVs
    }
    ours = set(seen) == set(OBSERVED) and {"alpha"} <= set(free) <= OWN_VARIABLES
    if not ours or model.potentials:
        raise Unreadable
    name = "likelihood_treatment"
    check_varies(seen[name], name, "treatment", " to have an effect")
    covariates, X = tuple(model.coords["covariate"]), model["X"].get_value()
    labels = np.array(covariates, dtype=object)
    design = Design(
        y=seen["likelihood_outcome"],
        t=seen["likelihood_treatment"],
        C=X,
        covariates=covariates,
        in_outcome=_included(model, free, "O", len(labels)),
        in_treatment=_included(model, free, "T", len(labels)),
        moderates=np.isin(labels, list(model.coords.get("moderator", ()))),
        intercept_O="intercept_O" in free,
        intercept_T="intercept_T" in free,
        outcome="outcome",
        treatment="treatment",
        kind=_kind(free, "sigma_V"),
        outcome_kind=_kind(free, "sigma_U"),
        scales=None,
        centre=_data(model, "treatment_mean", 0.0),
        step=_data(model, "treatment_step", 1.0),
    )
    outcome, treatment = (
        _equation(free, e, included, len(design.moderators))
        for e, included in (("O", design.in_outcome), ("T", design.in_treatment))
    )
    sigmas = (_half_normal(free[name]) if name in free else 1.0 for name in ("sigma_U", "sigma_V"))
    return Joint(design, _rho(model), *sigmas, outcome, treatment)


def _kind(free, sigma):
    """The kind of a response: a binary one has no σ."""
    return "continuous" if sigma in free else "binary"


def _data(model, name, without):
    """A number that a joint model holds: the centre of its treatment, or the step of it."""
    return float(model[name].get_value()) if name in model else without


def _included(model, free, equation, p):
    """Which covariates the line of an equation has: those it names as its own, or all of them."""
    if f"forest_{equation}" in free:
        return np.zeros(p, dtype=bool)
    whole, own = f"beta_{equation}", f"covariate_{equation}"
    if {f"{whole}_free", f"slab_{equation}", f"z_{equation}"} & set(free):
        return np.isin(np.array(model.coords["covariate"], dtype=object), list(model.coords[own]))
    return np.full(p, whole in free)  # all of them, or an equation without covariates


def _equation(free, e, included, moderators):
    """The numbers of one equation's prior, the treatment's coefficients among the outcome's."""
    count = int(included.sum())
    beta = next((free[name] for name in (f"beta_{e}", f"beta_{e}_free") if name in free), None)
    sparse = _sparse(free, e)
    forest = _trees(free[f"forest_{e}"]) if f"forest_{e}" in free else None
    line = [(free.get(f"intercept_{e}"), 1), (beta, 0 if forest or sparse else count)]
    own = [(free.get("delta"), moderators), (free["alpha"], 1)] if e == "O" else []
    blocks = [(rv, size) for rv, size in [*line, *own] if rv is not None and size]
    mean, root = _jointly_normal(blocks)
    if sparse is not None:
        gap = np.full(count, int(line[0][0] is not None))  # where its coefficients belong
        mean = np.insert(mean, gap, 0.0)
        root = np.insert(np.insert(root, gap, 0.0, axis=0), gap, 0.0, axis=1)
    return EquationPriors(mean, root, sparse, forest)


def _trees(rv):
    op = rv.owner.op
    return ForestPrior(
        np.ascontiguousarray(op.X), op.m, op.alpha, op.beta, op.Y.std() / np.sqrt(op.m), op.Y.mean()
    )


def _sparse(free, e):
    """The sieve or the funnel of one equation; None where there is neither."""
    if f"slab_{e}" in free:
        return _sieve(free, e)
    if f"z_{e}" in free:
        (tau_0,) = _constants(free[f"tau_{e}"], HalfCauchyRV)
        more = _constants(free[f"c2_{e}"], InvGammaRV)
        return Funnel(*map(float, (tau_0, *more)))
    return None


def _jointly_normal(blocks):
    """Mean and root precision of `blocks` (variables, sizes), each normal given those after it."""
    sizes = [size for _, size in blocks]
    ends = np.cumsum([0, *sizes])
    mean, root = np.zeros(ends[-1]), np.zeros((ends[-1], ends[-1]))
    for k in reversed(range(len(blocks))):
        own, later = slice(ends[k], ends[k + 1]), slice(ends[k + 1], ends[-1])
        level, slopes, scale = _given(blocks[k], blocks[k + 1 :])
        mean[own] = level + slopes @ mean[later]
        root[own, own] = np.linalg.inv(scale)
        root[own, later] = -root[own, own] @ slopes
    return mean, root


def _given(block, later):
    """Of a normal variable: mean where the later ones are zero, slopes in them, root covariance."""
    rv, size = block
    location, spread = _parameters(rv)
    used = [(other, length) for other, length in later if other in ancestors([location])]
    others = set(pm.pytensorf.rvs_in_graph([location])) - {other for other, _ in used}
    if others or pm.pytensorf.rvs_in_graph([spread]):
        raise Unreadable
    where = compiled(as_it_stands, [location, *(other for other, _ in used)])
    zero = [np.zeros(other.type.ndim * (length,)) for other, length in used]
    level = np.broadcast_to(where(*zero), size)
    slopes = np.zeros((size, sum(n for _, n in later)))
    start = 0
    for other, length in later:
        for i in range(length if other in [rv for rv, _ in used] else 0):
            moved = [
                np.eye(length)[i].reshape(at.shape) if each is other else at
                for (each, _), at in zip(used, zero)
            ]
            slopes[:, start + i] = where(*moved) - level
        start += length
    spread = evaluated(spread)
    normal = isinstance(rv.owner.op, NormalRV)
    root = np.diag(np.broadcast_to(spread, size)) if normal else np.linalg.cholesky(spread)
    return level, slopes, root


def _parameters(rv):
    """Mean and spread, a variable each: a normal's standard deviation, or several's covariance."""
    if not isinstance(rv.owner.op, (NormalRV, MvNormalRV)):
        raise Unreadable
    return rv.owner.op.dist_params(rv.owner)


def _sieve(free, e):
    rv = free[f"slab_{e}"]
    slab = np.broadcast_to(_constants(rv, NormalRV)[1], evaluated(rv.shape)).astype(float)
    if f"inclusion_{e}" in free:
        return Sieve(slab, *map(float, _constants(free[f"inclusion_{e}"], BetaRV)))
    (share,) = _constants(free[f"included_{e}"], BernoulliRV)
    return Sieve(slab, float(np.ravel(share)[0]), -1.0)


def _half_normal(rv):
    location, scale = _constants(rv, HalfNormalRV)
    if location != 0:
        raise Unreadable
    return float(scale)


def _constants(rv, op):
    """The parameters of a random variable of the wanted kind, when they are plain numbers."""
    if not isinstance(rv.owner.op, op):
        raise Unreadable
    parameters = rv.owner.op.dist_params(rv.owner)
    if any(pm.pytensorf.rvs_in_graph(p) for p in parameters):
        raise Unreadable
    return [evaluated(p) for p in parameters]


def _rho(model):
    """The value ρ is fixed at, or its log prior density as a function of an array of ρ."""
    rho = model["rho"]
    if rho not in model.free_RVs:
        if pm.pytensorf.rvs_in_graph(rho):
            raise Unreadable
        return float(evaluated(rho))
    if pm.pytensorf.rvs_in_graph(list(rho.owner.inputs)):
        raise Unreadable
    return compiled(_log_density, [rho])


def _log_density(variables):
    value = pt.vector("value")
    return [value], pm.logp(variables[0], value)


def _agrees(model, joint, *, points=2, tolerance=1e-6):
    """Is the model's own log density that of the numbers, at a few random points?"""
    seen = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    theirs = compiled(_joint_log_density, [*model.free_RVs, *model.observed_RVs])
    data = [evaluated(value) for value in seen]
    rng = np.random.default_rng(0)
    for _ in range(points):
        place, ours = _point(joint, rng)
        value = theirs(*(place[rv.name] for rv in model.free_RVs), *data)
        if not abs(ours - value) < tolerance * (1 + abs(value)):
            return False
    return True


def _joint_log_density(variables):
    values = [rv.type() for rv in variables]
    terms = conditional_logp(dict(zip(variables, values)))
    return values, sum(term.sum() for term in terms.values())


def _point(joint, rng):
    """Values of the variables near the prior's middle, and their log density by the numbers."""
    design, fixed = joint.design, isinstance(joint.rho, float)
    a = np.arctanh(joint.rho) if fixed else rng.choice(_near_zero(joint.rho))
    scales = [
        np.array([scale] if scaled else [])
        for scale, scaled in zip((joint.sigma_U, joint.sigma_V), rows_of(design).scaled)
    ]
    sigmas = [scale * rng.uniform(0.5, 1.5) for scale in scales]
    value = sum(stats.halfnorm.logpdf(s, scale=scale).sum() for s, scale in zip(sigmas, scales))
    value += 0.0 if fixed else joint.rho(np.array([np.tanh(a)]))[0]
    thetas, offsets, point = [], [], {}
    for e, equation in joint.equations:
        theta, offset, more, density = _point_of(equation, design.n, rng)
        thetas, offsets, value = [*thetas, theta], [*offsets, offset], value + density
        point |= {f"{name}_{e}": x for name, x in more.items()}
    theta = np.concatenate([thetas[0], np.log(sigmas[0]), thetas[1], np.log(sigmas[1])])
    if joint.family == "forest":
        value += pointwise(
            Rows.of(design, compress=False), theta[None], np.array([a]), offsets=offsets
        ).sum()
    else:
        value += log_likelihood(rows_of(design), theta, a)[0]
    return point | named(
        design, theta, a, forests=[e for e, part in joint.equations if part.forest]
    ), value


def _near_zero(log_density):
    """Values of a = atanh ρ that a prior of ρ allows, the thousand nearest to zero."""
    a = allowed(log_density)
    if not len(a):
        raise Unreadable
    return a[np.argsort(np.abs(a))[:1000]]


def _point_of(equation, n, rng):
    """θ of one equation, what its forest adds, its other variables, and their log density."""
    own = equation.root.any(axis=0)
    root, theta = equation.root[np.ix_(own, own)], np.zeros(len(own))
    z = 0.1 * rng.normal(size=own.sum())
    theta[own] = equation.mean[own] + np.linalg.solve(root, z)
    value = stats.norm.logpdf(z).sum() + np.log(np.abs(np.diagonal(root))).sum()
    offset = 0.0
    more = {}
    if equation.sparse is not None:
        theta[~own], more, density = equation.sparse.point(int((~own).sum()), rng)
        value += density
    if equation.forest is not None:
        offset, _, _ = equation.forest.point(n, rng)
        more = {"forest": offset}
    return theta, offset, more, value
