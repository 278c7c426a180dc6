"""What a person does with the window, in a few words."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QSpinBox
from pytestqt.qtbot import QtBot

from workbench.gui.main_window import MainWindow
from workbench.history.listing import Entry

WAIT = 60_000


def type_number(qtbot: QtBot, field: QSpinBox | QLineEdit, text: str) -> None:
    """Replace what stands in a field by typing."""
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, text)


def make_small(qtbot: QtBot, window: MainWindow, *, epochs: int = 3) -> None:
    """Two small teachers and a few epochs, typed into the form."""
    group = window.setup.teachers.groups[0]
    type_number(qtbot, group.count, "2")
    type_number(qtbot, group.model.form.editors["units"].field, "24")
    type_number(qtbot, window.setup.training.teachers.editors["epochs"].field, "3")
    type_number(qtbot, window.setup.training.student.editors["epochs"].field, str(epochs))
    wait_checked(qtbot, window)


def wait_checked(qtbot: QtBot, window: MainWindow) -> None:
    """Wait until the plan has been checked and Launch can be pressed."""
    qtbot.waitUntil(lambda: not window.setup._settle.isActive() and window.setup.launch.isEnabled(), timeout=WAIT)


def launch(qtbot: QtBot, window: MainWindow) -> None:
    """Press Launch and wait for the first run to start."""
    before = window.live.watched.experiment
    qtbot.mouseClick(window.setup.launch, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.live.watched.experiment > before and window.live.watched.running > 0, timeout=WAIT)


def launch_and_finish(qtbot: QtBot, window: MainWindow) -> None:
    """Press Launch and wait for the end."""
    launch(qtbot, window)
    qtbot.waitUntil(lambda: window.live.watched.finished, timeout=WAIT)


def wait_history(qtbot: QtBot, window: MainWindow, runs: int) -> list[int]:
    """The History screen in front with at least so many runs, all ended; their numbers."""
    window.tabs.setCurrentWidget(window.history)

    def all_there() -> bool:
        rows = entries(window)
        return len(rows) >= runs and not {row.status for row in rows} & {"waiting", "running"}

    qtbot.waitUntil(all_there, timeout=WAIT)
    return [row.run for row in entries(window)]


def entries(window: MainWindow) -> list[Entry]:
    """The runs that the History screen lists, each where it was made, newest experiment first."""
    return [entry for entry in window.history.model.listing.entries if not entry.reused]


def newest(window: MainWindow) -> list[Entry]:
    """The runs of the newest experiment on the History screen."""
    listing = window.history.model.listing
    return list(listing.entries[listing.groups[0].start : listing.groups[0].stop]) if listing.groups else []
