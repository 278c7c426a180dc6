"""All that is known of one run: its tags and note, which are typed here, its relatives, which are clicked, and the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QFormLayout, QLineEdit, QPlainTextEdit, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from workbench.analysis.bias import WAYS
from workbench.gui.forms import label, plain_tooltip
from workbench.history.changes import Marked
from workbench.history.family import Relative
from workbench.history.reading import RunDetails, RunRow

RUN_ROLE = Qt.ItemDataRole.UserRole


class DetailsPanel(QWidget):
    """Shows one run. ``follow_wanted`` gives the number of a relative; tags and the note are given once the typing is over."""

    follow_wanted = Signal(int)
    tags_wanted = Signal(int, tuple)
    note_wanted = Signal(int, str)

    def __init__(self) -> None:
        super().__init__()
        self.shown: tuple[RunDetails, Marked, tuple[Relative, ...]] | None = None
        self.tags = QLineEdit()
        self.tags.setPlaceholderText("paper, best so far…")
        self.tags.setToolTip("Tags, separated by commas; a filter finds them by tag = paper.")
        self.tags.setAccessibleName("Tags")
        self.tags.editingFinished.connect(self._tagged)
        self.note = QPlainTextEdit()
        self.note.setPlaceholderText("What is to be remembered of this run")
        self.note.setToolTip("A note in Markdown, kept and shown as it is typed; a filter finds its words.")
        self.note.setAccessibleName("Note")
        self.note.setTabChangesFocus(True)
        self.note.setFixedHeight(4 * self.note.fontMetrics().height())
        self.note.installEventFilter(self)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["Details", ""])
        self.tree.setAccessibleName("Details of the run")
        self.tree.setUniformRowHeights(True)
        self.tree.setIndentation(10)
        self.tree.itemActivated.connect(self._follow)
        self.tree.itemClicked.connect(self._follow)
        form = QFormLayout()
        form.addRow(label("Tags"), self.tags)
        form.addRow(label("Note"), self.note)
        self.hint = label("Select a run to look into it.", "faint")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.hint)
        layout.addWidget(self.tree, 1)
        self.clear()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A note is given when it loses the focus."""
        if watched is self.note and event.type() == QEvent.Type.FocusOut:
            self._noted()
        return super().eventFilter(watched, event)

    @property
    def run(self) -> int:
        """The run shown, 0 for none."""
        return self.shown[0].row.id if self.shown else 0

    def clear(self) -> None:
        """Show no run."""
        self.shown = None
        self.tree.clear()
        self.tags.clear()
        self.note.clear()
        self.tags.setEnabled(False)
        self.note.setEnabled(False)
        self.hint.show()

    def show_run(self, details: RunDetails, marked: Marked, relatives: tuple[Relative, ...]) -> None:
        """Show a run; what is being typed is left alone."""
        if self.shown == (details, marked, relatives):
            return
        same = self.run == details.row.id
        self.shown = (details, marked, relatives)
        self.hint.hide()
        for editor in (self.tags, self.note):
            editor.setEnabled(True)
        if not (same and self.tags.hasFocus()):
            self.tags.setText(", ".join(marked.tags))
        if not (same and self.note.hasFocus()):
            self.note.setPlainText(marked.note)
        self.tree.clear()
        for title, values in _sections(details, marked).items():
            if values:
                self._section(title, [(key, str(value), 0) for key, value in values.items()])
            if title.endswith(f"run {details.row.id}") and relatives:
                self._section("Family", [(one.how, _named(one), one.run) for one in relatives])
        self.tree.resizeColumnToContents(0)

    def _section(self, title: str, lines: list[tuple[str, str, int]]) -> None:
        section = QTreeWidgetItem([title])
        for key, value, run in lines:
            item = QTreeWidgetItem([key, value])
            item.setToolTip(1, plain_tooltip(f"{value}\nClick to go there." if run else value) or "")
            if run:
                item.setData(0, RUN_ROLE, run)
                item.setForeground(1, self.palette().link())
            section.addChild(item)
        self.tree.addTopLevelItem(section)
        section.setExpanded(title != "Environment")

    def _follow(self, item: QTreeWidgetItem) -> None:
        if run := item.data(0, RUN_ROLE):
            self.follow_wanted.emit(run)

    def _tagged(self) -> None:
        wanted = tuple(dict.fromkeys(tag.strip() for tag in self.tags.text().split(",") if tag.strip()))
        if self.shown and sorted(wanted) != sorted(self.shown[1].tags):
            self.shown = (self.shown[0], replace(self.shown[1], tags=wanted), self.shown[2])  # told once, whatever else ends it
            self.tags_wanted.emit(self.run, wanted)

    def _noted(self) -> None:
        if self.shown and self.note.toPlainText().strip() != self.shown[1].note:
            self.shown = (self.shown[0], replace(self.shown[1], note=self.note.toPlainText().strip()), self.shown[2])
            self.note_wanted.emit(self.run, self.note.toPlainText().strip())


def _named(one: Relative) -> str:
    return f"run {one.run}, {one.words}{', deleted' if one.binned else ''}"


def _sections(details: RunDetails, marked: Marked) -> dict[str, dict[str, Any]]:
    row = details.row
    return {
        f"{row.name}, run {row.id}": {
            "status": row.status, "message": row.message or "–", "experiment": f"{row.experiment_name} #{row.experiment}",
            "epochs": f"{row.epochs:g}", "steps": row.step, "training rate": _rate(row),
        },
        "Bias correction": {} if details.correction is None else {
            "classes": ", ".join(map(str, details.correction.classes)), "shift": f"{details.correction.shift:+.2f}",
            "chosen by": WAYS[details.correction.way],
        },
        "Notes of the workbench": {str(place): note for place, note in enumerate(details.notes, 1) if note != marked.note},
        "Figures": {name.replace("_", " "): f"{value:.6g}" for name, value in sorted(row.figures.items())},
        "Settings": details.settings,
        "Environment": details.environment,
        "Files": {kind: f"{path} ({size:,} bytes)" for kind, path, size in details.artefacts},
    }  # fmt: skip


def _rate(row: RunRow) -> str:
    return f"{row.samples_per_second:,.0f} samples/s" if row.samples_per_second else "–"
