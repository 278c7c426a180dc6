"""The row that a dialog shows while its child process works: how far it is, at what, and Cancel."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from workbench.gui.child import Child
from workbench.gui.forms import label

PARTS = 1000


class UnderWay(QWidget):
    """Progress, words and Cancel for a child; whoever starts the child has it ``begin``, and hides it once that is over."""

    def __init__(self, child: Child, cancelling: str) -> None:
        super().__init__()
        self._child = child
        self.bar, self.step = QProgressBar(), label("")
        self.bar.setAccessibleName("Under way")
        self.bar.setMaximumWidth(260)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip(cancelling)
        self.cancel.clicked.connect(self.give_up)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar)
        row.addWidget(self.step, 1)
        row.addWidget(self.cancel)
        self.hide()

    def begin(self) -> None:
        """Be seen, with nothing done yet."""
        self.show_step("starting")
        self.cancel.setEnabled(True)
        self.show()

    def show_step(self, text: str, done: int = 0, total: int = 0, unit: str = "") -> None:
        """What is being done, and how much of it, in a unit; a ``total`` of 0 is one that is not known."""
        self.bar.setRange(0, PARTS if total else 0)
        self.bar.setValue(PARTS * done // total if total else 0)
        self.step.setText(f"{text}: {done:,} of {total:,} {unit}" if total else text)

    def give_up(self) -> None:
        """Have the child give up."""
        self.step.setText("cancelling")
        self.cancel.setEnabled(False)
        self._child.give_up()
