"""How the window stands 10,000 runs with 10 million metric points: each figure beside what it may be at most.

    uv run python -m tests.benchmarks.big_history big.db
    xvfb-run -a -s "-screen 0 1280x800x24" uv run python -m tests.benchmarks.history_scale --history big.db [--rounds 3]

The window of 1280 × 800 works on a copy. Times are from the click, or the last letter typed, until what was asked for is
painted: the event loop's turn after the widget's paint event, by which Qt has handed the picture to the display. In a process
of its own each: the start, from the process' first instruction on; the uses, with the history's thread and without the
engine, so that torch is not there and the resident memory is the window's own; and a training (a student of 2×300 on digits)
beside a window in which nobody does anything and one that is used, a second after each use the next, in turn, at one
thread. A flush waits for the disk: what the commit takes of it is told too.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QEventLoop, QObject, QTimer
from PySide6.QtWidgets import QApplication, QWidget
from sqlite_utils import Database

from tests.benchmarks.machine import Elsewhere

PATIENCE_SECONDS = 60.0
FRAMES = 60
OVERLAID, EXPLORED = 50, 1000
FILTERS = (
    "student",
    "T >= 8",
    "student.units <= 300 and T >= 8 and accuracy > 0.9",
    'tag = "paper"',
    "loss < 0.1",
    "fashion",
    "role = student and val_accuracy > 0.95 and seed < 3",
    "not (data = digits) and errors > 500",
    "status = failed",
    "mixed ensemble",
)
ORDERS = ("val_accuracy", "test_errors", "T", "parameters", "date", "model")
GROUPS = ("seeds", "T", "model", "data")
PACE_SECONDS = 1.0
FRAME_SECONDS = 1 / 30


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure is called, its unit, and what it may be at most, or at least where ``least``."""

    title: str
    unit: str
    bound: float
    least: bool = False


LIMITS = {
    "start": Limit("window painted, from its process' start", "s", 1.5),
    "first rows": Limit("first rows, from the choice of the screen", "ms", 100),
    "filter": Limit("change of the filter, to the painted table", "ms", 100),
    "order": Limit("change of the order, to the painted table", "ms", 100),
    "group": Limit("group by a setting with means and intervals", "ms", 300),
    "overlay": Limit("overlay of 50 runs × 5,000 points", "ms", 300),
    "frames": Limit("frames of panning and zooming it", "a second", 30, least=True),
    "parallel": Limit("parallel coordinates of 1,000 runs", "ms", 500),
    "memory": Limit("memory of the window, without torch", "MB", 500),
    "flush": Limit("a training's flush while it is used, p99", "ms", 10),
    "own": Limit("of it, without the commit to the disk", "ms", 10),
    "kept": Limit("share of its rate that a training keeps", "", 0.9, least=True),
}


class Painted(QObject):
    """Tells when a widget has been painted in a state that was waited for."""

    def __init__(self, app: QApplication) -> None:
        super().__init__()
        self._app = app
        self._widget: QWidget | None = None
        self._there: Callable[[], bool] = bool
        self._at = 0.0
        app.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Watch for the paint event after which to stop."""
        if event.type() == QEvent.Type.Paint and watched is self._widget and not self._at and self._there():
            self._at = -1.0
            QTimer.singleShot(0, self._stamp)
        return False

    def _stamp(self) -> None:
        self._at = time.perf_counter()

    def after(self, act: Callable[[], None], widget: QWidget, there: Callable[[], bool]) -> float:
        """Milliseconds from an act until the widget has been painted with what is waited for."""
        self._widget, self._there, self._at = widget, there, 0.0
        start = time.perf_counter()
        act()
        while self._at <= 0:
            self._app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
            if time.perf_counter() - start > PATIENCE_SECONDS:
                raise SystemExit(f"{act} was not painted within {PATIENCE_SECONDS:g} s")
        self._widget = None
        return 1000 * (self._at - start)

    def settle(self, seconds: float = 0.3) -> None:
        """Let whatever is still under way come to its end."""
        end = time.perf_counter() + seconds
        QTimer.singleShot(round(1000 * seconds), lambda: None)
        while time.perf_counter() < end:
            self._app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)


class Person:
    """Does with the window what a person would, and tells how long each took."""

    def __init__(self, window: Any, painted: Painted) -> None:
        self.window, self.painted = window, painted
        self.table = window.history.table.viewport()

    def open_history(self) -> float:
        """Choose the screen of the history."""
        model = self.window.history.model
        return self.painted.after(
            lambda: self.window.tabs.setCurrentWidget(self.window.history), self.table, lambda: bool(model.lines)
        )

    def _listed(self, act: Callable[[], None]) -> float:
        """Change the list and wait until it is the one that was asked for."""
        screen = self.window.history
        return self.painted.after(act, self.table, lambda: screen.model.listing.question == screen.question())

    def filter(self, text: str) -> float:
        """Put a filter."""
        return self._listed(lambda: self.window.history.filter.setText(text))

    def order(self, name: str) -> float:
        """Click on a column's header."""
        table = self.window.history.table
        place = next(at for at, one in enumerate(table.lines.columns) if one.name == name)
        return self._listed(lambda: table.header_clicked.emit(place, False))

    def group(self, name: str) -> float:
        """Choose by what to group."""
        box = self.window.history.view.group

        def choose() -> None:
            box.setCurrentIndex(box.findData(name))
            box.activated.emit(box.currentIndex())

        return self._listed(choose)

    def overlay(self, runs: Sequence[int]) -> float:
        """Compare runs by their loss, from the history's screen."""
        screen = self.window.compare
        self.window.tabs.setCurrentWidget(self.window.history)
        self.painted.settle()

        def compare() -> None:
            screen.compare(list(runs))
            self.window.tabs.setCurrentWidget(screen)

        def there() -> bool:
            return set(screen.plot.line_keys()) == set(runs) and screen.metric_choice.currentData() == "loss"

        return self.painted.after(compare, screen.plot.plot.viewport(), there)

    def prefer_loss(self, run: int) -> None:
        """Choose the loss on the screen that compares, with a run that is not asked for later."""
        screen = self.window.compare
        screen.compare([run])
        self.window.tabs.setCurrentWidget(screen)
        self.painted.settle(1.0)
        screen.metric_choice.setCurrentIndex(screen.metric_choice.findData("loss"))
        self.painted.settle(1.0)

    def pan_and_zoom(self, pause: float = 0.0) -> float:
        """Frames a second while the plot is moved and zoomed, with a pause after each frame."""
        plot = self.window.compare.plot.plot
        view = plot.getViewBox()
        (left, right), start = view.viewRange()[0], time.perf_counter()
        for frame in range(FRAMES):
            wide = (right - left) * (0.3 + 0.5 * (frame % 20) / 20)
            begin = left + (right - left - wide) * frame / FRAMES
            view.setXRange(begin, begin + wide, padding=0)
            plot.viewport().repaint()
            if pause:
                self.painted.settle(pause)
        took = time.perf_counter() - start
        self.window.compare.plot.whole()
        return FRAMES / took

    def parallel(self, runs: Sequence[int]) -> float:
        """Explore runs in parallel coordinates."""
        screen = self.window.explore
        plot = screen.parallel.plot

        def explore() -> None:
            screen.tabs.setCurrentWidget(screen.parallel)
            screen.show_runs(runs)
            self.window.tabs.setCurrentWidget(screen)

        def there() -> bool:
            table = screen.parallel._table
            return screen.isVisible() and table is not None and set(table.runs) == set(runs) and bool(plot.lines.ready)

        return self.painted.after(explore, plot, there)


def opened(history: Path) -> tuple[QApplication, Any, Painted]:
    """A window as large as a small screen, its threads not started yet."""
    from workbench.gui import theme
    from workbench.gui.app import SWITCH_SECONDS, application, pin_garbage_collector
    from workbench.gui.main_window import MainWindow
    from workbench.gui.preferences import Preferences

    app = application()
    theme.apply("light")
    window = MainWindow(history, Preferences(threads=1, device="cpu"))
    window.resize(1280, 800)
    window.show()
    painted = Painted(app)
    pin_garbage_collector(window)
    sys.setswitchinterval(SWITCH_SECONDS)
    return app, window, painted


def numbers(history: Path) -> tuple[list[int], list[int]]:
    """The runs to be laid over each other, and twice those to be explored."""
    from workbench.history.database import open_for_reading

    with closing(open_for_reading(history)) as database:
        long = [row[0] for row in database.execute("SELECT run FROM tags WHERE tag = 'long' LIMIT ?", [OVERLAID]).fetchall()]
        sql = "SELECT id FROM runs WHERE role <> 'teacher' ORDER BY id LIMIT ?"
        return long, [row[0] for row in database.execute(sql, [2 * EXPLORED]).fetchall()]


def start(history: Path, _: argparse.Namespace) -> dict[str, Any]:
    """Open the window as a person does; when it was painted, and when the history's first rows were, chosen at once."""
    from workbench.gui import app as gui
    from workbench.gui.main_window import MainWindow

    painted: list[float] = []

    class Watch(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint and isinstance(watched, MainWindow) and not painted:
                painted.append(time.time())
                QTimer.singleShot(0, watched.close)
            return False

    watch = Watch()
    gui.application().installEventFilter(watch)
    gui.main(history)
    return {"painted_at": painted[0]}


def use(history: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Everything once a round, with the history's thread alone, which reads its list at the start as it always does."""
    importlib.import_module("scipy.special")  # as the window has done once the engine is there
    long, explored = numbers(history)
    _, window, painted = opened(history)
    window.history_thread.start()
    window.show_reference()
    person = Person(window, painted)
    painted.settle(1.0)
    found: dict[str, Any] = {name: [] for name in ("filter", "order", "group", "overlay", "frames", "parallel")}
    found["first rows"] = [person.open_history()]
    painted.settle(2.0)
    for turn in range(given.rounds):
        window.tabs.setCurrentWidget(window.history)
        painted.settle()
        for text in (*FILTERS, ""):
            found["filter"].append(person.filter(text))
            painted.settle()
        for name in ORDERS:
            found["order"].append(person.order(name))
            painted.settle()
        for name in GROUPS:
            found["group"].append(person.group(name))
            painted.settle()
        person.group("experiment")
        person.prefer_loss(explored[0])  # so that no curve is there yet
        found["overlay"].append(person.overlay(long))
        painted.settle(1.0)
        found["frames"].append(person.pan_and_zoom())
        found["parallel"].append(person.parallel(explored[turn : turn + EXPLORED]))
        painted.settle()
    found["memory"] = [resident()]
    assert "torch" not in sys.modules, "the window imported torch"
    print(json.dumps(found), flush=True)
    os._exit(0)  # the engine was never started, and so cannot be asked to end


def resident() -> float:
    """MB of memory that this process holds alone or, of what it shares, its part (PSS)."""
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    raise SystemExit("this system does not tell the memory of a process")


def train(history: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Train in the window, used or left alone; the student's rate and how long each flush took, in milliseconds."""
    from tests.benchmarks.window_cost import experiment, student_rate
    from workbench.events import EngineReady, ExperimentFinished, RunStarted
    from workbench.gui import launching
    from workbench.history.writing import History

    flushes: list[tuple[float, float]] = []
    commits = [0.0]
    execute, write = Database.execute, History.write_metrics

    def timed(self: Database, sql: str, *more: Any) -> Any:
        begun = time.perf_counter()
        found = execute(self, sql, *more)
        if sql == "COMMIT" and threading.current_thread().name == "engine":
            commits[0] = time.perf_counter() - begun
        return found

    def write_metrics(self: History, batch: Any) -> None:
        begun = time.perf_counter()
        write(self, batch)
        flushes.append((1000 * (time.perf_counter() - begun), 1000 * commits[0]))

    Database.execute, History.write_metrics = timed, write_metrics  # type: ignore[method-assign]
    long, explored = numbers(history)
    app, window, painted = opened(history)
    person = Person(window, painted)
    uses, state = endless(person, long, explored), {"student": False, "over": False}

    def follow(news: object) -> None:
        if isinstance(news, EngineReady):
            launching.launch(window, experiment("digits", given.seconds))
        elif isinstance(news, RunStarted) and news.role == "student":
            state["student"] = True
            flushes.clear()
            window.tabs.setCurrentWidget(window.history)
        elif isinstance(news, ExperimentFinished):
            state["over"] = True

    window.feed.news.connect(follow)
    window.start_threads()
    while not state["over"]:
        painted.settle(PACE_SECONDS)
        if given.used and state["student"] and not state["over"]:
            next(uses)
    window.closed.connect(app.quit)
    app.setQuitOnLastWindowClosed(False)
    QTimer.singleShot(0, window.end)
    app.exec()
    return {"rate": student_rate(history), "flushes": flushes}


def endless(person: Person, long: Sequence[int], explored: Sequence[int]) -> Iterator[float]:
    """One use after the other, without end."""
    person.prefer_loss(explored[0])
    while True:
        person.window.tabs.setCurrentWidget(person.window.history)
        for text in FILTERS[:4]:
            yield person.filter(text)
        yield person.filter("")
        for name in ORDERS[:2]:
            yield person.order(name)
        for name in GROUPS[:2]:
            yield person.group(name)
        yield person.group("experiment")
        yield person.overlay(explored[:OVERLAID])  # so that no curve of the long runs is there yet
        yield person.overlay(long)
        yield person.pan_and_zoom(FRAME_SECONDS)
        yield person.parallel(explored[:EXPLORED])
        yield person.parallel(explored[EXPLORED:])


CHILDREN: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {"start": start, "use": use, "train": train}


def child(name: str, history: Path, *more: str) -> dict[str, Any]:
    """Do one part in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.time()
        command = [sys.executable, "-m", "tests.benchmarks.history_scale", "--child", name, "--history", str(history), *more]
        own = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {"XDG_CONFIG_HOME": folder}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=own)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | ({"start": [found["painted_at"] - begun]} if "painted_at" in found else {})


def measure(history: Path, rounds: int, seconds: float) -> dict[str, list[float]]:
    """All figures; of the starts the first is left out, in which Python compiles."""
    found = {"start": [child("start", history)["start"][0] for _ in range(rounds + 1)][1:]}
    found |= child("use", history, "--rounds", str(rounds))
    child("train", history, "--seconds", "2")  # which makes the copy of the day
    shares, flushes = [], []
    for _ in range(rounds):
        alone = child("train", history, "--seconds", str(seconds))
        used = child("train", history, "--seconds", str(seconds), "--used")
        shares.append(used["rate"] / alone["rate"])
        flushes += used["flushes"]
    found |= {"kept": shares, "flush": [p99([whole for whole, _ in flushes])]}
    return found | {"own": [p99([whole - disk for whole, disk in flushes])]}


def p99(values: Sequence[float]) -> float:
    """What one in a hundred is above."""
    return statistics.quantiles(values, n=100)[98]


def report(found: dict[str, list[float]]) -> None:
    """The median of each figure, its range, and its limit."""
    print("| | median | range | limit | |")
    print("|---|---|---|---|---|")
    for name, limit in LIMITS.items():
        values = found[name]
        middle = statistics.median(values)
        kept = middle >= limit.bound if limit.least else middle <= limit.bound
        spread = f"{min(values):.3g} to {max(values):.3g}"
        bound = f"{'≥' if limit.least else '≤'} {limit.bound:g} {limit.unit}"
        print(f"| {limit.title} | {middle:.3g} {limit.unit} | {spread} | {bound} | {'' if kept else 'missed'} |")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="about how long the student trains")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", choices=CHILDREN)
    parser.add_argument("--used", action="store_true")
    given = parser.parse_args()
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if given.child:
        print(json.dumps(CHILDREN[given.child](given.history, given)))
        return
    elsewhere = Elsewhere()
    with tempfile.TemporaryDirectory(dir=given.history.parent) as folder:
        copy = Path(folder) / "experiments.db"
        shutil.copyfile(given.history, copy)
        found = measure(copy, given.rounds, given.seconds)
    if given.json:
        print(json.dumps(found))
    else:
        report(found)
        print(f"{elsewhere.cores():.1f} cores were busy, be it for this or for others")


if __name__ == "__main__":
    main()
