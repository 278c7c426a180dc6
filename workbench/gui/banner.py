"""A sentence above everything, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QToolButton

from workbench.gui.forms import label


class Banner(QFrame):
    """A sentence above everything, until it is dismissed, and what can be done about it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.text = label(wrap=True)
        self.act = QPushButton()
        self.act.clicked.connect(self._do)
        self._done: Callable[[], None] = self.hide
        away = QToolButton()
        away.setText("Dismiss")
        away.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.addWidget(self.text, 1)
        row.addWidget(self.act)
        row.addWidget(away)
        self.hide()

    def say(self, sentence: str, action: str = "", done: Callable[[], None] | None = None) -> None:
        """Show a sentence, and a button where there is something to do about it."""
        self.text.setText(sentence)
        self.act.setText(action)
        self.act.setVisible(bool(action))
        self._done = done or self.hide
        self.show()

    def _do(self) -> None:
        self.hide()
        self._done()
