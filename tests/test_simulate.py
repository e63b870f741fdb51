"""Simulated tanks obey the physics they claim, and least squares drifts in them as the formulas say."""

import re

import numpy as np
import pytest
from oracles import drift

from helpers import simulate_aquarium

CASES = {
    "continuous": {"treatment": "continuous", "sigma_U": 2.0, "sigma_V": 0.5},
    "binary without covariates": {
        "treatment": "binary", "sigma_U": 2.0, "confounders": 0, "instruments": 0, "outcome_only": 0, "noise": 0},
    "binary with covariates": {"treatment": "binary", "sigma_U": 2.0},
}  # fmt: skip


def least_squares(data):
    M = np.column_stack([data.drop(columns="Y"), np.ones(len(data))])
    return np.linalg.lstsq(M, data["Y"])[0][0]


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.5])
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_least_squares_drifts_by_the_closed_form(options, rho):
    # all covariates in one regression; an instrument among them makes the drift of what is left over
    tanks = [simulate_aquarium(rho=rho, seed=seed, **options) for seed in range(40)]
    estimates = np.array([least_squares(tank.data) for tank in tanks])
    noise = estimates.std(ddof=1) / np.sqrt(len(tanks))
    assert abs(estimates.mean() - 3.0 - drift(tanks[0].truth, options["treatment"])) < 4 * noise


@pytest.mark.parametrize("treatment", ["continuous", "binary"])
def test_a_tank_obeys_its_own_truth(treatment):
    data, truth = simulate_aquarium(200_000, alpha=-1.5, rho=0.7, treatment=treatment, sigma_U=3.0, seed=5)
    X = data[list(truth.covariate.values)].to_numpy()
    U = data.Y - float(truth.intercept_O) - X @ truth.beta_O.values - float(truth.alpha) * data["T"]
    assert U.std() == pytest.approx(3.0, rel=0.01)
    assert abs(U.mean()) < 0.03
    index = float(truth.intercept_T) + X @ truth.beta_T.values
    if treatment == "continuous":
        assert np.corrcoef(U, data["T"] - index)[0, 1] == pytest.approx(0.7, abs=0.01)
    else:
        assert set(data["T"]) == {0, 1}
    assert abs(np.corrcoef(X.T)[np.triu_indices(X.shape[1], 1)]).max() < 0.02


def test_covariates_play_the_roles_they_are_given():
    truth = simulate_aquarium(10, confounders=1, instruments=2, outcome_only=1, noise=1).truth
    assert truth.role.values.tolist() == ["confounder", "instrument", "instrument", "outcome-only", "noise"]
    assert (truth.beta_T.values != 0).tolist() == [True, True, True, False, False]
    assert (truth.beta_O.values != 0).tolist() == [True, False, False, True, False]


def test_a_seed_is_a_tank():
    one, same, other = (simulate_aquarium(20, seed=seed).data for seed in (1, 1, 2))
    assert one.equals(same) and not one.equals(other)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"n": 0}, ["n=0", "whole number of at least 1"]),
        ({"n": 2.5}, ["n=2.5", "whole number of at least 1"]),
        ({"rho": 1.0}, ["rho=1.0", "(-1, 1)"]),
        ({"rho": np.nan}, ["rho=nan", "(-1, 1)"]),
        ({"treatment": "ordinal"}, ["treatment='ordinal'", "'continuous' or 'binary'"]),
        ({"sigma_U": -1}, ["sigma_U=-1", "positive"]),
        ({"treatment": "binary", "sigma_V": 2.0}, ["sigma_V=2.0", "sigma_V=1"]),
        ({"noise": -1}, ["noise=-1", "of at least 0"]),
    ],
)
def test_an_impossible_tank_is_refused(options, said):
    with pytest.raises(ValueError, match=re.escape(said[0])) as caught:
        simulate_aquarium(**options)
    assert said[1] in str(caught.value)
