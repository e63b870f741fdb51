"""Two formulas and a data frame become a checked design.

This is the one place that standardises. Zeros and ones are a yes or a no.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from which_world import arguments
from which_world.design import Design, warn_long
from which_world.tables import formulas, pieces
from which_world.tables.guards import (
    BESIDE,
    DIGITS,
    FAR,
    SAME,
    check_answers,
    check_condensed,
    check_overlap,
    check_rank,
    check_spread,
    check_unit,
    refuse_pieces,
    standardised,
)

PER_SQUARE = {
    False: 4e-10,
    True: 8e-9,
}  # seconds for each row and squared column, without and with a binary response
FEWEST_DOSES = 5  # a treatment with fewer distinct values is neither binary nor continuous
KINDS = "binary", "continuous"


def make_design(data, *, outcome, treatment, outcome_kind=None, step=None):
    """Read two formulas against a data frame, and refuse what cannot be used.

    Parameters
    ----------
    data : pandas.DataFrame, dask.dataframe.DataFrame or path
        Rows in memory; or, where outcome and treatment are continuous, data that come in pieces: a
        Dask DataFrame, or the path of Parquet files. Those are read twice, piece by piece, and the
        design holds as many rows as it has columns, and three, with the means, variances and
        covariances of all.
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
        that no row has ever been moved by tells of the curve of Φ and not of the treatment. No
        other outcome or treatment has one: there α is the effect of one unit.

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
        there are fewer rows than columns; when a continuous outcome or treatment is an exact
        combination of the columns of its equation; when numbers are too large, too small or too far
        from zero for arithmetic.

    Warns
    -----
    UserWarning
        Before any work, when levels are so many that the columns they make take long to be checked.
    """
    if not pieces.come(data):
        formulas.check_frame(data)
    arguments.one_of(outcome_kind, (None, *KINDS), "outcome_kind")
    both = formulas.read(outcome, "outcome"), formulas.read(treatment, "treatment")
    _warn_of_levels(data, both)
    lhs_O, lhs_T = (equation.response.expr for equation in both)
    (y, t, frame_O, frame_T, n, notes, values, levels), terms, moderators = _columns(data, both)
    kind = _kind(values["treatment"], lhs_T)
    check_unit(t, f"the treatment {lhs_T!r}", BESIDE, FAR)
    moderating = [label for term in moderators for label in frame_O.attrs["labels"][term]]
    made_of = _made_of(both, (frame_O, frame_T))
    (frame_O, one_O, made_O), (frame_T, one_T, made_T) = (
        _constant(frame_O, moderating),
        _constant(frame_T),
    )
    check_spread(y, lhs_O, frame_O, frame_T)
    outcome_kind = _outcome_kind(values["outcome"], lhs_O, outcome_kind)
    if pieces.come(data):
        check_condensed({"outcome": outcome_kind, "treatment": kind})
    centred = one_O and one_T
    frame, in_treatment, none = _instruments(frame_O, frame_T, centred, one_O)
    scales = pd.DataFrame({"mean": frame.mean() * centred, "sd": frame.std(ddof=0)})
    design = Design(
        y=y,
        t=t,
        C=standardised(frame, centred),
        covariates=tuple(frame.columns),
        in_outcome=frame.columns.isin(frame_O.columns),
        in_treatment=frame.columns.isin(in_treatment),
        moderates=frame.columns.isin(moderating),
        intercept_O=one_O,
        intercept_T=one_T,
        outcome=lhs_O,
        treatment=lhs_T,
        kind=kind,
        scales=scales,
        notes=(*dict.fromkeys([*notes, *made_O, *made_T, *none]),),
        outcome_kind=outcome_kind,
        stands_for=n,
        terms=tuple(made_of[label][0] for label in frame),
        variables=tuple(made_of[label][1] for label in frame),
    )
    check_rank(design, frame_T)
    if n and not pieces.come(data):
        y, t, C = pieces.rows_of(data, both, terms, levels, scales)
        few, design = design, _stepped(replace(design, y=y, t=t, C=C, stands_for=None), step)
        design.kept["condensed"] = few
    else:
        design = _stepped(design, step)
    check_overlap(design)
    check_answers(design)
    return design


def _made_of(both, frames):
    """The term and the variables of each column of two equations, by label."""
    found = {}
    for equation, frame in zip(both, frames):
        for term, labels in frame.attrs["labels"].items():
            names = tuple(sorted(equation.uses(term)))
            found |= {label: (str(term), names) for label in labels if label not in found}
    return found


def _warn_of_levels(data, both):
    """Say how long it takes, before any work, where a category has very many levels."""
    if pieces.come(data):
        return
    named = formulas.merged(each.names for each in both)
    levels = {name: _levels(data[name], made) for name, made in named.items() if name in data}
    width = max(
        sum(
            min(len(data), np.prod([float(levels.get(name, 1)) for name in each.uses(term)]))
            for term in each.terms
        )
        for each in both
    )
    binary = any(data[name].nunique() == 2 for each in both if (name := each.response.expr) in data)
    most = max(levels, key=levels.get, default=None)
    what = (
        f"{most!r} has {levels.get(most, 0):,} levels in {len(data):,} rows; to check {width:,.0f} "
        "columns"
    )
    warn_long(PER_SQUARE[binary] * len(data) * width**2, what, binary)


def _levels(column, made):
    """How many levels a column has as a category; one if it is a number."""
    values = column.drop_duplicates()
    number = (
        pd.api.types.is_numeric_dtype(values)
        or pd.to_numeric(values, errors="coerce").notna().all()
    )
    return len(values) if made or not number else 1


def _columns(data, both):
    """`pieces.Columns`, of all rows or condensed; the outcome's terms, and those that change the effect."""
    terms, moderators = formulas.split_moderators(*both)
    formulas.check_apart(*both, terms)
    if pieces.come(data) and moderators:
        refuse_pieces(
            f"the effect changes with {', '.join(map(str, moderators))}, so that every row's "
            "product counts"
        )
    if pieces.come(data) or (pieces.many(data, both) and not moderators):
        return pieces.condense(data, both, terms), terms, moderators
    data, notes = formulas.usable(data, both)
    y, t, *frames = formulas.columns_of(data, *both, terms)
    return (
        pieces.Columns(y, t, *frames, None, notes, {"outcome": y, "treatment": t}, {}),
        terms,
        moderators,
    )


def _constant(frame, moderating=()):
    """An equation's columns, whether it has a constant, and a sentence where numbers add up to one that ``0 +`` kept.

    One of these numbers is then left out, as a factor's reference level is: the span stays what it
    was. None that changes the effect, unless all of them do: their products with the treatment add
    up to the treatment then.
    """
    if frame.attrs["intercept"] or frame.shape[1] == 0:
        return frame, frame.attrs["intercept"], []
    M = frame.to_numpy() / np.sqrt((frame**2).mean().clip(lower=1e-300)).to_numpy()
    parts, *_ = np.linalg.lstsq(M, np.ones(len(M)))
    if np.abs(M @ parts - 1).max() > SAME * (M * parts).std(axis=0).max() + DIGITS:
        return frame, False, []
    made = frame.columns[np.abs(parts) > SAME * np.abs(parts).max()]
    plain = [name for name in made if name not in moderating]
    left = next((name for name in made if np.ptp(frame[name]) == 0), (plain or made)[-1])
    said = (
        f"{', '.join(made)} add up to a constant, so there is an intercept and {left} is left out."
    )
    return frame.drop(columns=left), True, [said] if len(made) > 1 else []


def _instruments(frame_O, frame_T, centred=True, constant=True):
    """The columns of both equations, those of the treatment's, and sentences about those that are no instruments.

    A column of the treatment formula alone is an instrument if it adds rank to the outcome
    formula's columns and the instruments before it. If not, it is a combination of them: they stand
    in its stead, and for a treatment formula whose columns all are such, both equations have the
    same span. Two of three dummies of ``C(g)`` may so be covariates, and the third an instrument.
    """
    alone = frame_T.columns.difference(frame_O.columns, sort=False)
    if alone.empty:
        return frame_O, list(frame_T.columns), []
    frame = pd.concat([frame_O, frame_T[alone]], axis=1)
    M = standardised(frame, centred)
    if not centred and constant:
        M = M - M.mean(axis=0)  # what the outcome's constant takes out
    R = np.linalg.qr(M, mode="r")  # same relations, few rows
    kept, in_treatment, said = list(frame_O.columns), list(frame_T.columns), []
    for label in alone:
        column, others = R[:, frame.columns.get_loc(label)], R[:, frame.columns.get_indexer(kept)]
        parts, *_ = np.linalg.lstsq(others, column)
        if not kept or np.linalg.norm(column - others @ parts) > SAME * np.linalg.norm(column):
            kept.append(label)
            continue
        partners = [
            name for name, part in zip(kept, parts) if abs(part) > SAME * np.abs(parts).max()
        ]
        in_treatment += partners
        these = (
            f"{partners[0]}, which stands"
            if len(partners) == 1
            else f"{', '.join(partners)}, which stand"
        )
        said.append(f"{label} is no instrument of its own: it is made of {these} in its stead.")
    return frame[kept], in_treatment, said


def _kind(t, name):
    levels = np.unique(t)
    if len(levels) == 1:
        raise ValueError(
            f"the treatment {name!r} is constant at {levels[0]:g}; it must vary to have an effect."
        )
    if set(levels) == {0.0, 1.0}:
        return "binary"
    if len(levels) < FEWEST_DOSES:
        raise ValueError(
            f"the treatment {name!r} has the {len(levels)} values {levels.tolist()}; accepted are "
            f"a binary treatment coded 0 and 1, or a continuous one with at least {FEWEST_DOSES} "
            f"distinct values: {formulas.advised(t, name, 'treatment')}."
        )
    return "continuous"


def _outcome_kind(y, name, wanted):
    """The kind of the outcome: found, or as the reader wants it."""
    levels = np.unique(y)
    if set(levels) == {0.0, 1.0}:
        return wanted or "binary"
    if wanted == "binary" or (len(levels) == 2 and wanted is None):
        low, high = (f"{level:.15g}" for level in levels[[0, -1]])
        many = f"{len(levels)} or more" if len(levels) == pieces.FEW + 1 else len(levels)
        raise ValueError(
            f"the outcome {name!r} has {many} values, from {low} to {high}; accepted as a yes or a "
            f"no are 0 and 1: {formulas.advised(y, name, 'outcome')}; or "
            "outcome_kind='continuous' (--outcome-kind continuous) for a straight line."
        )
    return "continuous"


def _stepped(design, step):
    """The design with the change in its treatment that the effect on a binary outcome is read for."""
    if design.kinds != ("binary", "continuous"):
        if step is not None:
            raise ValueError(
                f"step={arguments.told(step)} with a {design.outcome_kind} outcome and a "
                f"{design.kind} treatment; accepted is a step where the outcome is binary and the "
                "treatment continuous: elsewhere the effect is that of one unit, or of 1 "
                "against 0."
            )
        return design
    step = arguments.optional(arguments.positive, step, "step")
    held = np.subtract(*np.quantile(design.t, [0.975, 0.025]))
    if step is None:
        step = 1.0 if held >= 1 else float(f"1e{np.floor(np.log10(design.t.std()) + 0.5):.0f}")
    if step == 1:
        return design
    note = (
        f"The effect is read for {step:g} more of {design.treatment}: its middle 95 % span "
        f"{held:.2g}. α stays per unit."
    )
    return replace(design, step=step, notes=(*design.notes, note))
