"""Maps that move: a slider for ρ, and a belief that the reader sets, in a page without a server.

Both are Vega-Lite specifications. JupyterLab draws them itself; a built page, or a report, draws them with the script
that comes with it, and shows a still picture and a table where there is no script, and on paper.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline
from scipy.stats import norm

from which_world import arguments
from which_world.maps import chart_of, effect_of, refuse, trusted, unreliable
from which_world.plots import INK, JOINT, OLS, PRIOR, TRUTH, of, plot_map
from which_world.readings import between_columns, digits, read_map

STEP = 0.01  # of a slider for ρ
FINE = 0.02  # between the columns of a belief, in atanh ρ
FEWEST = 5  # columns, as in a map
WITHIN = -0.6, 0.6
LITE = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v{}.json"  # JupyterLab knows version 5, the pages' script 6
GREY = "#9aa5ab"
CONFIG = {
    "background": None,
    "axis": {"labelFontSize": 12, "titleFontSize": 13, "labelColor": "currentColor", "titleColor": "currentColor",
             "titleFontWeight": "normal", "gridColor": GREY, "gridOpacity": 0.25, "domainColor": GREY,
             "tickColor": GREY},
    "title": {"fontSize": 14, "color": "currentColor", "fontWeight": "normal", "anchor": "start"},
    "view": {"stroke": None},
}  # fmt: skip


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
    digits : int
        After the point, of the numbers in the table.
    """

    spec: dict
    table: pd.DataFrame
    still: str
    caption: str
    digits: int = 2

    def html(self, script=None):
        """A figure element; `script` is the text of Vega's own script, for a page that travels alone."""
        spec = json.dumps(self.spec | {"$schema": SCHEMA.format(6)}).replace("</", "<\\/")
        table = self.table.to_html(border=0, float_format=f"{{:,.{self.digits}f}}".format)
        return Template((Path(__file__).parent / "moving.html").read_text(encoding="utf-8")).substitute(
            name=f"moving-{hashlib.sha256(spec.encode()).hexdigest()[:8]}", spec=spec, still=self.still,
            caption=escape(self.caption), table=table,
            script="" if script is None else f"<script>(function () {{{script}}})();</script>",
        )  # fmt: skip

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {LITE: self.spec, "text/html": self.html(), "text/plain": self.caption}


def explore_map(map, *, unit="", ols=None, truth=None, within=WITHIN):
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
    within : pair of float
        The currents that are shown.

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        When fewer than five columns of the map can be relied on, or none lies `within`.
    """
    unit, columns = arguments.text(unit, "unit"), _columns(map)
    inside = _inside(columns, within)
    ols = arguments.optional(arguments.number, ols, "ols")
    truth = arguments.optional(arguments.pair, truth, "truth", accepted="a pair of numbers, (ρ, effect)")
    ends = np.clip(within, columns.index[0], columns.index[-1])
    first, last = int(np.ceil(ends[0] / STEP - 1e-9)), int(np.floor(ends[1] / STEP + 1e-9))
    rho = np.arange(first, last + 1) * STEP
    fine = between_columns(columns, rho)
    places = digits(float((fine["high"] - fine["low"]).iloc[np.abs(rho).argmin()]))
    fine, tell = fine.round(places + 4).reset_index(drop=True), f"',.{places}f'"
    effect = f"effect{of(map.attrs)}"
    words = (
        f"'ρ = ' + format(r, '.2f') + {quoted(f':  {effect} ')} + format(means[k], {tell}) + {quoted(unit, before=' ')}"
        f" + ', 95 % interval ' + format(lows[k], {tell}) + ' to ' + format(highs[k], {tell})"
    )
    params = [
        slider("r", "hidden current ρ ", rho[0], rho[-1], STEP),
        *({"name": f"{name}s", "value": fine[name].tolist()} for name in ("mean", "low", "high", "sd")),
        {"name": "k", "expr": f"round(r / {STEP}) - ({first})"},
    ]
    band = fine.assign(rho=rho.round(2))[["rho", "mean", "low", "high"]].to_dict("records")
    layers = [*_band(band, _titled(effect, unit)), *_moving(rho), *marks(ols, truth)]
    caption = f"The {effect}{f', in {unit},' if unit else ''} at every hidden current. Move ρ."
    return _explorer(params, layers, inside, unit, caption, places, title={"text": {"expr": words}})


def explore_belief(map, *, unit="", options=None, within=WITHIN):
    """The map read under a belief that the reader sets: its middle and width, and what follows from it.

    Parameters
    ----------
    map : xarray.Dataset
        From `map_rho`.
    unit : str
        Of the effect.
    options : mapping of str to function, optional
        The loss of each option as a function of an array of effects; the least expected one is named.
    within : pair of float
        The currents between which the middle may stand, and whose effects are shown.

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        When fewer than five columns of the map can be relied on, or none lies `within`.

    Notes
    -----
    The belief is atanh ρ ~ Normal(atanh middle, width); the page weighs the map's columns by it and by their evidence,
    at steps of 0.02 in atanh ρ between which they are interpolated. Within a column the effect is taken as normal.
    """
    unit, columns = arguments.text(unit, "unit"), _columns(map)
    inside, accepted = _inside(columns, within), "names and losses, functions of an array of effects"
    options = arguments.mapping({} if options is None else options, "options", accepted, check=_loss)
    fine, grid = _fine(map, columns, options), _grid(columns, within)
    height = norm.pdf(grid, fine["mean"].to_numpy()[:, None], np.exp(fine["log_sd"].to_numpy()[:, None]))
    rows = [
        {"y": float(f"{grid[j]:.4g}"), "h": float(f"{height[i, j]:.3g}"), "k": int(i)}
        for i, j in np.argwhere(height > 1e-3 * height.max())
    ]
    fixed = fine.drop(columns=["mean", "log_sd"]).round(4).assign(k=range(len(fine))).to_dict("records")
    params = [
        slider("middle", "middle of the belief about ρ ", *within, STEP),
        slider("spread", "its width (sd of atanh ρ) ", 0.02, 1, 0.02, start=0.2),
        {"name": "at", "expr": "0.5 * log((1 + middle) / (1 - middle))"},
    ]
    effect = f"effect{of(map.attrs)}"
    density = _density(rows, fixed, _titled(effect, unit))
    layers = [density, layer_of("rule", PRIOR, x={"datum": 0}), _verdict(fixed, list(options))]
    caption = f"The {effect} under a belief about ρ. Move its middle and its width."
    return _explorer(params, layers, inside, unit, caption)


def _columns(map):
    """Mean, ends, sd and relative evidence of the columns that can be relied on."""
    chart = chart_of(map)
    kept = chart.isel(rho=trusted(chart))
    if kept.sizes["rho"] < FEWEST:
        refuse(chart, unreliable(chart), "so near to zero that too little is left to be drawn")
    columns, weight, effect = read_map(kept), np.exp(kept.log_weight.values), effect_of(kept)
    centre = (weight * effect).sum(axis=1, keepdims=True)
    return columns.assign(sd=np.sqrt((weight * (effect - centre) ** 2).sum(axis=1)))


def _inside(columns, within):
    """The columns that are shown."""
    low, high = arguments.pair(within, "within", accepted := "two correlations, the lower first, such as (-0.6, 0.6)")
    if not -1 < low < high < 1:
        arguments.refuse("within", within, accepted)
    inside = columns.loc[low:high]
    if len(inside) < 2:
        here = f"{columns.index[0]:.2f} to {columns.index[-1]:.2f}"
        arguments.refuse("within", within, f"a range that holds two columns of the map, which are at ρ from {here}")
    return inside


def _loss(value, name):
    return arguments.function(value, name, "a function of an array of effects")


def _fine(map, columns, options):
    """What a belief weighs, at even steps of a: evidence, mean, log sd, P(effect > 0), each option's expected loss."""
    chart, a = map.sel(rho=columns.index), np.arctanh(columns.index.to_numpy())
    weight, effect = np.exp(chart.log_weight.values), effect_of(chart)
    known = {"mean": columns["mean"], "log_sd": np.log(columns["sd"]), "e": columns["log_evidence"],
             "p": (weight * (effect > 0)).sum(axis=1)}  # fmt: skip
    known |= {f"l{j}": (weight * loss(effect)).sum(axis=1) for j, loss in enumerate(options.values())}
    fine = np.arange(a[0], a[-1], FINE)
    return pd.DataFrame({"a": fine} | {name: CubicSpline(a, values)(fine) for name, values in known.items()})


def _grid(columns, within):
    """Effects at which a density is drawn."""
    ends, beyond = np.interp(within, columns.index, columns["mean"]), 2 * columns["sd"].max()
    return np.linspace(min(ends) - beyond, max(ends) + beyond, 121)


def _explorer(params, layers, columns, unit, caption, places=2, **more):
    shown = columns.iloc[:: max(1, len(columns) // 9)]
    return Explorer(specification(params, layers, caption, **more), shown, _still(columns, unit), caption, places)


def specification(params, layers, caption, **more):
    return {
        "$schema": SCHEMA.format(5), "description": caption, "width": "container", "height": 300, "config": CONFIG,
        "autosize": {"type": "fit", "contains": "padding"}, "params": params, "layer": layers,
    } | more  # fmt: skip


def quoted(text, before=""):
    """A text as an expression has it, nothing if it is empty."""
    return json.dumps(before + text if text else "")


def slider(name, label, low, high, step, start=0.0):
    bind = {"input": "range", "min": round(low, 2), "max": round(high, 2), "step": step, "name": label}
    return {"name": name, "value": float(np.clip(start, bind["min"], bind["max"])), "bind": bind}


def layer_of(mark, colour, data=None, **encoding):
    """A layer of one mark; without data, of one piece."""
    mark = {"type": mark} if isinstance(mark, str) else mark
    return {"data": data or {"values": [{}]}, "mark": {"color": colour} | mark, "encoding": encoding}


def channel(**value):
    return value | {"type": "quantitative"}


def _titled(effect, unit):
    return f"{effect} ({unit})" if unit else effect


def _band(band, title):
    x = channel(field="rho", title="hidden current ρ (no unit)")
    y, data = channel(field="low", title=title), {"values": band}
    yield layer_of({"type": "area", "opacity": 0.22}, JOINT, data, x=x, y=y, y2={"field": "high"})
    yield layer_of("line", JOINT, data, x=x, y=channel(field="mean"))
    yield layer_of("rule", PRIOR, y={"datum": 0})


def _moving(rho):
    """The half of a violin that stands at the slider's ρ, and its interval."""
    wide, at = 0.13 * (rho[-1] - rho[0]), channel(datum={"expr": "r"})
    outline = {"sequence": {"start": -3, "stop": 3.05, "step": 0.1, "as": "z"}}
    shape = layer_of({"type": "area", "orient": "horizontal", "opacity": 0.55}, OLS, outline,
                  y=channel(field="y"), x=channel(field="x"), x2={"field": "far"})  # fmt: skip
    bell = f"r + {wide:.4f} * exp(-datum.z * datum.z / 2)"
    steps = {"y": "means[k] + datum.z * sds[k]", "x": "r", "far": bell}
    yield shape | {"transform": [{"calculate": text, "as": name} for name, text in steps.items()]}
    ends = {"y": channel(datum={"expr": "lows[k]"}), "y2": {"datum": {"expr": "highs[k]"}}}
    yield layer_of({"type": "rule", "strokeWidth": 3}, OLS, x=at, **ends)
    yield layer_of({"type": "point", "filled": True, "size": 90}, OLS, x=at, y=channel(datum={"expr": "means[k]"}))


def marks(ols, truth):
    points = [(0.0, ols, "least squares", INK)] if ols is not None else []
    points += [(*truth, "truth", TRUTH)] if truth is not None else []
    for x, y, name, colour in points:
        place = {"x": channel(datum=x), "y": channel(datum=y)}
        yield layer_of({"type": "point", "filled": True, "size": 70, "stroke": "white"}, colour, **place)
        words = {"type": "text", "align": "left", "dx": 8, "dy": -8, "fontSize": 12, "text": name}
        yield layer_of(words, "currentColor", **place)


WEIGH = {"calculate": "exp(datum.e - 0.5 * pow((datum.a - at) / spread, 2))", "as": "w"}


def _density(rows, fixed, title):
    """Density of the effect under the belief, highest at one."""
    known = {"lookup": "k", "from": {"data": {"values": fixed}, "key": "k", "fields": ["a", "e"]}}
    steps = [known, WEIGH, {"calculate": "datum.w * datum.h", "as": "wh"},
             {"aggregate": [{"op": "sum", "field": "wh", "as": "density"}], "groupby": ["y"]},
             {"joinaggregate": [{"op": "max", "field": "density", "as": "top"}]},
             {"calculate": "datum.density / datum.top", "as": "height"}]  # fmt: skip
    mark = {"type": "area", "opacity": 0.45, "line": {"color": JOINT}}
    height = channel(field="height", axis=None, scale={"domain": [0, 1.25]})
    layer = layer_of(mark, JOINT, {"values": rows}, x=channel(field="y", title=title), y=height)
    return layer | {"transform": steps}


def _verdict(fixed, options):
    """A line of text: P(effect > 0), and the option of least expected loss."""
    sums = {"total": "datum.w", "above": "datum.w * datum.p"}
    sums |= {f"L{j}": f"datum.w * datum.l{j}" for j in range(len(options))}
    words = "'P(effect > 0) = ' + format(datum.above / datum.total, '.0%')"
    if options:
        least = f"min({', '.join(f'datum.L{j}' for j in range(len(options)))})"
        names = ", ".join(map(quoted, options))
        words += f" + '; least expected loss: ' + [{names}][indexof([{least[4:-1]}], {least})]"
    steps = [WEIGH, *({"calculate": text, "as": f"each {name}"} for name, text in sums.items()),
             {"aggregate": [{"op": "sum", "field": f"each {name}", "as": name} for name in sums]},
             {"calculate": words, "as": "words"}]  # fmt: skip
    mark = {"type": "text", "align": "left", "baseline": "top", "fontSize": 14}
    line = layer_of(mark, "currentColor", {"values": fixed}, text={"field": "words"}, x={"value": 4}, y={"value": 4})
    return line | {"transform": steps}


def _still(columns, unit):
    """The map, for paper and for readers without scripts."""
    return drawn(lambda ax: plot_map(columns, ax=ax, unit=unit))


def drawn(draw, height=3.2):
    """What `draw` puts on axes, as an SVG picture."""
    figure, ax = plt.subplots(figsize=(6.5, height), layout="constrained")
    draw(ax)
    text = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "map"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]
