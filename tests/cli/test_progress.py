"""What the command line prints of an experiment."""

from __future__ import annotations

import io
import itertools
from types import SimpleNamespace

import pytest

from workbench import progress
from workbench.events import CheckpointWritten, ExperimentFinished, Metrics, Progress, RunFinished, RunStarted
from workbench.progress import ProgressPrinter


class Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def batch(printer: ProgressPrinter) -> None:
    for number in (7, 9, 10, 11):
        printer.show(RunStarted(number, number, "student", "student", 0, 100, 20, "cpu", 1, together=4))
    printer.show(Metrics(7, 1, 0.1, 0.1, (("loss", 1.0),)))
    printer.show(Progress(7, 50, 100, 10.0, 120_000.0, 12.0))
    for number in (7, 9, 10, 11):
        printer.show(CheckpointWritten(number, 100, "weights", "", 1))
        status, message = ("failed", "the loss became nan") if number == 10 else ("done", "")
        printer.show(RunFinished(number, number, "student", "student", status, message))
    printer.show(ExperimentFinished(7, "one", "done", ""))


def test_that_runs_trained_together_share_their_lines() -> None:
    stream = io.StringIO()
    batch(ProgressPrinter(stream))
    assert stream.getvalue().splitlines() == [
        "4 students: runs 7, 9 to 11, 20 epochs on cpu, 1 thread(s)",
        "student: run 10 failed, the loss became nan",
        "3 students: runs 7, 9, 11 done",
        "one: done",
    ]


def test_that_on_a_terminal_the_moving_line_is_written_over() -> None:
    stream = Terminal()
    batch(ProgressPrinter(stream))
    moving = "4 students:  50%  epoch 10.0  120,000 samples/s  12 s left"
    failed = "student: run 10 failed, the loss became nan".ljust(len(moving))
    assert f"\r{moving}\r{failed}\n" in stream.getvalue()


def at_once(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three runs that workers train at the same time, each as it comes; the lines, the moving ones too."""
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=itertools.count(1).__next__))
    printer = ProgressPrinter(stream)
    for number in (1, 2, 3):
        printer.show(RunStarted(number, 1, "teacher", f"teacher {number}", 0, 100, 10 * number, "cpu", 1))
    printer.show(Progress(2, 50, 100, 10.0, 360.0, 12.0))
    printer.show(RunFinished(2, 1, "teacher", "teacher 2", "done", ""))
    printer.show(Progress(1, 60, 100, 6.0, 240.0, 12.0))
    printer.show(RunFinished(1, 1, "teacher", "teacher 1", "done", ""))
    printer.show(Progress(3, 90, 100, 27.0, 120.0, 12.0))
    printer.show(RunFinished(3, 1, "teacher", "teacher 3", "done", ""))
    return [line.rstrip() for line in stream.getvalue().replace("\r", "\n").splitlines() if line]


def test_that_runs_at_the_same_time_are_counted_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = at_once(Terminal(), monkeypatch)
    assert lines[3:] == [
        "3 runs at once:  50%  epoch 10.0  360 samples/s  12 s left (teacher 2, teacher…",
        "teacher 2: run 2 done",
        "2 runs at once:  60%  epoch 6.0  240 samples/s  8 s left (teacher 1, teacher 3)",
        "teacher 1: run 1 done",
        "teacher 3:  90%  epoch 27.0  120 samples/s  1 s left",
        "teacher 3: run 3 done",
    ]
    assert lines[:3] == [f"teacher {number}: run {number}, {10 * number} epochs on cpu, 1 thread(s)" for number in (1, 2, 3)]
    assert at_once(io.StringIO(), monkeypatch) == [line for line in lines if "left" not in line]


def test_that_a_run_reused_by_several_experiments_is_told_of_once() -> None:
    stream = io.StringIO()
    printer = ProgressPrinter(stream)
    for experiment in (1, 2, 3):
        printer.show(RunFinished(4, experiment, "teacher", "teacher 1", "reused", "trained before"))
    assert stream.getvalue() == "teacher 1: run 4 reused, trained before\n"
