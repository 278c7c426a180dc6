"""The paper's claims on the screen: what is shown of them, their runs at a click, and what is missing of them done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from tests.analysis.test_claims import enter, fill, table
from tests.gui.driving import WAIT
from workbench.analysis import claims
from workbench.errors import NotHere
from workbench.gui.main_window import MainWindow
from workbench.gui.paper.screen import FormRow
from workbench.history.database import open_for_reading
from workbench.history.writing import History
from workbench.recipes import recipe_tables
from workbench.sweep import expand


def shown(qtbot: QtBot, window: MainWindow) -> Callable[[str], FormRow]:
    """The screen in front, and read; its rows by claim, in the short form."""
    window.paper.scores = []
    window.tabs.setCurrentWidget(window.paper)
    window.paper.reload()
    qtbot.waitUntil(lambda: bool(window.paper.scores), timeout=WAIT)
    return lambda name: window.paper.boxes[name].forms["short"]


def queued(window: MainWindow) -> int:
    with closing(open_for_reading(window.history_path)) as database:
        return int(database.execute("SELECT count(*) FROM experiments").fetchone()[0])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A recipe that takes a moment."""
    tables = recipe_tables("mnist-table-short")
    tables["teacher_training"]["epochs"] = tables["training"]["epochs"] = 1
    tables["student"] = tables["teachers"][0] = {"model": "mlp", "layers": 1, "units": 8}
    tables["sweep"]["seeds"] = 2

    def made(name: str) -> dict[str, Any]:
        return tables if name == "mnist-table-short" else recipe_tables(name)

    monkeypatch.setattr(claims, "recipe_tables", made)
    monkeypatch.setattr("workbench.questions.plans.recipe_tables", made)
    return tables


def test_that_an_empty_history_shows_every_claim_and_what_to_press(qtbot: QtBot, window: MainWindow) -> None:
    shown(qtbot, window)
    assert list(window.paper.boxes) == [claim.name for claim in claims.CLAIMS]
    for box in window.paper.boxes.values():
        for row in box.forms.values():
            assert row.score is not None
            assert row.standing.text() == f"○ 0 of {len(row.score.missing)} done"
            assert (row.run.isEnabled(), row.show_runs.isVisible()) == (True, False)
            assert row.run.text() == "Run what is missing"
    assert "press “Run all short forms”" in window.paper.state.text()
    assert window.paper.run_short.isEnabled()
    assert "a night" in window.paper.boxes["mnist-table"].forms["paper"].run.toolTip()
    assert "at least half of the gap" in window.paper.boxes["mnist-table"].toolTip()
    named = [one.accessibleName() for one in window.paper.area.findChildren(QPushButton)]
    assert len(set(named)) == len(named)


def test_that_a_claim_is_judged_copied_and_its_runs_are_a_click_away(qtbot: QtBot, window: MainWindow) -> None:
    with History(window.history_path) as history:
        fill(history, "mnist-table-short", lambda point: table(point["seed"], 40.0))
        fill(history, "temperature-by-width-short", lambda _: table(0, 40.0))
    row = shown(qtbot, window)
    assert row("mnist-table").standing.text() == "✓ holds"
    assert row("mnist-table").standing.property("role") == "good"
    assert "teacher 30, hard 72.0" in row("mnist-table").ours.text()
    assert not row("mnist-table").run.isVisible()
    assert window.paper.state.text().startswith(f"Short form: 2 of {len(claims.CLAIMS)} claims hold.")
    box = window.paper.boxes["mnist-table"]
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    copied = QGuiApplication.clipboard().text()
    assert copied.startswith("Soft targets take a small net most of the way to its teacher (section 3)\nThe paper: teacher 67")
    assert "Short form, holds: teacher 30" in copied
    assert "Paper's form, 0 of 3 done" in copied
    qtbot.mouseClick(row("mnist-table").show_runs, Qt.MouseButton.LeftButton)
    assert window.tabs.currentWidget() is window.compare
    score = row("mnist-table").score
    assert score is not None
    assert window.compare.runs == score.runs
    row = shown(qtbot, window)
    qtbot.mouseClick(row("temperature-wide").show_runs, Qt.MouseButton.LeftButton)
    score = row("temperature-wide").score
    assert score is not None
    qtbot.waitUntil(lambda: set(window.history.selected_runs()) == set(score.runs), timeout=WAIT)
    assert window.tabs.currentWidget() is window.history


def test_that_what_is_missing_is_done_once_and_judged(qtbot: QtBot, window: MainWindow, small: dict[str, Any]) -> None:
    (_, first), _ = expand(small)
    with History(window.history_path) as history:
        enter(history, first, **table(0, 40.0))
    row = shown(qtbot, window)("mnist-table")
    assert row.standing.text() == "○ 1 of 2 done"
    qtbot.mouseClick(row.run, Qt.MouseButton.LeftButton)
    assert (row.run.text(), row.run.isEnabled()) == ("Waiting", False)
    qtbot.waitUntil(lambda: row.score is not None and row.score.verdict is not None, timeout=WAIT)
    assert row.standing.text()[0] in "✓✗?"
    assert "errors of" in row.ours.text()
    assert row.run.isHidden()
    assert queued(window) == 2
    assert window.tabs.currentWidget() is window.paper


def test_that_what_waits_is_not_queued_twice(qtbot: QtBot, window: MainWindow, small: dict[str, Any]) -> None:
    (_, first), (_, second) = expand(small)
    with History(window.history_path) as history:  # of another program, which holds it
        history.enqueue(first)
        row = shown(qtbot, window)("mnist-table")
        assert row.ours.text() == "1 experiment in the queue or under way"
        assert (row.run.text(), row.run.isEnabled()) == ("Run what is missing", True)
        history.enqueue(second)
        qtbot.mouseClick(row.run, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not window.paper._asked, timeout=WAIT)
        assert (row.run.text(), row.run.isEnabled()) == ("Waiting", False)
        assert row.standing.text() == "○ 0 of 2 done"
        assert queued(window) == 2


def test_that_all_short_forms_are_queued_as_sweeps(qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.history.writing.History.next_in_queue", lambda _: None)
    row = shown(qtbot, window)
    qtbot.mouseClick(window.paper.run_short, Qt.MouseButton.LeftButton)
    assert not window.paper.run_short.isEnabled()
    qtbot.waitUntil(lambda: not window.paper._asked, timeout=WAIT)
    assert {row(name).run.text() for name in window.paper.boxes} == {"Waiting"}
    assert window.paper.boxes["mnist-table"].forms["paper"].run.isEnabled()
    with closing(open_for_reading(window.history_path)) as database:
        names = [one[0] for one in database.execute("SELECT name FROM sweeps ORDER BY id").fetchall()]
    assert names == list(dict.fromkeys(f"{claim.recipe}-short" for claim in claims.CLAIMS))


def test_that_data_that_is_not_there_is_said_and_nothing_is_queued(
    qtbot: QtBot, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: Any, **__: Any) -> None:
        raise NotHere("mnist was not found in any folder")

    monkeypatch.setattr("workbench.running.engine.Engine.check", absent)
    shown(qtbot, window)
    row = window.paper.boxes["mnist-table"].forms["paper"]
    qtbot.mouseClick(row.run, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.banner.isVisible() and row.run.isEnabled(), timeout=WAIT)
    assert window.banner.text.text() == "mnist was not found in any folder."
    assert queued(window) == 0
    qtbot.mouseClick(window.banner.act, Qt.MouseButton.LeftButton)
    assert window.tabs.currentWidget() is window.setup
    assert window.setup.recipe.currentText() == "mnist-table"
