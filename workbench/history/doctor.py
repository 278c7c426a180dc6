"""Looks a history over: its file, what its summaries say of its metrics, its checkpoints, and files that nothing refers to."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

from workbench.errors import CannotWrite
from workbench.history.database import SqliteError, backups_folder, files_folder, read_untouched, writing

Tell = Callable[[str, int, int, str], None]
YOUNG_SECONDS, IMPORT_SECONDS = 60.0, 86400.0
"""A file that nothing refers to may so long be one that is about to be recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it should be: what, which run (0: none), and what a repair would do, empty where nothing."""

    what: str
    run: int = 0
    repair: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A file beside the history and what it is: ``kind`` of artefact, ``backup``, or ``unused`` where nothing refers to it."""

    path: Path
    size: int
    kind: str
    run: int
    deleted: bool


def examine(database: Database, history: Path, tell: Tell = lambda *_: None) -> list[Finding]:
    """Everything that is wrong with a history; nothing is changed.

    SQLite's own check misses most flipped bits inside values, so each metric is held against the running CRC-32 that
    was kept while it was written.
    """
    try:
        broken = [row[0] for row in database.execute("PRAGMA integrity_check(20)").fetchall() if row[0] != "ok"]
        loose = database.execute("PRAGMA foreign_key_check").fetchall()
        if broken or loose:
            words = "; ".join([*broken, *(f"a row of {row[0]} refers to nothing" for row in loose[:5])])
            return [Finding(what=f"the file itself is damaged: {words}; restore a backup")]
        found = _metrics(database, tell) + _checkpoints(database, history, tell)
        unused = [one for one in usage(database, history) if one.kind == "unused"]
    except SqliteError as error:
        return [Finding(what=f"the file itself is damaged: {error}; restore a backup")]
    size = sum(one.size for one in unused)
    if unused:
        found.append(
            Finding(what=f"{len(unused)} files ({size / 1e6:,.1f} MB) that nothing refers to", repair="they are removed")
        )
    return found


def _metrics(database: Database, tell: Tell) -> list[Finding]:
    curves = database.execute("SELECT run, metric FROM summary").fetchall()
    found = []
    for done, (run, metric) in enumerate(curves):
        if done % 50 == 0:
            tell("checking metrics", done, len(curves), "curves")
        database.execute("BEGIN")  # one view of both tables: a run that goes on adds to them
        try:
            last, lowest, highest, count, crc = database.execute(
                "SELECT last, lowest, highest, count, crc FROM summary WHERE run = ? AND metric = ?", [run, metric]
            ).fetchone()
            points = database.execute(
                "SELECT step, value FROM metrics WHERE run = ? AND metric = ? ORDER BY step", [run, metric]
            ).fetchall()
        finally:
            database.execute("COMMIT")
        sums = 0
        for step, value in points:
            sums = zlib.crc32(struct.pack("<qd", step, value), sums)
        values = [value for _, value in points]
        extremes = (values[-1], min(values), max(values)) if values else (last, lowest, highest)
        if (len(values), sums, extremes) != (count, crc, (last, lowest, highest)):
            words = f"{metric} of run {run} is not what was written ({len(values)} of {count} points)"
            found.append(Finding(what=words, run=run))
    return found


def _checkpoints(database: Database, history: Path, tell: Tell) -> list[Finding]:
    rows = database.execute("SELECT run, kind FROM artefacts ORDER BY run").fetchall()
    found = []
    for done, (run, kind) in enumerate(rows):
        tell("checking files", done, len(rows), "files")
        for _ in range(3):  # a run that goes on replaces its checkpoint
            now = database.execute("SELECT path, sha256 FROM artefacts WHERE run = ? AND kind = ?", [run, kind]).fetchone()
            if now is None or _sound(files_folder(history) / now[0], now[1]):
                break
        else:
            place = files_folder(history) / now[0]
            what = f"the {kind} of run {run} is {'damaged' if place.exists() else 'gone'}: {place}"
            words = "its record is removed, and the run is trained again where it is needed"
            found.append(Finding(what=what, run=run, repair=words))
    return found


def repair(database: Database, history: Path, findings: list[Finding]) -> None:
    """Do what the findings say a repair would do. Runs and metrics stay."""
    damaged = {finding.run for finding in findings if finding.run and finding.repair}
    with writing(database):
        for run, kind, path, sha256 in database.execute("SELECT run, kind, path, sha256 FROM artefacts").fetchall():
            if run in damaged and not _sound(files_folder(history) / path, sha256):
                database.execute("DELETE FROM artefacts WHERE run = ? AND kind = ?", [run, kind])
    clean_up(usage(database, history), {"unused"})


def usage(database: Database, history: Path) -> list[Usage]:
    """Every file in the folder beside the history, the largest first; left out are those that a run under way or an import
    may be about to record, and those that a copy made before restoring still needs."""
    folder = files_folder(history)
    files = [Path(place) / name for part in ("runs", "backups") for place, _, names in os.walk(folder / part) for name in names]
    known = {
        row["path"]: row
        for row in database.execute(
            "SELECT path, max(kind) AS kind, run, run IN (SELECT run FROM bin) AS deleted FROM artefacts GROUP BY path"
        ).fetchall()
    }
    busy = {row[0] for row in database.execute("SELECT uid FROM runs WHERE status IN ('running', 'waiting')").fetchall()}
    needed = _needed_by_copies(history)
    found = []
    for path in files:
        row = known.get(path.relative_to(folder).as_posix())
        backup = path.parent == folder / "backups"
        try:
            size, age = path.stat().st_size, time.time() - path.stat().st_mtime
        except OSError:
            continue
        coming = path.parent.name in busy or age < (IMPORT_SECONDS if path.parent.name.startswith(".import-") else YOUNG_SECONDS)
        if row is None and not backup and (coming or path.relative_to(folder).as_posix() in needed):
            continue
        kind = "backup" if backup else row["kind"] if row else "unused"
        run, deleted = (row["run"], bool(row["deleted"])) if row else (0, False)
        found.append(Usage(path=path, size=size, kind=kind, run=run, deleted=deleted))
    return sorted(found, key=lambda one: -one.size)


def _needed_by_copies(history: Path) -> set[str]:
    """The files that histories have which a restored backup replaced: whoever goes back to one needs them."""
    needed: set[str] = set()
    for path in backups_folder(history).glob("*-before-restoring.db"):
        with contextlib.suppress(SqliteError), contextlib.closing(read_untouched(path)) as copy:  # a damaged one knows none
            needed |= {row[0] for row in copy.execute("SELECT path FROM artefacts").fetchall()}
    return needed


def clean_up(files: list[Usage], kinds: set[str]) -> int:
    """Remove the files of these kinds; the bytes that this freed."""
    freed = 0
    for one in files:
        if one.kind in kinds:
            _remove(one.path)
            freed += one.size
    return freed


def forget_states(database: Database, history: Path) -> int:
    """Remove what finished runs would need to go on with more epochs; the bytes freed.

    Weights, and the checkpoints of runs that are not finished, are never touched.
    """
    chosen = "kind IN ('state', 'best') AND run IN (SELECT id FROM runs WHERE status = 'done')"
    before = {row[0] for row in database.execute("SELECT path FROM artefacts").fetchall()}
    with writing(database):
        database.execute(f"DELETE FROM artefacts WHERE {chosen}")
    left = {row[0] for row in database.execute("SELECT path FROM artefacts").fetchall()}
    freed = 0
    for path in before - left:
        place = files_folder(history) / path
        freed += place.stat().st_size if place.exists() else 0
        _remove(place)
    return freed


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(f"{path} cannot be removed ({error.strerror})") from None


def _sound(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
