"""A forest as a value: what it is made of, and what is refused."""

import re

import pymc as pm
import pytest
from conftest import TANK

from helpers import World, bart, joint_model, make_design, normal, simulate_aquarium
from helpers import horseshoe as funnel
from which_world.forest import Forest


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda design: joint_model(design, treatment=bart(), coefficients=funnel(p0=1)), "coefficients="),
        (lambda design: World("trees", design, treatment=1), "world 'trees': treatment=1"),
    ],
)
def test_an_error_names_the_argument(sixty_fish, call, named):
    with pytest.raises((TypeError, ValueError), match=re.escape(named)) as error:
        call(sixty_fish)
    assert "accepted" in str(error.value)


def test_a_forest_is_a_value():
    assert bart() == Forest(50, 0.95, 2.0, None)
    assert "forest_T" in joint_model(
        make_design(simulate_aquarium(60, treatment="continuous", seed=1).data, **TANK),
        treatment=bart(), coefficients=normal(),
    ).named_vars  # fmt: skip


def test_a_forest_has_no_draws_from_its_prior_as_its_notes_say(designs):
    """PyMC-BART gives every row of a prior draw one value; should that change, `bart` can be run forwards."""
    model = joint_model(designs["binary", "plain"], treatment=bart(trees=5))
    drawn = pm.sample_prior_predictive(3, model=model, random_seed=1)["prior"]["forest_T"]
    assert float(drawn.std("obs").max()) < 1e-9
