"""The notebook that a reader copies."""

import os

import nbformat
import pytest
from ponds import ROOT

from which_world.report.publish import FILES


@pytest.fixture
def template():
    """The code of the chapter a reader copies, as far as she is told to run it, without the cell she is to delete."""
    notebook = nbformat.read(ROOT / "book" / "13-your-own-tank.ipynb", as_version=4)
    headings = [cell.source.startswith("## The box, opened") or "\n## The box, opened" in cell.source
                for cell in notebook.cells]  # fmt: skip
    return [
        cell.source
        for cell in notebook.cells[: headings.index(True)]
        if cell.cell_type == "code" and not cell.source.startswith("from_zero")
    ]


@pytest.mark.parametrize(
    "outcome, treatment",
    [
        ("re78 ~ treat + age + re75", "treat ~ age + re75"),
        ("re78 ~ re75 + age + C(black) + educ", "re75 ~ age + C(black) + educ"),
        ("re78 ~ treat + age", "treat ~ age"),
    ],
)
def test_the_template_runs_on_any_csv(template, outcome, treatment, capsys, tmp_path, monkeypatch):
    (place,) = [k for k, code in enumerate(template) if code.startswith("# Your data")]
    template[place] = (
        f"csv, outcome, treatment = {str(ROOT / 'data' / 'lalonde_experimental.csv')!r}, {outcome!r}, {treatment!r}\n"
        f"unit, drop_missing, folder = 'dollars', False, {str(tmp_path / 'report')!r}\n"
        "options, within = {'none': (0, 0), 'all': (500, 1)}, (-0.3, 0.3)\n"
        "belief, listen = atanh_normal(0, 0.3), False"
    )
    monkeypatch.setattr("IPython.display.Markdown", print)  # what a page shows as text
    space = {}
    for code in template:
        exec(compile(code, "template", "exec"), space)
    assert space["report"].paragraph in capsys.readouterr().out
    assert sorted(os.listdir(tmp_path / "report")) == sorted(FILES)
