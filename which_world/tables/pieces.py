"""Many rows, or more than a memory holds: two formulas read against them piece by piece.

The first reading finds what no piece knows alone: which levels there are, what is missing, whether
text is meant as categories. The second makes the columns of both equations, piece by piece, and
keeps their `Moments`. Dask does the reading, on one machine or on a cluster whose workers come and
go.
"""

import operator
from collections import Counter
from functools import partial, reduce
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from which_world.moments import AT_ONCE, ONE_THREAD, Moments, cuts
from which_world.tables import codes, columns, factors, formulas

MANY = 100_000  # rows in memory beyond which copies of all columns are too many
FEW = 5  # different values of a response that tell its kind
FAN = 8  # results that are added up in one task


class Look(NamedTuple):
    """What the first reading of some rows finds.

    `missing`, `infinite` and `undefined` count by column or part of a formula, `texts` by column
    and value. `levels` holds, for a categorical factor, the levels that occur and those its type
    knows in their order; `values` a few different values of each response; `ends` how often the
    lowest and the highest numbers of a column occur.
    """

    n: int
    missing: Counter
    infinite: Counter
    undefined: Counter
    texts: dict
    levels: dict
    values: dict
    ends: dict

    def __add__(self, other):
        counts = (mine + others for mine, others in zip(self[1:4], other[1:4]))
        texts = {
            name: mine.add(other.texts[name], fill_value=0) for name, mine in self.texts.items()
        }
        levels = {
            name: (
                used | other.levels[name][0],
                list(dict.fromkeys([*known, *other.levels[name][1]])),
            )
            for name, (used, known) in self.levels.items()
        }
        values = {
            name: _smallest(np.r_[mine, other.values[name]]) for name, mine in self.values.items()
        }
        ends = {name: codes.together(mine, other.ends[name]) for name, mine in self.ends.items()}
        return Look(self.n + other.n, *counts, texts, levels, values, ends)


class Reduced(NamedTuple):
    """What the second reading keeps: the labels of either equation's columns, the moments of all, of t and y, and the
    labels of each term of either equation."""

    outcome: list
    treatment: list
    intercepts: tuple
    moments: Moments
    labels: tuple

    def __add__(self, other):
        return self._replace(moments=self.moments + other.moments)


class Columns(NamedTuple):
    """Both responses and both sets of covariates, as `formulas.columns_of` gives them, in few rows that stand for `n`.

    `values` has some different values of each response; `levels` those of each categorical factor;
    `notes` are sentences.
    """

    y: np.ndarray
    t: np.ndarray
    outcome: pd.DataFrame
    treatment: pd.DataFrame
    n: int | None
    notes: list
    values: dict
    levels: dict


def in_pieces(data):
    """Whether data come in pieces: a Dask DataFrame, or the path of a Parquet file or of a folder of them."""
    lazy = hasattr(data, "to_delayed") and hasattr(data, "columns")
    return lazy or (isinstance(data, (str, PathLike)) and Path(data).exists())


def better_in_pieces(data, both):
    """Whether rows in memory are so many that they had better be read in pieces, and their formulas can be."""
    return len(data) > MANY and not any(_by_columns(equation) for equation in both)


def condense(data, both, terms):
    """Both responses and both sets of covariates, condensed.

    Parameters
    ----------
    data : dask.dataframe.DataFrame, path or pandas.DataFrame
    both : pair of formulas.Equation
        Of outcome and treatment.
    terms : sequence of Term
        Of the outcome equation's covariates, without the treatment.

    Returns
    -------
    Columns

    Raises
    ------
    ValueError
        As `formulas.usable` and `formulas.columns_of`; and for a function of whole columns, such as
        ``poly``.
    """
    data = _opened(data)
    for equation in both:
        formulas.check_names(data.columns, equation)
        if found := _by_columns(equation):
            raise ValueError(
                f"{equation.argument}={equation.text!r}: {found[0]!r} needs a whole column at "
                "once, and these data come in pieces; accepted are functions of single rows, "
                "such as x + I(x**2)."
            )
    needed = formulas.merged(equation.names for equation in both)
    if in_pieces(data):
        data = data[list(needed)]  # nothing else is read
    look = _gathered(data, partial(_look, both=both, needed=needed))
    if look is None:
        raise ValueError("data has 0 rows; accepted is one with rows.")
    _check_look(look, both)
    levels, notes = _levels(look, both)
    asked = (codes.ask(counts, name, look.n) for name, counts in look.ends.items())
    notes = (
        formulas.told(data)
        + formulas.shared(both)
        + notes
        + [each for found in asked for each in found]
    )
    found = _gathered(data, partial(_reduce, both=both, terms=terms, levels=levels))
    rows, labels = found.moments.few(), dict.fromkeys([*found.outcome, *found.treatment])
    frame = pd.DataFrame(rows[:, :-2], columns=list(labels))
    frames = frame[found.outcome], frame[found.treatment]
    for each, intercept, labels in zip(frames, found.intercepts, found.labels):
        each.attrs |= {"intercept": intercept, "labels": labels}
    return Columns(rows[:, -1], rows[:, -2], *frames, found.moments.n, notes, look.values, levels)


def rows_of(data, both, terms, levels, scales):
    """Outcome, treatment and standardised covariates of rows in memory: (n,), (n,) and (n, p).

    Parameters
    ----------
    data : pandas.DataFrame
    both, terms
        As in `condense`.
    levels : dict
        Of `Columns`.
    scales : DataFrame
        ``mean`` and ``sd`` of each covariate.
    """
    y, t, C = np.empty(len(data)), np.empty(len(data)), np.empty((len(data), len(scales)))
    mean, sd = scales["mean"].to_numpy(), scales["sd"].to_numpy()
    for cut in cuts(len(data), AT_ONCE):
        y[cut], t[cut], *frames = _columns(data.iloc[cut], both, terms, levels)
        frame = pd.concat(frames, axis=1)
        C[cut] = (frame.loc[:, ~frame.columns.duplicated()][scales.index] - mean) / sd
    return y, t, C


def _opened(data):
    if not isinstance(data, (str, PathLike)):
        return data
    try:
        import dask.dataframe as dd
    except ImportError as error:
        raise ImportError(
            "Parquet files are read by Dask: pip install 'dask[dataframe]'."
        ) from error
    try:
        return dd.read_parquet(data)
    except (OSError, ValueError) as error:  # Arrow's errors are of these kinds
        said = " ".join(str(error).split())
        raise ValueError(
            f"data={str(data)!r} could not be read as Parquet: {said}; accepted is the path of a "
            "Parquet file or of a folder of them; a CSV is read by read_table or "
            "pandas.read_csv."
        ) from error


def _by_columns(equation):
    """Factors that take a whole column at once."""
    return [name for name, tree in equation.trees.items() if factors.of_columns(tree)]


def _gathered(data, work):
    """What `work` finds in all rows, added up in a fixed order; None where there are none."""
    if isinstance(data, pd.DataFrame):
        return _within(data, work)
    from dask import compute, delayed

    parts = [delayed(_within)(piece, work) for piece in data.to_delayed()]
    while len(parts) > 1:
        parts = [delayed(_added)(parts[i : i + FAN]) for i in range(0, len(parts), FAN)]
    return compute(parts[0])[0]


def _within(piece, work):
    with threadpool_limits(**ONE_THREAD):
        return _added(
            [work(piece.iloc[cut].reset_index(drop=True)) for cut in cuts(len(piece), AT_ONCE)]
        )


def _added(parts):
    found = [part for part in parts if part is not None]
    return reduce(operator.add, found) if found else None


def _look(rows, both, needed):
    rows = rows[list(needed)]
    plain = {
        name: columns.for_formulas(rows[name], name, categorical=c, whole=False)
        for name, c in needed.items()
    }
    missing = +Counter(rows.isna().sum().astype(int).to_dict())
    floats = {name: each for name, each in plain.items() if pd.api.types.is_float_dtype(each)}
    infinite = +Counter({name: int(np.isinf(each).sum()) for name, each in floats.items()})
    texts = {
        name: each.value_counts()
        for name, each in plain.items()
        if not needed[name]
        and pd.api.types.is_string_dtype(each)
        and not isinstance(each.dtype, pd.CategoricalDtype)
    }
    numbers = {
        name: codes.ends(each)
        for name, each in plain.items()
        if formulas.measured(each, needed[name])
    }
    data = pd.DataFrame(plain)[~rows.isna().any(axis=1)]
    undefined = Counter(
        {part: int(bad.sum()) for part, (bad, _) in formulas.undefined(data, both).items()}
    )
    found, levels, values = formulas.values_of(data, both), {}, {}
    for name, value in found.items():
        if factors.is_category(value):
            bare = factors.bare(value)
            known = bare.cat.categories if isinstance(bare.dtype, pd.CategoricalDtype) else []
            levels[name] = set(bare.dropna().unique()), list(known)
    for equation in both:
        response = found[equation.response.expr]
        number = not factors.is_category(response)
        values[equation.argument] = (
            _smallest(np.asarray(response, dtype=float)) if number else np.empty(0)
        )
    return Look(len(rows), missing, infinite, undefined, texts, levels, values, numbers)


def _smallest(values):
    """A few different values, the largest among them."""
    values = np.unique(values)
    return np.r_[values[:FEW], values[FEW:][-1:]]


def _check_look(look, both):
    """Refuse what is missing, infinite or undefined anywhere, and text that is no categories."""
    for equation in both:
        holes = {name: look.missing[name] for name in sorted(equation.names) if look.missing[name]}
        formulas.refuse_holes(holes, look.n, equation)
        for name in equation.names:
            formulas.refuse_infinite(look.infinite[name], name, equation.argument)
    for name, counts in look.texts.items():
        columns.check_text(counts.astype(int).sort_values(ascending=False, kind="stable"), name)
    formulas.check_compared(both, {name: list(counts.index) for name, counts in look.texts.items()})
    if look.undefined:
        formulas.refuse_undefined(
            "; ".join(
                f"{part}: {count:,} of {look.n:,} values are undefined"
                for part, count in look.undefined.items()
            )
        )


def _levels(look, both):
    """Every categorical factor's levels, in the order of its type or sorted; and what to say of levels without rows."""
    trees = both[0].trees | both[1].trees
    levels, notes = {}, {}
    for name, (used, known) in look.levels.items():
        levels[name] = [level for level in known if level in used] or list(
            pd.Categorical(list(used)).categories
        )
        column = next(iter(factors.names(trees[name])))
        notes |= {
            (column, level): f"{column} has no row of the level {str(level)!r}, which is left out."
            for level in known
            if level not in used
        }
    return levels, list(notes.values())


def _columns(rows, both, terms, levels):
    data, _ = formulas.usable(rows, both, whole=False)
    return formulas.columns_of(data, *both, terms, levels=levels)


def _reduce(rows, both, terms, levels):
    y, t, outcome, treatment = _columns(rows, both, terms, levels)
    alone = treatment.columns.difference(outcome.columns, sort=False)
    sides = outcome, treatment
    intercepts, labels = (
        tuple(side.attrs[name] for side in sides) for name in ("intercept", "labels")
    )
    moments = Moments.of(np.column_stack([outcome, treatment[alone], t, y]))
    return Reduced(list(outcome), list(treatment), intercepts, moments, labels)
