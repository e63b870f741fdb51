"""What a report says after the sentences it opens with, and nothing that they or its tables say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from which_world.report.curves import curves_said
from which_world.report.examine import MISLED, shuffles_said
from which_world.report.instruments import instruments_said
from which_world.report.sentences import (
    compared,
    deciding,
    decisive,
    exclusions,
    likeliest,
    robustness,
    tipping,
    unmeasured,
    wide_tip,
    yardsticks,
)
from which_world.report.uneven import uneven_said
from which_world.report.words import agreeing, listed

if TYPE_CHECKING:
    from which_world.report.report import Report

MEANING = ", the correlation of what is unmeasured in both equations"  # of ρ, told by the figure
SHAPE_TOO = "What these data say about ρ leans on the assumed normal shape of the errors as well."
NO_FREE = (
    "“ρ free” has no row: these formulas and this belief do not fit together. {} state a narrower "
    "belief (--belief 0 0.2)."
)


def turns(report: Report, told: frozenset[str]) -> list[str]:
    """What else would change the conclusion, one sentence each."""
    few = decisive(report)
    return [
        *_tipping(report, told),
        *([few] if few and "few" not in told else []),
        *_yardsticks(report, told),
        *robustness(report),
        *deciding(report),
    ]


def _tipping(report, told):
    """Which current turns the sign; where that is told, which one takes the effect itself to zero.

    What maximum likelihood says of ρ stands in the table of the instruments.
    """
    if "tipping" not in told:
        return [tipping(report).replace(f"; {likeliest(report)}", "")]
    mean = report.tipping["mean"]
    if not report.tipping["interval"] or not np.isfinite(mean):
        return []
    return [f"At ρ = {mean:z.2f} the effect itself, not only an end of its interval, is zero."]


def _yardsticks(report, told):
    """The currents beside a tipping point, where there are any and that is not told."""
    if not report.benchmarks["rho"].notna().any():
        return [unmeasured(report.design, len(report.benchmarks))]
    known, tip = yardsticks(report), wide_tip(report)
    if "tipping" in told or not np.isfinite(tip) or tip == 0:
        return []
    return [compared(known, tip)]


def unsaid(report: Report, told: frozenset[str]) -> list[str]:
    """What these data cannot say; a question for each identifier stands with their table."""
    first, *others = report.limits
    first = re.sub(f"{MEANING},?", "", first)
    if "confirm" in told:
        first = SHAPE_TOO if "binary" in report.design.kinds else ""
    others = [line for line in others if line not in report.clustered]
    return [line for line in (first, _without_answer(report), *others) if line]


def _without_answer(report):
    """What to do where “ρ free” has no row, which says why; else empty."""
    free = report.worlds.loc["ρ free"]
    if np.isfinite(free[report.read]):
        return ""
    names = report.design.instruments
    check = "You may"
    if names:
        check = f"Check the {agreeing(names, 'instrument', 'instruments')} {listed(names)}, or"
    return NO_FREE.format(check)


def grounds(report: Report, told: frozenset[str]) -> list[str]:
    """What else the numbers rest on."""
    known = exclusions(report.design) if "exclusion" in told else []
    return [line for line in report.assumptions if line not in known]


def data(report: Report, told: frozenset[str]) -> list[str]:
    """What the data are, without what the table of instruments, or a limit, tells."""
    instruments = instruments_said(report.instruments, report.design, report.unit)
    elsewhere = instruments if "Sargan" in told else instruments[:1]
    if "curved" in told:
        elsewhere = [*elsewhere, *curves_said(report.curved, report.unit)]
    if "uneven" in told:
        said = uneven_said(report.uneven, report.design.treatment, report.unit)
        elsewhere = [*elsewhere, *said]
    if report.shuffled > MISLED:
        elsewhere = [*elsewhere, shuffles_said(report.shuffled, report.shuffled_normal)]
    return [line for line in report.checks if line not in elsewhere]
