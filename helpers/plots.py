"""Figures of the chapters alone: what drifts, the ridge, the diagram. Those of maps and worlds are in the library."""

import pandas as pd
import seaborn as sns

from which_world import arguments
from which_world.plots import INK, JOINT, OLS, PRIOR, TRUTH, labelled, new_axes

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
    ax = new_axes(ax, unit)
    sns.scatterplot(table, x="rho", y="estimate", ax=ax, color=OLS, s=18, alpha=0.6, label="OLS, one tank each")
    if "formula" in table:
        sns.lineplot(table, x="rho", y="formula", ax=ax, color=INK, errorbar=None, label="closed form")
    if "truth" in table:
        ax.axhline(table["truth"].iloc[0], color=TRUTH, linestyle="--", label="true effect")
    ax.set(xlabel="error correlation ρ (no unit)", ylabel=labelled("estimated effect", unit))
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
    ax = new_axes(ax, unit)
    ax.plot(rho, alpha, ".", color=JOINT, markersize=3, alpha=0.25, label="posterior draws", rasterized=True)
    if curve is not None:
        ax.plot(curve.index, curve.to_numpy(), color=INK, label="flat likelihood along here")
    if truth is not None:
        ax.plot(*truth, "*", color=TRUTH, markersize=14, label="truth", linestyle="none")
    ax.set(xlabel="error correlation ρ (no unit)", ylabel=labelled("effect α", unit))
    ax.legend(frameon=False)
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
    ax = new_axes(ax, unit)
    for (label, draws), colour in zip(drawn.items(), (PRIOR, JOINT)):
        sns.kdeplot(draws, ax=ax, color=colour, fill=True, alpha=0.3, label=label)
    ax.set(xlabel=labelled(name, unit), ylabel=f"density (per {unit or 'unit'})")
    ax.legend(frameon=False)
    return ax


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
    ax = new_axes(ax, "", height=3.0)
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


def _draws(posterior):
    """ρ and α, as many of the one as of the other."""
    accepted = "a mapping with as many draws of 'alpha' as of 'rho', such as fit(...).posterior"
    if not (hasattr(posterior, "keys") and {"alpha", "rho"} <= set(posterior.keys())):
        raise TypeError(f"posterior={arguments.told(posterior)}; accepted is {accepted}.")
    rho, alpha = (arguments.numbers(posterior[name], f"posterior[{name!r}]", accepted) for name in ("rho", "alpha"))
    if rho.size != alpha.size:
        raise ValueError(f"posterior={arguments.told(posterior)}; accepted is {accepted}.")
    return rho.ravel(), alpha.ravel()
