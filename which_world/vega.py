"""Figures that move, in Vega-Lite: the grammar, and the page's or the notebook's way to show one.

JupyterLab draws a specification itself; a built page, or a report, draws it with the script that
comes with it, and shows a still picture and a table where there is no script, and on paper.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from which_world.plots import INK, TRUTH

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
HEADLINE = "headline"  # how the names of layers begin whose text a page shows above the figure
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
        return f"{value:z,.{self.digits}f}".replace("-", "−")  # z: no minus before a zero

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
        if layer.get("name", "").startswith(HEADLINE):
            # without a size it takes no room from the drawing
            layers[k] = layer | {"mark": layer["mark"] | {"fontSize": 0}}
    return page | {"layer": layers}


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


def label(text, **more):
    """A text mark beside something that is marked."""
    return {"type": "text", "fontSize": 12, "text": text} | more


def seen(shown, opacity):
    """An opacity where an expression holds, and nothing elsewhere."""
    return {"value": {"expr": f"{shown} ? {opacity} : 0"}}


def beside(x, ends, preferred):
    """On which side of x a label has room, and its distance: as `align` and `dx` of a text."""
    room = 0.3 * (ends[1] - ends[0])
    left = x - ends[0] > room and (preferred == "left" or ends[1] - x < room)
    return {"align": "right", "dx": -8} if left else {"align": "left", "dx": 8}


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
        words = label(name, dy=-8, **beside(point[0], ends, preferred))
        yield layer_of(words, "currentColor", x=x, y=y)


def svg_of(draw: Callable[[Axes], Any], height: float = 3.2) -> str:
    """What `draw` puts on axes of this height in inches, as an SVG picture without a date."""
    figure, ax = plt.subplots(figsize=(6.5, height), layout="constrained")
    draw(ax)
    return svg(figure)


def svg(figure):
    """A figure as an SVG picture without a date; it is closed."""
    picture = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "map"}):
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = picture.getvalue()
    return text[text.index("<svg") :]
