"""What mattered for a figure: a bar a setting with its uncertainty, and which way it goes."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from workbench.analysis.importance import Answer, Mattered
from workbench.gui import theme
from workbench.gui.explore.field_box import FieldBox
from workbench.gui.forms import label, plain_tooltip
from workbench.history.fields import Field

BAR_ROLE = Qt.ItemDataRole.UserRole
TITLES = {
    "Setting": "Settings that do not vary among these runs are left out.",
    "Importance": "How much of the figure's variance is lost when the setting's values are shuffled, with its standard error.",
    "Rank correlation": "Spearman's, from −1 to 1: whether the figure grows with the setting.",
    "Values": "How many values the setting has among these runs, none among them.",
}
AXES_SHOWN = 6


class _Bar(QStyledItemDelegate):
    """A bar with a line across it for the uncertainty, and the number beside it."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        """Paint the bar."""
        value, spread, longest = index.data(BAR_ROLE)
        now, area = theme.current(), QRectF(option.rect).adjusted(4, 3, -96, -3)
        super().paint(painter, option, index)
        scale = area.width() / longest if longest > 0 else 0.0
        wide = max(0.0, value) * scale
        painter.fillRect(QRectF(area.left(), area.top(), wide, area.height()), QColor(now.curves[0]))
        painter.setPen(QPen(QColor(now.text), 1))
        middle = area.center().y()
        low, high = (area.left() + max(0.0, value + by * spread) * scale for by in (-1, 1))
        painter.drawLine(QPointF(low, middle), QPointF(high, middle))


class MatteredPage(QWidget):
    """Shows an :class:`Answer`. ``wanted`` asks for one about :attr:`figure`."""

    wanted = Signal()
    scatter_wanted = Signal(str, str)
    parallel_wanted = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.answer: Answer | None = None
        self.figure = FieldBox("Figure", "The figure that settings may have mattered for.")
        self.figure.set_name("test_accuracy")
        self.scatter = QPushButton("Show as scatter")
        self.scatter.setToolTip("The figure against the chosen setting (double click).")
        self.parallel = QPushButton("Show as parallel coordinates")
        self.parallel.setToolTip("The settings that mattered most, and the figure.")
        self.words = label("", wrap=True)
        self.table = QTableWidget(0, len(TITLES))
        self.table.setAccessibleName("What mattered")
        for place, (title, help_) in enumerate(TITLES.items()):
            item = QTableWidgetItem(title)
            item.setToolTip(help_)
            self.table.setHorizontalHeaderItem(place, item)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setItemDelegateForColumn(1, _Bar(self.table))
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(self.table.fontMetrics().height() + 8)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        top = QHBoxLayout()
        for widget in (label("What mattered for"), self.figure, self.scatter, self.parallel):
            top.addWidget(widget)
        top.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.words)
        layout.addWidget(self.table, 1)
        self.figure.chosen.connect(lambda _: self.wanted.emit())
        self.scatter.clicked.connect(self._scatter)
        self.table.doubleClicked.connect(lambda _: self._scatter())
        self.parallel.clicked.connect(self._parallel)
        self.table.itemSelectionChanged.connect(self._tell)
        self._tell()

    def offer(self, fields: Sequence[Field]) -> None:
        """The figures to choose among."""
        self.figure.offer([one for one in fields if one.kind == "number" and one.group != "Settings"])

    def wait(self, runs: int) -> None:
        """Say that an answer about so many runs is being worked out, in the place of another one."""
        self.show_answer(Answer(figure="", runs=runs, trouble=f"Growing trees over {runs:,} run{'s' * (runs != 1)}…"))

    def show_answer(self, answer: Answer) -> None:
        """Show what mattered."""
        self.answer = answer
        self.words.setText(answer.words())
        self.table.setRowCount(len(answer.rows))
        longest = max((row.importance + row.spread for row in answer.rows), default=0.0)
        for place, row in enumerate(answer.rows):
            self._fill(place, row, longest, answer.better)
        self.table.resizeColumnToContents(0)
        self.table.setColumnWidth(0, min(360, self.table.columnWidth(0) + 12))
        for column in (2, 3):
            self.table.resizeColumnToContents(column)
        self._tell()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.table.viewport().update()

    def _fill(self, place: int, row: Mattered, longest: float, better: int) -> None:
        alike = f" (and {len(row.alike)} that vary with it)" if row.alike else ""
        setting = QTableWidgetItem(f"{row.title}{alike}")
        setting.setToolTip(plain_tooltip("\n".join((row.name, *row.alike))) or "")
        bar = QTableWidgetItem(f"{_signed(row.importance)} ± {row.spread:.3f}")
        bar.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        bar.setData(BAR_ROLE, (row.importance, row.spread, longest))
        cells = [setting, bar, QTableWidgetItem(self._correlated(row, better)), QTableWidgetItem(str(row.values))]
        for column, item in enumerate(cells):
            self.table.setItem(place, column, item)

    def _correlated(self, row: Mattered, better: int) -> str:
        if row.correlation is None:
            return "–"
        said = "no clear direction"
        if abs(row.correlation) >= 0.1:
            rises = row.correlation > 0
            said = ("more is better" if rises == (better > 0) else "more is worse") if better else "rises" if rises else "falls"
        return f"{row.correlation:+.2f}   {said}".replace("-", "−")

    def _tell(self) -> None:
        self.scatter.setEnabled(bool(self._chosen()))
        self.parallel.setEnabled(self.table.rowCount() > 0)

    def _chosen(self) -> str:
        place = self.table.currentRow()
        return self.answer.rows[place].name if self.answer is not None and 0 <= place < len(self.answer.rows) else ""

    def _scatter(self) -> None:
        if name := self._chosen():
            self.scatter_wanted.emit(name, self.figure.name)

    def _parallel(self) -> None:
        if self.answer is not None:
            self.parallel_wanted.emit([*(row.name for row in self.answer.rows[:AXES_SHOWN]), self.figure.name])


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")
