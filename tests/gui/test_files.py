"""Backups, disk usage and staying awake, in the window."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QDialog, QWidget
from pytestqt.qtbot import QtBot

from tests.gui.driving import WAIT, launch, launch_and_finish, make_small, wait_history
from workbench.gui import files
from workbench.gui.awake import Awake
from workbench.gui.files_dialogs import DiskDialog, RestoreDialog
from workbench.gui.main_window import MainWindow
from workbench.history.backups import list_backups
from workbench.history.database import back_up


def when_shown(window: QWidget, kind: type[QDialog], act: object) -> None:
    """Do something with a dialog once it is there."""

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, kind):
            timer.stop()
            act(dialog)  # type: ignore[operator]

    timer = QTimer(window)
    timer.timeout.connect(look)
    timer.start(50)


def test_that_a_backup_is_restored_and_what_was_there_is_kept(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    wait_history(qtbot, window, 4)
    window.ask_history("backup", lambda database: back_up(database, window.history_path, "daily"), lambda _: None)
    qtbot.waitUntil(lambda: bool(list_backups(window.history_path)), timeout=WAIT)
    window.history.table.selectAll()
    window.history.delete_selected()
    qtbot.waitUntil(lambda: not window.history.model.lines, timeout=WAIT)
    when_shown(window, RestoreDialog, lambda dialog: dialog.accept())
    files.show_backups(window)
    qtbot.waitUntil(lambda: window.banner.isVisible() and "Restored" in window.banner.text.text(), timeout=WAIT)
    wait_history(qtbot, window, 4)
    assert {backup.reason for backup in list_backups(window.history_path)} == {"daily", "before-restoring"}
    qtbot.waitUntil(lambda: window._torch != "not started yet" and window.isEnabled(), timeout=WAIT)
    window.tabs.setCurrentWidget(window.setup)
    qtbot.waitUntil(lambda: window.setup.launch.isEnabled(), timeout=WAIT)


def test_that_a_window_closed_while_a_backup_is_restored_ends(qtbot: QtBot, window: MainWindow) -> None:
    window.ask_history("backup", lambda database: back_up(database, window.history_path, "daily"), lambda _: None)
    qtbot.waitUntil(lambda: bool(list_backups(window.history_path)), timeout=WAIT)
    files.restore_backup(window, list_backups(window.history_path)[0].path)
    with qtbot.waitSignal(window.closed, timeout=WAIT):
        window.close()
        qtbot.wait(1)


def test_that_nothing_is_restored_while_a_model_trains(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window, epochs=50_000)
    launch(qtbot, window)
    files.show_backups(window)
    assert window.banner.text.text() == "A model is training; stop it before you restore a backup."


def test_that_disk_usage_is_shown_and_finished_checkpoints_go(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    seen: list[list[str]] = []

    def clean(dialog: DiskDialog) -> None:
        if not dialog.buttons["states"].isEnabled():
            when_shown(window, DiskDialog, clean)
            return
        seen.append([one.kind for one in dialog._files])
        qtbot.mouseClick(dialog.buttons["states"], Qt.MouseButton.LeftButton)
        finish(dialog)

    def finish(dialog: DiskDialog) -> None:
        if any(one.kind == "state" for one in dialog._files):
            QTimer.singleShot(50, lambda: finish(dialog))
            return
        seen.append([one.kind for one in dialog._files])
        dialog.accept()

    when_shown(window, DiskDialog, clean)
    files.show_disk_usage(window)
    assert seen[0].count("weights") == 4
    assert seen[0].count("state") == 4
    assert [kind for kind in seen[1] if kind != "backup"] == ["weights"] * 4


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="asks systemd")
def test_that_the_computer_is_kept_awake_while_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "systemd-inhibit"
    helper.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/asked\nexec cat\n")
    helper.chmod(helper.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    awake = Awake()
    awake.keep(True)
    end = time.monotonic() + 10
    while not (tmp_path / "asked").exists() or not (tmp_path / "asked").read_text().strip():
        assert time.monotonic() < end
    number = int((tmp_path / "asked").read_text())
    os.kill(number, 0)
    awake.keep(False)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
