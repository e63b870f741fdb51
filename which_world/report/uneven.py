"""Whether the effect is one and the same: by dose, and by each covariate, in least squares."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import norm

from which_world.report.curves import SPREAD_OVER, bases_of, clear, looked_at
from which_world.report.report import Uneven
from which_world.report.words import number, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from which_world.design import Design

LIKELY = 0.01  # p-value, of all that are tried together, from which an uneven effect is spoken of
WIDTH = norm.ppf(0.975)
LOW, HIGH = 0.1, 0.9  # shares of the rows below the two places at which an effect is told
NEW = 1e-6  # share of a product's squares that the formula leaves, if it is one of its own


class Product(NamedTuple):
    """A product of the treatment with what may change its effect, and what must not pass for it.

    `values`, (n,), of the modifier, ``column`` the product, `others` squares that it would stand
    for; `words` say where a value of it is.
    """

    by: str
    values: np.ndarray
    column: np.ndarray
    others: list[np.ndarray]
    words: Callable[[float], str]


def uneven_effect(design: Design, groups: Sequence[np.ndarray] = ()) -> Uneven | None:
    """What the effect of a continuous outcome changes with most clearly; None where none is clear.

    A bend of the line at the median of a continuous treatment is tried, and its product with each
    covariate, by scores that allow for uneven spread, against Bonferroni's p-value. Squares of the
    covariates stand beside, since a curve of a covariate would pass for one of the treatment.
    `groups` are rows that may belong together, (n,) each, as whole numbers from 0: the scores of
    a group are one, by whichever makes them the least clear.
    """
    if design.outcome_kind == "binary" or design.moderators or not looked_at(design):
        return None
    step = -(-design.n // SPREAD_OVER)
    y, dose = design.y[::step], design.dose[::step]
    together = [np.arange(len(y)), *(codes[::step] for codes in groups)]
    constant = np.ones((len(y), int(design.intercept_O)))
    A = np.column_stack([constant, design.C[::step][:, design.in_outcome], dose])
    tried: list[tuple[float, int, Product]] = []
    Q, _ = np.linalg.qr(A)
    u = y - Q @ (Q.T @ y)
    for product in _products(design, step):
        left = _less(_less(product.column, Q), _basis(product.others, Q))
        if left @ left > NEW * (product.column @ product.column):
            tried.append((clear(left * u, together), len(tried), product))
    if not tried or not 2 * norm.sf(max(tried)[0]) * len(tried) < LIKELY:
        return None
    return _told(max(tried)[2], A, y, together)


def _products(design, step) -> Iterator[Product]:
    """Each product that is tried."""
    dose, t = design.dose[::step], design.t[::step]
    bases = {label: column[::step] for label, column in bases_of(design).items()}
    squares = {label: column**2 for label, column in bases.items() if len(np.unique(column)) > 2}
    if design.kind == "continuous":
        middle = np.median(t)
        yield Product(
            by=design.treatment,
            values=(t > middle).astype(float),
            column=np.maximum(t - middle, 0.0),
            others=list(squares.values()),
            words=lambda value: f"{'above' if value else 'below'} {number(middle)}",
        )
    for label, column in bases.items():
        mean, sd = design.scales.loc[label, ["mean", "sd"]]
        yield Product(
            by=label,
            values=column,
            column=column * dose,
            others=[squares[label]] if label in squares else [],
            words=partial(_raw, mean=mean, sd=sd),
        )


def _raw(value, mean, sd):
    """A standardised value in the reader's units, to a hundredth of its spread; a year as 1949."""
    fine = 10 ** np.floor(np.log10(sd)) / 100
    raw = float(np.round((mean + sd * value) / fine) * fine + 0.0)
    return number(raw) if abs(raw) >= 1e4 else number(raw).replace(",", "")


def _basis(columns, Q):
    """An orthonormal basis of what `Q` leaves of columns."""
    if not columns:
        return np.zeros((len(Q), 0))
    return np.linalg.qr(_less(np.column_stack(columns), Q))[0]


def _less(columns, Q):
    return columns - Q @ (Q.T @ columns)


def _two_places(values):
    """Two values, each with many rows at it or beyond it, that are not the same.

    Where nine rows in ten have one value, those that lie beyond it are the other place.
    """
    low, high = (np.quantile(values, share, method="nearest") for share in (LOW, HIGH))
    if low == high:
        below, above = values[values < low], values[values > low]
        low = np.quantile(below, 0.5, method="nearest") if len(below) else low
        high = np.quantile(above, 0.5, method="nearest") if len(above) else high
    return low, high


def _told(product, A, y, together):
    """The effect at two places, with the widest of the errors that count whole groups."""
    A = np.column_stack([*product.others, product.column, A])
    scaled = A / np.sqrt(np.mean(A**2, axis=0))
    inverse, unit = np.linalg.pinv(scaled), np.sqrt(np.mean(A**2, axis=0))
    b = inverse @ y / unit
    scores = (inverse * (y - A @ b)) / unit[:, None]
    fewer = len(y) / (len(y) - A.shape[1])
    effects, places = [], []
    for value in _two_places(product.values):
        along = np.zeros(len(b))
        along[-1], along[len(product.others)] = 1.0, value
        sums = (np.bincount(codes, along @ scores) for codes in together)
        effect, half = along @ b, WIDTH * np.sqrt(fewer * max(each @ each for each in sums))
        effects.append((float(effect), float(effect - half), float(effect + half)))
        places.append(product.words(float(value)))
    return Uneven(product.by, (places[0], places[1]), (effects[0], effects[1]))


def uneven_said(found: Uneven | None, treatment: str, unit: str = "") -> list[str]:
    """What the effect changes with, in a sentence."""
    if found is None:
        return []
    return [f"{in_places(found, unit)}: {remedy(found, treatment)}."]


def in_places(found: Uneven, unit: str = "") -> str:
    """``The effect is not one: by least squares it is -0.5 (-0.6 to -0.4) where x is 0, ...``."""
    unit = f" {unit}" if unit else ""
    told = [
        f"{number(effect, high - low)}{unit} ({span(low, high)}) where {found.by} is {place}"
        for place, (effect, low, high) in zip(found.places, found.effects)
    ]
    return f"The effect is not one: by least squares it is about {told[0]}, and {told[1]}"


def remedy(found: Uneven, treatment: str) -> str:
    """What to write for an effect that is not one."""
    if found.by == treatment:
        return (
            f"a straight line in {treatment} does not tell it, so ask of low and of high "
            f"{treatment} apart"
        )
    factor, level, _ = found.by.partition("[T.")
    return f"write {treatment} * {factor if level else found.by} in the outcome formula"
