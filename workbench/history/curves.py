"""Curves of metrics, thinned for a plot, and the thinned copies that are kept of long ones."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlite_utils import Database

from workbench.history.database import tuples

CURVE_POINTS = 2050
"""A curve on a screen has at most so many points: two for each of 1,024 stretches, the first and the last."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A metric over the run: float64 arrays of one length, thinned to the extremes of each stretch."""

    run: int
    metric: str
    step: np.ndarray
    epoch: np.ndarray
    elapsed: np.ndarray
    value: np.ndarray


def read_curve(database: Database, run: int, metric: str, points: int = CURVE_POINTS) -> Curve:
    """A run's metric, thinned to at most ``points`` (four or more): least and greatest of each stretch, the first and the last.

    One that continues another run begins with that run's curve.
    """
    pieces = _pieces(database, run)
    if points <= CURVE_POINTS and len(pieces) == 1 and (kept := _kept(database, run, metric)) is not None:
        table = kept if points == CURVE_POINTS else kept[_extremes(kept[:, 0], kept[:, 3], points)]
    else:
        table = _read(database, pieces, metric, points)
    return Curve(run, metric, *table.T)


def keep_thinned(database: Database, rows: Iterable[tuple[int, str, int, bytes]]) -> None:
    """Keep what :func:`thinned` found, in the transaction under way."""
    database.conn.executemany("INSERT OR REPLACE INTO thinned VALUES (?, ?, ?, ?)", rows)


def thinned(database: Database, runs: Sequence[int]) -> list[tuple[int, str, int, bytes]]:
    """Of these runs' long curves that no copy is kept of: run, metric, how many points it is made from, and the copy.

    A curve is drawn from its copy as it would be from all of its points, as long as those are no more than the copy knows of.
    """
    sql = (
        "SELECT s.run, s.metric, s.count FROM summary s JOIN runs r ON r.id = s.run AND r.continued_from IS NULL"
        " LEFT JOIN thinned t ON t.run = s.run AND t.metric = s.metric"
        " WHERE s.run IN (SELECT value FROM json_each(?)) AND s.count > ? AND t.count IS NOT s.count"
    )
    long = tuples(database, sql, [json.dumps(list(runs)), CURVE_POINTS])
    tables = [_read(database, _pieces(database, run), metric, CURVE_POINTS) for run, metric, _ in long]
    return [(*one, table.astype("<f8").tobytes()) for one, table in zip(long, tables, strict=True) if len(table)]


def _kept(database: Database, run: int, metric: str) -> np.ndarray | None:
    """What is kept of a curve, unless it has grown since."""
    found = tuples(
        database,
        "SELECT t.curve FROM thinned t JOIN summary s USING (run, metric) WHERE run = ? AND metric = ? AND t.count = s.count",
        [run, metric],
    )
    table: np.ndarray = np.frombuffer(found[0][0] if found else b"", dtype="<f8").reshape(-1, 4)
    return table if found else None


def _read(database: Database, pieces: Sequence[tuple[int, int]], metric: str, points: int) -> np.ndarray:
    """A curve from all of its points, thinned: step, epoch, elapsed, value as columns, float64."""
    bounds = [(part, after, last) for (part, last), (_, after) in zip(pieces, [(0, -1), *pieces], strict=False)]
    values = [
        _table(database, "SELECT step, value FROM metrics WHERE run = ? AND metric = ? AND step > ? AND step <= ?", values)
        for values in ([part, metric, after, last] for part, after, last in bounds)
    ]
    step, value = np.concatenate([one.reshape(-1, 2) for one in values]).T
    places = _extremes(step, value, points) if len(step) > points else np.arange(len(step))
    kept = step[places].astype(np.int64)
    sql = (  # of those kept alone: all rows of a long run take longer
        "SELECT ifnull(p.epoch, 9e999), ifnull(p.elapsed, 0)"
        " FROM json_each(?) j LEFT JOIN points p ON p.run = ? AND p.step = j.value"
    )
    parts = [(json.dumps(kept[(kept > after) & (kept <= last)].tolist()), part) for part, after, last in bounds]
    moments = [_table(database, sql, values) for values in parts]
    epoch, elapsed = np.concatenate([one.reshape(-1, 2) for one in moments]).T
    table: np.ndarray = np.stack([step[places], epoch, elapsed, value[places]], axis=1)[np.isfinite(epoch)]
    return table


def _table(database: Database, sql: str, values: Sequence[Any]) -> np.ndarray:
    """All numbers of an answer one after the other, float64; of the ways to take many rows over this is the fastest."""
    cursor = database.conn.cursor()
    cursor.row_factory = None
    return np.fromiter(itertools.chain.from_iterable(cursor.execute(sql, values)), dtype=np.float64)


def _extremes(step: np.ndarray, value: np.ndarray, points: int) -> np.ndarray:
    """The places of the least and the greatest value of each stretch of steps, the first and the last.

    There are as many stretches as a power of two, so that a curve that has been thinned can be thinned again to fewer points as
    if it had not been.
    """
    passed = (step - step[0]).astype(np.int64)
    stretch = passed * 2 ** (((points - 2) // 2).bit_length() - 1) // (passed[-1] + 1)
    begins = np.flatnonzero(np.diff(stretch, prepend=-1))
    lengths = np.diff(begins, append=len(step))
    kept = np.zeros(len(step), dtype=bool)
    kept[[0, -1]] = True
    for extremes in (np.minimum.reduceat(value, begins), np.maximum.reduceat(value, begins)):
        there = np.flatnonzero(value == np.repeat(extremes, lengths))
        kept[there[np.diff(stretch[there], prepend=-1) > 0]] = True  # the first of those that are alike
    return np.flatnonzero(kept)


def _pieces(database: Database, run: int) -> list[tuple[int, int]]:
    """Whose points a run's curve is made of, first to last, and up to which step: what it continues, then its own."""
    pieces, last = [(run, 2**62)], run
    while row := database.execute(
        "SELECT continued_from, continued_step FROM runs WHERE id = ? AND continued_from IS NOT NULL", [last]
    ).fetchone():
        last = int(row[0])
        pieces.insert(0, (last, int(row[1])))
    return pieces
