"""The table's view: folding by mouse and keys, bars and small curves in cells, and a selection that outlives new lines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from PySide6.QtCore import QItemSelection, QItemSelectionModel, QPersistentModelIndex, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from workbench.gui import theme
from workbench.gui.history.model import LINE_ROLE, HistoryModel, Index, Key
from workbench.history.fields import Field

ARROW_PIXELS = 22
AHEAD = 40
"""So many lines are read above and below those seen."""
SAMPLES = {
    "mean": "147.25 ± 10.35",
    "percent": "97.21% ± 0.31%",
    "count": "1,234,567",
    "duration": "12 min 30 s",
    "rate": "12,345/s",
}
TEXTS = {
    **{
        "name": 42 * "n",
        "curve": 10 * "n",
        "tag": 14 * "n",
        "experiment": 24 * "n",
        "status": "interrupted",
        "role": "generalist",
    },
    **{"model": "mlp 2×1200", "data": "emnist-balanced", "date": "26 Nov 19:41"},
    **{"run": "12,345", "T": "2.5…16", "w": "0…0.33"},
}
"""What columns have room for at first."""
BAR = 3


class _Delegate(QStyledItemDelegate):
    """Draws a bar below a share, and a small curve."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        drawn = index.data(LINE_ROLE)
        if drawn is None:
            return
        area = QRectF(option.rect).adjusted(4, 2, -4, -1)
        colour = QColor(theme.current().accent)
        painter.save()
        if isinstance(drawn, float):
            faint = QColor(colour)
            faint.setAlpha(50)
            bar = QRectF(area.left(), area.bottom() - BAR + 1, area.width(), BAR)
            painter.fillRect(bar, faint)
            bar.setWidth(max(1.0, bar.width() * drawn))
            painter.fillRect(bar, colour)
        else:
            painter.setPen(QPen(colour, 1))
            painter.drawPolyline(_polygon(drawn, area))
        painter.restore()


def _polygon(values: np.ndarray, area: QRectF) -> QPolygonF:
    low, high = float(values.min()), float(values.max())
    heights = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    across = np.linspace(area.left(), area.right(), max(len(values), 2))[: len(values)]
    return QPolygonF(
        [QPointF(x, area.bottom() - h * area.height()) for x, h in zip(across.tolist(), heights.tolist(), strict=True)]
    )


class HistoryTable(QTableView):
    """Shows a :class:`HistoryModel`; ``lines_seen`` tells which lines are on the screen, with some around them."""

    lines_seen = Signal(int, int)
    header_clicked = Signal(int, bool)
    columns_moved = Signal()

    def __init__(self, model: HistoryModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lines = model
        self.setModel(model)
        self.setItemDelegate(_Delegate(self))
        self.setAccessibleName("Runs")
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        header = self.horizontalHeader()
        header.setSectionsMovable(True)
        header.setFirstSectionMovable(False)
        header.setSectionsClickable(True)
        header.setHighlightSections(False)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.sectionClicked.connect(self._header_clicked)
        header.sectionMoved.connect(lambda *_: self.columns_moved.emit())
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.verticalScrollBar().valueChanged.connect(lambda _: self.look())

    def _header_clicked(self, section: int) -> None:
        self.header_clicked.emit(section, bool(QApplication.keyboardModifiers() & Qt.KeyboardModifier.ShiftModifier))

    def look(self) -> None:
        """Tell which lines are seen."""
        first, last = self.seen()
        self.lines_seen.emit(first - AHEAD, last + AHEAD)

    def seen(self) -> tuple[int, int]:
        """The first and the last line on the screen."""
        first = self.verticalScrollBar().value()  # in lines; a view that is not laid out yet knows no rows
        shown = self.viewport().height() // self.verticalHeader().defaultSectionSize()
        return first, min(first + shown, self.lines.rowCount() - 1)

    def fit(self, widths: dict[str, int]) -> None:
        """Give the columns these widths, and room for what they usually hold where none is known."""
        for place, one in enumerate(self.lines.columns):
            self.setColumnWidth(place, widths.get(one.name) or self._usual(one))

    def _usual(self, one: Field) -> int:
        advance = self.fontMetrics().horizontalAdvance
        form = "mean" if one.kind == "number" and one.measured and one.form in ("", "count") else one.form
        sample = TEXTS.get(one.name) or SAMPLES.get(form) or ("123.4" if one.kind == "number" else 10 * "n")
        return max(advance(sample), advance(f"{one.title} ↓1")) + 16

    def order(self) -> list[tuple[str, int]]:
        """The fields in the order in which they stand, with their widths."""
        header = self.horizontalHeader()
        places = sorted(range(len(self.lines.columns)), key=header.visualIndex)
        return [(self.lines.columns[place].name, self.columnWidth(place)) for place in places]

    # Selection

    def selected_lines(self) -> list[int]:
        """The selected lines, from the top."""
        ranges = self.selectionModel().selection().toList()
        return sorted({line for one in ranges for line in range(one.top(), one.bottom() + 1)})

    def selected_keys(self) -> set[Key]:
        """What is selected, as it is found again among other lines."""
        return {self.lines.keys[line] for line in self.selected_lines()}

    def select_lines(self, lines: Iterable[int]) -> None:
        """Select these lines and no others."""
        chosen, last = QItemSelection(), self.lines.columnCount() - 1
        wanted = sorted(lines)
        start = 0
        for place, line in enumerate(wanted):
            if place + 1 == len(wanted) or wanted[place + 1] != line + 1:
                chosen.select(self.lines.index(wanted[start], 0), self.lines.index(line, last))
                start = place + 1
        self.selectionModel().select(chosen, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    def select_keys(self, wanted: set[Key]) -> None:
        """Select again what :meth:`selected_keys` gave."""
        self.select_lines([line for line, key in enumerate(self.lines.keys) if key in wanted] if wanted else [])

    # Folding

    def fold(self, line: int, *, unfolded: bool) -> None:
        """Fold the group at a line, or unfold it."""
        self.lines.fold(line, unfolded=unfolded)
        self.look()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click on an arrow folds; any other selects."""
        index = self.indexAt(event.position().toPoint())
        on_arrow = index.isValid() and index.column() == 0 and event.position().x() - self.visualRect(index).left() < ARROW_PIXELS
        if on_arrow and self.lines.group_at(index.row()) is not None:
            self.fold(index.row(), unfolded=not self.lines.is_unfolded(index.row()))
            return
        super().mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Right unfolds, Left folds, or goes from a run to its group."""
        index = self.currentIndex()
        if index.isValid() and event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and not event.modifiers():
            self._fold_by_key(index, right=event.key() == Qt.Key.Key_Right)
            return
        super().keyPressEvent(event)

    def _fold_by_key(self, index: Index, *, right: bool) -> None:
        group = self.lines.group_at(index.row())
        if group is not None:
            kept = QPersistentModelIndex(index)
            self.fold(index.row(), unfolded=right)
            self.setCurrentIndex(self.lines.index(kept.row(), 0))
        elif not right:
            above = next((line for line in range(index.row(), -1, -1) if self.lines.group_at(line)), -1)
            if above >= 0:
                self.setCurrentIndex(self.lines.index(above, 0))

    def resizeEvent(self, event: Any) -> None:
        """More lines may be seen."""
        super().resizeEvent(event)
        self.look()
