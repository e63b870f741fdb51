"""Regularisation-induced confounding, counted: `python tests/benchmarks/bart_bias.py [data sets]`.

The design of Hahn, Murray & Carvalho (2020, section 6.1) with a curved prognosis and a constant effect: those who do
badly anyway are treated more often. Three estimates of the effect on every data set: least squares, α·T + BART(X), and
the same with an estimated propensity score among the forest's covariates. Writes a row as soon as it has one and goes
on where it stopped. `bart_bias.csv` names the checksum of this file; rows of another one are thrown away.
"""

import hashlib
import sys
import warnings
from pathlib import Path

import arviz as az
import numpy as np
import pandas as pd
from scipy.stats import norm

from helpers import bart, fit, joint_model, make_design, ols

HERE = Path(__file__)
TABLE = HERE.with_suffix(".csv")
TRUTH = 3.0
COVARIATES = "X1 + X2 + X3 + C(X4) + X5"


def data_set(seed, n=250):
    """One data set, with the prognosis μ and the propensity that made it."""
    rng = np.random.default_rng(seed)
    x, x4, x5 = rng.normal(size=(n, 3)), rng.integers(1, 4, n), rng.integers(0, 2, n)
    mu = -6 + np.array([2.0, -1.0, -4.0])[x4 - 1] + 6 * np.abs(x[:, 2] - 1)
    propensity = 0.8 * norm.cdf(3 * mu / mu.std() - 0.5 * x[:, 0]) + 0.05 + rng.uniform(size=n) / 10
    T = rng.binomial(1, propensity)
    columns = {"Y": mu + TRUTH * T + rng.normal(size=n), "T": T, "X1": x[:, 0], "X2": x[:, 1], "X3": x[:, 2], "X4": x4}
    return pd.DataFrame(columns | {"X5": x5, "prognosis": mu, "propensity": propensity})


def estimates(data, *, draws=3000, seed=0):
    """Three intervals for α from one data set, with the diagnostics of α where it was sampled."""
    design = make_design(data, outcome=f"Y ~ T + {COVARIATES}", treatment=f"T ~ {COVARIATES}")
    plain = fit(joint_model(design, outcome=bart(), treatment=bart(), rho=0.0), draws=draws, seed=seed)
    score = norm.cdf(plain["posterior"]["forest_T"]).mean((0, 1))
    told = f"{COVARIATES} + score"
    design_2 = make_design(data.assign(score=score), outcome=f"Y ~ T + {told}", treatment=f"T ~ {COVARIATES}")
    remedy = fit(joint_model(design_2, outcome=bart(), rho=0.0), draws=draws, seed=seed)
    line = ols(design)
    yield {"model": "OLS", "alpha": line.params["alpha"], "sd": line.bse["alpha"],
           "low": line.conf_int().loc["alpha", 0], "high": line.conf_int().loc["alpha", 1]}  # fmt: skip
    for name, idata in {"α·T + BART(X)": plain, "α·T + BART(X, score)": remedy}.items():
        alpha = idata["posterior"]["alpha"]
        low, high = np.quantile(alpha, [0.025, 0.975])
        yield {"model": name, "alpha": alpha.mean().item(), "sd": alpha.std().item(), "low": low, "high": high,
               "rhat": az.rhat(alpha).item(), "ess": az.ess(alpha).item()}  # fmt: skip


def main(count):
    checksum = hashlib.sha256(HERE.read_bytes()).hexdigest()
    rows = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame({"script": []})
    rows = rows[rows.script == checksum]
    for seed in sorted(set(range(count)) - set(rows.get("seed", []))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # R-hat and ESS stand in the table
            found = [{"seed": seed} | row | {"script": checksum} for row in estimates(data_set(seed), seed=seed)]
        rows = pd.concat([rows, pd.DataFrame(found)], ignore_index=True)
        rows.round(5).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
