"""The window: its threads, what is asked of them, what is heard of them, preferences, and its end.

Elsewhere: :mod:`~workbench.gui.screens` (what each screen is built from and where its signals go),
:mod:`~workbench.gui.navigation` (from one screen to another), :mod:`~workbench.gui.launching` (what goes to the queue),
:mod:`~workbench.gui.files` (log, export and import, disk, bin, backups) and :mod:`~workbench.gui.menus`.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QCloseEvent, QUndoGroup
from PySide6.QtWidgets import QApplication, QMainWindow, QSystemTrayIcon, QTabWidget, QVBoxLayout, QWidget

from workbench.events import EngineFailed, EngineReady, ExperimentFinished, ExperimentQueued, Note, RunFinished
from workbench.gui import files, launching, preferences, theme
from workbench.gui.awake import Awake
from workbench.gui.banner import Banner
from workbench.gui.compare.screen import CompareScreen
from workbench.gui.dialogs import SettingsDialog, may_stop, show_about
from workbench.gui.explore.screen import ExploreScreen
from workbench.gui.forms import label
from workbench.gui.history.screen import HistoryScreen
from workbench.gui.live.queue_panel import QueuePanel
from workbench.gui.live.screen import LiveScreen
from workbench.gui.look.screen import LookScreen
from workbench.gui.menus import fill_menus
from workbench.gui.paper.screen import PaperScreen
from workbench.gui.pictures import painting
from workbench.gui.preferences import Preferences
from workbench.gui.report.screen import ReportScreen
from workbench.gui.run_feed import RunFeed
from workbench.gui.screens import add_later_screens, wire_first_screens
from workbench.gui.setup.elsewhere_dialog import ElsewhereDialog
from workbench.gui.setup.screen import SetupScreen
from workbench.gui.specialists.screen import SpecialistsScreen
from workbench.gui.sweeps.screen import SweepScreen
from workbench.gui.take_dialog import TakeDialog
from workbench.gui.worker import Worker
from workbench.history import changes, reading
from workbench.history.thread import HistoryThread
from workbench.running.runner import Executor, LocalThread

JOIN_MILLISECONDS = 50
TOLD_MILLISECONDS = 8000
WATCH_MILLISECONDS = 5000


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
        self.sweep_launched = self.engine_there = False
        self.taking: TakeDialog | None = None
        self.bringing: ElsewhereDialog | None = None
        self.setWindowTitle(f"{history.name} – Distillation workbench")
        self.feed = RunFeed(self)
        self.awake = Awake()
        self.executor, self.history_thread = self._threads()
        self.worker = Worker(self.feed.post)
        self.quick, self.slow = Worker(self.feed.post, "quick look"), Worker(self.feed.post, "slow look")
        self.setup = SetupScreen(self.ask_engine)
        self.history = HistoryScreen(self.ask_history, self.change_history)
        self.queue = QueuePanel(self.ask_history, self.change_history, self.history.undo_stack)
        self.live = LiveScreen(self.ask_history, self.queue)
        self.banner = Banner()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for title, screen in {"Set up": self.setup, "Live": self.live, "History": self.history}.items():
            self.tabs.addTab(screen, title)
        self._later = add_later_screens(self)
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
        self.choose_undo()
        self._themes = fill_menus(self)
        self._wire()
        self.resize(1260, 740)
        preferences.restore_layout(self)

    def _threads(self) -> tuple[Executor, HistoryThread]:
        executor = LocalThread(self.history_path, self.engine_settings(), self.feed.post)
        return executor, HistoryThread(self.history_path, self.feed.post)

    def engine_settings(self) -> dict[str, Any]:
        """The engine's settings: the preferences, with what the command line said put first."""
        return self.preferences.engine(self._folders, self._device)

    def start_threads(self) -> None:
        """Start the engine and the history thread, once the window is on the screen."""
        self.executor.start()
        self.history_thread.start()
        self.show_reference()

    def _wire(self) -> None:
        self.feed.news.connect(self._take)
        self.feed.failed.connect(lambda error: self.banner.say(str(error)))
        wire_first_screens(self)
        self.tabs.currentChanged.connect(lambda _: self.choose_undo())

    # Screens that are built when they are first wanted, by :mod:`workbench.gui.screens`

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
        self.engine_there = there
        if paper := self._later.there(PaperScreen):
            paper.set_engine_there(there)

    def choose_undo(self) -> None:
        """Ctrl+Z takes back what was done on the page in front, or the last change to the history."""
        screen = self._later.there(SpecialistsScreen)
        here = screen.stack_in_front() if screen and self.tabs.currentWidget() is screen else None
        self.undo_group.setActiveStack(self.history.undo_stack if here is None else here)

    # Between the threads and the screens

    def ask_engine(
        self, topic: Hashable, question: Any, answered: Callable[[Any], None], failed: Callable[[Exception], None] | None = None
    ) -> None:
        """Ask the engine's thread; an error goes to the banner where nobody else hears of it."""
        self.feed.ask(("engine", topic), lambda token: self.executor.ask(token, question), answered, failed)

    def ask_history(self, topic: Hashable, reading: Any, answered: Callable[[Any], None]) -> None:
        """Read from the history, on its thread."""
        self.feed.ask(("history", topic), lambda token: self.history_thread.ask(token, reading), answered)

    def work(self, topic: Hashable, work: Callable[[], Any], answered: Callable[[Any], None]) -> None:
        """Have something that needs neither done beside both threads."""
        self.feed.ask(("work", topic), lambda token: self.worker.ask(token, work), answered)

    def look_by(
        self,
        worker: Worker,
        topic: Hashable,
        work: Callable[[], Any],
        answered: Callable[[Any], None],
        failed: Callable[[Exception], None] | None,
    ) -> None:
        """The same for the Look screen, by the quick worker or the slow one."""
        self.feed.ask(("look", topic), lambda token: worker.ask(token, work), answered, failed)

    def change_history(self, topic: Hashable, change: Any, answered: Callable[[Any], None]) -> None:
        """Change the history, on its thread; unlike readings, every change is made."""
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
                self.ask_history("left", reading.list_queue, partial(launching.offer_what_waits, self, self._restored_words))
                self.ask_history("warm", lambda _: importlib.import_module("scipy.special"), lambda _: None)
                files.back_up(self)
            case EngineFailed():
                self.setup.set_engine_there(False, "the engine is not running; start the workbench again")
                self._set_engine_there(False)
                self.engine_state.setText("the engine is not running")
                self.banner.say(news.message)
            case files.Restored():
                self._begin_anew(news.words)
            case Note(run=0):
                self.banner.say(news.text)
            case _:
                self.live.take(news)
                if isinstance(news, ExperimentQueued) and self.sweep_launched:
                    self.sweep_launched = False
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
            self.tell(f"{words} stopped; Resume in the history goes on from the checkpoint{'s' * (stopped > 1)}.")
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

    def _look_for_dead(self) -> None:
        """A program that was killed leaves runs that are said to be running; they are not."""

        def marked(runs: int) -> None:
            if runs:
                self.history.reload()
                self.queue.reload()

        path = self.history_path
        self.change_history("dead", lambda database: changes.mark_interrupted(database, path), marked)

    def tell(self, text: str) -> None:
        """Say something in the status bar that asks for nothing."""
        self.statusBar().showMessage(text, TOLD_MILLISECONDS)

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
        settings = self.engine_settings()

        def configure(engine: Any, _: Any) -> str:
            engine.configure(**settings)
            return str(engine.device.type)

        def configured(device: str) -> None:
            self._device_in_use = device
            self.engine_state.setText(f"ready on {device}")
            self.setup.refresh()

        self.ask_engine("configure", configure, configured)

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
        self.show_reference()

    def show_reference(self) -> None:
        """Read the screens anew, with the reference runs or without them, as the preferences say."""
        self.history.reference = self.preferences.reference
        self.history.reload()
        for screen in self._later.built():
            screen.reference = self.preferences.reference
            screen.reload()

    def choose_theme(self, name: str) -> None:
        """Put on a theme and remember it."""
        self.take_preferences(dataclasses.replace(self.preferences, theme=name))

    # The history exchanged for another

    def stand_still(self, why: str) -> None:
        """Take no clicks, and look for no dead runs, while the threads end."""
        self.setEnabled(False)
        self._watch.stop()
        self.engine_state.setText(why)

    def _begin_anew(self, words: str) -> None:
        """Start both threads on what stands in the history's place now."""
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
        if self._may_ask and self.executor.busy and not may_stop(self):
            return
        self._closing = True
        preferences.remember_layout(self)
        self.stand_still("stopping with a checkpoint…")
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
