"""The table of a report: ensemble, baseline and student under each other, the ensemble's members folded away."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHeaderView, QSizePolicy, QTreeWidget, QTreeWidgetItem

from workbench.analysis.report import Latencies, Party, Report
from workbench.analysis.report_words import COLUMNS, ENDS, lines
from workbench.gui.forms import plain_tooltip

MOST_UNFOLDED = 3
"""More members than these are folded away at first."""


class PartyTable(QTreeWidget):
    """As high as its rows, so that the page scrolls and not the table. ``wanted`` is emitted with the runs of a row that a
    person double-clicks, or presses Return on."""

    wanted = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self._report: int | None = None
        self.setAccessibleName("Ensemble, baseline and student")
        self.setColumnCount(len(COLUMNS))
        self.setHeaderLabels([name + (" (ms)" if "image" in name else "") for name in COLUMNS])
        for at, words in enumerate(COLUMNS.values()):
            self.headerItem().setToolTip(at, plain_tooltip(words) or "")
            if at:
                self.headerItem().setTextAlignment(at, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setAlternatingRowColors(True)
        self.setUniformRowHeights(True)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.header().setStretchLastSection(False)
        self.header().setSectionsMovable(False)
        self.itemExpanded.connect(lambda _: self._fit())
        self.itemCollapsed.connect(lambda _: self._fit())
        self.itemActivated.connect(lambda item, _: self.wanted.emit(item.data(0, Qt.ItemDataRole.UserRole)))

    def show_report(self, report: Report, latencies: Latencies | None) -> None:
        """Show a report; of the same one again, what a person has unfolded stays so."""
        whole = self.topLevelItem(0)
        unfolded = whole.isExpanded() if whole is not None and report.experiment == self._report else None
        self._report = report.experiment
        self.clear()
        tops: dict[str, QTreeWidgetItem] = {}
        for line in lines(report, latencies):
            item = QTreeWidgetItem(list(line.cells))
            item.setData(0, Qt.ItemDataRole.UserRole, list(line.party.runs))
            item.setToolTip(0, plain_tooltip(_about(line.party)) or "")
            for at in range(1, len(COLUMNS)):
                item.setTextAlignment(at, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            if line.party.status != "done" and line.party.figures.errors is None:
                item.setToolTip(1, plain_tooltip(line.party.message) or "")
            if line.party.inside in tops:
                tops[line.party.inside].addChild(item)
            else:
                self.addTopLevelItem(item)
                tops[line.party.key] = item
        for top in tops.values():
            top.setExpanded(top.childCount() <= MOST_UNFOLDED if unfolded is None else unfolded)
        self.setRootIsDecorated(any(top.childCount() for top in tops.values()))
        self._fit()

    def _fit(self) -> None:
        """As high as what is unfolded, names as wide as they are, and the rest for the numbers."""
        self.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        rows, item = 0, self.topLevelItem(0)
        while item is not None:
            rows += 1
            item = self.itemBelow(item)
        high = self.sizeHintForRow(0) if rows else 0
        self.setFixedHeight(self.header().sizeHint().height() + rows * high + 2 * self.frameWidth() + 4)
        self.header().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)


def _about(party: Party) -> str:
    runs = f"Run{'s' * (len(party.runs) > 1)} {', '.join(map(str, party.runs))}"
    end = f"; {ENDS[party.status]}" if party.status in ENDS else ""
    message = f": {party.message}" if party.message and end else ""
    about = f" {party.about}" if party.about else ""
    return f"{runs}{end}{message}.{about} A double click, or Return, shows it in the history."
