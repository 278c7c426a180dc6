"""Plots as pictures at print size, PNG or SVG, and what they show as CSV.

A picture is 16 cm wide, on white with the light theme's colours whatever the window wears, its text as large in print as
on the screen, and its legend below the plot, where it hides no curve. pyqtgraph's own exporters keep the window's size
and colours, and their SVG loses the legend of several of our plots.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QBuffer, QIODevice, QProcess, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QAbstractItemView, QFileDialog, QMenu, QPushButton, QWidget

from workbench.errors import CannotWrite
from workbench.files import write_whole
from workbench.gui import theme
from workbench.gui.curve_plot import CurvePlot
from workbench.gui.exchange import file_stem, named
from workbench.gui.rasterising import SCREEN
from workbench.history.csv_out import Row, write_csv

WIDTH_CM = 16.0
DOTS_PER_INCH = 300
ASPECT = 0.62
MARGIN, SAMPLE, GAP = 6.0, 26.0, 14.0
BESIDE = 15
"""Pixels to the right of the axis, into which the last number of the horizontal one may reach."""
Table = tuple[Sequence[str], Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Plotted:
    """A plot to be saved: how it takes the colours of the theme, its title, its legend as names and pens, what it shows as a
    table, and what a file of it is called."""

    plot: pg.PlotWidget
    dress: Callable[[], None]
    title: Callable[[], str]
    legend: Callable[[], Sequence[tuple[str, QPen]]]
    values: Callable[[], Table]


def curves_of(curves: CurvePlot, title: Callable[[], str] | None = None) -> Plotted:
    """A plot of curves to be saved; its values are those of the curves drawn, one row a point."""

    def values() -> Table:
        rows = [(line.name, x, y) for line in curves.lines() for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True)]
        return ("curve", curves.axis_names()[0], curves.axis_names()[1]), rows

    return Plotted(curves.plot, curves.dress, title or curves.title, curves.samples, values)


def legend_of(plot: pg.PlotWidget) -> list[tuple[str, QPen]]:
    """The names and pens in a plot's own legend."""
    found = []
    for sample, text in plot.plotItem.legend.items if plot.plotItem.legend else ():
        opts = sample.item.opts
        found.append((html.unescape(text.text), pg.mkPen(opts.get("pen") or opts.get("symbolPen"))))
    return found


def svg(plotted: Plotted, factor: float = 1.0) -> bytes:
    """The plot 16 cm wide as SVG 1.1, its lines ``factor`` times as thick: they count pixels of whatever they are drawn on."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    with _for_print(plotted, factor) as (size, draw):
        generator = QSvgGenerator(QSvgGenerator.SvgVersion.Svg11)  # the older one knows no clipping
        generator.setOutputDevice(buffer)
        generator.setSize(size)
        generator.setViewBox(QRect(0, 0, size.width(), size.height()))
        generator.setResolution(SCREEN)
        generator.setTitle(plotted.title() or "plot")
        generator.setDescription("made by the distillation workbench")
        painter = QPainter(generator)
        painter.fillRect(0, 0, size.width(), size.height(), QColor("white"))
        draw(painter)
        painter.end()
    return bytes(buffer.data().data())


@contextmanager
def _for_print(plotted: Plotted, factor: float) -> Iterator[tuple[QSize, Callable[[QPainter], None]]]:
    """The size of the picture in a screen's pixels, and what draws it; the plot is as before once this is over.

    All of it happens between two paintings of the window, which sees nothing of it.
    """
    plot = plotted.plot
    with ExitStack() as stack:
        for side in ("left", "right"):
            stack.callback(_narrow_again, plot.getAxis(side), plot.getAxis(side).textWidth)
        stack.callback(plotted.dress)
        stack.enter_context(theme.worn(theme.LIGHT))
        stack.callback(plot.resize, plot.size())
        box = plot.getViewBox()
        across, up = box.autoRangeEnabled()
        stack.callback(box.enableAutoRange, x=across, y=up)
        box.disableAutoRange()  # the picture shows what the screen does
        plotted.dress()
        font = QFont(plot.font())
        font.setPointSizeF(9.0)
        width = round(WIDTH_CM / 2.54 * SCREEN)
        rows = _rows(plotted.legend(), QFontMetricsF(font), width)
        line = QFontMetricsF(font).height() + 3
        above = line + MARGIN if plotted.title() else 0.0
        size = QSize(width, round(width * ASPECT + above + len(rows) * line + MARGIN))
        inner = QSize(width - BESIDE, round(width * ASPECT))
        plot.resize(inner)
        _hide(plot, stack)
        _settle(plot)
        _thicken(plot, factor, stack)
        source = QRectF(plot.mapToScene(QRect(0, 0, width, inner.height())).boundingRect())

        def draw(painter: QPainter) -> None:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setFont(font)
            painter.setPen(QColor(theme.LIGHT.text))
            if plotted.title():
                painter.drawText(QRectF(0, 2, width, line), Qt.AlignmentFlag.AlignCenter, plotted.title())
            plot.scene().render(painter, QRectF(0, above, width, inner.height()), source)
            _draw_legend(painter, rows, above + inner.height() + MARGIN / 2, line)

        yield size, draw


def _settle(plot: pg.PlotWidget) -> None:
    """Let the axes find how much room their numbers take, which they do while they are drawn."""
    scratch = QImage(plot.width(), plot.height(), QImage.Format.Format_RGB32)
    for _ in range(2):
        plot.scene().prepareForPaint()
        painter = QPainter(scratch)
        plot.scene().render(painter)
        painter.end()
        plot.plotItem.layout.activate()


def _hide(plot: pg.PlotWidget, stack: ExitStack) -> None:
    """Leave out the legend, which is drawn below, and the cross-hair."""
    hair = [item for item in plot.plotItem.items if isinstance(item, pg.InfiniteLine) and item.angle == 90]
    for item in [*hair, *([plot.plotItem.legend] if plot.plotItem.legend else [])]:
        stack.callback(item.setVisible, item.isVisible())
        item.hide()


def _thicken(plot: pg.PlotWidget, factor: float, stack: ExitStack) -> None:
    """Pens count pixels of whatever they draw on: let them be as thick in print as on the screen."""

    def thick(pen: Any) -> QPen:
        wide = QPen(pg.mkPen(pen))
        wide.setWidthF(max(1.0, wide.widthF()) * factor)
        return wide

    for item in plot.scene().items():
        if isinstance(item, pg.GraphicsObject) and hasattr(item, "setExportMode"):
            stack.callback(item.setExportMode, False)
            symbols = isinstance(item, pg.ScatterPlotItem)  # which grow with the drawing, as pens do not
            item.setExportMode(True, {"antialias": True, "resolutionScale": 1.0 if symbols else factor})
        if isinstance(item, pg.InfiniteLine):
            stack.callback(item.setPen, QPen(item.pen))
            item.setPen(thick(item.pen))
        elif isinstance(item, pg.ErrorBarItem):
            stack.callback(item.setData, pen=item.opts["pen"])
            item.setData(pen=thick(item.opts["pen"]))
        elif isinstance(item, pg.PlotDataItem) and item.opts["pen"] is not None:
            stack.callback(item.setPen, item.opts["pen"])
            item.setPen(thick(item.opts["pen"]))
        elif isinstance(item, pg.AxisItem):
            item.setPen(thick(theme.LIGHT.faint))
            item.setTextPen(theme.LIGHT.text)
            stack.callback(item.setStyle, hideOverlappingLabels=item.style["hideOverlappingLabels"])
            item.setStyle(hideOverlappingLabels=False)


def _narrow_again(axis: pg.AxisItem, text_width: float) -> None:
    """An axis takes more room by itself where its numbers are longer, and little back."""
    axis.textWidth = text_width
    axis.setWidth(None)


def _rows(legend: Sequence[tuple[str, QPen]], metrics: QFontMetricsF, width: float) -> list[list[tuple[str, QPen, float]]]:
    """The legend's entries in as many rows as they need, each with its place; a name too long for a row is shortened."""
    rows: list[list[tuple[str, QPen, float]]] = []
    x = width
    for name, pen in legend:
        text = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, width - SAMPLE - 2 * GAP)
        needed = SAMPLE + metrics.horizontalAdvance(text) + GAP
        if x + needed > width:
            rows.append([])
            x = GAP
        rows[-1].append((text, pen, x))
        x += needed
    return rows


def _draw_legend(painter: QPainter, rows: Sequence[Sequence[tuple[str, QPen, float]]], top: float, line: float) -> None:
    for number, row in enumerate(rows):
        y = top + number * line
        for text, pen, x in row:
            sample = QPen(pen)
            sample.setCosmetic(False)
            sample.setWidthF(1.5)
            painter.setPen(sample)
            painter.drawLine(round(x), round(y + line / 2), round(x + SAMPLE - 6), round(y + line / 2))
            painter.setPen(QColor(theme.LIGHT.text))
            at = QRectF(x + SAMPLE, y, 4000, line)
            painter.drawText(at, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)


def table_of(view: QAbstractItemView) -> Table:
    """What a table shows, as it shows it."""
    model = view.model()
    columns, rows = range(model.columnCount()), range(model.rowCount())
    header = [str(model.headerData(column, Qt.Orientation.Horizontal) or "") for column in columns]
    return header, [[model.index(row, column).data() for column in columns] for row in rows]


def save_table(values: Callable[[], Table], name: str, parent: QWidget) -> str:
    """Ask for a file and save a table there as CSV; what is to be said, nothing where none was chosen."""
    chosen, _ = QFileDialog.getSaveFileName(parent, "Save", f"{file_stem(name, 'table')}.csv", "Table (*.csv)")
    return _written(chosen, ".csv", lambda path: write_csv(path, *values())) if chosen else ""


def _written(chosen: str, suffix: str, write: Callable[[Path], None]) -> str:
    try:
        target = named(chosen, suffix)
        write(target)
    except CannotWrite as error:
        return f"{error}."
    return f"Saved {target}."


_painting: set[QProcess] = set()


def painting() -> bool:
    """Whether a picture is under way, for which the window waits before it ends."""
    return bool(_painting)


def _forget(painter: QProcess) -> None:
    _painting.discard(painter)
    painter.deleteLater()


class SaveButton(QPushButton):
    """Offers to save a plot as a picture, or what it shows as a table; ``said`` tells how that went."""

    said = Signal(str)

    def __init__(self, plotted: Plotted) -> None:
        super().__init__()
        self.plotted = plotted
        self.setText("Save")
        self.setAccessibleName("Save the plot")
        self.setToolTip("Save what the plot shows, 16 cm wide on white: as a picture of 300 dots an inch, a drawing, or a table.")
        menu = QMenu(self)
        kinds = (("Picture (PNG)…", "png"), ("Drawing (SVG)…", "svg"), ("Values (CSV)…", "csv"))
        self.kinds = {kind: menu.addAction(text, partial(self.save, kind)) for text, kind in kinds}
        menu.aboutToShow.connect(self._look)
        self.setMenu(menu)

    def _look(self) -> None:
        """A plot that a table stands in for is no picture."""
        for kind in ("png", "svg"):
            self.kinds[kind].setEnabled(self.plotted.plot.isVisible())

    def save(self, kind: str) -> None:
        """Ask for a file and save the plot there; a picture is painted by :mod:`workbench.gui.rasterising`, one at a time."""
        suffixes = {"png": "Picture (*.png)", "svg": "Drawing (*.svg)", "csv": "Table (*.csv)"}
        stem = file_stem(self.plotted.title(), "plot")
        chosen, _ = QFileDialog.getSaveFileName(self, "Save", f"{stem}.{kind}", suffixes[kind])
        if not chosen:
            return
        if kind == "csv":
            self.said.emit(_written(chosen, ".csv", lambda path: write_csv(path, *self.plotted.values())))
        elif kind == "svg":
            self.said.emit(_written(chosen, ".svg", lambda path: write_whole(path, svg(self.plotted))))
        else:
            self._paint(chosen)

    def _paint(self, chosen: str) -> None:
        """Begin; the process outlives the button, so that what was asked for is saved."""
        try:
            target = named(chosen, ".png")
        except CannotWrite as error:
            self.said.emit(f"{error}.")
            return
        self.setEnabled(False)
        painter = QProcess()
        self._painter, self._target = painter, target
        _painting.add(painter)
        painter.finished.connect(lambda *_: _forget(painter))
        painter.errorOccurred.connect(lambda error: _forget(painter) if error == QProcess.ProcessError.FailedToStart else None)
        painter.finished.connect(self._painted)
        painter.errorOccurred.connect(self._not_started)
        painter.start(sys.executable, ["-P", "-m", "workbench.gui.rasterising", str(target), str(DOTS_PER_INCH)])
        painter.write(svg(self.plotted, DOTS_PER_INCH / SCREEN))
        painter.closeWriteChannel()

    def _painted(self) -> None:
        painter, target = self._painter, self._target
        words = bytes(painter.readAllStandardOutput().data()).decode(errors="replace").strip()
        wrong = bytes(painter.readAllStandardError().data()).decode(errors="replace").strip().splitlines()
        if painter.exitCode() or painter.exitStatus() != QProcess.ExitStatus.NormalExit:
            why = wrong[-1] if wrong else "the process that does it ended"
            words = f"{target} was not painted ({why}); try again, or save an SVG."
        self._over(words or f"Saved {target}.")

    def _not_started(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._over(f"The picture cannot be painted ({self._painter.errorString()}); save an SVG instead.")

    def _over(self, words: str) -> None:
        self.setEnabled(True)
        self.said.emit(words)


def offer_saving(curves: CurvePlot, said: Callable[[str], None]) -> SaveButton:
    """Put a button beside the title of a plot that saves it; ``said`` hears how that went."""
    button = SaveButton(curves_of(curves))
    button.said.connect(said)
    curves.add_beside_title(button)
    return button
