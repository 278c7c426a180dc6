"""How long a person waits for a pause: forty of them at random moments of a training.

uv run python tests/benchmarks/pause.py
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("WORKBENCH_LOCKS", tempfile.mkdtemp(prefix="workbench-locks-"))

from tests.experiments import tiny
from workbench.events import Event, Paused, RunStarted
from workbench.history.writing import History
from workbench.running.driver import Control
from workbench.running.engine import Engine, EngineSettings
from workbench.running.experiment import run_experiment

PAUSES = 40


def main() -> None:
    """Entry point."""
    control, waits, started = Control(), list[float](), threading.Event()
    asked = [0.0]

    def emit(event: Event) -> None:
        if isinstance(event, RunStarted):
            started.set()
        if isinstance(event, Paused) and event.paused:
            waits.append(time.perf_counter() - asked[0])

    def person() -> None:
        started.wait()
        for number in range(PAUSES):
            time.sleep(random.uniform(0.1, 0.3))
            asked[0] = time.perf_counter()
            control.pause()
            while len(waits) == number:
                time.sleep(0.001)
            control.resume()
        control.stop()

    config = tiny(teacher_training__epochs=100_000, teachers__0__units=800, teachers__0__layers=2)
    with tempfile.TemporaryDirectory() as folder, History(Path(folder) / "experiments.db") as history:
        thread = threading.Thread(target=person)
        thread.start()
        run_experiment(Engine(EngineSettings(device="cpu")), history, history.enqueue(config), control, emit)
        thread.join()
    print(f"{PAUSES} pauses: median {1000 * statistics.median(waits):.0f} ms, longest {1000 * max(waits):.0f} ms")


if __name__ == "__main__":
    main()
