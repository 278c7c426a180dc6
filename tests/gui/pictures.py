"""What a plot shows, as pixels."""

from __future__ import annotations

import itertools

import numpy as np
from PySide6.QtCore import QPoint, QPointF
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from workbench.gui.curve_plot import CurvePlot


def picture(plot: CurvePlot) -> np.ndarray:
    """What the plot shows, (height, width, RGB), once its layout has settled."""
    plot.plot.grab()
    QApplication.processEvents()
    image = plot.plot.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def drawn(plot: CurvePlot, colour: QColor) -> int:
    """How many pixels of the plot have just that colour."""
    return int((picture(plot) == np.array(colour.getRgb()[:3], np.uint8)).all(axis=2).sum())


def pixel(plot: CurvePlot, x: float, y: float) -> QPoint:
    """Where in the plot's view a place of its axes is, in the coordinates of the view (logarithms where it is logarithmic)."""
    picture(plot)
    return plot.plot.mapFromScene(plot.plot.getViewBox().mapViewToScene(QPointF(x, y)))


def point(qtbot: QtBot, plot: CurvePlot, x: float, y: float) -> float:
    """Move the mouse to a place of the plot; what the plot tells of it.

    Qt may swallow a move to where the mouse was last, pyqtgraph one that comes soon after another: move until it is told.
    """
    told: list[float] = []
    at = pixel(plot, x, y)
    plot.pointed.connect(told.append)

    places = itertools.cycle([at, at + QPoint(1, 0)])

    def moved() -> bool:
        place = next(places)
        told.clear()
        qtbot.mouseMove(plot.plot.viewport(), place)
        return bool(told) and place == at

    qtbot.waitUntil(moved)
    plot.pointed.disconnect(told.append)
    return told[-1]
