"""A choice among very many fields: a list to pick from, or part of a name to type."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QCompleter

from workbench.gui.forms import plain_tooltip
from workbench.history.exploring import title
from workbench.history.fields import Field


class FieldBox(QComboBox):
    """Offers fields under their titles; ``chosen`` tells the name of one that a person picked."""

    chosen = Signal(str)

    def __init__(self, what: str, help_: str, first: str = "") -> None:
        super().__init__()
        self._first = first
        self._name = ""
        self.setAccessibleName(what)
        self.setToolTip(help_)
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setMinimumContentsLength(16)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMaxVisibleItems(24)
        completer = self.completer()
        assert isinstance(completer, QCompleter)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.activated.connect(self._pick)
        line = self.lineEdit()
        assert line is not None
        line.editingFinished.connect(self._put_back)

    @property
    def name(self) -> str:
        """The field in force; empty for the first entry where there is one."""
        return self._name

    def offer(self, fields: Sequence[Field]) -> None:
        """Offer these fields, keeping the one in force; what is being typed stays."""
        entries = ([(self._first, "", "")] if self._first else []) + [(title(one), one.name, one.help) for one in fields]
        if entries == [self._entry(place) for place in range(self.count())]:
            return
        typed = self.currentText()
        busy = self.hasFocus() and typed != self._text(self._name)
        self.blockSignals(True)
        self.clear()
        for place, (text, name, help_) in enumerate(entries):
            self.addItem(text, name)
            self.setItemData(place, plain_tooltip(help_), Qt.ItemDataRole.ToolTipRole)
            self.setItemData(place, help_, Qt.ItemDataRole.UserRole + 1)
        self.blockSignals(False)
        self.set_name(self._name)
        if busy:
            self.setEditText(typed)

    def set_name(self, name: str) -> None:
        """Put a field in force without telling."""
        self._name = name
        place = self.findData(name)
        self.setCurrentIndex(place)
        if place < 0:
            self.setEditText(name)

    def _entry(self, place: int) -> tuple[str, str, str]:
        return self.itemText(place), self.itemData(place), self.itemData(place, Qt.ItemDataRole.UserRole + 1)

    def _text(self, name: str) -> str:
        place = self.findData(name)
        return self.itemText(place) if place >= 0 else name

    def _pick(self, place: int) -> None:
        name = self.itemData(place)
        if name is not None and name != self._name:
            self._name = name
            self.chosen.emit(name)

    def _put_back(self) -> None:
        """What was typed and is no field gives way to the one in force."""
        typed = self.currentText().strip().lower()
        for place in range(self.count()):
            if typed in (self.itemText(place).lower(), str(self.itemData(place)).lower()):
                self.setCurrentIndex(place)
                self._pick(place)
                return
        self.setEditText(self._text(self._name))
