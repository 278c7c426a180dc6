"""What a plot shows, as pixels."""

from __future__ import annotations

import numpy as np
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QApplication

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
