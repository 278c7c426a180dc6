"""Images of a data set, what the teachers say of them, and the logits and labels of whole splits; how large models are.

Nothing here imports torch; what comes back is numpy arrays, texts and numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.analysis.bias import Correction, best_shift, mass_shift
from workbench.analysis.difference import checked_labels
from workbench.config import DataConfig, ExperimentConfig, ModelConfig
from workbench.distill import sources
from workbench.distill.raw_data import spread
from workbench.errors import DataError, WorkbenchError
from workbench.plan import plan

if TYPE_CHECKING:
    from workbench.history.writing import History
    from workbench.running.engine import Engine


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
        """The correction of these classes by a way of :data:`workbench.analysis.bias.WAYS`, never by the test split."""
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
