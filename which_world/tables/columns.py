"""What a column of a data frame is: numbers, truth values or categories, or a sentence that says what it should be."""

import datetime
import numbers
import re

import numpy as np
import pandas as pd

FEW = 10  # as many different numbers with a unit, or dates, may be categories
MARKS = ",.'’ \u00a0\u202f"  # what stands between thousands somewhere in the world
NUMBER = rf"[-+]?(?:\d+(?:[{MARKS}]\d+)*|[.,]\d+)(?:[eE][-+]?\d+)?"
DIGITS = rf"\s*[-+]?[\d{MARKS}]*\d[\d{MARKS}]*(?:[eE][-+]?\d+)?\s*"
DATE = (
    r"\s*(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ]\d.*)?|\d{4}[-/]\d{2}|"
    r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s*[AaPp]\.?[Mm]\.?)?)\s*"
)
MEASURED = (  # what stands around it
    rf"\s*((?:[A-Z]{{3}}\s)?[^\w\s.,+-]*)\s*{NUMBER}\s*((?:[^\d.,\s].*?)?)\s*"
)
# the texts that pandas takes for a missing value, beside an empty field
MISSING = (
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
)
DATES = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    pd.Period,
    pd.Interval,
    np.datetime64,
    np.timedelta64,
)


def for_formulas(column, name, *, categorical=False, whole=True):
    """A column as formulas use it, whichever way pandas holds it.

    Parameters
    ----------
    column : Series
        Missing values stay missing.
    name : str
        As a sentence calls it.
    categorical : bool
        Whether it stands in ``C(...)`` alone: then anything that has levels will do.
    whole : bool
        Whether these are all rows. If not, text is not judged, which `check_text` does, and no
        level is taken out.

    Returns
    -------
    Series
        Of NumPy numbers or truth values, of text, or categorical with the levels that occur.

    Raises
    ------
    ValueError
        For dates, complex numbers, numbers kept as objects or as text, numbers with a unit, and
        text of which nearly every value is different.
    """
    dtype, api = column.dtype, pd.api.types
    if isinstance(dtype, pd.CategoricalDtype):
        return column.cat.remove_unused_categories() if whole else column
    if api.is_complex_dtype(dtype):
        raise ValueError(
            f"{name!r} holds complex numbers; accepted are real ones: data[{name!r}].abs(), or its "
            ".real."
        )
    if api.is_bool_dtype(dtype) or api.is_numeric_dtype(dtype):
        return _numpy(column)
    if api.is_object_dtype(dtype):
        return _objects(column, name, categorical, whole)
    if api.is_string_dtype(dtype) or str(dtype).startswith("dictionary"):
        return _text(column.astype(object).astype("str"), name, categorical or not whole)
    return _dates(column, name, categorical)


def _numpy(column):
    """Numbers or truth values out of pandas' or Arrow's own types, a missing one as NaN."""
    if isinstance(column.dtype, np.dtype):
        return column
    if isinstance(column.dtype, pd.SparseDtype):
        return column.sparse.to_dense()
    whole = pd.api.types.is_integer_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)
    if whole and not column.isna().any():
        return column.astype("bool" if pd.api.types.is_bool_dtype(column.dtype) else "int64")
    return pd.Series(
        column.to_numpy(dtype=float, na_value=np.nan), index=column.index, name=column.name
    )


def _objects(column, name, categorical, whole):
    """A column of Python objects, by what they are."""
    held = column.dropna()
    kinds = set(map(type, held))
    if not kinds or all(issubclass(kind, str) for kind in kinds):
        return _text(column.astype("str"), name, categorical or not whole)
    if kinds <= {bool, np.bool_}:
        return column.astype("bool" if len(held) == len(column) else object)
    if all(issubclass(kind, DATES) for kind in kinds):
        return _dates(column, name, categorical)
    if any(issubclass(kind, str) for kind in kinds) and all(
        issubclass(kind, (str, numbers.Number)) for kind in kinds
    ):
        return _text(
            column.map(str, na_action="ignore").astype("str"), name, categorical or not whole
        )
    if any(not pd.api.types.is_hashable(value) for value in held[:1]) or not (
        categorical or _numeric(kinds)
    ):
        raise ValueError(
            f"{name!r} holds {_shown(held.iloc[0])}, of the type {type(held.iloc[0]).__name__}; "
            "accepted are numbers, truth values and text."
        )
    if not categorical:
        raise ValueError(
            f"{name!r} holds numbers kept as objects, such as {_shown(held.iloc[0])}; accepted are "
            f"numbers: data[{name!r}].astype(float), or C(`{name}`) if it is meant to be "
            "categorical."
        )
    return column


def _numeric(kinds):
    import decimal

    return all(issubclass(kind, (numbers.Number, decimal.Decimal)) for kind in kinds)


def _shown(value):
    """A value in a sentence, without the name of its type."""
    return repr(value.item() if isinstance(value, np.generic) else value)


def _dates(column, name, categorical):
    if categorical:
        return column.map(str, na_action="ignore").astype("str")
    example = column.dropna().iloc[0] if column.notna().any() else ""
    span = isinstance(
        example, (datetime.timedelta, np.timedelta64)
    ) or pd.api.types.is_timedelta64_dtype(column.dtype)
    days = (
        f"data[{name!r}].dt.total_seconds() / 86400"
        if span
        else f"(data[{name!r}] - data[{name!r}].min()).dt.days"
    )
    raise ValueError(
        f"{name!r} holds {'spans of time' if span else 'dates or times'}, such as "
        f"{str(example)!r}; accepted are numbers, for example days: {days}; or C(`{name}`) if it "
        "is meant to be categorical."
    )


def _text(column, name, categorical):
    held = column.dropna()
    if not categorical and not held.empty:
        check_text(
            held.value_counts(),
            name,
            lambda value: int(np.flatnonzero(column.eq(value).fillna(False))[0]) + 1,
        )
    return column


def check_text(counts, name, row=None):
    """Refuse text that is no categories: numbers, dates, or nearly every value different.

    Parameters
    ----------
    counts : Series
        How often each value occurs.
    name : str
    row : function, optional
        From a value to the row in which it first stands.
    """
    for fault in (_dated, _digits, _measured, _different):
        if found := fault(counts):
            value, said, accepted = found
            where = f" (row {row(value):,})" if row else ""
            said = said.format(
                value=f"{str(value)!r}{where}",
                many=f"{len(counts):,} different ones in {counts.sum():,} rows",
            )
            hint = f"C(`{name}`) if it is meant to be categorical"
            raise ValueError(
                f"{name!r} holds {said}; accepted are {accepted.format(hint=hint, name=name)}."
            )


def _share(counts, pattern):
    """The share of values that a pattern describes, and those values."""
    fits = counts.index.str.fullmatch(pattern)
    return counts[fits].sum() / counts.sum(), counts.index[fits]


def _many(counts):
    return len(counts) > FEW or len(counts) > counts.sum() / 2


def _dated(counts):
    share, values = _share(counts, DATE)
    if share > 0.5 and _many(counts):
        days = "pd.to_datetime(data[{name!r}]).map(pd.Timestamp.toordinal)"
        return (
            values[0],
            "dates or times as text, such as {value}, {many}",
            f"numbers, for example {days}, or {{hint}}",
        )
    return None


def _digits(counts):
    """Numbers that were read as text: a stray word, or marks of another country."""
    share, values = _share(counts, DIGITS)
    if share <= 0.5 or _share(counts, DATE)[0] > 0.5:
        return None
    if found := _thousands(values):
        return found
    reads = pd.to_numeric(counts.index, errors="coerce").notna()
    good, stray = int(counts[reads].sum()), counts.index[~reads]
    some = f"{good:,} number{'s' * (good > 1)} and " * bool(good)
    said = (
        f"{some}{{value}}"
        if len(stray)
        else f"{some.removesuffix(' and ')} stored as text, such as {{value}}"
    )
    comma = "; for decimal commas use --decimal , (decimal=',')" * any(
        "," in value for value in values
    )
    none = len(stray) and stray[0].strip() in MISSING
    hole = (
        f"; if {stray[0]!r} is a missing value, say so as well: --missing {{name}}={stray[0]}"
        if none
        else ""
    )
    return (stray if len(stray) else values)[0], said, f"numbers, or {{hint}}{comma}{hole}"


def _thousands(values):
    """Whether a mark stands before three digits wherever it stands, as a thousands mark does."""
    for mark in MARKS:
        other = re.escape("," if mark == "." else ".")
        grouped = values[values.str.contains(mark, regex=False)]
        whole = rf"\s*[-+]?[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+({other}\d+)?\s*"
        if len(grouped) and grouped.str.fullmatch(whole).all():
            more, decimal = (" and decimal=','", " --decimal ,") if mark == "." else ("", "")
            sure = (
                (grouped.str.count(re.escape(mark)) > 1).any()
                or grouped.str.contains(other).any()
                or mark not in ",."
            )
            if_not = (
                ""
                if sure
                else f"; if every {mark!r} is a decimal mark, decimal={mark!r} (--decimal {mark})"
            )
            said = (
                f"{{value}}, and every {mark!r} in it stands before three digits, as a thousands "
                "mark does"
            )
            return (
                grouped[0],
                said,
                (
                    f"numbers: read the file with thousands={mark!r}{more} (--thousands "
                    f"{mark!r}{decimal}){if_not}, or {{hint}}"
                ),
            )
    return None


def _measured(counts):
    """Numbers with a unit or a currency, the same on most."""
    share, values = _share(counts, MEASURED)
    if share <= 0.5 or not _many(counts):
        return None
    around = pd.Series(
        [" ".join(re.fullmatch(MEASURED, value).groups()).strip() for value in values],
        index=values,
    )
    weight = counts[values].groupby(around).sum()
    usual = weight[weight.index != ""]
    if usual.empty or usual.max() <= 0.5 * counts.sum():
        return None
    unit, value = usual.idxmax(), around.index[around == usual.idxmax()][0]
    unit = repr(unit).replace("{", "{{").replace("}", "}}")
    said = f"numbers with {unit} around them, such as {{value}}, {{many}}"
    return value, said, f"numbers: take {unit} out of the column; or {{hint}}"


def _different(counts):
    if len(counts) <= max(FEW, counts.sum() / 2):
        return None
    return (
        counts.index[0],
        "text such as {value}, {many}: each would be a category of its own",
        "categories that several rows share, or {hint}",
    )
