"""Numbers that may be codes for "no answer": −99, 999999; a question, and never a refusal."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pandas as pd

KEPT_AT_EITHER_END = (
    40  # different values at either end of a column, which tell a code from what is measured
)
MOST_CODES = 5  # codes at one end: refused, unknown, not asked
OFTEN = 3  # rows with it, from which a value is a code and no outlier
APART = 4  # how far codes lie from the rest, in steps between the values there
RARE = 0.1  # share of the rows below which -1 beside 0 and 1 may be a code
WIDE = 0.15  # and in the range of the rest
# 99, 88, 77, 66; 98, 97, 96 beside 99; of any length
REPEATED_DIGIT = re.compile(r"6+|7+|8+|9+[6-9]?")
# the same below zero, where no amount lies, and -1 to -9
BELOW = re.compile(r"[1-9]|6+|7+|8+|9+[6-9]?|99925|10+")
EDGES = [2**k - 1 for k in (7, 8, 15, 16, 31, 32, 63, 64)] + [2**k for k in (7, 15, 31, 63)]
FILLS = [
    101,
    32741,
    2147483621,
    2.0**127,
    1e20,
    9.969209968386869e36,
    float(np.finfo("float32").max),
]


def ends(values: npt.ArrayLike) -> pd.Series:
    """How often each of a column's few lowest and few highest finite values occurs, in order.

    Counts of two parts of a column add up by `together`.
    """
    numbers = np.asarray(values, dtype=float)
    return _ends(*np.unique(numbers[np.isfinite(numbers)], return_counts=True))


def together(one: pd.Series, other: pd.Series) -> pd.Series:
    """The ends of two parts of a column as those of the whole."""
    values, places = np.unique(np.r_[one.index, other.index], return_inverse=True)
    return _ends(values, np.bincount(places, np.r_[one, other]))


def _ends(values, counts):
    """Counts of the few lowest and the few highest of some values, which come in order."""
    if len(values) > 2 * KEPT_AT_EITHER_END:
        kept = np.r_[:KEPT_AT_EITHER_END, -KEPT_AT_EITHER_END:0]
        values, counts = values[kept], counts[kept]
    return pd.Series(counts, index=values)


def candidates(counts: pd.Series) -> pd.Series:
    """The values that may be codes, and how often they occur, among the `ends` of a column.

    Such a value looks like a code, stands in several rows, lies at an end of the column and apart
    from the rest: by several steps between the values there, and either by a good part of their
    range, or below zero where nothing else is. Beside a yes and a no, 1 and 0, a rare -1 is one.
    """
    rest, codes = counts, []
    while outermost := _codes(rest, -1) or _codes(rest, 1):
        codes += outermost
        rest = rest.drop(outermost)
    return counts[sorted(codes)]


def ask(counts: pd.Series, name: str, rows: int) -> list[str]:
    """A question about the codes among a column's `ends`, and what to do if they are; none without.

    `rows` is how many there are.
    """
    codes = candidates(counts)
    if codes.empty:
        return []
    measured = counts.index.difference(codes.index)
    written = [f"{code:.17g}" for code in codes.index]
    often = " and ".join(f"{code} in {count:,.0f}" for code, count in zip(written, codes))
    these = "this is a code" if len(codes) == 1 else "these are codes"
    options = " ".join(f"--missing {name}={code}" for code in written)
    texts = repr(written[0] if len(written) == 1 else written)
    return [
        f"{name} is {often} of {rows:,} rows, and from {measured[0]:.15g} to {measured[-1]:.15g} "
        f"in the others. Is that an answer? If {these} for none, make it missing, in a file with "
        f"{options} --drop-missing (missing={{{name!r}: {texts}}}), in a frame with "
        f"data[{name!r}].replace([{', '.join(written)}], float('nan')), before the rows are "
        "dropped."
    ]


def _codes(counts, side):
    """The codes at the lower (-1) or the upper (1) end of a column."""
    levels = counts.index.to_numpy()[::-side]  # the end comes first
    for k in range(min(MOST_CODES, len(levels) - 2), 0, -1):
        codes, rest = levels[:k], levels[k:]
        known = all(_looks(code, side) for code in codes)
        beside_an_answer = side < 0 and list(rest) == [0, 1] and _rare(counts, codes)
        apart = beside_an_answer or _apart(codes, rest, side)
        if known and counts[codes].max() >= OFTEN and apart:
            return list(codes)
    return []


def _rare(counts, codes):
    """Whether few rows have a code; where many have -1, 0 and 1, these are three answers."""
    return counts[codes].sum() < RARE * counts.sum()


def _looks(value, side):
    """Whether a value looks like a code, at the lower or the upper end."""
    if np.sign(value) != side:
        return False
    size = abs(value)
    if np.isclose(size, EDGES + FILLS, rtol=1e-7, atol=0).any():
        return True
    digits = f"{size:.15g}".replace(".", "")
    return bool((REPEATED_DIGIT if side > 0 else BELOW).fullmatch(digits))


def _apart(codes, rest, side):
    """Whether codes lie apart from a column's other values, which begin at the codes' end."""
    gap, width = abs(codes[-1] - rest[0]), abs(rest[-1] - rest[0])
    steps = np.abs(np.diff(rest))
    near = steps[: max(1, min(len(steps), KEPT_AT_EITHER_END) // 2)].max()
    if side < 0 <= rest[0]:  # below zero, where nothing else is
        half_of_a_scale = 2 * max(abs(codes)) >= max(rest[-1], 4)  # such as -2 to 2
        if gap >= 2 * near and not half_of_a_scale:
            return True
    one_digit = side > 0 and len(codes) == 1 and codes[0] < 10
    return gap >= APART * near and gap >= (1 if one_digit else WIDE) * width
