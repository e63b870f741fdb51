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
from which_world.moments import on_one_thread
from which_world.report.contents import THINNED_TO, large
from which_world.report.examine import MISLED
from which_world.report.figure import draw, moving
from which_world.report.folder import MANIFEST, written
from which_world.report.identifiers import placed
from which_world.report.instruments import region
from which_world.report.long import data, grounds, turns, unsaid
from which_world.report.report import Report
from which_world.report.sentences import yardsticks
from which_world.report.short import opening
from which_world.report.words import acted_on, listed, more_of, number

MEASURED = "Measured covariates, left out one at a time"
PIPED = "What the instruments say, with and without a prior"
BELONGING = "Who may belong together"
PRIORS = "Other priors"
TABLES = "table.csv", "table.html", "table.tex"
FIGURES = "map.png", "map.svg"
PAGES = "report.md", "report.html", "report.txt"
FILES = (*TABLES, *FIGURES, "draws.nc", *PAGES, MANIFEST)
INTERVAL = "95 % interval"
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
LEFT_OUT = "ρ is the hidden current that each would have been, had it gone unmeasured."
RESEMBLING = (
    "Columns outside the formulas whose rows resemble each other in what both equations leave "
    "(alike: the intraclass correlation). Within is the effect with a constant for each group, ρ "
    "the current of leaving these out, and factor what the interval at ρ = 0 is too narrow by, "
    "where every row is counted as news."
)
GROUPED = "Factor is what the interval at ρ = 0 is too narrow by, where every row is news."
REMEDY = (
    "If {0} names who belongs together, bootstrap_map(design, data[{0}]) and ols(design, "
    "cluster=data[{0}]) count whole groups; to take out what they share, {1}."
)
WITHOUT_PRIOR = (
    "The posterior leans on the priors and the normal errors, maximum likelihood on the errors, "
    "two-stage least squares on many rows, Anderson and Rubin's interval on none of these, however "
    "weak the instruments. All take the errors' spread for the same in every row, and lean on the "
    "exclusion: on no second way to the outcome."
)
OTHER_PRIORS = "The row “ρ free” again, under priors half and twice as wide."
MANY_ROWS = (
    f"With so many rows these come from {THINNED_TO:,} of them, drawn at random, and the map from "
    "fewer columns and draws than usual."
)
MARKDOWN = """# {{ title }}

{% for sentence in short %}{{ sentence }}
{% endfor %}
{{ decision }}

![{{ title }} at every hidden current](map.png)

{{ caption }}

## Which world?

{{ said }}

{{ worlds }}

{% for heading, sentences in sections %}## {{ heading }}

{% if tables[heading] %}{{ sentences | join(" ") }}

{{ tables[heading] }}

{% else %}{% for sentence in sentences %}- {{ sentence }}
{% endfor %}
{% endif %}{% endfor %}{{ made }}
"""


@on_one_thread
def write_report(
    report: Report,
    folder: str | PathLike[str],
    *,
    force: bool = False,
    source: Mapping[str, str] | None = None,
) -> Path:
    """The folder of a report, in which every file is written, or none.

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
    words = _words(report) | {"made": _made(facts), "moving": moving(report)}
    tables = {"": _in_columns(worlds)} | _tables(report)
    page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    _write(folder / "report.md", _page(MARKDOWN, words, tables, _markdown, escape=False))
    _write(folder / "report.html", _page(page, words, tables, _html, escape=True))
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
        worlds["interpretation"] = [said.partition("; ")[0] for said in worlds["interpretation"]]
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


def _in_columns(worlds):
    """The table of worlds as a page has it: an interval is one cell, and so is ρ with its sd."""
    effect, (chance,) = worlds.columns[0], [name for name in worlds if name.startswith("P(")]
    free = worlds["sd of ρ"].isin(["", "0.00"])
    spread = worlds["ρ"].where(free, worlds["ρ"] + " (sd " + worlds["sd of ρ"] + ")")
    cells = {effect: worlds[effect], INTERVAL: _ends(worlds), "ρ": spread, chance: worlds[chance]}
    if "interpretation" in worlds:
        cells["what it supposes"] = worlds["interpretation"]
    return pd.DataFrame(cells, index=worlds.index)


def _ends(table):
    """The ends of intervals, from their columns of texts; empty where there is none."""
    return (table["low"] + " to " + table["high"]).where(table["low"] != "", "")


def _shown_benchmarks(report):
    """The benchmarks: rounded as the effect is, and a reason only where one is needed."""
    table, (low, high) = report.benchmarks, report.worlds.loc["OLS", ["low", "high"]]
    without = f"{report.read}_without"
    cells = {"ρ": _two_decimals(table["rho"])}
    cells["effect without it"] = [number(value, high - low) for value in table[without]]
    if (table["reason"] != "").any():
        cells["reason"] = table["reason"]
    return pd.DataFrame(cells, index=table.index)


def _made(facts):
    """Where the report comes from, in a line."""
    line = f"Made on {facts['date']}"
    if {"file", "sha256"} <= facts.keys():
        line += f" from {facts['file']} (SHA-256 {facts['sha256'][:16]}…)"
    line += f" with which-world {facts['version']}"
    if "seed" in facts:
        line += f", seed {facts['seed']}"
    return f"{line}: {facts['command']}" if "command" in facts else f"{line}."


def _words(report):
    """What a page says: its title, sentences, and sections with their headings."""
    design, (short, told) = report.design, opening(report)
    return {
        "title": f"The effect of {design.treatment} on {design.outcome}",
        "short": short,
        "decision": report.decided,
        "caption": _caption(report),
        "effect": _effect(report),
        "said": _worlds_said(report),
        "sections": list(_sections(report, told).items()),
    }


def _caption(report):
    """What is seen in the figure, and what ρ is, in half a sentence each."""
    T, Y = report.design.treatment, report.design.outcome
    ticks = ""
    if len(yardsticks(report)):
        ticks = " Ticks at the bottom are currents to compare with, which the tables below explain."
    return (
        f"ρ, the hidden current, is the correlation between what is unmeasured in {T} and what is "
        f"unmeasured in {Y}: 0 where nothing hidden moves both. The line is the effect to expect "
        f"there, the band its 95 % interval; the tipping point is where that reaches zero.{ticks}"
    )


def _effect(report):
    """What the effect is of, on what, in which unit."""
    design = report.design
    if design.kind == "binary":
        change = f"{design.treatment} = 1 against 0"
    else:
        change = more_of(design, f"one unit of {design.treatment}")
    unit = f", in {report.unit}" if report.unit else ""
    return f"the effect of {change} on {acted_on(design)}{unit}"


def _worlds_said(report):
    """How the table of worlds is to be read."""
    design, read = report.design, HEADS.get(report.read, "the effect")
    misled = report.shuffled > MISLED
    silent = " The likelihood, which the shuffles below reject, has no say on ρ." if misled else ""
    return (
        f"What is read, {read}, is {_effect(report)}; T stands for {design.treatment}, Y for "
        f"{design.outcome}. OLS is least squares, with a confidence interval. Every other row is "
        "the posterior (what the data and the beliefs before them, the priors, say together) under "
        "another belief about ρ: its 95 % interval holds the effect with probability 95 %, if that "
        f"belief is right, and leaves 2.5 % on either side.{silent}"
    )


def _sections(report, told):
    """Sentences by their headings; what introduces a table is there where the table is."""
    introduced = {
        MEASURED: [LEFT_OUT, *_instruments(report.design), *_shortened(report.design)],
        PIPED: [WITHOUT_PRIOR],
        BELONGING: _belonging(report),
        PRIORS: [line for line in (report.leaning, OTHER_PRIORS) if line],
    }
    tables = _tables(report)
    sections = {
        "What else would overturn it": turns(report, told),
        "What these data cannot say": unsaid(report, told),
        **{name: said for name, said in introduced.items() if name in tables},
        "What else the numbers rest on": grounds(report, told),
        "The data": data(report, told),
    }
    return {heading: sentences for heading, sentences in sections.items() if sentences}


def _belonging(report):
    """What the table of identifiers shows, and what to do where one names who belongs together."""
    table = report.identifiers
    if table.empty:
        return []
    resembling = table["outcome"].notna()
    said = [RESEMBLING if resembling.any() else GROUPED]
    for name, row in table.iterrows():
        asked = [line for line in report.clustered if str(name) in line]
        if asked and resembling[name]:
            asked = [REMEDY.format(name, placed(row, report.design))]
        said += asked[:1]
    return said


def _tables(report):
    """The tables by their headings, as shown; an empty one is not."""
    tables = {}
    if len(report.benchmarks):
        tables[MEASURED] = _shown_benchmarks(report)
    if len(report.instruments):
        tables[PIPED] = _shown_instruments(report.instruments)
    if len(report.identifiers):
        tables[BELONGING] = _shown_identifiers(report.identifiers)
    if len(report.sensitivity) and not report.shuffled > MISLED:
        others = report.sensitivity.drop(index="as reported", errors="ignore")  # it is a world
        tables[PRIORS] = _in_columns(_rounded(others).rename(columns=HEADS))
    return tables


def _shown_identifiers(table):
    """Columns that may name groups: effects to the width of their interval."""
    width = table["high"] - table["low"]
    ends = {name: pd.Series(_to_width(table[name], width), table.index) for name in ("low", "high")}
    cells = {
        "groups": table["groups"],
        "alike in Y": _two_decimals(table["outcome"]),
        "alike in T": _two_decimals(table["treatment"]),
        "factor": [_decimals(factor, 1) for factor in table["factor"]],
        "within": _to_width(table["within"], width),
        INTERVAL: _ends(ends),
        "ρ": _two_decimals(table["rho"]),
    }
    shown = pd.DataFrame(cells, index=table.index)
    return shown.loc[:, (shown != "").any()]


def _shown_instruments(table):
    """What the instruments say, by method; Anderson and Rubin's interval may be none."""
    width = (table["high"] - table["low"]).abs()
    ends = {name: pd.Series(_to_width(table[name], width), table.index) for name in ("low", "high")}
    intervals = _ends(ends)
    if "Anderson–Rubin" in table.index:
        words = region(table).removeprefix("is ").removeprefix("holds ")
        intervals["Anderson–Rubin"] = words.partition(":")[0]
    cells = {"effect": _to_width(table["effect"], width), INTERVAL: intervals}
    return pd.DataFrame(cells | {"ρ": _two_decimals(table["rho"])}, index=table.index)


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
    """An HTML table whose heads say what they head; pandas escapes what the labels hold."""
    frame = frame.rename_axis(index=None, columns=frame.index.name)
    head, body, rest = frame.to_html(float_format=number, na_rep="", border=0).partition("<tbody>")
    head = head.replace("<th>", '<th scope="col">').replace(' style="text-align: right;"', "")
    return head + body + rest.replace("<th>", '<th scope="row">')


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
    figure = draw(report, "alone")
    for name in FIGURES:
        figure.savefig(folder / name, dpi=200)
    plt.close(figure)
