"""What was deleted: take it back, or empty the bin for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from workbench.gui.files_dialogs import megabytes
from workbench.gui.forms import label, plain_tooltip
from workbench.history import changes
from workbench.history.emptying import Binned, Emptied, empty_bin, read_bin, would_empty
from workbench.words import many

Ask = Callable[[Any, Callable[[Any], None]], None]


class BinDialog(QDialog):
    """Deleted experiments and runs; asks and changes through the callables it is given."""

    def __init__(self, history: Path, ask: Ask, change: Ask, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Bin")
        self._history, self._ask, self._change = history, ask, change
        self.changed = False
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Deleted experiments and runs")
        self.tree.setHeaderLabels(["Deleted", "When", "Files"])
        self.tree.headerItem().setTextAlignment(2, Qt.AlignmentFlag.AlignRight)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.itemSelectionChanged.connect(self._selected)
        self.total = label("Looking…", "faint", wrap=True)
        self.back = QPushButton("Take back")
        self.back.setToolTip("Put the selected runs and experiments into the history again.")
        self.back.clicked.connect(self._take_back)
        self.empty = QPushButton("Empty the bin…")
        self.empty.setToolTip("Remove everything in the bin for good, with its files.")
        self.empty.clicked.connect(lambda: ask_to_empty(self, self._ask, self._empty))
        close = QPushButton("Close")
        close.setDefault(True)
        close.clicked.connect(self.accept)
        row = QHBoxLayout()
        row.addWidget(self.back)
        row.addWidget(self.empty)
        row.addStretch(1)
        row.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.total)
        layout.addLayout(row)
        self.resize(620, 400)
        self._show([])
        self._reload()

    def _reload(self) -> None:
        self._ask(read_bin, self._show)

    def _show(self, found: Sequence[Binned]) -> None:
        self.tree.clear()
        tops: dict[int, QTreeWidgetItem] = {}
        for one in found:
            if one.experiment not in tops:
                whole = one.run == 0
                title = f"{one.name} #{one.experiment}" + ("" if whole else ": some of its runs")
                tops[one.experiment] = self._item(title, one.deleted if whole else "", 0, one if whole else None)
                self.tree.addTopLevelItem(tops[one.experiment])
            if one.run:
                item = self._item(f"run {one.run}: {one.words}", one.deleted, one.size, one)
                tops[one.experiment].addChild(item)
        self.tree.expandAll()
        for column in range(3):
            self.tree.resizeColumnToContents(column)
        runs = sum(one.run > 0 for one in found)
        size = megabytes(sum(one.size for one in found))
        hint = "Nothing is in the bin. What you delete in the history waits here until the bin is emptied."
        self.total.setText(f"{many(runs, 'run')}, {size} of files." if found else hint)
        self.empty.setEnabled(bool(found))
        self._selected()

    def _item(self, text: str, deleted: str, size: int, binned: Binned | None) -> QTreeWidgetItem:
        when = datetime.fromisoformat(deleted).astimezone().strftime("%d %b %Y %H:%M") if deleted else ""
        item = QTreeWidgetItem([text, when, megabytes(size) if size else ""])
        item.setTextAlignment(2, Qt.AlignmentFlag.AlignRight)
        item.setToolTip(0, plain_tooltip(text) or "")
        item.setData(0, Qt.ItemDataRole.UserRole, binned)
        return item

    def _selected(self) -> None:
        self.back.setEnabled(bool(self.tree.selectedItems()))

    def _take_back(self) -> None:
        """An experiment comes back with its runs, a run with its experiment."""
        chosen: list[Binned] = []
        for item in self.tree.selectedItems():
            above = item.parent() or item
            inside = [above.child(place) for place in range(above.childCount())] if above is item else [item]
            chosen += [data for one in (above, *inside) if (data := one.data(0, Qt.ItemDataRole.UserRole)) is not None]
        runs = sorted({one.run for one in chosen if one.run})
        experiments = sorted({one.experiment for one in chosen})
        self.changed = True
        self._change(lambda database: changes.take_back(database, runs, experiments), lambda _: self._reload())

    def _empty(self) -> None:
        self.changed = True
        self.total.setText("Emptying…")
        self.empty.setEnabled(False)
        self._change(lambda database: empty_bin(database, self._history), lambda _: self._reload())


def ask_to_empty(parent: QWidget, ask: Ask, agreed: Callable[[], None]) -> None:
    """Say what emptying the bin takes, which cannot be undone, and ask; ``agreed`` is called where the person wants it."""

    def confirm(found: Emptied) -> None:
        box = QMessageBox(parent)
        box.setWindowTitle("Empty the bin")
        box.setTextFormat(Qt.TextFormat.PlainText)
        if found.nothing:
            box.setText("There is nothing in the bin that could go now.")
            box.setInformativeText("A run under way learns from what is left; it can go after that run's end." * bool(found.kept))
            box.exec()
            return
        box.setText("Empty the bin? This cannot be undone.")
        box.setInformativeText(found.words())
        empty = box.addButton("Empty the bin", QMessageBox.ButtonRole.DestructiveRole)
        keep = box.addButton("Keep it", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.exec()
        if box.clickedButton() is empty:
            agreed()

    ask(would_empty, confirm)
