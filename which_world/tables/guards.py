"""What a design must not be: constant, collinear, separated, or too far for digits."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import NamedTuple, NoReturn

import numpy as np
import pandas as pd
from scipy.linalg import qr
from scipy.linalg.lapack import dtrcon
from scipy.optimize import linprog

from which_world.design import Design, check_varies, total
from which_world.moments import as_few
from which_world.tables.dialects import of_product

SAME = 1e-6  # a column is a combination of others if this share of it, or less, is left over
WELL_APART = 1e-6  # one over a condition number, of columns that need no closer look
FULL_RANK = 1e-8  # share of the first pivot, below which a column adds nothing
LOST_DIGITS = 1e-12  # a covariate that varies by less of its mean has lost too many digits
# the same of a response, which is not centred: a search for its maximum works on the digits left
LOST_DIGITS_OF_A_RESPONSE = 1e-7
# a standard deviation beyond this, or its inverse, leaves no room for squares and ratios
ROOM = 1e50
# the same of a treatment, which stands unscaled beside a constant and standardised columns
BESIDE = 1e15
PLENTY = 20_000  # rows that tell at once that nothing separates the treated from the untreated
NAMED_AT_MOST = 3  # labels that a refusal names, of many
FINITE = 1e3  # a probit's coefficient beyond this is on its way to infinity
WRONG = 1e-6  # by how much a row is on the wrong side of a direction, beyond rounding
WORST = 500  # rows on the wrong side of a direction that are kept of all


def check_spread(y: np.ndarray, outcome: str, *frames: pd.DataFrame) -> None:
    """Refuse an outcome or covariates that are constant, or too far for arithmetic."""
    check_varies(y, outcome, "outcome")
    check_unit(y, f"the outcome {outcome!r}", digits=LOST_DIGITS_OF_A_RESPONSE)
    for frame in frames:
        # all at once, and none taken out of the frame: thousands of levels are thousands of columns
        columns = frame.to_numpy()
        with np.errstate(over="ignore", invalid="ignore"):
            sd, mean = columns.std(axis=0), np.abs(columns.mean(axis=0))
        well = (sd >= 1 / ROOM) & (sd <= ROOM) & (sd >= LOST_DIGITS * mean)
        for place in map(int, np.flatnonzero(~well | (np.ptp(columns, axis=0) == 0))):
            name, values = frame.columns[place], columns[:, place]
            if np.ptp(values) == 0:
                raise ValueError(
                    f"the covariate {name!r} is constant at {values[0]:g}, which is collinear with "
                    "the intercept; leave it out."
                )
            check_unit(values, f"the covariate {name!r}")


def check_unit(
    values: np.ndarray, name: str, room: float = ROOM, digits: float = LOST_DIGITS
) -> None:
    """Refuse numbers so large, so small or so far from zero that arithmetic loses them."""
    with np.errstate(over="ignore", invalid="ignore"):
        sd, mean = float(values.std()), float(values.mean())
    if not 1 / room <= sd <= room:
        raise ValueError(
            f"{name} lies between {values.min():g} and {values.max():g}; accepted are numbers with "
            f"a standard deviation from {1 / room:g} to {room:g}: divide it by a unit that "
            "suits it."
        )
    if sd < digits * abs(mean):
        raise ValueError(
            f"{name} varies by {sd:.1g} around {mean:g}, so rounding leaves few of its digits; "
            f"accepted are numbers nearer to zero: subtract {mean:g} from it."
        )


def check_rank(design: Design, treatment: pd.DataFrame) -> None:
    """Refuse columns that the data cannot tell apart, of either equation as its formula has it.

    `treatment` holds the columns of the treatment equation.
    """
    covariates = [label for label, used in zip(design.covariates, design.in_outcome) if used]
    labels = [*covariates, *_products(design), design.treatment]
    products = design.M * design.dose[:, None]
    columns = [design.C[:, design.in_outcome], products, design.dose, design.y]
    _check_equation(design, "outcome", labels, columns, design.intercept_O)
    columns = [standardised(treatment, design.intercept_T), design.t]
    _check_equation(design, "treatment", list(treatment.columns), columns, design.intercept_T)


def _products(design):
    """Labels of the products of the treatment with the moderators."""
    return [f"{design.treatment}:{label}" for label in design.moderators]


def _check_equation(design, equation, labels, columns, constant):
    """Refuse one equation's columns; the last is its response."""
    if design.n <= len(labels) + 1:
        raise ValueError(
            f"the {equation} equation has {design.n} rows for {len(labels) + 1} columns; "
            "accepted are more rows than columns: leave terms out or bring more data."
        )
    if not labels:
        return
    M = np.column_stack(columns)
    M -= M.mean(axis=0) * constant
    few = as_few(M)  # same rank, same relations
    sd = np.sqrt(np.sum(few**2, axis=0) / len(M)) if constant else M.std(axis=0)
    R = np.linalg.qr(few / sd, mode="r")
    _check_apart(labels, R[:, :-1], equation)
    _check_errors(design, labels, R, equation)


def _check_errors(design, labels, R, equation):
    """Refuse a continuous response that its equation gives without error.

    R is the triangle of the columns and, last, the response: what they leave of it stands in its
    corner.
    """
    kind = design.outcome_kind if equation == "outcome" else design.kind
    if kind == "binary" or abs(R[-1, -1]) > SAME * np.linalg.norm(R[:, -1]):
        return
    size = np.abs(np.linalg.lstsq(R[:, :-1], R[:, -1])[0])
    exact = [label for label, part in zip(labels, size) if part > SAME * size.max()]
    raise ValueError(
        f"the {equation} {getattr(design, equation)!r} is an exact combination of {few(exact)}, so "
        "its equation has no error to learn from; accepted are responses that were measured: leave "
        "out what this one was computed from."
    )


def _check_apart(labels, M, equation):
    """Refuse columns of which one is a combination of others."""
    if dtrcon(M[:-1])[0] > WELL_APART:
        return
    R, order = qr(M, mode="r", pivoting=True)
    pivots = np.abs(np.diag(R))
    rank = int((pivots > FULL_RANK * pivots[0]).sum())
    if rank == len(labels):
        return
    culprit = order[rank]
    parts, *_ = np.linalg.lstsq(np.delete(M, culprit, axis=1), M[:, culprit])
    others = [label for k, label in enumerate(labels) if k != culprit]
    partners = [label for label, part in zip(others, parts) if abs(part) > SAME]
    raise ValueError(
        f"{labels[culprit]!r} is collinear with {few(partners)} in the {equation} equation: "
        f"the data cannot tell them apart; {_way_out(labels[culprit], partners)}."
    )


def _way_out(culprit, partners):
    """What to do about columns of which one is a combination of others."""
    spline = re.match(r"(c[rsc]\(.*)\)\[\d+\]$", culprit)
    whole = spline and {label for label in partners if label.startswith(spline[1])}
    if whole and set(partners) - whole <= {"intercept"}:  # a basis that adds up to the constant
        return f"write {spline[1]}, constraints='center')"
    return "leave one of them out"


def few(labels: list[str]) -> str:
    """Labels as a list, of more than a sentence holds three, and how many others there are."""
    if len(labels) <= NAMED_AT_MOST + 1:
        return str(labels)
    return f"{labels[:NAMED_AT_MOST]} and {len(labels) - NAMED_AT_MOST:,} others"


def check_overlap(design: Design) -> None:
    """Refuse covariates of the outcome that settle the treatment: nothing is left to compare."""
    guilty = separation(design, "treatment", design.in_treatment & design.in_outcome)
    if guilty:
        raise ValueError(
            f"perfect separation: a combination of {few(_terms_first(guilty))} predicts the "
            f"treatment {design.treatment!r} without error for some or all rows, so the probit "
            "coefficients run off to infinity and treated and untreated rows cannot be compared; "
            "leave those terms out, merge rare levels, have a category in the outcome formula "
            "alone, or keep the rows where both treatments occur, which gives up what rows that "
            f"are never treated tell of the untreated{_apart(design, guilty)}."
        )


def _terms_first(labels):
    """Labels with one name for all levels of a term, of which there are the most, in front."""
    levels = Counter(label.partition("[")[0] for label in labels if "[" in label)
    terms = [term for term, many in levels.most_common() if many > 1]
    return [*terms, *(label for label in labels if label.partition("[")[0] not in terms)]


def _apart(design, guilty):
    """What to ask for where the treatment is a product of what settles it; else empty."""
    product = re.fullmatch(r"I\((\w+) \* (\w+)\)", design.treatment)
    if product and set(product.groups()) <= set(guilty):
        return f"; of a product, accepted is {of_product(*product.groups())}"
    ones = {
        label: design.C[:, place] > 0  # of two values, the higher is above their mean
        for place, label in enumerate(design.covariates)
        if label in guilty and label.isidentifier() and len(np.unique(design.C[:, place])) == 2
    }
    for first, second in combinations(ones, 2):
        if np.array_equal(ones[first] & ones[second], design.t == 1):
            return (
                f"; {design.treatment} is the product of {first} and {second}, and of a product "
                f"accepted is {of_product(first, second)}"
            )
    return ""


def check_answers(design: Design) -> None:
    """Refuse a treatment that settles a binary outcome: its effect has no finite estimate.

    Covariates alone may settle it in some rows (a rare level in which nobody died): priors carry
    that.
    """
    guilty = separation(design, "outcome")
    if design.treatment in guilty:
        raise ValueError(
            f"perfect separation: a combination of {few(guilty)} predicts the outcome "
            f"{design.outcome!r} without error for some or all rows, so no effect of "
            f"{design.treatment!r} fits better than an infinite one; merge rare levels, bring "
            "more data, or ask for the straight line: outcome_kind='continuous'."
        )


def refuse_pieces(reason: str) -> NoReturn:
    """Refuse data in pieces for a reason."""
    raise ValueError(
        f"data come in pieces, and {reason}; accepted are formulas with one effect, or rows in "
        "memory: data.sample(frac=0.01).compute()."
    )


def separation(design: Design, equation: str, used: np.ndarray | None = None) -> list[str]:
    """Labels of what predicts a binary response without error, in some rows or in all; else none.

    A maximum of the probit likelihood that is found proves that one exists. Only if none is found
    is the question put to a linear programme (Konis 2007): is there a direction in which no row is
    on the wrong side? Of rows in pieces a part is asked first, and then those that turn up on the
    wrong side of the direction that the rows before them leave open. `used`, (p,), are the
    covariates that predict, beside a constant and, in the outcome's equation, the treatment; left
    out, all it has.
    """
    kind, mask = {
        "outcome": (design.outcome_kind, design.in_outcome),
        "treatment": (design.kind, design.in_treatment),
    }[equation]
    if kind != "binary":
        return []
    mask = mask if used is None else used
    part = design if design.all_rows is None else design.all_rows.part(design)
    predict = partial(_predictors, equation=equation, mask=mask, unit=design.t.std())
    labels = ["the intercept", *np.array(design.covariates, dtype=object)[mask]]
    if equation == "outcome":
        labels += [*_products(design), design.treatment]
    # what separates all rows separates each part of them whose columns are independent, and a part
    # is soon asked
    for step in sorted({max(1, len(part.y) // PLENTY), 1}, reverse=True):
        M, response = predict(part, step=step)
        all_there = step == 1 and part is design
        independent = all_there or np.linalg.matrix_rank(M) == M.shape[1]
        if independent and _has_probit(M, response):
            return []
    signed = (2 * response - 1)[:, None] * M
    if part is design:
        return _guilty(_open(signed.sum(axis=0), signed), labels)
    return _guilty(_open_in_pieces(design, predict, signed[:WORST]), labels)


def _predictors(design, equation, mask, unit, step=1):
    """What predicts a response, and the response, in each row or in one of so many."""
    columns = [np.ones(len(design.y[::step])), design.C[::step, mask]]
    if equation == "treatment":
        return np.column_stack(columns), design.t[::step]
    # limits of size mean nothing in the reader's units
    t = design.dose[::step] / unit
    return np.column_stack([*columns, design.M[::step] * t[:, None], t]), design.y[::step]


def _open(along, signed):
    """The direction farthest along a sum of rows with none on its wrong side; None if none is."""
    best = linprog(-along, A_ub=-signed, b_ub=np.zeros(len(signed)), bounds=(-1, 1))
    return None if best.status != 0 or -best.fun <= 1e-6 else best.x


def _guilty(direction, labels):
    """Labels of what a direction is made of."""
    weight = np.abs(np.zeros(len(labels)) if direction is None else direction)
    return [label for label, part in zip(labels, weight) if part > 1e-3 * weight.max()]


class Wrong(NamedTuple):
    """Rows on the wrong side of a direction, the worst of them, and by how much."""

    rows: np.ndarray
    by: np.ndarray

    def __add__(self, other: Wrong) -> Wrong:  # type: ignore[override]  # not a tuple's sum
        rows, by = np.vstack([self.rows, other.rows]), np.r_[self.by, other.by]
        worst = np.argsort(by)[:WORST]
        return Wrong(rows[worst], by[worst])


def _open_in_pieces(design: Design, predict: Callable, signed: np.ndarray) -> np.ndarray | None:
    """The same of rows that come in pieces, of which `signed` are some."""
    along, signed = total(design, partial(_signed_sum, predict)) / design.n, _of_one_size(signed)
    while (direction := _open(along, signed)) is not None:
        wrong = total(design, partial(_wrong, predict, direction))
        if not len(wrong.rows):
            break
        signed = np.vstack([signed, wrong.rows])
    return direction


def _of_one_size(signed):
    """Rows that are alike to a programme, whose rounding is that of numbers near one."""
    return signed / np.abs(signed).max(axis=1, keepdims=True)


def _signed_sum(predict, design):
    M, response = predict(design)
    return (2 * response - 1) @ M


def _wrong(predict, direction, design):
    M, response = predict(design)
    signed = _of_one_size((2 * response - 1)[:, None] * M)
    by = signed @ direction
    wrong = by < -WRONG
    return Wrong(signed[wrong], by[wrong])


def _has_probit(Z, t):
    """Whether a probit regression finds a maximum with finite coefficients."""
    # slow to import, and only a binary response needs it
    from statsmodels.discrete.discrete_model import Probit
    from statsmodels.tools.sm_exceptions import PerfectSeparationError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = Probit(t, Z).fit(disp=0, maxiter=30, skip_hessian=True)
        except (np.linalg.LinAlgError, PerfectSeparationError):
            return False
    return bool(fit.mle_retvals["converged"]) and bool(np.abs(fit.params).max() < FINITE)


def standardised(frame: pd.DataFrame, centred: bool = True) -> np.ndarray:
    """Columns of a frame in standard deviations, from their means where they are centred."""
    values = frame.to_numpy(dtype=float, copy=True)
    sd = values.std(axis=0)
    values -= values.mean(axis=0) * centred
    values /= sd
    return values
