"""Small questions the screens ask of the engine thread: each returns a function that the thread calls, and plain values.

Nothing here imports torch; what comes back is numpy arrays, texts and numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.bias import Correction, best_shift, mass_shift
from workbench.claims import scoreboard
from workbench.config import DataConfig, ExperimentConfig, ModelConfig
from workbench.difference import checked_labels
from workbench.distill import sources
from workbench.distill.raw_data import spread
from workbench.errors import DataError, WorkbenchError
from workbench.history.database import open_for_reading
from workbench.plan import MOST_TOGETHER, choosing, company_of, plan
from workbench.recipes import recipe_tables
from workbench.specialist_questions import after_generalist, specialists_asked
from workbench.sweep import Sweep, sketch

if TYPE_CHECKING:
    from workbench.engine import Engine
    from workbench.history.writing import History


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary:
    """What a launch would do. ``seconds`` is None while it cannot be measured. With up to so many ``specialists`` there is one
    teacher, their generalist, and ``students`` says whether they are distilled back."""

    teachers: int
    reused: int
    baseline: bool
    baseline_reused: bool
    student_parameters: int
    student_multiply_adds: int
    ensemble_parameters: int
    training_cases: int
    transfer_cases: int
    cases_by_class: tuple[tuple[str, int], ...]
    own_images: int
    own_note: str
    seconds: float | None
    device: str
    specialists: int = 0
    students: bool = True

    def words(self) -> str:
        """The plan in a sentence or two."""
        if self.specialists:
            return self._words_with_specialists()
        teachers = many(self.teachers, "teacher") + (f", {self.reused} reused" if self.reused else "")
        share = self.ensemble_parameters / self.student_parameters if self.student_parameters else 0.0
        size = (
            f"student has 1/{share:,.0f} of the ensemble's parameters"
            if share >= 1.5
            else f"student has {self.student_parameters:,} parameters"
        )
        baseline = "" if not self.baseline else "; baseline reused" if self.baseline_reused else "; with its baseline"
        return f"{teachers}; {size}, learns from {self._cases()}{baseline}{self._time()}"

    def _words_with_specialists(self) -> str:
        generalist = f"1 generalist{', reused' if self.reused else ''}, up to {many(self.specialists, 'specialist')}"
        if not self.students:
            return f"{generalist}, and all of them combined{self._time()}"
        baseline = ", and its baseline" + (", reused" if self.baseline_reused else "") if self.baseline else ""
        student = f"the student, distilled from all and from the generalist alone{baseline}"
        return f"{generalist}; {student}; {self._cases()}{self._time()}"

    def _cases(self) -> str:
        own = f" and {many(self.own_images, 'own image')}" if self.own_images else ""
        return f"{self.transfer_cases:,} of {self.training_cases:,} training cases{own}"

    def _time(self) -> str:
        return f"; about {duration(self.seconds)} on this {self.device}" if self.seconds is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataPreview:
    """Some images of a data set, uint8 (n, C, H, W), with their classes, and what it is in numbers."""

    title: str
    images: np.ndarray
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    training: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SoftSamples:
    """Validation images, uint8 (n, C, H, W), and every teacher's logits for them, float32 (n, teachers, classes)."""

    images: np.ndarray
    labels: tuple[int, ...]
    logits: np.ndarray
    classes: tuple[str, ...]
    teachers: int


def summarise(config: ExperimentConfig) -> Callable[[Engine, History], PlanSummary]:
    """What launching ``config`` would do; errors are those that Launch would meet, a download apart."""

    def answer(engine: Engine, history: History) -> PlanSummary:
        data = engine.check(config, history.past_run, download=False)
        planned = plan(config, lambda run: history.past_run(run).config)
        reused = [item.past_run or engine.stand_in(item, history, data, verify=False)[0] for item in planned]
        sizes = [engine.run_size(item.config, data) for item in planned]
        teachers = [index for index, item in enumerate(planned) if item.role in ("teacher", "generalist")]
        student = engine.size(config.student, data)
        cases, counts = engine.transfer(config, data)
        own = engine.own(config.data, config.transfer.images) if config.transfer.images else None
        first = choosing(config, planned)
        seconds = [
            engine.seconds(item.config)
            for item, there in zip(planned, reused, strict=True)
            for _ in range((item in first and not there) + (config.refit and not item.past_run))
        ]
        baseline_reused = any(there for item, there in zip(planned, reused, strict=True) if item.role == "baseline")
        if config.specialists:
            later = after_generalist(config, planned[0], engine, history)
            baseline_reused, seconds = later.baseline_reused, [*seconds, *later.seconds]
        return PlanSummary(
            teachers=len(teachers),
            reused=sum(bool(reused[index]) for index in teachers),
            baseline=config.distillation.baseline,
            baseline_reused=baseline_reused,
            student_parameters=student.parameters,
            student_multiply_adds=student.multiply_adds,
            ensemble_parameters=sum(sizes[index].parameters for index in teachers),
            training_cases=len(data.train),
            transfer_cases=cases,
            cases_by_class=tuple(zip(data.classes, counts, strict=True)),
            own_images=len(own.data.train) - len(data.train) if own else 0,
            own_note=own.note if own else "",
            seconds=None if any(part is None for part in seconds) else sum(part or 0.0 for part in seconds),
            device="CPU" if engine.device.type == "cpu" else "GPU",
            specialists=specialists_asked(config.specialists) if config.specialists else 0,
            students=config.specialists is None or config.specialists.students,
        )

    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """What launching a sweep would do: how many experiments, models to train and there already, and about how long.

    Of a ``search`` all of it is at most so much; with ``specialists`` so many are models to train.
    """

    search: bool
    experiments: int
    training: int
    reused: int
    seconds: float | None
    device: str
    specialists: bool = False

    def words(self) -> str:
        """The plan of a sweep in a sentence."""
        time = f"; about {duration(self.seconds)} on this {self.device}" if self.seconds is not None else ""
        there = f", {self.reused} reused" if self.reused else ""
        what, most = ("search", "at most ") if self.search else ("sweep", "")
        experiments, models = many(self.experiments, "experiment"), many(self.training, "model")
        return f"A {what} of {most}{experiments}: {most or 'at most ' * self.specialists}{models} to train{there}{time}"


def summarise_sweep(tables: dict[str, Any]) -> Callable[[Engine, History], SweepSummary]:
    """What launching a recipe with a ``[sweep]`` would do; runs that several of its experiments share count once."""

    def answer(engine: Engine, history: History) -> SweepSummary:
        there: set[str] = set()
        training = reused = 0
        seconds: list[float | None] = []
        experiments = sketch(tables)
        sweep = Sweep.from_dict(tables.get("sweep", {}))
        companies = Counter(company_of(config) for _, config in experiments)
        for _, config in experiments:
            data = engine.check(config, history.past_run, download=False)
            planned = plan(config, lambda run: history.past_run(run).config)
            refits = [(item, "refitted ") for item in planned if config.refit and not item.past_run]
            for item, again in [*((item, "") for item in choosing(config, planned)), *refits]:
                mark = "" if not item.reusable else again + engine.fingerprint(item.config, data)
                if item.past_run or mark in there or (not again and engine.stand_in(item, history, data, verify=False)[0]):
                    reused += 1
                    continue
                there |= {mark} - {""}
                training += 1
                company = company_of(config) if item.role in ("student", "baseline") else None
                seconds.append(engine.seconds(item.config, min(MOST_TOGETHER, companies[company]) if company else 1))
            if config.specialists:
                later = after_generalist(config, planned[0], engine, history)
                training, reused = training + later.training, reused + later.baseline_reused
                seconds += later.seconds
        return SweepSummary(
            search=sweep.how == "bayes",
            experiments=sweep.size,
            training=training,
            reused=reused,
            seconds=None if None in seconds else sum(part or 0.0 for part in seconds),
            device="CPU" if engine.device.type == "cpu" else "GPU",
            specialists=any(config.specialists for _, config in experiments),
        )

    return answer


def times(experiments: Sequence[tuple[int, dict[str, Any]]]) -> Callable[[Engine, History], dict[int, float | None]]:
    """About how long experiments, written as tables, would take, by number; None where nothing tells."""

    def answer(engine: Engine, history: History) -> dict[int, float | None]:
        found: dict[int, float | None] = {}
        for number, table in experiments:
            try:
                config = ExperimentConfig.from_dict(table)
                found[number] = summarise(config)(engine, history).seconds if engine.has(config) else None
            except WorkbenchError:
                found[number] = None
        return found

    return answer


def resume(experiments: Sequence[int]) -> Callable[[Engine, History], str]:
    """Queue experiments that are over, to do what was not done; a sentence on others that go on together with them, or ""."""

    def answer(_: Engine, history: History) -> str:
        from workbench.experiment import resume as take_up

        return history.gone_on_with(take_up(history, experiments))

    return answer


def queue_missing(recipes: Sequence[str]) -> Callable[[Engine, History], int]:
    """Queue what the paper's claims lack of these recipes, each recipe as a sweep; how many experiments that were.

    What waits or runs already is left alone, and nothing is queued where data is not on this machine.
    """

    def answer(engine: Engine, history: History) -> int:
        with closing(open_for_reading(history.path)) as database:
            lacking = {score.recipe: score.unqueued for score in scoreboard(database) if score.recipe in recipes}
        for missing in lacking.values():
            for _, config in missing:
                engine.check(config, history.past_run, download=False)
        for recipe, missing in lacking.items():
            if missing:
                history.enqueue_sweep(recipe_tables(recipe), missing)
        return sum(map(len, lacking.values()))

    return answer


def go_on(run: int, epochs: int, kind: str) -> Callable[[Engine, History], None]:
    """Queue a run that goes on with more epochs, from a checkpoint of another."""

    def answer(_: Engine, history: History) -> None:
        from workbench.experiment import continue_run

        continue_run(history, run, epochs, kind)

    return answer


def preview(config: DataConfig, count: int = 24) -> Callable[[Engine, History], DataPreview]:
    """Some training images of a data set that is on this machine."""

    def answer(engine: Engine, _: History) -> DataPreview:
        data = engine.data(config, download=False)
        labels = data.train.labels.cpu().numpy()
        chosen = spread(labels, count)
        return DataPreview(
            title=data.name,
            images=data.train.images[chosen].cpu().numpy(),
            labels=tuple(data.classes[labels[case]] for case in chosen),
            classes=data.classes,
            shape=data.shape,
            training=len(data.train),
            validation=len(data.validation),
            test=len(data.test),
        )

    return answer


def soft_samples(config: ExperimentConfig, count: int = 24) -> Callable[[Engine, History], SoftSamples | None]:
    """Logits of those teachers of ``config`` that are trained already, for some validation images; None where there are none."""

    def answer(engine: Engine, history: History) -> SoftSamples | None:
        data = engine.data(config.data, download=False)
        found = []
        for item in plan(config, lambda run: history.past_run(run).config):
            if item.role in ("teacher", "generalist") and (
                run := item.past_run or history.find_reusable(engine.fingerprint(item.config, data))
            ):
                found.append(history.weights_of(run))
        if not found or not len(data.validation):
            return None
        labels = data.validation.labels.cpu().numpy()
        chosen = spread(labels, count)
        images = data.validation.images[chosen]
        logits = engine.ensemble(found, config.distillation.mean, data).member_logits(data.view(images))
        return SoftSamples(
            images=images.cpu().numpy(),
            labels=tuple(int(labels[case]) for case in chosen),
            logits=logits.transpose(0, 1).cpu().numpy(),
            classes=data.classes,
            teachers=len(found),
        )

    return answer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BiasSamples:
    """What a bias correction is chosen by: a run's logits (N, classes) on both splits, and what it has not seen.

    ``frequency`` is each class's share of the training cases, ``missing`` the numbers of those that the run saw none of.
    """

    run: int
    classes: tuple[str, ...]
    missing: tuple[int, ...]
    frequency: np.ndarray
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]

    def chosen(self, numbers: tuple[int, ...], way: str) -> Correction:
        """The correction of these classes by a way of :data:`workbench.bias.WAYS`, never by the test split."""
        logits, labels = self.validation
        shift = (
            best_shift(logits, labels, numbers)
            if way == "validation"
            else mass_shift(logits, numbers, float(self.frequency[list(numbers)].sum()))
        )
        return Correction(classes=numbers, shift=shift, way=way)


def bias_samples(run: int) -> Callable[[Engine, History], BiasSamples]:
    """Logits of a finished run, computed anew from its weights."""

    def answer(engine: Engine, history: History) -> BiasSamples:
        past = history.past_run(run)
        if past.config.specialist or (past.config.combination and not past.config.distillation):
            what = "a specialist" if past.config.specialist else "a generalist with its specialists"
            raise DataError(f"run {run} is {what}, which has no logits of its own for every class; pick a student or a teacher")
        data = engine.data(past.config.data, download=False)
        if past.dataset_digest != data.digest:
            raise DataError(
                f"{past.config.data.dataset} is no longer what run {run} was trained on; put the files back as they were"
            )
        if not len(data.validation):
            raise DataError(f"run {run} was trained on all cases: none were kept for validation, by which a shift is chosen")
        ensemble = engine.ensemble([history.weights_of(run)], "arithmetic", data)
        counts = np.bincount(data.train.labels.cpu().numpy(), minlength=len(data.classes))
        seen = engine.seen(past.config, data)
        splits = {}
        for name, split in (("validation", data.validation), ("test", data.test)):
            logits = engine.ensemble_logits(ensemble, past.config.data, name)
            splits[name] = (logits.cpu().numpy(), split.labels.cpu().numpy())
        return BiasSamples(
            run=run,
            classes=data.classes,
            missing=tuple(number for number in range(len(data.classes)) if not seen[number]),
            frequency=counts / counts.sum(),
            validation=splits["validation"],
            test=splits["test"],
        )

    return answer


def labels_of(config: DataConfig, digest: str) -> Callable[[Engine, History], np.ndarray]:
    """The labels (N,) of the test split of a data set that runs were tested on, whose content has this digest."""

    def answer(engine: Engine, _: History) -> np.ndarray:
        data = engine.data(config, download=False)
        return checked_labels(config, digest, data.digest, data.test.labels.cpu().numpy())

    return answer


def glimpse(config: DataConfig, count: int = 24) -> Callable[[Engine, History], tuple[np.ndarray, tuple[str, ...]]]:
    """Some images and their classes without reading the rest: what a large folder can show at once."""

    def answer(engine: Engine, _: History) -> tuple[np.ndarray, tuple[str, ...]]:
        return sources.preview(config, sources.data_folders(engine.settings.folders), count)

    return answer


def model_sizes(data: DataConfig, models: tuple[ModelConfig, ...]) -> Callable[[Engine, History], tuple[Any, ...]]:
    """(parameters, multiply-adds) of each model on this data, or the sentence that says why it does not fit."""

    def answer(engine: Engine, _: History) -> tuple[Any, ...]:
        resident = engine.data(data, download=False)
        found: list[Any] = []
        for model in models:
            try:
                size = engine.size(model, resident)
                found.append((size.parameters, size.multiply_adds))
            except WorkbenchError as error:
                found.append(getattr(error, "reason", str(error)))
        return tuple(found)

    return answer


def softmax_at(logits: np.ndarray, temperature: float, mean: str) -> np.ndarray:
    """The soft targets of one image at T, (classes,), from its teachers' logits (teachers, classes)."""
    scaled = logits / temperature if mean == "arithmetic" else logits.mean(axis=0, keepdims=True) / temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    probabilities: np.ndarray = (raised / raised.sum(axis=1, keepdims=True)).mean(axis=0)
    return probabilities


def duration(seconds: float) -> str:
    """A stretch of time as a person says it."""
    if seconds < 1:
        return "1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def many(count: int, noun: str) -> str:
    """A number of things as a person says it."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
