"""The bin in the window: what is in it, taking back, emptying."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from tests.gui.driving import WAIT, entries, launch_and_finish, make_small, wait_history
from tests.gui.test_files import when_shown
from workbench.gui import files
from workbench.gui.bin_dialog import BinDialog
from workbench.gui.main_window import MainWindow
from workbench.history import reading


def answer(dialog: BinDialog, text: str, said: list[str]) -> None:
    """Press a button of the question that comes, and keep what it asked."""

    def look() -> None:
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            timer.stop()
            said.append(f"{box.text()} {box.informativeText()}")
            next(button for button in box.buttons() if button.text() == text).click()

    timer = QTimer(dialog)
    timer.timeout.connect(look)
    timer.start(50)


def when(qtbot: QtBot, dialog: BinDialog, there: object, act: object) -> None:
    """Do something inside a dialog once something holds."""

    def look() -> None:
        if there():  # type: ignore[operator]
            timer.stop()
            act()  # type: ignore[operator]

    timer = QTimer(dialog)
    timer.timeout.connect(look)
    timer.start(50)


def test_that_deleted_runs_are_listed_taken_back_and_emptied(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    runs = wait_history(qtbot, window, 4)
    window.history.select_runs([runs[-1]])
    window.history.delete_selected()
    qtbot.waitUntil(lambda: runs[-1] not in [one.run for one in entries(window)], timeout=WAIT)
    seen: list[str] = []

    def take_back(dialog: BinDialog) -> None:
        def act() -> None:
            top = dialog.tree.topLevelItem(0)
            seen.extend([top.text(0), top.child(0).text(0), dialog.total.text()])
            assert not dialog.back.isEnabled()
            top.child(0).setSelected(True)
            qtbot.mouseClick(dialog.back, Qt.MouseButton.LeftButton)
            when(qtbot, dialog, lambda: dialog.tree.topLevelItemCount() == 0 and not dialog.empty.isEnabled(), dialog.accept)

        when(qtbot, dialog, lambda: dialog.tree.topLevelItemCount() > 0, act)

    when_shown(window, BinDialog, take_back)
    files.show_bin(window)
    assert seen[0].endswith("#1: some of its runs")
    assert seen[1].startswith("run 4: student · mlp")
    assert seen[2].startswith("1 run, 0.")
    wait_history(qtbot, window, 4)

    window.history.table.selectAll()
    window.history.delete_selected()
    qtbot.waitUntil(lambda: not entries(window), timeout=WAIT)
    asked: list[str] = []

    def empty(dialog: BinDialog) -> None:
        def act() -> None:
            answer(dialog, "Keep it", asked)
            qtbot.mouseClick(dialog.empty, Qt.MouseButton.LeftButton)
            when(qtbot, dialog, lambda: len(asked) == 1, again)

        def again() -> None:
            assert dialog.tree.topLevelItemCount() == 1
            answer(dialog, "Empty the bin", asked)
            qtbot.mouseClick(dialog.empty, Qt.MouseButton.LeftButton)
            when(qtbot, dialog, lambda: dialog.tree.topLevelItemCount() == 0, dialog.accept)

        when(qtbot, dialog, lambda: dialog.tree.topLevelItemCount() > 0, act)

    when_shown(window, BinDialog, empty)
    files.show_bin(window)
    assert asked[0].startswith("Empty the bin? This cannot be undone. Wholly removed: 4 runs and 1 experiment;")
    window.history.undo_stack.undo()
    window.history.undo_stack.redo()
    window.history.undo_stack.undo()
    found: list[int] = []
    window.ask_history("count", lambda database: len(reading.list_runs(database)), found.append)
    qtbot.waitUntil(lambda: found == [0], timeout=WAIT)
    assert not window.banner.isVisible()
