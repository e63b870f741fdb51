"""The map: the posterior of α at every ρ. Every prior over ρ is then a reading of it, without a new fit.

With the evidence of each ρ and the posterior of α at it::

    p(ρ | data) ∝ prior(ρ) · evidence(ρ),        p(α | data) = ∫ p(α | ρ, data) p(ρ | data) dρ

What is read off a map is the ``effect``: α itself, or for a binary outcome the average difference in its chance.
"""

import time
import warnings

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats
from joblib import Parallel, cpu_count, delayed
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp
from scipy.stats import norm
from scipy.stats.qmc import Sobol

from helpers import arguments
from helpers.design import check_design
from helpers.engine import conjugate
from helpers.engine.counterfactual import average_effect
from helpers.engine.laplace import PARETO_K, REACH, columns, log_posterior
from helpers.engine.likelihoods import LOG_2PI, rows_of
from helpers.engine.pairs import PAIRS
from helpers.priors import AtanhNormal, atanh_normal, check_reading, check_rho, log_density, quantiles, scales

GRID = np.tanh(np.linspace(-2.4, 2.4, 49))  # ρ from -0.98 to 0.98, evenly in atanh ρ
FINE = 1200  # cells a reading divides the map into, before those that hold much are divided again
SHARE = 0.002  # the most that one of them may hold
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
        Dims ``rho`` and ``draw``. ``effect`` (rho, draw), what readings read: the same as ``alpha`` (units of the
        outcome per unit of the treatment), or for a binary outcome the average difference that one unit of
        the treatment makes to its chance, in percentage points, ``alpha`` being the shift of its index. With
        ``log_weight`` (rho, draw; normalised, so that each column's weights sum to one); ``log_evidence``
        (rho), of data given ρ; ``pareto_k`` and ``ess`` (rho), the reliability of each column.

    Raises
    ------
    ValueError
        When `rho` is not increasing within (-1, 1).

    Warns
    -----
    UserWarning
        Naming the columns whose Pareto k̂ exceeds 0.7. They are kept, and no reading leans on them: `read_map`
        leaves them empty, the others refuse.

    Notes
    -----
    Where outcome and treatment are continuous a column is exact but for an integral over its two scales, however
    many covariates there are. Elsewhere: mode by Newton's method, Laplace approximation, then importance weights with
    Pareto smoothing (Vehtari et al. 2024). Draws are randomised quasi-Monte Carlo, and ``ess`` reports their error.
    """
    started = time.perf_counter()
    check_design(design)
    rho, draws, seed = _grid(rho), arguments.count(draws, "draws", least=100), arguments.seed(seed)
    rows, prior = rows_of(design), scales(design, coefficients, alpha=alpha, sigma=sigma)
    columns_of = _exact if PAIRS[design.kinds].compressible else _weighted
    shift, effect, weight, evidence, k_hat = (
        np.array(part) for part in zip(*columns_of(design, rows, prior, np.arctanh(rho), draws, seed))
    )
    _warn(rho, ~(k_hat <= PARETO_K))  # NaN is no pass
    return xr.Dataset(
        {
            "effect": (("rho", "draw"), effect),
            "alpha": (("rho", "draw"), shift),
            "log_weight": (("rho", "draw"), weight),
            "log_evidence": ("rho", evidence),
            "pareto_k": ("rho", k_hat),
            "ess": ("rho", 1 / np.exp(2 * weight).sum(axis=1)),
        },
        coords={"rho": rho, "draw": np.arange(draws)},
        attrs={"outcome": design.outcome, "treatment": design.treatment, "outcome_kind": design.outcome_kind,
               "n": design.n, "parameters": rows.size, "seconds": time.perf_counter() - started},
    )  # fmt: skip


def _warn(rho, bad):
    if bad.any():
        warnings.warn(
            f"Pareto k̂ exceeds {PARETO_K} in {bad.sum()} of {len(bad)} columns, rho {runs(rho, bad)}: "
            "their weighted draws stand for too little, and readings leave them out or refuse. Accepted are more "
            "draws, fewer terms, tighter priors, or NUTS: fit(joint_model(design, rho=...)).",
            stacklevel=3,
        )


def _grid(rho):
    found = arguments.numbers(rho, "rho", accepted := "a grid of five or more increasing numbers in (-1, 1)")
    if found.ndim != 1 or len(found) < 5 or not (np.all(np.abs(found) < 1) and np.all(np.diff(found) > 0)):
        arguments.refuse("rho", rho, accepted)
    return found


def _sobol(size, draws, seed):
    """Standard normals from scrambled Sobol points, shape (draws, size)."""
    points = Sobol(size, rng=np.random.default_rng(seed)).random_base2(int(np.ceil(np.log2(draws))))
    return norm.ppf(points[:draws])


def _exact(design, rows, prior, a, draws, seed):
    """Columns of two continuous responses, as `_weighted` gives them."""
    sums, near, z = conjugate.sums(rows, prior), conjugate.guess(rows), _sobol(3, draws, seed)
    for each in a:
        alpha, *rest = conjugate.column(sums, each, near + [np.log(np.cosh(each)), 0.0], z)
        yield alpha, alpha, *rest


def _weighted(design, rows, prior, a, draws, seed):
    """Each column's α and effect, draw by draw, with log weights, log evidence and Pareto k̂."""
    found, z = columns(rows, prior, a), _sobol(rows.size, draws, seed)
    work = (delayed(_column)(design, rows, prior, found, k, z) for k in range(len(a)))
    return Parallel(n_jobs=min(cpu_count(), 4), prefer="threads")(work)


def _column(design, rows, prior, found, k, z):
    theta = found.mode[k] + z @ found.root[k].T
    log_det = np.log(np.diagonal(found.root[k])).sum()
    log_q = -0.5 * (z**2).sum(axis=1) - log_det - 0.5 * rows.size * LOG_2PI
    log_ratio = log_posterior(rows, prior, theta, np.full(len(z), found.a[k])) - log_q
    evidence, theta_O = logsumexp(log_ratio) - np.log(len(z)), theta[:, : len(rows.names_O)]
    weight, k_hat = smoothed(log_ratio)
    return theta_O[:, -1], average_effect(design, theta_O), weight, evidence, k_hat


def smoothed(log_ratio):
    """Log weights, Pareto-smoothed and summing to one, of the draws of one column; and Pareto k̂."""
    with np.errstate(all="ignore"):
        weight, k_hat = array_stats.psislw(-log_ratio)  # it takes the negative, a log likelihood
    if not np.isfinite(weight).all():  # one draw outweighs all others by more than the smoothing can count
        weight, k_hat = log_ratio, np.nan
    return weight - logsumexp(weight), float(k_hat)


def weigh(map, prior=None, *, draws=4000, seed=0):
    """Lay a prior over ρ on a map: the posterior of α and ρ at once, with no new fit.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`.
    prior : number, distribution or callable
        A number is the world where ρ has that value. `atanh_normal` (the default) or a frozen distribution
        of ``scipy.stats`` is a prior, whatever its width, and so is any function from an array of ρ to densities
        of ρ, which need not be normalised. A function is tried at steps of some 0.004: one that is narrower than
        that is a distribution to be named.
    draws, seed : int

    Returns
    -------
    xarray.Dataset
        ``effect``, ``alpha`` and ``rho`` by ``draw``, equally weighted. Attributes: ``pareto_k`` (the worst among the
        columns that matter), ``ess`` (effective draws behind the effect at the ρ that matter), ``edge`` (posterior
        weight at the ends of the map) and ``log_evidence``, under the prior normalised on (-1, 1).

    Raises
    ------
    ValueError
        When a column with Pareto k̂ > 0.7 carries more than a thousandth of the posterior; when a number lies
        outside the map; when the posterior runs off the map's end.
    """
    draws, rng = arguments.count(draws, "draws"), np.random.default_rng(arguments.seed(seed))
    knots, prior = np.arctanh(chart_of(map).rho.values), check_reading(atanh_normal() if prior is None else prior)
    a, width, log_weight = _cells(map, prior, knots)
    share = np.exp(log_weight - logsumexp(log_weight))
    attrs = _check(map, knots, a, share)
    attrs["log_evidence"] = float(logsumexp(log_weight))
    drawn, where = _resample(map, knots, a, width, _systematic(share, draws, rng), rng)
    order = rng.permutation(draws)
    return xr.Dataset(
        {name: ("draw", values[order]) for name, values in drawn.items()} | {"rho": ("draw", np.tanh(where[order]))},
        coords={"draw": np.arange(draws)},
        attrs=attrs | {name: map.attrs[name] for name in ("outcome", "treatment")},
    )


def _cells(map, prior, knots):
    """Cells of a = atanh ρ: middles, widths, and log posterior weights; a single one for a fixed ρ."""
    evidence = CubicSpline(knots, map.log_evidence.values)
    if not (callable(prior) or hasattr(prior, "logpdf")):
        a = np.arctanh(check_rho(prior, "prior"))
        if not knots[0] <= a <= knots[-1]:
            raise ValueError(
                f"prior={prior!r} lies outside the map, whose rho runs from {np.tanh(knots[0]):.3f} to "
                f"{np.tanh(knots[-1]):.3f}; accepted is a value within, or a wider map."
            )
        return np.array([a]), np.zeros(1), np.atleast_1d(evidence(a))
    a, width, log_weight = _divided(lambda a: evidence(a) + _log_prior(prior, a), knots[[0, -1]], quantiles(prior))
    if not np.isfinite(log_weight).any():
        raise ValueError(f"prior={prior!r} has no density on the map; accepted is a prior with mass between "
                         f"{map.rho.values[0]:.3f} and {map.rho.values[-1]:.3f}; one narrower than 0.01 is handed "
                         "over as atanh_normal(mean, sd) or a frozen scipy.stats distribution.")  # fmt: skip
    return a, width, log_weight - _log_mass(prior)


def _divided(log_density, ends, more=(), rounds=20):
    """Cells between two ends, divided until none holds much: middles, widths, log masses by the midpoint rule."""
    edges = np.union1d(np.linspace(*ends, FINE + 1), np.clip(more, *ends))
    for _ in range(rounds):
        width, a = np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
        with np.errstate(divide="ignore"):
            log_mass = log_density(a) + np.log(width)
        top = log_mass.max()
        if not np.isfinite(top):
            break
        heavy = np.exp(log_mass - logsumexp(log_mass)) > SHARE
        if not heavy.any():
            break
        # beside a heavy cell the density may fall so fast that the neighbour's middle says little of it
        edges = np.union1d(edges, a[np.convolve(heavy, np.ones(3), mode="same") > 0])
    return a, width, log_mass


def _log_prior(prior, a):
    """Log prior density of a = atanh ρ; of a function, as it comes."""
    return log_density(prior, np.tanh(a)) - 2 * np.log(np.cosh(a))


def _log_mass(prior):
    """What a density that is taken as it comes integrates to over (-1, 1); a distribution's is one."""
    if isinstance(prior, AtanhNormal) or hasattr(prior, "cdf"):
        return 0.0
    return logsumexp(_divided(lambda a: _log_prior(prior, a), (-REACH, REACH))[2])


def _resample(map, knots, a, width, cell, rng):
    """Effect, α and a for each chosen cell: one of the column's draws by weight, moved along its own line.

    A draw has the same standard normals in every column, so its α and its weight are smooth in a and can be splined.
    """
    used, back = np.unique(cell, return_inverse=True)
    weight = np.exp(CubicSpline(knots, map.log_weight.values)(a[used]))
    cumulative = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
    draw = (cumulative[back] < rng.uniform(size=(len(cell), 1))).sum(axis=1).clip(max=map.sizes["draw"] - 1)
    where = a[cell] + width[cell] * (rng.uniform(size=len(cell)) - 0.5)
    drawn = {}
    for name, values in {"effect": effect_of(map), "alpha": map.alpha.values}.items():
        line = CubicSpline(knots, values)
        drawn[name] = line(a[used])[back, draw] + line(a[used], 1)[back, draw] * (where - a[cell])
    return drawn, where


def effect_of(map):
    """The effect that is read, (rho, draw): α unless the map has another."""
    return (map.effect if "effect" in map else map.alpha).values


def _check(map, knots, a, share):
    """Refuse a reading that leans on columns that cannot carry it, and report on the others."""
    # every cell leans on the columns on both of its sides
    after = np.searchsorted(knots, a).clip(1, len(knots) - 1)
    part = ((a - knots[after - 1]) / (knots[after] - knots[after - 1])).clip(0, 1)
    weight = sum(np.bincount(column, weights=share * held, minlength=len(knots))
                 for column, held in ((after, part), (after - 1, 1 - part)))  # fmt: skip
    bad = unreliable(map) & (weight > NEGLIGIBLE)
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
    """Mean and central interval of the effect at every ρ of a map.

    Returns
    -------
    pandas.DataFrame
        Index ``rho``; columns ``mean``, ``low`` and ``high`` (units of the outcome per unit of the treatment, or
        percentage points for a binary outcome) and ``log_evidence``, relative to the best column's. NaN in columns
        with Pareto k̂ > 0.7.

    Raises
    ------
    ValueError
        When no column can be relied on, or `probability` lies outside (0, 1).
    """
    probability = arguments.probability(probability)
    chart_of(map)
    bad = unreliable(map)
    if bad.all():
        refuse(map, bad, "the whole map")
    effect, weight = effect_of(map), np.exp(map.log_weight.values)
    order = np.argsort(effect, axis=1)
    in_order = np.take_along_axis(effect, order, axis=1)
    cumulative = np.cumsum(np.take_along_axis(weight, order, axis=1), axis=1)
    tail = (1 - probability) / 2
    ends = [[np.interp(q, c, x) for c, x in zip(cumulative, in_order)] for q in (tail, 1 - tail)]
    frame = pd.DataFrame({"mean": (weight * effect).sum(axis=1), "low": ends[0], "high": ends[1],
                          "log_evidence": map.log_evidence.values - map.log_evidence.values[~bad].max()},
                         index=pd.Index(map.rho.values, name="rho"))  # fmt: skip
    frame[bad] = np.nan
    return frame


def tipping_point(map, *, probability=0.95):
    """The currents that would overturn the sign of the effect found at ρ = 0.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`; it must contain ρ = 0 within its range.
    probability : float
        Of the central interval of the effect.

    Returns
    -------
    pandas.Series
        ``interval``: the ρ nearest to zero at which the interval of the effect holds zero. It is 0 when the interval
        at ρ = 0 holds zero already: there is no sign to overturn. ``mean``: the ρ nearest to zero at which the mean of
        the effect is zero. NaN where the map does not reach so far. ``at_zero``: the effect's mean at ρ = 0.

    Raises
    ------
    ValueError
        When ρ = 0 lies outside the map, a column on the way to the tipping point has Pareto k̂ > 0.7, or
        `probability` lies outside (0, 1).
    """
    table = read_map(map, probability)
    a, bad = np.arctanh(table.index.to_numpy()), unreliable(map)
    if not a[0] < 0 < a[-1]:
        raise ValueError(f"the map runs from rho={map.rho.values[0]:.3f} to {map.rho.values[-1]:.3f}; accepted is a "
                         "map with rho = 0 inside.")  # fmt: skip
    run = trusted(map)
    if len(a[run]) < 2 or not a[run][0] <= 0 <= a[run][-1]:
        refuse(map, bad, "on the way")
    lines = {name: CubicSpline(a[run], table[name].to_numpy()[run]) for name in ("mean", "low", "high")}
    at_zero, low, high = (float(lines[name](0.0)) for name in lines)
    interval = 0.0 if low <= 0 <= high else _crossing(lines["low" if at_zero > 0 else "high"])
    found = {"interval": interval, "mean": _crossing(lines["mean"])}
    # a column nearer to zero than what was found, or any where nothing was, might have held a crossing
    farthest = np.max(np.abs(list(found.values())))
    refuse(map, bad & ~(np.abs(table.index) > farthest), "on the way")
    return pd.Series(found | {"at_zero": at_zero})


def unreliable(map):
    """Which columns no reading may lean on; a Pareto k̂ that is NaN is no better than a large one."""
    return ~(map.pareto_k.values <= PARETO_K)


def runs(rho, bad):
    """Some of a map's columns in words: ``-0.98 to -0.95, 0.29``."""
    places = np.flatnonzero(bad)
    each = [rho[run] for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(run)]
    return ", ".join(" to ".join(dict.fromkeys(f"{end:.2f}" for end in run[[0, -1]])) for run in each)


def trusted(map):
    """The unbroken run of reliable columns around ρ = 0, as a slice; empty where there is none."""
    rho, bad = map.rho.values, unreliable(map)
    return slice(
        max(np.flatnonzero(bad & (rho <= 0)), default=-1) + 1,
        min(np.flatnonzero(bad & (rho >= 0)), default=len(rho)),
    )


def between(rho, low, high):
    """The columns from the last at or below `low` to the first at or above `high`."""
    first, last = rho[rho <= low].max(initial=rho[0]), rho[rho >= high].min(initial=rho[-1])
    return (rho >= first) & (rho <= last)


def refuse(map, bad, where):
    if bad.any():
        raise ValueError(
            f"Pareto k̂ exceeds {PARETO_K} at rho = {np.round(map.rho.values[bad], 2).tolist()}, {where}: those columns "
            "are not nearly Gaussian. Accepted are more draws in map_rho, tighter priors, or NUTS: "
            "fit(joint_model(design, rho=...))."
        )


def chart_of(map):
    """The map, if it is one."""
    if not (isinstance(map, xr.Dataset) and {"alpha", "log_weight", "log_evidence", "pareto_k"} <= set(map)):
        raise TypeError(f"map={arguments.told(map)}; accepted is a map from map_rho(design).")
    return map


def _crossing(line):
    """tanh of the root nearest to zero of a spline; NaN without one."""
    roots = line.roots(extrapolate=False)
    return float(np.tanh(roots[np.abs(roots).argmin()])) if len(roots) else np.nan
