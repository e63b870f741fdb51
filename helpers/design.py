"""Two formulas and a data frame become a checked design: outcome, treatment and covariates.

This is the one place that standardises. Covariates are centred and divided by their standard
deviation; the outcome and the treatment keep the reader's units, so an effect needs no conversion.
The outcome equation measures a continuous treatment from its mean. Zeros and ones are a yes or a no.
"""

import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.linalg import qr
from scipy.linalg.lapack import dtrcon
from scipy.optimize import linprog

from helpers import arguments, formulas, pieces
from helpers.moments import know

SAME = 1e-6  # a column is a combination of others if this share of it, or less, is left over
WELL_APART = 1e-6  # one over a condition number, of columns that nobody need look at more closely
DIGITS = 1e-12  # a covariate that varies by less of its mean has lost too many digits
FAR = 1e-7  # the same of a response, which is not centred: a search for its maximum works on what digits are left
ROOM = 1e50  # a standard deviation beyond this, or its inverse, leaves no room for squares and ratios
BESIDE = 1e15  # the same of a treatment, which stands unscaled beside a constant and standardised columns
ENOUGH = 20_000  # rows that tell at once that nothing separates the treated from the untreated
LONG = 20.0  # seconds of work before which a warning comes
PER_SQUARE = {False: 4e-10, True: 8e-9}  # seconds for each row and squared column, without and with a binary response
FEWEST_DOSES = 5  # a treatment with fewer distinct values is neither binary nor continuous
KINDS = "binary", "continuous"


@dataclass(frozen=True, eq=False)
class Design:
    """What two formulas make of a data frame; built by `make_design`, never by hand.

    Attributes
    ----------
    y, t : ndarray, shape (n,)
        Outcome and treatment in the reader's units.
    C : ndarray, shape (n, p)
        Every covariate of either equation, standardised; not centred where an equation has no constant. Columns are
        named by `covariates`.
    in_outcome, in_treatment : ndarray of bool, shape (p,)
        Which covariates stand in which equation. A column of the second only is an instrument.
    moderates : ndarray of bool, shape (p,)
        Which covariates change the effect: those that the outcome formula multiplies by the treatment.
    intercept_O, intercept_T : bool
        Whether each equation has a constant: unless its formula says ``0 +``, and even then if its columns add up to
        one, as the levels of a factor do.
    scales : DataFrame
        ``mean`` and ``sd`` of each covariate before it was standardised; a mean of zero where none was subtracted.
    centre : float, optional
        What the outcome equation subtracts from the treatment, `t_mean`, when it is not to be taken from `t`.
    kind, outcome_kind : {"binary", "continuous"}
        Of the treatment and of the outcome; `kinds` is the pair, outcome first.
    notes : tuple of str
        What was decided when the formulas were read, in sentences: a term that is no instrument, a level without rows.
    stands_for : int, optional
        How many observations the rows of `y`, `t` and `C` stand for, each for as many as any other, where data that no
        memory holds were condensed: the rows then have their means, variances and covariances, and are none of them.
    step : float
        By how much a continuous treatment is moved where its effect on the chance of a binary outcome is read; 1 for
        all other designs.
    terms : tuple of str
        The term of the formula that each column of C belongs to: ``"C(education)"``, ``"age:C(g)"``.
    variables : tuple of tuple of str
        The data's own columns that this term is made of: ``("age", "g")``.
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
    notes: tuple = ()
    outcome_kind: str = "continuous"
    stands_for: int | None = None
    step: float = 1.0
    terms: tuple = ()
    variables: tuple = ()

    @property
    def kinds(self):
        """The kinds of the outcome and of the treatment: what the likelihood looks up."""
        return self.outcome_kind, self.kind

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
        """The moderators' columns of C, shape (n, k): α is the effect where they are zero, their average if centred."""
        return self.C[:, self.moderates]

    @property
    def n(self):
        """Number of observations."""
        return self.stands_for or len(self.y)

    def __repr__(self):
        answer = " (binary)" * (self.outcome_kind == "binary")
        return (
            f"Design({self.outcome}{answer} on {self.treatment} ({self.kind}), n={self.n:,}, "
            f"{len(self.covariates)} covariates, instruments: {', '.join(self.instruments) or 'none'}"
            f"{', moderators: ' * bool(self.moderators)}{', '.join(self.moderators)})"
            f"{' ' * bool(self.notes)}{' '.join(self.notes)}"
        )


def make_design(data, *, outcome, treatment, outcome_kind=None, step=None):
    """Read two formulas against a data frame, and refuse what cannot be used.

    Parameters
    ----------
    data : pandas.DataFrame, dask.dataframe.DataFrame or path
        Rows in memory; or, where outcome and treatment are continuous, data that come in pieces: a Dask DataFrame, or
        the path of Parquet files. Those are read twice, piece by piece, and the design holds as many rows as it has
        columns, and three, with the means, variances and covariances of all.
    outcome : str
        Formula of the outcome equation, with the treatment among its terms:
        ``"wt82_71 ~ qsmk + age + C(education)"``. ``qsmk * age`` lets the effect change with age: age is
        then a moderator, α the effect at average age and δ its change per standard deviation of age.
    treatment : str
        Formula of the treatment equation: ``"qsmk ~ age + C(education) + price82"``. A term that
        stands here and not in the outcome formula is an instrument.
    outcome_kind : {"binary", "continuous"}, optional
        Left out, an outcome of zeros and ones (or of False and True) is binary and gets a probit equation.
        ``"continuous"`` asks for a straight line through zeros and ones instead.
    step : float, optional
        By how much a continuous treatment is moved, in its own units, where its effect on the chance of a binary
        outcome is read. Left out: 1, if the middle 95 % of the treatment span one unit, and otherwise the power of ten
        nearest to its standard deviation, since a unit that no row has ever been moved by tells of the curve of Φ and
        not of the treatment. No other outcome or treatment has one: there α is the effect of one unit.

    Returns
    -------
    Design
        ``kind`` is ``"binary"`` for a treatment of zeros and ones and ``"continuous"`` otherwise; ``outcome_kind``
        likewise. Both equations have an intercept unless their formula says ``0 +``. As elsewhere, that only recodes a
        factor, whose levels add up to a constant. Where no columns do, the plane goes through zero of the raw columns:
        covariates are then scaled and not centred, and with moderators α is the effect where these are zero.

    Raises
    ------
    ValueError
        Naming the column: when it is missing, has NaN or infinite values, is constant, is collinear
        with others, or stands in the outcome formula and separates the treated from the untreated perfectly (an
        instrument may: nobody joins who was not asked); when the outcome has two values that are not 0 and 1, or
        the treatment predicts a binary one without error in some rows; when `step` is not positive, or the
        outcome and the treatment have none; when the treatment is
        constant, has three or four values, is absent from the outcome formula, or stands inside another
        term than a product with a covariate that has a term of its own; when there are fewer rows than
        columns; when a continuous outcome or treatment is an exact combination of the columns of its equation; when
        numbers are too large, too small or too far from zero for arithmetic.

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
    _check_unit(t, f"the treatment {lhs_T!r}", BESIDE, FAR)
    moderating = [label for term in moderators for label in frame_O.attrs["labels"][term]]
    made_of = _made_of(both, (frame_O, frame_T))
    (frame_O, one_O, made_O), (frame_T, one_T, made_T) = _constant(frame_O, moderating), _constant(frame_T)
    _check_spread(y, lhs_O, frame_O, frame_T)
    outcome_kind = _outcome_kind(values["outcome"], lhs_O, outcome_kind)
    if pieces.come(data):
        _check_condensed({"outcome": outcome_kind, "treatment": kind})
    centred = one_O and one_T
    frame, in_treatment, none = _instruments(frame_O, frame_T, centred, one_O)
    scales = pd.DataFrame({"mean": frame.mean() * centred, "sd": frame.std(ddof=0)})
    design = Design(
        y=y, t=t, C=_standardised(frame, centred), covariates=tuple(frame.columns),
        in_outcome=frame.columns.isin(frame_O.columns), in_treatment=frame.columns.isin(in_treatment),
        moderates=frame.columns.isin(moderating), intercept_O=one_O, intercept_T=one_T,
        outcome=lhs_O, treatment=lhs_T, kind=kind, scales=scales,
        notes=(*dict.fromkeys([*notes, *made_O, *made_T, *none]),), outcome_kind=outcome_kind, stands_for=n,
        terms=tuple(made_of[label][0] for label in frame), variables=tuple(made_of[label][1] for label in frame),
    )  # fmt: skip
    _check_rank(design, frame_T)
    if n and not pieces.come(data):
        y, t, C = pieces.rows_of(data, both, terms, levels, scales)
        few, design = design, _stepped(replace(design, y=y, t=t, C=C, stands_for=None), step)
        know(design, few)
    else:
        design = _stepped(design, step)
    _check_overlap(design)
    _check_answers(design)
    return design


def check_design(design):
    """The design, if it is one."""
    return arguments.instance(design, Design, "design", "a Design from make_design(data, outcome=..., treatment=...)")


def check_rows(design):
    """The design, if its rows are at hand and do not stand for others."""
    if check_design(design).stands_for:
        raise ValueError(
            f"design stands for {design.n:,} rows in {len(design.y)}, and this looks at each row; accepted is a design "
            "of a pandas.DataFrame, such as a random part of the data: data.sample(frac=0.01).compute()."
        )
    return design


def only(design, keep):
    """The design with some of its covariates, a mask of shape (p,), in either equation."""
    return replace(
        design, C=design.C[:, keep], covariates=tuple(np.array(design.covariates, dtype=object)[keep]),
        in_outcome=design.in_outcome[keep], in_treatment=design.in_treatment[keep],
        moderates=design.moderates[keep], scales=design.scales[keep],
        terms=tuple(term for term, kept in zip(design.terms, keep) if kept),
        variables=tuple(names for names, kept in zip(design.variables, keep) if kept),
    )  # fmt: skip


def terms_of(design):
    """The term of each column, and the data's own columns it is made of; a column made by hand is its own."""
    terms = design.terms or design.covariates
    return terms, design.variables or tuple((term,) for term in terms)


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
        sum(min(len(data), np.prod([float(levels.get(name, 1)) for name in each.uses(term)])) for term in each.terms)
        for each in both
    )
    binary = any(data[name].nunique() == 2 for each in both if (name := each.response.expr) in data)
    most = max(levels, key=levels.get, default=None)
    what = f"{most!r} has {levels.get(most, 0):,} levels in {len(data):,} rows; to check {width:,.0f} columns"
    warn_long(PER_SQUARE[binary] * len(data) * width**2, what, binary)


def _levels(column, made):
    """How many levels a column has as a category; one if it is a number."""
    values = column.drop_duplicates()
    number = pd.api.types.is_numeric_dtype(values) or pd.to_numeric(values, errors="coerce").notna().all()
    return len(values) if made or not number else 1


def warn_long(seconds, what, binary):
    """A warning of work that takes long, with what else may be done."""
    if seconds < LONG:
        return
    unit, size = next(pair for pair in (("hours", 3600), ("minutes", 60), ("seconds", 1)) if seconds > 1.5 * pair[1])
    line = (
        "for a straight line, outcome_kind='continuous' and a continuous treatment" if binary else
        "since both responses are continuous, the same regression without them: subtract from outcome, treatment and "
        "covariates each level's mean, x - x.groupby(level).transform('mean'), and leave the level out; intervals are "
        "then too narrow by √(1 - levels/rows)"
    )  # fmt: skip
    arguments.warn(
        f"{what} takes some {seconds / size:.0f} {unit}. Beside waiting, accepted are a coarser grouping or, {line}."
    )


def _columns(data, both):
    """`pieces.Columns`, of all rows or condensed; the outcome's terms, and those that change the effect."""
    terms, moderators = formulas.split_moderators(*both)
    formulas.check_apart(*both, terms)
    if pieces.come(data) and moderators:
        _refuse_pieces(f"the effect changes with {', '.join(map(str, moderators))}, so that every row's product counts")
    if pieces.come(data) or (pieces.many(data, both) and not moderators):
        return pieces.condense(data, both, terms), terms, moderators
    data, notes = formulas.usable(data, both)
    y, t, *frames = formulas.columns_of(data, *both, terms)
    return pieces.Columns(y, t, *frames, None, notes, {"outcome": y, "treatment": t}, {}), terms, moderators


def _check_condensed(kinds):
    """Refuse data in pieces whose means and covariances do not say all that they say."""
    for equation, kind in kinds.items():
        if kind == "binary":
            line = "outcome_kind='continuous', for a straight line through zeros and ones, or " * (
                equation == "outcome"
            )
            _refuse_pieces(f"the {equation} is binary, so its equation reads every row", line)


def _refuse_pieces(reason, line=""):
    raise ValueError(
        f"data come in pieces, and {reason}; accepted are a continuous outcome and a continuous treatment with one "
        f"effect, {line}rows in memory: data.sample(frac=0.01).compute()."
    )


def _constant(frame, moderating=()):
    """An equation's columns, whether it has a constant, and a sentence where numbers add up to one that ``0 +`` kept.

    One of these numbers is then left out, as a factor's reference level is: the span stays what it was. None that
    changes the effect, unless all of them do: their products with the treatment add up to the treatment then.
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
    said = f"{', '.join(made)} add up to a constant, so there is an intercept and {left} is left out."
    return frame.drop(columns=left), True, [said] if len(made) > 1 else []


def _standardised(frame, centred=True):
    values = frame.to_numpy(dtype=float)
    return (values - values.mean(axis=0) * centred) / values.std(axis=0)


def _instruments(frame_O, frame_T, centred=True, constant=True):
    """The columns of both equations, those of the treatment's, and sentences about those that are no instruments.

    A column of the treatment formula alone is an instrument if it adds rank to the outcome formula's columns and the
    instruments before it. If not, it is a combination of them: they stand in its stead, and for a treatment formula
    whose columns all are such, both equations have the same span. Two of three dummies of ``C(g)`` may so be
    covariates, and the third an instrument.
    """
    alone = frame_T.columns.difference(frame_O.columns, sort=False)
    if alone.empty:
        return frame_O, list(frame_T.columns), []
    frame = pd.concat([frame_O, frame_T[alone]], axis=1)
    M = _standardised(frame, centred)
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
        partners = [name for name, part in zip(kept, parts) if abs(part) > SAME * np.abs(parts).max()]
        in_treatment += partners
        these = f"{partners[0]}, which stands" if len(partners) == 1 else f"{', '.join(partners)}, which stand"
        said.append(f"{label} is no instrument of its own: it is made of {these} in its stead.")
    return frame[kept], in_treatment, said


def _kind(t, name):
    levels = np.unique(t)
    if len(levels) == 1:
        raise ValueError(f"the treatment {name!r} is constant at {levels[0]:g}; it must vary to have an effect.")
    if set(levels) == {0.0, 1.0}:
        return "binary"
    if len(levels) < FEWEST_DOSES:
        raise ValueError(
            f"the treatment {name!r} has the {len(levels)} values {levels.tolist()}; accepted are a binary "
            f"treatment coded 0 and 1, or a continuous one with at least {FEWEST_DOSES} distinct values: "
            f"{formulas.advised(t, name, 'treatment')}."
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
            f"the outcome {name!r} has {many} values, from {low} to {high}; accepted as a yes or a no are 0 and "
            f"1: {formulas.advised(y, name, 'outcome')}; or outcome_kind='continuous' "
            "(--outcome-kind continuous) for a straight line."
        )
    return "continuous"


def _stepped(design, step):
    """The design with the change in its treatment that the effect on a binary outcome is read for."""
    if design.kinds != ("binary", "continuous"):
        if step is not None:
            raise ValueError(
                f"step={arguments.told(step)} with a {design.outcome_kind} outcome and a {design.kind} "
                "treatment; accepted is a step where the outcome is binary and the treatment "
                "continuous: elsewhere the effect is that of one unit, or of 1 against 0."
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
            f"{held:.2g}. α stays per unit.")  # fmt: skip
    return replace(design, step=step, notes=(*design.notes, note))


def _check_spread(y, outcome, *frames):
    if np.ptp(y) == 0:
        raise ValueError(f"the outcome {outcome!r} is constant at {y[0]:g}; it must vary.")
    _check_unit(y, f"the outcome {outcome!r}", digits=FAR)
    # as arrays: a frame copies all that it knows of its terms with each column that is taken out
    for name, values in (pair for frame in frames for pair in zip(frame.columns, frame.to_numpy().T)):
        if np.ptp(values) == 0:
            raise ValueError(
                f"the covariate {name!r} is constant at {values[0]:g}, which is collinear with the "
                "intercept; leave it out."
            )
        _check_unit(values, f"the covariate {name!r}")


def _check_unit(values, name, room=ROOM, digits=DIGITS):
    """Refuse numbers so large, so small or so far from zero that arithmetic loses them."""
    with np.errstate(over="ignore", invalid="ignore"):
        sd, mean = float(values.std()), float(values.mean())
    if not 1 / room <= sd <= room:
        raise ValueError(
            f"{name} lies between {values.min():g} and {values.max():g}; accepted are numbers with a standard "
            f"deviation from {1 / room:g} to {room:g}: divide it by a unit that suits it."
        )
    if sd < digits * abs(mean):
        raise ValueError(
            f"{name} varies by {sd:.1g} around {mean:g}, so rounding leaves few of its digits; accepted are numbers "
            f"nearer to zero: subtract {mean:g} from it."
        )


def _check_rank(design, frame_T):
    """Refuse columns that the data cannot tell apart, of either equation as its formula has it."""
    effects = np.column_stack([design.M * design.dose[:, None], design.dose])
    products = [f"{design.treatment}:{label}" for label in design.moderators]
    outcome = [label for label, used in zip(design.covariates, design.in_outcome) if used]
    blocks = {
        "outcome": ([*outcome, *products, design.treatment], [design.C[:, design.in_outcome], effects]),
        "treatment": (list(frame_T.columns), [_standardised(frame_T, design.intercept_T)]),
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

    R is the triangle of the columns and, last, the response: what they leave of it stands in its corner.
    """
    kind = design.outcome_kind if equation == "outcome" else design.kind
    if kind == "continuous" and abs(R[-1, -1]) <= SAME * np.linalg.norm(R[:, -1]):
        parts, *_ = np.linalg.lstsq(R[:, :-1], R[:, -1])
        exact = [label for label, part in zip(labels, parts) if abs(part) > SAME * np.abs(parts).max()]
        raise ValueError(
            f"the {equation} {getattr(design, equation)!r} is an exact combination of {exact}, so its equation has no "
            "error to learn from; accepted are responses that were measured: leave out what this one was computed from."
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


def _check_overlap(design):
    """Refuse covariates of the outcome equation that settle the treatment: nothing is left to compare."""
    if guilty := separation(design, "treatment", design.in_treatment & design.in_outcome):
        raise ValueError(
            f"perfect separation: a combination of {guilty} predicts the treatment {design.treatment!r} without "
            "error for some or all rows, so the probit coefficients run off to infinity and treated and untreated "
            "rows cannot be compared; leave those terms out, merge rare levels, or keep the rows where both "
            "treatments occur."
        )


def _check_answers(design):
    """Refuse a treatment that settles a binary outcome: its effect on the index has no finite estimate.

    Covariates alone may settle it in some rows (a rare level in which nobody died): priors carry that.
    """
    guilty = separation(design, "outcome")
    if design.treatment in guilty:
        raise ValueError(
            f"perfect separation: a combination of {guilty} predicts the outcome {design.outcome!r} without error for "
            f"some or all rows, so no effect of {design.treatment!r} fits better than an infinite one; merge rare "
            "levels, bring more data, or ask for the straight line: outcome_kind='continuous'."
        )


def separation(design, equation, used=None):
    """What predicts a binary response without error, in some rows or in all.

    A maximum of the probit likelihood that is found proves that one exists. Only if none is found is the question put
    to a linear programme (Konis 2007): is there a direction in which no row is on the wrong side?

    Parameters
    ----------
    design : Design
    equation : {"outcome", "treatment"}
    used : ndarray of bool, shape (p,), optional
        The covariates that predict, beside a constant; left out, all that the equation has. The outcome equation has
        the treatment as well.

    Returns
    -------
    list of str
        Their labels; empty when the response is not binary, or the probit coefficients have a finite maximum.
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
        labels += [*(f"{design.treatment}:{label}" for label in design.moderators), design.treatment]

    def columns(step):
        t = design.dose[::step] / design.t.std()  # limits of size mean nothing in the reader's units
        dose = [design.M[::step] * t[:, None], t] if equation == "outcome" else []
        return np.column_stack([np.ones(len(design.y[::step])), design.C[::step, mask], *dose])

    # what separates all rows separates each part of them whose columns are independent, and a part is soon asked
    for step in sorted({max(1, len(design.y) // ENOUGH), 1}, reverse=True):
        M = columns(step)
        if _has_probit(M, response[::step]) and (step == 1 or np.linalg.matrix_rank(M) == M.shape[1]):
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
    from statsmodels.discrete.discrete_model import Probit  # slow to import, and only a binary treatment needs it
    from statsmodels.tools.sm_exceptions import PerfectSeparationError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = Probit(t, Z).fit(disp=0, maxiter=30, skip_hessian=True)
        except (np.linalg.LinAlgError, PerfectSeparationError):
            return False
    return bool(found.mle_retvals["converged"]) and bool(np.abs(found.params).max() < 1e3)
