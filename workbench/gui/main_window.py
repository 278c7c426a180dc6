"""The window: its screens, and flat wiring between them, the engine thread and the history thread."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import threading
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer, QUrl, Signal
from PySide6.QtGui import QCloseEvent, QDesktopServices, QUndoGroup
from PySide6.QtWidgets import (
    QApplication,
    QMainWindow,
    QMessageBox,
    QSystemTrayIcon,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from workbench import words
from workbench.config import ExperimentConfig
from workbench.errors import NotHere
from workbench.events import EngineFailed, EngineReady, ExperimentFinished, ExperimentQueued, Note, RunFinished
from workbench.gui import exchange, preferences, theme
from workbench.gui.awake import Awake
from workbench.gui.banner import Banner
from workbench.gui.bin_dialog import BinDialog
from workbench.gui.compare.screen import CompareScreen
from workbench.gui.dialogs import SettingsDialog, show_about
from workbench.gui.explore.screen import ExploreScreen
from workbench.gui.files_dialogs import DiskDialog, RestoreDialog
from workbench.gui.forms import label
from workbench.gui.history.screen import HistoryScreen
from workbench.gui.later import Kind, LaterScreens
from workbench.gui.live.queue_panel import QueuePanel
from workbench.gui.live.screen import LiveScreen
from workbench.gui.look.screen import LookScreen
from workbench.gui.menus import fill_menus
from workbench.gui.paper.screen import PaperScreen
from workbench.gui.pictures import painting
from workbench.gui.preferences import Preferences
from workbench.gui.report.screen import ReportScreen
from workbench.gui.run_feed import RunFeed
from workbench.gui.setup.elsewhere_dialog import ElsewhereDialog
from workbench.gui.setup.screen import SetupScreen
from workbench.gui.specialists.screen import SpecialistsScreen
from workbench.gui.sweeps.screen import SweepScreen
from workbench.gui.take_dialog import TakeDialog
from workbench.gui.worker import Worker
from workbench.history import changes, reading
from workbench.history.backups import back_up_daily, list_backups, restore
from workbench.history.reading import QueuedRow
from workbench.history.thread import HistoryThread
from workbench.history.unbundle import Brought
from workbench.paths import log_path
from workbench.questions import images, plans
from workbench.running.runner import Executor, LocalThread
from workbench.words import sentence

logger = logging.getLogger(__name__)

JOIN_MILLISECONDS = 50
TOLD_MILLISECONDS = 8000
WATCH_MILLISECONDS = 5000


class _Restored:
    """News that the exchange of the files is over."""

    def __init__(self, words: str) -> None:
        self.words = words


class MainWindow(QMainWindow):
    """Owns the two background threads; ``closed`` is emitted once both have ended."""

    closed = Signal()

    def __init__(self, history: Path, chosen: Preferences, folders: tuple[Path, ...] = (), device: str = "") -> None:
        super().__init__()
        self.history_path, self.preferences = history, chosen
        self._folders, self._device = folders, device
        self._torch, self._device_in_use = "not started yet", "not known yet"
        self._closing = False
        self._changes = 0
        self._may_ask = True
        self._tray: QSystemTrayIcon | None = None
        self._restored_words = ""
        self._sweep_launched = self._engine_there = False
        self.taking: TakeDialog | None = None
        self.bringing: ElsewhereDialog | None = None
        self.setWindowTitle(f"{history.name} – Distillation workbench")
        self.feed = RunFeed(self)
        self.awake = Awake()
        self.executor, self.history_thread = self._threads()
        self.worker = Worker(self.feed.post)
        self.quick, self.slow = Worker(self.feed.post, "quick look"), Worker(self.feed.post, "slow look")
        self.setup = SetupScreen(self._ask_engine)
        self.history = HistoryScreen(self._ask_history, self._change_history)
        self.queue = QueuePanel(self._ask_history, self._change_history, self.history.undo_stack)
        self.live = LiveScreen(self._ask_history, self.queue)
        self.banner = Banner()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for title, screen in {"Set up": self.setup, "Live": self.live, "History": self.history}.items():
            self.tabs.addTab(screen, title)
        self._later = LaterScreens(self.tabs)
        self._later.add("Sweeps", SweepScreen, self._build_sweeps)
        self._later.add("Compare", CompareScreen, self._build_compare)
        self._later.add("Explore", ExploreScreen, self._build_explore)
        self._later.add("Report", ReportScreen, self._build_report)
        self._later.add("Paper", PaperScreen, self._build_paper)
        self._later.add("Specialists", SpecialistsScreen, self._build_specialists)
        self._later.add("Look", LookScreen, self._build_look)
        middle = QWidget()
        layout = QVBoxLayout(middle)
        layout.setContentsMargins(6, 4, 6, 2)
        layout.addWidget(self.banner)
        layout.addWidget(self.tabs, 1)
        self.setCentralWidget(middle)
        self.engine_state = label("starting the engine…", "faint")
        self.statusBar().addWidget(self.engine_state, 1)
        self.statusBar().addPermanentWidget(label(str(history.absolute()), "faint"))
        self._watch = QTimer(self)
        self._watch.setInterval(WATCH_MILLISECONDS)
        self._watch.timeout.connect(self._look_for_dead)
        self.undo_group = QUndoGroup(self)
        self.undo_group.addStack(self.history.undo_stack)
        self._choose_undo()
        self._themes = fill_menus(self)
        self._wire()
        self.resize(1260, 740)
        preferences.restore_layout(self)

    def _threads(self) -> tuple[Executor, HistoryThread]:
        settings = self.preferences.engine(self._folders, self._device)
        return LocalThread(self.history_path, settings, self.feed.post), HistoryThread(self.history_path, self.feed.post)

    def start_threads(self) -> None:
        """Start the engine and the history thread, once the window is on the screen."""
        self.executor.start()
        self.history_thread.start()
        self._show_reference()

    def _wire(self) -> None:
        self.feed.news.connect(self._take)
        self.feed.failed.connect(lambda error: self.banner.say(str(error)))
        self.setup.launched.connect(self._launch)
        self.setup.sweep_launched.connect(self._launch_sweep)
        self.setup.said.connect(self.banner.say)
        self.setup.past_run_wanted.connect(self._choose_past_set_up)
        self.setup.teachers.past_wanted.connect(self._choose_past_run)
        self.setup.teachers.elsewhere_wanted.connect(self._bring_teacher)
        self.live.pause_wanted.connect(lambda on: self.executor.pause() if on else self.executor.resume())
        self.live.stop_wanted.connect(lambda: self.executor.stop())
        self.live.results_wanted.connect(self._compare)
        self.live.said.connect(self.banner.say)
        self.queue.changed.connect(lambda: self.executor.wake())
        self.queue.edit_wanted.connect(self._open_setup)
        self.queue.again_wanted.connect(lambda config: self.executor.submit(config))
        self.queue.said.connect(self._tell)
        self.queue.times_wanted.connect(self._ask_times)
        self.history.resume_wanted.connect(self._resume)
        self.history.epochs_wanted.connect(self._go_on)
        self.history.bias_wanted.connect(self._ask_bias)
        self.history.compare_wanted.connect(self._compare)
        self.history.take_wanted.connect(self._take_away)
        self.history.export_wanted.connect(self.export_experiments)
        self.history.report_wanted.connect(self._show_report)
        self.history.explore_wanted.connect(self._explore)
        self.history.setup_wanted.connect(self._open_setup)
        self.history.teacher_wanted.connect(self._use_as_teacher)
        self.history.said.connect(self.banner.say)
        self.history.told.connect(self._tell)
        self.history.changed.connect(self.setup.refresh)
        self.tabs.currentChanged.connect(lambda _: self._choose_undo())

    # Screens that are built when they are first wanted

    def _ready(self, screen: Kind) -> Kind:
        screen.reference = self.preferences.reference
        preferences.restore_splitters(screen)
        return screen

    def _build_sweeps(self) -> SweepScreen:
        screen = self._ready(SweepScreen(self._ask_history))
        screen.compare_wanted.connect(self._compare)
        screen.said.connect(self.banner.say)
        return screen

    def _build_compare(self) -> CompareScreen:
        screen = self._ready(CompareScreen(self._ask_history, self._ask_engine))
        screen.said.connect(self.banner.say)
        screen.history_wanted.connect(lambda: self.tabs.setCurrentWidget(self.history))
        return screen

    def _build_explore(self) -> ExploreScreen:
        screen = self._ready(ExploreScreen(self._ask_history, self._work))
        screen.compare_wanted.connect(self._compare)
        screen.select_wanted.connect(self._select)
        screen.filter_wanted.connect(self._filter)
        screen.said.connect(self.banner.say)
        return screen

    def _build_report(self) -> ReportScreen:
        screen = self._ready(ReportScreen(self._ask_history, self._ask_engine))
        screen.compare_wanted.connect(self._compare)
        screen.select_wanted.connect(self._select)
        screen.sweep_wanted.connect(self._show_sweep)
        screen.said.connect(self.banner.say)
        screen.told.connect(self._tell)
        screen.take_wanted.connect(self._take_away)
        return screen

    def _build_paper(self) -> PaperScreen:
        screen = self._ready(PaperScreen(self._ask_history))
        screen.set_engine_there(self._engine_there)
        screen.compare_wanted.connect(self._compare)
        screen.select_wanted.connect(self._select)
        screen.run_wanted.connect(self._run_missing)
        return screen

    def _build_specialists(self) -> SpecialistsScreen:
        screen = self._ready(SpecialistsScreen(self._ask_history, self._ask_engine))
        screen.setup_wanted.connect(self._open_setup)
        screen.said.connect(self.banner.say)
        self.undo_group.addStack(screen.subsets.cards.undo_stack)
        screen.tabs.currentChanged.connect(lambda _: self._choose_undo())
        return screen

    def _build_look(self) -> LookScreen:
        quick, slow = partial(self._look_by, self.quick), partial(self._look_by, self.slow)
        screen = self._ready(LookScreen(self._ask_history, self._ask_engine, quick, slow, self.feed.drain))
        screen.told.connect(self._tell)
        return screen

    @property
    def sweeps(self) -> SweepScreen:
        """Sweeps, with seeds together."""
        return self._later.get(SweepScreen)

    @property
    def compare(self) -> CompareScreen:
        """Runs over each other."""
        return self._later.get(CompareScreen)

    @property
    def explore(self) -> ExploreScreen:
        """Many runs at once."""
        return self._later.get(ExploreScreen)

    @property
    def report(self) -> ReportScreen:
        """One experiment side by side."""
        return self._later.get(ReportScreen)

    @property
    def paper(self) -> PaperScreen:
        """The paper's claims."""
        return self._later.get(PaperScreen)

    @property
    def specialists(self) -> SpecialistsScreen:
        """A generalist and its specialists."""
        return self._later.get(SpecialistsScreen)

    @property
    def look(self) -> LookScreen:
        """What everybody says of an image."""
        return self._later.get(LookScreen)

    def _set_engine_there(self, there: bool) -> None:
        self._engine_there = there
        if paper := self._later.there(PaperScreen):
            paper.set_engine_there(there)

    def _choose_undo(self) -> None:
        """Ctrl+Z takes back what was done on the page in front, or the last change to the history."""
        screen = self._later.there(SpecialistsScreen)
        here = screen.stack_in_front() if screen and self.tabs.currentWidget() is screen else None
        self.undo_group.setActiveStack(self.history.undo_stack if here is None else here)

    # Between the threads and the screens

    def _ask_engine(
        self, topic: Hashable, question: Any, answered: Callable[[Any], None], failed: Callable[[Exception], None] | None = None
    ) -> None:
        self.feed.ask(("engine", topic), lambda token: self.executor.ask(token, question), answered, failed)

    def _ask_history(self, topic: Hashable, reading: Any, answered: Callable[[Any], None]) -> None:
        self.feed.ask(("history", topic), lambda token: self.history_thread.ask(token, reading), answered)

    def _work(self, topic: Hashable, work: Callable[[], Any], answered: Callable[[Any], None]) -> None:
        self.feed.ask(("work", topic), lambda token: self.worker.ask(token, work), answered)

    def _look_by(
        self,
        worker: Worker,
        topic: Hashable,
        work: Callable[[], Any],
        answered: Callable[[Any], None],
        failed: Callable[[Exception], None] | None,
    ) -> None:
        self.feed.ask(("look", topic), lambda token: worker.ask(token, work), answered, failed)

    def _change_history(self, topic: Hashable, change: Any, answered: Callable[[Any], None]) -> None:
        self._changes += 1
        self.feed.ask((topic, self._changes), lambda token: self.history_thread.change(token, change), answered)

    def _take(self, news: object) -> None:
        match news:
            case EngineReady():
                self._device_in_use, self._torch = news.device, news.torch
                self.engine_state.setText(f"ready on {news.device}")
                self.setup.set_engine_there(True)
                self._set_engine_there(True)
                self._watch.start()
                self.history.reload()
                self._ask_history("left", reading.list_queue, self._offer_what_waits)
                self._ask_history("warm", lambda _: importlib.import_module("scipy.special"), lambda _: None)
                self._ask_history("backup", lambda _: back_up_daily(self.history_path), lambda _: None)
            case EngineFailed():
                self.setup.set_engine_there(False, "the engine is not running; start the workbench again")
                self._set_engine_there(False)
                self.engine_state.setText("the engine is not running")
                self.banner.say(news.message)
            case _Restored():
                self._restored(news.words)
            case Note(run=0):
                self.banner.say(news.text)
            case _:
                self.live.take(news)
                if isinstance(news, ExperimentQueued) and self._sweep_launched:
                    self._sweep_launched = False
                    self.sweeps.show_newest()
                if isinstance(news, (RunFinished, ExperimentFinished)):
                    self.history.reload()
                    self.setup.refresh()
                self.awake.keep(self.executor.busy and not isinstance(news, ExperimentFinished))
                for screen in self._later.built():
                    if isinstance(news, ExperimentFinished) and screen.isVisible():
                        screen.reload()
                if isinstance(news, ExperimentFinished) and self.live.watched.finished:
                    self._tell_end(news)

    def _tell_end(self, last: ExperimentFinished) -> None:
        """Tell that an experiment, or several that were done at once, is over."""
        stopped = list(self.live.watched.ends.values()).count("stopped")
        if stopped:
            words = f"{last.name} #{last.experiment} is" if stopped == 1 else f"{stopped} experiments are"
            self._tell(f"{words} stopped; Resume in the history goes on from the checkpoint{'s' * (stopped > 1)}.")
        if not self.isActiveWindow():
            self._notify(self.live.title.text() or last.name, self.live.watched.end, last.message)

    def _notify(self, name: str, status: str, message: str) -> None:
        """Tell it a person who looks at something else."""
        QApplication.alert(self)
        if QSystemTrayIcon.isSystemTrayAvailable():
            if self._tray is None:
                self._tray = QSystemTrayIcon(QApplication.windowIcon(), self)
                self._tray.show()
            self._tray.showMessage(f"{name}: {status}", message or "All of its runs are in the history.")

    def _launch(self, config: ExperimentConfig) -> None:
        self.banner.hide()
        self.executor.submit(config)
        self.tabs.setCurrentWidget(self.live)

    def _look_for_dead(self) -> None:
        """A program that was killed leaves runs that are said to be running; they are not."""

        def marked(runs: int) -> None:
            if runs:
                self.history.reload()
                self.queue.reload()

        path = self.history_path
        self._change_history("dead", lambda database: changes.mark_interrupted(database, path), marked)

    def launch_what_is_seen(self) -> None:
        """Launch what is seen: from another screen the set-up is shown first."""
        if self.tabs.currentWidget() is self.setup:
            self.setup.launch.click()
        else:
            self.tabs.setCurrentWidget(self.setup)

    def _launch_sweep(self, tables: dict[str, Any]) -> None:
        self.banner.hide()
        self.executor.submit_sweep(tables)
        self._sweep_launched = True
        self.tabs.setCurrentWidget(self.live)

    def _tell(self, text: str) -> None:
        self.statusBar().showMessage(text, TOLD_MILLISECONDS)

    def _ask_times(self, experiments: list[tuple[int, dict[str, Any]]]) -> None:
        self._ask_engine("times", plans.times(experiments), self.queue.show_times)

    def _resume(self, experiments: list[int]) -> None:
        def queued(others: str) -> None:
            self._queue_changed()
            if others:
                self._tell(sentence(others))

        self._ask_engine(("resume", *experiments), plans.resume(experiments), queued)

    def _go_on(self, run: int, epochs: int, kind: str) -> None:
        self._ask_engine(("go on", run), plans.go_on(run, epochs, kind), lambda _: self._queue_changed())

    def _ask_bias(self, run: int) -> None:
        def answered(samples: images.BiasSamples) -> None:
            self._ask_history("bias", lambda database: reading.correction(database, run), partial(self.history.ask_bias, samples))

        self._ask_engine(("bias", run), images.bias_samples(run), answered)

    def _run_missing(self, recipes: list[str]) -> None:
        self.banner.hide()

        def queued(count: int) -> None:
            self.paper.answered(recipes)
            self.queue.reload()
            self.sweeps.show_newest()
            self._tell(f"{words.many(count, 'experiment')} more in the queue on Live.")

        def failed(error: Exception) -> None:
            self.paper.answered(recipes)
            if isinstance(error, NotHere):  # set up, a launch downloads it
                self.banner.say(f"{error}.", "Open in Set up", partial(self._set_up_recipe, recipes[0]))
            else:
                self.banner.say(str(error))

        self._ask_engine(("missing", *recipes), plans.queue_missing(recipes), queued, failed)

    def _set_up_recipe(self, name: str) -> None:
        self.setup.show_recipe(name)
        self.tabs.setCurrentWidget(self.setup)

    def _queue_changed(self) -> None:
        self.executor.wake()
        self.queue.reload()
        self.history.reload()
        self.tabs.setCurrentWidget(self.live)

    def _offer_what_waits(self, rows: list[QueuedRow]) -> None:
        """What was left held from last time is asked about, once."""
        self.queue.show_rows(rows)
        left = [row for row in rows if row.left]
        held = [row.experiment for row in left]
        if held:
            names = ", ".join(f"{row.name} #{row.experiment}" for row in left[:3]) + (
                f" and {len(left) - 3} more" * (len(left) > 3)
            )
            begun = any(row.status == "interrupted" for row in left)
            words = f"{self._restored_words}{names}: {'interrupted' if begun else 'left waiting'} last time."
            self.banner.say(
                f"{words} Go on{' from the last checkpoint' if begun else ''}? Until then it waits in the queue on Live.",
                "Go on",
                lambda: self.queue.change(lambda database: changes.hold(database, held, False)),
            )

    def _compare(self, runs: list[int]) -> None:
        self.compare.compare(runs)
        self.tabs.setCurrentWidget(self.compare)

    def _explore(self, runs: list[int]) -> None:
        self.explore.show_runs(runs)
        self.tabs.setCurrentWidget(self.explore)

    def _show_report(self, experiment: int) -> None:
        self.report.show_experiment(experiment)
        self.tabs.setCurrentWidget(self.report)

    def _show_sweep(self, sweep: int) -> None:
        self.sweeps.show_sweep(sweep)
        self.tabs.setCurrentWidget(self.sweeps)

    def _select(self, runs: list[int]) -> None:
        self.tabs.setCurrentWidget(self.history)
        self.history.show_runs(runs)

    def _filter(self, expression: str) -> None:
        self.history.filter.setText(expression)
        self.tabs.setCurrentWidget(self.history)

    def _open_setup(self, config: ExperimentConfig) -> None:
        self.banner.hide()
        self.setup.show_config(config)
        self.tabs.setCurrentWidget(self.setup)

    def _choose_past_set_up(self) -> None:
        self.tabs.setCurrentWidget(self.history)
        self.banner.say("Select a run below and press “Open as new set-up”.")

    def _choose_past_run(self) -> None:
        self.tabs.setCurrentWidget(self.history)
        self.banner.say("Select a finished run below and press “Use as teacher”.")

    def _use_as_teacher(self, run: int, words: str) -> None:
        self.banner.hide()
        self.setup.add_past_run(run, words)
        self.tabs.setCurrentWidget(self.setup)

    # What the menus do

    def show_about(self) -> None:
        """Versions and the device in use."""
        show_about(self, self._torch, self._device_in_use, self.history_path)

    def open_recipe(self) -> None:
        """Choose a recipe's file and show it."""
        self.tabs.setCurrentWidget(self.setup)
        self.setup.open_file()

    def filter_history(self) -> None:
        """Go to the history's filter."""
        self.tabs.setCurrentWidget(self.history)
        self.history.filter.setFocus()

    def show_settings(self) -> None:
        """The Settings dialog."""
        dialog = SettingsDialog(self.preferences, self)
        if dialog.exec():
            self.take_preferences(dialog.preferences())

    def take_preferences(self, chosen: Preferences) -> None:
        """Store and follow new preferences."""
        self.preferences = chosen
        preferences.save(chosen)
        self.dress(chosen.theme)
        self._themes[chosen.theme].setChecked(True)
        settings = chosen.engine(self._folders, self._device)

        def configure(engine: Any, _: Any) -> str:
            engine.configure(**settings)
            return str(engine.device.type)

        def configured(device: str) -> None:
            self._device_in_use = device
            self.engine_state.setText(f"ready on {device}")
            self.setup.refresh()

        self._ask_engine("configure", configure, configured)

    def dress(self, wanted: str) -> None:
        """Put on a theme."""
        theme.apply(wanted)
        for plot in (self.live.losses, self.live.accuracy):
            plot.dress()
        for screen in self._later.built():
            screen.dress()
        self.setup.distillation.picture.update()
        self.setup.data.sheet.update()

    def toggle_reference(self) -> None:
        """Show the runs that came with the workbench, or hide them, and remember it."""
        self.take_preferences(dataclasses.replace(self.preferences, reference=not self.preferences.reference))
        self._show_reference()

    def _show_reference(self) -> None:
        self.history.reference = self.preferences.reference
        self.history.reload()
        for screen in self._later.built():
            screen.reference = self.preferences.reference
            screen.reload()

    def choose_theme(self, name: str) -> None:
        """Put on a theme and remember it."""
        self.take_preferences(dataclasses.replace(self.preferences, theme=name))

    def open_log(self) -> None:
        """Open the log file in whatever the system opens it with."""
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_path()))):
            self.banner.say(f"The log file is {log_path()}.")

    # Out of the history, and in

    def _take_away(self, run: int, name: str) -> None:
        """Ask into what file a run should go; beside a training one thread does it."""
        if self._given_up(self.taking):
            self.taking = TakeDialog(run, name, self.history_path, *self._beside(), self)
            self.taking.open()

    def _bring_teacher(self) -> None:
        """Ask for a teacher from elsewhere, for the data that stands in Set up."""
        data = self.setup.data_config()
        if data is None:
            self.banner.say("Something in the set-up is wrong; put it right first, for a teacher is brought in for its data.")
        elif self._given_up(self.bringing):
            self.bringing = ElsewhereDialog(data, self.history_path, *self._beside(), self)
            self.bringing.brought.connect(self._use_as_teacher)
            self.bringing.brought.connect(lambda *_: self.history.reload())
            self.bringing.open()

    def _given_up(self, before: TakeDialog | ElsewhereDialog | None) -> bool:
        """Whether a dialog can take the place of one that was there before, whose work was perhaps cancelled."""
        if before is not None and not before.ended:
            self.banner.say("What was cancelled is still being given up; try again in a moment.")
            return False
        if before is not None:
            before.deleteLater()
        return True

    def _beside(self) -> tuple[tuple[Path, ...], int]:
        """The data folders, and the threads of work in a process of its own, beside a training one."""
        settings = self.preferences.engine(self._folders, self._device)
        return settings["folders"], settings["threads"] or int(self.executor.busy)

    def export_selected(self) -> None:
        """Write the experiments of the selected runs to a file."""
        if experiments := self.history.selected_experiments():
            self.export_experiments(experiments)
        else:
            self.tabs.setCurrentWidget(self.history)
            self.banner.say("Select the experiments to export below, then File → Export experiment.")

    def export_experiments(self, experiments: list[int]) -> None:
        """Write experiments to a file that the person chooses."""
        exchange.export_experiments(self, self._ask_history, self.history_path, experiments, self.banner.say, self._tell)

    def import_experiments(self) -> None:
        """Take the experiments of a file into the history."""
        exchange.import_file(self, self._change_history, self.history_path, self._imported, self._tell)

    def _imported(self, brought: Brought) -> None:
        self._show_reference()
        self.setup.refresh()
        runs = list(brought.runs)
        self.banner.say(brought.words(), "Show" if runs else "", partial(self._select, runs))

    # Files beside the history

    def show_disk_usage(self) -> None:
        """What the files beside the history take, and what of it may go."""
        DiskDialog(
            self.history_path,
            lambda reading, shown: self._ask_history("disk", reading, shown),
            lambda change, done: self._change_history("disk", change, done),
            self,
        ).exec()

    def show_bin(self) -> None:
        """What was deleted: take it back, or empty the bin."""
        dialog = BinDialog(
            self.history_path,
            lambda reading, shown: self._ask_history(("bin", reading.__name__), reading, shown),
            lambda change, done: self._change_history("bin", change, done),
            self,
        )
        dialog.exec()
        if dialog.changed:
            self._show_reference()
            self.setup.refresh()

    def show_backups(self) -> None:
        """Choose a backup that takes the history's place."""
        if self.executor.busy:
            self.banner.say("A model is training; stop it before you restore a backup.")
            return
        dialog = RestoreDialog(list_backups(self.history_path), self)
        if dialog.exec() and (chosen := dialog.chosen()):
            self._restore(chosen)

    def _restore(self, backup: Path) -> None:
        """End both threads, exchange the files, and begin anew with what was restored."""
        self.setEnabled(False)
        self._watch.stop()
        self.engine_state.setText("restoring…")
        old = (self.executor, self.history_thread)

        def work() -> None:
            for thread in old:
                thread.close()
                thread.join()
            try:
                kept = restore(self.history_path, backup)
                words = f"Restored. What was there before is kept as {kept.name if kept else 'nothing'}."
            except Exception as error:
                logger.exception("restoring %s", backup)
                words = f"Nothing was restored: {error}."
            self.feed.post(_Restored(words))

        threading.Thread(target=work, name="restore").start()

    def _restored(self, words: str) -> None:
        if self._closing:  # meanwhile, and what is begun now nobody would end
            return
        self.setEnabled(True)
        self.history.undo_stack.clear()
        self.feed.forget()
        self._set_engine_there(False)
        self.executor, self.history_thread = self._threads()
        self.start_threads()
        self.engine_state.setText("starting the engine…")
        self.live.forget()
        for screen in self._later.built():
            screen.forget()
        self.banner.say(words)
        self._restored_words = f"{words} "

    # Closing

    def end(self) -> None:
        """Close without asking, as the system's signals want it; a run that goes on still gets its checkpoint."""
        self._may_ask = False
        self.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Ask where a run goes on; then end the threads without freezing, and close once they have ended."""
        if self._ended():
            event.accept()
            self.feed.stop()
            self.awake.keep(False)
            self.closed.emit()
            return
        event.ignore()
        if self._closing:
            return
        if self._may_ask and self.executor.busy and not self._may_stop():
            return
        self._closing = True
        self._watch.stop()
        preferences.remember_layout(self)
        self.engine_state.setText("stopping with a checkpoint…")
        self.setEnabled(False)
        for dialog in (self.taking, self.bringing):
            if dialog is not None:
                dialog.reject()
        if not self.executor.busy:
            self.hide()
        self.executor.close()
        self.history_thread.close()
        if look := self._later.there(LookScreen):
            look.own.stop()
        for worker in (self.worker, self.quick, self.slow):
            worker.close()
        self._joining = QTimer(self)
        self._joining.setInterval(JOIN_MILLISECONDS)
        self._joining.timeout.connect(lambda: self.close() if self._ended() else None)
        self._joining.start()

    def _ended(self) -> bool:
        threads = (self.executor, self.history_thread, self.worker, self.quick, self.slow)
        given_up = all(dialog is None or dialog.ended for dialog in (self.taking, self.bringing))
        return self._closing and given_up and not painting() and all(thread.join(0) for thread in threads)

    def _may_stop(self) -> bool:
        box = QMessageBox(self)
        box.setWindowTitle("A model is training")
        box.setText("A model is still training.")
        box.setInformativeText("Stop it with a checkpoint and quit? Next time the workbench asks whether to go on.")
        stop = box.addButton("Stop and quit", QMessageBox.ButtonRole.AcceptRole)
        keep = box.addButton("Keep training", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.exec()
        return box.clickedButton() is stop
