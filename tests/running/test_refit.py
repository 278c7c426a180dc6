"""Runs refitted on all training cases, after their epochs were chosen on validation."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.experiments import engine, launch, rows, tiny
from workbench.errors import ConfigError
from workbench.events import Event, Metrics
from workbench.history import reading
from workbench.history.database import open_for_reading
from workbench.history.writing import History
from workbench.running.driver import Control
from workbench.running.experiment import continue_run, run_experiment

REFIT = tiny(refit=True, training__epochs=6, training__learning_rate=0.02, transfer__fraction=1.0)
WHOLE = {"data__validation_fraction": 0.0, "training__keep": "last", "teacher_training__keep": "last"}


def test_that_every_model_is_trained_again_on_all_cases_for_the_epochs_that_were_best(history: History) -> None:
    assert launch(history, REFIT)[0] == "done"
    found = rows(history)
    assert [row.name for row in found] == [
        name + more for more in ("", ", refitted") for name in ("teacher 1", "teacher 2", "baseline", "student")
    ]
    for chosen, refit in zip(found[:4], found[4:], strict=True):
        past = history.past_run(refit.id)
        assert past.config.training.epochs == refit.epochs == chosen.figures["best_epoch"]
        assert past.config.training.keep == "last"
        assert past.config.data.validation_fraction == 0
        assert "val_accuracy" in chosen.figures
        assert "val_accuracy" not in refit.figures
        assert refit.figures["test_size"] == chosen.figures["test_size"]
        assert refit.steps is not None
        assert chosen.steps is not None
    with closing(open_for_reading(history.path)) as database:
        details = reading.run_details(database, found[7].id)
    assert details.parents == (found[4].id, found[5].id)
    assert any(f"after run {found[3].id} on validation" in note for note in details.notes)


def test_that_refits_see_the_validation_cases_too(history: History) -> None:
    launch(history, REFIT)
    data = engine().data(REFIT.data)
    whole = engine().data(history.past_run(8).config.data)
    assert len(whole.train) == len(data.train) + len(data.validation)
    assert len(whole.validation) == 0


def test_that_only_what_chooses_its_epochs_is_trained_twice(history: History) -> None:
    config = tiny(refit=True, training__keep="last")
    assert launch(history, config)[0] == "done"
    assert [row.name for row in rows(history)] == [
        *("teacher 1", "teacher 2", "teacher 1, refitted", "teacher 2, refitted", "baseline, refitted", "student, refitted")
    ]
    last = tiny(refit=True, training__keep="last", teacher_training__keep="last")
    assert launch(history, last)[0] == "done"
    assert [row.role for row in rows(history, 2)] == ["teacher", "teacher", "baseline", "student"]
    assert history.past_run(rows(history, 2)[3].id).config.training.epochs == 3


def test_that_an_experiment_interrupted_at_any_time_goes_on_to_its_refits(history: History, tmp_path: Path) -> None:
    for count in (3, 30, 60, 90):
        control = Control()
        left = [count]

        def emit(event: Event, left: list[int] = left, control: Control = control) -> None:
            left[0] -= isinstance(event, Metrics)
            if left[0] == 0:
                control.interrupt()

        with History(tmp_path / f"{count}.db") as interrupted:
            experiment = interrupted.enqueue(REFIT)
            assert run_experiment(engine(), interrupted, experiment, control, emit) == "interrupted"
            interrupted.resume(experiment)
            assert run_experiment(engine(), interrupted, experiment, Control(), lambda _: None) == "done"
            assert [row.status for row in rows(interrupted)] == ["done"] * 8


def test_that_going_on_with_a_refitted_run_refits_nothing_again(history: History) -> None:
    launch(history, tiny(refit=True, training__keep="last"))
    teacher = rows(history)[2]
    experiment = continue_run(history, teacher.id, round(teacher.epochs) + 2)
    assert run_experiment(engine(), history, experiment, Control(), lambda _: None) == "done"
    assert [row.role for row in rows(history, experiment)] == ["teacher"]


def test_that_refitted_teachers_are_used_again(history: History) -> None:
    launch(history, REFIT)
    assert launch(history, REFIT)[0] == "done"
    assert [row.reused for row in rows(history, 2)] == [True, True, True, False] * 2


def test_that_a_student_trains_on_all_cases_without_validation(history: History) -> None:
    assert launch(history, tiny(**WHOLE))[0] == "done"
    student = rows(history)[3]
    assert student.figures["test_size"] > 0
    assert not [name for name in student.figures if name.startswith("val_")]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"training__keep": "best"}, "training.keep"),
        ({"teacher_training__patience": 2}, "teacher_training.patience"),
        ({"refit": True}, "data.validation_fraction"),
    ],
)
def test_that_nothing_can_be_chosen_without_validation(changes: dict[str, object], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(**WHOLE | changes)
    assert caught.value.path == path


def test_that_teachers_trained_elsewhere_are_numbered_with_those_refitted_here(history: History) -> None:
    launch(history, tiny(**WHOLE, training__epochs=1, distillation__baseline=False))
    again = tiny(refit=True, training__keep="last", teacher_training__keep="last", distillation__baseline=False)
    assert launch(history, again)[0] == "done"
    assert [(row.id, row.name) for row in rows(history, 2)][:2] == [(1, "teacher 1, refitted"), (2, "teacher 2, refitted")]
    launch(history, again)
    assert [row.name for row in rows(history, 3)][:2] == ["teacher 1, refitted", "teacher 2, refitted"]
    launch(history, tiny(**WHOLE, training__epochs=2, distillation__baseline=False))
    assert [row.name for row in rows(history, 4)][:2] == ["teacher 1", "teacher 2"]
