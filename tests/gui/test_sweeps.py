"""A sweep, set up by point and click, watched and looked into."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tests.gui.driving import WAIT, entries, make_small, type_number, wait_checked
from workbench.gui.main_window import MainWindow
from workbench.gui.setup.sweep_part import text_of, values_of
from workbench.recipes import recipe_tables
from workbench.sweep import expand


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1, 2, 4", [1, 2, 4]),
        ("0.5,1e-3", [0.5, 1e-3]),
        ("arithmetic, geometric", ["arithmetic", "geometric"]),
        ("true, false", [True, False]),
        ("[3], [], [7, 8]", [[3], [], [7, 8]]),
        ("30 to 800 in 4 log", {"from": 30, "to": 800, "count": 4, "scale": "log"}),
        ("0.0 … 1.0 in 5", {"from": 0.0, "to": 1.0, "count": 5}),
        ("1 to 16 log", {"from": 1, "to": 16, "scale": "log"}),
        ("0.0..1e-1", {"from": 0.0, "to": 0.1}),
        ("photon, autotune", ["photon", "autotune"]),
        ("", []),
    ],
)
def test_that_what_is_typed_is_what_the_recipe_has_and_back(text: str, values: Any) -> None:
    assert values_of(text) == values
    assert values_of(text_of(values)) == values
    assert json.dumps(values_of(text_of(values))) == json.dumps(values)


def test_that_a_sweep_is_set_up_launched_watched_and_compared(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    make_small(qtbot, window)
    part = window.setup.sweep
    qtbot.mouseClick(part.add_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(part.add_button, Qt.MouseButton.LeftButton)
    part.axes[0].path.setCurrentText("distillation.temperature")
    part.axes[0].values.setFocus()
    qtbot.keyClicks(part.axes[0].values, "1, 40")
    part.axes[1].path.setCurrentText("student.units")
    qtbot.keyClicks(part.axes[1].values, "4, 20")
    type_number(qtbot, part.seeds, "2")
    wait_checked(qtbot, window)
    assert window.setup.plan.text().startswith("A sweep of 8 experiments: 14 models to train, 18 reused")
    qtbot.mouseClick(window.setup.launch, Qt.MouseButton.LeftButton)
    window.tabs.setCurrentWidget(window.sweeps)

    def all_there() -> bool:
        return len(window.sweeps.results) == 4 and window.sweeps.state.text() == "8 of 8 experiments done"

    qtbot.waitUntil(all_there, timeout=WAIT)
    assert sum(one.best for one in window.sweeps.results) == 1
    assert all(one.figures["student"]["test_errors"].count == 2 for one in window.sweeps.results)
    assert window.sweeps.table.rowCount() == 4
    assert any("best on validation" in window.sweeps.table.item(row, 0).text() for row in range(4))
    window.sweeps.each.setCurrentIndex(window.sweeps.each.findData("heat"))
    window.sweeps.each.activated.emit(0)
    window.sweeps._draw()
    assert window.sweeps.upper.currentWidget() is window.sweeps.heat
    assert (window.sweeps.heat.rowCount(), window.sweeps.heat.columnCount()) == (2, 2)
    assert "±" in window.sweeps.heat.item(1, 1).text()
    window.tabs.setCurrentWidget(window.setup)
    part.show_table({"seeds": 3})
    wait_checked(qtbot, window)
    qtbot.mouseClick(window.setup.launch, Qt.MouseButton.LeftButton)
    window.tabs.setCurrentWidget(window.sweeps)
    qtbot.waitUntil(lambda: window.sweeps.state.text() == "3 of 3 experiments done", timeout=WAIT)
    window.sweeps.choice.setCurrentIndex(1)
    window.sweeps.choice.activated.emit(1)
    qtbot.waitUntil(all_there, timeout=WAIT)
    window.sweeps.table.selectRow(0)
    qtbot.mouseClick(window.sweeps.compare, Qt.MouseButton.LeftButton)
    assert window.tabs.currentWidget() is window.compare
    assert list(window.compare.runs) == list(window.sweeps.results[0].runs)


def test_that_a_wrong_value_is_said_in_the_sweep_and_launch_waits(qtbot: QtBot, window: MainWindow) -> None:
    part = window.setup.sweep
    part.add("distillation.temperature", [1, 0])
    qtbot.waitUntil(lambda: "temperature" in window.setup.plan.text() and not window.setup.launch.isEnabled(), timeout=WAIT)
    part.axes[0].values.setText("")
    qtbot.waitUntil(lambda: "needs at least one value" in part.error.text(), timeout=WAIT)
    assert not window.setup.launch.isEnabled()
    part.show_table({})
    wait_checked(qtbot, window)
    assert part.error.text() == ""


def test_that_a_recipe_with_a_sweep_comes_back_from_the_form(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PySide6.QtWidgets import QFileDialog

    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\n[[teachers]]\nunits = 5\n[sweep]\nseeds = 3\n'
        '"student.units" = {from = 8, to = 64, count = 4, scale = "log"}\n'
        '"distillation.mean" = ["arithmetic", "geometric"]\n'
    )
    window.setup.open_path(path)
    saved = tmp_path / "saved.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(saved), ""))
    window.setup.save_file()
    first, second = (recipe_tables(str(one)) for one in (path, saved))
    assert second["sweep"] == first["sweep"] | {"how": "grid"}
    assert {str(sorted(point.items())) for point, _ in expand(first)} == {
        str(sorted(point.items())) for point, _ in expand(second)
    }


def test_that_nested_tables_and_a_number_drawn_are_shown_as_they_are(qtbot: QtBot, window: MainWindow) -> None:
    part = window.setup.sweep
    part.show_table({"how": "random", "count": 7, "student": {"units": [8, 16], "layers": {"from": 1, "to": 3, "count": 3}}})
    assert [axis.path.currentText() for axis in part.axes] == ["student.units", "student.layers"]
    assert part.count.value() == 7
    assert part.value()["count"] == 7
    assert not part.count.isHidden()
    part.show_table({})


def test_that_a_search_is_set_up_launched_and_watched_to_its_end(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PySide6.QtWidgets import QFileDialog

    make_small(qtbot, window)
    part = window.setup.sweep
    qtbot.mouseClick(part.add_button, Qt.MouseButton.LeftButton)
    part.axes[0].path.setCurrentText("distillation.temperature")
    qtbot.keyClicks(part.axes[0].values, "1.0 to 16.0 log")
    part.how.setCurrentText("bayes")
    type_number(qtbot, part.count, "3")
    wait_checked(qtbot, window)
    assert window.setup.plan.text().startswith("A search of at most 3 experiments: at most 6 models to train, 6 reused")
    saved = tmp_path / "saved.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(saved), ""))
    window.setup.save_file()
    assert (
        recipe_tables(str(saved))["sweep"]
        == window.setup.tables()["sweep"]
        == {
            "how": "bayes",
            "seeds": 1,
            "count": 3,
            "distillation.temperature": {"from": 1.0, "to": 16.0, "scale": "log"},
        }
    )
    qtbot.mouseClick(window.setup.launch, Qt.MouseButton.LeftButton)
    window.tabs.setCurrentWidget(window.sweeps)
    qtbot.waitUntil(lambda: window.sweeps.state.text() == "3 of 3 experiments done", timeout=WAIT)
    qtbot.waitUntil(lambda: not window.executor.busy, timeout=WAIT)
    assert len({one.point["distillation.temperature"] for one in window.sweeps.results}) == 3
    assert sum(one.best for one in window.sweeps.results) == 1


def test_that_without_optuna_the_sweep_says_so_and_launch_waits(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    window.setup.sweep.show_table({"how": "bayes", "count": 3, "student.units": [4, 8]})
    qtbot.waitUntil(lambda: "pip install 'distillation-workbench[optuna]'" in window.setup.sweep.error.text(), timeout=WAIT)
    assert not window.setup.launch.isEnabled()
    window.setup.sweep.show_table({})
    wait_checked(qtbot, window)


def test_that_without_a_sweep_there_is_a_hint(window: MainWindow) -> None:
    assert window.sweeps.pages.currentIndex() == 0


def test_that_a_sweep_of_data_still_to_be_downloaded_is_launched_as_a_sweep(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    window.setup.data.dataset.setCurrentText("kmnist")
    type_number(qtbot, window.setup.sweep.seeds, "3")
    qtbot.waitUntil(lambda: window.setup.plan.text().startswith("Launch first downloads kmnist"), timeout=WAIT)
    with qtbot.waitSignal(window.setup.sweep_launched, timeout=WAIT) as launched:
        qtbot.mouseClick(window.setup.launch, Qt.MouseButton.LeftButton)
    assert launched.args[0]["sweep"] == {"how": "grid", "seeds": 3}


@pytest.mark.parametrize("all_selected", [True, False])
def test_that_a_stopped_sweep_is_resumed_in_one_go_and_goes_on_together(
    all_selected: bool, qtbot: QtBot, window: MainWindow
) -> None:
    window.setup.distillation.form.editors["baseline"].field.setChecked(False)
    make_small(qtbot, window, epochs=60_000)  # more than a busy machine does before they are stopped, twice
    type_number(qtbot, window.setup.sweep.seeds, "3")
    wait_checked(qtbot, window)
    qtbot.mouseClick(window.setup.launch, Qt.MouseButton.LeftButton)

    def statuses() -> list[str]:
        return [row.status for row in entries(window) if row.role == "student"]

    window.tabs.setCurrentWidget(window.history)
    qtbot.waitUntil(lambda: statuses() == ["running"] * 3, timeout=WAIT)
    qtbot.mouseClick(window.live.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: statuses() == ["stopped"] * 3, timeout=WAIT)
    students = [row.run for row in entries(window) if row.role == "student"]
    if all_selected:
        window.history.table.selectAll()
    else:
        window.history.select_runs(students[1:2])
    qtbot.waitUntil(window.history.buttons["resume"].isEnabled, timeout=WAIT)
    qtbot.mouseClick(window.history.buttons["resume"], Qt.MouseButton.LeftButton)
    if not all_selected:
        qtbot.waitUntil(lambda: "trained together with it and go on with it" in window.statusBar().currentMessage(), timeout=WAIT)
    qtbot.waitUntil(lambda: statuses() == ["running"] * 3, timeout=WAIT)
    qtbot.mouseClick(window.live.stop, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: statuses() == ["stopped"] * 3, timeout=WAIT)
    window.tabs.setCurrentWidget(window.sweeps)
    qtbot.waitUntil(lambda: "Only seeds are varied here" in window.sweeps.plot.plotItem.titleLabel.text, timeout=WAIT)
