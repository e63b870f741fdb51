"""Figures that move, in a browser without a network: what they say against the readings of the same map."""

import re
import time

import numpy as np
import pytest

from helpers import atanh_normal, explore_belief, explore_map, make_design, map_rho, simulate_aquarium, weigh

vl_convert = pytest.importorskip("vl_convert")

OPTIONS = {
    "wait": lambda effect: np.clip(effect - 2, 0, None) ** 2,
    "act": lambda effect: 0.4 + 0.0 * effect,
}


@pytest.fixture(scope="module")
def chart():
    tank = simulate_aquarium(400, rho=0.3, treatment="binary", seed=5, alpha=2.0).data
    return map_rho(make_design(tank, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1"))


@pytest.fixture(scope="module")
def page(browser, chart, tmp_path_factory):
    """Both figures in one file that needs nothing else."""
    path = tmp_path_factory.mktemp("moving") / "page.html"
    script = vl_convert.javascript_bundle()
    figures = explore_map(chart, unit="cm", ols=1.5).html(script) + explore_belief(chart, options=OPTIONS).html("")
    path.write_text(f"<!doctype html><meta charset=utf-8><title>x</title>{figures}", encoding="utf-8")
    browser.get(path.as_uri())
    for _ in range(100):
        if browser.execute_script("return document.querySelectorAll('.moving.drawn').length") == 2:
            return browser
        time.sleep(0.1)
    raise AssertionError("the figures were not drawn")


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
    mean, low, high = (float(number) for number in _numbers(page))
    reading = weigh(chart, rho).effect.values
    expected = reading.mean(), *np.quantile(reading, [0.025, 0.975])
    np.testing.assert_allclose([mean, low, high], expected, atol=0.15 * reading.std() + 0.01)


def _numbers(page):
    text = said(page, "ρ =").split("effect")[1].replace("95 %", "")
    return re.findall(r"-?\d+\.\d+", text)


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


def test_a_figure_has_a_still_picture_and_a_table(chart):
    figure = explore_map(chart, truth=(0.3, 2.0))
    text = figure.html()
    assert "<svg" in text and "<table" in text
    assert figure.table.index.is_monotonic_increasing
    bundle = figure._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.vegalite.v5+json", "text/html", "text/plain"}
