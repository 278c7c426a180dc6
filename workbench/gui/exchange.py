"""Experiments out of the history to one file, and in again: what is asked of the person, and what is told at the end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QFileDialog, QVBoxLayout, QWidget
from sqlite_utils import Database

from workbench.errors import CannotWrite
from workbench.gui.forms import label
from workbench.history.bundle import SUFFIX, write_experiment
from workbench.history.unbundle import Brought, read_experiment

KIND = f"Experiments (*{SUFFIX})"
NAMES_SHOWN = 6
Ask = Callable[[Any, Callable[[Database], Any], Callable[[Any], None]], None]


class ExportDialog(QDialog):
    """Which experiments go out, and whether with what is needed to go on with them."""

    def __init__(self, names: Sequence[str], unfinished: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export experiment")
        self.states = QCheckBox("Training states too")
        self.states.setChecked(unfinished > 0)
        self.states.setToolTip("Larger. Needed to resume there what was broken off here, or to go on with more epochs.")
        shown = "\n".join(names[:NAMES_SHOWN]) + f"\nand {len(names) - NAMES_SHOWN} more" * (len(names) > NAMES_SHOWN)
        words = (
            "Runs, curves, figures, predictions, notes and weights go into one file, and the experiments that made what they"
            " reuse. File → Import experiment takes it into another history."
        )
        box = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        box.button(QDialogButtonBox.StandardButton.Ok).setText("Choose a file…")
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(label(shown, wrap=True))
        layout.addWidget(label(words, "faint", wrap=True))
        layout.addWidget(self.states)
        layout.addWidget(box)
        self.resize(460, self.sizeHint().height())


def export_experiments(
    parent: QWidget,
    ask: Ask,
    history: Path,
    experiments: Sequence[int],
    told: Callable[[str], None],
    begun: Callable[[str], None],
) -> None:
    """Ask where experiments should go, and write them on the history's thread; ``told`` hears of the end."""

    def read(database: Database) -> tuple[list[str], int]:
        numbers = json.dumps(list(experiments))
        rows = database.execute(
            "SELECT id, name, status FROM experiments WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", [numbers]
        ).fetchall()
        left = sum(row["status"] in ("stopped", "interrupted") for row in rows)
        return [f"{row['name']} #{row['id']}" for row in rows], left

    def choose(found: tuple[list[str], int]) -> None:
        names, unfinished = found
        dialog = ExportDialog(names, unfinished, parent)
        if not dialog.exec():
            return
        stem = file_stem(names[0].rpartition(" #")[0], "experiment")
        chosen, _ = QFileDialog.getSaveFileName(parent, "Export experiment", f"{stem}{SUFFIX}", KIND)
        if not chosen:
            return
        target, states = with_suffix(chosen, SUFFIX), dialog.states.isChecked()
        replaced = target == Path(chosen)  # the file dialog has asked about that one, and no other

        def write(database: Database) -> str:
            return write_experiment(database, history, experiments, target, states=states, overwrite=replaced).words()

        begun(f"Exporting to {target.name}…")
        ask(("export", str(target)), write, told)

    ask("export", read, choose)


def import_file(
    parent: QWidget, change: Ask, history: Path, done: Callable[[Brought], None], begun: Callable[[str], None]
) -> None:
    """Ask for a file and take its experiments into the history, on its thread; ``done`` hears what came in."""
    chosen, _ = QFileDialog.getOpenFileName(parent, "Import experiment", "", f"{KIND};;All files (*)")
    if chosen:
        begun(f"Importing {Path(chosen).name}…")
        change("import", lambda database: read_experiment(database, history, Path(chosen)), done)


def with_suffix(chosen: str, *suffixes: str) -> Path:
    """The file that a person named, with the first of these endings where it has none of them."""
    path = Path(chosen)
    return path if path.suffix.lower() in suffixes else path.with_name(f"{path.name}{suffixes[0]}")


def named(chosen: str, *suffixes: str) -> Path:
    """The same; a :class:`CannotWrite` where a file that the dialog has not asked about would be replaced."""
    path = with_suffix(chosen, *suffixes)
    if path != Path(chosen) and path.exists():
        raise CannotWrite(f"{path} is there already; choose it by its whole name to replace it")
    return path


def file_stem(name: str, otherwise: str) -> str:
    """A name as that of a file, without its ending."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or otherwise
