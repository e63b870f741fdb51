"""A reader's own file, on its way to a design: read, names made plain, missing values counted."""

from __future__ import annotations

import keyword
import re
import shlex
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from which_world import arguments
from which_world.tables import columns, formats, formulas, frames

PARSED_AT_ONCE = 2**18  # rows of a CSV that are parsed together
IN_A_FRAME = "nothing for a data frame, where it is NaN or None: data.replace({'age': {-99: None}})"
LARGE = 1_000_000_000  # bytes of a Parquet file beyond which it is read in pieces
IN_BACKTICKS = re.compile("`([^`]+)`")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


class Table(NamedTuple):
    """Rows for two formulas, and what happened to them on the way.

    Attributes
    ----------
    data : pandas.DataFrame or pathlib.Path
        The rows that are used, with every column of the file; its path where it is too large for
        memory.
    outcome, treatment : str
        The two formulas, in the columns' plain names.
    dropped : int
        Rows left out for missing values, those included in which a part of a formula is undefined.
    names : dict of str to str
        The file's own names of renamed columns, by their plain names.
    undefined : dict of str to int
        Rows left out because a part of a formula is undefined in them, by that part.
    """

    data: pd.DataFrame | Path
    outcome: str
    treatment: str
    dropped: int
    names: dict[str, str]
    undefined: dict[str, int]


def read_table(
    path: str | PathLike[str] | pd.DataFrame,
    *,
    outcome: str,
    treatment: str,
    drop_missing: bool = False,
    separator: str = ",",
    decimal: str = ".",
    thousands: str | None = None,
    missing: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None = None,
) -> Table:
    """A table of the rows that two formulas need, read from a CSV or a file of another program.

    Parameters
    ----------
    path : path or pandas.DataFrame (or one of polars, or a pyarrow Table)
        A Parquet file (``.parquet``) of more than a gigabyte is left where it is, and `make_design`
        reads it in pieces. Feather, JSON (a list of rows, or ``.jsonl``) and Stata (``.dta``) files
        are read as they are; Excel (the first sheet), SPSS (``.sav``) and SAS with ``pip install
        'which-world[formats]'``. Numbers that all have a value label become categories, and
        ``I(asked == 'yes')`` a yes or a no of them; where the numbers are meant, read the file with
        ``pandas.read_stata(path, convert_categoricals=False)`` or ``pandas.read_spss`` likewise.
    outcome, treatment : str
        As in `make_design`. A name that is no plain word stands in backticks and is made plain,
        here and in the data: ```body weight (g)``` becomes ``body_weight_g``.
    drop_missing : bool
        Drop the rows in which a column of either formula is missing or a part of a formula
        undefined (the log of a negative number), and count them. Not asked to, refuse.
    separator, decimal, thousands : str
        Of a CSV: between the values, and within a number.
    missing : str, list of str, or mapping of str to str or list of str, optional
        Of a CSV or an Excel file: the texts that stand for a missing value, beside the empty field,
        in all columns or in each column named. ``missing=""`` is the empty field alone, so that NA,
        None and null are codes like any other; ``missing={"age": "-99"}`` makes -99 missing in one
        column. Left out, pandas' own list: NA, None, null, n/a, NaN and their kin.

    Returns
    -------
    Table

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ImportError
        When the package that reads such a file is not installed.
    ValueError
        When it is no such file, an address, a row has more fields than the header, a formula cannot
        be read or names a column that is not there, two columns share a name, a column holds
        neither numbers nor categories, or values are missing and `drop_missing` is not set; the
        missing values are counted by column.

    See Also
    --------
    make_design : A design of the table's data and formulas.
    make_report : A report, which says what was dropped and renamed: its `table` is this one.

    Examples
    --------
    >>> import pandas as pd
    >>> from which_world import read_table
    >>> fish = pd.DataFrame({"gain (g)": [1.2, 3.4, None, 5.1], "fed": [0, 1, 1, 0]})
    >>> table = read_table(fish, outcome="`gain (g)` ~ fed", treatment="fed ~ 1", drop_missing=True)
    >>> table.outcome, table.dropped, table.names
    ('gain_g ~ fed', 1, {'gain_g': 'gain (g)'})
    """
    marks, missing_texts = _marks(separator, decimal, thousands), _missing(missing)
    arguments.flag(drop_missing, "drop_missing")
    for name, formula in (("outcome", outcome), ("treatment", treatment)):
        arguments.text(formula, name, accepted="a formula, such as 'y ~ t + x'")
    path = frames.in_pandas(path)
    file = _file(path, drop_missing, marks, missing)
    if file and _too_large(file):
        return Table(file, outcome, treatment, 0, {}, {})
    if file:
        data = _read(file, missing_texts, **marks)
    else:
        data = frames.check_frame(path, "path").copy()

    header, source = list(map(str, data.columns)), file.name if file else ""
    _check_quoted(outcome, treatment, header, source)
    words = _plain_words(outcome, treatment)
    _check_twice(data.columns)
    _check_words(data.columns, words)
    data = data.rename(columns=words)
    outcome, treatment = (_in_words(formula, words) for formula in (outcome, treatment))
    names = {word: name for name, word in words.items() if word != name}

    equations = formulas.parse(outcome, "outcome"), formulas.parse(treatment, "treatment")
    needed = formulas.merged(equation.names for equation in equations)
    if strangers := sorted(needed.keys() - set(data.columns)):
        _refuse_strangers([names.get(name, name) for name in strangers], header, source)
    for name, categorical in needed.items():
        columns.for_formulas(data[name], names.get(name, name), categorical=categorical)
    if file and formats.reader(file.suffix.lower()) is None:
        _check_marks(file, [names.get(name, name) for name in needed], **marks)

    holes = data[[name for name in data.columns if name in needed]].isna()
    texts = _texts_in_holes(file, data, holes, needed, names, marks["separator"])
    complete = _complete(data, holes, names, drop_missing, texts)
    whole, undefined = _defined(complete, equations) if drop_missing else (complete, {})
    if texts:
        whole.attrs["notes"] = [_dropped(name, counts) for name, counts in texts.items()]
    return Table(whole, outcome, treatment, len(data) - len(whole), names, undefined)


def _missing(missing):
    """The texts that are missing, as a list for all columns or a mapping of lists by column.

    None if nothing was said.
    """
    accepted = "a text such as 'NA', a list of texts, or a mapping of columns to either"
    if missing is None:
        return None
    if isinstance(missing, str):
        return [missing]
    if not isinstance(missing, Mapping):
        return arguments.listed(missing, "missing", accepted, kind=str)
    lists = {}
    for name, texts in arguments.mapping(missing, "missing", accepted, least=1).items():
        texts = [texts] if isinstance(texts, str) else texts
        lists[name] = arguments.listed(texts, f"missing[{name!r}]", accepted, kind=str)
    return lists


def _too_large(file):
    """Whether a file is left where it is, to be read in pieces."""
    return file.suffix.lower() in formats.PARQUET and file.stat().st_size > LARGE


def _file(path, drop_missing, marks, missing):
    """The path of a file that is there, or None for a data frame.

    What is said of a file must be said of its kind.
    """
    if isinstance(path, pd.DataFrame):
        if missing is not None:
            arguments.refuse("missing", missing, IN_A_FRAME)
        return None
    path = arguments.path(path, "path", "the path of a CSV, or a pandas.DataFrame")
    formats.check_file(path)
    suffix = path.suffix.lower()
    if formats.reader(suffix) is None:
        return path
    kind = formats.kind_of(suffix)
    if marks != _marks(",", ".", None):
        raise ValueError(
            f"{path} is {kind}, whose values need no marks: separator, decimal and thousands are "
            "for CSVs."
        )
    if missing is not None and suffix not in formats.SHEETS:
        raise ValueError(
            f"{path} is {kind}, which knows itself what is missing; "
            f"missing={arguments.brief(missing)} is for texts, and accepted for a CSV or an Excel "
            "file."
        )
    if drop_missing and _too_large(path):
        raise ValueError(
            f"{path} has more than {LARGE:,} bytes and is read in pieces, of which no rows are "
            "dropped; accepted are complete rows: drop them before the file is written."
        )
    return path


def _texts_in_holes(file, data, holes, needed, names, separator):
    """Counts of the texts that the file has where a category is missing, by column.

    They may be codes like the others. Columns go by the file's own names.
    """
    suffix = file.suffix.lower() if file else ""
    sheet = suffix in formats.SHEETS
    numeric = pd.api.types.is_numeric_dtype
    categories = [
        name for name in holes if holes[name].any() and (needed[name] or not numeric(data[name]))
    ]
    if not categories or not file or (formats.reader(suffix) and not sheet):
        return {}
    own_names = [names.get(name, name) for name in categories]
    as_text = {"usecols": own_names, "dtype": str, "keep_default_na": False}
    if sheet:
        texts = formats.read(file, **as_text)
    else:
        texts = pd.read_csv(file, sep=separator, index_col=False, na_filter=False, **as_text)
    counts = {}
    for name, own_name in zip(categories, own_names):
        often = texts[own_name][holes[name].to_numpy()].value_counts()
        often = often[often.index.str.strip() != ""]
        if len(often):
            counts[own_name] = often
    return counts


def _listed_counts(counts):
    """``'NA' in 12 and 'null' in 3``."""
    return " and ".join(f"{text!r} in {count:,}" for text, count in counts.items())


def _keeping_codes(name):
    """How to say that in a column the empty field alone is missing."""
    return f"--missing {shlex.quote(f'{name}=')} (missing={{{name!r}: ''}})"


def _dropped(name, counts):
    """What became of texts that were taken for missing values."""
    return (
        f"Rows in which {name} is the text {_listed_counts(counts)} of the file's rows were taken "
        "for missing and dropped. If that is a code like the others, keep them: "
        f"{_keeping_codes(name)}."
    )


def _complete(data, holes, names, drop_missing, texts):
    """The rows in which no column that is used is missing, if they may be dropped."""
    hole = holes.any(axis=1)
    incomplete = int(hole.sum())
    if not incomplete:
        return data
    if not drop_missing:
        counts = ", ".join(
            f"{names.get(name, name)!r} has {count:,}"
            for name, count in holes.sum().items()
            if count
        )
        codes = "".join(
            f"; {name!r} is the text {_listed_counts(often)}, which is taken for a missing value: "
            f"if it is a code like the others, {_keeping_codes(name)}"
            for name, often in texts.items()
        )
        raise ValueError(
            f"{incomplete:,} of {len(data):,} rows have a missing value in a column that is used "
            f"({counts}); accepted are complete rows: fill the values in, or ask to drop those "
            f"rows (--drop-missing, drop_missing=True){codes}."
        )
    if incomplete == len(data):
        raise ValueError(
            f"all {len(data):,} rows have a missing value in a column that is used; nothing would "
            "be left."
        )
    return data[~hole].reset_index(drop=True)


def _defined(data, equations):
    """The rows in which every part of both formulas is defined.

    And how many rows are left out, by the part that is undefined in them.
    """
    worked_out = [equation.worked_out() for equation in equations]
    if not any(equation.trees for equation in worked_out):
        return data, {}
    usable, _ = frames.usable(data, worked_out)
    undefined = frames.undefined(usable, worked_out)
    if not undefined:
        return data, {}
    bad = np.any([rows for rows, _ in undefined.values()], axis=0)
    if bad.all():
        raise ValueError(f"{frames.say_undefined(usable, undefined)}; nothing would be left.")
    counts = {part: int(rows.sum()) for part, (rows, _) in undefined.items()}
    return data[~bad].reset_index(drop=True), counts


def _marks(separator, decimal, thousands):
    """The three marks of a CSV, which must differ."""
    separator = "\t" if isinstance(separator, str) and separator == r"\t" else separator
    marks = {"separator": separator, "decimal": decimal, "thousands": thousands}
    given = {name: mark for name, mark in marks.items() if name != "thousands" or mark is not None}
    single = all(isinstance(mark, str) and len(mark) == 1 for mark in given.values())
    if not single or len(set(given.values())) < len(given):
        told = ", ".join(f"{name}={arguments.brief(mark)}" for name, mark in given.items())
        raise ValueError(f"{told}; accepted are different characters.")
    return marks


def _read(path, missing, separator, decimal, thousands):
    """The rows of a file of any kind, as it has them."""
    if formats.reader(path.suffix.lower()):
        options = _as_missing(missing, formats.header(path)) if missing else {}
        return formats.read(path, **options)
    header = []
    try:
        first = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str).iloc[0]
        header, named = list(first), first.dropna()
        _check_twice(named)  # pandas would rename the second
        options = _as_missing(missing, list(named))
        with warnings.catch_warnings():
            # it would cut off what a row has too much
            warnings.simplefilter("error", pd.errors.ParserWarning)
            data = _in_parts(path, sep=separator, decimal=decimal, thousands=thousands, **options)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} could not be read as a CSV: {error}; accepted is UTF-8: save it so."
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        _refuse_widths(path, error, header)
    if data.empty:
        raise ValueError(
            f"{path} has {len(data)} rows and {data.shape[1]} columns; accepted is a CSV with rows."
        )
    return data


def _as_missing(missing, header):
    """Options that tell pandas which texts are missing.

    Those that were said; where they were said by column, in all others those of pandas' own list.
    """
    if missing is None:
        return {}
    if not isinstance(missing, dict):
        return {"keep_default_na": False, "na_values": ["", *missing]}
    if strangers := [name for name in missing if name not in header]:
        raise ValueError(
            f"missing={arguments.brief(missing)} names {strangers[0]!r}, which the file does not "
            f"have; accepted are its columns: {header}."
        )
    lists = {name: ["", *missing.get(name, columns.MISSING_TEXTS)] for name in header}
    return {"keep_default_na": False, "na_values": lists}


def _in_parts(path, **options):
    """A CSV read a part at a time, which takes half the memory.

    It is read whole where its parts disagree what a column holds.
    """
    # with an index, a first column without a name would shift all others
    options |= {"low_memory": False, "index_col": False}
    parts = [_by_column(part) for part in pd.read_csv(path, chunksize=PARSED_AT_ONCE, **options)]
    if len({_kinds(part) for part in parts}) != 1:
        return pd.read_csv(path, **options)
    joined = {name: pd.concat([part.pop(name) for part in parts]).array for name in list(parts[0])}
    return pd.DataFrame(joined, copy=False)


def _by_column(frame):
    """Columns that can be let go one by one: or all rows were held twice when parts are joined."""
    return {name: frame[name].copy() for name in frame.columns}


def _kinds(part):
    """What some columns hold; whole numbers and others are one kind."""
    dtypes = (column.dtype for column in part.values())
    return tuple("number" if dtype.kind in "if" else dtype for dtype in dtypes)


def _refuse_widths(path, error, header):
    """Refuse a CSV in which a row has more fields than the header."""
    place = re.search(r"Expected \d+ fields in line (\d+), saw (\d+)", str(error))
    if not place and not isinstance(error, pd.errors.ParserWarning):
        raise ValueError(f"{path} could not be read as a CSV in UTF-8: {error}") from error
    rows = f"line {place[1]} has {place[2]} fields" if place else "rows have more fields"
    raise ValueError(
        f"{path}: {rows} where the header names {len(header)}, {header}, so no value can be told "
        "its column; accepted are rows of the header's width: give row names a column name of "
        "their own, and put a text or number with the separator in it into "
        f"quotes{_other_separator(header)}."
    ) from error


def _check_marks(path, names, separator, decimal, thousands):
    """Refuse marks that do not part the values of the columns used, as the file has them."""
    if decimal == "." and thousands is None:
        return
    raw = pd.read_csv(path, sep=separator, dtype=str, index_col=False, usecols=names)
    for name, column in raw.items():
        values = column[column.str.fullmatch(columns.LIKE_NUMBERS, na=False)]
        if thousands is None:
            _check_decimal(name, values, decimal)
        else:
            _check_thousands(name, values, thousands, decimal)


def _check_thousands(name, values, thousands, decimal):
    """Refuse a thousands mark that does not stand before three digits wherever it stands."""
    marked = values[values.str.contains(thousands, regex=False)]
    mark, point = re.escape(thousands), re.escape(decimal)
    parted = rf"\s*[-+]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?\s*"
    wrong = marked[~marked.str.fullmatch(parted)]
    if len(wrong):
        raise ValueError(
            f"thousands={thousands!r}, but {name!r} holds {wrong.iloc[0]!r} (row "
            f"{wrong.index[0] + 1:,}), where it does not stand before three digits; accepted "
            "are marks that part thousands throughout."
        )


def _check_decimal(name, values, decimal):
    """Refuse a decimal mark that stands before three digits wherever it stands.

    It may part thousands.
    """
    marked = values[values.str.contains(decimal, regex=False)]
    before_three = rf"\s*[-+]?[1-9]\d{{0,2}}{re.escape(decimal)}\d{{3}}\s*"
    if marked.empty or not marked.str.fullmatch(before_three).all():
        return
    other = "." if decimal == "," else ","
    raise ValueError(
        f"decimal={decimal!r}, but in {name!r} it stands before three digits in each of "
        f"{len(marked):,} values, such as {marked.iloc[0]!r} (row {marked.index[0] + 1:,}), "
        f"as a thousands mark does; if it parts thousands, accepted is thousands={decimal!r} "
        f"with another decimal (--thousands {decimal} --decimal {other}); if these are "
        f"decimals, say what parts thousands: thousands={other!r} (--thousands {other})."
    )


def _check_twice(names):
    """Refuse two columns with one name."""
    twice = names[pd.Index(names).duplicated()]
    if len(twice):
        raise ValueError(
            f"the data have more than one column named {str(next(iter(twice)))!r}; give each a "
            "name of its own."
        )


def _check_quoted(outcome, treatment, header, source):
    """Refuse names in backticks that the file does not have.

    The others are looked for once the formulas can be read.
    """
    quoted = dict.fromkeys(IN_BACKTICKS.findall(f"{outcome} {treatment}"))
    if strangers := [name for name in quoted if name not in header]:
        _refuse_strangers(strangers, header, source)


def _refuse_strangers(strangers, header, source):
    """Refuse names that are no columns of a file, or of data without a file's name."""
    one = repr(strangers[0]) if len(strangers) == 1 else strangers
    if source:
        where, hint = f"{source} does not have; its", _other_separator(header)
    else:
        where, hint = "the data do not have; their", ""
    raise ValueError(f"the formulas name {one}, which {where} columns are {header}{hint}.")


def _other_separator(header):
    """What to say when the whole header was read as one name."""
    if len(header) != 1:
        return ""
    for mark, between in SEPARATORS.items():
        if mark in str(header[0]):
            return f"; if its values stand between {between}, say --separator {mark!r}"
    return ""


def _plain_words(*formulas):
    """A plain word for each name that stands in backticks in formulas."""
    words = {}
    for name in IN_BACKTICKS.findall(" ".join(formulas)):
        word = re.sub(r"\W+", "_", name).strip("_") or "column"
        words[name] = f"_{word}" if word[0].isdigit() or keyword.iskeyword(word) else word
    return words


def _check_words(names, words):
    """Refuse two columns that become one plain word."""
    became = {}
    for name in names:
        word = words.get(name, name)
        if word in became:
            raise ValueError(
                f"{became[word]!r} and {name!r} become the same plain name; rename one."
            )
        became[word] = name


def _in_words(formula, words):
    """A formula with plain words for names in backticks."""
    return IN_BACKTICKS.sub(lambda quoted: words[quoted[1]], formula)
