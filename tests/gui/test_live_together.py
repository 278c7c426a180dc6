"""Experiments of a sweep that are done at once, watched on the Live screen."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QUndoStack
from pytestqt.qtbot import QtBot

from tests.experiments import TINY
from tests.gui.driving import WAIT
from workbench.events import ExperimentFinished, ExperimentStarted, Progress, RunFinished, RunStarted
from workbench.gui import launching
from workbench.gui.live.queue_panel import QueuePanel
from workbench.gui.live.screen import LiveScreen
from workbench.gui.main_window import MainWindow
from workbench.history.database import open_for_reading

SWEEP: dict[str, Any] = TINY | {
    "name": "several",
    "teachers": [{"model": "mlp", "layers": 1, "units": 16, "count": 3}],
    "sweep": {"distillation.temperature": [1.0, 4.0], "seeds": 2},
}
POINTS = ["temperature 1 · seed 0", "temperature 1 · seed 1", "temperature 4 · seed 0", "temperature 4 · seed 1"]


@pytest.fixture
def screen(qtbot: QtBot, themed: None) -> LiveScreen:
    """The screen alone, which is told of events and reads nothing."""
    queue = QueuePanel(lambda *_: None, lambda *_: None, QUndoStack())
    made = LiveScreen(lambda *_: None, queue)
    qtbot.addWidget(made)
    made.show()
    return made


def listed(window: MainWindow) -> list[str]:
    return [window.live.runs.item(place).text() for place in range(window.live.runs.count())]


def legend(window: MainWindow) -> list[str]:
    return [text.text for _, text in window.live.accuracy.legend.items]


def started(screen: LiveScreen, experiment: int, *runs: int) -> None:
    screen.take(ExperimentStarted(experiment, f"one {experiment}", runs))


def run(screen: LiveScreen, experiment: int, number: int, role: str = "student", together: int = 1) -> None:
    screen.take(RunStarted(number, experiment, role, role, 0, 100, 20, "cpu", 1, together))


def ended(screen: LiveScreen, experiment: int, number: int, role: str = "student", status: str = "done") -> None:
    screen.take(RunFinished(number, experiment, role, role, status, ""))


def test_that_four_students_are_watched_together_to_their_end(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    launching.launch_sweep(window, SWEEP | {"training": {"epochs": 2000, "batch_size": 64}})
    qtbot.waitUntil(lambda: window.live.state.text().startswith("4 students together   ·   epoch"), timeout=WAIT)
    assert "left   ·   cpu" in window.live.state.text()
    qtbot.waitUntil(lambda: window.live.title.text() == "several · 4 experiments at once", timeout=WAIT)
    qtbot.waitUntil(lambda: sum("running" in text for text in listed(window)) == 4, timeout=WAIT)
    names = [text.split("   ")[0] for text in listed(window)]
    assert names == ["teacher 1", "teacher 2", "teacher 3", "baseline · seed 0", "baseline · seed 1", *POINTS]
    assert window.queue.list.count() == 0
    first = window.live.watched.running
    qtbot.waitUntil(lambda: window.live.accuracy.points(first) > 1, timeout=WAIT)
    assert {"teachers", "baselines", POINTS[0], "students"} <= set(legend(window))
    assert len(legend(window)) <= 6
    qtbot.waitUntil(lambda: window.live.losses._title.text() == f"Loss of student · {POINTS[0]}", timeout=WAIT)
    last = window.live.runs.item(8)
    qtbot.mouseClick(window.live.runs.viewport(), Qt.MouseButton.LeftButton, pos=window.live.runs.visualItemRect(last).center())
    qtbot.waitUntil(lambda: window.live.losses._title.text() == f"Loss of student · {POINTS[3]}", timeout=WAIT)
    assert POINTS[3] in legend(window)
    qtbot.mouseClick(window.live.pause, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: sum("paused" in text for text in listed(window)) == 4, timeout=WAIT)
    qtbot.mouseClick(window.live.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.live.watched.finished, timeout=WAIT)
    assert window.live.state.text().startswith("Stopped with a checkpoint.")
    assert window.statusBar().currentMessage().startswith("4 experiments are stopped")
    qtbot.waitUntil(lambda: sum("stopped" in text for text in listed(window)) == 4, timeout=WAIT)
    with closing(open_for_reading(tmp_path / "experiments.db")) as database:
        assert {row[0] for row in database.execute("SELECT status FROM experiments").fetchall()} == {"stopped"}


def test_that_a_small_sweep_with_refits_ends_done_with_everybody_listed_once(qtbot: QtBot, window: MainWindow) -> None:
    launching.launch_sweep(window, SWEEP | {"refit": True})
    qtbot.waitUntil(lambda: window.live.watched.finished and window.live.state.text() == "Done.", timeout=WAIT)
    assert len(window.live.watched.experiments) == 4
    assert len(window.live.watched.runs) == 18
    assert not window.live.watched.going
    qtbot.waitUntil(lambda: len(listed(window)) == 18 and all("done" in text for text in listed(window)), timeout=WAIT)
    names = [text.split("   ")[0] for text in listed(window)]
    assert names[5:9] == POINTS
    assert names[9] == "teacher 1, refitted"
    assert names[14:] == [f"{point}, refitted" for point in POINTS]
    wanted: list[list[int]] = []
    window.live.results_wanted.connect(wanted.append)
    window.live.results.click()
    assert [len(runs) for runs in wanted] == [12]


def test_that_the_screen_is_finished_after_the_last_of_those_watched(screen: LiveScreen) -> None:
    started(screen, 1, 1, 2)
    run(screen, 1, 1, "teacher")
    assert screen.state.text() == "teacher starts on cpu, 1 thread"
    screen._progress(Progress(1, 50, 100, 10.0, 1000.0, 5.0))
    assert screen.state.text().startswith("Run 1 of 2   ·   epoch 10.0 of 20   ·   1,000 samples/s   ·   5 s left for this run")
    ended(screen, 1, 1, "teacher")
    started(screen, 2, 1, 3)
    ended(screen, 2, 1, "teacher", "reused")
    started(screen, 3, 1, 4)
    ended(screen, 3, 1, "teacher", "reused")
    assert screen.title.text() == "one 1 and 2 more"
    assert screen.watched.runs == (1, 2, 3, 4)
    for experiment in (1, 2, 3):
        run(screen, experiment, experiment + 1, together=3)
    assert screen.watched.running == 2
    assert screen.state.text() == "3 students together start on cpu, 1 thread"
    screen._progress(Progress(2, 50, 100, 10.0, 120_000.0, 12.0))
    assert screen.state.text() == (
        "3 students together   ·   epoch 10.0 of 20   ·   120,000 samples/s   ·   12 s left   ·   cpu, 1 thread"
    )
    for experiment, status in ((1, "done"), (2, "failed"), (3, "done")):
        ended(screen, experiment, experiment + 1, status=status)
    started(screen, 1, 1, 2, 5)
    run(screen, 1, 5)
    screen._progress(Progress(5, 50, 100, 10.0, 1000.0, 5.0))
    assert screen.state.text().startswith("Run 5 of 5")
    ended(screen, 1, 5)
    said: list[str] = []
    screen.said.connect(said.append)
    screen.take(ExperimentFinished(1, "one 1", "done", ""))
    screen.take(ExperimentFinished(2, "one 2", "failed", "not done: student"))
    assert said == ["one 2: not done: student."]
    assert not screen.watched.finished
    assert screen.stop.isEnabled()
    screen.take(ExperimentFinished(3, "one 3", "done", ""))
    assert screen.watched.finished
    assert screen.state.text() == "Not all of it could be done."
    assert sorted(screen.watched.results) == [2, 3, 4, 5]
    started(screen, 4, 9)
    assert (screen.title.text(), screen.watched.runs) == ("one 4", (9,))


def test_that_runs_at_the_same_time_are_counted_and_named(screen: LiveScreen) -> None:
    started(screen, 1, 1, 2, 3, 4)
    for number in (1, 2, 3):
        screen.take(RunStarted(number, 1, "teacher", f"teacher {number}", 0, 100, 10 * number, "cpu", 1))
    assert screen.state.text() == "3 runs at once: teacher 1, teacher 2, … start on cpu, 1 thread"
    screen._progress(Progress(2, 50, 100, 10.0, 3600.0, 12.0))
    assert screen.state.text() == (
        "3 runs at once: teacher 2, teacher 1, …   ·   teacher 2: epoch 10.0 of 20, 12 s left   ·   3,600 samples/s   ·   "
        "cpu, 1 thread"
    )
    ended(screen, 1, 2, "teacher")
    screen._progress(Progress(1, 50, 100, 5.0, 2400.0, 12.0))
    assert screen.state.text().startswith("2 runs at once: teacher 1, teacher 3   ·   teacher 1: epoch 5.0 of 10, 12 s left")
    ended(screen, 1, 1, "teacher")
    screen._progress(Progress(3, 50, 100, 15.0, 1200.0, 12.0))
    assert screen.state.text().startswith("Run 3 of 4   ·   epoch 15.0 of 30   ·   1,200 samples/s   ·   12 s left for this run")


def test_that_one_that_could_not_begin_is_told_and_ends_nothing(screen: LiveScreen) -> None:
    said: list[str] = []
    screen.said.connect(said.append)
    started(screen, 2, 1)
    screen.take(ExperimentFinished(1, "one 1", "failed", "no such class"))
    screen.take(ExperimentFinished(3, "one 3", "failed", "no such class"))
    assert said == ["one 1: no such class.", "2 experiments failed; the last: one 3: no such class."]
    assert not screen.watched.finished
    screen.take(ExperimentFinished(2, "one 2", "done", ""))
    assert screen.watched.finished


def test_that_of_a_few_runs_each_student_has_its_own_colour(qtbot: QtBot, window: MainWindow) -> None:
    launching.launch_sweep(window, SWEEP | {"teachers": TINY["teachers"], "sweep": {"distillation.temperature": [1.0, 4.0]}})
    qtbot.waitUntil(lambda: window.live.watched.finished and window.live.state.text() == "Done.", timeout=WAIT)
    qtbot.waitUntil(lambda: len(window.live.accuracy.line_keys()) == 5, timeout=WAIT)
    lines = [line for line in window.live.accuracy._lines.values() if not line.name.startswith("teacher")]
    assert [line.name for line in lines] == ["baseline", "student · temperature 1", "student · temperature 4"]
    assert len({line.colour for line in lines}) == 3
