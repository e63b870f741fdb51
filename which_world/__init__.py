"""Bayesian structural causal inference: a treatment's effect in every world that the data allow.

Values flow one way::

    make_design → map_rho → read_map, weigh, tipping_point → make_report
    make_design → joint_model → fit → fit_worlds → world_table

The public names stand in ``__init__.pyi``. Each is imported when it is first used, so that whoever
draws a map does not wait for a sampler.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import Any

from lazy_loader import attach_stub

_load, __dir__, __all__ = attach_stub(__name__, __file__)
_EXTRAS = {
    "arviz": "sample",
    "numba": "sample",
    "nutpie": "sample",
    "pymc": "sample",
    "pytensor": "sample",
    "pymc_bart": "forest",
    "click": "report",
    "jinja2": "report",
    "matplotlib": "plot",
    "seaborn": "plot",
    "rich": "report",
}
"""What brings a package that not everybody needs."""


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in __all__:
        return _module(name)
    try:
        value = globals()[name] = _answering(_load(name), name)
    except ModuleNotFoundError as error:
        raise _named(error, name) from None
    return value


def _named(error, name):
    """An import that is missing, with the extra that brings it; any other as it is."""
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return error
    extra = f"pip install 'which-world[{_EXTRAS[package]}]'"
    return ModuleNotFoundError(
        f"{name} needs {package}, which is not installed; {extra} brings it.", name=package
    )


def _module(name):
    """A room or a module by its name, as in `which_world.maps`; else an error with all names."""
    from importlib import import_module

    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")


def _answering(function, name):
    """A function as it is, but for `weights=` and their kin, which get a sentence of their own."""
    if not inspect.isfunction(function) or "**" in str(inspect.signature(function)):
        return function
    from which_world.arguments import refuse_weights  # needs NumPy, which is there by now

    @wraps(function)
    def answered(*arguments, **named):
        refuse_weights(named)
        return function(*arguments, **named)

    answered.__module__, answered.__qualname__ = __name__, name  # where pickle finds it
    return answered
