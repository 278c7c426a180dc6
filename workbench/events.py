"""What the trainer and the driver say, one small frozen dataclass each, of plain scalars and never of tensors.

Every event names its run by its number in the history. Below them, the news that a background thread has for the
screen beside events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins (or goes on) at ``step`` of ``steps`` in all, as one of so many that are trained ``together`` as one model."""

    run: int
    experiment: int
    role: str
    name: str
    step: int
    steps: int
    epochs: int
    device: str
    threads: int
    together: int = 1


@dataclass(frozen=True, slots=True)
class Metrics:
    """Values at a step fixed by the configuration; stored. ``elapsed`` is seconds of training, pauses left out."""

    run: int
    step: int
    epoch: float
    elapsed: float
    values: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the run is, about every 50 ms, for the screen alone; ``rate`` is in samples a second."""

    run: int
    step: int
    steps: int
    epoch: float
    rate: float
    elapsed: float


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """An epoch is over; ``best`` says that the validation split has not been better before."""

    run: int
    step: int
    epoch: int
    best: bool


@dataclass(frozen=True, slots=True)
class CheckpointWritten:
    """A verified file of ``size`` bytes stands at ``path``."""

    run: int
    step: int
    kind: str
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the person; about a run, or about the experiment where ``run`` is 0."""

    run: int
    text: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """How a run ended: ``done``, ``stopped``, ``failed``, ``interrupted``, or ``reused`` where nothing had to be done."""

    run: int
    experiment: int
    role: str
    name: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class ExperimentStarted:
    """An experiment begins: the numbers of its runs in the order of the plan."""

    experiment: int
    name: str
    runs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ExperimentFinished:
    """An experiment is over: ``done``, ``stopped``, ``failed`` or ``interrupted``, and why."""

    experiment: int
    name: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Paused:
    """The driver waits before its next step, or goes on."""

    run: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Loading:
    """Preparation that takes a while: ``done`` of ``total`` (0 where unknown), in ``unit``."""

    text: str
    done: int
    total: int
    unit: str


Event = (
    RunStarted
    | Metrics
    | Progress
    | EpochEnded
    | CheckpointWritten
    | Note
    | RunFinished
    | ExperimentStarted
    | ExperimentFinished
    | Paused
    | Loading
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question: a value, or the error it met."""

    token: int
    value: Any
    error: Exception | None


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The engine has started, on a device."""

    device: str
    torch: str


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """The engine could not start, and why."""

    message: str


@dataclass(frozen=True, slots=True)
class ExperimentQueued:
    """An experiment waits under this number."""

    experiment: int
    name: str
