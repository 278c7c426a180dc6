"""The main job, clicked through in the real window."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tests.gui.driving import WAIT, launch, launch_and_finish, make_small, newest, wait_checked, wait_history
from workbench.gui.main_window import MainWindow
from workbench.history.database import open_for_reading
from workbench.history.reading import list_runs


def test_that_a_person_gets_from_a_click_to_a_compared_student(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    make_small(qtbot, window, epochs=60)
    assert "2 teachers" in window.setup.plan.text()
    assert window.setup.distillation.picture.samples is None
    launch(qtbot, window)
    assert window.tabs.currentWidget() is window.live
    qtbot.waitUntil(lambda: "loss" in window.live.losses.line_keys(), timeout=WAIT)
    qtbot.waitUntil(lambda: window.live.losses.points("loss") > 3, timeout=WAIT)
    qtbot.waitUntil(lambda: window.live.watched.finished, timeout=WAIT)
    qtbot.waitUntil(lambda: len(window.live.accuracy.line_keys()) == 4, timeout=WAIT)
    assert window.live.state.text() == "Done."

    runs = wait_history(qtbot, window, 4)
    rows = {row.name: row for row in newest(window)}
    assert {row.status for row in rows.values()} == {"done"}
    window.history.select_runs([rows["baseline"].run, rows["student"].run])
    qtbot.mouseClick(window.history.buttons["compare"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(window.compare.plot.line_keys()) == 2, timeout=WAIT)
    names = {row.name for row in window.compare.table.compared.rows}
    assert "distillation.temperature" in names
    assert "model.units" not in names
    said = window.compare.difference.verdict
    qtbot.waitUntil(lambda: "On the same 500 test images" in said.text(), timeout=WAIT)

    window.tabs.setCurrentWidget(window.setup)
    qtbot.waitUntil(lambda: window.setup.distillation.picture.samples is not None, timeout=WAIT)
    wait_checked(qtbot, window)
    assert "2 reused" in window.setup.plan.text()

    database = open_for_reading(tmp_path / "experiments.db")
    stored = {row.id: row.figures for row in list_runs(database)}
    database.close()
    assert sorted(stored) == sorted(runs)
    assert all(0 < figures["test_accuracy"] <= 1 for figures in stored.values())


def test_that_a_second_launch_reuses_the_teachers_and_shows_their_curves(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    window.tabs.setCurrentWidget(window.setup)
    window.setup.distillation.temperature.number.setText("9")
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    assert len(window.live.watched.runs) == 4
    qtbot.waitUntil(lambda: len(window.live.accuracy.line_keys()) == 4, timeout=WAIT)
    assert len(wait_history(qtbot, window, 5)) == 5


def test_that_ctrl_return_launches(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    window.activateWindow()
    qtbot.waitUntil(lambda: window.isActiveWindow(), timeout=WAIT)
    qtbot.keyClick(window, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: window.live.watched.experiment > 0 and window.live.watched.finished, timeout=WAIT)
