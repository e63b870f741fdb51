"""A PyMC model read back into numbers, and one that was changed left as it stands."""

import numpy as np
import pymc as pm
import pytest

from helpers import bart, joint_model
from which_world.engine.from_pymc import extract, observed


def other_likelihood(design):
    with joint_model(design) as model:
        pm.Normal("another_outcome", model["alpha"], 1, observed=design.y)
    return model


def student(design):
    with pm.Model(coords={"covariate": list(design.covariates)}) as model:
        pm.Data("X", design.C, dims=("obs", "covariate"))
        rho, sigma_U, sigma_V = pm.Uniform("rho", -1, 1), pm.HalfNormal("sigma_U", 2), pm.HalfNormal("sigma_V", 2)
        beta_O, beta_T = (pm.Normal(f"beta_{name}", 0, 1, dims="covariate") for name in "OT")
        alpha = pm.Normal("alpha", 0, 5)
        index = model["X"] @ beta_T
        pm.Normal("likelihood_treatment", index, sigma_V, observed=design.t)
        mean = model["X"] @ beta_O + alpha * design.t + rho * sigma_U / sigma_V * (design.t - index)
        pm.StudentT("likelihood_outcome", nu=4, mu=mean, sigma=sigma_U * pm.math.sqrt(1 - rho**2), observed=design.y)
    return model


def believer(design):
    with joint_model(design) as model:
        pm.Potential("belief", pm.logp(pm.Normal.dist(1.0, 0.01), model["alpha"]))
    return model


CHANGED = {
    "potential": believer,
    "another likelihood": other_likelihood,
    "heavy tails": student,
    "alpha fixed": lambda design: pm.do(joint_model(design), {"alpha": 3.0}),
    "index fixed": lambda design: pm.do(joint_model(design), {"beta_T": np.full(2, 0.3)}),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_model_that_was_changed_is_not_read_as_ours(designs, change):
    assert extract(observed(change(designs["continuous", "plain"]))) is None


def test_a_model_that_was_not_changed_is_read(designs):
    for design in designs.values():
        assert extract(observed(joint_model(design))) is not None


def test_a_changed_model_is_not_mistaken_for_ours(sixty_fish):
    model = observed(joint_model(sixty_fish, treatment=bart(trees=5)))
    assert extract(model) is not None
    with model.copy() as changed:
        pm.Potential("more", -(changed["alpha"] ** 2))
    assert extract(changed) is None
    fixed = extract(observed(pm.do(joint_model(sixty_fish, treatment=bart(trees=5)), {"rho": 0.3})))
    assert fixed is not None and fixed.rho == pytest.approx(0.3)
