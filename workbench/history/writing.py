"""Writing the history: one :class:`History` a process, used by one thread."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import secrets
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from workbench.config import ExperimentConfig, RunConfig, TeacherConfig, flat
from workbench.errors import CannotWrite, HistoryError
from workbench.events import Metrics
from workbench.history.changes import LEFT, mark_interrupted
from workbench.history.curves import copies, keep_copies
from workbench.history.database import files_folder, now, open_database, writing
from workbench.history.going_on import gone_on_with, left_with
from workbench.history.liveness import ProcessLock, host
from workbench.history.patience import Patience, patiently
from workbench.history.reading import (
    PastRun,
    StoredFile,
    SweepState,
    experiment_rows,
    parents,
    past_run,
    stored_file,
    sweep_of,
    sweep_state,
)
from workbench.history.storing import store
from workbench.paths import free_space

P = ParamSpec("P")
R = TypeVar("R")


def _patient(method: Callable[Concatenate[History, P], R]) -> Callable[Concatenate[History, P], R]:
    """A method that is one transaction, tried again for as long as the history's ``patience`` lasts."""

    @functools.wraps(method)
    def call(self: History, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return patiently(self.patience, lambda: method(self, *args, **kwargs))

    return call


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A run of an ``experiment``: what there is to do. ``parents`` are the teachers of a student.

    ``threads`` and ``data_digest`` are those it was begun with, 0 and empty where it was not, ``together`` the runs that were
    begun as one model with it; ``continues`` names what a continued run goes on from, for its fingerprint.
    """

    experiment: int
    run: int
    role: str
    name: str
    config: RunConfig
    parents: tuple[int, ...]
    reused: bool
    status: str
    threads: int
    data_digest: str
    together: tuple[int, ...]
    continues: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A run to be entered: new with its ``parents`` by position, or one that is ``reused`` (its number).

    ``above`` are runs of the history that are its parents before those.
    """

    role: str
    name: str
    config: RunConfig
    parents: tuple[int, ...] = ()
    above: tuple[int, ...] = ()
    reused: int = 0
    parameters: int | None = None
    multiply_adds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class More:
    """Experiments to be entered into a sweep that has ``after`` of them: where it has others by then, none is."""

    sweep: int
    after: int
    experiments: Sequence[tuple[Mapping[str, Any], ExperimentConfig]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A run that begins or goes on, with the ``environment`` it does so in."""

    run: int
    fingerprint: str
    data_digest: str
    steps: int
    environment: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file of a run that stands for ``kinds``, at a step."""

    run: int
    kinds: Sequence[str]
    step: int
    path: Path
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Weights from elsewhere that stand in a :meth:`History.new_folder`, where they are from, and how good they are.

    ``logits`` are float16 ones of shape (``cases``, ``classes``) on the test split.
    """

    weights: Path
    size: int
    sha256: str
    data_digest: str
    environment: Mapping[str, Any]
    note: str
    figures: Mapping[str, float]
    cases: int
    classes: int
    logits: bytes


class History:
    """A writing connection that stands for this process.

    Every method is one transaction of its own, committed when it returns. Where the disk does not take it, ``patience``
    says whether to wait and try again; a fresh history has none. Runs that a dead process left waiting or running are
    marked interrupted when the history is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.patience = Patience()
        self._database = open_database(path)
        try:
            self._lock = ProcessLock(files_folder(path) / "locks" / f"{secrets.token_hex(8)}.lock")
        except OSError as error:
            self._database.close()
            raise CannotWrite(f"nothing can be kept beside {path} ({error.strerror}; {free_space(path)})") from None
        with writing(self._database):
            row = {"lock": self._lock.path.name, "host": host(), "started": now()}
            self._process = self._insert("processes", row)
        self.mark_interrupted()

    def wait_at_most(self, seconds: float) -> None:
        """How long a write waits for another process to let go of the file before ``patience`` is asked (30 s at first)."""
        self._database.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")

    def close(self) -> None:
        """Release the process's lock and the file."""
        self._database.close()
        self._lock.release()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def mark_interrupted(self) -> int:
        """See :func:`workbench.history.changes.mark_interrupted`."""
        return mark_interrupted(self._database, self.path)

    # Experiments and their queue

    @_patient
    def enqueue(self, config: ExperimentConfig) -> int:
        """A new experiment at the end of the queue; its number."""
        with writing(self._database):
            experiment = self._add_experiment(config.name, json.dumps(config.to_dict()), "waiting")
            self._queue(experiment)
        return experiment

    @_patient
    def enqueue_sweep(
        self, tables: Mapping[str, Any], experiments: Sequence[tuple[Mapping[str, Any], ExperimentConfig]]
    ) -> tuple[int, list[int]]:
        """A sweep with all of its experiments at the end of the queue; its number and theirs."""
        with writing(self._database):
            name = str(tables.get("name", "sweep"))
            row = {"uid": secrets.token_hex(8), "name": name, "config": json.dumps(tables), "created": now()}
            sweep = self._insert("sweeps", row)
            numbers = self._extend(More(sweep=sweep, after=0, experiments=experiments))
        return sweep, numbers

    @_patient
    def extend_sweep(self, more: More) -> list[int]:
        """More experiments of a sweep at the end of the queue; their numbers, none where another process was first."""
        with writing(self._database):
            return self._extend(more)

    def _extend(self, more: More) -> list[int]:
        numbers = list[int]()
        (there,) = self._database.execute("SELECT count(*) FROM experiments WHERE sweep = ?", [more.sweep]).fetchone()
        for point, config in more.experiments if there == more.after else ():
            number = self._add_experiment(config.name, json.dumps(config.to_dict()), "waiting")
            self._database.execute(
                "UPDATE experiments SET sweep = ?, point = ? WHERE id = ?", [more.sweep, json.dumps(point), number]
            )
            self._queue(number)
            numbers.append(number)
        return numbers

    def sweep_of(self, experiment: int) -> SweepState | None:
        """How far the sweep is that an experiment belongs to, or None."""
        sweep = sweep_of(self._database, experiment)
        return None if sweep is None else self.sweep_state(sweep)

    def sweep_state(self, sweep: int) -> SweepState:
        """How far a sweep is."""
        return sweep_state(self._database, sweep)

    def _add_experiment(self, name: str, config: str, status: str) -> int:
        row = {"uid": secrets.token_hex(8), "name": name, "config": config, "status": status, "created": now()}
        return self._insert("experiments", row)

    @_patient
    def resume(self, *experiments: int) -> None:
        """Put experiments that are over back into the queue, all or none, to do what was not done; finished runs stay as they
        are."""
        with writing(self._database):
            for experiment in experiments:
                self._resume(experiment)

    def _resume(self, experiment: int) -> None:
        if self._database.execute("SELECT 1 FROM queue WHERE experiment = ? AND claimed_by IS NOT NULL", [experiment]).fetchone():
            raise HistoryError(f"experiment {experiment} is under way; wait for its end, or stop it, before it is resumed")
        self._database.execute(
            "UPDATE experiments SET status = 'waiting', message = '', finished = NULL, deleted = NULL WHERE id = ?"
            " AND status NOT IN ('waiting', 'running')",
            [experiment],
        )
        self._database.execute(
            "UPDATE runs SET status = 'waiting', message = '', process = ? WHERE experiment = ?"
            " AND status IN ('stopped', 'interrupted', 'failed', 'skipped')",
            [self._process, experiment],
        )
        self._database.execute(
            "DELETE FROM bin WHERE run IN (SELECT id FROM runs WHERE experiment = ? AND status <> 'done')", [experiment]
        )
        self._queue(experiment)

    def _queue(self, experiment: int) -> None:
        last = self._database.execute("SELECT coalesce(max(rank), 0) FROM queue").fetchone()[0]
        self._database.execute(
            "INSERT INTO queue (experiment, rank, process) VALUES (?, ?, ?)"
            " ON CONFLICT (experiment) DO UPDATE SET held = 0, process = excluded.process WHERE claimed_by IS NULL",
            [experiment, last + 1, self._process],
        )

    def next_in_queue(self) -> int | None:
        """The experiment whose turn it is: the first that this process queued, or that a person let go on, and is not held."""
        row = self._database.execute(
            "SELECT q.experiment FROM queue q JOIN experiments e ON e.id = q.experiment WHERE q.claimed_by IS NULL"
            " AND NOT q.held AND e.deleted IS NULL AND (q.process = ? OR q.process IS NULL) ORDER BY q.rank LIMIT 1",
            [self._process],
        ).fetchone()
        return row[0] if row else None

    @_patient
    def claim(self, experiment: int) -> bool:
        """Take one waiting experiment for this process; False where another process has it."""
        with writing(self._database):
            claimed = self._database.execute(
                "UPDATE queue SET claimed_by = ? WHERE experiment = ? AND claimed_by IS NULL", [self._process, experiment]
            ).rowcount
            if claimed:
                self._database.execute(
                    "UPDATE experiments SET status = 'running', message = '', finished = NULL WHERE id = ?", [experiment]
                )
        return bool(claimed)

    @_patient
    def release(self, experiment: int) -> None:
        """Give back an experiment that was claimed and not begun: it waits in the queue as before."""
        with writing(self._database):
            self._database.execute("UPDATE queue SET claimed_by = NULL WHERE experiment = ?", [experiment])
            self._database.execute("UPDATE experiments SET status = 'waiting' WHERE id = ?", [experiment])

    def waiting_beside(self, experiment: int) -> list[tuple[int, ExperimentConfig]]:
        """The other experiments of its sweep whose turn this process may take, in the queue's order."""
        rows = self._database.execute(
            "SELECT e.id, e.config FROM queue q JOIN experiments e ON e.id = q.experiment"
            " WHERE e.sweep = (SELECT sweep FROM experiments WHERE id = ?) AND e.id <> ? AND q.claimed_by IS NULL"
            " AND NOT q.held AND e.deleted IS NULL AND (q.process = ? OR q.process IS NULL) ORDER BY q.rank",
            [experiment, experiment, self._process],
        ).fetchall()
        return [(row[0], ExperimentConfig.from_dict(json.loads(row[1]))) for row in rows]

    def left_with(self, experiments: Sequence[int]) -> list[int]:
        """See :func:`workbench.history.going_on.left_with`."""
        return left_with(self._database, experiments)

    def gone_on_with(self, others: Sequence[int]) -> str:
        """See :func:`workbench.history.going_on.gone_on_with`."""
        return gone_on_with(self._database, others)

    @_patient
    def finish_experiment(self, experiment: int, status: str, message: str, more: More | None = None) -> None:
        """Record how an experiment ended and take it out of the queue; an interrupted one stays there, held, for next time.

        ``more`` is what a search does next: entered with the end, so that a kill cannot come between.
        """
        with writing(self._database):
            if more is not None:
                self._extend(more)
            self._database.execute(
                "UPDATE experiments SET status = ?, message = ?, finished = ? WHERE id = ?", [status, message, now(), experiment]
            )
            if status == "interrupted":
                self._database.execute(
                    f"UPDATE queue SET held = {LEFT}, claimed_by = NULL, process = NULL WHERE experiment = ?", [experiment]
                )
            else:
                self._database.execute("DELETE FROM queue WHERE experiment = ?", [experiment])

    @_patient
    def leave_queue(self) -> None:
        """Hold what this process has queued and not begun: the next one asks before it goes on."""
        with writing(self._database):
            self._database.execute(
                f"UPDATE queue SET held = iif(held, held, {LEFT}), process = NULL WHERE process = ? AND claimed_by IS NULL",
                [self._process],
            )

    def members(self, experiment: int) -> list[Member]:
        """The runs of an experiment in the order in which they are done."""
        rows = self._database.execute(
            "SELECT m.run, m.role, m.reused, r.status, r.config, r.data_digest,"
            " json_extract(r.environment, '$.threads') AS threads, json_extract(r.environment, '$.together') AS together,"
            " c.fingerprint AS continued,"
            " r.continued_step FROM members m JOIN runs r ON r.id = m.run"
            " LEFT JOIN runs c ON c.id = r.continued_from WHERE m.experiment = ? ORDER BY m.position",
            [experiment],
        ).fetchall()
        names = {row.id: row.name for row in experiment_rows(self._database, experiment)}
        return [
            Member(
                experiment=experiment,
                run=row["run"],
                role=row["role"],
                name=names[row["run"]],
                config=RunConfig.from_dict(json.loads(row["config"])),
                parents=parents(self._database, row["run"]),
                reused=bool(row["reused"]),
                status=row["status"],
                threads=row["threads"] or 0,
                data_digest=row["data_digest"] or "",
                together=tuple(json.loads(row["together"])) if isinstance(row["together"], str) else (),
                continues=f"{row['continued']} at step {row['continued_step']}" if row["continued"] else "",
            )
            for row in rows
        ]

    # Runs

    @_patient
    def enter(self, experiment: int, entries: Sequence[Entry]) -> tuple[int, ...]:
        """Put runs of an experiment into the history, waiting, after those it has, all or none; their numbers."""
        runs: list[int] = []
        with writing(self._database):
            (start,) = self._database.execute("SELECT count(*) FROM members WHERE experiment = ?", [experiment]).fetchone()
            for position, entry in enumerate(entries, start):
                parents = [*entry.above, *(runs[parent] for parent in entry.parents)]
                run = entry.reused or self._add_run(experiment, entry, parents, secrets.token_hex(8))
                self._add_member(experiment, position, run, entry.role, reused=bool(entry.reused))
                runs.append(run)
        return tuple(runs)

    def new_folder(self) -> Path:
        """The folder of a run to come, whose name will be its uid: what it begins with is put there before it is entered."""
        return files_folder(self.path) / "runs" / secrets.token_hex(8)

    def has_folder(self, folder: Path) -> bool:
        """Whether a :meth:`new_folder` is that of a run which has been entered."""
        return bool(self._database.execute("SELECT 1 FROM runs WHERE uid = ?", [folder.name]).fetchall())

    @_patient
    def continue_run(self, run: int, config: RunConfig, step: int, state: Path, size: int, sha256: str) -> int:
        """Queue a new experiment whose one run continues ``run`` at ``step`` with another config; its number.

        ``state``, in a :meth:`new_folder`, is a copy of the checkpoint that the new run begins with.
        """
        with writing(self._database):
            row = self._database.execute(
                "SELECT r.role, r.name, r.parameters, r.multiply_adds, r.data_digest, e.name AS experiment, e.config FROM runs r"
                " JOIN experiments e ON e.id = r.experiment WHERE r.id = ?",
                [run],
            ).fetchone()
            whole = json.loads(row["config"])
            part = {"student": "training", "baseline": "training", "specialist": "specialist_training"}.get(
                row["role"], "teacher_training"
            )
            whole[part] = whole.get(part, {}) | {"epochs": config.training.epochs}
            whole.pop("refit", None)
            if row["role"] == "baseline":  # alone in its experiment, as a generalist is that specialists are to follow
                whole.pop("specialists", None)
            name = f"{row['experiment'].removesuffix(', continued')}, continued"
            experiment = self._add_experiment(name, json.dumps(whole | {"name": name}), "waiting")
            teachers = parents(self._database, run)
            for position, teacher in enumerate(teachers):
                self._add_member(experiment, position, teacher, "teacher", reused=True)
            entry = Entry(
                role=row["role"],
                name=row["name"],
                config=config,
                parameters=row["parameters"],
                multiply_adds=row["multiply_adds"],
            )
            new = self._add_run(experiment, entry, teachers, state.parent.name)
            self._database.execute(
                "UPDATE runs SET continued_from = ?, continued_step = ?, data_digest = ? WHERE id = ?",
                [run, step, row["data_digest"], new],
            )
            self._add_member(experiment, len(teachers), new, row["role"], reused=False)
            self._keep_file(new, "state", step, state, size, sha256)
            self._queue(experiment)
        return experiment

    @_patient
    def import_run(self, config: ExperimentConfig, entry: Entry, imported: Imported) -> int:
        """Enter a finished run that was trained elsewhere, in an experiment of its own, all or nothing; its number."""
        with writing(self._database):
            experiment = self._add_experiment(config.name, json.dumps(config.to_dict()), "done")
            run = self._add_run(experiment, entry, (), imported.weights.parent.name)
            self._add_member(experiment, 0, run, entry.role, reused=False)
            if entry.config.elsewhere:  # nobody can train it: whoever opens its set-up has it as a teacher
                again = dataclasses.replace(config, teachers=(TeacherConfig(run=run),))
                self._database.execute(
                    "UPDATE experiments SET config = ? WHERE id = ?", [json.dumps(again.to_dict()), experiment]
                )
            self._keep_file(run, "weights", 0, imported.weights, imported.size, imported.sha256)
            self._database.execute(
                "UPDATE runs SET status = 'done', message = ?, fingerprint = ?, data_digest = ?, environment = ?,"
                " weights_sha256 = ?, finished = ? WHERE id = ?",
                [
                    imported.note,
                    f"imported {imported.sha256}",
                    imported.data_digest,
                    json.dumps(imported.environment),
                    imported.sha256,
                    now(),
                    run,
                ],
            )
            self._keep_figures(run, imported.figures)
            self._keep_predictions(run, "test", imported.cases, imported.classes, imported.logits)
            self._insert("run_notes", {"run": run, "author": "workbench", "text": imported.note, "created": now()})
        return run

    def _add_member(self, experiment: int, position: int, run: int, role: str, *, reused: bool) -> None:
        row = {"experiment": experiment, "position": position, "run": run, "role": role, "reused": int(reused)}
        self._insert("members", row)

    def _add_run(self, experiment: int, entry: Entry, parents: Sequence[int], uid: str) -> int:
        config, distillation = entry.config, entry.config.distillation
        run = self._insert(
            "runs",
            {
                "uid": uid,
                "experiment": experiment,
                "role": entry.role,
                "name": entry.name,
                "status": "waiting",
                "config": json.dumps(config.to_dict()),
                "dataset": config.data.dataset,
                "model": config.model.describe(),
                "seed": config.seed,
                "temperature": distillation.temperature if distillation else None,
                "hard_weight": distillation.hard_weight if distillation else None,
                "parameters": entry.parameters,
                "multiply_adds": entry.multiply_adds,
                "process": self._process,
                "created": now(),
            },
        )
        for key, value in flat(config).items():
            self._database.execute("INSERT INTO params VALUES (?, ?, ?)", [run, key, value])
        for index, parent in enumerate(parents):
            self._database.execute("INSERT INTO lineage VALUES (?, ?, ?)", [run, index, parent])
        return run

    @_patient
    def start_runs(self, starts: Sequence[Started]) -> None:
        """Mark runs as running in this process, all or none."""
        with writing(self._database):
            for one in starts:
                environment = json.dumps(one.environment)
                self._database.execute(
                    "UPDATE runs SET status = 'running', message = '', fingerprint = ?, data_digest = ?, steps = ?,"
                    " environment = ?, process = ?, attempt = attempt + 1, started = coalesce(started, ?) WHERE id = ?",
                    [one.fingerprint, one.data_digest, one.steps, environment, self._process, now(), one.run],
                )

    @_patient
    def write_metrics(self, batch: Iterable[Metrics]) -> None:
        """Store metrics with their points and summaries; those of a step already there are left as they are."""
        batch = list(batch)
        if not batch:
            return
        with writing(self._database):
            store(self._database, batch)

    @_patient
    def record_figures(self, run: int, figures: Mapping[str, float]) -> None:
        """Keep figures of a run, such as ``val_accuracy``; those that are not finite numbers are left out."""
        with writing(self._database):
            self._keep_figures(run, figures)

    def _keep_figures(self, run: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            if math.isfinite(value):
                self._database.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", [run, name, value])

    def epochs(self, run: int) -> float:
        """How many epochs a run has behind it."""
        return float(self._database.execute("SELECT epochs FROM runs WHERE id = ?", [run]).fetchone()[0])

    def figure(self, run: int, name: str) -> float | None:
        """A figure of a run, or None."""
        row = self._database.execute("SELECT value FROM results WHERE run = ? AND name = ?", [run, name]).fetchone()
        return None if row is None else float(row[0])

    @_patient
    def record_speed(self, run: int, samples_per_second: float) -> None:
        """Keep how many training cases a second a finished run learned from."""
        with writing(self._database):
            self._database.execute("UPDATE runs SET samples_per_second = ? WHERE id = ?", [samples_per_second, run])

    @_patient
    def finish_run(self, run: int, status: str, message: str) -> None:
        """Record how a run ended; of its long curves copies are kept that are read sooner."""
        long = list(copies(self._database, [run]))  # before others are kept from writing
        with writing(self._database):
            keep_copies(self._database, long)
            self._database.execute(
                "UPDATE runs SET status = ?, message = ?, finished = ? WHERE id = ?", [status, message, now(), run]
            )

    @_patient
    def abandon_waiting(self, run: int, status: str, message: str) -> None:
        """Record that a run still waiting will not be done."""
        with writing(self._database):
            self._database.execute(
                "UPDATE runs SET status = ?, message = ?, finished = ? WHERE id = ? AND status IN ('waiting', 'running')",
                [status, message, now(), run],
            )

    @_patient
    def record_artefacts(self, files: Sequence[Artefact]) -> tuple[Path, ...]:
        """Record files of runs, all or none; the files that nothing of these runs refers to any more.

        The hash of the weights is what children's fingerprints stand on.
        """
        folder, gone = files_folder(self.path), list[Path]()
        with writing(self._database):
            for file in files:
                before = self._paths(file.run)
                for kind in file.kinds:
                    self._keep_file(file.run, kind, file.step, file.path, file.size, file.sha256)
                if "weights" in file.kinds:
                    self._database.execute("UPDATE runs SET weights_sha256 = ? WHERE id = ?", [file.sha256, file.run])
                gone += [folder / path for path in before - self._paths(file.run)]
        return tuple(gone)

    def _keep_file(self, run: int, kind: str, step: int, path: Path, size: int, sha256: str) -> None:
        relative = path.relative_to(files_folder(self.path)).as_posix()
        self._database.execute(
            "INSERT INTO artefacts (run, kind, step, path, size, sha256, created) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (run, kind) DO UPDATE SET step = excluded.step, path = excluded.path, size = excluded.size,"
            " sha256 = excluded.sha256, created = excluded.created",
            [run, kind, step, relative, size, sha256, now()],
        )

    def _paths(self, run: int) -> set[str]:
        return {row[0] for row in self._database.execute("SELECT path FROM artefacts WHERE run = ?", [run]).fetchall()}

    @_patient
    def record_predictions(self, run: int, split: str, cases: int, classes: int, logits: bytes) -> None:
        """Keep float16 logits of shape (cases, classes) on a split."""
        with writing(self._database):
            self._keep_predictions(run, split, cases, classes, logits)

    def _keep_predictions(self, run: int, split: str, cases: int, classes: int, logits: bytes) -> None:
        row = [run, split, cases, classes, zlib.compress(logits, 6)]
        self._database.execute("INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?)", row)

    @_patient
    def add_note(self, run: int, text: str) -> None:
        """A sentence of the workbench about a run."""
        with writing(self._database):
            self._insert("run_notes", {"run": run, "author": "workbench", "text": text, "created": now()})

    # Teachers that are there already

    def find_reusable(self, fingerprint: str) -> int | None:
        """The newest finished run with this fingerprint whose weights are recorded, or None."""
        row = self._database.execute(
            "SELECT r.id FROM runs r JOIN artefacts a ON a.run = r.id AND a.kind = 'weights'"
            " WHERE r.fingerprint = ? AND r.status = 'done' AND r.id NOT IN (SELECT run FROM bin) ORDER BY r.id DESC",
            [fingerprint],
        ).fetchone()
        return row[0] if row else None

    def past_run(self, run: int) -> PastRun:
        """A run as a teacher; a :class:`HistoryError` where there is none of that number."""
        return past_run(self._database, self.path, run)

    def weights_of(self, run: int) -> StoredFile:
        """The weights of a run; a :class:`HistoryError` where it has none."""
        stored = self.past_run(run).weights
        if stored is None:
            raise HistoryError(f"run {run} has no weights in {self.path}; pick a run that finished")
        return stored

    def artefact(self, run: int, kind: str) -> StoredFile | None:
        """A recorded file of a run, or None."""
        return stored_file(self._database, self.path, run, kind)

    def run_folder(self, run: int) -> Path:
        """Where a run keeps its files."""
        uid = self._database.execute("SELECT uid FROM runs WHERE id = ?", [run]).fetchone()[0]
        return files_folder(self.path) / "runs" / str(uid)

    def experiment_config(self, experiment: int) -> ExperimentConfig:
        """The configuration an experiment was launched with."""
        row = self._database.execute("SELECT config FROM experiments WHERE id = ?", [experiment]).fetchone()
        return ExperimentConfig.from_dict(json.loads(row[0]))

    def _insert(self, table: str, row: Mapping[str, Any]) -> int:
        columns = ", ".join(row)
        marks = ", ".join("?" * len(row))
        cursor = self._database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))
        return int(cursor.lastrowid or 0)
