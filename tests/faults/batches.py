"""Several students trained as one model, killed at random instants, and gone on with by naming one of them."""

from __future__ import annotations

import os
import select
import shutil
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.experiments import TINY, engine, launch, tiny
from tests.faults.outcome import Outcome, clear, eager, forked, fresh, look, seeded
from tests.faults.processes import acknowledge, lost, read_all
from workbench.cli import cli
from workbench.distill import checkpoints
from workbench.events import Event, Metrics, RunStarted
from workbench.history.database import files_folder, open_for_reading
from workbench.history.writing import History
from workbench.running.driver import Control
from workbench.running.experiment import run_experiments
from workbench.sweep import expand

LONG = {"epochs": 10, "batch_size": 64, "learning_rate": 0.003}
SWEEPS: list[dict[str, Any]] = [
    {"sweep": {"distillation.temperature": [1.0, 4.0], "seeds": 2}, "training": LONG},
    {"sweep": {"training.learning_rate": [0.001, 0.003, 0.01], "seeds": 2}, "training": LONG | {"weight_decay": 0.01}},
    {"sweep": {"distillation.temperature": [1.0, 8.0], "seeds": 3}, "training": LONG | {"patience": 1, "keep": "last"}},
]
"""Alike but for temperatures; with learning rates of their own; and some of which stop before the others."""
BEGUN, TRAINED = (0, 0), (0, 1)
"""What the process that trains says of the batch beside the (run, step) of its metrics."""

Ends = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Batch:
    """A sweep, how long its students train and their results then take, and what it comes to where nothing happens to it."""

    tables: dict[str, Any]
    training: float
    recording: float
    wanted: Ends


def batches(count: int, folder: Path) -> Outcome:
    """Killed while they train, every third time while their results are recorded; every fourth time again once resumed."""
    eager()
    teachers = folder / "teachers" / "experiments.db"
    teachers.parent.mkdir()
    with History(teachers) as history:
        launch(history, tiny(transfer__fraction=0.5, distillation__baseline=False))
    kinds = [_left_alone(teachers, folder, tables) for tables in SWEEPS]
    outcome, random = Outcome(), seeded(6)
    told = resumed = partly = 0
    for number in range(count):
        batch, path = kinds[number % len(kinds)], _copied(teachers, fresh(folder, number))
        recording = random.random() < 1 / 3
        longest = batch.recording if recording else batch.training
        wait = random.uniform(0, longest)
        acknowledged = _killed(
            lambda pipe, path=path, batch=batch: _train(path, batch.tables, pipe), TRAINED if recording else BEGUN, wait
        )
        told += len(acknowledged)
        broken = _checked(path, acknowledged)
        partly += len({status for _, status, _ in _left(path)} & {"done", "interrupted"}) == 2
        if number % 4 == 3 and not broken and (left := _unfinished(path)):
            one = random.choice(left)
            again = _killed(
                lambda pipe, path=path, one=one: _resume_told(path, one, pipe), BEGUN, random.uniform(0, batch.training)
            )
            told += len(again)
            broken = _checked(path, again)
        if not broken and (left := _unfinished(path)):
            resumed += 1
            broken = _resume(path, random.choice(left))
        if not broken and _ends(path) != batch.wanted:
            broken = ["resumed, it ended otherwise than left alone"]
        outcome.broken += [f"{number}: {one}" for one in broken]
        outcome.done += 1
        clear(path)
    outcome.note = f"{told:,} acknowledged metrics, {resumed} resumed, {partly} with some of the students done"
    return outcome


def _copied(teachers: Path, path: Path) -> Path:
    """A history whose teachers are there."""
    shutil.copytree(teachers.parent, path.parent, dirs_exist_ok=True)
    return path


def _left_alone(teachers: Path, folder: Path, tables: dict[str, Any]) -> Batch:
    path, times = _copied(teachers, fresh(folder, 99_999)), dict[tuple[int, int], float]()
    _sweep(path, tables, lambda what: times.setdefault(what, time.perf_counter()))
    end = time.perf_counter()
    found = Batch(tables, times[TRAINED] - times[BEGUN], end - times[TRAINED], _ends(path))
    assert {status for status, *_ in found.wanted} == {"done"}
    clear(path)
    return found


def _sweep(path: Path, tables: dict[str, Any], say: Callable[[tuple[int, int]], Any]) -> None:
    """Do a sweep; ``say`` is told when its students begin together and when they are trained."""
    whole = TINY | {"transfer": {"fraction": 0.5}, "distillation": {"baseline": False}} | tables
    with History(path) as history:
        experiments = history.enqueue_sweep(whole, expand(whole))[1]
        run_experiments(engine(), history, experiments, Control(), _saying(say))


def _saying(say: Callable[[tuple[int, int]], Any]) -> Callable[[Event], None]:
    going = set[int]()

    def emit(event: Event) -> None:
        if isinstance(event, RunStarted):
            if not going:
                say(BEGUN)
            going.add(event.run)
        elif isinstance(event, Metrics) and event.values[0][0] == "val_accuracy" and event.epoch == LONG["epochs"]:
            say(TRAINED)

    return emit


def _train(path: Path, tables: dict[str, Any], pipe: int) -> None:
    acknowledge(pipe)
    _sweep(path, tables, lambda what: os.write(pipe, struct.pack("<qq", *what)))


def _killed(work: Callable[[int], None], awaited: tuple[int, int], seconds: float) -> list[tuple[int, int]]:
    """A process killed so long after it has said what is awaited of it, or has ended; the metrics it acknowledged."""
    reading, writing = os.pipe()
    pid = forked(lambda: work(writing))
    os.close(writing)
    content = b""
    while struct.pack("<qq", *awaited) not in content and select.select([reading], [], [], 60)[0]:
        if not (part := os.read(reading, 1 << 16)):
            break
        content += part
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return [one for one in read_all(reading, content) if one[0]]


def _checked(path: Path, acknowledged: list[tuple[int, int]]) -> list[str]:
    """What is wrong after a kill, beside what :func:`look` finds: metrics lost, checkpoints that are not of one moment."""
    broken = look(path) + lost(path, acknowledged)
    steps = {step for _, _, step in _left(path) if step >= -1}
    return broken + ([f"the checkpoints are of the steps {sorted(steps)}"] if len(steps) > 1 else [])


def _left(path: Path) -> list[tuple[int, str, int]]:
    """The students of the batch with their status, and the step of their checkpoint; -1 without, -2 where they stopped early."""
    found = []
    with closing(open_for_reading(path)) as database:
        for run, status, place, sha256 in database.execute(
            "SELECT r.id, r.status, a.path, a.sha256 FROM runs r LEFT JOIN artefacts a ON a.run = r.id AND a.kind = 'state'"
            " WHERE r.role = 'student' AND r.experiment > 1 ORDER BY r.id"
        ).fetchall():
            values = checkpoints.read(files_folder(path) / place, sha256)[1] if place else {"step": -1, "stopped_early": False}
            found.append((run, status, -2 if values["stopped_early"] else values["step"]))
    return found


def _unfinished(path: Path) -> list[int]:
    """A run of each experiment that is left."""
    with closing(open_for_reading(path)) as database:
        sql = "SELECT max(r.id) FROM runs r JOIN experiments e ON e.id = r.experiment WHERE e.status <> 'done' GROUP BY e.id"
        return [row[0] for row in database.execute(sql).fetchall()]


def _resume(path: Path, run: int) -> list[str]:
    """Go on with one run as a person does, on the command line."""
    with _own_signals():
        where = ["--history", str(path), "--device", "cpu", "--threads", "1"]
        result = CliRunner().invoke(cli, ["resume", str(run), *where])
    return [] if result.exit_code == 0 else [f"resume ended with {result.exit_code}: {result.stderr[-300:]}"]


def _resume_told(path: Path, run: int, pipe: int) -> None:
    acknowledge(pipe)
    start = History.start_runs

    def begun(self: History, starts: Any) -> None:
        start(self, starts)
        os.write(pipe, struct.pack("<qq", *BEGUN))

    History.start_runs = begun  # type: ignore[method-assign]
    _resume(path, run)


@contextmanager
def _own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _ends(path: Path) -> Ends:
    """How each of the batch ended: its statuses, the hash of its weights, its curves and its figures."""
    with closing(open_for_reading(path)) as database:

        def all_of(sql: str, run: int) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in database.execute(sql, [run]).fetchall()]

        runs = database.execute(
            "SELECT e.status, r.status, r.weights_sha256, r.id FROM experiments e JOIN runs r ON r.experiment = e.id"
            " WHERE r.role = 'student' AND e.id > 1 ORDER BY e.id"
        ).fetchall()
        curves = "SELECT metric, step, value FROM metrics WHERE run = ? ORDER BY 1, 2"
        figures = "SELECT name, value FROM results WHERE run = ? AND name <> 'latency_ms' ORDER BY 1"
        return [(*row[:3], all_of(curves, row[3]), all_of(figures, row[3])) for row in map(tuple, runs)]
