"""Several runs of one shape trained as one batched model: their layers stacked, each with its own cases, order and loss.

Every run keeps its own :class:`Trainer`, whose model and optimiser show a part of the stack: its state, its checkpoints
and its resume are those of a run trained alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from workbench.distill.data import ResidentData
from workbench.distill.descent import perceptron
from workbench.distill.evaluation import BATCH
from workbench.distill.models import norm_limited
from workbench.distill.random_state import random_state_kept
from workbench.distill.training import Job, Lessons, Trainer, lessons, optimizer_for
from workbench.events import Event


def company(trainer: Trainer) -> Hashable | None:
    """What trainers need to have in common to be trained together; None for one that is trained alone.

    They may differ in seed, temperature, hard weight, learning rate and, where it gives as many steps, in their cases.
    """
    job, training = trainer.job, trainer.job.config.training
    alone = (
        not perceptron(trainer.model)
        or job.data.device.type == "mps"
        or training.precision != "float32"
        or bool(training.jitter or training.flip or training.label_smoothing)
        or (job.config.distillation is not None and (job.soft_targets is None or job.config.distillation.match == "logits"))
        or bool(job.config.transfer.images)
        or job.config.specialist is not None
        or trainer.finished
    )
    if alone:
        return None
    alike = dataclasses.replace(training, learning_rate=1.0)
    place = (trainer.step, trainer.epochs_done, job.steps_per_epoch)
    return (id(job.data), repr(job.config.model), alike, job.soft_targets is None, trainer.labels is None, place)


class Together:
    """Trains several runs of one :func:`company` in step; iterate over it once.

    A run that is finished leaves the others; nothing is raised for one that diverges: its ``failure`` says so.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        # one order whoever comes first: the places of the weights in a product may decide a last bit
        self.trainers = tuple(sorted(trainers, key=lambda trainer: (_rate(trainer), trainer.job.run)))

    def __iter__(self) -> Iterator[Event]:
        return itertools.chain.from_iterable(self.moments())

    def moments(self) -> Iterator[tuple[Event, ...]]:
        """The events, everybody's of one moment together."""
        while going := [trainer for trainer in self.trainers if not trainer.finished]:
            yield from lessons(going, Stack(going))

    def exclude(self, seconds: float) -> None:
        """Leave ``seconds`` that the driver waited out of everybody's clock."""
        for trainer in self.trainers:
            trainer.exclude(seconds)


def measure_rate(*jobs: Job, seconds: float = 0.1) -> float:
    """Training cases a second of one job, or of several together, measured on a few steps; leaves torch's random state as
    it was."""
    with random_state_kept(jobs[0].data.device):
        trainers = [Trainer(job) for job in jobs]
        by: Lessons = Stack(trainers) if len(trainers) > 1 else trainers[0]
        by.begin_epoch(0)
        by.learn(0)
        before, start = sum(trainer.seen for trainer in trainers), time.perf_counter()
        for index in range(1_000_000):
            by.learn(index % jobs[0].steps_per_epoch)
            if index >= 1 and time.perf_counter() - start > seconds:
                break
        float(trainers[0].sums[0])
        return (sum(trainer.seen for trainer in trainers) - before) / (time.perf_counter() - start)


class Stack:
    """The lessons of several trainers in step, which are sorted by learning rate.

    Activations are (runs, units, cases): with few units that is twice as fast as (runs, cases, units).
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        self._trainers = trainers
        self._data: ResidentData = trainers[0].job.data
        own = [list(trainer.model.parameters()) for trainer in trainers]
        self._stacks = [torch.stack([one.detach() for one in alike]) for alike in zip(*own, strict=True)]
        self._gradients = [torch.empty_like(stack) for stack in self._stacks]
        for place, parameters in enumerate(own):
            for parameter, stack in zip(parameters, self._stacks, strict=True):
                parameter.data = stack[place]
        self._optimizer = _Shared(trainers, self._stacks, self._gradients)
        self._losses = _Losses(trainers)
        self._sums = torch.stack([trainer.sums for trainer in trainers])
        for trainer, sums in zip(trainers, self._sums, strict=True):
            trainer.sums = sums

    def begin_epoch(self, epoch: int) -> None:
        """Order everybody's cases for an epoch."""
        self._order = _Order.of(self._trainers, epoch)

    @torch.no_grad()
    def learn(self, place: int) -> None:
        """One step for everybody."""
        cases, rows, counts, mask = self._order.batch(place)
        images = self._data.train.images.index_select(0, cases.reshape(-1))
        inputs = self._data.view(images).reshape(*cases.shape, -1)
        outputs = self._outputs(inputs.transpose(1, 2))
        losses, gradient = self._losses(outputs[-1], cases, rows, counts, mask)
        self._descend(inputs, outputs, gradient)
        self._sums += losses
        for trainer, count in zip(self._trainers, counts, strict=True):
            trainer.count(count)

    @torch.no_grad()
    def validated(self) -> list[tuple[float, float]]:
        """Everybody's accuracy and negative log-likelihood (nats) on validation."""
        split = self._data.validation
        parts = [self._outputs(self._data.view(images).flatten(1).t())[-1] for images in torch.split(split.images, BATCH)]
        logits = torch.cat(parts, dim=2)
        right = (logits.argmax(dim=1) == split.labels).float().mean(dim=1)
        labels = split.labels.expand(len(logits), -1)
        loss = F.cross_entropy(logits, labels, reduction="none").mean(dim=1)
        return list(zip(right.tolist(), loss.tolist(), strict=True))

    def _outputs(self, given: Tensor) -> list[Tensor]:
        """Every layer's output, (runs, units, cases), for inputs (runs, pixels, cases), or (pixels, cases) alike for all."""
        found = []
        last = len(self._stacks) - 2
        for place in range(0, len(self._stacks), 2):
            weight, bias = self._stacks[place : place + 2]
            if given.dim() == 2:
                given = (weight.flatten(0, 1) @ given).reshape(*weight.shape[:2], -1).add_(bias[:, :, None])
            else:
                given = torch.baddbmm(bias[:, :, None], weight, given)
            if place < last:
                given.relu_()
            found.append(given)
        return found

    def _descend(self, inputs: Tensor, outputs: list[Tensor], delta: Tensor) -> None:
        for place in reversed(range(len(outputs))):
            given = outputs[place - 1].transpose(1, 2) if place else inputs
            torch.bmm(delta, given, out=self._gradients[2 * place])
            torch.sum(delta, 2, out=self._gradients[2 * place + 1])
            if place:
                delta = torch.bmm(self._stacks[2 * place].transpose(1, 2), delta)
                torch.ops.aten.threshold_backward.grad_input(delta, outputs[place - 1], 0, grad_input=delta)
        self._optimizer.step()
        limit = float(getattr(self._trainers[0].model, "max_norm", 0.0))
        for weight in self._stacks[:-2:2] if limit else ():
            norm_limited(weight, limit)


class _Shared:
    """One optimiser for stacked parameters, with a group for each learning rate, whose slots the trainers' own show."""

    def __init__(self, trainers: Sequence[Trainer], stacks: list[Tensor], gradients: list[Tensor]) -> None:
        self._groups: list[list[Trainer]] = [list(alike) for _, alike in itertools.groupby(trainers, key=_rate)]
        groups = []
        start = 0
        for alike in self._groups:
            parameters = [nn.Parameter(stack[start : start + len(alike)]) for stack in stacks]
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient[start : start + len(alike)]
            groups.append({"params": parameters})
            start += len(alike)
        self._optimizer: Optimizer = optimizer_for(groups, trainers[0].job.config.training)
        self._shown = False
        for alike, group in zip(self._groups, self._optimizer.param_groups, strict=True):
            for place, parameter in enumerate(group["params"]):
                own = [trainer.optimizer.state[_parameter(trainer, place)] for trainer in alike]
                for key, value in own[0].items():
                    scalar = not isinstance(value, Tensor) or value.dim() == 0
                    stacked = value if scalar else torch.stack([slots[key] for slots in own])
                    self._optimizer.state[parameter][key] = stacked.clone() if isinstance(stacked, Tensor) else stacked

    def step(self) -> None:
        """Change all weights, each run's by its own learning rate."""
        for alike, group in zip(self._groups, self._optimizer.param_groups, strict=True):
            group["lr"] = alike[0].rate_at(alike[0].step)
        self._optimizer.step()
        if not self._shown:
            self._shown = True
            self._show()

    def _show(self) -> None:
        for alike, group in zip(self._groups, self._optimizer.param_groups, strict=True):
            for place, parameter in enumerate(group["params"]):
                for number, trainer in enumerate(alike):
                    slots = trainer.optimizer.state[_parameter(trainer, place)]
                    for key, value in self._optimizer.state[parameter].items():
                        whole = not isinstance(value, Tensor) or value.dim() == 0
                        slots[key] = value if whole else value[number]


class _Losses:
    """Everybody's loss and its gradient at the logits, each run's at its own temperature and hard weight."""

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        first = trainers[0]
        self._labels = first.job.data.train.labels if first.labels is not None else None
        self._targets: Tensor | None = None
        device = first.job.data.device
        self._hard_weight = torch.ones(len(trainers), 1, 1, device=device)
        if first.job.soft_targets is not None:
            about = [trainer.job.config.distillation for trainer in trainers]
            temperatures = [one.temperature for one in about if one is not None]
            weights = [one.hard_weight for one in about if one is not None]
            self._temperature = torch.tensor(temperatures, device=device)[:, None, None]
            self._hard_weight = torch.tensor(weights, device=device)[:, None, None]
            self._targets = torch.cat([trainer.job.soft_targets for trainer in trainers if trainer.job.soft_targets is not None])
            self._information = torch.special.xlogy(self._targets, self._targets).sum(dim=1)

    def __call__(
        self, logits: Tensor, cases: Tensor, rows: Tensor, counts: list[int], mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """(runs, 3) of total, soft and hard loss as in :mod:`losses`, and the gradient like ``logits``, (runs, classes, N)."""
        runs, classes, width = logits.shape
        size = torch.tensor(counts, dtype=torch.float32).to(logits.device) if mask is not None else counts[0]
        share: Tensor | float = size[:, None, None] if isinstance(size, Tensor) else float(size)
        total = soft = hard = torch.zeros(runs, device=logits.device)
        gradient: Tensor | None = None
        if self._targets is not None:
            rows = rows.reshape(-1)
            targets = self._targets.index_select(0, rows).reshape(runs, width, classes).transpose(1, 2).contiguous()
            log_q = F.log_softmax(logits / self._temperature, dim=1)
            each = self._information.index_select(0, rows).reshape(runs, width) - (targets * log_q).sum(dim=1)
            soft = _over(each, mask) / size
            scale = (1.0 - self._hard_weight) * self._temperature
            total = (scale * self._temperature).flatten() * soft
            gradient = log_q.exp_().sub_(targets).mul_(scale / share)
        if self._labels is not None:
            labels = self._labels.index_select(0, cases.reshape(-1)).reshape(runs, 1, width)
            log_q = F.log_softmax(logits, dim=1)
            hard = _over(-log_q.gather(1, labels)[:, 0], mask) / size
            total = total + self._hard_weight.flatten() * hard
            error = log_q.exp_().scatter_add_(1, labels, log_q.new_full(labels.shape, -1.0)).mul_(self._hard_weight / share)
            gradient = error if gradient is None else gradient.add_(error)
        assert gradient is not None
        if mask is not None:
            gradient *= mask[:, None]
        return torch.stack([total, soft, hard], dim=1), gradient


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """An epoch of several runs: (steps, runs, batch) numbers of cases, and of rows of their soft targets one after another.

    ``counts`` are the cases of each step and run; where they are fewer than the batch, the last of it stand for nothing.
    """

    cases: Tensor
    rows: Tensor
    counts: list[list[int]]

    @classmethod
    def of(cls, trainers: Sequence[Trainer], epoch: int) -> _Order:
        """Each run's cases in its own order, split as they are for a run alone."""
        steps = trainers[0].job.steps_per_epoch
        cases, rows, counts, before = [], [], [], 0
        width = max(-(-len(trainer.job.cases) // steps) for trainer in trainers)
        for trainer in trainers:
            whole = len(trainer.job.cases)
            sizes = torch.full((steps,), whole // steps)
            sizes[: whole % steps] += 1
            starts = sizes.cumsum(0) - sizes
            places = (starts[:, None] + torch.arange(width)).clamp_(max=whole - 1).to(trainer.job.cases.device)
            positions = trainer.views.order(epoch)[0][places]
            cases.append(trainer.job.cases[positions])
            rows.append(positions + before)
            counts.append(sizes)
            before += whole
        return cls(torch.stack(cases, dim=1), torch.stack(rows, dim=1), torch.stack(counts, dim=1).tolist())

    def batch(self, place: int) -> tuple[Tensor, Tensor, list[int], Tensor | None]:
        """Cases and rows, (runs, N), how many each run has, and which stand for something where that is not all."""
        counts = self.counts[place]
        width = max(counts)
        cases, rows = self.cases[place, :, :width], self.rows[place, :, :width]
        if min(counts) == width:
            return cases, rows, counts, None
        there = torch.arange(width) < torch.tensor(counts)[:, None]
        return cases, rows, counts, there.to(cases.device)


def _over(each: Tensor, mask: Tensor | None) -> Tensor:
    """Sum over cases, (runs,)."""
    return (each if mask is None else each * mask).sum(dim=1)


def _rate(trainer: Trainer) -> float:
    return trainer.job.config.training.learning_rate


def _parameter(trainer: Trainer, place: int) -> nn.Parameter:
    return list(trainer.model.parameters())[place]
