"""The app as a process of its own: how it starts and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from pytestqt.qtbot import QtBot

from tests.gui.conftest import READY_MILLISECONDS
from workbench.gui import preferences
from workbench.gui.main_window import MainWindow

STARTED = """
import sys
from PySide6.QtCore import QTimer
from workbench.gui import app, main_window
start = main_window.MainWindow.start_threads
def started(window):
    start(window)
    print("started", flush=True)
main_window.MainWindow.start_threads = started
from pathlib import Path
sys.exit(app.main(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_that_a_signal_closes_the_window_in_order(tmp_path: Path, number: signal.Signals) -> None:
    own = os.environ | {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"}
    command = [sys.executable, "-c", STARTED, str(tmp_path / "experiments.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=own) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert not list((tmp_path / "experiments.files" / "locks").glob("*"))


def test_that_a_history_that_is_none_is_a_sentence_and_no_window(tmp_path: Path) -> None:
    wrong = tmp_path / "picture.png"
    wrong.write_bytes(b"\x89PNG" + bytes(200))
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "--history", str(wrong)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(wrong) in done.stderr


def test_that_the_window_remembers_its_layout(qtbot: QtBot, window: MainWindow) -> None:
    window.tabs.setCurrentWidget(window.history)
    window.history.splitter.setSizes([500, 700])
    sizes = window.history.splitter.sizes()
    preferences.remember_layout(window)
    QSettings().sync()
    window.history.splitter.setSizes([900, 300])
    preferences.restore_layout(window)
    assert window.history.splitter.sizes() == sizes


def test_that_no_room_beside_the_history_is_one_sentence_in_the_window(qtbot: QtBot, themed: None, tmp_path: Path) -> None:
    (tmp_path / "experiments.files").mkdir()
    (tmp_path / "experiments.files" / "locks").write_text("in the way")
    window = MainWindow(tmp_path / "experiments.db", preferences.load())
    qtbot.addWidget(window)
    window.show()
    window.start_threads()
    qtbot.waitUntil(window.banner.isVisible, timeout=READY_MILLISECONDS)
    words = window.banner.text.text()
    assert words.startswith(f"nothing can be kept beside {tmp_path / 'experiments.db'} (")
    assert window.engine_state.text() == "the engine is not running"
    assert not window.setup.launch.isEnabled()
    with qtbot.waitSignal(window.closed, timeout=READY_MILLISECONDS):
        window.close()


def test_that_every_screen_has_a_key_of_its_own(window: MainWindow) -> None:
    keys = {
        action.text(): action.shortcut().toString()
        for menu in window.menuBar().actions()
        if (found := menu.menu())
        for action in found.actions()
    }
    of_screens = [keys[window.tabs.tabText(place)] for place in range(window.tabs.count())]
    assert of_screens == [f"Ctrl+{(place + 1) % 10}" for place in range(10)]
