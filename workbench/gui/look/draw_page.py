"""Draw an image, and see what everybody says of it while the pen moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSplitter, QVBoxLayout, QWidget

from workbench.analysis.drawings import prepared
from workbench.gui.forms import label
from workbench.gui.look.images_page import LookWork
from workbench.gui.look.opinions import Opinions
from workbench.gui.setup.pictures import to_pixmap
from workbench.gui.specialists.canvas import Canvas
from workbench.gui.specialists.subsets_page import scaled
from workbench.questions.look import Models

SEEN = 112
LOOK_MILLISECONDS = 3
"""So often an answer is looked for while one is awaited: the window's own turn of 40 ms would be seen."""
HINT = "Draw at the left: what everybody takes it for appears here."


class DrawPage(QWidget):
    """Predicts by ``work``, one drawing after the other; ``hurry`` delivers what has come from other threads."""

    def __init__(self, work: LookWork, hurry: Callable[[], None]) -> None:
        super().__init__()
        self._work = work
        self._models: Models | None = None
        self._temperature = 4.0
        self._logits: np.ndarray | None = None
        self._awaited = self._changed = False
        self._looking = QTimer(self)
        self._looking.setTimerType(Qt.TimerType.PreciseTimer)
        self._looking.setInterval(LOOK_MILLISECONDS)
        self._looking.timeout.connect(hurry)
        self.canvas = Canvas()
        self.canvas.changed.connect(self._ask)
        self.anew = QPushButton("Begin anew")
        self.anew.clicked.connect(self.canvas.clear)
        self.seen, self.about = label(), label("", "faint", wrap=True)
        self.seen.setFixedSize(SEEN, SEEN)
        self.seen.setAccessibleName("The drawing as the models see it")
        self.opinions = Opinions()
        self.hint = label(HINT, "faint", wrap=True)
        left, right = QWidget(), QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 6, 0)
        column.addWidget(self.canvas)
        column.addWidget(self.anew, 0, Qt.AlignmentFlag.AlignLeft)
        column.addSpacing(10)
        column.addWidget(label("As the models see it"))
        column.addWidget(self.seen)
        column.addWidget(self.about)
        column.addStretch(1)
        beside = QVBoxLayout(right)
        beside.setContentsMargins(8, 0, 0, 0)
        beside.addWidget(self.hint)
        beside.addWidget(self.opinions, 1)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("look-draw")
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(left)
        self.splitter.addWidget(right)
        self.splitter.setSizes([250, 980])
        self.splitter.setStretchFactor(1, 1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 0)
        layout.addWidget(self.splitter)
        self.clear("")

    def show_models(self, models: Models, classes: tuple[str, ...]) -> None:
        """Ask these models from now on; what is drawn stays."""
        self._models = models
        self.opinions.begin(models.line_up.parties, classes)
        self._logits = None
        there = bool(models.line_up.speakers)
        self.canvas.setEnabled(there)
        self.hint.setText(HINT if there else _without(models))
        self.hint.setVisible(True)
        channels, height, width = models.shape
        grey = ", grey" if channels == 3 else ""
        self.about.setText(
            f"{width} × {height} pixels{grey}; the drawing as large as the data set's own, its centre of mass in the middle. "
            "It is kept nowhere."
        )
        if there and not self.canvas.empty:
            self._ask()

    def clear(self, words: str) -> None:
        """Nobody is there to be asked, and why."""
        self._models, self._logits = None, None
        self.canvas.setEnabled(False)
        self.hint.setText(words)
        self.hint.show()
        self.seen.clear()
        self.about.setText("")
        self.opinions.begin((), ())

    @property
    def awaiting(self) -> bool:
        """Whether an answer to what is drawn is still to come."""
        return self._awaited

    def set_temperature(self, temperature: float) -> None:
        """Show opinions at another T."""
        self._temperature = temperature
        self._show()

    def set_logarithmic(self, on: bool) -> None:
        """Show bars by logarithms."""
        self.opinions.set_logarithmic(on)

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.canvas.update()
        self.opinions.dress()

    def _ask(self) -> None:
        """Have the drawing predicted; while one is, the newest waits."""
        models = self._models
        if models is None or not models.line_up.speakers:
            return
        if self.canvas.empty:
            self._logits = None
            self.seen.clear()
            self.opinions.clear()
            self.hint.show()
        if self._awaited or self.canvas.empty:
            self._changed = True
            return
        self._awaited, self._changed = True, False
        drawing = self.canvas.pixels()

        def predicted() -> tuple[np.ndarray, np.ndarray]:
            image = prepared(drawing, models.shape, models.fill)
            return image, models.logits(image[None])[:, 0]

        def answered(found: tuple[np.ndarray, np.ndarray]) -> None:
            self._came()
            if models is self._models and not self.canvas.empty:
                image, self._logits = found
                self.seen.setPixmap(scaled(to_pixmap(image), SEEN))
                self.hint.hide()
                self._show()
            if self._changed and not self.canvas.empty:
                self._ask()

        def failed(error: Exception) -> None:
            self._came()
            self.hint.setText(f"{error}.")
            self.hint.show()

        self._looking.start()
        self._work("draw", predicted, answered, failed)

    def _came(self) -> None:
        self._awaited = False
        self._looking.stop()

    def forget(self) -> None:
        """Expect no answer any more."""
        self._came()
        self.clear("")

    def _show(self) -> None:
        if self._models is None or self._logits is None:
            return
        self.opinions.show_opinions(self._models.line_up.at(self._logits, self._temperature), None)


def _without(models: Models) -> str:
    why = "; ".join(models.missing) or "no run of this experiment is done"
    return f"Nobody is here to be asked: {why}."
