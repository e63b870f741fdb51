"""What formulas mean: computed beside pandas and statsmodels, refused in a sentence, and never run as a program."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from helpers import make_design, maximum_likelihood, ols, read_table


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    n = 200
    x, w, s = rng.normal(size=n), rng.normal(size=n), rng.uniform(1, 9, size=n)
    g = np.repeat(["a", "b", "c", "d"], n // 4)
    t = x + s / 4 + rng.normal(size=n)
    y = t + x**2 + 0.5 * x * w + (g == "b") + rng.normal(size=n)
    return pd.DataFrame(
        {"y": y, "t": t, "x": x, "w": w, "s": s, "g": g, "copy": x, "log": s, "C": w, "np": w, "pre": w}
    )


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
    "term",
    [
        "I(x + np.load.__globals__['os'].getpid())", "I(().__class__)", "__import__('os')", "open('mine.csv')",
        "I((lambda: x)())", "I([i for i in x])", "np.load('a')", "np.save('here', x)", "eval('x')",
        "C(g, contr.__class__)", "I(x.values)", "x.pipe(print)", "I(x[0])", "f(x)", "np.add(x, w, out=x)",
        "I(f'{x}')", "np.add.outer(x, x)", "exec('1')", "{x.to_csv('here.csv')}",
    ],
)  # fmt: skip
def test_a_formula_is_no_program(data, term, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError):
        make_design(data, outcome=f"y ~ t + {term}", treatment="t ~ x")
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("term", ["I(log(x) > 0)", "np.fmax(log(x), 0)", "np.isfinite(log(x))", "I(~(log(x) > 0))"])
def test_nothing_undefined_hides_inside_a_term(data, term):
    with pytest.raises(ValueError, match=rf"log\(x\): {int((data.x < 0).sum())} of 200 values are undefined"):
        make_design(data, outcome=f"y ~ t + {term}", treatment="t ~ w")


def test_text_is_not_added_up(data):
    with pytest.raises(ValueError, match="'g' holds no numbers"):
        make_design(data, outcome="y ~ t + I(g + g)", treatment="t ~ x")


def test_a_zero_under_a_logarithm_is_undefined_too(data):
    frame = data.assign(s=data.s.where(data.s > 2, 0.0))
    with pytest.raises(ValueError, match=rf"log\(s\): {int((frame.s == 0).sum())} of 200 .*s is 0 there"):
        make_design(frame, outcome="y ~ t + log(s)", treatment="t ~ x")


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (lambda n: [f"{k} kg" for k in range(n)], "'kg'"),
        (lambda n: [f"{k / 7:.2f}%" for k in range(n)], "'%'"),
        (lambda n: [f"${k}.20" for k in range(n)], r"'\$'"),
        (lambda n: [f"{k},500" for k in range(1, n + 1)], "thousands"),
        (lambda n: [f"{k}.500,25" for k in range(1, n + 1)], "thousands"),
        (lambda n: pd.date_range("2020-01-01", periods=n), "dates"),
        (lambda n: pd.date_range("2020-01-01", periods=n, tz="UTC"), "dates"),
        (lambda n: pd.date_range("2020-01-01", periods=n).strftime("%Y-%m-%d"), "dates"),
        (lambda n: pd.to_timedelta(range(n), unit="h"), "spans of time"),
        (lambda n: np.arange(n) * 1j, "complex"),
        (lambda n: pd.array([__import__("decimal").Decimal(k) for k in range(n)], dtype=object), "objects"),
        (lambda n: [f"name {chr(65 + k % 26)}{k}" for k in range(n)], "different"),
        (lambda n: ["same"] * n, "constant"),
    ],
    ids=["kg", "percent", "dollar", "thousands", "german", "date", "zone", "iso", "span", "complex", "decimal", "names",
         "constant"],
)  # fmt: skip
def test_a_column_that_is_not_what_it_seems_is_refused_alike_in_a_frame_and_a_file(data, column, says, tmp_path):
    frame = data.assign(k=column(len(data)))
    formulas = {"outcome": "y ~ t + k", "treatment": "t ~ x"}
    with pytest.raises(ValueError, match=says) as refusal:
        make_design(frame, **formulas)
    assert "np." not in str(refusal.value)
    if says not in ("complex", "objects", "spans of time", "constant"):  # these do not survive a CSV
        frame.to_csv(tmp_path / "mine.csv", index=False)
        with pytest.raises(ValueError, match=says):
            read_table(tmp_path / "mine.csv", **formulas)


@pytest.mark.parametrize("change", [
    lambda d: d.convert_dtypes(), lambda d: d.assign(g=d.g.astype("string")), lambda d: d.assign(g=d.g.astype(object)),
    lambda d: d.assign(g=pd.Categorical(d.g, categories=[*"abcd", "never"])), lambda d: d.astype({"x": "Float64"}),
    lambda d: d.assign(g=pd.Categorical(d.g, categories=["never", *"abcd"])),
], ids=["convert", "string", "object", "unused", "nullable", "unused first"])  # fmt: skip
def test_how_pandas_holds_a_column_does_not_matter(data, change):
    frame = data.drop(columns=["log", "C", "np"])
    formulas = {"outcome": "y ~ t + x + g", "treatment": "t ~ x + g"}
    theirs = smf.ols("y ~ t + x + g", frame).fit().params["t"]
    design = make_design(change(frame), **formulas)
    assert ols(design).params["alpha"] == pytest.approx(theirs, rel=1e-9)
    assert design.covariates == make_design(frame, **formulas).covariates


@pytest.mark.parametrize(
    ("text", "says"),
    [("y,t,x\n1,2,3\n4,5,6,7\n", "row"), ("y,t,x\n1,2,3,9\n4,5,6,9\n", "field"), ("y,t,x\n1,2,3,\n4,5,6,8\n", "row")],
)
def test_rows_keep_to_their_header(tmp_path, text, says):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(ValueError, match=says):
        read_table(tmp_path / "mine.csv", outcome="y ~ t + x", treatment="t ~ x")


def test_a_trailing_comma_shifts_nothing(tmp_path):
    (tmp_path / "mine.csv").write_text("y,t,x\n1,2,3,\n4,5,6,\n7,9,8,\n")
    table = read_table(tmp_path / "mine.csv", outcome="y ~ t + x", treatment="t ~ x")
    assert table.data[["y", "t", "x"]].to_numpy().tolist() == [[1, 2, 3], [4, 5, 6], [7, 9, 8]]


def test_thousands_are_read_when_asked_for(tmp_path):
    (tmp_path / "mine.tsv").write_text("y\tt\tx\n43,500\t1\t2\n1,043,500\t2\t1\n900\t4\t1\n")
    table = read_table(tmp_path / "mine.tsv", outcome="y ~ t + x", treatment="t ~ x", separator="\t", thousands=",")
    assert table.data["y"].tolist() == [43500, 1043500, 900]


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
        ("wage ~ I(rent > 1) + rent", "I(rent > 1) ~ w", r"terms \['rent'\] are made from \['rent'\], and so is"),
        ("log(wage) ~ rent + wage:index", "rent ~ w", r"\['wage:index'\] are made from \['wage'\], and so"),
    ],
)
def test_what_is_made_from_the_other_is_refused_for_that_reason(prices, outcome, treatment, says):
    with pytest.raises(ValueError, match=says):
        make_design(prices.rename(columns={"wealth": "w"}), outcome=outcome, treatment=treatment)


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


@pytest.mark.parametrize("name", ["class", "lambda", "from"])
def test_a_column_with_the_name_of_a_keyword_is_told_so(data, name):
    with pytest.raises(ValueError, match=rf"{name!r} is a Python keyword.*`{name}`"):
        make_design(data.assign(**{name: data.x**2}), outcome=f"y ~ t + C({name})", treatment="t ~ x")
    with pytest.raises(ValueError, match="spaces or signs"):
        make_design(data, outcome="y ~ t + x body", treatment="t ~ x")
