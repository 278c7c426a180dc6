"""A sweep that takes parts away: shown as what each part is worth, and kept by the set-up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from click.testing import CliRunner
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tests.experiments import TINY
from tests.gui.driving import wait_checked
from workbench.analysis.study import HEADER, MEASURE
from workbench.cli import cli
from workbench.gui.main_window import MainWindow
from workbench.gui.setup.sweep_part import SweepPart
from workbench.gui.sweeps.screen import SweepScreen
from workbench.history.database import open_for_reading
from workbench.history.writing import Entry, History
from workbench.plan import plan
from workbench.sweep import expand

ERRORS = {"nothing": ([40, 44, 48], [30, 33, 31]), "depth": ([60, 66, 67], [45, 47, 52]), "bias": ([40, 47, 46], [30, 30, 35])}
"""Of three seeds, on hard targets and distilled."""
PARTS = {"depth": {"student.layers": 0}, "bias": {"student.bias": False}}


def done(history: History, sweep: dict[str, Any], errors: Callable[[dict[str, Any], int], tuple[float, float]]) -> int:
    """A sweep that is over, with errors by point and seed; its number."""
    tables = TINY | {"sweep": sweep}
    number, experiments = history.enqueue_sweep(tables, expand(tables))
    for experiment, (point, config) in zip(experiments, expand(tables), strict=True):
        planned = plan(config, lambda run: history.past_run(run).config)
        entries = [Entry(role=one.role, name=one.name, config=one.config, parents=one.parents, parameters=99) for one in planned]
        found = dict(zip(("baseline", "student"), errors(point, config.seed), strict=True))
        for run, one in zip(history.enter(experiment, entries), planned, strict=True):
            history.record_figures(run, {"test_errors": found[one.role]} if one.role in found else {})
            history.finish_run(run, "done", "")
        history.finish_experiment(experiment, "done", "")
    return number


def study(history: History) -> int:
    def errors(point: dict[str, Any], seed: int) -> tuple[float, float]:
        hard, soft = ERRORS[point["without"]]
        return hard[seed], soft[seed]

    return done(history, {"seeds": 3, "without": PARTS}, errors)


@pytest.fixture
def screen(qtbot: QtBot, themed: None, history: History) -> SweepScreen:
    def ask(topic: str, read: Callable[[Any], Any], answered: Callable[[Any], None]) -> None:
        with closing(open_for_reading(history.path)) as database:
            answered(read(database))

    made = SweepScreen(ask)
    qtbot.addWidget(made)
    made.resize(1200, 700)
    return made


def lines(screen: SweepScreen) -> list[list[str]]:
    rows, columns = range(screen.table.rowCount()), range(screen.table.columnCount())
    return [[screen.table.item(row, column).text() for column in columns] for row in rows]


def shown_beside(screen: SweepScreen) -> list[str]:
    """The texts within the plot."""
    return [item.toPlainText() for item in screen.plot.plotItem.items if hasattr(item, "toPlainText")]


def test_that_a_study_shows_what_each_part_costs_and_what_is_given_back(screen: SweepScreen, history: History) -> None:
    study(history)
    screen.show()
    assert screen.each.currentText() == "what each part is worth"
    titles = [screen.table.horizontalHeaderItem(column).text() for column in range(screen.table.columnCount())]
    assert titles == list(HEADER)
    whole, depth, bias = lines(screen)
    assert (whole[0], whole[5:]) == ("whole", ["–", "–", "–"])
    assert depth[:2] == ["without depth", "99"]
    assert depth[5].startswith("+20.3 ± ")
    assert depth[7].startswith("80% (")
    assert (bias[0], bias[7]) == ("without bias", "–")
    assert shown_beside(screen) == [depth[7]]
    assert screen.state.text().startswith("9 of 9 experiments done. Each ±")
    ticks = screen.plot.getAxis("left")._tickLevels
    assert [name for _, name in ticks[0]] == ["whole", "without depth", "without bias"]
    assert not screen.metric_choice.isEnabled()
    header, rows = screen._values()
    assert rows[1][header.index("given back")] == pytest.approx(49 / 61)
    assert screen._title().endswith("what each part is worth")


def test_that_its_combinations_are_there_too_and_any_other_sweep_is_shown_as_ever(
    qtbot: QtBot, screen: SweepScreen, history: History
) -> None:
    plain = done(history, {"seeds": 3, "student.units": [4, 8]}, lambda point, seed: (40 + seed, 30 + seed))
    number = study(history)
    screen.show()
    screen.table.selectRow(1)
    with qtbot.waitSignal(screen.compare_wanted) as wanted:
        qtbot.mouseClick(screen.compare, Qt.MouseButton.LeftButton)
    assert wanted.args == [list(screen.results[1].runs)]
    screen.each.setCurrentIndex(screen.each.findText("–"))
    screen.each.activated.emit(screen.each.currentIndex())
    assert lines(screen)[1][0].startswith("without depth")
    assert screen.metric_choice.isEnabled()
    assert screen.plot.getAxis("left")._tickLevels is None
    assert shown_beside(screen) == []
    assert screen.state.text() == "9 of 9 experiments done"
    screen.reload()
    assert screen.each.currentText() == "–"
    screen.show_sweep(plain)
    assert screen.each.findText("what each part is worth") < 0
    assert lines(screen)[0][0].startswith("units 4")
    screen.show_sweep(number)
    assert screen.each.currentText() == "what each part is worth"
    assert lines(screen)[0][0] == "whole"


def test_that_the_command_line_prints_the_same(screen: SweepScreen, history: History) -> None:
    number = str(study(history))
    screen.show()
    given = ["sweeps", number, "--history", str(history.path)]
    header, *rows, measure = CliRunner().invoke(cli, given).stdout.splitlines()
    assert [re.split(r" {2,}", row) for row in (header, *rows)] == [list(HEADER), *lines(screen)]
    assert measure == MEASURE
    found = json.loads(CliRunner().invoke(cli, [*given, "--json"]).stdout)
    assert [one["point"]["without"] for one in found] == ["nothing", "depth", "bias"]
    assert found[1]["study"]["cost"]["baseline"]["mean"] == pytest.approx(61 / 3)
    assert found[2]["study"]["given_back"] is None


def test_that_the_set_up_keeps_the_parts_of_a_recipe_and_lets_them_go(qtbot: QtBot, themed: None) -> None:
    part = SweepPart()
    qtbot.addWidget(part)
    part.show_table({"seeds": 2, "without": PARTS})
    assert part.value() == {"how": "grid", "seeds": 2, "without": PARTS}
    assert part.without.text.text() == "Whole, and without one part at a time: depth, bias"
    assert not part.without.isHidden()
    with qtbot.waitSignal(part.changed):
        qtbot.mouseClick(part.without.away, Qt.MouseButton.LeftButton)
    assert part.value() == {"how": "grid", "seeds": 2}
    assert part.without.isHidden()


def test_that_the_plan_of_a_study_trains_its_teachers_once(qtbot: QtBot, window: MainWindow) -> None:
    window.setup.sweep.show_table({"seeds": 2, "without": PARTS})
    wait_checked(qtbot, window)
    assert window.setup.plan.text().startswith("A sweep of 6 experiments: 17 models to train, 25 reused")
