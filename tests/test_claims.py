"""Sentences are checked, and numbers reach the prose."""

import subprocess

import myst_nb
import numpy as np
import pytest

from helpers import claim, quote, stored


def test_a_sentence_that_holds_is_printed(capsys):
    claim("Fish swim.", np.True_)
    assert capsys.readouterr().out == "✓ Fish swim.\n"


@pytest.mark.parametrize("values, shown", [({"speed": 0}, "speed=0"), ({}, "no values given")])
def test_a_sentence_that_does_not_hold_stops_with_its_values(values, shown, capsys):
    with pytest.raises(AssertionError, match=rf"claim does not hold: Fish fly\. \[{shown}\]"):
        claim("Fish fly.", False, **values)
    assert capsys.readouterr().out == ""


def test_numbers_are_glued_under_the_chapters_prefix(monkeypatch):
    glued = {}
    monkeypatch.setattr(myst_nb, "glue", lambda name, value, display: glued.update({name: value}))
    quote("c08", gain=np.float64(202.75), rows=np.int64(1566))
    assert glued == {"c08_gain": 202.75, "c08_rows": 1566}
    assert [type(value) for value in glued.values()] == [float, int]


@pytest.mark.parametrize("holds", [np.nan, 1.0, "yes", None, np.array([True, False])])
def test_what_is_neither_true_nor_false_is_no_claim(holds):
    with pytest.raises(TypeError, match=r"claim\('Fish fly\.'\): holds=.*accepted is True or False"):
        claim("Fish fly.", holds)


def test_a_stored_table_is_genuine_until_its_script_changes(tmp_path):
    """The checksum is `sha256sum`'s, of the bytes of the script."""
    script = tmp_path / "made.py"
    script.write_bytes(b"print()\n")
    told = "d8c1e0a0"  # no checksum of these bytes
    (tmp_path / "made.csv").write_text(f"x,script\n1,{told}\n")
    assert stored(tmp_path / "made.csv")[1] is False
    told = subprocess.run(["sha256sum", script], capture_output=True, text=True, check=True).stdout.split()[0]
    (tmp_path / "made.csv").write_text(f"x,script\n1,{told}\n2,{told}\n")
    table, genuine = stored(tmp_path / "made.csv")
    assert genuine is True and table.x.tolist() == [1, 2]
    (tmp_path / "made.csv").write_text(f"x,script\n1,{told}\n2,other\n")
    assert stored(tmp_path / "made.csv")[1] is False
    (tmp_path / "made.csv").write_text("x\n1\n")
    with pytest.raises(ValueError, match="column 'script'"):
        stored(tmp_path / "made.csv")
    with pytest.raises(OSError):
        stored(tmp_path / "none.csv")
