"""Runs that Ray's workers train: as those of the local thread, whatever happens to a worker."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from tests.experiments import engine, rows, specialised, tiny
from workbench.cli import cli
from workbench.config import ExperimentConfig
from workbench.distill import checkpoints
from workbench.errors import WorkbenchError
from workbench.events import Event, Metrics, Note, Paused, RunFinished, RunStarted
from workbench.history import reading
from workbench.history.database import open_for_reading
from workbench.history.doctor import examine
from workbench.history.writing import History
from workbench.plan import SPECIALISED
from workbench.running import ray_executor, remote
from workbench.running.driver import Control
from workbench.running.engine import Engine
from workbench.running.experiment import companions, run_experiment, run_experiments
from workbench.sweep import expand

pytestmark = pytest.mark.timeout(300)  # workers import torch, which takes long on a busy machine
here = pytest.mark.skipif(not ray_executor.installed(), reason="Ray, the extra `ray`, is not installed")


LONG = {"epochs": 100, "jitter": 1, "batch_size": 32}
"""Specialists that take some seconds."""


@pytest.fixture(scope="module")
def workers() -> Iterator[Engine]:
    """An engine whose runs two workers train."""
    ray_executor.connect("ray", num_cpus=2)
    yield Engine(dataclasses.replace(engine().settings, executor="ray"))
    ray_executor.disconnect()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "other.db") as opened:
        yield opened


def do(by: Engine, history: History, config: ExperimentConfig, control: Control | None = None) -> tuple[str, list[Event]]:
    events: list[Event] = []
    return run_experiment(by, history, history.enqueue(config), control or Control(), events.append), events


def weights(history: History, run: int) -> dict[str, torch.Tensor]:
    stored = history.weights_of(run)
    return checkpoints.read(stored.path, stored.sha256)[0]


def curves(history: History) -> list[Any]:
    """Every metric of every run, in order."""
    with closing(open_for_reading(history.path)) as database:
        return database.execute("SELECT run, metric, step, value FROM metrics ORDER BY 1, 2, 3").fetchall()


def assert_same(history: History, other: History) -> None:
    """Both have the same runs with the same weights, test errors and curves, and are sound."""
    one, two = rows(history), rows(other)
    assert [(row.name, row.status) for row in one] == [(row.name, row.status) for row in two]
    for left, right in zip(one, two, strict=True):
        assert left.figures["test_errors"] == right.figures["test_errors"], left.name
        if left.name != SPECIALISED:
            theirs = weights(other, right.id)
            assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights(history, left.id).items()), left.name
    assert list(map(tuple, curves(history))) == list(map(tuple, curves(other)))
    for opened in (history, other):
        with closing(open_for_reading(opened.path)) as database:
            assert not examine(database, opened.path, lambda *_: None)


def process_of(history: History, run: int) -> int:
    """The process that trains a run."""
    with closing(open_for_reading(history.path)) as database:
        (number,) = database.execute("SELECT json_extract(environment, '$.process') FROM runs WHERE id = ?", [run]).fetchone()
    return int(number)


@here
def test_that_workers_train_what_the_local_thread_does_to_the_same_weights(
    workers: Engine, history: History, other: History
) -> None:
    config = specialised(specialists={"count": 2, "size": 4, "students": False})
    assert do(engine(), history, config)[0] == "done"
    assert do(workers, other, config)[0] == "done"
    assert_same(history, other)


@here
def test_that_teachers_students_and_seeds_of_a_sweep_are_trained_once_and_as_locally(
    workers: Engine, history: History, other: History
) -> None:
    tables = tiny(training__jitter=1, student__dropout=0.3).to_dict() | {"sweep": {"seed": [0, 1]}}
    for by, into in ((engine(), history), (workers, other)):
        first, *others = into.enqueue_sweep(tables, expand(tables))[1]
        beside = companions(into, first, by.settings.executor)
        assert beside == (others if by is workers else [])
        for group in [[first, *beside], *([one] for one in others if one not in beside)]:
            assert set(run_experiments(by, into, group, Control(), lambda event: None).values()) == {"done"}
    assert [row.reused for row in rows(other, 2)] == [True, True, False, False]
    seeds = {(row.name, row.seed): row.figures["test_errors"] for number in (1, 2) for row in rows(history, number)}
    assert seeds == {(row.name, row.seed): row.figures["test_errors"] for number in (1, 2) for row in rows(other, number)}


@here
def test_that_a_worker_killed_in_the_middle_is_tried_again_and_nothing_is_lost_or_done_twice(
    workers: Engine, history: History, other: History
) -> None:
    config = specialised(specialists={"count": 2, "size": 4, "students": False}, specialist_training=LONG)
    assert do(engine(), history, config)[0] == "done"
    events: list[Event] = []
    killed: list[int] = []

    def emit(event: Event) -> None:
        events.append(event)
        stored = other.artefact(2, "state") if isinstance(event, Metrics) and event.run == 2 else None
        if stored is not None and not killed:
            killed.append(process_of(other, 2))
            os.kill(killed[0], signal.SIGKILL)

    assert run_experiment(workers, other, other.enqueue(config), Control(), emit) == "done"
    assert killed
    assert process_of(other, 2) != killed[0]
    assert_same(history, other)
    told = Counter((event.step, event.values[0][0]) for event in events if isinstance(event, Metrics) and event.run == 2)
    assert set(told.values()) == {1}
    with closing(open_for_reading(other.path)) as database:
        (note,) = reading.run_details(database, 2).notes
        attempts = database.execute("SELECT DISTINCT attempt FROM points WHERE run = 2 ORDER BY attempt").fetchall()
    assert "its worker was lost" in note
    assert "attempt 2 goes on from its checkpoint at step" in note
    assert [attempt for (attempt,) in map(tuple, attempts)] == [1, 2]
    runs = [event.run for event in events if isinstance(event, RunStarted | RunFinished)]
    assert runs[:2] == [1, 1]
    assert set(runs[2:4]) == {2, 3}, "both specialists begin before one of them ends"


@here
def test_that_a_pause_holds_and_a_stop_keeps_checkpoints_that_either_executor_goes_on_from(
    workers: Engine, history: History, other: History
) -> None:
    config = specialised(specialists={"count": 2, "size": 4, "students": False}, specialist_training=LONG)
    assert do(engine(), history, config)[0] == "done"
    control, seen = Control(), Counter[str]()

    def emit(event: Event) -> None:
        if isinstance(event, Metrics) and event.run == 3:
            seen["metrics"] += 1
            if seen["metrics"] == 30:
                control.pause()
        if isinstance(event, Paused):
            seen["paused" if event.paused else "resumed"] += 1

    def between() -> None:
        seen["waited"] += control.paused
        if seen["waited"] == 20:
            seen["still"] = seen["metrics"]
        if seen["waited"] == 40 and control.paused:
            assert seen["metrics"] == seen["still"]
            control.resume()
        if seen["resumed"] and seen["metrics"] > seen["still"]:
            control.stop()

    control.between_events = between
    number = other.enqueue(config)
    assert run_experiment(workers, other, number, control, emit) == "stopped"
    assert seen["paused"] == seen["resumed"] == 1
    stopped = rows(other)
    assert [row.status for row in stopped[:3]] == ["done", "stopped", "stopped"]
    assert all(other.artefact(row.id, "state") is not None for row in stopped[1:3])
    other.resume(number)
    assert run_experiment(workers, other, number, Control(), lambda event: None) == "done"
    assert_same(history, other)


@here
def test_that_a_run_whose_workers_are_lost_again_and_again_fails_with_a_sentence(
    workers: Engine, other: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "MOST_LOST", 1)
    killed: set[int] = set()
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, RunStarted | Metrics) and event.run == 1 and process_of(other, 1) not in killed:
            killed.add(process_of(other, 1))
            os.kill(process_of(other, 1), signal.SIGKILL)

    config = tiny(teachers=[{"model": "mlp", "units": 16}], teacher_training={"epochs": 5000})
    assert run_experiment(workers, other, other.enqueue(config), Control(), emit) == "failed"
    found = rows(other)
    assert [row.status for row in found] == ["failed", "done", "skipped"]
    assert found[0].message.startswith("its worker was lost 2 times, the last time because: ")
    assert len(killed) == 2
    assert len([event for event in events if isinstance(event, Note) and "its worker was lost" in event.text]) == 1


@here
def test_that_a_training_that_diverges_fails_as_locally(workers: Engine, history: History, other: History) -> None:
    from tests.experiments import DIVERGING

    messages = []
    for by, into in ((engine(), history), (workers, other)):
        status, events = do(by, into, tiny(teachers=[{"model": "mlp", "units": 16}], teacher_training=DIVERGING))
        assert status == "failed"
        messages.append([event.message for event in events if isinstance(event, RunFinished) and event.status == "failed"])
    assert messages[0] == messages[1]
    assert curves(history) == curves(other)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text('name = "tiny"\n[[teachers]]\nmodel = "mlp"\nunits = 8\n[teacher_training]\nepochs = 1\n', encoding="utf-8")
    return file


def refused(recipe: Path, executor: str) -> str:
    """What the command line says where it refuses an executor before anything is queued."""
    path = recipe.parent / "experiments.db"
    result = CliRunner().invoke(cli, ["run", str(recipe), "--history", str(path), "--executor", executor])
    assert result.exit_code == 2
    assert not path.exists(), "nothing is queued"
    assert result.output.count("\n") == 1
    return result.output


def test_that_without_ray_one_sentence_says_what_to_install(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_executor, "_pool", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert refused(recipe, "ray") == f"workbench: {ray_executor.WITHOUT_RAY}\n"


@here
def test_that_a_cluster_that_does_not_answer_is_told_in_one_sentence(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_executor, "_pool", None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "no Ray cluster answers at ray://127.0.0.1:" in refused(recipe, f"ray://127.0.0.1:{port}")


def test_that_an_executor_that_does_not_exist_is_named(recipe: Path) -> None:
    assert "there is no executor 'rey'; choose local, ray or ray://HOST:PORT" in refused(recipe, "rey")
    for wrong in ("ray://", "ray://host", "ray://host:port", "http://host:1", "ray://a b:1"):
        with pytest.raises(WorkbenchError):
            ray_executor.checked(wrong)


def test_that_an_experiment_waits_in_the_queue_where_ray_is_not_to_be_had(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "_pool", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    by = Engine(dataclasses.replace(engine().settings, executor="ray"))
    number = history.enqueue(tiny())
    with pytest.raises(WorkbenchError, match="needs Ray"):
        run_experiment(by, history, number, Control(), lambda event: None)
    assert history.next_in_queue() == number
    assert not by.busy


def test_that_nothing_imports_ray_unless_it_is_wanted() -> None:
    code = (
        "import sys, workbench.cli\nfrom workbench.running import engine, experiment, remote, runner\n"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)
