"""What is taken away of a finished run: its network, the images as files have them, its own answers, and words about it."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sqlite_utils import Database
from torch import nn

from workbench import __version__
from workbench.analysis.bias import Correction
from workbench.config import ExperimentConfig
from workbench.distill import card, sources
from workbench.distill.data import ResidentData
from workbench.distill.deployed import Deployed, Prepared
from workbench.distill.evaluation import logits_on
from workbench.errors import CheckpointError, DataError
from workbench.exchange.takeaway import OPSET, script_for
from workbench.history import reading
from workbench.history.reading import PastRun, RunDetails, RunRow
from workbench.running.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """A run with its network on the CPU, the test images as files have them, and its own logits of these (N, classes)."""

    details: RunDetails
    past: PastRun
    data: ResidentData
    net: nn.Module
    images: np.ndarray
    prepared: dict[str, Any]
    shift: list[float] | None
    logits: np.ndarray
    teachers: list[str]

    @property
    def labels(self) -> np.ndarray:
        """The right classes of the test images, (N,)."""
        labels: np.ndarray = self.data.test.labels.numpy()
        return labels

    def deployed(self) -> Deployed:
        """The network with all that stands around it."""
        return Deployed(Prepared(**self.prepared), self.net, list(self.data.classes), self.shift).eval().requires_grad_(False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as files have it."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width


def source_of(engine: Engine, database: Database, history: Path, run: int, tell: sources.Tell) -> Source:
    """A run of the history, ready to be taken away; a :class:`CheckpointError` or :class:`DataError` where it cannot be."""
    details, past = reading.run_details(database, run), reading.past_run(database, history, run)
    _takeable(past)
    assert past.weights is not None
    config = past.config.data
    tell(f"reading {config.dataset}", 0, 0, "")
    data = engine.data(config, tell, download=False)
    if past.dataset_digest != data.digest:
        raise DataError(f"{config.dataset} is no longer what run {run} was trained on; put the files back as they were")
    net = engine.ensemble([past.weights], "arithmetic", data).members[0]
    images, left = sources.stored_test(config, sources.data_folders(engine.settings.folders))
    shift = _shift(details.correction, len(data.classes))
    logits = logits_on(net, data, data.test.images).numpy()
    prepared = {
        "shape": tuple(images.shape[1:]),
        "transpose": left.transpose,
        "out": left.channels or images.shape[1],
        "invert": left.invert,
        "side": left.image_size,
        "mean": data.mean.flatten().tolist(),
        "deviation": data.deviation.flatten().tolist(),
    }
    return Source(
        details=details,
        past=past,
        data=data,
        net=net,
        images=images,
        prepared=prepared,
        shift=shift,
        logits=logits if shift is None else logits + np.array(shift, np.float32),
        teachers=[_teacher(row) for row in reading.list_runs(database, details.parents)],
    )


def _takeable(past: PastRun) -> None:
    """A sentence on what has no weights, or none that mean something alone."""
    if past.config.combination is not None and past.config.distillation is None:
        raise CheckpointError(
            f"run {past.run} has no weights of its own: it is a generalist with its specialists; take the student of it away"
        )
    if past.config.specialist is not None:
        raise CheckpointError(f"run {past.run} is a specialist, which answers beside its generalist alone; take a student away")
    if past.config.elsewhere is not None:
        raise CheckpointError(
            f"run {past.run} came from elsewhere, as {past.config.elsewhere.source or 'a file'}, and is taken away as that; "
            "take a student of it away"
        )
    if past.status != "done":
        raise CheckpointError(f"run {past.run} is {past.status}; only a finished run can be taken away")
    if past.weights is None:
        raise CheckpointError(f"the weights of run {past.run} are no longer kept; train it again to take it away")


def _teacher(row: RunRow) -> str:
    errors = row.figures.get("test_errors")
    return f"run {row.id}: {row.model}" + (f", {errors:,.0f} test errors" if errors is not None else "")


def _shift(correction: Correction | None, classes: int) -> list[float] | None:
    if correction is None:
        return None
    return [float(np.float32(correction.shift)) if number in correction.classes else 0.0 for number in range(classes)]


def _input_words(source: Source) -> str:
    shape = " × ".join(map(str, source.shape))
    done = [
        "rows and columns exchanged" * source.prepared["transpose"],
        "made grey" * (source.prepared["out"] == 1 < source.shape[0]),
        "given three channels" * (source.prepared["out"] == 3 > source.shape[0]),
        "inverted" * source.prepared["invert"],
        f"scaled to {source.prepared['side']} × {source.prepared['side']}" * bool(source.prepared["side"]),
        "standardised",
    ]
    from_16 = ", scikit-learn's from 0 to 16 times 255 / 16" if source.data.name == "digits" else ""
    return (
        f"uint8 N × {shape} (channels, height, width), pixels from 0 to 255 as the data set's files have them{from_16};"
        f" inside {', '.join(filter(None, done))}"
    )


def metadata(source: Source) -> dict[str, str]:
    """What an ONNX file tells of itself."""
    return {
        "classes": json.dumps(source.data.classes, ensure_ascii=False),
        "input": _input_words(source),
        "outputs": "logits, and probabilities: their softmax at temperature 1, both N × classes",
        "preprocessing": json.dumps(source.prepared),
        "bias_correction": _correction_words(source),
        "opset": str(OPSET),
        "recipe": _recipe(source),
        "data": source.data.name,
        "data_digest": source.data.digest,
        "run": f"{source.details.row.role}, run {source.details.row.id} of {source.details.row.experiment_name}",
        "workbench": __version__,
    }


def _recipe(source: Source) -> str:
    return ExperimentConfig.from_dict(source.details.experiment_config).to_toml()


def _correction_words(source: Source) -> str:
    correction = source.details.correction
    if correction is None:
        return ""
    names = ", ".join(source.data.classes[number] for number in correction.classes)
    return f"the logits of {names} are shifted by {correction.shift:+.4g} inside"


def card_of(source: Source, file: str) -> card.About:
    """What the model card in that file says."""
    row = source.details.row
    return card.About(
        run=row.id,
        name=row.experiment_name,
        role=row.role,
        model=source.past.config.model.describe(),
        data=source.data.name,
        digest=source.data.digest,
        input=_input_words(source),
        recipe=_recipe(source),
        figures=row.figures,
        parameters=row.parameters or 0,
        multiply_adds=row.multiply_adds or 0,
        teachers=source.teachers,
        correction=_correction_words(source),
        versions=f"Made with workbench {__version__}, torch {torch.__version__}, Python {platform.python_version()}.",
        script=script_for("safetensors", file, source.shape),
    )
