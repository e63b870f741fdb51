"""Factors of a formula: never run as a program, defined in every row, and computed with as real numbers."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from helpers import make_design, ols
from which_world.tables import pieces as pieces_of

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


@pytest.mark.parametrize("dtype", ["float32", "float16", "Float32", pd.ArrowDtype(pa.float32())], ids=str)
def test_a_comparison_is_of_real_numbers_too(whole, dtype):
    """A tenth in few digits is more than a tenth, here as in the frame of real numbers."""
    short = (whole.wide % 7 / 10).astype(dtype)
    data, real = whole.assign(tenth=short), whole.assign(tenth=short.astype("float64"))
    for term in ("I(tenth > 0.1)", "I(tenth <= 0.3)"):
        found = [make_design(each, outcome=f"y ~ t + {term}", treatment="t ~ z") for each in (data, real)]
        assert found[0].scales.iloc[0]["mean"] == found[1].scales.iloc[0]["mean"]


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
