"""Formulas as other programs write them, each with what to type here."""

from __future__ import annotations

import re

TYPED = "make it a column of its own first, data['new'] = ..., and write new in the formula"

OTHER_ROWS = {"lag": "shift(1)", "lead": "shift(-1)", "diff": "diff()", "shift": "shift(1)"}
# names and functions that other dialects have, and what stands for them
FOREIGN = {
    "TRUE": "R's TRUE and FALSE are True and False",
    "FALSE": "R's TRUE and FALSE are True and False",
    "NULL": "R's NULL and NA have no place in a formula; leave the argument out",
    "NA": "R's NULL and NA have no place in a formula; leave the argument out",
    "ns()": "ns(x, df=3) is cr(x, df=3, constraints='center') here",
    "rcs()": "rcs(x, 4) is cr(x, df=3, constraints='center') here",
    "offset()": "an offset is subtracted from the outcome here: I(y - x) ~ ...",
    "ln()": "ln(x) is log(x) here",
    "Q()": "Q('a b') is `a b` in backticks here",
    "relevel()": "relevel(k, ref='b') is C(k, Treatment('b')) here",
    "interaction()": "interaction(a, b) is a:b here",
    "ifelse()": "ifelse(x > 0, 1, 0) is I(x > 0) here",
    "cut()": (
        "cut(x, 3) is a column that pandas makes: data['x_cut'] = pd.cut(data['x'], 3).astype(str)"
    ),
    "mo()": "a monotone effect is not fitted; C(k) gives every level its own",
    "pow()": "pow(x, 2) is I(x**2) here",
}
for name in ("factor", "ordered", "as_factor", "categorical"):
    FOREIGN[f"{name}()"] = f"{name}(k) is C(k) here"
for name in ("s", "te", "ti", "t2", "lo", "gp"):
    FOREIGN[f"{name}()"] = f"{name}(x), a smooth curve, is bs(x, df=4) here"
for name, method in OTHER_ROWS.items():
    FOREIGN[f"{name}()"] = (
        f"{name}(x) looks at other rows, and rows are independent here; make it a column first, "
        f"data['before'] = data['x'].{method}"
    )
# what no grammar here can read, or would misread: a pattern, and what to say of what it finds
PATTERNS = (
    (
        r"\[[^\]]*~[^\]]*\]",
        "an instrument stands in the treatment's own formula: treatment='t ~ x + z'",
    ),
    (
        r"\(\s*[^()|]+\|\|?[^()|]+\)",
        "{0}: random effects are not fitted; C(k) gives every group an intercept of its own",
    ),
    (
        r"\|",
        (
            "what stands behind '|' (instruments, fixed effects) has a formula of its own here: "
            "the instruments are terms of treatment='t ~ x + z' alone, fixed effects are C(k) in "
            "both formulas"
        ),
    ),
    (r"\bas\.(?:factor|character|ordered)\(\s*([^()]*?)\s*\)", "{0} is C({1}) here"),
    (
        r"\bas\.(?:numeric|integer|double|logical)\(\s*([^()]*?)\s*\)",
        "{0} is {1} here, if {1} holds numbers",
    ),
    (
        r"#+",
        (
            "a product with both its parts, '##' in Stata, is '*' here, and the product alone, "
            "'#', is ':'"
        ),
    ),
    (
        r"\bib?\d*\.([A-Za-z_]\w*)",
        "{0} is C({1}) here; a column's name with a dot stands in backticks: `{0}`",
    ),
    (
        r"\bc\.([A-Za-z_]\w*)",
        "{0} is {1} here; a column's name with a dot stands in backticks: `{0}`",
    ),
    (
        r"\b([LFDS])\d*\.([A-Za-z_]\w*)",
        (
            "{0} looks at other rows, and rows are independent here; make it a column first, "
            "data['before'] = data['{2}'].shift(1); a column's name with a dot stands in "
            "backticks: `{0}`"
        ),
    ),
    (r"\b(\w+)\$(\w+)", "{0} is {2} here: the data are an argument of their own"),
    (
        r"(?<![\w.])(\.)(?![\w.])",
        "'.' stands for every other column in R; write the columns out here",
    ),
    (r"(?<![\w.])([A-Za-z_]\w*)\^(\d+)", "{0} is I({1}**{2}) here"),
    (
        r"(?<![\w.)])([A-Za-z_]\w*)\s*\*\*\s*(\d+)",
        "{0} outside of I(...) is {1} itself; write I({1}**{2})",
    ),
    (r":=|(?<![=<>!])=(?!=)", "'=' is '~' here: outcome='y ~ t + x'"),
)

NAME = r"(?:`[^`]+`|[A-Za-z_][\w.]*)"
NAME_LIST = rf"{NAME}(?:\s*(?:[,&]|\band\b)\s*{NAME})+"
SEVERAL = rf"\s*(?:cbind|mvbind|c|list)?\s*[(\[{{]?\s*({NAME_LIST})\s*[)\]}}]?\s*"


def several(text: str, argument: str) -> str:
    """What to type instead of several names on the left, or several formulas.

    Empty if there is one of each.
    """
    left = text.partition("~")[0]
    if blank(text).count("~") > 1 and re.search(r"[;\n]", text.strip()):
        return one_at_a_time(text, re.findall(rf"(?:^|[;\n])\s*({NAME})\s*~", text), argument)
    if together := re.fullmatch(SEVERAL, left):
        names = [name for name in re.findall(NAME, together[1]) if name != "and"]
        return one_at_a_time(left.strip(), names, argument)
    return ""


def one_at_a_time(whole: str, names: list[str], argument: str) -> str:
    """Of several responses: one, and the others after it."""
    first, *others = names if len(names) > 1 else ["t", "u"]
    if argument == "outcome":
        return (
            f"{whole!r} is more than one term; accepted is one outcome at a time, a design each: "
            f"'{first} ~ ...', then '{others[0]} ~ ...'"
        )
    more = " + ".join(others)
    return (
        f"{whole!r} is more than one term, and a joint model has one treatment at a time; accepted "
        f"is one, with what is left among the covariates of both formulas: treatment='{first} ~ "
        f"{more} + ...' and outcome='y ~ {first} + {more} + ...'; then the next in its turn"
    )


def of_product(first: str, second: str) -> str:
    """How the effect of a product is asked for, as a difference in differences is one."""
    return (
        f"the one with the other as its moderator: outcome='y ~ {first} * {second} + ...' and "
        f"treatment='{first} ~ {second} + ...', whose report tells the difference in differences "
        "where both are 0 or 1"
    )


def blank(text: str) -> str:
    """A formula with what stands in backticks, quotes or braces blanked out."""
    return re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", lambda quoted: "_" * len(quoted[0]), text)


def foreign(text: str) -> str:
    """What to type instead of a formula in another dialect; empty if there is nothing to say."""
    blanked = blank(text)
    for pattern, instead in PATTERNS:
        for match in re.finditer(pattern, blanked):
            if not _inside_call(blanked, match.start()):
                return instead.format(match[0], *match.groups())
    return ""


def _inside_call(text, place):
    """Whether a place lies in the parentheses of a function or in braces, where Python is read."""
    calls = []  # for each parenthesis or brace that is open there, whether it is of such a kind
    for before, mark in zip(" " + text, text[:place]):
        if mark == "{":
            calls.append(True)
        elif mark == "(":
            calls.append(before.isalnum() or before in "_.")
        elif mark in ")}" and calls:
            calls.pop()
    return any(calls)
