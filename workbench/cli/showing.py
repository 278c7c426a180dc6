"""Commands that show what there is: recipes, data sets, runs, one run, runs compared, sweeps, specialists."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import click
from sqlite_utils import Database

from workbench.analysis.study import parts
from workbench.cli.options import LARGEST, data_option, history_option, json_option
from workbench.cli.tables import run_object, specialists_table, sweep_table, table
from workbench.errors import WorkbenchError
from workbench.history import reading
from workbench.history.csv_out import CURVE_COLUMNS, RUN_COLUMNS, curve_rows, run_rows, write_rows
from workbench.history.database import open_for_reading
from workbench.recipes import experiment_of, recipe_paths, recipe_tables


@click.command()
@json_option
def recipes(as_json: bool) -> None:
    """The built-in recipes."""
    found = [(name, experiment_of(name)) for name in recipe_paths()]
    if as_json:
        shown = [
            {
                "name": name,
                "description": config.description,
                "config": config.to_dict(),
                "sweep": recipe_tables(name).get("sweep"),
            }
            for name, config in found
        ]
        click.echo(json.dumps(shown))
        return
    for name, config in found:
        click.echo(f"{name:22} {config.description}")


@click.command()
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


@click.command()
@history_option
@click.option(
    "--csv", "as_csv", is_flag=True, help="A CSV table on standard output, with more columns; spreadsheets run nothing of it."
)
@json_option
def runs(history: Path, as_csv: bool, as_json: bool) -> None:
    """Every run of the history."""
    database = open_for_reading(history)
    if as_csv:
        with contextlib.closing(database), _plain_output() as file:
            write_rows(file, RUN_COLUMNS, run_rows(database))
        return
    found = reading.list_runs(database)
    if as_json:
        click.echo(json.dumps([run_object(database, row) for row in found]))
    else:
        click.echo(table(found) if found else f"{history} has no runs yet; try `workbench run digits`")
    database.close()


@click.command()
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
        "correction": {**asdict(details.correction), "classes": list(details.correction.classes)} if details.correction else None,
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


@click.command()
@click.argument("numbers", metavar="RUN…", type=click.IntRange(1, LARGEST), nargs=-1, required=True)
@history_option
@data_option
@json_option
def compare(numbers: tuple[int, ...], history: Path, folders: tuple[Path, ...], as_json: bool) -> None:
    """Lay runs beside each other: their figures, only the settings that differ, and of two groups whether the difference is
    real."""
    database = open_for_reading(history)
    rows = [reading.run_details(database, number).row for number in numbers]
    settings_of = reading.run_settings(database, numbers)
    differing = reading.differing_settings(settings_of)
    difference = _difference(database, {row.id: row for row in rows}, settings_of, folders)
    if as_json:
        shown = [run_object(database, row) for row in rows]
        settings = {key: {str(run): value for run, value in values.items()} for key, values in differing.items()}
        click.echo(json.dumps({"runs": shown, "differing_settings": settings, "difference": difference}))
    else:
        click.echo(table(rows))
        click.echo("")
        click.echo(f"{'settings that differ, by run':36} " + "  ".join(f"{number:>12}" for number in numbers))
        for key, values in differing.items() or {"no setting differs": {}}.items():
            click.echo(
                f"{key:36} "
                + "  ".join(f"{'–' if values.get(number) is None else values[number]!s:>12}" for number in numbers if values)
            )
        if difference:
            click.echo(f"\n{difference}")
    database.close()


def _difference(
    database: Database, rows: dict[int, reading.RunRow], settings: dict[int, dict[str, Any]], folders: Sequence[Path]
) -> str | None:
    """Whether the difference is real, of runs that are two groups of seeds; None where they are not."""
    from workbench.analysis.difference import checked_labels, names_in_sentences, no_labels, sentence
    from workbench.distill import sources
    from workbench.history.seed_groups import seed_groups, sides

    groups = seed_groups(database, list(rows))
    if len(groups) != 2:
        return None
    names = names_in_sentences([[rows[run] for run in group] for group in groups], settings)
    found = sides(database, *groups)
    if found.data is None or found.predicted is None:
        return sentence(found, names)
    try:
        raw = sources.load(found.data, sources.data_folders(folders), download=False)
        labels = checked_labels(found.data, found.digest, raw.digest, raw.test.labels)
    except WorkbenchError as error:
        return sentence(found, names, reason=no_labels(error))
    return sentence(found, names, labels)


@click.command()
@click.argument("numbers", metavar="RUN…", type=click.IntRange(1, LARGEST), nargs=-1, required=True)
@click.option("--metric", "metrics", multiple=True, help="A metric, such as val_accuracy; may be repeated. Else all.")
@history_option
def curves(numbers: tuple[int, ...], metrics: tuple[str, ...], history: Path) -> None:
    """Every point of the curves of RUN… as a CSV table on standard output."""
    with contextlib.closing(open_for_reading(history)) as database:
        rows = curve_rows(database, numbers, metrics)
        first = list(itertools.islice(rows, 1))  # what is not there is told before anything is written
        with _plain_output() as file:
            write_rows(file, CURVE_COLUMNS, itertools.chain(first, rows))


@contextlib.contextmanager
def _plain_output() -> Iterator[IO[str]]:
    """Standard output as UTF-8 whose ends of lines are left as they are."""
    file = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
    try:
        yield file
    finally:
        file.detach()


@click.command()
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
            elif not found:
                click.echo(f"{history} has no sweeps yet; try `workbench run temperature-by-width-short`")
            for one in found if not as_json else []:
                click.echo(f"{one.id:>5} {one.name:30} {one.words()}")
            return
        points = reading.sweep_points(database, number)
        if not points:
            raise WorkbenchError(f"there is no sweep {number} in this history; see `workbench sweeps`")
        if as_json:
            click.echo(json.dumps(_results(points)))
        else:
            click.echo(sweep_table(points))


@click.command()
@history_option
@json_option
def specialists(history: Path, as_json: bool) -> None:
    """What generalists and their specialists reach together, and the students distilled from them; seeds together."""
    from workbench.analysis.specialist_results import coverage, summary

    with contextlib.closing(open_for_reading(history)) as database:
        groups = reading.specialised_groups(database)
    if as_json:
        found = [{"summary": summary(group), "coverage": [asdict(row) for row in coverage(group)]} for group in groups]
        click.echo(json.dumps(found))
    elif not groups:
        click.echo(f"{history} has no specialists yet; try `workbench run specialists-digits`")
    else:
        click.echo("\n\n".join(specialists_table(group) for group in groups))


def _results(points: Sequence[reading.SweepPoint]) -> list[dict[str, Any]]:
    from workbench.analysis.sweep_results import results

    found = [asdict(one) for one in results(points)]
    for one, part in zip(found, parts(points), strict=False):  # as many of them where the sweep takes parts away
        one["study"] = asdict(part)
    return found


def _flat(table: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Nested tables and lists of them by dotted path."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = {str(place): item for place, item in enumerate(value)}
        found |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return found


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) or "–" if isinstance(value, list) else "–" if value is None or value == "" else str(value)
