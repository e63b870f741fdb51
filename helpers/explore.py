"""Maps that move: a slider for ρ, and a belief that the reader sets, in a page without a server.

Both are Vega-Lite specifications. JupyterLab draws them itself; a built page, or a report, draws them with the script
that comes with it, and shows a still picture and a table where there is no script, and on paper.
"""

import io
import itertools
import json
from html import escape

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline
from scipy.stats import norm

from helpers import arguments
from helpers.maps import chart_of, effect_of, read_map, trusted
from helpers.plots import INK, JOINT, OLS, PRIOR, TRUTH, plot_map

STEP = 0.01  # of the slider
FINE = 0.02  # between the columns of a belief, in atanh ρ
WITHIN = -0.6, 0.6
LITE = "application/vnd.vegalite.v5+json"
SIX = "https://vega.github.io/schema/vega-lite/v6.json"  # of the script that a page has; JupyterLab knows version 5
CONFIG = {
    "background": None,
    "axis": {"labelFontSize": 12, "titleFontSize": 13, "labelColor": "currentColor", "titleColor": "currentColor",
             "titleFontWeight": "normal", "gridColor": "#9aa5ab", "gridOpacity": 0.25, "domainColor": "#9aa5ab",
             "tickColor": "#9aa5ab"},
    "title": {"fontSize": 14, "color": "currentColor", "fontWeight": "normal", "anchor": "start"},
    "view": {"stroke": None},
}  # fmt: skip
_NUMBER = itertools.count()


class Explorer:
    """A figure that moves; Jupyter and the built pages show it by themselves.

    Attributes
    ----------
    spec : dict
        The Vega-Lite specification.
    table : pandas.DataFrame
        What the still figure shows, in numbers.
    """

    def __init__(self, spec, table, still, caption):
        self.spec, self.table, self.still, self.caption = spec, table, still, caption

    def html(self, script=None):
        """A figure element; `script` is the text of Vega's own script, for a page that travels alone."""
        spec = json.dumps(self.spec | {"$schema": SIX}).replace("</", "<\\/")
        table = self.table.to_html(border=0, float_format=lambda x: f"{x:,.2f}")
        parts = (
            {"load": _LOAD, "script": ""}
            if script is None
            else {"load": "", "script": f"<script>(function () {{{script}}})();</script>"}
        )
        name, caption = f"moving-{next(_NUMBER)}", escape(self.caption)
        return _FIGURE.format(name=name, caption=caption, still=self.still, spec=spec, table=table, **parts)

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
        When fewer than five columns of the map can be relied on.
    """
    unit = arguments.text(unit, "unit")
    ols = arguments.optional(arguments.number, ols, "ols")
    truth = arguments.optional(arguments.pair, truth, "truth", accepted="a pair of numbers, (ρ, effect)")
    columns, (low, high) = _columns(map), _within(within)
    low, high = max(low, columns.index[0]), min(high, columns.index[-1])
    rho = np.arange(int(np.ceil(low / STEP)), int(np.floor(high / STEP)) + 1) * STEP
    at = {
        name: np.interp(rho, columns.index, columns[name]).round(4).tolist() for name in ("mean", "low", "high", "sd")
    }
    band = [{"rho": round(r, 2), "mean": m, "low": a, "high": b} for r, m, a, b in zip(rho, *list(at.values())[:3])]
    here = f"round((r - ({rho[0]:.2f})) / {STEP})"
    words = (
        "'ρ = ' + format(r, '.2f') + ':  effect ' + format(m, '.2f') + ' "
        f"{unit}, 95 % interval ' + format(lows[k], '.2f') + ' to ' + format(highs[k], '.2f')"
    )
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "description": "The effect at every hidden current; a slider moves the current.",
        "width": "container", "height": 300, "autosize": {"type": "fit", "contains": "padding"}, "config": CONFIG,
        "title": {"text": {"expr": words}},
        "params": [
            {"name": "r", "value": 0, "bind": {"input": "range", "min": round(rho[0], 2), "max": round(rho[-1], 2),
                                               "step": STEP, "name": "hidden current ρ "}},
            {"name": "means", "value": at["mean"]}, {"name": "sds", "value": at["sd"]},
            {"name": "lows", "value": at["low"]}, {"name": "highs", "value": at["high"]},
            {"name": "k", "expr": here}, {"name": "m", "expr": "means[k]"}, {"name": "s", "expr": "sds[k]"},
        ],
        "layer": [*_band(band, unit), *_moving(rho), *_marks(ols, truth)],
    }  # fmt: skip
    columns = columns.loc[low:high]
    shown = columns.loc[:, ["mean", "low", "high"]].iloc[:: max(1, len(columns) // 9)]
    caption = f"The effect{f', in {unit},' if unit else ''} at every hidden current. Move ρ."
    return Explorer(spec, shown, _still(columns, unit), caption)


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
        When fewer than five columns of the map can be relied on.

    Notes
    -----
    The belief is atanh ρ ~ Normal(atanh middle, width); the page weighs the map's columns by it and by their evidence,
    at steps of 0.02 in atanh ρ between which they are interpolated. Within a column the effect is taken as normal.
    """
    unit, columns, within = arguments.text(unit, "unit"), _columns(map), _within(within)
    accepted = "names and losses, functions of an array of effects"
    options = arguments.mapping({} if options is None else options, "options", accepted, check=_loss)
    chart, a = map.sel(rho=columns.index), np.arctanh(columns.index.to_numpy())
    weight, effect = np.exp(chart.log_weight.values), effect_of(chart)
    known = {"m": columns["mean"], "s": np.log(columns["sd"]), "e": columns["log_evidence"],
             "p": (weight * (effect > 0)).sum(axis=1)}  # fmt: skip
    known |= {f"l{j}": (weight * loss(effect)).sum(axis=1) for j, loss in enumerate(options.values())}
    fine = np.arange(a[0], a[-1], FINE)
    fixed = pd.DataFrame({"a": fine} | {name: CubicSpline(a, values)(fine) for name, values in known.items()})
    ends = np.interp(np.arctanh(within), a, columns["mean"])
    grid = np.linspace(min(ends) - 2 * columns["sd"].max(), max(ends) + 2 * columns["sd"].max(), 121)
    height = norm.pdf(grid, fixed["m"].to_numpy()[:, None], np.exp(fixed["s"].to_numpy()[:, None]))
    rows = [
        {"y": float(f"{grid[j]:.4g}"), "h": float(f"{height[i, j]:.3g}"), "k": int(i)}
        for i, j in np.argwhere(height > 1e-3 * height.max())
    ]
    spec = _belief_spec(rows, fixed.drop(columns=["m", "s"]).round(4), list(options), unit, within)
    inside = columns.loc[within[0] : within[1]]
    shown = inside[["mean", "low", "high", "log_evidence"]].iloc[:: max(1, len(inside) // 9)]
    caption = "The effect under a belief about ρ. Move its middle and its width."
    return Explorer(spec, shown, _still(inside, unit), caption)


def _within(within):
    low, high = arguments.pair(within, "within", accepted := "two correlations, the lower first, such as (-0.6, 0.6)")
    if not -1 < low < high < 1:
        arguments.refuse("within", within, accepted)
    return low, high


def _loss(value, name):
    return arguments.function(value, name, "a function of an array of effects")


def _columns(map):
    """Mean, ends, sd and evidence of the columns that can be relied on."""
    chart = chart_of(map)
    chart = chart.isel(rho=trusted(chart))
    columns, weight, effect = read_map(chart), np.exp(chart.log_weight.values), effect_of(chart)
    centre = (weight * effect).sum(axis=1, keepdims=True)
    return columns.assign(sd=np.sqrt((weight * (effect - centre) ** 2).sum(axis=1)))


def _band(band, unit):
    data, x = {"values": band}, {"field": "rho", "type": "quantitative", "title": "hidden current ρ (no unit)"}
    title = f"effect ({unit})" if unit else "effect"
    return [
        {"data": data, "mark": {"type": "area", "opacity": 0.22, "color": JOINT},
         "encoding": {"x": x, "y": {"field": "low", "type": "quantitative", "title": title}, "y2": {"field": "high"}}},
        {"data": data, "mark": {"type": "line", "color": JOINT},
         "encoding": {"x": x, "y": {"field": "mean", "type": "quantitative"}}},
        {"data": {"values": [{}]}, "mark": {"type": "rule", "color": PRIOR}, "encoding": {"y": {"datum": 0}}},
    ]  # fmt: skip


def _moving(rho):
    """The half of a violin that stands at the slider's ρ, and its interval."""
    wide, at = 0.13 * (rho[-1] - rho[0]), {"datum": {"expr": "r"}, "type": "quantitative"}
    interval = {"datum": {"expr": "lows[k]"}, "type": "quantitative"}, {"datum": {"expr": "highs[k]"}}
    outline = {"sequence": {"start": -3, "stop": 3.05, "step": 0.1, "as": "z"}}
    return [
        {"data": outline, "transform": [{"calculate": "m + datum.z * s", "as": "y"}, {"calculate": "r", "as": "x"},
                                        {"calculate": f"r + {wide:.4f} * exp(-datum.z * datum.z / 2)", "as": "far"}],
         "mark": {"type": "area", "orient": "horizontal", "color": OLS, "opacity": 0.55},
         "encoding": {"y": {"field": "y", "type": "quantitative"}, "x": {"field": "x", "type": "quantitative"},
                      "x2": {"field": "far"}}},
        {"data": {"values": [{}]}, "mark": {"type": "rule", "color": OLS, "strokeWidth": 3},
         "encoding": {"x": at, "y": interval[0], "y2": interval[1]}},
        {"data": {"values": [{}]}, "mark": {"type": "point", "filled": True, "color": OLS, "size": 90},
         "encoding": {"x": at, "y": {"datum": {"expr": "m"}, "type": "quantitative"}}},
    ]  # fmt: skip


def _marks(ols, truth):
    points = [(0.0, ols, "least squares", INK)] if ols is not None else []
    points += [(*truth, "truth", TRUTH)] if truth is not None else []
    for x, y, name, colour in points:
        encoding = {"x": {"datum": x, "type": "quantitative"}, "y": {"datum": y, "type": "quantitative"}}
        data = {"values": [{}]}
        yield {"data": data, "mark": {"type": "point", "filled": True, "size": 70, "color": colour, "stroke": "white"},
               "encoding": encoding}  # fmt: skip
        yield {"data": data, "mark": {"type": "text", "align": "left", "dx": 8, "dy": -8, "fontSize": 12,
                                      "fill": "currentColor", "text": name}, "encoding": encoding}  # fmt: skip


def _belief_spec(rows, fixed, options, unit, ends):
    """Density of the effect under the belief, and a line of text: its mean, P(effect > 0), and the option chosen."""
    weigh = "exp(datum.e - 0.5 * pow((datum.a - atanh_middle) / spread, 2))"
    sums = [{"op": "sum", "field": "w", "as": "total"}, {"op": "sum", "field": "wp", "as": "above"}]
    choose, said = "", "''"
    if options:
        sums += [{"op": "sum", "field": f"w{j}", "as": f"L{j}"} for j in range(len(options))]
        least = "min(" + ", ".join(f"datum.L{j}" for j in range(len(options))) + ")"
        for j, name in reversed(list(enumerate(options))):
            choose = f"datum.L{j} == {least} ? {json.dumps(name)} : ({choose or json.dumps(name)})"
        said = f"'; least expected loss: ' + ({choose})"
    columns = fixed.assign(k=range(len(fixed))).to_dict("records")
    products = [{"calculate": f"datum.w * datum.l{j}", "as": f"w{j}"} for j in range(len(options))]
    effect = {"field": "y", "type": "quantitative", "title": f"effect ({unit})" if unit else "effect"}
    bind = {"input": "range", "min": ends[0], "max": ends[1], "step": STEP}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "description": "The posterior of the effect under a belief about the hidden current that the reader sets.",
        "width": "container", "height": 260, "autosize": {"type": "fit", "contains": "padding"}, "config": CONFIG,
        "params": [
            {"name": "middle", "value": 0, "bind": bind | {"name": "middle of the belief about ρ "}},
            {"name": "spread", "value": 0.2, "bind": {"input": "range", "min": 0.02, "max": 1, "step": 0.02,
                                                     "name": "its width (sd of atanh ρ) "}},
            {"name": "atanh_middle", "expr": "0.5 * log((1 + middle) / (1 - middle))"},
        ],
        "layer": [
            {"data": {"values": rows},
             "transform": [{"lookup": "k", "from": {"data": {"values": columns}, "key": "k", "fields": ["a", "e"]}},
                           {"calculate": weigh, "as": "w"}, {"calculate": "datum.w * datum.h", "as": "wh"},
                           {"aggregate": [{"op": "sum", "field": "wh", "as": "density"}], "groupby": ["y"]},
                           {"joinaggregate": [{"op": "max", "field": "density", "as": "top"}]},
                           {"calculate": "datum.density / datum.top", "as": "height"}],
             "mark": {"type": "area", "color": JOINT, "opacity": 0.45, "line": {"color": JOINT}},
             "encoding": {"x": effect, "y": {"field": "height", "type": "quantitative", "axis": None,
                                             "scale": {"domain": [0, 1.25]}}}},
            {"data": {"values": [{}]}, "mark": {"type": "rule", "color": PRIOR}, "encoding": {"x": {"datum": 0}}},
            {"data": {"values": columns},
             "transform": [{"calculate": weigh, "as": "w"}, {"calculate": "datum.w * datum.p", "as": "wp"}, *products,
                           {"aggregate": sums},
                           {"calculate": f"'P(effect > 0) = ' + format(datum.above / datum.total, '.0%') + {said}",
                            "as": "words"}],
             "mark": {"type": "text", "align": "left", "baseline": "top", "fontSize": 14, "fill": "currentColor"},
             "encoding": {"text": {"field": "words"}, "x": {"value": 4}, "y": {"value": 4}}},
        ],
    }  # fmt: skip


def _still(columns, unit):
    """The map as an SVG picture, for paper and for readers without scripts."""
    figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
    plot_map(columns, ax=ax, unit=unit)
    text = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "map"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]


_LOAD = """if (!window.vegaEmbed) {
    let script = document.getElementById("vega-script");
    if (!script) {
      script = document.createElement("script"); script.id = "vega-script";
      const near = document.querySelector('link[href*="_static/"], script[src*="_static/"]');
      if (!near) return;
      const path = near.getAttribute("href") || near.getAttribute("src");
      script.src = path.slice(0, path.indexOf("_static/")) + "_static/vega.js";
      document.head.appendChild(script);
    }
    script.addEventListener("load", draw); return;
  }"""
_FIGURE = """<figure class="moving" id="{name}">
<style>.moving .live{{width:100%;min-height:20px}} .moving .still{{display:block;max-width:100%;overflow:auto}}
.moving.drawn .still{{display:none}} .moving .vega-embed{{width:100%}}
.moving .vega-bindings{{display:flex;flex-direction:column}} .moving svg{{max-width:100%}}
.moving .vega-bind{{display:flex;gap:.6em;margin:.4em 0;align-items:center}}
.moving .vega-bind-name{{flex:0 0 auto}} .moving .vega-bind input{{flex:1 1 auto;min-width:8em}}
@media print{{.moving .live{{display:none}} .moving.drawn .still{{display:block}}}}</style>
<div class="live"></div>
<div class="still" role="img" aria-label="{caption}">{still}</div>
<figcaption>{caption}</figcaption>
<details><summary>The same in numbers</summary>{table}</details>
{script}
<script>(function () {{
  const figure = document.getElementById("{name}");
  const spec = {spec};
  function draw() {{
    {load}
    window.vegaEmbed(figure.querySelector(".live"), spec, {{actions: false, renderer: "svg"}})
      .then(() => {{
        figure.querySelectorAll(".live svg").forEach((svg) => svg.setAttribute("aria-hidden", "true"));
        figure.classList.add("drawn");
      }});
  }}
  draw();
}})();</script>
</figure>"""
