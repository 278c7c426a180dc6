"""Processes that die, a disk that is full, many doors to one history, windows closed while a model trains."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.experiments import TINY, engine
from tests.faults.outcome import Outcome, alone, clear, eager, forked, fresh, go_on, look, seeded, small, weights
from workbench.events import Note
from workbench.history.database import files_folder, open_for_reading
from workbench.history.writing import History
from workbench.running.driver import Control
from workbench.running.experiment import run_experiment

ROOT = Path(__file__).parents[2]


def kills(count: int, folder: Path) -> Outcome:
    """kill −9 at random instants of training, checkpoints and commits; every tenth is resumed to its end."""
    eager()
    wanted = alone(folder, small())
    outcome, random = Outcome(), seeded(1)
    begun = time.perf_counter()
    alone(folder, small())
    longest = (time.perf_counter() - begun) * 1.3
    told = 0
    for number in range(count):
        path = fresh(folder, number)
        reading, writing = os.pipe()
        pid = forked(lambda path=path, writing=writing: _train_and_acknowledge(path, writing))
        os.close(writing)
        time.sleep(random.uniform(0, longest))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        acknowledged = read_all(reading)
        told += len(acknowledged)
        broken = look(path) + lost(path, acknowledged)
        if number % 10 == 0 and path.exists() and not broken and _has_experiment(path):
            status = go_on(path)
            if status != "done" or weights(path) != wanted:
                broken.append(f"resumed, it ended {status} or with other weights")
        outcome.broken += [f"{number}: {one}" for one in broken]
        outcome.done += 1
        clear(path)
    outcome.note = f"{told:,} acknowledged metrics"
    return outcome


def _has_experiment(path: Path) -> bool:
    with closing(open_for_reading(path)) as database:
        return bool(database.execute("SELECT count(*) FROM experiments").fetchone()[0])


def lost(path: Path, acknowledged: list[tuple[int, int]]) -> list[str]:
    """What of the acknowledged metrics, (run, step) each, is not in a history."""
    if not path.exists():
        return ["the history is gone"] if acknowledged else []
    with closing(open_for_reading(path)) as database:
        there = {tuple(row) for row in database.execute("SELECT run, step FROM points").fetchall()}
    gone = [one for one in acknowledged if one not in there]
    return [f"{len(gone)} acknowledged metrics are lost"] if gone else []


def acknowledge(pipe: int) -> None:
    """Have this process say of metrics, once they are committed, which they were."""
    write = History.write_metrics

    def acknowledged(self: History, batch: Any) -> None:
        batch = list(batch)
        write(self, batch)
        os.write(pipe, b"".join(struct.pack("<qq", metrics.run, metrics.step) for metrics in batch))

    History.write_metrics = acknowledged  # type: ignore[method-assign]


def _train_and_acknowledge(path: Path, pipe: int) -> None:
    acknowledge(pipe)
    history = History(path)
    run_experiment(engine(), history, history.enqueue(small()), Control(), lambda _: None)


def read_all(pipe: int, content: bytes = b"") -> list[tuple[int, int]]:
    """What was acknowledged until the process ended, after what is already read."""
    while part := os.read(pipe, 1 << 16):
        content += part
    os.close(pipe)
    return [struct.unpack_from("<qq", content, place) for place in range(0, len(content) - 15, 16)]


def cold_kills(count: int, folder: Path) -> Outcome:
    """kill −9 of a command line that has just been started, at a random instant of its first seconds."""
    outcome, random = Outcome(), seeded(2)
    recipe = _recipe(folder)
    for number in range(count):
        path = fresh(folder, number)
        process = _workbench("run", recipe, "--history", path)
        time.sleep(random.uniform(0.5, 8.0))
        process.kill()
        process.communicate()
        outcome.broken += [f"{number}: {one}" for one in look(path)]
        outcome.done += 1
        clear(path)
    return outcome


def _recipe(folder: Path) -> Path:
    import tomli_w

    path = folder / "tiny.toml"
    path.write_text(tomli_w.dumps(TINY | {"training": {"epochs": 3000}}))
    return path


def _workbench(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "workbench", *map(str, arguments)]
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=os.environ | environment)


def full_disk(count: int, folder: Path) -> Outcome:
    """No file may grow beyond a limit, which is raised page by page, so that each write of a run is once the first to fail."""
    eager()
    wanted, outcome = alone(folder, small()), Outcome()
    largest = _largest_file(folder)
    for number in range(count):
        path, limit = fresh(folder, number), 4096 + round(largest * number / max(1, count))
        pid = forked(lambda path=path, limit=limit: _train_below(path, limit))
        _, status = os.waitpid(pid, 0)
        broken = [f"the process ended with {status}"] if status else []
        broken += look(path)
        if not broken and path.exists() and _has_experiment(path) and (go_on(path) != "done" or weights(path) != wanted):
            broken.append("it could not be resumed to the same weights")
        outcome.broken += [f"limit {limit:,}: {one}" for one in broken]
        outcome.done += 1
        clear(path)
    outcome.note = f"limits up to {largest:,} bytes"
    return outcome


def _largest_file(folder: Path) -> int:
    """The largest file of a run that is left alone, its write-ahead log among them."""
    path = fresh(folder, 88_888)
    with History(path) as history:
        run_experiment(engine(), history, history.enqueue(small()), Control(), lambda _: None)
        largest = max(file.stat().st_size for file in path.parent.rglob("*") if file.is_file())
    clear(path)
    return largest


def _train_below(path: Path, limit: int) -> None:
    from workbench.errors import WorkbenchError

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    control = Control()
    try:
        with History(path) as history:
            run_experiment(
                engine(),
                history,
                history.enqueue(small()),
                control,
                lambda event: control.stop() if isinstance(event, Note) and event.run == 0 else None,
            )
    except WorkbenchError:
        pass  # a sentence: there was no room even for the history's beginning


def doors(seconds: int, folder: Path) -> Outcome:
    """Eight writers that read too and are killed at the end, two windows, and another program that comes and goes, on one
    history."""
    outcome, path = Outcome(done=1), folder / "experiments.db"
    History(path).close()
    preferences = {"QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(folder / "config")}
    windows = [_workbench("--history", path, **preferences) for _ in range(2)]
    code = _WRITER.replace("SECONDS", str(seconds))
    pipe = subprocess.PIPE
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=pipe, stderr=pipe, text=True, cwd=ROOT) for _ in range(8)
    ]
    stranger = subprocess.Popen([sys.executable, "-c", _STRANGER, str(path)], stderr=pipe, text=True)
    written = 0
    for writer in writers:
        out, err = writer.communicate(timeout=seconds + 120)
        written += int(out or 0)
        if writer.returncode != -signal.SIGKILL or err:
            outcome.broken.append(f"a writer ended with {writer.returncode}: {err[-300:]}")
    stranger.terminate()
    if err := stranger.communicate(timeout=60)[1]:
        outcome.broken.append(f"the other program said {err[-300:]}")
    for window in windows:
        window.send_signal(signal.SIGTERM)
        _, err = window.communicate(timeout=60)
        if window.returncode or "Traceback" in err or "locked" in err or "QObject" in err:
            outcome.broken.append(f"a window ended with {window.returncode}: {err[-300:]}")
    with closing(open_for_reading(path)) as database:
        there = database.execute("SELECT count(*) FROM points").fetchone()[0]
    if there != written:
        outcome.broken.append(f"{there:,} of {written:,} rows are there")
    outcome.broken += look(path)
    outcome.note = f"{written:,} rows in {seconds} s"
    return outcome


_STRANGER = """
import sqlite3, sys, time
while True:
    database = sqlite3.connect(sys.argv[1], timeout=60)
    database.execute("SELECT count(*) FROM runs").fetchone()
    database.close()
    time.sleep(0.1)
"""

_WRITER = """
import os, signal, sys, time
from contextlib import closing
from pathlib import Path
from tests.experiments import add_run, tiny
from workbench.events import Metrics
from workbench.history.database import open_for_reading
from workbench.history.writing import History
with History(Path(sys.argv[1])) as history:
    with closing(open_for_reading(Path(sys.argv[1]))):
        pass
    run = add_run(history, history.enqueue(tiny()), "teacher")
    end, step = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        batch = [Metrics(run, step + more, 0.1, 0.1, (("loss", 0.5), ("val_loss", 0.5))) for more in range(20)]
        history.write_metrics(batch)
        step += 20
        time.sleep(0.05)
    print(step, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def closes(count: int, folder: Path) -> Outcome:
    """The window is closed while a model trains, again and again in a process of its own."""
    outcome, random = Outcome(), seeded(3)
    for number in range(count):
        path = fresh(folder, number)
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-c", _CLOSING, str(path), str(random.uniform(0.0, 0.6))],
            stdout=pipe, stderr=pipe, text=True, cwd=ROOT,
            env=os.environ | {"QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(path.parent / "config")},
        )  # fmt: skip
        _, err = process.communicate(timeout=120)
        broken = look(path)
        if process.returncode:
            broken.append(f"exit status {process.returncode}: {err[-300:]}")
        if any(word in err for word in ("Traceback", "QObject", "QThread", "QTimer", "Warning")):
            broken.append(f"it said {err[-300:]}")
        with closing(open_for_reading(path)) as database:
            interrupted = database.execute("SELECT id, step FROM runs WHERE status = 'interrupted' AND step > 0").fetchall()
            kept = {row[0] for row in database.execute("SELECT run FROM artefacts WHERE kind = 'state'").fetchall()}
        if not interrupted:
            broken.append("no run was interrupted")
        broken += [f"run {run} has no checkpoint" for run, _ in interrupted if run not in kept]
        outcome.broken += [f"{number}: {one}" for one in broken]
        outcome.done += 1
        clear(path)
    return outcome


_CLOSING = """
import sys
from pathlib import Path
from PySide6.QtCore import QTimer
from workbench.events import Progress
from workbench.gui import app, launching, main_window
from workbench.recipes import experiment_of
window = main_window.MainWindow
show, seconds = window.show, float(sys.argv[2])
config = experiment_of("digits", ["training.epochs=100000", "teacher_training.epochs=100000"])
def showing(self):
    show(self)
    done = []
    def look(news):
        if isinstance(news, Progress) and not done:
            done.append(1)
            QTimer.singleShot(int(1000 * seconds), self.end)
    self.feed.news.connect(look)
    QTimer.singleShot(0, lambda: launching.launch(self, config))
window.show = showing
sys.exit(app.main(Path(sys.argv[1]), device="cpu"))
"""


def many_runs(count: int, folder: Path) -> Outcome:
    """Many runs in one process: memory, threads and file handles stay as they were."""
    from tests.experiments import tiny

    outcome, path = Outcome(), folder / "experiments.db"
    sizes, before = [], None
    with History(path) as history:
        for number in range(count // 4 + 8):
            config = tiny(teacher_seed=2 * number, seed=number)
            run_experiment(engine(), history, history.enqueue(config), Control(), lambda _: None)
            sizes.append(_resident())
            if number == 7:
                before = (len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")))
                sizes.clear()
        after = (len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")))
    outcome.done = 4 * len(sizes)
    middle = len(sizes) // 2
    slope = (sum(sizes[middle:]) / (len(sizes) - middle) - sum(sizes[:middle]) / middle) / (2 * len(sizes))
    if slope > 100_000:
        outcome.broken.append(f"memory grows by {slope:,.0f} bytes a run")
    if after != before:
        outcome.broken.append(f"threads and handles were {before} and are {after}")
    outcome.note = f"{slope / 1000:+,.1f} kB a run"
    return outcome


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def signals(count: int, folder: Path) -> Outcome:
    """SIGINT or SIGTERM in training: exit status 130 within 10 s, with a checkpoint; every third gets a second SIGINT."""
    outcome, random = Outcome(), seeded(4)
    recipe = _recipe(folder)
    slowest = 0.0
    for number in range(count):
        path = fresh(folder, number)
        process = _workbench("run", recipe, "--history", path)
        assert process.stderr is not None
        process.stderr.readline()
        time.sleep(random.uniform(0.0, 1.0))
        sent = time.monotonic()
        process.send_signal(random.choice([signal.SIGINT, signal.SIGTERM]))
        if number % 3 == 2:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        slowest = max(slowest, time.monotonic() - sent)
        broken = look(path)
        if process.returncode not in (130, -signal.SIGINT, -signal.SIGTERM):
            broken.append(f"exit status {process.returncode}")
        outcome.broken += [f"{number}: {one}" for one in broken]
        outcome.done += 1
        clear(path)
    if slowest > 10:
        outcome.broken.append(f"the slowest took {slowest:.1f} s")
    outcome.note = f"slowest {slowest:.1f} s"
    return outcome


__all__ = ["closes", "cold_kills", "doors", "files_folder", "full_disk", "kills", "many_runs", "signals"]
