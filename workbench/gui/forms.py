"""Widgets out of settings: the same labels, help, units and ranges that the command line and the TOML go by."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from workbench.errors import ConfigError
from workbench.settings import Option, checked, range_words


def label(text: str = "", role: str = "", *, wrap: bool = False) -> QLabel:
    """A label of plain text, whatever it holds."""
    made = QLabel()
    made.setTextFormat(Qt.TextFormat.PlainText)
    made.setText(text)
    made.setWordWrap(wrap)
    if role:
        made.setProperty("role", role)
    return made


def escaped(text: str) -> str:
    """A text for a place that takes HTML, such as pyqtgraph's labels and legends, to be seen as it is."""
    return html.escape(text, quote=False)


def plain_tooltip(text: str) -> str | None:
    """A text as a tooltip that is never taken for rich text, or None where there is none."""
    return f"<p style='white-space:pre-wrap'>{html.escape(text)}</p>" if text else None


def tooltip(option: Option) -> str:
    """Help, range and unit of a setting."""
    about = option.setting
    ranged = (
        f" {range_words(about).capitalize()}{' ' + about.unit if about.unit else ''}."
        if about.low is not None or about.above is not None
        else ""
    )
    return f"{about.help}{ranged}"


class Wheelless(QObject):
    """Keeps a mouse wheel that scrolls the page from changing a value it happens to pass over, or giving it the focus."""

    def __init__(self, field: QWidget) -> None:
        super().__init__(field)
        field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        field.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: Any) -> bool:
        """Let the wheel through only to a widget that has the focus."""
        if event.type() == event.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


class NumberEdit(QLineEdit):
    """A number typed as a person writes it, such as 0.001 or 1e-3."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.set_number(value)

    def number(self) -> float:
        """The number, or nan where the text is none."""
        try:
            return float(self.text().strip().replace(",", "."))
        except ValueError:
            return math.nan

    def set_number(self, value: float) -> None:
        """Show a number."""
        if self.number() != value:
            short = f"{value:g}"
            self.setText(short if float(short) == value else repr(value))


class Editor(QWidget):
    """One setting: its widget, its unit, and the place beside it where its error is said."""

    changed = Signal()

    def __init__(self, option: Option) -> None:
        super().__init__()
        self.option = option
        self.field = _field(option)
        self.field.setToolTip(tooltip(option))
        self.field.setAccessibleName(option.setting.label)
        if isinstance(self.field, QComboBox | QSpinBox):
            Wheelless(self.field)
        self._error = label(role="error", wrap=True)
        self._error.hide()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.field, 1)
        if option.setting.unit and not isinstance(self.field, QSpinBox):
            row.addWidget(label(option.setting.unit, "faint"))
        if option.setting.folder:
            self.browse = QPushButton("Browse…")
            self.browse.setToolTip(f"Choose: {option.setting.label.lower()}.")
            self.browse.clicked.connect(self._browse)
            row.addWidget(self.browse)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self._error)
        _changed_signal(self.field).connect(lambda *_: self.changed.emit())
        if isinstance(self.field, QLineEdit) and option.setting.folder:
            self.field.editingFinished.connect(self._finish)

    def value(self) -> Any:
        """What stands in the widget, unchecked."""
        match self.field:
            case QCheckBox():
                return self.field.isChecked()
            case QComboBox():
                return self.field.currentText()
            case QSpinBox():
                return self.field.value()
            case NumberEdit():
                return self.field.number()
            case QLineEdit() if self.option.kind is tuple:
                return _items(self.field.text(), self.option.setting.between)
            case QLineEdit():
                return self.field.text().strip()
        raise TypeError(type(self.field))

    def set_value(self, value: Any) -> None:
        """Show a value."""
        match self.field:
            case QCheckBox():
                self.field.setChecked(value)
            case QComboBox():
                self.field.setCurrentText(value)
            case QSpinBox():
                self.field.setValue(value)
            case NumberEdit():
                self.field.set_number(value)
            case QLineEdit() if self.option.kind is tuple:
                self.field.setText(f"{self.option.setting.between} ".join(map(str, value)))
            case QLineEdit():
                self.field.setText(value)

    def set_error(self, reason: str) -> None:
        """Say what is wrong beside the field; an empty reason takes it back."""
        self._error.setText(reason)
        self._error.setVisible(bool(reason))

    def check(self) -> bool:
        """Say what is wrong with the value by itself; whether nothing is."""
        value, reason = self.value(), ""
        try:
            checked(self.option, value, self.option.name)
        except ConfigError as error:
            reason = "is not a number" if isinstance(value, float) and math.isnan(value) else error.reason
        self.set_error(reason)
        return not reason

    @property
    def error(self) -> str:
        """What is said to be wrong."""
        return self._error.text()

    @property
    def unfinished(self) -> bool:
        """Whether a folder's name is being typed: what stands there may name one far larger than what is meant."""
        return self.option.setting.folder and isinstance(self.field, QLineEdit) and self.field.isModified()

    def _finish(self) -> None:
        if self.unfinished:
            self.field.setModified(False)  # type: ignore[attr-defined]
            self.changed.emit()

    def _browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self.option.setting.label, self.value() or os.path.expanduser("~"))
        if chosen:
            self.set_value(chosen)


class Form(QWidget):
    """Several settings under each other, the advanced ones folded away."""

    changed = Signal()

    def __init__(self, options: Iterable[Option], *, leave_out: Sequence[str] = ()) -> None:
        super().__init__()
        self.editors: dict[str, Editor] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        plain, folded = _form_layout(), _form_layout()
        for option in options:
            if option.name in leave_out:
                continue
            editor = Editor(option)
            editor.changed.connect(self.changed)
            self.editors[option.name] = editor
            name = label(option.setting.label)
            name.setToolTip(tooltip(option))
            (folded if option.setting.advanced else plain).addRow(name, editor)
        layout.addLayout(plain)
        self._more = QToolButton()
        if folded.rowCount():
            self._fold(layout, folded)

    def _fold(self, layout: QVBoxLayout, folded: QFormLayout) -> None:
        inside = QWidget()
        inside.setLayout(folded)
        inside.hide()
        more = self._more
        more.setText("More settings")
        more.setCheckable(True)
        more.setAutoRaise(True)
        more.setArrowType(Qt.ArrowType.RightArrow)
        more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        more.toggled.connect(inside.setVisible)
        more.toggled.connect(lambda on: more.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow))
        layout.addWidget(more)
        layout.addWidget(inside)

    def unfold(self) -> None:
        """Show the advanced settings."""
        self._more.setChecked(True)

    def values(self) -> dict[str, Any]:
        """What stands in the form, by name."""
        return {name: editor.value() for name, editor in self.editors.items()}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show values; names the form does not have are passed over."""
        for name, editor in self.editors.items():
            if name in values:
                editor.set_value(values[name])

    def check(self) -> bool:
        """Say beside each field what is wrong with it by itself; whether nothing is."""
        wrong = [editor for editor in self.editors.values() if not editor.check()]
        if any(editor.option.setting.advanced for editor in wrong):
            self.unfold()
        return not wrong

    @property
    def unfinished(self) -> bool:
        """Whether a folder's name is being typed."""
        return any(editor.unfinished for editor in self.editors.values())

    def show_error(self, name: str, reason: str) -> bool:
        """Say what is wrong beside a field, unfolded; False where the form has no such field."""
        if name not in self.editors:
            return False
        editor = self.editors[name]
        editor.set_error(reason)
        if editor.option.setting.advanced and reason:
            self.unfold()
        return True


def _form_layout() -> QFormLayout:
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(5)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return layout


def _field(option: Option) -> QWidget:
    about = option.setting
    made: QWidget
    if option.kind is bool:
        made = QCheckBox()
        made.setChecked(option.default)
    elif about.choices:
        made = QComboBox()
        made.addItems(about.choices)
        made.setCurrentText(option.default)
        made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        made.setMinimumContentsLength(8)
    elif option.kind is int:
        made = QSpinBox()
        made.setRange(int(about.low or 0), int(min(about.high or 2**31 - 1, 2**31 - 1)))
        made.setSingleStep(about.step or 1)
        made.setValue(option.default)
        made.setSuffix(f" {about.unit}" if about.unit else "")
        made.setKeyboardTracking(True)
    elif option.kind is float:
        made = NumberEdit(option.default)
    else:
        made = QLineEdit("" if option.kind is tuple else option.default)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    made.setMinimumWidth(70)
    return made


def _changed_signal(field: QWidget) -> Any:
    match field:
        case QCheckBox():
            return field.toggled
        case QComboBox():
            return field.currentTextChanged
        case QSpinBox():
            return field.valueChanged
        case QLineEdit():
            return field.textChanged
    raise TypeError(type(field))


def _items(text: str, between: str) -> tuple[int | str, ...]:
    parts = [part.strip() for part in text.split(between) if part.strip()]
    return tuple(int(part) if part.isdecimal() else part for part in parts)
