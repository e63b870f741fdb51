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


def lives():
    from helpers import load_nhefs, make_design

    terms = "age + race + sex + smokeintensity + smokeyrs + wt71 + C(active) + C(education) + C(exercise)"
    people = load_nhefs(everyone=True)
    return make_design(people, outcome=f"death ~ qsmk + {terms}", treatment=f"qsmk ~ {terms}")


def pond(n):
    from helpers import make_design, simulate_aquarium

    data = simulate_aquarium(n, treatment="binary", outcome="binary", rho=0.4, seed=1).data
    names = [name for name in data if name.startswith("X")]
    outcome = " + ".join(name for name in names if name != "X2")
    return make_design(data, outcome=f"Y ~ T + {outcome}", treatment=f"T ~ {' + '.join(names)}")


def by_latents(design):
    """A plain PyMC model of both answers: latent normals, one a row and equation, on the sides that were seen."""
    import pymc as pm

    with pm.Model():
        rho = pm.Deterministic("rho", pm.math.tanh(pm.Normal("a", 0, 0.5)))
        intercepts, alpha = pm.Normal("intercepts", 0, 1, shape=2), pm.Normal("alpha", 0, 1)
        betas = pm.Normal("betas", 0, 1, shape=(2, design.C.shape[1]))
        eta = intercepts[1] + design.C @ betas[1]
        mu = intercepts[0] + design.C @ betas[0] + alpha * design.t
        side_T, side_Y = 2 * design.t - 1, 2 * design.y - 1
        V = side_T * pm.HalfNormal("V", 1.5, shape=design.n) - eta  # on the side of zero where T was seen
        U = side_Y * pm.HalfNormal("U", 1.5, shape=design.n) - mu
        for name in "VU":  # the half normals are scaffolding; the density of the errors replaces theirs
            pm.Potential(f"flat {name}", 0.5 * (pm.modelcontext(None)[name] / 1.5) ** 2)
        pm.Potential("V | eta", -0.5 * V**2)
        pm.Potential("U | V", -0.5 * (U - rho * V) ** 2 / (1 - rho**2) - 0.5 * pm.math.log(1 - rho**2))
        idata = pm.sample(**SAMPLES, cores=2, random_seed=100, progressbar=False, var_names=["alpha", "rho"])
    return idata, idata["posterior"].attrs["sampling_time"]


def by_nuts(design):
    """PyMC's own sampler on the helpers' generative model."""
    import pymc as pm

    from helpers import joint_model
    from helpers.engine.from_pymc import observed

    with observed(joint_model(design)):
        idata = pm.sample(**SAMPLES, cores=2, random_seed=100, progressbar=False, var_names=["alpha", "rho"])
    return idata, idata["posterior"].attrs["sampling_time"]


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

    if design.kinds == ("binary", "binary"):
        fit(design, draws=100, seed=1)  # compiles
    idata = fit(design, **SAMPLES, seed=100)
    return idata, idata.attrs["seconds"]


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

    first = maximum_likelihood(design)  # compiles
    started = time.perf_counter()
    maximum_likelihood(design)
    return {"alpha": first.alpha, "seconds, warm": time.perf_counter() - started}


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
    "plain PyMC with latent normals, lives of NHEFS": lambda: (by_latents, lives()),
    "PyMC's NUTS on our model, lives of NHEFS": lambda: (by_nuts, lives()),
    "fit, lives of NHEFS": lambda: (by_fit, lives()),
}
OTHERS = {
    "map of NHEFS, 41 values of rho, 512 draws each": lambda: (by_map, smokers()),
    "map of the lives of NHEFS": lambda: (by_map, lives()),
    "map of 30,000 lives, one instrument": lambda: (by_map, pond(30_000)),
    "maximum likelihood, NHEFS": lambda: (by_likelihood, smokers()),
    "maximum likelihood, lives of NHEFS": lambda: (by_likelihood, lives()),
    "maximum likelihood, 30,000 lives, one instrument": lambda: (by_likelihood, pond(30_000)),
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
