"""Instruments in a report: strong, weak, and at odds with the map."""

import re

import numpy as np
import pandas as pd
import pytest
from ponds import attempt, tank

from helpers import make_design, make_report, simulate_aquarium, write_report
from which_world.report.sentences import limits
from which_world.report.short import in_short


def test_a_strong_instrument_rules_currents_out(strong):
    low, high = strong.draws.rho.sel(world="ρ free").quantile([0.025, 0.975]).values
    assert (
        f"With z as instrument the posterior of ρ, under its prior, has mean {strong.worlds.rho['ρ free']:.2f} "
        f"(95 % interval {low:.2f} to {high:.2f}), away from zero" in strong.overturns[0]
    )
    assert strong.tipping["interval"] < low and "lies outside that range" in strong.overturns[0]
    assert strong.overturns[0] in strong.paragraph and "in doubt" not in strong.paragraph
    assert "leave ρ open" not in strong.paragraph


def test_an_instrument_is_no_benchmark(strong, tmp_path):
    assert list(strong.benchmarks.index) == ["x"]
    text = (write_report(strong, tmp_path / "out") / "report.md").read_text(encoding="utf-8")
    assert "z is an instrument and no benchmark." in text and "| z |" not in text


def test_a_weak_instrument_says_next_to_nothing():
    weak = make_design(tank(0.02), outcome="y ~ t + x", treatment="t ~ x + z")
    assert re.match(r"z hardly moves t \(F = \d\.\d\)", limits(weak)[0])
    binary = make_design(
        tank(0.02).assign(t=lambda d: (d.t > 0).astype(int)), outcome="y ~ t + x", treatment="t ~ x + z"
    )
    assert re.search(r"rests on z and on the assumed normal shape.*; with F = \d\.\d mostly on", limits(binary)[0])


def test_an_instrument_that_pulls_the_current_off_the_map_still_gets_a_report():
    """z moves the outcome by itself, so as an instrument it asks for a current that no correlation can be."""
    data = tank(0.3, rho=0.0).assign(y=lambda d: d.y + 60 * d.z)
    pulled = make_report(make_design(data, outcome="y ~ t + x", treatment="t ~ x + z"))
    assert np.isnan(pulled.worlds.loc["ρ free", "alpha"])
    assert re.search(r"With ρ free no answer can be given: \d+ % of the posterior lies", pulled.paragraph)


@pytest.mark.parametrize("outcome", ["number", "answer"])
def test_a_trial_in_which_only_the_invited_can_come_has_a_report(outcome, tmp_path):
    """Its invitation settles the treatment in half of the rows, and one small town has no yes at all."""
    rng, n, rho = np.random.default_rng(2), 600, 0.5
    invited, v, e = rng.integers(0, 2, n), *rng.normal(size=(2, n))
    town = rng.choice(["Ayr", "Bath", "Cork"], n, p=[0.6, 0.38, 0.02])
    came = ((v > 0) & (invited == 1)).astype(int)
    number = 1.0 * came + rho * v + np.sqrt(1 - rho**2) * e - 0.3 - 40 * (town == "Cork")
    y = number + 40 * (town == "Cork") if outcome == "number" else (number > 0).astype(int)
    pd.DataFrame({"y": y, "came": came, "invited": invited, "town": town}).to_csv(tmp_path / "trial.csv", index=False)
    terms = {"outcome": "y ~ came + town", "treatment": "came ~ invited + town"}
    done = attempt(tmp_path / "out", csv=tmp_path / "trial.csv", **terms)
    assert done.returncode == 0, done.stderr
    told = re.search(
        r"the posterior of ρ, .* has mean (-?\d\.\d\d) \(95 % interval (-?\d\.\d\d) to (\d\.\d\d)\)", done.stdout
    )
    middle, low, high = map(float, told.groups())
    assert low < rho < high and abs(middle - rho) < 0.25
    assert "left unmeasured, it would have been ρ" in done.stdout
    said = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")  # towns decide nothing, and are comparable
    assert re.search(r"differ most in town\[T\..*?\], by 0\.\d\d standard deviations; for none of the rows", said)
    assert "extrapolate" not in said and done.stderr == ""


@pytest.fixture(scope="module")
def piped():
    """A strong valid instrument in a tank whose current sends least squares the wrong way round: α is -1."""
    data = simulate_aquarium(1500, alpha=-1.0, rho=0.9, sigma_U=3.0, seed=4).data
    kept = "X0 + X1 + X3 + X4"
    return make_report(make_design(data, outcome=f"Y ~ T + {kept}", treatment=f"T ~ {kept} + X2"))


def test_with_a_strong_instrument_the_first_sentence_is_the_instruments(piped):
    """Least squares has the other sign; a manager who reads one sentence must not be told that one."""
    assert piped.worlds.loc["OLS", "low"] > 0 > piped.worlds.loc["ρ free", "high"]
    first, second, third = in_short(piped)
    assert "if X2 moves Y only through T" in first and " by -" in first
    assert "X2" in second and "least squares" in third
