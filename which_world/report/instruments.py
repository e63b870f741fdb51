"""What instruments say without priors, beside the posterior.

Two-stage least squares, Anderson and Rubin's interval, maximum likelihood: closed forms of a few
lines, in the sums that a design is condensed to; linearmodels and ivmodels want every row, as
the errors do that allow for uneven spread or groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2, f, norm, spearmanr

from which_world.classical import maximum_likelihood, swept
from which_world.clusters import Growth, counted, summed_by_groups
from which_world.effects import POINTS
from which_world.moments import condensed, cuts
from which_world.report.report import NARROW, Narrow
from which_world.report.words import interval, listed, number, span

if TYPE_CHECKING:
    from which_world.design import Design

COVERAGE = 0.95
REJECTED = 0.05  # p-value below which instruments to spare are said to contradict each other
LIKELY = 0.05  # p-value from which an uneven spread is spoken of
OF_AN_INTERVAL = ["effect", "low", "high", "rho"]
NO_CONTRADICTION = (
    "they do not contradict each other, which they also would not if all were wrong alike"
)


class Projected(NamedTuple):
    """Products of (y, t) less what the covariates explain.

    In all (`whole`), and as the instruments explain them (`explained`): 2 by 2 matrices. Of `n`
    rows, `k` instruments and `p` other columns.
    """

    n: int
    k: int
    p: int
    whole: np.ndarray
    explained: np.ndarray


def sums(design: Design) -> Projected:
    """`Projected` of a design without moderators."""
    few = swept(design)
    instruments = np.isin(few.covariates, few.instruments)
    constant = np.ones((len(few.y), int(few.intercept_O)))
    X = np.column_stack([constant, few.C[:, few.in_outcome]])
    values = np.column_stack([few.y, few.dose, few.C[:, instruments]])
    if X.shape[1]:
        values = values - X @ np.linalg.lstsq(X, values)[0]
    responses, Z = values[:, :2], values[:, 2:]
    fitted = Z @ np.linalg.lstsq(Z, responses)[0]
    rows_each = few.n / len(few.y)  # that each of the few rows stands for
    whole, explained = responses.T @ responses, fitted.T @ fitted
    p = int(design.intercept_O) + design.in_outcome.sum()
    return Projected(few.n, int(instruments.sum()), p, rows_each * whole, rows_each * explained)


def two_stages(products: Projected) -> tuple[float, float, float]:
    """Two-stage least squares: the effect, its standard error, and the p-value of Sargan's test.

    NaN for one instrument, which leaves none to test.
    """
    effect = products.explained[0, 1] / products.explained[1, 1]
    error = np.array([1.0, -effect])
    left = error @ products.whole @ error
    se = np.sqrt(left / (products.n - products.p - 1) / products.explained[1, 1])
    p = np.nan
    if products.k > 1:
        p = chi2.sf(products.n * (error @ products.explained @ error) / left, products.k - 1)
    return float(effect), float(se), float(p)


def two_stages_in_units(design: Design) -> float:
    """The effect by two-stage least squares, of a binary outcome in percentage points."""
    return unit_of_effect(design) * two_stages(sums(design))[0]


def unit_of_effect(design: Design) -> float:
    """What one unit of a slope is in the effect that is read."""
    return POINTS * design.step if design.outcome_kind == "binary" else 1.0


def grown_by_instruments(
    design: Design, codes: np.ndarray | None = None, absorbed: int = 0
) -> Growth:
    """How much the error of two-stage least squares grows if less is asked of the rows.

    Parameters
    ----------
    design : Design
        With instruments, without moderators, of rows in memory.
    codes : ndarray of int, shape (n,), optional
        The group of each row, from 0, to be counted as one; left out, rows are independent and
        their spread may be uneven.
    absorbed : int
        How many of the outcome equation's columns are constants for these groups, as in
        `grown_by_groups`.

    Returns
    -------
    Growth
        ``factor``: the clustered error, or White's, over the usual one; ``p``: of no covariance of
        scores within groups, or of the spread being no larger where the instruments move the
        treatment far, by ranks.
    """
    u, moved = two_stage_rows(design)
    scores, usual = u * moved, u @ u * (moved @ moved)
    if codes is not None:
        return summed_by_groups(scores, codes, scores, usual / counted(design, absorbed))
    rising = spearmanr(np.abs(moved), np.abs(u), alternative="greater")
    factor = np.sqrt(design.n * (scores @ scores) / usual)
    return Growth(float(factor), float(rising.pvalue))


def two_stage_rows(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """What two-stage least squares leaves of each row, and how far the instruments move it."""
    if "two stages" not in design.kept:  # each column that may name groups asks
        design.kept["two stages"] = _left_and_moved(design)
    return design.kept["two stages"]


def _left_and_moved(design):
    """`two_stage_rows`, worked out."""
    few = condensed(design)
    mask = np.isin(few.covariates, few.instruments)

    def columns(C):
        constant = np.ones((len(C), int(design.intercept_O)))
        return np.column_stack([constant, C[:, design.in_outcome]])

    X = columns(few.C)
    whole = np.column_stack([X, few.C[:, mask]])
    first = np.linalg.lstsq(whole, few.dose)[0]
    fitted = whole @ first
    within = np.linalg.lstsq(X, fitted)[0] if X.shape[1] else np.zeros(0)
    second = np.linalg.lstsq(np.column_stack([X, fitted]), few.y)[0]
    left, moved = design.y - second[-1] * design.dose, np.empty(design.n)
    for block in cuts(design.n):
        X = columns(design.C[block])
        left[block] -= X @ second[:-1]
        moved[block] = X @ (first[: X.shape[1]] - within)
        moved[block] += design.C[block][:, mask] @ first[X.shape[1] :]
    return left, moved


def effective_f(design: Design, codes: np.ndarray | None = None) -> float:
    """The first-stage F statistic that allows for uneven spread, or for groups of rows.

    Montiel Olea & Pflueger's (2013), whose errors are White's, or those that sum over the groups of
    `codes`, (n,); of one instrument that is the square of its robust t.
    """
    apart, left = _first_stage_rows(design)
    scores = apart * left[:, None]
    n, k = design.n, int(design.intercept_T) + int(design.in_treatment.sum())
    scale = n / (n - k)
    if codes is not None:
        scores = np.array([np.bincount(codes, column) for column in scores.T]).T
        scale = len(scores) / (len(scores) - 1) * (n - 1) / (n - k)
    return float(np.sum((apart.T @ design.dose) ** 2) / (scale * np.sum(scores**2)))


def _first_stage_rows(design):
    """The instruments, orthonormal and without what the covariates explain, and what all leave."""
    if "first stage rows" not in design.kept:
        mask = np.isin(design.covariates, design.instruments)
        others = design.in_treatment & ~mask
        few, constant = condensed(design), int(design.intercept_T)
        X = np.column_stack([np.ones((len(few.C), constant)), few.C[:, others]])
        values = np.column_stack([few.C[:, mask], few.dose])
        slopes = np.linalg.lstsq(X, values)[0] if X.shape[1] else np.zeros((0, values.shape[1]))
        values = np.column_stack([design.C[:, mask], design.dose])
        for block in cuts(design.n):
            values[block] -= design.C[block][:, others] @ slopes[constant:]
        values -= slopes[:constant].sum(axis=0)
        apart, _ = np.linalg.qr(values[:, :-1])
        left = values[:, -1] - apart @ (apart.T @ values[:, -1])
        design.kept["first stage rows"] = apart, left
    return design.kept["first stage rows"]


def uneven_by_instruments(design: Design) -> list[Narrow]:
    """Whether uneven spread makes the interval of two-stage least squares too narrow."""
    growth = grown_by_instruments(design)
    if growth.factor <= NARROW or growth.p >= LIKELY:
        return []
    since = f"Since {design.outcome} is spread unevenly"
    return [Narrow(growth.factor, since, "robust errors of two-stage least squares allow for it")]


def anderson_rubin(
    products: Projected, level: float = COVERAGE, factor: float = 1.0
) -> tuple[float, float]:
    """The effects that the instruments do not reject, whatever their strength.

    Anderson and Rubin (1949).

    Parameters
    ----------
    products : Projected
    level : float
    factor : float
        By which the usual error is too small.

    Returns
    -------
    low, high : float
        The ends; -inf and inf where every effect stands. Where `low` exceeds `high` they are what
        is left *out*, and both are NaN where no effect stands.
    """
    rest = products.n - products.p - products.k
    limit = factor**2 * f.ppf(level, products.k, rest) * products.k / rest
    (c, b), (_, a) = products.explained - limit * (products.whole - products.explained)
    inside = b**2 - a * c  # a x² - 2 b x + c ≤ 0
    if inside <= 0:
        return (np.nan, np.nan) if a > 0 else (-np.inf, np.inf)
    low, high = sorted(float((b + sign * np.sqrt(inside)) / a) for sign in (-1, 1))
    return (low, high) if a > 0 else (high, low)


def instrument_table(design: Design, free: pd.Series, misled: bool = False) -> pd.DataFrame:
    """What the instruments say, a row a method, beginning with the one that trusts most.

    Parameters
    ----------
    design : Design
    free : pandas.Series
        The world "ρ free".
    misled : bool
        Whether a shuffle condemns the likelihood: what rests on it is then left out.

    Returns
    -------
    pandas.DataFrame
        ``effect`` with ``low`` and ``high``, and ``rho``; the attribute ``overidentified`` is the
        p-value of Sargan's test, NaN where there are no instruments to spare. Empty without
        instruments. A binary outcome's two-stage least squares is that of a straight line through
        zeros and ones, in percentage points. Where the effect changes with covariates there are no
        closed forms, and the likelihood alone stands beside the posterior.
    """
    rows, p = {}, np.nan
    if design.instruments and not misled:
        read = "effect" if design.outcome_kind == "binary" else "alpha"
        posterior = free[[read, "low", "high", "rho"]]
        rows["posterior, “ρ free”"] = dict(zip(OF_AN_INTERVAL, posterior))
        rows["maximum likelihood"] = _likelihood(design)
    if design.instruments and not design.moderators:
        unit = unit_of_effect(design)
        products = sums(design)
        effect, se, p = two_stages(products)
        low, high = anderson_rubin(products)
        rows["two-stage least squares"] = _row(unit * effect, unit * se)
        ends = {"low": unit * low, "high": unit * high}
        rows["Anderson–Rubin"] = dict.fromkeys(OF_AN_INTERVAL, np.nan) | ends
    table = pd.DataFrame.from_dict(rows, orient="index", columns=OF_AN_INTERVAL)
    table = table.astype(float).rename_axis("method")
    table.attrs["overidentified"] = p
    return table


def _row(effect, se, rho=np.nan):
    """An effect with its interval, and its ρ where it has one."""
    half = norm.ppf(0.5 + COVERAGE / 2) * se
    return dict(zip(OF_AN_INTERVAL, (effect, effect - half, effect + half, rho)))


def _likelihood(design):
    """The row of maximum likelihood; empty where there is no finite maximum."""
    try:
        fit = maximum_likelihood(design if "binary" in design.kinds else swept(design))
    except (ValueError, RuntimeError, np.linalg.LinAlgError):
        return dict.fromkeys(OF_AN_INTERVAL, np.nan)
    return _row(fit.effect, fit.effect_se, fit.rho)


def widened(table: pd.DataFrame, design: Design, factor: float) -> pd.DataFrame:
    """The table with the Anderson-Rubin set as wide as it is where errors are so much larger."""
    if factor <= 1 or "Anderson–Rubin" not in table.index:
        return table
    wide = table.copy()
    ends = anderson_rubin(sums(design), factor=factor)
    wide.loc["Anderson–Rubin", ["low", "high"]] = unit_of_effect(design) * np.array(ends)
    return wide


def _ends(table):
    """The ends of the Anderson-Rubin set."""
    return table.loc["Anderson–Rubin", ["low", "high"]]


def region(table: pd.DataFrame) -> str:
    """The Anderson-Rubin set in words."""
    low, high = _ends(table)
    if np.isnan(low):
        return "holds no effect at all: the instruments contradict each other"
    if low == -np.inf:
        return "holds every effect: the instruments rule none out"
    if low > high:
        return f"holds every effect but those from {span(high, low)}"
    return f"is {span(low, high)}"


def holds_zero(table: pd.DataFrame) -> bool:
    """Whether the Anderson-Rubin set, which no prior and no strength narrows, holds zero."""
    if "Anderson–Rubin" not in table.index:
        return False
    low, high = _ends(table)
    if low > high:
        return not high < 0 < low
    return bool(low <= 0 <= high)


def instruments_said(table: pd.DataFrame, design: Design, unit: str = "") -> list[str]:
    """What two-stage least squares, Anderson and Rubin, and Sargan say, in sentences."""
    if "Anderson–Rubin" not in table.index:
        return []
    row = table.loc["two-stage least squares", ["effect", "low", "high"]]
    effect, low, high = map(float, row)
    unit = f" {unit}" if unit else ""
    line = " (a straight line through zeros and ones)" if design.outcome_kind == "binary" else ""
    sentences = [
        f"Without any prior, two-stage least squares{line} says "
        f"{number(effect, high - low)}{unit} ({interval(low, high)}). The Anderson–Rubin interval "
        f"{region(table)}. It holds its 95 % however weak the instruments are, if errors are "
        "spread alike in every row."
    ]
    p = table.attrs["overidentified"]
    if np.isnan(p):
        return sentences
    verdict = NO_CONTRADICTION
    if p < REJECTED:
        verdict = (
            f"{listed(design.instruments)} contradict each other, so at least one has a way of its "
            f"own to {design.outcome}"
        )
    spare = f"Sargan's test of the instruments to spare has p = {p:.2g}: {verdict}."
    return [*sentences, spare]
