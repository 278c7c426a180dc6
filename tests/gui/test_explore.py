"""The Explore screen, clicked: points, lines through axes, what mattered, and which runs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from tests.gui.driving import WAIT
from tests.history import lists
from workbench.errors import WorkbenchError
from workbench.events import Answer
from workbench.gui import theme
from workbench.gui.explore.parallel_plot import ParallelPlot
from workbench.gui.explore.scatter_plot import ScatterPlot
from workbench.gui.explore.screen import ExploreScreen
from workbench.gui.main_window import MainWindow
from workbench.gui.run_feed import RunFeed
from workbench.gui.worker import Worker
from workbench.history.database import open_database, open_for_reading
from workbench.history.thread import HistoryThread
from workbench.history.writing import History

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the list below a box, offscreen
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


@pytest.fixture(autouse=True)
def every_move_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test moves the mouse faster than a hand."""
    monkeypatch.setitem(pg.CONFIG_OPTIONS, "mouseRateLimit", 0)


@pytest.fixture
def runs(history_path: Path) -> dict[str, int]:
    """Four students of two temperatures and two seeds, their teacher and a baseline; sizes to tell them apart."""
    runs = lists.make(history_path)
    sizes = {"T2 s0": 1000, "T2 s1": 3000, "T8 s0": 2000, "T8 s1": 500_000, "diverged": 700}
    with closing(open_database(history_path)) as database:
        for name, size in sizes.items():
            database.execute("UPDATE runs SET parameters = ? WHERE id = ?", [size, runs[name]])
    return runs


@pytest.fixture
def make(qtbot: QtBot, themed: None, history_path: Path) -> Iterator[Callable[[], ExploreScreen]]:
    """Makes the screen over the history as it is, its reader and worker real; ended at the end."""
    feed, made = RunFeed(), []
    reader, worker = HistoryThread(history_path, feed.post), Worker(feed.post)
    before = set(threading.enumerate())

    def ask(topic: Hashable, reading: Any, answered: Callable[[Any], None]) -> None:
        feed.ask(topic, lambda token: reader.ask(token, reading), answered)

    def work(topic: Hashable, what: Callable[[], Any], answered: Callable[[Any], None]) -> None:
        feed.ask(("work", topic), lambda token: worker.ask(token, what), answered)

    def screen() -> ExploreScreen:
        reader.start()
        made.append(ExploreScreen(ask, work))
        qtbot.addWidget(made[0])
        made[0].resize(1200, 700)
        with qtbot.waitExposed(made[0]):
            made[0].show()
        return made[0]

    yield screen
    feed.stop()
    for thread in (reader, worker):
        thread.close()
    if made:
        assert reader.join(10)
    assert worker.join(10)
    assert set(threading.enumerate()) <= before


@pytest.fixture
def screen(qtbot: QtBot, make: Callable[[], ExploreScreen], runs: dict[str, int]) -> ExploreScreen:
    made = make()
    qtbot.waitUntil(lambda: made.state.text().startswith("5 runs"), timeout=WAIT)
    return made


def mouse(widget: QWidget, kind: QEvent.Type, at: QPointF, held: Qt.KeyboardModifier, *, down: bool) -> None:
    """A mouse event with whatever modifiers: QTest moves the mouse without any."""
    button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else LEFT
    buttons = LEFT if down else Qt.MouseButton.NoButton
    QApplication.sendEvent(widget, QMouseEvent(kind, at, widget.mapToGlobal(at), button, buttons, held))


def drag(widget: QWidget, start: QPointF, end: QPointF, held: Qt.KeyboardModifier = NONE) -> None:
    mouse(widget, QEvent.Type.MouseButtonPress, start, held, down=True)
    for share in (0.1, 0.5, 1.0):
        mouse(widget, QEvent.Type.MouseMove, start + (end - start) * share, held, down=True)
    mouse(widget, QEvent.Type.MouseButtonRelease, end, held, down=False)


def point(plot: ScatterPlot, x: float, y: float) -> QPoint:
    """Where a place of the plot is on its viewport."""
    return plot.mapFromScene(plot.getViewBox().mapViewToScene(QPointF(x, y)))


def box(plot: ScatterPlot, across: float = 1.0, up: float = 1.0) -> None:
    """Drag with Shift from the lower left corner of what is seen over that share of it."""
    QApplication.processEvents()  # a view finds its range when it is painted
    (left, right), (low, high) = plot.getViewBox().viewRange()
    ends = [point(plot, left + x * (right - left), low + y * (high - low)) for x, y in ((0.01, 0.01), (across, up))]
    drag(plot.viewport(), *map(QPointF, ends), SHIFT)


def at_run(screen: ExploreScreen, run: int) -> QPoint:
    plot = screen.scatter.plot
    place = plot._table.runs.tolist().index(run)
    return point(plot, plot._x[place], plot._y[place])


class TestScatter:
    def test_that_accuracy_against_parameters_comes_first_with_a_log_axis_and_its_front(self, screen: ExploreScreen) -> None:
        page = screen.scatter
        assert page.plot.points() == 4
        assert page.log_x.isChecked()
        assert not page.log_y.isChecked()
        assert page.front.isEnabled()
        assert screen.state.text() == "5 runs; 1 of them without both values"

    def test_that_a_click_chooses_a_run_ctrl_another_and_the_empty_place_none(
        self, qtbot: QtBot, screen: ExploreScreen, runs: dict[str, int]
    ) -> None:
        viewport = screen.scatter.plot.viewport()
        qtbot.mouseClick(viewport, LEFT, NONE, at_run(screen, runs["T2 s0"]))
        assert screen.chosen() == [runs["T2 s0"]]
        qtbot.mouseClick(viewport, LEFT, CONTROL, at_run(screen, runs["T8 s1"]))
        assert screen.chosen() == [runs["T2 s0"], runs["T8 s1"]]
        with qtbot.waitSignal(screen.compare_wanted) as asked:
            qtbot.mouseClick(screen.compare, LEFT)
        assert asked.args == [[runs["T2 s0"], runs["T8 s1"]]]
        qtbot.mouseClick(viewport, LEFT, NONE, at_run(screen, runs["T8 s1"]) - QPoint(120, -90))
        assert screen.chosen() == []
        assert not screen.compare.isEnabled()

    def test_that_the_run_under_the_pointer_is_named_with_its_values(
        self, qtbot: QtBot, screen: ExploreScreen, runs: dict[str, int]
    ) -> None:
        viewport = screen.scatter.plot.viewport()
        at = at_run(screen, runs["T8 s0"])
        mouse(viewport, QEvent.Type.MouseMove, QPointF(at), NONE, down=False)
        said = screen.scatter.readout.text()
        assert said == f"at 8, 0 #4 · student (run {runs['T8 s0']}):   Parameters 2,000   test accuracy 96.00%   Role student"
        mouse(viewport, QEvent.Type.MouseMove, QPointF(at + QPoint(150, 150)), NONE, down=False)
        assert screen.scatter.readout.text().startswith("A click chooses a run")

    def test_that_a_drag_with_shift_chooses_those_in_the_box(
        self, qtbot: QtBot, screen: ExploreScreen, runs: dict[str, int]
    ) -> None:
        plot = screen.scatter.plot
        view = np.array(plot.getViewBox().viewRange())
        box(plot, 0.15, 0.8)
        assert screen.chosen() == sorted([runs["T2 s0"], runs["T8 s0"]])
        assert np.array(plot.getViewBox().viewRange()) == pytest.approx(view, abs=0.01)  # the drag moved nothing
        with qtbot.waitSignal(screen.select_wanted) as asked:
            qtbot.mouseClick(screen.select, LEFT)
        assert asked.args == [screen.chosen()]

    def test_that_arrows_go_along_the_runs_and_space_chooses(
        self, qtbot: QtBot, screen: ExploreScreen, runs: dict[str, int]
    ) -> None:
        plot = screen.scatter.plot
        for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Space):
            qtbot.keyClick(plot, key)
        assert screen.chosen() == [runs["T8 s0"]]
        qtbot.keyClick(plot, Qt.Key.Key_Escape)
        assert screen.chosen() == []

    def test_that_the_points_are_saved_as_a_picture_and_a_table(
        self, qtbot: QtBot, screen: ExploreScreen, runs: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = screen.scatter
        for kind in ("png", "svg", "csv"):
            monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, to=tmp_path / f"points.{kind}": (str(to), ""))
            with qtbot.waitSignal(screen.said) as told:
                page.save.kinds[kind].trigger()
            assert told.args[0].startswith("Saved ")
        picture = QImage(str(tmp_path / "points.png"))
        places = [(x, y) for x in range(0, picture.width(), 3) for y in range(0, picture.height(), 3)]
        colours = [picture.pixelColor(*place) for place in places]
        orange = QColor(theme.LIGHT.curves[1]).hue()
        points = [one for one in colours if abs(one.hue() - orange) < 3 and one.saturation() > 150]
        assert 100 < len(points) < 400  # four of them, a fifth of a centimetre wide
        assert "Pareto front" in (tmp_path / "points.svg").read_text()
        lines = (tmp_path / "points.csv").read_text(encoding="utf-8-sig").splitlines()
        assert lines[0] == "run,name,Parameters,test accuracy"
        assert len(lines) == 5
        assert page.plot.points() == 4

    def test_that_a_field_typed_takes_the_axis_and_names_have_no_front(self, qtbot: QtBot, screen: ExploreScreen) -> None:
        line = screen.scatter.x_choice.lineEdit()
        line.selectAll()
        qtbot.keyClicks(line, "data")
        qtbot.keyClick(line, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: screen.scatter.plot.getAxis("bottom").labelText == "Data", timeout=WAIT)
        assert screen.scatter.x_choice.name == "data"
        assert not screen.scatter.front.isEnabled()
        assert not screen.scatter.log_x.isEnabled()
        line.selectAll()
        qtbot.keyClicks(line, "nonsense")
        qtbot.keyClick(line, Qt.Key.Key_Return)
        assert line.text() == "Data"


class TestParallelCoordinates:
    @pytest.fixture
    def plot(self, qtbot: QtBot, screen: ExploreScreen) -> ParallelPlot:
        screen.tabs.setCurrentWidget(screen.parallel)
        plot = screen.parallel.plot
        qtbot.waitUntil(lambda: plot.names == ["T", "w", "student.units", "seed", "test_accuracy"], timeout=WAIT)
        return plot

    def axis(self, plot: ParallelPlot, name: str, place: float) -> QPointF:
        return QPointF(plot.axis_x(plot.names.index(name)), plot.place_y(place))

    def test_that_a_drag_on_an_axis_keeps_a_range_and_those_of_two_axes_what_both_keep(
        self, qtbot: QtBot, screen: ExploreScreen, plot: ParallelPlot, runs: dict[str, int]
    ) -> None:
        drag(plot, self.axis(plot, "test_accuracy", 0.5), self.axis(plot, "test_accuracy", 1.1))
        assert screen.chosen() == sorted([runs["T8 s0"], runs["T8 s1"]])
        drag(plot, self.axis(plot, "seed", -0.05), self.axis(plot, "seed", 0.1))
        assert screen.chosen() == [runs["T8 s0"]]
        assert screen.state.text() == "5 runs; 1 chosen"
        with qtbot.waitSignal(screen.filter_wanted) as asked:
            qtbot.mouseClick(screen.parallel.filter, LEFT)
        assert asked.args == ["test_accuracy >= 0.96 and seed <= 0"]

    def test_that_a_range_is_moved_and_changed_by_its_ends_and_taken_away_by_a_double_click(
        self, qtbot: QtBot, screen: ExploreScreen, plot: ParallelPlot, runs: dict[str, int]
    ) -> None:
        drag(plot, self.axis(plot, "test_accuracy", -0.05), self.axis(plot, "test_accuracy", 0.3))
        assert screen.chosen() == sorted([runs["T2 s0"], runs["T2 s1"]])
        drag(plot, self.axis(plot, "test_accuracy", 0.1), self.axis(plot, "test_accuracy", 0.8))
        assert screen.chosen() == sorted([runs["T8 s0"], runs["T8 s1"]])
        low = plot._extent("test_accuracy")[1]
        drag(plot, QPointF(plot.axis_x(4), low), self.axis(plot, "test_accuracy", 0.9))
        assert screen.chosen() == [runs["T8 s1"]]
        qtbot.mouseDClick(plot, LEFT, NONE, self.axis(plot, "test_accuracy", 0.3).toPoint())
        assert screen.chosen() == []
        assert plot.kept.all()

    def test_that_runs_without_a_value_are_at_the_foot_and_can_be_kept(
        self, screen: ExploreScreen, plot: ParallelPlot, runs: dict[str, int]
    ) -> None:
        foot = QPointF(plot.axis_x(0), plot.place_y(np.nan))
        drag(plot, foot - QPointF(0, 9), foot + QPointF(0, 6))
        assert screen.chosen() == [runs["diverged"]]

    def test_that_a_title_dragged_moves_its_axis_and_the_colours_follow_the_last(
        self, screen: ExploreScreen, plot: ParallelPlot
    ) -> None:
        drag(plot, QPointF(plot.axis_x(0), 14), QPointF(plot.axis_x(4), 14))
        assert plot.names == ["w", "student.units", "seed", "test_accuracy", "T"]
        assert plot._groups is not None
        assert plot._groups.names == ("2", "8")
        screen.reload()
        assert screen.parallel.names() == ["w", "student.units", "seed", "test_accuracy", "T"]

    def test_that_fields_and_axes_are_remembered(self, qtbot: QtBot, screen: ExploreScreen, plot: ParallelPlot) -> None:
        plot.move_axis("T", 3)
        screen.scatter.set_fields(["test_nll", "test_errors", ""])
        screen.hide()
        again = ExploreScreen(lambda *_: None, lambda *_: None)
        qtbot.addWidget(again)
        assert again.parallel.axes == ["w", "student.units", "seed", "T", "test_accuracy"]
        assert again.scatter.fields() == ["test_nll", "test_errors", ""]

    def test_that_axes_are_taken_away_by_their_cross_and_added_by_name(
        self, qtbot: QtBot, screen: ExploreScreen, plot: ParallelPlot
    ) -> None:
        qtbot.mouseClick(plot, LEFT, NONE, plot._cross(1).center().toPoint())
        assert plot.names == ["T", "student.units", "seed", "test_accuracy"]
        line = screen.parallel.add.lineEdit()
        line.selectAll()
        qtbot.keyClicks(line, "parameters")
        qtbot.keyClick(line, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: plot.names == ["T", "student.units", "seed", "test_accuracy", "parameters"], timeout=WAIT)
        assert line.text() == "add an axis…"

    def test_that_all_of_it_goes_by_the_keyboard_too(
        self, qtbot: QtBot, screen: ExploreScreen, plot: ParallelPlot, runs: dict[str, int]
    ) -> None:
        qtbot.keyClick(plot, Qt.Key.Key_Right, CONTROL)
        assert plot.names[:2] == ["w", "T"]
        for _ in range(3):
            qtbot.keyClick(plot, Qt.Key.Key_Down)
        assert screen.chosen() == sorted([runs["T2 s0"], runs["T2 s1"]])
        qtbot.keyClick(plot, Qt.Key.Key_Escape)
        assert screen.chosen() == []
        qtbot.keyClick(plot, Qt.Key.Key_Delete)
        assert "T" not in plot.names

    def test_that_thousands_of_lines_are_painted_a_slice_at_a_time_to_the_last(self, qtbot: QtBot, plot: ParallelPlot) -> None:
        y = np.random.default_rng(0).random((20_000, 2)) * 300
        size, x = plot.size(), np.array([0.0, 500.0])
        plot.lines.show(size, 1.0, x, y, np.zeros(len(y), int), [plot.palette().text().color()] * 2, plot.palette().mid().color())
        plot.lines.choose(np.ones(len(y), bool), size, 1.0)
        assert not plot.lines.ready
        qtbot.waitUntil(lambda: plot.lines.ready, timeout=WAIT)
        assert plot.lines.before.done == 20_000


class TestWhatMattered:
    def test_that_too_few_runs_are_told_so(self, qtbot: QtBot, screen: ExploreScreen) -> None:
        screen.tabs.setCurrentWidget(screen.mattered)
        qtbot.waitUntil(lambda: screen.mattered.words.text().startswith("4 of these runs have test accuracy"), timeout=WAIT)
        assert screen.mattered.table.rowCount() == 0

    def test_that_settings_are_ranked_and_lead_to_the_other_pages(
        self, qtbot: QtBot, make: Callable[[], ExploreScreen], history_path: Path
    ) -> None:
        many_students(history_path)
        screen = make()
        screen.tabs.setCurrentWidget(screen.mattered)
        table = screen.mattered.table
        qtbot.waitUntil(lambda: table.rowCount() == 2, timeout=WAIT)
        assert [table.item(row, 0).text() for row in range(2)] == ["distillation.temperature", "seed"]
        assert table.item(0, 2).text() == "+1.00   more is better"
        assert table.item(0, 3).text() == "4"
        screen.show_runs(range(1, 9))
        qtbot.waitUntil(lambda: table.rowCount() == 0 and "at least 10 are needed" in screen.mattered.words.text(), timeout=WAIT)
        screen.show_runs(None)
        qtbot.waitUntil(lambda: table.rowCount() == 2, timeout=WAIT)
        qtbot.mouseClick(screen.mattered.parallel, LEFT)
        qtbot.waitUntil(lambda: screen.parallel.plot.names == ["distillation.temperature", "seed", "test_accuracy"], timeout=WAIT)
        screen.tabs.setCurrentWidget(screen.mattered)
        table.selectRow(0)
        qtbot.mouseClick(screen.mattered.scatter, LEFT)
        plot = screen.scatter.plot
        qtbot.waitUntil(lambda: plot.getAxis("bottom").labelText == "distillation.temperature", timeout=WAIT)


def test_that_going_back_to_a_figure_shows_its_own_answer(qtbot: QtBot, themed: None, history_path: Path) -> None:
    many_students(history_path)
    works: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
    with closing(open_for_reading(history_path)) as database:
        screen = ExploreScreen(
            lambda topic, reading, answered: answered(reading(database)),
            lambda topic, work, answered: works.append((work, answered)),
        )
        qtbot.addWidget(screen)
        screen.show()
        screen.tabs.setCurrentWidget(screen.mattered)

        def choose(name: str) -> None:
            screen.mattered.figure.set_name(name)
            screen.mattered.wanted.emit()

        def answer(place: int) -> None:
            work, answered = works[place]
            answered(work())

        answer(0)
        shown = screen.mattered.answer
        choose("parameters")
        choose("test_accuracy")
        answer(1)
        assert len(works) == 2
        assert screen.mattered.answer == shown
        choose("parameters")
        answer(2)
        assert screen.mattered.answer != shown


def many_students(path: Path) -> None:
    """Twenty-four students whose accuracy is made by their temperature."""
    from tests.experiments import add_run, tiny

    with History(path) as history:
        experiment = history.enqueue(tiny())
        entered = [
            (add_run(history, history.enqueue(tiny()), "student", lists.student(T, seed)), 0.9 + T / 100)
            for T in (1.0, 2.0, 4.0, 8.0)
            for seed in range(6)
        ]
        assert experiment
        for run, accuracy in entered:
            history.record_figures(run, {"test_accuracy": accuracy})


class TestWhichRuns:
    def test_that_roles_and_a_filter_choose_and_an_error_is_told(
        self, qtbot: QtBot, screen: ExploreScreen, runs: dict[str, int]
    ) -> None:
        screen.roles.setCurrentText("Teachers")
        screen.roles.activated.emit(screen.roles.currentIndex())
        qtbot.waitUntil(lambda: screen.state.text() == "1 run; one alone shows no pattern yet", timeout=WAIT)
        screen.roles.setCurrentText("All roles")
        screen.roles.activated.emit(screen.roles.currentIndex())
        qtbot.waitUntil(lambda: screen.state.text().startswith("6 runs"), timeout=WAIT)
        qtbot.keyClicks(screen.filter, "T >= 4")
        qtbot.waitUntil(lambda: screen.state.text().startswith("2 runs"), timeout=WAIT)
        qtbot.keyClicks(screen.filter, " and")
        qtbot.waitUntil(lambda: screen.box.wrong.isVisible() and "ends too early" in screen.box.wrong.text(), timeout=WAIT)
        assert screen.state.text().startswith("2 runs")
        assert screen.pages.currentIndex() == 1
        screen.filter.setText("T > 99")
        qtbot.waitUntil(lambda: screen.hint.isVisible() and "No run" in screen.hint.text(), timeout=WAIT)
        assert not screen.box.wrong.isVisible()

    def test_that_given_runs_alone_are_shown_until_all_are_wanted(
        self, qtbot: QtBot, screen: ExploreScreen, runs: dict[str, int]
    ) -> None:
        screen.show_runs([runs["teacher"], runs["T8 s0"]])
        qtbot.waitUntil(lambda: screen.state.text().startswith("2 runs"), timeout=WAIT)
        assert screen.given.text() == "2 chosen runs"
        qtbot.mouseClick(screen.all_runs, LEFT)
        qtbot.waitUntil(lambda: screen.state.text().startswith("5 runs"), timeout=WAIT)
        assert screen.roles.currentText() == "Students and baselines"
        assert not screen.all_runs.isVisible()

    def test_that_only_these_goes_on_with_the_chosen_runs(
        self, qtbot: QtBot, screen: ExploreScreen, runs: dict[str, int]
    ) -> None:
        qtbot.mouseClick(screen.scatter.plot.viewport(), LEFT, NONE, at_run(screen, runs["T2 s1"]))
        qtbot.mouseClick(screen.only, LEFT)
        qtbot.waitUntil(lambda: screen.state.text().startswith("1 run;"), timeout=WAIT)

    def test_that_without_runs_there_is_a_hint(self, qtbot: QtBot, make: Callable[[], ExploreScreen], history_path: Path) -> None:
        History(history_path).close()
        screen = make()
        qtbot.waitUntil(lambda: screen.pages.currentIndex() == 0, timeout=WAIT)
        assert "No runs to explore yet" in screen.hint.text()


class TestWorker:
    def test_that_what_goes_wrong_is_told_and_the_next_is_still_worked_out(self) -> None:
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        worker = Worker(answers.put)

        def wrong() -> None:
            raise WorkbenchError("there is nothing to weigh")

        worker.ask(1, wrong)
        worker.ask(2, lambda: threading.current_thread().name)
        worker.close()
        assert worker.join(10)
        first, second = answers.get(), answers.get()
        assert (first.token, str(first.error)) == (1, "there is nothing to weigh")
        assert (second.token, second.value, second.error) == (2, "worker", None)

    def test_that_one_never_asked_has_ended(self) -> None:
        worker = Worker(lambda _: None)
        worker.close()
        assert worker.join(0)


def test_that_the_window_shows_it_and_takes_what_is_chosen_to_the_other_screens(qtbot: QtBot, window: MainWindow) -> None:
    many_students(window.history_path)
    window.tabs.setCurrentWidget(window.explore)
    qtbot.waitUntil(lambda: window.explore.scatter.plot.points() == 24, timeout=WAIT)
    window.dress("dark")
    box(window.explore.scatter.plot, 0.99, 0.99)
    chosen = window.explore.chosen()
    assert len(chosen) == 24
    qtbot.mouseClick(window.explore.compare, LEFT)
    assert window.tabs.currentWidget() is window.compare
    assert list(window.compare.runs) == chosen
    window.explore.filter_wanted.emit("T >= 4")
    assert window.tabs.currentWidget() is window.history
    assert window.history.filter.text() == "T >= 4"


def test_that_the_window_weighs_settings_beside_its_engine_and_closes_once_it_is_done(qtbot: QtBot, window: MainWindow) -> None:
    many_students(window.history_path)
    window.tabs.setCurrentWidget(window.explore)
    window.explore.tabs.setCurrentWidget(window.explore.mattered)
    qtbot.waitUntil(lambda: window.explore.mattered.words.text().startswith("Growing trees over 24 runs"), timeout=WAIT)
    with qtbot.waitSignal(window.closed, timeout=WAIT):
        window.close()
    assert window.worker.join(0)
