"""What a person changes in the history: one transaction each, on any writing connection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

from workbench.analysis.bias import Correction
from workbench.errors import HistoryError
from workbench.history.database import files_folder, now, writing
from workbench.history.liveness import host, is_alive

EMPTIED = "emptied from the bin"
"""What is said of an experiment of which nothing is left but its number."""

LEFT = 2
"""How the queue holds what a process left behind; 1 is a person's own hold."""


def delete(database: Database, runs: Sequence[int], experiments: Sequence[int] = ()) -> None:
    """Delete runs, and experiments as such, until they are taken back; what is under way is a :class:`HistoryError`."""
    with writing(database):
        for run in runs:
            row = database.execute("SELECT status FROM runs WHERE id = ?", [run]).fetchone()
            if row is None:  # deleted once, taken back never, and emptied from the bin
                continue
            if row[0] in ("running", "waiting"):
                raise HistoryError(f"run {run} is {row[0]}; stop it before you delete it")
            database.execute("INSERT OR IGNORE INTO bin (run, deleted) VALUES (?, ?)", [run, now()])
        for experiment in experiments:
            row = database.execute("SELECT claimed_by FROM queue WHERE experiment = ?", [experiment]).fetchone()
            if row and row[0]:
                raise HistoryError(f"experiment {experiment} is running; stop it before you delete it")
            database.execute("UPDATE experiments SET deleted = ? WHERE id = ?", [now(), experiment])


def take_back(database: Database, runs: Sequence[int], experiments: Sequence[int] = ()) -> int:
    """Undo :func:`delete`, but for what was emptied from the bin since; how many runs and experiments came back."""
    back = 0
    with writing(database):
        for run in runs:
            back += database.execute("DELETE FROM bin WHERE run = ? AND emptied IS NULL", [run]).rowcount
        for experiment in experiments:
            sql = "UPDATE experiments SET deleted = NULL WHERE id = ? AND message <> ?"
            back += database.execute(sql, [experiment, EMPTIED]).rowcount
    return back


def keep_correction(database: Database, run: int, correction: Correction | None) -> None:
    """Keep a run's bias correction, or take it back where that is None."""
    with writing(database):
        database.execute("DELETE FROM corrections WHERE run = ?", [run])
        if correction is not None:
            database.execute(
                "INSERT INTO corrections SELECT id, ?, ?, ?, ? FROM runs WHERE id = ?",
                [json.dumps(list(correction.classes)), correction.shift, correction.way, now(), run],
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """How a person marked a run: what :func:`mark` changes, and puts back."""

    run: int
    pinned: bool = False
    starred: bool = False
    colour: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""


def marked(database: Database, runs: Sequence[int]) -> list[Marked]:
    """The marks of runs as they stand."""
    found = []
    for run in runs:
        row = database.execute("SELECT pinned, starred, colour FROM marks WHERE run = ?", [run]).fetchone() or (0, 0, "")
        tags = database.execute("SELECT tag FROM tags WHERE run = ? ORDER BY tag", [run]).fetchall()
        notes = database.execute("SELECT text FROM run_notes WHERE run = ? AND author = 'person' ORDER BY id", [run]).fetchall()
        found.append(
            Marked(
                run=run,
                pinned=bool(row[0]),
                starred=bool(row[1]),
                colour=row[2],
                tags=tuple(one[0] for one in tags),
                note="\n".join(one[0] for one in notes),
            )
        )
    return found


def mark(database: Database, wanted: Sequence[Marked]) -> None:
    """Mark runs so and not otherwise; those that were emptied from the bin since are left out."""
    with writing(database):
        for one in wanted:
            if database.execute("SELECT 1 FROM runs WHERE id = ?", [one.run]).fetchone() is None:
                continue
            database.execute("DELETE FROM marks WHERE run = ?", [one.run])
            if one.pinned or one.starred or one.colour:
                values = [one.run, int(one.pinned), int(one.starred), one.colour]
                database.execute("INSERT INTO marks VALUES (?, ?, ?, ?)", values)
            database.execute("DELETE FROM tags WHERE run = ?", [one.run])
            for tag in dict.fromkeys(one.tags):
                database.execute("INSERT INTO tags VALUES (?, ?)", [one.run, tag])
            database.execute("DELETE FROM run_notes WHERE run = ? AND author = 'person'", [one.run])
            if one.note:
                values = [one.run, one.note, now()]
                database.execute("INSERT INTO run_notes (run, author, text, created) VALUES (?, 'person', ?, ?)", values)


def keep_filter(database: Database, name: str, expression: str | None) -> None:
    """Keep a filter under a name, in the place of one of that name; None forgets it."""
    with writing(database):
        database.execute("DELETE FROM filters WHERE name = ?", [name])
        if expression is not None:
            database.execute("INSERT INTO filters VALUES (?, ?, ?)", [name, expression, now()])


def mark_interrupted(database: Database, history: Path) -> int:
    """Mark what dead processes left unfinished as interrupted, and hold their part of the queue; the number of runs."""
    locks = files_folder(history) / "locks"
    others = database.execute(
        "SELECT id, lock, host FROM processes WHERE id IN (SELECT process FROM runs WHERE status IN"
        " ('waiting', 'running') UNION SELECT claimed_by FROM queue UNION SELECT process FROM queue)",
    ).fetchall()
    gone = [row for row in others if row["host"] == host() and not is_alive(locks / row["lock"])]
    if not gone:
        return 0
    message = "the program ended before the run did"
    marked = 0
    with writing(database):
        for process in [row["id"] for row in gone]:
            marked += database.execute(
                "UPDATE runs SET status = 'interrupted', message = ?, finished = ? WHERE process = ?"
                " AND status IN ('waiting', 'running')",
                [message, now(), process],
            ).rowcount
            database.execute(
                "UPDATE experiments SET status = 'interrupted', message = ?, finished = ? WHERE status = 'running' AND id IN"
                " (SELECT experiment FROM queue WHERE claimed_by = ?)",
                [message, now(), process],
            )
            database.execute(
                f"UPDATE queue SET held = iif(held, held, {LEFT}), claimed_by = NULL, process = NULL"
                " WHERE claimed_by = ? OR process = ?",
                [process, process],
            )
    for row in gone:
        (locks / row["lock"]).unlink(missing_ok=True)
    return marked


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A place in the queue, as it is put back by undo."""

    experiment: int
    rank: float
    held: int
    process: int | None


def hold(database: Database, experiments: Sequence[int], held: bool) -> None:
    """Keep experiments in the queue from beginning, or let them go on."""
    with writing(database):
        for experiment in experiments:
            database.execute("UPDATE queue SET held = ? WHERE experiment = ? AND claimed_by IS NULL", [int(held), experiment])


def move(database: Database, experiments: Sequence[int], before: int | None) -> None:
    """Put waiting experiments, in the order given, before another one of the queue, or at its end where that is None."""
    with writing(database):
        rows = database.execute("SELECT experiment FROM queue WHERE claimed_by IS NULL ORDER BY rank").fetchall()
        rest = [row[0] for row in rows if row[0] not in experiments]
        place = rest.index(before) if before in rest else len(rest)
        moved = [one for one in experiments if one in {row[0] for row in rows}]
        for rank, experiment in enumerate([*rest[:place], *moved, *rest[place:]]):
            database.execute("UPDATE queue SET rank = ? WHERE experiment = ?", [float(rank), experiment])


def dequeue(database: Database, experiments: Sequence[int]) -> list[Queued]:
    """Take experiments out of the queue, those never begun out of the history too; what :func:`put_back` needs."""
    with writing(database):
        taken = []
        for experiment in experiments:
            row = database.execute(
                "SELECT experiment, rank, held, process FROM queue WHERE experiment = ? AND claimed_by IS NULL", [experiment]
            ).fetchone()
            if row:
                taken.append(Queued(**dict(row)))
                database.execute("DELETE FROM queue WHERE experiment = ?", [experiment])
                database.execute(
                    "UPDATE experiments SET status = 'stopped', message = 'taken out of the queue' WHERE id = ?"
                    " AND status = 'waiting' AND id IN (SELECT experiment FROM members)",
                    [experiment],
                )
                database.execute("UPDATE runs SET status = 'stopped' WHERE experiment = ? AND status = 'waiting'", [experiment])
                database.execute(
                    "UPDATE experiments SET deleted = ? WHERE id = ? AND id NOT IN (SELECT experiment FROM members)",
                    [now(), experiment],
                )
        return taken


def put_back(database: Database, taken: Sequence[Queued]) -> None:
    """Undo :func:`dequeue`."""
    with writing(database):
        for one in taken:
            database.execute(
                "INSERT OR IGNORE INTO queue (experiment, rank, held, process) SELECT id, ?, ?, ? FROM experiments WHERE id = ?"
                " AND message <> ? AND status IN ('waiting', 'stopped')",
                [one.rank, one.held, one.process, one.experiment, EMPTIED],
            )
            database.execute(
                "UPDATE experiments SET deleted = NULL, status = CASE WHEN status = 'stopped' THEN 'waiting' ELSE status END"
                " WHERE id = ? AND message <> ?",
                [one.experiment, EMPTIED],
            )
