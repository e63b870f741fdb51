"""How few rows decide, beside fits without them by statsmodels."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy.stats import norm

from helpers import influence, make_design
from which_world.deletion import _fit

SIGN, ERROR = "turn the sign", "move it by a standard error"


def crowd(n=40, effect=0.25, seed=5):
    """Heavy tails in few rows, so that single rows matter."""
    rng = np.random.default_rng(seed)
    x, v = rng.normal(size=(2, n))
    t = 0.5 * x + v
    return pd.DataFrame({"y": effect * t + 0.4 * x + rng.standard_t(2, n), "t": t, "x": x})


def designed(data, terms="x"):
    return make_design(data, outcome=f"y ~ t + {terms}", treatment=f"t ~ {terms}")


def slope(data):
    return np.linalg.lstsq(np.column_stack([data.t, data.x, np.ones(len(data))]), data.y)[0][0]


def test_leaving_out_one_row_is_exact():
    data = crowd()
    found = _fit(designed(data))
    line = smf.ols("y ~ t + x", data).fit()
    assert found.effect == pytest.approx(line.params["t"]) and found.se == pytest.approx(line.bse["t"])
    without = [slope(data.drop(index=k)) - line.params["t"] for k in range(len(data))]
    np.testing.assert_allclose(found.change, without, atol=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_the_rows_it_names_do_it_and_fewer_do_not(seed):
    """All sets of one row less are tried, where those are one or two rows."""
    data = crowd(seed=seed)
    table, whole = influence(designed(data)), smf.ols("y ~ t + x", data).fit()
    for to, distance in ((SIGN, abs(whole.params["t"])), (ERROR, whole.bse["t"])):
        row = table.loc[to]
        here = slope(data.drop(index=list(row["which"])))
        assert row["effect_without"] == pytest.approx(here) and row["rows"] == len(row["which"])
        assert abs(here - whole.params["t"]) >= distance * (1 - 1e-9)
        if to == SIGN:
            assert here * whole.params["t"] < 0
        if row["rows"] <= 3:
            sets = combinations(range(len(data)), int(row["rows"]) - 1)
            moved = [slope(data.drop(index=list(gone))) - whole.params["t"] for gone in sets]
            side = -np.sign(whole.params["t"]) if to == SIGN else np.sign(here - whole.params["t"])
            assert max(side * np.array(moved)) < distance


def test_rows_that_hide_each_other_are_found():
    """Three in one place hold the line so that none of them alone moves it by a tenth of what they do together."""
    data = crowd(300, effect=0.5, seed=1)
    data.loc[[7, 70, 170], ["t", "y"]] = [[50.0, -50.0], [50.0, -50.0], [51.0, -50.0]]
    row = influence(designed(data)).loc[SIGN]
    assert sorted(row["which"]) == [7, 70, 170] and row["effect"] < -0.7 and row["effect_without"] > 0.3
    assert abs(row["approximate"] - row["effect"]) < 0.2  # what one linear step from all rows would have said


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_a_yes_or_a_no_has_scores_for_residuals(kind):
    rng = np.random.default_rng(2)
    data = crowd(150, seed=3)
    data["t"] = (data.t > 0).astype(int) if kind == "binary" else data.t
    data["y"] = (0.15 * data.t + 0.4 * data.x + rng.normal(size=150) > 0).astype(int)

    def effect(rows):
        A = sm.add_constant(rows[["x", "t"]])
        fitted = sm.Probit(rows.y, A).fit(disp=0)
        low, high = (A.assign(t=0), A.assign(t=1)) if kind == "binary" else (A, A.assign(t=A.t + 1))
        return 100 * np.mean(norm.cdf(high @ fitted.params) - norm.cdf(low @ fitted.params))

    found, here = _fit(designed(data)), effect(data)
    assert found.effect == pytest.approx(here, abs=1e-4)
    without = np.array([effect(data.drop(index=k)) - here for k in range(150)])
    assert np.abs(found.change - without).max() < 0.15 * np.abs(without).max()
    assert np.corrcoef(found.change, without)[0, 1] > 0.99
    row = influence(designed(data)).loc[SIGN]
    assert row["effect_without"] * here < 0
    assert row["effect_without"] == pytest.approx(effect(data.drop(index=list(row["which"]))), abs=0.05)


def test_a_sign_that_half_of_the_rows_do_not_turn_has_no_few():
    data = crowd(200, effect=30.0)
    row = influence(designed(data)).loc[SIGN]
    assert np.isnan(row["rows"]) and row["which"] == () and np.isnan(row["effect_without"])


def test_a_factor_whose_level_leaves_and_other_units_change_nothing():
    data = crowd(60).assign(g=["only"] + ["a", "b", "c"] * 19 + ["a", "b"])
    first, other = (influence(designed(each, "x + g")) for each in (data, data.assign(y=1e9 * data.y, t=1e-9 * data.t)))
    assert first["which"].tolist() == other["which"].tolist()
    np.testing.assert_allclose(other["effect_without"] / 1e18, first["effect_without"], rtol=1e-6)


def test_rows_that_are_not_at_hand_are_refused():
    design = designed(crowd())
    with pytest.raises(ValueError, match="this looks at each row"):
        influence(replace(design, stands_for=1000))


def test_a_level_without_a_yes_leaves_the_rest_to_itself():
    rng = np.random.default_rng(4)
    data = crowd(400, seed=6).assign(town=rng.choice(["a", "b", "c"], 400, p=[0.5, 0.45, 0.05]))
    data["y"] = ((0.3 * data.t + rng.normal(size=400) > 0) & (data.town != "c")).astype(int)
    found = _fit(designed(data, "x + town"))
    rest = data[data.town != "c"]
    alone = _fit(designed(rest, "x + town"))
    assert found.effect == pytest.approx(alone.effect * len(rest) / 400, rel=1e-3)
    assert np.abs(found.change[data.town == "c"]).max() < 0.02 * np.abs(found.change).max()
