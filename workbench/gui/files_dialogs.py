"""Backups that can be restored, and what the files beside the history take of the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from workbench.gui.forms import label
from workbench.history import doctor
from workbench.history.backups import Backup
from workbench.history.doctor import Usage

KINDS = {
    "weights": "weights of runs",
    "state": "last checkpoints, to go on from",
    "best": "best checkpoints, to go on from",
    "backup": "backups of the history",
    "unused": "files that nothing refers to",
}
SHOWN = 200


def megabytes(size: int) -> str:
    """A size as a person reads it."""
    return f"{size / 1e6:,.1f} MB"


class RestoreDialog(QDialog):
    """Which backup should take the history's place."""

    def __init__(self, backups: list[Backup], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Restore a backup")
        self._backups = backups
        self.list = QTreeWidget()
        self.list.setAccessibleName("Backups")
        self.list.setHeaderLabels(["Made", "Why", "Size"])
        self.list.setRootIsDecorated(False)
        for backup in backups:
            made = backup.made.astimezone().strftime("%d %b %Y %H:%M")
            item = QTreeWidgetItem([made, backup.reason.replace("-", " "), megabytes(backup.size)])
            item.setToolTip(0, str(backup.path))
            self.list.addTopLevelItem(item)
        self.list.resizeColumnToContents(0)
        if first := self.list.topLevelItem(0):
            self.list.setCurrentItem(first)
        words = (
            "The history as it is now is kept as a backup too. Checkpoints are not touched."
            if backups
            else "There is no backup yet: one is made each day that the workbench is opened, and before each migration."
        )
        box = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        box.button(QDialogButtonBox.StandardButton.Ok).setText("Restore")
        box.button(QDialogButtonBox.StandardButton.Ok).setEnabled(bool(backups))
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.list, 1)
        layout.addWidget(label(words, "faint", wrap=True))
        layout.addWidget(box)
        self.resize(520, 320)

    def chosen(self) -> Path | None:
        """The backup chosen."""
        item = self.list.currentItem()
        return self._backups[self.list.indexOfTopLevelItem(item)].path if item is not None else None


class DiskDialog(QDialog):
    """Sizes by kind and the largest files; asks and changes through the callables it is given."""

    def __init__(
        self,
        history: Path,
        ask: Callable[[Any, Callable[[Any], None]], None],
        change: Callable[[Any, Callable[[Any], None]], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Disk usage")
        self._history, self._ask, self._change = history, ask, change
        self._files: list[Usage] = []
        self.total = label("Looking…", wrap=True)
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Files beside the history")
        self.tree.setHeaderLabels(["File", "Run", "Size"])
        self.tree.headerItem().setTextAlignment(2, Qt.AlignmentFlag.AlignRight)
        row = QHBoxLayout()
        self.buttons: dict[str, QPushButton] = {}
        for name, text, help_, act in (
            ("unused", "Remove unused", "Remove files that nothing refers to.", self._remove_unused),
            ("states", "Remove finished checkpoints", "Finished runs keep their weights, but can go on no more.",
             self._forget_states),
        ):  # fmt: skip
            button = QPushButton(text)
            button.setToolTip(help_)
            button.clicked.connect(lambda _, act=act: act())
            button.setEnabled(False)
            self.buttons[name] = button
            row.addWidget(button)
        row.addStretch(1)
        close = QPushButton("Close")
        close.clicked.connect(self.accept)
        row.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.total)
        layout.addWidget(self.tree, 1)
        layout.addLayout(row)
        self.resize(680, 420)
        self.reload()

    def reload(self) -> None:
        """Look anew."""
        history = self._history
        self._ask(lambda database: doctor.usage(database, history), self._show)

    def _show(self, files: list[Usage]) -> None:
        self._files = files
        self.tree.clear()
        for kind, words in KINDS.items():
            of_kind = [one for one in files if one.kind == kind]
            if not of_kind:
                continue
            size = sum(one.size for one in of_kind)
            group = QTreeWidgetItem([f"{words} ({len(of_kind):,})", "", megabytes(size)])
            group.setTextAlignment(2, Qt.AlignmentFlag.AlignRight)
            for one in of_kind[:SHOWN]:
                run = f"{one.run}{', deleted' if one.deleted else ''}" if one.run else ""
                item = QTreeWidgetItem([one.path.name, run, megabytes(one.size)])
                item.setTextAlignment(2, Qt.AlignmentFlag.AlignRight)
                item.setToolTip(0, str(one.path))
                group.addChild(item)
            self.tree.addTopLevelItem(group)
        for column in range(3):
            self.tree.resizeColumnToContents(column)
        self.total.setText(f"{megabytes(sum(one.size for one in files))} in {len(files):,} files beside {self._history.name}")
        self.buttons["unused"].setEnabled(any(one.kind == "unused" for one in files))
        self.buttons["states"].setEnabled(any(one.kind in ("state", "best") for one in files))
        deleted = sum(one.size for one in files if one.deleted)
        if deleted:
            self.total.setText(f"{self.total.text()}, {megabytes(deleted)} of them of deleted runs (Edit → Bin)")

    def _remove_unused(self) -> None:
        history = self._history
        self._change(lambda database: doctor.clean_up(doctor.usage(database, history), {"unused"}), lambda _: self.reload())

    def _forget_states(self) -> None:
        history = self._history
        self._change(lambda database: doctor.forget_states(database, history), lambda _: self.reload())
