"""How often the intervals of sparse priors cover: `python tests/benchmarks/sparse_coverage.py [tanks]`.

A tank of two confounders, one instrument, two causes of Y alone and three covariates of no use, with n = 300 and a
current of 0 or 0.6. Every tank is fitted under four priors. Writes a row as soon as it has one and goes on where it
stopped. `sparse_coverage.csv` names the checksum of this file; rows of another one are thrown away.
"""

import hashlib
import sys
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import diagnostics, excluded, fit, horseshoe, joint_model, make_design, normal, simulate_aquarium
from helpers import spike_and_slab as sieve

HERE = Path(__file__)
TABLE = HERE.with_suffix(".csv")
CURRENTS = 0.0, 0.6
QUANTILES = 0.025, 0.5, 0.975
PRIORS = {
    "normal": (normal(), {}),
    "sieve": (sieve(), {}),
    "funnel": (horseshoe(), {"draws": 800, "tune": 300}),
    "exclusion of X2": (excluded(["X2"]), {}),
}
X = " + ".join(f"X{j}" for j in range(8))


def interval(seed, rho, prior):
    """The 95 % intervals of α and ρ in one tank under one prior, with the diagnostics."""
    tank, _ = simulate_aquarium(300, rho=rho, seed=seed)
    coefficients, effort = PRIORS[prior]
    design = make_design(tank, outcome=f"Y ~ T + {X}", treatment=f"T ~ {X}")
    idata = fit(joint_model(design, coefficients=coefficients), seed=seed, **effort)
    row = {}
    for name in ("alpha", "rho"):
        row |= zip([f"{name}_low", f"{name}_mid", f"{name}_high"], np.quantile(idata["posterior"][name], QUANTILES))
    judged = diagnostics({prior: idata}).iloc[0]
    ess = min(judged["ess_bulk"], judged["ess_tail"])
    return row | {"rhat": judged["rhat"], "ess": ess, "passes": bool(judged["passes"])}


def main(count):
    checksum = hashlib.sha256(HERE.read_bytes()).hexdigest()
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    rows = [row for row in rows if row["script"] == checksum]
    done = {(row["seed"], row["true_rho"], row["prior"]) for row in rows}
    for key in product(range(1000, 1000 + count), CURRENTS, PRIORS):
        if key in done:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # whether it passes stands in the table
            rows.append(dict(zip(("seed", "true_rho", "prior"), key)) | interval(*key) | {"script": checksum})
        pd.DataFrame(rows).round(5).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
