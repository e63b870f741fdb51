"""Priors that select: refused where they cannot be, and what each says of its coefficients."""

import numpy as np
import pymc as pm
import pytest
from conftest import NAMES, design_of, means

from helpers import excluded, fit, horseshoe, joint_model, make_design, normal, spike_and_slab


def test_an_exclusion_by_name_is_an_exclusion_by_formula(few_fish):
    by_name = fit(joint_model(design_of(few_fish), coefficients=excluded(["X2"])))
    by_formula = fit(joint_model(design_of(few_fish, ["X0", "X1", "X3"], NAMES)))
    np.testing.assert_allclose(*(means(f, "alpha", "rho") for f in (by_name, by_formula)), atol=0.03)
    assert (by_name["posterior"].beta_O.sel(covariate="X2") == 0).all()


def test_p0_equal_to_the_number_of_covariates_is_allowed(few_fish):
    idata = fit(joint_model(design_of(few_fish), coefficients=horseshoe(p0=4)), draws=500)
    assert np.isfinite(idata["posterior"].alpha).all()


def test_tau_has_the_scale_of_piironen_and_vehtari(few_fish):
    model = joint_model(design_of(few_fish), coefficients=horseshoe(p0=1))
    tau = pm.draw(model["tau_T"], 4000, random_seed=1)
    left = np.column_stack([np.ones(len(few_fish)), few_fish[NAMES]])
    beta, *_ = np.linalg.lstsq(left, few_fish["T"], rcond=None)
    sigma = np.std(few_fish["T"] - left @ beta)
    assert np.median(tau) == pytest.approx(1 / 3 * sigma / np.sqrt(len(few_fish)), rel=0.1)  # a half-Cauchy's median


@pytest.mark.parametrize("coefficients", [spike_and_slab(), horseshoe()])
def test_a_prior_over_no_coefficient_leaves_the_model_as_it_is(few_fish, coefficients):
    bare = make_design(few_fish, outcome="Y ~ T", treatment="T ~ 1")
    found, plain = (fit(joint_model(bare, coefficients=c, rho=0.3), chains=2) for c in (coefficients, normal()))
    np.testing.assert_allclose(found.posterior.alpha, plain.posterior.alpha)


@pytest.mark.parametrize("coefficients, said", [
    (horseshoe(p0=9), "p0=9"), (spike_and_slab(size=9), "size=9"), (excluded(["Z"]), "Z"),
])  # fmt: skip
def test_a_prior_that_does_not_fit_the_design_is_refused(few_fish, coefficients, said):
    with pytest.raises(ValueError, match=said):
        joint_model(design_of(few_fish), coefficients=coefficients)
