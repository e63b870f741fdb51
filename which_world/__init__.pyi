"""The public names, for editors and type checkers; `__init__.py` reads them here."""

from .checks import learned as learned, shuffle_test as shuffle_test
from .classical import maximum_likelihood as maximum_likelihood, ols as ols
from .clusters import bootstrap_map as bootstrap_map, resemblance as resemblance
from .decisions import benchmark_rho as benchmark_rho, decide as decide, e_value as e_value
from .decisions import robustness_value as robustness_value
from .deletion import influence as influence
from .design import Design as Design
from .effects import effect_at as effect_at, potential_outcomes as potential_outcomes
from .belief import explore_belief as explore_belief
from .explore import explore_map as explore_map
from .forest import bart as bart
from .maps import map_rho as map_rho
from .models import joint_model as joint_model
from .plots import plot_decision as plot_decision, plot_map as plot_map, plot_worlds as plot_worlds
from .priors import atanh_normal as atanh_normal, normal as normal, unit_information as unit_information
from .readings import read_map as read_map, reading_table as reading_table
from .readings import tipping_point as tipping_point, weigh as weigh
from .report.contents import make_report as make_report
from .report.publish import write_report as write_report
from .sampling import diagnostics as diagnostics, fit as fit
from .selection import excluded as excluded, horseshoe as horseshoe, spike_and_slab as spike_and_slab
from .tables.intake import read_table as read_table
from .tables.making import make_design as make_design
from .worlds import World as World, fit_worlds as fit_worlds, world_table as world_table
