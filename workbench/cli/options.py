"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

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
executor_option = click.option(
    "--executor",
    default="local",
    show_default=True,
    help="Where runs are trained: local, ray (at the same time, on this machine's cores), or ray://HOST:PORT (on a cluster).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on standard output and nothing else.")


def training_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that trains."""
    for option in (json_option, executor_option, share_option, threads_option, device_option, data_option, history_option):
        command = option(command)
    return command
