"""Columns of a file that may name who belongs together, and the current of leaving them out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from which_world.classical import effect_at, finite
from which_world.clusters import both_residuals, resemblance_of
from which_world.decisions import restoring_rho
from which_world.effects import POINTS
from which_world.moments import condensed
from which_world.priors import scales
from which_world.report.words import interval, number

if TYPE_CHECKING:
    from which_world.design import Design

CERTAIN = 1e-3  # p-value from which a cluster is spoken of
NARROW = 1.25  # factor by which an interval is too narrow, from which that is spoken of
STRONG = 0.05  # a shared current that is spoken of whatever it does to the interval
FEWEST_GROUPS = 5  # with fewer, a column is a category of its own and no set of clusters
FLEXIBLE = 8  # most terms of the smooth curve that a measurement is told by
SETTLED = 1e-8  # share of the treatment's variation within groups, below which there is none
NAMES = re.compile(r"(^|_)(id|ids|sid|pid|uid|hhid|caseid|idnr|fips|zip)(_|$)", re.IGNORECASE)


def identifiers(
    design: Design, data: pd.DataFrame, names: Mapping[str, str] | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Columns outside the formulas whose rows resemble each other in both equations.

    A column may name groups if it holds text, or whole numbers that are no measurement: beyond any
    smooth curve of the number, rows with the same one still resemble each other in both equations.
    (`wage` explains what is left of `log(wage)` and is a number all the same; a village's number is
    not.) Text that cuts the outcome or the treatment into bands is no name of a group either.

    Parameters
    ----------
    design : Design
    data : pandas.DataFrame
        The rows the design was made from, with every column of the file.
    names : mapping of str to str, optional
        The file's own names of columns that were renamed.

    Returns
    -------
    table : pandas.DataFrame
        One row a column, by its own name: ``column``, the name in formulas; ``groups``; the
        intraclass correlations ``outcome`` and ``treatment``; ``factor``, by how much the interval
        at ρ = 0 is then too narrow; ``within``, the effect with a constant for each group (``low``
        to ``high``, by clusters), ``effect`` being the one without; ``rho``, the current that the
        formulas make by leaving it out.
    looked : list of str
        The columns that were looked at.
    """
    residuals, own_names = both_residuals(design), names or {}
    rows, looked = {}, []
    for column in nameable(data).columns.difference(_used(design), sort=False):
        codes = _groups(data[column])
        if codes is None:
            continue
        name = repr(own_names.get(column, column))
        looked.append(name)
        resemblance = resemblance_of(residuals, codes)
        certain = resemblance.p < CERTAIN
        if certain and _names_groups(column, data[column], codes, residuals, design):
            rows[name] = {"column": column, **resemblance._asdict(), **_shared(design, codes)}
    table = pd.DataFrame.from_dict(rows, orient="index").rename(columns={"clusters": "groups"})
    return table.drop(columns=["p"], errors="ignore").rename_axis("identifier"), looked


def _used(design):
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
    if pd.api.types.is_float_dtype(labels):
        return bool((labels.dropna() % 1 == 0).all())
    return pd.api.types.is_integer_dtype(labels) or not pd.api.types.is_numeric_dtype(labels)


def _groups(labels):
    """The groups that a column's values make, as whole numbers; None for next to no groups."""
    codes, levels = pd.factorize(labels)
    if not FEWEST_GROUPS <= len(levels) <= len(labels) / 2:
        return None
    missing = codes < 0  # a row without a label is a group of its own
    codes[missing] = len(levels) + np.arange(missing.sum())
    return codes


def _names_groups(column, labels, codes, residuals, design):
    """Whether values are names.

    Not text that bands a response, not numbers whose smooth curve says all that they say.
    """
    if not pd.api.types.is_numeric_dtype(labels):
        return not (_bands(design.y, codes) or _bands(design.t, codes))
    if NAMES.search(column):
        return True
    curve = _curve(labels.to_numpy(dtype=float, na_value=np.nan), codes.max() + 1)
    explained = (curve @ np.linalg.lstsq(curve, residuals.T)[0]).T
    return resemblance_of(residuals - explained, codes).p < CERTAIN


def _curve(values, groups):
    """Powers of a number and of its rank, the columns of a smooth curve.

    A term for each four groups, and eight at most.
    """
    number = pd.Series(values).fillna(np.nanmean(values))
    scaled = [_scaled(number.rank()), _scaled(number)]
    powers = [part**k for k in range(1, FLEXIBLE // 2 + 1) for part in scaled]
    terms = max(1, min(FLEXIBLE, groups // 4))
    return np.column_stack([np.ones(len(number)), *powers[:terms]])


def _scaled(values):
    return (values - values.mean()) / max(values.std(), 1e-300)


def _bands(values, codes):
    """Whether groups lie one above the other in a number that varies within them."""
    ends = pd.Series(values).groupby(codes).agg(["min", "max"]).sort_values("min").to_numpy()
    low, high = ends.T
    apart = (high[:-1] <= low[1:]).all()
    return bool(apart and (low < high).mean() > 0.5)


def _shared(design, codes):
    """The effect with a constant for each group, and the ρ at which the model has it without."""
    unit = POINTS * design.step if design.outcome_kind == "binary" else 1.0
    likely = finite(design)
    effect = effect_at(design, 0.0, None if likely else scales(design))
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

    Both NaN where all rows of a group have one treatment.
    """
    dose = design.dose[:, None]
    columns = np.column_stack([dose, design.M * dose, design.C[:, design.in_outcome]])
    columns = _less_means(columns, codes)
    others = columns[:, 1:]
    left = _residuals(columns[:, 0], others)
    deviation = dose[:, 0] - dose.mean()
    if left @ left < SETTLED * deviation @ deviation:
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


def _matters(row):
    """Whether groups change what is concluded."""
    return row["factor"] > NARROW or abs(row["rho"]) > STRONG


def _question(name, row, design):
    """Whether a column names who belongs together, and what follows if it does."""
    outcome, treatment = number(row["outcome"], 0.1), number(row["treatment"], 0.1)
    question = (
        f"Does {name} name who belongs together? Rows with the same value of {name} resemble each "
        f"other in what both equations leave (intraclass correlation {outcome} of "
        f"{design.outcome} and {treatment} of {design.treatment}, {row['groups']:,} groups)."
    )
    if row["factor"] > NARROW:
        question += (
            " If it does, the intervals here, which count every row as news, are too narrow, by a "
            f"factor of about {number(row['factor'], 1)} at ρ = 0: use "
            f"bootstrap_map(design, data[{name}]) and ols(design, cluster=data[{name}])."
        )
    if np.isnan(row["within"]):
        return (
            f"{question} All rows of one {name} have the same {design.treatment}, so what they "
            "share stays in it."
        )
    width = row["high"] - row["low"]
    within = f"{number(row['within'], width)} ({interval(row['low'], row['high'])})"
    about = " about" if design.outcome_kind == "binary" else ""
    rho = f", as at{about} ρ = {row['rho']:z.2f}" if np.isfinite(row["rho"]) else ""
    return (
        f"{question} What such rows share is left out of both formulas: with a constant for each "
        f"the effect is{about} {within}, not {number(row['effect'], width)}{rho}. If it moves "
        f"both, C({row['column']}) belongs in both formulas."
    )
