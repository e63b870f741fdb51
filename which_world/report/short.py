"""The three sentences that a report opens with: the effect, what would overturn it, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from which_world.classical import ols
from which_world.readings import between_columns, read_map
from which_world.report.curves import curves_by_instruments, with_terms
from which_world.report.examine import EXTRAPOLATED, WEAK, beyond_overlap, first_stage, repeated
from which_world.report.identifiers import narrowed
from which_world.report.instruments import (
    REJECTED,
    holds_zero,
    region,
    two_stage_rows,
    uneven_by_instruments,
    widened,
)
from which_world.report.order import FEW as FEW_ROWS
from which_world.report.order import (
    ORDER,
    following,
    grown_by_order,
    if_sorted,
    independent_rows,
)
from which_world.report.report import Narrow
from which_world.report.sentences import (
    FEW,
    NONE,
    decisive,
    identified,
    instruments_alone,
    left_out,
    shared_by,
    strength,
    two_stages_of,
    wide_tip,
    yardsticks,
)
from which_world.report.uneven import in_places, remedy
from which_world.report.words import (
    acted_on,
    agreeing,
    effect_in,
    interval,
    listed,
    more_of,
    number,
    percent,
    span,
    unit_of,
    width_in,
)

if TYPE_CHECKING:
    from which_world.report.report import Report

ENOUGH = 3  # currents to compare with, below which there is no yardstick
SMALL = 0.1  # sd of the outcome by which a typical step of the treatment moves it, at most
SLIGHT = 0.05  # a current that one cause makes which explains a twentieth of what is left of both
SUPPOSED = 0.3  # a hidden current that a precise zero is held against
SURE = Narrow(1.0, "", "")  # an interval that nothing makes too narrow
NO_YARDSTICK = (
    "There is no yardstick for how likely that is, with {1} to compare it with: ask who knows the "
    "field what such a cause could be, before you act, unless {0} was drawn by lot."
)
HARDLY_RULED_OUT = (
    "A cause that explains a twentieth of what the covariates leave of both would be enough, and "
    "what was measured cannot rule that out: unless {0} was drawn by lot, do not act on the sign "
    "alone."
)
FAINT = (
    "Act on the sign only if {0} was drawn by lot: the strongest current that was measured is "
    "{1:z.2f}, too weak a yardstick to call a hidden cause of that strength unlikely."
)
FEWER = "nothing measured", "one current alone", "two currents alone"
LITTLE = (
    "Do not act before it is known whether that is a slip or the truth: a conclusion that so "
    "little carries is none yet."
)


class Verdict(NamedTuple):
    """Why a sign is or is not to be acted on, what to do, and whether that is a licence to act.

    And which facts it tells, that nothing below has to tell again.
    """

    why: str
    advice: str
    licence: bool
    tells: frozenset[str] = frozenset()


class Opening(NamedTuple):
    """The sentences that a report opens with, and the facts they tell.

    Among ``"tipping"``, ``"few"`` (rows that decide), ``"curved"``, ``"uneven"``, ``"exclusion"``,
    ``"confirm"`` (that no data confirm it) and ``"Sargan"``.
    """

    sentences: list[str]
    tells: frozenset[str]


UNREADABLE = Verdict(
    "Which hidden cause would put its sign in doubt cannot be read off this map: columns on the "
    "way are not reliable.",
    "Do not act on the sign before that is known; with fewer terms, or a narrower prior, the map "
    "could be read.",
    False,
    frozenset({"tipping"}),
)


def in_short(report: Report) -> list[str]:
    """Three sentences to act on: the effect, what would overturn it, and what to decide."""
    return opening(report).sentences


def opening(report: Report) -> Opening:
    """The three sentences of `in_short`, and the facts they tell."""
    learned, alone = identified(report), instruments_alone(report)
    if alone:
        middle, low, high = two_stages_of(report)
    else:
        world = report.worlds.loc["ρ free" if learned else "ρ = 0"]
        middle, low, high = map(float, world[[report.read, "low", "high"]])
    reasons = _of_instruments(report) if learned or alone else report.narrow
    narrow = max(reasons, key=lambda each: each.factor, default=SURE)
    effect = (
        f"{_changes(report)} by {number(middle, high - low)}{unit_of(report)} "
        f"({interval(low, high)}){_whose(report.design)}, {_condition(report, learned, alone)}."
    )
    if narrow.factor > 1:
        effect += (
            f" {narrow.since}, the interval is too narrow, by a factor of {narrow.factor:z.1f}."
        )
    effect += _by_moderator(report)  # last: what is said of "the interval" is of the effect itself
    led = learned or alone
    few, verdict = decisive(report), _judged(report, (low, high), led, narrow)
    if verdict.licence and not led and beyond_overlap(report.design) > EXTRAPOLATED:
        verdict = _extrapolated(report.design)
    if verdict.licence and (rows := independent_rows(report.design)) < FEW_ROWS:
        verdict = _drifting(report.design, rows)
    if verdict.licence and report.uneven and report.uneven.turns:
        verdict = _turning_effect(report)
    told = frozenset({"exclusion"} if led else ())
    decide = few and (verdict.licence or report.influence["rows"].iloc[0] <= FEW)
    if decide and "curved" not in verdict.tells:  # rows at the ends of a curve do decide
        return Opening([effect, few, LITTLE], told | {"few"})  # no licence rests on a row or two
    return Opening([effect, verdict.why, verdict.advice], told | verdict.tells)


def _judged(report, ends, learned, narrow) -> Verdict:
    """The verdict on an effect with these ends of its interval, were it as wide as it should be."""
    low, high = ends
    more = (narrow.factor - 1) * (high - low) / 2
    if low <= 0 <= high:
        return _open(report, low - more, high + more, learned)
    if low - more <= 0 <= high + more:
        return Verdict(
            "Then it holds zero, and whether it is more or less than nothing is open.",
            f"Do not act on the sign before that is settled: {narrow.remedy}.",
            False,
        )
    return _by_instruments(report, narrow) if learned else _hidden_cause(report)


def _extrapolated(design) -> Verdict:
    """The verdict where many rows have nobody to be compared with."""
    share = percent(beyond_overlap(design))
    return Verdict(
        f"For {share} of the rows the covariates all but settle {design.treatment}: nobody like "
        "them has the other, and a straight line stands in for those who are missing.",
        "Do not act before the rows that can be compared, alone, say the same.",
        False,
    )


def _drifting(design, rows):
    """The verdict where so few rows are independent that two drifts may look like an effect."""
    differences = f"those of {design.outcome}"
    if design.outcome.isidentifier():
        differences = f"data[{design.outcome!r}].diff()"
    return Verdict(
        f"Rows follow those just before them so closely that they tell as much as about {rows:.0f} "
        "independent ones: two things that only drift would look as related.",
        f"Do not act before differences from row to row say the same: {differences}, and "
        f"likewise the others{if_sorted(design)}.",
        False,
    )


def _turning_effect(report):
    """The verdict where the effect is clearly of either sign, in different rows."""
    return Verdict(
        f"{in_places(report.uneven, report.unit)}.",
        f"Do not act on one effect for all: {remedy(report.uneven, report.design.treatment)}.",
        False,
        frozenset({"uneven"}),
    )


def _changes(report):
    """``One more unit of t changes y``."""
    design = report.design
    if design.kind == "binary":
        change = f"{design.treatment} = 1 rather than 0"
    else:
        change = more_of(design, f"One more unit of {design.treatment}")
    return f"{change} changes {acted_on(design)}"


def _whose(design):
    """For whom the effect is what is said, where it changes with covariates."""
    if not design.moderators:
        return ""
    if design.outcome_kind == "binary":
        return " on average over these rows"
    return f" at average {listed(design.moderators)}"


def _by_moderator(report):
    """The least-squares effect at two values of a moderator, in a sentence that follows another.

    The lower and the higher of two values, or a standard deviation below and above the average.
    Empty where the effect changes with none, or with more than one, or where the outcome is binary.
    """
    design = report.design
    if len(design.moderators) != 1 or design.outcome_kind == "binary":
        return ""
    (name,) = design.moderators
    values, fit = np.unique(design.M), ols(design)
    mean, sd = map(float, design.scales.loc[name, ["mean", "sd"]])
    said = []
    places = values if len(values) == 2 else (-1.0, 1.0)
    for place in places:
        raw = number(mean + place * sd)
        said.append(f"{_contrast(report, fit, name, 1.0, place)} where {name} is {raw}")
    text = f" By least squares it is {said[0]}, and {said[1]}"
    if len(values) == 2:  # of two groups at two times, that is a difference in differences
        text += f"; the difference is {_contrast(report, fit, name, 0.0, np.ptp(values))}"
    return f"{text}."


def _contrast(report, fit, name, once, moderated):
    """So much of the effect, and of its change with a moderator: ``1.7 (1 to 2)``."""
    at = pd.Series(0.0, fit.params.index)
    at["alpha"], at[f"delta[{name}]"] = once, moderated
    low, high = fit.t_test(at.to_numpy()).conf_int()[0]
    effect = number((low + high) / 2, high - low)
    return f"{effect}{unit_of(report)} ({span(low, high)})"


def _condition(report, learned, alone):
    """What the first sentence takes for granted."""
    design = report.design
    if not (learned or alone):
        return f"if nothing unmeasured moves both{_unheard(report)}"
    move = agreeing(design.instruments, "moves", "move")
    through = (
        f"if {listed(design.instruments)} {move} {design.outcome} only through {design.treatment}"
    )
    if alone:
        trusted = "by two-stage least squares: a check condemns the likelihood"
        return f"{through}, {trusted}"
    way = f"{through}, under the prior of ρ"
    if "two-stage least squares" not in report.instruments.index:
        return way
    effect, low, high = two_stages_of(report)
    says = f"{number(effect, high - low)} ({interval(low, high)})"
    return f"{way}; without a prior, two-stage least squares says {says}"


def _unheard(report):
    """Why instruments have no say, if they are too weak for one, counted by groups or by rows."""
    if not report.design.instruments or not (f := strength(report)) < WEAK:
        return ""
    are = agreeing(report.design.instruments, "is", "are")
    by = ""
    if first_stage(report.design) > f:
        by = f" if rows are counted by {report.identifiers['first_stage'].idxmin()}"
    return f" ({listed(report.design.instruments)} {are} too weak to tell, F = {f:z.1f}{by})"


def _open(report, low, high, learned) -> Verdict:
    """What an interval that holds zero says: that little is there, or that little is known."""
    design, bound = report.design, max(-low, high)
    told = frozenset() if learned else frozenset({"tipping"})  # it is at ρ = 0
    step = 1.0 if design.kind == "binary" else design.t.std() / design.step
    unit = 100.0 if design.outcome_kind == "binary" else 1.0
    if bound * step > SMALL * unit * _range(design):
        settle = "a trial would have to settle that first, or more rows if nothing is hidden"
        if learned:
            settle = "more rows, or a trial, would have to settle that first"
        it, its = "it", "that"
        if design.moderators:
            it, its = f"the effect{_whose(design)}", "its"
        return Verdict(
            f"Whether {it} is more or less than nothing is open even then: {its} interval holds "
            "zero.",
            f"Do not act on its sign; {settle}.",
            False,
            told,
        )
    if not learned and (curved := report.curved) and abs(curved.straightened) > bound:
        advice = _to_be_curved(report, report.curved)
        why = "By straight lines in the covariates alone it is next to nothing."
        return Verdict(why, advice, False, told | {"curved"})
    return _little(report, bound, learned, told)


def _little(report, bound, learned, told):
    """The verdict on an effect that is known to be next to nothing."""
    about = np.format_float_positional(bound, precision=1, fractional=False, trim="-")
    about += unit_of(report)
    little = f"next to nothing {_beside(report.design)}"
    known = f"it is smaller than about {about} either way: {little}, and known well."
    if learned:
        advice = "if you can defend that condition and so little does not matter"
        return Verdict(f"Then {known}", f"Act as if there were none, {advice}.", True, told)
    far = report.benchmarks.get(f"{report.read}_without", pd.Series(dtype=float))
    settled = _settled(report, far[far.abs() > bound])
    advice = f"if so little does not matter{', ' if settled else ''}{settled}"
    advice += f" and you know of no hidden cause{_masked(report)}"
    why = f"If nothing is hidden {known}"
    return Verdict(why, f"Act as if there were none, {advice}.", True, told)


def _beside(design):
    """What an effect is next to nothing beside, for a typical step of a continuous treatment."""
    if design.outcome_kind == "binary":
        share, rarer = _range(design), int(design.y.mean() <= 0.5)
        return f"beside the {percent(share)} with {design.outcome} = {rarer}"
    outcome, treatment = (number(sd, sd / 10) for sd in (_range(design), design.t.std()))
    beside = f"beside the standard deviation of {design.outcome}, {outcome}"
    if design.kind == "binary":
        return beside
    return f"even for one standard deviation of {design.treatment}, {treatment}, {beside}"


def _range(design):
    """What an effect on the outcome is small beside: its spread; of a yes or a no, the rarer one's
    share.
    """
    if design.outcome_kind == "binary":
        return min(design.y.mean(), 1 - design.y.mean())
    return design.y.std()


def _masked(report):
    """What a hidden cause could hide behind a precise zero."""
    columns = read_map(report.map).dropna()
    if not columns.index[0] <= -SUPPOSED < SUPPOSED <= columns.index[-1]:
        return ""
    ends = between_columns(columns, [SUPPOSED, -SUPPOSED])["mean"]
    width = ends.max() - ends.min()
    least, most = number(ends.min(), width), number(ends.max(), width)
    either = f"{least} or {most}{unit_of(report)}"
    return f"; with a current of {SUPPOSED} either way it would be {either}"


def _of_instruments(report):
    """Why an interval that instruments make is too narrow."""
    design = report.design
    if design.stands_for or "two-stage least squares" not in report.instruments.index:
        return report.narrow
    groups = narrowed(report.identifiers, of="instrumented")
    in_time = following(design, grown_by_order(np.array(two_stage_rows(design))))
    return (*groups, *uneven_by_instruments(design), *repeated(design), *in_time)


def _by_instruments(report, narrow) -> Verdict:
    """The verdict on an effect that an instrument identifies."""
    design = report.design
    names = listed(design.instruments)
    p = report.instruments.attrs.get("overidentified", np.nan)
    if p < REJECTED:
        return Verdict(
            f"The instruments contradict each other (Sargan's test, p = {p:.2g}): at least one of "
            f"{names} has a way of its own to {design.outcome}.",
            "Do not act on the sign before you know which, and have left it out.",
            False,
            frozenset({"Sargan"}),
        )
    alone = instruments_alone(report)
    table = widened(report.instruments, design, narrow.factor)
    if holds_zero(table):
        wide = "" if holds_zero(report.instruments) else ", as wide as it should be,"
        zero = f"ero is not ruled out: the Anderson–Rubin interval{wide} {region(table)}."
        if alone:
            return Verdict(f"Z{zero}", "Do not act on the sign: more rows may settle it.", False)
        return Verdict(
            f"Without the prior z{zero}",
            "Do not act on the sign: priors and normal errors clear it of zero, not the "
            "instruments.",
            False,
        )
    curved = curves_by_instruments(design)
    if curved and curved.straightened * np.sign(curved.effect) < _half(two_stages_of(report)):
        return Verdict(
            "By two-stage least squares the sign rests on straight lines in the covariates.",
            _to_be_curved(report, curved),
            False,
        )
    have = agreeing(design.instruments, "has", "have")
    return Verdict(
        f"A second way from {names} to {design.outcome}, past {design.treatment}, would overturn "
        "it, and these data cannot show whether there is one.",
        f"Act on the sign if you can defend in words that {names} {have} no such way; least "
        "squares, which trusts that nothing is hidden instead, says "
        f"{effect_in(report, 'OLS')}.",
        True,
        frozenset() if alone else frozenset({"confirm"}),
    )


def _hidden_cause(report) -> Verdict:
    """The verdict on an effect that takes ρ for zero: how strong a hidden cause overturns it."""
    tip, plain = wide_tip(report), report.tipping["interval"]
    if report.tipping.get("refused"):
        return UNREADABLE
    if not np.isfinite(tip) or tip == 0:
        return _beyond_doubt(report)
    cause = "raises both" if tip > 0 else "raises one and lowers the other"
    along = yardsticks(report) * np.sign(tip)
    why = (
        f"A hidden cause that {cause}, with a correlation of {abs(tip):z.2f} between what is "
        f"unmeasured{_plain(tip, plain)}, as one makes that explains {percent(abs(tip))} of what "
        f"is left of each, would put its sign in doubt{_nearest(along)}."
    )
    if report.curved and along.get(left_out(report.curved.terms), 0.0) > abs(tip) / 2:
        return Verdict(
            why, _to_be_curved(report, report.curved), False, frozenset({"tipping", "curved"})
        )
    advice, licence = _advice(report, along, abs(tip))
    return Verdict(why, advice, licence, frozenset({"tipping"}))


def _half(effect):
    """Half the width of an effect's interval."""
    _, low, high = effect
    return (high - low) / 2


def _to_be_curved(report, curved):
    """What to do about curves and products that both formulas leave out."""
    stand = agreeing(curved.terms, "stands", "stand")
    shuffle = if_sorted(report.design) if ORDER in curved.terms else ""
    return (
        f"Do not act before {listed(curved.terms)} {stand} in both formulas: "
        f"{with_terms(curved, report.unit)}{shuffle}."
    )


def _turning(report):
    """The effect without each covariate that the sign rests on: it is not as clear without it."""
    zero, read = report.worlds.loc["ρ = 0"], report.read
    if not len(report.benchmarks):
        return pd.Series(dtype=float)
    without = report.benchmarks[f"{read}_without"].astype(float)
    half = (zero["high"] - zero["low"]) / 2
    return without[without * np.sign(zero[read]) < half]


def _settled(report, without):
    """The condition that a covariate was no consequence of the treatment.

    Of those without which the effect is another, the one that changes it most.
    """
    without = without.dropna()
    if without.empty:
        return ""
    effect = report.worlds.loc["ρ = 0", report.read]
    name = (without - effect).abs().idxmax()
    told = number(without[name], width_in(report, "ρ = 0")) + unit_of(report)
    first = report.design.treatment
    return f"{name} was settled before {first} (without it the effect is {told})"


def _plain(tip, plain):
    """What a tipping point would be by the interval as it is, where that is too narrow."""
    if tip == plain:
        return ""
    at = f"{abs(plain):z.2f}" if np.isfinite(plain) else "none"
    return f" ({at} by the interval as it is)"


def _beyond_doubt(report):
    """The verdict where no current that can be read turns the sign."""
    tipping, settled = report.tipping, _settled(report, _turning(report))
    return Verdict(
        f"No hidden common cause from ρ = {tipping['from']:z.2f} to {tipping['to']:z.2f}, as far "
        "as the map can be relied on, puts its sign in doubt.",
        f"The sign may be acted on{f' if {settled}' if settled else ''}, its size less: see the "
        "table.",
        True,
        frozenset({"tipping"}),
    )


def _nearest(along):
    """The strongest known current on the side of a tipping point."""
    if along.empty:
        return ""
    if along.max() <= NONE:
        return "; none that was measured works that way"
    strongest = f"{along.idxmax()}, {along.max():z.2f}"
    return f"; the strongest on that side that the data show is {strongest}"


def _advice(report, along, tip):
    """What to do about a tipping point, by every current that there is to compare with."""
    strongest = float(along.max()) if len(along) else 0.0
    if strongest >= tip:
        without = _taken_out(report, along.idxmax())
        return f"Do not act on the sign: such a cause is in these data{without}.", False
    if strongest > tip / 2:
        advice = (
            "Causes of that size were measured here, so another may be hidden: do not act on the "
            "sign alone."
        )
        return advice, False
    if tip < SLIGHT:
        return HARDLY_RULED_OUT.format(report.design.treatment), False
    if len(along) < ENOUGH:
        return NO_YARDSTICK.format(report.design.treatment, FEWER[len(along)]), False
    if along.abs().max() < SLIGHT:
        return FAINT.format(report.design.treatment, along.abs().max()), True
    times = ""
    if strongest > NONE:
        ratio = tip / strongest
        times = f"{ratio:.1f}" if ratio < 3 else f"{ratio:.0f}"
        times = f", {times} times the strongest known"
    settled = _settled(report, _turning(report))
    unless = f"Only if {settled}, and unless" if settled else "Unless"
    advice = (
        f"{unless} you know of a hidden cause that strong{times}, act on the sign; how large the "
        "effect is stays more uncertain than its interval says."
    )
    return advice, True


def _taken_out(report, name):
    """What the effect is with the strongest current taken out, where that is an identifier's."""
    for identifier, row in report.identifiers.iterrows():
        if name == shared_by(identifier):
            width = width_in(report, "ρ = 0")
            within, effect = number(row["within"], width), number(row["effect"], width)
            return f"; with a constant for each {identifier} the effect is {within}, not {effect}"
    return ", and another may be hidden"
