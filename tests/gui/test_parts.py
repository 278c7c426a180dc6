"""The parts that every screen is made of: forms, plots, the crossing, preferences."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QSettings, Qt
from pytestqt.qtbot import QtBot

from workbench import zoo
from workbench.analysis.smoothing import smoothed
from workbench.config import (
    DataConfig,
    DistillationConfig,
    ExperimentConfig,
    SpecialistsConfig,
    TrainingConfig,
    TransferConfig,
)
from workbench.events import Answer
from workbench.gui import preferences
from workbench.gui.curve_plot import CurvePlot, Line, Reference
from workbench.gui.forms import Form, label
from workbench.gui.preferences import Preferences
from workbench.gui.run_feed import RunFeed
from workbench.settings import checked, options_of


@pytest.mark.parametrize(
    "config", [DataConfig, TransferConfig, DistillationConfig, TrainingConfig, ExperimentConfig, SpecialistsConfig]
)
def test_that_a_form_gives_every_default_back(qtbot: QtBot, themed: None, config: type) -> None:
    form = Form(options_of(config))
    qtbot.addWidget(form)
    assert {name: checked(form.editors[name].option, value, name) for name, value in form.values().items()} == {
        option.name: option.default for option in options_of(config)
    }
    assert form.check()


@pytest.mark.parametrize("name", list(zoo.MODELS))
def test_that_a_form_has_every_option_of_a_model_with_its_help(qtbot: QtBot, themed: None, name: str) -> None:
    form = Form(zoo.spec(name).options)
    qtbot.addWidget(form)
    assert form.values() == zoo.checked_options(name, {})
    assert all(editor.field.toolTip().startswith(editor.option.setting.help) for editor in form.editors.values())


def test_that_text_a_user_typed_is_shown_as_it_is(qtbot: QtBot, themed: None) -> None:
    shown = label("<b>bold</b>")
    qtbot.addWidget(shown)
    assert shown.textFormat() == Qt.TextFormat.PlainText


def test_that_smoothing_is_debiased_and_keeps_a_constant() -> None:
    assert np.allclose(smoothed(np.full(20, 3.0), 0.9), 3.0)
    values = np.array([1.0, 0.0, 0.0])
    assert smoothed(values, 0.5)[0] == pytest.approx(1.0)
    assert smoothed(values, 0.5)[1] == pytest.approx(1 / 3)
    assert smoothed(values, 0.0) is values


def test_that_the_cross_hair_reads_the_nearest_point_of_every_curve(qtbot: QtBot, themed: None) -> None:
    plot = CurvePlot("title", "y")
    qtbot.addWidget(plot)
    plot.set_lines([Line(1, "a", np.arange(5.0), np.arange(5.0) * 2), Line(2, "b", np.array([0.0, 4.0]), np.array([7.0, 8.0]))])
    assert plot.values_at(3.2) == [("a", 6.0), ("b", 8.0)]
    assert plot.values_at(-9) == [("a", 0.0), ("b", 7.0)]


def test_that_a_log_axis_and_its_reference_lines_agree(qtbot: QtBot, themed: None) -> None:
    plot = CurvePlot("title", "y")
    qtbot.addWidget(plot)
    plot.set_references([Reference("r", "ensemble", 100.0, 0), Reference("z", "zero", 0.0, 0)])
    plot.set_log(True)
    assert [line.value() for _, line, _ in plot._references.values()] == pytest.approx([2.0])
    plot.set_log(False)
    assert plot._references["r"][1].value() == pytest.approx(100.0)


def test_that_of_questions_on_one_topic_only_the_newest_waits(qtbot: QtBot) -> None:
    feed = RunFeed()
    sent: list[tuple[str, int]] = []
    answered: list[str] = []
    for name in ("first", "second", "third"):
        feed.ask("topic", lambda token, name=name: sent.append((name, token)), answered.append)
    assert [name for name, _ in sent] == ["first"]
    threading.Thread(target=lambda: feed.post(Answer(sent[0][1], "old", None))).start()
    qtbot.waitUntil(lambda: len(sent) == 2)
    assert sent[1][0] == "third"
    feed.post(Answer(sent[1][1], "new", None))
    qtbot.waitUntil(lambda: answered == ["new"])


def test_that_an_answer_that_failed_reaches_the_person(qtbot: QtBot) -> None:
    feed = RunFeed()
    tokens: list[int] = []
    feed.ask("topic", tokens.append, lambda _: None)
    with qtbot.waitSignal(feed.failed) as failed:
        feed.post(Answer(tokens[0], None, ValueError("why")))
    assert str(failed.args[0]) == "why"


def test_that_preferences_come_back(tmp_path: Path) -> None:
    chosen = Preferences(folders=(tmp_path, tmp_path / "b"), device="cpu", threads=3, executor="ray://head:10001", theme="dark")
    preferences.save(chosen)
    assert preferences.load() == chosen
    preferences.save(Preferences(folders=(tmp_path,)))
    QSettings().sync()
    assert preferences.load().folders == (tmp_path,)


@pytest.mark.parametrize(
    ("key", "value"),
    [("threads", "many"), ("threads", "-4"), ("theme", "pink"), ("device", "abacus"), ("folders", 7), ("executor", "ray://")],
)
def test_that_nothing_in_the_preferences_can_block_the_start(key: str, value: object) -> None:
    QSettings().setValue(key, value)
    assert preferences.load() == Preferences()
