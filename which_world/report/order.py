"""Rows in the order of time: what trends move, and rows that resemble the one before."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from which_world.clusters import both_residuals
from which_world.report.report import NARROW, Narrow

if TYPE_CHECKING:
    from which_world.design import Design

ORDER = "the order of the rows"
CERTAIN = 1e-3  # p-value from which rows that resemble the one before are spoken of
CLEAR = 2.0  # standard errors of an autocorrelation, from which it is counted
FEW = 20.0  # independent rows, below which two things that only drift look related
BACK = 0.05  # share of the steps that go back, at most, in rows that are all but sorted
IN_RANK = 0.99  # correlation of ranks with the order of the rows, from which the same is true
HEAP = 0.1  # least share of the rows in a heap that a sort would bring together
FEWEST_TIMES = 3  # values, with fewer of which a column shows no trend
SINCE = "Since rows resemble those just before them in both equations, as rows in time do"
REMEDY = "take differences from row to row, or count stretches of rows as one"
YEAR_FIRST = re.compile(r"^(\d{4})[\s-]?Q([1-4])$", re.IGNORECASE)
YEAR_LAST = re.compile(r"^(?:Q([1-4])|([1-4])Q)[\s-]?(\d{4})$", re.IGNORECASE)
MOST_HOLES = 0.1  # share of a column that may be missing
TIMES = re.compile(
    r"(^|[\W_])(year|yr|date|datetime|timestamp|month|quarter|week|wave|period|round|season)"
    r"([\W_]|\d*$)",
    re.IGNORECASE,
)


def times(data: pd.DataFrame | None, used: list[str], design: Design) -> dict[str, np.ndarray]:
    """What may be time: the order of the rows, and columns that say so and no formula uses.

    Standardised, by name. The order is left out where rows are sorted by a response.
    """
    found = {}
    if not (_sorted(design.y) or _sorted(design.t)):
        found[ORDER] = np.arange(design.n, dtype=float)
    data = pd.DataFrame() if data is None else data
    for name in data.columns.difference(used, sort=False):
        values = _as_time(str(name), data[name])
        if values is not None:
            found[str(name)] = values
    return {name: (values - values.mean()) / values.std() for name, values in found.items()}


def _sorted(values):
    """Whether rows are sorted by these values, which their order then only repeats."""
    steps = np.diff(values)
    return bool((steps >= 0).all() or (steps <= 0).all())


def _all_but_sorted(values):
    """Whether a sort may have arranged rows, by these values or by what is nearly the same.

    Ranks follow the order, or few steps go back, or one end is a heap of one value. A slow trend
    does the same, so this is a question and no verdict.
    """
    ranks, steps = pd.Series(values).rank(), np.diff(values)
    if abs(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]) > IN_RANK:
        return True
    rising, falling = (steps > 0).sum(), (steps < 0).sum()
    if min(rising, falling) <= BACK * (rising + falling):
        return True
    of_ends = [values == values[end] for end in (0, -1)]
    return any(HEAP < same.mean() and np.diff(same).sum() == 1 for same in of_ends)


def if_sorted(design: Design) -> str:
    """What to do, if a sort by the outcome and no time made rows alike; empty if none can have."""
    if design.stands_for or not _all_but_sorted(design.y):
        return ""
    return (
        f"; if the file was sorted by {design.outcome}, shuffle its rows and ask again: "
        "data.sample(frac=1, random_state=0)"
    )


def _as_time(name, column):
    """A column as numbers, if it is time by its kind or its name; else None."""
    kinds = pd.api.types
    dates = kinds.is_datetime64_any_dtype(column) or kinds.is_timedelta64_dtype(column)
    if not (dates or TIMES.search(name)):
        return None
    if not (dates or kinds.is_numeric_dtype(column)):
        column, dates = _read_as_dates(column), True
    if dates:
        column = (column - column.min()) / pd.Timedelta(days=1)
    values = column.astype(float)
    if values.isna().mean() > MOST_HOLES or values.nunique() < FEWEST_TIMES:
        return None
    return values.fillna(values.mean()).to_numpy()


def _read_as_dates(column):
    """Dates of periods, or of what is written like dates; nothing where it is not."""
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    text = column.astype(str).str.strip()
    text = text.str.replace(YEAR_LAST, r"\3Q\1\2", regex=True)
    text = text.str.replace(YEAR_FIRST, _quarter, regex=True)
    return pd.to_datetime(text, errors="coerce", format="mixed")


def _quarter(found):
    """The first month of a quarter, which pandas 3.1 reads with a warning, and soon no more."""
    return f"{found[1]}-{3 * int(found[2]) - 2:02d}"


def grown_by_memory(values: np.ndarray) -> float:
    """By how much the error of a trend grows if each value remembers the one before."""
    r = min(max(autocorrelations(values, 1)[0], 0.0), 1 - 1e-6)
    return float(np.sqrt((1 + r) / (1 - r)))


def autocorrelations(values: np.ndarray, most: int) -> np.ndarray:
    """Correlations of the values with those 1, 2, ... and `most` rows before."""
    n, centred = len(values), values - values.mean()
    waves = np.fft.rfft(centred, 2 * n)
    products = np.fft.irfft(waves * waves.conj())[: most + 1]
    return products[1:] / max(products[0], 1e-300)


class InOrder(NamedTuple):
    """By what `factor` an error grows for rows that resemble those before; `p` of no resemblance.

    `lags` is how many rows before a row still resemble it.
    """

    factor: float
    p: float
    lags: int


def grown_by_order(residuals: np.ndarray) -> InOrder:
    """How much an error grows if rows that follow each other are alike in both equations.

    `residuals`, (2, n), of the outcome and of what moves it, in the order of the rows. Twice the
    products of their autocorrelations, added up as long as both are clear, are what independent
    rows would not have (Bartlett 1935); where the first alone says more, as of two random walks,
    those of a first-order process with it. `p` is of no resemblance to the row before in one.
    """
    n = residuals.shape[1]
    u, v = (autocorrelations(values, n // 2) for values in residuals)
    clear = np.minimum(u, v) > CLEAR / np.sqrt(n)
    last = len(clear) if clear.all() else int(np.argmin(clear))
    weight = 1 - np.arange(1, last + 1) / n
    first = min(max(u[0], 0.0) * max(v[0], 0.0), 1 - 1e-6)
    added = max(float(weight @ (u[:last] * v[:last])), first / (1 - first))
    p = norm.sf(np.sqrt(n) * min(u[0], v[0]))
    return InOrder(float(np.sqrt(1 + 2 * added)), float(p), last)


def in_order(design: Design) -> InOrder:
    """`grown_by_order` of least squares; 1 where rows are not at hand, or sorted by a response."""
    if design.stands_for or _sorted(design.y) or _sorted(design.t):
        return InOrder(1.0, 1.0, 0)
    if "in order" not in design.kept:
        design.kept["in order"] = grown_by_order(both_residuals(design))
    return design.kept["in order"]


def following(design: Design, growth: InOrder | None = None) -> list[Narrow]:
    """Whether rows that resemble those before them make an interval too narrow.

    That of least squares, or the one whose `growth` is given.
    """
    growth = in_order(design) if growth is None else growth
    if growth.p >= CERTAIN or growth.factor <= NARROW:
        return []
    return [Narrow(growth.factor, SINCE, REMEDY + if_sorted(design))]


def following_said(design: Design) -> list[str]:
    """The same in a sentence; that nothing was looked at, where a sort says what order would."""
    sorted_by = [
        name
        for name, values in ((design.outcome, design.y), (design.treatment, design.t))
        if not design.stands_for and _sorted(values)
    ]
    if sorted_by:
        return [
            f"Rows are sorted by {sorted_by[0]}, so their order was not looked at: if they are in "
            "time, a column has to say so."
        ]
    return [
        f"{SINCE}, the intervals here, which count every row as news, are too narrow, by a factor "
        f"of about {each.factor:.1f} at ρ = 0: {each.remedy}."
        for each in following(design)
    ]


def independent_rows(design: Design) -> float:
    """How many independent rows, or stretches of rows that resemble each other, these are.

    All of them where their order says nothing.
    """
    growth = in_order(design)
    return design.n / max(growth.factor**2, growth.lags) if following(design) else float(design.n)
