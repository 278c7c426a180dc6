"""Runs as points: coloured in groups, with the border of the best; the pointer reads them, a click or a box chooses some.

Points are drawn by one item a group, and the nearest to the pointer is found by arithmetic, so that ten thousand of them
stay quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPen
from PySide6.QtWidgets import QWidget

from workbench.analysis.explore import Column, Groups, Scale, Table, pareto_front, scale, shortened, staircase
from workbench.gui import theme
from workbench.gui.explore.colours import colours_of, no_value
from workbench.gui.forms import escaped

NEAR_PIXELS = 10
SIZE, CHOSEN_SIZE = 7, 12
ASIDE = 0.3
"""Points of a name are spread so far to either side of it, so that they do not hide each other."""


class _FieldAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis that writes a column's values: names, shares in percent, dates, and plain numbers on a logarithmic scale."""

    column: Column | None = None
    ends: Scale | None = None

    def tickValues(self, low: float, high: float, size: float) -> list[tuple[float, list[float]]]:
        """Where the ticks are."""
        if self.column is None or self.ends is None or not (self.column.names or self.column.date or self.logMode):
            return list(super().tickValues(low, high, size))
        if self.column.names:
            first, last = max(0, round(low)), min(len(self.column.names) - 1, round(high))
            each = max(1, -(-(last - first + 1) // max(1, int(size // (22 if self.orientation == "left" else 80)))))
            return [(1.0, [float(at) for at in range(first, last + 1, each)])]
        inside = Scale(10.0**low, 10.0**high, log=True) if self.logMode else Scale(low, high, date=True)
        found = inside.ticks(max(2, int(size // (40 if self.orientation == "left" else 110))))
        return [(1.0, [float(np.log10(value)) if self.logMode else value for value in found])]

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """The texts of ticks."""
        if self.column is None:
            return list(super().tickStrings(values, scale, spacing))
        if self.logMode:
            return [self.column.tick(10.0**value) for value in values]
        if self.column.percent:
            places = max(0, int(np.ceil(-np.log10(100 * spacing) - 1e-9)))
            return [f"{100 * value:.{places}f}%" for value in values]
        return [self.column.tick(value) for value in values]


class _Box(pg.ViewBox):  # type: ignore[misc]
    """A view that a drag moves, and a drag with Shift chooses from."""

    boxed = Signal(object, bool)

    def mouseDragEvent(self, event: object, axis: int | None = None) -> None:
        """Draw the box while Shift was down at the start; else move."""
        if axis is not None or not event.modifiers() & Qt.KeyboardModifier.ShiftModifier:  # type: ignore[attr-defined]
            super().mouseDragEvent(event, axis)
            return
        event.accept()  # type: ignore[attr-defined]
        if not event.isFinish():  # type: ignore[attr-defined]
            self.updateScaleBox(event.buttonDownPos(), event.pos())  # type: ignore[attr-defined]
            return
        self.rbScaleBox.hide()
        area = QRectF(QPointF(event.buttonDownPos()), QPointF(event.pos())).normalized()  # type: ignore[attr-defined]
        more = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)  # type: ignore[attr-defined]
        self.boxed.emit(self.childGroup.mapRectFromParent(area), more)


class ScatterPlot(pg.PlotWidget):  # type: ignore[misc]
    """Shows two columns of a table against each other. ``pointed`` tells the place of the run under the pointer, -1 for none."""

    pointed = Signal(int)
    chosen_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        self._box = _Box()
        super().__init__(parent, viewBox=self._box, axisItems={"left": _FieldAxis("left"), "bottom": _FieldAxis("bottom")})
        self.setAccessibleName("Runs as points")
        self.setMenuEnabled(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.legend = self.addLegend(offset=(-8, -8), labelTextSize="8pt")
        self._table: Table | None = None
        self._drawn: tuple[Column, Column, Groups | None, bool] | None = None
        self._x = self._y = np.empty(0)
        self._there = np.empty(0, int)
        self._log = (False, False)
        self._samples: list[tuple[str, QPen]] = []
        self.chosen: set[int] = set()
        self.at = -1
        self._rings = pg.ScatterPlotItem(size=CHOSEN_SIZE, pxMode=True)
        self._hover = pg.ScatterPlotItem(size=CHOSEN_SIZE, pxMode=True)
        self._rings.setZValue(20)
        self._hover.setZValue(21)
        self._box.boxed.connect(self._choose_box)
        self.scene().sigMouseMoved.connect(self._move)
        self.scene().sigMouseClicked.connect(self._click)
        self.dress()

    def dress(self) -> None:
        """Take the colours of the theme."""
        now = theme.current()
        self.setBackground(now.base)
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setPen(now.line)
            axis.setTextPen(now.text)
        self.legend.setLabelTextColor(now.text)
        behind = QColor(now.base)
        behind.setAlpha(215)
        self.legend.setBrush(behind)
        self._rings.setPen(pg.mkPen(now.text, width=1.5))
        self._rings.setBrush(None)
        self._hover.setPen(pg.mkPen(now.accent, width=2))
        self._hover.setBrush(None)
        self._draw()

    # What is shown

    def show_table(
        self, table: Table, x: Column, y: Column, groups: Groups | None, *, log: tuple[bool, bool], front: bool
    ) -> None:
        """Draw the runs of a table; the view goes to all of them where the axes are others than before."""
        before = self._drawn
        same = before is not None and (before[0].name, before[1].name) == (x.name, y.name) and self._log == log
        self._table, self._drawn, self._log = table, (x, y, groups, front), log
        self._x, self._y = (self._spread(one, on) for one, on in zip((x, y), log, strict=True))
        self._there = np.flatnonzero(np.isfinite(self._x) & np.isfinite(self._y))
        self.chosen &= set(table.runs[self._there].tolist())
        self.at = -1
        for side, one, on in (("bottom", x, log[0]), ("left", y, log[1])):
            axis = self.getAxis(side)
            axis.column, axis.ends = one, scale(one)
            axis.setLogMode(on, on)
            axis.setLabel(escaped(one.title) + (", logarithmic" if on else ""))
        self._draw()
        if not same:
            self._box.enableAutoRange()

    def title(self) -> str:
        """What is shown against what."""
        return f"{self._drawn[1].title} against {self._drawn[0].title}" if self._drawn is not None else ""

    def samples(self) -> list[tuple[str, QPen]]:
        """The names in the legend and their colours."""
        return self._samples

    def values(self) -> tuple[list[str], list[list[Any]]]:
        """The points as a table: a run with what its axes say in each line."""
        if self._table is None or self._drawn is None:
            return [], []
        columns = self._drawn[:2]
        head = ["run", "name", *(one.title for one in columns)]
        return head, [
            [int(self._table.runs[at]), self._table.labels[at], *(one.plain(float(one.values[at])) for one in columns)]
            for at in self._there
        ]

    def points(self) -> int:
        """How many runs have both values."""
        return len(self._there)

    def _spread(self, one: Column, log: bool) -> np.ndarray:
        assert self._table is not None
        if one.names:  # by the golden ratio: neighbours apart, and the same run always in the same place
            return np.asarray(one.values + ((self._table.runs * 0.6180339887) % 1.0 - 0.5) * 2 * ASIDE)
        if not log:
            return one.values
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(one.values > 0, np.log10(one.values), np.nan)

    def _draw(self) -> None:
        self.getPlotItem().clear()
        self.legend.clear()
        self._samples = []
        if self._table is None or self._drawn is None:
            return
        x, y, groups, front = self._drawn
        parts = [("", self._there, QColor(theme.current().curves[0]))] if groups is None else self._parts(groups)
        for name, places, colour in parts:
            if len(places):
                colour.setAlpha(190)
                brush = pg.mkBrush(colour)
                item = pg.ScatterPlotItem(self._x[places], self._y[places], size=SIZE, pen=None, brush=brush, pxMode=True)
                self.addItem(item)
                if name:
                    self.legend.addItem(pg.ScatterPlotItem(size=SIZE, pen=None, brush=brush), escaped(name))
                    self._samples.append((name, QPen(colour)))
        if front:
            self._draw_front(x, y)
        self.addItem(self._rings, ignoreBounds=True)
        self.addItem(self._hover, ignoreBounds=True)
        self._mark()

    def _parts(self, groups: Groups) -> list[tuple[str, np.ndarray, QColor]]:
        of = groups.of[self._there]
        parts = [("none", self._there[of < 0], no_value(groups))]
        parts += [
            (shortened(name, 28), self._there[of == place], colour)
            for place, (name, colour) in enumerate(zip(groups.names, colours_of(groups), strict=True))
        ]
        return parts

    def _draw_front(self, x: Column, y: Column) -> None:
        on = pareto_front(x, y)
        on = on[np.isin(on, self._there)]
        line = staircase(self._x[on], self._y[on], (x.better, y.better))
        pen = pg.mkPen(theme.current().text, style=Qt.PenStyle.DashLine)
        self.plot(*line, pen=pen).setZValue(10)
        self.legend.addItem(pg.PlotDataItem(pen=pen), "Pareto front")
        self._samples.append(("Pareto front", pen))

    def _mark(self) -> None:
        if self._table is not None:
            on = self._there[np.isin(self._table.runs[self._there], list(self.chosen))]
            self._rings.setData(self._x[on], self._y[on])
            at = [self.at] if self.at >= 0 else []
            self._hover.setData(self._x[at], self._y[at])

    # Choosing

    def choose(self, runs: set[int]) -> None:
        """Choose these runs."""
        self.chosen = runs
        self._mark()
        self.chosen_changed.emit()

    def near(self, place: QPointF) -> int:
        """The run nearest to a place of the scene, -1 where none is near."""
        if not len(self._there):
            return -1
        wide, high = self._box.viewPixelSize()
        at = self._box.mapSceneToView(place)
        away = np.hypot((self._x[self._there] - at.x()) / wide, (self._y[self._there] - at.y()) / high)
        best = int(np.argmin(away))
        return int(self._there[best]) if away[best] <= NEAR_PIXELS else -1

    def _move(self, place: QPointF) -> None:
        self._point(self.near(place) if self._box.sceneBoundingRect().contains(place) else -1)

    def _point(self, at: int) -> None:
        if at != self.at:
            self.at = at
            self._mark()
            self.pointed.emit(at)

    def _click(self, event: object) -> None:
        if event.button() != Qt.MouseButton.LeftButton or not self._box.sceneBoundingRect().contains(event.scenePos()):  # type: ignore[attr-defined]
            return
        self._choose_at(self.near(event.scenePos()), bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier))  # type: ignore[attr-defined]

    def _choose_at(self, at: int, more: bool) -> None:
        runs = {int(self._table.runs[at])} if self._table is not None and at >= 0 else set()
        self.choose(self.chosen ^ runs if more else runs)

    def _choose_box(self, area: QRectF, more: bool) -> None:
        if self._table is None:
            return
        x, y = self._x[self._there], self._y[self._there]
        inside = (x >= area.left()) & (x <= area.right()) & (y >= area.top()) & (y <= area.bottom())
        runs = set(self._table.runs[self._there[inside]].tolist())
        self.choose(self.chosen | runs if more else runs)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right go from run to run along the horizontal axis, Space or Return choose, Escape chooses none."""
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() in steps and len(self._there):
            order = self._there[np.lexsort((self._y[self._there], self._x[self._there]))]
            found = np.flatnonzero(order == self.at)
            self._point(int(order[(int(found[0]) + steps[Qt.Key(event.key())]) % len(order) if len(found) else 0]))
        elif event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.at >= 0:
            self._choose_at(self.at, bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier))
        elif event.key() == Qt.Key.Key_Escape:
            self.choose(set())
        else:
            super().keyPressEvent(event)
