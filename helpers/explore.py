"""Points that change in steps, with a slider: a figure of the chapters alone."""

import pandas as pd

from which_world import arguments
from which_world.explore import Explorer, channel, drawn, layer_of, marks, quoted, slider, specification
from which_world.plots import INK, JOINT, PRIOR, TRUTH


def explore_steps(table, *, x, y, step, labels=None, truth=None):
    """Points that change in steps: a slider goes from one set to the next, such as tanks that survive more fish.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a point.
    x, y, step : str
        Its columns of numbers: where a point stands, and in which step. There are two steps at least.
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
    """
    accepted = "a DataFrame with finite numbers in three columns, and two steps at least"
    arguments.table(table, (), "table", accepted)
    has, columns = tuple(table.select_dtypes("number").columns), [x, y, step]
    for name, column in {"x": x, "y": y, "step": step}.items():
        if not isinstance(column, str) or column not in has or columns.count(column) > 1:
            told = ", ".join(map(str, has))
            arguments.refuse(name, column, f"a column of numbers of the table, which has {told}; each is used once")
    table = pd.DataFrame({name: arguments.numbers(table[name], f"table[{name!r}]", accepted) for name in columns})
    labels = arguments.mapping({} if labels is None else labels, "labels", "a mapping of columns to words",
                               check=arguments.text)  # fmt: skip
    labels = {name: labels.get(name, name) for name in columns}
    truth = arguments.optional(arguments.pair, truth, "truth", accepted="a pair of numbers, (x, y)")
    steps = sorted(table[step].unique().tolist())
    if len(steps) < 2:
        arguments.refuse("table", table, accepted)
    points = table.assign(k=table[step].map(steps.index).astype(float)).round(3).rename(columns={x: "x", y: "y"})
    params = [
        slider("k", f"{labels[step]}, step ", 0, len(steps) - 1, 1),
        {"name": "steps", "value": steps},
    ]
    axes = {each: channel(field=each, title=labels[name], scale={"domain": [points[each].min(), points[each].max()]})
            for each, name in (("x", x), ("y", y))}  # fmt: skip
    layer = layer_of({"type": "point", "filled": True, "opacity": 0.45, "size": 14}, JOINT,
                  {"values": points[["x", "y", "k"]].to_dict("records")}, **axes)  # fmt: skip
    layers = [layer | {"transform": [{"filter": "datum.k == k"}]}, *marks(None, truth)]
    title = {"text": {"expr": f"{quoted(labels[step] + ': ')} + steps[k]"}}
    caption = f"{labels[y]} against {labels[x]}, by {labels[step]}. Move the slider."
    told = table.groupby(step)[[x, y]].agg(["mean", "std"])
    spec = specification(params, layers, caption, title=title)
    return Explorer(spec, told, drawn(lambda ax: _scattered(ax, table, columns, labels, truth), height=3.6), caption)


def _scattered(ax, table, columns, labels, truth):
    """The first, a middle and the last step, one over the other, and the truth."""
    x, y, step = columns
    steps = sorted(table[step].unique())
    shown = dict.fromkeys((steps[0], steps[len(steps) // 2], steps[-1]))
    for each, colour in zip(shown, (PRIOR, JOINT, INK)):
        part = table[table[step] == each]
        ax.plot(part[x], part[y], ".", color=colour, markersize=3, alpha=0.6, label=f"{labels[step]}: {each:g}")
    if truth is not None:
        ax.plot(*truth, "x", color=TRUTH, label="truth")
    ax.set(xlabel=labels[x], ylabel=labels[y])
    ax.legend(frameon=False)
