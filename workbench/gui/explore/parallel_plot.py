"""Parallel coordinates that a person changes: ranges dragged on the axes, axes moved, taken away, read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QMenu

from workbench.analysis.brushes import brush
from workbench.gui.explore.parallel_axes import FOOT, SIDE, TOP, ParallelAxes

EDGE = 5
"""So many pixels beside the end of a range still move that end."""

STEP = 0.05


@dataclass(frozen=True, slots=True)
class _Drag:
    """What the pressed mouse does to an axis: ``new``, ``move``, ``low``, ``high`` of its range, or ``title``."""

    name: str
    what: str
    start: QPointF
    bottom: float = 0.0
    top: float = 0.0
    moved: bool = False


class ParallelPlot(ParallelAxes):
    """``changed`` tells of other ranges, ``axes_changed`` of other axes or another order of them, ``pointed`` the place of the
    run under the pointer, -1 for none."""

    changed = Signal()
    axes_changed = Signal()
    pointed = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Parallel coordinates")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self._drag: _Drag | None = None

    def clear_brushes(self) -> None:
        """Keep all runs."""
        self.brushes = {}
        self._brushed()

    def _clear(self, name: str) -> None:
        self.brushes.pop(name, None)
        self._brushed()

    def remove_axis(self, name: str) -> None:
        """Take an axis away."""
        self.names.remove(name)
        self.brushes.pop(name, None)
        self.current = min(self.current, max(0, len(self.names) - 1))
        self._lay_out()
        self.axes_changed.emit()

    def move_axis(self, name: str, place: int) -> None:
        """Put an axis in another place."""
        place = max(0, min(len(self.names) - 1, place))
        if self.names.index(name) != place:
            self.names.remove(name)
            self.names.insert(place, name)
            self.current = place
            self._lay_out()
            self.axes_changed.emit()

    def _brushed(self) -> None:
        self._choose()
        self.changed.emit()

    # The mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a range, change the one that is there, or take an axis by its title."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        place = event.position()
        if place.y() < self._top - 8:
            if name := self._axis_at(place, title=True):
                self.current = self.names.index(name)
                if self._cross(self.current).contains(place):
                    self.remove_axis(name)
                else:
                    self._drag = _Drag(name, "title", place)
        elif name := self._axis_at(place):
            self.current = self.names.index(name)
            self._drag = self._taken(name, place)
        self.update()

    def _taken(self, name: str, place: QPointF) -> _Drag:
        if name in self.brushes:
            top, bottom = self._extent(name)
            for what, edge in (("high", top), ("low", bottom)):
                if abs(place.y() - edge) <= EDGE:
                    return _Drag(name, what, place, bottom, top)
            if top < place.y() < bottom:
                return _Drag(name, "move", place, bottom, top)
        return _Drag(name, "new", place, place.y(), place.y())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with what the press began; else read the line under the pointer."""
        place = event.position()
        if self._drag is None:
            self._hover(place)
            return
        if (place - self._drag.start).manhattanLength() >= 4:
            self._drag = replace(self._drag, moved=True)
        if not self._drag.moved:
            return
        if self._drag.what == "title":
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
            nearest = min(range(len(self.names)), key=lambda at: abs(self.axis_x(at) - place.x()))
            self.move_axis(self._drag.name, nearest)
            return
        by = place.y() - self._drag.start.y()
        if self._drag.what == "move":  # whole, up to the ends
            by = max(self._top - EDGE - self._drag.top, min(self._bottom + FOOT + EDGE - self._drag.bottom, by))
        bottom = self._drag.bottom + (by if self._drag.what in ("low", "move") else 0)
        top = self._drag.top + (by if self._drag.what in ("high", "move", "new") else 0)
        self._brush(self._drag.name, min(bottom, top), max(bottom, top))

    def _brush(self, name: str, top: float, bottom: float) -> None:
        none = top <= self._bottom + FOOT <= bottom
        self.brushes[name] = brush(self._scales[name], self._place(bottom), self._place(top), none=none)
        self._brushed()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """The drag is over."""
        self._drag = None
        self.unsetCursor()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Take an axis's range away; those of all where the place is no axis's."""
        self._drag = None
        name = self._axis_at(event.position())
        if name in self.brushes:
            self._clear(name)
        elif not name and event.position().y() >= self._top - 8:
            self.clear_brushes()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """What can be done with an axis."""
        keyboard = event.reason() == QContextMenuEvent.Reason.Keyboard
        at = QPointF(event.pos())
        name = "" if keyboard else self._axis_at(at, title=True)
        if name:
            self.current = self.names.index(name)
        if not self.names:
            return
        name = self.names[self.current]
        menu = QMenu(self)
        menu.addAction("Move to the left", lambda: self.move_axis(name, self.names.index(name) - 1))
        menu.addAction("Move to the right", lambda: self.move_axis(name, self.names.index(name) + 1))
        menu.addAction("Clear the range", lambda: self._clear(name))
        menu.addAction("Remove the axis", lambda: self.remove_axis(name))
        middle = QPoint(int(self.axis_x(self.current)), TOP)
        menu.exec(self.mapToGlobal(middle) if keyboard else event.globalPos())

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is under the pointer."""
        self._point(-1)

    def _hover(self, place: QPointF) -> None:
        if len(self.names) < 2 or not len(self._y) or not self._top - 4 <= place.y() <= self._bottom + FOOT + 4:
            self._point(-1)
            return
        gap = self.axis_x(1) - self.axis_x(0)
        at = int(np.clip((place.x() - SIDE) // gap, 0, len(self.names) - 2))
        share = float(np.clip((place.x() - self.axis_x(at)) / gap, 0, 1))
        away = np.abs(self._y[:, at] * (1 - share) + self._y[:, at + 1] * share - place.y())
        away[~self.kept] = np.inf
        best = int(np.argmin(away))
        self._point(best if away[best] <= 6 else -1)

    def _point(self, at: int) -> None:
        if at != self._at:
            self._at = at
            self.pointed.emit(at)
            self.update()

    # The keyboard

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right choose an axis, with Ctrl they move it; up and down move its range's top, with Shift its bottom;
        Delete removes the axis, Escape all ranges."""
        across = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()), 0)
        along = {Qt.Key.Key_Down: -1, Qt.Key.Key_Up: 1}.get(Qt.Key(event.key()), 0)
        if not self.names or not (across or along or event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Escape)):
            super().keyPressEvent(event)
            return
        name = self.names[self.current]
        if event.key() == Qt.Key.Key_Delete:
            self.remove_axis(name)
        elif event.key() == Qt.Key.Key_Escape:
            self.clear_brushes()
        elif across and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.move_axis(name, self.current + across)
        elif across:
            self.current = max(0, min(len(self.names) - 1, self.current + across))
            self.update()
        else:
            self._nudge(name, along, low=bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def _nudge(self, name: str, by: int, *, low: bool) -> None:
        """Move an end of a range a little, or by a name."""
        texts = self._scales[name].names
        step = (1 / max(1, len(texts) - 1) if texts else STEP) * (self._bottom - self._top)
        top, bottom = self._extent(name) if name in self.brushes else (self._top - EDGE, self._bottom + EDGE)
        if low:
            bottom = max(top + 2, min(self._bottom + EDGE, bottom - by * step))
        else:
            top = min(bottom - 2, max(self._top - EDGE, top - by * step))
        self._brush(name, top, bottom)
