"""Writing the history: one :class:`History` a process, used by one thread."""

from __future__ import annotations

import functools
import json
import math
import secrets
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from workbench.config import ExperimentConfig, RunConfig, flat
from workbench.errors import CannotWrite, HistoryError
from workbench.events import Metrics
from workbench.history.database import files_folder, now, open_database, writing
from workbench.history.liveness import ProcessLock, host, is_alive
from workbench.history.reading import PastRun, StoredFile, past_run, stored_file

P = ParamSpec("P")
R = TypeVar("R")

Summary = tuple[float, float, float, int, int]
"""(last, lowest, highest, count, CRC-32) of a metric's points."""


class Patience:
    """What is done where a write does not go: nothing, and so the error is raised."""

    def wait(self, error: CannotWrite) -> bool:
        """Wait a while; whether to try again."""
        return False

    def over(self) -> None:
        """A write that had to wait has gone."""


def patiently(patience: Patience, write: Callable[[], R]) -> R:
    """The value of ``write``, tried again for as long as there is patience."""
    waited = False
    while True:
        try:
            value = write()
        except CannotWrite as error:
            if not patience.wait(error):
                raise
            waited = True
        else:
            if waited:
                patience.over()
            return value


def _patient(method: Callable[Concatenate[History, P], R]) -> Callable[Concatenate[History, P], R]:
    """A method that is one transaction, tried again for as long as the history's ``patience`` lasts."""

    @functools.wraps(method)
    def call(self: History, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return patiently(self.patience, lambda: method(self, *args, **kwargs))

    return call


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
        self._lock = ProcessLock(files_folder(path) / "locks" / f"{secrets.token_hex(8)}.lock")
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
        """Mark what dead processes left unfinished as interrupted; the number of runs."""
        locks = files_folder(self.path) / "locks"
        others = self._database.query("SELECT id, lock, host FROM processes WHERE id <> ?", [self._process])
        gone = [row for row in others if row["host"] == host() and not is_alive(locks / row["lock"])]
        dead = [row["id"] for row in gone]
        marked = 0
        with writing(self._database):
            for process in dead:
                message = "the program ended before the run did"
                marked += self._database.execute(
                    "UPDATE runs SET status = 'interrupted', message = ?, finished = ? WHERE process = ?"
                    " AND status IN ('waiting', 'running')",
                    [message, now(), process],
                ).rowcount
                self._database.execute(
                    "UPDATE experiments SET status = 'interrupted', message = ?, finished = ? WHERE status = 'running' AND id IN"
                    " (SELECT experiment FROM queue WHERE claimed_by = ?)",
                    [message, now(), process],
                )
                self._database.execute("DELETE FROM queue WHERE claimed_by = ?", [process])
        for row in gone:
            (locks / row["lock"]).unlink(missing_ok=True)
        return marked

    # Experiments and their queue

    @_patient
    def enqueue(self, config: ExperimentConfig) -> int:
        """A new experiment at the end of the queue; its number."""
        with writing(self._database):
            experiment = self._insert(
                "experiments",
                {
                    "uid": secrets.token_hex(8),
                    "name": config.name,
                    "config": json.dumps(config.to_dict()),
                    "status": "waiting",
                    "created": now(),
                },
            )
            self._insert("queue", {"experiment": experiment, "rank": float(experiment)})
        return experiment

    @_patient
    def claim(self, experiment: int) -> bool:
        """Take one waiting experiment for this process; False where another process has it."""
        with writing(self._database):
            claimed = self._database.execute(
                "UPDATE queue SET claimed_by = ? WHERE experiment = ? AND claimed_by IS NULL", [self._process, experiment]
            ).rowcount
            if claimed:
                self._database.execute("UPDATE experiments SET status = 'running' WHERE id = ?", [experiment])
        return bool(claimed)

    @_patient
    def finish_experiment(self, experiment: int, status: str, message: str) -> None:
        """Record how an experiment ended and take it out of the queue."""
        with writing(self._database):
            self._database.execute(
                "UPDATE experiments SET status = ?, message = ?, finished = ? WHERE id = ?", [status, message, now(), experiment]
            )
            self._database.execute("DELETE FROM queue WHERE experiment = ?", [experiment])

    # Runs

    @_patient
    def add_run(self, experiment: int, position: int, role: str, name: str, config: RunConfig, parents: Sequence[int]) -> int:
        """A waiting run at ``position`` of its experiment, with its teachers as ``parents``; its number."""
        distillation = config.distillation
        with writing(self._database):
            run = self._insert(
                "runs",
                {
                    "uid": secrets.token_hex(8),
                    "experiment": experiment,
                    "role": role,
                    "name": name,
                    "status": "waiting",
                    "config": json.dumps(config.to_dict()),
                    "dataset": config.data.dataset,
                    "model": config.model.describe(),
                    "seed": config.seed,
                    "temperature": distillation.temperature if distillation else None,
                    "hard_weight": distillation.hard_weight if distillation else None,
                    "process": self._process,
                    "created": now(),
                },
            )
            for key, value in flat(config).items():
                self._database.execute("INSERT INTO params VALUES (?, ?, ?)", [run, key, value])
            for index, parent in enumerate(parents):
                self._database.execute("INSERT INTO lineage VALUES (?, ?, ?)", [run, index, parent])
            self._add_member(experiment, position, run, role, reused=False)
        return run

    @_patient
    def add_reused(self, experiment: int, position: int, role: str, run: int) -> None:
        """Let an experiment use a run that was trained before."""
        with writing(self._database):
            self._add_member(experiment, position, run, role, reused=True)

    @_patient
    def start_run(self, run: int, *, fingerprint: str, data_digest: str, steps: int, environment: Mapping[str, Any]) -> None:
        """Mark a run as running in this process; ``environment`` is recorded beside it."""
        with writing(self._database):
            self._database.execute(
                "UPDATE runs SET status = 'running', message = '', fingerprint = ?, data_digest = ?, steps = ?, environment = ?,"
                " process = ?, attempt = attempt + 1, started = coalesce(started, ?) WHERE id = ?",
                [fingerprint, data_digest, steps, json.dumps(environment), self._process, now(), run],
            )

    @_patient
    def set_model_size(self, run: int, parameters: int, multiply_adds: int) -> None:
        """Record trainable parameters and the multiply-adds of one image."""
        with writing(self._database):
            self._database.execute(
                "UPDATE runs SET parameters = ?, multiply_adds = ? WHERE id = ?", [parameters, multiply_adds, run]
            )

    @_patient
    def write_metrics(self, batch: Iterable[Metrics]) -> None:
        """Store metrics with their points and summaries; those of a step already there are left as they are."""
        batch = list(batch)
        if not batch:
            return
        with writing(self._database):
            attempts = {run: self._attempt(run) for run in {metrics.run for metrics in batch}}
            summaries: dict[tuple[int, str], Summary] = {}
            for metrics in batch:
                self._database.execute(
                    "INSERT OR IGNORE INTO points VALUES (?, ?, ?, ?, ?)",
                    [metrics.run, metrics.step, metrics.epoch, metrics.elapsed, attempts[metrics.run]],
                )
                for name, value in metrics.values:
                    if not math.isfinite(value):
                        row = [metrics.run, name, metrics.step, str(value)]
                        self._database.execute("INSERT OR IGNORE INTO nonfinite VALUES (?, ?, ?, ?)", row)
                        continue
                    row = [metrics.run, name, metrics.step, value]
                    if self._database.execute("INSERT OR IGNORE INTO metrics VALUES (?, ?, ?, ?)", row).rowcount:
                        key = (metrics.run, name)
                        summaries[key] = _extended(summaries.get(key) or self._summary(*key), metrics.step, value)
            for (run, name), summary in summaries.items():
                self._database.execute("INSERT OR REPLACE INTO summary VALUES (?, ?, ?, ?, ?, ?, ?)", [run, name, *summary])
            for metrics in batch:
                self._database.execute(
                    "UPDATE runs SET step = max(step, ?), epochs = max(epochs, ?), train_seconds = max(train_seconds, ?)"
                    " WHERE id = ?",
                    [metrics.step, metrics.epoch, metrics.elapsed, metrics.run],
                )

    @_patient
    def record_figures(self, run: int, figures: Mapping[str, float]) -> None:
        """Keep figures of a run, such as ``val_accuracy``; those that are not finite numbers are left out."""
        with writing(self._database):
            for name, value in figures.items():
                if math.isfinite(value):
                    self._database.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", [run, name, value])

    @_patient
    def record_speed(self, run: int, samples_per_second: float) -> None:
        """Keep how many training cases a second a finished run learned from."""
        with writing(self._database):
            self._database.execute("UPDATE runs SET samples_per_second = ? WHERE id = ?", [samples_per_second, run])

    @_patient
    def finish_run(self, run: int, status: str, message: str) -> None:
        """Record how a run ended."""
        with writing(self._database):
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
    def record_artefact(self, run: int, kind: str, step: int, path: Path, size: int, sha256: str) -> None:
        """Record a file of a run; the weights' hash is what children's fingerprints stand on."""
        relative = path.relative_to(files_folder(self.path)).as_posix()
        with writing(self._database):
            self._database.execute(
                "INSERT INTO artefacts (run, kind, step, path, size, sha256, created) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (run, kind) DO UPDATE SET step = excluded.step, path = excluded.path, size = excluded.size,"
                " sha256 = excluded.sha256, created = excluded.created",
                [run, kind, step, relative, size, sha256, now()],
            )
            if kind == "weights":
                self._database.execute("UPDATE runs SET weights_sha256 = ? WHERE id = ?", [sha256, run])

    @_patient
    def record_predictions(self, run: int, split: str, cases: int, classes: int, logits: bytes) -> None:
        """Keep float16 logits of shape (cases, classes) on a split."""
        with writing(self._database):
            self._database.execute(
                "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?)",
                [run, split, cases, classes, zlib.compress(logits, 6)],
            )

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

    def _add_member(self, experiment: int, position: int, run: int, role: str, *, reused: bool) -> None:
        row = {"experiment": experiment, "position": position, "run": run, "role": role, "reused": int(reused)}
        self._insert("members", row)

    def _attempt(self, run: int) -> int:
        row = self._database.execute("SELECT attempt FROM runs WHERE id = ?", [run]).fetchone()
        return int(row[0])

    def _summary(self, run: int, metric: str) -> Summary | None:
        row = self._database.execute(
            "SELECT last, lowest, highest, count, crc FROM summary WHERE run = ? AND metric = ?", [run, metric]
        ).fetchone()
        return tuple(row) if row else None


def _extended(summary: Summary | None, step: int, value: float) -> Summary:
    """The summary after one more point."""
    _, lowest, highest, count, crc = summary or (value, value, value, 0, 0)
    return value, min(lowest, value), max(highest, value), count + 1, zlib.crc32(struct.pack("<qd", step, value), crc)
