"""What everybody says of one image at T: a bar for each class, of each party.

The bars are items of a graphics scene: Qt paints those without the interpreter, for which a training that runs would wait. A
move of the pen or of T's slider sets lengths and pictures of texts alone.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetrics, QPainter, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGraphicsPixmapItem,
    QGraphicsRectItem,
    QGraphicsScene,
    QGraphicsSimpleTextItem,
    QGraphicsView,
)

from workbench.analysis.looking import Party, entropy
from workbench.gui import theme
from workbench.words import LEAST, SMALLEST, percent

IN_ORDER = 12
"""Up to so many classes stand in their own order, else the likeliest ones."""
LIKELIEST = 10
NARROWEST = 176
GAP = 22
HEAD = 38
ROW = 17
BAR = 12


@dataclass(frozen=True, slots=True)
class _Panel:
    """The items of one party: what it names first, its entropy, and of each class the bar and the probability beside it."""

    head: QGraphicsSimpleTextItem
    bits: QGraphicsPixmapItem
    bars: tuple[QGraphicsRectItem, ...]
    shares: tuple[QGraphicsPixmapItem, ...]


@dataclass(frozen=True, slots=True)
class _Arranged:
    """What the places of all items stand on; ``order`` are the classes from top to bottom, alike in all panels."""

    parties: int
    order: tuple[int, ...]
    label: int | None
    width: int


class Opinions(QGraphicsView):
    """The distributions (parties, classes) given to :meth:`show_opinions` as bars, as they are or logarithmically, with room to
    scroll where there are many parties."""

    def __init__(self) -> None:
        super().__init__()
        self._parties: tuple[Party, ...] = ()
        self._names: tuple[str, ...] = ()
        self._label: int | None = None
        self._said = np.zeros((0, 0))
        self._bits = np.zeros(0)
        self._logarithmic = False
        self._arranged = _Arranged(0, (), None, 0)
        self._panels: list[_Panel] = []
        self._wide, self._room = 0, 0.0
        scene = QGraphicsScene(self)
        scene.setItemIndexMethod(QGraphicsScene.ItemIndexMethod.NoIndex)
        self.setScene(scene)
        self.setInteractive(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.FullViewportUpdate)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.viewport().setAutoFillBackground(False)
        self.setAccessibleName("What everybody says")

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
        self._said, self._label, self._bits = said, label, entropy(said)
        self._show()

    def set_logarithmic(self, on: bool) -> None:
        """Show bars by the logarithm of the probability, in which small ones can be told apart."""
        self._logarithmic = on
        self._show()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self._arrange(self._wanted())
        self._show()

    def words(self) -> str:
        """All of it in words, for who cannot see it."""
        parts = [f"{self._head(place)}, {self._bits[place]:.2f} bits" for place in range(len(self._said))]
        return "; ".join(parts)

    def minimumSizeHint(self) -> QSize:
        """One panel's width."""
        return QSize(NARROWEST, HEAD + ROW)

    def sizeHint(self) -> QSize:
        """Two panels side by side."""
        return QSize(2 * NARROWEST + GAP, HEAD + LIKELIEST * ROW)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As many panels in a row as there is room for."""
        super().resizeEvent(event)
        self._show()

    def changeEvent(self, event: QEvent) -> None:
        """Write in the font that was chosen."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self.dress()

    def _wanted(self) -> _Arranged:
        return _Arranged(len(self._said), tuple(self._order()), self._label, self.viewport().width())

    def _order(self) -> list[int]:
        """With many classes the ensemble's likeliest, and the right one."""
        count = len(self._names)
        if count <= IN_ORDER or not len(self._said):
            return list(range(min(count, LIKELIEST + 1) if count > IN_ORDER else count))
        order: list[int] = np.argsort(-self._said[0], kind="stable")[:LIKELIEST].tolist()
        return order if self._label is None or self._label in order else [*order, self._label]

    def _head(self, place: int) -> str:
        named = int(self._said[place].argmax())
        mark = "" if self._label is None else " ✓" if named == self._label else " ✗"
        return f"{self._parties[place].name}: {self._names[named]}{mark}"

    # What stays where it is from one image to the next

    def _arrange(self, wanted: _Arranged) -> None:
        """Make all items anew: a panel for each party."""
        self._arranged = wanted
        self.scene().clear()
        columns = max(1, min(wanted.parties or 1, (wanted.width + GAP) // (NARROWEST + GAP)))
        wide = (wanted.width - (columns - 1) * GAP) // columns
        high = HEAD + ROW * len(wanted.order) + GAP // 2
        metrics = self.fontMetrics()
        names = [f"✓ {self._names[number]}" if number == wanted.label else self._names[number] for number in wanted.order]
        aside = min(int(wide * 0.4), max(map(metrics.horizontalAdvance, names), default=0) + 8)
        names = [metrics.elidedText(name, Qt.TextElideMode.ElideRight, aside - 4) for name in names]
        self._wide = wide
        self._room = max(20.0, wide - aside - metrics.horizontalAdvance(SMALLEST) - 4)
        self._panels = [
            self._panel(place % columns * (wide + GAP), place // columns * high, wide, self._parties[place].about, names, aside)
            for place in range(wanted.parties)
        ]
        self.setSceneRect(0, 0, wanted.width, -(-wanted.parties // columns) * high)

    def _panel(self, left: int, top: int, wide: int, about: str, names: list[str], aside: int) -> _Panel:
        colours, metrics = theme.current(), self.fontMetrics()
        after, lower = metrics.horizontalAdvance("0.00 bits, "), (ROW - metrics.height()) // 2
        self._text(metrics.elidedText(about, Qt.TextElideMode.ElideRight, wide - after), left + after, top + 17, colours.faint)
        bars, shares = [], []
        for row, (number, name) in enumerate(zip(self._arranged.order, names, strict=True)):
            y = top + HEAD + row * ROW
            self._text(name, left, y + lower, colours.text)
            colour = colours.good if number == self._arranged.label else colours.curves[0]
            bar = self.scene().addRect(QRectF(), QPen(Qt.PenStyle.NoPen), QBrush(QColor(colour)))
            bar.setPos(left + aside, y + 2)
            bars.append(bar)
            shares.append(self._picture(left + aside + 4, y + lower))
        head = self._text("", left, top, colours.text, self._bold())
        return _Panel(head, self._picture(left, top + 17), tuple(bars), tuple(shares))

    def _bold(self) -> QFont:
        font = self.font()
        font.setBold(True)
        return font

    def _text(self, text: str, left: int, top: int, colour: str, font: QFont | None = None) -> QGraphicsSimpleTextItem:
        item = self.scene().addSimpleText(text, font or self.font())
        item.setBrush(QColor(colour))
        item.setPos(left, top)
        return item

    def _picture(self, left: int, top: int) -> QGraphicsPixmapItem:
        item = self.scene().addPixmap(QPixmap())
        item.setPos(left, top)
        return item

    # What is said of an image

    def _show(self) -> None:
        if (wanted := self._wanted()) != self._arranged:
            self._arrange(wanted)
        colours, font, ratio = theme.current(), self.font().toString(), self.devicePixelRatioF()
        said = self._said[:, self._arranged.order] if self._panels else self._said
        lengths = np.fmax(1, np.rint(self._lengths(said) * self._room)).astype(int)
        bold, right = QFontMetrics(self._bold()), Qt.TextElideMode.ElideRight
        for place, (panel, shares, longs) in enumerate(zip(self._panels, said.tolist(), lengths.tolist(), strict=True)):
            head = bold.elidedText(self._head(place), right, self._wide)
            if panel.head.text() != head:
                panel.head.setText(head)
            panel.bits.setPixmap(_painted(f"{self._bits[place]:.2f} bits,", font, colours.faint, ratio))
            for bar, beside, share, long in zip(panel.bars, panel.shares, shares, longs, strict=True):
                bar.setRect(0, 0, long, BAR)
                beside.setPixmap(_painted(percent(share), font, colours.text, ratio))
                beside.setOffset(long, 0)

    def _lengths(self, shares: np.ndarray) -> np.ndarray:
        if not self._logarithmic:
            return shares
        lengths: np.ndarray = 1 - np.log10(np.maximum(shares, LEAST)) / math.log10(LEAST)
        return lengths


@functools.lru_cache(maxsize=4096)
def _painted(text: str, font: str, colour: str, ratio: float) -> QPixmap:
    """A text that comes again and again, as a picture."""
    used = QFont()
    used.fromString(font)
    metrics = QFontMetrics(used)
    picture = QPixmap(QSize(metrics.horizontalAdvance(text) + 2, metrics.height()) * ratio)
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setFont(used)
    painter.setPen(QColor(colour))
    painter.drawText(0, metrics.ascent(), text)
    painter.end()
    return picture
