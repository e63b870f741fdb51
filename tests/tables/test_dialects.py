"""Formulas as other programs write them: each is told what to type here."""

import pytest

from helpers import make_design


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        ("y ~ t + x | w", "formula of its own"), ("y ~ t + (1|g)", "random effects"),
        ("y ~ t + (x||g)", "random effects"), ("y ~ t + I(x^2)", r"x\*\*2"), ("y ~ t + x^2", r"I\(x\*\*2\)"),
        ("y ~ t + as.factor(g)", r"C\(g\)"), ("y ~ t + factor(g)", r"C\(k\)"), ("y ~ t + i.g", r"C\(g\)"),
        ("y ~ t + c.x##c.w", r"'\*' here"), ("y ~ t + x.2", "backticks"), ("y ~ t + lag(x)", "shift"),
        ("y ~ t + L.x", "shift"), ("y ~ t + s(x)", "bs"), ("y ~ t + ns(x, 3)", "cr"), ("y ~ t + offset(x)", "I"),
        ("y ~ t + poly(x, 2, raw=TRUE)", "True"), ("y ~ .", "write the columns out"), ("y = t + x", "'~'"),
        ("y ~ t + d$x", "x here"), ("y ~ t + ln(s)", "log"),
    ],
)  # fmt: skip
def test_other_dialects_are_told_what_to_type(data, outcome, says):
    with pytest.raises(ValueError, match=says):
        make_design(data, outcome=outcome, treatment="t ~ x")


@pytest.mark.parametrize(
    "left",
    [
        "t + w",
        "(t + w)",
        "t * w",
        "t, w",
        "(t, w)",
        "[t, w]",
        "cbind(t, w)",
        "c(t,w)",
        "t & w",
        "t and w",
        "log(t) + log(w)",
        "`t` + `w`",
    ],
)
def test_two_treatments_are_told_to_come_one_at_a_time_and_never_as_their_sum(data, left):
    with pytest.raises(ValueError, match=r"one treatment at a time.*among the covariates of both") as refusal:
        make_design(data, outcome="y ~ t + w + x", treatment=f"{left} ~ x")
    assert "I(" not in str(refusal.value) and "treatment='" in str(refusal.value)


def test_a_product_is_no_treatment_and_its_parts_are_told_how_to_change_an_effect(data):
    with pytest.raises(ValueError, match="the one with the other as its moderator: outcome='y ~ t \\* w") as refusal:
        make_design(data, outcome="y ~ t + w + x", treatment="t:w ~ x")
    treatment = "t ~ w + x"
    assert treatment.split(" + ")[0] in str(refusal.value)
    assert make_design(data, outcome="y ~ t * w + x", treatment=treatment).moderators == ("w",)


@pytest.mark.parametrize("treatment", ["t ~ x; w ~ x", "t ~ x\nw ~ x"])
def test_two_formulas_in_one_are_told_the_same(data, treatment):
    with pytest.raises(ValueError, match=r"treatment='t ~ w \+ ...' and outcome='y ~ t \+ w \+ ...'"):
        make_design(data, outcome="y ~ t + w + x", treatment=treatment)
    with pytest.raises(TypeError, match="one formula at a time"):
        make_design(data, outcome="y ~ t + w + x", treatment=["t ~ x", "w ~ x"])


@pytest.mark.parametrize("left", ["y, w", "cbind(y, w)", "(y, w)"])
def test_two_outcomes_are_told_to_come_one_at_a_time(data, left):
    with pytest.raises(ValueError, match=r"one outcome at a time.*'y ~ ...', then 'w ~ ...'"):
        make_design(data, outcome=f"{left} ~ t", treatment="t ~ x")
