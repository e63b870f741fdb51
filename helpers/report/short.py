"""The three sentences that a report opens with: the effect, what would overturn it, what to do."""

import numpy as np

from helpers.report.sentences import identified
from helpers.report.words import effect_in, ends_in, listed, more_of


def in_short(report):
    """Three sentences to act on: the effect, what would overturn it, and what that means for a decision.

    Returns
    -------
    list of str
    """
    learned = identified(report)
    world = "ρ free" if learned else "ρ = 0"
    row = report.worlds.loc[world]
    effect = f"{_changes(report)} by {effect_in(report, world)} ({ends_in(report, world)}), {_if(report, learned)}."
    if report.clustered:
        effect += " The interval is too narrow, since rows come in clusters."
    if row["low"] <= 0 <= row["high"]:
        return [effect, "Whether it is more or less than nothing is open even then.",
                "Do not act on its sign; more rows, or a trial, would have to settle that first."]  # fmt: skip
    return [effect, *(_leaning(report) if learned else _hidden_cause(report))]


def _changes(report):
    design = report.design
    change = (f"{design.treatment} = 1 rather than 0" if design.kind == "binary"
              else more_of(design, f"One more unit of {design.treatment}"))  # fmt: skip
    return f"{change} changes " + (
        f"the chance that {design.outcome} is 1" if design.outcome_kind == "binary" else design.outcome
    )


def _if(report, learned):
    """What the first sentence takes for granted."""
    design, one = report.design, len(report.design.instruments) == 1
    if not learned:
        return "if nothing unmeasured moves both"
    return f"if {listed(design.instruments)} move{'s' * one} {design.outcome} only through {design.treatment}"


def _leaning(report):
    """What would overturn an effect that an instrument identifies, and what to do."""
    names, one = listed(report.design.instruments), len(report.design.instruments) == 1
    return [
        f"A second way from {names} to {report.design.outcome}, past {report.design.treatment}, would overturn it, and "
        "these data cannot show whether there is one.",
        f"Act on the sign if you can defend in words that {names} {'has' if one else 'have'} no such way; least "
        f"squares, which trusts that nothing is hidden instead, says {effect_in(report, 'OLS')}.",
    ]  # fmt: skip


def _hidden_cause(report):
    """How strong a hidden cause would overturn an effect that takes ρ for zero, and what to do."""
    tip, table = report.tipping["interval"], report.benchmarks.dropna(subset="rho")
    if report.tipping.get("refused"):
        return ["Which hidden cause would put its sign in doubt cannot be read off this map: columns on the way are "
                "not reliable.", "Do not act on the sign before that is known; with fewer terms, or a narrower "
                "prior, the map could be read."]  # fmt: skip
    if not np.isfinite(tip) or tip == 0:
        return ["No hidden common cause that the map could show puts its sign in doubt.",
                "The sign may be acted on, its size less: see the table."]  # fmt: skip
    along = float((table["rho"] * np.sign(tip)).max()) if len(table) else np.nan
    cause = "raises both" if tip > 0 else "raises one and lowers the other"
    overturned = (f"A hidden cause that {cause}, with a correlation of {abs(tip):.2f} between what is unmeasured, "
                  "would put its sign in doubt")  # fmt: skip
    if np.isnan(along):
        return [f"{overturned}.", "Nothing measured tells how likely that is: ask who knows the field what such a "
                "cause could be, before you act."]  # fmt: skip
    nearest = f"the strongest measured one on that side would have been {max(along, 0):.2f}"
    if along > abs(tip) / 2:
        advice = "Causes of that size were measured here, so another may be hidden: do not act on the sign alone."
    else:
        advice = ("Unless you know of a cause stronger than anything measured, act on the sign; how large the effect "
                  "is stays more uncertain than its interval says.")  # fmt: skip
    return [f"{overturned}; {nearest}.", advice]
