"""What a report asks of the engine thread: the labels of test cases, and the latency of models.

Nothing here imports torch; what comes back is numpy arrays, texts and numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from workbench.analysis.report import BATCHES, Labels, Latencies, Latency, Timed
from workbench.errors import Cancelled, CheckpointError, DataError, WorkbenchError
from workbench.running import device_lease

if TYPE_CHECKING:
    from torch import Tensor, nn

    from workbench.distill.data import ResidentData
    from workbench.history.writing import History
    from workbench.running.engine import Engine

SECONDS = 0.4
"""For about so long each model answers at each number of images."""
VIEWS = 16


def labels_of(run: int) -> Callable[[Engine, History], Labels]:
    """Labels of the test cases on which a run's predictions were kept; a :class:`DataError` where its data set is not there
    as it was."""

    def answer(engine: Engine, history: History) -> Labels:
        past = history.past_run(run)
        name = past.config.data.dataset
        if not engine.has_data(past.config.data):
            raise DataError(f"while a model trains on other data, the labels of {name} are not read; they are once it is over")
        data = engine.data(past.config.data, download=False)
        if past.dataset_digest != data.digest:
            raise DataError(f"{name} is no longer what run {run} was trained on; put the files back as they were")
        return Labels(data.digest, data.classes, data.test.labels.cpu().numpy())

    return answer


def latencies(run: int, models: Sequence[Timed]) -> Callable[[Engine, History], Latencies]:
    """The latency of models on test images of the data that ``run`` was trained on, with their stored weights, all with the
    same number of threads: those of the Settings, else one. A :class:`WorkbenchError` while anything trains on the device,
    which would be held up, and would hold the models up."""

    def answer(engine: Engine, history: History) -> Latencies:
        if engine.busy:
            raise WorkbenchError("a model is training, and latency measured beside it would be wrong; measure when it is over")
        with device_alone(engine):
            data = engine.data(history.past_run(run).config.data, download=False)
            of: dict[str, dict[int, Latency]] = {}
            missing = []
            with _threads(engine.settings.threads or 1) as threads:
                for model in models:
                    try:
                        members = _members(model, engine, history, data)
                    except CheckpointError as error:
                        missing.append(str(error))
                        continue
                    for batch in BATCHES:
                        for key, latency in _measured(model, members, _views(data, batch), engine).items():
                            of.setdefault(key, {})[batch] = latency
            device = engine.environment(threads, "float32")
        name = str(device["device_name"])
        on_cpu = engine.device.type == "cpu"
        return Latencies(device=f"{engine.device.type} ({name})", threads=threads if on_cpu else 0, of=of, missing=tuple(missing))

    return answer


@contextmanager
def device_alone(engine: Engine) -> Iterator[None]:
    """The device, which nobody else trains on meanwhile; a :class:`WorkbenchError` where somebody does."""
    try:
        lease = device_lease.take(engine.device.type)
    except OSError:  # where no lock can be made nobody else is kept out either
        yield
        return
    if lease is None:
        raise WorkbenchError(f"another workbench trains on this {engine.device.type}; measure the latency when it is done")
    try:
        yield
    finally:
        lease.release()


@contextmanager
def _threads(wanted: int) -> Iterator[int]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(wanted)
    try:
        yield wanted
    finally:
        torch.set_num_threads(before)


def _members(model: Timed, engine: Engine, history: History, data: ResidentData) -> tuple[nn.Module, ...]:
    """The models with their verified weights; a :class:`CheckpointError` where one's are not there."""
    stored = []
    for run in model.runs:
        weights = history.past_run(run).weights
        if weights is None:
            raise CheckpointError(f"run {run} has no weights here, so its latency cannot be measured")
        stored.append(weights)
    combination = history.past_run(model.combination).config.combination if model.combination else None
    return engine.ensemble(stored, "arithmetic", data, combination).members


def _views(data: ResidentData, batch: int) -> list[Tensor]:
    """Some batches of test images as a model sees them."""
    images = data.test.images
    places = np.arange(VIEWS * batch) % len(images)
    return [data.view(images[places[at * batch : (at + 1) * batch]]) for at in range(VIEWS)]


def _measured(model: Timed, members: Sequence[nn.Module], views: Sequence[Tensor], engine: Engine) -> dict[str, Latency]:
    import torch

    from workbench.distill.timing import times

    def answering(member: nn.Module) -> Callable[[Tensor], object]:
        return lambda view: member(view).argmax(dim=1).tolist()  # to the CPU, which waits for an accelerator

    def go_on() -> None:
        if engine.closing():
            raise Cancelled("the workbench is closing")

    with torch.no_grad():
        taken = times([answering(member) for member in members], views, SECONDS, go_on)
    found = {model.key: summed_up(taken.sum(axis=1))}
    return found | {part: summed_up(taken[:, at]) for at, part in enumerate(model.parts)}


def summed_up(milliseconds: np.ndarray) -> Latency:
    """Of several goes the median and the 95th percentile."""
    return Latency(float(np.median(milliseconds)), float(np.percentile(milliseconds, 95)))
