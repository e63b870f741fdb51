"""Two formulas and a data frame become a checked design: the one place that standardises.

A response of zeros and ones is binary, any other is continuous.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from which_world import arguments
from which_world.design import Design, check_varies, warn_long
from which_world.moments import on_one_thread
from which_world.tables import formulas, frames, pieces
from which_world.tables.guards import (
    BESIDE,
    LOST_DIGITS,
    LOST_DIGITS_OF_A_RESPONSE,
    SAME,
    check_answers,
    check_overlap,
    check_rank,
    check_spread,
    check_unit,
    refuse_pieces,
    standardised,
)

if TYPE_CHECKING:
    import dask.dataframe as dd
    from formulaic.parser.types import Term

Kind = Literal["binary", "continuous"]
Equations = tuple[
    formulas.ParsedFormula, formulas.ParsedFormula
]  # of the outcome and of the treatment


FEWEST_DOSES = 5  # a treatment with fewer distinct values is neither binary nor continuous
# seconds for each row and squared column, without and with a binary response
PER_SQUARE = {False: 4e-10, True: 8e-9}
# and where most columns are a factor's, which are swept out: for each number, and cubed column
PER_NUMBER, PER_CUBE = 1.5e-7, 2e-10
TOO_LONG = 300.0  # seconds of checks beside a binary response: a map takes a hundred times as long


class Side(NamedTuple):
    """Covariates of one equation, one column each, whether it has an intercept, and sentences."""

    columns: pd.DataFrame
    intercept: bool
    notes: list[str]


class Covariates(NamedTuple):
    """Covariates of both equations, the labels of those in the treatment's, and sentences."""

    columns: pd.DataFrame
    in_treatment: list[str]
    notes: list[str]


@on_one_thread
def make_design(
    data: pd.DataFrame | dd.DataFrame | str | PathLike[str],
    *,
    outcome: str,
    treatment: str,
    outcome_kind: Kind | None = None,
    step: float | None = None,
) -> Design:
    """A checked design of two formulas and a data frame; what cannot be used is refused.

    Parameters
    ----------
    data : pandas.DataFrame, dask.dataframe.DataFrame or path
        Rows in memory, which may be those of a polars DataFrame or a pyarrow Table as well; or data
        that come in pieces: a Dask DataFrame, or the path of Parquet files. Those are read twice,
        piece by piece, and the design holds as many rows as it has columns, and three, with the
        means, variances and covariances of all. Where outcome or treatment is binary each row
        counts: the design holds some 65,000 of them as well, and whatever asks for its likelihood
        has all read again.
    outcome : str
        Formula of the outcome equation, with the treatment among its terms: ``"wt82_71 ~ qsmk + age
        + C(education)"``. ``qsmk * age`` lets the effect change with age: age is then a moderator,
        α the effect at average age and δ its change per standard deviation of age.
    treatment : str
        Formula of the treatment equation: ``"qsmk ~ age + C(education) + price82"``. A term that
        stands here and not in the outcome formula is an instrument.
    outcome_kind : {"binary", "continuous"}, optional
        Left out, an outcome of zeros and ones (or of False and True) is binary and gets a probit
        equation. ``"continuous"`` asks for a straight line through zeros and ones instead.
    step : float, optional
        By how much a continuous treatment is moved, in its own units, where its effect on the
        chance of a binary outcome is read. Left out: 1, if the middle 95 % of the treatment span
        one unit, and otherwise the power of ten nearest to its standard deviation, since a unit
        that no row has ever been moved by tells of the curve of Φ and not of the treatment. (Of
        data in pieces, the middle of those rows that the design holds.) No other outcome or
        treatment has one: there α is the effect of one unit.

    Returns
    -------
    Design
        ``kind`` is ``"binary"`` for a treatment of zeros and ones and ``"continuous"`` otherwise;
        ``outcome_kind`` likewise. Both equations have an intercept unless their formula says ``0
        +``. As elsewhere, that only recodes a factor, whose levels add up to a constant. Where no
        columns do, the plane goes through zero of the raw columns: covariates are then scaled and
        not centred, and with moderators α is the effect where these are zero.

    Raises
    ------
    ValueError
        Naming the column: when it is missing, has NaN or infinite values, is constant, is collinear
        with others, or stands in the outcome formula and separates the treated from the untreated
        perfectly (an instrument may: nobody joins who was not asked); when the outcome has two
        values that are not 0 and 1, or the treatment predicts a binary one without error in some
        rows; when `step` is not positive, or the outcome and the treatment have none; when the
        treatment is constant, has three or four values, is absent from the outcome formula, or
        stands inside another term than a product with a covariate that has a term of its own; when
        there are fewer rows than columns; when thousands of levels stand beside a binary response,
        before any work; when a continuous outcome or treatment is an exact
        combination of the columns of its equation; when numbers are too large, too small or too far
        from zero for arithmetic.

    Warns
    -----
    UserWarning
        Before any work, when levels are so many that the columns they make take long to be checked.

    See Also
    --------
    read_table : Rows of a file, and formulas with names in backticks.
    map_rho : The effect of a design at every ρ.
    joint_model : The model of a design, to be sampled.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design
    >>> data = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=["x", "z", "y"])
    >>> data["t"] = (data.x + data.z > 0).astype(int)
    >>> make_design(data, outcome="y ~ t * x", treatment="t ~ x")
    Design(y on t (binary), n=200, 1 covariates, instruments: none, moderators: x)

    A covariate of the treatment alone is an instrument.

    >>> make_design(data.assign(t=data.x + data.z), outcome="y ~ t", treatment="t ~ x").instruments
    ('x',)
    """
    in_pieces = pieces.in_pieces(data)
    if not in_pieces:
        data = frames.check_frame(data)
    arguments.one_of(outcome_kind, (None, *get_args(Kind)), "outcome_kind")
    equations = formulas.parse(outcome, "outcome"), formulas.parse(treatment, "treatment")
    _warn_of_levels(data, equations)
    terms, moderators = formulas.split_moderators(*equations)
    formulas.check_apart(*equations, terms)
    read = _columns(data, equations, terms, moderators)

    design, side_T = _design(read, equations, moderators, outcome_kind)
    check_rank(design, side_T)
    if read.n and not in_pieces:
        design = _with_all_rows(design, data, equations, terms, read.levels, step)
    else:
        design = _stepped(design, step)
    check_overlap(design)
    check_answers(design)
    return design


def _columns(
    data, equations: Equations, terms: list[Term], moderators: list[Term]
) -> pieces.Evaluated:
    """Responses and covariates of both equations, row by row or condensed."""
    in_pieces = pieces.in_pieces(data)
    if in_pieces and moderators:
        names = ", ".join(map(str, moderators))
        refuse_pieces(f"the effect changes with {names}, so that every row's product counts")
    if in_pieces or (pieces.better_in_pieces(data, equations) and not moderators):
        return pieces.condense(data, equations, terms)
    rows, notes = frames.usable(data, equations)
    y, t, outcome, treatment = frames.columns_of(rows, *equations, terms)
    responses = {"outcome": y, "treatment": t}
    return pieces.Evaluated(y, t, outcome, treatment, None, notes, responses, {})


def _design(
    read: pieces.Evaluated,
    equations: Equations,
    moderators: list[Term],
    outcome_kind: Kind | None,
) -> tuple[Design, pd.DataFrame]:
    """A design of what was read, and the columns of its treatment equation."""
    outcome, treatment = (equation.response.expr for equation in equations)
    kind = _treatment_kind(read.values["treatment"], treatment)
    check_unit(read.t, f"the treatment {treatment!r}", BESIDE, LOST_DIGITS_OF_A_RESPONSE)
    labels = read.outcome.attrs["labels"]
    moderating = [label for term in moderators for label in labels[term]]
    made_of = _made_of(equations, (read.outcome, read.treatment))
    side_O, side_T = _with_intercept(read.outcome, moderating), _with_intercept(read.treatment)
    check_spread(read.y, outcome, side_O.columns, side_T.columns)
    outcome_kind = _outcome_kind(read.values["outcome"], outcome, outcome_kind)

    centred = side_O.intercept and side_T.intercept
    both = _instruments(side_O, side_T, centred)
    columns = both.columns
    design = Design(
        y=read.y,
        t=read.t,
        C=standardised(columns, centred),
        covariates=tuple(columns),
        in_outcome=columns.columns.isin(side_O.columns.columns),
        in_treatment=columns.columns.isin(both.in_treatment),
        moderates=columns.columns.isin(moderating),
        intercept_O=side_O.intercept,
        intercept_T=side_T.intercept,
        outcome=outcome,
        treatment=treatment,
        kind=kind,
        scales=_scales(columns, centred),
        notes=tuple(dict.fromkeys([*read.notes, *side_O.notes, *side_T.notes, *both.notes])),
        outcome_kind=outcome_kind,
        stands_for=read.n,
        all_rows=read.all_rows if "binary" in (outcome_kind, kind) else None,
        terms=tuple(made_of[label][0] for label in columns),
        variables=tuple(made_of[label][1] for label in columns),
    )
    return design, side_T.columns


def _scales(columns: pd.DataFrame, centred: bool) -> pd.DataFrame:
    """What each column is measured from, and in."""
    values = columns.to_numpy()
    scales = {"mean": values.mean(axis=0) * centred, "sd": values.std(axis=0)}
    return pd.DataFrame(scales, index=columns.columns)


def _with_all_rows(condensed, data, equations, terms, levels, step):
    """A condensed design with the rows it stands for; what it was is kept for least squares."""
    y, t, C = pieces.standardised_rows(data, equations, terms, levels, condensed.scales)
    design = _stepped(replace(condensed, y=y, t=t, C=C, stands_for=None), step)
    design.kept["condensed"] = condensed
    return design


def _made_of(equations, sides):
    """The term and the variables of each column of two equations, by label."""
    made = {}
    for equation, frame in zip(equations, sides):
        for term, labels in frame.attrs["labels"].items():
            origin = str(term), tuple(sorted(equation.uses(term)))
            for label in labels:
                made.setdefault(label, origin)
    return made


def _warn_of_levels(data, equations: Equations) -> None:
    """Say how long it takes, before any work, where a category has very many levels.

    Refuse what would take hours.
    """
    if pieces.in_pieces(data):
        return
    named = formulas.merged(equation.names for equation in equations)
    levels = {name: _levels(data[name], made) for name, made in named.items() if name in data}
    widths = [_widths(equation, levels, len(data)) for equation in equations]
    width = max(map(sum, widths))
    responses = [equation.response.expr for equation in equations]
    binary = any(data[name].nunique() == 2 for name in responses if name in data)
    most = max(levels, key=lambda name: levels[name], default="")
    work = (
        f"{most!r} has {levels.get(most, 0):,} levels in {len(data):,} rows; "
        f"to check {width:,.0f} columns"
    )
    seconds = max(_seconds(len(data), own, binary) for own in widths)
    if binary and seconds > TOO_LONG:
        raise ValueError(
            f"{work} beside a yes or a no takes some {seconds / 60:.0f} minutes, and a map hours; "
            f"accepted are fewer levels (a coarser grouping, such as the region of a shop) or, "
            "for a straight line, outcome_kind='continuous' with a continuous treatment, where "
            "thousands of levels cost little."
        )
    warn_long(seconds, work, binary)


def _levels(column: pd.Series, made: bool) -> int:
    """How many levels a column has as a category; one if it is a number."""
    if not made and pd.api.types.is_numeric_dtype(column):
        return 1
    values = column.drop_duplicates()
    number = pd.to_numeric(values, errors="coerce").notna().all()
    return len(values) if made or not number else 1


def _widths(equation: formulas.ParsedFormula, levels: Mapping[str, int], rows: int) -> list[float]:
    """How many columns each term of an equation makes, at most one a row.

    Those of the factor that makes most come first, or a zero where there is no factor.
    """
    factors: list[float] = [0.0]
    numbers: list[float] = []
    for term in equation.terms:
        each = [float(levels.get(name, 1)) for name in equation.uses(term)]
        (factors if min(each, default=1) > 1 else numbers).append(min(rows, np.prod(each)))
    return [*sorted(factors, reverse=True), *numbers]


def _seconds(rows: int, widths: list[float], binary: bool) -> float:
    """What it takes to check the columns of an equation."""
    width, rest = sum(widths), sum(widths[1:])
    if binary or widths[0] > rows / 2 or rest > width / 2:
        return PER_SQUARE[binary] * rows * width**2
    swept = PER_SQUARE[binary] * rows * rest**2
    return swept + PER_NUMBER * rows * width + PER_CUBE * width**3


def _with_intercept(frame: pd.DataFrame, moderating: Collection[str] = ()) -> Side:
    """An equation's columns; where numbers add up to a constant that ``0 +`` kept, less one.

    One of these numbers is left out, as a factor's reference level is: the span stays what it was.
    None that changes the effect, unless all of them do: their products with the treatment add up to
    the treatment then.
    """
    if frame.attrs["intercept"] or frame.shape[1] == 0:
        return Side(frame, frame.attrs["intercept"], [])
    roots = np.sqrt((frame**2).mean().clip(lower=1e-300))
    scaled = frame.to_numpy() / roots.to_numpy()
    parts, *_ = np.linalg.lstsq(scaled, np.ones(len(scaled)))
    digits = SAME * (scaled * parts).std(axis=0).max() + LOST_DIGITS
    if np.abs(scaled @ parts - 1).max() > digits:
        return Side(frame, False, [])
    adding_up = frame.columns[np.abs(parts) > SAME * np.abs(parts).max()]
    constant = [name for name in adding_up if np.ptp(frame[name]) == 0]
    plain = [name for name in adding_up if name not in moderating]
    left_out = constant[0] if constant else (plain or adding_up)[-1]
    note = (
        f"{', '.join(adding_up)} add up to a constant, so there is an intercept "
        f"and {left_out} is left out."
    )
    return Side(frame.drop(columns=left_out), True, [note] if len(adding_up) > 1 else [])


def _instruments(outcome, treatment, centred):
    """The columns of both equations, without those of the treatment's that are no instruments.

    A column of the treatment formula alone is an instrument if it adds rank to the outcome
    formula's columns and the instruments before it. If not, it is a combination of them: they stand
    in its stead, and for a treatment formula whose columns all are such, both equations have the
    same span. Two of three dummies of ``C(g)`` may so be covariates, and the third an instrument.
    """
    in_treatment = list(treatment.columns)
    alone = treatment.columns.columns.difference(outcome.columns.columns, sort=False)
    if alone.empty:
        return Covariates(outcome.columns, in_treatment, [])
    columns = pd.concat([outcome.columns, treatment.columns[alone]], axis=1)
    values = standardised(columns, centred)
    if not centred and outcome.intercept:
        values = values - values.mean(axis=0)  # what the outcome's constant takes out
    R = np.linalg.qr(values, mode="r")  # same relations, few rows

    kept, notes = list(outcome.columns), []
    for label in alone:
        column = R[:, columns.columns.get_loc(label)]
        others = R[:, columns.columns.get_indexer(kept)]
        parts, *_ = np.linalg.lstsq(others, column)
        left = np.linalg.norm(column - others @ parts)
        if not kept or left > SAME * np.linalg.norm(column):
            kept.append(label)
            continue
        size = np.abs(parts)
        partners = [name for name, part in zip(kept, size) if part > SAME * size.max()]
        in_treatment += partners
        stand = "which stands" if len(partners) == 1 else "which stand"
        made_of = f"it is made of {', '.join(partners)}, {stand} in its stead"
        notes.append(f"{label} is no instrument of its own: {made_of}.")
    return Covariates(columns[kept], in_treatment, notes)


def _treatment_kind(t: np.ndarray, name: str) -> Kind:
    """The kind of a treatment with these values, or a refusal of one with too few."""
    check_varies(t, name, "treatment", " to have an effect")
    levels = np.unique(t)
    if set(levels) == {0.0, 1.0}:
        return "binary"
    if len(levels) < FEWEST_DOSES:
        raise ValueError(
            f"the treatment {name!r} has the {len(levels)} values {levels.tolist()}; accepted are "
            "a binary treatment coded 0 and 1, or a continuous one with at least "
            f"{FEWEST_DOSES} distinct values: {frames.advised(t, name, 'treatment')}."
        )
    return "continuous"


def _outcome_kind(y: np.ndarray, name: str, wanted: Kind | None) -> Kind:
    """The kind of an outcome with these values, or the kind that the reader wants."""
    levels = np.unique(y)
    if set(levels) == {0.0, 1.0}:
        return wanted or "binary"
    if wanted == "binary" or (len(levels) == 2 and wanted is None):
        low, high = (f"{level:.15g}" for level in levels[[0, -1]])
        how_many = (
            f"{len(levels)} or more" if len(levels) == pieces.FEW_VALUES + 1 else f"{len(levels)}"
        )
        raise ValueError(
            f"the outcome {name!r} has {how_many} values, from {low} to {high}; accepted as a yes "
            f"or a no are 0 and 1: {frames.advised(y, name, 'outcome')}; or "
            "outcome_kind='continuous' (--outcome-kind continuous) for a straight line."
        )
    return "continuous"


def _stepped(design: Design, step: float | None) -> Design:
    """A design with the change in its treatment for which the effect on a binary outcome is read.

    Where none is wanted it is one unit, if the middle 95 % of the treatment span as much, else the
    power of ten nearest to the treatment's standard deviation.
    """
    if design.kinds != ("binary", "continuous"):
        if step is None:
            return design
        raise ValueError(
            f"step={arguments.brief(step)} with a {design.outcome_kind} outcome and a "
            f"{design.kind} treatment; accepted is a step where the outcome is binary and the "
            "treatment continuous: elsewhere the effect is that of one unit, or of 1 against 0."
        )
    step = arguments.optional(arguments.positive, step, "step")
    at_hand = design if design.all_rows is None else design.all_rows.part(design)
    low, high = np.quantile(at_hand.t, [0.025, 0.975])
    if step is None:
        nearest = np.floor(np.log10(design.t.std()) + 0.5)
        step = 1.0 if high - low >= 1 else float(f"1e{nearest:.0f}")
    if step == 1:
        return design
    note = (
        f"The effect is read for {step:g} more of {design.treatment}: "
        f"its middle 95 % span {high - low:.2g}. α stays per unit."
    )
    return replace(design, step=step, notes=(*design.notes, note))
