"""Many rows, or more than a memory holds: two formulas read against them piece by piece.

The first reading finds what no piece knows alone: which levels there are, what is missing, whether
text is meant as categories. The second makes the columns of both equations, piece by piece, and
keeps their `Moments`. Where a response is binary these do not say all: `RowsInPieces` has the rows
read again for whatever is a sum over them. Dask does the reading, on one machine or on a cluster
whose workers come and go.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd
from joblib import parallel_config

from which_world.design import Design
from which_world.moments import AT_ONCE, BLOCK, Moments, cuts, one_thread
from which_world.tables import codes, columns, factors, formulas, frames

if TYPE_CHECKING:
    import dask.dataframe as dd
    from formulaic.parser.types import Term

    Source = pd.DataFrame | dd.DataFrame | str | PathLike[str]
    Equations = tuple[formulas.ParsedFormula, formulas.ParsedFormula]

MOST_COPIED = 100_000  # rows in memory beyond which copies of all columns are too many
PART = 2**16  # rows of many pieces that are held in memory, where each row counts
FEW_VALUES = 5  # different values of a response that tell its kind
FAN = 8  # results that are added up in one task


class Look(NamedTuple):
    """What the first reading of some rows finds.

    `missing`, `infinite` and `undefined` count by column or part of a formula, `texts` by column
    and value. `levels` holds, for a categorical factor, the levels that occur and those its type
    knows in their order; `values` a few different values of each response; `ends` how often the
    lowest and the highest numbers of a column occur.
    """

    n: int
    missing: Counter[str]
    infinite: Counter[str]
    undefined: Counter[str]
    texts: dict[str, pd.Series]
    levels: dict[str, tuple[set, list]]
    values: dict[str, np.ndarray]
    ends: dict[str, pd.Series]

    def __add__(self, other):
        return Look(
            self.n + other.n,
            self.missing + other.missing,
            self.infinite + other.infinite,
            self.undefined + other.undefined,
            _each(lambda one, two: one.add(two, fill_value=0), self.texts, other.texts),
            _each(_more_levels, self.levels, other.levels),
            _each(lambda one, two: _smallest(np.r_[one, two]), self.values, other.values),
            _each(codes.together, self.ends, other.ends),
        )


def _each(join, one, two):
    """Two mappings with the same names, joined name by name."""
    return {name: join(value, two[name]) for name, value in one.items()}


def _more_levels(one, two):
    """Levels that occur, and those that a type knows in their order, of two parts."""
    (used, known), (also_used, also_known) = one, two
    return used | also_used, list(dict.fromkeys([*known, *also_known]))


class Reduced(NamedTuple):
    """What the second reading keeps of some rows.

    The labels of the columns of `outcome` and `treatment`, whether each has an intercept, the
    `moments` of all columns, of t and of y, and the `labels` of each term of either equation.
    `part` is some of the rows, of the same columns.
    """

    outcome: list[str]
    treatment: list[str]
    intercepts: tuple[bool, bool]
    moments: Moments
    labels: tuple[dict, dict]
    part: np.ndarray

    def __add__(self, other):
        part = np.vstack([self.part, other.part])
        return self._replace(moments=self.moments + other.moments, part=part)


class Evaluated(NamedTuple):
    """Both responses and both sets of covariates, as `frames.columns_of` gives them.

    In as many rows as there are, or in few that stand for `n`. `values` has some different values
    of each response; `levels` those of each categorical factor; `notes` are sentences. `all_rows`
    hands over rows of data in pieces of which a response is all zeros and ones.
    """

    y: np.ndarray
    t: np.ndarray
    outcome: pd.DataFrame
    treatment: pd.DataFrame
    n: int | None
    notes: list[str]
    values: dict[str, np.ndarray]
    levels: dict[str, list]
    all_rows: RowsInPieces | None = None


@dataclass(frozen=True, eq=False)
class RowsInPieces:
    """Rows that no memory holds: whatever asks for a sum over them has them read again.

    `data` are a Dask DataFrame, of which `read` makes both responses and both sets of covariates.
    `some` are as many rows as a memory does hold: covariates by name, then t and y.
    """

    data: dd.DataFrame
    read: Callable[[pd.DataFrame], tuple]
    some: pd.DataFrame

    def total(self, design: Design, work: Callable[[Design], Any]) -> Any:
        """What `work` finds in the design of each block of rows, added up: they are read once."""
        each = partial(_worked, read=self.read, bare=_bare(design), work=work)
        return _gathered(self.data, each)

    def part(self, design: Design) -> Design:
        """The design of as many of the rows, drawn at random, as a memory does hold."""
        if "part" not in design.kept:
            design.kept["part"] = _filled(_bare(design), self.some)
        return design.kept["part"]


def _bare(design):
    """A design without rows, whose columns are to be made as its own were."""
    few = {"y": design.y[:0], "t": design.t[:0], "C": design.C[:0]}
    return replace(design, **few, centre=design.t_mean, stands_for=None, all_rows=None)


def _filled(bare, rows):
    """A design with these rows: covariates by name, then t and y."""
    mean, sd = bare.scales["mean"].to_numpy(), bare.scales["sd"].to_numpy()
    places, values = rows.columns[:-2].get_indexer(bare.scales.index), rows.to_numpy()
    C = (values[:, places] - mean) / sd
    return replace(bare, y=values[:, -1].copy(), t=values[:, -2].copy(), C=C)


def _worked(rows, read, bare, work):
    """What `work` finds in some rows, block by block."""
    side_by_side = _side_by_side(*read(rows))
    blocks = (side_by_side[cut] for cut in cuts(len(rows), BLOCK))
    return _added(work(_filled(bare, block)) for block in blocks)


def _side_by_side(y, t, outcome, treatment):
    """The covariates of both equations, then t and y."""
    alone = treatment.columns.difference(outcome.columns, sort=False)
    values = np.column_stack([outcome, treatment[alone], t, y]).astype(float, copy=False)
    return pd.DataFrame(values, columns=[*outcome, *alone, "t", "y"])


def in_pieces(data: Any) -> bool:
    """Whether data come in pieces: a Dask DataFrame, or the path of Parquet files."""
    lazy = hasattr(data, "to_delayed") and hasattr(data, "columns")
    return lazy or (isinstance(data, (str, PathLike)) and Path(data).exists())


def better_in_pieces(data: pd.DataFrame, equations: Equations) -> bool:
    """Whether rows in memory are so many that copies of all columns are too many.

    Their formulas must be such as can be read in pieces.
    """
    return len(data) > MOST_COPIED and not any(_whole_column(equation) for equation in equations)


def condense(data: Source, equations: Equations, terms: Sequence[Term]) -> Evaluated:
    """Both responses and both sets of covariates, condensed.

    `terms` are those of the outcome equation's covariates, without the treatment. A ValueError is
    as of `frames.usable` and `frames.columns_of`, or names a function of whole columns, such as
    ``poly``.
    """
    opened = _opened(data)
    for equation in equations:
        frames.check_names(opened.columns, equation)
        if whole := _whole_column(equation):
            raise ValueError(
                f"{equation.argument}={equation.text!r}: {whole[0]!r} needs a whole column at "
                "once, and these data come in pieces; accepted are functions of single rows, such "
                "as x + I(x**2)."
            )
    needed = formulas.merged(equation.names for equation in equations)
    if pieces := in_pieces(opened):
        opened = opened[list(needed)]  # nothing else is read
    look = _gathered(opened, partial(_look, equations=equations, needed=needed))
    if look is None:
        raise ValueError("data has 0 rows; accepted is one with rows.")
    _check_look(look, equations)
    levels, gone = _levels(look, equations)
    notes = [*frames.notes_of(opened), *frames.shared(equations), *gone]
    for name, counts in look.ends.items():
        notes += codes.ask(counts, name, look.n)

    read = partial(_columns, equations=equations, terms=terms, levels=levels)
    counted = pieces and any(set(few) == {0.0, 1.0} for few in look.values.values())
    share = min(1.0, PART / look.n) if counted else 0.0
    reduced = _gathered(opened, partial(_reduce, read=read, share=share))
    rows = reduced.moments.few()
    labels = list(dict.fromkeys([*reduced.outcome, *reduced.treatment]))
    frame = pd.DataFrame(rows[:, :-2], columns=labels)
    sides = frame[reduced.outcome], frame[reduced.treatment]
    for side, intercept, of_terms in zip(sides, reduced.intercepts, reduced.labels):
        side.attrs |= {"intercept": intercept, "labels": of_terms}
    n, all_rows = reduced.moments.n, None
    if counted:
        all_rows = RowsInPieces(
            opened, read, pd.DataFrame(reduced.part, columns=[*labels, "t", "y"])
        )
    return Evaluated(rows[:, -1], rows[:, -2], *sides, n, notes, look.values, levels, all_rows)


def standardised_rows(
    data: pd.DataFrame,
    equations: Equations,
    terms: Sequence[Term],
    levels: Mapping[str, list],
    scales: pd.DataFrame,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcome, treatment and standardised covariates of rows in memory: (n,), (n,) and (n, p).

    `levels` are those of `Evaluated`; `scales` has the ``mean`` and ``sd`` of each covariate.
    """
    n, mean, sd = len(data), scales["mean"].to_numpy(), scales["sd"].to_numpy()
    y, t, C = np.empty(n), np.empty(n), np.empty((n, len(scales)))
    for cut in cuts(n, AT_ONCE):
        y[cut], t[cut], *sides = _columns(data.iloc[cut], equations, terms, levels)
        frame = pd.concat(sides, axis=1)
        frame = frame.loc[:, ~frame.columns.duplicated()]
        C[cut] = (frame[scales.index] - mean) / sd
    return y, t, C


def _opened(data):
    """A Dask DataFrame of Parquet files; any other data as they are."""
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
            "Parquet file or of a folder of them; a CSV is read by read_table or pandas.read_csv."
        ) from error


def _whole_column(equation):
    """Factors that take a whole column at once."""
    return [name for name, tree in equation.trees.items() if factors.of_columns(tree)]


def _gathered(data, work):
    """What `work` finds in all rows, added up in a fixed order; None where there are none."""
    if isinstance(data, pd.DataFrame):
        return _within(data, work)
    from dask import compute, delayed

    # read and worked on in one task, or pieces that wait for their work fill a worker's memory
    work = delayed(work)  # handed to each worker once, however many pieces there are
    empty = pd.Series([], dtype=object)
    parts = data.map_partitions(_boxed, work, meta=empty, align_dataframes=False).to_delayed()
    parts = [delayed(_unboxed)(part) for part in parts]
    while len(parts) > 1:
        parts = [delayed(_added)(parts[i : i + FAN]) for i in range(0, len(parts), FAN)]
    return compute(parts[0])[0]


def _boxed(piece, work):
    """What `work` finds in a piece, as a table's only value."""
    _release()
    box = np.empty(1, dtype=object)
    box[0] = _within(piece, work)
    return pd.Series(box)


def _release():
    """Give back the memory in which Arrow read a piece: it is four times the piece's own."""
    import pyarrow

    pyarrow.default_memory_pool().release_unused()


def _unboxed(box):
    return box.iloc[0]


def _within(piece, work):
    """What `work` finds in a piece, some rows at a time."""
    with one_thread(), parallel_config(backend="sequential"):
        rows = (piece.iloc[cut] for cut in cuts(len(piece), AT_ONCE))
        return _added(work(part.reset_index(drop=True)) for part in rows)


def _added(parts):
    """Parts added up as they come; None where there are none."""
    parts = (part for part in parts if part is not None)
    first = next(parts, None)
    return None if first is None else reduce(operator.add, parts, first)


def _look(rows, equations, needed):
    """What the first reading finds in some rows."""
    rows = rows[list(needed)]
    plain = {
        name: columns.for_formulas(rows[name], name, categorical=category, whole=False)
        for name, category in needed.items()
    }
    numbers = {
        name: codes.ends(column)
        for name, column in plain.items()
        if frames.measured(column, needed[name])
    }
    texts = {
        name: column.value_counts()
        for name, column in plain.items()
        if not needed[name] and _is_text(column)
    }
    complete = pd.DataFrame(plain)[~rows.isna().any(axis=1)]
    undefined = frames.undefined(complete, equations)
    factor_values = frames.values_of(complete, equations)
    return Look(
        n=len(rows),
        missing=+Counter(rows.isna().sum().astype(int).to_dict()),
        infinite=+Counter({name: _infinite(column) for name, column in plain.items()}),
        undefined=Counter({part: int(bad.sum()) for part, (bad, _) in undefined.items()}),
        texts=texts,
        levels=_look_at_levels(factor_values),
        values=_look_at_responses(factor_values, equations),
        ends=numbers,
    )


def _is_text(column):
    categorical = isinstance(column.dtype, pd.CategoricalDtype)
    return pd.api.types.is_string_dtype(column) and not categorical


def _infinite(column):
    """How many values of a column are infinite."""
    return int(np.isinf(column).sum()) if pd.api.types.is_float_dtype(column) else 0


def _look_at_levels(factor_values):
    """The levels that occur in each categorical factor, and those that its type knows."""
    levels = {}
    for name, value in factor_values.items():
        if factors.is_category(value):
            bare = factors.bare(value)
            categorical = isinstance(bare.dtype, pd.CategoricalDtype)
            known = list(bare.cat.categories) if categorical else []
            levels[name] = set(bare.dropna().unique()), known
    return levels


def _look_at_responses(factor_values, equations):
    """A few different values of each response; none of a category."""
    values = {}
    for equation in equations:
        response = factor_values[equation.response.expr]
        if factors.is_category(response):
            values[equation.argument] = np.empty(0)
        else:
            values[equation.argument] = _smallest(np.asarray(response, dtype=float))
    return values


def _smallest(values):
    """A few different values, the largest among them."""
    values = np.unique(values)
    return np.r_[values[:FEW_VALUES], values[FEW_VALUES:][-1:]]


def _check_look(look, equations):
    """Refuse what is missing, infinite or undefined anywhere, and text that is no categories."""
    for equation in equations:
        holes = {name: look.missing[name] for name in sorted(equation.names) if look.missing[name]}
        frames.refuse_holes(holes, look.n, equation)
        for name in equation.names:
            frames.refuse_infinite(look.infinite[name], name, equation.argument)
    for name, counts in look.texts.items():
        columns.check_text(counts.astype(int).sort_values(ascending=False, kind="stable"), name)
    frames.check_compared(
        equations, {name: list(counts.index) for name, counts in look.texts.items()}
    )
    if look.undefined:
        counts = [
            f"{part}: {count:,} of {look.n:,} values are undefined"
            for part, count in look.undefined.items()
        ]
        frames.refuse_undefined("; ".join(counts))


def _levels(look, equations):
    """Every categorical factor's levels, in the order of its type or sorted.

    And what to say of levels without rows.
    """
    trees = equations[0].trees | equations[1].trees
    levels, notes = {}, {}
    for name, (used, known) in look.levels.items():
        in_order = [level for level in known if level in used]
        levels[name] = in_order or list(pd.Categorical(list(used)).categories)
        column = next(iter(factors.names(trees[name])))
        for level in known:
            if level not in used:
                notes[column, level] = frames.without_rows(column, level)
    return levels, list(notes.values())


def _columns(rows, equations, terms, levels):
    """Both responses and both sets of covariates of some rows."""
    data, _ = frames.usable(rows, equations, whole=False)
    return frames.columns_of(data, *equations, terms, levels=levels)


def _reduce(rows, read, share):
    """What the second reading keeps of some rows, and a share of these."""
    y, t, outcome, treatment = read(rows)
    values = _side_by_side(y, t, outcome, treatment).to_numpy()
    chance = np.random.default_rng(crc32(values.tobytes())).random(len(values))
    return Reduced(
        outcome=list(outcome),
        treatment=list(treatment),
        intercepts=(outcome.attrs["intercept"], treatment.attrs["intercept"]),
        moments=Moments.of(values),
        part=values[chance < share],
        labels=(outcome.attrs["labels"], treatment.attrs["labels"]),
    )
