"""A teacher from elsewhere is brought in by the window, in a process of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot
from safetensors.torch import save_file

from tests.experiments import tree
from tests.gui.driving import WAIT, launch_and_finish, make_small, type_number, wait_checked
from tests.teacher_files import endless, written
from workbench.config import DataConfig, ModelConfig
from workbench.distill.models import build
from workbench.exchange.bringing import Found
from workbench.gui import child
from workbench.gui.main_window import MainWindow
from workbench.gui.setup.elsewhere_dialog import FILE, TORCHVISION, ElsewhereDialog
from workbench.gui.setup.outputs_table import OutputsTable
from workbench.history import reading
from workbench.history.database import open_for_reading

LONG = 110_000
SHUFFLED = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]


@pytest.fixture
def dialog(qtbot: QtBot, themed: None, tmp_path: Path) -> Iterator[ElsewhereDialog]:
    (tmp_path / "history").mkdir()
    made = ElsewhereDialog(DataConfig(), tmp_path / "history" / "experiments.db", (), 1)
    made.show()
    yield made
    made.reject()
    qtbot.waitUntil(lambda: made.ended, timeout=LONG)
    made.deleteLater()


def test_that_the_file_can_be_typed_at_once(dialog: ElsewhereDialog) -> None:
    assert dialog.focusWidget() is dialog.file


def click(qtbot: QtBot, button: object) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def measure(qtbot: QtBot, dialog: ElsewhereDialog) -> None:
    click(qtbot, dialog.measure)
    assert not dialog.ended
    qtbot.waitUntil(lambda: dialog.ended and dialog.measure.isEnabled(), timeout=LONG)


def type_output(qtbot: QtBot, dialog: ElsewhereDialog, row: int, text: str) -> None:
    edit = dialog.table.choice(row).lineEdit()
    assert edit is not None
    edit.setFocus()
    edit.selectAll()
    qtbot.keyClicks(edit, text)
    qtbot.keyClick(edit, Qt.Key.Key_Escape)


@pytest.mark.timeout(300)
def test_that_classes_are_mapped_measured_and_the_teacher_added(
    qtbot: QtBot, dialog: ElsewhereDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["zero", "one", "two", "three", "4", "5", "6", "7", "8", "9"]
    path = written(tmp_path / "words.onnx", metadata={"classes": json.dumps(words)})
    assert not dialog.measure.isEnabled()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    click(qtbot, dialog.browse)
    assert not dialog.model.isVisible()
    measure(qtbot, dialog)
    assert dialog.words.text().startswith("4 of 10 classes have no output of that name in words.onnx (0, 1, 2, 3)")
    assert [dialog.table.item(row, 2).text() for row in (0, 9)] == ["no output", ""]
    assert not dialog.add.isEnabled()
    for row, word in enumerate(words[:4]):
        type_output(qtbot, dialog, row, word)
    assert dialog.table.wrong == ()
    assert not dialog.add.isEnabled()
    measure(qtbot, dialog)
    assert dialog.found is not None
    assert dialog.found.figures["val_accuracy"] > 0.85
    assert "% of 130 cases (" in dialog.words.text()
    assert dialog.add.isDefault()
    assert not (tmp_path / "history" / "experiments.db").exists()
    with qtbot.waitSignal(dialog.brought, timeout=LONG) as brought:
        click(qtbot, dialog.add)
    run, said = brought.args
    assert said.startswith(f"Past run {run}: words.onnx, ")
    with closing(open_for_reading(tmp_path / "history" / "experiments.db")) as database:
        (row,) = reading.list_runs(database, [run])
    assert row.figures["val_accuracy"] == dialog.found.figures["val_accuracy"]


@pytest.mark.timeout(300)
def test_that_a_setting_changed_asks_to_be_measured_again(qtbot: QtBot, dialog: ElsewhereDialog, tmp_path: Path) -> None:
    dialog.file.setText(str(written(tmp_path / "linear.onnx")))
    measure(qtbot, dialog)
    assert dialog.found is not None
    before = dialog.found.figures["val_nll"]
    assert dialog.settings.editors["pixels"].value() == "0..1"
    dialog.settings.editors["pixels"].set_value("-1..1")
    assert dialog.words.text() == "Look and measure again: something has been changed."
    assert not dialog.add.isEnabled()
    measure(qtbot, dialog)
    assert dialog.found is not None
    assert dialog.found.figures["val_nll"] != before
    type_output(qtbot, dialog, 3, "nothing like it")
    assert dialog.words.text() == "Choose an output for 3."
    dialog.file.setText(str(written(tmp_path / "other.onnx")))
    assert dialog.table.rowCount() == 0
    assert dialog.words.text().startswith("Choose a teacher")
    measure(qtbot, dialog)
    assert dialog.settings.editors["pixels"].value() == "0..1"


@pytest.mark.timeout(300)
def test_that_what_is_said_before_the_look_leaves_the_rest_to_be_found(
    qtbot: QtBot, dialog: ElsewhereDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ModelConfig(model="mlp", options={"layers": 1, "units": 4})
    save_file(build(model, (1, 12, 12), 3).state_dict(), tmp_path / "mine.safetensors")
    (tmp_path / "names.txt").write_text("five\nsix\nseven\n")
    dialog.file.setText(str(tmp_path / "mine.safetensors"))
    assert dialog.model.isVisible()
    dialog.model.form.set_values({"layers": 1, "units": 4})
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "names.txt"), ""))
    click(qtbot, dialog.browse_names)
    type_number(qtbot, dialog.settings.editors["size"].field, "12")
    measure(qtbot, dialog)
    assert dialog.found is not None
    assert dialog.found.names == ("five", "six", "seven")
    assert dialog.settings.editors["pixels"].value() == "standardised"
    assert dialog.settings.editors["size"].value() == 12
    for row in range(10):
        type_output(qtbot, dialog, row, "six; seven" if row == 9 else "five")
    measure(qtbot, dialog)
    assert dialog.add.isEnabled()


@pytest.mark.timeout(300)
def test_that_a_file_that_is_refused_says_why_and_leaves_nothing(qtbot: QtBot, dialog: ElsewhereDialog, tmp_path: Path) -> None:
    before = tree(tmp_path / "history")
    dialog.file.setText(str(written(tmp_path / "odd.onnx", operator=("acme.ops", "Guess"))))
    measure(qtbot, dialog)
    assert "operators that it does not know: acme.ops::Guess" in dialog.words.text()
    assert dialog.words.property("role") == "error"
    assert not dialog.add.isEnabled()
    assert tree(tmp_path / "history") == before


@pytest.mark.timeout(300)
def test_that_outputs_are_found_by_a_part_of_their_name_and_put_after_each_other(
    qtbot: QtBot, dialog: ElsewhereDialog, tmp_path: Path
) -> None:
    names = [f"number {number}" for number in range(10)]
    dialog.file.setText(str(written(tmp_path / "names.onnx", metadata={"classes": json.dumps(names)})))
    measure(qtbot, dialog)
    choice = dialog.table.choice(0)
    edit, completer = choice.lineEdit(), choice.completer()
    assert edit is not None
    assert completer is not None
    edit.setFocus()
    qtbot.keyClicks(edit, "BER 4")
    popup = completer.popup()
    assert popup is not None
    qtbot.waitUntil(popup.isVisible, timeout=WAIT)
    assert completer.completionCount() == 1
    qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert edit.text() == "number 4"
    qtbot.keyClicks(edit, "; 7")
    qtbot.keyClick(popup, Qt.Key.Key_Down)
    qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert edit.text() == "number 4; number 7"
    assert dialog.ended  # Return has chosen, and pressed no button
    qtbot.keyClick(edit, Qt.Key.Key_Tab)
    assert QApplication.focusWidget() in (dialog.table.choice(1), dialog.table.choice(1).lineEdit())
    assert "0" not in dialog.table.wrong


def test_that_a_hundred_classes_have_a_row_each_and_open_lists_of_all_outputs(qtbot: QtBot, themed: None) -> None:
    classes, names = tuple(f"class {at}" for at in range(100)), tuple(f"name {at}" for at in range(1000))
    chosen = ("", *(f"name {at}" for at in range(1, 100)))
    table = OutputsTable()
    qtbot.addWidget(table)
    table.show()
    table.show_found(Found(title="x", names=names, classes=classes, chosen=chosen, settings={}, figures={}))
    assert table.rowCount() < 100
    assert table.mapping() == dict(zip(classes[1:], chosen[1:], strict=True))
    qtbot.waitUntil(lambda: table.rowCount() == 100, timeout=WAIT)
    assert table.wrong == ("class 0",)
    assert table.mapping() == dict(zip(classes[1:], chosen[1:], strict=True))
    choice = table.choice(42)
    with qtbot.assertNotEmitted(table.changed):
        choice.showPopup()
    assert (choice.count(), choice.currentText(), choice.currentIndex()) == (1000, "name 42", 42)
    choice.hidePopup()
    with qtbot.waitSignal(table.changed):
        choice.setCurrentIndex(7)
    assert table.mapping()["class 42"] == "name 7"


@pytest.mark.timeout(300)
def test_that_a_teacher_that_never_answers_can_be_given_up(
    qtbot: QtBot, dialog: ElsewhereDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "GRACE_MILLISECONDS", 300)
    path = tmp_path / "endless.onnx"
    path.write_bytes(endless().SerializeToString())
    dialog.file.setText(str(path))
    click(qtbot, dialog.measure)
    qtbot.waitUntil(lambda: dialog.under_way.step.text() == "reading endless.onnx", timeout=LONG)
    click(qtbot, dialog.under_way.cancel)
    qtbot.waitUntil(lambda: dialog.ended and dialog.measure.isEnabled(), timeout=LONG)
    assert dialog.words.text() == "Cancelled; nothing was added."


@pytest.mark.timeout(300)
def test_that_torchvisions_weights_are_asked_for_and_a_download_can_be_cancelled(
    qtbot: QtBot, dialog: ElsewhereDialog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that Python starts with gives torchvision the address of a server that never ends its file."""
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.getcwd()]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    dialog.kind.setCurrentIndex(dialog.kind.findData(TORCHVISION))
    assert dialog.architecture.isVisible()
    assert not dialog.model.isVisible()
    assert dialog.measure.isEnabled()
    dialog.architecture.setCurrentText("resnet81")
    measure(qtbot, dialog)
    assert "there is no architecture 'resnet81' (did you mean 'resnet18'?)" in dialog.words.text()
    dialog.architecture.setCurrentText("resnet18")
    click(qtbot, dialog.measure)
    qtbot.waitUntil(
        lambda: "Downloading resnet18-" in dialog.under_way.step.text() and dialog.under_way.bar.value() > 0, timeout=LONG
    )
    assert dialog.under_way.bar.maximum() == 1000
    click(qtbot, dialog.under_way.cancel)
    qtbot.waitUntil(lambda: dialog.ended and dialog.measure.isEnabled(), timeout=LONG)
    assert dialog.words.text() == "Cancelled; nothing was added."
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    dialog.kind.setCurrentIndex(dialog.kind.findData(FILE))
    assert not dialog.architecture.isVisible()


SLOW = """
import socket, sys, threading, time

if "workbench.exchange.importing_process" in sys.orig_argv:
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 1000000\\r\\n\\r\\n")
            for _ in range(5):
                connection.sendall(bytes(100_000))
                time.sleep(0.15)

    threading.Thread(target=serve, daemon=True).start()
    from torchvision.models import ResNet18_Weights
    ResNet18_Weights.DEFAULT.value.url = f"http://127.0.0.1:{server.getsockname()[1]}/resnet18-00000000.pth"
"""


@pytest.mark.timeout(300)
def test_that_a_student_learns_from_it_in_the_window(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    wait_checked(qtbot, window)
    make_small(qtbot, window)
    click(qtbot, window.setup.teachers.elsewhere_button)
    dialog = window.bringing
    assert dialog is not None
    assert dialog.windowTitle() == "A teacher from elsewhere for digits"
    dialog.file.setText(str(written(tmp_path / "linear.onnx")))
    measure(qtbot, dialog)
    with qtbot.waitSignal(dialog.brought, timeout=LONG) as brought:
        click(qtbot, dialog.add)
    run, said = brought.args
    assert not dialog.isVisible()
    group = window.setup.teachers.groups[-1]
    assert (group.run, group.title.text()) == (run, said)
    wait_checked(qtbot, window)
    assert "3 teachers, 1 reused" in window.setup.plan.text()
    launch_and_finish(qtbot, window)
    with closing(open_for_reading(window.history_path)) as database:
        student = next(row for row in reading.list_runs(database) if row.role == "student")
        assert run in reading.run_details(database, student.id).parents


@pytest.mark.timeout(300)
def test_that_the_window_closes_while_a_teacher_is_looked_at(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    wait_checked(qtbot, window)
    click(qtbot, window.setup.teachers.elsewhere_button)
    dialog = window.bringing
    assert dialog is not None
    dialog.file.setText(str(written(tmp_path / "linear.onnx")))
    click(qtbot, dialog.measure)
    qtbot.waitUntil(lambda: dialog.under_way.step.text() != "starting", timeout=LONG)
    with qtbot.waitSignal(window.closed, timeout=LONG):
        window.close()
    assert dialog.ended
    assert not window.isVisible()


@pytest.mark.parametrize("field", ["file", "names"])
def test_that_a_home_folder_nobody_has_is_a_sentence(qtbot: QtBot, dialog: ElsewhereDialog, tmp_path: Path, field: str) -> None:
    dialog.file.setText(str(written(tmp_path / "linear.onnx")))
    getattr(dialog, field).setText("~nosuchuser/x")
    click(qtbot, dialog.measure)
    assert dialog.ended
    text = "~nosuchuser/x begins with somebody's home folder that is not known; name the folder in full."
    assert dialog.words.text() == f"{field.capitalize()}: {text}"


def test_that_nothing_is_asked_while_the_set_up_is_wrong(qtbot: QtBot, window: MainWindow) -> None:
    wait_checked(qtbot, window)
    window.setup.data.dataset.setCurrentText("")
    window.setup.refresh()
    click(qtbot, window.setup.teachers.elsewhere_button)
    assert window.bringing is None
    assert "put it right first" in window.banner.text.text()
