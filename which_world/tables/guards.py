"""What a design must not be: constant, collinear, separated, or too far for digits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pandas as pd
from scipy.linalg import qr
from scipy.linalg.lapack import dtrcon
from scipy.optimize import linprog

if TYPE_CHECKING:
    from which_world.design import Design

SAME = 1e-6  # a column is a combination of others if this share of it, or less, is left over
WELL_APART = 1e-6  # one over a condition number, of columns that need no closer look
FULL_RANK = 1e-8  # share of the first pivot, below which a column adds nothing
DIGITS = 1e-12  # a covariate that varies by less of its mean has lost too many digits
# the same of a response, which is not centred: a search for its maximum works on the digits left
FAR = 1e-7
# a standard deviation beyond this, or its inverse, leaves no room for squares and ratios
ROOM = 1e50
# the same of a treatment, which stands unscaled beside a constant and standardised columns
BESIDE = 1e15
ENOUGH = 20_000  # rows that tell at once that nothing separates the treated from the untreated
NAMED = 3  # labels that a refusal names, of many
FINITE = 1e3  # a probit's coefficient beyond this is on its way to infinity


def check_spread(y: np.ndarray, outcome: str, *frames: pd.DataFrame) -> None:
    """Refuse an outcome or covariates that are constant, or too far for arithmetic."""
    if np.ptp(y) == 0:
        raise ValueError(f"the outcome {outcome!r} is constant at {y[0]:g}; it must vary.")
    check_unit(y, f"the outcome {outcome!r}", digits=FAR)
    for frame in frames:
        # as arrays: a frame copies all it knows of its terms with each column that is taken out
        for name, values in zip(frame.columns, frame.to_numpy().T):
            if np.ptp(values) == 0:
                raise ValueError(
                    f"the covariate {name!r} is constant at {values[0]:g}, which is collinear with "
                    "the intercept; leave it out."
                )
            check_unit(values, f"the covariate {name!r}")


def check_unit(values: np.ndarray, name: str, room: float = ROOM, digits: float = DIGITS) -> None:
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
    M = (M - M.mean(axis=0) * constant) / M.std(axis=0)
    R = np.linalg.qr(M, mode="r")  # same rank, same relations, few rows
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
        "the data cannot tell them apart; leave one of them out."
    )


def few(labels: list[str]) -> str:
    """Labels as a list, of more than a sentence holds three, and how many others there are."""
    if len(labels) <= NAMED + 1:
        return str(labels)
    return f"{labels[:NAMED]} and {len(labels) - NAMED:,} others"


def check_overlap(design: Design) -> None:
    """Refuse covariates of the outcome that settle the treatment: nothing is left to compare."""
    guilty = separation(design, "treatment", design.in_treatment & design.in_outcome)
    if guilty:
        raise ValueError(
            f"perfect separation: a combination of {few(guilty)} predicts the treatment "
            f"{design.treatment!r} without error for some or all rows, so the probit coefficients "
            "run off to infinity and treated and untreated rows cannot be compared; leave those "
            "terms out, merge rare levels, have a category in the outcome formula alone, or keep "
            "the rows where both treatments occur, which gives up what rows that are never treated "
            "tell of the untreated."
        )


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


def check_condensed(kinds: Mapping[str, str]) -> None:
    """Refuse data in pieces whose means and covariances do not say all that they say."""
    for equation, kind in kinds.items():
        if kind == "continuous":
            continue
        line = ""
        if equation == "outcome":
            line = "outcome_kind='continuous', for a straight line through zeros and ones, or "
        refuse_pieces(f"the {equation} is binary, so its equation reads every row", line)


def refuse_pieces(reason: str, line: str = "") -> NoReturn:
    """Refuse data in pieces for a reason; `line` is what may be asked for instead."""
    raise ValueError(
        f"data come in pieces, and {reason}; accepted are a continuous outcome and a continuous "
        f"treatment with one effect, {line}rows in memory: data.sample(frac=0.01).compute()."
    )


def separation(design: Design, equation: str, used: np.ndarray | None = None) -> list[str]:
    """What predicts a binary response without error, in some rows or in all.

    A maximum of the probit likelihood that is found proves that one exists. Only if none is found
    is the question put to a linear programme (Konis 2007): is there a direction in which no row is
    on the wrong side?

    Parameters
    ----------
    design : Design
    equation : {"outcome", "treatment"}
    used : ndarray of bool, shape (p,), optional
        The covariates that predict, beside a constant; left out, all that the equation has. The
        outcome equation has the treatment as well.

    Returns
    -------
    list of str
        Their labels; empty when the response is not binary, or the probit coefficients have a
        finite maximum.
    """
    response, kind, mask = {
        "outcome": (design.y, design.outcome_kind, design.in_outcome),
        "treatment": (design.t, design.kind, design.in_treatment),
    }[equation]
    if kind != "binary":
        return []
    mask = mask if used is None else used
    labels = ["the intercept", *np.array(design.covariates, dtype=object)[mask]]
    if equation == "outcome":
        labels += [*_products(design), design.treatment]
    # what separates all rows separates each part of them whose columns are independent, and a part
    # is soon asked
    for step in sorted({max(1, len(design.y) // ENOUGH), 1}, reverse=True):
        M = _predictors(design, equation, mask, step)
        independent = step == 1 or np.linalg.matrix_rank(M) == M.shape[1]
        if independent and _has_probit(M, response[::step]):
            return []
    return _separating(M, labels, response)


def _predictors(design, equation, mask, step):
    """What predicts a response, in each row or in one of so many."""
    columns = [np.ones(len(design.y[::step])), design.C[::step, mask]]
    if equation == "outcome":
        # limits of size mean nothing in the reader's units
        t = design.dose[::step] / design.t.std()
        columns += [design.M[::step] * t[:, None], t]
    return np.column_stack(columns)


def _separating(M, labels, response):
    """Labels of a direction in which no row is on the wrong side; none if there is none."""
    signed = (2 * response - 1)[:, None] * M
    best = linprog(-signed.sum(0), A_ub=-signed, b_ub=np.zeros(len(M)), bounds=(-1, 1))
    if best.status != 0 or -best.fun <= 1e-6:
        return []
    weight = np.abs(best.x)
    return [label for label, part in zip(labels, weight) if part > 1e-3 * weight.max()]


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
    values = frame.to_numpy(dtype=float)
    return (values - values.mean(axis=0) * centred) / values.std(axis=0)
