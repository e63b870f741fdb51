"""The shuffle test: silent on the model's own data, loud where the likelihood takes a shape for a current."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy.stats import chi2, norm

from helpers import fit, learned, load_lalonde, make_design, maximum_likelihood, shuffle_test, simulate_aquarium
from which_world.checks import rejects_zero
from which_world.engine import laplace, likelihoods
from which_world.engine.likelihoods import Rows
from which_world.report.examine import MISLED

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rho", [0.0, 0.5, -0.7])
def test_a_true_current_is_no_fault_of_the_errors_shape(rho, seed):
    """The model's own data, with an instrument so strong that maximum likelihood is right about ρ."""
    counts = dict(confounders=1, instruments=1, outcome_only=0, noise=0)
    data = simulate_aquarium(1500, alpha=1, rho=rho, treatment="binary", seed=seed, **counts).data
    design = make_design(data, outcome="Y ~ T + X0", treatment="T ~ X0 + X1")
    assert abs(maximum_likelihood(design).rho - rho) < 0.25
    assert shuffle_test(design) <= 0.1


def test_a_large_effect_on_few_treated_does_not_disturb_the_shuffle_test():
    rng = np.random.default_rng(0)
    x, V, e = rng.normal(size=(3, 1000))
    t = (0.5 * x - 1.2 + V > 0).astype(int)  # few treated: with a large effect, a skewed mixture
    data = pd.DataFrame({"x": x, "t": t, "y": x + 8 * t + 0.7 * V + np.sqrt(1 - 0.7**2) * e})
    assert shuffle_test(make_design(data, outcome="y ~ t + x", treatment="t ~ x")) <= MISLED


def test_shuffles_side_by_side_say_what_they_say_one_by_one(monkeypatch):
    data = simulate_aquarium(300, alpha=1, rho=0.3, treatment="binary", seed=1).data
    design = make_design(data.assign(Y=np.exp(data.Y / 3)), outcome="Y ~ T + X0", treatment="T ~ X0 + X1")
    one_by_one = shuffle_test(design, shuffles=30, rows=200)
    monkeypatch.setattr("which_world.checks.CACHED", 1)
    assert shuffle_test(design, shuffles=30, rows=200) == one_by_one > 0


def test_fewer_rows_are_drawn_from_all_of_them():
    """Sorted by what moves the treatment, the first three hundred hold nobody who was treated: nothing to test."""
    rng = np.random.default_rng(3)
    x, V, e = np.sort(rng.normal(size=1500)), *rng.normal(size=(2, 1500))
    data = pd.DataFrame({"x": x, "t": (6 * x + V > 0).astype(int)})
    data["y"] = data.t + x + e
    assert data.t[:300].sum() == 0
    assert shuffle_test(make_design(data, outcome="y ~ t + x", treatment="t ~ x"), shuffles=20, rows=300) <= 0.2


def test_what_was_learned_is_told_in_the_priors_own_spread():
    """Normal draws moved by one and halved in spread: a shift of 1/2 prior sd alone, a shrinkage of 1/2 alone."""
    z = np.random.default_rng(5).permutation(norm.ppf((np.arange(4000) + 0.5) / 4000))
    moved, shrunk = learned(2 * z, (2 * z + 1).reshape(4, -1)), learned(2 * z, z.reshape(4, -1))
    assert (moved.shift, moved.shrinkage) == (pytest.approx(0.5, rel=1e-3), pytest.approx(0, abs=1e-12))
    # between two centred normals the Wasserstein distance is the difference of spreads times E|Z|
    assert (shrunk.shift, shrunk.shrinkage) == (pytest.approx(0.5 * np.sqrt(2 / np.pi), rel=1e-3), pytest.approx(0.5))
    assert moved.distance == pytest.approx(2 * norm.cdf(1 / 4) - 1, abs=1e-3)


def shaped(seed, errors, *, pull=0.0, curve=0.0, n=1000):
    """No current, and errors of a shape; `pull` is the instrument's strength, `curve` a square left out."""
    rng = np.random.default_rng(seed)
    x, z, V = rng.normal(size=(3, n))
    data = pd.DataFrame({"x": x, "z": z, "t": (0.3 + 0.25 * x + pull * z + V > 0).astype(int)})
    data["y"] = x + data.t + errors(rng, n) + curve * x**2
    return make_design(data, outcome="y ~ t + x", treatment="t ~ x" + " + z" * (pull > 0))


def profile_rejects(design):
    curve = maximum_likelihood(design, rho=np.tanh(np.linspace(-2.4, 2.4, 49))).log_likelihood
    return 2 * (curve.max() - curve[24]) > chi2.ppf(0.95, 1)


def skewed(rng, n):
    return rng.exponential(size=n) - 1


def even(rng, n):
    return rng.normal(size=n)


@pytest.mark.parametrize(
    "errors, made, misled",
    [(skewed, {}, True), (even, {"curve": 0.4}, True), (skewed, {"pull": 1.0}, False), (even, {}, False)],
    ids=["skewed", "bent", "skewed with an instrument", "normal"],
)
def test_the_shuffle_test_warns_where_the_likelihood_cries_wolf(errors, made, misled):
    """What it warns of is counted on the data sets themselves, which have no current: how often ρ = 0 is rejected."""
    designs = [shaped(seed, errors, **made) for seed in range(12)]
    false_alarms = np.mean([profile_rejects(design) for design in designs])
    warnings = np.mean([shuffle_test(design, shuffles=40) > MISLED for design in designs])
    assert (false_alarms > 0.5, warnings > 0.5) == (misled, misled)
    assert misled or max(false_alarms, warnings) <= 0.25


def test_the_power_of_the_shuffle_test_is_the_one_that_is_stored():
    """The table belongs to the script, and holds what the derivations and the comment at MISLED say of it."""
    script = ROOT / "tests" / "benchmarks" / "shuffle_power.py"
    table = pd.read_csv(script.with_suffix(".csv"))
    assert set(table.script) == {hashlib.sha256(script.read_bytes()).hexdigest()} and (table.data_sets == 200).all()
    warned, right = table[f"above {MISLED:g}"], table["shape"] == "normal"
    assert round(100 * warned[right].mean()) == 2 and warned[right].max() < 0.08 and table.share[right].max() < 0.06
    told = (ROOT / "book" / "appendix-derivations.md").read_text(encoding="utf-8")
    for (shape, rho), rows in table.groupby(["shape", "rho"], sort=False):
        figures = [f"{row.called:.2f} / {row.share:.2f} / {warned[row.Index]:.2f}" for row in rows.itertuples()]
        name = f"the model's own, ρ = {rho:g}" if shape == "normal" else shape
        assert f"| {name} | {' | '.join(figures)} |" in told


@pytest.mark.parametrize("block, sets", [(2**13, 8), (37, 3)])
def test_the_quick_likelihood_ratio_test_decides_as_the_profile_does(block, sets, monkeypatch):
    """With earnings, whose likelihood has a maximum on either side of zero, and with skewed and normal errors.

    However few rows are looked at together.
    """
    for module in (laplace, likelihoods):
        monkeypatch.setattr(module, "BLOCK", block)
    trial, rng = load_lalonde("experimental"), np.random.default_rng(0)
    designs = [shaped(seed, errors) for seed in range(sets) for errors in (skewed, even)]
    for _ in range(sets):
        dealt = trial.assign(treat=rng.permutation(trial.treat))
        designs.append(make_design(dealt, outcome="re78 ~ treat + age", treatment="treat ~ age"))
    decided = [rejects_zero(Rows.of(design)) for design in designs]
    assert decided == [profile_rejects(design) for design in designs]
    assert sets / 2 < sum(decided) < len(decided) - sets / 2


def test_learned_tells_a_posterior_from_a_prior():
    rng = np.random.default_rng(0)
    prior = rng.normal(0, 2, 4000)
    false_alarms = [learned(rng.normal(size=1000), rng.normal(size=(4, 250))).learned for _ in range(200)]
    assert np.mean(false_alarms) <= 0.02
    assert learned(prior, rng.normal(0.3, 2, (4, 1000))).learned
    narrower = learned(prior, rng.normal(0, 1, (4, 1000)))
    assert narrower.learned
    assert narrower.shrinkage == pytest.approx(0.5, abs=0.05)
    sticky = np.repeat(rng.normal(0, 2, (4, 10)), 100, axis=1)  # forty values, each a hundred times
    assert not learned(prior, sticky).learned


def test_learned_finds_the_model_that_never_uses_alpha():
    y = norm.rvs(size=50, random_state=1)
    with pm.Model() as apart:
        pm.Normal("alpha", 0, 10)
        pm.Normal("y", pm.Normal("level", 0, 1), 1, observed=y)
    with pm.Model() as wired:
        pm.Normal("y", pm.Normal("alpha", 0, 10), 1, observed=y)
    assert not learned(apart, fit(apart)).learned
    assert learned(wired, fit(wired)).learned
    with pytest.raises(ValueError, match=r"name='beta'.*accepted"):
        learned(apart, fit(apart), name="beta")
