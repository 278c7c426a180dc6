"""Pick a test image, or draw one, and see who was asked and what everybody said."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QListWidget, QListWidgetItem, QPushButton, QSplitter, QVBoxLayout, QWidget

from workbench.gui.forms import label
from workbench.gui.setup.pictures import to_pixmap
from workbench.gui.specialists.subsets_page import scaled
from workbench.gui.specialists.verdict import VerdictPanel
from workbench.specialist_questions import FILTERS, Gallery, Verdict

SIDE = 44


class ImagesPage(QWidget):
    """Emits ``gallery_wanted`` (filter, start) and ``verdict_wanted`` (case); whoever takes them shows what comes back."""

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
        column.setContentsMargins(0, 0, 0, 0)
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
        self.splitter.addWidget(left)
        self.splitter.addWidget(self.panel)
        self.splitter.setSizes([330, 680])
        self.splitter.setStretchFactor(0, 0)
        self.splitter.setStretchFactor(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 6, 4, 2)
        layout.addWidget(self.splitter, 1)

    def begin(self) -> None:
        """Ask for the images of the filter chosen, from the first on."""
        self.images.clear()
        self.more.hide()
        self.state.setText("Looking through the test images…")
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
            item.setToolTip(
                f"Test image {case}, {gallery.classes[right]}: the generalist says {gallery.classes[alone]}, "
                f"all together {gallery.classes[together]}."
            )
            self.images.addItem(item)
        total, shown = gallery.counts[gallery.chosen], self.images.count()
        self.state.setText(f"{shown:,} of {total:,}" if total else "No test image is so.")
        self.more.setVisible(shown < total)
        if not gallery.start and shown:
            self.images.setCurrentRow(0)
        elif not shown:
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
        if item is not None:
            self.verdict_wanted.emit(int(item.data(Qt.ItemDataRole.UserRole)))

    def _drawn(self, image: np.ndarray) -> None:
        self.drawing_wanted.emit(image)
