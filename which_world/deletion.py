"""How few rows decide: what leaving one out does to the effect, and which few would turn its sign."""

from bisect import bisect_left
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from which_world.design import check_rows, only
from which_world.engine.counterfactual import average_effect, effect_slope
from which_world.engine.likelihoods import Rows

FEW = 10  # rows that are taken out one by one, those that stay being looked at again each time
MANY = 50_000  # rows of which none is looked at twice
ROUNDS, RIDGE = 50, 1e-6  # of Newton's method, which needs five or six; a trace of a prior for what has no maximum
SIGN, ERROR = "turn the sign", "move it by a standard error"
FEWER = 1e-8  # a row of less leverage to spare than this is fitted by a coefficient of its own


class Fit(NamedTuple):
    """The effect without a hidden current, its standard error, and what leaving out each row does to it, (n,)."""

    effect: float
    se: float
    change: np.ndarray


def influence(design):
    """How few rows would turn the sign of the effect, or move it by a standard error, were they left out.

    Parameters
    ----------
    design : Design
        Of rows in memory.

    Returns
    -------
    pandas.DataFrame
        Two rows, ``"turn the sign"`` and ``"move it by a standard error"`` (in the direction that takes fewer).
        ``rows``, how many; ``share`` of all; ``which``, their positions from 0, as in ``data.iloc``; ``effect``, of
        all rows at ρ = 0, least squares or the probit's (α, or percentage points for a binary outcome);
        ``approximate``, the effect without them in closed form, and ``effect_without``, fitted again without them.
        Where no half of the rows does it, ``rows`` and the rest are NaN, and ``which`` is empty.

    Raises
    ------
    ValueError
        When the design stands for rows that are not at hand.

    Notes
    -----
    The approximate maximum influence perturbation of Broderick, Giordano & Meager (2020, arXiv:2011.14999): each row's
    influence on the effect, sorted and added up. Divided by one less the row's leverage it is exact for one row of
    least squares, rẽ/((1-h)Σẽ²) with the residual r and ẽ, the treatment less what the covariates explain; a binary
    outcome has its score, weights and inverse information instead. Rows far out hide each other, so up to ten are taken
    out one by one, the others being looked at again each time; only where ten are too few, or there are more than
    50,000 rows, are influences added up, and the fit without them says how far that held. Fewer might do, never fewer
    than one.
    """
    check_rows(design)
    whole = _fit(design)
    sign = _few(design, whole, -whole.effect)
    moved = [_few(design, whole, side * whole.se) for side in (-1, 1)]
    error = min(moved, key=lambda found: found["rows"] if np.isfinite(found["rows"]) else np.inf)
    return pd.DataFrame([sign, error], index=pd.Index([SIGN, ERROR], name="to"))


def _few(design, whole, wanted):
    """Few rows without which the effect changes by `wanted`, or more: one by one, or else all that add up to it."""
    gone = _one_by_one(design, whole, wanted) if design.n <= MANY else None
    gone = _added_up(design, whole, wanted) if gone is None else gone
    rows = len(gone) or np.nan
    return {
        "rows": rows,
        "share": rows / design.n,
        "which": tuple(map(int, gone)),
        "effect": whole.effect,
        "approximate": whole.effect + whole.change[gone].sum() if len(gone) else np.nan,
        "effect_without": _effect(design, gone) if len(gone) else np.nan,
    }


def _effect(design, gone):
    """The effect without some rows; NaN where nothing is left to fit."""
    rest = _without(design, gone)
    return np.nan if rest is None else _fit(rest).effect


def _added_up(design, whole, wanted):
    """The first of the rows by influence that add up to `wanted`, or where fits tell, no more than are needed."""
    side = np.sign(wanted)
    gain = side * whole.change
    order = np.argsort(-gain)
    reach = int(np.searchsorted(np.cumsum(gain[order].clip(0)), abs(wanted))) + 1
    if reach > design.n / 2:
        return np.zeros(0, dtype=int)

    def enough(k):
        return side * (_effect(design, order[:k]) - whole.effect - wanted) >= 0

    if design.n <= MANY and enough(reach):
        reach = bisect_left(range(1, reach), True, key=enough) + 1
    return order[:reach]


def _one_by_one(design, whole, wanted):
    """The row that helps most, then that of those that are left, until the effect has changed; None beyond FEW."""
    here, gone, left, side = whole, [], np.arange(design.n), np.sign(wanted)
    for _ in range(min(FEW, design.n // 2)):
        place = int(np.argmax(side * here.change))
        gone, left = [*gone, left[place]], np.delete(left, place)
        if (rest := _without(design, gone)) is None:
            return None
        here = _fit(rest)
        if side * (here.effect - whole.effect - wanted) >= 0:
            return gone
    return None


def _without(design, gone):
    """The design without some rows, and without covariates that then do not vary; None where nothing is left to fit."""
    left = np.delete(np.arange(design.n), gone)
    part = replace(design, y=design.y[left], t=design.t[left], C=design.C[left], centre=design.t_mean)
    if np.ptp(part.t) == 0 or np.ptp(part.y) == 0:
        return None
    return only(part, np.ptp(part.C, axis=0) > 0)


def _fit(design):
    """`Fit` of a design: least squares, or the probit of a binary outcome."""
    rows = Rows.of(design, compress=False)
    A, binary = rows.A, design.outcome_kind == "binary"
    size = np.sqrt((A**2).mean(axis=0))
    size = np.where(size > 0, size, 1.0)  # limits mean nothing in the reader's units
    theta, covariance, score, weight = (_probit if binary else _least_squares)(design, A / size)
    whole = np.r_[theta / size, np.zeros(rows.size - len(theta))]  # without a current the treatment's line has no say
    slope = effect_slope(design, whole, 0.0)[: len(theta)] / size
    towards = covariance @ slope
    spare = 1 - weight * np.einsum("ij,jk,ik->i", A / size, covariance, A / size)
    change = -(A / size @ towards) * score / np.where(spare > FEWER, spare, np.inf)
    return Fit(float(average_effect(design, whole, 0.0)), float(np.sqrt(slope @ towards)), change)


def _least_squares(design, A):
    """θ_O, its covariance, and each row's score and weight."""
    U, size, V = np.linalg.svd(A, full_matrices=False)
    kept = size > 1e-12 * size[0]
    U, size, V = U[:, kept], size[kept], V[kept]
    theta = V.T @ (U.T @ design.y / size)
    residual = design.y - A @ theta
    variance = residual @ residual / max(1, len(A) - kept.sum())
    return theta, variance * (V.T / size**2) @ V, residual / variance, np.full(len(A), 1 / variance)


def _probit(design, A):
    """The same, by Newton's method; what settles some rows runs off, and leaves the others to themselves."""
    q, theta = 2 * design.y - 1, np.zeros(A.shape[1])
    for _ in range(ROUNDS):
        score, weight = _scored(A @ theta, q)
        covariance = np.linalg.inv((A.T * weight) @ A + RIDGE * np.eye(A.shape[1]))
        step = covariance @ (A.T @ score - RIDGE * theta)
        theta = theta + step
        if (A.T @ score) @ step < 1e-10:
            break
    return theta, covariance, *_scored(A @ theta, q)


def _scored(line, q):
    """The derivative of each row's log likelihood by its index, and minus the second."""
    score = q * np.exp(norm.logpdf(line) - norm.logcdf(q * line))
    return score, score * (score + line)
