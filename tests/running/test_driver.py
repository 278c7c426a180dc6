"""Driving an experiment: what is done, reused, paused, stopped, failed and skipped, and what the history says of it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.distill.data_files import digit_pictures
from tests.experiments import DIVERGING, add_run, any_config, engine, launch, tiny
from workbench.config import ExperimentConfig
from workbench.distill import checkpoints, training
from workbench.distill.evaluation import logits_on
from workbench.distill.models import build
from workbench.errors import CannotWrite, WorkbenchError
from workbench.events import (
    CheckpointWritten,
    EpochEnded,
    Event,
    ExperimentFinished,
    ExperimentStarted,
    Metrics,
    Note,
    Paused,
    RunFinished,
    RunStarted,
)
from workbench.history import reading
from workbench.history.changes import delete, dequeue, put_back
from workbench.history.curves import read_curve
from workbench.history.database import files_folder, open_database, open_for_reading
from workbench.history.reading import RunRow
from workbench.history.writing import History
from workbench.questions import images
from workbench.running import device_lease, driver
from workbench.running.driver import Control
from workbench.running.engine import Engine, EngineSettings
from workbench.running.experiment import continue_run, run_experiment

FAILING: dict[str, Any] = {f"teacher_training__{key}": value for key, value in DIVERGING.items()}


@pytest.fixture
def history(history_path: Path) -> Iterator[History]:
    with History(history_path) as opened:
        yield opened


def rows(history: History, experiment: int = 0) -> list[RunRow]:
    """The runs of an experiment, or all, by number."""
    with closing(open_for_reading(history.path)) as database:
        found = reading.list_runs(database)
    return sorted((row for row in found if experiment in (0, row.experiment)), key=lambda row: row.id)


def finished(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.name, event.status) for event in events if isinstance(event, RunFinished)]


def ask(history: History, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(open_for_reading(history.path)) as database:
        return [tuple(row) for row in database.execute(sql, list(values)).fetchall()]


def weights(history: History, run: int) -> dict[str, torch.Tensor]:
    stored = history.weights_of(run)
    return checkpoints.read(stored.path, stored.sha256)[0]


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def digits_as_idx(folder: Path, cases: int) -> Path:
    """Some of the digits as another data set of the same kind."""
    from tests.distill.data_files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, idx_bytes, write_idx
    from workbench.distill.builtin import read_digits

    train, test = read_digits()
    arrays = (train.images[:cases, 0], train.labels[:cases], test.images[:, 0], test.labels)
    names = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    return write_idx(folder, {name: idx_bytes(array) for name, array in zip(names, arrays, strict=True)})


class Told(list[Event]):
    """Keeps events, and does something at some of them."""

    def __init__(self, kind: type[Event], act: Callable[[Any], None]) -> None:
        super().__init__()
        self.kind, self.act = kind, act

    def __call__(self, event: Event) -> None:
        self.append(event)
        if isinstance(event, self.kind):
            self.act(event)


class TestDone:
    def test_that_every_run_of_the_plan_is_done_and_told_in_order(self, history: History) -> None:
        status, events = launch(history, tiny())
        assert status == "done"
        assert finished(events) == [(name, "done") for name in ("teacher 1", "teacher 2", "baseline", "student")]
        assert events[0] == ExperimentStarted(1, "tiny", (1, 2, 3, 4))
        assert events[-1] == ExperimentFinished(1, "tiny", "done", "")
        assert [event.run for event in events if isinstance(event, RunStarted)] == [1, 2, 3, 4]
        assert [(row.role, row.status, row.message) for row in rows(history)] == [
            ("teacher", "done", ""),
            ("teacher", "done", ""),
            ("baseline", "done", ""),
            ("student", "done", ""),
        ]
        assert ask(history, "SELECT status FROM experiments") == [("done",)]
        assert ask(history, "SELECT count(*) FROM queue") == [(0,)]

    def test_that_a_finished_run_has_figures_metrics_weights_and_predictions(self, history: History) -> None:
        _, events = launch(history, tiny())
        for row in rows(history):
            figures = row.figures
            assert figures["test_size"] == 500
            assert figures["test_accuracy"] == pytest.approx(1 - figures["test_errors"] / 500)
            assert row.step == row.steps
            assert row.train_seconds > 0
            assert row.samples_per_second is not None
            assert row.samples_per_second > 0
            with closing(open_for_reading(history.path)) as database:
                stored = read_curve(database, row.id, "loss")
                told = [event for event in events if isinstance(event, Metrics) and event.run == row.id]
                assert stored.value.tolist() == [dict(event.values)["loss"] for event in told if "loss" in dict(event.values)]
                logits = reading.predictions(database, row.id)
            assert logits is not None
            data = engine().data(tiny().data)
            assert int((logits.argmax(axis=1) != data.test.labels.numpy()).sum()) == pytest.approx(figures["test_errors"], abs=1)

    def test_that_the_weights_on_disk_give_the_figures_in_the_history(self, history: History) -> None:
        launch(history, tiny())
        data = engine().data(tiny().data)
        for row in rows(history):
            model = build(history.past_run(row.id).config.model, data.shape, 10)
            model.load_state_dict(weights(history, row.id))
            predicted = logits_on(model, data, data.test.images).argmax(dim=1)
            assert int((predicted != data.test.labels).sum()) == row.figures["test_errors"]

    def test_that_a_student_is_compared_with_its_ensemble(self, history: History) -> None:
        launch(history, tiny())
        *others, student = rows(history)
        figures = student.figures
        assert 0 <= figures["teacher_agreement"] <= 1
        assert figures["teacher_kl"] > 0
        with closing(open_for_reading(history.path)) as database:
            teachers = [reading.predictions(database, run) for run in (1, 2)]
            assert reading.parents(database, student.id) == (1, 2)
        mean = np.mean([softmax(logits) for logits in teachers if logits is not None], axis=0)
        wrong = int((mean.argmax(axis=1) != engine().data(tiny().data).test.labels.numpy()).sum())
        assert figures["ensemble_test_errors"] == pytest.approx(wrong, abs=2)
        assert all("teacher_kl" not in row.figures for row in others)

    def test_that_parameters_and_environment_are_recorded(self, history: History) -> None:
        launch(history, tiny())
        assert [row.parameters for row in rows(history)] == [64 * 16 + 16 + 160 + 10] * 2 + [64 * 8 + 8 + 80 + 10] * 2
        with closing(open_for_reading(history.path)) as database:
            environment = reading.run_details(database, 1).environment
        assert environment["torch"] == torch.__version__
        assert (environment["device"], environment["threads"], environment["precision"]) == ("cpu", 1, "float32")

    def test_that_an_unlabelled_transfer_set_is_learned_from(self, history: History) -> None:
        status, _ = launch(history, tiny(transfer__labelled=False, distillation__hard_weight=0))
        assert status == "done"
        with closing(open_for_reading(history.path)) as database:
            assert "hard_loss" not in reading.metric_names(database, [4])
            assert "hard_loss" in reading.metric_names(database, [3])

    @pytest.mark.parametrize("jitter", [0, 1])
    def test_that_a_student_learns_from_own_images_alone(self, history: History, tmp_path: Path, jitter: int) -> None:
        folder = digit_pictures(tmp_path / "mine", 800)
        (folder / "torn.png").write_bytes(b"no picture")
        config = tiny(
            transfer={"fraction": 0, "images": str(folder)},
            distillation__baseline=False,
            teacher_training__epochs=15,
            student__units=32,
            training={"epochs": 15, "batch_size": 32, "learning_rate": 0.003, "jitter": jitter},
        )
        status, events = launch(history, config)
        assert status == "done"
        student = rows(history)[-1]
        assert student.figures["test_accuracy"] > 0.6
        assert student.steps == 15 * 25
        said = [event.text for event in events if isinstance(event, Note) and event.run == student.id]
        assert said == [f"1 picture of {folder} cannot be read and is left out: torn.png"]
        with closing(open_for_reading(history.path)) as database:
            assert reading.run_details(database, student.id).notes

    def test_that_a_student_of_own_images_can_teach_and_be_corrected(self, history: History, tmp_path: Path) -> None:
        folder = digit_pictures(tmp_path / "mine", 20)
        launch(history, tiny(transfer={"fraction": 0.1, "leave_out": [3], "images": str(folder)}))
        (folder / "0000.png").unlink()
        assert images.bias_samples(4)(engine(), history).missing == (3,)
        status, events = launch(history, tiny(teachers=[{"model": "mlp", "run": 4}]))
        assert status == "done"
        assert not any("which was trained on" in event.text for event in events if isinstance(event, Note))

    def test_that_a_student_with_jitter_learns_from_teachers_on_its_own_views(self, history: History) -> None:
        status, _ = launch(history, tiny(training__jitter=1))
        assert status == "done"

    def test_that_an_early_stop_is_said(self, history: History) -> None:
        config = tiny(training__patience=1, training__epochs=60, training__optimizer="sgd", training__learning_rate=1.5)
        launch(history, config)
        messages = [row.message for row in rows(history) if row.role == "baseline"]
        assert messages[0].startswith("stopped early after ")
        assert rows(history)[2].status == "done"

    def test_that_an_experiment_is_done_once(self, history: History) -> None:
        _, events = launch(history, tiny())
        assert isinstance(events[0], ExperimentStarted)
        with pytest.raises(WorkbenchError, match="experiment 1 is not waiting"):
            run_experiment(engine(), history, 1, Control(), events.append)


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


class TestReuse:
    def test_that_teachers_and_the_baseline_are_reused_and_the_student_is_trained_again(self, history: History) -> None:
        launch(history, tiny())
        status, events = launch(history, tiny())
        assert status == "done"
        assert finished(events) == [("teacher 1", "reused"), ("teacher 2", "reused"), ("baseline", "reused"), ("student", "done")]
        assert events[0] == ExperimentStarted(2, "tiny", (1, 2, 3, 5))
        assert [row.id for row in rows(history)] == [1, 2, 3, 4, 5]
        assert same(weights(history, 4), weights(history, 5))
        with closing(open_for_reading(history.path)) as database:
            assert [(row.id, row.role, row.reused) for row in reading.experiment_rows(database, 2)] == [
                (1, "teacher", True),
                (2, "teacher", True),
                (3, "baseline", True),
                (5, "student", False),
            ]
            assert reading.parents(database, 5) == (1, 2)

    @pytest.mark.parametrize(
        ("changes", "again"),
        [
            ({"distillation__temperature": 9}, {"student"}),
            ({"name": "other"}, {"student"}),
            ({"seed": 1}, {"baseline", "student"}),
            ({"teacher_seed": 1}, {"teacher 2", "student"}),
            ({"teachers__0__count": 3}, {"teacher 3", "student"}),
            ({"data__split_seed": 1}, {"teacher 1", "teacher 2", "baseline", "student"}),
        ],
        ids=lambda part: "-".join(sorted(part)),
    )
    def test_that_only_what_a_change_touches_is_trained_again(
        self, changes: dict[str, Any], again: set[str], history: History
    ) -> None:
        launch(history, tiny())
        _, events = launch(history, tiny(**changes))
        assert {name for name, status in finished(events) if status == "done"} == again

    @pytest.mark.parametrize("damage", ["flip a bit", "delete"])
    def test_that_a_teacher_whose_checkpoint_does_not_verify_is_trained_again_with_a_note(
        self, damage: str, history: History
    ) -> None:
        launch(history, tiny())
        path = history.weights_of(1).path
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content) if damage == "flip a bit" else path.unlink()
        status, events = launch(history, tiny())
        assert status == "done"
        assert finished(events)[:2] == [("teacher 1", "done"), ("teacher 2", "reused")]
        assert [event.text for event in events if isinstance(event, Note)] == [
            "the weights of run 1 are damaged or gone; teacher 1 is trained again"
        ]
        with closing(open_for_reading(history.path)) as database:
            assert reading.parents(database, 6) == (5, 2)

    def test_that_a_past_run_is_a_teacher_as_it_is(self, history: History) -> None:
        launch(history, tiny())
        config = tiny(teachers=[{"run": 4}, {"units": 16, "layers": 1}])
        status, events = launch(history, config)
        assert status == "done"
        assert finished(events) == [("teacher 1", "reused"), ("teacher 2", "reused"), ("baseline", "reused"), ("student", "done")]
        with closing(open_for_reading(history.path)) as database:
            assert reading.parents(database, 5) == (4, 1)

    def test_that_a_past_run_of_other_data_of_the_same_kind_teaches_with_a_note(self, history: History, tmp_path: Path) -> None:
        launch(history, tiny())
        copy = digits_as_idx(tmp_path / "copy", cases=900)
        status, events = launch(history, tiny(data__dataset=str(copy), teachers=[{"run": 1}]))
        assert status == "done"
        assert [event.text for event in events if isinstance(event, Note)] == ["teacher 1 is run 1, which was trained on digits"]

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"teachers": [{"units": 16}, {"run": 5}]}, "teachers.1.run: run 5 is failed; pick a finished run"),
            ({"teachers": [{"run": 9}]}, "teachers.0.run: there is no run 9"),
            ({"teachers": [{"run": 1}], "data__split_seed": 3}, "set data.split_seed to 0 and data.validation_fraction to 0.1"),
            ({"teachers": [{"run": 1}], "data__validation_fraction": 0.2}, "has trained on cases that are kept for validation"),
            ({"teachers": [{"run": 1}], "data__invert": True}, "run 1 was trained on other images of digits"),
            ({"teachers": [{"run": 2}]}, "is damaged: its SHA-256"),
            ({"teachers": [{"run": 3}]}, "the weights of run 3 are gone"),
            ({"teachers": [{"run": 1}], "data__dataset": "IDX"}, r"run 1 was trained on images of \[1, 8, 8\] and 10 classes"),
        ],
        ids=["failed", "absent", "split seed", "validation", "pixels", "damaged", "gone", "other data"],
    )
    def test_that_a_past_run_that_cannot_teach_is_refused_before_anything_is_trained(
        self, changes: dict[str, Any], words: str, history: History, tmp_path: Path
    ) -> None:
        from tests.distill.data_files import write_idx

        launch(history, tiny())
        history.finish_run(add_run(history, history.enqueue(tiny()), "teacher", history.past_run(1).config), "failed", "")
        flip_a_bit(history.weights_of(2).path)
        history.weights_of(3).path.unlink()
        if changes.get("data__dataset"):
            changes = changes | {"data__dataset": str(write_idx(tmp_path / "idx"))}
        status, events = launch(history, tiny(**changes))
        assert (status, finished(events), len(rows(history))) == ("failed", [], 5)
        assert re.search(words, str(events[-1]))

    def test_that_launching_again_gives_the_same_weights_in_another_history(self, history: History, tmp_path: Path) -> None:
        launch(history, tiny())
        with History(tmp_path / "other.db") as other:
            launch(other, tiny())
            for run in (1, 2, 3, 4):
                assert same(weights(history, run), weights(other, run))
                assert history.weights_of(run).sha256 == other.weights_of(run).sha256


class TestPausing:
    def test_that_a_pause_in_the_middle_changes_nothing_in_the_final_weights(self, history: History, tmp_path: Path) -> None:
        launch(history, tiny())
        waits = 0

        def between_events() -> None:
            nonlocal waits
            if control.paused:
                waits += 1
                if waits % 3 == 0:
                    control.resume()

        def pause(event: Metrics) -> None:
            if event.step % 3 == 2:
                control.pause()

        control = Control(between_events)
        told = Told(Metrics, pause)
        with History(tmp_path / "other.db") as other:
            status = run_experiment(engine(), other, other.enqueue(tiny()), control, told)
            assert status == "done"
            pauses = [event.paused for event in told if isinstance(event, Paused)]
            assert len(pauses) >= 8
            assert pauses == [True, False] * (len(pauses) // 2)
            for run in (1, 2, 3, 4):
                assert same(weights(history, run), weights(other, run))
                assert ask(history, "SELECT metric, step, value FROM metrics WHERE run = ?", run) == ask(
                    other, "SELECT metric, step, value FROM metrics WHERE run = ?", run
                )

    def test_that_what_came_before_a_pause_is_in_the_history_while_it_lasts(self, history: History) -> None:
        seen: list[tuple[Any, ...]] = []
        control = Control()

        def emit(event: Event) -> None:
            if isinstance(event, Metrics) and (event.run, event.step) == (1, 5):
                control.pause()
            if event == Paused(1, True):
                seen.extend(ask(history, "SELECT max(step), count(*) FROM metrics WHERE run = 1 AND metric = 'loss'"))
                control.resume()

        run_experiment(engine(), history, history.enqueue(tiny()), control, emit)
        assert seen == [(5, 5)]


class TestStopping:
    @pytest.mark.parametrize(("end", "status"), [(Control.stop, "stopped"), (Control.interrupt, "interrupted")])
    @pytest.mark.parametrize("paused", [False, True])
    def test_that_a_stop_leaves_a_checkpoint_from_which_the_run_ends_as_if_it_had_not_been(
        self, end: Callable[[Control], None], status: str, paused: bool, history: History, tmp_path: Path
    ) -> None:
        def stop(event: Metrics) -> None:
            if (event.run, event.step) == (2, 7):
                if paused:
                    control.pause()
                end(control)

        control = Control()
        told = Told(Metrics, stop)
        assert run_experiment(engine(), history, history.enqueue(tiny()), control, told) == status
        assert [(row.name, row.status) for row in rows(history)] == [
            ("teacher 1", "done"),
            ("teacher 2", status),
            ("baseline", status),
            ("student", status),
        ]
        assert rows(history)[1].message.startswith("at epoch 0.")
        assert rows(history)[1].step == 7
        assert ask(history, "SELECT status FROM experiments") == [(status,)]
        history.resume(1)
        started: list[RunStarted] = []
        again = Told(RunStarted, started.append)
        assert run_experiment(engine(), history, 1, Control(), again) == "done"
        assert finished(again)[0] == ("teacher 1", "done")
        assert (started[0].run, started[0].step) == (2, 7)
        assert ask(history, "SELECT run FROM members") == [(1,), (2,), (3,), (4,)]
        with History(tmp_path / "other.db") as other:
            launch(other, tiny())
            assert_alike(history, other)

    def test_that_a_stop_before_the_first_step_leaves_every_run_stopped(self, history: History) -> None:
        control = Control()
        control.stop()
        status, events = launch(history, tiny(), control)
        assert status == "stopped"
        assert isinstance(events[-1], ExperimentFinished)
        assert {row.status for row in rows(history)} <= {"stopped"}


def no_room(path: Path, *_: object) -> tuple[int, str]:
    raise CannotWrite(f"the checkpoint {path} cannot be written (No space left on device)")


def assert_alike(history: History, other: History) -> None:
    """The same weights, curves and figures, bit for bit, but for how long an image took."""
    for run in (row.id for row in rows(history)):
        assert same(weights(history, run), weights(other, run))
    for table in ("metrics", "results WHERE name <> 'latency_ms'", "summary"):
        own, theirs = (ask(one, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for one in (history, other))
        assert own == theirs


class TestGoingOn:
    @pytest.mark.parametrize("seed", range(6))
    def test_that_a_run_interrupted_anywhere_again_and_again_ends_as_one_left_alone(
        self, seed: int, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(driver, "EPOCH_CHECKPOINT_SECONDS", 0.0)
        random = np.random.default_rng(seed)
        config = any_config(random)
        experiment = history.enqueue(config)
        for attempt in range(20):
            control, left = Control(), int(random.integers(1, 25)) if attempt < 6 else -1

            def count(_: Metrics) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    control.interrupt()  # noqa: B023

            status = run_experiment(engine(), history, experiment, control, Told(Metrics, count))
            if status == "done":
                break
            history.resume(experiment)
        assert status == "done"
        with History(tmp_path / "other.db") as other:
            launch(other, config)
            assert_alike(history, other)

    def test_that_a_damaged_checkpoint_is_passed_over_for_the_one_before_with_a_note(
        self, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(driver, "EPOCH_CHECKPOINT_SECONDS", 0.0)
        control = Control()
        told = Told(Metrics, lambda event: control.interrupt() if (event.run, event.step) == (1, 30) else None)
        run_experiment(engine(), history, history.enqueue(tiny(teacher_training__batch_size=64)), control, told)
        newest, best = history.artefact(1, "state"), history.artefact(1, "best")
        assert newest is not None
        assert best is not None
        assert newest.path != best.path
        flip_a_bit(newest.path)
        history.resume(1)
        started: list[RunStarted] = []
        again = Told(RunStarted, started.append)
        assert run_experiment(engine(), history, 1, Control(), again) == "done"
        assert 0 < started[0].step < 30
        assert any("is damaged" in event.text for event in again if isinstance(event, Note))
        with History(tmp_path / "other.db") as other:
            launch(other, tiny(teacher_training__batch_size=64))
            assert_alike(history, other)

    def test_that_a_run_whose_data_has_changed_meanwhile_does_not_go_on(self, history: History, tmp_path: Path) -> None:
        folder = digits_as_idx(tmp_path / "digits", cases=500)
        control = Control()
        told = Told(Metrics, lambda _: control.stop())
        run_experiment(engine(), history, history.enqueue(tiny(data__dataset=str(folder))), control, told)
        digits_as_idx(folder, cases=501)
        history.resume(1)
        assert run_experiment(engine(), history, 1, Control(), lambda _: None) == "failed"
        assert rows(history)[0].message.endswith("is no longer what this run began with; launch it anew")

    def test_that_a_teacher_whose_weights_are_gone_meanwhile_is_trained_again(self, history: History) -> None:
        control = Control()
        told = Told(Metrics, lambda event: control.stop() if event.run == 3 else None)
        run_experiment(engine(), history, history.enqueue(tiny()), control, told)
        history.weights_of(1).path.unlink()
        history.artefact(1, "state").path.unlink()  # type: ignore[union-attr]
        history.resume(1)
        assert run_experiment(engine(), history, 1, Control(), lambda _: None) == "done"
        assert history.weights_of(1).path.exists()

    def test_that_a_deleted_run_that_is_gone_on_with_is_there_again(self, history: History) -> None:
        control = Control()
        run_experiment(engine(), history, history.enqueue(tiny()), control, Told(Metrics, lambda _: control.stop()))
        with closing(open_database(history.path)) as database:
            delete(database, [1, 2, 3, 4], [1])
        history.resume(1)
        assert run_experiment(engine(), history, 1, Control(), lambda _: None) == "done"
        assert {row.status for row in rows(history)} == {"done"}

    def test_that_what_is_taken_out_of_the_queue_can_still_be_resumed(self, history: History) -> None:
        control = Control()
        run_experiment(engine(), history, history.enqueue(tiny()), control, Told(Metrics, lambda _: control.stop()))
        history.resume(1)
        with closing(open_database(history.path)) as database:
            taken = dequeue(database, [1])
            assert ask(history, "SELECT status FROM experiments") == [("stopped",)]
            put_back(database, taken)
            assert ask(history, "SELECT status FROM experiments") == [("waiting",)]
            dequeue(database, [1])
        history.resume(1)
        assert run_experiment(engine(), history, 1, Control(), lambda _: None) == "done"

    def test_that_no_checkpoint_file_is_left_that_nothing_refers_to(self, history: History) -> None:
        launch(history, tiny())
        recorded = {files_folder(history.path) / path for (path,) in ask(history, "SELECT path FROM artefacts")}
        assert set((files_folder(history.path) / "runs").rglob("*.safetensors")) == recorded

    def test_that_what_failed_is_tried_again_and_what_it_kept_from_being_done_too(self, history: History) -> None:
        launch(history, tiny(**FAILING))
        before = weights(history, 3)
        history.resume(1)
        again: list[Event] = []
        assert run_experiment(engine(), history, 1, Control(), again.append) == "failed"
        assert finished(again) == [
            ("teacher 1", "failed"),
            ("teacher 2", "failed"),
            ("baseline", "done"),
            ("student", "skipped"),
        ]
        assert same(before, weights(history, 3))


class TestContinuing:
    def test_that_a_finished_run_goes_on_with_more_epochs_as_a_new_run_and_stays_as_it_was(
        self, history: History, tmp_path: Path
    ) -> None:
        constant = {"training__schedule": "constant", "training__keep": "last"}
        launch(history, tiny(**constant))
        before = (weights(history, 4), ask(history, "SELECT * FROM metrics WHERE run = 4"), rows(history)[3])
        experiment = continue_run(history, 4, 7)
        assert run_experiment(engine(), history, experiment, Control(), lambda _: None) == "done"
        (new,) = rows(history, experiment)
        assert (new.role, new.epochs, ask(history, "SELECT continued_from, continued_step FROM runs WHERE id = 5")) == (
            "student",
            7.0,
            [(4, before[2].step)],
        )
        assert (weights(history, 4), ask(history, "SELECT * FROM metrics WHERE run = 4"), rows(history)[3])[1:] == before[1:]
        assert same(weights(history, 4), before[0])
        with History(tmp_path / "other.db") as other:
            launch(other, tiny(training__epochs=7, **constant))
            assert same(weights(history, 5), weights(other, 4))
            with closing(open_for_reading(history.path)) as own, closing(open_for_reading(other.path)) as theirs:
                joined, whole = read_curve(own, 5, "loss"), read_curve(theirs, 4, "loss")
                assert np.array_equal(joined.value, whole.value)
                assert np.array_equal(joined.step, whole.step)

    def test_that_it_goes_on_from_the_best_epoch_where_that_is_asked_for(
        self, history: History, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(driver, "EPOCH_CHECKPOINT_SECONDS", 0.0)
        launch(history, tiny())
        best = ask(history, "SELECT step FROM artefacts WHERE run = 1 AND kind = 'best'")[0][0]
        experiment = continue_run(history, 1, 5, "best")
        run_experiment(engine(), history, experiment, Control(), lambda _: None)
        assert ask(history, "SELECT continued_step FROM runs WHERE id = 5") == [(best,)]
        assert ask(history, "SELECT min(step) FROM points WHERE run = 5")[0][0] > best

    def test_that_a_continued_teacher_does_not_stand_in_for_one_trained_in_one_go(self, history: History) -> None:
        launch(history, tiny())
        run_experiment(engine(), history, continue_run(history, 1, 5), Control(), lambda _: None)
        status, events = launch(history, tiny(teacher_training__epochs=5))
        assert (status, finished(events)[0]) == ("done", ("teacher 1", "done"))

    def test_that_a_run_that_stopped_early_goes_on_all_the_same(self, history: History) -> None:
        launch(history, tiny(training__epochs=60, training__patience=1, training__learning_rate=0.05))
        stopped = rows(history)[3]
        assert stopped.message.startswith("stopped early")
        experiment = continue_run(history, 4, 70)
        assert run_experiment(engine(), history, experiment, Control(), lambda _: None) == "done"
        (new,) = rows(history, experiment)
        assert (new.epochs, new.message) == (70.0, "")

    def test_that_a_checkpoint_that_cannot_be_copied_leaves_nothing_behind(
        self, history: History, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        launch(history, tiny())
        monkeypatch.setattr(checkpoints, "write", no_room)
        with pytest.raises(CannotWrite):
            continue_run(history, 4, 9)
        assert ask(history, "SELECT count(*) FROM experiments") == [(1,)]
        assert ask(history, "SELECT count(*) FROM runs") == [(4,)]

    def test_that_own_images_that_have_changed_since_are_not_gone_on_with(self, history: History, tmp_path: Path) -> None:
        folder = digit_pictures(tmp_path / "mine", 20)
        launch(history, tiny(transfer__images=str(folder)))
        same, other = (continue_run(history, 4, epochs) for epochs in (5, 6))
        assert run_experiment(engine(), history, same, Control(), lambda _: None) == "done"
        digit_pictures(folder, 21)
        assert run_experiment(engine(), history, other, Control(), lambda _: None) == "failed"
        message = f"digits with {folder} is no longer what this run began with; launch it anew"
        assert rows(history, other)[0].message == message

    def test_that_data_that_has_changed_since_is_not_gone_on_with(self, history: History, tmp_path: Path) -> None:
        folder = digits_as_idx(tmp_path / "digits", cases=500)
        launch(history, tiny(data__dataset=str(folder)))
        experiment = continue_run(history, 4, 9)
        digits_as_idx(folder, cases=501)
        assert run_experiment(engine(), history, experiment, Control(), lambda _: None) == "failed"
        assert rows(history, experiment)[0].message.endswith("is no longer what this run began with; launch it anew")

    @pytest.mark.parametrize(
        ("run", "epochs", "kind", "words"),
        [
            (4, 3, "state", "run 4 has 3 epochs behind it at that checkpoint; ask for more"),
            (4, 9, "nothing", "run 4 has no such checkpoint"),
            (77, 9, "state", "there is no run 77"),
        ],
    )
    def test_that_what_cannot_go_on_is_a_sentence_and_adds_nothing(
        self, run: int, epochs: int, kind: str, words: str, history: History
    ) -> None:
        launch(history, tiny())
        with pytest.raises(WorkbenchError, match=words):
            continue_run(history, run, epochs, kind)
        assert ask(history, "SELECT count(*) FROM experiments") == [(1,)]


class TestDiverging:
    @pytest.fixture
    def failed(self, history: History) -> tuple[str, list[Event]]:
        return launch(history, tiny(**FAILING))

    def test_that_the_run_fails_with_a_sentence_and_what_needs_it_is_skipped_and_the_rest_done(
        self, history: History, failed: tuple[str, list[Event]]
    ) -> None:
        status, events = failed
        assert status == "failed"
        assert finished(events) == [
            ("teacher 1", "failed"),
            ("teacher 2", "failed"),
            ("baseline", "done"),
            ("student", "skipped"),
        ]
        first, _, baseline, student = rows(history)
        assert first.message.startswith("the ")
        assert "lower the learning rate (100)" in first.message
        assert "\n" not in first.message
        assert student.message == "not done, because teacher 1, teacher 2 failed"
        assert baseline.figures["test_size"] == 500
        assert ask(history, "SELECT status, message FROM experiments") == [("failed", "not done: teacher 1, teacher 2, student")]

    def test_that_the_best_checkpoint_is_kept(self, history: History, failed: tuple[str, list[Event]]) -> None:
        _, events = failed
        best = [event.epoch for event in events if isinstance(event, EpochEnded) and event.run == 1 and event.best]
        assert best, "no epoch ended well: the test shows nothing"
        assert [event.kind for event in events if isinstance(event, CheckpointWritten) and event.run == 1] == ["weights"]
        assert all(bool(torch.isfinite(tensor).all()) for tensor in weights(history, 1).values())

    def test_that_the_value_that_is_no_number_is_stored_apart(self, history: History, failed: tuple[str, list[Event]]) -> None:
        apart = ask(history, "SELECT metric, kind FROM nonfinite WHERE run = 1")
        assert {metric for metric, _ in apart} & {"loss", "val_loss"}
        assert {kind for _, kind in apart} <= {"nan", "inf"}
        assert ask(history, "SELECT count(*) FROM metrics WHERE run = 1 AND abs(value) > 1e38") == [(0,)]

    def test_that_a_failed_run_is_never_reused(self, history: History, failed: tuple[str, list[Event]]) -> None:
        _, events = launch(history, tiny(**FAILING))
        assert finished(events)[:3] == [("teacher 1", "failed"), ("teacher 2", "failed"), ("baseline", "reused")]

    def test_that_a_student_that_diverges_fails_alone(self, history: History) -> None:
        student = {f"training__{key}": value for key, value in DIVERGING.items()}
        status, events = launch(history, tiny(**student, distillation__baseline=False))
        assert (status, finished(events)[-1]) == ("failed", ("student", "failed"))


class TestADiskThatDoesNotTakeIt:
    def test_that_a_checkpoint_waits_for_room_and_the_run_ends_as_if_nothing_had_been(
        self, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(driver, "RETRY_SECONDS", 0.1)
        in_the_way = files_folder(history.path) / "runs"
        in_the_way.write_text("not a folder")
        told = Told(Note, lambda _: in_the_way.unlink() if in_the_way.is_file() else None)
        assert run_experiment(engine(), history, history.enqueue(tiny()), Control(), told) == "done"
        words = [event.text for event in told if isinstance(event, Note)]
        assert "cannot be written (Not a directory" in words[0]
        assert words[1:] == ["What had to wait is written; training goes on."]
        with History(tmp_path / "other.db") as other:
            launch(other, tiny())
            assert same(weights(history, 4), weights(other, 4))

    def test_that_a_history_somebody_holds_is_waited_for_and_loses_nothing(
        self, history: History, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(driver, "RETRY_SECONDS", 0.05)
        history.wait_at_most(0.05)
        holder = open_database(history.path)
        experiment = history.enqueue(tiny())

        def hold(_: RunStarted) -> None:
            if not holder.conn.in_transaction:
                holder.execute("BEGIN IMMEDIATE")

        def let_go(_: Note) -> None:
            if holder.conn.in_transaction:
                holder.execute("ROLLBACK")

        events: list[Event] = []

        def emit(event: Event) -> None:
            events.append(event)
            if isinstance(event, RunStarted) and event.role == "student":
                hold(event)
            elif isinstance(event, Note):
                let_go(event)

        assert run_experiment(engine(), history, experiment, Control(), emit) == "done"
        holder.close()
        assert "database is locked" in next(event.text for event in events if isinstance(event, Note))
        told = {event.step for event in events if isinstance(event, Metrics) and event.run == 4}
        assert {step for (step,) in ask(history, "SELECT step FROM points WHERE run = 4")} == told

    def test_that_a_person_can_stop_what_waits(self, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(driver, "RETRY_SECONDS", 0.05)
        (files_folder(history.path) / "runs").write_text("not a folder")
        control = Control()
        events = Told(Note, lambda _: control.stop())
        assert run_experiment(engine(), history, history.enqueue(tiny()), control, events) == "stopped"
        assert {row.status for row in rows(history)} == {"stopped"}
        assert not engine().busy


class TestADeviceInUse:
    def test_that_an_experiment_waits_for_the_device_and_then_begins(self, history: History) -> None:
        lease = device_lease.take("cpu")
        assert lease is not None
        told = Told(Note, lambda _: lease.release())
        assert run_experiment(engine(), history, history.enqueue(tiny()), Control(), told) == "done"
        words = [event.text for event in told if isinstance(event, Note)]
        assert len(words) == 1
        assert "Another workbench is training on this cpu; this experiment waits" in words[0]
        again = device_lease.take("cpu")
        assert again is not None
        again.release()

    def test_that_a_person_can_stop_what_waits_for_it(self, history: History) -> None:
        lease = device_lease.take("cpu")
        assert lease is not None
        control = Control()
        told = Told(Note, lambda _: control.stop())
        assert run_experiment(engine(), history, history.enqueue(tiny()), control, told) == "stopped"
        lease.release()
        assert rows(history) == []
        assert not engine().busy

    def test_that_it_is_shared_where_a_person_says_so(self, history: History) -> None:
        lease = device_lease.take("cpu")
        assert lease is not None
        sharing = Engine(EngineSettings(device="cpu", threads=1, share=True))
        assert run_experiment(sharing, history, history.enqueue(tiny()), Control(), lambda _: None) == "done"
        lease.release()

    def test_that_a_person_may_share_it_while_an_experiment_waits(self, history: History) -> None:
        lease = device_lease.take("cpu")
        assert lease is not None
        waiting = Engine(EngineSettings(device="cpu", threads=1))
        told = Told(Note, lambda _: waiting.configure(device="cpu", threads=1, folders=(), share=True))
        assert run_experiment(waiting, history, history.enqueue(tiny()), Control(), told) == "done"
        lease.release()

    def test_that_where_no_lock_can_be_made_training_begins_with_a_note(
        self, history: History, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORKBENCH_LOCKS", "/proc/nowhere")
        status, events = launch(history, tiny())
        assert status == "done"
        assert any("is not known" in event.text for event in events if isinstance(event, Note))

    def test_that_a_process_that_dies_gives_it_back(self, tmp_path: Path) -> None:
        code = "from workbench import device_lease as d; import os; d.take('cpu'); os.kill(os.getpid(), 9)"
        subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2])
        lease = device_lease.take("cpu")
        assert lease is not None
        lease.release()


class TestADeviceWithoutMemory:
    def test_that_the_run_fails_with_advice_and_the_others_are_done(
        self, history: History, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        learn = training.Trainer.learn

        def full(trainer: training.Trainer, place: int) -> None:
            if trainer.job.run == 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            learn(trainer, place)

        monkeypatch.setattr(training.Trainer, "learn", full)
        status, events = launch(history, tiny())
        assert (status, finished(events)) == (
            "failed",
            [("teacher 1", "done"), ("teacher 2", "failed"), ("baseline", "done"), ("student", "skipped")],
        )
        assert "lower the batch size, choose bf16, or take a smaller model" in rows(history)[1].message
        monkeypatch.undo()
        assert launch(history, tiny())[0] == "done"


class TestWrongExperiments:
    @pytest.mark.parametrize(
        ("config", "words"),
        [
            (tiny(transfer__leave_out=["cow"]), "there is no class 'cow'"),
            (tiny(student={"model": "torchvision", "architecture": "vit_b_16"}), "student: vit_b_16 does not suit"),
            (tiny(teachers=[{"run": 9}]), "there is no run 9"),
        ],
        ids=["class", "model", "run"],
    )
    def test_that_what_only_the_data_or_the_history_can_tell_fails_the_experiment_with_a_sentence(
        self, config: ExperimentConfig, words: str, history: History
    ) -> None:
        status, events = launch(history, config)
        assert status == "failed"
        last = events[-1]
        assert isinstance(last, ExperimentFinished)
        assert words in last.message
        assert rows(history) == []
        assert ask(history, "SELECT status FROM experiments") == [("failed",)]

    def test_that_the_engine_answers_questions_again_after_a_failure(self, history: History) -> None:
        launch(history, tiny(transfer__leave_out=["cow"]))
        assert not engine().busy
