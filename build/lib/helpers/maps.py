"""The map: the posterior of α at every ρ. Every prior over ρ is then a reading of it, without a new fit.

With the evidence of each ρ and the posterior of α at it::

    p(ρ | data) ∝ prior(ρ) · evidence(ρ),        p(α | data) = ∫ p(α | ρ, data) p(ρ | data) dρ
"""

import time

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from joblib import Parallel, cpu_count, delayed
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp
from scipy.stats import norm
from scipy.stats.qmc import Sobol

from helpers.engine.laplace import PARETO_K, columns, log_posterior
from helpers.engine.likelihoods import LOG_2PI, rows_of
from helpers.priors import atanh_normal, check_rho, scales

GRID = np.tanh(np.linspace(-2.4, 2.4, 49))  # ρ from -0.98 to 0.98, evenly in atanh ρ
FINE = 1201  # points a reading interpolates the map to
NEGLIGIBLE = 0.001  # posterior weight below which a bad column does no harm


def map_rho(design, *, rho=GRID, coefficients=None, alpha=None, sigma=None, draws=512, seed=0):
    """Fit everything but ρ at each ρ of a grid.

    Parameters
    ----------
    design : Design
    rho : sequence of float, increasing, in (-1, 1)
        At least five values; even steps in atanh ρ serve best. Readings interpolate between them.
    coefficients, alpha, sigma
        The prior, as in `joint_model`.
    draws : int
        Draws at each ρ, from the same scrambled Sobol points in every column; a power of two serves best.
    seed : int

    Returns
    -------
    xarray.Dataset
        Dims ``rho`` and ``draw``. ``alpha`` (rho, draw), in units of the outcome per unit of the treatment, with
        ``log_weight`` (rho, draw; normalised, so that each column's weights sum to one); ``log_evidence``
        (rho), of data given ρ; ``pareto_k`` and ``ess`` (rho), the reliability of each column.

    Raises
    ------
    ValueError
        When `rho` is not increasing within (-1, 1).

    Notes
    -----
    Mode by Newton's method, Laplace approximation, then importance weights with Pareto smoothing
    (Vehtari et al. 2024) on randomised quasi-Monte Carlo draws. They make a column exact up to the Monte Carlo
    error that ``ess`` reports. A column with Pareto k̂ > 0.7 is kept,
    but `weigh` and `tipping_point` refuse to lean on it.
    """
    started = time.perf_counter()
    rho = _grid(rho)
    if not (isinstance(draws, (int, np.integer)) and draws >= 100):
        raise ValueError(f"draws={draws!r}; accepted is an integer of at least 100, for Pareto k̂ to be told.")
    rows, prior = rows_of(design), scales(design, coefficients, alpha=alpha, sigma=sigma)
    found = columns(rows, prior, np.arctanh(rho))
    sobol = Sobol(rows.size, rng=np.random.default_rng(seed))
    z = norm.ppf(sobol.random_base2(int(np.ceil(np.log2(draws))))[:draws])
    work = (delayed(_column)(rows, prior, found, k, z) for k in range(len(rho)))
    effect, weight, evidence, k_hat = zip(*Parallel(n_jobs=min(cpu_count(), 4), prefer="threads")(work))
    weight = np.array(weight)
    return xr.Dataset(
        {
            "alpha": (("rho", "draw"), np.array(effect)),
            "log_weight": (("rho", "draw"), weight),
            "log_evidence": ("rho", np.array(evidence)),
            "pareto_k": ("rho", np.array(k_hat)),
            "ess": ("rho", 1 / np.exp(2 * weight).sum(axis=1)),
        },
        coords={"rho": rho, "draw": np.arange(draws)},
        attrs={"outcome": design.outcome, "treatment": design.treatment, "n": design.n, "parameters": rows.size,
               "seconds": time.perf_counter() - started},
    )  # fmt: skip


def _grid(rho):
    rho = np.asarray(rho, dtype=float)
    if rho.ndim != 1 or len(rho) < 5 or not (np.all(np.abs(rho) < 1) and np.all(np.diff(rho) > 0)):
        raise ValueError(
            f"rho={np.array2string(rho, threshold=6)} is no grid; accepted are five or more increasing numbers "
            "in (-1, 1)."
        )
    return rho


def _column(rows, prior, found, k, z):
    """α's draws at one ρ with their log weights, the log evidence and Pareto k̂."""
    theta = found.mode[k] + z @ found.root[k].T
    log_det = np.log(np.diagonal(found.root[k])).sum()
    log_q = -0.5 * (z**2).sum(axis=1) - log_det - 0.5 * rows.size * LOG_2PI
    log_ratio = log_posterior(rows, prior, theta, np.full(len(z), found.a[k])) - log_q
    smoothed, k_hat = array_stats.psislw(-log_ratio)  # it takes the negative, a log likelihood
    evidence = logsumexp(log_ratio) - np.log(len(z))
    return theta[:, len(rows.names_O) - 1], smoothed - logsumexp(smoothed), evidence, float(k_hat)


def weigh(map, prior=None, *, draws=4000, seed=0):
    """Lay a prior over ρ on a map: the posterior of α and ρ at once, with no new fit.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`.
    prior : number, distribution or callable
        A number is the world where ρ has that value. `atanh_normal` (the default) or a frozen distribution
        of ``scipy.stats`` is a prior, and so is any function from an array of ρ to densities of ρ, which need
        not be normalised.
    draws, seed : int

    Returns
    -------
    xarray.Dataset
        ``alpha`` and ``rho`` by ``draw``, equally weighted. Attributes: ``pareto_k`` (the worst among the columns
        that matter), ``ess`` (effective draws behind α at the ρ that matter), ``edge`` (posterior weight at
        the ends of the map) and ``log_evidence``.

    Raises
    ------
    ValueError
        When a column with Pareto k̂ > 0.7 carries more than a thousandth of the posterior; when a number lies
        outside the map; when the posterior runs off the map's end.
    """
    rng, knots = np.random.default_rng(seed), np.arctanh(map.rho.values)
    a, log_prior = _lay(atanh_normal() if prior is None else prior, knots)
    log_weight = log_prior + CubicSpline(knots, map.log_evidence.values)(a)
    share = np.exp(log_weight - logsumexp(log_weight))
    attrs = _check(map, knots, a, share)
    alpha, where = _resample(map, knots, a, _systematic(share, draws, rng), rng)
    width = a[1] - a[0] if len(a) > 1 else 1.0
    attrs["log_evidence"] = float(logsumexp(log_weight) + np.log(width))
    order = rng.permutation(draws)
    return xr.Dataset(
        {"alpha": ("draw", alpha[order]), "rho": ("draw", np.tanh(where[order]))},
        coords={"draw": np.arange(draws)},
        attrs=attrs | {name: map.attrs[name] for name in ("outcome", "treatment")},
    )


def _lay(prior, knots):
    """A fine grid of a = atanh ρ with the log prior density on it; a single point for a fixed ρ."""
    if callable(prior) or hasattr(prior, "logpdf"):
        a = np.linspace(knots[0], knots[-1], FINE)
        return a, _log_density(prior, np.tanh(a)) - 2 * np.log(np.cosh(a))
    a = np.arctanh(check_rho(prior, "prior"))
    if not knots[0] <= a <= knots[-1]:
        raise ValueError(
            f"prior={prior!r} lies outside the map, whose rho runs from {np.tanh(knots[0]):.3f} to "
            f"{np.tanh(knots[-1]):.3f}; accepted is a value within, or a wider map."
        )
    return np.array([a]), np.zeros(1)


def _resample(map, knots, a, cell, rng):
    """α and a for each chosen cell of the fine grid: one of the column's draws by weight, moved along its own line.

    A draw has the same standard normals in every column, so its α and its weight are smooth in a and can be splined.
    """
    used, back = np.unique(cell, return_inverse=True)
    line = CubicSpline(knots, map.alpha.values)
    weight = np.exp(CubicSpline(knots, map.log_weight.values)(a[used]))
    cumulative = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
    draw = (cumulative[back] < rng.uniform(size=(len(cell), 1))).sum(axis=1).clip(max=map.sizes["draw"] - 1)
    if len(a) == 1:
        return line(a)[0, draw], a[cell]
    shift = (a[1] - a[0]) * (rng.uniform(size=len(cell)) - 0.5)
    where = (a[cell] + shift).clip(knots[0], knots[-1])
    alpha = line(a[used])[back, draw] + line(a[used], 1)[back, draw] * (where - a[cell])
    return alpha, where


def _log_density(prior, rho):
    """Log prior density on (-1, 1), up to a constant."""
    if hasattr(prior, "logpdf"):
        log_prior = np.asarray(prior.logpdf(rho), dtype=float)
    else:
        density = np.asarray(prior(rho), dtype=float)
        if density.shape != rho.shape or not np.all(density >= 0):
            raise ValueError(
                f"prior={prior!r} gave {density.shape} values, the smallest {np.min(density):g}; accepted is a "
                "function that gives a density of zero or more for every rho it is handed."
            )
        with np.errstate(divide="ignore"):
            log_prior = np.log(density)
    if not np.isfinite(log_prior).any():
        raise ValueError(f"prior={prior!r} has no density on the map; accepted is a prior with mass between "
                         f"{rho[0]:.3f} and {rho[-1]:.3f}.")  # fmt: skip
    return log_prior


def _check(map, knots, a, share):
    """Refuse a reading that leans on columns that cannot carry it, and report on the others."""
    nearest = np.abs(a[:, None] - knots).argmin(axis=1)
    weight = np.bincount(nearest, weights=share, minlength=len(knots))
    bad = (map.pareto_k.values > PARETO_K) & (weight > NEGLIGIBLE)
    refuse(map, bad, f"which hold {weight[bad].sum():.1%} of the posterior")
    edge = float(weight[0] + weight[-1]) if len(a) > 1 else 0.0
    if edge > 0.02:
        raise ValueError(
            f"{edge:.1%} of the posterior lies at the ends of the map (rho {map.rho.values[0]:.3f} and "
            f"{map.rho.values[-1]:.3f}); accepted is a wider map: map_rho(design, rho=...)."
        )
    matters = weight > NEGLIGIBLE
    return {"pareto_k": float(map.pareto_k.values[matters].max()), "ess": float(weight @ map.ess.values), "edge": edge}


def _systematic(share, size, rng):
    """Systematic resampling: as many of each cell as its share, to within one."""
    points = (np.arange(size) + rng.uniform()) / size
    return np.searchsorted(np.cumsum(share), points * share.sum()).clip(max=len(share) - 1)


def read_map(map, probability=0.95):
    """Mean and central interval of α at every ρ of a map.

    Returns
    -------
    pandas.DataFrame
        Index ``rho``; columns ``mean``, ``low`` and ``high`` (units of the outcome per unit of the treatment) and
        ``log_evidence``, relative to the best column's.
    """
    weight = np.exp(map.log_weight.values)
    order = np.argsort(map.alpha.values, axis=1)
    sorted_alpha = np.take_along_axis(map.alpha.values, order, axis=1)
    cumulative = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    tail = (1 - probability) / 2
    ends = [[np.interp(q, c, x) for c, x in zip(cumulative, sorted_alpha)] for q in (tail, 1 - tail)]
    frame = {"mean": (weight * map.alpha.values).sum(axis=1), "low": ends[0], "high": ends[1],
             "log_evidence": map.log_evidence.values - map.log_evidence.values.max()}  # fmt: skip
    return pd.DataFrame(frame, index=pd.Index(map.rho.values, name="rho"))


def tipping_point(map, *, probability=0.95):
    """The currents that would overturn the sign of the effect found at ρ = 0.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`; it must contain ρ = 0 within its range.
    probability : float
        Of the central interval of α.

    Returns
    -------
    pandas.Series
        ``interval``: the ρ nearest to zero at which the interval of α first touches zero. ``mean``: the ρ at which
        the mean of α is zero. NaN where the map does not reach so far. ``at_zero``: α's mean at ρ = 0.

    Raises
    ------
    ValueError
        When ρ = 0 lies outside the map, or a column on the way to the tipping point has Pareto k̂ > 0.7.
    """
    table = read_map(map, probability)
    a = np.arctanh(table.index.to_numpy())
    if not a[0] < 0 < a[-1]:
        raise ValueError(f"the map runs from rho={map.rho.values[0]:.3f} to {map.rho.values[-1]:.3f}; accepted is a "
                         "map with rho = 0 inside.")  # fmt: skip
    at_zero = float(CubicSpline(a, table["mean"])(0.0))
    bound = table["low"] if at_zero > 0 else table["high"]
    found = {"interval": _crossing(a, bound), "mean": _crossing(a, table["mean"])}
    low, high = min(0.0, *found.values()), max(0.0, *found.values())
    refuse(map, (map.pareto_k.values > PARETO_K) & (map.rho.values >= low) & (map.rho.values <= high), "on the way")
    return pd.Series(found | {"at_zero": at_zero})


def refuse(map, bad, where):
    if bad.any():
        raise ValueError(
            f"Pareto k̂ exceeds {PARETO_K} at rho = {np.round(map.rho.values[bad], 2).tolist()}, {where}: those columns "
            "are not nearly Gaussian. Accepted are more draws in map_rho, tighter priors, or NUTS: "
            "fit(joint_model(design, rho=...))."
        )


def _crossing(a, values):
    """tanh of the root nearest to zero of the spline through (a, values); NaN without one."""
    roots = CubicSpline(a, values).roots(extrapolate=False)
    return float(np.tanh(roots[np.abs(roots).argmin()])) if len(roots) else np.nan
