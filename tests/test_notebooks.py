"""What the notebook runner would pass in silence: cells not run, run out of order, or complaining."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

BOOK = Path(__file__).parent.parent / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if path.stem[0].isdigit()]
PHONE = 358  # pixels of the text's column
LETTERS = runpy.run_path(str(BOOK / "execute.py"))["LETTERS"]
LETTER = LETTERS["font.size"] / 72 * LETTERS["figure.dpi"]  # pixels, where a figure has its own size
FOLDED = {"hide-input", "hide-cell", "remove-cell", "remove-input"}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code(path):
    return [cell for cell in read(path) if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def faults(path):
    """Every fault of one notebook, in words."""
    cells = code(path)
    counts = [cell["execution_count"] for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        yield f"not executed in order from a clean kernel: {counts}"
    if len(cells) > 30:
        yield f"{len(cells)} code cells"
    for number, cell in enumerate(cells, 1):
        for output in cell["outputs"]:
            if output["output_type"] == "error" or output.get("name") == "stderr":
                yield f"cell {number} stores a complaint: {''.join(output.get('text', output.get('ename', '')))[:80]}"
            if "image/png" in output.get("data", {}) and not alt(cell):
                yield f"cell {number} draws a figure without alternative text"
            width = output.get("metadata", {}).get("image/png", {}).get("width", 0)
            if width > PHONE * LETTER / 9 or re.search(r"fontsize=(\d|.[x-]*small)", source(cell)):
                yield f"cell {number} draws letters that a phone shows less than nine pixels high"
        wide = [line for line in source(cell).splitlines() if len(line) > 80]
        if wide:
            yield f"cell {number} has a line of over 80 characters: {wide[0]}"
        length, folded = len(source(cell).splitlines()), FOLDED & set(cell["metadata"].get("tags", []))
        if length > (30 if folded else 20):
            yield f"cell {number} has {length} lines"
        if not folded and re.search(r"^claim\(|plt\.subplots\(", source(cell), re.M):
            yield f"cell {number} draws or claims, and is not folded"
        if "claim(" in source(cell) and "nbval-check-output" not in cell["metadata"].get("tags", []):
            yield f"cell {number} makes a claim that is not compared"


def alt(cell):
    return cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_executed_quiet_and_described(path):
    assert list(faults(path)) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_decimal_is_typed_in_prose(path):
    prose = " ".join(source(cell) for cell in read(path) if cell["cell_type"] == "markdown")
    prose = re.sub(r"```.*?```|\$[^$]*\$|`[^`]*`|\{[^}]*\}|\[[^\]]*\]\([^)]*\)", " ", prose, flags=re.S)
    assert re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*/)", prose) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_asks_before_it_answers(path):
    text = "".join(source(cell) for cell in read(path))
    assert text.count("} Predict") >= 2
    assert text.count("{exercise-start}") >= 3
    assert text.count("{solution-start}") == text.count("{exercise-start}")
    assert text.count("claim(") >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_imports_fill_their_lines_in_order(path):
    """Where the linter's own layout has a name a line, here are several lines of names, sorted and each once."""
    text = "\n".join(map(source, code(path)))
    names = [name.strip() for line in re.findall(r"^from helpers import (.+)$", text, re.M) for name in line.split(",")]
    others = [line for line in re.findall(r"^(?:import|from) (\S+)", text, re.M) if not line.startswith("helpers")]
    kinds = [name.partition(".")[0] in sys.stdlib_module_names for name in others]
    assert names == sorted(set(names), key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert kinds == sorted(kinds, reverse=True) and len(others) == len(set(others))


LINE, FIGURE = "\1", "\2"
DRAWN = {"image/png", "application/vnd.vegalite.v5+json"}  # standing still, and moving


def as_read(cell):
    """The words of a cell, or a sign for each of its open lines of code and each of its figures."""
    if cell["cell_type"] == "markdown":
        return source(cell) + "\n"
    folded = FOLDED & set(cell["metadata"].get("tags", []))
    lines = [line for line in source(cell).splitlines() if line.strip() and not folded]
    figures = [output for output in cell["outputs"] if DRAWN & set(output.get("data", {}))]
    return LINE * len(lines) + FIGURE * len(figures)


def minutes(path):
    """Two hundred words or six open lines of code a minute, two minutes a figure, and no solution."""
    page = re.sub(r"\{solution-start\}.*?\{solution-end\}", "", "".join(map(as_read, read(path))), flags=re.S)
    prose = re.sub(r"\$\$.*?\$\$|\{[a-z:]+[^}]*\}`[^`]*`", " x ", page, flags=re.S)
    words = len(re.findall(r"\w[\w'’-]*", prose))
    return words / 200 + page.count(LINE) / 6 + 2 * page.count(FIGURE)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_takes_as_long_as_it_says(path):
    said = re.search(r"\*\*Time:\*\* (\d+) minutes", "".join(map(source, read(path))))[1]
    assert int(said) == 5 * round(minutes(path) / 5)


def test_time_is_taken_by_words_open_code_and_figures(tmp_path):
    def cell(kind, text, *tags, drawn=()):
        outputs = [{"output_type": "display_data", "data": {form: ""}} for form in drawn]
        return {"cell_type": kind, "source": text, "metadata": {"tags": list(tags)}, "outputs": outputs}

    cells = [
        cell("markdown", "fish " * 400),
        cell("code", "x = 1\n\n" * 6),
        cell("code", "y = 1\n" * 6, "hide-input", drawn=["image/png", "text/plain"]),
        cell("markdown", "```{solution-start} one\n```\n" + "fish " * 200),
        cell("code", "z = 1\n" * 6, drawn=["image/png"]),
        cell("markdown", "```{solution-end}\n```"),
        cell("code", "z = 1\n" * 6, "remove-input", drawn=["application/vnd.vegalite.v5+json"]),
    ]
    path = tmp_path / "timed.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert minutes(path) == pytest.approx(400 / 200 + 6 / 6 + 2 * 2)


def test_the_checker_sees_faults(tmp_path):
    bad = tmp_path / "bad.ipynb"
    cell = {"cell_type": "code", "execution_count": 2, "metadata": {}, "source": "claim('x', True)\n" * 21 + "x" * 81,
            "outputs": [{"output_type": "stream", "name": "stderr", "text": "oh"},
                        {"output_type": "display_data", "data": {"image/png": ""}}]}  # fmt: skip
    bad.write_text(json.dumps({"cells": [cell]}))
    assert len(list(faults(bad))) == 7


def test_numbers_handed_to_the_prose_have_names_of_their_own():
    names = [name for path in NOTEBOOKS for cell in code(path) for output in cell["outputs"]
             for name in [output.get("metadata", {}).get("scrapbook", {}).get("name")] if name]  # fmt: skip
    assert len(names) == len(set(names))
