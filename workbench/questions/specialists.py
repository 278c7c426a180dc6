"""What the screens ask of the engine thread about specialists: subsets of classes, images, and what each model says of one.

Nothing here imports torch; what comes back is numpy arrays, texts and numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.config import ExperimentConfig, RunConfig, SpecialistsConfig
from workbench.errors import DataError
from workbench.history import reading
from workbench.history.database import open_for_reading
from workbench.history.reading import PastRun
from workbench.plan import PlannedRun, baseline_of, student_of

if TYPE_CHECKING:
    from workbench.distill.data import ResidentData
    from workbench.history.writing import History
    from workbench.running.engine import Engine

Subset = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Later:
    """What an experiment trains after its generalist: at most so many models, how long each kind takes, None where nothing
    tells."""

    training: int
    baseline_reused: bool
    seconds: tuple[float | None, ...]


def specialists_asked(config: SpecialistsConfig) -> int:
    """How many specialists there are at most."""
    return len(config.by_hand) or config.count


def after_generalist(config: ExperimentConfig, generalist: PlannedRun, engine: Engine, history: History) -> Later:
    """What follows the generalist, as far as it can be told before that is trained: an epoch of a specialist is twice the
    cases of its classes, taken here to be as frequent as others."""
    about, data = config.specialists, engine.data(config.data)
    assert about is not None
    chosen = sum(len(str(subset).split(",")) for subset in about.by_hand) or about.count * about.size or len(data.classes)
    on_all = engine.seconds(RunConfig(data=config.data, model=generalist.config.model, training=config.specialist_training))
    seconds = [None if on_all is None else 2 * on_all * chosen / len(data.classes)]
    count = specialists_asked(about)
    if not about.students:
        return Later(count, False, tuple(seconds))
    seconds += [engine.seconds(student_of(config))] * 2
    if not config.distillation.baseline:
        return Later(count + 2, False, tuple(seconds))
    baseline = PlannedRun(role="baseline", name="baseline", config=baseline_of(config))
    reused = bool(engine.stand_in(baseline, history, data, verify=False)[0])
    seconds += [] if reused else [engine.seconds(baseline.config)]
    return Later(count + 3 - reused, reused, tuple(seconds))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubsetsFound:
    """Subsets of classes that a generalist's predictions ask for, and what a person needs to change them by hand.

    ``matrix`` (classes, classes) is what they were found by, ``errors`` (classes, classes) the wrong validation cases by right
    and predicted class, ``images`` one training image, uint8 (C, H, W), of each class that has one.
    """

    run: int
    config: SpecialistsConfig
    classes: tuple[str, ...]
    subsets: tuple[Subset, ...]
    matrix: np.ndarray
    errors: np.ndarray
    images: dict[int, np.ndarray]


def share_inside(subsets: Sequence[Sequence[int]], errors: np.ndarray) -> float | None:
    """The share of the errors whose right and predicted class are in one subset; None where there are none."""
    together = np.zeros(errors.shape, bool)
    for subset in subsets:
        together[np.ix_(list(subset), list(subset))] = True
    total = int(errors.sum())
    return float(errors[together].sum()) / total if total else None


def find(run: int, config: SpecialistsConfig, seed: int) -> Callable[[Engine, History], SubsetsFound]:
    """The subsets of classes that the finished run asks for as a generalist."""

    def answer(engine: Engine, history: History) -> SubsetsFound:
        past = history.past_run(run)
        data = _data_of(past, engine)
        stored = history.weights_of(run)
        found = engine.subsets(stored, config, past.config.data, seed)
        classes = len(data.classes)
        errors = np.zeros((classes, classes), int)
        if len(data.validation):
            said = engine.ensemble_logits(engine.ensemble([stored], "arithmetic", data), past.config.data, "validation")
            np.add.at(errors, (data.validation.labels.cpu().numpy(), said.argmax(dim=1).cpu().numpy()), 1)
            np.fill_diagonal(errors, 0)
        present, first = np.unique(data.train.labels.cpu().numpy(), return_index=True)
        images = data.train.images[first].cpu().numpy()
        return SubsetsFound(
            run=run,
            config=config,
            classes=data.classes,
            subsets=found.subsets,
            matrix=found.matrix,
            errors=errors,
            images={int(number): image for number, image in zip(present, images, strict=True) if number >= 0},
        )

    return answer


FILTERS = {
    "all": "all",
    "wrong": "the generalist is wrong",
    "gained": "combined right, the generalist wrong",
    "lost": "combined wrong, the generalist right",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gallery:
    """Test images of those that pass a filter, ``cases`` from place ``start`` on, and what was said of them; ``counts`` says how
    many pass each filter."""

    whole: int
    chosen: str
    start: int
    counts: dict[str, int]
    cases: tuple[int, ...]
    images: np.ndarray
    labels: tuple[int, ...]
    generalist: tuple[int, ...]
    combined: tuple[int, ...]
    classes: tuple[str, ...]


def gallery(whole: int, chosen: str, start: int, count: int = 120) -> Callable[[Engine, History], Generator[None, None, Gallery]]:
    """Test images of a generalist with its specialists, run ``whole``, by a filter of :data:`FILTERS`; in slices, since the first
    time what they say of every test image is worked out."""

    def answer(engine: Engine, history: History) -> Generator[None, None, Gallery]:
        past = history.past_run(whole)
        data = _data_of(past, engine)
        labels = data.test.labels.cpu().numpy()
        generalist, combined = yield from _predicted(_parents(past, history), past, data, engine, history)
        wrong, missed = generalist != labels, combined != labels
        passing = {
            "all": np.ones(len(labels), bool),
            "wrong": wrong,
            "gained": wrong & ~missed,
            "lost": missed & ~wrong,
        }
        cases = np.flatnonzero(passing[chosen])[start : start + count].tolist()
        return Gallery(
            whole=whole,
            chosen=chosen,
            start=start,
            counts={name: int(which.sum()) for name, which in passing.items()},
            cases=tuple(cases),
            images=data.test.images[cases].cpu().numpy(),
            labels=tuple(labels[cases].tolist()),
            generalist=tuple(generalist[cases].tolist()),
            combined=tuple(combined[cases].tolist()),
            classes=data.classes,
        )

    return answer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Opinion:
    """What a specialist says of an image: a probability for each of its ``classes``, and for any other class, None where it
    has no dustbin and ``classes`` are all."""

    name: str
    run: int
    subset: Subset
    classes: Subset
    probabilities: np.ndarray
    other: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """What generalist and specialists say of one image, uint8 (C, H, W), each alone and together, as probabilities (classes,).

    ``label`` is None for an image without one; ``idle`` are the specialists that were not asked, by name, with their classes.
    ``unfinished`` says that the descent did not end and the geometric mean stands in.
    """

    whole: int
    image: np.ndarray
    label: int | None
    classes: tuple[str, ...]
    generalist: np.ndarray
    opinions: tuple[Opinion, ...]
    idle: tuple[tuple[str, Subset], ...]
    combined: np.ndarray
    unfinished: bool


def verdict(whole: int, case: int) -> Callable[[Engine, History], Verdict]:
    """What they say of a test image."""

    def answer(engine: Engine, history: History) -> Verdict:
        past = history.past_run(whole)
        data = _data_of(past, engine)
        return _verdict(past, data, data.test.images[case : case + 1], int(data.test.labels[case]), engine, history)

    return answer


def verdict_of(whole: int, drawing: np.ndarray) -> Callable[[Engine, History], Verdict]:
    """What they say of a drawing, white on black, uint8 (side, side), made as small as the images of the data set and laid in
    their middle as its images are: by its centre of mass."""

    def answer(engine: Engine, history: History) -> Verdict:
        past = history.past_run(whole)
        data = _data_of(past, engine)
        _, height, width = data.shape
        shown = data.test.images.new_tensor(shrunk(drawing, height, width)[None, None]).expand(1, *data.shape)
        return _verdict(past, data, shown, None, engine, history)

    return answer


def shrunk(drawing: np.ndarray, height: int, width: int) -> np.ndarray:
    """A drawing, uint8 (side, side), as an image, uint8 (height, width): the means of its parts, its centre of mass in the
    middle."""
    mass = drawing.astype(float)
    moved = drawing
    if total := mass.sum():
        for axis, side in enumerate(drawing.shape):
            along = mass.sum(axis=1 - axis)
            first, last = np.flatnonzero(along)[[0, -1]]
            shift = round((side - 1) / 2 - float((along * np.arange(side)).sum() / total))
            moved = np.roll(moved, int(np.clip(shift, -first, side - 1 - last)), axis=axis)
    edges = [np.linspace(0, side, count + 1).astype(int) for side, count in zip(drawing.shape, (height, width), strict=True)]
    sums = np.add.reduceat(np.add.reduceat(moved.astype(float), edges[0][:-1], axis=0), edges[1][:-1], axis=1)
    means: np.ndarray = np.round(sums / np.outer(np.diff(edges[0]), np.diff(edges[1]))).astype(np.uint8)
    return means


def _verdict(past: PastRun, data: ResidentData, image: Any, label: int | None, engine: Engine, history: History) -> Verdict:
    from workbench.distill.specialists import combined

    parents = _parents(past, history)
    assert past.config.combination is not None
    ensemble = engine.combination([history.weights_of(run) for run in parents], past.config.combination, data)
    whole: Any = ensemble.members[0]
    said = whole.opinions(data.view(image))
    q, unfinished = combined(said, whole.config.divergence)
    opinions, idle = [], []
    for place, subset in enumerate(whole.subsets):
        name = f"specialist {place + 1}"
        if not bool(said.active[place, 0]):
            idle.append((name, subset))
            continue
        dustbin = bool(said.outside[place].any())
        classes = subset if dustbin else tuple(range(len(data.classes)))
        opinions.append(
            Opinion(
                name=name,
                run=parents[1 + place],
                subset=subset,
                classes=classes,
                probabilities=said.specialists[place, 0, list(classes)].cpu().numpy(),
                other=float(said.dustbin[place, 0]) if dustbin else None,
            )
        )
    return Verdict(
        whole=past.run,
        image=image[0].cpu().numpy(),
        label=label,
        classes=data.classes,
        generalist=said.generalist[0].cpu().numpy(),
        opinions=tuple(opinions),
        idle=tuple(idle),
        combined=q[0].cpu().numpy(),
        unfinished=bool(unfinished[0]),
    )


def _parents(past: PastRun, history: History) -> tuple[int, ...]:
    """The runs of a generalist and its specialists."""
    with closing(open_for_reading(history.path)) as database:
        return reading.parents(database, past.run)


def _predicted(
    parents: Sequence[int], past: PastRun, data: ResidentData, engine: Engine, history: History
) -> Generator[None, None, tuple[np.ndarray, np.ndarray]]:
    """The classes that generalist and all together predict of the test cases; those that the history keeps are rounded, so that
    two classes may be alike."""
    assert past.config.combination is not None
    stored = [history.weights_of(run) for run in parents]
    alone = engine.ensemble(stored[:1], "arithmetic", data)
    together = engine.combination(stored, past.config.combination, data)
    for ensemble in (alone, together):
        yield from engine.in_slices(ensemble, past.config.data, "test")
    logits = (engine.ensemble_logits(ensemble, past.config.data, "test") for ensemble in (alone, together))
    first, second = (found.argmax(dim=1).cpu().numpy() for found in logits)
    return first, second


def _data_of(past: PastRun, engine: Engine) -> ResidentData:
    """The data set that a run was trained on; a :class:`DataError` where it is no longer that."""
    data = engine.data(past.config.data, download=False)
    if past.dataset_digest != data.digest:
        raise DataError(
            f"{past.config.data.dataset} is no longer what run {past.run} was trained on; put the files back as they were"
        )
    return data
