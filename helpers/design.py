"""Two formulas and a data frame become a checked design: outcome, treatment and covariates.

This is the one place that standardises. Covariates are centred and divided by their standard
deviation; the outcome and the treatment keep the reader's units, so an effect needs no conversion.
The outcome equation measures a continuous treatment from its mean.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property

import formulaic
import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from scipy.linalg import qr
from scipy.optimize import linprog

from helpers.likelihoods import Rows, probit

FEWEST_DOSES = 5  # a treatment with fewer distinct values is neither binary nor continuous


@dataclass(frozen=True, eq=False)
class Design:
    """What two formulas make of a data frame; built by `make_design`, never by hand.

    Attributes
    ----------
    y, t : ndarray, shape (n,)
        Outcome and treatment in the reader's units.
    C : ndarray, shape (n, p)
        Every covariate of either equation, standardised. Columns are named by `covariates`.
    in_outcome, in_treatment : ndarray of bool, shape (p,)
        Which covariates stand in which equation. A column of the second only is an instrument.
    moderates : ndarray of bool, shape (p,)
        Which covariates change the effect: those that the outcome formula multiplies by the treatment.
    intercept_O, intercept_T : bool
        Whether each equation has a constant (it has, unless its formula says ``0 +``).
    scales : DataFrame
        ``mean`` and ``sd`` of each covariate before it was standardised.
    centre : float, optional
        What the outcome equation subtracts from the treatment, `t_mean`, when it is not to be taken from `t`.
    """

    y: np.ndarray
    t: np.ndarray
    C: np.ndarray
    covariates: tuple
    in_outcome: np.ndarray
    in_treatment: np.ndarray
    moderates: np.ndarray
    intercept_O: bool
    intercept_T: bool
    outcome: str
    treatment: str
    kind: str
    scales: pd.DataFrame = field(repr=False)
    centre: float | None = None

    @property
    def t_mean(self):
        """What the outcome equation subtracts from the treatment.

        The mean of a continuous treatment, so that the intercept is the outcome of an average row and its prior says
        nothing about α; zero for a binary treatment, whose intercept is that of the untreated, and without one.
        """
        if self.centre is not None:
            return self.centre
        return float(self.t.mean()) if self.kind == "continuous" and self.intercept_O else 0.0

    @property
    def dose(self):
        """The treatment as the outcome equation has it, shape (n,)."""
        return self.t - self.t_mean

    @property
    def instruments(self):
        """Labels of the covariates that stand in the treatment equation alone."""
        alone = self.in_treatment & ~self.in_outcome & ~self.moderates
        return tuple(np.array(self.covariates, dtype=object)[alone])

    @property
    def moderators(self):
        """Labels of the covariates that change the effect."""
        return tuple(np.array(self.covariates, dtype=object)[self.moderates])

    @property
    def M(self):
        """The moderators' columns of C, shape (n, k): centred, so that α is the effect at their average."""
        return self.C[:, self.moderates]

    @property
    def n(self):
        """Number of observations."""
        return len(self.y)

    @cached_property
    def rows(self):
        """The rows as the likelihood wants them: all n, or a handful that say the same."""
        return Rows.of(self)

    def __repr__(self):
        return (
            f"Design({self.outcome} on {self.treatment} ({self.kind}), n={self.n:,}, "
            f"{len(self.covariates)} covariates, instruments: {', '.join(self.instruments) or 'none'}"
            f"{', moderators: ' * bool(self.moderators)}{', '.join(self.moderators)})"
        )


def make_design(data, *, outcome, treatment):
    """Read two formulas against a data frame, and refuse what cannot be used.

    Parameters
    ----------
    data : pandas.DataFrame
    outcome : str
        Formula of the outcome equation, with the treatment among its terms:
        ``"wt82_71 ~ qsmk + age + C(education)"``. ``qsmk * age`` lets the effect change with age: age is
        then a moderator, α the effect at average age and δ its change per standard deviation of age.
    treatment : str
        Formula of the treatment equation: ``"qsmk ~ age + C(education) + price82"``. A term that
        stands here and not in the outcome formula is an instrument.

    Returns
    -------
    Design
        ``kind`` is ``"binary"`` for a treatment of zeros and ones and ``"continuous"`` otherwise. Both
        equations have an intercept unless their formula says ``0 +``; covariates are centred and
        scaled either way, so without an intercept a plane is forced through the covariates' means.

    Raises
    ------
    ValueError
        Naming the column: when it is missing, has NaN or infinite values, is constant, is collinear
        with others, or separates the treated from the untreated perfectly; when the treatment is
        constant, has three or four values, is absent from the outcome formula, or stands inside another
        term than a product with a covariate that has a term of its own; when there are fewer rows than
        columns.
    """
    lhs_O, terms_O, intercept_O = _parse(data, outcome, "outcome")
    lhs_T, terms_T, intercept_T = _parse(data, treatment, "treatment")
    terms_O, moderators = _moderated(terms_O, outcome, lhs_O, lhs_T)
    _check_apart(terms_O + terms_T, lhs_T)
    y = _column(data, lhs_O, "outcome")
    t = _column(data, lhs_T, "treatment")
    frame_O, labels = _matrix(data, terms_O, "outcome")
    frame_T, _ = _matrix(data, terms_T, "treatment")
    only_T = frame_T.columns.difference(frame_O.columns, sort=False)
    frame = pd.concat([frame_O, frame_T[only_T]], axis=1)
    kind = _kind(t, lhs_T)
    _check_spread(y, lhs_O, frame)
    scales = pd.DataFrame({"mean": frame.mean(), "sd": frame.std(ddof=0)})
    C = ((frame - scales["mean"]) / scales["sd"]).to_numpy(dtype=float)
    design = Design(
        y=y, t=t, C=C, covariates=tuple(frame.columns), in_outcome=frame.columns.isin(frame_O.columns),
        in_treatment=frame.columns.isin(frame_T.columns),
        moderates=frame.columns.isin([label for term in moderators for label in labels[term]]),
        intercept_O=intercept_O, intercept_T=intercept_T, outcome=lhs_O, treatment=lhs_T, kind=kind, scales=scales,
    )  # fmt: skip
    _check_rank(design)
    if kind == "binary":
        _check_overlap(design)
    return design


def read_formula(text, argument):
    """The two sides of a formula, or a sentence that says why there are none."""
    try:
        formula = formulaic.Formula(text)
        formula.lhs, formula.rhs  # noqa: B018
    except AttributeError as error:
        raise ValueError(f"{argument}={text!r} is not a two-sided formula such as 'y ~ t + x'.") from error
    except FormulaicError as error:
        raise ValueError(
            f"{argument}={text!r} cannot be read as a formula such as 'y ~ t + x'; a name with spaces or signs stands "
            "in backticks: `Body Mass (kg)`."
        ) from error
    return formula


def _parse(data, text, argument):
    formula = read_formula(text, argument)
    lhs, rhs = formula.lhs, formula.rhs
    if odd := [name for name in re.findall(r"`([^`]+)`", text) if not name.isidentifier()]:
        raise ValueError(
            f"{argument}={text!r}: {odd[0]!r} is no plain word; accepted are plain words: "
            "read_table(data, outcome=..., treatment=...) makes them, in the data and in the formulas."
        )
    missing = sorted(map(str, formula.required_variables - set(data.columns)))
    if missing:
        raise ValueError(
            f"{argument}={text!r} names {missing}, which the data do not have; "
            f"their columns are {list(map(str, data.columns))}."
        )
    columns = data[sorted(map(str, formula.required_variables))]
    holes = columns.isna().sum()
    if holes.any():
        counts = ", ".join(f"{name!r} has {k}" for name, k in holes[holes > 0].items())
        raise ValueError(
            f"{argument}={text!r}: {counts} missing values (NaN) of {len(data)} rows; accepted are complete "
            f"rows: drop them with data.dropna(subset={list(holes[holes > 0].index)}) or fill them in."
        )
    for name, column in columns.select_dtypes("number").items():
        _check_finite(column, name, argument)
    terms = [term for term in rhs if str(term) not in "01"]
    return str(next(iter(lhs))), terms, "1" in map(str, rhs)


def _moderated(terms, formula, outcome, treatment):
    """The covariates' terms of the outcome formula, and which of them the treatment is multiplied by."""
    factors = {frozenset(str(factor) for factor in term.factors): term for term in terms}
    if frozenset([treatment]) not in factors:
        raise ValueError(
            f"outcome={formula!r} does not contain the treatment {treatment!r}, so it has no effect to estimate; "
            f"write it as a term of its own: '{outcome} ~ {treatment} + ...'."
        )
    plain = {names: term for names, term in factors.items() if treatment not in names}
    moderators = [names - {treatment} for names in factors if treatment in names and len(names) > 1]
    for names in moderators:
        if names not in plain:
            alone = ":".join(sorted(names))
            raise ValueError(
                f"outcome={formula!r} multiplies the treatment by {alone!r}, which is no term of its own, so its "
                f"effect on untreated rows would be forced to zero; write '{treatment} * {alone}'."
            )
    return list(plain.values()), [plain[names] for names in moderators]


def _check_apart(terms, treatment):
    """Refuse a covariate that is made from the treatment: it would carry a part of the effect."""
    own = formulaic.Formula(f"0 + {treatment}").required_variables
    made = [str(term) for term in terms if own & formulaic.Formula(f"0 + {term}").required_variables]
    if made:
        raise ValueError(
            f"the treatment {treatment!r} stands inside the terms {made}; it is accepted as one term of the outcome "
            "formula, by itself or multiplied by covariates, and nowhere in the right-hand side of its own formula."
        )


def _check_finite(values, name, argument):
    infinite = int((~np.isfinite(np.asarray(values, dtype=float))).sum())
    if infinite:
        raise ValueError(
            f"{argument}: {name!r} has {infinite} infinite or undefined values; accepted are finite numbers."
        )


def _column(data, name, argument):
    """One side of an equation: a single numeric column, evaluated as the formula says."""
    frame = pd.DataFrame(formulaic.model_matrix(f"0 + {name}", data))
    raw = data[name] if name in data else frame.iloc[:, 0]
    if frame.shape[1] != 1 or not pd.api.types.is_numeric_dtype(raw):
        words = sorted(map(str, pd.unique(raw)))
        more = ", and for a binary treatment the numbers 0 and 1" if argument == "treatment" else ""
        if more and len(words) == 2:
            more += f": (data[{name!r}] == {words[1]!r}).astype(int)"
        raise ValueError(f"{argument}: {name!r} holds {words[:4]}; accepted are numbers{more}.")
    values = frame.iloc[:, 0].to_numpy(dtype=float)
    _check_finite(values, name, argument)
    return values


def _matrix(data, terms, argument):
    """Covariate columns, dummies coded against a reference level whether or not there is an intercept.

    Also the labels of each term's columns.
    """
    matrix = formulaic.model_matrix(" + ".join(["1", *map(str, terms)]), data)
    frame = pd.DataFrame(matrix).drop(columns="Intercept")
    for name in frame:
        _check_finite(frame[name], name, argument)
    names = matrix.columns.astype(str)
    labels = {term: list(names[places]) for term, places in matrix.model_spec.term_indices.items()}
    return frame.set_axis(frame.columns.astype(str), axis=1).astype(float), labels


def _kind(t, name):
    levels = np.unique(t)
    if len(levels) == 1:
        raise ValueError(f"the treatment {name!r} is constant at {levels[0]:g}; it must vary to have an effect.")
    if set(levels) == {0.0, 1.0}:
        return "binary"
    if len(levels) < FEWEST_DOSES:
        raise ValueError(
            f"the treatment {name!r} has the {len(levels)} values {levels.tolist()}; accepted are a binary "
            f"treatment coded 0 and 1, or a continuous one with at least {FEWEST_DOSES} distinct values."
        )
    return "continuous"


def _check_spread(y, outcome, frame):
    if np.ptp(y) == 0:
        raise ValueError(f"the outcome {outcome!r} is constant at {y[0]:g}; it must vary.")
    for name in frame:
        if np.ptp(frame[name]) == 0:
            raise ValueError(
                f"the covariate {name!r} is constant at {frame[name].iloc[0]:g}, which is collinear with the "
                "intercept; leave it out."
            )


def _check_rank(design):
    effects = np.column_stack([design.M * design.dose[:, None], design.dose])
    products = [f"{design.treatment}:{label}" for label in design.moderators]
    blocks = {
        "outcome": (design.in_outcome, [effects - effects.mean(axis=0)], [*products, design.treatment]),
        "treatment": (design.in_treatment, [], []),
    }
    for equation, (mask, extra, names) in blocks.items():
        labels = [*np.array(design.covariates, dtype=object)[mask], *names]
        columns = len(labels) + 1
        if design.n <= columns:
            raise ValueError(
                f"the {equation} equation has {design.n} rows for {columns} columns; "
                "accepted are more rows than columns: leave terms out or bring more data."
            )
        if not labels:
            continue
        M = np.column_stack([design.C[:, mask], *extra])
        M = np.linalg.qr(M / M.std(axis=0), mode="r")  # same rank, same relations, few rows
        R, order = qr(M, mode="r", pivoting=True)
        rank = int((np.abs(np.diag(R)) > 1e-8 * abs(R[0, 0])).sum())
        if rank < len(labels):
            culprit = order[rank]
            others, *_ = np.linalg.lstsq(np.delete(M, culprit, axis=1), M[:, culprit], rcond=None)
            partners = [label for label, b in zip(np.delete(labels, culprit), others) if abs(b) > 1e-6]
            raise ValueError(
                f"{labels[culprit]!r} is collinear with {partners} in the {equation} equation: "
                "the data cannot tell them apart; leave one of them out."
            )


def _check_overlap(design):
    """Refuse perfect separation: then no finite probit coefficient is the best one.

    Newton's method finding a maximum proves that one exists. Only if it finds none is the question
    put to a linear programme (Konis 2007): is there a direction in which no row is on the wrong side?
    """
    Z = np.column_stack([np.ones(design.n), design.C[:, design.in_treatment]])
    if probit(Z, design.t).converged:
        return
    signed = (2 * design.t - 1)[:, None] * Z
    best = linprog(-signed.sum(0), A_ub=-signed, b_ub=np.zeros(design.n), bounds=(-1, 1))
    if best.status == 0 and -best.fun > 1e-6:
        labels = np.array(["the intercept", *np.array(design.covariates, dtype=object)[design.in_treatment]])
        weight = np.abs(best.x)
        guilty = labels[weight > 1e-3 * weight.max()].tolist()
        raise ValueError(
            f"perfect separation: a combination of {guilty} predicts the treatment {design.treatment!r} without "
            "error for some or all rows, so the probit coefficients run off to infinity; leave those terms out, "
            "merge rare levels, or keep the rows where both treatments occur."
        )
