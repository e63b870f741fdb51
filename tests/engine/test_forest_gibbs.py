"""Forests: the density is exact, the trees follow their prior, α agrees with OLS where it must, seeds reproduce."""

from functools import cache

import arviz as az
import numpy as np
import pymc as pm
import pytest
from conftest import TANK
from oracles import log_joint_by_integration
from scipy.special import log_ndtr
from scipy.stats import chisquare, multivariate_normal, norm, truncnorm

from helpers import World, bart, fit, fit_worlds, joint_model, make_design, ols, simulate_aquarium
from which_world.engine.forest_gibbs_loops import (
    DEPTH,
    Errors,
    TreePrior,
    above,
    change_forest,
    log_likelihood,
    log_Phi,
    prior_odds,
    pull,
    rule,
    stumps,
)
from which_world.engine.from_pymc import observed
from which_world.worlds import _pointwise

QUICK = {"draws": 300, "tune": 200, "chains": 2}


@pytest.fixture(scope="module")
def calm():
    """A tank without a current, linear in everything."""
    return {kind: make_design(simulate_aquarium(400, treatment=kind, seed=3).data, **TANK) for kind in
            ("binary", "continuous")}  # fmt: skip


def test_the_density_given_a_forest_is_the_integral_over_the_latent_error(sixty_fish):
    model = observed(joint_model(sixty_fish, treatment=bart(trees=5)))
    eta = np.random.default_rng(1).normal(size=sixty_fish.n)
    point = {"alpha": 2.0, "beta_O": np.array([0.5, -0.4]), "intercept_O": 1.0, "forest_T": eta}
    logp = model.replace_rvs_by_values([pm.logp(model[f"likelihood_{name}"], model.rvs_to_values[model[
        f"likelihood_{name}"]]).sum() for name in ("outcome", "treatment")])  # fmt: skip
    values = {model.rvs_to_values[model[name]]: value for name, value in point.items()}
    values |= {model.rvs_to_values[model["sigma_U"]]: np.log(1.5)}
    rho = model.rvs_to_values[model["rho"]]
    values[rho] = model.rvs_to_transforms[model["rho"]].forward(0.6, *model["rho"].owner.inputs).eval()
    ours = sum(logp).eval(values)
    r = (sixty_fish.y - 1.0 - sixty_fish.C @ point["beta_O"] - 2.0 * sixty_fish.t) / 1.5
    theirs = sum(log_joint_by_integration(*row, 0.6, t) - np.log(1.5) for *row, t in zip(r, eta, sixty_fish.t))
    assert ours == pytest.approx(theirs, rel=1e-8)


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_the_score_of_a_forest_is_pymcs_pointwise_density(calm, kind):
    model = observed(joint_model(calm[kind], treatment=bart(trees=5)))
    idata = fit_quietly(model, draws=10, tune=10, chains=1)
    free = {rv.name for rv in model.free_RVs}
    kept = idata["posterior"].to_dataset()[[name for name in idata["posterior"] if name in free]]
    pointwise = pm.compute_log_likelihood(pm_tree(kept), model=model, progressbar=False)["log_likelihood"]
    theirs = (pointwise["likelihood_outcome"] + pointwise["likelihood_treatment"]).values[0]
    draws = idata["posterior"].to_dataset().isel(chain=0).rename(draw="sample")
    np.testing.assert_allclose(_pointwise(draws, calm[kind]), theirs, rtol=1e-8)


def pm_tree(dataset):
    import xarray as xr

    return xr.DataTree.from_dict({"posterior": dataset})


@pytest.mark.filterwarnings("ignore:this posterior is not to be shown")
def fit_quietly(model, **settings):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return fit(model, **settings)


def test_without_data_trees_and_heights_follow_their_prior():
    rng, n, trees = np.random.default_rng(0), 200, 10
    X, total = rng.normal(size=(n, 3)), np.zeros(n)
    growth = TreePrior(trees, alpha=0.95, beta=2.0, leaf_sd=1.5 / np.sqrt(trees))
    forest, shallow, heights = stumps(n, trees), [], []
    for sweep in range(4000):
        change_forest(X.T.copy(), growth, forest, total, np.zeros(n), 1e6, rng)
        if sweep > 200:
            shallow.append((forest[0][:, 0] == -1).mean())
            below = forest[0][:, 1:3][forest[0][:, 0] >= 0]
            heights.append((total[:5].copy(), (below >= 0).mean()))
    assert np.mean(shallow) == pytest.approx(0.05, abs=0.01)  # a root splits with probability 0.95
    assert np.mean([share for _, share in heights]) == pytest.approx(0.95 / 4, abs=0.02)  # its children with 0.95/2²
    assert np.std([height for height, _ in heights]) == pytest.approx(1.5, rel=0.05)


def test_a_rule_is_any_row_of_its_leaves_and_any_covariate_as_often_as_any_other():
    rng, leaf = np.random.default_rng(0), np.array([3, 4, 9, 3, 4], np.uint8)
    X = np.arange(15.0).reshape(3, 5)  # each value tells where it stands
    drawn = [rule(X, leaf, 3, 4, rng) for _ in range(24_000)]
    assert all(X[variable, int(value) % 5] == value for variable, value in drawn)
    times = np.bincount([int(value) for _, value in drawn], minlength=15).reshape(3, 5)
    assert not times[:, 2].any()  # of another leaf
    assert chisquare(times[:, leaf != 9].ravel()).pvalue > 0.001


def test_a_split_has_the_odds_that_the_prior_says():
    growth = TreePrior(1, alpha=0.95, beta=2.0)
    split = 0.95 / np.arange(1, DEPTH + 1) ** 2
    below = np.append(split[1:], 0.0)  # no deeper
    expected = np.log(split * (1 - below) ** 2 / (1 - split))
    np.testing.assert_allclose(prior_odds(growth), np.repeat(expected, 2 ** np.arange(DEPTH)))


def test_a_forest_follows_a_curve_that_it_can_see():
    rng, n = np.random.default_rng(1), 400
    X = rng.uniform(-2, 2, size=(n, 2))
    curve = np.abs(X[:, 0])
    growth = TreePrior(30, alpha=0.95, beta=2.0, leaf_sd=0.1)
    forest, total, mean = stumps(n, 30), np.zeros(n), np.zeros(n)
    for sweep in range(600):
        change_forest(X.T.copy(), growth, forest, total, curve + 0.2 * rng.normal(size=n), 0.2, rng)
        mean += total / 400 * (sweep >= 200)
    assert np.sqrt(np.mean((mean - curve) ** 2)) < 0.1


def test_the_tail_functions_are_those_of_scipy():
    z = np.array([-60.0, -31, -29, -5, 0, 3, 9])
    np.testing.assert_allclose([log_Phi(each) for each in z], log_ndtr(z), rtol=1e-6, atol=1e-18)
    rng = np.random.default_rng(0)
    for bound in (-3.0, 0.3, 2.0, 8.0):
        draws = np.array([above(bound, rng) for _ in range(20_000)])
        exact = truncnorm(bound, np.inf)
        assert draws.min() > bound
        assert draws.mean() == pytest.approx(exact.mean(), abs=4 * exact.std() / np.sqrt(20_000))
        assert draws.std() == pytest.approx(exact.std(), rel=0.03)


@pytest.mark.parametrize("forests", [{"treatment": bart(trees=10)}, {"outcome": bart(trees=30)}], ids=["T", "O"])
@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_without_a_current_alpha_is_that_of_ols(calm, kind, forests):
    alpha = fit_quietly(joint_model(calm[kind], rho=0.0, **forests), draws=500, tune=500, chains=2)["posterior"][
        "alpha"
    ]
    line = ols(calm[kind])
    # the treatment's forest has no say at all; the outcome's must find a plane with steps, and may miss by a fraction
    allowed = 0.25 if "treatment" in forests else 1.0
    assert alpha.mean().item() == pytest.approx(line.params["alpha"], abs=allowed * line.bse["alpha"])
    assert alpha.std().item() == pytest.approx(line.bse["alpha"], rel=0.25)


def test_a_line_through_the_same_sampler_is_the_line_of_the_columns(calm):
    design = calm["binary"]
    trees = fit_quietly(joint_model(design, treatment=bart(trees=20)), draws=800, tune=500)["posterior"]
    line = fit(joint_model(design))["posterior"]
    assert trees["alpha"].mean().item() == pytest.approx(line["alpha"].mean().item(), abs=line["alpha"].std().item())
    assert trees["sigma_U"].mean().item() == pytest.approx(line["sigma_U"].mean().item(), rel=0.05)


def test_twenty_trees_on_a_study_of_1566_people_pass_their_diagnostics(smokers):
    """Of one long run, by arviz; ρ leans on what the trees see, and walks no faster than they do."""
    rho = fit(joint_model(smokers, treatment=bart(trees=20)), draws=600, tune=300, seed=3)["posterior"]["rho"]
    assert float(az.rhat(rho)) < 1.01
    assert float(az.ess(rho)) > 400


def test_the_same_seed_gives_the_same_draws_and_another_seed_others(sixty_fish):
    model = joint_model(sixty_fish, treatment=bart(trees=5))
    one, two, other = (fit_quietly(model, **QUICK, seed=seed)["posterior"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one["forest_T"], two["forest_T"])
    assert not np.array_equal(one["alpha"], other["alpha"])
    assert np.abs(np.corrcoef(one["alpha"][0], one["alpha"][1])[0, 1]) < 0.5  # chains have seeds of their own


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # of a score from so few draws
def test_a_world_with_a_forest_is_fitted_and_scored(sixty_fish):
    fits = fit_worlds([World("trees", sixty_fish, treatment=bart(trees=5))], folder=None, **QUICK)
    assert np.isfinite(fits["trees"]["score"].elpd).all()


def number_of_leaves(rows, evidence):
    """Probability of 1, 2, 3, … leaves of a tree over so many rows in a line, by recursion over their cuts.

    A node splits with probability ½/(1 + depth)², at one of its rows' values; the largest would leave a side empty.
    """

    @cache
    def weight(start, stop, depth):
        split = 0.5 / (1 + depth) ** 2 if depth < DEPTH else 0.0
        found = np.zeros(2 ** (DEPTH - depth))
        found[0] = (1 - split) * evidence(start, stop)
        for cut in range(start + 1, stop if split else start):
            below = np.convolve(weight(start, cut, depth + 1), weight(cut, stop, depth + 1))
            found[: len(below) + 1][1:] += split / (stop - start) * below
        return found

    found = weight(0, rows, 0)
    return found / found.sum()


def test_a_tree_without_data_has_as_many_leaves_as_its_prior_says():
    expected = number_of_leaves(30, lambda start, stop: 1.0)
    assert expected[0] == pytest.approx(0.519, abs=5e-4)
    # leaves so low that no data could tell one tree from another
    np.testing.assert_allclose(leaves_seen(np.zeros(30), noise=1.0, leaf_sd=1e-9), expected, atol=0.012)


def test_a_tree_with_data_has_as_many_leaves_as_its_posterior_says():
    target, noise, leaf_sd = np.repeat([0.0, 1.6, -0.5], 4) + 0.3 * np.sin(np.arange(12.0)), 0.7, 0.9

    def evidence(start, stop):  # the rows of a leaf share a height
        together = noise**2 * np.eye(stop - start) + leaf_sd**2
        return multivariate_normal.pdf(target[start:stop], np.zeros(stop - start), together)

    expected = number_of_leaves(12, evidence)
    assert expected[:3].min() > 0.1  # no number of leaves is the only one
    np.testing.assert_allclose(leaves_seen(target, noise, leaf_sd), expected, atol=0.012)


def leaves_seen(target, noise, leaf_sd, sweeps=60_000):
    """Shares of 1, 2, 3, … leaves of one tree over rows in a line."""
    rng, n = np.random.default_rng(3), len(target)
    growth = TreePrior(1, alpha=0.5, beta=2.0, leaf_sd=leaf_sd)
    forest, total, seen = stumps(n, 1), np.zeros(n), np.zeros(2**DEPTH)
    for _ in range(sweeps):
        change_forest(np.arange(float(n))[None], growth, forest, total, target, noise, rng)
        seen[(forest[0][0] == -1).sum() - 1] += 1
    return seen / sweeps


def test_every_row_has_the_height_of_the_leaf_that_its_values_lead_to():
    rng, n = np.random.default_rng(5), 300
    X, total = rng.normal(size=(2, n)), np.zeros(n)
    growth = TreePrior(5, alpha=0.95, beta=2.0, leaf_sd=0.5)
    variable, value, leaf, height = forest = stumps(n, 5)
    for _ in range(200):
        change_forest(X, growth, forest, total, 3 * np.abs(X[0]) + X[1], 0.3, rng)
    assert (variable >= 0).sum() > 10
    expected = np.zeros(n)
    for j, i in np.ndindex(5, n):
        node = 0
        while variable[j, node] >= 0:
            node = 2 * node + (1 if X[variable[j, node], i] <= value[j, node] else 2)
        assert leaf[j, i] == node and variable[j, node] == -1
        expected[i] += height[j, node]
    np.testing.assert_allclose(total, expected, atol=1e-10)


@pytest.mark.parametrize("binary", [True, False])
def test_the_density_and_the_pull_are_those_of_scipy(binary):
    """Three thousand rows, some of them forty standard deviations out: no product of chances vanishes."""
    rng, n, a, sigma_U, sigma_V = np.random.default_rng(2), 3000, 0.7, 1.8, 1.0 if binary else 0.6
    y, mean, index = rng.normal(size=(3, n)) * np.array([2, 1, 8])[:, None]
    t = rng.integers(0, 2, n).astype(float) if binary else index + rng.normal(size=n)
    rho, side = np.tanh(a), 2 * t - 1
    if binary:
        given = side * (index + rho * (y - mean) / sigma_U) / np.sqrt(1 - rho**2)
        expected = (norm.logpdf(y, mean, sigma_U) + log_ndtr(given)).sum() + 0.5 * n * np.log(2 * np.pi)
        pulled = side * np.exp(norm.logpdf(index) - log_ndtr(side * index))
    else:
        cross = rho * sigma_U * sigma_V
        both = multivariate_normal(cov=[[sigma_U**2, cross], [cross, sigma_V**2]])
        expected = both.logpdf(np.c_[y - mean, t - index]).sum() + n * np.log(2 * np.pi)
        pulled = (t - index) / sigma_V
    ours = log_likelihood(y, t, mean, index, Errors(a, np.log(sigma_U), np.log(sigma_V)), binary)
    assert ours == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(pull(t, index, np.log(sigma_V), binary), pulled, rtol=1e-6)
