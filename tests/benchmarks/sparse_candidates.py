"""What the sieve's intervals cover, by its candidates: `python tests/benchmarks/sparse_candidates.py [tanks]`.

Tanks of 1,000 fish each. "two agree": one confounder and two valid instruments, with a current of 0.6 and with none.
"weak leak": a strong valid instrument and a weak one that leaks into the outcome, a current of 0.45; the prior of ρ
favours neither. Keeps the ends and the median of the 95 % interval of α, and P(X is left out of the
outcome) for the covariates that move the treatment. `sparse_candidates.csv` names the checksum of this file.
"""

import hashlib
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import diagnostics, fit, joint_model, make_design, normal, simulate_aquarium, spike_and_slab

HERE = Path(__file__)
TABLE = HERE.with_suffix(".csv")
X = " + ".join(f"X{j}" for j in range(8))


def agreeing(rho, seed):
    """X0 confounds, X1 and X2 are instruments."""
    tank, _ = simulate_aquarium(1000, rho=rho, seed=seed, confounders=1, instruments=2)
    return make_design(tank, outcome=f"Y ~ T + {X}", treatment=f"T ~ {X}"), ["X1", "X2"]


def leaking(rho, seed, pull=(1.2, 0.3)):
    """X0 is a strong valid instrument; X1 a weak one that leaks, by 2ρ times its pull."""
    rng = np.random.default_rng(seed)
    x, U = rng.normal(size=(2, 1000)), rng.normal(size=1000)
    V = rho * U + np.sqrt(1 - rho**2) * rng.normal(size=1000)
    T = pull @ x + V
    tank = pd.DataFrame({"Y": 3 * T + 2 * rho * pull[1] * x[1] + U, "T": T, "X0": x[0], "X1": x[1]})
    return make_design(tank, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1"), ["X0", "X1"]


TANKS = {"two agree": (agreeing, 0.6), "two agree, calm": (agreeing, 0.0), "weak leak": (leaking, 0.45)}
PRIORS = {"normal": normal(), "sieve": spike_and_slab()}


def row(tank, prior, seed):
    """The interval, the candidates left out, and whether the draws pass."""
    make, rho = TANKS[tank]
    design, candidates = make(rho, seed)
    idata = fit(joint_model(design, coefficients=PRIORS[prior]), seed=seed)
    ends = zip(("alpha_low", "alpha_mid", "alpha_high"), np.quantile(idata["posterior"]["alpha"], [0.025, 0.5, 0.975]))
    found = dict(ends) | {"passes": bool(diagnostics({prior: idata}).passes.iloc[0])}
    if prior == "sieve":
        inside = idata["posterior"]["included_O"].mean(("chain", "draw")).sel(covariate_O=candidates).values
        found |= {f"out_{k}": 1 - share for k, share in enumerate(inside)}
    return found


def main(count):
    checksum = hashlib.sha256(HERE.read_bytes()).hexdigest()
    rows = []
    for seed in range(2000, 2000 + count):
        for tank in TANKS:
            for prior in PRIORS:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # whether it passes stands in the table
                    found = row(tank, prior, seed)
                rows.append({"tank": tank, "prior": prior, "seed": seed} | found | {"script": checksum})
        pd.DataFrame(rows).round(5).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
