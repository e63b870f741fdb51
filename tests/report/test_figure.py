"""The names in a report's figure: whatever currents and tipping points there are, they hide nothing."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from helpers import make_design, make_report, simulate_aquarium
from which_world.report.figure import SIZES, draw

LONG = ["education of the parents", "income of the household in 1974", "log(1 + cigarettes a day)**2"]
CURRENTS = {  # ρ of each, and the tipping point
    "apart": ([-0.3, 0.05, 0.4], 0.2),
    "equal": ([0.1, 0.1, 0.1], 0.02),
    "beside the tipping point": ([0.012, 0.04, 0.42], 0.013),
    "none": ([], np.nan),
    "all near zero": ([0.0, -0.03, 0.02], np.nan),
    "no sign to overturn": ([-0.06, -0.04, -0.02], 0.0),
    "far out": ([0.2, 0.8, 0.9], 0.93),
    "at the left": ([-0.59, -0.55, -0.3], -0.5),
}


@pytest.fixture(scope="module")
def report():
    tank = simulate_aquarium(200, rho=0.4, seed=1).data
    return make_report(make_design(tank, outcome="Y ~ T + X0 + X1", treatment="T ~ X0 + X1"))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def with_currents(report, rho, tip, names=("age", "sex", "C(education)"), *, mirrored=False):
    """The report with these currents to compare with; its map falls, or where it is mirrored rises."""
    table = pd.DataFrame({"rho": np.array(rho, float)}, index=list(names)[: len(rho)])
    chart = report.map.assign_coords(rho=-report.map.rho).sortby("rho") if mirrored else report.map
    tipping = pd.concat([report.tipping.drop("interval"), pd.Series({"interval": tip})])
    return report._replace(benchmarks=table, tipping=tipping, map=chart)


def boxes_of(figure):
    """Where the names stand, by name and number."""
    figure.draw_without_rendering()
    return {(text.get_text(), k): text.get_window_extent() for k, text in enumerate(figure.axes[0].texts)}


def hidden(figure):
    """The shares of dark or coloured points under each name, in the picture drawn without names."""
    boxes = boxes_of(figure)
    for text in figure.axes[0].texts:
        text.set_visible(False)
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3].min(axis=2) < 250
    return {
        words: picture[int(box.y0) : int(box.y1) + 1, int(box.x0) : int(box.x1) + 1].mean()
        for words, box in boxes.items()
    }


@pytest.mark.parametrize("mirrored", [False, True], ids=["falling", "rising"])
@pytest.mark.parametrize("case", CURRENTS)
def test_no_name_lies_on_anything(report, case, mirrored):
    rho, tip = CURRENTS[case]
    figure = draw(with_currents(report, rho, tip, mirrored=mirrored))
    boxes = list(boxes_of(figure).values())
    assert len(boxes) == 2 + len(rho) + (tip != 0 and np.isfinite(tip))
    assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
    assert not [name for name, _ in boxes_of(figure) if "-" in name]  # the axis has a true minus
    assert {name: share for name, share in hidden(figure).items() if share > 0} == {}


@pytest.mark.parametrize("size", SIZES)
def test_long_names_hide_hardly_anything_and_nothing_is_cut(report, size):
    figure = draw(with_currents(report, [-0.5, -0.45, -0.4], 0.01, LONG), size)
    boxes_of(figure)  # drawn
    width, height = figure.canvas.get_width_height()
    for text in [*figure.axes[0].texts, *figure.texts, figure._suptitle, figure.axes[0].xaxis.label]:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text.get_text()
    assert max(hidden(figure).values()) < 0.02  # a tick, at most
