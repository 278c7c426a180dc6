"""The lines of parallel coordinates: painted a slice at a time, so that ten thousand of them hold nothing up.

Opaque lines without antialiasing, a path a colour: transparent ones take ten times as long. They are painted in a random
order that never changes, so that what is seen at once is a fair sample and no group covers the others.
"""

from __future__ import annotations

import time

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QPen, QPixmap

SLICE = 300
BUDGET_SECONDS = 0.02


class Layer:
    """One picture of lines, and how many of them are painted."""

    def __init__(self) -> None:
        self.picture = QPixmap()
        self.runs = np.empty(0, int)
        self.done = 0

    def begin(self, size: QSize, ratio: float, runs: np.ndarray) -> None:
        """An empty picture on which these runs are to come."""
        self.picture = QPixmap(size * ratio)
        self.picture.setDevicePixelRatio(ratio)
        self.picture.fill(Qt.GlobalColor.transparent)
        self.runs, self.done = runs, 0


class Lines(QObject):
    """Paints runs as lines through ``x`` of shape (axes,) and ``y`` of shape (runs, axes), in pixels.

    Behind are all of them in one colour, where some are chosen; before it the chosen ones, each in its group's colour.
    """

    painted = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.behind, self.before = Layer(), Layer()
        self._x, self._y = np.empty(0), np.empty((0, 0))
        self._groups = np.empty(0, int)
        self._colours: list[QColor] = []
        self._faded = QColor()
        self._order = np.empty(0, int)
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._go_on)

    @property
    def ready(self) -> bool:
        """Whether every line is painted."""
        return all(layer.done >= len(layer.runs) for layer in (self.before, self.behind))

    def show(
        self,
        size: QSize,
        ratio: float,
        x: np.ndarray,
        y: np.ndarray,
        groups: np.ndarray,
        colours: list[QColor],
        faded: QColor,
    ) -> None:
        """Take lines; ``groups`` numbers each run's colour, the last of which is for -1. :meth:`choose` paints them."""
        if len(self._order) != len(y):
            self._order = np.random.default_rng(0).permutation(len(y))
        self._x, self._y, self._groups, self._colours, self._faded = x, y, groups, colours, faded
        self.behind.begin(size, ratio, np.empty(0, int))
        self.before.begin(size, ratio, np.empty(0, int))

    def choose(self, kept: np.ndarray, size: QSize, ratio: float) -> None:
        """Begin to paint, those kept in their colours; at once as many as the time allows."""
        all_kept = bool(kept.all())
        if not all_kept and len(self.behind.runs) != len(self._order):
            self.behind.begin(size, ratio, self._order)
        elif all_kept:
            self.behind.begin(size, ratio, np.empty(0, int))
        self.before.begin(size, ratio, self._order[kept[self._order]])
        self._go_on()
        if not self.ready:
            self._timer.start()

    def _go_on(self) -> None:
        end = time.perf_counter() + BUDGET_SECONDS
        for layer in (self.before, self.behind):
            while layer.done < len(layer.runs) and time.perf_counter() < end:
                runs = layer.runs[layer.done : layer.done + SLICE]
                self._paint(layer, runs)
                layer.done += len(runs)
        if self.ready:
            self._timer.stop()
        self.painted.emit()

    def _paint(self, layer: Layer, runs: np.ndarray) -> None:
        if len(self._x) < 2:
            return
        painter = QPainter(layer.picture)
        if layer is self.behind:
            self._path(painter, runs, self._faded)
        else:
            for group, colour in enumerate(self._colours):
                last = group == len(self._colours) - 1
                self._path(painter, runs[self._groups[runs] == (-1 if last else group)], colour)
        painter.end()

    def _path(self, painter: QPainter, runs: np.ndarray, colour: QColor) -> None:
        if not len(runs):
            return
        joined = np.ones((len(runs), len(self._x)), bool)
        joined[:, -1] = False
        path = pg.functions.arrayToQPath(np.tile(self._x, len(runs)), self._y[runs].ravel(), connect=joined.ravel())
        painter.setPen(QPen(colour, 0))
        painter.drawPath(path)
