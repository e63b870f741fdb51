"""Rows in time: trends that move both, rows that resemble those before, and drifts that look related."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.signal import lfilter

from helpers import make_design, make_report
from which_world.report.curves import curves, curves_said, not_looked_at
from which_world.report.order import ORDER, following_said, grown_by_order, if_sorted, independent_rows, times
from which_world.report.short import in_short

LINE = {"outcome": "y ~ t + a + b + c", "treatment": "t ~ a + b + c"}


def rows(seed, n, of_t=0.0, of_y=0.0):
    """No effect: three covariates that move both, and what `of_t` and `of_y` add."""
    a, b, c, v, u = np.random.default_rng(seed).normal(size=(5, n))
    moved = 0.15 * (a + b + c)
    return pd.DataFrame({"y": moved + u + of_y, "t": moved + v + of_t, "a": a, "b": b, "c": c})


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.8])
def test_the_error_of_rows_that_remember_grows_as_bartlett_has_it(memory):
    """Of two first-order processes by the root of (1 + φ²)/(1 - φ²)."""
    series = [lfilter([1], [1, -memory], e) for e in np.random.default_rng(1).normal(size=(2, 20_000))]
    growth = grown_by_order(np.array(series))
    assert growth.factor == pytest.approx(np.sqrt((1 + memory**2) / (1 - memory**2)), rel=0.08)
    assert (growth.p < 1e-3) is bool(memory)


def test_a_trend_that_moves_both_is_found_in_the_order_and_in_a_year_and_forbids_to_act():
    n = 900
    trend = np.linspace(-1, 1, n)
    data = rows(0, n, trend, trend).assign(order=np.arange(n))
    straight = smf.ols(LINE["outcome"] + " + order", data).fit().params["t"]
    assert smf.ols(LINE["outcome"], data).fit().conf_int().loc["t", 0] > 0.1 > abs(straight)
    design = make_design(data, **LINE)
    found = curves(design, times(None, [], design))
    assert found.terms == (ORDER,) and abs(found.straightened) < abs(found.effect) / 3
    assert "data['order'] = range(len(data))" in curves_said(found)[0]
    told = in_short(make_report(design))
    assert told[-1].startswith(f"Do not act before {ORDER} stands in both formulas")
    mixed = data.assign(year=1990 + data.order // 30).sample(frac=1, random_state=0).reset_index(drop=True)
    design = make_design(mixed, **LINE)
    assert curves(design, times(mixed.drop(columns="order"), ["y", "t"], design)).terms == ("year",)
    assert curves(design, times(mixed, ["y", "t", "year"], design)) is None


def test_rows_sorted_by_the_outcome_are_in_no_order_of_time():
    data = rows(0, 900).sort_values("y", ignore_index=True)
    design = make_design(data.assign(t=data.t + data.y), **LINE)
    assert times(None, [], design) == {} and independent_rows(design) == 900
    assert following_said(design) == [
        "Rows are sorted by y, so their order was not looked at: if they are in time, a column has to say so."
    ]


def _by_rounded(data):
    """Sorted by what is the outcome up to a rounding."""
    return data.assign(by=(3 * data.y).round(1)).sort_values("by")


def _by_whether(data):
    """Those with nothing first."""
    data = data.assign(y=data.y.clip(lower=0))
    return data.assign(by=data.y > 0).sort_values("by", kind="stable")


@pytest.mark.parametrize("arranged", [_by_rounded, _by_whether])
def test_a_file_that_a_sort_arranged_is_told_to_be_shuffled(arranged):
    """Its order is the outcome in other words, and adjusting for it takes the effect away."""
    data = rows(0, 900)
    data = arranged(data.assign(y=data.y + 0.3 * data.t)).reset_index(drop=True)
    of_order = smf.ols(LINE["outcome"] + " + order", data.assign(order=data.index)).fit()
    assert of_order.params["t"] < 0.7 * smf.ols(LINE["outcome"], data).fit().params["t"]
    shuffle = "if the file was sorted by y, shuffle its rows and ask again: data.sample(frac=1, random_state=0)"
    report = make_report(make_design(data, **LINE))
    assert any(shuffle in check for check in report.checks)
    assert ORDER not in in_short(report)[-1] or shuffle in in_short(report)[-1]
    again = make_report(make_design(data.sample(frac=1, random_state=0, ignore_index=True), **LINE))
    assert not any(ORDER in check or shuffle in check for check in again.checks)


def test_a_trend_with_noise_is_no_sort():
    trend = np.linspace(-1, 1, 900)
    assert not if_sorted(make_design(rows(0, 900, trend, 3 * trend), **LINE))


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_rows_without_a_trend_are_asked_about_none(memory):
    """Of 60 worlds one in twenty might be, and not more where both remember the row before."""
    asked = 0
    for seed in range(60):
        noise = np.random.default_rng([7, seed]).normal(size=(2, 300))
        more = (lfilter([1], [1, -memory], e) for e in noise)
        design = make_design(rows(seed, 300, *more), **LINE)
        asked += curves(design, times(None, [], design)) is not None
    assert asked <= 4


def test_two_random_walks_license_nothing():
    clear = 0
    for seed in (3, 4, 5):
        walks = np.random.default_rng([5, seed]).normal(size=(2, 300)).cumsum(axis=1)
        data = rows(seed, 300, *walks)
        clear += abs(smf.ols(LINE["outcome"], data).fit().tvalues["t"]) > 3
        told = in_short(make_report(make_design(data, **LINE)))
        assert "Do not act" in told[2]
    assert clear == 3  # least squares would have somebody act


def test_what_curves_were_not_looked_for_is_said():
    data = rows(0, 200)
    assert not_looked_at(make_design(data, **LINE)) == []
    spline = {side: line.replace("+ a", "+ bs(a, df=4)").replace("~ a", "~ bs(a, df=4)") for side, line in LINE.items()}
    assert "beyond bs(a, df=4)" in not_looked_at(make_design(data, **spline))[0]


MONTHS = pd.date_range("2001-01-01", periods=240, freq="MS")
CLOCKS = {
    "quarters": [f"{day.year}Q{day.quarter}" for day in MONTHS],
    "quarters first": [f"q{day.quarter} {day.year}" for day in MONTHS],
    "quarters named before": [f"{day.quarter}Q{day.year}" for day in MONTHS],
    "periods": MONTHS.to_period("M"),
    "days in words": MONTHS.strftime("%d %B %Y"),
    "a zone": MONTHS.tz_localize("UTC"),
    "since the start": MONTHS - MONTHS[0],
    "whole numbers with holes": pd.array([None if k % 50 == 0 else k for k in range(240)], dtype="Int64"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_time_is_read_however_it_is_written(clock):
    """In the order of the 240 months, which the rows are not in."""
    data = rows(0, 240).assign(year=clock).sample(frac=1, random_state=1)
    place = data.index.to_numpy()
    found = times(data.reset_index(drop=True), ["y", "t", "a", "b", "c"], make_design(data, **LINE))["year"]
    assert np.corrcoef(found, place)[0, 1] > 0.98  # one in fifty is missing, and stands in the middle


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("words", [["spring", "fall"], [None, None], [True, False]], ids=str)
def test_what_is_no_time_is_none(words):
    data = rows(0, 240).assign(year=words * 120)
    assert list(times(data, ["y", "t", "a", "b", "c"], make_design(data, **LINE))) == [ORDER]
