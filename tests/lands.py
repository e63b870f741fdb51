"""Formulas for a table of lands, the command line on it, and the effect that least squares finds."""

from click.testing import CliRunner

from helpers import make_design, ols
from which_world.__main__ import main

FORMULAS = {"outcome": "y ~ t * land", "treatment": "t ~ land"}


def attempt(folder, csv, *options, **formulas):
    wanted = [f"--{name}={formula}" for name, formula in (FORMULAS | formulas).items()]
    return CliRunner().invoke(main, [str(csv), *wanted, "--out", str(folder), *options])


def alpha(table, **kind):
    return ols(make_design(table.data, outcome=table.outcome, treatment=table.treatment, **kind)).params["alpha"]
