"""Makes resources/screenshots: does the main job in the real window and takes a picture of every screen, light and dark.

    uv run python -m tests.screenshots [--out FOLDER] [--size 1280x800]

Run it under a display (``xvfb-run``) or with QT_QPA_PLATFORM=offscreen.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEventLoop, QPoint, QSettings, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from tests.gui.driving import entries
from workbench.gui import preferences, theme
from workbench.gui.app import application
from workbench.gui.main_window import MainWindow
from workbench.history.reference import begin_with_reference


def pump(milliseconds: int) -> None:
    """Let Qt work; unlike QTest.qWait an event loop lets the other threads have the interpreter."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait_until(true: Callable[[], bool], seconds: float = 120) -> None:
    """Let Qt work until something holds."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(true)
        pump(20)


def picture(window: MainWindow, out: Path, name: str) -> None:
    """Save what the window shows now."""
    QApplication.processEvents()
    pump(150)
    if not window.grab().save(str(out / f"{name}.png")):
        raise OSError(f"{out / name}.png cannot be written")


def do_main_job(window: MainWindow, out: Path, look: str) -> None:
    """Set up, launch, watch, find in the history, compare; a picture of each."""
    wait_until(window.setup.launch.isEnabled)
    if look == "light":
        QTest.mouseClick(window.setup.launch, Qt.MouseButton.LeftButton)
        wait_until(lambda: window.live.watched.running > 0)
        wait_until(lambda: any(row.role == "student" for row in entries(window)) or window.live.watched.finished)
        wait_until(lambda: window.live.watched.finished)
    window.tabs.setCurrentIndex(0)
    wait_until(lambda: window.setup.distillation.picture.samples is not None and window.setup.launch.isEnabled())
    picture(window, out, f"setup-{look}")
    window.tabs.setCurrentIndex(1)
    wait_until(lambda: look == "dark" or len(window.live.accuracy.line_keys()) > 0)
    pump(600)
    picture(window, out, f"live-{look}")
    window.tabs.setCurrentIndex(2)
    wait_until(lambda: bool(window.history.model.lines))
    listing = window.history.model.listing
    digits = next(group for group in listing.groups if group.head and group.head.name == "digits")
    runs = [entry.run for entry in listing.entries[digits.start : digits.stop]]
    window.history.select_runs(runs[-2:])
    pump(500)
    picture(window, out, f"history-{look}")
    QTest.mouseClick(window.history.buttons["compare"], Qt.MouseButton.LeftButton)
    wait_until(lambda: len(window.compare.plot.line_keys()) == 2)
    picture(window, out, f"compare-{look}")
    window.tabs.setCurrentWidget(window.report)
    wait_until(lambda: window.report.report is not None)
    window.report.show_experiment(next(one.experiment for one in window.report.choice.experiments if one.name == "digits"))
    wait_until(lambda: window.report.report is not None and bool(window.report.report.judged))
    picture(window, out, f"report-{look}")
    window.tabs.setCurrentWidget(window.sweeps)
    wait_until(lambda: window.sweeps.choice.count() > 0)
    names = [window.sweeps.choice.itemText(place) for place in range(window.sweeps.choice.count())]
    window.sweeps.choice.setCurrentIndex(next(i for i, name in enumerate(names) if name.startswith("temperature-by-width-short")))
    window.sweeps.reload()
    wait_until(lambda: len(window.sweeps.results) == 32)
    window.sweeps.against.setCurrentIndex(window.sweeps.against.findData("distillation.temperature"))
    window.sweeps.each.setCurrentIndex(window.sweeps.each.findData("student.units"))
    window.sweeps.each.activated.emit(0)
    picture(window, out, f"sweeps-{look}")
    window.tabs.setCurrentWidget(window.paper)
    wait_until(lambda: bool(window.paper.scores))
    picture(window, out, f"paper-{look}")
    explore(window, out, look)
    look_at_specialists(window, out, look)
    look_at_images(window, out, look)
    window.setup.show_recipe("digits")


def explore(window: MainWindow, out: Path, look: str) -> None:
    """Points, and lines through axes with a range on one of them."""
    screen = window.explore
    window.tabs.setCurrentWidget(screen)
    screen.tabs.setCurrentWidget(screen.scatter)
    wait_until(lambda: screen.scatter.plot.points() > 0)
    picture(window, out, f"explore-{look}")
    screen.tabs.setCurrentWidget(screen.parallel)
    plot = screen.parallel.plot
    wait_until(lambda: "test_accuracy" in plot.names)
    plot.clear_brushes()
    x = plot.axis_x(plot.names.index("test_accuracy"))
    start, end = (QPoint(int(x), int(plot.place_y(place))) for place in (0.88, 1.02))
    QTest.mousePress(plot, Qt.MouseButton.LeftButton, pos=start)
    QTest.mouseMove(plot, end)
    QTest.mouseRelease(plot, Qt.MouseButton.LeftButton, pos=end)
    wait_until(lambda: plot.lines.ready)
    picture(window, out, f"explore-axes-{look}")


def look_at_images(window: MainWindow, out: Path, look: str) -> None:
    """An image with much dark knowledge at a high temperature, the mean soft targets, and a digit that is drawn."""
    screen = window.look
    window.tabs.setCurrentWidget(screen)
    screen.tabs.setCurrentWidget(screen.images)
    wait_until(lambda: screen.looked is not None)
    number = next(one.experiment for one in screen.choice.experiments if one.name == "digits")
    screen.choice.chosen.emit(number)
    wait_until(lambda: screen.looked is not None and screen.looked.line_up.experiment == number)
    filters = screen.images.gallery.filter
    filters.setCurrentIndex(filters.findData("dark"))
    filters.activated.emit(filters.currentIndex())
    picture(window, out, f"look-{look}")
    screen.images.tabs.setCurrentIndex(1)
    wait_until(lambda: len(screen.images.means.matrix) > 0)
    picture(window, out, f"look-soft-targets-{look}")
    screen.images.tabs.setCurrentIndex(0)
    screen.tabs.setCurrentWidget(screen.drawing)
    canvas = screen.drawing.canvas
    canvas.clear()
    places = [QPoint(*place) for place in ((70, 60), (150, 60), (140, 95), (120, 140), (105, 195))]
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=places[0])
    for place in places[1:]:
        QTest.mouseMove(canvas, place)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=places[-1])
    wait_until(lambda: len(screen.drawing.opinions.said) > 0 and not screen.drawing.awaiting)
    picture(window, out, f"look-draw-{look}")


def look_at_specialists(window: MainWindow, out: Path, look: str) -> None:
    """Train a generalist and its specialists, once; a picture of the subsets, and of the opinions on an image."""
    screen = window.specialists
    if look == "light":
        window.setup.show_recipe("specialists-digits")
        wait_until(lambda: window.setup.launch.isEnabled() and "generalist" in window.setup.plan.text())
        window.tabs.setCurrentWidget(window.setup)
        picture(window, out, "setup-specialists-light")
        before = window.live.watched.experiment
        QTest.mouseClick(window.setup.launch, Qt.MouseButton.LeftButton)
        wait_until(lambda: window.live.watched.experiment > before and window.live.watched.finished)
    window.tabs.setCurrentWidget(screen)
    wait_until(lambda: screen.current is not None and screen.current.whole > 0 and screen.subsets.found is not None)
    screen.tabs.setCurrentIndex(0)
    picture(window, out, f"specialists-{look}")
    screen.tabs.setCurrentIndex(1)
    wait_until(lambda: screen.results.results is not None)
    picture(window, out, f"specialists-results-{look}")
    screen.tabs.setCurrentIndex(2)
    screen.images.filter.setCurrentIndex(screen.images.filter.findData("gained"))
    screen.images.begin()
    wait_until(lambda: screen.images.panel.verdict is not None)
    picture(window, out, f"specialists-image-{look}")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "resources" / "screenshots")
    parser.add_argument("--size", default="1280x800")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
        app = application()
        theme.apply("light")
        begin_with_reference(Path(folder) / "experiments.db")
        window = MainWindow(Path(folder) / "experiments.db", preferences.load())
        window.resize(width, height)
        window.show()
        window.start_threads()
        for look in ("light", "dark"):
            window.dress(look)
            do_main_job(window, arguments.out, look)
        window.closed.connect(app.quit)
        window.close()
        wait_until(lambda: not window.isVisible() and window._ended())


if __name__ == "__main__":
    main()
