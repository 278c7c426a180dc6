"""Specialists in the set-up screen: switched on, described by the plan, and what is wrong with them said beside them."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from tests.gui.driving import WAIT, type_number, wait_checked
from workbench.config import ExperimentConfig, SpecialistsConfig
from workbench.gui.main_window import MainWindow
from workbench.gui.setup.parts import SpecialistsPart
from workbench.questions.plans import PlanSummary
from workbench.recipes import experiment_of, recipe_paths


def test_that_specialists_are_off_until_they_are_checked(qtbot: QtBot, window: MainWindow) -> None:
    part, tabs = window.setup.specialists, window.setup.training.tabs
    assert (part.isChecked(), part.inside.isVisible(), tabs.isTabVisible(2)) == (False, False, False)
    assert window.setup._config is not None
    assert window.setup._config.specialists is None
    assert part.hint.isVisible()
    assert not part.inside.isVisible()
    type_number(qtbot, window.setup.teachers.groups[0].count, "1")
    qtbot.mouseClick(part, Qt.MouseButton.LeftButton, pos=QPoint(18, 10))
    wait_checked(qtbot, window)
    assert (part.isChecked(), part.inside.isHidden(), tabs.isTabVisible(2)) == (True, False, True)
    type_number(qtbot, part.form.editors["count"].field, "3")
    type_number(qtbot, window.setup.training.specialists.editors["epochs"].field, "4")
    wait_checked(qtbot, window)
    assert window.setup._config.specialists == SpecialistsConfig(count=3)
    assert not part.hint.isVisible()
    assert part.inside.isVisible()
    assert window.setup._config.specialist_training.epochs == 4
    words = window.setup.plan.text()
    assert words.startswith(
        "1 generalist, up to 3 specialists; the student, distilled from all and from the generalist alone, and its baseline"
    )
    assert "about" in words
    qtbot.mouseClick(part, Qt.MouseButton.LeftButton, pos=QPoint(18, 10))
    wait_checked(qtbot, window)
    assert window.setup._config.specialists is None
    assert window.setup.plan.text().startswith("1 teacher; ")


@pytest.mark.parametrize("name", [name for name in recipe_paths() if name.startswith("specialists-digits")])
def test_that_a_recipe_with_specialists_is_shown_as_it_is(qtbot: QtBot, window: MainWindow, name: str) -> None:
    window.setup.show_recipe(name)
    wait_checked(qtbot, window)
    assert window.setup._config == experiment_of(name)
    assert ExperimentConfig.from_dict(window.setup.tables()) == experiment_of(name)


def test_that_what_is_wrong_with_specialists_is_said_beside_them(qtbot: QtBot, window: MainWindow) -> None:
    window.setup.show_recipe("specialists-digits")
    wait_checked(qtbot, window)
    part = window.setup.specialists
    editor = part.form.editors["count"]
    type_number(qtbot, editor.field, "11")  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: bool(editor.error), timeout=WAIT)
    assert editor.error == "11 subsets are more than the 10 classes of digits"
    assert not window.setup.launch.isEnabled()
    type_number(qtbot, editor.field, "4")  # type: ignore[arg-type]
    wait_checked(qtbot, window)
    hand = part.form.editors["by_hand"]
    hand.set_value(("4, 9", "3"))
    qtbot.waitUntil(lambda: bool(hand.error), timeout=WAIT)
    assert hand.error == "a subset needs at least two classes, not 3"
    assert hand.isVisible()
    hand.set_value(("4, 9", "3, 5, 8"))
    wait_checked(qtbot, window)
    assert "up to 2 specialists" in window.setup.plan.text()
    qtbot.mouseClick(window.setup.teachers.add_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "name one teacher alone beside specialists" in window.setup.plan.text(), timeout=WAIT)
    assert window.setup.teachers.error.isVisible()


def test_that_subsets_by_hand_are_written_with_semicolons_between(qtbot: QtBot, themed: None) -> None:
    part = SpecialistsPart()
    qtbot.addWidget(part)
    part.show_config(SpecialistsConfig(by_hand=("4, 9", "3, 5, 8")))
    assert part.form.editors["by_hand"].field.text() == "4, 9; 3, 5, 8"  # type: ignore[attr-defined]
    assert SpecialistsConfig(**(part.value() or {})) == SpecialistsConfig(by_hand=("4, 9", "3, 5, 8"))


def test_that_a_sweep_of_specialists_says_how_many_models_at_most(qtbot: QtBot, window: MainWindow) -> None:
    window.setup.show_recipe("specialists-digits")
    window.setup.sweep.show_table({"seeds": 2})
    wait_checked(qtbot, window)
    assert window.setup.plan.text().startswith("A sweep of 2 experiments: at most 16 models to train")


def test_that_a_plan_without_students_says_so() -> None:
    words = PlanSummary(
        teachers=1,
        reused=1,
        baseline=True,
        baseline_reused=False,
        student_parameters=10,
        student_multiply_adds=10,
        ensemble_parameters=10,
        training_cases=100,
        transfer_cases=100,
        cases_by_class=(),
        own_images=0,
        own_note="",
        seconds=None,
        device="CPU",
        specialists=8,
        students=False,
    ).words()
    assert words == "1 generalist, reused, up to 8 specialists, and all of them combined"
