"""The Compare screen on runs written into a real history: curves, list, table, and whether a difference is real."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QTableView, QWidget
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot
from sqlite_utils import Database

from tests.experiments import add_run, tiny
from tests.gui.pictures import drawn, picture, point
from workbench.config import DistillationConfig, RunConfig
from workbench.errors import DataError
from workbench.events import Metrics
from workbench.gui import theme
from workbench.gui.compare.screen import CompareScreen
from workbench.history.changes import Marked, mark
from workbench.history.database import open_database, open_for_reading
from workbench.history.writing import History, Started

CASES = 100
LABELS = np.arange(CASES) % 10


class Engine:
    """Keeps what is asked of the engine until a test answers it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[Any], None], Callable[[Exception], None]]] = []

    def ask(self, topic: object, question: object, answered: Callable[[Any], None], failed: Any = None) -> None:
        self.waiting.append((answered, failed))


@pytest.fixture
def database(history: History) -> Iterator[Database]:
    with closing(open_for_reading(history.path)) as opened:
        yield opened


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def screen(qtbot: QtBot, themed: None, database: Database, engine: Engine) -> CompareScreen:
    made = CompareScreen(lambda topic, read, answered: answered(read(database)), engine.ask)
    qtbot.addWidget(made)
    made.resize(1260, 700)
    made.show()
    qtbot.waitExposed(made)
    return made


def student(history: History, seed: int, temperature: float = 4.0) -> int:
    config = RunConfig(seed=seed, distillation=DistillationConfig(temperature=temperature))
    return add_run(history, history.enqueue(tiny()), "student", config)


def write(history: History, run: int, values: Sequence[float], first: int = 0, metric: str = "val_accuracy") -> None:
    steps = range(first, first + len(values))
    history.write_metrics(
        [Metrics(run, step, step / 2, step * 3.0, ((metric, value),)) for step, value in zip(steps, values, strict=True)]
    )


def begin(history: History, run: int) -> None:
    history.start_runs([Started(run=run, fingerprint=f"f{run}", data_digest="d" * 64, steps=10, environment={})])


def finish(history: History, run: int, wrong: int = 10, *, last: bool = False) -> None:
    """The run is done with so many errors, on the first test cases or the ``last`` ones."""
    predicted = LABELS.copy()
    part = slice(CASES - wrong, None) if last else slice(wrong)
    predicted[part] = (predicted[part] + 1) % 10
    history.record_predictions(run, "test", CASES, 10, np.eye(10, dtype=np.float16)[predicted].tobytes())
    history.record_figures(run, {"test_errors": wrong, "test_size": CASES, "val_accuracy": 1 - wrong / CASES})
    history.finish_run(run, "done", "")


def whole(history: History, seed: int, temperature: float = 4.0, wrong: int = 10, *, last: bool = False) -> int:
    """A student that is done, with a curve towards its accuracy."""
    run = student(history, seed, temperature)
    begin(history, run)
    write(history, run, [(1 - wrong / CASES) * (step + 1) / 5 for step in range(5)])
    finish(history, run, wrong, last=last)
    return run


def cells(screen: CompareScreen, line: str) -> list[str]:
    """The texts of a line of the table."""
    model = screen.table.model()
    names = [row.name for row in screen.table.compared.rows]
    return [model.index(names.index(line), column).data() for column in range(model.columnCount())]


def listed(screen: CompareScreen) -> list[tuple[str, str]]:
    """The names and values of the list, from the top."""
    model = screen.curves.view.model()
    return [(model.index(row, 0).data(), model.index(row, 1).data()) for row in range(model.rowCount())]


def middle(view: QTableView, index: QModelIndex) -> QPoint:
    return view.visualRect(index).center()


def test_that_every_metric_that_the_runs_have_is_offered(history: History, screen: CompareScreen) -> None:
    first, second = whole(history, 0), whole(history, 1)
    write(history, first, [3.0, 2.0], metric="loss")
    write(history, second, [7.0, 8.0, 9.0], metric="gradient_norm")
    screen.compare([first, second])
    offered = [screen.metric_choice.itemText(place) for place in range(screen.metric_choice.count())]
    assert offered == ["Validation accuracy", "Total loss", "gradient norm"]
    screen.metric_choice.setCurrentIndex(screen.metric_choice.findData("gradient_norm"))
    assert screen.plot.line_keys() == [second]
    assert screen.plot._title.text() == f"gradient norm   (student ({first}): none)"
    screen.compare([first])
    assert screen.metric_choice.currentData() == "val_accuracy"
    assert screen.plot.line_keys() == [first]


def test_that_runs_that_have_not_begun_are_shown_without_a_curve(history: History, screen: CompareScreen) -> None:
    screen.compare([student(history, 0)])
    assert screen.pages.currentIndex() == 1
    assert screen.metric_choice.count() == 0
    assert listed(screen) == [("student (1)", "–")]
    assert cells(screen, "status") == ["waiting"]
    assert not screen.group_seeds.isEnabled()


@pytest.mark.parametrize("axis", ["epoch", "step", "time (s)"])
def test_that_seeds_are_drawn_as_their_mean_with_a_band_and_tabled_with_their_interval(
    history: History, screen: CompareScreen, axis: str
) -> None:
    hot = [whole(history, seed, 8.0, wrong) for seed, wrong in ((0, 10), (1, 12), (2, 17))]
    cold = whole(history, 0, 1.0, 40)
    screen.compare([*hot, cold])
    screen.axis_choice.setCurrentText(axis)
    assert len(screen.plot.line_keys()) == 4
    screen.group_seeds.setChecked(True)
    assert screen.plot.line_keys() == [tuple(hot), cold]
    mean, alone = screen.plot.lines()
    assert mean.y[-1] == pytest.approx(0.87)
    half = 4.302653 * math.sqrt(13e-4 / 3)
    assert mean.low is not None
    assert mean.high is not None
    assert (mean.low[-1], mean.high[-1]) == pytest.approx((0.87 - half, 0.87 + half))
    assert alone.low is None
    assert listed(screen) == [("student ×3 · temperature 8", "87.00%"), (f"student ({cold}) · temperature 1", "60.00%")]
    about = screen.curves.view.model().index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "over seeds 0, 1, 2 (runs 1, 2, 3)" in about
    assert "95% interval of the mean" in about
    assert "n = 3" in about
    assert cells(screen, "test errors") == ["13.0 ± 9.0", "40"]
    assert cells(screen, "seed") == ["0, 1, 2", "0"]
    assert cells(screen, "status") == ["3 done", "done"]
    screen.group_seeds.setChecked(False)
    assert screen.plot.line_keys() == [*hot, cold]


def test_that_a_band_is_seen_and_leaves_the_curves_their_room(history: History, screen: CompareScreen) -> None:
    for seed, wrong in ((0, 10), (1, 30)):
        whole(history, seed, wrong=wrong)
    screen.compare([1, 2])
    plain = picture(screen.plot)
    screen.group_seeds.setChecked(True)
    assert (picture(screen.plot) != plain).any(axis=2).mean() > 0.05
    _, (low, high) = screen.plot.plot.getViewBox().viewRange()
    mean = screen.plot.lines()[0]
    assert mean.high is not None
    assert mean.high[-1] > 1.5
    assert high - low < 2 * (mean.y.max() - mean.y.min())


def test_that_the_list_reads_every_curve_at_the_pointer_greatest_first(
    qtbot: QtBot, history: History, screen: CompareScreen
) -> None:
    falling, rising, short = (student(history, seed) for seed in range(3))
    write(history, falling, [0.9, 0.7, 0.5, 0.3, 0.1])
    write(history, rising, [0.1, 0.2, 0.3, 0.4, 0.5])
    write(history, short, [0.6, 0.65])
    screen.compare([falling, rising, short])
    assert screen.curves.where.text() == "Values at their ends"
    assert [value for _, value in listed(screen)] == ["65.00%", "50.00%", "10.00%"]
    point(qtbot, screen.plot, 0.02, 0.5)
    assert [name.partition(" ·")[0] for name, _ in listed(screen)] == ["student (1)", "student (3)", "student (2)"]
    point(qtbot, screen.plot, 1.5, 0.5)
    assert screen.curves.where.text().startswith("Values at epoch 1.5")
    assert listed(screen) == [
        ("student (2) · seed 1", "40.00%"),
        ("student (1) · seed 0", "30.00%"),
        ("student (3) · seed 2", "–"),
    ]
    screen.log.setChecked(True)
    screen.log_x.setChecked(True)
    assert screen.plot.note.text().startswith("3 points at 0 or below")
    screen.smoothing.setValue(500)
    assert screen.curves.where.text().endswith(", smoothed")
    assert listed(screen)[0][1] != "40.00%"


def test_that_the_values_at_the_pointer_stay_while_it_reads_the_list_and_go_when_it_is_elsewhere(
    qtbot: QtBot, history: History, screen: CompareScreen
) -> None:
    first, second = whole(history, 0), whole(history, 1)
    screen.compare([first, second])

    def read() -> tuple[str, bool]:
        return screen.curves.where.text()[:12], screen.plot._hair.isVisible()

    def gone() -> bool:
        return read() == ("Values at th", False)

    def move(widget: QWidget) -> None:
        for place in (QPoint(5, 8), QPoint(6, 8)):
            qtbot.mouseMove(widget, place)
            qtbot.wait(20)  # pyqtgraph leaves out a move that comes soon after another

    assert gone()
    point(qtbot, screen.plot, 0.5, 0.5)
    with qtbot.waitSignal(screen._leaving.timeout):
        move(screen.curves.view.viewport())
    assert read() == ("Values at ep", True)
    move(screen.whole)
    qtbot.waitUntil(gone)
    point(qtbot, screen.plot, 0.5, 0.5)
    move(screen.plot.plot.viewport())
    qtbot.waitUntil(gone)
    point(qtbot, screen.plot, 0.5, 0.5)
    assert not gone()
    screen.compare([second])
    assert gone()


def test_that_the_curve_pointed_at_in_the_list_is_in_front_and_a_click_keeps_it_there(
    qtbot: QtBot, history: History, screen: CompareScreen
) -> None:
    first, second = whole(history, 0, wrong=10), whole(history, 1, wrong=40)
    screen.compare([first, second])
    view = screen.curves.view

    def in_front() -> tuple[bool, bool]:
        return tuple(drawn(screen.plot, theme.curve_colour(number)) > 100 for number in (0, 1))  # type: ignore[return-value]

    assert in_front() == (True, True)
    qtbot.mouseMove(view.viewport(), middle(view, view.model().index(1, 0)))
    qtbot.waitUntil(lambda: in_front() == (False, True))
    qtbot.mouseMove(view.viewport(), middle(view, view.model().index(0, 0)))
    qtbot.waitUntil(lambda: in_front() == (True, False))
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=middle(view, view.model().index(0, 0)))
    screen.curves.highlighted.emit(first)
    assert in_front() == (True, False)
    qtbot.keyClick(view, Qt.Key.Key_Down)
    assert in_front() == (False, True)
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert in_front() == (True, True)
    table = screen.table
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=middle(table, table.model().index(0, 1)))
    assert in_front() == (False, True)
    screen.compare([first])
    assert in_front()[0]


def test_that_a_run_keeps_the_colour_a_person_gave_it_and_no_other_run_has_it(history: History, screen: CompareScreen) -> None:
    runs = [whole(history, seed, temperature, wrong=int(8 * temperature)) for temperature in (2.0, 4.0) for seed in (0, 1)]
    with closing(open_database(history.path)) as writer:
        mark(
            writer, [Marked(run=runs[0], colour="green"), Marked(run=runs[1], colour="green"), Marked(run=runs[3], colour="blue")]
        )
    screen.compare(runs)
    screen.group_seeds.setChecked(False)
    assert [one.number for one in screen.shown] == [2, 10, 1, 0]
    assert drawn(screen.plot, theme.curve_colour(0)) > 100
    screen.group_seeds.setChecked(True)
    assert [one.number for one in screen.shown] == [2, 0]


def test_that_the_table_marks_what_differs_and_shows_all_settings_when_asked(history: History, screen: CompareScreen) -> None:
    runs = [whole(history, 0, temperature) for temperature in (8.0, 8.0, 1.0)]
    screen.compare(runs)
    model = screen.table.model()
    assert [row.name for row in screen.table.compared.rows if row.setting] == ["distillation.temperature"]
    assert model.headerData(0, Qt.Orientation.Vertical) == "≠ distillation.temperature"
    fonts = [model.index(0, column).data(Qt.ItemDataRole.FontRole) for column in range(3)]
    assert [bool(font and font.bold()) for font in fonts] == [False, False, True]
    assert "another value" in model.index(0, 2).data(Qt.ItemDataRole.ToolTipRole)
    screen.all_settings.setChecked(True)
    assert cells(screen, "training.batch_size") == ["128"] * 3
    headers = [model.headerData(line, Qt.Orientation.Vertical) for line in range(model.rowCount())]
    assert [header for header in headers if header.startswith("≠")] == ["≠ distillation.temperature"]


def test_that_a_click_on_a_line_sorts_the_columns_by_it(qtbot: QtBot, history: History, screen: CompareScreen) -> None:
    runs = [whole(history, seed, wrong=wrong) for seed, wrong in enumerate((30, 5, 100))] + [student(history, 9)]
    screen.compare(runs)
    line = [row.name for row in screen.table.compared.rows].index("test errors")
    header = screen.table.verticalHeader()
    screen.table.scrollToBottom()

    def click() -> list[str]:
        place = QPoint(5, header.sectionViewportPosition(line) + header.sectionSize(line) // 2)
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)
        return cells(screen, "test errors")

    assert click() == ["5", "30", "100", "–"]
    assert cells(screen, "seed") == ["1", "0", "2", "9"]
    assert screen.table.model().headerData(line, Qt.Orientation.Vertical) == "test errors  ▲"
    assert click() == ["100", "30", "5", "–"]
    screen.reload()
    assert cells(screen, "test errors") == ["100", "30", "5", "–"]
    assert click() == ["30", "5", "100", "–"]


def test_that_the_table_is_copied_as_text(qtbot: QtBot, history: History, screen: CompareScreen) -> None:
    screen.compare([whole(history, 0, wrong=30), whole(history, 1, wrong=5)])
    table = screen.table
    screen.activateWindow()
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = [line.split("\t") for line in QGuiApplication.clipboard().text().split("\n")]
    assert lines[0] == ["", "student (1) · seed 0", "student (2) · seed 1"]
    assert ["test errors", "30", "5"] in lines
    assert len(lines) == 1 + table.model().rowCount()
    place = [row.name for row in table.compared.rows].index("test errors")
    table.setCurrentIndex(table.model().index(place, 1))
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == "\tstudent (2) · seed 1\ntest errors\t5"


def test_that_of_more_runs_than_can_be_told_apart_the_first_are_shown(history: History, screen: CompareScreen) -> None:
    run = whole(history, 0)
    screen.compare([run, *range(1000, 1250)])
    assert len(screen.runs) == 200
    assert screen.plot.line_keys() == [run]
    assert screen.plot._title.text() == "Validation accuracy   the first 200 of 251 runs"
    screen.compare([run])
    assert screen.plot._title.text() == "Validation accuracy"


def test_that_the_student_is_tested_against_its_baseline_first(history: History, screen: CompareScreen) -> None:
    experiment = history.enqueue(tiny())
    teachers = [add_run(history, history.enqueue(tiny()), "teacher", RunConfig(seed=seed)) for seed in range(3)]
    baseline = add_run(history, experiment, "baseline", RunConfig())
    for run in [*teachers, baseline]:
        begin(history, run)
        finish(history, run)
    screen.compare([*teachers, baseline, whole(history, 0)])
    assert screen.group_seeds.isEnabled()
    assert screen.difference.first.currentText() == "student (5)"
    assert screen.difference.second.currentText() == "baseline (4)"


def test_that_of_many_groups_the_largest_are_tested_first(history: History, screen: CompareScreen) -> None:
    whole(history, 0, 2.0)
    for temperature in (4.0, 8.0):
        for seed in range(2):
            whole(history, seed, temperature, int(temperature) + 3 * seed)
    screen.compare([1, 2, 3, 4, 5])
    assert screen.difference.first.currentText() == "students with temperature 4"
    assert screen.difference.second.currentText() == "students with temperature 8"
    assert "4.0 fewer errors" in screen.difference.verdict.text()
    screen.difference.first.setCurrentIndex(screen.difference.first.findText("student (1)"))
    screen.difference.first.activated.emit(0)
    screen.compare([1, 2, 3, 4])
    assert screen.difference.first.currentText() == "students with temperature 4"


def test_that_two_groups_of_seeds_are_tested_at_once(history: History, screen: CompareScreen, engine: Engine) -> None:
    runs = [
        whole(history, seed, temperature, wrong)
        for seed, errors in enumerate([(10, 21), (13, 20), (11, 24)])
        for temperature, wrong in zip((8.0, 1.0), errors, strict=True)
    ]
    screen.compare(runs)
    assert screen.difference.first.currentText() == "students with temperature 8"
    assert screen.difference.second.currentText() == "students with temperature 1"
    said = screen.difference.verdict.text()
    assert said.startswith("The students with temperature 8 make 10.3 fewer errors of 100 than the students with temperature 1 (")
    assert "paired t-test over 3 seeds" in said
    assert not engine.waiting
    place = screen.difference.second.findText("student (1)")
    screen.difference.second.setCurrentIndex(place)
    screen.difference.second.activated.emit(place)
    assert screen.difference.verdict.text() == "Choose two that have no run in common."
    screen.compare(runs[:1])
    assert screen.difference.verdict.text() == ""


def test_that_single_runs_are_compared_image_by_image_once_the_engine_tells_the_labels(
    history: History, screen: CompareScreen, engine: Engine
) -> None:
    first, second = whole(history, 0, 8.0, 4), whole(history, 0, 1.0, 20, last=True)
    screen.compare([first, second])
    assert screen.difference.verdict.text().endswith("Asking for the labels of the test images…")
    screen.reload()
    assert len(engine.waiting) == 1
    engine.waiting.pop()[1](DataError("digits is no longer there"))
    assert screen.difference.verdict.text().endswith("They cannot be compared image by image: digits is no longer there.")
    third = whole(history, 1, 1.0, 30)
    screen.compare([first, third])
    engine.waiting.pop()[0](LABELS)
    assert "right where student (3) is wrong 26 times, the reverse 0 times (McNemar" in screen.difference.verdict.text()
    screen.compare([first, second])
    assert not engine.waiting
    assert "right where student (2) is wrong 20 times, the reverse 4 times (McNemar" in screen.difference.verdict.text()
    screen.compare([first])
    assert screen.difference.isHidden()


def test_that_a_zoom_stays_while_a_running_curve_goes_on_and_what_is_over_is_not_read_again(
    qtbot: QtBot, history: History, screen: CompareScreen, database: Database
) -> None:
    over, running = whole(history, 0), student(history, 1)
    begin(history, running)
    write(history, running, [0.1, 0.2])
    screen.compare([over, running])
    screen.plot.plot.setXRange(0.5, 1.5, padding=0)
    read: list[str] = []
    database.conn.set_trace_callback(read.append)
    write(history, running, [0.3, 0.4], first=2)
    qtbot.waitUntil(lambda: screen.plot.points(running) == 4)
    database.conn.set_trace_callback(None)
    assert screen.plot.plot.getViewBox().viewRange()[0] == pytest.approx([0.5, 1.5])
    of_metrics = [sql for sql in read if " metrics " in sql]
    assert any(f"run = {running} " in sql for sql in of_metrics)
    assert not any(f"run = {over} " in sql for sql in of_metrics)
    screen.whole.click()
    picture(screen.plot)
    assert screen.plot.plot.getViewBox().viewRange()[0][1] >= 2


def test_that_fifty_runs_are_listed_beside_the_plot_and_scrolled_in_the_table(history: History, screen: CompareScreen) -> None:
    runs = [whole(history, seed, wrong=seed) for seed in range(50)]
    screen.compare(runs)
    assert len(listed(screen)) == len(screen.plot.line_keys()) == 50
    assert not screen.plot.legend.isVisible()
    assert screen.plot.plot.width() > screen.width() / 2
    assert screen.table.horizontalScrollBar().maximum() > 0
    assert [value for _, value in listed(screen)] == [f"{100 - wrong:.2f}%" for wrong in range(50)]


def test_that_the_models_of_list_and_table_keep_to_qts_rules(
    history: History, screen: CompareScreen, qtmodeltester: ModelTester
) -> None:
    screen.compare([whole(history, seed, wrong=10 * seed) for seed in range(3)])
    for view in (screen.table, screen.curves.view):
        qtmodeltester.check(view.model())
    screen.curves.pin(3)
    screen.plot.pointed.emit(0.0)
    screen.table.sort_by("test errors")
    assert screen.curves.view.selectionModel().selectedRows()[0].data() == "student (3) · seed 2"
