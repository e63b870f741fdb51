"""What the data are and where they are thin: overlap, instruments, the errors' shape."""

from collections import Counter

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import kurtosis, norm, skew

from which_world.checks import SHUFFLES
from which_world.classical import line
from which_world.clusters import leftover
from which_world.design import terms_of
from which_world.moments import condensed
from which_world.report.words import listed, number, percent

WEAK = 10.0  # first-stage F below which an instrument is called weak (Staiger & Stock 1997)
MISLED = 0.15  # share of shuffles beyond which a report warns: in 2 of 100 data sets with nothing wrong, 8 at worst
SCALE, HEAPED, COUNTED = (
    10,
    0.05,
    3.0,
)  # values of an answer on a scale, share of zeros, mean over sd of a count
MANY = 50_000  # rows, evenly spread, to which the chance of treatment is fitted
NEAR = 0.02  # a fitted probability of treatment this close to 0 or 1 is beyond overlap


def data_checks(design, dropped=0, shuffled=np.nan, names=None, undefined=None):
    """What the data are, and where they are thin.

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

    Returns
    -------
    list of str
        Sentences: rows used and dropped, names, the treatment, categorical covariates, overlap, the
        strength of instruments, the residuals' shape.
    """
    total = design.n + dropped
    lost = (
        f"; {dropped:,} of {total:,} were dropped because a value was missing"
        if dropped
        else ", none was dropped"
    )
    said = [f"{design.n:,} rows are used{lost}."]
    if undefined:
        parts = listed(f"{part} in {rows:,}" for part, rows in undefined.items())
        said.append(
            "Missing is also what a formula leaves undefined, with rows counted part by part: "
            f"{parts}."
        )
    if names:
        said.append(
            f"In the file, {listed(f'{plain} is {own!r}' for plain, own in names.items())}."
        )
    said += [*_outcome(design), _treatment(design), *_categorical(design), *design.notes]
    if design.kind == "binary" and _shared(design).any():
        said.append(_overlap(design))
    elif design.kind == "continuous" and design.in_treatment.any():
        said.append(_variation(design))
    said += _strength(design) + _shape(design)
    return [*said, _shuffled(shuffled)] if np.isfinite(shuffled) else said


def _outcome(design):
    if design.outcome_kind != "binary":
        return []
    shares = ""
    if design.kind == "binary":
        parts = (
            f"{percent(design.y[design.t == t].mean(), 1)} of those with {design.treatment} = {t}"
            for t in (0, 1)
        )
        shares = f": {listed(parts)}"
    return [
        f"{design.outcome} is 0 or 1; it is 1 in {percent(design.y.mean(), 1)} of the rows{shares}."
    ]


def _treatment(design):
    if design.kind == "binary":
        return (
            f"{design.treatment} is 0 or 1; {percent(design.t.mean(), 1)} of the rows are treated."
        )
    sd = design.t.std()
    if design.stands_for:
        mean, sd = number(design.t.mean(), sd / 10), number(sd, sd / 10)
        return f"{design.treatment} is continuous, with mean {mean} and standard deviation {sd}."
    low, high = design.t.min(), design.t.max()
    bounds = " to ".join(number(end, (high - low) / 100) for end in (low, high))
    return (
        f"{design.treatment} is continuous, from {bounds} with standard deviation "
        f"{number(sd, sd / 10)}."
    )


def _categorical(design):
    """Main terms whose columns are dummies, each named for its level."""
    pairs = zip(terms_of(design)[0], design.covariates)
    dummies = Counter(
        term for term, label in pairs if label.startswith(f"{term}[T.") and label.endswith("]")
    )
    return [f"{name} is categorical, with {k + 1} levels." for name, k in dummies.items()]


def _treatment_columns(design, mask=None):
    mask = design.in_treatment if mask is None else mask
    return np.column_stack([np.ones(len(design.t)), design.C[:, mask]])


def _line(design, mask=None):
    """Least squares of the treatment on its covariates."""
    design = condensed(design)
    return line(design.t, _treatment_columns(design, mask), design.n)


def _overlap(design):
    """How comparable the treated are in what the outcome's line adjusts for; an instrument may part them as it will."""
    beta, shared = np.zeros(len(design.covariates)), _shared(design)
    for step in (max(1, design.n // MANY), 1):
        part = np.column_stack([np.ones(len(design.t[::step])), design.C[::step, shared]])
        if step == 1 or np.linalg.matrix_rank(part) == part.shape[1]:  # no rare level was missed
            break
    constant, beta[shared] = np.split(sm.Probit(design.t[::step], part).fit(disp=0).params, [1])
    fitted = norm.cdf(constant + design.C @ beta)
    beyond = np.mean((fitted < NEAR) | (fitted > 1 - NEAR))
    treated, gaps = design.t == 1, {}
    for name, column in ((design.covariates[k], design.C[:, k]) for k in np.flatnonzero(shared)):
        spread = np.sqrt((column[treated].var() + column[~treated].var()) / 2)
        gaps[name] = (
            abs(column[treated].mean() - column[~treated].mean()) / spread if spread > 0 else np.nan
        )
    worst = pd.Series(gaps).idxmax()
    rows = f"{percent(beyond, 1)} of the rows" if beyond else "none of the rows"
    plain = (
        f"Treated and untreated differ most in {worst}, by {gaps[worst]:z.2f} standard deviations; "
        f"for {rows} the covariates all but settle the treatment (a fitted chance within "
        f"{percent(NEAR)} of 0 or 1)."
    )
    if beyond > 0.1:
        plain += (
            " In those rows the equations extrapolate: few comparable rows of the other kind are "
            "in the data."
        )
    if gaps[worst] > 0.5:
        plain += (
            f" The two groups differ in {worst}; there the straight line has to carry the "
            "comparison."
        )
    return plain


def _shared(design):
    return design.in_treatment & design.in_outcome


def _variation(design):
    result = _line(design)
    sd = np.sqrt(result.mse_resid)
    return (
        f"The covariates explain {percent(result.rsquared)} of {design.treatment}; the effect is "
        f"learned from the rest, which has standard deviation {number(sd, sd / 10)}."
    )


def first_stage(design):
    """How strongly the instruments move the treatment.

    Returns
    -------
    float
        The F statistic of leaving them out of a linear first stage; NaN without instruments.
    """
    if not design.instruments:
        return np.nan
    alone = np.isin(design.covariates, design.instruments)
    return float(_line(design).compare_f_test(_line(design, design.in_treatment & ~alone))[0])


def _strength(design):
    if not design.instruments:
        return []
    f, says = first_stage(design), "it says" if len(design.instruments) == 1 else "they say"
    weak = f"which is weak: what {says} about ρ is little and may mislead"
    verdict = weak if f < WEAK else "which is not weak"
    return [f"The first-stage F statistic of {listed(design.instruments)} is {f:,.1f}, {verdict}."]


def _shape(design):
    if design.outcome_kind == "binary":
        return (
            [
                "The shape of U cannot be seen in a yes or a no: that it is normal is assumed "
                "outright, and what the likelihood says about ρ leans on it."
            ]
            if design.kind == "binary"
            else []
        )
    values = np.unique(design.y)
    if len(values) == 2:
        mean = "share" if set(values) == {0.0, 1.0} else "mean"
        return [
            f"{design.outcome} has only the values {values[0]:g} and {values[1]:g}: the model "
            f"takes it for a number with normal errors, α is a difference in its {mean}, and what "
            "the shape says about ρ is not to be used."
        ]
    if design.stands_for:
        return [
            "The data came in pieces, so whether the errors are normal, and whether rows come in "
            "clusters, was not looked at."
        ]
    resid = leftover(design)[0]
    lean, tails = skew(resid), kurtosis(resid)
    near = abs(lean) <= 1 and -1 <= tails <= 3  # a uniform variable has -1.2, two heaps towards -2
    shape = "not far from" if near else "far from"
    return [
        *_steps(design, values),
        (
            f"The outcome's least-squares residuals have skewness {lean:z.2f} and excess kurtosis "
            f"{tails:z.2f}: {shape} the normal shape (0 and 0) that the model assumes."
        ),
    ]


def _steps(design, values):
    """What an outcome is that can be no straight line plus a normal error: a scale, a count, a heap of zeros."""
    zeros, whole = np.mean(design.y == 0), bool((values % 1 == 0).all())
    if len(values) <= SCALE:
        kind = (
            "a count or answers on a scale have"
            if values[0] == 0 and whole
            else "answers on a scale have"
        )
        what = f"has only the {len(values)} values from {values[0]:g} to {values[-1]:g}, as {kind}"
        hint = "; that steps between them are alike is your assumption"
    elif whole and values[0] >= 0 and design.y.mean() < COUNTED * design.y.std():
        what, hint = (
            (
                f"looks like a count, whole numbers from {values[0]:g} with mean "
                f"{number(design.y.mean(), 1)}"
            ),
            "",
        )
    elif HEAPED <= zeros < 1:
        what, hint = (
            f"is exactly 0 in {percent(zeros)} of the rows",
            "; whether there is any, and how much, are two questions",
        )
    else:
        return []
    shape = ", and what the errors' shape says about ρ is not to be used" * (
        design.kind == "binary"
    )
    return [
        f"{design.outcome} {what}: the model takes it for a straight line plus a normal error of "
        "constant spread. α remains the line's effect on its mean; intervals are "
        f"approximate{shape}{hint}."
    ]


def count(shuffled):
    """The share of shuffles in words: ``5 of 100 shuffles`` when none failed."""
    times = shuffled * SHUFFLES
    whole = abs(times - round(times)) < 1e-6
    return (
        f"{round(times)} of {SHUFFLES} shuffles"
        if whole
        else f"{percent(shuffled)} of the shuffles"
    )


def _shuffled(shuffled):
    passed = (
        " Passing is no acquittal: what looks just like a current, as a curve or an uneven effect "
        "may, is taken out as one."
        if shuffled <= MISLED
        else ""
    )
    return (
        "With each treatment drawn anew from its fitted chance, and the errors as they are, there "
        f"is no current; the likelihood rejects ρ = 0 in {count(shuffled)}, where normal errors "
        f"would give about {SHUFFLES // 20} at most.{passed}"
    )
