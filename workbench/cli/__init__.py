"""The command line, and the door to the window. Needs no display and no PySide6."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from workbench import __version__
from workbench.cli import doing, exchange, importing, reporting, showing, taking
from workbench.cli.options import data_option, history_option
from workbench.errors import WorkbenchError
from workbench.history.database import SqliteError


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
        except OSError as error:
            if error.filename is None:
                raise
            click.echo(f"workbench: {error.filename} cannot be used ({error.strerror}); name another place", err=True)
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


for command in (
    *(doing.run, doing.resume, doing.paper, importing.import_, doing.bias, doing.doctor, exchange.export, exchange.bin_),
    *(showing.recipes, showing.datasets, showing.runs, showing.show, showing.compare, showing.sweeps, showing.specialists),
    *(reporting.report, showing.curves, taking.take),
):
    cli.add_command(command)


def main() -> None:
    """Entry point of the command line."""
    try:
        cli(standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(130)
