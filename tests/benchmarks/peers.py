"""Peers on the same tanks, in one run: `python tests/benchmarks/peers.py [folder]`.

Tanks of `N` fish with a known effect of T on a continuous Y, T continuous or binary, with and without an instrument,
with and without a hidden current. Each method gets the same tanks as CSV files, in an environment of its own with
pinned versions, made in the folder (left out, a temporary one), and hands back a 90 % interval, and what it can say
when it is told that |ρ| is at most `MOST`: a bound. Where a method takes long it gets fewer tanks. A row of `peers.csv`
is a method in a cell of the grid: how many intervals hold the truth, how far the middle is off on average, the median
width, what it warned of, and processor seconds a tank. `peers_seconds.csv` has the seconds of one answer for each pair
of outcome and treatment: in a new process with empty compilation caches, imports and all, and then once more. Both name
the checksum of this file; rows of another one are thrown away.
"""

import hashlib
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve()
N, EFFECT, LEVEL = 500, 0.5, 0.9
KINDS, INSTRUMENTS, CURRENTS = ("continuous", "binary"), (0, 1), (0.0, 0.5)
ENDS = (1 - LEVEL) / 2, (1 + LEVEL) / 2
SAMPLES = {"draws": 500, "tune": 500, "chains": 2, "cores": 1, "progressbar": False}
MOST = 0.5  # of |ρ|, for methods that are told a bound
STRENGTH = 0.4343  # s, where MOST = s / √(1 - s + s²): the same bound as a share of what is left of Y and of T
COMMON = "numpy==2.5.5 pandas==3.1.1 scipy==1.18.1"  # unless an environment says otherwise
ENVIRONMENTS = {  # pinned; "" is the one that runs this script
    "regression": "statsmodels==0.15.0 linearmodels==7.1 pyfixest==0.60.0",
    "sensemakr": "statsmodels==0.15.0 PySensemakr==0.0.8 pandas==2.3.3",  # its benchmarks fail with pandas 3.1.1
    "learning": "statsmodels==0.15.0 doubleml==0.11.4 scikit-learn==1.9.1",
    "forest": "stochtree==0.4.5 scikit-learn==1.9.1",
    "hazard": "lillardhaz==0.1.0",
    "causalpy": "causalpy==0.9.0 pymc==5.28.5 arviz==0.23.4 numpy==2.3.5 pandas==2.3.3",
    "pathmc": "pathmc==0.4.0 pymc==6.4.0 arviz==1.3.0",
}


class Tank(NamedTuple):
    """Rows, the covariates of the outcome, those of the treatment, and the kinds of both."""

    data: pd.DataFrame
    shared: list[str]
    moving: list[str]
    outcome: str
    treatment: str
    seed: int

    @property
    def formulas(self):
        """Of the outcome and of the treatment."""
        return f"Y ~ T + {' + '.join(self.shared)}", f"T ~ {' + '.join(self.moving)}"

    @property
    def instruments(self):
        return [name for name in self.moving if name not in self.shared]


class Answer(NamedTuple):
    """An interval and its middle; a bound; and how much it takes to reach zero, on the method's own scale."""

    low: float
    high: float
    middle: float
    least: float = np.nan
    most: float = np.nan
    told: float = np.nan


class Method(NamedTuple):
    """How it answers, where it runs, its package, what it assumes, and the cells it knows."""

    answer: Callable[[Tank], Answer]
    environment: str
    package: str
    assumes: str
    tanks: int = 50
    treatments: tuple = KINDS
    instruments: tuple = INSTRUMENTS
    outcomes: tuple = ("continuous",)


def least_squares(tank):
    import statsmodels.formula.api as smf

    fit = smf.ols(tank.formulas[0], tank.data).fit()
    return Answer(*fit.conf_int(1 - LEVEL).loc["T"], fit.params["T"])


def one_equation(tank):
    """The outcome alone, by least squares or a probit: what the arithmetic of one equation costs."""
    import statsmodels.formula.api as smf

    if tank.outcome == "continuous":
        return least_squares(tank)
    fit = smf.probit(tank.formulas[0], tank.data).fit(disp=False)
    return Answer(*fit.conf_int(1 - LEVEL).loc["T"], fit.params["T"])


def two_stages(tank):
    from linearmodels import IV2SLS

    formula = f"Y ~ 1 + {' + '.join(tank.shared)} + [T ~ {' + '.join(tank.instruments)}]"
    fit = IV2SLS.from_formula(formula, tank.data).fit()
    return Answer(*fit.conf_int(LEVEL).loc["T"], fit.params["T"])


def two_stages_fixest(tank):
    import pyfixest

    formula = f"Y ~ {' + '.join(tank.shared)} | T ~ {' + '.join(tank.instruments)}"
    fit = pyfixest.feols(formula, tank.data)
    return Answer(*fit.confint(alpha=1 - LEVEL).loc["T"], fit.coef()["T"])


def told_the_strength(tank):
    """Least squares, and what a confounder of that strength leaves of it, whichever way it pulls."""
    import sensemakr
    import statsmodels.formula.api as smf

    fit = smf.ols(tank.formulas[0], tank.data).fit()
    either = [
        sensemakr.Sensemakr(fit, "T", r2dz_x=STRENGTH, r2yz_dx=STRENGTH, alpha=1 - LEVEL, reduce=reduce)
        for reduce in (True, False)
    ]
    ends = [each.bounds[f"adjusted_{end}_CI"].iloc[0] for each in either for end in ("lower", "upper")]
    interval = *fit.conf_int(1 - LEVEL).loc["T"], fit.params["T"]
    return Answer(*interval, min(ends), max(ends), either[0].sensitivity_stats["rv_qa"])


def double_learning(tank):
    """A partly linear model; its level of a bound is that of either end by itself."""
    from doubleml import DoubleMLData, DoubleMLPLR
    from sklearn.linear_model import LassoCV, LogisticRegressionCV

    np.random.seed(tank.seed)  # noqa: NPY002  (the sample splits have no other)
    yes_or_no = LogisticRegressionCV(scoring="neg_log_loss", use_legacy_attributes=False, l1_ratios=(0.0,))
    data = DoubleMLData(tank.data, "Y", "T", tank.shared)
    model = DoubleMLPLR(data, ml_l=LassoCV(), ml_m=yes_or_no if tank.treatment == "binary" else LassoCV()).fit()
    model.sensitivity_analysis(cf_y=STRENGTH, cf_d=STRENGTH, level=ENDS[1])
    found = model.sensitivity_params
    ends = found["ci"]["lower"][0], found["ci"]["upper"][0]
    return Answer(*model.confint(level=LEVEL).iloc[0], model.coef[0], *ends, found["rva"][0])


def causal_forest(tank):
    from stochtree import BCFModel

    X, t, y = (np.array(tank.data[names], float) for names in (tank.shared, "T", "Y"))
    model = BCFModel()
    model.sample(X, t, y, num_gfr=10, num_mcmc=500, general_params={"random_seed": tank.seed})
    draws = model.tau_hat_train.mean(axis=0)
    return _drawn(draws)


def hazard(tank):
    """exp(Y) as a log-normal duration that always ends; T as a probit, or as the log of another duration."""
    from lillardhaz import fit_lillardhaz

    data = tank.data.assign(ended=1.0, span=np.exp(tank.data["Y"]))
    first = {"eq1": "probit", "y1": "T"}
    if tank.treatment == "continuous":
        data["dose"], first = np.exp(data["T"]), {"eq1": "lognormal", "y1": "dose", "d1": "ended"}
    fit = fit_lillardhaz(
        **first, eq2="lognormal", data=data, y2="span", d2="ended", x1=tank.moving, x2=["T", *tank.shared]
    )
    if not fit.converged:
        warnings.warn("its result says: not converged", stacklevel=2)
    middle, error = fit.params["eq2:T"], 1.6448536269514722 * fit.se["eq2:T"]
    return Answer(middle - error, middle + error, middle)


def correlated_paths(tank):
    import pathmc

    outcome, treatment = tank.formulas
    model = pathmc.model(f"{treatment}\n{outcome}\nT ~~ Y", data=tank.data)
    drawn = model.fit(**SAMPLES, random_seed=tank.seed)
    return _drawn(drawn["posterior"]["beta_Y"].sel(Y_predictors="T"))


def bayesian_instruments(tank):
    import causalpy
    from causalpy.pymc_models import InstrumentalVariableRegression

    formulas = {"formula": tank.formulas[0].replace("~", "~ 1 +"), "instruments_formula": tank.formulas[1]}
    found = causalpy.InstrumentalVariable(
        data=tank.data,
        instruments_data=tank.data,
        model=InstrumentalVariableRegression(sample_kwargs=SAMPLES | {"random_seed": tank.seed}),
        binary_treatment=tank.treatment == "binary",
        **formulas,
    )
    return _drawn(found.idata["posterior"]["beta_z"].sel(covariates="T"))


def plain_pymc(tank):
    """The joint model as anybody would write it, with what is latent integrated out where that is closed."""
    import pymc as pm
    import pytensor.tensor as pt

    y, t = tank.data["Y"].to_numpy(float), tank.data["T"].to_numpy(float)
    X, Z = tank.data[tank.shared].to_numpy(), tank.data[tank.moving].to_numpy()
    with pm.Model():
        alpha, a = pm.Normal("alpha", 0, 5), pm.Normal("a", 0, 0.5)
        rho = pm.math.tanh(a)
        rest = pm.math.sqrt(1 - rho**2)
        mean_T = pm.Normal("i_T", 0, 5) + Z @ pm.Normal("b_T", 0, 5, shape=Z.shape[1])
        mean_O = pm.Normal("i_O", 0, 5) + X @ pm.Normal("b_O", 0, 5, shape=X.shape[1]) + alpha * t
        if tank.treatment == "continuous":
            sigma_V = pm.HalfNormal("sigma_V", 5)
            pm.Normal("T", mean_T, sigma_V, observed=t)
            V = (t - mean_T) / sigma_V
        elif tank.outcome == "binary":
            share = pm.Uniform("share", shape=len(t))
            below = pm.math.invprobit(-mean_T)  # of V; T = 1 where V lies above
            V = pm.math.probit(pt.switch(t == 1, below + share * (1 - below), share * below))
            pm.Potential("T", pt.switch(t == 1, pt.log1p(-below), pt.log(below)).sum())
        if tank.outcome == "continuous":
            sigma_U = pm.HalfNormal("sigma_U", 5)
            if tank.treatment == "binary":
                pm.Normal("Y", mean_O, sigma_U, observed=y)
                U = (y - mean_O) / sigma_U
                pm.Bernoulli("T", pm.math.invprobit((mean_T + rho * U) / rest), observed=t.astype(int))
            else:
                pm.Normal("Y", mean_O + rho * sigma_U * V, sigma_U * rest, observed=y)
        else:
            pm.Bernoulli("Y", pm.math.invprobit((mean_O + rho * V) / rest), observed=y.astype(int))
        drawn = pm.sample(**SAMPLES, random_seed=tank.seed)
    return _drawn(drawn["posterior"]["alpha"])


def ours(tank):
    """The map, read with the default belief about ρ; its ends at ρ = ±MOST; and the ρ that takes it to zero."""
    from helpers import make_design, map_rho, tipping_point, weigh

    outcome, treatment = tank.formulas
    map = map_rho(make_design(tank.data, outcome=outcome, treatment=treatment))
    reading = _drawn(weigh(map, seed=tank.seed)["effect"])
    low, high = (_drawn(weigh(map, rho, seed=tank.seed)["effect"]) for rho in (MOST, -MOST))
    tip = tipping_point(map, probability=LEVEL)["interval"]
    return reading._replace(least=low.low, most=high.high, told=tip)


def _drawn(draws):
    draws = np.ravel(draws)
    return Answer(*np.quantile(draws, ENDS), draws.mean())


NOTHING_HIDDEN = "ρ = 0"
EXCLUSION = "X2 moves Y through T alone"
NORMAL = "normal errors, any ρ"
METHODS = {
    "statsmodels, least squares": Method(least_squares, "regression", "statsmodels", NOTHING_HIDDEN),
    "PySensemakr": Method(told_the_strength, "sensemakr", "PySensemakr", NOTHING_HIDDEN),
    "linearmodels, two stages": Method(two_stages, "regression", "linearmodels", EXCLUSION, instruments=(1,)),
    "pyfixest, two stages": Method(two_stages_fixest, "regression", "pyfixest", EXCLUSION, instruments=(1,)),
    "ours": Method(ours, "", "which-world", NORMAL + ", and a belief about it", outcomes=KINDS),
    "lillardhaz": Method(hazard, "hazard", "lillardhaz", NORMAL),
    "DoubleML, partly linear": Method(double_learning, "learning", "doubleml", NOTHING_HIDDEN),
    "stochtree, causal forest": Method(causal_forest, "forest", "stochtree", NOTHING_HIDDEN, 10),
    "CausalPy, instrumental variable": Method(
        bayesian_instruments, "causalpy", "causalpy", EXCLUSION + "; " + NORMAL, 10, instruments=(1,)
    ),
    "pathmc, T ~~ Y": Method(correlated_paths, "pathmc", "pathmc", NORMAL, 6, treatments=("continuous",)),
}
TIMED = {
    "statsmodels, one equation": Method(one_equation, "regression", "statsmodels", NOTHING_HIDDEN, outcomes=KINDS),
    "ours": METHODS["ours"],
    "lillardhaz": METHODS["lillardhaz"],
    "plain PyMC": Method(plain_pymc, "", "pymc", NORMAL, outcomes=KINDS),
    "pathmc, T ~~ Y": METHODS["pathmc, T ~~ Y"],
    "CausalPy, instrumental variable": METHODS["CausalPy, instrumental variable"],
}


def pour(folder, outcome, treatment, instruments, rho, seed):
    """Make a tank, as a CSV file."""
    from helpers import simulate_aquarium

    made = {"alpha": EFFECT, "rho": rho, "outcome": outcome, "treatment": treatment, "instruments": instruments}
    path = folder / f"{outcome} {treatment} {instruments} {rho:g} {seed}.csv"
    simulate_aquarium(N, **made, seed=seed).data.to_csv(path, index=False)
    return path


def tank_of(path):
    """Read a tank again; the instrument, where there is one, is X2."""
    outcome, treatment, instruments, _, seed = Path(path).stem.split()
    data = pd.read_csv(path)
    moving = [name for name in data if name.startswith("X")]
    shared = [name for name in moving if instruments == "0" or name != "X2"]
    return Tank(data, shared, moving, outcome, treatment, int(seed))


def answers(name, paths):
    """In a method's own process: a line of JSON for each tank."""
    method = (METHODS | TIMED)[name]
    said = _Said()
    logging.getLogger().addHandler(said)
    for path in paths:
        said.clear()
        tank, start = tank_of(path), _seconds()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            for aimed_at_its_authors in (DeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", aimed_at_its_authors)
            warnings.showwarning = lambda message, *_: said.add(message)
            try:
                answer = method.answer(tank)
                if not np.isfinite(answer[:3]).all():
                    raise ValueError("no finite interval")
                found = {part: float(number) for part, number in answer._asdict().items()}
            except Exception as error:  # whatever a package meets is its answer
                found = {"failed": _short(f"{type(error).__name__}: {error}")}
        seconds = {"seconds": _seconds() - start, "since_start": _seconds()}
        found |= seconds | {"warned": list(said), "version": version(method.package)}
        print("ANSWER " + json.dumps(found), flush=True)


class _Said(logging.Handler, dict):
    """What warnings and loggers said, each once: one in which only figures differ is the same."""

    def __init__(self):
        super().__init__(logging.WARNING)

    def __hash__(self):
        return id(self)

    def emit(self, record):
        self.add(record.getMessage())

    def add(self, message):
        self[_short(message)] = None


def _short(message):
    """The first line, its figures left out, of what was said."""
    line = " ".join(str(message).strip().splitlines()[:1]).strip()
    line = " ".join("#" if any(c.isdigit() for c in word) else word for word in line.split())
    return line if len(line) <= 110 else line[:107].rstrip() + "…"


def _seconds():
    """Processor seconds of this process, and of those it started."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def python_of(folder, environment):
    """The interpreter of an environment, which is made if it is not there; and what went wrong with that."""
    if not environment:
        return sys.executable, ""
    place = folder / f"env-{environment}"
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        wanted = dict(each.split("==") for each in f"{COMMON} {ENVIRONMENTS[environment]}".split())
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += [f"{package}=={version}" for package, version in wanted.items()]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            return python, _short(f"not installed: {done.stderr.strip().splitlines()[-1]}")
        (place / "ready").touch()
    return python, ""


def ask(name, method, paths, folder, fresh=False):
    """A method's answers to tanks, one by one, from a process of its own."""
    python, problem = python_of(folder, method.environment)
    if problem:
        yield from ({"failed": problem, "warned": []} for _ in paths)
        return
    caches = Path(tempfile.mkdtemp(dir=folder)) if fresh else folder / "caches"
    surroundings = os.environ | {
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
        "NUMBA_CACHE_DIR": str(caches / "numba"),
        "PYTENSOR_FLAGS": f"base_compiledir={caches / 'pytensor'}",
        "PYTHONPATH": "" if method.environment else str(HERE.parents[2]),
    }
    call, left = [python, HERE, "--answer", name, *paths], len(paths)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(call, env=surroundings, text=True, cwd=folder, **pipes) as asked:
        for line in asked.stdout:
            if line.startswith("ANSWER "):
                left -= 1
                yield json.loads(line.removeprefix("ANSWER "))
    yield from ({"failed": "the process ended without an answer", "warned": []} for _ in range(left))


def summary(found):
    """A cell: of those tanks that have an interval, how many hold the truth, and the rest."""
    read = pd.DataFrame([each for each in found if "failed" not in each])
    failures = Counter(each["failed"] for each in found if "failed" in each)
    warned = Counter(text for each in found for text in each["warned"])
    row = {"version": found[0].get("version", ""), "tanks": len(found), "read": len(read)}
    for prefix, low, high in (("", "low", "high"), ("bound_", "least", "most")):
        if len(read) and read[low].notna().all():
            row[prefix + "covers"] = int(((read[low] < EFFECT) & (EFFECT < read[high])).sum())
            row[prefix + "width"] = (read[high] - read[low]).median()
    if len(read):
        row |= {"bias": (read["middle"] - EFFECT).mean(), "told": read["told"].median()}
        row["seconds"] = read["seconds"].median()
    row["failed"] = _counted(failures)
    row["warned"] = sum(bool(each["warned"]) for each in found)
    row["warning"] = _counted(warned)
    return row


def _counted(said):
    return "; ".join(f"{text} ({count})" for text, count in said.most_common(3))


def stored(table, checksum):
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    return [row for row in rows if row["script"] == checksum]


def keep(table, rows):
    pd.DataFrame(rows).round(4).to_csv(table, index=False)


def cover(folder, checksum):
    """Every method in every cell that it knows; one process a method."""
    table = HERE.with_suffix(".csv")
    rows = stored(table, checksum)
    done = {(row["method"], row["treatment"], row["instruments"], row["rho"]) for row in rows}
    for name, method in METHODS.items():
        cells = [cell for cell in product(method.treatments, method.instruments, CURRENTS) if (name, *cell) not in done]
        seeds = range(7000, 7000 + method.tanks)
        paths = [pour(folder, "continuous", *cell, seed) for cell in cells for seed in seeds]
        asked = ask(name, method, paths, folder) if cells else iter(())
        for cell in cells:
            row = {"method": name} | dict(zip(("treatment", "instruments", "rho"), cell)) | {"assumes": method.assumes}
            row |= summary(list(islice(asked, len(seeds))))
            rows.append(row | {"script": checksum})
            keep(table, rows)


def race(folder, checksum):
    """Seconds of one answer, and of one more, on tanks with an instrument and a current."""
    table = HERE.with_name("peers_seconds.csv")
    rows = stored(table, checksum)
    done = {(row["method"], row["outcome"], row["treatment"]) for row in rows}
    for (name, method), outcome, treatment in product(TIMED.items(), KINDS, KINDS):
        cell = {"method": name, "outcome": outcome, "treatment": treatment}
        if outcome not in method.outcomes or treatment not in method.treatments or tuple(cell.values()) in done:
            continue
        paths = [pour(folder, outcome, treatment, 1, 0.5, seed) for seed in (8000, 8001)]
        first, again = ask(name, method, paths, folder, fresh=True)
        failed = first.get("failed", "") or again.get("failed", "")
        times = {} if failed else {"first": first["since_start"], "again": again["seconds"]}
        warned = "; ".join(dict.fromkeys(first["warned"] + again["warned"]))
        row = cell | {"version": first.get("version", "")} | times | {"failed": failed, "warning": warned}
        rows.append(row | {"script": checksum})
        keep(table, rows)


def main(folder=""):
    checksum = hashlib.sha256(HERE.read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary).resolve()
        place.mkdir(exist_ok=True)
        cover(place, checksum)
        race(place, checksum)


if __name__ == "__main__":
    answers(sys.argv[2], sys.argv[3:]) if sys.argv[1:2] == ["--answer"] else main(*sys.argv[1:])
