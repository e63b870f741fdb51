"""Draws of columns and their weights: against grids, draws of another make, and every draw weighed."""

import numpy as np
import pandas as pd
import pytest
from conftest import INSTRUMENT
from drawn import GRID
from scipy.optimize import minimize
from scipy.special import log_ndtr, logsumexp, ndtr, owens_t
from scipy.stats import multivariate_t, norm
from statsmodels.tools.numdiff import approx_hess

from helpers import make_design, map_rho, normal, read_map, simulate_aquarium
from which_world.engine import weighing
from which_world.engine.likelihoods import rows_of
from which_world.engine.weighing import smoothed
from which_world.priors import scales


@pytest.mark.parametrize("outcome", ["continuous", "binary"])
def test_the_weights_of_a_few_draws_carry_the_others_where_they_are_calm(outcome, monkeypatch):
    """Beside the map of which every draw is weighed, eight times as many of them."""
    data = simulate_aquarium(4_000, outcome=outcome, rho=0.4, seed=3).data
    design = make_design(data, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1 + X2")
    rho = np.tanh(np.linspace(-1, 1, 5))
    whole = map_rho(design, rho=rho, draws=4_096)
    monkeypatch.setattr(weighing, "WORK", 0)
    monkeypatch.setattr(weighing, "CALM", 0.3)
    few, table = map_rho(design, rho=rho), read_map(whole)
    sd = (table["high"] - table["low"]) / 4
    assert np.abs(read_map(few)["mean"] - table["mean"]).max() < 0.03 * sd.min()
    assert few.log_evidence.values == pytest.approx(whole.log_evidence.values, abs=0.02)
    if outcome == "binary":  # unweighed, they would miss
        assert np.abs(few.effect.mean("draw") - table["mean"].to_numpy()).max() > 0.05 * sd.min()
    monkeypatch.setattr(weighing, "CALM", 0.0)
    assert map_rho(design, rho=rho).log_weight.values == pytest.approx(_weighed(design, rho, monkeypatch))


def few_say_yes(n=400, seed=5):
    """One in twenty is treated, and in one group of four hardly anybody says yes."""
    rng = np.random.default_rng(seed)
    x, V, e, g = *rng.normal(size=(3, n)), rng.integers(0, 4, n)
    T = (0.3 * x + V > np.quantile(0.3 * x + V, 0.95)).astype(int)
    Y = (0.3 * x + 0.5 * T + 0.3 * V + e > np.where(g == 3, 2.3, 0.2)).astype(int)
    return pd.DataFrame({"Y": Y, "T": T, "x": x, "g": g})


BETWEEN = {
    "answer by choice": lambda: make_design(few_say_yes(), outcome="Y ~ T + x + C(g)", treatment="T ~ x"),
    "answer by dose": lambda: make_design(simulate_aquarium(300, outcome="binary", seed=3).data, **INSTRUMENT),
    "amount by choice": lambda: make_design(simulate_aquarium(300, treatment="binary", seed=3).data, **INSTRUMENT),
}  # fmt: skip


@pytest.mark.parametrize("made", BETWEEN.values(), ids=BETWEEN)
def test_a_column_between_nodes_is_what_weighing_it_gives(made):
    """Columns on which no node falls, beside maps of these alone, with eight times as many draws."""
    design, a = made(), np.array([-1.7, -1.1, -0.5, 0.1, 0.7, 1.3, 1.7])
    whole = map_rho(design, rho=np.tanh(a), draws=4_096)
    chart = map_rho(design)
    assert not np.isin(np.abs(np.arctanh(GRID)[:, None] - a).argmin(axis=0), weighing.nodes_of(np.arctanh(GRID))).any()
    expected = read_map(whole)
    table, sd = read_map(chart).iloc[np.abs(np.arctanh(GRID)[:, None] - a).argmin(axis=0)], whole.effect.std("draw")
    for name, within in {"mean": 0.03, "low": 0.15, "high": 0.15}.items():
        assert (np.abs(table[name].to_numpy() - expected[name].to_numpy()) < within * sd.values).all(), name
    found = chart.log_evidence.values[np.abs(np.arctanh(GRID)[:, None] - a).argmin(axis=0)]
    np.testing.assert_allclose(found, whole.log_evidence, atol=0.03)


@pytest.mark.parametrize("outcome", ["continuous", "binary"])
def test_a_column_does_not_keep_the_draws_of_all_coefficients(outcome):
    """Of 60 coefficients these are 60 times what is read of them."""
    design = make_design(simulate_aquarium(5_000, outcome=outcome, treatment="binary", seed=2).data, **INSTRUMENT)
    rows, prior = rows_of(design), scales(design)
    alpha, effect, *_ = weighing.weighted_columns(design, rows, prior, np.linspace(-1, 1, 7), 512, 0)[3]
    for read in (alpha, effect):
        while read.base is not None:
            read = read.base
        assert read.size == 512


def test_a_node_that_the_others_miss_gets_columns_beside_it():
    """A bend in the evidence at one node alone: exact columns on both sides of it, and a bad one is told of by both."""
    a, z = np.linspace(-2.4, 2.4, 49), norm.ppf((np.arange(200) + 0.5) / 200)
    frame, made = weighing.Frame(a, np.zeros((49, 2)), np.ones(49), np.zeros(49)), []

    def propose(some):
        made.extend(some)
        bend, weight = 5 * np.exp(-((a / 0.1) ** 2)), np.full(200, -np.log(200))
        return [(z, z, weight, bend[k], 0.9 if k == 6 else 0.1, 200.0) for k in some]

    every = weighing._filled(frame, weighing.nodes_of(a), propose)
    assert {5, 7, 23, 25} <= set(made) and len(made) < 49
    np.testing.assert_allclose([each[3] for each in every], 5 * np.exp(-((a / 0.1) ** 2)), atol=0.05)
    assert [k for k, each in enumerate(every) if each[4] > 0.7] == [6]


def _weighed(design, rho, monkeypatch):
    monkeypatch.setattr(weighing, "WORK", np.inf)
    return map_rho(design, rho=rho).log_weight.values


def test_a_few_draws_tell_a_column_of_many_rows(monkeypatch):
    """A dose whose answer is a rare yes: α and the effect part, and weights follow what is read."""
    rng, n = np.random.default_rng(3), 8_000
    x, z, v, e = rng.normal(size=(4, n))
    data = pd.DataFrame({"x": x, "z": z, "t": 0.3 * x + 0.4 * z + v})
    index = 0.3 * x + 0.7 * data.t + 0.5 * v + np.sqrt(0.75) * e
    data["y"] = (index > np.quantile(index, 0.99)).astype(int)
    design, rho = make_design(data, outcome="y ~ t + x", treatment="t ~ z + x"), np.tanh([-1.8, -1, 0, 1, 1.8])
    asked, sums = [], weighing._sums

    def watched(*given):
        asked.extend(len(each.weighed) for each in given[-1])
        return sums(*given)

    monkeypatch.setattr(weighing, "_sums", watched)
    monkeypatch.setattr(weighing, "WORK", 2**21)
    few = map_rho(design, rho=rho)
    assert asked and set(asked) <= {0, 32, 96}
    monkeypatch.setattr(weighing, "WORK", np.inf)
    whole = map_rho(design, rho=rho, draws=2048)
    apart = (read_map(few) - read_map(whole))[["mean", "low", "high"]].to_numpy() / whole.effect.std("draw").values[
        :, None
    ]
    assert np.abs(apart[:, 0]).max() < 0.03 and np.abs(apart).max() < 0.1
    np.testing.assert_allclose(few.log_evidence, whole.log_evidence, atol=0.02)


@pytest.mark.parametrize("k", [0.2, 0.5])
def test_the_weights_of_a_pareto_have_its_k(k):
    """Ratios u^-k of a uniform u: k̂ is k, and weighted by them u has the mean (1 - k)/(2 - k)."""
    u = np.random.default_rng(0).permutation((np.arange(20_000) + 0.5) / 20_000)
    weight, k_hat = smoothed(-k * np.log(u))
    assert k_hat == pytest.approx(k, abs=0.03)
    assert np.exp(weight) @ u == pytest.approx((1 - k) / (2 - k), abs=0.005)


def test_a_draw_that_outweighs_all_others_is_all_there_is_and_is_not_relied_on():
    weight, k_hat = smoothed(np.r_[1000.0, np.random.default_rng(0).normal(size=511)])
    assert np.isnan(k_hat) and np.exp(weight).tolist() == [1.0] + [0.0] * 511


def test_a_level_in_which_nobody_answered_yes_is_carried_by_its_prior(monkeypatch):
    """Its coefficient has no maximum but the prior's: a posterior that leans, beside a grid over all its values."""
    rng, n = np.random.default_rng(3), 400
    g, z, v, u = np.arange(n) < 8, rng.integers(0, 2, n), *rng.normal(size=(2, n))
    data = pd.DataFrame({"g": np.where(g, "rare", "usual"), "z": z, "t": (0.8 * z - 0.4 + v > 0).astype(int)})
    data["y"] = ((0.5 * data.t - 0.2 + u > 0) & ~g).astype(int)
    design = make_design(data, outcome="y ~ t + C(g)", treatment="t ~ z + C(g)")

    b = np.mgrid[-4:4:81j, -4:5:91j, -4:4:81j]  # three coefficients, each standard normal before

    def posterior(first, second, answer):
        """On the grid, of a probit with a constant; and the log evidence."""
        log_p = norm.logpdf(b).sum(axis=0)
        for x, z in {*zip(first, second)}:
            here = (first == x) & (second == z)
            index = b[0] + b[1] * x + b[2] * z
            log_p += answer[here].sum() * norm.logcdf(index) + (1 - answer[here]).sum() * norm.logcdf(-index)
        return np.exp(log_p - logsumexp(log_p)), logsumexp(log_p) + 3 * np.log(0.1)

    level, invited = ((each - np.mean(each)) / np.std(each) for each in (~g, z))
    p, of_outcome = posterior(level, data.t.to_numpy(), data.y.to_numpy())
    _, of_treatment = posterior(level, invited, data.t.to_numpy())
    mean = (p * b[2]).sum()
    sd = np.sqrt((p * (b[2] - mean) ** 2).sum())

    plain = {"coefficients": normal(), "alpha": 1.0}
    chart = map_rho(design, rho=GRID[22:27], draws=2048, **plain).sel(rho=0.0)
    weight = np.exp(chart.log_weight.values)
    alpha = chart.alpha.values
    assert chart.pareto_k < 0.7 and weight @ alpha == pytest.approx(mean, abs=0.06 * sd)
    assert np.sqrt(weight @ (alpha - mean) ** 2) == pytest.approx(sd, rel=0.05)
    assert chart.log_evidence == pytest.approx(of_outcome + of_treatment, abs=0.05)
    monkeypatch.setattr(weighing, "WIDER_ROUNDS", 0)
    monkeypatch.setattr(weighing, "UPRIGHT", 0.0)
    monkeypatch.setattr(weighing, "FEW_ROWS", 0.1)
    monkeypatch.setattr(weighing, "LEANING", 0.1)
    assert map_rho(design, rho=GRID[22:27], draws=2048).pareto_k.max() < 0.7
    monkeypatch.setattr(weighing, "loose_rows", lambda *_: None)
    with pytest.warns(UserWarning, match="Pareto k̂ exceeds"):
        map_rho(design, rho=GRID[22:27], draws=2048)


def small_world(kinds, n, instrument, rare):
    """Few rows of two covariates, and perhaps an instrument; a rare yes is one in ten."""
    rng = np.random.default_rng(n + 3)
    a, b, z, v, e = rng.normal(size=(5, n))
    t = 0.3 + 0.6 * a - 0.4 * b + 0.8 * z + v
    t = (t > 0).astype(float) if kinds[1] == "binary" else t
    y = 0.5 * a + 0.3 * b + 0.6 * t + 0.5 * v + np.sqrt(0.75) * e
    y = (y > np.quantile(y, 0.9 if rare else 0.45)).astype(float) if kinds[0] == "binary" else 3 * y
    formulas = {"outcome": "y ~ t + a + b", "treatment": "t ~ a + b" + " + z" * instrument}
    return make_design(pd.DataFrame({"y": y, "t": t, "a": a, "b": b, "z": z}), **formulas)


def log_chance_of_both(h, k, r):
    """log P(U < h, V < k) of two standard normals of correlation r, by Owen's T."""
    across = np.sqrt(1 - r**2)
    found = 0.5 * (ndtr(h) + ndtr(k)) - owens_t(h, (k / h - r) / across) - owens_t(k, (h / k - r) / across)
    return np.log(np.maximum(found - 0.5 * (h * k < 0), 1e-14))


def small_posterior(design, rho, alpha, slope, sigma):
    """The log posterior of θ and its size, both equations and every prior written out."""
    binary_y, binary_t = (kind == "binary" for kind in design.kinds)
    y, t, dose = design.y, design.t, design.t - (0 if binary_t else design.t.mean())
    A, Z = (np.column_stack([np.ones(len(y)), design.C[:, used]]) for used in (design.in_outcome, design.in_treatment))
    A = np.column_stack([A, dose])
    k, m, across = A.shape[1], Z.shape[1], np.sqrt(1 - rho**2)
    starts = [(0.0, 1.0) if binary else (values.mean(), 2.5 * values.std())
              for binary, values in ((binary_y, y), (binary_t, t))]  # fmt: skip
    means = np.r_[starts[0][0], np.zeros(k - 1), starts[1][0], np.zeros(m - 1)]
    sds = np.r_[starts[0][1], np.full(k - 2, slope[0]), alpha, starts[1][1], np.full(m - 1, slope[1])]
    scales = [s for s, binary in ((sigma, binary_y), (t.std(), binary_t)) if not binary]

    def log_p(theta):
        b, g, logs = np.split(theta, [k, k + m], axis=1)
        s, q, mu, eta = 2 * y - 1, 2 * t - 1, b @ A.T, g @ Z.T
        value = norm.logpdf(np.c_[b, g], means, sds).sum(axis=1)
        value += np.sum(np.log(2) + norm.logpdf(np.exp(logs), 0, scales) + logs, axis=1)
        u = None if binary_y else (y - mu) / np.exp(logs[:, :1])
        v = None if binary_t else (t - eta) / np.exp(logs[:, -1:])
        if binary_y and binary_t:
            return value + log_chance_of_both(s * mu, q * eta, s * q * rho).sum(axis=1)
        if binary_y:
            each = norm.logpdf(v) - logs[:, -1:] + log_ndtr(s * (mu + rho * v) / across)
        elif binary_t:
            each = norm.logpdf(u) - logs[:, :1] + log_ndtr(q * (eta + rho * u) / across)
        else:
            each = norm.logpdf(v) + norm.logpdf(u, rho * v, across) - logs.sum(axis=1, keepdims=True)
        return value + each.sum(axis=1)

    return log_p, means, len(scales), A, k


def sampled(log_p, start, size):
    """Draws of a Student t of five degrees of freedom, matched three times to the posterior, and their log weights."""

    def one(theta):
        return -log_p(theta[None])[0]

    centre = minimize(one, start, method="BFGS").x
    S = np.linalg.inv(approx_hess(centre, one))
    for seed, count in enumerate((5_000, 10_000, size)):
        proposal = multivariate_t(centre, 0.45 * (S + S.T), df=5, seed=seed)
        draws = proposal.rvs(count)
        parts = np.array_split(draws, count // 1000)  # in a processor's cache
        log_weight = np.concatenate([log_p(part) for part in parts]) - proposal.logpdf(draws)
        weight = np.exp(log_weight - logsumexp(log_weight))
        centre = weight @ draws
        S = (draws - centre).T @ (weight[:, None] * (draws - centre))
    return draws, log_weight


def told(values, weight):
    """Mean, both ends of the 95 % interval, and sd."""
    order = np.argsort(values)
    ends = np.interp([0.025, 0.975], np.cumsum(weight[order]) - weight[order] / 2, values[order])
    mean = weight @ values
    return np.array([mean, *ends, np.sqrt(weight @ (values - mean) ** 2)])


SMALL = [
    ("continuous", "binary", 60, True, False), ("continuous", "binary", 100, False, False),
    ("binary", "continuous", 60, True, True), ("binary", "continuous", 60, False, False),
    ("binary", "continuous", 300, False, True), ("binary", "binary", 60, True, False),
    ("binary", "binary", 100, False, False), ("continuous", "continuous", 30, True, False),
]  # fmt: skip


@pytest.mark.parametrize("outcome, treatment, n, instrument, rare", SMALL)
def test_columns_of_few_rows_have_the_tails_of_the_posterior(outcome, treatment, n, instrument, rare):
    """Mean, ends, sd and evidence where |ρ| is large, beside a Student t of another make."""
    design = small_world((outcome, treatment), n, instrument, rare)
    prior = {"alpha": 1.0} | ({"sigma": 2.0} if outcome == "continuous" else {})
    rho = np.array([-0.95, -0.5, 0.0, 0.5, 0.95])
    chart = map_rho(design, rho=rho, coefficients=normal(beta_O=1.5, beta_T=0.8), **prior)
    assert dict(chart.sizes) == {"rho": 5, "draw": 512}
    assert (chart.pareto_k < (0.35 if "binary" in (outcome, treatment) else 0.7)).all()
    for k in (0, 4):
        log_p, means, logs, A, size = small_posterior(design, rho[k], 1.0, (1.5, 0.8), 2.0)
        draws, log_weight = sampled(log_p, np.r_[means, np.zeros(logs)] + 0.01, min(60_000, 6_000_000 // n))
        weight, right = np.exp(log_weight - logsumexp(log_weight)), draws[:, size - 1]
        mine, count = np.exp(chart.log_weight.values[k]), chart.alpha.values[k]
        gap = (told(count, mine) - (wanted := told(right, weight))) / wanted[3]
        assert np.abs(gap[:3]).max() < 0.1 and abs(gap[3]) < 0.03
        assert chart.log_evidence.values[k] == pytest.approx(logsumexp(log_weight) - np.log(len(right)), abs=0.03)
        if (outcome, treatment) == ("binary", "binary"):
            b = draws[:, :size] * np.r_[np.ones(size - 1), 0.0]
            points = 100 * (ndtr(b @ A.T + right[:, None]) - ndtr(b @ A.T)).mean(axis=1)
            gap = (told(chart.effect.values[k], mine) - (wanted := told(points, weight))) / wanted[3]
            assert np.abs(gap[:3]).max() < 0.1 and abs(gap[3]) < 0.03
            both = np.cov(points, right, aweights=weight)
            found = np.corrcoef(chart.effect.values[k], count)[0, 1]
            assert found == pytest.approx(both[0, 1] / np.sqrt(both[0, 0] * both[1, 1]), abs=0.05)
