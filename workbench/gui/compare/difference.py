"""Is the difference real? Two groups of runs to choose, and the sentence that says what their test errors tell."""

from __future__ import annotations

from functools import partial

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from workbench.analysis.difference import no_labels, sentence
from workbench.gui.compare.found import Compared
from workbench.gui.forms import label
from workbench.gui.run_feed import AskEngine, AskHistory
from workbench.history.seed_groups import Sides, sides
from workbench.questions.images import labels_of

ABOUT = (
    "Test errors of two groups of seeds: a t-test over the pairs of a common seed, Welch's where seeds are not in common. Of one "
    "seed each: McNemar's exact test on the test images. Of twenty differences that are chance, one is called real."
)
Runs = tuple[int, ...]


class DifferencePanel(QWidget):
    """Asks the history for errors and predictions, and the engine for labels where images are compared one by one."""

    def __init__(self, ask_history: AskHistory, ask_engine: AskEngine) -> None:
        super().__init__()
        self._ask_history, self._ask_engine = ask_history, ask_engine
        self._asked: object = None
        self._labels: dict[str, np.ndarray] = {}
        self.first, self.second = QComboBox(), QComboBox()
        for box, name in ((self.first, "First group"), (self.second, "Second group")):
            box.setAccessibleName(name)
            box.setToolTip(ABOUT)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(34)
            box.setMaximumWidth(420)
            box.activated.connect(lambda _: self._look())
        title = label("Is the difference real?")
        title.setToolTip(ABOUT)
        self.verdict = label("", wrap=True)
        self.verdict.setMinimumHeight(self.verdict.fontMetrics().height() * 2 + 2)
        self.verdict.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.verdict.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        row = QHBoxLayout()
        for widget in (title, self.first, label("against"), self.second):
            row.addWidget(widget)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row)
        layout.addWidget(self.verdict)
        self._statuses: dict[int, str] = {}
        self._choices: tuple[tuple[str, Runs], ...] = ()

    def fill(self, found: Compared) -> None:
        """Offer what is compared; where there is nothing to choose from, hide."""
        self._statuses = {row.id: row.status for row in found.rows}
        self.setVisible(len(found.choices) > 1)
        if found.choices != self._choices:
            offered = [runs for _, runs in found.choices]
            chosen = self._chosen()
            if not set(chosen) <= set(offered):
                chosen = list(found.usual)
            places = [offered.index(runs) for runs in chosen] if len(chosen) == 2 else [-1, -1]
            self._choices = found.choices
            for box, place in zip((self.first, self.second), places, strict=True):
                box.clear()
                box.addItems([name.removeprefix("the ") for name, _ in found.choices])
                box.setCurrentIndex(place)
        self._look()

    def forget(self) -> None:
        """Expect no answer, and say nothing of what was compared before."""
        self._asked = None
        self.verdict.setText("")

    def _chosen(self) -> list[Runs]:
        """The runs of both sides, none where there is nothing to choose from."""
        places = [box.currentIndex() for box in (self.first, self.second)]
        return [self._choices[place][1] if place >= 0 else () for place in places]

    def _look(self) -> None:
        """Ask anew where another pair is chosen, or one of its runs has come to its end."""
        first, second = self._chosen()
        if not first or not second or self.isHidden():
            self.forget()
            return
        asked = first, second, self._pair(), tuple(self._statuses.get(run) for run in (*first, *second))
        if asked == self._asked:
            return
        self._asked = asked
        self.verdict.setText("")
        if set(first) & set(second):
            self.verdict.setText("Choose two that have no run in common.")
            return
        self._ask_history("difference", lambda database: sides(database, first, second), partial(self._found, asked))

    def _found(self, asked: object, found: Sides) -> None:
        if asked != self._asked:
            return
        if found.predicted is None or found.data is None:
            self._say(found)
        elif found.digest in self._labels:
            self._say(found, self._labels[found.digest])
        else:
            self._say(found, reason="Asking for the labels of the test images…")
            self._ask_engine(
                "labels",
                labels_of(found.data, found.digest),
                partial(self._labelled, asked, found),
                lambda error: self._say(found, reason=no_labels(error)) if asked == self._asked else None,
            )

    def _labelled(self, asked: object, found: Sides, labels: np.ndarray) -> None:
        self._labels[found.digest] = labels
        if asked == self._asked:
            self._say(found, labels)

    def _say(self, found: Sides, labels: np.ndarray | None = None, reason: str = "") -> None:
        self.verdict.setText(sentence(found, self._pair(), labels, reason))

    def _pair(self) -> tuple[str, ...]:
        """The names of both sides in a sentence."""
        return tuple(self._choices[box.currentIndex()][0] for box in (self.first, self.second))
