"""Bayesian structural causal inference in a handful of functions; the book teaches each before it is used.

Data flow one way::

    data, simulate → design → priors, models → sampling → maps, worlds → plots

A name is imported when it is first used, so that whoever draws a map does not wait for a sampler.
"""

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
    "priors": ("atanh_normal", "normal"),
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
    value = globals()[name] = getattr(import_module(f"helpers.{_MODULES[name]}"), name)
    return value


def __dir__():
    return sorted({*globals(), *__all__})
