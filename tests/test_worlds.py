"""Worlds side by side: kept when finished, refused when ambiguous, scored as ArviZ scores them."""

import os
import signal
import threading
import time

import arviz as az
import joblib
import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
import xarray as xr
from dask.distributed import Client, LocalCluster
from oracles import outcome_alone

from helpers import World, fit, fit_worlds, joint_model, make_design, normal, ols, world_table
from which_world import worlds as module
from which_world.engine.from_pymc import observed


@pytest.fixture(scope="module")
def fits(worlds):
    return fit_worlds(worlds, folder=None)


def test_a_failure_names_its_world(worlds, monkeypatch):
    def failing(model, **options):
        raise ValueError("no maximum")

    monkeypatch.setattr(module, "fit", failing)
    with pytest.raises(ValueError, match="no maximum") as caught:
        fit_worlds(worlds[1:], folder=None)
    assert "while fitting the world 'no current'" in caught.value.__notes__


def test_dask_gives_the_same_table(worlds, fits, tmp_path):
    compiler = pytensor.config.cxx
    with (
        Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None),
        joblib.parallel_config(backend="dask"),
    ):
        together = fit_worlds(worlds, folder=tmp_path)
    pd.testing.assert_frame_equal(world_table(together), world_table(fits))
    assert pytensor.config.cxx == compiler  # threads that compile at once would leave it unset


@pytest.mark.filterwarnings("ignore:this posterior is not to be shown")  # a few draws of each
def test_a_killed_worker_loses_no_world(designs, tmp_path):
    """A worker is killed once a world is kept; the others are fitted, and the same as without a cluster."""
    worlds = [World(f"{rho:.2f}", designs["binary", "plain"], rho=rho) for rho in np.linspace(-0.6, 0.6, 6)]
    fitted = threading.Event()

    def kill(client):
        while not any(tmp_path.iterdir()) and not fitted.is_set():
            time.sleep(0.05)
        os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        killer = threading.Thread(target=kill, args=(client,), daemon=True)
        killer.start()
        together = fit_worlds(worlds, draws=200, folder=tmp_path)
        fitted.set()
        killer.join()
    assert len(list(tmp_path.glob("*.nc"))) == len(together) == 6
    alone = fit_worlds(worlds[-1:], draws=200)["0.60"]
    xr.testing.assert_allclose(together["0.60"]["posterior"].to_dataset(), alone["posterior"].to_dataset())


@pytest.mark.parametrize("kind, name", [("binary", "plain"), ("continuous", "instrument")])
def test_the_score_is_arvizs_of_both_likelihoods_together(designs, kind, name):
    design = designs[kind, name]
    row = world_table(fit_worlds([World("free", design)], folder=None)).loc["free"]
    model = observed(joint_model(design))
    idata = pm.compute_log_likelihood(fit(model, seed=1), model=model, progressbar=False)
    both = idata["log_likelihood"]["likelihood_outcome"] + idata["log_likelihood"]["likelihood_treatment"]
    theirs = az.loo(az.from_dict({"posterior": {"alpha": idata["posterior"]["alpha"].values},
                                  "log_likelihood": {"joint": both.values}}))  # fmt: skip
    assert row["elpd"] == pytest.approx(theirs.elpd, abs=0.3)  # of some hundreds, from a thousand draws


def test_the_table_holds_what_the_draws_say(worlds, fits):
    table = world_table(fits, probability=0.8, reference="no current")
    assert list(table.index) == ["OLS", "no current", "free"]
    for name, idata in fits.items():
        alpha = idata["posterior"]["alpha"].values
        assert table.loc[name, "alpha"] == pytest.approx(alpha.mean())
        assert table.loc[name, ["low", "high"]].tolist() == pytest.approx(np.quantile(alpha, [0.1, 0.9]))
        assert table.loc[name, "P(alpha>0)"] == pytest.approx((alpha > 0).mean())
        assert table.loc[name, "gap"] == pytest.approx(alpha.mean() - fits["no current"]["posterior"]["alpha"].mean())
    assert np.isnan(table.loc["OLS", "elpd"]) and np.isnan(table.loc["OLS", "rho"])
    assert table.loc["free", "rho_sd"] > 0 == table.loc["no current", "rho_sd"]
    assert table["d_elpd"].max() == 0
    assert table["interpretation"].tolist() == ["no treatment equation", "", "a current of either sign"]
    assert table["passes"].all()


@pytest.mark.parametrize("best, other", [("no current", "free"), ("free", "no current")])
def test_a_difference_in_score_has_the_standard_error_of_a_sum(fits, best, other):
    """A hundred rows in which one world scores 1 or 5 less, in turn: 300 less in all, give or take √100 · 2."""
    scores = {best: np.zeros(100), other: -np.tile([1.0, 5.0], 50)}
    scored = {name: xr.DataTree.from_dict({"posterior": fits[name]["posterior"].to_dataset(),
                                           "sample_stats": fits[name]["sample_stats"].to_dataset(),
                                           "score": xr.Dataset({"elpd": ("obs", elpd)})})
              for name, elpd in scores.items()}  # fmt: skip
    table = world_table(scored)
    assert table.loc[other, ["elpd", "d_elpd", "d_se"]].tolist() == pytest.approx([-300, -300, 20])
    assert table.loc[best, ["elpd", "d_elpd", "d_se"]].tolist() == [0, 0, 0]


def test_the_world_of_least_squares_has_the_classical_interval(worlds, fits):
    low, high = ols(worlds[0].design).conf_int().loc["alpha"]
    row = world_table(fits).loc["OLS"]
    assert (row["low"], row["high"]) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))
    assert row["alpha"] == pytest.approx(ols(worlds[0].design).params["alpha"])


def test_a_world_has_the_priors_it_names(designs):
    """Three that pull: the posterior at ρ = 0 is that of a regression under them."""
    design, given = designs["continuous", "instrument"], {"alpha": 0.2, "sigma": 0.6}
    world = World("narrow", design, rho=0.0, coefficients=normal(beta_O=0.5), **given)
    row = world_table(fit_worlds([world], folder=None)).loc["narrow"]
    mean, sd, _ = outcome_alone(design, beta=0.5, **given)
    assert row["alpha"] == pytest.approx(mean, abs=0.1 * sd)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * sd, rel=0.06)


def test_an_unknown_reference_is_named(fits):
    with pytest.raises(ValueError, match=r"reference='Mars'; accepted is 'OLS' or 'no cur"):
        world_table(fits, reference="Mars")


OTHERS = {
    "rows": (slice(1, None), {}, "399 and 400 rows, with other values of the outcome"),
    "order": (slice(None, None, -1), {}, "400 and 400 rows, with other values of the outcome"),
    "outcome": (slice(None), {"Y": "X1"}, "with other values of the outcome"),
    "treatment": (slice(None), {"T": "X1"}, "with other values of the treatment"),
}


@pytest.mark.filterwarnings("ignore:this posterior is not to be shown")
@pytest.mark.parametrize("rho", [None, 0.0], ids=["OLS", "no current"])
@pytest.mark.parametrize(("rows", "names", "said"), OTHERS.values(), ids=OTHERS)
def test_worlds_of_other_data_stand_in_no_table(tanks, fits, rho, rows, names, said):
    data = tanks["continuous"].data
    data = data.assign(**{old: data[new] for old, new in names.items()})[rows]
    design = make_design(data, outcome="Y ~ T + X0", treatment="T ~ X0 + X2")
    other = fit_worlds([World("other", design, rho=rho)], draws=100, chains=2, folder=None)
    with pytest.raises(ValueError, match=rf"fits\['other'\].* and fits\['OLS'\] are of other data: .*{said}"):
        world_table(fits | other)
    assert list(world_table(other).index) == ["other"]


def test_two_worlds_of_one_name_are_refused(worlds):
    with pytest.raises(ValueError, match=r"worlds share names: \['free'\]; give each its own"):
        fit_worlds([worlds[2], worlds[1], worlds[2]], folder=None)


@pytest.mark.parametrize(
    "use, said",
    [
        (lambda design: fit_worlds([design]), r"worlds\[0\]=Design\(.*; accepted is a World\(name, design"),
        (
            lambda design: World("Mars", design.y),
            r"world 'Mars': design=numpy.ndarray of shape .*; accepted is a Design from make_design",
        ),
    ],
)
def test_what_is_no_world_is_refused(designs, use, said):
    with pytest.raises(TypeError, match=said):
        use(designs["continuous", "plain"])
