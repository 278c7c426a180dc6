"""Sixteen students trained together against one alone and against one after the other, on Fashion-MNIST, in one process.

    uv run python tests/benchmarks/students_together.py [--units 30 300] [--students 16] [--rounds N] [--seconds S] [--json]

Seconds for an epoch of one student alone, of all together, and of all one after the other (one alone, as often), measured in
turn, in slices, and given as medians of each round's ratios. The students differ in seed, temperature and learning rate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator

import torch

from tests.benchmarks.machine import Elsewhere
from workbench.config import DataConfig, DistillationConfig, ModelConfig, RunConfig, TrainingConfig
from workbench.distill.together import Together
from workbench.distill.training import Job, Trainer
from workbench.events import Event
from workbench.running.engine import Engine, EngineSettings

DATA = DataConfig(dataset="fashion-mnist")
BATCH = 128


def jobs(engine: Engine, units: int, count: int) -> list[Job]:
    """Students on all cases, with soft targets that nobody has learned: they take the same time."""
    data = engine.data(DATA)
    cases = torch.arange(len(data.train))
    targets = torch.rand(len(cases), len(data.classes)).softmax(dim=1)
    training = TrainingConfig(epochs=1000, batch_size=BATCH, schedule="constant")
    made = []
    for number in range(count):
        config = RunConfig(
            data=DATA,
            model=ModelConfig(options={"layers": 2, "units": units}),
            training=training,
            distillation=DistillationConfig(temperature=2.0 + number, hard_weight=0.1),
            seed=number,
        )
        made.append(Job(run=number + 1, config=config, data=data, cases=cases, soft_targets=targets))
    return made


class Side:
    """One side of the comparison: its trainer goes on, slice by slice."""

    def __init__(self, engine: Engine, jobs: list[Job]) -> None:
        self._trainers = [Trainer(job) for job in jobs]
        self._source = self._trainers[0] if len(jobs) == 1 else Together(self._trainers)
        self._events: Iterator[Event] = iter(self._source)
        self._size = engine.size(jobs[0].config.model, jobs[0].data)
        self._engine = engine
        self.threads = 0

    def seconds_per_epoch(self, seconds: float) -> float:
        """Measured for about so long."""
        lead = self._trainers[0]
        self.threads = self._engine.use_threads(self._size, BATCH, together=len(self._trainers))
        next(self._events)
        step, start = lead.step, time.perf_counter()
        while time.perf_counter() - start < seconds:
            next(self._events)
        return (time.perf_counter() - start) / (lead.step - step) * lead.job.steps_per_epoch


def main() -> None:
    """Measure, and print a line for each width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, nargs="+", default=[30, 300])
    parser.add_argument("--students", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    engine = Engine(EngineSettings())
    found = []
    for units in options.units:
        all_jobs = jobs(engine, units, options.students)
        one, many = Side(engine, all_jobs[:1]), Side(engine, all_jobs)
        ratios, busy = [], []
        for _ in range(options.rounds):
            elsewhere = Elsewhere()
            alone = one.seconds_per_epoch(options.seconds)
            together = many.seconds_per_epoch(options.seconds)
            ratios.append(together / alone)
            busy.append(round(elsewhere.cores(), 2))
        ratio = statistics.median(ratios)
        found.append(
            {
                "units": units,
                "students": options.students,
                "together_to_one": ratio,
                "together_to_one_after_the_other": ratio / options.students,
                "ratios": ratios,
                "threads": [one.threads, many.threads],
                "seconds_an_epoch_together": together,
                "cores_busy_elsewhere": busy,
            }
        )
        if not options.json:
            print(
                f"2×{units}: {options.students} together take {ratio:.2f} times one alone "
                f"({min(ratios):.2f} to {max(ratios):.2f}), {ratio / options.students:.2f} of one after the other; "
                f"{one.threads} and {many.threads} threads, {together:.2f} s an epoch together"
            )
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
