"""What a column of a data frame is: numbers, truth values, categories, or to be refused."""

from __future__ import annotations

import datetime
import decimal
import numbers
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

FEW_CATEGORIES = 10  # as many different numbers with a unit, or dates, may be categories
THOUSANDS_MARKS = ",.'’ \u00a0\u202f"  # what stands between thousands somewhere in the world
NUMBER = rf"[-+]?(?:\d+(?:[{THOUSANDS_MARKS}]\d+)*|[.,]\d+)(?:[eE][-+]?\d+)?"
LIKE_NUMBERS = rf"\s*[-+]?[\d{THOUSANDS_MARKS}]*\d[\d{THOUSANDS_MARKS}]*(?:[eE][-+]?\d+)?\s*"
DATE = (
    r"\s*(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ]\d.*)?|\d{4}[-/]\d{2}|"
    r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s*[AaPp]\.?[Mm]\.?)?)\s*"
)
WITH_A_UNIT = (  # what stands around it
    rf"\s*((?:[A-Z]{{3}}\s)?[^\w\s.,+-]*)\s*{NUMBER}\s*((?:[^\d.,\s].*?)?)\s*"
)
# the texts that pandas takes for a missing value, beside an empty field
MISSING_TEXTS = tuple(
    "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan"
    "|null".split("|")
)
SPANS = datetime.timedelta, np.timedelta64
DATES = (datetime.date, datetime.time, pd.Period, pd.Interval, np.datetime64, *SPANS)
NUMBERS = numbers.Number, decimal.Decimal


class Fault(NamedTuple):
    """Why text is no category: a value, what a sentence says around it, and what is accepted."""

    value: str
    before: str
    after: str
    accepted: str


def for_formulas(
    column: pd.Series, name: str, *, categorical: bool = False, whole: bool = True
) -> pd.Series:
    """A column as formulas use it, whichever way pandas holds it; missing values stay missing.

    NumPy numbers or truth values, text, or categories that occur. If it is `categorical`, that is,
    stands in ``C(...)`` alone, anything that has levels will do. If these are not the `whole` of
    its rows, text is not judged, which `check_text` does, and no level is taken out.

    Raises
    ------
    ValueError
        For dates, complex numbers, numbers kept as objects or as text, numbers with a unit, text
        of which nearly every value is different, and a category of numbers and texts.
    """
    dtype, kinds = column.dtype, pd.api.types
    if isinstance(dtype, pd.CategoricalDtype):
        return _category(column, name, categorical, whole)
    if kinds.is_complex_dtype(dtype):
        raise ValueError(
            f"{name!r} holds complex numbers; accepted are real ones: data[{name!r}].abs(), or its "
            ".real."
        )
    if kinds.is_bool_dtype(dtype) or kinds.is_numeric_dtype(dtype):
        return _numpy(column)
    judged = whole and not categorical
    if kinds.is_object_dtype(dtype):
        return _objects(column, name, categorical, judged)
    if kinds.is_string_dtype(dtype) or str(dtype).startswith("dictionary"):
        return _text(column.astype(object).astype("str"), name, judged)
    return _dates(column, name, categorical)


def _category(column, name, categorical, whole):
    """A category with the levels that occur; numbers among texts are half a measurement."""
    column = column.cat.remove_unused_categories() if whole else column
    levels = pd.Series(column.cat.categories, dtype=object)
    texts = levels.map(lambda level: isinstance(level, str)).astype(bool)
    if not categorical and texts.any() and not texts.all():
        number, text = _shown(levels[~texts].iloc[0]), repr(levels[texts].iloc[0])
        raise ValueError(
            f"{name!r} is a category of numbers and texts, such as {number} and {text}, as "
            "pandas.read_stata and read_spss make of numbers some of which have a label; accepted "
            "are its numbers (convert_categoricals=False, or read_table, which keeps them), or "
            f"{_as_category(name)}."
        )
    return column


def _numpy(column):
    """Numbers or truth values out of pandas' or Arrow's own types, a missing one as NaN."""
    dtype, kinds = column.dtype, pd.api.types
    if isinstance(dtype, np.dtype):
        return column
    if isinstance(dtype, pd.SparseDtype):
        return column.sparse.to_dense()
    if not column.isna().any():
        if kinds.is_bool_dtype(dtype):
            return column.astype("bool")
        if kinds.is_integer_dtype(dtype):
            return column.astype("int64")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    return pd.Series(values, index=column.index, name=column.name)


def _objects(column, name, categorical, judged):
    """A column of Python objects, by what they are."""
    held = column.dropna()
    kinds = set(map(type, held))
    if _all(kinds, str):
        return _text(column.astype("str"), name, judged)
    if kinds <= {bool, np.bool_}:
        return column.astype("bool" if len(held) == len(column) else object)
    if _all(kinds, DATES):
        return _dates(column, name, categorical)
    if _all(kinds, (str, numbers.Number)) and any(issubclass(kind, str) for kind in kinds):
        return _text(_as_text(column), name, judged)
    first = held.iloc[0]
    if not pd.api.types.is_hashable(first) or not (categorical or _all(kinds, NUMBERS)):
        raise ValueError(
            f"{name!r} holds {_shown(first)}, of the type {type(first).__name__}; "
            "accepted are numbers, truth values and text."
        )
    if not categorical:
        raise ValueError(
            f"{name!r} holds numbers kept as objects, such as {_shown(first)}; accepted are "
            f"numbers: data[{name!r}].astype(float), or {_as_category(name)}."
        )
    return column


def _all(kinds, wanted):
    """Whether all types are of a kind."""
    return all(issubclass(kind, wanted) for kind in kinds)


def _as_text(column):
    """Values as text, missing ones as they are."""
    return column.map(str, na_action="ignore").astype("str")


def _shown(value):
    """A value in a sentence, without the name of its type."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _as_category(name):
    """What to write for a column that is meant as a category."""
    return f"C(`{name}`) if it is meant to be categorical"


def _dates(column, name, categorical):
    """Dates or times as categories; as numbers they are refused."""
    if categorical:
        return _as_text(column)
    held = column.dropna()
    example = "" if held.empty else held.iloc[0]
    if isinstance(example, SPANS) or pd.api.types.is_timedelta64_dtype(column.dtype):
        what, days = "spans of time", f"data[{name!r}].dt.total_seconds() / 86400"
    else:
        what, days = "dates or times", f"(data[{name!r}] - data[{name!r}].min()).dt.days"
    raise ValueError(
        f"{name!r} holds {what}, such as {str(example)!r}; accepted are numbers, for example days: "
        f"{days}; or {_as_category(name)}."
    )


def _text(column, name, judged):
    """A column of text, if it may be a category."""

    def row(value):
        return int(np.flatnonzero(column.eq(value).fillna(False))[0]) + 1

    if judged and column.notna().any():
        check_text(column.dropna().value_counts(), name, row)
    return column


def check_text(counts: pd.Series, name: str, row: Callable[[str], int] | None = None) -> None:
    """Refuse text that is no categories: numbers, dates, or nearly every value different.

    `counts` says how often each value occurs, `row` in which row it first stands.
    """
    for fault_of in (_dated, _digits, _measured, _different):
        fault = fault_of(counts, name)
        if fault:
            where = f" (row {row(fault.value):,})" if row else ""
            held = f"{fault.before}{str(fault.value)!r}{where}{fault.after}"
            raise ValueError(f"{name!r} holds {held}; accepted are {fault.accepted}.")


def _share(counts, pattern):
    """The share of values that a pattern describes, and those values."""
    fits = counts.index.str.fullmatch(pattern)
    return counts[fits].sum() / counts.sum(), counts.index[fits]


def _too_many(counts):
    """Whether different values are too many for categories."""
    return len(counts) > FEW_CATEGORIES or len(counts) > counts.sum() / 2


def _how_many(counts):
    return f", {len(counts):,} different ones in {counts.sum():,} rows"


def _dated(counts, name):
    """Dates as text."""
    share, values = _share(counts, DATE)
    if share <= 0.5 or not _too_many(counts):
        return None
    days = f"pd.to_datetime(data[{name!r}]).map(pd.Timestamp.toordinal)"
    return Fault(
        values[0],
        "dates or times as text, such as ",
        _how_many(counts),
        f"numbers, for example {days}, or {_as_category(name)}",
    )


def _digits(counts, name):
    """Numbers that were read as text: a stray word, or marks of another country."""
    share, values = _share(counts, LIKE_NUMBERS)
    if share <= 0.5 or _share(counts, DATE)[0] > 0.5:
        return None
    if parted := _thousands(values, name):
        return parted
    reads = pd.to_numeric(counts.index, errors="coerce").notna()
    good, stray = int(counts[reads].sum()), counts.index[~reads]
    some = f"{good:,} numbers" if good > 1 else "1 number" if good else ""
    accepted = f"numbers, or {_as_category(name)}"
    if any("," in value for value in values):
        accepted += "; for decimal commas use --decimal , (decimal=',')"
    if stray.empty:
        return Fault(values[0], f"{some} stored as text, such as ", "", accepted)
    word = stray[0]
    if word.strip() in MISSING_TEXTS:
        accepted += f"; if {word!r} is a missing value, say so as well: --missing {name}={word}"
    return Fault(word, f"{some} and " if some else "", "", accepted)


def _thousands(values, name):
    """A mark that stands before three digits wherever it stands, as a thousands mark does."""
    for mark in THOUSANDS_MARKS:
        decimal_mark = re.escape("," if mark == "." else ".")
        grouped = values[values.str.contains(mark, regex=False)]
        parted = rf"\s*[-+]?[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+({decimal_mark}\d+)?\s*"
        if grouped.empty or not grouped.str.fullmatch(parted).all():
            continue
        python, shell = f"thousands={mark!r}", f"--thousands {mark!r}"
        if mark == ".":
            python, shell = f"{python} and decimal=','", f"{shell} --decimal ,"
        accepted = f"numbers: read the file with {python} ({shell})"
        several = (grouped.str.count(re.escape(mark)) > 1).any()
        if mark in ",." and not several and not grouped.str.contains(decimal_mark).any():
            accepted += (
                f"; if every {mark!r} is a decimal mark, decimal={mark!r} (--decimal {mark})"
            )
        after = f", and every {mark!r} in it stands before three digits, as a thousands mark does"
        return Fault(grouped[0], "", after, f"{accepted}, or {_as_category(name)}")
    return None


def _measured(counts, name):
    """Numbers with a unit or a currency, the same on most."""
    share, values = _share(counts, WITH_A_UNIT)
    if share <= 0.5 or not _too_many(counts):
        return None
    around = pd.Series([_around(value) for value in values], index=values)
    weight = counts[values].groupby(around).sum()
    usual = weight[weight.index != ""]
    if usual.empty or usual.max() <= 0.5 * counts.sum():
        return None
    unit = usual.idxmax()
    return Fault(
        around.index[around == unit][0],
        f"numbers with {unit!r} around them, such as ",
        _how_many(counts),
        f"numbers: take {unit!r} out of the column; or {_as_category(name)}",
    )


def _around(value):
    """What stands around a number."""
    return " ".join(re.fullmatch(WITH_A_UNIT, value).groups()).strip()


def _different(counts, name):
    """Text of which nearly every value is different."""
    if len(counts) <= max(FEW_CATEGORIES, counts.sum() / 2):
        return None
    return Fault(
        counts.index[0],
        "text such as ",
        f"{_how_many(counts)}: each would be a category of its own",
        f"categories that several rows share, or {_as_category(name)}",
    )
