"""What nobody should send: each argument of each public function, given what it cannot use, before any work is done.

`CALLS` holds a valid call of each function, and for each of its arguments the values that are to be refused. The error
must be raised by a line of this package, name the argument and show the value.
"""

import ast
import inspect
import pickle
import re
import traceback
from fractions import Fraction
from functools import cache
from pathlib import Path

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.stats as st
import statsmodels.formula.api as smf
import xarray as xr
from click.testing import CliRunner

import helpers
import which_world
from which_world import arguments
from which_world.__main__ import main

HOME = Path(helpers.__file__).parent
NAN = float("nan")


@cache
def frame():
    return helpers.simulate_aquarium(80, rho=0.3, seed=3).data


@cache
def design():
    return helpers.make_design(frame(), outcome="Y ~ T * X0 + X3", treatment="T ~ X0 + X2")


@cache
def other():
    """A design with the same names, of other fish."""
    data = helpers.simulate_aquarium(80, rho=0.3, seed=4).data
    return helpers.make_design(data, outcome="Y ~ T * X0 + X3", treatment="T ~ X0 + X2")


@cache
def joiners():
    """A design with a binary treatment, of as many fish."""
    data = helpers.simulate_aquarium(80, treatment="binary", seed=3).data
    return helpers.make_design(data, outcome="Y ~ T + X0", treatment="T ~ X0 + X2")


@cache
def village():
    """Which village each of as many fish is of."""
    return np.arange(80) // 8


@cache
def bare():
    """A design without covariates."""
    return helpers.make_design(frame(), outcome="Y ~ T", treatment="T ~ 1")


@cache
def chart():
    return helpers.map_rho(design(), rho=np.tanh(np.linspace(-1, 1, 9)), draws=100)


@cache
def table():
    return helpers.read_map(chart())


@cache
def steps():
    return pd.DataFrame({"a": [1.0, 2.0], "b": [0.0, 1.0], "n": [0, 20], "c": ["x", "y"]})


@cache
def reading():
    return helpers.weigh(chart(), 0.0, draws=100)


@cache
def model():
    return helpers.joint_model(design(), rho=0.0)


@cache
def idata():
    rng = np.random.default_rng(0)
    groups = {
        "posterior": {"alpha": rng.normal(size=(2, 50)), "rho": rng.uniform(size=(2, 50)),
                      "delta": rng.normal(size=(2, 50, 1))},
        "observed_data": {"likelihood_outcome": design().y, "likelihood_treatment": design().t},
    }  # fmt: skip
    dims = {"delta": ["moderator"], "likelihood_outcome": ["obs"], "likelihood_treatment": ["obs"]}
    return az.from_dict(groups, dims=dims, coords={"moderator": ["X0"]})


@cache
def posteriorless():
    return xr.DataTree.from_dict({"prior": xr.Dataset({"alpha": ("draw", [1.0, 2.0])})})


@cache
def elsewhere():
    """A fit of other fish."""
    tree = idata().copy(deep=True)
    tree["observed_data"] = xr.DataTree(tree["observed_data"].to_dataset() + 1)
    return tree


@cache
def world():
    return helpers.World("a", design())


@cache
def decision():
    return helpers.decide(chart(), lambda action, effect: action * effect, actions={"less": 0, "more": 1})


@cache
def report():
    return helpers.make_report(bare())


@cache
def drift():
    return pd.DataFrame({"rho": [0.0, 0.5], "estimate": [3.0, 3.5]})


@cache
def worlds():
    return pd.DataFrame({"alpha": [1.0], "low": [0.0], "high": [2.0]}, index=["a"])


@cache
def axes():
    return plt.figure().add_subplot()


def loss(action, effect):
    return effect


BENCH = HOME.parent / "tests" / "benchmarks" / "bart_bias.csv"


def known(path):
    return HOME.parent / "data" / path


MADE = (frame, design, other, joiners, village, bare, chart, steps, reading, table, model, idata, posteriorless,
        elsewhere, world, decision, report, drift, worlds, axes)  # fmt: skip

HOLED = np.ma.array([0.0, 0.1, 0.2, 0.3, 0.4], mask=[0, 1, 0, 0, 0])
OBJECTS = [None, 3, "x", [], {}, NAN]
DESIGNS = [*OBJECTS, frame, model, idata, chart]
NUMBERS = ["1", True, np.ma.masked, NAN, float("inf"), [1.0], 1j, frame, 10**400]
SPREADS = [*NUMBERS, 0, -1.0, 1e200, 1e-200, np.array([1.0, 2.0])]
COUNTS = [-1, 1.5, 2.0, "a", "10", None, True, np.True_, NAN, [10], 10**30, 10**5000, np.float64(3)]
SEEDS = [-1, 1.5, "a", None, True, NAN, [1], 2**64, np.random.default_rng(0)]
PROBABILITIES = [95, 0, 1, -0.1, NAN, "0.95", True, [0.9], np.float32(95), None]
RHOS = [1, -1, 1.5, NAN, "0.3", True, frame, 1j, st.norm, st.poisson(1), st.multivariate_normal([0, 0]), helpers.normal]
TEXTS = [None, 3, ["kg"], NAN, b"kg", frame]
FLAGS = ["no", 1, 0, None, NAN, [], "True"]
FITS = [*OBJECTS, frame, design, model, chart, posteriorless]
MAPS = [*OBJECTS, frame, table, design, idata, model]
PRIORS = ["normal", 1.0, NAN, frame, helpers.normal, helpers.atanh_normal(), helpers.bart()]
FORESTS = ["bart", 50, True, helpers.bart, helpers.normal(), frame]
AXES = ["left", 3, plt, frame, [axes]]
TABLES = [*OBJECTS, design, chart, {"mean": [1.0]}, pd.DataFrame({"a": [1.0]}), pd.DataFrame()]
FORMULAS = [None, 3, ["Y ~ T"], "", "Y", "~", b"Y ~ T", NAN, frame]
DRAWS = [
    None,
    "x",
    [],
    {},
    [NAN, 1.0, 2.0],
    ["a", "b"],
    [[1.0], [1.0, 2.0]],
    [1.0],
    HOLED,
    posteriorless,
    design,
    frame,
    1j,
]
GRIDS = [None, 0.3, "x", [], [0.1, 0.2], [0, 0.1, 0.2, 0.3, 1.0], [0, 0.1, NAN, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1, 0.0],
         [0, 0, 0.1, 0.2, 0.3], ["a"] * 5, HOLED, frame, True, [[0, 0.1, 0.2, 0.3, 0.4]]]  # fmt: skip
COUNTED = [-1, 1.5, "a", None, True, NAN]
SAMPLED = {"draws": [*COUNTS, 0], "tune": COUNTS, "chains": [*COUNTS, 0], "seed": SEEDS}
DRAWN = {"ax": AXES, "unit": TEXTS}
PRIOR = {"coefficients": PRIORS, "alpha": SPREADS, "sigma": SPREADS}

# a function → a valid call, and what to refuse by argument
CLUSTERS = [3, "X0", [], [1, 2], {}, ["a"] * 80, ["a"] * 79 + [None], [1.0] * 79 + [NAN], np.zeros((80, 2)), frame]
CALLS = {
    "bootstrap_map": (
        {"design": design, "cluster": village},
        {"design": DESIGNS, "cluster": [None, *CLUSTERS], "replicates": [*COUNTS, 49], "seed": SEEDS,
         "rho": [*RHOS, [], [NAN, 0.3], ["a"], [0.3, 1]], "probability": PROBABILITIES},
    ),
    "World": (
        {"name": "a", "design": design},
        {"name": TEXTS, "design": DESIGNS, "rho": RHOS, **PRIOR, "interpretation": TEXTS, "treatment": FORESTS},
    ),
    "atanh_normal": ({}, {"mean": [*NUMBERS, 1e200], "sd": [*SPREADS, None]}),
    "bart": (
        {},
        {"trees": [*COUNTS, 0], "alpha": [*PROBABILITIES, 10**400], "beta": [*SPREADS, None], "spread": SPREADS},
    ),
    "benchmark_rho": (
        {"design": design},
        {"design": DESIGNS,
         "groups": [3, "X0", ["X0"], {"a": None}, {"a": 3}, {"a": []}, {"a": ["nobody"]}, {"a": [["X0"]]}, {}, NAN]},
    ),
    "claim": ({"sentence": "Fish swim.", "holds": True},
              {"sentence": TEXTS, "holds": [NAN, 1, None, "yes", [], [True], frame]}),
    "decide": (
        {"map": chart, "loss": loss, "actions": ["less", "more"]},
        {"map": MAPS, "loss": [None, 3, "loss", {"less": 1}], "actions": [None, 3, "less", [], ["less"], {}, {"a": 1},
         ["a", "a"], [["a"], ["b"]], design], "prior": [r for r in RHOS if not callable(r) or r is frame],
         "likelihood": FLAGS,
         "within": [0.3, "ab", (0.1,), (0.3, 0.1), (NAN, 0.1), (0.1, 0.1), (-2, 2), ("a", "b"), (0, 0.1, 0.2), frame]},
    ),
    "diagnostics": ({"fits": idata}, {"fits": [*FITS, {"a": 3}, {"a": None, "b": idata}]}),
    "e_value": ({"ratio": 2.0}, {"ratio": [*NUMBERS, 0, -1, None], "limit": [*NUMBERS, 0, -1, 3.0]}),
    "effect_at": (
        {"idata": idata, "design": design, "values": {"X0": [0.0, 1.0]}},
        {"idata": [*FITS, elsewhere], "design": [*DESIGNS, other, joiners, bare],
         "values": [None, 3, "X0", [], {}, {"X3": [1.0]}, {"X0": "a"}, {"X0": None}, {"X0": [NAN]}, {"X0": []},
                    {"X0": [[1.0]]}, {"X0": [[1.0], [1.0, 2.0]]}, {3: [1.0]}]},
    ),
    "excluded": ({"names": ["X2"]},
                 {"names": [None, 3, [], (), [3], [None], {"X2": 1}, "", [""], [["X2"]], frame, True],
                  "others": [*PRIORS, helpers.excluded(["X3"])]}),
    "explore_belief": (
        {"map": chart},
        {"map": MAPS, "unit": TEXTS, "options": [3, "x", ["a"], {"a": 3}, {1: abs}, NAN],
         "within": [3, "ab", (0.1,), (0.3, -0.3), (-1, 1), (NAN, 0.1), frame]},
    ),
    "explore_map": (
        {"map": chart},
        {"map": MAPS, "unit": TEXTS, "ols": [n for n in NUMBERS if n is not None],
         "truth": [3, "ab", (1,), (1, 2, 3), ("a", 1), frame],
         "within": [3, "ab", (0.1,), (0.3, -0.3), (-1, 1), (NAN, 0.1), frame]},
    ),
    "explore_steps": (
        {"table": steps, "x": "a", "y": "b", "step": "n"},
        {"table": [*OBJECTS, design, chart, pd.DataFrame({"a": [1.0], "b": [2.0], "n": [0]}),
                   pd.DataFrame({"a": [1.0, NAN], "b": [2.0, 1.0], "n": [0, 1]})],
         "x": [None, 3, "no", [], {}, "b", "n"], "y": [None, 3, "no", [], {}], "step": [None, 3, "no", [], {}, "c"],
         "labels": [3, "a", [], {"a": 3}, {1: "a"}, frame], "truth": [3, "ab", (1,), (1, 2, 3), ("a", 1), frame]},
    ),
    "fit": ({"model_or_design": design}, {"model_or_design": [*OBJECTS, frame, idata, chart, world], **SAMPLED,
                                          "progressbar": FLAGS}),
    "fit_worlds": ({"worlds": [world], "folder": None},
                   {"worlds": [None, 3, ["ab"], [3], [None], world, design, [design]],
                    **SAMPLED, "folder": [3, True, [], b"x", frame, NAN]}),
    "horseshoe": ({}, {"p0": SPREADS, "slab": [*SPREADS, None], "nu": [*SPREADS, None]}),
    "influence": ({"design": design}, {"design": DESIGNS}),
    "joint_model": (
        {"design": design},
        {"design": DESIGNS, **PRIOR, "rho": RHOS, "treatment": FORESTS, "outcome": FORESTS},
    ),
    "learned": (
        {"prior": model, "posterior": idata},
        {"prior": [*DRAWS, [1.0, 1.0, 1.0]], "posterior": DRAWS, "name": [None, 3, "", "nobody", ["alpha"], frame],
         "draws": [*COUNTS, 0], "seed": SEEDS},
    ),
    "load_lalonde": ({}, {"controls": [None, 3, "psid", ["cps"], {}, "CPS", NAN]}),
    "load_nhefs": ({}, {"everyone": FLAGS}),
    "make_design": (
        {"data": frame, "outcome": "Y ~ T + X0", "treatment": "T ~ X0"},
        {"data": [*OBJECTS, design, model, pd.DataFrame(), np.zeros((3, 3)), {"Y": [1.0]}], "outcome": FORMULAS,
         "treatment": FORMULAS, "outcome_kind": ["Binary", "yes", 3, True, [], NAN], "step": SPREADS},
    ),
    "make_report": (
        {"design": bare},
        {"design": DESIGNS, "unit": TEXTS, "belief": [*RHOS, 0.3, "wide", [], helpers.normal()], "alpha": SPREADS,
         "dropped": COUNTED, "names": [3, "x", ["x"], {1: 2}, {"a": None}, NAN],
         "labels": [3, "x", ["x"], {1: 2}, {"Y": None}, {"a": "b"}, {"Y": "T"}, NAN],
         "undefined": [3, "x", ["x"], {"a": "b"}, {1: 2}, {"a": -1}, NAN], "seed": SEEDS,
         "data": [3, "x", [], {}, pd.DataFrame({"a": [1]})], "tell": [3, "print", [], {}, NAN],
         "table": [3, "x", [], {}, frame, NAN],
         "options": [3, "x", [], {}, {"a": (0, 0)}, {"a": 1, "b": 2}, {"a": (0, 0), "b": (NAN, 1)}, {1: (0, 0)}, NAN],
         "within": [3, "x", [], (0.5, -0.5), (-1, 1), (0, 0, 0), {}, NAN]},
    ),
    "map_rho": ({"design": design}, {"design": DESIGNS, "rho": GRIDS, **PRIOR, "draws": [*COUNTS, 0, 99],
                                     "seed": SEEDS}),
    "maximum_likelihood": ({"design": design},
                           {"design": DESIGNS,
                            "rho": [*RHOS, [], [NAN, 0.3], [0.3, "a"], [0.3, 1], {}, helpers.atanh_normal(), [[0.1]]],
                            "cluster": CLUSTERS}),
    "normal": ({}, {"scale": [*SPREADS, None], "beta_O": SPREADS, "beta_T": SPREADS}),
    "ols": ({"design": design}, {"design": DESIGNS, "cluster": CLUSTERS}),
    "plot_decision": ({"decision": decision}, {"decision": [*OBJECTS, frame, chart, table], **DRAWN}),
    "plot_diagram": ({}, {name: TEXTS for name in ("treatment", "outcome", "covariates", "hidden")}
                     | {name: [each for each in TEXTS if each is not None] for name in ("instrument", "held")}
                     | {"ax": DRAWN["ax"]}),
    "plot_drift": ({"table": drift}, {"table": [*TABLES, table], **DRAWN}),
    "plot_map": ({"table": table},
                 {"table": [*TABLES, drift], "tipping": ["0.3", True, [0.3], table],
                  "marks": [3, "x", ["a"], {"a": 1}, {"a": (1,)}, {"a": (1, "b")}, {"a": (1, 2, 3)}], **DRAWN}),
    "plot_prior_posterior": ({"prior": [1.0, 2.0, 3.0], "posterior": [1.0, 2.0, 4.0]},
                             {"prior": DRAWS, "posterior": DRAWS, "name": TEXTS, **DRAWN}),
    "plot_ridge": ({"posterior": {"alpha": [1.0, 2.0], "rho": [0.1, 0.2]}},
                   {"posterior": [*OBJECTS, {"alpha": [1.0]}, {"alpha": [1.0], "rho": ["a"]}, design,
                                  {"alpha": [1.0, 2.0], "rho": [0.1]}, {"alpha": [], "rho": []}],
                    "curve": [3, "x", [1.0], frame, pd.Series(["a"])],
                    "truth": [3, "ab", (1,), (1, 2, 3), ("a", 1), frame], **DRAWN}),
    "plot_worlds": ({"table": worlds}, {"table": [*TABLES, table],
                                        "colours": [3, "red", [], {"a": "no colour"}, frame, {"nobody": "red"}],
                                        **DRAWN}),
    "potential_outcomes": (
        {"idata": idata, "design": design},
        {"idata": [*FITS, elsewhere], "design": [*DESIGNS, other, joiners, bare],
         "levels": [None, 3, "ab", (0,), (0, 0), (0, NAN), (0, 1, 2), ("a", "b"), {}, frame]},
    ),
    "quote": ({"chapter": "c01", "gain": 1.0}, {"chapter": [*TEXTS, ""], "gain": ["a", None, [1.0], NAN, frame, True]}),
    "read_map": ({"map": chart}, {"map": MAPS, "probability": PROBABILITIES}),
    "read_table": (
        {"path": frame, "outcome": "Y ~ T + X0", "treatment": "T ~ X0"},
        {"path": [None, 3, "nowhere.csv", [], {}, NAN, design, known("."), pd.DataFrame(), b"x"], "outcome": FORMULAS,
         "treatment": FORMULAS, "drop_missing": FLAGS, "separator": [None, 3, "", ",,", ["a"], NAN, "."],
         "decimal": [None, 3, "", "..", ["a"], NAN, ","], "thousands": [3, "", "..", ["a"], NAN, ".", ","],
         "missing": [3, NAN, [3], {}, {"X0": 3}, {3: "a"}, {"X0": [None]}, True, b"NA", frame]},
    ),
    "reading_table": ({"readings": {"a": reading, "b": idata}},
                      {"readings": [*FITS, {"a": 3}, {"a": None}, {"a": chart}, reading, {"a": frame}],
                       "probability": PROBABILITIES}),
    "resemblance": ({"design": design, "cluster": village},
                    {"design": DESIGNS, "cluster": [None, *CLUSTERS]}),
    "robustness_value": ({"design": design}, {"design": DESIGNS, "q": [*SPREADS, None],
                                              "probability": PROBABILITIES[:-1]}),
    "shuffle_test": ({"design": joiners}, {"design": [*DESIGNS, design], "shuffles": [*COUNTS, 0],
                                           "rows": [*COUNTS, 0, 3], "seed": SEEDS}),
    "simulate_aquarium": (
        {"n": 20},
        {"n": [*COUNTS, 0], "alpha": NUMBERS, "rho": [r for r in RHOS if r is not st.norm],
         "treatment": [None, 3, "Binary", "", [], NAN], "outcome": [None, 3, "Binary", "", [], NAN], "seed": SEEDS,
         "sigma_U": [*SPREADS, None], "sigma_V": [*SPREADS, None], "confounders": COUNTS, "instruments": COUNTS,
         "outcome_only": COUNTS, "noise": COUNTS},
    ),
    "spike_and_slab": (
        {},
        {"inclusion": [*PROBABILITIES, (1.0,), (1.0, 1.0, 1.0), (0, 1), ("a", 1), (NAN, 1), (1, True), {}, frame],
         "size": SPREADS, "slab": [*SPREADS, None]},
    ),
    "stored": ({"path": BENCH}, {"path": [None, 3, "nowhere.csv", [], {}, NAN, design]}),
    "tipping_point": ({"map": chart}, {"map": MAPS, "probability": PROBABILITIES}),
    "unit_information": ({}, {"rows": [*SPREADS, None]}),
    "weigh": ({"map": chart}, {"map": MAPS, "prior": [r for r in RHOS if not callable(r) or r is frame],
                               "likelihood": FLAGS, "draws": [*COUNTS, 0], "seed": SEEDS}),
    "world_table": (
        {"fits": {"a": idata}},
        {"fits": [*FITS, {"a": 3}, {"a": None}, {"a": idata, "b": elsewhere}], "probability": PROBABILITIES,
         "reference": [3, "b", ["a"], {}, NAN]},
    ),
    "write_report": ({"report": report, "folder": "/dev/null/report"},
                     {"report": [*OBJECTS, frame, design, chart], "folder": [None, 3, True, [], b"x", frame, NAN, ""],
                      "force": FLAGS, "source": [3, "x", ["a"], {1: "a"}, {"file": 3}, NAN]}),
}  # fmt: skip
CASES = [
    pytest.param(function, argument, value, id=f"{function}-{argument}-{k}")
    for function, (_, bad) in CALLS.items()
    for argument, values in bad.items()
    for k, value in enumerate(values)
]


def built(value):
    """A value with what it names made: `design` becomes a design."""
    if any(value is each for each in MADE):
        return value()
    if isinstance(value, (list, tuple)):
        return type(value)(map(built, value))
    return {key: built(each) for key, each in value.items()} if isinstance(value, dict) else value


def ours(error):
    """Whether an error comes from a `raise` of this package, and from no line that merely failed."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    path = Path(last.filename)
    if not {HOME, HOME.parent / "which_world"} & {*path.parents}:
        return False
    raises = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Raise))
    return any(node.lineno <= last.lineno <= node.end_lineno for node in raises)


def shows(message, value):
    """Whether a message shows a value: a short one as Python writes it, any other by its type."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple, dict)) and value and repr(value) not in message:  # one of its parts will do
        return any(shows(message, each) for each in (value.values() if isinstance(value, dict) else value))
    value = str(value) if isinstance(value, Path) else value
    whole = "int" if isinstance(value, int) and abs(value) > 10**100 else repr(value)
    return whole in message or type(value).__name__.casefold() in message.casefold()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("function", "argument", "value"), CASES)
def test_what_cannot_be_used_is_refused_by_name(function, argument, value):
    value = built(value)
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        getattr(helpers, function)(**built(CALLS[function][0]) | {argument: value})
    assert ours(caught.value), f"from underneath: {caught.value!r}"
    message = str(caught.value)
    assert re.search(rf"\b{argument}\b", message) and "accepted" in message, message
    assert shows(message, value), message


CLOTHES = [2, 2.0, np.int8(2), np.float32(2), np.array(2), xr.DataArray(2.0), Fraction(2), pd.Series([2.0])[0]]


@pytest.mark.parametrize("value", CLOTHES, ids=lambda value: type(value).__name__)
def test_a_number_may_come_in_any_clothes(value):
    for check in (arguments.number, arguments.positive):
        assert (found := check(value, "x")) == 2.0 and type(found) is float
    assert arguments.correlation(value / 4) == 0.5 and arguments.probability(value / 4) == 0.5
    if np.asarray(value).dtype.kind == "i":
        assert type(arguments.count(value, "x")) is int and arguments.seed(value) == 2


def test_a_numpy_text_is_a_text():
    assert helpers.simulate_aquarium(20, treatment=np.str_("binary")).data["T"].isin([0, 1]).all()


SHOWN = {
    "a whole number": (95, "95"),
    "a NumPy number": (np.float64(0.5), "0.5"),
    "a NumPy text": (np.str_("a"), "'a'"),
    "a long text": ("x" * 500, f"'{'x' * 27}...{'x' * 28}'"),
    "a long list": ([1] * 500, "[1, 1, 1, 1, 1, 1, ...]"),
    "a long number": (10**5000, "int"),
    "a table": (pd.DataFrame({"a": [1, 2]}), "pandas.DataFrame"),
    "a long array": (np.zeros((20, 3)), "numpy.ndarray of shape (20, 3)"),
    "an object at an address": (object(), "object"),
}


@pytest.mark.parametrize(("value", "shown"), SHOWN.values(), ids=SHOWN)
def test_a_value_is_shown_in_a_few_characters(value, shown):
    assert arguments.brief(value) == shown


WRITE = {
    "percent": (arguments.probability, 95, "0.95"),
    "percent and a part": (arguments.probability, 99.9, "0.999"),
    "a number as text": (arguments.number, "1", "1"),
    "a long number as text": (arguments.number, "0.12345678", "0.12345678"),
    "a whole number as text": (arguments.count, "10", "10"),
    "a whole number as a float": (arguments.count, 1000.0, "1000"),
    "a seed as a float": (arguments.seed, 3.0, "3"),
}


@pytest.mark.parametrize(("check", "value", "instead"), WRITE.values(), ids=WRITE)
def test_what_was_meant_is_said(check, value, instead):
    with pytest.raises(ValueError, match=rf"x={value!r}; accepted is .*: write {re.escape(instead)}\.$"):
        check(value, "x")


def test_no_public_function_and_no_argument_is_left_out():
    assert CALLS.keys() == set(helpers.__all__) - {"Design"}  # which nobody makes by hand
    for function, (valid, bad) in CALLS.items():
        parameters = inspect.signature(getattr(helpers, function)).parameters.values()
        named = {each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD}
        assert bad.keys() - {"gain"} == named, function
        assert valid.keys() - {"gain"} <= named


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "function", ["World", "atanh_normal", "bart", "claim", "e_value", "excluded", "normal", "unit_information"]
)
def test_the_valid_calls_are_valid(function):
    getattr(helpers, function)(**built(CALLS[function][0]))


WEIGHTED = ("weights", "weight", "sample_weight", "freq_weights", "var_weights", "pweights", "wts")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", sorted({*CALLS} & {*which_world.__all__} - {"World"}))
def test_weights_get_a_sentence_everywhere(function):
    for name in WEIGHTED:
        with pytest.raises(TypeError, match=rf"{name}=.*rows have no weights; accepted are rows"):
            getattr(helpers, function)(**built(CALLS[function][0]) | {name: np.ones(80)})
    with pytest.raises(TypeError, match="unexpected keyword argument 'wait'"):
        getattr(helpers, function)(**built(CALLS[function][0]) | {"wait": 1})


def test_a_public_function_is_itself_and_travels():
    for name in CALLS.keys() - {"World"}:
        function = getattr(helpers, name)
        assert pickle.loads(pickle.dumps(function)) is function
        assert f"def {name}(" in inspect.getsource(function) and function.__doc__


def test_what_is_said_of_weights_is_right():
    """Rows that stand for several are those rows so often: by statsmodels with frequency weights."""
    rng = np.random.default_rng(9)
    data = frame().assign(count=rng.integers(1, 6, 80))
    rows = data.loc[data.index.repeat(data["count"])]
    found = helpers.ols(helpers.make_design(rows, outcome="Y ~ T + X0", treatment="T ~ X0"))
    theirs = smf.glm("Y ~ T + X0", data, freq_weights=data["count"]).fit()
    assert found.params["alpha"] == pytest.approx(theirs.params["T"], rel=1e-9)
    assert found.bse["alpha"] == pytest.approx(theirs.bse["T"], rel=1e-9)


def test_weights_get_the_sentence_at_the_command_line(tmp_path):
    for option in ("--weights", "--weight"):
        options = ["nowhere.csv", "--outcome=y ~ t", "--treatment=t ~ 1", "--out", str(tmp_path / "out")]
        done = CliRunner().invoke(main, [*options, option, "w"])
        assert done.exit_code == 1 and "rows have no weights; accepted are rows" in done.output
