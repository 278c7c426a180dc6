"""How long the Explore screen takes from the question to the painted picture, and how late the window's thread is meanwhile.

    xvfb-run -a uv run python tests/benchmarks/explore_screen.py HISTORY

Each figure is the median of several goes on a history of as many runs as it has; 1,000 of them where it says so.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEventLoop, QObject, QSettings, QTimer
from PySide6.QtWidgets import QWidget

from workbench.gui import theme
from workbench.gui.app import application
from workbench.gui.explore.screen import ExploreScreen
from workbench.gui.run_feed import RunFeed
from workbench.gui.worker import Worker
from workbench.history.thread import HistoryThread

GOES = 5


class Lateness(QObject):
    """The longest that a timer of a millisecond had to wait: how long the thread was busy with something else."""

    def __init__(self) -> None:
        super().__init__()
        self.worst, self._last = 0.0, time.perf_counter()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tick)
        self._timer.start(1)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.worst, self._last = max(self.worst, now - self._last), now


def wait(true: Callable[[], bool]) -> None:
    """Let Qt work until something holds."""
    while not true():
        loop = QEventLoop()
        QTimer.singleShot(1, loop.quit)
        loop.exec()


class Screen:
    """The screen over a history, with threads of its own."""

    def __init__(self, path: Path) -> None:
        self.feed, self.answers = RunFeed(), 0
        self.reader, self.worker = HistoryThread(path, self.feed.post), Worker(self.feed.post)
        self.screen = ExploreScreen(self._ask, self._work)
        self.screen.resize(1280, 760)
        self.reader.start()
        self.screen.show()
        wait(lambda: self.answers == 1)

    def _ask(self, topic: Hashable, reading: Any, answered: Callable[[Any], None]) -> None:
        def heard(value: Any) -> None:
            answered(value)
            self.answers += 1

        self.feed.ask(topic, lambda token: self.reader.ask(token, reading), heard)

    def _work(self, topic: Hashable, work: Callable[[], Any], answered: Callable[[Any], None]) -> None:
        self.feed.ask(("work", topic), lambda token: self.worker.ask(token, work), answered)

    def painted(self, name: str, ask: Callable[[], object], page: QWidget, done: Callable[[], bool]) -> None:
        """Print how long it takes until what is asked is on the screen."""
        took, late = [], []
        for _ in range(GOES):
            answers, lateness, start = self.answers, Lateness(), time.perf_counter()
            ask()
            wait(lambda before=answers: self.answers > before and done())  # type: ignore[misc]
            page.repaint()
            took.append(time.perf_counter() - start)
            late.append(lateness.worst)
            lateness.deleteLater()
        print(f"{name}: {1000 * statistics.median(took):.0f} ms, the window at most {1000 * statistics.median(late):.0f} ms late")


def weigh(screen: ExploreScreen) -> None:
    """Print how long it takes to say what mattered."""
    screen.show_runs(None)
    screen.tabs.setCurrentWidget(screen.mattered)
    for words in ("with the first import of scikit-learn", "again"):
        lateness, start = Lateness(), time.perf_counter()
        screen._answered = ()
        screen.reload()
        wait(lambda: bool(screen._answered))
        took = time.perf_counter() - start
        print(f"what mattered, {words}: {took:.1f} s, the window at most {1000 * lateness.worst:.0f} ms late")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("history", type=Path)
    path = parser.parse_args().history
    with tempfile.TemporaryDirectory() as folder:
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
        app = application()
        theme.apply("light")
        made = Screen(path)
        screen = made.screen
        screen.roles.setCurrentText("All roles")
        screen.show_runs(None)
        wait(lambda: made.answers == 2)
        runs = screen.scatter._table.runs.tolist()  # type: ignore[union-attr]
        plot, lines = screen.scatter.plot, screen.parallel.plot.lines
        made.painted(f"scatter of {len(runs):,} runs", screen.reload, plot.viewport(), lambda: True)
        screen.tabs.setCurrentWidget(screen.parallel)
        every = [name for name in screen.parallel.axes if name != "data"]
        made.painted(
            f"parallel coordinates of {len(runs):,} runs",
            lambda: screen.parallel.show_axes(every),
            screen.parallel.plot,
            lambda: lines.ready,
        )
        some = runs[:: max(1, len(runs) // 1000)][:1000]
        made.painted(
            f"parallel coordinates of {len(some):,} runs",
            lambda: screen.show_runs(some),
            screen.parallel.plot,
            lambda: lines.ready,
        )
        weigh(screen)
        made.reader.close()
        made.worker.close()
        made.feed.stop()
        screen.close()
        app.processEvents()


if __name__ == "__main__":
    main()
