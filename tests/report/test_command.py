"""The command line: what it refuses, what it shows on any terminal, and how it stops."""

import os
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from ponds import ROOT, attempt, command, refused

from which_world.__main__ import speak_plainly

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
     (["all=2,x"], "NAME=COST,SHARE"), (["all=1,1", "all=2,1"], "twice"), (["all=2,1"], "--option names one alone"),
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
