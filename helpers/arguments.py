"""One place that checks arguments: each function gives the value back clean, or an error that names it.

The sentence is always the same: which argument, what it was, what would be accepted.
"""

import operator
from numbers import Real

import numpy as np


def number(value, name, *, low=-np.inf, high=np.inf, accepted="a finite number"):
    """A finite number strictly between `low` and `high`, as a float; a truth value is none."""
    is_number = isinstance(value, Real) or (
        isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iuf"
    )
    if not is_number or isinstance(value, (bool, np.bool_)) or not (np.isfinite(value) and low < value < high):
        _refuse(name, value, accepted)
    return float(value)


def positive(value, name):
    """A positive finite number."""
    return number(value, name, low=0.0, accepted="a positive finite number")


def probability(value, name="probability"):
    """A number inside (0, 1)."""
    return number(value, name, low=0.0, high=1.0, accepted="a number in (0, 1), such as 0.95")


def count(value, name, *, least=1):
    """A whole number of at least `least`, as an int; 2.0 is none, and neither is True."""
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or isinstance(value, (bool, np.bool_)) or whole < least:
        _refuse(name, value, f"a whole number of at least {least}")
    return whole


def seed(value, name="seed"):
    """A whole number from zero up: the same one makes the same draws."""
    return count(value, name, least=0)


def one_of(value, options, name):
    """One of a few values."""
    if not any(value is option or (type(value) is type(option) and value == option) for option in options):
        _refuse(name, value, " or ".join(map(repr, options)))
    return value


def instance(value, kind, name, accepted):
    """A value of a type."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}={told(value)}; accepted is {accepted}.")
    return value


def fitted(idata, name="idata"):
    """A tree with a posterior."""
    if not hasattr(idata, "children") or "posterior" not in idata.children:
        raise TypeError(f"{name}={told(idata)}; accepted is a DataTree with a posterior, from fit(...).")
    return idata


def told(value):
    """A value in a few characters: tables and models by their type."""
    if isinstance(value, (str, Real, type(None), list, tuple, dict)) and len(repr(value)) <= 80:
        return repr(value)
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}".removeprefix("builtins.")


def _refuse(name, value, accepted):
    raise ValueError(f"{name}={told(value)}; accepted is {accepted}.")
