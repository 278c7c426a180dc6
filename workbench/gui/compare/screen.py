"""Any selection of runs over each other: their curves, their figures, and only the settings that differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QSlider,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from sqlite_utils import Database

from workbench.analysis.mean_curve import mean_curve
from workbench.errors import WorkbenchError
from workbench.gui.compare.difference import DifferencePanel
from workbench.gui.compare.found import Compared, Shown, read_compared
from workbench.gui.compare.legend import CurveList
from workbench.gui.compare.table import ComparedTable
from workbench.gui.curve_plot import CurvePlot, Line
from workbench.gui.forms import label
from workbench.gui.later import Screen
from workbench.gui.pictures import offer_saving, save_table
from workbench.gui.run_feed import AskEngine, AskHistory
from workbench.gui.theme import curve_dashed
from workbench.history.curves import Curve, Detail
from workbench.history.database import SqliteError

METRICS = {
    "val_accuracy": ("Validation accuracy", "accuracy"),
    "val_loss": ("Validation loss", "nats"),
    "loss": ("Total loss", "nats, mean of a batch"),
    "soft_loss": ("Soft part of the loss, unscaled", "nats, mean of a batch"),
    "hard_loss": ("Hard part of the loss, unscaled", "nats, mean of a batch"),
    "learning_rate": ("Learning rate", "learning rate"),
}
"""Titles and units of those that the workbench itself records; any other that runs have goes by its own name."""
FOLLOW_MILLISECONDS = 1000
LEAVING_MILLISECONDS = 300
"""The pointer's way from the curves to the list, in which the values where it was are to be read."""
MOST = 200
"""Runs that are laid over each other; of more nobody could tell one from another."""
AXES = {"epoch": "epoch", "step": "step", "time (s)": "elapsed"}
"""The horizontal axes, and the column of a curve that each is."""


class CompareScreen(Screen):
    """Shows the runs given to :meth:`compare`, in its order, which decides the colours of those that a person gave none."""

    history_wanted = Signal()
    said = Signal(str)

    def __init__(self, ask_history: AskHistory, ask_engine: AskEngine) -> None:
        super().__init__()
        self._ask = ask_history
        self.runs: tuple[int, ...] = ()
        self._found: Compared | None = None
        self._awaited = False
        self._left_out = 0
        self._at: float | None = None
        self._following = QTimer(self)
        self._following.setInterval(FOLLOW_MILLISECONDS)
        self._following.timeout.connect(self._follow)
        self._following.start()
        self._leaving = QTimer(self, singleShot=True, interval=LEAVING_MILLISECONDS)
        self._leaving.timeout.connect(self._left)
        self.difference = DifferencePanel(ask_history, ask_engine)
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
        self.plot = CurvePlot("", "", listed=True)
        self.save = offer_saving(self.plot, self.said.emit)
        self.curves = CurveList()
        self.table = ComparedTable()
        save_table = QAction("Save as CSV…", self.table)
        save_table.triggered.connect(self.save_table)
        self.table.addAction(save_table)
        columns = QSplitter(Qt.Orientation.Horizontal)
        columns.setObjectName("compare-columns")
        columns.addWidget(self.plot)
        columns.addWidget(self.curves)
        columns.setSizes([880, 340])
        columns.setStretchFactor(0, 1)
        columns.setCollapsible(0, False)
        lower = QWidget()
        below = QVBoxLayout(lower)
        below.setContentsMargins(0, 0, 0, 0)
        below.addWidget(self.difference)
        below.addWidget(self.table, 1)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setObjectName("compare-rows")
        self.splitter.addWidget(columns)
        self.splitter.addWidget(lower)
        self.splitter.setSizes([400, 280])
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._bar())
        layout.addWidget(self.splitter, 1)
        self._wire()
        return page

    def _bar(self) -> QHBoxLayout:
        self.metric_choice = QComboBox()
        self.metric_choice.setAccessibleName("Metric")
        self.metric_choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.axis_choice = QComboBox()
        self.axis_choice.addItems(list(AXES))
        self.axis_choice.setAccessibleName("Horizontal axis")
        self.log_x, self.log = QCheckBox("Log x"), QCheckBox("Log y")
        self.log_x.setToolTip("A logarithmic horizontal axis; points at 0 have no place on it.")
        self.log.setToolTip("A logarithmic vertical axis; points at 0 or below have no place on it.")
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setRange(0, 999)
        self.smoothing.setSingleStep(10)
        self.smoothing.setPageStep(100)
        self.smoothing.setMaximumWidth(140)
        self.smoothing.setAccessibleName("Smoothing")
        self.smoothing.setToolTip(
            "The weight of an exponential moving average over every point, the curve itself faint behind it:\n"
            "0.99 is about a hundred of them, 0.999 a thousand."
        )
        self._weight = label("0.000", "faint")
        self.group_seeds = QCheckBox("Group seeds")
        self.group_seeds.setToolTip(
            "Runs that differ in nothing but their seeds as one: the mean of their curves with a band, the 95% interval of the "
            "mean by Student's t, and mean ± interval of their figures."
        )
        self.all_settings = QCheckBox("All settings")
        self.all_settings.setToolTip("Show in the table also the settings that are the same in all; ≠ marks those that are not.")
        self.whole = QPushButton("Whole curves")
        self.whole.setToolTip("Take every zoom back, as a double click on the curves does. Drag to move, turn the wheel to zoom.")
        bar = QHBoxLayout()
        for widget in (label("Show"), self.metric_choice, label("over"), self.axis_choice, self.log_x, self.log,
                       label("Smoothing"), self.smoothing, self._weight, self.group_seeds, self.all_settings):  # fmt: skip
            bar.addWidget(widget)
        bar.addStretch(1)
        bar.addWidget(self.whole)
        return bar

    def _wire(self) -> None:
        self.metric_choice.currentIndexChanged.connect(lambda _: self.reload())
        self.axis_choice.currentIndexChanged.connect(lambda _: self._change_axis())
        self.log_x.toggled.connect(self.plot.set_log_x)
        self.log.toggled.connect(self.plot.set_log)
        self.smoothing.valueChanged.connect(self._smooth)
        self.group_seeds.toggled.connect(lambda _: self.reload())
        self.all_settings.toggled.connect(lambda _: self._fill())
        self.whole.clicked.connect(self.plot.whole)
        self.plot.pointed.connect(self._point)
        self.plot.left.connect(self._leave)
        self.curves.left.connect(self._leave)
        self.plot.settled.connect(self._look_closer)
        self.plot.picked.connect(self.curves.pin)
        self.table.picked.connect(self.curves.pin)
        self.curves.highlighted.connect(self.plot.set_highlight)

    def compare(self, runs: list[int]) -> None:
        """Lay these runs over each other, the first :data:`MOST` of them."""
        chosen = tuple(runs[:MOST])
        if self.runs != chosen:
            self._let_go()
            self.plot.whole()
        self.runs, self._left_out = chosen, len(runs) - len(chosen)
        if self.isVisible():  # else it reads them when it comes to the front, and once is enough
            self.reload()

    @property
    def shown(self) -> tuple[Shown, ...]:
        """The curves and columns: runs, or groups of seeds."""
        if self._found is None:
            return ()
        return self._found.groups if self.group_seeds.isChecked() else self._found.singles

    def reload(self) -> None:
        """Read the runs anew."""
        if self.runs:
            metric = self.metric_choice.currentData() or "val_accuracy"
            self._awaited = True
            whole, detail = self.group_seeds.isChecked(), self._detail()
            read = read_compared(self.runs, metric, whole=whole, detail=detail, before=self._found)
            self._ask("compare", partial(_found_or_error, read), self._answered)

    def _answered(self, answer: Compared | Exception) -> None:
        self._awaited = False
        if isinstance(answer, Exception):
            self.said.emit(str(answer))
        else:
            self._show(answer)

    def _follow(self) -> None:
        """Read anew while a run that is shown goes on, in whichever program; a newer question would lose the answer awaited."""
        if self._awaited or not self.isVisible() or not self._found:
            return
        if any(row.status in ("running", "waiting") for row in self._found.rows):
            self.reload()

    def forget(self) -> None:
        """Another history may have other runs under these numbers."""
        self._found = None
        self.difference.forget()
        self.reload()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.plot.dress()
        self.curves.dress()
        self._fill()

    def showEvent(self, event: Any) -> None:
        """Read the runs when the screen comes to the front."""
        self.reload()
        super().showEvent(event)

    def _show(self, found: Compared) -> None:
        self._found = found
        self.pages.setCurrentIndex(1 if found.rows else 0)
        self.group_seeds.setEnabled(found.grouped or self.group_seeds.isChecked())
        self._offer_metrics(found)
        self._draw()
        self._fill()
        self.difference.fill(found)
        self._look_closer()

    def _offer_metrics(self, found: Compared) -> None:
        names = [name for name in METRICS if name in found.metrics] + [name for name in found.metrics if name not in METRICS]
        offered = [self.metric_choice.itemData(place) for place in range(self.metric_choice.count())]
        self.metric_choice.blockSignals(True)
        if names != offered:
            self.metric_choice.clear()
            for name in names:
                self.metric_choice.addItem(_title(name)[0], name)
        self.metric_choice.setCurrentIndex(self.metric_choice.findData(found.metric))
        self.metric_choice.blockSignals(False)

    # Curves

    def _change_axis(self) -> None:
        self._let_go()
        self.plot.whole()
        self._draw()

    def _smooth(self, value: int) -> None:
        self._weight.setText(f"{value / 1000:.3f}")
        self.plot.set_smoothing(value / 1000)
        self._read()
        self._look_closer()

    def _detail(self) -> Detail:
        weight, stretch = self.smoothing.value() / 1000, self.plot.stretch()
        return Detail(weight, AXES[self.axis_choice.currentText()], stretch) if stretch else Detail(weight)

    def _look_closer(self) -> None:
        """Read anew what is looked at otherwise than it was read, where not all of its points are there; what was asked for may
        have been taken back before it came."""
        if self._found and any(curve.thinned for curve in self._found.curves) and self._detail() != self._found.detail:
            self.reload()

    def _draw(self) -> None:
        if self._found is None:
            return
        axis = self.axis_choice.currentText()
        title, y_name = _title(self._found.metric)
        curves = {curve.run: curve for curve in self._found.curves}
        lines = [line for one in self.shown if (line := self._line(one, curves, axis))]
        there = {line.key for line in lines}
        missing = [one.name for one in self.shown if one.key not in there]
        without = f"   ({', '.join(missing[:3])}{f' and {len(missing) - 3} more' * (len(missing) > 3)}: none)" if missing else ""
        first = f"   the first {MOST} of {MOST + self._left_out:,} runs" if self._left_out else ""
        self.plot.percent = self._found.metric.endswith("accuracy")
        self.plot.set_title(title + first + without, y_name, axis)
        self.plot.set_lines(lines)
        self._read()

    def _line(self, one: Shown, curves: dict[int, Curve], axis: str) -> Line | None:
        """The curve of a run, or the mean of a group's with its band; None where there is none."""
        assert self._found is not None
        parts = [curves[row.id] for row in one.rows]
        pairs = [(getattr(part, AXES[axis]), part.value) for part in parts]
        dashed = curve_dashed(one.number)
        if len(pairs) == 1:
            x, y = pairs[0]
            return Line(one.key, one.name, x, y, one.number, dashed=dashed, smooth=parts[0].smooth) if len(y) else None
        mean = mean_curve(pairs)
        if not len(mean.x):
            return None
        half = self._found.factors[mean.count] * mean.deviation if mean.count > 1 else None
        low, high = (None, None) if half is None else (mean.mean - half, mean.mean + half)
        return Line(one.key, one.name, mean.x, mean.mean, one.number, dashed=dashed, low=low, high=high)

    def _point(self, x: float) -> None:
        self._leaving.stop()
        self._at = x
        self._read()

    def _leave(self) -> None:
        if self._at is not None and not self._leaving.isActive():
            self._leaving.start()

    def _left(self) -> None:
        if not self.curves.underMouse():
            self._let_go()
            self._read()

    def _let_go(self) -> None:
        self._at = None
        self.plot.let_go()

    def _read(self) -> None:
        """Fill the list with the values at the pointer, or at the ends while it is elsewhere."""
        values = self.plot.readings(self._at)
        texts = {key: self.plot.say(value) for key, value in values.items() if not math.isnan(value)}
        where = "at their ends" if self._at is None else f"at {self.axis_choice.currentText()} {self._at:.4g}"
        smoothed = ", smoothed" if self.smoothing.value() else ""
        self.curves.fill(self.shown, values, texts, f"Values {where}{smoothed}")

    # Table

    def save_table(self) -> None:
        """Ask for a file and write the table there."""
        if words := save_table(self.table.compared.values, "comparison", self):
            self.said.emit(words)

    def _fill(self) -> None:
        if self._found is not None:
            self.table.fill(self._found, self.shown, all_settings=self.all_settings.isChecked())


def _found_or_error(read: Callable[[Database], Compared], database: Database) -> Compared | Exception:
    """What is read, or why it cannot be: whoever awaits an answer hears of both."""
    try:
        return read(database)
    except (WorkbenchError, SqliteError) as error:
        return error


def _title(metric: str) -> tuple[str, str]:
    """What a metric is called, and its unit."""
    return METRICS.get(metric, (metric.replace("_", " "), metric))
