"""Test images at the left; at the right what everybody says of the one chosen, and what they take for what."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QTabWidget, QVBoxLayout, QWidget

from workbench.analysis.looking import Cell, Looked, mean_soft_targets
from workbench.gui.forms import label
from workbench.gui.look.calibration import CalibrationPage
from workbench.gui.look.confusions import ConfusionsPage, in_scroll
from workbench.gui.look.gallery import Gallery
from workbench.gui.look.opinions import Opinions
from workbench.gui.look.soft_map import SoftTargetMap
from workbench.gui.setup.pictures import to_pixmap
from workbench.gui.specialists.subsets_page import scaled
from workbench.questions.look import Models, calibrated
from workbench.words import percent, sentence

LookWork = Callable[[Hashable, Callable[[], Any], Callable[[Any], None], Callable[[Exception], None] | None], None]
"""Has something worked out on a thread of the screen's own: a topic, what to call, who hears of its value and of an error."""

SIDE = 112
SETTLE_MILLISECONDS = 120
NO_ENSEMBLE = "Nothing taught this student: there are no soft targets."


class ImagesPage(QWidget):
    """Shows a :class:`Looked` at the temperature given to :meth:`set_temperature`."""

    def __init__(self, quick: LookWork, slow: LookWork) -> None:
        super().__init__()
        self._quick, self._slow = quick, slow
        self.looked: Looked | None = None
        self._models: Models | None = None
        self._temperature = 4.0
        self._shown: set[QWidget] = set()
        self.gallery = Gallery()
        self.image, self.sentence = label(), label("", wrap=True)
        self.image.setFixedSize(SIDE, SIDE)
        self.image.setAccessibleName("The image")
        self.opinions = Opinions()
        self.means, self.no_means = SoftTargetMap(), label("", "faint", wrap=True)
        self.confusions, self.calibration = ConfusionsPage(), CalibrationPage()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self._pages: dict[QWidget, QWidget] = {
            self.opinions: self._said_page(),
            self.means: self._means_page(),
            self.confusions: in_scroll(self.confusions, "Confusions"),
            self.calibration: in_scroll(self.calibration, "Calibration"),
        }
        for page, title in zip(self._pages.values(), ("What they say", "Soft targets", "Confusions", "Calibration"), strict=True):
            self.tabs.addTab(page, title)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("look-images")
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.gallery)
        self.splitter.addWidget(self.tabs)
        self.splitter.setSizes([350, 880])
        self.splitter.setStretchFactor(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.addWidget(self.splitter)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MILLISECONDS)
        self._settle.timeout.connect(self._ask_means)
        self.tabs.currentChanged.connect(lambda _: self._look())
        self.gallery.chosen.connect(self._choose)
        self.means.cell_chosen.connect(self._show_near)
        self.confusions.cell_wanted.connect(self._show_confused)

    def _said_page(self) -> QWidget:
        page = QWidget()
        top = QHBoxLayout()
        top.addWidget(self.image, 0, Qt.AlignmentFlag.AlignTop)
        top.addSpacing(8)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        top.addWidget(self.sentence, 1)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(8, 8, 0, 0)
        layout.addLayout(top)
        layout.addSpacing(6)
        layout.addWidget(self.opinions, 1)
        return page

    def _means_page(self) -> QWidget:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(8, 8, 0, 0)
        words = (
            "The ensemble's mean soft target over the test images of each class, at the T above. Choose a cell to see its images."
        )
        self.about_means = label(words, "faint", wrap=True)
        layout.addWidget(self.about_means)
        layout.addWidget(self.no_means)
        layout.addWidget(self.means)
        layout.addStretch(1)
        return in_scroll(inside, "Soft targets by class")

    # What is shown

    def show_looked(self, looked: Looked, models: Models) -> None:
        """Show the images of an experiment."""
        self.looked, self._models = looked, models
        self._shown.clear()
        self.opinions.begin(looked.line_up.parties, looked.classes)
        self.confusions.show_looked(looked)
        self.calibration.clear("Fitting a temperature on validation…")
        taught = bool(len(looked.bits))
        self.no_means.setText("" if taught else NO_ENSEMBLE)
        self.no_means.setVisible(not taught)
        for widget in (self.means, self.about_means):
            widget.setVisible(taught)
        self.gallery.show_looked(looked)
        self._look()

    def clear(self) -> None:
        """Show nothing."""
        self.looked, self._models = None, None
        self.gallery.show_looked(None)

    def set_temperature(self, temperature: float) -> None:
        """Show everything at another T."""
        self._temperature = temperature
        self._show_opinions()
        if self.looked is not None and self._in_front() is self.means:
            self._settle.start()
        self._shown.discard(self.means)

    def set_logarithmic(self, on: bool) -> None:
        """Show bars by logarithms."""
        self.opinions.set_logarithmic(on)

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.opinions.dress()
        self.means.dress()
        self.confusions.dress()
        self.calibration.dress()

    def _choose(self, case: int) -> None:
        if self.looked is None or case < 0:
            self.image.clear()
            self.sentence.setText("")
            self.opinions.clear()
            return
        self.image.setPixmap(scaled(to_pixmap(self.looked.images[case]), SIDE))
        self._show_opinions()
        self.opinions.setAccessibleDescription(self.opinions.words())

    def _show_opinions(self) -> None:
        looked, case = self.looked, self.gallery.case
        if looked is None or case < 0:
            return
        right = int(looked.labels[case])
        said = looked.line_up.at(looked.logits[:, case], self._temperature)
        self.opinions.show_opinions(said, right)
        self.sentence.setText(_sentence(looked, case, said, self._temperature))

    def _in_front(self) -> QWidget:
        return next(page for page, widget in self._pages.items() if widget is self.tabs.currentWidget())

    def _look(self) -> None:
        """Have worked out what the page in front shows, once."""
        page = self._in_front()
        if self.looked is None or page in self._shown:
            return
        self._shown.add(page)
        if page is self.means:
            self._ask_means()
        elif page is self.calibration:
            self._ask_calibration()

    def _ask_means(self) -> None:
        looked = self.looked
        if looked is None or not len(looked.bits):
            return
        self._shown.add(self.means)

        def answered(means: np.ndarray) -> None:
            if looked is self.looked:
                self.means.show_means(means, looked.classes)

        self._quick("means", partial(mean_soft_targets, looked, self._temperature), answered, None)

    def _ask_calibration(self) -> None:
        looked, models = self.looked, self._models
        if looked is None or models is None:
            return

        def failed(error: Exception) -> None:
            if looked is self.looked:
                self.calibration.clear(sentence(error))

        def answered(found: Any) -> None:
            if looked is self.looked:
                self.calibration.show_scaled(found, len(models.data.validation))

        self._slow("calibration", partial(calibrated, models, looked), answered, failed)

    def _show_near(self, right: int, other: int) -> None:
        self.gallery.show_cell(Cell(right, other, temperature=self._temperature))

    def _show_confused(self, by: str, right: int, other: int) -> None:
        self.gallery.show_cell(Cell(right, other, by=by))


def _sentence(looked: Looked, case: int, said: np.ndarray, temperature: float) -> str:
    """The image chosen in words: its class, and at T what the ensemble says beside it."""
    right = int(looked.labels[case])
    lines = [f"Test image {case:,}, truly {looked.classes[right]}."]
    if len(looked.bits):
        others = said[0].copy()
        others[right] = 0
        second = int(others.argmax())
        name = looked.line_up.parties[0].name
        lines.append(
            f"At T = {temperature:g} the {name} gives {percent(said[0][right])} to {looked.classes[right]} "
            f"and {percent(others[second])} to {looked.classes[second]}, {percent(others.sum())} to all wrong classes together."
        )
    return "\n".join(lines)
