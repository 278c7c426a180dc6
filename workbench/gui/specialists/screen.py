"""Specialists: what a generalist confuses, the subsets that come of it, what was gained, and who said what of an image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import (
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QSplitter,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from workbench.config import SpecialistsConfig
from workbench.errors import ConfigError
from workbench.gui.forms import label, plain_tooltip
from workbench.gui.later import Screen
from workbench.gui.run_feed import AskEngine, AskHistory
from workbench.gui.specialists.images_page import ImagesPage
from workbench.gui.specialists.results_page import ResultsPage, results_of
from workbench.gui.specialists.subsets_page import SubsetsPage
from workbench.history.specialised import Candidate, candidates
from workbench.questions import specialists as questions
from workbench.words import sentence

SETTLE_MILLISECONDS = 200
NONE_YET = (
    "No generalist yet.\n\nAny finished run can be one. The recipe specialists-digits in Set up trains one with four specialists "
    "in well under a minute."
)
NO_SPECIALISTS = "This run has no specialists yet.\n\nChoose subsets of classes, press “Set up with these subsets”, and launch."


class SpecialistsScreen(Screen):
    """Reads runs through ``ask_history``, asks for subsets and opinions through ``ask_engine``."""

    setup_wanted = Signal(object)
    said = Signal(str)

    def __init__(self, ask_history: AskHistory, ask_engine: AskEngine) -> None:
        super().__init__()
        self._ask_history, self._ask_engine = ask_history, ask_engine
        self.reference = True
        self.candidates: list[Candidate] = []
        self.current: Candidate | None = None
        self._shown: set[QWidget] = set()
        self._came = False
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter")
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName("Filter of generalists")
        self.filter.setToolTip("Part of the name of an experiment, a model or a data set.")
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MILLISECONDS)
        self._settle.timeout.connect(self.reload)
        self.filter.textChanged.connect(lambda _: self._settle.start())
        self.list = QListWidget()
        self.list.setAccessibleName("Generalists")
        self.list.setSpacing(2)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.currentItemChanged.connect(self._choose)
        self.subsets, self.results, self.images = SubsetsPage(), ResultsPage(), ImagesPage()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self._stacks: dict[QWidget, QStackedWidget] = {}
        for page, title in ((self.subsets, "Subsets"), (self.results, "Results"), (self.images, "Pick an image")):
            stack = QStackedWidget()
            stack.addWidget(page)
            stack.addWidget(_hint(NO_SPECIALISTS))
            self._stacks[page] = stack
            self.tabs.addTab(stack, title)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.filter)
        column.addWidget(self.list, 1)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("specialist-columns")
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(left)
        self.splitter.addWidget(self.tabs)
        self.splitter.setSizes([250, 1000])
        self.splitter.setStretchFactor(1, 1)
        self.pages = QStackedWidget()
        self.pages.addWidget(_hint(NONE_YET))
        self.pages.addWidget(self.splitter)
        QVBoxLayout(self).addWidget(self.pages)
        self.tabs.currentChanged.connect(lambda _: self._look())
        self.subsets.wanted.connect(self._find)
        self.subsets.chosen.connect(self._set_up)
        self.images.gallery_wanted.connect(self._ask_gallery)
        self.images.verdict_wanted.connect(self._ask_verdict)
        self.images.drawing_wanted.connect(self._ask_drawing)

    def stack_in_front(self) -> QUndoStack | None:
        """What Ctrl+Z takes back on the page in front; None where nothing is changed there."""
        return self.subsets.cards.undo_stack if self.tabs.currentWidget() is self._stacks[self.subsets] else None

    # The list of generalists

    def reload(self) -> None:
        """Read the generalists anew, where somebody looks at them."""
        self._settle.stop()
        if not self.isVisible():
            return
        text, reference = self.filter.text().strip(), self.reference
        self._ask_history("generalists", lambda database: candidates(database, text, reference=reference), self._show)

    def showEvent(self, event: Any) -> None:
        """Read anew when the screen comes to the front."""
        super().showEvent(event)
        self._came = True
        self.reload()
        self._look()

    def forget(self) -> None:
        """Expect no answers any more: whoever was asked is gone, and the runs may be others."""
        self.current, self.candidates = None, []
        self.list.clear()
        self._shown.clear()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.subsets.dress()
        self.images.dress()

    def _show(self, found: list[Candidate]) -> None:
        self.pages.setCurrentIndex(1 if found or self.filter.text() else 0)
        there, came, self._came = {one.whole for one in self.candidates}, self._came, False
        if found == self.candidates and self.list.count():
            return
        chosen = self.current
        if came and there:  # a person who comes back from training specialists looks for these
            chosen = next((one for one in found if one.whole and one.whole not in there), chosen)
        self.candidates = found
        bold = self.list.font()
        bold.setBold(True)
        self.list.blockSignals(True)
        self.list.clear()
        for title, some in (
            ("With specialists", [one for one in found if one.whole]),
            ("Finished runs, to find subsets of", [one for one in found if not one.whole]),
        ):
            if some:
                head = QListWidgetItem(title)
                head.setFlags(Qt.ItemFlag.NoItemFlags)
                head.setFont(bold)
                self.list.addItem(head)
            for one in some:
                item = QListWidgetItem(f"{one.name}\n{one.words}")
                item.setToolTip(plain_tooltip(f"{one.name}\n{one.words}") or "")
                item.setData(Qt.ItemDataRole.UserRole, one)
                self.list.addItem(item)
        self.list.setCurrentRow(-1)
        self.list.blockSignals(False)
        self._choose_again(chosen)

    def _choose_again(self, chosen: Candidate | None) -> None:
        """Choose a generalist in the list that was filled anew; the first where there is none, and nothing is filtered."""
        rows = [self.list.item(row) for row in range(self.list.count())]
        known = {(one.run, one.whole): item for item in rows if (one := item.data(Qt.ItemDataRole.UserRole)) is not None}
        if chosen and (chosen.run, chosen.whole) in known:
            self.list.setCurrentItem(known[chosen.run, chosen.whole])
        elif known and not (chosen and self.filter.text()):
            self.list.setCurrentItem(next(iter(known.values())))

    def _choose(self, item: QListWidgetItem | None) -> None:
        one = item.data(Qt.ItemDataRole.UserRole) if item else None
        if one is None or one == self.current:
            return
        self.current = one
        self._shown.clear()
        for page in (self.results, self.images):
            self._stacks[page].setCurrentIndex(0 if one.whole else 1)
        self.subsets.begin(one.specialists)
        self._look()

    def _look(self) -> None:
        """Ask for what the page in front shows, once, and not before somebody looks at it."""
        one = self.current if self.isVisible() else None
        page = next(page for page, stack in self._stacks.items() if stack is self.tabs.currentWidget())
        if one is None or page in self._shown or (page is not self.subsets and not one.whole):
            return
        self._shown.add(page)
        if page is self.subsets:
            self._find(one.specialists)
        elif page is self.results:
            experiment = one.experiment
            self._ask_history("specialised", lambda database: results_of(database, experiment), self.results.show_results)
        else:
            self.images.begin()

    # Between the pages and the threads

    def _find(self, config: SpecialistsConfig) -> None:
        if one := self.current:
            self._ask_engine(
                "subsets",
                questions.find(one.run, config, one.seed),
                partial(self._if_current, one, self.subsets.show_found),
                partial(self._if_current, one, lambda error: self.subsets.show_error(_sentence(error))),
            )

    def _ask_gallery(self, chosen: str, start: int) -> None:
        if (one := self.current) and one.whole:
            self._ask_engine(
                "gallery",
                questions.gallery(one.whole, chosen, start),
                partial(self._if_current, one, self.images.show_gallery),
                partial(self._if_current, one, lambda error: self.images.show_error(_sentence(error))),
            )

    def _ask_verdict(self, case: int) -> None:
        if (one := self.current) and one.whole:
            self._ask_opinions(one, questions.verdict(one.whole, case))

    def _ask_drawing(self, image: Any) -> None:
        if (one := self.current) and one.whole:
            self._ask_opinions(one, questions.verdict_of(one.whole, image))

    def _ask_opinions(self, one: Candidate, question: Any) -> None:
        self._ask_engine(
            "opinions",
            question,
            partial(self._if_current, one, self.images.show_verdict),
            partial(self._if_current, one, lambda error: self.images.show_error(_sentence(error))),
        )

    def _if_current(self, one: Candidate, show: Callable[[Any], None], answer: Any) -> None:
        """Show what was asked for a generalist, if it is still the one that is chosen."""
        if one == self.current:
            show(answer)

    def _set_up(self, subsets: list[str], config: SpecialistsConfig) -> None:
        if self.current is None:
            return
        try:
            self.setup_wanted.emit(self.current.with_subsets(subsets, config))
        except ConfigError as error:
            self.said.emit(f"These subsets cannot be set up: {error}.")


def _sentence(error: Exception) -> str:
    """An error as a sentence, without the path of a setting that this screen shows by another name."""
    return sentence(error.reason if isinstance(error, ConfigError) else error)


def _hint(text: str) -> QLabel:
    hint = label(text, "faint", wrap=True)
    hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
    return hint
