"""What the three sentences rest on: least squares, the likelihood, or the instruments alone."""

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.sandbox.regression.gmm import IV2SLS

from helpers import make_design, make_report
from which_world.report.short import in_short

LEAVES, TAKES = "y ~ t + x", "t ~ x + z"


def report(data, outcome=LEAVES, treatment=TAKES):
    return make_report(make_design(data, outcome=outcome, treatment=treatment), data=data)


def skewed(effect, seed=100, n=2000):
    """A strong instrument, and a current whose errors are exponential: their shape misleads the likelihood."""
    rng = np.random.default_rng(seed)
    x, z, v, e = rng.normal(size=(4, n))
    u = rng.exponential(size=n) - 1
    t = (z + 0.3 * x + u + v > 0).astype(int)
    return pd.DataFrame({"x": x, "z": z, "t": t, "y": effect * t + u + x + 0.5 * e})


def two_stages(data):
    """The effect and its interval by statsmodels."""
    fit = IV2SLS(data.y, sm.add_constant(data[["t", "x"]]), sm.add_constant(data[["z", "x"]])).fit()
    return fit.params["t"], *fit.conf_int().loc["t"]


@pytest.mark.parametrize(("effect", "acts"), [(0.0, False), (-1.5, True)])
def test_where_the_shape_misleads_a_strong_instrument_leads(effect, acts):
    data = skewed(effect)
    naive = smf.ols("y ~ t + x", data).fit()
    if not effect:
        assert naive.conf_int().loc["t"].min() > 0.5  # least squares would have had her act
    told = in_short(report(data))
    numbers = [float(text) for text in re.findall(r"-?\d+\.\d+", told[0])]
    np.testing.assert_allclose(numbers[:3], two_stages(data), atol=0.012)
    assert "by two-stage least squares" in told[0]
    assert ("Act on the sign" in told[2]) is acts


def test_where_the_shape_does_not_mislead_the_posterior_leads():
    rng = np.random.default_rng(3)
    x, z, v, e = rng.normal(size=(4, 1500))
    t = (z + 0.3 * x + v > 0).astype(int)
    told = in_short(report(pd.DataFrame({"x": x, "z": z, "t": t, "y": 2 * t + x + 0.5 * v + e})))
    assert "under the prior of ρ" in told[0] and "condemns" not in told[0]


def test_an_instrument_that_moves_nothing_lends_no_yardstick():
    """The maximum-likelihood current of a worthless instrument is noise, which would forbid to act at random."""
    for seed in range(2):
        rng = np.random.default_rng(seed)
        x, x2, z, v, e = rng.normal(size=(5, 400))
        data = pd.DataFrame({"x": x, "x2": x2, "z": z, "t": x + x2 + v})
        data["y"] = 0.5 * data.t + 0.3 * x + 0.2 * x2 + e
        told = " ".join(in_short(report(data, "y ~ t + x + x2", "t ~ x + x2 + z")))
        assert "by z" not in told


def yes_or_no(n, risk, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    t = (0.3 * x + rng.normal(size=n) > 0).astype(int)
    return pd.DataFrame({"x": x, "t": t, "y": (rng.uniform(size=n) < risk).astype(int)})


@pytest.mark.parametrize(("risk", "little"), [(0.01, False), (0.5, True)])
def test_a_little_is_little_beside_the_risk_itself(risk, little):
    """Half a point is next to nothing beside a half, and half of all there is beside one in a hundred."""
    data = yes_or_no(4000, risk, seed=2)
    told = in_short(report(data, treatment="t ~ x"))
    assert ("next to nothing" in told[1]) is little
    if little:
        assert re.search(r"smaller than about [\d.]+ percentage points either way", told[1])
        rarer = min(data.y.mean(), 1 - data.y.mean())
        assert f"next to nothing beside the {rarer:.0%}".replace("%", " %") in told[1]


def test_an_effect_that_changes_is_told_at_both_ends_of_its_moderator():
    rng = np.random.default_rng(0)
    x, v, e = rng.normal(size=(3, 400))
    data = pd.DataFrame({"x": x, "m": rng.integers(3, 5, 400), "t": x + v})
    data["y"] = data.t * (4 - data.m) + x + e
    theirs = [smf.ols(f"y ~ t * I(m - {level}) + x", data).fit() for level in (3, 4)]
    expected = [(fit.params["t"], *fit.conf_int().loc["t"]) for fit in theirs]
    (sentence,) = re.findall(r"By least squares it is .*", in_short(report(data, "y ~ t * m + x", "t ~ x + m"))[0])
    found = re.findall(r"(-?[\d.]+) \((-?[\d.]+) to (-?[\d.]+)\) where m is (\d)", sentence)
    np.testing.assert_allclose([[float(n) for n in row[:3]] for row in found], expected, atol=0.006)
    assert [row[3] for row in found] == ["3", "4"]


def test_a_difference_in_differences_is_told_as_statsmodels_has_it():
    rng = np.random.default_rng(2)
    treated, post = rng.integers(0, 2, size=(2, 400))
    data = pd.DataFrame({"treated": treated, "post": post})
    data["y"] = 1 + treated + post + 2 * treated * post + rng.normal(size=400)
    theirs = smf.ols("y ~ treated * post", data).fit()
    name = "treated:post"
    for formula in (f"{name} ~ treated + post", "I(treated * post) ~ treated + post"):
        with pytest.raises(ValueError, match=r"outcome='y ~ treated \* post \+ ...' and treatment='treated ~ post"):
            make_design(data, outcome=f"y ~ {formula.partition(' ~')[0]} + treated + post", treatment=formula)
    told = in_short(report(data, "y ~ treated * post", "treated ~ post"))[0]
    found = re.search(r"; the difference is (-?[\d.]+) \((-?[\d.]+) to (-?[\d.]+)\)\.$", told)
    expected = [theirs.params[name], *theirs.conf_int().loc[name]]
    assert [float(part) for part in found.groups()] == pytest.approx(expected, abs=0.006)


def test_a_moderator_that_is_a_number_is_told_a_standard_deviation_off_its_mean():
    rng = np.random.default_rng(1)
    x, age, v, e = rng.normal(size=(4, 400)) * np.array([[1], [10], [1], [1]])
    data = pd.DataFrame({"x": x, "age": 40 + age, "t": x + v})
    data["y"] = data.t * data.age / 40 + x + e
    told = in_short(report(data, "y ~ t * age + x", "t ~ x + age"))[0]
    low, high = (float(text) for text in re.findall(r"where age is ([\d.]+)", told.replace(".,", ",").rstrip(".")))
    assert (low, high) == pytest.approx((data.age.mean() - data.age.std(), data.age.mean() + data.age.std()), rel=0.01)
    assert " at average age" in told


def errors(n, k, seed, shape):
    """Rows without a current, and as many covariates as that."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, k)), columns=["a", *(f"x{j}" for j in range(1, k))])
    t = (X["a"] + rng.normal(size=n) > 0).astype(int)
    e = rng.normal(size=n) if shape == "normal" else np.exp(1.5 * rng.normal(size=n))
    return X.assign(t=t, y=X.sum(axis=1) + e)


@pytest.mark.parametrize(
    ("n", "k", "shape", "reason"),
    [
        (32, 5, "normal", "the rows are too few"),
        (160, 30, "normal", "the rows are too few"),  # for so many coefficients
        (400, 2, "skewed", "the shape does mislead"),
        (400, 2, "normal", ""),
    ],
)
def test_a_shuffle_that_finds_a_current_is_told_with_its_reason(n, k, shape, reason):
    data = errors(n, k, 0, shape)
    terms = " + ".join(data.columns[:k])
    said = report(data, f"y ~ t + {terms}", f"t ~ {terms}").limits[0]
    assert {words for words in ("the rows are too few", "the shape does mislead") if words in said} == (
        {reason} if reason else set()
    )


@pytest.mark.parametrize("basis", ["cr", "cc"])
def test_a_spline_that_adds_up_to_the_constant_is_refused_with_the_one_that_works(basis):
    data = errors(200, 2, 0, "normal")
    formulas = f"y ~ t + {basis}(a, df=4)", f"t ~ {basis}(a, df=4)"
    with pytest.raises(ValueError, match=re.escape(f"write {basis}(a, df=4, constraints='center')")) as refused:
        make_design(data, outcome=formulas[0], treatment=formulas[1])
    way = re.search(r"write (.*)\.", str(refused.value))[1]
    design = make_design(data, outcome=f"y ~ t + {way}", treatment=f"t ~ {way}")
    assert design.n == 200


@pytest.mark.parametrize(("effect", "acts"), [(0.06, False), (0.4, True)])
def test_a_sign_that_a_slight_cause_turns_is_none_to_act_on(effect, acts):
    """Clear of zero by many rows, and turned by ρ = 0.04: covariates that hardly matter do not rule that out."""
    rng = np.random.default_rng(2)
    x, x2, x3, v, e = rng.normal(size=(5, 3000))
    data = pd.DataFrame({"x": x, "x2": x2, "x3": x3, "t": 0.02 * x - 0.02 * x2 + v})
    data["y"] = effect * data.t + 0.02 * x + e
    naive = smf.ols("y ~ t + x + x2 + x3", data).fit()
    assert naive.conf_int().loc["t", 0] > 0.02  # least squares would have her act
    told = in_short(report(data, "y ~ t + x + x2 + x3", "t ~ x + x2 + x3"))
    assert (told[2].endswith("do not act on the sign alone.")) is not acts
    assert ("Act on the sign only if t was drawn by lot" in told[2]) is acts
