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
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for package in ("which_world", "helpers")
    for path in (ROOT / package).rglob("*.py")
}
DOORS = {name for name in FILES if name.endswith(("__init__", "__main__"))}  # they hand names out, and know every room
TAUGHT = {
    "arguments", "moments", "design", "priors", "selection", "forest", "models", "classical", "sampling", "effects",
    "maps", "readings", "worlds", "decisions", "checks", "clusters", "deletion", "plots", "vega",
    "explore", "belief",
}  # fmt: skip
OF_THE_BOOK = {"data", "simulate", "claims", "plots", "explore"}
# the files that ask the engine for numbers; all others are what they say and nothing behind it
ASK = {
    "models", "priors", "selection", "forest", "classical", "sampling", "effects", "maps", "readings", "worlds",
    "checks", "clusters", "deletion",
}  # fmt: skip
BELOW = {f"which_world.{name}" for name in ("design", "priors", "moments", "arguments")}  # what every room stands on
# asked in the test file of another: what is compiled through the file that chooses it, what moves on one page there
ELSEWHERE = {
    "which_world.engine.bivariate_loops": "engine/test_bivariate.py",
    "which_world.engine.forest_gibbs_loops": "engine/test_forest_gibbs.py",
    "which_world.engine.sparse_gibbs_loops": "engine/test_sparse_gibbs.py",
    "which_world.belief": "test_explore.py",
    "which_world.vega": "test_explore.py",
    "which_world.report.report": "test_neighbours.py",  # a value and how it is shown
}
HEAVY = {"pymc", "pytensor", "nutpie", "numba", "pymc_bart", "bartrs", "distributed"}


def arrows(path):
    """The modules of the two packages that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("helpers", "which_world")):
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in FILES else node.module for name in inner)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(("helpers", "which_world")))


ARROWS = {name: set(arrows(path)) for name, path in FILES.items()}


def room(module):
    """`helpers`, `engine`, `tables`, `report`, or `taught`: the library's first floor."""
    package, *rest = module.split(".")
    return package if package == "helpers" else rest[0] if len(rest) > 1 else "taught"


def may(module, target):
    """Whether the plan allows an arrow."""
    here, there, name = room(module), room(target), module.rpartition(".")[2]
    if target.endswith(("__init__", "__main__")) or target == "helpers":
        return False
    if target == "which_world":  # public names alone, when they are used
        return here in ("helpers", "report")
    if here == there:
        return True
    return {
        "helpers": there == "taught",
        "report": there == "taught",
        "taught": (there == "engine" and name in ASK) or target == "which_world.tables.guards",
        "engine": target in BELOW,
        "tables": target in BELOW,
    }[here]


def forbidden(arrows):
    """Every arrow that the plan does not allow."""
    return [
        f"{module} → {target}"
        for module, targets in arrows.items()
        for target in sorted(targets)
        if module not in DOORS and not may(module, target)
    ]


def test_every_room_knows_only_what_it_may():
    assert forbidden(ARROWS) == []


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("which_world.design", "which_world.engine.likelihoods"),
        ("which_world.engine.laplace", "which_world.maps"),
        ("which_world.maps", "which_world.report.words"),
        ("which_world.report.examine", "which_world.engine.laplace"),
        ("which_world.tables.columns", "which_world.maps"),
        ("which_world.maps", "which_world.tables.columns"),
        ("which_world.plots", "helpers.plots"),
        ("helpers.simulate", "which_world.engine.pairs"),
    ],
)
def test_a_backward_arrow_is_seen(module, target):
    assert forbidden({module: {target}})


def crossings(arrows):
    """Compiled files that take something from another file."""
    return {name: targets for name, targets in arrows.items() if name.endswith("_loops") and targets}


def test_no_compiled_file_calls_another():
    """Numba's cache on disk looks at one file: a change in another would leave old code running, or crash."""
    assert crossings(ARROWS) == {}
    assert crossings({"which_world.engine.forest_gibbs_loops": {"which_world.engine.trees"}})
    compiling = {name for name, path in FILES.items() if "from numba import" in path.read_text(encoding="utf-8")}
    assert compiling == {name for name in FILES if name.endswith("_loops")}


def test_there_is_no_circle():
    TopologicalSorter({name: targets for name, targets in ARROWS.items() if name not in DOORS}).prepare()


def test_a_reader_who_opens_a_folder_finds_what_the_chapters_teach():
    for place, names in (("taught", TAUGHT), ("helpers", OF_THE_BOOK)):
        found = {name.rpartition(".")[2] for name in FILES if room(name) == place and name not in DOORS}
        assert found == names


def test_each_module_has_a_test_file_of_its_name():
    """In the same room: a reader who opens one finds the other."""
    lonely = set()
    for name in FILES.keys() - DOORS:
        _, *rooms, module = name.split(".")
        if not (ROOT / "tests").joinpath(*rooms, f"test_{module}.py").exists():
            lonely.add(name)
    assert lonely == set(ELSEWHERE)
    assert [file for file in ELSEWHERE.values() if not (ROOT / "tests" / file).exists()] == []


HELP = """
import sys, which_world.report.command as cli
try: cli.main(["--help"])
except SystemExit: pass
"""
MAP = """
from helpers import make_design, map_rho, read_map, simulate_aquarium, tipping_point, weigh
design = make_design(simulate_aquarium(300).data, outcome="Y ~ T + X0", treatment="T ~ X0 + X2")
chart = map_rho(design); read_map(chart); weigh(chart); tipping_point(chart)
"""
ALL = """
given = {}; exec("from helpers import *", given)
assert set(helpers.__all__) <= set(given) & set(dir(helpers))
"""
STAGES = {
    "import": ("import which_world, helpers", HEAVY | {"numpy", "pandas", "scipy", "matplotlib", "xarray"}),
    "help": (HELP, HEAVY | {"numpy", "pandas", "scipy", "matplotlib", "xarray"}),
    "map": (MAP, HEAVY),
    "model": ("from helpers import joint_model", {"nutpie", "pymc_bart", "bartrs", "distributed"}),
    "fit": ("from helpers import bart, fit, fit_worlds; bart()", {"nutpie", "pymc_bart", "bartrs", "distributed"}),
    "all": (ALL, set()),
}


@pytest.fixture(scope="module")
def loaded():
    """The packages that are there after each stage of one process, in which nothing goes away again."""
    show = "import sys; print('STAGE', *sorted({name.partition('.')[0] for name in sys.modules}))"
    code = "\n".join(f"{code}\n{show}" for code, _ in STAGES.values())
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    told = [set(line.split()[1:]) for line in run.stdout.splitlines() if line.startswith("STAGE ")]
    assert len(told) == len(STAGES)
    return dict(zip(STAGES, told))


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_heavy_is_imported_before_it_is_used(loaded, stage):
    assert loaded[stage] & STAGES[stage][1] == set()


def test_every_public_name_is_there_and_no_other(loaded):
    assert "pymc" in loaded["all"]  # where each is asked for
    with pytest.raises(AttributeError, match="no attribute 'map_roh'"):
        __import__("helpers").map_roh  # noqa: B018


def named_twice(source):
    """The names that a module binds more than once on its own floor."""
    lines = ast.parse(source).body
    targets = [target for line in lines if isinstance(line, ast.Assign) for target in line.targets]
    targets += [line.target for line in lines if isinstance(line, ast.AnnAssign)]
    bound = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return {name for name in bound if bound.count(name) > 1}


def test_no_constant_overrides_another_of_its_name():
    """Two numbers once shared a name, and a sampler looked at two hundred values of ρ where it needs thirty."""
    files = [*FILES.values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "book").glob("*.py")]
    assert {path.name: twice for path in files if (twice := named_twice(path.read_text(encoding="utf-8")))} == {}
    assert named_twice("A, B = 31, 30\nC: int = 1\nB = 200\n") == {"B"}
