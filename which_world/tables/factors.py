"""One factor of a formula, such as ``log(x)``: checked as a whole, then computed from a list of functions.

Nothing is ever handed to Python's `eval`: a factor is a small tree of names, numbers, arithmetic,
comparisons and calls of the functions listed here, and whatever else it holds is refused before
anything is computed.
"""

import ast
import operator

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
PLAIN = (
    "abs",
    "sign",
    "sqrt",
    "cbrt",
    "square",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "arccosh",
    "arctanh",
    "floor",
    "ceil",
    "minimum",
    "maximum",
)
SHAPING = ("C", "I", "scale", "center", "standardize", "poly", "bs", "cr", "cs", "cc")
CONTRASTS = {name: TRANSFORMS[name] for name in ("Treatment", "Sum", "Helmert", "Diff", "Poly")} | {
    f"contr.{name}": getattr(TRANSFORMS["contr"], name)
    for name in ("treatment", "SAS", "sum", "helmert", "diff", "poly")
}
LISTED = (
    f"{', '.join(SHAPING)}, {', '.join(PLAIN)}, and NumPy's other functions of one or two numbers, "
    "such as np.hypot"
)


def parse(text):
    """The tree of a factor whose every part is allowed.

    Parameters
    ----------
    text : str
        As the formula has it: ``log(x)``.

    Returns
    -------
    ast.expr

    Raises
    ------
    ValueError
        Naming what is not allowed, and what to write instead.
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} cannot be read; {TYPED}.") from error
    _check(tree, text)
    if not names(tree):
        raise ValueError(f"{text!r} names no column, so it is the same in every row; {TYPED}.")
    return tree


def names(tree):
    """Names of the columns in a tree: whether each is only ever made a category, by C(...)."""
    found = {}
    for node, inside in _columns(tree, False):
        found[node.id] = inside and found.get(node.id, True)
    return found


def _columns(node, category):
    if isinstance(node, ast.Name):
        yield node, category
        return
    parts = ast.iter_child_nodes(node)
    if isinstance(node, ast.Call):
        made = dotted(node.func) == "C"
        parts = (
            node.args[:1] if made else node.args
        )  # what follows in C(...) is about its contrasts
        category = made
    elif isinstance(node, ast.Attribute):
        return
    for part in parts:
        yield from _columns(part, category)


def dotted(node):
    """``np.log`` of a name or an attribute of a name; empty for anything else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def function(name):
    """A function that a formula may call, by its name there; None if it may not."""
    if name in SHAPING:
        return TRANSFORMS[name]
    bare = name.removeprefix("np.")
    found = getattr(np, bare, None)
    plain = (
        isinstance(found, np.ufunc)
        and found.nout == 1
        and found.nin <= 2
        and found.signature is None
    )
    return found if plain and (bare != name or name in PLAIN) else None


def _check(node, text):
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
    return isinstance(value, (bool, str, type(None))) or (
        isinstance(value, (int, float)) and abs(value) < 1e300
    )


def _check_call(node, text):
    name = dotted(node.func)
    known = function(name)
    if known is None:
        own = (
            f"{name or ast.unparse(node.func)}() is no function that a formula may call, which are "
            f"{LISTED}; {TYPED}"
        )
        raise ValueError(f"{text!r}: {FOREIGN.get(f'{name}()', own)}.")
    ufunc = isinstance(known, np.ufunc)
    if ufunc and (
        node.keywords or len(node.args) != known.nin
    ):  # what else it takes, it would write into
        raise ValueError(
            f"{text!r}: {name}() is accepted with {known.nin} argument{'s' * (known.nin > 1)}."
        )
    if any(isinstance(part, ast.Starred) for part in node.args) or not node.args:
        raise ValueError(f"{text!r}: {name}() is accepted with a column first; {TYPED}.")
    for part in node.args if ufunc else node.args[:1]:
        _check(part, text)
    for part in [] if ufunc else node.args[1:] + [option.value for option in node.keywords]:
        _check_option(part, text)
    for option in node.keywords:
        if not option.arg or option.arg.startswith("_"):
            raise ValueError(f"{text!r}: {option.arg or '**'} is no option of {name}().")


def _check_option(node, text):
    """An option of a function that shapes columns: a number, text, a list of them, or a contrast."""
    target = node.func if isinstance(node, ast.Call) else node
    if dotted(target) in CONTRASTS:
        parts = (
            [*node.args, *(option.value for option in node.keywords)]
            if isinstance(node, ast.Call)
            else []
        )
    elif isinstance(node, (ast.List, ast.Tuple)):
        parts = node.elts
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        parts = [node.operand]
    elif isinstance(node, ast.Constant):
        return _check(node, text)
    else:
        hint = FOREIGN.get(dotted(target)) or f"{ast.unparse(node)!r} is no option"
        raise ValueError(
            f"{text!r}: {hint}; accepted are numbers, text, lists of them and contrasts."
        )
    for part in parts:
        _check_option(part, text)
    return None


def _instead(node):
    """Why a part of a tree is refused, and what to write in its stead."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
        left, right = map(ast.unparse, (node.left, node.right))
        return f"{left}^{right} is {left}**{right} in Python"
    if isinstance(node, ast.BoolOp) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    ):
        return (
            "'and', 'or' and 'not' are &, | and ~ between columns, each side in parentheses: (a > "
            "0) & (b > 0)"
        )
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        return "one comparison at a time, each in parentheses: (0 < x) & (x < 1)"
    return f"{ast.unparse(node)!r} is no part of a formula; {TYPED}"


def compute(tree, data, undefined=None):
    """The values of a factor, row by row.

    Parameters
    ----------
    tree : ast.expr
        From `parse`.
    data : DataFrame
        Its columns as `columns.for_formulas` gives them. Before anything is worked out from them, whole
        numbers, truth values and short floats become real numbers, so nothing overflows; what a
        category is made of stays as it is.
    undefined : dict, optional
        Filled with the rows in which a part of the factor is undefined or infinite while what it is
        made of is not: ``{"log(x)": (mask, names)}``.

    Returns
    -------
    Series, ndarray or what formulaic makes of a categorical factor or one of several columns
    """
    if isinstance(tree, ast.Constant):
        return tree.value
    if isinstance(tree, ast.Name):
        return data[tree.id]
    if isinstance(tree, ast.Call) and not isinstance(function(dotted(tree.func)), np.ufunc):
        first, *rest = tree.args
        options = {option.arg: _option(option.value) for option in tree.keywords}
        return _shape(
            tree, compute(first, data, undefined), [_option(part) for part in rest], options
        )
    if isinstance(tree, ast.Compare):
        parts = tree.left, *tree.comparators
        sides = [compute(part, data, undefined) for part in parts]
        _check_alike(sides, parts, type(tree.ops[0]))
        return COMPARISON[type(tree.ops[0])](*map(real, sides))
    known, parts = _operation(tree)
    parts = [_real(compute(part, data, undefined), part) for part in parts]
    with np.errstate(all="ignore"):
        result = known(*parts)
    if undefined is not None and np.ndim(result):
        bad = ~np.isfinite(np.asarray(result, dtype=float))
        bad &= np.all(
            [np.broadcast_to(np.isfinite(np.asarray(part)), bad.shape) for part in parts], axis=0
        )
        if bad.any():
            undefined[ast.unparse(tree)] = bad, tuple(names(tree))
    return result


def real(value):
    """A factor's numbers and truth values as double precision, which no product wraps; a category as it is."""
    dtype = getattr(value, "dtype", None)
    number = dtype is not None and pd.api.types.is_numeric_dtype(
        dtype
    )  # a truth value is one to pandas
    return (
        value.astype(float)
        if number and np.ndim(value) and not isinstance(value, FactorValues)
        else value
    )


def is_truth(tree, data):
    """Whether a factor is true or false: two levels, which add up to a constant, as elsewhere."""
    inner = tree.args[0] if isinstance(tree, ast.Call) and dotted(tree.func) == "I" else tree
    if isinstance(inner, ast.Name):
        return pd.api.types.is_bool_dtype(data[inner.id])
    return isinstance(inner, ast.Compare) or (
        isinstance(inner, (ast.BinOp, ast.UnaryOp)) and type(inner.op) in LOGIC
    )


def compared(tree):
    """The column and the text of a factor that is nothing but the question whether one is the other; or None."""
    inner = tree.args[0] if isinstance(tree, ast.Call) and dotted(tree.func) == "I" else tree
    if not isinstance(inner, ast.Compare) or type(inner.ops[0]) not in (ast.Eq, ast.NotEq):
        return None
    sides = inner.left, *inner.comparators
    column = [part.id for part in sides if isinstance(part, ast.Name)]
    text = [
        part.value
        for part in sides
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]
    return (column[0], text[0]) if column and text else None


def of_columns(tree):
    """The functions in a tree that look at a whole column: what they give for a row depends on the others."""
    calls = (dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [name for name in dict.fromkeys(calls) if name in SHAPING and name not in ("C", "I")]


def is_category(value):
    """Whether a factor's values are levels and no numbers."""
    if isinstance(value, FactorValues):
        return value.__formulaic_metadata__.kind is Factor.Kind.CATEGORICAL
    dtype = getattr(value, "dtype", None)
    return (
        isinstance(dtype, pd.CategoricalDtype)
        or pd.api.types.is_object_dtype(dtype)
        or pd.api.types.is_string_dtype(dtype)
    )


def bare(value):
    """A factor's values as a Series, without what it says of its coding."""
    return pd.Series(value.__wrapped__ if isinstance(value, FactorValues) else value)


def with_levels(value, levels):
    """A category's values with the levels that it has in other rows as well."""
    found = bare(value)
    whole = pd.Series(pd.Categorical(found.astype(object), categories=levels), index=found.index)
    return (
        FactorValues(whole, metadata=value.__formulaic_metadata__)
        if isinstance(value, FactorValues)
        else whole
    )


def _operation(tree):
    if isinstance(tree, ast.Call):
        return function(dotted(tree.func)), tree.args
    parts = [tree.operand] if isinstance(tree, ast.UnaryOp) else [tree.left, tree.right]
    return (ARITHMETIC | LOGIC)[type(tree.op)], parts


def _real(value, node):
    """A value as real numbers, with which whole powers neither overflow nor run for ever."""
    if isinstance(value, FactorValues) or not (
        np.isscalar(value) or pd.api.types.is_numeric_dtype(getattr(value, "dtype", None))
    ):
        raise ValueError(f"{ast.unparse(node)!r} holds no numbers to compute with; {TYPED}.")
    if isinstance(value, str):
        raise ValueError(f"{value!r} is text and no number to compute with; {TYPED}.")
    return np.float64(value) if np.isscalar(value) else value.astype(float)


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


def _check_alike(sides, parts, sign):
    """Refuse to compare numbers with text: no row is ever equal, and none can be larger."""
    kinds = [_kind(side) for side in sides]
    if set(kinds) != {"numbers", "text"}:
        return
    written, instead = [ast.unparse(part) for part in parts], ""
    other = next((k for k, part in enumerate(parts) if isinstance(part, ast.Constant)), None)
    if other is not None:
        pair = list(written)
        pair[other] = repr(_meant(parts[other].value, bare(sides[1 - other])))
        instead = f": write {pair[0]} {SIGNS[sign]} {pair[1]}"
    raise ValueError(
        f"one side, {written[0]}, is {kinds[0]} and the other, {written[1]}, is {kinds[1]}, and no "
        f"number is ever equal to a text; accepted are two sides of one kind{instead}"
    )


def _meant(constant, column):
    """A constant as a value of the column that it is compared with: what it looks like, or the first that is there."""
    values = sorted(column.dropna().unique())
    same = [each for each in values if str(each) == str(constant) or str(each) == f"{constant}.0"]
    found = (same or values or [constant])[0]
    found = found.item() if isinstance(found, np.generic) else found
    return int(found) if isinstance(found, float) and found % 1 == 0 else found


def _shape(tree, value, rest, options):
    """A call of a function that shapes columns."""
    if "levels" in options and (
        strange := set(pd.unique(pd.Series(value))) - set(options["levels"])
    ):
        raise ValueError(
            f"{ast.unparse(tree)!r} leaves out the levels {sorted(map(str, strange))}, which the "
            "data have."
        )
    name = dotted(tree.func)
    return function(name)(value if name in ("C", "I") else real(value), *rest, **options)


def _option(node):
    """A number, text, list or contrast from the tree of an option."""
    target = node.func if isinstance(node, ast.Call) else node
    if (contrast := CONTRASTS.get(dotted(target))) is not None:
        if not isinstance(node, ast.Call):
            return contrast
        return contrast(
            *map(_option, node.args),
            **{option.arg: _option(option.value) for option in node.keywords},
        )
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_option(part) for part in node.elts]
    return -_option(node.operand) if isinstance(node, ast.UnaryOp) else node.value
