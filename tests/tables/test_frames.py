"""Columns of a frame by two formulas: computed beside statsmodels, and no row shifted by what is undefined."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from helpers import make_design, ols, read_table


def alpha(data, outcome, treatment="t ~ x"):
    return ols(make_design(data, outcome=outcome, treatment=treatment)).params["alpha"]


@pytest.mark.parametrize(
    ("outcome", "columns"),
    [
        ("y ~ t + {x**2}", lambda d: [d.x**2]),
        ("y ~ t + {x + w}", lambda d: [d.x + d.w]),
        ("y ~ t + I(x * w) + x", lambda d: [d.x * d.w, d.x]),
        ("y ~ t + np.hypot(x, w)", lambda d: [np.hypot(d.x, d.w)]),
        ("y ~ t + log(s) + log", lambda d: [np.log(d.s), d.s]),
        ("y ~ t + C + C(g)", lambda d: [d.w, *(d.g == level for level in "bcd")]),
        ("y ~ t + np + np.exp(x)", lambda d: [d.w, np.exp(d.x)]),
        ("y ~ t + I((x > 0) & ~(w > 1))", lambda d: [(d.x > 0) & ~(d.w > 1)]),
        ("y ~ t + I((x > 0) + (w > 0))", lambda d: [1 * (d.x > 0) + 1 * (d.w > 0)]),
        ("y ~ t + (x + w)**2", lambda d: [d.x, d.w, d.x * d.w]),
        ("{y * 100} ~ t + x", lambda d: [d.x]),
        ("I(y - pre) ~ t + x", lambda d: [d.x]),
    ],
)
def test_a_formula_means_what_it_says(data, outcome, columns):
    X = sm.add_constant(np.column_stack([data.t, *(np.asarray(c, dtype=float) for c in columns(data))]))
    y = 100 * data.y if "100" in outcome else data.y - data.pre if "pre" in outcome else data.y
    assert alpha(data, outcome) == pytest.approx(sm.OLS(y, X).fit().params.iloc[1], rel=1e-9)


def test_undefined_values_are_counted_by_term_and_never_shift_a_row():
    rng = np.random.default_rng(0)
    size, noise = rng.uniform(1, 9, 200), rng.normal(size=(2, 200)) / 9
    dose = size * np.exp(noise[0])
    frame = pd.DataFrame({"price": dose * size * np.exp(noise[1]), "dose": dose, "size": size})
    for place, name in enumerate(frame):
        frame.loc[40 * place + 3, name] = -9.0
    formulas = {"outcome": "log(price) ~ log(dose) + log(size)", "treatment": "log(dose) ~ log(size)"}
    with pytest.raises(ValueError, match=r"log\(dose\): 1 of 200 values are undefined") as refusal:
        make_design(frame, **formulas)
    assert "log(price)" in str(refusal.value) and "log(size)" in str(refusal.value)
    table = read_table(frame, **formulas, drop_missing=True)
    assert (len(table.data), table.dropped) == (197, 3)
    whole = np.log(frame[(frame > 0).all(axis=1)])
    X = sm.add_constant(whole[["dose", "size"]])
    found = ols(make_design(table.data, outcome=table.outcome, treatment=table.treatment)).params["alpha"]
    assert found == pytest.approx(sm.OLS(whole["price"], X).fit().params["dose"], rel=1e-9)


ANSWERS = {
    "yes and no": (["no", "yes"], "I(k == 'yes')"),
    "letters": (["N", "Y"], "I(k == 'Y')"),
    "truth values as text": (["false", "true"], "I(k == 'true')"),
    "an apostrophe": (["did", "didn't"], 'I(k == "didn\'t")'),
    "one and two": ([1, 2], "I(k == 2)"),
    "narrow and signed": (np.array([-1, 1], dtype="int8"), "I(k == 1)"),
    "halves": ([0.5, 1.5], "I(k == 1.5)"),
    "a million and seven digits": ([1234567.0, 7654321.0], "I(k == 7654321)"),
    "a category": (pd.Categorical(["no", "yes"]), "I(k == 'yes')"),
    "a category of numbers": (pd.Categorical([1, 2]), "I(k == 2)"),
    "three answers": (["maybe", "no", "yes"], "I(k == 'maybe')"),
}


@pytest.mark.parametrize(("levels", "answer"), ANSWERS.values(), ids=ANSWERS)
def test_two_answers_are_told_the_recoding_that_works_as_it_stands(data, levels, answer):
    rng = np.random.default_rng(3)
    codes = rng.integers(0, len(levels), len(data))
    k = pd.Series(levels).iloc[codes].reset_index(drop=True)
    frame = data.assign(k=k)
    own = (k.astype(object) == pd.Series(levels).iloc[0 if len(levels) > 2 else 1]).astype(float)
    for outcome, treatment in (("{} ~ t + x", "t ~ x + s"), ("y ~ {} + x", "{} ~ x + s")):
        for name in ("k", "C(k)"):
            with pytest.raises(ValueError) as refusal:
                make_design(frame, outcome=outcome.format(name), treatment=treatment.format(name))
            assert f"write {answer} on the left" in str(refusal.value)
        found = make_design(frame, outcome=outcome.format(answer), treatment=treatment.format(answer))
        assert np.array_equal(found.t if "{}" in treatment else found.y, own)


def test_four_doses_are_told_to_be_parted_where_the_rows_are_halved(data):
    """Doses 1 to 4, of which 3 and 4 are 0.5 of the rows."""
    frame = data.assign(k=np.resize([1.0, 2.0, 3.0, 4.0], len(data)))
    with pytest.raises(ValueError, match=r"write I\(k >= 3\) on the left.*rows of 3 or more.*I\(k == 3\) is 3 alone"):
        make_design(frame, outcome="y ~ k + x", treatment="k ~ x")
    found = make_design(frame, outcome="y ~ I(k >= 3) + x", treatment="I(k >= 3) ~ x")
    assert np.array_equal(found.t, frame.k.isin([3, 4]))
