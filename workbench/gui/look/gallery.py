"""Test images to choose from: thumbnails that are made as they come into sight."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractListModel, QItemSelectionModel, QModelIndex, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QListView, QPushButton, QVBoxLayout, QWidget

from workbench.analysis.looking import SIEVES, Cell, Looked, sifted
from workbench.gui.forms import label, plain_tooltip
from workbench.gui.setup.pictures import to_pixmap
from workbench.gui.specialists.subsets_page import scaled
from workbench.words import capital

SIDE = 44
KEPT = 2000
"""So many thumbnails are kept."""
Index = QModelIndex | QPersistentModelIndex


class GalleryModel(QAbstractListModel):
    """Some test cases of a :class:`Looked`, each with its picture, its right class and whether the student finds it."""

    def __init__(self) -> None:
        super().__init__()
        self.looked: Looked | None = None
        self.cases = np.zeros(0, int)
        self._judge: np.ndarray | None = None
        self._pixmaps: OrderedDict[int, QPixmap] = OrderedDict()

    def show_cases(self, looked: Looked | None, cases: np.ndarray) -> None:
        """Show these."""
        self.beginResetModel()
        if looked is not self.looked:
            self._pixmaps.clear()
        self.looked, self.cases = looked, cases
        self._judge = None
        if looked is not None:
            student = looked.said("student")
            self._judge = student if student is not None else looked.predicted[0]
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - as Qt has it
        """How many there are."""
        return 0 if parent.isValid() else len(self.cases)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Picture, caption, and what is said of it in a sentence."""
        if self.looked is None or self._judge is None or not index.isValid():
            return None
        case = int(self.cases[index.row()])
        right, said = (self.looked.classes[int(of[case])] for of in (self.looked.labels, self._judge))
        if role == Qt.ItemDataRole.DecorationRole:
            return self._pixmap(case)
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{'✓' if right == said else '✗'} {right}"
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            who = "the student" if self.looked.said("student") is not None else self.looked.line_up.parties[0].name
            words = f"Test image {case}: {right}. {capital(who)} says {said}."
            return plain_tooltip(words) if role == Qt.ItemDataRole.ToolTipRole else words
        return None

    def _pixmap(self, case: int) -> QPixmap:
        assert self.looked is not None
        if case not in self._pixmaps:
            self._pixmaps[case] = scaled(to_pixmap(self.looked.images[case]), SIDE)
            while len(self._pixmaps) > KEPT:
                self._pixmaps.popitem(last=False)
        self._pixmaps.move_to_end(case)
        return self._pixmaps[case]


class Gallery(QWidget):
    """Filters above, images below; ``chosen`` is emitted with the number of the test case that is looked at, -1 for none."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._looked: Looked | None = None
        self._cell: Cell | None = None
        self.filter, self.classes = QComboBox(), QComboBox()
        self.filter.setAccessibleName("Which images")
        self.classes.setAccessibleName("Right class")
        self.classes.setToolTip("Only images of this class.")
        for box, width in ((self.filter, 16), (self.classes, 6)):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(width)
            box.setMaxVisibleItems(24)
            box.activated.connect(lambda _: self._sift_anew())
        self.of_cell = label("", wrap=True)
        self.leave_cell = QPushButton("All again")
        self.leave_cell.setToolTip("Leave the cell, and show what is chosen above.")
        self.leave_cell.clicked.connect(lambda: self.show_cell(None))
        self.model = GalleryModel()
        self.view = self._view()
        self.state = label("", "faint", wrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        row, cell = QHBoxLayout(), QHBoxLayout()
        row.addWidget(self.filter, 1)
        row.addWidget(self.classes)
        cell.addWidget(self.of_cell, 1)
        cell.addWidget(self.leave_cell)
        layout.addLayout(row)
        layout.addLayout(cell)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.state)
        self._show_cell_row()

    def _view(self) -> QListView:
        view = QListView()
        view.setModel(self.model)
        view.setAccessibleName("Test images")
        view.setViewMode(QListView.ViewMode.IconMode)
        view.setMovement(QListView.Movement.Static)
        view.setResizeMode(QListView.ResizeMode.Adjust)
        view.setIconSize(QSize(SIDE, SIDE))
        view.setGridSize(QSize(SIDE + 22, SIDE + 24))
        view.setUniformItemSizes(True)
        view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        view.setTextElideMode(Qt.TextElideMode.ElideRight)
        selected = view.selectionModel()
        selected.currentChanged.connect(lambda index, _: self.chosen.emit(self._case(index)))
        return view

    @property
    def case(self) -> int:
        """The test case looked at, -1 for none."""
        return self._case(self.view.currentIndex())

    def _case(self, index: Index) -> int:
        return int(self.model.cases[index.row()]) if index.isValid() else -1

    def show_looked(self, looked: Looked | None) -> None:
        """Show the test images of an experiment; what is chosen above stays, as far as there is the like."""
        self._looked, self._cell = looked, None
        sieve, right = self.filter.currentData() or "all", self.classes.currentText()
        self.filter.clear()
        self.classes.clear()
        self.classes.addItem("every class")
        if looked is not None:
            keys = {one.key for one in looked.line_up.parties}
            for name, about in SIEVES.items():
                if set(about.needs) <= keys:
                    count = int(about.passing(looked).sum())
                    self.filter.addItem(f"{about.words} ({count:,})", name)
                    self.filter.setItemData(self.filter.count() - 1, plain_tooltip(about.about), Qt.ItemDataRole.ToolTipRole)
            self.classes.addItems(looked.classes)
        self.filter.setCurrentIndex(max(0, self.filter.findData(sieve)))
        self.classes.setCurrentIndex(max(0, self.classes.findText(right)))
        self._sift()

    def show_cell(self, cell: Cell | None) -> None:
        """Show the images of a cell of a matrix of classes, or what the filters say."""
        self._cell = cell
        self._sift()

    def _sift_anew(self) -> None:
        self._cell = None
        self._sift()

    def _sift(self) -> None:
        self._show_cell_row()
        looked, sieve = self._looked, self.filter.currentData()
        if looked is None or sieve is None:
            self.model.show_cases(None, np.zeros(0, int))
            self.state.setText("")
            self.chosen.emit(-1)
            return
        self.filter.setToolTip(plain_tooltip(SIEVES[sieve].about) or "")
        right = self.classes.currentIndex() - 1
        cases = sifted(looked, sieve, right if right >= 0 else None, self._cell)
        self.model.show_cases(looked, cases)
        self.state.setText(self._words(len(cases), sieve))
        if not len(cases):
            self.chosen.emit(-1)
            return
        index = self.model.index(0)
        self.view.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self.view.scrollTo(index)

    def _words(self, count: int, sieve: str) -> str:
        if not count:
            return "No test image is so."
        words = f"{count:,} test image{'s' * (count != 1)}"
        if sieve == "dark" and self._cell is None and self._looked is not None:
            words += f", highest entropy at the student's T = {self._looked.line_up.temperature:g} first"
        return f"{words}."

    def _show_cell_row(self) -> None:
        there = self._cell is not None and self._looked is not None
        self.of_cell.setVisible(there)
        self.leave_cell.setVisible(there)
        if self._cell is not None and self._looked is not None:
            self.of_cell.setText(self._cell.words(self._looked))
