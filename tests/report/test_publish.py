"""The page of a report: nothing twice, an interval called one, a figure with all its names, on any screen and paper."""

import base64
import json
import re
from collections import Counter
from pathlib import Path

import axe_selenium_python
import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from helpers import (
    load_lalonde,
    make_design,
    make_report,
    map_rho,
    read_map,
    simulate_aquarium,
    write_report,
)
from which_world.report.figure import IN_THE_PAGE, reach
from which_world.report.options import UNDECIDED

AXE = Path(axe_selenium_python.__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
TERMS = "start_g + temp_c + C(site)"
DATA = Path(__file__).parent.parent.parent / "data"
OPTIONS = {"as now": (0.0, 0.0), "one gram more": (2.5, 1.0)}


def ponds():
    return pd.read_csv(DATA / "ponds.csv").dropna()


def fish_farm():
    """Both continuous, no instrument, with two options."""
    design = make_design(ponds(), outcome=f"gain_g ~ feed_g + {TERMS}", treatment=f"feed_g ~ {TERMS}")
    return make_report(design, unit="g per g a day", options=OPTIONS)


def piped():
    """The same with its instrument."""
    terms = f"{TERMS} + delivery_km"
    return make_report(make_design(ponds(), outcome=f"gain_g ~ feed_g + {TERMS}", treatment=f"feed_g ~ {terms}"))


def trial():
    """A binary treatment and earnings, whose shape misleads."""
    formulas = {"outcome": "re78 ~ treat + age + educ + re75", "treatment": "treat ~ age + educ + re75"}
    return make_report(make_design(load_lalonde("experimental"), **formulas), unit="dollars")


def answers():
    """A yes or no under another, with an instrument."""
    data = simulate_aquarium(600, rho=0.4, treatment="binary", outcome="binary", seed=4).data
    return make_report(make_design(data, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1 + X2"))


def lakes():
    """Rows that come in lakes, which share what moves both."""
    rng = np.random.default_rng(3)
    lake = np.repeat(np.arange(60), 10)
    kind, (a, b, v, u) = 0.8 * rng.normal(size=60)[lake], rng.normal(size=(4, 600))
    data = pd.DataFrame({"t": kind + a + v, "y": kind + b + u, "a": a, "b": b, "lake": [f"no {k}" for k in lake]})
    return make_report(make_design(data, outcome="y ~ t + a + b", treatment="t ~ a + b"), data=data)


MAKERS = {maker.__name__: maker for maker in (fish_farm, piped, trial, answers, lakes)}


@pytest.fixture(scope="module", params=MAKERS)
def made(request, tmp_path_factory):
    report = MAKERS[request.param]()
    return report, write_report(report, tmp_path_factory.mktemp("page") / request.param)


@pytest.fixture(scope="module")
def farm(tmp_path_factory):
    report = fish_farm()
    return report, write_report(report, tmp_path_factory.mktemp("page") / "farm")


def prose(folder):
    """The lines of a report that are neither heads, nor tables, nor the picture, nor where it comes from."""
    lines = (folder / "report.md").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("- ") for line in lines if line and not line.startswith(("#", "|", "!", "Made on"))]


def test_nothing_is_said_twice(made):
    """No sentence, no part of one between two stops, and no eight words in a row."""
    _, folder = made
    lines = prose(folder)
    parts = [part.strip() for line in lines for part in re.split(r"(?<=[.:;])\s", line)]
    assert [part for part, times in Counter(parts).items() if times > 1 and len(part.split()) > 3] == []
    words = " ".join(lines).split()
    runs = Counter(tuple(words[k : k + 8]) for k in range(len(words) - 7))
    assert [" ".join(run) for run, times in runs.items() if times > 1] == []


def test_the_page_and_the_text_say_the_same(made):
    _, folder = made
    page = (folder / "report.html").read_text(encoding="utf-8")
    page = re.sub(r"<[^>]+>", " ", page).replace("&gt;", ">").replace("&lt;", "<").replace("&#39;", "'")
    page = " ".join(page.replace("&amp;", "&").replace("&#34;", '"').split())
    assert [line for line in prose(folder) if " ".join(line.split()) not in page] == []


def test_an_interval_is_called_one_and_its_kind_is_told(made):
    report, folder = made
    number = r"-?\d[\d,.]*"
    said = " ".join([*prose(folder), report.paragraph])
    assert re.findall(rf"\({number} to {number}\)", said) == []
    assert len(re.findall(rf"95 % interval {number} to {number}", said)) >= 2
    assert "the posterior (what the data" in said and "with a confidence interval" in said
    for head in re.findall(r"^\| [^-].*", (folder / "report.md").read_text("utf-8"), re.M):
        assert "| low |" not in head and "| high |" not in head


def test_the_first_three_sentences_are_the_effect_what_turns_it_and_what_to_do(made):
    _, folder = made
    first, _, third = prose(folder)[:3]
    assert "95 % interval" in first and " if " in first
    assert re.search(r"\b(act|Act)\b", third)


def drawn(folder):
    """Both pictures of a page, by width, and what a script puts on them."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    picture = r'<div class="(\w+)" role="img" aria-label="([^"]+)" data-axes="([^"]+)">(<svg.*?</svg>)</div>'
    pictures = {found[1]: (json.loads(found[3]), found[4]) for found in re.finditer(picture, page, re.S)}
    return pictures, json.loads(re.search(r"const at = (\{.*?\}),", page)[1])


def test_the_figure_holds_all_that_the_headline_names_and_says_where(made):
    report, folder = made
    pictures, _ = drawn(folder)
    assert list(pictures) == list(IN_THE_PAGE)
    tip = report.tipping["interval"]
    for (x, across, _, _), svg in pictures.values():
        said = [text.replace("\N{MINUS SIGN}", "-") for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]
        assert "no effect" in said and "least squares" in said and "95 % interval" in " ".join(said)
        width = float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])
        for rho in (0.0, tip, report.benchmarks["rho"].abs().max()):
            assert np.isnan(rho) or 0 < x + across * rho < width
        assert (f"tipping point {tip:.2f}" in said) == (np.isfinite(tip) and tip != 0)
        headline = re.search(r"that the data show is (\S+)[^.]*, (\d\.\d\d)\.", prose(folder)[1])
        name, rho = headline.groups() if headline else (report.benchmarks["rho"].abs().idxmax(), "")
        assert [text for text in said if text.startswith(f"{name} ") and text.endswith(rho)]
        assert not re.search(r"#[0-9a-f]{6}", svg.replace("#ffffff", ""))  # colours are the page's, light or dark
    alone = (folder / "map.svg").read_text(encoding="utf-8")
    assert "no effect" in alone and f"The effect of {report.design.treatment} on" in alone


def test_the_axis_reaches_beyond_a_far_tipping_point_and_a_strong_benchmark(farm):
    report, _ = farm
    far = report._replace(tipping=report.tipping.copy())
    far.tipping["interval"] = -0.8
    assert 0.8 < reach(far) < 1 and reach(report) > report.tipping["interval"] > 0.6
    near = report._replace(tipping=far.tipping * np.nan, benchmarks=report.benchmarks.assign(rho=[0.72, 0.0, 0.1]))
    assert 0.72 < reach(near) < 0.9


def test_the_slider_reads_a_map_that_is_drawn_anew(farm):
    report, folder = farm
    _, at = drawn(folder)
    again = read_map(map_rho(report.design, rho=[-0.6, -0.3, 0.0, 0.3, 0.6], seed=7, draws=4000))
    width = again["high"] - again["low"]
    for name in ("mean", "low", "high"):
        shown = np.array([at[name][round(rho * 100) - at["first"]] for rho in again.index])
        assert (np.abs(shown - again[name]) < 0.1 * width).all()


def test_a_map_of_few_columns_is_drawn_and_nothing_moves_on_it(farm, tmp_path):
    report, _ = farm
    chart = report.map.assign(pareto_k=report.map.pareto_k.where(abs(report.map.rho) < 0.06, np.nan))
    folder = write_report(report._replace(map=chart), tmp_path / "report")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2 and "const at = null," in page and "grey: not to be relied on" in page


def test_options_turn_where_algebra_says(farm):
    """One gram more pays while the mean effect exceeds 2.5: α(ρ) = α - ρ/√(1-ρ²) s_Y/s_T of the residuals."""
    report, folder = farm
    data = ponds()
    line, dose = smf.ols(f"gain_g ~ feed_g + {TERMS}", data).fit(), smf.ols(f"feed_g ~ {TERMS}", data).fit()
    slope = (line.params["feed_g"] - 2.5) * np.sqrt(dose.ssr / line.ssr)
    turn = slope / np.sqrt(1 + slope**2)
    assert list(report.decision.ranges["action"]) == ["one gram more", "as now"]
    assert report.decision.ranges["high"].iloc[0] == pytest.approx(turn, abs=0.01)
    said = prose(folder)[3]
    assert said == report.decided and said.startswith("Best is “one gram more” from ρ = -0.50 to 0.2")


def test_without_options_a_sentence_says_how_they_are_named(made):
    report, folder = made
    assert (report.decision is None) == (report.decided == UNDECIDED) == ("--option" in prose(folder)[3])


def look(browser, folder, width, dark=False, media=""):
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((folder / "report.html").as_uri())


@pytest.fixture
def screen(browser):
    yield browser
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_words_of_the_readers_own_break_no_page(screen, tmp_path):
    """Quotes, dollars, a tag that ends a script: in labels and units, as they are."""
    unit, label = '"$ in\\$" </script><b>', "pay <$> & 'more' $"
    design = make_design(ponds(), outcome=f"gain_g ~ feed_g + {TERMS}", treatment=f"feed_g ~ {TERMS}")
    folder = write_report(make_report(design, unit=unit, labels={"feed_g": label}), tmp_path / "report")
    look(screen, folder, 1440)
    assert unit in screen.execute_script("return document.querySelector('.map output').textContent")
    texts = "return [...document.querySelectorAll('.wide svg text')].map(t => t.textContent).join(' ')"
    assert label in screen.execute_script(texts)
    assert (
        screen.execute_script("return document.querySelector('h1').textContent") == f"The effect of {label} on gain_g"
    )
    assert screen.execute_script("return document.querySelectorAll('b').length") == 0


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("dark", [False, True])
def test_a_report_fits_any_screen_and_keeps_nobody_out(screen, made, width, dark):
    look(screen, made[1], width, dark)
    ask = screen.execute_script
    assert ask("return document.documentElement.scrollWidth") <= width
    assert ask("return document.querySelector('h1').getBoundingClientRect().right") <= width
    seen = ask("return [...document.querySelectorAll('.map svg')].map(s => s.getBoundingClientRect().height > 0)")
    assert seen == [width > 500, width < 500]
    letters = ask("return [...document.querySelectorAll('.map svg')].map(s => [...s.querySelectorAll('text')]"
                  ".map(t => t.getBoundingClientRect().height)).flat().filter(h => h > 0)")  # fmt: skip
    assert min(letters) > 10
    screen.set_script_timeout(60)
    ask(AXE.read_text(encoding="utf-8"))
    found = screen.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']})"
        ".then(r => done(r.violations.map(v => [v.impact, v.id, v.nodes[0].html.slice(0, 120)])))"
    )
    assert [each for each in found if each[0] in ("critical", "serious", "moderate")] == []


def test_the_slider_moves_mark_and_words(screen, farm):
    report, folder = farm
    look(screen, folder, 1440)
    ask = screen.execute_script
    assert ask("return document.querySelector('.map output').textContent").startswith("At ρ = 0.00: effect 3.26 g per")
    said, put = ask(
        "const input = document.querySelector('.map input'); input.value = 30;"
        "input.dispatchEvent(new Event('input'));"
        "return [document.querySelector('output').textContent, document.querySelector('.wide .mark line')"
        ".getAttribute('x1')]"
    )
    (x, across, _, _), _ = drawn(folder)[0]["wide"]
    assert "At ρ = 0.30" in said and float(put) == pytest.approx(x + 0.3 * across)
    mean = read_map(map_rho(report.design, rho=[-0.6, -0.3, 0.0, 0.3, 0.6]))["mean"][0.3]
    assert float(re.search(r"effect ([\d.]+) g", said)[1]) == pytest.approx(mean, abs=0.03)


def test_on_paper_it_is_dark_on_white_and_four_pages_at_most(screen, made):
    """Also from the dark mode: no black blocks, and no pale letters."""
    look(screen, made[1], 1440, dark=True, media="print")
    shade = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    assert screen.execute_script(shade, "body", "background-color") == "rgb(255, 255, 255)"
    for place, kind in (("body", "color"), ("h1", "color"), ("td", "color"), (".wide svg text", "fill")):
        assert screen.execute_script(shade, place, kind) == "rgb(0, 0, 0)"
    assert screen.execute_script(shade, ".map label", "display") == "none"
    paper = screen.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    pages = len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(paper["data"])))
    assert 1 <= pages <= 4
    assert (made[1] / "report.html").stat().st_size < 100_000
