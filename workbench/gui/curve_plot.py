"""Curves over steps, epochs or time: the pyqtgraph rules, in one place.

Lines are drawn without antialiasing, all by one item (:mod:`workbench.gui.curve_item`); there is no grid, which took a third
of a watched training's speed; curves come thinned; a zoom made by hand is kept while data arrives, and a double click
takes it back; a cross-hair reads every curve's value.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPen
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from workbench.analysis.smoothing import smoothed
from workbench.gui import theme
from workbench.gui.curve_item import CurveItem, Drawn
from workbench.gui.forms import escaped, label
from workbench.gui.log_ticks import between, labelled, written

READ_AT_ONCE = 5
"""Of more curves than that, those nearest to the pointer are read."""
WIDE_UP_TO = 8
"""Of so many curves those in front are two pixels wide."""
NEAR = 10
"""Pixels between a click and the curve that is meant."""
LABELS_APART = {"left": 18, "bottom": 60}
"""Pixels from one label of a logarithmic axis to the next."""
SETTLED_MILLISECONDS = 150
"""Of a view that has not moved for so long a person has come to where they wanted."""
CLOSER = 0.5
"""Of the curves' width: a zoom into less shows points that thinning left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One curve: arrays of one length, ``x`` never falling, a colour number of the theme, how it is drawn.

    An empty ``legend`` keeps it out of it; ``low`` and ``high`` bound a band around it. ``smooth`` is its moving average where
    that is not of these points alone.
    """

    key: Hashable
    name: str
    x: np.ndarray
    y: np.ndarray
    colour: int = 0
    front: bool = True
    dashed: bool = False
    legend: str | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    smooth: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A horizontal line to compare with."""

    key: Hashable
    name: str
    y: float
    colour: int


class _ValueAxis(pg.AxisItem):  # type: ignore[misc]
    """An axis whose logarithmic ticks are plain numbers, and whose ticks are percentages where ``percent``."""

    percent = False

    def tickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """The texts of ticks."""
        if not self.percent or self.logMode:
            return list(super().tickStrings(values, scale, spacing))
        places = max(0, math.ceil(-math.log10(100 * spacing)))
        return [f"{100 * value * scale:.{places}f}%" for value in values]

    def logTickValues(self, low: float, high: float, size: float, _: object) -> list[tuple[float | None, list[float]]]:
        """Where ticks are: those with a label, and small ones without a spacing."""
        labels = labelled(low, high, size, LABELS_APART[self.orientation])
        return [(1.0, labels), (None, between(low, high))]

    def logTickStrings(self, values: Sequence[float], scale: float, spacing: float | None) -> list[str]:
        """The texts of ticks of a logarithmic axis."""
        if spacing is None:
            return []
        return [f"{written(value, 100 * scale)}%" if self.percent else written(value, scale) for value in values]


class _Plot(pg.PlotWidget):  # type: ignore[misc]
    """A plot that says when the pointer has left it."""

    left = Signal()

    def leaveEvent(self, event: QEvent) -> None:
        """The pointer is elsewhere."""
        super().leaveEvent(event)
        self.left.emit()


class CurvePlot(QWidget):
    """A titled plot with a legend inside and a line below that reads the curves under the pointer.

    Where it is ``listed`` both are left to a list beside it, which hears of the pointer by ``pointed``, an x in the plot's
    unit, and by ``left``, after which the cross-hair stays until :meth:`let_go`; ``picked`` is the key of the curve clicked on,
    None for none.
    ``settled`` is told where the view has moved along x and come to rest.
    """

    pointed = Signal(float)
    left = Signal()
    picked = Signal(object)
    settled = Signal()

    def __init__(
        self, title: str, y_name: str, *, percent: bool = False, legend_below: bool = False, listed: bool = False
    ) -> None:
        super().__init__()
        self.percent = percent
        self._listed = listed
        self._y_name = y_name
        self._lines: dict[Hashable, Line] = {}
        self._smoothed: dict[Hashable, np.ndarray] = {}
        self._in_legend: list[tuple[str, int, bool]] = []
        self._references: dict[Hashable, tuple[Reference, pg.InfiniteLine, pg.PlotDataItem]] = {}
        self._smoothing = 0.0
        self._log_x = self._log_y = False
        self._highlight: Hashable | None = None
        self._x_name = "step"
        self._title, self.note = label(title), label("", "faint")
        self.plot = _Plot(axisItems={side: _ValueAxis(side) for side in ("left", "bottom")})
        self.plot.setAccessibleName(title)
        self.plot.setMenuEnabled(False)
        self.plot.setMinimumHeight(120)
        self.plot.getPlotItem().setContentsMargins(0, 6, 6, 0)  # room for the half of a tick's text that stands out
        self.legend = self.plot.addLegend(offset=(-8, -8) if legend_below else (-8, 8), labelTextSize="8pt")
        self.legend.setVisible(not listed)
        self._settling = QTimer(self, singleShot=True, interval=SETTLED_MILLISECONDS)
        self._settling.timeout.connect(self.settled)
        self.plot.getViewBox().sigXRangeChanged.connect(lambda *_: self._settling.start())
        self._curves = CurveItem()
        self.plot.addItem(self._curves)
        self._hair = pg.InfiniteLine(angle=90, movable=False)
        self._hair.hide()
        self.plot.addItem(self._hair, ignoreBounds=True)
        self.plot.scene().sigMouseMoved.connect(self._point)
        self.plot.scene().sigMouseClicked.connect(self._click)
        self.plot.left.connect(self._leave)
        self.readout = label("", "faint", wrap=True)
        self.readout.setMinimumHeight(self.readout.fontMetrics().height() * 2)
        self.readout.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.readout.setVisible(not listed)
        self._lay_out()
        self.dress()

    def _lay_out(self) -> None:
        self._top = top = QHBoxLayout()
        top.addWidget(self._title, 1)
        top.addWidget(self.note)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.readout)

    def add_beside_title(self, widget: QWidget) -> None:
        """Put something at the end of the line above the plot."""
        self._top.addWidget(widget)

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
        self.plot.setLabel("left", escaped(self._y_name))
        self.plot.setLabel("bottom", self._x_name)
        self._hair.setPen(pg.mkPen(colours.faint, style=Qt.PenStyle.DashLine))
        self.legend.setLabelTextColor(colours.text)
        references = self._shown_references()
        self.set_references([])
        self._fill_legend([])
        self._draw()
        self.set_references(references)

    def set_title(self, title: str, y_name: str, x_name: str) -> None:
        """Say what the plot and its axes show."""
        self.plot.getAxis("left").percent = self.percent
        self._title.setText(title)
        if (y_name, x_name) == (self._y_name, self._x_name):
            return
        self._y_name, self._x_name = y_name, x_name
        self.plot.setLabel("left", escaped(y_name))
        self.plot.setLabel("bottom", x_name)

    def set_smoothing(self, weight: float) -> None:
        """Draw moving averages, the curves themselves faint behind them."""
        if weight != self._smoothing:
            self._smoothing = weight
            self._draw()

    def set_log(self, on: bool) -> None:
        """A logarithmic vertical axis."""
        self._set_logs(self._log_x, on)

    def set_log_x(self, on: bool) -> None:
        """A logarithmic horizontal axis."""
        self._set_logs(on, self._log_y)

    def _set_logs(self, x: bool, y: bool) -> None:
        if (x, y) == (self._log_x, self._log_y):
            return
        self._log_x, self._log_y = x, y
        self._hair.hide()
        references = self._shown_references()
        self.set_references([])
        self.plot.setLogMode(x=x, y=y)
        self._draw()
        self.set_references(references)

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show these curves and no others."""
        self._lines = {line.key: line for line in lines}
        self._draw()

    def set_highlight(self, key: Hashable | None) -> None:
        """Bring one curve to the front and let the others fade; None shows all alike."""
        if key != self._highlight:
            self._highlight = key
            self._draw()

    def whole(self) -> None:
        """Show everything again, as it comes."""
        self.plot.enableAutoRange()

    def set_references(self, references: Sequence[Reference]) -> None:
        """Show these horizontal lines and no others."""
        wanted = {reference.key: reference for reference in references}
        for key in [key for key, (shown, *_) in self._references.items() if wanted.get(key) != shown]:
            _, line, sample = self._references.pop(key)
            self.plot.removeItem(line)
            self.legend.removeItem(sample)
        for reference in references:
            if reference.key in self._references or not math.isfinite(reference.y) or (self._log_y and reference.y <= 0):
                continue
            pen = pg.mkPen(theme.curve_colour(reference.colour), style=Qt.PenStyle.DashLine)
            line = pg.InfiniteLine(pos=math.log10(reference.y) if self._log_y else reference.y, angle=0, pen=pen)
            self.plot.addItem(line)
            sample = pg.PlotDataItem(pen=pen)
            self.legend.addItem(sample, escaped(f"{reference.name} {self.say(reference.y)}"))
            self._references[reference.key] = (reference, line, sample)

    def _shown_references(self) -> list[Reference]:
        return [reference for reference, *_ in self._references.values()]

    def stretch(self) -> tuple[float, float] | None:
        """From where to where on the x axis a person has zoomed in by hand, None where most of the curves is in view."""
        box = self.plot.getViewBox()
        ends = [end for line in self._lines.values() if len(line.x) for end in (line.x[0], line.x[-1])]
        if box.autoRangeEnabled()[0] or not ends:
            return None
        low, high = (10.0**end if self._log_x else end for end in box.viewRange()[0])
        return (low, high) if high - low < CLOSER * (max(ends) - min(ends)) else None

    def title(self) -> str:
        """What stands above the plot."""
        return self._title.text()

    def axis_names(self) -> tuple[str, str]:
        """What stands beside its axes, across and up."""
        return self._x_name, self._y_name

    def samples(self) -> list[tuple[str, QPen]]:
        """The names of the curves and horizontal lines as a legend shows them, with pens."""
        named = [(line.name if line.legend is None else line.legend, line.colour, line.dashed) for line in self._lines.values()]
        named += [(f"{one.name} {self.say(one.y)}", one.colour, True) for one in self._shown_references()]
        styles = {True: Qt.PenStyle.DashLine, False: Qt.PenStyle.SolidLine}
        return [(name, pg.mkPen(theme.curve_colour(colour), width=2, style=styles[dash])) for name, colour, dash in named if name]

    def lines(self) -> list[Line]:
        """The curves shown, as they were given."""
        return list(self._lines.values())

    def line_keys(self) -> list[Hashable]:
        """The keys of the curves shown."""
        return list(self._lines)

    def points(self, key: Hashable) -> int:
        """How many points a curve has; none where it is not shown."""
        return len(self._lines[key].y) if key in self._lines else 0

    def say(self, value: float) -> str:
        """A value as the axis counts it."""
        return f"{value:.2%}" if self.percent else f"{value:.4g}"

    # Reading

    def values_at(self, x: float) -> list[tuple[str, float]]:
        """(name, value) of every curve at the point nearest to ``x``."""
        return [(line.name, float(line.y[_nearest(line.x, x)])) for line in self._lines.values() if len(line.x)]

    def readings(self, x: float | None) -> dict[Hashable, float]:
        """The value drawn of every curve at the point nearest to ``x``, nan where it does not reach so far; the last of each
        where ``x`` is None."""
        found: dict[Hashable, float] = {}
        for line in self._lines.values():
            if not len(line.x):
                found[line.key] = math.nan
                continue
            margin = (line.x[-1] - line.x[0]) / len(line.x)
            there = x is None or line.x[0] - margin <= x <= line.x[-1] + margin
            place = len(line.x) - 1 if x is None else _nearest(line.x, x)
            found[line.key] = float(self._smoothed[line.key][place]) if there else math.nan
        return found

    # Drawing

    def _draw(self) -> None:
        self._smoothed = {line.key: self._smooth(line) for line in self._lines.values()}
        behind = [line for line in self._lines.values() if not line.front]
        front = [line for line in self._lines.values() if line.front]
        order = sorted([*behind, *front], key=lambda line: line.key == self._highlight)
        pairs = [pair for line in order for pair in self._drawn(line)]
        self._curves.draw([drawn for drawn, _ in pairs])
        lost = sum(lost for _, lost in pairs)
        points = "1 point" if lost == 1 else f"{lost:,} points"
        self.note.setText(f"{points} at 0 or below, where a logarithmic axis has no place" if lost else "")
        self._fill_legend(list(self._lines.values()))

    def _smooth(self, line: Line) -> np.ndarray:
        return line.smooth if self._smoothing and line.smooth is not None else smoothed(line.y, self._smoothing)

    def _drawn(self, line: Line) -> list[tuple[Drawn, int]]:
        """What is drawn for a curve, each with the number of points that have no place on a logarithmic axis."""
        known = self._highlight in self._lines
        wide = line.key == self._highlight if known else line.front and len(self._lines) <= WIDE_UP_TO
        faded = known and not wide
        colour = theme.curve_colour(line.colour)
        if not line.front:
            colour.setAlpha(120)
        found = []
        if self._smoothing:
            pale = QColor(colour)
            pale.setAlpha(70)
            x, (y,), _ = self._placed(line.x, line.y)
            found.append((Drawn(x, y, pale, faded=faded), 0))
        bounds = [] if line.low is None or line.high is None else [line.low, line.high]
        band = [smoothed(bound, self._smoothing) for bound in bounds]
        x, (y, *band), lost = self._placed(line.x, self._smoothed[line.key], *band)
        found.append((Drawn(x, y, colour, wide, line.dashed, faded, *band), lost))
        return found

    def _placed(self, x: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], int]:
        """Arrays in the coordinates of the view, those points left out that it has no place for, and how many these are."""
        there = np.ones(len(x), bool)
        if self._log_x:
            there &= x > 0
        if self._log_y:
            there &= values[0] > 0
        x, placed = x[there], [one[there] for one in values]
        if self._log_x:
            x = np.log10(x)
        if self._log_y and len(x):
            least = placed[0].min()
            placed = [np.log10(np.maximum(one, least) if at else one) for at, one in enumerate(placed)]
        return x, placed, int((~there).sum())

    def _fill_legend(self, lines: Sequence[Line]) -> None:
        named = [(line, line.name if line.legend is None else line.legend) for line in lines]
        wanted = [(name, line.colour, line.dashed) for line, name in named if name]
        if self._listed or wanted == self._in_legend:
            return
        references = self._shown_references()
        self.set_references([])
        self.legend.clear()
        self._in_legend = wanted
        for name, colour, dashed in wanted:
            style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
            self.legend.addItem(pg.PlotDataItem(pen=pg.mkPen(theme.curve_colour(colour), width=2, style=style)), escaped(name))
        self.set_references(references)

    # The pointer

    def _point(self, place: QPointF) -> None:
        if not self.plot.getViewBox().sceneBoundingRect().contains(place):
            self._leave()
            return
        self._hair.setVisible(bool(self._lines))
        at = self.plot.getViewBox().mapSceneToView(place)
        self._hair.setPos(at.x())
        x = self._x_of(at)
        self.pointed.emit(x)
        if self._listed:
            return
        found = self.values_at(x)
        if len(found) > READ_AT_ONCE:
            y = 10.0 ** at.y() if self._log_y else at.y()
            found = sorted(found, key=lambda one: abs(one[1] - y))[:READ_AT_ONCE]
        values = "   ".join(f"{name} {self.say(value)}" for name, value in found)
        self.readout.setText(f"{self._x_name} {x:.4g}:   {values}" if values else "")

    def _leave(self) -> None:
        self.left.emit()
        if not self._listed:
            self.let_go()

    def let_go(self) -> None:
        """Read the curves nowhere, until the pointer comes again."""
        self._hair.hide()
        self.readout.setText("")

    def _click(self, event: pg.GraphicsScene.mouseEvents.MouseClickEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if event.double():
            self.whole()
            return
        box = self.plot.getViewBox()
        if not self._listed or not box.sceneBoundingRect().contains(event.scenePos()):
            return
        at = box.mapSceneToView(event.scenePos())
        height = box.viewPixelSize()[1]
        away = {key: abs((self._y_in_view(value) - at.y()) / height) for key, value in self.readings(self._x_of(at)).items()}
        away = {key: pixels for key, pixels in away.items() if pixels <= NEAR}
        self.picked.emit(min(away, key=lambda key: away[key]) if away else None)

    def _x_of(self, place: QPointF) -> float:
        return 10.0 ** place.x() if self._log_x else place.x()

    def _y_in_view(self, value: float) -> float:
        if not self._log_y:
            return value
        return math.log10(value) if value > 0 else math.nan


def _nearest(x: np.ndarray, at: float) -> int:
    """The place of the value of ``x``, which never falls, nearest to ``at``."""
    place = int(np.clip(np.searchsorted(x, at), 0, len(x) - 1))
    if place and abs(x[place - 1] - at) <= abs(x[place] - at):
        place -= 1
    return place
