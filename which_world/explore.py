"""The map that moves: a slider for ρ, in a page without a server."""

from __future__ import annotations

import numpy as np
import xarray as xr

from which_world import arguments
from which_world.maps import chart_of, effect_of, refuse_columns, trusted, unreliable
from which_world.plots import JOINT, OLS, PRIOR, TRUTH, labelled, per_step, plot_map
from which_world.readings import between_columns, digits, read_map, tipping_point
from which_world.vega import (
    RHO_TITLE,
    Explorer,
    beside,
    channel,
    label,
    layer_of,
    on_scales,
    point_layers,
    quoted,
    slider,
    specification,
    svg_of,
)

STEP = 0.01  # of a slider for ρ
FEWEST = 5  # columns, as in a map
ROWS_OF_TABLE = 9  # columns in the table, about
WITHIN = 0.6  # what a figure shows on both sides of ρ = 0, or farther
SPARE = 1.15  # of the tipping point, which is to lie inside
RANGE = "two correlations, the lower first, such as (-0.6, 0.6)"
IN_THE_PAGE = ["mean", "low", "high", "sd"]  # of a column; each is an array in the page


def explore_map(
    map: xr.Dataset,
    *,
    unit: str = "",
    ols: float | None = None,
    truth: tuple[float, float] | None = None,
    within: tuple[float, float] | None = None,
) -> Explorer:
    """The map with a slider for ρ: the posterior of the effect moves as the hidden current does.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`.
    unit : str
        Of the effect.
    ols : float, optional
        The least-squares effect, marked at ρ = 0.
    truth : pair of float, optional
        The (ρ, effect) of a simulated tank.
    within : pair of float, optional
        The currents that are shown; by default from -0.6 to 0.6, or to 15 % beyond the tipping
        point where that lies farther and the map can be relied on there.

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        When fewer than five columns of the map can be relied on, or none lies `within`.

    See Also
    --------
    explore_belief : the map under a belief that the reader sets.
    plot_map : the map as a still figure.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import explore_map, make_design, map_rho
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 2 * (x + v) + x + u})
    >>> chart = map_rho(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
    >>> figure = explore_map(chart, unit="kg", ols=2.0)
    >>> print(figure.caption.split(" The line")[0])
    The effect, in kg, at every hidden current. Move ρ.
    """
    unit, columns = arguments.text(unit, "unit"), relied_on(map)
    tipping = tipping_of(map)
    within = reach(columns, tipping) if within is None else within
    inside = inside_of(columns, within)
    ols = arguments.optional(arguments.number, ols, "ols")
    accepted = "a pair of numbers, (ρ, effect)"
    truth = arguments.optional(arguments.pair, truth, "truth", accepted=accepted)
    rho, first = _slider_steps(columns, within)
    fine = between_columns(columns, rho)
    width = (fine["high"] - fine["low"]).iloc[np.abs(rho).argmin()]
    places = digits(float(width))
    fine = fine.round(places + 4).reset_index(drop=True)
    ends = (float(rho[0]), float(rho[-1]))
    tipping = tipping if ends[0] <= tipping <= ends[1] else np.nan
    points = {"least squares": None if ols is None else (0.0, ols), "truth": truth}
    points = {name: at for name, at in points.items() if at and ends[0] <= at[0] <= ends[1]}
    effect = f"effect{per_step(map.attrs)}"
    wide = 0.13 * (ends[1] - ends[0])
    params = [
        slider("r", "hidden current ρ ", *ends, STEP),
        *({"name": f"{name}s", "value": fine[name].tolist()} for name in IN_THE_PAGE),
        {"name": "k", "expr": f"round(r / {STEP}) - ({first})"},
        {"name": "side", "expr": f"r + {wide:.4f} > {ends[1]:.2f} ? -1 : 1"},
    ]
    band = fine.assign(rho=rho.round(2))[["rho", "mean", "low", "high"]].to_dict("records")
    layers = [
        *_band(band, labelled(effect, unit)),
        *_tipping_layers(tipping, ends),
        *_violin(wide),
        *point_layers(points.get("least squares"), points.get("truth"), ends),
    ]
    layers = on_scales(layers, [round(end, 2) for end in ends], _heights(fine, points))
    caption, standing = _map_captions(effect, unit, tipping, points)
    title = {"text": {"expr": _map_words(effect, unit, places)}}
    still = svg_of(lambda ax: _still_map(ax, inside, tipping, points, unit))
    spec = specification(params, layers, caption, title=title)
    return Explorer(spec, in_words(inside, effect, unit), still, caption, places, standing)


def tipping_of(map):
    """The ρ at which the interval reaches zero; NaN without one that can be relied on."""
    chart = chart_of(map)
    try:
        return float(tipping_point(chart.isel(rho=trusted(chart)))["interval"])
    except ValueError:  # nothing on one side of ρ = 0 can be relied on
        return np.nan


def reach(columns, tipping):
    """The currents that are shown where nobody says which."""
    far = max(WITHIN, SPARE * abs(np.nan_to_num(tipping)))
    far = np.ceil(far / STEP - 1e-9) * STEP
    low, high = np.clip((-far, far), columns.index[0], columns.index[-1])
    return float(low), float(high)


def _heights(fine, points):
    """The lowest and the highest effect that is drawn at any step of the slider."""
    marked = [effect for _, effect in points.values()]
    low, high = fine["mean"] - 3 * fine["sd"], fine["mean"] + 3 * fine["sd"]
    return [float(min(0, low.min(), *marked)), float(max(0, high.max(), *marked))]


def _map_captions(effect, unit, tipping, points):
    """The captions of the figure that moves, and of the one that stands still."""
    in_unit = f", in {unit}," if unit else ""
    shown = f"The {effect}{in_unit} at every hidden current"
    marks = "The line is its posterior mean, the band its 95 % interval"
    shape = "the orange shape is the posterior at the slider's ρ, with its mean and its interval"
    more = ""
    if tipping == 0:
        more = " The interval holds zero at ρ = 0: there is no sign to overturn."
    elif np.isfinite(tipping):
        at = f"{tipping:.2f}".replace("-", "−")
        more = f" The dotted line is the tipping point, ρ = {at}, where the interval reaches zero."
    if points:
        more += f" Marked by name: {' and '.join(points)}."
    return f"{shown}. Move ρ. {marks}; {shape}.{more}", f"{shown}. {marks}.{more}"


def _still_map(ax, columns, tipping, points, unit):
    """The map without a slider, with all that is marked in the one that moves."""
    plot_map(columns, tipping=tipping, marks=points, ax=ax, unit=unit)
    ax.set_xlabel(RHO_TITLE)


def in_words(columns, effect, unit):
    """Some of the columns, under heads that a stranger can read."""
    heads = {
        "mean": labelled(f"mean {effect}", unit),
        "low": "95 % interval from",
        "high": "to",
        "log_evidence": "log evidence, less the highest",
        "sd": "standard deviation",
    }
    table = columns.iloc[:: max(1, len(columns) // ROWS_OF_TABLE)]
    table = table.assign(log_evidence=lambda each: each.log_evidence - each.log_evidence.max())
    table = table.rename(columns=heads)
    return table.set_axis(table.index.to_numpy().round(2) + 0.0).rename_axis("hidden current ρ")


def _slider_steps(columns, within):
    """ρ at the steps of the slider, and the first of them in steps from zero."""
    low, high = np.clip(within, columns.index[0], columns.index[-1])
    first, last = int(np.ceil(low / STEP - 1e-9)), int(np.floor(high / STEP + 1e-9))
    return np.arange(first, last + 1) * STEP, first


def _map_words(effect, unit, places):
    """The title at the slider's ρ, as a Vega expression."""
    number = f"',.{places}f'"
    parts = [
        "'hidden current ρ = '",
        "format(r, '.2f')",
        quoted(f": {effect} "),
        f"format(means[k], {number})",
        quoted(unit, before=" "),
        "', 95 % interval '",
        f"format(lows[k], {number})",
        "' to '",
        f"format(highs[k], {number})",
    ]
    return " + ".join(parts)


def relied_on(map):
    """Mean, ends, sd and relative evidence of the columns that can be relied on."""
    chart = chart_of(map)
    kept = chart.isel(rho=trusted(chart))
    if kept.sizes["rho"] < FEWEST:
        refuse_columns(
            chart, unreliable(chart), "so near to zero that too little is left to be drawn"
        )
    columns = read_map(kept)
    weight, effect = np.exp(kept.log_weight.values), effect_of(kept)
    centre = (weight * effect).sum(axis=1, keepdims=True)
    variance = (weight * (effect - centre) ** 2).sum(axis=1)
    return columns.assign(sd=np.sqrt(variance))


def inside_of(columns, within):
    """The columns that are shown."""
    low, high = arguments.pair(within, "within", RANGE)
    if not -1 < low < high < 1:
        arguments.refuse("within", within, RANGE)
    inside = columns.loc[low:high]
    if len(inside) < 2:
        first, last = columns.index[[0, -1]]
        accepted = "a range that holds two columns of the map, which are at ρ from "
        arguments.refuse("within", within, f"{accepted}{first:.2f} to {last:.2f}")
    return inside


def _band(band, title):
    """Layers of the map: its interval, its mean, and zero by name."""
    x = channel(field="rho", title=RHO_TITLE)
    low, high = channel(field="low", title=title), {"field": "high"}
    data = {"values": band}
    yield layer_of({"type": "area", "opacity": 0.22}, JOINT, data, x=x, y=low, y2=high)
    yield layer_of("line", JOINT, data, x=x, y=channel(field="mean"))
    zero = channel(datum=0)
    yield layer_of("rule", PRIOR, y=zero)
    words = label("no effect", align="left", dx=4, dy=-7)
    yield layer_of(words, "currentColor", x={"value": 0}, y=zero)


def _tipping_layers(tipping, ends):
    """Layers of the tipping point, by name; none where there is none, or no sign to overturn."""
    if not np.isfinite(tipping) or tipping == 0:
        return
    x = channel(datum=tipping)
    yield layer_of({"type": "rule", "strokeDash": [2, 3], "strokeWidth": 2}, TRUTH, x=x)
    words = label("tipping point", baseline="top", **beside(tipping, ends, "left"))
    yield layer_of(words, "currentColor", x=x, y={"value": 2})


def _violin(wide):
    """Layers of half a violin at the slider's ρ, towards where there is room, with its marks."""
    steps = {
        "y": "means[k] + datum.z * sds[k]",
        "x": "r",
        "far": f"r + side * {wide:.4f} * exp(-datum.z * datum.z / 2)",
    }
    yield layer_of(
        {"type": "area", "orient": "horizontal", "opacity": 0.55},
        OLS,
        {"sequence": {"start": -3, "stop": 3.05, "step": 0.1, "as": "z"}},
        [{"calculate": text, "as": name} for name, text in steps.items()],
        y=channel(field="y"),
        x=channel(field="x"),
        x2={"field": "far"},
    )
    x = channel(datum={"expr": "r"})
    mean, low = (channel(datum={"expr": f"{name}s[k]"}) for name in ("mean", "low"))
    high = {"datum": {"expr": "highs[k]"}}
    yield layer_of({"type": "rule", "strokeWidth": 3}, OLS, x=x, y=low, y2=high)
    yield layer_of({"type": "point", "filled": True, "size": 90}, OLS, x=x, y=mean)
