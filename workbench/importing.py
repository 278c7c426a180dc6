"""A person's weight file becomes a finished run that can teach: checked, measured, and kept as the history keeps weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from workbench.config import ExperimentConfig, RunConfig, TeacherConfig
from workbench.distill import checkpoints
from workbench.distill.evaluation import figures, logits_on
from workbench.distill.models import build
from workbench.distill.weight_files import read_weights
from workbench.driver import about_weights
from workbench.engine import Engine
from workbench.history.writing import Entry, History


def import_weights(engine: Engine, history: History, path: Path, config: RunConfig, name: str = "") -> int:
    """Enter the weights of a file as a finished teacher; the run's number.

    ``config`` says which model they are for and which data they are measured on. Raises :class:`CheckpointError` where the
    file is refused or does not fit, :class:`DataError` where the data is absent: then nothing is entered.
    """
    data = engine.data(config.data)
    size = engine.size(config.model, data)
    model = build(config.model, data.shape, len(data.classes))
    model.load_state_dict(read_weights(path, model.state_dict()))
    model.to(data.device).eval()
    on_validation, on_test = (logits_on(model, data, split.images) for split in (data.validation, data.test))
    found = figures(on_validation, data.validation.labels, "val") | figures(on_test, data.test.labels, "test")

    teacher = TeacherConfig(model=config.model)
    experiment = history.enqueue(ExperimentConfig(name=name or path.stem, data=config.data, teachers=(teacher,)))
    history.claim(experiment)
    entry = Entry(role="teacher", name="teacher 1", config=config, parameters=size.parameters, multiply_adds=size.multiply_adds)
    (run,) = history.enter(experiment, [entry])
    try:
        history.start_run(
            run,
            fingerprint=f"imported {hashlib.sha256(path.read_bytes()).hexdigest()}",
            data_digest=data.digest,
            steps=0,
            environment=engine.environment(0, config.training.precision),
        )
        kept = history.run_folder(run) / "weights-0.safetensors"
        written = checkpoints.write(kept, model.state_dict(), about_weights(data, config.model, 0))
        history.record_artefact(run, ("weights",), 0, kept, *written)
        history.record_figures(run, found)
        cases, classes = on_test.shape
        history.record_predictions(run, "test", cases, classes, on_test.half().cpu().numpy().tobytes())
        history.add_note(run, f"imported from {path.name}; which cases it was trained on is not known")
    except Exception:
        history.finish_run(run, "failed", "the import was not finished")
        history.finish_experiment(experiment, "failed", "the import was not finished")
        raise
    history.finish_run(run, "done", f"imported from {path.name}")
    history.finish_experiment(experiment, "done", "")
    return run
