"""Formulas against a data frame: what formulaic reads, or a refusal that names the column and what is accepted."""

import re

import formulaic
import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError


def read_formula(text, argument):
    """The two sides of a formula, or a sentence that says why there are none."""
    try:
        formula = formulaic.Formula(text)
        formula.lhs, formula.rhs  # noqa: B018
    except AttributeError as error:
        raise ValueError(f"{argument}={text!r} is not a two-sided formula such as 'y ~ t + x'.") from error
    except FormulaicError as error:
        raise ValueError(
            f"{argument}={text!r} cannot be read as a formula such as 'y ~ t + x'; a name with spaces or signs stands "
            "in backticks: `Body Mass (kg)`."
        ) from error
    return formula


def parse(data, text, argument):
    """Left-hand side, terms and presence of an intercept of a formula whose columns are there, whole and finite."""
    formula = read_formula(text, argument)
    lhs, rhs = formula.lhs, formula.rhs
    if odd := [name for name in re.findall(r"`([^`]+)`", text) if not name.isidentifier()]:
        raise ValueError(
            f"{argument}={text!r}: {odd[0]!r} is no plain word; accepted are plain words: "
            "read_table(data, outcome=..., treatment=...) makes them, in the data and in the formulas."
        )
    missing = sorted(map(str, formula.required_variables - set(data.columns)))
    if missing:
        raise ValueError(
            f"{argument}={text!r} names {missing}, which the data do not have; "
            f"their columns are {list(map(str, data.columns))}."
        )
    columns = data[sorted(map(str, formula.required_variables))]
    holes = columns.isna().sum()
    if holes.any():
        counts = ", ".join(f"{name!r} has {k}" for name, k in holes[holes > 0].items())
        raise ValueError(
            f"{argument}={text!r}: {counts} missing values (NaN) of {len(data)} rows; accepted are complete "
            f"rows: drop them with data.dropna(subset={list(holes[holes > 0].index)}) or fill them in."
        )
    for name, column in columns.select_dtypes("number").items():
        check_finite(column, name, argument)
    terms = [term for term in rhs if str(term) not in "01"]
    return str(next(iter(lhs))), terms, "1" in map(str, rhs)


def split_moderators(terms, formula, outcome, treatment):
    """The covariates' terms of the outcome formula, and which of them the treatment is multiplied by."""
    factors = {frozenset(str(factor) for factor in term.factors): term for term in terms}
    if frozenset([treatment]) not in factors:
        raise ValueError(
            f"outcome={formula!r} does not contain the treatment {treatment!r}, so it has no effect to estimate; "
            f"write it as a term of its own: '{outcome} ~ {treatment} + ...'."
        )
    plain = {names: term for names, term in factors.items() if treatment not in names}
    moderators = [names - {treatment} for names in factors if treatment in names and len(names) > 1]
    for names in moderators:
        if names not in plain:
            alone = ":".join(sorted(names))
            raise ValueError(
                f"outcome={formula!r} multiplies the treatment by {alone!r}, which is no term of its own, so its "
                f"effect on untreated rows would be forced to zero; write '{treatment} * {alone}'."
            )
    return list(plain.values()), [plain[names] for names in moderators]


def check_apart(terms, treatment):
    """Refuse a covariate that is made from the treatment: it would carry a part of the effect."""
    own = formulaic.Formula(f"0 + {treatment}").required_variables
    made = [str(term) for term in terms if own & formulaic.Formula(f"0 + {term}").required_variables]
    if made:
        raise ValueError(
            f"the treatment {treatment!r} stands inside the terms {made}; it is accepted as one term of the outcome "
            "formula, by itself or multiplied by covariates, and nowhere in the right-hand side of its own formula."
        )


def check_finite(values, name, argument):
    infinite = int((~np.isfinite(np.asarray(values, dtype=float))).sum())
    if infinite:
        raise ValueError(
            f"{argument}: {name!r} has {infinite} infinite or undefined values; accepted are finite numbers."
        )


def response(data, name, argument):
    """One side of an equation: a single numeric column, evaluated as the formula says."""
    frame = pd.DataFrame(formulaic.model_matrix(f"0 + {name}", data))
    raw = data[name] if name in data else frame.iloc[:, 0]
    if frame.shape[1] != 1 or not pd.api.types.is_numeric_dtype(raw):
        words = sorted(map(str, pd.unique(raw)))
        more = ", and for a binary treatment the numbers 0 and 1" if argument == "treatment" else ""
        if more and len(words) == 2:
            more += f": (data[{name!r}] == {words[1]!r}).astype(int)"
        raise ValueError(f"{argument}: {name!r} holds {words[:4]}; accepted are numbers{more}.")
    values = frame.iloc[:, 0].to_numpy(dtype=float)
    check_finite(values, name, argument)
    return values


def covariates_of(data, terms, argument):
    """Covariate columns, dummies coded against a reference level whether or not there is an intercept.

    Also the labels of each term's columns.
    """
    matrix = formulaic.model_matrix(" + ".join(["1", *map(str, terms)]), data)
    frame = pd.DataFrame(matrix).drop(columns="Intercept")
    for name in frame:
        check_finite(frame[name], name, argument)
    names = matrix.columns.astype(str)
    labels = {term: list(names[places]) for term, places in matrix.model_spec.term_indices.items()}
    return frame.set_axis(frame.columns.astype(str), axis=1).astype(float), labels
