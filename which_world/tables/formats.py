"""Files of other programs as data frames: Parquet, Feather, Excel, Stata, SPSS, SAS, JSON."""

import re
from functools import partial

import pandas as pd

from which_world.tables import formulas

PARQUET = ".parquet", ".pq"
SHEETS = ".xlsx", ".xlsm", ".xls", ".ods"
LINES = ".jsonl", ".ndjson"
FROM_R = ".rds", ".rda", ".rdata"
KNOWN = "a CSV, Parquet, Feather, Excel, Stata, SPSS, SAS or JSON file"
NAMED = {
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


def reader(suffix):
    """The function that reads files of a suffix; None for a CSV, which is any other text."""
    if suffix in SHEETS:
        return pd.read_excel
    if suffix == ".json" or suffix in LINES:
        return partial(pd.read_json, lines=suffix in LINES, dtype=False, precise_float=True)
    return {
        **dict.fromkeys(PARQUET, pd.read_parquet),
        **dict.fromkeys((".feather", ".arrow"), pd.read_feather),
        ".dta": partial(_labelled, pd.read_stata, "columns"),
        **dict.fromkeys((".sav", ".zsav"), partial(_labelled, pd.read_spss, "usecols")),
        **dict.fromkeys((".sas7bdat", ".xpt"), _sas),
    }.get(suffix)


def kind_of(suffix):
    """What a sentence calls a file with a suffix: ``Parquet``, ``a .dta file``."""
    return "Parquet" if suffix in PARQUET else f"a {suffix} file"


def read(path, **options):
    """A file that is no CSV, as it stands.

    Parameters
    ----------
    path : Path
    **options
        Of `pandas.read_excel`: which texts are missing.

    Raises
    ------
    ImportError
        When a package is missing that reads this kind.
    ValueError
        When it is no such file.
    """
    suffix = path.suffix.lower()
    try:
        return formulas.check_frame(reader(suffix)(path, **options), str(path))
    except ImportError as error:
        found = re.search(r"(?:Import |dependency '|named ')(\w+)", str(error))
        package = found[1] if found else "what pandas asks for"
        also = " (or pip install 'which-world[formats]')" * (package in EXTRA)
        raise ImportError(
            f"{path} is read with {package}, which is not installed; accepted is the file once it "
            f"is: pip install {package}{also}; or a CSV of it."
        ) from error
    except Exception as error:  # each reader has errors of its own, and none is about this program
        raise ValueError(
            f"{path} could not be read as {kind_of(suffix)}: {' '.join(str(error).split())}"
        ) from error


def header(path):
    """The names of an Excel file's columns."""
    return list(map(str, reader(path.suffix.lower())(path, nrows=0).columns))


def _sas(path):
    """A SAS file as pyreadstat reads it: pandas 3.1 makes 5e-79 of each zero of a transport file."""
    import pyreadstat  # an extra, and only such a file needs it

    read = pyreadstat.read_xport if path.suffix.lower() == ".xpt" else pyreadstat.read_sas7bdat
    return read(str(path))[0]


def _labelled(read, columns, path):
    """Numbers with value labels: a category where each number that occurs has a label, and numbers where one has not.

    The labels of a measurement name its codes for no answer alone, and to take those for levels
    would lose the numbers.
    """
    plain = read(path, convert_categoricals=False)
    try:
        labelled = read(path)
    except ValueError:  # two numbers of one column with the same label
        labelled = {name: _one(read, path, columns, name) for name in plain}
    return plain.assign(
        **{name: labelled[name] for name in plain if _settled(plain[name], labelled[name])}
    )


def _settled(numbers, labels):
    """Whether a column's labels say as much as its numbers: one for each that occurs, and no two the same."""
    dtype = getattr(labels, "dtype", None)
    texts = isinstance(dtype, pd.CategoricalDtype) and all(
        isinstance(each, str) for each in dtype.categories
    )
    return texts and labels.nunique() == numbers.nunique() and labels.count() == numbers.count()


def _one(read, path, columns, name):
    try:
        return read(path, **{columns: [name]})[name]
    except ValueError:
        return None


def check_file(path):
    """Refuse what is no file, an address, and a file of an R session, with lines that make one that can be read."""
    text, suffix = str(path), path.suffix.lower()
    if (found := re.match(r"([A-Za-z][\w+.-]+):/+(?=\w)", text)) and not path.exists():
        address = f"{found[1]}://{text[found.end() :]}"
        call = (
            "read_csv" if reader(suffix) is None else f"read_{NAMED.get(suffix, suffix.strip('.'))}"
        )
        raise ValueError(
            f"path={address!r} is an address, and a report names the file that it was made from, "
            f"with its checksum; accepted is {KNOWN} on this machine: curl -L -o "
            f"data{suffix or '.csv'} '{address}'; or two lines of Python: data = "
            f"pandas.{call}({address!r}); table = read_table(data, outcome=..., treatment=...)."
        )
    if not path.is_file():
        raise FileNotFoundError(f"path={text!r} is no file; accepted is the path of {KNOWN}.")
    if suffix in FROM_R:
        raise ValueError(
            f"{path} is of an R session; accepted is {KNOWN}, which one line of R writes: "
            "write.csv(data, 'data.csv', row.names = FALSE, na = '')."
        )
