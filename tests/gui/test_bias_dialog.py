"""Bias correction in the window: chosen on validation, kept with the run, taken back with undo."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from tests.experiments import add_run, tiny
from tests.gui.driving import WAIT, launch_and_finish, make_small, wait_checked, wait_history
from tests.gui.test_files import when_shown
from workbench.analysis.bias import Correction, errors_at
from workbench.gui.history.bias_dialog import BiasDialog
from workbench.gui.history.screen import HistoryScreen
from workbench.gui.main_window import MainWindow
from workbench.history import reading
from workbench.history.database import open_database
from workbench.history.writing import History
from workbench.questions.images import BiasSamples


def kept(qtbot: QtBot, window: MainWindow, run: int) -> object:
    found: list[object] = []
    window.ask_history("kept", lambda database: reading.correction(database, run), found.append)
    qtbot.waitUntil(lambda: bool(found), timeout=WAIT)
    return found[0]


def test_that_a_class_left_out_is_corrected_by_slider_and_by_button_and_taken_back(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window, epochs=30)
    window.setup.transfer.form.editors["fraction"].set_value(1.0)
    window.setup.transfer.form.editors["leave_out"].set_value((3,))
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    runs = wait_history(qtbot, window, 4)
    window.history.select_runs([runs[-1]])
    qtbot.waitUntil(window.history.buttons["bias"].isEnabled, timeout=WAIT)
    seen: dict[str, object] = {}

    def correct(dialog: BiasDialog) -> None:
        seen["classes"] = dialog.numbers()
        seen["before"] = dialog.validation.text()
        dialog.slider.setValue(2000)
        seen["far"] = dialog.validation.text()
        qtbot.mouseClick(dialog.buttons["validation"], Qt.MouseButton.LeftButton)
        seen["best"] = dialog.validation.text()
        seen["correction"] = dialog.correction()
        dialog.accept()

    when_shown(window, BiasDialog, correct)
    qtbot.mouseClick(window.history.buttons["bias"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "correction" in seen, timeout=WAIT)
    errors = {name: int(str(seen[name]).split()[0]) for name in ("before", "far", "best")}
    assert seen["classes"] == (3,)
    assert errors["best"] <= min(errors["before"], errors["far"])
    assert errors["far"] > errors["best"]
    assert kept(qtbot, window, runs[-1]) == seen["correction"]
    if seen["correction"] is not None:
        window.history.undo_stack.undo()
        qtbot.waitUntil(lambda: kept(qtbot, window, runs[-1]) is None, timeout=WAIT)


def samples(run: int = 1, test_seed: int = 1) -> BiasSamples:
    """Logits of a student that never saw the last of three classes; the splits differ in how many cases they have."""

    def split(seed: int, cases: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(seed)
        labels = random.integers(0, 3, cases)
        logits = random.normal(size=(cases, 3)) + 3 * np.eye(3)[labels]
        return logits - np.array([0.0, 0.0, 4.0]), labels

    return BiasSamples(
        run=run,
        classes=("cat", "dog", "cow"),
        missing=(2,),
        frequency=np.full(3, 1 / 3),
        validation=split(0, 300),
        test=split(test_seed, 777),
    )


def texts(widget: QWidget) -> set[str]:
    """Whatever can be read in a widget, its tooltips too."""
    found = [widget, *widget.findChildren(QWidget)]
    return {one.text() for one in found if hasattr(one, "text")} | {one.toolTip() for one in found}


def test_that_nothing_of_the_test_split_is_seen_while_a_person_chooses(qtbot: QtBot, themed: None) -> None:
    def seen(test_seed: int) -> list[set[str]]:
        dialog = BiasDialog(samples(test_seed=test_seed), None)
        qtbot.addWidget(dialog)
        dialog.show()
        found = [texts(dialog)]
        for act in (*dialog.buttons.values(), *(0, 150, 400, -2000)):
            if isinstance(act, int):
                dialog.slider.setValue(act)
            else:
                qtbot.mouseClick(act, Qt.MouseButton.LeftButton)
            found.append(texts(dialog))
        return found

    first = seen(1)
    assert any("of 300" in text for text in first[0])
    assert not any("777" in text for shown in first for text in shown)
    assert seen(2) == first


def press_right(qtbot: QtBot, dialog: BiasDialog) -> None:
    qtbot.keyClick(dialog.slider, Qt.Key.Key_Right)


def choose_another_class(qtbot: QtBot, dialog: BiasDialog) -> None:
    place = dialog.classes.visualItemRect(dialog.classes.item(0)).center()
    qtbot.mouseClick(dialog.classes.viewport(), Qt.MouseButton.LeftButton, pos=place)


@pytest.mark.parametrize(
    ("act", "way"),
    [(press_right, "hand"), (choose_another_class, "hand"), (lambda *_: None, "validation")],
    ids=["slider", "class", "nothing"],
)
def test_that_what_a_hand_has_changed_is_kept_as_set_by_hand_and_its_test_errors_are_told(
    act: Callable[[QtBot, BiasDialog], None], way: str, qtbot: QtBot, themed: None, history_path: Path
) -> None:
    with History(history_path) as history:
        run = add_run(history, history.enqueue(tiny()), "student")
    with closing(open_database(history_path)) as database:
        screen = HistoryScreen(lambda *_: None, lambda _, change, done: done(change(database)))
        qtbot.addWidget(screen)
        chosen: list[Correction | None] = []

        def correct(dialog: BiasDialog) -> None:
            qtbot.mouseClick(dialog.buttons["validation"], Qt.MouseButton.LeftButton)
            act(qtbot, dialog)
            chosen.append(dialog.correction())
            dialog.accept()

        when_shown(screen, BiasDialog, correct)
        with qtbot.waitSignal(screen.said, timeout=WAIT) as said:
            screen.ask_bias(samples(run), None)
        (one,) = chosen
        assert one is not None
        assert one.way == way
        assert reading.correction(database, run) == one
        after = errors_at(*samples().test, one.classes, one.shift).words()
        assert f"{after} now" in said.args[0]
