"""Designs that several tests look at: the smokers, with and without intercepts, and tanks with a known truth."""

import os
import runpy
import shutil
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores

import click
import matplotlib
import numpy as np
import pandas as pd
import pytest
from ponds import OUTCOME, PONDS, TREATMENT, run, tank

import which_world
from helpers import World, atanh_normal, load_nhefs, make_design, make_report, read_table, simulate_aquarium, stored

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
    "test_appendix", "test_arguments", "test_bivariate", "test_bivariate_graph", "test_bivariate_plain",
    "test_claims", "test_classical", "test_codes", "test_columns", "test_conjugate", "test_counterfactual",
    "test_data", "test_design", "test_dialects", "test_draws", "test_factors", "test_formulas", "test_frames",
    "test_guards", "test_independence", "test_likelihoods", "test_making", "test_options", "test_pairs",
    "test_plots", "test_simulate",
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


@pytest.fixture(scope="session")
def worlds(designs):
    design = designs["continuous", "plain"]
    return [
        World("OLS", design, rho=None, interpretation="no treatment equation"),
        World("no current", design, rho=0.0),
        World("free", design, rho=atanh_normal(), interpretation="a current of either sign"),
    ]


@pytest.fixture(scope="session")
def sixty_fish():
    """A design of few rows, with a binary treatment and a current."""
    return make_design(simulate_aquarium(60, rho=0.4, treatment="binary", seed=2).data, **TANK)


@pytest.fixture(scope="session")
def few_fish():
    """Two confounders, an instrument and a covariate of the outcome; few fish, so that models stay in doubt."""
    return simulate_aquarium(120, rho=0.6, seed=3, confounders=2, instruments=1, outcome_only=1, noise=0).data


NAMES = ["X0", "X1", "X2", "X3"]


def design_of(data, names=NAMES, treated=None):
    """The design of `few_fish`, or of some of its columns."""
    treated = names if treated is None else treated
    return make_design(data, outcome=f"Y ~ {' + '.join(['T', *names])}", treatment=f"T ~ {' + '.join(['1', *treated])}")


def means(idata, *names):
    return [idata["posterior"][name].mean(("chain", "draw")).values for name in names]


@pytest.fixture(scope="session")
def data():
    """A frame of 200 rows, some of whose columns are called like what a formula calls."""
    rng = np.random.default_rng(5)
    n = 200
    x, w, s = rng.normal(size=n), rng.normal(size=n), rng.uniform(1, 9, size=n)
    g = np.repeat(["a", "b", "c", "d"], n // 4)
    t = x + s / 4 + rng.normal(size=n)
    y = t + x**2 + 0.5 * x * w + (g == "b") + rng.normal(size=n)
    return pd.DataFrame(
        {"y": y, "t": t, "x": x, "w": w, "s": s, "g": g, "copy": x, "log": s, "C": w, "np": w, "pre": w}
    )


@pytest.fixture(scope="session")
def trial():
    """120 people: a treatment, a party and a letter that stand for themselves, and their ages."""
    rng, n = np.random.default_rng(2), 120
    x, t = rng.normal(size=n), rng.integers(0, 2, n)
    party = rng.integers(1, 4, n)
    y = t + x + (party == 2) + rng.normal(size=n)
    return pd.DataFrame({"y": y, "t": t, "x": x, "party": party, "age": rng.integers(20, 80, n), "s": list("abc") * 40})


@pytest.fixture
def read_only(monkeypatch):
    """The command line as far as its design, which it then shows."""

    def show(design, table, **_):
        raise click.ClickException(f"read {design!r} dropping {table.dropped}")

    monkeypatch.setattr(which_world, "make_report", show)


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
