"""What the window costs the training it watches, how late its event loop gets, and how soon it is on the screen.

    xvfb-run -a uv run python tests/benchmarks/window_cost.py [--rounds 3] [--json]

The same run (a student of 2×300 on digits at T = 4, and one of 2×800 on Fashion-MNIST where it is installed) is
trained in a process without a window and in one whose Live screen shows it, in turn, at the same thread count; rates
are those the history records, and the ratio is taken pair by pair. Lateness is how much later than asked a 5 ms timer
of the window's thread comes, from the engine's first start to the end of the training. Without a display, Qt's
offscreen platform is used, which paints in memory. Of the starts the first is left out, in which Python compiles.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TIMER_MILLISECONDS = 5


def experiment(kind: str, seconds: float) -> Any:
    """One that trains its student for about ``seconds``."""
    from workbench.config import ExperimentConfig

    small = kind == "digits"
    return ExperimentConfig.from_dict(
        {
            "name": kind,
            "data": {"dataset": kind},
            "teachers": [{"model": "mlp", "units": 32, "count": 1}],
            "teacher_training": {"epochs": 1},
            "student": {"model": "mlp", "units": 300 if small else 800},
            "distillation": {"baseline": False},
            "training": {"epochs": max(1, int(seconds * (20 if small else 0.2)))},
        }
    )


def student_rate(history: Path) -> float:
    """Samples a second of the student, as recorded."""
    from workbench.history.database import open_for_reading
    from workbench.history.reading import list_runs

    database = open_for_reading(history)
    rate = next(row.samples_per_second for row in list_runs(database) if row.role == "student")
    database.close()
    return float(rate or 0)


def headless(kind: str, seconds: float, history: Path) -> dict[str, float]:
    """Train without a window."""
    from workbench.history.writing import History
    from workbench.running.driver import Control
    from workbench.running.engine import Engine, EngineSettings
    from workbench.running.experiment import run_experiment

    with History(history) as written:
        number = written.enqueue(experiment(kind, seconds))
        run_experiment(Engine(EngineSettings(device="cpu", threads=1)), written, number, Control(), lambda event: None)
    return {"rate": student_rate(history)}


def windowed(kind: str, seconds: float, history: Path) -> dict[str, float]:
    """Train with the window open on its Live screen."""
    watch(kind, seconds, history, timed=False)
    return {"rate": student_rate(history)}


def lateness(kind: str, seconds: float, history: Path) -> dict[str, float]:
    """The same, and how late the event loop gets: in a run of its own, since the timer takes time itself."""
    late = watch(kind, seconds, history, timed=True)
    return {"late_most": late[-1], **{f"late_p{share}": late[share * len(late) // 100] for share in (95, 99)}}


def watch(kind: str, seconds: float, history: Path, *, timed: bool) -> list[float]:
    """Train in the window; milliseconds by which a timer came late, sorted, where it was asked for."""
    from PySide6.QtCore import Qt, QTimer

    from workbench.events import ExperimentFinished, RunStarted
    from workbench.gui import launching, theme
    from workbench.gui.app import SWITCH_SECONDS, application, pin_garbage_collector
    from workbench.gui.main_window import MainWindow
    from workbench.gui.preferences import Preferences

    app = application()
    theme.apply("light")
    window = MainWindow(history, Preferences(threads=1, device="cpu"))
    window.resize(1280, 800)
    window.show()
    pin_garbage_collector(window)
    sys.setswitchinterval(SWITCH_SECONDS)
    late: list[float] = []
    timer = QTimer(timerType=Qt.TimerType.PreciseTimer, interval=TIMER_MILLISECONDS)
    last = [0.0]

    def tick() -> None:
        now = time.perf_counter()
        late.append(1000 * (now - last[0]) - TIMER_MILLISECONDS)
        last[0] = now

    def follow(news: object) -> None:
        if isinstance(news, RunStarted) and news.role == "student":
            last[0] = time.perf_counter()
            if timed:
                timer.start()
        elif isinstance(news, ExperimentFinished):
            timer.stop()
            window.close()

    timer.timeout.connect(tick)
    window.feed.news.connect(follow)
    window.closed.connect(app.quit)
    app.setQuitOnLastWindowClosed(False)
    window.start_threads()
    launching.launch(window, experiment(kind, seconds))
    app.exec()
    return sorted(late)


def on_screen(_kind: str, _seconds: float, history: Path) -> dict[str, float]:
    """Open the window as a person does; the moment it has been painted."""
    from PySide6.QtCore import QEvent, QObject, QTimer

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


Child = Callable[[str, float, Path], dict[str, float]]
CHILDREN: dict[str, Child] = {"headless": headless, "windowed": windowed, "lateness": lateness, "on_screen": on_screen}


def child(name: str, kind: str, seconds: float) -> dict[str, float]:
    """Run one side in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.time()
        command = [sys.executable, __file__, "--child", name, "--kind", kind]
        command += ["--seconds", str(seconds), "--history", f"{folder}/h.db"]
        own = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {"XDG_CONFIG_HOME": folder}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=own)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if "painted_at" in found:
        found = {"seconds": found["painted_at"] - started}
    return found


def measure(kind: str, rounds: int, seconds: float) -> dict[str, float]:
    """Both sides in turn; medians, and the median of the pairs' ratios."""
    pairs = [(child("headless", kind, seconds), child("windowed", kind, seconds)) for _ in range(rounds)]
    lates = [child("lateness", kind, seconds) for _ in range(rounds)]
    return {
        "headless": statistics.median(bare["rate"] for bare, _ in pairs),
        "windowed": statistics.median(shown["rate"] for _, shown in pairs),
        "kept": statistics.median(shown["rate"] / bare["rate"] for bare, shown in pairs),
        **{key: statistics.median(late[key] for late in lates) for key in ("late_p95", "late_p99", "late_most")},
    }


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", choices=CHILDREN)
    parser.add_argument("--kind", default="digits")
    parser.add_argument("--history", type=Path)
    arguments = parser.parse_args()
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if arguments.child:
        print(json.dumps(CHILDREN[arguments.child](arguments.kind, arguments.seconds, arguments.history)))
        return
    kinds = ["digits"] + (["fashion-mnist"] if Path("/usr/share/datasets/fashion-mnist").is_dir() else [])
    found = {kind: measure(kind, arguments.rounds, arguments.seconds) for kind in kinds}
    starts = [child("on_screen", "digits", 0)["seconds"] for _ in range(arguments.rounds + 1)][1:]
    if arguments.json:
        print(json.dumps({"training": found, "window_seconds": starts}))
        return
    for kind, of in found.items():
        print(f"{kind}: {of['headless']:,.0f} samples/s alone, {of['windowed']:,.0f} with the window: {of['kept']:.3f} kept")
        late = f"{of['late_p95']:.1f} ms (p95), {of['late_p99']:.1f} ms (p99), {of['late_most']:.0f} ms at most"
        print(f"  event loop late by {late}")
    middle = statistics.median(starts)
    print(f"window painted {middle:.2f} s after its process was started ({min(starts):.2f} to {max(starts):.2f})")


if __name__ == "__main__":
    main()
