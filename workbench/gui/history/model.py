"""The history as a tree: experiments, and below each its runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from workbench.history.reading import RunRow
from workbench.questions import duration

Index = QModelIndex | QPersistentModelIndex
RUN_ROLE = Qt.ItemDataRole.UserRole
SORT_ROLE = Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, help, what it sorts by and what it shows."""

    title: str
    help: str
    value: Callable[[RunRow], Any]
    show: Callable[[Any], str] = str
    number: bool = True


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _date(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%d %b %H:%M")


COLUMNS = (
    Column("Experiment / run", "The experiment's name, and below it its runs.", lambda row: row.name, number=False),
    Column("Run", "The run's number in this history.", lambda row: row.id),
    Column("Status", "How the run ended.", lambda row: row.status, number=False),
    Column("Role", "Teacher, student or baseline.", lambda row: row.role, number=False),
    Column("Data", "The data set.", lambda row: row.dataset, number=False),
    Column("Model", "The model and its size.", lambda row: row.model, number=False),
    Column("T", "Temperature.", lambda row: row.temperature, lambda value: f"{value:g}"),
    Column("w", "Hard weight.", lambda row: row.hard_weight, lambda value: f"{value:g}"),
    Column("Val.", "Accuracy on the validation split.", lambda row: row.figures.get("val_accuracy"), _percent),
    Column("Test", "Accuracy on the test split.", lambda row: row.figures.get("test_accuracy"), _percent),
    Column("Errors", "Errors on the test split.", lambda row: row.figures.get("test_errors"), lambda value: f"{value:,.0f}"),
    Column("Parameters", "Trainable parameters.", lambda row: row.parameters, lambda value: f"{value:,}"),
    Column("Time", "Time spent training, pauses left out.", lambda row: row.train_seconds, duration),
    Column("Date", "When the run was made.", lambda row: row.created, _date, number=False),
)


@dataclass(slots=True)
class Group:
    """An experiment with its runs."""

    experiment: int
    name: str
    rows: list[RunRow]


class HistoryModel(QAbstractItemModel):
    """Two levels; ``show_rows`` takes what the history's reader found, newest experiment first."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.groups: list[Group] = []

    def show_rows(self, rows: list[RunRow]) -> None:
        """Show these runs; where the same ones are shown already their cells alone change."""
        groups = _grouped(rows)
        if [(one.experiment, [row.id for row in one.rows]) for one in groups] == [
            (one.experiment, [row.id for row in one.rows]) for one in self.groups
        ]:
            self.groups = groups
            for place, group in enumerate(groups):
                parent = self.index(place, 0)
                last = self.index(len(group.rows) - 1, len(COLUMNS) - 1, parent)
                self.dataChanged.emit(self.index(0, 0, parent), last)
            return
        self.beginResetModel()
        self.groups = groups
        self.endResetModel()

    def row_at(self, index: Index) -> RunRow | None:
        """The run at an index, or None for an experiment."""
        if not index.isValid() or not index.internalId():
            return None
        return self.groups[index.internalId() - 1].rows[index.row()]

    def runs_at(self, index: Index) -> list[int]:
        """The runs that an index stands for: one, or all of an experiment."""
        row = self.row_at(index)
        return [row.id] if row else [row.id for row in self.groups[index.row()].rows] if index.isValid() else []

    # QAbstractItemModel

    def index(self, row: int, column: int, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        """The index of a cell; ``internalId`` is 0 for an experiment, else 1 + the experiment's place."""
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else 0)

    def parent(self, index: Index = QModelIndex()) -> Any:  # noqa: B008
        """The experiment of a run."""
        if not index.isValid() or not index.internalId():
            return QModelIndex()
        return self.createIndex(index.internalId() - 1, 0, 0)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Experiments, or the runs of one."""
        if not parent.isValid():
            return len(self.groups)
        return len(self.groups[parent.row()].rows) if not parent.internalId() and parent.column() == 0 else 0

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """The same everywhere."""
        return len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles, and help as tooltips."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(COLUMNS):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section].title
        return COLUMNS[section].help if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Texts, and raw values to sort by."""
        if not index.isValid():
            return None
        row = self.row_at(index)
        column = COLUMNS[index.column()]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(
                (Qt.AlignmentFlag.AlignRight if column.number else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter
            )
        if row is None:
            return self._group_data(self.groups[index.row()], index.column(), role)
        value = column.value(row)
        if role == SORT_ROLE:
            return value
        if role == RUN_ROLE:
            return row.id
        if role == Qt.ItemDataRole.ToolTipRole:
            return value if column.title == "Date" else row.message or None
        if role == Qt.ItemDataRole.DisplayRole:
            return "" if value is None else column.show(value)
        return None

    def _group_data(self, group: Group, column: int, role: int) -> Any:
        if role == SORT_ROLE:
            return group.name.lower() if column == 0 else _best(group, column)
        if role == Qt.ItemDataRole.DisplayRole:
            if column == 0:
                return f"{group.name}  #{group.experiment}"
            if COLUMNS[column].title == "Date":
                return _date(group.rows[-1].created)
            if COLUMNS[column].title in ("Data",):
                return group.rows[-1].dataset
        return None


def _best(group: Group, column: int) -> Any:
    """What an experiment is sorted by: its student's value, else its last run's."""
    students = [row for row in group.rows if row.role == "student"] or group.rows[-1:]
    return COLUMNS[column].value(students[-1])


def _grouped(rows: list[RunRow]) -> list[Group]:
    groups: dict[int, Group] = {}
    for row in rows:
        groups.setdefault(row.experiment, Group(row.experiment, row.experiment_name, [])).rows.append(row)
    return list(groups.values())
