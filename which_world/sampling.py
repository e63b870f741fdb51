"""From a model to draws, by the fastest exact route, with diagnostics that cannot be overlooked.

*Columns.* For normal priors no gradient is compiled: `which_world.engine.independence` proposes
independent draws from the Laplace columns and makes them exact. *Spreads.* For the sieve and the
funnel: `which_world.engine.sparse_gibbs`. *Trees.* For a joint model with a forest:
`which_world.engine.forest_gibbs`. *NUTS.* For every other model, and wherever Pareto k̂ objects:
nutpie, with a low-rank mass matrix; with trees or discrete variables, PyMC's own steps
(`which_world.engine.particle_gibbs`).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from which_world import arguments
from which_world.design import Design, check_few
from which_world.engine.compiled import rounded_alike
from which_world.engine.from_pymc import extract, observed
from which_world.engine.independence import independence_metropolis
from which_world.forest import PREFIX
from which_world.models import joint_model
from which_world.moments import on_one_thread
from which_world.priors import atanh_normal, scales

RHAT, ESS = 1.01, 400  # what a posterior must have to be shown: below the one, above the other
LOOSE = 1.05  # R-hat of so few draws that independent ones would often miss the other


@on_one_thread
def fit(
    model_or_design: pm.Model | Design,
    *,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    seed: int = 0,
    progressbar: bool = False,
) -> xr.DataTree:
    """Draws from the posterior.

    Parameters
    ----------
    model_or_design : pm.Model or Design
        A model from `joint_model`, observed or not (its own data are used then), or any other
        observed PyMC model; a design stands for the joint model with default priors.
    draws, tune, chains : int
        Draws and tuning steps per chain. Only NUTS tunes.
    seed : int
        The same seed gives the same draws.
    progressbar : bool
        Shown by NUTS alone; the columns are done before it would appear.

    Returns
    -------
    xarray.DataTree
        ``posterior`` with the model's variables (α and σ_U in the reader's units),
        ``sample_stats``, ``observed_data``; its attributes name the ``route`` taken, ``seconds``
        and Pareto k̂.

    Warns
    -----
    UserWarning
        Naming parameters and remedy, when R-hat ≥ 1.01, ESS < 400 or a divergence remains. Of fewer
        than 800 draws in all: when R-hat ≥ 1.05 or ESS is below a quarter of them, since no sampler
        could give more; `diagnostics` has them fail all the same.

    References
    ----------
    Tierney 1994 (independence Metropolis); Vehtari et al. 2021 (R-hat, ESS); Vehtari et al. 2024
    (Pareto k̂).

    See Also
    --------
    diagnostics : whether the posterior can be shown.
    fit_worlds : several sets of assumptions at once.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import fit, make_design
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"T": rng.normal(size=400), "X": rng.normal(size=400)})
    >>> table["Y"] = 2 * table["T"] + table["X"] + rng.normal(size=400)
    >>> design = make_design(table, outcome="Y ~ T + X", treatment="T ~ X")
    >>> idata = fit(design, draws=500)
    >>> idata["posterior"]["alpha"].dims, idata["posterior"]["alpha"].shape
    (('chain', 'draw'), (4, 500))
    >>> bool(abs(idata["posterior"]["alpha"].mean() - 2) < 0.5)
    True
    """
    draws, chains = arguments.count(draws, "draws"), arguments.count(chains, "chains")
    tune, seed = arguments.count(tune, "tune", least=0), arguments.seed(seed)
    arguments.flag(progressbar, "progressbar")
    settings = {"draws": draws, "tune": tune, "chains": chains, "seed": seed}
    started = time.perf_counter()
    idata, model = _by_own_route(model_or_design, **settings)
    if idata is None:
        stepwise = _has_forest(model) or model.discrete_value_vars
        general = _by_steps if stepwise else _by_nuts
        idata = general(model, progressbar=progressbar, **settings)
    idata.attrs["seconds"] = time.perf_counter() - started
    _warn(idata)
    return idata


def _by_own_route(
    model_or_design: pm.Model | Design, *, draws: int, tune: int, chains: int, seed: int
) -> tuple[xr.DataTree | None, Any]:
    """Draws by the route made for a joint model, and the observed model.

    Where there is no such route the draws are None, and the model is for a general one.
    """
    settings = {"draws": draws, "chains": chains, "seed": seed}
    if isinstance(model_or_design, Design):
        design = check_few(model_or_design)
        prior = scales(design)
        idata = independence_metropolis(design, prior, atanh_normal().logpdf, **settings)
        return idata, observed(joint_model(design)) if idata is None else None
    model = _observed(model_or_design)
    joint = extract(model)
    if joint is None:
        return None, model
    if joint.family == "normal":
        idata = independence_metropolis(joint.design, joint.scales, joint.rho, **settings)
        return idata, model
    if joint.family == "forest":
        from which_world.engine.forest_gibbs import forest_gibbs as gibbs
    else:
        from which_world.engine.sparse_gibbs import sparse_gibbs as gibbs
    return gibbs(joint, tune=tune, **settings), model


def _observed(model: Any) -> pm.Model:
    """The model with its data, if it is a model and has any."""
    accepted = "a pm.Model, such as joint_model(design), or a Design from make_design"
    arguments.instance(model, pm.Model, "model_or_design", accepted)
    model = observed(model)
    if not model.observed_RVs:
        raise ValueError(
            "the model has no observed data; accepted is a model with data, see pm.observe."
        )
    return model


def _has_forest(model: pm.Model) -> bool:
    """Whether a PyMC-BART variable is among the free ones."""
    return any(type(rv.owner.op).__name__.startswith("BART") for rv in model.free_RVs)


def _by_steps(model: pm.Model, **settings: Any) -> xr.DataTree:
    """PyMC's own compound steps, where a variable has no gradient."""
    from which_world.engine.particle_gibbs import particle_gibbs  # needs pymc-bart

    return particle_gibbs(model, names=_recorded(model), **settings)


def _recorded(model: pm.Model) -> list[str]:
    """Names of what is drawn.

    Without the treatment as it acts: n values in every draw, and all of them data.
    """
    variables = (*model.free_RVs, *model.deterministics)
    return [variable.name for variable in variables if variable.name != "treatment"]


def _by_nuts(model: pm.Model, *, progressbar: bool, **settings: int) -> xr.DataTree:
    """Nutpie's sampler with a low-rank mass matrix."""
    import nutpie  # slow to import, and only a changed model needs it

    with warnings.catch_warnings(), rounded_alike():
        warnings.filterwarnings("ignore", category=FutureWarning)
        compiled = nutpie.compile_pymc_model(model, var_names=_recorded(model))
    settings |= {"progress_bar": progressbar, "save_warmup": False}
    idata = nutpie.sample(compiled, adaptation="low_rank", **settings)
    idata.attrs["route"] = "nuts"
    return idata


def diagnostics(fits: Mapping[Any, xr.DataTree] | xr.DataTree) -> pd.DataFrame:
    """One row a fit: can its posterior be shown?

    Parameters
    ----------
    fits : mapping of name to DataTree, or one DataTree
        From `fit` or `fit_worlds`; any DataTree with a ``posterior`` group will do.

    Returns
    -------
    pandas.DataFrame
        ``rhat`` (the largest), ``ess_bulk`` and ``ess_tail`` (the smallest, over all parameters
        that vary; a forest is judged through them and its average, not value by value),
        ``divergences`` (zero by construction where no NUTS ran), ``pareto_k``, ``seconds``,
        ``route`` and ``passes``: R-hat < 1.01, ESS ≥ 400 and no divergence.

    See Also
    --------
    fit, fit_worlds : make the posteriors.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import diagnostics, fit, make_design
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame(rng.normal(size=(100, 3)), columns=["Y", "T", "X"])
    >>> design = make_design(table, outcome="Y ~ T + X", treatment="T ~ X")
    >>> table = diagnostics({"default priors": fit(design)})
    >>> table["passes"].to_dict()
    {'default priors': True}
    """
    if isinstance(fits, Mapping) and fits and not hasattr(fits, "dims"):  # a tree is a mapping too
        accepted = "a mapping of names to fits"
        several = arguments.mapping(fits, "fits", accepted, keys=Hashable, check=arguments.fitted)
    else:
        several = {"fit": arguments.fitted(fits, "fits")}
    rows = {name: _diagnose(idata)[0] for name, idata in several.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("world")


def _diagnose(
    idata: xr.DataTree, *, most_rhat: float = RHAT, least: float = ESS
) -> tuple[dict[str, Any], list[str]]:
    """One row of `diagnostics`, and the names of the parameters that fail."""
    varying = _varying(idata["posterior"].to_dataset()).transpose("chain", "draw", ...)
    each = {str(name): varying[name].data.reshape(*varying[name].shape[:2], -1) for name in varying}
    names = np.repeat(list(each), [values.shape[2] for values in each.values()])
    continuous = np.isin(names, [name for name in each if each[name].dtype.kind == "f"])
    together = np.concatenate(list(each.values()), axis=2)  # one call for all: half of the time
    draws = xr.DataArray(together, dims=("chain", "draw", "value"))
    with warnings.catch_warnings():  # an excluded coefficient never varies, and has no R-hat
        warnings.filterwarnings("ignore", "invalid value", RuntimeWarning)
        rhat, bulk = az.rhat(draws).values, az.ess(draws, method="bulk").values
        tail = np.full(len(names), np.nan)  # zeros and ones have none
        tail[continuous] = az.ess(draws[..., continuous], method="tail").values
    divergences = _divergences(idata)
    bad = (rhat >= most_rhat) | (bulk < least) | (tail < least)
    failing = sorted({str(name) for name in names[bad]})
    row = {
        "rhat": _extreme(rhat, np.nanmax),
        "ess_bulk": _extreme(bulk, np.nanmin),
        "ess_tail": _extreme(tail, np.nanmin),
        "divergences": divergences,
        "pareto_k": idata.attrs.get("pareto_k", np.nan),
        "seconds": idata.attrs.get("seconds", np.nan),
        "route": idata.attrs.get("route", ""),
        "passes": not failing and divergences == 0,
    }
    return row, failing


def _varying(posterior: xr.Dataset) -> xr.Dataset:
    """The parameters that are judged: those that vary, and no forest's n values."""
    judged = [name for name in posterior if not str(name).startswith(PREFIX)]
    sized = [name for name in judged if posterior[name].size]
    return posterior[[name for name in sized if np.ptp(posterior[name].values) > 0]]


def _divergences(idata: xr.DataTree) -> int:
    """How many divergences NUTS counted; zero where none ran."""
    stats = idata.children.get("sample_stats")
    return int(stats["diverging"].sum()) if stats is not None and "diverging" in stats else 0


def _extreme(numbers: np.ndarray, choose: Callable[[np.ndarray], float]) -> float:
    """The largest or smallest of some numbers; NaN where there is none: one chain has no R-hat."""
    return float(choose(numbers)) if not np.isnan(numbers).all() else np.nan


def _warn(idata: xr.DataTree) -> None:
    """Warn of a posterior that is not to be shown."""
    total = idata["posterior"].sizes["chain"] * idata["posterior"].sizes["draw"]
    few = total < 2 * ESS
    most_rhat, least = (LOOSE, total / 4) if few else (RHAT, ESS)
    row, failing = _diagnose(idata, most_rhat=most_rhat, least=least)
    if row["passes"]:
        return
    size = min(row["ess_bulk"], row["ess_tail"])
    arguments.warn(
        f"this posterior is not to be shown: R-hat {row['rhat']:.3f}, smallest ESS {size:.0f}, "
        f"{row['divergences']} divergences; failing: "
        f"{', '.join(failing) or 'none by R-hat or ESS'}. Accepted are R-hat < {most_rhat}, ESS ≥ "
        f"{least:g} and no divergence: raise draws and tune, tighten the prior of the failing "
        "parameters, or look for an unidentified direction."
    )
