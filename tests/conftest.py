"""Designs that several tests look at: the smokers, with and without intercepts, and tanks with a known truth."""

import os
import runpy
import shutil
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores

import matplotlib
import pandas as pd
import pytest
from ponds import OUTCOME, PONDS, TREATMENT, run, tank

from helpers import load_nhefs, make_design, make_report, read_table, simulate_aquarium, stored

matplotlib.use("agg")

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip

COVARIATES = "sex + race + age + C(education) + smokeintensity + smokeyrs + C(exercise) + C(active) + wt71"
SMOKERS = {"outcome": f"wt82_71 ~ qsmk + {COVARIATES}", "treatment": f"qsmk ~ {COVARIATES}"}
TANK = {"outcome": "Y ~ T + X0 + X1", "treatment": "T ~ X0 + X1"}
INSTRUMENT = {"outcome": "Y ~ T + X0 + X1", "treatment": "T ~ X0 + X1 + X2"}
BENCHMARKS = Path(__file__).parent / "benchmarks"
QUICK = {
    "test_appendix", "test_arguments", "test_bivariate", "test_claims", "test_classical", "test_counterfactual",
    "test_data", "test_design", "test_formulas", "test_likelihoods", "test_numbers", "test_pairs", "test_plots",
    "test_simulate",
}  # fmt: skip
"""Files whose tests take a second each, or less."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in QUICK:
            item.add_marker("quick")


def script(name):
    """The functions of a script whose table is stored, and the table, if it is this script that made it."""
    table, genuine = stored(BENCHMARKS / f"{name}.csv")
    assert genuine, f"run again: python tests/benchmarks/{name}.py"
    return runpy.run_path(str(BENCHMARKS / f"{name}.py")), table


@pytest.fixture(scope="session")
def nhefs():
    return load_nhefs()


@pytest.fixture(scope="session")
def smokers(nhefs):
    """NHEFS with an intercept in both equations."""
    return make_design(nhefs, **SMOKERS)


@pytest.fixture(scope="session")
def talk(smokers):
    """NHEFS by the talk's specification: every column standardised, those of the factors as well, and no intercepts."""
    names = [f"x{j}" for j in range(smokers.C.shape[1])]
    scaled = pd.DataFrame(smokers.C, columns=names).assign(wt82_71=smokers.y, qsmk=smokers.t)
    X = " + ".join(names)
    return make_design(scaled, outcome=f"wt82_71 ~ 0 + qsmk + {X}", treatment=f"qsmk ~ 0 + {X}")


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


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, which may reach no other host."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not (program and driver):
        message = "Chromium and chromedriver are needed to look at the pages; neither may be missing in CI."
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "deep" / "report"
    return run(folder, "--drop-missing", "--unit", "g per g"), folder


@pytest.fixture(scope="session")
def report():
    table = read_table(PONDS, outcome=OUTCOME, treatment=TREATMENT, drop_missing=True)
    design = make_design(table.data, outcome=table.outcome, treatment=table.treatment)
    return make_report(design, unit="g per g", dropped=table.dropped)


@pytest.fixture(scope="session")
def strong():
    return make_report(make_design(tank(2.0), outcome="y ~ t + x", treatment="t ~ x + z"), unit="mm")
