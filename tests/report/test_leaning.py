"""How far a reading leans on its priors: a normal prior to a power is a normal prior, and ArviZ says who leans."""

import re

import arviz as az
import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from helpers import atanh_normal, make_design, map_rho, simulate_aquarium, weigh
from which_world.report.leaning import leaning


@pytest.mark.parametrize("sd", [0.2, 1.0])
def test_an_answer_that_is_all_prior_leans_on_it_and_one_that_is_none_does_not(sd):
    """A normal prior to the power k has sd/√k, so its ends move by (1/√0.8 - 1)/2 = 5.9 % of their distance."""
    a = sd * np.random.default_rng(0).standard_normal(200_000)
    other = np.random.default_rng(1).standard_normal(200_000)
    readings = {"ρ": (a, other), "neither": (other, other)}
    for leant, (effect, alpha) in readings.items():
        values = {"rho": np.tanh(a), "effect": effect, "alpha": alpha}
        reading = xr.Dataset({name: ("draw", each) for name, each in values.items()})
        said = leaning(reading, atanh_normal(0, sd), 1e3)
        assert said.endswith("it leans on that of ρ." if leant == "ρ" else "it leans on neither.")
        assert f"at most {6 if leant == 'ρ' else 0} % (of ρ) and 0 % (of α)" in said


@pytest.mark.parametrize(("instruments", "leans"), [(0, True), (1, False)])
def test_leaning_is_what_the_map_says_under_the_prior_that_the_power_makes(instruments, leans):
    """A normal prior to the power k has sd/√k, under which the map can be read; and ArviZ says who leans."""
    data, sd = simulate_aquarium(500, rho=0.3, instruments=instruments, seed=3).data, 0.5
    pulled = [name for name in data if name.startswith("X")]
    shared = [name for name in pulled if not instruments or name != "X2"]
    formulas = {"outcome": f"Y ~ T + {' + '.join(shared)}", "treatment": f"T ~ {' + '.join(pulled)}"}
    chart = map_rho(make_design(data, **formulas))

    def read(sd):
        return weigh(chart, atanh_normal(0, sd), draws=20_000)

    plain, *powered = (np.quantile(read(sd / np.sqrt(power)).effect, [0.025, 0.975]) for power in (1, 0.8, 1.25))
    said = leaning(read(sd), atanh_normal(0, sd), 1e3)
    moved = 100 * np.abs(np.array(powered) - plain).max() / np.ptp(plain)
    assert int(re.search(r"at most (\d+) % \(of ρ\)", said)[1]) == pytest.approx(moved, abs=1)
    effect, rho = read(sd).effect.values, read(sd).rho.values
    log_prior = norm.logpdf(np.arctanh(rho), 0, sd)
    tree = az.from_dict({"posterior": {"effect": effect[None]}, "log_prior": {"rho": log_prior[None]}})
    assert ("it leans on that of ρ" in said) == (float(az.psense(tree)["effect"]) > 0.05) == leans
