"""Watch an experiment: its runs, the losses of the running one, everybody's validation accuracy, and Pause, Stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QSlider,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from sqlite_utils import Database

from workbench.events import (
    ExperimentFinished,
    ExperimentQueued,
    ExperimentStarted,
    Loading,
    Note,
    Paused,
    Progress,
    RunFinished,
    RunStarted,
)
from workbench.gui.curve_plot import CurvePlot, Line, Reference
from workbench.gui.forms import label, plain_tooltip
from workbench.gui.live.queue_panel import QueuePanel
from workbench.gui.run_feed import AskHistory
from workbench.history import reading
from workbench.history.reading import Curve, RunRow
from workbench.questions import duration, many

REDRAW_MILLISECONDS = 400
POINTS = 800
LOSSES = (("loss", "total"), ("soft_loss", "soft part, unscaled"), ("hard_loss", "hard part, unscaled"))


@dataclass(frozen=True, slots=True, eq=False)
class LiveCurves:
    """What the live plots show, read from the history in one go."""

    rows: tuple[RunRow, ...]
    losses: tuple[Curve, ...]
    accuracies: tuple[Curve, ...]


@dataclass(slots=True)
class Watched:
    """The experiment on the screen."""

    experiment: int = 0
    name: str = ""
    runs: tuple[int, ...] = ()
    running: int = 0
    finished: bool = True
    settled: set[int] = field(default_factory=set)


def read_live(experiment: int, runs: tuple[int, ...], running: int) -> Callable[[Database], LiveCurves]:
    """The runs' rows, the running one's losses and everybody's validation accuracy."""

    def answer(database: Database) -> LiveCurves:
        return LiveCurves(
            tuple(reading.experiment_rows(database, experiment)),
            tuple(reading.curve(database, running, metric, POINTS) for metric, _ in LOSSES) if running else (),
            tuple(reading.curve(database, run, "val_accuracy", POINTS) for run in runs),
        )

    return answer


class LiveScreen(QWidget):
    """Shows one experiment after the other; reads curves through ``ask_history`` while something moves."""

    pause_wanted = Signal(bool)
    stop_wanted = Signal()
    results_wanted = Signal(list)
    said = Signal(str)

    def __init__(self, ask_history: AskHistory, queue: QueuePanel) -> None:
        super().__init__()
        self._ask_history = ask_history
        self.queue = queue
        self.watched = Watched()
        self._dirty = False
        self._paused = False
        self._chosen = 0
        self._latest: Progress | None = None
        self._items: dict[int, QListWidgetItem] = {}
        self.pages = QStackedWidget()
        empty = label("Nothing is training.\n\nSet up an experiment and press Launch (Ctrl+Return).", "faint")
        empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pages.addWidget(empty)
        self.pages.addWidget(self._watching())
        QVBoxLayout(self).addWidget(self.pages)
        self._set_running(False)
        self.state.setText("Nothing is training; what waits is in the queue.")
        self.queue.list.model().rowsInserted.connect(lambda *_: self.pages.setCurrentIndex(1))
        self._timer = QTimer(self)
        self._timer.setInterval(REDRAW_MILLISECONDS)
        self._timer.timeout.connect(self._redraw)
        self._timer.start()

    def _watching(self) -> QWidget:
        self.title = label("", "title")
        self.state = label("", "faint", wrap=True)
        self.pause = QPushButton("Pause")
        self.pause.setToolTip("Let the running model wait before its next step (Ctrl+P); no pause is in any clock.")
        self.pause.clicked.connect(self._pause)
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("End the experiment with a checkpoint (Ctrl+.).")
        self.stop.clicked.connect(self.stop_wanted)
        self.results = QPushButton("Compare the results")
        self.results.setToolTip("Lay the runs of this experiment over each other.")
        self.results.clicked.connect(lambda: self.results_wanted.emit(list(self.watched.runs)))
        self.log = QCheckBox("Log axis")
        self.log.setToolTip("A logarithmic axis for the losses.")
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setRange(0, 99)
        self.smoothing.setMaximumWidth(140)
        self.smoothing.setAccessibleName("Smoothing")
        self.smoothing.setToolTip("Smoothing of the losses: an exponential moving average, the curve itself faint behind it.")
        top = QHBoxLayout()
        top.addWidget(self.title, 1)
        for control in (self.log, label("Smoothing"), self.smoothing, self.results, self.pause, self.stop):
            top.addWidget(control)
        self.runs = QListWidget()
        self.runs.setAccessibleName("Runs of this experiment")
        self.runs.setToolTip("Click a run, or press Enter on it, to see its losses; the running one is followed until you do.")
        self.runs.itemClicked.connect(self._choose)
        self.runs.itemActivated.connect(self._choose)
        self.losses = CurvePlot("Loss of the running model", "nats, mean of a batch")
        self.accuracy = CurvePlot("Validation accuracy", "accuracy", percent=True, legend_below=True)
        self.accuracy.set_title("Validation accuracy", "accuracy", "epoch")
        self.losses.set_title("Loss", "nats, mean of a batch", "epoch")
        self.splitter = QSplitter()
        self.splitter.setObjectName("live-columns")
        self.column = QSplitter(Qt.Orientation.Vertical)
        self.column.setObjectName("live-rows")
        self.column.addWidget(self.runs)
        self.column.addWidget(self.queue)
        self.column.setChildrenCollapsible(False)
        for part in (self.column, self.losses, self.accuracy):
            self.splitter.addWidget(part)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setSizes([270, 480, 480])
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(10)
        self.log.toggled.connect(self.losses.set_log)
        self.log.setChecked(True)
        self.smoothing.valueChanged.connect(lambda value: self.losses.set_smoothing(value / 100))
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.splitter, 1)
        layout.addWidget(self.bar)
        layout.addWidget(self.state)
        return page

    # Events

    def take(self, event: object) -> None:
        """Show an event of the driver's."""
        match event:
            case ExperimentQueued():
                self._queued(event)
                self.queue.reload()
            case ExperimentStarted():
                self._start(event)
            case RunStarted():
                self.watched.running = event.run
                self._epochs = event.epochs
                self._device = f"{event.device}, {event.threads} thread{'' if event.threads == 1 else 's'}"
                self.bar.setRange(0, max(1, event.steps))
                self.bar.setValue(event.step)
                self.stop.setText("Stop")
                self.state.setText(f"{event.name} starts on {self._device}")
                self._chosen = 0
                self.runs.setCurrentRow(-1)
            case Progress():
                self._latest = event
            case Paused():
                self._latest = None
                self._paused = event.paused
                self.pause.setText("Resume" if event.paused else "Pause")
                if event.paused:
                    self.state.setText("Paused. Press Resume to go on; the run waits as it is.")
            case Loading():
                self._loading(event)
            case RunFinished():
                self.watched.settled.add(event.run)
            case Note():
                self.state.setText(event.text)
            case ExperimentFinished():
                self._finish(event)
        self._dirty = True

    def forget(self) -> None:
        """Watch nothing any more: the history is another one."""
        self._clear(Watched())
        self._set_running(False)
        self.title.setText("")
        self.state.setText("")
        self.pages.setCurrentIndex(0)

    def _queued(self, event: ExperimentQueued) -> None:
        self.pages.setCurrentIndex(1)
        if self.watched.finished:
            self.title.setText(event.name)
            self._clear(Watched(event.experiment, event.name, finished=False))
            self.state.setText("Preparing…")
        else:
            self.state.setText(f"{event.name} waits for its turn")

    def _start(self, event: ExperimentStarted) -> None:
        self.stop.setText("Stop")
        self.queue.reload()
        self.pages.setCurrentIndex(1)
        self.title.setText(event.name)
        self._clear(Watched(event.experiment, event.name, event.runs, finished=False))

    def _clear(self, watched: Watched) -> None:
        """Begin to watch another experiment."""
        self.watched = watched
        self.runs.clear()
        self._items = {}
        self._set_running(True)
        for plot in (self.losses, self.accuracy):
            plot.set_lines([])
            plot.set_references([])
            plot.plot.enableAutoRange()

    def _progress(self, event: Progress) -> None:
        left = event.elapsed / max(1, event.step) * (event.steps - event.step)
        place = self.watched.runs.index(event.run) + 1 if event.run in self.watched.runs else 0
        self.bar.setRange(0, max(1, event.steps))
        self.bar.setValue(event.step)
        self.state.setText(
            f"Run {place} of {len(self.watched.runs)}   ·   epoch {event.epoch:.1f} of {self._epochs}   ·   "
            f"{event.rate:,.0f} samples/s   ·   {duration(left)} left for this run   ·   {self._device}" + self._after(left)
        )

    def _after(self, left: float) -> str:
        """What comes after this run, in words."""
        waiting = sum(not row.held for row in self.queue.rows)
        if not waiting:
            return ""
        seconds = self.queue.seconds
        return f"   ·   {many(waiting, 'experiment')} more" + (f", about {duration(seconds)}" if seconds else "")

    def _loading(self, event: Loading) -> None:
        self.pages.setCurrentIndex(1)
        self.bar.setRange(0, event.total)
        self.bar.setValue(event.done)
        amount = f" ({event.done / 1e6:.1f} of {event.total / 1e6:.1f} MB)" if event.unit == "bytes" and event.total else ""
        self.stop.setText("Cancel")
        self.stop.setEnabled(True)
        self.state.setText(f"{event.text}{amount}; Cancel gives it up")

    def _finish(self, event: ExperimentFinished) -> None:
        self.queue.reload()
        self.watched.finished = True
        self._latest = None
        self._set_running(False)
        self.bar.setRange(0, 1)
        self.bar.setValue(int(event.status == "done"))
        words = {
            "done": "Done.",
            "stopped": "Stopped with a checkpoint. Resume in the history goes on from there.",
            "failed": "Not all of it could be done.",
            "interrupted": "Interrupted with a checkpoint.",
        }
        self.state.setText(words[event.status])
        if event.status == "failed":
            self.said.emit(f"{event.name}: {event.message}.")

    def _set_running(self, running: bool) -> None:
        self._paused = False
        self.pause.setEnabled(running)
        self.stop.setEnabled(running)
        self.results.setVisible(not running and bool(self.watched.runs))
        self.pause.setText("Pause")

    def _pause(self) -> None:
        self.pause_wanted.emit(self.pause.text() == "Pause")

    # Curves

    def _choose(self, item: QListWidgetItem) -> None:
        self._chosen = item.data(Qt.ItemDataRole.UserRole)
        self._dirty = True

    def _redraw(self) -> None:
        if self._latest is not None and self.isVisible():
            self._progress(self._latest)
            self._latest = None
        if self._dirty and self.watched.runs and self.isVisible():
            self._dirty = False
            run = self._chosen or self.watched.running
            watched = self.watched.experiment
            self._ask_history("live", read_live(watched, self.watched.runs, run), lambda found: self._show(watched, found))

    def showEvent(self, event: Any) -> None:
        """Read the curves when the screen comes to the front."""
        self._dirty = True
        super().showEvent(event)

    def _show(self, experiment: int, found: LiveCurves) -> None:
        if experiment != self.watched.experiment:
            return
        rows = {row.id: row for row in found.rows}
        self._list(rows)
        self.losses.set_lines(
            [
                Line(metric, name, curve.epoch, curve.value, colour=index, front=index == 0)
                for index, ((metric, name), curve) in enumerate(zip(LOSSES, found.losses, strict=False))
                if len(curve.value)
            ]
        )
        if found.losses:
            run = rows.get(found.losses[0].run)
            self.losses.set_title(f"Loss of {run.name}" if run else "Loss", "nats, mean of a batch", "epoch")
        self.accuracy.set_lines([self._accuracy_line(rows[curve.run], curve) for curve in found.accuracies if len(curve.value)])
        self.accuracy.set_references(_references(rows))

    def _accuracy_line(self, row: RunRow, curve: Curve) -> Line:
        colour = {"student": 1, "baseline": 2}.get(row.role, 0)
        front = row.id == self.watched.running
        legend = None
        if row.role == "teacher" and not front:
            legend = "teachers" if row.id == self.watched.runs[0] else ""
        return Line(row.id, row.name, curve.epoch, curve.value, colour, front=front, legend=legend)

    def _list(self, rows: dict[int, RunRow]) -> None:
        for number in self.watched.runs:
            if number not in rows:
                continue
            row = rows[number]
            if number not in self._items:
                item = QListWidgetItem()
                item.setData(Qt.ItemDataRole.UserRole, number)
                self._items[number] = item
                self.runs.addItem(item)
            accuracy = row.figures.get("val_accuracy")
            shown = "reused" if row.reused else "paused" if row.status == "running" and self._paused else row.status
            result = f"   {accuracy:.2%}" if accuracy is not None else ""
            text = f"{row.name}   {shown}{result}"
            if self._items[number].text() != text:
                self._items[number].setText(text)
            self._items[number].setToolTip(plain_tooltip(f"run {number}: {row.model}, seed {row.seed}. {row.message}") or "")


def _references(rows: dict[int, RunRow]) -> list[Reference]:
    """The ensemble's and the baseline's validation accuracy."""
    found = []
    for row in rows.values():
        ensemble = row.figures.get("ensemble_val_accuracy")
        if ensemble is not None:
            found.append(Reference("ensemble", "ensemble", ensemble, 3))
        if row.role == "baseline" and "val_accuracy" in row.figures:
            found.append(Reference("baseline", "baseline", row.figures["val_accuracy"], 2))
    return found
