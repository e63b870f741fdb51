"""Tanks whose physics we know, because we built them."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

ROLES = ("confounder", "instrument", "outcome-only", "noise")


class Aquarium(NamedTuple):
    """`data`: the observed columns Y, T, X0, X1, … . `truth`: an xarray.Dataset of what made them."""

    data: pd.DataFrame
    truth: xr.Dataset


def simulate_aquarium(
    n=2_500,
    *,
    alpha=3.0,
    rho=0.0,
    treatment="continuous",
    seed=0,
    sigma_U=1.0,
    sigma_V=1.0,
    confounders=2,
    instruments=1,
    outcome_only=2,
    noise=3,
):
    """Fill a tank: treatment and outcome with correlated errors, and covariates of four kinds.

    Parameters
    ----------
    n : int
        Number of fish.
    alpha : float
        The effect of T on Y.
    rho : float
        Correlation of the errors U and V, in (-1, 1): the hidden current.
    treatment : {"continuous", "binary"}
        A binary treatment is T = 1 where its index plus V is positive; its V has sd 1.
    seed : int
    sigma_U, sigma_V : float
        Spread of the errors; `sigma_V` must be 1 for a binary treatment.
    confounders, instruments, outcome_only, noise : int
        How many of X0, X1, … move both T and Y, T alone, Y alone, and neither; in that order.

    Returns
    -------
    Aquarium
        ``data`` and ``truth``; ``truth`` holds alpha, rho, sigma_U, sigma_V, intercept_O, intercept_T, and
        beta_O, beta_T and role by ``covariate``.

    Raises
    ------
    ValueError
        Naming the argument that cannot be used.
    """
    _check(n, rho, treatment, sigma_U, sigma_V, (confounders, instruments, outcome_only, noise))
    rng = np.random.default_rng(seed)
    role = np.repeat(ROLES, (confounders, instruments, outcome_only, noise))
    counts = confounders, instruments, outcome_only, noise
    strength = np.concatenate([_strengths(k) for k in counts])
    # reversed, so that two confounders do not share one ratio of β_O to β_T and pass for a pair of instruments
    pull = np.concatenate([_strengths(k)[::-1] for k in counts])
    moves_T = np.isin(role, ["confounder", "instrument"])
    moves_Y = np.isin(role, ["confounder", "outcome-only"])
    names = [f"X{j}" for j in range(len(role))]
    truth = xr.Dataset(
        {
            "alpha": float(alpha), "rho": float(rho), "sigma_U": float(sigma_U), "sigma_V": float(sigma_V),
            "intercept_O": 2.0, "intercept_T": 0.3,
            "beta_O": ("covariate", np.where(moves_Y, strength, 0.0)),
            "beta_T": ("covariate", np.where(moves_T, 0.8 * pull, 0.0)),
            "role": ("covariate", role),
        },
        coords={"covariate": names},
    )  # fmt: skip
    X = rng.normal(size=(n, len(names)))
    V = sigma_V * rng.normal(size=n)
    U = sigma_U * (rho * V / sigma_V + np.sqrt(1 - rho**2) * rng.normal(size=n))
    index = 0.3 + X @ truth.beta_T.values + V
    T = index if treatment == "continuous" else (index > 0).astype(int)
    Y = 2.0 + X @ truth.beta_O.values + alpha * T + U
    return Aquarium(pd.DataFrame({"Y": Y, "T": T} | dict(zip(names, X.T))), truth)


def _strengths(k):
    """1, -0.8, 0.6, -1, 0.8, -0.6, 1, … : both signs, none negligible."""
    return np.resize([1.0, -0.8, 0.6], k) * np.resize([1, 1, 1, -1, -1, -1], k)


def _check(n, rho, treatment, sigma_U, sigma_V, counts):
    if not (isinstance(n, (int, np.integer)) and n > 0):
        raise ValueError(f"n={n!r} is not a number of rows; accepted is a positive integer.")
    if not -1 < rho < 1:
        raise ValueError(f"rho={rho!r} is not a correlation; accepted is a number in (-1, 1).")
    if treatment not in ("continuous", "binary"):
        raise ValueError(f"treatment={treatment!r}; accepted are 'continuous' and 'binary'.")
    if not (sigma_U > 0 and sigma_V > 0) or (treatment == "binary" and sigma_V != 1):
        raise ValueError(
            f"sigma_U={sigma_U!r}, sigma_V={sigma_V!r}; accepted are positive numbers, and sigma_V=1 for a binary "
            "treatment, whose latent scale cannot be seen."
        )
    if any(not isinstance(k, (int, np.integer)) or k < 0 for k in counts):
        raise ValueError(f"covariate counts {counts!r}; accepted are integers of zero or more.")
