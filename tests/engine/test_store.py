"""Finished worlds on disk: kept, found again by what they are, and nothing in the way where a file is damaged."""

import os
import subprocess
import sys

import pandas as pd
import pytest
import xarray as xr

from helpers import World, fit, fit_worlds, world_table
from which_world import worlds as module


def never(*args, **options):
    raise AssertionError("a finished world was fitted again")


def test_a_second_run_fits_nothing(worlds, tmp_path, monkeypatch):
    first = fit_worlds(worlds, draws=200, folder=tmp_path)
    monkeypatch.setattr(module, "fit", never)
    second = fit_worlds(worlds, draws=200, folder=tmp_path)
    assert list(second) == ["OLS", "no current", "free"]
    for name in first:
        xr.testing.assert_equal(first[name]["posterior"].to_dataset(), second[name]["posterior"].to_dataset())
    pd.testing.assert_frame_equal(world_table(first), world_table(second))


@pytest.mark.parametrize("change", [{"draws": 201}, {"seed": 1}, {"rho": 0.1}, {"alpha": 2.0}])
def test_a_changed_world_is_fitted_again(worlds, tmp_path, monkeypatch, change):
    settings = {"draws": 200, "seed": 0} | {name: value for name, value in change.items() if name in ("draws", "seed")}
    assumed = {"rho": 0.0} | {name: value for name, value in change.items() if name in ("rho", "alpha")}
    fit_worlds(worlds[1:2], draws=200, seed=0, folder=tmp_path)
    monkeypatch.setattr(module, "fit", never)
    with pytest.raises(AssertionError, match="fitted again"):
        fit_worlds([World("no current", worlds[1].design, **assumed)], **settings, folder=tmp_path)


def test_an_interrupted_run_keeps_what_was_finished(worlds, tmp_path, monkeypatch):
    def interrupted(model, **options):
        if "rho" in {rv.name for rv in model.free_RVs}:
            raise KeyboardInterrupt
        return fit(model, **options)

    monkeypatch.setattr(module, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_worlds(worlds, draws=200, folder=tmp_path)
    monkeypatch.setattr(module, "fit", never)
    assert list(fit_worlds(worlds[:2], draws=200, folder=tmp_path)) == ["OLS", "no current"]


def test_a_store_that_fills_up_costs_nothing_but_the_file(worlds, tmp_path, monkeypatch):
    def cut(tree, path, **options):
        path.write_bytes(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(xr.DataTree, "to_netcdf", cut)
        with pytest.warns(UserWarning, match="could not be kept .*disk full"):
            assert list(fit_worlds(worlds[:1], draws=200, folder=tmp_path)) == ["OLS"]
    assert not list(tmp_path.iterdir())


def test_a_store_that_cannot_be_written_is_refused_before_the_work(worlds, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ols", never)
    (tmp_path / "file").write_text("a reader's")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=r"cannot be written in.*accepted is a folder where you may write"):
            fit_worlds(worlds[:1], folder=folder)


@pytest.mark.parametrize("harm", ["emptied", "cut", "a bit turned", "another file"])
def test_a_damaged_file_is_set_aside_and_its_world_fitted_again(worlds, tmp_path, harm):
    first = fit_worlds(worlds[:2], draws=200, folder=tmp_path)
    hurt, _ = sorted(tmp_path.glob("*.nc"))
    whole = hurt.read_bytes()
    turned = bytearray(whole)
    turned[len(whole) // 2] ^= 1
    hurt.write_bytes({"emptied": b"", "cut": whole[:-100], "a bit turned": turned, "another file": b"a,b\n1,2\n"}[harm])
    with pytest.warns(UserWarning, match="is damaged.*fitted again"):
        second = fit_worlds(worlds[:2], draws=200, folder=tmp_path)
    for name in first:
        xr.testing.assert_equal(first[name]["posterior"].to_dataset(), second[name]["posterior"].to_dataset())
    assert len(list(tmp_path.glob("*.nc"))) == 2
    assert len(list(tmp_path.glob("*.damaged"))) == 1


FINGERPRINTS = """
from scipy.stats import beta, norm, truncnorm, uniform
from helpers import World, atanh_normal, excluded, horseshoe, make_design, simulate_aquarium, spike_and_slab
from which_world.engine.store import key
design = make_design(simulate_aquarium(50).data, outcome="Y ~ T + X0", treatment="T ~ X0 + C(X1 > 0)")
priors = [0.2, atanh_normal(), uniform(-0.5, 1), uniform(-0.5, 0.9), uniform(loc=-0.5, scale=0.8), norm(0, 0.2),
          truncnorm(-1, 1, 0, 0.3), beta(2, 2, -1, 2)]
coefficients = [spike_and_slab(), horseshoe(), excluded(["X0"]), excluded(["X0"], others=spike_and_slab(size=1))]
worlds = [World("w", design, rho=rho) for rho in priors] + [World("w", design, coefficients=c) for c in coefficients]
print(*[key(world.design, {k: v for k, v in vars(world).items() if k != "design"}) for world in worlds])
"""


def test_a_fingerprint_is_the_same_in_every_process_and_only_for_the_same_world():
    runs = [
        subprocess.run(
            [sys.executable, "-c", FINGERPRINTS], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout.split()
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == len(runs[0]) == 12
