"""The ensemble: any mix of models and counts, and past runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QSpinBox, QToolButton, QVBoxLayout, QWidget

from workbench.config import TeacherConfig
from workbench.gui.forms import Wheelless, label
from workbench.gui.setup.model_form import ModelForm


class TeacherGroup(QFrame):
    """Some members alike, or one past run."""

    changed = Signal()
    removed = Signal(object)

    def __init__(self, config: TeacherConfig, past: str = "") -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.run = config.run
        self.count = QSpinBox()
        self.count.setRange(1, 100)
        self.count.setValue(config.count)
        self.count.setPrefix("× ")
        self.count.setAccessibleName("Count")
        Wheelless(self.count)
        self.count.setToolTip("How many members of this kind, each with a seed of its own.")
        remove = QToolButton()
        remove.setText("Remove")
        remove.setToolTip("Take these teachers out of the ensemble.")
        remove.clicked.connect(lambda: self.removed.emit(self))
        top = QHBoxLayout()
        self.title = label(past or (f"Past run {config.run}" if config.run else "Trained here"), wrap=True)
        top.addWidget(self.title, 1)
        top.addWidget(self.count)
        top.addWidget(remove)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(top)
        self.model = ModelForm()
        self.model.set_model(config.model)
        layout.addWidget(self.model)
        self.error = label(role="error", wrap=True)
        self.error.hide()
        layout.addWidget(self.error)
        if self.run:
            self.model.hide()
            self.count.hide()
        self.count.valueChanged.connect(lambda _: self.changed.emit())
        self.model.changed.connect(self.changed)

    def value(self) -> dict[str, Any]:
        """The group's table as a recipe writes it."""
        if self.run:
            return {"run": self.run}
        return self.model.value() | {"count": self.count.value()}

    def show_error(self, name: str, reason: str) -> None:
        """Say what is wrong beside the option it is about, or below the group."""
        if name and self.model.form.show_error(name, reason):
            return
        self.error.setText(reason)
        self.error.setVisible(bool(reason))


class TeachersPanel(QWidget):
    """The groups of the ensemble, and buttons that add one."""

    changed = Signal()
    past_wanted = Signal()
    elsewhere_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[TeacherGroup] = []
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        buttons = QHBoxLayout()
        self.add_button = QPushButton("Add teachers")
        self.add_button.setToolTip("Add another kind of teacher to the ensemble.")
        self.add_button.clicked.connect(lambda: self.add(TeacherConfig()))
        self.past_button = QPushButton("Add a past run…")
        self.past_button.setToolTip("Use a finished run of the history as a teacher, as it is.")
        self.past_button.clicked.connect(self.past_wanted)
        buttons.addWidget(self.add_button)
        self.elsewhere_button = QPushButton("From elsewhere…")
        self.elsewhere_button.setToolTip("Bring a teacher in: an ONNX file, a file of weights, or torchvision's pretrained ones.")
        self.elsewhere_button.clicked.connect(self.elsewhere_wanted)
        buttons.addWidget(self.past_button)
        buttons.addWidget(self.elsewhere_button)
        self._layout.addLayout(buttons)
        self.error = label(role="error", wrap=True)
        self.error.hide()
        self._layout.addWidget(self.error)

    def show_error(self, reason: str) -> None:
        """Say what is wrong with the ensemble as a whole; an empty reason takes it back."""
        self.error.setText(reason)
        self.error.setVisible(bool(reason))

    def add(self, config: TeacherConfig, past: str = "") -> None:
        """Add a group at the end."""
        group = TeacherGroup(config, past)
        group.changed.connect(self.changed)
        group.removed.connect(self._remove)
        self._layout.insertWidget(len(self.groups), group)
        self.groups.append(group)
        self.changed.emit()

    def set_teachers(self, teachers: Sequence[TeacherConfig]) -> None:
        """Show these groups alone."""
        for group in list(self.groups):
            self._remove(group)
        for teacher in teachers:
            self.add(teacher)

    def value(self) -> list[dict[str, Any]]:
        """The groups' tables as a recipe writes them."""
        return [group.value() for group in self.groups]

    def _remove(self, group: TeacherGroup) -> None:
        self.groups.remove(group)
        self._layout.removeWidget(group)
        group.hide()
        group.deleteLater()
        self.changed.emit()
