"""Opening a history file: what may be opened, how it is journalled, and its schema."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from workbench.errors import CannotWrite, HistoryError
from workbench.paths import free_space

APPLICATION_ID = 0x44575242  # "DWRB"
SCHEMA_VERSION = 7
BUSY_SECONDS = 30.0
LOG_PAGES = 4000
"""The log is played into the file once it has so many pages (16 MB): the commit that does it takes tens of milliseconds."""
READ_KILOBYTES = 16_000
"""What a reading connection keeps of the file; a list of ten thousand runs looks at 13 MB."""

SQLITE_VERSION: str = sqlite3.sqlite_version
SqliteError = sqlite3.Error
"""What the SQLite in use raises: pysqlite3's errors where it is installed, else Python's own."""


def open_database(path: Path) -> Database:
    """A writing connection to the history at ``path``, made with its tables where there is none.

    A history of an older version is backed up and then migrated. WAL with ``synchronous=FULL``; on an SQLite with the
    WAL-reset bug, TRUNCATE. Raises :class:`HistoryError`, and then has changed nothing, where the file is not a history,
    is newer than this program, is open in an older one or cannot be written.
    """
    new = _checked_path(path)
    if not new:
        _checked_content(path)
    try:
        database = _connect(path)
        try:
            _set_journal(database, "WAL" if wal_is_safe() else "TRUNCATE")
            database.execute("PRAGMA synchronous=FULL")
            database.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
            _create(database)
            _migrate(database, path)
        except BaseException:
            database.close()
            raise
    except SqliteError as error:
        raise HistoryError(f"{path} cannot be used as a history: {error}; name another file with --history") from None
    return database


def empty_history() -> Database:
    """A history in memory, to know its tables by."""
    database = _connect(Path(":memory:"), "memory")
    _run_script(database, "schema.sql")
    return database


def check_history(path: Path) -> None:
    """Raise :class:`HistoryError` where :func:`open_database` would, without making or changing anything."""
    if not _checked_path(path):
        _checked_content(path)


def open_for_reading(path: Path) -> Database:
    """A read-only connection to the history at ``path``; it must exist. One of an older version is migrated first."""
    if not path.exists() or _checked_path(path, writing=False) or _checked_content(path):
        raise HistoryError(f"there is no history at {path}; run an experiment first or name another file with --history")
    try:
        database = _connect(path, "ro")
        if _version(database) < SCHEMA_VERSION:
            database.close()
            open_database(path).close()
            database = _connect(path, "ro")
        database.execute(f"PRAGMA cache_size=-{READ_KILOBYTES}")
        return database
    except SqliteError as error:
        raise HistoryError(f"{path} cannot be read as a history: {error}") from None


def read_untouched(path: Path) -> Database:
    """A connection to a copy that nobody writes, which leaves not even a log beside it; raises what SQLite does."""
    return _connect(path, "ro&immutable=1")


def files_folder(history: Path) -> Path:
    """Where a history keeps its checkpoints and locks: a folder beside it."""
    return history.with_name(f"{history.stem}.files")


def backups_folder(history: Path) -> Path:
    """Where the copies are."""
    return files_folder(history) / "backups"


def back_up(database: Database, history: Path, reason: str) -> Path:
    """Copy the whole history, the part in its log too, while others write; :class:`CannotWrite` where there is no room."""
    made = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    path = backups_folder(history) / f"{made}-{reason}.db"
    temporary = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(temporary)) as copy:
            database.conn.backup(copy)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, SqliteError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise CannotWrite(f"the history cannot be copied to {path} ({error}; {free_space(path)})") from error
    return path


@contextmanager
def writing(database: Database) -> Iterator[None]:
    """One transaction that takes the write lock at once (BEGIN IMMEDIATE): committed whole, or not at all.

    Raises :class:`CannotWrite` where the disk is full or another program has the file, :class:`HistoryError` where the
    history is damaged.
    """
    try:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
            database.execute("COMMIT")
        except BaseException:
            if database.conn.in_transaction:
                database.execute("ROLLBACK")
            raise
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except sqlite3.OperationalError as error:
        path = _named(database)
        raise CannotWrite(f"the history {path} cannot be written ({error}; {free_space(Path(path))})") from error
    except sqlite3.DatabaseError as error:
        raise HistoryError(f"the history {_named(database)} is damaged ({error}); go on with another file") from error


def _named(database: Database) -> str:
    return str(database.execute("PRAGMA database_list").fetchone()[2])


def tuples(database: Database, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query as plain tuples: of many rows in half the time that named ones take."""
    cursor = database.conn.cursor()
    cursor.row_factory = None
    return cursor.execute(sql, list(values)).fetchall()


def now() -> str:
    """The present in UTC, as the history writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _connect(path: Path, mode: str = "rwc") -> Database:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys=ON")
    return Database(connection, execute_plugins=False)


def _set_journal(database: Database, mode: str) -> None:
    """Choose the journal; that takes the file alone for a moment, for which SQLite's own busy timeout does not wait."""
    deadline = time.monotonic() + 5.0
    while True:
        try:
            database.execute(f"PRAGMA journal_mode={mode}")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _create(database: Database) -> None:
    if _version(database):
        return
    with writing(database):
        if not _version(database):
            _run_script(database, "schema.sql")
            database.execute(f"PRAGMA application_id={APPLICATION_ID}")
            database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _migrate(database: Database, path: Path) -> None:
    before = _version(database)
    if before >= SCHEMA_VERSION:
        return
    if _open_elsewhere(path):
        if _version(database) >= SCHEMA_VERSION:  # who has it open has migrated it meanwhile
            return
        raise HistoryError(f"an older workbench has {path} open; close it first, for it cannot go on with the tables of this one")
    back_up(database, path, f"schema-{before}")
    with writing(database):
        for version in range(_version(database) + 1, SCHEMA_VERSION + 1):
            _run_script(database, f"migrations/{version}.sql")
        database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _open_elsewhere(path: Path) -> bool:
    from workbench.history.liveness import is_alive  # which opens histories itself

    return any(is_alive(lock) for lock in (files_folder(path) / "locks").glob("*.lock"))


def _run_script(database: Database, name: str) -> None:
    script = resources.files("workbench.history").joinpath(name).read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            database.execute(statement)


def _version(database: Database) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _checked_path(path: Path, *, writing: bool = True) -> bool:
    """Whether the file has still to be made; raises where it cannot be one."""
    if path.is_dir():
        raise HistoryError(f"{path} is a folder; name a file in it, such as {path / 'experiments.db'}")
    if not path.parent.is_dir():
        raise HistoryError(f"the folder {path.parent} of the history does not exist; make it first")
    if not path.exists():
        if not _writable(path.parent):
            raise HistoryError(f"the folder {path.parent} is read-only; name a history elsewhere with --history")
        return True
    if writing and not (_writable(path) and _writable(path.parent)):
        raise HistoryError(f"{path} is read-only; make it writable or name another history with --history")
    return path.stat().st_size == 0


def _writable(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)) and os.access(path, os.W_OK)


def _checked_content(path: Path) -> bool:
    """Whether it is a database without a table yet; raises where it is not a history of this version."""
    journal = Path(f"{path}-journal")
    hot = journal.exists() and journal.stat().st_size > 0
    logged = Path(f"{path}-wal").exists()
    try:
        version, application, tables = _content(path, "ro&immutable=1")
        old = not version and not application
    except HistoryError:
        if not logged and not hot:
            raise
        version, application, tables = _content(path, "rw" if hot else "ro")
        old = False
    if old and logged:  # its newest part stands in its log; where that is not needed, leave no trace of having looked
        version, application, tables = _content(path, "ro")
    if not version and not application and not tables:
        return True
    if application != APPLICATION_ID:
        raise HistoryError(f"{path} is an SQLite file of another application; name another history with --history")
    if version > SCHEMA_VERSION:
        raise HistoryError(
            f"{path} was written by a newer workbench (schema {version}, this one knows {SCHEMA_VERSION}); "
            "update the workbench or name another history with --history"
        )
    return False


def _content(path: Path, mode: str) -> tuple[int, int, int]:
    """(version, application, tables) of a database, asked of SQLite alone.

    A file that Python itself had opened would on closing take all of this process's locks from it, as POSIX has it;
    another process would then take itself for the last, and remove the log that this one goes on writing into.
    """
    try:
        with contextlib.closing(_connect(path, mode)) as database:
            database.execute("BEGIN")  # the numbers of one moment, though another process may just be making the file
            numbers = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id")]
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except SqliteError as error:
        if "not a database" in str(error):
            raise HistoryError(f"{path} is not a history: it is not an SQLite file; name another with --history") from None
        advice = "restore one of its copies (File → Restore a backup) or name another with --history"
        raise HistoryError(f"{path} cannot be read as a history: {error}; {advice}") from None
    return numbers[0], numbers[1], tables


def wal_is_safe() -> bool:
    """Whether this SQLite is free of the WAL-reset bug (fixed in 3.51.3, and in 3.50.7 and 3.44.6)."""
    version = sqlite3.sqlite_version_info
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
