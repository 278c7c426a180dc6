"""What everybody says of one image at T: a bar for each class, of each party."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QWidget

from workbench.analysis.looking import Party, entropy
from workbench.gui import theme

IN_ORDER = 12
"""Up to so many classes stand in their own order, else the likeliest ones."""
LIKELIEST = 10
NARROWEST = 176
GAP = 22
HEAD = 38
ROW = 17
FAINTEST = 1e-6
"""Where logarithmic bars begin."""


class OpinionBars(QWidget):
    """Paints the distributions (parties, classes) given to :meth:`show_opinions`, as they are or logarithmically."""

    def __init__(self) -> None:
        super().__init__()
        self._parties: tuple[Party, ...] = ()
        self._names: tuple[str, ...] = ()
        self._label: int | None = None
        self._said = np.zeros((0, 0))
        self._bits = np.zeros(0)
        self._logarithmic = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.setAccessibleName("Opinions")

    @property
    def said(self) -> np.ndarray:
        """The distributions shown, (parties, classes)."""
        return self._said

    @property
    def bits(self) -> np.ndarray:
        """Their entropies in bits, (parties,)."""
        return self._bits

    def begin(self, parties: tuple[Party, ...], names: tuple[str, ...]) -> None:
        """Show these parties' opinions of these classes from now on, none so far."""
        self._parties, self._names = parties, names
        self.clear()

    def clear(self) -> None:
        """Show nothing."""
        self.show_opinions(np.zeros((0, 0)), None)

    def show_opinions(self, said: np.ndarray, label: int | None) -> None:
        """Show the distributions (parties, classes) of an image, with its right class where that is known."""
        grown = len(said) != len(self._said)
        self._said, self._label, self._bits = said, label, entropy(said)
        if grown:
            self._fit()
        self.update()

    def set_logarithmic(self, on: bool) -> None:
        """Show bars by the logarithm of the probability, in which small ones can be told apart."""
        self._logarithmic = on
        self.update()

    def words(self) -> str:
        """All of it in words, for who cannot see it."""
        parts = [f"{self._head(place)}, {self._bits[place]:.2f} bits" for place in range(len(self._said))]
        return "; ".join(parts)

    def sizeHint(self) -> QSize:
        """Two panels side by side."""
        return QSize(2 * NARROWEST + GAP, self.minimumHeight())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As many panels in a row as there is room for."""
        super().resizeEvent(event)
        self._fit()

    def _columns(self) -> int:
        return max(1, min(len(self._said) or 1, (self.width() + GAP) // (NARROWEST + GAP)))

    def _fit(self) -> None:
        rows = -(-len(self._said) // self._columns())
        self.setMinimumHeight(rows * (self._panel_height() + GAP // 2))

    def _panel_height(self) -> int:
        return HEAD + ROW * len(self._order())

    def _order(self) -> list[int]:
        """The classes from top to bottom, alike in all panels: with many the ensemble's likeliest, and the right one."""
        count = len(self._names)
        if count <= IN_ORDER or not len(self._said):
            return list(range(min(count, LIKELIEST + 1) if count > IN_ORDER else count))
        order = np.argsort(-self._said[0], kind="stable")[:LIKELIEST].tolist()
        return order if self._label is None or self._label in order else [*order, self._label]

    def _head(self, place: int) -> str:
        named = int(self._said[place].argmax())
        mark = "" if self._label is None else " ✓" if named == self._label else " ✗"
        return f"{self._parties[place].name}: {self._names[named]}{mark}"

    def paintEvent(self, _: QPaintEvent) -> None:
        """A panel for each party."""
        if not len(self._said):
            return
        painter = QPainter(self)
        columns, order = self._columns(), self._order()
        wide = (self.width() - (columns - 1) * GAP) / columns
        high = self._panel_height() + GAP // 2
        names, aside = self._names_beside(painter.fontMetrics(), order, int(wide * 0.4))
        for place in range(len(self._said)):
            at = QRectF(place % columns * (wide + GAP), place // columns * high, wide, high)
            self._paint_head(painter, at, place)
            self._paint_bars(painter, at, place, order, names, aside)
        painter.end()

    def _names_beside(self, metrics: QFontMetrics, order: list[int], most: int) -> tuple[list[str], int]:
        """The classes' names beside the bars, no longer than there is room for, and the pixels they take."""
        names = [f"✓ {self._names[number]}" if number == self._label else self._names[number] for number in order]
        wide = [metrics.horizontalAdvance(name) for name in names]
        aside = min(most, max(wide) + 8)
        elided = (metrics.elidedText(name, Qt.TextElideMode.ElideRight, aside - 4) for name in names)
        return (list(elided) if max(wide) > aside - 4 else names), aside

    def _paint_head(self, painter: QPainter, at: QRectF, place: int) -> None:
        colours, font = theme.current(), self.font()
        metrics, right = painter.fontMetrics(), Qt.TextElideMode.ElideRight
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(QColor(colours.text))
        head = QFontMetrics(font).elidedText(self._head(place), right, int(at.width()))
        painter.drawText(QRectF(at.left(), at.top(), at.width(), 18), Qt.AlignmentFlag.AlignVCenter, head)
        painter.setFont(self.font())
        painter.setPen(QColor(colours.faint))
        about = metrics.elidedText(f"{self._bits[place]:.3f} bits, {self._parties[place].about}", right, int(at.width()))
        painter.drawText(QRectF(at.left(), at.top() + 17, at.width(), 18), Qt.AlignmentFlag.AlignVCenter, about)

    def _paint_bars(self, painter: QPainter, at: QRectF, place: int, order: list[int], names: list[str], aside: int) -> None:
        colours = theme.current()
        room = max(20.0, at.width() - aside - painter.fontMetrics().horizontalAdvance("100.00%") - 4)
        painter.setPen(QColor(colours.text))
        good, other = QColor(colours.good), QColor(colours.curves[0])
        for row, (number, name) in enumerate(zip(order, names, strict=True)):
            y, share = at.top() + HEAD + row * ROW, float(self._said[place, number])
            painter.drawText(QRectF(at.left(), y, aside, ROW), Qt.AlignmentFlag.AlignVCenter, name)
            bar = QRectF(at.left() + aside, y + 2.5, max(1.0, self._length(share) * room), ROW - 5)
            painter.fillRect(bar, good if number == self._label else other)
            painter.drawText(QRectF(bar.right() + 4, y, 70, ROW), Qt.AlignmentFlag.AlignVCenter, written(share))

    def _length(self, share: float) -> float:
        if not self._logarithmic:
            return share
        return max(0.0, 1 - math.log10(max(share, FAINTEST)) / math.log10(FAINTEST))


def written(share: float) -> str:
    """A probability as it stands beside its bar."""
    return f"{share:.1%}" if share >= 0.0005 else f"{share:.0e}"


class Opinions(QScrollArea):
    """The bars, with room to scroll where there are many parties."""

    def __init__(self) -> None:
        super().__init__()
        self.bars = OpinionBars()
        self.setWidget(self.bars)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("What everybody says")
