"""The page of a report."""

import hashlib
import json
import re
import shutil
import time

import numpy as np
import pandas as pd
import xarray as xr
from ponds import PONDS


def test_the_files_hold_the_same_worlds(written):
    _, folder = written
    table = pd.read_csv(folder / "table.csv", index_col="world")
    with xr.open_datatree(folder / "draws.nc") as tree:
        means = tree["worlds"].alpha.mean("draw").to_series()
        assert tree["map"].sizes["rho"] >= 25
    assert np.allclose(means[table.index], table["alpha"], rtol=0.02)
    assert (folder / "map.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (folder / "map.svg").read_text(encoding="utf-8")
    assert r"\begin{tabular}" in (folder / "table.tex").read_text(encoding="utf-8")
    for name in ("table.html", "report.html", "report.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert [world for world in table.index if world not in text] == []


def test_a_report_opens_on_what_to_do_and_says_where_it_comes_from(written):
    done, folder = written
    page = (folder / "report.html").read_text(encoding="utf-8")
    opening = page[page.index("<h1>") : page.index("<figure")]
    assert opening.count("<p ") == 3 and "if nothing unmeasured moves both" in opening
    assert "correlation of 0.65" in opening  # the tipping point of these ponds
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["sha256"] == hashlib.sha256(PONDS.read_bytes()).hexdigest()
    for fact in (manifest["sha256"][:16], "ponds.csv", "seed 0", "python -m helpers", manifest["date"]):
        assert fact in page
    assert str(folder.parent) not in page and str(PONDS.parent) not in page  # it is made to be passed on
    for name, checksum in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum


def test_the_page_of_a_report_needs_nothing_beside_it(browser, written, tmp_path):
    alone = tmp_path / "mailed.html"
    shutil.copy(written[1] / "report.html", alone)
    browser.get(alone.as_uri())
    for _ in range(100):
        if browser.execute_script("return document.querySelectorAll('.map.drawn input[type=range]').length"):
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the map was not drawn")
    assert (
        re.search(
            r"(src|href)=.?(?!data:|#)\w", re.sub(r"<script>.*?</script>", "", alone.read_text("utf-8"), flags=re.S)
        )
        is None
    )
