"""Choosing fields: the table's columns with their order, or one field to group by."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from workbench.gui.forms import label, plain_tooltip
from workbench.history.fields import Field


def _item(one: Field) -> QListWidgetItem:
    made = QListWidgetItem(one.title if one.title == one.name else f"{one.title}   ·   {one.name}")
    made.setToolTip(plain_tooltip(f"{one.group}: {one.help}") or "")
    made.setData(Qt.ItemDataRole.UserRole, one.name)
    return made


class FieldList(QWidget):
    """All fields with a line to find some of them by."""

    def __init__(self, fields: Sequence[Field]) -> None:
        super().__init__()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Find a field…")
        self.search.setClearButtonEnabled(True)
        self.list = QListWidget()
        self.list.setAccessibleName("Fields")
        for one in fields:
            self.list.addItem(_item(one))
        self.search.textChanged.connect(self._find)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.search)
        layout.addWidget(self.list)

    def _find(self, text: str) -> None:
        for place in range(self.list.count()):
            item = self.list.item(place)
            item.setHidden(text.lower() not in f"{item.text()} {item.toolTip()}".lower())

    def chosen(self) -> list[str]:
        """The names of the selected fields."""
        return [item.data(Qt.ItemDataRole.UserRole) for item in self.list.selectedItems() if not item.isHidden()]


class ColumnsDialog(QDialog):
    """What the table shows: fields on the left go into it, on the right they are dragged into their order."""

    def __init__(
        self, fields: Sequence[Field], shown: Sequence[str], usual: Sequence[str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Columns")
        self._fields, self._usual = {one.name: one for one in fields}, usual
        self.all = FieldList(fields)
        self.all.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.shown = QListWidget()
        self.shown.setAccessibleName("Columns shown")
        self.shown.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.shown.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self._fill(shown)
        self.add, self.remove, usually = QPushButton("Show →"), QPushButton("← Hide"), QPushButton("As at first")
        self.add.clicked.connect(self._add)
        self.remove.clicked.connect(self._remove)
        usually.clicked.connect(lambda: self._fill(self._usual))
        self.all.list.itemDoubleClicked.connect(lambda _: self._add())
        self.shown.itemDoubleClicked.connect(lambda _: self._remove())
        between = QVBoxLayout()
        between.addStretch(1)
        for button in (self.add, self.remove, usually):
            between.addWidget(button)
        between.addStretch(1)
        right = QVBoxLayout()
        right.addWidget(label("Shown, after the name; drag them into order"))
        right.addWidget(self.shown)
        columns = QHBoxLayout()
        columns.addWidget(self.all, 3)
        columns.addLayout(between)
        columns.addLayout(right, 2)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(columns)
        layout.addWidget(buttons)
        self.resize(720, 480)

    def _fill(self, names: Sequence[str]) -> None:
        self.shown.clear()
        for name in names:
            if name in self._fields:
                self.shown.addItem(_item(self._fields[name]))

    def _add(self) -> None:
        there = self.names()
        for name in self.all.chosen():
            if name not in there:
                self.shown.addItem(_item(self._fields[name]))

    def _remove(self) -> None:
        for item in self.shown.selectedItems():
            self.shown.takeItem(self.shown.row(item))

    def names(self) -> list[str]:
        """The fields to show, in their order."""
        return [self.shown.item(place).data(Qt.ItemDataRole.UserRole) for place in range(self.shown.count())]


class OneFieldDialog(QDialog):
    """One field, to group by."""

    def __init__(self, fields: Sequence[Field], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Group by")
        self.all = FieldList(fields)
        self.all.list.itemDoubleClicked.connect(lambda _: self.accept())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.all)
        layout.addWidget(buttons)
        self.resize(420, 480)

    def name(self) -> str:
        """The chosen field, or an empty text."""
        return next(iter(self.all.chosen()), "")
