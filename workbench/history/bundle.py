"""Experiments in one file that another workbench imports, see :mod:`workbench.history.unbundle`.

It is a zip archive: ``rows.jsonl`` holds the rows of the history's tables, a line of JSON each, after a line that names
table and columns; ``files/`` the checkpoints as they stand beside the history; ``manifest.json`` the size and the SHA-256
of each. Nothing of it is code, and nothing of it is SQL.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sqlite_utils import Database

from workbench import __version__
from workbench.errors import CannotWrite, CheckpointError, HistoryError
from workbench.files import whole_file
from workbench.history.database import SCHEMA_VERSION, files_folder, now
from workbench.sweep import WITHOUT, parts_of
from workbench.words import many

SUFFIX = ".distilled"
FORMAT = 1
WHAT = "experiments of a distillation workbench"
MANIFEST, ROWS, FILES = "manifest.json", "rows.jsonl", "files/"
CHUNK = 1 << 20

TABLES = {
    "sweeps": "id IN (SELECT sweep FROM experiments WHERE id IN (SELECT value FROM json_each(:experiments)))",
    "experiments": "id IN (SELECT value FROM json_each(:experiments))",
    "runs": "experiment IN (SELECT value FROM json_each(:experiments))",
    "members": "experiment IN (SELECT value FROM json_each(:experiments))",
    "lineage": "child IN (SELECT value FROM json_each(:runs))",
    **dict.fromkeys(
        ("params", "points", "metrics", "nonfinite", "summary", "results", "corrections", "predictions", "artefacts",
         "run_notes", "tags", "marks", "bin"),
        "run IN (SELECT value FROM json_each(:runs))",
    ),
}  # fmt: skip
"""What goes into the file, in the order in which it can be entered: a table's rows by a condition on them."""
HERE_ALONE = {"processes", "queue", "filters", "curves"}
"""Tables that are of one history and mean nothing in another, or are made anew there."""
_OWN_COLUMNS = {("runs", "process"), ("artefacts", "id"), ("run_notes", "id")}
_UNDER_WAY = ("waiting", "running")
_RUN_NUMBER = re.compile(r"teachers\.\d+\.run")

Tell = Callable[[str, int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a file holds: numbers of experiments and runs here, its size in bytes, and of how many runs that were broken off
    no training state went into it."""

    path: Path
    experiments: tuple[int, ...]
    runs: tuple[int, ...]
    size: int
    without_state: int

    def words(self) -> str:
        """In a sentence or two."""
        counts = f"{many(len(self.experiments), 'experiment')} with {many(len(self.runs), 'run')}"
        more = f" {many(self.without_state, 'run')} broken off can go on there only from the start: no training state went along."
        return f"{counts} written to {self.path.name} ({self.size / 1e6:,.1f} MB)." + more * bool(self.without_state)


def is_bundle(path: Path) -> bool:
    """Whether a file is, or by its name means to be, one of these."""
    if path.suffix == SUFFIX:
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return {MANIFEST, ROWS} <= set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def write_experiment(
    database: Database,
    history: Path,
    experiments: Sequence[int],
    target: Path,
    *,
    states: bool = False,
    overwrite: bool = False,
    tell: Tell = lambda *_: None,
) -> Written:
    """Write experiments with all of their runs, and the experiments that made what they reuse, to a file.

    Weights go along; with ``states`` what runs need to go on too, save those of runs under way. The file is there whole or
    not at all, and takes the place of another only where ``overwrite`` is said. Raises :class:`HistoryError` where an
    experiment is not there or under way, :class:`CheckpointError` where a file of a run is damaged, :class:`CannotWrite`.
    """
    if not target.parent.is_dir():
        raise CannotWrite(f"the folder {target.parent} does not exist; make it first")
    with whole_file(target, overwrite=overwrite) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        database.execute("BEGIN")  # all rows of one moment
        try:
            _check(database, experiments)
            chosen = _needed(database, experiments)
            files: dict[str, tuple[int, str]] = {}
            stored = _stored_files(database, chosen, states)
            files[ROWS] = _write_rows(archive, _rows(database, chosen, stored, tell))
            waiting = _without_state(database, chosen, stored)
        finally:
            database.execute("COMMIT")
        for done, (path, file) in enumerate(stored.files.items()):
            tell("writing files", done, len(stored.files), "files")
            files[FILES + path] = _write_file(archive, files_folder(history) / file.path, FILES + path, file)
        manifest = {
            "what": WHAT,
            "format": FORMAT,
            "schema": SCHEMA_VERSION,
            "workbench": __version__,
            "written": now(),
            "files": files,
        }
        archive.writestr(_entry(MANIFEST, zipfile.ZIP_DEFLATED), json.dumps(manifest))
    runs = tuple(json.loads(chosen["runs"]))
    numbers = tuple(json.loads(chosen["experiments"]))
    return Written(path=target, experiments=numbers, runs=runs, size=target.stat().st_size, without_state=waiting)


@dataclass(frozen=True, slots=True)
class _File:
    run: int
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class _Stored:
    """Of the artefacts that go along (their numbers) the files by their names in the archive."""

    artefacts: frozenset[int]
    files: Mapping[str, _File]


def _check(database: Database, experiments: Sequence[int]) -> None:
    for experiment in experiments:
        row = database.execute("SELECT status, deleted FROM experiments WHERE id = ?", [experiment]).fetchone()
        if row is None:
            raise HistoryError(f"there is no experiment {experiment} in this history")
        if row[1]:
            raise HistoryError(f"experiment {experiment} is in the bin; take it back first")
        if row[0] in _UNDER_WAY:
            raise HistoryError(f"experiment {experiment} is {row[0]}; stop it, or wait for its end, before you export it")


def _needed(database: Database, experiments: Sequence[int]) -> dict[str, str]:
    """The experiments with those whose runs they use, and all of their runs: their numbers in order, as JSON."""
    found: set[int] = set()
    todo = list(experiments)
    while todo:
        one = todo.pop()
        if one in found:
            continue
        found.add(one)
        config, point, sweep = database.execute(
            "SELECT e.config, e.point, s.config FROM experiments e LEFT JOIN sweeps s ON s.id = e.sweep WHERE e.id = ?", [one]
        ).fetchone()
        named = {run for text in (config, point, sweep) if text for run in _past_runs(json.loads(text))}
        used = database.execute(
            "SELECT experiment FROM runs WHERE id IN (SELECT run FROM members WHERE experiment = :one"
            " UNION SELECT parent FROM lineage WHERE child IN (SELECT id FROM runs WHERE experiment = :one)"
            " UNION SELECT continued_from FROM runs WHERE experiment = :one UNION SELECT value FROM json_each(:named))",
            {"one": one, "named": json.dumps(sorted(named))},
        ).fetchall()
        todo += [row[0] for row in used]
    numbers = json.dumps(sorted(found))
    runs = database.execute(
        "SELECT id FROM runs WHERE experiment IN (SELECT value FROM json_each(?)) ORDER BY id", [numbers]
    ).fetchall()
    return {"experiments": numbers, "runs": json.dumps([row[0] for row in runs])}


def _past_runs(tables: Mapping[str, Any]) -> set[int]:
    """The runs of the history that a recipe names as teachers."""
    found: set[int] = set()

    def see(run: int) -> int:
        found.add(run)
        return run

    renumbered(tables, see)
    return found


def renumbered(tables: Mapping[str, Any], number: Callable[[int], int]) -> dict[str, Any]:
    """A recipe, a sweep's tables or the point of one, in which past runs as teachers have other numbers."""

    def anew(value: Any) -> Any:
        if isinstance(value, list):
            return [anew(one) for one in value]
        return number(value) if isinstance(value, int) and not isinstance(value, bool) and value else value

    def named(table: Mapping[str, Any]) -> dict[str, Any]:
        return {key: anew(value) if _RUN_NUMBER.fullmatch(key) else value for key, value in table.items()}

    result = named(tables)
    if isinstance(teachers := result.get("teachers"), list):
        result["teachers"] = [
            {**one, "run": anew(one["run"])} if isinstance(one, dict) and "run" in one else one for one in teachers
        ]
    if isinstance(sweep := result.get("sweep"), dict):
        result["sweep"] = named(sweep)
        if parts := parts_of(sweep):
            result["sweep"][WITHOUT] = {part: named(settings) for part, settings in parts.items()}
    return result


def _stored_files(database: Database, chosen: Mapping[str, str], states: bool) -> _Stored:
    rows = database.execute(
        "SELECT a.id, a.run, r.uid, a.path, a.size, a.sha256 FROM artefacts a JOIN runs r ON r.id = a.run"
        " WHERE a.run IN (SELECT value FROM json_each(:runs)) AND (a.kind = 'weights' OR :states)"
        " AND (a.kind = 'weights' OR r.status NOT IN ('waiting', 'running')) ORDER BY a.id",
        {"runs": chosen["runs"], "states": int(states)},
    ).fetchall()
    files = {archived(uid, path): _File(run, path, size, sha256) for _, run, uid, path, size, sha256 in rows}
    return _Stored(frozenset(row[0] for row in rows), files)


def archived(uid: str, path: str) -> str:
    """Where a run's file stands in any history's folder, and in the archive."""
    return f"runs/{uid}/{PurePosixPath(path).name}"


def _without_state(database: Database, chosen: Mapping[str, str], stored: _Stored) -> int:
    kept = json.dumps(sorted(stored.artefacts))
    return int(
        database.execute(
            "SELECT count(*) FROM runs WHERE id IN (SELECT value FROM json_each(?)) AND status IN ('stopped', 'interrupted',"
            " 'running') AND step > 0 AND id NOT IN (SELECT run FROM artefacts WHERE kind <> 'weights' AND id IN"
            " (SELECT value FROM json_each(?))) AND id NOT IN (SELECT run FROM bin)",
            [chosen["runs"], kept],
        ).fetchone()[0]
    )


def _rows(database: Database, chosen: Mapping[str, str], stored: _Stored, tell: Tell) -> Iterator[Any]:
    """A line each: an object that names table and columns, then its rows as lists."""
    uids = dict(tuple(row) for row in database.execute("SELECT id, uid FROM runs").fetchall())
    for done, (table, condition) in enumerate(TABLES.items()):
        tell("writing the history's rows", done, len(TABLES), "tables")
        about = database.execute(f"PRAGMA table_info({table})").fetchall()
        columns = [row["name"] for row in about if (table, row["name"]) not in _OWN_COLUMNS]
        key = ", ".join(row["name"] for row in sorted(about, key=lambda row: row["pk"]) if row["pk"])
        yield {"table": table, "columns": columns}
        where = f"{condition} AND id IN (SELECT value FROM json_each(:artefacts))" if table == "artefacts" else condition
        values = {**chosen, "artefacts": json.dumps(sorted(stored.artefacts))}
        given = {name: value for name, value in values.items() if f":{name}" in where}
        for row in database.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {where} ORDER BY {key}", given):
            yield list(_portable(table, dict(row), uids).values())


def _portable(table: str, row: dict[str, Any], uids: Mapping[int, str]) -> dict[str, Any]:
    """A row as it can stand in another history."""
    if table in ("runs", "experiments") and row["status"] in _UNDER_WAY:
        row |= {"status": "interrupted", "message": "it was under way when it was exported"}
    elif table == "predictions":
        row["logits"] = base64.b64encode(row["logits"]).decode("ascii")
    elif table == "artefacts":
        row["path"] = archived(uids[row["run"]], row["path"])
    return row


def _write_rows(archive: zipfile.ZipFile, rows: Iterable[Any]) -> tuple[int, str]:
    size, hashed = 0, hashlib.sha256()
    with archive.open(_entry(ROWS, zipfile.ZIP_DEFLATED), "w", force_zip64=True) as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
            size += len(line)
            hashed.update(line)
            file.write(line)
    return size, hashed.hexdigest()


def _write_file(archive: zipfile.ZipFile, path: Path, name: str, wanted: _File) -> tuple[int, str]:
    """A run's file as the history records it; a :class:`CheckpointError` where it is another one."""
    size, hashed = 0, hashlib.sha256()
    wrong = CheckpointError(
        f"{path} of run {wanted.run} is damaged or gone, nothing is exported; `workbench doctor --repair` takes it off the record"
    )
    try:
        source = path.open("rb")
    except OSError:
        raise wrong from None
    with source, archive.open(_entry(name, zipfile.ZIP_STORED), "w", force_zip64=True) as file:
        while chunk := source.read(CHUNK):
            size += len(chunk)
            hashed.update(chunk)
            file.write(chunk)
    if (size, hashed.hexdigest()) != (wanted.size, wanted.sha256):
        raise wrong
    return size, hashed.hexdigest()


def _entry(name: str, how: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # of 1980: the same experiments give the same bytes, but for the moment in the manifest
    entry.compress_type = how
    return entry
