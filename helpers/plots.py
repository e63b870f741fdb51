"""Figures: tables and draws in, axes out. Nothing is computed here that a caller might want to know."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like

from helpers import arguments

INK, OLS, JOINT, TRUTH, PRIOR = "#2b3a42", "#b5651d", "#1f6f8b", "#8b1e3f", "#9aa5ab"
PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # behind a label that crosses a line
"""One colour, one meaning, in every chapter: text, least squares, joint model, truth, prior."""
STYLES = ["-", "--", ":", "-."]
COLOURS = "a mapping of worlds to colours that Matplotlib knows, such as {'OLS': 'orange'}"
MARKS = "a mapping of names to points (ρ, α), such as {'here': (0.3, 2.0)}"
PLACES = {"treatment": (0.38, 0.4), "held": (0.44, 0.4), "outcome": (0.88, 0.4), "covariates": (0.63, 0.92),
          "hidden": (0.63, -0.12), "instrument": (0.06, 0.4)}  # fmt: skip
"""Where the nodes of a diagram stand."""


def plot_drift(table, *, ax=None, unit=""):
    """Estimates that drift from the truth as ρ grows, beside the formula.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a simulated tank: columns ``rho`` and ``estimate``, and optionally ``formula`` (what theory
        predicts at that ρ) and ``truth``.
    ax : matplotlib Axes, optional
    unit : str
        Unit of the effect, for the axis.

    Returns
    -------
    matplotlib Axes
    """
    arguments.table(table, ("rho", "estimate"), "table", "a DataFrame with the columns rho and estimate")
    ax = _axes(ax, unit)
    sns.scatterplot(table, x="rho", y="estimate", ax=ax, color=OLS, s=18, alpha=0.6, label="OLS, one tank each")
    if "formula" in table:
        sns.lineplot(table, x="rho", y="formula", ax=ax, color=INK, errorbar=None, label="closed form")
    if "truth" in table:
        ax.axhline(table["truth"].iloc[0], color=TRUTH, linestyle="--", label="true effect")
    ax.set(xlabel="error correlation ρ (no unit)", ylabel=_label("estimated effect", unit))
    ax.legend(frameon=False)
    return ax


def plot_ridge(posterior, *, curve=None, truth=None, ax=None, unit=""):
    """Draws of (ρ, α), with the curve along which the likelihood is flat.

    Parameters
    ----------
    posterior : mapping with ``alpha`` and ``rho``
        Draws, of any shape: an xarray Dataset, for one.
    curve : pandas.Series, optional
        α (values) by ρ (index) along the ridge.
    truth : pair of float, optional
        The (ρ, α) that made the data.
    ax, unit
        As in `plot_drift`.

    Returns
    -------
    matplotlib Axes
    """
    rho, alpha = _draws(posterior)
    if curve is not None:
        arguments.instance(curve, pd.Series, "curve", accepted := "a pandas.Series of α by ρ")
        arguments.numbers(curve, "curve", accepted)
    truth = arguments.optional(arguments.pair, truth, "truth", accepted="a pair of numbers (ρ, α), such as (0.3, 2.0)")
    ax = _axes(ax, unit)
    ax.plot(rho, alpha, ".", color=JOINT, markersize=3, alpha=0.25, label="posterior draws", rasterized=True)
    if curve is not None:
        ax.plot(curve.index, curve.to_numpy(), color=INK, label="flat likelihood along here")
    if truth is not None:
        ax.plot(*truth, "*", color=TRUTH, markersize=14, label="truth", linestyle="none")
    ax.set(xlabel="error correlation ρ (no unit)", ylabel=_label("effect α", unit))
    _legend(ax)
    return ax


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
    ax = _axes(ax, unit)
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
    ax.set(xlabel="error correlation ρ (no unit)", ylabel=_label(f"effect{of(table.attrs)}", unit))
    _legend(ax)
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
    ax = _axes(ax, unit, height=0.6 + 0.45 * len(table))
    place = np.arange(len(table))
    for k, (name, row) in enumerate(table[[read, "low", "high"]].astype(float).iterrows()):
        reach = [[row[read] - row["low"]], [row["high"] - row[read]]]
        ax.errorbar(row[read], k, xerr=reach, fmt="o", color=colours.get(name, JOINT), capsize=3)
    ax.axvline(0, color=PRIOR, linewidth=1)
    ax.set(
        yticks=place,
        yticklabels=table.index,
        xlabel=_label(f"effect{of(table.attrs)}, 95 % interval", unit),
        ylim=(len(table) - 0.5, -0.5),
    )
    ax.set_ylabel("world")
    return ax


def plot_decision(decision, *, ax=None, unit=""):
    """The regret of each action in every world, shaded by the action that is best there.

    Parameters
    ----------
    decision : helpers.decisions.Decision
        From `decide`: its ``regret`` (index ρ, one column an action) and its ``ranges``.
    ax : matplotlib Axes, optional
    unit : str
        Unit of the loss, for the axis.

    Returns
    -------
    matplotlib Axes
    """
    arguments.having(decision, ("loss", "ranges", "regret"), "decision", "a Decision, from decide(map, loss, ...)")
    ax = _axes(ax, unit)
    actions = decision.regret.columns
    colours = dict(zip(actions, sns.color_palette("crest", len(actions))))
    for (name, regret), style in zip(decision.regret.items(), STYLES * len(actions)):
        ax.plot(regret.index, regret, color=colours[name], linestyle=style, label=name)
    top = float(np.nanmax(decision.regret.to_numpy())) or 1.0
    for row in decision.ranges.itertuples():
        ax.axvspan(row.low, row.high, color=colours[row.action], alpha=0.15, linewidth=0)
    ax.set(xlabel="error correlation ρ (no unit)", ylabel=_label("regret", unit), ylim=(-0.03 * top, 1.06 * top))
    _legend(ax)
    ax.get_legend().set_title("option (shaded where best)")
    return ax


def plot_prior_posterior(prior, posterior, *, ax=None, name="α", unit=""):
    """What was believed and what the data made of it; where the two are one, the data never spoke.

    Parameters
    ----------
    prior, posterior : array_like
        Draws of one quantity, of any shape.
    ax : matplotlib Axes, optional
    name, unit : str
        Of the quantity, for the axis.

    Returns
    -------
    matplotlib Axes
    """
    drawn = {
        label: arguments.numbers(draws, label, "an array of two draws or more", least=2).ravel()
        for label, draws in (("prior", prior), ("posterior", posterior))
    }
    arguments.text(name, "name", accepted="the quantity's name, such as 'α'")
    ax = _axes(ax, unit)
    for (label, draws), colour in zip(drawn.items(), (PRIOR, JOINT)):
        sns.kdeplot(draws, ax=ax, color=colour, fill=True, alpha=0.3, label=label)
    ax.set(xlabel=_label(name, unit), ylabel=f"density (per {unit or 'unit'})")
    _legend(ax)
    return ax


def _draws(posterior):
    """ρ and α, as many of the one as of the other."""
    accepted = "a mapping with as many draws of 'alpha' as of 'rho', such as fit(...).posterior"
    if not (hasattr(posterior, "keys") and {"alpha", "rho"} <= set(posterior.keys())):
        raise TypeError(f"posterior={arguments.told(posterior)}; accepted is {accepted}.")
    rho, alpha = (arguments.numbers(posterior[name], f"posterior[{name!r}]", accepted) for name in ("rho", "alpha"))
    if rho.size != alpha.size:
        raise ValueError(f"posterior={arguments.told(posterior)}; accepted is {accepted}.")
    return rho.ravel(), alpha.ravel()


def plot_diagram(
    *, treatment="T", outcome="Y", covariates="X", hidden="unmeasured", instrument=None, held=None, ax=None
):
    """The causal diagram of a tank: what moves what, and what nobody measured.

    Parameters
    ----------
    treatment, outcome, covariates, hidden : str
        What stands in the nodes; a line break is allowed.
    instrument : str, optional
        What moves the treatment alone; left out, there is none.
    held : str, optional
        What a hand holds the treatment at. Its node is then split: the half that came about keeps the arrows into it,
        the half that is held has the arrow to the outcome, and none runs between them (a single-world intervention
        graph, Richardson & Robins 2013).
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    words = {"treatment": treatment, "outcome": outcome, "covariates": covariates, "hidden": hidden}
    words = {name: arguments.text(word, name, accepted="words") for name, word in words.items()}
    for name, word in {"instrument": instrument, "held": held}.items():
        words |= {} if word is None else {name: arguments.text(word, name, accepted="words")}
    ax = _axes(ax, "", height=3.0)
    place = PLACES | ({} if held is None else {"treatment": (0.36, 0.4)})
    acts = "treatment" if held is None else "held"
    arrows = [(acts, "outcome"), ("covariates", "treatment"), ("covariates", "outcome"), ("hidden", "treatment"),
              ("hidden", "outcome"), ("instrument", "treatment")]  # fmt: skip
    for start, end in arrows:
        if {start, end} <= words.keys():
            unseen = start == "hidden"
            ax.annotate("", place[end], place[start], arrowprops={
                "arrowstyle": "-|>", "color": TRUTH if unseen else INK, "linestyle": "--" if unseen else "-",
                "shrinkA": 26, "shrinkB": 26, "linewidth": 1.5})  # fmt: skip
    for name, word in words.items():
        colour = TRUTH if name == "hidden" else INK
        box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": colour,
               "linewidth": 2.5 if name == "held" else 1.2, "linestyle": "--" if name == "hidden" else "-"}  # fmt: skip
        ax.text(*place[name], word, ha="center", va="center", color=colour, bbox=box)
    ax.text(0.63, 0.47, "α", ha="center", color=INK)
    ax.text(0.63, 0.1, "ρ", ha="center", color=TRUTH)
    ax.set(xlim=(-0.05, 1.05), ylim=(-0.35, 1.12))
    ax.set_axis_off()
    return ax


def _colour(value, name):
    if not is_color_like(value):
        arguments.refuse(name, value, "a colour that Matplotlib knows, such as 'orange'")
    return value


def _point(value, name):
    return arguments.pair(value, name, MARKS)


def _axes(ax, unit, height=4.0):
    arguments.text(unit, "unit", accepted="the unit as text, such as 'kg', or ''")
    if ax is not None:
        return arguments.instance(ax, Axes, "ax", "a matplotlib Axes, or None for a new one")
    _, ax = plt.subplots(figsize=(7, height), layout="constrained")
    sns.despine(ax=ax)
    return ax


def _legend(ax):
    ax.legend(frameon=False)


def of(attrs):
    """The change in the treatment that a map's or a table's effects are read for, where that is not one unit."""
    return f" of {attrs['step']:g} more {attrs['treatment']}" if attrs.get("step", 1) != 1 else ""


def _label(name, unit):
    return f"{name} ({unit})" if unit else name
