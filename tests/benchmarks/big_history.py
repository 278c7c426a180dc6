"""Makes a large history as years of use would leave it, the same one for the same seed:

    uv run python -m tests.benchmarks.big_history PATH [--runs 10000] [--points 10000000] [--seed 0]

Sweeps over data sets, widths, temperatures and seeds, each planned and reused as Launch does it, with the curves that the
driver writes, results, lineage, failed and stopped runs, continued ones, tags and notes. A point is one value of one
metric. Some runs, tagged ``long``, have 5,000 points of ``loss``, to be laid over each other. There are no checkpoints and no
predictions. The rows are those that :class:`workbench.history.writing.History` writes; ``workbench doctor`` finds it sound.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import math
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
from sqlite_utils import Database

from tests.benchmarks.made_curves import SHAPES, STEPS_BETWEEN, Curves, curves_of, error_rate, figures_of, size_of
from workbench.config import ExperimentConfig, RunConfig, flat
from workbench.history.curves import copies, keep_copies
from workbench.history.database import open_database, open_for_reading, wal_is_safe
from workbench.plan import PlannedRun, plan
from workbench.sweep import expand

LONG_POINTS = 5000
TAGS = (("paper", 0.0, 0.04), ("to look at", 0.03, 0.045), ("keep", 0.9, 0.92))
"""Each with a range of a number that is drawn."""
NOTES = (
    "Better than *expected*.",
    "See the run before: **same seed**, other width.",
    "- odd start\n- fine later",
    "again, please",
)
ENVIRONMENT = {"workbench": "0.1.0", "engine": 2, "torch": "2.14.1", "python": "3.11.7", "system": "Linux", "device": "cpu",
               "device_name": "x86_64", "threads": 1, "soft_target_threads": 2, "precision": "float32"}  # fmt: skip
COUNTED = ("sweeps", "experiments", "runs", "params", "results", "points", "metrics", "nonfinite", "tags", "run_notes")
RUNS_AT_ONCE = 100
"""Runs of a transaction."""
SHARES = {"failed": 0.03, "stopped": 0.02, "interrupted": 0.01}
"""Of the students that do not come to their end."""
BEGIN = datetime(2024, 1, 8, 9, 0, tzinfo=UTC)


@dataclass(slots=True)
class Run:
    """A run to be written, with so many ``points`` of its training an epoch, and a fraction ``done`` of it behind it."""

    number: int
    experiment: int
    planned: PlannedRun
    parents: tuple[int, ...]
    status: str = "done"
    done: float = 1.0
    points: int = 1
    long: bool = False
    continues: Run | None = None

    @property
    def config(self) -> RunConfig:
        """What it is trained as."""
        return self.planned.config

    @property
    def before(self) -> int:
        """Epochs that the run had behind it which this one continues."""
        return self.continues.epochs if self.continues else 0

    @property
    def epochs(self) -> int:
        """Those that it has trained itself."""
        return max(1, math.ceil((self.config.training.epochs - self.before) * self.done))

    @property
    def metrics(self) -> int:
        """How many metrics each of its training points has."""
        return 4 if self.config.distillation else 3

    @property
    def size(self) -> int:
        """Its metric points in all; the losses at which it fails are none."""
        return self.epochs * (self.metrics * self.points + 2) - (self.metrics - 1 if self.status == "failed" else 0)


@dataclass(slots=True)
class Experiment:
    """An experiment to be written, its ``members`` as (run, role, reused)."""

    number: int
    config: ExperimentConfig
    sweep: int | None = None
    point: dict[str, Any] = field(default_factory=dict)
    members: list[tuple[int, str, bool]] = field(default_factory=list)


@dataclass(slots=True)
class Plans:
    """All that is to be written."""

    sweeps: list[dict[str, Any]] = field(default_factory=list)
    experiments: list[Experiment] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)


def make_history(path: Path, *, runs: int = 10_000, points: int = 10_000_000, long_runs: int = 50, seed: int = 0) -> None:
    """Write a history of so many runs with at least so many metric points in all, and no more than a few beyond.

    Fewer runs are ``long`` where half of the points would not do for them. ``path`` must not exist.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already; name another file")
    random = np.random.default_rng(seed)
    plans = planned(runs, points // runs)
    befall(plans.runs, random)
    apportion(plans.runs, points, long_runs, random)
    database = open_database(path)
    for pragma in ("foreign_keys=OFF", "journal_mode=OFF", "synchronous=OFF", "cache_size=-200000"):
        database.execute(f"PRAGMA {pragma}")
    write_experiments(database, plans, random)
    for start in range(0, len(plans.runs), RUNS_AT_ONCE):
        with transaction(database):
            write_runs(database, plans.runs[start : start + RUNS_AT_ONCE], random)
    with transaction(database):
        annotate(database, plans.runs, random)
    database.execute("PRAGMA optimize")
    database.execute(f"PRAGMA journal_mode={'WAL' if wal_is_safe() else 'TRUNCATE'}")
    database.close()


def recipes(per_run: int) -> Iterator[dict[str, Any]]:
    """Sweeps without end, of about ``per_run`` points a run, each with other seeds."""
    teacher_epochs, epochs = max(2, min(20, per_run // 50)), max(2, min(40, per_run // 25))
    rounds: Iterable[int] = itertools.count()
    for turn in rounds:
        base = {
            "teacher_training": {"epochs": teacher_epochs},
            "training": {"epochs": epochs, "batch_size": 32, "learning_rate": 0.003},
            "transfer": {"fraction": 0.1},
            "teachers": [{"model": "mlp", "units": 300, "dropout": 0.3, "count": 5}],
        }
        grid = {"data.dataset": list(SHAPES), "student.units": [30, 100, 300, 800]}
        warm = grid | {"distillation.temperature": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]}
        seeds = list(range(5 * turn, 5 * turn + 5))
        yield base | {"name": "temperature by width", "sweep": own_teachers(warm | {"seed": seeds}, 10_000 * turn)}
        cnn = [{"model": "cnn", "channels": 16, "count": 3}, {"model": "mlp", "layers": 3, "units": 500, "count": 2}]
        mixed = base | {"name": "mixed ensemble", "teachers": cnn, "distillation": {"mean": "geometric", "hard_weight": 0.0}}
        yield mixed | {"sweep": own_teachers(warm | {"seed": seeds}, 10_000 * turn + 5000)}
        rates = {"distillation.hard_weight": [0.0, 0.1, 0.3, 0.5], "training.learning_rate": [0.001, 0.003, 0.01]}
        shared = {"data.dataset": list(SHAPES)} | rates | {"seed": seeds}
        yield base | {"name": "hard weight", "teacher_seed": 5 * turn, "sweep": {"how": "grid", **shared}}
        few = grid | {"transfer.fraction": [0.01, 0.03, 0.1, 0.3, 1.0], "seed": seeds}
        yield base | {"name": "few cases", "sweep": own_teachers(few, 10_000 * turn + 7500)}


def own_teachers(axes: dict[str, list[Any]], first: int) -> dict[str, Any]:
    """The grid of ``axes`` as a zip in which every experiment has an ensemble of its own, from teacher seed ``first`` on."""
    rows = list(itertools.product(*axes.values()))
    columns = {path: list(column) for path, column in zip(axes, zip(*rows, strict=True), strict=True)}
    return {"how": "zip", **columns, "teacher_seed": [first + 5 * place for place in range(len(rows))]}


def planned(runs: int, per_run: int) -> Plans:
    """Experiments until there are ``runs``; the few that no whole one fits into continue others."""
    plans, known = Plans(), dict[str, int]()
    for tables in recipes(per_run):
        plans.sweeps.append(tables)
        for point, config in expand(tables):
            wanted = plan(config, lambda run: RunConfig())
            new = [one for one in wanted if not (one.reusable and repr(one.config) in known)]
            if len(plans.runs) + len(new) > runs:
                continue_others(plans, runs - len(plans.runs))
                return plans
            enter(plans, Experiment(len(plans.experiments) + 1, config, len(plans.sweeps), point), wanted, known)
            if len(plans.runs) == runs:
                return plans
    raise AssertionError("the recipes have no end")


def enter(plans: Plans, experiment: Experiment, wanted: Iterable[PlannedRun], known: dict[str, int]) -> None:
    """Add an experiment with those of its runs that are not there yet; ``known`` are the reusable ones by configuration."""
    plans.experiments.append(experiment)
    for one in wanted:
        there = known.get(repr(one.config), 0) if one.reusable else 0
        if not there:
            parents = tuple(experiment.members[place][0] for place in one.parents)
            plans.runs.append(Run(len(plans.runs) + 1, experiment.number, one, parents))
            if one.reusable:
                known[repr(one.config)] = plans.runs[-1].number
        experiment.members.append((there or plans.runs[-1].number, one.role, bool(there)))


def continue_others(plans: Plans, count: int) -> None:
    """Add runs that go on from teachers, each in an experiment of its own."""
    teachers = [run for run in plans.runs if run.planned.role == "teacher"]
    for run in teachers[:count]:
        origin = plans.experiments[run.experiment - 1].config
        training = replace(run.config.training, epochs=2 * run.config.training.epochs)
        config = replace(origin, name=f"{origin.name}, continued", teacher_training=training)
        experiment = Experiment(len(plans.experiments) + 1, config)
        further = replace(run.planned, config=replace(run.config, training=training))
        new = Run(len(plans.runs) + 1, experiment.number, further, (), continues=run)
        experiment.members.append((new.number, "teacher", False))
        plans.experiments.append(experiment)
        plans.runs.append(new)


def befall(runs: list[Run], random: np.random.Generator) -> None:
    """Choose which students diverge, are stopped or interrupted, and after how much of their training."""
    students = [run for run in runs if run.planned.role == "student"]
    chosen = iter(random.permutation(len(students)).tolist())
    for status, share in SHARES.items():
        for place in islice(chosen, int(share * len(students) + 0.8)):
            students[place].status, students[place].done = status, float(random.uniform(0.1, 0.9))


def apportion(runs: list[Run], points: int, long_runs: int, random: np.random.Generator) -> None:
    """Share the points out among the runs, some of them long."""
    students = [run for run in runs if run.planned.role == "student" and run.status == "done"]
    cost = 5 * LONG_POINTS
    chosen = random.permutation(len(students))[: min(long_runs, points // (2 * cost))]
    for place in chosen:
        run = students[place]
        run.long, run.points = True, math.ceil(LONG_POINTS / run.epochs)
    others = sorted((run for run in runs if not run.long), key=lambda run: run.continues.number if run.continues else run.number)
    weights = random.lognormal(0.0, 0.4, len(others)) * [run.done for run in others]
    left = points - sum(run.size for run in runs if run.long)
    due = 0.0
    for run, share in zip(others, left * weights / weights.sum(), strict=True):
        due += float(share)  # what one gets too much, the next gets less
        run.points = max(1, math.ceil((due / run.epochs - 2) / run.metrics))
        if run.continues:
            run.points = run.continues.points
        due -= run.size


@contextlib.contextmanager
def transaction(database: Database) -> Iterator[None]:
    """Many rows at once; without a journal there is no way back, and the file is of no use."""
    database.execute("BEGIN IMMEDIATE")
    yield
    database.execute("COMMIT")


def moment(number: int, more: float = 0.0) -> str:
    """When run ``number`` was made, and ``more`` seconds later."""
    return (BEGIN + timedelta(hours=1.5 * number, seconds=more)).isoformat(timespec="milliseconds")


def insert(database: Database, table: str, rows: list[dict[str, Any]]) -> None:
    """Rows of the same columns."""
    if rows:
        columns, marks = ", ".join(rows[0]), ", ".join("?" * len(rows[0]))
        sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"
        database.conn.executemany(sql, [tuple(row.values()) for row in rows])


def write_experiments(database: Database, plans: Plans, random: np.random.Generator) -> None:
    """Sweeps, and experiments with their members, as their runs ended."""
    runs = {run.number: run for run in plans.runs}
    sweeps, experiments, members = [], [], []
    begun = {one.sweep: one.members[-1][0] for one in reversed(plans.experiments)}
    for number, tables in enumerate(plans.sweeps, 1):
        row = {
            "id": number,
            "uid": random.bytes(8).hex(),
            "name": tables["name"],
            "config": json.dumps(tables),
            "created": moment(begun[number]),
        }
        sweeps.append(row)
    for one in plans.experiments:
        own = [runs[number] for number, _, reused in one.members if not reused]
        ends = [run.status for run in own if run.status != "done"]
        experiments.append(
            {
                "id": one.number,
                "uid": random.bytes(8).hex(),
                "name": one.config.name,
                "config": json.dumps(one.config.to_dict()),
                "status": ends[-1] if ends else "done",
                "message": f"not done: {own[-1].planned.name}" if "failed" in ends else "",
                "created": moment(own[0].number),
                "finished": moment(own[-1].number, 3600.0),
                "sweep": one.sweep,
                "point": json.dumps(one.point) if one.sweep else None,
            }
        )
        for position, (run, role, reused) in enumerate(one.members):
            members.append({"experiment": one.number, "position": position, "run": run, "role": role, "reused": int(reused)})
    with transaction(database):
        insert(database, "sweeps", sweeps)
        insert(database, "experiments", experiments)
        insert(database, "members", members)


def write_runs(database: Database, runs: list[Run], random: np.random.Generator) -> None:
    """Some runs with all that belongs to them, in the order of their tables' keys."""
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("runs", "params", "lineage", "results", "summary", "nonfinite")
    }
    points, metrics = list[Iterable[Any]](), list[Iterable[Any]]()
    for run in runs:
        number, config, role = run.number, run.config, run.planned.role
        rate = error_rate(role, config, random)
        curves = curves_of(config, rate, run.points, run.before, run.epochs, diverges=run.status == "failed", random=random)
        rows["runs"].append(run_row(run, curves, random))
        rows["params"] += [{"run": number, "key": key, "value": value} for key, value in sorted(flat(config).items())]
        rows["lineage"] += [{"child": number, "position": at, "parent": parent} for at, parent in enumerate(run.parents)]
        if run.status == "done":
            found = sorted(figures_of(role, config, rate, random).items())
            rows["results"] += [{"run": number, "name": name, "value": value} for name, value in found]
        points.append(zip(repeat(number), curves.step.tolist(), curves.epoch.tolist(), curves.elapsed.tolist(), repeat(1)))
        for name, (step, value) in sorted(curves.metrics.items()):
            finite = np.isfinite(value)
            rows["nonfinite"] += [{"run": number, "metric": name, "step": at, "kind": "nan"} for at in step[~finite].tolist()]
            step, value = step[finite], value[finite]
            metrics.append(zip(repeat(number), repeat(name), step.tolist(), value.tolist()))
            rows["summary"].append({"run": number, "metric": name} | summed(step, value))
    for table, found_rows in rows.items():
        insert(database, table, found_rows)
    database.conn.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?)", chain.from_iterable(points))
    database.conn.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?)", chain.from_iterable(metrics))
    keep_copies(database, copies(database, [run.number for run in runs]))


def run_row(run: Run, curves: Curves, random: np.random.Generator) -> dict[str, Any]:
    """A run's own row."""
    config, about, size = run.config, run.config.distillation, size_of(run.config)
    step, epochs, seconds = int(curves.step[-1]), float(curves.epoch[-1]), float(curves.elapsed[-1])
    return {
        "id": run.number,
        "uid": random.bytes(8).hex(),
        "experiment": run.experiment,
        "role": run.planned.role,
        "name": run.planned.name,
        "status": run.status,
        "message": message(run, step),
        "config": json.dumps(config.to_dict()),
        "dataset": config.data.dataset,
        "model": config.model.describe(),
        "seed": config.seed,
        "temperature": about.temperature if about else None,
        "hard_weight": about.hard_weight if about else None,
        "fingerprint": random.bytes(32).hex(),
        "data_digest": hashlib.sha256(config.data.dataset.encode()).hexdigest(),
        "weights_sha256": random.bytes(32).hex() if run.status == "done" else None,
        "parameters": size.parameters,
        "multiply_adds": size.multiply_adds,
        "steps": round(step * config.training.epochs / epochs),
        "step": step,
        "epochs": epochs,
        "train_seconds": seconds,
        "samples_per_second": step * config.training.batch_size / seconds if run.status == "done" else None,
        "attempt": 1,
        "continued_from": run.continues.number if run.continues else None,
        "environment": json.dumps(ENVIRONMENT | {"together": [run.number]}),
        "created": moment(run.number),
        "started": moment(run.number, 1.0),
        "finished": moment(run.number, 2.0 + seconds),
        "continued_step": int(curves.step[0]) - STEPS_BETWEEN[config.data.dataset] if run.continues else None,
    }


def message(run: Run, step: int) -> str:
    """How a run says that it did not come to its end."""
    if run.status == "failed":
        return f"the loss became nan at step {step}; lower the learning rate ({run.config.training.learning_rate:g})"
    return "" if run.status == "done" else f"at epoch {run.epochs:.1f} of {run.config.training.epochs}"


def summed(step: np.ndarray, value: np.ndarray) -> dict[str, float]:
    """The summary of a curve, as :func:`workbench.history.storing.extended` makes it point by point."""
    pairs = np.empty(len(step), dtype=[("step", "<i8"), ("value", "<f8")])
    pairs["step"], pairs["value"] = step, value
    extremes = {"last": float(value[-1]), "lowest": float(value.min()), "highest": float(value.max())}
    return extremes | {"count": len(step), "crc": zlib.crc32(pairs.tobytes())}


def annotate(database: Database, runs: list[Run], random: np.random.Generator) -> None:
    """Tags, notes and marks, as a person leaves them on some runs."""
    tags = [{"run": run.number, "tag": "long"} for run in runs if run.long]
    notes, marks = [], []
    for run in runs:
        drawn = random.random(4)
        tags += [{"run": run.number, "tag": tag} for tag, low, high in TAGS if low <= drawn[0] < high]
        if drawn[1] < 0.03:
            text = NOTES[int(drawn[2] * len(NOTES))]
            notes.append({"run": run.number, "author": "person", "text": text, "created": moment(run.number, 7200.0)})
        if drawn[3] < 0.01:
            marks.append({"run": run.number, "pinned": int(drawn[3] < 0.0005), "starred": 1})
    for table, rows in {"tags": tags, "run_notes": notes, "marks": marks}.items():
        insert(database, table, rows)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=10_000_000)
    parser.add_argument("--long-runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    started = time.perf_counter()
    make_history(given.path, runs=given.runs, points=given.points, long_runs=given.long_runs, seed=given.seed)
    took = time.perf_counter() - started
    with contextlib.closing(open_for_reading(given.path)) as database:
        counts = {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in COUNTED}
    print(", ".join(f"{count:,} {table}" for table, count in counts.items()))
    print(f"{given.path.stat().st_size / 1e6:,.0f} MB in {took:.0f} s")


if __name__ == "__main__":
    main()
