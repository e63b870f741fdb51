"""How few rows decide: what leaving one out does to the effect, which few turn its sign."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from which_world.design import Design, check_rows, with_covariates
from which_world.engine.counterfactual import average_effect, effect_slope
from which_world.engine.likelihoods import Rows
from which_world.moments import LEAST_SPARE, as_few, level_means, on_one_thread, one_factor

MOST_ONE_BY_ONE = 10  # rows taken out one by one, those that stay being looked at again each time
MOST_REFITTED = 50_000  # rows of a design beyond which none is looked at twice
NEWTON_STEPS = 50  # of Newton's method, which needs five or six
TRACE_OF_A_PRIOR = 1e-6  # a trace of a prior for what has no maximum
DEPENDENT = 1e-12  # singular values below this share of the largest are zero
SIGN, ERROR = "turn the sign", "move it by a standard error"


class EffectFit(NamedTuple):
    """The effect at ρ = 0, its standard error, and what leaving out each row changes, (n,)."""

    effect: float
    se: float
    change: np.ndarray


@on_one_thread
def influence(design: Design) -> pd.DataFrame:
    """The few rows without which the effect turns its sign, or moves by a standard error.

    Parameters
    ----------
    design : Design
        Of rows in memory.

    Returns
    -------
    pandas.DataFrame
        Two rows, ``"turn the sign"`` and ``"move it by a standard error"`` (in the direction that
        takes fewer). ``rows``, how many; ``share`` of all; ``which``, their positions from 0, as in
        ``data.iloc``; ``effect``, of all rows at ρ = 0, least squares or the probit's (α, or
        percentage points for a binary outcome); ``approximate``, the effect without them in closed
        form, and ``effect_without``, fitted again without them. Where no half of the rows does it,
        ``rows`` and the rest are NaN, and ``which`` is empty.

    Raises
    ------
    ValueError
        When the design stands for rows that are not at hand.

    See Also
    --------
    tipping_point : the current that would turn the sign.
    ols : the effect that is looked at.

    Notes
    -----
    The approximate maximum influence perturbation of Broderick, Giordano & Meager (2020,
    arXiv:2011.14999): each row's influence on the effect, sorted and added up. Divided by one less
    the row's leverage it is exact for one row of least squares, rẽ/((1-h)Σẽ²) with the residual r
    and ẽ, the treatment less what the covariates explain; a binary outcome has its score, weights
    and inverse information instead. Rows far out hide each other, so up to ten are taken out one by
    one, the others being looked at again each time; only where ten are too few, or there are more
    than 50,000 rows, are influences added up, and the fit without them says how far that held.
    Fewer might do, never fewer than one.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import influence, make_design
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 100))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": x - 0.2 * v + 0.1 * u})
    >>> data.loc[[7, 42], ["t", "y"]] += 10.0  # two rows make an effect
    >>> found = influence(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
    >>> print(sorted(found.loc["turn the sign", "which"]))
    [7, 42]
    """
    straight = check_rows(design).outcome_kind == "continuous" and not design.moderators
    rows = Slope.of(design) if straight else Average(design)
    whole = rows.fit()
    sign = _fewest(rows, whole, -whole.effect)
    moved = [_fewest(rows, whole, side * whole.se) for side in (-1, 1)]
    error = min(moved, key=lambda row: np.nan_to_num(row["rows"], nan=np.inf))
    return pd.DataFrame([sign, error], index=pd.Index([SIGN, ERROR], name="to"))


class Slope(NamedTuple):
    """Rows of a straight line whose slope on the dose is the effect.

    `others` are the covariates, (n, k), and `level` the constant that each row has, from 0; None
    where there is none.
    """

    y: np.ndarray
    dose: np.ndarray
    others: np.ndarray
    level: np.ndarray | None

    @classmethod
    def of(cls, design: Design) -> Slope:
        """A design's rows; the levels of a factor of many are so many constants."""
        others = design.C[:, design.in_outcome]
        level = np.zeros(design.n, dtype=int) if design.intercept_O else None
        factor = one_factor(others) if design.intercept_O else None
        if factor is not None:
            level, others = factor[0], others[:, factor[1]]
        size = np.sqrt((others**2).mean(axis=0))
        return cls(design.y, design.dose, others / np.where(size > 0, size, 1.0), level)

    def without(self, left_out: Sequence[int]) -> Slope | None:
        """The rows without some; None where nothing is left to fit."""
        stay = np.delete(np.arange(len(self.y)), left_out)
        y, dose = self.y[stay], self.dose[stay]
        if np.ptp(dose) == 0 or np.ptp(y) == 0:
            return None
        level = self.level
        if level is not None:
            level = np.unique(level[stay], return_inverse=True)[1]
        return Slope(y, dose, self.others[stay], level)

    def fit(self) -> EffectFit:
        """`EffectFit` of least squares."""
        columns = np.column_stack([self.others, self.dose, self.y])
        own = np.zeros(len(columns))  # the leverage of a constant
        constants = 0
        if self.level is not None:
            columns = columns - level_means(columns, self.level)[self.level]
            count = np.bincount(self.level)
            own, constants = 1 / count[self.level], len(count)
        U, size, _ = np.linalg.svd(columns[:, :-2], full_matrices=False)
        Q = U[:, size > DEPENDENT * np.sqrt(len(U))]
        dose, y = (columns[:, -2:] - Q @ (Q.T @ columns[:, -2:])).T
        square = dose @ dose
        if square <= DEPENDENT * len(dose) * self.dose.var():  # the others settle the dose
            return EffectFit(np.nan, np.nan, np.zeros(len(dose)))
        effect = float(dose @ y / square)
        residual = y - effect * dose
        spare = 1 - own - (Q**2).sum(axis=1) - dose**2 / square
        change = -dose * residual / square / np.where(spare > LEAST_SPARE, spare, np.inf)
        free = max(1, len(y) - constants - Q.shape[1] - 1)
        return EffectFit(effect, float(np.sqrt(residual @ residual / free / square)), change)


class Average(NamedTuple):
    """Rows of a design whose effect is an average over rows."""

    design: Design

    def without(self, left_out: Sequence[int]) -> Average | None:
        """The rows without some; None where nothing is left to fit."""
        rest = _without(self.design, left_out)
        return None if rest is None else Average(rest)

    def fit(self) -> EffectFit:
        """`EffectFit` of least squares or the probit."""
        return _fit(self.design)


def _fewest(rows, whole, wanted):
    """A row of `influence`: few rows without which the effect changes by `wanted`, or more."""
    left_out, n = None, len(whole.change)
    if n <= MOST_REFITTED:
        left_out = _one_by_one(rows, whole, wanted)
    if left_out is None:
        left_out = _added_up(rows, whole, wanted)
    count = len(left_out) or np.nan
    approximate = whole.effect + whole.change[left_out].sum() if len(left_out) else np.nan
    return {
        "rows": count,
        "share": count / n,
        "which": tuple(int(row) for row in left_out),
        "effect": whole.effect,
        "approximate": approximate,
        "effect_without": _effect_without(rows, left_out) if len(left_out) else np.nan,
    }


def _effect_without(rows, left_out):
    """The effect without some rows; NaN where nothing is left to fit."""
    rest = rows.without(left_out)
    return np.nan if rest is None else rest.fit().effect


def _added_up(rows, whole, wanted):
    """The first of the rows by influence that add up to `wanted`; none, if half are too few.

    Where refitting is cheap enough, no more of them than the fit without them needs.
    """
    side = np.sign(wanted)
    gain = side * whole.change
    order = np.argsort(-gain)
    total = np.cumsum(gain[order].clip(0))
    reach = int(np.searchsorted(total, abs(wanted))) + 1
    n = len(order)
    if reach > n / 2:
        return np.zeros(0, dtype=int)

    def enough(k):
        return side * (_effect_without(rows, order[:k]) - whole.effect - wanted) >= 0

    if n <= MOST_REFITTED and enough(reach):
        reach = bisect_left(range(1, reach), True, key=enough) + 1
    return order[:reach]


def _one_by_one(rows, whole, wanted):
    """The row that helps most, then that of those that stay, until the effect has changed.

    None where `MOST_ONE_BY_ONE` are too few.
    """
    side = np.sign(wanted)
    fitted, left_out, staying = whole, [], np.arange(len(whole.change))
    for _ in range(min(MOST_ONE_BY_ONE, len(staying) // 2)):
        place = int(np.argmax(side * fitted.change))
        left_out.append(staying[place])
        staying = np.delete(staying, place)
        rest = rows.without(left_out)
        if rest is None:
            return None
        fitted = rest.fit()
        if np.isnan(fitted.effect):
            return None
        if side * (fitted.effect - whole.effect - wanted) >= 0:
            return left_out
    return None


def _without(design, left_out):
    """The design without some rows, and without covariates that then do not vary.

    None where nothing is left to fit.
    """
    stay = np.delete(np.arange(design.n), left_out)
    y, t, C = design.y[stay], design.t[stay], design.C[stay]
    if np.ptp(t) == 0 or np.ptp(y) == 0:
        return None
    return with_covariates(
        replace(design, y=y, t=t, C=C, centre=design.t_mean), np.ptp(C, axis=0) > 0
    )


def _fit(design):
    """`EffectFit` of a design: least squares, or the probit of a binary outcome."""
    rows = Rows.of(design, compress=False)
    size = np.sqrt((rows.A**2).mean(axis=0))
    size = np.where(size > 0, size, 1.0)  # limits mean nothing in the reader's units
    A = rows.A / size
    fit = _probit if design.outcome_kind == "binary" else _least_squares
    theta, covariance, score, weight = fit(design, A)
    # without a current the treatment's equation has no say
    whole = np.r_[theta / size, np.zeros(rows.size - len(theta))]
    slope = effect_slope(design, whole, 0.0)[: len(theta)] / size
    towards = covariance @ slope
    spare = 1 - weight * np.sum(A @ covariance * A, axis=1)
    change = -(A @ towards) * score / np.where(spare > LEAST_SPARE, spare, np.inf)
    effect = float(average_effect(design, whole, 0.0))
    return EffectFit(effect, float(np.sqrt(slope @ towards)), change)


def _least_squares(design, A):
    """θ_O, its covariance, and each row's score and weight."""
    few = as_few(np.column_stack([A, design.y]))
    U, size, V = np.linalg.svd(few[:, :-1], full_matrices=False)
    kept = size > DEPENDENT * size[0]
    U, size, V = U[:, kept], size[kept], V[kept]
    theta = V.T @ (U.T @ few[:, -1] / size)
    residual = design.y - A @ theta
    variance = residual @ residual / max(1, len(A) - kept.sum())
    covariance = variance * (V.T / size**2) @ V
    return theta, covariance, residual / variance, np.full(len(A), 1 / variance)


def _probit(design, A):
    """The same by Newton's method.

    What settles some rows for good runs off, and leaves the others to themselves.
    """
    side, theta = 2 * design.y - 1, np.zeros(A.shape[1])
    ridge = TRACE_OF_A_PRIOR * np.eye(A.shape[1])
    for _ in range(NEWTON_STEPS):
        score, weight = _probit_score(A @ theta, side)
        covariance = np.linalg.inv((A.T * weight) @ A + ridge)
        step = covariance @ (A.T @ score - TRACE_OF_A_PRIOR * theta)
        theta = theta + step
        if (A.T @ score) @ step < 1e-10:
            break
    return theta, covariance, *_probit_score(A @ theta, side)


def _probit_score(index, side):
    """The derivative of each row's log likelihood by its index, and minus the second."""
    score = side * np.exp(norm.logpdf(index) - norm.logcdf(side * index))
    return score, score * (score + index)
