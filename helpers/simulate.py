"""Tanks whose physics we know, because we built them."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from which_world import arguments

ROLES = ("confounder", "instrument", "outcome-only", "noise")
KINDS = ("continuous", "binary")
Kind = Literal["continuous", "binary"]
INTERCEPT_T = 0.3


class Aquarium(NamedTuple):
    """`data`: the observed columns Y, T, X0, X1, … . `truth`: what made them."""

    data: pd.DataFrame
    truth: xr.Dataset


def simulate_aquarium(
    n: int = 2_500,
    *,
    alpha: float | None = None,
    rho: float = 0.0,
    treatment: Kind = "continuous",
    outcome: Kind = "continuous",
    seed: int = 0,
    sigma_U: float = 1.0,
    sigma_V: float = 1.0,
    confounders: int = 2,
    instruments: int = 1,
    outcome_only: int = 2,
    noise: int = 3,
) -> Aquarium:
    """A tank: treatment and outcome with correlated errors, and covariates of four kinds.

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
        A binary outcome is Y = 1, the fish lives, where its index plus U is positive; its U has sd
        1, and `alpha` is the shift of that index.
    seed : int
    sigma_U, sigma_V : float
        Spread of the errors; 1 for what is binary.
    confounders, instruments, outcome_only, noise : int
        How many of X0, X1, … move both T and Y, T alone, Y alone, and neither; in that order.

    Returns
    -------
    Aquarium
        ``data`` and ``truth``; ``truth`` holds alpha, rho, sigma_U, sigma_V, intercept_O,
        intercept_T, effect (what T does to the mean of Y: alpha, or for a binary Y the share of
        these very fish that live once they are moved, each with its own U, less the share that live
        where they were, in percentage points; all at T = 1 against all at T = 0, or each at one
        unit more of a continuous T), and beta_O, beta_T and role by ``covariate``.

    Raises
    ------
    ValueError
        Naming the argument that cannot be used.

    See Also
    --------
    which_world.make_design : the tank as a design.

    Examples
    --------
    >>> from helpers import simulate_aquarium
    >>> tank = simulate_aquarium(500, rho=0.4)
    >>> print(list(tank.data), float(tank.truth.effect))
    ['Y', 'T', 'X0', 'X1', 'X2', 'X3', 'X4', 'X5', 'X6', 'X7'] 3.0
    """
    n, rho = arguments.count(n, "n"), arguments.correlation(rho)
    rng = np.random.default_rng(arguments.seed(seed))
    sigma_U = _error_sd(sigma_U, "sigma_U", outcome, "outcome")
    sigma_V = _error_sd(sigma_V, "sigma_V", treatment, "treatment")
    by_role = {
        "confounders": confounders,
        "instruments": instruments,
        "outcome_only": outcome_only,
        "noise": noise,
    }
    counts = [arguments.count(k, name, least=0) for name, k in by_role.items()]
    binary = outcome == "binary"
    default = 1.0 if binary else 3.0
    alpha = default if alpha is None else arguments.number(alpha, "alpha")
    scalars = {
        "alpha": alpha,
        "rho": float(rho),
        "sigma_U": float(sigma_U),
        "sigma_V": float(sigma_V),
        "intercept_O": 0.0 if binary else 2.0,
        "intercept_T": INTERCEPT_T,
    }
    names = [f"X{j}" for j in range(sum(counts))]
    truth = xr.Dataset(scalars | _coefficients(counts), coords={"covariate": names})
    X = rng.normal(size=(n, len(names)))
    V = sigma_V * rng.normal(size=n)
    U = sigma_U * (rho * V / sigma_V + np.sqrt(1 - rho**2) * rng.normal(size=n))
    index_T = INTERCEPT_T + X @ truth.beta_T.values + V
    T = index_T if treatment == "continuous" else (index_T > 0).astype(int)
    without = truth.intercept_O.item() + X @ truth.beta_O.values
    Y = without + alpha * T + U
    truth["effect"] = _moved(without + U, T, alpha, treatment) if binary else alpha
    responses = {"Y": (Y > 0).astype(int) if binary else Y, "T": T}
    return Aquarium(pd.DataFrame(responses | dict(zip(names, X.T))), truth)


def _coefficients(counts):
    """Coefficients and roles of X0, X1, …, so many of each role, as variables of `truth`."""
    role = np.repeat(ROLES, counts)
    strength = np.concatenate([_strengths(k) for k in counts])
    # reversed, so that two confounders do not share one ratio of β_O to β_T and pass for a pair of
    # instruments
    pull = np.concatenate([_strengths(k)[::-1] for k in counts])
    moves_T = np.isin(role, ["confounder", "instrument"])
    moves_Y = np.isin(role, ["confounder", "outcome-only"])
    columns = {
        "beta_O": np.where(moves_Y, strength, 0.0),
        "beta_T": np.where(moves_T, 0.8 * pull, 0.0),
        "role": role,
    }
    return {name: ("covariate", values) for name, values in columns.items()}


def _moved(index, T, alpha, treatment):
    """The share of fish that live with one unit more of T less the share without, in points.

    `index` is that of the outcome without T, and has each fish's own U.
    """
    before = 0.0 if treatment == "binary" else T
    alive_after, alive_before = index + alpha * (before + 1) > 0, index + alpha * before > 0
    return 100 * float(np.mean(alive_after) - np.mean(alive_before))


def _strengths(k):
    """1, -0.8, 0.6, -1, 0.8, -0.6, 1, … : both signs, none negligible."""
    return np.resize([1.0, -0.8, 0.6], k) * np.resize([1, 1, 1, -1, -1, -1], k)


def _error_sd(sigma, name, kind, response):
    """The sd of a response's error, its kind checked on the way.

    The latent scale of a binary response cannot be seen, so its sd is one.
    """
    arguments.one_of(kind, KINDS, response)
    sd = arguments.positive(sigma, name)
    if kind == "binary" and sd != 1:
        accepted = f"{name}=1 for a binary {response}, whose latent scale cannot be seen"
        arguments.refuse(name, sigma, accepted)
    return sd
