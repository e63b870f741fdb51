"""Two formulas, read and checked in every part before anything is computed, or refused.

A refusal says what is accepted.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import formulaic
from formulaic.errors import FormulaicError
from formulaic.parser import DefaultFormulaParser
from formulaic.parser.types import ASTNode, Factor, Term, Token

from which_world import arguments
from which_world.tables import factors
from which_world.tables.dialects import foreign, of_product, one_at_a_time, several

TAKEN = set(keyword.kwlist) - {"True", "False", "None", "and", "or", "not"}  # no name of a column


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

    def worked_out(self) -> ParsedFormula:
        """The same with those factors alone that are more than a column: these may be undefined."""
        trees = {name: tree for name, tree in self.trees.items() if not isinstance(tree, ast.Name)}
        return self._replace(trees=trees)

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
    every = [factor for term in terms for factor in term.factors if not literal(factor)]
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
    """What formulaic reads; what it cannot read is refused with an example."""
    try:
        return read()
    except (FormulaicError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{argument}={text!r} cannot be read as a formula such as 'y ~ t + x'; "
            f"{_hint_of_names(text)}."
        ) from error


def _hint_of_names(text):
    """How to write a name that cannot be read, a Python keyword among them."""
    unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    words = re.findall(r"[^\W\d]\w*", unquoted)
    if taken := next((word for word in words if word in TAKEN), ""):
        return (
            f"{taken!r} is a Python keyword: a column of that name stands in backticks, `{taken}`; "
            f"inside a function, as in C(`{taken}`), only read_table and the command line know it, "
            "and make_design wants the column renamed"
        )
    if re.search("[<>]|[=!]=", unquoted):
        return f"a comparison stands in I(...): I({_compared(text) or 'x > 0'})"
    return "a name with spaces or signs stands in backticks: `Body Mass (kg)`"


def _compared(text):
    """The first comparison that stands in parentheses, without these; empty if none does."""
    for start in (found.end() for found in re.finditer(r"\(", text)):
        for end in (start + found.start() for found in re.finditer(r"\)", text[start:])):
            try:
                inside = ast.parse(text[start:end].strip(), mode="eval").body
            except SyntaxError:  # parentheses of its own
                continue
            if isinstance(inside, ast.Compare):
                return text[start:end]
            break
    return ""


def literal(factor: Factor) -> bool:
    """Whether a factor is a number or a text as it stands."""
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
            f"and nowhere in the right-hand side of its own formula{_instead(t, own)}."
        )
    if made := _made_from(ends, every):
        raise ValueError(
            f"the terms {made} are made from {sorted(ends)}, and so is the outcome {y!r}; accepted "
            "on the right are the treatment and what was settled before it, and never the "
            "outcome or what is made from it: leave them out."
        )


def _instead(treatment, columns):
    """What to do where a treatment is one level, or one side of a threshold, of a column."""
    (column, *others), compared = sorted(columns), _compared(treatment)
    if others or not compared or f"I({compared})" != treatment:
        return ""
    if re.search("[=!]=", compared):
        return (
            f"; to compare two levels of {column} alone, keep their rows: "
            f"data[data[{column!r}].isin([..., ...])]"
        )
    return (
        f"; where {column} itself settles the treatment, as a threshold does, it leaves nobody to "
        f"compare: keep the rows near the threshold, and leave {column} out"
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
