"""Experiments out to a file and in again, from the File menu."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog
from pytestqt.qtbot import QtBot

from tests.experiments import launch, tiny
from tests.gui.driving import WAIT, entries, wait_history
from tests.gui.test_files import when_shown
from workbench.gui.exchange import ExportDialog
from workbench.gui.main_window import MainWindow
from workbench.history.bundle import write_experiment
from workbench.history.database import open_for_reading
from workbench.history.writing import History


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with an experiment of another history."""
    path = tmp_path_factory.mktemp("elsewhere") / "experiments.db"
    with History(path) as history:
        launch(history, tiny(name="<b>elsewhere</b>"))
    with closing(open_for_reading(path)) as database:
        return write_experiment(database, path, [1], path.with_name("x.distilled")).path


def press(window: MainWindow, text: str) -> None:
    """Choose an entry of a menu."""
    next(action for action in window.findChildren(QAction) if action.text() == text).trigger()


def bring(qtbot: QtBot, window: MainWindow, file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Import a file; what the window says."""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    window.banner.hide()
    press(window, "Import experiment…")
    qtbot.waitUntil(window.banner.isVisible, timeout=WAIT)
    return window.banner.text.text()


def test_that_a_file_comes_in_once_is_shown_and_goes_out_again(
    qtbot: QtBot, window: MainWindow, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(window, "Export experiment…")
    assert window.banner.text.text() == "Select the experiments to export below, then File → Export experiment."
    assert bring(qtbot, window, elsewhere, monkeypatch) == "Imported 1 experiment and 4 runs (1 to 4)."
    assert bring(qtbot, window, elsewhere, monkeypatch) == "Nothing is new: 4 runs were already here."
    assert not window.banner.act.isVisible()
    assert wait_history(qtbot, window, 4) == [1, 2, 3, 4]
    window.history.select_runs([4])
    asked: list[tuple[str, ...]] = []

    def save(*arguments: object) -> tuple[str, str]:
        asked.append(tuple(map(str, arguments[1:])))
        return str(tmp_path / "out"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", save)

    def accept(dialog: ExportDialog) -> None:
        assert not dialog.states.isChecked()
        dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Ok).click()

    window.banner.hide()
    when_shown(window, ExportDialog, accept)
    press(window, "Export experiment…")
    qtbot.waitUntil(window.banner.isVisible, timeout=WAIT)
    assert window.banner.text.text().startswith("1 experiment with 4 runs written to out.distilled (")
    assert asked[0][1] == "b-elsewhere-b.distilled"
    assert bring(qtbot, window, tmp_path / "out.distilled", monkeypatch) == "Nothing is new: 4 runs were already here."


def test_that_what_came_in_can_be_shown_at_once(
    qtbot: QtBot, window: MainWindow, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(qtbot, window, elsewhere, monkeypatch)
    qtbot.waitUntil(lambda: len(entries(window)) == 4, timeout=WAIT)
    window.banner.act.click()
    qtbot.waitUntil(lambda: sorted(window.history.selected_runs()) == [1, 2, 3, 4], timeout=WAIT)
    assert window.tabs.currentWidget() is window.history


def test_that_a_file_that_is_none_is_a_sentence(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "holiday.distilled"
    file.write_text("hello")
    assert bring(qtbot, window, file, monkeypatch).startswith(f"{file} is damaged or no file of exported experiments")
