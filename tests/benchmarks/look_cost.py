"""How soon the Look screen paints its answer to the slider and to the pen beside a training, and what the training keeps.

    xvfb-run -a uv run python tests/benchmarks/look_cost.py [--rounds 3] [--seconds 20] [--json]

An ensemble of five and its student are looked at while the window trains a 2×300 student of digits, on one torch thread. A
made person moves the slider, then the pen, 30 times a second for as long each. The answer to a move counts as painted when
the paint event after it is over in which the bars show that temperature, or predictions of a drawing that had that move in
it. Rates of the training are those the history records: in turn with a person who does nothing, and their ratio is taken
pair by pair. How many cores others kept busy meanwhile is printed too. Without a display Qt's offscreen platform is used.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import Elsewhere

MOVES_A_SECOND = 30
TARGET_MILLISECONDS = 33


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


def trained_meanwhile(seconds: float) -> Any:
    """One whose student trains for about so long."""
    from workbench.config import ExperimentConfig

    return ExperimentConfig.from_dict(
        {
            "name": "meanwhile",
            "teachers": [{"model": "mlp", "units": 32, "count": 1}],
            "teacher_training": {"epochs": 1},
            "student": {"model": "mlp", "units": 300},
            "distillation": {"baseline": False},
            "training": {"epochs": max(1, int(seconds * 16))},
        }
    )


def person(history: Path, seconds: float, *, moves: bool) -> dict[str, Any]:
    """Train with the Look screen in front, which somebody uses or leaves alone."""
    from PySide6.QtCore import QPoint, Qt, QTimer
    from PySide6.QtTest import QTest

    from workbench.events import ExperimentFinished, RunStarted
    from workbench.gui import theme
    from workbench.gui.app import SWITCH_SECONDS, application, pin_garbage_collector
    from workbench.gui.look.opinions import OpinionBars
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
    waits: dict[str, list[float]] = {"slider": [], "pen": []}
    asked: dict[str, float] = {}
    drawn = {"asked": 0, "sent": 0, "shown": 0}
    number = [0]
    paint = OpinionBars.paintEvent

    def painted(bars: OpinionBars, event: Any) -> None:
        paint(bars, event)
        now = time.perf_counter()
        if bars is screen.images.opinions.bars and "slider" in asked:
            waits["slider"].append(1000 * (now - asked.pop("slider")))
        elif bars is screen.drawing.opinions.bars and drawn["shown"] >= drawn["asked"] and "pen" in asked:
            waits["pen"].append(1000 * (now - asked.pop("pen")))

    OpinionBars.paintEvent = painted  # type: ignore[method-assign]
    ask, show = screen.drawing._work, screen.drawing._show

    def watched(topic: Any, work: Any, answered: Any, failed: Any) -> None:
        """Which move a prediction has in it."""
        sent = drawn["asked"]

        def came(found: Any) -> None:
            drawn["shown"] = sent
            answered(found)

        ask(topic, work, came, failed)

    screen.drawing._work = watched
    assert show is not None

    def move() -> None:
        """One move, unless the answer to the one before is still to come, which then counts for both."""
        number[0] += 1
        on_slider = number[0] <= seconds * MOVES_A_SECOND / 2
        page = screen.images if on_slider else screen.drawing
        if screen.tabs.currentWidget() is not page:
            screen.tabs.setCurrentWidget(page)
            asked.clear()
        if on_slider:
            asked.setdefault("slider", time.perf_counter())
            screen.temperature.slider.setValue(230 + int(200 * math.sin(number[0] / 9)))
            return
        canvas = screen.drawing.canvas
        turn = number[0] / 11
        place = QPoint(112 + int(70 * math.cos(turn)), 112 + int(80 * math.sin(1.3 * turn)))
        if number[0] % 90 == 0 or canvas.empty:
            canvas.clear()
            QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=place)
        drawn["asked"] += 1
        asked.setdefault("pen", time.perf_counter())
        QTest.mouseMove(canvas, place)

    timer = QTimer(timerType=Qt.TimerType.PreciseTimer, interval=1000 // MOVES_A_SECOND)
    timer.timeout.connect(move)
    ready = QTimer(interval=50)

    def launch_second() -> None:
        if screen.looked is not None:
            ready.stop()
            window.executor.submit(trained_meanwhile(seconds))

    ready.timeout.connect(launch_second)
    busy = [Elsewhere()]

    def follow(news: object) -> None:
        if isinstance(news, RunStarted) and news.role == "student" and news.experiment == 2:
            busy[0] = Elsewhere()
            if moves:
                timer.start()
        elif isinstance(news, ExperimentFinished):
            if news.experiment == 1:
                window.tabs.setCurrentWidget(screen)
                ready.start()
            else:
                timer.stop()
                window.close()

    window.feed.news.connect(follow)
    window.closed.connect(app.quit)
    app.setQuitOnLastWindowClosed(False)
    window.start_threads()
    window.executor.submit(looked_at())
    app.exec()
    return {"waits": waits, "rate": student_rate(history), "elsewhere": busy[0].cores()}


def student_rate(history: Path) -> float:
    """Samples a second of the second experiment's student, as recorded."""
    from workbench.history.database import open_for_reading
    from workbench.history.reading import experiment_rows

    database = open_for_reading(history)
    rate = next(row.samples_per_second for row in experiment_rows(database, 2) if row.role == "student")
    database.close()
    return float(rate or 0)


def child(seconds: float, *, moves: bool) -> dict[str, Any]:
    """One side in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.benchmarks.look_cost", "--child", "moves" if moves else "rests"]
        command += ["--seconds", str(seconds), "--history", f"{folder}/h.db"]
        own = os.environ | {"XDG_CONFIG_HOME": folder}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=own)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def percentile(values: list[float], share: int) -> float:
    """A percentile of measured values."""
    return sorted(values)[min(len(values) - 1, share * len(values) // 100)]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", choices=("moves", "rests"))
    parser.add_argument("--history", type=Path)
    arguments = parser.parse_args()
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if arguments.child:
        print(json.dumps(person(arguments.history, arguments.seconds, moves=arguments.child == "moves")))
        return
    pairs = [(child(arguments.seconds, moves=False), child(arguments.seconds, moves=True)) for _ in range(arguments.rounds)]
    kept = [used["rate"] / alone["rate"] for alone, used in pairs]
    if arguments.json:
        print(json.dumps(pairs))
        return
    for what in ("slider", "pen"):
        waits = [wait for _, used in pairs for wait in used["waits"][what]]
        shares = ", ".join(f"p{share} {percentile(waits, share):.1f} ms" for share in (50, 95, 99))
        verdict = "within" if percentile(waits, 95) <= TARGET_MILLISECONDS else "above"
        print(f"{what} to painted answer, {len(waits):,} moves: {shares}; p95 {verdict} {TARGET_MILLISECONDS} ms")
    rates = ", ".join(f"{alone['rate']:,.0f} and {used['rate']:,.0f}" for alone, used in pairs)
    print(f"training keeps {statistics.median(kept):.3f} of its rate (left alone and used, samples/s: {rates})")
    others = [side["elsewhere"] for pair in pairs for side in pair]
    print(f"others kept {min(others):.1f} to {max(others):.1f} cores busy meanwhile")


if __name__ == "__main__":
    main()
