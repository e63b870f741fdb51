"""`fit` against NUTS, exact integrals, the published trial and its own calibration."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from conftest import TANK, script
from oracles import as_fit, bayesian_regression, distance, distance_to_stored, ridge_by_quadrature, separately
from scipy.stats import binom

from helpers import (
    atanh_normal,
    diagnostics,
    fit,
    horseshoe,
    joint_model,
    make_design,
    map_rho,
    normal,
    simulate_aquarium,
    spike_and_slab,
    weigh,
)
from which_world.engine import independence
from which_world.engine.from_pymc import observed

NOISE = 4.5  # Monte Carlo standard errors allowed between two posteriors, over some forty figures
TALKS_PRIOR = {"alpha": 3, "sigma": 0.5, "coefficients": normal(beta_O=3, beta_T=1)}


@pytest.fixture(scope="module", params=["number by choice", "number by dose"])
def nuts(request):
    """A design, and how far a posterior lies from that of NUTS on the generative model, in Monte Carlo errors."""
    made, table = script("nuts")
    theirs = table[table.tank == request.param]
    return made["design_of"](request.param), partial(distance_to_stored, theirs, table_of=made["table_of"])


def test_columns_equal_nuts(nuts):
    design, far = nuts
    ours = fit(joint_model(design))
    assert ours.attrs["route"] == "columns"
    assert far(ours, list(ours["posterior"])) < NOISE


def test_scales_alone_proposed_equal_nuts(nuts, monkeypatch):
    """What two continuous responses with many covariates take, on the tank that NUTS has sampled."""
    design, far = nuts
    if design.kind == "binary":
        pytest.skip("its errors are not integrated in closed form")
    monkeypatch.setattr(independence, "MANY_PARAMETERS", 0)
    ours = fit(joint_model(design))
    assert ours.attrs["route"] == "columns"
    assert far(ours, list(ours["posterior"])) < NOISE


def test_nuts_itself_samples_what_the_fast_route_does(designs):
    """PyMC's own sampler on the observed generative model, at short length."""
    design = designs["continuous", "instrument"]
    with observed(joint_model(design)) as model:
        theirs = pm.sample(
            draws=400, tune=400, chains=2, cores=1, random_seed=1, progressbar=False, nuts_sampler="pymc"
        )
    ours = fit(joint_model(design))
    assert set(ours["posterior"]) == set(theirs["posterior"]) - {"treatment"}  # what acts is the data, n of them a draw
    assert distance(ours, theirs, [rv.name for rv in model.free_RVs]) < NOISE


def test_sixty_covariates_keep_the_route_and_are_the_exact_integral():
    rng, n, k = np.random.default_rng(5), 300, 60
    data = pd.DataFrame(rng.normal(size=(n, k)), columns=[f"x{i}" for i in range(k)])
    data["t"] = data.x0 + rng.normal(size=n)
    data["y"] = 2 * data.t + data.x0 - data.x1 + rng.normal(size=n)
    names = " + ".join(data.columns[:k])
    design = make_design(data, outcome=f"y ~ t + {names}", treatment=f"t ~ {names}")
    draws = fit(joint_model(design, rho=0.0))
    assert draws.attrs["route"] == "columns" and diagnostics(draws)["passes"].all()
    y, t = data.y.to_numpy(), data.t.to_numpy()
    X = (data.iloc[:, :k] - data.iloc[:, :k].mean()) / data.iloc[:, :k].std(ddof=0)
    one = np.ones(n)
    blocks = {"O": (y, np.column_stack([one, X, t - t.mean()]), t.std()), "T": (t, np.column_stack([one, X]), None)}
    for equation, (response, A, slope) in blocks.items():
        spread = response.std()
        sd = np.r_[2.5 * spread, np.full(k, spread), [spread / slope] if slope else []]
        mean, sd, _ = bayesian_regression(response, A, np.r_[response.mean(), np.zeros(len(sd) - 1)], sd, spread)
        ours = draws["posterior"][f"beta_{equation}"].values.reshape(-1, k)
        assert np.abs(ours.mean(axis=0) - mean[1 : k + 1]).max() < 0.08 * sd[1 : k + 1].min()
        np.testing.assert_allclose(ours.std(axis=0), sd[1 : k + 1], rtol=0.08)
        if slope:
            alpha = draws["posterior"]["alpha"].values
            assert alpha.mean() == pytest.approx(mean[-1], abs=0.06 * sd[-1])
            assert alpha.std() == pytest.approx(sd[-1], rel=0.06)


def test_the_map_read_with_the_same_prior_equals_nuts(nuts):
    design, far = nuts
    assert far(as_fit(weigh(map_rho(design), atanh_normal())), ["alpha", "rho"]) < NOISE


def test_without_a_current_alpha_is_that_of_least_squares(tanks, designs):
    design = designs["binary", "plain"]
    weak = fit(joint_model(design, rho=0, alpha=100, coefficients=normal(beta_O=100), sigma=100))["posterior"]["alpha"]
    classical, _ = separately(tanks["binary"].data, kind="binary", **TANK)
    error = classical.bse["T"]
    assert abs(weak.mean() - classical.params["T"]) < 0.05 * error
    assert float(weak.std()) == pytest.approx(error, rel=0.05)


def test_without_a_current_the_posterior_is_the_exact_integral(talk):
    A = np.column_stack([talk.C, talk.t])
    mean, sd, _ = bayesian_regression(talk.y, A, np.zeros(15), np.full(15, 3.0), 0.5)
    draws = fit(joint_model(talk, rho=0, **TALKS_PRIOR))["posterior"]
    ours = np.column_stack([draws["beta_O"].values.reshape(-1, 14), draws["alpha"].values.ravel()])
    np.testing.assert_allclose(ours.mean(axis=0), mean, atol=0.06 * sd.max())
    np.testing.assert_allclose(ours.std(axis=0), sd, rtol=0.06)


@pytest.mark.parametrize("rho_sd", [0.5, 1.0])
def test_the_flat_ridge_is_the_integral_over_it(rho_sd):
    """No instrument and a continuous treatment: here the Jacobian of atanh and every default scale decide."""
    rng = np.random.default_rng(4)
    x, V, e = rng.normal(2, 3, (3, 40))
    data = pd.DataFrame({"x": x, "t": 7 + 0.5 * x + 0.3 * V})
    data["y"] = -20 + 1.5 * data.t + 0.8 * x + 0.5 * V + e
    design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    exact = ridge_by_quadrature(data.y.to_numpy(), data.t.to_numpy(), x, rho_sd)
    idata = fit(joint_model(design, rho=atanh_normal(0, rho_sd)), draws=4000)
    assert idata.attrs["route"] == "columns"
    reading = weigh(map_rho(design, draws=1024), atanh_normal(0, rho_sd), draws=16_000)
    for draws in (idata["posterior"], reading):
        for found, (mean, sd) in zip((draws["alpha"], np.arctanh(draws["rho"])), exact):
            assert float(found.mean()) == pytest.approx(mean, abs=0.04 * sd)
            assert float(found.std()) == pytest.approx(sd, rel=0.03)


# The published trial of the smokers: posterior mean and sd, from some five hundred effective draws
PUBLISHED = [
    ("talk", TALKS_PRIOR | {"rho": 0}, {"alpha": (5.14, 0.38)}),
    ("talk", TALKS_PRIOR, {"alpha": (6.61, 0.41), "rho": (-0.27, 0.03)}),
    ("smokers", {"rho": 0}, {"alpha": (3.35, 0.44)}),
]


@pytest.mark.parametrize("design, prior, published", PUBLISHED)
def test_the_smokers_posteriors_are_the_published_ones(request, design, prior, published):
    posterior = fit(joint_model(request.getfixturevalue(design), **prior))["posterior"]
    for name, (mean, sd) in published.items():
        assert float(posterior[name].mean()) == pytest.approx(mean, abs=0.15 * sd + 0.005)
        assert float(posterior[name].std()) == pytest.approx(sd, rel=0.1, abs=0.005)


@pytest.fixture(scope="module")
def drawn():
    """What `tests/benchmarks/prior_worlds.py` does, and what it found."""
    return script("prior_worlds")


# a thousand worlds of a binary outcome are in the book's page on calibration, under the priors they were drawn from
PAIRS = [("continuous", "binary", 8), ("continuous", "continuous", 8)]


@pytest.mark.parametrize("outcome, treatment, again", PAIRS)
def test_intervals_cover_what_the_prior_drew(drawn, outcome, treatment, again):
    """Simulation-based calibration: worlds drawn from the prior, each seen through the data it makes.

    All of them as they are stored, and the first few drawn and fitted again: the same worlds, and the same shares to
    five Monte Carlo errors of a share among a thousand draws, of which a third are effective.
    """
    made, table = drawn
    worlds = table[(table.outcome == outcome) & (table.treatment == treatment)]
    names = ["alpha", "rho", "effect" if outcome == "binary" else "sigma_U"]
    assert len(worlds) == made["PAIRS"][outcome, treatment].worlds >= 100
    for name in names:
        rank = worlds[name].to_numpy()
        for probability in (0.5, 0.9):
            covered = int(np.sum(np.abs(rank - 0.5) < probability / 2))
            assert binom.cdf(covered, len(rank), probability) > 1e-3
            assert binom.sf(covered - 1, len(rank), probability) > 1e-3
        assert abs(rank.mean() - 0.5) < 4 / np.sqrt(12 * len(rank))
    fresh = pd.DataFrame(made["ranks"](outcome, treatment, again))
    share = worlds[names].head(again).to_numpy()
    assert (np.abs(fresh[names].to_numpy() - share) <= 5 * np.sqrt((share * (1 - share) + 1e-3) / 333)).all()


def test_the_readers_units_are_hers(designs):
    design = designs["binary", "plain"]
    kilos, grams = (fit(joint_model(d)) for d in (design, replace(design, y=1000 * design.y)))
    np.testing.assert_allclose(grams["posterior"]["alpha"], 1000 * kilos["posterior"]["alpha"], rtol=1e-3)


SHIFTS = {"normal": normal(), "sieve": spike_and_slab(), "moderated": normal()}


@pytest.mark.parametrize("name", SHIFTS)
def test_where_the_treatments_zero_lies_does_not_matter(designs, moderated, name):
    """Degrees above freezing or above absolute zero: the same effect, the same ρ."""
    design = moderated["continuous"] if name == "moderated" else designs["continuous", "plain"]
    here, far = (fit(joint_model(replace(design, t=design.t + shift), coefficients=SHIFTS[name])) for shift in (0, 273))
    assert distance(here, far) < NOISE
    centred_elsewhere = fit(joint_model(replace(design, t=design.t + 273, centre=0.0), coefficients=SHIFTS[name]))
    assert distance(here, centred_elsewhere) > 2 * NOISE


def believer(design):
    with joint_model(design) as model:
        pm.Potential("belief", pm.logp(pm.Normal.dist(1.0, 0.01), model["alpha"]))
    return model


def test_a_belief_added_to_the_model_is_sampled(designs):
    found = fit(believer(designs["continuous", "plain"]), draws=500, tune=500, chains=2)
    assert found.attrs["route"] == "nuts"
    assert float(found["posterior"]["alpha"].mean()) == pytest.approx(1.0, abs=0.02)


ONCE = """
import hashlib, numpy as np, pymc as pm
from which_world import fit
X = np.random.default_rng(0).normal(size=(200, 3))
with pm.Model() as model:
    beta = pm.Normal("beta", shape=3)
    pm.Normal("y", X @ beta, pm.HalfNormal("sigma"), observed=X.sum(axis=1) + X[::-1, 0])
draws = fit(model, draws=50, tune=50, chains=1)
print(draws.attrs["route"], hashlib.md5(draws["posterior"]["beta"].values.tobytes()).hexdigest())
"""


def test_a_seed_gives_nuts_the_same_draws_from_code_compiled_now_and_from_code_kept_on_disk(tmp_path):
    settings = os.environ | {"PYTENSOR_FLAGS": f"base_compiledir={tmp_path}", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", ONCE]
    one, two = (subprocess.run(command, env=settings, capture_output=True, text=True, check=True) for _ in range(2))
    assert one.stdout.startswith("nuts") and one.stdout == two.stdout


@pytest.mark.parametrize("coefficients", [normal(beta_O=3, beta_T=1), spike_and_slab(), horseshoe(p0=1)])
def test_a_seed_gives_each_fast_route_the_same_draws_and_another_seed_others(designs, coefficients):
    design = designs["continuous", "plain"]
    one, two, other = (
        fit(joint_model(design, coefficients=coefficients), draws=60, chains=2, seed=seed)["posterior"]["alpha"]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_an_effect_fixed_by_intervention_stays_fixed(designs):
    found = fit(pm.do(joint_model(designs["continuous", "plain"]), {"alpha": 3.0}), draws=500, tune=500, chains=2)
    assert found.attrs["route"] == "nuts" and "alpha" not in found["posterior"]


def test_data_observed_by_the_reader_replace_the_models_own(designs):
    model = joint_model(designs["continuous", "plain"])
    fresh = simulate_aquarium(400, alpha=-2.0, rho=0.0, seed=9).data
    seen = pm.observe(model, {"likelihood_outcome": fresh.Y.to_numpy(), "likelihood_treatment": fresh["T"].to_numpy()})
    found = fit(seen)
    np.testing.assert_array_equal(found["observed_data"]["likelihood_outcome"], fresh.Y)
    assert float(found["posterior"]["alpha"].mean()) < 0


def test_a_seed_is_a_posterior(designs):
    one, same, other = (fit(designs["binary", "plain"], draws=200, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one["posterior"]["alpha"], same["posterior"]["alpha"])
    assert not np.array_equal(one["posterior"]["alpha"], other["posterior"]["alpha"])


def test_too_few_draws_do_not_pass(designs):
    found = fit(designs["continuous", "plain"], draws=50, chains=2)
    assert not diagnostics(found)["passes"].item()


def test_diagnostics_have_a_row_for_each_fit(designs):
    table = diagnostics(
        {"free": fit(designs["binary", "instrument"]), "none": fit(joint_model(designs["binary", "plain"], rho=0))}
    )
    assert list(table.index) == ["free", "none"]
    assert table["passes"].all() and (table["route"] == "columns").all() and (table["rhat"] < 1.01).all()
    assert table["rhat"].dtype == float and table["passes"].dtype == bool  # so that they can be rounded and counted


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match=r"no observed data; accepted is a model with data, see pm\.observe"):
        fit(pm.Model())
