"""Readings of a map: what a belief about ρ makes of it, what each ρ says, and which ρ turns the sign. No new fit.

With the evidence of each ρ and the posterior of α at it::

    p(ρ | data) ∝ prior(ρ) · evidence(ρ),        p(α | data) = ∫ p(α | ρ, data) p(ρ | data) dρ

Where what the data say about ρ is not to be believed, the belief stands alone: p(ρ) = prior(ρ), and the data keep their
say on α at each ρ.
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp

from which_world import arguments
from which_world.engine.laplace import REACH
from which_world.maps import chart_of, effect_of, refuse, stepped, trusted, unreliable
from which_world.priors import AtanhNormal, atanh_normal, check_reading, check_rho, log_density, quantiles

FINE = 1200  # cells a reading divides the map into, before those that hold much are divided again
SHARE = 0.002  # the most that one of them may hold
NEGLIGIBLE = 0.001  # posterior weight below which a bad column does no harm


def weigh(map, prior=None, *, likelihood=True, draws=4000, seed=0):
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
    likelihood : bool
        Whether the evidence of each ρ has a say: the likelihood's, and that of the other priors, which speak of ρ even
        where the likelihood is flat. With ``False`` the belief stands alone: ρ is drawn from the prior, and the map
        says only what α is at each ρ. That is the reading to take where `shuffle_test` finds currents that are shape,
        and what a probabilistic sensitivity analysis gives.
    draws, seed : int

    Returns
    -------
    xarray.Dataset
        ``effect``, ``alpha`` and ``rho`` by ``draw``, equally weighted. Attributes: ``pareto_k`` (the worst among the
        columns that matter), ``ess`` (effective draws behind the effect at the ρ that matter), ``edge`` (posterior
        weight at the ends of the map; of a belief alone, also the weight beyond them) and ``log_evidence``, under the
        prior normalised on (-1, 1), NaN for a belief alone, which no data have weighed.

    Raises
    ------
    ValueError
        When a column with Pareto k̂ > 0.7 carries more than a thousandth of the posterior; when a number lies
        outside the map; when the posterior, or a belief alone, runs off the map's end; when `likelihood` is
        neither True nor False.

    References
    ----------
    Greenland 2005 (J. R. Statist. Soc. A 168:267), for bias parameters that are drawn from their prior.
    """
    likelihood = arguments.flag(likelihood, "likelihood")
    draws, rng = arguments.count(draws, "draws"), np.random.default_rng(arguments.seed(seed))
    knots, prior = np.arctanh(chart_of(map).rho.values), check_reading(atanh_normal() if prior is None else prior)
    evidence = map.log_evidence.values if likelihood else np.zeros(len(knots))
    a, width, log_weight = _cells(map, prior, knots, evidence)
    share = np.exp(log_weight - logsumexp(log_weight))
    # what a belief alone holds beyond the map is known, and no data make up for it
    beyond = None if likelihood else max(0.0, -np.expm1(logsumexp(log_weight)))
    attrs = _check(map, knots, a, share, beyond)
    attrs["log_evidence"] = float(logsumexp(log_weight)) if likelihood else np.nan
    drawn, where = _resample(map, knots, a, width, _systematic(share, draws, rng), rng)
    order = rng.permutation(draws)
    return xr.Dataset(
        {name: ("draw", values[order]) for name, values in drawn.items()} | {"rho": ("draw", np.tanh(where[order]))},
        coords={"draw": np.arange(draws)},
        attrs=attrs | {name: map.attrs[name] for name in ("outcome", "treatment")} | stepped(map.attrs),
    )


def _cells(map, prior, knots, evidence):
    """Cells of a = atanh ρ: middles, widths, and log posterior weights; a single one for a fixed ρ."""
    evidence = CubicSpline(knots, evidence)
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


def _check(map, knots, a, share, beyond):
    """Refuse a reading that leans on columns that cannot carry it, or on none, and report on the others."""
    # every cell leans on the columns on both of its sides
    after = np.searchsorted(knots, a).clip(1, len(knots) - 1)
    part = ((a - knots[after - 1]) / (knots[after] - knots[after - 1])).clip(0, 1)
    weight = sum(np.bincount(column, weights=share * held, minlength=len(knots))
                 for column, held in ((after, part), (after - 1, 1 - part)))  # fmt: skip
    bad = unreliable(map) & (weight > NEGLIGIBLE)
    refuse(map, bad, f"which hold {weight[bad].sum():.1%} of the posterior")
    whose, more = ("posterior", "") if beyond is None else ("belief", " or beyond")
    beyond = beyond or 0.0
    edge = beyond + (1 - beyond) * float(weight[0] + weight[-1]) if len(a) > 1 else 0.0
    if edge > 0.02:
        raise ValueError(
            f"{edge:.1%} of the {whose} lies at the ends of the map (rho {map.rho.values[0]:.3f} and "
            f"{map.rho.values[-1]:.3f}){more}; accepted is a wider map: map_rho(design, rho=...)."
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
        with Pareto k̂ > 0.7. Its ``attrs`` hold ``step`` and ``treatment`` where the effect is not that of one unit.

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
    share = np.take_along_axis(weight, order, axis=1)
    cumulative = np.cumsum(share, axis=1) - share / 2  # a draw stands in the middle of what it stands for
    tail = (1 - probability) / 2
    ends = [[np.interp(q, c, x) for c, x in zip(cumulative, in_order)] for q in (tail, 1 - tail)]
    frame = pd.DataFrame({"mean": (weight * effect).sum(axis=1), "low": ends[0], "high": ends[1],
                          "log_evidence": map.log_evidence.values - map.log_evidence.values[~bad].max()},
                         index=pd.Index(map.rho.values, name="rho"))  # fmt: skip
    frame[bad] = np.nan
    frame.attrs = stepped(map.attrs)
    return frame


def between_columns(table, rho):
    """A table of `read_map` at any ρ between its reliable columns, by the splines that `tipping_point` follows."""
    known = table.dropna()
    lines = CubicSpline(np.arctanh(known.index.to_numpy()), known.to_numpy())
    return pd.DataFrame(lines(np.arctanh(rho)), columns=known.columns, index=pd.Index(rho, name="rho"))


def digits(width):
    """How many digits after the point a number with an interval of this width deserves."""
    return max(0, 1 - int(np.floor(np.log10(width))))


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


def _crossing(line):
    """tanh of the root nearest to zero of a spline; NaN without one."""
    roots = line.roots(extrapolate=False)
    return float(np.tanh(roots[np.abs(roots).argmin()])) if len(roots) else np.nan


def reading_table(readings, *, probability=0.95):
    """Readings side by side, a row each.

    Parameters
    ----------
    readings : mapping of labels to Dataset or DataTree
        From `weigh`, or from `fit`.
    probability : float
        Of the central interval.

    Returns
    -------
    pandas.DataFrame
        Index ``reading``; columns ``effect`` (the mean: of α, in units of the outcome per unit of the treatment, or of
        a binary outcome's average difference in its chance, in percentage points), ``low`` and ``high``,
        ``P(effect>0)``, ``rho`` (the mean) and ``rho_sd``.

    Raises
    ------
    TypeError
        When something else than readings or fits is given.
    ValueError
        When one has no draws of ``alpha`` or ``effect``, or `probability` lies outside (0, 1).
    """
    probability = arguments.probability(probability)
    accepted = "a mapping of names to readings, from weigh (or to fits, from fit)"
    draws = arguments.mapping(readings, "readings", accepted, keys=object, check=_drawn, least=1)
    ends = (1 - probability) / 2, (1 + probability) / 2
    rows = {name: _row(*pair, ends) for name, pair in draws.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("reading")


def _drawn(value, name):
    """Draws of the effect, and of ρ where there are any."""
    if hasattr(value, "children"):
        value = arguments.fitted(value, name)["posterior"].dataset
    read = next((each for each in ("effect", "alpha") if each in getattr(value, "data_vars", ())), None)
    if read is None or "rho" in value.dims:  # a map is not a reading yet
        arguments.refuse(name, value, "a reading from weigh(map), or a fit of a joint model", error=TypeError)
    return value[read].values, value["rho"].values if "rho" in value else np.array([np.nan])


def _row(effect, rho, ends):
    low, high = np.quantile(effect, ends)
    return {"effect": effect.mean(), "low": low, "high": high, "P(effect>0)": (effect > 0).mean(), "rho": rho.mean(),
            "rho_sd": rho.std()}  # fmt: skip
