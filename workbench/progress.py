"""Progress of an experiment on standard error."""

from __future__ import annotations

import itertools
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from workbench.events import CheckpointWritten, Event, ExperimentFinished, Loading, Note, Progress, RunFinished, RunStarted
from workbench.words import many


class ProgressPrinter:
    """Prints events: one line a run, which a terminal sees move; a file gets a line a run and no more.

    Runs that are trained together share their lines, and a run that several experiments reuse is told of once.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._moves = self._stream.isatty()
        self._shown = 0.0
        self._together: list[RunStarted] = []
        self._going: dict[int, RunStarted] = {}
        self._told = True
        self._done: list[int] = []
        self._reused = set[int]()
        self._width = 0

    def tell(self, text: str, done: int, total: int, unit: str) -> None:
        """Show preparation under way."""
        self.show(Loading(text, done, total, unit))

    def show(self, event: Event) -> None:
        """Show one event, or nothing."""
        if not isinstance(event, RunStarted) or event.together == 1:
            self._say_started()
        if not isinstance(event, RunFinished | CheckpointWritten):
            self._say_done()
        match event:
            case RunStarted():
                self._together = [event] if self._told else [*self._together, event]
                self._told = False
                self._going[event.run] = event
            case Progress():
                who, names = under_way(self._going, event.run)
                self._moving(
                    f"{who}: {event.step / event.steps:4.0%}  epoch {event.epoch:.1f}"
                    f"  {event.rate:,.0f} samples/s  {_left(event)} left" + (f" ({names})" if names else "")
                )
            case Loading() if event.total:
                self._moving(f"{event.text}: {event.done / event.total:4.0%} of {event.total:,} {event.unit}")
            case Loading():
                self._moving(event.text)
            case RunFinished():
                self._going.pop(event.run, None)
                self._finished(event)
            case Note():
                self._line(event.text)
            case ExperimentFinished():
                self._line(f"{event.name}: {event.status}{f', {event.message}' if event.message else ''}")

    def _say_started(self) -> None:
        if not self._told:
            self._told = True
            one, runs = self._together[0], [event.run for event in self._together]
            who = one.name if len(runs) == 1 else many(len(runs), one.role)
            self._line(f"{who}: {numbers(runs)}, {one.epochs} epochs on {one.device}, {one.threads} thread(s)")

    def _finished(self, event: RunFinished) -> None:
        if event.status == "done" and len(self._together) > 1 and not event.message:
            self._done.append(event.run)
        elif event.status != "reused" or event.run not in self._reused:
            self._line(f"{event.name}: run {event.run} {event.status}{f', {event.message}' if event.message else ''}")
        if event.status == "reused":
            self._reused.add(event.run)

    def _say_done(self) -> None:
        if self._done:
            self._line(f"{many(len(self._done), self._together[0].role)}: {numbers(self._done)} done")
            self._done = []

    def _moving(self, text: str) -> None:
        now = time.monotonic()
        if self._moves and now - self._shown > 0.1:
            self._shown = now
            room = shutil.get_terminal_size().columns - 1
            text = text if len(text) <= room else f"{text[: room - 1]}…"
            self._stream.write("\r" + text.ljust(self._width))
            self._stream.flush()
            self._width = len(text)

    def _line(self, text: str) -> None:
        start = "\r" if self._moves else ""
        self._stream.write(f"{start}{text.ljust(self._width)}\n")
        self._stream.flush()
        self._width = 0


def under_way(going: Mapping[int, RunStarted], run: int) -> tuple[str, str]:
    """The runs under way in words, and the names of several at the same time, that of ``run`` first: ``3 runs at once`` and
    ``teacher 2, teacher 1, …``. Those trained together as one model are counted alone."""
    first = going.get(run) or next(iter(going.values()), None)
    if first is None or len(going) == 1:
        return "" if first is None else first.name, ""
    if first.together > 1:
        return many(len(going), first.role), ""
    names = [first.name, *(one.name for one in going.values() if one is not first)]
    return f"{len(going)} runs at once", ", ".join([*names[:2], *["…"] * (len(names) > 2)])


def numbers(runs: Sequence[int], noun: str = "run") -> str:
    """Numbers of runs in their order, neighbours as a range: ``runs 7, 9, 11 to 24``."""
    parts = []
    for _, group in itertools.groupby(enumerate(sorted(runs)), lambda at: at[1] - at[0]):
        first, *rest = [run for _, run in group]
        parts.append(f"{first} to {rest[-1]}" if len(rest) > 1 else ", ".join(map(str, [first, *rest])))
    return f"{noun}{'' if len(runs) == 1 else 's'} {', '.join(parts)}"


def _left(event: Progress) -> str:
    seconds = event.elapsed / max(1, event.step) * (event.steps - event.step)
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
