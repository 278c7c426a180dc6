"""Every run ever made: find one, look into it, mark it, open it as a new set-up, compare, delete with undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QSplitter, QStackedWidget, QVBoxLayout, QWidget
from sqlite_utils import Database

from workbench.analysis.bias import Correction, errors_at
from workbench.config import ExperimentConfig
from workbench.errors import CannotWrite, ConfigError
from workbench.gui.dialogs import MoreEpochsDialog
from workbench.gui.exchange import named
from workbench.gui.forms import label
from workbench.gui.history.actions import Actions
from workbench.gui.history.bias_dialog import BiasDialog
from workbench.gui.history.commands import Correct, Delete, KeepFilter, Mark
from workbench.gui.history.details import DetailsPanel
from workbench.gui.history.filter_box import FilterBox
from workbench.gui.history.model import CURVE, HistoryModel, ShownList, read_curves, read_page, read_shown
from workbench.gui.history.table import HistoryTable
from workbench.gui.history.view_choice import ViewChoice
from workbench.gui.run_feed import AskHistory
from workbench.history import changes, reading
from workbench.history.changes import Marked
from workbench.history.csv_out import write_csv
from workbench.history.family import Relative, relatives
from workbench.history.fields import BASE, Vocabulary, vocabulary
from workbench.history.listing import Entry, Head, Question, saved_filters, table_rows
from workbench.history.reading import RunDetails
from workbench.plan import SPECIALISED
from workbench.questions.images import BiasSamples
from workbench.words import many

LOOK_MILLISECONDS = 1500
UNDER_WAY = ("running", "waiting")
FIRST = 120
"""So many lines are read together with a list."""


class HistoryScreen(QWidget):
    """Reads and changes the history through the callables it is given, and never waits for them."""

    setup_wanted = Signal(object)
    compare_wanted = Signal(list)
    teacher_wanted = Signal(int, str)
    resume_wanted = Signal(list)
    epochs_wanted = Signal(int, int, str)
    report_wanted = Signal(int)
    explore_wanted = Signal(list)
    export_wanted = Signal(list)
    bias_wanted = Signal(int)
    take_wanted = Signal(int, str)
    changed = Signal()
    said = Signal(str)
    told = Signal(str)

    def __init__(self, ask_history: AskHistory, change_history: AskHistory) -> None:
        super().__init__()
        self._ask, self._change = ask_history, change_history
        self._known: Vocabulary = BASE
        self._kept: dict[str, str] = {}
        self._wanted: list[int] = []
        self.reference = True
        self.undo_stack = QUndoStack(self)
        self.model = HistoryModel(self)
        self.table = HistoryTable(self.model)
        self.view = ViewChoice(self.table)
        self.box = FilterBox()
        self.box.set_vocabulary(BASE)
        self.filter = self.box.edit
        self.details = DetailsPanel()
        self.actions_of = Actions(self)
        self.buttons = self.actions_of.buttons
        self._lay_out()
        self._wire()
        self._looking = QTimer(self)
        self._looking.setInterval(LOOK_MILLISECONDS)
        self._looking.timeout.connect(self._look)
        self._looking.start()
        self._select()

    def _lay_out(self) -> None:
        self.pages = QStackedWidget()
        empty = label("No runs yet.\n\nEverything you launch is kept here, in one SQLite file.", "faint")
        empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pages.addWidget(empty)
        self.nothing = label("", "faint", wrap=True)
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.clear = QPushButton("Clear the filter")
        self.count = label("", "faint")
        self.lists = QStackedWidget()
        self.lists.addWidget(self.table)
        none = QWidget()
        inner = QVBoxLayout(none)
        inner.addStretch(1)
        inner.addWidget(self.nothing)
        inner.addWidget(self.clear, 0, Qt.AlignmentFlag.AlignCenter)
        inner.addStretch(1)
        self.lists.addWidget(none)
        self.splitter = QSplitter()
        self.splitter.setObjectName("history-columns")
        self.splitter.addWidget(self.lists)
        self.splitter.addWidget(self.details)
        self.splitter.setSizes([1000, 260])
        self.pages.addWidget(self.splitter)
        top = QHBoxLayout()
        top.addWidget(self.box, 1)
        top.addWidget(self.count)  # beside the filter, which gives way: beside the buttons it would widen the window
        top.addWidget(self.view)
        below = QHBoxLayout()
        for button in self.buttons.values():
            below.addWidget(button)
        below.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addLayout(below)
        layout.addWidget(self.pages, 1)

    def _wire(self) -> None:
        self.box.changed.connect(lambda _: self._ask_anew())
        self.box.keep_wanted.connect(lambda name, text: self._keep_filter(name, text))
        self.box.forget_wanted.connect(lambda name: self._keep_filter(name, None))
        self.clear.clicked.connect(self.filter.clear)
        self.view.changed.connect(self._ask_anew)
        self.table.lines_seen.connect(self._seen)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._select())
        self.table.doubleClicked.connect(self._activate)
        self.details.follow_wanted.connect(self._follow)
        self.details.tags_wanted.connect(self._tag)
        self.details.note_wanted.connect(self._note)

    # Reading

    def question(self) -> Question:
        """What the list shows."""
        return replace(self.view.question(), filter=self.filter.text(), reference=self.reference)

    def _ask_anew(self) -> None:
        """Ask for another list, from its top."""
        self.model.toggled = {}
        self._read(0)

    def reload(self) -> None:
        """Read the runs anew."""
        self._read(max(0, self.table.seen()[0] - FIRST // 3))

    def _read(self, first: int) -> None:
        question, known, total = self.question(), self._known, self.model.listing.total
        names, toggled = self.view.names, dict(self.model.toggled)

        def show(shown: ShownList) -> None:
            if shown.listing.total != total:
                self._learn()
            self._show(shown)

        self._ask("runs", read_shown(known, question, names, toggled, first, FIRST, self.model.listing), show)

    def _learn(self) -> None:
        """Read which fields the history has, and the filters kept in it."""

        def learnt(found: tuple[Vocabulary, dict[str, str]]) -> None:
            self._known = found[0]
            self.box.set_vocabulary(found[0])
            self.view.set_vocabulary(found[0])
            self.box.show_kept(found[1])
            self._kept = found[1]

        self._ask("fields", lambda database: (vocabulary(database), saved_filters(database)), learnt)

    def change(self, change: Callable[[Database], Any], done: Callable[[Any], None] = lambda _: None) -> None:
        """Change the history, then read it anew."""

        def changed(answer: Any) -> None:
            done(answer)
            self._learn()
            self.reload()
            self.changed.emit()

        self._change("change", change, changed)

    def _look(self) -> None:
        if self.isVisible():
            version = self.model.listing.version
            self._ask("version", reading.data_version, lambda now: self.reload() if now != version else None)

    def showEvent(self, event: Any) -> None:
        """Read the runs when the screen comes to the front."""
        self.reload()
        super().showEvent(event)

    def hideEvent(self, event: Any) -> None:
        """Remember the columns."""
        self.view.remember()
        super().hideEvent(event)

    def _show(self, shown: ShownList) -> None:
        kept = self.table.selected_keys()
        blocked = self.table.selectionModel().blockSignals(True)
        if self.model.take(shown) and kept:
            self.table.select_keys(kept)
        self.table.selectionModel().blockSignals(blocked)
        if self._wanted and shown.listing.question == self.question():
            wanted, self._wanted = self._wanted, []
            self.select_runs(wanted)  # as far as they are there: one may be in the bin
        there = bool(shown.listing.total or shown.listing.groups)
        self.pages.setCurrentIndex(1 if there else 0)
        self.lists.setCurrentIndex(0 if shown.lines else 1)
        self.nothing.setText(f"No run matches {shown.listing.question.filter}" if shown.listing.question.filter else "")
        self.count.setText(self._counted(shown))
        self._select()
        self.table.look()

    def _counted(self, shown: ShownList) -> str:
        found = shown.listing.found
        return f"{found:,} of {many(shown.listing.total, 'run')}" if found != shown.listing.total else many(found, "run")

    def _seen(self, first: int, last: int) -> None:
        """Read what the lines on the screen hold, where it has not been read."""
        listing, known = self.model.listing, self._known
        if lines := self.model.missing(first, last):
            self._ask("page", read_page(known, listing, lines, self.view.names), self._add)
        elif CURVE in self.model.columns:
            self._ask_curves(first, last)

    def _add(self, page: Any) -> None:
        self.model.add(page)
        self.table.look()

    def _ask_curves(self, first: int, last: int) -> None:
        entries = [self.model.listing.entries[line] for line in self.model.lines[max(0, first) : last + 1] if line >= 0]
        runs = [one.run for one in entries if one.run not in self.model.curves or one.status == "running"]
        if runs:
            self._ask("curves", read_curves(runs), lambda curves: self.model.add_curves(dict.fromkeys(runs) | curves))

    # Selection

    def entries(self) -> list[Entry]:
        """The selected runs as lines show them; a selected group stands for all of its runs."""
        found: list[Entry] = []
        for line in self.table.selected_lines():
            entry, group = self.model.entry_at(line), self.model.group_at(line)
            found += [entry] if entry else self.model.entries_of(group) if group else []
        return found

    def selected_runs(self) -> list[int]:
        """Their numbers, each once."""
        return list(dict.fromkeys(entry.run for entry in self.entries()))

    def selected_experiments(self) -> list[int]:
        """The experiments of what is selected, in the list's order; a selected experiment without runs too."""
        found = []
        for line in self.table.selected_lines():
            group, entry = self.model.group_at(line), self.model.entry_at(line)
            if group is not None and group.head is not None:
                found.append(group.head.experiment)
            else:
                found += [one.experiment for one in ([entry] if entry else self.model.entries_of(group) if group else [])]
        return list(dict.fromkeys(found))

    def select_runs(self, runs: list[int]) -> None:
        """Select these runs where they were made, and show the first."""
        lines = self.model.find(runs)
        self.table.select_lines(lines)
        if lines:
            self.table.scrollTo(self.model.index(lines[0], 0))

    def show_runs(self, runs: list[int]) -> None:
        """Select these runs whatever the list shows now; where a filter hides them it gives way."""
        self._wanted = runs
        if not {entry.run for entry in self.model.listing.entries} >= set(runs):
            self.filter.clear()
        self.reload()

    def _follow(self, run: int) -> None:
        self.show_runs([run])

    def _activate(self, index: Any) -> None:
        if self.model.group_at(index.row()) is None:
            self._compare()
        else:
            self.table.fold(index.row(), unfolded=not self.model.is_unfolded(index.row()))

    def _select(self) -> None:
        entries = self.entries()
        if self.details.run and self.details.run not in [entry.run for entry in entries[:1]]:
            self.details.clear()
        self._enable(entries)
        if entries:
            run = entries[0].run

            def read(database: Database) -> tuple[RunDetails, Marked, tuple[Relative, ...]]:
                return reading.run_details(database, run), changes.marked(database, [run])[0], relatives(database, run)

            self._ask("details", read, self._show_details)

    def _show_details(self, found: tuple[RunDetails, Marked, tuple[Relative, ...]]) -> None:
        entries = self.entries()
        if entries and entries[0].run == found[0].row.id:
            self.details.show_run(*found)

    def _enable(self, entries: list[Entry]) -> None:
        one = entries[0] if len(entries) == 1 and entries[0].status not in UNDER_WAY else None
        trained = one is not None and one.name != SPECIALISED
        self.actions_of.enable(
            open=bool(entries),
            compare=bool(entries),
            explore=len(entries) > 1,
            delete=bool(self.table.selected_lines()),
            resume=bool(self._to_resume()),
            teacher=trained,
            bias=trained and one is not None and one.status == "done" and one.role != "specialist",
            take=trained and one is not None and one.status == "done" and one.role != "specialist",
            epochs=trained,
            mark=bool(entries),
            report=len({entry.experiment for entry in entries}) == 1,
            export=bool(entries),
        )

    # What the buttons do

    def open_set_up(self) -> None:
        """Fill the set-up with the selected run's experiment."""

        def show(details: RunDetails) -> None:
            try:
                self.setup_wanted.emit(ExperimentConfig.from_dict(details.experiment_config))
            except ConfigError as error:
                self.said.emit(f"This run's experiment cannot be opened by this version: {error}.")

        self._of_selected(show)

    def _of_selected(self, then: Callable[[RunDetails], None]) -> None:
        """Read all that is known of the first selected run, and go on with it."""
        if runs := self.selected_runs():
            self._ask("selected", lambda database: reading.run_details(database, runs[0]), then)

    def _to_resume(self) -> list[Head]:
        """The experiments of what is selected, in the list's order, where each of them has something left to do."""
        found = [head for one in self.selected_experiments() if (head := self.model.listing.heads.get(one))]
        over = [one for one in found if one.rank is None and one.status in ("stopped", "failed", "interrupted")]
        return over if len(over) == len(found) else []

    def resume(self) -> None:
        """Go on with what the selected experiments have not done."""
        self.resume_wanted.emit([one.experiment for one in reversed(self._to_resume())])

    def bias(self) -> None:
        """Correct the selected run's bias."""
        if runs := self.selected_runs():
            self.bias_wanted.emit(runs[0])

    def ask_bias(self, samples: BiasSamples, kept: Correction | None) -> None:
        """Let the person choose a correction; undo takes it back."""
        dialog = BiasDialog(samples, kept, self)
        if dialog.exec() and (chosen := dialog.correction()) != kept:
            words = "The correction is gone."
            if chosen:
                before, after = (errors_at(*samples.test, chosen.classes, shift).words() for shift in (0.0, chosen.shift))
                words = f"Kept with run {samples.run}; on the test split {before} before, {after} now. Ctrl+Z takes it back."
            self.undo_stack.push(Correct(self, samples.run, kept, chosen))
            self.said.emit(words)

    def more_epochs(self) -> None:
        """Go on with the selected run as a new one."""

        def ask(details: RunDetails) -> None:
            dialog = MoreEpochsDialog(details.row, self)
            if dialog.exec():
                self.epochs_wanted.emit(details.row.id, dialog.epochs.value(), dialog.kind())

        self._of_selected(ask)

    def _compare(self) -> None:
        if runs := self.selected_runs():
            self.compare_wanted.emit(runs)

    def compare(self) -> None:
        """Lay the selected runs over each other."""
        self._compare()

    def teach(self) -> None:
        """Add the selected run to the ensemble of the set-up."""

        def teach(details: RunDetails) -> None:
            row = details.row
            if row.status != "done":
                self.said.emit(f"Run {row.id} is {row.status}; only a finished run can teach.")
            else:
                self.teacher_wanted.emit(row.id, f"Past run {row.id}: {row.model}, {row.name} of {row.experiment_name}")

        self._of_selected(teach)

    def explore(self) -> None:
        """See the selected runs as points and as lines through many axes."""
        if runs := self.selected_runs():
            self.explore_wanted.emit(runs)

    def report(self) -> None:
        """Show the report of the selected run's experiment."""
        if experiments := self.selected_experiments():
            self.report_wanted.emit(experiments[0])

    def take_away(self) -> None:
        """Write the selected run to a file that gives its answers elsewhere."""
        if entries := self.entries():
            self.take_wanted.emit(entries[0].run, entries[0].name)

    def export(self) -> None:
        """Write the selected experiments to a file."""
        if experiments := self.selected_experiments():
            self.export_wanted.emit(experiments)

    def save_list(self) -> None:
        """Ask for a file and write the runs of the list there, with the fields shown."""
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the list", "runs.csv", "Table (*.csv)")
        if chosen:
            try:
                target = named(chosen, ".csv")
            except CannotWrite as error:
                self.said.emit(f"{error}.")
                return
            listing, known = self.model.listing, self._known
            names = ["experiment_id", *(name for name, _ in self.table.order() if known.get(name))]

            def write(database: Database) -> str:
                write_csv(target, names, table_rows(database, known, listing, names))
                return f"Saved {target}."

            self._ask(("save", str(target)), write, self.said.emit)

    def mark(self, words: str, how: Callable[[Marked], Marked], runs: list[int] | None = None) -> None:
        """Mark the selected runs; undo takes it back."""
        if chosen := runs or self.selected_runs():
            self.undo_stack.push(Mark(self, f"{words} {many(len(chosen), 'run')}", chosen, how))

    def _tag(self, run: int, tags: tuple[str, ...]) -> None:
        self.mark("tag", lambda one: replace(one, tags=tags), [run])

    def _note(self, run: int, note: str) -> None:
        self.mark("note on", lambda one: replace(one, note=note), [run])

    def _keep_filter(self, name: str, expression: str | None) -> None:
        self.undo_stack.push(KeepFilter(self, name, self._kept.get(name), expression))

    def delete_selected(self) -> None:
        """Delete what is selected; undo takes it back. An experiment leaves the runs it reuses to those that made them."""
        entries, experiments = [], []
        for line in self.table.selected_lines():
            entry, group = self.model.entry_at(line), self.model.group_at(line)
            if entry is not None and entry.reused:
                self.said.emit(f"Run {entry.run} was made by another experiment; delete it there.")
                return
            if group is not None and group.head is not None:
                experiments.append(group.head.experiment)
            of_group = self.model.entries_of(group) if group else ()
            entries += [entry] if entry else [one for one in of_group if not one.reused]
        runs = list(dict.fromkeys(entry.run for entry in entries))
        busy = [entry.run for entry in entries if entry.status in UNDER_WAY]
        if busy:
            self.said.emit(f"Run {busy[0]} is still under way; stop it before you delete it.")
        elif runs or experiments:
            self.undo_stack.push(Delete(self, self.told.emit, runs, experiments))
