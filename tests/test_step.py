"""The change in a treatment that an effect is read for is one that the data hold, and everything says which."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from click.testing import CliRunner
from scipy.stats import norm

from helpers import (
    World,
    effect_at,
    explore_belief,
    explore_map,
    fit,
    fit_worlds,
    joint_model,
    make_design,
    make_report,
    map_rho,
    maximum_likelihood,
    plot_map,
    plot_worlds,
    read_map,
    weigh,
    world_table,
)
from which_world.report.command import main
from which_world.report.publish import _words

N = 3_000
FORMULAS = {"outcome": "y ~ t + x", "treatment": "t ~ x"}


def rate(rng, x):
    return 0.05 + 0.005 * x + 0.014 * rng.normal(size=len(x))


TREATMENTS = {  # how it comes about, the step that is due, and how strongly its standard deviation moves the index
    "an interest rate": (rate, 0.01, 0.6),
    "a share": (lambda rng, x: rng.beta(3, 2, len(x)), 0.1, -0.5),
    "micrograms, told in grams": (lambda rng, x: 1e-6 * rng.gamma(4, 1, len(x)), 1e-6, 0.4),
    "waist to hip": (lambda rng, x: rng.normal(0.95, 0.06, len(x)), 0.1, 0.5),
    "income in dollars": (lambda rng, x: 4e4 * rng.gamma(2, 1, len(x)), 1.0, 0.5),
}


def brought(name, seed=11):
    """The table that somebody brings, the due step, and what moving each row by it, own error kept, does."""
    draw, step, strength = TREATMENTS[name]
    rng = np.random.default_rng(seed)
    x = rng.normal(size=N)
    t, e = draw(rng, x), rng.normal(size=N)
    slope = strength / t.std()
    line = slope * (t - t.mean()) - 0.3 * x
    data = pd.DataFrame({"y": (line + e > 0).astype(int), "t": t, "x": x})
    # the same rows with many other errors each, so that little is left to chance
    e = norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None]
    moved = [np.mean(line + s * slope + e > 0) for s in (0.0, max(step, 1e-2 * t.std()))]
    return data, step, 100 * (moved[1] - moved[0]) * step / max(step, 1e-2 * t.std())


@pytest.fixture(scope="module")
def small():
    data, _, _ = brought("an interest rate")
    return make_design(data.iloc[:800], **FORMULAS)


@pytest.mark.parametrize("name", TREATMENTS)
def test_the_step_is_one_that_the_rows_differ_by(name):
    data, step, moved = brought(name)
    design = make_design(data, **FORMULAS)
    assert design.step == step
    noted = f"read for {step:g} more of t" in " ".join(design.notes)
    assert noted == (step != 1)
    best = maximum_likelihood(design, rho=0)
    assert best.effect == pytest.approx(moved, abs=4 * best.effect_se)
    assert best.effect_se < 0.15 * abs(moved)


@pytest.mark.parametrize("name", TREATMENTS)
def test_of_a_small_step_the_effect_is_statsmodels_margin(name):
    data, _, _ = brought(name)
    sd = data.t.std()
    best = maximum_likelihood(make_design(data, **FORMULAS, step=1e-4 * sd), rho=0)
    scaled = sm.add_constant(np.column_stack([data.t / sd, data.x]))  # it does not converge on grams
    margins = sm.Probit(data.y, scaled).fit(disp=0).get_margeff()
    assert 1e4 * best.effect == pytest.approx(100 * margins.margeff[0], rel=1e-3)
    assert 1e4 * best.effect_se == pytest.approx(100 * margins.margeff_se[0], rel=1e-3)


def test_a_step_may_be_asked_for():
    data, _, _ = brought("waist to hip")
    for step in (0.01, 0.2, 1.0, 25.0):
        design = make_design(data, **FORMULAS, step=step)
        assert design.step == step and bool(design.notes) == (step != 1)
    small, large = (maximum_likelihood(make_design(data, **FORMULAS, step=s), rho=0) for s in (1e-4, 1e-3))
    assert 10 * small.effect == pytest.approx(large.effect, rel=1e-3)
    assert small.alpha == large.alpha and (small.step, large.step) == (1e-4, 1e-3)


def test_a_step_is_refused_where_nothing_is_read_for_it():
    data, _, _ = brought("an interest rate")
    dose = "accepted is a step where the outcome is binary and the treatment continuous"
    with pytest.raises(ValueError, match=f"step=0.01 with a continuous outcome.*{dose}"):
        make_design(data, **FORMULAS, outcome_kind="continuous", step=0.01)
    choice = data.assign(t=(data.t > data.t.mean()) * 1)
    with pytest.raises(ValueError, match=f"step=1 with a binary outcome and a binary treatment.*{dose}"):
        make_design(choice, **FORMULAS, step=1)
    for wrong in (0, -0.01, np.nan, "0.01", np.inf, True):
        with pytest.raises((ValueError, TypeError), match=r"step=.*accepted is a positive"):
            make_design(data, **FORMULAS, step=wrong)


def test_many_rows_have_the_step_of_all_their_rows():
    """Where means are taken piece by piece, few rows stand for many on the way to the design."""
    rng = np.random.default_rng(1)
    x, e = rng.normal(size=(2, 60_000))
    t = np.where(rng.uniform(size=60_000) < 0.01, 40.0, 0.2) + 0.01 * rng.normal(size=60_000)
    data = pd.DataFrame({"y": (t / 8 + x + e > 0) * 1, "t": t, "x": x})
    assert 1e-2 < np.subtract(*np.quantile(t, [0.975, 0.025])) < 1 and 3.2 < t.std() < 32
    assert make_design(data, **FORMULAS).step == 10


def test_the_model_and_every_route_read_the_same_step(small):
    drawn = fit(joint_model(small, rho=0.3), draws=250)["posterior"]["effect"]
    best = maximum_likelihood(small, rho=0.3)
    chart = map_rho(small, rho=[0.1, 0.2, 0.3, 0.4, 0.5], draws=128)
    weight = np.exp(chart.log_weight.sel(rho=0.3))
    for told in (drawn.mean(), (weight * chart.effect.sel(rho=0.3)).sum()):
        assert float(told) == pytest.approx(best.effect, abs=best.effect_se)


def test_an_effect_at_a_moderators_value_has_the_step():
    data, step, _ = brought("an interest rate")
    design = make_design(data, outcome="y ~ t * x", treatment="t ~ x")
    idata = fit(design, draws=250)
    one, rho = idata["posterior"].isel(chain=0, draw=3), float(idata["posterior"].rho[0, 3])
    own, x = (data.x - data.x.mean()) / data.x.std(ddof=0), (0.7 - data.x.mean()) / data.x.std(ddof=0)
    v = (data.t - float(one.intercept_T) - own * float(one.beta_T[0])) / float(one.sigma_V)
    slope = float(one.alpha) + x * float(one.delta[0])
    line = float(one.intercept_O) + x * float(one.beta_O[0]) + slope * (data.t - data.t.mean())
    w = [(line + s * slope + rho * v) / np.sqrt(1 - rho**2) for s in (0, step)]
    found = effect_at(idata, design, {"x": [0.7]}).isel(chain=0, draw=3, at=0)
    assert float(found) == pytest.approx(100 * np.mean(norm.cdf(w[1]) - norm.cdf(w[0])))


def test_every_table_and_figure_says_which_step(small):
    chart = map_rho(small, rho=np.tanh(np.linspace(-1, 1, 9)), draws=128)
    assert chart.attrs["step"] == 0.01 == weigh(chart, 0.1).attrs["step"]
    table = read_map(chart)
    assert plot_map(table, unit="points").get_ylabel() == "effect of 0.01 more t (points)"
    for explorer in (explore_map(chart, unit="points"), explore_belief(chart)):
        assert "effect of 0.01 more t" in explorer.caption
        assert "effect of 0.01 more t" in str(explorer.spec["layer"])
    best, profile = maximum_likelihood(small, rho=0.1), maximum_likelihood(small, rho=[0.0, 0.1])
    for each in (best, profile):
        assert each.step == 0.01 and "0.01 more of the treatment" in str(each.summary())


def test_worlds_are_compared_like_with_like(small):
    worlds = [World("line", small, rho=None), World("no current", small, rho=0.0)]
    fits = fit_worlds(worlds, folder=None, draws=250)
    table = world_table(fits)
    slope = sm.OLS(small.y, sm.add_constant(np.column_stack([small.t, small.C]))).fit().params[1]
    assert table.loc["line", "effect"] == pytest.approx(slope)  # 100 points times a step of 0.01
    assert abs(table.loc["no current", "gap"]) < 2
    assert plot_worlds(table).get_xlabel().startswith("effect of 0.01 more t")
    other = make_design(brought("an interest rate")[0].iloc[:800], **FORMULAS, step=0.02)
    more = fit_worlds([World("other", other, rho=0.0)], folder=None, draws=250)
    with pytest.raises(ValueError, match=r"different steps.*0.02.*accepted is one step a table"):
        world_table(fits | more)


def test_a_report_says_it_in_every_sentence(small):
    report = make_report(small)
    slope = sm.OLS(small.y, sm.add_constant(np.column_stack([small.t, small.C]))).fit()
    assert report.worlds.loc["OLS", "effect"] == pytest.approx(slope.params[1])
    np.testing.assert_allclose(report.worlds.loc["OLS", ["low", "high"]].astype(float), slope.conf_int()[1], rtol=1e-6)
    assert report.draws.effect.sel(world="OLS").mean() == pytest.approx(slope.params[1], abs=0.2)
    assert abs(report.worlds.loc["ρ = 0", "gap"]) < 2 and report.draws.attrs["step"] == 0.01
    parts = _words(report)
    for text in (report.paragraph, parts["short"][0], parts["effect"], *report.checks[2:4]):
        assert "0.01 more of t" in text or "from" in text, text
    assert "with 0.01 more of t" in report.paragraph and "one more" not in report.paragraph
    assert any("0.01 more of t than it was" in said for said in report.assumptions)
    assert any("read for 0.01 more of t" in said for said in report.checks)


def test_the_command_line_takes_a_step(tmp_path):
    data = brought("an interest rate")[0].iloc[:400]
    data.to_csv(tmp_path / "rates.csv", index=False)
    said = []
    for kind in ("binary", "continuous"):
        options = ["--outcome", FORMULAS["outcome"], "--treatment", FORMULAS["treatment"], "--step", "0.02"]
        options += ["--out", str(tmp_path / kind), "--outcome-kind", kind]
        said.append(CliRunner().invoke(main, [str(tmp_path / "rates.csv"), *options]))
    assert said[0].exit_code == 0 and "with 0.02 more of t" in said[0].output
    assert "is the effect of 0.02 more of t on" in (tmp_path / "binary" / "report.md").read_text(encoding="utf-8")
    assert "effect of 0.02 more t" in (tmp_path / "binary" / "report.html").read_text(encoding="utf-8")
    assert said[1].exit_code == 1 and "step=0.02 with a continuous outcome" in said[1].output
