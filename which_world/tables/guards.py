"""What a design must not be: constant, collinear, separated, or out of reach of a computer's digits."""

import warnings

import numpy as np
from scipy.linalg import qr
from scipy.linalg.lapack import dtrcon
from scipy.optimize import linprog

SAME = 1e-6  # a column is a combination of others if this share of it, or less, is left over
WELL_APART = 1e-6  # one over a condition number, of columns that nobody need look at more closely
DIGITS = 1e-12  # a covariate that varies by less of its mean has lost too many digits
FAR = 1e-7  # the same of a response, which is not centred: a search for its maximum works on what digits are left
ROOM = (
    1e50  # a standard deviation beyond this, or its inverse, leaves no room for squares and ratios
)
BESIDE = 1e15  # the same of a treatment, which stands unscaled beside a constant and standardised columns
ENOUGH = 20_000  # rows that tell at once that nothing separates the treated from the untreated


def check_spread(y, outcome, *frames):
    if np.ptp(y) == 0:
        raise ValueError(f"the outcome {outcome!r} is constant at {y[0]:g}; it must vary.")
    check_unit(y, f"the outcome {outcome!r}", digits=FAR)
    # as arrays: a frame copies all that it knows of its terms with each column that is taken out
    for name, values in (
        pair for frame in frames for pair in zip(frame.columns, frame.to_numpy().T)
    ):
        if np.ptp(values) == 0:
            raise ValueError(
                f"the covariate {name!r} is constant at {values[0]:g}, which is collinear with the "
                "intercept; leave it out."
            )
        check_unit(values, f"the covariate {name!r}")


def check_unit(values, name, room=ROOM, digits=DIGITS):
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


def check_rank(design, frame_T):
    """Refuse columns that the data cannot tell apart, of either equation as its formula has it."""
    effects = np.column_stack([design.M * design.dose[:, None], design.dose])
    products = [f"{design.treatment}:{label}" for label in design.moderators]
    outcome = [label for label, used in zip(design.covariates, design.in_outcome) if used]
    blocks = {
        "outcome": (
            [*outcome, *products, design.treatment],
            [design.C[:, design.in_outcome], effects],
        ),
        "treatment": (list(frame_T.columns), [standardised(frame_T, design.intercept_T)]),
    }
    for equation, (labels, parts) in blocks.items():
        if design.n <= len(labels) + 1:
            raise ValueError(
                f"the {equation} equation has {design.n} rows for {len(labels) + 1} columns; "
                "accepted are more rows than columns: leave terms out or bring more data."
            )
        if labels:
            M = np.column_stack([*parts, design.y if equation == "outcome" else design.t])
            constant = design.intercept_O if equation == "outcome" else design.intercept_T
            M = (M - M.mean(axis=0) * constant) / M.std(axis=0)
            R = np.linalg.qr(M, mode="r")  # same rank, same relations, few rows
            _check_apart(labels, R[:, :-1], equation)
            _check_errors(design, labels, R, equation)


def _check_errors(design, labels, R, equation):
    """Refuse a continuous response that its equation gives without error: no spread is left, and nothing to learn.

    R is the triangle of the columns and, last, the response: what they leave of it stands in its
    corner.
    """
    kind = design.outcome_kind if equation == "outcome" else design.kind
    if kind == "continuous" and abs(R[-1, -1]) <= SAME * np.linalg.norm(R[:, -1]):
        parts, *_ = np.linalg.lstsq(R[:, :-1], R[:, -1])
        exact = [
            label for label, part in zip(labels, parts) if abs(part) > SAME * np.abs(parts).max()
        ]
        raise ValueError(
            f"the {equation} {getattr(design, equation)!r} is an exact combination of {exact}, so "
            "its equation has no error to learn from; accepted are responses that were measured: "
            "leave out what this one was computed from."
        )


def _check_apart(labels, M, equation):
    if dtrcon(M[:-1])[0] > WELL_APART:
        return
    R, order = qr(M, mode="r", pivoting=True)
    rank = int((np.abs(np.diag(R)) > 1e-8 * abs(R[0, 0])).sum())
    if rank < len(labels):
        culprit = order[rank]
        others, *_ = np.linalg.lstsq(np.delete(M, culprit, axis=1), M[:, culprit])
        rest = [label for k, label in enumerate(labels) if k != culprit]
        partners = [label for label, b in zip(rest, others) if abs(b) > 1e-6]
        raise ValueError(
            f"{labels[culprit]!r} is collinear with {partners} in the {equation} equation: "
            "the data cannot tell them apart; leave one of them out."
        )


def check_overlap(design):
    """Refuse covariates of the outcome equation that settle the treatment: nothing is left to compare."""
    if guilty := separation(design, "treatment", design.in_treatment & design.in_outcome):
        raise ValueError(
            f"perfect separation: a combination of {guilty} predicts the treatment "
            f"{design.treatment!r} without error for some or all rows, so the probit coefficients "
            "run off to infinity and treated and untreated rows cannot be compared; leave those "
            "terms out, merge rare levels, or keep the rows where both treatments occur."
        )


def check_answers(design):
    """Refuse a treatment that settles a binary outcome: its effect on the index has no finite estimate.

    Covariates alone may settle it in some rows (a rare level in which nobody died): priors carry
    that.
    """
    guilty = separation(design, "outcome")
    if design.treatment in guilty:
        raise ValueError(
            f"perfect separation: a combination of {guilty} predicts the outcome "
            f"{design.outcome!r} without error for some or all rows, so no effect of "
            f"{design.treatment!r} fits better than an infinite one; merge rare levels, bring "
            "more data, or ask for the straight line: outcome_kind='continuous'."
        )


def check_condensed(kinds):
    """Refuse data in pieces whose means and covariances do not say all that they say."""
    for equation, kind in kinds.items():
        if kind == "binary":
            line = "outcome_kind='continuous', for a straight line through zeros and ones, or " * (
                equation == "outcome"
            )
            refuse_pieces(f"the {equation} is binary, so its equation reads every row", line)


def refuse_pieces(reason, line=""):
    raise ValueError(
        f"data come in pieces, and {reason}; accepted are a continuous outcome and a continuous "
        f"treatment with one effect, {line}rows in memory: data.sample(frac=0.01).compute()."
    )


def separation(design, equation, used=None):
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
        labels += [
            *(f"{design.treatment}:{label}" for label in design.moderators),
            design.treatment,
        ]

    def columns(step):
        t = (
            design.dose[::step] / design.t.std()
        )  # limits of size mean nothing in the reader's units
        dose = [design.M[::step] * t[:, None], t] if equation == "outcome" else []
        return np.column_stack([np.ones(len(design.y[::step])), design.C[::step, mask], *dose])

    # what separates all rows separates each part of them whose columns are independent, and a part is soon asked
    for step in sorted({max(1, len(design.y) // ENOUGH), 1}, reverse=True):
        M = columns(step)
        if _has_probit(M, response[::step]) and (
            step == 1 or np.linalg.matrix_rank(M) == M.shape[1]
        ):
            return []
    return _separating(M, labels, response)


def _separating(M, labels, response):
    signed = (2 * response - 1)[:, None] * M
    best = linprog(-signed.sum(0), A_ub=-signed, b_ub=np.zeros(len(M)), bounds=(-1, 1))
    if best.status != 0 or -best.fun <= 1e-6:
        return []
    weight = np.abs(best.x)
    return [label for label, part in zip(labels, weight) if part > 1e-3 * weight.max()]


def _has_probit(Z, t):
    """Whether a probit regression finds a maximum with finite coefficients."""
    from statsmodels.discrete.discrete_model import (
        Probit,
    )  # slow to import, and only a binary treatment needs it
    from statsmodels.tools.sm_exceptions import PerfectSeparationError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = Probit(t, Z).fit(disp=0, maxiter=30, skip_hessian=True)
        except (np.linalg.LinAlgError, PerfectSeparationError):
            return False
    return bool(found.mle_retvals["converged"]) and bool(np.abs(found.params).max() < 1e3)


def standardised(frame, centred=True):
    """Columns of a frame with a standard deviation of one, and a mean of zero where they are centred."""
    values = frame.to_numpy(dtype=float)
    return (values - values.mean(axis=0) * centred) / values.std(axis=0)
