"""How soon the Look screen paints its answer to the slider and to the pen beside a training, and what the training keeps.

    xvfb-run -a uv run python -m tests.benchmarks.look_cost [--seconds 60] [--json]

An ensemble of five and its student are looked at while the window trains a 2×300 student of digits on one torch thread. By
turns of two seconds a made person rests, moves the slider, rests, and moves the pen, 30 times a second. The answer to a move
counts as painted when the event loop goes on after the paint event in which the bars show that temperature, or the prediction of
a drawing that had that move in it. The training's rate while somebody moves is held against that of the rest before it, pair
by pair, since a machine that others use is never twice the same; and so is the rate without the time in which the training's
thread was ready and waited for a core (Linux tells it), which is nearer to what it keeps on two free ones. The lateness of a
5 ms timer while nobody moves is what the machine adds to every answer. Without a display Qt's offscreen platform is used.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import Elsewhere

MOVES_A_SECOND = 30
TARGET_MILLISECONDS = 33
TIMER_MILLISECONDS = 5
TURN_MILLISECONDS = 2000
TURNS = ("rest", "slider", "rest", "pen")


def looked_at() -> Any:
    """Five teachers of 2×300 and a student, trained in a moment."""
    from workbench.config import ExperimentConfig

    return ExperimentConfig.from_dict(
        {
            "name": "looked at",
            "teachers": [{"model": "mlp", "units": 300, "count": 5}],
            "teacher_training": {"epochs": 3},
            "student": {"model": "mlp", "units": 30},
            "training": {"epochs": 3},
        }
    )


def trained_meanwhile() -> Any:
    """One whose student trains until it is stopped."""
    from workbench.config import ExperimentConfig

    return ExperimentConfig.from_dict(
        {
            "name": "meanwhile",
            "teachers": [{"model": "mlp", "units": 32, "count": 1}],
            "teacher_training": {"epochs": 1},
            "student": {"model": "mlp", "units": 300},
            "distillation": {"baseline": False},
            "training": {"epochs": 100_000},
        }
    )


def person(history: Path, seconds: float) -> dict[str, Any]:
    """Train with the Look screen in front, which somebody uses by turns."""
    from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
    from PySide6.QtTest import QTest

    from workbench.events import ExperimentFinished, Progress, RunStarted
    from workbench.gui import theme
    from workbench.gui.app import SWITCH_SECONDS, application, pin_garbage_collector
    from workbench.gui.main_window import MainWindow
    from workbench.gui.preferences import Preferences

    app = application()
    theme.apply("light")
    window = MainWindow(history, Preferences(threads=1, device="cpu", reference=False))
    window.resize(1280, 800)
    window.show()
    pin_garbage_collector(window)
    sys.setswitchinterval(SWITCH_SECONDS)
    screen = window.look
    found: dict[str, list[float]] = {name: [] for name in ("slider", "pen", "late")}
    found |= {f"{what} kept{of}": [] for what in ("slider", "pen") for of in ("", " of a core")}
    asked: dict[str, float] = {}
    moved = {"asked": 0, "shown": 0}

    class Painted(QObject):
        """Hears of the bars' paint events, which are over when the event loop goes on."""

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint:
                kind = "slider" if watched is screen.images.opinions.viewport() else "pen"
                if kind in asked and (kind == "slider" or moved["shown"] >= moved["asked"]):
                    since = asked.pop(kind)
                    QTimer.singleShot(0, lambda: found[kind].append(1000 * (time.perf_counter() - since)))
            return False

    painted = Painted()
    for page in (screen.images, screen.drawing):
        page.opinions.viewport().installEventFilter(painted)
    ask = screen.drawing._work

    def watched(topic: Any, work: Any, answered: Any, failed: Any) -> None:
        """Which move a prediction has in it."""
        sent = moved["asked"]

        def came(answer: Any) -> None:
            moved["shown"] = sent
            answered(answer)

        ask(topic, work, came, failed)

    screen.drawing._work = watched
    turn, number, rested = [0], [0], list[float]()
    progress: list[tuple[float, float, int]] = []

    def next_turn() -> None:
        """The next of rest, slider, rest and pen, and what the training did in the one before."""
        before = TURNS[turn[0] % len(TURNS)]
        if len(progress) > 4:
            seconds, waited, steps = (last - first for first, last in zip(progress[0], progress[-1], strict=True))
            rates = [steps / seconds, steps / (seconds - waited)]
            if before == "rest":
                rested[:] = rates
            elif rested:
                found[f"{before} kept"].append(rates[0] / rested[0])
                found[f"{before} kept of a core"].append(rates[1] / rested[1])
        else:
            rested.clear()
        turn[0] += 1
        progress.clear()
        asked.clear()
        screen.tabs.setCurrentWidget(screen.images if TURNS[turn[0] % len(TURNS)] == "slider" else screen.drawing)
        screen.drawing.canvas.clear()

    def move() -> None:
        """One move, unless it is a turn to rest; where the answer to the one before is still to come, that counts for both."""
        kind = TURNS[turn[0] % len(TURNS)]
        number[0] += 1
        if kind == "slider":
            asked.setdefault("slider", time.perf_counter())
            screen.temperature.slider.setValue(230 + int(200 * math.sin(number[0] / 9)))
        elif kind == "pen":
            canvas, angle = screen.drawing.canvas, number[0] / 11
            place = QPoint(112 + int(70 * math.cos(angle)), 112 + int(80 * math.sin(1.3 * angle)))
            if canvas.empty:
                QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=place)
            moved["asked"] += 1
            asked.setdefault("pen", time.perf_counter())
            QTest.mouseMove(canvas, place)

    last = [0.0]

    def late() -> None:
        now = time.perf_counter()
        if TURNS[turn[0] % len(TURNS)] == "rest" and last[0]:
            found["late"].append(1000 * (now - last[0]) - TIMER_MILLISECONDS)
        last[0] = now

    def timer(milliseconds: int, tick: Any) -> QTimer:
        made = QTimer(timerType=Qt.TimerType.PreciseTimer, interval=milliseconds)
        made.timeout.connect(tick)
        return made

    timers = [timer(1000 // MOVES_A_SECOND, move), timer(TURN_MILLISECONDS, next_turn), timer(TIMER_MILLISECONDS, late)]
    ready = QTimer(interval=50)

    def go_on() -> None:
        if screen.looked is not None:
            ready.stop()
            window.executor.submit(trained_meanwhile())

    ready.timeout.connect(go_on)
    busy = [Elsewhere()]

    def follow(news: object) -> None:
        if isinstance(news, Progress):
            progress.append((time.perf_counter(), waited_for_a_core(), news.step))
        elif isinstance(news, RunStarted) and news.role == "student" and news.experiment == 2:
            busy[0] = Elsewhere()
            for one in timers:
                one.start()
            QTimer.singleShot(int(1000 * seconds), window.executor.stop)
        elif isinstance(news, ExperimentFinished):
            if news.experiment == 1:
                window.tabs.setCurrentWidget(screen)
                ready.start()
            else:
                for one in timers:
                    one.stop()
                window.close()

    window.feed.news.connect(follow)
    window.closed.connect(app.quit)
    app.setQuitOnLastWindowClosed(False)
    window.start_threads()
    window.executor.submit(looked_at())
    app.exec()
    return found | {"elsewhere": busy[0].cores()}


def waited_for_a_core() -> float:
    """Seconds that the training's thread was ready to go on and had no core so far; 0 where the system does not tell."""
    try:
        thread = next(one.native_id for one in threading.enumerate() if one.name == "engine")
        return int(Path(f"/proc/self/task/{thread}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, StopIteration):
        return 0.0


def percentile(values: list[float], share: int) -> float:
    """A percentile of measured values."""
    return sorted(values)[min(len(values) - 1, share * len(values) // 100)]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CONFIG_HOME"] = folder
        found = person(Path(folder) / "h.db", arguments.seconds)
    if arguments.json:
        print(json.dumps(found))
        return
    for what in ("slider", "pen"):
        shares = ", ".join(f"p{share} {percentile(found[what], share):.1f} ms" for share in (50, 95, 99))
        verdict = "within" if percentile(found[what], 95) <= TARGET_MILLISECONDS else "above"
        print(f"{what} to painted answer, {len(found[what]):,} moves: {shares}; p95 {verdict} {TARGET_MILLISECONDS} ms")
        kept = found[f"{what} kept"]
        for values, of in ((kept, "of its rate"), (found[f"{what} kept of a core"], "without the time it waited for a core")):
            middle = f"{percentile(values, 25):.2f} to {percentile(values, 75):.2f}"
            print(f"  a training keeps {statistics.median(values):.2f} {of} (the middle half of {len(values)} pairs: {middle})")
    late = ", ".join(f"p{share} {percentile(found['late'], share):.1f} ms" for share in (50, 95, 99))
    print(f"a timer of {TIMER_MILLISECONDS} ms came late while nobody moved: {late}")
    print(f"others kept {found['elsewhere']:.1f} cores busy meanwhile")


if __name__ == "__main__":
    main()
