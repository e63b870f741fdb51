"""Formulas with ``0 +``: as statsmodels reads them, whether a factor, shares, ones or nothing makes the constant."""

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from oracles import log_joint_normal, means_and_sds, told_by_each_row
from scipy.optimize import minimize

from helpers import fit, joint_model, make_design, map_rho, maximum_likelihood, ols, potential_outcomes, read_map
from which_world.classical import effect_at_rho
from which_world.engine.laplace import columns
from which_world.engine.likelihoods import rows_of
from which_world.priors import scales

FEW = np.tanh(np.linspace(-0.8, 0.8, 5))


def farms(n=400, seed=3):
    """Three shares of land, soils, rain far from zero, a grant z; fertiliser t, a tractor d; yield and a good year."""
    rng = np.random.default_rng(seed)
    V, e, z = rng.normal(size=(3, n))
    shares, soil = rng.dirichlet([2, 3, 4], n), rng.choice(["clay", "loam", "sand", "peat"], n)
    rain, wet = rng.normal(60, 12, n), rng.normal(size=n) > 0.3
    line = 0.04 * (rain - 55) + 2 * shares[:, 0] + 0.6 * (soil == "sand") - 0.8 + 0.9 * z + V
    out = 1.5 * shares[:, 1] + 0.7 * (soil == "peat") - 0.02 * (rain - 60) + 0.3 * wet + 0.5 * V + e
    data = pd.DataFrame(shares, columns=["wood", "field", "grass"]).assign(
        t=line + 3,
        d=(line > 0).astype(int),
        z=z,
        soil=soil,
        side=rng.choice(["north", "south"], n),
        rain=rain,
        wet=wet,
        one=1.0,
    )
    return data.assign(y=20 + 1.2 * data.t + 2 * out, won=(0.4 * line + out > 0.4).astype(int))


FARMS = farms()
# covariates of either equation, and whether they make a constant
KINDS = {
    "0 + rain + C(soil)": True,
    "C(soil) + rain - 1": True,
    "-1 + rain:C(soil) + C(soil)": True,
    "0 + C(soil):C(side) + rain": True,
    "0 + wood + field + grass": True,
    "0 + rain + I(100 * wood) + I(100 * field) + I(100 * grass)": True,
    "0 + rain + wood + I(field + grass)": True,
    "0 + one + rain": True,
    "0 + I(1 + 0 * rain) + rain": True,
    "0 + wet + rain": True,
    "0 + bs(rain, df=5, include_intercept=True)": True,
    "0 + rain": False,
    "0 + rain + wood": False,
    "0 + rain + wood + field": False,
    "0 + rain:C(soil)": False,
    "0 + rain + rain:C(soil)": False,
    "0 + poly(rain, 2)": False,
}
SAME = {
    "0 + rain + C(soil)": "rain + C(soil)",
    "0 + wood + field + grass": "wood + field",
    "0 + one + rain": "rain",
    "0 + wet + rain": "wet + rain",
    "0 + rain + wood + I(field + grass)": "rain + wood",
}


def of(covariates, response, treatment, data=FARMS, instrument=" + z", **options):
    outcome = f"{response} ~ {covariates} + {treatment}"
    return make_design(data, outcome=outcome, treatment=f"{treatment} ~ {covariates}{instrument}", **options)


BY_STATSMODELS = [covariates for covariates in KINDS if "poly" not in covariates]


@pytest.mark.parametrize("covariates", KINDS)
def test_columns_that_add_up_to_a_constant_are_an_intercept(covariates):
    design = of(covariates, "y", "t")
    assert (design.intercept_O, design.intercept_T) == (KINDS[covariates],) * 2
    assert np.allclose(design.C.mean(axis=0), 0) == KINDS[covariates] or "poly" in covariates
    np.testing.assert_allclose(design.C.std(axis=0), 1)


@pytest.mark.parametrize("covariates", BY_STATSMODELS)
def test_least_squares_and_the_map_are_those_of_statsmodels(covariates):
    design, right = of(covariates, "y", "t"), smf.ols(f"y ~ {covariates} + t", FARMS).fit()
    ours = ols(design)
    assert ours.params["alpha"] == pytest.approx(right.params["t"], rel=1e-7)
    assert ours.bse["alpha"] == pytest.approx(right.bse["t"], rel=1e-7)
    assert ours.ssr == pytest.approx(right.ssr, rel=1e-7)
    chart = map_rho(design, rho=FEW)
    mean, sd = means_and_sds(chart)[2]
    assert abs(mean - right.params["t"]) < 0.25 * right.bse["t"]
    assert sd == pytest.approx(right.bse["t"], rel=0.05)
    assert abs(chart.attrs["pulled"]) < 0.25


@pytest.mark.parametrize("treatment", ["t", "d"])
@pytest.mark.parametrize("response", ["y", "won"])
@pytest.mark.parametrize("covariates", BY_STATSMODELS[::2])
def test_maximum_likelihood_without_correlation_is_two_equations_of_statsmodels(covariates, response, treatment):
    design = of(covariates, response, treatment)
    model = {"y": smf.ols, "t": smf.ols, "won": smf.probit, "d": smf.probit}
    quiet = {"y": {}, "t": {}, "won": {"disp": 0}, "d": {"disp": 0}}
    one = model[response](f"{response} ~ {covariates} + {treatment}", FARMS).fit(**quiet[response])
    two = model[treatment](f"{treatment} ~ {covariates} + z", FARMS).fit(**quiet[treatment])
    ours = maximum_likelihood(design, rho=0.0)
    assert ours.alpha == pytest.approx(one.params[treatment], rel=1e-5)
    assert ours.log_likelihood == pytest.approx(one.llf + two.llf, rel=1e-8)
    z = ours.estimates["beta_T[z]"] / design.scales.loc["z", "sd"]
    assert z == pytest.approx(two.params["z"], rel=1e-5)
    # priors worth a row leave it where it is
    own = rows_of(design)
    mode = own.split(columns(own, scales(design), np.zeros(1)).mode[0])[0][-1]
    assert abs(mode - one.params[treatment]) < 0.25 * one.bse[treatment]


@pytest.mark.parametrize(
    ("outcome", "treatment"),
    [
        ("0 + rain", "0 + rain"),
        ("rain", "0 + rain"),
        ("0 + rain", "rain"),
        ("0 + rain + C(soil)", "0 + rain"),
        ("0 + wood + field + grass", "0 + wood + field"),
        ("0", "0"),
        ("0", "1"),
        ("1", "0"),
    ],
)
def test_maximum_likelihood_is_that_of_the_two_lines_written_down(outcome, treatment):
    """The joint normal density of either response's raw columns, climbed by SciPy."""
    design = make_design(FARMS, outcome=f"y ~ {outcome} + t", treatment=f"t ~ {treatment} + z")
    ours = maximum_likelihood(design)
    A = smf.ols(f"y ~ {outcome}", FARMS).exog if outcome != "0" else np.zeros((len(FARMS), 0))
    Z = smf.ols(f"t ~ {treatment} + z", FARMS).exog
    A, Z = (M / np.abs(M).max(axis=0) for M in (A, Z))
    y, t, k = FARMS.y.to_numpy(), FARMS.t.to_numpy(), A.shape[1]

    def cost(p):
        mean, line, (alpha, a, log_U, log_V) = A @ p[:k], Z @ p[k:-4], p[-4:]
        return -log_joint_normal(y, t, mean, line, alpha, np.tanh(a), np.exp(log_U), np.exp(log_V)) / len(y)

    line = np.linalg.lstsq(Z, t)[0]
    first = np.linalg.lstsq(np.column_stack([A, Z @ line]), y)[0]
    left = y - np.column_stack([A, t]) @ first
    spreads = np.log([left.std(), (t - Z @ line).std()])
    found = minimize(cost, np.r_[first[:-1], line, first[-1], 0, spreads], method="BFGS")
    for _ in range(4):  # its guesses of the curvature are poor
        found = minimize(cost, found.x, method="Powell", options={"xtol": 1e-10, "ftol": 1e-14})
        found = minimize(cost, found.x, method="BFGS", options={"gtol": 1e-9})
    assert ours.log_likelihood == pytest.approx(-found.fun * len(y), abs=1e-3)
    error = ours.standard_errors
    assert ours.alpha == pytest.approx(found.x[-4], abs=0.02 * error["alpha"])
    assert ours.rho == pytest.approx(np.tanh(found.x[-3]), abs=0.02 * error["rho"])


@pytest.mark.parametrize("response", ["y", "won"])
@pytest.mark.parametrize("treatment", ["t", "d"])
@pytest.mark.parametrize("covariates", SAME)
def test_a_constant_by_another_name_is_the_same_model(covariates, response, treatment):
    with_zero, plain = (
        of(covariates, response, treatment),
        of(SAME[covariates], response, treatment),
    )
    assert len(with_zero.covariates) == len(plain.covariates)
    ours, theirs = (means_and_sds(map_rho(each, rho=FEW)) for each in (with_zero, plain))
    assert (np.abs(ours - theirs)[:, 0] < 0.1 * theirs[:, 1]).all()
    np.testing.assert_allclose(ours[:, 1], theirs[:, 1], rtol=0.1)
    assert effect_at_rho(with_zero, 0.3, scales(with_zero)) == pytest.approx(
        effect_at_rho(plain, 0.3, scales(plain)), rel=1e-5
    )


def test_what_is_left_out_is_told_once_and_by_name():
    (said,) = of("0 + rain + wood + field + grass", "y", "t").notes
    assert said == "wood, field, grass add up to a constant, so there is an intercept and grass is left out."
    assert of("0 + one + rain", "y", "t").notes == of("0 + rain + C(soil)", "y", "t").notes == ()


def test_either_equation_may_leave_out_another_share():
    design = make_design(
        FARMS,
        outcome="y ~ 0 + t + wood + field + grass",
        treatment="t ~ 0 + grass + field + wood + z",
    )
    right = smf.ols("y ~ t + wood + field", FARMS).fit()
    assert ols(design).params["alpha"] == pytest.approx(right.params["t"]) and design.instruments == ("z",)


@pytest.mark.parametrize("order", ["t * wood + field + grass", "field + grass + t * wood", "grass + t * wood + field"])
def test_a_share_that_changes_the_effect_is_not_the_one_left_out(order):
    design = make_design(FARMS, outcome=f"y ~ 0 + {order}", treatment="t ~ wood + field + z")
    assert design.moderators == ("wood",)
    right = smf.ols("y ~ t + wood + field + t:wood", FARMS).fit()
    assert ols(design).ssr == pytest.approx(right.ssr)
    assert ols(design).params["delta[wood]"] / FARMS.wood.std(ddof=0) == pytest.approx(right.params["t:wood"])


def test_where_all_shares_change_the_effect_the_last_is_the_average():
    design = make_design(FARMS, outcome="y ~ 0 + t * (wood + field + grass)", treatment="t ~ wood + field + z")
    right = smf.ols("y ~ t * (wood + field)", FARMS).fit()
    assert design.moderators == ("wood", "field") and ols(design).ssr == pytest.approx(right.ssr)


def test_a_column_far_from_zero_is_no_constant():
    data = FARMS.assign(time=1e7 + FARMS.rain)
    design = of("0 + time", "y", "t", data)
    assert not design.intercept_O and design.notes == () and design.covariates == ("time", "z")
    right = np.linalg.lstsq(data[["time", "t"]].to_numpy() / [1e7, 1], data.y)[0]
    assert ols(design).params["alpha"] == pytest.approx(right[-1], rel=1e-6)


@pytest.mark.parametrize(
    ("outcome", "treatment", "flags"),
    [
        ("y ~ 0 + t", "t ~ 0 + z", (False, False)),
        ("y ~ t - 1", "t ~ z", (False, True)),
        ("y ~ t", "t ~ 0", (True, False)),
        ("y ~ 0 + t", "t ~ 0", (False, False)),
        ("y ~ 0 + d", "d ~ 0", (False, False)),
        ("won ~ t", "t ~ -1", (True, False)),
        ("won ~ 0 + d", "d ~ 0", (False, False)),
        ("won ~ d", "d ~ 0 + z", (True, False)),
    ],
)
def test_a_treatment_alone(outcome, treatment, flags):
    design = make_design(FARMS, outcome=outcome, treatment=treatment)
    assert (design.intercept_O, design.intercept_T) == flags
    name, response = design.treatment, design.outcome
    right = (smf.ols if response == "y" else smf.probit)(outcome, FARMS).fit(**({} if response == "y" else {"disp": 0}))
    assert maximum_likelihood(design, rho=0.0).alpha == pytest.approx(right.params[name], rel=1e-6)
    chart = map_rho(design, rho=FEW)
    assert abs(chart.attrs["pulled"]) < 0.25
    assert read_map(chart)["mean"].notna().all()


@pytest.mark.parametrize("treatment", ["t ~ 0 + rain + z", "t ~ rain + z"])
def test_with_moderators_and_no_constant_alpha_is_the_effect_where_they_are_zero(treatment):
    design = make_design(FARMS, outcome="y ~ 0 + t * rain", treatment=treatment)
    right = smf.ols("y ~ 0 + t * rain", FARMS).fit()
    assert ols(design).params["alpha"] == pytest.approx(right.params["t"])
    assert ols(design).bse["alpha"] == pytest.approx(right.bse["t"])
    assert ols(design).params["delta[rain]"] / FARMS.rain.std(ddof=0) == pytest.approx(right.params["t:rain"])
    assert abs(read_map(map_rho(design, rho=FEW))["mean"].iloc[2] - right.params["t"]) < 0.25 * right.bse["t"]


def test_a_constant_in_one_equation_only_centres_nothing_and_the_effect_stays_that_of_statsmodels():
    design = make_design(FARMS, outcome="y ~ t * rain", treatment="t ~ 0 + rain + z")
    right = smf.ols("y ~ t * rain", FARMS).fit()
    assert ols(design).params["alpha"] == pytest.approx(right.params["t"])
    assert (design.scales["mean"] == 0).all() and (design.intercept_O, design.intercept_T) == (
        True,
        False,
    )


def test_an_answer_has_two_levels_and_zeros_and_ones_are_numbers():
    """Of False and True statsmodels makes two columns; of zeros and ones one."""
    for data, constant in ((FARMS, True), (FARMS.assign(wet=FARMS.wet.astype(int)), False)):
        design, right = (
            of("0 + wet + rain", "y", "t", data),
            smf.ols("y ~ 0 + wet + rain + t", data).fit(),
        )
        assert design.intercept_O is constant
        assert ols(design).params["alpha"] == pytest.approx(right.params["t"])
    data = FARMS.assign(d=FARMS.d == 1)
    design, right = of("0 + rain", "y", "d", data), smf.ols("y ~ 0 + rain + d", data).fit()
    assert design.intercept_O and not design.intercept_T
    assert ols(design).params["alpha"] == pytest.approx(right.params["d[True]"] - right.params["d[False]"])


LAZY = [covariates for covariates in KINDS if "bs(" not in covariates and "poly" not in covariates]


@pytest.mark.parametrize("covariates", LAZY)
def test_pieces_read_it_as_rows_in_memory_do(covariates):
    whole, lazy = (
        of(covariates, "y", "t"),
        of(covariates, "y", "t", dd.from_pandas(FARMS, npartitions=3)),
    )
    assert lazy.covariates == whole.covariates and lazy.notes == whole.notes
    assert (lazy.intercept_O, lazy.intercept_T) == (whole.intercept_O, whole.intercept_T)
    np.testing.assert_allclose(lazy.scales, whole.scales, rtol=1e-9, atol=1e-12)
    right = smf.ols(f"y ~ {covariates} + t", FARMS).fit()
    assert ols(lazy).params["alpha"] == pytest.approx(right.params["t"], rel=1e-7)
    assert ols(lazy).bse["alpha"] == pytest.approx(right.bse["t"], rel=1e-7)
    ours, theirs = (read_map(map_rho(each, rho=FEW)).to_numpy() for each in (lazy, whole))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.fixture(scope="module")
def many():
    return farms(20_000, seed=8)


@pytest.mark.parametrize(
    "covariates",
    [
        "0 + rain + C(soil)",
        "0 + wood + field + grass",
        "0 + one + rain",
        "0 + wet + rain",
        "0 + rain",
        "0 + rain:C(soil)",
        "0",
    ],
)
@pytest.mark.parametrize("response", ["y", "won"])
def test_many_rows_are_read_the_same(many, covariates, response):
    design = of(covariates, response, "t", many)
    assert design.stands_for is None and design.C.shape == (20_000, len(design.covariates))
    formula = f"{response} ~ {covariates} + t"
    right = smf.ols(formula, many).fit() if response == "y" else smf.probit(formula, many).fit(disp=0)
    ours = maximum_likelihood(design, rho=0.0)
    assert ours.alpha == pytest.approx(right.params["t"], rel=1e-6)
    if response == "y":
        assert ols(design).bse["alpha"] == pytest.approx(right.bse["t"], rel=1e-7)
    A = np.column_stack([design.C[:, design.in_outcome], design.dose])
    M = np.column_stack([np.ones((len(A), int(design.intercept_O))), A])
    w = told_by_each_row(M, design.y) if response == "won" else np.full(len(A), 1 / spread_from(design) ** 2)
    A = A - w @ A / w.sum() * design.intercept_O
    root = scales(design).root_O[int(design.intercept_O) :, int(design.intercept_O) :]
    np.testing.assert_allclose(root.T @ root, A.T @ (w[:, None] * A) / len(A), rtol=1e-4, atol=1e-6)


def spread_from(design):
    """Of the outcome, around its mean or, without an intercept, around zero."""
    return design.y.std() if design.intercept_O else np.sqrt(np.mean(design.y**2))


def test_draws_and_potential_outcomes_of_a_line_through_the_origin():
    design = make_design(FARMS, outcome="y ~ 0 + t * rain", treatment="t ~ 0 + rain + z")
    idata = fit(joint_model(design), draws=500)
    assert idata.attrs["route"] == "columns" and "intercept_O" not in idata["posterior"]
    draws = idata["posterior"]
    average = draws.alpha + draws.delta.isel(moderator=0) * (FARMS.rain.mean() / FARMS.rain.std(ddof=0))
    told = potential_outcomes(idata, design).effect.sel(group="everyone")
    np.testing.assert_allclose(told.transpose("chain", "draw"), average, rtol=1e-9)
