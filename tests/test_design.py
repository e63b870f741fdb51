"""A design as a value: its instruments and moderators, and the data that each column is made of."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ponds import FISH

from helpers import fit, make_design, map_rho, maximum_likelihood, ols
from which_world import design


def test_a_term_of_the_treatment_formula_alone_is_an_instrument():
    design = make_design(FISH, outcome="y ~ dose + x", treatment="dose ~ x + z")
    assert design.kind == "continuous"
    assert design.instruments == ("z",)
    assert "instruments: z" in repr(design)


@pytest.mark.parametrize(
    "formula, moderators",
    [
        ("y ~ t * x", ["x"]),
        ("y ~ x + t + x:t + z", ["x"]),
        ("y ~ 0 + t * x", ["x"]),
        ("y ~ t * (x + g)", ["x", "g[T.b]", "g[T.c]"]),
        ("y ~ t * x * z", ["x", "z", "x:z"]),
        ("y ~ t * C(g):x + C(g) + x", ["C(g)[T.b]:x", "C(g)[T.c]:x"]),
        ("y ~ t + x + z", []),
    ],
)
def test_what_the_treatment_is_multiplied_by_moderates_its_effect(formula, moderators):
    data = FISH.assign(g=np.resize(["a", "b", "c"], 60))
    design = make_design(data, outcome=formula, treatment="t ~ z")
    assert list(design.moderators) == moderators
    assert not any("t" in label.split(":") for label in design.covariates)
    for label, column in zip(design.moderators, design.M.T):
        np.testing.assert_array_equal(column, design.C[:, design.covariates.index(label)])
    assert ("moderators: " + ", ".join(moderators) in repr(design)) == bool(moderators)


def test_a_moderator_is_no_instrument():
    design = make_design(FISH, outcome="y ~ dose * x", treatment="dose ~ x + z")
    assert design.instruments == ("z",)
    assert replace(design, in_outcome=np.zeros(2, dtype=bool)).instruments == ("z",)


def test_each_column_knows_its_term_and_the_data_it_is_made_of():
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.normal(size=(60, 4)), columns=list("ytxz")).assign(g=list("ab]c[") * 12)
    found = make_design(data, outcome="y ~ t * x + C(g):x + I(x**2)", treatment="t ~ x * C(g) + z")
    by_label = dict(zip(found.covariates, zip(found.terms, found.variables)))
    assert by_label["x"] == ("x", ("x",)) and by_label["I(x ** 2)"] == ("I(x ** 2)", ("x",))
    assert by_label["C(g)[T.b]:x"] == ("C(g):x", ("g", "x")) and by_label["z"] == ("z", ("z",))
    kept = design.with_covariates(found, np.array([label != "x" for label in found.covariates]))
    del by_label["x"]
    assert dict(zip(kept.covariates, zip(kept.terms, kept.variables))) == by_label


@pytest.mark.parametrize("kind", ["binary", "continuous"])
@pytest.mark.parametrize("ask", [map_rho, ols, maximum_likelihood, fit])
def test_a_design_made_constant_is_refused_by_whatever_asks(kind, ask):
    x, v, u = np.random.default_rng(0).normal(size=(3, 50))
    t = (x + v > 0) * 1.0 if kind == "binary" else x + v
    whole = make_design(pd.DataFrame({"x": x, "t": t, "y": u}), outcome="y ~ t + x", treatment="t ~ x")
    with pytest.raises(ValueError, match="the treatment 't' is constant at 1; it must vary to have an effect"):
        ask(replace(whole, t=np.ones(50)))
    with pytest.raises(ValueError, match="the outcome 'y' is constant at 1"):
        ask(replace(whole, y=np.ones(50)))
