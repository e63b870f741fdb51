"""Maps that move: a slider for ρ, and a belief that the reader sets, in a page without a server.

Both are Vega-Lite specifications. JupyterLab draws them itself; a built page, or a report, draws
them with the script that comes with it, and shows a still picture and a table where there is no
script, and on paper.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from scipy.interpolate import CubicSpline
from scipy.stats import norm

from which_world import arguments
from which_world.maps import chart_of, effect_of, refuse, trusted, unreliable
from which_world.plots import INK, JOINT, OLS, PRIOR, TRUTH, labelled, per_step, plot_map
from which_world.readings import between_columns, digits, read_map, tipping_point

STEP = 0.01  # of a slider for ρ
FINE = 0.02  # between the columns of a belief, in atanh ρ
FEWEST = 5  # columns, as in a map
SHOWN = 9  # columns in the table, about
WITHIN = 0.6  # what a figure shows on both sides of ρ = 0, or farther
SPREAD = 0.2  # of a belief at the start
SHAPE = "The higher the blue shape, the more plausible is an effect."
SPARE = 1.15  # of the tipping point, which is to lie inside
RANGE = "two correlations, the lower first, such as (-0.6, 0.6)"
LITE = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v{}.json"
NOTEBOOK, PAGE = 5, 6  # versions: JupyterLab knows the one, the pages' script the other
GREY = "#9aa5ab"
CONFIG = {
    "background": None,
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 13,
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "titleFontWeight": "normal",
        "gridColor": GREY,
        "gridOpacity": 0.25,
        "domainColor": GREY,
        "tickColor": GREY,
    },
    "title": {
        "fontSize": 14,
        "color": "currentColor",
        "fontWeight": "normal",
        "anchor": "start",
    },
    "view": {"stroke": None},
}
NAMES = ["mean", "low", "high", "sd"]  # of a column; each is an array in the page
HEADLINE = "headline"  # the layer of text that a page shows above the figure
RHO_TITLE = "hidden current ρ (no unit)"


@dataclass(frozen=True, repr=False)
class Explorer:
    """A figure that moves; Jupyter and the built pages show it by themselves.

    Attributes
    ----------
    spec : dict
        The Vega-Lite specification.
    table : pandas.DataFrame
        What the still figure shows, in numbers.
    still : str
        The still figure, as SVG.
    caption : str
        Of the figure that moves.
    digits : int
        After the point, of the numbers in the table.
    still_caption : str
        Of the still figure.
    """

    spec: dict
    table: pd.DataFrame
    still: str
    caption: str
    digits: int = 2
    still_caption: str = ""

    def html(self, script: str | None = None) -> str:
        """A figure element; `script` is Vega's own, as text, for a page that travels alone."""
        spec = json.dumps(_of_page(self.spec)).replace("</", "<\\/")
        template = Path(__file__).with_name("moving.html").read_text(encoding="utf-8")
        return Template(template).substitute(
            name=f"moving-{hashlib.sha256(spec.encode()).hexdigest()[:8]}",
            spec=spec,
            still=self.still,
            caption=escape(self.caption),
            still_caption=escape(self.still_caption or self.caption),
            table=self.table.to_html(border=0, float_format=self._number),
            script="" if script is None else f"<script>(function () {{{script}}})();</script>",
        )

    def _number(self, value):
        return f"{value:,.{self.digits}f}".replace("-", "−")

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {LITE: self.spec, "text/html": self.html(), "text/plain": self.caption}


def _of_page(spec):
    """A specification for a page, which shows the headline itself, from the layer of this name."""
    page = spec | {"$schema": SCHEMA.format(PAGE)}
    layers = list(page["layer"])
    title = page.pop("title", None)
    if title is not None:
        corner = {"x": {"value": 0}, "y": {"value": 0}}
        words = layer_of({"type": "text"} | title, "currentColor", **corner)
        layers.append({"name": HEADLINE} | words)
    for k, layer in enumerate(layers):
        if layer.get("name") == HEADLINE:  # without a size it takes no room from the drawing
            layers[k] = layer | {"mark": layer["mark"] | {"fontSize": 0}}
    return page | {"layer": layers}


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
    unit, columns = arguments.text(unit, "unit"), _columns(map)
    tipping = _tipping(map)
    within = _reach(columns, tipping) if within is None else within
    inside = _inside(columns, within)
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
        *({"name": f"{name}s", "value": fine[name].tolist()} for name in NAMES),
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
    return Explorer(spec, _in_words(inside, effect, unit), still, caption, places, standing)


def _tipping(map):
    """The ρ at which the interval reaches zero; NaN without one that can be relied on."""
    chart = chart_of(map)
    try:
        return float(tipping_point(chart.isel(rho=trusted(chart)))["interval"])
    except ValueError:  # nothing on one side of ρ = 0 can be relied on
        return np.nan


def _reach(columns, tipping):
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


def on_scales(layers: Sequence[dict], x: Sequence[float], y: Sequence[float]) -> list[dict]:
    """The layers on axes from end to end, which nothing that is drawn can stretch."""
    scales = {"x": {"domain": list(x), "nice": False}, "y": {"domain": list(y)}}
    placed = []
    for layer in layers:
        encoding = dict(layer["encoding"])
        for name, scale in scales.items():
            if name in encoding and "value" not in encoding[name]:
                encoding[name] = encoding[name] | {"scale": scale}
        placed.append(layer | {"encoding": encoding, "mark": layer["mark"] | {"clip": True}})
    return placed


def _map_captions(effect, unit, tipping, points):
    """What is seen where the figure moves, and where it stands still."""
    in_unit = f", in {unit}," if unit else ""
    what = f"The {effect}{in_unit} at every hidden current"
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
    return f"{what}. Move ρ. {marks}; {shape}.{more}", f"{what}. {marks}.{more}"


def _still_map(ax, columns, tipping, points, unit):
    """The map without a slider, with all that is marked in the one that moves."""
    plot_map(columns, tipping=tipping, marks=points, ax=ax, unit=unit)
    ax.set_xlabel(RHO_TITLE)


def _in_words(columns, effect, unit):
    """Some of the columns, under heads that a stranger can read."""
    heads = {
        "mean": labelled(f"mean {effect}", unit),
        "low": "95 % interval from",
        "high": "to",
        "log_evidence": "log evidence",
        "sd": "standard deviation",
    }
    table = columns.iloc[:: max(1, len(columns) // SHOWN)].rename(columns=heads)
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


def explore_belief(
    map: xr.Dataset,
    *,
    unit: str = "",
    options: Mapping[str, Callable[[np.ndarray], npt.ArrayLike]] | None = None,
    within: tuple[float, float] | None = None,
) -> Explorer:
    """The map under a belief that the reader sets: its middle and width, and what follows from it.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`.
    unit : str
        Of the effect.
    options : mapping of str to function, optional
        The loss of each option as a function of an array of effects; the least expected one is
        named.
    within : pair of float, optional
        The currents between which the middle may stand, and whose effects are shown; by default
        those of `explore_map`.

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        When fewer than five columns of the map can be relied on, or none lies `within`.

    See Also
    --------
    explore_map : the map with a slider for ρ.
    weigh : the same reading, in numbers.
    decide : the options compared in every world.

    Notes
    -----
    The belief is atanh ρ ~ Normal(atanh middle, width); the page weighs the map's columns by it,
    and by their evidence where the reader asks for that, at steps of 0.02 in atanh ρ between which
    they are interpolated. Within a column the effect is taken as normal.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import explore_belief, make_design, map_rho
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 2 * (x + v) + x + u})
    >>> chart = map_rho(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
    >>> options = {"act": lambda effect: 1 - effect, "wait": lambda effect: 0 * effect}
    >>> figure = explore_belief(chart, unit="kg", options=options)
    >>> print(figure.caption.split(" The higher")[0])
    The effect under a belief about ρ. Move its middle and its width.
    """
    unit, columns = arguments.text(unit, "unit"), _columns(map)
    within = _reach(columns, _tipping(map)) if within is None else within
    inside = _inside(columns, within)
    accepted = "names and losses, functions of an array of effects"
    options = {} if options is None else options
    options = arguments.mapping(options, "options", accepted, check=_loss)
    fine, grid = _fine(map, columns, options), _grid(columns, within)
    mean, sd = fine["mean"].to_numpy()[:, None], np.exp(fine["log_sd"].to_numpy()[:, None])
    height = norm.pdf(grid, mean, sd)
    places = digits(float(np.diff(columns[["low", "high"]]).min()))
    by_column = fine.drop(columns="log_sd").round(max(4, places + 2)).assign(k=range(len(fine)))
    by_column = by_column.to_dict("records")
    left, right = within
    params = [
        slider("middle", "middle of the belief about ρ ", left, right, STEP),
        slider("spread", "its width (sd of atanh ρ) ", 0.02, 1, 0.02, start=SPREAD),
        {
            "name": "listen",
            "value": False,
            "bind": {"input": "checkbox", "name": "listen to the likelihood "},
        },
        {"name": "at", "expr": "0.5 * log((1 + middle) / (1 - middle))"},
    ]
    effect = f"effect{per_step(map.attrs)}"
    title, zero = labelled(effect, unit), channel(datum=0)
    no_effect = _label("no effect", align="left", dx=4, baseline="top")
    layers = [
        _density(_visible(grid, height), by_column, title),
        layer_of("rule", PRIOR, x=zero),
        layer_of(no_effect, "currentColor", x=zero, y={"value": 36}),
        _verdict(by_column, list(options), effect, unit, places),
    ]
    layers = on_scales(layers, [float(grid[0]), float(grid[-1])], [0, 1.25])
    caption = f"The {effect} under a belief about ρ. Move its middle and its width. {SHAPE}"
    start = params[0]["value"]
    standing = (
        f"The {effect} under a belief about ρ: middle {start:.2f}, width {SPREAD:.2f} (standard "
        f"deviation of atanh ρ), the likelihood not listened to. {SHAPE}"
    ).replace("-", "−")
    weight = norm.pdf(fine["a"], np.arctanh(start), SPREAD)
    still = svg_of(lambda ax: _still_density(ax, grid, weight @ height, title))
    spec = specification(params, layers, caption)
    return Explorer(spec, _in_words(inside, effect, unit), still, caption, 2, standing)


def _still_density(ax, grid, density, title):
    """The density of the effect under the belief that the figure starts with."""
    ax.fill_between(grid, density / density.max(), color=JOINT, alpha=0.45)
    ax.axvline(0, color=PRIOR, linewidth=1)
    ax.annotate("no effect", (0, 1.1), xytext=(4, 0), textcoords="offset points", color=INK)
    ax.set(xlabel=title, yticks=[], xlim=(grid[0], grid[-1]), ylim=(0, 1.25))


def _visible(grid, height):
    """The heights of each column's density that can be seen, at each effect of the grid."""
    places = np.argwhere(height > 1e-3 * height.max())
    return [{"y": _short(grid[j], 4), "h": _short(height[i, j], 3), "k": int(i)} for i, j in places]


def _short(value, significant):
    """A number of so many significant digits."""
    return float(f"{value:.{significant}g}")


def _columns(map):
    """Mean, ends, sd and relative evidence of the columns that can be relied on."""
    chart = chart_of(map)
    kept = chart.isel(rho=trusted(chart))
    if kept.sizes["rho"] < FEWEST:
        refuse(chart, unreliable(chart), "so near to zero that too little is left to be drawn")
    columns = read_map(kept)
    weight, effect = np.exp(kept.log_weight.values), effect_of(kept)
    centre = (weight * effect).sum(axis=1, keepdims=True)
    variance = (weight * (effect - centre) ** 2).sum(axis=1)
    return columns.assign(sd=np.sqrt(variance))


def _inside(columns, within):
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


def _loss(value, name):
    """A loss, if it can be called."""
    return arguments.function(value, name, "a function of an array of effects")


def _fine(map, columns, options):
    """What a belief weighs, at even steps of a = atanh ρ.

    Columns: ``a``, ``mean``, ``log_sd``, evidence ``e``, P(effect > 0) ``p``, and the expected loss
    of each option, ``l0``, ``l1`` and so on.
    """
    chart, knots = map.sel(rho=columns.index), np.arctanh(columns.index.to_numpy())
    weight, effect = np.exp(chart.log_weight.values), effect_of(chart)
    by_knot = {
        "mean": columns["mean"],
        "log_sd": np.log(columns["sd"]),
        "e": columns["log_evidence"],
        "p": (weight * (effect > 0)).sum(axis=1),
    }
    for j, loss in enumerate(options.values()):
        by_knot[f"l{j}"] = (weight * loss(effect)).sum(axis=1)
    a = np.arange(knots[0], knots[-1], FINE)
    fine = {name: CubicSpline(knots, values)(a) for name, values in by_knot.items()}
    return pd.DataFrame({"a": a} | fine)


def _grid(columns, within):
    """Effects at which a density is drawn."""
    ends = np.interp(within, columns.index, columns["mean"])
    beyond = 2 * columns["sd"].max()
    return np.linspace(min(ends) - beyond, max(ends) + beyond, 121)


def specification(params: Sequence[dict], layers: Sequence[dict], caption: str, **more) -> dict:
    """A Vega-Lite specification, for JupyterLab."""
    return {
        "$schema": SCHEMA.format(NOTEBOOK),
        "description": caption,
        "width": "container",
        "height": 300,
        "config": CONFIG,
        "autosize": {"type": "fit", "contains": "padding"},
        "params": params,
        "layer": layers,
    } | more


def quoted(text: str, before: str = "") -> str:
    """A text as a Vega expression has it, nothing if it is empty."""
    return json.dumps(before + text if text else "")


def slider(
    name: str,
    label: str,
    low: float,
    high: float,
    step: float,
    start: float = 0.0,
) -> dict[str, Any]:
    """A parameter that the reader moves from `low` to `high`."""
    low, high = round(low, 2), round(high, 2)
    bind = {"input": "range", "min": low, "max": high, "step": step, "name": label}
    return {"name": name, "value": float(np.clip(start, low, high)), "bind": bind}


def layer_of(
    mark: str | dict,
    colour: str,
    data: dict | None = None,
    transform: Sequence[dict] | None = None,
    **encoding: dict,
) -> dict[str, Any]:
    """A layer of one mark; without data, of one piece."""
    mark = {"type": mark} if isinstance(mark, str) else mark
    layer = {"data": data or {"values": [{}]}, "mark": {"color": colour} | mark}
    steps = {} if transform is None else {"transform": transform}
    return layer | {"encoding": encoding} | steps


def channel(**value) -> dict[str, Any]:
    """An encoding of a number."""
    return value | {"type": "quantitative"}


def _band(band, title):
    """Layers of the map: its interval, its mean, and zero by name."""
    x = channel(field="rho", title=RHO_TITLE)
    low, high = channel(field="low", title=title), {"field": "high"}
    data = {"values": band}
    yield layer_of({"type": "area", "opacity": 0.22}, JOINT, data, x=x, y=low, y2=high)
    yield layer_of("line", JOINT, data, x=x, y=channel(field="mean"))
    zero = channel(datum=0)
    yield layer_of("rule", PRIOR, y=zero)
    words = _label("no effect", align="left", dx=4, dy=-7)
    yield layer_of(words, "currentColor", x={"value": 0}, y=zero)


def _label(text, **more):
    """A text mark beside something that is marked."""
    return {"type": "text", "fontSize": 12, "text": text} | more


def _beside(x, ends, preferred):
    """On which side of x a label has room, and its distance: as `align` and `dx` of a text."""
    room = 0.3 * (ends[1] - ends[0])
    left = x - ends[0] > room and (preferred == "left" or ends[1] - x < room)
    return {"align": "right", "dx": -8} if left else {"align": "left", "dx": 8}


def _tipping_layers(tipping, ends):
    """Layers of the tipping point, by name; none where there is none, or no sign to overturn."""
    if not np.isfinite(tipping) or tipping == 0:
        return
    x = channel(datum=tipping)
    yield layer_of({"type": "rule", "strokeDash": [2, 3], "strokeWidth": 2}, TRUTH, x=x)
    words = _label("tipping point", baseline="top", **_beside(tipping, ends, "left"))
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


def point_layers(
    ols: tuple[float, float] | None,
    truth: tuple[float, float] | None,
    ends: Sequence[float],
) -> Iterator[dict]:
    """Layers of the points that are marked by name, where they are given, between two ends of x."""
    points = {"least squares": (INK, ols, "left"), "truth": (TRUTH, truth, "right")}
    for name, (colour, point, preferred) in points.items():
        if point is None:
            continue
        x, y = (channel(datum=value) for value in point)
        dot = {"type": "point", "filled": True, "size": 70, "stroke": "white"}
        yield layer_of(dot, colour, x=x, y=y)
        words = _label(name, dy=-8, **_beside(point[0], ends, preferred))
        yield layer_of(words, "currentColor", x=x, y=y)


WEIGH = {
    "calculate": "exp((listen ? datum.e : 0) - 0.5 * pow((datum.a - at) / spread, 2))",
    "as": "w",
}


def _density(heights, by_column, title):
    """A layer of the density of the effect under the belief, highest at one."""
    columns = {"data": {"values": by_column}, "key": "k", "fields": ["a", "e"]}
    total = {"op": "sum", "field": "wh", "as": "density"}
    top = {"op": "max", "field": "density", "as": "top"}
    steps = [
        {"lookup": "k", "from": columns},
        WEIGH,
        {"calculate": "datum.w * datum.h", "as": "wh"},
        {"aggregate": [total], "groupby": ["y"]},
        {"joinaggregate": [top]},
        {"calculate": "datum.density / datum.top", "as": "height"},
    ]
    return layer_of(
        {"type": "area", "opacity": 0.45, "line": {"color": JOINT}},
        JOINT,
        {"values": heights},
        steps,
        x=channel(field="y", title=title),
        y=channel(field="height", axis=None),
    )


def _verdict(by_column, options, effect, unit, places):
    """A layer of text: the mean effect, P(effect > 0), and the option of least expected loss."""
    p = "datum.above / datum.total"
    chance = f"{p} < 0.01 ? '< 1' : {p} > 0.99 ? '> 99' : '= ' + format(100 * {p}, '.0f')"
    words = (
        f"{quoted(f'mean {effect} ')} + format(datum.mean / datum.total, ',.{places}f')"
        f" + {quoted(unit, before=' ')} + ', P(effect > 0) ' + ({chance}) + ' %'"
    )
    terms = {"total": "datum.w", "above": "datum.w * datum.p", "mean": "datum.w * datum.mean"}
    if options:
        losses = [f"datum.L{j}" for j in range(len(options))]
        terms |= {f"L{j}": f"datum.w * datum.l{j}" for j in range(len(options))}
        listed = ", ".join(losses)
        names = ", ".join(quoted(option) for option in options)
        best = f"[{names}][indexof([{listed}], min({listed}))]"
        words += f" + '; least expected loss: ' + {best}"
    sums = [{"op": "sum", "field": f"each {name}", "as": name} for name in terms]
    steps = [
        WEIGH,
        *({"calculate": text, "as": f"each {name}"} for name, text in terms.items()),
        {"aggregate": sums},
        {"calculate": words, "as": "words"},
    ]
    return {"name": HEADLINE} | layer_of(
        {"type": "text", "align": "left", "baseline": "top", "fontSize": 14},
        "currentColor",
        {"values": by_column},
        steps,
        text={"field": "words"},
        x={"value": 4},
        y={"value": 4},
    )


def svg_of(draw: Callable[[Axes], Any], height: float = 3.2) -> str:
    """What `draw` puts on axes of this height in inches, as an SVG picture without a date."""
    figure, ax = plt.subplots(figsize=(6.5, height), layout="constrained")
    draw(ax)
    picture = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "map"}):
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = picture.getvalue()
    return text[text.index("<svg") :]
