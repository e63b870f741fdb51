"""What two formulas need of a data frame: its columns over the same rows, or a refusal.

A refusal says what is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, NoReturn

import formulaic
import narwhals.stable.v1 as narwhals
import numpy as np
import pandas as pd
from formulaic.materializers import PandasMaterializer
from formulaic.parser.types import Factor, Term

from which_world import arguments
from which_world.tables import codes, columns, factors
from which_world.tables.formulas import ParsedFormula, literal, merged

Undefined = dict[str, tuple[np.ndarray, tuple[str, ...]]]  # rows and names, by part of a formula

OWN_LABELS = ("Intercept", "intercept", "alpha")  # labels that the equations need for themselves
INTO_MEMORY = "to_pandas", "toPandas", "df", "collect"
"""What other libraries call the step from a query to a table."""


def usable(
    data: pd.DataFrame, equations: Sequence[ParsedFormula], *, whole: bool = True
) -> tuple[pd.DataFrame, list[str]]:
    """The columns that formulas need, with a fresh index, and sentences on what was decided.

    `whole` says if these are all rows; columns are as `columns.for_formulas` gives them. A
    TypeError or a ValueError names a column that is not there, has missing or infinite values, or
    holds what no equation can use.
    """
    for equation in equations:
        check_names(data.columns, equation)
        holes = data[sorted(equation.names)].isna().sum()
        counts = {str(name): int(count) for name, count in holes.items() if count}
        refuse_holes(counts, len(data), equation)
    kept: dict[str, pd.Series] = {}
    notes, rows = notes_of(data) + shared(equations), data.reset_index(drop=True)
    for name, categorical in merged(equation.names for equation in equations).items():
        column = columns.for_formulas(rows[name], name, categorical=categorical, whole=whole)
        kept[name] = column
        if whole and isinstance(rows.dtypes[name], pd.CategoricalDtype):
            gone = rows[name].cat.categories.difference(column.cat.categories, sort=False)
            notes += [without_rows(name, level) for level in gone]
        if whole and measured(column, categorical):
            notes += codes.ask(codes.ends(column), name, len(rows))
        if pd.api.types.is_float_dtype(column):
            first = next(equation for equation in equations if name in equation.names)
            check_finite(column, name, first.argument)
    if whole:
        texts = {name: column.unique() for name, column in kept.items() if _text(column)}
        check_compared(equations, texts)
    return pd.DataFrame(kept), notes


def without_rows(name: str, level: object) -> str:
    """What to say of a level without rows."""
    return f"{name} has no row of the level {str(level)!r}, which is left out."


def measured(column: pd.Series, categorical: bool) -> bool:
    """Whether a column is used as numbers, and not as truth values or as a category alone."""
    kinds = pd.api.types
    return not categorical and kinds.is_numeric_dtype(column) and not kinds.is_bool_dtype(column)


def _text(column):
    """Whether a column holds text, as such or as the levels of a category."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    return pd.api.types.is_string_dtype(dtype)


def check_compared(
    equations: Sequence[ParsedFormula], values: Mapping[str, Collection[str]]
) -> None:
    """Refuse to ask whether a column is a text that stands in none of its rows.

    `values` are those of some columns, by name.
    """
    for equation in equations:
        for written, tree in equation.trees.items():
            name, text = factors.compared_with_text(tree) or ("", "")
            if name in values and text not in values[name]:
                some = ", ".join(map(repr, sorted(map(str, values[name]))[:6]))
                raise ValueError(
                    f"{equation.argument}={equation.text!r}: no row of {name!r} is {text!r}, so "
                    f"{written!r} is the same in every row; accepted is one of its values: {some}."
                )


def notes_of(data: Any) -> list[str]:
    """What `read_table` has to say of the rows it read, in sentences."""
    return list(data.attrs.get("notes", [])) if isinstance(data, pd.DataFrame) else []


def shared(equations: Sequence[ParsedFormula]) -> list[str]:
    """A sentence where outcome and treatment are both made with one column: a price index."""
    uses = [equation.uses(equation.response) for equation in equations]
    both = sorted(uses[0] & uses[1]) if len(uses) == 2 else []
    if not both:
        return []
    return [
        f"The outcome and the treatment are both made with {', '.join(both)}: what is wrong in it "
        "is wrong in both, and they move together for that alone."
    ]


def check_names(names: Iterable, equation: ParsedFormula) -> None:
    """Refuse an equation that names a column that is not there."""
    missing = [name for name in sorted(equation.names) if name not in names]
    if missing:
        raise ValueError(
            f"{equation.argument}={equation.text!r} names {missing}, which the data do not have; "
            f"their columns are {list(map(str, names))}."
        )


def refuse_holes(holes: Mapping[str, int], rows: int, equation: ParsedFormula) -> None:
    """Refuse missing values, counted by column."""
    if holes:
        counts = ", ".join(f"{name!r} has {count}" for name, count in holes.items())
        raise ValueError(
            f"{equation.argument}={equation.text!r}: {counts} missing values (NaN) of {rows} rows; "
            f"accepted are complete rows: drop them with data.dropna(subset={list(holes)}) or "
            "fill them in."
        )


def in_pandas(data: Any) -> Any:
    """A table of polars, of Arrow or of their kin, if it is in memory; anything else as it is."""
    if isinstance(data, pd.DataFrame):
        return data
    frame = narwhals.from_native(data, eager_only=True, pass_through=True)
    return frame.to_pandas() if isinstance(frame, narwhals.DataFrame) else data


def check_frame(data: Any, argument: str = "data") -> pd.DataFrame:
    """The data, if they are a data frame with rows and a name of its own for each column."""
    data = in_pandas(data)
    if not isinstance(data, pd.DataFrame):
        steps = [name for name in INTO_MEMORY if hasattr(data, name)]
        hint = f" or another table in memory: {argument}.{steps[0]}()" if steps else ""
        if isinstance(data, (str, PathLike)) and argument == "data":
            hint = ", a Dask DataFrame or the path of a Parquet file that exists"
        raise TypeError(
            f"{argument}={arguments.brief(data)}; accepted is a pandas.DataFrame{hint}."
        )
    if (twice := data.columns[data.columns.duplicated()]).size:
        raise ValueError(
            f"the data have more than one column named {str(twice[0])!r}; give each a name of its "
            "own."
        )
    if data.empty:
        size = f"{len(data)} rows and {data.shape[1]} columns"
        raise ValueError(
            f"{argument}={arguments.brief(data)} has {size}; accepted is one with rows."
        )
    return data


def check_finite(values: Any, name: str, argument: str) -> None:
    """Refuse values that are infinite or undefined."""
    refuse_infinite(int((~np.isfinite(np.asarray(values, dtype=float))).sum()), name, argument)


def refuse_infinite(infinite: int, name: str, argument: str) -> None:
    """Refuse so many infinite or undefined values, if there are any."""
    if infinite:
        raise ValueError(
            f"{argument}: {name!r} has {infinite} infinite or undefined values; accepted are "
            "finite numbers."
        )


def undefined(data: pd.DataFrame, equations: Sequence[ParsedFormula]) -> Undefined:
    """The rows where a part of a formula is undefined and its columns are not: ``log(-1)``.

    By part: a mask of rows, and the names of the columns in it.
    """
    parts: Undefined = {}
    for equation in equations:
        for name in equation.trees:
            _compute(equation, name, data, parts)
    return parts


def say_undefined(data: pd.DataFrame, parts: Undefined) -> str:
    """Counts of undefined values by part of a formula, and where its columns lie there."""
    sentences = []
    for part, (rows, names) in parts.items():
        where = ""
        if len(names) == 1 and pd.api.types.is_numeric_dtype(data[names[0]]):
            where = f" ({names[0]} is {_where(data.loc[rows, names[0]])} there)"
        counts = f"{rows.sum():,} of {len(data):,}"
        sentences.append(f"{part}: {counts} values are undefined{where}")
    return "; ".join(sentences)


def _where(values):
    """Where values lie, in words where these are about the sign."""
    low, high = float(values.min()), float(values.max())
    if low < high == 0:
        return "zero or negative"
    if low < 0 and high <= 0:
        return "negative"
    return f"{low:g}" if low == high else f"between {low:g} and {high:g}"


def refuse_undefined(said: str) -> NoReturn:
    """Refuse values of formulas that are undefined."""
    raise ValueError(
        f"{said}; accepted are terms that are defined in every row: change the term, or leave "
        "those rows out (read_table(..., drop_missing=True) or --drop-missing drops and counts "
        "them), which of an outcome chooses rows by what is to be explained."
    )


def _compute(equation, name, data, undefined=None):
    """The values of one factor of an equation."""
    try:
        return factors.compute(equation.trees[name], data, undefined)
    except Exception as error:  # whatever a function of formulas makes of the reader's column
        raise ValueError(
            f"{equation.argument}={equation.text!r}: {name!r} cannot be computed: {error}"
        ) from error


def values_of(data: pd.DataFrame, equations: Sequence[ParsedFormula]) -> dict[str, factors.Values]:
    """Each factor's values, by its text; numbers in double precision."""
    return {
        name: factors.real(_compute(equation, name, data))
        for equation in equations
        for name in equation.trees
    }


def columns_of(
    data: pd.DataFrame,
    outcome: ParsedFormula,
    treatment: ParsedFormula,
    terms: Sequence[Term],
    *,
    levels: Mapping[str, list] | None = None,
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Both responses and both sets of covariates, computed once over the same rows.

    Parameters
    ----------
    terms : sequence of Term
        Of the outcome equation's covariates, without the treatment.
    levels : mapping of str to list, optional
        Of each categorical factor, where these are not all rows.

    Returns
    -------
    y, t : ndarray
    outcome, treatment : DataFrame
        Covariates, dummies coded against a reference level where there is a constant. The attribute
        ``labels`` holds the labels of each term's columns, ``intercept`` whether the equation has a
        constant (see `has_constant`).
    """
    equations = outcome, treatment
    if parts := undefined(data, equations):
        refuse_undefined(say_undefined(data, parts))
    values = values_of(data, equations)
    for name, own in (levels or {}).items():
        values[name] = factors.with_levels(values[name], own)
    categories = _categories(data, equations, values)
    intercepts = [has_constant(equation, categories) for equation in equations]
    sides = {
        "outcome": _for_formulaic(terms, intercepts[0]),
        "treatment": _for_formulaic(treatment.terms, intercepts[1]),
    }
    made = PandasMaterializer(data[[]], context=values)
    try:
        matrices = made.get_model_matrix(formulaic.Formula(**sides), na_action="ignore")
    except Exception as error:  # whatever a coding makes of the reader's levels
        coded = [name for name in values if name.startswith("C(") and "," in name]
        raise ValueError(
            f"the levels of {' or '.join(map(repr, coded))} cannot be coded: "
            f"{str(error).rstrip('.')}; accepted are "
            "C(g), C(g, Treatment('a')) with a level 'a' that g has, and C(g, contr.sum), "
            "contr.helmert, contr.diff or contr.poly in its place."
        ) from error
    y, t = (_response(data, values[equation.response.expr], equation) for equation in equations)
    frames = [_frame(matrices[name], side, name) for name, side in sides.items()]
    for frame, intercept in zip(frames, intercepts):
        frame.attrs["intercept"] = intercept
    return y, t, frames[0], frames[1]


def _categories(data, equations, values):
    """The factors that have levels: those of categories, and those that are true or false."""
    trees = {name: tree for equation in equations for name, tree in equation.trees.items()}
    return {
        name
        for name, tree in trees.items()
        if factors.is_truth(tree, data) or factors.is_category(values[name])
    }


def _for_formulaic(terms, intercept):
    """Terms whose factors' values are looked up by their text, since they are computed.

    With a constant where the equation has one, or no other term.
    """
    looked_up = []
    for term in terms:
        parts = [part if literal(part) else Factor(part.expr) for part in term.factors]
        looked_up.append(Term(parts))
    one = Term([Factor("1", eval_method="literal")])
    return [one, *looked_up] if intercept or not looked_up else looked_up


def _frame(matrix, terms, argument):
    """Covariates as a frame of finite numbers by label.

    None is lost, and none takes a name that is needed.
    """
    names, places = list(map(str, matrix.columns)), matrix.model_spec.term_indices
    terms = [term for term in terms if term != "1"]
    for term in terms:
        if not places[term]:
            raise ValueError(
                f"{argument}: {str(term)!r} has one level only, so it is constant; leave it out."
            )
        if str(term) in OWN_LABELS:
            raise ValueError(
                f"{argument}: {str(term)!r} is a name that the equations need; rename that column."
            )
    frame = pd.DataFrame(matrix).set_axis(names, axis=1)
    frame = frame.drop(columns="Intercept", errors="ignore")
    # one array: of thousands of columns apart, every later step would cost more than its numbers
    values = frame.to_numpy(dtype=float)
    frame = pd.DataFrame(values, frame.index, frame.columns, copy=False)
    for name in frame.columns[~np.isfinite(values).all(axis=0)]:
        check_finite(frame[name], name, argument)
    frame.attrs["labels"] = {term: [names[place] for place in places[term]] for term in terms}
    return frame


def has_constant(equation: ParsedFormula, categories: Collection[str]) -> bool:
    """Whether an equation has a constant: unless ``0 +`` says no, or the levels of a factor yes.

    A yes or a no, False and True, has two levels, in R and in statsmodels too; zeros and ones are
    numbers.
    """
    whole = (all(factor.expr in categories for factor in term.factors) for term in equation.terms)
    return equation.intercept or any(whole)


def _response(data, values, equation):
    """The left side of an equation: one column of numbers."""
    name, argument = equation.response.expr, equation.argument
    numeric = np.ndim(values) == 1 and pd.api.types.is_numeric_dtype(getattr(values, "dtype", None))
    if not numeric:
        column = next(iter(factors.names(equation.trees[name])))  # C(k) is k here
        words = sorted(pd.unique(data[column].dropna()).tolist(), key=str)
        some = [*map(repr, words[:4]), *(["..."] if len(words) > 4 else [])]
        one = recoded(column, words[-1] if len(words) == 2 else words[0], argument)
        if len(words) > 2 and argument == "treatment":
            two = f"data[data[{column!r}].isin([{', '.join(some[:2])}])]"
            one += f"; to compare two of them alone, keep their rows: {two}"
        raise ValueError(
            f"{argument}: {name!r} holds [{', '.join(some)}]; accepted are numbers, and for a "
            f"binary {argument} the numbers 0 and 1: {one}."
        )
    values = np.asarray(values, dtype=float)
    check_finite(values, name, argument)
    return values


def recoded(name: str, value: Any, argument: str, least: bool = False) -> str:
    """What to write for the yes or no whether a column has a value, or at `least` that.

    It works in a formula, and so anywhere.
    """
    value = int(value) if isinstance(value, float) and value % 1 == 0 else value
    sign, rows = (">=", f"{value!r} or more") if least else ("==", f"{value!r}")
    name = re.sub(r"^C\((\w+)\)$", r"\1", name)
    places = "on the left"
    if argument == "treatment":
        places = "on the left of its own formula and as a term of the outcome's"
    alone = f" (I({name} == {value!r}) is {value!r} alone)" if least else ""
    return (
        f"write I({name} {sign} {value!r}) {places}, which is 1 in the rows of {rows} and 0 in all "
        f"others{alone}"
    )


def advised(values: np.ndarray, name: str, argument: str) -> str:
    """What to do about a response of few values.

    Ask for a code among them, or write which of them is a yes: of more than two those from one
    on that parts the rows most evenly.
    """
    if asked := codes.ask(codes.ends(values), name, len(values)):
        return asked[0].rstrip(".")
    above = np.unique(values)[1:]
    share = np.array([np.mean(values >= level) for level in above])
    level = above[np.argmin(np.abs(share - 0.5))].item()
    return recoded(name, level, argument, least=len(above) > 1)
