"""How often intervals of the effect cover: `python tests/benchmarks/effect_coverage.py [tanks [outcome-treatment]]`.

Tanks of 500 fish, for the four pairs of outcome and treatment, over a grid of true currents and of instruments from
none to strong. 50 and 90 % intervals under the default priors, read off the map. The truth of a yes or a no is counted
by moving the fish, in `ERRORS` waters, U drawn anew in each from what the treatment leaves open: given the fish's own V
where a dose shows it. Where a map cannot carry a reading, or all fish in one water fare alike, there is no interval,
and `read` is the share of tanks that have one. A row is a cell of the grid. `effect_coverage.csv` names the checksum of
this file; rows of another one are thrown away. With a pair, such as `binary-continuous`, its cells alone are made
(anew), and those of other pairs stay.
"""

import hashlib
import sys
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from helpers import make_design, map_rho, weigh

HERE = Path(__file__)
TABLE = HERE.with_suffix(".csv")
KINDS = ("continuous", "binary")
CURRENTS = 0.0, 0.3, 0.6, 0.8
PULLS = 0.0, 0.15, 0.4, 1.0  # of the instrument on the treatment, in standard deviations of V
LEVELS = 0.5, 0.9
GRID = np.tanh(np.linspace(-2.2, 2.2, 19))
ALPHA, N = 1.0, 500
ERRORS = 1000


def tank(outcome, treatment, rho, pull, seed):
    """A design, and its true effect: α, or the average difference in the chance, in points."""
    rng = np.random.default_rng(seed)
    x, z, V, e = rng.normal(size=(4, N))
    U = rho * V + np.sqrt(1 - rho**2) * e
    index = 0.5 * x + pull * z + V
    t = (index > 0).astype(float) if treatment == "binary" else index
    base = 0.2 + 0.7 * x
    latent = base + ALPHA * t + U
    data = pd.DataFrame({"y": latent > 0 if outcome == "binary" else latent, "t": t, "x": x, "z": z}).astype(float)
    design = make_design(data, outcome="y ~ t + x", treatment="t ~ x" + " + z" * (pull > 0))
    if outcome == "continuous":
        return design, ALPHA
    V = V if treatment == "continuous" else rng.normal(size=(ERRORS, N))  # a choice hides it
    U = rho * V + np.sqrt(1 - rho**2) * rng.normal(size=(ERRORS, N))
    before = U + base if treatment == "binary" else U + base + ALPHA * t
    return design, 100 * (np.mean(before + ALPHA > 0) - np.mean(before > 0))


def ends(design, seed):
    """The ends of the intervals, from as few draws a column as can carry them."""
    for draws in (256, 2048):
        try:
            reading = weigh(map_rho(design, rho=GRID, draws=draws), seed=seed)
        except ValueError:
            continue
        return [np.quantile(reading["effect"], [0.5 - level / 2, 0.5 + level / 2]) for level in LEVELS]
    return None


def main(count, pair=""):
    checksum = hashlib.sha256(HERE.read_bytes()).hexdigest()
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    rows = [row for row in rows if row["script"] == checksum and pair != f"{row['outcome']}-{row['treatment']}"]
    done = {(row["outcome"], row["treatment"], row["rho"], row["pull"]) for row in rows}
    for cell in product(KINDS, KINDS, CURRENTS, PULLS):
        if cell in done or pair not in ("", "-".join(cell[:2])):
            continue
        held = []
        for seed in range(5000, 5000 + count):
            try:
                design, effect = tank(*cell, seed)
            except ValueError:  # the treatment decides the outcome for some rows
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of columns that a reading refuses, or does not need
                found = ends(design, seed)
            if found is not None:
                held.append([low < effect < high for low, high in found] + [found[-1][1] - found[-1][0]])
        held = pd.DataFrame(held, columns=[f"covers_{level:g}" for level in LEVELS] + ["width"]).astype(float)
        row = dict(zip(("outcome", "treatment", "rho", "pull"), cell)) | {"tanks": count, "read": len(held) / count}
        rows.append(row | held.iloc[:, :-1].mean().to_dict() | {"width": held.width.median(), "script": checksum})
        pd.DataFrame(rows).round(4).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main(*([int(sys.argv[1]), *sys.argv[2:]] if len(sys.argv) > 1 else [100]))
