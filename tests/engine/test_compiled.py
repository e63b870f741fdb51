"""One structure is compiled once, and every model is judged by its own numbers."""

import gc
import weakref

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import stats

from which_world import (
    atanh_normal,
    bart,
    excluded,
    fit,
    horseshoe,
    joint_model,
    make_design,
    models,
    normal,
    spike_and_slab,
)
from which_world.engine import compiled
from which_world.engine.compiled import FUNCTIONS, KEPT_FUNCTIONS, evaluated
from which_world.engine.from_pymc import _log_density, extract, observed
from which_world.priors import scales


def tank(seed, *, n=120, yes=(), moderated=False):
    """A design of two covariates; the columns in `yes` are answers."""
    rng = np.random.default_rng(seed)
    X, Z, U, V = rng.normal(size=(4, n)) * rng.uniform(0.5, 2, size=(4, 1))
    columns = {"X": X, "Z": Z, "T": X + Z + V}
    columns["Y"] = columns["T"] - X + U + 0.5 * V
    columns |= {name: (columns[name] > 0).astype(int) for name in yes}
    outcome = "Y ~ T * X" if moderated else "Y ~ T + X"
    return make_design(pd.DataFrame(columns), outcome=outcome, treatment="T ~ X + Z")


KINDS = {
    "number by dose": ({}, {}),
    "number by choice": ({"yes": "T"}, {}),
    "answer by dose": ({"yes": "Y"}, {}),
    "answer by choice": ({"yes": "YT"}, {}),
    "moderated": ({"moderated": True}, {"coefficients": normal()}),
    "excluded": ({}, {"coefficients": excluded(["X"]), "rho": 0.3}),
    "sieve": ({}, {"coefficients": spike_and_slab()}),
    "funnel": ({"yes": "T"}, {"coefficients": horseshoe(p0=1)}),
    "a belief of its own": ({}, {"rho": stats.uniform(-0.5, 1)}),
}


def refuse_to_compile(monkeypatch):
    def compile_anew(*_, **__):
        raise AssertionError("compiled anew")

    monkeypatch.setattr(compiled.pytensor, "function", compile_anew)


@pytest.mark.parametrize(("of", "options"), KINDS.values(), ids=KINDS)
def test_a_second_model_of_a_structure_compiles_nothing_and_has_its_own_numbers(monkeypatch, of, options):
    FUNCTIONS.clear()
    assert extract(observed(joint_model(tank(1, **of), **options))) is not None
    design = tank(2, n=150, **of)  # other data, other numbers in the priors, another number of rows
    model = observed(joint_model(design, alpha=7.0, **options))
    refuse_to_compile(monkeypatch)
    joint = extract(model)
    np.testing.assert_array_equal(joint.design.y, design.y)
    np.testing.assert_array_equal(joint.design.t, design.t)
    assert joint.outcome.root[-1, -1] == pytest.approx(1 / 7)
    if not options:
        ours, theirs = joint.scales, scales(design, alpha=7.0)
        for name in ("mean_O", "mean_T", "sigma_U", "sigma_V"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-12)
        for name in ("root_O", "root_T"):  # a precision has many roots
            precisions = (getattr(each, name).T @ getattr(each, name) for each in (ours, theirs))
            np.testing.assert_allclose(*precisions, rtol=1e-9, atol=1e-12)


def test_a_forest_is_compiled_once(monkeypatch):
    FUNCTIONS.clear()
    assert extract(observed(joint_model(tank(1), treatment=bart(trees=5)))) is not None
    model = observed(joint_model(tank(2), treatment=bart(trees=5)))
    refuse_to_compile(monkeypatch)
    np.testing.assert_array_equal(extract(model).design.y, tank(2).y)


def stretched(factor, power=2):
    """Our likelihood of a number by a dose, the outcome's line times a factor: ours where that is one."""

    def respond(index_O, index_T, T, held, effect, rho, sigma_U, sigma_V, t_mean, *_):
        dose = held - pm.Data("treatment_mean", t_mean)
        mean = np.array(factor) * (index_O + effect * dose) + rho * sigma_U / sigma_V * (T - index_T)
        pm.Normal("likelihood_outcome", mean, sigma_U * pt.sqrt(1 - rho**power), dims="obs")

    return respond


def test_a_number_that_the_reader_changed_is_seen_in_a_known_structure(monkeypatch):
    FUNCTIONS.clear()
    monkeypatch.setitem(models.RESPONSES, ("continuous", "continuous"), stretched(1.0))
    assert extract(observed(joint_model(tank(1)))) is not None
    compiled_once = set(FUNCTIONS)
    monkeypatch.setitem(models.RESPONSES, ("continuous", "continuous"), stretched(1.01))
    assert extract(observed(joint_model(tank(1)))) is None  # the same structure, and not our density
    assert set(FUNCTIONS) == compiled_once
    monkeypatch.setitem(models.RESPONSES, ("continuous", "continuous"), stretched(1.0, power=4))
    assert extract(observed(joint_model(tank(1)))) is None
    assert set(FUNCTIONS) != compiled_once  # a whole number belongs to the structure


def hand_made(design, likelihood, *, sd=1.0):
    """A joint model that a reader wrote, with a likelihood and a prior sd of her own."""
    with pm.Model(coords={"covariate": list(design.covariates)}) as model:
        pm.Data("X", design.C, dims=("obs", "covariate"))
        pm.Deterministic("rho", pt.constant(0.3))
        sigma_U, sigma_V = pm.HalfNormal("sigma_U", 2), pm.HalfNormal("sigma_V", 2)
        beta_O, beta_T = (pm.Normal(f"beta_{name}", 0, sd, dims="covariate") for name in "OT")
        alpha = pm.Normal("alpha", 0, 5)
        index = model["X"] @ beta_T
        pm.Normal("likelihood_treatment", index, sigma_V, observed=design.t)
        mean = model["X"] @ beta_O + alpha * design.t + 0.3 * sigma_U / sigma_V * (design.t - index)
        likelihood("likelihood_outcome", mu=mean, sigma=sigma_U * np.sqrt(1 - 0.3**2), observed=design.y)
    return model


def test_another_likelihood_or_prior_is_judged_as_itself():
    def heavy(name, **options):
        return pm.StudentT(name, nu=4, **options)

    design = tank(3)
    ours = extract(hand_made(design, pm.Normal))
    wider = extract(hand_made(design, pm.Normal, sd=3.0))
    assert ours.outcome.root[0, 0] == pytest.approx(1) and wider.outcome.root[0, 0] == pytest.approx(1 / 3)
    assert extract(hand_made(design, heavy)) is None
    assert extract(hand_made(tank(4), pm.Normal)) is not None


def test_one_value_of_the_data_changes_the_density():
    design = tank(5)
    model = observed(joint_model(design, rho=0.2))
    moved = design.y.copy()
    moved[7] += 1.0
    other = pm.observe(joint_model(design, rho=0.2), {"likelihood_outcome": moved, "likelihood_treatment": design.t})
    np.testing.assert_array_equal(np.flatnonzero(extract(other).design.y != extract(model).design.y), [7])
    a, b = (float(fit(each, draws=200)["posterior"]["alpha"].mean()) for each in (model, other))
    assert a != b


BELIEFS = {
    "narrow": atanh_normal(0.3, 0.2),
    "wide": atanh_normal(0.0, 0.5),
    "flat": stats.uniform(-0.5, 1),
    "another flat": stats.uniform(-0.4, 1),
    "triangle": stats.triang(0.5, loc=-0.5, scale=1),
}


def test_each_belief_keeps_its_own_density():
    FUNCTIONS.clear()
    rho, design = np.array([-0.31, 0.0, 0.2, 0.45]), tank(6)
    for belief in [*BELIEFS.values(), *BELIEFS.values()]:
        joint = extract(observed(joint_model(design, rho=belief)))
        np.testing.assert_allclose(joint.rho(rho), belief.logpdf(rho), atol=2e-3)


def test_a_number_inside_a_custom_distribution_belongs_to_its_structure():
    FUNCTIONS.clear()
    for share in (0.5, 0.25):

        def dist(sd, size, share=share):
            return np.array(share) * pm.Normal.dist(0.0, sd, size=size)

        found = compiled.compiled(_log_density, [pm.CustomDist.dist(1.0, dist=dist)])(np.array([0.3]))
        np.testing.assert_allclose(found, stats.norm.logpdf([0.3], 0, share))


def test_a_density_that_a_reader_wrote_is_compiled_each_time():
    FUNCTIONS.clear()
    height = [1.0]

    def law(value, mean):
        return height[0] - 0.5 * (value - mean) ** 2

    variable = pm.CustomDist.dist(0.0, logp=law, dist=lambda mean, size: pm.Normal.dist(mean, 1.0, size=size))
    np.testing.assert_allclose(compiled.compiled(_log_density, [variable])([2.0]), 1.0 - 2.0)
    height[0] = 5.0
    np.testing.assert_allclose(compiled.compiled(_log_density, [variable])([2.0]), 5.0 - 2.0)
    assert not FUNCTIONS


def test_data_that_are_set_are_read():
    with pm.Model():
        data = pm.Data("data", [1.0, 2.0])
    total = (data**2).sum()
    assert evaluated(total) == 5.0
    data.set_value([3.0, 4.0])
    assert evaluated(total) == 25.0
    assert evaluated((data**3).sum()) == 91.0


def test_few_functions_are_kept_and_no_data():
    FUNCTIONS.clear()
    for power in range(KEPT_FUNCTIONS + 5):
        assert evaluated(pt.constant(1.5, dtype="float64") ** power) == pytest.approx(1.5**power)
    assert len(FUNCTIONS) == KEPT_FUNCTIONS
    FUNCTIONS.clear()
    model = observed(joint_model(tank(8)))
    assert extract(model) is not None
    rows = weakref.ref(model["X"]), weakref.ref(model.rvs_to_values[model["likelihood_outcome"]].data)
    del model
    gc.collect()
    assert FUNCTIONS and [row() for row in rows] == [None, None]
