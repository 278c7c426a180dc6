"""Real windows, offscreen: preferences and history of their own, and nothing left behind."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest

pytest.importorskip("PySide6")

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from workbench.gui import preferences, theme
from workbench.gui.app import application
from workbench.gui.main_window import MainWindow

READY_MILLISECONDS = 60_000


@pytest.fixture(scope="session", autouse=True)
def collected_on_this_thread() -> Iterator[None]:
    """As the app does: the collector never runs in the training thread."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def own_preferences(tmp_path: Path) -> Iterator[None]:
    """Preferences in the test's own folder."""
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "preferences"))
    yield
    gc.collect()


@pytest.fixture
def themed(qapp: QApplication) -> None:
    """The application with a palette of ours."""
    application()
    theme.apply("light")


@pytest.fixture
def window(qtbot: QtBot, themed: None, tmp_path: Path) -> Iterator[MainWindow]:
    """The real window on an empty history, its engine ready; closed at the end, with its threads."""
    before = set(threading.enumerate())
    made = MainWindow(tmp_path / "experiments.db", preferences.load())
    made.show()
    made.start_threads()
    qtbot.waitUntil(lambda: made.setup.launch.isEnabled(), timeout=READY_MILLISECONDS)
    yield made
    if not made._ended():
        made.executor.stop()
        qtbot.waitUntil(lambda: not made.executor.busy, timeout=READY_MILLISECONDS)
        with qtbot.waitSignal(made.closed, timeout=READY_MILLISECONDS):
            made.close()
    made.deleteLater()
    assert set(threading.enumerate()) <= before
