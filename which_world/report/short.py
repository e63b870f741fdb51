"""The three sentences that a report opens with: the effect, what would overturn it, what to do."""

import numpy as np

from which_world.readings import between_columns, read_map
from which_world.report.instruments import REJECTED, holds_zero, region
from which_world.report.sentences import FEW, NONE, decisive, identified, shared_by, yardsticks
from which_world.report.words import effect_in, ends_in, listed, more_of, number, width_in

ENOUGH = 3  # currents to compare with, below which there is no yardstick
SMALL = 0.1  # standard deviations of the outcome by which a typical step of the treatment moves it, at most
SUPPOSED = 0.3  # a hidden current that a precise zero is held against
NO_YARDSTICK = (
    "There is no yardstick for how likely that is, with {} to compare it with: ask who knows the "
    "field what such a cause could be, before you act."
)
FEWER = "nothing measured", "one current alone", "two currents alone"
LITTLE = (
    "Do not act before it is known whether that is a slip or the truth: a conclusion that so "
    "little carries is none yet."
)


def in_short(report):
    """Three sentences to act on: the effect, what would overturn it, and what that means for a decision.

    Returns
    -------
    list of str
    """
    learned = identified(report)
    world = "ρ free" if learned else "ρ = 0"
    row = report.worlds.loc[world]
    effect = (
        f"{_changes(report)} by {effect_in(report, world)} ({ends_in(report, world)}), "
        f"{_if(report, learned)}."
    )
    factor, name = _widest(report)
    if factor > 1:
        effect += (
            f" If {name} names who belongs together, the interval is too narrow, by a factor of "
            f"{factor:z.1f}."
        )
    few, (why, advice, licence) = decisive(report), _judged(report, row, learned, factor, name)
    if few and (licence or report.influence["rows"].iloc[0] <= FEW):
        why, advice = few, LITTLE  # no licence rests on a row or two
    return [effect, why, advice]


def _judged(report, row, learned, factor, name):
    """Why the sign is or is not to be acted on, what to do, and whether that is a licence to act."""
    if row["low"] <= 0 <= row["high"]:
        return _open(report, row, learned)
    if _widened(row["low"], row["high"], factor):
        return (
            "Then it holds zero, and whether it is more or less than nothing is open.",
            (
                f"Do not act on the sign before that is settled: count whole groups of {name}, not "
                "rows."
            ),
            False,
        )
    return _leaning(report) if learned else _hidden_cause(report)


def _changes(report):
    design = report.design
    more = more_of(design, f"One more unit of {design.treatment}")
    change = f"{design.treatment} = 1 rather than 0" if design.kind == "binary" else more
    return f"{change} changes " + (
        f"the chance that {design.outcome} is 1"
        if design.outcome_kind == "binary"
        else design.outcome
    )


def _if(report, learned):
    """What the first sentence takes for granted."""
    design, one = report.design, len(report.design.instruments) == 1
    if not learned:
        return "if nothing unmeasured moves both"
    way = (
        f"if {listed(design.instruments)} move{'s' * one} {design.outcome} only through "
        f"{design.treatment}"
    )
    if "two-stage least squares" not in report.instruments.index:
        return f"{way}, under the prior of ρ"
    return (
        f"{way}, under the prior of ρ; without a prior, two-stage least squares says "
        f"{_two_stages(report)}"
    )


def _two_stages(report):
    effect, low, high = report.instruments.loc["two-stage least squares", ["effect", "low", "high"]]
    return f"{number(effect, high - low)} ({number(low, high - low)} to {number(high, high - low)})"


def _widest(report):
    """The factor by which the interval is too narrow at ρ = 0, and the identifier that says so; 1 where none does."""
    table = report.identifiers
    wide = table[table["factor"] > 1.25] if len(table) else table
    return (float(wide["factor"].max()), wide["factor"].idxmax()) if len(wide) else (1.0, "")


def _widened(low, high, factor):
    middle, half = (low + high) / 2, factor * (high - low) / 2
    return abs(middle) <= half


def _open(report, row, learned):
    """What an interval that holds zero says: that little is there, or that little is known."""
    design, width = report.design, row["high"] - row["low"]
    bound = max(-row["low"], row["high"])
    step = 1.0 if design.kind == "binary" else design.t.std() / design.step
    unit = 100.0 if design.outcome_kind == "binary" else 1.0
    if bound * step > SMALL * unit * design.y.std():
        more = (
            "more rows, or a trial, would have to settle that first"
            if learned
            else ("a trial would have to settle that first, or more rows if nothing is hidden")
        )
        ends = f"{number(row['low'], width)} to {number(row['high'], width)}"
        said = (
            f"Whether it is more or less than nothing is open even then: anything from {ends} fits."
        )
        return said, f"Do not act on its sign; {more}.", False
    about = np.format_float_positional(bound, precision=1, fractional=False, trim="-")
    if learned:
        return (
            f"Then it is smaller than about {about} either way: next to nothing, and known well.",
            (
                "Act as if there were none, if you can defend that condition and so little does "
                "not matter."
            ),
            True,
        )
    return (
        (
            f"If nothing is hidden it is smaller than about {about} either way: next to nothing, "
            "and known well."
        ),
        (
            "Act as if there were none, if so little does not matter and you know of no hidden "
            f"cause{_masked(report)}."
        ),
        True,
    )


def _masked(report):
    """What a hidden cause could hide behind a precise zero."""
    columns = read_map(report.map).dropna()
    if not columns.index[0] <= -SUPPOSED < SUPPOSED <= columns.index[-1]:
        return ""
    ends = between_columns(columns, [SUPPOSED, -SUPPOSED])["mean"]
    least, most = (number(end, ends.max() - ends.min()) for end in sorted(ends))
    return f"; with a current of {SUPPOSED} either way it would be {least} or {most}"


def _leaning(report):
    """What would overturn an effect that an instrument identifies, and what to do."""
    names, one = listed(report.design.instruments), len(report.design.instruments) == 1
    p = report.instruments.attrs.get("overidentified", np.nan)
    if p < REJECTED:
        return (
            (
                f"The instruments contradict each other (Sargan's test, p = {p:.2g}): at least one "
                f"of {names} has a way of its own to {report.design.outcome}."
            ),
            "Do not act on the sign before you know which, and have left it out.",
            False,
        )
    if holds_zero(report.instruments):
        return (
            (
                "Without the prior zero is not ruled out: the Anderson–Rubin interval "
                f"{region(report.instruments)}."
            ),
            (
                "Do not act on the sign: priors and normal errors clear it of zero, not the "
                "instruments."
            ),
            False,
        )
    return (
        (
            f"A second way from {names} to {report.design.outcome}, past "
            f"{report.design.treatment}, would overturn it, and these data cannot show whether "
            "there is one."
        ),
        (
            f"Act on the sign if you can defend in words that {names} {'has' if one else 'have'} "
            "no such way; least squares, which trusts that nothing is hidden instead, says "
            f"{effect_in(report, 'OLS')}."
        ),
        True,
    )


def _hidden_cause(report):
    """How strong a hidden cause would overturn an effect that takes ρ for zero, and what to do."""
    tip = report.tipping["interval"]
    if report.tipping.get("refused"):
        return (
            (
                "Which hidden cause would put its sign in doubt cannot be read off this map: "
                "columns on the way are not reliable."
            ),
            (
                "Do not act on the sign before that is known; with fewer terms, or a narrower "
                "prior, the map could be read."
            ),
            False,
        )
    if not np.isfinite(tip) or tip == 0:
        return (
            "No hidden common cause that the map could show puts its sign in doubt.",
            "The sign may be acted on, its size less: see the table.",
            True,
        )
    cause = "raises both" if tip > 0 else "raises one and lowers the other"
    overturned = (
        f"A hidden cause that {cause}, with a correlation of {abs(tip):z.2f} between what is "
        "unmeasured, would put its sign in doubt"
    )
    along = yardsticks(report) * np.sign(tip)
    return f"{overturned}{_nearest(along)}.", *_advice(report, along, abs(tip))


def _nearest(along):
    if along.empty:
        return ""
    if along.max() <= NONE:
        return "; none that was measured works that way"
    return (
        f"; the strongest on that side that the data show is {along.idxmax()}, {along.max():z.2f}"
    )


def _advice(report, along, tip):
    """What to do about a tipping point, by every current that there is to compare with."""
    strongest = float(along.max()) if len(along) else 0.0
    if strongest >= tip:
        return (
            (
                "Do not act on the sign: such a cause is in these "
                f"data{_taken_out(report, along.idxmax())}."
            ),
            False,
        )
    if strongest > tip / 2:
        return (
            (
                "Causes of that size were measured here, so another may be hidden: do not act on "
                "the sign alone."
            ),
            False,
        )
    if len(along) < ENOUGH:
        return NO_YARDSTICK.format(FEWER[len(along)]), False
    more = tip / strongest if strongest > NONE else np.inf
    times = f", {more:.{int(more < 3)}f} times the strongest known" if np.isfinite(more) else ""
    size = "how large the effect is stays more uncertain than its interval says"
    return f"Unless you know of a hidden cause that strong{times}, act on the sign; {size}.", True


def _taken_out(report, name):
    """What the effect is with the strongest current taken out, where that is an identifier's."""
    for identifier, row in report.identifiers.iterrows():
        if name == shared_by(identifier):
            width = width_in(report, "ρ = 0")
            return (
                f"; with a constant for each {identifier} the effect is "
                f"{number(row['within'], width)}, not {number(row['effect'], width)}"
            )
    return ", and another may be hidden"
