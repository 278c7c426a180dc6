"""How soon runs are listed and fifty curves of 5,000 points fetched, here and in other tools:

    uv run --with tensorboard --with mlflow --with trackio python -m tests.benchmarks.history_rivals [--runs 400] [--rounds 5]

A history is generated, and its runs are given to TensorBoard's event files, MLflow's SQLite store and trackio, those of them
that are installed: settings and figures, and at each point of a training what was measured there (``--only-loss``: the loss
alone). That is not timed. Then each in turn, from its files on: the list of the runs with settings and figures, as far as it
has them in its list, and the fifty curves of ``loss``; here with epoch and time of each point, once as the Compare screen reads
them, thinned for a plot, and once (``ours, whole``) with every point, as the others give them. Ratios are taken round by
round, and their medians printed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.big_history import make_history
from tests.benchmarks.machine import Elsewhere
from workbench.gui.compare.found import MANY_POINTS
from workbench.history.curves import CURVE_POINTS, EVERY_POINT, read_curve
from workbench.history.database import open_for_reading
from workbench.history.reading import list_runs, run_settings

PROJECT = "workbench"
WHOLE = "ours, whole"
POINTS = 2_600_000
"""With so many, half of which the long runs may have, there are fifty of them."""
METRICS = ("loss", "soft_loss", "hard_loss", "learning_rate")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as a rival is given it; ``curves`` by metric."""

    name: str
    long: bool
    settings: dict[str, Any]
    figures: dict[str, float]
    step: list[int]
    curves: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds to list and to fetch, and how many runs and points those were."""

    listed: float
    fetched: float
    runs: int
    points: int

    @property
    def both(self) -> float:
        """List and curves."""
        return self.listed + self.fetched


def recorded(history: Path, metrics: Sequence[str]) -> list[Recorded]:
    """The runs of a history, for its rivals."""
    found = []
    with contextlib.closing(open_for_reading(history)) as database:
        long = {row[0] for row in database.execute("SELECT run FROM tags WHERE tag = 'long'").fetchall()}
        rows = list_runs(database)
        settings = run_settings(database, [row.id for row in rows])
        for row in rows:
            own = [one for name in metrics if len((one := read_curve(database, row.id, name, EVERY_POINT)).step)]
            shortest = min(len(one.step) for one in own)  # a run that diverged has no last loss
            curves = {one.metric: one.value[:shortest].tolist() for one in own}
            step = own[0].step[:shortest].astype(int).tolist()
            found.append(Recorded(f"run-{row.id}", row.id in long, settings[row.id], row.figures, step, curves))
    return found


def timed(listing: Callable[[], tuple[int, Any]], fetching: Callable[[Any], int]) -> Took:
    """Do both; the first hands what it found to the second."""
    start = time.perf_counter()
    runs, there = listing()
    middle = time.perf_counter()
    points = fetching(there)
    return Took(middle - start, time.perf_counter() - middle, runs, points)


def read_ours(folder: Path, long: Sequence[str], points: int = 0) -> Took:
    """This workbench: rows with figures and all settings, then the curves as the Compare screen reads them, or of ``points``."""
    wanted = [int(name.removeprefix("run-")) for name in long]

    def listing() -> tuple[int, Any]:
        database = open_for_reading(folder / "history.db")
        rows = list_runs(database)
        settings = run_settings(database, [row.id for row in rows])
        return len(settings), database

    def fetching(database: Any) -> int:
        most = points or min(CURVE_POINTS, MANY_POINTS // len(wanted))
        curves = [read_curve(database, run, "loss", most) for run in wanted]
        database.close()
        return sum(len(one.step) for one in curves)

    return timed(listing, fetching)


def write_tensorboard(folder: Path, runs: Sequence[Recorded]) -> None:
    """An event file a run."""
    from torch.utils.tensorboard import SummaryWriter

    for run in runs:
        writer = SummaryWriter(str(folder / "tensorboard" / run.name), max_queue=10_000)
        for name, values in run.curves.items():
            for step, value in zip(run.step, values, strict=True):
                writer.add_scalar(name, value, step)
        for name, value in run.figures.items():
            writer.add_scalar(name, value, 0)
        writer.close()


def read_tensorboard(folder: Path, long: Sequence[str]) -> Took:
    """The event accumulators of all runs, which keep every point; they read all there is before they can tell of it."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    def listing() -> tuple[int, Any]:
        found = {path.name: EventAccumulator(str(path), {SCALARS: 0}) for path in (folder / "tensorboard").iterdir()}
        for one in found.values():
            one.Reload()
        return len(found), found

    return timed(listing, lambda found: sum(len(found[name].Scalars("loss")) for name in long))


def write_mlflow(folder: Path, runs: Sequence[Recorded]) -> None:
    """MLflow's SQLite store; points go straight into its table, since its client takes minutes for them."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param
    from mlflow.store.tracking.dbmodels.models import SqlMetric

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment(PROJECT, artifact_location=(folder / "mlruns").as_uri())
    for run in runs:
        number = client.create_run(experiment, run_name=run.name).info.run_id
        settings = [Param(key, str(value)) for key, value in run.settings.items()]
        ends = {name: Metric(name, values[-1], 1000 * run.step[-1], run.step[-1]) for name, values in run.curves.items()}
        figures = [Metric(name, value, 0, 0) for name, value in run.figures.items()]
        client.log_batch(number, metrics=[*figures, *ends.values()], params=settings)
        rows = [
            {"key": name, "value": value, "timestamp": 1000 * step, "step": step, "is_nan": False, "run_uuid": number}
            for name, values in run.curves.items()
            for step, value in zip(run.step[:-1], values[:-1], strict=True)
        ]
        with client._tracking_client.store.engine.begin() as connection:
            connection.execute(SqlMetric.__table__.insert(), rows)
        client.set_terminated(number)


def read_mlflow(folder: Path, long: Sequence[str]) -> Took:
    """Its client's ``search_runs`` and ``get_metric_history``."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")

    def listing() -> tuple[int, Any]:
        experiment = client.get_experiment_by_name(PROJECT)
        found, token = [], None
        while True:
            page = client.search_runs([experiment.experiment_id], max_results=5000, page_token=token)
            found += page
            if not (token := page.token):
                return len(found), {run.info.run_name: run.info.run_id for run in found}

    return timed(listing, lambda found: sum(len(client.get_metric_history(found[name], "loss")) for name in long))


def write_trackio(folder: Path, runs: Sequence[Recorded]) -> None:
    """trackio's SQLite file, a row a step."""
    from trackio.sqlite_storage import SQLiteStorage

    for run in runs:
        rows = [dict(zip(run.curves, values, strict=True)) for values in zip(*run.curves.values(), strict=True)]
        steps = [*run.step, run.step[-1] + 1]
        SQLiteStorage.bulk_log(PROJECT, run.name, [*rows, run.figures], steps=steps, config=run.settings)


def read_trackio(folder: Path, long: Sequence[str]) -> Took:
    """Its API's runs and their settings, then its logs as its dashboard asks for them, with every point."""
    from trackio import Api
    from trackio.sqlite_storage import SQLiteStorage

    def listing() -> tuple[int, Any]:
        settings = SQLiteStorage.get_all_run_configs(PROJECT)
        return len(settings), {run.name: run.id for run in Api().runs(PROJECT)}

    def fetching(found: Any) -> int:
        wanted = [{"run": name, "run_id": found[name]} for name in long]
        logs = SQLiteStorage.get_logs_batch(PROJECT, wanted, scalar_only=True)
        return sum(len([row["loss"] for row in one["logs"] if "loss" in row]) for one in logs)

    return timed(listing, fetching)


RIVALS: dict[str, tuple[Callable[[Path, Sequence[Recorded]], None], Callable[[Path, Sequence[str]], Took]]] = {
    "tensorboard": (write_tensorboard, read_tensorboard),
    "mlflow": (write_mlflow, read_mlflow),
    "trackio": (write_trackio, read_trackio),
}


def measure(folder: Path, names: Sequence[str], long: Sequence[str], rounds: int) -> dict[str, list[Took]]:
    """Each in turn, so many rounds after one that is left out: caches of the disk, and modules that are imported late."""
    found: dict[str, list[Took]] = {name: [] for name in ("ours", WHOLE, *names)}
    for turn in range(rounds + 1):
        for name, took in found.items():
            if name in ("ours", WHOLE):
                one = read_ours(folder, long, EVERY_POINT if name == WHOLE else 0)
            else:
                one = RIVALS[name][1](folder, long)
            if turn:
                took.append(one)
    return found


def report(found: dict[str, list[Took]]) -> None:
    """Medians, and the medians of the rounds' ratios."""
    print("| | runs | points | list | curves | both | list, ratio | curves, ratio | both, ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, took in found.items():
        seconds, ratios = [], []
        for part in ("listed", "fetched", "both"):
            values = [getattr(one, part) for one in took]
            seconds.append(f"{statistics.median(values):.3f} s")
            pairs = zip(values, (getattr(one, part) for one in found["ours"]), strict=True)
            ratios.append(f"{statistics.median(theirs / ours for theirs, ours in pairs):.1f}")
        print(f"| {name} | {took[0].runs:,} | {took[0].points:,} | {' | '.join(seconds)} | {' | '.join(ratios)} |")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are kept, and taken from where they are there")
    parser.add_argument("--only-loss", action="store_true", help="give the rivals no other metric")
    given = parser.parse_args()
    names = [name for name in RIVALS if importlib.util.find_spec(name)]
    with tempfile.TemporaryDirectory() as made:
        folder = given.folder or Path(made)
        folder.mkdir(exist_ok=True)
        quiet = {"TRACKIO_DIR": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        os.environ.update(quiet | {"GIT_PYTHON_REFRESH": "quiet"})
        logging.disable(logging.WARNING)
        if not (folder / "history.db").exists():
            make_history(folder / "history.db", runs=given.runs, points=max(1000 * given.runs, POINTS))
        runs = recorded(folder / "history.db", ["loss"] if given.only_loss else METRICS)
        for name in names:
            if not (folder / f"{name}.written").exists():
                started = time.perf_counter()
                RIVALS[name][0](folder, runs)
                (folder / f"{name}.written").touch()
                print(f"{name} {importlib.metadata.version(name)} written in {time.perf_counter() - started:.0f} s", flush=True)
        long = [run.name for run in runs if run.long]
        del runs
        elsewhere = Elsewhere()
        report(measure(folder, names, long, given.rounds))
        print(f"{elsewhere.cores():.1f} cores were busy for others")


if __name__ == "__main__":
    main()
