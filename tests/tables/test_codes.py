"""Numbers that may stand for no answer: asked about whatever they stand among, and hardly ever in vain."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from helpers import make_design
from which_world.tables.codes import candidates, ends, together


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
