"""Which output of a teacher from elsewhere stands for which class of the data: a row a class, each with a list that filters."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QComboBox, QCompleter, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from workbench.errors import ConfigError
from workbench.exchange.bringing import Found
from workbench.exchange.class_names import BETWEEN, Outputs
from workbench.gui import theme
from workbench.gui.forms import Wheelless, plain_tooltip

COLUMNS = ("Class of the data", "Output that stands for it", "")
OFFERED = 12
AT_ONCE = 30
"""Rows that are made before the window does something else."""
NO_SUCH = "no such output"


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


class OutputChoice(QComboBox):
    """A line with a list of all outputs, which it takes only when it is opened: a list of a thousand takes milliseconds to set,
    and there is one for each class."""

    def __init__(self, names: QStringListModel) -> None:
        super().__init__()
        self._all = names
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setCompleter(PartCompleter(names, self))

    def showPopup(self) -> None:
        """Open the list."""
        if self.model() is not self._all:
            text = self.currentText()
            blocked = self.blockSignals(True)
            self.setModel(self._all)
            self.setCurrentIndex(self.findText(text))
            self.setEditText(text)
            self.blockSignals(blocked)
        super().showPopup()


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
        self.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.setColumnWidth(0, 140)
        self.setColumnWidth(2, self.fontMetrics().horizontalAdvance(f"  {NO_SUCH}  "))
        self._names = QStringListModel(self)
        self._classes: tuple[str, ...] = ()
        self._chosen: tuple[str, ...] = ()
        self._outputs = Outputs(())
        self._judged: list[str] = []
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.timeout.connect(self._fill)

    def show_found(self, found: Found | None) -> None:
        """A row for each class, the first at once and others soon; None: none."""
        self._more.stop()
        self.setRowCount(0)
        self._classes, self._chosen = (found.classes, found.chosen) if found else ((), ())
        self._outputs = Outputs(found.names if found else ())
        self._judged = []
        self._names.setStringList(list(self._outputs.names))
        self._fill()

    def _fill(self) -> None:
        """Add some rows, so that the window never waits for all of them."""
        first = self.rowCount()
        last = min(first + AT_ONCE, len(self._classes))
        self.setRowCount(last)
        for row in range(first, last):
            self.setItem(row, 0, QTableWidgetItem(self._classes[row]))
            self.setCellWidget(row, 1, self._choice(row))
            QWidget.setTabOrder(self.choice(row - 1) if row else self, self.choice(row))
            self._judged.append("")
            self._judge(row)
        if last < len(self._classes):
            self._more.start()

    def choice(self, row: int) -> QComboBox:
        """The list of a row."""
        found = self.cellWidget(row, 1)
        assert isinstance(found, QComboBox)
        return found

    def mapping(self) -> Mapping[str, str]:
        """What stands for each class, where something does."""
        shown = [self.choice(row).currentText().strip() for row in range(self.rowCount())]
        texts = [*shown, *self._chosen[len(shown) :]]
        return {one: text for one, text in zip(self._classes, texts, strict=True) if text}

    @property
    def wrong(self) -> tuple[str, ...]:
        """The classes that no output stands for, or something that is none."""
        return tuple(one for one, wrong in zip(self._classes, self._judged, strict=False) if wrong)

    def _choice(self, row: int) -> QComboBox:
        made = OutputChoice(self._names)
        made.setAccessibleName(f"Output for {self._classes[row]}")
        made.setToolTip("Type a part of a name to find it. Where several stand for the class, put semicolons between.")
        Wheelless(made)
        made.setEditText(self._chosen[row])
        edit = made.lineEdit()
        assert edit is not None
        edit.setPlaceholderText("choose one")
        edit.setCursorPosition(0)
        made.currentTextChanged.connect(lambda _: self._changed(row))
        return made

    def _changed(self, row: int) -> None:
        self._judge(row)
        self.changed.emit()

    def _what_is_wrong(self, row: int) -> str:
        text = self.choice(row).currentText().strip()
        if not text:
            return "no output"
        try:
            self._outputs.numbers(self._classes[row], text)
        except ConfigError:
            return NO_SUCH
        return ""

    def _judge(self, row: int) -> None:
        """Mark a class without output."""
        wrong, item = self._what_is_wrong(row), QTableWidgetItem()
        self._judged[row] = wrong
        item.setText(wrong)
        item.setForeground(QColor(theme.current().error))
        item.setToolTip(plain_tooltip("Choose what of the teacher stands for this class.") or "" if wrong else "")
        self.setItem(row, 2, item)
