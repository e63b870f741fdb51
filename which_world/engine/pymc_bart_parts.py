"""The private parts of PyMC-BART and bartrs that this library touches, and no other file does.

Written against pymc-bart 0.13.1 and bartrs 0.4.0; `tests/engine/test_pymc_bart_parts.py` tells when
they move.
"""

from types import SimpleNamespace
from unittest.mock import patch

import numpy as np


def variable(name, X, response, **settings):
    """A ``pymc_bart.BART`` variable without a process of its own.

    The process hands trees to predictions, and none are made here.
    """
    import pymc_bart as pmb

    with patch("pymc_bart.bart.Manager", return_value=SimpleNamespace(list=list)):
        return pmb.BART(name, X, response, **settings)


def is_forest(rv):
    """Whether a variable of a model is PyMC-BART's."""
    from pymc_bart.bart import BARTRV

    return isinstance(rv.owner.op, BARTRV)


def seeded_step(rv):
    """Particle Gibbs for one forest, with a seed of its own for every chain, and a fresh forest:
    PyMC-BART starts all chains from seed 0.
    """
    from bartrs.bartrs import PyBartSettings, PySampler
    from bartrs.pgbart import PGBART

    step = PGBART([rv])
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
