"""The likelihoods against numerical integration, SciPy's densities and finite differences."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import statsmodels.api as sm
from oracles import log_joint_by_integration, log_joint_normal
from scipy.stats import multivariate_normal, norm
from statsmodels.tools.numdiff import approx_fprime

from helpers import make_design
from which_world.engine import laplace, likelihoods
from which_world.engine.likelihoods import Rows, derivatives, log_likelihood, pointwise, probit, rows_of
from which_world.models import log_Phi, selected_logp

ERRORS = [
    (0.3, 0.2, 0.6, 1), (-1.5, 0.8, -0.3, 0), (0.0, 0.0, 0.0, 1), (2.0, -3.0, 0.9, 1), (1.0, 1.0, -0.95, 0),
    (6.0, -8.0, 0.5, 1), (-9.0, 12.0, 0.7, 0), (15.0, -20.0, -0.8, 1), (0.5, -35.0, 0.3, 1), (-20.0, 5.0, 0.99, 0),
]  # fmt: skip


@pytest.fixture(params=["continuous", "binary", "continuous moderated", "binary moderated"])
def rows(request, designs, moderated):
    kind, *rest = request.param.split()
    return Rows.of(moderated[kind] if rest else designs[kind, "instrument"], compress=False)


def around(rows, draws, seed=0):
    """Parameter vectors in the neighbourhood of the truth, none of them special."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.2, 0.3, size=(draws, rows.size)), rng.normal(0, 0.5, size=draws)


@pytest.mark.parametrize("r, eta, rho, t", ERRORS)
def test_the_binary_density_is_the_integral_over_the_latent_error(r, eta, rho, t):
    sigma, mean = 1.7, -0.4
    y, kinds = np.array([mean + sigma * r]), ("continuous", "binary")
    one = Rows(np.ones((1, 1)), np.ones((1, 1)), y, np.array([t]), 1, kinds, ("alpha",), ("intercept",))
    ours = log_likelihood(one, np.array([[mean, np.log(sigma), eta]]), np.arctanh(rho))[0]
    assert ours == pytest.approx(log_joint_by_integration(r, eta, rho, t) - np.log(sigma), rel=1e-8)


@pytest.fixture(scope="module")
def model_log_density():
    """The model's own two responses, as a function of y, mean, sigma, rho, eta and t."""
    *values, eta, t = pt.dscalars("y", "mean", "sigma", "rho", "eta", "t")
    treatment = pm.logp(pm.Bernoulli.dist(logit_p=log_Phi(eta) - log_Phi(-eta)), t)
    return pytensor.function([*values, eta, t], selected_logp(*values, eta, t) + treatment)


@pytest.mark.parametrize("r, eta, rho, t", ERRORS)
def test_the_models_two_responses_multiply_to_that_integral(model_log_density, r, eta, rho, t):
    ours = model_log_density(-0.4 + 1.7 * r, -0.4, 1.7, rho, eta, t)
    assert ours == pytest.approx(log_joint_by_integration(r, eta, rho, t) - np.log(1.7), rel=1e-8)


def test_log_Phi_is_scipys_in_both_tails():
    z = np.array([-40.0, -10.0, -1.01, -0.99, 0.0, 1.0, 5.0, 9.0])
    np.testing.assert_allclose(log_Phi(pt.constant(z)).eval(), norm.logcdf(z), rtol=1e-12)


@pytest.mark.parametrize("name", ["plain", "instrument"])
def test_a_few_compressed_rows_say_what_all_rows_say(designs, name):
    design = designs["continuous", name]
    assert len(rows_of(design).y) < 10 < design.n
    theta, a = around(rows_of(design), draws=5)
    for point, atanh_rho in zip(theta, a):
        theta_O, log_sigma_U, theta_T, log_sigma_V = rows_of(design).split(point)
        mean_O = theta_O[0] - theta_O[-1] * design.t.mean() + design.C[:, design.in_outcome] @ theta_O[1:-1]
        mean_T = theta_T[0] + design.C[:, design.in_treatment] @ theta_T[1:]
        theirs = log_joint_normal(design.y, design.t, mean_O, mean_T, theta_O[-1], np.tanh(atanh_rho),
                                  np.exp(log_sigma_U), np.exp(log_sigma_V))  # fmt: skip
        assert log_likelihood(rows_of(design), point, atanh_rho)[0] == pytest.approx(theirs, rel=1e-10)


def test_a_moderated_effect_is_compressed_and_added_up_like_any_other(moderated):
    design = moderated["continuous"]
    assert len(rows_of(design).y) < 12 < design.n
    assert rows_of(design).names_O == ("intercept", "X0", "X3", "X1", "delta[X0]", "delta[X3]", "alpha")
    theta, a = around(rows_of(design), draws=5)
    X0, X3, X1, X2 = (design.C[:, design.covariates.index(name)] for name in ("X0", "X3", "X1", "X2"))
    for point, atanh_rho in zip(theta, a):
        constant, b_0, b_3, b_1, d_0, d_3, alpha, log_U, c_T, g_0, g_1, g_2, log_V = point
        mean_T = c_T + g_0 * X0 + g_1 * X1 + g_2 * X2
        each = alpha + d_0 * X0 + d_3 * X3
        r = design.y - constant - b_0 * X0 - b_3 * X3 - b_1 * X1 - each * (design.t - design.t.mean())
        shared = np.tanh(atanh_rho) * np.exp(log_U + log_V)
        errors = multivariate_normal(cov=[[np.exp(2 * log_U), shared], [shared, np.exp(2 * log_V)]])
        theirs = errors.logpdf(np.column_stack([r, design.t - mean_T])).sum()
        assert log_likelihood(rows_of(design), point, atanh_rho)[0] == pytest.approx(theirs, rel=1e-10)


def test_derivatives_are_finite_differences(rows):
    theta, a = around(rows, draws=1)
    point = np.r_[theta[0], a]
    value, gradient, hessian = derivatives(rows, point[:-1], point[-1])
    assert value == pytest.approx(log_likelihood(rows, theta, a)[0], rel=1e-12)
    slopes = approx_fprime(point, lambda x: log_likelihood(rows, x[:-1], x[-1])[0], centered=True)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5, atol=1e-4)
    curvatures = approx_fprime(point, lambda x: derivatives(rows, x[:-1], x[-1])[1], centered=True)
    np.testing.assert_allclose(hessian, curvatures, rtol=1e-5, atol=1e-4 * np.abs(hessian).max())


def test_observations_add_up_however_they_are_cut(rows):
    theta, a = around(rows, draws=7)
    whole = log_likelihood(rows, theta, a)
    np.testing.assert_allclose(pointwise(rows, theta, a).sum(axis=1), whole)
    np.testing.assert_allclose(log_likelihood(rows, theta, a, chunk=1), whole)


@pytest.mark.parametrize(
    "draws, step, processors", [(0, 5, 2), (3, 5, 2), (40, 5, 2), (41, 5, 2), (4004, 41, 2), (9999, 7, 64)]
)
def test_draws_are_handed_to_threads_in_whole_steps_and_each_of_them_once(monkeypatch, draws, step, processors):
    monkeypatch.setattr(likelihoods, "cpu_count", lambda: processors)
    slices = likelihoods.handed(draws, step)
    assert [k for some in slices for k in range(some.start, some.stop)] == list(range(draws))
    assert all(some.start % step == 0 for some in slices)
    if slices[1:]:  # a thread is worth its start, and there is work for all
        assert slices[0].stop >= 8 * step
        assert len(slices) <= 4 * processors


@pytest.mark.parametrize("processors", [1, 16])
def test_the_sums_are_the_same_on_any_number_of_processors(monkeypatch, rows, processors):
    theta, a = around(rows, 2000)
    here = log_likelihood(rows, theta, a, chunk=2**12)
    monkeypatch.setattr(likelihoods, "cpu_count", lambda: processors)
    np.testing.assert_array_equal(log_likelihood(rows, theta, a, chunk=2**12), here)


@pytest.mark.parametrize("threaded", [1, 1_000])
def test_many_rows_add_up_in_blocks_as_they_do_together(rows, threaded, monkeypatch):
    theta, a = around(rows, draws=7)
    together = log_likelihood(rows, theta, a), *derivatives(rows, theta[0], a[0])
    monkeypatch.setattr(likelihoods, "BLOCK", 37)
    monkeypatch.setattr(likelihoods, "THREADED", threaded)
    for ours, theirs in zip((log_likelihood(rows, theta, a), *derivatives(rows, theta[0], a[0])), together):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-8)


@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_many_rows_are_never_put_together_at_once(kind, tanks, monkeypatch):
    """Their columns and where the search starts, beside a frame of our own, least squares and probit of statsmodels."""
    answers = {"outcome": "I(Y > 0) ~ T * (X0 + X3) + X1", "treatment": "T ~ X0 + X2 + X1", "outcome_kind": None}
    lines = {"outcome": "Y ~ T * (X0 + X3) + X1", "treatment": "T ~ X0 + X2 + X1"}
    data = tanks[kind].data
    design = make_design(data, **(answers if kind == "continuous" else lines))
    monkeypatch.setattr(likelihoods, "BLOCK", 37)
    monkeypatch.setattr(laplace, "BLOCK", 37)
    rows = Rows.of(design)
    assert not isinstance(rows.A, np.ndarray) and not isinstance(rows.Z, np.ndarray)
    X = (data - data.mean()) / data.std(ddof=0)
    dose = data["T"] - data["T"].mean() if kind == "continuous" else data["T"]
    A = np.column_stack([np.ones(len(X)), X[["X0", "X3", "X1"]], X.X0 * dose, X.X3 * dose, dose])
    Z = np.column_stack([np.ones(len(X)), X[["X0", "X2", "X1"]]])
    for found, whole, names in ((rows.A, A, rows.names_O), (rows.Z, Z, rows.names_T)):
        order = [*names].index("X1"), [*names].index("X0")  # the design has an order of its own
        assert found.shape == whole.shape == found[:].shape
        np.testing.assert_allclose(np.sort(found[5:50], axis=1), np.sort(whole[5:50], axis=1), atol=1e-12)
        np.testing.assert_allclose(found[:][:, order], X[["X1", "X0"]], atol=1e-12)
    theirs = [
        sm.Probit(y, M[:]).fit(disp=0, tol=1e-12).params if set(y) == {0.0, 1.0}
        else np.r_[(line := sm.OLS(y, M[:]).fit()).params, 0.5 * np.log(line.ssr / len(y))]
        for y, M in ((design.y, rows.A), (design.t, rows.Z))
    ]  # fmt: skip
    np.testing.assert_allclose(laplace.start(rows), np.concatenate(theirs), rtol=1e-6)


def test_compressed_rows_have_no_observations_to_tell_apart(designs):
    rows = rows_of(designs["continuous", "plain"])
    with pytest.raises(ValueError, match=r"400 observations in \d; accepted are uncompressed rows"):
        pointwise(rows, *around(rows, draws=1))


def test_the_probit_that_everything_binary_starts_from_is_statsmodels(designs):
    rows = rows_of(designs["binary", "instrument"])
    theirs = sm.Probit(rows.t, rows.Z).fit(disp=0, tol=1e-12)
    found = probit(rows.Z, rows.t)
    assert found.converged
    np.testing.assert_allclose(found.beta, theirs.params, rtol=1e-7)
    assert not probit(rows.Z, 1.0 * (rows.Z[:, 1] > 0)).converged  # a covariate that tells the treated from the rest
