"""An experiment expanded into runs with parents: teachers first, then the baseline and the student."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workbench.config import (
    DistillationConfig,
    ExperimentConfig,
    ModelConfig,
    Role,
    RunConfig,
    SpecialistConfig,
    TrainingConfig,
    TransferConfig,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run of a plan. ``parents`` are positions in the plan; ``past_run`` is a run of the history used as it is.

    ``above`` are runs of the history that are its parents before those of the plan.
    """

    role: Role
    name: str
    config: RunConfig
    parents: tuple[int, ...] = ()
    past_run: int = 0
    above: tuple[int, ...] = ()

    @property
    def reusable(self) -> bool:
        """Whether a finished run with the same fingerprint stands in for it: all but the student, which Launch is for, and
        a generalist with its specialists, which is not trained."""
        return self.role != "student" and self.config.combination is None


def plan(config: ExperimentConfig, past_config: Callable[[int], RunConfig]) -> tuple[PlannedRun, ...]:
    """The runs of an experiment in the order in which they are done.

    Members of the ensemble that are alike get one seed each, counted from the teacher seed, so that adding or
    removing other members leaves them the runs they were. ``past_config`` tells the configuration of a past run.
    With specialists it is the generalist alone: what comes after, :func:`specialists_plan`, is known once that is trained.
    """
    runs: list[PlannedRun] = []
    alike: Counter[str] = Counter()
    for group in config.teachers:
        for _ in range(group.count):
            name = f"teacher {len(runs) + 1}"
            if group.run:
                runs.append(PlannedRun(role="teacher", name=name, config=past_config(group.run), past_run=group.run))
                continue
            kind = repr(group.model)
            teacher = RunConfig(
                data=config.data,
                model=group.model,
                training=config.teacher_training,
                seed=(config.teacher_seed + alike[kind]) % 2**31,
            )
            alike[kind] += 1
            runs.append(PlannedRun(role="teacher", name=name, config=teacher))
    if config.specialists:
        return tuple(dataclasses.replace(run, role="generalist", name="generalist") for run in runs)
    teachers = tuple(range(len(runs)))
    student = student_of(config)
    if config.distillation.baseline:
        runs.append(PlannedRun(role="baseline", name="baseline", config=baseline_of(config)))
    runs.append(PlannedRun(role="student", name="student", config=student, parents=teachers))
    return tuple(runs)


SPECIALISED = "combined"
ALONE = "generalist's student"
"""Names of runs that stand beside others of their role."""


def specialists_plan(
    config: ExperimentConfig, generalist: int, model: ModelConfig, subsets: Sequence[tuple[int, ...]]
) -> tuple[PlannedRun, ...]:
    """What follows a trained generalist, run ``generalist`` of the history: a specialist for each subset of classes, all
    together as one model, and the students: on hard targets, of the generalist alone, and of all."""
    about = config.specialists
    assert about is not None
    full = DistillationConfig(temperature=1.0, hard_weight=0.0, teacher_view="clean") if about.softmax == "full" else None
    runs = [
        PlannedRun(
            role="specialist",
            name=f"specialist {number + 1}",
            config=RunConfig(
                data=config.data,
                model=model,
                training=config.specialist_training,
                distillation=full,
                specialist=SpecialistConfig(classes=subset, softmax=about.softmax),
                seed=(config.teacher_seed + 1 + number) % 2**31,
            ),
            above=(generalist,),
        )
        for number, subset in enumerate(subsets)
    ]
    everybody = tuple(range(len(runs)))
    together = RunConfig(data=config.data, model=model, combination=about.combination, seed=config.teacher_seed)
    runs.append(PlannedRun(role="generalist", name=SPECIALISED, config=together, parents=everybody, above=(generalist,)))
    if not about.students:
        return tuple(runs)
    if config.distillation.baseline:
        runs.append(PlannedRun(role="baseline", name="baseline", config=baseline_of(config)))
    alone = student_of(config)
    of_all = dataclasses.replace(alone, combination=about.combination)
    runs.append(PlannedRun(role="student", name="student", config=of_all, parents=everybody, above=(generalist,)))
    runs.append(PlannedRun(role="student", name=ALONE, config=alone, above=(generalist,)))
    return tuple(runs)


def student_of(config: ExperimentConfig) -> RunConfig:
    """The student of an experiment on soft targets."""
    return RunConfig(
        data=config.data,
        model=config.student,
        training=dataclasses.replace(config.training, label_smoothing=0.0),
        transfer=config.transfer,
        distillation=dataclasses.replace(config.distillation, baseline=True),
        seed=config.seed,
    )


def choosing(config: ExperimentConfig, planned: Sequence[PlannedRun]) -> tuple[PlannedRun, ...]:
    """Of an experiment to be refitted, the runs that choose their epochs on validation, with those they need: none, where
    all keep their last weights."""
    if not config.refit or config.chooses:
        return tuple(planned)
    teachers = config.teacher_training.keep == "best" or config.teacher_training.patience
    return tuple(item for item in planned if item.role == "teacher") if teachers else ()


def refit_plan(
    config: ExperimentConfig, past_config: Callable[[int], RunConfig], epochs: Sequence[int]
) -> tuple[PlannedRun, ...]:
    """The runs of a plan on all training cases, with their last weights: as the paper, which trains on all 60,000 of MNIST.

    ``epochs`` are those that the runs of :func:`choosing` were best after; the others train for as long as they were to.
    """

    def whole(training: TrainingConfig) -> TrainingConfig:
        return dataclasses.replace(training, keep="last", patience=0)

    everything = dataclasses.replace(
        config,
        refit=False,
        data=dataclasses.replace(config.data, validation_fraction=0.0),
        training=whole(config.training),
        teacher_training=whole(config.teacher_training),
    )
    return tuple(
        item
        if item.past_run
        else dataclasses.replace(
            item,
            name=f"{item.name}, refitted",
            config=dataclasses.replace(
                item.config, training=dataclasses.replace(item.config.training, epochs=best or item.config.training.epochs)
            ),
        )
        for item, best in itertools.zip_longest(plan(everything, past_config), epochs)
    )


def baseline_of(config: ExperimentConfig) -> RunConfig:
    """The student of an experiment on hard targets alone: same model, labelled cases, seed and training."""
    transfer: TransferConfig = dataclasses.replace(config.transfer, labelled=True, images="")
    return RunConfig(data=config.data, model=config.student, training=config.training, transfer=transfer, seed=config.seed)


MOST_TOGETHER = 16
"""Experiments of a sweep that are done at once, so that others in the queue have not long to wait."""


def company_of(config: ExperimentConfig) -> str | None:
    """What experiments have in common whose students can be trained together as one batched model; None where a student
    cannot: one that is no plain perceptron, or whose views change."""
    training, options = config.training, config.student.options
    plain = config.student.model == "mlp" and options["bias"] and not (options["dropout"] or options["input_dropout"])
    plain = plain and (options["activation"] == "relu" or not options["layers"])
    changed = training.jitter or training.flip or training.label_smoothing or training.precision != "float32"
    if changed or not plain or config.distillation.match == "logits" or config.transfer.images or config.specialists:
        return None
    alike = dataclasses.replace(training, learning_rate=1.0)
    return repr((config.data, config.student, alike, config.distillation.baseline, config.refit))
