"""The command that reports on one experiment: teacher, baseline and student side by side."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.analysis.report import Labels, Latencies, Party, Report
from workbench.analysis.report_words import COLUMNS, chance, latency_notes, lines, notes, summed_up
from workbench.cli.options import LARGEST, data_option, device_option, history_option, json_option
from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.history import reading
from workbench.history.database import open_for_reading
from workbench.history.reported import labels_wanted, report_of

if TYPE_CHECKING:
    from sqlite_utils import Database


@click.command()
@click.argument("experiment", type=click.IntRange(1, LARGEST))
@click.option("--latency", is_flag=True, help="Measure how long ensemble, baseline and student take, with their stored weights.")
@history_option
@data_option
@device_option
@json_option
def report(experiment: int, latency: bool, history: Path, folders: tuple[Path, ...], device: str, as_json: bool) -> None:
    """Teacher, baseline and student of EXPERIMENT side by side: errors, fidelity, calibration, size, latency."""
    with contextlib.closing(open_for_reading(history)) as database:
        report_of(database, experiment)
        run, labels, why = labels_wanted(database, experiment), None, ""
        try:
            labels = _labels(database, history, run, folders) if run else None
        except WorkbenchError as error:
            why = f"What needs the labels of the test images is left out: {error}."
        found = report_of(database, experiment, labels, why)
    measured = _measured(found, run, history, folders, device) if latency and run else None
    if as_json:
        click.echo(json.dumps(report_object(found, measured)))
        return
    click.echo(summed_up(found))
    for more in (chance(found), *notes(found)):
        if more:
            click.echo(more)
    click.echo("")
    click.echo(_table(found, measured))
    for more in latency_notes(found, measured):
        click.echo(more)


def _labels(database: Database, history: Path, run: int, folders: tuple[Path, ...]) -> Labels:
    """The labels of a run's test cases; a :class:`DataError` where the data are not there as they were."""
    from workbench.distill import sources
    from workbench.errors import DataError

    past = reading.past_run(database, history, run)
    config: RunConfig = past.config
    raw = sources.load(config.data, sources.data_folders(folders), download=False)
    if raw.digest != past.dataset_digest:
        raise DataError(f"{config.data.dataset} is no longer what run {run} was trained on; put the files back as they were")
    return Labels(raw.digest, raw.classes, raw.test.labels)


def _measured(found: Report, run: int, history: Path, folders: tuple[Path, ...], device: str) -> Latencies:
    from workbench.history.writing import History
    from workbench.questions.report import latencies
    from workbench.running.engine import Engine, EngineSettings

    engine = Engine(EngineSettings(device=device, folders=folders))
    with History(history) as opened:
        return latencies(run, found.timed)(engine, opened)


def _table(found: Report, measured: Latencies | None) -> str:
    rows = [list(COLUMNS), *(_indented(line.party, line.cells) for line in lines(found, measured))]
    wide = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.rjust(wide[at]) if at else cell.ljust(wide[0]) for at, cell in enumerate(row)).rstrip() for row in rows
    )


def _indented(party: Party, cells: tuple[str, ...]) -> list[str]:
    return [f"{'  ' if party.inside else ''}{cells[0]}", *cells[1:]]


def report_object(found: Report, measured: Latencies | None = None) -> dict[str, Any]:
    """A report as the command line's JSON shows it."""
    sweep = {"sweep": found.sweep[0], "name": found.sweep[1], "others": found.sweep[2]} if found.sweep else None
    return {
        "experiment": found.experiment,
        "name": found.name,
        "status": found.status,
        "message": found.message,
        "sentence": summed_up(found),
        "kept_interval": list(found.kept) if found.kept else None,
        "notes": list(found.notes),
        "dataset": found.dataset,
        "classes": list(found.classes),
        "sweep": sweep,
        "parties": [_party_object(one, measured) for one in found.parties],
    }


def _party_object(party: Party, measured: Latencies | None) -> dict[str, Any]:
    of = party.figures
    shown: dict[str, Any] = {
        "key": party.key,
        "name": party.name,
        "runs": list(party.runs),
        "status": party.status,
        "message": party.message,
        "part_of": party.inside or None,
        "errors": of.errors,
        "cases": of.cases,
        "accuracy": of.accuracy,
        "nll": of.nll,
        "ece": of.ece,
        "agreement": of.agreement,
        "kl": of.kl,
        "parameters": party.parameters,
        "multiply_adds": party.multiply_adds,
    }
    if measured is not None and (times := measured.of.get(party.key)):
        where = {"device": measured.device, "threads": measured.threads}
        shown["latency_ms"] = where | {str(batch): {"median": one.median, "p95": one.p95} for batch, one in times.items()}
    if party.judged is not None:
        bins = party.judged.reliability
        shown |= {
            "confusion": party.judged.confusion.tolist(),
            "class_accuracy": [None if math.isnan(value) else value for value in party.judged.by_class.tolist()],
            "reliability": {
                "count": bins.count.tolist(),
                "confidence": bins.confidence.tolist(),
                "accuracy": bins.accuracy.tolist(),
            },
        }
    return shown
