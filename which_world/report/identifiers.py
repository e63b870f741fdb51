"""Columns that may name who belongs together, and the current of leaving them out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from which_world.classical import effect_at_rho, finite
from which_world.clusters import both_residuals, grown_by_groups, resemblance_of
from which_world.decisions import restoring_rho
from which_world.design import terms_of
from which_world.effects import POINTS
from which_world.moments import condensed
from which_world.priors import scales
from which_world.report.examine import SCALE, WEAK
from which_world.report.instruments import effective_f, grown_by_instruments, two_stage_rows
from which_world.report.report import NARROW, Narrow
from which_world.report.words import interval, number

if TYPE_CHECKING:
    from which_world.design import Design

CERTAIN = 1e-3  # p-value from which a cluster is spoken of
LIKELY = 0.05  # the same of a category of the formulas, of which there are few
STRONG = 0.05  # a shared current that is spoken of whatever it does to the interval
FEWEST_GROUPS = 3  # with fewer, a column is a yes or a no and no set of clusters
ENOUGH_GROUPS = 20.0  # of one size, with fewer of which a clustered error is itself too small
ENOUGH_LEVELS = 10.0  # the same of a category of the formulas, which is judged by what is left
BEYOND = 1 / 3  # share of a resemblance that the smooth curve of a name leaves at least
BENDS = 6  # values, from which a number may bend: of fewer a bend would pass for half of any names
FLEXIBLE = 8  # most terms of the smooth curve that a measurement is told by
SETTLED = 1e-8  # share of the treatment's variation within groups, below which there is none
NAMES = re.compile(r"(^|_)(id|ids|sid|pid|uid|hhid|caseid|idnr|fips|zip)(_|$)", re.IGNORECASE)


def identifiers(
    design: Design, data: pd.DataFrame | None = None, names: Mapping[str, str] | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Columns whose rows resemble each other in both equations, or move together in them.

    A column outside the formulas may name groups if it holds text, or whole numbers that are no
    measurement: beyond any smooth curve of the number, rows with the same one still resemble each
    other in both equations. (`wage` explains what is left of `log(wage)` and is a number all the
    same; a village's number is not.) Text that cuts the outcome or the treatment into bands is no
    name of a group either, text that is mostly numbers is a number.

    What constants for groups take out, as of a category in the outcome's formula, leaves no
    resemblance, and yet rows may move together, from year to year: then the error that counts
    groups is larger than the usual one, beyond chance. With fewer than 20 groups, or as uneven ones
    as tell no more, such an error is itself too small; of a category with fewer than ten it says
    too little, and none is looked at.

    Parameters
    ----------
    design : Design
    data : pandas.DataFrame, optional
        The rows the design was made from, with every column of the file.
    names : mapping of str to str, optional
        The file's own names of columns that were renamed.

    Returns
    -------
    table : pandas.DataFrame
        One row a column, by its own name: ``column``, the name in formulas; ``term``, that of a
        category in them, else empty; ``groups``; the intraclass correlations ``outcome`` and
        ``treatment``; ``factor``, by how much the interval at ρ = 0 is then too narrow, the
        clustered error of least squares over the usual one, or of too few groups Moulton's factor
        if that is less; ``instrumented``, the same of two-stage least squares, and ``first_stage``,
        the F statistic of the instruments that counts groups, NaN without instruments; ``alone``,
        how many groups have one treatment only; ``within``, the effect with a constant for each
        group (``low`` to ``high``, by clusters), ``effect`` being the one without; ``rho``, the
        current that the formulas make by leaving it out. NaN where rows move together and do not
        resemble each other.
    looked : list of str
        The columns that were looked at.
    """
    own_names, known = names or {}, categories(design)
    rows, looked = {}, []
    for column, (term, codes) in known.items():
        if _evenly(codes) < ENOUGH_LEVELS:
            continue
        name = repr(own_names.get(column, column))
        looked.append(name)
        growth = grown_by_groups(design, codes, absorbed=codes.max())
        if growth.p < LIKELY and growth.factor > NARROW:
            factors = growth.factor, _by_instruments(design, codes, absorbed=codes.max())
            rows[name] = _row(design, column, codes, factors, term)
    data = _of_file(data)
    for column in nameable(data).columns.difference(used(design), sort=False):
        codes = _groups(data[column])
        if codes is None or any(_same(codes, others) for _, others in known.values()):
            continue
        if _restates(column, data[column], codes, data[data.columns.intersection(used(design))]):
            continue
        name = repr(own_names.get(column, column))
        if _evenly(codes) < ENOUGH_GROUPS and _rewrites(design.y, codes):
            continue
        looked.append(name)
        if row := _row_of_file(design, column, data[column], codes):
            rows[name] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis("identifier"), looked


def groups_of(table: pd.DataFrame, design: Design, data: pd.DataFrame | None) -> list[np.ndarray]:
    """The groups of each column of `identifiers`, where they are enough to count by.

    Whole numbers from 0, (n,).
    """
    known, columns = categories(design), _of_file(data)
    every = (
        known[column][1] if term else _groups(columns[column])
        for column, term in zip(table.get("column", ()), table.get("term", ()))
    )
    return [codes for codes in every if _evenly(codes) >= ENOUGH_GROUPS]


def _of_file(data):
    return pd.DataFrame() if data is None else data


def _row_of_file(design, column, labels, codes):
    """The row of a column that no formula uses; none where it names no groups that matter."""
    enough = _evenly(codes) >= ENOUGH_GROUPS
    growth, residuals = grown_by_groups(design, codes), both_residuals(design)
    alike = resemblance_of(residuals, codes)
    factors = growth.factor, _by_instruments(design, codes)
    if not enough:
        factors = min(growth.factor, alike.factor), np.fmin(factors[1], alike.factor)
    if alike.p < CERTAIN and _names_groups(column, labels, codes, residuals, design):
        shared = {"outcome": alike.outcome, "treatment": alike.treatment}
        return _row(design, column, codes, factors) | shared | _shared(design, codes)
    together = enough and growth.p < CERTAIN and growth.factor > NARROW
    if (together and _is_name(column, labels)) or _by_instruments_alike(
        design, column, labels, codes
    ):
        return _row(design, column, codes, factors)
    return None


def _by_instruments(design, codes, absorbed=0):
    """The same factor of two-stage least squares; NaN where there is none."""
    if not design.instruments or design.moderators:
        return np.nan
    return grown_by_instruments(design, codes, absorbed).factor


def _by_instruments_alike(design, column, labels, codes):
    """Whether a column names groups by what two-stage least squares leaves of rows.

    Least squares may leave no resemblance: what groups share in treatment and outcome it takes for
    an effect.
    """
    if not design.instruments or design.moderators:
        return False
    rows = np.array(two_stage_rows(design))
    alike = resemblance_of(rows, codes).p < CERTAIN
    return alike and _names_groups(column, labels, codes, rows, design)


def _row(design, column, codes, factors, term=""):
    """A row of `identifiers` without what groups share."""
    numbers = ("outcome", "treatment", "effect", "within", "low", "high", "rho")
    ends = pd.Series(design.t).groupby(codes).agg(["min", "max"])
    return {
        "column": column,
        "term": term,
        "groups": codes.max() + 1,
        "factor": factors[0],
        "instrumented": factors[1],
        "first_stage": effective_f(design, codes) if design.instruments else np.nan,
        "alone": int((ends["min"] == ends["max"]).sum()),
        **dict.fromkeys(numbers, np.nan),
    }


def categories(design: Design) -> dict[str, tuple[str, np.ndarray]]:
    """The categories of the outcome's formula that are terms of their own.

    By column: the term, and each row's level as a whole number from 0.
    """
    terms, made_of = terms_of(design)
    found = {}
    for term, names in dict.fromkeys(zip(terms, made_of)):
        places = [k for k, other in enumerate(terms) if other == term and design.in_outcome[k]]
        levels = all(design.covariates[k].startswith(f"{term}[") for k in places)
        if len(names) == 1 and len(places) > 1 and levels:
            ones = design.C[:, places] > 0  # standardised dummies: above their mean, or above zero
            if (ones.sum(axis=1) <= 1).all():
                codes = np.where(ones.any(axis=1), ones.argmax(axis=1) + 1, 0)
                found[names[0]] = term, pd.factorize(codes)[0]
    return found


def _evenly(codes):
    """How many groups of one size tell as much as these."""
    size = np.bincount(codes)
    return size.sum() ** 2 / (size @ size)


def _same(codes, others):
    """Whether two columns make the same groups."""
    pairs = len(pd.unique(codes * (others.max() + 1) + others))
    return pairs == codes.max() + 1 == others.max() + 1


def _restates(column, labels, codes, data):
    """Whether a number only says again what a column in the formulas says: a square, a logarithm.

    One rises or falls wherever the other does.
    """
    numbers = _numbers(labels)
    if numbers is None or NAMES.search(column):
        return False
    for _, own in data.items():
        others = _numbers(own)
        if others is not None and _same(codes, pd.factorize(own)[0]):
            steps = np.diff(others.to_numpy()[np.argsort(numbers.to_numpy(), kind="stable")])
            if (steps >= 0).all() or (steps <= 0).all():
                return True
    return False


def used(design: Design) -> list[str]:
    """Names of the columns that the formulas use."""
    groups = design.variables or [(covariate,) for covariate in design.covariates]
    of_responses = re.findall(r"[^\W\d]\w*", f"{design.outcome} {design.treatment}")
    return list({name for names in groups for name in names}.union(of_responses))


def nameable(data: pd.DataFrame) -> pd.DataFrame:
    """The columns of a frame whose values may be names of groups.

    Whole numbers, text, dates, but no measurements.
    """
    return data[[name for name in data if _whole(data[name])]]


def _whole(labels):
    """Whether labels are no measurements."""
    levels = _numbers(labels.drop_duplicates())
    return levels is None or bool((levels.dropna() % 1 == 0).all())


def _numbers(labels):
    """Labels as numbers, where they are numbers, or text that mostly holds numbers; else None.

    No text whose numbers begin with a zero: those are names, as codes of places are.
    """
    if pd.api.types.is_numeric_dtype(labels):
        return pd.Series(labels.to_numpy(dtype=float, na_value=np.nan), labels.index)
    levels = pd.Series(labels.dropna().unique()).astype(str)
    numbers = pd.to_numeric(levels, errors="coerce")
    if numbers.isna().mean() >= 0.5 or levels.str.match(r"0\d").any():
        return None
    return pd.to_numeric(labels.astype(str), errors="coerce").astype(float)


def _groups(labels):
    """The groups that a column's values make, as whole numbers; None for next to no groups."""
    codes, levels = pd.factorize(labels)
    if not FEWEST_GROUPS <= len(levels) <= len(labels) / 2:
        return None
    missing = codes < 0  # a row without a label is a group of its own
    codes[missing] = len(levels) + np.arange(missing.sum())
    return codes


def _is_name(column, labels):
    """Whether values are names by their look: text, or numbers of a column that says so."""
    return bool(NAMES.search(column)) or _numbers(labels) is None


def _names_groups(column, labels, codes, residuals, design):
    """Whether values are names.

    Not text that bands a response, nor numbers whose smooth curve says most of what they say.
    """
    if NAMES.search(column):
        return True
    numbers = _numbers(labels)
    if numbers is None:
        return not (_bands(design.y, codes) or _bands(design.t, codes))
    curve = _curve(numbers.to_numpy(), codes.max() + 1)
    explained = (curve @ np.linalg.lstsq(curve, residuals.T)[0]).T
    before, after = (resemblance_of(left, codes) for left in (residuals, residuals - explained))
    stays = min(after.outcome / before.outcome, after.treatment / before.treatment)
    return after.p < CERTAIN and stays > BEYOND


def _curve(values, groups):
    """Powers of a number and of its rank, the columns of a smooth curve.

    A term for each four groups, and eight at most; from six on, as a rating has, at least a bend.
    """
    number = pd.Series(values).fillna(np.nanmean(values))
    scaled = [_scaled(number.rank()), _scaled(number)]
    order = [(0, 1), (1, 2), (1, 1), (0, 2), (0, 3), (1, 3), (0, 4), (1, 4)]
    powers = [scaled[part] ** k for part, k in order]
    terms = max(1 + (groups >= BENDS), min(FLEXIBLE, groups // 4))
    return np.column_stack([np.ones(len(number)), *powers[:terms]])


def _scaled(values):
    return (values - values.mean()) / max(values.std(), 1e-300)


def _bands(values, codes):
    """Whether groups lie one above the other in a number that varies within them."""
    ends = pd.Series(values).groupby(codes).agg(["min", "max"]).sort_values("min").to_numpy()
    low, high = ends.T
    apart = (high[:-1] <= low[1:]).all()
    return bool(apart and (low < high).mean() > 0.5)


def _rewrites(values, codes):
    """Whether groups are an answer of few kinds in other words: each has one value of it."""
    return len(np.unique(values)) <= SCALE and _settled(values, codes)


def _settled(values, codes):
    """Whether all rows of a group have one value, in every group."""
    ends = pd.Series(values).groupby(codes).agg(["min", "max"])
    return bool((ends["min"] == ends["max"]).all())


def _shared(design, codes):
    """The effect with a constant for each group, and the ρ at which the model has it without."""
    unit = POINTS * design.step if design.outcome_kind == "binary" else 1.0
    likely = finite(design)
    effect = effect_at_rho(design, 0.0, None if likely else scales(design))
    without, _ = _slope(design, np.zeros(len(codes), dtype=int))
    slope, se = _slope(design, codes)
    if np.isnan(slope):
        return {"effect": effect, "within": np.nan, "low": np.nan, "high": np.nan, "rho": np.nan}
    within, half = effect + unit * (slope - without), 1.96 * unit * se
    few = design if "binary" in design.kinds else condensed(design)
    rho = restoring_rho(few, within, likely)["rho"]
    return {
        "effect": effect,
        "within": within,
        "low": within - half,
        "high": within + half,
        "rho": rho,
    }


def _slope(design, codes):
    """The least-squares slope of the treatment within groups, and its error by groups.

    Both NaN where all rows of a group have one treatment, or one outcome.
    """
    dose = design.dose[:, None]
    columns = np.column_stack([dose, design.M * dose, design.C[:, design.in_outcome]])
    columns = _less_means(columns, codes)
    others = columns[:, 1:]
    left = _residuals(columns[:, 0], others)
    deviation = dose[:, 0] - dose.mean()
    if left @ left < SETTLED * deviation @ deviation or _settled(design.y, codes):
        return np.nan, np.nan
    y = _less_means(design.y[:, None], codes)[:, 0]
    slope = left @ y / (left @ left)
    scores = np.bincount(codes, left * (_residuals(y, others) - slope * left))
    groups = len(scores)
    se = np.sqrt(groups / max(1, groups - 1) * scores @ scores) / (left @ left)
    return slope, float(se)


def _less_means(columns, codes):
    """Columns without the means of their groups."""
    size = np.bincount(codes)
    means = np.column_stack([np.bincount(codes, column) / size for column in columns.T])
    return columns - means[codes]


def _residuals(values, columns):
    """What columns leave of values by least squares."""
    if not columns.shape[1]:
        return values
    return values - columns @ np.linalg.lstsq(columns, values)[0]


def belonging(table: pd.DataFrame, design: Design) -> list[str]:
    """A question for each column that may name who belongs together, with what follows if it does.

    `table` is from `identifiers`.
    """
    return [_question(str(name), row, design) for name, row in table.iterrows() if _matters(row)]


def narrowed(table: pd.DataFrame, of: str = "factor") -> list[Narrow]:
    """Each column whose groups, if they are counted, make the interval at ρ = 0 wider.

    Or that of two-stage least squares, which is ``"instrumented"``.
    """
    found = []
    for name, row in table.iterrows():
        since = f"If {name} names who belongs together"
        if row["term"]:
            since = f"Since rows of one {name} move together even with a constant for each"
        if row[of] > NARROW:
            remedy = f"count whole groups of {name}, not rows"
            found.append(Narrow(float(row[of]), since, remedy))
    return found


def _matters(row):
    """Whether groups change what is concluded."""
    return row["factor"] > NARROW or abs(row["rho"]) > STRONG or row["first_stage"] < WEAK


def _question(name, row, design):
    """Whether a column names who belongs together, and what follows if it does."""
    if row["term"]:
        return (
            f"{row['term']} takes out what all rows of one {name} share; what is left still moves "
            f"together within it ({row['groups']:,} groups). {_wider(name, row)}"
        )
    if np.isnan(row["outcome"]):
        return (
            f"Does {name} name who belongs together? What both equations leave moves together "
            f"within it ({row['groups']:,} groups). If it does, {_wider(name, row, 'the')}"
        )
    outcome, treatment = number(row["outcome"], 0.1), number(row["treatment"], 0.1)
    question = (
        f"Does {name} name who belongs together? Rows with the same value of {name} resemble each "
        f"other in what both equations leave (intraclass correlation {outcome} of "
        f"{design.outcome} and {treatment} of {design.treatment}, {row['groups']:,} groups)."
    )
    if row["factor"] > NARROW:
        question += f" If it does, {_wider(name, row, 'the')}"
    if np.isnan(row["within"]):
        alone = f"All rows of one {name} have the same {design.treatment}"
        if row["alone"] < row["groups"]:
            alone = "With a constant for each nothing is left to compare"
        return f"{question} {alone}, so what they share stays in it."
    width = row["high"] - row["low"]
    within = f"{number(row['within'], width)} ({interval(row['low'], row['high'])})"
    about = " about" if design.outcome_kind == "binary" else ""
    rho = f", as at{about} ρ = {row['rho']:z.2f}" if np.isfinite(row["rho"]) else ""
    return (
        f"{question} What such rows share is left out of both formulas: with a constant for each "
        f"the effect is{about} {within}, not {number(row['effect'], width)}{rho}. If it moves "
        f"both, {placed(row, design)}."
    )


def _wider(name, row, the="The"):
    """That intervals are too narrow, and what counts whole groups."""
    weak = ""
    if row["first_stage"] < WEAK:
        weak = f" Counted by groups the first-stage F statistic is {row['first_stage']:.1f}: weak."
    return (
        f"{the} intervals here, which count every row as news, are too narrow, by a "
        f"factor of about {number(row['factor'], 1)} at ρ = 0: use "
        f"bootstrap_map(design, data[{name}]) and ols(design, cluster=data[{name}]).{weak}"
    )


def placed(row: pd.Series, design: Design) -> str:
    """In which formulas a constant for each group belongs, of a row of `identifiers`.

    Where all rows of a group have one treatment, such a constant would settle a binary treatment.
    """
    constants = f"C({row['column']}) belongs in"
    if design.kind != "binary" or not row["alone"]:
        return f"{constants} both formulas"
    return (
        f"{constants} the outcome formula alone: in the treatment's it would settle "
        f"{design.treatment}, which never changes in {row['alone']:,} of the {row['groups']:,} "
        "groups"
    )
