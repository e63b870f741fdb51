"""From a model to draws, by the fastest exact route, with diagnostics that cannot be overlooked.

*Columns.* For normal priors no gradient is compiled. Independent proposals are drawn from the columns of
`helpers.columns` (ρ from the columns' evidence, everything else from the Gaussian at that ρ), and an
independence Metropolis step makes them exact. Pareto k̂ of the proposals' weights is the judge.
*Spreads.* For the sieve and the funnel: `helpers.sparse`, judged in the same way.
*NUTS.* For every other model, and wherever k̂ objects: nutpie, with a low-rank mass matrix.
*Trees.* For a model with a forest: backfitting, or PyMC-BART (`helpers.backfit`).
"""

import time
import warnings
from typing import NamedTuple

import arviz as az
import numpy as np
import nutpie
import pandas as pd
import pymc as pm
from arviz_stats.base import array_stats
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp

from helpers.backfit import by_forest, has_forest
from helpers.columns import ladder, log_posterior, log_prior_a
from helpers.design import Design
from helpers.forest import PREFIX
from helpers.models import joint_model
from helpers.priors import atanh_normal, scales
from helpers.reading import named, observed, read
from helpers.reading_sparse import read_sparse
from helpers.sparse import PARETO_K, by_spreads

RHAT, ESS = 1.01, 400
ESSES = "ess_bulk", "ess_tail"
PROPOSALS = 4000  # at least so many, and at least two for every draw that is kept
STAY = 12.0  # steps a chain may stay in one place before better proposals are made
ROUNDS = 4  # of better proposals, before NUTS takes over


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
    started = time.perf_counter()
    model, source = _read(model_or_design)
    settings = {"draws": draws, "tune": tune, "chains": chains, "seed": seed, "progressbar": progressbar}
    idata, sparse = None, None
    if source is not None:
        idata = _by_columns(*source, draws=draws, chains=chains, seed=seed)
    elif (sparse := read_sparse(model)) is not None:
        idata = by_spreads(sparse, draws=draws, tune=tune, chains=chains, seed=seed)
    if idata is None:
        model = observed(joint_model(model_or_design)) if model is None else model
        stepwise = has_forest(model) or model.discrete_value_vars
        idata = (by_forest if stepwise else _by_nuts)(model, **settings)
    idata.attrs["seconds"] = time.perf_counter() - started
    _warn(idata)
    return idata


def _read(model_or_design):
    """The model to sample (None for a design) and, where the columns' route is open, its numbers."""
    if isinstance(model_or_design, Design):
        return None, (model_or_design, scales(model_or_design), atanh_normal().logpdf)
    if not isinstance(model_or_design, pm.Model):
        raise TypeError(
            f"model_or_design={type(model_or_design).__name__}; accepted are a pm.Model, such as "
            "joint_model(design), or a Design from make_design."
        )
    model = observed(model_or_design)
    if not model.observed_RVs:
        raise ValueError("the model has no observed data; accepted is a model with data, see pm.observe.")
    return model, read(model)


def _by_columns(design, prior, rho, *, draws, chains, seed):
    """Independence Metropolis from the columns; None when Pareto k̂ or the effective size objects."""
    rng, rows = np.random.default_rng(seed), design.rows
    rungs = ladder(rows, prior, rho)
    thin = max(2, -(-PROPOSALS // (draws * chains)))
    found = _propose(rows, prior, rho, rungs, chains * (thin * draws + 1), rng)
    pareto_k, stay, moments = _judge(found)
    thin *= 1 if stay < STAY and pareto_k < 0.5 else 4
    for _ in range(ROUNDS):
        if stay < STAY and pareto_k < 0.5:
            break
        # a skewed column: propose again, and more, with the mean and spread that the weights show
        found = _propose(rows, prior, rho, rungs, chains * (thin * draws + 1), rng, *moments)
        pareto_k, stay, moments = _judge(found)
    if pareto_k > PARETO_K or stay > 0.1 * thin * draws:
        return None
    paths = _metropolis(found.log_weight.reshape(chains, -1), rng)
    kept, accepted = (path[:, thin - 1 :: thin] for path in paths)
    theta, a = found.theta[kept], found.a[kept]
    idata = az.from_dict(
        {
            "posterior": named(design, theta, a),
            "sample_stats": {"accepted": accepted, "diverging": np.zeros((chains, draws), dtype=bool)},
            "observed_data": {"likelihood_outcome": design.y, "likelihood_treatment": design.t},
        },
        coords={"covariate": list(design.covariates)}
        | ({"moderator": list(design.moderators)} if design.moderators else {}),
        dims={"beta_O": ["covariate"], "beta_T": ["covariate"], "delta": ["moderator"],
              "likelihood_outcome": ["obs"], "likelihood_treatment": ["obs"]},
    )  # fmt: skip
    idata.attrs.update(route="columns", pareto_k=pareto_k)
    return idata


class Proposals(NamedTuple):
    """Independent proposals with the log weights that would make them exact; z is θ in its column's own units."""

    z: np.ndarray
    theta: np.ndarray
    a: np.ndarray
    log_weight: np.ndarray


def _propose(rows, prior, rho, rungs, size, rng, centre=0.0, spread=None):
    """Independent proposals: a from the columns' evidence, θ = mode + root z, z ~ Normal(centre, spread spread')."""
    if len(rungs.a) == 1:
        a, log_target, log_q = np.full(size, rungs.a[0]), 0.0, 0.0
    else:
        a, log_q = _draw_a(rungs, rho, size, rng)
        log_target = log_prior_a(rho, a)
    mode, root = rungs.at(a)
    spread = np.eye(rows.size) if spread is None else spread
    plain = rng.normal(size=mode.shape)
    z = centre + plain @ spread.T
    theta = mode + np.einsum("sij,sj->si", root, z)
    log_det = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1) + np.log(np.diag(spread)).sum()
    log_q = log_q - 0.5 * (plain**2).sum(axis=1) - log_det
    return Proposals(z, theta, a, log_posterior(rows, prior, theta, a) + log_target - log_q)


def _judge(found):
    """Pareto k̂, the steps a chain would stay at its heaviest proposal, and the mean and root covariance of z."""
    z, log_weight = found.z, found.log_weight
    smooth, pareto_k = array_stats.psislw(-log_weight)  # it takes the negative, a log likelihood
    weight = np.exp(smooth - logsumexp(smooth))
    centre = weight @ z
    covariance = (z - centre).T @ (weight[:, None] * (z - centre))
    root = np.linalg.cholesky(1.1 * covariance + 1e-6 * np.eye(z.shape[1]))
    return float(pareto_k), len(z) * np.exp(log_weight.max() - logsumexp(log_weight)), (centre, root)


def _draw_a(rungs, rho, size, rng, cells=4000):
    """a from a histogram of `cells` bars, evidence (splined) times prior (which may jump), and its log height."""
    edges = np.linspace(rungs.a[0], rungs.a[-1], cells + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    log_height = CubicSpline(rungs.a, rungs.log_evidence)(middle) + log_prior_a(rho, middle)
    share = np.exp(log_height - logsumexp(log_height))
    cell = rng.choice(cells, size=size, p=share)
    width = edges[1] - edges[0]
    return edges[cell] + width * rng.uniform(size=size), np.log(share[cell] / width)


def _metropolis(log_weight, rng):
    """Independence Metropolis: which proposal each chain holds at each step, and whether it moved."""
    chains, steps = log_weight.shape
    log_u = np.log(rng.uniform(size=log_weight.shape))
    kept = np.zeros((chains, steps), dtype=int)
    for c in range(chains):
        # start from a draw by weight, which is already (nearly) a draw from the posterior
        weight = np.exp(log_weight[c] - log_weight[c].max())
        kept[c, 0] = rng.choice(steps, p=weight / weight.sum())
        for i in range(1, steps):
            moves = log_u[c, i] < log_weight[c, i] - log_weight[c, kept[c, i - 1]]
            kept[c, i] = i if moves else kept[c, i - 1]
    accepted = kept[:, 1:] == np.arange(1, steps)
    return kept[:, 1:] + steps * np.arange(chains)[:, None], accepted


def _by_nuts(model, *, draws, tune, chains, seed, progressbar):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        compiled = nutpie.compile_pymc_model(model)
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
    fits = fits if hasattr(fits, "items") and not hasattr(fits, "posterior") else {"fit": fits}
    rows = {name: _diagnose(idata)[0] for name, idata in fits.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("world")


def _diagnose(idata):
    """One row of `diagnostics`, and the names of the parameters that fail."""
    posterior = idata["posterior"].to_dataset()
    judged = [name for name in posterior if not name.startswith(PREFIX)]  # what a forest does, not its n values
    varying = posterior[[name for name in judged if np.ptp(posterior[name].values) > 0]]
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
    warnings.warn(
        f"this posterior is not to be shown: R-hat {row['rhat']:.3f}, smallest ESS "
        f"{min(row['ess_bulk'], row['ess_tail']):.0f}, {row['divergences']} divergences; failing: "
        f"{', '.join(failing) or 'none by R-hat or ESS'}. Accepted are R-hat < {RHAT}, ESS ≥ {ESS} and no divergence: "
        "raise draws and tune, tighten the prior of the failing parameters, or look for an unidentified direction.",
        stacklevel=3,
    )
