"""Bias correction in the window: chosen on validation, kept with the run, taken back with undo."""

from __future__ import annotations

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tests.gui.driving import WAIT, launch_and_finish, make_small, wait_checked, wait_history
from tests.gui.test_files import when_shown
from workbench.gui.history.bias_dialog import BiasDialog
from workbench.gui.main_window import MainWindow
from workbench.history import reading


def kept(qtbot: QtBot, window: MainWindow, run: int) -> object:
    found: list[object] = []
    window._ask_history("kept", lambda database: reading.correction(database, run), found.append)
    qtbot.waitUntil(lambda: bool(found), timeout=WAIT)
    return found[0]


def test_that_a_class_left_out_is_corrected_by_slider_and_by_button_and_taken_back(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window, epochs=30)
    window.setup.transfer.form.editors["fraction"].set_value(1.0)
    window.setup.transfer.form.editors["leave_out"].set_value((3,))
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    runs = wait_history(qtbot, window, 4)
    window.history.select_runs([runs[-1]])
    qtbot.waitUntil(window.history.buttons["bias"].isEnabled, timeout=WAIT)
    seen: dict[str, object] = {}

    def correct(dialog: BiasDialog) -> None:
        seen["classes"] = dialog.numbers()
        seen["before"] = dialog.validation.text()
        dialog.slider.setValue(2000)
        seen["far"] = dialog.validation.text()
        qtbot.mouseClick(dialog.buttons["validation"], Qt.MouseButton.LeftButton)
        seen["best"] = dialog.validation.text()
        seen["correction"] = dialog.correction()
        dialog.accept()

    when_shown(window, BiasDialog, correct)
    qtbot.mouseClick(window.history.buttons["bias"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "correction" in seen, timeout=WAIT)
    errors = {name: int(str(seen[name]).split()[0]) for name in ("before", "far", "best")}
    assert seen["classes"] == (3,)
    assert errors["best"] <= min(errors["before"], errors["far"])
    assert errors["far"] > errors["best"]
    assert kept(qtbot, window, runs[-1]) == seen["correction"]
    if seen["correction"] is not None:
        window.history.undo_stack.undo()
        qtbot.waitUntil(lambda: kept(qtbot, window, runs[-1]) is None, timeout=WAIT)
