"""The figure of a report: the effect at every hidden current, and by name all that the text names.

It is drawn by Matplotlib for a wide page and for a narrow one; a short script moves a mark on it.
"""

from __future__ import annotations

import io
import json
import re
import textwrap
from html import escape
from itertools import combinations, product
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

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


SIZES = {
    "wide": Size(7.2, 4.2, 75, 3),
    "narrow": Size(3.7, 4.2, 44, 2),
    "alone": Size(5.4, 4.2, 58, 3),
}
IN_THE_PAGE = "wide", "narrow"
ROW, TICK = 0.07, 0.025  # of the height: a row of names, a tick


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
        ax.set_xlim(-end, end)
        least_squares, currents = float(report.worlds[report.read]["OLS"]), _named(report, named)
        floor = 0.02 + ROW * len(currents)  # of the map, above the names of currents
        _make_room(ax, table, least_squares, floor)
        ax.set_xlabel("\n".join(textwrap.wrap(ACROSS, letters * 4 // 5)))
        effect = f"effect{per_step(report.map.attrs)}"
        ax.set_ylabel("\n".join(textwrap.wrap(labelled(effect, report.unit), 40)))
        _say_what(ax, report, letters, table["mean"].isna().any())
        _mark(ax, report, least_squares, floor)
        figure.draw_without_rendering()  # only now does everything stand where it will
        _name(
            ax, report, currents, least_squares, _ink(ax, report, table, floor), _band(table, 0.0)
        )
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
    ax.figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10)


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


def _band(table, rho):
    """Both ends of the interval at any ρ."""
    known = table.dropna()
    return [np.interp(rho, known.index, known[name]) for name in ("low", "high")]


def _make_room(ax, table, least_squares, floor):
    """Room for the tipping point's name above the map, and for the names of currents below it."""
    band = _band(table, np.linspace(*ax.get_xlim(), 99))
    values = [0.0, least_squares, *np.concatenate(band)]
    low, high = min(values), max(values)
    unit = (high - low) / (1 - 0.1 - floor)
    ax.set_ylim(low - floor * unit, high + 0.1 * unit)


def _mark(ax, report, least_squares, floor):
    """What the figure shows beside the map: a tick for each current, the tipping point, a dot."""
    for rho in yardsticks(report):
        ax.axvline(rho, ymax=TICK, color=OLS, linewidth=1.5)
    if _tips(report):
        line = {"color": TRUTH, "linestyle": ":", "linewidth": 1.8}
        ax.axvline(report.tipping["interval"], ymin=floor, **line)
    ax.plot(0, least_squares, "o", color=INK, markersize=6)


def _tips(report):
    """Whether there is a tipping point to show."""
    tip = report.tipping["interval"]
    return np.isfinite(tip) and tip != 0


def _name(ax, report, currents, least_squares, ink, band):
    """Names beside all that is marked, each where it hides nothing."""
    if _tips(report):
        tip = report.tipping["interval"]
        _put(ax, [(f"tipping point {_signed(tip)}", _beside(ax, tip, [0.96]))], ink, _upward(ax))
    rows = 0.04 + ROW * np.arange(len(currents))
    names = [(f"{_short(k)} {_signed(rho)}", _beside(ax, rho, rows)) for k, rho in currents.items()]
    for rho, height in zip(currents, _put(ax, names, ink, _upward(ax), stems=True)):
        ax.axvline(rho, ymax=height + 0.02, color=OLS, linewidth=0.8)
    low, high = min(least_squares, *band), max(least_squares, *band)
    around = [(0, y, side, up) for y, up in ((high, 5), (low, -5)) for side in (5, -5)]
    _put(ax, [("least squares", around)], ink, ax.transData)
    left, right = ax.get_xlim()
    sides = [(left, 4), (right, -4), (left / 2, 4), (right / 2, -4)]
    along = [(x, 0, side, up) for x, side in sides for up in (-3, 3)]
    _put(ax, [("no effect", along)], ink, ax.transData)


def _signed(rho):
    """A current in two digits, with a true minus."""
    return f"{rho:z.2f}".replace("-", "−")


def _upward(ax):
    """Across in ρ, upward in shares of the figure."""
    return ax.get_xaxis_transform()


def _beside(ax, x, heights):
    """Places on both sides of x, the one with more room first, at each of some heights."""
    left, right = ax.get_xlim()
    sides = (-4, 4) if x - left > 0.4 * (right - left) else (4, -4)
    return [(x, height, side, 0) for height in heights for side in sides]


def _ink(ax, report, table, floor):
    """Points of the canvas that are drawn on: the band, no effect, ticks, the tipping point."""
    rho, part = np.linspace(*ax.get_xlim(), 400), np.linspace(0, 1, 20)
    low, high = _band(table, rho)
    lines = [np.c_[rho, y] for y in (0 * rho, *(low + each * (high - low) for each in part))]
    upward = [np.c_[np.full(20, each), TICK * part] for each in yardsticks(report)]
    if _tips(report):
        upward.append(np.c_[np.full(400, report.tipping["interval"]), np.linspace(floor, 1, 400)])
    ink = [ax.transData.transform(line) for line in lines]
    return ink + [_upward(ax).transform(line) for line in upward]


class Choice(NamedTuple):
    """A name at one of its places, (x, y, points to the right, points up), and what it hides."""

    text: Annotation
    place: tuple[float, float, float, float]
    box: Bbox
    stem: Bbox
    hides: int


def _put(ax, names, ink, transform, *, stems=False):
    """Write names, each at one of its places, so that together they hide least; their heights."""
    style = {"xytext": (0, 0), "textcoords": "offset points", "xycoords": transform}
    texts = [ax.annotate(words, (0, 0), **style) for words, _ in names]
    points = np.concatenate(ink)
    choices = [
        [_choice(ax, text, place, points, transform, stems) for place in places]
        for text, (_, places) in zip(texts, names)
    ]
    best = min(product(*choices), key=_hidden)
    for text, place, box, *_ in best:
        _move(text, place)
        across, up = np.linspace(box.x0, box.x1, 40), np.linspace(box.y0, box.y1, 20)
        ink.append(np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2))
    return [choice.place[1] for choice in best]


def _choice(ax, text, place, points, transform, stems):
    """A name at a place: what it hides, and what is worse, how far it leaves the figure."""
    box = _move(text, place).padded(3, 0)
    ends = transform.transform([(place[0], 0), place[:2]]) + [(-1, 0), (1, 0)]
    outside = 4 - ax.bbox.count_contains(box.corners())
    hides = box.count_contains(points) + 1000 * outside
    return Choice(text, place, box, Bbox(ends) if stems else Bbox.null(), hides)


def _move(text, place):
    """Put a text at a place; the box round it."""
    x, y, across, up = place
    text.xy, text.xyann = (x, y), (across, up)
    text.set_horizontalalignment("left" if across > 0 else "right")
    text.set_verticalalignment("center" if up == 0 else "bottom" if up > 0 else "top")
    text.set_in_layout(False)
    return text.get_window_extent()


def _hidden(choices):
    """How much names hide, of what is drawn and of each other."""
    crossed = sum(
        one.box.overlaps(other.box) + one.box.overlaps(other.stem) + one.stem.overlaps(other.box)
        for one, other in combinations(choices, 2)
    )
    return 100 * crossed + sum(choice.hides for choice in choices)


def _short(name, most=24):
    """A name that leaves room for its neighbours."""
    name = "maximum likelihood" if name.endswith("maximum likelihood") else name
    name = name.removesuffix(shared_by(""))
    return name if len(name) <= most else f"{name[: most - 1]}…"


def moving(report: Report) -> str:
    """The figure for a page: a picture for either width, and a slider for ρ where there is script.

    Where too few columns can be relied on there is no slider.
    """
    pictures = {name: _picture(report, name) for name in IN_THE_PAGE}
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
