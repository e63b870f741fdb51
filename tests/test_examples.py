"""The example in each public docstring, run as a reader would."""

import doctest
import inspect

import matplotlib.pyplot as plt
import pytest

import helpers

NAMES = sorted(helpers.__all__)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_an_example_shows_what_it_says(name):
    thing = inspect.unwrap(getattr(helpers, name))
    (example, *_) = doctest.DocTestFinder(recurse=False).find(thing, name) or [None]
    assert example is not None and example.examples, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(example, clear_globs=True)
    plt.close("all")
    assert runner.failures == 0
