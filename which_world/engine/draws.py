"""Draws of θ under the names and dims of the PyMC model, as `fit` returns them."""

import arviz as az
import numpy as np

from which_world.engine.counterfactual import average_effect
from which_world.engine.likelihoods import rows_of

# a model's responses, and where it keeps its own data
OBSERVED = {"likelihood_outcome": "observed_outcome", "likelihood_treatment": "observed_treatment"}
DIMS = (
    {f"beta_{e}": ["covariate"] for e in "OT"}
    | {f"beta_{e}_free": [f"covariate_{e}"] for e in "OT"}
    | {"delta": ["moderator"]}
    | {
        f"{name}_{e}": [f"covariate_{e}"]
        for name in ("included", "slab", "lambda", "z")
        for e in "OT"
    }
    | {name: ["obs"] for name in ("forest_O", "forest_T", *OBSERVED)}
)


def named(design, theta, a, *, forests=""):
    """θ and a of shape (chains, draws, ...) under the model's names, excluded coefficients at zero.

    `forests` holds the letters of equations whose intercept and β a forest has taken over: what it
    adds to each row is not known here, and neither is what is read of a binary outcome.
    """
    rows = rows_of(design)
    theta_O, log_sigma_U, theta_T, log_sigma_V = rows.split(theta)
    named = {"alpha": theta_O[..., -1], "rho": np.tanh(a)}
    for name, log_sigma, scaled in zip(
        ("sigma_U", "sigma_V"), (log_sigma_U, log_sigma_V), rows.scaled
    ):
        named |= {name: np.exp(log_sigma)} if scaled else {}
    if design.outcome_kind == "binary" and not forests:
        named["effect"] = average_effect(design, theta, a)
    theta_O, delta = unmoderated(design, theta_O)
    if design.moderators:
        named["delta"] = delta
    parts = {
        "O": (theta_O, design.intercept_O, design.in_outcome),
        "T": (theta_T, design.intercept_T, design.in_treatment),
    }
    for equation, (values, has_intercept, included) in parts.items():
        if has_intercept:
            named[f"intercept_{equation}"], values = values[..., 0], values[..., 1:]
        if equation in forests:
            continue
        if not included.all():
            named[f"beta_{equation}_free"] = values  # as in the model, whose variable it is
        beta = np.zeros((*values.shape[:-1], len(included)))
        beta[..., included] = values
        named[f"beta_{equation}"] = beta
    return named


def unmoderated(design, theta_O):
    """(intercept_O, β_O) and δ of the outcome's coefficients, which end with α."""
    end = theta_O.shape[-1] - 1
    start = end - len(design.moderators)
    return theta_O[..., :start], theta_O[..., start:end]


def vectors(posterior, design):
    """Named draws back in the likelihood's order: θ of shape (sample, size of θ)."""

    def column(name):
        return (
            posterior[name].transpose("sample", ...).values.reshape(posterior.sizes["sample"], -1)
        )

    parts = [column("intercept_O")] if design.intercept_O else []
    parts += [column("beta_O")[:, design.in_outcome]]
    parts += [column("delta")] if design.moderators else []
    parts += [column("alpha")]
    parts += [np.log(column("sigma_U"))] if design.outcome_kind == "continuous" else []
    parts += [column("intercept_T")] if design.intercept_T else []
    parts += [column("beta_T")[:, design.in_treatment]] if design.in_treatment.any() else []
    parts += [np.log(column("sigma_V"))] if design.kind == "continuous" else []
    return np.concatenate(parts, axis=1)


def tree(design, posterior, *, route, stats=None, **attrs):
    """The DataTree of named draws, (chains, draws, ...): labelled dims, the data, its `route`.

    `stats` are more sample statistics, `attrs` more attributes; no route without gradients
    diverges.
    """
    labels = np.array(design.covariates, dtype=object)
    coords = {
        "covariate": list(labels),
        "covariate_O": list(labels[design.in_outcome]),
        "covariate_T": list(labels[design.in_treatment]),
        "moderator": list(design.moderators),
    }
    used = {dim for name in posterior for dim in DIMS.get(name, [])}
    shape = posterior["alpha"].shape[:2]
    groups = {
        "posterior": posterior,
        "sample_stats": (stats or {}) | {"diverging": np.zeros(shape, dtype=bool)},
    }
    if not design.stands_for:
        groups["observed_data"] = {"likelihood_outcome": design.y, "likelihood_treatment": design.t}
    idata = az.from_dict(
        groups,
        coords={dim: values for dim, values in coords.items() if dim in used},
        dims=DIMS,
    )
    idata.attrs.update(route=route, **attrs)
    return idata
