"""Every run ever made: find one, look into it, open it as a new set-up, compare, delete with undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QItemSelectionRange,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QAction, QKeySequence, QUndoCommand, QUndoStack
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTreeView,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from sqlite_utils import Database

from workbench.bias import WAYS, Correction, errors_at
from workbench.config import ExperimentConfig
from workbench.errors import ConfigError
from workbench.gui.dialogs import MoreEpochsDialog
from workbench.gui.forms import label
from workbench.gui.history.bias_dialog import BiasDialog
from workbench.gui.history.model import COLUMNS, SORT_ROLE, HistoryModel, Index
from workbench.gui.run_feed import AskHistory
from workbench.history import changes, reading
from workbench.history.reading import ExperimentRow, RunDetails, RunRow
from workbench.plan import SPECIALISED
from workbench.questions import BiasSamples, many

LOOK_MILLISECONDS = 1500
UNDER_WAY = ("running", "waiting")
CELL_MARGIN = 16
UNFOLDED = 50
"""So many of the newest experiments are shown with their runs at first, those of sweeps apart."""


class _Sorted(QSortFilterProxyModel):
    """Sorts by raw values, the empty ones last, and keeps the runs of an experiment whose name matches."""

    def lessThan(self, left: Index, right: Index) -> bool:
        """Whether one cell comes before another."""
        first, second = left.data(SORT_ROLE), right.data(SORT_ROLE)
        if first is None or second is None:
            return first is None and second is not None
        return bool(first < second)


class _Delete(QUndoCommand):
    def __init__(self, screen: HistoryScreen, runs: list[int], experiments: list[int]) -> None:
        words = [many(len(runs), "run")] * bool(runs) + [many(len(experiments), "experiment")] * bool(experiments)
        super().__init__(f"delete {' and '.join(words)}")
        self._screen, self._runs, self._experiments = screen, runs, experiments

    def redo(self) -> None:
        runs, experiments = self._runs, self._experiments
        self._screen.change(lambda database: changes.delete(database, runs, experiments))
        self._screen.told.emit(f"Deleted: {self.text().removeprefix('delete ')}. Edit → Undo (Ctrl+Z) takes it back.")

    def undo(self) -> None:
        runs, experiments = self._runs, self._experiments
        self._screen.change(lambda database: changes.take_back(database, runs, experiments))
        self._screen.told.emit("Taken back.")


class _Correct(QUndoCommand):
    def __init__(self, screen: HistoryScreen, run: int, before: Correction | None, after: Correction | None) -> None:
        super().__init__(f"correct the bias of run {run}")
        self._screen, self._run, self._before, self._after = screen, run, before, after

    def redo(self) -> None:
        run, after = self._run, self._after
        self._screen.change(lambda database: changes.keep_correction(database, run, after))

    def undo(self) -> None:
        run, before = self._run, self._before
        self._screen.change(lambda database: changes.keep_correction(database, run, before))


class HistoryScreen(QWidget):
    """Reads and changes the history through the callables it is given, and never waits for them."""

    setup_wanted = Signal(object)
    compare_wanted = Signal(list)
    teacher_wanted = Signal(int, str)
    resume_wanted = Signal(list)
    epochs_wanted = Signal(int, int, str)
    bias_wanted = Signal(int)
    changed = Signal()
    said = Signal(str)
    told = Signal(str)

    def __init__(self, ask_history: AskHistory, change_history: AskHistory) -> None:
        super().__init__()
        self._ask, self._change = ask_history, change_history
        self._details: RunDetails | None = None
        self._version = -1
        self.reference = True
        self.undo_stack = QUndoStack(self)
        self.model = HistoryModel(self)
        self.sorted = _Sorted(self)
        self.sorted.setSourceModel(self.model)
        self.sorted.setRecursiveFilteringEnabled(True)
        self.sorted.setAutoAcceptChildRows(True)
        self.sorted.setFilterKeyColumn(-1)
        self.sorted.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.pages = QStackedWidget()
        empty = label("No runs yet.\n\nEverything you launch is kept here, in one SQLite file.", "faint")
        empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pages.addWidget(empty)
        self.pages.addWidget(self._table())
        layout = QVBoxLayout(self)
        layout.addLayout(self._top())
        layout.addWidget(self.pages, 1)
        self._looking = QTimer(self)
        self._looking.setInterval(LOOK_MILLISECONDS)
        self._looking.timeout.connect(self._look)
        self._looking.start()
        self._select()

    def _top(self) -> QHBoxLayout:
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter: a name, model, data set, status…  (Ctrl+F)")
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName("Filter")
        self.filter.textChanged.connect(self._filtered)
        self.buttons = {}
        row = QHBoxLayout()
        row.addWidget(self.filter, 1)
        for key, text, help_, slot in (
            ("open", "Open as new set-up", "Fill the set-up with this run's experiment.", self._open),
            ("resume", "Resume", "Go on with what the selected experiments have not done, from the checkpoints.", self._resume),
            ("epochs", "More epochs…", "Go on with this run as a new one, which leaves it as it is.", self._more_epochs),
            ("bias", "Bias…", "Shift the logits of classes that the run has never seen, chosen on validation.", self._bias),
            ("compare", "Compare", "Lay the selected runs over each other (Ctrl+K).", self._compare),
            ("teacher", "Use as teacher", "Add the selected run to the ensemble of the set-up.", self._teach),
            ("delete", "Delete", "Delete the selected runs (Del); Ctrl+Z takes them back.", self.delete_selected),
        ):
            button = QPushButton(text)
            button.setToolTip(help_)
            button.clicked.connect(slot)
            self.buttons[key] = button
            row.addWidget(button)
        return row

    def _table(self) -> QSplitter:
        self.tree = QTreeView()
        self.tree.setModel(self.sorted)
        self.tree.setAccessibleName("Runs")
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.setUniformRowHeights(True)
        self.tree.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.tree.setIndentation(12)
        self.tree.setAlternatingRowColors(True)
        self.tree.setSortingEnabled(True)
        self.tree.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.tree.header().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.tree.header().setStretchLastSection(True)
        self.tree.header().setResizeContentsPrecision(40)  # rows looked at for a column's width, not all of them
        self.tree.selectionModel().selectionChanged.connect(lambda *_: self._select())
        self.tree.doubleClicked.connect(lambda _: self._compare())
        delete = QAction("Delete", self.tree)
        delete.setShortcut(QKeySequence.StandardKey.Delete)
        delete.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        delete.triggered.connect(self.delete_selected)
        self.tree.addAction(delete)
        self.details = QTreeWidget()
        self.details.setHeaderLabels(["Details", ""])
        self.details.setAccessibleName("Details of the run")
        self.details.setUniformRowHeights(True)
        self.details.setIndentation(10)
        self.splitter = QSplitter()
        self.splitter.setObjectName("history-columns")
        self.splitter.addWidget(self.tree)
        self.splitter.addWidget(self.details)
        self.splitter.setSizes([1000, 260])
        return self.splitter

    # Reading

    def reload(self) -> None:
        """Read the runs anew."""
        wanted = self.reference

        def read(database: Database) -> tuple[int, list[ExperimentRow]]:
            return reading.data_version(database), reading.list_experiments(database, reference=wanted)

        self._ask("runs", read, self._show)

    def change(self, change: Callable[[Database], None]) -> None:
        """Change the history, then read it anew."""

        def done(_: Any) -> None:
            self.reload()
            self.changed.emit()

        self._change("change", change, done)

    def _selected(self) -> list[QModelIndex]:
        return [self.sorted.mapToSource(index) for index in self.tree.selectionModel().selectedRows()]

    def selected_runs(self) -> list[int]:
        """The selected runs; a selected experiment stands for all of its runs."""
        found: list[int] = []
        for index in self._selected():
            row = self.model.row_at(index)
            found += [row.id] if row else [row.id for row in self.model.experiment_at(index).rows]
        return list(dict.fromkeys(found))

    def select_runs(self, runs: list[int]) -> None:
        """Select these runs where they were made, and show the first."""
        found = [self.sorted.mapFromSource(self.model.find(run)) for run in runs]
        chosen = QItemSelection()  # taken as one: every change of the selection reads all of it
        for index in found:
            if index.isValid():
                chosen.append(QItemSelectionRange(index))
                self.tree.expand(index.parent())
        how = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.tree.selectionModel().select(chosen, how)
        if there := [index for index in found if index.isValid()]:
            self.tree.scrollTo(there[0])

    def _look(self) -> None:
        if self.isVisible():
            self._ask("version", reading.data_version, lambda version: self.reload() if version != self._version else None)

    def showEvent(self, event: Any) -> None:
        """Read the runs when the screen comes to the front."""
        self.reload()
        super().showEvent(event)

    def _show(self, found: tuple[int, list[ExperimentRow]]) -> None:
        first = not self.model.experiments
        self._version, experiments = found
        known = {one.id for one in self.model.experiments}
        self.model.show(experiments)
        for place, one in enumerate(experiments):
            if one.id not in known:
                index = self.sorted.mapFromSource(self.model.index(place, 0))
                self.tree.setFirstColumnSpanned(index.row(), QModelIndex(), True)
                if place < UNFOLDED and one.sweep is None:
                    self.tree.expand(index)
        self.pages.setCurrentIndex(1 if experiments else 0)
        if first and experiments:
            for place, column in enumerate(COLUMNS):
                self.tree.resizeColumnToContents(place)
                room = self.tree.fontMetrics().horizontalAdvance(column.widest) + CELL_MARGIN
                self.tree.setColumnWidth(place, max(self.tree.columnWidth(place), room if column.widest else 0))
        self._select()

    def _filtered(self, text: str) -> None:
        self.sorted.setFilterFixedString(text)
        if text:
            self.tree.expandAll()

    # Details and buttons

    def _select(self) -> None:
        runs = self.selected_runs()
        self.buttons["open"].setEnabled(bool(runs))
        self.buttons["compare"].setEnabled(bool(runs))
        self.buttons["delete"].setEnabled(self.tree.selectionModel().hasSelection())
        self.buttons["resume"].setEnabled(bool(self._to_resume()))
        chosen = self._chosen_row()
        trained = chosen is not None and chosen.name != SPECIALISED
        self.buttons["teacher"].setEnabled(len(runs) == 1 and (trained or chosen is None))
        correctable = trained and chosen is not None and chosen.status == "done" and chosen.role != "specialist"
        self.buttons["bias"].setEnabled(correctable)
        self.buttons["epochs"].setEnabled(len(runs) == 1 and trained)
        if self._details is not None and (not runs or self._details.row.id != runs[0]):
            self._details = None
            self.details.clear()
        if runs:
            self._ask("details", lambda database: reading.run_details(database, runs[0]), self._show_details)

    def _show_details(self, details: RunDetails) -> None:
        if details.row.id not in self.selected_runs():
            return
        same = self._details is not None and self._details.row.id == details.row.id
        if same and self._details == details:
            return
        self._details = details
        self.details.clear()
        row = details.row
        sections: dict[str, dict[str, Any]] = {
            f"{row.name}, run {row.id}": {
                "status": row.status, "message": row.message or "–", "experiment": f"{row.experiment_name} #{row.experiment}",
                "epochs": f"{row.epochs:g}", "steps": row.step, "training rate": _rate(row),
                "teachers": ", ".join(map(str, details.parents)) or "–", "students": ", ".join(map(str, details.children)) or "–",
            },
            "Bias correction": {} if details.correction is None else {
                "classes": ", ".join(map(str, details.correction.classes)), "shift": f"{details.correction.shift:+.2f}",
                "chosen by": WAYS[details.correction.way],
            },
            "Figures": {name.replace("_", " "): f"{value:.6g}" for name, value in sorted(row.figures.items())},
            "Settings": details.settings,
            "Environment": details.environment,
            "Files": {kind: f"{path} ({size:,} bytes)" for kind, path, size in details.artefacts},
        }  # fmt: skip
        for title, values in sections.items():
            if values:
                section = QTreeWidgetItem([title])
                for key, value in values.items():
                    item = QTreeWidgetItem([str(key), str(value)])
                    item.setToolTip(1, str(value))
                    section.addChild(item)
                self.details.addTopLevelItem(section)
                section.setExpanded(title != "Environment")
        self.details.resizeColumnToContents(0)

    def _open(self) -> None:
        if self._details is not None:
            try:
                self.setup_wanted.emit(ExperimentConfig.from_dict(self._details.experiment_config))
            except ConfigError as error:
                self.said.emit(f"This run's experiment cannot be opened by this version: {error}.")

    def _to_resume(self) -> list[ExperimentRow]:
        """The experiments of what is selected, in the list's order, where each of them has something left to do."""
        found = {self.model.experiment_at(index).id: self.model.experiment_at(index) for index in self._selected()}
        over = [one for one in found.values() if one.rank is None and one.status in ("stopped", "failed", "interrupted")]
        return over if len(over) == len(found) else []

    def _chosen_row(self) -> RunRow | None:
        """The one run that is selected, where it is over."""
        rows = [self.model.row_at(index) for index in self._selected()]
        return rows[0] if len(rows) == 1 and rows[0] and rows[0].status not in UNDER_WAY else None

    def _resume(self) -> None:
        self.resume_wanted.emit([one.id for one in reversed(self._to_resume())])

    def _bias(self) -> None:
        if row := self._chosen_row():
            self.bias_wanted.emit(row.id)

    def ask_bias(self, samples: BiasSamples, kept: Correction | None) -> None:
        """Let the person choose a correction; undo takes it back."""
        dialog = BiasDialog(samples, kept, self)
        if dialog.exec() and (chosen := dialog.correction()) != kept:
            words = "The correction is gone."
            if chosen:
                before, after = (errors_at(*samples.test, chosen.classes, shift).words() for shift in (0.0, chosen.shift))
                words = f"Kept with run {samples.run}; on the test split {before} before, {after} now. Ctrl+Z takes it back."
            self.undo_stack.push(_Correct(self, samples.run, kept, chosen))
            self.said.emit(words)

    def _more_epochs(self) -> None:
        row = self._chosen_row()
        if row is None:
            return
        dialog = MoreEpochsDialog(row, self)
        if dialog.exec():
            self.epochs_wanted.emit(row.id, dialog.epochs.value(), dialog.kind())

    def _compare(self) -> None:
        if runs := self.selected_runs():
            self.compare_wanted.emit(runs)

    def _teach(self) -> None:
        if self._details is None:
            return
        row = self._details.row
        if row.status != "done":
            self.said.emit(f"Run {row.id} is {row.status}; only a finished run can teach.")
        else:
            self.teacher_wanted.emit(row.id, f"Past run {row.id}: {row.model}, {row.name} of {row.experiment_name}")

    def delete_selected(self) -> None:
        """Delete what is selected; undo takes it back. An experiment leaves the runs it reuses to those that made them."""
        runs, experiments = [], []
        for index in self._selected():
            row, one = self.model.row_at(index), self.model.experiment_at(index)
            if row is None:
                experiments.append(one.id)
                runs += [own.id for own in one.rows if not own.reused]
            elif row.reused:
                self.said.emit(f"Run {row.id} was made by another experiment; delete it there.")
                return
            else:
                runs.append(row.id)
        runs = list(dict.fromkeys(runs))
        busy = [row.id for one in self.model.experiments for row in one.rows if row.id in runs and row.status in UNDER_WAY]
        if busy:
            self.said.emit(f"Run {busy[0]} is still under way; stop it before you delete it.")
        elif runs or experiments:
            self.undo_stack.push(_Delete(self, runs, experiments))


def _rate(row: RunRow) -> str:
    return f"{row.samples_per_second:,.0f} samples/s" if row.samples_per_second else "–"
