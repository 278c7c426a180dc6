"""Many curves as one item of a plot: fifty of five thousand points are panned and zoomed without a stutter.

An item of pyqtgraph's own for each curve takes longer to be told of a new view than all of them take to be drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from pyqtgraph.functions import arrayToQPolygonF
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPaintEngine, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

BAND_OPACITY = 0.18
FADED = 0.22
"""Opacity of a curve while another one is in front."""
BESIDE = 0.25
"""Of the curves' own range; the band of two seeds, twelve times as wide as they lie apart, would leave the curves no room."""
DENSE = 3
"""Points a pixel above which only the least and the greatest of each column of pixels are drawn."""
DOT = 5
"""Pixels across of a curve of one point."""
ABREAST = ((0, 0), (1, 0), (0, 1))
"""Where a line two pixels wide is drawn again one pixel wide: twenty times faster on the screen than a wide pen."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A curve in the coordinates of the view: ``x`` never falls and nothing is nan. ``low`` and ``high`` bound a band."""

    x: np.ndarray
    y: np.ndarray
    colour: QColor
    wide: bool = False
    dashed: bool = False
    faded: bool = False
    low: np.ndarray | None = None
    high: np.ndarray | None = None


class CurveItem(pg.GraphicsObject):  # type: ignore[misc]
    """Draws its curves in their order, the last one on top."""

    def __init__(self) -> None:
        super().__init__()
        self._drawn: tuple[Drawn, ...] = ()
        self.setFlag(QGraphicsItem.GraphicsItemFlag.ItemUsesExtendedStyleOption)

    def draw(self, drawn: Sequence[Drawn]) -> None:
        """Show these curves and no others."""
        self._drawn = tuple(one for one in drawn if len(one.x))
        self.prepareGeometryChange()
        self.informViewBoundsChanged()
        self.update()

    def dataBounds(
        self, axis: int, frac: float = 1.0, orthoRange: Sequence[float] | None = None
    ) -> tuple[float | None, float | None]:
        """Least and greatest of what is drawn, along x (0) or y (1); of bands no more than :data:`BESIDE` beyond the curves."""
        if not self._drawn:
            return None, None
        if axis == 0:
            return min(float(one.x[0]) for one in self._drawn), max(float(one.x[-1]) for one in self._drawn)
        low, high = min(float(one.y.min()) for one in self._drawn), max(float(one.y.max()) for one in self._drawn)
        lows = [float(one.low.min()) for one in self._drawn if one.low is not None]
        highs = [float(one.high.max()) for one in self._drawn if one.high is not None]
        room = BESIDE * (high - low) or math.inf
        return min(low, max(low - room, min(lows, default=low))), max(high, min(high + room, max(highs, default=high)))

    def boundingRect(self) -> QRectF:
        """All of the view."""
        return QRectF(self.viewRect() or QRectF())

    def viewTransformChanged(self) -> None:
        """The view has moved, and what is drawn with it."""
        self.prepareGeometryChange()
        super().viewTransformChanged()

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        """Draw the part that is exposed: the cross-hair uncovers a few columns of pixels alone."""
        device = painter.deviceTransform()
        column, row = (1 / max(1e-300, abs(size)) for size in (device.m11(), device.m22()))
        exposed = self.boundingRect() if self._exportOpts else option.exposedRect
        left, right = exposed.left() - DOT * column, exposed.right() + DOT * column
        on_screen = not self._exportOpts and painter.paintEngine().type() == QPaintEngine.Type.Raster
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, not on_screen)
        for one in self._drawn:
            painter.setOpacity(FADED if one.faded else 1.0)
            part = _within(one.x, left, right)
            x = one.x[part]
            starts = _columns(x, column)
            if one.low is not None and one.high is not None:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QBrush(_pale(one.colour)))
                painter.drawPolygon(_band(x, one.low[part], one.high[part], starts))
            if len(one.x) == 1:
                painter.setPen(_pen(one, DOT))
                painter.drawPoint(QPointF(float(one.x[0]), float(one.y[0])))
                continue
            line = _polyline(x, one.y[part], starts)
            scale = self._exportOpts.get("resolutionScale", 1.0) if self._exportOpts else 1.0
            painter.setPen(_pen(one, 1 if on_screen else scale * (2 if one.wide else 1)))
            for across, up in ABREAST if one.wide and on_screen else ABREAST[:1]:
                painter.translate(across * column, up * row)
                painter.drawPolyline(line)
                painter.translate(-across * column, -up * row)
        painter.setOpacity(1.0)


def _pen(one: Drawn, width: float) -> QPen:
    pen = QPen(one.colour, width, Qt.PenStyle.DashLine if one.dashed else Qt.PenStyle.SolidLine)
    pen.setCosmetic(True)
    if width == DOT:
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    return pen


def _pale(colour: QColor) -> QColor:
    pale = QColor(colour)
    pale.setAlphaF(BAND_OPACITY)
    return pale


def _within(x: np.ndarray, left: float, right: float) -> slice:
    """The points between two places, with the one before and the one after."""
    first, last = np.searchsorted(x, (left, right))
    return slice(max(0, int(first) - 1), int(last) + 1)


def _columns(x: np.ndarray, column: float) -> np.ndarray | None:
    """Where each column of pixels begins in ``x``, or None where points are too few to be joined.

    Columns are counted from 0 of the axis, so that a curve does not flicker while it is panned.
    """
    if len(x) < DENSE or len(x) < DENSE * (x[-1] - x[0]) / column:
        return None
    numbers = np.floor(x / column)
    return np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]])


def _polyline(x: np.ndarray, y: np.ndarray, starts: np.ndarray | None) -> QPolygonF:
    """The points themselves; where ``starts`` says the columns, the least and the greatest of each."""
    if starts is not None:
        low, high = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
        x, y = x[starts].repeat(2), np.column_stack((low, high)).ravel()
    line: QPolygonF = arrayToQPolygonF(x, y)
    return line


def _band(x: np.ndarray, low: np.ndarray, high: np.ndarray, starts: np.ndarray | None) -> QPolygonF:
    if starts is not None:
        x, low, high = x[starts], np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
    around: QPolygonF = arrayToQPolygonF(np.r_[x, x[::-1]], np.r_[low, high[::-1]])
    return around
