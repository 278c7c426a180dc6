"""Training in another process: jobs as plain bytes and values, and the worker that trains them a slice of time at a go.

The driver asks for one slice after the other, and is told what happened in it. So a pause is not to ask, a stop is to ask for
the end, and whoever writes slower than is trained holds training up. Nothing here knows who carries the asking.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from workbench.config import RunConfig
from workbench.distill.data import ResidentData, Split
from workbench.distill.ensembles import Ensemble
from workbench.distill.together import Together
from workbench.distill.training import Job, Trainer, TrainerState
from workbench.errors import WorkbenchError
from workbench.events import EpochEnded, Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A job without its images: ``tensors`` is safetensors, the ensemble's models are on the CPU, all else plain values."""

    run: int
    config: dict[str, Any]
    name: str
    classes: tuple[str, ...]
    digest: str
    tensors: bytes
    own: int
    ensemble: Ensemble | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A trainer's state as bytes (safetensors) and plain values."""

    tensors: bytes
    values: dict[str, Any]

    @classmethod
    def of(cls, state: TrainerState) -> Snapshot:
        """A state, ready to be sent."""
        return cls(_packed(state.tensors), state.values)

    def state(self) -> TrainerState:
        """The state that was sent."""
        return TrainerState(safetensors.torch.load(self.tensors), self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a worker tells: the events of a slice, by moments.

    ``attempt`` and ``number`` say which one it is, so that a repeated one can be known. ``snapshots`` are of the moment
    after the last event, by run, where they were due. ``over`` is the last one, with ``failures`` by run.
    """

    attempt: int
    number: int
    moments: tuple[tuple[Event, ...], ...] = ()
    snapshots: Mapping[int, Snapshot] | None = None
    failures: Mapping[int, str] = dataclasses.field(default_factory=dict)
    over: bool = False
    environment: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def pack_images(data: ResidentData) -> bytes:
    """The images that are trained and validated on, which several jobs may have in common."""
    return _packed({"train": data.train.images, "validation": data.validation.images})


def pack(job: Job) -> Parcel:
    """A job for another process, but for its images."""
    data = job.data
    tensors = {"train": data.train.labels, "validation": data.validation.labels, "cases": job.cases}
    tensors |= {"mean": data.mean, "deviation": data.deviation}
    tensors |= {f"start.{name}": tensor for name, tensor in (job.start or {}).items()}
    tensors |= {"soft_targets": job.soft_targets} if job.soft_targets is not None else {}
    tensors |= {"offset": job.offset} if job.offset is not None else {}
    asked = job.soft_targets is None and job.ensemble is not None
    return Parcel(
        run=job.run,
        config=job.config.to_dict(),
        name=data.name,
        classes=data.classes,
        digest=data.digest,
        tensors=_packed(tensors),
        own=job.own,
        ensemble=_moved(job.ensemble, torch.device("cpu")) if asked and job.ensemble is not None else None,
    )


def unpack(parcel: Parcel, images: bytes, device: torch.device) -> Job:
    """The job on a device. It has no test split: a worker never sees that."""
    seen = {name: tensor.to(device) for name, tensor in safetensors.torch.load(images).items()}
    given = {name: tensor.to(device) for name, tensor in safetensors.torch.load(parcel.tensors).items()}
    start = {name.removeprefix("start."): tensor for name, tensor in given.items() if name.startswith("start.")}
    data = ResidentData(
        name=parcel.name,
        classes=parcel.classes,
        digest=parcel.digest,
        train=Split(seen["train"], given["train"]),
        validation=Split(seen["validation"], given["validation"]),
        test=Split(seen["train"][:0], given["train"][:0]),
        mean=given["mean"],
        deviation=given["deviation"],
    )
    return Job(
        run=parcel.run,
        config=RunConfig.from_dict(parcel.config),
        data=data,
        cases=given["cases"],
        ensemble=_moved(parcel.ensemble, device) if parcel.ensemble else None,
        soft_targets=given.get("soft_targets"),
        start=start or None,
        own=parcel.own,
        offset=given.get("offset"),
    )


class Worker:
    """Trains a run, or several as one model, one attempt after the other, on ``threads`` of torch's in its process."""

    def __init__(self, device: str, threads: int) -> None:
        self._device = torch.device(device)
        self._threads = threads
        torch.set_num_threads(threads)
        if device == "cuda":
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True

    def begin(
        self, attempt: int, images: bytes, parcels: Sequence[Parcel], snapshots: Mapping[int, Snapshot], alone: bool
    ) -> Told:
        """Make ready to train jobs on the same images, from ``snapshots`` where there are some; what is trained on.

        ``alone`` is one by its own arithmetic, not by that of several together.
        """
        try:
            self._trainers = [self._trainer(unpack(one, images, self._device), snapshots.get(one.run)) for one in parcels]
        except WorkbenchError as error:  # some of them have more arguments than an error that is sent may have
            raise WorkbenchError(str(error)) from None
        self._source = self._trainers[0] if alone else Together(self._trainers)
        self._moments = self._source.moments()
        self._attempt, self._number, self._wanted = attempt, 0, False
        self._left = self._kept = time.perf_counter()
        return Told(attempt=attempt, number=0, environment=self._environment())

    def _trainer(self, job: Job, snapshot: Snapshot | None) -> Trainer:
        return Trainer(job) if snapshot is None else Trainer.resume(job, snapshot.state())

    def more(self, seconds: float, wanted: bool, at_least_every: float) -> Told:
        """Train for about ``seconds`` and tell of it.

        Where snapshots are ``wanted``, the slice ends with the next epoch, in this slice or in a later one, with them; at
        the latest ``at_least_every`` seconds after those before.
        """
        start = time.perf_counter()
        self._source.exclude(start - self._left)  # nobody asked for anything meanwhile, in a pause say
        self._wanted = self._wanted or wanted
        moments, due, over = list[tuple[Event, ...]](), False, False
        while not due and time.perf_counter() - start < seconds:
            moment = next(self._moments, None)
            if moment is None:
                over = True
                break
            moments.append(moment)
            due = (self._wanted and isinstance(moment[-1], EpochEnded)) or time.perf_counter() - self._kept > at_least_every
        told = self._told(tuple(moments), due or over, over)
        self._left = time.perf_counter()
        return told

    def end(self) -> Told:
        """End here, with snapshots."""
        return self._told((), True, True)

    def _told(self, moments: tuple[tuple[Event, ...], ...], kept: bool, over: bool) -> Told:
        self._number += 1
        snapshots = None
        if kept:
            there = [one for one in self._trainers if over or not one.finished]
            snapshots = {one.job.run: Snapshot.of(one.state()) for one in there}
            self._kept, self._wanted = time.perf_counter(), False
        failures = {one.job.run: str(one.failure) for one in self._trainers if one.failure is not None}
        return Told(
            attempt=self._attempt, number=self._number, moments=moments, snapshots=snapshots, failures=failures, over=over
        )

    def _environment(self) -> dict[str, Any]:
        cuda = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else ""
        return {
            "torch": torch.__version__,
            "python": platform.python_version(),
            "system": platform.platform(),
            "device": self._device.type,
            "device_name": cuda or platform.machine(),
            "threads": self._threads,
            "host": platform.node(),
            "process": os.getpid(),
        }


def _packed(tensors: Mapping[str, Tensor]) -> bytes:
    return bytes(safetensors.torch.save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}))


def _moved(ensemble: Ensemble, device: torch.device) -> Ensemble:
    members = tuple(copy.deepcopy(member).to(device) for member in ensemble.members)
    return dataclasses.replace(ensemble, members=members)
