"""Draws from a joint model with `bart()`,
by backfitting (`which_world.engine.forest_gibbs_loops`).
"""

import numpy as np
from joblib import Parallel, cpu_count, delayed

from which_world.engine.counterfactual import average_effect
from which_world.engine.draws import named, tree
from which_world.engine.forest_gibbs_loops import sample
from which_world.engine.laplace import log_prior_a
from which_world.engine.likelihoods import Rows

GRID = np.linspace(-3.5, 3.5, 701)  # atanh ρ, up to 0.998
THIN = 6  # sweeps for every draw that is kept
NO_TREES = np.array([0.0, 0.95, 2.0, 1.0, 0.0])


def forest_gibbs(joint, *, draws, tune, chains, seed):
    """The posterior of a joint model with a forest: every chain from its own seed and its own ρ.

    Parameters
    ----------
    joint : which_world.engine.from_pymc.Joint
    draws, tune, chains, seed
        As in `which_world.sampling.fit`.

    Returns
    -------
    xarray.DataTree
    """
    rngs = np.random.default_rng(seed).spawn(chains)
    fixed = isinstance(joint.rho, float)  # one point is then the whole grid
    grid = np.array([np.arctanh(joint.rho)]) if fixed else GRID
    prior = grid, np.zeros(1) if fixed else log_prior_a(joint.rho, grid)
    work = (delayed(_chain)(joint, prior, (draws, tune, THIN), rng) for rng in rngs)
    paths = Parallel(n_jobs=min(chains, cpu_count()), require="sharedmem")(work)
    kept = [np.stack(part) for part in zip(*paths)]  # each (chains, draws, ...)
    return tree(joint.design, _posterior(joint, kept), route="trees")


def _chain(joint, prior, plan, rng):
    design, rows = joint.design, Rows.of(joint.design, compress=False)
    answer, choice = (kind == "binary" for kind in design.kinds)
    far = np.clip(0.5 * rng.normal(), -1.5, 1.5)  # chains start apart
    start = (
        prior[0][0] if len(prior[0]) == 1 else far,
        0.0 if answer else np.log(design.y.std()),
        0.0 if choice else np.log(design.t.std()),
    )
    seen, forests = zip(*(_forest(equation, design.n) for _, equation in joint.equations))
    priors = [(equation.mean, equation.precision) for _, equation in joint.equations]
    return sample(
        design.y,
        design.t,
        rows.A,
        rows.Z,
        *seen,
        *priors,
        *forests,
        np.array([joint.sigma_U, joint.sigma_V]),
        *prior,
        start,
        (answer, choice),
        plan,
        rng,
    )


def _forest(equation, n):
    """What an equation's forest sees, and its numbers as the compiled loops take them:
    0 trees where it has none.
    """
    trees = equation.forest
    if trees is None:
        return np.empty((0, n)), NO_TREES
    return np.ascontiguousarray(trees.X.T), np.array(
        [trees.trees, trees.alpha, trees.beta, trees.leaf_sd, trees.level]
    )


def _posterior(joint, kept):
    """Draws under the model's names, a forest's average as its equation's intercept."""
    theta, gamma, spread, *forests = kept
    sigmas = [
        spread[..., 1 + k : 2 + k] if kind == "continuous" else spread[..., :0]
        for k, kind in enumerate(joint.design.kinds)
    ]
    whole = np.concatenate([theta, sigmas[0], gamma, sigmas[1]], axis=-1)
    own = [e for e, equation in joint.equations if equation.forest is not None]
    posterior = named(joint.design, whole, spread[..., 0], forests=own)
    for e, forest in zip("OT", forests):
        if e in own:
            posterior |= {f"forest_{e}": forest, f"intercept_{e}": forest.mean(-1)}
    if joint.design.outcome_kind == "binary" and own:
        offsets = [posterior.get(f"forest_{e}", 0.0) for e in "OT"]
        posterior["effect"] = average_effect(joint.design, whole, spread[..., 0], offsets=offsets)
    return posterior
