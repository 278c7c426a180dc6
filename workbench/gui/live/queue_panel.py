"""What waits: reordered by drag and by key, held, taken out with undo, duplicated, edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QKeySequence, QUndoCommand, QUndoStack
from PySide6.QtWidgets import QAbstractItemView, QGroupBox, QHBoxLayout, QListWidget, QListWidgetItem, QToolButton, QVBoxLayout
from sqlite_utils import Database

from workbench.config import ExperimentConfig
from workbench.errors import ConfigError
from workbench.gui.forms import label, plain_tooltip
from workbench.gui.run_feed import AskHistory
from workbench.history import changes, reading
from workbench.history.changes import Queued
from workbench.history.going_on import let_go_on
from workbench.history.reading import QueuedRow
from workbench.words import duration, many, sentence

ASKED_AT_ONCE = 10
HOLD = "Keep the selected experiments from beginning, or let them go on, with those whose students were trained together."
EXPERIMENT_ROLE = Qt.ItemDataRole.UserRole


class _TakeOut(QUndoCommand):
    def __init__(self, panel: QueuePanel, experiments: list[int]) -> None:
        super().__init__(f"take {many(len(experiments), 'experiment')} out of the queue")
        self._panel, self._experiments = panel, experiments
        self._taken: list[Queued] = []

    def redo(self) -> None:
        self._panel.change(self._take)

    def _take(self, database: Database) -> None:
        """On the history's thread, which does one thing after the other: what undo puts back is known before it is asked."""
        self._taken = changes.dequeue(database, self._experiments)

    def undo(self) -> None:
        self._panel.change(lambda database: changes.put_back(database, self._taken))


class QueuePanel(QGroupBox):
    """Reads and changes the queue through the callables it is given; ``changed`` says that whoever trains should look."""

    changed = Signal()
    edit_wanted = Signal(object)
    again_wanted = Signal(object)
    said = Signal(str)
    times_wanted = Signal(object)

    def __init__(self, ask_history: AskHistory, change_history: AskHistory, undo_stack: QUndoStack) -> None:
        super().__init__("Queue")
        self._ask, self._change, self._undo_stack = ask_history, change_history, undo_stack
        self.rows: list[QueuedRow] = []
        self._times: dict[int, float | None] = {}
        self.list = QListWidget()
        self.list.setAccessibleName("Queue")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.list.setToolTip("Drag to reorder, or Alt+Up and Alt+Down. Space holds, Delete takes out, Enter opens as a set-up.")
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.model().rowsMoved.connect(lambda *_: self._dragged())
        self.list.itemActivated.connect(lambda _: self._edit())
        self.list.itemSelectionChanged.connect(self._select)
        self.total = label("", "faint", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 6)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.total)
        layout.addLayout(self._controls())
        self.show_rows([])

    def _controls(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(2)
        self.actions_by_name: dict[str, QAction] = {}
        for name, text, key, help_, slot in (
            ("next", "First", "Ctrl+Shift+Up", "Do the selected experiments next.", lambda: self._move_to(0)),
            ("up", "", "Alt+Up", "Earlier.", lambda: self._shift(-1)),
            ("down", "", "Alt+Down", "Later.", lambda: self._shift(1)),
            ("hold", "Hold", "Space", HOLD, self._hold),
            ("again", "Duplicate", "Ctrl+D", "Queue the selected experiments once more.", self._again),
            ("edit", "Edit", "", "Take the experiment out of the queue and open it as a set-up.", self._edit),
            ("remove", "Remove", "Delete", "Take the selected experiments out of the queue; Ctrl+Z puts them back.", self.remove),
        ):
            action = QAction(text, self)
            action.setToolTip(f"{help_} ({key})" if key else help_)
            action.setShortcut(QKeySequence(key))
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            action.triggered.connect(lambda _, slot=slot: slot())
            self.addAction(action)
            self.actions_by_name[name] = action
            if text:
                button = QToolButton()
                button.setDefaultAction(action)
                row.addWidget(button)
        row.addStretch(1)
        return row

    # Reading

    def reload(self) -> None:
        """Read the queue anew."""
        self._ask("queue", reading.list_queue, self.show_rows)

    def show_rows(self, rows: list[QueuedRow]) -> None:
        """Show what waits, keeping what is selected."""
        chosen = set(self.selected())
        self.rows = rows
        self._ask_times()
        self.list.clear()
        for row in rows:
            item = QListWidgetItem(self._words(row))
            item.setData(EXPERIMENT_ROLE, row.experiment)
            item.setToolTip(plain_tooltip(f"{row.name} #{row.experiment}\n{row.config.get('description', '')}".strip()) or "")
            self.list.addItem(item)
            item.setSelected(row.experiment in chosen)
        self.setVisible(bool(rows))
        self._say_total()
        self._select()

    def show_times(self, times: dict[int, float | None]) -> None:
        """Say how long some of them would take, and ask about the next ones."""
        self._times |= times
        self._ask_times()
        for place, row in enumerate(self.rows[: self.list.count()]):
            self.list.item(place).setText(self._words(row))
        self._say_total()

    def _ask_times(self) -> None:
        """A few at a time: whoever answers may be training."""
        if unknown := [(row.experiment, row.config) for row in self.rows if row.experiment not in self._times]:
            self.times_wanted.emit(unknown[:ASKED_AT_ONCE])

    def _words(self, row: QueuedRow) -> str:
        held = f" · {row.status}, held" if row.held and row.status != "waiting" else " · held" if row.held else ""
        seconds = self._times.get(row.experiment)
        return f"{row.name}  #{row.experiment}{held}" + (f" · about {duration(seconds)}" if seconds else "")

    def _say_total(self) -> None:
        known = [self._times.get(row.experiment) for row in self.rows if not row.held]
        words = f"about {duration(sum(time or 0 for time in known))} in all" if known and None not in known else ""
        self.total.setText(words)
        self.total.setVisible(bool(words))

    @property
    def seconds(self) -> float | None:
        """About how long what waits, and is not held, will take; None where that is not known."""
        known = [self._times.get(row.experiment) for row in self.rows if not row.held]
        return None if None in known else sum(time or 0.0 for time in known)

    def selected(self) -> list[int]:
        """The selected experiments, in their order."""
        items = sorted(self.list.selectedItems(), key=self.list.row)
        return [item.data(EXPERIMENT_ROLE) for item in items]

    def _select(self) -> None:
        chosen = self.selected()
        for action in self.actions_by_name.values():
            action.setEnabled(bool(chosen))
        self.actions_by_name["edit"].setEnabled(len(chosen) == 1)
        held = all(row.held for row in self.rows if row.experiment in chosen)
        self.actions_by_name["hold"].setText("Go on" if chosen and held else "Hold")

    # Changing

    def change(self, change: Callable[[Database], Any], done: Callable[[Any], None] = lambda _: None) -> None:
        """Change the queue, then read it anew and say so."""

        def answered(value: Any) -> None:
            done(value)
            self.reload()
            self.changed.emit()

        self._change("queue", change, answered)

    def _order(self) -> list[int]:
        return [self.list.item(place).data(EXPERIMENT_ROLE) for place in range(self.list.count())]

    def _dragged(self) -> None:
        order = self._order()
        self.change(lambda database: changes.move(database, order, None))

    def _move_to(self, place: int) -> None:
        chosen = self.selected()
        rest = [one for one in self._order() if one not in chosen]
        before = rest[place] if place < len(rest) else None
        self.change(lambda database: changes.move(database, chosen, before))

    def _shift(self, by: int) -> None:
        order, chosen = self._order(), self.selected()
        if chosen:
            place = order.index(chosen[0]) if by < 0 else order.index(chosen[-1]) - len(chosen) + 1
            self._move_to(max(0, place + by))

    def _hold(self) -> None:
        chosen = self.selected()
        if all(row.held for row in self.rows if row.experiment in chosen):
            self.change(lambda database: let_go_on(database, chosen), self._say_others)
        else:
            self.change(lambda database: changes.hold(database, chosen, True))

    def _say_others(self, others: str) -> None:
        if others:
            self.said.emit(sentence(others))

    def remove(self) -> None:
        """Take the selected experiments out of the queue; undo puts them back."""
        if chosen := self.selected():
            self._undo_stack.push(_TakeOut(self, chosen))
            self.said.emit(f"Taken out of the queue: {many(len(chosen), 'experiment')}. Ctrl+Z puts it back.")

    def _again(self) -> None:
        for config in self._configs():
            self.again_wanted.emit(config)

    def _edit(self) -> None:
        for config in self._configs()[:1]:
            self.remove()
            self.edit_wanted.emit(config)

    def _configs(self) -> list[ExperimentConfig]:
        chosen, found = self.selected(), []
        for row in self.rows:
            if row.experiment in chosen:
                try:
                    found.append(ExperimentConfig.from_dict(row.config))
                except ConfigError as error:
                    self.said.emit(f"{row.name} cannot be opened by this version: {error}.")
        return found
