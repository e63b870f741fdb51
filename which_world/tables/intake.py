"""A reader's own file, on its way to a design: read, names made plain, missing values counted."""

import keyword
import re
import shlex
import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from which_world import arguments
from which_world.tables import columns, formats, formulas

AT_ONCE = 2**18  # rows of a CSV that are parsed together
IN_A_FRAME = "nothing for a data frame, where it is NaN or None: data.replace({'age': {-99: None}})"
LARGE = 1_000_000_000  # bytes of a Parquet file beyond which it is read in pieces


class Table(NamedTuple):
    """`data`, or the path of a file too large for memory, and the two formulas in its columns' names.

    `dropped` counts the rows left out for missing values, those included in which a part of a
    formula is undefined; `names` holds the file's own names of renamed columns; `undefined` counts
    rows by the part that is undefined there.
    """

    data: pd.DataFrame
    outcome: str
    treatment: str
    dropped: int
    names: dict
    undefined: dict


def read_table(
    path,
    *,
    outcome,
    treatment,
    drop_missing=False,
    separator=",",
    decimal=".",
    thousands=None,
    missing=None,
):
    """Read a file for two formulas: a CSV, or one of another program.

    Parameters
    ----------
    path : path or pandas.DataFrame
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
    """
    marks, holes = _marks(separator, decimal, thousands), _missing(missing)
    arguments.flag(drop_missing, "drop_missing")
    for name, formula in (("outcome", outcome), ("treatment", treatment)):
        arguments.text(formula, name, accepted="a formula, such as 'y ~ t + x'")
    file = _file(path, drop_missing, marks, missing)
    if file and file.suffix.lower() in formats.PARQUET and file.stat().st_size > LARGE:
        return Table(file, outcome, treatment, 0, {}, {})
    data = _read(file, holes, **marks) if file else formulas.check_frame(path, "path").copy()
    own, told = list(map(str, data.columns)), file.name if file else "the data"
    _check_quoted(outcome, treatment, own, told)
    data, outcome, treatment, plain = _plain(data, outcome, treatment)
    names = {word: name for name, word in plain.items() if word != name}
    both = formulas.read(outcome, "outcome"), formulas.read(treatment, "treatment")
    needed = formulas.merged(equation.names for equation in both)
    if strangers := sorted(needed.keys() - set(data.columns)):
        _refuse_strangers([names.get(name, name) for name in strangers], own, told)
    for name, categorical in needed.items():
        columns.plain(data[name], names.get(name, name), categorical=categorical)
    if file and formats.reader(file.suffix.lower()) is None:
        _check_marks(file, [names.get(name, name) for name in needed], **marks)
    holes = data[[name for name in data.columns if name in needed]].isna()
    texts = _texts(file, data, holes, needed, names, separator=marks["separator"])
    complete = _complete(data, holes, names, drop_missing, texts)
    whole, undefined = _defined(complete, both) if drop_missing else (complete, {})
    if texts:
        whole.attrs["notes"] = [_dropped(name, counts) for name, counts in texts.items()]
    return Table(whole, outcome, treatment, len(data) - len(whole), names, undefined)


def _missing(missing):
    """The texts that are missing, as a list for all columns or a mapping of lists; None if nothing was said."""
    accepted = "a text such as 'NA', a list of texts, or a mapping of columns to either"
    if missing is None or isinstance(missing, str):
        return missing if missing is None else [missing]
    if isinstance(missing, Mapping):
        arguments.mapping(missing, "missing", accepted, least=1)
        lists = {name: [each] if isinstance(each, str) else each for name, each in missing.items()}
        return {
            name: arguments.listed(each, f"missing[{name!r}]", accepted, kind=str)
            for name, each in lists.items()
        }
    return arguments.listed(missing, "missing", accepted, kind=str)


def _file(path, drop_missing, marks, missing):
    """The path of a file that is there, unless it is a data frame; what is said of it must be said of its kind."""
    if isinstance(path, pd.DataFrame):
        if missing is not None:
            arguments.refuse("missing", missing, IN_A_FRAME)
        return None
    path = arguments.path(path, "path", "the path of a CSV, or a pandas.DataFrame")
    formats.check_file(path)
    kind = path.suffix.lower()
    if formats.reader(kind) is None:
        return path
    known = "Parquet" if kind in formats.PARQUET else f"a {kind} file"
    if marks != _marks(",", ".", None):
        raise ValueError(
            f"{path} is {known}, whose values need no marks: separator, decimal and thousands are "
            "for CSVs."
        )
    if missing is not None and kind not in formats.SHEETS:
        raise ValueError(
            f"{path} is {known}, which knows itself what is missing; "
            f"missing={arguments.told(missing)} is for texts, and accepted for a CSV or an Excel "
            "file."
        )
    if drop_missing and kind in formats.PARQUET and path.stat().st_size > LARGE:
        raise ValueError(
            f"{path} has more than {LARGE:,} bytes and is read in pieces, of which no rows are "
            "dropped; accepted are complete rows: drop them before the file is written."
        )
    return path


def _texts(file, data, holes, needed, names, separator):
    """The texts that stand in the file where a category is missing, counted by column: they may be codes."""
    kinds = pd.api.types
    found = [
        name
        for name in holes
        if holes[name].any() and (needed[name] or not kinds.is_numeric_dtype(data[name]))
    ]
    kind = file.suffix.lower() if file else ""
    if not found or not file or (formats.reader(kind) and kind not in formats.SHEETS):
        return {}
    raw = {
        "usecols": [names.get(name, name) for name in found],
        "dtype": str,
        "keep_default_na": False,
    }
    if kind in formats.SHEETS:
        texts = formats.read(file, **raw)
    else:
        texts = pd.read_csv(file, sep=separator, index_col=False, na_filter=False, **raw)
    counts = {
        name: texts[names.get(name, name)][holes[name].to_numpy()].value_counts() for name in found
    }
    counts = {
        names.get(name, name): here[here.index.str.strip() != ""] for name, here in counts.items()
    }
    return {name: here for name, here in counts.items() if len(here)}


def _stand(counts):
    return " and ".join(f"{text!r} in {count:,}" for text, count in counts.items())


def _codes(name):
    """How to say that in a column the empty field alone is missing."""
    return f"--missing {shlex.quote(f'{name}=')} (missing={{{name!r}: ''}})"


def _dropped(name, counts):
    """What became of texts that were taken for missing values."""
    return (
        f"Rows in which {name} is the text {_stand(counts)} of the file's rows were taken for "
        f"missing and dropped. If that is a code like the others, keep them: {_codes(name)}."
    )


def _complete(data, holes, names, drop_missing, texts):
    """The rows in which no column that is used is missing, if they may be dropped."""
    incomplete = int(holes.any(axis=1).sum())
    if not incomplete:
        return data
    if not drop_missing:
        counts = ", ".join(
            f"{names.get(name, name)!r} has {k:,}" for name, k in holes.sum().items() if k
        )
        stand = "".join(
            f"; {name!r} is the text {_stand(here)}, which is taken for a missing value: if it is "
            f"a code like the others, {_codes(name)}"
            for name, here in texts.items()
        )
        raise ValueError(
            f"{incomplete:,} of {len(data):,} rows have a missing value in a column that is used "
            f"({counts}); accepted are complete rows: fill the values in, or ask to drop those "
            f"rows (--drop-missing, drop_missing=True){stand}."
        )
    if incomplete == len(data):
        raise ValueError(
            f"all {len(data):,} rows have a missing value in a column that is used; nothing would "
            "be left."
        )
    return data[~holes.any(axis=1)].reset_index(drop=True)


def _defined(data, both):
    """The rows in which every part of both formulas is defined, and how many are not, part by part."""
    usable, _ = formulas.usable(data, both)
    found = formulas.undefined(usable, both)
    if not found:
        return data, {}
    bad = np.any([rows for rows, _ in found.values()], axis=0)
    if bad.all():
        raise ValueError(f"{formulas.say_undefined(usable, found)}; nothing would be left.")
    return data[~bad].reset_index(drop=True), {
        part: int(rows.sum()) for part, (rows, _) in found.items()
    }


def _marks(separator, decimal, thousands):
    """The three marks of a CSV, which must differ."""
    marks = {
        "separator": "\t" if isinstance(separator, str) and separator == r"\t" else separator,
        "decimal": decimal,
    }
    marks |= {} if thousands is None else {"thousands": thousands}
    single = all(isinstance(mark, str) and len(mark) == 1 for mark in marks.values())
    if not single or len(set(marks.values())) < len(marks):
        given = ", ".join(f"{name}={arguments.told(mark)}" for name, mark in marks.items())
        raise ValueError(f"{given}; accepted are different characters.")
    return marks | {"thousands": thousands}


def _read(path, missing, separator, decimal, thousands):
    kind = path.suffix.lower()
    if formats.reader(kind):
        return formats.read(path, **_as_missing(missing, formats.header(path)) if missing else {})
    try:
        head = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str).iloc[0]
        _check_twice(head.dropna())  # pandas would rename the second
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", pd.errors.ParserWarning
            )  # it would cut off what a row has too much
            marks = {"sep": separator, "decimal": decimal, "thousands": thousands}
            data = _in_parts(path, **marks, **_as_missing(missing, list(head.dropna())))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} could not be read as a CSV: {error}; accepted is UTF-8: save it so."
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        _refuse_widths(path, error, list(head) if "head" in locals() else [])
    if data.empty:
        raise ValueError(
            f"{path} has {len(data)} rows and {data.shape[1]} columns; accepted is a CSV with rows."
        )
    return data


def _as_missing(missing, own):
    """Which texts pandas is to take for missing: those said, and of a mapping's other columns all that it would."""
    if missing is None:
        return {}
    if not isinstance(missing, dict):
        return {"keep_default_na": False, "na_values": ["", *missing]}
    if strangers := [name for name in missing if name not in own]:
        raise ValueError(
            f"missing={arguments.told(missing)} names {strangers[0]!r}, which the file does not "
            f"have; accepted are its columns: {own}."
        )
    lists = {name: ["", *missing.get(name, columns.MISSING)] for name in own}
    return {"keep_default_na": False, "na_values": lists}


def _in_parts(path, **marks):
    """A CSV a part at a time, which takes half the memory; but whole where its parts disagree what a column holds."""
    marks |= {
        "low_memory": False,
        "index_col": False,
    }  # or a first column without a name would shift all others
    parts = list(pd.read_csv(path, chunksize=AT_ONCE, **marks))
    kinds = (["number" if dtype.kind in "if" else dtype for dtype in part.dtypes] for part in parts)
    if len(set(map(tuple, kinds))) != 1:
        return pd.read_csv(path, **marks)
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def _refuse_widths(path, error, own):
    found = re.search(r"Expected \d+ fields in line (\d+), saw (\d+)", str(error))
    if not found and not isinstance(error, pd.errors.ParserWarning):
        raise ValueError(f"{path} could not be read as a CSV in UTF-8: {error}") from error
    rows = f"line {found[1]} has {found[2]} fields" if found else "rows have more fields"
    raise ValueError(
        f"{path}: {rows} where the header names {len(own)}, {own}, so no value can be told its "
        "column; accepted are rows of the header's width: give row names a column name of their "
        f"own, and put a text or number with the separator in it into quotes{_separator(own)}."
    ) from error


def _check_marks(path, names, separator, decimal, thousands):
    """Whether the marks of another country were meant, in the columns that are used, as they stand in the file."""
    if decimal == "." and thousands is None:
        return
    raw = pd.read_csv(path, sep=separator, dtype=str, index_col=False, usecols=names)
    for name, column in raw.items():
        values = column[column.str.fullmatch(columns.DIGITS, na=False)]
        if thousands is None:
            _check_decimal(name, values, decimal)
            continue
        marked = values[values.str.contains(thousands, regex=False)]
        mark, point = re.escape(thousands), re.escape(decimal)
        wrong = marked[~marked.str.fullmatch(rf"\s*[-+]?\d{{1,3}}({mark}\d{{3}})+({point}\d*)?\s*")]
        if len(wrong):
            raise ValueError(
                f"thousands={thousands!r}, but {name!r} holds {wrong.iloc[0]!r} (row "
                f"{wrong.index[0] + 1:,}), where it does not stand before three digits; accepted "
                "are marks that part thousands throughout."
            )


def _check_decimal(name, values, decimal):
    """Refuse a decimal mark that stands before three digits wherever it stands, and so may part thousands."""
    marked = values[values.str.contains(decimal, regex=False)]
    if (
        len(marked)
        and marked.str.fullmatch(rf"\s*[-+]?[1-9]\d{{0,2}}{re.escape(decimal)}\d{{3}}\s*").all()
    ):
        other = "." if decimal == "," else ","
        raise ValueError(
            f"decimal={decimal!r}, but in {name!r} it stands before three digits in each of "
            f"{len(marked):,} values, such as {marked.iloc[0]!r} (row {marked.index[0] + 1:,}), "
            f"as a thousands mark does; if it parts thousands, accepted is thousands={decimal!r} "
            f"with another decimal (--thousands {decimal} --decimal {other}); if these are "
            f"decimals, say what parts thousands: thousands={other!r} (--thousands {other})."
        )


def _check_twice(columns):
    if len(twice := columns[pd.Index(columns).duplicated()]):
        raise ValueError(
            f"the data have more than one column named {str(next(iter(twice)))!r}; give each a "
            "name of its own."
        )


def _check_quoted(outcome, treatment, own, file):
    """Names in backticks must be the file's; the others are looked for once the formulas can be read."""
    quoted = dict.fromkeys(re.findall(r"`([^`]+)`", f"{outcome} {treatment}"))
    if strangers := [name for name in quoted if name not in own]:
        _refuse_strangers(strangers, own, file)


def _refuse_strangers(strangers, own, file):
    one = repr(strangers[0]) if len(strangers) == 1 else strangers
    have = (
        ("the data do not have; their", "")
        if file == "the data"
        else (f"{file} does not have; its", _separator(own))
    )
    raise ValueError(f"the formulas name {one}, which {have[0]} columns are {own}{have[1]}.")


def _separator(own):
    """What to say when the whole header was read as one name."""
    mark = next((mark for mark in (";", "\t", "|") if len(own) == 1 and mark in str(own[0])), None)
    between = {";": "semicolons", "\t": "tabs", "|": "bars"}.get(mark)
    return f"; if its values stand between {between}, say --separator {mark!r}" if mark else ""


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
            raise ValueError(
                f"{became[word]!r} and {name!r} become the same plain name; rename one."
            )
        became[word] = name
    data = data.rename(columns=plain)
    return (
        data,
        *(re.sub(r"`([^`]+)`", lambda found: plain[found[1]], formula) for formula in formulas),
        plain,
    )
