"""Copies of the history: before a migration, once a day, and before a copy takes the history's place."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from workbench.errors import HistoryError
from workbench.history.database import SqliteError, back_up, backups_folder, check_history, files_folder, open_for_reading
from workbench.history.liveness import is_alive

LOGS = ("-wal", "-shm", "-journal")
"""What SQLite may keep beside a file, its newest part among it."""

DAILY = 7
"""So many daily copies are kept; those made for another reason stay until a person removes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A copy of a history: why and when (UTC) it was made, and its size in bytes."""

    path: Path
    reason: str
    made: datetime
    size: int


def back_up_daily(history: Path) -> Path | None:
    """A copy for today, where there is none and the history has runs; the oldest daily copies beyond :data:`DAILY` go."""
    daily = [backup for backup in list_backups(history) if backup.reason == "daily"]
    if daily and daily[0].made.date() == datetime.now(UTC).date():
        return None
    with contextlib.closing(open_for_reading(history)) as database:
        if not database.execute("SELECT count(*) FROM runs").fetchone()[0]:
            return None
        made = back_up(database, history, "daily")
    for backup in daily[DAILY - 1 :]:
        backup.path.unlink(missing_ok=True)
    return made


def list_backups(history: Path) -> list[Backup]:
    """The copies there are, newest first."""
    found = []
    for path in backups_folder(history).glob("*.db"):
        stamp, _, reason = path.stem.partition("-")
        with contextlib.suppress(ValueError, OSError):
            made = datetime.strptime(stamp, "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
            found.append(Backup(path=path, reason=reason, made=made, size=path.stat().st_size))
    return sorted(found, key=lambda backup: backup.made, reverse=True)


def restore(history: Path, backup: Path) -> Path | None:
    """Put a copy in the history's place, which is kept as a copy itself (returned); nobody may have the history open.

    Raises :class:`HistoryError` where the copy is no history or another process is using it.
    """
    check_history(backup)
    if any(is_alive(lock) for lock in (files_folder(history) / "locks").glob("*.lock")):
        raise HistoryError(f"another workbench has {history} open; close it, then restore")
    kept = None
    if history.exists():
        kept = backups_folder(history) / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-before-restoring.db"
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            with contextlib.closing(open_for_reading(history)) as database:
                kept = back_up(database, history, "before-restoring")
        except (HistoryError, SqliteError):
            for extra in ("", *LOGS):  # damaged: as it is, its log too
                if Path(f"{history}{extra}").exists():
                    shutil.copy2(f"{history}{extra}", f"{kept}{extra}")
    temporary = history.with_name(f".{history.name}.restored")
    try:
        shutil.copy2(backup, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        for extra in LOGS:
            Path(f"{history}{extra}").unlink(missing_ok=True)
        os.replace(temporary, history)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise HistoryError(f"{backup} cannot be put in the place of {history}: {error.strerror}") from None
    return kept
