"""What a design must not be: separated in any row, or too far from zero for its digits."""

import numpy as np
import pandas as pd
import pytest
from ponds import FISH

from helpers import fit, make_design, map_rho, maximum_likelihood, ols, read_map
from which_world.tables import guards


@pytest.mark.parametrize("y, dose", [(1e49, 1.0), (1e-49, 1.0), (1.0, 1e9), (1.0, 1e-9), (1e9, 1e-9)])
def test_a_unit_that_is_accepted_changes_nothing_else(y, dose):
    formulas = {"outcome": "y ~ dose + x", "treatment": "dose ~ x + z"}
    one, other = (
        make_design(FISH.assign(y=FISH.y * a, dose=FISH.dose * b), **formulas) for a, b in ((1, 1), (y, dose))
    )
    for estimate in (lambda d: ols(d).params["alpha"], lambda d: maximum_likelihood(d, rho=0.3).alpha):
        assert estimate(other) * dose / y == pytest.approx(estimate(one), rel=1e-6)


@pytest.mark.parametrize("hidden, refused", [(True, True), (False, False)])
def test_separation_is_seen_in_all_rows_and_believed_of_no_part(hidden, refused, monkeypatch):
    """A rare level whose rows are all treated stands where the few rows that are asked first do not look."""
    monkeypatch.setattr(guards, "PLENTY", 50)
    rng, n = np.random.default_rng(0), 400
    data = pd.DataFrame({"x": rng.normal(size=n), "t": rng.integers(0, 2, n), "g": "common"})
    data["y"] = data.x + data.t + rng.normal(size=n)
    data.loc[[1, 2, 3, 9, 10], "g"] = "rare"  # every eighth row is asked
    data.loc[[1, 2, 3, 9, 10], "t"] = 1 if hidden else [0, 1, 0, 1, 1]
    formulas = {"outcome": "y ~ t + x + g", "treatment": "t ~ x + g"}
    if refused:
        with pytest.raises(ValueError, match="separation"):
            make_design(data, **formulas)
    else:
        assert make_design(data, **formulas).n == n
    apart = data.assign(g="common", z=np.where(np.arange(n) % 8 == 0, data.t, rng.normal(size=n)))
    assert make_design(apart, outcome="y ~ t + x + z", treatment="t ~ x + z").n == n  # the part alone would separate


def sea(outcome, treatment, n=800):
    """An effect of 2 for each unit of the treatment, on the outcome or on its index."""
    x, z, v, e = np.random.default_rng(8).normal(size=(4, n))
    t = 0.5 * x + z + v
    t = (t > 0).astype(float) if treatment == "binary" else t
    y = 2 * t + x + 0.3 * v + e
    return pd.DataFrame({"y": (y > 0.5) * 1.0 if outcome == "binary" else y, "t": t, "x": x, "z": z})


@pytest.mark.parametrize("outcome", ["continuous", "binary"])
@pytest.mark.parametrize("treatment", ["continuous", "binary"])
def test_numbers_as_far_from_zero_as_is_accepted_give_the_same_effect(outcome, treatment):
    near, far = sea(outcome, treatment), sea(outcome, treatment)
    for name, kind in {"y": outcome, "t": treatment, "x": "continuous"}.items():
        far[name] += 9e6 * far[name].std() * (kind == "continuous")
    designs = [make_design(data, outcome="y ~ t + x", treatment="t ~ x + z") for data in (near, far)]
    settings = {"rho": np.tanh([-0.6, -0.3, 0, 0.3, 0.6]), "draws": 128}
    for effects in zip(
        *([ols(each).params["alpha"], maximum_likelihood(each).alpha, maximum_likelihood(each, rho=0.2).effect,
           *read_map(map_rho(each, **settings))["mean"], float(fit(each, draws=250)["posterior"]["alpha"].mean())]
          for each in designs)
    ):  # fmt: skip
        assert effects[1] == pytest.approx(effects[0], rel=2e-4)
    assert maximum_likelihood(designs[1]).alpha == pytest.approx(2, abs=0.5)


def test_without_its_means_a_level_can_be_left_out():
    """What the warning says: the same coefficients, and an interval narrower by √(1 - levels/rows)."""
    data = sea("continuous", "continuous", 900).assign(shop=lambda d: d.index % 90)
    data["y"] += data["shop"] % 7
    numbers = data.drop(columns="shop")
    swept = numbers - numbers.groupby(data["shop"]).transform("mean")
    whole = ols(make_design(data, outcome="y ~ t + x + C(shop)", treatment="t ~ x + C(shop)"))
    few = ols(make_design(swept, outcome="y ~ t + x", treatment="t ~ x"))
    assert few.params["alpha"] == pytest.approx(whole.params["alpha"], rel=1e-9)
    assert few.bse["alpha"] / whole.bse["alpha"] == pytest.approx(np.sqrt(1 - 90 / 900), rel=0.001)
