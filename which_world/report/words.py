"""Numbers, lists and terms as a report writes them."""

import re

import numpy as np

from which_world.design import terms_of
from which_world.readings import digits


def number(value, width=np.nan):
    """A number with as many digits as the width of its interval deserves, or with four; empty for NaN."""
    if np.isnan(value):
        return ""
    if not 1e-6 < width < np.inf:
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"
    text = f"{value:,.{digits(width)}f}"
    return text if re.search("[1-9]", text) else text.lstrip("-")


def percent(share, digits=0):
    """A share as ``95 %``."""
    return f"{100 * share:.{digits}f} %"


def chance(share):
    """A probability in words where it is nearly settled."""
    return "over 99 %" if share > 0.99 else "under 1 %" if share < 0.01 else percent(share)


def listed(names):
    """``a, b and c``."""
    names = list(map(str, names))
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def terms(design, mask):
    """The terms of an equation: a categorical one once, not dummy by dummy."""
    return list(dict.fromkeys(term for term, used in zip(terms_of(design)[0], mask) if used))


def more_of(design, one):
    """`one`, or where the effect is read for another change of the treatment than one unit: ``0.01 more of t``."""
    return one if design.step == 1 else f"{design.step:g} more of {design.treatment}"


def effect_in(report, world):
    """The effect in one world of a report, with its unit."""
    return (
        f"{number(report.worlds.loc[world, report.read], width_in(report, world))}{unit_of(report)}"
    )


def ends_in(report, world):
    """Its interval there."""
    low, high = report.worlds.loc[world, ["low", "high"]]
    return f"{number(low, high - low)} to {number(high, high - low)}"


def width_in(report, world):
    return report.worlds.loc[world, "high"] - report.worlds.loc[world, "low"]


def unit_of(report):
    return f" {report.unit}" if report.unit else ""
