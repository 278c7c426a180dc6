"""The History and Compare screens on a history that was made by real runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tests.experiments import add_run, launch, tiny
from tests.gui.driving import WAIT, entries, launch_and_finish, make_small, newest, wait_history
from workbench.config import ExperimentConfig
from workbench.gui.main_window import MainWindow


def test_that_deleted_runs_come_back_with_undo(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    runs = wait_history(qtbot, window, 4)
    window.history.select_runs([runs[-1]])
    qtbot.mouseClick(window.history.buttons["delete"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(newest(window)) == 3, timeout=WAIT)
    window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(newest(window)) == 4, timeout=WAIT)


def test_that_a_past_run_opens_as_a_new_set_up_with_its_whole_config(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    config = window.setup._config
    launch_and_finish(qtbot, window)
    runs = wait_history(qtbot, window, 4)
    window.setup.show_recipe("mnist")
    window.history.select_runs([runs[-1]])
    qtbot.mouseClick(window.history.buttons["open"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.tabs.currentWidget() is window.setup, timeout=WAIT)
    assert ExperimentConfig.from_dict(window.setup.table()) == config


def test_that_empty_screens_have_a_hint(window: MainWindow) -> None:
    assert window.live.pages.currentIndex() == 0
    assert window.history.pages.currentIndex() == 0
    assert window.compare.pages.currentIndex() == 0


def test_that_a_run_of_the_command_line_appears_by_itself(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    from workbench.history.writing import History

    window.tabs.setCurrentWidget(window.history)
    with History(tmp_path / "experiments.db") as history:
        launch(history, tiny())
    qtbot.waitUntil(lambda: bool(window.history.model.lines), timeout=WAIT)


@pytest.mark.parametrize("metric", ["loss", "hard_loss", "val_loss"])
def test_that_the_comparison_shows_the_metric_chosen(qtbot: QtBot, window: MainWindow, metric: str) -> None:
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    runs = wait_history(qtbot, window, 4)
    window.history.compare_wanted.emit(runs)
    qtbot.waitUntil(lambda: len(window.compare.plot.line_keys()) == 4, timeout=WAIT)
    window.compare.metric_choice.setCurrentIndex(window.compare.metric_choice.findData(metric))
    qtbot.waitUntil(lambda: {curve.metric for curve in window.compare._found.curves} == {metric}, timeout=WAIT)
    assert len(window.compare.plot.line_keys()) == 4
    assert all(window.compare.plot.points(run) >= 2 for run in runs)


def test_that_a_run_whose_program_was_killed_is_not_said_to_run_for_long(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys

    code = (
        "import os, sys; from pathlib import Path; from tests.experiments import add_run, tiny; "
        "from workbench.history.writing import History, Started; h = History(Path(sys.argv[1])); "
        "e = h.enqueue(tiny()); h.claim(e); r = add_run(h, e, 'teacher'); "
        "h.start_runs([Started(run=r, fingerprint='f', data_digest='d', steps=1, environment={})]); os._exit(9)"
    )
    window.tabs.setCurrentWidget(window.history)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "experiments.db")], check=False, cwd=Path(__file__).parents[2])
    window._watch.setInterval(50)

    def marked() -> bool:
        return [row.status for row in entries(window)] == ["interrupted"]

    qtbot.waitUntil(marked, timeout=WAIT)


def test_that_a_comparison_follows_a_run_of_another_program(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    from workbench.events import Metrics
    from workbench.history.writing import History, Started

    with History(tmp_path / "experiments.db") as history:
        run = add_run(history, history.enqueue(tiny()), "teacher")
        history.start_runs([Started(run=run, fingerprint="f", data_digest="d", steps=9, environment={})])
        history.write_metrics([Metrics(run, 1, 1.0, 0.1, (("val_accuracy", 0.5),))])
        window.history.compare_wanted.emit([run])
        qtbot.waitUntil(lambda: window.compare.plot.points(run) == 1, timeout=WAIT)
        history.write_metrics([Metrics(run, 2, 2.0, 0.2, (("val_accuracy", 0.6),))])
        qtbot.waitUntil(lambda: window.compare.plot.points(run) == 2, timeout=WAIT)


def test_that_the_count_of_runs_never_widens_the_window(qtbot: QtBot, window: MainWindow) -> None:
    window.tabs.setCurrentWidget(window.history)
    narrowest = window.history.minimumSizeHint().width()
    window.history.count.setText("1,234,567 of 12,345,678 runs that a filter found")
    window.history.layout().activate()
    assert window.history.minimumSizeHint().width() == narrowest
