"""What the background thread knows how to do with torch: data, jobs and small questions. Owns torch's random state."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from workbench import __version__
from workbench.config import (
    ENGINE_VERSION,
    CombinationConfig,
    DataConfig,
    DistillationConfig,
    ElsewhereConfig,
    ExperimentConfig,
    ModelConfig,
    RunConfig,
    SpecialistConfig,
    SpecialistsConfig,
    TrainingConfig,
    fingerprint,
)
from workbench.distill import checkpoints, sources
from workbench.distill.data import ResidentData, class_numbers, resident, transfer_cases, with_own
from workbench.distill.elsewhere import brought_in, shape_seen
from workbench.distill.ensembles import Ensemble, LogitCache, combined_logits, targets_for
from workbench.distill.evaluation import logits_in_batches, logits_on
from workbench.distill.models import ModelSize, build, model_size, with_weights
from workbench.distill.onnx_teacher import OnnxNet
from workbench.distill.random_state import random_state_kept
from workbench.distill.specialists import (
    Combination,
    check_subset,
    classes_of,
    confusions,
    find_subsets,
    inside,
    lesson,
    similarity,
    start_from,
)
from workbench.distill.together import measure_rate
from workbench.distill.training import Job, check_precision
from workbench.errors import CheckpointError, ConfigError, DataError, WorkbenchError
from workbench.history.reading import PastRun, StoredFile
from workbench.history.writing import History
from workbench.plan import PlannedRun
from workbench.running import ray_executor
from workbench.zoo import ONNX

SMALL_STEP = 1e8
"""Multiply-adds of a step below which a second thread gains little on a quiet machine and loses much on a busy one, where
OpenMP's threads spin while they wait for each other (tests/benchmarks/thread_count.py). A fixed rule and no measurement,
so that the same run gets the same threads and so the same weights."""

MEASURED_STEP = 1e10
"""Multiply-adds of a step above which the time of a run is estimated from smaller steps, so that the answer comes soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Where the engine computes and looks for data.

    ``threads`` 0 chooses; ``window`` leaves it a core; ``share`` trains beside other workbenches on the same device;
    ``executor`` is where runs are trained, see :func:`workbench.running.ray_executor.checked`.
    """

    device: str = "auto"
    threads: int = 0
    folders: tuple[Path, ...] = ()
    window: bool = False
    share: bool = False
    executor: str = "local"


def choose_device(wanted: str) -> torch.device:
    """The device by name; ``auto`` takes CUDA, else MPS, else the CPU. One that is absent is a :class:`WorkbenchError`."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device("cuda" if there["cuda"] else "mps" if there["mps"] else "cpu")
    if wanted not in there:
        raise WorkbenchError(f"there is no device {wanted!r}; choose auto, cpu, cuda or mps")
    if not there[wanted]:
        raise WorkbenchError(f"this machine has no {wanted} device that torch can use; choose auto or cpu")
    return torch.device(wanted)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Subsets of classes, the (classes, classes) matrix they were found by, and the share of the generalist's errors on
    validation that lie inside one of them, NaN where there is no validation."""

    subsets: tuple[tuple[int, ...], ...]
    matrix: np.ndarray
    inside: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Own:
    """A data set together with a person's own images (:func:`with_own`), from ``base`` and a folder in the state ``stamp``.

    ``note`` says which images are left out.
    """

    data: ResidentData
    base: ResidentData
    stamp: Hashable
    note: str


class Engine:
    """Data sets on the device and teachers' logits, kept between runs."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = self._wanted = settings
        self.device = choose_device(settings.device)
        self.closing: Callable[[], bool] = sources.never
        self.busy = False
        self._forget()
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True

    def random_state_kept(self) -> AbstractContextManager[None]:
        """Gives torch's random state back as it was: a question answered between two steps must not change a run."""
        return random_state_kept(self.device)

    def warm_up(self) -> None:
        """Let torch import now what counting a model and making an optimiser would have it import later, for seconds."""
        model_size(ModelConfig(), (1, 8, 8), 10)

    def configure(self, **settings: Any) -> None:
        """Take other settings, at once or as soon as no experiment is under way; a device that is absent is refused."""
        wanted = EngineSettings(**settings, window=self.settings.window)
        choose_device(wanted.device)
        ray_executor.checked(wanted.executor)
        self._wanted = wanted
        if not self.busy:
            self._take_wanted()

    @property
    def wants_share(self) -> bool:
        """Whether a person has said, be it just now, that the device is shared."""
        return self._wanted.share

    def begin(self) -> None:
        """An experiment begins: settings and data sets stay as they are now until it is over."""
        for config in [config for config in self._data if self._changed(config)]:
            del self._data[config]
        for key in [key for key, own in self._own.items() if own.stamp != sources.own_stamp(key[0])]:
            del self._own[key]
        self.busy = True

    def end(self) -> None:
        """The experiment is over."""
        self.busy = False
        self._take_wanted()

    def _take_wanted(self) -> None:
        if self._wanted != self.settings:
            self.settings = self._wanted
            self.device = choose_device(self.settings.device)
            self._forget()

    def _forget(self) -> None:
        self._data: dict[DataConfig, tuple[Hashable, ResidentData]] = {}
        self._own: dict[tuple[str, DataConfig], Own] = {}
        self._logits = LogitCache()
        self._rates: dict[Hashable, float] = {}
        self._pace = 0.0
        self._sound: set[Hashable] = set()

    def data(
        self,
        config: DataConfig,
        tell: sources.Tell = sources.quiet,
        cancelled: Callable[[], bool] = sources.never,
        *,
        download: bool = True,
    ) -> ResidentData:
        """The data set on the device, loaded once, and again where its files have changed between two experiments.

        Errors are :class:`DataError`, :class:`Cancelled`.
        """
        if config not in self._data or (not self.busy and self._changed(config)):
            self._data.pop(config, None)
            folders = sources.data_folders(self.settings.folders)
            raw = sources.load(config, folders, download=download, tell=tell, cancelled=lambda: cancelled() or self.closing())
            while len(self._data) >= 3:
                self._data.pop(next(iter(self._data)))
            self._data[config] = (sources.stamp(config, folders), resident(raw, config, self.device))
        return self._data[config][1]

    def own(self, config: DataConfig, images: str, tell: sources.Tell = sources.quiet) -> Own:
        """The data set with the images below the folder ``images``, read once, and again where they have changed between
        two experiments; a :class:`ConfigError` at ``transfer.images`` where there is none that can be read."""
        base, key = self.data(config, tell), (images, config)
        kept = self._own.get(key)
        if kept is None or kept.base is not base or (not self.busy and kept.stamp != sources.own_stamp(images)):
            self._own.pop(key, None)
            stamp = sources.own_stamp(images)
            try:
                read = sources.load_own(images, config, base.shape, tell=tell, cancelled=lambda: self.closing())
            except DataError as error:
                raise ConfigError("transfer.images", str(error)) from None
            while len(self._own) >= 2:
                self._own.pop(next(iter(self._own)))
            kept = self._own[key] = Own(data=with_own(base, read), base=base, stamp=stamp, note=read.note())
        return kept

    def run_data(self, config: RunConfig, tell: sources.Tell = sources.quiet) -> ResidentData:
        """What a run learns from, and its digest: the data set, and the own images of its transfer set where it has some."""
        images = config.transfer.images
        return self.own(config.data, images, tell).data if images else self.data(config.data, tell)

    def has(self, config: ExperimentConfig) -> bool:
        """Whether the data can be asked for without a run that goes on having to wait for its loading."""
        images = config.transfer.images
        return self.has_data(config.data) and (not self.busy or not images or (images, config.data) in self._own)

    def has_data(self, config: DataConfig) -> bool:
        """The same of a data set alone."""
        return not self.busy or config in self._data

    def _changed(self, config: DataConfig) -> bool:
        return self._data[config][0] != sources.stamp(config, sources.data_folders(self.settings.folders))

    def check(
        self,
        config: ExperimentConfig,
        past: Callable[[int], PastRun],
        tell: sources.Tell = sources.quiet,
        *,
        download: bool = True,
    ) -> ResidentData:
        """Everything of an experiment that only data, device and history can tell, so that nothing is trained in vain.

        Classes, transfer set, own images, models that suit the images, bfloat16, and past runs that can teach: else a
        :class:`ConfigError` with the path of the setting.
        """
        data = self.data(config.data, tell, download=download)
        transfer_cases(data.train.labels, data.classes, config.transfer, config.seed)
        if config.transfer.images:
            self.own(config.data, config.transfer.images, tell)
        for index, group in enumerate(config.teachers):
            if group.run:
                run = self._check_past(f"teachers.{index}.run", past, group.run, config.data, data)
                if config.specialists and run.config.elsewhere:
                    raise ConfigError(
                        f"teachers.{index}.run",
                        f"run {group.run} was trained elsewhere, so specialists cannot begin with its weights; pick a teacher "
                        "that was trained here as their generalist",
                    )
            else:
                self.size(group.model, data, f"teachers.{index}")
        self.size(config.student, data, "student")
        check_precision(config.training, self.device, "training")
        check_precision(config.teacher_training, self.device, "teacher_training")
        if config.specialists:
            check_precision(config.specialist_training, self.device, "specialist_training")
            self._check_specialists(config.specialists, data)
        return data

    def _check_specialists(self, config: SpecialistsConfig, data: ResidentData) -> None:
        """What can be told of specialists before their generalist is trained."""
        classes = len(data.classes)
        if config.count > classes and not config.by_hand:
            raise ConfigError("specialists.count", f"{config.count} subsets are more than the {classes} classes of {data.name}")
        if not config.size and not config.by_hand and config.count in (1, classes):
            what = "all classes" if config.count == 1 else "one class"
            raise ConfigError(
                "specialists.count", f"{config.count} would make subsets of {what}; choose another, or set specialists.size"
            )
        if config.size >= classes and not config.by_hand:
            raise ConfigError("specialists.size", f"must be below {classes}, the number of classes of {data.name}")
        subsets = self._by_hand(config, data)
        for place, subset in enumerate(subsets):
            check_subset(subset, data, f"specialists.by_hand.{place}")
            if (first := subsets.index(subset)) != place:
                twice, there = config.by_hand[place], config.by_hand[first]
                raise ConfigError(
                    f"specialists.by_hand.{place}",
                    f"“{twice}” has the same classes as “{there}”, subset {first + 1}; leave one of them out",
                )

    def _check_past(
        self, path: str, past: Callable[[int], PastRun], number: int, config: DataConfig, data: ResidentData
    ) -> PastRun:
        try:
            run = past(number)
        except WorkbenchError as error:
            raise ConfigError(path, str(error)) from None
        if run.config.combination is not None and run.config.distillation is None:
            raise ConfigError(path, f"run {number} has no weights of its own: it is a generalist with its specialists; pick one")
        if run.status == "done" and run.weights is None:
            raise ConfigError(path, f"run {number} has no weights: it came without, or they were removed; pick another run")
        if run.status != "done" or run.weights is None:
            raise ConfigError(path, f"run {number} is {run.status}; pick a finished run, see `workbench runs`")
        theirs = run.config.data
        if run.dataset_digest == data.digest:
            split = (theirs.split_seed, theirs.validation_fraction)
            if not run.config.elsewhere and split != (config.split_seed, config.validation_fraction):
                raise ConfigError(
                    path,
                    f"run {number} has trained on cases that are kept for validation here; set data.split_seed to "
                    f"{theirs.split_seed} and data.validation_fraction to {theirs.validation_fraction:g}, or pick another run",
                )
        elif theirs.dataset == config.dataset:
            raise ConfigError(
                path,
                f"run {number} was trained on other images of {config.dataset}: its pixels or its split were set otherwise, "
                "or the files have changed since; pick another run",
            )
        try:
            about = run.weights.path.stat()
            key = (run.weights, about.st_size, about.st_mtime_ns, data.digest)
            if key not in self._sound:
                for net in self.ensemble([run.weights], "arithmetic", data).members[0].modules():
                    if isinstance(net, OnnxNet):
                        net.check()
                self._sound.add(key)
        except OSError as error:
            raise ConfigError(path, f"the weights of run {number} are gone: {error.strerror}; pick another run") from None
        except CheckpointError as error:
            raise ConfigError(path, str(error)) from None
        return run

    def size(self, model: ModelConfig, data: ResidentData, path: str = "model") -> ModelSize:
        """Parameters and multiply-adds of a model on this data; a :class:`ConfigError` at ``path`` where it does not fit."""
        try:
            return model_size(model, data.shape, len(data.classes))
        except WorkbenchError as error:
            raise type(error)(path, getattr(error, "reason", str(error))) from None

    def run_size(self, config: RunConfig, data: ResidentData) -> ModelSize:
        """The same of a run's model; the multiply-adds of an ONNX file are not known, 0."""
        if config.elsewhere is None:
            return self.size(config.model, data)
        if config.model.model == ONNX.name:
            return ModelSize(config.model.options["weights"], 0)
        return model_size(config.model, shape_seen(config.elsewhere, data.shape), config.elsewhere.logits)

    def transfer(self, config: ExperimentConfig, data: ResidentData) -> tuple[int, tuple[int, ...]]:
        """How many cases of the data set the student would see, in all and of each class."""
        cases = transfer_cases(data.train.labels, data.classes, config.transfer, config.seed)
        counts = torch.bincount(data.train.labels[cases], minlength=len(data.classes)).tolist()
        return len(cases), tuple(counts)

    def seen(self, config: RunConfig, data: ResidentData) -> tuple[int, ...]:
        """How many cases of each class a run learns from."""
        cases = transfer_cases(data.train.labels, data.classes, config.transfer, config.seed)
        return tuple(torch.bincount(data.train.labels[cases], minlength=len(data.classes)).tolist())

    def seconds(self, config: RunConfig, together: int = 1) -> float | None:
        """About how long a run will train, its share where several do ``together``, from a short measurement; while another
        one trains, which leaves no time for that, from the multiply-adds a second of those measured before, or None."""
        data = self.data(config.data)
        job = self.job(0, config)
        size = self.size(config.model, data)
        batch = min(len(job.cases), config.training.batch_size)
        key = (config.model.describe(), data.shape, config.distillation is None, batch, together)
        rate = self._rates.get(key)
        if rate is None and self.busy:
            rate = self._pace / (size.multiply_adds + 1) or None
        elif rate is None:
            self.use_threads(size, config.training.batch_size, together=together)
            fits = max(2, int(MEASURED_STEP / (3 * size.multiply_adds + 1)))
            if fits < config.training.batch_size:
                smaller = dataclasses.replace(config.training, batch_size=fits)
                job = dataclasses.replace(job, config=dataclasses.replace(config, training=smaller))
            if config.distillation is not None:
                targets = torch.full((len(job.cases), len(data.classes)), 1 / len(data.classes), device=self.device)
                job = dataclasses.replace(job, soft_targets=targets)
            rate = self._rates[key] = measure_rate(*[job] * together)
            self._pace = max(self._pace, rate * size.multiply_adds)
        return None if rate is None else len(job.cases) * config.training.epochs / rate

    def fingerprint(self, config: RunConfig, data: ResidentData, parents: Sequence[str] = ()) -> str:
        """What decides the run's weights, as one hash; ``data`` is what it learns from, :meth:`run_data`."""
        return fingerprint(config, data.digest, parents)

    def stand_in(self, item: PlannedRun, history: History, data: ResidentData, *, verify: bool = True) -> tuple[int, str]:
        """A finished run with the same fingerprint whose weights are sound, or 0 and what is to be said of it.

        Without ``verify`` the file is only looked for, not read.
        """
        parents = [history.weights_of(run).sha256 for run in item.above] if item.reusable else []
        found = history.find_reusable(self.fingerprint(item.config, data, parents)) if item.reusable else None
        if found is None:
            return 0, ""
        stored = history.weights_of(found)
        sound = checkpoints.verifies(stored.path, stored.sha256) if verify else checkpoints.has_size(stored.path, stored.size)
        return (found, "") if sound else (0, f"the weights of run {found} are damaged or gone; {item.name} is trained again")

    def ensemble(
        self, teachers: Sequence[StoredFile], mean: str, data: ResidentData, combination: CombinationConfig | None = None
    ) -> Ensemble:
        """Trained teachers from their verified files; with ``combination`` the first is a generalist, the others its
        specialists, and all are one member. :class:`CheckpointError` where one is damaged or of other data."""
        if combination is not None:
            return self.combination(teachers, combination, data)
        members = [self._model(stored, data)[0] for stored in teachers]
        return Ensemble(tuple(members), tuple(stored.sha256 for stored in teachers), mean)

    def combination(self, stored: Sequence[StoredFile], config: CombinationConfig, data: ResidentData) -> Ensemble:
        """A generalist and its specialists, from their verified files, as an ensemble of one :class:`Combination`."""
        generalist, _ = self._model(stored[0], data)
        specialists = [self._model(one, data, specialist=True) for one in stored[1:]]
        whole = Combination(generalist, specialists, config).eval()
        return Ensemble((whole,), (f"{config!r} of {' '.join(one.sha256 for one in stored)}",), "arithmetic")

    def _model(self, stored: StoredFile, data: ResidentData, *, specialist: bool = False) -> tuple[nn.Module, SpecialistConfig]:
        """A trained model of this data, and the part of the classes that a ``specialist`` has, whose others are in a dustbin."""
        tensors, about = checkpoints.read(stored.path, stored.sha256)
        try:
            return self._built(stored.run, tensors, about, data, specialist)
        except (ConfigError, KeyError, TypeError, ValueError) as error:  # what is about them came with somebody's file
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
            raise CheckpointError(f"the weights of run {stored.run} tell wrongly what they are: {reason}; pick another") from None

    def _built(
        self, run: int, tensors: dict[str, torch.Tensor], about: dict[str, Any], data: ResidentData, specialist: bool
    ) -> tuple[nn.Module, SpecialistConfig]:
        part = SpecialistConfig(**about["specialist"]) if specialist and about.get("specialist") else SpecialistConfig()
        wanted = classes_of(part, data.classes) if part.classes else data.classes
        if about["shape"] != list(data.shape) or about["classes"] != list(wanted):
            raise CheckpointError(
                f"run {run} was trained on images of {about['shape']} and {len(about['classes'])} classes; "
                f"{data.name} has {list(data.shape)} and {len(data.classes)}: pick a teacher of data like it"
            )
        if not np.allclose(about["mean"], data.mean.flatten().tolist(), atol=0.5):
            raise CheckpointError(f"run {run} was trained on other pixels than {data.name} gives now: pick another teacher")
        elsewhere = ElsewhereConfig(**about["elsewhere"]) if about.get("elsewhere") else None
        return self.network(ModelConfig(**about["model"]), elsewhere, tensors, data, len(wanted)), part

    def network(
        self,
        model: ModelConfig,
        elsewhere: ElsewhereConfig | None,
        tensors: dict[str, torch.Tensor],
        data: ResidentData,
        classes: int = 0,
    ) -> nn.Module:
        """A trained model with its weights, for this data and so many ``classes``, else all; ``elsewhere`` as of the run.

        A :class:`CheckpointError` where they do not fit each other.
        """
        if elsewhere is not None:
            return brought_in(model, elsewhere, tensors, data)
        net = build(model, data.shape, classes or len(data.classes), self.device)
        return with_weights(net, tensors).eval().requires_grad_(False)

    def subsets(self, generalist: StoredFile, config: SpecialistsConfig, where: DataConfig, seed: int) -> Found:
        """The subsets of classes that a trained generalist's predictions ask for; a :class:`ConfigError` where one is of one
        class, of all, or without training cases."""
        data = self.data(where)
        self._check_specialists(config, data)
        said = self.ensemble([generalist], "arithmetic", data)
        on_validation = self.ensemble_logits(said, where, "validation").argmax(dim=1) if len(data.validation) else None
        if config.by == "confusion":
            if on_validation is None:
                raise ConfigError("specialists.by", "must be correlation or covariance where no cases are kept for validation")
            matrix = confusions(on_validation, data.validation.labels, len(data.classes))
        else:
            known = (data.train.labels >= 0).nonzero()[:, 0]
            logits = self._logits.members(
                said, (data.digest, where, "train"), lambda member: logits_on(member, data, data.train.images, known)
            )
            matrix = similarity((logits[0] / config.temperature).softmax(dim=1), config.by)
        subsets = self._by_hand(config, data) or find_subsets(matrix, config.count, config.size, seed)
        if not subsets:
            raise ConfigError("specialists.count", "every subset would be of one class; ask for fewer, or set specialists.size")
        for subset in subsets:
            check_subset(subset, data, "specialists.count")
        share = inside(subsets, on_validation, data.validation.labels) if on_validation is not None else math.nan
        return Found(subsets, matrix, share)

    def _by_hand(self, config: SpecialistsConfig, data: ResidentData) -> tuple[tuple[int, ...], ...]:
        found = []
        for place, text in enumerate(config.by_hand):
            names = [part.strip() for part in str(text).split(",") if part.strip()]
            chosen = class_numbers(names, data.classes, f"specialists.by_hand.{place}")
            found.append(tuple(sorted(set(chosen))))
        return tuple(found)

    def job(self, run: int, config: RunConfig, ensemble: Ensemble | None = None, tell: sources.Tell = sources.quiet) -> Job:
        """A run ready to be trained; soft targets are computed here, once, where the teachers see the cases as they are:
        those of a student whose training neither jitters nor flips them, or whose teachers are to see clean images."""
        data = self.run_data(config)
        cases = transfer_cases(data.train.labels, data.classes, config.transfer, config.seed)
        targets = None
        if ensemble is not None and config.distillation is not None and _targets_kept(config.distillation, config.training):
            where = (data.digest, config.data, cases.cpu().numpy().tobytes())
            total, done = len(cases) * len(ensemble.members), 0

            def tick(more: int) -> None:
                nonlocal done
                done += more
                tell(f"computing the soft targets of {len(ensemble.members)} teachers", done, total, "cases")

            with self._all_threads():
                logits = self._logits.members(
                    ensemble, where, lambda member: logits_on(member, data, data.train.images, cases, tick)
                )
            targets = targets_for(logits, config.distillation)
        return Job(run=run, config=config, data=data, cases=cases, ensemble=ensemble, soft_targets=targets)

    def specialist_job(self, run: int, config: RunConfig, generalist: StoredFile) -> Job:
        """A specialist ready to be trained from its generalist's weights (section 5.3); with a full softmax it learns the
        labels of its classes and the generalist's distribution on all other cases (section 6)."""
        data, about = self.data(config.data), config.specialist
        assert about is not None
        learned = lesson(data, about)
        tensors, stored = checkpoints.read(generalist.path, generalist.sha256)
        with self.random_state_kept():
            other = build(config.model, data.shape, len(data.classes) + 1, self.device)
        if ModelConfig(**stored["model"]) != config.model:  # an option that came since has its default
            raise CheckpointError(f"run {generalist.run} is no {config.model.describe()} to begin with; launch it anew")
        begun = start_from(tensors, other.state_dict(), about, len(data.classes))
        ensemble = targets = None
        if config.distillation is not None:
            ensemble = self.ensemble([generalist], "arithmetic", data)
            with self._all_threads():
                logits = logits_on(ensemble.members[0], data, data.train.images, learned.cases)
            targets = logits.softmax(dim=1)
            labels = data.train.labels[learned.cases[: learned.own]]
            targets[: learned.own] = torch.nn.functional.one_hot(labels, len(data.classes)).to(targets.dtype)
        return Job(
            run=run,
            config=config,
            data=learned.data,
            cases=learned.cases,
            ensemble=ensemble,
            soft_targets=targets,
            start=begun,
            own=learned.own,
            offset=learned.offset,
        )

    def ensemble_logits(self, ensemble: Ensemble, config: DataConfig, split: str) -> torch.Tensor:
        """Combined logits of the ensemble on the ``validation`` or ``test`` split, (N, classes)."""
        data = self.data(config)
        images = (data.validation if split == "validation" else data.test).images
        where = (data.digest, config, split)
        return combined_logits(
            self._logits.members(ensemble, where, lambda member: logits_on(member, data, images)), ensemble.mean
        )

    def in_slices(self, ensemble: Ensemble, config: DataConfig, split: str) -> Iterator[None]:
        """Compute what :meth:`ensemble_logits` needs, resting after each batch of cases."""
        data = self.data(config)
        images = (data.validation if split == "validation" else data.test).images
        for key, member in zip(ensemble.keys, ensemble.members, strict=True):
            kept = (key, (data.digest, config, split))
            if kept in self._logits:
                continue
            parts = []
            for part in logits_in_batches(member, data, images):
                parts.append(part)
                yield
            self._logits.get(kept, partial(torch.cat, parts))

    def use_threads(self, size: ModelSize, batch_size: int, before: int = 0, together: int = 1) -> int:
        """Set torch's threads for a run, or several ``together``: those it had ``before``, so that it goes on as it was;
        else as settings say; else by the size of one step, so that equal runs get equal threads."""
        small = size.multiply_adds * batch_size * 3 * together < SMALL_STEP
        threads = before or self.settings.threads or (1 if small else self._most_threads())
        torch.set_num_threads(threads)
        return threads

    def _most_threads(self) -> int:
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.settings.threads or (max(1, available - 1) if self.settings.window else available)

    @contextmanager
    def _all_threads(self) -> Iterator[None]:
        """For the teachers' large batches, which a small student's single thread would take twice the time for."""
        before = torch.get_num_threads()
        torch.set_num_threads(self._most_threads())
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def environment(self, threads: int, precision: str, together: Sequence[int] = ()) -> dict[str, Any]:
        """What is recorded beside a run and not part of its fingerprint; ``together`` are the runs it began with as one model."""
        cuda = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else ""
        return {
            "workbench": __version__,
            "engine": ENGINE_VERSION,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "system": platform.platform(),
            "device": self.device.type,
            "device_name": cuda or platform.machine(),
            "threads": threads,
            "soft_target_threads": self._most_threads(),
            "precision": precision,
            "together": sorted(together),
        }


def _targets_kept(distillation: DistillationConfig, training: TrainingConfig) -> bool:
    """Whether one set of soft targets holds for all epochs, because the teachers see each case as it is."""
    return distillation.teacher_view == "clean" or not (training.jitter or training.flip)
