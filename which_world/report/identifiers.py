"""Columns of the file that may name who belongs together, and the current that leaving them out makes."""

import re

import numpy as np
import pandas as pd

from which_world.classical import effect_at, finite
from which_world.clusters import alike, leftover
from which_world.decisions import current
from which_world.effects import POINTS
from which_world.moments import condensed
from which_world.priors import scales
from which_world.report.words import number

CERTAIN, NARROW = (
    1e-3,
    1.25,
)  # p-value, and factor of an interval's width, from which a cluster is spoken of
STRONG = 0.05  # a shared current that is spoken of whatever it does to the interval
FEWEST_GROUPS = 5  # with fewer, a column is a category of its own and no set of clusters
FLEXIBLE = 8  # most terms of the smooth curve that a measurement is told by
NAMES = re.compile(r"(^|_)(id|ids|sid|pid|uid|hhid|caseid|idnr|fips|zip)(_|$)", re.IGNORECASE)


def identifiers(design, data, names=None):
    """Columns outside the formulas whose rows resemble each other in both equations, and what they hide.

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
    found : pandas.DataFrame
        One row a column, by its own name: ``column``, the name in formulas; ``groups``; the
        intraclass correlations ``outcome`` and ``treatment``; ``factor``, by how much the interval
        at ρ = 0 is then too narrow; ``within``, the effect with a constant for each group (``low``
        to ``high``, by clusters), ``effect`` being the one without; ``rho``, the current that the
        formulas make by leaving it out.
    looked : list of str
        The columns that were looked at.
    """
    residuals, own, found, looked = leftover(design), names or {}, {}, []
    used = {name for each in design.variables or [(c,) for c in design.covariates] for name in each}
    used |= set(re.findall(r"[^\W\d]\w*", f"{design.outcome} {design.treatment}"))
    for column in nameable(data).columns.difference(list(used), sort=False):
        codes = _groups(data[column])
        if codes is None:
            continue
        name, here = own.get(column, column), alike(residuals, codes)
        looked.append(repr(name))
        if here.p < CERTAIN and _names_groups(column, data[column], codes, residuals, design):
            found[repr(name)] = {"column": column, **here._asdict(), **_shared(design, codes)}
    frame = pd.DataFrame.from_dict(found, orient="index").rename(columns={"clusters": "groups"})
    return frame.drop(columns=["p"], errors="ignore").rename_axis("identifier"), looked


def nameable(data):
    """The columns of a frame whose values may be names of groups: whole numbers, text, dates, but no measurements."""
    return data[[name for name in data if _whole(data[name])]]


def _whole(labels):
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
    """Whether values are names: not text that bands a response, not numbers whose curve says all that they say."""
    if pd.api.types.is_numeric_dtype(labels):
        curve = _curve(labels.to_numpy(dtype=float, na_value=np.nan), codes.max() + 1)
        left = residuals - (curve @ np.linalg.lstsq(curve, residuals.T)[0]).T
        return bool(NAMES.search(column)) or alike(left, codes).p < CERTAIN
    return not any(_bands(values, codes) for values in (design.y, design.t))


def _curve(values, groups):
    """Powers of a number and of its rank: a smooth curve with a term for each four groups, and eight at most."""
    values = pd.Series(values).fillna(np.nanmean(values))
    ranks = values.rank()
    scaled = [(each - each.mean()) / max(each.std(), 1e-300) for each in (ranks, values)]
    powers = [each**k for k in range(1, FLEXIBLE // 2 + 1) for each in scaled]
    return np.column_stack([np.ones(len(values)), *powers[: max(1, min(FLEXIBLE, groups // 4))]])


def _bands(values, codes):
    """Whether groups lie one above the other in a number that varies within them."""
    ends = pd.Series(values).groupby(codes).agg(["min", "max"]).sort_values("min").to_numpy()
    return bool((ends[:-1, 1] <= ends[1:, 0]).all() and (ends[:, 0] < ends[:, 1]).mean() > 0.5)


def _shared(design, codes):
    """The effect with a constant for each group, and the ρ at which the model without them has it."""
    unit = POINTS * design.step if design.outcome_kind == "binary" else 1.0
    likely = finite(design)
    here = effect_at(design, 0.0, None if likely else scales(design))
    whole, (within, se) = _slope(design, np.zeros(len(codes), dtype=int))[0], _slope(design, codes)
    if np.isnan(within):
        return {"effect": here, "within": np.nan, "low": np.nan, "high": np.nan, "rho": np.nan}
    full, half = here + unit * (within - whole), 1.96 * unit * se
    few = condensed(design) if "binary" not in design.kinds else design
    rho = current(few, full, likely)["rho"]
    return {"effect": here, "within": full, "low": full - half, "high": full + half, "rho": rho}


def _slope(design, codes):
    """The least-squares slope of the treatment once means of groups are taken out, and its error by groups."""
    dose = design.dose[:, None]
    A = _swept(np.column_stack([dose, design.M * dose, design.C[:, design.in_outcome]]), codes)
    left = _apart(A[:, 0], A[:, 1:])
    if left @ left < 1e-8 * (dose[:, 0] - dose.mean()) @ (dose[:, 0] - dose.mean()):
        return np.nan, np.nan  # all rows of a group have one treatment
    y = _swept(design.y[:, None], codes)[:, 0]
    slope = left @ y / (left @ left)
    sums = np.bincount(codes, left * (_apart(y, A[:, 1:]) - slope * left))
    return slope, float(np.sqrt(len(sums) / max(1, len(sums) - 1) * sums @ sums) / (left @ left))


def _swept(M, codes):
    size = np.bincount(codes)
    means = np.column_stack([np.bincount(codes, column) / size for column in M.T])
    return M - means[codes]


def _apart(values, M):
    return values - M @ np.linalg.lstsq(M, values)[0] if M.shape[1] else values


def belonging(found, design):
    """A question for each column that may name who belongs together, with what follows if it does."""
    return [_question(name, row, design) for name, row in found.iterrows() if _matters(row)]


def _matters(row):
    return row["factor"] > NARROW or abs(row["rho"]) > STRONG


def _question(name, row, design):
    alike = (
        f"Does {name} name who belongs together? Rows with the same value of {name} resemble each "
        "other in what both equations leave (intraclass correlation "
        f"{number(row['outcome'], 0.1)} of {design.outcome} and {number(row['treatment'], 0.1)} "
        f"of {design.treatment}, {row['groups']:,} groups)."
    )
    if row["factor"] > NARROW:
        alike += (
            " If it does, the intervals here, which count every row as news, are too narrow, by a "
            f"factor of about {number(row['factor'], 1)} at ρ = 0: use bootstrap_map(design, "
            f"data[{name}]) and ols(design, cluster=data[{name}])."
        )
    if np.isnan(row["within"]):
        return (
            f"{alike} All rows of one {name} have the same {design.treatment}, so what they share "
            "stays in it."
        )
    width, about = row["high"] - row["low"], " about" * (design.outcome_kind == "binary")
    current = f", as at{about} ρ = {row['rho']:z.2f}" if np.isfinite(row["rho"]) else ""
    return (
        f"{alike} What such rows share is left out of both formulas: with a constant for each the "
        f"effect{' is' + about if about else ' is'} {number(row['within'], width)} "
        f"({number(row['low'], width)} to {number(row['high'], width)}), not "
        f"{number(row['effect'], width)}{current}. If it moves both, C({row['column']}) belongs "
        "in both formulas."
    )
