"""Commands that take experiments out of a history and into it: export, import of what export wrote, and the bin."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from sqlite_utils import Database

from workbench.cli.options import LARGEST, history_option, json_option
from workbench.errors import WorkbenchError
from workbench.exchange import event_files, mlflow_runs
from workbench.history import reading
from workbench.history.bundle import SUFFIX, write_experiment
from workbench.history.database import check_history, open_for_reading
from workbench.history.emptying import empty_bin, read_bin
from workbench.history.foreign import ForeignExperiment, enter_foreign, runs_out
from workbench.history.liveness import held_open
from workbench.history.unbundle import check_file, read_experiment
from workbench.progress import ProgressPrinter
from workbench.words import many


@click.command()
@click.argument("experiments", metavar="EXPERIMENT…", type=click.IntRange(1, LARGEST), nargs=-1)
@click.option("--sweep", type=click.IntRange(1, LARGEST), help="All experiments of this sweep.")
@click.option("--to", "target", type=click.Path(path_type=Path), help=f"The file, such as mine{SUFFIX}.")
@click.option("--states", is_flag=True, help="Training states too, to resume runs there or go on with more epochs.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")
@click.option(
    "--tensorboard", "folder", type=click.Path(path_type=Path), help="Instead a new folder of TensorBoard's event files."
)
@click.option("--mlflow", "uri", default="", help="Instead a tracking store, such as sqlite:///mlflow.db or http://HOST:PORT.")
@history_option
@json_option
def export(
    experiments: tuple[int, ...],
    sweep: int | None,
    target: Path | None,
    states: bool,
    overwrite: bool,
    folder: Path | None,
    uri: str,
    history: Path,
    as_json: bool,
) -> None:
    """Write EXPERIMENT…, with runs, curves and weights and those they reuse, to one file that `workbench import` takes.

    With --tensorboard or --mlflow settings, curves and figures go there, without weights.
    """
    if [target is None, folder is None, not uri].count(False) != 1:
        raise WorkbenchError("say where to: --to FILE, --tensorboard FOLDER, or --mlflow URI")
    printer = ProgressPrinter()
    with contextlib.closing(open_for_reading(history)) as database:
        numbers = [*experiments, *(_of_sweep(database, sweep) if sweep else ())]
        if not numbers:
            raise WorkbenchError("say which experiments to export: their numbers (see `workbench runs --json`), or --sweep")
        if target is None:
            shown, words = _to_others(runs_out(database, numbers), folder, uri)
            click.echo(json.dumps(shown) if as_json else words)
            return
        done = write_experiment(database, history, numbers, target, states=states, overwrite=overwrite, tell=printer.tell)
    if as_json:
        shown = {"file": str(target), "bytes": done.size, "experiments": done.experiments, "runs": done.runs}
        click.echo(json.dumps(shown | {"without_state": done.without_state}))
    else:
        click.echo(done.words())


def _to_others(experiments: list[ForeignExperiment], folder: Path | None, uri: str) -> tuple[dict[str, Any], str]:
    """Write experiments to event files or to MLflow; what is told of it."""
    if folder is not None:
        count = event_files.write_event_files(folder, experiments)
        return {"folder": str(folder), "runs": count}, f"{many(count, 'run')} in {folder}"
    written, there = mlflow_runs.write_runs(uri, experiments)
    words = f"{many(written, 'run')} written to {uri}" + (f"; {many(there, 'run')} there already" if there else "")
    return {"uri": uri, "runs": written, "already_there": there}, words


def _of_sweep(database: Database, sweep: int) -> list[int]:
    points = reading.sweep_points(database, sweep)
    if not points:
        raise WorkbenchError(f"there is no sweep {sweep} in this history; see `workbench sweeps`")
    return [point.experiment for point in points]


def import_experiments(file: Path, history: Path, as_json: bool) -> None:
    """Enter the experiments of a file that export wrote, and tell of it."""
    check_history(history)
    if not history.exists():
        check_file(file)
    printer = ProgressPrinter()
    with held_open(history) as database:
        brought = read_experiment(database, history, file, printer.tell)
    if as_json:
        shown = {"experiments": brought.experiments, "runs": brought.runs, "already_here": brought.there}
        click.echo(json.dumps(shown | {"already_here_in_the_bin": brought.binned}))
    else:
        click.echo(brought.words())


def import_foreign(folder: Path | None, uri: str, name: str, history: Path, as_json: bool) -> None:
    """Enter the runs of a folder of TensorBoard's event files, or of MLflow's tracking store, and tell of it."""
    check_history(history)
    if folder is not None:
        one = event_files.read_event_files(folder)
        found, source = [replace(one, name=name or one.name)], f"TensorBoard's event files in {folder}"
    else:
        found, source = [replace(one, name=name or one.name) for one in mlflow_runs.read_runs(uri)], f"MLflow at {uri}"
    with held_open(history) as database:
        runs = enter_foreign(database, found, source)
    there = sum(len(one.runs) for one in found) - len(runs)
    words = f"Imported {many(len(runs), 'run')} ({runs[0]} to {runs[-1]}), without weights" if runs else "Nothing is new"
    words += f"; {many(there, 'run')} {'was' if there == 1 else 'were'} already here." if there else "."
    click.echo(json.dumps({"runs": runs, "already_here": there}) if as_json else words)


@click.command("bin")
@click.option("--empty", is_flag=True, help="Remove for good what is in the bin, with its files; this cannot be undone.")
@history_option
@json_option
def bin_(empty: bool, history: Path, as_json: bool) -> None:
    """Deleted runs and experiments; with --empty they are removed for good."""
    if empty:
        with contextlib.closing(open_for_reading(history)):
            pass
        with held_open(history) as database:
            emptied = empty_bin(database, history)
        click.echo(json.dumps(asdict(emptied)) if as_json else emptied.words())
        return
    with contextlib.closing(open_for_reading(history)) as database:
        found = read_bin(database)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found]))
        return
    for one in found:
        what = f"run {one.run}: {one.words}, {one.size / 1e6:,.1f} MB of files" if one.run else "the experiment"
        click.echo(f"{one.deleted[:16].replace('T', ' ')}  {one.name} #{one.experiment}  {what}")
    if not found:
        click.echo("nothing is in the bin")
