"""The names of `__init__.py`, for editors and type checkers."""

from which_world import *

from .claims import claim as claim, quote as quote, stored as stored
from .data import load_lalonde as load_lalonde, load_nhefs as load_nhefs
from .explore import explore_steps as explore_steps
from .plots import (
    plot_diagram as plot_diagram,
    plot_drift as plot_drift,
    plot_prior_posterior as plot_prior_posterior,
    plot_ridge as plot_ridge,
)
from .simulate import simulate_aquarium as simulate_aquarium
