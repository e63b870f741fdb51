"""Holding the treatment: two nodes for one treatment, of which one acts and the other tells what was hidden."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest

from helpers import bart, fit, joint_model, make_design, potential_outcomes

ALPHA, N = {"continuous": 3.0, "binary": 1.0}, 2_000
ONCE = "FAST_COMPILE"  # of what is drawn a few times
PAIRS = [(outcome, treatment) for outcome in ALPHA for treatment in ALPHA]


def fish(outcome, treatment, rho, seed=5):
    """Rows, and the mean outcome of the same fish with the treatment at 1 and at 0."""
    rng = np.random.default_rng(seed)
    x, z, V = rng.normal(size=(3, N))
    U = rho * V + np.sqrt(1 - rho**2) * rng.normal(size=N)
    chosen = 0.3 + 0.6 * x + 0.8 * z + V
    T = chosen if treatment == "continuous" else (chosen > 0).astype(int)

    def swim(t):
        line = -0.4 + ALPHA[outcome] * t + 0.5 * x + U
        return line if outcome == "continuous" else (line > 0).astype(int)

    return pd.DataFrame({"Y": swim(T), "T": T, "x": x, "z": z}), (swim(1).mean(), swim(0).mean())


def known(design, outcome, treatment, rho):
    """The parameters that made these fish, on the scale of standardised covariates."""
    sd = design.scales["sd"]
    T_mean, x_mean, z_mean = design.t_mean, *design.scales.loc[["x", "z"], "mean"]
    found = {
        "alpha": ALPHA[outcome], "rho": rho, "beta_O_free": np.array([0.5 * sd["x"]]),
        "beta_T": np.array([0.6 * sd["x"], 0.8 * sd["z"]]),
        "intercept_O": -0.4 + 0.5 * x_mean + ALPHA[outcome] * T_mean,
        "intercept_T": 0.3 + 0.6 * x_mean + 0.8 * z_mean,
    }  # fmt: skip
    found |= {"sigma_U": 1.0} if outcome == "continuous" else {}
    return found | ({"sigma_V": 1.0} if treatment == "continuous" else {})


def mean_outcome(model, node, level, draws=10):
    held = pm.do(model, {node: np.full(N, level, dtype=model[node].dtype)})
    return pm.draw(held["likelihood_outcome"], draws=draws, random_seed=1, mode=ONCE).mean()


@pytest.mark.parametrize("rho", [-0.7, 0.7])
@pytest.mark.parametrize(("outcome", "treatment"), PAIRS)
def test_holding_the_treatment_moves_the_water_and_leaves_the_fish(outcome, treatment, rho):
    data, truth = fish(outcome, treatment, rho)
    design = make_design(data, outcome="Y ~ T + x", treatment="T ~ x + z")
    model = pm.do(joint_model(design), known(design, outcome, treatment, rho))
    for level, right in zip((1, 0), truth):
        # these fish are a sample of the model's: four standard errors of their mean
        error = 4 * np.sqrt((1.25 if outcome == "continuous" else 0.25) / N)
        assert abs(mean_outcome(model, "treatment", level) - right) < error, level
    trap = mean_outcome(model, "likelihood_treatment", 1) - mean_outcome(model, "likelihood_treatment", 0)
    assert np.sign(trap - (truth[0] - truth[1])) == np.sign(rho)
    assert abs(trap - (truth[0] - truth[1])) > 0.1


@pytest.mark.parametrize(("outcome", "treatment"), PAIRS)
def test_held_outcomes_of_a_posterior_are_the_potential_outcomes(outcome, treatment):
    data, truth = fish(outcome, treatment, 0.7)
    design = make_design(data, outcome="Y ~ T + x", treatment="T ~ x + z")
    model = joint_model(design)
    idata = fit(model, draws=250, chains=4)
    told = potential_outcomes(idata, design).sel(group="everyone").mean()
    unit = 100 if outcome == "binary" else 1
    observed = pm.observe(model, {"likelihood_treatment": data["T"].to_numpy()})
    means = []
    for level in (1, 0):
        held = pm.do(observed, {"treatment": np.full(N, level, dtype=model["treatment"].dtype)})
        drawn = pm.sample_posterior_predictive(
            idata.sel(draw=slice(None, None, 10)),
            model=held,
            var_names=["likelihood_outcome"],
            progressbar=False,
            random_seed=2,
        )
        means.append(unit * float(drawn["posterior_predictive"]["likelihood_outcome"].mean()))
    # imputation knows each fish's own answer, prediction its law: equal on average
    assert abs(means[0] - means[1] - float(told.effect)) < unit * 0.03
    assert abs(means[0] - means[1] - unit * (truth[0] - truth[1])) < unit * 0.2


def test_a_forest_keeps_the_fish_as_well():
    data, _ = fish("continuous", "binary", 0.7)
    design = make_design(data, outcome="Y ~ T + x", treatment="T ~ x + z")
    model = joint_model(design, treatment=bart(trees=5))
    index = 0.3 + 0.6 * data["x"].to_numpy() + 0.8 * data["z"].to_numpy()
    parameters = known(design, "continuous", "binary", 0.7)
    parameters = {name: parameters[name] for name in ("alpha", "rho", "beta_O_free", "intercept_O", "sigma_U")}
    model = pm.do(model, parameters | {"forest_T": index})
    contrast = mean_outcome(model, "treatment", 1) - mean_outcome(model, "treatment", 0)
    assert abs(contrast - ALPHA["continuous"]) < 0.05
