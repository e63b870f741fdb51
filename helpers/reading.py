"""Read a PyMC model back into the numbers that made it, and prove that nothing was missed.

A reader may have changed a model since `joint_model` built it: observed other data, intervened with
`pm.do`, added a potential. The model itself is therefore the authority. What is read from it is believed
only if it gives the model's own log density at random points; otherwise NUTS samples the model as it is.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
import pymc as pm
import pytensor
from pymc.logprob.basic import conditional_logp
from pytensor.tensor.random.basic import HalfNormalRV, NormalRV

from helpers.columns import log_posterior
from helpers.design import Design
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
        return reading if agrees(model, partial(_point, reading)) else None
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
        in_outcome=included(model, free, "O", count), in_treatment=included(model, free, "T", count),
        moderates=np.isin(labels, list(model.coords.get("moderator", ()))),
        intercept_O="intercept_O" in free, intercept_T="intercept_T" in free, outcome="outcome", treatment="treatment",
        kind="continuous" if "sigma_V" in free else "binary", scales=None, centre=centre(model),
    )  # fmt: skip


def centre(model):
    """What the outcome equation of a joint model subtracts from the treatment."""
    return float(model["treatment_mean"].get_value()) if "treatment_mean" in model else 0.0


def included(model, free, equation, p):
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
    (mean,), (sd,) = normal(free["alpha"])
    sigma_V = half_normal(free["sigma_V"]) if design.kind == "continuous" else 1.0
    mean_delta, sd_delta = normal(free["delta"], design.moderates.sum()) if design.moderators else ([], [])
    prior = Scales(
        np.r_[mean_O, mean_delta, mean], np.r_[sd_O, sd_delta, sd], mean_T, sd_T, half_normal(free["sigma_U"]), sigma_V
    )
    return Reading(design, prior, rho_of(model))


def _equation(free, name, has_intercept, count):
    """Means and sds of an equation's normal priors."""
    beta = free[f"beta_{name}"] if f"beta_{name}" in free else free[f"beta_{name}_free"]
    mean, sd = normal(beta, count)
    if not has_intercept:
        return mean, sd
    (m,), (s,) = normal(free[f"intercept_{name}"])
    return np.r_[m, mean], np.r_[s, sd]


def normal(rv, size=1):
    mean, sd = constants(rv, NormalRV)
    return np.broadcast_to(mean, size), np.broadcast_to(sd, size)


def half_normal(rv):
    location, scale = constants(rv, HalfNormalRV)
    if location != 0:
        raise Unreadable
    return float(scale)


def constants(rv, op):
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
    theta_O, delta = apart(design, theta_O)
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


def apart(design, theta_O):
    """(intercept_O, β_O) and δ of the outcome's coefficients, which end with α."""
    end = theta_O.shape[-1] - 1
    start = end - len(design.moderators)
    return theta_O[..., :start], theta_O[..., start:end]


def agrees(model, point, *, points=2, tolerance=1e-6):
    """Is the model's own log density that of a reading?

    Asked at a few random points: `point(rng)` gives the values of the model's variables by name, and the log density
    that the reading gives them.
    """
    values = {rv: rv.type(name=rv.name) for rv in model.free_RVs}
    terms = conditional_logp(values | {rv: model.rvs_to_values[rv] for rv in model.observed_RVs})
    theirs = pytensor.function(list(values.values()), sum(term.sum() for term in terms.values()), mode=QUICK)
    rng = np.random.default_rng(0)
    for _ in range(points):
        place, ours = point(rng)
        value = theirs(*(place[rv.name] for rv in model.free_RVs))
        if not abs(ours - value) < tolerance * (1 + abs(value)):
            return False
    return True


def _point(reading, rng):
    """Values of the model's variables near the middle of the prior, and the log density that the reading gives them."""
    design, prior = reading.design, reading.scales
    theta_O = prior.mean_O + 0.1 * prior.sd_O * rng.normal(size=len(prior.mean_O))
    theta_T = prior.mean_T + 0.1 * prior.sd_T * rng.normal(size=len(prior.mean_T))
    log_U, log_V = np.log(prior.sigma_U) + 0.1 * rng.normal(), np.log(prior.sigma_V) + 0.1 * rng.normal()
    a = np.arctanh(reading.rho if isinstance(reading.rho, float) else rng.uniform(-0.5, 0.5))
    regular, delta = apart(design, theta_O)
    point = {
        "alpha": theta_O[-1], "delta": delta, "sigma_U": np.exp(log_U), "sigma_V": np.exp(log_V), "rho": np.tanh(a),
        "intercept_O": theta_O[0], "intercept_T": theta_T[0],
        "beta_O": regular[design.intercept_O :], "beta_T": theta_T[design.intercept_T :],
    }  # fmt: skip
    point |= {"beta_O_free": point["beta_O"], "beta_T_free": point["beta_T"]}
    logs = [log_U, log_V] if design.kind == "continuous" else [log_U]
    theta = np.array([*theta_O, log_U, *theta_T, *logs[1:]])
    value = log_posterior(design.rows, prior, theta[None], np.array([a]))[0] - sum(logs)  # density of σ, not of log σ
    return point, value + (0.0 if isinstance(reading.rho, float) else reading.rho(np.array([np.tanh(a)]))[0])
