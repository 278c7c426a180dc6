"""Keeps the computer from sleeping while models train, where the system lets an application ask."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys

logger = logging.getLogger(__name__)

ES_CONTINUOUS, ES_SYSTEM_REQUIRED = 0x80000000, 0x00000001


class Awake:
    """Asked for with :meth:`keep`; given up with :meth:`release`, and by the system when this process dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.kept = False

    def keep(self, keep: bool) -> None:
        """Keep the computer awake, or let it sleep again."""
        if keep == self.kept:
            return
        self.kept = keep
        if sys.platform == "win32":
            import ctypes

            state = ES_CONTINUOUS | (ES_SYSTEM_REQUIRED if keep else 0)
            ctypes.windll.kernel32.SetThreadExecutionState(state)
        elif keep:
            self._start()
        elif self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        """A helper of the system's that ends with this process: its input closes, or it watches our number."""
        command = _helper()
        if not command:
            return
        try:
            quiet = subprocess.DEVNULL
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet)
        except OSError:
            logger.info("the computer may sleep: %s cannot be started", command[0])


def _helper() -> list[str]:
    if sys.platform == "darwin":
        return ["caffeinate", "-i", "-w", str(os.getpid())]
    found = shutil.which("systemd-inhibit")
    return [found, "--what=sleep:idle", "--who=Distillation workbench", "--why=models are training", "cat"] if found else []
