"""What the screen that looks at images asks of the engine thread: the models of an experiment, and the images they are for.

Nothing here imports torch before it is asked. What comes back are numpy arrays, and models that other threads may then ask,
since they draw no random numbers: the training loop looks up every 50 ms, and a pen wants its answer sooner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from workbench.analysis.looking import LineUp, Looked, Scaled, log_distributions, looked, scaled
from workbench.config import DataConfig
from workbench.errors import CheckpointError, DataError
from workbench.history.looked import Kept

if TYPE_CHECKING:
    from torch import nn

    from workbench.distill.data import ResidentData, Split
    from workbench.history.writing import History
    from workbench.running.engine import Engine

MEASURED = 48
"""Of about so many images the ink is measured."""
FAINT = 64
"""Pixels below this are background."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """Trained models of one experiment with the data set they were trained on.

    ``line_up`` are those whose weights are there, ``fill`` the share of an image's side that its ink takes, and ``missing``
    says who is not there and why.
    """

    line_up: LineUp
    config: DataConfig
    data: ResidentData
    members: tuple[nn.Module, ...]
    fill: float
    missing: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.data.shape

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Everybody's logits, float32 (speakers, N, classes), for a batch of uint8 images (N, C, H, W)."""
        import torch

        _take_one_core()
        with torch.inference_mode():
            view = self.data.view(torch.from_numpy(np.require(images, requirements=["C", "W"])).to(self.data.device))
            return torch.stack([member(view).float() for member in self.members]).cpu().numpy()

    def test_logits(self, key: str) -> np.ndarray:
        """One speaker's logits on the test split, float32 (N, classes)."""
        return self._on(key, self.data.test)

    def validation(self) -> tuple[np.ndarray, np.ndarray]:
        """Everybody's logits on validation, float32 (speakers, N, classes), and the labels (N,)."""
        split = self.data.validation
        return np.stack([self._on(one.key, split) for one in self.line_up.speakers]), split.labels.cpu().numpy()

    def _on(self, key: str, split: Split) -> np.ndarray:
        from workbench.distill.evaluation import logits_on

        place = [one.key for one in self.line_up.speakers].index(key)
        _take_one_core()
        return logits_on(self.members[place], self.data, split.images).cpu().numpy()


def _take_one_core() -> None:
    """torch keeps a number of threads for each thread that asks: one for this, so that a training keeps the others."""
    import torch

    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def models(kept: Kept) -> Callable[[Engine, History], Models]:
    """The models of those who are done in an experiment, from their verified weights, and the data they were trained on.

    A :class:`DataError` where the data set is not there as it was.
    """

    def answer(engine: Engine, history: History) -> Models:
        past = history.past_run(kept.anchor)
        config = past.config.data
        if not engine.has_data(config):
            raise DataError(f"while a model trains on other data, {config.dataset} is not read; it is once that is over")
        data = engine.data(config, download=False)
        if past.dataset_digest != data.digest:
            raise DataError(
                f"{config.dataset} is no longer what run {kept.anchor} was trained on; put the files back as they were"
            )
        found: dict[str, nn.Module] = {}
        missing: list[str] = []
        for one in kept.line_up.speakers:
            runs = kept.combined if one.key == "whole" else (one.run,)
            try:
                found[one.key] = _model(one.run, runs, engine, history, data)
            except CheckpointError as error:
                missing.append(f"{one.name} (run {one.run}) cannot be asked: {error}")
        line_up = kept.line_up.only(list(found))
        return Models(
            line_up=line_up,
            config=config,
            data=data,
            members=tuple(found[one.key] for one in line_up.speakers),
            fill=_fill(data.train.images[:: max(1, len(data.train) // MEASURED)].cpu().numpy()),
            missing=tuple(missing),
        )

    return answer


def _model(run: int, runs: tuple[int, ...], engine: Engine, history: History, data: ResidentData) -> nn.Module:
    stored = []
    for one in runs:
        past = history.past_run(one)
        if past.dataset_digest != data.digest:
            raise CheckpointError(f"run {one} was trained on other images")
        if past.weights is None:
            raise CheckpointError(f"run {one} has no weights here")
        stored.append(past.weights)
    combination = history.past_run(run).config.combination if len(runs) > 1 else None
    return engine.ensemble(stored, "arithmetic", data, combination).members[0]


def _fill(images: np.ndarray) -> float:
    """The share of the images' side that the longer side of what is drawn takes, the median of some; 1 for photographs."""
    shares = []
    for image in images.max(axis=1):
        rows, columns = (np.flatnonzero((image >= FAINT).any(axis=axis)) for axis in (1, 0))
        if len(rows):
            shares.append(max((rows[-1] - rows[0] + 1) / image.shape[0], (columns[-1] - columns[0] + 1) / image.shape[1]))
    return float(np.median(shares)) if shares else 1.0


def look(models: Models, kept: Kept) -> Looked:
    """The test images, and what everybody says of them: as kept when they were trained, else worked out now."""
    data = models.data
    cases, classes = len(data.test), len(data.classes)
    said: dict[str, np.ndarray] = {}
    loaded = {one.key for one in models.line_up.speakers}
    for one in kept.line_up.speakers:
        there = kept.logits.get(one.key)
        if there is not None and there.shape == (cases, classes):
            said[one.key] = there.astype(np.float32)
        elif one.key in loaded:
            said[one.key] = models.test_logits(one.key)
    line_up = kept.line_up.only(list(said))
    if not line_up.speakers:
        raise DataError("neither predictions nor weights of this experiment are there; launch it anew")
    absent = [one.name for one in kept.line_up.speakers if one.key not in said]
    return looked(
        line_up,
        data.name,
        data.classes,
        data.test.images.cpu().numpy(),
        data.test.labels.cpu().numpy(),
        np.stack([said[one.key] for one in line_up.speakers]),
        [f"Neither predictions nor weights are there of: {', '.join(absent)}."] if absent else [],
    )


def calibrated(models: Models, there: Looked) -> dict[str, Scaled]:
    """Each party's calibration on test before and after temperature scaling fitted on validation, by its key."""
    if not len(models.data.validation):
        raise DataError("these models were trained on all cases: none were kept for validation, on which a temperature is fitted")
    logits, labels = models.validation()
    on_validation = log_distributions(models.line_up, logits)
    on_test = log_distributions(there.line_up, there.logits)
    names = {one.key: one.name for one in there.line_up.parties}
    return {
        key: scaled(names[key], (on_validation[key], labels), (logs, there.labels))
        for key, logs in on_test.items()
        if key in on_validation
    }
