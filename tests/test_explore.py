"""Figures that move, in a browser without a network: what they say against the readings of the same map."""

import re
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers import (
    atanh_normal,
    explore_belief,
    explore_map,
    explore_steps,
    make_design,
    map_rho,
    read_map,
    tipping_point,
    weigh,
)
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
    figures = explore_map(chart, unit="cm", ols=1.5, truth=(0.3, 2.0)), explore_belief(chart, options=OPTIONS)
    return show(browser, path, *figures)


def move(page, label, value):
    """Set the slider whose label begins so, as a key would."""
    page.execute_script(
        """for (const bind of document.querySelectorAll('.vega-bind'))
             if (bind.textContent.startsWith(arguments[0])) {
               const input = bind.querySelector('input');
               input.value = arguments[1]; input.dispatchEvent(new Event('input')); }""", label, value)  # fmt: skip
    time.sleep(0.6)


def said(page, start):
    """The headline of a figure that begins so."""
    texts = page.execute_script("return [...document.querySelectorAll('.moving output')].map(t => t.textContent)")
    return next(text for text in texts if text.startswith(start)).replace("−", "-")


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.25])
def test_the_slider_tells_the_column_of_the_map(page, chart, rho):
    move(page, "hidden current", rho)
    told = re.findall(r"-?\d+\.\d+", said(page, "hidden current").split("effect")[1])
    mean, low, high = map(float, told)
    reading = weigh(chart, rho).effect.values
    expected = reading.mean(), *np.quantile(reading, [0.025, 0.975])
    np.testing.assert_allclose([mean, low, high], expected, atol=0.15 * reading.std() + 0.01)


@pytest.mark.parametrize("listen", [False, True])
@pytest.mark.parametrize("middle, width", [(0.0, 0.2), (0.3, 0.1), (-0.3, 0.2)])
def test_a_belief_set_in_the_page_is_the_reading_under_that_prior(page, chart, middle, width, listen):
    """The likelihood has no say until the box is ticked."""
    move(page, "middle", middle)
    move(page, "its width", width)
    box = "document.querySelector('.vega-bind input[type=checkbox]')"
    assert page.execute_script(f"return {box}.checked") is False
    if listen:
        page.execute_script(f"{box}.click()")
        time.sleep(0.6)
    words = said(page, "mean effect")
    if listen:
        page.execute_script(f"{box}.click()")
    belief = atanh_normal(np.arctanh(middle), width)
    effect = weigh(chart, belief, draws=16_000, likelihood=listen).effect.values
    chance = 100 * (effect > 0).mean()
    sign, percent = re.search(r"P\(effect > 0\) ([=<>]) (\d+) %", words).groups()
    assert sign == ("<" if chance < 1 else ">" if chance > 99 else "=")
    assert int(percent) == pytest.approx(chance, abs=1.5)
    mean = float(re.search(r"mean effect (-?[\d.]+)", words)[1])
    assert mean == pytest.approx(effect.mean(), abs=0.05 * effect.std() + 0.01)
    low, high = map(float, re.search(r"interval (-?[\d.]+) to (-?[\d.]+)", words).groups())
    np.testing.assert_allclose([low, high], np.quantile(effect, [0.025, 0.975]), atol=0.08 * effect.std() + 0.01)
    losses = {name: loss(effect).mean() for name, loss in OPTIONS.items()}
    assert abs(losses["wait"] - 0.4) > 0.02  # no tie that Monte Carlo error would decide
    assert words.endswith(min(losses, key=losses.get))


def test_the_belief_and_what_is_listened_to_stand_over_rho(page, chart):
    """The blue shape, hidden until the box is ticked, is highest where belief times likelihood is."""
    move(page, "middle", -0.4)
    move(page, "its width", 0.4)
    box = "document.querySelector('.vega-bind input[type=checkbox]')"
    peaks = """const figure = [...document.querySelectorAll('.moving')].at(-1);
      return [...figure.querySelectorAll('.mark-area path')].map(path => {
        const corners = path.getAttribute('d').match(/-?[\\d.]+,-?[\\d.]+/g).map(pair => pair.split(',').map(Number));
        const top = corners.reduce((best, one) => one[1] < best[1] ? one : best);
        const scale = path.closest('svg').querySelector('.background').getAttribute('d').match(/h([\\d.]+)/)[1];
        return [2 * top[0] / Number(scale) - 1, Number(path.getAttribute('opacity') ?? 1)]; })"""
    (belief, _), (_, hidden) = page.execute_script(peaks)[:2]
    page.execute_script(f"{box}.click()")
    time.sleep(0.6)
    (_, _), (listened, shown) = page.execute_script(peaks)[:2]
    page.execute_script(f"{box}.click()")
    rho = chart.rho.values
    density = -0.5 * ((np.arctanh(rho) - np.arctanh(-0.4)) / 0.4) ** 2 - np.log(1 - rho**2)
    evidence = read_map(chart)["log_evidence"].to_numpy()
    assert hidden == 0 and shown > 0.3
    assert belief == pytest.approx(rho[np.argmax(density)], abs=0.06)
    assert listened == pytest.approx(rho[np.argmax(density + evidence)], abs=0.06)
    assert abs(belief - listened) > 0.1  # two shapes, not one


def test_the_slider_reaches_beyond_the_tipping_point_and_marks_it(page, chart):
    tip = tipping_point(chart)["interval"]
    assert 0.53 < tip < 0.8  # beyond what is shown at least, with what is spare
    ends = page.execute_script("const i = document.querySelector('.vega-bind input'); return [i.min, i.max]")
    assert float(ends[0]) == -float(ends[1]) and float(ends[1]) == pytest.approx(1.15 * tip, abs=0.01)
    texts = page.execute_script("return [...document.querySelectorAll('.live svg text')].map(t => t.textContent)")
    assert {"no effect", "tipping point", "least squares", "truth"} <= set(texts)
    move(page, "hidden current", round(tip, 2))
    low = float(re.search(r"interval (-?[\d.]+)", said(page, "hidden current"))[1])
    assert low == pytest.approx(0, abs=0.06)


def test_the_headline_is_text_that_wraps_and_is_announced(page):
    script = """const told = document.querySelector('.moving output'); const style = getComputedStyle(told);
        return [told.getAttribute('aria-live'), told.scrollWidth <= told.clientWidth, style.fontSize,
                getComputedStyle(document.querySelector('.headline_marks')).display,
                document.querySelector('.vega-bind input').getAttribute('aria-valuetext')]"""
    size = page.get_window_size()
    move(page, "hidden current", -0.34)
    page.set_window_size(500, 900)  # the narrowest that a window of Chromium may be
    page.execute_script("document.body.style.width = '358px'")
    live, fits, size_of_text, drawn, value = page.execute_script(script)
    page.execute_script("document.body.style.width = ''")
    page.set_window_size(size["width"], size["height"])
    assert (live, fits, drawn, value) == ("polite", True, "none", "−0.34")
    assert float(size_of_text.removesuffix("px")) > 17


def test_a_slider_is_as_wide_as_the_figure_and_its_value_stands_beside_it(page):
    boxes = page.execute_script(
        """return [...document.querySelectorAll('.vega-bind input[type=range]')].map(input => {
             const [a, b, all] = [input, input.nextElementSibling, input.closest('.vega-bindings')]
               .map(each => each.getBoundingClientRect());
             return [a.height, a.width / all.width, b.left - a.right]; })"""
    )
    assert len(boxes) == 3
    for height, share, apart in boxes:
        assert height >= 24 and share > 0.5 and apart >= 0


def test_no_text_takes_room_from_the_drawing(page):
    """An empty figure of a narrow page is what a long headline inside the drawing once made of it."""
    page.execute_script("document.body.style.width = '358px'; dispatchEvent(new Event('resize'))")
    time.sleep(0.8)
    shares = page.execute_script(
        "return [...document.querySelectorAll('.live')].map(live =>"
        " live.querySelector('svg .background').getBoundingClientRect().width / live.clientWidth)"
    )
    page.execute_script("document.body.style.width = ''; dispatchEvent(new Event('resize'))")
    time.sleep(0.8)
    assert min(shares) > 0.75


def test_nothing_is_warned_of_in_the_console(page):
    move(page, "hidden current", 0.1)
    assert [entry["message"] for entry in page.get_log("browser") if "extent" in entry["message"]] == []


def test_a_column_has_the_same_digits_in_the_figure_and_in_the_table_of_the_map(page, chart):
    move(page, "hidden current", 0)
    row = read_map(chart).loc[0.0]
    told = re.findall(r"-?\d+\.\d+", said(page, "hidden current").split("effect")[1])
    places = len(told[0].split(".")[1])
    assert told == [f"{row[name]:.{places}f}" for name in ("mean", "low", "high")]


def ticks(page):
    """Where the labels of both axes stand, and what they say."""
    script = "return [...document.querySelectorAll('.live svg .role-axis-label text')].map(t => t.outerHTML)"
    return page.execute_script(script)


def edges(page, element):
    """Where an element begins and ends, from the left."""
    return page.execute_script(f"const b = {element}.getBoundingClientRect(); return [b.left, b.right]")


@pytest.mark.parametrize("within", [None, (-0.9, 0.9)])
def test_the_axes_stand_still_while_the_slider_moves(browser, chart, tmp_path, within):
    """And the orange shape stays between the ends of the map."""
    page = show(browser, tmp_path / "page.html", explore_map(chart, within=within))
    start, inside = ticks(page), "[...document.querySelectorAll('.live svg .mark-area path')].at(-1)"
    frame = "document.querySelector('.live svg .background')"
    for end in (-0.95, 0.95):
        move(page, "hidden current", end)
        assert ticks(page) == start
        box, around = edges(page, inside), edges(page, frame)
        assert around[0] - 2 < box[0] < box[1] < around[1] + 2
    numbers = [float(text.split(">")[1].split("<")[0].replace("−", "-")) for text in start if ">" in text]
    assert max(map(abs, numbers[:3])) < 1


def test_the_numbers_under_the_map_weigh_its_columns_against_the_best_of_them(chart):
    """The differences are those of the map, the best shown is 0, and no zero has a minus."""
    figure = explore_map(chart, within=(-0.4, 0.2))
    evidence = figure.table["log evidence, less the highest"]
    assert evidence.max() == 0
    theirs = [read_map(chart).log_evidence.iloc[np.abs(read_map(chart).index - rho).argmin()] for rho in evidence.index]
    assert np.diff(evidence) == pytest.approx(np.diff(theirs))
    shown = replace(figure, table=pd.DataFrame({"a": [-1e-9, -0.26]})).html()
    assert "−0.00" not in shown and "−0.26" in shown


WORDS = ["", "g/d'ay", 'the "usual" unit', "100 % \\ n", "€ <b>per</b> fish", "</script>"]


@pytest.mark.parametrize("word", WORDS)
def test_any_unit_and_any_option_is_shown_as_it_is(browser, chart, tmp_path, word):
    options = {word or "none": lambda effect: 0 * effect, "other": lambda effect: 1 + 0 * effect}
    page = show(browser, tmp_path / "page.html", explore_map(chart, unit=word), explore_belief(chart, options=options))
    assert said(page, "mean effect").endswith(f"least expected loss: {word or 'none'}")
    assert f"{word}, 95 % interval" in said(page, "hidden current")


@pytest.mark.parametrize("within, start", [((0.2, 0.5), 0.2), ((-0.5, -0.1), -0.1), ((-0.9, 0.9), 0.0)])
def test_a_slider_starts_on_what_is_shown(browser, chart, tmp_path, within, start):
    figures = explore_map(chart, within=within), explore_belief(chart, within=within)
    page = show(browser, tmp_path / "page.html", *figures)
    assert said(page, "hidden current").startswith(
        f"hidden current ρ = {start:.2f}:".replace("−", "-")
    ) and "NaN" not in said(page, "hidden current")
    assert "NaN" not in said(page, "mean effect")


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
    for each in (figure, explore_belief(chart)):
        assert "Move" in each.caption and "Move" not in each.still_caption
        assert each.still_caption.split(".")[0] in each.html()
        assert "log_evidence" not in each.html()
    bundle = figure._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.vegalite.v5+json", "text/html", "text/plain"}


@pytest.mark.parametrize(("steps", "named"), [((5, 200), ["5", "200"]), ((0.0, 0.25), ["0", "0.25"])])
def test_the_numbers_below_name_the_steps_as_they_were_given(steps, named):
    table = pd.DataFrame({"a": [0.0, 1.0, 2.0, 4.0], "b": [1.0, 2.0, 3.0, 5.0], "n": np.repeat(steps, 2)})
    told = explore_steps(table, x="a", y="b", step="n").table
    assert told.index.tolist() == named and told["a"]["mean"].tolist() == [0.5, 3.0]


def test_a_step_shows_its_own_points_and_no_others(browser, tmp_path):
    """Steps of 3, 5 and 2 points: as many marks are drawn as the slider's step has, and the words name it."""
    table = pd.DataFrame({"a": range(10), "b": np.arange(10) ** 2, "n": [0] * 3 + [20] * 5 + [200] * 2})
    figure = explore_steps(table, x="a", y="b", step="n", labels={"n": "fish"})
    page = show(browser, tmp_path / "steps.html", figure)
    for k, (points, fish) in enumerate(((3, 0), (5, 20), (2, 200))):
        move(page, "fish", k)
        marks = page.execute_script("return document.querySelectorAll('.live svg .mark-symbol path').length")
        assert (marks, said(page, "fish:")) == (points, f"fish: {fish}")
        beside = page.execute_script("return document.querySelector('.vega-bind').textContent")
        assert beside.split() == ["fish", str(fish)]
    assert figure.table[("a", "mean")].tolist() == [1, 5, 8.5]


def test_what_the_reader_sees_has_an_address(browser, chart, tmp_path):
    figures = explore_map(chart, unit="cm"), explore_belief(chart)
    show(browser, tmp_path / "page.html", *figures)
    move(browser, "hidden current", -0.34)
    told = said(browser, "hidden current")
    link = browser.execute_script("return document.querySelector('.moving .here').href")
    assert "?r=-0.34" in link
    browser.get(link.replace("?", "?2.middle=0.25&2.listen=true&2.spread=nonsense&"))
    time.sleep(3)
    assert said(browser, "hidden current") == told
    values = browser.execute_script(
        """return [...document.querySelectorAll('.vega-bind input')]
            .map(input => input.type == 'checkbox' ? input.checked : Number(input.value))"""
    )
    assert values == [-0.34, 0.25, 0.2, True]  # what is no number is left as it was


def test_in_the_dark_every_colour_is_seen(browser, chart, tmp_path):
    """Contrast of lines and points against the page, by the formula of WCAG 2.2: three to one."""
    show(browser, tmp_path / "page.html", explore_map(chart, unit="cm", ols=1.5, truth=(0.3, 2.0)))
    colours = """return [...document.querySelectorAll('.live .mark-line path, .live .mark-rule line')]
        .map(mark => getComputedStyle(mark).stroke)"""
    light = browser.execute_script(colours)
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    dark = browser.execute_script(colours)
    assert len(set(dark)) >= 3 and light != dark

    def luminance(colour):
        channels = np.array(re.findall(r"\d+", colour)[:3], float) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    for colour, page in [*((c, "rgb(18, 18, 18)") for c in dark), *((c, "rgb(255, 255, 255)") for c in light)]:
        one, two = sorted([luminance(colour), luminance(page)])
        assert (two + 0.05) / (one + 0.05) > (3 if colour not in ("rgb(154, 165, 171)",) else 2)
