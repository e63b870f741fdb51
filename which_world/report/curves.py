"""Curves and products of covariates, and time, that both formulas leave out; their current."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.interpolate import BSpline
from scipy.stats import norm

from which_world.classical import effect_at_rho, finite
from which_world.clusters import both_residuals
from which_world.decisions import restoring_rho
from which_world.design import terms_of
from which_world.moments import condensed
from which_world.priors import scales
from which_world.report.instruments import two_stage_rows, two_stages_in_units
from which_world.report.order import ORDER, grown_by_memory
from which_world.report.report import Curved
from which_world.report.words import agreeing, listed, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from which_world.design import Design

LIKELY = 0.05  # p-value, of all that are tried together, from which a curve is spoken of
MOST = 5  # curves that are taken out, one after the other
TRIED = 30  # covariates whose curves and products are tried
SPREAD_OVER = 20_000  # rows, evenly spread, that are looked at
WORTH = 4e9  # multiplications, beyond which none is looked for
SLIGHT = 0.02  # a current that licenses nothing and forbids nothing
SMOOTH = 8  # columns of the spline that takes out whatever a covariate does
BESIDE = np.r_[1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]  # of a covariate's values, those near another
UNSEEN = "were not looked for: none is ruled out."
NEW = 1e-6  # share of a column's squares that the formulas leave, if it is one of its own


class Bases(NamedTuple):
    """Columns to make terms of, by label: of both formulas, and of neither, as time is."""

    inside: dict[str, np.ndarray]
    outside: dict[str, np.ndarray]

    def every(self, step: int) -> Bases:
        """The same in one of so many rows."""
        return Bases(*({name: column[::step] for name, column in part.items()} for part in self))


class Spline(NamedTuple):
    """One column of the spline of a covariate, as a term."""

    label: str
    place: int


def curves(
    design: Design,
    outside: Mapping[str, np.ndarray] | None = None,
    groups: Sequence[np.ndarray] = (),
) -> Curved | None:
    """Which curves and products of covariates, or of time, are missing from both formulas.

    Squares, cubes and products are tried by their scores in both equations, which allow for uneven
    spread; of all that are tried, the larger of the two p-values is held against Bonferroni's. The
    clearest is taken in, and the others are tried again. Then each covariate is asked whether what
    is left of the outcome goes with what is left of the treatment in rows that lie beside each
    other in it, as any smooth curve of it in both makes them (differencing, Yatchew 1997).
    `outside` are columns of neither formula, (n,), by name: what is tried of them is a straight
    line, a square and a cube. `groups` are rows that may belong together, (n,) each, as whole
    numbers from 0: the scores of a group are one, by whichever makes them the least clear.

    Returns
    -------
    Curved or None
        None where there is no such term, or where rows are not at hand.
    """
    found = None
    if looked_at(design):
        found = _straightened(design, both_residuals, outside or {}, groups)
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
    if not design.instruments or design.moderators or not looked_at(design):
        return None
    found = _straightened(design, two_stage_rows, {}, ())
    if found is None:
        return None
    names, with_them = found
    effect, straightened = (two_stages_in_units(each) for each in (design, with_them))
    return Curved(names, effect, straightened, np.nan)


def _straightened(design, residuals, outside, groups):
    """What is missing, as formulas name it, and the design with it; None where nothing is.

    `residuals` gives what a design's formulas leave of the outcome and of what moves it, (2, n).
    """
    bases = Bases(bases_of(design), dict(outside))
    terms = _missing(design, bases, residuals(design), groups) if any(bases) else []
    if not terms:
        return None
    splines = {(term.label,) for term in terms if isinstance(term, Spline)}
    told = [term for term in terms if isinstance(term, Spline) or (*set(term),) not in splines]
    names = tuple(dict.fromkeys(map(_written, told)))  # a spline holds the powers of its covariate
    return names, _with_terms(design, {term: _column(term, bases) for term in terms})


def looked_at(design: Design) -> bool:
    """Whether rows are at hand, and no more than can be looked at."""
    width = int(design.in_outcome.sum()) + 1
    return not design.stands_for and min(design.n, SPREAD_OVER) * width**2 < WORTH


def not_looked_at(design: Design) -> list[str]:
    """What curves were not looked for, in a sentence; none where all covariates were."""
    if not looked_at(design):
        why = "There are too many columns"
        if design.stands_for:
            why = "The data came in pieces"
        return [f"{why}: curves and products that both formulas leave out {UNSEEN}"]
    terms, variables = terms_of(design)
    seen = {names[0] for names in variables if len(names) == 1}
    bases = {label.partition("[T.")[0] for label in bases_of(design)}
    both = design.in_outcome & design.in_treatment
    whole = {names[0] for term, names in zip(terms, variables) if term in bases}
    unseen = [
        term
        for term, names, shared in zip(terms, variables, both)
        if shared and len(names) == 1 and names[0] in seen - whole
    ]
    if not unseen:
        return []
    names = listed(dict.fromkeys(unseen))
    return [f"Curves and products beyond {names}, that both formulas leave out, {UNSEEN}"]


def curves_said(found: Curved | None, unit: str = "", if_sorted: str = "") -> list[str]:
    """What is missing from both formulas, and what it does to the effect, in a sentence.

    `if_sorted` says what to do if a sort made the order of the rows say something.
    """
    if found is None:
        return []
    are, move = agreeing(found.terms, "is", "are"), agreeing(found.terms, "moves", "move")
    column = ""
    if ORDER in found.terms:
        column = f"; data['order'] = range(len(data)) makes a column of it{if_sorted}"
    return [
        f"{listed(found.terms)} {are} in neither formula and {move} both treatment and outcome: "
        f"{with_terms(found, unit)}{column}."
    ]


def with_terms(found: Curved, unit: str = "") -> str:
    """What the effect is with these terms, and without, in half a sentence."""
    width = abs(found.effect - found.straightened)
    with_it, as_it_is = number(found.straightened, width), number(found.effect, width)
    them, unit = agreeing(found.terms, "it", "them"), f" {unit}" if unit else ""
    return f"with {them} the effect is {with_it}{unit}, not {as_it_is}"


def _effect(design):
    return effect_at_rho(design, 0.0, None if finite(design) else scales(design))


def bases_of(design: Design) -> dict[str, np.ndarray]:
    """Columns of covariates of both equations, by label: numbers first, then levels.

    Of a variable that stands in several terms the first alone, which is no curve of it.
    """
    terms, variables = terms_of(design)
    first: dict[str, str] = {}
    numbers: dict[str, np.ndarray] = {}
    levels: dict[str, np.ndarray] = {}
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


def _tried(bases: Bases) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Each product of two columns, and the square and the cube of those with more values.

    Of what stands in neither formula the column itself, its square and its cube.
    """
    labels = list(bases.inside)
    for place, label in enumerate(labels):
        column = bases.inside[label]
        powers = (2, 3) if len(np.unique(column)) > 2 else ()
        yield from (((label,) * power, column**power) for power in powers)
        for other in labels[place + 1 :]:
            yield (label, other), column * bases.inside[other]
    for label, column in bases.outside.items():
        yield from (((label,) * power, column**power) for power in (1, 2, 3))


def _column(term, bases):
    if isinstance(term, Spline):
        return _spline(bases.inside[term.label])[:, term.place]
    columns = bases.inside | bases.outside
    return np.prod([columns[label] for label in term], axis=0)


def _spline(column):
    """The columns of ``bs(x, df=8)``."""
    knots = np.quantile(column, np.linspace(0, 1, SMOOTH - 1))
    knots = np.r_[[knots[0]] * 3, knots, [knots[-1]] * 3]
    return BSpline.design_matrix(column, knots, 3).toarray()[:, 1:]


def _written(term):
    """A term as a formula has it; of a factor's levels, the factor."""
    if isinstance(term, Spline):
        return f"bs({term.label}, df={SMOOTH})"
    first, *others = (label.partition("[T.")[0] for label in term)
    if first == ORDER or not others:
        return first
    if len(set(term)) == 1:
        return f"I({first} ** {len(term)})"
    return ":".join([first, *others])


def _missing(design, bases, residuals, groups):
    """The terms that move both, the clearest first, and with each all that its formula holds.

    `residuals` are what the formulas leave of the outcome and of what moves it, (2, n).
    """
    step = -(-design.n // SPREAD_OVER)
    u, v = (values[::step] for values in residuals)
    few, together = bases.every(step), [np.arange(len(u)), *(codes[::step] for codes in groups)]
    Q, _ = np.linalg.qr(np.column_stack([np.ones(len(u)), design.C[::step, design.in_outcome]]))
    chosen: list[tuple] = []
    while len(chosen) < MOST and (
        more := _clearest(few, Q, u, v, together) or _followed(few, u, v)
    ):
        before = len(chosen)
        for term in more:
            column = _column(term, few)
            left = column - Q @ (Q.T @ column)
            if _is_new(left, column):
                chosen.append(term)
                Q = np.column_stack([Q, left / np.linalg.norm(left)])
        if len(chosen) == before:
            break
        u, v = (values - Q @ (Q.T @ values) for values in (u, v))
        u = u - v * (v @ u) / (v @ v)
    return chosen


def _clearest(bases, Q, u, v, together):
    """The term whose scores are the clearest in both equations, and those that belong to it.

    None where chance may do as much. `Q`, (n, p), spans what the formulas hold; `u` and `v` are
    what they leave.
    """
    clearest, best, tried = (), 0.0, 0
    memory = [grown_by_memory(values) if bases.outside else 1.0 for values in (u, v)]
    for term, column in _tried(bases):
        left = column - Q @ (Q.T @ column)
        if _is_new(left, column):
            tried += 1
            alone = left - v * (v @ left) / (v @ v)
            scores = clear(alone * u, together), clear(left * v, together)
            grown = memory if term[0] in bases.outside else (1.0, 1.0)
            least = min(score / factor for score, factor in zip(scores, grown))
            clearest, best = max((clearest, best), (term, least), key=lambda each: each[1])
    if not clearest or not 2 * norm.sf(best) * tried < LIKELY:
        return []
    return [term for term, _ in _tried(bases) if _belongs(term, clearest)]


def _followed(bases, u, v):
    """The columns of a covariate's spline that `u` and `v` follow together; none by chance."""
    many = [label for label, column in bases.inside.items() if _many(column)]
    beside = {label: abs(_beside(bases.inside[label], u, v)) for label in many}
    clearest = max(beside, key=beside.__getitem__, default="")
    if not clearest or not 2 * norm.sf(beside[clearest]) * len(many) < LIKELY:
        return []
    return [Spline(clearest, place) for place in range(SMOOTH)]


def _many(column):
    """Whether a column has values enough to lie beside each other."""
    return len(np.unique(column)) > 2 * SMOOTH


def _beside(column, u, v):
    """How many standard errors the covariance of `u` with `v` at the values beside is from zero.

    Sums of rows with one value are one, so rows of a village that share a value are no neighbours.
    Of the two errors, which hold where `u` follows nothing and where `v` does, the larger.
    """
    cell = np.unique(column, return_inverse=True)[1]
    sums = [np.bincount(cell, values) for values in (u, v)]
    rows = np.convolve(np.bincount(cell), BESIDE, mode="same")
    of_u, of_v = (np.convolve(values, BESIDE, mode="same") / rows for values in sums)
    each, other = sums[0] * of_v, sums[1] * of_u
    return each.sum() / np.sqrt(max(each @ each, other @ other, 1e-300))


def _belongs(term, other):
    """Whether a term stands in the formula where another does: a square beside its cube."""
    square = len(set(term)) == 1 and term == other[: len(term)]
    return square or _written(term) == _written(other)


def _is_new(left, column):
    """Whether something of a column is left."""
    return left @ left > NEW * (column @ column)


def clear(scores: np.ndarray, together: Sequence[np.ndarray]) -> float:
    """How many standard errors of uneven spread a sum of scores, (n,), is from zero.

    By the groups in `together`, whole numbers from 0, that make the fewest of it.
    """
    sums = [np.bincount(codes, scores) for codes in together]
    return min(abs(scores.sum()) / max(np.sqrt(each @ each), 1e-300) for each in sums)


def _with_terms(design, columns):
    """The design with more columns in both equations."""
    values = np.column_stack(list(columns.values()))
    mean, sd = values.mean(axis=0) * design.intercept_O, values.std(axis=0)
    labels = [":".join(map(str, (_written(term), *term))) for term in columns]
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
