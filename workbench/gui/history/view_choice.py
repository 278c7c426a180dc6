"""How the list is shown: its groups, its order and its columns, remembered from one start to the next."""

from __future__ import annotations

import json
from collections.abc import Sequence

from PySide6.QtCore import QPoint, QSettings, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QMenu, QPushButton, QWidget

from workbench.gui.forms import label
from workbench.gui.history.fields_dialog import ColumnsDialog, OneFieldDialog
from workbench.gui.history.model import CURVE, NAME
from workbench.gui.history.table import HistoryTable
from workbench.history.fields import BASE, Field, Vocabulary
from workbench.history.listing import EXPERIMENT, NONE, SEEDS, Question

USUAL = (
    *("run", "status", "data", "model", "T", "w", "val_accuracy", "test_accuracy", "test_errors"),
    *("curve", "parameters", "time", "date", "tag"),
)
"""The columns at first, after the name."""
GROUPS = ("role", "status", "data", "model", "sweep", "T", "w", "parameters", "seed", "starred")
OTHER = "?"


class ViewChoice(QWidget):
    """A box to group by and a button for the columns; clicks on the table's header order it. ``changed``: read anew."""

    changed = Signal()

    def __init__(self, table: HistoryTable) -> None:
        super().__init__()
        self._table = table
        self._known = BASE
        self.order: tuple[tuple[str, bool], ...] = ()
        self.names, self._widths = _remembered()
        self.group = QComboBox()
        self.group.setAccessibleName("Group by")
        self.group.setToolTip("Runs in groups; a group's figures are means over its students, with their 95% intervals.")
        self.columns = QPushButton("Columns…")
        self.columns.setToolTip("Which fields the table shows; drag its header to order them.")
        self.columns.clicked.connect(self.choose_columns)
        self._fill_groups(str(QSettings().value("history/group", EXPERIMENT)))
        self.group.activated.connect(lambda _: self._grouped())
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(label("Group by"))
        layout.addWidget(self.group)
        layout.addWidget(self.columns)
        table.header_clicked.connect(self._ordered)
        table.columns_moved.connect(self._moved)
        table.horizontalHeader().customContextMenuRequested.connect(self._header_menu)
        self._show_columns()

    def question(self) -> Question:
        """The question without its filter."""
        return Question(order=self.order, group=self.group.currentData(), bars=self.names)

    def set_vocabulary(self, known: Vocabulary) -> None:
        """Offer these fields."""
        self._known = known
        self._fill_groups(self.group.currentData())
        if [one.name for one in self._table.lines.columns[1:]] != [one.name for one in self._fields(self.names)]:
            self._show_columns()

    def _fields(self, names: Sequence[str]) -> list[Field]:
        return [one for name in names if (one := CURVE if name == CURVE.name else self._known.get(name))]

    def _fill_groups(self, chosen: str) -> None:
        self.group.clear()
        for text, name in (("Experiment", EXPERIMENT), ("Settings, seeds together", SEEDS), ("Nothing", NONE)):
            self.group.addItem(text, name)
        self.group.insertSeparator(self.group.count())
        for name in (*GROUPS, *([chosen] if chosen not in (*GROUPS, EXPERIMENT, SEEDS, NONE) else [])):
            if one := self._known.get(name):
                self.group.addItem(one.title if one.group == "Run" else one.name, one.name)
        self.group.addItem("Another field…", OTHER)
        self.group.setCurrentIndex(max(0, self.group.findData(chosen)))
        self._chosen = self.group.currentData()

    def _grouped(self) -> None:
        chosen = self.group.currentData()
        if chosen == OTHER:
            dialog = OneFieldDialog([one for one in self._known.fields.values() if one.kind not in ("date", "tags")], self)
            chosen = dialog.name() if dialog.exec() and dialog.name() else self._chosen
        self._fill_groups(chosen)
        QSettings().setValue("history/group", chosen)
        self.changed.emit()

    def _ordered(self, section: int, further: bool) -> None:
        """A click: from the best on, then the other way, then not at all; with Shift after what it is ordered by already."""
        one = self._table.lines.columns[section]
        if one is CURVE:
            return
        down_first = one.better == "more" or one.kind in ("date", "truth") or one.name == "run"
        before = dict(self.order)
        kept = [pair for pair in self.order if pair[0] != one.name] if further else []
        if one.name not in before:
            self.order = (*kept, (one.name, down_first))
        elif before[one.name] == down_first:
            self.order = tuple((name, not down if name == one.name else down) for name, down in self.order) if further else (
                (one.name, not down_first),
            )  # fmt: skip
        else:
            self.order = tuple(kept)
        self.changed.emit()

    # Columns

    def choose_columns(self) -> None:
        """Let the person choose."""
        fields = [CURVE, *(one for one in self._known.fields.values() if one.name != NAME.name)]
        shown = [name for name, _ in self._table.order()[1:]]
        dialog = ColumnsDialog(fields, shown, USUAL, self)
        if dialog.exec():
            self.set_columns(dialog.names())

    def set_columns(self, names: Sequence[str]) -> None:
        """Show these fields after the name, and remember them."""
        self._widths |= dict(self._table.order())
        self.names = tuple(names)
        self._show_columns()
        self.remember()
        self.changed.emit()

    def _show_columns(self) -> None:
        kept = self._table.selected_keys()
        self._table.lines.set_columns(self._fields(self.names))
        self._table.fit(self._widths)
        self._table.select_keys(kept)

    def _moved(self) -> None:
        self.names = tuple(name for name, _ in self._table.order()[1:])

    def remember(self) -> None:
        """Keep the columns with their widths."""
        shown = dict(self._table.order())
        pairs = [(name, shown.get(name, 0)) for name in (NAME.name, *self.names)]
        QSettings().setValue("history/columns", json.dumps(pairs))

    def _header_menu(self, place: QPoint) -> None:
        header = self._table.horizontalHeader()
        section = header.logicalIndexAt(place)
        menu = QMenu(header)
        if section > 0:
            gone = self._table.lines.columns[section].name
            menu.addAction("Hide this column", lambda: self.set_columns([name for name in self.names if name != gone]))
        menu.addAction("Columns…", self.choose_columns)
        menu.addAction("Columns as at first", self.reset_columns)
        menu.exec(header.mapToGlobal(place))
        menu.deleteLater()

    def reset_columns(self) -> None:
        """The columns and widths of the first start."""
        self._widths = {}
        self.names = USUAL
        self._show_columns()
        self._widths = {}
        self.remember()
        self.changed.emit()


def _remembered() -> tuple[tuple[str, ...], dict[str, int]]:
    """What was kept; what is not usable of it is as at first."""
    try:
        pairs = [(str(name), int(width)) for name, width in json.loads(str(QSettings().value("history/columns", "[]")))]
    except (ValueError, TypeError):
        pairs = []
    names = tuple(dict.fromkeys(name for name, _ in pairs if name != NAME.name))
    return names or USUAL, {name: width for name, width in pairs if 10 <= width <= 2000}
