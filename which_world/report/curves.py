"""Curves and products of covariates that both formulas leave out, and the current that makes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import norm

from which_world.classical import effect_at_rho, finite
from which_world.clusters import both_residuals
from which_world.decisions import restoring_rho
from which_world.design import terms_of
from which_world.moments import condensed
from which_world.priors import scales
from which_world.report.instruments import two_stage_rows, two_stages_in_units
from which_world.report.report import Curved
from which_world.report.words import agreeing, listed, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from which_world.design import Design

LIKELY = 0.05  # p-value, of all that are tried together, from which a curve is spoken of
MOST = 5  # curves that are taken out, one after the other
TRIED = 30  # covariates whose curves and products are tried
SPREAD_OVER = 20_000  # rows, evenly spread, that are looked at
WORTH = 4e9  # multiplications, beyond which none is looked for
SLIGHT = 0.02  # a current that licenses nothing and forbids nothing
NEW = 1e-6  # share of a column's squares that the formulas leave, if it is one of its own


def curves(design: Design) -> Curved | None:
    """Which squares, cubes and products of covariates are missing from both formulas.

    Each is tried by its scores in both equations, which allow for uneven spread; of all that are
    tried, the larger of the two p-values is held against Bonferroni's. The clearest is taken in,
    and the others are tried again.

    Returns
    -------
    Curved or None
        None where there is no such term, or where rows are not at hand.
    """
    found = _straightened(design, both_residuals) if _looked_at(design) else None
    if found is None:
        return None
    names, with_them = found
    effect, straightened = _effect(design), _effect(with_them)
    few = design if "binary" in design.kinds else condensed(design)
    rho = restoring_rho(few, straightened, finite(design))["rho"]
    return Curved(names, effect, straightened, rho) if abs(rho) >= SLIGHT else None


def curves_by_instruments(design: Design) -> Curved | None:
    """The same where instruments lead: what moves the outcome, and the treatment through them.

    The effects are those of two-stage least squares, and there is no ``rho``.
    """
    if not design.instruments or design.moderators or not _looked_at(design):
        return None
    found = _straightened(design, two_stage_rows)
    if found is None:
        return None
    names, with_them = found
    effect, straightened = (two_stages_in_units(each) for each in (design, with_them))
    return Curved(names, effect, straightened, np.nan)


def _straightened(design, residuals):
    """What is missing, as formulas name it, and the design with it; None where nothing is.

    `residuals` gives what a design's formulas leave of the outcome and of what moves it, (2, n).
    """
    bases = _bases(design)
    terms = _missing(design, bases, residuals(design)) if bases else []
    if not terms:
        return None
    names = tuple(dict.fromkeys(_written(term) for term in terms))
    return names, _with_terms(design, {term: _column(term, bases) for term in terms})


def _looked_at(design):
    """Whether rows are at hand, and no more than can be looked at."""
    width = int(design.in_outcome.sum()) + 1
    return not design.stands_for and min(design.n, SPREAD_OVER) * width**2 < WORTH


def curves_said(found: Curved | None, unit: str = "") -> list[str]:
    """What is missing from both formulas, and what it does to the effect, in a sentence."""
    if found is None:
        return []
    are, move = agreeing(found.terms, "is", "are"), agreeing(found.terms, "moves", "move")
    return [
        f"{listed(found.terms)} {are} in neither formula and {move} both treatment and outcome: "
        f"{with_terms(found, unit)}."
    ]


def with_terms(found: Curved, unit: str = "") -> str:
    """What the effect is with these terms, and without, in half a sentence."""
    width = abs(found.effect - found.straightened)
    with_it, as_it_is = number(found.straightened, width), number(found.effect, width)
    them, unit = agreeing(found.terms, "it", "them"), f" {unit}" if unit else ""
    return f"with {them} the effect is {with_it}{unit}, not {as_it_is}"


def _effect(design):
    return effect_at_rho(design, 0.0, None if finite(design) else scales(design))


def _bases(design):
    """Columns of covariates of both equations, by label: numbers first, then levels.

    Of a variable that stands in several terms the first alone, which is no curve of it.
    """
    terms, variables = terms_of(design)
    first, numbers, levels = {}, {}, {}
    for k, (label, term, names) in enumerate(zip(design.covariates, terms, variables)):
        if len(names) != 1 or not (design.in_outcome[k] and design.in_treatment[k]):
            continue
        if first.setdefault(names[0], term) != term:
            continue
        if label == term:
            numbers[label] = design.C[:, k]
        elif label.startswith(f"{term}[T."):
            levels[label] = design.C[:, k]
    return dict(list((numbers | levels).items())[:TRIED])


def _tried(bases) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Each product of two columns, and the square and the cube of those with more values."""
    labels = list(bases)
    for place, label in enumerate(labels):
        if len(np.unique(bases[label])) > 2:
            yield (label,) * 2, bases[label] ** 2
            yield (label,) * 3, bases[label] ** 3
        for other in labels[place + 1 :]:
            yield (label, other), bases[label] * bases[other]


def _column(term, bases):
    return np.prod([bases[label] for label in term], axis=0)


def _written(term):
    """A term as a formula has it; of a factor's levels, the factor."""
    first, *others = (label.partition("[T.")[0] for label in term)
    if len(set(term)) == 1:
        return f"I({first} ** {len(term)})"
    return ":".join([first, *others])


def _missing(design, bases, residuals):
    """The terms that move both, the clearest first, and with each all that its formula holds.

    `residuals` are what the formulas leave of the outcome and of what moves it, (2, n).
    """
    step = -(-design.n // SPREAD_OVER)
    u, v = (values[::step] for values in residuals)
    few = {label: column[::step] for label, column in bases.items()}
    Q, _ = np.linalg.qr(np.column_stack([np.ones(len(u)), design.C[::step, design.in_outcome]]))
    chosen: list[tuple[str, ...]] = []
    while len(chosen) < MOST and (clearest := _clearest(few, Q, u, v)):
        for term, column in _tried(few):
            left = column - Q @ (Q.T @ column)
            if _belongs(term, clearest) and _is_new(left, column):
                chosen.append(term)
                Q = np.column_stack([Q, left / np.linalg.norm(left)])
        u, v = (values - Q @ (Q.T @ values) for values in (u, v))
        u = u - v * (v @ u) / (v @ v)
    return chosen


def _clearest(bases, Q, u, v):
    """The term whose scores are the clearest in both equations; None where chance may do as much.

    `Q`, (n, p), spans what the formulas hold; `u` and `v` are what they leave.
    """
    clearest, best, tried = None, 0.0, 0
    for term, column in _tried(bases):
        left = column - Q @ (Q.T @ column)
        if _is_new(left, column):
            tried += 1
            least = min(_clear(left - v * (v @ left) / (v @ v), u), _clear(left, v))
            clearest, best = max((clearest, best), (term, least), key=lambda each: each[1])
    return clearest if 2 * norm.sf(best) * tried < LIKELY else None


def _belongs(term, other):
    """Whether a term stands in the formula where another does: a square beside its cube."""
    square = len(set(term)) == 1 and term == other[: len(term)]
    return square or _written(term) == _written(other)


def _is_new(left, column):
    """Whether something of a column is left."""
    return left @ left > NEW * (column @ column)


def _clear(column, residuals):
    """How many standard errors of uneven spread a score is from zero."""
    scores = column * residuals
    return abs(scores.sum()) / max(np.sqrt(scores @ scores), 1e-300)


def _with_terms(design, columns):
    """The design with more columns in both equations."""
    values = np.column_stack(list(columns.values()))
    mean, sd = values.mean(axis=0) * design.intercept_O, values.std(axis=0)
    labels = [":".join(term) for term in columns]
    more = np.ones(len(labels), dtype=bool)
    return replace(
        design,
        C=np.column_stack([design.C, (values - mean) / sd]),
        covariates=(*design.covariates, *labels),
        in_outcome=np.r_[design.in_outcome, more],
        in_treatment=np.r_[design.in_treatment, more],
        moderates=np.r_[design.moderates, ~more],
        scales=pd.concat([design.scales, pd.DataFrame({"mean": mean, "sd": sd}, index=labels)]),
        terms=(),
        variables=(),
    )
