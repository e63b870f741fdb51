"""Files of other programs as data frames: Parquet, Feather, Excel, Stata, SPSS, SAS, JSON."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from which_world.tables import frames

PARQUET = ".parquet", ".pq"
SHEETS = ".xlsx", ".xlsm", ".xls", ".ods"
LINES = ".jsonl", ".ndjson"
FROM_R = ".rds", ".rda", ".rdata"
READABLE = "a CSV, Parquet, Feather, Excel, Stata, SPSS, SAS or JSON file"
PANDAS_NAMES = {
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xls": "excel",
    ".ods": "excel",
    ".dta": "stata",
    ".pq": "parquet",
    ".sav": "spss",
    ".zsav": "spss",
    ".arrow": "feather",
    ".xpt": "sas",
    ".sas7bdat": "sas",
    ".jsonl": "json",
    ".ndjson": "json",
}
EXTRA = {"openpyxl", "pyreadstat"}  # what the extra `formats` of this package holds


def reader(suffix: str) -> Callable[..., pd.DataFrame] | None:
    """The function that reads files of a suffix; None for a CSV, which is any other text."""
    readers: dict[str, Callable[..., Any]] = {
        ".feather": pd.read_feather,
        ".arrow": pd.read_feather,
        ".dta": partial(_labelled, pd.read_stata, "columns"),
        ".sav": partial(_labelled, pd.read_spss, "usecols"),
        ".zsav": partial(_labelled, pd.read_spss, "usecols"),
        ".sas7bdat": _sas,
        ".xpt": _sas,
        ".json": _json,
    }
    readers |= dict.fromkeys(PARQUET, pd.read_parquet)
    readers |= dict.fromkeys(SHEETS, pd.read_excel)
    readers |= dict.fromkeys(LINES, partial(_json, lines=True))
    return readers.get(suffix)


def _known_reader(suffix: str) -> Callable[..., pd.DataFrame]:
    """The function that reads files of a suffix, of those that have one."""
    known = reader(suffix)
    assert known is not None, suffix
    return known


def kind_of(suffix: str) -> str:
    """What a sentence calls a file with a suffix: ``Parquet``, ``a .dta file``."""
    return "Parquet" if suffix in PARQUET else f"a {suffix} file"


def read(path: Path, **options: Any) -> pd.DataFrame:
    """A file that is no CSV, as it stands; `options` are those of `pandas.read_excel`.

    An ImportError names a package that reads this kind and is missing; a ValueError says that it is
    no such file.
    """
    suffix = path.suffix.lower()
    try:
        return frames.check_frame(_known_reader(suffix)(path, **options), str(path))
    except ImportError as error:
        named = re.search(r"(?:Import |dependency '|named ')(\w+)", str(error))
        package = named[1] if named else "what pandas asks for"
        also = " (or pip install 'which-world[formats]')" if package in EXTRA else ""
        raise ImportError(
            f"{path} is read with {package}, which is not installed; accepted is the file once it "
            f"is: pip install {package}{also}; or a CSV of it."
        ) from error
    except Exception as error:  # each reader has errors of its own, and none is about this program
        raise ValueError(
            f"{path} could not be read as {kind_of(suffix)}: {' '.join(str(error).split())}"
        ) from error


def header(path: Path) -> list[str]:
    """The names of an Excel file's columns."""
    return list(map(str, _known_reader(path.suffix.lower())(path, nrows=0).columns))


def _json(path, lines=False):
    """A JSON file: a list of rows, or a row in each of its lines."""
    return pd.read_json(path, lines=lines, dtype=False, precise_float=True)


def _sas(path):
    """A SAS file as pyreadstat reads it; pandas 3.1 makes 5e-79 of a transport file's zeros."""
    import pyreadstat  # an extra, and only such a file needs it

    read = pyreadstat.read_xport if path.suffix.lower() == ".xpt" else pyreadstat.read_sas7bdat
    return read(str(path))[0]


def _labelled(read, columns, path):
    """A file of numbers with value labels.

    A category where each number that occurs has a label, and numbers where one has not: the labels
    of a measurement name its codes for no answer alone, and to take those for levels would lose the
    numbers.
    """
    numbers = read(path, convert_categoricals=False)
    try:
        labels = read(path)
    except ValueError:  # two numbers of one column with the same label
        labels = {name: _one(read, path, columns, name) for name in numbers}
    settled = [name for name in numbers if _settled(numbers[name], labels[name])]
    return numbers.assign(**{name: labels[name] for name in settled})


def _settled(numbers, labels):
    """Whether labels say as much as numbers: one for each that occurs, and no two the same."""
    dtype = getattr(labels, "dtype", None)
    if not isinstance(dtype, pd.CategoricalDtype):
        return False
    texts = all(isinstance(level, str) for level in dtype.categories)
    return texts and labels.nunique() == numbers.nunique() and labels.count() == numbers.count()


def _one(read, path, columns, name):
    """One column with its labels; None where two numbers have the same."""
    try:
        return read(path, **{columns: [name]})[name]
    except ValueError:
        return None


def check_file(path: Path) -> None:
    """Refuse what is no file, an address, and a file of an R session.

    With lines that make a file that can be read.
    """
    text, suffix = str(path), path.suffix.lower()
    remote = re.match(r"([A-Za-z][\w+.-]+):/+(?=\w)", text)
    if remote and not path.exists():
        address = f"{remote[1]}://{text[remote.end() :]}"
        kind = "csv" if reader(suffix) is None else PANDAS_NAMES.get(suffix, suffix.strip("."))
        raise ValueError(
            f"path={address!r} is an address, and a report names the file that it was made from, "
            f"with its checksum; accepted is {READABLE} on this machine: curl -L -o "
            f"data{suffix or '.csv'} '{address}'; or two lines of Python: data = "
            f"pandas.read_{kind}({address!r}); table = read_table(data, outcome=..., "
            "treatment=...)."
        )
    if not path.is_file():
        raise FileNotFoundError(f"path={text!r} is no file; accepted is the path of {READABLE}.")
    if suffix in FROM_R:
        raise ValueError(
            f"{path} is of an R session; accepted is {READABLE}, which one line of R writes: "
            "write.csv(data, 'data.csv', row.names = FALSE, na = '')."
        )
