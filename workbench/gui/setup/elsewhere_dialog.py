"""Bring a teacher in from elsewhere: choose it, see what of it stands for which class and how good it is, and add it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from workbench.config import DataConfig, ElsewhereConfig, ModelConfig
from workbench.errors import ConfigError
from workbench.exchange.bringing import BEST, CHOICES, Found, Wanted
from workbench.exchange.class_names import some
from workbench.gui.child import Child
from workbench.gui.exchange import file_stem
from workbench.gui.forms import Form, label
from workbench.gui.setup.model_form import ModelForm
from workbench.gui.setup.outputs_table import OutputsTable
from workbench.gui.under_way import UnderWay
from workbench.words import sentence
from workbench.zoo import TORCHVISION_CLASSIFIERS

FILE, TORCHVISION = "file", "torchvision"
KINDS = {FILE: "A file: ONNX, or weights", TORCHVISION: "torchvision, pretrained"}
TEXTS = "Texts (*.txt);;All files (*)"
FILES = "Networks and weights (*.onnx *.safetensors *.pt *.pth *.bin *.ckpt)"
WEIGHTS = (BEST, "IMAGENET1K_V1", "IMAGENET1K_V2", "IMAGENET1K_SWAG_E2E_V1", "IMAGENET1K_SWAG_LINEAR_V1")
HINTS = {
    FILE: "ONNX Runtime runs an ONNX file; weights (.safetensors, .pt) are for the model chosen below. Nothing is unpickled.",
    TORCHVISION: "Trained on ImageNet's thousand classes. Downloaded into the cache folder where they are not there yet, and "
    "checked by torchvision's hash; or name their file.",
}


class ElsewhereDialog(QDialog):
    """Emits ``brought`` with the run and words about it once the teacher is in the history. The work is done by
    :mod:`workbench.exchange.importing_process`, one at a time."""

    brought = Signal(int, str)

    def __init__(
        self, data: DataConfig, history: Path, folders: Sequence[Path], threads: int, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"A teacher from elsewhere for {file_stem(Path(data.dataset).name, 'this data')}")
        self._data = data
        self._given = {"history": str(history.absolute()), "folders": [str(folder) for folder in folders], "threads": threads}
        self._child = Child("workbench.exchange.importing_process", self)
        self._child.heard.connect(self._hear)
        self._child.over.connect(self._over)
        self.under_way = UnderWay(self._child, "Give up what is under way; no teacher is added.")
        self._answered = self._filling = self._mapping_chosen = False
        self._shown: dict[str, Any] = {}
        self._chosen: dict[str, Any] = {}
        self.found: Found | None = None
        columns = QSplitter()
        columns.setChildrenCollapsible(False)
        columns.addWidget(_scrolling(self._left()))
        columns.addWidget(self._right())
        columns.setSizes([420, 560])
        layout = QVBoxLayout(self)
        layout.addWidget(columns, 1)
        layout.addWidget(self.under_way)
        layout.addWidget(self._words())
        layout.addLayout(self._buttons())
        self.resize(980, 620)
        self.file.setFocus()
        self._show_kind()
        self._show_busy(False)

    # What it is made of

    def _left(self) -> QWidget:
        self.kind, self.hint = QComboBox(), label("", "faint", wrap=True)
        self.kind.setAccessibleName("Kind of teacher")
        self.kind.setToolTip("Where the teacher comes from.")
        for kind, text in KINDS.items():
            self.kind.addItem(text, kind)
        self.file = QLineEdit()
        self.file.setAccessibleName("File")
        self.file.setToolTip("The file of the network or of its weights.")
        self.browse = QPushButton("Browse…")
        self.browse.setToolTip("Choose the file.")
        self.browse.clicked.connect(lambda: self._browse(self.file, FILES))
        self.names = QLineEdit()
        self.names.setAccessibleName("Names of its outputs")
        self.names.setPlaceholderText("where the file does not say")
        self.names.setToolTip("A text file with the names of the teacher's outputs in their order, one a line.")
        self.browse_names = QPushButton("Browse…")
        self.browse_names.setToolTip("Choose the file with the names.")
        self.browse_names.clicked.connect(lambda: self._browse(self.names, TEXTS))
        self.architecture = _filtered(TORCHVISION_CLASSIFIERS, "resnet18", "Architecture", "The network's name there.")
        self.weights = _filtered(WEIGHTS, BEST, "Weights", "Which of torchvision's weights for it; DEFAULT: the best it has.")
        self.model = ModelForm()
        self.settings = Form(CHOICES)
        self.rows = QFormLayout()
        self.rows.addRow(label("Teacher"), self.kind)
        self.rows.addRow("", self.hint)
        self.rows.addRow(label("Architecture"), self.architecture)
        self.rows.addRow(label("Weights"), self.weights)
        self.rows.addRow(label("File"), _beside(self.file, self.browse))
        self.rows.addRow(label("Model"), self.model)
        self.names_row = _beside(self.names, self.browse_names)
        self.rows.addRow(label("Names"), self.names_row)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.addLayout(self.rows)
        column.addWidget(label("How it sees the images; found in the teacher where it says so:", "faint", wrap=True))
        column.addWidget(self.settings)
        column.addStretch(1)
        self.kind.currentIndexChanged.connect(lambda _: self.file.clear())
        self.kind.currentIndexChanged.connect(lambda _: self._show_kind())
        for signal in (
            self.file.textChanged,
            self.names.textChanged,
            self.architecture.currentTextChanged,
            self.weights.currentTextChanged,
        ):
            signal.connect(lambda _: self._other_teacher())
        self.model.changed.connect(self._other_teacher)
        self.settings.changed.connect(self._set)
        return inside

    def _right(self) -> QWidget:
        self.table = OutputsTable()
        self.table.changed.connect(self._mapped)
        return self.table

    def _words(self) -> QWidget:
        self.words, self.notes = label("", wrap=True), label("", "faint", wrap=True)
        self.words.setAccessibleName("How good it is")
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.words)
        column.addWidget(self.notes)
        return inside

    def _buttons(self) -> QHBoxLayout:
        self.measure = QPushButton("Look and measure")
        self.measure.setToolTip("See what of it stands for which class, and how many validation cases it gets right.")
        self.measure.clicked.connect(lambda: self._start(enter=False))
        self.add = QPushButton("Add as a teacher")
        self.add.setProperty("role", "primary")
        self.add.setToolTip("Keep it in the history as a run, and take it into the ensemble.")
        self.add.clicked.connect(lambda: self._start(enter=True))
        self.close_button = QPushButton("Close")
        self.close_button.setAutoDefault(False)
        self.close_button.clicked.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(self.measure)
        row.addStretch(1)
        row.addWidget(self.add)
        row.addWidget(self.close_button)
        return row

    # What a person does

    def _show_kind(self) -> None:
        kind = self.kind.currentData()
        self.hint.setText(HINTS[kind])
        for widget in (self.architecture, self.weights):
            self.rows.setRowVisible(widget, kind == TORCHVISION)
        self.rows.setRowVisible(self.names_row, kind == FILE)
        self.file.setPlaceholderText("downloaded where it is not there" if kind == TORCHVISION else "")
        self._other_teacher()

    def _other_teacher(self) -> None:
        """Whatever is known is of another one."""
        weights = self.kind.currentData() == FILE and not self.file.text().strip().endswith(".onnx")
        self.rows.setRowVisible(self.model, weights)
        self._mapping_chosen = False
        self._chosen = {}
        self._show_found(None)
        self._say("Choose a teacher, and look what of it stands for the classes of the data and how good it is.")
        self.notes.setText("")
        self._show_buttons()

    def _set(self) -> None:
        if not self._filling:
            now = self.settings.values()
            self._chosen |= {key: value for key, value in now.items() if value != self._shown[key]}
            self._shown = now
            self._stale()

    def _mapped(self) -> None:
        self._mapping_chosen = True
        self._stale()

    def _stale(self) -> None:
        """What was measured is of other settings."""
        self.found = None
        self.settings.check()
        wrong = self.table.wrong
        told = f"Choose an output for {some(wrong)}." if wrong else "Look and measure again: something has been changed."
        self._say(told if self.table.rowCount() else "")
        self._show_buttons()

    def _browse(self, field: QLineEdit, kinds: str) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, field.accessibleName(), field.text(), kinds)
        if chosen:
            field.setText(chosen)

    def reject(self) -> None:
        """Close; what is under way is given up first."""
        if self.ended:
            super().reject()
        else:
            self.under_way.give_up()
            self.hide()

    @property
    def ended(self) -> bool:
        """Whether no work is under way."""
        return self._child.ended

    def wanted(self) -> Wanted:
        """What stands in the dialog; a :class:`ConfigError` where something of it is wrong."""
        kind, file = self.kind.currentData(), self.file.text().strip()
        model = self.model.value()
        return Wanted(
            data=self._data,
            model=ModelConfig(model=model.pop("model"), options=model) if self.model.isVisibleTo(self) else ModelConfig(),
            file=_path("file", file),
            torchvision=self.architecture.currentText().strip() if kind == TORCHVISION else "",
            weights=self.weights.currentText().strip(),
            settings=self._chosen,
            names=_path("names", self.names.text().strip()) if kind == FILE else None,
            mapping=self.table.mapping() if self._mapping_chosen else {},
        )

    # What is under way

    def _start(self, *, enter: bool) -> None:
        try:
            wanted = self.wanted()
        except ConfigError as error:
            self._say(f"{error}", wrong=True)
            return
        self._answered = False
        self.under_way.begin()
        self._show_busy(True)
        self._child.start(self._given | {"wanted": json.loads(wanted.to_json()), "enter": enter})

    def _hear(self, news: dict[str, Any]) -> None:
        match news:
            case {"step": [str(text), int(done), int(total), str(unit)]}:
                self.under_way.show_step(text, done, total, unit)
            case {"found": dict(found)}:
                self._answered = True
                self._show_found(Found.from_json(json.dumps(found)))
            case {"brought": int(run)}:
                self._answered = True
                good = f", {self.found.figures['val_accuracy']:.1%} on validation" if self.found and self.found.figures else ""
                self.brought.emit(run, f"Past run {run}: {self.found.title if self.found else 'from elsewhere'}{good}")
                self.accept()
            case {"error": str(text)}:
                self._say(text, wrong=True)

    def _show_found(self, found: Found | None) -> None:
        self.found = found
        self._filling = True
        plain = asdict(ElsewhereConfig(pixels="standardised" if found else "0..1"))
        self.settings.set_values(dict(found.settings) if found and found.settings else plain)
        self._shown = self.settings.values()
        self._filling = False
        if found is None or not self._mapping_chosen:
            self.table.show_found(found)
        if found is not None:
            self._say(found.words(), wrong=bool(found.missing))
            self.notes.setText("\n".join(found.notes))

    def _say(self, words: str, *, wrong: bool = False) -> None:
        self._answered = True
        self.words.setText(sentence(words))
        self.words.setProperty("role", "error" if wrong else "")
        self.words.style().polish(self.words)

    def _over(self, why: str) -> None:
        if not self._answered:
            self._say("Cancelled; nothing was added." if self._child.given_up else f"nothing was added: {why}", wrong=True)
        self.under_way.hide()
        self._show_busy(False)

    def _show_busy(self, busy: bool) -> None:
        whole = (self.kind, self.file, self.browse, self.names, self.browse_names, self.architecture, self.weights)
        for widget in (*whole, self.model, self.settings, self.table):
            widget.setEnabled(not busy)
        self._show_buttons(busy)

    def _show_buttons(self, busy: bool = False) -> None:
        named = bool(self.file.text().strip()) or self.kind.currentData() == TORCHVISION
        self.measure.setEnabled(not busy and named)
        ready = self.found is not None and not self.found.missing
        self.add.setEnabled(not busy and ready)
        (self.add if ready else self.measure).setDefault(True)


def _path(key: str, text: str) -> Path | None:
    try:
        return Path(text).expanduser() if text else None
    except RuntimeError:
        raise ConfigError(key, f"{text} begins with somebody's home folder that is not known; name the folder in full") from None


def _filtered(names: Sequence[str], chosen: str, name: str, about: str) -> QComboBox:
    """A list that is searched by typing any part of a name."""
    made = QComboBox()
    made.setEditable(True)
    made.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    made.addItems(list(names))
    made.setCurrentText(chosen)
    made.setAccessibleName(name)
    made.setToolTip(about)
    if completer := made.completer():
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCompletionMode(completer.CompletionMode.PopupCompletion)
    return made


def _beside(field: QLineEdit, button: QPushButton) -> QWidget:
    inside = QWidget()
    row = QHBoxLayout(inside)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(field, 1)
    row.addWidget(button)
    return inside


def _scrolling(inside: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(inside)
    return area
