"""The command line: run, recipes, datasets, runs, show, compare. Needs no display and no PySide6."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench import __version__
from workbench.config import ExperimentConfig
from workbench.errors import HistoryError, WorkbenchError
from workbench.history import reading
from workbench.history.database import SQLITE_VERSION, SqliteError, check_history, open_for_reading, wal_is_safe
from workbench.history.doctor import examine, forget_states, usage
from workbench.history.doctor import repair as repair_history
from workbench.progress import ProgressPrinter
from workbench.recipes import key_values, load_recipe, naming, recipe_paths, recipe_tables, with_values
from workbench.sweep import expand, words

if TYPE_CHECKING:
    from workbench.driver import Control

DEFAULT_HISTORY = Path("experiments.db")

LARGEST = 2**63 - 1
"""The largest number of a row that SQLite knows."""

history_option = click.option(
    "--history", type=click.Path(path_type=Path), default=DEFAULT_HISTORY, show_default=True, help="The history file."
)
data_option = click.option(
    "--data",
    "folders",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A folder to look for data sets in; may be repeated.",
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
threads_option = click.option(
    "--threads", default=0, show_default=True, help="CPU threads of torch; 0 chooses by the size of the model."
)
share_option = click.option(
    "--share-device", "share", is_flag=True, help="Train at once, though another workbench trains on the same device."
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on standard output and nothing else.")


class _Sentences(click.Group):
    """Shows a :class:`WorkbenchError` as one sentence on standard error, with exit status 2; 130 where interrupted."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WorkbenchError as error:
            click.echo(f"workbench: {error}", err=True)
            ctx.exit(2)
        except SqliteError as error:
            click.echo(f"workbench: the history cannot be read ({error}); try a copy of it", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("workbench: interrupted", err=True)
            ctx.exit(130)


@click.group(cls=_Sentences, invoke_without_command=True)
@click.version_option(__version__)
@history_option
@data_option
@click.option("--device", default="", help="auto, cpu, cuda or mps; else what the window's Settings say.")
@click.option(
    "--theme",
    type=click.Choice(["", "system", "light", "dark"]),
    default="",
    help="The window's theme; else as its Settings say.",
)
@click.pass_context
def cli(ctx: click.Context, history: Path, folders: tuple[Path, ...], device: str, theme: str) -> None:
    """Distil large networks into small ones. Without a subcommand the window opens."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if ctx.invoked_subcommand is not None:
        given: dict[str, Any] = {"history": history, "folders": folders} | ({"device": device} if device else {})
        ctx.default_map = {name: given for name in cli.commands}
        return
    try:
        from workbench.gui.app import main as open_window
    except ImportError as error:
        raise WorkbenchError(
            f"the window cannot open ({error}); install what is missing, or use `workbench run`, which needs none of it"
        ) from None
    ctx.exit(open_window(history, folders, device, theme))


@cli.command()
@click.argument("recipe")
@click.option(
    "--set", "changes", metavar="KEY=VALUE", multiple=True, help="Change a setting, such as distillation.temperature=4."
)
@history_option
@data_option
@device_option
@threads_option
@share_option
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    recipe: str,
    changes: tuple[str, ...],
    history: Path,
    folders: tuple[Path, ...],
    device: str,
    threads: int,
    share: bool,
    as_json: bool,
) -> None:
    """Do the experiment of RECIPE, a TOML file or a built-in name (see `workbench recipes`)."""
    tables = recipe_tables(recipe, changes)
    with naming(recipe, changes):
        experiments = expand(tables)
    check_history(history)
    settings = _settings(device, threads, folders, share)

    def queue(opened: Any) -> list[int]:
        if "sweep" not in tables:
            return [opened.enqueue(experiments[0][1])]
        return list(opened.enqueue_sweep(tables, experiments)[1])

    ctx.exit(_do(history, settings, queue, as_json, [config for _, config in experiments]))


def _settings(device: str, threads: int, folders: Sequence[Path], share: bool) -> dict[str, Any]:
    """The engine's settings, checked."""
    for folder in folders:
        if not folder.is_dir():
            raise WorkbenchError(f"the data folder {folder} does not exist; make it or leave --data out")
    if threads < 0:
        raise WorkbenchError(f"--threads must be 0 or more, not {threads}")
    return {"device": device, "threads": threads, "folders": tuple(folders), "share": share}


def _do(
    path: Path,
    settings: dict[str, Any],
    queue: Callable[[Any], list[int]],
    as_json: bool,
    configs: Sequence[ExperimentConfig] = (),
) -> int:
    """Have the experiments done that ``queue`` puts into the history, once ``configs`` are checked; the exit status."""
    from workbench.driver import Control
    from workbench.engine import Engine, EngineSettings
    from workbench.events import Event, RunFinished
    from workbench.experiment import run_experiment
    from workbench.history.writing import History

    engine = Engine(EngineSettings(**settings))
    printer = ProgressPrinter()
    with contextlib.ExitStack() as stack:
        past = stack.enter_context(contextlib.closing(open_for_reading(path))) if path.exists() else None
        for config in configs:
            engine.check(config, lambda run: _past_run(past, path, run), printer.tell)
    control = Control()
    _stop_on_signals(control)
    statuses = []
    with History(path) as history, contextlib.closing(open_for_reading(path)) as reader:
        experiments = queue(history)
        for experiment in experiments:

            def emit(event: Event, experiment: int = experiment) -> None:
                printer.show(event)
                if isinstance(event, RunFinished) and as_json:
                    row = next(row for row in reading.experiment_rows(reader, experiment) if row.id == event.run)
                    click.echo(json.dumps(run_object(reader, row)))

            statuses.append(run_experiment(engine, history, experiment, control, emit))
            if control.ending:
                history.leave_queue()
                break
        if not as_json and statuses[-1] == "done":
            click.echo(_outcome(reader, experiments))
    return 130 if control.ending else int("failed" in statuses)


def _outcome(reader: Any, experiments: Sequence[int]) -> str:
    """The runs of one experiment, or a sweep's combinations with their means."""
    if len(experiments) == 1:
        return table(reading.experiment_rows(reader, experiments[0]))
    (sweep,) = reader.execute("SELECT sweep FROM experiments WHERE id = ?", [experiments[0]]).fetchone()
    return sweep_table(reading.sweep_points(reader, sweep))


def sweep_table(points: Sequence[reading.SweepPoint]) -> str:
    """The combinations of a sweep as aligned text: means over seeds with their 95% intervals."""
    from workbench.sweep_results import results

    lines = [f"{'combination':40} {'seeds':>5} {'student errors':>18} {'baseline errors':>18} {'val accuracy':>18}"]
    for one in results(points):
        student, baseline = one.figures.get("student", {}), one.figures.get("baseline", {})
        cells = [
            of[name].words(form) if name in of else "–"
            for of, name, form in (
                (student, "test_errors", ".1f"),
                (baseline, "test_errors", ".1f"),
                (student, "val_accuracy", ".2%"),
            )
        ]
        best = "  best on validation" if one.best else ""
        lines.append(
            f"{words(one.point) or 'all':40} {len(one.experiments):>5} {cells[0]:>18} {cells[1]:>18} {cells[2]:>18}{best}"
        )
    return "\n".join(lines)


@cli.command()
@click.argument("number", metavar="[SWEEP]", type=click.IntRange(1, LARGEST), required=False)
@history_option
@json_option
def sweeps(number: int | None, history: Path, as_json: bool) -> None:
    """The sweeps of the history, or the results of one."""
    with contextlib.closing(open_for_reading(history)) as database:
        if number is None:
            found = reading.list_sweeps(database)
            if as_json:
                click.echo(json.dumps([asdict(one) for one in found]))
            for one in found if not as_json else []:
                click.echo(f"{one.id:>5} {one.name:30} {one.done:>5} of {one.experiments} experiments done")
            return
        points = reading.sweep_points(database, number)
        if not points:
            raise WorkbenchError(f"there is no sweep {number} in this history; see `workbench sweeps`")
        if as_json:
            click.echo(json.dumps(_results(points)))
        else:
            click.echo(sweep_table(points))


def _results(points: Sequence[reading.SweepPoint]) -> list[dict[str, Any]]:
    from workbench.sweep_results import results

    return [asdict(one) for one in results(points)]


def _past_run(database: Any, path: Path, run: int) -> reading.PastRun:
    if database is None:
        raise HistoryError(f"there is no run {run}, since there is no history at {path}")
    return reading.past_run(database, path, run)


def _stop_on_signals(control: Control) -> None:
    """The first SIGINT or SIGTERM ends with a checkpoint, the second at once."""

    def stop(number: int, _: object) -> None:
        control.interrupt()
        control.resume()
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


@cli.command()
@click.argument("run", type=click.IntRange(1, LARGEST))
@click.option("--epochs", default=0, help="Go on to so many epochs as a new run, which leaves the old one as it is.")
@click.option(
    "--from", "kind", type=click.Choice(["last", "best"]), default="last", show_default=True, help="The checkpoint for --epochs."
)
@history_option
@data_option
@device_option
@threads_option
@share_option
@json_option
@click.pass_context
def resume(
    ctx: click.Context,
    run: int,
    epochs: int,
    kind: str,
    history: Path,
    folders: tuple[Path, ...],
    device: str,
    threads: int,
    share: bool,
    as_json: bool,
) -> None:
    """Go on with RUN and what else its experiment has not done: finished runs stay, others start at their checkpoint."""
    from workbench.experiment import continue_run

    with contextlib.closing(open_for_reading(history)) as database:
        row = reading.run_details(database, run).row
    if not epochs and row.status in ("done", "running", "waiting"):
        over = row.status == "done"
        raise WorkbenchError(f"run {run} is {row.status}" + ("; say with --epochs how far it should go on" if over else ""))
    settings = _settings(device, threads, folders, share)

    def queue(opened: Any) -> list[int]:
        if epochs:
            return [continue_run(opened, run, epochs, "state" if kind == "last" else "best")]
        opened.resume(row.experiment)
        return [row.experiment]

    ctx.exit(_do(history, settings, queue, as_json))


@cli.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "changes",
    metavar="KEY=VALUE",
    multiple=True,
    help="The model and the data: model.model=mlp, model.units=800, data.dataset=mnist…",
)
@click.option("--name", default="", help="How the history calls it; else the file's name.")
@history_option
@data_option
@device_option
@json_option
def import_(
    file: Path, changes: tuple[str, ...], name: str, history: Path, folders: tuple[Path, ...], device: str, as_json: bool
) -> None:
    """Enter the weights of FILE (.safetensors, or .pt of plain tensors) as a finished run that can teach."""
    from workbench.config import RunConfig
    from workbench.engine import Engine, EngineSettings
    from workbench.history.writing import History
    from workbench.importing import import_weights

    check_history(history)
    engine = Engine(EngineSettings(**_settings(device, 0, folders, False)))
    config = RunConfig.from_dict(with_values({}, key_values(changes)))
    engine.data(config.data, ProgressPrinter().tell)
    with History(history) as opened:
        run = import_weights(engine, opened, file, config, name)
        with contextlib.closing(open_for_reading(history)) as database:
            rows = reading.list_runs(database, [run])
            click.echo(json.dumps(run_object(database, rows[0])) if as_json else table(rows))


@cli.command()
@history_option
@click.option("--repair", is_flag=True, help="Do what can be done about what is found; runs and metrics stay.")
@click.option("--clean", is_flag=True, help="Remove what finished runs would need to go on with more epochs.")
@json_option
def doctor(history: Path, repair: bool, clean: bool, as_json: bool) -> None:
    """Check the history's file, its metrics, its checkpoints and this machine; exit status 1 where something is wrong."""
    from workbench.history.database import open_database

    environment = _environment()
    printer = ProgressPrinter()
    with contextlib.closing(open_for_reading(history)) as database:
        findings = examine(database, history, printer.tell)
        files = usage(database, history)
    if (repair and any(finding.repair for finding in findings)) or clean:
        with contextlib.closing(open_database(history)) as database:
            if repair:
                repair_history(database, history, findings)
            if clean:
                forget_states(database, history, deleted_only=False)
            findings = examine(database, history, printer.tell)
            files = usage(database, history)
    sizes: dict[str, int] = {}
    for one in files:
        sizes[one.kind] = sizes.get(one.kind, 0) + one.size
    if as_json:
        shown = [{"what": one.what, "run": one.run, "repair": one.repair} for one in findings]
        click.echo(json.dumps({"findings": shown, "bytes": sizes, "environment": environment}))
    else:
        for key, value in environment.items():
            click.echo(f"{key:20} {value}")
        for kind, size in sorted(sizes.items()):
            click.echo(f"{kind:20} {size / 1e6:,.1f} MB beside the history")
        for finding in findings:
            click.echo(f"- {finding.what}" + (f" (--repair: {finding.repair})" if finding.repair else ""))
        click.echo("nothing is wrong" if not findings else f"{len(findings)} findings")
    if findings:
        raise click.exceptions.Exit(1)


def _environment() -> dict[str, str]:
    """What the workbench runs on, and what it lacks."""
    import importlib.metadata
    import platform

    found = {"workbench": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in ("torch", "torchvision", "PySide6", "pyqtgraph", "sqlite-utils"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["SQLite"] = SQLITE_VERSION + ("" if wal_is_safe() else ", whose write-ahead log has a bug; the slower journal is used")
    return found


@cli.command()
@json_option
def recipes(as_json: bool) -> None:
    """The built-in recipes."""
    found = [(name, ExperimentConfig.from_dict(load_recipe(path))) for name, path in recipe_paths().items()]
    if as_json:
        click.echo(
            json.dumps([{"name": name, "description": config.description, "config": config.to_dict()} for name, config in found])
        )
        return
    for name, config in found:
        click.echo(f"{name:16} {config.description}")


@cli.command()
@data_option
@json_option
def datasets(folders: tuple[Path, ...], as_json: bool) -> None:
    """The built-in data sets and where they are."""
    from workbench.distill.sources import catalogue, data_folders

    found = catalogue(data_folders(folders))
    if as_json:
        click.echo(json.dumps([asdict(info) for info in found]))
        return
    for info in found:
        shape = "×".join(map(str, info.shape))
        where = info.where or f"not here; {info.download_mb} MB to download"
        click.echo(
            f"{info.name:16} {info.train_cases:>7,} + {info.test_cases:>6,} cases  {info.classes:>4} classes  {shape:8}  {where}"
        )


@cli.command()
@history_option
@json_option
def runs(history: Path, as_json: bool) -> None:
    """Every run of the history."""
    database = open_for_reading(history)
    found = reading.list_runs(database)
    if as_json:
        click.echo(json.dumps([run_object(database, row) for row in found]))
    else:
        click.echo(table(found) if found else f"{history} has no runs yet; try `workbench run digits`")
    database.close()


@cli.command()
@click.argument("run", type=click.IntRange(1, LARGEST))
@history_option
@json_option
def show(run: int, history: Path, as_json: bool) -> None:
    """Everything about one RUN."""
    database = open_for_reading(history)
    details = reading.run_details(database, run)
    shown = run_object(database, details.row) | {
        "message": details.row.message,
        "figures": details.row.figures,
        "config": details.config,
        "settings": details.settings,
        "experiment_config": details.experiment_config,
        "environment": details.environment,
        "children": list(details.children),
        "notes": list(details.notes),
    }
    database.close()
    if as_json:
        click.echo(json.dumps(shown))
        return
    for key, value in shown.items():
        if isinstance(value, dict):
            click.echo(f"{key}:")
            for name, part in _flat(value).items():
                click.echo(f"  {name:36} {_said(part)}")
        else:
            click.echo(f"{key:20} {_said(value)}")


@cli.command()
@click.argument("numbers", metavar="RUN…", type=click.IntRange(1, LARGEST), nargs=-1, required=True)
@history_option
@json_option
def compare(numbers: tuple[int, ...], history: Path, as_json: bool) -> None:
    """Lay runs beside each other: their figures, and only the settings that differ."""
    database = open_for_reading(history)
    rows = [reading.run_details(database, number).row for number in numbers]
    differing = reading.differing_settings(reading.run_settings(database, numbers))
    if as_json:
        shown = [run_object(database, row) for row in rows]
        settings = {key: {str(run): value for run, value in values.items()} for key, values in differing.items()}
        click.echo(json.dumps({"runs": shown, "differing_settings": settings}))
    else:
        click.echo(table(rows))
        click.echo("")
        click.echo(f"{'settings that differ, by run':36} " + "  ".join(f"{number:>12}" for number in numbers))
        for key, values in differing.items() or {"no setting differs": {}}.items():
            click.echo(
                f"{key:36} "
                + "  ".join(f"{'–' if values.get(number) is None else values[number]!s:>12}" for number in numbers if values)
            )
    database.close()


def run_object(database: Any, row: reading.RunRow) -> dict[str, Any]:
    """A run as the command line's JSON shows it."""
    figures = row.figures
    shown: dict[str, Any] = {
        "run": row.id,
        "experiment": row.experiment,
        "role": row.role,
        "name": row.name,
        "status": row.status,
        "parents": list(reading.parents(database, row.id)),
        "reused": row.reused,
        "dataset": row.dataset,
        "model": row.model,
        "parameters": row.parameters,
        "temperature": row.temperature,
        "hard_weight": row.hard_weight,
        "seed": row.seed,
        "epochs": row.epochs,
        "train_seconds": row.train_seconds,
        "samples_per_second": row.samples_per_second,
        "val_accuracy": figures.get("val_accuracy"),
        "test_accuracy": figures.get("test_accuracy"),
        "test_errors": _whole(figures.get("test_errors")),
        "test_size": _whole(figures.get("test_size")),
    }
    if row.role == "student":
        shown |= {key: figures.get(key) for key in ("teacher_agreement", "teacher_kl")}
    return shown


def _flat(table: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested tables and lists of them by dotted path."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = {str(place): item for place, item in enumerate(value)}
        found |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return found


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) or "–" if isinstance(value, list) else "–" if value is None or value == "" else str(value)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def table(rows: Sequence[reading.RunRow]) -> str:
    """Runs as aligned text."""
    lines = [
        f"{'run':>5} {'experiment':18} {'name':11} {'status':11} {'model':16} {'T':>5} {'w':>5}"
        f" {'val %':>7} {'test %':>7} {'errors':>7} {'seconds':>8}"
    ]
    for row in rows:
        figures = row.figures
        lines.append(
            f"{row.id:>5} {row.experiment_name[:18]:18} {row.name[:11]:11} {row.status:11} {row.model[:16]:16}"
            f" {_number(row.temperature, 'g'):>5} {_number(row.hard_weight, 'g'):>5}"
            f" {_number(figures.get('val_accuracy'), '.2%')[:-1]:>7} {_number(figures.get('test_accuracy'), '.2%')[:-1]:>7}"
            f" {_number(figures.get('test_errors'), '.0f'):>7} {row.train_seconds:>8.1f}"
        )
        ensemble = figures.get("ensemble_test_errors")
        if row.role == "student" and ensemble is not None:
            accuracy = _number(figures.get("ensemble_test_accuracy"), ".2%")[:-1]
            lines.append(f"{'':5} {'':18} {'(its teachers together)':68} {accuracy:>7} {ensemble:>7.0f}")
    return "\n".join(lines)


def _number(value: float | None, form: str) -> str:
    return "– " if value is None else format(value, form)


def main() -> None:
    """Entry point of the command line."""
    try:
        cli(standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(130)
