"""The reference runs that a new history begins with: the paper's claims as these recipes found them, on another machine.

They stand in ``resources/reference.zip``, made by ``tests/make_reference.py``: a history without training states, its curves
thinned, its runs tagged ``reference``, with the weights of the small students.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from workbench.history.database import files_folder
from workbench.paths import resources_folder

TAG = "reference"
DATABASE, FILES = "experiments.db", "files/"
"""What the parts are called in the archive."""

logger = logging.getLogger(__name__)


def begin_with_reference(history: Path) -> bool:
    """Make a history that is not there yet out of the reference runs; whether that was done.

    All or nothing: where it cannot be, the history begins empty.
    """
    source = resources_folder() / "reference.zip"
    logs = [Path(f"{history}{extra}") for extra in ("-wal", "-journal")]  # SQLite would play one of another file into it
    if any(path.exists() for path in (history, *logs)) or not source.is_file():
        return False
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{history.name}.", dir=history.parent))
    except OSError:
        logger.exception("the reference runs")
        return False
    try:
        with zipfile.ZipFile(source) as archive:
            archive.extractall(beside)
        inside = beside / FILES
        for path in (path for path in inside.rglob("*") if path.is_file()) if inside.is_dir() else ():
            place = files_folder(history) / path.relative_to(inside)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, place)
        with (beside / DATABASE).open("rb") as file:
            os.fsync(file.fileno())
        os.link(beside / DATABASE, history)  # another window may have been first: its history stays
    except (OSError, zipfile.BadZipFile, KeyError):
        logger.exception("the reference runs")
        return False
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(beside)
    return True
