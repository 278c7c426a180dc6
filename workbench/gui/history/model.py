"""The history as a tree: experiments, and below each its runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from workbench.gui.forms import plain_tooltip
from workbench.history.reading import ExperimentRow, RunRow
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
    widest: str = ""


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _date(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%d %b %H:%M")


def _spent(seconds: float) -> str:
    return "–" if seconds <= 0 else "<1 s" if seconds < 1 else duration(seconds)


COLUMNS = (
    Column("Experiment / run", "The experiment's name, and below it its runs.", lambda row: row.name, number=False),
    Column("Run", "The run's number in this history.", lambda row: row.id),
    Column("Status", "How the run ended.", lambda row: "reused" if row.reused else row.status, number=False),
    Column(
        "Role", "Teacher, student, baseline, generalist or specialist.", lambda row: row.role, number=False, widest="generalist"
    ),
    Column("Data", "The data set.", lambda row: row.dataset, number=False),
    Column("Model", "The model and its size.", lambda row: row.model, number=False),
    Column("T", "Temperature.", lambda row: row.temperature, lambda value: f"{value:g}"),
    Column("w", "Hard weight.", lambda row: row.hard_weight, lambda value: f"{value:g}"),
    Column("Val.", "Accuracy on the validation split.", lambda row: row.figures.get("val_accuracy"), _percent, widest="99.99%"),
    Column("Test", "Accuracy on the test split.", lambda row: row.figures.get("test_accuracy"), _percent, widest="99.99%"),
    Column("Errors", "Errors on the test split.", lambda row: row.figures.get("test_errors"), lambda value: f"{value:,.0f}"),
    Column("Parameters", "Trainable parameters.", lambda row: row.parameters, lambda value: f"{value:,}"),
    Column("Time", "Time spent training, pauses left out.", lambda row: row.train_seconds, _spent),
    Column("Date", "When the run was made.", lambda row: row.created, _date, number=False),
)


class HistoryModel(QAbstractItemModel):
    """Two levels; ``show`` takes what the history's reader found, newest experiment first.

    A run's index carries the number of its experiment, and an experiment's 0, so that what is selected or unfolded stays
    so while experiments come and go.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.experiments: list[ExperimentRow] = []
        self._places: dict[int, int] = {}

    def show(self, experiments: list[ExperimentRow]) -> None:
        """Show these experiments; only what differs from what is shown is told to the views."""
        if not self.experiments:
            self.beginResetModel()
            self._take(list(experiments))
            self.endResetModel()
            return
        wanted = {one.id: one for one in experiments}
        for place in reversed(range(len(self.experiments))):
            if self.experiments[place].id not in wanted:
                self.beginRemoveRows(QModelIndex(), place, place)
                self._take(self.experiments[:place] + self.experiments[place + 1 :])
                self.endRemoveRows()
        for place, one in enumerate(experiments):
            if place == len(self.experiments) or self.experiments[place].id != one.id:
                self.beginInsertRows(QModelIndex(), place, place)
                self._take([*self.experiments[:place], one, *self.experiments[place:]])
                self.endInsertRows()
            elif self.experiments[place] != one:
                self._change(place, one)

    def _take(self, experiments: list[ExperimentRow]) -> None:
        self.experiments = experiments
        self._places = {one.id: place for place, one in enumerate(experiments)}

    def _change(self, place: int, new: ExperimentRow) -> None:
        """Take over a changed experiment, whose runs that stay keep their order."""
        old, parent = self.experiments[place], self.index(place, 0)
        rows, wanted = list(old.rows), {row.id for row in new.rows}
        for row in reversed(range(len(rows))):
            if rows[row].id not in wanted:
                self.beginRemoveRows(parent, row, row)
                del rows[row]
                self.experiments[place] = replace(old, rows=tuple(rows))
                self.endRemoveRows()
        for row, added in enumerate(new.rows):
            if row == len(rows) or rows[row].id != added.id:
                self.beginInsertRows(parent, row, row)
                rows.insert(row, added)
                self.experiments[place] = replace(old, rows=tuple(rows))
                self.endInsertRows()
        self.experiments[place] = new
        last = len(COLUMNS) - 1
        self.dataChanged.emit(parent, self.index(place, last))
        for row, (before, after) in enumerate(zip(rows, new.rows, strict=True)):
            if before != after:
                self.dataChanged.emit(self.index(row, 0, parent), self.index(row, last, parent))

    def row_at(self, index: Index) -> RunRow | None:
        """The run at an index, or None for an experiment."""
        if not index.isValid() or not index.internalId():
            return None
        return self.experiments[self._places[index.internalId()]].rows[index.row()]

    def experiment_at(self, index: Index) -> ExperimentRow:
        """The experiment at an index, or that of the run there."""
        return self.experiments[self._places[index.internalId()] if index.internalId() else index.row()]

    def find(self, run: int) -> QModelIndex:
        """The index of a run where it was made; an invalid one where it is not shown."""
        for place, one in enumerate(self.experiments):
            for row, shown in enumerate(one.rows):
                if shown.id == run and not shown.reused:
                    return self.index(row, 0, self.index(place, 0))
        return QModelIndex()

    # QAbstractItemModel

    def index(self, row: int, column: int, parent: Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        """The index of a cell."""
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, self.experiments[parent.row()].id if parent.isValid() else 0)

    def parent(self, index: Index = QModelIndex()) -> Any:  # noqa: B008
        """The experiment of a run."""
        if not index.isValid() or not index.internalId():
            return QModelIndex()
        return self.createIndex(self._places[index.internalId()], 0, 0)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Experiments, or the runs of one."""
        if not parent.isValid():
            return len(self.experiments)
        return len(self.experiments[parent.row()].rows) if not parent.internalId() and parent.column() == 0 else 0

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
            return _of_experiment(self.experiments[index.row()], index.column(), role)
        value = column.value(row)
        if role == SORT_ROLE:
            return value
        if role == RUN_ROLE:
            return row.id
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tooltip(value if column.title == "Date" else row.message)
        if role == Qt.ItemDataRole.DisplayRole:
            return "" if value is None else column.show(value)
        return None


def _of_experiment(one: ExperimentRow, place: int, role: int) -> Any:
    title = COLUMNS[place].title
    if role == SORT_ROLE:
        return one.name.lower() if place == 0 else one.created if title == "Date" else _best(one, place)
    if role == Qt.ItemDataRole.ToolTipRole:
        return plain_tooltip(f"{one.name} #{one.id}\n{one.message}".strip())
    if role == Qt.ItemDataRole.DisplayRole and place == 0:
        status = "held" if one.held and one.status == "waiting" else one.status
        came = "   ·   reference" if one.reference else ""
        return f"{one.name}  #{one.id}   ·   {status}   ·   {_date(one.created)}{came}"
    return None


def _best(one: ExperimentRow, column: int) -> Any:
    """What an experiment is sorted by: its student's value, else its last run's."""
    students = [row for row in one.rows if row.role == "student"] or list(one.rows[-1:])
    return COLUMNS[column].value(students[-1]) if students else None
