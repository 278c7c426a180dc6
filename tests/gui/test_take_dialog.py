"""A run is taken away in the window, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox
from pytestqt.qtbot import QtBot

from tests.experiments import launch, tiny
from tests.gui.driving import WAIT
from tests.gui.test_files import when_shown
from workbench.gui import navigation
from workbench.gui.main_window import MainWindow
from workbench.gui.take_dialog import TakeDialog
from workbench.history.writing import History

LONG = 110_000


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history whose run 4 is a student."""
    path = tmp_path_factory.mktemp("done") / "experiments.db"
    with History(path) as history:
        assert launch(history, tiny())[0] == "done"
    return path


@pytest.fixture
def dialog(qtbot: QtBot, themed: None, done: Path) -> Iterator[TakeDialog]:
    made = TakeDialog(4, "student", done, (), 1)
    made.show()
    yield made
    made.reject()
    qtbot.waitUntil(lambda: made.ended, timeout=LONG)
    made.deleteLater()


def save_as(monkeypatch: pytest.MonkeyPatch, path: Path) -> list[str]:
    """Answer the file dialog; what it offered."""
    offered: list[str] = []

    def answer(_parent: object, _title: str, name: str, _kind: str) -> tuple[str, str]:
        offered.append(name)
        return str(path), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", answer)
    return offered


def click(qtbot: QtBot, button: object) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def wait(qtbot: QtBot, dialog: TakeDialog) -> None:
    assert not dialog.ended
    qtbot.waitUntil(lambda: dialog.ended and dialog.choose.isEnabled(), timeout=LONG)


@pytest.mark.timeout(300)
def test_that_the_student_is_taken_away_with_figures_and_a_script_to_copy(
    qtbot: QtBot, dialog: TakeDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "mine.onnx"
    offered = save_as(monkeypatch, target.with_suffix(""))
    dialog.small.setChecked(True)
    click(qtbot, dialog.choose)
    assert offered == ["student-4.onnx"]
    assert dialog.under_way.isVisible()
    assert not dialog.choose.isEnabled()
    wait(qtbot, dialog)
    assert sorted(os.listdir(tmp_path)) == ["mine.int8.onnx", "mine.onnx"]
    assert "all 500 test images get the same class" in dialog.words.text()
    assert "With 8-bit weights" in dialog.notes.text()
    assert [dialog.table.item(row, 0).text() for row in range(3)] == ["student", "student, int8", "ensemble of 2"]
    assert all(" / " in dialog.table.item(row, 4).text() for row in range(3))
    assert not dialog.keep.isVisible()
    click(qtbot, dialog.copy)
    assert 'onnxruntime.InferenceSession("' in QGuiApplication.clipboard().text().replace("'", '"')

    save_as(monkeypatch, target)
    asked: list[str] = []

    def refuse(box: QMessageBox) -> None:
        asked.append(box.text())
        box.reject()

    when_shown(dialog, QMessageBox, refuse)
    click(qtbot, dialog.choose)
    assert asked == ["mine.int8.onnx is there already, with 8-bit weights. Replace it too?"]
    assert dialog.ended


@pytest.mark.timeout(300)
def test_that_cancelling_leaves_nothing(
    qtbot: QtBot, dialog: TakeDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_as(monkeypatch, tmp_path / "mine.pt2")
    dialog.form.setCurrentIndex(dialog.form.findData("torch-export"))
    assert not dialog.small.isEnabled()
    click(qtbot, dialog.choose)
    qtbot.waitUntil(lambda: dialog.under_way.step.text() not in ("starting", ""), timeout=LONG)
    click(qtbot, dialog.under_way.cancel)
    wait(qtbot, dialog)
    assert dialog.words.text() == "Cancelled; nothing was written."
    assert not os.listdir(tmp_path)


@pytest.mark.timeout(300)
def test_that_what_cannot_be_written_is_a_sentence(
    qtbot: QtBot, dialog: TakeDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.zip").write_bytes(b"mine")
    save_as(monkeypatch, tmp_path / "mine")
    dialog.form.setCurrentIndex(dialog.form.findData("safetensors"))
    click(qtbot, dialog.choose)
    wait(qtbot, dialog)
    assert dialog.words.text().endswith("mine.zip is there already; remove it or name another file.")
    assert not dialog.figures.isVisible()
    assert (tmp_path / "mine.zip").read_bytes() == b"mine"


def test_that_a_file_that_answers_otherwise_is_offered_to_be_kept(qtbot: QtBot, dialog: TakeDialog) -> None:
    dialog._hear({"otherwise": "the file mine.onnx answers otherwise than run 4 and is not kept"})
    assert dialog.words.text() == "The file mine.onnx answers otherwise than run 4 and is not kept."
    assert dialog.keep.isVisible()


@pytest.mark.timeout(300)
def test_that_history_and_report_lead_there_and_the_window_closes_meanwhile(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with History(window.history_path) as history:
        launch(history, tiny())
    window.tabs.setCurrentWidget(window.history)
    window.history.reload()
    qtbot.waitUntil(lambda: bool(window.history.model.find([4])), timeout=WAIT)
    window.history.select_runs([4])
    qtbot.waitUntil(window.history.buttons["take"].isEnabled, timeout=WAIT)
    click(qtbot, window.history.buttons["take"])
    assert window.taking is not None
    assert window.taking.windowTitle() == "Take run 4 away"
    window.taking.reject()
    navigation.show_report(window, 1)
    qtbot.waitUntil(window.report.take.isEnabled, timeout=WAIT)
    click(qtbot, window.report.take)
    save_as(monkeypatch, tmp_path / "mine.onnx")
    click(qtbot, window.taking.choose)
    qtbot.waitUntil(lambda: window.taking is not None and not window.taking.ended, timeout=WAIT)
    with qtbot.waitSignal(window.closed, timeout=LONG):
        window.close()
    assert window.taking.ended
    assert QApplication.activeModalWidget() is None
