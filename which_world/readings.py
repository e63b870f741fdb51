"""Readings of a map: what a belief about ρ makes of it, what each ρ says, which ρ turns the sign.

With the evidence of each ρ and the posterior of α at it::

    p(ρ | data) ∝ prior(ρ) · evidence(ρ),        p(α | data) = ∫ p(α | ρ, data) p(ρ | data) dρ

Where what the data say about ρ is not to be believed, the belief stands alone: p(ρ) = prior(ρ), and
the data keep their say on α at each ρ. No reading fits anything again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp

from which_world import arguments
from which_world.engine.laplace import REACH
from which_world.maps import chart_of, effect_of, refuse_columns, stepped, trusted, unreliable
from which_world.priors import (
    AtanhNormal,
    atanh_normal,
    check_reading,
    check_rho,
    log_density,
    quantiles,
)

if TYPE_CHECKING:
    from which_world.priors import Reading as Belief

CELLS = 1200  # cells a reading divides the map into, before those that hold much are divided again
SHARE = 0.002  # the most that one of them may hold
DIVISIONS = 20  # of a strip, at most
NEGLIGIBLE = 0.001  # posterior weight below which a bad column does no harm
MOST_AT_THE_EDGE = 0.02  # posterior weight at the ends of the map


def weigh(
    map: xr.Dataset,
    prior: Belief | None = None,
    *,
    likelihood: bool = True,
    draws: int = 4000,
    seed: int = 0,
) -> xr.Dataset:
    """Draws of effect and ρ under a prior over ρ that is laid on a map, with no new fit.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`.
    prior : number, distribution or callable
        A number is the world where ρ has that value. `atanh_normal` (the default) or a frozen
        distribution of ``scipy.stats`` is a prior, whatever its width, and so is any function from
        an array of ρ to densities of ρ, which need not be normalised. A function is tried at steps
        of some 0.004: one that is narrower than that is a distribution to be named.
    likelihood : bool
        Whether the evidence of each ρ has a say: the likelihood's, and that of the other priors,
        which speak of ρ even where the likelihood is flat. With ``False`` the belief stands alone:
        ρ is drawn from the prior, and the map says only what α is at each ρ. That is the reading to
        take where `shuffle_test` finds currents that are shape, and what a probabilistic
        sensitivity analysis gives.
    draws, seed : int

    Returns
    -------
    xarray.Dataset
        ``effect``, ``alpha`` and ``rho`` by ``draw``, equally weighted. Attributes: ``pareto_k``
        (the worst among the columns that matter), ``ess`` (effective draws behind the effect at the
        ρ that matter), ``edge`` (posterior weight at the ends of the map; of a belief alone, also
        the weight beyond them) and ``log_evidence``, under the prior normalised on (-1, 1), NaN for
        a belief alone, which no data have weighed.

    Raises
    ------
    ValueError
        When a column with Pareto k̂ > 0.7 carries more than a thousandth of the posterior; when a
        number lies outside the map; when the posterior, or a belief alone, runs off the map's end;
        when `likelihood` is neither True nor False.

    See Also
    --------
    map_rho : the map that is read.
    reading_table : several readings side by side.
    decide : what to do under a reading.

    References
    ----------
    Greenland 2005 (J. R. Statist. Soc. A 168:267), for bias parameters drawn from their prior.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import atanh_normal, make_design, map_rho, weigh
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 2 * (x + v) + x + u})
    >>> chart = map_rho(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
    >>> reading = weigh(chart, atanh_normal(0.0, 0.1))
    >>> print(f"{reading.effect.values.mean():.1f} ± {reading.effect.values.std():.1f}")
    2.0 ± 0.1
    """
    likelihood = arguments.flag(likelihood, "likelihood")
    draws = arguments.count(draws, "draws")
    rng = np.random.default_rng(arguments.seed(seed))
    knots = np.arctanh(chart_of(map).rho.values)
    prior = check_reading(atanh_normal() if prior is None else prior)
    evidence = map.log_evidence.values if likelihood else np.zeros(len(knots))
    a, width, log_weight = _cells(map, prior, knots, evidence)
    log_total = logsumexp(log_weight)
    share = np.exp(log_weight - log_total)
    # what a belief alone holds beyond the map is known, and no data make up for it
    beyond = None if likelihood else max(0.0, -np.expm1(log_total))
    attrs = _check_support(map, knots, a, share, beyond)
    attrs["log_evidence"] = float(log_total) if likelihood else np.nan
    attrs |= {name: map.attrs[name] for name in ("outcome", "treatment")} | stepped(map.attrs)
    cell = _systematic(share, draws, rng)
    values = _resample(map, knots, a, width, cell, rng)
    order = rng.permutation(draws)
    variables = {name: ("draw", each[order]) for name, each in values.items()}
    return xr.Dataset(variables, coords={"draw": np.arange(draws)}, attrs=attrs)


def _cells(map, prior, knots, log_evidence):
    """Cells of a = atanh ρ: middles, widths, log posterior weights; a single one for a fixed ρ."""
    line = CubicSpline(knots, log_evidence)
    if not (callable(prior) or hasattr(prior, "logpdf")):
        a = np.arctanh(check_rho(prior, "prior"))
        if not knots[0] <= a <= knots[-1]:
            raise ValueError(
                f"prior={prior!r} lies outside the map, whose rho runs from "
                f"{np.tanh(knots[0]):.3f} to {np.tanh(knots[-1]):.3f}; accepted is a value within, "
                "or a wider map."
            )
        return np.array([a]), np.zeros(1), np.atleast_1d(line(a))
    a, width, log_weight = _divided(
        lambda a: line(a) + _log_prior(prior, a),
        knots[[0, -1]],
        quantiles(prior),
    )
    if not np.isfinite(log_weight).any():
        low, high = map.rho.values[[0, -1]]
        raise ValueError(
            f"prior={prior!r} has no density on the map; accepted is a prior with mass between "
            f"{low:.3f} and {high:.3f}; one narrower than 0.01 is handed over as "
            "atanh_normal(mean, sd) or a frozen scipy.stats distribution."
        )
    return a, width, log_weight - _log_mass(prior)


def _divided(log_density, ends, more=()):
    """Cells between two ends, divided until none holds much: middles, widths, log masses.

    Masses are by the midpoint rule; `more` are edges to begin with, beside even ones.
    """
    edges = np.union1d(np.linspace(*ends, CELLS + 1), np.clip(more, *ends))
    for _ in range(DIVISIONS):
        width = np.diff(edges)
        a = 0.5 * (edges[1:] + edges[:-1])
        with np.errstate(divide="ignore"):
            log_mass = log_density(a) + np.log(width)
        if not np.isfinite(log_mass.max()):
            break
        heavy = np.exp(log_mass - logsumexp(log_mass)) > SHARE
        if not heavy.any():
            break
        # beside a heavy cell density may fall so fast that the neighbour's middle says little of it
        near_heavy = np.convolve(heavy, np.ones(3), mode="same") > 0
        edges = np.union1d(edges, a[near_heavy])
    return a, width, log_mass


def _log_prior(prior, a):
    """Log prior density of a = atanh ρ; of a function, as it comes."""
    return log_density(prior, np.tanh(a)) - 2 * np.log(np.cosh(a))


def _log_mass(prior):
    """Log integral over (-1, 1) of a density that is taken as it comes; a distribution's is 0."""
    if isinstance(prior, AtanhNormal) or hasattr(prior, "cdf"):
        return 0.0
    _, _, log_mass = _divided(lambda a: _log_prior(prior, a), (-REACH, REACH))
    return logsumexp(log_mass)


def _resample(map, knots, a, width, cell, rng):
    """Effect, α and ρ for each chosen cell: a draw of the column by weight, moved along its line.

    A draw has the same standard normals in every column, so its α and its weight are smooth in a
    and can be splined.
    """
    used, back = np.unique(cell, return_inverse=True)
    weight = np.exp(CubicSpline(knots, map.log_weight.values)(a[used]))
    weight /= weight.sum(axis=1, keepdims=True)
    cumulative = np.cumsum(weight, axis=1, out=weight)
    cumulative += np.arange(len(used))[:, None]  # of one column after the other, all in order
    place = np.searchsorted(cumulative.ravel(), back + rng.uniform(size=len(cell)))
    draw = (place - back * map.sizes["draw"]).clip(0, map.sizes["draw"] - 1)
    aside = width[cell] * (rng.uniform(size=len(cell)) - 0.5)
    where = a[cell] + aside
    values = {}
    for name, of_column in {"effect": effect_of(map), "alpha": map.alpha.values}.items():
        line = CubicSpline(knots, of_column)
        slope = line(a[used], 1)[back, draw]
        values[name] = line(a[used])[back, draw] + slope * (where - a[cell])
    return values | {"rho": np.tanh(where)}


def _check_support(map, knots, a, share, beyond):
    """Pareto k̂, ess and share at the edge of a reading; refused, if its columns cannot carry it."""
    weight = _column_weights(knots, a, share)
    bad = unreliable(map) & (weight > NEGLIGIBLE)
    refuse_columns(map, bad, f"which hold {weight[bad].sum():.1%} of the posterior")
    alone = beyond is not None
    outside = beyond if alone else 0.0
    at_ends = float(weight[0] + weight[-1])
    edge = outside + (1 - outside) * at_ends if len(a) > 1 else 0.0
    if edge > MOST_AT_THE_EDGE:
        low, high = map.rho.values[[0, -1]]
        whose = "belief" if alone else "posterior"
        farther = " or beyond" if alone else ""
        raise ValueError(
            f"{edge:.1%} of the {whose} lies at the ends of the map (rho {low:.3f} and "
            f"{high:.3f}){farther}; accepted is a wider map: map_rho(design, rho=...)."
        )
    worst = map.pareto_k.values[weight > NEGLIGIBLE].max()
    return {"pareto_k": float(worst), "ess": float(weight @ map.ess.values), "edge": edge}


def _column_weights(knots, a, share):
    """What each column holds: every cell leans on the columns on both of its sides."""
    after = np.searchsorted(knots, a).clip(1, len(knots) - 1)
    part = ((a - knots[after - 1]) / (knots[after] - knots[after - 1])).clip(0, 1)
    of_after = np.bincount(after, weights=share * part, minlength=len(knots))
    of_before = np.bincount(after - 1, weights=share * (1 - part), minlength=len(knots))
    return of_after + of_before


def _systematic(share, size, rng):
    """Systematic resampling: cells by number, each as often as its share, to within one."""
    points = (np.arange(size) + rng.uniform()) / size
    return np.searchsorted(np.cumsum(share), points * share.sum()).clip(max=len(share) - 1)


def read_map(map: xr.Dataset, probability: float = 0.95) -> pd.DataFrame:
    """Mean and central interval of the effect at every ρ of a map.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`.
    probability : float
        Of the interval.

    Returns
    -------
    pandas.DataFrame
        Index ``rho``; columns ``mean``, ``low`` and ``high`` (units of the outcome per unit of the
        treatment, or percentage points for a binary outcome) and ``log_evidence``, relative to the
        best column's. NaN in columns with Pareto k̂ > 0.7. Its ``attrs`` hold ``step`` and
        ``treatment`` where the effect is not that of one unit.

    Raises
    ------
    ValueError
        When no column can be relied on, or `probability` lies outside (0, 1).

    See Also
    --------
    plot_map : the table as a figure.
    tipping_point : the ρ that turns the sign.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, map_rho, read_map
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 2 * (x + v) + x + u})
    >>> design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    >>> chart = map_rho(design, rho=[-0.6, -0.3, 0.0, 0.3, 0.6])
    >>> print(read_map(chart)["mean"].round(1).to_dict())
    {-0.6: 2.7, -0.3: 2.3, 0.0: 2.0, 0.3: 1.7, 0.6: 1.3}
    """
    probability = arguments.probability(probability)
    chart_of(map)
    bad = unreliable(map)
    if bad.all():
        refuse_columns(map, bad, "the whole map")
    effect, weight = effect_of(map), np.exp(map.log_weight.values)
    tail = (1 - probability) / 2
    log_evidence = map.log_evidence.values
    columns = {
        "mean": (weight * effect).sum(axis=1),
        "low": _weighted_quantile(effect, weight, tail),
        "high": _weighted_quantile(effect, weight, 1 - tail),
        "log_evidence": log_evidence - log_evidence[~bad].max(),
    }
    table = pd.DataFrame(columns, index=pd.Index(map.rho.values, name="rho"))
    table[bad] = np.nan
    table.attrs = stepped(map.attrs)
    return table


def _weighted_quantile(values, weight, level):
    """A quantile of each row of `values`, (rows, draws), under weights that add up to one."""
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    share = np.take_along_axis(weight, order, axis=1)
    middle = (
        np.cumsum(share, axis=1) - share / 2
    )  # a draw stands in the middle of what it stands for
    return [np.interp(level, below, row) for below, row in zip(middle, ordered)]


def between_columns(table: pd.DataFrame, rho) -> pd.DataFrame:
    """A table of `read_map` at any ρ between its reliable columns, by `tipping_point`'s splines."""
    reliable = table.dropna()
    lines = CubicSpline(np.arctanh(reliable.index.to_numpy()), reliable.to_numpy())
    index = pd.Index(rho, name="rho")
    return pd.DataFrame(lines(np.arctanh(rho)), columns=reliable.columns, index=index)


def digits(width: float) -> int:
    """How many digits after the point a number with an interval of this width deserves."""
    return max(0, 1 - int(np.floor(np.log10(width))))


def tipping_point(map: xr.Dataset, *, probability: float = 0.95) -> pd.Series:
    """The values of ρ that would overturn the sign of the effect found at ρ = 0.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`; it must contain ρ = 0 within its range.
    probability : float
        Of the central interval of the effect.

    Returns
    -------
    pandas.Series
        ``interval``: the ρ nearest to zero at which the interval of the effect holds zero. It is 0
        when the interval at ρ = 0 holds zero already: there is no sign to overturn. ``mean``: the ρ
        nearest to zero at which the mean of the effect is zero. NaN where the map does not reach so
        far. ``at_zero``: the effect's mean at ρ = 0.

    Raises
    ------
    ValueError
        When ρ = 0 lies outside the map, a column on the way to the tipping point has Pareto k̂ >
        0.7, or `probability` lies outside (0, 1).

    See Also
    --------
    benchmark_rho : how large a ρ the measured covariates would have made.
    read_map : the effect at every ρ.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, map_rho, tipping_point
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 0.5 * (x + v) + x + u})
    >>> chart = map_rho(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
    >>> print(tipping_point(chart).round(1).to_dict())
    {'interval': 0.4, 'mean': 0.5, 'at_zero': 0.5}
    """
    return turned(map, read_map(map, probability))


def turned(map: xr.Dataset, table: pd.DataFrame) -> pd.Series:
    """`tipping_point` of a map's columns as `read_map` has them, or with wider intervals."""
    a, bad = np.arctanh(table.index.to_numpy()), unreliable(map)
    if not a[0] < 0 < a[-1]:
        low, high = map.rho.values[[0, -1]]
        reach = f"the map runs from rho={low:.3f} to {high:.3f}"
        raise ValueError(f"{reach}; accepted is a map with rho = 0 inside.")
    reliable = trusted(map)
    near = a[reliable]
    if len(near) < 2 or not near[0] <= 0 <= near[-1]:
        refuse_columns(map, bad, "on the way")
    names = ["mean", "low", "high"]
    mean, low, high = (CubicSpline(near, table[name].to_numpy()[reliable]) for name in names)
    at_zero = float(mean(0.0))
    if low(0.0) <= 0 <= high(0.0):
        interval = 0.0
    else:
        interval = _crossing(low if at_zero > 0 else high)
    crossings = {"interval": interval, "mean": _crossing(mean)}
    # a column nearer to zero than a crossing, or any where there is none, might have held another
    farthest = np.max(np.abs(list(crossings.values())))
    refuse_columns(map, bad & ~(np.abs(table.index) > farthest), "on the way")
    return pd.Series(crossings | {"at_zero": at_zero})


def _crossing(line):
    """tanh of the root nearest to zero of a spline; NaN without one."""
    roots = line.roots(extrapolate=False)
    return float(np.tanh(roots[np.abs(roots).argmin()])) if len(roots) else np.nan


def reading_table(
    readings: Mapping[Hashable, xr.Dataset | xr.DataTree],
    *,
    probability: float = 0.95,
) -> pd.DataFrame:
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
        Index ``reading``; columns ``effect`` (the mean: of α, in units of the outcome per unit of
        the treatment, or of a binary outcome's average difference in its chance, in percentage
        points), ``low`` and ``high``, ``P(effect>0)``, ``rho`` (the mean) and ``rho_sd``.

    Raises
    ------
    TypeError
        When something else than readings or fits is given.
    ValueError
        When one has no draws of ``alpha`` or ``effect``, or `probability` lies outside (0, 1).

    See Also
    --------
    weigh : one reading.
    world_table : fits side by side, with scores and diagnostics.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, map_rho, reading_table, weigh
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 2 * (x + v) + x + u})
    >>> chart = map_rho(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
    >>> readings = {"no current": weigh(chart, 0.0), "some": weigh(chart, 0.3)}
    >>> print(reading_table(readings)["effect"].round(1).to_dict())
    {'no current': 2.0, 'some': 1.7}
    """
    probability = arguments.probability(probability)
    accepted = "a mapping of names to readings, from weigh (or to fits, from fit)"
    draws = arguments.mapping(
        readings,
        "readings",
        accepted,
        keys=object,
        check=_effect_and_rho,
        least=1,
    )
    rows = {
        name: summary(effect, rho, probability, "effect") for name, (effect, rho) in draws.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("reading")
    return table[["effect", "low", "high", "P(effect>0)", "rho", "rho_sd"]]


def _effect_and_rho(value, name):
    """Draws of the effect, and of ρ where there are any."""
    if hasattr(value, "children"):
        value = arguments.fitted(value, name)["posterior"].dataset
    there = getattr(value, "data_vars", ())
    read = next((each for each in ("effect", "alpha") if each in there), None)
    if read is None or "rho" in value.dims:  # a map is not a reading yet
        accepted = "a reading from weigh(map), or a fit of a joint model"
        arguments.refuse(name, value, accepted, error=TypeError)
    rho = value["rho"].values if "rho" in value else np.array([np.nan])
    return value[read].values, rho


def summary(effect: np.ndarray, rho: np.ndarray, probability: float, name: str) -> dict[str, float]:
    """A row of a table: the effect's mean by name, its interval, ρ, and P(effect > 0)."""
    low, high = np.quantile(effect, ((1 - probability) / 2, (1 + probability) / 2))
    return {
        name: effect.mean(),
        "low": low,
        "high": high,
        "rho": rho.mean(),
        "rho_sd": rho.std(),
        f"P({name}>0)": (effect > 0).mean(),
    }
