"""Pick a test image, or draw one, and see who was asked and what everybody said."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from workbench.gui.forms import label, plain_tooltip
from workbench.gui.setup.pictures import to_pixmap
from workbench.gui.specialists.canvas import Canvas
from workbench.gui.specialists.subsets_page import scaled
from workbench.gui.specialists.verdict import VerdictPanel
from workbench.questions.specialists import FILTERS, Gallery, Verdict

SIDE = 44


class ImagesPage(QWidget):
    """Emits ``gallery_wanted`` (filter, start), ``verdict_wanted`` (case) and ``drawing_wanted`` (uint8 pixels); whoever takes
    them shows what comes back."""

    gallery_wanted = Signal(str, int)
    verdict_wanted = Signal(int)
    drawing_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.filter = QComboBox()
        self.filter.setAccessibleName("Which images")
        self.filter.setToolTip("Which test images are shown; how many there are stands behind each choice.")
        for name, words in FILTERS.items():
            self.filter.addItem(words, name)
        self.filter.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.filter.activated.connect(lambda _: self.begin())
        self.images = QListWidget()
        self.images.setAccessibleName("Test images")
        self.images.setViewMode(QListWidget.ViewMode.IconMode)
        self.images.setMovement(QListWidget.Movement.Static)
        self.images.setResizeMode(QListWidget.ResizeMode.Adjust)
        self.images.setIconSize(QSize(SIDE, SIDE))
        self.images.setGridSize(QSize(SIDE + 26, SIDE + 24))
        self.images.setUniformItemSizes(True)
        self.images.setToolTip("Each with its right class: ✓ where generalist and specialists together find it, ✗ where not.")
        self.images.currentItemChanged.connect(self._chosen)
        self.state = label("", "faint", wrap=True)
        self.more = QPushButton("More images")
        self.more.clicked.connect(lambda: self.gallery_wanted.emit(self.filter.currentData(), self.images.count()))
        self.panel = VerdictPanel()
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 6, 0, 0)
        row = QHBoxLayout()
        row.addWidget(label("Show"))
        row.addWidget(self.filter, 1)
        column.addLayout(row)
        column.addWidget(self.images, 1)
        below = QHBoxLayout()
        below.addWidget(self.state, 1)
        below.addWidget(self.more)
        column.addLayout(below)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setObjectName("specialist-images")
        self.splitter.setChildrenCollapsible(False)
        self.sides = QTabWidget()
        self.sides.setDocumentMode(True)
        self.sides.addTab(left, "Test images")
        self.sides.addTab(self._drawing(), "Draw one")
        self.sides.currentChanged.connect(lambda _: self._turned())
        self.splitter.addWidget(self.sides)
        self.splitter.addWidget(self.panel)
        self.splitter.setSizes([330, 680])
        self.splitter.setStretchFactor(0, 0)
        self.splitter.setStretchFactor(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 2)
        layout.addWidget(self.splitter, 1)

    def _drawing(self) -> QWidget:
        self.canvas = Canvas()
        self.canvas.drawn.connect(lambda: self.drawing_wanted.emit(self.canvas.pixels()))
        self.anew = QPushButton("Begin anew")
        self.anew.clicked.connect(self._begin_anew)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 6, 0, 0)
        column.addWidget(self.canvas)
        column.addWidget(self.anew, 0, Qt.AlignmentFlag.AlignLeft)
        words = "Drawn white on black, made as small as the images of the data set. What is drawn is kept nowhere."
        column.addWidget(label(words, "faint", wrap=True))
        column.addStretch(1)
        return page

    def _begin_anew(self) -> None:
        self.canvas.clear()
        self.panel.clear("Draw something at the left.")

    def _turned(self) -> None:
        """Ask again for what is in front now."""
        if self.sides.currentIndex() == 0:
            self._chosen(self.images.currentItem())
        elif self.canvas.empty:
            self.panel.clear("Draw something at the left.")
        else:
            self.drawing_wanted.emit(self.canvas.pixels())

    def begin(self) -> None:
        """Ask for the images of the filter chosen, from the first on."""
        self.images.clear()
        self.more.hide()
        self.state.setText("Looking through the test images…")
        if self.sides.currentIndex() == 0:
            self.panel.clear("Choose an image at the left.")
        self.gallery_wanted.emit(self.filter.currentData(), 0)

    def show_gallery(self, gallery: Gallery) -> None:
        """Show images, or put more of them behind those that are shown."""
        if gallery.chosen != self.filter.currentData() or gallery.start != self.images.count():
            return
        for place, (name, words) in enumerate(FILTERS.items()):
            self.filter.setItemText(place, f"{words} ({gallery.counts[name]:,})")
        for at, case in enumerate(gallery.cases):
            right, alone, together = (names[at] for names in (gallery.labels, gallery.generalist, gallery.combined))
            caption = f"{'✓' if together == right else '✗'} {gallery.classes[right]}"
            item = QListWidgetItem(QIcon(scaled(to_pixmap(gallery.images[at]), SIDE)), caption)
            item.setData(Qt.ItemDataRole.UserRole, case)
            names = [gallery.classes[number] for number in (right, alone, together)]
            told = "Test image {}, {}: the generalist says {}, all together {}.".format(case, *names)
            item.setToolTip(plain_tooltip(told) or "")
            self.images.addItem(item)
        total, shown = gallery.counts[gallery.chosen], self.images.count()
        self.state.setText(f"{shown:,} of {total:,}" if total else "No test image is so.")
        self.more.setVisible(shown < total)
        if not gallery.start and shown:
            self.images.setCurrentRow(0)
        elif not shown and self.sides.currentIndex() == 0:
            self.panel.clear("No test image is so.")

    def show_verdict(self, verdict: Verdict) -> None:
        """Show what everybody said of the image chosen."""
        self.panel.show_verdict(verdict)

    def show_error(self, sentence: str) -> None:
        """Say why nothing can be shown."""
        self.state.setText("")
        self.panel.clear(sentence)

    def dress(self) -> None:
        """Take the colours of the theme."""
        for bars in self.panel.bars:
            bars.update()

    def _chosen(self, item: QListWidgetItem | None) -> None:
        if item is not None and self.sides.currentIndex() == 0:
            self.verdict_wanted.emit(int(item.data(Qt.ItemDataRole.UserRole)))
