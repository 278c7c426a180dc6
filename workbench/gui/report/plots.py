"""Pictures of a report: how far confidence can be trusted, and accuracy class by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from workbench.analysis.report import BINS, Party
from workbench.gui import theme
from workbench.gui.forms import escaped, label

COLOURS = {"ensemble": 2, "baseline": 1, "student": 0, "corrected": 3, "alone": 5}
"""Which of the theme's curve colours a party has."""

WIDEST = 640
HINT = "Point at a bar to read it."


def colour_of(party: Party) -> str:
    """A party's colour in every picture of a report."""
    return theme.current().curves[COLOURS.get(party.key, 7)]


class StillPlot(pg.PlotWidget):  # type: ignore[misc]
    """A plot that is neither moved nor zoomed, so that the wheel scrolls the page it is on."""

    def __init__(self, name: str, height: int) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setMenuEnabled(False)
        self.setMouseEnabled(x=False, y=False)
        self.hideButtons()
        self.setFixedHeight(height)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Leave the wheel to the page."""
        event.ignore()

    def dress(self) -> None:
        """Take the colours of the theme."""
        colours = theme.current()
        self.setBackground(colours.base)
        for side in ("left", "bottom"):
            self.getAxis(side).enableAutoSIPrefix(False)
            self.getAxis(side).setPen(colours.line)
            self.getAxis(side).setTextPen(colours.text)

    def place_of(self, scene: QPointF) -> QPointF | None:
        """A place of the scene in the numbers of the axes, None beside them."""
        box = self.getViewBox()
        return box.mapSceneToView(scene) if box.sceneBoundingRect().contains(scene) else None


class ReliabilityPlot(StillPlot):
    """Accuracy against confidence by bins: of one party as bars with the gap to the diagonal, of several as lines."""

    def __init__(self, name: str = "Reliability", height: int = 250) -> None:
        super().__init__(name, height)
        self.setRange(xRange=(0, 1), yRange=(0, 1), padding=0.02)
        self.setLabel("bottom", "confidence")
        self.setLabel("left", "accuracy")
        self.parties: tuple[Party, ...] = ()
        self.legend = self.addLegend(offset=(8, 8), labelTextSize="8pt")

    def show_parties(self, parties: Sequence[Party]) -> None:
        """Show one party, or several over each other."""
        self.parties = tuple(one for one in parties if one.judged is not None)
        self.dress()

    def dress(self) -> None:
        """Draw anew in the colours of the theme."""
        super().dress()
        colours = theme.current()
        self.clear()
        self.legend.clear()
        self.legend.setLabelTextColor(colours.text)
        if len(self.parties) == 1:
            self._bars(self.parties[0])
        for party in self.parties if len(self.parties) > 1 else ():
            self._line(party)
        diagonal = pg.mkPen(colours.faint, style=Qt.PenStyle.DashLine)
        self.plot([0, 1], [0, 1], pen=diagonal)

    def _bars(self, party: Party) -> None:
        assert party.judged is not None
        bins, colours = party.judged.reliability, theme.current()
        there = np.flatnonzero(bins.count)
        middle, wide = (there + 0.5) / BINS, 0.92 / BINS
        strength = np.sqrt(bins.count[there] / max(1, bins.count.max()))
        brushes = [_pale(colour_of(party), 45 + 200 * float(one)) for one in strength]
        heights = bins.accuracy[there]
        self.addItem(pg.BarGraphItem(x=middle, height=heights, width=wide, brushes=brushes, pen=pg.mkPen(None)))
        gap = bins.confidence[there] - heights
        pen = pg.mkPen(colours.error)
        self.addItem(pg.BarGraphItem(x=middle, y0=heights, height=gap, width=wide, brush=_pale(colours.error, 40), pen=pen))
        self.setTitle(f"{escaped(party.name)}: ECE {bins.error:.3f}", color=colours.text, size="9pt")

    def _line(self, party: Party) -> None:
        assert party.judged is not None
        bins = party.judged.reliability
        there = np.flatnonzero(bins.count)
        colour = colour_of(party)
        name = f"{party.name}: ECE {bins.error:.3f}"
        sizes = 5 + 7 * np.sqrt(bins.count[there] / max(1, bins.count.max()))
        self.plot(bins.confidence[there], bins.accuracy[there], pen=pg.mkPen(colour), symbol="o", symbolSize=sizes,
                  symbolBrush=colour, symbolPen=None, name=escaped(name))  # fmt: skip

    def words_at(self, confidence: float) -> str:
        """The bin of a confidence in words, of each party."""
        place = min(BINS - 1, max(0, int(confidence * BINS)))
        parts = []
        for party in self.parties:
            assert party.judged is not None
            bins = party.judged.reliability
            count = int(bins.count[place])
            what = f"{bins.confidence[place]:.1%} sure, {bins.accuracy[place]:.1%} right" if count else "–"
            parts.append(f"{party.name}: {count:,} images, {what}" if count else f"{party.name}: no image")
        return f"Confidence {place / BINS:.0%} to {(place + 1) / BINS:.0%}.  " + ".  ".join(parts)


def _pale(name: str, alpha: float) -> QColor:
    colour = QColor(name)
    colour.setAlpha(round(alpha))
    return colour


class Calibration(QWidget):
    """A reliability diagram of each party side by side, or all over each other."""

    def __init__(self) -> None:
        super().__init__()
        self.plots: list[ReliabilityPlot] = []
        self._parties: tuple[Party, ...] = ()
        self.over = QCheckBox("Over each other")
        self.over.setToolTip("All in one diagram, as lines.")
        self.over.toggled.connect(lambda _: self._fill())
        self.readout = label(HINT, "faint", wrap=True)
        self.readout.setMinimumHeight(2 * self.readout.fontMetrics().height())
        self.readout.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._row = QHBoxLayout()
        self._row.addStretch(0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.over, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addLayout(self._row)
        layout.addWidget(self.readout)

    def show_parties(self, parties: Sequence[Party]) -> None:
        """Show the parties that are judged."""
        self._parties = tuple(parties)
        self._fill()

    def dress(self) -> None:
        """Take the colours of the theme."""
        for plot in self.plots:
            plot.dress()

    def _fill(self) -> None:
        groups = [self._parties] if self.over.isChecked() else [(party,) for party in self._parties]
        while len(self.plots) > len(groups):
            gone = self.plots.pop()
            self._row.removeWidget(gone)
            gone.hide()
            gone.deleteLater()
        while len(self.plots) < len(groups):
            made = ReliabilityPlot()
            made.setMaximumWidth(WIDEST)
            made.scene().sigMouseMoved.connect(lambda scene, plot=made: self._read(plot, scene))
            self.plots.append(made)
            self._row.insertWidget(len(self.plots) - 1, made, 1)
        for plot, group in zip(self.plots, groups, strict=True):
            plot.setTitle(None)
            plot.show_parties(group)
            plot.setAccessibleName(f"Reliability of {', '.join(one.name for one in group)}")

    def _read(self, plot: ReliabilityPlot, scene: QPointF) -> None:
        place = plot.place_of(scene)
        self.readout.setText(plot.words_at(place.x()) if place else HINT)


class ClassBars(QWidget):
    """Accuracy on each class of the parties beside each other."""

    def __init__(self, height: int = 250) -> None:
        super().__init__()
        self._parties: tuple[Party, ...] = ()
        self._classes: tuple[str, ...] = ()
        self.order = np.zeros(0, int)
        self.hardest = QCheckBox("Hardest first")
        self.hardest.setToolTip("Order the classes by the student's accuracy, or the last one's where there is no student.")
        self.hardest.toggled.connect(lambda _: self.dress())
        self.plot = StillPlot("Accuracy by class", height)
        self.plot.setLabel("left", "accuracy (%)")
        self.legend = self.plot.addLegend(offset=(8, 2), labelTextSize="8pt", colCount=5)
        self.plot.scene().sigMouseMoved.connect(self._read)
        self.readout = label(HINT, "faint", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.hardest, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.plot)
        layout.addWidget(self.readout)

    def show_parties(self, parties: Sequence[Party], classes: tuple[str, ...]) -> None:
        """Show the parties that are judged."""
        self._parties, self._classes = tuple(one for one in parties if one.judged is not None), classes
        self.dress()

    def dress(self) -> None:
        """Draw anew in the colours of the theme."""
        self.plot.dress()
        self.plot.clear()
        self.legend.clear()
        self.legend.setLabelTextColor(theme.current().text)
        self.order = np.arange(len(self._classes))
        if not self._parties or not self._classes:
            return
        shares = [one.judged.by_class for one in self._parties if one.judged is not None]
        chief = next((at for at, one in enumerate(self._parties) if one.key == "student"), -1)
        places = np.arange(len(self._classes))
        if self.hardest.isChecked():
            self.order = np.argsort(np.nan_to_num(shares[chief], nan=2.0), kind="stable")
        low = float(np.nanmin(shares)) if not np.isnan(shares).all() else 0.0
        floor = max(0.0, math.floor(low * 10 - 0.5) / 10) if low > 0.5 else 0.0
        wide = 0.84 / len(shares)
        for at, (party, share) in enumerate(zip(self._parties, shares, strict=True)):
            heights = 100 * (np.nan_to_num(share[self.order], nan=floor) - floor)
            x = places + (at - (len(shares) - 1) / 2) * wide
            bars = pg.BarGraphItem(
                x=x,
                y0=100 * floor,
                height=heights,
                width=0.9 * wide,
                brush=colour_of(party),
                pen=pg.mkPen(None),
                name=escaped(party.name),
            )
            self.plot.addItem(bars)
        top = 100 + 20 * (1 - floor)  # room for the legend
        self.plot.setRange(xRange=(-0.6, len(places) - 0.4), yRange=(100 * floor, top), padding=0)
        self._name_classes()
        begins = f"The axis begins at {floor:.0%}." if floor else ""
        self.plot.setTitle(begins, color=theme.current().faint, size="8pt")

    def _name_classes(self) -> None:
        """As many names below the bars as there is room for."""
        names = [self._classes[number] for number in self.order]
        longest = max((self.fontMetrics().horizontalAdvance(name) for name in names), default=0) + 8
        each = max(1, math.ceil(longest * len(names) / max(1, self.plot.width())))
        self.plot.getAxis("bottom").setTicks([[(float(at), names[at]) for at in range(0, len(names), each)]])

    def resizeEvent(self, event: Any) -> None:
        """Name the classes anew."""
        super().resizeEvent(event)
        self._name_classes()

    def words_at(self, place: int) -> str:
        """One class in words, of each party; ``place`` counts from the left."""
        number = int(self.order[place])
        parts = []
        for party in self._parties:
            assert party.judged is not None
            share = party.judged.by_class[number]
            parts.append(f"{party.name} {share:.1%}" if not np.isnan(share) else f"{party.name} –")
        first = self._parties[0].judged
        cases = int(first.confusion[number].sum()) if first is not None else 0
        return f"{self._classes[number]}, {cases:,} images:   {'   '.join(parts)}"

    def _read(self, scene: QPointF) -> None:
        place = self.plot.place_of(scene)
        at = round(place.x()) if place else -1
        self.readout.setText(self.words_at(at) if 0 <= at < len(self.order) else HINT)
