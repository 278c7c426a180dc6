"""Curves over steps, epochs or time: the pyqtgraph rules, in one place.

Lines are one pixel wide, or two without antialiasing (a wide antialiased pen is 60 times slower); there is no grid, which
took a third of a watched training's speed; curves come thinned; a zoom made by hand is kept while data arrives; a
cross-hair reads every curve's value.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QVBoxLayout, QWidget

from workbench.gui import theme
from workbench.gui.forms import label

READ_AT_ONCE = 5
"""Of more curves than that, those nearest to the pointer are read."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One curve: arrays of one length, a colour number of the theme, how it is drawn; an empty ``legend`` keeps it out of it."""

    key: Hashable
    name: str
    x: np.ndarray
    y: np.ndarray
    colour: int = 0
    front: bool = True
    dashed: bool = False
    legend: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A horizontal line to compare with."""

    key: Hashable
    name: str
    y: float
    colour: int


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average, debiased, so that it starts at the first value; ``weight`` 0 leaves values as they are."""
    if not weight or not len(values):
        return values
    result = np.empty_like(values)
    last = power = 0.0
    for index, value in enumerate(values.tolist()):
        last = weight * last + (1 - weight) * value
        power = weight * power + (1 - weight)
        result[index] = last / power
    return result


class _ValueAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis whose logarithmic ticks are plain numbers, and whose ticks are percentages where ``percent``."""

    percent = False

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """The texts of ticks."""
        if not self.percent:
            return list(super().tickStrings(values, scale, spacing))
        places = max(0, math.ceil(-math.log10(100 * spacing)))
        return [f"{100 * value * scale:.{places}f}%" for value in values]

    def logTickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """The texts of ticks at powers of ten."""
        return [f"{10.0**value * scale:g}" for value in values]


def _look(line: Line) -> tuple[object, ...]:
    return line.name, line.colour, line.front, line.dashed, line.legend


class CurvePlot(QWidget):
    """A titled plot with a line below it that reads the curves under the pointer."""

    def __init__(self, title: str, y_name: str, *, percent: bool = False, legend_below: bool = False) -> None:
        super().__init__()
        self.percent = percent
        self._y_name = y_name
        self._lines: dict[Hashable, Line] = {}
        self._items: dict[Hashable, list[pg.PlotDataItem]] = {}
        self._references: dict[Hashable, tuple[Reference, pg.InfiniteLine, pg.PlotDataItem]] = {}
        self._smoothing = 0.0
        self._log = False
        self._x_name = "step"
        self._title = label(title)
        self.plot = pg.PlotWidget(axisItems={"left": _ValueAxis("left")})
        self.plot.setAccessibleName(title)
        self.plot.setDownsampling(auto=True, mode="peak")
        self.plot.setClipToView(True)
        self.plot.setMenuEnabled(False)
        self.plot.setMinimumHeight(120)
        self.legend = self.plot.addLegend(offset=(-8, -8) if legend_below else (-8, 8), labelTextSize="8pt")
        self._hair = pg.InfiniteLine(angle=90, movable=False)
        self._hair.hide()
        self.plot.addItem(self._hair, ignoreBounds=True)
        self.plot.scene().sigMouseMoved.connect(self._read)
        self.readout = label("", "faint", wrap=True)
        self.readout.setMinimumHeight(self.readout.fontMetrics().height() * 2)
        self.readout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._title)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.readout)
        self.dress()

    def dress(self) -> None:
        """Take the colours of the theme."""
        colours = theme.current()
        self.plot.setBackground(colours.base)
        self.plot.getAxis("left").percent = self.percent
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setPen(colours.line)
            axis.setTextPen(colours.text)
        self.plot.setLabel("left", self._y_name)
        self.plot.setLabel("bottom", self._x_name)
        self._hair.setPen(pg.mkPen(colours.faint, style=Qt.PenStyle.DashLine))
        self.legend.setLabelTextColor(colours.text)
        lines, references = list(self._lines.values()), self._shown_references()
        self.set_lines([])
        self.set_references([])
        self.set_lines(lines)
        self.set_references(references)

    def set_title(self, title: str, y_name: str, x_name: str) -> None:
        """Say what the plot and its axes show."""
        self.plot.getAxis("left").percent = self.percent
        self._title.setText(title)
        if (y_name, x_name) == (self._y_name, self._x_name):
            return
        self._y_name, self._x_name = y_name, x_name
        self.plot.setLabel("left", y_name)
        self.plot.setLabel("bottom", x_name)

    def set_smoothing(self, weight: float) -> None:
        """Draw moving averages, the curves themselves faint behind them."""
        if weight != self._smoothing:
            self._smoothing = weight
            self._redraw()

    def set_log(self, on: bool) -> None:
        """A logarithmic vertical axis."""
        if on != self._log:
            self._log = on
            self.plot.setLogMode(y=on)
            references = self._shown_references()
            self.set_references([])
            self.set_references(references)

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show these curves and no others."""
        wanted = {line.key: line for line in lines}
        for key in [key for key in self._items if key not in wanted]:
            self._remove(key)
        for line in lines:
            shown = self._lines.get(line.key)
            if shown is not None and _look(shown) != _look(line):
                self._remove(line.key)
            self._lines[line.key] = line
            self._draw(line)

    def set_references(self, references: Sequence[Reference]) -> None:
        """Show these horizontal lines and no others."""
        wanted = {reference.key: reference for reference in references}
        for key in [key for key, (shown, *_) in self._references.items() if wanted.get(key) != shown]:
            _, line, sample = self._references.pop(key)
            self.plot.removeItem(line)
            self.legend.removeItem(sample)
        for reference in references:
            if reference.key in self._references or not math.isfinite(reference.y) or (self._log and reference.y <= 0):
                continue
            colour = theme.current().curves[reference.colour % len(theme.current().curves)]
            pen = pg.mkPen(colour, style=Qt.PenStyle.DashLine)
            line = pg.InfiniteLine(pos=math.log10(reference.y) if self._log else reference.y, angle=0, pen=pen)
            self.plot.addItem(line)
            sample = pg.PlotDataItem(pen=pen)
            self.legend.addItem(sample, f"{reference.name} {self.say(reference.y)}")
            self._references[reference.key] = (reference, line, sample)

    def _shown_references(self) -> list[Reference]:
        return [reference for reference, *_ in self._references.values()]

    def line_keys(self) -> list[Hashable]:
        """The curves shown."""
        return list(self._lines)

    def points(self, key: Hashable) -> int:
        """How many points a curve has; none where it is not shown."""
        return len(self._lines[key].y) if key in self._lines else 0

    def say(self, value: float) -> str:
        """A value as the axis counts it."""
        return f"{value:.2%}" if self.percent else f"{value:.4g}"

    def values_at(self, x: float) -> list[tuple[str, float]]:
        """(name, value) of every curve at the point nearest to ``x``."""
        found = []
        for line in self._lines.values():
            if len(line.x):
                place = int(np.clip(np.searchsorted(line.x, x), 0, len(line.x) - 1))
                if place and abs(line.x[place - 1] - x) <= abs(line.x[place] - x):
                    place -= 1
                found.append((line.name, float(line.y[place])))
        return found

    def _redraw(self) -> None:
        lines = list(self._lines.values())
        for key in list(self._items):
            self._remove(key)
        self.set_lines(lines)

    def _remove(self, key: Hashable) -> None:
        for item in self._items.pop(key, []):
            self.plot.removeItem(item)
        self._lines.pop(key, None)

    def _draw(self, line: Line) -> None:
        if line.key not in self._items:
            self._items[line.key] = self._made(line)
        *faint, main = self._items[line.key]
        main.setData(line.x, smoothed(line.y, self._smoothing))
        for item in faint:
            item.setData(line.x, line.y)

    def _made(self, line: Line) -> list[pg.PlotDataItem]:
        colours = theme.current().curves
        colour = QColor(colours[line.colour % len(colours)])
        style = Qt.PenStyle.DashLine if line.dashed else Qt.PenStyle.SolidLine
        items = []
        if self._smoothing:
            pale = QColor(colour)
            pale.setAlpha(70)
            items.append(self.plot.plot(pen=pg.mkPen(pale, width=1)))
        if not line.front:
            colour.setAlpha(120)
        main = self.plot.plot(
            pen=pg.mkPen(colour, width=2 if line.front else 1, style=style),
            name=(line.name if line.legend is None else line.legend) or None,
        )
        main.setZValue(10 if line.front else 0)
        return [*items, main]

    def _read(self, place: QPointF) -> None:
        inside = self.plot.getViewBox().sceneBoundingRect().contains(place)
        self._hair.setVisible(inside and bool(self._lines))
        if not inside:
            self.readout.setText("")
            return
        x = self.plot.getViewBox().mapSceneToView(place).x()
        self._hair.setPos(x)
        y = self.plot.getViewBox().mapSceneToView(place).y()
        found = self.values_at(x)
        if len(found) > READ_AT_ONCE:
            found = sorted(found, key=lambda one: abs(one[1] - (10.0**y if self._log else y)))[:READ_AT_ONCE]
        values = "   ".join(f"{name} {self.say(value)}" for name, value in found)
        self.readout.setText(f"{self._x_name} {x:.4g}:   {values}" if values else "")
