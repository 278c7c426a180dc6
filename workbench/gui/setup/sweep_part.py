"""The same experiment for several values of some settings, times seeds: the set-up's ``[sweep]`` table."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from workbench.gui.forms import Wheelless, label, plain_tooltip
from workbench.sweep import COUNTED, LARGEST, WAYS, WITHOUT, axes_of, parts_of

PATHS = (
    "distillation.temperature",
    "distillation.hard_weight",
    "distillation.mean",
    "student.units",
    "student.layers",
    "training.learning_rate",
    "training.epochs",
    "training.batch_size",
    "transfer.fraction",
    "transfer.leave_out",
    "teachers.0.count",
    "teachers.0.units",
)
"""Offered first; any other dotted path may be typed."""
RANGE = re.compile(r"^\s*(\S+)\s*(?:to|…|\.\.)\s*(\S+)\s+in\s+(\d+)\s*(log)?\s*$")
WHOLE_RANGE = re.compile(r"^\s*([-+.\w]+?)(?:\s+to\s+|\s*…\s*|\s*\.\.\s*)([-+.\w]+)\s*(\blog)?\s*$")
"""A range that a Bayesian search takes as it is."""


def values_of(text: str) -> Any:
    """What a person typed as a sweep writes it: ``1, 2, 4``, or the range ``30 to 800 in 4 log``, ``30 to 800 log``."""
    if found := RANGE.match(text):
        low, high, count, log = found.groups()
        return {"from": _value(low), "to": _value(high), "count": int(count)} | ({"scale": "log"} if log else {})
    if found := WHOLE_RANGE.match(text):
        ends = {"from": _value(found[1]), "to": _value(found[2])}
        if all(isinstance(end, (int, float)) for end in ends.values()):
            return ends | ({"scale": "log"} if found[3] else {})
    try:
        return tomllib.loads(f"values = [{text}]")["values"]
    except ValueError:
        return [_value(part.strip()) for part in text.split(",") if part.strip()]


def text_of(values: Any) -> str:
    """The text that :func:`values_of` reads back."""
    if isinstance(values, Mapping):
        log = " log" if values.get("scale") == "log" else ""
        places = f" in {values['count']}" if "count" in values else ""
        return f"{values.get('from')} to {values.get('to')}{places}{log}"
    return ", ".join(_written(value) for value in values) if isinstance(values, list) else str(values)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(_written, value))}]" if isinstance(value, list) else str(value)


class _Axis(QWidget):
    """One setting and its values."""

    changed = Signal()
    removed = Signal(object)

    def __init__(self, path: str, values: Any) -> None:
        super().__init__()
        self.path = QComboBox()
        self.path.setEditable(True)
        self.path.addItems(list(PATHS))
        self.path.setCurrentText(path)
        if edit := self.path.lineEdit():
            edit.setCursorPosition(0)
        self.path.setAccessibleName("Setting to vary")
        Wheelless(self.path)
        self.path.setToolTip("A setting by its dotted path, as a recipe writes it.")
        self.path.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.values = QLineEdit(text_of(values))
        self.values.setAccessibleName("Values")
        self.values.setPlaceholderText("1, 2, 4 or 30 to 800 in 4 log")
        self.values.setToolTip(
            "Values with commas between them, or a range such as “30 to 800 in 4 log”; with bayes “30 to 800 log” will do."
        )
        away = QToolButton()
        away.setText("✕")
        away.setToolTip("Vary this setting no longer.")
        away.clicked.connect(lambda: self.removed.emit(self))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.path, 5)
        row.addWidget(self.values, 4)
        row.addWidget(away)
        self.path.currentTextChanged.connect(lambda _: self.changed.emit())
        self.values.textChanged.connect(lambda _: self.changed.emit())


class _Without(QWidget):
    """The parts that a recipe takes away one at a time."""

    removed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.text = label(wrap=True)
        self.away = QToolButton()
        self.away.setText("✕")
        self.away.setToolTip("Take no parts away.")
        self.away.setAccessibleName("Take no parts away")
        self.away.clicked.connect(self.removed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.text, 1)
        row.addWidget(self.away)

    def show_parts(self, parts: Mapping[str, Mapping[str, Any]]) -> None:
        """Name the parts, and in the tooltip the settings that take each away."""
        self.text.setText(f"Whole, and without one part at a time: {', '.join(parts)}")
        lines = [
            f"{part}: {', '.join(f'{path} = {_written(value)}' for path, value in of.items())}" for part, of in parts.items()
        ]
        self.text.setToolTip(plain_tooltip("\n".join(lines)) or "")
        self.setVisible(bool(parts))


class SweepPart(QGroupBox):
    """Emits ``changed``; without a setting and with one seed there is no sweep."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Sweep: the same for several values")
        self.axes: list[_Axis] = []
        self.add_button = QPushButton("Vary a setting")
        self.add_button.setToolTip("Do the experiment for each of several values.")
        self.add_button.clicked.connect(lambda: self.add(PATHS[min(len(self.axes), len(PATHS) - 1)], []))
        self.seeds = QSpinBox()
        self.seeds.setRange(1, LARGEST)
        self.seeds.setAccessibleName("Seeds")
        self.seeds.setPrefix("seeds: ")
        self.seeds.setToolTip(
            "Each combination is done for so many seeds, from the experiment's own on. Teachers are trained once for all;\n"
            "a generalist with its specialists anew for each seed."
        )
        self.how = QComboBox()
        self.how.addItems(list(WAYS))
        self.how.setAccessibleName("Combinations")
        self.how.setToolTip(
            "grid: every combination. zip: the first values together, then the second. random: some of the grid.\n"
            "bayes: a search that tries one combination after the other, each where those before let hope for most\n"
            "on validation (needs Optuna). Its ranges are not cut into a few values. Stop ends it."
        )
        row = QHBoxLayout()
        row.addWidget(self.add_button)
        row.addWidget(self.how)
        row.addWidget(self.seeds)
        self.count = QSpinBox()
        self.count.setRange(1, LARGEST)
        self.count.setValue(20)
        self.count.setAccessibleName("Count")
        self.count.hide()
        row.addWidget(self.count)
        for field in (self.seeds, self.how, self.count):
            Wheelless(field)
        self.error = label(role="error", wrap=True)
        self.error.hide()
        self._parts: dict[str, Any] = {}
        self.without = _Without()
        self.without.removed.connect(lambda: self._show_parts({}))
        self.without.removed.connect(self.changed)
        self.without.hide()
        self._layout = QVBoxLayout(self)
        self._layout.addWidget(self.without)
        self._layout.addLayout(row)
        self._layout.addWidget(self.error)
        self.seeds.valueChanged.connect(lambda _: self.changed.emit())
        self.count.valueChanged.connect(lambda _: self.changed.emit())
        self.how.currentTextChanged.connect(self._show_count)
        self.how.currentTextChanged.connect(lambda _: self.changed.emit())

    def add(self, path: str, values: Any) -> None:
        """Vary another setting."""
        axis = _Axis(path, values)
        axis.changed.connect(self.changed)
        axis.removed.connect(self._remove)
        self._layout.insertWidget(len(self.axes), axis)
        self.axes.append(axis)
        self.changed.emit()

    def value(self) -> dict[str, Any]:
        """The ``[sweep]`` table, empty where nothing is varied."""
        axes = {axis.path.currentText().strip(): values_of(axis.values.text()) for axis in self.axes}
        if not axes and not self._parts and self.seeds.value() == 1:
            return {}
        how = self.how.currentText()
        table = {"how": how, "seeds": self.seeds.value()} | ({"count": self.count.value()} if how in COUNTED else {}) | axes
        return table | ({WITHOUT: self._parts} if self._parts else {})

    def show_table(self, table: Mapping[str, Any]) -> None:
        """Show a ``[sweep]`` table; an empty one varies nothing."""
        for axis in list(self.axes):
            self._remove(axis)
        self.seeds.setValue(int(table.get("seeds", 1)))
        self.how.setCurrentText(str(table.get("how", "grid")))
        self.count.setValue(int(table.get("count", 0) or 20))
        for path, values in axes_of(table):
            self.add(path, values)
        self._show_parts(parts_of(table))

    def show_error(self, reason: str) -> None:
        """Say what is wrong with the sweep; an empty reason takes it back."""
        self.error.setText(reason)
        self.error.setVisible(bool(reason))

    def _show_count(self, how: str) -> None:
        self.count.setVisible(how in COUNTED)
        self.count.setSuffix(" tried" if how == "bayes" else " drawn")
        self.count.setToolTip(
            "How many combinations the search tries." if how == "bayes" else "How many combinations of the grid are drawn."
        )

    def _show_parts(self, parts: dict[str, Any]) -> None:
        self._parts = parts
        self.without.show_parts(parts)

    def _remove(self, axis: _Axis) -> None:
        self.axes.remove(axis)
        self._layout.removeWidget(axis)
        axis.hide()
        axis.deleteLater()
        self.changed.emit()
