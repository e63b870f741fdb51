"""Bayesian structural causal inference in a handful of functions; the book teaches each before it is used.

Data flow one way::

    data, simulate → design → priors, models → sampling → maps, worlds → plots
"""

from helpers.checks import learned
from helpers.claims import claim, quote
from helpers.classical import maximum_likelihood, ols
from helpers.data import load_lalonde, load_nhefs
from helpers.decisions import benchmark_rho, decide, robustness_value
from helpers.design import Design, make_design
from helpers.effects import effect_at, potential_outcomes
from helpers.examine import shuffle_test
from helpers.forest import bart
from helpers.intake import read_table
from helpers.maps import map_rho, read_map, tipping_point, weigh
from helpers.models import joint_model
from helpers.plots import plot_decision, plot_drift, plot_map, plot_prior_posterior, plot_ridge, plot_worlds
from helpers.priors import atanh_normal, normal
from helpers.publish import write_report
from helpers.report import make_report
from helpers.sampling import diagnostics, fit
from helpers.selection import excluded, horseshoe, spike_and_slab
from helpers.simulate import simulate_aquarium
from helpers.worlds import World, fit_worlds, world_table

__all__ = [
    "Design", "World", "atanh_normal", "bart", "benchmark_rho", "claim", "decide", "diagnostics", "effect_at",
    "excluded", "fit", "fit_worlds", "horseshoe", "joint_model", "learned", "load_lalonde", "load_nhefs", "make_design",
    "make_report", "map_rho", "maximum_likelihood", "normal", "ols", "plot_decision", "plot_drift", "plot_map",
    "plot_prior_posterior", "plot_ridge", "plot_worlds", "potential_outcomes", "quote", "read_map", "read_table",
    "robustness_value", "shuffle_test", "simulate_aquarium", "spike_and_slab", "tipping_point", "weigh", "world_table",
    "write_report",
]  # fmt: skip
