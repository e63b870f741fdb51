"""Worlds drawn from the prior, each seen through the data it makes: `python tests/benchmarks/prior_worlds.py`.

For each pair of outcome and treatment a hundred worlds or two, by the route that `fit` takes: a row is a world, and
holds the share of posterior draws below its value, for α, ρ, and σ_U or a binary outcome's effect. If the posterior is
right, these shares are uniform (Talts et al. 2018). `calibration.py` does it for more models, at more length;
`tests/test_sampling.py` holds this table to its bounds, and computes its first rows again. `prior_worlds.csv` names the
checksum of this file; rows of another one are thrown away.
"""

import hashlib
import logging
import warnings
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pymc as pm

from helpers import fit, joint_model, make_design, normal, simulate_aquarium

HERE = Path(__file__)
TABLE = HERE.with_suffix(".csv")
logging.getLogger("pymc").setLevel(logging.CRITICAL)
PLAIN = {"outcome": "Y ~ T + X0 + X1", "treatment": "T ~ X0 + X1"}
PIPED = PLAIN | {"treatment": "T ~ X0 + X1 + X2"}


class Pair(NamedTuple):
    """Rows, formulas and worlds of a pair of outcome and treatment."""

    n: int
    formulas: dict
    worlds: int


PAIRS = {
    ("continuous", "binary"): Pair(300, PLAIN, 100),
    ("continuous", "continuous"): Pair(200, PIPED, 100),
    ("binary", "binary"): Pair(300, PLAIN, 200),
    ("binary", "continuous"): Pair(300, PIPED, 200),
}


def ranks(outcome, treatment, count):
    """The first so many worlds of a pair, one by one: shares of posterior draws below what was true."""
    pair = PAIRS[outcome, treatment]
    tank = simulate_aquarium(pair.n, treatment=treatment, outcome=outcome, seed=2).data
    model = joint_model(make_design(tank, **pair.formulas), coefficients=normal(0.5))
    worlds = pm.sample_prior_predictive(pair.worlds, model=model, random_seed=6)["prior"].isel(chain=0)
    names = "alpha", "rho", "effect" if outcome == "binary" else "sigma_U"
    for k in range(count):
        world = worlds.isel(draw=k)
        seen = {f"likelihood_{side}": world[f"likelihood_{side}"].values for side in ("outcome", "treatment")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a thousand draws are enough for a rank
            posterior = fit(pm.observe(model, seen), draws=250)["posterior"]
        yield {"outcome": outcome, "treatment": treatment, "world": k} | {
            name: float((posterior[name] < world[name]).mean()) for name in names
        }


def main():
    checksum = hashlib.sha256(HERE.read_bytes()).hexdigest()
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    rows = [row for row in rows if row["script"] == checksum]
    done = {(row["outcome"], row["treatment"]) for row in rows}
    for pair, spec in PAIRS.items():
        if pair not in done:
            rows += [row | {"script": checksum} for row in ranks(*pair, spec.worlds)]
            pd.DataFrame(rows).round(4).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main()
