"""A confusion matrix as a picture: which class was taken for which, in which the many right cases do not drown the others."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from workbench.gui import theme
from workbench.gui.cells import aside, paint_names, rgb, to_image
from workbench.gui.forms import plain_tooltip

MOST_NUMBERED = 12
"""Up to so many classes the cells have numbers in them."""
WIDEST = 560
CAPTION = 18
LEGEND = 38


class ConfusionMap(QWidget):
    """Paints how many cases of each right class (row) were taken for each class (column), (classes, classes) whole numbers, or
    the difference of two such matrices.

    Colours are those of the confusions, the diagonal is left plain. A click, or Return on the cell that the arrow keys
    have reached, emits ``cell_chosen`` with the numbers of the right and of the predicted class.
    """

    cell_chosen = Signal(int, int)
    across = "predicted class"

    def __init__(self) -> None:
        super().__init__()
        self._matrix = np.zeros((0, 0), int)
        self._names: tuple[str, ...] = ()
        self._than = ""
        self._image = QImage()
        self._pixels = np.zeros((0, 0, 3))
        self.chosen: tuple[int, int] | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMinimumSize(280, 280)
        self.setAccessibleName("Confusion matrix")

    def sizeHint(self) -> QSize:
        """Room for ten classes with numbers."""
        return QSize(480, 500)

    def heightForWidth(self, width: int) -> int:
        """A square, with its names and legend."""
        return min(width, WIDEST) + LEGEND

    @property
    def matrix(self) -> np.ndarray:
        """What is shown."""
        return self._matrix

    def show_matrix(self, matrix: np.ndarray, names: tuple[str, ...], than: str = "") -> None:
        """Show a confusion matrix; with ``than`` it is a difference, and says how many more than there."""
        self._matrix, self._names, self._than = matrix, names, than
        if self.chosen and max(self.chosen) >= len(names):
            self.chosen = None
        self.setAccessibleDescription(self._legend())
        self.dress()

    def forget_choice(self) -> None:
        """No cell is chosen any more."""
        self.chosen = None
        self.update()

    def dress(self) -> None:
        """Take the colours of the theme."""
        colours = theme.current()
        apart = self._matrix.astype(float)
        np.fill_diagonal(apart, 0)
        largest = np.abs(apart).max(initial=0) or 1.0
        share = (np.abs(apart) / largest)[..., None] ** 0.65  # so that a single case is seen beside many
        base, more, fewer = rgb(colours.base), rgb(colours.curves[1]), rgb(colours.curves[0])
        self._pixels = base + share * (np.where(apart[..., None] < 0, fewer, more) - base)
        self._pixels[np.eye(len(apart), dtype=bool)] = rgb(colours.raised)
        self._image = to_image(self._pixels)
        self.update()

    # What a cell says

    def words(self, right: int, predicted: int) -> str:
        """A cell in words."""
        names, count = self._names, int(self._matrix[right, predicted])
        what = f"{names[right]} taken for {names[predicted]}" if right != predicted else f"{names[right]} recognised"
        if self._than:
            how = f"{abs(count):,} {'more' if count > 0 else 'fewer'} than {self._than}" if count else f"as often as {self._than}"
            return f"{what}: {how}"
        cases = int(self._matrix[right].sum())
        return f"{what}: {count:,} of {cases:,} images" + (f" ({count / cases:.1%})" if cases else "")

    def cell_at(self, place: QPointF) -> tuple[int, int] | None:
        """The right and the predicted class of the cell at a place, None beside the picture."""
        if not self._names:
            return None
        area, cell = self._area()
        column, row = int((place.x() - area.left()) // cell), int((place.y() - area.top()) // cell)
        inside = 0 <= row < len(self._names) and 0 <= column < len(self._names)
        return (row, column) if inside else None

    def middle_of(self, right: int, predicted: int) -> QPointF:
        """Where a cell is."""
        area, cell = self._area()
        return QPointF(area.left() + (predicted + 0.5) * cell, area.top() + (right + 0.5) * cell)

    def event(self, event: object) -> bool:
        """Say the cell under the pointer."""
        if isinstance(event, QHelpEvent):
            cell = self.cell_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), plain_tooltip(self.words(*cell)) or "" if cell else "", self)
            return True
        return super().event(event)  # type: ignore[arg-type]

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the cell under the pointer."""
        cell = self.cell_at(event.position())
        if cell and event.button() == Qt.MouseButton.LeftButton:
            self._mark(*cell)
            self.cell_chosen.emit(*cell)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go from cell to cell by the arrow keys; Return and space choose."""
        steps = {Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0), Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1)}
        step = steps.get(Qt.Key(event.key()))
        last = len(self._names) - 1
        if step and last >= 0:
            row, column = self.chosen or (0, 0)
            moved = (row + step[0], column + step[1]) if self.chosen else (0, 0)
            self._mark(min(last, max(0, moved[0])), min(last, max(0, moved[1])))
        elif self.chosen and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.cell_chosen.emit(*self.chosen)
        else:
            super().keyPressEvent(event)

    def _mark(self, right: int, predicted: int) -> None:
        self.chosen = (right, predicted)
        self.setAccessibleDescription(self.words(right, predicted))
        self.update()

    # Painting

    def _area(self) -> tuple[QRectF, float]:
        """Where the cells are, and the side of one."""
        metrics = self.fontMetrics()
        left = aside(metrics, self._names) + CAPTION
        narrow = (self.width() - left - 4) / len(self._names)
        fits = all(metrics.horizontalAdvance(name) < narrow for name in self._names)
        top = CAPTION + (metrics.height() + 6 if fits else aside(metrics, self._names))
        side = max(40.0, min(self.width() - left - 4, self.height() - top - LEGEND))
        return QRectF(left, top, side, side), side / len(self._names)

    def paintEvent(self, _: QPaintEvent) -> None:
        """Cells, numbers where there is room, names, and below what the colours mean or what the chosen cell says."""
        if not self._names:
            return
        painter = QPainter(self)
        colours = theme.current()
        area, cell = self._area()
        painter.drawImage(area, self._image)
        self._paint_lines(painter, area, cell)
        if len(self._names) <= MOST_NUMBERED:
            self._paint_numbers(painter, area, cell)
        paint_names(painter, area, cell, self._names)
        self._paint_captions(painter, area)
        if self.chosen:
            right, predicted = self.chosen
            painter.setPen(QPen(QColor(colours.accent if self.hasFocus() else colours.text), 2))
            painter.drawRect(QRectF(area.left() + predicted * cell, area.top() + right * cell, cell, cell))
        painter.setPen(QColor(colours.text if self.chosen else colours.faint))
        room = QRectF(2, area.bottom() + 5, self.width() - 4, LEGEND - 6)
        below = self.words(*self.chosen) if self.chosen else self._legend()
        painter.drawText(room, Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap, below)
        painter.end()

    def _paint_lines(self, painter: QPainter, area: QRectF, cell: float) -> None:
        colours = theme.current()
        painter.setPen(QColor(colours.base))
        for at in range(1, len(self._names) if cell > 8 else 1):
            x, y = area.left() + at * cell, area.top() + at * cell
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        painter.setPen(QColor(colours.line))
        painter.drawRect(area)

    def _paint_numbers(self, painter: QPainter, area: QRectF, cell: float) -> None:
        colours = theme.current()
        font = painter.font()
        longest = max((self._number(count) for count in self._matrix.ravel()), key=len)
        while font.pointSizeF() > 5 and QFontMetricsF(font).horizontalAdvance(longest) > cell - 4:
            font.setPointSizeF(font.pointSizeF() - 0.5)
        painter.save()
        painter.setFont(font)
        dark, light = sorted((colours.text, colours.base), key=lambda name: rgb(name).sum())
        for (right, predicted), count in np.ndenumerate(self._matrix):
            if not count and (right != predicted or self._than):
                continue
            bright = float(self._pixels[right, predicted] @ (0.299, 0.587, 0.114)) > 140
            on_diagonal = colours.faint if right == predicted else dark if bright else light
            painter.setPen(QColor(on_diagonal))
            spot = QRectF(area.left() + predicted * cell, area.top() + right * cell, cell, cell)
            painter.drawText(spot, Qt.AlignmentFlag.AlignCenter, self._number(count))
        painter.restore()

    def _paint_captions(self, painter: QPainter, area: QRectF) -> None:
        painter.setPen(QColor(theme.current().faint))
        painter.drawText(QRectF(area.left(), 0, area.width(), CAPTION), Qt.AlignmentFlag.AlignHCenter, self.across)
        painter.save()
        painter.translate(CAPTION - 4, area.bottom())
        painter.rotate(-90)
        painter.drawText(QRectF(0, -CAPTION + 4, area.height(), CAPTION), Qt.AlignmentFlag.AlignHCenter, "right class")
        painter.restore()

    def _number(self, value: float) -> str:
        """What stands in a cell."""
        return f"{value:+,}".replace("-", "−") if self._than else f"{value:,}"

    def _legend(self) -> str:
        apart = self._matrix.copy()
        np.fill_diagonal(apart, 0)
        if not apart.any():
            return "No confusion at all." if not self._than else f"The same confusions as {self._than}."
        if self._than:
            return (
                f"Orange: taken for it more often than by {self._than}; blue: less often. The diagonal: more or fewer recognised."
            )
        right, predicted = np.unravel_index(int(apart.argmax()), apart.shape)
        most = self.words(int(right), int(predicted))
        return f"The stronger the colour, the more often; at most {most}. The diagonal, the right ones, is plain."
