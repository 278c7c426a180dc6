"""The History screen's list, driven on a real history by its own clicks and keys."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Hashable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QSettings, Qt
from PySide6.QtWidgets import QApplication, QFileDialog, QInputDialog
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot
from sqlite_utils import Database

from tests.history import lists
from workbench.gui.history.fields_dialog import ColumnsDialog
from workbench.gui.history.model import LINE_ROLE, read_shown
from workbench.gui.history.screen import HistoryScreen
from workbench.history.database import open_database
from workbench.history.listing import SEEDS


class Bench:
    """A screen on a history whose questions are answered at once."""

    def __init__(self, path: Path, qtbot: QtBot) -> None:
        self.path, self.qtbot = path, qtbot
        self.runs = lists.make(path)
        self.names = {run: name for name, run in self.runs.items()}
        self.database = open_database(path)
        self.screen = self.open()

    def open(self) -> HistoryScreen:
        screen = HistoryScreen(self._ask, self._ask)
        self.qtbot.addWidget(screen)
        screen.resize(1260, 700)
        screen.show()
        return screen

    def _ask(self, topic: Hashable, reading: Callable[[Database], Any], answered: Callable[[Any], None]) -> None:
        answered(reading(self.database))

    def lines(self) -> list[str]:
        """What each line stands for: a group's title, or a run."""
        model = self.screen.model
        found = []
        for line in range(model.rowCount()):
            group, entry = model.group_at(line), model.entry_at(line)
            found.append(group.title.split("  #")[0] if group else self.names[entry.run] if entry else "")
        return found

    def cell(self, line: str, field: str) -> str:
        model = self.screen.model
        column = [one.name for one in model.columns].index(field)
        return str(model.index(self.lines().index(line), column).data())

    def click_header(self, field: str, *, further: bool = False) -> None:
        header = self.screen.table.horizontalHeader()
        section = [one.name for one in self.screen.model.columns].index(field)
        self.screen.table.horizontalScrollBar().setValue(header.sectionPosition(section) - 100)
        place = QPoint(header.sectionViewportPosition(section) + header.sectionSize(section) // 2, header.height() // 2)
        keys = Qt.KeyboardModifier.ShiftModifier if further else Qt.KeyboardModifier.NoModifier
        self.qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, keys, place)

    def press(self, key: Qt.Key, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """A key on the table, which has the focus for it."""
        self.screen.activateWindow()
        self.screen.table.setFocus()
        self.qtbot.waitUntil(self.screen.table.hasFocus)
        self.qtbot.keyClick(self.screen.table, key, keys)

    def group_by(self, name: str) -> None:
        box = self.screen.view.group
        box.setCurrentIndex(box.findData(name))
        box.activated.emit(box.currentIndex())


@pytest.fixture
def bench(qtbot: QtBot, themed: None, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "experiments.db", qtbot)
    yield made
    made.database.close()


EXPERIMENTS = ["waits", "50% of_it", "diverged", "at 8, 1", "teacher", "T8 s1", "at 8, 0", "teacher", "T8 s0",
               "at 2, 1", "teacher", "T2 s1", "at 2, 0", "teacher", "T2 s0", "first", "teacher"]  # fmt: skip


def test_that_the_newest_experiments_are_shown_unfolded_with_their_figures(bench: Bench, qtmodeltester: ModelTester) -> None:
    assert bench.lines() == EXPERIMENTS
    assert bench.cell("T8 s1", "test_accuracy") == "98.00%"
    assert (bench.cell("at 8, 1", "test_accuracy"), bench.cell("at 8, 1", "T")) == ("98.00%", "8")
    assert bench.cell("waits", "status") == "waiting"
    assert bench.screen.count.text() == "6 runs"
    qtmodeltester.check(bench.screen.model, force_py=True)


def test_that_a_click_on_the_arrow_and_the_arrow_keys_fold_and_unfold(bench: Bench) -> None:
    table = bench.screen.table
    place = table.visualRect(bench.screen.model.index(3, 0)).topLeft() + QPoint(8, 8)
    bench.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    assert bench.lines() == [*EXPERIMENTS[:4], *EXPERIMENTS[6:]]
    table.setCurrentIndex(bench.screen.model.index(3, 0))
    bench.press(Qt.Key.Key_Right)
    assert bench.lines() == EXPERIMENTS
    table.setCurrentIndex(bench.screen.model.index(5, 0))
    bench.press(Qt.Key.Key_Left)
    assert table.currentIndex().row() == 3
    bench.press(Qt.Key.Key_Left)
    assert bench.lines() == [*EXPERIMENTS[:4], *EXPERIMENTS[6:]]


def test_that_what_is_folded_and_selected_stays_so_while_runs_come(bench: Bench) -> None:
    bench.screen.table.fold(1, unfolded=False)
    bench.screen.select_runs([bench.runs["T8 s0"], bench.runs["T2 s1"]])
    with closing(sqlite3.connect(bench.path)) as other:
        other.execute("UPDATE experiments SET deleted = '' WHERE name = 'at 8, 1'")
        other.execute("UPDATE runs SET status = 'stopped' WHERE name = 'baseline'")
        other.commit()
    bench.screen.reload()
    assert bench.lines() == [*EXPERIMENTS[:2], *EXPERIMENTS[6:]]
    assert bench.cell("50% of_it", "status") == "done"
    assert bench.screen.selected_runs() == [bench.runs["T8 s0"], bench.runs["T2 s1"]]


def test_that_an_expression_filters_while_it_is_typed_and_an_error_is_told_below_its_place(bench: Bench) -> None:
    bench.qtbot.keyClicks(bench.screen.filter, "T = 8 and accuracy > 97%")
    assert bench.lines() == ["at 8, 1", "T8 s1"]
    assert bench.screen.count.text() == "1 of 6 runs"
    bench.screen.filter.setText("T = 8 and acuracy > 97%")
    assert bench.lines() == ["at 8, 1", "T8 s1"]
    bench.qtbot.waitUntil(bench.screen.box.wrong.isVisible)
    assert "There is no field “acuracy” (did you mean 'accuracy'?)" in bench.screen.box.wrong.text()
    advance = bench.screen.filter.fontMetrics().horizontalAdvance("T = 8 and ")
    assert bench.screen.box.wrong.indent() == pytest.approx(advance, abs=12)
    bench.screen.filter.setText("nobody")
    assert not bench.screen.box.wrong.isVisible()
    assert bench.screen.nothing.text() == "No run matches nobody"
    bench.qtbot.mouseClick(bench.screen.clear, Qt.MouseButton.LeftButton)
    assert bench.lines() == EXPERIMENTS


def test_that_a_field_that_is_being_typed_does_not_empty_the_list(bench: Bench) -> None:
    asked: list[str] = []
    bench.screen.box.changed.connect(asked.append)
    bench.qtbot.keyClicks(bench.screen.filter, "T = 8 and accuracy > 97%")
    assert bench.lines() == ["at 8, 1", "T8 s1"]
    assert not any(text.endswith(("a", "acc", "accuracy")) for text in asked)
    bench.screen.filter.setText("T = 8 and teach")
    bench.qtbot.waitUntil(lambda: bench.lines() == [], timeout=5000)


def test_that_a_word_is_completed_by_key(bench: Bench) -> None:
    edit = bench.screen.filter
    edit.setFocus()
    bench.qtbot.keyClicks(edit, "T = 8 and stud")
    popup = edit._popup
    bench.qtbot.waitUntil(popup.isVisible)
    first = edit.offered.stringList()[0]
    assert first.startswith("student.")
    bench.qtbot.keyClick(popup, Qt.Key.Key_Down)
    bench.qtbot.keyClick(popup, Qt.Key.Key_Return)
    assert edit.text() == f"T = 8 and {first} "


def test_that_a_filter_is_kept_under_a_name_used_again_and_forgotten_with_undo(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(text: str) -> None:
        menu = bench.screen.box.kept.menu()
        forget = next((action.menu() for action in menu.actions() if action.menu()), None)
        actions = [*menu.actions(), *(forget.actions() if forget and text.startswith("-") else [])]
        next(action for action in reversed(actions) if action.text() == text.removeprefix("-")).trigger()

    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("hot ones", True))
    choose("Keep this filter…")
    assert "Type a filter first" in bench.screen.box.wrong.text()
    bench.screen.filter.setText("T = 8")
    choose("Keep this filter…")
    bench.screen.filter.clear()
    choose("hot ones")
    assert bench.screen.filter.text() == "T = 8"
    choose("-hot ones")
    assert bench.screen._kept == {}
    bench.screen.undo_stack.undo()
    assert bench.screen._kept == {"hot ones": "T = 8"}


def test_that_clicks_on_the_header_order_by_several_fields(bench: Bench) -> None:
    bench.group_by("")
    bench.click_header("T")
    bench.click_header("test_accuracy", further=True)
    assert bench.lines() == ["T2 s1", "T2 s0", "T8 s1", "T8 s0", "teacher", "diverged"]
    titles = [bench.screen.model.headerData(n, Qt.Orientation.Horizontal) for n in range(bench.screen.model.columnCount())]
    assert {"T ↑1", "Test ↓2"} <= set(titles)
    bench.click_header("test_accuracy")
    assert bench.lines() == ["T2 s0", "T2 s1", "T8 s0", "T8 s1", "teacher", "diverged"]
    bench.click_header("test_accuracy")
    assert bench.screen.view.order == ()


def test_that_seeds_are_grouped_with_means_and_intervals(bench: Bench) -> None:
    bench.group_by(SEEDS)
    bench.screen.filter.setText("role = student")
    assert bench.lines() == ["student · T 8 · w 0.1 · mlp 1×8 · digits", "T8 s1", "T8 s0",
                             "student · T 2 · w 0.1 · mlp 1×8 · digits", "T2 s1", "T2 s0"]  # fmt: skip
    assert bench.cell("student · T 8 · w 0.1 · mlp 1×8 · digits", "test_accuracy") == "97.00% ± 12.71%"
    index = bench.screen.model.index(0, [one.name for one in bench.screen.model.columns].index("test_accuracy"))
    assert "mean over 2 runs, with the 95% interval" in index.data(Qt.ItemDataRole.ToolTipRole)
    assert index.data(LINE_ROLE) == pytest.approx((0.97 - 0.90) / 0.08)


def test_that_groups_and_columns_are_remembered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.group_by("T")
    monkeypatch.setattr(ColumnsDialog, "exec", lambda dialog: (dialog.shown.takeItem(0), dialog.all.list.setCurrentRow(
        next(n for n in range(dialog.all.list.count()) if dialog.all.list.item(n).data(Qt.ItemDataRole.UserRole) == "model.units")
    ), dialog.add.click())[0] is not None)  # fmt: skip
    bench.qtbot.mouseClick(bench.screen.view.columns, Qt.MouseButton.LeftButton)
    names = [one.name for one in bench.screen.model.columns]
    assert (names[:2], names[-1]) == (["name", "status"], "model.units")
    bench.screen.table.fold(0, unfolded=True)
    assert bench.cell("T2 s0", "model.units") == "8"
    bench.screen.table.horizontalHeader().moveSection(len(names) - 1, 1)
    bench.screen.table.setColumnWidth(len(names) - 1, 123)
    bench.screen.hide()
    QSettings().sync()
    again = bench.open()
    assert [one.name for one in again.model.columns] == ["name", "model.units", *names[1:-1]]
    assert again.table.columnWidth(1) == 123
    assert again.view.group.currentData() == "T"


def test_that_marks_tags_and_notes_are_kept_shown_and_undone(bench: Bench) -> None:
    screen, runs = bench.screen, bench.runs
    screen.select_runs([runs["T8 s0"], runs["T8 s1"]])
    bench.press(Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    assert bench.cell("T8 s0", "name").strip() == "★ student"
    screen.select_runs([runs["T8 s0"]])
    next(action for action in screen.actions_of.marks.actions() if action.text().startswith("Pin")).trigger()
    assert bench.lines()[:2] == ["Pinned (1)", "T8 s0"]
    screen.details.tags.setText("best, paper")
    bench.qtbot.keyClick(screen.details.tags, Qt.Key.Key_Return)
    assert bench.cell("T8 s0", "tag") == "best, paper"
    screen.details.note.setFocus()
    bench.qtbot.keyClicks(screen.details.note, "<b>look</b> *here*")
    screen.table.setFocus()
    screen.filter.setText("note ~ look")
    assert bench.lines() == ["Pinned (1)", "T8 s0", "at 8, 0", "T8 s0"]
    assert screen.details.note.toPlainText() == "<b>look</b> *here*"
    for _ in range(4):
        screen.undo_stack.undo()
    screen.filter.clear()
    assert bench.lines() == EXPERIMENTS
    assert bench.cell("T8 s0", "tag") == "good, paper"
    assert bench.cell("T8 s0", "name").strip() == "student"
    assert bench.cell("T2 s0", "name").strip() == "★ student"


def test_that_a_run_leads_to_its_relatives(bench: Bench) -> None:
    screen, runs = bench.screen, bench.runs
    screen.filter.setText("T = 8 and seed = 1")
    screen.select_runs([runs["T8 s1"]])
    found = screen.details.tree.findItems("learned from", Qt.MatchFlag.MatchRecursive, 0)
    assert [item.text(1) for item in found] == ["run 1, teacher 1 of first #1, mlp 2×64"]
    screen.details.tree.itemClicked.emit(found[0], 1)
    assert screen.filter.text() == ""
    assert screen.selected_runs() == [runs["teacher"]]
    taught = screen.details.tree.findItems("taught", Qt.MatchFlag.MatchRecursive, 0)
    assert [item.text(1).split(",")[0] for item in taught] == [
        f"run {runs[name]}" for name in ("T8 s1", "T8 s0", "T2 s1", "T2 s0")
    ]


def test_that_selected_lines_are_copied_as_a_table(bench: Bench) -> None:
    bench.screen.select_runs([bench.runs["T8 s1"]])
    bench.press(Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    head, row = (line.split("\t") for line in QApplication.clipboard().text().split("\n"))
    assert dict(zip(head, row, strict=True))["Test"] == "98.00%"


def test_that_a_loss_curve_is_drawn_in_its_cell(bench: Bench) -> None:
    run = bench.runs["T8 s1"]
    with closing(sqlite3.connect(bench.path)) as other:
        other.executemany("INSERT INTO metrics VALUES (?, 'loss', ?, ?)", [(run, step, 1 / (step + 1)) for step in range(20)])
        other.execute("UPDATE runs SET step = 20 WHERE id = ?", [run])
        other.commit()
    bench.screen.model.curves.clear()
    bench.screen.reload()
    column = [one.name for one in bench.screen.model.columns].index("curve")
    cell = bench.screen.model.index(bench.lines().index("T8 s1"), column)
    assert len(cell.data(LINE_ROLE)) == 20
    image = bench.screen.table.grab().toImage()
    assert image.width() > 0


def test_that_deleting_a_reused_run_is_refused_and_an_experiment_goes_with_its_own(bench: Bench) -> None:
    said: list[str] = []
    bench.screen.said.connect(said.append)
    bench.screen.table.select_lines([4])
    bench.press(Qt.Key.Key_Delete)
    assert said == ["Run 1 was made by another experiment; delete it there."]
    bench.screen.table.select_lines([3])
    bench.press(Qt.Key.Key_Delete)
    assert bench.lines() == [*EXPERIMENTS[:3], *EXPERIMENTS[6:]]
    bench.screen.undo_stack.undo()
    assert bench.lines() == EXPERIMENTS


def test_that_the_list_is_saved_as_a_table_of_its_values(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    bench.screen.said.connect(said.append)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    bench.screen.filter.setText("T = 8")
    bench.screen.save_list()
    assert said == [f"Saved {tmp_path / 'mine.csv'}."]
    head, *rows = csv.reader((tmp_path / "mine.csv").read_text(encoding="utf-8-sig").splitlines())
    table = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(row["run"], row["T"], row["test_accuracy"], row["tag"]) for row in table] == [
        (str(bench.runs["T8 s1"]), "8.0", "0.98", "paper"),
        (str(bench.runs["T8 s0"]), "8.0", "0.96", "good, paper"),
    ]


@pytest.mark.parametrize(
    ("button", "signal", "given"),
    [
        ("compare", "compare_wanted", lambda runs: [runs["T8 s1"], runs["T8 s0"]]),
        ("explore", "explore_wanted", lambda runs: [runs["T8 s1"], runs["T8 s0"]]),
        ("export", "export_wanted", lambda runs: [5, 4]),
    ],
)
def test_that_selected_runs_are_taken_to_other_screens(
    bench: Bench, button: str, signal: str, given: Callable[[dict[str, int]], list[int]]
) -> None:
    got: list[object] = []
    getattr(bench.screen, signal).connect(got.append)
    assert not bench.screen.buttons[button].isEnabled()
    bench.screen.select_runs([bench.runs["T8 s0"], bench.runs["T8 s1"]])
    bench.qtbot.mouseClick(bench.screen.buttons[button], Qt.MouseButton.LeftButton)
    assert got == [given(bench.runs)]


def test_that_the_report_is_that_of_the_selected_runs_experiment(bench: Bench) -> None:
    got: list[int] = []
    bench.screen.report_wanted.connect(got.append)
    bench.screen.select_runs([bench.runs["T8 s0"], bench.runs["T8 s1"]])
    assert not bench.screen.buttons["report"].isEnabled()
    bench.screen.select_runs([bench.runs["T8 s0"]])
    bench.qtbot.mouseClick(bench.screen.buttons["report"], Qt.MouseButton.LeftButton)
    assert got == [4]


def test_that_what_is_unfolded_while_a_list_is_read_stays_so(bench: Bench) -> None:
    screen = bench.screen
    shown = read_shown(screen._known, screen.question(), screen.view.names, {}, 0, 50)(bench.database)
    screen.model.fold_all(unfolded=False)
    folded = bench.lines()
    screen._show(shown)
    assert bench.lines() == folded
    screen.select_runs([bench.runs["T8 s0"]])
    screen._show(shown)
    assert screen.selected_runs() == [bench.runs["T8 s0"]]


def test_that_a_selection_outlives_other_columns_and_folding(bench: Bench) -> None:
    screen = bench.screen
    screen.select_runs([bench.runs["T8 s0"]])
    screen.view.set_columns(["T", "model.units"])
    assert screen.selected_runs() == [bench.runs["T8 s0"]]
    screen.actions_of.fold_all(unfolded=True)
    assert screen.selected_runs() == [bench.runs["T8 s0"]]


def test_that_an_experiment_without_runs_has_nothing_to_fold(bench: Bench) -> None:
    table = bench.screen.table
    place = table.visualRect(bench.screen.model.index(0, 0)).topLeft() + QPoint(8, 8)
    bench.qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    table.setCurrentIndex(bench.screen.model.index(0, 0))
    bench.press(Qt.Key.Key_Left)
    assert bench.lines() == EXPERIMENTS
    assert table.verticalHeader().count() == len(EXPERIMENTS)


def test_that_a_mark_is_undone_though_its_answer_has_not_come(bench: Bench) -> None:
    asked: list[Callable[[], None]] = []
    bench.screen._change = lambda topic, change, done: asked.append(lambda: done(change(bench.database)))  # type: ignore[method-assign]
    bench.screen.select_runs([bench.runs["T8 s0"]])
    bench.press(Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    bench.screen.undo_stack.undo()
    for one in asked:
        one()
    assert bench.cell("T8 s0", "name").strip() == "student"


def test_that_a_tag_is_one_step_back_however_the_typing_ends(bench: Bench) -> None:
    asked: list[object] = []
    bench.screen._change = lambda *given: asked.append(given)  # type: ignore[method-assign]
    bench.screen.select_runs([bench.runs["T8 s0"]])
    bench.screen.details.tags.setText("mine")
    bench.screen.details.tags.setFocus()
    bench.qtbot.keyClick(bench.screen.details.tags, Qt.Key.Key_Return)
    bench.screen.table.setFocus()
    assert bench.screen.undo_stack.count() == len(asked) == 1


def test_that_a_small_curve_is_read_again_once_its_run_is_over(bench: Bench) -> None:
    run = bench.runs["T8 s1"]

    def shown() -> int:
        column = [one.name for one in bench.screen.model.columns].index("curve")
        drawn = bench.screen.model.index(bench.lines().index("T8 s1"), column).data(LINE_ROLE)
        return 0 if drawn is None else len(drawn)

    assert shown() == 0
    with closing(sqlite3.connect(bench.path)) as other:
        other.executemany("INSERT INTO metrics VALUES (?, 'loss', ?, ?)", [(run, step, 1.0) for step in range(20)])
        other.execute("UPDATE runs SET step = 20, status = 'stopped' WHERE id = ?", [run])
        other.commit()
    bench.screen.reload()
    assert shown() == 20


def test_that_runs_to_be_shown_are_selected_though_one_is_deleted(bench: Bench) -> None:
    with closing(open_database(bench.path)) as other:
        other.execute("INSERT INTO bin (run, deleted) VALUES (?, '')", [bench.runs["T2 s0"]])
    bench.screen.show_runs([bench.runs["T8 s1"], bench.runs["T2 s0"]])
    assert bench.screen.selected_runs() == [bench.runs["T8 s1"]]
    bench.screen.select_runs([bench.runs["T8 s0"]])
    bench.screen.reload()
    assert bench.screen.selected_runs() == [bench.runs["T8 s0"]]


def test_that_a_file_that_nobody_was_asked_about_is_not_replaced(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    bench.screen.said.connect(said.append)
    (tmp_path / "T=2.5.csv").write_text("mine")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "T=2.5"), ""))
    bench.screen.save_list()
    assert said == [f"{tmp_path / 'T=2.5.csv'} is there already; choose it by its whole name to replace it."]
    assert (tmp_path / "T=2.5.csv").read_text() == "mine"
