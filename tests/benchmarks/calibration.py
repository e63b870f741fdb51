"""Simulation-based calibration of the models that the book uses: `python tests/benchmarks/calibration.py [share]`.

Worlds are drawn from a model's own prior (the default ones of α, ρ and σ, and of the coefficients but where the name
of a model says otherwise), each makes data, and the model is fitted to them by the route that `fit` takes. If the
posterior is right, the share of its draws below the world's value is uniform (Talts et al. 2018); so it is for the
joint log-likelihood, which knows parameters and data both (Modrák et al. 2023). A row is one world: the
share for α, ρ, each σ and the log-likelihood, among `KEPT` draws. `calibration.csv` names the checksums of this file
and of the helpers; rows of another version of this file are thrown away. A `share` of one makes all worlds.
"""

import hashlib
import logging
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm

from helpers import bart, excluded, fit, horseshoe, joint_model, make_design, simulate_aquarium, spike_and_slab
from which_world.engine.draws import vectors
from which_world.engine.likelihoods import Rows, pointwise

HERE = Path(__file__)
TABLE = HERE.with_suffix(".csv")
logging.getLogger("pymc").setLevel(logging.CRITICAL)
KEPT = 199
BATCH = 10
TANK = {"outcome": "Y ~ T + X0 + X1", "treatment": "T ~ X0 + X1"}
PIPED = TANK | {"treatment": "T ~ X0 + X1 + X2"}
MANY = {"outcome": "Y ~ T + X0 + X1 + X2 + X3", "treatment": "T ~ X0 + X1 + X2 + X3"}


class Model(NamedTuple):
    """Kinds of outcome and treatment, rows, formulas, prior over coefficients, worlds, draws a chain, a forest."""

    kinds: tuple
    n: int
    formulas: dict
    coefficients: object
    worlds: int
    draws: int = 500
    forest: object = None


MODELS = {
    "normal, continuous on continuous": Model(("continuous", "continuous"), 200, PIPED, None, 500),
    "normal, continuous on binary": Model(("continuous", "binary"), 300, TANK, None, 500),
    "normal, binary on continuous": Model(("binary", "continuous"), 300, PIPED, None, 500),
    "normal, binary on binary": Model(("binary", "binary"), 300, PIPED, None, 500),
    "exclusion, continuous on continuous": Model(("continuous", "continuous"), 200, MANY, excluded(["X2"]), 500),
    "sieve, continuous on continuous": Model(("continuous", "continuous"), 200, MANY, spike_and_slab(), 200, 1000),
    "sieve, continuous on binary": Model(("continuous", "binary"), 200, MANY, spike_and_slab(), 200, 1000),
    "funnel, continuous on continuous": Model(("continuous", "continuous"), 200, MANY, horseshoe(), 200, 1000),
    "forest in the treatment": Model(("continuous", "binary"), 150, TANK, None, 100, 1000, bart(trees=10)),
}


def world_of(name):
    """The model of a name, with nothing observed, and its design."""
    spec = MODELS[name]
    tank = simulate_aquarium(spec.n, outcome=spec.kinds[0], treatment=spec.kinds[1], seed=2).data
    design = make_design(tank, **spec.formulas)
    return joint_model(design, coefficients=spec.coefficients, treatment=spec.forest), design


def shares(model, design, world, seed, draws):
    """For each quantity the share of posterior draws below its value in the world that made the data."""
    seen = {f"likelihood_{side}": world[f"likelihood_{side}"].values for side in ("outcome", "treatment")}
    sample = az.extract(fit(pm.observe(model, seen), draws=draws, seed=seed))
    sample = sample.isel(sample=np.linspace(0, sample.sizes["sample"] - 1, KEPT).astype(int))
    found = {name: float((sample[name] < world[name]).mean()) for name in ("alpha", "rho", "sigma_U", "sigma_V")
             if name in sample and name in world}  # fmt: skip
    if "forest_T" not in sample:
        y, t = seen["likelihood_outcome"].astype(float), seen["likelihood_treatment"].astype(float)
        made = replace(design, y=y, t=t, centre=design.t_mean)  # the model's dose has the mean that it was built with
        true = world.expand_dims(sample=[0])
        below = _log_likelihood(made, sample) < _log_likelihood(made, true)
        found["log_likelihood"] = float(below.mean())
    return found


def _log_likelihood(design, sample):
    return pointwise(Rows.of(design, compress=False), vectors(sample, design), np.arctanh(sample["rho"].values)).sum(1)


def main(share):
    checksum = hashlib.sha256(HERE.read_bytes()).hexdigest()
    helpers = hashlib.sha256(
        b"".join(path.read_bytes() for path in sorted((HERE.parents[2] / "which_world").rglob("*.py")))
    ).hexdigest()
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    rows = [row for row in rows if row["script"] == checksum]
    for name, spec in MODELS.items():
        done = sum(row["model"] == name for row in rows)
        count = int(np.ceil(share * spec.worlds))
        if done >= count:
            continue
        model, design = world_of(name)
        worlds = pm.sample_prior_predictive(2 * count, model=model, random_seed=7)["prior"].to_dataset().isel(chain=0)
        for k in _varying(worlds)[done:count]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a few thousand draws are enough for a rank
                found = shares(model, design, worlds.isel(draw=k), k, spec.draws)
            rows.append({"model": name, "world": k} | found | {"script": checksum, "helpers": helpers})
            if len(rows) % BATCH == 0:
                pd.DataFrame(rows).round(4).to_csv(TABLE, index=False)
    pd.DataFrame(rows).round(4).to_csv(TABLE, index=False)


def _varying(worlds):
    """Numbers of the worlds that `make_design` would take: in which no yes or no is everybody's.

    That depends on the data alone, so ranks are uniform among these worlds too.
    """
    constant = [np.ptp(worlds[f"likelihood_{side}"].values, axis=1) == 0 for side in ("outcome", "treatment")]
    return np.flatnonzero(~np.any(constant, axis=0))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
