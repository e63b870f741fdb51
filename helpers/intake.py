"""A reader's own CSV, on its way to a design: read, names made plain, missing values counted."""

import keyword
import re
from pathlib import Path
from typing import NamedTuple

import formulaic
import pandas as pd
from formulaic.errors import FormulaicError


class Table(NamedTuple):
    """`data`, and the two formulas in its columns' names; `dropped` counts the rows left out for missing values."""

    data: pd.DataFrame
    outcome: str
    treatment: str
    dropped: int


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
        or values are missing and `drop_missing` is not set; the missing values are counted by column.
    """
    data = path.copy() if isinstance(path, pd.DataFrame) else _read(Path(path), separator, decimal)
    data, outcome, treatment = _plain(data, outcome, treatment)
    named = _names(outcome, "outcome") | _names(treatment, "treatment")
    if strangers := sorted(named - set(data.columns)):
        raise ValueError(
            f"the formulas name {strangers}, which the data do not have; their columns are "
            f"{list(map(str, data.columns))}."
        )
    holes = data[[name for name in data.columns if name in named]].isna()
    incomplete = int(holes.any(axis=1).sum())
    if not incomplete:
        return Table(data, outcome, treatment, 0)
    if not drop_missing:
        counts = ", ".join(f"{name!r} has {k:,}" for name, k in holes.sum().items() if k)
        raise ValueError(
            f"{incomplete:,} of {len(data):,} rows have a missing value in a column that is used ({counts}); accepted "
            "are complete rows: fill the values in, or ask to drop those rows (--drop-missing, drop_missing=True)."
        )
    if incomplete == len(data):
        raise ValueError(
            f"all {len(data):,} rows have a missing value in a column that is used; nothing would be left."
        )
    return Table(data[~holes.any(axis=1)].reset_index(drop=True), outcome, treatment, incomplete)


def _read(path, separator, decimal):
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; accepted is the path of a CSV.")
    if len(separator) != 1 or len(decimal) != 1 or separator == decimal:
        raise ValueError(f"separator={separator!r}, decimal={decimal!r}; accepted are two different characters.")
    try:
        data = pd.read_csv(path, sep=separator, decimal=decimal, low_memory=False)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} could not be read as a CSV in UTF-8: {error}") from error
    if data.empty:
        raise ValueError(f"{path} has {len(data)} rows and {data.shape[1]} columns; accepted is a CSV with rows.")
    return data


def _plain(data, *formulas):
    """Names in backticks made plain words, in the formulas and in the data."""
    plain = {}
    for name in dict.fromkeys(re.findall(r"`([^`]+)`", " ".join(formulas))):
        word = re.sub(r"\W+", "_", name).strip("_") or "column"
        plain[name] = f"_{word}" if word[0].isdigit() or keyword.iskeyword(word) else word
    data = data.rename(columns=plain)
    twice = sorted(set(data.columns[data.columns.duplicated()].astype(str)))
    if twice:
        raise ValueError(f"the data have more than one column named {twice[0]!r}; give each a name of its own.")
    return data, *(re.sub(r"`([^`]+)`", lambda found: plain[found[1]], formula) for formula in formulas)


def _names(formula, argument):
    try:
        return set(map(str, formulaic.Formula(formula).required_variables))
    except (FormulaicError, AttributeError) as error:
        raise ValueError(f"{argument}={formula!r} is not a two-sided formula such as 'y ~ t + x'.") from error
