"""Experiments of a sweep done at once: their students are one batched model, and each has its own rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from tests.experiments import DIVERGING, TINY, engine, rows
from workbench.cli import cli
from workbench.distill import checkpoints, together
from workbench.errors import WorkbenchError
from workbench.events import EpochEnded, Event, ExperimentFinished, Metrics, RunFinished, RunStarted
from workbench.history import changes, reading
from workbench.history.curves import read_curve
from workbench.history.database import open_database, open_for_reading
from workbench.history.writing import History
from workbench.progress import numbers
from workbench.running import device_lease, driver
from workbench.running.driver import Control
from workbench.running.experiment import companions, run_experiments
from workbench.sweep import expand

SWEEP: dict[str, Any] = {"distillation.temperature": [1.0, 4.0, 20.0], "seeds": 2}


def enqueue(history: History, sweep: dict[str, Any] = SWEEP, **changes: Any) -> list[int]:
    tables = TINY | {"sweep": sweep} | changes
    return history.enqueue_sweep(tables, expand(tables))[1]


def do(history: History, experiments: list[int], control: Control | None = None) -> tuple[dict[int, str], list[Event]]:
    events = list[Event]()
    return run_experiments(engine(), history, experiments, control or Control(), events.append), events


def do_all(history: History, experiments: list[int]) -> list[Event]:
    events, done = list[Event](), set[int]()
    for experiment in experiments:
        if experiment not in done:
            statuses, more = do(history, [experiment, *companions(history, experiment)])
            assert set(statuses.values()) == {"done"}
            done |= statuses.keys()
            events += more
    return events


def student(history: History, experiment: int) -> reading.RunRow:
    return next(row for row in rows(history, experiment) if row.role == "student")


def weights(history: History, run: int) -> dict[str, torch.Tensor]:
    stored = history.weights_of(run)
    return checkpoints.read(stored.path, stored.sha256)[0]


def resume(history: History, run: int, *options: str) -> Result:
    """The command line goes on with one run."""
    where = ["--history", str(history.path), "--device", "cpu", "--threads", "1"]
    return CliRunner().invoke(cli, ["resume", str(run), *where, *options])


def outcomes(history: History, experiments: list[int]) -> list[tuple[Any, ...]]:
    """What has to be the same where all was left alone: every student's status, the hash of its weights, and its curve."""
    with closing(open_for_reading(history.path)) as database:
        sql = "SELECT metric, step, value FROM metrics WHERE run = ? ORDER BY 1, 2"
        found = list[tuple[Any, ...]]()
        for run in [student(history, experiment) for experiment in experiments]:
            curve = [tuple(row) for row in database.execute(sql, [run.id]).fetchall()]
            found.append((run.status, history.weights_of(run.id).sha256, curve))
        return found


def left_alone(tmp_path: Path, **changes: Any) -> list[tuple[Any, ...]]:
    """The outcomes of the same sweep that nothing happens to."""
    with History(tmp_path / "whole.db") as whole:
        experiments = enqueue(whole, **changes)
        do_all(whole, experiments)
        return outcomes(whole, experiments)


def kept(history: History, run: int) -> int:
    """The step of a run's newest checkpoint."""
    stored = history.artefact(run, "state")
    assert stored is not None
    return int(checkpoints.read(stored.path, stored.sha256)[1]["step"])


def company(history: History, run: int) -> int:
    with closing(open_for_reading(history.path)) as database:
        (text,) = database.execute("SELECT environment FROM runs WHERE id = ?", [run]).fetchone()
    return len(json.loads(text)["together"])


def after(count: int, then: Callable[[], None]) -> Callable[[Event], None]:
    """Does something after so many metrics of students."""
    left = [count]
    students = set[int]()

    def emit(event: Event) -> None:
        if isinstance(event, RunStarted) and event.role == "student":
            students.add(event.run)
        if isinstance(event, Metrics) and event.run in students:
            left[0] -= 1
            if left[0] == 0:
                then()

    return emit


def test_that_all_experiments_of_a_sweep_are_done_at_once_like_one_by_one(history: History, tmp_path: Path) -> None:
    experiments = enqueue(history)
    assert len(experiments) == 6
    assert companions(history, experiments[0]) == experiments[1:]
    events = do_all(history, experiments)
    trained = [event for event in events if isinstance(event, RunFinished) and event.status == "done"]
    roles = [event.role for event in trained]
    assert [roles.count(role) for role in ("teacher", "baseline", "student")] == [2, 2, 6]
    assert {event.status for event in events if isinstance(event, ExperimentFinished)} == {"done"}
    with History(tmp_path / "alone.db") as alone:
        for experiment in enqueue(alone):
            assert do(alone, [experiment])[0] == {experiment: "done"}
        for experiment in experiments:
            ours, theirs = student(history, experiment), student(alone, experiment)
            assert ours.figures.keys() == theirs.figures.keys()
            assert ours.figures["test_errors"] == pytest.approx(theirs.figures["test_errors"], abs=5)
            for name, value in weights(alone, theirs.id).items():
                torch.testing.assert_close(weights(history, ours.id)[name], value, rtol=1e-3, atol=1e-4)
            assert company(history, ours.id) == 6
            assert company(alone, theirs.id) == 1


def test_that_each_student_has_its_own_curve(history: History) -> None:
    experiments = enqueue(history)
    do_all(history, experiments)
    with closing(open_for_reading(history.path)) as database:
        curves = [read_curve(database, student(history, experiment).id, "loss", 100).value.tolist() for experiment in experiments]
    assert len({tuple(curve) for curve in curves}) == 6
    assert len({len(curve) for curve in curves}) == 1


@pytest.mark.parametrize("count", [1, 8, 20, 40])
def test_that_a_batch_interrupted_and_resumed_ends_bit_for_bit_like_one_left_alone(
    count: int, history: History, tmp_path: Path
) -> None:
    experiments = enqueue(history)
    control = Control()
    statuses = run_experiments(engine(), history, experiments, control, after(count, control.interrupt))
    assert set(statuses.values()) == {"interrupted"}
    for experiment in experiments:
        history.resume(experiment)
    do_all(history, experiments)
    with History(tmp_path / "whole.db") as whole:
        do_all(whole, enqueue(whole))
        for experiment in experiments:
            ours, theirs = student(history, experiment), student(whole, experiment)
            expected = weights(whole, theirs.id)
            assert all(torch.equal(value, expected[name]) for name, value in weights(history, ours.id).items())
            assert ours.figures | {"latency_ms": 0} == theirs.figures | {"latency_ms": 0}


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("place", [0, 4])
def test_that_the_command_line_goes_on_with_all_that_were_trained_together(place: int, history: History, tmp_path: Path) -> None:
    experiments = enqueue(history)
    control = Control()
    run_experiments(engine(), history, experiments, control, after(8, control.stop))
    runs = [student(history, experiment).id for experiment in experiments]
    result = resume(history, runs[place])
    assert result.exit_code == 0, result.stderr
    others = numbers([run for run in runs if run != runs[place]])
    assert f"run {runs[place]}: {others} were trained together with it and go on with it" in result.stderr
    assert outcomes(history, experiments) == left_alone(tmp_path)
    assert {company(history, run) for run in runs} == {6}


@pytest.mark.usefixtures("own_signals")
def test_that_a_run_may_go_on_alone_and_the_others_then_without_it(history: History) -> None:
    experiments = enqueue(history)
    control = Control()
    run_experiments(engine(), history, experiments, control, after(8, control.stop))
    runs = [student(history, experiment).id for experiment in experiments]
    assert resume(history, runs[1], "--alone").exit_code == 0
    statuses = [student(history, experiment).status for experiment in experiments]
    assert statuses == ["stopped", "done", "stopped", "stopped", "stopped", "stopped"]
    assert resume(history, runs[0]).exit_code == 0
    assert {student(history, experiment).status for experiment in experiments} == {"done"}


@pytest.mark.usefixtures("own_signals")
def test_that_those_that_failed_or_were_deleted_are_not_taken_up_with_the_others(history: History) -> None:
    rates = {"how": "zip", "training.learning_rate": [0.001, 100.0, 0.002, 0.003]}
    training = {**DIVERGING, "batch_size": 128, "epochs": 500}
    del training["learning_rate"]
    student_of = {"model": "mlp", "layers": 2, "units": 16}
    alike = {"hard_weight": 1.0, "baseline": False}
    experiments = enqueue(history, rates, training=training, student=student_of, distillation=alike)
    control = Control()

    def emit(event: Event) -> None:
        if isinstance(event, Metrics) and event.values[0][0] == "val_accuracy" and event.epoch >= 150:
            control.stop()

    run_experiments(engine(), history, experiments, control, emit)
    runs = [student(history, experiment).id for experiment in experiments]
    with closing(open_database(history.path)) as database:
        changes.delete(database, [runs[3]])
    assert resume(history, runs[0]).exit_code == 0
    assert [student(history, experiment).status for experiment in experiments] == ["done", "failed", "done", "stopped"]


@pytest.mark.usefixtures("own_signals")
def test_that_batches_of_one_sweep_are_not_mixed(history: History) -> None:
    experiments = enqueue(history, {"seeds": 6})
    for some in (experiments[:3], experiments[3:]):
        control = Control()
        run_experiments(engine(), history, some, control, after(8, control.stop))
    assert resume(history, student(history, experiments[1]).id).exit_code == 0
    assert [student(history, experiment).status for experiment in experiments] == ["done"] * 3 + ["stopped"] * 3


class Killed(BaseException):
    """Ends a process where it is."""


def killing(count: int, what: type[RunStarted | RunFinished] = RunFinished) -> Callable[[Event], None]:
    """Ends it once so many students have been told to be done, or to have begun."""
    left = [count]

    def emit(event: Event) -> None:
        if isinstance(event, what) and event.role == "student":
            left[0] -= 1
            if left[0] == 0:
                raise Killed

    return emit


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize(("left", "batch"), [(5, SWEEP), (1, {"seeds": 3})])
def test_that_those_that_had_stopped_early_before_a_kill_and_those_left_end_as_they_were(
    left: int, batch: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "EPOCH_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(driver, "CHECKPOINT_SHARE", 0)
    path, training = tmp_path / "killed.db", TINY["training"] | {"epochs": 60, "patience": 1, "keep": "last"}
    with History(path) as history:
        experiments = enqueue(history, batch, training=training)
        ended = Counter[tuple[str, int]]()
        students = set[int]()

        def emit(event: Event) -> None:
            if isinstance(event, RunStarted) and event.role == "student":
                students.add(event.run)
            if isinstance(event, EpochEnded) and event.run in students:
                ended["student", event.epoch] += 1
                if event.epoch > 2 and 0 < ended["student", event.epoch - 2] <= left:
                    raise Killed

        with pytest.raises(Killed):
            run_experiments(engine(), history, experiments, Control(), emit)
    with History(path) as history:
        runs = [student(history, experiment) for experiment in experiments]
        last = max(run.step for run in runs)
        assert {kept(history, run.id) for run in runs if run.step < last} == {run.step for run in runs if run.step < last}
        assert resume(history, next(run.id for run in runs if run.step == last)).exit_code == 0
        assert outcomes(history, experiments) == left_alone(tmp_path, sweep=batch, training=training)


@pytest.mark.usefixtures("own_signals")
def test_that_a_sweep_killed_before_its_students_began_goes_on_whole(tmp_path: Path) -> None:
    def emit(event: Event) -> None:
        if isinstance(event, EpochEnded):
            raise Killed

    path = tmp_path / "killed.db"
    with History(path) as history:
        experiments = enqueue(history)
        with pytest.raises(Killed):
            run_experiments(engine(), history, experiments, Control(), emit)
    with History(path) as history:
        result = resume(history, 1)
        assert "run 1: experiments 2 to 6 had begun together with it and go on with it" in result.stderr
        assert outcomes(history, experiments) == left_alone(tmp_path)


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("again", [1, 2])
def test_that_a_batch_killed_once_more_while_its_results_were_recorded_goes_on_whole(
    again: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "killed.db"
    with History(path) as history:
        experiments = enqueue(history)
        with pytest.raises(Killed):
            run_experiments(engine(), history, experiments, Control(), killing(1))
    with History(path) as history:
        history.resume(*experiments)
        with pytest.raises(Killed):
            run_experiments(engine(), history, experiments, Control(), killing(again, RunStarted))
    with History(path) as history:
        assert resume(history, student(history, experiments[0]).id).exit_code == 0
        assert outcomes(history, experiments) == left_alone(tmp_path)


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize("done", [1, 5, 6])
def test_that_a_batch_killed_while_its_results_were_recorded_goes_on_whole(done: int, tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    with History(path) as history:
        experiments = enqueue(history)
        with pytest.raises(Killed):
            run_experiments(engine(), history, experiments, Control(), killing(done))
    with History(path) as history:
        assert resume(history, student(history, experiments[0]).id).exit_code == 0
        assert outcomes(history, experiments) == left_alone(tmp_path)
        with closing(open_for_reading(path)) as database:
            assert {one.status for one in reading.list_experiments(database)} == {"done"}


def test_that_stop_ends_all_under_way_with_a_checkpoint_each(history: History) -> None:
    experiments = enqueue(history)
    control = Control()
    statuses = run_experiments(engine(), history, experiments, control, after(8, control.stop))
    assert set(statuses.values()) == {"stopped"}
    for experiment in experiments:
        run = student(history, experiment)
        assert run.status == "stopped"
        assert history.artefact(run.id, "state") is not None


def test_that_where_the_first_is_gone_the_others_stay_in_the_queue(history: History) -> None:
    experiments = enqueue(history)
    assert history.claim(experiments[0])
    with pytest.raises(WorkbenchError, match="another process has taken it"):
        run_experiments(engine(), history, experiments, Control(), lambda _: None)
    assert history.next_in_queue() == experiments[1]
    assert len(companions(history, experiments[1])) == 4


def test_that_one_that_diverges_has_failed_whatever_ends_the_others(history: History) -> None:
    rates = {"how": "zip", "training.learning_rate": [0.001, 100.0, 0.002]}
    training = {**DIVERGING, "batch_size": 128, "epochs": 500}
    del training["learning_rate"]
    student_of = {"model": "mlp", "layers": 2, "units": 16}
    experiments = enqueue(history, rates, training=training, student=student_of, distillation={"hard_weight": 1.0})
    control = Control()

    def emit(event: Event) -> None:
        if isinstance(event, Metrics) and event.values[0][0] == "val_accuracy" and event.epoch >= 150:
            control.stop()

    statuses = run_experiments(engine(), history, experiments, control, emit)
    found = [row.status for experiment in experiments for row in rows(history, experiment) if row.role == "baseline"]
    assert found == ["stopped", "failed", "stopped"], statuses
    (failed,) = [row for row in rows(history, experiments[1]) if row.role == "baseline"]
    state = history.artefact(failed.id, "state")
    if state is not None:
        tensors, _ = checkpoints.read(state.path, state.sha256)
        assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point())


def test_that_without_room_for_all_they_are_done_one_by_one(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(together.Stack, "learn", full)
    experiments = enqueue(history)
    assert set(do(history, experiments)[0].values()) == {"done"}
    assert {company(history, student(history, experiment).id) for experiment in experiments} == {1}


def test_that_what_is_done_when_a_person_stops_is_done(history: History) -> None:
    experiments = enqueue(history)
    control, left = Control(), [len(experiments)]

    def emit(event: Event) -> None:
        if isinstance(event, RunFinished) and event.role == "student":
            left[0] -= 1
            if left[0] == 3:
                control.stop()

    assert set(run_experiments(engine(), history, experiments, control, emit).values()) == {"done"}


def test_that_those_not_begun_when_a_person_stops_go_on_waiting(history: History) -> None:
    experiments = enqueue(history)
    control = Control()

    def emit(event: Event) -> None:
        if isinstance(event, Metrics):
            control.stop()

    assert run_experiments(engine(), history, experiments, control, emit) == {experiments[0]: "stopped"}
    assert history.next_in_queue() == experiments[1]
    assert len(companions(history, experiments[1])) == 4


def test_that_a_sweep_stopped_while_it_waits_for_the_device_keeps_its_place(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_LOCKS", str(tmp_path / "locks"))
    experiments = enqueue(history)
    control = Control()
    control.between_events = control.stop
    taken = device_lease.take("cpu")
    assert taken is not None
    monkeypatch.setattr(device_lease, "take", lambda _: None)
    assert run_experiments(engine(), history, experiments, control, lambda _: None) == {experiments[0]: "stopped"}
    taken.release()
    assert len(companions(history, experiments[1])) == 4


def test_that_one_that_fails_does_not_fail_the_others(history: History) -> None:
    experiments = enqueue(history, {"transfer.leave_out": [[3], ["cow"]], "seeds": 2})
    statuses, events = do(history, experiments)
    assert list(statuses.values()) == ["done", "done", "failed", "failed"]
    messages = [event.message for event in events if isinstance(event, ExperimentFinished) and event.status == "failed"]
    assert all("there is no class 'cow'" in message for message in messages)


def test_that_only_students_of_one_kind_go_together(history: History) -> None:
    experiments = enqueue(history, {"student.units": [8, 9], "seeds": 2})
    assert companions(history, experiments[0]) == [experiments[1]]
    assert companions(history, experiments[2]) == [experiments[3]]


def test_that_students_that_cannot_be_stacked_are_done_one_by_one(history: History) -> None:
    experiments = enqueue(history, student={"model": "cnn", "channels": 2, "units": 4})
    assert companions(history, experiments[0]) == []
