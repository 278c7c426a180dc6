"""Metrics into their tables, a statement for all rows of a table.

Between two statements every other thread that waits for the interpreter gets it; with a statement a row, a window in use made a
flush of a quarter of a second's metrics take ten times as long.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from sqlite_utils import Database

from workbench.events import Metrics
from workbench.history.database import tuples

Summary = tuple[float, float, float, int, int]
"""(last, lowest, highest, count, CRC-32) of a metric's points."""

Key = tuple[int, str]
"""A run and a metric of it."""

VALUES_AT_ONCE = 30_000
"""A statement may have a few more in any SQLite."""


def store(database: Database, batch: Sequence[Metrics]) -> None:
    """Store metrics with their points and summaries in the transaction under way; those of a step already there are left as
    they are."""
    runs = sorted({metrics.run for metrics in batch})
    attempts = dict(tuples(database, f"SELECT id, attempt FROM runs WHERE id IN ({', '.join('?' * len(runs))})", runs))
    _insert(database, "points", [(one.run, one.step, one.epoch, one.elapsed, attempts[one.run]) for one in batch])
    told = [(one.run, name, one.step, value) for one in batch for name, value in one.values]
    _insert(database, "nonfinite", [(*row[:3], str(row[3])) for row in told if not math.isfinite(row[3])])
    rows = _new(database, [row for row in told if math.isfinite(row[3])])
    _insert(database, "metrics", rows)
    summaries = _summaries(database, {row[:2] for row in rows})
    for run, name, step, value in rows:
        summaries[run, name] = extended(summaries.get((run, name)), step, value)
    _insert(database, "summary", [(*key, *summary) for key, summary in summaries.items()], "REPLACE")
    for run in runs:
        own = [one for one in batch if one.run == run]
        furthest = (max(one.step for one in own), max(one.epoch for one in own), max(one.elapsed for one in own))
        database.execute(
            "UPDATE runs SET step = max(step, ?), epochs = max(epochs, ?), train_seconds = max(train_seconds, ?) WHERE id = ?",
            [*furthest, run],
        )


def extended(summary: Summary | None, step: int, value: float) -> Summary:
    """The summary after one more point."""
    _, lowest, highest, count, crc = summary or (value, value, value, 0, 0)
    return value, min(lowest, value), max(highest, value), count + 1, zlib.crc32(struct.pack("<qd", step, value), crc)


def _new(database: Database, rows: list[tuple[int, str, int, float]]) -> list[tuple[int, str, int, float]]:
    """Those whose step is not there yet; of several of one step the first."""
    first: dict[Key, int] = {}
    for run, name, step, _ in rows:
        first[run, name] = min(step, first.get((run, name), step))
    there = set[tuple[Any, ...]]()
    for part in _parts([(*key, step) for key, step in first.items()]):
        sql = (
            f"WITH told(run, metric, step) AS (VALUES {_marks(part)}) SELECT m.run, m.metric, m.step FROM told"
            " CROSS JOIN metrics m ON m.run = told.run AND m.metric = told.metric AND m.step >= told.step"
        )
        there.update(tuples(database, sql, list(itertools.chain.from_iterable(part))))
    found = []
    for row in rows:
        if row[:3] not in there:
            there.add(row[:3])
            found.append(row)
    return found


def _summaries(database: Database, keys: set[Key]) -> dict[Key, Summary]:
    """Those that there are."""
    found: dict[Key, Summary] = {}
    for part in _parts(sorted(keys)):
        sql = (
            f"WITH told(run, metric) AS (VALUES {_marks(part)}) SELECT s.run, s.metric, s.last, s.lowest, s.highest, s.count,"
            " s.crc FROM told CROSS JOIN summary s ON s.run = told.run AND s.metric = told.metric"
        )
        rows = tuples(database, sql, list(itertools.chain.from_iterable(part)))
        found |= {(row[0], row[1]): (row[2], row[3], row[4], row[5], row[6]) for row in rows}
    return found


def _insert(database: Database, table: str, rows: Sequence[tuple[Any, ...]], otherwise: str = "IGNORE") -> None:
    for part in _parts(rows):
        sql = f"INSERT OR {otherwise} INTO {table} VALUES {_marks(part)}"
        database.execute(sql, list(itertools.chain.from_iterable(part)))


def _parts(rows: Sequence[tuple[Any, ...]]) -> list[Sequence[tuple[Any, ...]]]:
    """The rows in parts that go into one statement each."""
    size = VALUES_AT_ONCE // len(rows[0]) if rows else 1
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _marks(rows: Sequence[tuple[Any, ...]]) -> str:
    return ", ".join([f"({', '.join('?' * len(rows[0]))})"] * len(rows))
