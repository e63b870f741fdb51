"""Draws from a model with a PyMC-BART variable that is no joint model of ours: PyMC's own compound
step, seeded.

Particle Gibbs for the forests and NUTS for everything else. It is general and it mixes slowly: on
the smokers 20 trees gave about 10 effective draws of α from 600, which is why
`which_world.engine.forest_gibbs` exists.
"""

import logging
import multiprocessing
from contextlib import contextmanager

import pymc as pm

from which_world.engine.compiled import rounded_alike
from which_world.engine.pymc_bart_parts import is_forest, seeded_step

STATS = ("diverging", "energy", "tree_depth", "step_size", "acceptance_rate")


def particle_gibbs(model, *, draws, tune, chains, seed, progressbar, names=None):
    """Draws in PyMC's way: each step particle Gibbs for forests, then NUTS for all else."""
    forests = filter(is_forest, model.free_RVs)
    alone = multiprocessing.current_process().daemon  # a worker of a cluster may not have workers
    with model, _quiet("pymc"), rounded_alike():
        steps = [seeded_step(rv) for rv in forests]
        idata = pm.sample(
            draws,
            tune=tune,
            chains=chains,
            cores=1 if alone else None,
            random_seed=seed,
            step=steps,
            progressbar=progressbar,
            compute_convergence_checks=False,
            nuts_sampler="pymc",
            var_names=names,
        )
    statistics = idata["sample_stats"].to_dataset()
    # what a file can hold
    idata["sample_stats"] = statistics[[name for name in STATS if name in statistics]]
    idata.attrs["route"] = "particles"
    return idata


@contextmanager
def _quiet(name):
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
