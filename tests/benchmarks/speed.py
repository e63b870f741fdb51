"""How fast the helpers are, beside the specification behind the talk: `python tests/benchmarks/speed.py`.

Every row runs in a process of its own with an empty compilation cache, so that "all" seconds are those of a
reader's first call. Writes speed.md next to this file.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
SAMPLES = {"draws": 500, "tune": 2000, "chains": 4}  # the talk's own


def smokers():
    from helpers import load_nhefs, make_design

    terms = "age + race + sex + smokeintensity + smokeyrs + wt71 + C(active) + C(education) + C(exercise)"
    return make_design(load_nhefs(), outcome=f"wt82_71 ~ qsmk + {terms}", treatment=f"qsmk ~ {terms}")


def tank(n):
    from helpers import make_design, simulate_aquarium

    data = simulate_aquarium(n, treatment="continuous", rho=0.6, seed=1).data
    names = " + ".join(data.columns.drop(["Y", "T"]))
    return make_design(data, outcome=f"Y ~ T + {names}", treatment=f"T ~ {names}")


def by_talk(build, design):
    import pymc as pm

    y, t = (design.y - design.y.mean(), design.t - design.t.mean()) if build == "continuous" else (design.y, design.t)
    sys.path.insert(0, str(HERE))
    import worked_example

    idata = pm.sample(
        model=getattr(worked_example, build)(design.C, y, t), **SAMPLES, cores=2, random_seed=100, progressbar=False,
        var_names=["alpha", "rho"],
    )  # fmt: skip
    return idata, idata["posterior"].attrs["sampling_time"]


def by_fit(design):
    from helpers import fit

    idata = fit(design, **SAMPLES, seed=100)
    return idata, idata.attrs["seconds"]  # nothing is compiled


def by_sieve(design):
    from helpers import spike_and_slab

    return by_model(design, coefficients=spike_and_slab())


def by_funnel(design):
    from helpers import horseshoe

    return by_model(design, coefficients=horseshoe())


def by_forest(design):
    from helpers import bart

    return by_model(design, treatment=bart(trees=20))


def by_model(design, **assumed):
    from helpers import fit, joint_model

    fit(joint_model(design, **assumed), draws=100, tune=100, seed=1)  # compiles
    idata = fit(joint_model(design, **assumed), seed=100)
    return idata, idata.attrs["seconds"]


def by_map(design):
    import numpy as np

    from helpers import map_rho, weigh

    readings = []
    for _ in range(2):  # the second is the warm one
        found = map_rho(design, rho=np.tanh(np.linspace(-2, 2, 41)))
    for _ in range(10):
        started = time.perf_counter()
        weigh(found)
        readings.append(time.perf_counter() - started)
    return {"seconds, warm": found.attrs["seconds"], "least ESS of 512": float(found.ess.min()),
            "worst Pareto k": float(found.pareto_k.max()), "seconds, one reading": min(readings)}  # fmt: skip


def by_likelihood(design):
    from helpers import maximum_likelihood

    return {"alpha": maximum_likelihood(design).alpha}


SAMPLED = {
    "talk, continuous, n = 2,500": lambda: (by_talk, "continuous", tank(2_500)),
    "fit, continuous, n = 2,500": lambda: (by_fit, tank(2_500)),
    "fit, continuous, n = 250,000": lambda: (by_fit, tank(250_000)),
    "fit, continuous, n = 2,500,000": lambda: (by_fit, tank(2_500_000)),
    "talk, NHEFS": lambda: (by_talk, "binary", smokers()),
    "fit, NHEFS": lambda: (by_fit, smokers()),
    "fit, sieve, n = 2,500": lambda: (by_sieve, tank(2_500)),
    "fit, sieve, NHEFS": lambda: (by_sieve, smokers()),
    "fit, funnel, NHEFS": lambda: (by_funnel, smokers()),
    "fit, BART treatment of 20 trees, NHEFS": lambda: (by_forest, smokers()),
}
OTHERS = {
    "map of NHEFS, 41 values of rho, 512 draws each": lambda: (by_map, smokers()),
    "maximum likelihood, NHEFS": lambda: (by_likelihood, smokers()),
}


def run(name):
    """One row, in this process."""
    import arviz as az

    work, *arguments = (SAMPLED | OTHERS)[name]()
    started = time.perf_counter()
    result = work(*arguments)
    seconds = time.perf_counter() - started
    row = {"seconds, all": seconds}
    if name in SAMPLED:
        idata, sampling = result
        alpha = idata["posterior"]["alpha"]
        ess = float(az.ess(alpha))
        row |= {"seconds, no compilation": sampling, "ESS of alpha": ess, "R-hat": float(az.rhat(alpha)),
                "ESS/s, all": ess / seconds, "ESS/s, no compilation": ess / sampling}  # fmt: skip
    else:
        row |= result
    return row | {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def apart(name):
    """One row, in a process of its own that has never compiled anything."""
    with tempfile.TemporaryDirectory() as folder:
        cache = {"PYTENSOR_FLAGS": f"base_compiledir={folder}", "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, __file__, name]
        done = subprocess.run(command, env=os.environ | cache, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    import pandas as pd

    settings = f"Two cores; {SAMPLES}; the sieve,\nthe funnel and the forest with 1,000 draws after 1,000 of tuning."
    text = [f"# Speed\n\n{__doc__.splitlines()[0]} {settings}\n"]
    for names in (SAMPLED, *({name: work} for name, work in OTHERS.items())):
        rows = {name: apart(name) for name in names}
        table = pd.DataFrame(rows).T.map(lambda x: f"{x:,.0f}" if x >= 100 else f"{x:.3g}")
        lines = [["", *table.columns], ["---"] * (table.shape[1] + 1), *([name, *row] for name, row in table.T.items())]
        text.append("".join(f"| {' | '.join(line)} |\n" for line in lines))
        print(text[-1], flush=True)
    (HERE / "speed.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(run(sys.argv[1])))
    else:
        main()
