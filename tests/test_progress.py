"""What the command line prints of an experiment."""

from __future__ import annotations

import io

from workbench.events import CheckpointWritten, ExperimentFinished, Metrics, Progress, RunFinished, RunStarted
from workbench.progress import ProgressPrinter


class Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def batch(printer: ProgressPrinter) -> None:
    for number in (7, 9, 10, 11):
        printer.show(RunStarted(number, number, "student", "student", 0, 100, 20, "cpu", 1))
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


def test_that_a_run_reused_by_several_experiments_is_told_of_once() -> None:
    stream = io.StringIO()
    printer = ProgressPrinter(stream)
    for experiment in (1, 2, 3):
        printer.show(RunFinished(4, experiment, "teacher", "teacher 1", "reused", "trained before"))
    assert stream.getvalue() == "teacher 1: run 4 reused, trained before\n"
