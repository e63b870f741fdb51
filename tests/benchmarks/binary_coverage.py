"""How often intervals of a risk difference cover: `python tests/benchmarks/binary_coverage.py [tanks]`.

Tanks of 500 fish that live or die, with a binary or a continuous treatment, a current of 0 or 0.5, with an instrument
or without: 50 and 90 % intervals of the effect, in percentage points, by maximum likelihood (delta method) and by the
posterior, read off the map. Where an estimate runs to \\|ρ| = 1 there is no interval, and none is counted; `finite` is
the share of tanks that have one. `binary_coverage.csv` names the checksum of this file; rows of another one are thrown
away.
"""

import hashlib
import sys
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from helpers import make_design, map_rho, maximum_likelihood, simulate_aquarium, weigh

HERE = Path(__file__)
TABLE = HERE.with_suffix(".csv")
LEVELS = 0.5, 0.9
GRID = np.tanh(np.linspace(-2.2, 2.2, 19))


def row(treatment, rho, instruments, seed):
    """Whether each interval of one tank holds the truth, and its width."""
    tank, truth = simulate_aquarium(
        500, rho=rho, treatment=treatment, outcome="binary", seed=seed, instruments=instruments, outcome_only=0, noise=0
    )
    X = "X0 + X1"
    instrument = " + X2" * instruments
    design = make_design(tank, outcome=f"Y ~ T + {X}", treatment=f"T ~ {X}{instrument}")
    effect, found = truth["effect"].item(), {}
    try:
        best = maximum_likelihood(design)
        ends = [(best.effect - z * best.effect_se, best.effect + z * best.effect_se) for z in norm.ppf(_upper())]
        found |= _inside("likelihood", ends, effect)
    except (RuntimeError, ValueError):  # no maximum, or ρ not identified
        pass
    for draws in (512, 2048):
        try:
            reading = weigh(map_rho(design, rho=GRID, draws=draws), seed=seed)
        except ValueError:  # a map of so few draws cannot carry it
            continue
        ends = [np.quantile(reading["effect"], [1 - p, p]) for p in _upper()]
        found |= _inside("posterior", ends, effect)
        break
    return found


def _upper():
    return 0.5 + np.array(LEVELS) / 2


def _inside(name, ends, effect):
    held = {f"{name}_{level:g}": float(low < effect < high) for level, (low, high) in zip(LEVELS, ends)}
    return held | {f"{name}_width": ends[-1][1] - ends[-1][0]}


def main(count):
    checksum = hashlib.sha256(HERE.read_bytes()).hexdigest()
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    rows = [each for each in rows if each["script"] == checksum]
    done = {(each["treatment"], each["rho"], each["instruments"]) for each in rows}
    for cell in product(("binary", "continuous"), (0.0, 0.5), (0, 1)):
        if cell in done:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of unreliable columns, which a reading refuses or not
            tanks = pd.DataFrame([row(*cell, seed) for seed in range(3000, 3000 + count)])
        finite = tanks.notna().mean().rename(lambda name: f"finite_{name.partition('_')[0]}")
        finite = finite[~finite.index.duplicated()]
        widths = tanks.filter(like="width").median()
        shares = tanks.drop(columns=widths.index).mean()
        rows.append(
            dict(zip(("treatment", "rho", "instruments"), cell))
            | {"tanks": count} | shares.to_dict() | widths.to_dict() | finite.to_dict() | {"script": checksum}
        )  # fmt: skip
        pd.DataFrame(rows).round(4).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
