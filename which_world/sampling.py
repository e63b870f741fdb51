"""From a model to draws, by the fastest exact route, with diagnostics that cannot be overlooked.

*Columns.* For normal priors no gradient is compiled: `which_world.engine.independence` proposes independent draws from
the Laplace columns and makes them exact.
*Spreads.* For the sieve and the funnel: `which_world.engine.sparse_gibbs`.
*Trees.* For a joint model with a forest: `which_world.engine.forest_gibbs`.
*NUTS.* For every other model, and wherever Pareto k̂ objects: nutpie, with a low-rank mass matrix; with trees or
discrete variables, PyMC's own steps (`which_world.engine.particle_gibbs`).
"""

import time
import warnings
from collections.abc import Hashable, Mapping

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm

from which_world import arguments
from which_world.design import Design
from which_world.engine.from_pymc import extract, observed
from which_world.engine.independence import independence_metropolis
from which_world.forest import PREFIX
from which_world.models import joint_model
from which_world.priors import atanh_normal, scales

RHAT, ESS = 1.01, 400
ESSES = "ess_bulk", "ess_tail"


def fit(model_or_design, *, draws=1000, tune=1000, chains=4, seed=0, progressbar=False):
    """Draws from the posterior.

    Parameters
    ----------
    model_or_design : pm.Model or Design
        A model from `joint_model`, observed or not (its own data are used then), or any other observed
        PyMC model; a design stands for the joint model with default priors.
    draws, tune, chains : int
        Draws and tuning steps per chain. Only NUTS tunes.
    seed : int
        The same seed gives the same draws.
    progressbar : bool
        Shown by NUTS alone; the columns are done before it would appear.

    Returns
    -------
    xarray.DataTree
        ``posterior`` with the model's variables (α and σ_U in the reader's units), ``sample_stats``,
        ``observed_data``; its attributes name the ``route`` taken, ``seconds`` and Pareto k̂.

    Warns
    -----
    UserWarning
        Naming parameters and remedy, when R-hat ≥ 1.01, ESS < 400 or a divergence remains.

    References
    ----------
    Tierney 1994 (independence Metropolis); Vehtari et al. 2021 (R-hat, ESS); Vehtari et al. 2024 (Pareto k̂).
    """
    draws, chains = arguments.count(draws, "draws"), arguments.count(chains, "chains")
    tune, seed = arguments.count(tune, "tune", least=0), arguments.seed(seed)
    arguments.flag(progressbar, "progressbar")
    started = time.perf_counter()
    idata, model = _by_own_route(model_or_design, draws=draws, tune=tune, chains=chains, seed=seed)
    if idata is None:
        general = _by_steps if _has_forest(model) or model.discrete_value_vars else _by_nuts
        idata = general(model, draws=draws, tune=tune, chains=chains, seed=seed, progressbar=progressbar)
    idata.attrs["seconds"] = time.perf_counter() - started
    _warn(idata)
    return idata


def _by_own_route(model_or_design, *, draws, tune, chains, seed):
    """Draws by the route made for a joint model, or None; and the observed model that a general route would sample."""
    settings = {"draws": draws, "chains": chains, "seed": seed}
    if isinstance(model_or_design, Design):
        design, prior = model_or_design, scales(model_or_design)
        idata = independence_metropolis(design, prior, atanh_normal().logpdf, **settings)
        return idata, observed(joint_model(design)) if idata is None else None
    model = _observed(model_or_design)
    joint = extract(model)
    if joint is None:
        return None, model
    if joint.family == "normal":
        return independence_metropolis(joint.design, joint.scales, joint.rho, **settings), model
    if joint.family == "forest":
        from which_world.engine.forest_gibbs import forest_gibbs as gibbs
    else:
        from which_world.engine.sparse_gibbs import sparse_gibbs as gibbs
    return gibbs(joint, tune=tune, **settings), model


def _observed(model):
    accepted = "a pm.Model, such as joint_model(design), or a Design from make_design"
    arguments.instance(model, pm.Model, "model_or_design", accepted)
    model = observed(model)
    if not model.observed_RVs:
        raise ValueError("the model has no observed data; accepted is a model with data, see pm.observe.")
    return model


def _has_forest(model):
    """Whether a PyMC-BART variable is among the free ones."""
    return any(type(rv.owner.op).__name__.startswith("BART") for rv in model.free_RVs)


def _by_steps(model, **settings):
    """PyMC's own compound steps, where a variable has no gradient."""
    from which_world.engine.particle_gibbs import particle_gibbs  # needs pymc-bart

    return particle_gibbs(model, names=_kept(model), **settings)


def _kept(model):
    """Names of what is drawn, without the treatment as it acts: n values in every draw, and all of them data."""
    return [rv.name for rv in (*model.free_RVs, *model.deterministics) if rv.name != "treatment"]


def _by_nuts(model, *, draws, tune, chains, seed, progressbar):
    import nutpie  # slow to import, and only a changed model needs it

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        compiled = nutpie.compile_pymc_model(model, var_names=_kept(model))
    idata = nutpie.sample(
        compiled, draws=draws, tune=tune, chains=chains, seed=seed, progress_bar=progressbar,
        adaptation="low_rank", save_warmup=False,
    )  # fmt: skip
    idata.attrs["route"] = "nuts"
    return idata


def diagnostics(fits):
    """One row a fit: can its posterior be shown?

    Parameters
    ----------
    fits : mapping of name to DataTree, or one DataTree
        From `fit` or `fit_worlds`; any DataTree with a ``posterior`` group will do.

    Returns
    -------
    pandas.DataFrame
        ``rhat`` (the largest), ``ess_bulk`` and ``ess_tail`` (the smallest, over all parameters that vary;
        a forest is judged through them and its average, not value by value),
        ``divergences`` (zero by construction where no NUTS ran), ``pareto_k``, ``seconds``, ``route`` and
        ``passes``: R-hat < 1.01, ESS ≥ 400 and no divergence.
    """
    if isinstance(fits, Mapping) and fits and not hasattr(fits, "dims"):  # a tree is a mapping as well
        fits = arguments.mapping(fits, "fits", "a mapping of names to fits", keys=Hashable, check=arguments.fitted)
    else:
        fits = {"fit": arguments.fitted(fits, "fits")}
    rows = {name: _diagnose(idata)[0] for name, idata in fits.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("world")


def _diagnose(idata):
    """One row of `diagnostics`, and the names of the parameters that fail."""
    posterior = idata["posterior"].to_dataset()
    judged = [name for name in posterior if not name.startswith(PREFIX)]  # what a forest does, not its n values
    varying = posterior[[name for name in judged if posterior[name].size and np.ptp(posterior[name].values) > 0]]
    with warnings.catch_warnings():  # an excluded coefficient never varies, and has no R-hat
        warnings.filterwarnings("ignore", "invalid value", RuntimeWarning)
        figures = _figures(varying)
    stats = idata.children.get("sample_stats")
    divergences = int(stats["diverging"].sum()) if stats is not None and "diverging" in stats else 0
    worst = {"rhat": _extreme(figures["rhat"], np.nanmax)}
    worst |= {name: _extreme(figures[name], np.nanmin) for name in ("ess_bulk", "ess_tail")}
    failing = sorted(
        name for name in varying
        if figures["rhat"][name].max() >= RHAT or min(figures[k][name].min() for k in ESSES if name in figures[k]) < ESS
    )  # fmt: skip
    row = worst | {
        "divergences": divergences, "pareto_k": idata.attrs.get("pareto_k", np.nan),
        "seconds": idata.attrs.get("seconds", np.nan), "route": idata.attrs.get("route", ""),
        "passes": not failing and divergences == 0,
    }  # fmt: skip
    return row, failing


def _figures(posterior):
    smooth = posterior[[name for name in posterior if posterior[name].dtype.kind == "f"]]  # zeros and ones have no tail
    return {"rhat": az.rhat(posterior), "ess_bulk": az.ess(posterior, method="bulk"),
            "ess_tail": az.ess(smooth, method="tail")}  # fmt: skip


def _extreme(dataset, which):
    return float(which(np.concatenate([dataset[name].values.ravel() for name in dataset])))


def _warn(idata):
    row, failing = _diagnose(idata)
    if row["passes"]:
        return
    arguments.warn(
        f"this posterior is not to be shown: R-hat {row['rhat']:.3f}, smallest ESS "
        f"{min(row['ess_bulk'], row['ess_tail']):.0f}, {row['divergences']} divergences; failing: "
        f"{', '.join(failing) or 'none by R-hat or ESS'}. Accepted are R-hat < {RHAT}, ESS ≥ {ESS} and no divergence: "
        "raise draws and tune, tighten the prior of the failing parameters, or look for an unidentified direction."
    )
