"""The list beside the curves: what each is, and its value under the pointer; the one pointed at comes to the front."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QEvent, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QVBoxLayout, QWidget

from workbench.gui.compare.found import Shown
from workbench.gui.compare.swatch import HEIGHT, WIDTH, swatch
from workbench.gui.forms import label, plain_tooltip

Index = QModelIndex | QPersistentModelIndex
WIDEST_VALUE = "0.0000e-00"


class _Values(QAbstractTableModel):
    """Curves with their values, greatest first; those without a value come last."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Shown] = []
        self._texts: dict[Hashable, str] = {}

    def fill(self, shown: Sequence[Shown], values: Mapping[Hashable, float], texts: Mapping[Hashable, str]) -> None:
        """Show these, in the order of their values."""

        def rank(one: Shown) -> tuple[bool, float]:
            value = values.get(one.key, math.nan)
            return math.isnan(value), 0.0 if math.isnan(value) else -value

        if {one.key for one in shown} != {one.key for one in self.shown}:
            self.beginResetModel()
            self.shown, self._texts = sorted(shown, key=rank), dict(texts)
            self.endResetModel()
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        keys = [self.shown[index.row()].key for index in before]
        self.shown, self._texts = sorted(shown, key=rank), dict(texts)
        place = {one.key: row for row, one in enumerate(self.shown)}
        after = [self.index(place[key], index.column()) for key, index in zip(keys, before, strict=True)]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Curves."""
        return 0 if parent.isValid() else len(self.shown)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Name and value."""
        return 0 if parent.isValid() else 2

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A name with its swatch, or a value."""
        one = self.shown[index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return one.title if index.column() == 0 else self._texts.get(one.key, "–")
            case Qt.ItemDataRole.DecorationRole if index.column() == 0:
                return swatch(one.number)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(one.about)
            case Qt.ItemDataRole.TextAlignmentRole if index.column() == 1:
                return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


class CurveList(QWidget):
    """``highlighted`` is the key of the curve that is to be in front, None for none: the one under the mouse, else the one
    chosen by a click or with the keyboard; a second click or Esc lets it go. ``left`` says that the mouse is elsewhere."""

    highlighted = Signal(object)
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._pinned: Hashable | None = None
        self.where = label("", "faint")
        self.values = _Values()
        self.view = QTableView()
        self.view.setModel(self.values)
        self.view.setAccessibleName("Curves and their values at the pointer")
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setShowGrid(False)
        self.view.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.view.setWordWrap(False)
        self.view.setIconSize(swatch(0).size())
        self.view.setMouseTracking(True)
        self.view.setTabKeyNavigation(False)
        self.view.horizontalHeader().hide()
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(max(HEIGHT, self.view.fontMetrics().height()) + 5)
        self.view.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.view.setColumnWidth(1, self.view.fontMetrics().horizontalAdvance(WIDEST_VALUE))
        self.view.entered.connect(lambda index: self.highlighted.emit(self.values.shown[index.row()].key))
        self.view.pressed.connect(lambda index: self._choose(self.values.shown[index.row()].key))
        self.view.viewport().installEventFilter(self)
        self.view.installEventFilter(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.where)
        layout.addWidget(self.view, 1)
        self.setMinimumWidth(6 * WIDTH + self.view.columnWidth(1))

    def fill(self, shown: Sequence[Shown], values: Mapping[Hashable, float], texts: Mapping[Hashable, str], where: str) -> None:
        """Show these curves with their values, and in words where they are read."""
        self.values.fill(shown, values, texts)
        self.where.setText(where)
        if self._pinned is not None and all(one.key != self._pinned for one in shown):
            self.pin(None)

    def pin(self, key: Hashable | None) -> None:
        """Keep a curve in front, or none."""
        self._pinned = key
        row = next((row for row, one in enumerate(self.values.shown) if one.key == key), None)
        if row is None:
            self.view.clearSelection()
            self.view.setCurrentIndex(QModelIndex())
        else:
            self.view.selectRow(row)
        self.highlighted.emit(key)

    def _choose(self, key: Hashable) -> None:
        self.pin(None if key == self._pinned else key)

    def eventFilter(self, watched: Any, event: QEvent) -> bool:
        """Let go of what the mouse has left, and follow the arrow keys."""
        if event.type() == QEvent.Type.Leave and watched is self.view.viewport():
            self.highlighted.emit(self._pinned)
        if watched is self.view and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.pin(None)
                return True
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()))
            if step and self.values.shown:
                row = self.view.currentIndex().row() + step if self.view.currentIndex().isValid() else 0
                self.pin(self.values.shown[max(0, min(len(self.values.shown) - 1, row))].key)
                return True
        return False

    def leaveEvent(self, event: QEvent) -> None:
        """The mouse has left the list."""
        super().leaveEvent(event)
        self.left.emit()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.view.viewport().update()
