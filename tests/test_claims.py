"""Sentences are checked, and numbers reach the prose."""

import myst_nb
import numpy as np
import pytest

from helpers import claim, quote


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
