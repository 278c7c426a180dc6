"""Every model of the zoo taken away in every form: are all predictions equal, and how far are logits apart?

    uv run python tests/benchmarks/takeaway.py [--data FOLDER]… [--epochs 1] [--only MODEL]… [--on DATASET]…

On digits, MNIST and Fashion-MNIST, where these are on this machine. A student of every model is trained for an epoch on a
tenth of the cases from a small teacher (on all of digits' for ten epochs), taken away as ONNX (and with 8-bit weights),
safetensors and torch.export, and each file read back by its own runtime on the whole test split. Latency is that of ONNX
Runtime, student and teacher in one run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.machine import Elsewhere, available_cores
from workbench.analysis.report import Latency
from workbench.config import ExperimentConfig
from workbench.errors import NotHere
from workbench.exchange.takeaway import FORMS, Taken
from workbench.exchange.taking import Wanted, cpu_engine, take_away
from workbench.history.database import open_for_reading
from workbench.history.reading import experiment_rows
from workbench.history.writing import History
from workbench.running.driver import Control
from workbench.running.experiment import run_experiment

DATA = ("digits", "mnist", "fashion-mnist")
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"model": "mlp", "layers": 2, "units": 100},
    "cnn": {"model": "cnn", "channels": 16},
    "resnet": {"model": "resnet", "depth": 8, "width": 8},
    "mobilenet_v3_small": {"model": "torchvision", "architecture": "mobilenet_v3_small", "resize": 32},
    "squeezenet1_1": {"model": "torchvision", "architecture": "squeezenet1_1", "resize": 32},
    "shufflenet_v2_x0_5": {"model": "torchvision", "architecture": "shufflenet_v2_x0_5", "resize": 32},
    "resnet18": {"model": "torchvision", "architecture": "resnet18"},
}


def main() -> None:
    """Print a row for each file, and at the end whether all are equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", action="append", type=Path, default=[])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], choices=MODELS)
    parser.add_argument("--on", action="append", default=[], choices=DATA)
    given = parser.parse_args()
    elsewhere = Elsewhere()
    print("| data | model | form | test images | predictions that differ | largest logit difference | errors | int8 errors "
          "| size | int8 size | 1 image, p95 (ms) | 64 images, p95 (ms) | teacher's | s |\n" + "|---" * 14 + "|")  # fmt: skip
    engine = cpu_engine(tuple(given.data), 1)
    taken: list[Taken] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKBENCH_LOCKS"] = folder  # latency is measured though others train: how busy they are stands below
        path = Path(folder) / "experiments.db"
        with History(path) as history:
            for data in given.on or DATA:
                for name, model in MODELS.items():
                    if given.only and name not in given.only:
                        continue
                    config = recipe(data, model, given.epochs)
                    try:
                        engine.data(config.data, download=False)
                    except NotHere as error:
                        print(f"{data} is left out: {error}", file=sys.stderr)
                        break
                    experiment = history.enqueue(config)
                    assert run_experiment(engine, history, experiment, Control(), lambda _: None) == "done"
                    for form in FORMS:
                        begun = time.perf_counter()
                        taken.append(one(engine, path, experiment, form))
                        print(row(data, name, taken[-1], time.perf_counter() - begun), flush=True)
    equal = all(one.compared.differing == 0 for one in taken)
    largest = max(one.compared.largest for one in taken)
    busy = f"{available_cores()} cores, of which others kept {elsewhere.cores():.1f} busy"
    print(f"\ntorch {torch.__version__}, {busy}; one thread each")
    print(f"{len(taken)} files: all predictions {'equal' if equal else 'NOT equal'}, largest logit difference {largest:.1e}")


def recipe(data: str, model: dict[str, Any], epochs: int) -> ExperimentConfig:
    """A student of that model from a small teacher."""
    small = data == "digits"
    epochs *= 10 if small else 1
    return ExperimentConfig.from_dict(
        {
            "name": data,
            "data": {"dataset": data},
            "teachers": [{"model": "mlp", "layers": 2, "units": 300}],
            "teacher_training": {"epochs": epochs},
            "student": model,
            "transfer": {"fraction": 1.0 if small else 0.1},
            "training": {"epochs": epochs, "batch_size": 64},
            "distillation": {"baseline": False},
        }
    )


def one(engine: Any, path: Path, experiment: int, form: str) -> Taken:
    """The student of an experiment taken away, kept even where it answers otherwise."""
    with closing(open_for_reading(path)) as database:
        run = next(each.id for each in experiment_rows(database, experiment) if each.role == "student")
        target = path.parent / f"{run}{FORMS[form].suffix}"
        wanted = Wanted(run=run, target=target, form=form, small=form == "onnx", force=True)
        return take_away(engine, database, path, wanted)


def row(data: str, name: str, taken: Taken, seconds: float) -> str:
    """A row of the table."""
    student, teacher = taken.lines[0], taken.lines[-1]
    small = taken.lines[1] if taken.small else None

    def shown(latency: Latency | None) -> str:
        return f"{latency.median:.3g}, {latency.p95:.3g}" if latency else "–"

    def kilobytes(size: int | None) -> str:
        return f"{size / 1e3:,.0f} kB" if size is not None else "–"

    times, theirs = student.latency or {}, teacher.latency or {}
    cells = (
        data, name, taken.form, f"{taken.compared.cases:,}", str(taken.compared.differing), f"{taken.compared.largest:.1e}",
        f"{student.errors:,}", f"{small.errors:,}" if small else "–",
        kilobytes(student.size), kilobytes(small.size if small else None),
        shown(times.get(1)), shown(times.get(64)), f"{shown(theirs.get(1))}; {shown(theirs.get(64))}", f"{seconds:.0f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
