"""What a report says after its opening: the currents that turn a sign, by the error that is right."""

import re

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from ponds import EVEN, spread

from helpers import make_design, make_report
from which_world.report.long import turns
from which_world.report.sentences import tipping, wide_tip
from which_world.report.short import in_short


def turned(delta, se, left_T, left_O):
    """The ρ at which an end of δ ∓ 1.96 se reaches zero: α(ρ) = δ - ρ/√(1-ρ²) σ_e/σ_V with equal covariates."""
    k = (abs(delta) - 1.96 * se) * left_T / left_O
    return np.sign(delta) * k / np.sqrt(1 + k**2)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_current_that_turns_the_sign_is_that_of_the_error_that_is_right(sign):
    data = spread(7)
    data["y"] += sign * 0.3 * data.t
    usual = smf.ols(EVEN["outcome"], data).fit()
    lefts = np.sqrt(smf.ols(EVEN["treatment"], data).fit().mse_resid), np.sqrt(usual.mse_resid)
    plain, wide = (turned(usual.params["t"], bse["t"], *lefts) for bse in (usual.bse, usual.HC3_se))
    report = make_report(make_design(data, **EVEN))
    assert abs(plain) - abs(wide) > 0.02 and wide_tip(report) == pytest.approx(wide, abs=0.01)
    _, why, _ = in_short(report)
    read = re.search(r"correlation of (0\.\d\d) between what is unmeasured \((0\.\d\d) by the interval as it is\)", why)
    assert [float(part) for part in read.groups()] == pytest.approx([abs(wide), abs(plain)], abs=0.011)
    assert f"With that interval as wide as it should be, ρ = {wide_tip(report):z.2f} is enough." in tipping(report)


def test_groups_bring_the_current_that_turns_the_sign_nearer():
    """Lakes with a growth and a food of their own: by rows the sign seems far out of reach, by lakes it is near."""
    rng = np.random.default_rng(6)
    lake = np.repeat(np.arange(60), 12)
    a, b, c, v, u = rng.normal(size=(5, 720))
    t = rng.normal(size=60)[lake] + 0.2 * v + 0.1 * (a + b + c)
    own = rng.normal(size=60)
    own -= np.polyval(np.polyfit(pd.Series(t).groupby(lake).mean(), own, 1), pd.Series(t).groupby(lake).mean())
    y = 0.45 * t + own[lake] + 0.12 * (a + b + c) + u
    data = pd.DataFrame({"y": y, "t": t, "a": a, "b": b, "c": c, "lake": [f"lake {k}" for k in lake]})
    line = "y ~ t + a + b + c"
    report = make_report(make_design(data, outcome=line, treatment="t ~ a + b + c"), data=data)
    usual = smf.ols(line, data).fit()
    by_lake = usual.get_robustcov_results("cluster", groups=lake).bse[1]
    lefts = np.sqrt(smf.ols("t ~ a + b + c", data).fit().mse_resid), np.sqrt(usual.mse_resid)
    assert by_lake > 2 * usual.bse["t"] and usual.params["t"] > 1.96 * by_lake
    assert wide_tip(report) == pytest.approx(turned(usual.params["t"], by_lake, *lefts), abs=5e-3)
    said = [*turns(report, frozenset()), *report.overturns]
    assert sum("as wide as it should be" in line for line in said) == 2
