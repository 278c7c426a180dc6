"""Many runs at once: as points, as lines through many axes, and what mattered among their settings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QSettings, Qt, QTimer, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QStackedWidget, QTabWidget, QVBoxLayout

from workbench.analysis.importance import Answer, mattered
from workbench.gui.explore.mattered import MatteredPage
from workbench.gui.explore.parallel import ParallelPage
from workbench.gui.explore.scatter import ScatterPage
from workbench.gui.forms import label
from workbench.gui.history.filter_box import FilterBox
from workbench.gui.later import Screen
from workbench.gui.run_feed import AskHistory
from workbench.gui.worker import Work
from workbench.history.exploring import Explored, Wanted, explored, varied
from workbench.history.fields import Vocabulary
from workbench.history.filters import FilterError, condition

SETTLE_MILLISECONDS = 200
COMPARED_AT_MOST = 200
ROLES: dict[str, tuple[str, ...]] = {
    "Students and baselines": ("student", "baseline"),
    "Students": ("student",),
    "Baselines": ("baseline",),
    "Teachers": ("teacher", "generalist"),
    "Specialists": ("specialist",),
    "All roles": (),
}
NO_RUNS = "No runs to explore yet.\n\nLaunch an experiment, or better a sweep, in Set up: its students and baselines come here."
NO_FIT = "No run is of this role and satisfies the filter.\n\nChange them above, or show all runs."


class ExploreScreen(Screen):
    """Shows the runs given to :meth:`show_runs`, or all; reads through ``ask_history``, has seconds of arithmetic done by
    ``work``."""

    compare_wanted = Signal(list)
    select_wanted = Signal(list)
    filter_wanted = Signal(str)
    said = Signal(str)

    def __init__(self, ask_history: AskHistory, work: Work) -> None:
        super().__init__()
        self._ask, self._work = ask_history, work
        self.reference = True
        self._runs: tuple[int, ...] | None = None
        self._weighed: tuple[Any, ...] = ()
        self._answered: tuple[Any, ...] = ()
        self._answer: Answer | None = None
        self._count = 0
        self._filter = ""
        self._role = 0
        self._known: Vocabulary | None = None
        self.scatter, self.parallel, self.mattered = ScatterPage(), ParallelPage(), MatteredPage()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        for page, title in ((self.scatter, "Scatter"), (self.parallel, "Parallel coordinates"), (self.mattered, "What mattered")):
            self.tabs.addTab(page, title)
        self.hint = label(NO_RUNS, "faint", wrap=True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.hint)
        self.pages.addWidget(self.tabs)
        layout = QVBoxLayout(self)
        layout.addLayout(self._top())
        layout.addWidget(self.pages, 1)
        layout.addLayout(self._bottom())
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MILLISECONDS)
        self._settle.timeout.connect(self._narrow)
        self._wire()
        self._recall()

    def _top(self) -> QHBoxLayout:
        self.given = label("")
        self.all_runs = QPushButton("Show all runs")
        self.all_runs.setToolTip("Every run that is not in the bin.")
        self.roles = QComboBox()
        self.roles.setAccessibleName("Roles")
        self.roles.setToolTip("Runs of which roles are shown.")
        for title, roles in ROLES.items():
            self.roles.addItem(title, roles)
        self.box = FilterBox()
        self.box.kept.hide()
        self.filter = self.box.edit
        self.filter.setPlaceholderText("Filter: words, or T >= 8 and accuracy > 97%")
        self.filter.setAccessibleName("Filter of explored runs")
        top = QHBoxLayout()
        for widget in (self.given, self.all_runs, self.roles):
            top.addWidget(widget, 0, Qt.AlignmentFlag.AlignTop)
        top.addWidget(self.box, 1)
        return top

    def _bottom(self) -> QHBoxLayout:
        self.state = label("", "faint")
        self.only = QPushButton("Only these")
        self.only.setToolTip("Go on with the chosen runs alone.")
        self.none = QPushButton("Choose none")
        self.select = QPushButton("Show in history")
        self.select.setToolTip("Select the chosen runs in the history.")
        self.compare = QPushButton("Compare")
        bottom = QHBoxLayout()
        bottom.addWidget(self.state, 1)
        for button in (self.none, self.only, self.select, self.compare):
            bottom.addWidget(button)
        return bottom

    def _wire(self) -> None:
        self.tabs.currentChanged.connect(lambda _: self.reload())
        self.roles.activated.connect(lambda _: self.reload())
        self.filter.textChanged.connect(lambda _: self._settle.start())
        self.all_runs.clicked.connect(lambda: self.show_runs(None))
        for page in (self.scatter, self.parallel):
            page.wanted.connect(self.reload)
            page.chosen_changed.connect(self._tell)
        self.mattered.wanted.connect(self.reload)
        self.mattered.scatter_wanted.connect(self._show_scatter)
        self.mattered.parallel_wanted.connect(self._show_parallel)
        self.parallel.filter_wanted.connect(self.filter_wanted)
        self.scatter.save.said.connect(self.said)
        self.none.clicked.connect(lambda: self._page().clear_chosen())
        self.only.clicked.connect(lambda: self.show_runs(self.chosen()))
        self.select.clicked.connect(lambda: self.select_wanted.emit(self.chosen()))
        self.compare.clicked.connect(lambda: self.compare_wanted.emit(self.chosen()))
        self._tell()

    def _narrow(self) -> None:
        """Take the filter where it can be understood, once the typing rests; what is wrong else is told by its box."""
        try:
            condition(self.filter.text(), self.filter.known)
        except FilterError:
            return
        self._filter = self.filter.text().strip()
        self.reload()

    # What is shown

    def show_runs(self, runs: Sequence[int] | None) -> None:
        """Explore these runs, whatever their roles, or all of the history."""
        if runs is None and self._runs is not None:
            self.roles.setCurrentIndex(self._role)
        elif runs is not None:
            self._role = self.roles.currentIndex() if self._runs is None else self._role
            self.roles.setCurrentText("All roles")
            self.filter.clear()
            self._filter = ""
        self._runs = None if runs is None else tuple(runs)
        self._settle.stop()
        self.reload()

    def wanted(self) -> Wanted:
        """Which runs are to be shown."""
        return Wanted(runs=self._runs, roles=self.roles.currentData(), filter=self._filter, reference=self.reference)

    def reload(self) -> None:
        """Read the runs anew, where somebody looks at them."""
        self.given.setVisible(self._runs is not None)
        self.all_runs.setVisible(self._runs is not None)
        self.given.setText(f"{len(self._runs or ()):,} chosen run{'s' * (len(self._runs or ()) != 1)}")
        if not self.isVisible():
            return
        wanted, page, known = self.wanted(), self.tabs.currentWidget(), self._known
        if page is self.mattered:
            figure = self.mattered.figure.name
            read = partial(varied, figure=figure, wanted=wanted, known=known)
            self._ask("explore", read, partial(self._weigh, figure=figure, wanted=wanted))
        else:
            names = self._page().names()
            self._ask("explore", partial(explored, names=names, wanted=wanted, known=known), self._show)

    def forget(self) -> None:
        """Another history is shown from now on."""
        self._runs, self._known, self._answer = None, None, None
        self._weighed = self._answered = ()
        self.scatter.clear_chosen()
        self.parallel.clear_chosen()
        self.reload()

    def showEvent(self, event: Any) -> None:
        """Read anew when the screen comes to the front, by now with other fields perhaps."""
        super().showEvent(event)
        self._known = None
        self.reload()

    def hideEvent(self, event: Any) -> None:
        """Remember what was looked at."""
        super().hideEvent(event)
        stored = QSettings()
        stored.setValue("explore/scatter", self.scatter.fields())
        stored.setValue("explore/axes", self.parallel.own_axes())

    def dress(self) -> None:
        """Take the colours of the theme."""
        for page in (self.scatter, self.parallel, self.mattered):
            page.dress()

    def chosen(self) -> list[int]:
        """The runs chosen on the page in front."""
        return [] if self.tabs.currentWidget() is self.mattered else self._page().chosen()

    def _page(self) -> ScatterPage | ParallelPage:
        return self.parallel if self.tabs.currentWidget() is self.parallel else self.scatter

    def _show(self, found: Explored) -> None:
        if not self._take(found):
            return
        page = self._page()
        page.offer(found.fields)
        page.show_table(found.table)
        self._tell()

    def _take(self, found: Explored) -> bool:
        """Show a hint where there are no runs; whether there are some."""
        first = not self.filter.known.fields
        self._known = found.known
        self.box.set_vocabulary(found.known)
        if first and self.filter.text():
            self.box.check()
            self._settle.start()
        if found.trouble:
            return False
        self._count = len(found.table)
        narrowed = self._runs is not None or self._filter or self.roles.currentIndex()
        self.hint.setText(NO_FIT if narrowed else NO_RUNS)
        self.pages.setCurrentIndex(1 if self._count else 0)
        self._tell()
        return self._count > 0

    def _weigh(self, found: Explored, figure: str, wanted: Wanted) -> None:
        """Have worked out what mattered, unless that is known already."""
        if not self._take(found):
            return
        self.mattered.offer(found.fields)
        key = (found.version, wanted, figure)
        if key == self._weighed or (not self._weighed and key == self._answered):
            return
        self._weighed = () if key == self._answered else key  # what else is under way is not waited for any more
        if key == self._answered and self._answer is not None:
            self.mattered.show_answer(self._answer)
            return
        if key[1:] != self._answered[1:]:
            self.mattered.wait(len(found.table))

        def answered(answer: Answer) -> None:
            if key == self._weighed:
                self._weighed, self._answered, self._answer = (), key, answer
                self.mattered.show_answer(answer)

        self._work("mattered", lambda: mattered(found.table, figure, found.settings), answered)

    def _tell(self) -> None:
        """Say how many runs there are and are chosen, and what can be done with these."""
        count, chosen = self._count, self.chosen()
        words = f"{count:,} run{'s' * (count != 1)}"
        if self.tabs.currentWidget() is not self.mattered:
            words += "".join(
                f"; {part}" for part in (self._page().summary(), f"{len(chosen):,} chosen" if chosen else "") if part
            )
        if count == 1:
            words += "; one alone shows no pattern yet"
        self.state.setText(words if count else "")
        self.compare.setEnabled(0 < len(chosen) <= COMPARED_AT_MOST)
        self.compare.setToolTip(f"Lay the curves of the chosen runs over each other, of {COMPARED_AT_MOST} at most.")
        for button in (self.none, self.only, self.select):
            button.setEnabled(bool(chosen))

    def _recall(self) -> None:
        """Begin with the fields that were looked at last; whatever is not usable is left alone."""
        stored = QSettings()
        for key, show in (("explore/scatter", self.scatter.set_fields), ("explore/axes", self.parallel.set_axes)):
            names = stored.value(key)
            if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
                show(names)

    def _show_scatter(self, x: str, y: str) -> None:
        self.tabs.setCurrentWidget(self.scatter)
        self.scatter.show_fields(x, y)

    def _show_parallel(self, names: list[str]) -> None:
        self.tabs.setCurrentWidget(self.parallel)
        self.parallel.show_axes(names)
