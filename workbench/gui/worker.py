"""A thread for arithmetic of seconds, so that neither a screen nor the history's reader waits for it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Hashable
from typing import Any

from workbench.errors import WorkbenchError
from workbench.events import Answer

logger = logging.getLogger(__name__)

Work = Callable[[Hashable, Callable[[], Any], Callable[[Any], None]], None]
"""Has something worked out: a topic, what to call on the worker's thread, and who hears of its value."""


class Worker:
    """Calls what it is asked for one after the other, on a thread that begins with the first of them."""

    def __init__(self, post: Callable[[Answer], None], name: str = "worker") -> None:
        self._post = post
        self._asked: queue.SimpleQueue[tuple[int, Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=False)

    def ask(self, token: int, work: Callable[[], Any]) -> None:
        """Have ``work`` called; its value is posted as an answer with that token."""
        if self._thread.ident is None:
            self._thread.start()
        self._asked.put((token, work))

    def close(self) -> None:
        """End after what has been asked so far."""
        self._asked.put(None)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end; whether it did."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            token, work = asked
            try:
                self._post(Answer(token, work(), None))
            except Exception as error:
                if not isinstance(error, WorkbenchError):
                    logger.exception("something worked out")
                self._post(Answer(token, None, error))
