"""Curves as they are drawn: smoothing, logarithmic axes, what is in front, and what a pixel shows of many points."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tests.gui.pictures import drawn, picture, pixel, point
from workbench.analysis.smoothing import smoothed
from workbench.gui import theme
from workbench.gui.curve_plot import CurvePlot, Line


def plot_of(qtbot: QtBot, *lines: Line, listed: bool = True) -> CurvePlot:
    plot = CurvePlot("title", "y", listed=listed)
    qtbot.addWidget(plot)
    plot.resize(500, 300)
    plot.show()
    plot.set_lines(lines)
    qtbot.waitExposed(plot)
    picture(plot)  # which settles the view
    return plot


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.9, 0.99])
def test_that_smoothing_is_the_moving_average_step_by_step(weight: float) -> None:
    values = np.random.default_rng(0).normal(size=3001)
    last = power = 0.0
    expected = []
    for value in values:
        last, power = weight * last + (1 - weight) * value, weight * power + (1 - weight)
        expected.append(last / power)
    assert smoothed(values, weight) == pytest.approx(np.array(expected), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("listed", [True, False])
def test_that_a_logarithmic_axis_says_which_points_have_no_place_on_it(qtbot: QtBot, themed: None, listed: bool) -> None:
    x, y = np.arange(5.0), np.array([1.0, 2.0, 0.0, -1.0, 3.0])
    plot = plot_of(qtbot, Line(1, "a", x, y), listed=listed)
    assert plot.note.text() == ""
    plot.set_log_x(True)
    assert re.match("1 point at 0 or below", plot.note.text())
    plot.set_log(True)
    assert re.match("3 points at 0 or below", plot.note.text())
    picture(plot)
    (left, right), (low, high) = plot.plot.getViewBox().viewRange()
    assert left <= 0.0 <= math.log10(4) <= right < 2
    assert low <= math.log10(2) <= math.log10(3) <= high < 2
    plot.set_log_x(False)
    plot.set_log(False)
    assert plot.note.text() == ""


def test_that_a_band_that_reaches_below_zero_is_cut_on_a_logarithmic_axis(qtbot: QtBot, themed: None) -> None:
    x = np.arange(1.0, 5.0)
    plot = plot_of(qtbot, Line(1, "a", x, np.full(4, 1.0), low=np.array([0.5, -1.0, 0.0, 0.5]), high=np.full(4, 2.0)))
    plot.set_log(True)
    picture(plot)
    _, (low, high) = plot.plot.getViewBox().viewRange()
    assert -1 < low <= 0 < math.log10(2) <= high < 1


def test_that_one_point_is_seen(qtbot: QtBot, themed: None) -> None:
    empty = plot_of(qtbot)
    plot = plot_of(qtbot, Line(1, "a", np.array([3.0]), np.array([0.5])))
    assert not drawn(empty, theme.curve_colour(0))
    assert drawn(plot, theme.curve_colour(0))


def test_that_a_single_peak_among_many_points_is_seen(qtbot: QtBot, themed: None) -> None:
    y = np.zeros(50_000)
    plot = plot_of(qtbot, Line(1, "a", np.arange(50_000.0), y))
    flat = drawn(plot, theme.curve_colour(0))
    y[31_337] = 1.0
    plot.set_lines([Line(1, "a", np.arange(50_000.0), y)])
    assert drawn(plot, theme.curve_colour(0)) > flat + 0.5 * plot.plot.getViewBox().height()


def test_that_the_curve_highlighted_is_on_top_and_the_others_fade(qtbot: QtBot, themed: None) -> None:
    x = np.arange(10.0)
    below, above = Line("below", "a", x, x, 0), Line("above", "b", x, x, 1)
    plot = plot_of(qtbot, below, above)
    assert drawn(plot, theme.curve_colour(1)) > drawn(plot, theme.curve_colour(0))
    plot.set_highlight("below")
    assert drawn(plot, theme.curve_colour(0)) > 100
    assert not drawn(plot, theme.curve_colour(1))
    plot.set_highlight(None)
    assert drawn(plot, theme.curve_colour(1)) > 100


def test_that_a_reading_ends_where_its_curve_ends(qtbot: QtBot, themed: None) -> None:
    short, long = Line(1, "a", np.arange(5.0), np.arange(5.0)), Line(2, "b", np.arange(50.0), np.full(50, 7.0))
    plot = plot_of(qtbot, short, long, Line(3, "c", np.array([]), np.array([])))
    assert plot.readings(3.2) == pytest.approx({1: 3.0, 2: 7.0, 3: math.nan}, nan_ok=True)
    assert plot.readings(30) == pytest.approx({1: math.nan, 2: 7.0, 3: math.nan}, nan_ok=True)
    assert plot.readings(None) == pytest.approx({1: 4.0, 2: 7.0, 3: math.nan}, nan_ok=True)


def test_that_the_pointer_is_told_and_a_click_picks_the_curve_below_it(qtbot: QtBot, themed: None) -> None:
    x = np.arange(10.0)
    plot = plot_of(qtbot, Line("low", "a", x, np.full(10, 1.0)), Line("high", "b", x, np.full(10, 2.0)))
    plot.set_log(True)
    assert point(qtbot, plot, 3, math.log10(1.5)) == pytest.approx(3, abs=0.1)
    for y, key in ((1.0, "low"), (2.0, "high"), (1.5, None)):
        with qtbot.waitSignal(plot.picked) as picked:
            qtbot.mouseClick(plot.plot.viewport(), Qt.MouseButton.LeftButton, pos=pixel(plot, 3, math.log10(y)))
        assert picked.args == [key]


def test_that_a_zoom_by_hand_stays_until_a_double_click(qtbot: QtBot, themed: None) -> None:
    plot = plot_of(qtbot, Line(1, "a", np.arange(10.0), np.arange(10.0)))
    plot.plot.setXRange(2, 3, padding=0)
    plot.set_lines([Line(1, "a", np.arange(20.0), np.arange(20.0))])
    assert plot.plot.getViewBox().viewRange()[0] == pytest.approx([2, 3])
    qtbot.mouseDClick(plot.plot.viewport(), Qt.MouseButton.LeftButton, pos=plot.plot.viewport().rect().center())
    qtbot.mouseRelease(plot.plot.viewport(), Qt.MouseButton.LeftButton, pos=plot.plot.viewport().rect().center())
    qtbot.waitUntil(lambda: plot.plot.getViewBox().viewRange()[0][1] >= 19)


def test_that_sixty_four_curves_look_different(themed: None) -> None:
    for name in ("light", "dark"):
        theme.apply(name)
        assert len({(theme.curve_colour(place).name(), theme.curve_dashed(place)) for place in range(64)}) == 64
    theme.apply("light")
