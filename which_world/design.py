"""A design: outcome, treatment and standardised covariates, with what their formulas said of them.

The outcome and the treatment keep the reader's units, so an effect needs no conversion; covariates
are standardised. The outcome equation measures a continuous treatment from its mean.
`which_world.tables.making` makes designs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, Protocol

import numpy as np
import pandas as pd

from which_world import arguments

LONG = 20.0  # seconds of work that are worth a warning beforehand
UNITS = {"hours": 3600, "minutes": 60, "seconds": 1}


class AllRows(Protocol):
    """The rows of a design that no memory holds."""

    def total(self, design: Design, work: Callable[[Design], Any]) -> Any:
        """What `work` finds in the design of each block of rows, added up: they are read once."""

    def part(self, design: Design) -> Design:
        """The design of as many of the rows, drawn at random, as a memory does hold."""


@dataclass(frozen=True, eq=False)
class Design:
    """What two formulas make of a data frame; built by `make_design`, never by hand.

    Attributes
    ----------
    y, t : ndarray, shape (n,)
        Outcome and treatment in the reader's units.
    C : ndarray, shape (n, p)
        Every covariate of either equation, standardised; not centred where an equation has no
        constant. Columns are named by `covariates`.
    in_outcome, in_treatment : ndarray of bool, shape (p,)
        Which covariates stand in which equation. A column of the second only is an instrument.
    moderates : ndarray of bool, shape (p,)
        Which covariates change the effect: those that the outcome formula multiplies by the
        treatment.
    intercept_O, intercept_T : bool
        Whether each equation has a constant: unless its formula says ``0 +``, and even then if its
        columns add up to one, as the levels of a factor do.
    scales : DataFrame
        ``mean`` and ``sd`` of each covariate before it was standardised; a mean of zero where none
        was subtracted.
    centre : float, optional
        What the outcome equation subtracts from the treatment, `t_mean`, when it is not to be taken
        from `t`.
    kind, outcome_kind : {"binary", "continuous"}
        Of the treatment and of the outcome; `kinds` is the pair, outcome first.
    notes : tuple of str
        What was decided when the formulas were read, in sentences: a term that is no instrument, a
        level without rows.
    stands_for : int, optional
        How many observations the rows of `y`, `t` and `C` stand for, each for as many as any other,
        where data that no memory holds were condensed: the rows then have their means, variances
        and covariances, and are none of them.
    all_rows : AllRows, optional
        The observations themselves, where a binary response makes each of them count: read again
        whenever `total` asks for a sum over them.
    step : float
        By how much a continuous treatment is moved where its effect on the chance of a binary
        outcome is read; 1 for all other designs.
    terms : tuple of str
        The term of the formula that each column of C belongs to: ``"C(education)"``,
        ``"age:C(g)"``.
    variables : tuple of tuple of str
        The data's own columns that this term is made of: ``("age", "g")``.
    kept : dict
        What has been worked out of these columns and would be worked out again; a changed design
        starts without it.

    See Also
    --------
    make_design : builds one.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame(rng.normal(size=(100, 4)), columns=["Y", "T", "X", "Z"])
    >>> design = make_design(table, outcome="Y ~ T * X", treatment="T ~ X + Z")
    >>> design.n, design.kinds
    (100, ('continuous', 'continuous'))
    >>> design.covariates, design.instruments, design.moderators
    (('X', 'Z'), ('Z',), ('X',))
    """

    y: np.ndarray
    t: np.ndarray
    C: np.ndarray
    covariates: tuple[str, ...]
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
    notes: tuple[str, ...] = ()
    outcome_kind: str = "continuous"
    stands_for: int | None = None
    all_rows: AllRows | None = field(default=None, repr=False)
    step: float = 1.0
    terms: tuple[str, ...] = ()
    variables: tuple[tuple[str, ...], ...] = ()
    kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def kinds(self) -> tuple[str, str]:
        """The kinds of the outcome and of the treatment: what the likelihood looks up."""
        return self.outcome_kind, self.kind

    @property
    def t_mean(self) -> float:
        """What the outcome equation subtracts from the treatment.

        The mean of a continuous treatment, so that the intercept is the outcome of an average row
        and its prior says nothing about α; zero for a binary treatment, whose intercept is that of
        the untreated, and without one.
        """
        if self.centre is not None:
            return self.centre
        return float(self.t.mean()) if self.kind == "continuous" and self.intercept_O else 0.0

    @property
    def dose(self) -> np.ndarray:
        """The treatment as the outcome equation has it, shape (n,)."""
        return self.t - self.t_mean

    @property
    def instruments(self) -> tuple[str, ...]:
        """Labels of the covariates that stand in the treatment equation alone."""
        return self.labels(self.in_treatment & ~self.in_outcome & ~self.moderates)

    @property
    def moderators(self) -> tuple[str, ...]:
        """Labels of the covariates that change the effect."""
        return self.labels(self.moderates)

    @property
    def M(self) -> np.ndarray:
        """The moderators' columns of C, shape (n, k).

        α is the effect where they are zero, which is their average if they are centred.
        """
        return self.C[:, self.moderates]

    @property
    def n(self) -> int:
        """Number of observations."""
        return self.stands_for or len(self.y)

    def labels(self, mask: np.ndarray) -> tuple[str, ...]:
        """Labels of the covariates for which a mask, shape (p,), is true."""
        return tuple(np.array(self.covariates, dtype=object)[mask])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "kept": {}}

    def __repr__(self) -> str:
        outcome = f"{self.outcome} (binary)" if self.outcome_kind == "binary" else self.outcome
        treatment = f"{self.treatment} ({self.kind})"
        parts = [
            f"{outcome} on {treatment}",
            f"n={self.n:,}",
            f"{len(self.covariates)} covariates",
            f"instruments: {', '.join(self.instruments) or 'none'}",
        ]
        if self.moderators:
            parts.append(f"moderators: {', '.join(self.moderators)}")
        return " ".join([f"Design({', '.join(parts)})", *self.notes])

    def _repr_html_(self) -> str:
        """The same for a notebook, with a row for each covariate."""
        marks = {"outcome": self.in_outcome, "treatment": self.in_treatment}
        if self.moderators:
            marks["moderates"] = self.moderates
        seen = {name: np.where(mark, "✓", "") for name, mark in marks.items()}
        table = pd.DataFrame(seen, index=list(self.covariates)).join(pd.DataFrame(self.scales))
        return f"<p>{escape(repr(self))}</p>{table.to_html(max_rows=20)}"


def check_design(design: Any) -> Design:
    """The design, if it is one whose outcome and treatment vary: `replace` may have made it so."""
    _check_is_design(design)
    check_varies(design.t, design.treatment, "treatment", " to have an effect")
    check_varies(design.y, design.outcome, "outcome")
    return design


def _check_is_design(design):
    accepted = "a Design from make_design(data, outcome=..., treatment=...)"
    return arguments.instance(design, Design, "design", accepted)


def check_varies(values: np.ndarray, name: str, role: str, what_for: str = "") -> None:
    """Refuse a response that is the same in every row."""
    if np.ptp(values) == 0:
        raise ValueError(
            f"the {role} {name!r} is constant at {values[0]:g}; it must vary{what_for}."
        )


def check_rows(design: Any) -> Design:
    """The design, if its rows are at hand and do not stand for others."""
    if _check_is_design(design).stands_for:
        raise ValueError(
            f"design stands for {design.n:,} rows in {len(design.y)}, and this looks at each row; "
            "accepted is a design of a pandas.DataFrame, such as a random part of the data: "
            "data.sample(frac=0.01).compute()."
        )
    return design


def total(design: Design, work: Callable[[Design], Any]) -> Any:
    """What `work` finds in a design, added up over its rows where these come in pieces."""
    return work(design) if design.all_rows is None else design.all_rows.total(design, work)


def check_few(design: Any) -> Design:
    """The design, if the rows it holds are all that its likelihood reads."""
    if check_design(design).all_rows is not None:
        raise ValueError(
            f"design has {design.n:,} rows that come in pieces, and this would read each of them "
            "again and again; accepted are ols, maximum_likelihood, map_rho and its readings, or a "
            "design of a pandas.DataFrame, such as a random part of the data: "
            "data.sample(frac=0.01).compute()."
        )
    return design


def with_covariates(design: Design, keep: np.ndarray) -> Design:
    """The design with some of its covariates, a mask of shape (p,), in either equation."""
    places = np.flatnonzero(keep)
    return replace(
        design,
        C=design.C[:, keep],
        covariates=design.labels(keep),
        in_outcome=design.in_outcome[keep],
        in_treatment=design.in_treatment[keep],
        moderates=design.moderates[keep],
        scales=design.scales[keep],
        terms=tuple(design.terms[place] for place in places) if design.terms else (),
        variables=tuple(design.variables[place] for place in places) if design.variables else (),
    )


def terms_of(design: Design) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The term of each column, and the data's own columns it is made of.

    A column made by hand is its own term.
    """
    terms = design.terms or design.covariates
    return terms, design.variables or tuple((term,) for term in terms)


def warn_long(seconds: float, work: str, binary: bool) -> None:
    """Warn of work that takes long, and say what else may be done."""
    if seconds < LONG:
        return
    unit = next(name for name, size in UNITS.items() if seconds > 1.5 * size)
    if binary:
        faster = "for a straight line, outcome_kind='continuous' and a continuous treatment"
    else:
        faster = (
            "since both responses are continuous, the same regression without them: subtract from "
            "outcome, treatment and covariates each level's mean, "
            "x - x.groupby(level).transform('mean'), and leave the level out; intervals are then "
            "too narrow by √(1 - levels/rows)"
        )
    arguments.warn(
        f"{work} takes some {seconds / UNITS[unit]:.0f} {unit}. Beside waiting, accepted are a "
        f"coarser grouping or, {faster}."
    )
