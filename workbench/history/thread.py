"""The history's own thread: reads for the screens and writes what a person changes, so that no screen waits for the file."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from workbench.errors import WorkbenchError
from workbench.events import Answer
from workbench.history.changes import mark_interrupted
from workbench.history.database import SqliteError, open_database, open_for_reading

logger = logging.getLogger(__name__)

Reading = Callable[[Database], Any]


class HistoryThread:
    """Answers questions about the history one after the other, each on a connection of this thread's."""

    def __init__(self, path: Path, post: Callable[[Answer], None]) -> None:
        self._path = path
        self._post = post
        self._asked: queue.SimpleQueue[tuple[int, Reading, bool] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="history", daemon=False)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def ask(self, token: int, reading: Reading) -> None:
        """Have ``reading`` called with a read-only connection; its value is posted as an answer with that token."""
        self._asked.put((token, reading, False))

    def change(self, token: int, change: Reading) -> None:
        """The same with a writing connection."""
        self._asked.put((token, change, True))

    def close(self) -> None:
        """End after what has been asked so far."""
        self._asked.put(None)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread to end; whether it did."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        connections: dict[bool, Database] = {}
        marked = False
        while (asked := self._asked.get()) is not None:
            token, reading, writes = asked
            try:
                for writer, connect in ((True, open_database), (False, open_for_reading)):
                    if writer not in connections:
                        connections[writer] = connect(self._path)
                if not marked:
                    mark_interrupted(connections[True], self._path)
                    marked = True
                self._post(Answer(token, reading(connections[writes]), None))
            except Exception as error:
                if not isinstance(error, (WorkbenchError, SqliteError)):
                    logger.exception("a question to the history")
                self._post(Answer(token, None, error))
        for connection in connections.values():
            connection.close()
