"""Read a PyMC model back into the numbers that made it, and prove that nothing was missed.

A reader may have changed a model since `joint_model` built it: observed other data, intervened with
`pm.do`, added a potential. The model itself is therefore the authority. What is read from it is believed
only if it gives the model's own log density at random points; otherwise NUTS samples the model as it is.
"""

from typing import NamedTuple

import numpy as np
import pymc as pm
import pytensor
from pymc.distributions.continuous import HalfCauchyRV
from pymc.logprob.basic import conditional_logp
from pytensor.tensor.random.basic import (
    BernoulliRV,
    BetaRV,
    HalfNormalRV,
    InvGammaRV,
    NormalRV,
)
from scipy import stats

from helpers.columns import log_posterior
from helpers.design import Design
from helpers.likelihoods import log_likelihood
from helpers.priors import Scales

QUICK = "FAST_COMPILE"
RESPONSES = {"likelihood_outcome": "outcome", "likelihood_treatment": "treatment"}
OWN = {"alpha", "rho", "sigma_U", "sigma_V"} | {
    f"{part}_{equation}" for part in ("intercept", "beta") for equation in "OT"
} | {"beta_O_free", "beta_T_free", "delta"}  # fmt: skip


class Reading(NamedTuple):
    """A joint model in numbers: its data, its prior, and ρ (a float, or its log prior density)."""

    design: Design
    scales: Scales
    rho: object


class Unreadable(Exception):
    """Not one of our joint models with normal priors; NUTS takes it as it is."""


def observed(model):
    """The model with its own stored data observed, where the reader has not observed any herself."""
    waiting = {rv.name for rv in model.free_RVs} & set(RESPONSES)
    return pm.observe(model, {name: model[RESPONSES[name]].get_value() for name in waiting}) if waiting else model


def read(model):
    """The `Reading` of an observed joint model, or None when it is not one with normal priors."""
    try:
        reading = _read(model)
        return reading if _agrees(model, reading) else None
    except Unreadable:
        return None


def frame(model):
    """The design that a joint model was built on, as the model tells it."""
    free = {rv.name for rv in model.free_RVs}
    seen = {rv.name: np.asarray(model.rvs_to_values[rv].eval(mode=QUICK), dtype=float) for rv in model.observed_RVs}
    if set(seen) != set(RESPONSES) or model.potentials or not {"alpha", "sigma_U"} <= free or "X" not in model:
        raise Unreadable
    covariates = tuple(model.coords["covariate"])
    labels, count = np.array(covariates, dtype=object), len(covariates)
    return Design(
        y=seen["likelihood_outcome"], t=seen["likelihood_treatment"], C=model["X"].get_value(), covariates=covariates,
        in_outcome=_included(model, free, "O", count), in_treatment=_included(model, free, "T", count),
        moderates=np.isin(labels, list(model.coords.get("moderator", ()))),
        intercept_O="intercept_O" in free, intercept_T="intercept_T" in free, outcome="outcome", treatment="treatment",
        kind="continuous" if "sigma_V" in free else "binary", scales=None, centre=centre(model),
    )  # fmt: skip


def centre(model):
    """What the outcome equation of a joint model subtracts from the treatment."""
    return float(model["treatment_mean"].get_value()) if "treatment_mean" in model else 0.0


def _included(model, free, equation, p):
    """Which covariates an equation has: all of them, or those that its free coefficients fill."""
    whole, partial, own = f"beta_{equation}", f"beta_{equation}_free", f"covariate_{equation}"
    if own in model.coords:  # a sparse prior
        return np.isin(np.array(model.coords["covariate"], dtype=object), list(model.coords[own]))
    if (whole in free) == (partial in free):
        raise Unreadable
    if whole in free:
        return np.ones(p, dtype=bool)
    rv = model[partial]
    return model[whole].eval({rv: np.ones(rv.type.shape[0])}, mode=QUICK) != 0


def _read(model):
    design = frame(model)
    free = {rv.name: rv for rv in model.free_RVs}
    if not set(free) <= OWN:
        raise Unreadable
    mean_O, sd_O = _equation(free, "O", design.intercept_O, design.in_outcome.sum())
    mean_T, sd_T = _equation(free, "T", design.intercept_T, design.in_treatment.sum())
    (mean,), (sd,) = _normal(free["alpha"])
    sigma_V = _half_normal(free["sigma_V"]) if design.kind == "continuous" else 1.0
    mean_delta, sd_delta = _normal(free["delta"], design.moderates.sum()) if design.moderators else ([], [])
    prior = Scales(
        np.r_[mean_O, mean_delta, mean], np.r_[sd_O, sd_delta, sd], mean_T, sd_T, _half_normal(free["sigma_U"]), sigma_V
    )
    return Reading(design, prior, rho_of(model))


def _equation(free, name, has_intercept, count):
    """Means and sds of an equation's normal priors."""
    beta = free[f"beta_{name}"] if f"beta_{name}" in free else free[f"beta_{name}_free"]
    mean, sd = _normal(beta, count)
    if not has_intercept:
        return mean, sd
    (m,), (s,) = _normal(free[f"intercept_{name}"])
    return np.r_[m, mean], np.r_[s, sd]


def _normal(rv, size=1):
    mean, sd = _constants(rv, NormalRV)
    return np.broadcast_to(mean, size), np.broadcast_to(sd, size)


def _half_normal(rv):
    location, scale = _constants(rv, HalfNormalRV)
    if location != 0:
        raise Unreadable
    return float(scale)


def _constants(rv, op):
    """The parameters of a random variable of the wanted kind, when they are plain numbers."""
    if rv is None or not isinstance(rv.owner.op, op):
        raise Unreadable
    parameters = rv.owner.op.dist_params(rv.owner)
    if any(pm.pytensorf.rvs_in_graph(p) for p in parameters):
        raise Unreadable
    return [p.eval(mode=QUICK) for p in parameters]


def rho_of(model):
    """The value ρ is fixed at, or its log prior density as a function of an array of ρ."""
    rho = model["rho"]
    if rho not in model.free_RVs:
        if pm.pytensorf.rvs_in_graph(rho):
            raise Unreadable
        return float(rho.eval(mode=QUICK))
    if pm.pytensorf.rvs_in_graph(list(rho.owner.inputs)):
        raise Unreadable
    value = pytensor.tensor.vector("value")
    return pytensor.function([value], pm.logp(rho, value), mode=QUICK)


def named(design, theta, a):
    """θ and a of shape (chains, draws, ...) under the model's names, excluded coefficients at zero."""
    theta_O, log_sigma_U, theta_T, log_sigma_V = design.rows.split(theta)
    named = {"alpha": theta_O[..., -1], "rho": np.tanh(a), "sigma_U": np.exp(log_sigma_U)}
    theta_O, delta = _apart(design, theta_O)
    if design.moderators:
        named["delta"] = delta
    if design.kind == "continuous":
        named["sigma_V"] = np.exp(log_sigma_V)
    parts = {"O": (theta_O, design.intercept_O, design.in_outcome),
             "T": (theta_T, design.intercept_T, design.in_treatment)}  # fmt: skip
    for equation, (values, has_intercept, included) in parts.items():
        if has_intercept:
            named[f"intercept_{equation}"], values = values[..., 0], values[..., 1:]
        if not included.all():
            named[f"beta_{equation}_free"] = values  # as in the model, whose variable it is
        beta = np.zeros((*values.shape[:-1], len(included)))
        beta[..., included] = values
        named[f"beta_{equation}"] = beta
    return named


def _apart(design, theta_O):
    """(intercept_O, β_O) and δ of the outcome's coefficients, which end with α."""
    end = theta_O.shape[-1] - 1
    start = end - len(design.moderators)
    return theta_O[..., :start], theta_O[..., start:end]


class Sparse(NamedTuple):
    """A joint model with a sieve or a funnel, in numbers; θ has m entries, J of them sparse coefficients.

    `centre` and `base` (m,) are means and precisions of θ's normal entries, zero elsewhere; `slab` (J,) the sd of a
    free coefficient (sieve); `hyper` holds for each equation (a, b, 0) of its inclusion probability's Beta, or
    (π, -1, 0) for a fixed one (sieve), or (τ₀, shape, scale) of τ and c² (funnel).
    """

    design: Design
    rho: object
    family: str
    centre: np.ndarray
    base: np.ndarray
    sigma_U: float
    sigma_V: float
    slab: np.ndarray
    hyper: tuple


SPARSE = {"sieve": ("inclusion", "included", "slab"), "funnel": ("tau", "c2", "lambda", "z")}


def read_sparse(model):
    """The `Sparse` reading of an observed joint model, or None when it is not one with a sieve or a funnel."""
    try:
        design, rho = frame(model), rho_of(model)
        free = {rv.name: rv for rv in model.free_RVs}
        family = "funnel" if {"z_O", "z_T"} & set(free) else "sieve"
        own = {f"{name}_{e}" for name in SPARSE[family] for e in "OT"}
        if not set(free) <= own | {"alpha", "delta", "rho", "sigma_U", "sigma_V", "intercept_O", "intercept_T"}:
            raise Unreadable
        centre, base = _normal_entries(design, free)
        parts = [_sparse_equation(free, family, e) for e in "OT"]
        source = Sparse(
            design, rho, family, centre, base, _half_normal(free["sigma_U"]),
            _half_normal(free["sigma_V"]) if design.kind == "continuous" else 1.0,
            np.concatenate([slab for slab, _ in parts]), tuple(hyper for _, hyper in parts),
        )  # fmt: skip
        return source if _agrees_sparse(model, source) else None
    except Unreadable:
        return None


def _normal_entries(design, free):
    """Mean and precision of θ's entries with a normal prior of their own."""
    rows = design.rows
    centre, base = np.zeros(rows.size), np.zeros(rows.size)
    where = {"alpha": len(rows.names_O) - 1, "intercept_O": 0, "intercept_T": len(rows.names_O) + 1}
    for name, place in where.items():
        if name in free:
            (centre[place],), (sd,) = _normal(free[name])
            base[place] = sd**-2.0
    if design.moderators:
        own = slice(where["alpha"] - len(design.moderators), where["alpha"])
        centre[own], sd = _normal(free["delta"], len(design.moderators))
        base[own] = sd**-2.0
    return centre, base


def _sparse_equation(free, family, e):
    """An equation's slabs and the three numbers of its prior, neutral where the equation has no covariates."""
    if family == "funnel":
        if f"z_{e}" not in free:
            return np.zeros(0), (1.0, 1.0, 1.0)
        (tau_0,), (shape, scale) = _constants(free[f"tau_{e}"], HalfCauchyRV), _constants(free[f"c2_{e}"], InvGammaRV)
        return np.zeros(0), (float(tau_0), float(shape), float(scale))
    if f"slab_{e}" not in free:
        return np.zeros(0), (1.0, 1.0, 0.0)
    slab = _normal(free[f"slab_{e}"], free[f"slab_{e}"].eval(mode=QUICK).shape)[1]
    if f"inclusion_{e}" in free:
        return slab, (*map(float, _constants(free[f"inclusion_{e}"], BetaRV)), 0.0)
    (share,) = _constants(free[f"included_{e}"], BernoulliRV)
    return slab, (float(np.ravel(share)[0]), -1.0, 0.0)


def _agrees_sparse(model, source, points=2, tolerance=1e-6):
    """Is the model's own log density that of the reading, at points near the middle of it?"""
    values = {rv: rv.type(name=rv.name) for rv in model.free_RVs}
    terms = conditional_logp(values | {rv: model.rvs_to_values[rv] for rv in model.observed_RVs})
    theirs = pytensor.function(list(values.values()), sum(term.sum() for term in terms.values()), mode=QUICK)
    rng = np.random.default_rng(0)
    for _ in range(points):
        point, ours = _sparse_point(source, rng)
        value = theirs(*(point[name] for name in (rv.name for rv in model.free_RVs)))
        if not abs(ours - value) < tolerance * (1 + abs(value)):
            return False
    return True


def _sparse_point(source, rng):
    """Values of a sparse model's variables, and the log density that the reading gives them."""
    design, rows = source.design, source.design.rows
    theta = source.centre + 0.1 * rng.normal(size=rows.size) / np.sqrt(np.where(source.base > 0, source.base, 100.0))
    value, point = 0.0, {}
    counts, first = (design.in_outcome.sum(), design.in_treatment.sum()), 0
    starts = int(design.intercept_O), len(rows.names_O) + 1 + int(design.intercept_T)
    for e, count, start, hyper in zip("OT", counts, starts, source.hyper):
        if not count:
            continue
        slab = source.slab[first : first + count]
        beta, more, density = _sparse_values(source.family, hyper, slab, int(count), rng)
        point |= {f"{name}_{e}": x for name, x in more.items()}
        theta[start : start + count], value, first = beta, value + density, first + count
    a = rng.uniform(-0.5, 0.5) if not isinstance(source.rho, float) else np.arctanh(source.rho)
    theta_O, log_U, theta_T, log_V = rows.split(theta)
    theta[len(rows.names_O)] = log_U = np.log(source.sigma_U) + 0.1 * rng.normal()
    point |= {"alpha": theta_O[-1], "delta": _apart(design, theta_O)[1], "rho": np.tanh(a),
              "sigma_U": np.exp(log_U), "intercept_O": theta_O[0],
              "intercept_T": theta_T[0], "sigma_V": np.exp(log_V)}  # fmt: skip
    value += stats.halfnorm.logpdf(np.exp(log_U), scale=source.sigma_U)
    if design.kind == "continuous":
        value += stats.halfnorm.logpdf(np.exp(log_V), scale=source.sigma_V)
    own = source.base > 0
    value += stats.norm.logpdf(theta[own], source.centre[own], source.base[own] ** -0.5).sum()
    value += log_likelihood(rows, theta, a)[0]
    return point, value + (0.0 if isinstance(source.rho, float) else source.rho(np.array([np.tanh(a)]))[0])


def _sparse_values(family, hyper, slab, count, rng):
    """β of one equation, the variables that make it, and their log prior density."""
    first, second, third = hyper
    if family == "sieve":
        share = first if second < 0 else 0.4
        included, free = rng.integers(0, 2, count), 0.1 * slab * rng.normal(size=count)
        value = stats.bernoulli.logpmf(included, share).sum() + stats.norm.logpdf(free, 0, slab).sum()
        value += 0.0 if second < 0 else stats.beta.logpdf(share, first, second)
        return included * free, {"inclusion": share, "included": included, "slab": free}, value
    tau, c2 = first * rng.uniform(0.5, 2), third / second * rng.uniform(0.5, 2)
    local, z = np.exp(rng.normal(size=count)), rng.normal(size=count)
    value = stats.halfcauchy.logpdf(tau, scale=first) + stats.invgamma.logpdf(c2, second, scale=third)
    value += stats.halfcauchy.logpdf(local).sum() + stats.norm.logpdf(z).sum()
    beta = z * tau * local * np.sqrt(c2 / (c2 + (tau * local) ** 2))
    return beta, {"tau": tau, "c2": c2, "lambda": local, "z": z}, value


def _agrees(model, reading, points=2, tolerance=1e-6):
    """Does the reading give the model's own log density, at points drawn near the middle of its prior?"""
    variables = model.free_RVs
    values = {rv: rv.type(name=rv.name) for rv in variables}
    data = {rv: model.rvs_to_values[rv] for rv in model.observed_RVs}
    terms = conditional_logp(values | data)
    own = pytensor.function(list(values.values()), sum(term.sum() for term in terms.values()), mode=QUICK)
    rng = np.random.default_rng(0)
    for _ in range(points):
        theta, a, point = _point(reading, rng)
        ours = log_posterior(reading.design.rows, reading.scales, theta[None], np.array([a]))[0]
        ours -= sum(point[name] for name in ("log_sigma_U", "log_sigma_V") if name in point)
        if not isinstance(reading.rho, float):
            ours += reading.rho(np.array([np.tanh(a)]))[0]
        theirs = own(*(point[rv.name] for rv in variables))
        if not abs(ours - theirs) < tolerance * (1 + abs(theirs)):
            return False
    return True


def _point(reading, rng):
    """A parameter vector, and the same one under the model's names."""
    design, prior = reading.design, reading.scales
    theta_O = prior.mean_O + 0.1 * prior.sd_O * rng.normal(size=len(prior.mean_O))
    theta_T = prior.mean_T + 0.1 * prior.sd_T * rng.normal(size=len(prior.mean_T))
    log_U, log_V = np.log(prior.sigma_U) + 0.1 * rng.normal(), np.log(prior.sigma_V) + 0.1 * rng.normal()
    a = np.arctanh(reading.rho if isinstance(reading.rho, float) else rng.uniform(-0.5, 0.5))
    regular, delta = _apart(design, theta_O)
    point = {
        "alpha": theta_O[-1], "delta": delta, "sigma_U": np.exp(log_U), "log_sigma_U": log_U, "rho": np.tanh(a),
        "intercept_O": theta_O[0], "intercept_T": theta_T[0],
        "beta_O": regular[design.intercept_O :], "beta_T": theta_T[design.intercept_T :],
    }  # fmt: skip
    point |= {"beta_O_free": point["beta_O"], "beta_T_free": point["beta_T"]}
    theta = [*theta_O, log_U, *theta_T]
    if design.kind == "continuous":
        point |= {"sigma_V": np.exp(log_V), "log_sigma_V": log_V}
        theta.append(log_V)
    return np.array(theta), a, point
