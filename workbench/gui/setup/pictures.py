"""Pictures painted by hand: a sheet of images, and one image's soft targets."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from workbench.gui import theme
from workbench.questions.images import SoftSamples, softmax_at
from workbench.words import SMALLEST, percent


def to_pixmap(image: np.ndarray) -> QPixmap:
    """A uint8 image (C, H, W) as a pixmap of its own size."""
    channels, height, width = image.shape
    if channels == 3:
        pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
        return QPixmap.fromImage(QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy())
    pixels = np.ascontiguousarray(image[0])
    return QPixmap.fromImage(QImage(pixels.data, width, height, width, QImage.Format.Format_Grayscale8).copy())


class ImageSheet(QWidget):
    """Images in rows, each with its class as a tooltip and beneath it."""

    def __init__(self) -> None:
        super().__init__()
        self._pixmaps: list[QPixmap] = []
        self._labels: tuple[str, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(92)
        self.setAccessibleName("Images of the data set")

    def show_images(self, images: np.ndarray, labels: tuple[str, ...]) -> None:
        """Show uint8 images (n, C, H, W)."""
        self._pixmaps = [to_pixmap(image) for image in images]
        self._labels = labels
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self._pixmaps = []
        self.update()

    def paintEvent(self, _: QPaintEvent) -> None:
        """Paint as many images as there is room for, in two rows."""
        painter = QPainter(self)
        side, gap, text = 32, 4, 13
        columns = max(1, self.width() // (side + gap))
        font = painter.font()
        font.setPointSizeF(7.5)
        painter.setFont(font)
        painter.setPen(QColor(theme.current().faint))
        for index, pixmap in enumerate(self._pixmaps[: 2 * columns]):
            row, column = divmod(index, columns)
            x, y = column * (side + gap), row * (side + text + 1)
            painter.drawPixmap(x, y, side, side, pixmap)
            name = painter.fontMetrics().elidedText(self._labels[index], Qt.TextElideMode.ElideRight, side + gap - 1)
            painter.drawText(QRectF(x, y + side, side + gap, text), Qt.AlignmentFlag.AlignLeft, name)
        painter.end()


class SoftTargetPicture(QWidget):
    """One real image and what its teachers think of every class at T; a click or an arrow key takes the next image."""

    def __init__(self) -> None:
        super().__init__()
        self._samples: SoftSamples | None = None
        self._chosen = 0
        self._temperature = 4.0
        self._mean = "arithmetic"
        self._pixmap = QPixmap()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Soft targets of one image")
        self.setToolTip("The soft targets of one validation image. Click, or press the arrow keys, for another image.")
        self.setMinimumHeight(150)

    @property
    def samples(self) -> SoftSamples | None:
        """What is shown, or None while no teacher is trained."""
        return self._samples

    def sizeHint(self) -> QSize:
        """Wide enough for ten bars."""
        return QSize(360, 170)

    def show_samples(self, samples: SoftSamples | None) -> None:
        """Show these images' soft targets; None says that no teacher is there yet."""
        self._samples = samples
        if samples is not None:
            self._chosen = min(self._chosen, len(samples.labels) - 1)
            self._pixmap = to_pixmap(samples.images[self._chosen])
        self.update()

    def set_temperature(self, temperature: float, mean: str) -> None:
        """Show the soft targets at another T."""
        if math.isfinite(temperature) and temperature > 0:
            self._temperature, self._mean = temperature, mean
            self.update()

    def probabilities(self) -> np.ndarray | None:
        """The soft targets shown, (classes,)."""
        if self._samples is None:
            return None
        return softmax_at(self._samples.logits[self._chosen], self._temperature, self._mean)

    def step(self, by: int) -> None:
        """Take another image."""
        if self._samples is not None:
            self._chosen = (self._chosen + by) % len(self._samples.labels)
            self._pixmap = to_pixmap(self._samples.images[self._chosen])
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """The next image; with the right button the one before."""
        self.step(-1 if event.button() == Qt.MouseButton.RightButton else 1)

    def keyPressEvent(self, event: object) -> None:
        """Left and right arrows go through the images."""
        key = event.key()  # type: ignore[attr-defined]
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.step(1 if key == Qt.Key.Key_Right else -1)
        else:
            super().keyPressEvent(event)  # type: ignore[arg-type]

    def paintEvent(self, _: QPaintEvent) -> None:
        """The image at the left, a bar for each class at the right."""
        painter = QPainter(self)
        colours = theme.current()
        painter.fillRect(self.rect(), QColor(colours.base))
        probabilities = self.probabilities()
        if self._samples is None or probabilities is None:
            painter.setPen(QColor(colours.faint))
            text = "The soft targets of a real image appear here\nas soon as a teacher is trained."
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, text)
        else:
            side = min(self.height() - 44, 110)
            painter.drawPixmap(8, 8, side, side, self._pixmap)
            self._paint_words(painter, side, probabilities)
            self._paint_bars(painter, side + 20, probabilities)
        painter.end()

    def _paint_words(self, painter: QPainter, side: int, probabilities: np.ndarray) -> None:
        assert self._samples is not None
        painter.setPen(QColor(theme.current().faint))
        bits = float(-(probabilities * np.log2(np.maximum(probabilities, 1e-30))).sum())
        name = self._samples.classes[self._samples.labels[self._chosen]]
        painter.drawText(QRectF(8, side + 10, 130, 32), Qt.AlignmentFlag.AlignLeft, f"truly {name}\n{bits:.2f} bits")

    def _paint_bars(self, painter: QPainter, left: int, probabilities: np.ndarray) -> None:
        assert self._samples is not None
        colours = theme.current()
        order = np.argsort(-probabilities)[:10]
        if len(probabilities) <= 10:
            order = np.arange(len(probabilities))
        height = max(10.0, (self.height() - 12) / len(order))
        truth = self._samples.labels[self._chosen]
        names = [self._samples.classes[number] for number in order]
        metrics = painter.fontMetrics()
        name_width = min(90, max(metrics.horizontalAdvance(name) for name in names) + 6)
        after = metrics.horizontalAdvance(SMALLEST)
        room = max(20, self.width() - left - name_width - after - 8)
        for row, (number, name) in enumerate(zip(order, names, strict=True)):
            y, share = 6 + row * height, float(probabilities[number])
            painter.setPen(QColor(colours.text))
            elided = metrics.elidedText(name, Qt.TextElideMode.ElideRight, name_width)
            painter.drawText(QRectF(left, y, name_width, height), Qt.AlignmentFlag.AlignVCenter, elided)
            bar = QRectF(left + name_width, y + 1.5, max(1.0, share * room), height - 3)
            painter.fillRect(bar, QColor(colours.curves[0] if number == truth else colours.curves[1]))
            painter.drawText(QRectF(bar.right() + 4, y, after, height), Qt.AlignmentFlag.AlignVCenter, percent(share))
