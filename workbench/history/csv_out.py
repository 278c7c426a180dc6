"""Curves and tables as CSV (RFC 4180), with no cell that a spreadsheet would run as a formula."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from sqlite_utils import Database

from workbench.errors import HistoryError
from workbench.files import whole_file

Row = Sequence[Any]
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so is a formula to Excel, LibreOffice and Google Sheets."""
CURVE_COLUMNS = ("run", "experiment", "role", "name", "metric", "step", "epoch", "elapsed_seconds", "value")
RUN_COLUMNS = (
    "run experiment experiment_id role name status dataset model seed temperature hard_weight parameters multiply_adds epochs"
    " train_seconds created val_accuracy test_accuracy test_errors test_nll test_ece teacher_agreement teacher_kl"
).split()


def safe(value: Any) -> Any:
    """A value as a cell: numbers as they are, text that a spreadsheet would run behind an apostrophe, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def write_rows(file: IO[str], header: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a table to an open file, which must not change the ends of lines (``newline=""``)."""
    writer = csv.writer(file)
    writer.writerow([safe(name) for name in header])
    writer.writerows([safe(value) for value in row] for row in rows)


def write_csv(target: Path, header: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a table to a file, whole or not at all, in the place of one that is there.

    It begins with a byte order mark, without which Excel takes UTF-8 for the local 8-bit code; pandas and R skip it.
    Raises :class:`CannotWrite`.
    """
    with whole_file(target, overwrite=True) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        write_rows(file, header, rows)


def curve_rows(database: Database, runs: Sequence[int], metrics: Sequence[str] = ()) -> Iterator[Row]:
    """Every point of the curves of runs, not thinned, as rows of :data:`CURVE_COLUMNS`; of all metrics where none is named.

    Values that were not finite are nan or infinite. A :class:`HistoryError` where a run or a metric is not there.
    """
    known = {
        row[0] for row in database.execute("SELECT id FROM runs WHERE id IN (SELECT value FROM json_each(?))", [_json(runs)])
    }
    for run in runs:
        if run not in known:
            raise HistoryError(f"there is no run {run} in this history; see `workbench runs`")
    recorded = [
        row[0]
        for row in database.execute(
            "SELECT metric FROM summary WHERE run IN (SELECT value FROM json_each(:runs)) UNION"
            " SELECT metric FROM nonfinite WHERE run IN (SELECT value FROM json_each(:runs)) ORDER BY 1",
            {"runs": _json(runs)},
        )
    ]
    for metric in metrics:
        if metric not in recorded:
            raise HistoryError(f"none of these runs has a metric {metric!r}; they have {', '.join(recorded) or 'none'}")
    for run in dict.fromkeys(runs):
        for metric in metrics or recorded:
            yield from _points(database, run, metric)


def _points(database: Database, run: int, metric: str) -> Iterator[Row]:
    rows = database.execute(
        "SELECT r.id, r.experiment, r.role, r.name, :metric, p.step, p.epoch, p.elapsed, v.value FROM"
        " (SELECT step, value FROM metrics WHERE run = :run AND metric = :metric UNION ALL"
        "  SELECT step, kind FROM nonfinite WHERE run = :run AND metric = :metric) v"
        " JOIN points p ON p.run = :run AND p.step = v.step JOIN runs r ON r.id = :run ORDER BY p.step",
        {"run": run, "metric": metric},
    )
    for row in rows:
        yield (*tuple(row)[:-1], float(row[-1]))


def run_rows(database: Database) -> Iterator[Row]:
    """Every run that is not in the bin, as rows of :data:`RUN_COLUMNS`: the documented view ``run_overview``."""
    for row in database.execute(f"SELECT {', '.join(RUN_COLUMNS)} FROM run_overview ORDER BY run"):
        yield tuple(row)


def _json(numbers: Sequence[int]) -> str:
    return json.dumps(list(numbers))
