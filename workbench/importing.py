"""A person's weight file becomes a finished run that can teach: checked, measured, and kept as the history keeps weights."""

from __future__ import annotations

from pathlib import Path

from workbench.config import ExperimentConfig, RunConfig, TeacherConfig
from workbench.distill import checkpoints
from workbench.distill.evaluation import figures, logits_on
from workbench.distill.models import build
from workbench.distill.weight_files import read_weights
from workbench.driver import about_weights
from workbench.engine import Engine
from workbench.history.writing import Entry, History, Imported


def import_weights(engine: Engine, history: History, path: Path, config: RunConfig, name: str = "") -> int:
    """Enter the weights of a file as a finished teacher; the run's number.

    ``config`` says which model they are for and which data they are measured on. Raises :class:`CheckpointError` where the
    file is refused or does not fit, :class:`DataError` where the data is absent: then nothing is entered.
    """
    data = engine.data(config.data)
    model_size = engine.size(config.model, data)
    model = build(config.model, data.shape, len(data.classes))
    model.load_state_dict(read_weights(path, model.state_dict()))
    model.to(data.device).eval()
    on_test = logits_on(model, data, data.test.images)
    found = figures(on_test, data.test.labels, "test")
    if len(data.validation):
        found |= figures(logits_on(model, data, data.validation.images), data.validation.labels, "val")

    weights = history.new_folder() / "weights-0.safetensors"
    size, sha256 = checkpoints.write(weights, model.state_dict(), about_weights(data, config.model, 0))
    cases, classes = on_test.shape
    imported = Imported(
        weights=weights,
        size=size,
        sha256=sha256,
        data_digest=data.digest,
        environment=engine.environment(0, config.training.precision),
        note=f"imported from {path.name}; which cases it was trained on is not known",
        figures=found,
        cases=cases,
        classes=classes,
        logits=on_test.half().cpu().numpy().tobytes(),
    )
    entry = Entry(
        role="teacher", name="teacher 1", config=config, parameters=model_size.parameters, multiply_adds=model_size.multiply_adds
    )
    around = ExperimentConfig(name=name or path.stem, data=config.data, teachers=(TeacherConfig(model=config.model),))
    return history.import_run(around, entry, imported)
