"""Experiments on digits that take a moment, and what the tests need to do them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config import ExperimentConfig, RunConfig
from workbench.recipes import with_values

if TYPE_CHECKING:
    import numpy as np

    from workbench.events import Event
    from workbench.history.reading import RunRow
    from workbench.history.writing import History
    from workbench.running.driver import Control
    from workbench.running.engine import Engine

TINY: dict[str, Any] = {
    "name": "tiny",
    "teachers": [{"model": "mlp", "layers": 1, "units": 16, "count": 2}],
    "teacher_training": {"epochs": 2},
    "student": {"model": "mlp", "layers": 1, "units": 8},
    "transfer": {"fraction": 0.1},
    "training": {"epochs": 3, "batch_size": 64},
}
"""Two teachers, a student and its baseline."""

DIVERGING: dict[str, Any] = {
    "epochs": 50,
    "optimizer": "sgd",
    "learning_rate": 100.0,
    "warmup": 4.0,
    "weight_decay": 1.0,
}
"""Training whose first epochs go well and whose loss then turns nan."""


def tiny(**changes: Any) -> ExperimentConfig:
    """The tiny experiment with dotted paths changed; a dot is written as two underscores."""
    return ExperimentConfig.from_dict(with_values(TINY, [(key.replace("__", "."), value) for key, value in changes.items()]))


def specialised(**changes: Any) -> ExperimentConfig:
    """A generalist of few epochs, two specialists with dropout and jitter that draw random numbers, and students."""
    given: dict[str, Any] = {
        "teachers": [{"model": "mlp", "layers": 1, "units": 16, "dropout": 0.2}],
        "specialists": {"count": 2, "size": 4},
        "specialist_training": {"epochs": 4, "jitter": 1},
        "transfer__fraction": 1.0,
    }
    return tiny(**(given | changes))


@functools.cache
def engine() -> Engine:
    """One engine for all tests: it keeps the digits."""
    from workbench.running.engine import Engine, EngineSettings

    return Engine(EngineSettings(device="cpu", threads=1))


def any_config(random: np.random.Generator) -> ExperimentConfig:
    """A small experiment with any optimiser, schedule, model, jitter and loss."""

    def pick(*choices: Any) -> Any:
        return choices[int(random.integers(len(choices)))]

    def training() -> dict[str, Any]:
        return {
            "epochs": 3,
            "batch_size": pick(32, 64),
            "optimizer": pick("sgd", "adamw"),
            "learning_rate": 0.01,
            "schedule": pick("constant", "cosine", "linear", "step"),
            "step_epochs": 1,
            "warmup": pick(0.0, 0.5),
            "weight_decay": pick(0.0, 0.01),
            "jitter": pick(0, 1),
            "flip": pick(False, True),
            "patience": pick(0, 1),
            "keep": pick("best", "last"),
        }

    return tiny(
        teachers=[
            {"model": "mlp", "layers": 1, "units": 16, "dropout": 0.5, "input_dropout": 0.2, "max_norm": 1.0},
            pick({"model": "cnn", "channels": 4}, {"model": "resnet", "depth": 8, "width": 4}),
        ],
        teacher_training=training(),
        training=training(),
        distillation={"hard_weight": pick(0.0, 0.3), "mean": pick("arithmetic", "geometric"), "temperature": 3.0},
        transfer={"fraction": 0.3},
        seed=int(random.integers(1000)),
    )


def launch(history: History, config: ExperimentConfig, control: Control | None = None) -> tuple[str, list[Event]]:
    """Do an experiment to its end: how it ended and what was told."""
    from workbench.running.driver import Control
    from workbench.running.experiment import run_experiment

    events: list[Event] = []
    status = run_experiment(engine(), history, history.enqueue(config), control or Control(), events.append)
    return status, events


def rows(history: History, experiment: int = 1) -> list[RunRow]:
    """The runs of an experiment in their order."""
    from workbench.history.database import open_for_reading
    from workbench.history.reading import experiment_rows

    with closing(open_for_reading(history.path)) as database:
        return experiment_rows(database, experiment)


def add_run(history: History, experiment: int, role: str, config: RunConfig | None = None, parents: Sequence[int] = ()) -> int:
    """A waiting run of an experiment that has none yet, with teachers that are there already; its number."""
    from workbench.history.writing import Entry

    entries = [Entry(role="teacher", name="", config=RunConfig(), reused=parent) for parent in parents]
    name = "teacher 1" if role == "teacher" else role
    new = Entry(
        role=role, name=name, config=config or RunConfig(), parents=tuple(range(len(parents))), parameters=10, multiply_adds=20
    )
    return history.enter(experiment, [*entries, new])[-1]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}
