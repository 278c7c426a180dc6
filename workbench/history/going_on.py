"""Experiments whose students were trained together as one model: they go on together, and end as if nothing had been."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlite_utils import Database

from workbench.config import ExperimentConfig
from workbench.history.changes import LEFT, hold
from workbench.plan import company_of
from workbench.progress import numbers


def left_beside(database: Database, experiment: int) -> list[int]:
    """The other experiments that ended with this one before they were done: those of its sweep whose students were trained
    together with its own, or could be and were interrupted before theirs had begun as its own had not."""
    rows = database.execute(
        "SELECT e.id, e.config, e.status, coalesce(q.held, 0) AS held,"
        " (SELECT iif(json_type(environment, '$.together') = 'array', json_extract(environment, '$.together'), id)"
        "  FROM runs WHERE experiment = e.id AND role = 'student' AND environment <> '{}' ORDER BY id DESC LIMIT 1"
        " ) AS together FROM experiments e LEFT JOIN queue q ON q.experiment = e.id AND q.claimed_by IS NULL"
        " WHERE e.sweep = (SELECT sweep FROM experiments WHERE id = ?) AND e.deleted IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.experiment = e.id AND r.role = 'student' AND e.id <> ?"
        "  AND (r.status = 'failed' OR (r.status <> 'done' AND r.id IN (SELECT run FROM bin)))) ORDER BY e.id",
        [experiment, experiment],
    ).fetchall()
    this = next((row for row in rows if row["id"] == experiment), None)
    if this is None or (company := _company(this)) is None:
        return []
    own = this["together"]

    def left(row: Any) -> bool:
        waits = row["status"] == "waiting" and row["held"] == LEFT
        ended = row["status"] == "interrupted" or (own is not None and (row["status"] == "stopped" or waits))
        return bool(row["id"] != experiment and row["together"] == own and ended)

    return [row["id"] for row in rows if left(row) and _company(row) == company]


def _company(row: Any) -> str | None:
    return company_of(ExperimentConfig.from_dict(json.loads(row["config"])))


def left_with(database: Database, experiments: Sequence[int]) -> list[int]:
    """See :func:`left_beside`, of several: those that are not among them."""
    found = (other for experiment in experiments for other in left_beside(database, experiment))
    return list(dict.fromkeys(other for other in found if other not in experiments))


def let_go_on(database: Database, experiments: Sequence[int]) -> str:
    """No longer hold experiments in the queue, nor those held there that go on with what of them had begun; a sentence on
    these others, or ""."""
    held = {row[0] for row in database.execute("SELECT experiment FROM queue WHERE held AND claimed_by IS NULL").fetchall()}
    begun = "SELECT experiment FROM members UNION SELECT id FROM experiments WHERE status <> 'waiting'"
    had_begun = {row[0] for row in database.execute(begun).fetchall()}
    others = [other for other in left_with(database, [one for one in experiments if one in had_begun]) if other in held]
    hold(database, [*experiments, *others], False)
    return gone_on_with(database, others)


def gone_on_with(database: Database, others: Sequence[int]) -> str:
    """What is said of others that go on too, "" of none: their students, or themselves where there are none yet."""
    if not others:
        return ""
    sql = "SELECT run FROM members WHERE experiment = ? AND role = 'student' ORDER BY position DESC LIMIT 1"
    students = [database.execute(sql, [one]).fetchone() for one in others]
    if not all(students):
        return f"{numbers(others, 'experiment')} had begun together with it and go on with it"
    were, go = ("was", "goes") if len(others) == 1 else ("were", "go")
    return f"{numbers([row[0] for row in students])} {were} trained together with it and {go} on with it"
