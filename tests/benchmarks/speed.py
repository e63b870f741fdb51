"""How fast the helpers are, beside the specification behind the talk: `python tests/benchmarks/speed.py [words]`.

Every row runs in a process of its own with an empty compilation cache, so that "all" seconds are those of a reader's
first call. Rows whose name has one of the words (left out: all) are measured anew into speed.json, next to this file,
and speed.md is written from all that stand there. "Seconds" are those of a clock on the wall, so nothing else should
run; "processor seconds" are those of all that a row starts, on whichever core.
"""

import datetime
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SAMPLES = {"draws": 500, "tune": 2000, "chains": 4}  # the talk's own
EARLIER = "†"  # marks a row that was not measured again
PACKAGES = "pymc", "pytensor", "nutpie", "numba", "numpy", "scipy", "pandas", "dask"


def smokers():
    from helpers import load_nhefs, make_design

    terms = "age + race + sex + smokeintensity + smokeyrs + wt71 + C(active) + C(education) + C(exercise)"
    return make_design(load_nhefs(), outcome=f"wt82_71 ~ qsmk + {terms}", treatment=f"qsmk ~ {terms}")


def tank(n):
    from helpers import make_design, simulate_aquarium

    data = simulate_aquarium(n, treatment="continuous", rho=0.6, seed=1).data
    names = " + ".join(data.columns.drop(["Y", "T"]))
    return make_design(data, outcome=f"Y ~ T + {names}", treatment=f"T ~ {names}")


def wide(covariates, n):
    """Many covariates in both equations, two continuous responses, one instrument."""
    import numpy as np
    import pandas as pd

    from helpers import make_design

    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(size=(n, covariates)), columns=[f"x{k}" for k in range(covariates)])
    V, data["z"] = rng.normal(size=(2, n))
    data["t"] = data.x0 + 0.4 * data.z + V
    data["y"] = 1.5 * data.t + data.x1 + 0.5 * V + 0.8 * rng.normal(size=n)
    names = " + ".join(f"x{k}" for k in range(covariates))
    return make_design(data, outcome=f"y ~ t + {names}", treatment=f"t ~ z + {names}")


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
    """PyMC's own sampler on the helpers' generative model; all steps of the others would take half an hour."""
    import pymc as pm

    from helpers import joint_model
    from which_world.engine.from_pymc import observed

    few = {"draws": 250, "tune": 250, "chains": 2}
    with observed(joint_model(design)):
        idata = pm.sample(
            **few, nuts_sampler="pymc", cores=2, random_seed=100, progressbar=False, var_names=["alpha", "rho"]
        )
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


def many(n, treatment, outcome, seed=0):
    """n rows and thirty columns, an instrument among them; a yes is an index above zero."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    X, z, V = rng.normal(size=(n, 26)), rng.normal(size=n), rng.normal(size=n)
    t = X[:, :10] @ np.linspace(-0.2, 0.2, 10) + 0.4 * z + V
    t = t if treatment == "continuous" else (t > 0).astype(int)
    y = X @ np.linspace(-0.3, 0.3, 26) + 1.5 * t + 0.5 * V + np.sqrt(0.75) * rng.normal(size=n)
    y = 2 + y if outcome == "continuous" else (y > 0).astype(int)
    data = pd.DataFrame(X, columns=[f"x{k}" for k in range(26)]).assign(z=z, t=t, y=y, m=rng.normal(size=n))
    return data.round(6)


def formulas(covariates):
    names = " + ".join(f"x{k}" for k in range(covariates))
    return {"outcome": f"y ~ t + {names}", "treatment": f"t ~ z + {names}"}


def by_command(*kinds):
    """`which-world` on a million rows, from the file to the folder."""
    with tempfile.TemporaryDirectory() as folder:
        # made elsewhere: a child's peak starts from that of the process that starts it
        make = f"import speed; speed.many(1_000_000, *{kinds!r}).to_csv({folder + '/many.csv'!r}, index=False)"
        subprocess.run([sys.executable, "-c", make], check=True, cwd=HERE)
        size = Path(folder, "many.csv").stat().st_size / 2**20
        return commanded(f"{folder}/many.csv", formulas(26), folder) | {"file MB": size}


def by_people():
    """`which-world` on the smokers: a yes or a no of a yes or a no."""
    terms = "age + race + sex + smokeintensity + smokeyrs + wt71 + C(active) + C(education) + C(exercise)"
    path, equations = ROOT / "data" / "nhefs_everyone.csv", {"outcome": f"death ~ qsmk + {terms}"}
    with tempfile.TemporaryDirectory() as folder:
        return commanded(path, equations | {"treatment": f"qsmk ~ {terms}"}, folder)


def commanded(path, equations, folder):
    command = [sys.executable, "-m", "which_world", path, "--drop-missing", "--out", f"{folder}/report"]
    for which, formula in equations.items():
        command += [f"--{which}", formula]
    started = time.perf_counter()
    done = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    _, status, used = os.wait4(done.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise RuntimeError(f"the command ended with the status {status}")
    spent = used.ru_utime + used.ru_stime
    return {"seconds": seconds, "processor seconds": spent, "peak MB of the command": used.ru_maxrss / 1024}


def by_pieces(parts, rows=1_000_000):
    """A design, its map and a reading of it, from Parquet that no memory needs to hold; the parts are made first."""
    with tempfile.TemporaryDirectory() as folder:
        make = f"import speed; speed.write_parts({folder!r}, {parts}, {rows})"
        subprocess.run([sys.executable, "-c", make], check=True, cwd=HERE)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        from helpers import make_design, map_rho, weigh

        started = time.perf_counter()
        names = " + ".join(f"x{k}" for k in range(10))
        design = make_design(folder, outcome=f"y ~ t + {names} + C(g)", treatment=f"t ~ z + {names} + C(g)")
        read = time.perf_counter() - started
        alpha = weigh(map_rho(design)).alpha
    return {"seconds": time.perf_counter() - started, "of which reading": read, "files MB": size, "rows": design.n,
            "alpha (truth 1.5)": float(alpha.mean())}  # fmt: skip


def write_parts(folder, parts, rows):
    import numpy as np
    import pandas as pd

    for part in range(parts):
        rng = np.random.default_rng(part)
        X, (V, z) = rng.normal(size=(rows, 10)), rng.normal(size=(2, rows))
        g = rng.integers(0, 50, rows)
        t = 1 + X @ np.linspace(-0.3, 0.3, 10) + 0.3 * z + V + 0.02 * g
        y = 2 + X @ np.linspace(0.3, -0.3, 10) + 1.5 * t + 0.5 * V + np.sqrt(0.75) * rng.normal(size=rows) - 0.03 * g
        data = pd.DataFrame(X, columns=[f"x{k}" for k in range(10)]).assign(z=z, g=g.astype(str), t=t, y=y)
        data.to_parquet(f"{folder}/{part:03d}.parquet")


def by_workers(parts, *kinds, rows=100_000):
    """A map of thirty columns in Parquet, on two Dask workers of 1 GB, and a reading of it."""
    from dask.distributed import Client, LocalCluster

    from helpers import make_design, map_rho, weigh

    cluster = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "1GB", "dashboard_address": None}
    with tempfile.TemporaryDirectory() as folder:
        make = f"import speed; speed.write_kinds({folder!r}, {parts}, {rows}, *{kinds!r})"
        subprocess.run([sys.executable, "-c", make], check=True, cwd=HERE)
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        spent = processor_seconds()
        with LocalCluster(**cluster) as many, Client(many):
            design = make_design(folder, **formulas(26))
            rho = weigh(map_rho(design)).rho
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"processor seconds": processor_seconds() - spent, "files MB": size, "rows": design.n,
            "rho (truth 0.5)": float(rho.mean()), "peak MB of a worker": peak}  # fmt: skip


def write_kinds(folder, parts, rows, *kinds):
    for part in range(parts):
        many(rows, *kinds, seed=part).to_parquet(f"{folder}/{part:03d}.parquet")


def by_sites(sites):
    """A map with a constant for each of many sites of four rows; at ρ = 0 it is least squares, whose prior is flat."""
    import numpy as np
    import pandas as pd

    from helpers import make_design, map_rho, normal, ols, read_map

    rng, site = np.random.default_rng(0), np.repeat(np.arange(sites), 4)
    V, moves = rng.normal(size=4 * sites), rng.normal(size=sites)[site]
    data = pd.DataFrame({"site": site, "t": moves + V, "y": 0.5 * V + moves + rng.normal(size=4 * sites)})
    design = make_design(data, outcome="y ~ t + C(site)", treatment="t ~ C(site)")
    found = map_rho(design, coefficients=normal(100.0), alpha=100.0)
    zero, line = read_map(found).loc[0.0], ols(design)
    off = abs(zero["mean"] - line.params["alpha"]) / (zero["high"] - zero["low"])
    return {"seconds, warm": found.attrs["seconds"], "off least squares, in widths": off,
            "least ESS of 512": float(found.ess.min()), "worst Pareto k": float(found.pareto_k.max())}  # fmt: skip


def thousand():
    """A thousand worlds: five sets of covariates, two hundred beliefs."""
    import numpy as np

    from helpers import World, atanh_normal, make_design, simulate_aquarium

    data = simulate_aquarium(500, treatment="continuous", rho=0.4, seed=1).data
    sets = [" + ".join(f"X{k}" for k in range(size)) for size in (1, 2, 3, 4, 5)]
    designs = [make_design(data, outcome=f"Y ~ T + {names}", treatment=f"T ~ {names}") for names in sets]
    return [
        World(f"{k} {rho:+.4f}", design, rho=atanh_normal(rho, 0.1))
        for k, design in enumerate(designs) for rho in np.linspace(-0.9, 0.9, 200)
    ]  # fmt: skip


def by_worlds(backend):
    """All of them, on two processes; and again, from the folder in which they are kept."""
    import joblib
    from dask.distributed import Client, LocalCluster

    from helpers import fit_worlds

    worlds, settings = thousand(), {"draws": 250}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        if backend == "processes":
            with joblib.parallel_config(n_jobs=2):
                fits = fit_worlds(worlds, folder=folder, **settings)
        else:
            with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
                threading.Timer(20, lambda: next(iter(cluster.workers.values())).process.process.kill()).start()
                with joblib.parallel_config(backend="dask"):
                    fits = fit_worlds(worlds, folder=folder, **settings)
        first, started = time.perf_counter() - started, time.perf_counter()
        again = fit_worlds(worlds, folder=folder, **settings)
        kept = time.perf_counter() - started
    same = all((fits[name].posterior.alpha == again[name].posterior.alpha).all() for name in fits)
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"seconds, all": first, "worlds": len(fits), "seconds, kept": kept, "the same": float(same),
            "peak MB of a worker": workers}  # fmt: skip


def by_notebook(path):
    """A chapter, from a clean kernel, as a reader runs it; its outputs are thrown away."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    started = time.perf_counter()
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder).execute()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak MB of its kernel": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024}


SAMPLED = {
    "talk, continuous, n = 2,500": lambda: (by_talk, "continuous", tank(2_500)),
    "fit, continuous, n = 2,500": lambda: (by_fit, tank(2_500)),
    "fit, continuous, n = 250,000": lambda: (by_fit, tank(250_000)),
    "fit, continuous, n = 2,500,000": lambda: (by_fit, tank(2_500_000)),
    "fit, continuous, 50 covariates, n = 1,000": lambda: (by_fit, wide(50, 1_000)),
    "fit, continuous, 300 covariates, n = 2,000": lambda: (by_fit, wide(300, 2_000)),
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
MAPS = {
    "map of NHEFS, 41 values of rho, 512 draws each": lambda: (by_map, smokers()),
    "map of the lives of NHEFS": lambda: (by_map, lives()),
    "map of 30,000 lives, one instrument": lambda: (by_map, pond(30_000)),
}
LIKELIHOODS = {
    "maximum likelihood, NHEFS": lambda: (by_likelihood, smokers()),
    "maximum likelihood, lives of NHEFS": lambda: (by_likelihood, lives()),
    "maximum likelihood, 30,000 lives, one instrument": lambda: (by_likelihood, pond(30_000)),
}
SITES = {f"map of {n} sites of four rows, 49 values of rho": lambda n=n: (by_sites, n) for n in (160, 500)}
COMMANDS = {"command line, lives of NHEFS, a yes or a no of both": lambda: (by_people,)} | {
    f"command line, 1,000,000 rows, {treatment} treatment, {outcome} outcome": lambda t=treatment, y=outcome: (
        by_command,
        t,
        y,
    )
    for treatment, outcome in (("continuous", "continuous"), ("binary", "continuous"), ("binary", "binary"))
}
PIECES = {"25 files of Parquet, 1,000,000 rows each": lambda: (by_pieces, 25)}
WORKERS = {
    f"{files * 100_000:,} rows of Parquet, binary treatment, {outcome} outcome": lambda files=files, y=outcome: (
        by_workers,
        files,
        "binary",
        y,
    )
    for files, outcome in ((10, "continuous"), (10, "binary"))
}
WORLDS = {
    f"1,000 worlds on two {name}": lambda backend=backend: (by_worlds, backend)
    for name, backend in (("processes", "processes"), ("Dask workers, one killed", "dask"))
}
NOTEBOOKS = {
    f"notebook {path.stem}": lambda path=path: (by_notebook, path)
    for path in [*sorted((ROOT / "book").glob("*.ipynb")), *sorted((ROOT / "book" / "template").glob("*.ipynb"))]
}
TABLES = {
    "Posteriors": SAMPLED, "Maps": MAPS, "Maximum likelihood": LIKELIHOODS, "Many sites": SITES,
    "From a CSV to a report": COMMANDS, "More rows than memory": PIECES, "On a cluster": WORKERS,
    "A thousand worlds": WORLDS, "The notebooks": NOTEBOOKS,
}  # fmt: skip
SHORT = {
    "the talk's model of 2,500 rows, as it was written": "talk, continuous, n = 2,500",
    "the same by `fit`": "fit, continuous, n = 2,500",
    "the map of the smokers' weights": "map of NHEFS, 41 values of rho, 512 draws each",
    "the map of their deaths": "map of the lives of NHEFS",
    "the report of their deaths": "command line, lives of NHEFS, a yes or a no of both",
    "a report of a million rows and thirty columns": (
        "command line, 1,000,000 rows, continuous treatment, continuous outcome"
    ),
    "the same with a treatment of 0 or 1": "command line, 1,000,000 rows, binary treatment, continuous outcome",
    "and an outcome of 0 or 1": "command line, 1,000,000 rows, binary treatment, binary outcome",
    "twenty-five million rows, in pieces": "25 files of Parquet, 1,000,000 rows each",
}
SAID = {
    "Posteriors": f"{SAMPLES['draws']} draws after {SAMPLES['tune']:,} of tuning in each of {SAMPLES['chains']} "
    "chains; the sieve, the funnel and the forest with 1,000 after 1,000; PyMC's NUTS on our model with 250 after "
    "250 in two, too few to be used, and enough to see its pace.",
    "Many sites": "Each has a constant of its own, and four rows.",
    "From a CSV to a report": "`which-world`; a million rows have thirty columns.",
    "On a cluster": "A map and a reading of it by two workers of 1 GB each; thirty columns, 100,000 rows in a file.",
    "A thousand worlds": "Each with 4 times 250 draws; fitted, then read back from where they are kept.",
    "The notebooks": "Each from a clean kernel, the first time that this computer runs it.",
}


def run(name):
    """One row, in this process."""
    import arviz as az

    work, *arguments = next(table[name] for table in TABLES.values() if name in table)()
    started, spent = time.perf_counter(), processor_seconds()
    result = work(*arguments)
    seconds = time.perf_counter() - started
    own_clock = name not in SAMPLED | MAPS | LIKELIHOODS | SITES
    row = {} if own_clock else {"seconds, all": seconds, "processor seconds": processor_seconds() - spent}
    if name in SAMPLED:
        idata, sampling = result
        alpha = idata["posterior"]["alpha"]
        ess = float(az.ess(alpha))
        row |= {"seconds, no compilation": sampling, "ESS of alpha": ess, "R-hat": float(az.rhat(alpha)),
                "ESS/s, all": ess / seconds, "ESS/s, no compilation": ess / sampling}  # fmt: skip
    else:
        row |= result
    return row | {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def processor_seconds():
    """Of this process, and of those that it started and that have ended."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def apart(name):
    """One row, in a process of its own that has never compiled anything."""
    with tempfile.TemporaryDirectory() as folder:
        cache = {"PYTENSOR_FLAGS": f"base_compiledir={folder}", "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, __file__, "--row", name]
        done = subprocess.run(command, env=os.environ | cache, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1]) | {"date": datetime.date.today().isoformat(), "on": machine()}


def marked(row):
    return "" if "on" in row else f" {EARLIER}"


def machine():
    """Cores, their maker's name, and what ran on them."""
    words = [line.split(":")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    kind = words[0].strip() if words else platform.machine()
    packages = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return f"{len(os.sched_getaffinity(0))} cores ({kind}), Python {platform.python_version()}, {packages}"


def where_and_when(rows):
    """A sentence for each machine and set of versions, with its days; and one for rows of an earlier build."""
    places = {}
    for row in rows.values():
        places.setdefault(row.get("on"), set()).add(row["date"])
    lines = []
    for place, days in places.items():
        when = " to ".join(sorted({min(days), max(days)}))
        lines.append(f"Measured on {when}, on {place}." if place else f"{EARLIER} By an earlier build, {when}.")
    return "\n".join(lines) + "\n"


def in_short(rows):
    """A few rows that say it all: seconds of a first call, and the most memory."""
    lines = ["## In short\n", "| | seconds | peak MB |", "| --- | ---: | ---: |"]
    for words, name in SHORT.items():
        if row := rows.get(name):
            seconds = row.get("seconds, all", row.get("seconds"))
            peak = row.get("peak MB of the command", row["peak MB"])
            lines.append(f"| {words}{marked(row)} | {seconds:,.3g} | {peak:,.0f} |")
    return "\n".join(lines) + "\n"


def main(words):
    import pandas as pd

    stored = HERE / "speed.json"
    rows = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
    for name in (name for table in TABLES.values() for name in table):
        if not words or any(word in name for word in words):
            rows[name] = apart(name)
            print(name, rows[name], flush=True)
            stored.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    known = {name for table in TABLES.values() for name in table}
    rows = {name: row for name, row in rows.items() if name in known}
    text = ["# Speed\n", in_short(rows), where_and_when(rows)]
    for title, names in TABLES.items():
        if not (known := {name: rows[name] for name in names if name in rows}):
            continue
        table = pd.DataFrame({name + marked(row): row for name, row in known.items()}).T
        table = table.drop(columns=["date", "on"], errors="ignore")
        if any(name.startswith("peak MB of") for name in table):
            table = table.drop(columns="peak MB")  # of the process that watched
        table = table.map(lambda x: "–" if pd.isna(x) else f"{x:,.0f}" if x >= 100 else f"{x:.3g}")
        lines = [
            ["", *table.columns],
            ["---", *["---:"] * table.shape[1]],
            *([name, *row] for name, row in table.T.items()),
        ]
        said = f"{SAID.get(title, '')}\n\n" * (title in SAID)
        text.append(f"## {title}\n\n{said}" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    (HERE / "speed.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    if "--row" in sys.argv:
        print(json.dumps(run(sys.argv[-1])))
    else:
        main(sys.argv[1:])
