"""Worlds: named sets of assumptions, fitted side by side, and laid out in one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

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
from which_world.moments import on_one_thread
from which_world.priors import AtanhNormal, check_rho
from which_world.readings import summary
from which_world.sampling import diagnostics, fit
from which_world.selection import check_coefficients

if TYPE_CHECKING:
    from scipy.stats.distributions import rv_frozen

    from which_world.forest import Forest
    from which_world.priors import Normal, UnitInformation
    from which_world.selection import Excluded, Horseshoe, SpikeAndSlab

    Coefficients = Normal | UnitInformation | SpikeAndSlab | Horseshoe | Excluded

MOST_SCORED = 2e7  # log likelihoods computed for a predictive score: draws times observations
MOST_DRAWS = 1000  # that one needs
FEWEST_DRAWS = 100  # from which one is computed
ANY_CURRENT = AtanhNormal()  # the prior over ρ of a world that says nothing of it
COMPILING = Lock()  # PyTensor has global settings while it compiles: threads take turns


@dataclass(frozen=True, eq=False)
class World:
    """A name, a design and what is assumed about it.

    Attributes
    ----------
    name : str
    design : Design
    rho : float, prior or None
        As in `joint_model`; None is the world without a treatment equation: least squares (through
        the zeros and ones of a binary outcome as well).
    coefficients, alpha, sigma
        The other priors, as in `joint_model`.
    interpretation : str
        What believing this world means, for the table.
    treatment : Forest, optional
        From `bart`: a forest instead of a line in the treatment equation.

    Raises
    ------
    TypeError, ValueError
        Naming the world and what cannot be used: a `rho` that is no correlation and no prior over
        one, a spread that is not positive, something else than a design, a prior over coefficients
        or a forest.

    See Also
    --------
    fit_worlds : draws of each world.
    world_table : the worlds side by side.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import World, make_design
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 2 * (x + v) + x + u})
    >>> design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    >>> worlds = [World("least squares", design, rho=None), World("some current", design, rho=0.3)]
    >>> print([world.name for world in worlds])
    ['least squares', 'some current']
    """

    name: str
    design: Design
    rho: float | AtanhNormal | rv_frozen | None = ANY_CURRENT
    coefficients: Coefficients | None = None
    alpha: float | None = None
    sigma: float | None = None
    interpretation: str = ""
    treatment: Forest | None = None

    def __post_init__(self):
        arguments.instance(self.name, str, "name", "a name, a str")
        at = f"world {self.name!r}: "
        design = "a Design from make_design"
        arguments.instance(self.design, Design, f"{at}design", design)
        arguments.optional(check_rho, self.rho, f"{at}rho")
        arguments.optional(check_coefficients, self.coefficients, f"{at}coefficients")
        arguments.optional(arguments.positive, self.alpha, f"{at}alpha")
        arguments.optional(arguments.positive, self.sigma, f"{at}sigma")
        arguments.text(self.interpretation, f"{at}interpretation", accepted="a sentence, or ''")
        check_forest(**{f"{at}treatment": self.treatment})


def fit_worlds(
    worlds: Iterable[World],
    *,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    seed: int = 0,
    folder: str | PathLike | None = ".worlds",
) -> dict[str, xr.DataTree]:
    """Draws of every world, by name; what is finished is kept on disk, so a stopped run resumes.

    Parameters
    ----------
    worlds : iterable of World
    draws, tune, chains, seed
        As in `fit`.
    folder : path or None
        Where finished worlds are kept. A world is fitted anew when its data, its assumptions, the
        settings or this package's code have changed. A file that was damaged is set aside, with a
        warning. None keeps nothing.

    Returns
    -------
    dict of str to xarray.DataTree
        In the order given. Each tree carries a group ``score``: the pointwise leave-one-out log
        density of (Y, T) jointly, by Pareto-smoothed importance sampling. Least squares, which
        gives T no probability, has none.

    Raises
    ------
    ValueError
        When two worlds share a name, or a setting is no whole number.
    TypeError
        When something else than a `World` is given.
    OSError
        When `folder` cannot be written in, before anything is fitted; later, it is a warning and
        nothing is lost.

    See Also
    --------
    fit : one model.
    world_table : the fits side by side.

    Notes
    -----
    Runs through joblib, one world at a time unless told otherwise: inside
    ``with joblib.parallel_config(backend="dask"):`` (or ``n_jobs=2``) the worlds run side by side.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import World, fit_worlds, make_design
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 2 * (x + v) + x + u})
    >>> design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    >>> fits = fit_worlds([World("least squares", design, rho=None)], folder=None)
    >>> print(f"{float(fits['least squares']['posterior'].alpha.mean()):.1f}")
    2.0
    """
    worlds = _distinct(worlds)
    accepted = "the path of a folder, or None to keep nothing"
    folder = arguments.optional(arguments.path, folder, "folder", accepted=accepted)
    settings = {
        "draws": arguments.count(draws, "draws"),
        "tune": arguments.count(tune, "tune", least=0),
        "chains": arguments.count(chains, "chains"),
        "seed": arguments.seed(seed),
    }
    keys = {world.name: _key(world, settings) for world in worlds}
    fits = {}
    if folder is not None:
        kept = {name: store.load(folder, key) for name, key in keys.items()}
        fits = {name: idata for name, idata in kept.items() if idata is not None}
    waiting = [world for world in worlds if world.name not in fits]
    if waiting and folder is not None:
        store.check_writable(folder)
    jobs = (delayed(_fit_world)(world, settings) for world in waiting)
    for name, idata in Parallel(return_as="generator_unordered")(jobs):
        fits[name] = idata
        if folder is not None:
            store.keep(idata, folder, keys[name])
    return {world.name: fits[world.name] for world in worlds}


def _distinct(worlds):
    """The worlds in a list, if that is what they are and each has a name of its own."""
    accepted = "World(name, design, ...) values, in a list"
    worlds = arguments.listed(worlds, "worlds", accepted, kind=object)
    for k, world in enumerate(worlds):
        arguments.instance(world, World, f"worlds[{k}]", "a World(name, design, ...)")
    names = [world.name for world in worlds]
    if len(set(names)) < len(names):
        shared = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"worlds share names: {shared}; give each its own.")
    return worlds


def _key(world, settings):
    """What a fit is kept under: data, assumptions, settings and the package's code."""
    assumptions = {name: value for name, value in vars(world).items() if name != "design"}
    return store.key(world.design, assumptions, settings, _code())


def _fit_world(world, settings):
    """A world's name and its draws, with their score."""
    try:
        if world.rho is None:
            return world.name, _least_squares(world, settings)
        with COMPILING:
            model = joint_model(
                world.design,
                coefficients=world.coefficients,
                rho=world.rho,
                alpha=world.alpha,
                sigma=world.sigma,
                treatment=world.treatment,
            )
            idata = fit(model, **settings)
    except Exception as error:
        error.add_note(f"while fitting the world {world.name!r}")
        raise
    idata.attrs |= {"interpretation": world.interpretation} | stepped(vars(world.design))
    return world.name, _score(idata, world.design)


def _least_squares(world, settings):
    """Least squares as draws: the posterior under a flat prior has the classical intervals."""
    result, design = ols(world.design), world.design
    rng = np.random.default_rng(settings["seed"])
    half = -(-settings["chains"] * settings["draws"] // 2)
    sigma = np.tile(np.sqrt(result.ssr / rng.chisquare(result.df_resid, half)), 2)
    centre = np.zeros(len(result.params))
    noise = rng.multivariate_normal(centre, result.normalized_cov_params, half)
    noise = np.concatenate([noise, -noise])  # in pairs, so that the mean is the estimate itself
    theta = result.params.to_numpy() + sigma[:, None] * noise
    if design.outcome_kind == "binary":  # the line's slope is a difference in chances
        draws = {"effect": POINTS * design.step * theta[:, -1]}
    else:
        draws = {"alpha": theta[:, -1], "sigma_U": sigma}
    shape = (settings["chains"], settings["draws"])
    posterior = {name: np.resize(values, shape) for name, values in draws.items()}
    observed = {"likelihood_outcome": design.y, "likelihood_treatment": design.t}
    groups = {"posterior": posterior, "observed_data": observed}
    idata = az.from_dict(groups, dims={name: ["obs"] for name in observed})
    idata.attrs |= {"route": "ols", "interpretation": world.interpretation}
    idata.attrs |= stepped(vars(design))
    return idata


def _score(idata, design):
    """The fit with a leave-one-out score of (Y, T), from a thinned sample where n is large."""
    posterior = az.extract(idata)
    size = min(posterior.sizes["sample"], MOST_DRAWS, int(MOST_SCORED // design.n))
    if size < FEWEST_DRAWS:
        return idata
    chosen = np.linspace(0, posterior.sizes["sample"] - 1, size).astype(int)
    posterior = posterior.isel(sample=chosen)
    log_likelihood = {"joint": _pointwise(posterior, design)[None]}
    alpha = {"alpha": posterior.alpha.values[None]}
    tree = az.from_dict({"posterior": alpha, "log_likelihood": log_likelihood})
    loo = az.loo(tree, pointwise=True)
    by_row = {"elpd": loo.elpd_i, "pareto_k": loo.pareto_k}
    variables = {name: ("obs", np.asarray(values).ravel()) for name, values in by_row.items()}
    idata["score"] = xr.DataTree(xr.Dataset(variables))
    return idata


def _pointwise(posterior, design):
    """Log likelihood of each row under each draw: (draws, n).

    A forest is an offset in the index of the treatment.
    """
    offset_T = 0.0
    if "forest_T" in posterior:
        offset_T = posterior.forest_T.transpose("sample", "obs").values
        nowhere = np.zeros_like(design.in_treatment)
        design = replace(design, in_treatment=nowhere, intercept_T=False)
    rows = Rows.of(design, compress=False)
    theta, a = vectors(posterior, design), np.arctanh(posterior.rho.values)
    return pointwise(rows, theta, a, offsets=(0.0, offset_T))


@cache
def _code():
    """A fingerprint of this package: changed code must not meet an old result."""
    return joblib.hash([path.read_bytes() for path in sorted(Path(__file__).parent.rglob("*.py"))])


@on_one_thread
def world_table(
    fits: Mapping[str, xr.DataTree],
    *,
    probability: float = 0.95,
    reference: str | None = None,
) -> pd.DataFrame:
    """Fits side by side, a row each: effect, ρ, predictive score and diagnostics.

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
        One row a world: ``alpha`` (posterior mean), ``low`` and ``high``, ``gap`` from the
        reference world, ``rho`` and its ``rho_sd``, ``P(alpha>0)`` (of a binary outcome it is
        ``effect``, in percentage points, that has these columns, and ``alpha`` follows), ``elpd``
        (leave-one-out log density of Y and T; higher is better) with its difference ``d_elpd`` from
        the best world and that difference's ``d_se``, ``rhat``, ``ess``, ``divergences``,
        ``passes``, ``interpretation``.

    Raises
    ------
    ValueError
        When `reference` is not among the worlds, the fits are of different rows, outcomes,
        treatments or steps, or some outcomes are binary and others not.

    See Also
    --------
    fit_worlds : the fits.
    plot_worlds : the table as a figure.
    reading_table : readings of a map side by side.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import World, fit_worlds, make_design, world_table
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 2 * (x + v) + x + u})
    >>> design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    >>> fits = fit_worlds([World("least squares", design, rho=None)], folder=None)
    >>> print(world_table(fits)[["alpha", "low", "high"]].round(1).to_dict("index"))
    {'least squares': {'alpha': 2.0, 'low': 1.9, 'high': 2.1}}
    """
    probability = arguments.probability(probability)
    accepted = "a mapping of names to fits, from fit_worlds"
    fits = arguments.mapping(fits, "fits", accepted, check=_with_effect, least=1)
    _check_same_data(fits)
    names = tuple(fits)
    reference = names[0] if reference is None else arguments.one_of(reference, names, "reference")
    binary = [name for name, idata in fits.items() if "effect" in idata["posterior"]]
    if 0 < len(binary) < len(fits):
        has = f"fits has worlds of a binary outcome, {binary}, among others"
        raise ValueError(f"{has}; accepted is one kind a table.")
    read = "effect" if binary else "alpha"
    rows = {name: _row(idata, probability, read) for name, idata in fits.items()}
    table = pd.DataFrame(rows).T
    table.insert(3, "gap", table[read] - rows[reference][read])
    _fill_scores(table, fits)
    checks = diagnostics(fits)
    table["rhat"] = checks["rhat"]
    table["ess"] = checks[["ess_bulk", "ess_tail"]].min(axis=1)
    table[["divergences", "passes"]] = checks[["divergences", "passes"]]
    table["interpretation"] = [idata.attrs.get("interpretation", "") for idata in fits.values()]
    table = table.infer_objects().rename_axis("world")
    table.attrs = _common_step(fits)
    return table


def _fill_scores(table, fits):
    """Put the scores of worlds that have one in the table, beside the best's."""
    scored = {name: idata for name, idata in fits.items() if "score" in idata.children}
    scores = {name: idata["score"].elpd.values for name, idata in scored.items()}
    best = max(scores, key=lambda name: scores[name].sum(), default=None)
    for name, elpd in scores.items():
        difference = elpd - scores[best]
        se = np.sqrt(len(difference)) * difference.std()
        table.loc[name, ["elpd", "d_elpd", "d_se"]] = [elpd.sum(), difference.sum(), se]


def _common_step(fits):
    """The change in the treatment that all fits read the effect for, where it is not one unit."""
    steps = {name: stepped(idata.attrs) for name, idata in fits.items()}
    first, *others = steps.values()
    if any(other != first for other in others):
        sizes = {name: each.get("step", 1.0) for name, each in steps.items()}
        read = f"fits read the effect for different steps of the treatment, {sizes}"
        raise ValueError(f"{read}; accepted is one step a table.")
    return first


def _with_effect(idata, name):
    """A fit, if it has draws of the effect that is read."""
    binary = "effect" in arguments.fitted(idata, name)["posterior"]
    return arguments.fitted(idata, name, needs=["effect" if binary else "alpha"])


def _check_same_data(fits):
    """Refuse fits of other rows: between them no effect and no score can be compared."""
    observed = {name: idata.children.get("observed_data", {}) for name, idata in fits.items()}
    first = next(iter(fits))
    for name, data in observed.items():
        for response in ("outcome", "treatment"):
            here = data.get(f"likelihood_{response}")
            there = observed[first].get(f"likelihood_{response}")
            if here is None or there is None or np.array_equal(here, there):
                continue
            raise ValueError(
                f"fits[{name!r}]={arguments.brief(fits[name])} and fits[{first!r}] are of other "
                f"data: {here.size:,} and {there.size:,} rows, with other values of the "
                f"{response}; accepted are fits of the same rows, with one outcome and one "
                "treatment."
            )


def _row(idata, probability, read):
    """A world's row of the table, its scores left empty."""
    posterior = idata["posterior"]
    effect = posterior[read].values
    rho = posterior["rho"].values if "rho" in posterior else np.array([np.nan])
    row = summary(effect, rho, probability, read)
    row |= dict.fromkeys(["elpd", "d_elpd", "d_se"], np.nan)
    if read == "effect":
        row["alpha"] = float(posterior["alpha"].mean()) if "alpha" in posterior else np.nan
    return row
