"""Runs as other trackers know them: settings, curves, figures and tags, without weights. Out of a history, and into it."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlite_utils import Database

from workbench.config import DataConfig, ExperimentConfig, RunConfig
from workbench.errors import HistoryError
from workbench.history.curves import copies, keep_copies
from workbench.history.database import now, writing
from workbench.history.storing import Summary, extended

IMPORTED = "imported"
"""The model and the data of a run of which another tracker does not know them."""
EPOCH = "epoch"
FIGURE = "figure/"
"""Before the name of a figure of a finished run, among the metrics of another tracker."""
LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a metric: its step, and when it was recorded, in seconds since 1970."""

    step: int
    time: float
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRun:
    """A run as another tracker knows it; ``status`` is how it ended, ``uid`` what tells it from all others, where it has one."""

    name: str
    uid: str = ""
    params: Mapping[str, Any]
    curves: Mapping[str, Sequence[Point]]
    figures: Mapping[str, float] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    status: str = "done"
    message: str = ""
    started: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignExperiment:
    """Runs that belong together."""

    name: str
    runs: Sequence[ForeignRun]


def runs_out(database: Database, experiments: Sequence[int]) -> list[ForeignExperiment]:
    """Experiments with their own runs that are not in the bin; a :class:`HistoryError` where one is not there."""
    found = []
    for experiment in experiments:
        row = database.execute("SELECT name FROM experiments WHERE id = ? AND deleted IS NULL", [experiment]).fetchone()
        if row is None:
            raise HistoryError(f"there is no experiment {experiment} in this history, or it is in the bin")
        numbers = database.execute(
            "SELECT id FROM runs WHERE experiment = ? AND id NOT IN (SELECT run FROM bin) ORDER BY id", [experiment]
        ).fetchall()
        found.append(ForeignExperiment(name=f"{row[0]} #{experiment}", runs=[_out(database, number[0]) for number in numbers]))
    return found


def _out(database: Database, run: int) -> ForeignRun:
    about = database.execute("SELECT role, name, status, message, started, created, uid FROM runs WHERE id = ?", [run]).fetchone()
    start = datetime.fromisoformat(about["started"] or about["created"]).timestamp()
    curves: dict[str, list[Point]] = {}
    for metric, step, elapsed, value in database.execute(
        "SELECT v.metric, v.step, p.elapsed, v.value FROM (SELECT metric, step, value FROM metrics WHERE run = :run UNION ALL"
        " SELECT metric, step, kind FROM nonfinite WHERE run = :run) v JOIN points p ON p.run = :run AND p.step = v.step"
        " UNION ALL SELECT :epoch, step, elapsed, epoch FROM points WHERE run = :run ORDER BY 1, 2",
        {"run": run, "epoch": EPOCH},
    ).fetchall():
        curves.setdefault(metric, []).append(Point(step, start + elapsed, float(value)))
    params = dict(tuple(row) for row in database.execute("SELECT key, value FROM params WHERE run = ?", [run]).fetchall())
    own = {"workbench.run": run, "workbench.uid": about["uid"], "workbench.role": about["role"]}
    return ForeignRun(
        name=f"{about['name']} {run}",
        params={**params, **own},
        curves=curves,
        figures=dict(tuple(row) for row in database.execute("SELECT name, value FROM results WHERE run = ?", [run]).fetchall()),
        tags=tuple(row[0] for row in database.execute("SELECT tag FROM tags WHERE run = ? ORDER BY tag", [run]).fetchall()),
        status=about["status"],
        message=about["message"],
        started=start,
    )


def enter_foreign(database: Database, experiments: Sequence[ForeignExperiment], source: str) -> tuple[int, ...]:
    """Enter runs of another tracker as finished runs, all or nothing; their numbers.

    They have curves, settings and figures, and neither weights nor a checkpoint: they are seen and compared, but can neither
    teach nor go on. ``source`` says where they are from. Those that are here already, by their uid, are left out.
    """
    found: list[int] = []
    with writing(database):
        for one in experiments:
            new = [run for run in one.runs if not run.uid or not _is_here(database, run.uid)]
            if not new:
                continue
            config = ExperimentConfig(name=one.name, description=f"Imported from {source}.", data=DataConfig(dataset=IMPORTED))
            row = {"uid": secrets.token_hex(8), "name": one.name, "config": json.dumps(config.to_dict()), "status": "done"}
            experiment = _insert(database, "experiments", row | {"created": now(), "finished": now()})
            for position, run in enumerate(new):
                number = _enter(database, experiment, run, source)
                database.execute("INSERT INTO members VALUES (?, ?, ?, 'student', 0)", [experiment, position, number])
                found.append(number)
    return tuple(found)


def _is_here(database: Database, uid: str) -> bool:
    return database.execute("SELECT 1 FROM runs WHERE uid = ?", [uid]).fetchone() is not None


def _enter(database: Database, experiment: int, run: ForeignRun, source: str) -> int:
    times = [point.time for points in run.curves.values() for point in points if math.isfinite(point.time)]
    start = run.started or min(times, default=0.0)
    note = f"imported from {source}: without weights, it can neither teach nor go on"
    status = run.status if run.status in ("done", "stopped", "failed", "interrupted") else "stopped"
    number = _insert(
        database,
        "runs",
        {
            "uid": run.uid or secrets.token_hex(8),
            "experiment": experiment,
            "role": "student",
            "name": run.name or "run",
            "status": status,
            "message": run.message or note,
            "config": json.dumps(RunConfig(data=DataConfig(dataset=IMPORTED)).to_dict()),
            "dataset": IMPORTED,
            "model": IMPORTED,
            "seed": 0,
            "created": now(),
            "started": _date(start),
            "finished": _date(max(times, default=start)),
        },
    )
    for key, value in run.params.items():
        database.execute("INSERT INTO params VALUES (?, ?, ?)", [number, key, _setting(value)])
    for name, value in run.figures.items():
        if math.isfinite(value):
            database.execute("INSERT INTO results VALUES (?, ?, ?)", [number, name, float(value)])
    for tag in dict.fromkeys(run.tags):
        database.execute("INSERT INTO tags VALUES (?, ?)", [number, tag])
    database.execute("INSERT INTO run_notes (run, author, text, created) VALUES (?, 'workbench', ?, ?)", [number, note, now()])
    _enter_curves(database, number, run, start)
    keep_copies(database, copies(database, [number]))
    return number


def _enter_curves(database: Database, number: int, run: ForeignRun, start: float) -> None:
    """A step that was recorded twice has the value that came last."""
    epochs = {point.step: point.value for point in run.curves.get(EPOCH, ()) if math.isfinite(point.value)}
    seconds: dict[int, float] = {}
    for metric, given in run.curves.items():
        points = {point.step: point for point in sorted(given, key=lambda point: point.time) if 0 <= point.step <= LARGEST}
        for step, point in points.items():
            seconds[step] = max(seconds.get(step, 0.0), point.time - start) if math.isfinite(point.time) else 0.0
        if metric == EPOCH:
            continue
        summary: Summary | None = None
        for step in sorted(points):
            value = float(points[step].value)
            if math.isfinite(value):
                database.execute("INSERT INTO metrics VALUES (?, ?, ?, ?)", [number, metric, step, value])
                summary = extended(summary, step, value)
            else:
                database.execute("INSERT INTO nonfinite VALUES (?, ?, ?, ?)", [number, metric, step, str(value)])
        if summary is not None:
            database.execute("INSERT INTO summary VALUES (?, ?, ?, ?, ?, ?, ?)", [number, metric, *summary])
    rows = [[number, step, epochs.get(step, float(step)), elapsed, 1] for step, elapsed in seconds.items()]
    database.conn.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", rows)
    if rows:
        _, steps, reached, elapsed_seconds, _ = zip(*rows, strict=True)
        furthest = [max(steps), max(reached), max(elapsed_seconds), number]
        database.execute("UPDATE runs SET step = ?, epochs = ?, train_seconds = ? WHERE id = ?", furthest)


def _setting(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)) and math.isfinite(value) and abs(value) <= LARGEST:
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
    return str(value)


def _date(time: float) -> str | None:
    with suppress(OverflowError, OSError, ValueError):  # what no calendar has
        return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds") if time > 0 else None
    return None


def _insert(database: Database, table: str, row: Mapping[str, Any]) -> int:
    marks = ", ".join("?" * len(row))
    return int(database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values())).lastrowid or 0)
