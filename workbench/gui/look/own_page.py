"""A person's own pictures: dropped, or chosen as files or a folder, predicted into a table that can be saved as CSV."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QModelIndex, QSortFilterProxyModel, Qt, QTimer, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from sqlite_utils import Database

from workbench.errors import CannotWrite
from workbench.gui.exchange import named
from workbench.gui.forms import label
from workbench.gui.look.images_page import LookWork
from workbench.gui.look.opinions import Opinions
from workbench.gui.look.own_table import SORTED_BY, OwnTable, readable
from workbench.gui.run_feed import AskHistory
from workbench.gui.setup.pictures import to_pixmap
from workbench.gui.specialists.subsets_page import scaled
from workbench.history.csv_out import write_csv
from workbench.questions.look import Models
from workbench.questions.own_pictures import OwnPictures
from workbench.words import duration, sentence

FETCH_MILLISECONDS = 80
SIDE = 96
PATTERNS = "Pictures (*.png *.jpg *.jpeg *.bmp *.gif *.webp *.tif *.tiff *.ppm *.pgm);;All files (*)"
HINT = (
    "Drop image files or folders here, or choose them above.\n\nEach is scaled to the size of the data set's images and "
    "predicted by all models of the experiment. The pictures are kept nowhere."
)


class OwnPage(QWidget):
    """``slow`` predicts all pictures, ``quick`` the one that is looked at; files are written by the history's thread."""

    told = Signal(str)

    def __init__(self, quick: LookWork, slow: LookWork, ask_history: AskHistory) -> None:
        super().__init__()
        self._quick, self._slow, self._ask_history = quick, slow, ask_history
        self._models: Models | None = None
        self._named: tuple[Path, ...] = ()
        self._pictures: OwnPictures | None = None
        self._under_way = False
        self._temperature = 4.0
        self._logits: np.ndarray | None = None
        self._begun = 0.0
        self.setAcceptDrops(True)
        self.files, self.folder = QPushButton("Choose files…"), QPushButton("Choose a folder…")
        self.invert = QCheckBox("Dark on light")
        self.invert.setToolTip(
            "The pictures are dark on light, as on paper, and the data set's are light on dark: turn them round."
        )
        self.save, self.cancel = QPushButton("Save as CSV…"), QPushButton("Cancel")
        self.save.setToolTip("Write the table into a file, with whole paths. No cell of it can be run as a formula.")
        self.cancel.setToolTip("Stop; what is predicted so far stays.")
        self.progress, self.state = QProgressBar(), label("", "faint", wrap=True)
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(8)
        self.table = OwnTable()
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.table)
        self._sorted.setSortRole(SORTED_BY)
        self.view = self._view()
        self.image, self.sentence = label(), label("", "faint", wrap=True)
        self.image.setFixedSize(SIDE, SIDE)
        self.image.setAccessibleName("The picture as the models see it")
        self.opinions = Opinions()
        self._lay_out()
        self._fetching = QTimer(self)
        self._fetching.setInterval(FETCH_MILLISECONDS)
        self._fetching.timeout.connect(self._fetch)
        self.files.clicked.connect(self._choose_files)
        self.folder.clicked.connect(self._choose_folder)
        self.invert.toggled.connect(lambda _: self.predict(self._named))
        self.cancel.clicked.connect(self.stop)
        self.save.clicked.connect(self._choose_target)
        self.clear("")

    def _view(self) -> QTableView:
        view = QTableView()
        view.setModel(self._sorted)
        view.setAccessibleName("Predictions of own pictures")
        view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        view.setTabKeyNavigation(False)
        view.setSortingEnabled(True)
        view.setWordWrap(False)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(view.fontMetrics().height() + 8)
        header = view.horizontalHeader()
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setStretchLastSection(True)
        header.setToolTip("Press to sort by a column; a third time for the order in which the files were named.")
        view.selectionModel().currentRowChanged.connect(lambda index, _: self._look_at(index))
        return view

    def _lay_out(self) -> None:
        top, below = QHBoxLayout(), QHBoxLayout()
        for widget in (self.files, self.folder, self.invert):
            top.addWidget(widget)
        top.addStretch(1)
        top.addWidget(self.save)
        below.addWidget(self.state, 1)
        below.addWidget(self.progress)
        below.addWidget(self.cancel)
        self.progress.setFixedWidth(220)
        beside = QWidget()
        column = QVBoxLayout(beside)
        column.setContentsMargins(8, 0, 0, 0)
        row = QHBoxLayout()
        row.addWidget(self.image, 0, Qt.AlignmentFlag.AlignTop)
        row.addSpacing(8)
        self.sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.sentence, 1)
        column.addLayout(row)
        column.addWidget(self.opinions, 1)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("look-own")
        self.splitter.setChildrenCollapsible(False)
        self.splitter.addWidget(self.view)
        self.splitter.addWidget(beside)
        self.splitter.setSizes([780, 450])
        self.splitter.setStretchFactor(0, 1)
        self.hint = label(HINT, "faint", wrap=True)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.hint)
        self.pages.addWidget(self.splitter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.pages, 1)
        layout.addLayout(below)

    # Who predicts

    def show_models(self, models: Models) -> None:
        """Predict by these from now on."""
        if models is self._models:
            return
        self.stop()
        self._models, self._pictures, self._named = models, None, ()
        there = bool(models.line_up.speakers)
        self.hint.setText(HINT if there else f"Nobody is here to be asked: {'; '.join(models.missing)}.")
        self.opinions.begin(models.line_up.parties, models.data.classes)
        self.table.begin(models.line_up, models.data.classes)
        self.pages.setCurrentIndex(0)
        self._look_at(QModelIndex())
        self._tell()

    def clear(self, words: str) -> None:
        """Nobody is there to predict, and why."""
        self.stop()
        self._models, self._pictures, self._named = None, None, ()
        self.hint.setText(words)
        self.pages.setCurrentIndex(0)
        self._tell()

    def set_temperature(self, temperature: float) -> None:
        """Show the opinions of the picture chosen at another T; the table is at T = 1."""
        self._temperature = temperature
        self._show_opinions()

    def set_logarithmic(self, on: bool) -> None:
        """Show bars by logarithms."""
        self.opinions.set_logarithmic(on)

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.opinions.dress()

    def stop(self) -> None:
        """Give up what is under way; what is predicted so far stays."""
        if self._pictures is not None:
            self._pictures.cancel()

    def forget(self) -> None:
        """Expect no answer any more."""
        self.stop()
        self._fetching.stop()
        self._under_way = False
        self.clear("")

    # Which pictures

    def _choose_files(self) -> None:
        chosen, _ = QFileDialog.getOpenFileNames(self, "Choose pictures", "", PATTERNS)
        self.predict([Path(name) for name in chosen])

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Choose a folder of pictures")
        self.predict([Path(chosen)] if chosen else [])

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files of this machine."""
        if self._ready and any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Predict what was dropped."""
        event.acceptProposedAction()
        self.predict([Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()])

    @property
    def _ready(self) -> bool:
        return self._models is not None and bool(self._models.line_up.speakers) and not self._under_way

    def predict(self, named: Sequence[Path]) -> None:
        """Predict these files, and the pictures at any depth below these folders."""
        models = self._models
        if not named or models is None or not self._ready:
            return
        pictures = OwnPictures(named, models, invert=self.invert.isChecked())
        self._pictures, self._under_way, self._named = pictures, True, tuple(named)
        self.view.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.table.begin(models.line_up, models.data.classes)
        self._look_at(QModelIndex())
        self.pages.setCurrentIndex(1)
        self._fit_columns()
        self._begun = time.monotonic()

        def over(error: Exception | None = None) -> None:
            self._under_way = False
            self._fetching.stop()
            self._fetch()
            self._tell()
            if error is not None:
                words = str(error)
                self.hint.setText(f"{sentence(words)}\n\n{HINT}")
                self.pages.setCurrentIndex(0)

        self._slow("own pictures", pictures.work, lambda _: over(), over)
        self._fetching.start()
        self._tell()

    def _fetch(self) -> None:
        """Show what has come meanwhile."""
        pictures = self._pictures
        if pictures is None:
            return
        first = not self.table.paths
        for batch in pictures.take():
            self.table.append(batch)
        if first and self.table.paths:
            self._fit_columns()
            if not self.view.currentIndex().isValid():
                self.view.selectRow(0)
        self._tell()

    def _fit_columns(self) -> None:
        self.view.resizeColumnsToContents()
        self.view.setColumnWidth(0, max(150, min(260, self.view.columnWidth(0))))

    def _tell(self) -> None:
        """Say how far it is, and offer what can be done."""
        there, total = len(self.table.paths), self._pictures.total if self._pictures else None
        self.progress.setVisible(self._under_way)
        self.cancel.setVisible(self._under_way)
        self.save.setEnabled(bool(there) and not self._under_way)
        for widget in (self.files, self.folder, self.invert):
            widget.setEnabled(self._ready)
        if self._under_way:
            self.progress.setRange(0, total or 0)
            self.progress.setValue(there)
            self.state.setText(_progress(there, total, time.monotonic() - self._begun))
            return
        words = []
        if there:
            words.append(f"{there:,} picture{'s' * (there != 1)}")
            stopped = self._pictures is not None and self._pictures.cancelled and total is not None and there < total
            words += [f"stopped before the other {total - there:,}"] if stopped and total is not None else []
            words += [f"{self.table.unread:,} could not be read"] if self.table.unread else []
            words += [f"student and teacher differ on {self.table.differing:,}"] if self.table.differing else []
        self.state.setText("; ".join(words) + ("; the table is at T = 1." if words else ""))

    # The one that is looked at

    def _look_at(self, index: QModelIndex) -> None:
        models, pictures = self._models, self._pictures
        self._logits = None
        if models is None or pictures is None or not index.isValid():
            self.image.clear()
            self.sentence.setText("")
            self.opinions.clear()
            return
        path = self.table.paths[self._sorted.mapToSource(index).row()]

        def answered(found: tuple[np.ndarray | None, np.ndarray, str]) -> None:
            image, self._logits, remark = found
            self.sentence.setText(f"{readable(path.name)}\n{remark}")
            if image is None:
                self.image.clear()
                self.opinions.clear()
                return
            self.image.setPixmap(scaled(to_pixmap(image), SIDE))
            self._show_opinions()

        self._quick("own picture", lambda: pictures.look_at(path), answered, None)

    def _show_opinions(self) -> None:
        if self._models is not None and self._logits is not None and self._logits.size:
            self.opinions.show_opinions(self._models.line_up.at(self._logits, self._temperature), None)

    # CSV

    def _choose_target(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the predictions", "predictions.csv", "CSV (*.csv)")
        if chosen:
            try:
                self.write(named(chosen, ".csv"))
            except CannotWrite as error:
                self.told.emit(f"{error}.")

    def write(self, target: Path) -> None:
        """Write the table into a file, whole or not at all."""
        titles, rows = self.table.file_titles(), self.table.rows()

        def written(_: Database) -> None:
            write_csv(target, titles, rows)

        self._ask_history(("own csv", str(target)), written, lambda _: self.told.emit(f"Saved as {target}."))


def _progress(done: int, total: int | None, seconds: float) -> str:
    if total is None:
        return "Looking for pictures…"
    left = f", about {duration(seconds / done * (total - done))} left" if done and seconds > 1 else ""
    return f"{done:,} of {total:,}{left}"
