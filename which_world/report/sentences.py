"""What a report says in words: what the data cannot say, and what would overturn the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from which_world.maps import PULLED, stretches, trusted
from which_world.priors import AtanhNormal, described, moments, scales
from which_world.readings import read_map, turned
from which_world.report.examine import MISLED, WEAK, by_normal_errors, count, first_stage
from which_world.report.words import (
    acted_on,
    agreeing,
    chance,
    effect_in,
    interval,
    interval_in,
    listed,
    more_of,
    number,
    percent,
    terms,
    unit_of,
    width_in,
)

if TYPE_CHECKING:
    import xarray as xr

    from which_world.design import Design
    from which_world.priors import RhoPrior
    from which_world.report.report import Report

LIKE_ITS_PRIOR = 0.05  # of its prior sd: a posterior of ρ that is no farther off is its prior
NONE = 0.005  # a measured current that is 0.00 when written
FEW = 10  # rows that somebody can look at one by one
ROWS_NAMED = 3  # of these rows, those that a sentence names
OUT_OF_REACH = 1e-3  # posterior probability of a tipping point, below which it lies out of reach

RHO = "ρ, the correlation of what is unmeasured in both equations,"
FLAT = (
    "These data say nothing about ρ, the correlation of what is unmeasured in both equations: no "
    "covariate stands in the treatment formula alone, so the likelihood is flat in ρ, and all that "
    "is known of it comes from the priors. More rows would not help."
)
BY_SHAPE = (
    "These data hold no instrument. All they say about ρ, the correlation of what is unmeasured in "
    "both equations, comes from the assumed normal shape of the errors: a wrong shape, a missing "
    "curve or a missing interaction would pass for a hidden current."
)
NOT_FREE = (
    " Do not lean on the world “ρ free”, but on a belief you can defend, and give the likelihood "
    "no say in it: weigh(report.map, belief, likelihood=False)."
)
MISLEADING = (
    " Here the shape does mislead: with these residuals, and each treatment drawn anew so that no "
    "current is left, the likelihood finds one in {}, where normal errors would give {}."
) + NOT_FREE
TOO_FEW = (
    " Here it misleads, for the rows are too few: with each treatment drawn anew so that no "
    "current is left, the likelihood finds one in {}, and with normal errors in {}."
) + NOT_FREE
CHOSEN = (
    "They cannot say whether a covariate was itself changed by the treatment, or whether the rows "
    "were chosen by their outcome; either would bias every world, the one at ρ = 0 included."
)
JOINTLY_NORMAL = (
    "U and V are jointly normal with a constant spread and one correlation ρ, the same for every "
    "row."
)
INDEPENDENT = (
    "Rows are independent: no clusters, no repeated measurements, no effect of one row's treatment "
    "on another."
)
SETTLED_BEFORE = "Every covariate was settled before the treatment and is measured without error."
NO_ANSWER = (
    "With ρ free no answer can be given: {}, so these formulas and this belief do not fit "
    "together. {} state a narrower belief (--belief 0 0.2)."
)


def limits(design: Design, shuffled: float = np.nan, normal: float = np.nan) -> list[str]:
    """What these data cannot say, whatever is computed from them, in sentences.

    `shuffled` is from `shuffle_test`; `normal` the same of normal errors, NaN where rows are many.
    """
    if design.instruments:
        source = _rests_on_instruments(design)
    else:
        source = FLAT if design.kind == "continuous" else BY_SHAPE
    if shuffled > MISLED:
        source += (TOO_FEW if normal > MISLED else MISLEADING).format(
            count(shuffled), by_normal_errors(normal)
        )
    direction = (
        f"They cannot say which came first: that {design.treatment} moves {design.outcome}, "
        "and not the other way round, is your knowledge."
    )
    return [source, direction, CHOSEN]


def _rests_on_instruments(design):
    """Where ρ comes from when there is an instrument.

    From it, from the priors, or from the errors' shape.
    """
    f, names = first_stage(design), listed(design.instruments)
    move = agreeing(design.instruments, "moves", "move")
    they = agreeing(design.instruments, "it", "they")
    only_through = f"{move} {design.outcome} only through {design.treatment}"
    if design.kind == "binary":
        mostly = f"; with F = {f:z.1f} mostly on the shape" if f < WEAK else ""
        return (
            f"What these data say about {RHO} rests on {names} and on the assumed normal shape of "
            f"the errors{mostly}. These data cannot confirm that {names} {only_through}."
        )
    if f < WEAK:
        return (
            f"{names} hardly {move} {design.treatment} (F = {f:z.1f}): these data say "
            f"next to nothing about {RHO} and the world “ρ free” is little but its priors. Nor "
            f"can they confirm that {they} {only_through}."
        )
    return (
        f"What these data say about {RHO} rests on {names}: it comes from your formula, and these "
        f"data cannot confirm that {they} {only_through}."
    )


def assumptions(
    design: Design,
    belief: RhoPrior,
    alpha: float | None = None,
    dropped: int = 0,
    unit: str = "",
) -> list[str]:
    """Every assumption the numbers rest on, one sentence each."""
    sentences = [
        _outcome_equation(design),
        _effect(design),
        _treatment_equation(design),
        JOINTLY_NORMAL,
        INDEPENDENT,
        SETTLED_BEFORE,
        *exclusions(design),
        *_held_fixed(design),
    ]
    if dropped:
        sentences.append(
            "Whether a row has a missing value, and was dropped for it, has nothing to do with its "
            "U and V, once the covariates are known."
        )
    return [
        *sentences,
        _prior_of_rho(belief),
        _prior_of_alpha(design, alpha, unit),
        _spread(design, alpha),
    ]


def exclusions(design: Design) -> list[str]:
    """What each instrument is not allowed to do."""
    return [
        f"{name} moves {design.outcome} only through {design.treatment} (an exclusion restriction)."
        for name in design.instruments
    ]


def _held_fixed(design):
    """What it means that a covariate stands in the outcome formula alone.

    It may be a second treatment.
    """
    names = terms(design, design.in_outcome & ~design.in_treatment)
    if not names:
        return []
    it = agreeing(names, "it", "them")
    are = agreeing(names, "it is a covariate", "they are covariates")
    its = agreeing(names, "its own coefficient", "their own coefficients")
    return [
        f"{listed(names)} {agreeing(names, 'moves', 'move')} {design.outcome} and not "
        f"{design.treatment}: as the formulas have {it}, {are} held fixed, no second treatment; "
        f"nothing hidden is allowed for in {its}."
    ]


def _outcome_equation(design):
    """What the outcome is."""
    others = terms(design, design.in_outcome)
    covariates = f"and of {listed(others)}" if others else "alone"
    line = f"a straight-line function of {design.treatment} {covariates}"
    if design.outcome_kind == "binary":
        return (
            f"{design.outcome} is 1 where {line}, plus an error U of spread 1, is positive (a "
            "probit); no curve or interaction beyond the formula."
        )
    return (
        f"{design.outcome} is {line}, plus an error U; no curve or interaction beyond the formula."
    )


def _effect(design):
    """What the effect is, and for whom it is the same."""
    treatment, moderators = design.treatment, listed(design.moderators)
    if design.outcome_kind == "binary":
        change = "1 against 0"
        if design.kind == "continuous":
            more = more_of(design, "one unit more")
            change = f"{more} than it was, each row keeping its own U"
        varies = f"linear in {moderators}" if moderators else "the same for every row"
        return (
            f"The effect is what {treatment} does to {acted_on(design)} "
            f"({change}), averaged over these rows; its shift of the line, α, is {varies}."
        )
    if moderators:
        average = agreeing(design.moderators, "its average", "their average")
        return (
            f"The effect changes with {moderators}, in a straight line; α is the effect at "
            f"{average}, and nothing else changes it."
        )
    what = treatment if design.kind == "binary" else f"One more unit of {treatment}"
    return f"{what} has the same effect α for every row."


def _treatment_equation(design):
    """What the treatment is."""
    line = _line_of(terms(design, design.in_treatment), terms(design, design.in_outcome))
    if design.kind == "binary":
        return (
            f"{design.treatment} is 1 where {line}, plus an error V of spread 1, is positive (a "
            "probit)."
        )
    return f"{design.treatment} is {line} plus an error V."


def _line_of(names, before):
    """A line of these covariates, of which those of the equation `before` are not listed again."""
    if not names:
        return "a constant"
    if len(before) > 1 and set(before) <= set(names):
        more = [name for name in names if name not in before]
        names = ["the same covariates", *more]
    return f"a straight-line function of {listed(names)}"


def _prior_of_rho(belief):
    """What is believed of ρ where it is free."""
    if not isinstance(belief, AtanhNormal):
        return f"Where free, ρ has the prior {described(belief)}."
    low, high = np.tanh(belief.mean + np.array([-1.96, 1.96]) * belief.sd)
    return (
        f"Where ρ is free, atanh ρ ~ Normal({belief.mean:g}, {belief.sd:g}), so ρ lies between "
        f"{low:z.2f} and {high:z.2f} with 95 % prior probability."
    )


def _prior_of_alpha(design, alpha, unit):
    """What is known of the coefficients before the data."""
    sd = number(scales(design, alpha=alpha).alpha)
    unit = f" {unit}" if unit and design.outcome_kind == "continuous" else ""
    return (
        f"Before the data, α ~ Normal(0, {sd}){unit}{_default(design, alpha)}; the other "
        "coefficients are known as well as one more row would tell them (a unit information "
        "prior), however their columns are written."
    )


def _default(design, alpha):
    """Where the default prior sd of α comes from."""
    if alpha is not None:
        return ""
    if design.outcome_kind == "binary":
        return ", as much as one row of these data tells"
    return (
        f", one standard deviation of {design.outcome} for one of what the covariates leave of "
        f"{design.treatment}"
    )


def _spread(design, alpha):
    """What is known of the spread of U, or of a chance, before the data."""
    if design.outcome_kind == "binary":
        return (
            "Before the data, the chance of a 1 at average covariates may be anything, from nearly "
            "0 to nearly 1."
        )
    scale = number(scales(design, alpha=alpha).sigma_U)
    return (
        f"Before the data, σ_U, the spread of U, is half-normal with scale {scale}, "
        "and the intercepts are normal and wide."
    )


def contradiction(belief: RhoPrior | float, rho: float) -> str:
    """What to say of a belief that the data contradict; empty where they do not.

    They do where the posterior mean of ρ lies over two prior standard deviations away.
    """
    if not isinstance(belief, AtanhNormal) or abs(np.arctanh(rho) - belief.mean) <= 2 * belief.sd:
        return ""
    before = np.tanh(belief.mean)
    return f"the data contradict this belief: they move ρ from {before:+z.2f} to {rho:+z.2f}"


def unread(rho: np.ndarray, bad: np.ndarray) -> list[str]:
    """What to say of columns of the map that cannot be relied on: nothing, or one sentence.

    Parameters
    ----------
    rho : ndarray
    bad : ndarray of bool
    """
    if not np.any(bad):
        return []
    return [
        f"There are too few rows for these terms to draw the map at ρ = {stretches(rho, bad)} "
        "(Pareto k̂ above 0.7): the figure is shaded there, and no number leans on it."
    ]


def pulled(chart: xr.Dataset) -> list[str]:
    """What to say where the priors move the effect at ρ = 0: nothing, or one sentence.

    It takes a quarter of its standard error.
    """
    by = abs(chart.attrs.get("pulled", 0.0))
    if by <= PULLED:
        return []
    return [
        f"The priors move the effect at ρ = 0 by {number(by, 1)} standard errors from what it "
        "is without them: these rows say too little of these terms; leave some out, or state a "
        "wider --alpha."
    ]


def moved(report: Report) -> str:
    """What to say where ρ leaves its prior without a word from the data; else empty."""
    design, free = report.design, report.worlds.loc["ρ free"]
    if design.kind == "binary" or design.instruments or not np.isfinite(free["rho"]):
        return ""
    mean, sd = moments(report.belief)
    if (
        abs(free["rho"] - mean) <= LIKE_ITS_PRIOR * sd
        and abs(free["rho_sd"] / sd - 1) <= LIKE_ITS_PRIOR
    ):
        return ""
    by = (
        "the priors of α and of the spread of U, which find some of the effects and spreads that "
        "go with a strong current too large"
    )
    if design.outcome_kind == "binary":
        by = "the priors of the coefficients, which find what goes with a strong current too large"
    return (
        f" Where ρ is free it goes from {mean:z.2f} (sd {sd:z.2f}), its prior, to "
        f"{free['rho']:z.2f} (sd {free['rho_sd']:z.2f}): not by the data, but by {by}."
    )


def overturns(report: Report) -> list[str]:
    """What would change the conclusion, one sentence each."""
    few = decisive(report)
    disowned = report.shuffled > MISLED  # what a check condemns supports nothing
    return [
        tipping(report),
        *([few] if few else []),
        *_measured(report),
        *robustness(report),
        *deciding(report),
        _hidden(report),
        *([] if disowned else [_other_priors(report)]),
    ]


def deciding(report: Report) -> list[str]:
    """How many rows decide, one sentence; none where that was not looked at."""
    if report.influence.empty:
        return []
    sign, error = report.influence["rows"]
    turn = "no half of the rows turns its sign"
    if np.isfinite(sign):
        turn = f"it takes {_rows(sign)} of {report.design.n:,} to turn its sign"
    if np.isfinite(error):
        turn += f", and it takes {_rows(error)} to move it by a standard error"
    return [
        f"If rows are left out to change the effect at ρ = 0, {turn} (approximate maximum "
        "influence)."
    ]


def _rows(count):
    return "one row" if count == 1 else f"{count:,.0f} rows"


def decisive(report: Report) -> str:
    """The few rows that decide, in a sentence; empty where none do.

    Few is one row in a hundred, ten at most, that turn a sign that its interval holds for clear:
    with normal errors it takes more, whatever the number of rows. Or a single row that moves the
    effect by a standard error.
    """
    if report.influence.empty:
        return ""
    zero = report.worlds.loc["ρ = 0"]
    sign, error = (row for _, row in report.influence.iterrows())
    clear = not zero["low"] <= 0 <= zero["high"]
    if clear and sign["rows"] <= max(1, min(FEW, report.design.n // 100)):
        return _without(report, sign, agreeing(sign["which"], "turns", "turn") + " the sign")
    if error["rows"] == 1:
        return _without(report, error, "moves the effect by a standard error or more")
    return ""


def _without(report, row, does):
    """What some rows do to the effect, and what it is without them."""
    design, rows, width = report.design, list(row["which"]), width_in(report, "ρ = 0")
    named = []
    for k in rows[:ROWS_NAMED]:
        values = f"{design.treatment} = {design.t[k]:.4g}, {design.outcome} = {design.y[k]:.4g}"
        named.append(f"{k + 1:,} ({values})")
    if len(rows) > ROWS_NAMED:
        named.append(f"{len(rows) - ROWS_NAMED} more")
    without = number(row["effect_without"], width) + unit_of(report)
    return (
        f"{_rows(len(rows)).capitalize()} of {design.n:,} {does}: without "
        f"{agreeing(rows, 'row', 'rows')} {listed(named)}, counted from the first that is used, "
        f"the effect at ρ = 0 is {without} instead of {number(row['effect'], width)}."
    )


def shared_by(identifier: str) -> str:
    """What the current of an identifier is called."""
    return f"{identifier} (what its rows share)"


def left_out(terms: tuple[str, ...]) -> str:
    """What the current of terms that stand in neither formula is called."""
    return f"{listed(terms)} (in neither formula)"


def yardsticks(report: Report) -> pd.Series:
    """Every current there is to compare a hidden one with, by name.

    That of each measured variable, of each identifier whose rows resemble each other, of curves
    that both formulas leave out, and what the instruments say by maximum likelihood, where they are
    strong and no check condemns it.
    """
    currents: dict[str, float] = {}
    if len(report.benchmarks):
        measured = report.benchmarks["rho"].astype(float)
        currents |= {str(name): rho for name, rho in measured.items()}
    if len(report.identifiers):
        shared = report.identifiers["rho"]
        currents |= {shared_by(str(name)): rho for name, rho in shared.items()}
    if report.curved:
        currents[left_out(report.curved.terms)] = report.curved.rho
    told = "maximum likelihood" in report.instruments.index
    if told and strength(report) >= WEAK:
        hidden = f"what is hidden, by {listed(report.design.instruments)} and maximum likelihood"
        currents[hidden] = report.instruments["rho"]["maximum likelihood"]
    return pd.Series(currents, dtype=float).dropna()


def wide_tip(report: Report) -> float:
    """The current that turns the sign, were the interval as wide at every ρ as it should be.

    That of the map where nothing makes the interval too narrow.
    """
    tip = report.tipping["interval"]
    factor = max((each.factor for each in report.narrow), default=1.0)
    if factor <= 1 or tip == 0 or report.tipping.get("refused"):
        return tip
    chart = report.map.isel(rho=trusted(report.map))
    table = read_map(chart)
    for end in ("low", "high"):
        table[end] = table["mean"] + factor * (table[end] - table["mean"])
    try:
        return float(turned(chart, table)["interval"])
    except ValueError:  # no column on one side
        return np.nan


def tipping(report: Report) -> str:
    """Which hidden current brings the interval of the effect to zero."""
    tip, learned = report.tipping, _by_instruments(report)
    rho = tip["interval"]
    if rho == 0:
        return (
            f"{learned}With no hidden current the {interval_in(report, 'ρ = 0')} already "
            "contains zero: there is no sign to overturn."
        )
    if tip.get("refused"):
        return (
            f"{learned}Where a current brings the interval to zero cannot be read: columns on the "
            "way are not reliable."
        )
    if not np.isfinite(rho):
        return (
            f"{learned}No hidden current from ρ = {tip['from']:z.2f} to {tip['to']:z.2f}, as far "
            "as the map reaches and can be relied on, brings the interval of the effect to zero."
        )
    far = _beyond(report) if learned else ""
    if far:
        return (
            f"{learned}A hidden current of ρ = {rho:z.2f} would bring the effect's 95 % interval "
            f"to zero{far}."
        )
    mean, sign = "", "positive" if rho > 0 else "negative"
    if np.isfinite(tip["mean"]):
        mean = f"; one of ρ = {tip['mean']:z.2f} brings its mean there"
    return (
        f"{learned}A hidden current of ρ = {rho:z.2f} brings the effect's 95 % interval to "
        f"zero{mean}. Anything unmeasured that strong, and {sign}, puts its sign in doubt."
        f"{_sooner(report)}"
    )


def _sooner(report):
    """Which current is enough where the interval should be wider; empty where it need not be."""
    wide = wide_tip(report)
    if wide == report.tipping["interval"] or not np.isfinite(wide):
        return ""
    if wide == 0:
        return " With that interval as wide as it should be, none is needed."
    return f" With that interval as wide as it should be, ρ = {wide:z.2f} is enough."


def _rho_range(report):
    """The interval of ρ where it is free."""
    return np.quantile(report.draws.rho.sel(world="ρ free"), [0.025, 0.975])


def _beyond(report):
    """How far a tipping point lies out of a posterior of ρ; empty where it is within."""
    tip, (low, high) = report.tipping["interval"], _rho_range(report)
    if low <= tip <= high:
        return ""
    rho = report.draws.rho.sel(world="ρ free").values
    past = np.mean((rho - tip) * np.sign(tip) >= 0)
    distance = min(abs(tip - low), abs(tip - high))
    if past < OUT_OF_REACH and distance > (high - low) / 2:
        return ", but it lies outside that range; it takes a failing exclusion restriction as well"
    return (
        "; it lies outside that range: one as strong, or stronger, has posterior probability "
        f"{chance(past)}"
    )


def strength(report: Report) -> float:
    """The first-stage F statistic, the least that counting any groups of rows makes of it."""
    by_groups = report.identifiers.get("first_stage", pd.Series(dtype=float))
    return float(np.fmin(first_stage(report.design), by_groups.min()))


def identified(report: Report) -> bool:
    """Whether ρ can be read off the data.

    It takes an instrument that is not weak, and errors whose shape does not mislead.
    """
    read = np.isfinite(report.worlds[report.read]["ρ free"])
    return bool(strength(report) >= WEAK and read and not report.shuffled > MISLED)


def instruments_alone(report: Report) -> bool:
    """Whether strong instruments speak while a check condemns the likelihood.

    Two-stage least squares, which needs no shape of the errors, then leads.
    """
    there = "two-stage least squares" in report.instruments.index
    return bool(there and report.shuffled > MISLED and strength(report) >= WEAK)


def two_stages_of(report: Report) -> tuple[float, float, float]:
    """The effect by two-stage least squares, and the ends of its interval."""
    row = report.instruments.loc["two-stage least squares", ["effect", "low", "high"]]
    effect, low, high = map(float, row)
    return effect, low, high


def _by_instruments(report):
    """What the instruments say about ρ; empty where they say nothing."""
    if not identified(report):
        return ""
    design, free = report.design, report.worlds.loc["ρ free"]
    low, high = _rho_range(report)
    as_instruments = agreeing(design.instruments, "as instrument", "as instruments")
    if "binary" in design.kinds:
        as_instruments += " and normal errors"
    where = "zero included"
    if not low <= 0 <= high:
        off = number(abs(free["gap"]), width_in(report, "ρ free"))
        where = f"away from zero: least squares is then off by {off}{unit_of(report)}"
    return (
        f"With {listed(design.instruments)} {as_instruments} the posterior of ρ, under its prior, "
        f"has mean {free['rho']:z.2f} (95 % interval {low:z.2f} to {high:z.2f}), {where}; "
        f"{likeliest(report)}. "
    )


def likeliest(report: Report) -> str:
    """What maximum likelihood says about ρ."""
    rho = np.nan
    if "maximum likelihood" in report.instruments.index:
        rho = report.instruments["rho"]["maximum likelihood"]
    says = f"says {rho:z.2f}" if np.isfinite(rho) else "gives none"
    return f"maximum likelihood, which has no prior, {says}"


def _measured(report):
    """What the measured currents say of a hidden one, and whether any reaches the tipping point."""
    readable = report.benchmarks.dropna(subset="rho")
    if readable.empty:
        strongest = unmeasured(report.design, len(report.benchmarks))
    else:
        name, rho = readable.index[0], readable["rho"].iloc[0]
        strongest = (
            f"The strongest measured current is that of {name}: left unmeasured, it would have "
            f"been ρ = {rho:+z.2f}."
        )
    known, tip = yardsticks(report), wide_tip(report)
    if known.empty or not np.isfinite(tip) or tip == 0:
        return [strongest]
    return [strongest, compared(known, tip)]


def compared(known: pd.Series, tip: float) -> str:
    """A tipping point beside the currents that are known."""
    along = known * np.sign(tip)
    enough = along[along >= abs(tip)]
    if len(enough):
        return (
            f"A current as strong as {agreeing(enough, 'that', 'one')} of {listed(enough.index)} "
            "would be enough to reach the tipping point."
        )
    if along.max() <= NONE:
        return "In the direction that matters there is no measured current at all."
    nearest = along.idxmax()
    return (
        "In the direction that matters none is as strong as the tipping point; the nearest is "
        f"{nearest}, at ρ = {known[nearest]:+z.2f}."
    )


def unmeasured(design: Design, tried: int) -> str:
    """Why there is no benchmark, of so many that were tried."""
    if tried:
        return (
            "No covariate's current could be read by leaving it out, so a hidden one has nothing "
            "to compare with."
        )
    every = terms(design, np.ones(len(design.covariates), dtype=bool))
    why = "No covariate but an instrument is measured"
    if len(every) == 1 and not design.instruments:
        why = "With one covariate none can be left out"
    if not every:
        why = "There is no covariate"
    return f"{why}, so a hidden current has no measured one to compare with."


def robustness(report: Report) -> list[str]:
    """Cinelli and Hazlett's robustness value, in a sentence; none for an effect of zero."""
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
    """The effect in the worlds with a firm belief."""
    shown = []
    for name, row in report.worlds.iterrows():
        if not name.endswith("firmly") or not np.isfinite(row[report.read]):
            continue
        effect = f"{effect_in(report, name)} ({interval_in(report, name)}) in the world “{name}”"
        against = row["interpretation"].partition("; ")[2]
        if against and not report.shuffled > MISLED:
            effect += f" ({against})"
        shown.append(effect)
    if not shown:
        return "No world with a current could be read."
    return f"Belief moves the effect: it is {listed(shown)}."


def _two_stages_said(report):
    """What two-stage least squares says where it leads, in a sentence."""
    if not instruments_alone(report):
        return []
    effect, low, high = two_stages_of(report)
    names = report.design.instruments
    return [
        f"Two-stage least squares, which needs no shape of the errors, says "
        f"{number(effect, high - low)}{unit_of(report)} ({interval(low, high)}), if "
        f"{listed(names)} {agreeing(names, 'moves', 'move')} {report.design.outcome} only through "
        f"{report.design.treatment}."
    ]


def _other_priors(report):
    """What the world "ρ free" says under other priors."""
    table = report.sensitivity.dropna()
    if len(table) < 2 or "as reported" not in table.index:
        return "How far the priors matter could not be read off this map."
    varied = "ρ and α" if any("of ρ" in name for name in table.index) else "α"
    width, effect = width_in(report, "ρ free"), table[report.read]
    effects = _between(number(effect.min(), width), number(effect.max(), width))
    positive = table[f"P({report.read}>0)"]
    chances = _between(chance(positive.min()), chance(positive.max()))
    name = "effect" if report.read == "effect" else "α"
    clear = int(((table["low"] > 0) | (table["high"] < 0)).sum())
    return (
        f"As reported and under priors of {varied} half and twice as wide, the effect of the world "
        f"“ρ free” lies {effects}{unit_of(report)}, P({name} > 0) {chances}, and its interval "
        f"excludes zero in {clear} of {len(table)} cases."
    )


def _between(least, most):
    return f"at {most}" if least == most else f"between {least} and {most}"


def conclusion(report: Report) -> str:
    """The paragraph: what was found, under which belief, and what would overturn it."""
    design = report.design
    others = listed(terms(design, design.in_outcome))
    adjusted = f"adjusted for {others}" if others else "with no covariates"
    sentences = [
        f"{_among(report)} {_least_squares(report)} ({interval_in(report, 'OLS')}), {adjusted}.",
        f"That is the effect of {more_of(design, design.treatment)} if nothing unmeasured moves "
        f"both: with ρ = 0 the joint model gives {effect_in(report, 'ρ = 0')} "
        f"({interval_in(report, 'ρ = 0')}).",
        *_free(report),
    ]
    return " ".join([*sentences, *report.overturns[:3], report.limits[0], *report.clustered])


def _least_squares(report):
    """What least squares finds."""
    design, estimate = report.design, effect_in(report, "OLS")
    treatment, outcome = design.treatment, design.outcome
    if design.outcome_kind == "binary":
        change = f"with {more_of(design, f'one more {treatment}')}"
        if design.kind == "binary":
            change = f"from {treatment} = 0 to 1"
        return (
            f"the share with {outcome} = 1 differs by {estimate} {change}, by least squares "
            "through zeros and ones"
        )
    if design.kind == "binary":
        return (
            f"{treatment} = 1 goes with a difference of {estimate} in {outcome} from "
            f"{treatment} = 0 by least squares"
        )
    return f"the least-squares slope of {outcome} on {treatment} is {estimate}"


def _among(report):
    """Of how many rows a report speaks, and why not of the others."""
    used, dropped = report.design.n, report.dropped
    if not dropped:
        return f"Among {used:,} rows,"
    others = "other has a missing value and was"
    if dropped > 1:
        others = f"other {dropped:,} have a missing value and were"
    return f"Among {used:,} of {used + dropped:,} rows (the {others} dropped),"


def _free(report):
    """What the world "ρ free" says, and what it says under other priors."""
    design, free = report.design, report.worlds.loc["ρ free"]
    if not np.isfinite(free[report.read]):
        why = free["interpretation"].removeprefix("not shown: ")
        check = "You may"
        if design.instruments:
            instruments = agreeing(design.instruments, "instrument", "instruments")
            check = f"Check the {instruments} {listed(design.instruments)}, or"
        return [NO_ANSWER.format(why, check)]
    effect = effect_in(report, "ρ free")
    if report.shuffled > MISLED:
        return [
            f"With ρ free it would be {effect}, but the likelihood finds a "
            "current where a shuffle has left none, so this number is not to be used.",
            *_two_stages_said(report),
        ]
    positive = chance(free[f"P({report.read}>0)"])
    if design.kind == "continuous" and not design.instruments:
        positive += ", which holds only under the prior of ρ: these data leave ρ open"
    return [
        f"With ρ free under its prior it is {effect} ({interval_in(report, 'ρ free')}), positive "
        f"with probability {positive}.",
        _other_priors(report),
    ]
