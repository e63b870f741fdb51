"""Figures that move, in a browser without a network: what they say against the readings of the same map."""

import re
import time

import numpy as np
import pandas as pd
import pytest

from helpers import atanh_normal, explore_belief, explore_map, explore_steps, make_design, map_rho, weigh
from helpers import simulate_aquarium as aquarium

vl_convert = pytest.importorskip("vl_convert")

OPTIONS = {
    "wait": lambda effect: np.clip(effect - 2, 0, None) ** 2,
    "act": lambda effect: 0.4 + 0.0 * effect,
}


@pytest.fixture(scope="module")
def chart():
    tank = aquarium(400, rho=0.3, treatment="binary", seed=5, alpha=2.0).data
    return map_rho(make_design(tank, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1"))


def show(browser, path, *figures):
    """The figures in one file that needs nothing else."""
    script = vl_convert.javascript_bundle()
    text = "".join(figure.html(script if k == 0 else "") for k, figure in enumerate(figures))
    path.write_text(f"<!doctype html><meta charset=utf-8><title>x</title>{text}", encoding="utf-8")
    browser.get(path.as_uri())
    for _ in range(100):
        if browser.execute_script("return document.querySelectorAll('.moving.drawn').length") == len(figures):
            return browser
        time.sleep(0.1)
    raise AssertionError("the figures were not drawn")


@pytest.fixture(scope="module")
def page(browser, chart, tmp_path_factory):
    path = tmp_path_factory.mktemp("moving") / "page.html"
    return show(browser, path, explore_map(chart, unit="cm", ols=1.5), explore_belief(chart, options=OPTIONS))


def move(page, label, value):
    """Set the slider whose label begins so, as a key would."""
    page.execute_script(
        """for (const bind of document.querySelectorAll('.vega-bind'))
             if (bind.textContent.startsWith(arguments[0])) {
               const input = bind.querySelector('input');
               input.value = arguments[1]; input.dispatchEvent(new Event('input')); }""", label, value)  # fmt: skip
    time.sleep(0.6)


def said(page, start):
    """The words in a figure that begin so."""
    texts = page.execute_script("return [...document.querySelectorAll('.moving svg text')].map(t => t.textContent)")
    return next(text for text in texts if text.startswith(start)).replace("−", "-")


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.25])
def test_the_slider_tells_the_column_of_the_map(page, chart, rho):
    move(page, "hidden current", rho)
    told = re.findall(r"-?\d+\.\d+", said(page, "ρ =").split("effect")[1])
    mean, low, high = map(float, told)
    reading = weigh(chart, rho).effect.values
    expected = reading.mean(), *np.quantile(reading, [0.025, 0.975])
    np.testing.assert_allclose([mean, low, high], expected, atol=0.15 * reading.std() + 0.01)


@pytest.mark.parametrize("middle, width", [(0.0, 0.2), (0.3, 0.1), (-0.3, 0.5)])
def test_a_belief_set_in_the_page_is_the_reading_under_that_prior(page, chart, middle, width):
    move(page, "middle", middle)
    move(page, "its width", width)
    words = said(page, "P(effect > 0)")
    effect = weigh(chart, atanh_normal(np.arctanh(middle), width), draws=16_000).effect.values
    assert int(re.search(r"(\d+)%", words)[1]) == pytest.approx(100 * (effect > 0).mean(), abs=1.5)
    losses = {name: loss(effect).mean() for name, loss in OPTIONS.items()}
    assert abs(losses["wait"] - 0.4) > 0.02  # no tie that Monte Carlo error would decide
    assert words.endswith(min(losses, key=losses.get))


WORDS = ["", "g/d'ay", 'the "usual" unit', "100 % \\ n", "€ <b>per</b> fish", "</script>"]


@pytest.mark.parametrize("word", WORDS)
def test_any_unit_and_any_option_is_shown_as_it_is(browser, chart, tmp_path, word):
    options = {word or "none": lambda effect: 0 * effect, "other": lambda effect: 1 + 0 * effect}
    page = show(browser, tmp_path / "page.html", explore_map(chart, unit=word), explore_belief(chart, options=options))
    assert said(page, "P(effect > 0)").endswith(f"least expected loss: {word or 'none'}")
    assert f"{word}, 95 % interval" in said(page, "ρ =")


@pytest.mark.parametrize("within, start", [((0.2, 0.5), 0.2), ((-0.5, -0.1), -0.1), ((-0.9, 0.9), 0.0)])
def test_a_slider_starts_on_what_is_shown(browser, chart, tmp_path, within, start):
    figures = explore_map(chart, within=within), explore_belief(chart, within=within)
    page = show(browser, tmp_path / "page.html", *figures)
    assert said(page, "ρ =").startswith(f"ρ = {start:.2f}:") and "NaN" not in said(page, "ρ =")
    assert "NaN" not in said(page, "P(effect > 0)")


def test_a_map_with_too_little_left_is_refused(chart):
    bad = chart.copy(deep=True)
    bad["pareto_k"][np.abs(chart.rho.values) > 0.1] = 0.9
    for explore in (explore_map, explore_belief):
        with pytest.raises(ValueError, match="too little is left to be drawn"):
            explore(bad)
        with pytest.raises(ValueError, match="holds two columns of the map"):
            explore(chart, within=(0.001, 0.002))


def test_a_figure_has_a_still_picture_and_a_table(chart):
    figure = explore_map(chart, truth=(0.3, 2.0))
    assert "<svg" in figure.html() and "<table" in figure.html()
    assert figure.html() == explore_map(chart, truth=(0.3, 2.0)).html()  # nothing of a page depends on its making
    assert figure.table.index.is_monotonic_increasing
    bundle = figure._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.vegalite.v5+json", "text/html", "text/plain"}


def test_a_step_shows_its_own_points_and_no_others(browser, tmp_path):
    """Steps of 3, 5 and 2 points: as many marks are drawn as the slider's step has, and the words name it."""
    table = pd.DataFrame({"a": range(10), "b": np.arange(10) ** 2, "n": [0] * 3 + [20] * 5 + [200] * 2})
    figure = explore_steps(table, x="a", y="b", step="n", labels={"n": "fish"})
    page = show(browser, tmp_path / "steps.html", figure)
    for k, (points, fish) in enumerate(((3, 0), (5, 20), (2, 200))):
        move(page, "fish", k)
        marks = page.execute_script("return document.querySelectorAll('.live svg .mark-symbol path').length")
        assert (marks, said(page, "fish:")) == (points, f"fish: {fish}")
    assert figure.table[("a", "mean")].tolist() == [1, 5, 8.5]
