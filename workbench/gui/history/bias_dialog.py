"""Shift the logits of classes the student has never seen, and see errors follow the slider."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from workbench.analysis.bias import WAYS, Correction, errors_at
from workbench.gui.forms import label
from workbench.questions.images import BiasSamples

STEPS = 100
"""Of the slider for a shift of one."""
WIDEST = 20


class BiasDialog(QDialog):
    """``correction()`` is what the person chose, None where nothing is shifted."""

    def __init__(self, samples: BiasSamples, kept: Correction | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Bias correction of run {samples.run}")
        self._samples = samples
        self._way = kept.way if kept else "hand"
        chosen = kept.classes if kept else samples.missing
        self.classes = QListWidget()
        self.classes.setAccessibleName("Classes to shift")
        self.classes.setMaximumHeight(150)
        self.classes.setSelectionMode(QAbstractItemView.SelectionMode.MultiSelection)
        self.classes.setToolTip("Click a class to shift it too, or no longer.")
        for number, name in enumerate(samples.classes):
            item = QListWidgetItem(f"{name}{'   (not in the transfer set)' if number in samples.missing else ''}")
            self.classes.addItem(item)
            item.setSelected(number in chosen)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(-WIDEST * STEPS, WIDEST * STEPS)
        self.slider.setAccessibleName("Shift")
        self.slider.setToolTip("What is added to the logits of the classes chosen.")
        self.shift = label("0.00")
        self.shift.setMinimumWidth(60)
        self.buttons: dict[str, QPushButton] = {}
        row = QHBoxLayout()
        for way, text in (("validation", "Best on validation"), ("mass", "Match the frequency"), ("hand", "No shift")):
            button = QPushButton(text)
            button.setToolTip(f"The shift with {WAYS[way]}." if way != "hand" else "Take the shift back.")
            button.clicked.connect(lambda _, way=way: self._choose(way))
            self.buttons[way] = button
            row.addWidget(button)
        self.before, self.validation = label(), label()
        form = QFormLayout()
        form.addRow(label("Classes"), self.classes)
        slide = QHBoxLayout()
        slide.addWidget(self.slider, 1)
        slide.addWidget(self.shift)
        form.addRow(label("Shift"), slide)
        form.addRow("", row)
        form.addRow(label("Validation errors before"), self.before)
        form.addRow(label("and with the shift"), self.validation)
        words = (
            "Chosen on validation, which has labels of every class; errors on the test split are told once it is kept. "
            "The paper chose its shifts on the test set."
        )
        box = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        box.button(QDialogButtonBox.StandardButton.Save).setText("Keep with the run")
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addStretch(1)
        layout.addWidget(label(words, "faint", wrap=True))
        layout.addWidget(box)
        self.resize(560, 420)
        if kept:
            self.slider.setValue(round(kept.shift * STEPS))
        self.slider.valueChanged.connect(lambda _: self._by_hand())
        self.classes.itemSelectionChanged.connect(self._by_hand)
        self._show()

    def numbers(self) -> tuple[int, ...]:
        """The classes chosen."""
        return tuple(sorted(self.classes.row(item) for item in self.classes.selectedItems()))

    def correction(self) -> Correction | None:
        """What stands in the dialog."""
        shift, numbers = self.slider.value() / STEPS, self.numbers()
        return Correction(classes=numbers, shift=shift, way=self._way) if shift and numbers else None

    def _by_hand(self) -> None:
        self._way = "hand"
        self._show()

    def _choose(self, way: str) -> None:
        numbers = self.numbers()
        self.slider.setValue(0 if way == "hand" or not numbers else round(self._samples.chosen(numbers, way).shift * STEPS))
        self._way = way  # after the slider, whose every move counts as one by hand

    def _show(self) -> None:
        shift, numbers = self.slider.value() / STEPS, self.numbers()
        self.shift.setText(f"{shift:+.2f}")
        for way in ("validation", "mass"):
            self.buttons[way].setEnabled(0 < len(numbers) < len(self._samples.classes))
        if numbers:
            self.before.setText(errors_at(*self._samples.validation, numbers, 0.0).words())
            self.validation.setText(errors_at(*self._samples.validation, numbers, shift).words())
        else:
            for text in (self.before, self.validation):
                text.setText("choose a class")
