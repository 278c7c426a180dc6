"""What a person changes in the history: one transaction each, on any writing connection."""

from __future__ import annotations

from collections.abc import Sequence

from sqlite_utils import Database

from workbench.errors import HistoryError
from workbench.history.database import now, writing


def move_to_bin(database: Database, runs: Sequence[int]) -> None:
    """Delete runs, until they are taken back; a running or waiting one is refused with a :class:`HistoryError`."""
    with writing(database):
        for run in runs:
            row = database.execute("SELECT status FROM runs WHERE id = ?", [run]).fetchone()
            if row and row[0] in ("running", "waiting"):
                raise HistoryError(f"run {run} is {row[0]}; stop it before you delete it")
            database.execute("INSERT OR IGNORE INTO bin VALUES (?, ?)", [run, now()])


def take_from_bin(database: Database, runs: Sequence[int]) -> None:
    """Undo :func:`move_to_bin`."""
    with writing(database):
        for run in runs:
            database.execute("DELETE FROM bin WHERE run = ?", [run])
