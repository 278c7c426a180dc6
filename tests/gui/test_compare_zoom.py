"""Zooming into long curves on the Compare screen: the stretch in view is read again, with the points that thinning left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from pytestqt.qtbot import QtBot
from sqlite_utils import Database

from tests.experiments import add_run, tiny
from tests.gui.pictures import picture
from workbench.analysis.smoothing import smoothed
from workbench.config import RunConfig
from workbench.events import Answer, Metrics
from workbench.gui.compare.screen import CompareScreen
from workbench.gui.curve_plot import Line
from workbench.gui.run_feed import RunFeed
from workbench.history.database import open_for_reading
from workbench.history.writing import History, Started

LONG = 20_000
VALUES = np.random.default_rng(0).normal(size=LONG)


@pytest.fixture
def database(history: History) -> Iterator[Database]:
    with closing(open_for_reading(history.path)) as opened:
        yield opened


@pytest.fixture
def screen(qtbot: QtBot, themed: None, database: Database) -> CompareScreen:
    made = CompareScreen(lambda topic, read, answered: answered(read(database)), lambda *_: None)
    qtbot.addWidget(made)
    made.resize(1260, 700)
    made.show()
    qtbot.waitExposed(made)
    return made


def write(history: History, run: int, values: np.ndarray, after: int = 0) -> None:
    """Steps from 1, of which a hundred are an epoch and ten a second."""
    told = enumerate(values.tolist(), after + 1)
    history.write_metrics([Metrics(run, step, step / 100, step / 10, (("loss", value),)) for step, value in told])


def long_run(history: History, *, seed: int = 0, finished: bool = True) -> int:
    run = add_run(history, history.enqueue(tiny()), "teacher", RunConfig(seed=seed))
    history.start_runs([Started(run=run, fingerprint=f"f{run}", data_digest="d" * 64, steps=LONG, environment={})])
    write(history, run, VALUES)
    if finished:
        history.finish_run(run, "done", "")
    return run


def compare(screen: CompareScreen, *runs: int, axis: str = "step") -> None:
    screen.axis_choice.setCurrentText(axis)
    screen.compare(list(runs))
    picture(screen.plot)


def zoom(screen: CompareScreen, low: float, high: float) -> None:
    screen.plot.plot.setXRange(low, high, padding=0)


def line(screen: CompareScreen, run: int) -> Line:
    return next(one for one in screen.plot.lines() if one.key == run)


def within(screen: CompareScreen, run: int, low: float, high: float) -> list[float]:
    """The values drawn from one place of the axis to another."""
    shown = line(screen, run)
    return shown.y[(shown.x >= low) & (shown.x <= high)].tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(("axis", "unit"), [("step", 1.0), ("epoch", 100.0), ("time (s)", 10.0)])
@pytest.mark.parametrize("finished", [True, False])
def test_that_every_point_of_the_stretch_zoomed_into_is_drawn_until_the_zoom_is_taken_back(
    qtbot: QtBot,
    history: History,
    screen: CompareScreen,
    axis: str,
    unit: float,
    finished: bool,
) -> None:
    run = long_run(history, finished=finished)
    compare(screen, run, axis=axis)
    low, high = 12_000 / unit, 12_200 / unit
    outline = line(screen, run)
    assert len(within(screen, run, low, high)) < 30
    zoom(screen, low, high)
    qtbot.waitUntil(lambda: within(screen, run, low, high) == VALUES[11_999:12_200].tolist())
    assert within(screen, run, high + 10 / unit, 1e9) == outline.y[outline.x >= high + 10 / unit].tolist()
    zoom(screen, low + 5000 / unit, high + 5000 / unit)
    qtbot.waitUntil(lambda: within(screen, run, low + 5000 / unit, high + 5000 / unit) == VALUES[16_999:17_200].tolist())
    assert len(within(screen, run, low, high)) < 30
    screen.whole.click()
    picture(screen.plot)
    qtbot.waitUntil(lambda: line(screen, run).y.tolist() == outline.y.tolist())


def test_that_a_zoom_on_a_logarithmic_axis_shows_every_point(qtbot: QtBot, history: History, screen: CompareScreen) -> None:
    run = long_run(history)
    compare(screen, run)
    screen.log_x.setChecked(True)
    picture(screen.plot)
    assert len(within(screen, run, 10, 1000)) < 150
    box = screen.plot.plot.getViewBox()
    box.scaleBy(x=0.4, center=QPointF(1.5, 0.0))
    low, high = 10.0 ** np.array(box.viewRange()[0])
    assert 1 < low < 30
    assert 40 < high < 2000
    expected = VALUES[int(np.ceil(low)) - 1 : int(high)].tolist()
    qtbot.waitUntil(lambda: within(screen, run, low, high) == expected)


def test_that_a_zoom_shows_what_a_running_run_brings(qtbot: QtBot, history: History, screen: CompareScreen) -> None:
    run = long_run(history, finished=False)
    compare(screen, run)
    zoom(screen, LONG - 100, LONG + 100)
    qtbot.waitUntil(lambda: within(screen, run, LONG - 100, LONG) == VALUES[-101:].tolist())
    write(history, run, np.arange(50.0), after=LONG)
    qtbot.waitUntil(lambda: within(screen, run, LONG - 100, LONG + 100) == [*VALUES[-101:].tolist(), *np.arange(50.0)])
    assert screen.plot.plot.getViewBox().viewRange()[0] == pytest.approx([LONG - 100, LONG + 100])


def test_that_a_read_that_takes_longer_than_a_run_is_followed_by_is_waited_for(
    qtbot: QtBot, history: History, database: Database, themed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.gui.compare.screen.FOLLOW_MILLISECONDS", 10)
    asked: list[Callable[[], None]] = []
    slow = CompareScreen(lambda _, read, answered: asked.append(lambda: answered(read(database))), lambda *_: None)
    qtbot.addWidget(slow)
    slow.show()
    slow.compare([long_run(history, finished=False)])
    while asked:
        asked.pop()()
    qtbot.waitUntil(lambda: len(asked) == 1)
    qtbot.wait(200)
    assert len(asked) == 1
    asked.pop()()
    qtbot.waitUntil(lambda: len(asked) == 1)


def test_that_a_read_that_fails_is_told_and_the_run_is_followed_on(
    qtbot: QtBot, history: History, database: Database, themed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.gui.compare.screen.FOLLOW_MILLISECONDS", 10)
    feed, asked = RunFeed(), list[Callable[[], None]]()

    def ask(topic: Hashable, read: Callable[[Database], Any], answered: Callable[[Any], None]) -> None:
        def answer(token: int, file: Database) -> None:
            try:
                feed.post(Answer(token, read(file), None))
            except Exception as error:
                feed.post(Answer(token, None, error))

        feed.ask(topic, lambda token: asked.append(lambda: answer(token, files.pop() if files else database)), answered)

    files: list[Database] = []
    told: list[str] = []
    feed.failed.connect(lambda error: told.append(str(error)))
    screen = CompareScreen(ask, lambda *_: None)
    screen.said.connect(told.append)
    qtbot.addWidget(screen)
    screen.show()
    screen.compare([long_run(history, finished=False)])
    while asked:
        asked.pop()()
        feed.drain()
    qtbot.waitUntil(lambda: len(asked) == 1)
    files.append(Database(memory=True))
    asked.pop()()
    qtbot.waitUntil(lambda: len(told) == 1)
    assert "no such table" in told[0]
    qtbot.waitUntil(lambda: len(asked) == 1)


def test_that_smoothing_taken_back_before_it_was_read_is_not_shown(
    qtbot: QtBot, history: History, database: Database, themed: None
) -> None:
    asked: list[Callable[[], None]] = []
    slow = CompareScreen(lambda _, read, answered: asked.append(lambda: answered(read(database))), lambda *_: None)
    qtbot.addWidget(slow)
    slow.show()
    run = long_run(history)
    slow.compare([run])
    slow.smoothing.setValue(500)
    while asked:
        asked.pop()()
    slow.smoothing.setValue(900)
    slow.smoothing.setValue(500)
    while asked:
        asked.pop()()
    shown = line(slow, run)
    assert slow.plot.readings(None)[run] == smoothed(VALUES, 0.5)[-1]
    assert shown.smooth is not None


def test_that_smoothing_is_that_of_all_points_zoomed_in_or_not(qtbot: QtBot, history: History, screen: CompareScreen) -> None:
    run = long_run(history)
    compare(screen, run)
    expected = smoothed(VALUES, 0.9)

    def drawn() -> bool:
        shown = line(screen, run)
        screen.plot.pointed.emit(12_100.0)
        reads = screen.plot.readings(12_100.0)[run]
        there = int(shown.x[np.abs(shown.x - 12_100).argmin()]) - 1
        return reads == expected[there] and shown.smooth is not None

    screen.smoothing.setValue(900)
    assert drawn()
    zoom(screen, 12_000, 12_200)
    qtbot.waitUntil(lambda: within(screen, run, 12_000, 12_200) == VALUES[11_999:12_200].tolist())
    assert drawn()
    assert screen.plot.readings(12_100.0) == {run: expected[12_099]}
    screen.smoothing.setValue(0)
    assert screen.plot.readings(12_100.0) == {run: VALUES[12_099]}


def test_that_curves_that_are_whole_are_not_read_again(
    qtbot: QtBot, history: History, screen: CompareScreen, database: Database
) -> None:
    first, second = long_run(history), long_run(history, seed=1)
    compare(screen, first, second)
    screen.group_seeds.setChecked(True)
    assert len(line(screen, screen.shown[0].key).x) == LONG  # type: ignore[arg-type]
    read: list[str] = []
    database.conn.set_trace_callback(read.append)
    with qtbot.waitSignal(screen.plot.settled):
        zoom(screen, 12_000, 12_200)
    screen.smoothing.setValue(900)
    assert read == []
