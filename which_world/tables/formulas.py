"""Two formulas against a data frame: their columns over the same rows, or a refusal that says what is accepted."""

import ast
import keyword
import re
from os import PathLike
from typing import NamedTuple

import formulaic
import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from formulaic.materializers import PandasMaterializer
from formulaic.parser import DefaultFormulaParser
from formulaic.parser.types import ASTNode, Factor, Term, Token

from which_world import arguments
from which_world.tables import codes, columns, factors
from which_world.tables.dialects import foreign, one_at_a_time, several

OWN = ("Intercept", "intercept", "alpha")  # labels that the equations need for themselves


class Equation(NamedTuple):
    """A formula taken apart: its text, the factor on its left, the terms on its right, and each factor's tree."""

    text: str
    argument: str
    response: Factor
    terms: tuple
    intercept: bool
    trees: dict

    @property
    def names(self):
        """The columns it needs, and whether each is only ever made a category."""
        return merged(factors.names(tree) for tree in self.trees.values())

    def uses(self, term):
        """Names of the columns in a term or factor."""
        parts = term.factors if isinstance(term, Term) else [term]
        return set(
            merged(
                factors.names(self.trees[part.expr]) for part in parts if part.expr in self.trees
            )
        )


def merged(maps):
    """Names of columns from several places; one is only a category if it is so in all of them."""
    found = {}
    for names in maps:
        for name, category in names.items():
            found[name] = category and found.get(name, True)
    return found


def read(text, argument):
    """A formula, read and checked in every part before anything is computed.

    Raises
    ------
    TypeError, ValueError
        With a sentence that says what to type instead.
    """
    if not isinstance(text, str):
        one = ", one formula at a time" * isinstance(text, (list, tuple, dict, set))
        raise TypeError(
            f"{argument}={arguments.told(text)} is no formula; accepted is text such as 'y ~ t + "
            f"x'{one}."
        )
    if said := several(text, argument) or foreign(text):
        raise ValueError(f"{argument}={text!r}: {said}.")
    text = re.sub(r"`([^\W\d]\w*)`", _bare, text)
    tree = _parse(text, argument, lambda: DefaultFormulaParser().get_ast(text))
    if not isinstance(tree, ASTNode) or tree.operator.symbol != "~" or len(tree.args) != 2:
        raise ValueError(
            f"{argument}={text!r} is no formula; accepted is a two-sided formula such as 'y ~ t "
            "+ x'."
        )
    left, right = tree.args
    if isinstance(left, ASTNode):
        whole = text.partition("~")[0].strip()
        signs, names = _parts(left)
        if argument == "treatment" and signs <= {"+", "*", ":"}:
            raise ValueError(f"{argument}={text!r}: {one_at_a_time(whole, names, argument)}.")
        raise ValueError(
            f"{argument}={text!r}: {whole!r} is more than one term; accepted on the left is one "
            f"name or one function, and what is to be worked out stands in I(...): 'I({whole}) ~ "
            "...'."
        )
    _check_signs(right, text, argument)
    terms = list(_parse(text, argument, lambda: formulaic.Formula(text)).rhs)
    response = left.to_factor()
    used = {
        factor.expr: factor for term in terms for factor in term.factors if not _literal(factor)
    }
    trees = {
        name: _tree(factor, text, argument)
        for name, factor in (used | {response.expr: response}).items()
    }
    return Equation(
        text, argument, response, tuple(term for term in terms if term != "1"), "1" in terms, trees
    )


def _parts(node):
    """The signs of one side of a formula, and what stands between them."""
    if not isinstance(node, ASTNode):
        return set(), [str(node)]
    parts = list(map(_parts, node.args))
    return {node.operator.symbol}.union(*(signs for signs, _ in parts)), [
        name for _, own in parts for name in own
    ]


def _bare(found):
    """A plain word without the backticks it does not need."""
    return found[0] if keyword.iskeyword(found[1]) else found[1]


def _parse(text, argument, parse):
    try:
        return parse()
    except (FormulaicError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{argument}={text!r} cannot be read as a formula such as 'y ~ t + x'; a name with "
            "spaces or signs stands in backticks: `Body Mass (kg)`."
        ) from error


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
    """Refuse signs outside of I(...) that only arithmetic could mean, and that would be dropped or misread."""
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


def usable(data, equations, *, whole=True):
    """The columns that formulas need, over all rows, as `columns.for_formulas` gives them; `whole` says if these are all.

    Returns
    -------
    data : DataFrame
        With a fresh index.
    notes : list of str
        What was decided on the way, in sentences.

    Raises
    ------
    TypeError, ValueError
        Naming a column that is not there, has missing or infinite values, or holds what no equation
        can use.
    """
    for equation in equations:
        check_names(data.columns, equation)
        own = sorted(equation.names)
        refuse_holes(
            {name: int(k) for name, k in data[own].isna().sum().items() if k}, len(data), equation
        )
    found, notes, rows = {}, told(data) + shared(equations), data.reset_index(drop=True)
    for name, categorical in merged(equation.names for equation in equations).items():
        found[name] = columns.for_formulas(rows[name], name, categorical=categorical, whole=whole)
        if whole and isinstance(rows.dtypes[name], pd.CategoricalDtype):
            gone = rows[name].cat.categories.difference(found[name].cat.categories, sort=False)
            notes += [
                f"{name} has no row of the level {str(level)!r}, which is left out."
                for level in gone
            ]
        if whole and measured(found[name], categorical):
            notes += codes.ask(codes.ends(found[name]), name, len(rows))
        if pd.api.types.is_float_dtype(found[name]):
            equation = next(equation for equation in equations if name in equation.names)
            check_finite(found[name], name, equation.argument)
    if whole:
        check_compared(
            equations, {name: column.unique() for name, column in found.items() if _text(column)}
        )
    return pd.DataFrame(found), notes


def measured(column, categorical):
    """Whether a column is used as numbers, and not as truth values or as a category alone."""
    kinds = pd.api.types
    return not categorical and kinds.is_numeric_dtype(column) and not kinds.is_bool_dtype(column)


def _text(column):
    dtype = (
        column.cat.categories.dtype
        if isinstance(column.dtype, pd.CategoricalDtype)
        else column.dtype
    )
    return pd.api.types.is_string_dtype(dtype)


def check_compared(equations, values):
    """Refuse to ask whether a column is a text that stands in none of its rows; `values` are those of some columns."""
    for equation in equations:
        for written, tree in equation.trees.items():
            name, text = factors.compared(tree) or ("", "")
            if name in values and text not in values[name]:
                some = ", ".join(map(repr, sorted(map(str, values[name]))[:6]))
                raise ValueError(
                    f"{equation.argument}={equation.text!r}: no row of {name!r} is {text!r}, so "
                    f"{written!r} is the same in every row; accepted is one of its values: "
                    f"{some}."
                )


def told(data):
    """What `read_table` has to say of the rows it read, in sentences."""
    return list(data.attrs.get("notes", [])) if isinstance(data, pd.DataFrame) else []


def shared(equations):
    """A sentence where outcome and treatment are both made with the same column, such as a price index."""
    uses = [equation.uses(equation.response) for equation in equations]
    both = sorted(uses[0] & uses[1]) if len(uses) == 2 else []
    said = (
        f"The outcome and the treatment are both made with {', '.join(both)}: what is wrong in it "
        "is wrong in both, and they move together for that alone."
    )
    return [said] * bool(both)


def check_names(names, equation):
    """Refuse an equation that names a column that is not there."""
    if missing := [name for name in sorted(equation.names) if name not in names]:
        raise ValueError(
            f"{equation.argument}={equation.text!r} names {missing}, which the data do not have; "
            f"their columns are {list(map(str, names))}."
        )


def refuse_holes(holes, rows, equation):
    """Refuse missing values, counted by column."""
    if holes:
        counts = ", ".join(f"{name!r} has {k}" for name, k in holes.items())
        raise ValueError(
            f"{equation.argument}={equation.text!r}: {counts} missing values (NaN) of {rows} rows; "
            f"accepted are complete rows: drop them with data.dropna(subset={list(holes)}) or "
            "fill them in."
        )


def check_frame(data, argument="data"):
    """The data, unless they are no data frame, an empty one, or one in which two columns share a name."""
    if not isinstance(data, pd.DataFrame):
        hint = ": data.to_pandas()" if hasattr(data, "to_pandas") else ""
        if isinstance(data, (str, PathLike)) and argument == "data":
            hint = ", a Dask DataFrame or the path of a Parquet file that exists"
        raise TypeError(f"{argument}={arguments.told(data)}; accepted is a pandas.DataFrame{hint}.")
    if (twice := data.columns[data.columns.duplicated()]).size:
        raise ValueError(
            f"the data have more than one column named {str(twice[0])!r}; give each a name of its "
            "own."
        )
    if data.empty:
        size = f"{len(data)} rows and {data.shape[1]} columns"
        raise ValueError(
            f"{argument}={arguments.told(data)} has {size}; accepted is one with rows."
        )
    return data


def check_finite(values, name, argument):
    refuse_infinite(int((~np.isfinite(np.asarray(values, dtype=float))).sum()), name, argument)


def refuse_infinite(infinite, name, argument):
    if infinite:
        raise ValueError(
            f"{argument}: {name!r} has {infinite} infinite or undefined values; accepted are "
            "finite numbers."
        )


def undefined(data, equations):
    """The rows in which a part of a formula is undefined though its columns are not: a log of a negative number.

    Returns
    -------
    dict
        A part of a formula → a mask of rows, and the names of the columns in it.
    """
    found = {}
    for equation in equations:
        for name in equation.trees:
            _compute(equation, name, data, found)
    return found


def say_undefined(data, found):
    """Counts of undefined values by part of a formula, and where its columns lie there."""
    said = []
    for part, (rows, names) in found.items():
        where = ""
        if len(names) == 1 and pd.api.types.is_numeric_dtype(data[names[0]]):
            low, high = float(data.loc[rows, names[0]].min()), float(data.loc[rows, names[0]].max())
            lies = f"{low:g}" if low == high else f"between {low:g} and {high:g}"
            sign = "zero or negative" if low < high == 0 else "negative"
            where = f" ({names[0]} is {sign if low < 0 and high <= 0 else lies} there)"
        said.append(f"{part}: {rows.sum():,} of {len(data):,} values are undefined{where}")
    return "; ".join(said)


def refuse_undefined(said):
    raise ValueError(
        f"{said}; accepted are terms that are defined in every row: leave those rows out "
        "(read_table(..., drop_missing=True) or --drop-missing drops and counts them), or change "
        "the term."
    )


def _compute(equation, name, data, found=None):
    try:
        return factors.compute(equation.trees[name], data, found)
    except Exception as error:  # whatever a function of formulas makes of the reader's column
        raise ValueError(
            f"{equation.argument}={equation.text!r}: {name!r} cannot be computed: {error}"
        ) from error


def values_of(data, equations):
    """Each factor's values, by its text; numbers in double precision, whichever way the data hold them."""
    return {
        name: factors.real(_compute(equation, name, data))
        for equation in equations
        for name in equation.trees
    }


def columns_of(data, outcome, treatment, terms, *, levels=None):
    """Both responses and both sets of covariates, computed once and over the same rows.

    Parameters
    ----------
    data : DataFrame
        From `usable`.
    outcome, treatment : Equation
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
    if found := undefined(data, (outcome, treatment)):
        refuse_undefined(say_undefined(data, found))
    values = values_of(data, (outcome, treatment))
    values |= {name: factors.with_levels(values[name], own) for name, own in (levels or {}).items()}
    trees = outcome.trees | treatment.trees
    truths = {name for name, tree in trees.items() if factors.is_truth(tree, data)}
    categories = truths | {name for name, value in values.items() if factors.is_category(value)}
    own = {"outcome": (outcome, terms), "treatment": (treatment, treatment.terms)}
    constant = {name: has_constant(equation, categories) for name, (equation, _) in own.items()}
    one = Term([Factor("1", eval_method="literal")])
    sides = {
        name: [one] * (constant[name] or not each) + [*map(_looked_up, each)]
        for name, (_, each) in own.items()
    }
    matrices = PandasMaterializer(data[[]], context=values).get_model_matrix(
        formulaic.Formula(**sides), na_action="ignore"
    )
    y, t = (
        _response(data, values[equation.response.expr], equation)
        for equation in (outcome, treatment)
    )
    frames = {name: _frame(matrices[name], sides[name], name) for name in sides}
    for name, frame in frames.items():
        frame.attrs["intercept"] = constant[name]
    return y, t, frames["outcome"], frames["treatment"]


def _frame(matrix, terms, argument):
    """Covariates as a frame of finite numbers by label; none is lost, and none takes a name that is needed."""
    names, places = list(map(str, matrix.columns)), matrix.model_spec.term_indices
    terms = [term for term in terms if term != "1"]
    for term in terms:
        if not places[term]:
            raise ValueError(
                f"{argument}: {str(term)!r} has one level only, so it is constant; leave it out."
            )
        if str(term) in OWN:
            raise ValueError(
                f"{argument}: {str(term)!r} is a name that the equations need; rename that column."
            )
    frame = (
        pd.DataFrame(matrix)
        .set_axis(names, axis=1)
        .drop(columns="Intercept", errors="ignore")
        .astype(float)
    )
    for name in frame:
        check_finite(frame[name], name, argument)
    frame.attrs["labels"] = {term: [names[place] for place in places[term]] for term in terms}
    return frame


def has_constant(equation, categories):
    """Whether an equation has a constant: unless ``0 +`` says no, and even then if the levels of a factor make one.

    A yes or a no, False and True, has two levels, in R and in statsmodels too; zeros and ones are
    numbers.
    """
    whole = (all(factor.expr in categories for factor in term.factors) for term in equation.terms)
    return equation.intercept or any(whole)


def _looked_up(term):
    """A term whose factors' values are looked up by their text, since they are computed."""
    return Term([factor if _literal(factor) else Factor(factor.expr) for factor in term.factors])


def _response(data, values, equation):
    """The left side of an equation: one column of numbers."""
    name, argument = equation.response.expr, equation.argument
    numeric = np.ndim(values) == 1 and pd.api.types.is_numeric_dtype(getattr(values, "dtype", None))
    if not numeric:
        column = next(iter(factors.names(equation.trees[name])))  # C(k) is k here
        words = sorted(pd.unique(data[column].dropna()).tolist(), key=str)
        some = f"[{', '.join(map(repr, words[:4]))}{', ...' * (len(words) > 4)}]"
        one = recoded(column, words[-1] if len(words) == 2 else words[0], argument)
        raise ValueError(
            f"{argument}: {name!r} holds {some}; accepted are numbers, and for a binary {argument} "
            f"the numbers 0 and 1: {one}."
        )
    values = np.asarray(values, dtype=float)
    check_finite(values, name, argument)
    return values


def recoded(name, value, argument):
    """What to write for the yes or no whether a column has a value: it works in a formula, and so anywhere."""
    value = int(value) if isinstance(value, float) and value % 1 == 0 else value
    name = re.sub(r"^C\((\w+)\)$", r"\1", name)
    answer = f"I({name} == {value!r})"
    places = (
        "on the left of its own formula and as a term of the outcome's"
        if argument == "treatment"
        else "on the left"
    )
    return f"write {answer} {places}, which is 1 in the rows of {value!r} and 0 in all others"


def advised(values, name, argument):
    """What to do about a response of few values: ask for a code among them, or write which of them is a yes."""
    asked = codes.ask(codes.ends(values), name, len(values))
    return asked[0].rstrip(".") if asked else recoded(name, np.max(values).item(), argument)


def split_moderators(outcome, treatment):
    """The covariates' terms of the outcome equation, and which of them the treatment is multiplied by."""
    t, formula = treatment.response.expr, outcome.text
    factors = {frozenset(str(factor) for factor in term.factors): term for term in outcome.terms}
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


def check_apart(outcome, treatment, terms):
    """Refuse a response or a covariate that is made from the treatment, or from the outcome.

    Two parts may share a column, as two prices share the index that both are divided by; one is
    made from another if it has every column of it.
    """
    y, t = outcome.response.expr, treatment.response.expr
    own, ends = treatment.uses(treatment.response), outcome.uses(outcome.response)
    if own <= ends or ends <= own:
        one, other = (f"outcome {y!r}", f"treatment {t!r}")[:: 1 if own <= ends else -1]
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
    """The terms with a factor that needs all of these columns; some may do: the earlier score beside a change."""
    held = (
        str(term)
        for equation, term in every
        if any(columns <= equation.uses(part) for part in term.factors)
    )
    return list(dict.fromkeys(held))
