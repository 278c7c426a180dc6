"""The one training loop.

``Trainer(job)`` is an iterator of events. Between two events ``state()`` is a complete snapshot, from which
``Trainer.resume`` goes on bit for bit on the same machine, torch version and thread count.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from workbench.config import RunConfig, TrainingConfig
from workbench.distill.data import Batch, ResidentData, Views, views
from workbench.distill.descent import descent
from workbench.distill.ensembles import Ensemble, targets_for
from workbench.distill.evaluation import validate
from workbench.distill.losses import Loss, distillation_loss, hard_loss, matching_loss
from workbench.distill.models import build, constrain
from workbench.distill.random_state import random_state, set_random_state
from workbench.errors import ConfigError, Diverged
from workbench.events import EpochEnded, Event, Metrics, Progress

PROGRESS_SECONDS = 0.05
METRIC_POINTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """One run, ready to be trained: its data on the device, its ``cases`` of the training split, its teachers.

    ``soft_targets`` is (cases, classes), or the teachers' logits where these are matched, computed once for the cases as they
    are; where it is None and there is an
    ``ensemble``, the ensemble is run on every view that the student sees. A specialist has a ``start``, the weights that it
    begins with, and of its cases the first ``own`` are of its classes, see :class:`Views`; its ``offset`` (classes,) is taken
    from the logits while it learns.
    """

    run: int
    config: RunConfig
    data: ResidentData
    cases: Tensor
    ensemble: Ensemble | None = None
    soft_targets: Tensor | None = None
    start: dict[str, Tensor] | None = None
    own: int = 0
    offset: Tensor | None = None

    @property
    def cases_per_epoch(self) -> int:
        """How many cases an epoch has."""
        return 2 * self.own or len(self.cases)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of nearly equal size, none larger than the batch size, none left out."""
        return math.ceil(self.cases_per_epoch / self.config.training.batch_size)

    @property
    def steps(self) -> int:
        """Steps of the whole run, early stopping apart."""
        return self.steps_per_epoch * self.config.training.epochs


@dataclass(frozen=True, slots=True, eq=False)
class TrainerState:
    """A snapshot: tensors by name, and plain values."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


@dataclass(slots=True)
class Best:
    """The epoch that was best on validation so far."""

    epoch: int = 0
    accuracy: float = -1.0
    loss: float = math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)


class Trainer:
    """Trains one job; iterate over it once.

    Raises :class:`Diverged` where the loss is no longer finite (after the event that shows it), and
    :class:`ConfigError` where the model does not suit the data or the device has no bfloat16.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        device = job.data.device
        torch.manual_seed(job.config.seed)
        self.model = build(job.config.model, job.data.shape, len(job.data.classes), device).train()
        if job.start is not None:
            self.model.load_state_dict(job.start)
        training, seed = job.config.training, job.config.seed
        self.views: Views = views(job.data, job.cases, jitter=training.jitter, flip=training.flip, seed=seed, own=job.own)
        self.labels = job.data.train.labels[job.cases] if job.config.transfer.labelled or not job.config.distillation else None
        self.optimizer = optimizer_for(self.model.parameters(), training)
        self._descent = descent(self.model, self.optimizer, _precision(training, device))
        self._batches: list[Batch] = []
        self.sums = torch.zeros(3, device=device)
        self._none = torch.zeros((), device=device)
        self._summed = 0
        self.step = 0
        self.epochs_done = 0
        self.stopped_early = False
        self.best = Best()
        self.elapsed = 0.0
        self.last_loss = 0.0
        self.failure: Diverged | None = None
        self.seen = 0
        self._fresh = 0
        self._elsewhere: dict[str, Tensor] = {}
        self._clock = self._shown = time.perf_counter()

    @classmethod
    def resume(cls, job: Job, state: TrainerState) -> Trainer:
        """A trainer that goes on from a snapshot of the same job."""
        trainer = cls(job)
        trainer.restore(state)
        return trainer

    def __iter__(self) -> Iterator[Event]:
        yield from itertools.chain.from_iterable(self.moments())
        if self.failure is not None:
            raise self.failure

    def moments(self) -> Iterator[tuple[Event, ...]]:
        """The events, those of one moment together; nothing is raised here where it diverges, see ``failure``."""
        while not self.finished:
            yield from lessons((self,), self)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to train."""
        return self.stopped_early or self.failure is not None or self.epochs_done >= self.job.config.training.epochs

    def exclude(self, seconds: float) -> None:
        """Leave ``seconds`` that the driver waited, in a pause say, out of the run's clock."""
        self._clock += seconds
        self._shown += seconds

    def weights(self) -> dict[str, Tensor]:
        """The weights the run stands for: of the epoch best on validation, or the last ones."""
        if self.job.config.training.keep == "best" and self.best.weights:
            return self.best.weights
        return self.model.state_dict()

    def state(self) -> TrainerState:
        """Everything needed to go on: weights, optimiser, step, sums, best epoch, random state."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.weights.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in slots.items() if isinstance(value, Tensor)}
        tensors["sums"] = self.sums
        random = self._elsewhere | random_state(self.job.data.device)
        tensors |= {f"random.{kind}": state for kind, state in random.items()}
        values = {
            "step": self.step,
            "epochs_done": self.epochs_done,
            "stopped_early": self.stopped_early,
            "summed": self._summed,
            "seen": self.seen,
            "elapsed": self.elapsed,
            "best": [self.best.epoch, self.best.accuracy, self.best.loss],
        }
        return TrainerState({name: tensor.detach().clone() for name, tensor in tensors.items()}, values)

    def restore(self, state: TrainerState) -> None:
        """Be as a snapshot of the same job says, which may have been taken on another kind of device."""
        tensors, values = state.tensors, state.values
        self.model.load_state_dict(_below(tensors, "model"))
        saved = self.optimizer.state_dict()
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below(tensors, "optimizer").items():
            index, key = name.split(".", 1)
            slots.setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict({"state": slots, "param_groups": saved["param_groups"]})
        self.sums.copy_(tensors["sums"])
        epoch, accuracy, loss = values["best"]
        device = self.job.data.device
        self.best = Best(epoch, accuracy, loss, {key: value.to(device) for key, value in _below(tensors, "best").items()})
        self.step, self.epochs_done = values["step"], values["epochs_done"]
        self.stopped_early = values["stopped_early"] and bool(self.job.config.training.patience)
        self._summed, self.seen, self.elapsed = values["summed"], values["seen"], values["elapsed"]
        self._elsewhere = {kind: state for kind, state in _below(tensors, "random").items() if kind not in ("cpu", device.type)}
        set_random_state(_below(tensors, "random"), device)

    def begin(self) -> None:
        """Start the run's clock."""
        self._clock = self._shown = time.perf_counter()

    def begin_epoch(self, epoch: int) -> None:
        """Order the cases for an epoch."""
        self._batches = self.views.batches(epoch, self.job.steps_per_epoch)

    def learn(self, place: int) -> None:
        """One step of descent, on a batch of this epoch."""
        positions, shifts, flips = self._batches[place]
        self.optimizer.param_groups[0]["lr"] = self.rate_at(self.step)
        view = self.views.batch(positions, shifts, flips)
        logits = self._descent.forward(view)
        loss = self._loss(logits if self.job.offset is None else logits - self.job.offset, positions, view)
        self._descent.step(loss.gradient)
        constrain(self.model)
        self.sums += torch.stack([self._none if part is None else part for part in (loss.total, loss.soft, loss.hard)])
        self.count(len(positions))

    def count(self, cases: int) -> None:
        """Count a step that learned from so many cases and added its losses to the sums."""
        self.step += 1
        self._summed += 1
        self.seen += cases
        self._fresh += cases

    def validated(self) -> list[tuple[float, float]]:
        """Accuracy and negative log-likelihood (nats) on validation, as :func:`lessons` asks for them."""
        return [validate(self.model, self.job.data, self.job.data.validation)]

    def _loss(self, logits: Tensor, positions: Tensor, view: Tensor) -> Loss:
        distillation = self.job.config.distillation
        labels = self.labels[positions] if self.labels is not None else None
        if distillation is None:
            assert labels is not None
            return hard_loss(logits, labels, self.job.config.training.label_smoothing)
        if self.job.soft_targets is not None:
            targets = self.job.soft_targets[positions]
        else:
            assert self.job.ensemble is not None
            targets = targets_for(self.job.ensemble.member_logits(view), distillation)
        weight, partly = distillation.hard_weight, bool(self.job.config.transfer.images)
        if distillation.match == "logits":
            return matching_loss(logits, targets, labels, hard_weight=weight, partly=partly)
        return distillation_loss(logits, targets, labels, temperature=distillation.temperature, hard_weight=weight, partly=partly)

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        training = self.job.config.training
        return training.learning_rate * schedule_factor(training, step, self.job.steps_per_epoch)

    def metrics(self) -> Metrics:
        """The mean losses since this was last asked, and the learning rate."""
        total, soft, hard = (self.sums / max(1, self._summed)).tolist()
        self.last_loss = total
        values = [("loss", total)]
        if self.job.config.distillation is not None:
            values.append(("soft_loss", soft))
        if self.labels is not None:
            values.append(("hard_loss", hard))
        values.append(("learning_rate", self.rate_at(self.step - 1)))
        self.sums.zero_()
        self._summed = 0
        self._tick()
        return Metrics(self.job.run, self.step, self.step / self.job.steps_per_epoch, self.elapsed, tuple(values))

    def end_epoch(self, accuracy: float, loss: float) -> tuple[Metrics, EpochEnded]:
        """Count an epoch that ended with these figures on validation; what is to be told of it."""
        training = self.job.config.training
        self.epochs_done += 1
        better = (accuracy, -loss) > (self.best.accuracy, -self.best.loss) and math.isfinite(loss)
        if better:
            weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
            self.best = Best(self.epochs_done, accuracy, loss, weights)
        self.stopped_early = bool(training.patience) and self.epochs_done - self.best.epoch >= training.patience
        self._tick()
        values = (("val_accuracy", accuracy), ("val_loss", loss))
        metrics = Metrics(self.job.run, self.step, float(self.epochs_done), self.elapsed, values)
        return metrics, EpochEnded(self.job.run, self.step, self.epochs_done, better)

    def end_epoch_unseen(self) -> EpochEnded:
        """Count an epoch where there are no cases to validate on."""
        self.epochs_done += 1
        self._tick()
        return EpochEnded(self.job.run, self.step, self.epochs_done, best=False)

    def diverged(self, loss: float, name: str) -> bool:
        """Whether a loss is no longer finite; the run has failed then."""
        if not math.isfinite(loss):
            rate = self.job.config.training.learning_rate
            self.failure = Diverged(f"{name} became {loss} at step {self.step}; lower the learning rate ({rate:g})")
        return self.failure is not None

    def progress(self) -> Progress | None:
        """Where the run is and how fast, where that was last told long enough ago."""
        if time.perf_counter() - self._shown < PROGRESS_SECONDS:
            return None
        self._tick()
        now = time.perf_counter()
        rate = self._fresh / max(1e-9, now - self._shown)
        self._shown, self._fresh = now, 0
        epoch = self.step / self.job.steps_per_epoch
        return Progress(self.job.run, self.step, self.job.steps, epoch, rate, self.elapsed)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.elapsed += now - self._clock
        self._clock = now

    @property
    def samples_per_second(self) -> float:
        """Training cases a second over the whole run, validation included."""
        return self.seen / self.elapsed if self.elapsed else 0.0


class Lessons(Protocol):
    """What one or several trainers that go in step are taught by."""

    def begin_epoch(self, epoch: int) -> None:
        """Order the cases for an epoch."""

    def learn(self, place: int) -> None:
        """One step for everybody, on a batch of this epoch."""

    def validated(self) -> list[tuple[float, float]]:
        """Everybody's accuracy and negative log-likelihood (nats) on validation, of which there are cases."""


def lessons(trainers: Sequence[Trainer], by: Lessons) -> Iterator[tuple[Event, ...]]:
    """The training loop, for trainers at the same step, until one of them is finished or has diverged.

    Everybody's events of one moment come together: before and after them, everybody's state is of the same step.
    """
    first = trainers[0]
    each = first.job.steps_per_epoch
    every = max(1, first.job.steps // METRIC_POINTS)
    for trainer in trainers:
        trainer.begin()
    while not any(trainer.finished for trainer in trainers):
        epoch = first.epochs_done
        if first.step == (epoch + 1) * each:
            if not len(first.job.data.validation):
                yield tuple(trainer.end_epoch_unseen() for trainer in trainers)
                continue
            found = by.validated()
            ends = [trainer.end_epoch(*figures) for trainer, figures in zip(trainers, found, strict=True)]
            for trainer, (_, loss) in zip(trainers, found, strict=True):
                trainer.diverged(loss, "the validation loss")
            yield tuple(itertools.chain(*ends))
            continue
        by.begin_epoch(epoch)
        for place in range(first.step - epoch * each, each):
            by.learn(place)
            if first.step % every == 0:
                told = tuple(trainer.metrics() for trainer in trainers)
                if any([trainer.diverged(trainer.last_loss, "the loss") for trainer in trainers]):
                    yield told
                    return
                yield told
            if (progress := first.progress()) is not None:
                share = sum(trainer.job.cases_per_epoch for trainer in trainers) / first.job.cases_per_epoch
                yield (replace(progress, rate=progress.rate * share),)


def schedule_factor(training: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """What the learning rate is multiplied by at a step counted from 0: warm-up, then the schedule."""
    warmup = training.warmup * steps_per_epoch
    if step < warmup:
        return (step + 1) / (warmup + 1)
    total = training.epochs * steps_per_epoch
    done = (step - warmup) / max(1.0, total - warmup)
    if training.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    if training.schedule == "linear":
        return max(0.0, 1 - done)
    if training.schedule == "step":
        return float(training.step_factor ** (step // (training.step_epochs * steps_per_epoch)))
    return 1.0


def optimizer_for(parameters: Iterable[nn.Parameter] | list[dict[str, Any]], training: TrainingConfig) -> Optimizer:
    """The optimiser that a training asks for, of some parameters or of groups of them."""
    given: Any = list(parameters)
    of = [parameter for item in given for parameter in (item["params"] if isinstance(item, dict) else [item])]
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in of)
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimizer == "sgd":
        return SGD(given, lr=rate, momentum=training.momentum, weight_decay=decay, fused=fused)
    return AdamW(given, lr=rate, weight_decay=decay, fused=fused)


def _precision(training: TrainingConfig, device: torch.device) -> Any:
    check_precision(training, device, "training")
    return None if training.precision == "float32" else torch.autocast(device.type, dtype=torch.bfloat16)


def check_precision(training: TrainingConfig, device: torch.device, path: str) -> None:
    """Raise :class:`ConfigError` at ``path.precision`` where the device has no bfloat16 and the training asks for it."""
    if training.precision == "bf16" and not _has_bf16(device):
        raise ConfigError(f"{path}.precision", f"this {device.type} device has no bfloat16; choose float32")


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    known = "_is_mkldnn_bf16_supported"
    return device.type == "cpu" and hasattr(torch.ops.mkldnn, known) and bool(getattr(torch.ops.mkldnn, known)())


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}
