"""One place that checks arguments: each function gives the value back clean, or an error that names it.

The sentence is always the same: which argument, what it was, what would be accepted, and what to write instead where
that can be told. A number may come in NumPy's, pandas' or xarray's clothes; a truth value is no number.
"""

import operator
import os
import re
import reprlib
import warnings
from collections.abc import Hashable, Mapping
from numbers import Real
from os import PathLike
from pathlib import Path

import numpy as np

SMALLEST, LARGEST = 1e-100, 1e100  # a spread beyond cannot be squared and divided by
MOST = 1_000_000_000  # rows or draws; more would fit no memory
WEIGHTS = re.compile(r"(?:\w+_)?w(?:eigh)?ts?|[fapi]weights?")
UNWEIGHTED = (
    "the likelihood takes each row for one observation, so rows have no weights; accepted are rows: "
    "where a row stands for several alike, each as often as it counts, "
    "data.loc[data.index.repeat(data['count'])]; where a survey drew some more often than others, what "
    "they were drawn by (region, age, size) among the covariates of both formulas, and the units it "
    "drew (villages, schools) as the clusters of bootstrap_map(design, data['village'])"
)


def number(value, name, *, low=-np.inf, high=np.inf, accepted="a finite number"):
    """A finite number strictly between `low` and `high`, as a float."""
    plain = _plain(value)
    found = _float(plain) if isinstance(plain, Real) and not isinstance(plain, bool) else np.nan
    if not (np.isfinite(found) and low < found < high):
        meant = _float(plain) if isinstance(plain, str) else np.nan
        refuse(name, value, accepted, f"{meant:.15g}" if np.isfinite(meant) and low < meant < high else "")
    return found


def positive(value, name):
    """A positive number that can be squared and divided by."""
    found = number(value, name, low=0.0, accepted="a positive finite number")
    if not SMALLEST <= found <= LARGEST:
        refuse(name, value, f"a positive finite number from {SMALLEST:g} to {LARGEST:g}")
    return found


def probability(value, name="probability"):
    """A number inside (0, 1)."""
    percent = _plain(value)
    if isinstance(percent, Real) and 1 < percent < 100:
        refuse(name, value, "a number in (0, 1)", f"{percent / 100:.15g}")
    return number(value, name, low=0.0, high=1.0, accepted="a number in (0, 1), such as 0.95")


def correlation(value, name="rho", *, accepted="a correlation, a number in (-1, 1), such as 0.3"):
    """A number inside (-1, 1)."""
    return number(value, name, low=-1.0, high=1.0, accepted=accepted)


def correlations(value, name="rho"):
    """One number inside (-1, 1) or several, as an array of one dimension."""
    accepted = "one number in (-1, 1) or several, such as [-0.3, 0.0, 0.3]"
    found = np.atleast_1d(numbers(value, name, accepted))
    if found.ndim > 1 or not np.all(np.abs(found) < 1):
        refuse(name, value, accepted)
    return found


def count(value, name, *, least=1, most=MOST):
    """A whole number from `least` to `most`, as an int; 2.0 is none, and neither is True."""
    plain = _plain(value)
    try:
        whole = operator.index(plain)
    except TypeError:
        whole = None
    if whole is None or isinstance(plain, bool) or not least <= whole <= most:
        meant = _float(plain) if isinstance(plain, (str, float)) else np.nan
        fits = meant % 1 == 0 and least <= meant <= most
        limit = f" and at most {most:,}" if whole is not None and whole > most else ""
        refuse(name, value, f"a whole number of at least {least:,}{limit}", f"{int(meant)}" if fits else "")
    return whole


def seed(value, name="seed"):
    """A whole number from zero up: the same one makes the same draws."""
    return count(value, name, least=0, most=2**63 - 1)


def flag(value, name):
    """True or False, and nothing that merely passes for one."""
    if not isinstance(_plain(value), bool):
        refuse(name, value, "True or False")
    return bool(value)


def text(value, name, *, accepted="text, such as 'kg'"):
    """A string."""
    return instance(value, str, name, accepted)


def one_of(value, options, name):
    """One of a few values."""
    plain = _plain(value)
    if not any(plain is option or (type(plain) is type(option) and plain == option) for option in options):
        refuse(name, value, " or ".join(map(repr, options)))
    return plain


def optional(check, value, name, **more):
    """None, or what another check lets pass."""
    return None if value is None else check(value, name, **more)


def instance(value, kind, name, accepted):
    """A value of a type."""
    if not isinstance(value, kind):
        refuse(name, value, accepted, error=TypeError)
    return value


def path(value, name, accepted):
    """The path of a file or folder."""
    if not (isinstance(value, (str, PathLike)) and str(value).strip()):
        refuse(name, value, accepted, error=TypeError)
    return Path(value)


def mapping(value, name, accepted, *, keys=str, check=None, least=0):
    """A mapping of names, each value of which passes a check of its own; a tree or a data set is none that is meant."""
    instance(value, Mapping, name, accepted)
    if hasattr(value, "dims") or len(value) < least or not all(isinstance(key, keys) for key in value):
        refuse(name, value, accepted, error=TypeError)
    return {key: check(each, f"{name}[{key!r}]") if check else each for key, each in value.items()}


def function(value, name, accepted):
    """What can be called."""
    if not callable(value):
        refuse(name, value, accepted, error=TypeError)
    return value


def listed(value, name, accepted, *, kind=Hashable, least=0):
    """Things of a kind, in a list; a text's letters, a mapping's keys and a table's columns are never meant."""
    unmeant = isinstance(value, (str, bytes, bytearray, Mapping)) or hasattr(value, "columns")
    try:
        found = None if unmeant else list(value)
    except TypeError:  # an array without dimensions says only then that it cannot
        found = None
    if found is None or len(found) < least or not all(isinstance(each, kind) for each in found):
        refuse(name, value, accepted)
    return found


def numbers(value, name, accepted, *, least=1):
    """An array of finite numbers, of any shape; a table has none that is meant, and a masked one none that is there."""
    unmeant = hasattr(value, "columns") or isinstance(value, (bytes, bytearray)) or np.ma.is_masked(value)
    try:
        found = np.zeros(0) if unmeant else np.asarray(value)
    except (TypeError, ValueError):  # lists of unequal lengths
        found = np.zeros(0)
    if found.dtype.kind not in "iuf" or found.size < least or not np.isfinite(found).all():
        refuse(name, value, accepted)
    return found.astype(float)


def pair(value, name, accepted):
    """Two finite numbers."""
    found = numbers(value, name, accepted)
    if found.shape != (2,):
        refuse(name, value, accepted)
    return tuple(found.tolist())


def table(value, columns, name, accepted):
    """A DataFrame with rows and certain columns of numbers; what else it holds is its own affair."""
    instance(value, _pandas().DataFrame, name, accepted)
    missing = [column for column in columns if column not in value]
    if missing or not len(value):
        lacks = f"has no column {missing[0]!r}" if missing else "has no rows"
        raise ValueError(f"{name}={told(value)} {lacks}; accepted is {accepted}.")
    for column in columns:
        numbers(value[column].dropna(), f"{name}[{column!r}]", accepted)
    return value


def fitted(idata, name="idata", *, needs=()):
    """A tree with a posterior, and in it the variables that are needed."""
    if not hasattr(idata, "children") or "posterior" not in idata.children:
        refuse(name, idata, "a DataTree with a posterior, from fit(...)", error=TypeError)
    if missing := [variable for variable in needs if variable not in idata["posterior"]]:
        raise ValueError(
            f"{name}={told(idata)} has no draws of {missing}; accepted is a fit of a joint model: "
            "fit(joint_model(design))."
        )
    return idata


def having(value, attributes, name, accepted):
    """A value with certain attributes, where its type is not worth an import."""
    if not all(hasattr(value, attribute) for attribute in attributes):
        refuse(name, value, accepted, error=TypeError)
    return value


def told(value):
    """A value in a few characters, without the name of a number's type; tables and models by their type."""
    value, kind = _plain(value), type(value)
    short = f"{kind.__module__.partition('.')[0]}.{kind.__name__}".removeprefix("builtins.")
    if isinstance(value, np.ndarray) and value.size > 10:
        return f"{short} of shape {value.shape}"
    if not isinstance(value, (str, list, tuple, set, frozenset, dict)):
        shown = _safely(repr, value)
        return shown if shown and "\n" not in shown and " at 0x" not in shown and len(shown) <= 80 else short
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = 60
    shown = _safely(shortener.repr, value)
    return short if not shown or "\n" in shown or " at 0x" in shown else shown


def _safely(show, value):
    try:
        return show(value)
    except Exception:  # a value that cannot even be shown
        return ""


def _plain(value):
    """A Python scalar out of what NumPy, pandas or xarray make of one; anything else as it is."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    scalar = kind in tuple("biufU") and getattr(value, "shape", None) == () and not np.ma.is_masked(value)
    return value.item() if scalar else value


def _float(value):
    try:
        return float(value)
    except (ValueError, OverflowError):
        return np.nan


def _pandas():
    import pandas  # slow to import, and only a table needs it

    return pandas


def warn(said):
    """A warning that points to the reader's own line, however deep in the package it comes from."""
    warnings.warn(said, UserWarning, skip_file_prefixes=(os.path.dirname(__file__),))


def refuse(name, value, accepted, instead="", *, error=ValueError):
    """Raise the sentence."""
    raise error(f"{name}={told(value)}; accepted is {accepted}{instead and f': write {instead}'}.")


def refuse_weights(names):
    """Refuse weights of rows, under whichever name other libraries have them."""
    for name in names:
        if WEIGHTS.fullmatch(name):
            raise TypeError(f"{name}=...: {UNWEIGHTED}.")


def groups(value, n, name="cluster"):
    """A label a row, as whole numbers from 0: which cluster each row belongs to."""
    accepted = f"one label for each of the design's {n:,} rows, such as table['village'], of two clusters or more"
    labels = getattr(value, "values", value)
    if isinstance(value, (str, Mapping)) or np.ndim(labels) != 1:
        refuse(name, value, accepted, error=TypeError)
    if len(labels) != n:
        left = "where rows were dropped on the way to the design, the labels of those that are left"
        refuse(name, value, f"{accepted}; {left}; this has {len(labels):,}")
    pandas = _pandas()
    codes, found = pandas.factorize(pandas.Series(list(labels), dtype=object))
    if (codes < 0).any():
        refuse(name, value, f"{accepted}; here {np.sum(codes < 0):,} are missing")
    if len(found) < 2:
        refuse(name, value, accepted)
    return codes
