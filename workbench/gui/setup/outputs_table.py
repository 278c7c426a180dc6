"""Which output of a teacher from elsewhere stands for which class of the data: a row a class, each with a list that filters."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QStringListModel, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QComboBox, QCompleter, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from workbench.bringing import Found
from workbench.class_names import BETWEEN, numbers_of
from workbench.errors import ConfigError
from workbench.gui import theme
from workbench.gui.forms import Wheelless, plain_tooltip

COLUMNS = ("Class of the data", "Output that stands for it", "")
OFFERED = 12


class PartCompleter(QCompleter):
    """Completes the last of several texts with semicolons between, by any part of it."""

    def __init__(self, names: QStringListModel, parent: QWidget) -> None:
        super().__init__(names, parent)
        self.setFilterMode(Qt.MatchFlag.MatchContains)
        self.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setMaxVisibleItems(OFFERED)
        self._before = ""

    def splitPath(self, path: str) -> list[str]:
        """What is to be completed of what is typed."""
        before, between, last = path.rpartition(BETWEEN)
        self._before = f"{before}{between} " if between else ""
        return [last.strip()]

    def pathFromIndex(self, index: QModelIndex | QPersistentModelIndex) -> str:
        """What stands in the line once something is chosen."""
        return self._before + str(super().pathFromIndex(index))


class OutputsTable(QTableWidget):
    """Emits ``changed`` when a person chooses or types another output."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.setHorizontalHeaderLabels(COLUMNS)
        self.setAccessibleName("Outputs that stand for the classes")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setSectionResizeMode(2, QHeaderView.ResizeMode.ResizeToContents)
        self._names = QStringListModel(self)
        self._wheelless = Wheelless(self)
        self._classes: tuple[str, ...] = ()
        self._filling = False

    def show_found(self, found: Found | None) -> None:
        """A row for each class; None: none."""
        self._filling = True
        self._classes = found.classes if found else ()
        self.setRowCount(0)
        self._names.setStringList(list(found.names) if found else [])
        self.setRowCount(len(self._classes))
        for row, one in enumerate(self._classes):
            self.setItem(row, 0, QTableWidgetItem(one))
            self.setCellWidget(row, 1, self._choice(one, found.chosen[row] if found else ""))
            self._judge(row)
        self._filling = False
        before: QWidget = self
        for row in range(self.rowCount()):
            QWidget.setTabOrder(before, self.choice(row))
            before = self.choice(row)

    def choice(self, row: int) -> QComboBox:
        """The list of a row."""
        found = self.cellWidget(row, 1)
        assert isinstance(found, QComboBox)
        return found

    def mapping(self) -> Mapping[str, str]:
        """What stands for each class, where something does."""
        texts = {one: self.choice(row).currentText().strip() for row, one in enumerate(self._classes)}
        return {one: text for one, text in texts.items() if text}

    @property
    def wrong(self) -> tuple[str, ...]:
        """The classes that no output stands for, or something that is none."""
        return tuple(one for row, one in enumerate(self._classes) if self._what_is_wrong(row))

    def _choice(self, one: str, chosen: str) -> QComboBox:
        made = QComboBox()
        made.setEditable(True)
        made.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        made.setModel(self._names)
        made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        made.setCompleter(PartCompleter(self._names, made))
        made.setAccessibleName(f"Output for {one}")
        made.setToolTip("Type a part of a name to find it. Where several stand for the class, put semicolons between.")
        made.installEventFilter(self._wheelless)
        made.setCurrentText(chosen)
        edit = made.lineEdit()
        assert edit is not None
        edit.setPlaceholderText("choose one")
        edit.setCursorPosition(0)
        made.currentTextChanged.connect(lambda _: self._changed(made))
        return made

    def _changed(self, changed: QComboBox) -> None:
        if self._filling:
            return
        self._judge(next(row for row in range(self.rowCount()) if self.choice(row) is changed))
        self.changed.emit()

    def _what_is_wrong(self, row: int) -> str:
        text = self.choice(row).currentText().strip()
        if not text:
            return "no output"
        try:
            numbers_of(self._classes[row], text, self._names.stringList())
        except ConfigError:
            return "no such output"
        return ""

    def _judge(self, row: int) -> None:
        """Mark a class without output."""
        wrong, item = self._what_is_wrong(row), QTableWidgetItem()
        item.setText(wrong)
        item.setForeground(QColor(theme.current().error))
        item.setToolTip(plain_tooltip("Choose what of the teacher stands for this class.") or "" if wrong else "")
        self.setItem(row, 2, item)
