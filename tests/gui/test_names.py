"""Names that a person typed are shown as they are, and never taken for markup."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from tests.faults.contents import NAMES
from workbench.gui.curve_plot import CurvePlot, Reference
from workbench.gui.forms import label
from workbench.gui.history.model import HistoryModel, Page, ShownList
from workbench.gui.live.queue_panel import QueuePanel
from workbench.gui.main_window import MainWindow
from workbench.gui.pictures import legend_of
from workbench.history.listing import Entry, Group, Listing, Question
from workbench.history.reading import QueuedRow


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:12]))
def test_that_a_name_is_plain_text_wherever_it_is_shown(name: str, qtbot: QtBot, themed: None) -> None:
    model = HistoryModel()
    entry = Entry(1, 1, "student", name, "failed", 0)
    group = Group(key="", title="", start=0, stop=1)
    listing = Listing(question=Question(group=""), version=0, entries=(entry,), groups=(group,))
    model.take(ShownList(listing, (0,), [("", 1)], Page({1: {"message": name}})))
    cell = model.index(0, 0)
    assert cell.data().strip() == name.strip()
    assert name not in str(cell.data(Qt.ItemDataRole.ToolTipRole)) or "<" not in name
    shown = label(name)
    qtbot.addWidget(shown)
    assert (shown.text(), shown.textFormat()) == (name, Qt.TextFormat.PlainText)


def test_that_every_label_of_the_window_is_plain_text(window: MainWindow) -> None:
    rich = [one.text() for one in window.findChildren(QLabel) if one.textFormat() != Qt.TextFormat.PlainText and one.text()]
    assert [text for text in rich if text not in _ICONS] == []


_ICONS: list[str] = []


def test_that_a_queued_name_is_shown_as_it_is(qtbot: QtBot, themed: None) -> None:
    from PySide6.QtGui import QUndoStack

    panel = QueuePanel(lambda *_: None, lambda *_: None, QUndoStack())
    qtbot.addWidget(panel)
    rows = [
        QueuedRow(experiment=place, name=name, status="waiting", held=False, left=False, config={"description": name})
        for place, name in enumerate(NAMES)
    ]
    panel.show_rows(rows)
    assert [panel.list.item(place).text().split("  #")[0] for place in range(len(NAMES))] == [*NAMES]


def test_that_names_in_plots_are_no_markup(qtbot: QtBot, themed: None) -> None:
    plot = CurvePlot("", "")
    qtbot.addWidget(plot)
    plot.set_title("t", "loss<train>", "step")
    plot.set_references([Reference("a", "a<b>c & d", 1.0, 0)])
    left = plot.plot.getAxis("left").label.toPlainText()
    assert left.startswith("loss<train>")
    assert [text.item.toPlainText() for _, text in plot.legend.items] == ["a<b>c & d 1"]
    assert [name for name, _ in legend_of(plot.plot)] == ["a<b>c & d 1"]
