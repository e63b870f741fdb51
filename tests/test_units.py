"""The same numbers in every unit: dollars, thousands of dollars, grams or tonnes change no conclusion."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from statsmodels.discrete.discrete_model import Probit

from helpers import make_design, maximum_likelihood, ols
from which_world.engine.laplace import ascent, least_squares, start
from which_world.engine.likelihoods import probit, rows_of

N = 600
UNITS = 1e-9, 1e-4, 1e6, 1e12
PAIRS = list(product(("continuous", "binary"), repeat=2))
CLUSTER = np.repeat(np.arange(N // 6), 6)


def table(outcome, treatment, *, y=1.0, t=1.0, x=1.0):
    rng = np.random.default_rng(5)
    X, z, V, e = rng.normal(size=(4, N))
    index = 0.4 * X + 0.8 * z + V
    T = index if treatment == "continuous" else (index > 0).astype(float)
    line = 0.5 * T + 0.3 * X * T - 0.3 * X + 0.5 * V + np.sqrt(0.75) * e
    Y = line if outcome == "continuous" else (line > 0).astype(float)
    return pd.DataFrame({"Y": Y * y, "T": T * t, "x": X * x, "z": z * x})


def summaries(outcome, treatment, *, y=1.0, t=1.0, x=1.0):
    """What maximum likelihood tells, with each number in the units of `table(outcome, treatment)`."""
    step = {"step": t} if (outcome, treatment) == ("binary", "continuous") else {}
    formulas = {"outcome": "Y ~ T * x", "treatment": "T ~ x + z"}
    design = make_design(table(outcome, treatment, y=y, t=t, x=x), **formulas, **step)
    units = {"alpha": y / t, "delta": y / t, "intercept_O": y, "beta_O": y, "sigma_U": y,
             "intercept_T": t, "beta_T": t, "sigma_V": t}  # fmt: skip
    told = []
    for options in ({}, {"cluster": CLUSTER}, {"rho": [-0.4, 0.3]}):
        best = maximum_likelihood(design, **options)
        read = y / t if outcome == "continuous" else 1.0
        told.append(np.ravel([best.effect, best.effect_se]) / read)
        each = [best.summary()] if np.ndim(best.rho) == 0 else [best.estimates.T, best.standard_errors.T]
        for frame in each:
            unit = [units.get(name.partition("[")[0], 1.0) for name in frame.index]
            told.append(frame.div(unit, axis=0).to_numpy().ravel())
    return np.concatenate(told)


@pytest.mark.parametrize("outcome, treatment", PAIRS)
def test_no_number_of_a_summary_has_a_unit_of_its_own(outcome, treatment):
    plain = summaries(outcome, treatment)
    wide = ["x"] + ["y"] * (outcome == "continuous") + ["t"] * (treatment == "continuous")
    units = [{name: unit} for name, unit in product(wide, UNITS)]
    if outcome == treatment == "continuous":
        units += [{"y": unit, "t": 1e-9} for unit in (1e5, 1e9, 1e12)]
    for unit in units:
        told = summaries(outcome, treatment, **unit)
        np.testing.assert_allclose(told, plain, rtol=1e-8, atol=1e-10, err_msg=f"in the units {unit}")


@pytest.mark.parametrize("unit", UNITS)
def test_the_error_of_a_continuous_outcomes_effect_is_that_of_alpha(unit):
    design = make_design(table("continuous", "continuous", y=unit), outcome="Y ~ T + x", treatment="T ~ x + z")
    for options in ({}, {"rho": 0.3}, {"cluster": CLUSTER}):
        best = maximum_likelihood(design, **options)
        assert best.effect_se == best.standard_errors["alpha"]


@pytest.mark.parametrize("unit", UNITS)
def test_least_squares_keeps_its_digits(unit):
    formulas = {"outcome": "Y ~ T + x", "treatment": "T ~ x + z"}
    for outcome in ("continuous", "binary"):
        plain, other = (ols(make_design(table(outcome, "continuous", t=t), **formulas)) for t in (1.0, unit))
        for name in ("params", "bse"):
            scaled = getattr(other, name) * np.array([1, 1, unit])
            np.testing.assert_allclose(scaled, getattr(plain, name), rtol=1e-9)


@pytest.mark.parametrize("unit", [1e-14, 1e-9, 1e12, 1e14])
def test_no_column_passes_for_rounding(unit):
    x, e = np.random.default_rng(2).normal(size=(2, N))
    beta, squares = least_squares(np.column_stack([np.ones(N), unit * x]), 3 + 2 * x + e)
    expected, left, *_ = np.linalg.lstsq(np.column_stack([np.ones(N), x]), 3 + 2 * x + e)
    np.testing.assert_allclose([beta[0], unit * beta[1], squares], [*expected, left[0]], rtol=1e-10)


@pytest.mark.parametrize("unit", UNITS)
def test_a_search_starts_from_the_same_place(unit):
    formulas = {"outcome": "Y ~ T + x", "treatment": "T ~ x + z"}
    for outcome in ("continuous", "binary"):
        plain, other = (rows_of(make_design(table(outcome, "continuous", t=t), **formulas)) for t in (1.0, unit))
        if outcome == "binary":
            assert probit(other.A, other.y).converged
        slope = [start(rows)[len(rows.names_O) - 1] for rows in (plain, other)]
        assert slope[1] * unit == pytest.approx(slope[0], rel=1e-9)


def test_a_way_uphill_has_the_units_of_its_parameters():
    """On a surface that bends up in one direction."""
    rng = np.random.default_rng(3)
    root, slope = rng.normal(size=(8, 8)), rng.normal(size=8)
    unit = 10.0 ** np.array([-21, 12, 0, -9, 5, 12, -3, 9])
    values, turn = np.linalg.eigh(-root @ root.T)
    saddle = turn @ np.diag(np.r_[values[:-1], 0.5]) @ turn.T
    step = ascent(unit * slope, saddle * np.outer(unit, unit)) * unit
    np.testing.assert_allclose(step, ascent(slope, saddle), rtol=1e-9)
    assert slope @ step > 0


def test_a_treatment_that_settles_an_answer_is_seen_in_any_unit():
    """And one that does not settle it is let pass, as statsmodels' own probit of the plain units lets it."""
    data = table("binary", "continuous")
    assert Probit(data.Y, np.column_stack([np.ones(N), data["T"]])).fit(disp=0).mle_retvals["converged"]
    for unit in UNITS:
        scaled = data.assign(T=data["T"] * unit)
        make_design(scaled, outcome="Y ~ T", treatment="T ~ z")
        with pytest.raises(ValueError, match="perfect separation"):
            make_design(scaled.assign(Y=(data["T"] > 0) * 1), outcome="Y ~ T", treatment="T ~ z")
