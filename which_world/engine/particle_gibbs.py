"""Draws from a model with a PyMC-BART variable that is no joint model of ours: PyMC's own compound
step, seeded.

Particle Gibbs for the forests and NUTS for everything else. It is general and it mixes slowly: on
the smokers 20 trees gave about 10 effective draws of α from 600, which is why
`which_world.engine.forest_gibbs` exists.
"""

import logging
import multiprocessing
from contextlib import contextmanager

import numpy as np
import pymc as pm
from bartrs.bartrs import PyBartSettings, PySampler
from bartrs.pgbart import PGBART
from pymc_bart.bart import BARTRV

STATS = ("diverging", "energy", "tree_depth", "step_size", "acceptance_rate")


def particle_gibbs(model, *, draws, tune, chains, seed, progressbar, names=None):
    """PyMC's way: particle Gibbs for the forests and NUTS for everything else,
    one after the other in each step.
    """
    forests = [rv for rv in model.free_RVs if isinstance(rv.owner.op, BARTRV)]
    alone = multiprocessing.current_process().daemon  # a worker of a cluster may not have workers
    with model, _quiet("pymc"):
        steps = [_seeded(PGBART([rv])) for rv in forests]
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


def _seeded(step):
    """The step with a seed of its own for every chain, and a fresh forest:
    PyMC-BART starts all chains from seed 0.
    """
    begin = step.setup_chain

    def setup_chain(rng, tune, draws):
        step._settings_params["seed"] = int(rng.integers(2**63))
        step.pg_bart = PySampler.init(
            x=np.asfortranarray(step.X),
            y=step.bart.Y,
            model=step.compiled_pymc_model.get_function_pointer(),
            settings=PyBartSettings(**step._settings_params),
        )
        step._non_tune_steps, step._synced_all_trees = 0, True  # the trees themselves are not kept
        begin(rng, tune, draws)

    step.setup_chain = setup_chain
    return step


@contextmanager
def _quiet(name):
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
