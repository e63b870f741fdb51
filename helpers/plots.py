"""Figures of the chapters alone: what drifts, the ridge, the diagram.

Those of maps and worlds are in the library.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes

from which_world import arguments
from which_world.plots import (
    INK,
    JOINT,
    OLS,
    PRIOR,
    RHO_LABEL,
    TRUTH,
    labelled,
    new_axes,
    upright,
)

PLACES = {
    "treatment": (0.38, 0.4),
    "held": (0.43, 0.4),
    "outcome": (0.88, 0.4),
    "covariates": (0.63, 0.92),
    "hidden": (0.63, -0.12),
    "instrument": (0.06, 0.4),
}
"""Where the nodes of a diagram stand."""
SPLIT = (0.24, 0.4)
"""Where the treatment stands beside the hand that holds it."""
ARROWS = [
    ("covariates", "treatment"),
    ("covariates", "outcome"),
    ("hidden", "treatment"),
    ("hidden", "outcome"),
    ("instrument", "treatment"),
]
"""What moves what, besides the arrow from the treatment, or from what it is held at."""


def plot_drift(table: pd.DataFrame, *, ax: Axes | None = None, unit: str = "") -> Axes:
    """Estimates that drift from the truth as ρ grows, beside the formula.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a simulated tank: columns ``rho`` and ``estimate``, and optionally ``formula`` (what
        theory predicts at that ρ) and ``truth``.
    ax : matplotlib Axes, optional
    unit : str
        Unit of the effect, for the axis.

    Returns
    -------
    matplotlib Axes

    See Also
    --------
    simulate_aquarium : tanks with a current.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers import plot_drift
    >>> table = pd.DataFrame({"rho": [-0.4, 0.0, 0.4], "estimate": [2.6, 3.1, 3.4], "truth": 3.0})
    >>> print(plot_drift(table, unit="cm").get_ylabel())
    estimated effect (cm)
    """
    accepted = "a DataFrame with the columns rho and estimate"
    arguments.table(table, ("rho", "estimate"), "table", accepted)
    ax = new_axes(ax, unit)
    dots = {"color": OLS, "s": 18, "alpha": 0.6, "label": "OLS, one tank each"}
    sns.scatterplot(table, x="rho", y="estimate", ax=ax, **dots)
    if "formula" in table:
        line = {"color": INK, "errorbar": None, "label": "closed form"}
        sns.lineplot(table, x="rho", y="formula", ax=ax, **line)
    if "truth" in table:
        ax.axhline(table["truth"].iloc[0], color=TRUTH, linestyle="--", label="true effect")
    ax.set(xlabel=RHO_LABEL, ylabel=upright("estimated effect", unit))
    ax.legend(frameon=False)
    return ax


def plot_ridge(
    posterior: xr.Dataset | xr.DataTree | Mapping[str, npt.ArrayLike],
    *,
    curve: pd.Series | None = None,
    truth: tuple[float, float] | None = None,
    ax: Axes | None = None,
    unit: str = "",
) -> Axes:
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

    See Also
    --------
    which_world.fit : the draws.

    Examples
    --------
    >>> import numpy as np
    >>> from helpers import plot_ridge
    >>> rho = np.random.default_rng(0).uniform(-0.5, 0.5, 200)
    >>> ax = plot_ridge({"alpha": 2 - rho, "rho": rho}, truth=(0.3, 1.7))
    >>> print([text.get_text() for text in ax.get_legend().get_texts()])
    ['posterior draws', 'truth']
    """
    rho, alpha = _rho_and_alpha(posterior)
    if curve is not None:
        accepted = "a pandas.Series of α by ρ"
        arguments.instance(curve, pd.Series, "curve", accepted)
        arguments.numbers(curve, "curve", accepted)
    accepted = "a pair of numbers (ρ, α), such as (0.3, 2.0)"
    truth = arguments.optional(arguments.pair, truth, "truth", accepted=accepted)
    ax = new_axes(ax, unit)
    (dots,) = ax.plot(rho, alpha, ".", color=JOINT, markersize=3, label="posterior draws")
    dots.set(alpha=0.25, rasterized=True)
    if curve is not None:
        ax.plot(curve.index, curve.to_numpy(), color=INK, label="flat likelihood along here")
    if truth is not None:
        ax.plot(*truth, "*", color=TRUTH, markersize=14, label="truth", linestyle="none")
    ax.set(xlabel=RHO_LABEL, ylabel=upright("effect α", unit))
    ax.legend(frameon=False)
    return ax


def _rho_and_alpha(posterior) -> tuple[np.ndarray, np.ndarray]:
    """Draws of ρ and α, as many of the one as of the other."""
    accepted = "a mapping with as many draws of 'alpha' as of 'rho', such as fit(...).posterior"
    refusal = f"posterior={arguments.brief(posterior)}; accepted is {accepted}."
    if not (hasattr(posterior, "keys") and {"alpha", "rho"} <= set(posterior.keys())):
        raise TypeError(refusal)
    rho = arguments.numbers(posterior["rho"], "posterior['rho']", accepted)
    alpha = arguments.numbers(posterior["alpha"], "posterior['alpha']", accepted)
    if rho.size != alpha.size:
        raise ValueError(refusal)
    return rho.ravel(), alpha.ravel()


def plot_prior_posterior(
    prior: npt.ArrayLike,
    posterior: npt.ArrayLike,
    *,
    ax: Axes | None = None,
    name: str = "α",
    unit: str = "",
) -> Axes:
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

    See Also
    --------
    which_world.learned : the same as a test.

    Examples
    --------
    >>> import numpy as np
    >>> from helpers import plot_prior_posterior
    >>> prior, posterior = np.random.default_rng(0).normal(size=(2, 200))
    >>> print(plot_prior_posterior(prior, 0.2 * posterior, unit="cm").get_xlabel())
    α (cm)
    """
    accepted = "an array of two draws or more"
    before = arguments.numbers(prior, "prior", accepted, least=2).ravel()
    after = arguments.numbers(posterior, "posterior", accepted, least=2).ravel()
    arguments.text(name, "name", accepted="the quantity's name, such as 'α'")
    ax = new_axes(ax, unit)
    sns.kdeplot(before, ax=ax, color=PRIOR, fill=True, alpha=0.3, label="prior")
    sns.kdeplot(after, ax=ax, color=JOINT, fill=True, alpha=0.3, label="posterior")
    ax.set(xlabel=labelled(name, unit), ylabel=f"density (per {unit or 'unit'})")
    ax.legend(frameon=False)
    return ax


def plot_diagram(
    *,
    treatment: str = "T",
    outcome: str = "Y",
    covariates: str = "X",
    hidden: str = "unmeasured",
    instrument: str | None = None,
    held: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The causal diagram of a tank: what moves what, and what nobody measured.

    Parameters
    ----------
    treatment, outcome, covariates, hidden : str
        What stands in the nodes; a line break is allowed.
    instrument : str, optional
        What moves the treatment alone; left out, there is none.
    held : str, optional
        What a hand holds the treatment at. Its node is then split: the half that came about keeps
        the arrows into it, the half that is held has the arrow to the outcome, and none runs
        between them (a single-world intervention graph, Richardson & Robins 2013).
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Examples
    --------
    >>> from helpers import plot_diagram
    >>> ax = plot_diagram(treatment="food", outcome="length", instrument="lottery")
    >>> print([text.get_text() for text in ax.texts if text.get_text()])
    ['food', 'length', 'X', 'unmeasured', 'lottery', 'α', 'ρ']
    """
    nodes = {
        "treatment": treatment,
        "outcome": outcome,
        "covariates": covariates,
        "hidden": hidden,
    }
    chosen = {"instrument": instrument, "held": held}
    nodes |= {name: word for name, word in chosen.items() if word is not None}
    nodes = {name: arguments.text(word, name, accepted="words") for name, word in nodes.items()}
    ax = new_axes(ax, "", height=3.0)
    places = PLACES if held is None else PLACES | {"treatment": SPLIT}
    boxes = {
        name: _draw_node(ax, places[name], word, unseen=name == "hidden", held=name == "held")
        for name, word in nodes.items()
    }
    acting = "treatment" if held is None else "held"
    for start, end in [(acting, "outcome"), *ARROWS]:
        if {start, end} <= nodes.keys():
            ends = {"patchA": boxes[start], "patchB": boxes[end]}
            _draw_arrow(ax, places[start], places[end], ends, unseen=start == "hidden")
    ax.text(0.63, 0.47, "α", ha="center", color=INK)
    ax.text(0.63, 0.1, "ρ", ha="center", color=TRUTH)
    ax.set(xlim=(-0.05, 1.05), ylim=(-0.35, 1.12))
    ax.set_axis_off()
    return ax


def _draw_arrow(ax, start, end, boxes, *, unseen):
    """An arrow from box to box, dashed where nobody sees what it comes from."""
    style = {
        "arrowstyle": "-|>",
        "color": TRUTH if unseen else INK,
        "linestyle": "--" if unseen else "-",
        "shrinkA": 0,
        "shrinkB": 3,
        "linewidth": 1.5,
    } | boxes
    ax.annotate("", end, start, arrowprops=style)


def _draw_node(ax, place, word, *, unseen, held):
    """The box round a word, dashed where nobody sees it, bold where it is held."""
    colour = TRUTH if unseen else INK
    box = {
        "boxstyle": "round,pad=0.4",
        "facecolor": "white",
        "edgecolor": colour,
        "linewidth": 2.5 if held else 1.2,
        "linestyle": "--" if unseen else "-",
    }
    text = ax.text(*place, word, ha="center", va="center", color=colour, bbox=box)
    return text.get_bbox_patch()
