"""The map against exact integrals, against `fit`, and against draws of another make."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import xarray as xr
from conftest import INSTRUMENT
from oracles import bayesian_regression, outcome_alone, worth_a_row
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from helpers import fit, joint_model, make_design, map_rho, normal, read_map, simulate_aquarium, weigh


@pytest.mark.parametrize("given", [{}, {"alpha": 0.2, "sigma": 0.6}])
@pytest.mark.parametrize("kind", ["continuous", "binary"])
def test_a_column_is_the_exact_integral(tanks, kind, given):
    """At ρ = 0: a regression, summed over its σ, beside another, or a share whose index is worth one row."""
    formulas = INSTRUMENT if kind == "continuous" else {"outcome": "Y ~ T + X0", "treatment": "T ~ 1"}
    design = make_design(tanks[kind].data, **formulas)
    slopes = {"coefficients": normal(beta_O=0.5, beta_T=0.4)} if given else {}
    centre, spread, evidence = outcome_alone(design, **given, **({"beta": 0.5} if given else {}))
    t = design.t
    if kind == "continuous":
        widths = worth_a_row(design.C, t)
        if given:
            widths = np.array([2.5 * t.std(), 0.4, 0.4, 0.4])
        Z = np.column_stack([np.ones(design.n), design.C])
        evidence += bayesian_regression(t, Z, np.r_[t.mean(), 0, 0, 0], widths, t.std())[2]
    else:
        index = np.linspace(-3, 3, 2001)
        log_p = (
            t.sum() * norm.logcdf(index)
            + np.sum(1 - t) * norm.logsf(index)
            + norm.logpdf(index, 0, 1 if given else worth_a_row(np.empty((len(t), 0)), t, "binary")[0, 0] ** 0.5)
        )
        evidence += logsumexp(log_p) + np.log(index[1] - index[0])
    column = map_rho(design, draws=1024, **given, **slopes).sel(rho=0, method="nearest")
    assert float(column.log_evidence) == pytest.approx(evidence, abs=0.01)
    weight = np.exp(column.log_weight)
    found = float(weight @ column.alpha)
    assert found == pytest.approx(centre, abs=0.02 * spread)
    assert float(weight @ (column.alpha - found) ** 2) ** 0.5 == pytest.approx(spread, rel=0.02)


CELLS = {(0, 0): 50, (0, 1): 30, (1, 0): 25, (1, 1): 45}  # how many have (y, t)


def four_cells(rho, alpha_sd):
    """Log evidence, mean of α and of the effect in points at one ρ, where a table of two by two is all the data.

    A sum over the index of a yes without the treatment, of one with it, and of the treatment itself. Beforehand the
    last is worth one row; so are the first and α, by which the second differs.
    """
    y, t = np.array([cell for cell, count in CELLS.items() for _ in range(count)], dtype=float).T
    of_outcome = multivariate_normal(cov=worth_a_row(t[:, None], y, "binary", alpha_sd))
    s_t = worth_a_row(np.empty((len(t), 0)), t, "binary")[0, 0] ** 0.5
    grid = np.linspace(-2.4, 2.4, 61)
    both = multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf(np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1))
    yes, treated = norm.cdf(grid)[:, None], norm.cdf(grid)
    chance = {(1, 1): both, (1, 0): yes - both, (0, 1): treated - both, (0, 0): 1 - yes - treated + both}
    without, with_it = (sum(CELLS[y, t] * np.log(chance[y, t]) for y in (0, 1)) for t in (0, 1))
    alpha = grid - grid[:, None]
    log_joint = without[:, None] + with_it + norm.logpdf(grid, scale=s_t)
    log_joint += of_outcome.logpdf(np.stack(np.broadcast_arrays(grid[:, None], alpha), axis=-1))[..., None]
    total = logsumexp(log_joint)
    share = np.exp(log_joint - total).sum(axis=2)
    evidence = total + 3 * np.log(grid[1] - grid[0])
    return evidence, (share * alpha).sum(), 100 * (share * (treated - yes)).sum()


@pytest.mark.parametrize("given", [{}, {"alpha": 0.4}])
def test_a_column_of_yes_and_no_is_the_exact_integral(given):
    """Evidence and effect at every ρ of a map that is no regression, in the wide prior and in a tight one."""
    data = pd.DataFrame([cell for cell, count in CELLS.items() for _ in range(count)], columns=["Y", "T"])
    chart = map_rho(make_design(data, outcome="Y ~ T", treatment="T ~ 1"), rho=np.tanh([-1, -0.5, 0, 0.5, 1]),
                    draws=1024, **given)  # fmt: skip
    expected = np.array([four_cells(rho, given.get("alpha")) for rho in chart.rho.values])
    weight = np.exp(chart.log_weight)
    found = chart.log_evidence, (weight * chart.alpha).sum("draw"), (weight * chart.effect).sum("draw")
    for values, wanted, within in zip(found, expected.T, (0.002, 0.002, 0.05)):
        np.testing.assert_allclose(values, wanted, atol=within)
    assert ((chart.ess > 2048) & (chart.ess <= 4096)).all()  # of so many proposals, none of which counts twice


def test_fit_and_the_map_mean_the_same_narrow_prior(designs):
    design, prior = designs["continuous", "instrument"], norm(0.2, 1e-3)
    fitted = fit(joint_model(design, rho=prior), draws=500)["posterior"]["rho"]
    assert float(fitted.std()) == pytest.approx(1e-3, rel=0.1)
    assert float(weigh(map_rho(design), prior).rho.std()) == pytest.approx(1e-3, rel=0.05)


def test_a_seed_repeats_the_map(designs):
    design, rho = designs["continuous", "plain"], [-0.5, -0.2, 0.0, 0.2, 0.5]
    first, again, other = (map_rho(design, rho=rho, draws=128, seed=seed) for seed in (3, 3, 4))
    xr.testing.assert_equal(first, again)
    assert (first.alpha != other.alpha).all()


def test_many_dummies_leave_the_map_exact():
    """40 and 120 groups of four rows: at ρ = 0, and under wide priors, the interval is least squares'."""
    rng = np.random.default_rng(5)
    for groups in (40, 120):
        site = np.repeat(np.arange(groups), 4)
        x, level = rng.normal(size=4 * groups), rng.normal(size=groups)[site]
        t = x + level + rng.normal(size=4 * groups)
        data = pd.DataFrame({"y": t + x - level + rng.normal(size=4 * groups), "t": t, "x": x, "site": site})
        design = make_design(data, outcome="y ~ t + x + C(site)", treatment="t ~ x + C(site)")
        row = read_map(map_rho(design, rho=[-0.5, -0.2, 0.0, 0.2, 0.5], alpha=100, coefficients=normal(30))).loc[0.0]
        interval = sm.OLS.from_formula("y ~ t + x + C(site)", data).fit().conf_int().loc["t"].to_numpy()
        np.testing.assert_allclose(row[["low", "high"]].to_numpy(), interval, atol=0.04 * np.ptp(interval))


def test_a_map_that_is_not_to_be_relied_on_says_so():
    tank = simulate_aquarium(60, treatment="binary", noise=20, seed=4)
    covariates = " + ".join(name for name in tank.data if name.startswith("X"))
    design = make_design(tank.data, outcome=f"Y ~ T + {covariates}", treatment="T ~ X0 + X1 + X2")
    said = r"Pareto k̂ exceeds 0.7 in \d+ of 5 columns, rho -?0.*: their.*Accepted are more draws"
    with pytest.warns(UserWarning, match=said):
        map_rho(design, rho=[-0.5, -0.2, 0.0, 0.2, 0.5], draws=128)
