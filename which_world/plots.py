"""Figures: tables and draws in, axes out. Nothing that a caller might want is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.patheffects import withStroke

from which_world import arguments

if TYPE_CHECKING:
    from which_world.decisions import Decision

INK, OLS, JOINT, TRUTH, PRIOR = "#2b3a42", "#b5651d", "#1f6f8b", "#8b1e3f", "#9aa5ab"
"""One colour, one meaning, in every chapter: text, least squares, joint model, truth, prior."""
HALO = [withStroke(linewidth=2.5, foreground="white")]  # round the letters of a label
STYLES = ["-", "--", ":", "-."]
COLOURS = "a mapping of worlds to colours that Matplotlib knows, such as {'OLS': 'orange'}"
NAMED_POINTS = "a mapping of names to points (ρ, α), such as {'here': (0.3, 2.0)}"
LINE = 32  # letters beside an axis that stands up
RHO_LABEL = "error correlation ρ (no unit)"


def plot_map(
    table: pd.DataFrame,
    *,
    tipping: float | None = None,
    marks: Mapping[str, tuple[float, float]] | None = None,
    ax: Axes | None = None,
    unit: str = "",
) -> Axes:
    """The map: the effect with its interval at every ρ, and a shade where it cannot be relied on.

    Parameters
    ----------
    table : pandas.DataFrame
        From `read_map`: index ρ; columns ``mean``, ``low``, ``high``.
    tipping : float, optional
        ρ at which the interval first touches zero; of 0, where it holds zero already, the legend
        tells.
    marks : mapping of str to (ρ, α), optional
        Points to name on the map.
    ax : matplotlib Axes, optional
        Left out, new ones.
    unit : str
        Unit of the effect, for the axis.

    Returns
    -------
    matplotlib Axes

    See Also
    --------
    read_map : the table.
    explore_map : the map with a slider for ρ.

    Examples
    --------
    >>> import pandas as pd
    >>> from which_world import plot_map
    >>> rho = pd.Index([-0.5, 0.0, 0.5], name="rho")
    >>> table = pd.DataFrame({"mean": [3, 2, 1], "low": [2, 1, 0], "high": [4, 3, 2]}, index=rho)
    >>> ax = plot_map(table, tipping=0.5, marks={"here": (0.2, 1.6)}, unit="kg")
    >>> print(ax.get_ylabel())
    effect (kg)
    """
    arguments.table(table, ("mean", "low", "high"), "table", "a map's table, from read_map(map)")
    if isinstance(tipping, float) and np.isnan(tipping):  # nowhere, as `tipping_point` says it
        tipping = None
    tipping = arguments.optional(arguments.correlation, tipping, "tipping")
    marks = arguments.mapping({} if marks is None else marks, "marks", NAMED_POINTS, check=_point)
    ax = new_axes(ax, unit)
    rho, low, high = table.index.to_numpy(), table["low"], table["high"]
    ax.fill_between(rho, low, high, color=JOINT, alpha=0.25, linewidth=0, label="95 % interval")
    ax.plot(rho, table["mean"], color=JOINT, label="posterior mean")
    ax.axhline(0, color=PRIOR, linewidth=1)
    _shade_unreliable(ax, rho, table["mean"].isna())
    if tipping == 0:
        ax.plot([], [], " ", label="holds zero at ρ = 0: no sign to overturn")
    elif tipping is not None:
        reaches = "interval reaches zero\n(tipping point)"
        ax.axvline(tipping, color=TRUTH, linestyle=":", label=reaches)
    for name, (x, y) in marks.items():
        ax.plot(x, y, "o", color=INK, markersize=7)
        _name_point(ax, name, x, y, rises=_rises(table["mean"].dropna(), x))
    effect = f"effect{per_step(table.attrs)}"
    ax.set(xlabel=RHO_LABEL, ylabel=upright(effect, unit))
    ax.legend(frameon=False)
    return ax


def _rises(curve, x):
    """Whether a curve rises at a place, between its neighbours."""
    at = np.clip(curve.index.searchsorted(x), 1, max(1, len(curve) - 1))
    return bool(np.diff(curve.iloc[at - 1 : at + 1]).sum() > 0)


def _name_point(ax, name, x, y, *, rises):
    """A point's name above it, on the side where the curve lies below."""
    side, apart = ("right", -8) if rises else ("left", 8)
    at = {"xytext": (apart, 6), "textcoords": "offset points", "ha": side}
    ax.annotate(name, (x, y), color=INK, path_effects=HALO, **at)


def _shade_unreliable(ax, rho, missing):
    """A shade over each column that is missing, half way to its neighbours; one in the legend."""
    edges = np.r_[rho[0], 0.5 * (rho[1:] + rho[:-1]), rho[-1]]
    label = "not to be relied on (Pareto k̂)"
    for k in np.flatnonzero(missing):
        ax.axvspan(edges[k], edges[k + 1], color=PRIOR, alpha=0.3, linewidth=0, label=label)
        label = ""


def plot_worlds(
    table: pd.DataFrame,
    *,
    colours: Mapping[str, str] | None = None,
    ax: Axes | None = None,
    unit: str = "",
) -> Axes:
    """One interval a world, in the table's order.

    Parameters
    ----------
    table : pandas.DataFrame
        From `world_table`: index of names; columns ``alpha`` (or a binary outcome's ``effect``),
        ``low``, ``high``.
    colours : mapping of str to colour, optional
        Of the worlds that are not to have the joint model's.
    ax, unit
        As in `plot_map`.

    Returns
    -------
    matplotlib Axes

    See Also
    --------
    world_table : the table.

    Examples
    --------
    >>> import pandas as pd
    >>> from which_world import plot_worlds
    >>> intervals = {"alpha": [2.0, 1.5], "low": [1.8, 0.9], "high": [2.2, 2.1]}
    >>> table = pd.DataFrame(intervals, index=["least squares", "some current"])
    >>> ax = plot_worlds(table, colours={"least squares": "orange"}, unit="kg")
    >>> print([label.get_text() for label in ax.get_yticklabels()])
    ['least squares', 'some current']
    """
    read = "effect" if isinstance(table, pd.DataFrame) and "effect" in table else "alpha"
    accepted = "a table of worlds, from world_table(fits)"
    arguments.table(table, (read, "low", "high"), "table", accepted)
    chosen = {} if colours is None else colours
    chosen = arguments.mapping(chosen, "colours", COLOURS, check=_colour)
    if strange := [name for name in chosen if name not in table.index]:
        accepted = f"colours of worlds of the table, which has no {strange[0]!r}"
        arguments.refuse("colours", chosen, accepted)
    ax = new_axes(ax, unit, height=0.6 + 0.45 * len(table))
    numbers = table[[read, "low", "high"]].astype(float)
    for place, (middle, low, high) in enumerate(numbers.to_numpy()):
        reach = [[middle - low], [high - middle]]
        colour = chosen.get(table.index[place], JOINT)
        ax.errorbar(middle, place, xerr=reach, fmt="o", color=colour, capsize=3)
    ax.axvline(0, color=PRIOR, linewidth=1)
    ax.set(
        yticks=np.arange(len(table)),
        yticklabels=table.index,
        xlabel=labelled(f"effect{per_step(table.attrs)}, 95 % interval", unit),
        ylabel="world",
        ylim=(len(table) - 0.5, -0.5),
    )
    return ax


def plot_decision(decision: Decision, *, ax: Axes | None = None, unit: str = "") -> Axes:
    """The regret of each action in every world, shaded by the action that is best there.

    Parameters
    ----------
    decision : which_world.decisions.Decision
        From `decide`: its ``regret`` (index ρ, one column an action) and its ``ranges``.
    ax : matplotlib Axes, optional
        Left out, new ones.
    unit : str
        Unit of the loss, for the axis.

    Returns
    -------
    matplotlib Axes

    See Also
    --------
    decide : the decision.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from which_world import decide, make_design, map_rho, plot_decision
    >>> x, v, u = np.random.default_rng(0).normal(size=(3, 400))
    >>> data = pd.DataFrame({"x": x, "t": x + v, "y": 0.5 * (x + v) + x + u})
    >>> chart = map_rho(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
    >>> def loss(action, effect):
    ...     return 0.2 - effect if action == "act" else 0 * effect
    >>> ax = plot_decision(decide(chart, loss, actions=["act", "wait"], within=(-0.5, 0.5)))
    >>> print([text.get_text() for text in ax.get_legend().get_texts()])
    ['act', 'wait']
    """
    accepted = "a Decision, from decide(map, loss, ...)"
    arguments.with_attributes(decision, ("loss", "ranges", "regret"), "decision", accepted)
    ax = new_axes(ax, unit)
    rho, actions = decision.regret.index.to_numpy(), list(decision.regret)
    colours = dict(zip(actions, sns.color_palette("Dark2", len(actions))))
    for name, style in zip(actions, STYLES * len(actions)):
        regret = decision.regret[name].to_numpy()
        ax.plot(rho, regret, color=colours[name], linestyle=style, label=name)
    for name, low, high in decision.ranges[["action", "low", "high"]].to_numpy():
        ax.axvspan(low, high, color=colours[name], alpha=0.15, linewidth=0)
    top = float(np.nanmax(decision.regret.to_numpy())) or 1.0
    ax.set(xlabel=RHO_LABEL, ylabel=upright("regret", unit), ylim=(-0.03 * top, 1.06 * top))
    ax.legend(frameon=False, title="option (shaded where best)")
    return ax


def _colour(value, name):
    """A colour, if it is one."""
    if not is_color_like(value):
        arguments.refuse(name, value, "a colour that Matplotlib knows, such as 'orange'")
    return value


def _point(value, name):
    """A point on the map, if it is one."""
    return arguments.pair(value, name, NAMED_POINTS)


def new_axes(ax: Axes | None, unit: str, height: float = 4.0) -> Axes:
    """The axes given, or new ones of this height in inches; the unit is checked on the way."""
    arguments.text(unit, "unit", accepted="the unit as text, such as 'kg', or ''")
    if ax is not None:
        return arguments.instance(ax, Axes, "ax", "a matplotlib Axes, or None for a new one")
    _, ax = plt.subplots(figsize=(7, height), layout="constrained")
    sns.despine(ax=ax)
    return ax


def per_step(attrs: Mapping) -> str:
    """The change in the treatment that effects are read for, in words; of one unit, nothing."""
    step = attrs.get("step", 1)
    return "" if step == 1 else f" of {step:g} more {attrs['treatment']}"


def labelled(name: str, unit: str) -> str:
    """A name with its unit in brackets, if there is one."""
    return f"{name} ({unit})" if unit else name


def upright(name: str, unit: str) -> str:
    """The same for the axis that stands up, on two lines where one would be too long."""
    label = labelled(name, unit)
    return label if len(label) <= LINE else label.replace(" (", "\n(")
