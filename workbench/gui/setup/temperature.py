"""The temperature: a logarithmic slider with its number."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QWidget

from workbench.gui.forms import NumberEdit, Wheelless

LOW, HIGH, STEPS = 0.5, 100.0, 460


class TemperatureSlider(QWidget):
    """From 0.5 to ``high`` by slider, up to 1000 by number; emits ``changed`` at every move."""

    changed = Signal()

    def __init__(self, value: float = 4.0, high: float = HIGH) -> None:
        super().__init__()
        self._high = high
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, STEPS)
        self.slider.setPageStep(20)
        self.slider.setAccessibleName("Temperature slider")
        self.slider.setToolTip(f"Temperature T, on a logarithmic scale from 0.5 to {high:g}.")
        Wheelless(self.slider)
        self.number = NumberEdit(value)
        self.number.setAccessibleName("Temperature")
        self.number.setToolTip("Temperature T; above 0 and at most 1000.")
        self.number.setMaximumWidth(70)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.number)
        self._move_slider()
        self.slider.valueChanged.connect(self._slid)
        self.number.textChanged.connect(self._typed)

    def value(self) -> float:
        """T, or nan where no number stands there."""
        return self.number.number()

    def set_value(self, value: float) -> None:
        """Show T."""
        self.number.set_number(value)

    def _slid(self, place: int) -> None:
        value = LOW * (self._high / LOW) ** (place / STEPS)
        self.number.set_number(float(f"{value:.2g}" if value < 10 else f"{value:.3g}"))

    def _typed(self) -> None:
        self._move_slider()
        self.changed.emit()

    def _move_slider(self) -> None:
        value = self.value()
        if math.isfinite(value) and value > 0:
            place = round(STEPS * math.log(value / LOW) / math.log(self._high / LOW))
            blocked = self.slider.blockSignals(True)
            self.slider.setValue(max(0, min(STEPS, place)))
            self.slider.blockSignals(blocked)
