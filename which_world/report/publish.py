"""A report as files: tables, figures, draws and pages in one folder, whole or not at all."""

import re
from datetime import date
from importlib.metadata import version

import jinja2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr

from which_world import arguments
from which_world.explore import explore_map
from which_world.plots import plot_map
from which_world.report.contents import MANY, Report, large, readable
from which_world.report.examine import MISLED
from which_world.report.folder import MANIFEST, written
from which_world.report.short import in_short
from which_world.report.words import listed, more_of, number

MEASURED = "Measured covariates, left out one at a time"
PIPED = "What the instruments say, with and without a prior"
BELONGING = "Who may belong together"
PRIORS = "Other priors"
FILES = (
    "table.csv",
    "table.html",
    "table.tex",
    "map.png",
    "map.svg",
    "draws.nc",
    "report.md",
    "report.html",
    "report.txt",
    MANIFEST,
)
HEADS = {
    "alpha": "α",
    "rho": "ρ",
    "rho_sd": "sd of ρ",
    "P(alpha>0)": "P(α > 0)",
    "P(effect>0)": "P(effect > 0)",
}

MARKDOWN = """# {{ title }}

{% for sentence in short %}{{ sentence }}
{% endfor %}
{{ made }}

## In full

{{ paragraph }}

## Which world?

{{ worlds }}

{{ read }} is {{ effect }}; `low` and `high` bound its 95 % interval. T is the treatment, Y the outcome.
Every row but the first is a reading of one map.

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
body { font: 1rem/1.5 system-ui, sans-serif; color: #2b3a42; max-width: 54rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: .9rem } th, td { padding: .25rem .6rem; text-align: left }
tr { border-bottom: 1px solid #d5dade } div { overflow-x: auto } svg { max-width: 100% }
td:not(:first-child):not(:last-child) { text-align: right; font-variant-numeric: tabular-nums }
.short { font-size: 1.15rem } .made { font-size: .8rem; opacity: .8; overflow-wrap: anywhere } figure { margin: 0 }
@media (prefers-color-scheme: dark) { body { color: #dde5e8; background: #16202a } .still { background: #fff } }
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
<p>{{ read }} is {{ effect }}; low and high bound its 95 % interval. T is the treatment, Y the outcome.
Every row but the first is a reading of one map.</p>
{% for heading, sentences in sections %}<h2>{{ heading }}</h2>
<ul>{% for sentence in sentences %}<li>{{ sentence }}</li>
{% endfor %}</ul>
{% if tables[heading] %}<div>{{ tables[heading] | safe }}</div>
{% endif %}{% endfor %}<p class="made">{{ made }}</p>
</body>
</html>
"""


def write_report(report, folder, *, force=False, source=None):
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
    """
    arguments.instance(report, Report, "report", "a Report from make_report(design)")
    accepted = "names and words, such as {'file': 'mine.csv'}"
    source = arguments.mapping(
        {} if source is None else source, "source", accepted, check=arguments.text
    )
    facts = {"date": date.today().isoformat(), "version": version("which-world")} | source
    with written(folder, force=arguments.flag(force, "force"), **facts) as (place, new):
        _fill(report, new, facts)
    return place


def _fill(report, folder, facts):
    columns = [
        report.read,
        "low",
        "high",
        "gap",
        "rho",
        "rho_sd",
        f"P({report.read}>0)",
        "interpretation",
    ]
    worlds = report.worlds[columns]
    if report.shuffled > MISLED:  # a number that a check disowns is not shown as if it counted
        worlds = worlds.copy()
        worlds.loc["ρ free", columns[:-1]] = np.nan
        worlds.loc["ρ free", "interpretation"] = (
            "not to be used: the likelihood finds currents where there are none"
        )
    shown = _rounded(worlds).rename(columns=HEADS)
    report.worlds.to_csv(folder / "table.csv")
    (folder / "table.html").write_text(_html(shown), encoding="utf-8")
    (folder / "table.tex").write_text(
        _latex(shown.drop(columns="interpretation")), encoding="utf-8"
    )
    _draw(report, folder)
    xr.DataTree.from_dict({"/worlds": report.draws, "/map": report.map}).to_netcdf(
        folder / "draws.nc"
    )
    parts = _parts(report) | {"made": _made(facts), "moving": _moving(report, folder)}
    for name, template, table, escape in (
        ("report.md", MARKDOWN, _markdown, False),
        ("report.html", HTML, _html, True),
    ):
        environment = jinja2.Environment(autoescape=escape, trim_blocks=False)
        tables = {heading: table(frame) for heading, frame in parts["tables"].items()}
        text = environment.from_string(template).render(
            parts | {"worlds": table(shown), "tables": tables}
        )
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "report.txt").write_text(report.paragraph + "\n", encoding="utf-8")


def _rounded(table):
    """The table in words: effects to the width of their interval, ρ to two decimals, a settled probability as such."""
    width = table["high"] - table["low"]
    own = [name for name in ("alpha", "effect", "low", "high", "gap") if name in table]
    text = {name: [number(*pair) for pair in zip(table[name], width)] for name in own}
    text |= {name: [_plain(value, 2) for value in table[name]] for name in ("rho", "rho_sd")}
    text |= {
        name: [_probability(value) for value in table[name]]
        for name in table
        if name.startswith("P(")
    }
    return table.assign(
        **{name: pd.Series(cells, table.index, dtype=object) for name, cells in text.items()}
    )


def _plain(value, digits):
    return "" if pd.isna(value) else f"{value:.{digits}f}".replace("-0.00", "0.00")


def _probability(p):
    return "< 0.001" if p < 0.001 else "> 0.999" if p > 0.999 else _plain(p, 3)


def _benchmarks(report):
    """The benchmarks as shown: rounded as the effect is, and a reason only where one is needed."""
    table, (low, high) = report.benchmarks, report.worlds.loc["OLS", ["low", "high"]]
    if not (table["reason"] != "").any():
        table = table.drop(columns="reason")
    without = f"{report.read}_without"
    cells = {
        name: [number(value, high - low) for value in table[name]] for name in (without, "change")
    }
    cells["rho"] = [_plain(value, 2) for value in table["rho"]]
    return table.assign(**cells).rename(
        columns={
            "rho": "ρ it would have been",
            "alpha_without": "α without it",
            "effect_without": "effect without it",
        }
    )


def _made(facts):
    """Where the report comes from, in a line."""
    file = (
        f" from {facts['file']} (SHA-256 {facts['sha256'][:16]}…)"
        if {"file", "sha256"} <= facts.keys()
        else ""
    )
    seed = f", seed {facts['seed']}" if "seed" in facts else ""
    command = f": {facts['command']}" if "command" in facts else "."
    return f"Made on {facts['date']}{file} with which-world {facts['version']}{seed}{command}"


def _moving(report, folder):
    """The map, which moves where a script may run, inside the page; a picture where it cannot."""
    try:
        from vl_convert import javascript_bundle

        figure = explore_map(
            report.map, unit=report.unit, ols=float(report.worlds.loc["OLS", report.read])
        )
        return figure.html(javascript_bundle())
    except (
        ImportError,
        ValueError,
    ):  # no script at hand, or too few columns that can be relied on
        picture = (folder / "map.svg").read_text(encoding="utf-8")
        return f"<figure>{picture[picture.index('<svg') :]}</figure>"


def _parts(report):
    design, unit = report.design, report.unit
    change = more_of(design, f"one unit of {design.treatment}")
    change = f"{design.treatment} = 1 against 0" if design.kind == "binary" else change
    on = (
        f"the chance that {design.outcome} is 1"
        if design.outcome_kind == "binary"
        else design.outcome
    )
    effect = f"the effect of {change} on {on}{f', in {unit}' if unit else ''}"
    sections = {
        "What would overturn it": report.overturns,
        "What these data cannot say": report.limits,
        "What the numbers rest on": report.assumptions,
        "The data": report.checks,
        MEASURED: [
            (
                "The hidden current that each would have been, had it gone unmeasured, strongest "
                "first."
            ),
            *_instruments(design),
            *_shortened(design),
        ],
        BELONGING: [
            "Columns outside the formulas whose rows resemble each other in both equations; "
            "within: the effect with a constant for each group; ρ: the current that leaving them "
            "out makes."
        ],
        PIPED: [
            "The posterior leans on the priors and the normal errors, maximum likelihood on the "
            "errors, two-stage least squares on many rows, Anderson and Rubin's interval on none "
            "of these; all on the exclusion."
        ],
        PRIORS: ["The world “ρ free” under priors half and twice as wide."],
    }
    tables = {heading: table for heading, table in _tables(report).items() if len(table)}
    own = (MEASURED, BELONGING, PIPED, PRIORS)
    sections = {name: said for name, said in sections.items() if name in tables or name not in own}
    return {
        "title": f"The effect of {design.treatment} on {design.outcome}",
        "paragraph": report.paragraph,
        "short": in_short(report),
        "effect": effect,
        "read": HEADS.get(report.read, "The effect"),
        "sections": list(sections.items()),
        "tables": tables,
    }


def _tables(report):
    """The tables by their headings, as shown; an empty one is not."""
    misled = report.shuffled > MISLED  # then the world “ρ free” is not shown under any prior
    priors = (
        report.sensitivity.iloc[:0]
        if misled
        else _rounded(report.sensitivity).rename(columns=HEADS)
    )
    tables = {
        PRIORS: priors,
        MEASURED: report.benchmarks,
        BELONGING: report.identifiers,
        PIPED: report.instruments,
    }
    if len(report.benchmarks):
        tables[MEASURED] = _benchmarks(report)
    if len(report.identifiers):
        tables[BELONGING] = _spelled(
            report.identifiers, ["within", "low", "high"], ["outcome", "treatment", "rho"]
        )
    if len(report.instruments):
        tables[PIPED] = _spelled(report.instruments, ["effect", "low", "high"], ["rho"])
    return tables


def _spelled(table, effects, plain):
    """A table in words: effects to the width of their interval, correlations to two decimals."""
    width = (table["high"] - table["low"]).abs()
    cells = {name: [number(*pair) for pair in zip(table[name], width)] for name in effects}
    cells |= {name: [_plain(value, 2) for value in table[name]] for name in plain}
    kept = [name for name in table if name in cells or name == "groups"]
    return (
        pd.DataFrame(cells, table.index)
        .assign(**{k: table[k] for k in kept if k not in cells})[kept]
        .rename(columns={"rho": "ρ", "outcome": "alike in Y", "treatment": "alike in T"})
    )


def _instruments(design):
    one = len(design.instruments) == 1
    said = (
        f"{listed(design.instruments)} {'is an instrument' if one else 'are instruments'} and no "
        "benchmark."
    )
    return [said] * bool(design.instruments)


def _shortened(design):
    return (
        [
            f"With so many rows these come from {MANY:,} of them, drawn at random, and the map "
            "from fewer columns and draws than usual."
        ]
        if large(design)
        else []
    )


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

    heads = {
        "world": "",
        "α": r"$\alpha$",
        "ρ": r"$\rho$",
        "sd of ρ": r"sd of $\rho$",
        "P(α > 0)": r"$P(\alpha > 0)$",
        "P(effect > 0)": r"$P(\mathrm{effect} > 0)$",
    }
    frame = (
        frame.map(cell).rename(index=name).rename_axis("world").reset_index().rename(columns=heads)
    )
    table = frame.to_latex(
        index=False, escape=False, column_format="l" + "r" * (frame.shape[1] - 1)
    )
    return f"% needs \\usepackage{{booktabs}}\n{table}"


def _markdown(frame):
    def cell(value):
        text = number(value) if isinstance(value, float) else str(value)
        return text.replace("|", "\\|")

    frame = frame.reset_index()
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(map(cell, row)) + " |" for row in rows) if len(frame) else ""


def _draw(report, folder):
    figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
    marks = {"OLS": (0.0, report.worlds.loc["OLS", report.read])}
    plot_map(
        readable(report), tipping=report.tipping["interval"], marks=marks, ax=ax, unit=report.unit
    )
    ax.set_title(
        f"The effect of {report.design.treatment} on {report.design.outcome}, at every hidden "
        "current"
    )
    for name in ("map.png", "map.svg"):
        figure.savefig(folder / name, dpi=200)
    plt.close(figure)
