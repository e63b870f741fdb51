"""Factors of very many levels: swept out, and every number is that of the columns as they are."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from which_world import (
    bart,
    benchmark_rho,
    horseshoe,
    influence,
    joint_model,
    make_design,
    map_rho,
    maximum_likelihood,
    moments,
    ols,
    read_map,
    robustness_value,
    spike_and_slab,
    tipping_point,
)
from which_world.classical import effect_line
from which_world.clusters import grown_by_spread
from which_world.report.examine import first_stage
from which_world.report.instruments import instrument_table

LEVELS, ROWS = 130, 900
FORMULAS = {"outcome": "Y ~ T + X + Z + shop + C(week)", "treatment": "T ~ X + Z + shop + C(week)"}


def shops(seed=1, *, levels=LEVELS, rows=ROWS):
    """Rows of shops in weeks, shops of uneven size, with a constant of their own in either equation."""
    rng = np.random.default_rng(seed)
    place = np.concatenate([np.repeat(np.arange(levels), 2), rng.integers(0, levels, rows - 2 * levels) ** 2 // levels])
    table = pd.DataFrame({"X": rng.normal(size=rows), "Z": rng.integers(0, 2, rows), "week": np.arange(rows) % 5})
    table["shop"] = np.char.add("s", place.astype(str))
    own, V = rng.normal(size=(2, levels)), rng.normal(size=rows)
    table["T"] = 0.5 * table.X + table.Z + own[0][place] + V
    table["Y"] = 2 * table["T"] - table.X + own[1][place] + 0.1 * table.week + 0.4 * V + rng.normal(size=rows)
    return table


def dummies(table):
    """The explicit columns of the outcome's equation, the treatment last."""
    factors = pd.get_dummies(table[["shop", "week"]].astype(str), drop_first=True)
    return sm.add_constant(pd.concat([table[["X", "Z"]], factors, table["T"]], axis=1).astype(float))


@pytest.fixture(scope="module")
def table():
    return shops()


@pytest.fixture(scope="module")
def design(table):
    return make_design(table, **FORMULAS)


@pytest.fixture(scope="module")
def explicit(table):
    return sm.OLS(table["Y"], dummies(table)).fit()


def test_least_squares_is_that_of_explicit_columns(design, explicit):
    found = ols(design)
    assert found.params["alpha"] == pytest.approx(explicit.params["T"], rel=1e-9)
    assert found.bse["alpha"] == pytest.approx(explicit.bse["T"], rel=1e-9)
    for what in ("nobs", "df_resid", "df_model", "rsquared", "llf", "fvalue", "ssr"):
        assert getattr(found, what) == pytest.approx(getattr(explicit, what), rel=1e-8)
    assert found.HC1_se["alpha"] == pytest.approx(explicit.HC1_se["T"], rel=1e-8)
    np.testing.assert_allclose(found.resid, explicit.resid, atol=1e-8)
    assert maximum_likelihood(design, rho=0.0).alpha == pytest.approx(explicit.params["T"], rel=1e-7)


def test_a_map_is_that_of_explicit_columns_under_the_priors_of_one_row(table, design, explicit):
    """At ρ = 0 the posterior of α is a normal regression's, σ integrated on a grid of its own."""
    A, y = dummies(table).to_numpy(), table["Y"].to_numpy()
    n, sd = len(y), table["Y"].std(ddof=0)
    centred = A[:, 1:] - A[:, 1:].mean(axis=0)
    precision = centred.T @ centred / (n * sd**2)
    log_sigma = np.linspace(-0.35, 0.35, 141) + 0.5 * np.log(explicit.scale)
    log_weight, means = [], []
    for each in log_sigma:
        s = np.exp(each)
        Q = centred.T @ centred / s**2 + precision
        b = centred.T @ (y - y.mean()) / s**2
        beta = np.linalg.solve(Q, b)
        rest = np.sum((y - y.mean()) ** 2) / s**2 - b @ beta
        log_weight.append(
            -(n - 1) * each - 0.5 * rest - 0.5 * np.linalg.slogdet(Q)[1] + stats.halfnorm.logpdf(s, scale=sd) + each
        )
        means.append(beta[-1])
    weight = np.exp(np.array(log_weight) - np.max(log_weight))
    chart = map_rho(design, rho=[-0.6, -0.3, 0.0, 0.3, 0.6], draws=4000)
    read = read_map(chart)
    assert read.loc[0.0, "mean"] == pytest.approx(weight @ means / weight.sum(), abs=0.02 * explicit.bse["T"])
    column = chart.sel(rho=0.0)
    weight = np.exp(column["log_weight"].to_numpy())
    spread = np.sqrt(weight @ (column["alpha"].to_numpy() - read.loc[0.0, "mean"]) ** 2 / weight.sum())
    assert spread == pytest.approx(explicit.bse["T"], rel=0.05)
    assert chart.attrs["pulled"] == pytest.approx(0, abs=0.05)
    assert tipping_point(chart).notna().any()


def test_what_is_swept_out_changes_no_number(monkeypatch, table, design):
    swept = map_rho(design, rho=[-0.6, -0.3, 0.0, 0.3, 0.6], draws=200)
    monkeypatch.setattr(moments, "MANY_COLUMNS", 10**9)
    plain = map_rho(make_design(table, **FORMULAS), rho=[-0.6, -0.3, 0.0, 0.3, 0.6], draws=200)
    np.testing.assert_allclose(swept["log_evidence"], plain["log_evidence"], rtol=1e-9)
    np.testing.assert_allclose(read_map(swept)["mean"], read_map(plain)["mean"], rtol=1e-7)
    plain = influence(make_design(table, **FORMULAS))
    np.testing.assert_array_equal(influence(design)["rows"], plain["rows"])


@pytest.fixture(scope="module")
def piped(table):
    """The same rows with an instrument that moves the treatment, and all that follows from there."""
    W = np.random.default_rng(8).normal(size=len(table))
    moved = table.assign(W=W, T=table["T"] + 0.7 * W, Y=table["Y"] + 1.4 * W)
    return moved, make_design(moved, **FORMULAS | {"treatment": FORMULAS["treatment"] + " + W"})


def test_an_instrument_says_what_it_says_of_explicit_columns(piped):
    table, design = piped
    X = dummies(table).to_numpy()
    others, t, y, W = X[:, :-1], X[:, -1], table["Y"].to_numpy(), table["W"].to_numpy()
    stage = sm.OLS(t, np.column_stack([others, W])).fit()
    assert first_stage(design) == pytest.approx(stage.tvalues[-1] ** 2, rel=1e-8)
    second = sm.OLS(y, np.column_stack([others, stage.fittedvalues])).fit()
    residuals = y - X @ second.params
    sigma = np.sqrt(residuals @ residuals / second.df_resid)
    se = second.bse[-1] * sigma / np.sqrt(second.scale)
    said = instrument_table(design, pd.Series({"alpha": 0.0, "low": 0.0, "high": 0.0, "rho": 0.0}))
    row = said.loc["two-stage least squares"]
    assert row["effect"] == pytest.approx(second.params[-1], rel=1e-8)
    assert row["high"] - row["low"] == pytest.approx(2 * stats.norm.ppf(0.975) * se, rel=1e-8)
    # one instrument: the likelihood's estimate is that of two stages
    assert said.loc["maximum likelihood", "effect"] == pytest.approx(second.params[-1], rel=1e-6)
    likelihood = maximum_likelihood(design)
    assert likelihood.alpha == pytest.approx(second.params[-1], rel=1e-6)
    assert likelihood.estimates["beta_T[W]"] == pytest.approx(stage.params[-1] * table["W"].std(ddof=0), rel=1e-6)
    # both covariances of errors are those of residuals, and α's error that of two stages but for degrees of freedom
    assert likelihood.sigma_U == pytest.approx(np.sqrt(np.mean(residuals**2)), rel=1e-6)
    assert likelihood.rho == pytest.approx(np.corrcoef(residuals, stage.resid)[0, 1], rel=1e-5)
    assert likelihood.effect_se == pytest.approx(se * np.sqrt(second.df_resid / len(y)), rel=1e-3)


def test_a_report_s_numbers_are_those_of_explicit_columns(table, design, explicit):
    t, df = explicit.tvalues["T"], explicit.df_resid
    strength = t**2 / df  # Cinelli & Hazlett 2020, equation 19 with f = |t| / √df
    value = 0.5 * (np.sqrt(strength**2 + 4 * strength) - strength)
    assert robustness_value(design) == pytest.approx(value, rel=1e-8)
    found = effect_line(design)
    assert found.bse["alpha"] == pytest.approx(explicit.bse["T"], rel=1e-8)
    assert found.conf_int().loc["alpha"].to_numpy() == pytest.approx(explicit.conf_int().loc["T"], rel=1e-8)
    assert grown_by_spread(design).factor == pytest.approx(explicit.HC3_se["T"] / explicit.bse["T"], rel=1e-8)
    benchmarks, columns = benchmark_rho(design), dummies(table)
    for name, start in {"X": "X", "C(week)": "week_", "shop": "shop_"}.items():
        left = sm.OLS(table["Y"], columns.loc[:, ~columns.columns.str.startswith(start)]).fit()
        without = benchmarks.loc[name]
        assert without["alpha_without"] == pytest.approx(left.params["T"], rel=1e-6)
        rest = columns.drop(columns="T").loc[:, ~columns.columns[:-1].str.startswith(start)]
        sd_T = np.sqrt(sm.OLS(table["T"], rest).fit().ssr)
        odds = without["change"] / np.sqrt(left.ssr) * sd_T  # ρ / √(1 - ρ²)
        assert without["rho"] == pytest.approx(odds / np.hypot(1, odds), rel=1e-5)


def test_few_rows_that_decide_are_those_of_explicit_columns(table):
    even = table.assign(Y=table["Y"] - 2 * table["T"])
    far = even.copy()
    far.loc[5, ["T", "Y"]] += [9.0, 30.0]
    for moved, several in ((even, True), (far, False)):
        row = influence(make_design(moved, **FORMULAS)).loc["move it by a standard error"]
        stay = moved.drop(index=list(row["which"]))
        again, whole = (sm.OLS(rows["Y"], dummies(rows)).fit() for rows in (stay, moved))
        assert row["effect"] == pytest.approx(whole.params["T"], rel=1e-8)
        assert row["effect_without"] == pytest.approx(again.params["T"], rel=1e-7)
        assert (row["rows"] > 1) == several
    # of one row the closed form is exact
    assert row["approximate"] == pytest.approx(row["effect_without"], rel=1e-7)
    assert abs(row["effect_without"] - row["effect"]) >= whole.bse["T"]


def arrays():
    rng = np.random.default_rng(0)
    level = rng.integers(0, 150, 1000)
    one, numbers = np.eye(150)[level], rng.normal(size=(1000, 4))
    yield "a factor", np.hstack([one[:, 1:], numbers]), True
    yield "two factors", np.hstack([numbers, one[:, 1:], np.eye(12)[rng.integers(0, 12, 1000)]]), True
    yield "scaled and shifted", (np.hstack([one[:, 1:], numbers]) - 0.3) * rng.uniform(1, 9, 153), True
    yield "a factor twice", np.hstack([one, one[:, :70], numbers]), True
    yield "a constant column", np.hstack([one, np.ones((1000, 3))]), True
    yield "numbers", rng.normal(size=(1000, 120)), False
    yield "dummies that overlap", rng.integers(0, 2, (1000, 120)).astype(float), False
    yield "few columns", np.eye(20)[rng.integers(0, 20, 1000)], False
    yield "a level in each row", np.hstack([np.eye(150), rng.normal(size=(150, 2))]), False


@pytest.mark.parametrize("rows, fewer", [each[1:] for each in arrays()], ids=[each[0] for each in arrays()])
def test_few_rows_have_the_products_of_all(rows, fewer):
    few = moments.as_few(rows)
    np.testing.assert_allclose(few.T @ few, rows.T @ rows, rtol=1e-10, atol=1e-9)
    assert (len(few) < len(rows)) is fewer


def test_what_cannot_be_told_apart_is_still_named():
    data = shops(3).assign(size=lambda d: d["shop"].str[1:].astype(int) * 1.0)
    with pytest.raises(ValueError, match="is collinear with"):
        make_design(data, outcome="Y ~ T + X + size + shop", treatment="T ~ X")


@pytest.mark.parametrize("prior", ["sieve", "funnel", "forest"])
def test_priors_that_visit_each_covariate_say_how_many_they_take(prior):
    rng = np.random.default_rng(4)
    rows = 3300
    data = pd.DataFrame(rng.normal(size=(rows, 2)), columns=["Y", "T"]).assign(
        shop=lambda d: "s" + (d.index % 1100).astype(str)
    )
    design = make_design(data, outcome="Y ~ T + shop", treatment="T ~ shop")
    options = {
        "sieve": {"coefficients": spike_and_slab()},
        "funnel": {"coefficients": horseshoe()},
        "forest": {"treatment": bart()},
    }[prior]
    with pytest.raises(ValueError, match=r"over 1,099 covariates .* accepted are up to 1,000: .*map_rho"):
        joint_model(design, **options)
