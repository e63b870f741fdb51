"""The report and the command-line program: whole or not at all, plain about what the data cannot say."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import xarray as xr
from click.testing import CliRunner
from oracles import residual_sd
from scipy.stats import norm

from helpers import load_lalonde, make_design, make_report, ols, read_table, simulate_aquarium, write_report
from which_world import maps
from which_world.__main__ import main, speak_plainly
from which_world.checks import shuffle_test
from which_world.maps import smoothed, unreliable
from which_world.report import folder as folders
from which_world.report.contents import _reweigh, _tipping, _unread
from which_world.report.examine import MISLED, data_checks
from which_world.report.figure import reach, shown
from which_world.report.folder import check_free
from which_world.report.publish import FILES
from which_world.report.sentences import conclusion, limits, overturns, unread
from which_world.report.short import in_short
from which_world.report.words import number, percent

ROOT = Path(__file__).parent.parent.parent
PONDS = ROOT / "data" / "ponds.csv"
OUTCOME = "gain_g ~ feed_g + start_g + temp_c + C(site)"
TREATMENT = "feed_g ~ start_g + temp_c + C(site)"


def command(folder, *options, csv=PONDS, outcome=OUTCOME, treatment=TREATMENT):
    return [sys.executable, "-m", "helpers", str(csv), "--outcome", outcome, "--treatment", treatment,
            "--out", str(folder), *options]  # fmt: skip


def run(*arguments, **named):
    done = subprocess.run(command(*arguments, **named), capture_output=True, text=True, cwd=ROOT)
    assert "Traceback" not in done.stderr
    return done


def attempt(*arguments, **named):
    """The same within this process: quicker."""
    done = CliRunner().invoke(main, command(*arguments, **named)[3:])
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def refused(done, *words):
    """One sentence on standard error, nothing on standard output."""
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("Error: ") and "\x1b" not in done.stderr
    assert [word for word in words if word not in lines[0]] == []


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "deep" / "report"
    return run(folder, "--drop-missing", "--unit", "g per g"), folder


@pytest.fixture(scope="module")
def report():
    table = read_table(PONDS, outcome=OUTCOME, treatment=TREATMENT, drop_missing=True)
    design = make_design(table.data, outcome=table.outcome, treatment=table.treatment)
    return make_report(design, unit="g per g", dropped=table.dropped)


def test_a_report_has_every_file_and_leaves_nothing_beside(written):
    done, folder = written
    assert done.returncode == 0 and str(folder) in done.stdout
    assert done.stderr == ""  # no bar where there is no terminal
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


def test_the_files_hold_the_same_worlds(written):
    _, folder = written
    table = pd.read_csv(folder / "table.csv", index_col="world")
    with xr.open_datatree(folder / "draws.nc") as tree:
        means = tree["worlds"].alpha.mean("draw").to_series()
        assert tree["map"].sizes["rho"] >= 25
    assert np.allclose(means[table.index], table["alpha"], rtol=0.02)
    assert (folder / "map.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (folder / "map.svg").read_text(encoding="utf-8")
    assert r"\begin{tabular}" in (folder / "table.tex").read_text(encoding="utf-8")
    for name in ("table.html", "report.html", "report.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert [world for world in table.index if world not in text] == []


def test_a_report_is_not_replaced_unless_forced(tmp_path, written):
    _, folder = written
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    refused(run(folder, "--drop-missing"), "earlier report", "--force")
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_force_replaces_a_report_and_nothing_else(tmp_path, report):
    folder = write_report(report._replace(paragraph="old"), tmp_path / "out")
    write_report(report, folder, force=True)
    assert (folder / "report.txt").read_text(encoding="utf-8").startswith("Among 397 of 420 rows (the other 23")
    (folder / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match=r"thesis\.tex"):
        write_report(report, folder, force=True)
    assert (folder / "thesis.tex").read_text() == "precious"


def test_a_report_that_fails_half_way_leaves_no_trace(tmp_path, report, monkeypatch):
    folder = write_report(report, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("which_world.report.publish._draw", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(report, folder, force=True)
    with pytest.raises(OSError, match="disk full"):
        write_report(report, tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_program_that_is_stopped_as_it_makes_its_folder_leaves_no_trace(tmp_path, report, monkeypatch):
    make = os.mkdir

    def and_stop(path, *mode):
        make(path, *mode)
        if os.path.basename(path).startswith("."):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "mkdir", and_stop)
    with pytest.raises(KeyboardInterrupt):
        write_report(report, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_stopped_leaves_no_trace(tmp_path):
    running = subprocess.Popen(command(tmp_path / "out", "--drop-missing"), cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    deadline = time.monotonic() + 60
    while not (beside := list(tmp_path.iterdir())) and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGTERM)
    running.communicate(timeout=30)
    left = [path.name for path in tmp_path.iterdir()]
    assert beside and (left == [] or (left == ["out"] and sorted(os.listdir(tmp_path / "out")) == sorted(FILES)))
    assert running.returncode != 0 or left == ["out"]


BAD = {
    "missing values are counted": ({}, ["23 of 420 rows", "'start_g' has 9", "'temp_c' has 14", "--drop-missing"]),
    "no such file": ({"csv": "nowhere.csv"}, ["nowhere.csv' is no file"]),
    "no such column": ({"outcome": "gain_g ~ feed_g + depth", "treatment": "feed_g ~ temp_c"}, ["depth"]),
    "not a formula": (
        {"outcome": "gain_g ~ feed_g +"},
        ["cannot be read as a formula", "stands in backticks: `Body Mass (kg)`"],
    ),
    "an unknown function": (
        {"outcome": "gain_g ~ feed_g + nosuch(delivery_km)", "treatment": "feed_g ~ 1"},
        ["nosuch"],
    ),
    "half a formula": ({"outcome": "gain_g"}, ["accepted is a two-sided formula"]),
    "a name with spaces, bare": ({"outcome": "gain g ~ feed_g"}, ["outcome='gain g ~ feed_g'", "in backticks"]),
    "no treatment": (
        {"outcome": "gain_g ~ delivery_km", "treatment": "feed_g ~ delivery_km"},
        ["does not contain the treatment 'feed_g'"],
    ),
    "words for numbers": ({"outcome": "site ~ feed_g", "treatment": "feed_g ~ delivery_km"}, ["'site'", "numbers"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_a_sentence(tmp_path, case):
    named, words = BAD[case]
    refused(attempt(tmp_path / "out", **named), *words)
    assert list(tmp_path.iterdir()) == []


def test_a_constant_treatment_and_an_unreadable_file_are_refused(tmp_path):
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0] * 9, "t": 1, "x": np.arange(27)})
    data.to_csv(tmp_path / "still.csv", index=False)
    named = {"csv": tmp_path / "still.csv", "outcome": "y ~ t + x", "treatment": "t ~ x"}
    refused(attempt(tmp_path / "out", **named), "'t'", "constant at 1")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe\x00\x01" * 9)
    refused(attempt(tmp_path / "out", **named | {"csv": tmp_path / "picture.csv"}), "picture.csv")
    assert not (tmp_path / "out").exists()


def test_wrong_usage_has_a_status_of_its_own(tmp_path):
    done = subprocess.run([sys.executable, "-m", "helpers", "--wrong"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stdout == ""


def test_help_shows_an_example_that_runs(tmp_path):
    done = subprocess.run([sys.executable, "-m", "helpers", "--help"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    example = done.stdout[done.stdout.index("python -m which_world data/") :].replace("\\\n", " ")
    example = example.replace("python", sys.executable, 1).replace("report/", str(tmp_path / "report"))
    assert subprocess.run(example, shell=True, cwd=ROOT, capture_output=True).returncode == 0
    assert (tmp_path / "report" / "report.md").exists()


def test_a_bar_on_a_terminal(tmp_path):
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    running = subprocess.Popen(command(tmp_path / "out", "--drop-missing"), cwd=ROOT, env=environment,
                               stdout=subprocess.DEVNULL, stderr=follower)  # fmt: skip
    os.close(follower)
    shown = b""
    while running.poll() is None or shown == b"":
        try:
            shown += os.read(leader, 4096)
        except OSError:
            break
    assert running.wait() == 0 and "draw the map" in shown.decode(errors="ignore")


OWN = pd.DataFrame(
    {"Body Mass (kg)": np.arange(30.0), "smoker?": [0, 1] * 15, "yr.": np.arange(30) ** 2, "if": list("ab") * 15}
)
NAMED = {"outcome": "`Body Mass (kg)` ~ `smoker?` + `yr.`", "treatment": "`smoker?` ~ `yr.`"}


def test_messages_and_reports_speak_the_names_of_the_file(tmp_path):
    OWN.to_csv(tmp_path / "own.csv", index=False)
    table = read_table(tmp_path / "own.csv", **NAMED)
    assert table.names == {"Body_Mass_kg": "Body Mass (kg)", "smoker": "smoker?", "yr": "yr."}
    design = make_design(table.data, outcome=table.outcome, treatment=table.treatment)
    assert "smoker is 'smoker?' and yr is 'yr.'" in data_checks(design, names=table.names)[1]
    message = r"name 'Age \(years\)', which own.csv does not have; its columns are \['Body Mass \(kg\)'"
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / "own.csv", outcome="`Body Mass (kg)` ~ `smoker?` + `Age (years)`", treatment="t ~ 1")
    OWN.assign(**{"smoker?": 1}).to_csv(tmp_path / "still.csv", index=False)
    refused(attempt(tmp_path / "out", csv=tmp_path / "still.csv", **NAMED), "treatment 'smoker?' is constant")


def test_names_that_collapse_or_stand_twice_are_refused(tmp_path):
    data = OWN.assign(**{"yr": 1.0})
    with pytest.raises(ValueError, match=r"'yr.' and 'yr' become the same plain name; rename one"):
        read_table(data, **NAMED)
    (tmp_path / "twice.csv").write_text("y,t,site,site\n1,0,a,b\n2,1,a,b\n")
    with pytest.raises(ValueError, match="more than one column named 'site'"):
        read_table(tmp_path / "twice.csv", outcome="y ~ t + site", treatment="t ~ site")


def test_a_stray_text_among_numbers_is_refused_unless_categorical():
    data = OWN.astype({"yr.": object})
    data.loc[5, "yr."] = "?"
    with pytest.raises(ValueError, match=r"'yr.' holds 29 numbers and '\?' \(row 6\); .*C\(`yr.`\)"):
        read_table(data, **NAMED)
    table = read_table(data, outcome="`Body Mass (kg)` ~ `smoker?` + C(`yr.`)", treatment="`smoker?` ~ C( `yr.` )")
    assert table.outcome == "Body_Mass_kg ~ smoker + C(yr)"
    read_table(OWN, outcome="`Body Mass (kg)` ~ `smoker?` + `if`", treatment="`smoker?` ~ `if`")  # words are welcome


def test_marks_of_other_countries_are_suggested(tmp_path):
    path, formulas = tmp_path / "euro.csv", {"outcome": "y ~ t + x", "treatment": "t ~ x"}
    path.write_text("y;t;x\n1,5;0;2,5\n2,5;1;3,5\n", encoding="utf-8")
    with pytest.raises(ValueError, match="stand between semicolons, say --separator ';'"):
        read_table(path, **formulas)
    with pytest.raises(ValueError, match="for decimal commas use --decimal ,"):
        read_table(path, separator=";", **formulas)
    assert read_table(path, separator=";", decimal=",", **formulas).data.y.tolist() == [1.5, 2.5]
    path.write_text(path.read_text().replace(";", "\t"))
    assert len(read_table(path, separator=r"\t", decimal=",", **formulas).data) == 2
    path.write_bytes("y,t,größe\n1,0,2\n".encode("latin-1"))
    with pytest.raises(ValueError, match="accepted is UTF-8: save it so"):
        read_table(path, **formulas)


def test_names_with_spaces_are_made_plain():
    data = pd.DataFrame({"body weight (g)": [1.0, 2.0], "2nd dose": [0.0, 1.0]})
    table = read_table(data, outcome="`body weight (g)` ~ `2nd dose`", treatment="`2nd dose` ~ 1")
    assert (table.outcome, table.treatment) == ("body_weight_g ~ _2nd_dose", "_2nd_dose ~ 1")
    assert list(table.data) == ["body_weight_g", "_2nd_dose"] and list(data) == ["body weight (g)", "2nd dose"]


def test_dropped_rows_are_counted_and_only_those_that_matter():
    table = read_table(PONDS, outcome="gain_g ~ feed_g + temp_c", treatment="feed_g ~ temp_c", drop_missing=True)
    assert (table.dropped, len(table.data)) == (14, 406)
    with pytest.raises(ValueError, match="all 2 rows"):
        read_table(pd.DataFrame({"y": [1.0, None], "t": [None, 2.0]}), outcome="y ~ t", treatment="t ~ 1",
                   drop_missing=True)  # fmt: skip


def test_the_first_worlds_are_least_squares(report):
    alpha = ols(report.design).params["alpha"]
    assert report.worlds.loc["OLS", "alpha"] == pytest.approx(alpha)
    assert report.worlds.loc["ρ = 0", "alpha"] == pytest.approx(alpha, abs=0.03)


def test_the_truth_lies_where_its_current_says(report):
    """The ponds were made with α = 2 and, in this design, a current of about 0.37."""
    firmly, least = report.worlds.loc["ρ near +0.3, firmly"], report.worlds.loc["OLS"]
    assert firmly["low"] < 2.0 < firmly["high"] and least["low"] > 2.0


def test_the_mean_of_the_treatment_does_not_matter(report):
    """A prior of the intercept at a treatment of zero would be a prior on α in disguise."""
    moved = make_report(replace(report.design, t=report.design.t + 1e3))
    assert np.allclose(moved.worlds["alpha"], report.worlds["alpha"], atol=1e-5)
    assert abs(report.worlds.loc["ρ free", "rho"]) < 0.15  # what is left is the prior of α, which prefers small ones


def test_other_units_give_the_same_answer_in_other_units(report):
    design = report.design
    heavy = make_report(replace(design, y=design.y / 1e3))
    assert np.allclose(1e3 * heavy.worlds["alpha"], report.worlds["alpha"], rtol=0.02)
    assert heavy.tipping["interval"] == pytest.approx(report.tipping["interval"], abs=1e-3)


def test_sensitivity_agrees_with_a_map_under_that_prior(report):
    design = report.design
    sd = design.y.std() / residual_sd(design.t, design.C[:, design.in_outcome])
    again = make_report(report.design, alpha=sd / 2)
    read = report.sensitivity.loc["prior of α half as wide"]
    assert again.worlds.loc["ρ free", ["alpha", "low", "high"]].to_numpy() == pytest.approx(
        read[["alpha", "low", "high"]].to_numpy(), abs=0.15
    )


def test_the_paragraph_counts_the_dropped_rows_and_says_how_far_the_priors_matter(report):
    rows = "Among 397 of 420 rows (the other 23 have a missing value and were dropped), "
    assert report.paragraph.startswith(f"{rows}the least-squares slope of gain_g on feed_g is 3.26 g per g (95 %")
    table = report.sensitivity
    said = next(line for line in report.overturns if "half and twice as wide" in line)
    assert said in report.paragraph
    assert f"lies between {table.alpha.min():.1f} and {table.alpha.max():.1f} g per g" in said
    assert f"P(α > 0) between {100 * table['P(alpha>0)'].min():.0f} % and over 99 %" in said
    assert f"excludes zero in {(table.low > 0).sum()} of 5 cases" in said and (table.low > 0).sum() == 1
    one = conclusion(report._replace(dropped=1))
    assert one.startswith("Among 397 of 398 rows (the other has a missing value and was dropped), ")
    assert conclusion(report._replace(dropped=0)).startswith("Among 397 rows, the ")
    assert "by the prior of ρ and not by these data" in report.paragraph  # the likelihood is flat in ρ


def test_every_assumption_is_named(report):
    text = " ".join(report.assumptions)
    for word in ("straight-line", "same effect", "normal", "independent", "before the treatment", "dropped", "atanh ρ",
                 "α ~ Normal", "σ_U"):  # fmt: skip
        assert word in text
    assert "flat in ρ" in report.limits[0] and report.limits[0] in report.paragraph


def test_an_instrument_and_a_binary_treatment_are_spoken_of():
    data = simulate_aquarium(400, treatment="binary", seed=2).data
    plain = make_report(make_design(data, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1"))
    piped = make_report(make_design(data, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1 + X2"))
    assert "normal shape" in plain.limits[0] and "X2" in piped.limits[0]
    assert any("exclusion" in line for line in piped.assumptions) and "first-stage F" in " ".join(piped.checks)
    assert any("treated" in line for line in plain.checks)


def tank(pull, *, n=600, alpha=-7.0, rho=0.6, seed=0):
    """A continuous treatment that an instrument moves with this strength, and a current."""
    x, z, V, e = np.random.default_rng(seed).normal(size=(4, n))
    t = x + pull * z + V
    return pd.DataFrame({"x": x, "z": z, "t": t, "y": alpha * t + x + 10 * (rho * V + np.sqrt(1 - rho**2) * e)})


@pytest.fixture(scope="module")
def strong():
    return make_report(make_design(tank(2.0), outcome="y ~ t + x", treatment="t ~ x + z"), unit="mm")


def test_a_strong_instrument_rules_currents_out(strong):
    low, high = strong.draws.rho.sel(world="ρ free").quantile([0.025, 0.975]).values
    assert (
        f"With z as instrument the posterior of ρ, under its prior, has mean {strong.worlds.rho['ρ free']:.2f} "
        f"(95 % interval {low:.2f} to {high:.2f}), away from zero" in strong.overturns[0]
    )
    assert strong.tipping["interval"] < low and "lies outside that range" in strong.overturns[0]
    assert strong.overturns[0] in strong.paragraph and "in doubt" not in strong.paragraph
    assert "leave ρ open" not in strong.paragraph


def test_a_belief_from_scipy_is_told_by_its_family():
    design = make_design(tank(2.0), outcome="y ~ t + x", treatment="t ~ x")
    said = " ".join(make_report(design, belief=norm(0, scale=0.3)).assumptions)
    assert "ρ has the prior norm(0, scale=0.3)" in said and "object at" not in said


def test_a_belief_that_the_data_contradict_says_so(strong):
    world = strong.worlds.loc["ρ near -0.3, firmly"]
    against = f"the data contradict this belief: they move ρ from -0.30 to {world['rho']:+.2f}"
    assert against in world["interpretation"] and against in " ".join(strong.overturns)
    assert "contradict" not in strong.worlds.loc["ρ free", "interpretation"]


def test_an_instrument_is_no_benchmark(strong, tmp_path):
    assert list(strong.benchmarks.index) == ["x"]
    text = (write_report(strong, tmp_path / "out") / "report.md").read_text(encoding="utf-8")
    assert "z is an instrument and no benchmark." in text and "| z |" not in text


def test_a_weak_instrument_says_next_to_nothing():
    weak = make_design(tank(0.02), outcome="y ~ t + x", treatment="t ~ x + z")
    assert re.match(r"z hardly moves t \(F = \d\.\d\)", limits(weak)[0])
    binary = make_design(
        tank(0.02).assign(t=lambda d: (d.t > 0).astype(int)), outcome="y ~ t + x", treatment="t ~ x + z"
    )
    assert re.search(r"rests on z and on the assumed normal shape.*; with F = \d\.\d mostly on", limits(binary)[0])


def test_an_instrument_that_pulls_the_current_off_the_map_still_gets_a_report():
    """z moves the outcome by itself, so as an instrument it asks for a current that no correlation can be."""
    data = tank(0.3, rho=0.0).assign(y=lambda d: d.y + 60 * d.z)
    pulled = make_report(make_design(data, outcome="y ~ t + x", treatment="t ~ x + z"))
    assert np.isnan(pulled.worlds.loc["ρ free", "alpha"])
    assert re.search(r"With ρ free no answer can be given: \d+ % of the posterior lies", pulled.paragraph)


def test_a_current_found_in_shuffled_data_is_not_learned_from(strong):
    assert "the posterior of ρ" in overturns(strong)[0] and "the data put" not in strong.paragraph
    condemned = strong._replace(shuffled=0.6)
    assert "the posterior of ρ" not in overturns(condemned)[0]
    assert "ρ free" not in " ".join(overturns(condemned)) and "contradict" not in " ".join(overturns(condemned))
    settled = strong.sensitivity.assign(**{"P(alpha>0)": 0.0, "alpha": -7.0})
    said = " ".join(overturns(strong._replace(sensitivity=settled)))
    assert re.search(r"lies at -7\.\d+ mm, P\(α > 0\) at under 1 %, and .* excludes zero in 5 of 5 cases", said)


def test_a_map_that_cannot_carry_the_free_world_says_why(strong):
    edge = "18.2% of the posterior lies at the ends of the map (rho -0.984 and 0.984); accepted is a wider map: map_rho"
    assert _unread(edge) == "18 % of the posterior lies beyond ρ = ±0.98"
    worlds = strong.worlds.copy()
    worlds.loc["ρ free", "alpha"] = np.nan
    worlds.loc["ρ free", "interpretation"] = f"not shown: {_unread(edge)}"
    said = conclusion(strong._replace(worlds=worlds))
    assert "no answer can be given: 18 % of the posterior lies beyond ρ = ±0.98, so these formulas" in said
    assert "Check the instrument z, or state a narrower belief (--belief 0 0.2)." in said


def test_overlap_is_judged_by_rows_and_by_gaps_apart():
    x, e, V = np.random.default_rng(1).normal(size=(3, 800))
    apart = pd.DataFrame({"x": x, "t": (0.5 * x + V > 0).astype(int), "y": e})
    far = apart.assign(t=(4 * x + V > 0).astype(int))
    near, wide = (next(line for line in data_checks(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
                       if "differ most" in line) for data in (apart, far))  # fmt: skip
    assert "has to carry the comparison" in near and "extrapolate" not in near
    assert "extrapolate: few comparable rows" in wide


def test_an_outcome_of_zeros_and_ones_has_no_shape():
    data = tank(1.0).assign(w=lambda d: (d.y > 0).astype(int))
    said = data_checks(make_design(data, outcome="w ~ t + x", treatment="t ~ x", outcome_kind="continuous"))[-1]
    assert said.startswith("w has only the values 0 and 1") and "share" in said
    heaps = data.assign(w=lambda d: np.sign(d.z) * 5 + 0.1 * d.x)
    assert "far from the normal shape" in data_checks(make_design(heaps, outcome="w ~ t + x", treatment="t ~ x"))[-1]
    assert "not far" not in data_checks(make_design(heaps, outcome="w ~ t + x", treatment="t ~ x"))[-1]


def test_a_binary_treatment_has_no_unit_and_a_categorical_covariate_is_listed():
    data = tank(1.0).assign(t=lambda d: (d.t > 0).astype(int), site=lambda d: np.where(d.z > 0, "a", "b"))
    binary = make_report(make_design(data, outcome="y ~ t + x + site", treatment="t ~ x + site"))
    assert binary.paragraph.startswith("Among 600 rows, t = 1 goes with a difference of")
    assert "slope" not in binary.paragraph
    assert binary.assumptions[1] == "t has the same effect α for every row."
    assert "site is categorical, with 2 levels." in binary.checks
    assert re.search(r"in \d+ of 100 shuffles, .* about 5 at most\. Passing is no acquittal", binary.checks[-1])


def test_a_current_no_covariate_can_match_is_called_none(report):
    table = report.benchmarks.assign(rho=-np.sign(report.tipping["interval"]) * report.benchmarks.rho.abs())
    assert "there is no measured current at all" in " ".join(overturns(report._replace(benchmarks=table)))


def test_tables_are_rounded_and_settled_probabilities_are_words(report, tmp_path):
    folder = write_report(report, tmp_path / "out")
    latex = (folder / "table.tex").read_text(encoding="utf-8")
    assert latex.startswith("% needs \\usepackage{booktabs}\n") and r"$P(\alpha > 0)$" in latex
    firm = report.worlds.loc["ρ near -0.3, firmly", "alpha"]
    assert r"$> 0.999$" in latex and "world" not in latex
    assert rf"$\rho$ near $-0.3$, firmly & ${firm:.2f}$" in latex
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "| OLS | 3.26 | 2.93 to 3.59 |  | > 0.999 |" in text
    assert "e-" not in text.split("## What else would")[0].split("## Which")[1]
    assert "| prior | α | 95 % interval | ρ | P(α > 0) |" in text and "\n\n## Other priors" in text
    assert "reason" not in text


def test_numbers_have_no_negative_zero():
    assert (number(-0.004, 0.5), number(-0.5, 0.5), number(101_234.5, 22)) == ("0.00", "-0.50", "101,234")
    assert (percent(-1e-16), percent(-0.0004, 1), percent(-0.004, 1)) == ("0 %", "0.0 %", "-0.4 %")


def test_a_report_fills_an_empty_folder_and_follows_a_link(report, tmp_path, monkeypatch):
    (real := tmp_path / "real").mkdir()
    inode = real.stat().st_ino
    (tmp_path / "link").symlink_to(real)
    write_report(report, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and sorted(os.listdir(real)) == sorted(FILES)
    monkeypatch.chdir(real)
    write_report(report, ".", force=True)
    assert sorted(os.listdir(".")) == sorted(FILES) and real.stat().st_ino == inode


def test_an_exchange_that_is_interrupted_is_undone(report, tmp_path, monkeypatch):
    folder = write_report(report, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    move, calls, stops = shutil.move, [], []

    def stop(source, target):
        calls.append(source)
        if len(calls) == stops[-1]:
            raise KeyboardInterrupt
        return move(source, target)

    monkeypatch.setattr("which_world.report.folder.shutil.move", stop)
    for place in (1, 4, len(FILES) + 3):
        calls.clear()
        stops.append(place)
        with pytest.raises(KeyboardInterrupt):
            write_report(report._replace(paragraph="new"), folder, force=True)
        assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_letters(folder, word, move=shutil.move):
    """Files a to e, and a manifest; `move` moves them."""
    with folders.written(folder, force=True) as (_, new):
        for name in "abcde":
            (new / name).write_text(f"{name} {word}")
        shutil.move = move


def killed(folder, place):
    """A process that writes again, and ends inside the move of one file, without a chance to tidy up."""
    calls, move = [], shutil.move

    def die(source, target):
        calls.append(source)
        return os._exit(9) if len(calls) == place else move(source, target)

    if (child := os.fork()) == 0:
        write_letters(folder, "new", die)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.filterwarnings("ignore:.*multi-threaded")
@pytest.mark.parametrize("place", range(1, 13))
def test_a_killed_exchange_is_undone_by_the_next_run(tmp_path, place):
    write_letters(folder := tmp_path / "out", "old")
    before = contents(folder)
    killed(folder, place)
    with pytest.raises(FileExistsError, match="earlier report"):
        check_free(folder)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded")
def test_what_a_reader_did_in_a_half_moved_folder_is_kept(tmp_path):
    write_letters(folder := tmp_path / "out", "old")
    before = contents(folder)
    killed(folder, 10)
    (folder / "b").write_text("hers")
    (folder / "notes").write_text("hers too")
    with pytest.raises(FileExistsError, match="notes"):
        check_free(folder, force=True)
    assert contents(folder) == before | {"b": b"hers", "b.earlier": b"b old", "notes": b"hers too"}


@pytest.mark.parametrize("name, text", [("report.txt", "edited"), ("table.csv", "y,t\n1,2\n"), ("data.csv", "y,t\n")])
def test_force_takes_nothing_that_is_not_its_own(report, tmp_path, name, text):
    """A file of a report's name that no report wrote, and one that was edited since, are the reader's."""
    folder = tmp_path / "out"
    for start in ("report", "empty"):
        if start == "report":
            write_report(report, folder)
        else:
            folder = tmp_path / "own"
            folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(FileExistsError, match=name):
            write_report(report, folder, force=True)
        assert (folder / name).read_text() == text
    with pytest.raises(FileExistsError, match="which would be replaced"):
        check_free(tmp_path / "out", force=True, reading=tmp_path / "out" / name)


def test_a_folder_that_cannot_be_made_is_refused_before_the_run(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file is a file"):
        check_free(tmp_path / "file" / "deep" / "out")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(PermissionError, match="cannot be written in"):
        check_free(tmp_path / "out")


def test_an_interrupted_run_says_so_and_writes_nothing(tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("which_world.make_report", stop)
    done = attempt(tmp_path / "out", "--drop-missing")
    assert (done.returncode, done.stderr.strip()) == (130, "Interrupted; nothing was written.")
    assert list(tmp_path.iterdir()) == []


PLAIN = {"ρ": "rho", "Φ": "Phi", "ά": "alpha", "k̂": "k", "é": "e", "Åse": "Ase", "x²": "x^2", "½": "1/2", "–": "-",
         "−": "-", "“a”": '"a"', "’": "'", "…": "...", "\u202f": " ", "×": "x", "≤": "<=", "ﬁ": "fi",
         "水": "?"}  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_what_a_terminal_lacks_is_said_in_letters_that_it_has(text):
    speak_plainly()
    assert text.encode("ascii", "plainly").decode() == PLAIN[text]
    assert text.encode("utf-8", "plainly").decode("utf-8") == text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_a_terminal_without_greek_gets_its_answer_in_words(tmp_path, encoding):
    options = {"capture_output": True, "env": os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}}
    done = subprocess.run(command(tmp_path / "out", "--drop-missing"), cwd=ROOT, **options)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    said = done.stdout.decode(encoding)
    assert "The report is in" in said and ("ρ" in said or "rho" in said) and "?" not in said
    helped = subprocess.run([sys.executable, "-m", "helpers", "--help"], cwd=ROOT, **options)
    assert helped.returncode == 0 and helped.stderr == b""


@pytest.mark.parametrize("module", ["numpy._core.multiarray", "pandas._libs.join", "scipy.optimize", "matplotlib.cm"])
def test_a_key_pressed_at_any_time_stops_in_one_line(tmp_path, module):
    """The signal comes as soon as a module is there that is imported early, later, last."""
    python, *rest = command(tmp_path / "out", "--drop-missing")
    running = subprocess.Popen([python, "-X", "importtime", *rest], cwd=ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert any(line.rpartition("|")[2].strip() == module for line in running.stderr)
    running.send_signal(signal.SIGINT)
    said = [line.strip() for line in running.stderr if not line.startswith("import time:")]
    assert (running.wait(timeout=120), said) == (130, ["Interrupted; nothing was written."])
    assert list(tmp_path.iterdir()) == []


def villages(tmp_path, *, resemble=True, seed=1):
    """Sixty villages of twenty rows; no effect, no current; villages that share what moves both, or do not."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(60), 20)
    shared = g if resemble else rng.permutation(g)
    t = rng.normal(size=60)[shared] + 0.5 * rng.normal(size=1200)
    y = rng.normal(size=60)[shared] + rng.normal(size=1200)
    data = pd.DataFrame({"y": y, "t": t, "the village": [f"no {k}" for k in g], "person": range(1200), "sex": g % 2,
                         "shoe": rng.integers(36, 46, 1200), "height": rng.normal(170, 9, 1200)})  # fmt: skip
    data.to_csv(tmp_path / "villages.csv", index=False)
    return tmp_path / "villages.csv"


def test_clusters_in_the_file_are_spoken_of(tmp_path):
    """Moulton's factor here is 2.8, as statsmodels' clustered error is 3.2 times the usual one."""
    done = attempt(tmp_path / "out", csv=villages(tmp_path), outcome="y ~ t", treatment="t ~ 1")
    assert "same value of 'the village' resemble each other" in done.stdout
    assert re.search(r"too narrow, by a factor of about (3|2\.8)", done.stdout)
    assert not re.search("person|shoe|height|sex", done.stdout)
    assert "bootstrap_map" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")


def test_a_report_takes_the_table_whole(tmp_path):
    """What was dropped, renamed and left out of the formulas is what was written into the file."""
    data = pd.read_csv(villages(tmp_path)).rename(columns={"y": "the gain"})
    data.loc[[3, 5], "the gain"] = np.nan
    data.loc[7, "t"] = -50.0  # whose logarithm is undefined
    formulas = {"outcome": "`the gain` ~ I(log(t + 10))", "treatment": "I(log(t + 10)) ~ 1"}
    table = read_table(data, **formulas, drop_missing=True)
    design = make_design(table.data, outcome=table.outcome, treatment=table.treatment)
    report = make_report(design, table=table)
    assert report.dropped == 3 and report.design.n == 1197
    assert "1,197 rows are used; 3 of 1,200 were dropped" in report.checks[0]
    assert any("the_gain is 'the gain'" in sentence for sentence in report.checks)
    assert any("log(t + 10) in 1." in sentence for sentence in report.checks)
    assert list(report.identifiers.index) == ["'the village'"]
    told = {name: getattr(table, name) for name in ("data", "dropped", "names", "undefined")}
    one_by_one = make_report(design, **told)
    assert one_by_one.paragraph == report.paragraph and one_by_one.checks == report.checks
    pd.testing.assert_frame_equal(one_by_one.worlds, report.worlds)
    for name, value in told.items():
        with pytest.raises(ValueError, match=f"{name}=.* is told twice"):
            make_report(design, table=table, **{name: value})
    with pytest.raises(ValueError, match=r"data=.*accepted is the 1,197 rows"):
        make_report(design, table=table._replace(data=data))
    on_disk = make_report(design, table=table._replace(data=tmp_path / "villages.csv"))
    assert on_disk.dropped == 3 and on_disk.identifiers.empty


def test_rows_that_do_not_resemble_are_looked_through_and_left_alone(tmp_path):
    csv = villages(tmp_path, resemble=False)
    attempt(tmp_path / "out", csv=csv, outcome="y ~ t", treatment="t ~ 1")
    said = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "Looked through for clusters: 'the village' and 'shoe'; no column marks rows alike" in said
    assert "too narrow" not in said


@pytest.mark.parametrize("outcome", ["number", "answer"])
def test_a_trial_in_which_only_the_invited_can_come_has_a_report(outcome, tmp_path):
    """Its invitation settles the treatment in half of the rows, and one small town has no yes at all."""
    rng, n, rho = np.random.default_rng(2), 600, 0.5
    invited, v, e = rng.integers(0, 2, n), *rng.normal(size=(2, n))
    town = rng.choice(["Ayr", "Bath", "Cork"], n, p=[0.6, 0.38, 0.02])
    came = ((v > 0) & (invited == 1)).astype(int)
    number = 1.0 * came + rho * v + np.sqrt(1 - rho**2) * e - 0.3 - 40 * (town == "Cork")
    y = number + 40 * (town == "Cork") if outcome == "number" else (number > 0).astype(int)
    pd.DataFrame({"y": y, "came": came, "invited": invited, "town": town}).to_csv(tmp_path / "trial.csv", index=False)
    terms = {"outcome": "y ~ came + town", "treatment": "came ~ invited + town"}
    done = attempt(tmp_path / "out", csv=tmp_path / "trial.csv", **terms)
    assert done.returncode == 0, done.stderr
    told = re.search(
        r"the posterior of ρ, .* has mean (-?\d\.\d\d) \(95 % interval (-?\d\.\d\d) to (\d\.\d\d)\)", done.stdout
    )
    middle, low, high = map(float, told.groups())
    assert low < rho < high and abs(middle - rho) < 0.25
    assert "left unmeasured, it would have been ρ" in done.stdout
    said = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")  # towns decide nothing, and are comparable
    assert re.search(r"differ most in town\[T\..*?\], by 0\.\d\d standard deviations; for none of the rows", said)
    assert "extrapolate" not in said and done.stderr == ""


def test_an_effect_that_was_never_there_has_no_sign_to_overturn(tmp_path):
    """Least squares' interval holds zero, and value, sentence and figure say so; no benchmark is judged by it."""
    data = simulate_aquarium(300, alpha=0.0, rho=0.0, seed=4).data
    quiet = make_report(make_design(data, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1 + X2"))
    low, high = smf.ols("Y ~ T + X0 + X1", data).fit().conf_int().loc["T"]
    assert low < 0 < high and quiet.tipping["interval"] == 0
    assert re.search(
        r"95 % interval -0\.\d+ to 0\.\d+ already contains zero: there is no sign to overturn", quiet.overturns[0]
    )
    assert "tipping point" not in " ".join(quiet.overturns)
    svg = (write_report(quiet, tmp_path / "out") / "map.svg").read_text(encoding="utf-8")
    assert "no sign to overturn" in svg and "tipping point" not in svg


def scarred(report, bad):
    """The report with a map in which these columns, by their ρ, cannot be relied on."""
    chart = report.map.assign(pareto_k=report.map.pareto_k.where(~bad, np.nan))
    return report._replace(map=chart, tipping=_tipping(chart, report.worlds.loc["ρ = 0", "alpha"]))


def test_a_tipping_point_beyond_what_can_be_read_is_not_ruled_out(report):
    tip, rho = report.tipping["interval"], report.map.rho
    assert 0.61 < tip < 0.66 < 0.69 < report.tipping["mean"]
    known = scarred(report, rho > 0.69)  # the mean crosses zero farther out, where nothing can be read
    assert known.tipping["interval"] == pytest.approx(tip, abs=2e-3) and np.isnan(known.tipping["mean"])
    hidden = scarred(report, rho > tip - 0.1)
    last = float(rho[rho <= tip - 0.1][-1])
    assert f"No hidden current from ρ = -0.98 to {last:.2f}, as far as the map" in overturns(hidden)[0]
    alone = scarred(report, (rho != 0) & (abs(rho) < 0.15))
    assert "cannot be read: columns on the way are not reliable" in overturns(alone)[0]


def test_columns_that_cannot_be_relied_on_are_named_and_shaded(report):
    rho = np.tanh(np.arange(-4, 5) / 4)
    (said,) = unread(rho, np.array([1, 1, 0, 0, 0, 0, 1, 0, 1], dtype=bool))
    assert "at ρ = -0.76 to -0.64, 0.46, 0.76 (Pareto" in said
    assert unread(rho, np.zeros(9, dtype=bool)) == []
    scars = scarred(report, (report.map.rho > 0.45) & (report.map.rho < 0.59))
    table = shown(scars)
    assert reach(scars) >= 0.6 and table.index[-1] > 0.6
    assert np.arctanh(table.index.to_numpy()[table["mean"].isna()]).round(6).tolist() == [0.5, 0.6]


def test_a_small_binary_design_reports_what_its_map_cannot_carry(recwarn, monkeypatch):
    monkeypatch.setattr(maps, "ROUNDS", 0)  # or wider Gaussians would carry it
    tank = simulate_aquarium(60, rho=0.4, treatment="binary", noise=6)
    terms = " + ".join(name for name in tank.data if name.startswith("X"))
    thin = make_report(make_design(tank.data, outcome=f"Y ~ T + {terms}", treatment="T ~ X0 + X1 + X2"))
    bad = unreliable(thin.map)
    assert bad.any() and unread(thin.map.rho.values, bad)[0] in thin.checks
    assert not [warning for warning in recwarn if "Pareto" in str(warning.message)]  # the report says it in its words


def test_weights_upon_weights_are_judged_anew(report):
    """A prior of α a fiftieth as wide leaves next to no draw with weight: Pareto k̂ says so."""
    design = report.design
    sd = design.y.std() / residual_sd(design.t, design.C[:, design.in_outcome])
    narrow = _reweigh(report.map, sd, sd / 50)
    assert unreliable(narrow)[np.abs(narrow.rho) < 0.3].all()
    np.testing.assert_allclose(np.exp(narrow.log_weight).sum("draw"), 1)
    scars = scarred(report, report.map.rho < 0)
    assert (unreliable(_reweigh(scars.map, sd, sd / 2)) == (report.map.rho < 0)).all()
    assert smoothed(np.log(1 / np.random.default_rng(0).uniform(size=4000)))[1] > 0.7  # weights of a tail index 1


def test_a_lone_covariate_or_none_has_no_benchmark(tmp_path):
    data = simulate_aquarium(300, seed=4).data
    for terms in ("1", "X0"):
        lone = make_report(make_design(data, outcome=f"Y ~ T + {terms}", treatment=f"T ~ {terms}"))
        assert lone.benchmarks.empty and "no measured one" in " ".join(lone.overturns)
        assert ("with no covariates" in lone.paragraph) == ("alone" in lone.assumptions[0]) == (terms == "1")
    assert "With one covariate none can be left out" in " ".join(lone.overturns)
    assert "left out one at a time" not in (write_report(lone, tmp_path / "out") / "report.md").read_text("utf-8")


def test_a_continuous_treatment_is_not_shuffled(report):
    with pytest.raises(ValueError, match=r"'feed_g' is continuous, .* accepted is a design with a binary treatment"):
        shuffle_test(report.design)


def test_where_the_shuffles_condemn_the_likelihood_a_belief_alone_is_offered():
    data = simulate_aquarium(80, treatment="binary", seed=3).data
    design = make_design(data, outcome="Y ~ T + X0", treatment="T ~ X0")
    said = "weigh(report.map, belief, likelihood=False)"
    assert said in limits(design, 0.6)[0] and said not in limits(design, MISLED)[0]


def test_two_moments_reassure_nobody_where_the_shuffles_condemn():
    data = simulate_aquarium(400, treatment="binary", seed=3).data
    design = make_design(data, outcome="Y ~ T + X0", treatment="T ~ X0")
    for share, reassured in ((MISLED, True), (MISLED + 0.01, False)):
        assert ("not far from the normal shape" in " ".join(data_checks(design, shuffled=share))) is reassured


def test_the_shuffle_test_condemns_real_earnings_and_not_normal_ones():
    """The randomised men: no current by design, and earnings so far from normal that the likelihood sees one."""
    trial = load_lalonde("experimental")
    formulas = {"outcome": "re78 ~ treat + age + educ + re75", "treatment": "treat ~ age + educ + re75"}
    earned = make_report(make_design(trial, **formulas), unit="dollars")
    assert "Do not lean on the world" in earned.limits[0] and earned.limits[0] in earned.paragraph
    assert re.search(r"With ρ free it would be -\d,\d{3} dollars, but .* not to be used\.", earned.paragraph)
    assert "free under its prior" not in earned.paragraph and "half and twice" not in earned.paragraph
    near = earned.worlds.loc["ρ near -0.3, loosely"]
    believed = np.tanh(np.random.default_rng(0).normal(np.arctanh(-0.3), 0.25, 100_000))  # the belief, and nothing else
    assert (near["rho"], near["rho_sd"]) == pytest.approx((believed.mean(), believed.std()), abs=0.01)
    assert "has no say on ρ" in near["interpretation"]
    normal = np.random.default_rng(0).normal(5e3, 6e3, len(trial))
    assert shuffle_test(make_design(trial.assign(re78=normal), **formulas)) <= MISLED


def test_too_many_terms_for_the_rows_are_refused(monkeypatch):
    """Where not even the column at no current can be relied on."""
    design = make_design(
        simulate_aquarium(90, treatment="binary", seed=0).data, outcome="Y ~ T + X0", treatment="T ~ X0"
    )
    monkeypatch.setattr("which_world.report.contents.unreliable", lambda chart: np.ones(chart.sizes["rho"], dtype=bool))
    with pytest.raises(ValueError, match="90 rows are too few for 6 parameters"):
        make_report(design)


@pytest.fixture
def template():
    """The code of the chapter a reader copies, as far as she is told to run it, without the cell she is to delete."""
    notebook = nbformat.read(ROOT / "book" / "13-your-own-tank.ipynb", as_version=4)
    headings = [cell.source.startswith("## The box, opened") or "\n## The box, opened" in cell.source
                for cell in notebook.cells]  # fmt: skip
    return [
        cell.source
        for cell in notebook.cells[: headings.index(True)]
        if cell.cell_type == "code" and not cell.source.startswith("from_zero")
    ]


@pytest.mark.parametrize(
    "outcome, treatment",
    [
        ("re78 ~ treat + age + re75", "treat ~ age + re75"),
        ("re78 ~ re75 + age + C(black) + educ", "re75 ~ age + C(black) + educ"),
        ("re78 ~ treat + age", "treat ~ age"),
    ],
)
def test_the_template_runs_on_any_csv(template, outcome, treatment, capsys, tmp_path, monkeypatch):
    (place,) = [k for k, code in enumerate(template) if code.startswith("# Your data")]
    template[place] = (
        f"csv, outcome, treatment = {str(ROOT / 'data' / 'lalonde_experimental.csv')!r}, {outcome!r}, {treatment!r}\n"
        f"unit, drop_missing, folder = 'dollars', False, {str(tmp_path / 'report')!r}\n"
        "options, within = {'none': (0, 0), 'all': (500, 1)}, (-0.3, 0.3)\n"
        "belief, listen = atanh_normal(0, 0.3), False"
    )
    monkeypatch.setattr("IPython.display.Markdown", print)  # what a page shows as text
    space = {}
    for code in template:
        exec(compile(code, "template", "exec"), space)
    assert space["report"].paragraph in capsys.readouterr().out
    assert sorted(os.listdir(tmp_path / "report")) == sorted(FILES)


def test_a_report_opens_on_what_to_do_and_says_where_it_comes_from(written):
    done, folder = written
    page = (folder / "report.html").read_text(encoding="utf-8")
    opening = page[page.index("<h1>") : page.index("<figure")]
    assert opening.count("<p ") == 3 and "if nothing unmeasured moves both" in opening
    assert "correlation of 0.65" in opening  # the tipping point of these ponds
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == hashlib.sha256(PONDS.read_bytes()).hexdigest()
    for fact in (manifest["sha256"][:16], "ponds.csv", "seed 0", "python -m helpers", manifest["date"]):
        assert fact in page
    assert str(folder.parent) not in page and str(PONDS.parent) not in page  # it is made to be passed on
    for name, checksum in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum


def test_the_page_of_a_report_needs_nothing_beside_it(browser, written, tmp_path):
    alone = tmp_path / "mailed.html"
    shutil.copy(written[1] / "report.html", alone)
    browser.get(alone.as_uri())
    for _ in range(100):
        if browser.execute_script("return document.querySelectorAll('.map.drawn input[type=range]').length"):
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the map was not drawn")
    assert (
        re.search(
            r"(src|href)=.?(?!data:|#)\w", re.sub(r"<script>.*?</script>", "", alone.read_text("utf-8"), flags=re.S)
        )
        is None
    )


@pytest.mark.parametrize(
    ("low", "high", "tip", "along", "said"),
    [
        (-1.0, 2.0, 0.0, 0.1, "Do not act on its sign"),
        (1.0, 3.0, 0.4, 0.1, "act on the sign; how large"),
        (1.0, 3.0, 0.4, 0.3, "do not act on the sign alone"),
        (-3.0, -1.0, -0.4, 0.1, "raises one and lowers the other"),
        (1.0, 3.0, np.nan, 0.1, "No hidden common cause"),
    ],
)
def test_what_to_do_follows_from_the_interval_and_the_measured_currents(report, low, high, tip, along, said):
    worlds = report.worlds.copy()
    worlds.loc["ρ = 0", ["low", "high"]] = low, high
    tipping = report.tipping.copy()
    tipping["interval"] = tip
    benchmarks = report.benchmarks.assign(rho=along)
    changed = report._replace(worlds=worlds, tipping=tipping, benchmarks=benchmarks)
    assert said in " ".join(in_short(changed)) and len(in_short(changed)) == 3


def test_a_map_that_cannot_be_read_gives_no_licence(report):
    tipping = pd.Series({"interval": np.nan, "mean": np.nan, "at_zero": 2.0, "refused": True}, dtype=object)
    worlds = report.worlds.copy()
    worlds.loc["ρ = 0", ["low", "high"]] = 1.0, 3.0
    said = " ".join(in_short(report._replace(worlds=worlds, tipping=tipping)))
    assert "cannot be read" in said and "No hidden common cause" not in said and "Do not act" in said


@pytest.fixture(scope="module")
def piped():
    """A strong valid instrument in a tank whose current sends least squares the wrong way round: α is -1."""
    data = simulate_aquarium(1500, alpha=-1.0, rho=0.9, sigma_U=3.0, seed=4).data
    kept = "X0 + X1 + X3 + X4"
    return make_report(make_design(data, outcome=f"Y ~ T + {kept}", treatment=f"T ~ {kept} + X2"))


def test_with_a_strong_instrument_the_first_sentence_is_the_instruments(piped):
    """Least squares has the other sign; a manager who reads one sentence must not be told that one."""
    assert piped.worlds.loc["OLS", "low"] > 0 > piped.worlds.loc["ρ free", "high"]
    first, second, third = in_short(piped)
    assert "if X2 moves Y only through T" in first and " by -" in first
    assert "X2" in second and "least squares" in third


LABELS = {"gain_g": "weight <gain> & 50% more_or_less", "feed_g": "daily feed", "C(site)": "the site"}


def test_labels_take_the_place_of_names_everywhere(tmp_path):
    options = [f"--label={name}={words}" for name, words in LABELS.items()]
    done = attempt(tmp_path / "out", "--drop-missing", *options)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    told = "\n".join(line for line in text.splitlines() if "python -m helpers" not in line)  # that has the names
    assert "daily feed" in told and "the site" in told and "feed_g" not in told and "gain_g" not in told
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<gain>" not in page and "&lt;gain&gt;" in page
    plain = attempt(tmp_path / "plain", "--drop-missing")
    assert plain.returncode == 0
    tables = [pd.read_csv(tmp_path / each / "table.csv").select_dtypes("number") for each in ("out", "plain")]
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize(
    "labels, said",
    [({"feed": "x"}, "gain_g, feed_g"), ({"gain_g": " "}, "words for"), ({"gain_g": "feed_g"}, "another label"),
     ({"gain_g": 3}, "labels"), (["gain_g"], "labels"), ({"C(site)[T.b]": "x"}, "words for"),
     ({"gain_g": "two\nlines"}, "one line")],
)  # fmt: skip
def test_a_label_of_nothing_is_refused(labels, said):
    table = read_table(ROOT / "data" / "ponds.csv", outcome=OUTCOME, treatment=TREATMENT, drop_missing=True)
    design = make_design(table.data, outcome=table.outcome, treatment=table.treatment)
    with pytest.raises((ValueError, TypeError), match=said):
        make_report(design, names=table.names, labels=labels)


def test_a_label_may_hold_brackets_and_names_a_variable_of_several_terms():
    rng = np.random.default_rng(3)
    data = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("ytx")).assign(site=["a", "(30,45]", "b] x", "c"] * 50)
    design = make_design(data, outcome="y ~ t + x * C(site)", treatment="t ~ x * C(site)")
    named = make_report(design, labels={"x": "income [EUR]", "C(site)": "the place [A]"})
    assert set(named.benchmarks.index) == {"income [EUR]", "site"} and "site[T" not in named.paragraph
    assert "adjusted for income [EUR], the place [A] and x:C(site)." in named.paragraph
    assert "the place [A] is categorical, with 4 levels." in named.checks
    assert "the place [A][T.b] x]" in named.design.covariates


def test_options_on_the_command_line_are_decided_between(tmp_path):
    options = ["--option", "as now=0,0", "--option", "more, much=2.5,1", "--within", "-0.3", "0.3"]
    done = attempt(tmp_path / "out", "--drop-missing", *options)
    assert done.returncode == 0, done.stderr
    said = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "Best is “more, much” from ρ = -0.30 to 0.2" in said and "“as now” from ρ = 0.2" in said
    assert "--option NAME" not in said


@pytest.mark.parametrize(
    "options, said",
    [(["all"], "NAME=COST,SHARE"), (["all=2"], "NAME=COST,SHARE"), (["=2,1"], "NAME=COST,SHARE"),
     (["all=2,x"], "NAME=COST,SHARE"), (["all=1,1", "all=2,1"], "twice"), (["all=2,1"], "two or more"),
     (["a=0,0", "b=inf,1"], "options")],
)  # fmt: skip
def test_an_option_that_is_none_is_one_line(tmp_path, options, said):
    done = attempt(tmp_path / "out", "--drop-missing", *[f"--option={option}" for option in options])
    refused(done, said)
    assert not (tmp_path / "out").exists()


def test_two_labels_for_one_variable_are_one_line(tmp_path):
    done = attempt(tmp_path / "out", "--drop-missing", "--label=gain_g=a", "--label= gain_g=b")
    assert done.returncode == 1 and "twice" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("pair", ["gain_g", "=x", "gain_g=", " = "])
def test_a_label_without_both_sides_is_one_line(tmp_path, pair):
    done = attempt(tmp_path / "out", "--drop-missing", f"--label={pair}")
    assert done.returncode == 1 and "NAME=WORDS" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
