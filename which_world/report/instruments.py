"""What instruments say without priors, beside the posterior: two-stage least squares, Anderson and Rubin, likelihood.

Closed forms of a few lines, in the sums that a design is condensed to; linearmodels and ivmodels
want every row.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2, f, norm

from which_world.classical import maximum_likelihood
from which_world.effects import POINTS
from which_world.moments import condensed
from which_world.report.words import listed, number

LEVEL = 0.95
REJECTED = 0.05  # p-value below which instruments to spare are said to contradict each other
COLUMNS = ["effect", "low", "high", "rho"]


class Sums(NamedTuple):
    """Products of (y, t) less what the covariates explain: in all, and as the instruments explain them.

    `n` rows, `k` instruments and `p` other columns; 2 by 2 matrices.
    """

    n: int
    k: int
    p: int
    whole: np.ndarray
    explained: np.ndarray


def sums(design):
    """`Sums` of a design without moderators."""
    few = condensed(design)
    alone = np.isin(few.covariates, few.instruments)
    X = np.column_stack([np.ones((len(few.y), int(few.intercept_O))), few.C[:, few.in_outcome]])
    values = np.column_stack([few.y, few.dose, few.C[:, alone]])
    values = values - X @ np.linalg.lstsq(X, values)[0] if X.shape[1] else values
    responses, Z = values[:, :2], values[:, 2:]
    fitted, each = Z @ np.linalg.lstsq(Z, responses)[0], few.n / len(few.y)
    return Sums(
        few.n,
        int(alone.sum()),
        X.shape[1],
        each * responses.T @ responses,
        each * fitted.T @ fitted,
    )


def two_stages(found):
    """Two-stage least squares: the effect, its standard error, and the p-value of Sargan's test (NaN for k = 1)."""
    effect = found.explained[0, 1] / found.explained[1, 1]
    error = np.array([1.0, -effect])
    left = error @ found.whole @ error
    se = np.sqrt(left / (found.n - found.p - 1) / found.explained[1, 1])
    p = (
        chi2.sf(found.n * (error @ found.explained @ error) / left, found.k - 1)
        if found.k > 1
        else np.nan
    )
    return float(effect), float(se), float(p)


def anderson_rubin(found, level=LEVEL):
    """The effects that the instruments do not reject, whatever their strength (Anderson & Rubin 1949).

    Returns
    -------
    low, high : float
        The ends; -inf and inf where every effect stands. Where `low` exceeds `high` they are what
        is left *out*, and both are NaN where no effect stands.
    """
    rest = found.n - found.p - found.k
    limit = f.ppf(level, found.k, rest) * found.k / rest
    (c, b), (_, a) = found.explained - limit * (found.whole - found.explained)
    inside = b**2 - a * c  # a x² - 2 b x + c ≤ 0
    if inside <= 0:
        return (np.nan, np.nan) if a > 0 else (-np.inf, np.inf)
    ends = sorted((b + sign * np.sqrt(inside)) / a for sign in (-1, 1))
    return tuple(map(float, ends if a > 0 else ends[::-1]))


def instrument_table(design, free, misled=False):
    """What the instruments say, a row a method, from the one that trusts priors to the one that trusts next to nothing.

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
        rows["posterior, “ρ free”"] = dict(zip(COLUMNS, free[[read, "low", "high", "rho"]]))
        rows["maximum likelihood"] = _likelihood(design)
    if design.instruments and not design.moderators:
        found, unit = (
            sums(design),
            (POINTS * design.step if design.outcome_kind == "binary" else 1.0),
        )
        effect, se, p = two_stages(found)
        half = norm.ppf(0.5 + LEVEL / 2) * se
        ends = (effect, effect - half, effect + half), (np.nan, *anderson_rubin(found))
        for name, each in zip(("two-stage least squares", "Anderson–Rubin"), ends):
            rows[name] = dict(zip(COLUMNS, unit * np.array([*each, np.nan])))
    table = (
        pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS)
        .astype(float)
        .rename_axis("method")
    )
    table.attrs["overidentified"] = p
    return table


def _likelihood(design):
    try:
        found = maximum_likelihood(design)
    except (
        ValueError,
        RuntimeError,
        np.linalg.LinAlgError,
    ):  # no finite maximum: the row stays empty
        return dict.fromkeys(COLUMNS, np.nan)
    half = norm.ppf(0.5 + LEVEL / 2) * found.effect_se
    return dict(zip(COLUMNS, (found.effect, found.effect - half, found.effect + half, found.rho)))


def region(table):
    """The Anderson-Rubin set in words."""
    low, high = table.loc["Anderson–Rubin", ["low", "high"]]
    if np.isnan(low):
        return "holds no effect at all: the instruments contradict each other"
    if low == -np.inf:
        return "holds every effect: the instruments rule none out"
    width = abs(high - low)
    if low > high:
        return f"holds every effect but those from {number(high, width)} to {number(low, width)}"
    return f"is {number(low, width)} to {number(high, width)}"


def holds_zero(table):
    """Whether the Anderson-Rubin set, which no prior and no strength narrows, holds an effect of zero."""
    low, high = (
        table.loc["Anderson–Rubin", ["low", "high"]]
        if "Anderson–Rubin" in table.index
        else (np.nan, np.nan)
    )
    if low > high:
        return not high < 0 < low
    return bool(low <= 0 <= high)


def instruments_said(table, design, unit=""):
    """What two-stage least squares, Anderson & Rubin and Sargan say, in sentences."""
    if "Anderson–Rubin" not in table.index:
        return []
    row, names = table.loc["two-stage least squares"], listed(design.instruments)
    width, unit = row["high"] - row["low"], f" {unit}" if unit else ""
    line = " (a straight line through zeros and ones)" if design.outcome_kind == "binary" else ""
    said = [
        f"Without any prior, two-stage least squares{line} says "
        f"{number(row['effect'], width)}{unit} ({number(row['low'], width)} to "
        f"{number(row['high'], width)}); the Anderson–Rubin interval, right however weak the "
        f"instruments are, {region(table)}."
    ]
    p = table.attrs["overidentified"]
    if np.isnan(p):
        return said
    verdict = "they do not contradict each other, which they also would not if all were wrong alike"
    if p < REJECTED:
        verdict = (
            f"{names} contradict each other, so at least one has a way of its own to "
            f"{design.outcome}"
        )
    return [*said, f"Sargan's test of the instruments to spare has p = {p:.2g}: {verdict}."]
