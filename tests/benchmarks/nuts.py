"""What NUTS says of the model's own graph, at length: `python tests/benchmarks/nuts.py`.

The joint model of tanks of `simulate_aquarium`, as `joint_model` writes it, sampled by nutpie. A row is one number
of a variable: mean, standard deviation and two quantiles of its posterior, each with its Monte Carlo standard error by
ArviZ. The tests hold the fast route to it. `nuts.csv` names the checksum of this file. Where the model's priors change,
run it again.
"""

import hashlib
from pathlib import Path

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm

from helpers import horseshoe, joint_model, make_design, simulate_aquarium

HERE = Path(__file__)
TABLE = HERE.with_suffix(".csv")
PLAIN = {"outcome": "Y ~ T + X0 + X1", "treatment": "T ~ X0 + X1"}
PIPED = PLAIN | {"treatment": "T ~ X0 + X1 + X2"}
FUNNEL = {"outcome": "Y ~ T + X0 + X2", "treatment": "T ~ X0 + X1 + X2"}
FISH = {"rho": 0.4, "seed": 1}
FEW = {"rho": 0.5, "seed": 4, "n": 200, "confounders": 1, "instruments": 1, "outcome_only": 0}
TANKS = {
    "number by choice": (FISH | {"n": 400, "treatment": "binary"}, PLAIN),
    "number by dose": (FISH | {"n": 400, "treatment": "continuous"}, PIPED),
    "answer by choice": (FISH | {"n": 300, "treatment": "binary", "outcome": "binary"}, PIPED),
    "answer by dose": (FISH | {"n": 300, "treatment": "continuous", "outcome": "binary"}, PIPED),
    "funnel, number by choice": (FEW | {"treatment": "binary"}, FUNNEL),
    "funnel, number by dose": (FEW | {"treatment": "continuous"}, FUNNEL),
}
FIGURES = {"mean": {}, "sd": {}, "low": {"prob": 0.1}, "high": {"prob": 0.9}}


def design_of(name):
    """The design of a tank by its name."""
    options, formulas = TANKS[name]
    return make_design(simulate_aquarium(**options).data, **formulas)


def model_of(name):
    """Its joint model."""
    coefficients = horseshoe(p0=1) if TANKS[name][1] is FUNNEL else None
    return joint_model(design_of(name), coefficients=coefficients)


def figures(draws):
    """Mean, sd and two quantiles of draws, (chains, draws), and their Monte Carlo standard errors."""
    found = {"mean": draws.mean(), "sd": draws.std(), "low": np.quantile(draws, 0.1), "high": np.quantile(draws, 0.9)}
    methods = {"low": "quantile", "high": "quantile"}
    noise = {f"{name}_noise": float(az.mcse(draws, method=methods.get(name, name), **FIGURES[name])) for name in found}
    return found | noise


def table_of(idata):
    """A row for each number of each variable of a posterior."""
    rows = {}
    for name, values in idata["posterior"].data_vars.items():
        each = values.transpose("chain", "draw", ...).values
        each = np.log(each) if name.startswith("tau") else each  # its own tail is too long for a mean
        each = each.reshape(*each.shape[:2], -1)
        varying = [k for k in range(each.shape[2]) if np.ptp(each[..., k]) > 0]  # an excluded coefficient does not
        rows |= {f"{name} {k}": figures(each[..., k]) for k in varying}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("number")


def main():
    import nutpie  # the tests that read the table need none

    checksum, tables = hashlib.sha256(HERE.read_bytes()).hexdigest(), []
    settings = {"draws": 1000, "tune": 600, "chains": 4, "seed": 1, "adaptation": "low_rank"}
    for name in TANKS:
        careful = {"draws": 1500, "tune": 1500, "target_accept": 0.95} if TANKS[name][1] is FUNNEL else {}
        model = model_of(name)
        own = {f"likelihood_{side}": model[f"observed_{side}"].get_value() for side in ("outcome", "treatment")}
        with pm.observe(model, own) as seen:
            names = [rv.name for rv in (*seen.free_RVs, *seen.deterministics) if rv.name != "treatment"]
            compiled = nutpie.compile_pymc_model(seen, var_names=names)
        found = nutpie.sample(compiled, progress_bar=False, **settings | careful)
        tables.append(table_of(found).reset_index().assign(tank=name))
    pd.concat(tables).assign(script=checksum).round(6).to_csv(TABLE, index=False)


if __name__ == "__main__":
    main()
