"""Numbers that may be codes for "no answer": −99, 999999, the smallest integer; a question, and never a refusal."""

import re

import numpy as np
import pandas as pd

KEPT = 40  # different values at either end of a column, which tell a code from what is measured
MOST = 5  # codes at one end: refused, unknown, not asked
OFTEN = 3  # rows with it, from which a value is a code and no outlier
APART, WIDE = (
    4,
    0.15,
)  # how far from the rest: in steps between its values there, and in its whole range
DIGITS = re.compile(r"6+|7+|8+|9+[6-9]?")  # 99, 88, 77, 66; 98, 97, 96 beside 99; any length
BELOW = re.compile(
    r"[1-9]|6+|7+|8+|9+[6-9]?|99925|10+"
)  # the same below zero, where no amount lies, and -1 to -9
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


def ends(values):
    """How often each of a column's few lowest and few highest values occurs.

    Parameters
    ----------
    values : array_like
        Numbers; those that are missing or infinite are left out.

    Returns
    -------
    Series
        Counts by value, in order. Those of two parts of a column add up by `together`.
    """
    values = np.asarray(values, dtype=float)
    return _ends(pd.Series(values[np.isfinite(values)]).value_counts())


def together(one, other):
    """The ends of two parts of a column as those of the whole."""
    return _ends(one.add(other, fill_value=0))


def _ends(counts):
    counts = counts.sort_index()
    return counts if len(counts) <= 2 * KEPT else pd.concat([counts[:KEPT], counts[-KEPT:]])


def found(counts):
    """The values that may be codes, and how often they occur.

    Such a value looks like a code, stands in several rows, lies at an end of the column and apart
    from the rest: by several steps between the values there, and either by a good part of their
    range, or below zero where nothing else is.

    Parameters
    ----------
    counts : Series
        From `ends`.

    Returns
    -------
    Series
        Counts by value; what is left are the values that were measured.
    """
    rest, gone = counts, []
    while here := _codes(rest, -1) or _codes(rest, 1):
        gone += here
        rest = rest.drop(here)
    return counts[sorted(gone)]


def ask(counts, name, rows):
    """A question about the codes of a column, with what to do if they are; or no sentence at all.

    Parameters
    ----------
    counts : Series
        From `ends`.
    name : str
    rows : int
        How many there are.
    """
    codes = found(counts)
    if codes.empty:
        return []
    rest, plain = counts.drop(codes.index).index, [f"{code:.17g}" for code in codes.index]
    times = " and ".join(f"{code} in {count:,.0f}" for code, count in zip(plain, codes))
    one = "this is a code" if len(codes) == 1 else "these are codes"
    file = " ".join(f"--missing {name}={code}" for code in plain)
    told = repr(plain[0] if len(plain) == 1 else plain)
    return [
        f"{name} is {times} of {rows:,} rows, and from {rest[0]:.15g} to {rest[-1]:.15g} in the "
        f"others. Is that an answer? If {one} for none, make it missing, in a file with {file} "
        f"--drop-missing (missing={{{name!r}: {told}}}), in a frame with "
        f"data[{name!r}].replace([{', '.join(plain)}], float('nan')), before the rows are "
        "dropped."
    ]


def _codes(counts, side):
    """The codes at the lower (-1) or the upper (1) end of a column."""
    levels = counts.index.to_numpy()[::-side]  # the end comes first
    for k in range(min(MOST, len(levels) - 2), 0, -1):
        codes, rest = levels[:k], levels[k:]
        if all(_looks(code, side) for code in codes) and counts[codes].max() >= OFTEN:
            if _apart(codes, rest, side):
                return list(codes)
    return []


def _looks(value, side):
    """Whether a value looks like a code, at the lower or the upper end."""
    if np.sign(value) != side:
        return False
    size, digits = abs(value), f"{abs(value):.15g}".replace(".", "")
    known = np.isclose(size, EDGES + FILLS, rtol=1e-7, atol=0).any()
    return bool(known or (DIGITS if side > 0 else BELOW).fullmatch(digits))


def _apart(codes, rest, side):
    """Whether codes lie apart from the rest of a column's values, which begin at the codes' end."""
    gap, steps, width = abs(codes[-1] - rest[0]), np.abs(np.diff(rest)), abs(rest[-1] - rest[0])
    near = steps[: max(1, min(len(steps), KEPT) // 2)].max()
    if side < 0 <= rest[0] and gap >= 2 * near and 2 * max(abs(codes)) < max(rest[-1], 4):
        return True  # below zero, where nothing else is, and no half of a scale such as -2 to 2
    digit = side > 0 and len(codes) == 1 and codes[0] < 10
    return gap >= APART * near and gap >= (1 if digit else WIDE) * width
