"""Paints a drawing as a picture, in a process of its own, since a window would wait for it by half a second and more.

    python -m workbench.gui.rasterising TARGET DOTS_PER_INCH < drawing.svg

It prints a sentence where that does not come to its end, and then leaves what was there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

from workbench.errors import CannotWrite
from workbench.files import write_whole

SCREEN = 96
"""Dots per inch of a drawing."""
INCH = 0.0254


def picture(drawing: bytes, dots_per_inch: int) -> QImage:
    """An SVG drawing on white, with so many dots an inch."""
    renderer, factor = QSvgRenderer(QByteArray(drawing)), dots_per_inch / SCREEN
    room = renderer.viewBoxF()
    image = QImage(round(room.width() * factor), round(room.height() * factor), QImage.Format.Format_RGB32)
    image.fill(QColor("white"))
    painter = QPainter(image)
    renderer.render(painter)
    painter.end()
    image.setDotsPerMeterX(round(dots_per_inch / INCH))  # not before: text would be sized by it
    image.setDotsPerMeterY(round(dots_per_inch / INCH))
    return image


def encoded(image: QImage) -> bytes:
    """An image as a PNG file has it."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG", 80)  # type: ignore[call-overload]
    return bytes(buffer.data().data())


def main() -> None:
    """Entry point."""
    if sys.platform not in ("win32", "darwin"):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    application = QGuiApplication([])
    try:
        write_whole(Path(sys.argv[1]), encoded(picture(sys.stdin.buffer.read(), int(sys.argv[2]))))
    except CannotWrite as error:
        print(f"{error}.")
    del application


if __name__ == "__main__":
    main()
