"""The Look screen, from a test image's soft targets to one's own pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from tests.experiments import tiny
from tests.gui.driving import WAIT, launch_and_finish, wait_checked
from workbench.analysis.looking import entropy
from workbench.errors import NotHere
from workbench.gui.look.gallery import GalleryModel
from workbench.gui.look.screen import LookScreen
from workbench.gui.main_window import MainWindow
from workbench.history.reported import Reportable

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def looked(qtbot: QtBot, window: MainWindow) -> LookScreen:
    """The screen in front, after an experiment that took a moment."""
    window.setup.show_config(tiny(teacher_training__epochs=6))
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    return in_front(qtbot, window)


def in_front(qtbot: QtBot, window: MainWindow) -> LookScreen:
    window.tabs.setCurrentWidget(window.look)
    qtbot.waitUntil(lambda: window.look.looked is not None, timeout=WAIT)
    return window.look


def choose_sieve(screen: LookScreen, name: str) -> None:
    box = screen.images.gallery.filter
    box.setCurrentIndex(box.findData(name))
    box.activated.emit(box.currentIndex())


def draw(qtbot: QtBot, screen: LookScreen, *places: tuple[int, int]) -> None:
    canvas = screen.drawing.canvas
    qtbot.mousePress(canvas, LEFT, pos=QPoint(*places[0]))
    for place in places[1:]:
        qtbot.mouseMove(canvas, QPoint(*place))
    qtbot.mouseRelease(canvas, LEFT, pos=QPoint(*places[-1]))


def drop(screen: LookScreen, *paths: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    about = (Qt.DropAction.CopyAction, mime, LEFT, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(screen.own, QDragEnterEvent(QPoint(5, 5), *about))
    QApplication.sendEvent(screen.own, QDropEvent(QPointF(5, 5), *about))


def test_that_without_an_experiment_the_screen_says_what_to_do(qtbot: QtBot, window: MainWindow) -> None:
    window.tabs.setCurrentWidget(window.look)
    qtbot.waitUntil(lambda: window.look.hint.text().startswith("No experiment yet."), timeout=WAIT)
    assert window.look.hint.isVisible()


def test_that_a_person_moves_the_temperature_over_an_image_and_sees_the_wrong_classes_appear(
    qtbot: QtBot, looked: LookScreen
) -> None:
    there, bars = looked.looked, looked.images.opinions
    assert there is not None
    assert looked.temperature.value() == 4.0
    assert [one.key for one in there.line_up.parties] == ["ensemble", "student", "baseline", "member 1", "member 2"]
    assert looked.images.gallery.model.rowCount() == 500
    np.testing.assert_allclose(bars.said, there.line_up.at(there.logits[:, 0], 4.0))
    bits = []
    for key in (Qt.Key.Key_Home, Qt.Key.Key_End):
        qtbot.keyClick(looked.temperature.slider, key)
        bits.append(bars.bits.copy())
        np.testing.assert_allclose(
            bars.bits, entropy(there.line_up.at(there.logits[:, 0], looked.temperature.value())), rtol=1e-5
        )
    assert looked.temperature.value() == 50
    assert (bits[0] < bits[1]).all()
    assert bits[1].max() <= np.log2(10) + 1e-5
    words = looked.images.sentence.text()
    assert "At T = 50 the ensemble of 2 gives" in words
    assert re.fullmatch(r".* gives \d+\.\d% to \d and \d+\.\d% to \d, \d+\.\d% to all .*", words, re.DOTALL)
    looked.logarithmic.click()
    assert bars.grab().width() > 0


def test_that_arrow_keys_go_through_the_images_of_a_filter_and_a_class(qtbot: QtBot, looked: LookScreen) -> None:
    there, gallery = looked.looked, looked.images.gallery
    assert there is not None
    choose_sieve(looked, "student wrong")
    gallery.classes.setCurrentText("3")
    gallery.classes.activated.emit(4)
    wrong = np.flatnonzero((there.said("student") != there.labels) & (there.labels == 3))
    assert len(wrong) > 1
    assert gallery.model.cases.tolist() == wrong.tolist()
    assert gallery.state.text() == f"{len(wrong)} test images."
    assert gallery.case == wrong[0]
    qtbot.keyClick(gallery.view, Qt.Key.Key_Right)
    assert gallery.case == wrong[1]
    np.testing.assert_allclose(looked.images.opinions.said, there.line_up.at(there.logits[:, wrong[1]], 4.0))
    assert looked.images.sentence.text().startswith(f"Test image {wrong[1]:,}, truly 3.")
    choose_sieve(looked, "dark")
    assert "highest entropy at the student's T = 4 first" in gallery.state.text()


def test_that_cells_of_the_matrices_show_their_images(qtbot: QtBot, looked: LookScreen) -> None:
    there, page = looked.looked, looked.images
    assert there is not None
    page.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: len(page.means.matrix) == 10, timeout=WAIT)
    before = page.means.matrix.copy()
    np.testing.assert_allclose(before.sum(axis=1), 1, atol=1e-4)
    qtbot.mouseClick(page.means, LEFT, pos=page.means.middle_of(4, 9).toPoint())
    assert page.gallery.of_cell.text() == "4, the likest to 9 at T = 4 first"
    assert set(page.gallery.model.cases) == set(np.flatnonzero(there.labels == 4))
    qtbot.keyClick(looked.temperature.slider, Qt.Key.Key_End)
    qtbot.waitUntil(lambda: not np.allclose(page.means.matrix, before), timeout=WAIT)

    page.tabs.setCurrentIndex(2)
    matrix = page.confusions.map.matrix
    apart = matrix - np.diag(np.diag(matrix))
    right, other = (int(at) for at in np.unravel_index(apart.argmax(), apart.shape))
    qtbot.mouseClick(page.confusions.map, LEFT, pos=page.confusions.map.middle_of(right, other).toPoint())
    assert page.gallery.of_cell.text() == f"{right}, taken for {other} by the student"
    assert page.gallery.model.rowCount() == apart.max()
    qtbot.mouseClick(page.gallery.leave_cell, LEFT)
    assert page.gallery.model.rowCount() == 500
    page.confusions.minus.setCurrentText("baseline")
    page.confusions.minus.activated.emit(page.confusions.minus.currentIndex())
    assert page.confusions.map.matrix.sum() == 0
    assert (page.confusions.map.matrix < 0).any()


def test_that_calibration_is_shown_before_and_after(qtbot: QtBot, looked: LookScreen) -> None:
    page = looked.images.calibration
    looked.images.tabs.setCurrentIndex(3)
    qtbot.waitUntil(lambda: page.table.rowCount() == 3, timeout=WAIT)
    assert "fitted on 130 validation images" in page.state.text()
    assert page.of.currentText() == "student"
    page.table.selectRow(2)
    assert page.of.currentText() == "baseline"
    assert page.before.parties[0].name == "at T = 1"
    assert page.after.parties[0].name == f"at T = {page.table.item(2, 1).text()}"  # type: ignore[union-attr]


def test_that_a_drawing_is_predicted_while_the_pen_moves(qtbot: QtBot, looked: LookScreen) -> None:
    page = looked.drawing
    looked.tabs.setCurrentWidget(page)
    assert page.hint.isVisible()
    qtbot.mousePress(page.canvas, LEFT, pos=QPoint(110, 40))
    qtbot.mouseMove(page.canvas, QPoint(110, 120))
    qtbot.waitUntil(lambda: len(page.opinions.said) == 5, timeout=WAIT)
    first = page.opinions.said.copy()
    qtbot.mouseMove(page.canvas, QPoint(60, 190))
    qtbot.waitUntil(lambda: not np.allclose(page.opinions.said, first), timeout=WAIT)
    qtbot.mouseRelease(page.canvas, LEFT, pos=QPoint(60, 190))
    qtbot.waitUntil(lambda: not page.awaiting, timeout=WAIT)
    hot = page.opinions.bits.copy()
    qtbot.keyClick(looked.temperature.slider, Qt.Key.Key_Home)
    assert (page.opinions.bits < hot).all()
    assert not page.seen.pixmap().isNull()
    qtbot.keyClick(page.canvas, Qt.Key.Key_Delete)
    assert len(page.opinions.said) == 0
    assert page.hint.isVisible()


def test_that_own_pictures_are_predicted_and_saved(
    qtbot: QtBot, window: MainWindow, looked: LookScreen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, page = looked.looked, looked.own
    assert there is not None
    looked.tabs.setCurrentWidget(page)
    folder = tmp_path / "mine"
    folder.mkdir()
    for case in range(40):
        Image.fromarray(there.images[case, 0]).save(folder / f"{case:02}.png")
    (folder / "07.png").write_bytes(b"no picture")
    drop(looked, folder)
    qtbot.waitUntil(lambda: len(page.table.paths) == 40 and not page._under_way, timeout=WAIT)
    titles = ["File", "Student", "p", "bits", "Ensemble of 2", "p", "bits", "Agree", "Remark"]
    assert page.table.titles == titles
    student = there.said("student")
    assert student is not None
    named = [row[1] for row in page.table.rows()]
    assert named[7] is None
    assert sum(name == there.classes[student[case]] for case, name in enumerate(named)) >= 38
    assert "40 pictures; 1 could not be read" in page.state.text()
    qtbot.waitUntil(lambda: len(page.opinions.said) == 5, timeout=WAIT)
    page.view.selectRow(7)
    qtbot.waitUntil(lambda: "replace or remove it" in page.sentence.text(), timeout=WAIT)
    assert len(page.opinions.said) == 0
    page.view.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    assert page.view.model().index(39, 0).data() == "07.png"

    target = tmp_path / "mine.csv"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(target), ""))
    qtbot.mouseClick(page.save, LEFT)
    qtbot.waitUntil(lambda: target.exists() and "Saved" in window.statusBar().currentMessage(), timeout=WAIT)
    lines = target.read_text(encoding="utf-8-sig").splitlines()
    assert (
        lines[0]
        == "file,student,student probability,student bits,ensemble of 2,ensemble of 2 probability,ensemble of 2 bits,agree,remark"
    )
    assert len(lines) == 41
    assert lines[1].startswith(f"{folder / '00.png'},")


def test_that_pictures_are_predicted_anew_when_they_are_turned_round(qtbot: QtBot, looked: LookScreen, tmp_path: Path) -> None:
    there, page = looked.looked, looked.own
    assert there is not None
    looked.tabs.setCurrentWidget(page)
    qtbot.mouseClick(page.invert, LEFT)
    assert page.invert.isChecked()
    paths = [tmp_path / f"{case}.png" for case in range(5)]
    for case, path in enumerate(paths):
        Image.fromarray(255 - there.images[case, 0]).save(path)

    def predicted() -> None:
        qtbot.waitUntil(lambda: len(page.table.paths) == 5 and not page._under_way, timeout=WAIT)

    drop(looked, *paths)
    predicted()
    before = page.table.rows()
    qtbot.mouseClick(page.invert, LEFT)
    predicted()
    assert page.table.paths == paths
    assert [row[2] for row in page.table.rows()] != pytest.approx([row[2] for row in before], rel=1e-3)
    qtbot.mouseClick(page.invert, LEFT)
    predicted()
    assert page.table.rows() == before


def test_that_many_pictures_can_be_given_up_and_others_chosen(
    qtbot: QtBot, looked: LookScreen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = looked.own
    looked.tabs.setCurrentWidget(page)
    path = tmp_path / "one.png"
    Image.new("L", (8, 8), 99).save(path)
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(path)] * 60_000, ""))
    qtbot.mouseClick(page.files, LEFT)
    qtbot.waitUntil(lambda: len(page.table.paths) > 0, timeout=WAIT)
    assert not page.files.isEnabled()
    assert " of 60,000" in page.state.text()
    qtbot.mouseClick(page.cancel, LEFT)
    qtbot.waitUntil(lambda: not page._under_way, timeout=WAIT)
    done = len(page.table.paths)
    assert 0 < done < 60_000
    assert f"{done:,} pictures; stopped before the other {60_000 - done:,}" in page.state.text()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "nothing"))
    (tmp_path / "nothing").mkdir()
    qtbot.mouseClick(page.folder, LEFT)
    qtbot.waitUntil(lambda: "has no pictures" in page.hint.text(), timeout=WAIT)
    assert page.hint.isVisible()


def test_that_the_window_closes_while_pictures_are_predicted(
    qtbot: QtBot, window: MainWindow, looked: LookScreen, tmp_path: Path
) -> None:
    path = tmp_path / "one.png"
    Image.new("L", (8, 8), 99).save(path)
    looked.own.predict([path] * 100_000)
    qtbot.waitUntil(lambda: len(looked.own.table.paths) > 0, timeout=WAIT)
    with qtbot.waitSignal(window.closed, timeout=WAIT):
        window.close()


def test_that_another_experiment_is_looked_at_when_it_is_chosen(qtbot: QtBot, window: MainWindow, looked: LookScreen) -> None:
    window.setup.show_config(tiny(name="other", distillation__baseline=False, distillation__temperature=9.0))
    wait_checked(qtbot, window)
    launch_and_finish(qtbot, window)
    in_front(qtbot, window)
    qtbot.waitUntil(lambda: len(looked.choice.experiments) == 2, timeout=WAIT)
    looked.choice.chosen.emit(2)
    qtbot.waitUntil(lambda: looked.looked is not None and looked.looked.line_up.experiment == 2, timeout=WAIT)
    assert looked.temperature.value() == 9.0
    keys = [looked.images.gallery.filter.itemData(at) for at in range(looked.images.gallery.filter.count())]
    assert keys == ["all", "student wrong", "disagree", "dark", "teacher wrong"]
    window.choose_theme("dark")
    window.choose_theme("light")


def test_that_thumbnails_are_made_as_they_come_into_sight(qtbot: QtBot, looked: LookScreen) -> None:
    model = looked.images.gallery.model
    assert isinstance(model, GalleryModel)
    looked.grab()
    made = len(model._pixmaps)
    assert 0 < made < 200
    looked.images.gallery.view.scrollToBottom()
    looked.grab()
    assert made < len(model._pixmaps) < 400


def test_that_an_experiment_that_nobody_chose_gives_way_where_its_data_are_not_here(qtbot: QtBot, themed: None) -> None:
    screen = LookScreen(lambda *_: None, lambda *_: None, lambda *_: None, lambda *_: None, lambda: None)
    qtbot.addWidget(screen)
    screen._offer(
        [
            Reportable(3, "newest", "done", "mnist"),
            Reportable(2, "older", "done", "mnist"),
            Reportable(1, "first", "done", "digits"),
        ]
    )
    assert screen.choice.currentText().startswith("newest")
    screen._show_error(NotHere("Mnist was not found"))
    assert screen.choice.currentText().startswith("first")
    screen._choose(2)
    screen._show_error(NotHere("Mnist was not found"))
    assert (screen.choice.currentText()[:5], screen.hint.text()) == ("older", "Mnist was not found.")
