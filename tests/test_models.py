"""The generative model: forwards it has the stated moments, backwards it learns, and the talk's code runs on it."""

import numpy as np
import pymc as pm
import pytensor
import pytest
from forwards import draw_at_once
from oracles import residual_sd, worth_a_row
from scipy.stats import kstest, norm, uniform

from helpers import atanh_normal, fit, joint_model, normal

WORLD = {"alpha": 2.0, "rho": -0.6, "sigma_U": 1.5, "intercept_O": 1.0, "intercept_T": 0.4,
         "beta_O": [0.5, -0.3, 0.0], "beta_T": [0.6, 0.2, -0.9]}  # fmt: skip
# The talk, word for word
FIXED_PARAMETERS = {
    "rho": 0.6,
    "alpha": 3,
    "beta_O": [0, 1, 0.4, 0.3, 0.1, 0.8, 0, 0, 0, 0, 0, 0, 3, 0],
    "beta_T": [1, 1.3, 0.5, 0.3, 0.7, 1.6, 0, 0.4, 0, 0, 0, 0, 0, 0],
}


def forwards(design, world, draws=3000):
    """U, T and the treatment's index when a world is run forwards: two arrays (draws, n) and one (n,)."""
    with pm.do(joint_model(design), world):
        prior = pm.sample_prior_predictive(draws, random_seed=2)["prior"]
    Y, T = (prior[f"likelihood_{name}"].values[0] for name in ("outcome", "treatment"))
    index = world["intercept_T"] + design.C @ world["beta_T"]
    return Y - world["intercept_O"] - design.C @ world["beta_O"] - world["alpha"] * T, T, index


def test_a_continuous_world_has_the_errors_it_states(designs):
    U, T, index = forwards(designs["continuous", "instrument"], WORLD | {"sigma_V": 0.7})
    shared = -0.6 * 1.5 * 0.7
    np.testing.assert_allclose(np.cov(U.ravel(), (T - index).ravel()), [[1.5**2, shared], [shared, 0.7**2]], rtol=0.01)


def test_a_binary_world_has_the_errors_it_states(designs):
    U, T, eta = forwards(designs["binary", "instrument"], WORLD)
    assert U.std() == pytest.approx(1.5, rel=0.005)  # sigma acts once
    z = (T.mean(axis=0) - norm.cdf(eta)) / np.sqrt(norm.cdf(eta) * norm.sf(eta) / len(T))
    assert np.abs(z).max() < 4.5
    for t, q in ((0, -1), (1, 1)):
        often = np.sum(t == T, axis=0) > 200
        chosen = np.ma.array(U, mask=t != T)[:, often]
        mills = (-0.6 * 1.5 * q * norm.pdf(eta) / norm.cdf(q * eta))[often]  # E[U | T = t, x]
        assert often.sum() > 200
        assert np.abs((chosen.mean(axis=0) - mills) / (chosen.std(axis=0) / np.sqrt(chosen.count(axis=0)))).max() < 4.5


@pytensor.config.change_flags(mode="FAST_COMPILE")  # for a few draws; the code stays as it is
def test_the_talks_code_runs_on_the_smokers(talk):
    nhefs_binary_model = joint_model(talk, coefficients=normal(beta_O=3, beta_T=1), alpha=3, sigma=0.5)
    with pm.do(nhefs_binary_model, FIXED_PARAMETERS):
        idata = pm.sample_prior_predictive(random_seed=1000)
    synthetic_y = idata["prior"]["likelihood_outcome"].sel(draw=0, chain=0)
    synthetic_t = idata["prior"]["likelihood_treatment"].sel(draw=0, chain=0)
    assert set(np.unique(synthetic_t)) == {0, 1}
    with pm.observe(
        nhefs_binary_model, {"likelihood_outcome": synthetic_y, "likelihood_treatment": synthetic_t}
    ) as inference_model:
        before = pm.sample_prior_predictive(draws=20)
        after = pm.sample(
            random_seed=100, chains=1, tune=20, draws=20, progressbar=False, compute_convergence_checks=False
        )
    assert before["prior"]["beta_O"].sizes["covariate"] == after["posterior"]["beta_T"].sizes["covariate"] == 14
    found = fit(inference_model)
    truth = FIXED_PARAMETERS | {"sigma_U": float(idata["prior"]["sigma_U"].sel(draw=0, chain=0))}
    for name, value in truth.items():
        draws = found["posterior"][name].values.reshape(4000, -1)
        assert np.all(np.abs(draws.mean(axis=0) - value) < 4 * draws.std(axis=0)), name


@pytest.mark.parametrize("rho", [0.0, 0.5, atanh_normal(), uniform(-0.9, 1.8)], ids=["none", "half", "free", "uniform"])
@pytest.mark.parametrize("kind", ["continuous", "binary"])
@pytest.mark.parametrize("name", ["plain", "instrument"])
def test_the_data_move_alpha_from_its_prior(designs, kind, name, rho):
    model = joint_model(designs[kind, name], rho=rho)
    (prior,) = draw_at_once([model["alpha"]], 2000, seed=3)
    posterior = fit(model, draws=500)["posterior"]["alpha"].values.ravel()
    assert posterior.std() < 0.8 * prior.std()
    assert kstest(posterior, prior).statistic > 0.2


@pytest.mark.parametrize(
    "rho, cdf",
    [
        (atanh_normal(), lambda r: norm.cdf(np.arctanh(r), 0, 0.5)),
        (atanh_normal(-0.3, 0.1), lambda r: norm.cdf(np.arctanh(r), -0.3, 0.1)),
        (uniform(-0.9, 1.8), uniform(-0.9, 1.8).cdf),
        (norm(0.2, 0.3), lambda r: (norm.cdf(r, 0.2, 0.3) - norm.cdf(-1, 0.2, 0.3))
                                   / (norm.cdf(1, 0.2, 0.3) - norm.cdf(-1, 0.2, 0.3))),
    ],
)  # fmt: skip
def test_rho_is_drawn_from_the_prior_it_is_given(designs, rho, cdf):
    model = joint_model(designs["continuous", "plain"], rho=rho)
    (draws,) = draw_at_once([model["rho"]], 3000, seed=4)
    assert kstest(draws, cdf).pvalue > 0.001
    points = np.linspace(-0.8, 0.8, 9)
    slopes = (cdf(points + 1e-5) - cdf(points - 1e-5)) / 2e-5
    np.testing.assert_allclose(np.exp(pm.logp(model["rho"], points).eval()), slopes, rtol=2e-3, atol=1e-8)


def test_coefficients_have_labels_and_an_instrument_no_place_in_the_outcome(designs):
    design = designs["binary", "instrument"]
    draws = fit(joint_model(design), draws=500)["posterior"]
    assert list(draws.covariate.values) == list(design.covariates) == ["X0", "X1", "X2"]
    assert np.all(draws["beta_O"].sel(covariate="X2") == 0)
    assert draws["beta_T"].sel(covariate="X2").std() > 0


@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_the_default_priors_are_as_wide_as_the_book_says(tanks, designs, kind):
    """One sd of what is left of a predictor moves the response by one of its own, or as far as one yes or no tells."""
    data, model = tanks[kind].data, joint_model(designs[kind, "instrument"])
    y_sd, t_sd, X, T = data.Y.std(ddof=0), data["T"].std(ddof=0), data[["X0", "X1", "X2"]], data["T"]
    share = T.mean()
    Z = ((X - X.mean()) / X.std(ddof=0)).to_numpy()
    chosen = np.sqrt(np.diag(worth_a_row(Z, T.to_numpy(dtype=float), kind)))
    beside = [X[x].std(ddof=0) / residual_sd(X[x], X[other], T) for x, other in (("X0", "X1"), ("X1", "X0"))]
    expected = {
        "alpha": (0, y_sd / residual_sd(T, X.X0, X.X1)), "line": (data.Y.mean(), 2.5 * y_sd),
        "beta_O_free": (0, y_sd * np.array(beside)), "beta_T": (0, chosen[1:]),
        "intercept_T": (0 if kind == "binary" else T.mean(), chosen[0]),
    }  # fmt: skip
    names = [*(expected.keys() - {"line"}), "intercept_O", "sigma_U", *(["sigma_V"] if kind == "continuous" else [])]
    drawn = dict(zip(names, draw_at_once([model[name] for name in names], 8000, seed=5)))
    drawn["line"] = drawn["intercept_O"] + drawn["alpha"] * (share if kind == "binary" else 0)  # of an average row
    for name, (mean, sd) in expected.items():
        np.testing.assert_allclose(drawn[name].mean(axis=0) / sd, mean / sd, atol=0.06, err_msg=name)
        np.testing.assert_allclose(drawn[name].std(axis=0), sd, rtol=0.04, err_msg=name)
    assert (drawn["sigma_U"] ** 2).mean() ** 0.5 == pytest.approx(y_sd, rel=0.04)  # half-normal
    if kind == "continuous":
        assert (drawn["sigma_V"] ** 2).mean() ** 0.5 == pytest.approx(t_sd, rel=0.04)
    assert np.arctanh(draw_at_once([model["rho"]], 8000, seed=6)).std() == pytest.approx(0.5, rel=0.04)
