"""Write the appendices that code can write: the helper reference, and the diagnostics of every posterior.

Usage::

    python book/appendices.py
"""

import inspect
import re
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import nbformat

import helpers

BOOK = Path(__file__).resolve().parent
SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", re.M)
LISTS = ("Parameters", "Attributes", "Returns", "Raises", "Warns")
REFERENCE = """# Helper reference

Every public name, from the docstrings of the code itself. In a clone of the book `from helpers import ...` gives you
each of them; those of `which_world` are the library's, and `from which_world import ...` gives you these in any
project. The chapters develop them before they use them.
"""
ROOMS = {
    "which_world": "What the chapters teach",
    "which_world.tables": "From a file and two formulas to a design",
    "which_world.report": "From a design to a report",
    "helpers": "What the book alone needs",
    "which_world.engine": "How the numbers are got",
}
ENGINE = "No chapter needs these files, and nobody has to import from them; here is what each does, for those who look."
DIAGNOSTICS = """# Diagnostics of every posterior

Read by code from the tables that the chapters store, in the order of the book. A posterior passes with R-hat below
`1.01`, an effective sample size of at least 400 in bulk and tail, and no divergence; where one fails, its failure is
the lesson of the chapter. Where a chapter's table holds only the smaller of the two sizes, it stands in both columns;
what a table does not show is left blank. Divergences are counted where NUTS ran. Seconds are those of the computer that
made these pages. Fits that are only counted, data set by data set, and failures that are shown as pictures are in their
chapters. Least squares, maps and readings are not sampled; their Pareto k̂ stands in the chapters."""
COLUMNS = ("rhat", "ess_bulk", "ess_tail", "divergences", "pareto_k", "seconds", "route", "passes")


def reference():
    """The helper reference: every public name with its signature and its docstring."""
    modules = {}
    for name in sorted(helpers.__all__, key=str.lower):
        modules.setdefault(inspect.unwrap(getattr(helpers, name)).__module__, []).append(name)
    parts = [REFERENCE]
    for room, title in ROOMS.items():
        parts.append(f"## {title}\n")
        if room == "which_world.engine":
            return "\n".join([*parts, ENGINE, "", *map(_file, _files(room))])
        for module in sorted(name for name in modules if name.rpartition(".")[0] == room):
            parts.append(f"### {module}\n\n{_summary(module)} {{download}}`Source <../{_path(module)}>`.\n")
            parts += [_entry(name, getattr(helpers, name)) for name in modules[module]]


def _files(room):
    folder = BOOK.parent / room.replace(".", "/")
    return [f"{room}.{path.stem}" for path in sorted(folder.glob("[!_]*.py"))]


def _path(module):
    return module.replace(".", "/") + ".py"


def _summary(module):
    return _inline(" ".join(inspect.getdoc(import_module(module)).split("\n\n")[0].split()))


def _file(module):
    """A file of the engine in a line, with the names that others import from it."""
    return f"- {{download}}`{module.rpartition('.')[2]} <../{_path(module)}>`: {_summary(module)}"


def _entry(name, thing):
    signature = inspect.signature(thing)
    plain = signature.replace(
        parameters=[p.replace(annotation=p.empty) for p in signature.parameters.values()],
        return_annotation=signature.empty,
    )
    shown = "" if isinstance(thing, type) and name == "Design" else re.sub(r"<[^<>]*>", "...", _defaults(plain))
    return f"#### {name}\n\n```python\n{name}{shown}\n```\n\n{_body(inspect.getdoc(thing) or '')}\n"


def _defaults(signature):
    """A signature in which an array that is a default does not take five lines."""
    short = [
        p.replace(default=type("", (), {"__repr__": lambda self: "..."})())
        if p.default is not p.empty and len(repr(p.default)) > 40 else p
        for p in signature.parameters.values()
    ]  # fmt: skip
    return str(signature.replace(parameters=short))


def _body(doc):
    head, *rest = SECTION.split(doc)
    parts = [_prose(head)]
    for title, text in zip(rest[::2], rest[1::2]):
        parts.append(f"**{title}**\n\n{_items(text) if title in LISTS else _prose(text)}")
    return "\n\n".join(part for part in parts if part.strip())


def _items(text):
    """The entries of a numpydoc section as a list: a line at the margin begins one, indented lines explain it."""
    items = []
    for line in text.strip("\n").splitlines():
        if line and not line.startswith(" "):
            name, _, kind = line.partition(" : ")
            items.append([f"- `{name}`" + (f": {_inline(kind)}" if kind else ""), []])
        elif items:
            items[-1][1].append(line.strip())
    return "\n".join(f"{head}. {_inline(' '.join(body))}".rstrip(". ") + "." if body else head for head, body in items)


def _prose(text):
    """Paragraphs, with what follows a double colon, or is a doctest, as code."""
    parts = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.startswith((" ", ">>>")):
            parts.append("```text\n" + inspect.cleandoc(block) + "\n```")
        elif block.strip() == "::":
            continue
        else:
            parts.append(_inline(" ".join(block.split())).replace("::", ":"))
    return "\n\n".join(parts)


def _inline(text):
    """reStructuredText's literals as Markdown's, and everything Markdown would read as its own, escaped."""
    pieces = re.split(r"(``.+?``(?!`)|`[^`]+`)", text)
    return "".join(_literal(p) if p.startswith("`") else re.sub(r"(?<!\\)([*_<>|$\[\]])", r"\\\1", p) for p in pieces)


def _literal(text):
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


def diagnostics():
    """The diagnostics of every posterior in the book, read from the tables that the chapters store."""
    parts = [DIAGNOSTICS]
    for path in sorted(BOOK.glob("[0-9]*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        rows = [row for cell in notebook.cells if cell.cell_type == "code" for row in _rows(cell)]
        title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
        if rows:
            lines = ["| posterior | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
            lines += ["| " + " | ".join(row) + " |" for row in dict.fromkeys(map(tuple, rows))]
            parts.append(f"## {title}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _rows(cell):
    """The rows of a diagnostics table, or of a world table, among a cell's outputs, in the order of COLUMNS."""
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
    """The COLUMNS of one posterior; a world table holds the smaller of the two effective sizes only."""
    if "ess" in row:
        row["ess_bulk"] = row["ess_tail"] = row["ess"]
    needed = [row.get(name, "") for name in ("rhat", "ess_bulk", "ess_tail", "divergences")]
    if "passes" not in row and all(needed) and len(needed[0].partition(".")[2]) > 2:  # 1.01 may be a rounded 1.006
        rhat, bulk, tail, divergences = map(float, needed)
        row["passes"] = str(rhat < 1.01 and min(bulk, tail) >= 400 and divergences == 0)
    if float(row["rhat"]) >= 1.02:
        row["passes"] = "False"
    return [_short(row.get(name, "")) for name in COLUMNS]


def _short(text):
    try:
        number = float(text)
    except ValueError:
        return text
    return "" if number != number else f"{number:.0f}" if abs(number) >= 100 else f"{number:.4g}"


PAGES = {"appendix-helpers.md": reference, "appendix-diagnostics.md": diagnostics}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (BOOK / name).write_text(page(), encoding="utf-8")
