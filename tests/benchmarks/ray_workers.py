"""The same specialists trained by two workers of Ray's and by the local thread, one torch thread each, in one process.

    uv run python tests/benchmarks/ray_workers.py [--dataset D] [--units N] [--epochs N] [--count N] [--workers N] [--json]

Seconds from the subsets being known to the last specialist's end, figures and checkpoints included. Ray and its workers are
started before, which is told apart: they stay for all runs of a program. Exit status 1 where a test error differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import Elsewhere
from workbench.config import ExperimentConfig
from workbench.events import Event, ExperimentStarted, RunFinished
from workbench.history import reading
from workbench.history.database import open_for_reading
from workbench.history.writing import History
from workbench.running import ray_executor
from workbench.running.driver import Control
from workbench.running.engine import Engine, EngineSettings
from workbench.running.experiment import run_experiment


def config(options: argparse.Namespace, epochs: int) -> ExperimentConfig:
    """A generalist and its specialists, no students."""
    return ExperimentConfig.from_dict(
        {
            "name": "specialists",
            "data": {"dataset": options.dataset},
            "teachers": [{"model": "mlp", "layers": 2, "units": options.units}],
            "teacher_training": {"epochs": 1},
            "specialists": {"count": options.count, "size": 4, "students": False},
            "specialist_training": {"epochs": epochs},
        }
    )


def specialists(engine: Engine, path: Path, experiment: ExperimentConfig) -> tuple[float, list[float]]:
    """Seconds that the specialists of an experiment took, and their test errors."""
    began = ended = 0.0

    def emit(event: Event) -> None:
        nonlocal began, ended
        if isinstance(event, ExperimentStarted):  # the second time, once the subsets are known
            began = time.perf_counter()
        if isinstance(event, RunFinished) and event.role == "specialist":
            ended = time.perf_counter()

    with History(path) as history:
        status = run_experiment(engine, history, history.enqueue(experiment), Control(), emit)
    assert status == "done", status
    with closing(open_for_reading(path)) as database:
        rows = [row for row in reading.experiment_rows(database, 1) if row.role == "specialist"]
    return ended - began, [row.figures["test_errors"] for row in rows]


def main() -> int:
    """Measure both, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    local = Engine(EngineSettings(device="cpu", threads=1))
    remote = Engine(EngineSettings(device="cpu", threads=1, executor="ray"))
    found: dict[str, Any] = {"workers": options.workers, "specialists": options.count}
    with tempfile.TemporaryDirectory() as folder:
        specialists(local, Path(folder, "first.db"), config(options, 1))  # loads data and what torch imports late
        start = time.perf_counter()
        ray_executor.connect("ray", "cpu", num_cpus=options.workers)
        specialists(remote, Path(folder, "workers.db"), config(options, 1))
        found["seconds_to_start_ray"] = time.perf_counter() - start
        errors = {}
        for name, engine in (("local", local), ("ray", remote)):
            elsewhere = Elsewhere()
            found[f"seconds_{name}"], errors[name] = specialists(
                engine, Path(folder, f"{name}.db"), config(options, options.epochs)
            )
            found[f"cores_busy_{'elsewhere' if name == 'local' else 'with_workers'}"] = round(elsewhere.cores(), 2)
        ray_executor.disconnect()
    found |= {
        "ratio": found["seconds_ray"] / found["seconds_local"],
        "test_errors": errors,
        "same": errors["local"] == errors["ray"],
    }
    if options.json:
        print(json.dumps(found))
    else:
        print(
            f"{options.count} specialists: {found['seconds_local']:.1f} s by the local thread, {found['seconds_ray']:.1f} s by "
            f"{options.workers} workers, {found['ratio']:.2f} of the time; the same test errors: {found['same']} "
            f"{errors['local']}; {found['cores_busy_elsewhere']} cores busy elsewhere while the local thread trained; "
            f"{found['seconds_to_start_ray']:.0f} s to start Ray and a first short round"
        )
    return int(not found["same"])


if __name__ == "__main__":
    sys.exit(main())
