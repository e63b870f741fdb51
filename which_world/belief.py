"""A belief about ρ that the reader sets, and what follows from it, in a page without a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from scipy.interpolate import CubicSpline
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from which_world import arguments
from which_world.explore import STEP, in_words, inside_of, reach, relied_on, tipping_of
from which_world.maps import effect_of
from which_world.plots import INK, JOINT, OLS, PRIOR, labelled, per_step
from which_world.readings import digits
from which_world.vega import (
    HEADLINE,
    RHO_TITLE,
    Explorer,
    channel,
    label,
    layer_of,
    on_scales,
    quoted,
    seen,
    slider,
    specification,
    svg,
)

STEP_IN_ATANH = 0.02  # between the columns of a belief, in atanh ρ
SPREAD = 0.2  # of a belief at the start
SHAPE = (
    "Above, in grey, the belief about ρ. Below, what follows for the effect: the higher the blue "
    "shape, the more plausible is an effect; the bar holds 95 %, the point is the mean."
)
FLOOR, TALL = 1.6, 0.7  # of the belief, over an effect whose density is highest at 1
WEIGH = {
    "calculate": "exp((listen ? datum.e : 0) - 0.5 * pow((datum.a - at) / spread, 2))",
    "as": "w",
}
COLUMNS, HEIGHTS = {"name": "columns"}, {"name": "heights"}  # of the figure of a belief


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
    >>> print(figure.caption.split(" Above")[0])
    The effect under a belief about ρ. Move its middle and its width.
    """
    unit, columns = arguments.text(unit, "unit"), relied_on(map)
    within = reach(columns, tipping_of(map)) if within is None else within
    inside = inside_of(columns, within)
    accepted = "names and losses, functions of an array of effects"
    options = {} if options is None else options
    options = arguments.mapping(options, "options", accepted, check=_loss)
    fine = _fine(map, columns, options)
    grid = _grid(fine)
    height = norm.pdf(grid, fine[["mean"]], fine[["sd"]])
    places = digits(float(np.diff(columns[["low", "high"]]).min()))
    by_column = fine.drop(columns="sd").round(max(4, places + 2)).assign(k=range(len(fine)))
    by_column = by_column.to_dict("records")
    left, right = within
    shown = [np.interp(end, columns.index, columns["mean"]) for end in within]
    beyond = 2 * columns.loc[left:right, "sd"].max()
    shown = [min(shown) - beyond, max(shown) + beyond]
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
    no_effect, step = label("no effect", align="left", dx=4, dy=-8), float(grid[1] - grid[0])
    below = [
        layer_of(
            {"type": "area", "opacity": 0.45, "line": {"color": JOINT}},
            JOINT,
            HEIGHTS,
            _mixed(),
            x=channel(field="y", title=title, axis={"grid": False}),
            y=channel(field="height", axis=None),
        ),
        *_interval(step),
        layer_of("rule", PRIOR, x=zero, y=channel(datum=0), y2={"datum": 1.3}),
        layer_of(no_effect, "currentColor", x=zero, y=channel(datum=1.3)),
    ]
    rows = [0, FLOOR + TALL]
    layers = [
        {"layer": on_scales(list(_belief_layers()), [-1, 1], rows)},
        {"layer": on_scales(below, shown, rows)},
        _headline("mean", HEIGHTS, _mean_and_interval(step, effect, unit, places), 4),
        _headline("verdict", COLUMNS, _verdict(list(options)), 22),
    ]
    caption = f"The {effect} under a belief about ρ. Move its middle and its width. {SHAPE}"
    start = params[0]["value"]
    standing = (
        f"The {effect} under a belief about ρ: middle {start:.2f}, width {SPREAD:.2f} (standard "
        f"deviation of atanh ρ), the likelihood not listened to. {SHAPE}"
    ).replace("-", "−")
    weight = norm.pdf(fine["a"], np.arctanh(start), SPREAD)
    still = _still(fine["rho"], weight, grid, weight @ height, shown, title)
    spec = specification(
        params,
        layers,
        caption,
        resolve={"scale": {"x": "independent"}},
        datasets={"columns": by_column, "heights": _visible(grid, height)},
        height=380,
    )
    return Explorer(spec, in_words(inside, effect, unit), still, caption, 2, standing)


def _still(rho, weight, grid, density, shown, title):
    """The belief that the figure starts with, above the effect that follows from it, as SVG."""
    figure, (above, below) = plt.subplots(
        2, figsize=(6.5, 4.2), layout="constrained", height_ratios=[1, 2]
    )
    belief = weight / (1 - rho**2)
    above.fill_between(rho, belief / belief.max(), color=PRIOR, alpha=0.6)
    above.set(xlabel=RHO_TITLE, yticks=[], xlim=(-1, 1), ylim=(0, 1.1))
    below.fill_between(grid, density / density.max(), color=JOINT, alpha=0.45)
    share = np.cumsum(density) / density.sum()
    ends = np.interp([0.025, 0.975], share, grid + (grid[1] - grid[0]) / 2)
    below.plot(ends, [1.12, 1.12], color=OLS, linewidth=3)
    below.plot(density @ grid / density.sum(), 1.12, "o", color=OLS)
    below.axvline(0, color=PRIOR, linewidth=1)
    below.annotate("no effect", (0, 1.3), xytext=(4, 0), textcoords="offset points", color=INK)
    below.set(xlabel=title, yticks=[], xlim=shown, ylim=(0, 1.45))
    return svg(figure)


def _visible(grid, height):
    """The heights of each column's density that can be seen, at each effect of the grid."""
    places = np.argwhere(height > 1e-3 * height.max())
    return [{"y": _short(grid[j], 4), "h": _short(height[i, j], 3), "k": int(i)} for i, j in places]


def _short(value, significant):
    """A number of so many significant digits."""
    return float(f"{value:.{significant}g}")


def _loss(value, name):
    """A loss, if it can be called."""
    return arguments.function(value, name, "a function of an array of effects")


def _fine(map, columns, options):
    """What a belief weighs, at even steps of a = atanh ρ.

    Columns: ``a``, ``rho``, ``mean``, ``sd``, evidence ``e``, P(effect > 0) ``p``, and the expected
    loss of each option, ``l0``, ``l1`` and so on.
    """
    chart, knots = map.sel(rho=columns.index), np.arctanh(columns.index.to_numpy())
    weight, effect = np.exp(chart.log_weight.values), effect_of(chart)
    above = (weight * (effect > 0)).sum(axis=1)
    # on the scale of the index, where a chance is nearly a line; a normal's where all draws agree
    index = np.where(
        (above > 0.001) & (above < 0.999), ndtri(above), columns["mean"] / columns["sd"]
    )
    by_knot = {"mean": columns["mean"], "sd": np.log(columns["sd"])}
    by_knot |= {"e": columns["log_evidence"], "p": index}
    for j, loss in enumerate(options.values()):
        by_knot[f"l{j}"] = (weight * loss(effect)).sum(axis=1)
    a = np.arange(knots[0], knots[-1], STEP_IN_ATANH)
    splines = {name: CubicSpline(knots, values) for name, values in by_knot.items()}
    fine = pd.DataFrame({"a": a, "rho": np.tanh(a)} | {name: f(a) for name, f in splines.items()})
    # a column stands for all between it and the next
    step = STEP_IN_ATANH * splines["mean"](a, 1)
    return fine.assign(sd=np.sqrt(np.exp(2 * fine["sd"]) + step**2 / 12), p=ndtr(fine["p"]))


def _grid(fine):
    """Effects at which a density is drawn, closer than any column is wide."""
    low, high = (fine["mean"] - 4 * fine["sd"]).min(), (fine["mean"] + 4 * fine["sd"]).max()
    return np.arange(low, high, 0.7 * fine["sd"].min())


def _belief_layers():
    """Layers of the belief over ρ, and of what the likelihood leaves of it, if it is asked."""
    belief = "exp(-0.5 * pow((datum.a - at) / spread, 2))"
    x = channel(field="rho", title=RHO_TITLE, axis={"orient": "top", "grid": False})
    for words, place, chance, colour, opacity, shown in (
        ("belief (grey)", 0.7, belief, PRIOR, 0.6, "true"),
        ("listened to (blue)", 0.4, f"exp(datum.e) * {belief}", JOINT, 0.45, "listen"),
    ):
        steps = [
            {"calculate": f"{chance} / (1 - datum.rho * datum.rho)", "as": "density"},
            {"joinaggregate": [{"op": "max", "field": "density", "as": "top"}]},
            {"calculate": f"{FLOOR} + {TALL} * datum.density / datum.top", "as": "height"},
        ]
        y, opaque = channel(field="height", axis=None), seen(shown, opacity)
        bottom = {"datum": FLOOR}
        yield layer_of("area", colour, COLUMNS, steps, x=x, y=y, y2=bottom, opacity=opaque)
        text = label(words, align="left", dx=4)
        corner = {"x": channel(datum=-1), "y": channel(datum=FLOOR + place * TALL, axis=None)}
        yield layer_of(text, "currentColor", **corner, opacity=seen(shown, 1))


def _mixed():
    """Steps from the columns' densities to that of the effect under the belief, highest at one."""
    columns = {"data": COLUMNS, "key": "k", "fields": ["a", "e"]}
    return [
        {"lookup": "k", "from": columns},
        WEIGH,
        {"calculate": "datum.w * datum.h", "as": "wh"},
        {"aggregate": [{"op": "sum", "field": "wh", "as": "density"}], "groupby": ["y"]},
        {"joinaggregate": [{"op": "max", "field": "density", "as": "top"}]},
        {"calculate": "datum.density / datum.top", "as": "height"},
    ]


def _summary(step):
    """Steps from the columns' densities to the mean and the ends of the 95 % interval."""
    end = "datum.share >= {0} && datum.share - datum.own < {0} ? "
    end += f"datum.y + {step} * (0.5 - (datum.share - {{0}}) / datum.own) : null"
    total = {"op": "sum", "field": "density", "as": "total"}
    below = {"op": "sum", "field": "density", "as": "below"}
    return [
        *_mixed()[:4],
        {"joinaggregate": [total]},
        {"calculate": "datum.density / datum.total", "as": "own"},
        {"window": [below], "sort": [{"field": "y"}], "frame": [None, 0]},
        {"calculate": "datum.below / datum.total", "as": "share"},
        {"calculate": "datum.own * datum.y", "as": "part"},
        {"calculate": end.format(0.025), "as": "low"},
        {"calculate": end.format(0.975), "as": "high"},
        {
            "aggregate": [
                {"op": "sum", "field": "part", "as": "mean"},
                {"op": "max", "field": "low", "as": "low"},
                {"op": "max", "field": "high", "as": "high"},
            ]
        },
    ]


def _interval(step):
    """Layers of the effect's mean and 95 % interval, above its density."""
    steps, y = _summary(step), channel(datum=1.12)
    x, x2 = channel(field="low"), {"field": "high"}
    yield layer_of({"type": "rule", "strokeWidth": 3}, OLS, HEIGHTS, steps, x=x, x2=x2, y=y)
    point = {"type": "point", "filled": True, "size": 90}
    yield layer_of(point, OLS, HEIGHTS, steps, x=channel(field="mean"), y=y)


def _mean_and_interval(step, effect, unit, places):
    """Steps to the words that give the mean effect and its interval."""
    mean, low, high = (f"format(datum.{name}, ',.{places}f')" for name in ("mean", "low", "high"))
    parts = [quoted(f"mean {effect} "), mean, quoted(unit, before=" ")]
    parts += ["', 95 % interval '", low, "' to '", high]
    words = " + ".join(filter(None, parts))
    return [*_summary(step), {"calculate": words, "as": "words"}]


def _verdict(options):
    """Steps to the words that give P(effect > 0), and the option of least expected loss."""
    p = "datum.above / datum.total"
    chance = f"{p} < 0.01 ? '< 1' : {p} > 0.99 ? '> 99' : '= ' + format(100 * {p}, '.0f')"
    words = f"'P(effect > 0) ' + ({chance}) + ' %'"
    terms = {"total": "datum.w", "above": "datum.w * datum.p"}
    if options:
        losses = [f"datum.L{j}" for j in range(len(options))]
        terms |= {f"L{j}": f"datum.w * datum.l{j}" for j in range(len(options))}
        listed = ", ".join(losses)
        names = ", ".join(quoted(option) for option in options)
        best = f"[{names}][indexof([{listed}], min({listed}))]"
        words += f" + '; least expected loss: ' + {best}"
    sums = [{"op": "sum", "field": f"each {name}", "as": name} for name in terms]
    return [
        WEIGH,
        *({"calculate": text, "as": f"each {name}"} for name, text in terms.items()),
        {"aggregate": sums},
        {"calculate": words, "as": "words"},
    ]


def _headline(name, data, steps, y):
    """A layer of text, a line of the headline."""
    text = {"type": "text", "align": "left", "baseline": "top", "fontSize": 14}
    where = {"x": {"value": 4}, "y": {"value": y}, "text": {"field": "words"}}
    return {"name": f"{HEADLINE}_{name}"} | layer_of(text, "currentColor", data, steps, **where)
