"""Starting the window: QApplication, palette, the pin on the garbage collector, the hook for what nobody caught."""

from __future__ import annotations

import gc
import itertools
import logging
import signal
import sys
import threading
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import QTimer
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from workbench.errors import WorkbenchError
from workbench.events import EngineReady
from workbench.gui import preferences, theme
from workbench.gui.files import log_to_file
from workbench.gui.main_window import MainWindow
from workbench.history.database import check_history
from workbench.history.reference import begin_with_reference
from workbench.paths import APP, resources_folder

COLLECT_MILLISECONDS = 2000
WHOLE_COLLECTION = 16
"""Every so many collections go through what has outlived one before: a list of ten thousand runs takes 10 ms, in which nobody
else has the interpreter."""
SWITCH_SECONDS = 0.0005
"""How long the training thread waits at most for the interpreter while the window's paints (Python's default is 5 ms)."""

logger = logging.getLogger(__name__)


def application() -> QApplication:
    """The QApplication, named so that preferences find their place."""
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    app.setOrganizationName(APP)
    app.setApplicationName(APP)
    app.setApplicationDisplayName("Distillation workbench")
    app.setWindowIcon(QIcon(str(resources_folder() / "icon.svg")))
    return app


def pin_garbage_collector(window: MainWindow) -> QTimer:
    """Collect on the GUI thread alone: a collection in the training thread would destroy QObjects there."""
    gc.disable()
    gc.collect()
    gc.freeze()
    window.feed.news.connect(lambda news: gc.freeze() if isinstance(news, EngineReady) else None)
    timer = QTimer(window)
    timer.setInterval(COLLECT_MILLISECONDS)
    turns = itertools.count(1)
    timer.timeout.connect(lambda: gc.collect(1 if next(turns) % WHOLE_COLLECTION else 2))
    timer.start()
    return timer


def main(history: Path, folders: tuple[Path, ...] = (), device: str = "", wanted_theme: str = "") -> int:
    """Open the window on a history; raises :class:`WorkbenchError` where the history cannot be used."""
    check_history(history)
    log_to_file()
    app = application()
    chosen = preferences.load()
    theme.apply(wanted_theme or chosen.theme)
    begin_with_reference(history)
    window = MainWindow(history, chosen, folders, device)
    _show_uncaught(window)
    sys.setswitchinterval(SWITCH_SECONDS)
    window.closed.connect(app.quit)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.end())
    app.setQuitOnLastWindowClosed(False)
    window.show()
    QTimer.singleShot(0, lambda: _on_screen(window))
    return app.exec()


def _on_screen(window: MainWindow) -> None:
    window.repaint()
    pin_garbage_collector(window)
    window.start_threads()


def _show_uncaught(window: MainWindow) -> None:
    """What nobody caught is a bug: it goes into the log whole and to the person in a sentence."""

    def tell(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        logger.critical("uncaught", exc_info=(kind, error, trace) if error else None)
        sentence = (
            str(error)
            if isinstance(error, WorkbenchError)
            else f"Something unexpected happened ({kind.__name__}: {error}); the log file has the details."
        )
        window.feed.post(_Failed(sentence))

    sys.excepthook = tell
    threading.excepthook = lambda args: tell(args.exc_type, args.exc_value, args.exc_traceback)
    window.feed.news.connect(lambda news: window.banner.say(news.sentence) if isinstance(news, _Failed) else None)


class _Failed:
    """News of an uncaught error."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
