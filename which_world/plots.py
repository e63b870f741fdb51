"""Figures: tables and draws in, axes out. Nothing is computed here that a caller might want to know."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like

from which_world import arguments

INK, OLS, JOINT, TRUTH, PRIOR = "#2b3a42", "#b5651d", "#1f6f8b", "#8b1e3f", "#9aa5ab"
PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # behind a label that crosses a line
"""One colour, one meaning, in every chapter: text, least squares, joint model, truth, prior."""
STYLES = ["-", "--", ":", "-."]
COLOURS = "a mapping of worlds to colours that Matplotlib knows, such as {'OLS': 'orange'}"
MARKS = "a mapping of names to points (ρ, α), such as {'here': (0.3, 2.0)}"


def plot_map(table, *, tipping=None, marks=None, ax=None, unit=""):
    """The map: the effect with its interval at every ρ, and a shade where it cannot be relied on.

    Parameters
    ----------
    table : pandas.DataFrame
        From `read_map`: index ρ; columns ``mean``, ``low``, ``high``.
    tipping : float, optional
        ρ at which the interval first touches zero; of 0, where it holds zero already, the legend tells.
    marks : mapping of str to (ρ, α), optional
        Points to name on the map.
    ax, unit
        As in `plot_drift`.

    Returns
    -------
    matplotlib Axes
    """
    arguments.table(table, ("mean", "low", "high"), "table", "a map's table, from read_map(map)")
    nowhere = isinstance(tipping, float) and np.isnan(tipping)  # as `tipping_point` says it
    tipping = None if nowhere else arguments.optional(arguments.correlation, tipping, "tipping")
    marks = arguments.mapping({} if marks is None else marks, "marks", MARKS, check=_point)
    ax = new_axes(ax, unit)
    rho = table.index.to_numpy()
    ax.fill_between(rho, table["low"], table["high"], color=JOINT, alpha=0.25, linewidth=0, label="95 % interval")
    ax.plot(rho, table["mean"], color=JOINT, label="posterior mean")
    ax.axhline(0, color=PRIOR, linewidth=1)
    edges = np.r_[rho[0], 0.5 * (rho[1:] + rho[:-1]), rho[-1]]
    for place, k in enumerate(np.flatnonzero(table["mean"].isna())):
        ax.axvspan(edges[k], edges[k + 1], color=PRIOR, alpha=0.3, linewidth=0,
                   label="" if place else "not to be relied on (Pareto k̂)")  # fmt: skip
    if tipping == 0:
        ax.plot([], [], " ", label="holds zero at ρ = 0: no sign to overturn")
    elif tipping is not None and np.isfinite(tipping):
        ax.axvline(tipping, color=TRUTH, linestyle=":", label="interval reaches zero (tipping point)")
    for name, (x, y) in marks.items():
        ax.plot(x, y, "o", color=INK, markersize=7)
        ax.annotate(name, (x, y), xytext=(8, 6), textcoords="offset points", color=INK, bbox=PAPER)
    ax.set(xlabel="error correlation ρ (no unit)", ylabel=labelled(f"effect{of(table.attrs)}", unit))
    ax.legend(frameon=False)
    return ax


def plot_worlds(table, *, colours=None, ax=None, unit=""):
    """One interval a world, in the table's order.

    Parameters
    ----------
    table : pandas.DataFrame
        From `world_table`: index of names; columns ``alpha`` (or a binary outcome's ``effect``), ``low``, ``high``.
    colours : mapping of str to colour, optional
        Of the worlds that are not to have the joint model's.
    ax, unit
        As in `plot_drift`.

    Returns
    -------
    matplotlib Axes
    """
    read = "effect" if isinstance(table, pd.DataFrame) and "effect" in table else "alpha"
    arguments.table(table, (read, "low", "high"), "table", "a table of worlds, from world_table(fits)")
    colours = arguments.mapping({} if colours is None else colours, "colours", COLOURS, check=_colour)
    if strange := [name for name in colours if name not in table.index]:
        arguments.refuse("colours", colours, f"colours of worlds of the table, which has no {strange[0]!r}")
    ax = new_axes(ax, unit, height=0.6 + 0.45 * len(table))
    place = np.arange(len(table))
    for k, (name, row) in enumerate(table[[read, "low", "high"]].astype(float).iterrows()):
        reach = [[row[read] - row["low"]], [row["high"] - row[read]]]
        ax.errorbar(row[read], k, xerr=reach, fmt="o", color=colours.get(name, JOINT), capsize=3)
    ax.axvline(0, color=PRIOR, linewidth=1)
    ax.set(
        yticks=place,
        yticklabels=table.index,
        xlabel=labelled(f"effect{of(table.attrs)}, 95 % interval", unit),
        ylim=(len(table) - 0.5, -0.5),
    )
    ax.set_ylabel("world")
    return ax


def plot_decision(decision, *, ax=None, unit=""):
    """The regret of each action in every world, shaded by the action that is best there.

    Parameters
    ----------
    decision : which_world.decisions.Decision
        From `decide`: its ``regret`` (index ρ, one column an action) and its ``ranges``.
    ax : matplotlib Axes, optional
    unit : str
        Unit of the loss, for the axis.

    Returns
    -------
    matplotlib Axes
    """
    arguments.having(decision, ("loss", "ranges", "regret"), "decision", "a Decision, from decide(map, loss, ...)")
    ax = new_axes(ax, unit)
    actions = decision.regret.columns
    colours = dict(zip(actions, sns.color_palette("crest", len(actions))))
    for (name, regret), style in zip(decision.regret.items(), STYLES * len(actions)):
        ax.plot(regret.index, regret, color=colours[name], linestyle=style, label=name)
    top = float(np.nanmax(decision.regret.to_numpy())) or 1.0
    for row in decision.ranges.itertuples():
        ax.axvspan(row.low, row.high, color=colours[row.action], alpha=0.15, linewidth=0)
    ax.set(xlabel="error correlation ρ (no unit)", ylabel=labelled("regret", unit), ylim=(-0.03 * top, 1.06 * top))
    ax.legend(frameon=False)
    ax.get_legend().set_title("option (shaded where best)")
    return ax


def _colour(value, name):
    if not is_color_like(value):
        arguments.refuse(name, value, "a colour that Matplotlib knows, such as 'orange'")
    return value


def _point(value, name):
    return arguments.pair(value, name, MARKS)


def new_axes(ax, unit, height=4.0):
    arguments.text(unit, "unit", accepted="the unit as text, such as 'kg', or ''")
    if ax is not None:
        return arguments.instance(ax, Axes, "ax", "a matplotlib Axes, or None for a new one")
    _, ax = plt.subplots(figsize=(7, height), layout="constrained")
    sns.despine(ax=ax)
    return ax


def of(attrs):
    """The change in the treatment that a map's or a table's effects are read for, where that is not one unit."""
    return f" of {attrs['step']:g} more {attrs['treatment']}" if attrs.get("step", 1) != 1 else ""


def labelled(name, unit):
    return f"{name} ({unit})" if unit else name
