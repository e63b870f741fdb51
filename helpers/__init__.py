"""What the chapters import: the library's names, and what only a book needs.

The library is `which_world`; its names are handed on. The book adds the data sets, simulated tanks,
claims that are checked, and figures of its own. A name is imported when it is first used.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

import which_world

_load_own, _, _OWN = lazy_loader.attach(
    __name__,
    submod_attrs={
        "claims": ["claim", "quote", "stored"],
        "data": ["load_lalonde", "load_nhefs"],
        "explore": ["explore_steps"],
        "plots": ["plot_diagram", "plot_drift", "plot_prior_posterior", "plot_ridge"],
        "simulate": ["simulate_aquarium"],
    },
)
_LIBRARY = dir(which_world)  # its public names
__all__ = sorted({*_OWN, *_LIBRARY})


def __getattr__(name: str) -> Any:
    if name in _OWN:
        return _load_own(name)
    if name in _LIBRARY:
        return getattr(which_world, name)
    raise AttributeError(f"module 'helpers' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
