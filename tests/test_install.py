"""The core alone, installed into an empty environment, has what a map needs; what else is installed is in no way."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import statsmodels.formula.api as smf

ROOT = Path(__file__).parent.parent
BOOKISH = {"sphinx", "jupyter-book", "jupyterlab", "selenium", "ruff", "pytest", "pymc-bart", "distributed"}
HEAVY = {"pymc", "pytensor", "numba", "nutpie", "arviz", "matplotlib", "seaborn"}
USE = """
import sys
from importlib.metadata import distributions
import pandas as pd
import which_world
from which_world import make_design, map_rho, read_map, tipping_point
data = pd.read_csv(sys.argv[1])
covariates = "age + C(education)"
for outcome in ("wt82_71", "death"):
    formulas = {"outcome": f"{outcome} ~ qsmk + {covariates}", "treatment": f"qsmk ~ {covariates}"}
    table = read_map(map_rho(make_design(data, **formulas)))
    print(f"{table['mean'][0.0]:.3f}")
for name in ("joint_model", "plot_map"):
    try:
        getattr(which_world, name)
    except ModuleNotFoundError as error:
        print(str(error).replace(" ", "_"))
print(*{d.metadata["Name"].lower() for d in distributions()}, sep=" ")
"""


@pytest.mark.skipif(not os.environ.get("CI"), reason="installs a whole environment; continuous integration does")
@pytest.mark.timeout(900)
def test_the_core_alone_has_a_map_and_names_the_extra_for_the_rest(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    # at the book's versions, so that what is tested is what was tested; compiled when it is imported, if it is
    install = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile"]
    subprocess.run([*install, "--constraint", pins(tmp_path), ROOT], check=True)
    use = [python, "-c", USE, ROOT / "data" / "nhefs.csv"]
    run = subprocess.run(use, cwd=tmp_path, capture_output=True, text=True, env=bare())
    assert run.returncode == 0, run.stderr
    weight, death, *missing, names = run.stdout.splitlines()
    data = pd.read_csv(ROOT / "data" / "nhefs.csv")
    right = "~ qsmk + age + C(education)"
    assert float(weight) == pytest.approx(smf.ols(f"wt82_71 {right}", data).fit().params["qsmk"], abs=0.1)
    probit = smf.probit(f"death {right}", data).fit(disp=0)  # without numba: NumPy's log Φ₂
    with_it, without = (probit.predict(data.assign(qsmk=value)).mean() for value in (1, 0))
    assert float(death) == pytest.approx(100 * (with_it - without), abs=0.3)
    assert "which-world[sample]" in missing[0] and "which-world[plot]" in missing[1]
    assert set(names.split()) & (BOOKISH | HEAVY) == set()
    assert not list((tmp_path / "env").rglob("site-packages/helpers"))  # a name that many projects use
    assert not (ROOT / "build").exists()


def pins(folder):
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (folder / "pins.txt").write_text("\n".join(lines[1:]), encoding="utf-8")
    return folder / "pins.txt"


def bare():
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"MPLBACKEND": "agg"}


SHIPPED = (
    "tests/__init__.py",
    "tests/conftest.py",
    "oracles.py",
    "conftest.py",
    "helpers/__init__.py",
    "which_world/__init__.py",
)


def test_a_package_that_ships_our_names_takes_none_of_them(tmp_path):
    """Some ship a top-level `tests`: a test still finds its own neighbours, and this house's helpers."""
    for name in SHIPPED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise ImportError('not of this house')\n", encoding="utf-8")
    code = "import sys, pytest; sys.path.remove(''); sys.exit(pytest.main())"  # the current folder is no help either
    options = ["--collect-only", "-p", "no:cacheprovider", "tests/engine/test_likelihoods.py"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code, *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name)
def test_no_test_asks_for_its_neighbours_by_a_name_that_others_use(path):
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    asked = [node.module for node in tree if isinstance(node, ast.ImportFrom) and node.module]
    assert [name for name in asked if name.split(".")[0] == "tests"] == []
