"""α·T + BART(X) as in bart_bias.py, by PyMC-BART's particle Gibbs: `python tests/benchmarks/bart_particles.py`.

The same data sets, the same number of trees, 1,000 draws after 1,000 steps of tuning on four chains. Is the bias the
model's or the sampler's?
"""

import hashlib
import sys
import warnings
from pathlib import Path

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
from bart_bias import COVARIATES, data_set

from helpers import bart, fit, make_design

HERE = Path(__file__)
TABLE = HERE.with_suffix(".csv")


def estimate(data, *, seed):
    """One interval for α, with its diagnostics."""
    design = make_design(data, outcome=f"Y ~ T + {COVARIATES}", treatment=f"T ~ {COVARIATES}")
    with pm.Model(coords={"obs": range(design.n)}) as model:
        curve = bart().index("forest_O", design.C, design.y.mean(), design.y.std())
        alpha = pm.Normal("alpha", 0, design.y.std() / design.t.std())
        sigma_U = pm.HalfNormal("sigma_U", design.y.std())
        pm.Normal("likelihood_outcome", alpha * design.t + curve, sigma_U, observed=design.y, dims="obs")
    alpha = fit(model, seed=seed)["posterior"]["alpha"]
    low, high = np.quantile(alpha, [0.025, 0.975])
    return {"model": "the same, by particle Gibbs", "alpha": alpha.mean().item(), "sd": alpha.std().item(), "low": low,
            "high": high, "rhat": az.rhat(alpha).item(), "ess": az.ess(alpha).item()}  # fmt: skip


def main(count):
    checksum = hashlib.sha256(HERE.read_bytes()).hexdigest()
    rows = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame({"script": []})
    rows = rows[rows.script == checksum]
    for seed in sorted(set(range(count)) - set(rows.get("seed", []))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # R-hat and ESS stand in the table
            row = {"seed": seed} | estimate(data_set(seed), seed=seed) | {"script": checksum}
        rows = pd.concat([rows, pd.DataFrame([row])], ignore_index=True)
        rows.round(5).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
