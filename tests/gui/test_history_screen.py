"""The History and Compare screens on a history that was made by real runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, Qt
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from tests.experiments import tiny
from tests.gui.driving import WAIT, launch_and_finish, make_small, wait_checked, wait_history
from workbench.config import ExperimentConfig
from workbench.gui.history.model import COLUMNS, SORT_ROLE, HistoryModel
from workbench.gui.history.screen import HistoryScreen
from workbench.gui.main_window import MainWindow
from workbench.history.reading import ExperimentRow, RunRow


def row(number: int, experiment: int = 1, name: str = "student", **changes: object) -> RunRow:
    """A run as the history's reader gives it."""
    values: dict[str, object] = {
        "id": number, "experiment": experiment, "reused": False,
        "experiment_name": f"experiment {experiment}", "role": "student", "name": name,
        "status": "done", "message": "", "dataset": "digits", "model": "mlp 2×30", "seed": 0, "temperature": 4.0,
        "hard_weight": 0.1, "parameters": 3190, "multiply_adds": 3120, "steps": 10, "step": 10, "epochs": 5.0,
        "train_seconds": 2.0, "samples_per_second": 100.0, "created": "2026-01-02T03:04:05.000+00:00", "started": None,
        "finished": None, "figures": {"test_errors": float(number)},
    }  # fmt: skip
    return RunRow(**(values | changes))  # type: ignore[arg-type]


def listed(rows: list[RunRow]) -> list[ExperimentRow]:
    """The experiments of some runs, newest first."""
    numbers = sorted({row.experiment for row in rows}, reverse=True)
    return [
        ExperimentRow(
            id=number,
            name=f"experiment {number}",
            status="done",
            message="",
            created="2026-01-02T03:04:05.000+00:00",
            rank=None,
            held=False,
            rows=tuple(row for row in rows if row.experiment == number),
        )
        for number in numbers
    ]


def test_that_the_model_is_a_sound_tree(qtmodeltester: ModelTester) -> None:
    model = HistoryModel()
    model.show(listed([row(1), row(2), row(3, experiment=2)]))
    qtmodeltester.check(model, force_py=True)
    assert model.rowCount() == 2
    assert model.rowCount(model.index(1, 0)) == 2
    model.show(listed([row(1, status="failed"), row(2), row(3, experiment=2)]))
    assert model.index(0, 2, model.index(1, 0)).data() == "failed"
    model.show([])
    assert model.rowCount() == 0


@pytest.mark.parametrize("seed", range(20))
def test_that_selection_and_what_is_unfolded_stay_while_runs_come_and_go(
    seed: int, qtbot: QtBot, themed: None, qtmodeltester: ModelTester
) -> None:
    random = np.random.default_rng(seed)
    screen = HistoryScreen(lambda *_: None, lambda *_: None)
    qtbot.addWidget(screen)
    rows = [row(number, experiment=1 + number // 4) for number in range(40)]
    kept = rows[17]
    shown = [one for one in rows if random.random() < 0.5 or one is kept]
    screen.model.show(listed(shown))
    screen.tree.setExpanded(screen.sorted.mapFromSource(screen.model.find(17).parent()), True)
    screen.select_runs([17])
    for _ in range(5):
        shown = [row(one.id, one.experiment, epochs=random.random()) for one in rows if random.random() < 0.5 or one is kept]
        screen.model.show(listed(shown))
        assert screen.model.experiments == listed(shown)
        assert screen.selected_runs() == [17]
        assert screen.tree.isExpanded(screen.sorted.mapFromSource(screen.model.find(17).parent()))
    qtmodeltester.check(screen.model, force_py=True)


def test_that_only_what_changed_is_told_to_the_views(qtbot: QtBot) -> None:
    model = HistoryModel()
    rows = [row(number, experiment=1 + number // 10) for number in range(2000)]
    model.show(listed(rows))
    told: list[tuple[int, int]] = []
    model.dataChanged.connect(lambda first, last, _: told.append((first.parent().row(), first.row())))
    model.show(listed(rows))
    assert told == []
    rows[15] = row(15, experiment=2, status="failed")
    model.show(listed(rows))
    assert told == [(-1, 198), (198, 5)]


def test_that_values_sort_by_number_and_missing_ones_come_first_or_last(qtbot: QtBot, themed: None) -> None:
    screen = HistoryScreen(lambda *_: None, lambda *_: None)
    qtbot.addWidget(screen)
    screen.model.show(listed([row(9), row(10), row(2, figures={})]))
    errors = next(place for place, column in enumerate(COLUMNS) if column.title == "Errors")
    screen.tree.sortByColumn(errors, Qt.SortOrder.AscendingOrder)
    top = screen.sorted.index(0, 0, QModelIndex())
    shown = [screen.sorted.index(place, errors, top).data(SORT_ROLE) for place in range(3)]
    assert shown == [None, 9.0, 10.0]


def test_that_the_filter_keeps_matching_runs_and_whole_matching_experiments(qtbot: QtBot, themed: None) -> None:
    screen = HistoryScreen(lambda *_: None, lambda *_: None)
    qtbot.addWidget(screen)
    screen.model.show(listed([row(1, name="baseline"), row(2), row(3, experiment=2)]))
    qtbot.keyClicks(screen.filter, "BASEL")
    assert screen.sorted.rowCount() == 1
    assert screen.sorted.rowCount(screen.sorted.index(0, 0)) == 1
    screen.filter.setText("experiment 2")
    assert screen.sorted.rowCount() == 1
    assert screen.sorted.index(0, 0).data().startswith("experiment 2  #2   ·   done   ·   ")
    assert screen.sorted.rowCount(screen.sorted.index(0, 0)) == 1


def test_that_deleted_runs_come_back_with_undo(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    runs = wait_history(qtbot, window, 4)
    window.history.select_runs([runs[-1]])
    qtbot.mouseClick(window.history.buttons["delete"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(window.history.model.experiments[0].rows) == 3, timeout=WAIT)
    window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(window.history.model.experiments[0].rows) == 4, timeout=WAIT)


def test_that_a_past_run_opens_as_a_new_set_up_with_its_whole_config(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    config = window.setup._config
    launch_and_finish(qtbot, window)
    runs = wait_history(qtbot, window, 4)
    window.setup.show_recipe("mnist")
    window.history.select_runs([runs[-1]])
    qtbot.waitUntil(lambda: window.history.details.topLevelItemCount() > 2, timeout=WAIT)
    qtbot.mouseClick(window.history.buttons["open"], Qt.MouseButton.LeftButton)
    assert window.tabs.currentWidget() is window.setup
    assert ExperimentConfig.from_dict(window.setup.table()) == config


def test_that_empty_screens_have_a_hint(window: MainWindow) -> None:
    assert window.live.pages.currentIndex() == 0
    assert window.history.pages.currentIndex() == 0
    assert window.compare.pages.currentIndex() == 0


def test_that_a_run_of_the_command_line_appears_by_itself(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    from tests.experiments import launch, tiny
    from workbench.history.writing import History

    window.tabs.setCurrentWidget(window.history)
    with History(tmp_path / "experiments.db") as history:
        launch(history, tiny())
    qtbot.waitUntil(lambda: bool(window.history.model.experiments), timeout=WAIT)


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
        return [row.status for one in window.history.model.experiments for row in one.rows] == ["interrupted"]

    qtbot.waitUntil(marked, timeout=WAIT)


def test_that_a_comparison_follows_a_run_of_another_program(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    from tests.experiments import add_run, tiny
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


def test_that_columns_first_filled_by_a_teacher_have_room_for_what_is_trained_later(qtbot: QtBot, window: MainWindow) -> None:
    window.setup.show_config(tiny(data__validation_fraction=0.0, training__keep="last", teacher_training__keep="last"))
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    window.tabs.setCurrentWidget(window.history)
    wait_history(qtbot, window, 4)
    window.setup.show_config(tiny())
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    wait_history(qtbot, window, 8)
    window.tabs.setCurrentWidget(window.history)
    tree = window.history.tree
    tree.expandAll()
    for column in range(2, window.history.model.columnCount()):
        assert tree.columnWidth(column) >= tree.sizeHintForColumn(column), column
