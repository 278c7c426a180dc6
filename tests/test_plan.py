"""An experiment expanded into runs with parents."""

from __future__ import annotations

from typing import Any

from tests.experiments import tiny
from workbench.config import ExperimentConfig, RunConfig, TeacherConfig, fingerprint
from workbench.plan import PlannedRun, baseline_of, plan


def no_past(run: int) -> RunConfig:
    raise AssertionError(f"run {run} was asked for")


def planned(config: ExperimentConfig) -> tuple[PlannedRun, ...]:
    return plan(config, no_past)


def of_role(runs: tuple[PlannedRun, ...], role: str) -> list[RunConfig]:
    return [item.config for item in runs if item.role == role]


def groups(*teachers: dict[str, Any]) -> ExperimentConfig:
    return tiny(teachers=list(teachers))


def test_that_teachers_come_first_then_the_baseline_and_the_student_with_all_teachers_as_parents() -> None:
    runs = planned(groups({"units": 16, "count": 2}, {"model": "cnn"}))
    assert [(item.role, item.name) for item in runs] == [
        ("teacher", "teacher 1"),
        ("teacher", "teacher 2"),
        ("teacher", "teacher 3"),
        ("baseline", "baseline"),
        ("student", "student"),
    ]
    assert runs[-1].parents == (0, 1, 2)
    assert all(item.parents == () for item in runs[:-1])


def test_that_the_baseline_can_be_left_out() -> None:
    assert [item.role for item in planned(tiny(distillation__baseline=False))] == ["teacher", "teacher", "student"]


def test_that_only_the_student_is_never_reused() -> None:
    assert [item.reusable for item in planned(tiny())] == [True, True, True, False]


def test_that_teachers_see_all_cases_and_learn_from_labels_as_their_training_says() -> None:
    config = tiny(teacher_training__label_smoothing=0.1, transfer__fraction=0.5)
    for teacher in of_role(planned(config), "teacher"):
        assert teacher.transfer.fraction == 1.0
        assert teacher.distillation is None
        assert teacher.training == config.teacher_training


def test_that_the_baseline_is_the_student_on_hard_targets_alone() -> None:
    config = tiny(training__label_smoothing=0.1, seed=4)
    (student,), (baseline,) = of_role(planned(config), "student"), of_role(planned(config), "baseline")
    assert baseline.distillation is None
    assert student.distillation is not None
    assert (baseline.model, baseline.seed, baseline.transfer, baseline.data) == (
        student.model,
        student.seed,
        student.transfer,
        student.data,
    )
    assert baseline == baseline_of(config)


def test_that_label_smoothing_is_of_hard_runs_only() -> None:
    runs = planned(tiny(training__label_smoothing=0.1, teacher_training__label_smoothing=0.2))
    assert [item.config.training.label_smoothing for item in runs] == [0.2, 0.2, 0.1, 0.0]


def test_that_the_baseline_never_sees_own_images() -> None:
    without, runs = planned(tiny()), planned(tiny(transfer__images="mine"))
    assert [item.config.transfer.images for item in runs] == ["", "", "", "mine"]
    assert [fingerprint(item.config, "d", ()) for item in runs[:3]] == [fingerprint(item.config, "d", ()) for item in without[:3]]


def test_that_the_baseline_of_an_unlabelled_transfer_set_has_labels() -> None:
    runs = planned(tiny(distillation__hard_weight=0.0, transfer__labelled=False))
    assert [item.config.transfer.labelled for item in runs[-2:]] == [True, False]


class TestTeacherSeeds:
    def test_that_they_count_from_the_teacher_seed_for_each_kind(self) -> None:
        runs = planned(tiny(teachers=[{"units": 16, "count": 3}, {"units": 20, "count": 2}], teacher_seed=7))
        assert [teacher.seed for teacher in of_role(runs, "teacher")] == [7, 8, 9, 7, 8]

    def test_that_two_groups_alike_get_different_seeds(self) -> None:
        runs = planned(groups({"units": 16, "count": 2}, {"units": 16, "layers": 2, "count": 2}))
        teachers = of_role(runs, "teacher")
        assert [teacher.seed for teacher in teachers] == [0, 1, 2, 3], "layers = 2 is the default"
        assert len({fingerprint(teacher, "d", ()) for teacher in teachers}) == 4

    def test_that_they_stay_when_other_members_are_added_before_or_after(self) -> None:
        alone = of_role(planned(groups({"units": 16, "count": 2})), "teacher")
        more = of_role(planned(groups({"model": "cnn", "count": 3}, {"units": 16, "count": 3}, {"units": 5})), "teacher")
        assert all(teacher in more for teacher in alone)

    def test_that_they_do_not_depend_on_the_seed_of_the_student(self) -> None:
        assert of_role(planned(tiny(seed=0)), "teacher") == of_role(planned(tiny(seed=5)), "teacher")

    def test_that_they_go_on_from_0_after_the_largest(self) -> None:
        runs = planned(tiny(teacher_seed=2**31 - 1))
        assert [teacher.seed for teacher in of_role(runs, "teacher")] == [2**31 - 1, 0]


class TestPastRuns:
    def test_that_a_past_run_stands_in_with_its_own_config(self) -> None:
        config = groups({"run": 12}, {"units": 16})
        past = RunConfig(seed=99)
        runs = plan(config, {12: past}.__getitem__)
        assert (runs[0].past_run, runs[0].config, runs[1].past_run) == (12, past, 0)
        assert runs[-1].parents == (0, 1)


def test_that_a_group_of_teachers_is_one_config() -> None:
    assert tiny().teachers == (TeacherConfig(model=tiny().teachers[0].model, count=2),)
