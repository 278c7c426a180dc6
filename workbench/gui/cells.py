"""What pictures of a square matrix have in common: coloured cells, and the names of classes beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QFontMetrics, QImage, QPainter

from workbench.gui import theme

LONGEST_NAME = 90
"""Pixels that a class's name may take beside the picture."""


def rgb(name: str) -> np.ndarray:
    """A colour as three numbers up to 255."""
    colour = QColor(name)
    return np.array([colour.red(), colour.green(), colour.blue()], float)


def to_image(pixels: np.ndarray) -> QImage:
    """An image of (rows, columns, 3) numbers up to 255, a pixel a cell."""
    rows = np.ascontiguousarray(pixels.round().astype(np.uint8))
    height, width = rows.shape[:2]
    return QImage(rows.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy() if rows.size else QImage()


def aside(metrics: QFontMetrics, names: Sequence[str]) -> int:
    """Pixels that the names take beside the picture."""
    return min(LONGEST_NAME, max(metrics.horizontalAdvance(name) for name in names)) + 8


def paint_names(painter: QPainter, area: QRectF, cell: float, names: Sequence[str]) -> None:
    """The names at the left of the picture and, upright, above it; as many of them as there is room for."""
    metrics = painter.fontMetrics()
    each = max(1, int(-(-0.8 * metrics.height() // cell)))
    painter.setPen(QColor(theme.current().text))
    for at in range(0, len(names), each):
        name = metrics.elidedText(names[at], Qt.TextElideMode.ElideRight, LONGEST_NAME)
        middle, high = (at + 0.5) * cell, metrics.height()
        left = QRectF(area.left() - LONGEST_NAME - 8, area.top() + middle - high / 2, LONGEST_NAME + 4, high)
        painter.drawText(left, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, name)
        if all(metrics.horizontalAdvance(one) < cell for one in names):
            above = QRectF(area.left() + at * cell, area.top() - high - 2, cell, high)
            painter.drawText(above, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter, name)
            continue
        painter.save()
        painter.translate(area.left() + middle, area.top() - 4)
        painter.rotate(-90)
        painter.drawText(QRectF(0, -high / 2, LONGEST_NAME + 4, high), Qt.AlignmentFlag.AlignVCenter, name)
        painter.restore()
