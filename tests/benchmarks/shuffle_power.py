"""How often the shuffle test warns, and whether it is right to: `python tests/benchmarks/shuffle_power.py [data sets]`.

Data sets of 1,000 rows with a binary treatment, two covariates in both equations and, in one of three layouts, an
instrument. Either the model is right and holds a current, or there is none and something else is wrong: the errors'
shape, a bend, an effect or a spread that the covariates change. The table has a row for each: `called`, how often the
likelihood itself rejects ρ = 0 at the 5 % level (without a current: a false alarm, of which the test is to warn);
`share`, the mean of `shuffle_test`; and how often that share lies above 0.05, 0.1, ... Goes on where it stopped.
`shuffle_power.csv` names the checksum of this file; rows of another one are thrown away.
"""

import hashlib
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.stats import chi2

from helpers import make_design, maximum_likelihood, shuffle_test

HERE = Path(__file__)
TABLE = HERE.with_suffix(".csv")
LAYOUTS = {  # how strongly covariates and instrument move the treatment; NHEFS: an index of sd 0.34
    "weak covariates": (0.25, 0.0),
    "strong covariates": (0.8, 0.0),
    "instrument": (0.25, 0.8),
}
CURRENTS = 0.0, 0.3, 0.5, 0.7
SHAPES = {  # errors of mean 0 and variance 1, but for the two heaps (1.09)
    "exponential": lambda rng, n: rng.exponential(size=n) - 1,
    "chi-square, 5 df": lambda rng, n: (rng.chisquare(5, n) - 5) / np.sqrt(10),
    "t, 3 df": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
    "uniform": lambda rng, n: rng.uniform(-np.sqrt(3), np.sqrt(3), n),
    "two heaps": lambda rng, n: rng.choice([-1, 1], n) + 0.3 * rng.normal(size=n),
}
FAULTS = {  # what the design leaves out, or what is recorded of the outcome
    "bend": lambda y, x, t, u: y + 0.4 * x**2,
    "uneven effect": lambda y, x, t, u: y + 0.6 * x * t,
    "uneven spread": lambda y, x, t, u: y + u * (np.exp(0.4 * x) - 1),
    "censored": lambda y, x, t, u: np.maximum(y, 2.0),
    "rounded": lambda y, x, t, u: 3 * np.round(y / 3),
    "two values": lambda y, x, t, u: (y > 2.5).astype(float),
}
THRESHOLDS = 0.05, 0.1, 0.15, 0.2, 0.25


def simulate(layout, shape, rho, seed, n=1000):
    """One design: α = 1; shape "normal" is the model's own."""
    rng = np.random.default_rng(seed)
    link, pull = LAYOUTS[layout]
    x, w, z, V, e = rng.normal(size=(5, n))
    U = SHAPES[shape](rng, n) if shape in SHAPES else rho * V + np.sqrt(1 - rho**2) * e
    T = (0.3 + link * (x - 0.8 * w) + pull * z + V > 0).astype(int)
    Y = 2 + x - 0.8 * w + T + U
    Y = FAULTS[shape](Y, x, T, U) if shape in FAULTS else Y
    data = pd.DataFrame({"Y": Y, "T": T, "x": x, "w": w, "z": z})
    return make_design(data, outcome="Y ~ T + x + w", treatment="T ~ x + w" + " + z" * (pull > 0))


def called(design):
    """Whether the likelihood rejects ρ = 0, over a profile of 25 values."""
    curve = maximum_likelihood(design, rho=np.tanh(np.linspace(-2.4, 2.4, 25))).log_likelihood
    return 2 * (curve.max() - curve[12]) > chi2.ppf(0.95, 1)


def both(*condition):
    """What the likelihood does, and what the shuffles say."""
    design = simulate(*condition)
    shuffles = 100 if condition[1] == "normal" else 40  # a false alarm is rarer, and wants counting more closely
    return called(design), shuffle_test(design, shuffles=shuffles, seed=condition[-1])


def main(count):
    checksum = hashlib.sha256(HERE.read_bytes()).hexdigest()
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    rows = [row for row in rows if row["script"] == checksum and row["data_sets"] == count]
    done = {(row["layout"], row["shape"], row["rho"]) for row in rows}
    worlds = [("normal", rho) for rho in CURRENTS] + [(shape, 0.0) for shape in (*SHAPES, *FAULTS)]
    for (shape, rho), layout in product(worlds, LAYOUTS):
        if (layout, shape, rho) in done:
            continue
        found = Parallel(n_jobs=2)(delayed(both)(layout, shape, rho, seed) for seed in range(count))
        real, shares = np.array(found, dtype=float).T
        row = {"layout": layout, "shape": shape, "rho": rho, "data_sets": count, "called": real.mean()}
        row |= {"share": np.nanmean(shares), "failed": np.isnan(shares).sum()}
        row |= {f"above {limit:g}": np.mean(shares > limit + 1e-9) for limit in THRESHOLDS}
        rows.append(row | {"script": checksum})
        pd.DataFrame(rows).round(4).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
