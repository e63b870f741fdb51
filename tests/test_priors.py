"""The default priors: worth one row of data, however the columns are written down, and told where they matter."""

import warnings

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from forwards import draw_at_once
from oracles import as_fit, distance, means_and_sds, residual_sd, told_by_each_row, worth_a_row
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import halfnorm, norm

from helpers import (
    bart,
    benchmark_rho,
    fit,
    horseshoe,
    joint_model,
    make_design,
    map_rho,
    normal,
    read_map,
    robustness_value,
    spike_and_slab,
    unit_information,
    weigh,
)
from which_world.classical import effect_at_rho
from which_world.engine.from_pymc import extract, observed
from which_world.engine.laplace import columns
from which_world.engine.likelihoods import rows_of
from which_world.maps import PULLED
from which_world.priors import scales
from which_world.report.contents import make_report
from which_world.report.sentences import pulled

KINDS = ("continuous", "binary")
PAIRS = [(outcome, treatment) for outcome in KINDS for treatment in KINDS]
FEW = np.tanh(np.linspace(-1.2, 1.2, 5))


def rows(outcome="continuous", treatment="continuous", n=300, seed=1):
    """Heights in centimetres, years, sites and an invitation; what is hidden moves treatment and outcome."""
    rng = np.random.default_rng(seed)
    V, e, z = rng.normal(size=(3, n))
    x, year, site = (
        rng.normal(170, 8, n),
        rng.integers(2001, 2012, n),
        rng.choice(list("abcd"), n, p=[0.4, 0.3, 0.2, 0.1]),
    )
    u = (year - 2006) / 3
    line = 0.05 * (x - 168) + 0.4 * u + 0.3 * u**2 - 0.3 + 0.5 * (site == "b") + 0.8 * z
    t = line + V if treatment == "continuous" else (line + V > 0).astype(int)
    line = 0.4 * t - 0.03 * (x - 172) - 0.3 * u**2 + 0.4 * (site == "c") + 0.3 * V + e
    y = 40 + 5 * line if outcome == "continuous" else (line > 0).astype(int)
    return pd.DataFrame({"y": y, "t": t, "x": x, "year": year, "site": site, "z": z})


def standardised(draws, mean, covariance):
    return np.linalg.solve(np.linalg.cholesky(covariance), (draws - mean).T)


def check_moments(draws, mean, covariance):
    """Means and covariance of draws: within five Monte Carlo errors after both are turned to zero and one."""
    z, error = standardised(draws, mean, covariance), 5 / np.sqrt(len(draws))
    np.testing.assert_allclose(z.mean(axis=1), 0, atol=error)
    np.testing.assert_allclose(np.cov(z), np.eye(len(z)), atol=1.5 * error)


def drawn(design, **options):
    """Prior draws of (intercept, x, year[, x·t], t) and (intercept, x, year, z), covariates in standard deviations."""
    model = joint_model(design, **options)
    delta = [model["delta"]] if design.moderators else []
    names = [model[name] for name in ("intercept_O", "beta_O", "alpha", "intercept_T", "beta_T")] + delta
    one, beta, alpha, two, gamma, *delta = draw_at_once(names, 20_000, seed=1)
    return np.column_stack([one, beta[:, design.in_outcome], *delta, alpha]), np.column_stack([two, gamma])


def columns_of(data, treatment, moderated=False):
    """The columns of `drawn`, from the frame: of the outcome's equation and of the treatment's, but for constants."""
    x, year, z = ((data[name] - data[name].mean()) / data[name].std(ddof=0) for name in ("x", "year", "z"))
    dose = data.t - (data.t.mean() if treatment == "continuous" else 0)
    return np.column_stack([x, year, *([x * dose] if moderated else []), dose]), np.column_stack([x, year, z])


def centres(data, pair, sizes):
    """Prior means: the intercepts at a continuous response's mean, all else at zero."""
    for values, kind, size in zip((data.y, data.t), pair, sizes):
        yield np.r_[values.mean() if kind == "continuous" else 0.0, np.zeros(size - 1)]


MODELS = {
    "plain": ("y ~ t + x + year", {}),
    "moderated": ("y ~ t * x + year", {}),
    "alpha": ("y ~ t * x + year", {"alpha": 0.07}),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("outcome", "treatment"), PAIRS)
def test_prior_draws_have_the_covariance_of_one_row(outcome, treatment, model):
    data, (formula, options) = rows(outcome, treatment), MODELS[model]
    design = make_design(data, outcome=formula, treatment="t ~ x + year + z")
    A, Z = columns_of(data, treatment, moderated="*" in formula)
    y, t = (data[name].to_numpy(dtype=float) for name in "yt")
    found = drawn(design, **options)
    expected = worth_a_row(A, y, outcome, options.get("alpha")), worth_a_row(Z, t, treatment)
    assert np.sqrt(expected[0][-1, -1]) == pytest.approx(options.get("alpha") or alone(A, y, outcome), rel=1e-6)
    sizes = (each.shape[1] for each in found)
    for draws, mean, covariance in zip(found, centres(data, (outcome, treatment), sizes), expected):
        check_moments(draws, mean, covariance)


def alone(A, y, outcome):
    """Prior sd of α, from what a regression weighted by each row's information leaves of the treatment."""
    one = np.ones(len(y))
    w = told_by_each_row(np.column_stack([one, A]), y) if outcome == "binary" else one / y.var()
    left = sm.WLS(A[:, -1], np.column_stack([one, A[:, :-1]]), w).fit().resid
    return 1 / np.sqrt(np.mean(w * left**2))


@pytest.mark.parametrize("rows_worth", [1, 7])
def test_a_prior_may_be_worth_more_rows(rows_worth):
    data = rows()
    design = make_design(data, outcome="y ~ t + x + year", treatment="t ~ x + year + z")
    found = drawn(design, coefficients=unit_information(rows_worth))
    for draws, A, response in zip(found, columns_of(data, "continuous"), (data.y, data.t)):
        mean = np.r_[response.mean(), np.zeros(A.shape[1])]
        check_moments(draws, mean, worth_a_row(A, response.to_numpy()) / rows_worth)


@pytest.mark.parametrize("treatment", KINDS)
def test_normal_coefficients_are_independent_and_alpha_keeps_the_scale_of_what_is_left(treatment):
    data = rows(treatment=treatment)
    design = make_design(data, outcome="y ~ t * x + year", treatment="t ~ x + year + z")
    acting, chosen = drawn(design, coefficients=normal(0.5))
    s_O, x, t = data.y.std(ddof=0), data.x.to_numpy(), data.t.to_numpy(dtype=float)
    product = (x - x.mean()) / x.std() * (t - (t.mean() if treatment == "continuous" else 0))
    alpha = s_O / residual_sd(t, x, data.year, product)
    check_moments(acting[:, 1:], 0, np.diag(np.r_[0.5 * s_O, 0.5 * s_O, 0.5 * alpha, alpha] ** 2))
    s_T = data.t.std(ddof=0) if treatment == "continuous" else 1
    check_moments(chosen[:, 1:], 0, np.diag([(0.5 * s_T) ** 2] * 3))


def test_without_an_intercept_spreads_are_measured_from_zero():
    """A line through the origin climbs from zero to the outcome's level: its slope is no surprise."""
    data = rows()
    design = make_design(data, outcome="y ~ 0 + t + x", treatment="t ~ 0 + x + z")
    prior = scales(design)
    for A, root, values in ((data[["x", "t"]], prior.root_O, data.y), (data[["x", "z"]], prior.root_T, data.t)):
        A = A.to_numpy() / np.r_[A.x.std(ddof=0), 1 if "t" in A else A.z.std(ddof=0)]
        expected = len(A) * np.mean(values**2) * np.linalg.inv(A.T @ A)
        np.testing.assert_allclose(np.linalg.inv(root.T @ root), expected)
    assert prior.sigma_U == pytest.approx(np.sqrt(np.mean(data.y**2)))


# however the columns are written down

PLAIN = "x + year + I(year**2) + C(site)"
RECODED = {
    "shifted": (lambda d: d.assign(x=d.x - 170, year=d.year - 1900), PLAIN),
    "scaled": (lambda d: d.assign(x=d.x * 1e4, z=d.z / 1e5), PLAIN),
    "reordered": (lambda d: d, "C(site) + I(year**2) + x + year"),
    "another reference": (lambda d: d.assign(site=d.site.map({"a": "z", "b": "b", "c": "a", "d": "d"})), PLAIN),
    "sums": (lambda d: d, "x + year + I(year**2) + C(site, Sum)"),
    "years from 2006": (lambda d: d.assign(year=d.year - 2006), PLAIN),
    "polynomials": (lambda d: d, "x + poly(year, 2) + C(site)"),
    "no reference": (lambda d: d, "0 + x + year + I(year**2) + C(site)"),
    "a mixed basis": (lambda d: d.assign(x=d.x + 30 * d.year), PLAIN),
}


def design_of(data, covariates=PLAIN, more="", **options):
    return make_design(data, outcome=f"y ~ {covariates} + t{more}", treatment=f"t ~ {covariates} + z", **options)


@pytest.fixture(scope="module")
def written():
    """The map, its mode at ρ = 0 and the robustness value of each pair, as the columns are first written down."""
    found = {}

    def known(pair):
        if pair not in found:
            data = rows(*pair)
            design = design_of(data)
            found[pair] = (
                data,
                map_rho(design, rho=FEW),
                effect_at_rho(design, 0.0, scales(design)),
                robustness_value(design),
            )
        return found[pair]

    return known


@pytest.mark.parametrize("way", RECODED)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_the_map_does_not_know_how_the_columns_are_written_down(pair, way, written):
    data, chart, mode, rv = written(pair)
    change, covariates = RECODED[way]
    design = design_of(change(data), covariates)
    assert effect_at_rho(design, 0.0, scales(design)) == pytest.approx(mode, rel=1e-5)
    assert robustness_value(design) == pytest.approx(rv, rel=1e-6)
    found = map_rho(design, rho=FEW)
    if "binary" not in pair:
        pd.testing.assert_frame_equal(read_map(found), read_map(chart), rtol=1e-6)
        return
    ours, theirs = means_and_sds(found), means_and_sds(chart)
    assert (np.abs(ours - theirs)[:, 0] / theirs[:, 1]).max() < 0.05
    np.testing.assert_allclose(ours[:, 1], theirs[:, 1], rtol=0.08)


def test_evidence_does_not_know_how_the_columns_are_written_down(written):
    data, chart, *_ = written(("continuous", "continuous"))
    for way, (change, covariates) in RECODED.items():
        found = map_rho(design_of(change(data), covariates), rho=FEW).log_evidence
        np.testing.assert_allclose(found, chart.log_evidence, atol=1e-5, err_msg=way)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_benchmarks_do_not_know_units(pair):
    data = rows(*pair)
    first = benchmark_rho(design_of(data, "x + year"))
    other = benchmark_rho(design_of(data.assign(x=data.x * 1e4 - 3, year=2030 - data.year), "x + year"))
    pd.testing.assert_frame_equal(first, other, rtol=1e-4)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_a_treatment_in_other_units_moves_the_effect_by_their_ratio(pair):
    if pair[1] == "binary":
        pytest.skip("a yes has no unit")
    data = rows(*pair)
    other = data.assign(t=1e3 * data.t + 5, y=data.y * (100 if pair[0] == "continuous" else 1))
    mode, theirs = (
        columns(rows_of(d), scales(d), np.array([0.4])).mode[0][len(rows_of(d).names_O) - 1]
        for d in (design_of(data), design_of(other))
    )
    assert theirs == pytest.approx(mode * (0.1 if pair[0] == "continuous" else 1e-3), rel=1e-5)


# beside the classical estimate


def hard(name, rng):
    """A design on which independent priors of raw width go wrong: data and covariates."""
    n = 200
    V, e, z = rng.normal(size=(3, n))
    year, unit, age, height = (
        rng.integers(2000, 2021, n),
        np.repeat(np.arange(50), 4),
        rng.normal(45, 8, n),
        rng.normal(172, 7, n),
    )
    c, level = ((year - 2010) / 10) ** 2, rng.normal(size=50)[unit]
    score = rng.normal(size=n)
    line, out, frame, covariates = {
        "year and its square": (3 * c, -6 * c, {"year": year}, "year + I(year**2)"),
        "four rows a unit": (3 * level, -3 * level, {"unit": unit}, "C(unit)"),
        "a lag": (5 * z, -5 * z, {"lag": 5 * z}, "lag"),
        "age * height": (
            (age - 45) / 8 * (height - 172) / 7,
            (age - 45) * (height - 172) / -20,
            {"age": age, "height": height},
            "age * height",
        ),
        "one score twice": (e, -2 * e, {"a": score, "b": score + 0.01 * e}, "a + b"),
        "n = 5 columns": (
            z,
            -z,
            {f"x{j}": column for j, column in enumerate(rng.normal(size=(38, n)))},
            " + ".join(f"x{j}" for j in range(38)),
        ),
        "nearly all treated": (1.9 + 0.2 * z, z, {"x": z}, "x"),
        "a rare outcome": (z, -1.5 + 0.3 * z, {"x": z}, "x"),
    }[name]
    return pd.DataFrame(frame), covariates, line + V, out, rng.normal(size=n)


HARD = [
    "year and its square",
    "four rows a unit",
    "a lag",
    "age * height",
    "one score twice",
    "n = 5 columns",
    "nearly all treated",
    "a rare outcome",
]
# all rows of some units are treated, or none: a probit has no maximum, and the design is refused
SEPARATED = {("four rows a unit", outcome, "binary") for outcome in KINDS}
CASES = [
    (name, pair)
    for name in HARD
    for pair in PAIRS
    if not (name == "nearly all treated" and pair[1] == "continuous")
    and not (name == "a rare outcome" and pair[0] == "continuous")
    and (name, *pair) not in SEPARATED
]


@pytest.mark.parametrize(("name", "pair"), CASES, ids=lambda each: each if isinstance(each, str) else "-".join(each))
def test_at_no_correlation_the_default_prior_leaves_the_classical_estimate_alone(name, pair):
    frame, covariates, index, out, U = hard(name, np.random.default_rng(9))
    t = index if pair[1] == "continuous" else (index > 0).astype(int)
    line = t * (1.0 if pair[0] == "continuous" else 0.3) + out + U
    data = frame.assign(t=t, y=line if pair[0] == "continuous" else (line > 0).astype(int))
    design = make_design(data, outcome=f"y ~ t + {covariates}", treatment=f"t ~ {covariates}")
    if pair[0] == "continuous":
        right = smf.ols(f"y ~ t + {covariates}", data).fit()
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="the priors move")
            ours = read_map(map_rho(design, rho=FEW))["mean"].iloc[2]
    else:
        near = data.assign(year=data.year - 2010) if "year" in data else data  # from 0 on, its Newton steps fail
        right = smf.probit(f"y ~ t + {covariates}", near).fit(disp=0)
        own = rows_of(design)
        ours = own.split(columns(own, scales(design), np.zeros(1)).mode[0])[0][-1]
    assert abs(ours - right.params["t"]) < 0.25 * right.bse["t"]


# along the ridge


@pytest.mark.parametrize("scale", [1, 0.2])
def test_along_the_ridge_only_the_priors_of_alpha_and_of_the_spread_of_u_speak_of_rho(scale):
    """The map's evidence against an integral over the two scales and δ alone, in which no covariate has a prior."""
    data = rows(n=400)
    design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    left = np.column_stack([np.ones(400), data.x])
    t, y = (values - left @ np.linalg.lstsq(left, values)[0] for values in (data.t.to_numpy(), data.y.to_numpy()))
    r, s = t.std(), data.y.std(ddof=0)
    delta = t @ y / (t @ t)
    squares = np.sum((y - delta * t) ** 2)
    e, V = (np.exp(np.linspace(-0.3, 0.3, 161)) * size for size in (np.sqrt(squares / 400), r))
    e, V = e[:, None], V[None]
    # σ_e^-(n - 2), the two lines' coefficients summed out but for δ; likewise σ_V
    log_L = -(400 - 3) * np.log(e) - squares / e**2 / 2 - (400 - 2) * np.log(V) - 400 * r**2 / V**2 / 2
    log_L = log_L + halfnorm.logpdf(V, scale=data.t.std(ddof=0))
    rho, found = np.tanh(np.linspace(-1.8, 1.8, 13)), []
    for each in rho:
        root = np.sqrt(1 - each**2)
        off = norm.logpdf(delta - each / root * e / V, 0, np.hypot(scale * s / r, e / (r * np.sqrt(400))))
        value = log_L + off + halfnorm.logpdf(e / root, scale=s) - np.log(root)
        top = value.max()
        found.append(top + np.log(trapezoid(trapezoid(np.exp(value - top), V[0], axis=1), e[:, 0])))
    ours = map_rho(design, rho=rho, alpha=scale * s / r).log_evidence.values
    np.testing.assert_allclose(ours - logsumexp(ours), np.array(found) - logsumexp(found), atol=0.03)
    assert np.ptp(found) > 1  # and they do speak


# told


def test_a_prior_that_moves_the_effect_is_told_and_the_default_is_not():
    data = rows()
    design = design_of(data)
    line = smf.ols(f"y ~ t + {PLAIN}", data).fit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert abs(map_rho(design, rho=FEW).attrs["pulled"]) < 0.1
    with pytest.warns(UserWarning, match="priors move the effect at rho = 0 by") as told:
        chart = map_rho(design, rho=FEW, alpha=line.bse["t"])
    assert [each.filename for each in told] == [__file__]  # the reader's own line, and no decorator's
    # with as much said by the prior as by the data, α is half of what it was
    assert chart.attrs["pulled"] == pytest.approx(-line.tvalues["t"] / 2, rel=0.1)
    assert pulled(chart)[0].startswith("The priors move the effect at ρ = 0 by")
    assert pulled(chart.assign_attrs(pulled=-PULLED)) == [] and pulled(chart.assign_attrs(pulled=-0.26))


@pytest.fixture(scope="module")
def million():
    x, V, U = np.random.default_rng(0).normal(size=(3, 1_000_000))
    t = x + V
    return make_design(pd.DataFrame({"y": t + x + U, "t": t, "x": x}), outcome="y ~ t + x", treatment="t ~ x")


@pytest.mark.parametrize(
    "grid",
    [FEW, np.linspace(-0.5, 0.98, 5), np.linspace(0.2, 0.9, 5)],
    ids=["even", "odd", "beside"],
)
def test_the_guard_does_not_depend_on_the_grid(grid, million):
    """The standard error of a million rows is a thousandth of the ridge that five columns are to describe."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert abs(map_rho(million, rho=grid).attrs["pulled"]) < 0.02


@pytest.mark.parametrize("outcome", KINDS)
def test_the_guard_of_a_binary_answer_looks_at_the_mode(outcome):
    data = rows(outcome, "binary")
    design = make_design(data, outcome="y ~ t + x", treatment="t ~ x")
    assert abs(map_rho(design, rho=FEW).attrs["pulled"]) < 0.1
    with pytest.warns(UserWarning, match="priors move the effect"):
        map_rho(design, rho=FEW, alpha=1e-3)


def test_where_data_say_nothing_of_rho_the_report_says_which_prior_does():
    report = make_report(make_design(rows(n=200), outcome="y ~ t + x", treatment="t ~ x"))
    told, free = report.limits[0], report.worlds.loc["ρ free"]
    assert "say nothing about ρ" in told and "by the priors of α and of the spread of U" in told
    a = np.linspace(-5, 5, 20_001)
    sd = np.sqrt(trapezoid(np.tanh(a) ** 2 * norm.pdf(a, 0, 0.5), a))
    assert f"from 0.00 (sd {sd:.2f}), its prior, to {free.rho:.2f} (sd {free.rho_sd:.2f})" in told
    assert not any("priors move the effect" in said for said in report.checks)


def test_a_report_says_that_a_stated_prior_moves_the_effect():
    data = rows(n=200)
    report = make_report(make_design(data, outcome="y ~ t + x", treatment="t ~ x"), alpha=0.05)
    assert any("The priors move the effect at ρ = 0" in said for said in report.checks)


# one posterior, by every route


@pytest.fixture(scope="module")
def collinear():
    data = rows(n=150)
    return make_design(data, outcome="y ~ t + year + I(year**2)", treatment="t ~ year + I(year**2) + z")


def test_design_model_and_map_have_one_posterior(collinear):
    by_design, by_model = fit(collinear, draws=2000), fit(joint_model(collinear), draws=2000)
    assert by_design.attrs["route"] == by_model.attrs["route"] == "columns"
    assert distance(by_design, by_model) < 4.5
    assert distance(by_model, as_fit(weigh(map_rho(collinear))), ("alpha", "rho")) < 4.5


def test_nuts_has_the_same_posterior(collinear):
    with observed(joint_model(collinear)):
        theirs = pm.sample(
            1000,
            tune=1000,
            nuts_sampler="nutpie",
            nuts={"adaptation": "low_rank", "target_accept": 0.95},  # year and its square are nearly one
            random_seed=1,
            progressbar=False,
        )
    assert distance(fit(collinear, draws=2000), theirs) < 4.5


@pytest.mark.parametrize("outcome", KINDS)
@pytest.mark.parametrize("covariates", ["x", "x + year"])
def test_a_model_with_moderators_is_read(outcome, covariates):
    design = make_design(rows(outcome), outcome=f"y ~ t * ({covariates})", treatment="t ~ x + year + z")
    found, prior = extract(observed(joint_model(design))), scales(design)
    for ours, theirs in ((found.outcome.root, prior.root_O), (found.treatment.root, prior.root_T)):
        np.testing.assert_allclose(ours.T @ ours, theirs.T @ theirs, rtol=1e-9, atol=1e-12)


def patched(monkeypatch, other):
    """PyMC's normal, but for α."""
    plain = pm.Normal

    def chosen(name, *args, **options):
        return other(*args, **options) if name == "alpha" else plain(name, *args, **options)

    chosen.dist = plain.dist
    monkeypatch.setattr("which_world.models.pm.Normal", chosen)


def test_a_prior_changed_by_hand_is_read_or_left_to_nuts(collinear, monkeypatch):
    plain = pm.Normal
    with monkeypatch.context() as patch:
        patched(patch, lambda mean, sd: plain("alpha", mean + 0.5, 3 * sd))
        model = joint_model(collinear)
    found, prior = extract(observed(model)), scales(collinear)
    assert found.scales.alpha == pytest.approx(3 * prior.alpha) and found.outcome.mean[-1] == pytest.approx(0.5)
    # β given α is what it was: it moves with α's mean
    np.testing.assert_allclose(
        prior.root_O[1:3] @ (found.outcome.mean - prior.mean_O),
        0,
        atol=1e-6 * np.abs(prior.root_O).max(),
    )
    with monkeypatch.context() as patch:
        patched(patch, lambda mean, sd: pm.StudentT("alpha", nu=3, mu=mean, sigma=sd))
        model = joint_model(collinear)
    assert extract(observed(model)) is None
    assert extract(observed(pm.do(joint_model(collinear), {"alpha": 0.3}))) is None
    model = joint_model(collinear)
    with model:
        pm.Potential("more", model["alpha"] ** 2)
    assert extract(observed(model)) is None


def test_an_intercept_that_is_held_leaves_the_other_priors(collinear):
    found = extract(observed(pm.do(joint_model(collinear), {"intercept_O": 3.0})))
    assert found is None  # a constant that is no parameter: NUTS
    found = extract(observed(pm.do(joint_model(collinear), {"intercept_O": 0.0})))
    root = scales(collinear).root_O[1:, 1:]
    np.testing.assert_allclose(found.outcome.precision, root.T @ root, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "family"),
    [
        ({"coefficients": spike_and_slab()}, "sieve"),
        ({"coefficients": horseshoe(p0=1)}, "funnel"),
        ({"treatment": bart(trees=5)}, "forest"),
        ({"outcome": bart(trees=5)}, "forest"),
    ],
    ids=["sieve", "funnel", "trees", "trees of the outcome"],
)
@pytest.mark.parametrize("more", ["", " + t:x"], ids=["", "moderated"])
def test_sparse_priors_and_forests_are_read(options, family, more):
    design = make_design(rows(n=60), outcome=f"y ~ t + x + year{more}", treatment="t ~ x + year + z")
    found = extract(observed(joint_model(design, **options)))
    assert found.family == family
    prior = scales(design, normal()) if family in ("sieve", "funnel") else scales(design)
    assert found.scales.alpha == pytest.approx(prior.alpha)
