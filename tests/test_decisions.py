"""Benchmarks against closed forms and known tanks, the robustness value as published, decisions worked by hand."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
import xarray as xr
from conftest import INSTRUMENT, TANK
from oracles import residual_sd
from scipy.optimize import brentq
from scipy.stats import norm, uniform
from scipy.stats import t as student

from helpers import (
    atanh_normal,
    benchmark_rho,
    decide,
    e_value,
    make_design,
    map_rho,
    maximum_likelihood,
    plot_decision,
    read_map,
    robustness_value,
    simulate_aquarium,
    weigh,
)  # fmt: skip

GRID = np.tanh(np.linspace(-2.4, 2.4, 49))
Z = np.sqrt(2) * np.array([-1.0, 1.0])  # two draws with mean 0


def by_hand(k=0.1):
    """A map whose draws are 3 - 12ρ ± √2 at every ρ, under data that are silent about ρ."""
    alpha = (3 - 12 * GRID)[:, None] + np.tile(Z, 256)
    return xr.Dataset(
        {"alpha": (("rho", "draw"), alpha), "log_weight": (("rho", "draw"), np.full(alpha.shape, -np.log(512))),
         "log_evidence": ("rho", np.zeros(49)), "pareto_k": ("rho", np.broadcast_to(k, 49)),
         "ess": ("rho", np.full(49, 512.0))},
        coords={"rho": GRID, "draw": np.arange(512)}, attrs={"outcome": "Y", "treatment": "T"},
    )  # fmt: skip


# ---- benchmarks


@pytest.mark.parametrize("names", [["X0"], ["X1"], ["X3"]])
def test_a_benchmark_of_a_continuous_treatment_is_the_closed_form(names):
    data = simulate_aquarium(400, rho=0.3, seed=3, sigma_U=2.0, sigma_V=0.7).data
    every = [f"X{j}" for j in range(5)]
    formula = " + ".join(every)
    found = benchmark_rho(make_design(data, outcome=f"Y ~ T + {formula}", treatment=f"T ~ {formula}")).loc[names[0]]
    kept = [data[x] for x in every if x not in names]
    short = smf.ols("Y ~ T + " + " + ".join(c.name for c in kept), data).fit().params["T"]
    change = short - smf.ols(f"Y ~ T + {formula}", data).fit().params["T"]
    slope = change * residual_sd(data["T"], *kept) / residual_sd(data.Y, data["T"], *kept)
    assert found["alpha_without"] == pytest.approx(short, abs=1e-8)
    assert found["change"] == pytest.approx(change, abs=1e-8)
    assert found["rho"] == pytest.approx(slope / np.sqrt(1 + slope**2), abs=1e-6)


@pytest.mark.parametrize("kind, within", [("continuous", 0.015), ("binary", 0.03)])
def test_a_benchmark_is_the_current_the_covariate_would_have_made(kind, within):
    data, truth = simulate_aquarium(40_000, treatment=kind, seed=5, sigma_U=1.5)
    table = benchmark_rho(make_design(data, **TANK))
    for name in ("X0", "X1"):
        b, g = (float(truth[beta].sel(covariate=name)) for beta in ("beta_O", "beta_T"))
        # in the tank X2 and others stay unmeasured: they widen the errors without correlating them
        wider_V = float((truth.beta_T.sel(covariate=["X2"]) ** 2).sum())
        wider_U = float((truth.beta_O.sel(covariate=["X3", "X4"]) ** 2).sum())
        expected = b * g / np.sqrt((b**2 + wider_U + 1.5**2) * (g**2 + wider_V + 1))
        assert abs(expected) > 0.1
        assert table["rho"][name] == pytest.approx(expected, abs=within)


@pytest.mark.parametrize("outcome", ["continuous", "binary"])
def test_where_nobody_is_treated_unasked_a_benchmark_is_still_the_current(outcome):
    """An offer without which nobody is treated has no finite coefficient; x, left out, adds bg to the covariance."""
    rng, n, b, g = np.random.default_rng(1), 40_000, 0.8, 0.6
    x, v, u = rng.normal(size=(3, n))
    offer = rng.integers(0, 2, n)
    t = ((g * x + v > 0) & (offer == 1)).astype(int)
    y = 0.5 * t + b * x + u
    data = pd.DataFrame({"y": y if outcome == "continuous" else (y > 0).astype(int), "t": t, "x": x, "offer": offer})
    design = make_design(data.assign(w=rng.normal(size=n)), outcome="y ~ t + x + w", treatment="t ~ offer + x + w")
    with pytest.raises(ValueError, match="'offer'] predicts the treatment"):
        maximum_likelihood(design, rho=0)
    table = benchmark_rho(design)
    assert table["rho"]["x"] == pytest.approx(b * g / np.sqrt((b**2 + 1) * (g**2 + 1)), abs=0.03)
    assert table.loc[["w", "offer"], "rho"].abs().max() < 0.01 and (table["reason"] == "").all()


def test_the_shortened_model_at_the_benchmark_returns_the_full_effect(smokers, nhefs):
    table = benchmark_rho(smokers, {"age": "age", "smoking": ["smokeyrs", "smokeintensity"]})
    kept = "sex + race + age + C(education) + C(exercise) + C(active) + wt71"
    short = make_design(nhefs, outcome=f"wt82_71 ~ qsmk + {kept}", treatment=f"qsmk ~ {kept}")
    full = maximum_likelihood(smokers, rho=0).alpha
    assert maximum_likelihood(short, rho=table["rho"]["smoking"]).alpha == pytest.approx(full, abs=1e-4)
    assert list(table.index) == ["age", "smoking"] and (table["reason"] == "").all()


def test_by_default_the_dummies_of_a_term_are_one_group(smokers):
    table = benchmark_rho(smokers)
    assert set(table.index) == {
        "sex", "race", "age", "C(education)", "smokeintensity", "smokeyrs", "C(exercise)", "C(active)", "wt71",
    }  # fmt: skip
    dummies = [name for name in smokers.covariates if name.startswith("C(education)")]
    assert len(dummies) == 4
    alone = benchmark_rho(smokers, {"by label": dummies})
    assert alone["rho"].item() == pytest.approx(table["rho"]["C(education)"], abs=1e-9)


def test_a_benchmark_out_of_reach_is_nan_and_says_why(tanks, monkeypatch):
    monkeypatch.setattr("which_world.decisions.FARTHEST_BENCHMARK", 0.2)
    row = benchmark_rho(make_design(tanks["continuous"].data, **TANK)).loc["X0"]
    assert np.isnan(row["rho"]) and "no rho within 0.2 of zero" in row["reason"]
    assert row["change"] < -0.1


@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_an_instrument_left_out_makes_no_current(designs, kind):
    """At ρ = 0 the outcome equation stands alone, and X2 is not in it: the effect stays as it is."""
    table = benchmark_rho(designs[kind, "instrument"])
    assert table.loc["X2", ["rho", "change"]].tolist() == pytest.approx([0, 0], abs=1e-4)
    assert (table.loc[["X0", "X1"], ["rho", "change"]].abs() > 0.01).all(axis=None)


def depths(n=1200, seed=8):
    """Fish whose depth moves food and growth, and does so by itself in no single term."""
    rng = np.random.default_rng(seed)
    depth, salt = rng.uniform(1, 9, n), rng.normal(size=n)
    place = rng.choice(["reef", "core [A] east", "(30,45]", "b] x"], n)
    food = 0.4 * depth + 0.2 * salt + 0.3 * (place == "reef") + rng.normal(size=n)
    grown = 0.5 * food + 0.6 * depth + 0.3 * salt - (place == "(30,45]") + rng.normal(size=n)
    return pd.DataFrame({"grown": grown, "food": food, "depth": depth, "salt": salt, "place": place})


def left_out(data, kept, full):
    """The closed form, with statsmodels: what the effect loses, in residual spreads of the equations that are left."""
    short, stage = (smf.ols(f"{left} {kept}", data).fit() for left in ("grown ~ food +", "food ~"))
    change = short.params["food"] - smf.ols(f"grown ~ food + {full}", data).fit().params["food"]
    slope = change * np.sqrt(stage.ssr / short.ssr)
    return slope / np.sqrt(1 + slope**2)


TERMS = {
    "depth + I(depth**2) + salt": "salt",
    "depth + log(depth) + salt": "salt",
    "depth * C(place) + salt": "salt + C(place)",
    "I(depth > 5) + scale(depth):salt + salt": "salt",
    "depth + bs(depth, df=5):salt + salt + C(place)": "salt + C(place)",
    "C(place):depth + C(place) + salt": "C(place) + salt",
}


@pytest.mark.parametrize("terms", TERMS)
def test_a_variable_leaves_with_every_term_it_stands_in(terms):
    data = depths()
    design = make_design(data, outcome=f"grown ~ food + {terms}", treatment=f"food ~ {terms}")
    found = benchmark_rho(design)["rho"]
    line = terms.replace("log(", "np.log(").replace("I(depth > 5)", "I((depth > 5) * 1)").replace("scale", "center")
    assert found["depth"] == pytest.approx(left_out(data, TERMS[terms], line), abs=1e-6)
    assert benchmark_rho(design, {"one": "depth"})["rho"].item() == pytest.approx(found["depth"], abs=1e-9)


def test_a_moderator_leaves_as_a_covariate_and_as_a_moderator():
    data = depths()
    design = make_design(data, outcome="grown ~ food * depth + salt", treatment="food ~ depth + salt")
    table = benchmark_rho(design)
    assert set(table.index) == {"depth", "salt"}
    line = smf.ols("grown ~ food + salt", data).fit()
    assert table.loc["depth", "alpha_without"] == pytest.approx(line.params["food"])


def test_a_row_is_called_by_its_term_where_that_says_it_all():
    data = depths().assign(price=lambda d: np.exp(d.salt))
    terms = "log(price / depth) + C(place) + salt"
    table = benchmark_rho(make_design(data, outcome=f"grown ~ food + {terms}", treatment=f"food ~ {terms}"))
    assert list(table.index) == ["log(price / depth)", "C(place)", "salt"]
    terms = "log(price / depth) + depth + salt"
    table = benchmark_rho(make_design(data, outcome=f"grown ~ food + {terms}", treatment=f"food ~ {terms}"))
    assert list(table.index) == ["depth", "price", "salt"]


@pytest.mark.parametrize("term", ["place", "C(place)", "C(place, contr.treatment('reef'))"])
def test_levels_that_hold_brackets_are_one_factor(term):
    data = depths()
    design = make_design(data, outcome=f"grown ~ food + salt + {term}", treatment=f"food ~ salt + {term}")
    table = benchmark_rho(design)
    assert list(table.index) == ["salt", term]
    assert table["rho"][term] == pytest.approx(left_out(data, "salt", "salt + C(place)"), abs=1e-6)
    for named in (["place"], [term], [label for label in design.covariates if label != "salt"]):
        assert benchmark_rho(design, {"site": named})["rho"].item() == pytest.approx(table["rho"][term], abs=1e-9)


def test_groups_that_cannot_be_left_out_are_refused(designs):
    said = r"groups\['a'\] holds every covariate of the design, .* accepted is a part"
    with pytest.raises(ValueError, match=said):
        benchmark_rho(designs["continuous", "plain"], {"a": ["X0", "X1"]})


# ---- robustness value


def test_the_robustness_value_is_the_published_one():
    """Darfur example of Cinelli & Hazlett 2020: t = 4.18445 on 783 degrees of freedom; 13.878 % and 7.626 %."""
    from which_world.decisions import _robustness

    assert _robustness(4.18445, 783, 1, None) == pytest.approx(0.13878, abs=5e-6)
    assert _robustness(4.18445, 783, 1, 0.95) == pytest.approx(0.07626, abs=5e-6)


def weakest(t, df, q, probability):
    """The same by search: the least r at which a confounder with partial R² of r or less leaves a |t| of the limit."""
    limit = student.ppf((1 + probability) / 2, df - 1) if probability else 0.0

    def excess(r):
        R_y = np.linspace(0, r, 4001)
        moved = q * t / np.sqrt(df) - np.sqrt(R_y * r / (1 - r))
        return np.min(moved * np.sqrt(df - 1) / np.sqrt((1 - R_y) / (1 - r) + 1e-300) - limit)

    return brentq(excess, 1e-9, 1 - 1e-9)


@pytest.mark.parametrize("t, df, probability", [(4.18445, 783, 0.95), (4.18445, 783, None), (2.5, 40, 0.8),
                                                (30.0, 20, 0.95), (80.0, 200, 0.99), (6.0, 4, 0.95)])  # fmt: skip
def test_the_robustness_value_is_the_weakest_confounder_that_a_search_finds(t, df, probability):
    """The last three need a confounder that leaves nothing of the outcome: the bound of the second formula."""
    from which_world.decisions import _robustness

    assert _robustness(t, df, 1, probability) == pytest.approx(weakest(t, df, 1, probability), abs=2e-4)


# ---- E-value


def test_e_values_are_the_published_ones():
    """Breastfeeding and respiratory death (VanderWeele & Ding 2017): 3.9 (1.8 to 8.7) gives 7.26 and 3.0."""
    assert e_value(3.9) == pytest.approx(7.26, abs=0.005)
    assert e_value(3.9, limit=1.8) == pytest.approx(3.0, abs=0.005)
    # ovarian cancer, an effect below 1, in the same paper: 0.5 (0.3 to 0.8) gives 3.41 and 1.81
    assert e_value(0.5) == pytest.approx(3.41, abs=0.005)
    assert e_value(0.5, limit=0.8) == pytest.approx(1.81, abs=0.005)
    assert e_value(1.2, limit=0.9) == e_value(0.8, limit=1.1) == e_value(1.0) == e_value(1.0, limit=1.1) == 1.0


@pytest.mark.parametrize("options, said", [
    ({"ratio": 2.0, "limit": 3.0}, "limit=3.0 lies farther from 1"), ({"ratio": 0.5, "limit": 0.4}, "limit=0.4 lies"),
])  # fmt: skip
def test_what_is_no_risk_ratio_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        e_value(**options)


def confound(data, r, rng):
    """A column with partial R² of r with T given the covariates, and of r with Y given T and them, made to measure."""
    X = np.column_stack([np.ones(len(data)), data[["X0", "X1"]]])

    def left(v, M):
        v = v - M @ np.linalg.lstsq(M, v, rcond=None)[0]
        return v / np.sqrt(v @ v)

    T, XT = left(data["T"].to_numpy(), X), np.column_stack([X, data["T"]])
    Y = left(data["Y"].to_numpy(), XT)
    noise = left(rng.normal(size=len(data)), np.column_stack([XT, data["Y"]]))
    rest = np.sqrt(r) * Y + np.sqrt(1 - r) * noise  # of unit length, orthogonal to T given X
    return np.sqrt(r) * T + np.sqrt(1 - r) * rest


@pytest.mark.parametrize("q", [1.0, 0.5])
def test_a_confounder_of_that_strength_takes_the_effect_away(tanks, q):
    data = tanks["continuous"].data.assign(Y=lambda d: d.Y - 2.9 * d["T"])
    r = robustness_value(make_design(data, **TANK), q=q)
    before = smf.ols("Y ~ T + X0 + X1", data).fit().params["T"]
    after = [smf.ols("Y ~ T + X0 + X1 + W", data.assign(W=sign * confound(data, r, np.random.default_rng(0))))
             .fit().params["T"] for sign in (1, -1)]  # fmt: skip
    assert 0.05 < r < 0.9
    assert after[0] == pytest.approx((1 - q) * before, abs=1e-8)


@pytest.mark.parametrize("probability", [0.8, 0.95])
def test_an_interval_needs_less_than_its_estimate(smokers, probability):
    assert 0 < robustness_value(smokers, probability=probability) < robustness_value(smokers)


def test_an_interval_that_holds_zero_needs_nothing():
    data = simulate_aquarium(100, alpha=0.0, seed=2).data
    assert robustness_value(make_design(data, **TANK), probability=0.9999) == 0.0


# ---- decisions


def linear(action, alpha):
    """Acting costs 1; not acting costs the effect."""
    return 1.0 if action == "act" else alpha


def test_the_best_action_changes_where_the_mean_crosses_the_threshold():
    found = decide(by_hand(), linear, actions=["wait", "act"], within=(-0.3, 0.4))
    assert found.ranges["action"].tolist() == ["act", "wait"]
    np.testing.assert_allclose(found.ranges[["low", "high"]], [[-0.3, 1 / 6], [1 / 6, 0.4]], atol=1e-6)
    np.testing.assert_allclose(found.loss["wait"], 3 - 12 * found.loss.index, atol=1e-5)
    np.testing.assert_allclose(found.loss["act"], 1.0)


def test_regret_is_worked_by_hand():
    """Waiting loses most at ρ = -0.3: 6.6 against 1. Acting at ρ = 0.4: 1 against -1.8."""
    found = decide(by_hand(), linear, actions=["wait", "act"], within=(-0.3, 0.4))
    assert found.actions["max_regret"].to_dict() == pytest.approx({"wait": 5.6, "act": 2.8}, abs=1e-4)
    assert found.minimax_regret == "act"
    assert (found.regret.min(axis=1) == 0).all()


@pytest.mark.parametrize("mean, best", [(-0.3, "act"), (0.3, "wait")])
def test_the_bayes_action_follows_the_prior(mean, best):
    found = decide(by_hand(), linear, actions=["wait", "act"], prior=atanh_normal(mean, 0.05))
    assert found.bayes == best
    expected = float(weigh(by_hand(), atanh_normal(mean, 0.05)).alpha.mean())
    assert found.actions["expected_loss"].to_dict() == pytest.approx({"wait": expected, "act": 1.0}, abs=1e-9)


def test_a_belief_alone_chooses_by_the_prior():
    """Evidence that piles up at ρ = 0.9, where waiting is best, is not heard: α averages 3 - 12 E[ρ]."""
    chart = by_hand().assign(log_evidence=("rho", 300 * GRID))
    heard, alone = (
        decide(chart, linear, actions=["wait", "act"], prior=uniform(-0.5, 0.8), likelihood=said)
        for said in (True, False)
    )
    assert (heard.bayes, alone.bayes) == ("wait", "act")
    assert alone.actions.expected_loss["wait"] == pytest.approx(3 - 12 * -0.1, abs=0.05)


def test_a_loss_that_bends_is_averaged_over_alpha_not_taken_at_its_mean():
    found = decide(by_hand(), lambda action, alpha: alpha**2 if action == "bent" else 7.0, actions=["bent", "flat"])
    middle = found.loss["bent"].iloc[np.abs(found.loss.index).argmin()]
    assert middle == pytest.approx(3**2 + 2)
    np.testing.assert_allclose(found.loss.index, GRID)  # without a range of their own, the worlds are the columns


def test_losses_count_by_the_draws_weights():
    """Two draws of ±√2 in weights 1:3 have the mean √2/2: by hand."""
    chart = by_hand()
    weight = np.log(np.where(np.tile(Z, 256) > 0, 3.0, 1.0))
    chart = chart.assign(log_weight=(("rho", "draw"), np.tile(weight - np.log(np.exp(weight).sum()), (49, 1))))
    found = decide(chart, linear, actions=["wait", "act"], within=(-0.3, 0.4))
    np.testing.assert_allclose(found.loss["wait"], 3 - 12 * found.loss.index + np.sqrt(2) / 2, atol=1e-5)
    np.testing.assert_allclose(found.ranges["low"].iloc[1], (2 + np.sqrt(2) / 2) / 12, atol=1e-6)


def test_a_binary_outcome_is_decided_in_points():
    """A benchmark returns the full effect of the probit, and an action pays by points."""
    tank = simulate_aquarium(800, rho=0.3, treatment="binary", outcome="binary", seed=2)
    design = make_design(tank.data, **INSTRUMENT)
    table = benchmark_rho(design, {"X0": ["X0"]})
    short = make_design(tank.data, outcome="Y ~ T + X1", treatment="T ~ X1 + X2")
    data = tank.data.assign(one=1.0)
    names = ["one", "X0", "X1", "T"]
    full = 100 * sm.Probit(data.Y, data[names]).fit(disp=0).get_margeff(dummy=True).margeff[-1]
    assert maximum_likelihood(short, rho=table["rho"]["X0"]).effect == pytest.approx(full, abs=1e-3)
    names.remove("X0")
    without = 100 * sm.Probit(data.Y, data[names]).fit(disp=0).get_margeff(dummy=True).margeff[-1]
    assert table.loc["X0", "effect_without"] == pytest.approx(without, abs=1e-3)
    chart = map_rho(design)
    found = decide(chart, lambda action, effect: 20.0 if action == "act" else effect, actions=["wait", "act"])
    row = read_map(chart).loc[0.0]
    assert found.loss["wait"][0.0] == pytest.approx(row["mean"])
    assert found.ranges["action"].tolist() == ["act", "wait"]
    at_zero = maximum_likelihood(design, rho=0)
    assert row["mean"] == pytest.approx(at_zero.effect, abs=0.3 * at_zero.effect_se)
    half = norm.ppf(0.975) * at_zero.effect_se
    np.testing.assert_allclose(row[["low", "high"]], at_zero.effect + half * np.array([-1, 1]), atol=0.15 * half)


def test_a_mapping_hands_its_values_to_the_loss():
    found = decide(by_hand(), lambda cost, alpha: cost + 0 * alpha, actions={"dear": 5.0, "cheap": 2.0})
    assert found.bayes == found.minimax_regret == "cheap"
    assert found.actions["expected_loss"].tolist() == [5.0, 2.0]
    assert len(found.ranges) == 1


def test_an_action_may_be_best_twice():
    found = decide(by_hand(), lambda action, alpha: 10.0 if action == "flat" else (alpha - 3) ** 2 - 2,
                   actions=["curve", "flat"], within=(-0.9, 0.9))  # fmt: skip
    edge = np.sqrt(10) / 12  # (12ρ)² + 2 - 2 = 10
    assert found.ranges["action"].tolist() == ["flat", "curve", "flat"]
    np.testing.assert_allclose(found.ranges["low"], [-0.9, -edge, edge], atol=1e-4)


def test_decisions_come_from_a_real_map(designs):
    chart = map_rho(designs["binary", "plain"])
    found = decide(chart, linear, actions=["wait", "act"], within=(-0.5, 0.5))
    assert isinstance(found.actions, pd.DataFrame)
    ax = plot_decision(found, unit="points")
    assert "points" in ax.get_ylabel() and ax.get_xlabel()
    plt.close("all")


def test_the_picture_of_a_decision_is_its_regret():
    """The effect is 3 - 12ρ: waiting loses it, acting nothing, so acting is best below ρ = 1/4."""
    found = decide(by_hand(), lambda action, effect: effect * (action == "wait"), actions=["wait", "act"])
    ax = plot_decision(found)
    lines = {line.get_label(): line for line in ax.get_lines()}
    effect = 3 - 12 * lines["act"].get_xdata()
    np.testing.assert_allclose(lines["wait"].get_ydata(), np.clip(effect, 0, None), atol=1e-6)
    np.testing.assert_allclose(lines["act"].get_ydata(), np.clip(-effect, 0, None), atol=1e-6)
    left, right = sorted(ax.patches, key=lambda patch: patch.get_x())
    assert right.get_x() == pytest.approx(0.25, abs=1e-3) == left.get_x() + left.get_width()
    assert left.get_facecolor()[:3] == pytest.approx(plt.matplotlib.colors.to_rgb(lines["act"].get_color()))
    plt.close("all")


def test_no_two_of_five_options_look_alike():
    def costs(action, effect):
        return 0 * effect + float(action)

    ax = plot_decision(decide(by_hand(), costs, actions=list("12345")))
    colours = np.array([plt.matplotlib.colors.to_rgb(line.get_color()) for line in ax.get_lines()])
    apart = np.linalg.norm(colours[:, None] - colours, axis=2)[~np.eye(5, dtype=bool)]
    assert len(colours) == 5 and apart.min() > 0.3
    plt.close("all")


REFUSED = {
    "shape": (lambda a, x: np.zeros(3), {}, r"loss gave the shape \(3,\) for action 'wait'.*accepted are as many"),
    "nan": (lambda a, x: x * np.nan, {}, r"loss gave .* infinite or undefined values for action 'wait'"),
    "one infinity": (lambda a, x: np.where(x < x.max(), x, np.inf), {}, "loss gave 256 infinite or undefined values"),
    "unknown": (lambda a, x: {"act": x}[a], {}, r"actions holds 'wait', and loss does not know it"),
    "one action": (linear, {"actions": ["act"]}, r"actions=\['act'\]; accepted is two or more"),
    "twice": (linear, {"actions": ["act", "act"]}, r"accepted is two or more different names"),
    "a string": (linear, {"actions": "act"}, r"actions='act'; accepted is two or more"),
    "off the map": (linear, {"within": (-0.999, 0.3)}, r"within=\(-0.999, 0.3\); accepted is a pair .* -0.984 to 0.98"),
    "backwards": (linear, {"within": (0.3, -0.3)}, r"within=\(0.3, -0.3\); accepted is a pair"),
}  # fmt: skip


@pytest.mark.parametrize("loss, options, said", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_decided_is_refused(loss, options, said):
    with pytest.raises(ValueError, match=said):
        decide(by_hand(), loss, **({"actions": ["wait", "act"]} | options))


@pytest.mark.parametrize("side", [-1, 1])
def test_a_world_leans_on_the_columns_on_both_sides(side):
    """The last world, ρ = ±0.3, lies between a good column at ±0.29 and a bad one at ±0.38."""
    chart = by_hand(k=np.where(np.isclose(GRID, np.tanh(0.4 * side)), np.nan, 0.1))
    said = rf"Pareto k̂ exceeds 0.7 at rho = \[{0.38 * side}\], among the worlds to decide in"
    with pytest.raises(ValueError, match=said):
        decide(chart, linear, actions=["wait", "act"], within=(-0.3, 0.3))
    found = decide(chart, linear, actions=["wait", "act"], within=(-0.29, 0.29), prior=atanh_normal(0, 0.05))
    assert found.minimax_regret == "act"


def test_a_column_that_cannot_be_trusted_moves_no_loss_elsewhere():
    """One at ρ = 0.54, beyond the worlds to decide in, whose draws are off by a thousand: the others are 3 - 12ρ."""
    bad = np.isclose(GRID, np.tanh(0.6))
    chart = by_hand(k=np.where(bad, 0.9, 0.1))
    chart = chart.assign(alpha=chart.alpha + xr.DataArray(np.where(bad, 1e3, 0.0), dims="rho"))
    found = decide(chart, linear, actions=["wait", "act"], within=(-0.3, 0.4), prior=atanh_normal(0, 0.05))
    np.testing.assert_allclose(found.loss["wait"], 3 - 12 * found.loss.index, atol=1e-3)
    np.testing.assert_allclose(found.ranges["low"].iloc[1], 1 / 6, atol=1e-4)


@pytest.mark.parametrize(
    "bad, within", [(np.abs(GRID) < 0.2, (-0.3, 0.3)), (GRID > 0.982, None), (GRID < -0.982, None)]
)
def test_columns_that_cannot_be_trusted_are_no_worlds(bad, within):
    skewed = by_hand(k=np.where(bad, 0.9, 0.1))
    with pytest.raises(ValueError, match=r"Pareto k̂ exceeds 0.7 at rho = .*, among the worlds to decide in"):
        decide(skewed, linear, actions=["wait", "act"], within=within)
