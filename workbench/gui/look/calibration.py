"""How far confidence can be trusted, before and after logits are divided by one temperature fitted on validation."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from workbench.analysis.looking import Scaled
from workbench.analysis.report import Judged, Party
from workbench.gui.forms import label
from workbench.gui.report.plots import ReliabilityPlot

COLUMNS = ("", "best T", "ECE before", "ECE after", "NLL before", "NLL after")
HELP = (
    "",
    "The one T by which validation's logits are divided so that their negative log-likelihood is smallest.",
    "Expected calibration error on the test images at T = 1: how far confidence is from accuracy, on average.",
    "The same with logits divided by that T. No prediction changes.",
    "Negative log-likelihood of the right class on the test images, in nats.",
    "The same with logits divided by that T.",
)


class CalibrationPage(QWidget):
    """A table of all parties, and two reliability diagrams of one."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Scaled] = {}
        self.state = label("", "faint", wrap=True)
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        for at, words in enumerate(HELP):
            self.table.model().setHeaderData(at, Qt.Orientation.Horizontal, words, Qt.ItemDataRole.ToolTipRole)
        self.table.setAccessibleName("Calibration before and after temperature scaling")
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.of = QComboBox()
        self.of.setAccessibleName("Reliability of")
        self.of.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.of.currentIndexChanged.connect(lambda _: self._draw())
        self.table.currentCellChanged.connect(lambda row, *_: self.of.setCurrentIndex(row))
        self.before, self.after = ReliabilityPlot("Reliability at T = 1"), ReliabilityPlot("Reliability at the best T")
        row, plots = QHBoxLayout(), QHBoxLayout()
        row.addWidget(label("Reliability of"))
        row.addWidget(self.of)
        row.addStretch(1)
        plots.addWidget(self.before, 1)
        plots.addWidget(self.after, 1)
        self._inside = QWidget()
        inside = QVBoxLayout(self._inside)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.table)
        inside.addLayout(row)
        inside.addLayout(plots)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 0, 0)
        layout.addWidget(self.state)
        layout.addWidget(self._inside)
        layout.addStretch(1)
        self.clear("")

    def clear(self, words: str) -> None:
        """Show nothing but why."""
        self._found = {}
        self.state.setText(words)
        self._inside.hide()

    def show_scaled(self, found: dict[str, Scaled], cases: int) -> None:
        """Show what came of fitting a temperature on so many validation cases."""
        chosen = self.of.currentText() or "student"
        self._found = {one.name: one for one in found.values()}
        self.state.setText(
            f"One temperature each, fitted on {cases:,} validation images by negative log-likelihood, judged on test images."
        )
        self.table.setRowCount(len(found))
        for row, one in enumerate(self._found.values()):
            both = (one.before, one.after)
            cells = (one.name, f"{one.temperature:.3g}", *(f"{at.reliability.error:.4f}" for at in both))
            cells = (*cells, *(f"{at.nll:.4f}" for at in both))
            for column, text in enumerate(cells):
                self.table.setItem(row, column, QTableWidgetItem(text))
        high = self.table.horizontalHeader().sizeHint().height() + sum(self.table.rowHeight(row) for row in range(len(found)))
        self.table.setFixedHeight(high + 4)
        self._inside.show()
        self.of.clear()
        self.of.addItems(list(self._found))
        self.of.setCurrentText(chosen)
        self._draw()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.before.dress()
        self.after.dress()

    def _draw(self) -> None:
        one = self._found.get(self.of.currentText())
        if one is None:
            return
        self.before.show_parties([_party("at T = 1", one.name, one.before)])
        self.after.show_parties([_party(f"at T = {one.temperature:.3g}", one.name, one.after)])


def _party(name: str, of: str, judged: Judged) -> Party:
    key = of if of in ("student", "baseline") else "ensemble"
    return Party(key=key, name=name, runs=(), judged=judged)
