"""A report as files: tables, figures, draws and pages in one folder, whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from importlib.metadata import version
from os import PathLike
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr

from which_world import arguments
from which_world.explore import explore_map
from which_world.plots import plot_map
from which_world.report.contents import MANY, large, readable
from which_world.report.examine import MISLED
from which_world.report.folder import MANIFEST, written
from which_world.report.report import Report
from which_world.report.short import in_short
from which_world.report.words import listed, more_of, number

MEASURED = "Measured covariates, left out one at a time"
PIPED = "What the instruments say, with and without a prior"
BELONGING = "Who may belong together"
PRIORS = "Other priors"
TABLES = "table.csv", "table.html", "table.tex"
FIGURES = "map.png", "map.svg"
PAGES = "report.md", "report.html", "report.txt"
FILES = (*TABLES, *FIGURES, "draws.nc", *PAGES, MANIFEST)
HEADS = {
    "alpha": "α",
    "rho": "ρ",
    "rho_sd": "sd of ρ",
    "P(alpha>0)": "P(α > 0)",
    "P(effect>0)": "P(effect > 0)",
}
IN_LATEX = {
    "world": "",
    "α": r"$\alpha$",
    "ρ": r"$\rho$",
    "sd of ρ": r"sd of $\rho$",
    "P(α > 0)": r"$P(\alpha > 0)$",
    "P(effect > 0)": r"$P(\mathrm{effect} > 0)$",
}
DISOWNED = "not to be used: the likelihood finds currents where there are none"
LEFT_OUT = "The hidden current that each would have been, had it gone unmeasured, strongest first."
RESEMBLING = (
    "Columns outside the formulas whose rows resemble each other in both equations; within: the "
    "effect with a constant for each group; ρ: the current that leaving them out makes."
)
WITHOUT_PRIOR = (
    "The posterior leans on the priors and the normal errors, maximum likelihood on the errors, "
    "two-stage least squares on many rows, Anderson and Rubin's interval on none of these; all on "
    "the exclusion."
)
OTHER_PRIORS = "The world “ρ free” under priors half and twice as wide."
MANY_ROWS = (
    f"With so many rows these come from {MANY:,} of them, drawn at random, and the map from fewer "
    "columns and draws than usual."
)

MARKDOWN = """# {{ title }}

{% for sentence in short %}{{ sentence }}
{% endfor %}
{{ made }}

## In full

{{ paragraph }}

## Which world?

{{ worlds }}

{{ read }} is {{ effect }}; `low` and `high` bound its 95 % interval.
T is the treatment, Y the outcome. Every row but the first is a reading of one map.

![The effect at every hidden current](map.png)

{% for heading, sentences in sections %}## {{ heading }}

{% for sentence in sentences %}- {{ sentence }}
{% endfor %}{% if tables[heading] %}
{{ tables[heading] }}
{% endif %}
{% endfor %}"""

HTML = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; color: #2b3a42;
  max-width: 54rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: .9rem }
th, td { padding: .25rem .6rem; text-align: left }
tr { border-bottom: 1px solid #d5dade } div { overflow-x: auto } svg { max-width: 100% }
td:not(:first-child):not(:last-child) { text-align: right; font-variant-numeric: tabular-nums }
.short { font-size: 1.15rem }
.made { font-size: .8rem; opacity: .8; overflow-wrap: anywhere }
figure { margin: 0 }
@media (prefers-color-scheme: dark) {
  body { color: #dde5e8; background: #16202a } .still { background: #fff }
}
@media print { body { max-width: none; margin: 0 } h2 { break-after: avoid } }
</style></head>
<body>
<h1>{{ title }}</h1>
{% for sentence in short %}<p class="short">{{ sentence }}</p>
{% endfor %}
{{ moving | safe }}
<h2>In full</h2>
<p>{{ paragraph }}</p>
<h2>Which world?</h2>
<div>{{ worlds | safe }}</div>
<p>{{ read }} is {{ effect }}; low and high bound its 95 % interval.
T is the treatment, Y the outcome. Every row but the first is a reading of one map.</p>
{% for heading, sentences in sections %}<h2>{{ heading }}</h2>
<ul>{% for sentence in sentences %}<li>{{ sentence }}</li>
{% endfor %}</ul>
{% if tables[heading] %}<div>{{ tables[heading] | safe }}</div>
{% endif %}{% endfor %}<p class="made">{{ made }}</p>
</body>
</html>
"""


def write_report(
    report: Report,
    folder: str | PathLike[str],
    *,
    force: bool = False,
    source: Mapping[str, str] | None = None,
) -> Path:
    """Write every file of a report into a folder that appears whole, or not at all.

    Parameters
    ----------
    report : Report
        From `make_report`.
    folder : path
        A new or empty folder.
    force : bool
        Replace an earlier report. A folder that holds anything else, or a file of it that was
        changed, is never replaced.
    source : mapping of str to str, optional
        What the report was made from and how (``file``, ``sha256``, ``command``, ``seed``), to be
        written into it.

    Returns
    -------
    pathlib.Path
        The folder, with `FILES` in it, and a manifest of them.

    Raises
    ------
    FileExistsError
        When the folder is not free; see `which_world.report.folder.check_free`.
    OSError
        When it cannot be written.

    See Also
    --------
    make_report : What is written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, pandas as pd
    >>> from which_world import make_design, make_report, write_report
    >>> data = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=["x", "v", "u"])
    >>> data["t"] = data.x + data.v
    >>> data["y"] = 2 * data.t + data.x + data.u
    >>> report = make_report(make_design(data, outcome="y ~ t + x", treatment="t ~ x"))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = write_report(report, f"{place}/report")
    ...     sorted(path.suffix for path in folder.iterdir() if path.stem == "report")
    ['.html', '.md', '.txt']
    """
    arguments.instance(report, Report, "report", "a Report from make_report(design)")
    accepted = "names and words, such as {'file': 'mine.csv'}"
    source = {} if source is None else source
    named = arguments.mapping(source, "source", accepted, check=arguments.text)
    facts = {"date": date.today().isoformat(), "version": version("which-world")} | named
    with written(folder, force=arguments.flag(force, "force"), **facts) as (place, new):
        _fill(report, new, facts)
    return place


def _fill(report: Report, folder: Path, facts: Mapping[str, str]) -> None:
    """Write every file of a report but its manifest."""
    worlds = _shown_worlds(report)
    report.worlds.to_csv(folder / "table.csv")
    _write(folder / "table.html", _html(worlds))
    _write(folder / "table.tex", _latex(worlds.drop(columns="interpretation")))
    _draw(report, folder)
    draws = xr.DataTree.from_dict({"/worlds": report.draws, "/map": report.map})
    draws.to_netcdf(folder / "draws.nc")
    words = _words(report) | {"made": _made(facts), "moving": _moving(report, folder)}
    tables = {"": worlds} | _tables(report)
    _write(folder / "report.md", _page(MARKDOWN, words, tables, _markdown, escape=False))
    _write(folder / "report.html", _page(HTML, words, tables, _html, escape=True))
    _write(folder / "report.txt", report.paragraph + "\n")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _page(
    template: str,
    words: dict[str, object],
    tables: Mapping[str, pd.DataFrame],
    as_text: Callable[[pd.DataFrame], str],
    escape: bool,
) -> str:
    """A page with the words and the tables of a report, the worlds' under an empty heading."""
    texts = {heading: as_text(table) for heading, table in tables.items()}
    environment = jinja2.Environment(autoescape=escape, trim_blocks=False)
    page = environment.from_string(template)
    return page.render(words | {"worlds": texts.pop(""), "tables": texts})


def _shown_worlds(report):
    """The table of worlds as shown: rounded, without what only a reader of code needs."""
    numbers = [report.read, "low", "high", "gap", "rho", "rho_sd", f"P({report.read}>0)"]
    worlds = report.worlds[[*numbers, "interpretation"]].copy()
    if report.shuffled > MISLED:  # a number that a check disowns is not shown as if it counted
        worlds.loc["ρ free", numbers] = np.nan
        worlds.loc["ρ free", "interpretation"] = DISOWNED
    return _rounded(worlds).rename(columns=HEADS)


def _rounded(table):
    """A table of worlds in words.

    Effects to the width of their interval, ρ to two decimals, a settled probability as such.
    """
    width = table["high"] - table["low"]
    effects = [name for name in ("alpha", "effect", "low", "high", "gap") if name in table]
    cells = {name: _to_width(table[name], width) for name in effects}
    cells |= {name: _two_decimals(table[name]) for name in ("rho", "rho_sd")}
    for name in table:
        if name.startswith("P("):
            cells[name] = [_probability(value) for value in table[name]]
    texts = {name: pd.Series(texts, table.index, dtype=object) for name, texts in cells.items()}
    return table.assign(**texts)


def _to_width(values, width):
    """Numbers with as many digits as the width of each one's interval deserves."""
    return [number(*pair) for pair in zip(values, width)]


def _two_decimals(values):
    return [_decimals(value, 2) for value in values]


def _decimals(value, digits):
    """A number to so many decimals, without the sign of a zero; empty for NaN."""
    return "" if pd.isna(value) else f"{value:.{digits}f}".replace("-0.00", "0.00")


def _probability(p):
    """A probability to three decimals, or that it is nearly settled."""
    if p < 0.001:
        return "< 0.001"
    return "> 0.999" if p > 0.999 else _decimals(p, 3)


def _shown_benchmarks(report):
    """The benchmarks: rounded as the effect is, and a reason only where one is needed."""
    table, (low, high) = report.benchmarks, report.worlds.loc["OLS", ["low", "high"]]
    if not (table["reason"] != "").any():
        table = table.drop(columns="reason")
    without = f"{report.read}_without"
    cells = {
        name: [number(value, high - low) for value in table[name]] for name in (without, "change")
    }
    cells["rho"] = _two_decimals(table["rho"])
    effect = HEADS.get(report.read, report.read)
    heads = {"rho": "ρ it would have been", without: f"{effect} without it"}
    return table.assign(**cells).rename(columns=heads)


def _made(facts):
    """Where the report comes from, in a line."""
    line = f"Made on {facts['date']}"
    if {"file", "sha256"} <= facts.keys():
        line += f" from {facts['file']} (SHA-256 {facts['sha256'][:16]}…)"
    line += f" with which-world {facts['version']}"
    if "seed" in facts:
        line += f", seed {facts['seed']}"
    return f"{line}: {facts['command']}" if "command" in facts else f"{line}."


def _moving(report, folder):
    """The map, which moves where a script may run, inside the page; a picture where it cannot."""
    try:
        from vl_convert import javascript_bundle

        least_squares = float(report.worlds.loc["OLS", report.read])
        figure = explore_map(report.map, unit=report.unit, ols=least_squares)
        return figure.html(javascript_bundle())
    except (ImportError, ValueError):  # no script at hand, or too few columns to be relied on
        picture = (folder / "map.svg").read_text(encoding="utf-8")
        return f"<figure>{picture[picture.index('<svg') :]}</figure>"


def _words(report):
    """What a page says: its title, sentences, and sections with their headings."""
    design = report.design
    return {
        "title": f"The effect of {design.treatment} on {design.outcome}",
        "paragraph": report.paragraph,
        "short": in_short(report),
        "effect": _effect(report),
        "read": HEADS.get(report.read, "The effect"),
        "sections": list(_sections(report).items()),
    }


def _effect(report):
    """What the effect is of, on what, in which unit."""
    design = report.design
    if design.kind == "binary":
        change = f"{design.treatment} = 1 against 0"
    else:
        change = more_of(design, f"one unit of {design.treatment}")
    on = design.outcome
    if design.outcome_kind == "binary":
        on = f"the chance that {design.outcome} is 1"
    unit = f", in {report.unit}" if report.unit else ""
    return f"the effect of {change} on {on}{unit}"


def _sections(report):
    """Sentences by their headings; what introduces a table is there where the table is."""
    introduced = {
        MEASURED: [LEFT_OUT, *_instruments(report.design), *_shortened(report.design)],
        BELONGING: [RESEMBLING],
        PIPED: [WITHOUT_PRIOR],
        PRIORS: [OTHER_PRIORS],
    }
    sections = {
        "What would overturn it": report.overturns,
        "What these data cannot say": report.limits,
        "What the numbers rest on": report.assumptions,
        "The data": report.checks,
    }
    tables = _tables(report)
    return sections | {name: said for name, said in introduced.items() if name in tables}


def _tables(report):
    """The tables by their headings, as shown; an empty one is not."""
    tables = {}
    if len(report.sensitivity) and not report.shuffled > MISLED:
        tables[PRIORS] = _rounded(report.sensitivity).rename(columns=HEADS)
    if len(report.benchmarks):
        tables[MEASURED] = _shown_benchmarks(report)
    if len(report.identifiers):
        correlations = ["outcome", "treatment", "rho"]
        tables[BELONGING] = _spelled(report.identifiers, ["within", "low", "high"], correlations)
    if len(report.instruments):
        tables[PIPED] = _spelled(report.instruments, ["effect", "low", "high"], ["rho"])
    return tables


def _spelled(table, effects, correlations):
    """A table in words: effects to the width of their interval, correlations to two decimals."""
    width = (table["high"] - table["low"]).abs()
    cells = {name: _to_width(table[name], width) for name in effects}
    cells |= {name: _two_decimals(table[name]) for name in correlations}
    kept = [name for name in table if name in cells or name == "groups"]
    heads = {"rho": "ρ", "outcome": "alike in Y", "treatment": "alike in T"}
    return table[kept].assign(**cells).rename(columns=heads)


def _instruments(design):
    """What to say of instruments beside benchmarks, where there are any."""
    if not design.instruments:
        return []
    be = "is an instrument" if len(design.instruments) == 1 else "are instruments"
    return [f"{listed(design.instruments)} {be} and no benchmark."]


def _shortened(design):
    """What to say where rows are so many that fewer do."""
    return [MANY_ROWS] if large(design) else []


def _html(frame):
    """An HTML table; pandas escapes what the data's labels hold."""
    return frame.reset_index().to_html(index=False, float_format=number, na_rep="", border=0)


def _latex(frame):
    """A LaTeX table: numbers and symbols in mathematics, the worlds' names included."""

    def name(text):
        text = re.sub(r"[-+]\d[\d.]*", r"$\g<0>$", text.replace("ρ = 0", r"$\rho = 0$"))
        return text.replace("ρ", r"$\rho$")

    def cell(value):
        return f"${value.replace(',', '{,}')}$" if value else ""

    cells = frame.map(cell).rename(index=name).rename_axis("world").reset_index()
    alignment = "l" + "r" * frame.shape[1]
    table = cells.rename(columns=IN_LATEX).to_latex(
        index=False, escape=False, column_format=alignment
    )
    return f"% needs \\usepackage{{booktabs}}\n{table}"


def _markdown(frame):
    """A Markdown table; empty without rows."""

    def cell(value):
        text = number(value) if isinstance(value, float) else str(value)
        return text.replace("|", "\\|")

    def line(row):
        return "| " + " | ".join(map(cell, row)) + " |"

    if frame.empty:
        return ""
    frame = frame.reset_index()
    rows = [frame.columns, ["---"] * frame.shape[1], *frame.itertuples(index=False)]
    return "\n".join(map(line, rows))


def _draw(report, folder):
    """The map as a figure, in both formats."""
    figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
    marks = {"OLS": (0.0, report.worlds.loc["OLS", report.read])}
    tip, design = report.tipping["interval"], report.design
    plot_map(readable(report), tipping=tip, marks=marks, ax=ax, unit=report.unit)
    ax.set_title(f"The effect of {design.treatment} on {design.outcome}, at every hidden current")
    for name in FIGURES:
        figure.savefig(folder / name, dpi=200)
    plt.close(figure)
