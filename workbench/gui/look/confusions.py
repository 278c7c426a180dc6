"""What each party takes for what, and where two of them differ."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from workbench.analysis.looking import Looked
from workbench.analysis.report import confusion
from workbench.gui.confusion import ConfusionMap
from workbench.gui.forms import label


def in_scroll(widget: QWidget, name: str) -> QScrollArea:
    """A page that scrolls down where it is higher than its room."""
    area = QScrollArea()
    area.setWidget(widget)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setAccessibleName(name)
    return area


class ConfusionsPage(QWidget):
    """A confusion matrix of one party, or its difference from another's; ``cell_wanted`` is emitted with the key of the party
    and the numbers of the right and of the predicted class."""

    cell_wanted = Signal(str, int, int)

    def __init__(self) -> None:
        super().__init__()
        self._looked: Looked | None = None
        self.of, self.minus = QComboBox(), QComboBox()
        self.of.setAccessibleName("Confusions of")
        self.of.setToolTip("Whose predictions on the test images are counted.")
        self.minus.setAccessibleName("Beside")
        self.minus.setToolTip("Count how many more or fewer there are than of this one.")
        row = QHBoxLayout()
        for words, box in (("Confusions of", self.of), ("less those of", self.minus)):
            row.addWidget(label(words))
            row.addWidget(box)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
            box.activated.connect(lambda _: self._show())
        row.addStretch(1)
        self.map = ConfusionMap()
        self.map.cell_chosen.connect(lambda right, other: self.cell_wanted.emit(self.of.currentData(), right, other))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 0, 0)
        layout.addLayout(row)
        layout.addWidget(label("Choose a cell to see its images.", "faint", wrap=True))
        layout.addWidget(self.map)
        layout.addStretch(1)

    def show_looked(self, looked: Looked) -> None:
        """Show an experiment's; whose they are stays, where it has the like."""
        self._looked = looked
        of, minus = self.of.currentData() or "student", self.minus.currentData()
        self.of.clear()
        self.minus.clear()
        self.minus.addItem("nobody", "")
        for one in looked.line_up.parties:
            self.of.addItem(one.name, one.key)
            self.minus.addItem(one.name, one.key)
        self.of.setCurrentIndex(max(0, self.of.findData(of)))
        self.minus.setCurrentIndex(max(0, self.minus.findData(minus)))
        self.map.chosen = None
        self._show()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.map.dress()

    def _matrix(self, key: str) -> np.ndarray:
        assert self._looked is not None
        said = self._looked.said(key)
        assert said is not None
        return confusion(said, self._looked.labels, len(self._looked.classes))

    def _show(self) -> None:
        if self._looked is None:
            return
        of, minus = self.of.currentData(), self.minus.currentData()
        matrix = self._matrix(of)
        if minus:
            matrix = matrix - self._matrix(minus)
        self.map.show_matrix(matrix, self._looked.classes, f"the {self.minus.currentText()}" if minus else "")
