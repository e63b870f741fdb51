"""Worlds: named sets of assumptions, fitted side by side, and laid out in one table."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from threading import Lock

import arviz as az
import joblib
import numpy as np
import pandas as pd
import xarray as xr
from joblib import Parallel, delayed

from which_world import arguments
from which_world.classical import ols
from which_world.design import Design
from which_world.engine import store
from which_world.engine.counterfactual import POINTS
from which_world.engine.draws import vectors
from which_world.engine.likelihoods import Rows, pointwise
from which_world.forest import check_forest
from which_world.maps import stepped
from which_world.models import joint_model
from which_world.priors import AtanhNormal, check_rho
from which_world.sampling import diagnostics, fit
from which_world.selection import check_coefficients

SCORED = 2e7  # log likelihoods computed at most for a predictive score: draws times observations
ENOUGH = 1000  # draws are enough for one
COMPILING = Lock()  # PyTensor's settings are global while it compiles: threads take turns, processes need not


@dataclass(frozen=True, eq=False)
class World:
    """A name, a design and what is assumed about it.

    Attributes
    ----------
    name : str
    design : Design
    rho : float, prior or None
        As in `joint_model`; None is the world without a treatment equation: least squares (through the zeros and
        ones of a binary outcome as well).
    coefficients, alpha, sigma
        The other priors, as in `joint_model`.
    treatment : Forest, optional
        From `bart`: a forest instead of a line in the treatment equation.
    interpretation : str
        What believing this world means, for the table.

    Raises
    ------
    TypeError, ValueError
        Naming the world and what cannot be used: a `rho` that is no correlation and no prior over one, a spread that
        is not positive, something else than a design, a prior over coefficients or a forest.
    """

    name: str
    design: Design
    rho: object = AtanhNormal()
    coefficients: object = None
    alpha: float | None = None
    sigma: float | None = None
    interpretation: str = ""
    treatment: object = None

    def __post_init__(self):
        arguments.instance(self.name, str, "name", "a name, a str")
        arguments.instance(self.design, Design, f"world {self.name!r}: design", "a Design from make_design")
        arguments.optional(check_rho, self.rho, f"world {self.name!r}: rho")
        arguments.optional(check_coefficients, self.coefficients, f"world {self.name!r}: coefficients")
        arguments.optional(arguments.positive, self.alpha, f"world {self.name!r}: alpha")
        arguments.optional(arguments.positive, self.sigma, f"world {self.name!r}: sigma")
        arguments.text(self.interpretation, f"world {self.name!r}: interpretation", accepted="a sentence, or ''")
        check_forest(**{f"world {self.name!r}: treatment": self.treatment})


def fit_worlds(worlds, *, draws=1000, tune=1000, chains=4, seed=0, folder=".worlds"):
    """Fit every world; what is finished is kept on disk, so an interrupted run resumes.

    Parameters
    ----------
    worlds : iterable of World
    draws, tune, chains, seed
        As in `fit`.
    folder : path or None
        Where finished worlds are kept. A world is fitted anew when its data, its assumptions, the settings or
        this package's code have changed. A file that was damaged is set aside, with a warning. None keeps nothing.

    Returns
    -------
    dict of str to xarray.DataTree
        In the order given. Each tree carries a group ``score``: the pointwise leave-one-out log density of
        (Y, T) jointly, by Pareto-smoothed importance sampling. Least squares, which gives T no
        probability, has none.

    Raises
    ------
    ValueError
        When two worlds share a name, or a setting is no whole number.
    TypeError
        When something else than a `World` is given.
    OSError
        When `folder` cannot be written in, before anything is fitted; later, it is a warning and nothing is lost.

    Notes
    -----
    Runs through joblib, one world at a time unless told otherwise: inside
    ``with joblib.parallel_config(backend="dask"):`` (or ``n_jobs=2``) the worlds run side by side.
    """
    worlds = arguments.listed(worlds, "worlds", "World(name, design, ...) values, in a list", kind=object)
    for k, world in enumerate(worlds):
        arguments.instance(world, World, f"worlds[{k}]", "a World(name, design, ...)")
    names = [world.name for world in worlds]
    if len(set(names)) < len(names):
        raise ValueError(f"worlds share names: {sorted({n for n in names if names.count(n) > 1})}; give each its own.")
    accepted = "the path of a folder, or None to keep nothing"
    folder = arguments.optional(arguments.path, folder, "folder", accepted=accepted)
    settings = {
        "draws": arguments.count(draws, "draws"), "tune": arguments.count(tune, "tune", least=0),
        "chains": arguments.count(chains, "chains"), "seed": arguments.seed(seed),
    }  # fmt: skip
    keys = {world.name: store.key(world.design, _assumed(world), settings, _code()) for world in worlds}
    found = {} if folder is None else {name: store.load(folder, key) for name, key in keys.items()}
    fits = {name: idata for name, idata in found.items() if idata is not None}
    waiting = [world for world in worlds if world.name not in fits]
    if waiting and folder is not None:
        store.check_writable(folder)
    jobs = (delayed(_fit_world)(world, settings) for world in waiting)
    for name, idata in Parallel(return_as="generator_unordered")(jobs):
        fits[name] = idata
        if folder is not None:
            store.keep(idata, folder, keys[name])
    return {name: fits[name] for name in names}


def _assumed(world):
    return {name: value for name, value in vars(world).items() if name != "design"}


def _fit_world(world, settings):
    try:
        if world.rho is None:
            return world.name, _least_squares(world, settings)
        with COMPILING:
            model = joint_model(
                world.design, coefficients=world.coefficients, rho=world.rho, alpha=world.alpha, sigma=world.sigma,
                treatment=world.treatment,
            )  # fmt: skip
            idata = fit(model, **settings)
    except Exception as error:
        error.add_note(f"while fitting the world {world.name!r}")
        raise
    idata.attrs |= {"interpretation": world.interpretation} | stepped(vars(world.design))
    return world.name, _score(idata, world.design)


def _least_squares(world, settings):
    """The OLS world as draws: the posterior under a flat prior, whose intervals are the classical ones."""
    result, rng = ols(world.design), np.random.default_rng(settings["seed"])
    half = -(-settings["chains"] * settings["draws"] // 2)
    sigma = np.tile(np.sqrt(result.ssr / rng.chisquare(result.df_resid, half)), 2)
    noise = rng.multivariate_normal(np.zeros(len(result.params)), result.normalized_cov_params, half)
    noise = np.concatenate([noise, -noise])  # in pairs, so that the mean is the estimate itself
    theta = result.params.to_numpy() + sigma[:, None] * noise
    if world.design.outcome_kind == "binary":  # the line's slope is a difference in chances
        draws = {"effect": POINTS * world.design.step * theta[:, -1]}
    else:
        draws = {"alpha": theta[:, -1], "sigma_U": sigma}
    shape = (settings["chains"], settings["draws"])
    seen = {"likelihood_outcome": world.design.y, "likelihood_treatment": world.design.t}
    groups = {"posterior": {name: np.resize(values, shape) for name, values in draws.items()}, "observed_data": seen}
    idata = az.from_dict(groups, dims={name: ["obs"] for name in seen})
    idata.attrs.update(route="ols", interpretation=world.interpretation, **stepped(vars(world.design)))
    return idata


def _score(idata, design):
    """Attach the leave-one-out score of (Y, T), from a thinned sample where n is large."""
    posterior = az.extract(idata)
    size = min(posterior.sizes["sample"], ENOUGH, int(SCORED // design.n))
    if size < 100:
        return idata
    posterior = posterior.isel(sample=np.linspace(0, posterior.sizes["sample"] - 1, size).astype(int))
    log_likelihood = _pointwise(posterior, design)
    tree = az.from_dict({"posterior": {"alpha": posterior.alpha.values[None]},
                         "log_likelihood": {"joint": log_likelihood[None]}})  # fmt: skip
    loo = az.loo(tree, pointwise=True)
    idata["score"] = xr.DataTree(xr.Dataset({"elpd": ("obs", np.asarray(loo.elpd_i).ravel()),
                                             "pareto_k": ("obs", np.asarray(loo.pareto_k).ravel())}))  # fmt: skip
    return idata


def _pointwise(posterior, design):
    """Log-likelihood of each observation under each draw; a forest is an offset in the index of the treatment."""
    offsets = 0.0, 0.0
    if "forest_T" in posterior:
        offsets = 0.0, posterior.forest_T.transpose("sample", "obs").values
        design = replace(design, in_treatment=np.zeros_like(design.in_treatment), intercept_T=False)
    rows = Rows.of(design, compress=False)
    return pointwise(rows, vectors(posterior, design), np.arctanh(posterior.rho.values), offsets=offsets)


@cache
def _code():
    """A fingerprint of this package: a changed helper must not meet an old result."""
    return joblib.hash([path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py"))])


def world_table(fits, *, probability=0.95, reference=None):
    """The talk's table, with what it lacked.

    Parameters
    ----------
    fits : mapping of str to DataTree
        From `fit_worlds` (or `fit`, by name).
    probability : float
        Of the central interval.
    reference : str, optional
        The world that ``gap`` is measured from; left out, the first.

    Returns
    -------
    pandas.DataFrame
        One row a world: ``alpha`` (posterior mean), ``low`` and ``high``, ``gap`` from the reference world, ``rho``
        and its ``rho_sd``, ``P(alpha>0)`` (of a binary outcome it is ``effect``, in percentage points, that has
        these columns, and ``alpha`` follows), ``elpd`` (leave-one-out log density of Y and T; higher is better) with
        its difference ``d_elpd`` from the best world and that difference's ``d_se``, ``rhat``, ``ess``,
        ``divergences``, ``passes``, ``interpretation``.

    Raises
    ------
    ValueError
        When `reference` is not among the worlds, the fits are of different rows, outcomes, treatments or steps, or
        some outcomes are binary and others not.
    """
    probability = arguments.probability(probability)
    accepted = "a mapping of names to fits, from fit_worlds"
    fits = _same_data(arguments.mapping(fits, "fits", accepted, check=_alpha, least=1))
    reference = next(iter(fits)) if reference is None else arguments.one_of(reference, tuple(fits), "reference")
    binary = [name for name, idata in fits.items() if "effect" in idata["posterior"]]
    if 0 < len(binary) < len(fits):
        raise ValueError(f"fits has worlds of a binary outcome, {binary}, among others; accepted is one kind a table.")
    read = "effect" if binary else "alpha"
    table = pd.DataFrame({name: _row(idata, probability, read) for name, idata in fits.items()}).T
    table.insert(3, "gap", table[read] - table.loc[reference, read])
    scores = {name: idata["score"].elpd.values for name, idata in fits.items() if "score" in idata.children}
    if scores:
        best = max(scores, key=lambda name: scores[name].sum())
        for name, elpd in scores.items():
            difference = elpd - scores[best]
            table.loc[name, ["elpd", "d_elpd", "d_se"]] = [
                elpd.sum(), difference.sum(), np.sqrt(len(difference)) * difference.std()]  # fmt: skip
    checks = diagnostics(fits)
    table["rhat"] = checks["rhat"]
    table["ess"] = checks[["ess_bulk", "ess_tail"]].min(axis=1)
    table[["divergences", "passes"]] = checks[["divergences", "passes"]]
    table["interpretation"] = [idata.attrs.get("interpretation", "") for idata in fits.values()]
    table = table.infer_objects().rename_axis("world")
    table.attrs = _same_step(fits)
    return table


def _same_step(fits):
    """The change in the treatment that all fits read the effect for, where it is not one unit."""
    told = {name: stepped(idata.attrs) for name, idata in fits.items()}
    first, *others = told.values()
    if any(other != first for other in others):
        steps = {name: each.get("step", 1.0) for name, each in told.items()}
        raise ValueError(
            f"fits read the effect for different steps of the treatment, {steps}; accepted is one step a table."
        )
    return first


def _alpha(idata, name):
    binary = "effect" in arguments.fitted(idata, name)["posterior"]
    return arguments.fitted(idata, name, needs=["effect" if binary else "alpha"])


def _same_data(fits):
    """The fits, if they are of the same rows: between others no effect and no score can be compared."""
    first, seen = next(iter(fits)), {name: idata.children.get("observed_data", {}) for name, idata in fits.items()}
    for name, data in seen.items():
        for side in ("outcome", "treatment"):
            here, there = (each.get(f"likelihood_{side}") for each in (data, seen[first]))
            if here is not None and there is not None and not np.array_equal(here, there):
                raise ValueError(
                    f"fits[{name!r}]={arguments.told(fits[name])} and fits[{first!r}] are of other data: "
                    f"{here.size:,} and {there.size:,} rows, with other values of the {side}; accepted are fits of the "
                    "same rows, with one outcome and one treatment."
                )
    return fits


def _row(idata, probability, read):
    posterior = idata["posterior"]
    values = posterior[read].values
    rho = posterior["rho"].values if "rho" in posterior else np.array([np.nan])
    low, high = np.quantile(values, [(1 - probability) / 2, (1 + probability) / 2])
    row = {read: values.mean(), "low": low, "high": high, "rho": rho.mean(), "rho_sd": rho.std(),
           f"P({read}>0)": (values > 0).mean(), "elpd": np.nan, "d_elpd": np.nan, "d_se": np.nan}  # fmt: skip
    if read == "effect":
        row["alpha"] = float(posterior["alpha"].mean()) if "alpha" in posterior else np.nan
    return row
