"""The built pages, in a real browser that may reach no other host."""

import io
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import axe_selenium_python
import numpy as np
import pytest
from PIL import Image

HTML = Path(__file__).parent.parent / "_build" / "html"
AXE = Path(axe_selenium_python.__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
PAGES = sorted(str(path.relative_to(HTML)) for path in HTML.glob("book/*.html"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=HTML))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def visit(browser, site, page, width=1280):
    browser.set_window_size(width, 900)
    browser.get(f"{site}/{page}")
    browser.set_script_timeout(30)
    browser.execute_async_script(
        "const done = arguments[0];"
        "const wait = () => window.MathJax?.startup?.promise ? MathJax.startup.promise.then(() => done()) : done();"
        "document.readyState === 'complete' ? wait() : window.addEventListener('load', wait)"
    )


@pytest.fixture(scope="module", params=PAGES)
def opened(browser, site, request):
    """A page that several tests look at, opened once: most of their time was the browser's, setting its mathematics."""
    browser.get_log("browser")
    visit(browser, site, request.param)
    return request.param


@pytest.fixture
def page(browser, opened):
    """The page as it was opened; a test that moves its window or follows a link stands below those that do not."""
    assert urlsplit(browser.current_url).path == f"/{opened}" and browser.get_window_size()["width"] == 1280
    return opened


def test_there_are_pages_to_look_at():
    assert len(PAGES) >= 6


def test_a_page_is_whole_without_another_host(browser, page):
    asked = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [url for url in asked if url.startswith("http") and urlsplit(url).hostname != "127.0.0.1"] == []
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_mathematics_is_typeset(browser, page):
    written = browser.execute_script("return document.querySelectorAll('span.math, div.math').length")
    typeset = browser.execute_script("return document.querySelectorAll('.math mjx-container').length")
    assert typeset >= written
    assert browser.execute_script("return document.querySelectorAll('mjx-merror').length") == 0


def test_figures_are_described_and_links_lead_somewhere(browser, page):
    mute = browser.execute_script(
        "return [...document.querySelectorAll('.bd-article img')].filter(i => i.alt.trim().length < 30).map(i => i.src)"
    )
    assert mute == []
    links = browser.execute_script(
        "return [...document.querySelectorAll('a[href]')].map(a => a.href).filter(h => h.startsWith(location.origin))"
    )
    files = {urlsplit(link).path.lstrip("/") for link in links}
    assert [name for name in files if name and not (HTML / name).exists()] == []


def test_a_page_is_light_and_says_what_it_is(browser, page):
    """Under 1.5 MB; 0.75 more where mathematics is set. The script of moving figures is shared and counts apart."""
    size = browser.execute_script(
        "const own = performance.getEntriesByType('navigation')[0].encodedBodySize;"
        "return performance.getEntriesByType('resource').filter(e => !e.name.endsWith('vega.js'))"
        ".reduce((sum, e) => sum + e.encodedBodySize, own)"
    )
    mathematics = "mathjax" in (HTML / page).read_text(encoding="utf-8")
    assert size < 1.5e6 + 0.75e6 * mathematics
    described = browser.execute_script("return document.querySelector('meta[name=description]').content")
    assert len(described) > 30 and browser.title
    ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert sorted({name for name in ids if ids.count(name) > 1}) == []


@pytest.mark.parametrize("page", [page for page in PAGES if 'class="moving"' in (HTML / page).read_text("utf-8")])
def test_figures_move_without_another_host(browser, site, page):
    visit(browser, site, page)
    count = browser.execute_script("return document.querySelectorAll('figure.moving').length")
    for _ in range(100):
        drawn = "return document.querySelectorAll('figure.moving.drawn input[type=range]').length"
        if browser.execute_script(drawn) >= count:
            return
        time.sleep(0.1)
    raise AssertionError("a figure was not drawn")


def test_glued_numbers_and_citations_have_arrived(browser, page):
    text = browser.execute_script("return document.querySelector('.bd-article').innerText")
    for trace in ("{glue", "{cite", "```", "np.float64"):
        assert trace not in text


def test_a_tables_head_has_no_row_for_the_name_of_its_index(browser, page):
    """One row, or two where columns are in groups; never one whose cells are empty but for the first."""
    heads = browser.execute_script(
        "return [...document.querySelectorAll('table.dataframe thead tr + tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    assert not [head for head in heads if head[0] and not any(head[2:])]


def test_a_fold_says_what_it_holds(browser, page):
    said = browser.execute_script(
        "return [...document.querySelectorAll('summary')].map(s => (s.ariaLabel || s.textContent).trim())"
    )
    assert not [words for words in said if not words or "hidden content" in words or "source" in words]


def test_nobody_is_kept_out(browser, page):
    """No critical or serious finding of axe-core, whose rules are those of WCAG."""
    browser.execute_script(AXE.read_text(encoding="utf-8"))
    browser.set_script_timeout(120)
    found = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations.map("
        "v => [v.impact, v.id, v.nodes[0].html.slice(0, 120)])))"
    )
    assert [each for each in found if each[0] in ("critical", "serious")] == []


def test_a_phone_scrolls_down_only(browser, site, opened):
    visit(browser, site, opened, width=500)
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        wide = browser.execute_script(
            "const w = document.documentElement.clientWidth;"
            "const article = document.querySelector('.bd-article');"
            "return article.scrollWidth > article.clientWidth + 1 || document.documentElement.scrollWidth > w + 1"
        )
        assert not wide
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("width", [360, 1400])
def test_a_figure_keeps_its_shape_on_any_screen(browser, site, width):
    before = browser.get_window_size()
    browser.set_window_size(width, 900)
    visit(browser, site, "book/02-ols-drift.html")
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")  # what is folded as well
    ratios = browser.execute_script(
        "return [...document.querySelectorAll('.cell_output img')]"
        ".map(i => i.clientWidth / i.clientHeight / (i.naturalWidth / i.naturalHeight))"
    )
    browser.set_window_size(before["width"], before["height"])
    assert len(ratios) >= 3 and ratios == pytest.approx([1] * len(ratios), abs=0.02)


def test_in_the_dark_a_figure_is_dark_and_its_words_are_light(browser, site):
    visit(browser, site, "book/02-ols-drift.html")
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    figure = browser.find_element("css selector", ".cell_output img")
    browser.execute_script("arguments[0].scrollIntoView()", figure)
    pixels = np.asarray(Image.open(io.BytesIO(figure.screenshot_as_png)).convert("L")) / 255
    assert np.median(pixels) < 0.2 and np.quantile(pixels, 0.995) > 0.6


def test_a_chapter_has_one_name_in_the_sidebar_and_in_the_index(browser, site):
    visit(browser, site, "book/index.html")
    named = [f"return [...document.querySelectorAll('{place} a')].map(a => a.textContent.trim())"
             for place in (".bd-article table", ".bd-sidebar-primary nav")]  # fmt: skip
    index, sidebar = (browser.execute_script(names) for names in named)
    numbered = [name for name in sidebar if name[:1].isdigit()]
    assert len(index) == 13 and index == numbered[:13]


@pytest.mark.parametrize("page", ["book/09-world-table.html", "book/appendix-diagnostics.html"])
def test_on_a_phone_the_names_of_rows_stay_while_a_table_scrolls(browser, site, page):
    visit(browser, site, page, width=500)
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        moved = browser.execute_script("""
            document.querySelectorAll('.bd-article details').forEach(d => d.open = true);
            const wide = [];
            for (const table of document.querySelectorAll('.bd-article table')) {
                let box = table;
                while (box.scrollWidth <= box.clientWidth + 40 && box !== document.body) box = box.parentElement;
                if (box === document.body || !/auto|scroll/.test(getComputedStyle(box).overflowX)) continue;
                box.scrollLeft = 1000;
                const cell = table.querySelector('tbody tr').firstElementChild;
                const from = cell.getBoundingClientRect().left - box.getBoundingClientRect().left;
                wide.push([box.scrollLeft, from]);
                box.scrollLeft = 0;
            }
            return wide""")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert moved and all(scrolled > 0 and 0 <= start < 5 for scrolled, start in moved)
