"""What a report says in words: the data and their limits, what the numbers rest on, what would overturn them."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.stats import chi2, kurtosis, norm, skew

from helpers.classical import maximum_likelihood, ols
from helpers.likelihoods import probit
from helpers.priors import AtanhNormal, scales

WEAK = 10.0  # first-stage F below which an instrument is called weak (Staiger & Stock 1997)
MISLED = 0.25  # share of shuffles beyond which the likelihood of ρ is about the errors' shape
NEAR = 0.02  # a fitted probability of treatment this close to 0 or 1 is beyond overlap


def shuffle_test(design, *, shuffles=20, rows=2000, seed=0):
    """How often the likelihood finds a current where there is none, because the treatment was shuffled.

    Parameters
    ----------
    design : Design
        With a binary treatment.
    shuffles, rows, seed : int
        How often, and of how many rows at most, drawn at random.

    Returns
    -------
    float
        The share of shuffles in which the profile likelihood rejects ρ = 0 at the 5 % level: 0.05 if the errors had
        the shape that the model assumes, and towards 1 where their shape passes for a current.
    """
    y = design.y - ols(design).params["alpha"] * design.t  # or the treated would leave their mark
    rng, grid, rejected = np.random.default_rng(seed), np.tanh(np.linspace(-1.6, 1.6, 17)), []
    for _ in range(shuffles):
        chosen = rng.permutation(design.n)[:rows]
        C = design.C[chosen]
        keep = np.ptp(C, axis=0) > 0
        dealt = replace(
            design, y=y[chosen], t=rng.permutation(design.t[chosen]), C=C[:, keep],
            covariates=tuple(np.array(design.covariates, dtype=object)[keep]), in_outcome=design.in_outcome[keep],
            in_treatment=design.in_treatment[keep], moderates=design.moderates[keep], scales=design.scales[keep],
        )  # fmt: skip
        try:
            curve = maximum_likelihood(dealt, rho=grid).log_likelihood
        except (RuntimeError, np.linalg.LinAlgError):  # too few treated rows for these covariates
            continue
        rejected.append(2 * (curve.max() - curve[len(grid) // 2]) > chi2.ppf(0.95, 1))
    return float(np.mean(rejected)) if rejected else np.nan


def data_checks(design, dropped=0, shuffled=np.nan):
    """What the data are, and where they are thin; `shuffled` is from `shuffle_test`.

    Returns
    -------
    list of str
        Sentences: rows used and dropped, the treatment, overlap, the strength of instruments, the residuals' shape.
    """
    total = design.n + dropped
    lost = f"; {dropped:,} of {total:,} were dropped because a value was missing" if dropped else ", none was dropped"
    said = [f"{design.n:,} rows are used{lost}.", _treatment(design)]
    if design.in_treatment.any():
        said.append(_overlap(design) if design.kind == "binary" else _variation(design))
    said += _first_stage(design) + [_shape(design)]
    if np.isfinite(shuffled):
        said.append(f"With the treatment shuffled there is neither effect nor current; the likelihood rejects ρ = 0 in "
                    f"{shuffled:.0%} of such shuffles, where 5% is what chance would give.")  # fmt: skip
    return said


def _treatment(design):
    if design.kind == "binary":
        return f"{design.treatment} is 0 or 1; {design.t.mean():.1%} of the rows are treated."
    low, high = design.t.min(), design.t.max()
    return (
        f"{design.treatment} is continuous, from {low:.4g} to {high:.4g} with standard deviation {design.t.std():.3g}."
    )


def _treatment_columns(design, mask=None):
    mask = design.in_treatment if mask is None else mask
    return np.column_stack([np.ones(design.n), design.C[:, mask]])


def _overlap(design):
    Z = _treatment_columns(design)
    chance = norm.cdf(Z @ probit(Z, design.t).beta)
    beyond = np.mean((chance < NEAR) | (chance > 1 - NEAR))
    treated, gaps = design.t == 1, {}
    for name, column in zip(design.covariates, design.C.T):
        spread = np.sqrt((column[treated].var() + column[~treated].var()) / 2)
        gaps[name] = (column[treated].mean() - column[~treated].mean()) / spread if spread > 0 else np.nan
    worst = pd.Series(gaps).abs().idxmax()
    plain = (f"Treated and untreated differ most in {worst}, by {abs(gaps[worst]):.2f} standard deviations; for "
             f"{beyond:.1%} of the rows the covariates all but settle the treatment (a fitted chance within "
             f"{NEAR:.0%} of 0 or 1).")  # fmt: skip
    if beyond > 0.1 or abs(gaps[worst]) > 0.5:
        plain += " There the equations extrapolate: no comparable row of the other kind is in the data."
    return plain


def _variation(design):
    result = sm.OLS(design.t, _treatment_columns(design)).fit()
    return (f"The covariates explain {result.rsquared:.0%} of {design.treatment}; the effect is learned from the rest, "
            f"which has standard deviation {np.sqrt(result.mse_resid):.3g}.")  # fmt: skip


def _first_stage(design):
    """How strongly the instruments move the treatment: the F statistic of leaving them out of a linear first stage."""
    if not design.instruments:
        return []
    alone = np.isin(design.covariates, design.instruments)
    full = sm.OLS(design.t, _treatment_columns(design)).fit()
    short = sm.OLS(design.t, _treatment_columns(design, design.in_treatment & ~alone)).fit()
    f = full.compare_f_test(short)[0]
    verdict = "which is weak: what they say about ρ is little and may mislead" if f < WEAK else "which is not weak"
    move = "moves" if len(design.instruments) == 1 else "move"
    return [
        f"{_and(design.instruments)} {move} {design.treatment} with a first-stage F statistic of {f:.1f}, {verdict}."
    ]


def _shape(design):
    resid = ols(design).resid
    lean, tails = skew(resid), kurtosis(resid)
    far = abs(lean) > 1 or tails > 3
    return (f"The outcome's least-squares residuals have skewness {lean:.2f} and excess kurtosis {tails:.2f}: "
            f"{'far from' if far else 'not far from'} the normal shape (0 and 0) that the model assumes.")  # fmt: skip


def limits(design, shuffled=np.nan):
    """What these data cannot say, whatever is computed from them; `shuffled` is from `shuffle_test`.

    Returns
    -------
    list of str
    """
    if design.instruments:
        they = "it moves" if len(design.instruments) == 1 else "they move"
        source = ("What these data say about ρ, the correlation of what is unmeasured in both equations, rests on "
                  f"{_and(design.instruments)}: it comes from your formula, and these data cannot confirm that "
                  f"{they} {design.outcome} only through {design.treatment}.")  # fmt: skip
    elif design.kind == "continuous":
        source = ("These data say nothing about ρ, the correlation of what is unmeasured in both equations: no "
                  "covariate stands in the treatment formula alone, so the likelihood is flat in ρ, and all that is "
                  "known of it comes from the priors. More rows would not help.")  # fmt: skip
    else:
        source = ("These data hold no instrument. All they say about ρ, the correlation of what is unmeasured in "
                  "both equations, comes from the assumed normal shape of the errors: a wrong shape, a missing curve "
                  "or a missing interaction would pass for a hidden current.")  # fmt: skip
    if shuffled > MISLED:
        source += (f" Here it does: even with the treatment shuffled the likelihood finds a current in {shuffled:.0%} "
                   "of the shuffles. Do not lean on the world “ρ free”, but on a belief you can defend.")  # fmt: skip
    return [
        source,
        f"They cannot say which came first: that {design.treatment} moves {design.outcome}, and not the other way "
        "round, is your knowledge.",
        "They cannot say whether a covariate was itself changed by the treatment, or whether the rows were chosen by "
        "their outcome; either would bias every world alike.",
    ]


def assumptions(design, belief, alpha=None, dropped=0, unit=""):
    """Every assumption the numbers rest on, one sentence each.

    Returns
    -------
    list of str
    """
    said = [
        f"{design.outcome} is a straight-line function of {design.treatment} and of {_and(_outcome_terms(design))}, "
        "plus an error U; no curve or interaction beyond the formula.",
        _effect(design),
        _treatment_equation(design),
        "U and V are jointly normal with a constant spread and one correlation ρ, the same for every row.",
        "Rows are independent: no clusters, no repeated measurements, no effect of one row's treatment on another.",
        "Every covariate was settled before the treatment and is measured without error.",
        *(f"{name} moves {design.outcome} only through {design.treatment} (an exclusion restriction)."
          for name in design.instruments),
    ]  # fmt: skip
    if dropped:
        said.append(f"The {dropped:,} rows with missing values, which were dropped, differ from the others at random.")
    return said + _priors(design, belief, alpha, unit)


def _outcome_terms(design):
    return _terms(design, design.in_outcome) or ["nothing else"]


def _terms(design, mask):
    """The terms of an equation: a categorical one once, not dummy by dummy."""
    labels = np.array(design.covariates, dtype=object)[mask]
    return list(dict.fromkeys(re.sub(r"\[[^\]]*\]", "", label) for label in labels))


def _effect(design):
    if design.moderators:
        return (f"The effect changes with {_and(design.moderators)}, in a straight line; α is the effect at their "
                "average, and nothing else changes it.")  # fmt: skip
    return f"One more unit of {design.treatment} has the same effect α for every row."


def _treatment_equation(design):
    terms = _and(_terms(design, design.in_treatment)) or "nothing"
    if design.kind == "binary":
        return (f"{design.treatment} is 1 where a straight-line function of {terms}, plus an error V of spread 1, is "
                "positive (a probit).")  # fmt: skip
    return f"{design.treatment} is a straight-line function of {terms}, plus an error V."


def _priors(design, belief, alpha, unit):
    sd, unit = scales(design, alpha=alpha), f" {unit}" if unit else ""
    if isinstance(belief, AtanhNormal):
        low, high = np.tanh(belief.mean + np.array([-1.96, 1.96]) * belief.sd)
        prior = (
            f"atanh ρ ~ Normal({belief.mean:g}, {belief.sd:g}), so ρ lies between {low:.2f} and {high:.2f} with 95 %"
        )
    else:
        prior = f"ρ has the prior {belief!r}"
    return [
        f"Where ρ is free, {prior} prior probability." if isinstance(belief, AtanhNormal) else f"Where free, {prior}.",
        f"Before the data, α ~ Normal(0, {number(sd.sd_O[-1])}){unit}; other coefficients are normal around zero, one "
        "standard deviation of a covariate moving its response by about one of its own.",
        f"Before the data, σ_U, the spread of U, is half-normal with scale {number(sd.sigma_U)}, and the intercepts "
        "are normal and wide.",
    ]


def overturns(report):
    """What would change the conclusion, one sentence each.

    Parameters
    ----------
    report : Report

    Returns
    -------
    list of str
    """
    return [_tipping(report), *_measured(report), *_robustness(report), _hidden(report), _prior_of_alpha(report)]


def _tipping(report):
    tip, zero = report.tipping, report.worlds.loc["ρ = 0"]
    if zero["low"] < 0 < zero["high"]:
        return (f"With no hidden current the 95 % interval already contains zero ({_interval(report, 'ρ = 0')}): there "
                "is no sign to overturn.")  # fmt: skip
    if tip.get("refused"):
        return "Where a current brings the interval to zero cannot be read: columns on the way are not reliable."
    if not np.isfinite(tip["interval"]):
        return "No hidden current on the map brings the interval of the effect to zero."
    mean = f", and its mean at ρ = {tip['mean']:.2f}" if np.isfinite(tip["mean"]) else ""
    return (f"A hidden current of ρ = {tip['interval']:.2f} brings the effect's 95 % interval to zero{mean}: anything "
            f"unmeasured that strong, and {'positive' if tip['interval'] > 0 else 'negative'}, puts its sign in "
            "doubt.")  # fmt: skip


def _measured(report):
    table = report.benchmarks.dropna(subset="rho")
    if table.empty:
        return ["With fewer than two covariates there is no measured one to compare a hidden current with."]
    name, rho = table.index[0], table["rho"].iloc[0]
    said = [f"The strongest measured current is that of {name}: left unmeasured, it would have been ρ = {rho:+.2f}."]
    tip, zero = report.tipping["interval"], report.worlds.loc["ρ = 0"]
    if np.isfinite(tip) and not zero["low"] < 0 < zero["high"]:
        along = table["rho"] * np.sign(tip)
        enough = along[along >= abs(tip)]
        said.append(f"As strong as {_and(enough.index)} would be enough to reach the tipping point." if len(enough) else
                    f"In the direction that matters none is as strong as the tipping point; the nearest is "
                    f"{along.idxmax()}, at ρ = {table['rho'][along.idxmax()]:+.2f}.")  # fmt: skip
    return said


def _robustness(report):
    estimate, interval = report.robustness
    if estimate == 0:
        return []
    return [f"An unmeasured covariate would have to explain {estimate:.1%} of what is left of both "
            f"{report.design.treatment} and {report.design.outcome} to bring the least-squares effect to zero, and "
            f"{interval:.1%} to bring its interval there (Cinelli & Hazlett's robustness value)."]  # fmt: skip


def _hidden(report):
    names = [name for name in report.worlds.index if name.endswith("firmly")]
    shown = [f"{_value(report, name)} ({_interval(report, name)}) in the world “{name}”"
             for name in names if np.isfinite(report.worlds.loc[name, "alpha"])]  # fmt: skip
    return f"Belief moves the effect: it is {_and(shown)}." if shown else "No world with a current could be read."


def _prior_of_alpha(report):
    table = report.sensitivity.dropna()
    if len(table) < 2 or "as reported" not in table.index:
        return "How far the priors matter could not be read off this map."
    change = (table["alpha"] - table.loc["as reported", "alpha"]).abs()
    width = table["high"] - table["low"]
    return (f"Halving or doubling the width of the priors of ρ and α moves the effect of the world “ρ free” by at most "
            f"{number(change.max(), change.max())}{_unit(report)} (“{change.idxmax()}”); its interval is then between "
            f"{number(width.min(), width.min())} and {number(width.max(), width.max())} wide.")  # fmt: skip


def conclusion(report):
    """The paragraph: what was found, under which belief, and what would overturn it.

    Returns
    -------
    str
    """
    design, free = report.design, report.worlds.loc["ρ free"]
    said = [
        f"Among {design.n:,} rows, one more unit of {design.treatment} goes with a difference of "
        f"{_value(report, 'OLS')} in {design.outcome} by least squares (95 % interval {_interval(report, 'OLS')}), "
        f"adjusted for {_and(_outcome_terms(design))}.",
        f"That is its effect if nothing unmeasured moves both: with ρ = 0 the joint model gives "
        f"{_value(report, 'ρ = 0')} ({_interval(report, 'ρ = 0')}).",
    ]
    if np.isfinite(free["alpha"]):
        said.append(f"With ρ free under its prior it is {_value(report, 'ρ free')} ({_interval(report, 'ρ free')}), "
                    f"positive with probability {_percent(free['P(alpha>0)'])}.")  # fmt: skip
    else:
        said.append("With ρ free no answer can be given: the map cannot carry it.")
    return " ".join([*said, report.overturns[0], *report.overturns[1:3], report.limits[0]])


def _value(report, world):
    return f"{number(report.worlds.loc[world, 'alpha'], _width(report, world))}{_unit(report)}"


def _interval(report, world):
    low, high = report.worlds.loc[world, ["low", "high"]]
    return f"{number(low, high - low)} to {number(high, high - low)}"


def _width(report, world):
    return report.worlds.loc[world, "high"] - report.worlds.loc[world, "low"]


def number(value, width=np.nan):
    """A number with as many digits as the width of its interval deserves, or with four; empty for NaN."""
    if np.isnan(value):
        return ""
    if not 1e-6 < width < np.inf:
        return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"
    return f"{value:,.{max(0, 1 - int(np.floor(np.log10(width))))}f}"


def _percent(share):
    return "over 99 %" if share > 0.99 else "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


def _unit(report):
    return f" {report.unit}" if report.unit else ""


def _and(names):
    names = list(map(str, names))
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
