"""Read a joint model with a sieve or a funnel back into the numbers that made it; `helpers.reading` says why."""

from functools import partial
from typing import NamedTuple

import numpy as np
from pymc.distributions.continuous import HalfCauchyRV
from pytensor.tensor.random.basic import BernoulliRV, BetaRV, InvGammaRV
from scipy import stats

from helpers import reading as rd
from helpers.design import Design
from helpers.likelihoods import log_likelihood


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
        design, rho = rd.frame(model), rd.rho_of(model)
        free = {rv.name: rv for rv in model.free_RVs}
        family = "funnel" if {"z_O", "z_T"} & set(free) else "sieve"
        own = {f"{name}_{e}" for name in SPARSE[family] for e in "OT"}
        if not set(free) <= own | {"alpha", "delta", "rho", "sigma_U", "sigma_V", "intercept_O", "intercept_T"}:
            raise rd.Unreadable
        centre, base = _normal_entries(design, free)
        parts = [_equation(free, family, e) for e in "OT"]
        source = Sparse(
            design, rho, family, centre, base, rd.half_normal(free["sigma_U"]),
            rd.half_normal(free["sigma_V"]) if design.kind == "continuous" else 1.0,
            np.concatenate([slab for slab, _ in parts]), tuple(hyper for _, hyper in parts),
        )  # fmt: skip
        return source if rd.agrees(model, partial(_point, source)) else None
    except rd.Unreadable:
        return None


def _normal_entries(design, free):
    """Mean and precision of θ's entries with a normal prior of their own."""
    rows = design.rows
    centre, base = np.zeros(rows.size), np.zeros(rows.size)
    where = {"alpha": len(rows.names_O) - 1, "intercept_O": 0, "intercept_T": len(rows.names_O) + 1}
    for name, place in where.items():
        if name in free:
            (centre[place],), (sd,) = rd.normal(free[name])
            base[place] = sd**-2.0
    if design.moderators:
        own = slice(where["alpha"] - len(design.moderators), where["alpha"])
        centre[own], sd = rd.normal(free["delta"], len(design.moderators))
        base[own] = sd**-2.0
    return centre, base


def _equation(free, family, e):
    """An equation's slabs and the three numbers of its prior, neutral where the equation has no covariates."""
    if family == "funnel":
        if f"z_{e}" not in free:
            return np.zeros(0), (1.0, 1.0, 1.0)
        (tau_0,), (shape, scale) = (
            rd.constants(free[f"tau_{e}"], HalfCauchyRV),
            rd.constants(free[f"c2_{e}"], InvGammaRV),
        )
        return np.zeros(0), (float(tau_0), float(shape), float(scale))
    if f"slab_{e}" not in free:
        return np.zeros(0), (1.0, 1.0, 0.0)
    slab = rd.normal(free[f"slab_{e}"], free[f"slab_{e}"].eval(mode=rd.QUICK).shape)[1]
    if f"inclusion_{e}" in free:
        return slab, (*map(float, rd.constants(free[f"inclusion_{e}"], BetaRV)), 0.0)
    (share,) = rd.constants(free[f"included_{e}"], BernoulliRV)
    return slab, (float(np.ravel(share)[0]), -1.0, 0.0)


def _point(source, rng):
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
        beta, more, density = _values(source.family, hyper, slab, int(count), rng)
        point |= {f"{name}_{e}": x for name, x in more.items()}
        theta[start : start + count], value, first = beta, value + density, first + count
    a = rng.uniform(-0.5, 0.5) if not isinstance(source.rho, float) else np.arctanh(source.rho)
    theta_O, log_U, theta_T, log_V = rows.split(theta)
    theta[len(rows.names_O)] = log_U = np.log(source.sigma_U) + 0.1 * rng.normal()
    point |= {"alpha": theta_O[-1], "delta": rd.apart(design, theta_O)[1], "rho": np.tanh(a),
              "sigma_U": np.exp(log_U), "intercept_O": theta_O[0],
              "intercept_T": theta_T[0], "sigma_V": np.exp(log_V)}  # fmt: skip
    value += stats.halfnorm.logpdf(np.exp(log_U), scale=source.sigma_U)
    if design.kind == "continuous":
        value += stats.halfnorm.logpdf(np.exp(log_V), scale=source.sigma_V)
    own = source.base > 0
    value += stats.norm.logpdf(theta[own], source.centre[own], source.base[own] ** -0.5).sum()
    value += log_likelihood(rows, theta, a)[0]
    return point, value + (0.0 if isinstance(source.rho, float) else source.rho(np.array([np.tanh(a)]))[0])


def _values(family, hyper, slab, count, rng):
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
