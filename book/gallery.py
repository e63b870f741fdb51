"""Make the gallery: three finished reports as the command line writes them, a still of each, and their page.

Usage::

    python book/gallery.py
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image

BOOK = Path(__file__).resolve().parent
DATA = BOOK.parent / "data"
FOLDER = BOOK / "_static" / "gallery"
WIDE, COLOURS = 1000, 128  # pixels and colours of a still
FARM = "start_g + temp_c + C(site)"
SMOKERS = "age + sex + race + C(education) + C(exercise) + C(active)"
MEN = "age + I(age**2) + educ + re74 + re75 + black + hisp + marr + nodegree"
PAGE = """---
myst:
  html_meta:
    description: "Three finished reports to see before you make your own, one with an instrument, one on a yes or no."
---

# Three finished reports

What comes out, before you put anything in: three reports, each written by one command from a file that comes with the
book. Each is a page by itself, which may be mailed or printed; its picture opens it.
[Chapter 13](13-your-own-tank.ipynb) makes one step by step, and the last line of every report is its command.
"""
ENTRY = """
## {title}

{lesson}

```{{figure}} _static/gallery/{name}.png
:name: fig-gallery-{name}
:alt: "{alt}"
:target: ../_static/gallery/{name}.html
:width: 540px

{finding} From <a href="../_static/gallery/{name}.html">the whole report</a>.
```

It opens:

{opening}
"""


class Case(NamedTuple):
    """A report of the gallery: what it is made from, and what it teaches."""

    name: str
    title: str
    csv: str
    outcome: str
    treatment: str
    options: tuple[str, ...]
    lesson: str
    finding: str
    alt: str


CASES = (
    Case(
        "instrument",
        "With an instrument, and options to choose from",
        "ponds.csv",
        f"gain_g ~ feed_g + {FARM}",
        f"feed_g ~ {FARM} + delivery_km",
        ("--drop-missing", "--unit", "g per g a day", "--label", "feed_g=feed", "--label", "gain_g=gain",
         "--label", "delivery_km=distance", "--option", "one gram less=-2.5,-1", "--option", "as now=0,0",
         "--option", "one gram more=2.5,1"),
        "The farm of chapter 13, which is simulated: no public table in this book has an instrument that could be "
        "believed. *What it teaches:* an instrument moves the headline away from least squares, and here the "
        "interval then holds the truth that made the ponds, which that of least squares does not; what it costs is "
        "the one sentence that you have to defend.",
        "At the current that the instrument finds, to the right, the effect is well below least squares at zero.",
        "The effect of feed on gain falls as the hidden current rises; least squares lies on the line at zero, "
        "maximum likelihood and the tipping point are marked to the right.",
    ),
    Case(
        "yes-or-no",
        "A yes or a no",
        "nhefs_everyone.csv",
        f"death ~ smokeyrs + {SMOKERS}",
        f"smokeyrs ~ {SMOKERS}",
        ("--label", "smokeyrs=years smoked"),
        "The smokers of [chapter 12](12-yes-or-no.ipynb): did those who had smoked longer die more often in the years "
        "that followed? *What it teaches:* the effect is told in percentage points; and an interval that is clear of "
        "zero is no licence, where hiding a covariate that was measured would have made a stronger current than the "
        "one that turns the sign. What is known of smoking from elsewhere, these rows alone cannot show.",
        "The sign turns next to zero, and the current that age would have been lies far beyond.",
        "The effect of a year of smoking on the chance of death falls steeply as the hidden current rises; the "
        "tipping point lies next to zero, and the current of age far beyond it.",
    ),
    Case(
        "do-not-act",
        "Do not act",
        "lalonde_cps.csv",
        f"re78 ~ treat + {MEN}",
        f"treat ~ {MEN}",
        ("--unit", "dollars", "--label", "treat=trained", "--label", "re78=earnings"),
        "Trained men beside men of a survey, who are hardly comparable ([chapter 11](11-known-answer.ipynb) has the "
        "trial that the trained come from). *What it teaches:* a report may end in *no*, and then says why: the sign "
        "is open even if nothing is hidden, most rows have nobody to be compared with, and what the likelihood "
        "says about the current is disowned by a check. (Its figures are not those of chapter 11: it adds the square "
        "of age, and shuffles some of the rows where that chapter shuffles all.)",
        "Where nothing is hidden, at zero, the band holds both signs.",
        "The effect of training on earnings falls as the hidden current rises; its band holds zero where nothing is "
        "hidden.",
    ),
)  # fmt: skip


def make(case: Case, folder: Path) -> None:
    """The report of a case and its still, into a folder."""
    with tempfile.TemporaryDirectory() as place:
        words = [case.csv, "--outcome", case.outcome, "--treatment", case.treatment, *case.options]
        command = [sys.executable, "-m", "which_world", *words, "--out", f"{place}/{case.name}"]
        subprocess.run(command, cwd=DATA, check=True, stdout=subprocess.DEVNULL)
        shutil.copy(f"{place}/{case.name}/report.html", folder / f"{case.name}.html")
        still = Image.open(f"{place}/{case.name}/map.png").convert("RGB")
    still.thumbnail((WIDE, WIDE))
    still.quantize(COLOURS, dither=Image.Dither.NONE).save(folder / f"{case.name}.png", optimize=True)


def page() -> str:
    """The page of the gallery, which quotes the stored reports."""
    return PAGE + "".join(_entry(case) for case in CASES)


def _entry(case):
    """A report on the page: what it teaches, its figure, and what it opens with."""
    text = (FOLDER / f"{case.name}.html").read_text(encoding="utf-8")
    said = [html.unescape(line) for line in re.findall(r'<p class="short">(.*?)</p>', text)]
    opening = "\n>\n".join(f"> {re.sub(r'([_*|<>~$])', r'\\\1', line)}" for line in said)
    return ENTRY.format(**case._asdict(), opening=opening)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in CASES:
        make(each, FOLDER)
        print(each.name, flush=True)
    (BOOK / "gallery.md").write_text(page(), encoding="utf-8")
