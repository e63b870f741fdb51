"""Misspelt keywords that a type checker must see: `make lint` fails where one of these lines is no error.

Nothing runs this file.
"""

import pandas as pd

import helpers
import which_world


def through_the_library(data: pd.DataFrame) -> None:
    design = which_world.make_design(data, outcome="y ~ t", treatment="t ~ 1")
    which_world.map_rho(design, rhoo=[0.0])  # type: ignore[call-arg]
    which_world.fit(design, drawz=500)  # type: ignore[call-arg]


def through_the_book(data: pd.DataFrame) -> None:
    design = helpers.make_design(data, outcome="y ~ t", treatmnt="t ~ 1")  # type: ignore[call-arg]
    helpers.map_rho(design, alfa=1.0)  # type: ignore[call-arg]
    helpers.simulate_aquarium(fishes=3)  # type: ignore[call-arg]
