"""Look: what the models of an experiment say of test images, of a drawing and of a person's own pictures, at any temperature."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QStackedWidget, QTabWidget, QVBoxLayout

from workbench.analysis.looking import Looked
from workbench.errors import NotHere
from workbench.gui.forms import label
from workbench.gui.later import Screen
from workbench.gui.look.draw_page import DrawPage
from workbench.gui.look.images_page import ImagesPage, LookWork
from workbench.gui.look.own_page import OwnPage
from workbench.gui.report.choice import ExperimentChoice
from workbench.gui.run_feed import AskEngine, AskHistory
from workbench.gui.setup.temperature import TemperatureSlider
from workbench.history.looked import Kept, kept
from workbench.history.reported import Reportable, reportable
from workbench.questions.look import Models, look, models
from workbench.words import sentence

HOTTEST = 50.0
NONE_YET = "No experiment yet.\n\nLaunch one in Set up: then its teachers' opinions of every image can be looked at here."
WAITING = "Reading the models and the test images…"
NOBODY = "No run of this experiment is done yet, so nobody can be asked."


class LookScreen(Screen):
    """Reads experiments through ``ask_history`` and models through ``ask_engine``; predicts on two threads of its own, ``quick``
    for what a person waits for and ``slow`` for the rest. ``hurry`` delivers what has come from other threads."""

    told = Signal(str)

    def __init__(
        self, ask_history: AskHistory, ask_engine: AskEngine, quick: LookWork, slow: LookWork, hurry: Callable[[], None]
    ) -> None:
        super().__init__()
        self._ask_history, self._ask_engine, self._quick = ask_history, ask_engine, quick
        self.reference = True
        self.looked: Looked | None = None
        self._wanted: int | None = None
        self._by_hand = False
        self._offered: list[Reportable] = []
        self._absent: set[str] = set()
        self._loaded: int | None = None
        self._runs: tuple[int, ...] = ()
        self.images, self.drawing = ImagesPage(quick, slow), DrawPage(quick, hurry)
        self.own = OwnPage(quick, slow, ask_history)
        self.own.told.connect(self.told)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for page, title in ((self.images, "Test images"), (self.drawing, "Draw"), (self.own, "Your own")):
            self.tabs.addTab(page, title)
        self.hint = label(NONE_YET, "faint", wrap=True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.hint)
        self.pages.addWidget(self.tabs)
        layout = QVBoxLayout(self)
        layout.addLayout(self._top())
        layout.addWidget(self.notes)
        layout.addWidget(self.pages, 1)

    def _top(self) -> QHBoxLayout:
        self.choice = ExperimentChoice()
        self.choice.chosen.connect(self._choose)
        self.temperature = TemperatureSlider(high=HOTTEST)
        self.temperature.changed.connect(self._change_temperature)
        self.logarithmic = QCheckBox("Logarithmic bars")
        self.logarithmic.setToolTip(
            "Bars by the logarithm of the probability, from one in a million on: small ones can be told apart."
        )
        self.logarithmic.toggled.connect(self._change_bars)
        self.notes = label("", wrap=True)
        self.notes.hide()
        top = QHBoxLayout()
        top.addWidget(label("Experiment"))
        top.addWidget(self.choice, 2)
        top.addSpacing(10)
        top.addWidget(label("T"))
        top.addWidget(self.temperature, 3)
        top.addWidget(self.logarithmic)
        return top

    # Which experiment

    def reload(self) -> None:
        """Read the experiments anew, where somebody looks at them."""
        if self.isVisible():
            reference = self.reference
            self._ask_history("looked at", lambda database: reportable(database, reference=reference), self._offer)

    def showEvent(self, event: Any) -> None:
        """Read anew when the screen comes to the front."""
        super().showEvent(event)
        self.reload()

    def _offer(self, found: list[Reportable]) -> None:
        self._offered = found
        if self._wanted not in [one.experiment for one in found]:
            self._wanted = self._first()
        self.choice.show_experiments(found, self._wanted)
        if self._wanted is None:
            self._show_hint(NONE_YET)
        else:
            self.show_experiment(self._wanted)

    def _first(self) -> int | None:
        """The newest experiment whose data, as far as that is known, are here."""
        there = [one for one in self._offered if one.dataset not in self._absent] or self._offered
        return there[0].experiment if there else None

    def _choose(self, experiment: int) -> None:
        self._by_hand = True
        self.show_experiment(experiment)

    def show_experiment(self, experiment: int) -> None:
        """Look with the models of this experiment."""
        self._wanted = experiment
        self.choice.set_current(experiment)
        if experiment != self._loaded:
            self._show_hint(WAITING)
        self._ask_history("look", lambda database: kept(database, experiment), self._load)

    def _load(self, found: Kept) -> None:
        """Have the models read of those who are done, unless they are here already."""
        experiment, runs = found.line_up.experiment, tuple(one.run for one in found.line_up.speakers)
        if experiment != self._wanted or (experiment == self._loaded and runs == self._runs):
            return
        if not found.anchor:
            self._show_hint(NOBODY)
            return
        failed = partial(self._if_wanted, experiment, self._show_error)
        self._ask_engine(
            "look", models(found), partial(self._if_wanted, experiment, partial(self._work_out, found, failed)), failed
        )

    def _work_out(self, found: Kept, failed: Callable[[Any], None], there: Models) -> None:
        experiment = found.line_up.experiment
        answered = partial(self._if_wanted, experiment, partial(self._show, found, there))
        self._quick("look", partial(look, there, found), answered, failed)

    def _if_wanted(self, experiment: int, show: Callable[[Any], None], answer: Any) -> None:
        """Show what was asked for an experiment, if it is still the one that is chosen."""
        if experiment == self._wanted:
            show(answer)

    def _show(self, found: Kept, there: Models, looked: Looked) -> None:
        self.looked, self._loaded = looked, found.line_up.experiment
        self._runs = tuple(one.run for one in found.line_up.speakers)
        missing = [sentence(words) for words in there.missing]
        self.notes.setText(" ".join([*looked.notes, *missing]))
        self.notes.setVisible(bool(self.notes.text()))
        self.temperature.set_value(looked.line_up.temperature)
        self.images.show_looked(looked, there)
        self.drawing.show_models(there, looked.classes)
        self.own.show_models(there)
        self.pages.setCurrentIndex(1)

    def _show_error(self, error: Exception) -> None:
        """Say what is wrong; where nobody chose the experiment, first look for one whose data are here."""
        if isinstance(error, NotHere) and not self._by_hand:
            self._absent |= {one.dataset for one in self._offered if one.experiment == self._wanted}
            other = self._first()
            if other is not None and other != self._wanted:
                self.show_experiment(other)
                return
        words = str(error)
        self._show_hint(sentence(words))

    def _show_hint(self, words: str) -> None:
        self.hint.setText(words)
        self.pages.setCurrentIndex(0)
        self.notes.hide()
        self.looked, self._loaded, self._runs = None, None, ()
        self.own.stop()

    def forget(self) -> None:
        """Expect no answers any more: whoever was asked is gone, and the experiments may be others."""
        self._wanted, self._by_hand = None, False
        self._show_hint(WAITING)
        self.images.clear()
        self.drawing.forget()
        self.own.forget()
        self.reload()

    # How it is shown

    def _change_temperature(self) -> None:
        value = self.temperature.value()
        if math.isfinite(value) and 0 < value <= 1000:
            for page in (self.images, self.drawing, self.own):
                page.set_temperature(value)

    def _change_bars(self, on: bool) -> None:
        for page in (self.images, self.drawing, self.own):
            page.set_logarithmic(on)

    def dress(self) -> None:
        """Take the colours of the theme."""
        for page in (self.images, self.drawing, self.own):
            page.dress()
