"""Axes in, axes out, with units on the labels and the quantities where they belong."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from helpers import plot_diagram, plot_drift, plot_map, plot_prior_posterior, plot_ridge, plot_worlds

RHO = np.linspace(-0.5, 0.5, 11)
DRAWS = {"rho": RHO.reshape(1, -1), "alpha": 3 - 12 * RHO.reshape(1, -1)}
DRIFT = pd.DataFrame({"rho": RHO, "estimate": 3 + RHO, "formula": 3 + RHO, "truth": 3.0})
MAP = pd.DataFrame({"mean": -RHO, "low": -RHO - 1, "high": -RHO + 1}, index=RHO)
WORLDS = pd.DataFrame({"alpha": [3.4, 2.6], "low": [2.5, -1.4], "high": [4.2, 6.5]}, index=["OLS", "free"])

PLOTS = {
    "drift": lambda **options: plot_drift(DRIFT, **options),
    "ridge": lambda **options: plot_ridge(DRAWS, curve=pd.Series(3 - 12 * RHO, RHO), truth=(0.1, 2.0), **options),
    "map": lambda **options: plot_map(MAP, tipping=0.26, marks={"OLS": (0.0, 0.0)}, **options),
    "worlds": lambda **options: plot_worlds(WORLDS, **options),
    "prior and posterior": lambda **options: plot_prior_posterior(RHO, RHO / 2, **options),
}


@pytest.fixture(autouse=True)
def closed():
    """Neither the figures of an earlier test nor those of this one are open in the next."""
    plt.close("all")
    yield
    plt.close("all")


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_a_plot_draws_on_the_axes_it_is_given(plot):
    _, ax = plt.subplots()
    assert plot(ax=ax) is ax
    assert ax.has_data() and len(plt.get_fignums()) == 1


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_a_plot_without_axes_makes_its_own_and_names_both(plot):
    ax = plot(unit="kg")
    assert isinstance(ax, plt.Axes) and len(plt.get_fignums()) == 1
    assert ax.get_xlabel() and ax.get_ylabel()
    assert "kg" in ax.get_xlabel() + ax.get_ylabel()


def test_worlds_stand_in_the_tables_order_with_their_own_intervals():
    ax = plot_worlds(WORLDS, colours={"OLS": "orange"})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["OLS", "free"]
    assert ax.yaxis_inverted()
    reach = [bars[2][0].get_segments()[0][:, 0] for bars in ax.containers]
    np.testing.assert_allclose(reach, WORLDS[["low", "high"]])
    first, second = (plt.matplotlib.colors.to_hex(bars[0].get_color()) for bars in ax.containers)
    assert first == plt.matplotlib.colors.to_hex("orange") != second


def test_the_ridge_shows_every_draw():
    np.testing.assert_allclose(plot_ridge(DRAWS).lines[0].get_xydata(), np.column_stack([RHO, 3 - 12 * RHO]))


def test_a_tipping_point_that_does_not_exist_is_not_drawn():
    assert len(plot_map(MAP, tipping=np.nan).lines) == len(plot_map(MAP, tipping=0.2).lines) - 1


def test_where_there_is_no_sign_to_overturn_the_legend_says_so():
    ax = plot_map(MAP, tipping=0.0)
    said = [text.get_text() for text in ax.get_legend().texts]
    assert "holds zero at ρ = 0: no sign to overturn" in said and not any("tipping" in text for text in said)
    assert not [line for line in ax.lines if line.get_linestyle() == ":"]


def test_columns_that_cannot_be_relied_on_are_shaded_and_nothing_is_drawn_across_them():
    """Two gaps: the shades reach half way to the neighbours, and the line and the band break there."""
    holes = MAP.copy()
    holes.iloc[[3, 4, 9]] = np.nan
    ax = plot_map(holes)
    spans = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches)
    np.testing.assert_allclose(spans, [(-0.25, -0.15), (-0.15, -0.05), (0.35, 0.45)], atol=1e-12)
    assert [text.get_text() for text in ax.get_legend().texts].count("not to be relied on (Pareto k̂)") == 1
    assert np.isnan(ax.lines[0].get_ydata()).tolist() == holes["mean"].isna().tolist()
    drawn = np.concatenate([path.vertices[:, 0] for path in ax.collections[0].get_paths()])
    assert not np.isclose(drawn[:, None], RHO[[3, 4, 9]]).any()


def test_the_legend_says_what_tips():
    """The interval reaches zero before the mean does."""
    (said,) = [text.get_text() for text in plot_map(MAP, tipping=0.2).get_legend().texts if "zero" in text.get_text()]
    assert said.split("\n") == ["interval reaches zero", "(tipping point)"]


def test_a_diagram_names_what_moves_what_and_dashes_what_nobody_measured():
    plain = plot_diagram(treatment="quits", outcome="gains", hidden="worry")
    words = [text.get_text() for text in plain.texts]
    assert {"quits", "gains", "worry", "α", "ρ"} <= set(words)
    piped = plot_diagram(instrument="pipe")
    assert len(piped.texts) == len(plain.texts) + 2  # a node and its arrow
    arrows = [arrow for arrow in (getattr(text, "arrow_patch", None) for text in plain.texts) if arrow is not None]
    dashed = [arrow for arrow in arrows if arrow.get_linestyle() == "--"]
    assert len(dashed) == 2


def test_a_split_node_keeps_what_moved_it_and_hands_on_what_it_is_held_at():
    """No arrow leaves the half that came about, and none but its own leads from the half that is held."""
    split = plot_diagram(held="T = 1", instrument="pipe")
    place = {text.get_text(): text.get_position() for text in split.texts if text.get_text()}
    arrows = {(text.xyann, text.xy) for text in split.texts if getattr(text, "arrow_patch", None) is not None}
    into = {("X", "T"), ("unmeasured", "T"), ("pipe", "T")}
    onto = {("X", "Y"), ("unmeasured", "Y"), ("T = 1", "Y")}
    assert arrows == {(place[start], place[end]) for start, end in into | onto}
    whole = plot_diagram(instrument="pipe")
    assert len(split.texts) == len(whole.texts) + 1  # the arrow to the outcome has moved


@pytest.mark.parametrize("slope", [-4, 4])
def test_the_name_of_a_point_lies_on_no_line_and_hides_no_band(slope):
    """On a falling map to the right of its point, on a rising one to the left; without a box."""
    middle = slope * RHO
    table = pd.DataFrame({"mean": middle, "low": middle - 1, "high": middle + 1}, index=RHO)
    ax = plot_map(table, marks={"here": (0.1, 0.1 * slope)})
    ax.figure.draw_without_rendering()
    (name,) = ax.texts
    box, fine = name.get_window_extent(), np.linspace(-0.5, 0.5, 1001)
    assert not box.count_contains(ax.transData.transform(np.column_stack([fine, slope * fine])))
    assert name.get_bbox_patch() is None


def test_arrows_of_a_diagram_go_from_box_to_box_however_long_the_words():
    """An arrow's head that a box hides says nothing."""
    ax = plot_diagram(treatment="a treatment\nof many words", outcome="an outcome of\nmany words", instrument="draw")
    ax.figure.draw_without_rendering()
    boxes = [text.get_bbox_patch().get_window_extent() for text in ax.texts if text.get_bbox_patch()]
    arrows = [text.arrow_patch for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert len(boxes) == 5 and len(arrows) == 6
    for arrow in arrows:
        drawn = arrow.get_transform().transform(arrow.get_path().vertices)
        head = drawn[2:]  # its line has two ends
        assert not any(box.count_contains(head) for box in boxes)
        assert min(np.hypot(*(head - np.clip(head, box.min, box.max)).T).min() for box in boxes) < 8
