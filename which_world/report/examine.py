"""What the data are and where they are thin: overlap, instruments, the errors' shape."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import kurtosis, norm, skew

from which_world.checks import SHUFFLES
from which_world.classical import line, swept
from which_world.clusters import both_residuals, grown_by_groups, grown_by_spread
from which_world.design import terms_of
from which_world.report.instruments import effective_f
from which_world.report.report import NARROW, Narrow
from which_world.report.words import agreeing, listed, number, percent

if TYPE_CHECKING:
    from which_world.design import Design

WEAK = 10.0  # first-stage F below which an instrument is called weak (Staiger & Stock 1997)
# share of shuffles beyond which a report warns: 2 of 100 data sets with nothing wrong, 8 at worst
MISLED = 0.15
SCALE = 10  # most values of an answer on a scale
HEAPED = 0.05  # least share of zeros that make a heap
COUNTED = 3.0  # most that the mean of a count is, in standard deviations
LOWEST = 5  # most that the least value of a count is
FILLED = 0.5  # share of the whole numbers up to its median that a count has
LIKELY = 0.05  # p-value from which an uneven spread is spoken of
ODDS = 100  # of being alike in one part, the other alike or not: asked about from this ratio
MOSTLY = 0.5  # share of the rows alike in the outcome, or in all else, that are alike in all
HASH = 0x9E3779B97F4A7C15  # an odd number whose powers look like chance
REPEATED = 0.01  # share of the rows, from which those that repeat are asked about
SPREAD_OVER = 50_000  # rows, evenly spread, to which the chance of treatment is fitted
NEAR = 0.02  # a fitted probability of treatment this close to 0 or 1 is beyond overlap
RARE = 0.1  # of the rarer treatment's share, that is near as well where that share is small
EXTRAPOLATED = 0.1  # share of rows beyond overlap, from which a report warns
DIFFERENT = 0.5  # standard deviations between the groups, from which a report warns
EXTRAPOLATING = (
    " In those rows the equations extrapolate: few comparable rows of the other kind are in the "
    "data."
)
UNSEEN_SHAPE = (
    "The shape of U cannot be seen in a yes or a no: that it is normal is assumed outright."
)
IN_PIECES = (
    "The data came in pieces, so whether the errors are normal, and whether rows come in clusters, "
    "was not looked at."
)
NO_ACQUITTAL = (
    " Passing is no acquittal: what looks just like a current, as a curve or an uneven effect may, "
    "is taken out as one."
)


def data_checks(
    design: Design,
    dropped: int = 0,
    shuffled: float = np.nan,
    names: Mapping[str, str] | None = None,
    undefined: Mapping[str, int] | None = None,
    normal: float = np.nan,
) -> list[str]:
    """What the data are, and where they are thin, in sentences.

    Parameters
    ----------
    design : Design
    dropped : int
        Rows left out for missing values.
    shuffled : float
        From `shuffle_test`.
    names : mapping of str to str, optional
        The file's own names of columns that were renamed, as `Table.names`.
    undefined : mapping of str to int, optional
        Rows left out because a part of a formula was undefined in them, as `Table.undefined`.
    normal : float
        From `shuffles_of_normal`; NaN where rows are many.

    Returns
    -------
    list of str
        Rows used and dropped, names, the treatment, categorical covariates, overlap, the strength
        of instruments, the residuals' shape and spread; rows that repeat.
    """
    sentences = [_rows(design, dropped), *_repeating(design)]
    if undefined:
        parts = listed(f"{part} in {rows:,}" for part, rows in undefined.items())
        sentences.append(
            "Missing is also what a formula leaves undefined, with rows counted part by part: "
            f"{parts}."
        )
    if names:
        renamed = listed(f"{plain} is {own!r}" for plain, own in names.items())
        sentences.append(f"In the file, {renamed}.")
    sentences += [*_outcome(design), _treatment(design), *_parts(design)]
    sentences += [*_categorical(design), *design.notes]
    if design.kind == "binary" and _compared(design).any():
        sentences.append(_overlap(design))
    elif design.kind == "continuous" and design.in_treatment.any():
        sentences.append(_variation(design))
    sentences += _strength(design) + _shape(design, misled=shuffled > MISLED)
    if np.isfinite(shuffled):
        sentences.append(shuffles_said(shuffled, normal))
    return sentences


def _rows(design, dropped):
    """How many rows there are, and why no others."""
    lost = ", none was dropped"
    if dropped:
        total = design.n + dropped
        were = "was" if dropped == 1 else "were"
        lost = f"; {dropped:,} of {total:,} {were} dropped because a value was missing"
    return f"{design.n:,} rows are used{lost}."


def _outcome(design):
    """What a binary outcome is."""
    if design.outcome_kind != "binary":
        return []
    shares = ""
    if design.kind == "binary":
        of_those = [percent(design.y[design.t == t].mean(), 1) for t in (0, 1)]
        shares = (
            f": {of_those[0]} of those with {design.treatment} = 0 "
            f"and {of_those[1]} of those with {design.treatment} = 1"
        )
    share = percent(design.y.mean(), 1)
    return [f"{design.outcome} is 0 or 1; it is 1 in {share} of the rows{shares}."]


def _treatment(design):
    """What the treatment is."""
    name, t = design.treatment, design.t
    if design.kind == "binary":
        return f"{name} is 0 or 1; {percent(t.mean(), 1)} of the rows are treated."
    sd = number(t.std(), t.std() / 10)
    if design.stands_for:
        mean = number(t.mean(), t.std() / 10)
        return f"{name} is continuous, with mean {mean} and standard deviation {sd}."
    fine = np.ptp(t) / 100
    low, high = number(t.min(), fine), number(t.max(), fine)
    return f"{name} is continuous, from {low} to {high} with standard deviation {sd}."


def own_parts(design: Design) -> list[str]:
    """Covariates that the treatment itself is made of: groups and times, of their product."""
    words = set(re.findall(r"[^\W\d]\w*", design.treatment))
    pairs = zip(*terms_of(design))
    return list(dict.fromkeys(term for term, names in pairs if set(names) <= words))


def _parts(design):
    """What it means that the treatment is made of covariates."""
    parts = own_parts(design)
    if not parts:
        return []
    said = f"{design.treatment} is made of {listed(parts)}, and so what leaving "
    said += f"{agreeing(parts, 'it', 'one of them')} out would do is no measure of a hidden cause."
    if len(parts) == 2 and re.fullmatch(r"I\(\w+ \* \w+\)", design.treatment):
        said += (
            " Where both are 0 or 1, the effect at ρ = 0 is a difference in differences: it holds "
            "if without the treatment both groups had moved alike, which no column here can tell."
        )
    return [said]


def _categorical(design):
    """Main terms whose columns are dummies, each named for its level."""
    columns = zip(*terms_of(design), design.covariates)
    dummies = Counter(
        term
        for term, made_of, label in columns
        if len(made_of) == 1 and label.startswith(f"{term}[T.") and label.endswith("]")
    )
    if not dummies:
        return []
    be = agreeing(dummies, "is", "are")
    levels = listed(k + 1 for k in dummies.values())
    return [f"{listed(dummies)} {be} categorical, with {levels} levels."]


def _treatment_columns(design, mask, step=1):
    """A constant and some covariates, of each row or of one in so many."""
    return np.column_stack([np.ones(len(design.t[::step])), design.C[::step, mask]])


def _first_line(design, left_out=()):
    """Least squares of the treatment's equation, some covariates left out."""
    few = swept(design)
    used = few.in_treatment & ~np.isin(few.covariates, left_out)
    apart = design.in_treatment.sum() - few.in_treatment.sum()
    return line(few.t, _treatment_columns(few, used), design.n, swept=apart)


def _overlap(design):
    """How comparable the treated are in what the outcome's line adjusts for.

    An instrument may part them as it will.
    """
    beyond, gaps = beyond_overlap(design), _gaps(design)
    worst = gaps.idxmax()
    rows = f"{percent(beyond, 1)} of the rows" if beyond else "none of the rows"
    overlap = (
        f"Treated and untreated differ most in {worst}, by {gaps[worst]:z.2f} standard deviations; "
        f"for {rows} the covariates all but settle the treatment (a fitted chance within "
        f"{_settling(design):.2g} % of 0 or 1)."
    )
    if beyond > EXTRAPOLATED:
        overlap += EXTRAPOLATING
    if gaps[worst] > DIFFERENT:
        overlap += (
            f" The two groups differ in {worst}; there the straight line has to carry the "
            "comparison."
        )
    return overlap


def beyond_overlap(design: Design) -> float:
    """The share of rows whose treatment is all but settled by what the outcome's line adjusts for.

    NaN where nothing stands in both formulas, or the treatment is continuous.
    """
    if design.kind != "binary" or not _compared(design).any():
        return np.nan
    if "beyond" not in design.kept:
        fitted, near = _chance_of_treatment(design), _settling(design) / 100
        design.kept["beyond"] = float(np.mean((fitted < near) | (fitted > 1 - near)))
    return design.kept["beyond"]


def _settling(design):
    """How near to 0 or 1 a chance of treatment is all but settled, in percent.

    Where one treatment is rare every chance is small, and far smaller ones alone are settled.
    """
    return 100 * min(NEAR, RARE * min(design.t.mean(), 1 - design.t.mean()))


def _chance_of_treatment(design):
    """The chance of treatment that a probit fits to what stands in both formulas, row by row."""
    both = _compared(design)
    for step in (max(1, design.n // SPREAD_OVER), 1):
        columns = _treatment_columns(design, both, step)
        independent = step == 1 or np.linalg.matrix_rank(columns) == columns.shape[1]
        if independent:  # no rare level was missed
            break
    constant, *slopes = sm.Probit(design.t[::step], columns).fit(disp=0).params
    beta = np.zeros(len(design.covariates))
    beta[both] = slopes
    return norm.cdf(constant + design.C @ beta)


def _gaps(design):
    """Distances between the means of the treated and the untreated, in standard deviations."""
    treated, gaps = design.t == 1, {}
    for k in np.flatnonzero(_compared(design)):
        ones, zeros = design.C[treated, k], design.C[~treated, k]
        spread = np.sqrt((ones.var() + zeros.var()) / 2)
        gaps[design.covariates[k]] = abs(ones.mean() - zeros.mean()) / spread if spread else np.nan
    return pd.Series(gaps)


def _compared(design):
    """The covariates of both equations."""
    return design.in_treatment & design.in_outcome


def _variation(design):
    """What the covariates leave of a continuous treatment."""
    result = _first_line(design)
    sd, explained = np.sqrt(result.mse_resid), 1 - result.ssr / (design.n * design.t.var())
    return (
        f"The covariates explain {percent(explained)} of {design.treatment}; the effect is "
        f"learned from the rest, which has standard deviation {number(sd, sd / 10)}."
    )


def first_stage(design: Design) -> float:
    """How strongly the instruments move the treatment: the F statistic of leaving them out.

    Of a linear first stage; NaN without instruments. Where an uneven spread makes its errors that
    much larger it is the one that allows for that (`effective_f`).
    """
    if not design.instruments:
        return np.nan
    if "first stage" not in design.kept:  # many sentences ask
        whole, without = _first_line(design), _first_line(design, design.instruments)
        usual = float(whole.compare_f_test(without)[0])
        robust = np.inf if design.stands_for else effective_f(design)
        design.kept["first stage"] = robust if usual > NARROW**2 * robust else usual
    return design.kept["first stage"]


def _strength(design):
    """How strong the instruments are."""
    if not design.instruments:
        return []
    f, verdict = first_stage(design), "which is not weak"
    if f < WEAK:
        says = agreeing(design.instruments, "it says", "they say")
        verdict = f"which is weak: what {says} about ρ is little and may mislead"
    return [f"The first-stage F statistic of {listed(design.instruments)} is {f:,.1f}, {verdict}."]


def _shape(design, *, misled):
    """How far the outcome is from a straight line plus a normal error.

    Two moments reassure nobody where shuffles show that the shape misleads.
    """
    if design.outcome_kind == "binary":
        return [UNSEEN_SHAPE] if design.kind == "binary" else []
    values = np.unique(design.y)
    if len(values) == 2:
        mean = "share" if set(values) == {0.0, 1.0} else "mean"
        return [
            f"{design.outcome} has only the values {values[0]:g} and {values[1]:g}: the model "
            f"takes it for a number with normal errors, α is a difference in its {mean}, and what "
            "the shape says about ρ is not to be used."
        ]
    if design.stands_for:
        return [IN_PIECES]
    residuals = both_residuals(design)[0]
    lean, tails = skew(residuals), kurtosis(residuals)
    near = abs(lean) <= 1 and -1 <= tails <= 3  # a uniform variable has -1.2, two heaps towards -2
    verdict = "not far from" if near else "far from"
    if near and misled:
        verdict = "to be held against"
    normality = (
        f"The outcome's least-squares residuals have skewness {lean:z.2f} and excess kurtosis "
        f"{tails:z.2f}: {verdict} the normal shape (0 and 0) that the model assumes."
    )
    return [*_steps(design, values), normality, *_spread(design)]


def _steps(design, values):
    """What to say of an outcome that can be no straight line plus a normal error.

    A scale, a count, a heap of zeros; nothing of any other.
    """
    y, least, hint = design.y, values[0], ""
    whole = (values % 1 == 0).all()
    if len(values) <= SCALE:
        kind = "answers on a scale have"
        if least == 0 and whole:
            kind = f"a count or {kind}"
        what = f"has only the {len(values)} values from {least:g} to {values[-1]:g}, as {kind}"
        hint = "; that steps between them are alike is your assumption"
    elif whole and _counts(y, values):
        mean = number(y.mean(), 1)
        what = f"looks like a count, whole numbers from {least:g} with mean {mean}"
    elif HEAPED <= np.mean(y == 0) < 1:
        what = f"is exactly 0 in {percent(np.mean(y == 0))} of the rows"
        hint = "; whether there is any, and how much, are two questions"
    else:
        return []
    shape = ", and what the errors' shape says about ρ is not to be used"
    if design.kind == "continuous":
        shape = ""
    return [
        f"{design.outcome} {what}: the model takes it for a straight line plus a normal error of "
        "constant spread. α remains the line's effect on its mean; intervals are "
        f"approximate{shape}{hint}."
    ]


def _counts(y, values):
    """Whether whole numbers are a count.

    It begins near 0, is spread out, and has most of the numbers up to its median: money has few.
    """
    least, middle = values[0], np.median(y)
    begins = 0 <= least <= LOWEST and y.mean() < COUNTED * y.std()
    return begins and np.sum(values <= middle) > FILLED * (middle - least + 1)


def doubts(design: Design) -> list[Narrow]:
    """Why the rows themselves make the interval at ρ = 0 too narrow: uneven spread, repeats."""
    found, uneven = repeated(design), _uneven(design)
    if uneven > NARROW:
        since = f"Since {design.outcome} is spread unevenly"
        remedy = "ols(design).HC3_se allows for it"
        found.insert(0, Narrow(uneven, since, remedy))
    return found


def repeated(design: Design) -> list[Narrow]:
    """Whether rows that repeat make an interval too narrow."""
    _, repeats = _repeats(design)
    if repeats <= NARROW:
        return []
    since = "If rows that repeat are one row each"
    return [Narrow(repeats, since, "count each row that repeats once")]


def _uneven(design):
    """By how much the error that allows for uneven spread exceeds the usual one, beyond chance.

    One where it does not, and for a yes or a no, which has no spread of its own.
    """
    if design.outcome_kind == "binary" or design.stands_for:
        return 1.0
    if "uneven" not in design.kept:
        growth = grown_by_spread(design)
        design.kept["uneven"] = growth.factor if growth.p < LIKELY else 1.0
    return design.kept["uneven"]


def _spread(design):
    """What to say of a spread that depends on the treatment."""
    factor = _uneven(design)
    if factor <= NARROW:
        return []
    where = f"where {design.treatment} is far from what the covariates say"
    if design.kind == "binary":
        where = f"in the rarer of {design.treatment} = 0 and 1, given the covariates"
    return [
        f"{design.outcome} is spread wider {where}: the least-squares error that allows for it "
        f"(HC3) is {number(factor, 1)} times the usual one, and the intervals here, which take the "
        "spread for constant, are too narrow by that factor at ρ = 0."
    ]


def _repeats(design):
    """How many rows repeat another, and by how much the error grows if each counts once.

    None where chance may do as much, or rows with one outcome, or all else equal, mostly differ.
    """
    if "continuous" not in design.kinds or design.stands_for:
        return 0, 1.0
    if "repeats" not in design.kept:
        design.kept["repeats"] = _counted_repeats(design)
    return design.kept["repeats"]


def _counted_repeats(design):
    """`_repeats`, counted."""
    of_kinds = zip(design.kinds, (design.y, design.t), (design.t, design.y))
    responses = [(values, other) for kind, values, other in of_kinds if kind == "continuous"]
    values, other = max(responses, key=lambda pair: len(np.unique(pair[0])))
    rest = _hashed([other, *design.C.T])
    fine, whole = pd.factorize(values)[0], pd.factorize(_hashed([values], rest))[0]
    n, repeats = len(whole), len(whole) - whole.max() - 1
    alike, in_fine, in_rest = _pairs(whole), _pairs(fine), _pairs(pd.factorize(rest)[0])
    neither = n * (n - 1) / 2 - in_fine - in_rest + alike
    chance = alike * neither < ODDS * (in_fine - alike) * (in_rest - alike)
    if chance or repeats < REPEATED * n or alike < MOSTLY * min(in_fine, in_rest):
        return 0, 1.0
    return repeats, grown_by_groups(design, whole).factor


def _hashed(columns, start=0):
    """A number for each row, the same for the same values."""
    whole = np.full(len(columns[0]), start, dtype=np.uint64)
    for column in columns:
        whole = whole * np.uint64(HASH) + pd.util.hash_array(np.ascontiguousarray(column))
    return whole


def _pairs(codes):
    """How many pairs of rows have one code."""
    size = np.bincount(codes).astype(float)
    return size @ (size - 1) / 2


def _repeating(design):
    """A question about rows that repeat."""
    repeats, _ = _repeats(design)
    if not repeats:
        return []
    return [
        f"{repeats:,} of these rows repeat another in every column used, more than chance makes: "
        "did a join, or a file read twice, make them? If so, leave them out with "
        "data.drop_duplicates(): as they are, they make every interval narrower than it should be."
    ]


def count(shuffled: float) -> str:
    """The share of shuffles in words: ``5 of 100 shuffles`` when none failed."""
    times = shuffled * SHUFFLES
    if abs(times - round(times)) < 1e-6:
        return f"{round(times)} of {SHUFFLES} shuffles"
    return f"{percent(shuffled)} of the shuffles"


def by_normal_errors(normal: float) -> str:
    """In how many shuffles normal errors would have ρ = 0 rejected; NaN where rows are many."""
    return f"about {SHUFFLES // 20} at most" if np.isnan(normal) else count(normal).split()[0]


def shuffles_said(shuffled: float, normal: float = np.nan) -> str:
    """What the shuffle test says of the likelihood, beside the same with normal errors."""
    passed = NO_ACQUITTAL if shuffled <= MISLED else ""
    return (
        "With each treatment drawn anew from its fitted chance, and the errors as they are, there "
        f"is no current; the likelihood rejects ρ = 0 in {count(shuffled)}, where normal errors "
        f"would give {by_normal_errors(normal)}.{passed}"
    )
