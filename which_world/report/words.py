"""Numbers, lists and terms as a report writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sized
from typing import TYPE_CHECKING

import numpy as np

from which_world.design import terms_of
from which_world.readings import digits

if TYPE_CHECKING:
    from which_world.design import Design
    from which_world.report.report import Report


def number(value: float, width: float = np.nan) -> str:
    """A number with as many digits as the width of its interval deserves, or with four.

    Empty for NaN.
    """
    if np.isnan(value):
        return ""
    if not 1e-6 < width < np.inf:
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"
    text = f"{value:,.{digits(width)}f}"
    return text if re.search("[1-9]", text) else text.lstrip("-")


def span(low: float, high: float) -> str:
    """``0.9 to 1.4``, with as many digits as its width deserves."""
    return f"{number(low, high - low)} to {number(high, high - low)}"


def interval(low: float, high: float) -> str:
    """An interval, called one: ``95 % interval 0.9 to 1.4``."""
    return f"95 % interval {span(low, high)}"


def percent(share: float, digits: int = 0) -> str:
    """A share as ``95 %``."""
    return f"{100 * share:z.{digits}f} %"


def chance(share: float) -> str:
    """A probability in words where it is nearly settled."""
    if share > 0.99:
        return "over 99 %"
    return "under 1 %" if share < 0.01 else percent(share)


def listed(names: Iterable[object]) -> str:
    """``a, b and c``."""
    *others, last = map(str, names) if (names := list(names)) else [""]
    return f"{', '.join(others)} and {last}" if others else last


def agreeing(things: Sized, one: str, several: str) -> str:
    """The word that goes with one thing, or with several: ``agreeing(names, "moves", "move")``."""
    return one if len(things) == 1 else several


def terms(design: Design, mask: np.ndarray) -> list[str]:
    """The terms of an equation: a categorical one once, not dummy by dummy."""
    return list(dict.fromkeys(term for term, used in zip(terms_of(design)[0], mask) if used))


def more_of(design: Design, one: str) -> str:
    """`one`, or ``0.01 more of t`` where the effect is read for that change of the treatment."""
    return one if design.step == 1 else f"{design.step:g} more of {design.treatment}"


def acted_on(design: Design) -> str:
    """What a treatment changes: the outcome, or where that is a yes or a no, its chance."""
    binary = design.outcome_kind == "binary"
    return f"the chance of {design.outcome}" if binary else design.outcome


def effect_in(report: Report, world: str) -> str:
    """The effect in one world of a report, with its unit."""
    effect = number(report.worlds[report.read][world], width_in(report, world))
    return effect + unit_of(report)


def interval_in(report: Report, world: str) -> str:
    """Its interval in one world of a report."""
    return interval(*report.worlds.loc[world, ["low", "high"]])


def width_in(report: Report, world: str) -> float:
    """The width of its interval in one world of a report."""
    low, high = map(float, report.worlds.loc[world, ["low", "high"]])
    return high - low


def unit_of(report: Report) -> str:
    """The unit of a report's effect, to stand behind a number."""
    return f" {report.unit}" if report.unit else ""
