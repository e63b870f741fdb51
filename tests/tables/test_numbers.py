"""Numbers, however narrowly a file or a frame holds them, are computed with as real numbers."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from helpers import make_design, ols
from which_world.tables import pieces as pieces_of
from which_world.tables.codes import candidates, ends, together

NARROW = [
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "float16",
    "float32",
    "Int8",
    "UInt8",
    "Int16",
    "Float32",
    pd.ArrowDtype(pa.int8()),
    pd.ArrowDtype(pa.uint8()),
    pd.ArrowDtype(pa.float32()),
    pd.SparseDtype("int8"),
]
PRODUCTS = "wide + wide:deep + wide:deep:far + scale(far) + I(wide > deep) + yes:wide + deep"
CURVES = "poly(far, 2) + bs(wide, df=4) + center(deep)"
FEW = "wide + wide:deep + wide:deep:far + I(wide > deep)"
OUTCOME, TREATMENT = "y ~ t + {}", "t ~ {} + z"


@pytest.fixture(scope="module")
def whole():
    """Whole numbers that fit into seven bits, and whose products do not fit into sixteen."""
    rng, n = np.random.default_rng(8), 600
    wide, deep, far = rng.integers(60, 120, n), rng.integers(30, 125, n), rng.integers(100, 127, n)
    yes, z = rng.random(n) < 0.4, rng.normal(size=n)
    t = 0.01 * wide + z + rng.normal(size=n)
    y = t + 0.001 * wide * deep + rng.normal(size=n)
    return pd.DataFrame({"y": y, "t": t, "wide": wide, "deep": deep, "far": far, "yes": yes, "z": z})


def design(data, more):
    return make_design(data, outcome=OUTCOME.format(more), treatment=TREATMENT.format(more))


def narrowed(whole, dtype):
    return whole.astype({name: dtype for name in ("wide", "deep", "far")})


def alike(one, other):
    assert one.covariates == other.covariates
    pd.testing.assert_frame_equal(one.scales, other.scales, rtol=1e-9, atol=1e-9)
    assert ols(one).params["alpha"] == pytest.approx(ols(other).params["alpha"], rel=1e-7)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
@pytest.mark.parametrize("more", [PRODUCTS, CURVES])
def test_no_product_wraps_whatever_holds_its_parts(whole, dtype, more):
    floats = whole.astype(dict.fromkeys(("wide", "deep", "far", "yes"), float))
    found = design(narrowed(whole, dtype), more)
    alike(found, design(floats, more))
    if more == PRODUCTS:
        assert found.scales.loc["wide:deep", "mean"] == pytest.approx((floats.wide * floats.deep).mean(), rel=1e-12)


@pytest.mark.parametrize("dtype", ["int8", "float16", "Int8", pd.ArrowDtype(pa.uint8())], ids=str)
def test_nor_does_one_in_pieces_or_in_many_rows(whole, dtype, monkeypatch):
    floats = design(whole.astype(dict.fromkeys(("wide", "deep", "far", "yes"), float)), FEW)
    alike(design(dd.from_pandas(narrowed(whole, dtype), npartitions=4), FEW), floats)
    monkeypatch.setattr(pieces_of, "MOST_COPIED", 100)
    alike(design(narrowed(whole, dtype), FEW), floats)


def test_a_narrow_treatment_and_outcome_are_real_numbers_too(whole):
    data = whole.assign(t=whole.wide.astype("int8"), y=(whole.deep // 2 + 2 * (whole.wide // 30)).astype("uint8"))
    found = make_design(data, outcome="y ~ t * far", treatment="t ~ far + z")
    theirs = make_design(data.astype(float), outcome="y ~ t * far", treatment="t ~ far + z")
    alike(found, theirs)


@pytest.mark.parametrize("dtype", ["int8", "Int8", "int64", pd.ArrowDtype(pa.int8())], ids=str)
def test_a_category_keeps_its_own_levels(whole, dtype):
    data = whole.assign(k=(whole.wide % 3 + 1).astype(dtype))
    for frame in (data, dd.from_pandas(data, npartitions=3)):
        found = make_design(frame, outcome="y ~ t + C(k) + k:deep", treatment="t ~ C(k) + z")
        assert found.covariates == ("C(k)[T.2]", "C(k)[T.3]", "k:deep", "z")
    levels = data.assign(k=pd.Categorical(data.k.astype("int64")))
    assert make_design(levels, outcome="y ~ t + k", treatment="t ~ z").covariates == ("k[T.2]", "k[T.3]", "z")
    assert make_design(data, outcome="y ~ t + C(yes)", treatment="t ~ z").covariates == ("C(yes)[T.True]", "z")


KINDS = {
    "a number with text": ("k == '3'", "k == 3"),
    "text with a number": ("word == 2", "word == '2 or more'"),
    "a truth value with text": ("yes == 'True'", "yes == True"),
    "a category of numbers with text": ("level != '3'", "level != 3"),
    "numbers in order with text": ("k > '2'", "k > 2"),
    "the text first": ("'2' == k", "'2' == k".replace("'2'", "2")),
    "inside another": ("(k == '3') | (k == 4)", "k == 3"),
}


@pytest.mark.parametrize(("asked", "instead"), KINDS.values(), ids=KINDS)
def test_numbers_are_not_compared_with_text(whole, asked, instead):
    k = whole.wide % 5 + 1
    data = whole.assign(k=k, word=np.where(k > 1, "2 or more", "one"), level=pd.Categorical(k))
    for frame in (data, dd.from_pandas(data, npartitions=3)):
        with pytest.raises(ValueError, match="no number is ever equal to a text") as refusal:
            make_design(frame, outcome=f"y ~ t + I({asked})", treatment="t ~ z")
        assert f"write {instead}" in str(refusal.value)
        make_design(frame, outcome=f"y ~ t + I({instead})", treatment="t ~ z")  # the advice works as it stands


def test_a_text_that_no_row_holds_is_named_with_those_that_rows_hold(whole):
    data = whole.assign(word=np.where(whole.yes, "yes", "no"))
    for frame in (data, data.astype({"word": "category"}), dd.from_pandas(data, npartitions=3)):
        with pytest.raises(ValueError, match=r"no row of 'word' is 'Yes'.*one of its values: 'no', 'yes'"):
            make_design(frame, outcome="y ~ t + I(word == 'Yes')", treatment="t ~ z")
    for term in ("I(word == 'yes')", "I((word == 'yes') | (word == 'Yes'))"):
        assert (
            make_design(data, outcome=f"y ~ t + {term}", treatment="t ~ z").scales.iloc[0]["mean"] == whole.yes.mean()
        )


def held(values, code, rows, n):
    values = np.array(values, dtype=float)
    values[:rows] = code
    return np.random.default_rng(0).permutation(values)


RNG = np.random.default_rng(21)
MEASURED = {
    "a scale from 1 to 7": RNG.integers(1, 8, 500),
    "ages": np.clip(np.round(RNG.normal(45, 15, 500)), 18, 85),
    "a count": RNG.poisson(3, 500),
    "zeros and ones": RNG.integers(0, 2, 500),
    "a z-score": RNG.normal(size=500),
    "a weight": np.round(RNG.normal(75, 14, 500), 1),
}
SENTINELS = [-99, 999, 9999, 999999, -2147483648, -9999, 2147483647, -999.25, -3.4028234663852886e38]


@pytest.mark.parametrize("code", SENTINELS)
@pytest.mark.parametrize("base", MEASURED)
def test_a_code_is_asked_about_whatever_it_stands_among(base, code):
    data = pd.DataFrame({"x": held(MEASURED[base], code, 10, 500)}).assign(t=RNG.normal(size=500))
    data["y"] = data.t + RNG.normal(size=500)
    whole = make_design(data, outcome="y ~ t + x", treatment="t ~ 1").notes
    pieces = make_design(dd.from_pandas(data, npartitions=5), outcome="y ~ t + x", treatment="t ~ 1").notes
    rest = data.x[data.x != code]
    assert f"in 10 of 500 rows, and from {rest.min():.15g} to {rest.max():.15g}" in whole[0] and whole == pieces


@pytest.mark.parametrize(
    ("base", "codes"),
    [
        ("a scale from 1 to 7", [99]),
        ("a scale from 1 to 7", [-1]),
        ("a scale from 1 to 7", [77, 88, 99]),
        ("a scale from 1 to 7", [-8, -9]),
        ("a count", [88]),
        ("ages", [-1]),
        ("zeros and ones", [9]),
        ("zeros and ones", [-9]),
        ("a z-score", [97, 98, 99]),
        ("a weight", [-7, -8, -9]),
        ("ages", [999, -99]),
    ],
)
def test_several_codes_are_asked_about_together(base, codes):
    values = MEASURED[base].astype(float)
    for k, code in enumerate(codes):
        values[10 * k : 10 * k + 8] = code
    assert candidates(ends(values)).to_dict() == dict.fromkeys(map(float, codes), 8)
    parts = [ends(values[k::4]) for k in range(4)]
    assert candidates(together(together(parts[0], parts[1]), together(parts[2], parts[3]))).to_dict() == dict.fromkeys(
        codes, 8
    )


def genuine(rng, n):
    """Columns in which nothing is a code, though some values look like one."""
    yield "incomes", np.round(np.exp(rng.normal(rng.uniform(8, 11), rng.uniform(0.3, 1.5), n)))
    yield "incomes with their top at 99999", np.minimum(np.round(np.exp(rng.normal(10.8, 1, n))), 99999)
    yield "incomes cut below at -9999", np.maximum(np.round(rng.normal(20000, 25000, n)), -9999)
    yield "zeros and incomes", np.where(rng.random(n) < 0.4, 0, np.round(np.exp(rng.normal(9, 1, n))))
    yield "ages to 99", np.clip(np.round(rng.normal(60, 20, n)), 0, 99)
    yield "hours to 99", np.clip(np.where(rng.random(n) < 0.5, 40, np.round(rng.normal(38, 15, n))), 0, 99)
    yield "hours by fives", np.clip(np.round(rng.normal(38, 20, n) / 5) * 5, 0, 99)
    yield "years", rng.integers(1950, 2000, n)
    yield "counts", rng.negative_binomial(rng.uniform(0.3, 5), rng.uniform(0.02, 0.5), n)
    yield "heavy tails", np.round(rng.standard_t(2, n) * 10)
    yield "Pareto", np.round(rng.pareto(rng.uniform(0.8, 3), n) * 20)
    yield "a scale from -3 to 3", rng.choice(np.arange(-3, 4), n, p=rng.dirichlet(np.ones(7)))
    yield "minus, none and plus", rng.choice([-1, 0, 1], n)
    yield "minus and plus", rng.choice([-1, 1], n)
    yield "temperatures", np.round(rng.normal(12, 6, n))
    yield "doses by tens", rng.choice([0, 1, 10, 100, 1000], n)
    yield "zeros and ones", rng.random(n) < 0.03
    yield "a share", np.round(rng.beta(0.4, 2, n), 2)
    yield "prices that end in .99", np.round(np.exp(rng.normal(3, 1, n))) - 0.01


def test_hardly_a_number_that_was_measured_is_asked_about():
    rng, asked = np.random.default_rng(31), []
    for _ in range(25):
        n = int(np.exp(rng.uniform(np.log(60), np.log(5000))))
        asked += [name for name, values in genuine(rng, n) if len(candidates(ends(values)))]
    assert len(asked) <= 2, asked  # of 475


def test_two_rows_are_no_code_and_a_category_has_none():
    values = MEASURED["a scale from 1 to 7"].astype(float)
    values[:2] = 99
    assert candidates(ends(values)).empty
    data = pd.DataFrame({"k": held(MEASURED["a scale from 1 to 7"], 9, 40, 500), "t": RNG.normal(size=500)})
    data["y"] = data.t + RNG.normal(size=500)
    assert make_design(data, outcome="y ~ t + C(k)", treatment="t ~ 1").notes == ()


@pytest.mark.parametrize("code", [9, -9, 99, -1])
def test_a_code_in_a_yes_or_a_no_is_asked_about_before_it_is_recoded(code):
    data = pd.DataFrame({"t": held(RNG.integers(1, 3, 200), code, 9, 200), "x": RNG.normal(size=200)})
    data["y"] = data.x + RNG.normal(size=200)
    with pytest.raises(ValueError, match=f"t is {code} in 9 of 200 rows, and from 1 to 2 in the others"):
        make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    with pytest.raises(ValueError, match=f"t is {code} in 9 of 200 rows, and from 1 to 2 in the others"):
        make_design(data, outcome="t ~ y + x", treatment="y ~ x", outcome_kind="binary")


@pytest.mark.parametrize("dtype", ["float32", "float16", "Float32", pd.ArrowDtype(pa.float32())], ids=str)
def test_a_comparison_is_of_real_numbers_too(whole, dtype):
    """A tenth in few digits is more than a tenth, here as in the frame of real numbers."""
    short = (whole.wide % 7 / 10).astype(dtype)
    data, real = whole.assign(tenth=short), whole.assign(tenth=short.astype("float64"))
    for term in ("I(tenth > 0.1)", "I(tenth <= 0.3)"):
        found = [make_design(each, outcome=f"y ~ t + {term}", treatment="t ~ z") for each in (data, real)]
        assert found[0].scales.iloc[0]["mean"] == found[1].scales.iloc[0]["mean"]
