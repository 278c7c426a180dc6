"""Takes the experiments of a file into a history, with nothing lost, nothing doubled and nothing overwritten.

The file may come from anybody. It is read twice: first all of it is held against its manifest and each row against what a
row can be, then its rows are set down in temporary tables, and from there entered in one transaction, for which others that
write do not wait long. Its rows are data to statements of ours; no SQL of its own is run, nothing
is unpickled, and its files stand where their runs' names, which are checked, put them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlite_utils import Database
from sqlite_utils.utils import sqlite3  # type: ignore[attr-defined]

from workbench.errors import CannotWrite, HistoryError
from workbench.history.bundle import CHUNK, FILES, ROWS, TABLES, Tell, renumbered
from workbench.history.bundle_checks import (
    DAMAGED,
    MOST_LINE,
    POINTS_AT,
    Content,
    logits_of,
    looked_over,
    manifest,
    refused,
    rows,
)
from workbench.history.curves import copies, keep_copies
from workbench.history.database import empty_history, files_folder, writing
from workbench.paths import free_space
from workbench.words import many

BATCH = 5_000
STAGED = (
    "params", "points", "metrics", "nonfinite", "summary", "results", "corrections", "predictions", "tags", "marks", "bin"
)  # fmt: skip
"""Tables that name no other row than a run, ``run``: most rows are theirs."""
LATER_OPTIONS = (  # as migrations/6.sql does to a history
    "INSERT OR IGNORE INTO params SELECT p.run, o.column1, o.column2 FROM params p JOIN temp.numbers n ON n.now = p.run,"
    " (VALUES ('model.activation', 'relu'), ('model.bias', 'true')) o WHERE p.key = 'model' AND p.value IN ('mlp', 'cnn')"
)
"""Options that are younger than a file may be, with what its runs were trained with."""
UNKNOWN = 2**62
"""Stands for a past run that the file names and does not hold: no history has it, and a launch says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What came in by an import: numbers of new experiments and runs; how many ``there`` were, and of these in the bin."""

    experiments: tuple[int, ...]
    runs: tuple[int, ...]
    there: int
    binned: int

    def words(self) -> str:
        """In a sentence or two."""
        known = f"{many(self.there, 'run')} {'was' if self.there == 1 else 'were'} already here"
        known += f", {self.binned} of them in the bin" if self.binned else ""
        if not self.runs and not self.experiments:
            return f"Nothing is new: {known}."
        first, last = (self.runs[0], self.runs[-1]) if self.runs else (0, 0)
        which = f" ({first} to {last})" if last > first else f" ({first})" if first else ""
        words = f"Imported {many(len(self.experiments), 'experiment')} and {many(len(self.runs), 'run')}{which}"
        return f"{words}; {known}." if self.there else f"{words}."


def read_experiment(database: Database, history: Path, source: Path, tell: Tell = lambda *_: None) -> Brought:
    """Enter the experiments of a file, all or nothing; what came in.

    Runs that are here already, by their uid, stay as they are. Raises :class:`HistoryError` where the file is not what it
    should be, :class:`CannotWrite` where there is no room; then nothing has changed.
    """
    folder = files_folder(history) / "runs" / f".import-{secrets.token_hex(8)}"
    with _opened(source) as file:
        archive, content = _checked(file, source, _columns(database), tell)
        try:
            unpacked = _unpack(database, history, archive, content, folder, tell)
            return _enter(database, history, archive, content, unpacked, source)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def check_file(source: Path) -> None:
    """Raise :class:`HistoryError` where a file is not what :func:`read_experiment` takes, though there is no history yet."""
    with closing(empty_history()) as database, _opened(source) as file:
        _checked(file, source, _columns(database), lambda *_: None)


def _opened(source: Path) -> IO[bytes]:
    try:
        return source.open("rb")
    except OSError as error:
        raise HistoryError(f"{source} cannot be read: {error.strerror}") from None


def _checked(file: IO[bytes], source: Path, columns: Mapping[str, set[str]], tell: Tell) -> tuple[zipfile.ZipFile, Content]:
    try:
        archive = zipfile.ZipFile(file)
        return archive, looked_over(archive, manifest(archive), columns, tell)
    except DAMAGED as error:
        raise refused(source, error) from None


def _columns(database: Database) -> dict[str, set[str]]:
    return {table: {row["name"] for row in database.execute(f"PRAGMA table_info({table})").fetchall()} for table in TABLES}


# Unpacking, beside where the files will stand


def _unpack(
    database: Database, history: Path, archive: zipfile.ZipFile, content: Content, folder: Path, tell: Tell
) -> dict[str, Path]:
    """The files of runs that are not here yet, synced, by where they will stand."""
    wanted = {
        path: about
        for run, files in content.files.items()
        if _here(database, "runs", content.uids["runs"][run]) is None
        for path, about in files.items()
    }
    needed = sum(size for size, _ in wanted.values()) + archive.getinfo(ROWS).file_size
    existing = next(place for place in (history.parent, *history.absolute().parents) if place.is_dir())
    if needed > shutil.disk_usage(existing).free:
        raise CannotWrite(f"the import needs {needed / 1e6:,.1f} MB beside {history} ({free_space(history)}); make room first")
    found: dict[str, Path] = {}
    try:
        folder.mkdir(parents=True)
        for place, (path, _) in enumerate(wanted.items()):
            tell("unpacking files", place, len(wanted), "files")
            found[path] = folder / str(place)
            with archive.open(FILES + path) as part, found[path].open("wb") as file:
                shutil.copyfileobj(part, file, CHUNK)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise CannotWrite(f"the files cannot be put beside {history} ({error.strerror}; {free_space(history)})") from None
    return found


def _here(database: Database, table: str, uid: str) -> int | None:
    row = database.execute(f"SELECT id FROM {table} WHERE uid = ?", [uid]).fetchone()
    return row[0] if row else None


# Entering


def _enter(
    database: Database, history: Path, archive: zipfile.ZipFile, content: Content, unpacked: Mapping[str, Path], source: Path
) -> Brought:
    """One transaction: rows, then the files at their places, then the commit."""
    placed: list[Path] = []
    entering = _Entering(database)
    try:
        with archive.open(ROWS) as part:
            entering.take(rows(iter(lambda: part.readline(MOST_LINE), b""), _columns(database)))
        with writing(database):
            entering.enter()
            keep_copies(database, copies(database, entering.new_runs))
            wanted = {path for run, files in content.files.items() if run not in entering.there["runs"] for path in files}
            if missing := wanted - set(unpacked):
                raise CannotWrite(f"the history was changed while {source.name} was imported ({missing.pop()}); import it again")
            _place(files_folder(history), {path: unpacked[path] for path in wanted}, placed)
            return entering.brought()
    except BaseException as error:
        _take_away(database, history, placed)
        if isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError, UnicodeEncodeError, OverflowError)):
            raise refused(source, error) from None
        if isinstance(error, OSError):
            raise CannotWrite(f"the files cannot be put beside {history} ({error.strerror}; {free_space(history)})") from None
        raise
    finally:
        entering.close()


def _stored(table: str, name: str, row: dict[str, Any]) -> Any:
    return logits_of(row) if (table, name) == ("predictions", "logits") else row.get(name)


def _place(folder: Path, files: Mapping[str, Path], placed: list[Path]) -> None:
    for path, temporary in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, place)
        placed.append(place)
    for parent in {folder, folder / "runs", *(place.parent for place in placed)} if os.name == "posix" else ():
        if parent.is_dir():
            handle = os.open(parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _take_away(database: Database, history: Path, placed: Sequence[Path]) -> None:
    """Remove files of an import that came to nothing, save those that another process has entered since."""
    if not placed:
        return
    with writing(database):
        for path in placed:
            name = path.relative_to(files_folder(history)).as_posix()
            if not database.execute("SELECT 1 FROM artefacts WHERE path = ?", [name]).fetchone():
                with contextlib.suppress(OSError):  # what cannot be removed is what `workbench doctor` finds
                    path.unlink(missing_ok=True)
                    path.parent.rmdir()


class _Entering:
    """Enters rows under new numbers, those of runs that are here already left out."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._numbers: dict[str, dict[int, int]] = {"sweeps": {}, "experiments": {}, "runs": {}}
        self.there: dict[str, set[int]] = {"sweeps": set(), "experiments": set(), "runs": set()}
        self._rows: list[tuple[str, dict[str, Any]]] = []
        columns = _columns(database)
        self._columns = {table: ["run", *sorted(columns[table] - {"run"})] for table in STAGED}

    def close(self) -> None:
        """Give back what the rows took."""
        for table in ("numbers", *(f"staged_{table}" for table in STAGED)):
            self._database.execute(f"DROP TABLE IF EXISTS temp.{table}")

    def take(self, told: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Set rows down without touching the history; :class:`CannotWrite` where there is no room for them."""
        try:
            self._database.execute("BEGIN")
            for table, names in self._columns.items():  # without types: a value stays what it is in the file
                self._database.execute(f"CREATE TEMP TABLE staged_{table} ({', '.join(names)})")
            self._database.execute("CREATE TEMP TABLE numbers (before INTEGER PRIMARY KEY, now INTEGER)")
            for table, group in itertools.groupby(told, key=lambda one: one[0]):
                if table not in STAGED:
                    self._rows += group
                    continue
                names = self._columns[table]
                sql = f"INSERT INTO staged_{table} VALUES ({', '.join('?' * len(names))})"
                values = ([_stored(table, name, row) for name in names] for _, row in group)
                while part := list(itertools.islice(values, BATCH)):
                    self._database.conn.executemany(sql, part)
            self._database.execute("COMMIT")
        except BaseException as error:
            if self._database.conn.in_transaction:
                self._database.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                folder = Path(tempfile.gettempdir())
                raise CannotWrite(f"the rows of the import cannot be set down ({error}; {free_space(folder)})") from None
            raise

    def enter(self) -> None:
        """Enter what was taken, in the transaction under way."""
        for table, row in self._rows:
            self._enter(table, row)
        values = [(before, now) for before, now in self._numbers["runs"].items() if before not in self.there["runs"]]
        self._database.conn.executemany("INSERT INTO temp.numbers VALUES (?, ?)", values)
        for table, names in self._columns.items():
            self._database.execute(
                f"INSERT INTO main.{table} ({', '.join(names)}) SELECT n.now, {', '.join(f's.{name}' for name in names[1:])}"
                f" FROM temp.staged_{table} s JOIN temp.numbers n ON n.before = s.run ORDER BY s.rowid"
            )
        self._database.execute(LATER_OPTIONS)
        self._renumber()

    def _enter(self, table: str, row: dict[str, Any]) -> None:
        if table in self._numbers:
            self._enter_numbered(table, row)
            return
        if row.get("child", row.get("run")) in self.there["runs"] and (
            table != "members" or row["experiment"] in self.there["experiments"]
        ):
            return
        if table == "members" and row["experiment"] in self.there["experiments"]:
            row["position"] = self._after(self._numbers["experiments"][row["experiment"]])
        row = self._anew(row)
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        self._database.execute(sql, list(row.values()))

    def _enter_numbered(self, table: str, row: dict[str, Any]) -> None:
        number = row.pop("id")
        here = _here(self._database, table, row["uid"])
        if here is not None:
            self.there[table].add(number)
            self._numbers[table][number] = here
            return
        row = self._anew(row)
        sql = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        self._numbers[table][number] = int(self._database.execute(sql, list(row.values())).lastrowid or 0)

    def _anew(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with the numbers of this history."""
        for name, table in POINTS_AT.items():
            if row.get(name) is not None:
                row[name] = self._numbers[table][row[name]]
        return row

    def _after(self, experiment: int) -> int:
        sql = "SELECT coalesce(max(position) + 1, 0) FROM members WHERE experiment = ?"
        return int(self._database.execute(sql, [experiment]).fetchone()[0])

    def _renumber(self) -> None:
        """Give the runs that recipes and environments name the numbers they have here."""
        runs = self._numbers["runs"]

        def number(run: int) -> int:
            return runs.get(run, UNKNOWN)

        for table, column in (("sweeps", "config"), ("experiments", "config"), ("experiments", "point")):
            for new in self._new(table):
                (text,) = self._database.execute(f"SELECT {column} FROM {table} WHERE id = ?", [new]).fetchone()
                if text is not None and (changed := renumbered(tables := json.loads(text), number)) != tables:
                    self._database.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", [json.dumps(changed), new])
        for new in self._new("runs"):
            (text,) = self._database.execute("SELECT environment FROM runs WHERE id = ?", [new]).fetchone()
            environment = json.loads(text)
            if isinstance(together := environment.get("together"), list):
                environment["together"] = [runs.get(run, -place) for place, run in enumerate(together, 1)]
                self._database.execute("UPDATE runs SET environment = ? WHERE id = ?", [json.dumps(environment), new])

    @property
    def new_runs(self) -> list[int]:
        """The numbers of the runs that came in."""
        return self._new("runs")

    def _new(self, table: str) -> list[int]:
        return [new for number, new in self._numbers[table].items() if number not in self.there[table]]

    def brought(self) -> Brought:
        """What came in."""
        known = json.dumps([self._numbers["runs"][number] for number in self.there["runs"]])
        (binned,) = self._database.execute(
            "SELECT count(*) FROM bin WHERE run IN (SELECT value FROM json_each(?))", [known]
        ).fetchone()
        there = len(self.there["runs"])
        return Brought(experiments=tuple(self._new("experiments")), runs=tuple(self._new("runs")), there=there, binned=binned)
