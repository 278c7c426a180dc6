"""What the paper claims, and what this history has to say about it: the scoreboard, and what is missing of it at a click."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from workbench.analysis.claims import CLAIMS, FORMS, Claim, Form, Score, scoreboard
from workbench.gui.forms import label, plain_tooltip
from workbench.gui.later import Screen
from workbench.gui.run_feed import AskHistory
from workbench.words import many

MOST_COMPARED = 40
"""More runs than these are selected in the history: so many curves over each other show nothing."""

TITLES: dict[Form, str] = {"short": "Short form", "paper": "Paper's form"}
MARKS = {"holds": ("✓", "good"), "does not hold": ("✗", "error"), "undecided": ("?", "")}
UNDONE = ("○", "faint")


class ClaimBox(QFrame):
    """One claim: the paper's figure, and ours in each form."""

    run_wanted = Signal(str)
    runs_wanted = Signal(list)

    def __init__(self, claim: Claim) -> None:
        super().__init__()
        self.claim = claim
        self.forms = {form: FormRow(claim, form) for form in FORMS}
        self.setProperty("role", "claim")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(claim.statement)
        self.setAccessibleDescription(f"Section {claim.section}. The paper: {claim.figures}. Ours {claim.measure}.")
        self.setToolTip(plain_tooltip(f"{claim.name}: {claim.measure}.") or "")
        statement, figures = label(claim.statement, wrap=True), label(claim.figures, wrap=True)
        bold = statement.font()
        bold.setBold(True)
        statement.setFont(bold)
        grid = QGridLayout(self)
        grid.setContentsMargins(10, 6, 8, 6)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(2, 1)
        grid.addWidget(statement, 0, 0, 1, 4)
        grid.addWidget(label(f"section {claim.section}", "faint"), 0, 4, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(label("The paper", "faint"), 1, 0)
        grid.addWidget(figures, 1, 2, 1, 3)
        for place, (form, row) in enumerate(self.forms.items(), start=2):
            grid.addWidget(label(TITLES[form], "faint"), place, 0)
            for column, widget in enumerate((row.standing, row.ours, row.show_runs, row.run), start=1):
                grid.addWidget(widget, place, column)
            row.run.clicked.connect(partial(self._run, form))
            row.show_runs.clicked.connect(partial(self._show_runs, form))
        wide = self.fontMetrics().horizontalAdvance
        grid.setColumnMinimumWidth(0, max(wide(text) for text in ("The paper", *TITLES.values())))
        grid.setColumnMinimumWidth(1, wide("○ 96 of 96 done "))
        for column, button in ((3, "show_runs"), (4, "run")):
            grid.setColumnMinimumWidth(column, max(getattr(row, button).sizeHint().width() for row in self.forms.values()))
        copy = QAction("Copy", self)
        copy.setShortcut(QKeySequence.StandardKey.Copy)
        copy.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        copy.triggered.connect(lambda _: QGuiApplication.clipboard().setText(self.text()))
        self.addAction(copy)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)

    def text(self) -> str:
        """All that is shown, as plain text."""
        claim = self.claim
        lines = [f"{claim.statement} (section {claim.section})", f"The paper: {claim.figures}"]
        for form, row in self.forms.items():
            if row.score:
                ours = f": {row.score.verdict.ours}" if row.score.verdict else ""
                lines.append(f"{TITLES[form]}, {row.score.standing}{ours}")
        return "\n".join([*lines, f"Measure: {claim.measure}"])

    def _run(self, form: Form) -> None:
        if score := self.forms[form].score:
            self.run_wanted.emit(score.recipe)

    def _show_runs(self, form: Form) -> None:
        if score := self.forms[form].score:
            self.runs_wanted.emit(list(score.runs))


class FormRow:
    """The widgets of a claim in one form."""

    def __init__(self, claim: Claim, form: Form) -> None:
        self.form = form
        self.score: Score | None = None
        about = f"{claim.name}, {TITLES[form].lower()}"
        self.standing, self.ours = label(), label(wrap=True)
        self.standing.setAccessibleName(f"Standing of {about}")
        self.ours.setAccessibleName(f"Ours of {about}")
        self.show_runs, self.run = QPushButton("Show runs"), QPushButton("Run what is missing")
        self._about = about
        for button in (self.show_runs, self.run):
            policy = button.sizePolicy()
            policy.setRetainSizeWhenHidden(True)
            button.setSizePolicy(policy)
            button.hide()

    def show(self, score: Score, *, ready: bool, asked: bool) -> None:
        """Show what is there of it. ``asked`` says that what is missing is on its way into the queue."""
        self.score = score
        mark, role = MARKS.get(score.standing, UNDONE)
        _say(self.standing, f"{mark} {score.standing}", role)
        waiting = asked or bool(score.missing and not score.unqueued)
        if score.verdict:
            _say(self.ours, score.verdict.ours, "")
        elif score.waiting:
            _say(self.ours, f"{many(score.waiting, 'experiment')} in the queue or under way", "faint")
        else:
            _say(self.ours, f"recipe {score.recipe}", "faint")
        runs = len(score.runs)
        self.show_runs.setVisible(bool(runs))
        what = f"Compare the {many(runs, 'run')}" if runs <= MOST_COMPARED else f"Select the {many(runs, 'run')} in the history"
        self.show_runs.setToolTip(f"{what} behind this.")
        self.show_runs.setAccessibleName(f"Show runs of {self._about}")
        self.run.setVisible(bool(score.missing))
        self.run.setEnabled(ready and not waiting)
        self.run.setText("Waiting" if waiting else "Run what is missing")
        self.run.setAccessibleName(f"{self.run.text()}: {self._about}")
        long = " This may take a night on a CPU." if self.form == "paper" else ""
        self.run.setToolTip(
            "It is in the queue on Live, or under way."
            if waiting
            else f"Queue {many(len(score.unqueued), 'experiment')} of {score.recipe}.{long}"
            if ready
            else "The engine is not ready."
        )


class PaperScreen(Screen):
    """Reads the scoreboard through ``ask_history``. Whoever takes ``run_wanted`` calls :meth:`answered` once it is done."""

    compare_wanted = Signal(list)
    select_wanted = Signal(list)
    run_wanted = Signal(list)

    def __init__(self, ask_history: AskHistory) -> None:
        super().__init__()
        self._ask = ask_history
        self._ready = False
        self._asked: set[str] = set()
        self._answered: set[str] = set()
        self.scores: list[Score] = []
        self.boxes = {claim.name: ClaimBox(claim) for claim in CLAIMS}
        self.state = label("Reading the history…", wrap=True)
        self.run_short = QPushButton("Run all short forms")
        self.run_short.setToolTip("Queue what is missing of every short form: small nets on scikit-learn's digits.")
        self.run_short.clicked.connect(self._run_short)
        self.run_short.setEnabled(False)
        top = QHBoxLayout()
        top.addWidget(self.state, 1)
        top.addWidget(label("a few minutes", "faint"))
        top.addWidget(self.run_short)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 8, 0)
        for box in self.boxes.values():
            column.addWidget(box)
            box.run_wanted.connect(lambda recipe: self._run([recipe]))
            box.runs_wanted.connect(self._show_runs)
        column.addStretch(1)
        self.area = QScrollArea()
        self.area.setAccessibleName("Claims of the paper")
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(inside)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.area, 1)

    # Reading

    def reload(self) -> None:
        """Read the scoreboard anew."""
        self._ask("paper", scoreboard, self._show)

    def showEvent(self, event: Any) -> None:
        """Read anew when the screen comes to the front."""
        self.reload()
        super().showEvent(event)

    def set_engine_there(self, there: bool) -> None:
        """Whether anything can be run; an engine that is gone answers no more."""
        self._ready = there
        if not there:
            self._asked.clear()
            self._answered.clear()
        self._fill()

    def answered(self, recipes: Sequence[str]) -> None:
        """What was missing of these is in the queue, or was refused: the next reading tells which."""
        self._answered |= set(recipes)
        self.reload()

    def _show(self, scores: list[Score]) -> None:
        self.scores = scores
        self._asked -= self._answered
        self._answered.clear()
        self._fill()

    # Showing

    def _fill(self) -> None:
        if not self.scores:
            return
        for score in self.scores:
            row = self.boxes[score.claim.name].forms[score.form]
            row.show(score, ready=self._ready, asked=score.recipe in self._asked)
        self.run_short.setEnabled(self._ready and bool(self._short()))
        if not any(score.tried or score.waiting for score in self.scores):
            self.state.setText("Nothing is done yet: press “Run all short forms”, or “Run what is missing” at a claim.")
            return
        words = []
        for form, title in TITLES.items():
            held = [score.standing for score in self.scores if score.form == form]
            words.append(f"{title}: {held.count('holds')} of {len(held)} claims hold.")
        self.state.setText("   ".join(words))

    def _short(self) -> list[str]:
        """The short recipes of which something is missing and does not wait yet."""
        lacking = [score.recipe for score in self.scores if score.form == "short" and score.unqueued]
        return [recipe for recipe in dict.fromkeys(lacking) if recipe not in self._asked]

    # What the buttons do

    def _run_short(self) -> None:
        self._run(self._short())

    def _run(self, recipes: list[str]) -> None:
        self._asked |= set(recipes)
        self._fill()
        self.run_wanted.emit(recipes)

    def _show_runs(self, runs: list[int]) -> None:
        (self.compare_wanted if len(runs) <= MOST_COMPARED else self.select_wanted).emit(runs)


def _say(where: QLabel, text: str, role: str) -> None:
    """Show a text in the colours of a role."""
    where.setText(text)
    if where.property("role") != role:
        where.setProperty("role", role)
        where.style().unpolish(where)
        where.style().polish(where)
