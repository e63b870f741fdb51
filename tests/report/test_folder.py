"""What a report leaves on disk: its files, all or none, and nothing of anybody else's."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from ponds import ROOT, command, refused, run

from helpers import write_report
from which_world.report import folder as folders
from which_world.report.folder import check_free
from which_world.report.publish import FILES


def test_a_report_has_every_file_and_leaves_nothing_beside(written):
    done, folder = written
    assert done.returncode == 0 and str(folder) in done.stdout
    assert done.stderr == ""  # no bar where there is no terminal
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


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
