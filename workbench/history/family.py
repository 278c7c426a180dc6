"""Who learned from whom: a run's teachers and students, and what it goes on from."""

from __future__ import annotations

from dataclasses import dataclass

from sqlite_utils import Database

STUDENTS = 200
"""So many students of a run are named."""


@dataclass(frozen=True, slots=True)
class Relative:
    """A run that another one has to do with, and how. ``binned`` says that it is deleted."""

    run: int
    how: str
    words: str
    binned: bool


def relatives(database: Database, run: int) -> tuple[Relative, ...]:
    """A run's teachers in their order, the run it continues, those that continue it, and its students, newest first."""
    about = (
        "SELECT r.id, r.name || ' of ' || e.name || ' #' || e.id || ', ' || r.model AS words,"
        " r.id IN (SELECT run FROM bin) AS binned FROM runs r JOIN experiments e ON e.id = r.experiment"
    )
    found = []
    for how, join in (
        ("learned from", "JOIN lineage l ON l.parent = r.id WHERE l.child = ? ORDER BY l.position"),
        ("goes on from", "JOIN runs c ON c.continued_from = r.id WHERE c.id = ?"),
        ("goes on in", "WHERE r.continued_from = ? ORDER BY r.id"),
        ("taught", f"JOIN lineage l ON l.child = r.id WHERE l.parent = ? ORDER BY r.id DESC LIMIT {STUDENTS}"),
    ):
        rows = database.execute(f"{about} {join}", [run]).fetchall()
        found += [Relative(row[0], how, row[1], bool(row[2])) for row in rows]
    return tuple(found)
