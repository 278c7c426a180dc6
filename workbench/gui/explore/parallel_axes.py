"""The picture of parallel coordinates: axes with their titles, ticks and ranges, the lines between them, and a legend."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF, QResizeEvent
from PySide6.QtWidgets import QWidget

from workbench.analysis.brushes import Brush, kept
from workbench.analysis.explore import NONE, Column, Groups, Scale, Table, few, groups, scale, shortened, spans, spread
from workbench.gui import theme
from workbench.gui.explore.colours import colours_of, faded, no_value
from workbench.gui.explore.lines import Lines

SIDE, TOP, FOOT, LEGEND = 60, 44, 26, 24
"""Pixels beside the first and last axis, for the titles, down to the mark of no value, and for the legend."""

NEAR = 14
"""So many pixels beside an axis still belong to it."""

TICK = 14
"""Ticks stand so many pixels apart."""

ASIDE = 8
"""Lines of one value are drawn so many pixels aside at most."""

LOG_RATIO = 20.0
"""Values further apart than by this factor come on a logarithmic axis."""


class ParallelAxes(QWidget):
    """Shows the axes ``names``, and the runs that ``brushes`` keep before the others."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(240)
        self.names: list[str] = []
        self.brushes: dict[str, Brush] = {}
        self.kept = np.empty(0, bool)
        self.current = 0
        self._table: Table | None = None
        self._colour = ""
        self._scales: dict[str, Scale] = {}
        self._ticks: dict[str, list[tuple[float, str]]] = {}
        self._missing: set[str] = set()
        self._groups: Groups | None = None
        self._y = np.empty((0, 0))
        self._at = -1
        self.lines = Lines(self)
        self.lines.painted.connect(self.update)

    def show_table(self, table: Table, names: list[str], colour: str) -> None:
        """Show these fields of the runs as axes, coloured by a field, or by the last axis where none is named."""
        self._table, self._colour = table, colour
        self.names = [name for name in names if name in table.columns]
        self.brushes = {name: one for name, one in self.brushes.items() if name in self.names}
        self.current = min(self.current, max(0, len(self.names) - 1))
        columns = [table.columns[name] for name in self.names]
        self._scales = {one.name: scale(one, log=not one.date and spans(one.values, LOG_RATIO)) for one in columns}
        self._ticks = {
            one.name: [
                (float(value), one.tick(value)) for value in (few(one) if len(few(one)) else self._scales[one.name].ticks())
            ]
            for one in columns
        }
        self._missing = {one.name for one in columns if np.isnan(one.values).any()}
        self._at = -1
        self._lay_out()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self._lay_out()

    # Geometry

    @property
    def _top(self) -> float:
        return TOP

    @property
    def _bottom(self) -> float:
        return self.height() - LEGEND - FOOT - 8.0

    def axis_x(self, place: int) -> float:
        """Where an axis stands."""
        if len(self.names) == 1:
            return self.width() / 2
        return SIDE + place * (self.width() - 2 * SIDE) / max(1, len(self.names) - 1)

    def place_y(self, place: float) -> float:
        """Where a place from 0 to 1 of an axis is; that of no value where it is nan."""
        return self._bottom + FOOT if np.isnan(place) else self._bottom - place * (self._bottom - self._top)

    def _place(self, y: float) -> float:
        return (self._bottom - y) / (self._bottom - self._top)

    def _axis_at(self, place: QPointF, *, title: bool = False) -> str:
        """The axis at a place, or the one whose title is there."""
        wide = (self.axis_x(1) - self.axis_x(0)) / 2 if title and len(self.names) > 1 else SIDE if title else NEAR
        for number, name in enumerate(self.names):
            if abs(place.x() - self.axis_x(number)) <= wide:
                return name
        return ""

    def _extent(self, name: str) -> tuple[float, float]:
        """From where down to where the range of an axis reaches."""
        one, scale_ = self.brushes[name], self._scales[name]
        foot = self._bottom + FOOT + 8
        if scale_.names:
            numbers = np.array([place for place, text in enumerate(scale_.names) if text in one.names], float)
            half = min(0.4 / max(1, len(scale_.names) - 1), ASIDE / (self._bottom - self._top))
            places = scale_.places(numbers) if len(numbers) else np.empty(0)
            ends = (float(places.min()) - half, float(places.max()) + half) if len(places) else None
        else:
            low, high = max(one.low, scale_.low), min(one.high, scale_.high)
            found = scale_.places(np.array([low, high])) if one.low <= one.high else np.empty(0)
            ends = (float(found[0]), float(found[1])) if len(found) and low <= high else None
            if ends and ends[0] == ends[1]:
                ends = (ends[0] - 0.01, ends[1] + 0.01)
        if ends is None:
            return (self._bottom + FOOT - 8, foot) if one.none else (self._bottom, self._bottom)
        return self.place_y(ends[1]), foot if one.none else self.place_y(ends[0])

    # Lines

    def _lay_out(self) -> None:
        """Everything anew: the places of the lines, their groups and colours."""
        table = self._table
        if table is None:
            return
        x = np.array([self.axis_x(place) for place in range(len(self.names))])
        named = table.columns.get(self._colour or (self.names[-1] if self.names else ""))
        self._groups = groups(named) if named is not None else None
        of = self._groups.of if self._groups is not None else np.full(len(table), -1)
        self._y = np.empty((len(table), len(self.names)))
        for place, name in enumerate(self.names):
            self._y[:, place] = self._heights(table.columns[name], self._scales[name], named)
        colours = [*(colours_of(self._groups) if self._groups is not None else []), no_value(self._groups)]
        self.lines.show(self.size(), self.devicePixelRatioF(), x, self._y, of, colours, faded())
        self._choose()

    def _heights(self, column: Column, scale_: Scale, named: Column | None) -> np.ndarray:
        """Where on an axis the lines pass: runs of one value a little apart, in the order of what colours them."""
        by = np.arange(len(column.values)) if named is None else named.values
        aside = spread(column, scale_, by, ASIDE / (self._bottom - self._top))
        places = scale_.places(column.values) + aside
        foot = self._bottom + FOOT - aside * (self._bottom - self._top) / 2
        return np.where(np.isnan(places), foot, self._bottom - places * (self._bottom - self._top))

    def _choose(self) -> None:
        if self._table is not None:
            self.kept = kept(self._table, self.brushes)
            self.lines.choose(self.kept, self.size(), self.devicePixelRatioF())
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the lines out anew."""
        super().resizeEvent(event)
        self._lay_out()

    def sizeHint(self) -> QSize:
        """Room for some axes."""
        return QSize(900, 460)

    # Painting

    def paintEvent(self, _: QPaintEvent) -> None:
        """Lines, then axes with their titles, ticks and ranges, and the legend."""
        now = theme.current()
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(now.base))
        if self._table is not None:
            painter.drawPixmap(0, 0, self.lines.behind.picture)
            painter.drawPixmap(0, 0, self.lines.before.picture)
            self._paint_pointed(painter)
            for place, name in enumerate(self.names):
                self._paint_axis(painter, place, name)
            self._paint_legend(painter)
        painter.end()

    def _paint_pointed(self, painter: QPainter) -> None:
        if self._at < 0:
            return
        painter.setPen(QPen(QColor(theme.current().text), 2))
        points = [QPointF(self.axis_x(place), float(y)) for place, y in enumerate(self._y[self._at])]
        painter.drawPolyline(QPolygonF(points))

    def _paint_axis(self, painter: QPainter, place: int, name: str) -> None:
        assert self._table is not None
        now, x = theme.current(), self.axis_x(place)
        current = place == self.current and self.hasFocus()
        painter.setPen(QPen(QColor(now.accent if current else now.text), 1))
        painter.drawLine(QPointF(x, self._top), QPointF(x, self._bottom))
        text, area = self._title(place)
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, text)
        painter.setPen(QColor(now.faint))
        painter.drawText(self._cross(place), Qt.AlignmentFlag.AlignCenter, "×")
        if name in self.brushes:
            top, bottom = self._extent(name)
            fill = QColor(now.accent)
            fill.setAlpha(60)
            painter.fillRect(QRectF(x - 7, top, 14, bottom - top), fill)
            painter.setPen(QPen(QColor(now.accent), 2))
            painter.drawRect(QRectF(x - 7, top, 14, bottom - top))
        one = self._scales[name]
        last = self._bottom + 2.0 * TICK
        for value, text in self._ticks[name]:
            at = self.place_y(float(one.places(np.array([value]))[0]))
            if last - at >= TICK:
                self._paint_tick(painter, x, at, text.split("\n")[0])
                last = at
        if name in self._missing:
            self._paint_tick(painter, x, self._bottom + FOOT, NONE)

    def _paint_tick(self, painter: QPainter, x: float, y: float, text: str) -> None:
        now, metrics = theme.current(), painter.fontMetrics()
        behind = QColor(now.base)
        behind.setAlpha(205)
        area = QRectF(x + 6, y - metrics.height() / 2, metrics.horizontalAdvance(text) + 4, metrics.height())
        if area.right() > self.width():
            area.moveRight(x - 6)
        painter.fillRect(area, behind)
        painter.setPen(QColor(now.text))
        painter.drawLine(QPointF(x - 3, y), QPointF(x + 3, y))
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, text)

    def _paint_legend(self, painter: QPainter) -> None:
        if self._groups is None or self._table is None:
            return
        metrics, x, y = painter.fontMetrics(), 8.0, self.height() - LEGEND / 2
        named = self._table.columns[self._colour or self.names[-1]]
        entries = [(f"{named.title}:", None), *zip(self._groups.names, colours_of(self._groups), strict=True)]
        if (self._groups.of < 0).any():
            entries.append((NONE, no_value(self._groups)))
        for name, colour in entries:
            text = shortened(name, 28)
            if colour is not None:
                painter.fillRect(QRectF(x, y - 2, 16, 4), colour)
                x += 20
            painter.setPen(QColor(theme.current().text))
            wide = metrics.horizontalAdvance(text) + 2
            painter.drawText(QRectF(x, y - LEGEND / 2, wide, LEGEND), Qt.AlignmentFlag.AlignVCenter, text)
            x += wide + 12

    def _room(self, place: int) -> float:
        """How wide a title may be: at the ends half of it stands outside."""
        gap = self.axis_x(1) - self.axis_x(0) if len(self.names) > 1 else self.width()
        ends = place in (0, len(self.names) - 1)
        return min(gap, 2 * SIDE) - 26 if ends else gap - 26

    def _title(self, place: int) -> tuple[str, QRectF]:
        """An axis's title, and where it stands."""
        assert self._table is not None
        wide, metrics = self._room(place), self.fontMetrics()
        whole = self._table.columns[self.names[place]].title
        text = metrics.elidedText(whole, Qt.TextElideMode.ElideMiddle, int(wide))
        used = metrics.horizontalAdvance(text) + 4
        return text, QRectF(self.axis_x(place) - used / 2, 4, used, 20)

    def _cross(self, place: int) -> QRectF:
        """Where an axis is taken away."""
        return QRectF(self._title(place)[1].right(), 4, 16, 20)
