"""A small canvas: an image drawn with the mouse, as the models see theirs."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from workbench.gui import theme

FINE = 224
"""Pixels on a side of what is drawn, before it is made as small as the images of the data set."""
STROKE = 20.0


class Canvas(QWidget):
    """White on black, a stroke while the button is down; ``drawn`` comes at the end of each, ``changed`` at every move of the
    pen and when all is taken away."""

    drawn = Signal()
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        # as the screen is: other formats take five times as long to paint
        self._picture = QImage(FINE, FINE, QImage.Format.Format_RGB32)
        self._last: QPointF | None = None
        self._empty = True
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setFixedSize(FINE + 2, FINE + 2)
        self.setAccessibleName("Canvas")
        self.setToolTip("Draw with the mouse; Delete begins anew.")
        self.clear()

    @property
    def empty(self) -> bool:
        """Whether nothing is drawn."""
        return self._empty

    def clear(self) -> None:
        """Begin anew."""
        self._picture.fill(QColor("black"))
        self._empty = True
        self.update()
        self.changed.emit()

    def pixels(self) -> np.ndarray:
        """What is drawn, uint8 (FINE, FINE)."""
        return np.frombuffer(self._picture.constBits(), np.uint8).reshape(FINE, FINE, 4)[:, :, 0].copy()

    def sizeHint(self) -> QSize:
        """Its size."""
        return QSize(FINE + 2, FINE + 2)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a stroke."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._last = event.position()
            self._stroke(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with a stroke."""
        if self._last is not None:
            self._stroke(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a stroke."""
        if self._last is not None and event.button() == Qt.MouseButton.LeftButton:
            self._last = None
            self.drawn.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete begins anew."""
        if event.key() == Qt.Key.Key_Delete:
            self.clear()
        else:
            super().keyPressEvent(event)

    def _stroke(self, to: QPointF) -> None:
        assert self._last is not None
        painter = QPainter(self._picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pen = QPen(QColor("white"), STROKE, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin)
        painter.setPen(pen)
        painter.drawLine(self._last, to) if self._last != to else painter.drawPoint(to)
        painter.end()
        reach = int(STROKE)
        touched = QRectF(self._last, to).normalized().toAlignedRect().adjusted(-reach, -reach, reach, reach)
        self._last, self._empty = to, False
        self.update(touched)
        self.changed.emit()

    def paintEvent(self, _: QPaintEvent) -> None:
        """What is drawn, in a frame."""
        painter = QPainter(self)
        painter.drawImage(1, 1, self._picture)
        colours = theme.current()
        painter.setPen(QColor(colours.accent if self.hasFocus() else colours.line))
        painter.drawRect(QRectF(0.5, 0.5, FINE + 1, FINE + 1))
        painter.end()
