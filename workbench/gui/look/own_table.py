"""What the models say of a person's own pictures, as a table: a row a file, in the order in which they were named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from workbench.analysis.looking import LineUp
from workbench.gui.forms import plain_tooltip
from workbench.questions.own_pictures import Batch
from workbench.words import capital

Index = QModelIndex | QPersistentModelIndex
CHIEF = ("student", "ensemble")
"""These have columns; where neither is there, whoever is."""
SORTED_BY = Qt.ItemDataRole.UserRole
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
NUMBERS = {"p": "probability", "bits": "bits"}
"""Columns behind each class, and what they are called in a file."""
ABOUT = {
    "p": "The probability of that class at T = 1.",
    "bits": "The entropy of the distribution at T = 1, in bits.",
    "Agree": "Whether student and ensemble name the same class.",
}


def readable(name: str) -> str:
    """A file's name, of which what is no text is written as numbers: neither a screen nor a file takes it else."""
    return name.encode("utf-8", "backslashreplace").decode()


class OwnTable(QAbstractTableModel):
    """Columns for the file, of each party the class, its probability and the entropy in bits, whether student and ensemble
    agree, and what is to be remarked; all at T = 1."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[Path] = []
        self._rows: list[tuple[Any, ...]] = []
        self._classes: tuple[str, ...] = ()
        self._shown: list[int] = []
        self._agree: tuple[int, int] | None = None
        self.titles: list[str] = ["File", "Remark"]

    def begin(self, line_up: LineUp, classes: tuple[str, ...]) -> None:
        """Show no picture yet, and columns for these parties."""
        self.beginResetModel()
        self.paths, self._rows, self._classes = [], [], classes
        places = {key: line_up.place(key) for key in CHIEF}
        self._shown = [place for place in places.values() if place is not None] or list(range(len(line_up.parties)))
        both = places["student"], places["ensemble"]
        self._agree = None if both[0] is None or both[1] is None else (both[0], both[1])
        self.titles = ["File"]
        for place in self._shown:
            name = line_up.parties[place].name
            self.titles += [capital(name), *NUMBERS]
        self.titles += (["Agree"] if self._agree else []) + ["Remark"]
        self.endResetModel()

    def append(self, batch: Batch) -> None:
        """Show the pictures of a batch below the others."""
        first = len(self._rows)
        rows = [self._row(batch, place) for place in range(len(batch.paths))]
        self.beginInsertRows(QModelIndex(), first, first + len(rows) - 1)
        self.paths += batch.paths
        self._rows += rows
        self.endInsertRows()

    def _row(self, batch: Batch, at: int) -> tuple[Any, ...]:
        cells: list[Any] = [readable(str(batch.paths[at]))]
        for place in self._shown:
            number = int(batch.named[place, at])
            there = number >= 0
            cells.append(self._classes[number] if there else None)
            cells += [float(values[place, at]) if there else None for values in (batch.shares, batch.bits)]
        if self._agree:
            one, other = (int(batch.named[place, at]) for place in self._agree)
            cells.append(None if one < 0 else "yes" if one == other else "no")
        return (*cells, batch.remarks[at])

    def rows(self) -> list[tuple[Any, ...]]:
        """Everything, as a file has it: whole paths, numbers as they are, None for what is not there."""
        return list(self._rows)

    def file_titles(self) -> list[str]:
        """The columns' titles in a file, where each is another."""
        found, of = [], ""
        for title in self.titles:
            of = of if title in NUMBERS else title
            found.append(f"{of} {NUMBERS[title]}".lower() if title in NUMBERS else title.lower())
        return found

    @property
    def unread(self) -> int:
        """How many pictures could not be read."""
        return sum(row[1] is None for row in self._rows) if self._shown else 0

    @property
    def differing(self) -> int:
        """In how many student and ensemble differ."""
        return sum(row[-2] == "no" for row in self._rows) if self._agree else 0

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - as Qt has it
        """How many pictures there are."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """How many columns there are."""
        return 0 if parent.isValid() else len(self.titles)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The columns' titles, and what they mean."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self.titles[section]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return ABOUT.get(self.titles[section])
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell, and the whole path or remark as its tooltip."""
        if not index.isValid():
            return None
        column, value = index.column(), self._rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            if column == 0:
                return readable(self.paths[index.row()].name)
            if isinstance(value, float):
                return f"{value:.1%}" if self.titles[column] == "p" else f"{value:.3f}"
            return value or ""
        if role == SORTED_BY:
            return (-np.inf if self.titles[column] in NUMBERS else "") if value is None else value
        if role == Qt.ItemDataRole.ToolTipRole and column in (0, len(self.titles) - 1):
            return plain_tooltip(value)
        if role == Qt.ItemDataRole.TextAlignmentRole and self.titles[column] in NUMBERS:
            return RIGHT
        return None
