"""A process that does a dialog's long work: started with wishes, heard line by line, and given up."""

from __future__ import annotations

import json
import sys
from typing import Any

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

GRACE_MILLISECONDS = 10_000
"""A process that has not given up after so long, because it is in the midst of something endless, is ended."""


class Child(QObject):
    """One of :mod:`workbench.exchange.child_process`, one work at a time: ``heard`` are its news, and ``over`` says that it
    ended, with the reason for whoever has heard of no result."""

    heard = Signal(dict)
    over = Signal(str)

    def __init__(self, module: str, parent: QObject) -> None:
        super().__init__(parent)
        self._module = module
        self._unread = b""
        self._given_up = False
        self.process = QProcess(self)
        self.process.setProcessChannelMode(QProcess.ProcessChannelMode.SeparateChannels)
        self.process.readyReadStandardOutput.connect(self._read)
        self.process.finished.connect(lambda *_: self._ended())
        self.process.errorOccurred.connect(self._not_started)
        self._grace = QTimer(self)
        self._grace.setSingleShot(True)
        self._grace.timeout.connect(self.process.kill)

    @property
    def ended(self) -> bool:
        """Whether no work is under way."""
        return self.process.state() == QProcess.ProcessState.NotRunning

    @property
    def given_up(self) -> bool:
        """Whether a person has cancelled what is, or was last, under way."""
        return self._given_up

    def start(self, wishes: dict[str, Any]) -> None:
        """Begin to work."""
        self._unread, self._given_up = b"", False
        self.process.start(sys.executable, ["-P", "-m", self._module])
        self.process.write(json.dumps(wishes).encode() + b"\n")

    def give_up(self) -> None:
        """Have it end, with nothing left behind."""
        self._given_up = True
        self.process.closeWriteChannel()
        self._grace.start(GRACE_MILLISECONDS)

    def _read(self) -> None:
        *lines, self._unread = (self._unread + bytes(self.process.readAllStandardOutput().data())).split(b"\n")
        for line in lines:
            try:
                news = json.loads(line)
            except ValueError:  # a library's own words
                continue
            if isinstance(news, dict):
                self.heard.emit(news)

    def _ended(self) -> None:
        self._grace.stop()
        self._read()
        last = bytes(self.process.readAllStandardError().data()).decode(errors="replace").strip().splitlines()
        self.over.emit(f"the process that does it ended ({last[-1] if last else 'it said nothing'})")

    def _not_started(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self.over.emit(self.process.errorString())
