"""The specification behind the talk in plain PyMC, as a baseline: nothing integrated out, no intercepts.

Compare Chapter 9, which audits it. Here only its speed matters.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt


def continuous(X, y, t):
    """(Y, T) ~ MvNormal, with the covariance that σ_U, σ_V, ρ and α imply."""
    with pm.Model() as model:
        rho = pm.Uniform("rho", -1, 1)
        alpha = pm.Normal("alpha", 0, 5)
        sigma_U, sigma_V = pm.Exponential("sigma_U", 1), pm.Exponential("sigma_V", 1)
        beta_O, beta_T = (pm.Normal(f"beta_{name}", 0, 1, shape=X.shape[1]) for name in "OT")
        mean_T = X @ beta_T
        mean = pt.stack([X @ beta_O + alpha * mean_T, mean_T], axis=1)
        joint = rho * sigma_U * sigma_V
        across = alpha * sigma_V**2 + joint
        cov = pt.stacklists(
            [[sigma_U**2 + alpha**2 * sigma_V**2 + 2 * alpha * joint, across], [across, sigma_V**2]],
        )
        pm.MvNormal("likelihood", mean, cov=cov, observed=np.column_stack([y, t]))
    return model


def binary(X, y, t):
    """Two latent standard normals a person; logistic noise on top of V, and σ_U acting twice."""
    with pm.Model() as model:
        rho = pm.Deterministic("rho", pt.tanh(pm.Normal("atanh_rho", 0, 0.5)))
        alpha, sigma_U = pm.Normal("alpha", 0, 3), pm.HalfNormal("sigma_U", 0.5)
        beta_O, beta_T = pm.Normal("beta_O", 0, 3, shape=X.shape[1]), pm.Normal("beta_T", 0, 1, shape=X.shape[1])
        eps = pm.Normal("eps", 0, 1, shape=(2, len(y)))
        U, V = sigma_U * eps[0], rho * eps[0] + pt.sqrt(1 - rho**2) * eps[1]
        pm.Bernoulli("likelihood_treatment", logit_p=X @ beta_T + V, observed=t)
        pm.Normal("likelihood_outcome", X @ beta_O + alpha * t + U, sigma_U, observed=y)
    return model
