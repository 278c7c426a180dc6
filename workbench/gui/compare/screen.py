"""Any selection of runs over each other: their curves, their figures, and only the settings that differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QSlider,
    QSplitter,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from sqlite_utils import Database

from workbench.gui import theme
from workbench.gui.curve_plot import CurvePlot, Line
from workbench.gui.forms import label
from workbench.gui.run_feed import AskHistory
from workbench.history import reading
from workbench.history.reading import Curve, RunRow
from workbench.questions import duration

METRICS = {
    "val_accuracy": ("Validation accuracy", "accuracy"),
    "val_loss": ("Validation loss", "nats"),
    "loss": ("Total loss", "nats, mean of a batch"),
    "soft_loss": ("Soft part of the loss, unscaled", "nats, mean of a batch"),
    "hard_loss": ("Hard part of the loss, unscaled", "nats, mean of a batch"),
    "learning_rate": ("Learning rate", "learning rate"),
}
FOLLOW_MILLISECONDS = 1000
AXES = ("epoch", "step", "time (s)")


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Runs beside each other, read from the history in one go."""

    rows: tuple[RunRow, ...]
    curves: tuple[Curve, ...]
    differing: dict[str, dict[int, Any]]


def read_compared(runs: tuple[int, ...], metric: str) -> Callable[[Database], Compared]:
    """The runs that are still there, one metric's curves and the settings that differ."""

    def answer(database: Database) -> Compared:
        rows = {row.id: row for row in reading.list_runs(database, runs)}
        there = [run for run in runs if run in rows]
        return Compared(
            tuple(rows[run] for run in there),
            tuple(reading.curve(database, run, metric) for run in there),
            reading.differing_settings(reading.run_settings(database, there)),
        )

    return answer


class CompareScreen(QWidget):
    """Shows the runs given to :meth:`compare`, in its order, which decides their colours."""

    history_wanted = Signal()

    def __init__(self, ask_history: AskHistory) -> None:
        super().__init__()
        self._ask = ask_history
        self.runs: tuple[int, ...] = ()
        self._found: Compared | None = None
        self._following = QTimer(self)
        self._following.setInterval(FOLLOW_MILLISECONDS)
        self._following.timeout.connect(self._follow)
        self._following.start()
        self.pages = QStackedWidget()
        self.pages.addWidget(self._empty())
        self.pages.addWidget(self._comparing())
        QVBoxLayout(self).addWidget(self.pages)

    def _empty(self) -> QWidget:
        page = QWidget()
        hint = label(
            "Nothing to compare yet.\n\nSelect runs in the history (Ctrl or Shift for several) and press Compare.", "faint"
        )
        hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        go = QPushButton("Go to the history")
        go.clicked.connect(self.history_wanted)
        layout = QVBoxLayout(page)
        layout.addStretch(1)
        layout.addWidget(hint)
        layout.addWidget(go, 0, Qt.AlignmentFlag.AlignCenter)
        layout.addStretch(1)
        return page

    def _comparing(self) -> QWidget:
        self.metric_choice = QComboBox()
        self.metric_choice.setAccessibleName("Metric")
        for name, (title, _) in METRICS.items():
            self.metric_choice.addItem(title, name)
        self.axis_choice = QComboBox()
        self.axis_choice.addItems(list(AXES))
        self.axis_choice.setAccessibleName("Horizontal axis")
        self.log = QCheckBox("Log axis")
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setRange(0, 99)
        self.smoothing.setMaximumWidth(160)
        self.smoothing.setAccessibleName("Smoothing")
        self.smoothing.setToolTip("An exponential moving average, the curve itself faint behind it.")
        top = QHBoxLayout()
        for widget in (
            label("Show"),
            self.metric_choice,
            label("over"),
            self.axis_choice,
            self.log,
            label("Smoothing"),
            self.smoothing,
        ):
            top.addWidget(widget)
        top.addStretch(1)
        self.plot = CurvePlot("", "", legend_below=True)
        self.table = QTableWidget()
        self.table.setAccessibleName("Figures, and settings that differ")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setAlternatingRowColors(True)
        self.table.verticalHeader().setDefaultSectionSize(self.table.fontMetrics().height() + 6)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.metric_choice.currentIndexChanged.connect(lambda _: self.reload())
        self.axis_choice.currentIndexChanged.connect(lambda _: self._draw())
        self.log.toggled.connect(self.plot.set_log)
        self.smoothing.valueChanged.connect(lambda value: self.plot.set_smoothing(value / 100))
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setObjectName("compare-rows")
        self.splitter.addWidget(self.plot)
        self.splitter.addWidget(self.table)
        self.splitter.setSizes([420, 260])
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.splitter, 1)
        return page

    def compare(self, runs: list[int]) -> None:
        """Lay these runs over each other."""
        self.runs = tuple(runs)
        self.reload()

    def reload(self) -> None:
        """Read the runs anew."""
        if self.runs:
            self._ask("compare", read_compared(self.runs, self.metric_choice.currentData()), self._show)

    def _follow(self) -> None:
        """Read anew while a run that is shown goes on, in whichever program."""
        if self.isVisible() and self._found and any(row.status in ("running", "waiting") for row in self._found.rows):
            self.reload()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.plot.dress()
        self._fill()

    def showEvent(self, event: Any) -> None:
        """Read the runs when the screen comes to the front."""
        self.reload()
        super().showEvent(event)

    def _show(self, found: Compared) -> None:
        self._found = found
        self.pages.setCurrentIndex(1 if found.rows else 0)
        self._draw()
        self._fill()

    def _draw(self) -> None:
        if self._found is None:
            return
        metric, axis = self.metric_choice.currentData(), self.axis_choice.currentText()
        title, y_name = METRICS[metric]
        missing = [row for row, curve in zip(self._found.rows, self._found.curves, strict=True) if not len(curve.value)]
        without = f"   ({', '.join(_name(row) for row in missing)}: none)" if missing else ""
        self.plot.percent = metric == "val_accuracy"
        self.plot.set_title(title + without, y_name, axis)
        lines = []
        for place, (row, curve) in enumerate(zip(self._found.rows, self._found.curves, strict=True)):
            x = {"epoch": curve.epoch, "step": curve.step}.get(axis, curve.elapsed)
            if len(curve.value):
                lines.append(Line(row.id, _name(row), x, curve.value, place, dashed=place >= len(theme.current().curves)))
        self.plot.set_lines(lines)

    def _fill(self) -> None:
        if self._found is None:
            return
        rows = self._found.rows
        figures = _figures(rows)
        settings = {key: [_said(values.get(row.id)) for row in rows] for key, values in self._found.differing.items()}
        lines = [*settings.items(), *figures.items()]
        self.table.setRowCount(len(lines))
        self.table.setColumnCount(len(rows))
        self.table.setVerticalHeaderLabels([name for name, _ in lines])
        colours = theme.current().curves
        for place, row in enumerate(rows):
            header = QTableWidgetItem(_name(row))
            swatch = QPixmap(10, 10)
            swatch.fill(QColor(colours[place % len(colours)]))
            header.setIcon(swatch)
            self.table.setHorizontalHeaderItem(place, header)
        for line, (name, values) in enumerate(lines):
            for place, value in enumerate(values):
                item = QTableWidgetItem(value)
                if name in settings:
                    item.setToolTip("A setting that is not the same in all of these runs.")
                    item.setForeground(QColor(theme.current().accent))
                self.table.setItem(line, place, item)
        self.table.resizeColumnsToContents()


def _name(row: RunRow) -> str:
    return f"{row.name} ({row.id})"


def _said(value: Any) -> str:
    return "–" if value is None or value == "" else f"{value:g}" if isinstance(value, float) else str(value)


def _figures(rows: tuple[RunRow, ...]) -> dict[str, list[str]]:
    def figure(name: str, form: str) -> list[str]:
        return [format(row.figures[name], form) if name in row.figures else "–" for row in rows]

    return {
        "status": [row.status for row in rows],
        "experiment": [f"{row.experiment_name} #{row.experiment}" for row in rows],
        "validation accuracy": figure("val_accuracy", ".2%"),
        "test accuracy": figure("test_accuracy", ".2%"),
        "test errors": figure("test_errors", ",.0f"),
        "test loss (nats)": figure("test_nll", ".4f"),
        "calibration error": figure("test_ece", ".3f"),
        "agrees with its teachers": figure("teacher_agreement", ".2%"),
        "KL from its teachers (nats)": figure("teacher_kl", ".4f"),
        "parameters": [f"{row.parameters:,}" if row.parameters else "–" for row in rows],
        "multiply-adds": [f"{row.multiply_adds:,}" if row.multiply_adds else "–" for row in rows],
        "time in training": [duration(row.train_seconds) for row in rows],
    }
