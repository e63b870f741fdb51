"""Points that change in steps, with a slider: a figure of the chapters alone."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from which_world import arguments
from which_world.plots import INK, JOINT, PRIOR, TRUTH
from which_world.vega import (
    Explorer,
    channel,
    layer_of,
    on_scales,
    point_layers,
    quoted,
    slider,
    specification,
    svg_of,
)

TABLE = "a DataFrame with finite numbers in three columns, and two steps at least"


def explore_steps(
    table: pd.DataFrame,
    *,
    x: str,
    y: str,
    step: str,
    labels: Mapping[str, str] | None = None,
    truth: tuple[float, float] | None = None,
) -> Explorer:
    """Points that change in steps: a slider goes from one set to the next.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a point.
    x, y, step : str
        Its columns of numbers: where a point stands, and in which step. There are two steps at
        least.
    labels : mapping of str to str, optional
        What to call these columns, with their units.
    truth : pair of float, optional
        A point to mark, (x, y).

    Returns
    -------
    Explorer

    Raises
    ------
    ValueError
        When a column is missing or holds anything but finite numbers, or there is one step alone.

    See Also
    --------
    which_world.explore_map : a slider for ρ.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers import explore_steps
    >>> table = pd.DataFrame({"ρ": [0.1, 0.4], "estimate": [3.1, 3.4], "fish": [100, 400]})
    >>> print(explore_steps(table, x="ρ", y="estimate", step="fish").caption)
    estimate against ρ, by fish. Move the slider.
    """
    table = _checked(table, x=x, y=y, step=step)
    labels = {} if labels is None else labels
    accepted = "a mapping of columns to words"
    labels = arguments.mapping(labels, "labels", accepted, check=arguments.text)
    labels = {name: labels.get(name, name) for name in (x, y, step)}
    accepted = "a pair of numbers, (x, y)"
    truth = arguments.optional(arguments.pair, truth, "truth", accepted=accepted)
    steps = sorted(table[step].unique().tolist())
    if len(steps) < 2:
        arguments.refuse("table", table, TABLE)
    number = table[step].map(steps.index).astype(float)
    points = table.assign(k=number).round(3).rename(columns={x: "x", y: "y"})
    layer = layer_of(
        {"type": "point", "filled": True, "opacity": 0.45, "size": 14},
        JOINT,
        {"values": points[["x", "y", "k"]].to_dict("records")},
        [{"filter": "datum.k == k"}],
        x=channel(field="x", title=labels[x]),
        y=channel(field="y", title=labels[y]),
    )
    ends = {name: _ends([*points[name], *marked]) for name, marked in _marked(truth).items()}
    params = [
        slider("k", f"{labels[step]}, step ", 0, len(steps) - 1, 1),
        {"name": "steps", "value": steps},
    ]
    title = {"text": {"expr": f"{quoted(labels[step] + ': ')} + steps[k]"}}
    what = f"{labels[y]} against {labels[x]}, by {labels[step]}"
    caption = f"{what}. Move the slider."
    layers = on_scales([layer, *point_layers(None, truth, ends["x"])], **ends)
    spec = specification(params, layers, caption, title=title)
    summary = table.groupby(step)[[x, y]].agg(["mean", "std"])
    heads = labels | {"std": "standard deviation"}
    summary = summary.rename(columns=heads, index="{:g}".format).rename_axis(labels[step])
    still = svg_of(lambda ax: _scatter(ax, table, (x, y, step), labels, truth), height=3.6)
    return Explorer(spec, summary, still, caption, still_caption=f"{what}: three of the steps.")


def _checked(table, **columns):
    """The three columns of the table, as finite numbers."""
    arguments.table(table, (), "table", TABLE)
    numeric = tuple(table.select_dtypes("number").columns)
    names = list(columns.values())
    for argument, name in columns.items():
        if not isinstance(name, str) or name not in numeric or names.count(name) > 1:
            there = ", ".join(str(column) for column in numeric)
            accepted = f"a column of numbers of the table, which has {there}; each is used once"
            arguments.refuse(argument, name, accepted)
    checked = {name: arguments.numbers(table[name], f"table[{name!r}]", TABLE) for name in names}
    return pd.DataFrame(checked)


def _marked(truth):
    """What is marked on each axis."""
    return {"x": [], "y": []} if truth is None else {"x": [truth[0]], "y": [truth[1]]}


def _ends(values):
    """From the least to the greatest of all steps together, with room for a point at each end."""
    room = 0.02 * (max(values) - min(values))
    return [min(values) - room, max(values) + room]


def _scatter(ax, table, columns, labels, truth):
    """The first, a middle and the last step, one over the other, and the truth."""
    x, y, step = columns
    steps = sorted(table[step].unique())
    shown = dict.fromkeys((steps[0], steps[len(steps) // 2], steps[-1]))
    for value, colour in zip(shown, (PRIOR, JOINT, INK)):
        part = table[table[step] == value]
        label = f"{labels[step]}: {value:g}"
        ax.plot(part[x], part[y], ".", color=colour, markersize=3, alpha=0.6, label=label)
    if truth is not None:
        ax.plot(*truth, "x", color=TRUTH, label="truth")
    ax.set(xlabel=labels[x], ylabel=labels[y])
    ax.legend(frameon=False)
