"""Labels of a logarithmic axis: never crowded, and there however little is shown."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pyqtgraph as pg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtGui import QPainter, QPicture
from pytestqt.qtbot import QtBot

from workbench.gui.curve_plot import CurvePlot, Line
from workbench.gui.log_ticks import between, labelled, written


def values(low: float, high: float, size: float = 150, apart: float = 18) -> list[str]:
    return [written(place) for place in labelled(math.log10(low), math.log10(high), size, apart)]


def test_that_labels_are_round_and_fit_what_is_shown() -> None:
    assert values(1e-4, 1e3) == ["0.0001", "0.001", "0.01", "0.1", "1", "10", "100", "1000"]
    assert values(0.07, 2.96) == ["0.1", "0.2", "0.5", "1", "2"]
    assert values(1.9, 6.5) == ["2", "3", "4", "5", "6"]
    assert values(2.247, 2.304) == ["2.25", "2.26", "2.27", "2.28", "2.29", "2.3"]
    assert values(1e-40, 1e20) == [f"1e{power:+03d}" if power else "1" for power in range(-40, 21, 10)]


@given(st.floats(-400, 400), st.floats(-12, 4), st.floats(5, 2000), st.floats(10, 60))
def test_that_labels_are_never_crowded_nor_outside(low: float, span: float, size: float, apart: float) -> None:
    high = low + 10.0**span
    found = labelled(low, high, size, apart)
    assert all(low - 1e-9 <= place <= high + 1e-9 for place in (*found, *between(low, high)))
    assert all((after - before) * size / (high - low) >= apart for before, after in itertools.pairwise(found))
    assert len({written(place) for place in found}) == len(found) or span < -4
    if -300 < low < 300 > high and -5 < span < 2 and size > 4 * apart:
        assert len(found) >= 2


@pytest.mark.parametrize("y", [[2.3], [2.3, 2.25], [2.3, 0.9, 0.09], [2.3, 1.2], [0.5, 50_000.0], []])
@pytest.mark.parametrize("percent", [False, True])
def test_that_a_nearly_empty_plot_has_labels_that_can_be_read(y: list[float], percent: bool, qtbot: QtBot, themed: None) -> None:
    plot = CurvePlot("title", "loss", percent=percent)
    qtbot.addWidget(plot)
    plot.resize(400, 220)
    plot.set_log(True)
    plot.set_lines([Line("a", "total", np.arange(len(y), dtype=float), np.array(y))])
    plot.show()
    qtbot.waitExposed(plot)
    plot.grab()
    axis = plot.plot.getAxis("left")
    _, _, texts = specification(axis)
    middles = sorted(rect.center().y() for rect, _, _ in texts)
    assert len(middles) >= 2
    assert min(after - before for before, after in itertools.pairwise(middles)) > 12
    assert all(text.endswith("%") == percent for _, _, text in texts)


def specification(axis: pg.AxisItem) -> tuple[object, object, list[tuple[object, object, str]]]:
    """What the axis is drawn of."""
    picture = QPicture()
    painter = QPainter(picture)
    drawn = axis.generateDrawSpecs(painter)
    painter.end()
    return drawn
