"""Everybody is moved, and everybody keeps her own error: no truth here comes from a formula."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from helpers import (
    benchmark_rho,
    fit,
    make_design,
    map_rho,
    maximum_likelihood,
    potential_outcomes,
    simulate_aquarium,
    weigh,
)

KINDS = "continuous", "binary"
PAIRS = list(product(KINDS, KINDS))
ALPHA = 0.7
MC = 4.0  # Monte Carlo standard errors allowed


def school(n, outcome, treatment, rho, seed, b=0.0, g=0.0):
    """Fish, and each one's answer with its own U where it swims and where it is moved to.

    `b` and `g` are the strengths of a covariate c in the outcome and in the treatment.
    """
    rng = np.random.default_rng(seed)
    x, z, c, V, e = rng.normal(size=(5, n))
    U = rho * V + np.sqrt(1 - rho**2) * e
    index = 0.5 * x + 0.8 * z + g * c + V
    T = index if treatment == "continuous" else (index > 0).astype(float)
    line = -0.2 + 0.4 * x + b * c + U

    def answer(T):
        return line + ALPHA * T if outcome == "continuous" else (line + ALPHA * T > 0).astype(float)

    start = T if treatment == "continuous" else 0.0
    data = pd.DataFrame({"Y": answer(T), "T": T, "x": x, "z": z, "c": c})
    unit = 100 if outcome == "binary" else 1
    return data, unit * (answer(start + 1) - answer(start)), lambda level: unit * answer(level)


def designed(data, more=""):
    return make_design(data, outcome=f"Y ~ T + x{more}", treatment=f"T ~ x + z{more}")


@pytest.mark.parametrize("rho", [-0.7, 0.7])
@pytest.mark.parametrize("outcome, treatment", PAIRS)
def test_the_estimate_is_what_moving_the_fish_does(outcome, treatment, rho):
    data, moved, _ = school(60_000, outcome, treatment, rho, 1)
    best = maximum_likelihood(designed(data))
    luck = moved.std() / np.sqrt(len(moved))
    assert best.effect == pytest.approx(moved.mean(), abs=MC * np.hypot(best.effect_se, luck))
    assert np.hypot(best.effect_se, luck) < (0.02 if outcome == "continuous" else 0.8)


@pytest.mark.parametrize("rho", [-0.7, 0.7])
@pytest.mark.parametrize("outcome, treatment", PAIRS)
def test_the_map_says_what_moving_the_fish_does(outcome, treatment, rho):
    data, moved, _ = school(3_000, outcome, treatment, rho, 2)
    chart = map_rho(designed(data), rho=np.tanh(np.linspace(-1.6, 1.6, 11)), draws=100)
    told = weigh(chart, lambda rho: np.ones_like(rho)).effect.values
    spread = np.hypot(told.std(), moved.std() / np.sqrt(len(moved)))
    assert told.mean() == pytest.approx(moved.mean(), abs=MC * spread)
    if (outcome, treatment) == ("binary", "continuous"):
        assert spread < 1.2


@pytest.mark.parametrize("outcome, treatment", PAIRS)
def test_the_other_water_is_where_the_fish_are_put(outcome, treatment):
    """Not moved from where it is but set, everybody alike: the imputed means are those of the fish."""
    data, _, answer = school(800, outcome, treatment, 0.7, 3)
    levels = (0.0, 1.0) if treatment == "binary" else (-0.5, 1.0)
    design = designed(data)
    found = potential_outcomes(fit(design, draws=250), design, levels=levels).sel(group="everyone")
    for name, level in zip(("Y0", "Y1"), levels):
        told, own = found[name].values, answer(level)
        luck = own.std() / np.sqrt(len(own))
        assert told.mean() == pytest.approx(own.mean(), abs=MC * np.hypot(told.std(), luck))


@pytest.mark.parametrize("treatment", KINDS)
def test_a_tanks_truth_is_counted_on_its_own_fish(treatment):
    """The same draws make a tank of weights and one of lives, whose index is the weight less its intercept."""
    weighed, lives = (
        simulate_aquarium(400, rho=0.6, treatment=treatment, outcome=kind, alpha=ALPHA, seed=4) for kind in KINDS
    )
    index = weighed.data.Y - weighed.truth["intercept_O"].item()
    assert ((index > 0) == (lives.data.Y == 1)).all()
    start = index - ALPHA * weighed.data["T"] * (treatment == "binary")
    truth = 100 * ((start + ALPHA > 0).mean() - (start > 0).mean())
    assert lives.truth["effect"].item() == pytest.approx(truth)


@pytest.mark.parametrize("b, g", [(0.8, 0.7), (0.6, -0.8)])
@pytest.mark.parametrize("outcome, treatment", PAIRS)
def test_a_benchmark_is_the_current_that_leaving_it_out_makes(outcome, treatment, b, g):
    """U + bc and V + gc correlate as bg/√((b² + 1)(g² + 1)) once nobody measures c."""
    data, _, _ = school(60_000, outcome, treatment, 0.0, 5, b, g)
    design = make_design(data, outcome="Y ~ T + x + z + c", treatment="T ~ x + z + c")
    found = benchmark_rho(design, {"c": ["c"]}).loc["c", "rho"]
    assert found == pytest.approx(b * g / np.sqrt((b**2 + 1) * (g**2 + 1)), abs=0.03)
