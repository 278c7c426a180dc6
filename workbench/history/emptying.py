"""The bin: what a person deleted, and how it is emptied."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

from workbench.history.changes import EMPTIED
from workbench.history.database import files_folder, now, writing
from workbench.words import many, sentence

GIVEN_UP = ("points", "metrics", "nonfinite", "summary", "curves", "predictions")
"""The tables whose rows go even where a run's own row stays."""
AT_ONCE = 8
"""Runs whose curves go in one transaction."""
FILES_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Binned:
    """A deleted run, or with ``run`` 0 a deleted experiment itself; ``size`` is what its files take, in bytes."""

    experiment: int
    name: str
    run: int
    words: str
    deleted: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptied:
    """What emptying the bin takes: experiments and runs that go wholly, runs that others came from and that keep their name and
    settings alone, runs that stay for now since a run under way learns from them, and bytes of files."""

    experiments: int
    runs: int
    hollow: int
    kept: int
    size: int

    def words(self) -> str:
        """In a sentence or two."""
        gone = [many(self.runs, "run")] * bool(self.runs) + [many(self.experiments, "experiment")] * bool(self.experiments)
        parts = [f"wholly removed: {' and '.join(gone)}"] * bool(gone)
        if self.hollow:
            parts.append(f"emptied but for name, settings and figures, as others refer to it: {many(self.hollow, 'run')}")
        if self.kept:
            parts.append(f"left in the bin, as a run under way learns from it: {many(self.kept, 'run')}")
        parts.append(f"files: {self.size / 1e6:,.1f} MB")
        words = "; ".join(parts)
        return sentence(words)

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to empty."""
        return not (self.experiments or self.runs or self.hollow)


@dataclass(frozen=True, slots=True)
class _Fate:
    """Runs that go, that are emptied, that stay; experiments that go. ``number`` is the newest run where it goes, and ``last``
    are experiments whose rows stay without anything in them."""

    gone: frozenset[int]
    number: frozenset[int]
    hollow: frozenset[int]
    kept: frozenset[int]
    experiments: frozenset[int]
    last: frozenset[int]


def read_bin(database: Database) -> list[Binned]:
    """What can be taken back: deleted experiments, each followed by its deleted runs, the newest first."""
    rows = database.execute(
        "SELECT r.experiment, e.name, r.id AS run, r.name || ' · ' || r.model || ' · ' || r.dataset AS words, b.deleted,"
        " coalesce((SELECT sum(size) FROM (SELECT DISTINCT path, size FROM artefacts WHERE run = r.id)), 0) AS size"
        " FROM bin b JOIN runs r ON r.id = b.run JOIN experiments e ON e.id = r.experiment WHERE b.emptied IS NULL"
        " UNION ALL SELECT id, name, 0, '', deleted, 0 FROM experiments WHERE deleted IS NOT NULL AND message <> :emptied"
        " AND (id IN (SELECT r.experiment FROM bin b JOIN runs r ON r.id = b.run WHERE b.emptied IS NULL)"
        " OR id NOT IN (SELECT experiment FROM runs)) ORDER BY 1 DESC, 3",
        {"emptied": EMPTIED},
    ).fetchall()
    return [Binned(**dict(row)) for row in rows]


def would_empty(database: Database) -> Emptied:
    """What :func:`empty_bin` would do."""
    return _told(database, _fates(database))


def empty_bin(database: Database, history: Path) -> Emptied:
    """Remove deleted runs and experiments for good; what that was.

    A run that a run or an experiment outside the bin came from keeps its row, with settings and figures, and gives up its
    curves, predictions and files. What stays of the emptied is known by another uid, so that an import brings the whole back.
    Files go first, once it is committed that nothing refers to them, since a full disk may let nothing else through; what a
    kill leaves of them `workbench doctor` finds. Raises :class:`CannotWrite`; what is not done by then is done when it is
    called again.
    """
    with writing(database):
        fates = _fates(database)
        told, before = _told(database, fates), _paths(database)
        everything = sorted(fates.gone | fates.hollow)
        some = "run IN (SELECT value FROM json_each(?))"
        database.execute(f"UPDATE bin SET emptied = coalesce(emptied, ?) WHERE {some}", [now(), json.dumps(everything)])
        database.execute(f"DELETE FROM artefacts WHERE {some}", [json.dumps(everything)])
        _rename(database, fates)
        after = _paths(database)
    _unlink(database, history, sorted(before - after))
    for start in range(0, len(everything), AT_ONCE):  # little at a time: a training writes between
        with writing(database):
            for table in GIVEN_UP:
                database.execute(f"DELETE FROM {table} WHERE {some}", [json.dumps(everything[start : start + AT_ONCE])])
    with writing(database):
        _remove_rows(database, fates.gone)
    return told


def _rename(database: Database, fates: _Fate) -> None:
    """Give new uids to emptied runs whose rows stay, and to the deleted experiments that these stay in."""
    runs = json.dumps(sorted(fates.hollow | fates.number))
    some = "SELECT value FROM json_each(?)"
    database.execute(f"UPDATE runs SET uid = lower(hex(randomblob(8))) WHERE id IN ({some})", [runs])
    database.execute(
        f"UPDATE experiments SET uid = lower(hex(randomblob(8))) WHERE id IN ({some}) OR deleted IS NOT NULL AND id IN"
        f" (SELECT experiment FROM runs WHERE id IN ({some}))",
        [json.dumps(sorted(fates.last)), runs],
    )


def _unlink(database: Database, history: Path, paths: Sequence[str]) -> None:
    """Remove files that nothing refers to; an import may have put one there again meanwhile."""
    for start in range(0, len(paths), FILES_AT_ONCE):
        part = paths[start : start + FILES_AT_ONCE]
        with writing(database):
            sql = "SELECT path FROM artefacts WHERE path IN (SELECT value FROM json_each(?))"
            needed = {row[0] for row in database.execute(sql, [json.dumps(part)]).fetchall()}
            for path in part:
                if path not in needed:
                    with contextlib.suppress(OSError):  # in use elsewhere or gone; `workbench doctor` finds what is left
                        (files_folder(history) / path).unlink(missing_ok=True)
                        (files_folder(history) / path).parent.rmdir()


def _remove_rows(database: Database, gone: frozenset[int]) -> None:
    """Remove the runs and the experiments of which nothing is left; those that were taken up again meanwhile stay."""
    fates = _fates(database)
    values = {
        "gone": json.dumps(sorted((gone & fates.gone) - fates.number)),
        "number": json.dumps(sorted(gone & fates.number)),
        "experiments": json.dumps(sorted(fates.experiments)),
        "last": json.dumps(sorted(fates.last)),
        "now": now(),
        "emptied": EMPTIED,
    }
    for sql in (
        "DELETE FROM members WHERE run IN (SELECT value FROM json_each(:gone)) OR experiment IN"
        " (SELECT value FROM json_each(:experiments) UNION SELECT value FROM json_each(:last))",
        "DELETE FROM lineage WHERE child IN (SELECT value FROM json_each(:number))",
        "UPDATE runs SET continued_from = NULL WHERE id IN (SELECT value FROM json_each(:number))",
        "DELETE FROM runs WHERE id IN (SELECT value FROM json_each(:gone))",
        "DELETE FROM experiments WHERE id IN (SELECT value FROM json_each(:experiments))",
        "UPDATE experiments SET message = :emptied, deleted = coalesce(deleted, :now) WHERE id IN"
        " (SELECT value FROM json_each(:last))",
        "DELETE FROM queue WHERE experiment IN (SELECT value FROM json_each(:last))",
        "DELETE FROM sweeps WHERE id NOT IN (SELECT sweep FROM experiments WHERE sweep IS NOT NULL)"
        " AND id < (SELECT max(id) FROM sweeps)",
    ):
        database.execute(sql, {name: value for name, value in values.items() if f":{name}" in sql})


def _fates(database: Database) -> _Fate:
    """What becomes of everything in the bin. Of the newest run and the newest experiment the bare row stays, so that their
    numbers, which a recipe or an undo may name, are never given to others."""

    def pairs(sql: str) -> list[tuple[int, int]]:
        return [(row[0], row[1]) for row in database.execute(sql).fetchall()]

    binned = dict(pairs("SELECT run, emptied IS NOT NULL FROM bin"))
    experiment_of = dict(pairs("SELECT id, experiment FROM runs"))
    members = pairs("SELECT run, experiment FROM members")
    busy = {row[0] for row in database.execute("SELECT id FROM runs WHERE status IN ('waiting', 'running')").fetchall()}
    claimed = {row[0] for row in database.execute("SELECT experiment FROM queue WHERE claimed_by IS NOT NULL").fetchall()}
    deleted = dict(pairs("SELECT id, deleted IS NOT NULL FROM experiments"))
    needs = pairs("SELECT parent, child FROM lineage")
    needs += pairs("SELECT continued_from, id FROM runs WHERE continued_from IS NOT NULL")
    used: dict[int, list[int]] = {}
    for run, experiment in members:
        used.setdefault(experiment, []).append(run)
    hidden = {
        one
        for one, was_deleted in deleted.items()
        if one not in claimed and (was_deleted or (one in used and all(run in binned for run in used[one])))
    }
    held = {above for above, below in needs if below in busy} | busy
    going = {run for run in binned if run not in held and experiment_of[run] in hidden}
    going -= {run for run, experiment in members if experiment not in hidden}
    while still := {above for above, below in needs if above in going and below not in going}:
        going -= still
    left = {experiment for run, experiment in experiment_of.items() if run not in going}
    empty = hidden - left
    number = {max(experiment_of, default=0)} & going
    last = {max(deleted, default=0), *(experiment_of[run] for run in number)} & empty
    return _Fate(
        gone=frozenset(going),
        number=frozenset(number),
        hollow=frozenset(binned.keys() - going - held),
        kept=frozenset(binned.keys() & held),
        experiments=frozenset(empty - last),
        last=frozenset(last),
    )


def _told(database: Database, fates: _Fate) -> Emptied:
    (size,) = database.execute(
        "SELECT coalesce(sum(size), 0) FROM (SELECT path, size FROM artefacts WHERE run IN (SELECT value FROM json_each(?))"
        " GROUP BY path)",
        [json.dumps(sorted(fates.gone | fates.hollow))],
    ).fetchone()
    (known,) = database.execute(
        "SELECT count(*) FROM experiments WHERE id IN (SELECT value FROM json_each(?)) AND message = ?",
        [json.dumps(sorted(fates.experiments | fates.last)), EMPTIED],
    ).fetchone()
    emptied = {row[0] for row in database.execute("SELECT run FROM bin WHERE emptied IS NOT NULL").fetchall()}
    return Emptied(
        experiments=len(fates.experiments) + len(fates.last) - known,
        runs=len(fates.gone - emptied),
        hollow=len(fates.hollow - emptied),
        kept=len(fates.kept),
        size=size,
    )


def _paths(database: Database) -> set[str]:
    return {row[0] for row in database.execute("SELECT path FROM artefacts").fetchall()}
