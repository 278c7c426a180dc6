"""A sample of a curve, as lists show it beside a name."""

from __future__ import annotations

import functools

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPen, QPixmap

from workbench.gui import theme

WIDTH, HEIGHT = 18, 10


def swatch(number: int) -> QPixmap:
    """A stroke in the colour and the dashes of the curve with that colour number."""
    return _swatch(theme.current().name, number)


@functools.lru_cache(maxsize=256)
def _swatch(_: str, number: int) -> QPixmap:
    found = QPixmap(WIDTH, HEIGHT)
    found.fill(Qt.GlobalColor.transparent)
    painter = QPainter(found)
    pen = QPen(theme.curve_colour(number), 4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap)
    if theme.curve_dashed(number):
        pen.setDashPattern([1.5, 0.75])
    painter.setPen(pen)
    painter.drawLine(0, HEIGHT // 2, WIDTH, HEIGHT // 2)
    painter.end()
    return found
