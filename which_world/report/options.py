"""What the reader could do, with what it costs and brings: which is best, and where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from which_world import arguments
from which_world.decisions import decide
from which_world.report.words import listed

if TYPE_CHECKING:
    import xarray as xr

    from which_world.decisions import Decision
    from which_world.priors import RhoPrior

OPTIONS = (
    "two or more names with what each costs, in units of the effect, and the share of the effect "
    "that it brings: {'as now': (0, 0), 'all': (2.5, 1)}"
)
A_RANGE = "two correlations, the lower first, such as (-0.5, 0.5)"
POSSIBLE = -0.5, 0.5  # the currents that are held possible where nobody says which
UNDECIDED = (
    "What acting is, and what it costs, this report was not told: name the options "
    "(--option NAME=COST,SHARE, in Python options=...), and it says which is best at which ρ, and "
    "where that turns."
)
UNREAD = "Which option is best cannot be read off this map: {}."


def check_options(options: Mapping[str, tuple[float, float]] | None) -> dict[str, tuple]:
    """Costs and shares by name; nothing where none are named."""
    if options is None:
        return {}
    return arguments.mapping(options, "options", OPTIONS, check=_cost_and_share, least=2)


def _cost_and_share(value, name):
    return arguments.pair(value, name, OPTIONS)


def check_within(within: tuple[float, float] | None) -> tuple[float, float]:
    """The currents that are held possible."""
    low, high = arguments.pair(POSSIBLE if within is None else within, "within", A_RANGE)
    if not -1 < low < high < 1:
        arguments.refuse("within", within, A_RANGE)
    return low, high


def decided(
    chart: xr.Dataset,
    options: Mapping[str, tuple[float, float]],
    within: tuple[float, float],
    belief: RhoPrior,
    likelihood: bool,
) -> tuple[Decision | None, str]:
    """The decision between options, and what is said of it; without options, how to name them."""
    if not options:
        return None, UNDECIDED
    try:
        decision = decide(
            chart, _loss, actions=options, prior=belief, likelihood=likelihood, within=within
        )
    except ValueError as refusal:  # a column that cannot be relied on; the rest of the report can
        return None, UNREAD.format(str(refusal).partition(";")[0].rstrip("."))
    return decision, _said(decision, likelihood)


def _loss(option, effect):
    """What an option loses: its cost less what it brings."""
    cost, share = option
    return cost - share * np.asarray(effect)


def _said(decision, likelihood):
    """Which option is best where, and which by either rule."""
    rows = [
        f"“{name}” from ρ = {low:z.2f} to {high:z.2f}"
        for name, low, high in decision.ranges.to_numpy()
    ]
    best = f"Best is {listed(rows)}."
    if len(rows) == 1:
        best = f"Best is {rows[0]}: no hidden current in that range turns the choice."
    regret, bayes = decision.minimax_regret, decision.bayes
    belief = "the belief of the row “ρ free”" if likelihood else "the belief about ρ alone"
    rules = f"“{regret}” has the least regret at worst (what it may lose beside the best)"
    if regret == bayes:
        return f"{best} {rules} and, under {belief}, the least loss to expect."
    return f"{best} {rules}; under {belief}, “{bayes}” has the least loss to expect."
