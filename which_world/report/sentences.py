"""What a report says in words: what the data cannot say, what the numbers rest on, what would overturn them."""

import numpy as np
import pandas as pd

from which_world.maps import PULLED, runs
from which_world.priors import AtanhNormal, described, moments, scales
from which_world.report.examine import MISLED, WEAK, count, first_stage
from which_world.report.words import (
    chance,
    effect_in,
    ends_in,
    listed,
    more_of,
    number,
    percent,
    terms,
    unit_of,
    width_in,
)

NEAR = 0.05  # of its prior sd: a posterior of ρ that is no farther off is its prior
NONE = 0.005  # a measured current that is 0.00 when written
FEW = 10  # rows that somebody can look at one by one


def limits(design, shuffled=np.nan):
    """What these data cannot say, whatever is computed from them; `shuffled` is from `shuffle_test`.

    Returns
    -------
    list of str
    """
    if design.instruments:
        source = _rests_on_instruments(design)
    elif design.kind == "continuous":
        source = (
            "These data say nothing about ρ, the correlation of what is unmeasured in both "
            "equations: no covariate stands in the treatment formula alone, so the likelihood is "
            "flat in ρ, and all that is known of it comes from the priors. More rows would not "
            "help."
        )
    else:
        source = (
            "These data hold no instrument. All they say about ρ, the correlation of what is "
            "unmeasured in both equations, comes from the assumed normal shape of the errors: a "
            "wrong shape, a missing curve or a missing interaction would pass for a hidden "
            "current."
        )
    if shuffled > MISLED:
        source += (
            " Here the shape does mislead: with these residuals, and each treatment drawn anew so "
            f"that no current is left, the likelihood finds one in {count(shuffled)}. Do not lean "
            "on the world “ρ free”, but on a belief you can defend, and give the likelihood no "
            "say in it: weigh(report.map, belief, likelihood=False)."
        )
    return [
        source,
        (
            f"They cannot say which came first: that {design.treatment} moves {design.outcome}, "
            "and not the other way round, is your knowledge."
        ),
        (
            "They cannot say whether a covariate was itself changed by the treatment, or whether "
            "the rows were chosen by their outcome; either would bias every world, the one at ρ = "
            "0 included."
        ),
    ]


def _rests_on_instruments(design):
    """Where ρ comes from when there is an instrument: from it, from the priors, or from the errors' shape."""
    f, one, names = first_stage(design), len(design.instruments) == 1, listed(design.instruments)
    rho = "ρ, the correlation of what is unmeasured in both equations,"
    unconfirmed = f"move{'s' * one} {design.outcome} only through {design.treatment}"
    if design.kind == "binary":
        mostly = f"; with F = {f:z.1f} mostly on the shape" if f < WEAK else ""
        return (
            f"What these data say about {rho} rests on {names} and on the assumed normal shape of "
            f"the errors{mostly}. These data cannot confirm that {names} {unconfirmed}."
        )
    if f < WEAK:
        return (
            f"{names} hardly move{'s' * one} {design.treatment} (F = {f:z.1f}): these data say "
            f"next to nothing about {rho} and the world “ρ free” is little but its priors. Nor "
            f"can they confirm that {'it' if one else 'they'} {unconfirmed}."
        )
    return (
        f"What these data say about {rho} rests on {names}: it comes from your formula, and these "
        f"data cannot confirm that {'it' if one else 'they'} {unconfirmed}."
    )


def assumptions(design, belief, alpha=None, dropped=0, unit=""):
    """Every assumption the numbers rest on, one sentence each.

    Returns
    -------
    list of str
    """
    others = terms(design, design.in_outcome)
    said = [
        _outcome_equation(design, others),
        _effect(design),
        _treatment_equation(design),
        (
            "U and V are jointly normal with a constant spread and one correlation ρ, the same for "
            "every row."
        ),
        (
            "Rows are independent: no clusters, no repeated measurements, no effect of one row's "
            "treatment on another."
        ),
        "Every covariate was settled before the treatment and is measured without error.",
        *(
            f"{name} moves {design.outcome} only through {design.treatment} (an exclusion "
            "restriction)."
            for name in design.instruments
        ),
        *_held_fixed(design),
    ]
    if dropped:
        said.append(
            f"{dropped:,} rows with a missing value were dropped: whether a row has one has "
            "nothing to do with its U and V, once the covariates are known."
        )
    return said + _priors(design, belief, alpha, unit)


def _held_fixed(design):
    """What it means that a covariate, perhaps a second treatment, stands in the outcome formula alone."""
    names = terms(design, design.in_outcome & ~design.in_treatment)
    if not names:
        return []
    one = len(names) == 1
    it, its = ("it", "its") if one else ("them", "their")
    return [
        f"{listed(names)} move{'s' * one} {design.outcome} and not {design.treatment}: as the "
        f"formulas have {it}, {'it is a covariate' if one else 'they are covariates'} held fixed, "
        f"no second treatment; nothing hidden is allowed for in {its} own "
        f"coefficient{'s' * (not one)}."
    ]


def _outcome_equation(design, others):
    line = (
        f"a straight-line function of {design.treatment} "
        f"{f'and of {listed(others)}' if others else 'alone'}"
    )
    if design.outcome_kind == "binary":
        return (
            f"{design.outcome} is 1 where {line}, plus an error U of spread 1, is positive (a "
            "probit); no curve or interaction beyond the formula."
        )
    return (
        f"{design.outcome} is {line}, plus an error U; no curve or interaction beyond the formula."
    )


def _effect(design):
    if design.outcome_kind == "binary":
        moved = more_of(design, "one unit more") + " than it was, each row keeping its own U"
        change = "1 against 0" if design.kind == "binary" else moved
        return (
            f"The effect is what {design.treatment} does to the chance that {design.outcome} is 1 "
            f"({change}), "
            "averaged over these rows; its shift of the line, α, is "
            f"{'linear in ' + listed(design.moderators) if design.moderators else 'the same for every row'}."
        )
    if design.moderators:
        average = "its average" if len(design.moderators) == 1 else "their average"
        return (
            f"The effect changes with {listed(design.moderators)}, in a straight line; α is the "
            f"effect at {average}, and nothing else changes it."
        )
    if design.kind == "binary":
        return f"{design.treatment} has the same effect α for every row."
    return f"One more unit of {design.treatment} has the same effect α for every row."


def _treatment_equation(design):
    others = listed(terms(design, design.in_treatment))
    line = f"a straight-line function of {others}" if others else "a constant"
    if design.kind == "binary":
        return (
            f"{design.treatment} is 1 where {line}, plus an error V of spread 1, is positive (a "
            "probit)."
        )
    return f"{design.treatment} is {line} plus an error V."


def _priors(design, belief, alpha, unit):
    sd = scales(design, alpha=alpha)
    unit = f" {unit}" if unit and design.outcome_kind == "continuous" else ""
    if isinstance(belief, AtanhNormal):
        low, high = np.tanh(belief.mean + np.array([-1.96, 1.96]) * belief.sd)
        prior = (
            f"atanh ρ ~ Normal({belief.mean:g}, {belief.sd:g}), so ρ lies between {low:z.2f} and "
            f"{high:z.2f} with 95 %"
        )
    else:
        prior = f"ρ has the prior {described(belief)}"
    return [
        (
            f"Where ρ is free, {prior} prior probability."
            if isinstance(belief, AtanhNormal)
            else f"Where free, {prior}."
        ),
        (
            f"Before the data, α ~ Normal(0, {number(sd.alpha)}){unit}{_ratio(design, alpha)}; the "
            "other coefficients are known as well as one more row would tell them (a unit "
            "information prior), however their columns are written."
        ),
        _spread(design, sd),
    ]


def _ratio(design, alpha):
    """Where the default prior sd of α comes from."""
    if alpha is not None:
        return ""
    if design.outcome_kind == "binary":
        return ", as much as one row of these data tells"
    return (
        f", one standard deviation of {design.outcome} for one of what the covariates leave of "
        f"{design.treatment}"
    )


def _spread(design, sd):
    if design.outcome_kind == "binary":
        return (
            "Before the data, the chance of a 1 at average covariates may be anything, from nearly "
            "0 to nearly 1."
        )
    return (
        f"Before the data, σ_U, the spread of U, is half-normal with scale {number(sd.sigma_U)}, "
        "and the intercepts are normal and wide."
    )


def contradiction(belief, rho):
    """What to say of a belief whose posterior mean of ρ lies over two prior standard deviations away; else empty."""
    if not isinstance(belief, AtanhNormal) or abs(np.arctanh(rho) - belief.mean) <= 2 * belief.sd:
        return ""
    return (
        f"the data contradict this belief: they move ρ from {np.tanh(belief.mean):+z.2f} to "
        f"{rho:+z.2f}"
    )


def unread(rho, bad):
    """What to say of columns of the map that cannot be relied on: nothing, or one sentence.

    Parameters
    ----------
    rho : ndarray
    bad : ndarray of bool

    Returns
    -------
    list of str
    """
    said = (
        f"There are too few rows for these terms to draw the map at ρ = {runs(rho, bad)} (Pareto "
        "k̂ above 0.7): the figure is shaded there, and no number leans on it."
    )
    return [said] * bool(np.any(bad))


def pulled(chart):
    """What to say where the priors move the effect at ρ = 0 by more than a quarter of its standard error."""
    by = chart.attrs.get("pulled", 0.0)
    said = (
        f"The priors move the effect at ρ = 0 by {number(abs(by), 1)} standard errors from what it "
        "is without them: these rows say too little of these terms; leave some out, or state a "
        "wider --alpha."
    )
    return [said] * (abs(by) > PULLED)


def moved(report):
    """What to say where data that say nothing about ρ come with a posterior of it that is not its prior; or nothing."""
    design, free = report.design, report.worlds.loc["ρ free"]
    if design.kind == "binary" or design.instruments or not np.isfinite(free["rho"]):
        return ""
    mean, sd = moments(report.belief)
    if abs(free["rho"] - mean) <= NEAR * sd and abs(free["rho_sd"] / sd - 1) <= NEAR:
        return ""
    return (
        f" Where ρ is free it goes from {mean:z.2f} (sd {sd:z.2f}), its prior, to "
        f"{free['rho']:z.2f} (sd {free['rho_sd']:z.2f}): not by the data, but by the priors of α "
        "and of the spread of U, which find some of the effects and spreads that go with a "
        "strong current too large."
    )


def overturns(report):
    """What would change the conclusion, one sentence each.

    Parameters
    ----------
    report : Report

    Returns
    -------
    list of str
    """
    few = [said] if (said := decisive(report)) else []
    free = (
        [] if report.shuffled > MISLED else [_other_priors(report)]
    )  # what a check condemns supports nothing
    return [
        _tipping(report),
        *few,
        *_measured(report),
        *_robustness(report),
        *_deciding(report),
        _hidden(report),
        *free,
    ]


def _deciding(report):
    """How many rows decide, one sentence; none where that was not looked at."""
    if report.influence.empty:
        return []
    sign, error = report.influence["rows"]
    turn = (
        f"it takes {_rows_of(sign)} of {report.design.n:,} to turn its sign"
        if np.isfinite(sign)
        else ("no half of the rows turns its sign")
    )
    move = f", and it takes {_rows_of(error)} to move it by a standard error" * bool(
        np.isfinite(error)
    )
    return [
        f"If rows are left out to change the effect at ρ = 0, {turn}{move} (approximate maximum "
        "influence)."
    ]


def _rows_of(count):
    return "one row" if count == 1 else f"{count:,.0f} rows"


def decisive(report):
    """The few rows that decide, in a sentence; empty where none do.

    Few is one row in a hundred, ten at most, that turn a sign that its interval holds for clear:
    with normal errors it takes more, whatever the number of rows. Or a single row that moves the
    effect by a standard error.
    """
    if report.influence.empty:
        return ""
    zero, (sign, error) = (
        report.worlds.loc["ρ = 0"],
        (row for _, row in report.influence.iterrows()),
    )
    clear = not zero["low"] <= 0 <= zero["high"]
    if clear and sign["rows"] <= max(1, min(FEW, report.design.n // 100)):
        return _without(report, sign, "turn{} the sign")
    if error["rows"] == 1:
        return _without(report, error, "move{} the effect by a standard error or more")
    return ""


def _without(report, row, does):
    design, rows, width = report.design, list(row["which"]), width_in(report, "ρ = 0")
    one, values = len(rows) == 1, zip(rows, design.t[rows], design.y[rows])
    named = [
        f"{k + 1:,} ({design.treatment} = {t:.4g}, {design.outcome} = {y:.4g})"
        for k, t, y in values
    ]
    named = [*named[:3], *[f"{len(rows) - 3} more"] * (len(rows) > 3)]
    return (
        f"{_rows_of(len(rows)).capitalize()} of {design.n:,} {does.format('s' * one)}: without "
        f"row{'s' * (not one)} {listed(named)}, counted from the first that is used, the effect "
        f"at ρ = 0 is {number(row['effect_without'], width)}{unit_of(report)} instead of "
        f"{number(row['effect'], width)}."
    )


def shared_by(identifier):
    """What the current of an identifier is called."""
    return f"{identifier} (what its rows share)"


def yardsticks(report):
    """Every current there is to compare a hidden one with, by name.

    That of each measured variable, of each identifier whose rows resemble each other, and what the
    instruments say by maximum likelihood, where no check condemns it.
    """
    found = report.benchmarks["rho"].astype(float).to_dict() if len(report.benchmarks) else {}
    if len(report.identifiers):
        shared = report.identifiers["rho"]
        found |= {shared_by(name): rho for name, rho in shared.items()}
    if "maximum likelihood" in report.instruments.index:
        means = f"what is hidden, by {listed(report.design.instruments)} and maximum likelihood"
        found[means] = report.instruments.loc["maximum likelihood", "rho"]
    return pd.Series(found, dtype=float).dropna()


def _tipping(report):
    tip, learned = report.tipping, _by_instruments(report)
    if tip["interval"] == 0:
        return (
            f"{learned}With no hidden current the 95 % interval already contains zero "
            f"({ends_in(report, 'ρ = 0')}): there is no sign to overturn."
        )
    if tip.get("refused"):
        return (
            f"{learned}Where a current brings the interval to zero cannot be read: columns on the "
            "way are not reliable."
        )
    if not np.isfinite(tip["interval"]):
        return (
            f"{learned}No hidden current from ρ = {tip['from']:z.2f} to {tip['to']:z.2f}, as far "
            "as the map reaches and can be relied on, brings the interval of the effect to zero."
        )
    if learned and (far := _beyond(report)):
        return (
            f"{learned}A hidden current of ρ = {tip['interval']:z.2f} would bring the effect's 95 "
            f"% interval to zero{far}."
        )
    mean = (
        f"; one of ρ = {tip['mean']:z.2f} brings its mean there" if np.isfinite(tip["mean"]) else ""
    )
    return (
        f"{learned}A hidden current of ρ = {tip['interval']:z.2f} brings the effect's 95 % "
        f"interval to zero{mean}. Anything unmeasured that strong, and "
        f"{'positive' if tip['interval'] > 0 else 'negative'}, puts its sign in doubt."
    )


def _rho_range(report):
    return np.quantile(report.draws.rho.sel(world="ρ free"), [0.025, 0.975])


def _beyond(report):
    """How the tipping point lies to a posterior of ρ: empty where it is within, else how far out."""
    tip, (low, high) = report.tipping["interval"], _rho_range(report)
    if low <= tip <= high:
        return ""
    rho = report.draws.rho.sel(world="ρ free").values
    past = np.mean((rho - tip) * np.sign(tip) >= 0)
    if past < 1e-3 and min(abs(tip - low), abs(tip - high)) > (high - low) / 2:
        return ", but it lies outside that range; it takes a failing exclusion restriction as well"
    return (
        "; it lies outside that range: one as strong, or stronger, has posterior probability "
        f"{chance(past)}"
    )


def identified(report):
    """Whether ρ can be read off the data: an instrument that is not weak, and errors whose shape does not mislead."""
    read = np.isfinite(report.worlds.loc["ρ free", report.read])
    return bool(first_stage(report.design) >= WEAK and read and not report.shuffled > MISLED)


def _by_instruments(report):
    """What the instruments say about ρ; empty where they say nothing."""
    if not identified(report):
        return ""
    design, free = report.design, report.worlds.loc["ρ free"]
    low, high = _rho_range(report)
    means = "and normal errors " if "binary" in design.kinds else ""
    as_one = "as instrument" if len(design.instruments) == 1 else "as instruments"
    off = number(abs(free["gap"]), width_in(report, "ρ free"))
    away = (
        "zero included"
        if low <= 0 <= high
        else f"away from zero: least squares is then off by {off}{unit_of(report)}"
    )
    return (
        f"With {listed(design.instruments)} {as_one} {means}the posterior of ρ, under its prior, "
        f"has mean {free['rho']:z.2f} ({low:z.2f} to {high:z.2f}), {away}; {_likeliest(report)}. "
    )


def _likeliest(report):
    rho = (
        report.instruments["rho"].get("maximum likelihood", np.nan)
        if len(report.instruments)
        else np.nan
    )
    return (
        f"maximum likelihood, which has no prior, says {rho:z.2f}"
        if np.isfinite(rho)
        else "maximum likelihood, which has no prior, gives none"
    )


def _measured(report):
    table, known, tip = (
        report.benchmarks.dropna(subset="rho"),
        yardsticks(report),
        report.tipping["interval"],
    )
    said = [_unmeasured(report.design, len(report.benchmarks))]
    if len(table):
        name, rho = table.index[0], table["rho"].iloc[0]
        said = [
            f"The strongest measured current is that of {name}: left unmeasured, it would have "
            f"been ρ = {rho:+z.2f}."
        ]
    if len(known) and np.isfinite(tip) and tip != 0:
        along = known * np.sign(tip)
        enough = along[along >= abs(tip)]
        if len(enough):
            that = "that" if len(enough) == 1 else "one"
            said.append(
                f"A current as strong as {that} of {listed(enough.index)} would be enough to reach "
                "the tipping point."
            )
        elif along.max() <= NONE:
            said.append("In the direction that matters there is no measured current at all.")
        else:
            said.append(
                "In the direction that matters none is as strong as the tipping point; the "
                f"nearest is {along.idxmax()}, at ρ = {known[along.idxmax()]:+z.2f}."
            )
    return said


def _unmeasured(design, tried):
    """Why there is no benchmark."""
    if tried:
        return (
            "No covariate's current could be read by leaving it out, so a hidden one has nothing "
            "to compare with."
        )
    lone = (
        len(terms(design, np.ones(len(design.covariates), dtype=bool))) == 1
        and not design.instruments
    )
    why = (
        "With one covariate none can be left out"
        if lone
        else "No covariate but an instrument is measured"
    )
    why = why if design.covariates else "There is no covariate"
    return f"{why}, so a hidden current has no measured one to compare with."


def _robustness(report):
    estimate, interval = report.robustness
    if estimate == 0:
        return []
    T, Y = report.design.treatment, report.design.outcome
    return [
        f"An unmeasured covariate would have to explain {percent(estimate, 1)} of what the "
        f"covariates leave of {T}, and of what they and {T} leave of {Y}, to bring the "
        f"least-squares effect to zero, and {percent(interval, 1)} to bring its interval there "
        "(Cinelli & Hazlett's robustness value)."
    ]


def _hidden(report):
    shown = []
    for name, row in report.worlds.iterrows():
        if name.endswith("firmly") and np.isfinite(row[report.read]):
            against = "" if report.shuffled > MISLED else row["interpretation"].partition("; ")[2]
            shown.append(
                f"{effect_in(report, name)} ({ends_in(report, name)}) in the world “{name}”"
                f"{f' ({against})' if against else ''}"
            )
    return (
        f"Belief moves the effect: it is {listed(shown)}."
        if shown
        else "No world with a current could be read."
    )


def _other_priors(report):
    table = report.sensitivity.dropna()
    if len(table) < 2 or "as reported" not in table.index:
        return "How far the priors matter could not be read off this map."
    of = "ρ and α" if any("of ρ" in name for name in table.index) else "α"
    effect, p = table[report.read], table[f"P({report.read}>0)"]
    effects = _between(
        *(number(end, width_in(report, "ρ free")) for end in (effect.min(), effect.max()))
    )
    name = "effect" if report.read == "effect" else "α"
    clear = int(((table["low"] > 0) | (table["high"] < 0)).sum())
    return (
        f"As reported and under priors of {of} half and twice as wide, the effect of the world “ρ "
        f"free” lies {effects}{unit_of(report)}, P({name} > 0) "
        f"{_between(chance(p.min()), chance(p.max()))}, and its interval excludes zero in {clear} "
        f"of {len(table)} cases."
    )


def _between(least, most):
    return f"at {most}" if least == most else f"between {least} and {most}"


def conclusion(report):
    """The paragraph: what was found, under which belief, and what would overturn it.

    Returns
    -------
    str
    """
    design, others = report.design, listed(terms(report.design, report.design.in_outcome))
    estimate, interval = effect_in(report, "OLS"), ends_in(report, "OLS")
    adjusted = f"adjusted for {others}" if others else "with no covariates"
    if design.outcome_kind == "binary":
        more = more_of(design, f"one more {design.treatment}")
        change = f"from {design.treatment} = 0 to 1" if design.kind == "binary" else f"with {more}"
        found = (
            f"the share with {design.outcome} = 1 differs by {estimate} {change}, by least squares "
            "through zeros and ones"
        )
    elif design.kind == "binary":
        found = (
            f"{design.treatment} = 1 goes with a difference of {estimate} in {design.outcome} from "
            f"{design.treatment} = 0 by least squares"
        )
    else:
        found = f"the least-squares slope of {design.outcome} on {design.treatment} is {estimate}"
    own = more_of(design, design.treatment)
    said = [
        f"{_rows(report)} {found} (95 % interval {interval}), {adjusted}.",
        (
            f"That is the effect of {own} if nothing unmeasured moves both: with ρ = 0 the joint "
            f"model gives {effect_in(report, 'ρ = 0')} ({ends_in(report, 'ρ = 0')})."
        ),
        *_free(report),
    ]
    return " ".join([*said, *report.overturns[:3], report.limits[0], *report.clustered])


def _rows(report):
    used, dropped = report.design.n, report.dropped
    if not dropped:
        return f"Among {used:,} rows,"
    others = (
        f"other {dropped:,} have a missing value and were"
        if dropped > 1
        else "other has a missing value and was"
    )
    return f"Among {used:,} of {used + dropped:,} rows (the {others} dropped),"


def _free(report):
    """What the world "ρ free" says, and what it says under other priors."""
    design, free = report.design, report.worlds.loc["ρ free"]
    if np.isfinite(free[report.read]) and report.shuffled > MISLED:
        return [
            f"With ρ free it would be {effect_in(report, 'ρ free')}, but the likelihood finds a "
            "current where a shuffle has left none, so this number is not to be used."
        ]
    if np.isfinite(free[report.read]):
        return [
            (
                f"With ρ free under its prior it is {effect_in(report, 'ρ free')} "
                f"({ends_in(report, 'ρ free')}), positive with probability "
                f"{chance(free[f'P({report.read}>0)'])}."
            ),
            _other_priors(report),
        ]
    plural = "" if len(design.instruments) == 1 else "s"
    check = (
        f"Check the instrument{plural} {listed(design.instruments)}, or"
        if design.instruments
        else "You may"
    )
    return [
        "With ρ free no answer can be given: "
        f"{free['interpretation'].removeprefix('not shown: ')}, so these formulas and this belief "
        f"do not fit together. {check} state a narrower belief (--belief 0 0.2)."
    ]
