"""What two formulas say: instruments, what stands on no right side, and what may be made of one column."""

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from helpers import make_design, maximum_likelihood, ols


def alpha(data, outcome, treatment="t ~ x"):
    return ols(make_design(data, outcome=outcome, treatment=treatment)).params["alpha"]


@pytest.mark.parametrize("left", ["y - pre", "y + x", "y*x", "y:x", "y + pre - x", "(y + x)", "y/x"])
def test_the_left_side_is_one_term(data, left):
    with pytest.raises(ValueError, match="I\\("):
        make_design(data, outcome=f"{left} ~ t", treatment="t ~ 1")
    with pytest.raises(ValueError, match="more than one term"):
        make_design(data, outcome="y ~ t", treatment=f"{left.replace('y', 't')} ~ x")


@pytest.mark.parametrize(
    ("outcome", "treatment"),
    [
        ("y ~ t + x*w", "t ~ w*x"),
        ("y ~ t + x", "t ~ scale(x)"),
        ("y ~ t + x", "t ~ center(x)"),
        ("y ~ t + x + I(x**2)", "t ~ poly(x, 2)"),
        ("y ~ t + g", "t ~ C(g)"),
        ("y ~ t + g", "t ~ C(g, Sum)"),
        ("y ~ t + x", "t ~ copy"),
        ("y ~ t + x + w", "t ~ I(x + w)"),
        ("y ~ t + x + w", "t ~ I(2*x - 3*w) + x"),
        ("y ~ t + I(s*2)", "t ~ s"),
        ("y ~ t + g", "t ~ I(g == 'b')"),
    ],
)
def test_a_column_that_adds_no_rank_is_no_instrument(data, outcome, treatment):
    design = make_design(data, outcome=outcome, treatment=treatment)
    assert design.instruments == ()
    with pytest.raises(ValueError, match="not identified"):
        maximum_likelihood(design)


def test_what_adds_rank_is_an_instrument_and_two_stage_least_squares_agrees(data):
    design = make_design(data, outcome="y ~ t + x", treatment="t ~ x + scale(s)")
    assert len(design.instruments) == 1
    first = smf.ols("t ~ x + s", data).fit().fittedvalues
    second = sm.OLS(data.y, sm.add_constant(np.column_stack([first, data.x]))).fit().params.iloc[1]
    assert maximum_likelihood(design).alpha == pytest.approx(second, rel=1e-4)


@pytest.mark.parametrize("term", ["y", "I(y**2)", "log(y + 99)", "scale(y)", "y:x", "x*y"])
def test_the_outcome_stands_on_no_right_side(data, term):
    for outcome, treatment in ((f"y ~ t + {term}", "t ~ x"), ("y ~ t", f"t ~ {term}")):
        with pytest.raises(ValueError, match="the outcome 'y'"):
            make_design(data, outcome=outcome, treatment=treatment)


@pytest.mark.parametrize("term", ["t", "I(t**2)", "t:x"])
def test_the_treatment_does_not_explain_itself(data, term):
    with pytest.raises(ValueError, match="treatment 't'"):
        make_design(data, outcome="y ~ t + x", treatment=f"t ~ x + {term}")


@pytest.fixture(scope="module")
def prices():
    """Log wages on log rents, both divided by the same index, and what is bought with them."""
    rng, n = np.random.default_rng(6), 300
    index, wealth = rng.uniform(1, 3, n), rng.normal(size=n)
    rent = wealth + rng.normal(size=n)
    wage = 0.7 * rent + wealth + rng.normal(size=n)
    frame = np.exp(pd.DataFrame({"wage": wage, "rent": rent, "wealth": wealth})).mul(index, axis=0)
    return frame.assign(index=index)


@pytest.mark.parametrize(
    ("outcome", "treatment"),
    [
        ("log(wage/index) ~ log(rent/index) + log(wealth/index)", "log(rent/index) ~ log(wealth/index)"),
        ("log(wage/index) ~ log(rent/index) + index", "log(rent/index) ~ index"),
        ("I(wage/index) ~ log(rent/index) + I(wealth/index)", "log(rent/index) ~ I(wealth/index)"),
        ("I(wage - index) ~ I(rent - index) + wealth", "I(rent - index) ~ wealth"),
        ("wage ~ I(rent - index) + index", "I(rent - index) ~ index + wealth"),
        ("I(wage - index) ~ rent + index", "rent ~ index + wealth"),
    ],
)
def test_two_things_may_share_a_column_that_is_neither(prices, outcome, treatment):
    design = make_design(prices, outcome=outcome, treatment=treatment)
    right = outcome.replace("log(", "np.log(")
    assert ols(design).params["alpha"] == pytest.approx(smf.ols(right, prices).fit().params.iloc[1], rel=1e-7)
    both = outcome.partition("~")[0].count("index") and treatment.partition("~")[0].count("index")
    assert ("both made with index" in " ".join(design.notes)) == bool(both)


@pytest.mark.parametrize(
    ("outcome", "treatment", "says"),
    [
        ("I(wage - rent) ~ rent", "rent ~ w", r"outcome .* from \['rent'\], and so is the whole of the tr"),
        ("wage ~ I(wage/index)", "I(wage/index) ~ w", r"treatment .* from \['wage'\].*whole of the outcome"),
        ("I(wage + rent) ~ I(wage - rent)", "I(wage - rent) ~ w", r"made from \['rent', 'wage'\]"),
        ("wage ~ log(rent/index) + I(rent*index)", "log(rent/index) ~ w", r"\['index', 'rent'\], and so is the tr"),
        ("wage ~ I(rent > 1) + rent", "I(rent > 1) ~ w", r"from \['rent'\], and so is .*near the threshold"),
        ("wage ~ I(rent == 2) + I(rent == 3)", "I(rent == 2) ~ w", r"compare two levels of rent alone.*'rent'\].isin"),
        ("log(wage) ~ rent + wage:index", "rent ~ w", r"\['wage:index'\] are made from \['wage'\], and so"),
    ],
)
def test_what_is_made_from_the_other_is_refused_for_that_reason(prices, outcome, treatment, says):
    with pytest.raises(ValueError, match=says):
        make_design(prices.rename(columns={"wealth": "w"}), outcome=outcome, treatment=treatment)


@pytest.mark.parametrize("name", ["class", "lambda", "from"])
def test_a_column_with_the_name_of_a_keyword_is_told_so(data, name):
    with pytest.raises(ValueError, match=rf"{name!r} is a Python keyword.*`{name}`"):
        make_design(data.assign(**{name: data.x**2}), outcome=f"y ~ t + C({name})", treatment="t ~ x")
    with pytest.raises(ValueError, match="spaces or signs"):
        make_design(data, outcome="y ~ t + x body", treatment="t ~ x")


@pytest.mark.parametrize(
    "compared", ["x == 1", "x >= -0.5", "g == 'a b'", 'g != "b"', "x + t > 3", "0 < x < 5", "log(x) > (1 + t) / 2"]
)
def test_a_comparison_by_itself_is_told_where_it_stands(data, compared):
    with pytest.raises(ValueError, match=re.escape(f"a comparison stands in I(...): I({compared})")):
        make_design(data.assign(g="a b"), outcome=f"y ~ ({compared}) + x", treatment=f"({compared}) ~ x")
