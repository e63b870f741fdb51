"""A report as files: tables, figures, draws and pages in one folder, whole or not at all."""

import os
import tempfile
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
import xarray as xr

from helpers.plots import plot_map
from helpers.report import MANY, large, readable
from helpers.sentences import number

FILES = (
    "table.csv", "table.html", "table.tex", "map.png", "map.svg", "draws.nc", "report.md", "report.html", "report.txt",
)  # fmt: skip
SHOWN = ["alpha", "low", "high", "gap", "rho", "rho_sd", "P(alpha>0)", "interpretation"]

MARKDOWN = """# {{ title }}

{{ paragraph }}

## Which world?

{{ worlds }}

α is {{ effect }}; `low` and `high` bound its 95 % interval. T is the treatment, Y the outcome.
Every row but the first is a reading of one map.

![The effect at every hidden current](map.png)

{% for heading, sentences in sections %}## {{ heading }}

{% for sentence in sentences %}- {{ sentence }}
{% endfor %}
{{ tables[heading] }}
{% endfor %}"""

HTML = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; color: #2b3a42; max-width: 54rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: .9rem } th, td { padding: .25rem .6rem; text-align: left }
tr { border-bottom: 1px solid #d5dade } div { overflow-x: auto } img { max-width: 100% }
</style></head>
<body>
<h1>{{ title }}</h1>
<p>{{ paragraph }}</p>
<h2>Which world?</h2>
<div>{{ worlds | safe }}</div>
<p>α is {{ effect }}; low and high bound its 95 % interval. T is the treatment, Y the outcome.
Every row but the first is a reading of one map.</p>
<p><img src="map.svg" alt="{{ alt }}"></p>
{% for heading, sentences in sections %}<h2>{{ heading }}</h2>
<ul>{% for sentence in sentences %}<li>{{ sentence }}</li>
{% endfor %}</ul>
<div>{{ tables[heading] | safe }}</div>
{% endfor %}</body>
</html>
"""


def write_report(report, folder, *, force=False):
    """Write every file of a report into a folder that appears whole, or not at all.

    Parameters
    ----------
    report : Report
        From `make_report`.
    folder : path
        A new or empty folder.
    force : bool
        Replace an earlier report. A folder that holds anything else is never replaced.

    Returns
    -------
    pathlib.Path
        The folder, with `FILES` in it.

    Raises
    ------
    FileExistsError
        When the folder is not free; see `check_free`.
    OSError
        When it cannot be written.
    """
    folder = check_free(folder, force=force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        new, old = Path(beside) / "new", Path(beside) / "old"
        new.mkdir()
        _fill(report, new)
        check_free(folder, force=force)
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(new, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise
    return folder


def check_free(folder, *, force=False):
    """The folder as an absolute path, if a report may be written there.

    Raises
    ------
    FileExistsError
        When it is a file, holds an earlier report and `force` is not set, or holds anything else.
    """
    folder = Path(folder).absolute()
    if not folder.exists():
        return folder
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; accepted is a new or empty folder.")
    held = sorted(path.name for path in folder.iterdir())
    strangers = [name for name in held if name not in FILES]
    if strangers:
        raise FileExistsError(
            f"{folder} holds {strangers[:3]}, which no report wrote; accepted is a new or empty folder."
        )
    if held and not force:
        raise FileExistsError(
            f"{folder} holds an earlier report; accepted is another folder, or --force to replace it."
        )
    return folder


def _fill(report, folder):
    shown = report.worlds[SHOWN].rename(
        columns={"P(alpha>0)": "P(α > 0)", "alpha": "α", "rho": "ρ", "rho_sd": "sd of ρ"}
    )
    report.worlds.to_csv(folder / "table.csv")
    (folder / "table.html").write_text(_html(shown), encoding="utf-8")
    latex = shown.drop(columns="interpretation").to_latex(float_format=number, na_rep="", escape=True)
    (folder / "table.tex").write_text(latex.replace("α", r"$\alpha$").replace("ρ", r"$\rho$"), encoding="utf-8")
    _draw(report, folder)
    xr.DataTree.from_dict({"/worlds": report.draws, "/map": report.map}).to_netcdf(folder / "draws.nc")
    parts = _parts(report)
    for name, template, table, escape in (
        ("report.md", MARKDOWN, _markdown, False),
        ("report.html", HTML, _html, True),
    ):
        environment = jinja2.Environment(autoescape=escape, trim_blocks=False)
        tables = {heading: table(frame) for heading, frame in parts["tables"].items()}
        text = environment.from_string(template).render(parts | {"worlds": table(shown), "tables": tables})
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "report.txt").write_text(report.paragraph + "\n", encoding="utf-8")


def _parts(report):
    design, unit = report.design, report.unit
    effect = f"the effect of one unit of {design.treatment} on {design.outcome}{f', in {unit}' if unit else ''}"
    benchmarks = report.benchmarks.rename(columns={"rho": "ρ it would have been", "alpha_without": "α without it"})
    sections = {
        "What would overturn it": report.overturns, "What these data cannot say": report.limits,
        "What the numbers rest on": report.assumptions, "The data": report.checks,
        "Measured covariates, left out one at a time": [
            "The hidden current that each would have been, had it gone unmeasured, strongest first.",
            *_shortened(design),
        ],
        "Other priors": ["The world “ρ free” under priors half and twice as wide."],
    }  # fmt: skip
    tables = {"Measured covariates, left out one at a time": benchmarks, "Other priors": report.sensitivity}
    alt = f"The effect of {design.treatment} on {design.outcome} with its 95 percent interval, against rho."
    return {"title": f"The effect of {design.treatment} on {design.outcome}", "paragraph": report.paragraph,
            "effect": effect, "sections": list(sections.items()), "tables": tables, "alt": alt}  # fmt: skip


def _shortened(design):
    return [f"With so many rows these come from {MANY:,} of them, drawn at random, and the map from fewer columns and "
            "draws than usual."] if large(design) else []  # fmt: skip


def _html(frame):
    """An HTML table; pandas escapes what the data's labels hold."""
    return frame.reset_index().to_html(index=False, float_format=number, na_rep="", border=0)


def _markdown(frame):
    def cell(value):
        text = number(value) if isinstance(value, float) else str(value)
        return text.replace("|", "\\|")

    frame = frame.reset_index()
    rows = [list(frame.columns), ["---"] * frame.shape[1], *frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(map(cell, row)) + " |" for row in rows) if len(frame) else ""


def _draw(report, folder):
    figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
    marks = {"OLS": (0.0, report.worlds.loc["OLS", "alpha"])}
    plot_map(readable(report), tipping=report.tipping["interval"], marks=marks, ax=ax, unit=report.unit)
    ax.set_title(f"The effect of {report.design.treatment} on {report.design.outcome}, at every hidden current")
    for name in ("map.png", "map.svg"):
        figure.savefig(folder / name, dpi=200)
    plt.close(figure)
