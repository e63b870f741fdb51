"""Draws under the names of the PyMC model, and back in the order of the likelihood."""

import arviz as az
import numpy as np
import pytest

from helpers import joint_model, make_design, simulate_aquarium
from which_world.engine.draws import named, tree, vectors
from which_world.engine.from_pymc import observed
from which_world.engine.likelihoods import rows_of


@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_draws_find_their_way_back_into_the_likelihoods_order(moderated, kind):
    design = moderated[kind]
    theta = np.random.default_rng(0).normal(size=(1, 20, rows_of(design).size))
    a = np.full((1, 20), 0.2)
    values = named(design, theta, a)
    dims = {"delta": ["moderator"], "beta_O": ["covariate"], "beta_T": ["covariate"]}
    posterior = az.extract(az.from_dict({"posterior": values}, dims=dims))
    np.testing.assert_allclose(vectors(posterior, design), theta[0])


@pytest.mark.parametrize("outcome", ["continuous", "binary"])
@pytest.mark.parametrize("treatment", ["continuous", "binary"])
def test_draws_have_the_names_and_dims_of_the_models_own(outcome, treatment):
    """As PyMC lists them, of a model one of whose covariates is no cause of the outcome."""
    data = simulate_aquarium(60, outcome=outcome, treatment=treatment, seed=1).data
    design = make_design(data, outcome="Y ~ T * X0 + X1", treatment="T ~ X0 + X2")
    theta = np.random.default_rng(0).normal(size=(2, 3, rows_of(design).size))
    ours = tree(design, named(design, theta, np.full((2, 3), 0.2)), route="columns")["posterior"]
    model = observed(joint_model(design))
    theirs = {variable.name for variable in [*model.free_RVs, *model.deterministics]} - {"treatment"}
    dims = {name: model.named_vars_to_dims.get(name, ()) for name in theirs}
    assert {name: ours[name].dims[2:] for name in ours} == dims
    assert ("effect" in ours) == (outcome == "binary")
    excluded = np.array([label for label in design.covariates if label not in ("X0", "X1")])
    assert (ours["beta_O"].sel(covariate=excluded) == 0).all() and list(ours["delta"].moderator) == ["X0"]
