"""Write what code can write of the appendices: the helper reference, all diagnostics, the peers.

Usage::

    python book/appendices.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
from scipy.stats import binom

import helpers

BOOK = Path(__file__).resolve().parent
BENCHMARKS = BOOK.parent / "tests" / "benchmarks"
SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", re.M)
TYPED = re.compile(r"""--[a-z][a-z-]*(?: --[a-z][a-z-]*| "[^"]*"| \w+=(?:"[^"]*"|[^\s,:.]*))*""")
"""What a help text says one may type: an option with its values, and others after it."""
LISTS = ("Parameters", "Attributes", "Returns", "Raises", "Warns", "See Also")
WIDE = 88  # characters of a signature, beyond which it has a line a parameter
REFERENCE = """# Helper reference

Every public name, a page for each use, from the docstrings of the code itself. In the folder of the book
`from helpers import ...` gives you each of them; those of `which_world` are the library's, and
`from which_world import ...` gives you these in any project. The chapters develop them before they
use them.

In signatures `np` is NumPy; `DataFrame` and `Series` are those of pandas, `Dataset` and `DataTree`
those of xarray. A `Belief` about ρ is a number, `atanh_normal(...)`, a frozen distribution of
`scipy.stats` or a function from ρ to densities; `Coefficients` are any prior over coefficients.
"""
USED = {
    "From a file to a design": ("design", "read_table make_design Design"),
    "Least squares, and the likelihood": ("least-squares", "ols maximum_likelihood"),
    "The map": ("map", "map_rho read_map tipping_point robustness_value e_value"),
    "A belief laid on the map": (
        "belief",
        "atanh_normal weigh reading_table benchmark_rho shuffle_test",
    ),
    "Decisions": ("decisions", "decide"),
    "Rows that belong together, rows that carry it all": (
        "rows",
        "resemblance bootstrap_map influence",
    ),
    "The joint model, and draws from it": ("model", "joint_model fit diagnostics learned"),
    "Priors of coefficients": (
        "priors",
        "unit_information normal spike_and_slab horseshoe excluded bart",
    ),
    "Effects": ("effects", "potential_outcomes effect_at"),
    "Worlds": ("worlds", "World fit_worlds world_table"),
    "Figures": ("figures", "plot_map explore_map explore_belief plot_worlds plot_decision"),
    "A report": ("report", "make_report write_report"),
    "What the book alone needs": (
        "book",
        "simulate_aquarium load_nhefs load_lalonde plot_diagram plot_drift plot_ridge "
        "plot_prior_posterior explore_steps claim quote stored",
    ),
}
"""Each use, with the name of its page and its public names, in the order in which an analysis needs them."""
COMMAND = """`which-world`, or `python -m which_world`, makes the report without a line of Python. Its
options:"""
ENGINE = "No chapter needs these files, and nobody has to import from them. Here is each in a line."
DIAGNOSTICS = """# Diagnostics of every posterior

Read by code from the tables that the chapters store, in the order of the book. A posterior passes
with R-hat below `1.01`, an effective sample size of at least 400 in bulk and tail, and no
divergence; where one fails, its failure is the lesson of the chapter. Where a chapter's table holds
only the smaller of the two sizes, it stands in both columns; what a table does not show is left
blank. Divergences are counted where NUTS ran. Seconds are those of the computer that made these
pages. Fits that are only counted, data set by data set, and failures that are shown as pictures are
in their chapters. Least squares, maps and readings are not sampled; their Pareto k̂ stands in the
chapters."""
COLUMNS = (
    "rhat",
    "ess_bulk",
    "ess_tail",
    "divergences",
    "pareto_k",
    "seconds",
    "route",
    "passes",
)


def reference() -> str:
    """The first page of the reference: every public name, with a link to its entry."""
    listed = [name for _, names in USED.values() for name in names.split()]
    if sorted(listed) != sorted(vars(helpers)["__all__"]):
        odd = set(listed) ^ set(vars(helpers)["__all__"])
        raise ValueError(f"USED names each public name once; look at {sorted(odd)}")
    parts = [REFERENCE, *_overview(), "## How the numbers are got\n", ENGINE, ""]
    parts += [_file(module) for module in _files("which_world.engine")]
    return "\n".join(parts)


def entries(title: str) -> str:
    """The page of one use: its public names with their signatures and docstrings, and what they return."""
    things = {name: getattr(helpers, name) for name in USED[title][1].split()}
    parts = [f"# {title}\n", f"{_links(things)}. All names: [the reference](appendix-helpers.md).\n"]
    told = _told(title)
    for name, thing in things.items():
        parts.append(_entry(name, thing))
        for made in _made(thing):
            if made.__name__ not in told:
                told.add(made.__name__)
                parts.append(_entry(made.__name__, made))
    if title == "A report":
        parts += ["## The command line\n", COMMAND, "", *_options(), ""]
    return "\n".join(parts)


def _told(title):
    """What has an entry elsewhere: the public names, and the classes that those before this page return."""
    names = [name for _, names in USED.values() for name in names.split()]
    earlier = list(USED)[: list(USED).index(title)]
    before = [name for use in earlier for name in USED[use][1].split()]
    return {*names, *(made.__name__ for name in before for made in _made(getattr(helpers, name)))}


def _overview():
    """A table of all names, each with a link, by what they are for."""
    yield "| for | use |\n|---|---|"
    for title, (page, names) in USED.items():
        yield f"| [{title[0].lower() + title[1:]}](reference-{page}.md) | {_links(names.split())} |"
    yield ""


def _links(names):
    return ", ".join(f"[`{name}`]({_target(name)})" for name in names)


def _target(name):
    """Where a name's entry is linked from; case does not tell two targets apart."""
    return f"{'class' if name[0].isupper() else 'helper'}-{name.lower()}"


def _made(thing):
    """The class of ours that a function returns, where it has attributes to tell of."""
    if isinstance(thing, type):
        return
    function = inspect.unwrap(thing)
    returns = function.__annotations__.get("return")
    made = getattr(import_module(function.__module__), str(returns), None)
    if isinstance(made, type) and "\nAttributes\n---" in (inspect.getdoc(made) or ""):
        yield made


def _options():
    """The options of the command line, each with its help."""
    from which_world.report.command import main

    for option in main.params:
        names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
        text = getattr(option, "help", None) or "The file to read, or a folder of Parquet files."
        if not getattr(option, "hidden", False):
            yield f"- {names}: {_inline(TYPED.sub(r'`\g<0>`', text))}"


def _files(room):
    """The modules of a room that others import from."""
    folder = BOOK.parent / room.replace(".", "/")
    return [f"{room}.{path.stem}" for path in sorted(folder.glob("[!_]*.py"))]


def _path(module):
    return module.replace(".", "/") + ".py"


def _summary(module):
    """The first paragraph of a module's docstring."""
    doc = inspect.getdoc(import_module(module)) or ""
    return _inline(" ".join(doc.split("\n\n")[0].split()))


def _file(module):
    """A file of the engine in a line."""
    name = module.rpartition(".")[2]
    return f"- {{download}}`{name} <../{_path(module)}>`: {_summary(module)}"


def _entry(name, thing):
    """A public name with its signature, its docstring and its source."""
    made_elsewhere = isinstance(thing, type) and name != "World"
    signature = "" if made_elsewhere else _signature(thing)
    body = _body(inspect.getdoc(thing) or "")
    module = inspect.unwrap(thing).__module__
    source = f"In {{download}}`{module} <../{_path(module)}>`."
    return f"({_target(name)})=\n## {name}\n\n```python\n{name}{signature}\n```\n\n{body}\n\n{source}\n"


def _signature(thing):
    """A signature with its annotations; a line a parameter where one line is too long."""
    signature = inspect.signature(thing)
    parameters = [_shown(parameter) for parameter in signature.parameters.values()]
    returns = signature.empty if isinstance(thing, type) else signature.return_annotation
    signature = signature.replace(
        parameters=parameters,
        return_annotation=_Annotation.of(returns),
    )
    line = str(signature)
    if len(line) <= WIDE:
        return line
    whole = "".join(f"    {part},\n" for part in _apart(signature))
    arrow = "" if returns is signature.empty else f" -> {signature.return_annotation!r}"
    return f"(\n{whole}){arrow}"


def _apart(signature):
    """The parameters one by one, with the star before those that have to be named."""
    starred = False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            yield "*"
        starred = starred or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        yield str(parameter)


def _shown(parameter):
    """A parameter whose annotation and default are short."""
    default = parameter.default
    if default is not parameter.empty:
        default = _Text(_short_default(default))
    return parameter.replace(default=default, annotation=_Annotation.of(parameter.annotation))


def _short_default(default):
    """A default in a few characters: no array takes five lines, no object tells its address."""
    text = re.sub(r"<[^<>]*>", "...", repr(default))
    return "..." if len(text) > 40 else text


class _Text:
    """A text that a signature shows as it is."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


class _Annotation(_Text):
    """An annotation without the modules of its classes, be it a type or the text of one."""

    @classmethod
    def of(cls, annotation):
        if annotation is inspect.Signature.empty:
            return annotation
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        text = re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", text)
        return cls(text.replace("numpy.", "np."))


def _body(doc):
    """A numpydoc docstring as Markdown."""
    head, *rest = SECTION.split(doc)
    parts = [_prose(head)]
    for title, text in zip(rest[::2], rest[1::2]):
        section = _items(text, title) if title in LISTS else _prose(text)
        parts.append(f"**{title}**\n\n{section}")
    return "\n\n".join(part for part in parts if part.strip())


def _items(text: str, title: str) -> str:
    """The entries of a numpydoc section as a list.

    A line at the margin begins one, indented lines explain it.
    """
    entries: list[tuple[str, list[str]]] = []
    for line in text.strip("\n").splitlines():
        if line and not line.startswith(" "):
            entries.append((line, []))
        elif entries:
            entries[-1][1].append(line.strip())
    return "\n".join(_item(line, " ".join(more).strip(), title) for line, more in entries)


def _item(line, more, title):
    """An entry of a list: a name, what it is, and what is said of it."""
    name, _, kind = line.partition(" : ")
    names = name.split(", ") if title == "See Also" else [name]
    head = "- " + ", ".join(f"`{each}`" for each in names)
    if kind:
        head += f": {_inline(kind)}"
    if not more:
        return head
    between = " " if title == "See Also" else ". "  # a sentence there runs on
    return f"{head}{between}{_inline(more)}".rstrip(". ") + "."


def _prose(text):
    """Paragraphs; what follows a double colon is shown as it is, and a doctest as Python."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.startswith(">>>"):
            parts.append(f"```pycon\n{block.rstrip()}\n```")
        elif block.startswith(" "):
            parts.append(f"```text\n{inspect.cleandoc(block)}\n```")
        elif block.strip() != "::":
            parts.append(_inline(" ".join(block.split())).replace("::", ":"))
    return "\n\n".join(parts)


def _inline(text):
    """Text with its literals as Markdown has them, and whatever else Markdown reads escaped."""
    pieces = re.split(r"(``.+?``(?!`)|`[^`]+`)", text)
    return "".join(_literal(each) if each.startswith("`") else _escaped(each) for each in pieces)


def _escaped(text):
    return re.sub(r"(?<!\\)([*_<>|$\[\]])", r"\\\1", text)


def _literal(text):
    """A literal of one or two backticks, as Markdown has it."""
    inner = text[2:-2] if text.startswith("``") else text[1:-1]
    return f"`` {inner} ``" if "`" in inner else f"`{inner}`"


class _Table(HTMLParser):
    """The rows of an HTML table, as lists of text."""

    def __init__(self):
        super().__init__()
        self.rows = []
        self.cell = None

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append(self.cell.strip())
            self.cell = None


def diagnostics() -> str:
    """The diagnostics of every posterior in the book, read from the tables that chapters store."""
    parts = [DIAGNOSTICS]
    for path in sorted(BOOK.glob("[0-9]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        title = cells[0].source.splitlines()[0].removeprefix("# ")
        rows = [row for cell in cells if cell.cell_type == "code" for row in _rows(cell)]
        if rows:
            parts.append(f"## {title}\n\n{_table(rows)}")
    return "\n\n".join(parts) + "\n"


def _table(rows):
    """A Markdown table of posteriors, each row once."""
    lines = [_line(["posterior", *COLUMNS]), "|---" * (len(COLUMNS) + 1) + "|"]
    return "\n".join([*lines, *dict.fromkeys(_line(row) for row in rows)])


def _line(cells):
    return "| " + " | ".join(cells) + " |"


def _rows(cell) -> Iterator[list[str]]:
    """The rows of a table of diagnostics, or of worlds, among a cell's outputs, as COLUMNS."""
    for output in cell.outputs:
        table = _Table()
        table.feed(output.get("data", {}).get("text/html", ""))
        head, *rows = table.rows or [[]]
        if "rhat" not in head or not {"ess_bulk", "ess"} & set(head):
            continue
        for row in rows:
            if len(row) == len(head) and row[head.index("rhat")].lower() not in ("", "nan"):
                yield [row[0].replace("|", "\\|"), *_figures(dict(zip(head, row)))]


def _figures(row):
    """The COLUMNS of one posterior; a world table holds the smaller of the two sizes only."""
    if "ess" in row:
        row["ess_bulk"] = row["ess_tail"] = row["ess"]
    if "passes" not in row:
        row["passes"] = _passes(row)
    if float(row["rhat"]) >= 1.02:
        row["passes"] = "False"
    return [_short(row.get(name, "")) for name in COLUMNS]


def _passes(row):
    """Whether a posterior passes, as text; nothing where the figures do not tell."""
    needed = [row.get(name, "") for name in ("rhat", "ess_bulk", "ess_tail", "divergences")]
    decimals = len(needed[0].partition(".")[2])
    if not all(needed) or decimals <= 2:  # 1.01 may be a rounded 1.006
        return ""
    rhat, bulk, tail, divergences = (float(text) for text in needed)
    return str(rhat < 1.01 and min(bulk, tail) >= 400 and divergences == 0)


def _short(text):
    """A number in four digits, NaN as nothing, any other text as it is."""
    try:
        number = float(text)
    except ValueError:
        return text
    if number != number:
        return ""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.4g}"


TOLD = """Three of them can use a limit. We read our map at ρ = ±0.5. PySensemakr and DoubleML take it as a share
of what is left of Y and of T, {share:.0f} % of each. For a dose that is the same limit; for a yes or a no it is a laxer
one, since it is a share of the yes or no itself, and not of what moves it. "Zero at" is what takes the end of the 90 %
interval to zero: such a share for these two, a ρ for ours."""
CELL = ["treatment", "instruments", "rho"]
LEVEL = 0.9  # of the intervals
LIMIT = 0.5  # of |ρ|, where a method is told one
ENOUGH = 10  # tanks, to say whether intervals hold the truth
DOUBTED = 0.01  # where fewer hold the truth than a right method would leave to chance so often


def peers() -> str:
    """Other tools on the same tanks: where they do better, four tables, bounds, and seconds."""
    table = pd.read_csv(BENCHMARKS / "peers.csv", keep_default_na=False, na_values=[""])
    seconds = pd.read_csv(BENCHMARKS / "peers_seconds.csv")
    parts = ["# Peers", _better(table), _versions(table, seconds)]
    for cell, rows in table.groupby(CELL[:2], sort=False):
        parts.append(f"### {_tanks(*cell)}\n\n{_side_by_side(rows)}")
    parts += [
        f"### Told that |ρ| is at most 0.5\n\n{_bounds(table)}",
        f"### Seconds to one answer\n\n{_seconds(seconds)}",
        f"```{{dropdown}} What they say, run by run\n{_said(table)}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _tanks(treatment, instruments):
    kind = "A yes-or-no treatment" if treatment == "binary" else "A dose"
    return f"{kind}, {'an' if instruments else 'no'} instrument"


def _better(table):
    """Cell by cell, who holds the truth with intervals narrower than ours, or as narrow and quicker."""
    lines = []
    for cell, rows in table.groupby(CELL, sort=False):
        ours = rows[rows["method"] == "ours"].iloc[0]
        held = binom.cdf(rows["covers"].fillna(0), rows["tanks"], LEVEL) > DOUBTED
        fair = rows[held & (rows["tanks"] >= ENOUGH)]
        wider = fair["width"] / ours["width"]
        alike = wider.between(0.95, 1.05) & (fair["seconds"] < ours["seconds"]) & (fair["method"] != "ours")
        told = [_named("narrower", fair[wider < 0.95]), _named("as narrow and quicker", fair[alike])]
        told = [text for text in told if text] or ["Nobody."]
        told.append(f"Ours {_held(ours)}, {_wide(ours['width'])} wide.")
        lines.append(f"- *{_tanks(*cell[:2])}, ρ = {cell[2]:g}.* {' '.join(told)}")
    head = """**Where others do better.** Whose intervals are narrower than ours by more than 5 %, or as narrow
and there sooner, and hold the truth as often as they should, as far as so few tanks can tell:"""
    return "\n".join([head, "", *lines])


def _named(what, rows):
    own = [f"{row['method']} {_held(row)}, {_wide(row['width'])} wide" for _, row in rows.iterrows()]
    return f"{what.capitalize()}: {'; '.join(own)}." if own else ""


def _wide(width):
    return f"{width:.2f}" if width < 10 else f"{width:.0f}"


def _versions(table, seconds):
    versions = pd.concat([table, seconds]).drop_duplicates("method").dropna(subset="version")
    named = [f"{row.method.partition(',')[0]} {row.version}" for row in versions.itertuples() if row.method != "ours"]
    return f"Versions: {', '.join(dict.fromkeys(named))}."


def _share(count, total):
    """``18 of 20``, on one line."""
    return f"{count:.0f} of {total}".replace(" ", "\N{NO-BREAK SPACE}")


def _held(row):
    """In how many tanks the interval holds the truth."""
    if not row["read"]:
        return "no interval"
    missing = row["tanks"] - row["read"]
    return _share(row["covers"], row["tanks"]) + (f" ({missing} without an interval)" if missing else "")


def _side_by_side(rows):
    """A method a line, with what it does without a current and with one."""
    currents = sorted(set(rows["rho"]))
    names = [name for rho in currents for name in (f"ρ = {rho:g}", "off by", "width")]
    lines = [_line(["method", "assumes", *names, "seconds"]), "|---|---" + "|---:" * (len(names) + 1) + "|"]
    for method, own in rows.groupby("method", sort=False):
        cells = []
        for rho in currents:
            counted = own[own["rho"] == rho]
            cells += _counted(counted.iloc[0]) if len(counted) else ["not counted", "", ""]
        lines.append(_line([method, own["assumes"].iloc[0].replace("|", "\\|"), *cells, _brief(own["seconds"].mean())]))
    return "\n".join(lines)


def _counted(row):
    """How often the interval holds the truth, how far its middle is off, and its width."""
    if not row["read"]:
        return [_held(row), "", ""]
    return [_held(row), f"{round(row['bias'], 2) + 0:+.2f}", _wide(row["width"])]


def _bounds(table):
    """How often a bound holds the truth, how wide it is, and what would overturn the estimate."""
    told = table[table["bound_width"].notna()]
    methods = list(dict.fromkeys(told["method"]))
    heads = [f"{method}: {what}" for method in methods for what in ("", "width", "zero at")]
    lines = [_line(["tanks", *(head.removesuffix(": ") for head in heads)]), "|---" + "|---:" * len(heads) + "|"]
    for cell, rows in told.groupby(CELL, sort=False):
        cells = [f"{_tanks(*cell[:2])}, ρ = {cell[2]:g}"]
        for method in methods:
            own = rows[rows["method"] == method]
            row = own.iloc[0] if len(own) else None
            cells += ["", "", ""] if row is None else [
                _share(row["bound_covers"], row["read"]), f"{row['bound_width']:.2f}", _brief(row["told"])
            ]  # fmt: skip
        lines.append(_line(cells))
    share = (LIMIT * np.sqrt(4 - 3 * LIMIT**2) - LIMIT**2) / (2 - 2 * LIMIT**2)  # s of ρ = s / √(1 - s + s²)
    return "\n".join([TOLD.format(share=100 * share), "", *lines])


def _seconds(table):
    """Processor seconds of the first answer and of one more, for each pair of outcome and treatment."""
    pairs = list(table[["outcome", "treatment"]].drop_duplicates().itertuples(index=False, name=None))
    heads = [f"{outcome} on {treatment}" for outcome, treatment in pairs]
    lines = [_line(["method", *heads]), "|---" + "|---:" * len(heads) + "|"]
    for method, own in table.groupby("method", sort=False):
        times = {(row.outcome, row.treatment): row for row in own.itertuples()}
        cells = [_first_and_again(times.get(pair)) for pair in pairs]
        lines.append(_line([method, *cells]))
    return "\n".join(lines)


def _first_and_again(row):
    if row is None:
        return ""
    return "failed" if pd.isna(row.first) else f"{_brief(row.first)} / {_brief(row.again)}"


def _said(table):
    """What each method warned of, or why it gave no interval, and in how many of its tanks."""
    lines = []
    for method, own in table.groupby("method", sort=False):
        version, tanks = own["version"].iloc[0], own["tanks"].sum()
        for column, verb in (("warning", "warned"), ("failed", "gave no interval")):
            texts = own[column].dropna().str.split("; ").explode()
            for text, counts in texts.str.extract(r"^(.*) \((\d+)\)$").dropna().groupby(0):
                count = counts[1].astype(int).sum()
                lines.append(f"- {method} {version} {verb} in {count} of {tanks} tanks: *{_inline(text)}*")
    return "\n".join(lines)


def _brief(number):
    """Two figures, or as many as stand before the point."""
    return "" if pd.isna(number) else f"{number:.0f}" if abs(number) >= 10 else f"{number:.2g}"


PAGES = {
    "appendix-helpers.md": reference,
    **{f"reference-{page}.md": partial(entries, title) for title, (page, _) in USED.items()},
    "appendix-diagnostics.md": diagnostics,
    "../tests/benchmarks/peers.md": peers,  # part of appendix-tools.md
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (BOOK / name).write_text(page(), encoding="utf-8")
