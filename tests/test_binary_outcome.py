"""Outcomes with a yes or a no, beside statsmodels, SciPy's bivariate normal and simulated latent errors."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import statsmodels.api as sm
from conftest import INSTRUMENT, TANK, script
from oracles import distance, distance_to_stored, worth_a_row
from scipy.stats import chisquare, kstest, multivariate_normal, norm

from helpers import (
    World,
    bart,
    effect_at,
    excluded,
    fit,
    fit_worlds,
    horseshoe,
    joint_model,
    load_nhefs,
    make_design,
    maximum_likelihood,
    normal,
    potential_outcomes,
    simulate_aquarium,
    spike_and_slab,
    world_table,
)
from which_world.engine.counterfactual import imputed_chances
from which_world.engine.forest_gibbs import forest_gibbs
from which_world.engine.from_pymc import extract, observed
from which_world.engine.likelihoods import Rows
from which_world.priors import scales

TREATMENTS = ["continuous", "binary"]
NOISE = 4.5  # Monte Carlo standard errors allowed between two posteriors
ONCE = "FAST_COMPILE"  # of what is drawn once
SMOKERS = "sex + race + age + C(education) + smokeintensity + smokeyrs + C(exercise) + C(active) + wt71"


@pytest.fixture(scope="module")
def fish():
    """A tank of each treatment in which fish live or die."""
    return {kind: simulate_aquarium(500, rho=0.4, treatment=kind, outcome="binary", seed=1) for kind in TREATMENTS}


@pytest.fixture(scope="module")
def alive(fish):
    return {kind: make_design(tank.data, **INSTRUMENT) for kind, tank in fish.items()}


@pytest.fixture(scope="module")
def everyone():
    return make_design(load_nhefs(everyone=True), outcome=f"death ~ qsmk + {SMOKERS}", treatment=f"qsmk ~ {SMOKERS}")


# What is read as a yes or a no


@pytest.mark.parametrize("as_given", [lambda y: y, lambda y: y.astype(bool), lambda y: y.astype(float)])
def test_zeros_and_ones_are_an_answer(fish, as_given):
    data = fish["binary"].data
    design = make_design(data.assign(Y=as_given(data.Y)), **TANK)
    assert design.kinds == ("binary", "binary")
    np.testing.assert_array_equal(design.y, data.Y)


def test_a_straight_line_may_be_asked_for(fish):
    data = fish["binary"].data
    line = make_design(data, **TANK, outcome_kind="continuous")
    assert line.kinds == ("continuous", "binary")
    theirs = sm.OLS(data.Y, sm.add_constant(data[["X0", "X1", "T"]])).fit().params["T"]
    assert maximum_likelihood(line, rho=0).alpha == pytest.approx(theirs)


def coded(data, low, high):
    return data.assign(Y=np.where(data.Y == 1, high, low))


BAD = [
    (lambda d: coded(d, 1, 2), {}, r"'Y' has 2 values, from 1 to 2.*I\(Y == 2\)"),
    (lambda d: coded(d, -1, 1), {}, r"'Y' has 2 values, from -1 to 1.*I\(Y == 1\)"),
    (lambda d: coded(d, 0, 100), {}, r"'Y' has 2 values, from 0 to 100.*I\(Y == 100\)"),
    (lambda d: d.assign(Y=d.X0), {"outcome_kind": "binary"}, "'Y' has 500 values.*accepted"),
    (lambda d: d, {"outcome_kind": "probit"}, "outcome_kind='probit'.*'binary' or 'continuous'"),
    (lambda d: d.assign(Y=1), {}, "'Y' is constant at 1"),
    (lambda d: d[(d["T"] == 0) | (d.Y == 1)], {}, r"perfect separation.*T.*the outcome 'Y'"),
    (lambda d: d.assign(Y=d["T"]), {}, r"perfect separation|among"),
]


@pytest.mark.parametrize("change, options, said", BAD)
def test_what_is_no_answer_is_named(fish, change, options, said):
    with pytest.raises(ValueError, match=said):
        make_design(change(fish["binary"].data), **TANK, **options)


def test_a_comparison_makes_an_answer(fish):
    data = coded(fish["binary"].data, "dead", "alive")
    design = make_design(data, outcome="I(Y == 'alive') ~ T + X0 + X1", treatment=TANK["treatment"])
    np.testing.assert_array_equal(design.y, fish["binary"].data.Y)


def test_a_level_in_which_nobody_dies_needs_priors_and_has_them(fish):
    data = fish["binary"].data.copy()
    rng = np.random.default_rng(0)
    data["rare"] = ((rng.uniform(size=len(data)) < 0.05) & (data.Y == 1)).astype(int)
    design = make_design(data, outcome="Y ~ T + X0 + rare", treatment="T ~ X0 + rare")
    with pytest.raises(ValueError, match=r"rare.*the outcome 'Y'.*with priors"):
        maximum_likelihood(design, rho=0)
    assert np.isfinite(fit(design, draws=500)["posterior"]["alpha"]).all()


# Maximum likelihood


@pytest.mark.parametrize("kind", TREATMENTS)
def test_without_a_current_the_answer_is_statsmodels_probit(alive, fish, kind):
    design, data = alive[kind], fish[kind].data
    ours, theirs = maximum_likelihood(design, rho=0), sm.Probit(design.y, Rows.of(design, compress=False).A).fit(disp=0)
    names = ["intercept_O", "beta_O[X0]", "beta_O[X1]", "alpha"]
    np.testing.assert_allclose(ours.estimates[names], theirs.params, rtol=1e-5)
    np.testing.assert_allclose(ours.standard_errors[names], theirs.bse, rtol=1e-4)
    if kind == "binary":  # the average effect of a dummy, and its delta-method error
        X = sm.add_constant(data[["X0", "X1", "T"]])
        effect = sm.Probit(data.Y, X).fit(disp=0).get_margeff(dummy=True)
        assert ours.effect == pytest.approx(100 * effect.margeff[-1], rel=1e-5)
        assert ours.effect_se == pytest.approx(100 * effect.margeff_se[-1], rel=1e-3)
        assert ours.summary().loc["effect", "estimate"] == ours.effect
        row = maximum_likelihood(design, rho=[-0.2, 0, 0.2]).summary().loc[0.0]
        expected = [100 * effect.margeff[-1], 100 * effect.margeff_se[-1], theirs.params[-1]]
        np.testing.assert_allclose(row[["effect", "se", "alpha"]], expected, rtol=1e-3)


def test_the_trial_on_the_quitters_lives(everyone):
    """Recorded from a maximisation of the bivariate probit's likelihood by another code."""
    profile = maximum_likelihood(everyone, rho=[-0.5, -0.3, 0, 0.3, 0.5])
    np.testing.assert_allclose(profile.effect, [20.2, 10.9, -0.4, -9.8, -15.6], atol=0.06)
    np.testing.assert_allclose(profile.log_likelihood, [-1478.74, -1479.59, -1480.26, -1480.34, -1480.2], atol=0.01)


# The model, forwards and backwards


def known(design, rng):
    """A world of the design's model: its parameters, none special."""
    values = {"alpha": 0.8, "rho": -0.5, "intercept_O": -0.3, "intercept_T": 0.4,
              "beta_O_free": rng.normal(size=2), "beta_T": rng.normal(size=3)}  # fmt: skip
    return values | ({"sigma_V": 1.7} if design.kind == "continuous" else {})


def test_forward_draws_fill_the_four_cells_as_the_bivariate_normal_says(alive):
    design = replace(alive["binary"], C=np.tile(alive["binary"].C[:1], (4000, 1)), y=np.zeros(4000), t=np.zeros(4000))
    world = known(design, np.random.default_rng(3))
    plain = joint_model(design, coefficients=normal(), alpha=1.0)  # fish that are all alike tell no scale
    with pm.do(plain, world) as model:
        T, Y = pm.draw([model["likelihood_treatment"], model["likelihood_outcome"]], random_seed=1, mode=ONCE)
    C = design.C[0]
    eta = 0.4 + C @ world["beta_T"]
    mu = -0.3 + C[design.in_outcome] @ world["beta_O_free"]
    expected = [
        multivariate_normal(cov=[[1, s * q * -0.5], [s * q * -0.5, 1]]).cdf([s * (mu + 0.8 * (q > 0)), q * eta])
        for s in (-1, 1) for q in (-1, 1)
    ]  # fmt: skip
    seen = [np.sum((Y == s) & (T == q)) for s in (0, 1) for q in (0, 1)]
    assert chisquare(seen, 4000 * np.array(expected) / np.sum(expected)).pvalue > 1e-3
    assert sum(expected) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", TREATMENTS)
def test_the_effect_that_is_read_is_that_of_fish_moved_by_hand(alive, kind):
    """Each keeps its own U, of which a dose tells: the difference in the share that lives, in points."""
    design, rng = alive[kind], np.random.default_rng(4)
    world = known(design, rng)
    eta = world["intercept_T"] + design.C @ world["beta_T"]
    V = (design.t - eta) / world["sigma_V"] if kind == "continuous" else rng.normal(size=(400, design.n))
    U = world["rho"] * V + np.sqrt(1 - world["rho"] ** 2) * rng.normal(size=(400, design.n))
    line = world["intercept_O"] + design.C[:, design.in_outcome] @ world["beta_O_free"] + U
    before = design.t - design.t.mean() if kind == "continuous" else 0.0
    lives = [line + world["alpha"] * T > 0 for T in (before, before + 1)]
    moved = lives[1].astype(int) - lives[0]
    seen = design.t if kind == "continuous" else design.t.astype(int)
    told = pm.do(joint_model(design), world | {"likelihood_treatment": seen})["effect"].eval()
    assert told == pytest.approx(100 * moved.mean(), abs=400 * moved.std() / np.sqrt(moved.size))


@pytest.mark.parametrize("name", ["answer by choice", "answer by dose"])
def test_the_fast_route_is_nuts(name):
    """NUTS at length, on the model's own graph: its figures are stored."""
    made, table = script("nuts")
    ours = fit(made["model_of"](name))
    assert ours.attrs["route"] == "columns" and "effect" in ours["posterior"]
    assert distance_to_stored(table[table.tank == name], ours, list(ours["posterior"]), made["table_of"]) < NOISE


@pytest.mark.parametrize("kind", TREATMENTS)
@pytest.mark.parametrize("prior", [spike_and_slab(), horseshoe(), excluded(["X1"])], ids=["sieve", "funnel", "none"])
def test_the_numbers_are_taken_from_the_model_and_give_its_density(alive, kind, prior):
    joint = extract(observed(joint_model(alive[kind], coefficients=prior)))
    assert joint is not None and joint.design.kinds == ("binary", kind)


@pytest.mark.parametrize("kind", TREATMENTS)
def test_the_sampler_of_forests_agrees_where_there_is_no_tree(alive, kind):
    """The latent outcome of the Gibbs sampler against the likelihood in which nothing is latent."""
    few = alive[kind]
    design = replace(few, y=few.y[:200], t=few.t[:200], C=few.C[:200])
    joint = extract(observed(joint_model(design)))
    gibbs = forest_gibbs(joint, draws=3000, tune=500, chains=4, seed=2)
    assert distance(gibbs, fit(joint_model(design), draws=2000), ["alpha", "rho"]) < NOISE


@pytest.mark.filterwarnings("ignore:this posterior is not to be shown")
@pytest.mark.parametrize("kind", TREATMENTS)
@pytest.mark.parametrize("where", ["treatment", "outcome"])
def test_a_forest_beside_an_answer_is_fitted(alive, fish, kind, where):
    design = alive[kind]
    trees = fit(joint_model(design, **{where: bart(trees=20)}), draws=300, tune=300, chains=2)
    line, effect = fit(joint_model(design))["posterior"]["effect"], trees["posterior"]["effect"]
    assert trees.attrs["route"] == "trees" and "sigma_U" not in trees["posterior"]
    assert abs(effect.mean() - line.mean()) < 2 * line.std()
    assert abs(effect.mean() - fish[kind].truth["effect"]) < 4 * effect.std()
    if where == "outcome" or kind == "continuous":
        again = moved_beside_a_forest(trees["posterior"], design)
        np.testing.assert_allclose(effect, again, atol=1e-8)


def moved_beside_a_forest(posterior, design):
    """The effect of each draw in points, each row's index from its own forest or line, with its own error."""

    def line(e, included):
        if f"forest_{e}" in posterior:
            return posterior[f"forest_{e}"].values
        beta = posterior[f"beta_{e}"].values[..., included]
        constant = posterior[f"intercept_{e}"].values[..., None]
        return constant + np.tensordot(beta, design.C[:, included].T, 1)

    alpha, rho = (posterior[name].values[..., None] for name in ("alpha", "rho"))
    before, spread = line("O", design.in_outcome), 1.0
    if design.kind == "continuous":
        V = (design.t - line("T", design.in_treatment)) / posterior["sigma_V"].values[..., None]
        before = before + alpha * (design.t - design.t.mean()) + rho * V
        spread = np.sqrt(1 - rho**2)
    chances = [norm.cdf(index / spread) for index in (before, before + alpha)]
    return 100 * (chances[1] - chances[0]).mean(axis=-1)


def test_a_sieve_finds_what_matters_to_life():
    """Two covariates matter to Y and two do not; few tanks could say so less clearly."""
    tank = simulate_aquarium(700, rho=0.3, treatment="binary", outcome="binary", seed=3, noise=2, outcome_only=1)
    both = " + ".join(name for name in tank.data if name.startswith("X"))
    design = make_design(tank.data, outcome=f"Y ~ T + {both}", treatment=f"T ~ {both}")
    found = fit(joint_model(design, coefficients=spike_and_slab()))
    share = found["posterior"]["included_O"].mean(("chain", "draw")).values
    truth = tank.truth.beta_O.sel(covariate=list(design.covariates)).values
    assert found.attrs["route"] == "spreads"
    assert share[np.abs(truth) > 0].min() > 0.9 > 0.5 > share[truth == 0].max()


# Potential outcomes


def imagined(rows, theta, a, steps, draws, rng):
    """The chance of a yes after a step by simulating (U, V) until they fall where y and t say, row by row."""
    chance = np.empty(rows.n)
    mu, eta = rows.A @ theta[: rows.A.shape[1]], rows.Z @ theta[rows.A.shape[1] :][: rows.Z.shape[1]]
    rho = np.tanh(a)
    for i in range(rows.n):
        if rows.kinds[1] == "binary":
            V = rng.normal(size=draws)
            right = (eta[i] + V > 0) == rows.t[i]
        else:
            V = np.full(draws, (rows.t[i] - eta[i]) / np.exp(theta[-1]))
            right = True
        U = rho * V + np.sqrt(1 - rho**2) * rng.normal(size=draws)
        right = right & ((mu[i] + U > 0) == rows.y[i])
        chance[i] = np.mean(mu[i] + steps[i] + U[right] > 0)
    return chance


@pytest.mark.parametrize("kind", TREATMENTS)
def test_the_other_half_is_the_share_of_latent_errors_that_fit(alive, kind):
    design = alive[kind]
    rows, rng = Rows.of(design, compress=False), np.random.default_rng(6)
    keep = rng.choice(design.n, 40, replace=False)
    rows = rows._replace(A=rows.A[keep], Z=rows.Z[keep], y=rows.y[keep], t=rows.t[keep], n=40)
    theta, steps = rng.normal(0.1, 0.4, size=rows.size), rng.normal(size=40)
    ours = imputed_chances(rows, theta[None], np.array([0.6]), steps[None])[0]
    np.testing.assert_allclose(ours, imagined(rows, theta, 0.6, steps, 40_000, rng), atol=0.05)


@pytest.mark.parametrize("kind, levels", [("binary", (0, 1)), ("continuous", (-0.5, 1.5))])
def test_potential_outcomes_are_chances_under_the_bivariate_normal(fish, kind, levels):
    """One draw by hand, where X0 and X1 change the effect: the latent error is where y and t say, at either level."""
    data = fish[kind].data
    design = make_design(data, outcome="Y ~ T * (X0 + X1)", treatment="T ~ X0 + X1 + X2")
    idata = fit(design, draws=250)
    one = idata["posterior"].isel(chain=1, draw=7)
    X = ((data - data.mean()) / data.std(ddof=0))[["X0", "X1", "X2"]].to_numpy()
    y, t, rho = design.y, design.t, float(one.rho)
    before = float(one.intercept_O) + X[:, :2] @ one.beta_O_free.values
    slope = float(one.alpha) + X[:, :2] @ one.delta.values
    eta = float(one.intercept_T) + X @ one.beta_T.values
    centre = t.mean() if kind == "continuous" else 0.0

    def index(level):
        return before + slope * (level - centre)

    if kind == "binary":
        q = 2 * t - 1

        def below(u):
            """P(U < u) within the side of V that t shows; for q = -1 by what is left."""
            both = multivariate_normal(cov=[[1, -rho], [-rho, 1]]).cdf(np.column_stack([u, eta]))
            return np.where(q > 0, both, norm.cdf(u) - both) / norm.cdf(q * eta)
    else:
        V = (t - eta) / float(one.sigma_V)

        def below(u):
            return norm.cdf((u - rho * V) / np.sqrt(1 - rho**2))

    cut, chances = below(-index(t)), []
    for at in (below(-index(level)) for level in levels):  # a yes is U > -index
        chances.append(np.where(y == 1, (1 - np.maximum(at, cut)) / (1 - cut), np.maximum(cut - at, 0) / cut))
    found = potential_outcomes(idata, design, levels=levels).isel(chain=1, draw=7)
    groups = {"everyone": t < np.inf} | ({"treated": t == 1, "untreated": t == 0} if kind == "binary" else {})
    for group, rows in groups.items():
        expected = [100 * chance[rows].mean() for chance in chances]
        assert found.sel(group=group)["effect"] == pytest.approx(expected[1] - expected[0], abs=1e-3)
        np.testing.assert_allclose([found.sel(group=group)[name] for name in ("Y0", "Y1")], expected, atol=1e-3)


def test_the_treated_the_untreated_and_everyone(alive):
    design = alive["binary"]
    found = potential_outcomes(fit(design, draws=250), design).mean(("chain", "draw"))
    for group, rows in {"treated": design.t == 1, "untreated": design.t == 0}.items():
        seen = found.sel(group=group)
        assert float(seen["Y1" if group == "treated" else "Y0"]) == pytest.approx(100 * design.y[rows].mean())
    share = design.t.mean()
    parts = found.effect.sel(group=["treated", "untreated"]).values @ [share, 1 - share]
    assert float(found.effect.sel(group="everyone")) == pytest.approx(parts)


def test_an_effect_at_a_moderators_value_is_that_of_rows_that_have_it(fish):
    data = fish["binary"].data
    design = make_design(data, outcome="Y ~ T * X0 + X1", treatment="T ~ X0 + X1 + X2")
    idata = fit(design, draws=250)
    posterior = idata["posterior"]
    x = (data.X1 - data.X1.mean()) / data.X1.std(ddof=0)
    z = (1.5 - data.X0.mean()) / data.X0.std(ddof=0)
    one = posterior.isel(chain=0, draw=7)
    low = float(one.intercept_O) + z * float(one.beta_O_free[0]) + x * float(one.beta_O_free[1])
    expected = 100 * np.mean(norm.cdf(low + float(one.alpha) + z * float(one.delta[0])) - norm.cdf(low))
    assert float(effect_at(idata, design, {"X0": [1.5]}).isel(chain=0, draw=7, at=0)) == pytest.approx(expected)


# Priors


@pytest.mark.parametrize("kind", TREATMENTS)
def test_before_the_data_no_chance_is_piled_up_at_an_end(alive, kind):
    """At average covariates: the chance is that of one row's index, and the effect's prior has its mode inside.

    That is somewhat more at either end than the uniform chance of an index that is Normal(0, 1). An effect from nobody
    to everybody stays less likely than none.
    """
    design, prior = alive[kind], scales(alive[kind])
    theta = np.random.default_rng(7).multivariate_normal(
        prior.mean_O, np.linalg.inv(prior.root_O.T @ prior.root_O), 20_000
    )
    b, alpha = theta[:, 0], theta[:, -1]
    A = np.column_stack([design.C[:, design.in_outcome], design.dose])
    average = np.r_[1.0, A.mean(axis=0)]
    s = np.sqrt(average @ worth_a_row(A, design.y, "binary") @ average)
    assert kstest(b + alpha * design.dose.mean(), norm(0, s).cdf).pvalue > 0.001 and 1.25 < s < 1.6
    unit = 1.0 if kind == "binary" else design.t.std()
    difference = np.abs(norm.cdf(b + unit * alpha) - norm.cdf(b))
    assert np.mean(difference < 0.2) > np.mean(difference > 0.8)


def test_a_binary_outcome_has_no_spread_to_set(alive):
    with pytest.raises(ValueError, match=r"sigma=2.*no sigma_U.*None"):
        joint_model(alive["binary"], sigma=2)


# Worlds


def test_worlds_are_told_in_percentage_points(fish, alive):
    design, data = alive["binary"], fish["binary"].data
    worlds = [World("line", design, rho=None), World("no current", design, rho=0.0), World("current", design)]
    table = world_table(fit_worlds(worlds, folder=None))
    line = sm.OLS(data.Y, sm.add_constant(data[["X0", "X1", "T"]])).fit()
    assert table.loc["line", "effect"] == pytest.approx(100 * line.params["T"])
    ends = 100 * line.conf_int().loc["T"].to_numpy()
    np.testing.assert_allclose(table.loc["line", ["low", "high"]].to_numpy(float), ends, atol=0.8)
    assert table.loc["no current", "effect"] == pytest.approx(maximum_likelihood(design, rho=0).effect, abs=1)
    assert list(table.columns[:4]) == ["effect", "low", "high", "gap"] and "P(effect>0)" in table
    assert table.loc["current", "gap"] == pytest.approx(table.loc["current", "effect"] - table.loc["line", "effect"])
    # log p(T, Y) of the probits, row by row, from statsmodels: leaving one out costs about a parameter each
    both = [sm.Probit(design.y, Rows.of(design, compress=False).A), sm.Probit(design.t, Rows.of(design).Z)]
    best = sum(model.fit(disp=0).llf for model in both)
    alpha, error = (each[-1] for each in (both[0].fit(disp=0).params, both[0].fit(disp=0).bse))
    assert table.loc["no current", "alpha"] == pytest.approx(alpha, abs=0.3 * error)
    assert np.isnan(table.loc["line", "alpha"])
    assert best - 15 < table.loc["no current", "elpd"] < best - 4


def test_the_coverage_is_the_one_that_is_stored():
    """The table belongs to the script, and says what the derivations say of it."""
    script = Path(__file__).parent / "benchmarks" / "binary_coverage.py"
    table = pd.read_csv(script.with_suffix(".csv"))
    assert set(table.script) == {hashlib.sha256(script.read_bytes()).hexdigest()} and (table.tanks == 200).all()
    told = (Path(__file__).parent.parent / "book" / "appendix-derivations.md").read_text(encoding="utf-8")
    for _, row in table.iterrows():
        shares = f"{row['posterior_0.5']:.2f} / {row['posterior_0.9']:.2f} | {row.posterior_width:.0f} |"
        helped = "an instrument" if row.instruments else "none"
        line = next(line for line in told.splitlines()
                    if line.startswith(f"| {row.treatment} treatment, ρ = {row.rho:g}, {helped} |"))  # fmt: skip
        assert line.endswith(shares)
        if row.likelihood_width > 0:
            assert f"| {row['likelihood_0.5']:.2f} / {row['likelihood_0.9']:.2f} | {row.likelihood_width:.0f} |" in line
    known, open_ = table[table.instruments == 1], table[(table.instruments == 0) & (table.treatment == "binary")]
    for name in ("likelihood_0.9", "posterior_0.9"):  # three errors of a share of 0.9 among 200
        assert known[name].between(0.9 - 3 * 0.021, 0.9 + 3 * 0.021).all()
    assert open_["likelihood_0.9"].max() < 0.8 and table["posterior_0.9"].min() > 0.83
