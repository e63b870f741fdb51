"""Draws from a model with a forest: by backfitting where the model is a joint model, by particles where it is not.

*Trees.* A joint model with `bart()` is read back into numbers, proved equal to the model's own density, and sampled
by `helpers.tree_walk`. *Particles.* Every other model with a PyMC-BART variable goes
to PyMC's own compound of particle Gibbs and NUTS, seeded. It is general and it mixes slowly: on the smokers 20
trees gave about 10 effective draws of α from 600, which is why the first route exists.
"""

import logging
import multiprocessing
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import arviz as az
import numpy as np
import pymc as pm
from bartrs.bartrs import PyBartSettings, PySampler
from bartrs.pgbart import PGBART
from joblib import Parallel, cpu_count, delayed
from pymc_bart.bart import BARTRV
from scipy import stats

from helpers import reading as rd
from helpers.columns import log_prior_a
from helpers.tree_walk import log_density, walk

STATS = ("diverging", "energy", "tree_depth", "step_size", "acceptance_rate")
GRID = np.linspace(-3.5, 3.5, 701)  # atanh ρ, up to 0.998
THIN = 4  # sweeps for every draw that is kept
OWN = {"alpha", "rho", "sigma_U", "sigma_V"} | {
    f"{part}_{equation}" for part in ("intercept", "beta", "forest") for equation in "OT"
} | {"beta_O_free", "beta_T_free", "delta"}  # fmt: skip


class Equation(NamedTuple):
    """One equation in numbers: its line (columns and their normal prior) and its forest (0 trees where it has none)."""

    columns: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    X: np.ndarray
    forest: np.ndarray  # trees, alpha, beta, leaf sd, level


class Wood(NamedTuple):
    """A joint model with a forest, in numbers."""

    y: np.ndarray
    t: np.ndarray
    outcome: Equation
    treatment: Equation
    sigma_U: float
    sigma_V: float | None
    rho: object

    @property
    def binary(self):
        """Whether the treatment is in or out."""
        return self.sigma_V is None


def has_forest(model):
    """Whether a model has a PyMC-BART variable among its free ones."""
    return any(isinstance(rv.owner.op, BARTRV) for rv in model.free_RVs)


def by_forest(model, *, draws, tune, chains, seed, progressbar):
    """Draws from a model with a forest, by the faster route that is open."""
    wood = read_forest(model) if has_forest(model) else None
    if wood is None:
        return by_particles(model, draws=draws, tune=tune, chains=chains, seed=seed, progressbar=progressbar)
    return by_trees(model, wood, draws=draws, tune=tune, chains=chains, seed=seed)


def read_forest(model):
    """The numbers of an observed joint model with a forest, or None when it is something else."""
    try:
        wood = _read(model)
        return wood if rd.agrees(model, partial(_point, model, wood)) else None
    except (rd.Unreadable, KeyError):
        return None


def _read(model):
    free = {rv.name: rv for rv in model.free_RVs}
    seen = {rv.name: np.asarray(model.rvs_to_values[rv].eval(mode=rd.QUICK), float) for rv in model.observed_RVs}
    if set(seen) != set(rd.RESPONSES) or model.potentials or not {"alpha", "sigma_U"} <= set(free) <= OWN:
        raise rd.Unreadable
    y, t, X = seen["likelihood_outcome"], seen["likelihood_treatment"], model["X"].get_value()
    alpha = [float(number) for (number,) in rd.normal(free["alpha"])]
    sigma_V = rd.half_normal(free["sigma_V"]) if "sigma_V" in free else None
    outcome, treatment = _equation(model, free, "O", X, (t - rd.centre(model), *alpha)), _equation(model, free, "T", X)
    return Wood(y, t, outcome, treatment, rd.half_normal(free["sigma_U"]), sigma_V, rd.rho_of(model))


def _equation(model, free, name, X, last=None):
    columns, mean, sd = [], [], []
    if f"intercept_{name}" in free:
        (m,), (s,) = rd.normal(free[f"intercept_{name}"])
        columns, mean, sd = [np.ones(len(X))], [m], [s]
    if f"forest_{name}" not in free:
        included = rd.included(model, free, name, X.shape[1])
        beta = free.get(f"beta_{name}", free.get(f"beta_{name}_free"))
        m, s = rd.normal(beta, int(included.sum()))
        columns, mean, sd = [*columns, *X[:, included].T], [*mean, *m], [*sd, *s]
    if last is not None and "delta" in free:
        moderates = np.isin(np.array(model.coords["covariate"], dtype=object), list(model.coords["moderator"]))
        m, s = rd.normal(free["delta"], int(moderates.sum()))
        columns, mean, sd = [*columns, *(X[:, moderates].T * last[0])], [*mean, *m], [*sd, *s]
    if last is not None:
        columns, mean, sd = [*columns, last[0]], [*mean, last[1]], [*sd, last[2]]
    forest, seen = np.array([0.0, 0.95, 2.0, 1.0, 0.0]), np.empty((len(X), 0))
    if f"forest_{name}" in free:
        op = free[f"forest_{name}"].owner.op
        forest = np.array([op.m, op.alpha, op.beta, op.Y.std() / np.sqrt(op.m), op.Y.mean()])
        seen = np.ascontiguousarray(op.X)
    line = np.ascontiguousarray(np.column_stack(columns)) if columns else np.empty((len(X), 0))
    return Equation(line, np.array(mean, float), np.array(sd, float), seen, forest)


def _point(model, wood, rng):
    """Values of the model's variables, and the log density that the reading gives them."""
    a = np.arctanh(wood.rho) if isinstance(wood.rho, float) else rng.uniform(-0.5, 0.5)
    sigma_U, sigma_V = wood.sigma_U * rng.uniform(0.5, 1), (wood.sigma_V or 1.0) * rng.uniform(0.5, 1)
    sigma_V = 1.0 if wood.binary else sigma_V
    value = stats.halfnorm.logpdf(sigma_U, scale=wood.sigma_U) - len(wood.y) * 0.5 * np.log(2 * np.pi)
    if not wood.binary:
        value += stats.halfnorm.logpdf(sigma_V, scale=wood.sigma_V) - len(wood.y) * 0.5 * np.log(2 * np.pi)
    value += 0.0 if isinstance(wood.rho, float) else wood.rho(np.array([np.tanh(a)]))[0]
    point, fitted = {"sigma_U": sigma_U, "sigma_V": sigma_V, "rho": np.tanh(a)}, []
    for name, equation in (("O", wood.outcome), ("T", wood.treatment)):
        theta = equation.mean + 0.1 * equation.sd * rng.normal(size=len(equation.sd))
        trees = equation.forest[4] + equation.forest[3] * rng.normal(size=len(wood.y)) * (equation.forest[0] > 0)
        fitted.append(equation.columns @ theta + trees)
        value += stats.norm.logpdf(theta, equation.mean, equation.sd).sum()
        named = _named(model, name, theta[None])
        point |= {f"forest_{name}": trees} | {key: entry[0] for key, entry in named.items()}
    logs = np.log(sigma_U), np.log(sigma_V)
    return point, value + log_density(wood.y, wood.t, *fitted, a, *logs, wood.binary)


def _named(model, equation, theta):
    """An equation's coefficients (draws, k) under the model's names."""
    free, named = {rv.name for rv in model.free_RVs}, {}
    if equation == "O":
        named["alpha"], theta = theta[:, -1], theta[:, :-1]
    if equation == "O" and "delta" in free:
        k = len(model.coords["moderator"])
        named["delta"], theta = theta[:, -k:], theta[:, :-k]
    if f"intercept_{equation}" in free:
        named[f"intercept_{equation}"], theta = theta[:, 0], theta[:, 1:]
    for name in (f"beta_{equation}", f"beta_{equation}_free"):
        if name in free:
            named[name] = theta
    return named


def by_trees(model, wood, *, draws, tune, chains, seed):
    """Backfitting: every chain from its own seed and its own ρ, as many at once as there are cores."""
    rngs = np.random.default_rng(seed).spawn(chains)
    fixed = isinstance(wood.rho, float)  # one point is then the whole grid
    grid = np.array([np.arctanh(wood.rho)]) if fixed else GRID
    prior = grid, np.zeros(1) if fixed else log_prior_a(wood.rho, grid)
    work = (delayed(_chain)(wood, prior, (draws, tune, THIN), rng) for rng in rngs)
    paths = Parallel(n_jobs=min(chains, cpu_count()), prefer="threads")(work)
    kept = [np.stack(part) for part in zip(*paths)]  # each (chains, draws, ...)
    posterior = _posterior(model, wood, kept)
    dims = (
        {name: ["obs"] for name in ("forest_O", "forest_T", *rd.RESPONSES)}
        | {f"beta_{equation}": ["covariate"] for equation in "OT"}
        | {"delta": ["moderator"]}
    )
    idata = az.from_dict(
        {
            "posterior": posterior,
            "sample_stats": {"diverging": np.zeros((chains, draws), dtype=bool)},
            "observed_data": {"likelihood_outcome": wood.y, "likelihood_treatment": wood.t},
        },
        coords={name: list(model.coords[name]) for name in ("covariate", "obs", "moderator") if name in model.coords},
        dims=dims,
    )
    idata.attrs["route"] = "trees"
    return idata


def _chain(wood, prior, plan, rng):
    O, T = wood.outcome, wood.treatment  # noqa: E741
    far = np.clip(0.5 * rng.normal(), -1.5, 1.5)  # chains start apart
    start = (
        prior[0][0] if len(prior[0]) == 1 else far,
        np.log(wood.y.std()),
        0.0 if wood.binary else np.log(wood.t.std()),
    )
    return walk(
        wood.y, wood.t, O.columns, T.columns, O.X, T.X, (O.mean, O.sd**-2.0), (T.mean, T.sd**-2.0), O.forest, T.forest,
        np.array([wood.sigma_U, wood.sigma_V or 1.0]), *prior, start, wood.binary, plan, rng,
    )  # fmt: skip


def _posterior(model, wood, kept):
    """Draws under the model's names, those of its deterministic variables included."""
    theta, gamma, spread, *forests = kept
    posterior = {"rho": np.tanh(spread[..., 0]), "sigma_U": np.exp(spread[..., 1])}
    if not wood.binary:
        posterior["sigma_V"] = np.exp(spread[..., 2])
    for name, values, forest in zip("OT", (theta, gamma), forests):
        flat = _named(model, name, values.reshape(values.shape[0] * values.shape[1], values.shape[-1]))
        posterior |= {key: entry.reshape(*values.shape[:2], *entry.shape[1:]) for key, entry in flat.items()}
        if forest.shape[-1]:
            posterior |= {f"forest_{name}": forest, f"intercept_{name}": forest.mean(-1)}
        if f"beta_{name}_free" in posterior:
            free = {rv.name for rv in model.free_RVs}
            included = rd.included(model, free, name, len(model.coords["covariate"]))
            whole = np.zeros((*values.shape[:2], len(included)))
            whole[..., included] = posterior[f"beta_{name}_free"]
            posterior[f"beta_{name}"] = whole
    return posterior


def by_particles(model, *, draws, tune, chains, seed, progressbar):
    """PyMC's way: particle Gibbs for the forests and NUTS for everything else, one after the other in each step."""
    forests = [rv for rv in model.free_RVs if isinstance(rv.owner.op, BARTRV)]
    alone = multiprocessing.current_process().daemon  # a worker of a cluster may not have workers
    with model, _quiet("pymc"):
        steps = [_seeded(PGBART([rv])) for rv in forests]
        idata = pm.sample(
            draws, tune=tune, chains=chains, cores=1 if alone else None, random_seed=seed, step=steps,
            progressbar=progressbar, compute_convergence_checks=False, nuts_sampler="pymc",
        )  # fmt: skip
    statistics = idata["sample_stats"].to_dataset()
    idata["sample_stats"] = statistics[[name for name in STATS if name in statistics]]  # what a file can hold
    idata.attrs["route"] = "particles"
    return idata


def _seeded(step):
    """The step with a seed of its own for every chain, and a fresh forest: PyMC-BART starts all chains from seed 0."""
    begin = step.setup_chain

    def setup_chain(rng, tune, draws):
        step._settings_params["seed"] = int(rng.integers(2**63))
        step.pg_bart = PySampler.init(
            x=np.asfortranarray(step.X), y=step.bart.Y, model=step.compiled_pymc_model.get_function_pointer(),
            settings=PyBartSettings(**step._settings_params),
        )  # fmt: skip
        step._non_tune_steps, step._synced_all_trees = 0, True  # the trees themselves are not kept
        begin(rng, tune, draws)

    step.setup_chain = setup_chain
    return step


@contextmanager
def _quiet(name):
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
