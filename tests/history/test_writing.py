"""Writing the history: metrics, ends of runs, files, the queue, and processes that die."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.experiments import add_run, tiny
from tests.history.processes import Start, ended, go_on, said
from workbench.config import DistillationConfig, ModelConfig, RunConfig, TransferConfig
from workbench.errors import CannotWrite, HistoryError
from workbench.events import Metrics
from workbench.history import reading, writing
from workbench.history.changes import delete, dequeue, hold, move, put_back, take_back
from workbench.history.database import SqliteError, files_folder, open_database, open_for_reading
from workbench.history.writing import Artefact, History, Started

CONFIG = RunConfig(
    model=ModelConfig(options={"units": 30}),
    transfer=TransferConfig(leave_out=(3,)),
    distillation=DistillationConfig(temperature=2),
)


def ask(history: History, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows as anybody reads them from the file."""
    with closing(open_for_reading(history.path)) as database:
        return [tuple(row) for row in database.execute(sql, list(values)).fetchall()]


def new_run(history: History, config: RunConfig = CONFIG, *, started: bool = True, parents: tuple[int, ...] = ()) -> int:
    experiment = history.enqueue(tiny())
    history.claim(experiment)
    run = add_run(history, experiment, "student", config, parents)
    if started:
        history.start_runs([Started(run=run, fingerprint="f", data_digest="d", steps=100, environment={"torch": "2"})])
    return run


def no_room(_: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def metrics(run: int, step: int, **values: float) -> Metrics:
    return Metrics(run, step, step / 10, step / 100, tuple(values.items()))


class TestMetrics:
    def test_that_points_values_and_summaries_are_written(self, history: History) -> None:
        run = new_run(history)
        history.write_metrics([metrics(run, 1, loss=3.0, learning_rate=0.1), metrics(run, 2, loss=1.0, learning_rate=0.2)])
        history.write_metrics([metrics(run, 3, loss=2.0)])
        assert ask(history, "SELECT * FROM metrics ORDER BY metric, step") == [
            (run, "learning_rate", 1, 0.1),
            (run, "learning_rate", 2, 0.2),
            (run, "loss", 1, 3.0),
            (run, "loss", 2, 1.0),
            (run, "loss", 3, 2.0),
        ]
        points = [(run, 1, 0.1, 0.01, 1), (run, 2, 0.2, 0.02, 1), (run, 3, 0.3, 0.03, 1)]
        assert ask(history, "SELECT * FROM points ORDER BY step") == points
        crc = zlib.crc32(b"".join(struct.pack("<qd", step, value) for step, value in ((1, 3.0), (2, 1.0), (3, 2.0))))
        assert ask(history, "SELECT * FROM summary WHERE metric = 'loss'") == [(run, "loss", 2.0, 1.0, 3.0, 3, crc)]

    def test_that_a_run_knows_how_far_it_is(self, history: History) -> None:
        run = new_run(history)
        history.write_metrics([metrics(run, 5, loss=1.0), metrics(run, 7, loss=1.0)])
        assert ask(history, "SELECT step, epochs, train_seconds FROM runs") == [(7, 0.7, 0.07)]

    def test_that_metrics_written_again_change_nothing(self, history: History) -> None:
        run = new_run(history)
        history.write_metrics([metrics(run, 1, loss=3.0), metrics(run, 2, loss=1.0)])
        tables = ("metrics", "points", "summary", "nonfinite")
        before = [ask(history, f"SELECT * FROM {table}") for table in tables]
        history.write_metrics([metrics(run, 1, loss=99.0), metrics(run, 2, loss=1.0)])
        history.write_metrics([metrics(run, 2, loss=7.0), metrics(run, 2, loss=float("nan"))][:1])
        assert [ask(history, f"SELECT * FROM {table}") for table in tables] == before

    def test_that_two_events_of_one_step_give_one_point_with_both_metrics(self, history: History) -> None:
        run = new_run(history)
        history.write_metrics([metrics(run, 1, loss=3.0), metrics(run, 1, val_loss=2.0)])
        assert ask(history, "SELECT count(*) FROM points") == [(1,)]
        assert ask(history, "SELECT metric, value FROM metrics ORDER BY metric") == [("loss", 3.0), ("val_loss", 2.0)]

    def test_that_values_that_are_no_numbers_stand_apart_and_satisfy_no_comparison(self, history: History) -> None:
        run = new_run(history)
        odd = {"a": float("nan"), "b": float("inf"), "c": float("-inf")}
        history.write_metrics([metrics(run, 1, loss=0.5, **odd)])
        assert ask(history, "SELECT metric, step, kind FROM nonfinite ORDER BY metric") == [
            ("a", 1, "nan"),
            ("b", 1, "inf"),
            ("c", 1, "-inf"),
        ]
        assert ask(history, "SELECT metric FROM metrics WHERE value < 1") == [("loss",)]
        assert ask(history, "SELECT metric FROM summary") == [("loss",)]

    def test_that_a_batch_may_hold_several_runs(self, history: History) -> None:
        first, second = new_run(history), new_run(history)
        history.write_metrics([metrics(first, 1, loss=1.0), metrics(second, 1, loss=2.0)])
        assert ask(history, "SELECT run, last FROM summary ORDER BY run") == [(first, 1.0), (second, 2.0)]

    def test_that_a_second_attempt_is_counted_in_its_points(self, history: History) -> None:
        run = new_run(history)
        history.write_metrics([metrics(run, 1, loss=1.0)])
        history.start_runs([Started(run=run, fingerprint="f", data_digest="d", steps=100, environment={})])
        history.write_metrics([metrics(run, 1, loss=1.0), metrics(run, 2, loss=1.0)])
        assert ask(history, "SELECT step, attempt FROM points ORDER BY step") == [(1, 1), (2, 2)]

    def test_that_a_batch_is_written_whole_or_not_at_all(self, history: History) -> None:
        run = new_run(history)
        with pytest.raises(SqliteError):
            history.write_metrics([metrics(run, 1, loss=1.0), Metrics(run, "two", 0.2, 0.02, (("loss", 1.0),))])  # type: ignore[arg-type]
        assert ask(history, "SELECT count(*) FROM metrics") == [(0,)]
        history.write_metrics([metrics(run, 1, loss=1.0)])
        assert ask(history, "SELECT count(*) FROM metrics") == [(1,)]


@settings(max_examples=20)
@given(st.lists(st.lists(st.tuples(st.integers(0, 20), st.floats(allow_subnormal=False)), max_size=6), max_size=5))
def test_that_a_summary_equals_one_made_from_all_that_was_written(batches: list[list[tuple[int, float]]]) -> None:
    import tempfile

    kept: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder, History(Path(folder) / "h.db") as history:
        run = new_run(history)
        for batch in batches:
            history.write_metrics([metrics(run, step, loss=value) for step, value in batch])
            for step, value in batch:
                if math.isfinite(value):
                    kept.setdefault(step, value)
        written = list(kept.items())
        crc = zlib.crc32(b"".join(struct.pack("<qd", step, value) for step, value in written))
        found = ask(history, "SELECT last, lowest, highest, count, crc FROM summary")
    wanted = (written[-1][1], min(kept.values()), max(kept.values()), len(kept), crc) if kept else None
    assert found == ([wanted] if wanted else [])


class TestRuns:
    def test_that_a_run_is_stored_with_its_settings_and_comes_back_as_it_was(self, history: History) -> None:
        run = new_run(history)
        assert history.past_run(run).config == CONFIG
        settings = dict(ask(history, "SELECT key, value FROM params WHERE run = ?", run))
        assert settings["model.units"] == 30
        assert settings["transfer.leave_out"] == "3"
        assert settings["distillation.temperature"] == 2.0
        row = ask(history, "SELECT dataset, model, temperature, hard_weight, status FROM runs")[0]
        assert row == ("digits", "mlp 2×30", 2.0, 0.1, "running")

    def test_that_a_run_of_nothing_but_defaults_comes_back(self, history: History) -> None:
        assert history.past_run(new_run(history, RunConfig())).config == RunConfig()

    def test_that_a_run_that_is_not_there_is_a_sentence(self, history: History) -> None:
        with pytest.raises(HistoryError, match=r"there is no run 9 in .*; see `workbench runs`"):
            history.past_run(9)

    def test_that_parents_are_kept_in_the_order_of_the_ensemble(self, history: History) -> None:
        first, second = new_run(history), new_run(history)
        child = new_run(history, parents=(second, first))
        with closing(open_for_reading(history.path)) as database:
            assert reading.parents(database, child) == (second, first)

    def test_that_figures_that_are_no_numbers_are_left_out(self, history: History) -> None:
        run = new_run(history)
        history.record_figures(run, {"val_accuracy": 0.5, "val_nll": float("nan"), "test_nll": float("inf")})
        history.record_figures(run, {"val_accuracy": 0.75})
        assert ask(history, "SELECT name, value FROM results") == [("val_accuracy", 0.75)]

    def test_that_only_a_run_that_waits_is_abandoned(self, history: History) -> None:
        waiting, done = new_run(history, started=False), new_run(history)
        history.finish_run(done, "done", "")
        for run in (waiting, done):
            history.abandon_waiting(run, "skipped", "because")
        assert ask(history, "SELECT id, status, message FROM runs ORDER BY id") == [
            (waiting, "skipped", "because"),
            (done, "done", ""),
        ]

    def test_that_predictions_come_back_as_half_precision_logits(self, history: History) -> None:
        run = new_run(history)
        logits = np.arange(6, dtype=np.float16).reshape(2, 3)
        history.record_predictions(run, "test", 2, 3, logits.tobytes())
        with closing(open_for_reading(history.path)) as database:
            found = reading.predictions(database, run)
            assert found is not None
            np.testing.assert_array_equal(found, logits)
            assert reading.predictions(database, run, "validation") is None


class TestFiles:
    def test_that_paths_are_kept_relative_so_that_a_history_can_be_moved(self, history: History) -> None:
        run = new_run(history)
        path = history.run_folder(run) / "weights.safetensors"
        history.record_artefacts([Artefact(run, ["weights"], 5, path, 10, "hash")])
        stored = history.weights_of(run)
        assert (stored.run, stored.path, stored.sha256) == (run, path, "hash")
        ((relative,),) = ask(history, "SELECT path FROM artefacts")
        assert not Path(relative).is_absolute()
        assert files_folder(history.path) / relative == path
        assert files_folder(history.path) == history.path.parent / "experiments.files"

    def test_that_a_newer_file_of_the_same_kind_takes_the_place_of_the_old(self, history: History) -> None:
        run = new_run(history)
        path = history.run_folder(run) / "state.safetensors"
        history.record_artefacts([Artefact(run, ["state"], 5, path, 10, "old")])
        history.record_artefacts([Artefact(run, ["state"], 9, path, 11, "new")])
        assert ask(history, "SELECT step, size, sha256 FROM artefacts") == [(9, 11, "new")]
        assert ask(history, "SELECT weights_sha256 FROM runs") == [(None,)]

    def test_that_a_file_is_given_back_once_nothing_refers_to_it(self, history: History) -> None:
        run = new_run(history)
        first, second, third = (history.run_folder(run) / f"state-{step}.safetensors" for step in (1, 2, 3))
        assert history.record_artefacts([Artefact(run, ["state", "best"], 1, first, 10, "a")]) == ()
        assert history.record_artefacts([Artefact(run, ["state"], 2, second, 10, "b")]) == ()
        assert history.record_artefacts([Artefact(run, ["state"], 3, third, 10, "c")]) == (second,)
        assert history.record_artefacts([Artefact(run, ["best"], 3, third, 10, "c")]) == (first,)

    def test_that_a_run_without_weights_is_a_sentence(self, history: History) -> None:
        run = new_run(history)
        assert history.artefact(run, "weights") is None
        with pytest.raises(HistoryError, match=f"run {run} has no weights"):
            history.weights_of(run)


class TestReuse:
    def finished(self, history: History, fingerprint: str = "f", status: str = "done", weights: bool = True) -> int:
        run = new_run(history, started=False)
        history.start_runs([Started(run=run, fingerprint=fingerprint, data_digest="d", steps=1, environment={})])
        if weights:
            history.record_artefacts([Artefact(run, ["weights"], 1, history.run_folder(run) / "weights.safetensors", 1, "hash")])
        history.finish_run(run, status, "")
        return run

    def test_that_the_newest_finished_run_with_weights_is_found(self, history: History) -> None:
        self.finished(history)
        newest = self.finished(history)
        self.finished(history, status="failed")
        self.finished(history, status="interrupted")
        self.finished(history, weights=False)
        self.finished(history, fingerprint="g")
        assert history.find_reusable("f") == newest
        assert history.find_reusable("h") is None

    def test_that_a_run_in_the_bin_is_not_found_until_it_is_taken_back(self, history: History) -> None:
        run = self.finished(history)
        with closing(open_database(history.path)) as database:
            delete(database, [run])
            assert history.find_reusable("f") is None
            take_back(database, [run])
            assert history.find_reusable("f") == run


def order(history: History) -> list[int]:
    return [row[0] for row in ask(history, "SELECT experiment FROM queue ORDER BY rank")]


class TestQueue:
    def test_that_an_experiment_is_claimed_once(self, history: History) -> None:
        experiment = history.enqueue(tiny())
        with History(history.path) as other:
            assert other.claim(experiment)
            assert not history.claim(experiment)
            assert not other.claim(experiment)

    def test_that_an_experiment_that_is_not_there_is_not_claimed(self, history: History) -> None:
        assert not history.claim(99)

    def test_that_a_finished_experiment_leaves_the_queue(self, history: History) -> None:
        experiment = history.enqueue(tiny())
        history.claim(experiment)
        history.finish_experiment(experiment, "done", "")
        assert ask(history, "SELECT count(*) FROM queue") == [(0,)]
        assert ask(history, "SELECT status FROM experiments") == [("done",)]
        assert not history.claim(experiment)

    def test_that_turns_go_by_rank_and_what_is_held_or_deleted_or_of_another_process_waits(self, history: History) -> None:
        first, second, third = (history.enqueue(tiny()) for _ in range(3))
        assert history.next_in_queue() == first
        with closing(open_database(history.path)) as database:
            hold(database, [first], True)
            assert history.next_in_queue() == second
            move(database, [third], before=second)
            assert history.next_in_queue() == third
            dequeue(database, [third])
            assert history.next_in_queue() == second
        with History(history.path) as other:
            assert other.next_in_queue() is None

    def test_that_experiments_are_moved_together_in_their_order_and_to_the_end(self, history: History) -> None:
        numbers = [history.enqueue(tiny()) for _ in range(4)]
        with closing(open_database(history.path)) as database:
            move(database, [numbers[2], numbers[3]], before=numbers[0])
            assert order(history) == [numbers[2], numbers[3], numbers[0], numbers[1]]
            move(database, [numbers[2]], before=None)
            assert order(history) == [numbers[3], numbers[0], numbers[1], numbers[2]]

    def test_that_what_is_taken_out_of_the_queue_comes_back_to_its_place(self, history: History) -> None:
        first, second = history.enqueue(tiny()), history.enqueue(tiny())
        with closing(open_database(history.path)) as database:
            taken = dequeue(database, [first])
            assert [row.id for row in reading.list_experiments(database)] == [second]
            put_back(database, taken)
        assert order(history) == [first, second]
        assert history.next_in_queue() == first

    def test_that_what_is_under_way_is_neither_moved_nor_taken_out(self, history: History) -> None:
        experiment = history.enqueue(tiny())
        history.claim(experiment)
        with closing(open_database(history.path)) as database:
            assert dequeue(database, [experiment]) == []
        assert ask(history, "SELECT status FROM experiments") == [("running",)]

    def test_that_a_process_leaves_what_it_has_not_begun_held_for_the_next(self, history_path: Path) -> None:
        with History(history_path) as history:
            experiment = history.enqueue(tiny())
            history.leave_queue()
        with History(history_path) as history:
            assert history.next_in_queue() is None
            with closing(open_database(history_path)) as database:
                hold(database, [experiment], False)
            assert history.next_in_queue() == experiment

    def test_that_an_interrupted_experiment_stays_in_the_queue_and_goes_on_when_a_person_says_so(self, history: History) -> None:
        experiment = history.enqueue(tiny())
        history.claim(experiment)
        history.finish_experiment(experiment, "interrupted", "")
        assert history.next_in_queue() is None
        history.resume(experiment)
        assert history.next_in_queue() == experiment
        assert ask(history, "SELECT status FROM experiments") == [("waiting",)]

    def test_that_an_experiment_comes_back_as_it_was_launched(self, history: History) -> None:
        config = tiny(distillation__temperature=7, transfer__leave_out=[1])
        assert history.experiment_config(history.enqueue(config)) == config


KILLED = """
import sys
from pathlib import Path
from tests.experiments import tiny
from workbench.config import RunConfig
from workbench.history.writing import Entry, History, Started
history = History(Path(sys.argv[1]))
experiment = history.enqueue(tiny())
history.claim(experiment)
entry = Entry(role="teacher", name="teacher", config=RunConfig())
for run in history.enter(experiment, [entry] * 3)[:2]:
    history.start_runs([Started(run=run, fingerprint="f", data_digest="d", steps=1, environment={})])
history.finish_run(1, "done", "")
print("ready", flush=True)
sys.stdin.readline()
"""


def test_that_what_a_killed_process_left_is_marked_interrupted_and_what_a_live_one_does_is_not(
    history_path: Path, python: Start
) -> None:
    process = python(KILLED, history_path)
    said(process, "ready")
    with History(history_path) as history:
        statuses = "SELECT status FROM runs ORDER BY id"
        assert ask(history, statuses) == [("done",), ("running",), ("waiting",)]
        assert ask(history, "SELECT status FROM experiments") == [("running",)]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert history.mark_interrupted() == 2
        assert ask(history, statuses) == [("done",), ("interrupted",), ("interrupted",)]
        assert history.mark_interrupted() == 0
        assert ask(history, "SELECT status, message FROM experiments") == [
            ("interrupted", "the program ended before the run did")
        ]
        assert ask(history, "SELECT held, claimed_by, process FROM queue") == [(2, None, None)]
        assert history.next_in_queue() is None


def test_that_a_history_whose_lock_finds_no_room_is_a_sentence_and_opens_once_there_is(
    history_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    History(history_path).close()
    with monkeypatch.context() as patch:
        patch.setattr(writing, "ProcessLock", no_room)
        with pytest.raises(CannotWrite, match=r"beside .*experiments.db \(No space left on device; [0-9,]+ MB free\)") as told:
            History(history_path)
    assert "\n" not in str(told.value)
    with History(history_path) as history:
        assert history.next_in_queue() is None


def test_that_opening_the_history_marks_what_a_killed_process_left(history_path: Path, python: Start) -> None:
    process = python(KILLED, history_path)
    said(process, "ready")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with History(history_path) as history:
        assert ask(history, "SELECT status FROM runs ORDER BY id") == [("done",), ("interrupted",), ("interrupted",)]


def test_that_a_second_history_of_the_same_process_leaves_the_runs_of_the_first_alone(history: History) -> None:
    run = new_run(history)
    with History(history.path):
        assert ask(history, "SELECT status FROM runs WHERE id = ?", run) == [("running",)]


WRITER = """
import sys
from pathlib import Path
from tests.experiments import add_run, tiny
from workbench.events import Metrics
from workbench.history.writing import History
print("ready", flush=True)
sys.stdin.readline()
with History(Path(sys.argv[1])) as history:
    experiment = history.enqueue(tiny())
    run = add_run(history, experiment, "teacher")
    for step in range(150):
        history.write_metrics([Metrics(run, step, step / 10, step / 100, (("loss", float(step)), ("learning_rate", 0.1)))])
    history.finish_run(run, "done", "")
"""


def test_that_two_processes_and_a_reader_may_use_a_history_at_once(history_path: Path, python: Start) -> None:
    processes = [python(WRITER, history_path) for _ in range(2)]
    for process in processes:
        said(process, "ready")
    for process in processes:
        go_on(process)
    with History(history_path) as history:
        while any(process.poll() is None for process in processes):
            history.enqueue(tiny())
            ask(history, "SELECT count(*), max(value) FROM metrics")
        for process in processes:
            ended(process)
        assert ask(history, "SELECT run, count, last FROM summary WHERE metric = 'loss' ORDER BY run") == [
            (1, 150, 149.0),
            (2, 150, 149.0),
        ]
        assert ask(history, "SELECT status FROM runs") == [("done",), ("done",)]
        assert ask(history, "PRAGMA integrity_check") == [("ok",)]


def test_that_a_config_is_stored_as_json_that_anybody_reads(history: History) -> None:
    new_run(history)
    ((config,),) = ask(history, "SELECT config FROM runs")
    assert json.loads(config) == CONFIG.to_dict()
