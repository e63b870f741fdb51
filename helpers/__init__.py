"""Bayesian structural causal inference in a handful of functions; the book teaches each before it is used.

Data flow one way::

    data, simulate → design → priors, models → sampling → maps, worlds → plots

A name is imported when it is first used, so that whoever draws a map does not wait for a sampler.
"""

import inspect
from functools import wraps
from importlib import import_module

_WHERE = {
    "checks": ("learned", "shuffle_test"),
    "claims": ("claim", "quote", "stored"),
    "classical": ("maximum_likelihood", "ols"),
    "clusters": ("bootstrap_map", "resemblance"),
    "data": ("load_lalonde", "load_nhefs"),
    "decisions": ("benchmark_rho", "decide", "e_value", "robustness_value"),
    "deletion": ("influence",),
    "design": ("Design", "make_design"),
    "effects": ("effect_at", "potential_outcomes"),
    "explore": ("explore_belief", "explore_map", "explore_steps"),
    "forest": ("bart",),
    "maps": ("map_rho",),
    "models": ("joint_model",),
    "plots": (
        "plot_decision",
        "plot_diagram",
        "plot_drift",
        "plot_map",
        "plot_prior_posterior",
        "plot_ridge",
        "plot_worlds",
    ),
    "priors": ("atanh_normal", "normal", "unit_information"),
    "readings": ("read_map", "reading_table", "tipping_point", "weigh"),
    "report.contents": ("make_report",),
    "report.intake": ("read_table",),
    "report.publish": ("write_report",),
    "sampling": ("diagnostics", "fit"),
    "selection": ("excluded", "horseshoe", "spike_and_slab"),
    "simulate": ("simulate_aquarium",),
    "worlds": ("World", "fit_worlds", "world_table"),
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}
__all__ = sorted(_MODULES)


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f"module 'helpers' has no attribute {name!r}; it has {__all__}")
    value = globals()[name] = _answering(getattr(import_module(f"helpers.{_MODULES[name]}"), name), name)
    return value


def _answering(function, name):
    """A function as it is, but for `weights=` and their kin: those get a sentence and no TypeError."""
    if not inspect.isfunction(function) or "**" in str(inspect.signature(function)):
        return function
    from helpers.arguments import refuse_weights  # NumPy is slow to import, and is there by now

    @wraps(function)
    def answered(*arguments, **named):
        refuse_weights(named)
        return function(*arguments, **named)

    answered.__module__, answered.__qualname__ = "helpers", name  # where pickle finds it
    return answered


def __dir__():
    return sorted({*globals(), *__all__})
