"""Curves of metrics, whole or thinned for a plot, and the copies that are kept of long ones.

A copy is the thinned curve beside the whole one packed (:func:`_packed`): out of ``metrics`` and ``points`` fifty curves of
5,000 points take five times as long, since each of those rows becomes Python's objects.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlite_utils import Database

from workbench.analysis.smoothing import smoothed
from workbench.history.database import tuples

CURVE_POINTS = 2050
"""A curve on a screen has at most so many points: two for each of 1,024 stretches, the first and the last."""
EVERY_POINT = 2**31
"""A curve of so many points at most is whole."""


Copy = tuple[int, str, int, bytes, bytes]
"""Run, metric, of how many points it is made, the curve as it is drawn, and the whole of it."""


@dataclass(frozen=True, slots=True)
class Detail:
    """How a thinned curve is looked at: ``smoothing`` is the weight of a moving average over all of its points; ``stretch``, from
    where to where on an ``axis`` of :class:`Curve`, is a part that is drawn closer than the rest."""

    smoothing: float = 0.0
    axis: str = "step"
    stretch: tuple[float, float] | None = None


PLAIN = Detail()


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A metric over the run: float64 arrays of one length, thinned to the extremes of each stretch.

    ``count`` is of how many points it is made; ``smooth`` is the moving average of all of them, where a thinned one has one.
    """

    run: int
    metric: str
    step: np.ndarray
    epoch: np.ndarray
    elapsed: np.ndarray
    value: np.ndarray
    count: int
    smooth: np.ndarray | None = None

    @property
    def thinned(self) -> bool:
        """Whether there are more points than these."""
        return len(self.step) < self.count


def read_curve(database: Database, run: int, metric: str, points: int = CURVE_POINTS, detail: Detail = PLAIN) -> Curve:
    """A run's metric, thinned to at most ``points`` (four or more): least and greatest of each stretch, the first and the last.

    A part that is looked at has so many once more. One that continues another run begins with that run's curve.
    """
    if detail.smoothing or detail.stretch:
        return _looked_at(read_curve(database, run, metric, EVERY_POINT), points, detail)
    pieces = _pieces(database, run)
    found = _kept(database, run, metric, points) if len(pieces) == 1 else None
    if found is None and points >= EVERY_POINT:
        whole = _read_whole(database, pieces, metric)
        found = whole, len(whole)
    table, count = found or _read(database, pieces, metric, points)
    step, epoch, elapsed, value = table.T
    return Curve(run, metric, step, epoch, elapsed, value, count)


def _looked_at(whole: Curve, points: int, detail: Detail) -> Curve:
    """A whole curve thinned, but for the part that is looked at: that and one point on either side are thinned by themselves."""
    if whole.count <= points:
        return whole
    places = _extremes(whole.step, whole.value, points)
    if detail.stretch:
        x, (low, high) = getattr(whole, detail.axis), detail.stretch
        first = min(max(0, int(np.searchsorted(x, low)) - 1), whole.count - 1)
        part = slice(first, int(np.searchsorted(x, high, "right")) + 1)
        near = np.arange(whole.count)[part]
        if len(near) > points:
            near = near[_extremes(whole.step[part], whole.value[part], points)]
        places = np.concatenate([places[places < near[0]], near, places[places > near[-1]]])
        if len(places) == whole.count:
            return whole
    smooth = smoothed(whole.value, detail.smoothing)[places] if detail.smoothing else None
    columns = {name: getattr(whole, name)[places] for name in ("step", "epoch", "elapsed", "value")}
    return replace(whole, **columns, smooth=smooth)


def keep_copies(database: Database, rows: Iterable[Copy]) -> None:
    """Keep what :func:`copies` made, in the transaction under way."""
    database.conn.executemany("INSERT OR REPLACE INTO curves VALUES (?, ?, ?, ?, ?)", rows)


def copies(database: Database, runs: Sequence[int]) -> Iterator[Copy]:
    """Of these runs' long curves that no copy is kept of, made one after the other: those of a large import fill the memory.

    A curve is drawn from its copy as it would be from all of its points, as long as those are no more than the copy knows of.
    """
    sql = (
        "SELECT s.run, s.metric, s.count FROM summary s JOIN runs r ON r.id = s.run AND r.continued_from IS NULL"
        " LEFT JOIN curves c ON c.run = s.run AND c.metric = s.metric"
        " WHERE s.run IN (SELECT value FROM json_each(?)) AND s.count > ? AND c.count IS NOT s.count"
    )
    for run, metric, count in tuples(database, sql, [json.dumps(list(runs)), CURVE_POINTS]):
        whole = _read_whole(database, _pieces(database, run), metric)
        if len(whole):
            drawn = whole[_extremes(whole[:, 0], whole[:, 3], CURVE_POINTS)].astype("<f8")
            yield run, metric, count, drawn.tobytes(), _packed(whole)


def _kept(database: Database, run: int, metric: str, points: int) -> tuple[np.ndarray, int] | None:
    """A curve from its copy, and of how many points it is; None where it has grown since or the copy is damaged or has less."""
    column = "drawn" if points <= CURVE_POINTS else "whole"
    found = tuples(
        database,
        f"SELECT c.{column}, c.count FROM curves c JOIN summary s USING (run, metric)"
        " WHERE run = ? AND metric = ? AND c.count = s.count",
        [run, metric],
    )
    if not found or found[0][0] is None:
        return None
    copy, count = found[0]
    table: np.ndarray
    try:
        table = np.frombuffer(copy, dtype="<f8").reshape(-1, 4) if column == "drawn" else _unpacked(copy)
    except (ValueError, zlib.error):
        return None
    if not len(table) or (column == "whole" and len(table) != count):
        return None
    if count > points:
        return table[_extremes(table[:, 0], table[:, 3], points)], count
    return table, len(table)


def _packed(table: np.ndarray) -> bytes:
    """A curve in about a third of its bytes: those of each column by their place in the number, of which many are alike."""
    columns = np.ascontiguousarray(table.T.astype("<f8")).view(np.uint8).reshape(4, -1, 8)
    return zlib.compress(columns.transpose(0, 2, 1).tobytes(), 1)


def _unpacked(packed: bytes) -> np.ndarray:
    """What :func:`_packed` was given; raises ValueError or zlib.error of other bytes."""
    columns = np.frombuffer(zlib.decompress(packed), dtype=np.uint8).reshape(4, 8, -1).transpose(0, 2, 1)
    return np.ascontiguousarray(columns).view("<f8")[..., 0].T


def _read_whole(database: Database, pieces: Sequence[tuple[int, int]], metric: str) -> np.ndarray:
    """All of a curve's points: step, epoch, elapsed, value as columns, float64."""
    sql = (
        "SELECT m.step, p.epoch, p.elapsed, m.value FROM metrics m JOIN points p ON p.run = m.run AND p.step = m.step"
        " WHERE m.run = ? AND m.metric = ? AND m.step > ? AND m.step <= ? ORDER BY m.step"
    )
    parts = [_table(database, sql, [part, metric, after, last]).reshape(-1, 4) for part, after, last in _bounds(pieces)]
    return np.concatenate(parts)


def _read(database: Database, pieces: Sequence[tuple[int, int]], metric: str, points: int) -> tuple[np.ndarray, int]:
    """A curve thinned and of how many points it is, from these, of which the moments are read of those alone that are kept."""
    bounds = _bounds(pieces)
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
    return table, len(step) if len(step) > points else len(table)


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


def _bounds(pieces: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Of each piece the run, and the steps after and up to which points are its own."""
    return [(part, after, last) for (part, last), (_, after) in zip(pieces, [(0, -1), *pieces], strict=False)]


def _pieces(database: Database, run: int) -> list[tuple[int, int]]:
    """Whose points a run's curve is made of, first to last, and up to which step: what it continues, then its own."""
    pieces, last = [(run, 2**62)], run
    while row := database.execute(
        "SELECT continued_from, continued_step FROM runs WHERE id = ? AND continued_from IS NOT NULL", [last]
    ).fetchone():
        last = int(row[0])
        pieces.insert(0, (last, int(row[1])))
    return pieces
