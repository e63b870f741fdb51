"""The sieve and the funnel against enumeration of all models, against NUTS, and under their own errors."""

from itertools import product

import numpy as np
import pymc as pm
import pytest
from conftest import NAMES, design_of, means, script
from oracles import sieve_by_enumeration
from scipy.special import betaln, logsumexp

from helpers import (
    atanh_normal,
    diagnostics,
    excluded,
    fit,
    horseshoe,
    joint_model,
    map_rho,
    simulate_aquarium,
    spike_and_slab,
    weigh,
)
from which_world.engine import sparse_gibbs_loops as loops
from which_world.priors import scales


def test_the_sieve_equals_the_enumeration_of_all_models(few_fish):
    design = design_of(few_fish)
    idata = fit(joint_model(design, coefficients=spike_and_slab()), draws=4000)
    prior = scales(design)
    exact = sieve_by_enumeration(
        few_fish, NAMES, alpha_sd=prior.alpha, rho_sd=0.5, sigma=(prior.sigma_U, prior.sigma_V),
        slab=(design.y.std(), design.t.std()),
        intercepts=((design.y.mean(), 2.5 * design.y.std()), (design.t.mean(), 2.5 * design.t.std())),
    )  # fmt: skip
    ours = means(idata, "included_O", "included_T", "alpha", "rho")
    assert idata.attrs["route"] == "spreads"
    assert any(0.1 < p < 0.9 for p in np.concatenate(exact[:2]))  # a case with doubt, else it tests little
    for mine, theirs, tolerance in zip(ours, exact, (0.02, 0.02, 0.03, 0.03)):
        np.testing.assert_allclose(mine, theirs, atol=tolerance)


def test_coefficients_that_change_roles_keep_to_their_priors():
    """Three coefficients with zeros of unlike width: every set's share against its evidence, by dense algebra."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 3))
    H, b = root @ root.T + np.eye(3), np.array([1.5, -0.5, 0.8])
    slab, zero = np.array([1.0, 2.0, 0.5]), np.array([0.3, 0.05, 0.15])
    sets = np.array(list(product([0, 1], repeat=3)))
    spread = np.where(sets == 1, slab, zero)
    log_evidence = [
        0.5 * b @ np.linalg.solve(H + np.diag(s**-2), b) - 0.5 * np.linalg.slogdet(np.eye(3) + H @ np.diag(s**2))[1]
        for s in spread
    ]
    exact = np.exp(log_evidence - logsumexp(log_evidence))  # each set as likely beforehand: a fixed share of one half
    place = np.arange(3)
    likelihood = loops.Likelihood(H[None], b[None], np.zeros(1), np.zeros(1), base=np.ones(3))
    sparse = loops.Sparse(place, equation=np.zeros(3, int))
    sieve = loops.SieveNumbers(slab, zero, beta_a=np.full(2, 0.5), beta_b=np.full(2, -1.0))
    kinds, _, _ = loops.sieve(likelihood, sparse, sieve, loops.Plan(40_000, thin=1, tune=100), rng)
    ours = np.bincount(kinds @ [4, 2, 1], minlength=8) / len(kinds)
    assert 0.02 < exact.min()  # every set is visited
    np.testing.assert_allclose(ours, exact, atol=0.012)


def test_the_binary_sieve_equals_the_evidence_of_maps_of_all_models():
    data = simulate_aquarium(
        200, rho=0.5, treatment="binary", seed=2, confounders=1, instruments=1, outcome_only=0, noise=0
    ).data
    names = ["X0", "X1"]
    idata = fit(joint_model(design_of(data, names), coefficients=spike_and_slab()), draws=4000)
    log_evidence, inside, alpha = [], [], []
    for bits in product([0, 1], repeat=4):
        kept = [[n for n, b in zip(names, side) if b] for side in (bits[:2], bits[2:])]
        reading = weigh(
            map_rho(design_of(data, *kept), rho=np.tanh(np.linspace(-2, 2, 17)), draws=1024), atanh_normal(0, 0.5)
        )
        log_prior = sum(betaln(1 + sum(side), 3 - sum(side)) for side in (bits[:2], bits[2:]))
        log_evidence.append(reading.attrs["log_evidence"] + log_prior)
        inside.append(bits)
        alpha.append(float(reading.alpha.mean()))
    share = np.exp(np.array(log_evidence) - logsumexp(log_evidence))
    exact = share @ np.array(inside)
    assert any(0.05 < p < 0.95 for p in exact)
    np.testing.assert_allclose(np.concatenate(means(idata, "included_O", "included_T")), exact, atol=0.02)
    np.testing.assert_allclose(means(idata, "alpha")[0], share @ alpha, atol=0.05)


def test_both_modes_are_visited_in_the_same_share_by_every_chain():
    data = simulate_aquarium(1000, rho=0.6, seed=1).data
    idata = fit(joint_model(design_of(data, [f"X{j}" for j in range(8)]), coefficients=spike_and_slab()))
    assert diagnostics(idata).passes.iloc[0]
    assert 0.005 < float((idata["posterior"].rho < 0.2).mean()) < 0.995


@pytest.mark.parametrize("name", ["funnel, number by dose", "funnel, number by choice"])
def test_the_funnel_equals_nuts_on_the_generative_model(name):
    """At length, and stored: the prior's own scale τ by its logarithm."""
    made, table = script("nuts")
    theirs = table[table.tank == name].set_index("number")
    ours = made["table_of"](fit(made["model_of"](name), draws=2000)).loc[theirs.index]
    off, ratio = (ours["mean"] - theirs["mean"]).abs() / theirs["sd"], ours["sd"] / theirs["sd"]
    plain = [f"{each} 0" for each in ("alpha", "rho", "sigma_U")]
    assert (off[plain] < 0.15).all() and ratio[plain].between(0.85, 1.18).all()
    assert (off[off.index.str.startswith("beta")] <= 0.2).all()
    assert 0.8 < ratio["tau_O 0"] < 1.25


def test_sparse_variables_remake_the_coefficients():
    data = simulate_aquarium(200, seed=4).data
    design = design_of(data)
    for coefficients in (spike_and_slab(), horseshoe()):
        model = joint_model(design, coefficients=coefficients)
        idata = fit(model, draws=500)
        names = ["beta_O", "beta_T"]
        with pm.observe(
            model, {f"likelihood_{x}": model[f"observed_{x}"].get_value() for x in ("outcome", "treatment")}
        ) as seen:
            again = pm.compute_deterministics(
                idata["posterior"].to_dataset(), model=seen, var_names=names, progressbar=False
            )
        for name in names:
            np.testing.assert_allclose(again[name], idata["posterior"][name], atol=1e-10)


def test_an_exclusion_can_stand_beside_a_sieve(few_fish):
    idata = fit(joint_model(design_of(few_fish), coefficients=excluded(["X2"], others=spike_and_slab())), draws=500)
    assert list(idata["posterior"].included_O.covariate_O.values) == ["X0", "X1", "X3"]
    assert (idata["posterior"].beta_O.sel(covariate="X2") == 0).all()


def test_a_fixed_rho_keeps_to_its_column(few_fish):
    idata = fit(joint_model(design_of(few_fish), coefficients=spike_and_slab(), rho=0.0), draws=500)
    np.testing.assert_allclose(idata["posterior"].rho, 0.0)


def test_more_covariates_expected_means_more_included():
    tank = simulate_aquarium(400, seed=3, confounders=2, instruments=1, outcome_only=1, noise=0).data
    noise = np.random.default_rng(0).normal(size=(len(tank), 8))
    data = tank.assign(**{f"N{j}": noise[:, j] for j in range(8)})
    names = [*NAMES, *(f"N{j}" for j in range(8))]
    few, many = (
        fit(joint_model(design_of(data, names), coefficients=spike_and_slab(inclusion=share)), draws=500)
        for share in (0.05, 0.6)
    )
    useless = [means(one, "included_O")[0][len(NAMES) :].sum() for one in (few, many)]
    assert 4 * useless[0] < useless[1]


def test_a_column_is_inverted_however_far_apart_its_precisions_are():
    rng, size = np.random.default_rng(4), 12
    for _ in range(50):
        X = rng.normal(size=(40, size)) * 10 ** rng.uniform(-1, 1)
        D, C = 10 ** rng.uniform(-4, 8, size), np.empty((size, size))
        log_det = loops._invert(X.T @ X, D, C)
        exact = np.linalg.inv(X.T @ X + np.diag(D))
        error = np.sqrt(np.outer(exact.diagonal(), exact.diagonal()))
        np.testing.assert_allclose(C / error, exact / error, atol=1e-12)
        assert log_det == pytest.approx(np.linalg.slogdet(X.T @ X + np.diag(D))[1], abs=1e-9)
