"""The command that takes a run away as a file."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from workbench.cli.options import LARGEST, data_option, history_option, json_option, threads_option
from workbench.errors import WorkbenchError
from workbench.exchange.takeaway import COLUMNS, FORMS, AnswersOtherwise, Taken, form_of
from workbench.history.database import open_for_reading
from workbench.progress import ProgressPrinter


@click.command()
@click.argument("run", type=click.IntRange(1, LARGEST))
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="The file, such as student.onnx.")
@click.option("--form", type=click.Choice(list(FORMS)), help="What kind of file; else as its ending says.")
@click.option("--int8", "small", is_flag=True, help="Beside the ONNX file another one with 8-bit weights.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")
@click.option("--force", is_flag=True, help="Keep a file that answers otherwise than the run.")
@history_option
@data_option
@threads_option
@json_option
def take(
    run: int,
    target: Path,
    form: str | None,
    small: bool,
    overwrite: bool,
    force: bool,
    history: Path,
    folders: tuple[Path, ...],
    threads: int,
    as_json: bool,
) -> None:
    """Take RUN away as a file that gives the same answers elsewhere, which is read back and compared before it is kept."""
    from workbench.exchange.taking import Wanted, cpu_engine, take_away

    printer = ProgressPrinter()
    wanted = Wanted(run=run, target=target, form=form or form_of(target), small=small, overwrite=overwrite, force=force)
    with contextlib.closing(open_for_reading(history)) as database:
        try:
            taken = take_away(cpu_engine(folders, threads), database, history, wanted, printer.tell)
        except AnswersOtherwise as error:
            raise WorkbenchError(f"{error}; --force keeps it all the same") from None
    click.echo(taken.to_json() if as_json else _shown(taken))


def _shown(taken: Taken) -> str:
    rows = [tuple(COLUMNS), *(line.cells() for line in taken.lines)]
    wide = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    table = (
        "  ".join(cell.rjust(wide[at]) if at else cell.ljust(wide[0]) for at, cell in enumerate(row)).rstrip() for row in rows
    )
    where = "Latency in milliseconds in ONNX Runtime on this CPU: the median / the 95th percentile."
    return "\n".join([taken.words(), *taken.notes, "", *table, where, "", taken.script.rstrip()])
