"""Take a run away: choose a form and a file, see how the file's answers compare, and copy the script that runs it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from workbench.exchange.takeaway import COLUMNS, FORMS, Taken
from workbench.gui.child import Child
from workbench.gui.exchange import file_stem, with_suffix
from workbench.gui.forms import label
from workbench.gui.under_way import UnderWay
from workbench.words import sentence

HINT = (
    "The file is read back by its own runtime and compared with the run on the whole test split before it is kept."
    " That takes half a minute or so, in a process of its own: a training goes on beside it."
)


class TakeDialog(QDialog):
    """Takes one run away as often as wanted. The work is done by :mod:`workbench.exchange.taking_process`, one at a time."""

    def __init__(
        self, run: int, name: str, history: Path, folders: Sequence[Path], threads: int, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Take run {run} away")
        self._run, self._stem = run, file_stem(f"{name} {run}", "student")
        self._given = {"history": str(history.absolute()), "folders": [str(folder) for folder in folders], "threads": threads}
        self._wanted: dict[str, Any] = {}
        self._answered = False
        self.taken: Taken | None = None
        self._child = Child("workbench.exchange.taking_process", self)
        self._child.heard.connect(self._hear)
        self._child.over.connect(self._over)
        self.under_way = UnderWay(self._child, "Give up what is under way; nothing is written.")
        layout = QVBoxLayout(self)
        layout.addLayout(self._choice())
        layout.addWidget(self.under_way)
        layout.addWidget(self._result(), 1)
        layout.addLayout(self._end())
        self.resize(760, 620)
        self._show_form()
        self._busy(False)
        self.result_part.hide()

    def _choice(self) -> QFormLayout:
        self.form, self.about = QComboBox(), label("", "faint", wrap=True)
        self.form.setAccessibleName("Form")
        for form, about in FORMS.items():
            self.form.addItem(about.label, form)
        self.form.currentIndexChanged.connect(lambda _: self._show_form())
        self.small = QCheckBox("and beside it one with 8-bit weights")
        self.small.setToolTip("Smaller, with its errors beside the float ones: ONNX Runtime's dynamic quantisation.")
        self.choose = QPushButton("Choose a file…")
        self.choose.setDefault(True)
        self.choose.clicked.connect(self._choose)
        row = QHBoxLayout()
        row.addWidget(self.choose)
        row.addWidget(label(HINT, "faint", wrap=True), 1)
        rows = QFormLayout()
        rows.addRow(label("Form"), self.form)
        rows.addRow("", self.about)
        rows.addRow("", self.small)
        rows.addRow(row)
        return rows

    def _result(self) -> QWidget:
        self.words = label("", wrap=True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.notes = label("", "faint", wrap=True)
        self.keep = QPushButton("Write it anyway")
        self.keep.setToolTip("Keep the file though it answers otherwise than the run.")
        self.keep.clicked.connect(lambda: self._start(force=True))
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setAccessibleName("The file beside what it learned from")
        for column, (title, help_) in enumerate(COLUMNS.items()):
            head = QTableWidgetItem(title)
            head.setToolTip(help_)
            self.table.setHorizontalHeaderItem(column, head)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setMaximumHeight(140)
        self.script = QPlainTextEdit()
        self.script.setReadOnly(True)
        self.script.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.script.setAccessibleName("The script that runs the file")
        self.copy = QPushButton("Copy the script")
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.script.toPlainText()))
        self.figures, self.result_part = QWidget(), QWidget()
        inner = QVBoxLayout(self.figures)
        inner.setContentsMargins(0, 0, 0, 0)
        for widget in (self.table, label("This runs it elsewhere:"), self.script):
            inner.addWidget(widget)
        inner.addWidget(self.copy, 0, Qt.AlignmentFlag.AlignLeft)
        layout = QVBoxLayout(self.result_part)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.words)
        layout.addWidget(self.notes)
        layout.addWidget(self.keep, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.figures, 1)
        layout.addStretch(0)  # takes the room where there are no figures
        return self.result_part

    def _end(self) -> QHBoxLayout:
        self.close_button = QPushButton("Close")
        self.close_button.clicked.connect(self.reject)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.close_button)
        return row

    # Asking

    @property
    def ended(self) -> bool:
        """Whether no work is under way."""
        return self._child.ended

    def _show_form(self) -> None:
        form = self.form.currentData()
        self.about.setText(FORMS[form].help)
        self.small.setEnabled(form == "onnx")

    def _choose(self) -> None:
        form = self.form.currentData()
        suffix = FORMS[form].suffix
        title, kind = "Take away", f"{FORMS[form].label} (*{suffix})"
        chosen, _ = QFileDialog.getSaveFileName(self, title, f"{self._stem}{suffix}", kind)
        if not chosen:
            return
        target = with_suffix(chosen, suffix)
        overwrite = target == Path(chosen)  # the file dialog has asked about that one, and no other
        small = self.small.isChecked() and form == "onnx"
        beside = target.with_name(f"{target.stem}.int8{suffix}")
        if small and overwrite and beside.exists() and not self._may_replace(beside.name):
            return
        self._wanted = {"run": self._run, "target": str(target), "form": form, "small": small, "overwrite": overwrite}
        self._start()

    def _may_replace(self, name: str) -> bool:
        box = QMessageBox(QMessageBox.Icon.Question, "Take away", "", QMessageBox.StandardButton.Cancel, self)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(f"{name} is there already, with 8-bit weights. Replace it too?")
        replace = box.addButton("Replace", QMessageBox.ButtonRole.AcceptRole)
        box.exec()
        return box.clickedButton() is replace

    def _start(self, *, force: bool = False) -> None:
        self._answered = False
        self.result_part.hide()
        self.under_way.begin()
        self._busy(True)
        self._child.start(self._given | {"wanted": self._wanted | {"force": force}})

    def reject(self) -> None:
        """Close; what is under way is given up first."""
        if self.ended:
            super().reject()
        else:
            self.under_way.give_up()
            self.hide()

    def _busy(self, busy: bool) -> None:
        for widget in (self.form, self.choose):
            widget.setEnabled(not busy)
        self.small.setEnabled(not busy and self.form.currentData() == "onnx")

    # Hearing

    def _hear(self, news: dict[str, Any]) -> None:
        match news:
            case {"step": str(text)}:
                self.under_way.show_step(text)
            case {"taken": dict(taken)}:
                self._show(Taken.from_json(json.dumps(taken)))
            case {"otherwise": str(text)}:
                self._say(text, keep=True)
            case {"error": str(text)}:
                self._say(text)

    def _show(self, taken: Taken) -> None:
        self.taken = taken
        self._say(taken.words(), "\n".join(taken.notes), figures=True)
        self.table.setRowCount(len(taken.lines))
        for row, line in enumerate(taken.lines):
            for column, text in enumerate(line.cells()):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
        self.script.setPlainText(taken.script)

    def _say(self, words: str, notes: str = "", *, keep: bool = False, figures: bool = False) -> None:
        self._answered = True
        self.words.setText(sentence(words))
        self.notes.setText(notes)
        self.notes.setVisible(bool(notes))
        self.keep.setVisible(keep)
        self.figures.setVisible(figures)
        self.result_part.show()

    def _over(self, why: str) -> None:
        if not self._answered:
            self._say("cancelled; nothing was written" if self._child.given_up else f"nothing was written: {why}")
        self.under_way.hide()
        self._busy(False)
