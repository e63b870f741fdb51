"""Designs that several tests look at: the smokers, with and without intercepts, and tanks with a known truth."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores

import matplotlib
import pytest

from helpers import load_nhefs, make_design, simulate_aquarium

matplotlib.use("agg")

COVARIATES = "sex + race + age + C(education) + smokeintensity + smokeyrs + C(exercise) + C(active) + wt71"
SMOKERS = {"outcome": f"wt82_71 ~ qsmk + {COVARIATES}", "treatment": f"qsmk ~ {COVARIATES}"}
TALK = {"outcome": f"wt82_71 ~ 0 + qsmk + {COVARIATES}", "treatment": f"qsmk ~ 0 + {COVARIATES}"}
TANK = {"outcome": "Y ~ T + X0 + X1", "treatment": "T ~ X0 + X1"}
INSTRUMENT = {"outcome": "Y ~ T + X0 + X1", "treatment": "T ~ X0 + X1 + X2"}


@pytest.fixture(scope="session")
def nhefs():
    return load_nhefs()


@pytest.fixture(scope="session")
def smokers(nhefs):
    """NHEFS with an intercept in both equations."""
    return make_design(nhefs, **SMOKERS)


@pytest.fixture(scope="session")
def talk(nhefs):
    """NHEFS by the talk's specification: no intercepts."""
    return make_design(nhefs, **TALK)


@pytest.fixture(scope="session")
def tanks():
    """A small tank of each kind, with a current of 0.4."""
    return {kind: simulate_aquarium(400, rho=0.4, treatment=kind, seed=1) for kind in ("continuous", "binary")}


@pytest.fixture(scope="session")
def designs(tanks):
    """The tanks as designs, with the same covariates in both equations and with an instrument."""
    specifications = {"plain": TANK, "instrument": INSTRUMENT}
    return {
        (kind, name): make_design(tank.data, **formulas)
        for kind, tank in tanks.items()
        for name, formulas in specifications.items()
    }


@pytest.fixture(scope="session")
def moderated(tanks):
    """The tanks as designs in which two covariates change the effect."""
    return {
        kind: make_design(tank.data, outcome="Y ~ T * (X0 + X3) + X1", treatment="T ~ X0 + X1 + X2")
        for kind, tank in tanks.items()
    }
