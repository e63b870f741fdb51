"""Tanks whose physics we know, because we built them."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from which_world import arguments

ROLES = ("confounder", "instrument", "outcome-only", "noise")


class Aquarium(NamedTuple):
    """`data`: the observed columns Y, T, X0, X1, … . `truth`: an xarray.Dataset of what made them."""

    data: pd.DataFrame
    truth: xr.Dataset


def simulate_aquarium(
    n=2_500,
    *,
    alpha=None,
    rho=0.0,
    treatment="continuous",
    outcome="continuous",
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
    alpha : float, optional
        The effect of T on Y, or on the index of a binary Y. Left out, 3; for a binary Y, 1.
    rho : float
        Correlation of the errors U and V, in (-1, 1): the hidden current.
    treatment : {"continuous", "binary"}
        A binary treatment is T = 1 where its index plus V is positive; its V has sd 1.
    outcome : {"continuous", "binary"}
        A binary outcome is Y = 1, the fish lives, where its index plus U is positive; its U has sd 1, and `alpha` is
        the shift of that index.
    seed : int
    sigma_U, sigma_V : float
        Spread of the errors; 1 for what is binary.
    confounders, instruments, outcome_only, noise : int
        How many of X0, X1, … move both T and Y, T alone, Y alone, and neither; in that order.

    Returns
    -------
    Aquarium
        ``data`` and ``truth``; ``truth`` holds alpha, rho, sigma_U, sigma_V, intercept_O, intercept_T, effect (what T
        does to the mean of Y: alpha, or for a binary Y the share of these very fish that live once they are moved, each
        with its own U, less the share that live where they were, in percentage points; all at T = 1 against all at
        T = 0, or each at one unit more of a continuous T), and beta_O, beta_T and role by ``covariate``.

    Raises
    ------
    ValueError
        Naming the argument that cannot be used.
    """
    n, rho, rng = arguments.count(n, "n"), arguments.correlation(rho), np.random.default_rng(arguments.seed(seed))
    sigma_U, sigma_V = (
        _spread(sigma_U, "sigma_U", outcome, "outcome"),
        _spread(sigma_V, "sigma_V", treatment, "treatment"),
    )
    wanted = {"confounders": confounders, "instruments": instruments, "outcome_only": outcome_only, "noise": noise}
    counts = [arguments.count(k, name, least=0) for name, k in wanted.items()]
    yes = outcome == "binary"
    alpha = (1.0 if yes else 3.0) if alpha is None else arguments.number(alpha, "alpha")
    role = np.repeat(ROLES, counts)
    strength = np.concatenate([_strengths(k) for k in counts])
    # reversed, so that two confounders do not share one ratio of β_O to β_T and pass for a pair of instruments
    pull = np.concatenate([_strengths(k)[::-1] for k in counts])
    moves_T = np.isin(role, ["confounder", "instrument"])
    moves_Y = np.isin(role, ["confounder", "outcome-only"])
    names = [f"X{j}" for j in range(len(role))]
    truth = xr.Dataset(
        {
            "alpha": alpha, "rho": float(rho), "sigma_U": float(sigma_U), "sigma_V": float(sigma_V),
            "intercept_O": 0.0 if yes else 2.0, "intercept_T": 0.3,
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
    line = truth.intercept_O.item() + X @ truth.beta_O.values
    Y = line + alpha * T + U
    truth["effect"] = _moved(line + U, T, alpha, treatment) if yes else alpha
    return Aquarium(pd.DataFrame({"Y": (Y > 0).astype(int) if yes else Y, "T": T} | dict(zip(names, X.T))), truth)


def _moved(index, T, alpha, treatment):
    """The share of fish that live with one unit more of T less the share without, in points; `index` has their U."""
    before = 0.0 if treatment == "binary" else T
    return 100 * float(np.mean(index + alpha * (before + 1) > 0) - np.mean(index + alpha * before > 0))


def _strengths(k):
    """1, -0.8, 0.6, -1, 0.8, -0.6, 1, … : both signs, none negligible."""
    return np.resize([1.0, -0.8, 0.6], k) * np.resize([1, 1, 1, -1, -1, -1], k)


def _spread(sigma, name, kind, response):
    """A response's error sd, its kind checked on the way: the latent scale of a binary one cannot be seen."""
    arguments.one_of(kind, ("continuous", "binary"), response)
    found = arguments.positive(sigma, name)
    if kind == "binary" and found != 1:
        arguments.refuse(name, sigma, f"{name}=1 for a binary {response}, whose latent scale cannot be seen")
    return found
