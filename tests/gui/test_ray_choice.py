"""Where runs are trained, chosen in the Settings."""

from __future__ import annotations

import sys

import pytest
from pytestqt.qtbot import QtBot

from tests.gui.driving import WAIT, make_small
from workbench.gui import preferences
from workbench.gui.dialogs import SettingsDialog
from workbench.gui.main_window import MainWindow
from workbench.running import ray_executor


def choose(window: MainWindow, executor: str) -> None:
    """Choose in the Settings where runs are trained."""
    dialog = SettingsDialog(window.preferences, window)
    dialog.executor.setCurrentText(executor)
    window.take_preferences(dialog.preferences())
    dialog.deleteLater()


def test_that_where_ray_is_absent_a_launch_waits_with_a_sentence_until_another_executor_is_chosen(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "_pool", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    choose(window, "ray")
    assert preferences.load().executor == "ray"
    make_small(qtbot, window)
    window.setup.launch.click()
    qtbot.waitUntil(lambda: ray_executor.WITHOUT_RAY in window.banner.text.text(), timeout=WAIT)
    choose(window, "local")
    qtbot.waitUntil(lambda: window.live.watched.running > 0, timeout=WAIT)


def test_that_an_executor_that_does_not_exist_is_named(qtbot: QtBot, window: MainWindow) -> None:
    choose(window, "rey")
    qtbot.waitUntil(lambda: "there is no executor 'rey'" in window.banner.text.text(), timeout=WAIT)
    assert preferences.load().executor == "local"
