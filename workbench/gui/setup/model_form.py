"""A model of the zoo, chosen by name, with its options and its size."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget

from workbench import zoo
from workbench.config import ModelConfig
from workbench.gui.forms import Form, Wheelless, label


class ModelForm(QWidget):
    """Emits ``changed`` whenever another model or option is chosen."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.choice = QComboBox()
        self.choice.setAccessibleName("Model")
        Wheelless(self.choice)
        for spec in zoo.MODELS.values():
            self.choice.addItem(spec.label, spec.name)
            self.choice.setItemData(self.choice.count() - 1, spec.help, 3)
        self.form = Form(())
        self.size_label = label("", "faint", wrap=True)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self._layout.addWidget(self.choice)
        self._layout.addWidget(self.form)
        self._layout.addWidget(self.size_label)
        self.choice.currentIndexChanged.connect(self._choose)
        self._choose()

    def value(self) -> dict[str, Any]:
        """The model's table as a recipe writes it, unchecked."""
        return {"model": self.choice.currentData()} | self.form.values()

    def set_model(self, model: ModelConfig) -> None:
        """Show a model."""
        self.choice.setCurrentIndex(self.choice.findData(model.model))
        self.form.set_values(model.options)

    def show_size(self, size: tuple[int, int] | str) -> None:
        """Say parameters and multiply-adds, or why the model does not suit the data."""
        fits = not isinstance(size, str)
        text = size if isinstance(size, str) else f"{size[0]:,} parameters · {compact(size[1])} multiply-adds an image"
        self.size_label.setText(text)
        self.size_label.setProperty("role", "faint" if fits else "error")
        self.size_label.style().polish(self.size_label)

    def _choose(self) -> None:
        spec = zoo.spec(self.choice.currentData())
        self.choice.setToolTip(spec.help)
        new = Form(spec.options)
        new.changed.connect(self.changed)
        self._layout.replaceWidget(self.form, new)
        self.form.hide()
        self.form.deleteLater()
        self.form = new
        self.changed.emit()


def compact(number: int) -> str:
    """A large number with a unit prefix: 1.2 M."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= limit:
            return f"{number / limit:.3g}{unit}"
    return str(number)
