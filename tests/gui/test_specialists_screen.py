"""The Specialists screen, from a generalist to the verdict on an image."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from tests.experiments import specialised
from tests.gui.driving import WAIT, launch_and_finish, type_number, wait_checked, wait_history
from workbench.config import SpecialistsConfig, TeacherConfig
from workbench.gui.main_window import MainWindow
from workbench.gui.specialists.canvas import Canvas
from workbench.gui.specialists.cards import NOWHERE, ClassList, class_mime
from workbench.gui.specialists.heat_map import ordered
from workbench.gui.specialists.screen import SpecialistsScreen
from workbench.history.database import open_for_reading
from workbench.history.reading import run_details
from workbench.history.specialised import Candidate
from workbench.questions.specialists import SubsetsFound, share_inside, shrunk


def shown(qtbot: QtBot, window: MainWindow) -> SpecialistsScreen:
    """The screen in front, with subsets of the first generalist."""
    screen = window.specialists
    window.tabs.setCurrentWidget(screen)
    qtbot.waitUntil(lambda: screen.subsets.found is not None, timeout=WAIT)
    return screen


def drop(card: ClassList, number: int, source: int, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """A class is dropped onto a card, as the desktop does at the end of a drag."""
    mime = class_mime(number, source)
    actions = Qt.DropAction.MoveAction | Qt.DropAction.CopyAction
    button = Qt.MouseButton.LeftButton
    QApplication.sendEvent(card.viewport(), QDragEnterEvent(QPoint(5, 5), actions, mime, button, keys))
    QApplication.sendEvent(card.viewport(), QDropEvent(QPointF(5, 5), actions, mime, button, keys))


def choose(menu: QMenu, *names: str) -> None:
    """Press an entry of a menu, or of a menu in it."""
    menu.aboutToShow.emit()
    action = next(action for action in menu.actions() if action.text() == names[0])
    if names[1:]:
        inside = action.menu()
        assert isinstance(inside, QMenu)
        choose(inside, *names[1:])
    else:
        action.trigger()


def test_that_a_screen_without_generalists_says_how_to_get_one(qtbot: QtBot, window: MainWindow) -> None:
    window.tabs.setCurrentWidget(window.specialists)
    assert window.specialists.pages.currentIndex() == 0
    assert "specialists-digits" in window.specialists.pages.currentWidget().text()  # type: ignore[attr-defined]


def test_that_a_person_goes_from_a_generalist_to_the_verdict_on_an_image(qtbot: QtBot, window: MainWindow) -> None:
    window.setup.show_config(specialised())
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    wait_history(qtbot, window, 7)
    screen = shown(qtbot, window)
    assert screen.list.currentItem().text() == "tiny #1\nmlp 1×16 on digits"
    page = screen.subsets
    assert page.found is not None
    assert page.editors["count"].value() == 2
    assert [len(subset) for subset in page.cards.subsets] == [4, 4]
    assert page.map.order[:4] == page.cards.subsets[0]
    before = share_inside(page.cards.subsets, page.found.errors)
    assert page.share.text().startswith(f"{before:.0%} of the generalist's")

    # other subsets, found anew
    found = page.found
    type_number(qtbot, page.editors["count"].field, "3")  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: page.found not in (None, found), timeout=WAIT)
    assert page.found.config.count == 3
    type_number(qtbot, page.editors["count"].field, "11")  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: page.error.isVisible(), timeout=WAIT)
    assert page.error.text() == "11 subsets are more than the 10 classes of digits."
    assert page.share.text() == ""
    type_number(qtbot, page.editors["count"].field, "2")  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: page.found is not None and page.found.config.count == 2, timeout=WAIT)

    # by hand
    cards = page.cards
    for place in (0, 1):
        for number in list(cards.subsets[place])[1:]:
            drop(cards.nowhere.classes, number, place)
    first, second = (subset[0] for subset in cards.subsets)
    assert page.error.text() == "Subset 1 has one class; a specialist tells at least two apart."
    assert not page.set_up.isEnabled()
    others = [number for number in range(10) if number not in (first, second)]
    drop(cards.cards[0].classes, others[0], NOWHERE)
    drop(cards.cards[1].classes, others[0], 0, Qt.KeyboardModifier.ControlModifier)
    choose(cards.cards[1].add.menu(), str(others[1]))
    choose(cards.menu_of(others[1], 1), "Put also into", "Subset 1")
    assert [set(subset) for subset in cards.subsets] == [{first, *others[:2]}, {second, *others[:2]}]
    cards.cards[0].classes.setFocus()
    cards.cards[0].classes.setCurrentRow(cards.subsets[0].index(others[1]))
    qtbot.keyClick(cards.cards[0].classes, Qt.Key.Key_Delete)
    choose(cards.menu_of(others[0], 1), "Remove from this subset")
    wanted = [sorted((first, others[0])), sorted((second, others[1]))]
    assert cards.subsets == wanted
    inside = share_inside(wanted, page.found.errors)
    assert page.share.text().startswith(f"{inside:.0%} of")
    qtbot.mouseClick(cards.more, Qt.MouseButton.LeftButton)
    assert not page.set_up.isEnabled()
    for number in wanted[0]:
        drop(cards.cards[2].classes, number, NOWHERE)
    assert page.error.text() == "Subsets 1 and 3 have the same classes; one specialist is enough for them."
    assert not page.set_up.isEnabled()
    qtbot.mouseClick(cards.cards[2].away, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(page.set_up, Qt.MouseButton.LeftButton)
    assert window.tabs.currentWidget() is window.setup
    wait_checked(qtbot, window)
    config = window.setup._config
    assert config is not None
    assert config.teachers[0].run == 1
    assert config.specialists is not None
    assert config.specialists.by_hand == tuple(", ".join(map(str, subset)) for subset in wanted)
    assert window.setup.plan.text().startswith("1 generalist, reused, up to 2 specialists; ")

    # trained, and looked into
    launch_and_finish(qtbot, window)
    wait_history(qtbot, window, 12)
    with closing(open_for_reading(window.history_path)) as database:
        learned = [run_details(database, run).config["specialist"]["classes"] for run in (8, 9)]
    assert learned == wanted
    window.tabs.setCurrentWidget(screen)
    qtbot.waitUntil(lambda: screen.current is not None and screen.current.experiment == 2, timeout=WAIT)
    for row in (2, 1):
        at = screen.list.visualItemRect(screen.list.item(row)).center()
        qtbot.mouseClick(screen.list.viewport(), Qt.MouseButton.LeftButton, pos=at)
        assert screen.current.experiment == 3 - row
    qtbot.waitUntil(lambda: page.found is not None and page.cards.subsets == wanted, timeout=WAIT)
    screen.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: screen.results.results is not None, timeout=WAIT)
    assert "errors combined" in screen.results.headline.text()
    assert screen.results.covered.item(0, 0).text() == "0"
    assert screen.results.figures.rowCount() >= 10
    look_at_images(qtbot, screen)


def look_at_images(qtbot: QtBot, screen: SpecialistsScreen) -> None:
    screen.tabs.setCurrentIndex(2)
    page = screen.images
    qtbot.waitUntil(lambda: page.panel.verdict is not None, timeout=WAIT)
    assert page.filter.currentText() == "all (500)"
    assert page.images.count() == 120
    qtbot.mouseClick(page.more, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.images.count() == 240, timeout=WAIT)
    page.filter.setCurrentIndex(1)
    page.filter.activated.emit(1)
    qtbot.waitUntil(lambda: page.panel.verdict is not None and page.images.currentRow() == 0, timeout=WAIT)
    at = page.images.visualItemRect(page.images.item(1)).center()
    before = page.panel.verdict
    qtbot.mouseClick(page.images.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: page.panel.verdict is not before, timeout=WAIT)
    verdict = page.panel.verdict
    assert verdict is not None
    said = int(verdict.generalist.argmax())
    assert said != verdict.label
    assert all(said in opinion.subset for opinion in verdict.opinions)
    assert not any(said in subset for _, subset in verdict.idle)
    for one in (verdict.generalist, verdict.combined):
        assert one.sum() == pytest.approx(1.0, abs=1e-4)
    for opinion in verdict.opinions:
        assert opinion.probabilities.sum() + (opinion.other or 0.0) == pytest.approx(1.0, abs=1e-4)
    titles = [bars.title for bars in page.panel.bars]
    assert titles == ["The generalist", *(one.name.capitalize() for one in verdict.opinions), "All together"]
    assert f"Right class: {verdict.label}." in page.panel.sentence.text()
    assert [bar.name for bar in page.panel.bars[0].bars if bar.right] == [str(verdict.label)]
    page.sides.setCurrentIndex(1)
    assert page.panel.sentence.text() == "Draw something at the left."
    draw_a_one(qtbot, page.canvas)
    qtbot.waitUntil(lambda: page.panel.verdict is not None and page.panel.verdict.label is None, timeout=WAIT)
    assert page.panel.verdict.image.shape == (1, 8, 8)
    assert page.panel.verdict.image[0, :, 3:5].mean() > page.panel.verdict.image[0, :, :2].mean() + 50
    assert not any(bar.right for bars in page.panel.bars for bar in bars.bars)
    qtbot.mouseClick(page.anew, Qt.MouseButton.LeftButton)
    assert page.canvas.empty
    page.sides.setCurrentIndex(0)
    qtbot.waitUntil(lambda: page.panel.verdict is not None and page.panel.verdict.label == verdict.label, timeout=WAIT)


def draw_a_one(qtbot: QtBot, canvas: Canvas) -> None:
    """A line from top to bottom, with the mouse."""
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(60, 30))
    for y in range(40, 200, 20):
        qtbot.mouseMove(canvas, QPoint(60, y))
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(60, 200))


def test_that_a_drawing_is_made_small_by_means_and_laid_in_the_middle() -> None:
    drawing = np.zeros((224, 224), np.uint8)
    drawing[:56, :56] = 255
    image = shrunk(drawing, 8, 8)
    assert image.shape == (8, 8)
    assert (image[3:5, 3:5] == 255).all()
    assert abs(int(image.sum(dtype=int)) * 28 * 28 - int(drawing.sum(dtype=int))) < 28 * 28 * 64
    assert shrunk(np.zeros((224, 224), np.uint8), 28, 20).shape == (28, 20)


def test_that_what_is_done_to_the_cards_by_hand_is_undone_and_done_again(qtbot: QtBot, window: MainWindow) -> None:
    screen, page = window.specialists, window.specialists.subsets
    window.tabs.setCurrentWidget(screen)
    names = tuple("abcdef")
    found = SubsetsFound(
        run=1,
        config=SpecialistsConfig(count=2),
        classes=names,
        subsets=((0, 1), (2, 3)),
        matrix=np.eye(6),
        errors=np.ones((6, 6), int) - np.eye(6, dtype=int),
        images={},
    )
    screen.pages.setCurrentIndex(1)
    page.show_found(found)
    cards, control = page.cards, Qt.KeyboardModifier.ControlModifier
    window.activateWindow()
    drop(cards.cards[1].classes, 0, 0)
    drop(cards.cards[1].classes, 0, 0)
    qtbot.mouseClick(cards.more, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(cards.cards[0].away, Qt.MouseButton.LeftButton)
    states = [[[0, 1], [2, 3]], [[1], [0, 2, 3]], [[1], [0, 2, 3], []], [[0, 2, 3], []]]
    assert cards.subsets == states[3]
    for state in (states[2], states[1], states[0], states[0]):
        qtbot.keyClick(window, Qt.Key.Key_Z, control)
        assert cards.subsets == state
    assert page.set_up.isEnabled()
    assert page.share.text().startswith("13% of the generalist's 30 errors")
    assert [card.classes.count() for card in cards.cards[:2]] == [2, 2]
    qtbot.keyClick(window, Qt.Key.Key_Y, control)
    assert cards.subsets == states[1]
    qtbot.keyClick(window, Qt.Key.Key_Z, control | Qt.KeyboardModifier.ShiftModifier)
    assert cards.subsets == states[2]
    window.tabs.setCurrentWidget(window.history)
    qtbot.keyClick(window, Qt.Key.Key_Z, control)
    assert cards.subsets == states[2]
    window.tabs.setCurrentWidget(screen)
    page.show_found(found)
    qtbot.keyClick(window, Qt.Key.Key_Z, control)
    assert cards.subsets == states[0]


def test_that_a_run_without_specialists_has_subsets_and_says_what_is_missing(qtbot: QtBot, window: MainWindow) -> None:
    window.setup.show_config(specialised(specialists__students=False, specialists__count=2))
    window.setup.specialists.setChecked(False)
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    wait_history(qtbot, window, 3)
    screen = shown(qtbot, window)
    assert all(not one.whole for one in screen.candidates)
    assert {one.run for one in screen.candidates} == {1, 2, 3}
    for place in (1, 2):
        screen.tabs.setCurrentIndex(place)
        assert "no specialists yet" in screen.tabs.currentWidget().currentWidget().text()  # type: ignore[attr-defined]
    screen.filter.setText("nothing of that name")
    qtbot.waitUntil(lambda: not screen.candidates, timeout=WAIT)
    assert screen.pages.currentIndex() == 1
    screen.filter.clear()
    qtbot.waitUntil(lambda: len(screen.candidates) == 3, timeout=WAIT)


def test_that_weights_that_are_gone_are_said_in_a_sentence(qtbot: QtBot, window: MainWindow) -> None:
    window.setup.show_config(specialised())
    window.setup.specialists.setChecked(False)
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    wait_history(qtbot, window, 3)
    for path in window.history_path.with_suffix(".files").rglob("*"):
        if path.is_file():
            path.unlink()
    window.tabs.setCurrentWidget(window.specialists)
    qtbot.waitUntil(window.specialists.subsets.error.isVisible, timeout=WAIT)
    assert window.specialists.subsets.error.text().count(".") >= 1
    assert "run" in window.specialists.subsets.error.text()
    assert not window.specialists.subsets.set_up.isEnabled()


def candidate(**tables: Any) -> Candidate:
    """A run that can be a generalist, of an experiment with these tables."""
    return Candidate(run=7, whole=0, experiment=3, name="made", words="", tables={"data": {}, **tables})


def test_that_subsets_are_set_up_with_the_run_as_it_is_whatever_its_experiment_was() -> None:
    made = candidate(
        refit=True,
        teachers=[{"count": 3}, {"units": 20}],
        distillation={"match": "logits", "temperature": 3.0},
        data={"validation_fraction": 0.0},
        training={"epochs": 9, "patience": 2},
    ).with_subsets(["4, 9", "3, 5, 8"], SpecialistsConfig(top=2))
    assert made.teachers == (TeacherConfig(run=7),)
    assert made.specialists == SpecialistsConfig(top=2, by_hand=("4, 9", "3, 5, 8"))
    assert (made.training.epochs, made.training.keep, made.training.patience) == (9, "last", 0)
    assert (made.distillation.temperature, made.distillation.match, made.refit) == (3.0, "targets", False)
    kept = candidate(specialists={"by_hand": ["1, 2"], "size": 3}, teacher_seed=4)
    assert kept.specialists == SpecialistsConfig(by_hand=("1, 2",), size=3)
    assert kept.seed == 4


def test_that_the_map_reads_the_square_under_the_pointer(qtbot: QtBot, window: MainWindow) -> None:
    map_ = window.specialists.subsets.map
    map_.resize(400, 400)
    matrix = np.array([[1.0, 0.5, -0.25], [0.5, 1.0, 0.125], [-0.25, 0.125, 1.0]])
    map_.show_matrix(matrix, ("cat", "dog", "cow"), [[0, 2], [1]], "likeness")
    assert map_.order == [0, 2, 1]
    area, cell = map_._area()
    assert map_.words_at(QPointF(area.left() + 1.5 * cell, area.top() + 0.5 * cell)) == "cat and cow: likeness -0.25"
    assert map_.words_at(QPointF(area.left() + 0.5 * cell, area.top() + 0.5 * cell)) == "cat"
    assert map_.words_at(QPointF(QPoint(0, 0))) == ""


def test_that_classes_are_ordered_by_subset_and_each_comes_once() -> None:
    assert ordered([[3, 1], [1, 2]], 6) == [1, 3, 2, 0, 4, 5]


def test_that_an_error_between_two_classes_of_a_subset_is_inside() -> None:
    errors = np.zeros((4, 4), int)
    errors[0, 1], errors[2, 3], errors[3, 0] = 3, 1, 4
    assert share_inside([(0, 1)], errors) == 3 / 8
    assert share_inside([(0, 1), (1, 3), (0, 3)], errors) == 7 / 8
    assert share_inside([], errors) == 0
    assert share_inside([(0, 1)], np.zeros((4, 4), int)) is None


def test_that_the_history_offers_for_a_run_only_what_goes_with_it(qtbot: QtBot, window: MainWindow) -> None:
    window.setup.show_config(specialised(specialists__students=False))
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    wait_history(qtbot, window, 4)
    window.tabs.setCurrentWidget(window.history)
    offered = {}
    for run in (1, 2, 4):
        window.history.select_runs([run])
        offered[run] = {name for name in ("teacher", "bias", "epochs") if window.history.buttons[name].isEnabled()}
    assert offered == {1: {"teacher", "bias", "epochs"}, 2: {"teacher", "epochs"}, 4: set()}
