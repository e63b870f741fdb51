"""Compile the samplers' loops, once, so that no test is charged for it: `python tests/compiled.py`.

Numba keeps what it compiled beside the source; in a clean clone that takes half a minute, and nothing afterwards.
"""

import logging
import warnings

from helpers import bart, fit, horseshoe, joint_model, make_design, simulate_aquarium, spike_and_slab

FORMULAS = {"outcome": "Y ~ T + X0 + X1", "treatment": "T ~ X0 + X1 + X2"}
PARTS = (
    {"treatment": bart(trees=2)},
    {"outcome": bart(trees=2)},
    {"coefficients": spike_and_slab()},
    {"coefficients": horseshoe()},
)


def main():
    logging.getLogger("pymc").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")  # of so few draws
    for outcome, treatment in (("continuous", "continuous"), ("binary", "binary")):
        data = simulate_aquarium(40, outcome=outcome, treatment=treatment, seed=1).data
        design = make_design(data, **FORMULAS)
        for part in PARTS:
            fit(joint_model(design, **part), draws=8, tune=2, chains=1)


if __name__ == "__main__":
    main()
