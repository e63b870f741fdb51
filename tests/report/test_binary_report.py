"""A report on a yes or a no, beside statsmodels and the tank's own truth."""

import numpy as np
import pytest
import statsmodels.api as sm
from click.testing import CliRunner
from conftest import INSTRUMENT

from helpers import make_design, make_report, simulate_aquarium, write_report
from which_world.report.command import main


@pytest.fixture(scope="module", params=["continuous", "binary"])
def report(request):
    tank = simulate_aquarium(1500, rho=0.4, treatment=request.param, outcome="binary", seed=4)
    return make_report(make_design(tank.data, **INSTRUMENT)), tank


def test_the_worlds_are_told_in_points(report):
    found, tank = report
    data, worlds = tank.data, found.worlds
    line = sm.OLS(data.Y, sm.add_constant(data[["X0", "X1", "T"]])).fit()
    assert found.read == "effect" and found.unit == "percentage points"
    assert worlds.loc["OLS", "effect"] == pytest.approx(100 * line.params["T"])
    np.testing.assert_allclose(worlds.loc["OLS", ["low", "high"]].to_numpy(float), 100 * line.conf_int().loc["T"])
    # a current of 0.4 pushes ρ = 0 upwards, and an instrument brings ρ free back to the truth
    free, zero, truth = worlds.loc["ρ free"], worlds.loc["ρ = 0"], tank.truth.effect.item()
    assert free["low"] < truth < free["high"]
    assert zero["effect"] - truth > 2 * abs(free["effect"] - truth)
    assert np.isnan(found.shuffled)


def test_the_sentences_speak_of_chances(report, tmp_path):
    found, tank = report
    text = (write_report(found, tmp_path / "out") / "report.md").read_text(encoding="utf-8")
    assert "percentage points" in found.paragraph and "the share with Y = 1 differs by" in found.paragraph
    assert f"it is 1 in {100 * tank.data.Y.mean():.1f} % of the rows" in text
    assert "changes the chance of Y by" in text and "the chance that Y" not in text
    assert "(a probit)" in text and "P(effect > 0)" in text and "σ_U" not in text and "α is the effect" not in text
    assert ("The shape of U cannot be seen" in text) == (found.design.kind == "binary")


def test_the_command_line_takes_a_yes_or_a_no_or_a_line(report, tmp_path):
    _, tank = report
    tank.data.head(400).to_csv(tmp_path / "fish.csv", index=False)
    said = {}
    for kind in ("binary", "continuous"):
        options = [str(tmp_path / "fish.csv"), "--outcome", INSTRUMENT["outcome"], "--treatment",
                   INSTRUMENT["treatment"], "--out", str(tmp_path / kind), "--outcome-kind", kind]  # fmt: skip
        run = CliRunner().invoke(main, options)
        assert run.exit_code == 0, run.output
        said[kind] = run.output
    assert "percentage points" in said["binary"] and "percentage points" not in said["continuous"]
