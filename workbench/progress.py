"""Progress of an experiment on standard error."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from workbench.events import Event, ExperimentFinished, Loading, Note, Progress, RunFinished, RunStarted


class ProgressPrinter:
    """Prints events: one line a run, which a terminal sees move; a file gets a line a run and no more."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._moves = self._stream.isatty()
        self._shown = 0.0
        self._names: dict[int, str] = {}
        self._width = 0

    def tell(self, text: str, done: int, total: int, unit: str) -> None:
        """Show preparation under way."""
        self.show(Loading(text, done, total, unit))

    def show(self, event: Event) -> None:
        """Show one event, or nothing."""
        match event:
            case RunStarted():
                self._names[event.run] = event.name
                self._line(f"{event.name}: run {event.run}, {event.epochs} epochs on {event.device}, {event.threads} thread(s)")
            case Progress():
                self._moving(
                    f"{self._names.get(event.run, '')}: {event.step / event.steps:4.0%}  epoch {event.epoch:.1f}"
                    f"  {event.rate:,.0f} samples/s  {_left(event)} left"
                )
            case Loading() if event.total:
                self._moving(f"{event.text}: {event.done / event.total:4.0%} of {event.total:,} {event.unit}")
            case Loading():
                self._moving(event.text)
            case RunFinished():
                self._line(f"{event.name}: run {event.run} {event.status}{f', {event.message}' if event.message else ''}")
            case Note():
                self._line(event.text)
            case ExperimentFinished():
                self._line(f"{event.name}: {event.status}{f', {event.message}' if event.message else ''}")

    def _moving(self, text: str) -> None:
        now = time.monotonic()
        if self._moves and now - self._shown > 0.1:
            self._shown = now
            self._stream.write("\r" + text.ljust(self._width))
            self._stream.flush()
            self._width = len(text)

    def _line(self, text: str) -> None:
        start = "\r" if self._moves else ""
        self._stream.write(f"{start}{text.ljust(self._width)}\n")
        self._stream.flush()
        self._width = 0


def _left(event: Progress) -> str:
    seconds = event.elapsed / max(1, event.step) * (event.steps - event.step)
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
