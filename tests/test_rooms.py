"""The plan of the house: which room may know which, no circle, and nothing heavy before it is used."""

import ast
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "helpers").rglob("*.py")
}  # fmt: skip
DOORS = {"helpers.__init__", "helpers.__main__"}  # they hand names out, and know every room
TAUGHT = {
    "arguments", "data", "simulate", "formulas", "pieces", "moments", "design", "priors", "selection", "forest",
    "models", "classical", "sampling", "effects", "maps", "readings", "worlds", "decisions", "checks", "claims",
    "clusters", "deletion", "plots", "explore",
}  # fmt: skip
# the files that ask the engine for numbers; all others are what they say and nothing behind it
ASK = {
    "models", "selection", "classical", "sampling", "effects", "maps", "readings", "worlds", "checks", "clusters",
    "deletion",
}  # fmt: skip
HEAVY = {"pymc", "pytensor", "nutpie", "numba", "pymc_bart", "bartrs", "distributed"}


def arrows(path):
    """The modules of this package that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("helpers"):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in FILES else node.module for name in inner)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("helpers"))


ARROWS = {name: set(arrows(path)) for name, path in FILES.items()}


def room(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else "helpers"


def forbidden(arrows):
    """Every arrow that the plan does not allow."""
    for module, targets in arrows.items():
        if module in DOORS:
            continue
        for target in targets:
            here, there = room(module), room(target)
            if here == "engine":
                allowed = there == "engine" or target in ("helpers.design", "helpers.priors", "helpers.moments")
            elif here == "report":
                allowed = there in ("helpers", "report", "grammar")
            elif here == "grammar":
                allowed = there == "grammar"
            elif there == "grammar":
                allowed = module in ("helpers.formulas", "helpers.pieces")
            else:
                allowed = there == "helpers" or (there == "engine" and module.rpartition(".")[2] in ASK)
            if not allowed or target in DOORS:
                yield f"{module} → {target}"


def test_every_room_knows_only_what_it_may():
    assert list(forbidden(ARROWS)) == []


def test_a_backward_arrow_is_seen():
    assert list(forbidden({"helpers.design": {"helpers.engine.likelihoods"}}))
    assert list(forbidden({"helpers.engine.laplace": {"helpers.maps"}}))
    assert list(forbidden({"helpers.maps": {"helpers.report.words"}}))
    assert list(forbidden({"helpers.report.examine": {"helpers.engine.laplace"}}))
    assert list(forbidden({"helpers.grammar.columns": {"helpers.formulas"}}))
    assert list(forbidden({"helpers.maps": {"helpers.grammar.columns"}}))


def crossings(arrows):
    """Compiled files that take something from another file."""
    return {name: targets for name, targets in arrows.items() if name.endswith("_loops") and targets}


def test_no_compiled_file_calls_another():
    """Numba's cache on disk looks at one file: a change in another would leave old code running, or crash."""
    assert crossings(ARROWS) == {}
    assert crossings({"helpers.engine.forest_gibbs_loops": {"helpers.engine.trees"}})
    compiling = {name for name, path in FILES.items() if "from numba import" in path.read_text(encoding="utf-8")}
    assert compiling == {name for name in FILES if name.endswith("_loops")}


def test_there_is_no_circle():
    TopologicalSorter({name: targets for name, targets in ARROWS.items() if name not in DOORS}).prepare()


def test_a_reader_who_opens_the_folder_finds_what_the_chapters_teach():
    assert {name.rpartition(".")[2] for name in FILES if room(name) == "helpers"} - {"__init__", "__main__"} == TAUGHT


def loaded(code):
    """The packages that a line of Python imports."""
    show = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


HELP = """
import sys, helpers.report.command as cli
try: cli.main(["--help"])
except SystemExit: pass
"""
MAP = """
from helpers import make_design, map_rho, read_map, simulate_aquarium, tipping_point, weigh
design = make_design(simulate_aquarium(300).data, outcome="Y ~ T + X0", treatment="T ~ X0 + X2")
chart = map_rho(design); read_map(chart); weigh(chart); tipping_point(chart)
"""


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import helpers", HEAVY | {"numpy", "pandas", "scipy", "matplotlib", "xarray"}),
        (HELP, HEAVY | {"numpy", "pandas", "scipy", "matplotlib", "xarray"}),
        (MAP, HEAVY),
        ("from helpers import joint_model", {"nutpie", "pymc_bart", "bartrs", "distributed"}),
        ("from helpers import bart, fit, fit_worlds; bart()", {"nutpie", "pymc_bart", "bartrs", "distributed"}),
    ],
    ids=["import", "help", "map", "model", "fit"],
)
def test_nothing_heavy_is_imported_before_it_is_used(code, unwanted):
    assert loaded(code) & unwanted == set()


def test_every_public_name_is_there_and_no_other():
    code = "from helpers import *; import helpers; assert set(helpers.__all__) <= set(dir()) & set(dir(helpers))"
    loaded(code)
    with pytest.raises(AttributeError, match="no attribute 'map_roh'"):
        __import__("helpers").map_roh  # noqa: B018
