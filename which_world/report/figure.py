"""The figure of a report: the effect at every hidden current, and by name all that the text names.

It is drawn by Matplotlib for a wide page and for a narrow one; a short script moves a mark on it.
"""

from __future__ import annotations

import io
import json
import re
import textwrap
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from which_world.maps import trusted
from which_world.plots import INK, JOINT, OLS, PRIOR, TRUTH, labelled, per_step, plot_map
from which_world.readings import between_columns, digits, read_map
from which_world.report.sentences import NONE, shared_by, yardsticks
from which_world.report.words import unit_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from which_world.report.report import Report

WITHIN = 0.6  # the currents that are shown on both sides of ρ = 0, or more
SPARE = 1.15  # of what is marked, which is to lie inside
FARTHEST = 0.97  # |ρ| that is shown
FEWEST = 5  # columns on which a mark may move
STEP = 0.01  # of the slider
ACROSS = "ρ: correlation of what is unmeasured in both"
INKS = {INK: "--ink", JOINT: "--effect", TRUTH: "--tip", OLS: "--line", PRIOR: "--faint"}
MARK = '<g class="mark"><line/><circle r="4.5"/></g>'
COLOURS: Any = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": PRIOR,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 10,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a label may hold dollars
}


class Size(NamedTuple):
    """Inches of a figure, letters on a line of it, and currents that it names."""

    width: float
    height: float
    letters: int
    named: int


SIZES = {"wide": Size(7.2, 4.2, 75, 3), "narrow": Size(3.7, 4.2, 44, 2)}


def shown(report: Report) -> pd.DataFrame:
    """The part of a report's map that its figure shows, with NaN where it is not reliable.

    It reaches beyond all that is marked: the tipping point, and the currents to compare it with.
    """
    table, end = read_map(report.map), reach(report)
    return table.loc[-end - 0.1 : end + 0.1]  # a column more, that the curve goes to the edge


def reach(report: Report) -> float:
    """The farthest |ρ| that the figure of a report shows."""
    marked = [report.tipping["interval"], *yardsticks(report)]
    farthest = float(np.nanmax(np.abs(np.array(marked, dtype=float)), initial=0.0))
    return min(FARTHEST, max(WITHIN, SPARE * farthest))


def draw(report: Report, size: str = "wide") -> Figure:
    """The map of a report, in one of the `SIZES`, to be closed by the caller."""
    width, height, letters, named = SIZES[size]
    table, end = shown(report), reach(report)
    with plt.rc_context(COLOURS):
        figure, ax = plt.subplots(figsize=(width, height), layout="constrained")
        plot_map(table, ax=ax, unit=report.unit)
        ax.legend().remove()  # each is named where it stands
        ax.spines[["top", "right"]].set_visible(False)
        least_squares = float(report.worlds[report.read]["OLS"])
        ax.set_xlim(-end, end)
        rows = _heights(ax, table.loc[-end:end], least_squares, _named(report, named))
        _mark_currents(ax, report, rows)
        _mark_tipping(ax, report.tipping["interval"])
        _mark_zero(ax, table.loc[-end:end], end)
        _mark_least_squares(ax, table, least_squares)
        ax.set_xlabel("\n".join(textwrap.wrap(ACROSS, letters)))
        effect = f"effect{per_step(report.map.attrs)}"
        ax.set_ylabel("\n".join(textwrap.wrap(labelled(effect, report.unit), 40)))
        _say_what(ax, report, letters, table["mean"].isna().any())
    return figure


def _say_what(ax, report, letters, shaded):
    """What is drawn, above it: the figure may be shown alone."""
    design = report.design
    title = f"The effect of {design.treatment} on {design.outcome}, if something hidden moves both"
    key = "line: posterior mean; band: 95 % interval"
    if report.tipping["interval"] == 0:
        key += ", which holds zero at ρ = 0: there is no sign to overturn"
    if shaded:
        key += "; grey: not to be relied on"
    lines = [*textwrap.wrap(title, letters), *textwrap.wrap(key, letters)]
    ax.set_title("\n".join(lines), loc="left", fontsize=10)


def _named(report, most):
    """The currents that are named: the nearest to the tipping point, and the strongest."""
    known = yardsticks(report)
    strongest = list(known.abs().sort_values(ascending=False, kind="stable").index)
    tip = report.tipping["interval"]
    if np.isfinite(tip) and tip != 0 and len(known):
        along = known * np.sign(tip)
        if along.max() > NONE:
            strongest = list(dict.fromkeys([along.idxmax(), *strongest]))
    return known[strongest[:most]].sort_values()


def _heights(ax, table, least_squares, named):
    """Room above for the tipping point's name and below for those of currents: their rows."""
    values = np.append(table[["low", "high"]].to_numpy().ravel(), [0.0, least_squares])
    low, high = np.nanmin(values), np.nanmax(values)
    unit = (high - low) / (1 - 0.1 - 0.02 - 0.07 * len(named))
    bottom = low - (0.02 + 0.07 * len(named)) * unit
    ax.set_ylim(bottom, high + 0.1 * unit)
    return [(name, rho, 0.03 + 0.07 * row) for row, (name, rho) in enumerate(named.items())]


def _mark_currents(ax, report, rows):
    """A tick for each current that is known, and the names of some, each where it stands."""
    below = ax.get_xaxis_transform()
    for rho in yardsticks(report):
        ax.plot([rho, rho], [0, 0.025], color=OLS, linewidth=1.5, transform=below)
    for name, rho, height in rows:
        ax.plot([rho, rho], [0, height + 0.02], color=OLS, linewidth=0.8, transform=below)
        words = f"{_short(name)} {rho:z.2f}"
        _beside(ax, rho, height, words, below, va="center", fontsize=9)


def _short(name, most=24):
    """A name that leaves room for its neighbours."""
    name = "maximum likelihood" if name.endswith("maximum likelihood") else name
    name = name.removesuffix(shared_by(""))
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _beside(ax, x, y, words, transform, **style):
    """Words beside a place on the figure: on its left, or on its right where there is more room."""
    left, right = ax.get_xlim()
    side, apart = ("right", -4) if x - left > 0.4 * (right - left) else ("left", 4)
    ax.annotate(
        words,
        (x, y),
        xycoords=transform,
        xytext=(apart, 0),
        textcoords="offset points",
        ha=side,
        **style,
    )


def _mark_tipping(ax, tip):
    """The tipping point, named above; nothing where there is none."""
    if not np.isfinite(tip) or tip == 0:
        return
    ax.axvline(tip, color=TRUTH, linestyle=":", linewidth=1.8)
    _beside(ax, tip, 0.96, f"tipping point {tip:.2f}", ax.get_xaxis_transform(), va="center")


def _mark_zero(ax, table, end):
    """No effect, named at the end where the curve is farther from it."""
    means = table["mean"].dropna()
    left = abs(means.iloc[0]) >= abs(means.iloc[-1])
    x, side, apart = (-end, "left", 4) if left else (end, "right", -4)
    ax.annotate(
        "no effect", (x, 0), xytext=(apart, -3), textcoords="offset points", ha=side, va="top"
    )


def _mark_least_squares(ax, table, effect):
    """The least-squares estimate, named above the band."""
    ax.plot(0, effect, "o", color=INK, markersize=6)
    high = table["high"].dropna()
    above = max(effect, float(np.interp(0.0, high.index, high)))
    ax.annotate("least squares", (0, above), xytext=(5, 3), textcoords="offset points", va="bottom")


def moving(report: Report) -> str:
    """The figure for a page: a picture for either width, and a slider for ρ where there is script.

    Where too few columns can be relied on there is no slider.
    """
    pictures = {name: _picture(report, name) for name in SIZES}
    template = Path(__file__).with_name("figure.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        pictures="\n".join(pictures.values()),
        values=json.dumps(_values(report)).replace("</", "<\\/"),
    )


def _values(report):
    """Mean and interval at every step of the slider; nothing where the map cannot carry them."""
    kept = report.map.isel(rho=trusted(report.map))
    if kept.sizes["rho"] < FEWEST:
        return None
    columns, end = read_map(kept).drop(columns="log_evidence"), reach(report)
    low, high = np.clip([-end, end], *columns.index[[0, -1]])
    first, last = int(np.ceil(low / STEP)), int(np.floor(high / STEP))
    fine = between_columns(columns, np.arange(first, last + 1) * STEP)
    width = float((fine["high"] - fine["low"]).iloc[-first])
    places = digits(width)
    values = {name: fine[name].round(places + 2).tolist() for name in fine}
    words = {"what": f"effect{per_step(report.map.attrs)}", "unit": unit_of(report)}
    return {"first": first, "last": last, "digits": places} | words | values


def _picture(report, size):
    """A figure as SVG for a page, whose colours it takes, with a mark that a script may move."""
    figure, picture = draw(report, size), io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": size}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(picture, format="svg", metadata=nothing, transparent=True)
    axes = _axes_in_svg(figure)
    plt.close(figure)
    text = picture.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    text = re.sub(r' id="[a-z]+_[\d_]+"', "", text)  # two figures are on one page
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"([^>]*?) width="[^"]*"', r"\1\2", text)
    for colour, variable in INKS.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r"\s+", " ", text).strip().replace("</svg>", f"{MARK}</svg>")
    design = report.design
    words = escape(f"The effect of {design.treatment} on {design.outcome} at every hidden current")
    return f'<div class="{size}" role="img" aria-label="{words}" data-axes="{axes}">{text}</div>'


def _axes_in_svg(figure):
    """Where ρ = 0 and no effect lie in a picture, and how far one unit of either is, in points."""
    (ax,) = figure.axes
    box, (width, height) = ax.get_position(), 72 * figure.get_size_inches()
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    across, up = width * box.width / (right - left), height * box.height / (top - bottom)
    x, y = width * box.x0 - across * left, height * (1 - box.y0) + up * bottom
    return f"[{x:.2f}, {across:.2f}, {y:.2f}, {-up:.6g}]"
