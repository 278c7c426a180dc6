"""Power cuts, simulated below SQLite: what was written and not synced is there or not, sector by sector.

One history is written through a file system of our own, which keeps a log of every write and sync. Each cut takes the log up
to a random place, drops a random part of the sectors not yet synced, and opens what is left with the SQLite of the workbench.
Exclusive locking, since such a file system has no shared memory.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

import apsw

from tests.faults.outcome import Outcome, clear, fresh, seeded
from workbench.history.database import APPLICATION_ID, SCHEMA_VERSION, SqliteError, open_database

SECTOR = 512
COMMITS = 400


@dataclass(slots=True)
class Disk:
    """Files in memory, and everything that was done to them; a commit that SQLite has reported is in the log too."""

    files: dict[str, bytearray] = field(default_factory=dict)
    log: list[tuple[Any, ...]] = field(default_factory=list)

    def do(self, *operation: Any) -> None:
        """Do something and keep it."""
        self.log.append(operation)
        _apply(self.files, operation)


def _apply(files: dict[str, bytearray], operation: tuple[Any, ...]) -> None:
    match operation:
        case "write", name, offset, data:
            content = files.setdefault(name, bytearray())
            content.extend(bytes(max(0, offset + len(data) - len(content))))
            content[offset : offset + len(data)] = data
        case "truncate", name, size:
            del files.setdefault(name, bytearray())[size:]
        case "delete", name:
            files.pop(name, None)


class _File:
    """A file of a :class:`Disk`, as SQLite wants it."""

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk, self._name = disk, name
        disk.files.setdefault(name, bytearray())

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._disk.files[self._name][offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.do("write", self._name, offset, bytes(data))

    def xTruncate(self, size: int) -> None:
        self._disk.do("truncate", self._name, size)

    def xSync(self, flags: int) -> None:
        self._disk.do("sync", self._name)

    def xFileSize(self) -> int:
        return len(self._disk.files[self._name])

    def xSectorSize(self) -> int:
        return SECTOR

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xCheckReservedLock(self) -> bool:
        return False

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xClose(self) -> None: ...


class _System(apsw.VFS):
    """The file system of a :class:`Disk`."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__("remembering", "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name or f"temporary-{len(self._disk.log)}"
        flags[1] = flags[0]
        return _File(self._disk, path)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._disk.do("delete", filename)

    def xAccess(self, pathname: str, flags: int) -> bool:
        return pathname in self._disk.files

    def xFullPathname(self, name: str) -> str:
        return name


def _written(journal: str) -> Disk:
    """A disk on which a history has grown by :data:`COMMITS` commits, with our settings."""
    disk = Disk()
    system = _System(disk)
    database = apsw.Connection("experiments.db", vfs="remembering")
    database.execute("PRAGMA locking_mode=EXCLUSIVE")
    database.execute(f"PRAGMA journal_mode={journal}")
    database.execute("PRAGMA synchronous=FULL")
    schema = resources.files("workbench.history").joinpath("schema.sql").read_text(encoding="utf-8")
    database.execute(f"BEGIN IMMEDIATE; {schema} PRAGMA application_id={APPLICATION_ID};")
    database.execute(f"PRAGMA user_version={SCHEMA_VERSION}; COMMIT")
    database.execute("INSERT INTO experiments (uid, name, config, status, created) VALUES ('u', 'n', '{}', 'done', '')")
    database.execute(
        "INSERT INTO runs (uid, experiment, role, name, status, config, dataset, model, seed, created)"
        " VALUES ('u', 1, 'teacher', 't', 'done', '{}', 'digits', 'mlp', 0, '')"
    )
    disk.do("commit", 0)
    for number in range(1, COMMITS + 1):
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO points VALUES (1, ?, 0.5, 0.5, 1)", (number,))
        for metric in ("loss", "soft_loss", "val_accuracy"):
            database.execute("INSERT INTO metrics VALUES (1, ?, ?, ?)", (metric, number, number / 7))
        database.execute("COMMIT")
        disk.do("commit", number)
        if number % 150 == 0 and journal == "WAL":
            database.execute("PRAGMA wal_checkpoint(RESTART)")
    database.close()
    del system
    return disk


def _after_cut(log: list[tuple[Any, ...]], random: Random) -> dict[str, bytearray]:
    """What stands on the disk after a cut at the end of ``log``."""
    last_sync = {name: place for place, (kind, name, *_) in enumerate(log) if kind == "sync"}
    share, files = random.choice([0.0, 0.1, 0.5, 0.9, 1.0]), dict[str, bytearray]()
    for place, operation in enumerate(log):
        kind, name, *rest = operation
        if kind in ("sync", "commit"):
            continue
        if kind == "delete" or place < last_sync.get(name, -1):
            _apply(files, operation)
        elif kind == "truncate":
            if random.random() < share:
                _apply(files, operation)
        else:
            offset, data = rest
            for start in range(0, len(data), SECTOR):
                if random.random() < share:
                    _apply(files, ("write", name, offset + start, data[start : start + SECTOR]))
    return files


def power_cuts(count: int, folder: Path) -> Outcome:
    """Cuts at random places of the log, in both journals that the workbench uses."""
    outcome, random = Outcome(), seeded(7)
    disks = [_written(journal) for journal in ("WAL", "TRUNCATE")]
    told = 0
    for number in range(count):
        log = disks[number % 2].log
        begun = next(place for place, operation in enumerate(log) if operation == ("commit", 0))
        cut = random.randrange(begun + 1, len(log))
        committed = max(operation[1] for operation in log[:cut] if operation[0] == "commit")
        path = fresh(folder, number)
        for name, content in _after_cut(log[:cut], random).items():
            (path.parent / name).write_bytes(content)
        try:
            with closing(open_database(path)) as database:
                whole = database.execute("PRAGMA integrity_check").fetchone()[0]
                there = [row[0] for row in database.execute("SELECT step FROM points ORDER BY step").fetchall()]
                values = database.execute("SELECT count(*) FROM metrics").fetchone()[0]
        except (SqliteError, Exception) as error:
            outcome.broken.append(f"{number}: {type(error).__name__}: {error}")
        else:
            if whole != "ok":
                outcome.broken.append(f"{number}: integrity: {whole}")
            if there != list(range(1, len(there) + 1)) or values != 3 * len(there) or len(there) < committed:
                outcome.broken.append(f"{number}: {len(there)} of {committed} commits are there")
        told += committed
        outcome.done += 1
        clear(path)
    outcome.note = f"{told:,} commits in all"
    return outcome
