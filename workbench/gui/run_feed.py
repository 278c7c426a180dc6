"""The one crossing between the background threads and Qt: a queue that one QTimer empties."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal
from sqlite_utils import Database

from workbench.events import Answer, EpochEnded, Metrics

AskHistory = Callable[[Hashable, Callable[[Database], Any], Callable[[Any], None]], None]
"""Asks the history's thread: a topic, what to do with a connection, and who hears of the answer."""

AskEngine = Callable[[Hashable, Any, Callable[[Any], None], Callable[[Exception], None] | None], None]
"""Asks the engine's thread: a topic, a question of :mod:`workbench.questions`, who hears of the answer and who of an error."""

DRAIN_MILLISECONDS = 40
ASKED_MILLISECONDS = 5
"""The same while an answer is awaited: a person waits for it."""
DRAIN_BUDGET_SECONDS = 0.008


@dataclass(slots=True)
class _Asked:
    topic: Hashable
    answered: Callable[[Any], None]
    failed: Callable[[Exception], None] | None


class RunFeed(QObject):
    """Carries events and answers to the GUI thread.

    ``post`` may be called from any thread; everything else belongs to the GUI thread. Of the questions on one topic at
    most one is under way, and of those that come meanwhile only the newest is asked next.
    """

    news = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._tokens = 0
        self._asked: dict[int, _Asked] = {}
        self._under_way: dict[Hashable, int] = {}
        self._next: dict[Hashable, Callable[[], None]] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(DRAIN_MILLISECONDS)
        self._timer.timeout.connect(self.drain)
        self._timer.start()

    def post(self, news: object) -> None:
        """Hand something to the GUI thread; metrics stay out, since curves are read from the history."""
        if not isinstance(news, (Metrics, EpochEnded)):
            self._queue.put(news)

    def ask(
        self,
        topic: Hashable,
        send: Callable[[int], None],
        answered: Callable[[Any], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Send a question; ``answered`` or ``failed`` is called later on the GUI thread (None: the person is told)."""
        if topic in self._under_way:
            self._next[topic] = lambda: self.ask(topic, send, answered, failed)
            return
        self._tokens += 1
        self._asked[self._tokens] = _Asked(topic, answered, failed)
        self._under_way[topic] = self._tokens
        self._pace()
        send(self._tokens)

    def drain(self) -> None:
        """Deliver what has come, for a few milliseconds at most; the rest waits for the next turn."""
        end = time.perf_counter() + DRAIN_BUDGET_SECONDS
        while time.perf_counter() < end:
            try:
                news = self._queue.get_nowait()
            except queue.Empty:
                return
            if isinstance(news, Answer):
                self._deliver(news)
            else:
                self.news.emit(news)

    def forget(self) -> None:
        """Expect no more answers: whoever was asked is gone."""
        self._next.clear()
        self._asked.clear()
        self._under_way.clear()
        self._pace()

    def stop(self) -> None:
        """Deliver nothing more."""
        self._timer.stop()
        self._next.clear()
        self._asked.clear()

    def _pace(self) -> None:
        wanted = ASKED_MILLISECONDS if self._asked else DRAIN_MILLISECONDS
        if self._timer.interval() != wanted:
            self._timer.setInterval(wanted)

    def _deliver(self, answer: Answer) -> None:
        asked = self._asked.pop(answer.token, None)
        if asked is None:
            return
        del self._under_way[asked.topic]
        self._pace()
        newer = self._next.pop(asked.topic, None)
        if newer is not None:
            newer()
        elif answer.error is None:
            asked.answered(answer.value)
        elif asked.failed is not None:
            asked.failed(answer.error)
        else:
            self.failed.emit(answer.error)
