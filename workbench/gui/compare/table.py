"""Figures and settings side by side: a column for each run or group, sorted by any line, what differs marked."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QAction, QColor, QFont, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from workbench.gui import theme
from workbench.gui.compare.found import Compared, Shown
from workbench.gui.compare.rows import Row, rows_of
from workbench.gui.compare.swatch import swatch
from workbench.gui.forms import plain_tooltip

Index = QModelIndex | QPersistentModelIndex
WIDEST = 200
"""Pixels that a column gets by itself; a person may draw it wider."""


class ComparedModel(QAbstractTableModel):
    """Lines and columns as they are shown, in the order that the person sorts them by."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.shown: tuple[Shown, ...] = ()
        self.sorted_by = ""
        self.descending = False
        self._columns: list[int] = []

    def fill(self, found: Compared, shown: Sequence[Shown], *, all_settings: bool) -> None:
        """Show these."""
        self.beginResetModel()
        self.shown = tuple(shown)
        self.rows = rows_of(found, shown, all_settings=all_settings)
        self._sort()
        self.endResetModel()

    def sort_by(self, name: str) -> None:
        """Sort the columns by a line; the same line again turns the order round, and a third time gives the first one back."""
        self.beginResetModel()
        if name != self.sorted_by:
            self.sorted_by, self.descending = name, False
        elif not self.descending:
            self.descending = True
        else:
            self.sorted_by, self.descending = "", False
        self._sort()
        self.endResetModel()

    def column(self, place: int) -> Shown:
        """What stands in a column."""
        return self.shown[self._columns[place]]

    def place(self, key: Hashable) -> int | None:
        """The column of a key, None where it has none."""
        return next((place for place, number in enumerate(self._columns) if self.shown[number].key == key), None)

    def _sort(self) -> None:
        self._columns = list(range(len(self.shown)))
        row = next((row for row in self.rows if row.name == self.sorted_by), None)
        if row is None:
            return
        there = [number for number in self._columns if row.order[number] is not None]
        texts = any(isinstance(row.order[number], str) for number in there)
        there.sort(key=lambda number: str(row.order[number]) if texts else row.order[number], reverse=self.descending)
        self._columns = there + [number for number in self._columns if row.order[number] is None]

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Lines."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Runs or groups."""
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """A cell; one whose value most others do not have is bold, coloured and says so."""
        row, number = self.rows[index.row()], self._columns[index.column()]
        marked = bool(row.marked) and row.marked[number]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return row.texts[number]
            case Qt.ItemDataRole.FontRole if marked:
                bold = QFont()
                bold.setBold(True)
                return bold
            case Qt.ItemDataRole.ForegroundRole if marked:
                return QColor(theme.current().accent)
            case Qt.ItemDataRole.ToolTipRole:
                return plain_tooltip(row.texts[number] + ("\nMost of the others have another value." if marked else ""))
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The name of a column with its swatch, or that of a line with ≠ where a setting differs."""
        if orientation == Qt.Orientation.Horizontal:
            one = self.column(section)
            match role:
                case Qt.ItemDataRole.DisplayRole:
                    return one.name if len(one.rows) == 1 else one.title
                case Qt.ItemDataRole.DecorationRole:
                    return swatch(one.number)
                case Qt.ItemDataRole.ToolTipRole:
                    return plain_tooltip(one.about)
            return None
        row = self.rows[section]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                arrow = ("  ▼" if self.descending else "  ▲") if row.name == self.sorted_by else ""
                return ("≠ " if row.differs else "") + row.name + arrow
            case Qt.ItemDataRole.ToolTipRole:
                what = "A setting that is not the same in all columns.\n" if row.differs else ""
                return plain_tooltip(f"{what}Click to sort the columns by {row.name}.")
        return None

    def values(self) -> tuple[list[str], list[list[str]]]:
        """The names of the columns and all lines, each with its name first."""
        head = ["", *(self.column(place).title for place in range(len(self._columns)))]
        return head, [[row.name, *(row.texts[number] for number in self._columns)] for row in self.rows]

    def text(self, lines: Sequence[int], columns: Sequence[int]) -> str:
        """Some lines and columns with their names, cells apart by tabs: what a spreadsheet takes."""
        head = "\t".join(["", *(self.column(place).title for place in columns)])
        body = [
            "\t".join([self.rows[line].name, *(self.rows[line].texts[self._columns[at]] for at in columns)]) for line in lines
        ]
        return "\n".join([head, *body])


class ComparedTable(QTableView):
    """``picked`` is the key of the column that a person chose."""

    picked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.compared = ComparedModel()
        self.setModel(self.compared)
        self.setAccessibleName("Figures, and settings that differ")
        self.setAlternatingRowColors(True)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        self.verticalHeader().setSectionsClickable(True)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.horizontalHeader().setTextElideMode(Qt.TextElideMode.ElideRight)
        self.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.horizontalHeader().setResizeContentsPrecision(0)  # of the lines in view: all of fifty runs take too long
        self.verticalHeader().sectionClicked.connect(lambda line: self.sort_by(self.compared.rows[line].name))
        self.horizontalHeader().sectionClicked.connect(lambda column: self.picked.emit(self.compared.column(column).key))
        self.clicked.connect(lambda index: self.picked.emit(self.compared.column(index.column()).key))
        self.activated.connect(lambda index: self.sort_by(self.compared.rows[index.row()].name))
        copy = QAction("Copy as text", self)
        copy.setShortcut(QKeySequence.StandardKey.Copy)
        copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        copy.triggered.connect(self.copy)
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)

    def fill(self, found: Compared, shown: Sequence[Shown], *, all_settings: bool) -> None:
        """Show these; widths and the place scrolled to stay where the same columns are shown."""
        before = [one.key for one in self.compared.shown], len(self.compared.rows)
        across, down = self.horizontalScrollBar().value(), self.verticalScrollBar().value()
        self.compared.fill(found, shown, all_settings=all_settings)
        if before != ([one.key for one in shown], len(self.compared.rows)):
            self.resizeColumnsToContents()
            for column in range(self.compared.columnCount()):
                self.setColumnWidth(column, min(WIDEST, self.columnWidth(column)))
        self.horizontalScrollBar().setValue(across)
        self.verticalScrollBar().setValue(down)

    def sort_by(self, name: str) -> None:
        """Sort the columns by a line."""
        self.compared.sort_by(name)

    def copy(self) -> None:
        """What is selected, or all of it where nothing is, to the clipboard."""
        chosen = self.selectionModel().selectedIndexes()
        lines = sorted({index.row() for index in chosen}) or list(range(self.compared.rowCount()))
        columns = sorted({index.column() for index in chosen}) or list(range(self.compared.columnCount()))
        QGuiApplication.clipboard().setText(self.compared.text(lines, columns))
