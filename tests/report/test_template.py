"""The notebook a reader takes away: on outcomes and treatments of three kinds, with the one cell changed."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from which_world.report.publish import FILES

ROOT = Path(__file__).parent.parent.parent
CELLS = json.loads((ROOT / "book" / "template" / "my-own-tank.ipynb").read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
TABLES = {
    "both continuous": ("ponds.csv", "gain_g ~ feed_g + start_g", "feed_g ~ start_g"),
    "a binary treatment": ("lalonde_experimental.csv", "re78 ~ treat + age + re75", "treat ~ age + re75"),
    "a binary outcome": ("nhefs_everyone.csv", "death ~ qsmk + age + sex", "qsmk ~ age + sex"),
}


def test_it_is_short_and_quiet():
    assert len(CELLS) <= 12
    assert [cell["outputs"] for cell in CELLS if "outputs" in cell and any("ename" in o for o in cell["outputs"])] == []
    assert str(ROOT) not in json.dumps(CELLS)


@pytest.mark.parametrize("name", TABLES)
def test_it_runs_on_a_table_of_another_kind(name, tmp_path, capsys):
    csv, outcome, treatment = TABLES[name]
    pd.read_csv(ROOT / "data" / csv).head(600).to_csv(tmp_path / csv, index=False)
    (place,) = [k for k, code in enumerate(CODE) if code.startswith("# Your data")]
    own = (
        f"csv, outcome, treatment = {str(tmp_path / csv)!r}, {outcome!r}, {treatment!r}\n"
        f"unit, drop_missing, folder = '', True, {str(tmp_path / 'report')!r}\n"
        "options, within = {'none': (0.0, 0.0), 'all': (1.0, 1.0)}, (-0.3, 0.3)\n"
        "belief, listen = atanh_normal(0, 0.3), True"
    )
    space = {}
    for code in [*CODE[:place], own, *CODE[place + 1 :]]:
        exec(compile(code, "template", "exec"), space)
    said = capsys.readouterr().out
    assert space["report"].paragraph in said and "written: report" in said
    assert sorted(os.listdir(tmp_path / "report")) == sorted(FILES)
    assert ("percentage points" in said) == (name == "a binary outcome")


def test_each_figure_of_the_template_is_described():
    for cell in CELLS:
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            assert len(cell["metadata"]["mystnb"]["image"]["alt"]) > 30
