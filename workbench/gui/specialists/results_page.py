"""What a generalist and its specialists reach together on the test split: the paper's tables 3 and 4."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget
from sqlite_utils import Database

from workbench.analysis.specialist_results import Covered, coverage, generalists, seeds_in_words, summary
from workbench.gui.forms import label
from workbench.history.specialised import alike
from workbench.plan import SPECIALISED


@dataclass(frozen=True, slots=True)
class Results:
    """Figures in words of one experiment, and of all that differ from it in their seeds alone, and the table by coverage."""

    experiment: int
    seeds: str
    generalists: int
    own: dict[str, str]
    mean: dict[str, str]
    covered: tuple[Covered, ...]


def results_of(database: Database, experiment: int) -> Results | None:
    """The results of an experiment whose generalist and specialists have been combined, else None."""
    points = [point for point in alike(database, experiment) if "test_errors" in _figures(point.runs)]
    if not points or points[0].experiment != experiment:
        return None
    many_seeds = summary(points) if len(points) > 1 else {}
    return Results(
        experiment, seeds_in_words(points), generalists(points), summary(points[:1]), many_seeds, tuple(coverage(points))
    )


def _figures(runs: dict) -> dict[str, float]:  # type: ignore[type-arg]
    return runs[SPECIALISED].figures if SPECIALISED in runs else {}


class ResultsPage(QWidget):
    """Two tables: figures, and what is gained by how many specialists have the right class."""

    def __init__(self) -> None:
        super().__init__()
        self.results: Results | None = None
        self.headline = label("", "title", wrap=True)
        self.figures, self.covered = _table("Figures"), _table("By the number of specialists that have the right class")
        layout = QVBoxLayout(self)
        layout.addWidget(self.headline)
        layout.addWidget(label("On the test split, which chose nothing. A standard error stands behind ±.", "faint", wrap=True))
        layout.addWidget(self.figures, 3)
        layout.addWidget(label("Test cases by the number of specialists that have the right class", wrap=True))
        layout.addWidget(self.covered, 1)

    def show_results(self, results: Results | None) -> None:
        """Show the results of an experiment."""
        self.results = results
        if results is None:
            self.headline.setText("The results of this experiment are gone.")
            _fill(self.figures, [], [])
            _fill(self.covered, [], [])
            return
        alone, together = _errors(results.own, "generalist alone"), _errors(results.own, "combined")
        self.headline.setText(f"{together} errors combined, {alone} by the generalist alone")
        titles = ["", f"Experiment #{results.experiment}"]
        if results.mean:
            titles.append(f"Mean of {results.seeds}")
        rows = [[_said(name), _whole(value), results.mean.get(name, "")][: len(titles)] for name, value in results.own.items()]
        _fill(self.figures, titles, rows)
        seeds = ", all seeds together" if results.generalists > 1 else ""
        _fill(
            self.covered,
            ["Specialists", f"Cases{seeds}", "Errors, generalist", "Errors, combined", "Relative gain of accuracy"],
            [
                [f"{row.specialists}", f"{row.cases:,}", f"{row.generalist:,}", f"{row.combined:,}", _gain(row.gain)]
                for row in results.covered
            ],
        )


def _errors(summed: dict[str, str], words: str) -> str:
    value = next((value for name, value in summed.items() if words in name and name.startswith("errors of")), "?")
    return _whole(value)


def _said(name: str) -> str:
    """What a figure is, where the table has no line above that it goes on from."""
    return name.replace("  fewer than that", "student distilled from all: fewer errors than that")


def _whole(value: str) -> str:
    """A count of one experiment without the decimals of a mean."""
    return re.sub(r"(\d+)\.0(?=,|$)", lambda found: f"{int(found[1]):,}", value)


def _gain(gain: float | None) -> str:
    return "–" if gain is None else f"{gain:+.1%}"


def _table(name: str) -> QTableWidget:
    table = QTableWidget()
    table.setAccessibleName(name)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setAlternatingRowColors(True)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 7)
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    table.horizontalHeader().setStretchLastSection(True)
    table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    return table


def _fill(table: QTableWidget, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(titles)
    table.setRowCount(len(rows))
    for row, cells in enumerate(rows):
        for column, text in enumerate(cells):
            item = QTableWidgetItem(text)
            if column:
                item.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            table.setItem(row, column, item)
