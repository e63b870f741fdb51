"""One place that checks arguments: a value comes back clean, or an error names it.

The sentence is always the same: which argument, what it was, what would be accepted, and what to
write instead where that can be told. A number may come in NumPy's, pandas' or xarray's clothes; a
truth value is no number.
"""

from __future__ import annotations

import operator
import os
import re
import reprlib
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

SMALLEST, LARGEST = 1e-100, 1e100  # a spread beyond cannot be squared and divided by
MOST = 1_000_000_000  # rows or draws; more would fit no memory
WEIGHTS = re.compile(r"(?:\w+_)?w(?:eigh)?ts?|[fapi]weights?")
UNWEIGHTED = (
    "the likelihood takes each row for one observation, so rows have no weights; accepted are "
    "rows: where a row stands for several alike, each as often as it counts, "
    "data.loc[data.index.repeat(data['count'])]; where a survey drew some more often than others, "
    "what they were drawn by (region, age, size) among the covariates of both formulas, and the "
    "units it drew (villages, schools) as the clusters of bootstrap_map(design, data['village'])"
)


def number(
    value: Any,
    name: str,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    accepted: str = "a finite number",
) -> float:
    """A finite number strictly between `low` and `high`, as a float."""
    scalar = _scalar(value)
    is_number = isinstance(scalar, Real) and not isinstance(scalar, bool)
    result = _float(scalar) if is_number else np.nan
    if not (np.isfinite(result) and low < result < high):
        meant = _float(scalar) if isinstance(scalar, str) else np.nan
        fits = np.isfinite(meant) and low < meant < high
        refuse(name, value, accepted, f"{meant:.15g}" if fits else "")
    return result


def positive(value: Any, name: str) -> float:
    """A positive number that can be squared and divided by."""
    result = number(value, name, low=0.0, accepted="a positive finite number")
    if not SMALLEST <= result <= LARGEST:
        refuse(name, value, f"a positive finite number from {SMALLEST:g} to {LARGEST:g}")
    return result


def probability(value: Any, name: str = "probability") -> float:
    """A number inside (0, 1)."""
    scalar = _scalar(value)
    percent = _float(scalar) if isinstance(scalar, Real) else np.nan
    if 1 < percent < 100:
        refuse(name, value, "a number in (0, 1)", f"{percent / 100:.15g}")
    return number(value, name, low=0.0, high=1.0, accepted="a number in (0, 1), such as 0.95")


def correlation(
    value: Any,
    name: str = "rho",
    *,
    accepted: str = "a correlation, a number in (-1, 1), such as 0.3",
) -> float:
    """A number inside (-1, 1)."""
    return number(value, name, low=-1.0, high=1.0, accepted=accepted)


def correlations(value: Any, name: str = "rho") -> np.ndarray:
    """One number inside (-1, 1) or several, as an array of one dimension."""
    accepted = "one number in (-1, 1) or several, such as [-0.3, 0.0, 0.3]"
    result = np.atleast_1d(numbers(value, name, accepted))
    if result.ndim > 1 or not np.all(np.abs(result) < 1):
        refuse(name, value, accepted)
    return result


def count(value: Any, name: str, *, least: int = 1, most: int = MOST) -> int:
    """A whole number from `least` to `most`, as an int; 2.0 is none, and neither is True."""
    scalar = _scalar(value)
    whole = _whole(scalar)
    if whole is None or not least <= whole <= most:
        limit = f" and at most {most:,}" if whole is not None and whole > most else ""
        meant = _float(scalar) if isinstance(scalar, (str, float)) else np.nan
        fits = meant % 1 == 0 and least <= meant <= most
        instead = f"{int(meant)}" if fits else ""
        refuse(name, value, f"a whole number of at least {least:,}{limit}", instead)
    return whole


def seed(value: Any, name: str = "seed") -> int:
    """A whole number from zero up: the same one makes the same draws."""
    return count(value, name, least=0, most=2**63 - 1)


def flag(value: Any, name: str) -> bool:
    """True or False, and nothing that merely passes for one."""
    if not isinstance(_scalar(value), bool):
        refuse(name, value, "True or False")
    return bool(value)


def text(value: Any, name: str, *, accepted: str = "text, such as 'kg'") -> str:
    """A string."""
    return instance(value, str, name, accepted)


def one_of(value: Any, options: Sequence[Any], name: str) -> Any:
    """One of a few values."""
    scalar = _scalar(value)
    if not any(_same(scalar, option) for option in options):
        refuse(name, value, " or ".join(map(repr, options)))
    return scalar


def _same(scalar: Any, option: Any) -> bool:
    """Whether a value is an option, in type as well: True is not 1."""
    return scalar is option or (type(scalar) is type(option) and scalar == option)


def optional(check: Callable[..., Any], value: Any, name: str, **settings: Any) -> Any:
    """None, or what another check lets pass."""
    return None if value is None else check(value, name, **settings)


def instance[T](value: Any, kind: type[T], name: str, accepted: str) -> T:
    """A value of a type."""
    if not isinstance(value, kind):
        refuse(name, value, accepted, error=TypeError)
    return value


def path(value: Any, name: str, accepted: str) -> Path:
    """The path of a file or folder."""
    if not (isinstance(value, (str, PathLike)) and str(value).strip()):
        refuse(name, value, accepted, error=TypeError)
    return Path(value)


def mapping(
    value: Any,
    name: str,
    accepted: str,
    *,
    keys: type = str,
    check: Callable[[Any, str], Any] | None = None,
    least: int = 0,
) -> dict[Any, Any]:
    """A mapping of names, each value of which passes a check of its own.

    A tree or a data set is none that is meant.
    """
    if not isinstance(value, Mapping):
        refuse(name, value, accepted, error=TypeError)
    named = all(isinstance(key, keys) for key in value)
    if hasattr(value, "dims") or len(value) < least or not named:
        refuse(name, value, accepted, error=TypeError)
    if check is None:
        return dict(value.items())
    return {key: check(each, f"{name}[{key!r}]") for key, each in value.items()}


def function(value: Any, name: str, accepted: str) -> Callable[..., Any]:
    """What can be called."""
    if not callable(value):
        refuse(name, value, accepted, error=TypeError)
    return value


def listed(
    value: Any, name: str, accepted: str, *, kind: type = Hashable, least: int = 0
) -> list[Any]:
    """Things of a kind, in a list.

    A text's letters, a mapping's keys and a table's columns are never meant.
    """
    things = _list(value)
    if things is None or len(things) < least:
        refuse(name, value, accepted)
    if not all(isinstance(thing, kind) for thing in things):
        refuse(name, value, accepted)
    return things


def _list(value: Any) -> list[Any] | None:
    """What a value holds, as a list; None of a text, a mapping, a table, and of a scalar."""
    if isinstance(value, (str, bytes, bytearray, Mapping)) or hasattr(value, "columns"):
        return None
    try:
        return list(value)
    except TypeError:  # an array without dimensions says only then that it cannot
        return None


def numbers(value: Any, name: str, accepted: str, *, least: int = 1) -> np.ndarray:
    """An array of finite numbers, of any shape.

    A table has none that is meant, and a masked one none that is there.
    """
    array = _array(value)
    if array is None or array.dtype.kind not in "iuf" or array.size < least:
        refuse(name, value, accepted)
    if not np.isfinite(array).all():
        refuse(name, value, accepted)
    return array.astype(float)


def _array(value: Any) -> np.ndarray | None:
    """A value as an array; None of a table, of bytes, and of what is masked or ragged."""
    unmeant = hasattr(value, "columns") or isinstance(value, (bytes, bytearray))
    if unmeant or np.ma.is_masked(value):
        return None
    try:
        return np.asarray(value)
    except (TypeError, ValueError):  # lists of unequal lengths
        return None


def pair(value: Any, name: str, accepted: str) -> tuple[float, float]:
    """Two finite numbers."""
    array = numbers(value, name, accepted)
    if array.shape != (2,):
        refuse(name, value, accepted)
    first, second = array.tolist()
    return first, second


def table(value: Any, columns: Iterable[str], name: str, accepted: str) -> pd.DataFrame:
    """A DataFrame with rows and certain columns of numbers, whatever else it holds."""
    instance(value, _pandas().DataFrame, name, accepted)
    missing = [column for column in columns if column not in value]
    if missing or not len(value):
        lacks = f"has no column {missing[0]!r}" if missing else "has no rows"
        raise ValueError(f"{name}={brief(value)} {lacks}; accepted is {accepted}.")
    for column in columns:
        numbers(value[column].dropna(), f"{name}[{column!r}]", accepted)
    return value


def fitted(idata: Any, name: str = "idata", *, needs: Iterable[str] = ()) -> xr.DataTree:
    """A tree with a posterior, and in it the variables that are needed."""
    if not hasattr(idata, "children") or "posterior" not in idata.children:
        refuse(name, idata, "a DataTree with a posterior, from fit(...)", error=TypeError)
    missing = [variable for variable in needs if variable not in idata["posterior"]]
    if missing:
        raise ValueError(
            f"{name}={brief(idata)} has no draws of {missing}; accepted is a fit of a joint model: "
            "fit(joint_model(design))."
        )
    return idata


def with_attributes(value: Any, attributes: Iterable[str], name: str, accepted: str) -> Any:
    """A value with certain attributes, where its type is not worth an import."""
    if not all(hasattr(value, attribute) for attribute in attributes):
        refuse(name, value, accepted, error=TypeError)
    return value


def brief(value: Any) -> str:
    """A value in a few characters, without the name of a number's type.

    Long arrays by type and shape; tables, models and all that is long by their type.
    """
    value, kind = _scalar(value), type(value)
    name = f"{kind.__module__.partition('.')[0]}.{kind.__name__}".removeprefix("builtins.")
    if isinstance(value, np.ndarray) and value.size > 10:
        return f"{name} of shape {value.shape}"
    if isinstance(value, (str, list, tuple, set, frozenset, dict)):
        shortener = reprlib.Repr()
        shortener.maxstring = shortener.maxother = 60
        shown = _safely(shortener.repr, value)
    else:
        shown = _safely(repr, value)
        if len(shown) > 80:
            return name
    return name if not shown or "\n" in shown or " at 0x" in shown else shown


def _safely(show: Callable[[Any], str], value: Any) -> str:
    """How a value shows itself; nothing where it cannot."""
    try:
        return show(value)
    except Exception:  # a value that cannot even be shown
        return ""


def _scalar(value: Any) -> Any:
    """A Python scalar out of what NumPy, pandas or xarray make of one; anything else as it is."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind not in tuple("biufU") or getattr(value, "shape", None) != ():
        return value
    return value if np.ma.is_masked(value) else value.item()


def _float(value: Any) -> float:
    """A number or the number in a text, as a float; NaN where there is none."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return np.nan


def _whole(scalar: Any) -> int | None:
    """A whole number as an int; a truth value is none."""
    if isinstance(scalar, bool):
        return None
    try:
        return operator.index(scalar)
    except TypeError:
        return None


def _pandas() -> ModuleType:
    import pandas  # slow to import, and only a table needs it

    return pandas


def warn(message: str) -> None:
    """A warning that points to the reader's own line, however deep in the package it comes from."""
    warnings.warn(message, UserWarning, skip_file_prefixes=(os.path.dirname(__file__),))


def refuse(
    name: str,
    value: Any,
    accepted: str,
    instead: str = "",
    *,
    error: type[Exception] = ValueError,
) -> NoReturn:
    """Raise the sentence."""
    hint = f": write {instead}" if instead else ""
    raise error(f"{name}={brief(value)}; accepted is {accepted}{hint}.")


def refuse_weights(names: Iterable[str]) -> None:
    """Refuse weights of rows, under whichever name other libraries have them."""
    for name in names:
        if WEIGHTS.fullmatch(name):
            raise TypeError(f"{name}=...: {UNWEIGHTED}.")


def groups(value: Any, n: int, name: str = "cluster") -> np.ndarray:
    """Which cluster each row belongs to, as whole numbers from 0, from one label a row."""
    accepted = (
        f"one label for each of the design's {n:,} rows, such as table['village'], of two clusters "
        "or more"
    )
    labels = getattr(value, "values", value)
    if isinstance(value, (str, Mapping)) or np.ndim(labels) != 1:
        refuse(name, value, accepted, error=TypeError)
    if len(labels) != n:
        dropped = (
            "where rows were dropped on the way to the design, the labels of those that are left"
        )
        refuse(name, value, f"{accepted}; {dropped}; this has {len(labels):,}")
    pandas = _pandas()
    codes, clusters = pandas.factorize(pandas.Series(list(labels), dtype=object))
    missing = np.sum(codes < 0)
    if missing:
        refuse(name, value, f"{accepted}; here {missing:,} are missing")
    if len(clusters) < 2:
        refuse(name, value, accepted)
    return codes
