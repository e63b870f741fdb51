"""The stored data are what the script makes, and what their sources say they are."""

import hashlib
import runpy
from pathlib import Path

import pytest

from helpers import load_lalonde, load_nhefs

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="module")
def made_again(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    runpy.run_path(str(DATA / "make_data.py"))["write"](folder)
    return folder


@pytest.mark.parametrize(
    "name", ["nhefs.csv", "nhefs_everyone.csv", "lalonde_experimental.csv", "lalonde_cps.csv", "SHA256SUMS"]
)
def test_the_script_makes_the_stored_bytes(made_again, name):
    assert (made_again / name).read_bytes() == (DATA / name).read_bytes()


def test_checksums_are_those_of_the_files():
    for line in (DATA / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == digest


def test_every_column_is_described():
    text = (DATA / "README.md").read_text(encoding="utf-8")
    for table in (load_nhefs(everyone=True), load_lalonde()):
        assert [name for name in table if f"`{name}`" not in text] == []


def test_nhefs_is_the_published_sample():
    people = load_nhefs()
    assert people.shape[0] == 1566
    # What If, chapter 12: 403 quitters gained 4.5 kg on average, 1,163 others 2.0 kg
    gain = people.groupby("qsmk").wt82_71.agg(["size", "mean"])
    assert gain["size"].tolist() == [1163, 403]
    assert gain["mean"].round(1).tolist() == [2.0, 4.5]


def test_everyone_is_the_published_cohort():
    people = load_nhefs(everyone=True)
    # What If, chapter 17: 318 of 1,629 died between 1983 and 1992; chapter 12: 63 have no weight of 1982
    assert (len(people), int(people.death.sum()), int(people.wt82_71.isna().sum())) == (1629, 318, 63)
    weighed = people.dropna(subset="wt82_71").drop(columns=["yrdth", "modth"]).reset_index(drop=True)
    assert weighed.equals(load_nhefs())


def test_lalonde_has_its_published_contrasts():
    trial, survey = load_lalonde("experimental"), load_lalonde("cps")
    assert (len(trial), int(trial.treat.sum()), len(survey)) == (445, 185, 16177)
    effect = trial.groupby("treat").re78.mean().diff().iloc[-1]
    assert effect == pytest.approx(1794.34, abs=0.01)


def test_unknown_controls_are_named():
    with pytest.raises(ValueError, match=r"controls='psid'.*cps.*experimental"):
        load_lalonde("psid")
