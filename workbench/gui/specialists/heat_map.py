"""How classes go together, as a picture: a square for each pair, subsets along the diagonal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from workbench.gui import theme
from workbench.gui.cells import aside, paint_names, rgb, to_image
from workbench.gui.forms import plain_tooltip
from workbench.words import capital

LEGEND = 34


def ordered(subsets: Sequence[Sequence[int]], classes: int) -> list[int]:
    """All classes, those of a subset together, those in none last."""
    found = list(dict.fromkeys(number for subset in subsets for number in sorted(subset)))
    return found + [number for number in range(classes) if number not in set(found)]


class HeatMap(QWidget):
    """Paints a (classes, classes) matrix; the diagonal, a class with itself, is left out."""

    def __init__(self) -> None:
        super().__init__()
        self._matrix = np.zeros((0, 0))
        self._names: tuple[str, ...] = ()
        self._subsets: list[list[int]] = []
        self._order: list[int] = []
        self._image = QImage()
        self._what = ""
        self._largest = 1.0
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(260, 260)
        self.setAccessibleName("Heat map of classes")

    def sizeHint(self) -> QSize:
        """Room for about fifty classes."""
        return QSize(460, 460)

    @property
    def order(self) -> list[int]:
        """The classes from left to right."""
        return list(self._order)

    def show_matrix(self, matrix: np.ndarray, names: tuple[str, ...], subsets: Sequence[Sequence[int]], what: str) -> None:
        """Show a matrix with its classes ordered by subset; ``what`` says what its numbers are."""
        self._matrix, self._names, self._what = matrix, names, what
        self._subsets = [sorted(subset) for subset in subsets]
        self._order = ordered(self._subsets, len(names))
        self.dress()

    def clear(self) -> None:
        """Show nothing."""
        self.show_matrix(np.zeros((0, 0)), (), [], "")

    def dress(self) -> None:
        """Take the colours of the theme."""
        shown = self._matrix[np.ix_(self._order, self._order)].astype(float) - self._middle()
        np.fill_diagonal(shown, np.nan)
        self._largest = float(np.nanmax(np.abs(shown))) if shown.size > 1 and np.nanmax(np.abs(shown)) else 1.0
        share = (np.abs(np.nan_to_num(shown)) / self._largest)[..., None] ** 0.75  # so that small ones are seen too
        colours = theme.current()
        base, high, low, own = (rgb(name) for name in (colours.base, colours.curves[0], colours.curves[1], colours.raised))
        pixels = base + share * (np.where(np.nan_to_num(shown)[..., None] < 0, low, high) - base)
        pixels[np.isnan(shown)] = own
        self._image = to_image(pixels)
        self.update()

    def event(self, event: object) -> bool:
        """Say the two classes under the pointer and their number."""
        if isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), plain_tooltip(self.words_at(QPointF(event.pos()))) or "", self)
            return True
        return super().event(event)  # type: ignore[arg-type]

    def words_at(self, place: QPointF) -> str:
        """What a square says, empty beside the picture."""
        if not self._order:
            return ""
        area, cell = self._area()
        column, row = int((place.x() - area.left()) // cell), int((place.y() - area.top()) // cell)
        if not (0 <= row < len(self._order) and 0 <= column < len(self._order)):
            return ""
        one, other = self._order[row], self._order[column]
        if one == other:
            return self._names[one]
        return f"{self._names[one]} and {self._names[other]}: {self._what} {self._matrix[one, other]:.3g}"

    def _area(self) -> tuple[QRectF, float]:
        """Where the squares are, and the side of one."""
        room = aside(self.fontMetrics(), self._names)
        side = max(40.0, min(self.width() - room - 4, self.height() - room - LEGEND))
        return QRectF(room, room, side, side), side / len(self._order)

    def paintEvent(self, _: QPaintEvent) -> None:
        """Squares, names at the left and above, and a frame round each subset that is together."""
        if not self._order:
            return
        painter = QPainter(self)
        colours = theme.current()
        area, cell = self._area()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(area, self._image)
        painter.setPen(QColor(colours.line))
        painter.drawRect(area)
        self._paint_frames(painter, area, cell)
        paint_names(painter, area, cell, [self._names[number] for number in self._order])
        self._paint_legend(painter, area)
        painter.end()

    def _paint_frames(self, painter: QPainter, area: QRectF, cell: float) -> None:
        painter.setPen(QPen(QColor(theme.current().text), 1))
        place = {number: at for at, number in enumerate(self._order)}
        for subset in self._subsets:
            spots = sorted(place[number] for number in subset)
            if spots and spots[-1] - spots[0] == len(spots) - 1:
                at, side = spots[0] * cell, len(spots) * cell
                painter.drawRect(QRectF(area.left() + at, area.top() + at, side, side))

    def _apart(self) -> np.ndarray:
        """The numbers of different classes."""
        return self._matrix[~np.eye(len(self._matrix), dtype=bool)]

    def _middle(self) -> float:
        """Their median: predictions of different classes go against each other, since they sum to 1, all in all."""
        return float(np.median(self._apart())) if len(self._matrix) > 1 else 0.0

    def _paint_legend(self, painter: QPainter, area: QRectF) -> None:
        painter.setPen(QColor(theme.current().faint))
        apart = self._apart()
        low, middle, high = (float(apart.min()), self._middle(), float(apart.max())) if apart.size else (0.0, 0.0, 0.0)
        words = f"{capital(self._what)}: blue above the median, {middle:.2g}, up to {high:.2g}"
        words += f"; orange below it, down to {low:.2g}" if low < middle else ""
        room = QRectF(2, area.bottom() + 4, self.width() - 4, LEGEND - 6)
        painter.drawText(room, Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap, words)
