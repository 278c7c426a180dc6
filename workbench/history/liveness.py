"""Whether a process still lives: a lock it holds on a file of its own, which the system drops when it dies."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sqlite_utils import Database

from workbench.history.database import files_folder, open_database

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class ProcessLock:
    """Held from its making until :meth:`release`, or until the process dies.

    Raises :class:`BlockingIOError` where another process holds it, another :class:`OSError` where it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file: IO[bytes] = path.open("ab")
        if not _try_lock(self._file) or not self._is_the_one_there():
            self._file.close()
            raise BlockingIOError(f"{path} is locked by another process")

    def _is_the_one_there(self) -> bool:
        """Whether the file locked is still the one at that path, and not one that its last owner has just taken away."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Take the file away and give the lock up."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self._file.close()


@contextlib.contextmanager
def held_open(history: Path) -> Iterator[Database]:
    """A writing connection to a history that meanwhile nobody replaces by a backup."""
    with contextlib.closing(open_database(history)) as database:
        lock = ProcessLock(files_folder(history) / "locks" / f"{secrets.token_hex(8)}.lock")
        try:
            yield database
        finally:
            lock.release()


def is_alive(path: Path) -> bool:
    """Whether some process holds the lock at ``path``."""
    if not path.exists():
        return False
    try:
        with path.open("ab") as file:
            return not _try_lock(file)
    except OSError:
        return True  # whoever made it so that it cannot be asked may well be there


def host() -> str:
    """The machine's name, as far as the system tells it."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
