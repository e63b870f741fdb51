"""Linear algebra takes one thread, and gives the others back."""

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

import which_world
from helpers import simulate_aquarium

POOLS = ThreadpoolController()
FACTORISATIONS = "qr", "cholesky", "solve", "inv", "svd", "eigh", "lstsq"
WORK = {
    "make_design": lambda design, data: tank(data),
    "ols": lambda design, data: which_world.ols(design),
    "maximum_likelihood": lambda design, data: which_world.maximum_likelihood(design),
    "map_rho": lambda design, data: which_world.map_rho(design, draws=100),
    "benchmark_rho": lambda design, data: which_world.benchmark_rho(design),
    "robustness_value": lambda design, data: which_world.robustness_value(design),
    "influence": lambda design, data: which_world.influence(design),
    "fit": lambda design, data: which_world.fit(design, draws=200, chains=2),
    "shuffle_test": lambda design, data: which_world.shuffle_test(design, shuffles=2),
}


def tank(data):
    return which_world.make_design(data, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1 + X2")


def threads():
    return {pool["num_threads"] for pool in POOLS.info()}


@pytest.fixture(scope="module")
def data():
    return simulate_aquarium(200, treatment="binary", rho=0.4, instruments=1, seed=1).data


@pytest.mark.quick
@pytest.mark.parametrize("name", WORK)
def test_a_public_function_factorises_on_one_thread(name, data, monkeypatch):
    """Small matrices gain nothing from a second thread, and lose what it costs to wait for it."""
    seen = []

    def watched(genuine):
        def call(*arguments, **options):
            seen.append(threads())
            return genuine(*arguments, **options)

        return call

    design = tank(data)
    for each in FACTORISATIONS:
        monkeypatch.setattr(np.linalg, each, watched(getattr(np.linalg, each)))
    with threadpool_limits(2):
        WORK[name](design, data)
        assert threads() == {2}
    assert seen and set.union(*seen) == {1}
