"""The set-up screen: what is wrong is said beside its field, and Launch waits with the reason."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QComboBox, QSlider, QSpinBox
from pytestqt.qtbot import QtBot

from tests.distill.data_files import digit_pictures
from tests.gui.driving import WAIT, launch_and_finish, make_small, newest, type_number, wait_checked, wait_history
from workbench.config import ExperimentConfig, TeacherConfig
from workbench.gui.main_window import MainWindow
from workbench.gui.setup.screen import SetupScreen
from workbench.gui.setup.temperature import TemperatureSlider
from workbench.recipes import recipe_paths


@pytest.mark.parametrize("typed", ["0", "-1", "nan", "hot", "1e9", ""])
def test_that_a_wrong_temperature_is_said_beside_it_and_launch_waits(qtbot: QtBot, window: MainWindow, typed: str) -> None:
    window.setup.distillation.temperature.number.setText(typed)
    qtbot.waitUntil(lambda: window.setup.distillation.error.isVisible(), timeout=WAIT)
    assert "above 0" in window.setup.distillation.error.text()
    assert not window.setup.launch.isEnabled()
    assert "temperature" in window.setup.launch.toolTip()
    window.setup.distillation.temperature.number.setText("2.5")
    wait_checked(qtbot, window)
    assert not window.setup.distillation.error.isVisible()


def test_that_a_class_that_does_not_exist_is_said_beside_its_field(qtbot: QtBot, window: MainWindow) -> None:
    editor = window.setup.transfer.form.editors["leave_out"]
    qtbot.keyClicks(editor.field, "3, 12")
    qtbot.waitUntil(lambda: bool(editor.error), timeout=WAIT)
    assert "no class 12" in editor.error
    assert not window.setup.launch.isEnabled()


def test_that_own_images_are_counted_once_their_folder_is_named_whole(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    folder = digit_pictures(tmp_path / "mine", 7)
    (folder / "torn.png").write_bytes(b"no picture")
    editor, counts = window.setup.transfer.form.editors["images"], window.setup.transfer.counts
    wait_checked(qtbot, window)
    qtbot.keyClicks(editor.field, str(folder))
    qtbot.waitUntil(lambda: "press Enter" in window.setup.plan.text(), timeout=WAIT)
    assert not window.setup.launch.isEnabled()
    assert "own image" not in counts.text()
    qtbot.keyClick(editor.field, Qt.Key.Key_Return)
    wait_checked(qtbot, window)
    assert "and 7 own images. 1 picture of" in counts.text()
    assert "training cases and 7 own images" in window.setup.plan.text()


def test_that_a_folder_of_own_images_can_be_chosen_and_a_wrong_one_is_said_beside_it(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [str(digit_pictures(tmp_path / "mine", 7)), str(tmp_path)]
    (tmp_path / "mine").rename(tmp_path / "gone")
    monkeypatch.setattr("workbench.gui.forms.QFileDialog.getExistingDirectory", lambda *_: chosen.pop(0))
    editor = window.setup.transfer.form.editors["images"]
    qtbot.mouseClick(editor.browse, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "is not there" in editor.error, timeout=WAIT)
    assert not window.setup.launch.isEnabled()
    qtbot.mouseClick(editor.browse, Qt.MouseButton.LeftButton)
    wait_checked(qtbot, window)
    assert editor.error == ""
    assert "7 own images" in window.setup.transfer.counts.text()


def test_that_an_ensemble_without_teachers_is_refused_with_a_reason(qtbot: QtBot, window: MainWindow) -> None:
    window.setup.teachers._remove(window.setup.teachers.groups[0])
    qtbot.waitUntil(lambda: "at least one teacher" in window.setup.plan.text(), timeout=WAIT)
    assert not window.setup.launch.isEnabled()
    qtbot.mouseClick(window.setup.teachers.add_button, Qt.MouseButton.LeftButton)
    wait_checked(qtbot, window)


def test_that_an_unknown_data_set_is_said_below_its_name(qtbot: QtBot, window: MainWindow) -> None:
    window.setup.data.dataset.setCurrentText("digit")
    qtbot.waitUntil(lambda: "digits" in window.setup.data.message.text() and not window.setup.launch.isEnabled(), timeout=WAIT)
    assert window.setup.data.message.property("role") == "error"


def test_that_the_plan_names_teachers_sizes_cases_and_time(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    words = window.setup.plan.text()
    assert "2 teachers" in words
    assert "of 1,167 training cases" in words
    assert "on this CPU" in words
    qtbot.waitUntil(lambda: "3,190 parameters" in window.setup.student.size_label.text(), timeout=WAIT)


def test_that_another_model_brings_its_own_options(qtbot: QtBot, window: MainWindow) -> None:
    student = window.setup.student
    student.choice.setCurrentIndex(student.choice.findData("resnet"))
    assert set(student.form.editors) == {"depth", "width"}
    type_number(qtbot, student.form.editors["depth"].field, "9")
    qtbot.waitUntil(lambda: "8, 14, 20" in student.form.editors["depth"].error, timeout=WAIT)
    type_number(qtbot, student.form.editors["depth"].field, "8")
    wait_checked(qtbot, window)


def test_that_every_recipe_comes_back_from_the_form_as_it_was(qtbot: QtBot, window: MainWindow) -> None:
    for name in recipe_paths():
        window.setup.show_recipe(name)
        assert window.setup._config == ExperimentConfig.from_dict(window.setup.table())
        assert window.setup._config is not None
        assert window.setup._config.name == name


def test_that_a_recipe_saved_from_the_form_opens_again(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_small(qtbot, window)
    saved = window.setup._config
    path = tmp_path / "mine.toml"
    monkeypatch.setattr("workbench.gui.setup.screen.QFileDialog.getSaveFileName", lambda *_: (str(path), ""))
    window.setup.save_file()
    window.setup.show_recipe("mnist")
    window.setup.open_path(path)
    assert window.setup._config == saved


def test_that_a_broken_recipe_file_is_a_sentence_with_its_line(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[data\n")
    window.setup.open_path(path)
    assert str(path) in window.banner.text.text()
    assert "line 1" in window.banner.text.text()
    assert window.banner.isVisible()


def test_that_the_temperature_slider_is_logarithmic(qtbot: QtBot, themed: None) -> None:
    slider = TemperatureSlider(4.0)
    qtbot.addWidget(slider)
    places = []
    for temperature in (1.0, 2.0, 4.0, 8.0):
        slider.set_value(temperature)
        places.append(slider.slider.value())
    assert np.allclose(np.diff(places), places[1] - places[0], atol=1)
    slider.slider.setValue(slider.slider.maximum())
    assert slider.value() == 100
    slider.number.setText("no number")
    assert math.isnan(slider.value())


def test_that_the_picture_follows_the_temperature(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    picture = window.setup.distillation.picture
    qtbot.waitUntil(lambda: picture.samples is not None, timeout=WAIT)
    before = picture.probabilities()
    window.setup.distillation.temperature.slider.setValue(460)
    after = picture.probabilities()
    assert before is not None
    assert after is not None
    assert after.max() < before.max()
    assert after.sum() == pytest.approx(1)


def test_that_a_past_run_becomes_a_teacher(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    wait_history(qtbot, window, 4)
    student = next(row for row in newest(window) if row.role == "student")
    window.history.select_runs([student.run])
    qtbot.mouseClick(window.history.buttons["teacher"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.tabs.currentWidget() is window.setup, timeout=WAIT)
    assert window.setup.teachers.groups[-1].run == student.run
    wait_checked(qtbot, window)
    assert "3 teachers, 3 reused" in window.setup.plan.text()
    assert window.setup._config is not None
    assert window.setup._config.teachers[-1] == TeacherConfig(run=student.run)


def test_that_a_download_that_fails_is_said_whole_and_the_next_launch_works(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    window.setup.data.dataset.setCurrentText("kmnist")
    qtbot.waitUntil(lambda: "Launch downloads it" in window.setup.data.message.text(), timeout=WAIT)
    wait_checked(qtbot, window)
    assert window.setup.student.size_label.text() == ""
    qtbot.mouseClick(window.setup.launch, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.live.watched.experiment > 0 and window.live.watched.finished, timeout=WAIT)
    assert "kmnist was not found in" in window.banner.text.text()
    assert window.live.results.isHidden()
    window.tabs.setCurrentWidget(window.setup)
    window.setup.show_recipe("digits")
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    assert window.live.state.text() == "Done."
    assert not window.banner.isVisible()


def test_that_the_wheel_over_a_field_without_focus_is_left_to_the_column(qtbot: QtBot, themed: None) -> None:
    screen = SetupScreen(lambda *_: None)
    qtbot.addWidget(screen)
    screen.show_recipe("specialists-digits")
    screen.sweep.add("distillation.temperature", [1, 2])
    fields = [field for kind in (QSpinBox, QComboBox, QSlider) for field in screen.findChildren(kind)]
    assert {type(field) for field in fields} >= {QSpinBox, QComboBox, QSlider}
    for field in fields:
        before, at = shown_by(field), QPointF(5, 5)
        turn = QWheelEvent(
            at, field.mapToGlobal(at), QPoint(0, -120), QPoint(0, -120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(field, turn)
        assert (turn.isAccepted(), shown_by(field)) == (False, before), field.accessibleName()
        assert field.focusPolicy() == Qt.FocusPolicy.StrongFocus, field.accessibleName()


@pytest.mark.parametrize("at_once", [True, False])
def test_that_a_launch_right_after_an_edit_waits_for_its_plan(qtbot: QtBot, window: MainWindow, at_once: bool) -> None:
    make_small(qtbot, window)
    type_number(qtbot, window.setup.distillation.temperature.number, "7")
    if not at_once:
        qtbot.waitUntil(lambda: not window.setup._settle.isActive(), timeout=WAIT)
    with qtbot.waitSignal(window.setup.launched, timeout=WAIT) as launched:
        qtbot.keyClick(window, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert launched.args is not None
    assert launched.args[0].distillation.temperature == 7
    qtbot.waitUntil(lambda: window.live.watched.finished, timeout=WAIT)


@pytest.mark.parametrize(("typed", "why"), [("0", "temperature"), ("7", "changed")])
def test_that_a_launch_that_cannot_wait_for_its_plan_says_why(qtbot: QtBot, window: MainWindow, typed: str, why: str) -> None:
    number = window.setup.distillation.temperature.number
    type_number(qtbot, number, typed)
    qtbot.keyClick(window, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    if why == "changed":
        type_number(qtbot, number, "8")
    qtbot.waitUntil(window.banner.isVisible, timeout=WAIT)
    assert window.banner.text.text().startswith("Not launched: ")
    assert why in window.banner.text.text()
    type_number(qtbot, number, "9")
    wait_checked(qtbot, window)
    assert window.tabs.currentWidget() is window.setup
    type_number(qtbot, number, "0")
    qtbot.waitUntil(lambda: window.setup.distillation.error.isVisible(), timeout=WAIT)
    window.banner.hide()
    qtbot.keyClick(window, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert "temperature" in window.banner.text.text()
    assert window.banner.isVisible()


def shown_by(field: QSpinBox | QComboBox | QSlider) -> int | str:
    """What stands in a field."""
    return field.currentText() if isinstance(field, QComboBox) else field.value()
