"""From a CSV and two formulas to a folder with a report: ``which-world --help``."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from which_world.design import Design
    from which_world.report.contents import Report

# what takes time, in its order; `make_report` tells those in the middle
STAGES = ("read the data", "draw the map", "read the worlds", "benchmarks", "sentences", "write")

EXAMPLE = """
\b
Example, with the file that comes with the book:
  python -m which_world data/ponds.csv --drop-missing --unit "g per g a day" --out report/ \\
    --outcome "gain_g ~ feed_g + start_g + temp_c + C(site)" \\
    --treatment "feed_g ~ start_g + temp_c + C(site)"
"""

MISSING = (
    "What stands for a missing value beside the empty field, everywhere or in one column: "
    "--missing region= is the empty field alone, --missing age=-99 is -99.  [default: NA, None, "
    "null, n/a, NaN and their kin]"
)


def _no_weights(context, option, value):
    """What the option of weights, which there is not, says."""
    if value is not None:
        from which_world.arguments import UNWEIGHTED  # NumPy is slow to import

        raise click.ClickException(f"{option.opts[0]}: {UNWEIGHTED}.")


@click.command(epilog=EXAMPLE, context_settings={"max_content_width": 100}, no_args_is_help=True)
@click.argument("csv")
@click.option(
    "--outcome",
    required=True,
    help=(
        "Formula of the outcome equation, with the treatment among its terms. "
        "A name with spaces stands in backticks; C(x) is categorical."
    ),
)
@click.option(
    "--treatment",
    required=True,
    help=(
        "Formula of the treatment equation. A term that stands here and not "
        "in the other formula is an instrument."
    ),
)
@click.option("--out", required=True, help="Folder to write; it must be new or empty.")
@click.option("--unit", default="", help="Unit of the effect, for figures and sentences.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=WORDS",
    help=(
        "What to call a variable in the report, "
        'for each that is to have a name of its own: --label wt82_71="the weight gain".'
    ),
)
@click.option(
    "--belief",
    nargs=2,
    type=float,
    default=(0.0, 0.5),
    show_default=True,
    metavar="MEAN SD",
    help="Prior of the hidden current ρ: atanh ρ ~ Normal(MEAN, SD).",
)
@click.option(
    "--alpha",
    type=float,
    help="Prior sd of the effect.  [default: sd of the outcome / sd of the treatment]",
)
@click.option(
    "--outcome-kind",
    type=click.Choice(["binary", "continuous"]),
    help="Of the outcome.  [default: binary if it is 0 or 1, continuous otherwise]",
)
@click.option(
    "--step",
    type=float,
    help=(
        "Change in a continuous treatment for which the effect on a binary outcome is read.  "
        "[default: 1, or where hardly any rows differ by that much, a power of ten near its sd]"
    ),
)
@click.option(
    "--drop-missing",
    is_flag=True,
    help="Drop rows with a missing value in a column used, and count them.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=COST,SHARE",
    help=(
        "Something you could do: what it costs, in units of the effect, and the share of the "
        "effect that it brings. With two or more the report says which is best at which ρ: "
        '--option "as now=0,0" --option "all=2.5,1".'
    ),
)
@click.option(
    "--within",
    nargs=2,
    type=float,
    default=(-0.5, 0.5),
    show_default=True,
    metavar="LOW HIGH",
    help="The hidden currents ρ between which options are compared.",
)
@click.option("--force", is_flag=True, help="Replace an earlier report in the folder.")
@click.option(
    "--separator",
    default=",",
    show_default=True,
    help="Between the values of the CSV; \\t is a tab.",
)
@click.option("--decimal", default=".", show_default=True, help="Decimal mark of the CSV.")
@click.option("--thousands", help="Mark between thousands in the CSV, if there is one.")
@click.option("--missing", multiple=True, metavar="[NAME=]TEXT", help=MISSING)
@click.option("--weights", "--weight", hidden=True, expose_value=False, callback=_no_weights)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draws.")
def main(csv: str, out: str, force: bool, seed: int, **options: Any) -> None:
    """Which world are your data in?

    Reads CSV, or a Parquet, Feather, Excel, Stata, SPSS, SAS or JSON file, and writes, into one
    folder, the table of worlds (CSV, HTML, LaTeX), the map of the effect at every hidden current
    (PNG, SVG), the draws (netCDF) and a report in words (Markdown, HTML, text).
    """
    names: dict[str, str] = {}
    try:
        with _stages() as tell:
            from which_world.report.folder import check_free  # slow to import, and help needs none

            check_free(out, force=force, reading=csv)
            table = _table(csv, options)
            names = table.names  # for the errors of what follows
            design = _design(table, options)
            table = _without_measurements(table)
            report = _report(table, design, seed, tell, options)
            tell("write")
            from which_world import write_report

            folder = write_report(report, out, force=force, source=_source(csv, out, seed))
    except click.ClickException:
        raise
    except KeyboardInterrupt:
        click.echo("Interrupted; nothing was written.", err=True)
        sys.exit(130)
    except Exception as error:
        raise click.ClickException(_sentence(error, names)) from None
    # click.echo would write UTF-8 to an ASCII terminal
    print(f"{report.paragraph}\n\nThe report is in {folder}.")


def _table(csv: str, options: dict[str, Any]) -> Any:
    """The table of a file."""
    from which_world import read_table

    marks = {name: options[name] for name in ("separator", "decimal", "thousands")}
    return read_table(
        csv,
        outcome=options["outcome"],
        treatment=options["treatment"],
        drop_missing=options["drop_missing"],
        missing=_missing(options["missing"]),
        **marks,
    )


def _design(table: Any, options: dict[str, Any]) -> Design:
    """The design of a table."""
    from which_world import make_design

    return make_design(
        table.data,
        outcome=table.outcome,
        treatment=table.treatment,
        outcome_kind=options["outcome_kind"],
        step=options["step"],
    )


def _without_measurements(table: Any) -> Any:
    """A table without what its design holds as well; a file stays on disk."""
    from which_world.report.identifiers import nameable

    return table if isinstance(table.data, Path) else table._replace(data=nameable(table.data))


def _report(
    table: Any, design: Design, seed: int, tell: Callable[[str], None], options: dict[str, Any]
) -> Report:
    """The report of a table and its design."""
    from which_world import atanh_normal, make_report  # as late: a file may have been refused

    return make_report(
        design,
        table=table,
        unit=options["unit"],
        belief=atanh_normal(*options["belief"]),
        alpha=options["alpha"],
        labels=_labels(options["labels"]),
        options=_options(options["options"]),
        within=options["within"],
        seed=seed,
        tell=tell,
    )


def _missing(texts: tuple[str, ...]) -> list[str] | dict[str, list[str]] | None:
    """NAME=TEXT, each, as lists by name; or texts without a name, for all columns."""
    apart = [text.partition("=") for text in texts]
    signs = {sign for _, sign, _ in apart}
    if len(signs) > 1:
        raise ValueError(
            f"--missing {', '.join(map(repr, texts))} is said of all columns and of one; accepted "
            "are texts for all columns, or NAME=TEXT for each."
        )
    if signs != {"="}:
        return list(texts) or None
    lists: dict[str, list[str]] = {}
    for name, _, text in apart:
        lists.setdefault(name, []).append(text)
    return lists


def _labels(pairs: tuple[str, ...]) -> dict[str, str]:
    """NAME=WORDS, each, as a mapping."""
    labels = {}
    for pair in pairs:
        # no part of a comparison: k == 'a' is a name
        name, *words = map(str.strip, re.split(r"(?<![=!<>])=(?!=)", pair, maxsplit=1))
        if not (name and words and words[0]):
            raise ValueError(
                f'--label {pair!r} is no NAME=WORDS; accepted is, for one, age="age in years".'
            )
        labels[name] = words[0]
    if len(labels) < len(pairs):
        raise ValueError(
            f"--label names a variable twice: {', '.join(pairs)}; accepted is one label a variable."
        )
    return labels


def _options(texts: tuple[str, ...]) -> dict[str, tuple[float, float]] | None:
    """NAME=COST,SHARE, each, as a mapping."""
    options = {}
    for text in texts:
        name, _, numbers = text.rpartition("=")
        try:
            cost, share = map(float, numbers.split(","))
        except ValueError:
            name = ""
        if not name.strip():
            raise ValueError(
                f'--option {text!r} is no NAME=COST,SHARE; accepted is, for one, "all=2.5,1".'
            )
        options[name.strip()] = cost, share
    if len(options) < len(texts):
        raise ValueError(
            f"--option names an option twice: {', '.join(texts)}; accepted is each name once."
        )
    if len(options) == 1:
        raise ValueError(
            f"--option names one alone, {texts[0]!r}; accepted are two or more to choose between, "
            'such as --option "as now=0,0" --option "all=2.5,1".'
        )
    return options or None


def _source(csv: str, out: str, seed: int) -> dict[str, str]:
    """What a report is made from: the file and its checksum, the command and the seed.

    Of paths the last part alone: a report is made to be passed on, and folders may tell of people.
    """
    from which_world.report.folder import checksum

    last = {path: Path(path).name or path for path in (csv, out)}
    last |= {f"--out={path}": f"--out={name}" for path, name in last.items()}
    words = [last.get(word, word) for word in sys.argv[1:]]
    command = f"{click.get_current_context().command_path} {shlex.join(words)}"
    return {"file": Path(csv).name, "sha256": checksum(csv), "command": command, "seed": str(seed)}


@contextmanager
def _stages() -> Iterator[Callable[[str], None]]:
    """A function that names the next stage, in a bar on a terminal's standard error."""
    console = Console(stderr=True)
    parts = TextColumn("{task.description:>16}"), BarColumn(), TimeElapsedColumn()
    quiet = not console.is_terminal
    with Progress(*parts, console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task(STAGES[0], total=None)  # it moves while there is nothing to count yet

        def tell(stage: str) -> None:
            done = STAGES.index(stage)
            bar.update(task, description=stage, total=len(STAGES), completed=done)

        yield tell


def _sentence(error: Exception, names: dict[str, str]) -> str:
    """An error in one line, in the file's own names; its kind is told where it does not speak."""
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m|[⧛⧚]", "", str(error)).split())
    for plain, own in names.items():
        text = text.replace(repr(plain), repr(own)).replace(f"I({plain} ", f"I(`{own}` ")
    spoken = isinstance(error, (ValueError, TypeError, RuntimeError, OSError))
    return text if spoken and text else f"{type(error).__name__}: {text}"
