"""An effect that is not one: of either sign in different rows, or at low and at high doses."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from ponds import spoken_of

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


def test_an_effect_in_few_rows_is_told_where_it_is_another():
    """One row in twenty has the level, so both tenths of the rows lie without it."""
    data = world(lambda t, g, a: t, n=2000).assign(g=lambda rows: (np.arange(len(rows)) % 20 == 0).astype(float))
    data["y"] += 2 * data.g * data.t
    found = uneven_effect(make_design(data, **LINE))
    assert found.by == "g" and found.places == ("0", "1")
    assert [effect for effect, *_ in found.effects] == pytest.approx([1, 3], abs=0.4)


def test_a_heap_has_its_other_place_beyond_it():
    """Nineteen rows in twenty have one value of what the effect changes with."""
    data = world(lambda t, g, a: t, n=2000)
    data["g"] = np.where(np.arange(len(data)) % 20 == 0, 1 + np.arange(len(data)) % 3, 0.0)
    data["y"] += data.g * data.t
    assert uneven_effect(make_design(data, **LINE)).places == ("0", "2")


def test_a_year_has_no_mark_between_its_thousands():
    data = world(lambda t, g, a: t, n=2000)
    data["g"] = np.random.default_rng(4).integers(1901, 2000, len(data))
    data["y"] += (data.g - 1950) / 30 * data.t
    low, high = uneven_effect(make_design(data, **LINE)).places
    assert int(low) == np.quantile(data.g, 0.1) and int(high) == np.quantile(data.g, 0.9)


def classes(seed, schools=40, size=40):
    """Half of each school's classes are small, and classes of one teacher share what moves them."""
    draw = np.random.default_rng(seed)
    school, small = np.repeat(np.arange(schools), size), np.tile(np.repeat([0.0, 1.0], size // 2), schools)
    teacher, shared = draw.normal(size=(2, schools, 2))
    place = school, small.astype(int)
    a, noise = draw.normal(size=(2, schools * size))
    data = pd.DataFrame({"t": small, "g": teacher[place], "a": a, "b": draw.normal(size=len(a)), "school_id": school})
    return data.assign(y=0.3 * small + shared[place] + a + noise)


def test_an_effect_that_only_groups_vary_is_not_uneven():
    """What a class shares is no way in which the effect changes with its teacher."""
    counted, alone = spoken_of(map(classes, range(20)), LINE, uneven_effect)
    assert sum(counted) <= 2 and sum(alone) >= 8
    data = classes(next(seed for seed in range(20) if alone[seed] and not counted[seed]))
    assert make_report(make_design(data, **LINE), data=data).uneven is None
