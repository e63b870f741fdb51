"""Particle Gibbs of any model with a PyMC-BART variable: seeds reproduce it, and chains have seeds of their own."""

import numpy as np
import pymc as pm

from helpers import bart
from which_world.engine.particle_gibbs import particle_gibbs


def test_particles_reproduce_and_their_chains_differ(sixty_fish):
    with pm.Model(coords={"obs": range(sixty_fish.n)}) as model:
        curve = bart(trees=5).index("forest_O", sixty_fish.C, sixty_fish.y.mean(), sixty_fish.y.std())
        pm.Normal("likelihood_outcome", curve, 1.0, observed=sixty_fish.y, dims="obs")
    settings = {"draws": 50, "tune": 50, "chains": 2, "progressbar": False}
    one, two, other = (particle_gibbs(model, **settings, seed=seed)["posterior"]["forest_O"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[0], one[1])
