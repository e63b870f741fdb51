"""A reader's own CSV, on its way to a design: read, names made plain, missing values counted."""

import keyword
import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from helpers.formulas import read_formula


class Table(NamedTuple):
    """`data`, and the two formulas in its columns' names.

    `dropped` counts the rows left out for missing values; `names` holds the file's own names of renamed columns.
    """

    data: pd.DataFrame
    outcome: str
    treatment: str
    dropped: int
    names: dict


def read_table(path, *, outcome, treatment, drop_missing=False, separator=",", decimal="."):
    """Read a CSV for two formulas.

    Parameters
    ----------
    path : path or pandas.DataFrame
    outcome, treatment : str
        As in `make_design`. A name that is no plain word stands in backticks and is made plain, here and in
        the data: ```body weight (g)``` becomes ``body_weight_g``.
    drop_missing : bool
        Drop the rows in which a column of either formula is missing, and count them. Not asked to, refuse.
    separator, decimal : str
        Between the values, and within a number.

    Returns
    -------
    Table

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is no CSV, a formula cannot be read or names a column that is not there, two columns share a name,
        a column of numbers holds some text, or values are missing and `drop_missing` is not set; the missing values
        are counted by column.
    """
    file = "the data" if isinstance(path, pd.DataFrame) else Path(path).name
    data = path.copy() if isinstance(path, pd.DataFrame) else _read(Path(path), separator, decimal)
    own = list(map(str, data.columns))
    _check_quoted(outcome, treatment, own, file)
    data, outcome, treatment, plain = _plain(data, outcome, treatment)
    names = {word: name for name, word in plain.items() if word != name}
    named = _names(outcome, "outcome") | _names(treatment, "treatment")
    if strangers := sorted(named - set(data.columns)):
        _refuse_strangers([names.get(name, name) for name in strangers], own, file)
    used = [name for name in data.columns if name in named]
    for name in used:
        _check_text(data[name], names.get(name, name), _always_categorical(name, outcome, treatment))
    holes = data[used].isna()
    incomplete = int(holes.any(axis=1).sum())
    if not incomplete:
        return Table(data, outcome, treatment, 0, names)
    if not drop_missing:
        counts = ", ".join(f"{names.get(name, name)!r} has {k:,}" for name, k in holes.sum().items() if k)
        raise ValueError(
            f"{incomplete:,} of {len(data):,} rows have a missing value in a column that is used ({counts}); accepted "
            "are complete rows: fill the values in, or ask to drop those rows (--drop-missing, drop_missing=True)."
        )
    if incomplete == len(data):
        raise ValueError(
            f"all {len(data):,} rows have a missing value in a column that is used; nothing would be left."
        )
    return Table(data[~holes.any(axis=1)].reset_index(drop=True), outcome, treatment, incomplete, names)


def _read(path, separator, decimal):
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; accepted is the path of a CSV.")
    separator = "\t" if separator == r"\t" else separator
    if len(separator) != 1 or len(decimal) != 1 or separator == decimal:
        raise ValueError(f"separator={separator!r}, decimal={decimal!r}; accepted are two different characters.")
    try:
        head = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str).iloc[0].dropna()
        _check_twice(head)  # pandas would rename the second
        data = pd.read_csv(path, sep=separator, decimal=decimal, low_memory=False)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} could not be read as a CSV: {error}; accepted is UTF-8: save it so.") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} could not be read as a CSV in UTF-8: {error}") from error
    if data.empty:
        raise ValueError(f"{path} has {len(data)} rows and {data.shape[1]} columns; accepted is a CSV with rows.")
    return data


def _check_twice(columns):
    if len(twice := columns[pd.Index(columns).duplicated()]):
        raise ValueError(
            f"the data have more than one column named {str(next(iter(twice)))!r}; give each a name of its own."
        )


def _check_quoted(outcome, treatment, own, file):
    """Names in backticks must be the file's; the others are looked for once the formulas can be read."""
    quoted = dict.fromkeys(re.findall(r"`([^`]+)`", f"{outcome} {treatment}"))
    if strangers := [name for name in quoted if name not in own]:
        _refuse_strangers(strangers, own, file)


def _refuse_strangers(strangers, own, file):
    mark = next((mark for mark in (";", "\t", "|") if len(own) == 1 and mark in own[0]), None)
    between = {";": "semicolons", "\t": "tabs", "|": "bars"}.get(mark)
    hint = f"; if its values stand between {between}, say --separator {mark!r}" if mark else ""
    one = repr(strangers[0]) if len(strangers) == 1 else strangers
    have = ("the data do not have; their", "") if file == "the data" else (f"{file} does not have; its", hint)
    raise ValueError(f"the formulas name {one}, which {have[0]} columns are {own}{have[1]}.")


def _plain(data, *formulas):
    """Names in backticks made plain words, in the formulas and in the data; and which became which."""
    _check_twice(data.columns)
    plain = {}
    for name in dict.fromkeys(re.findall(r"`([^`]+)`", " ".join(formulas))):
        word = re.sub(r"\W+", "_", name).strip("_") or "column"
        plain[name] = f"_{word}" if word[0].isdigit() or keyword.iskeyword(word) else word
    became = {}
    for name in data.columns:
        word = plain.get(name, name)
        if word in became:
            raise ValueError(f"{became[word]!r} and {name!r} become the same plain name; rename one.")
        became[word] = name
    data = data.rename(columns=plain)
    return data, *(re.sub(r"`([^`]+)`", lambda found: plain[found[1]], formula) for formula in formulas), plain


def _names(formula, argument):
    return set(map(str, read_formula(formula, argument).required_variables))


def _always_categorical(name, *formulas):
    """Whether a name stands nowhere but in C(...)."""
    rest = re.sub(rf"\bC\(\s*{re.escape(name)}\b", "", " ".join(formulas))
    return not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", rest)


def _check_text(column, name, categorical):
    """Refuse a column of numbers that a stray text turned into words."""
    if categorical or pd.api.types.is_numeric_dtype(column) or isinstance(column.dtype, pd.CategoricalDtype):
        return
    text = column.dropna().astype(str)
    reads = pd.to_numeric(text, errors="coerce").notna()
    commas = pd.to_numeric(text.str.replace(",", ".", regex=False), errors="coerce").notna()
    if commas.mean() <= 0.5:
        return
    stray = text[~reads]
    some = f"{reads.sum():,} number{'s' if reads.sum() > 1 else ''} and " if reads.any() else ""
    where = (
        f"{stray.iloc[0]!r} (row {column.index.get_loc(stray.index[0]) + 1})"
        if len(stray)
        else "they are stored as text"
    )
    raise ValueError(
        f"{name!r} holds {some}{where}; accepted are numbers, or C(`{name}`) if it is meant to be categorical; for "
        "decimal commas use --decimal ,"
    )
