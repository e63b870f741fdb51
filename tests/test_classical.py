"""Maximum likelihood against statsmodels, closed forms, and the profile of the published trial."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from conftest import INSTRUMENT, SMOKERS, TANK
from oracles import residual_sd, separately

from helpers import make_design, maximum_likelihood, ols, simulate_aquarium
from which_world import classical
from which_world.classical import climb
from which_world.engine import laplace, likelihoods
from which_world.engine.laplace import columns
from which_world.engine.likelihoods import rows_of
from which_world.priors import scales

# NHEFS with intercepts: α̂ and the log-likelihood below its maximum, by ρ, from an independent optimiser
PROFILE = {
    -0.7: (13.61, -15.6), -0.5: (10.09, -4.0), -0.3: (7.22, -1.3), -0.1: (4.63, -0.2), 0: (3.38, -0.02),
    0.1: (2.13, -0.07), 0.3: (-0.46, -1.4), 0.5: (-3.34, -5.5), 0.7: (-6.91, -18.7),
}  # fmt: skip


def tank_of(kind, **options):
    tank = simulate_aquarium(300, rho=0.3, treatment=kind, seed=8, **options)
    return tank.data, make_design(tank.data, **TANK)


@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_without_a_current_the_two_equations_are_estimated_alone(kind):
    data, design = tank_of(kind)
    joint, (outcome, treatment) = maximum_likelihood(design, rho=0), separately(data, kind=kind, **TANK)
    assert joint.log_likelihood == pytest.approx(outcome.llf + treatment.llf, abs=1e-7)
    assert joint.alpha == pytest.approx(outcome.params["T"], abs=1e-7)
    assert joint.sigma_U == pytest.approx(np.sqrt(outcome.ssr / outcome.nobs), abs=1e-7)
    # maximum likelihood does not correct sigma for the coefficients it spent
    spent = np.sqrt(outcome.df_resid / outcome.nobs)
    assert joint.standard_errors["alpha"] == pytest.approx(spent * outcome.bse["T"], rel=1e-6)
    assert joint.standard_errors["sigma_U"] == pytest.approx(joint.sigma_U / np.sqrt(2 * len(data)), rel=1e-4)
    slopes = joint.estimates[["beta_T[X0]", "beta_T[X1]"]] / design.scales["sd"].to_numpy()
    np.testing.assert_allclose(slopes, treatment.params[["X0", "X1"]], rtol=1e-6)


def test_smokers_without_a_current_are_ols_and_probit(nhefs, smokers):
    outcome, treatment = separately(nhefs, kind="binary", **SMOKERS)
    joint = maximum_likelihood(smokers, rho=0)
    assert joint.alpha == pytest.approx(outcome.params["qsmk"], abs=1e-6)
    assert joint.log_likelihood == pytest.approx(outcome.llf + treatment.llf, abs=1e-6)
    assert ols(smokers).bse["alpha"] == pytest.approx(outcome.bse["qsmk"], rel=1e-8)


def test_the_profile_of_the_smokers_is_the_published_one(smokers):
    profile = maximum_likelihood(smokers, rho=list(PROFILE))
    alpha, below = np.array(list(PROFILE.values())).T
    np.testing.assert_allclose(profile.alpha, alpha, atol=0.006)
    top = maximum_likelihood(smokers).log_likelihood
    np.testing.assert_allclose(profile.log_likelihood - top, below, atol=0.06)
    table = profile.summary()
    assert table.index.name == "rho" and list(table.index) == pytest.approx(list(PROFILE))
    np.testing.assert_allclose(table["relative"], below - below.max(), atol=0.06)


@pytest.mark.parametrize(
    "design, alpha, rho, log_likelihood, se_alpha, se_rho",
    [("smokers", 2.96, 0.03, -6197.8, 2.29, 0.18), ("talk", 6.97, -0.30, -6400.6, None, None)],
)
def test_the_smokers_maximum_is_the_published_one(request, design, alpha, rho, log_likelihood, se_alpha, se_rho):
    found = maximum_likelihood(request.getfixturevalue(design))
    assert (found.alpha, found.rho) == (pytest.approx(alpha, abs=0.006), pytest.approx(rho, abs=0.006))
    assert found.log_likelihood == pytest.approx(log_likelihood, abs=0.06)
    if se_alpha:
        errors = found.standard_errors
        assert (errors["alpha"], errors["rho"]) == (pytest.approx(se_alpha, abs=0.02), pytest.approx(se_rho, abs=0.006))


@pytest.mark.parametrize("design, alpha, se", [("smokers", 3.381, 0.441), ("talk", 5.227, None)])
def test_least_squares_of_the_smokers_is_the_published_one(request, design, alpha, se):
    result = ols(request.getfixturevalue(design))
    assert result.params["alpha"] == pytest.approx(alpha, abs=6e-4)
    assert se is None or result.bse["alpha"] == pytest.approx(se, abs=6e-4)


def test_a_continuous_treatment_without_instrument_has_a_flat_ridge():
    data, design = tank_of("continuous", sigma_U=2.0, sigma_V=0.7)
    rho = np.linspace(-0.95, 0.95, 21)
    profile = maximum_likelihood(design, rho=rho)
    covariates = data.X0, data.X1
    ratio = residual_sd(data.Y, data["T"], *covariates) / residual_sd(data["T"], *covariates)
    outcome, _ = separately(data, kind="continuous", **TANK)
    ridge = outcome.params["T"] - rho / np.sqrt(1 - rho**2) * ratio
    assert np.max(np.abs(profile.alpha - ridge) / profile.standard_errors["alpha"]) < 1e-3
    np.testing.assert_allclose(profile.log_likelihood, profile.log_likelihood[0], rtol=0, atol=1e-8)


def test_a_profile_keeps_the_order_it_was_asked_in():
    """By the closed form of the ridge: α falls by ρ/√(1-ρ²) times the spread of the one error to the other's."""
    data, design = tank_of("continuous", sigma_U=2.0, sigma_V=0.7)
    rho = np.array([0.4, -0.2, 0.0, 0.4])
    ratio = residual_sd(data.Y, data["T"], data.X0, data.X1) / residual_sd(data["T"], data.X0, data.X1)
    outcome, _ = separately(data, kind="continuous", **TANK)
    profile = maximum_likelihood(design, rho=rho)
    ridge = outcome.params["T"] - rho / np.sqrt(1 - rho**2) * ratio
    np.testing.assert_allclose(profile.alpha, ridge, atol=1e-6)
    np.testing.assert_allclose(profile.estimates["alpha"], ridge, atol=1e-6)
    np.testing.assert_allclose(profile.sigma_U * np.sqrt(1 - rho**2), profile.sigma_U[2], rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_one_instrument_gives_two_stage_least_squares(seed):
    data = simulate_aquarium(500, rho=0.5, seed=seed).data
    one = np.ones(len(data))
    Z, X = np.column_stack([one, data[["X0", "X1", "X2"]]]), np.column_stack([one, data[["X0", "X1", "T"]]])
    two_stage = np.linalg.solve(Z.T @ X, Z.T @ data.Y)
    found = maximum_likelihood(make_design(data, **INSTRUMENT))
    assert found.alpha == pytest.approx(two_stage[-1], abs=1e-6)
    # as many moments as parameters: the two-stage residuals have the estimated rho
    treatment = data["T"] - Z @ np.linalg.lstsq(Z, data["T"])[0]
    assert found.rho == pytest.approx(np.corrcoef(data.Y - X @ two_stage, treatment)[0, 1], abs=1e-6)


@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_the_error_of_rho_is_that_of_its_profile(designs, kind):
    """The profile likelihood of ρ bends at its top by one over the square of the standard error."""
    design = designs[kind, "instrument"]
    found = maximum_likelihood(design)
    assert abs(found.rho) > 0.2
    step = 0.01
    low, top, high = maximum_likelihood(design, rho=found.rho + step * np.array([-1, 0, 1])).log_likelihood
    assert top == pytest.approx(found.log_likelihood, abs=1e-6)
    assert found.standard_errors["rho"] == pytest.approx(step / np.sqrt(2 * top - low - high), rel=0.01)


def test_the_summary_holds_95_percent_intervals(smokers):
    row = maximum_likelihood(smokers).summary().loc["alpha"]
    assert row["high"] - row["low"] == pytest.approx(2 * 1.959964 * row["se"])
    assert row["estimate"] == pytest.approx((row["low"] + row["high"]) / 2)


def test_a_flat_ridge_has_no_summit():
    with pytest.raises(ValueError, match=r"rho is not identified.*flat.*Accepted are a fixed rho=, an instrument"):
        maximum_likelihood(tank_of("continuous")[1])


def test_a_likelihood_that_rises_to_the_edge_says_where_it_was_left():
    data = simulate_aquarium(300, rho=0.9999, treatment="binary", instruments=0, outcome_only=0).data
    edge = r"still rises at rho=0\.9999.*, towards \|rho\| = 1; accepted are a fixed rho="
    with pytest.raises(RuntimeError, match=edge):
        maximum_likelihood(make_design(data, **TANK))


@pytest.mark.parametrize("rho", [0.997, -0.999, 0.9999])
def test_a_maximum_near_one_is_a_maximum(rho):
    """The correlation of the two-stage residuals is the estimate, however near to 1."""
    z, V, e = np.random.default_rng(1).normal(size=(3, 400))
    data = pd.DataFrame({"z": z, "t": z + V, "y": z + V + rho * V + np.sqrt(1 - rho**2) * e})
    Z, X = (np.column_stack([np.ones(400), data[name]]) for name in ("z", "t"))
    residuals = data.y - X @ np.linalg.solve(Z.T @ X, Z.T @ data.y), data.t - Z @ np.linalg.lstsq(Z, data.t)[0]
    found = np.corrcoef(*residuals)[0, 1]
    assert abs(found) > 0.995
    design = make_design(data, outcome="y ~ t", treatment="t ~ z")
    assert maximum_likelihood(design).rho == pytest.approx(found, abs=1e-6)


def test_a_search_that_ends_inside_says_no_more_than_that(smokers, monkeypatch):
    """A climb that is called off at once: nothing is known of what happens towards 1."""
    monkeypatch.setattr("which_world.classical.climb", partial(climb, enough=-np.inf))
    with pytest.raises(
        RuntimeError, match=r"^no maximum of the likelihood was found: the search ended at rho="
    ) as told:
        maximum_likelihood(smokers)
    assert "rises" not in str(told.value)


@pytest.fixture
def parted(monkeypatch):
    """One row in sixteen is asked first, of as few rows as a test can afford."""
    for module in (likelihoods, laplace):
        monkeypatch.setattr(module, "ENOUGH", 100)


@pytest.mark.parametrize("outcome", ["continuous", "binary"])
def test_modes_of_a_part_change_no_mode(outcome, monkeypatch, request):
    data = simulate_aquarium(3_000, outcome=outcome, treatment="binary", rho=0.5, seed=4).data
    a = np.linspace(-2, 2, 21)
    plain = columns(rows_of(make_design(data, **INSTRUMENT)), None, a)
    best = maximum_likelihood(make_design(data, **INSTRUMENT))
    request.getfixturevalue("parted")
    design = make_design(data, **INSTRUMENT)
    found = columns(rows_of(design), None, a)
    apart = [np.linalg.solve(root, mode) for root, mode in zip(plain.root, found.mode - plain.mode)]
    assert np.abs(apart).max() < 1e-4  # standard deviations
    assert found.value == pytest.approx(plain.value, abs=1e-6)
    spreads, own = (np.linalg.norm(each.root, axis=2) for each in (found, plain))
    np.testing.assert_allclose(spreads, own, rtol=0.01)
    np.testing.assert_allclose(found.log_evidence, plain.log_evidence, atol=0.05)
    assert maximum_likelihood(design).rho == pytest.approx(best.rho, abs=1e-6)


@pytest.mark.parametrize("inside", [1, 8])
@pytest.mark.parametrize("outcome", ["continuous", "binary"])
def test_a_part_that_knows_a_rare_level_badly_leads_to_the_same_columns(outcome, inside, parted):
    """A part's curvature along a level of twelve rows may be anything: it has one of these, or eight."""
    data = simulate_aquarium(3_000, outcome=outcome, treatment="binary", rho=0.5, seed=4).data
    some = likelihoods.drawn(len(data))
    rare = [*some[:inside], *np.setdiff1d(np.arange(len(data)), some)[: 12 - inside]]
    data = data.assign(g=np.isin(np.arange(len(data)), rare).astype(float))
    design = make_design(data, outcome=INSTRUMENT["outcome"] + " + g", treatment=INSTRUMENT["treatment"])
    a, rows, prior = np.linspace(-2, 2, 21), rows_of(design), scales(design)
    found = columns(rows, prior, a)
    exact = columns(rows, prior, a, laplace.start(rows))  # what is near is known, and no part is asked
    apart = [np.linalg.solve(root, mode) for root, mode in zip(exact.root, found.mode - exact.mode)]
    assert np.abs(apart).max() < 1e-3  # standard deviations
    spreads, own = (np.linalg.norm(each.root, axis=2) for each in (found, exact))
    np.testing.assert_allclose(spreads, own, rtol=0.02)


def test_each_top_of_a_part_that_might_be_the_highest_is_climbed(monkeypatch):
    """Of 16 times as many rows the heights of two tops may change places, unless they lie far apart."""
    rows = rows_of(make_design(simulate_aquarium(300, treatment="binary", seed=4).data, **INSTRUMENT))
    profile = columns(rows, None, np.linspace(-2, 2, 7))
    monkeypatch.setattr(
        classical, "of_part", lambda *_: profile._replace(value=np.array([0.0, 4, 1, -30, -20, -40, 7]))
    )
    starts = classical._below_the_tops(rows, profile.a)
    assert [start[-1] for start in starts] == pytest.approx(profile.a[[1, 6]])
