"""One factor of a formula, such as ``log(x)``: checked, then computed from a list of functions.

Nothing is ever handed to Python's `eval`: a factor is a small tree of names, numbers, arithmetic,
comparisons and calls of the functions listed here, and whatever else it holds is refused before
anything is computed.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from formulaic.materializers.types import FactorValues
from formulaic.parser.types import Factor
from formulaic.transforms import TRANSFORMS

from which_world.tables.dialects import FOREIGN, TYPED

ARITHMETIC = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
}
LOGIC = {ast.BitAnd: np.logical_and, ast.BitOr: np.logical_or, ast.Invert: np.logical_not}
COMPARISON = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
SIGNS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
# of NumPy's functions of numbers, those that may be called without np.
PLAIN = tuple(
    "abs sign sqrt cbrt square exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan"
    " sinh cosh tanh arcsinh arccosh arctanh floor ceil minimum maximum".split()
)
SHAPING = ("C", "I", "scale", "center", "standardize", "poly", "bs", "cr", "cs", "cc")
CONTRASTS = {name: TRANSFORMS[name] for name in ("Treatment", "Sum", "Helmert", "Diff", "Poly")} | {
    f"contr.{name}": getattr(TRANSFORMS["contr"], name)
    for name in ("treatment", "SAS", "sum", "helmert", "diff", "poly")
}
Values = Any  # of a factor: a Series, an array, a number, or what formulaic makes of a category
LISTED = (
    f"{', '.join(SHAPING)}, {', '.join(PLAIN)}, and NumPy's other functions of one or two numbers, "
    "such as np.hypot"
)


def parse(text: str) -> ast.expr:
    """The tree of a factor, such as ``log(x)``, whose every part is allowed.

    A ValueError names what is not, and what to write instead.
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} cannot be read; {TYPED}.") from error
    _check(tree, text)
    if not names(tree):
        raise ValueError(f"{text!r} names no column, so it is the same in every row; {TYPED}.")
    return tree


def names(tree: ast.AST) -> dict[str, bool]:
    """Names of the columns in a tree: whether each is only ever made a category, by C(...)."""
    categories: dict[str, bool] = {}
    for name, category in _columns(tree, False):
        categories[name] = category and categories.get(name, True)
    return categories


def _columns(node, category):
    """Each name of a column in a tree, and whether it stands in C(...) there."""
    if isinstance(node, ast.Name):
        yield node.id, category
        return
    if isinstance(node, ast.Attribute):
        return
    parts = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Call):
        category = dotted(node.func) == "C"
        parts = node.args[:1] if category else node.args  # the others are contrasts of a C(...)
    for part in parts:
        yield from _columns(part, category)


def dotted(node: ast.AST) -> str:
    """``np.log`` of a name or an attribute of a name; empty for anything else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def allowed(name: str) -> Callable[..., Values] | None:
    """A function that a formula may call, by its name there; None if it may not."""
    if name in SHAPING:
        return TRANSFORMS[name]
    bare = name.removeprefix("np.")
    if bare == name and name not in PLAIN:
        return None
    known = getattr(np, bare, None)
    if not isinstance(known, np.ufunc) or known.signature is not None:
        return None
    return known if known.nout == 1 and known.nin <= 2 else None


def _check(node, text):
    """Refuse a part of a factor that is not allowed, or holds a part that is not."""
    if isinstance(node, ast.Call):
        return _check_call(node, text)
    if isinstance(node, ast.Constant) and _is_plain(node.value):
        return None
    if isinstance(node, ast.Name) and not node.id.startswith("__"):
        return None
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC | LOGIC:
        parts = [node.left, node.right]
    elif isinstance(node, ast.UnaryOp) and type(node.op) in ARITHMETIC | LOGIC:
        parts = [node.operand]
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISON:
        parts = [node.left, *node.comparators]
    else:
        raise ValueError(f"{text!r}: {_instead(node)}.")
    for part in parts:
        _check(part, text)
    return None


def _is_plain(value):
    """Whether a constant is a number that arithmetic can use, a truth value, text or None."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return abs(value) < 1e300
    return isinstance(value, (bool, str, type(None)))


def _check_call(node, text):
    """Refuse a call of a function that is not allowed, or of more than it may be given."""
    name = dotted(node.func)
    known = allowed(name)
    if known is None:
        unknown = (
            f"{name or ast.unparse(node.func)}() is no function that a formula may call, which are "
            f"{LISTED}; {TYPED}"
        )
        raise ValueError(f"{text!r}: {FOREIGN.get(f'{name}()', unknown)}.")
    of_numbers = isinstance(known, np.ufunc)
    # what else a function of numbers takes, it would write into
    if of_numbers and (node.keywords or len(node.args) != known.nin):
        count = "1 argument" if known.nin == 1 else f"{known.nin} arguments"
        raise ValueError(f"{text!r}: {name}() is accepted with {count}.")
    if any(isinstance(part, ast.Starred) for part in node.args) or not node.args:
        raise ValueError(f"{text!r}: {name}() is accepted with a column first; {TYPED}.")
    columns = node.args if of_numbers else node.args[:1]
    options = [*node.args[len(columns) :], *(option.value for option in node.keywords)]
    for part in columns:
        _check(part, text)
    for part in options:
        _check_option(part, text)
    for option in node.keywords:
        if not option.arg or option.arg.startswith("_"):
            raise ValueError(f"{text!r}: {option.arg or '**'} is no option of {name}().")


def _check_option(node, text):
    """Refuse an option of a function that is no number, text, list of them, or contrast."""
    target = node.func if isinstance(node, ast.Call) else node
    parts = []
    if dotted(target) in CONTRASTS:
        if isinstance(node, ast.Call):
            parts = [*node.args, *(option.value for option in node.keywords)]
    elif isinstance(node, (ast.List, ast.Tuple)):
        parts = node.elts
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        parts = [node.operand]
    elif isinstance(node, ast.Constant):
        _check(node, text)
    else:
        hint = FOREIGN.get(dotted(target)) or f"{ast.unparse(node)!r} is no option"
        raise ValueError(
            f"{text!r}: {hint}; accepted are numbers, text, lists of them and contrasts."
        )
    for part in parts:
        _check_option(part, text)


def _instead(node):
    """Why a part of a tree is refused, and what to write in its stead."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
        left, right = map(ast.unparse, (node.left, node.right))
        return f"{left}^{right} is {left}**{right} in Python"
    negated = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    if negated or isinstance(node, ast.BoolOp):
        return (
            "'and', 'or' and 'not' are &, | and ~ between columns, each side in parentheses: (a > "
            "0) & (b > 0)"
        )
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        return "one comparison at a time, each in parentheses: (0 < x) & (x < 1)"
    return f"{ast.unparse(node)!r} is no part of a formula; {TYPED}"


def compute(
    tree: ast.expr,
    data: pd.DataFrame,
    undefined: dict[str, tuple[np.ndarray, tuple[str, ...]]] | None = None,
) -> Values:
    """The values of a factor, row by row, from its tree.

    Parameters
    ----------
    data : DataFrame
        Its columns as `columns.for_formulas` gives them. Before anything is worked out from them,
        whole numbers, truth values and short floats become real numbers, so nothing overflows; what
        a category is made of stays as it is.
    undefined : dict, optional
        Filled with the rows in which a part of the factor is undefined or infinite while what it is
        made of is not: ``{"log(x)": (mask, names)}``.
    """
    if isinstance(tree, ast.Constant):
        return tree.value
    if isinstance(tree, ast.Name):
        return data[tree.id]
    if isinstance(tree, ast.Call) and not isinstance(allowed(dotted(tree.func)), np.ufunc):
        first, *rest = tree.args
        options = {option.arg: _option(option.value) for option in tree.keywords}
        value = compute(first, data, undefined)
        return _shape(tree, value, [_option(part) for part in rest], options)
    if isinstance(tree, ast.Compare):
        sides, sign = (tree.left, *tree.comparators), type(tree.ops[0])
        values = [compute(side, data, undefined) for side in sides]
        _check_alike(values, sides, sign)
        return COMPARISON[sign](*map(real, values))
    operation, parts = _operation(tree)
    values = [_real(compute(part, data, undefined), part) for part in parts]
    with np.errstate(all="ignore"):
        result = operation(*values)
    if undefined is not None and np.ndim(result):
        bad = _bad(result, values)
        if bad.any():
            undefined[ast.unparse(tree)] = bad, tuple(names(tree))
    return result


def _bad(result, values):
    """The rows in which a result is undefined or infinite, while what it is made of is not."""
    bad = ~np.isfinite(np.asarray(result, dtype=float))
    for value in values:
        bad &= np.isfinite(np.asarray(value))
    return bad


def real(value: Values) -> Values:
    """A factor's numbers and truth values as double precision, which no product wraps.

    A category stays as it is.
    """
    dtype = getattr(value, "dtype", None)
    if dtype is None or isinstance(value, FactorValues) or not np.ndim(value):
        return value
    # a truth value is a number to pandas
    return value.astype(float) if pd.api.types.is_numeric_dtype(dtype) else value


def _inner(tree):
    """What stands in I(...), or a tree without it."""
    return tree.args[0] if isinstance(tree, ast.Call) and dotted(tree.func) == "I" else tree


def is_truth(tree: ast.expr, data: pd.DataFrame) -> bool:
    """Whether a factor is true or false: two levels, which add up to a constant, as elsewhere."""
    inner = _inner(tree)
    if isinstance(inner, ast.Name):
        return pd.api.types.is_bool_dtype(data[inner.id])
    if isinstance(inner, (ast.BinOp, ast.UnaryOp)):
        return type(inner.op) in LOGIC
    return isinstance(inner, ast.Compare)


def compared_with_text(tree: ast.expr) -> tuple[str, str] | None:
    """The column and the text of a factor that asks whether one is the other; else None."""
    inner = _inner(tree)
    if not isinstance(inner, ast.Compare) or not isinstance(inner.ops[0], (ast.Eq, ast.NotEq)):
        return None
    column, text = "", None
    for side in (inner.left, *inner.comparators):
        if isinstance(side, ast.Name):
            column = column or side.id
        elif isinstance(side, ast.Constant) and isinstance(side.value, str) and text is None:
            text = side.value
    return None if not column or text is None else (column, text)


def of_columns(tree: ast.expr) -> list[str]:
    """The functions in a tree that look at a whole column.

    What they give for a row depends on the others.
    """
    calls = (dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [name for name in dict.fromkeys(calls) if name in SHAPING and name not in ("C", "I")]


def is_category(value: Values) -> bool:
    """Whether a factor's values are levels and no numbers."""
    if isinstance(value, FactorValues):
        return value.__formulaic_metadata__.kind is Factor.Kind.CATEGORICAL
    dtype, kinds = getattr(value, "dtype", float), pd.api.types
    categorical = isinstance(dtype, pd.CategoricalDtype)
    return categorical or kinds.is_object_dtype(dtype) or kinds.is_string_dtype(dtype)


def bare(value: Values) -> pd.Series:
    """A factor's values as a Series, without what it says of its coding."""
    return pd.Series(value.__wrapped__ if isinstance(value, FactorValues) else value)


def with_levels(value: Values, levels: Sequence) -> Values:
    """A category's values with the levels that it has in other rows as well."""
    values = bare(value)
    category = pd.Categorical(values.astype(object), categories=levels)
    whole = pd.Series(category, index=values.index)
    if isinstance(value, FactorValues):
        return FactorValues(whole, metadata=value.__formulaic_metadata__)
    return whole


def _operation(tree):
    """The function that a tree is computed with, and the parts that it is given."""
    if isinstance(tree, ast.Call):
        return allowed(dotted(tree.func)), tree.args
    parts = [tree.operand] if isinstance(tree, ast.UnaryOp) else [tree.left, tree.right]
    return (ARITHMETIC | LOGIC)[type(tree.op)], parts


def _real(value, node):
    """A value as real numbers, with which whole powers neither overflow nor run for ever."""
    dtype = getattr(value, "dtype", None)
    scalar = np.isscalar(value)
    if isinstance(value, FactorValues) or not (scalar or pd.api.types.is_numeric_dtype(dtype)):
        raise ValueError(f"{ast.unparse(node)!r} holds no numbers to compute with; {TYPED}.")
    if isinstance(value, str):
        raise ValueError(f"{value!r} is text and no number to compute with; {TYPED}.")
    return np.float64(value) if scalar else value.astype(float)


def _kind(value):
    """What a side of a comparison holds, "numbers" or "text"; empty where that cannot be told."""
    if isinstance(value, (str, bool, int, float)):
        return "text" if isinstance(value, str) else "numbers"
    dtype = None if value is None else bare(value).dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    if pd.api.types.is_string_dtype(dtype):
        return "text"
    return "numbers" if pd.api.types.is_numeric_dtype(dtype) else ""


def _check_alike(values, sides, sign):
    """Refuse to compare numbers with text: no row is ever equal, and none can be larger."""
    kinds = [_kind(value) for value in values]
    if set(kinds) != {"numbers", "text"}:
        return
    written = [ast.unparse(side) for side in sides]
    instead = ""
    constants = [k for k, side in enumerate(sides) if isinstance(side, ast.Constant)]
    if constants:
        constant, pair = constants[0], list(written)
        pair[constant] = repr(_meant(sides[constant].value, bare(values[1 - constant])))
        instead = f": write {pair[0]} {SIGNS[sign]} {pair[1]}"
    raise ValueError(
        f"one side, {written[0]}, is {kinds[0]} and the other, {written[1]}, is {kinds[1]}, and no "
        f"number is ever equal to a text; accepted are two sides of one kind{instead}"
    )


def _meant(constant, column):
    """A value of a column for a constant that it is compared with.

    What the constant looks like, or else the first that is there.
    """
    values = sorted(column.dropna().unique())
    same = [value for value in values if str(value) in (str(constant), f"{constant}.0")]
    meant = (same or values or [constant])[0]
    meant = meant.item() if isinstance(meant, np.generic) else meant
    return int(meant) if isinstance(meant, float) and meant % 1 == 0 else meant


def _shape(tree, value, rest, options):
    """The values of a call of a function that shapes columns."""
    if "levels" in options:
        strangers = set(pd.unique(pd.Series(value))) - set(options["levels"])
        if strangers:
            raise ValueError(
                f"{ast.unparse(tree)!r} leaves out the levels {sorted(map(str, strangers))}, which "
                "the data have."
            )
    name = dotted(tree.func)
    value = value if name in ("C", "I") else real(value)
    return allowed(name)(value, *rest, **options)


def _option(node):
    """A number, text, list or contrast from the tree of an option."""
    target = node.func if isinstance(node, ast.Call) else node
    contrast = CONTRASTS.get(dotted(target))
    if contrast is not None:
        if not isinstance(node, ast.Call):
            return contrast
        named = {option.arg: _option(option.value) for option in node.keywords}
        return contrast(*map(_option, node.args), **named)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_option(part) for part in node.elts]
    return -_option(node.operand) if isinstance(node, ast.UnaryOp) else node.value
