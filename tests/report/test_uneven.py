"""An effect that is not one: of either sign in different rows, or at low and at high doses."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from helpers import make_design, make_report
from which_world.report.short import in_short
from which_world.report.uneven import uneven_effect

LINE = {"outcome": "y ~ t + g + a + b", "treatment": "t ~ g + a + b"}


def world(effect, n=1200, seed=0, kind="continuous"):
    """The outcome is `effect` of treatment and covariates, and covariates that move both."""
    a, b, v, u = np.random.default_rng(seed).normal(size=(4, n))
    g = (np.random.default_rng([1, seed]).uniform(size=n) < 0.5).astype(float)
    t = 0.2 * (a + b) + v
    t = (t > 0).astype(float) if kind == "binary" else t
    return pd.DataFrame({"y": effect(t, g, a) + 0.2 * (a + b) + u, "t": t, "g": g, "a": a, "b": b})


def test_an_effect_of_either_sign_in_two_groups_is_no_precise_nothing():
    data = world(lambda t, g, a: (g - 0.5) * t, n=3000, kind="binary")
    design = make_design(data, **LINE)
    found = uneven_effect(design)
    low = smf.ols("y ~ t * g + a + b", data).fit(cov_type="HC1")
    high = smf.ols("y ~ t * h + a + b", data.assign(h=1 - data.g)).fit(cov_type="HC1")
    for told, fit in zip(found.effects, (low, high)):
        assert told == pytest.approx((fit.params["t"], *fit.conf_int().loc["t"]), abs=1e-6)
    assert found.by == "g" and found.places == ("0", "1") and found.turns
    _, why, advice = in_short(make_report(design))
    assert "where g is 0" in why and advice == "Do not act on one effect for all: write t * g in the outcome formula."


@pytest.mark.parametrize(
    ("effect", "turns"),
    [(lambda t, g, a: 0.5 * t**2, True), (lambda t, g, a: np.minimum(t, 0.0), False)],
)
def test_a_dose_that_turns_is_told_from_one_that_saturates(effect, turns):
    found = uneven_effect(make_design(world(effect), **LINE))
    assert found.by == "t" and found.turns is turns and found.places[0].startswith("below ")


@pytest.mark.parametrize("effect", [lambda t, g, a: 0.4 * t, lambda t, g, a: 0.4 * t + 0.5 * a**2])
def test_one_effect_is_asked_about_no_more_than_chance(effect):
    """A curve of a covariate that moves the treatment is none of the effect."""
    assert sum(uneven_effect(make_design(world(effect, 400, seed), **LINE)) is not None for seed in range(60)) <= 3
