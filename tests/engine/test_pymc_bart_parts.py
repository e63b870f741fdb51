"""The one door to PyMC-BART's private parts: what is behind it is still there, and nothing else goes round it."""

import multiprocessing
import re
from pathlib import Path

import numpy as np
import pymc as pm
import pymc_bart as pmb
import pytest

import which_world
from which_world.engine import pymc_bart_parts

LIBRARY = Path(which_world.__file__).parent
X, Y = np.arange(20.0)[:, None], np.arange(20.0)


def processes_after(make):
    before = set(multiprocessing.active_children())
    with pm.Model():
        variable = make("f", X, Y, m=3)
        started = set(multiprocessing.active_children()) - before
    return variable, started


def test_a_forest_starts_no_process_where_pymc_bart_itself_starts_one():
    theirs, started = processes_after(pmb.BART)
    assert started
    ours, none = processes_after(pymc_bart_parts.variable)
    assert not none
    assert ours.type == theirs.type and ours.owner.op.m == theirs.owner.op.m == 3
    for process in started:
        process.terminate()


def test_a_forest_is_told_from_other_variables():
    with pm.Model():
        assert pymc_bart_parts.is_forest(pymc_bart_parts.variable("f", X, Y, m=3))
        assert not pymc_bart_parts.is_forest(pm.Normal("z"))


@pytest.mark.parametrize("attribute", ["_settings_params", "pg_bart", "_non_tune_steps", "_synced_all_trees"])
def test_a_step_has_the_parts_that_a_seed_needs(attribute):
    with pm.Model():
        forest = pymc_bart_parts.variable("f", X, Y, m=3)
        pm.Normal("y", forest, 1.0, observed=Y)
        assert hasattr(pymc_bart_parts.seeded_step(forest), attribute)


def test_no_other_file_imports_them():
    imports = re.compile(r"^\s*(from|import) (pymc_bart|bartrs)\b", re.MULTILINE)
    guilty = {path.name for path in LIBRARY.rglob("*.py") if imports.search(path.read_text())}
    assert guilty == {"pymc_bart_parts.py"}
