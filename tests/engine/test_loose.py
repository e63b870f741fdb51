"""Rows whose index is hardly known: SciPy's distributions, the same data without them, and a search from elsewhere."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import simpson
from scipy.stats import expon, halfnorm, norm

from helpers import make_design, map_rho, read_map
from which_world.engine import weighing
from which_world.engine.laplace import columns, log_posterior, posterior_derivatives
from which_world.engine.likelihoods import rows_of
from which_world.engine.loose import quantiles
from which_world.priors import scales

RHO = np.tanh(np.linspace(-2, 2, 9))


def lake(n, none, base="usual", seed=0):
    """A tank with a current of 0.4 and some levels, given their sizes, in which nobody says yes."""
    rng = np.random.default_rng(seed)
    x, v, e = rng.normal(size=(3, n))
    g = rng.choice([base, "b", "c"], n).astype(object)
    t = (0.5 * x + v > 0).astype(int)
    y = (0.5 * t + 0.4 * x - 0.6 + 0.4 * v + np.sqrt(1 - 0.4**2) * e > 0).astype(int)
    start = 0
    for name, size in none.items():
        g[start : start + size], y[start : start + size] = name, 0
        start += size
    return pd.DataFrame({"x": x, "g": g, "t": t, "y": y}), start


def designed(data):
    return make_design(data, outcome="y ~ t + x + C(g)", treatment="t ~ x + C(g)")


@pytest.mark.parametrize(
    "law", [norm(), halfnorm(), halfnorm(scale=3e4), expon(scale=40)], ids=["normal", "half", "far", "tail"]
)
def test_quantiles_are_those_of_the_law(law):
    """Mirrored: of those with one side nothing lies above zero."""
    z = norm.ppf((np.arange(200) + 0.5) / 200)
    place, log_density = quantiles(lambda s: law.logpdf(-s), z)
    np.testing.assert_allclose(place, -law.isf(norm.cdf(z)), rtol=0.01, atol=0.01 * law.std())
    np.testing.assert_allclose(log_density, law.logpdf(-place), atol=0.1)  # it has steps


@pytest.mark.parametrize(
    "none, base",
    [({"rare": 90}, "a"), ({"rare": 90, "rarer": 60, "other": 120}, "a"), ({"a": 90}, "usual")],
    ids=["one", "three", "the level that others are measured from"],
)
def test_levels_in_which_nobody_says_yes_tell_nothing_of_the_effect(none, base, monkeypatch):
    """So the map is that of all others, and few draws are weighed for all rows."""
    data, start = lake(20_000, none, base)
    weighed = []

    def watched(rows, prior, theta, a):
        weighed.append(len(theta))
        return log_posterior(rows, prior, theta, a)

    monkeypatch.setattr(weighing, "log_posterior", watched)
    with_them, without = map_rho(designed(data), rho=RHO), map_rho(designed(data[start:]), rho=RHO)
    assert sum(weighed) <= 2 * 128 * len(RHO)
    assert with_them.ess.min() > 400 and with_them.pareto_k.max() < 0.7
    one, other = read_map(with_them), read_map(without)
    sd = without.effect.std("draw").values
    share = 1 - start / len(data)  # of all rows, which the effect is an average of
    assert np.abs(one["mean"] / share - other["mean"]).max() < 0.04 * sd.min()


@pytest.mark.parametrize("n, level", [(1_600, 12), (17_000, 60)], ids=["few", "many"])
def test_the_evidence_is_the_integral_along_a_level_that_never_says_yes(n, level):
    """All others at their best, and Gaussian about it, at each of its values from here to where no prior reaches."""
    design = designed(lake(n, {"rare": level})[0])
    rows, prior = rows_of(design), scales(design)
    found, j = columns(rows, prior, np.zeros(1)), rows.names_O.index("C(g)[T.rare]")
    covariance, others = found.root[0] @ found.root[0].T, np.delete(np.arange(rows.size), j)
    path, beside = covariance[j] / covariance[j, j], np.ix_(others, others)
    values = found.mode[0, j] - np.r_[np.linspace(-0.5, 0.5, 60), 0.5 + np.geomspace(0.02, 3e3, 120)]
    theta, height = found.mode[0], []
    for value in values:
        theta, gain = theta + path * (value - theta[j]), 1.0
        while gain > 1e-10:
            ((at, gradient, H),) = posterior_derivatives(rows, prior, [(theta, 0.0)])
            step = np.linalg.solve(-H[beside], gradient[others])
            theta[others] += step
            gain = gradient[others] @ step
        height.append(at + 0.5 * gain + 0.5 * len(others) * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(-H[beside])[1])
    evidence = np.log(simpson(np.exp(height - max(height))[::-1], x=values[::-1])) + max(height)
    chart = map_rho(design, rho=np.tanh([-0.2, -0.1, 0, 0.1, 0.2])).sel(rho=0.0)
    assert chart.log_evidence == pytest.approx(evidence, abs=0.02)


def test_a_search_from_far_out_finds_no_worse_place():
    """Where nobody says yes the prior's step is hundreds of units long, and promises next to nothing."""
    design, a = designed(lake(165_000, {"rare": 1500})[0]), np.zeros(1)
    rows, prior = rows_of(design), scales(design)
    near = columns(rows, prior, a).mode
    far = near.copy()
    far[0, rows.names_O.index("C(g)[T.rare]")] -= 1.0
    found = columns(rows, prior, a, near=far[0]).mode
    height = log_posterior(rows, prior, np.vstack([near, far, found]), np.zeros(3))
    assert height[2] == pytest.approx(height[0], abs=1e-6) and height[2] > height[1]
