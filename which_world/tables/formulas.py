"""Two formulas against a data frame: their columns over the same rows, or a refusal.

A refusal says what is accepted.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, NamedTuple, NoReturn

import formulaic
import narwhals.stable.v1 as narwhals
import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from formulaic.materializers import PandasMaterializer
from formulaic.parser import DefaultFormulaParser
from formulaic.parser.types import ASTNode, Factor, Term, Token

from which_world import arguments
from which_world.tables import codes, columns, factors
from which_world.tables.dialects import foreign, of_product, one_at_a_time, several

Undefined = dict[str, tuple[np.ndarray, tuple[str, ...]]]  # rows and names, by part of a formula

TAKEN = set(keyword.kwlist) - {"True", "False", "None", "and", "or", "not"}  # no name of a column
OWN_LABELS = ("Intercept", "intercept", "alpha")  # labels that the equations need for themselves


class ParsedFormula(NamedTuple):
    """A formula taken apart.

    Its text; the argument that it was given as; the factor on its left; the terms on its right,
    without an intercept, which it has or not; and each factor's tree, by the factor's text.
    """

    text: str
    argument: str
    response: Factor
    terms: tuple[Term, ...]
    intercept: bool
    trees: dict[str, ast.expr]

    @property
    def names(self) -> dict[str, bool]:
        """The columns it needs, and whether each is only ever made a category."""
        return merged(factors.names(tree) for tree in self.trees.values())

    def uses(self, term: Term | Factor) -> set[str]:
        """Names of the columns in a term or factor."""
        parts = term.factors if isinstance(term, Term) else [term]
        trees = [self.trees[part.expr] for part in parts if part.expr in self.trees]
        return set(merged(map(factors.names, trees)))


def merged(maps: Iterable[Mapping[str, bool]]) -> dict[str, bool]:
    """Names of columns from several places; one is only a category if it is so in all of them."""
    categories: dict[str, bool] = {}
    for names in maps:
        for name, category in names.items():
            categories[name] = category and categories.get(name, True)
    return categories


def parse(text: str, argument: str) -> ParsedFormula:
    """A formula, read and checked in every part before anything is computed.

    A TypeError or a ValueError says what to type instead.
    """
    if not isinstance(text, str):
        several_given = isinstance(text, (list, tuple, dict, set))
        one = ", one formula at a time" if several_given else ""
        raise TypeError(
            f"{argument}={arguments.brief(text)} is no formula; accepted is text such as "
            f"'y ~ t + x'{one}."
        )
    if instead := several(text, argument) or foreign(text):
        raise ValueError(f"{argument}={text!r}: {instead}.")
    text = re.sub(r"`([^\W\d]\w*)`", _bare, text)
    left, right = _sides(text, argument)
    _check_left(left, text, argument)
    _check_signs(right, text, argument)
    terms = list(_by_formulaic(text, argument, lambda: formulaic.Formula(text)).rhs)
    response = left.to_factor()
    every = [factor for term in terms for factor in term.factors if not _literal(factor)]
    used = {factor.expr: factor for factor in [*every, response]}
    trees = {name: _tree(factor, text, argument) for name, factor in used.items()}
    own_terms = tuple(term for term in terms if term != "1")
    return ParsedFormula(text, argument, response, own_terms, "1" in terms, trees)


def _sides(text, argument):
    """The two sides of a formula, as formulaic parses it."""
    tree = _by_formulaic(text, argument, lambda: DefaultFormulaParser().get_ast(text))
    if not isinstance(tree, ASTNode) or tree.operator.symbol != "~" or len(tree.args) != 2:
        raise ValueError(
            f"{argument}={text!r} is no formula; accepted is a two-sided formula such as 'y ~ t + "
            "x'."
        )
    return tree.args


def _check_left(left, text, argument):
    """Refuse several terms on the left."""
    if not isinstance(left, ASTNode):
        return
    whole = text.partition("~")[0].strip()
    signs, names = _parts(left)
    if argument == "treatment" and signs <= {"+", "*", ":"}:
        product = ""
        if signs == {":"} and len(names) == 2:
            product = f"; for the product alone, {of_product(*names)}"
        raise ValueError(f"{argument}={text!r}: {one_at_a_time(whole, names, argument)}{product}.")
    raise ValueError(
        f"{argument}={text!r}: {whole!r} is more than one term; accepted on the left is one name "
        f"or one function, and what is to be worked out stands in I(...): 'I({whole}) ~ ...'."
    )


def _parts(node):
    """The signs of one side of a formula, and what stands between them."""
    if not isinstance(node, ASTNode):
        return set(), [str(node)]
    signs, names = {node.operator.symbol}, []
    for part in node.args:
        more_signs, more_names = _parts(part)
        signs |= more_signs
        names += more_names
    return signs, names


def _bare(quoted):
    """A plain word without the backticks it does not need."""
    return quoted[0] if keyword.iskeyword(quoted[1]) else quoted[1]


def _by_formulaic(text, argument, read):
    try:
        return read()
    except (FormulaicError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{argument}={text!r} cannot be read as a formula such as 'y ~ t + x'; "
            f"{_hint_of_names(text)}."
        ) from error


def _hint_of_names(text):
    """How to write a name that cannot be read, a Python keyword among them."""
    words = re.findall(r"[^\W\d]\w*", re.sub(r"'[^']*'|\"[^\"]*\"", "", text))
    if taken := next((word for word in words if word in TAKEN), ""):
        return (
            f"{taken!r} is a Python keyword: a column of that name stands in backticks, `{taken}`; "
            f"inside a function, as in C(`{taken}`), only read_table and the command line know it, "
            "and make_design wants the column renamed"
        )
    return "a name with spaces or signs stands in backticks: `Body Mass (kg)`"


def _literal(factor):
    return factor.eval_method is Factor.EvalMethod.LITERAL


def _tree(factor, text, argument):
    """The checked tree of one factor; a name that is no plain word is sent back."""
    plain = factor.eval_method is Factor.EvalMethod.LOOKUP
    for name in [factor.expr] if plain else re.findall("`([^`]+)`", factor.expr):
        if not name.isidentifier() and f"`{name}`" in text:
            raise ValueError(
                f"{argument}={text!r}: {name!r} is no plain word; accepted are plain words: "
                "read_table(data, outcome=..., treatment=...) makes them, in the data and in the "
                "formulas."
            )
        if not name.isidentifier():
            raise ValueError(
                f"{argument}={text!r}: a column's name with a dot stands in backticks: `{name}`."
            )
    if plain:
        return ast.Name(id=factor.expr)
    try:
        return factors.parse(factor.expr)
    except ValueError as error:
        raise ValueError(f"{argument}={text!r}: {error}") from error


def _check_signs(node, text, argument):
    """Refuse signs outside of I(...) that only arithmetic could mean.

    They would be dropped or misread.
    """
    if not isinstance(node, ASTNode):
        return
    for part in node.args:
        _check_signs(part, text, argument)
    sign = node.operator.symbol
    numbers = [
        part.token
        for part in node.args
        if not isinstance(part, ASTNode) and part.kind is Token.Kind.VALUE
    ]
    if sign in ("*", "/") and numbers:
        raise ValueError(
            f"{argument}={text!r}: '{sign}' with the number {numbers[0]} is arithmetic, which "
            f"stands in I(...): I(x {sign} {numbers[0]})."
        )
    if sign == "-" and len(node.args) == 2:
        kept, gone = (set(map(str, part.to_terms(context={}))) for part in node.args)
        if strange := sorted(gone - kept - {"1"}):
            raise ValueError(
                f"{argument}={text!r}: '- {strange[0]}' takes out a term that is not there; a "
                "difference that is to be worked out stands in I(...): I(post - pre)."
            )


def usable(
    data: pd.DataFrame, equations: Sequence[ParsedFormula], *, whole: bool = True
) -> tuple[pd.DataFrame, list[str]]:
    """The columns that formulas need, with a fresh index, and sentences on what was decided.

    `whole` says if these are all rows; columns are as `columns.for_formulas` gives them. A
    TypeError or a ValueError names a column that is not there, has missing or infinite values, or
    holds what no equation can use.
    """
    for equation in equations:
        check_names(data.columns, equation)
        holes = data[sorted(equation.names)].isna().sum()
        counts = {str(name): int(count) for name, count in holes.items() if count}
        refuse_holes(counts, len(data), equation)
    kept: dict[str, pd.Series] = {}
    notes, rows = notes_of(data) + shared(equations), data.reset_index(drop=True)
    for name, categorical in merged(equation.names for equation in equations).items():
        column = columns.for_formulas(rows[name], name, categorical=categorical, whole=whole)
        kept[name] = column
        if whole and isinstance(rows.dtypes[name], pd.CategoricalDtype):
            gone = rows[name].cat.categories.difference(column.cat.categories, sort=False)
            notes += [without_rows(name, level) for level in gone]
        if whole and measured(column, categorical):
            notes += codes.ask(codes.ends(column), name, len(rows))
        if pd.api.types.is_float_dtype(column):
            first = next(equation for equation in equations if name in equation.names)
            check_finite(column, name, first.argument)
    if whole:
        texts = {name: column.unique() for name, column in kept.items() if _text(column)}
        check_compared(equations, texts)
    return pd.DataFrame(kept), notes


def without_rows(name: str, level: object) -> str:
    """What to say of a level without rows."""
    return f"{name} has no row of the level {str(level)!r}, which is left out."


def measured(column: pd.Series, categorical: bool) -> bool:
    """Whether a column is used as numbers, and not as truth values or as a category alone."""
    kinds = pd.api.types
    return not categorical and kinds.is_numeric_dtype(column) and not kinds.is_bool_dtype(column)


def _text(column):
    """Whether a column holds text, as such or as the levels of a category."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    return pd.api.types.is_string_dtype(dtype)


def check_compared(
    equations: Sequence[ParsedFormula], values: Mapping[str, Collection[str]]
) -> None:
    """Refuse to ask whether a column is a text that stands in none of its rows.

    `values` are those of some columns, by name.
    """
    for equation in equations:
        for written, tree in equation.trees.items():
            name, text = factors.compared_with_text(tree) or ("", "")
            if name in values and text not in values[name]:
                some = ", ".join(map(repr, sorted(map(str, values[name]))[:6]))
                raise ValueError(
                    f"{equation.argument}={equation.text!r}: no row of {name!r} is {text!r}, so "
                    f"{written!r} is the same in every row; accepted is one of its values: {some}."
                )


def notes_of(data: Any) -> list[str]:
    """What `read_table` has to say of the rows it read, in sentences."""
    return list(data.attrs.get("notes", [])) if isinstance(data, pd.DataFrame) else []


def shared(equations: Sequence[ParsedFormula]) -> list[str]:
    """A sentence where outcome and treatment are both made with one column: a price index."""
    uses = [equation.uses(equation.response) for equation in equations]
    both = sorted(uses[0] & uses[1]) if len(uses) == 2 else []
    if not both:
        return []
    return [
        f"The outcome and the treatment are both made with {', '.join(both)}: what is wrong in it "
        "is wrong in both, and they move together for that alone."
    ]


def check_names(names: Iterable, equation: ParsedFormula) -> None:
    """Refuse an equation that names a column that is not there."""
    missing = [name for name in sorted(equation.names) if name not in names]
    if missing:
        raise ValueError(
            f"{equation.argument}={equation.text!r} names {missing}, which the data do not have; "
            f"their columns are {list(map(str, names))}."
        )


def refuse_holes(holes: Mapping[str, int], rows: int, equation: ParsedFormula) -> None:
    """Refuse missing values, counted by column."""
    if holes:
        counts = ", ".join(f"{name!r} has {count}" for name, count in holes.items())
        raise ValueError(
            f"{equation.argument}={equation.text!r}: {counts} missing values (NaN) of {rows} rows; "
            f"accepted are complete rows: drop them with data.dropna(subset={list(holes)}) or "
            "fill them in."
        )


INTO_MEMORY = "to_pandas", "toPandas", "df", "collect"
"""What other libraries call the step from a query to a table."""


def in_pandas(data: Any) -> Any:
    """A table of polars, of Arrow or of their kin, if it is in memory; anything else as it is."""
    if isinstance(data, pd.DataFrame):
        return data
    frame = narwhals.from_native(data, eager_only=True, pass_through=True)
    return frame.to_pandas() if isinstance(frame, narwhals.DataFrame) else data


def check_frame(data: Any, argument: str = "data") -> pd.DataFrame:
    """The data, if they are a data frame with rows and a name of its own for each column."""
    data = in_pandas(data)
    if not isinstance(data, pd.DataFrame):
        steps = [name for name in INTO_MEMORY if hasattr(data, name)]
        hint = f" or another table in memory: {argument}.{steps[0]}()" if steps else ""
        if isinstance(data, (str, PathLike)) and argument == "data":
            hint = ", a Dask DataFrame or the path of a Parquet file that exists"
        raise TypeError(
            f"{argument}={arguments.brief(data)}; accepted is a pandas.DataFrame{hint}."
        )
    if (twice := data.columns[data.columns.duplicated()]).size:
        raise ValueError(
            f"the data have more than one column named {str(twice[0])!r}; give each a name of its "
            "own."
        )
    if data.empty:
        size = f"{len(data)} rows and {data.shape[1]} columns"
        raise ValueError(
            f"{argument}={arguments.brief(data)} has {size}; accepted is one with rows."
        )
    return data


def check_finite(values: Any, name: str, argument: str) -> None:
    """Refuse values that are infinite or undefined."""
    refuse_infinite(int((~np.isfinite(np.asarray(values, dtype=float))).sum()), name, argument)


def refuse_infinite(infinite: int, name: str, argument: str) -> None:
    """Refuse so many infinite or undefined values, if there are any."""
    if infinite:
        raise ValueError(
            f"{argument}: {name!r} has {infinite} infinite or undefined values; accepted are "
            "finite numbers."
        )


def undefined(data: pd.DataFrame, equations: Sequence[ParsedFormula]) -> Undefined:
    """The rows where a part of a formula is undefined and its columns are not: ``log(-1)``.

    By part: a mask of rows, and the names of the columns in it.
    """
    parts: Undefined = {}
    for equation in equations:
        for name in equation.trees:
            _compute(equation, name, data, parts)
    return parts


def say_undefined(data: pd.DataFrame, parts: Undefined) -> str:
    """Counts of undefined values by part of a formula, and where its columns lie there."""
    sentences = []
    for part, (rows, names) in parts.items():
        where = ""
        if len(names) == 1 and pd.api.types.is_numeric_dtype(data[names[0]]):
            where = f" ({names[0]} is {_where(data.loc[rows, names[0]])} there)"
        counts = f"{rows.sum():,} of {len(data):,}"
        sentences.append(f"{part}: {counts} values are undefined{where}")
    return "; ".join(sentences)


def _where(values):
    """Where values lie, in words where these are about the sign."""
    low, high = float(values.min()), float(values.max())
    if low < high == 0:
        return "zero or negative"
    if low < 0 and high <= 0:
        return "negative"
    return f"{low:g}" if low == high else f"between {low:g} and {high:g}"


def refuse_undefined(said: str) -> NoReturn:
    """Refuse values of formulas that are undefined."""
    raise ValueError(
        f"{said}; accepted are terms that are defined in every row: leave those rows out "
        "(read_table(..., drop_missing=True) or --drop-missing drops and counts them), or change "
        "the term."
    )


def _compute(equation, name, data, undefined=None):
    """The values of one factor of an equation."""
    try:
        return factors.compute(equation.trees[name], data, undefined)
    except Exception as error:  # whatever a function of formulas makes of the reader's column
        raise ValueError(
            f"{equation.argument}={equation.text!r}: {name!r} cannot be computed: {error}"
        ) from error


def values_of(data: pd.DataFrame, equations: Sequence[ParsedFormula]) -> dict[str, factors.Values]:
    """Each factor's values, by its text; numbers in double precision."""
    return {
        name: factors.real(_compute(equation, name, data))
        for equation in equations
        for name in equation.trees
    }


def columns_of(
    data: pd.DataFrame,
    outcome: ParsedFormula,
    treatment: ParsedFormula,
    terms: Sequence[Term],
    *,
    levels: Mapping[str, list] | None = None,
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Both responses and both sets of covariates, computed once over the same rows.

    Parameters
    ----------
    terms : sequence of Term
        Of the outcome equation's covariates, without the treatment.
    levels : mapping of str to list, optional
        Of each categorical factor, where these are not all rows.

    Returns
    -------
    y, t : ndarray
    outcome, treatment : DataFrame
        Covariates, dummies coded against a reference level where there is a constant. The attribute
        ``labels`` holds the labels of each term's columns, ``intercept`` whether the equation has a
        constant (see `has_constant`).
    """
    equations = outcome, treatment
    if parts := undefined(data, equations):
        refuse_undefined(say_undefined(data, parts))
    values = values_of(data, equations)
    for name, own in (levels or {}).items():
        values[name] = factors.with_levels(values[name], own)
    categories = _categories(data, equations, values)
    intercepts = [has_constant(equation, categories) for equation in equations]
    sides = {
        "outcome": _for_formulaic(terms, intercepts[0]),
        "treatment": _for_formulaic(treatment.terms, intercepts[1]),
    }
    made = PandasMaterializer(data[[]], context=values)
    try:
        matrices = made.get_model_matrix(formulaic.Formula(**sides), na_action="ignore")
    except Exception as error:  # whatever a coding makes of the reader's levels
        coded = [name for name in values if name.startswith("C(") and "," in name]
        raise ValueError(
            f"the levels of {' or '.join(map(repr, coded))} cannot be coded: "
            f"{str(error).rstrip('.')}; accepted are "
            "C(g), C(g, Treatment('a')) with a level 'a' that g has, and C(g, contr.sum), "
            "contr.helmert, contr.diff or contr.poly in its place."
        ) from error
    y, t = (_response(data, values[equation.response.expr], equation) for equation in equations)
    frames = [_frame(matrices[name], side, name) for name, side in sides.items()]
    for frame, intercept in zip(frames, intercepts):
        frame.attrs["intercept"] = intercept
    return y, t, frames[0], frames[1]


def _categories(data, equations, values):
    """The factors that have levels: those of categories, and those that are true or false."""
    trees = {name: tree for equation in equations for name, tree in equation.trees.items()}
    return {
        name
        for name, tree in trees.items()
        if factors.is_truth(tree, data) or factors.is_category(values[name])
    }


def _for_formulaic(terms, intercept):
    """Terms whose factors' values are looked up by their text, since they are computed.

    With a constant where the equation has one, or no other term.
    """
    looked_up = []
    for term in terms:
        parts = [part if _literal(part) else Factor(part.expr) for part in term.factors]
        looked_up.append(Term(parts))
    one = Term([Factor("1", eval_method="literal")])
    return [one, *looked_up] if intercept or not looked_up else looked_up


def _frame(matrix, terms, argument):
    """Covariates as a frame of finite numbers by label.

    None is lost, and none takes a name that is needed.
    """
    names, places = list(map(str, matrix.columns)), matrix.model_spec.term_indices
    terms = [term for term in terms if term != "1"]
    for term in terms:
        if not places[term]:
            raise ValueError(
                f"{argument}: {str(term)!r} has one level only, so it is constant; leave it out."
            )
        if str(term) in OWN_LABELS:
            raise ValueError(
                f"{argument}: {str(term)!r} is a name that the equations need; rename that column."
            )
    frame = pd.DataFrame(matrix).set_axis(names, axis=1)
    frame = frame.drop(columns="Intercept", errors="ignore")
    # one array: of thousands of columns apart, every later step would cost more than its numbers
    values = frame.to_numpy(dtype=float)
    frame = pd.DataFrame(values, frame.index, frame.columns, copy=False)
    for name in frame.columns[~np.isfinite(values).all(axis=0)]:
        check_finite(frame[name], name, argument)
    frame.attrs["labels"] = {term: [names[place] for place in places[term]] for term in terms}
    return frame


def has_constant(equation: ParsedFormula, categories: Collection[str]) -> bool:
    """Whether an equation has a constant: unless ``0 +`` says no, or the levels of a factor yes.

    A yes or a no, False and True, has two levels, in R and in statsmodels too; zeros and ones are
    numbers.
    """
    whole = (all(factor.expr in categories for factor in term.factors) for term in equation.terms)
    return equation.intercept or any(whole)


def _response(data, values, equation):
    """The left side of an equation: one column of numbers."""
    name, argument = equation.response.expr, equation.argument
    numeric = np.ndim(values) == 1 and pd.api.types.is_numeric_dtype(getattr(values, "dtype", None))
    if not numeric:
        column = next(iter(factors.names(equation.trees[name])))  # C(k) is k here
        words = sorted(pd.unique(data[column].dropna()).tolist(), key=str)
        some = [*map(repr, words[:4]), *(["..."] if len(words) > 4 else [])]
        one = recoded(column, words[-1] if len(words) == 2 else words[0], argument)
        raise ValueError(
            f"{argument}: {name!r} holds [{', '.join(some)}]; accepted are numbers, and for a "
            f"binary {argument} the numbers 0 and 1: {one}."
        )
    values = np.asarray(values, dtype=float)
    check_finite(values, name, argument)
    return values


def recoded(name: str, value: Any, argument: str, least: bool = False) -> str:
    """What to write for the yes or no whether a column has a value, or at `least` that.

    It works in a formula, and so anywhere.
    """
    value = int(value) if isinstance(value, float) and value % 1 == 0 else value
    sign, rows = (">=", f"{value!r} or more") if least else ("==", f"{value!r}")
    name = re.sub(r"^C\((\w+)\)$", r"\1", name)
    places = "on the left"
    if argument == "treatment":
        places = "on the left of its own formula and as a term of the outcome's"
    alone = f" (I({name} == {value!r}) is {value!r} alone)" if least else ""
    return (
        f"write I({name} {sign} {value!r}) {places}, which is 1 in the rows of {rows} and 0 in all "
        f"others{alone}"
    )


def advised(values: np.ndarray, name: str, argument: str) -> str:
    """What to do about a response of few values.

    Ask for a code among them, or write which of them is a yes: of more than two those from one
    on that parts the rows most evenly.
    """
    if asked := codes.ask(codes.ends(values), name, len(values)):
        return asked[0].rstrip(".")
    above = np.unique(values)[1:]
    share = np.array([np.mean(values >= level) for level in above])
    level = above[np.argmin(np.abs(share - 0.5))].item()
    return recoded(name, level, argument, least=len(above) > 1)


def split_moderators(
    outcome: ParsedFormula, treatment: ParsedFormula
) -> tuple[list[Term], list[Term]]:
    """The covariates' terms of the outcome equation, and those the treatment is multiplied by."""
    t, formula = treatment.response.expr, outcome.text
    factors = {frozenset(map(str, term.factors)): term for term in outcome.terms}
    if frozenset([t]) not in factors:
        raise ValueError(
            f"outcome={formula!r} does not contain the treatment {t!r}, so it has no effect to "
            f"estimate; write it as a term of its own: '{outcome.response} ~ {t} + ...'."
        )
    plain = {names: term for names, term in factors.items() if t not in names}
    moderators = [names - {t} for names in factors if t in names and len(names) > 1]
    for names in moderators:
        if names not in plain:
            alone = ":".join(sorted(names))
            raise ValueError(
                f"outcome={formula!r} multiplies the treatment by {alone!r}, which is no term of "
                f"its own, so its effect on untreated rows would be forced to zero; write '{t} * "
                f"{alone}'."
            )
    return list(plain.values()), [plain[names] for names in moderators]


def check_apart(outcome: ParsedFormula, treatment: ParsedFormula, terms: Sequence[Term]) -> None:
    """Refuse a response or a covariate that is made from the treatment, or from the outcome.

    Two parts may share a column, as two prices share the index that both are divided by; one is
    made from another if it has every column of it.
    """
    y, t = outcome.response.expr, treatment.response.expr
    own, ends = treatment.uses(treatment.response), outcome.uses(outcome.response)
    if own <= ends or ends <= own:
        one, other = f"outcome {y!r}", f"treatment {t!r}"
        if not own <= ends:
            one, other = other, one
        raise ValueError(
            f"the {one} is made from {sorted(own & ends)}, and so is the whole of the {other}; "
            "accepted are two different things, each measured by itself, which may share a "
            "column such as a price index."
        )
    every = [(outcome, term) for term in terms] + [(treatment, term) for term in treatment.terms]
    if made := _made_from(own, every):
        raise ValueError(
            f"the terms {made} are made from {sorted(own)}, and so is the treatment {t!r}; it is "
            "accepted as one term of the outcome formula, by itself or multiplied by covariates, "
            "and nowhere in the right-hand side of its own formula."
        )
    if made := _made_from(ends, every):
        raise ValueError(
            f"the terms {made} are made from {sorted(ends)}, and so is the outcome {y!r}; accepted "
            "on the right are the treatment and what was settled before it, and never the "
            "outcome or what is made from it: leave them out."
        )


def _made_from(columns, every):
    """The terms with a factor that needs all of these columns.

    Some may do: the earlier score beside a change.
    """
    made = {}
    for equation, term in every:
        if any(columns <= equation.uses(factor) for factor in term.factors):
            made[str(term)] = None
    return list(made)
