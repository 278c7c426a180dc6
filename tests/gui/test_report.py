"""The Report screen: clicked in the real window after a real run, and what it says where something is missing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtPdf import QPdfDocument
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot
from sqlite_utils import Database

from tests.distill.data_files import idx_files, write_idx
from tests.experiments import DIVERGING, TINY, engine, launch, specialised, tiny
from tests.gui.driving import WAIT, launch_and_finish, make_small
from workbench.analysis.bias import Correction
from workbench.analysis.report import Party, judge, log_softmax
from workbench.analysis.report_words import summed_up
from workbench.errors import CannotWrite, WorkbenchError
from workbench.gui import theme
from workbench.gui.confusion import ConfusionMap
from workbench.gui.main_window import MainWindow
from workbench.gui.report.plots import ClassBars
from workbench.gui.report.screen import ReportScreen
from workbench.history import changes
from workbench.history.database import open_database
from workbench.history.reported import Reportable
from workbench.history.writing import History
from workbench.running.driver import Control
from workbench.running.experiment import run_experiment
from workbench.sweep import expand


def complete(qtbot: QtBot, screen: ReportScreen) -> None:
    qtbot.waitUntil(lambda: screen.report is not None and bool(screen.report.judged), timeout=WAIT)


def cell(screen: ReportScreen, row: int, column: int) -> str:
    return str(screen.table.topLevelItem(row).text(column))


def click(qtbot: QtBot, button: Any) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_that_a_finished_experiment_is_reported_measured_compared_and_saved(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = window.report
    window.tabs.setCurrentWidget(screen)
    assert screen.pages.currentIndex() == 0
    window.tabs.setCurrentWidget(window.setup)
    make_small(qtbot, window, epochs=20)
    launch_and_finish(qtbot, window)
    window.tabs.setCurrentWidget(screen)
    complete(qtbot, screen)
    report = screen.report
    assert report is not None
    assert screen.choice.currentText() == "digits  #1"
    assert screen.headline.text() == summed_up(report)
    assert [cell(screen, row, 0) for row in range(3)] == ["ensemble of 2", "baseline", "student"]
    assert screen.table.topLevelItem(0).isExpanded()
    assert cell(screen, 2, 1) == str(report.errors("student"))
    student, middle, difference = screen.maps
    apart = student.matrix.sum() - np.trace(student.matrix)
    assert apart == report.errors("student")
    assert [box.currentText() for box in screen.map_choices] == ["student", "baseline", "student − baseline"]
    assert not middle.isVisible()
    window.resize(1900, 1000)
    qtbot.waitUntil(middle.isVisible, timeout=WAIT)
    assert difference.matrix.sum() == 0
    assert [len(plot.parties) for plot in screen.calibration.plots] == [1, 1, 1]
    click(qtbot, screen.calibration.over)
    assert [len(plot.parties) for plot in screen.calibration.plots] == [3]

    click(qtbot, screen.measure)
    assert not screen.measure.isEnabled()
    qtbot.waitUntil(lambda: " / " in cell(screen, 2, 9), timeout=WAIT)
    assert " / " in cell(screen, 0, 10)
    assert "1 thread: the median" in screen.under_table.text()
    assert screen.measure.isEnabled()

    for name in ("mine.html", "mine.pdf"):
        path = tmp_path / name
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, path=path: (str(path), ""))
        click(qtbot, screen.save)
        qtbot.waitUntil(lambda name=name: name in window.statusBar().currentMessage(), timeout=WAIT)
    page = (tmp_path / "mine.html").read_text()
    assert summed_up(report).replace("'", "&#x27;") in page
    assert page.count("data:image/png;base64,") == 3 + 5 + 1
    assert " / " in page
    document = QPdfDocument()
    document.load(str(tmp_path / "mine.pdf"))
    assert document.pageCount() >= 4
    assert "digits #1, on digits" in document.getAllText(0).text()
    document.close()

    click(qtbot, screen.compare)
    assert window.tabs.currentWidget() is window.compare
    assert list(window.compare.runs) == [1, 2, 3, 4]
    window.tabs.setCurrentWidget(screen)
    click(qtbot, screen.select)
    assert window.tabs.currentWidget() is window.history
    window.dress("dark")
    window.dress("light")


def test_that_latency_is_not_measured_while_a_model_trains(qtbot: QtBot, window: MainWindow) -> None:
    make_small(qtbot, window)
    launch_and_finish(qtbot, window)
    window.tabs.setCurrentWidget(window.report)
    complete(qtbot, window.report)
    window.tabs.setCurrentWidget(window.setup)
    make_small(qtbot, window, epochs=5000)
    before = window.live.watched.experiment
    click(qtbot, window.setup.launch)
    qtbot.waitUntil(lambda: window.live.watched.experiment > before and window.live.watched.running > 0, timeout=WAIT)
    window.tabs.setCurrentWidget(window.report)
    complete(qtbot, window.report)  # labels are answered between two steps of the training
    click(qtbot, window.report.measure)
    qtbot.waitUntil(lambda: "A model is training" in window.banner.text.text(), timeout=WAIT)
    assert window.report.measure.isEnabled()
    assert window.executor.busy


@pytest.fixture
def alone(qtbot: QtBot, themed: None, history: History) -> Callable[[], ReportScreen]:
    """The screen on a history, its questions answered at once; what it says is in ``screen.sayings``."""

    def made() -> ReportScreen:
        def ask_history(_: object, reading: Callable[[Database], Any], answered: Callable[[Any], None]) -> None:
            try:
                with closing(open_database(history.path)) as database:
                    value = reading(database)
            except WorkbenchError as error:
                screen.said.emit(str(error))
            else:
                answered(value)

        def ask_engine(_: object, question: Any, answered: Callable[[Any], None], failed: Any = None) -> None:
            try:
                value = question(engine(), history)
            except WorkbenchError as error:
                failed(error)
            else:
                answered(value)

        screen = ReportScreen(ask_history, ask_engine)
        screen.sayings = []  # type: ignore[attr-defined]
        screen.said.connect(screen.sayings.append)  # type: ignore[attr-defined]
        qtbot.addWidget(screen)
        screen.resize(1200, 700)
        screen.show()
        return screen

    return made


Alone = Callable[[], ReportScreen]


def test_that_a_failed_student_is_told_and_its_ensemble_shown(history: History, alone: Alone) -> None:
    launch(history, tiny(training=DIVERGING, distillation__baseline=False))
    screen = alone()
    assert screen.headline.text().startswith("The student failed (")
    assert "The experiment failed: " in screen.notes.text()
    assert cell(screen, 1, 1) == "failed"
    assert [screen.map_choices[0].itemText(at) for at in range(screen.map_choices[0].count())] == ["ensemble"]
    assert screen.judged.isVisible()
    assert screen.choice.currentText() == "tiny  #1  (failed)"


def test_that_where_the_data_are_gone_the_table_stands_and_the_pictures_are_left_out(
    history: History, alone: Alone, tmp_path: Path
) -> None:
    data = write_idx(tmp_path / "data", idx_files(train=400))
    launch(history, tiny(data={"dataset": str(data)}))
    data.rename(tmp_path / "elsewhere")
    screen = alone()
    assert "What needs the labels of the test images is left out: " in screen.notes.text()
    assert not screen.judged.isVisible()
    assert cell(screen, 2, 1).isdecimal()
    (tmp_path / "elsewhere").rename(data)
    screen.reload()
    assert screen.judged.isVisible()
    assert screen.notes.text() == ""


def test_that_a_correction_is_a_row_and_can_be_set_against_the_student(history: History, alone: Alone) -> None:
    launch(history, tiny())
    with closing(open_database(history.path)) as database:
        changes.keep_correction(database, 4, Correction(classes=(3,), shift=5.0, way="hand"))
    screen = alone()
    assert cell(screen, 3, 0) == "student, its bias corrected"
    screen.map_choices[0].setCurrentText("student, its bias corrected − student")
    screen.map_choices[0].activated.emit(0)
    assert screen.maps[0].matrix[:, 3].sum() > 0
    assert screen.maps[0].words(0, 3).endswith("than the student") or "as often" in screen.maps[0].words(0, 3)


def test_that_specialists_are_folded_into_their_combination(history: History, alone: Alone) -> None:
    launch(history, specialised())
    screen = alone()
    whole = screen.table.topLevelItem(0)
    assert [whole.child(at).text(0) for at in range(whole.childCount())] == ["generalist alone", "specialist 1", "specialist 2"]
    assert "combination" in screen.headline.text()


def test_that_of_a_large_ensemble_only_baseline_and_student_are_compared(history: History, alone: Alone) -> None:
    launch(history, tiny(teachers=[{"model": "mlp", "units": 4, "count": 13}], teacher_training__epochs=1))
    screen = alone()
    with QtWait(screen.compare_wanted) as wanted:
        screen.compare.click()
    assert wanted == [[14, 15]]


def test_that_many_teachers_are_folded_away_and_unfolded_by_a_click(history: History, alone: Alone) -> None:
    launch(history, tiny(teachers=[{"model": "mlp", "units": 8, "count": 4}], distillation__baseline=False))
    screen = alone()
    assert not screen.table.topLevelItem(0).isExpanded()
    assert "errors each" in screen.under_table.text()
    low = screen.table.height()
    screen.table.topLevelItem(0).setExpanded(True)
    assert screen.table.height() > low
    screen.hide()
    screen.show()
    assert screen.table.topLevelItem(0).isExpanded()
    with QtWait(screen.select_wanted) as wanted:
        screen.table.itemActivated.emit(screen.table.topLevelItem(0).child(1), 0)
    assert wanted == [[2]]


class QtWait:
    """Collects what a signal carries."""

    def __init__(self, signal: Any) -> None:
        self._signal, self.got = signal, list[Any]()

    def __enter__(self) -> list[Any]:
        self._signal.connect(self.got.append)
        return self.got

    def __exit__(self, *_: object) -> None:
        self._signal.disconnect(self.got.append)


def test_that_a_point_of_a_sweep_leads_to_the_sweep(history: History, alone: Alone) -> None:
    tables = TINY | {"sweep": {"seeds": 2}}
    history.enqueue_sweep(tables, expand(tables))
    run_experiment(engine(), history, 1, Control(), lambda event: None)
    screen = alone()
    screen.show_experiment(1)
    assert "beside 1 other" in screen.sweep.text()
    with QtWait(screen.sweep_wanted) as wanted:
        screen.show_sweep.click()
    assert wanted == [1]


@pytest.mark.qt_log_ignore("This plugin does not support")  # raising and grabbing, which the list below the field does
def test_that_an_experiment_is_found_by_typing_a_part_of_its_name_or_its_number(
    qtbot: QtBot, history: History, alone: Alone
) -> None:
    launch(history, tiny(name="first of all", distillation__baseline=False))
    launch(history, tiny(name="another", distillation__baseline=False, seed=3))
    screen = alone()
    assert screen.report is not None
    assert screen.report.experiment == 2
    for typed, number in (("all FIRST", 1), ("#2", 2), ("1", 1)):
        screen.choice.edit.setFocus()
        screen.choice.edit.selectAll()
        qtbot.keyClicks(screen.choice.edit, typed)
        qtbot.keyClick(screen.choice.edit, Qt.Key.Key_Return)
        assert screen.report.experiment == number
    screen.choice.edit.selectAll()
    qtbot.keyClicks(screen.choice.edit, "nothing like it")
    qtbot.keyClick(screen.choice.edit, Qt.Key.Key_Return)
    assert screen.report.experiment == 1
    assert screen.choice.currentText() == "first of all  #1"


def test_that_ten_thousand_experiments_are_offered_at_once(qtbot: QtBot, alone: Alone) -> None:
    import time

    screen = alone()
    many = [Reportable(number, f"sweep · seed {number}", "done") for number in range(10_000, 0, -1)]
    start = time.process_time()
    screen.choice.show_experiments(many, 77)
    assert time.process_time() - start < 0.2
    assert screen.choice.currentText() == "sweep · seed 77  #77"


def test_that_a_deleted_experiment_gives_way_to_another(history: History, alone: Alone) -> None:
    launch(history, tiny(distillation__baseline=False))
    launch(history, tiny(distillation__baseline=False, seed=3))
    screen = alone()
    with closing(open_database(history.path)) as database:
        changes.delete(database, [], [2])
    screen.hide()
    screen.show()
    assert screen.report is not None
    assert screen.report.experiment == 1
    with closing(open_database(history.path)) as database:
        changes.delete(database, [], [1])
    screen.hide()
    screen.show()
    assert screen.pages.currentIndex() == 0


def test_that_a_file_that_is_there_is_not_replaced_unasked_and_a_full_disk_is_a_sentence(
    qtbot: QtBot, history: History, alone: Alone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(history, tiny(distillation__baseline=False))
    screen = alone()
    there = tmp_path / "mine.html"
    there.write_text("older")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), "Web page (*.html)"))
    click(qtbot, screen.save)
    assert screen.sayings == [f"{there} is there already; choose it by its whole name to replace it."]  # type: ignore[attr-defined]

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(there), "Web page (*.html)"))
    with monkeypatch.context() as broken:
        broken.setattr("workbench.files.os.fsync", full)
        click(qtbot, screen.save)
        qtbot.waitUntil(lambda: len(screen.sayings) == 2, timeout=WAIT)  # type: ignore[attr-defined]
    assert "No space left on device" in screen.sayings[1]  # type: ignore[attr-defined]
    assert there.read_text() == "older"
    assert [path.name for path in tmp_path.iterdir() if "mine" in path.name] == ["mine.html"]
    with qtbot.waitSignal(screen.told, timeout=WAIT):
        click(qtbot, screen.save)
    assert there.read_text().startswith("<!doctype html>")


def test_that_names_are_plain_text_on_the_page_and_in_the_file(
    qtbot: QtBot, history: History, alone: Alone, tmp_path: Path
) -> None:
    launch(history, tiny(name="<b>bold</b> & more", distillation__baseline=False))
    screen = alone()
    assert screen.report is not None
    screen._saving.write(tmp_path / "it.html", screen.report, None)
    qtbot.waitUntil((tmp_path / "it.html").exists, timeout=WAIT)
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; more #1" in (tmp_path / "it.html").read_text()


def test_that_the_wheel_over_a_picture_is_left_to_the_page(history: History, alone: Alone) -> None:
    launch(history, tiny())
    screen = alone()
    for widget in (screen.calibration.plots[0].viewport(), screen.map_choices[0], screen.maps[0], screen.bars.plot.viewport()):
        at = QPointF(20, 20)
        turn = QWheelEvent(
            at, widget.mapToGlobal(at), QPoint(0, -120), QPoint(0, -120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(widget, turn)
        assert not turn.isAccepted(), widget
    assert screen.map_choices[0].currentText() == "student"
    assert {box.focusPolicy() for box in (screen.choice, *screen.map_choices)} == {Qt.FocusPolicy.StrongFocus}


def test_that_class_bars_are_emptied_resized_and_ordered_by_the_student(qtbot: QtBot, themed: None) -> None:
    bars = ClassBars()
    qtbot.addWidget(bars)
    bars.resize(600, 300)
    bars.show()
    names = tuple(f"a long name {number}" for number in range(30))
    logs = log_softmax(np.repeat(np.eye(30), 4, axis=0) * 5)
    labels = np.repeat(np.arange(30), 4)
    labels[4 * 7 : 4 * 7 + 3] = 0  # of what is said to be class 7 one case is; class 0 has three that are taken for 7
    student = Party(key="student", name="student", runs=(1,), judged=judge(logs, labels))
    bars.show_parties([student], names)
    assert list(bars.order) == list(range(30))
    bars.hardest.click()
    assert bars.order[0] == 0
    assert bars.words_at(0) == "a long name 0, 7 images:   student 57.1%"
    bars.show_parties([], ())
    bars.resize(700, 300)
    assert len(bars.order) == 0


# The confusion map by itself


def shown(qtbot: QtBot, matrix: list[list[int]], names: tuple[str, ...] = ("cat", "dog", "cow"), than: str = "") -> ConfusionMap:
    made = ConfusionMap()
    qtbot.addWidget(made)
    made.resize(480, 520)
    made.show_matrix(np.array(matrix), names, than)
    made.show()
    return made


def test_that_a_cell_is_chosen_by_mouse_and_by_keys(qtbot: QtBot, themed: None) -> None:
    made = shown(qtbot, [[90, 2, 0], [1, 80, 5], [0, 0, 70]])
    chosen: list[tuple[int, int]] = []
    made.cell_chosen.connect(lambda right, predicted: chosen.append((right, predicted)))
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, pos=made.middle_of(1, 2).toPoint())
    assert chosen == [(1, 2)]
    assert made.words(1, 2) == "dog taken for cow: 5 of 86 images (5.8%)"
    assert made.accessibleDescription() == made.words(1, 2)
    for key in (Qt.Key.Key_Up, Qt.Key.Key_Up, Qt.Key.Key_Left, Qt.Key.Key_Return):
        qtbot.keyClick(made, key)
    assert chosen == [(1, 2), (0, 1)]
    assert made.cell_at(QPointF(1, 1)) is None
    qtbot.mouseClick(made, Qt.MouseButton.LeftButton, pos=QPoint(1, 1))
    assert len(chosen) == 2


def test_that_confusions_are_coloured_and_the_many_right_cases_are_not(qtbot: QtBot, themed: None) -> None:
    made = shown(qtbot, [[9000, 2, 0], [1, 8000, 5], [0, 0, 7000]])
    picture = made.grab().toImage()

    def colour(right: int, predicted: int) -> str:
        middle = made.middle_of(right, predicted)
        return str(picture.pixelColor(int(middle.x()) - 40, int(middle.y()) - 40).name())

    assert colour(1, 2) == theme.current().curves[1]
    assert colour(2, 0) == theme.current().base
    assert {colour(at, at) for at in range(3)} == {theme.current().raised}
    assert colour(0, 1) not in (theme.current().base, theme.current().curves[1])


def test_that_a_difference_says_more_and_fewer(qtbot: QtBot, themed: None) -> None:
    made = shown(qtbot, [[3, -2, -1], [0, 0, 0], [4, 0, -4]], than="the baseline")
    assert made.words(0, 1) == "cat taken for dog: 2 fewer than the baseline"
    assert made.words(2, 0) == "cow taken for cat: 4 more than the baseline"
    assert made.words(0, 0) == "cat recognised: 3 more than the baseline"
    assert made.words(1, 2) == "dog taken for cow: as often as the baseline"


def test_that_a_matrix_of_many_classes_and_one_without_confusions_are_painted(qtbot: QtBot, themed: None) -> None:
    made = shown(qtbot, (50 * np.eye(47, dtype=int)).tolist(), tuple(f"class {number}" for number in range(47)))
    assert made.accessibleDescription() == "No confusion at all."
    assert not made.grab().isNull()
    made.show_matrix(np.zeros((0, 0), int), ())
    assert not made.grab().isNull()


def test_that_a_disk_without_room_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.files import write_whole

    path = tmp_path / "it"
    write_whole(path, b"first")
    with pytest.raises(CannotWrite, match="choose another place"):
        write_whole(tmp_path / "nowhere" / "it", b"second")
    assert path.read_bytes() == b"first"
