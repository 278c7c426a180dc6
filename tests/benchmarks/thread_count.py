"""Training rate (samples a second) of students of several widths with one thread and with all, and the size of a step from
which all threads win: what ``workbench.running.engine.SMALL_STEP`` is set by.

    uv run python tests/benchmarks/thread_count.py [--rounds N] [--seconds S] [--quiet CORES] [--json]

MLP 2×units on Fashion-MNIST, batch 128, SGD with momentum, kept soft targets (random ones: they take the same time). The
size of a step is the multiply-adds of forward and backward: three times those of one image, times the batch. One thread and
all are measured in turn and the medians compared, since other programs on the machine hold up several threads more than one.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys

import torch

from tests.benchmarks.machine import Elsewhere, available_cores
from workbench.config import DataConfig, DistillationConfig, ModelConfig, RunConfig, TrainingConfig
from workbench.distill.together import measure_rate
from workbench.distill.training import Job
from workbench.errors import WorkbenchError
from workbench.running.engine import SMALL_STEP, Engine, EngineSettings

WIDTHS, BATCH = (10, 30, 64, 100, 150, 300, 800), 128
DATA = DataConfig(dataset="fashion-mnist")


def student_job(engine: Engine, units: int) -> Job:
    """A student whose soft targets are random distributions."""
    data = engine.data(DATA)
    config = RunConfig(
        data=DATA,
        model=ModelConfig(model="mlp", options={"layers": 2, "units": units}),
        training=TrainingConfig(batch_size=BATCH, optimizer="sgd", learning_rate=0.05),
        distillation=DistillationConfig(),
    )
    cases = torch.arange(len(data.train))
    targets = torch.randn(len(cases), len(data.classes)).softmax(dim=1)
    return Job(run=0, config=config, data=data, cases=cases, soft_targets=targets)


def measured(job: Job, threads: int, rounds: int, seconds: float, quiet: float) -> tuple[float, float, float]:
    """Median rates with one thread and with ``threads``, measured in turn, and the most cores that were busy elsewhere.

    A round with more than ``quiet`` cores busy elsewhere is measured again, where a quieter one comes within five times as many.
    """
    found: list[tuple[float, float, float]] = []
    for _ in range(5 * rounds):
        elsewhere, rates = Elsewhere(), []
        for count in (1, threads):
            torch.set_num_threads(count)
            rates.append(measure_rate(job, seconds))
        busy = elsewhere.cores()
        if not busy > quiet:
            found.append((rates[0], rates[1], busy))
        if len(found) == rounds:
            break
    if not found:
        sys.exit(f"in no round were fewer than {quiet:g} cores busy elsewhere; wait, or raise --quiet")
    one, several, busiest = zip(*found, strict=True)
    return statistics.median(one), statistics.median(several), max(busiest)


def crossing(rows: list[dict[str, float]]) -> float | None:
    """The step from which on all threads win, between the last loss and the next win; None if never, 0 if at every width."""
    losses = [index for index, row in enumerate(rows) if row["all"] <= row["one"]]
    if not losses:
        return 0.0
    last = losses[-1]
    return None if last + 1 == len(rows) else float((rows[last]["step"] * rows[last + 1]["step"]) ** 0.5)


def main() -> None:
    """Measure every width and print a table, or with ``--json`` one object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="times that each thread count is measured")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--quiet", type=float, default=math.inf, help="leave out rounds with more cores busy elsewhere")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output instead of the table")
    given = parser.parse_args()
    threads = available_cores()
    if threads == 1:
        sys.exit("this process may use one core only: there is nothing to compare")
    engine = Engine(EngineSettings(device="cpu"))
    try:
        data = engine.data(DATA, download=False)
    except WorkbenchError as error:
        sys.exit(f"{error}\nOn Debian: apt-get install dataset-fashion-mnist")
    rows = []
    for units in WIDTHS:
        job = student_job(engine, units)
        one, several, busy = measured(job, threads, given.rounds, given.seconds, given.quiet)
        step = engine.size(job.config.model, data).multiply_adds * BATCH * 3
        rows.append({"units": float(units), "step": float(step), "one": one, "all": several, "elsewhere": busy})
        text = f"2×{units:<4} step {step:8.2e}  1 thread {one:>9,.0f}  {threads} threads {several:>9,.0f}"
        print(
            f"{text}  ratio {several / one:.2f}  busy elsewhere {busy:.2f}",
            file=sys.stderr if given.json else sys.stdout,
            flush=True,
        )
    found = crossing(rows)
    if given.json:
        print(json.dumps({"threads": threads, "small_step": SMALL_STEP, "crossing": found, "widths": rows}, indent=2))
    else:
        where = {None: "never here", 0.0: "at every width"}.get(found, f"from a step of about {found or 0:.1e}")
        print(f"{threads} threads win {where}; engine.SMALL_STEP is {SMALL_STEP:.1e}")


if __name__ == "__main__":
    main()
