"""Reading the history: plain functions on a read-only connection, plain values back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlite_utils import Database

from workbench import zoo
from workbench.analysis.bias import Correction
from workbench.config import RunConfig, sameness, written
from workbench.errors import HistoryError
from workbench.history.database import files_folder
from workbench.plan import ALONE, SPECIALISED
from workbench.sweep import Sweep, varied

MANY_RUNS = 5000
"""Of so many runs the figures are looked for among those of all."""

_FIELDS = (
    "r.status, r.message, r.dataset, r.model, r.seed, r.temperature, r.hard_weight, r.parameters, r.multiply_adds, r.steps,"
    " r.step, r.epochs, r.train_seconds, r.samples_per_second, r.created, r.started, r.finished"
)
_OWN = (
    f"SELECT r.id, r.experiment, e.name AS experiment_name, r.role, r.name, 0 AS reused, {_FIELDS}"
    " FROM runs r JOIN experiments e ON e.id = r.experiment"
)
_WHOLE = "coalesce(json_extract({run}.config, '$.data.validation_fraction'), 1) = 0"  # trained on all cases
USED_NAME = (  # a run that another experiment made has there a name that means nothing here
    "CASE WHEN NOT m.reused THEN r.name"
    " ELSE m.role || CASE WHEN m.role IN ('teacher', 'specialist') THEN ' ' || (SELECT count(*) FROM members o"
    " JOIN runs q ON q.id = o.run WHERE o.experiment = m.experiment AND o.position <= m.position AND o.role = m.role"
    f" AND ({_WHOLE.format(run='q')}) = ({_WHOLE.format(run='r')})) ELSE '' END"
    f" || iif(json_extract(e.config, '$.refit') AND {_WHOLE.format(run='r')}, ', refitted', '') END"
)
"""What a run is called in an experiment ``e`` that uses it as its member ``m``, as SQL."""

_USED = (
    f"SELECT r.id, m.experiment, e.name AS experiment_name, m.role, {USED_NAME} AS name, m.reused,"
    f" {_FIELDS} FROM members m JOIN runs r ON r.id = m.run JOIN experiments e ON e.id = m.experiment"
)

REFERENCE = "SELECT r.experiment FROM tags t JOIN runs r ON r.id = t.run WHERE t.tag = 'reference'"
"""The experiments that came with the workbench, as SQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One line of the history: a run with its figures (``val_accuracy``, ``test_errors``, ``teacher_kl``…).

    ``reused`` says that ``experiment`` uses the run and another one made it; role and name are those it has here.
    """

    id: int
    experiment: int
    experiment_name: str
    role: str
    name: str
    reused: bool
    status: str
    message: str
    dataset: str
    model: str
    seed: int
    temperature: float | None
    hard_weight: float | None
    parameters: int | None
    multiply_adds: int | None
    steps: int | None
    step: int
    epochs: float
    train_seconds: float
    samples_per_second: float | None
    created: str
    started: str | None
    finished: str | None
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails:
    """All that is known of a run beside its curves."""

    row: RunRow
    config: dict[str, Any]
    experiment_config: dict[str, Any]
    settings: dict[str, Any]
    environment: dict[str, Any]
    parents: tuple[int, ...]
    children: tuple[int, ...]
    notes: tuple[str, ...]
    artefacts: tuple[tuple[str, str, int], ...]
    correction: Correction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a run as the history records it; check its hash before it is loaded."""

    run: int
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run as a teacher: what it was trained as, on which content, and its weights where it has any."""

    run: int
    status: str
    config: RunConfig
    data_digest: str
    weights: StoredFile | None

    @property
    def dataset_digest(self) -> str:
        """The digest of its data set alone, without that of own images that the run learned from too."""
        return self.data_digest.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRow:
    """An experiment as lists show it. ``rank`` is its place in the queue, None where it is not in it."""

    id: int
    name: str
    status: str
    message: str
    created: str
    rank: float | None
    held: bool
    sweep: int | None = None
    reference: bool = False
    rows: tuple[RunRow, ...] = ()


def list_runs(database: Database, runs: Sequence[int] | None = None) -> list[RunRow]:
    """Each run not in the bin once, newest experiment first; only the given ones where ``runs`` is said."""
    if runs is None:
        return _rows(database, f"{_OWN} WHERE r.id NOT IN (SELECT run FROM bin) ORDER BY r.experiment DESC, r.id", [])
    return _rows(database, f"{_OWN} WHERE r.id IN ({_marks(runs)}) ORDER BY r.experiment DESC, r.id", list(runs))


def experiment_rows(database: Database, experiment: int) -> list[RunRow]:
    """The runs that an experiment uses, its own and those it reuses, in the order of its plan."""
    return _rows(database, f"{_USED} WHERE m.experiment = ? ORDER BY m.position", [experiment])


def list_experiments(database: Database, *, reference: bool = True) -> list[ExperimentRow]:
    """Every experiment that is not deleted, newest first, with the runs it uses; one whose runs are all deleted is left out.

    Those that came with the workbench are left out where ``reference`` is not wanted.
    """
    members: dict[int, list[RunRow]] = {}
    shown = "m.experiment IN (SELECT id FROM experiments WHERE deleted IS NULL)"
    for row in _rows(database, f"{_USED} WHERE {shown} ORDER BY m.experiment, m.position", []):
        members.setdefault(row.experiment, []).append(row)
    binned = {row[0] for row in database.execute("SELECT run FROM bin").fetchall()}
    found = database.execute(
        "SELECT e.id, e.name, e.status, e.message, e.created, e.sweep, q.rank, coalesce(q.held, 0) AS held,"
        f" e.id IN ({REFERENCE}) AS reference FROM experiments e"
        " LEFT JOIN queue q ON q.experiment = e.id WHERE e.deleted IS NULL ORDER BY e.id DESC"
    ).fetchall()
    experiments = []
    for one in found:
        rows = members.get(one["id"], [])
        left = tuple(row for row in rows if row.id not in binned)
        if (left or not rows) and (reference or not one["reference"]):
            flags = {"held": bool(one["held"]), "reference": bool(one["reference"])}
            experiments.append(ExperimentRow(**{**dict(one), **flags}, rows=left))
    return experiments


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """A sweep as a list shows it: how many of its experiments are done. ``at_most`` is what a search may come to, else 0."""

    id: int
    name: str
    created: str
    experiments: int
    done: int
    at_most: int = 0

    def words(self) -> str:
        """How far it is."""
        more = f"; the search does at most {self.at_most}" if self.at_most > self.experiments else ""
        return f"{self.done} of {self.experiments} experiments done{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """One experiment of a sweep: what is varied there, and the figures of its runs by role, as far as they are there."""

    experiment: int
    status: str
    point: dict[str, Any]
    runs: dict[str, RunRow]
    name: str = ""


def list_sweeps(database: Database, *, reference: bool = True) -> list[SweepRow]:
    """The sweeps that have an experiment left, newest first; without those that came with the workbench where these are not
    wanted."""
    rows = database.execute(
        "SELECT s.id, s.name, s.created, count(e.id) AS experiments, coalesce(sum(e.status = 'done'), 0) AS done,"
        " iif(json_extract(s.config, '$.sweep.how') = 'bayes', json_extract(s.config, '$.sweep'), '') AS search FROM sweeps s"
        " JOIN experiments e ON e.sweep = s.id AND e.deleted IS NULL"
        + ("" if reference else f" AND e.id NOT IN ({REFERENCE})")
        + " GROUP BY s.id ORDER BY s.id DESC"
    ).fetchall()
    found = [dict(row) for row in rows]
    searches = [json.loads(one.pop("search") or "{}") for one in found]
    return [
        SweepRow(**one, at_most=Sweep.from_dict(search).size if search else 0)
        for one, search in zip(found, searches, strict=True)
    ]


def sweep_points(database: Database, sweep: int) -> list[SweepPoint]:
    """The experiments of a sweep in their order, each with its student's and its baseline's run: the refitted one, with the
    validation figures of the one before, which chose. Of one with specialists also those of the generalist alone, of all
    together, and of the student of the generalist, by their names."""
    return _points(database, "sweep = ?", [sweep])


def specialised_groups(database: Database) -> list[list[SweepPoint]]:
    """The experiments with specialists whose all have been combined, newest first: those of a sweep together that differ in
    their seeds alone."""
    with_them = "id IN (SELECT m.experiment FROM members m JOIN runs r ON r.id = m.run WHERE r.name = ? AND r.status = 'done')"
    rows = database.execute(
        f"SELECT sweep, max(id) FROM experiments WHERE {with_them} AND deleted IS NULL"
        " GROUP BY coalesce(-sweep, id) ORDER BY max(id) DESC",
        [SPECIALISED],
    ).fetchall()
    found: list[list[SweepPoint]] = []
    for sweep, one in rows:
        points = _points(database, "sweep = ?", [sweep]) if sweep else _points(database, "id = ?", [one])
        groups: dict[str, list[SweepPoint]] = {}
        for point in reversed([point for point in points if SPECIALISED in point.runs]):
            groups.setdefault(repr(varied(point.point)), []).insert(0, point)
        found += groups.values()
    return [group for group in found if any(point.runs[SPECIALISED].status == "done" for point in group)]


def _points(database: Database, which: str, values: list[Any]) -> list[SweepPoint]:
    """Experiments as points; ``which`` is a condition on them."""
    runs: dict[int, dict[str, RunRow]] = {}
    members = f"m.experiment IN (SELECT id FROM experiments WHERE {which}) AND m.role IN ('student', 'baseline', 'generalist')"
    for row in _rows(database, f"{_USED} WHERE {members} AND r.id NOT IN (SELECT run FROM bin) ORDER BY m.position", values):
        role = row.name if row.name in (ALONE, SPECIALISED) else row.role
        before = runs.setdefault(row.experiment, {}).get(role)
        chosen = {name: value for name, value in before.figures.items() if name.startswith("val_")} if before else {}
        runs[row.experiment][role] = replace(row, figures=chosen | row.figures)
    found = database.execute(
        f"SELECT id, status, coalesce(point, '{{}}'), name FROM experiments WHERE {which} AND deleted IS NULL ORDER BY id", values
    ).fetchall()
    return [
        SweepPoint(experiment=row[0], name=row[3], status=row[1], point=json.loads(row[2]), runs=runs.get(row[0], {}))
        for row in found
    ]


def points_of(database: Database, experiments: Sequence[int]) -> dict[int, tuple[str, dict[str, Any]]]:
    """Of the experiments that belong to a sweep, its name and what is varied there."""
    rows = database.execute(
        "SELECT e.id, s.name, e.point FROM experiments e JOIN sweeps s ON s.id = e.sweep"
        f" WHERE e.id IN ({_marks(experiments)}) ORDER BY e.id",
        list(experiments),
    ).fetchall()
    return {row[0]: (row[1], json.loads(row[2])) for row in rows}


def finished_experiments(database: Database) -> dict[str, int]:
    """The newest finished experiment of each configuration, a key as :func:`workbench.config.sameness` gives it; those of
    which a run is deleted, or goes on from another, are left out."""
    rows = database.execute(
        "SELECT id, config FROM experiments WHERE status = 'done' AND deleted IS NULL"
        " AND id NOT IN (SELECT experiment FROM runs WHERE continued_from IS NOT NULL)"
        " AND id NOT IN (SELECT experiment FROM members WHERE run IN (SELECT run FROM bin)) ORDER BY id"
    ).fetchall()
    return {sameness(json.loads(row["config"])): row["id"] for row in rows}


def queued_experiments(database: Database) -> set[str]:
    """The configurations that wait in the queue or are under way, as keys like those of :func:`finished_experiments`."""
    rows = database.execute(
        "SELECT e.config FROM queue q JOIN experiments e ON e.id = q.experiment WHERE e.deleted IS NULL"
    ).fetchall()
    return {sameness(json.loads(row["config"])) for row in rows}


def rows_of(database: Database, experiments: Sequence[int]) -> dict[int, list[RunRow]]:
    """The runs that experiments use, in the order of their plans."""
    found: dict[int, list[RunRow]] = {experiment: [] for experiment in experiments}
    some = f"WHERE m.experiment IN ({_marks(list(found))}) ORDER BY m.experiment, m.position"
    for row in _rows(database, f"{_USED} {some}", list(found)):
        found[row.experiment].append(row)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """An experiment of a sweep as a search looks back at it.

    ``score`` is the validation accuracy of its student, None where that is not there or in the bin. ``left`` says that a
    process left it behind in the queue.
    """

    experiment: int
    status: str
    deleted: bool
    point: dict[str, Any]
    score: float | None
    left: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepState:
    """The recipe of a sweep, and every experiment that was ever entered into it, in their order, deleted ones too."""

    sweep: int
    tables: dict[str, Any]
    trials: tuple[Trial, ...]


def sweep_state(database: Database, sweep: int) -> SweepState:
    """How far a sweep is."""
    (config,) = database.execute("SELECT config FROM sweeps WHERE id = ?", [sweep]).fetchone()
    scored = database.execute(  # a student refitted on all cases has no such figure: the one that chose its epochs has
        "SELECT m.experiment, f.value FROM experiments e JOIN members m ON m.experiment = e.id AND m.role = 'student'"
        " JOIN results f ON f.run = m.run AND f.name = 'val_accuracy'"
        " WHERE e.sweep = ? AND m.run NOT IN (SELECT run FROM bin) ORDER BY m.position",
        [sweep],
    ).fetchall()
    scores = {row[0]: float(row[1]) for row in scored}
    rows = database.execute(
        "SELECT e.id AS experiment, e.status, e.deleted IS NOT NULL AS deleted, e.point, coalesce(q.held = 2, 0) AS left"
        " FROM experiments e LEFT JOIN queue q ON q.experiment = e.id AND q.claimed_by IS NULL WHERE e.sweep = ? ORDER BY e.id",
        [sweep],
    ).fetchall()
    trials = tuple(
        Trial(
            experiment=row["experiment"],
            status=row["status"],
            deleted=bool(row["deleted"]),
            point=json.loads(row["point"]),
            score=scores.get(row["experiment"]),
            left=bool(row["left"]) and not row["deleted"],
        )
        for row in rows
    )
    return SweepState(sweep=sweep, tables=json.loads(config), trials=trials)


def sweep_of(database: Database, experiment: int) -> int | None:
    """The sweep that an experiment belongs to, or None."""
    row = database.execute("SELECT sweep FROM experiments WHERE id = ?", [experiment]).fetchone()
    return row[0] if row else None


def was_left(database: Database, experiment: int) -> bool:
    """Whether an experiment was stopped or interrupted, be it after all of its runs were done."""
    (status,) = database.execute("SELECT status FROM experiments WHERE id = ?", [experiment]).fetchone()
    return status in ("stopped", "interrupted")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRow:
    """An experiment of the queue that has not begun, or not gone on yet. ``left`` says that a process left it behind."""

    experiment: int
    name: str
    status: str
    held: bool
    left: bool
    config: dict[str, Any]


def list_queue(database: Database) -> list[QueuedRow]:
    """What waits, in its order; what is under way is no longer in it."""
    rows = database.execute(
        "SELECT q.experiment, e.name, e.status, q.held > 0 AS held, q.held = 2 AS left, e.config"
        " FROM queue q JOIN experiments e ON e.id = q.experiment"
        " WHERE q.claimed_by IS NULL AND e.deleted IS NULL ORDER BY q.rank"
    ).fetchall()
    return [
        QueuedRow(**{**dict(row), "held": bool(row["held"]), "left": bool(row["left"]), "config": json.loads(row["config"])})
        for row in rows
    ]


def _rows(database: Database, sql: str, values: list[Any]) -> list[RunRow]:
    rows = [{**dict(row), "reused": bool(row["reused"])} for row in database.execute(sql, values).fetchall()]
    figures: dict[int, dict[str, float]] = {}
    numbers = {row["id"] for row in rows}
    some = "json_each(?) j CROSS JOIN results ON run = j.value" if len(numbers) < MANY_RUNS else ""
    sql = f"SELECT run, name, results.value FROM {some or 'results'}"
    for run, name, value in database.execute(sql, [json.dumps([*numbers])] if some else []).fetchall():
        figures.setdefault(run, {})[name] = value
    return [RunRow(**row, figures=figures.get(row["id"], {})) for row in rows]


def run_details(database: Database, run: int) -> RunDetails:
    """Everything about one run; a :class:`HistoryError` where there is none of that number."""
    rows = list_runs(database, [run])
    if not rows:
        raise HistoryError(f"there is no run {run} in this history; see `workbench runs`")
    own = database.execute(
        "SELECT r.config, r.environment, e.config AS experiment_config FROM runs r JOIN experiments e ON e.id = r.experiment"
        " WHERE r.id = ?",
        [run],
    ).fetchone()

    def column(sql: str) -> tuple[Any, ...]:
        return tuple(row[0] for row in database.execute(sql, [run]).fetchall())

    return RunDetails(
        row=rows[0],
        config=json.loads(own["config"]),
        experiment_config=json.loads(own["experiment_config"]),
        settings=run_settings(database, [run])[run],
        environment=json.loads(own["environment"]),
        parents=parents(database, run),
        children=column("SELECT child FROM lineage WHERE parent = ? ORDER BY child"),
        notes=column("SELECT text FROM run_notes WHERE run = ? ORDER BY id"),
        correction=correction(database, run),
        artefacts=tuple(
            tuple(row) for row in database.execute("SELECT kind, path, size FROM artefacts WHERE run = ?", [run]).fetchall()
        ),
    )


def past_run(database: Database, history: Path, run: int) -> PastRun:
    """A run as a teacher, from the history at that path; a :class:`HistoryError` where there is none of that number."""
    row = database.execute("SELECT status, config, data_digest FROM runs WHERE id = ?", [run]).fetchone()
    if row is None:
        raise HistoryError(f"there is no run {run} in {history}; see `workbench runs`")
    return PastRun(
        run=run,
        status=row[0],
        config=RunConfig.from_dict(json.loads(row[1])),
        data_digest=row[2] or "",
        weights=stored_file(database, history, run, "weights"),
    )


def stored_file(database: Database, history: Path, run: int, kind: str) -> StoredFile | None:
    """A recorded file of a run, or None."""
    row = database.execute("SELECT path, size, sha256 FROM artefacts WHERE run = ? AND kind = ?", [run, kind]).fetchone()
    return StoredFile(run=run, path=files_folder(history) / row[0], size=row[1], sha256=row[2]) if row else None


def correction(database: Database, run: int) -> Correction | None:
    """The bias correction that a person kept for a run, or None."""
    row = database.execute("SELECT classes, shift, way FROM corrections WHERE run = ?", [run]).fetchone()
    return Correction(classes=tuple(json.loads(row[0])), shift=row[1], way=row[2]) if row else None


def parents(database: Database, run: int) -> tuple[int, ...]:
    """The teachers of a run, in the order of the ensemble."""
    rows = database.execute("SELECT parent FROM lineage WHERE child = ? ORDER BY position", [run]).fetchall()
    return tuple(row[0] for row in rows)


def run_settings(database: Database, runs: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Every setting of each run by dotted path; an option that its model has got since has its default."""
    found: dict[int, dict[str, Any]] = {run: {} for run in runs}
    sql = f"SELECT run, key, value FROM params WHERE run IN ({_marks(runs)})"
    for run, key, value in database.execute(sql, list(runs)).fetchall():
        found[run][key] = value
    for one in found.values():
        if (model := one.get("model")) in zoo.MODELS:
            for option in zoo.MODELS[model].options:
                one.setdefault(f"model.{option.name}", written(option.default))
    return found


def differing_settings(settings: dict[int, dict[str, Any]]) -> dict[str, dict[int, Any]]:
    """Of several runs' settings only those that are not the same in all, by dotted path."""
    keys = sorted({key for one in settings.values() for key in one})
    table = {key: {run: one.get(key) for run, one in settings.items()} for key in keys}
    return {key: values for key, values in table.items() if len(set(map(repr, values.values()))) > 1}


def metric_names(database: Database, runs: Sequence[int]) -> list[str]:
    """The metrics that any of the runs has."""
    sql = f"SELECT DISTINCT metric FROM summary WHERE run IN ({_marks(runs)}) ORDER BY metric"
    return [row[0] for row in database.execute(sql, list(runs)).fetchall()]


def predictions(database: Database, run: int, split: str = "test") -> np.ndarray | None:
    """Logits of a finished run on a split, float16 of shape (cases, classes), or None where they were not kept."""
    row = database.execute("SELECT cases, classes, logits FROM predictions WHERE run = ? AND split = ?", [run, split]).fetchone()
    if row is None:
        return None
    return np.frombuffer(zlib.decompress(row[2]), dtype=np.float16).reshape(row[0], row[1])


def data_version(database: Database) -> int:
    """A number that changes when another connection has changed the file."""
    return int(database.execute("PRAGMA data_version").fetchone()[0])


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
