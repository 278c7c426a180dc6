"""The queue on the Live screen, going on after a stop, and what was left from last time."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from tests.experiments import engine, tiny
from tests.experiments import launch as launch_here
from tests.gui.conftest import READY_MILLISECONDS
from tests.gui.driving import WAIT, launch, make_small, newest, wait_history
from tests.running.test_sweep_together import after, enqueue, left_alone, outcomes, student
from workbench.gui import preferences
from workbench.gui.dialogs import MoreEpochsDialog
from workbench.gui.live.queue_panel import QueuePanel
from workbench.gui.main_window import MainWindow
from workbench.history import reading
from workbench.history.database import open_for_reading
from workbench.history.writing import History
from workbench.progress import numbers
from workbench.running.driver import Control
from workbench.running.experiment import run_experiment, run_experiments
from workbench.words import duration


def names(window: MainWindow) -> list[str]:
    return [row.name for row in window.queue.rows]


def with_three_waiting(qtbot: QtBot, window: MainWindow) -> None:
    """One experiment that goes on, and three that wait."""
    make_small(qtbot, window, epochs=50_000)
    launch(qtbot, window)
    for name in ("first", "second", "third"):
        window.executor.submit(tiny(name=name))
    qtbot.waitUntil(lambda: names(window) == ["first", "second", "third"], timeout=WAIT)


def choose(window: MainWindow, *places: int) -> None:
    window.queue.list.clearSelection()
    for place in places:
        window.queue.list.item(place).setSelected(True)
    window.queue.list.setFocus()


def end(qtbot: QtBot, window: MainWindow) -> None:
    window.live.stop.click()
    qtbot.waitUntil(lambda: window.live.watched.finished and not window.executor.busy, timeout=WAIT)


def test_that_keys_reorder_hold_and_take_out_and_undo_puts_back(qtbot: QtBot, window: MainWindow) -> None:
    with_three_waiting(qtbot, window)
    assert window.queue.isVisible()
    assert "3 experiments more" in window.live._after(1.0)
    choose(window, 2)
    qtbot.keyClick(window.queue.list, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: names(window) == ["first", "third", "second"], timeout=WAIT)
    assert window.queue.selected() == [window.queue.rows[1].experiment]
    qtbot.keyClick(window.queue.list, Qt.Key.Key_Down, Qt.KeyboardModifier.AltModifier)
    qtbot.waitUntil(lambda: names(window) == ["first", "second", "third"], timeout=WAIT)
    choose(window, 1, 2)
    window.queue.actions_by_name["next"].trigger()
    qtbot.waitUntil(lambda: names(window) == ["second", "third", "first"], timeout=WAIT)
    choose(window, 0, 1, 2)
    qtbot.keyClick(window.queue.list, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: all(row.held for row in window.queue.rows), timeout=WAIT)
    assert window.queue.actions_by_name["hold"].text() == "Go on"
    choose(window, 0)
    qtbot.keyClick(window.queue.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: names(window) == ["third", "first"], timeout=WAIT)
    window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: names(window) == ["second", "third", "first"], timeout=WAIT)
    end(qtbot, window)
    assert names(window) == ["second", "third", "first"]


def test_that_undo_at_once_puts_back_what_was_taken_out(qtbot: QtBot, window: MainWindow) -> None:
    with_three_waiting(qtbot, window)
    choose(window, 1)
    window.queue.remove()
    window.history.undo_stack.undo()
    marks: list[int] = []
    window.ask_history("mark", lambda _: 1, marks.append)
    qtbot.waitUntil(lambda: bool(marks) and names(window) == ["first", "second", "third"], timeout=WAIT)
    end(qtbot, window)


def test_that_a_drag_reorders(qtbot: QtBot, window: MainWindow) -> None:
    with_three_waiting(qtbot, window)
    choose(window, 0, 1, 2)
    window.queue.actions_by_name["hold"].trigger()
    model = window.queue.list.model()
    from PySide6.QtCore import QModelIndex

    assert model.moveRow(QModelIndex(), 2, QModelIndex(), 0)
    qtbot.waitUntil(lambda: names(window) == ["third", "first", "second"], timeout=WAIT)
    end(qtbot, window)


def test_that_an_experiment_is_duplicated_and_edited(qtbot: QtBot, window: MainWindow) -> None:
    with_three_waiting(qtbot, window)
    choose(window, 0)
    qtbot.keyClick(window.queue.list, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: names(window) == ["first", "second", "third", "first"], timeout=WAIT)
    choose(window, 1)
    window.queue.actions_by_name["edit"].trigger()
    qtbot.waitUntil(lambda: names(window) == ["first", "third", "first"], timeout=WAIT)
    assert window.tabs.currentWidget() is window.setup
    assert window.setup.table()["name"] == "second"
    window.tabs.setCurrentWidget(window.live)
    choose(window, 0, 1, 2)
    window.queue.remove()
    qtbot.waitUntil(lambda: not window.queue.rows, timeout=WAIT)
    end(qtbot, window)


def test_that_a_stopped_run_goes_on_from_the_history(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window, epochs=400)
    launch(qtbot, window)
    qtbot.waitUntil(lambda: "Run 3" in window.live.state.text(), timeout=WAIT)
    end(qtbot, window)
    assert "Resume in the history" in window.live.state.text()
    runs = wait_history(qtbot, window, 4)
    window.history.select_runs([runs[2]])
    qtbot.waitUntil(window.history.buttons["resume"].isEnabled, timeout=WAIT)
    qtbot.mouseClick(window.history.buttons["resume"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.executor.busy, timeout=WAIT)
    qtbot.waitUntil(lambda: window.tabs.currentWidget() is window.live, timeout=WAIT)
    qtbot.waitUntil(lambda: window.live.watched.finished and window.live.state.text() == "Done.", timeout=WAIT)
    assert wait_history(qtbot, window, 4) == runs
    qtbot.waitUntil(lambda: {row.status for row in newest(window)} == {"done"}, timeout=WAIT)


def test_that_a_finished_run_goes_on_with_more_epochs_as_one_curve(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window, epochs=3)
    launch(qtbot, window)
    qtbot.waitUntil(lambda: window.live.watched.finished, timeout=WAIT)
    runs = wait_history(qtbot, window, 4)
    window.history.select_runs([runs[-1]])

    def accept() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, MoreEpochsDialog):
            timer.stop()
            dialog.epochs.setValue(5)
            dialog.accept()

    timer = QTimer(window)
    timer.timeout.connect(accept)
    timer.start(50)
    qtbot.waitUntil(window.history.buttons["epochs"].isEnabled, timeout=WAIT)
    qtbot.mouseClick(window.history.buttons["epochs"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.live.watched.name.endswith(", continued"), timeout=WAIT)
    qtbot.waitUntil(lambda: window.live.watched.finished, timeout=WAIT)
    wait_history(qtbot, window, 5)
    new = newest(window)[-1]
    assert (new.role, new.status) == ("student", "done")
    with closing(open_for_reading(window.history_path)) as database:
        assert reading.list_runs(database, [new.run])[0].epochs == 5.0
    window.history.compare_wanted.emit([runs[-1], new.run])
    qtbot.waitUntil(lambda: len(window.compare.plot.line_keys()) == 2, timeout=WAIT)
    assert (window.compare.plot.points(runs[-1]), window.compare.plot.points(new.run)) == (3, 5)


def test_that_what_was_left_from_last_time_is_asked_about_and_goes_on(qtbot: QtBot, themed: None, tmp_path: Path) -> None:
    path = tmp_path / "experiments.db"
    control = Control()
    with History(path) as history:
        from workbench.events import Metrics

        def interrupt(event: object) -> None:
            if isinstance(event, Metrics) and event.run == 2:
                control.interrupt()

        run_experiment(engine(), history, history.enqueue(tiny(name="begun")), control, interrupt)
        history.enqueue(tiny(name="not begun"))
        history.leave_queue()
        launch_here(history, tiny(name="done"))
    window = MainWindow(path, preferences.load())
    window.show()
    window.start_threads()
    qtbot.waitUntil(window.banner.isVisible, timeout=READY_MILLISECONDS)
    assert window.banner.text.text().startswith("begun #1, not begun #2: interrupted last time. Go on from the last checkpoint?")
    assert not window.executor.busy
    window.tabs.setCurrentWidget(window.live)
    assert [(row.name, row.held) for row in window.queue.rows] == [("begun", True), ("not begun", True)]
    qtbot.mouseClick(window.banner.act, Qt.MouseButton.LeftButton)

    def all_done() -> bool:
        return {one.status for one in window.history.model.listing.heads.values()} == {"done"}

    window.tabs.setCurrentWidget(window.history)
    qtbot.waitUntil(all_done, timeout=WAIT)
    with qtbot.waitSignal(window.closed, timeout=WAIT):
        window.close()
    window.deleteLater()


def test_that_one_of_several_interrupted_together_goes_on_with_the_others_bit_for_bit(
    qtbot: QtBot, themed: None, tmp_path: Path
) -> None:
    path = tmp_path / "experiments.db"
    with History(path) as history:
        experiments = enqueue(history)
        never_begun = history.enqueue(tiny(name="not begun"))
        control = Control()
        run_experiments(engine(), history, experiments, control, after(8, control.interrupt))
        history.leave_queue()
        runs = [student(history, experiment).id for experiment in experiments]
    window = MainWindow(path, replace(preferences.load(), threads=1))
    window.show()
    window.start_threads()
    window.tabs.setCurrentWidget(window.live)
    qtbot.waitUntil(lambda: window.banner.isVisible() and len(window.queue.rows) == 7, timeout=READY_MILLISECONDS)
    choose(window, 2)
    qtbot.keyClick(window.queue.list, Qt.Key.Key_Space)
    others = numbers([run for run in runs if run != runs[2]])
    qtbot.waitUntil(
        lambda: window.statusBar().currentMessage() == f"R{others[1:]} were trained together with it and go on with it.",
        timeout=WAIT,
    )
    qtbot.waitUntil(lambda: [row.experiment for row in window.queue.rows] == [never_begun], timeout=WAIT)
    qtbot.waitUntil(lambda: window.live.watched.finished and not window.executor.busy, timeout=WAIT)
    assert [(row.experiment, row.held) for row in window.queue.rows] == [(never_begun, True)]
    with qtbot.waitSignal(window.closed, timeout=WAIT):
        window.close()
    window.deleteLater()
    with History(path) as history:
        assert outcomes(history, experiments) == left_alone(tmp_path)


def test_that_the_times_of_a_long_queue_are_asked_a_few_at_a_time_each_once(
    qtbot: QtBot, themed: None, history_path: Path
) -> None:
    with History(history_path) as history:
        _, numbers = history.enqueue_sweep({"name": "many"}, [({"seed": seed}, tiny(seed=seed)) for seed in range(35)])
    with closing(open_for_reading(history_path)) as database:
        rows = reading.list_queue(database)
    panel = QueuePanel(lambda *_: None, lambda *_: None, QUndoStack())
    qtbot.addWidget(panel)
    asked: list[list[int]] = []
    panel.times_wanted.connect(lambda experiments: asked.append([number for number, _ in experiments]))
    panel.show_rows(rows)
    assert asked == [numbers[:10]]
    for batch in asked:  # which grows with every answer
        panel.show_times({number: None if number == numbers[12] else 60.0 for number in batch})
    assert asked == [numbers[:10], numbers[10:20], numbers[20:30], numbers[30:]]
    assert sum(f"about {duration(60.0)}" in panel.list.item(place).text() for place in range(35)) == 34
    panel.show_rows(rows[1:])
    assert len(asked) == 4
