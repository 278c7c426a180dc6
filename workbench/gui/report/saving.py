"""A report as a file that can be sent to somebody: HTML with its pictures in it, or PDF. Always in the light theme."""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import (
    QBuffer,
    QByteArray,
    QIODevice,
    QMarginsF,
    QObject,
    QPoint,
    QPointF,
    QRectF,
    QSizeF,
    QTimer,
    QUrl,
    Signal,
)
from PySide6.QtGui import QColor, QImage, QImageWriter, QPageLayout, QPageSize, QPainter, QPdfWriter, QRegion, QTextDocument
from PySide6.QtWidgets import QFileDialog, QWidget

from workbench.analysis.report import Latencies, Party, Report
from workbench.analysis.report_words import confusions
from workbench.errors import CannotWrite
from workbench.files import write_whole
from workbench.gui import theme
from workbench.gui.confusion import ConfusionMap
from workbench.gui.exchange import file_stem, named
from workbench.gui.report.page import SHARPNESS, page
from workbench.gui.report.plots import ClassBars, ReliabilityPlot
from workbench.gui.run_feed import AskHistory

PAGE = 980
"""Pixels that the page is wide."""
FORMS = "Web page (*.html);;PDF (*.pdf)"


class Saving(QObject):
    """Asks for a file and writes the report into it, the pictures one by one between the window's own events."""

    said = Signal(str)
    told = Signal(str)

    def __init__(self, window: QWidget, ask_history: AskHistory) -> None:
        super().__init__(window)
        self._window, self._ask = window, ask_history

    def ask(self, report: Report, latencies: Latencies | None) -> None:
        """Choose the file; one that is there is replaced only where the dialog has asked about that very name."""
        name = f"{file_stem(report.name, 'report')}-{report.experiment}.html"
        chosen, form = QFileDialog.getSaveFileName(self._window, "Save the report", name, FORMS)
        if not chosen:
            return
        endings = (".html", ".htm", ".pdf")
        try:
            path = named(chosen, *(reversed(endings) if "pdf" in form else endings))
        except CannotWrite as error:
            self.said.emit(f"{error}.")
            return
        self.write(path, report, latencies)

    def write(self, path: Path, report: Report, latencies: Latencies | None) -> None:
        """Make the file's content piece by piece, between the window's other events, and have the history's thread write it."""
        pieces = self._pieces(path, report, latencies)

        def step() -> None:
            if next(pieces, True) is None:
                QTimer.singleShot(0, self, step)

        step()

    def _pieces(self, path: Path, report: Report, latencies: Latencies | None) -> Iterator[None]:
        made: dict[str, QImage] = {}
        for name, make in _makers(report).items():
            with theme.worn(theme.LIGHT):
                made[name] = make()
            yield
        content = yield from (pdf_of if path.suffix.lower() == ".pdf" else html_of)(report, latencies, made)
        self._ask(
            ("save the report", str(path)), lambda _: write_whole(path, content), lambda _: self.told.emit(f"Saved as {path}.")
        )


# Pictures


def _makers(report: Report) -> dict[str, Callable[[], QImage]]:
    """What makes each picture of a report, by name; those of one kind with one widget, which is dear to make."""
    plot, shown, bars = ReliabilityPlot(height=260), ConfusionMap(), ClassBars(height=270)

    def reliability(party: Party) -> QImage:
        plot.show_parties([party])
        return _image(plot, PAGE // 3, 260)

    def confusion(matrix: np.ndarray, than: str) -> QImage:
        shown.show_matrix(matrix, report.classes, than)
        return _image(shown, PAGE // 2, PAGE // 2 + 20)

    def classes() -> QImage:
        bars.plot.resize(PAGE, 270)
        bars.show_parties(report.judged, report.classes)
        return _image(bars.plot, PAGE, 270)

    found: dict[str, Callable[[], QImage]] = {}
    found |= {f"reliability {party.key}": partial(reliability, party) for party in report.judged}
    found |= {f"confusion {name}": partial(confusion, *shown) for name, shown in confusions(report).items()}
    return found | ({"classes": classes} if report.judged else {})


def _image(widget: QWidget, width: int, height: int) -> QImage:
    """A widget that is on no screen, painted sharply."""
    widget.resize(width, height)
    image = QImage(width * SHARPNESS, height * SHARPNESS, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(SHARPNESS)
    image.fill(QColor(theme.current().base))
    painter = QPainter(image)
    QWidget.render(widget, painter, QPoint(), QRegion(), QWidget.RenderFlag.DrawChildren)  # a plot's own render is another
    painter.end()
    return image


# Files

Pieces = Generator[None, None, bytes]
"""Work that stops after each piece, and what comes of it in the end."""


def html_of(report: Report, latencies: Latencies | None, pictures: dict[str, QImage]) -> Pieces:
    """The report as one HTML file with its pictures in it."""
    sources = {}
    for name, image in pictures.items():
        sources[name] = f"data:image/png;base64,{base64.b64encode(_png(image)).decode()}"
        yield
    return page(report, latencies, pictures, sources.__getitem__).encode()


def pdf_of(report: Report, latencies: Latencies | None, pictures: dict[str, QImage]) -> Pieces:
    """The report as pages of A4."""
    document = QTextDocument()
    names = {name: f"picture-{at}" for at, name in enumerate(pictures)}
    for name, image in pictures.items():
        document.addResource(QTextDocument.ResourceType.ImageResource, QUrl(names[name]), image)
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    writer = QPdfWriter(buffer)
    writer.setTitle(report.name)
    a4, margins = QPageSize(QPageSize.PageSizeId.A4), QMarginsF(12, 12, 12, 12)
    writer.setPageLayout(QPageLayout(a4, QPageLayout.Orientation.Landscape, margins))
    writer.setResolution(96)
    room = QSizeF(writer.width(), writer.height())
    document.setDocumentMargin(0)
    document.setPageSize(room)
    document.setHtml(page(report, latencies, pictures, names.__getitem__))
    yield
    painter = QPainter(writer)
    for number in range(document.pageCount()):
        if number:
            writer.newPage()
            painter.translate(0, -room.height())
        document.drawContents(painter, QRectF(QPointF(0, number * room.height()), room))
        yield
    painter.end()
    buffer.close()
    return bytes(content.data())


def _png(image: QImage) -> bytes:
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(image)
    buffer.close()
    return bytes(content.data())
