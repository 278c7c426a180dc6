"""Pause, resume and stop in the window, and closing while a model trains."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot

from tests.gui.driving import WAIT, launch, make_small
from workbench.gui.main_window import MainWindow
from workbench.history.database import open_for_reading
from workbench.history.reading import list_runs, run_details


def running_step(window: MainWindow) -> int:
    """The step the progress bar shows."""
    return window.live.bar.value()


def test_that_pause_holds_the_step_and_resume_goes_on(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window, epochs=5000)
    launch(qtbot, window)
    qtbot.waitUntil(lambda: "samples/s" in window.live.state.text(), timeout=WAIT)
    qtbot.mouseClick(window.live.pause, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.live.pause.text() == "Resume", timeout=WAIT)
    step, answered = running_step(window), []
    for _ in range(3):
        window.feed.ask("still", lambda token: window.executor.ask(token, lambda *_: 1), answered.append)
        qtbot.waitUntil(lambda: bool(answered), timeout=WAIT)
        answered.clear()
    assert running_step(window) == step
    qtbot.mouseClick(window.live.pause, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: running_step(window) > step or window.live.watched.finished, timeout=WAIT)
    window.live.stop.click()
    qtbot.waitUntil(lambda: window.live.watched.finished, timeout=WAIT)


def test_that_stop_ends_with_a_checkpoint(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    make_small(qtbot, window, epochs=5000)
    launch(qtbot, window)
    qtbot.waitUntil(lambda: "epoch" in window.live.state.text() and "Run 3" in window.live.state.text(), timeout=WAIT)
    qtbot.mouseClick(window.live.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.live.watched.finished, timeout=WAIT)
    database = open_for_reading(tmp_path / "experiments.db")
    stopped = next(row for row in list_runs(database) if row.role == "baseline")
    kinds = [kind for kind, _, _ in run_details(database, stopped.id).artefacts]
    database.close()
    assert stopped.status == "stopped"
    assert "state" in kinds
    assert not window.live.stop.isEnabled()


def test_that_a_preparation_can_be_cancelled_though_an_experiment_has_just_ended(qtbot: QtBot, window: MainWindow) -> None:
    from workbench.events import ExperimentFinished, Loading

    window.live.take(ExperimentFinished(1, "one", "done", ""))
    assert not window.live.stop.isEnabled()
    window.live.take(Loading("Downloading", 1, 10, "bytes"))
    assert (window.live.stop.text(), window.live.stop.isEnabled()) == ("Cancel", True)


def test_that_a_zoom_is_kept_while_data_arrives(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window, epochs=5000)
    launch(qtbot, window)
    qtbot.waitUntil(lambda: "loss" in window.live.losses.line_keys(), timeout=WAIT)
    qtbot.waitUntil(lambda: "Run 3" in window.live.state.text(), timeout=WAIT)
    window.live.losses.plot.setXRange(0.5, 1.5, padding=0)
    window.live.losses.plot.setYRange(0.1, 0.9, padding=0)
    points = window.live.losses.points("loss")
    qtbot.waitUntil(lambda: window.live.losses.points("loss") != points, timeout=WAIT)
    (left, right), (low, high) = window.live.losses.plot.getViewBox().viewRange()
    assert (left, right, low, high) == pytest.approx((0.5, 1.5, 0.1, 0.9))
    window.live.stop.click()
    qtbot.waitUntil(lambda: window.live.watched.finished, timeout=WAIT)


@pytest.mark.parametrize("answer", ["Keep training", "Stop and quit"])
def test_that_closing_while_a_model_trains_asks_first(qtbot: QtBot, window: MainWindow, tmp_path: Path, answer: str) -> None:
    make_small(qtbot, window, epochs=50_000)
    launch(qtbot, window)
    qtbot.waitUntil(lambda: "Run 3" in window.live.state.text(), timeout=WAIT)

    def press() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        next(button for button in box.buttons() if button.text() == answer).click()

    QTimer.singleShot(200, press)
    window.close()
    if answer == "Keep training":
        assert window.executor.busy
        assert window.isVisible()
        return
    with qtbot.waitSignal(window.closed, timeout=WAIT):
        pass
    database = open_for_reading(tmp_path / "experiments.db")
    rows = list_runs(database)
    ended = [row for row in rows if row.status == "interrupted" and row.step > 0]
    kinds = [kind for kind, _, _ in run_details(database, ended[-1].id).artefacts]
    database.close()
    assert "state" in kinds
    assert not [row for row in rows if row.status == "running"]
