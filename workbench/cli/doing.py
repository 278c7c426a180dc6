"""Commands that train or change a history: run, resume, paper, bias, doctor."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench import __version__
from workbench.cli.options import LARGEST, data_option, device_option, history_option, json_option, training_options
from workbench.cli.tables import run_object, score_object, scoreboard, sweep_table, table
from workbench.config import ExperimentConfig
from workbench.errors import HistoryError, WorkbenchError
from workbench.history import reading
from workbench.history.database import SQLITE_VERSION, check_history, open_database, open_for_reading, wal_is_safe
from workbench.history.doctor import examine, forget_states, usage
from workbench.history.doctor import repair as repair_history
from workbench.progress import ProgressPrinter
from workbench.recipes import naming, recipe_tables
from workbench.running import ray_executor, search
from workbench.settings import closest
from workbench.sweep import expand

if TYPE_CHECKING:
    from workbench.running.driver import Control


@click.command()
@click.argument("recipe")
@click.option(
    "--set", "changes", metavar="KEY=VALUE", multiple=True, help="Change a setting, such as distillation.temperature=4."
)
@training_options
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
    executor: str,
    as_json: bool,
) -> None:
    """Do the experiment of RECIPE, a TOML file or a built-in name (see `workbench recipes`)."""
    tables = recipe_tables(recipe, changes)
    with naming(recipe, changes):
        experiments = expand(tables)
    check_history(history)
    settings = engine_settings(device, threads, folders, share, executor)

    def queue(opened: Any) -> list[int]:
        if "sweep" not in tables:
            return [opened.enqueue(experiments[0][1])]
        return list(opened.enqueue_sweep(tables, experiments)[1])

    ctx.exit(_do(history, settings, queue, as_json, [config for _, config in experiments]))


@click.command()
@click.argument("run", type=click.IntRange(1, LARGEST))
@click.option("--epochs", default=0, help="Go on to so many epochs as a new run, which leaves the old one as it is.")
@click.option(
    "--from", "kind", type=click.Choice(["last", "best"]), default="last", show_default=True, help="The checkpoint for --epochs."
)
@click.option("--alone", is_flag=True, help="Leave what was trained together with RUN: it then agrees to float tolerance.")
@training_options
@click.pass_context
def resume(
    ctx: click.Context,
    run: int,
    epochs: int,
    kind: str,
    alone: bool,
    history: Path,
    folders: tuple[Path, ...],
    device: str,
    threads: int,
    share: bool,
    executor: str,
    as_json: bool,
) -> None:
    """Go on with RUN and what else its experiment has not done: finished runs stay, others start at their checkpoint.

    Students of a sweep that were trained together with it go on with it, so that all end bit for bit as if nothing had
    been. A Bayesian search that RUN belongs to goes on too.
    """
    with contextlib.closing(open_for_reading(history)) as database:
        row = reading.run_details(database, run).row
        searching = search.unfinished(database, row.experiment)
        over = row.status == "done" and not reading.was_left(database, row.experiment)
    if not epochs and (row.status in ("running", "waiting") or (over and not searching)):
        raise WorkbenchError(f"run {run} is {row.status}" + ("; say with --epochs how far it should go on" if over else ""))
    settings = engine_settings(device, threads, folders, share, executor)

    def queue(opened: Any) -> list[int]:
        from workbench.running.experiment import continue_run
        from workbench.running.experiment import resume as take_up

        if epochs:
            return [continue_run(opened, run, epochs, "state" if kind == "last" else "best")]
        if over:
            if not (left := search.take_up(opened, row.experiment)):
                raise WorkbenchError(f"the search of run {run} waits in the queue of the window, or of another process")
            return left
        if others := take_up(opened, [row.experiment], alone=alone):
            click.echo(f"run {run}: {opened.gone_on_with(others)}", err=True)
        return [row.experiment, *others, *search.take_up(opened, row.experiment)]

    ctx.exit(_do(history, settings, queue, as_json))


@click.command()
@click.argument("names", metavar="[CLAIM]…", nargs=-1)
@click.option("--form", type=click.Choice(["short", "paper", "both"]), default="both", show_default=True, help="Which recipes.")
@click.option("--run", "wanted", is_flag=True, help="First do what is missing of these claims.")
@training_options
@click.pass_context
def paper(
    ctx: click.Context,
    names: tuple[str, ...],
    form: str,
    wanted: bool,
    history: Path,
    folders: tuple[Path, ...],
    device: str,
    threads: int,
    share: bool,
    executor: str,
    as_json: bool,
) -> None:
    """The paper's claims, its figures and ours; with --run what is missing is done first, and may take a night."""
    from workbench.analysis import claims

    known = [claim.name for claim in claims.CLAIMS]
    for name in names:
        if name not in known:
            raise WorkbenchError(f"there is no claim {name!r}{closest(name, known)}; the claims are {', '.join(known)}")
    forms: list[claims.Form] = ["short", "paper"] if form == "both" else [form]  # type: ignore[list-item]

    def board() -> list[claims.Score]:
        if not history.exists():
            raise HistoryError(f"there is no history at {history}; `workbench paper --run --form short` makes one")
        with contextlib.closing(open_for_reading(history)) as database:
            return [score for score in claims.scoreboard(database, forms) if not names or score.claim.name in names]

    status = 0
    if wanted:
        check_history(history)
        with contextlib.closing(open_database(history)):
            pass
        for recipe in dict.fromkeys(score.recipe for score in board() if score.missing):
            missing = next(score.missing for score in board() if score.recipe == recipe)
            tables = recipe_tables(recipe)
            configs = [config for _, config in missing]
            settings = engine_settings(device, threads, folders, share, executor)
            status = max(status, _do(history, settings, _queue_sweep(tables, missing), False, configs, outcome=not as_json))
            if status == 130:
                ctx.exit(status)
    if as_json:
        click.echo(json.dumps([score_object(score) for score in board()]))
    else:
        click.echo(scoreboard(board()))
    ctx.exit(status)


def _queue_sweep(
    tables: dict[str, Any], experiments: Sequence[tuple[dict[str, Any], ExperimentConfig]]
) -> Callable[[Any], list[int]]:
    """Puts some experiments of a recipe into the queue."""

    def queue(history: Any) -> list[int]:
        if "sweep" not in tables:
            return [history.enqueue(config) for _, config in experiments]
        numbers: list[int] = history.enqueue_sweep(tables, experiments)[1]
        return numbers

    return queue


@click.command()
@click.argument("run", type=click.IntRange(1, LARGEST))
@click.option("--class", "names", multiple=True, help="A class to shift, by name; else those that the run has never seen.")
@click.option(
    "--way",
    type=click.Choice(["validation", "mass"]),
    default="validation",
    show_default=True,
    help="Fewest errors on validation, or mean predicted mass equal to the classes' frequency.",
)
@click.option("--keep", is_flag=True, help="Keep the correction with the run.")
@click.option("--undo", is_flag=True, help="Take a correction that was kept back.")
@history_option
@data_option
@device_option
@json_option
def bias(
    run: int,
    names: tuple[str, ...],
    way: str,
    keep: bool,
    undo: bool,
    history: Path,
    folders: tuple[Path, ...],
    device: str,
    as_json: bool,
) -> None:
    """Shift the logits of classes that RUN has never seen, chosen on validation; errors before and after."""
    from workbench.analysis.bias import errors_at
    from workbench.distill.data import class_numbers
    from workbench.history.changes import keep_correction
    from workbench.history.liveness import held_open
    from workbench.history.writing import History
    from workbench.questions.images import bias_samples
    from workbench.running.engine import Engine, EngineSettings

    with contextlib.closing(open_for_reading(history)) as database:
        reading.run_details(database, run)
    if undo:
        with held_open(history) as database:
            keep_correction(database, run, None)
        return
    engine = Engine(EngineSettings(**engine_settings(device, 0, folders, False)))
    with History(history) as opened:
        samples = bias_samples(run)(engine, opened)
    numbers = tuple(class_numbers(names, samples.classes, "--class")) or samples.missing
    if not numbers or len(numbers) == len(samples.classes):
        raise WorkbenchError(f"run {run} has seen every class; name those to shift with --class")
    found = samples.chosen(numbers, way)
    shown: dict[str, Any] = {
        "run": run,
        "classes": [samples.classes[number] for number in numbers],
        "way": way,
        "shift": found.shift,
    }
    for split in ("validation", "test"):
        logits, labels = getattr(samples, split)
        for when, shift in (("before", 0.0), ("after", found.shift)):
            shown[f"{split}_{when}"] = asdict(errors_at(logits, labels, numbers, shift))
    if keep:
        with held_open(history) as database:
            keep_correction(database, run, found)
    if as_json:
        click.echo(json.dumps(shown))
        return
    click.echo(f"classes {', '.join(shown['classes'])} shifted by {found.shift:+.2f}, chosen by {way}, never on the test split")
    for split in ("validation", "test"):
        for when, shift in (("before", 0.0), ("after", found.shift)):
            logits, labels = getattr(samples, split)
            click.echo(f"{split:11} {when:7} {errors_at(logits, labels, numbers, shift).words()}")


def engine_settings(device: str, threads: int, folders: Sequence[Path], share: bool, executor: str = "local") -> dict[str, Any]:
    """The engine's settings, checked."""
    for folder in folders:
        if not folder.is_dir():
            raise WorkbenchError(f"the data folder {folder} does not exist; make it or leave --data out")
    if threads < 0:
        raise WorkbenchError(f"--threads must be 0 or more, not {threads}")
    executor = ray_executor.checked(executor)
    return {"device": device, "threads": threads, "folders": tuple(folders), "share": share, "executor": executor}


def _do(
    path: Path,
    settings: dict[str, Any],
    queue: Callable[[Any], list[int]],
    as_json: bool,
    configs: Sequence[ExperimentConfig] = (),
    *,
    outcome: bool = True,
) -> int:
    """Have the experiments done that ``queue`` puts into the history, once ``configs`` are checked; the exit status.

    Without ``outcome`` nothing is written to standard output at the end.
    """
    if sys.stderr.isatty():
        click.echo("starting…", err=True)  # torch takes seconds to be imported
    from workbench.events import Event, RunFinished
    from workbench.history.writing import History
    from workbench.running.driver import Control
    from workbench.running.engine import Engine, EngineSettings
    from workbench.running.experiment import companions, run_experiments

    engine = Engine(EngineSettings(**settings))
    printer = ProgressPrinter()
    if ray_executor.missing(engine.settings.executor):
        printer.tell("starting Ray", 0, 0, "")
    ray_executor.connect(engine.settings.executor, engine.settings.device)
    with contextlib.ExitStack() as stack:
        past = stack.enter_context(contextlib.closing(open_for_reading(path))) if path.exists() else None
        for config in configs:
            engine.check(config, lambda run: _past_run(past, path, run), printer.tell)
    control = Control()
    _stop_on_signals(control)
    statuses: dict[int, str] = {}
    with History(path) as history, contextlib.closing(open_for_reading(path)) as reader:
        experiments = queue(history)

        def emit(event: Event) -> None:
            printer.show(event)
            if isinstance(event, RunFinished) and as_json:
                row = next(row for row in reading.experiment_rows(reader, event.experiment) if row.id == event.run)
                click.echo(json.dumps(run_object(reader, row)))

        for experiment in experiments:
            if experiment not in statuses:
                together = [one for one in companions(history, experiment, engine.settings.executor) if one in experiments]
                statuses |= run_experiments(engine, history, [experiment, *together], control, emit)
                experiments += [number for number in search.waiting(history, experiment) if number not in experiments]
            if control.ending:
                history.leave_queue()
                break
        if outcome and not as_json and statuses[experiment] == "done":
            click.echo(_outcome(reader, experiments))
    return 130 if control.ending else int("failed" in statuses.values())


def _outcome(reader: Any, experiments: Sequence[int]) -> str:
    """The runs of one experiment, or a sweep's combinations with their means."""
    if len(experiments) == 1:
        return table(reading.experiment_rows(reader, experiments[0]))
    (sweep,) = reader.execute("SELECT sweep FROM experiments WHERE id = ?", [experiments[0]]).fetchone()
    return sweep_table(reading.sweep_points(reader, sweep))


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


@click.command()
@history_option
@click.option("--repair", is_flag=True, help="Do what can be done about what is found; runs and metrics stay.")
@click.option("--clean", is_flag=True, help="Remove what finished runs would need to go on with more epochs.")
@json_option
def doctor(history: Path, repair: bool, clean: bool, as_json: bool) -> None:
    """Check the history's file, its metrics, its checkpoints and this machine; exit status 1 where something is wrong."""
    from workbench.history.liveness import held_open

    environment = _environment()
    printer = ProgressPrinter()
    if not history.exists() and not as_json:
        for key, value in environment.items():
            click.echo(f"{key:20} {value}")
    with contextlib.closing(open_for_reading(history)) as database:
        findings = examine(database, history, printer.tell)
        files = usage(database, history)
    if (repair and any(finding.repair for finding in findings)) or clean:
        with held_open(history) as database:
            if repair:
                repair_history(database, history, findings)
            if clean:
                freed = forget_states(database, history)
                click.echo(f"removed {freed / 1e6:,.1f} MB of checkpoints; finished runs keep their weights", err=True)
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
