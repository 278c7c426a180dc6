"""The first reading of a file of experiments: all of it is held against its manifest, and each row against what a row can be."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from workbench.analysis.bias import WAYS
from workbench.config import ExperimentConfig, RunConfig
from workbench.errors import ConfigError, HistoryError
from workbench.history.bundle import CHUNK, FILES, FORMAT, MANIFEST, ROWS, TABLES, WHAT, Tell
from workbench.history.database import SCHEMA_VERSION
from workbench.sweep import Sweep

MOST_MANIFEST = 64 << 20
MOST_LINE = 256 << 20
MOST_SQUEEZED = 400
"""So many times smaller than its rows the archive may be: honest ones are five to twenty times smaller."""
KINDS = ("weights", "state", "best")
OVER = ("done", "stopped", "failed", "interrupted", "skipped")
POINTS_AT = {
    "experiment": "experiments",
    "sweep": "sweeps",
    "run": "runs",
    "child": "runs",
    "parent": "runs",
    "continued_from": "runs",
}
"""The table whose numbers stand in a column."""


class Wrong(Exception):
    """What is wrong with a file, as the end of a sentence."""


DAMAGED = (
    Wrong, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError, KeyError, TypeError,
    OverflowError, MemoryError,
)  # fmt: skip
"""What Python's readers raise of bytes that are not what they should be; RecursionError is a RuntimeError."""


@dataclass(slots=True)
class Content:
    """What the first reading found: uids by number of each table that has them, and the files of each run."""

    uids: dict[str, dict[int, str]] = field(default_factory=lambda: {"sweeps": {}, "experiments": {}, "runs": {}})
    files: dict[int, dict[str, tuple[int, str]]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)


def refused(source: Path, error: Exception) -> HistoryError:
    """The sentence of a file that is not taken."""
    told = isinstance(error, Wrong)
    what = str(error) if told else f"is damaged or no file of exported experiments ({str(error) or type(error).__name__})"
    return HistoryError(f"{source} {what}" if told else f"{source} {what}; export it again")


def manifest(archive: zipfile.ZipFile) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of every part of the archive, which has these parts and no others."""
    entries = {entry.filename: entry for entry in archive.infolist()}
    if MANIFEST not in entries or ROWS not in entries or entries[MANIFEST].file_size > MOST_MANIFEST:
        raise Wrong("is no file of exported experiments; name one that Export experiment wrote")
    given = json.loads(_part(archive, MANIFEST, entries[MANIFEST].file_size))
    if given["what"] != WHAT:
        raise Wrong("is no file of exported experiments; name one that Export experiment wrote")
    if given["format"] > FORMAT or given["schema"] > SCHEMA_VERSION:
        raise Wrong("was written by a newer workbench; update this one to import it")
    files = {name: (int(size), str(sha256)) for name, (size, sha256) in given["files"].items()}
    if set(entries) != {MANIFEST, *files} or len(entries) != len(archive.infolist()):
        raise Wrong("does not hold what its manifest says; export it again")
    for name, entry in entries.items():
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 1:
            raise Wrong("is packed in a way that the workbench does not write; export it again")
        if name != MANIFEST and entry.file_size != files[name][0]:
            raise Wrong("does not hold what its manifest says; export it again")
        if entry.file_size > MOST_SQUEEZED * entry.compress_size + CHUNK:
            raise Wrong("would unpack to far more than experiments do, and is not read")
    return files


def _part(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    with archive.open(name) as part:
        content = part.read(size + 1)
    if len(content) != size:
        raise Wrong("does not hold what its manifest says; export it again")
    return content


class _Hashed:
    """A part of the archive that is read no further than the manifest says, and hashed meanwhile."""

    def __init__(self, part: IO[bytes], size: int) -> None:
        self._part, self._left, self._hash = part, size, hashlib.sha256()

    def _seen(self, content: bytes) -> bytes:
        self._left -= len(content)
        self._hash.update(content)
        if self._left < 0:
            raise Wrong("does not hold what its manifest says; export it again")
        return content

    def line(self) -> bytes:
        """The next line; empty at the end."""
        return self._seen(self._part.readline(MOST_LINE))

    def chunk(self) -> bytes:
        """The next bytes; empty at the end."""
        return self._seen(self._part.read(CHUNK))

    def ends_as(self, sha256: str) -> None:
        """Whether all of it was what the manifest says; raises where it was not."""
        if self._left or self._hash.hexdigest() != sha256:
            raise Wrong("does not hold what its manifest says: it is damaged; export it again")


def looked_over(
    archive: zipfile.ZipFile, files: Mapping[str, tuple[int, str]], columns: Mapping[str, set[str]], tell: Tell
) -> Content:
    """Read everything and hold it against the manifest, and each row against what a row can be."""
    content = Content()
    tell("checking the file", 0, len(files), "parts")
    with archive.open(ROWS) as part:
        hashed = _Hashed(part, files[ROWS][0])
        for table, row in rows(iter(hashed.line, b""), columns):
            _check(table, row, content)
        hashed.ends_as(files[ROWS][1])
    named = {FILES + path: about for one in content.files.values() for path, about in one.items()}
    if {name: about for name, about in files.items() if name != ROWS} != named:
        raise Wrong("has other files than its rows say; export it again")
    for done, (name, (size, sha256)) in enumerate(named.items()):
        tell("checking the file", done, len(named), "files")
        with archive.open(name) as part:
            hashed = _Hashed(part, size)
            while hashed.chunk():
                pass
            hashed.ends_as(sha256)
    return content


def rows(lines: Iterator[bytes], columns: Mapping[str, set[str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row with its table; tables come in the order in which their rows can be entered."""
    left, names, table = list(TABLES), list[str](), ""
    for line in lines:
        given = json.loads(line, parse_constant=_no_number)
        if isinstance(given, dict):
            table, names = given["table"], given["columns"]
            left = left[left.index(table) + 1 :]
            if not set(names) <= columns[table] or len(set(names)) != len(names):
                raise Wrong("has columns that this workbench does not know; update it to import the file")
            continue
        row = dict(zip(names, given, strict=True))
        if not all(value is None or type(value) in (int, str) or _finite(value) for value in row.values()):
            raise Wrong("has values that no history has; export it again")
        yield table, row


def _no_number(word: str) -> Any:
    raise Wrong(f"has values that no history has ({word}); export it again")


def _finite(value: Any) -> bool:
    return type(value) is float and math.isfinite(value)


def _check(table: str, row: Mapping[str, Any], content: Content) -> None:
    """Raise where a row cannot be one: what the schema does not check, and the screens rely on."""
    bad = next((name for name, value in row.items() if (name in _CHECKS and not _CHECKS[name](value))), None)
    if bad is not None:
        raise Wrong(f"has a row of {table} whose {bad} cannot be; export it again")
    for name, other in POINTS_AT.items():
        if name in row and row[name] not in content.uids[other] and not (row[name] is None and table in ("runs", "experiments")):
            raise Wrong(f"has a row of {table} that refers to nothing; export it again")
    if table in content.uids:
        if type(row["id"]) is not int or row["id"] <= content.last.get(table, 0) or row["uid"] in content.seen:
            raise Wrong(f"has two of the same {table}, or none in their order; export it again")
        content.uids[table][row["id"]] = row["uid"]
        content.last[table] = row["id"]
        content.seen.add(row["uid"])
    elif table == "lineage" and row["parent"] >= row["child"]:
        raise Wrong("has runs that are their own teachers; export it again")
    elif table == "predictions":
        logits_of(row)
    elif table == "corrections" and not (row["way"] in WAYS and _is_list(row["classes"])):
        raise Wrong("has a bias correction that cannot be; export it again")
    elif table == "artefacts":
        pattern = rf"runs/{content.uids['runs'][row['run']]}/[A-Za-z0-9][A-Za-z0-9._-]{{0,200}}"
        if row["kind"] not in KINDS or not re.fullmatch(pattern, row["path"]):
            raise Wrong("has a file that would stand elsewhere than beside a history; it is not imported")
        content.files.setdefault(row["run"], {})[row["path"]] = (row["size"], row["sha256"])
    if table in _READ:
        try:
            _READ[table](json.loads(row["config"]))
        except ConfigError as error:
            raise Wrong(f"has {table} with a configuration that this workbench cannot read ({error}); update it") from None


_READ: dict[str, Callable[[dict[str, Any]], object]] = {
    "experiments": ExperimentConfig.from_dict,
    "runs": RunConfig.from_dict,
    "sweeps": lambda config: Sweep.from_dict(config["sweep"]),
}
"""What reads a row's configuration: one that cannot be read would be told only where somebody opens it."""


def logits_of(row: Mapping[str, Any]) -> bytes:
    """The packed logits of a row of predictions; raises where they are not of the shape it says."""
    packed = base64.b64decode(row["logits"], validate=True)
    size, unpacker = 2 * row["cases"] * row["classes"], zlib.decompressobj()
    if not 0 <= size <= MOST_SQUEEZED * len(packed) + CHUNK or len(unpacker.decompress(packed, size + 1)) != size:
        raise Wrong("has predictions that are not of the shape it says; export it again")
    return packed


def _is_uid(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value) is not None


def _is_date(value: Any) -> bool:
    if value is None:
        return True
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_object(value: Any) -> bool:
    return value is None or isinstance(json.loads(value), dict)


def _is_list(value: Any) -> bool:
    found = json.loads(value)
    return isinstance(found, list) and all(type(one) is int for one in found)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "uid": _is_uid,
    "status": OVER.__contains__,
    **dict.fromkeys(("created", "started", "finished", "deleted", "emptied"), _is_date),
    **dict.fromkeys(("config", "environment", "point"), _is_object),
}
"""What a column of any table must be."""
