"""Draws from a joint model with `bart()`,
by backfitting (`which_world.engine.forest_gibbs_loops`).
"""

import numpy as np
from joblib import Parallel, cpu_count, delayed

from which_world.engine.counterfactual import average_effect
from which_world.engine.draws import named, tree
from which_world.engine.forest_gibbs_loops import (
    CoefficientPrior,
    Errors,
    ForestEquation,
    Grid,
    Kept,
    Plan,
    TreePrior,
    sample,
)
from which_world.engine.laplace import log_prior_a
from which_world.engine.likelihoods import Rows

ATANH_RHO = np.linspace(-3.5, 3.5, 701)  # up to 0.998
SWEEPS_A_DRAW = 6  # that is kept


def forest_gibbs(joint, *, draws, tune, chains, seed):
    """The posterior of a `Joint` with a forest: each chain from a seed and a ρ of its own."""
    rngs = np.random.default_rng(seed).spawn(chains)
    fixed = isinstance(joint.rho, float)  # one point is then the whole grid
    points = np.array([np.arctanh(joint.rho)]) if fixed else ATANH_RHO
    grid = Grid(points, np.zeros(1) if fixed else log_prior_a(joint.rho, points))
    work = (delayed(_chain)(joint, grid, Plan(draws, tune, SWEEPS_A_DRAW), rng) for rng in rngs)
    paths = Parallel(n_jobs=min(chains, cpu_count()), require="sharedmem")(work)
    kept = Kept(*(np.stack(part) for part in zip(*paths)))  # each (chains, draws, ...)
    return tree(joint.design, _posterior(joint, kept), route="trees")


def _chain(joint, grid, plan, rng):
    """One chain's draws, as the compiled loops keep them."""
    design, rows = joint.design, Rows.of(joint.design, compress=False)
    far = np.clip(0.5 * rng.normal(), -1.5, 1.5)  # chains start apart
    log_sigmas = (
        0.0 if kind == "binary" else np.log(response.std())
        for kind, response in zip(design.kinds, (design.y, design.t))
    )
    start = Errors(grid.a[0] if len(grid.a) == 1 else far, *log_sigmas)
    outcome = _equation(joint, "O", design.y, rows.A, joint.sigma_U)
    treatment = _equation(joint, "T", design.t, rows.Z, joint.sigma_V)
    return sample(outcome, treatment, grid, start, plan, rng)


def _equation(joint, name, response, columns, sigma_scale):
    """One equation as the compiled loops take it."""
    design, equation = joint.design, dict(joint.equations)[name]
    trees, X, growth = equation.forest, np.empty((0, design.n)), TreePrior()
    if trees is not None:
        X = np.ascontiguousarray(trees.X.T)
        numbers = trees.alpha, trees.beta, trees.leaf_sd, trees.level
        growth = TreePrior(trees.trees, *map(float, numbers))
    prior = CoefficientPrior(equation.mean, equation.precision)
    binary = design.kinds["OT".index(name)] == "binary"
    columns = np.ascontiguousarray(columns)  # one layout is compiled once
    return ForestEquation(response, columns, X, prior, growth, sigma_scale, binary)


def _posterior(joint, kept):
    """Draws under the model's names, a forest's average as its equation's intercept."""
    a, *log_sigmas = np.split(kept.errors, 3, axis=-1)
    log_U, log_V = (
        log_sigma if kind == "continuous" else log_sigma[..., :0]
        for kind, log_sigma in zip(joint.design.kinds, log_sigmas)
    )
    theta, a = np.concatenate([kept.theta_O, log_U, kept.theta_T, log_V], axis=-1), a[..., 0]
    own = [e for e, equation in joint.equations if equation.forest is not None]
    posterior = named(joint.design, theta, a, forests=own)
    for e, forest in zip("OT", (kept.forest_O, kept.forest_T)):
        if e in own:
            posterior |= {f"forest_{e}": forest, f"intercept_{e}": forest.mean(-1)}
    if joint.design.outcome_kind == "binary" and own:
        offsets = [posterior.get(f"forest_{e}", 0.0) for e in "OT"]
        posterior["effect"] = average_effect(joint.design, theta, a, offsets=offsets)
    return posterior
