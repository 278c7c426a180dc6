"""Watch an experiment: its runs, the losses of the running one, everybody's validation accuracy, and Pause, Stop."""

from __future__ import annotations

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
from workbench.gui.curve_plot import CurvePlot, Line
from workbench.gui.forms import label, plain_tooltip
from workbench.gui.live.queue_panel import QueuePanel
from workbench.gui.live.watched import LOSSES, LiveCurves, Watched, accuracy_lines, read_live, references
from workbench.gui.pictures import offer_saving
from workbench.gui.run_feed import AskHistory
from workbench.words import duration, many

REDRAW_MILLISECONDS = 400


class LiveScreen(QWidget):
    """Shows one experiment after the other, or those of a sweep that are done at once.

    Reads curves through ``ask_history`` while something moves.
    """

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
        self._sweep = ""
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
        self.title = label("", "title", wrap=True)
        self.state = label("", "faint", wrap=True)
        self.pause = QPushButton("Pause")
        self.pause.setToolTip("Let the running model wait before its next step (Ctrl+P); no pause is in any clock.")
        self.pause.clicked.connect(self._pause)
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("End the experiment with a checkpoint (Ctrl+.).")
        self.stop.clicked.connect(self.stop_wanted)
        self.results = QPushButton("Compare the results")
        self.results.setToolTip("Lay the runs of this experiment over each other.")
        self.results.clicked.connect(lambda: self.results_wanted.emit(self.watched.results))
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
        self.saves = [offer_saving(plot, self.said.emit) for plot in (self.losses, self.accuracy)]
        self.splitter = QSplitter()
        self.splitter.setObjectName("live-columns")
        self.column = QSplitter(Qt.Orientation.Vertical)
        self.column.setObjectName("live-rows")
        self.column.addWidget(self.runs)
        self.column.addWidget(self.queue)
        self.column.setChildrenCollapsible(False)
        self.column.setSizes([400, 240])
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
                self._start_run(event)
            case Progress():
                self._latest = event
            case Paused():
                self._latest = None
                self._paused = event.paused
                self.pause.setText("Resume" if event.paused else "Pause")
                if event.paused:
                    self.state.setText("Paused. Press Resume to go on; what is trained waits as it is.")
            case Loading():
                self._loading(event)
            case RunFinished():
                self.watched.going.pop(event.run, None)
                self.watched.settled[event.run] = event.role
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
            self._clear(Watched(event.name, finished=False))
            self.state.setText("Preparing…")
        else:
            self.state.setText(f"{event.name} waits for its turn")

    def _start(self, event: ExperimentStarted) -> None:
        """Watch another experiment, beside those under way; or more runs of one of these."""
        if self.watched.finished:
            self._clear(Watched(event.name, finished=False))
        if not self.watched.experiments:
            self.watched.name = event.name
        self.watched.experiments[event.experiment] = event.runs
        self.stop.setText("Stop")
        self.queue.reload()
        self.pages.setCurrentIndex(1)
        self.title.setText(self.watched.title(self._sweep))

    def _start_run(self, event: RunStarted) -> None:
        watched = self.watched
        if not watched.going:
            watched.running = event.run
            self._chosen = 0
            self.runs.setCurrentRow(-1)
        watched.going[event.run] = event
        self._epochs = event.epochs
        self._device = f"{event.device}, {event.threads} thread{'' if event.threads == 1 else 's'}"
        self.bar.setRange(0, max(1, event.steps))
        self.bar.setValue(event.step)
        self.stop.setText("Stop")
        many_ = len(watched.going) > 1
        self.state.setText(f"{watched.under_way() if many_ else event.name} start{'' if many_ else 's'} on {self._device}")

    def _clear(self, watched: Watched) -> None:
        """Begin to watch something else."""
        self.watched = watched
        self._sweep = ""
        self.runs.clear()
        self._items = {}
        self._set_running(True)
        for plot in (self.losses, self.accuracy):
            plot.set_lines([])
            plot.set_references([])
            plot.plot.enableAutoRange()

    def _progress(self, event: Progress) -> None:
        left = event.elapsed / max(1, event.step) * (event.steps - event.step)
        self.bar.setRange(0, max(1, event.steps))
        self.bar.setValue(event.step)
        watched, run = self.watched, self.watched.going.get(event.run)
        epoch = f"epoch {event.epoch:.1f} of {run.epochs if run else self._epochs}"
        rate, time = f"{event.rate:,.0f} samples/s", f"{duration(left)} left"
        if run and watched.at_once:
            parts = [f"{run.name}: {epoch}, {time}", rate]
        else:
            parts = [epoch, rate, time if len(watched.going) > 1 else f"{time} for this run"]
        self.state.setText("   ·   ".join([watched.under_way(event.run), *parts, self._device]) + self._after(left))

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
        """One of those watched is over, or one that could not even begin."""
        self.queue.reload()
        watched = self.watched
        if not watched.finished:
            watched.experiments.setdefault(event.experiment, ())
        watched.ends[event.experiment] = event.status
        if event.status == "failed":
            failed = list(watched.ends.values()).count("failed")
            others = f"{failed} experiments failed; the last: " if failed > 1 else ""
            self.said.emit(f"{others}{event.name}: {event.message}.")
        if watched.experiments.keys() <= watched.ends.keys():
            self._finish_all()

    def _finish_all(self) -> None:
        self.watched.finished = True
        self._latest = None
        self._set_running(False)
        self.bar.setRange(0, 1)
        self.bar.setValue(int(self.watched.end == "done"))
        words = {
            "done": "Done.",
            "stopped": "Stopped with a checkpoint. Resume in the history goes on from there.",
            "failed": "Not all of it could be done.",
            "interrupted": "Interrupted with a checkpoint.",
        }
        self.state.setText(words[self.watched.end])

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
        watched = self.watched
        if self._dirty and watched.experiments and self.isVisible():
            self._dirty = False
            run = self._chosen or watched.running
            self._ask_history("live", read_live(list(watched.experiments), run), lambda found: self._show(watched, run, found))

    def showEvent(self, event: Any) -> None:
        """Read the curves when the screen comes to the front."""
        self._dirty = True
        super().showEvent(event)

    def _show(self, watched: Watched, followed: int, found: LiveCurves) -> None:
        if watched is not self.watched:
            return
        self._sweep = found.sweep
        self.title.setText(watched.title(found.sweep))
        self._list(found)
        self.losses.set_lines(
            [
                Line(metric, name, curve.epoch, curve.value, colour=index, front=index == 0)
                for index, ((metric, name), curve) in enumerate(zip(LOSSES, found.losses, strict=False))
                if len(curve.value)
            ]
        )
        if found.losses:
            name = " · ".join(filter(None, [found.rows[followed].name, found.points[followed]])) if followed in found.rows else ""
            self.losses.set_title(f"Loss of {name}" if name else "Loss", "nats, mean of a batch", "epoch")
        self.accuracy.set_lines(accuracy_lines(found, followed))
        beside = next((runs for runs in watched.experiments.values() if followed in runs), ())
        self.accuracy.set_references(references(found.rows[run] for run in beside if run in found.rows))

    def _list(self, found: LiveCurves) -> None:
        if list(self._items) != list(found.rows):
            self.runs.clear()
            self._items = {}
            for number in found.rows:
                item = QListWidgetItem()
                item.setData(Qt.ItemDataRole.UserRole, number)
                self._items[number] = item
                self.runs.addItem(item)
            if self._chosen in self._items:
                self.runs.setCurrentItem(self._items[self._chosen])
        for number, row in found.rows.items():
            accuracy = row.figures.get("val_accuracy")
            shown = "reused" if row.reused else "paused" if row.status == "running" and self._paused else row.status
            result = f"   {accuracy:.2%}" if accuracy is not None else ""
            text = f"{found.name(number)}   {shown}{result}"
            if self._items[number].text() != text:
                self._items[number].setText(text)
            about = f"{row.experiment_name}\n{row.name}, run {number}: {row.model}, seed {row.seed}. {row.message}"
            self._items[number].setToolTip(plain_tooltip(about) or "")
