"""What Ctrl+Z takes back in the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from PySide6.QtGui import QUndoCommand
from sqlite_utils import Database

from workbench.analysis.bias import Correction
from workbench.history import changes
from workbench.history.changes import Marked
from workbench.words import many


class Changing(Protocol):
    """Whoever changes the history and then reads it anew."""

    def change(self, change: Callable[[Database], Any], done: Callable[[Any], None] = ...) -> None:
        """Have the history changed; ``done`` gets what the change gives."""


class Delete(QUndoCommand):
    """Into the bin, and out of it."""

    def __init__(self, screen: Changing, tell: Callable[[str], None], runs: Sequence[int], experiments: Sequence[int]) -> None:
        words = [many(len(runs), "run")] * bool(runs) + [many(len(experiments), "experiment")] * bool(experiments)
        super().__init__(f"delete {' and '.join(words)}")
        self._screen, self._tell, self._runs, self._experiments = screen, tell, runs, experiments

    def redo(self) -> None:
        runs, experiments = self._runs, self._experiments
        self._screen.change(lambda database: changes.delete(database, runs, experiments))
        self._tell(f"Deleted: {self.text().removeprefix('delete ')}. Edit → Undo (Ctrl+Z) takes it back.")

    def undo(self) -> None:
        runs, experiments = self._runs, self._experiments

        def done(back: int) -> None:
            wanted = len(runs) + len(experiments)
            gone = f"{back} of {wanted} taken back; the others are gone, since the bin was emptied."
            self._tell("Taken back." if back == wanted else gone)

        self._screen.change(lambda database: changes.take_back(database, runs, experiments), done)


class Correct(QUndoCommand):
    """A run's bias correction."""

    def __init__(self, screen: Changing, run: int, before: Correction | None, after: Correction | None) -> None:
        super().__init__(f"correct the bias of run {run}")
        self._screen, self._run, self._before, self._after = screen, run, before, after

    def redo(self) -> None:
        run, after = self._run, self._after
        self._screen.change(lambda database: changes.keep_correction(database, run, after))

    def undo(self) -> None:
        run, before = self._run, self._before
        self._screen.change(lambda database: changes.keep_correction(database, run, before))


class Mark(QUndoCommand):
    """Pins, stars, colours, tags and notes; ``how`` makes of a run's marks what they are to be."""

    def __init__(self, screen: Changing, words: str, runs: Sequence[int], how: Callable[[Marked], Marked]) -> None:
        super().__init__(words)
        self._screen, self._runs, self._how = screen, tuple(runs), how
        self._before: list[Marked] = []

    def redo(self) -> None:
        def change(database: Database) -> None:
            self._before = changes.marked(database, self._runs)
            changes.mark(database, [self._how(one) for one in self._before])

        self._screen.change(change)

    def undo(self) -> None:  # done after redo's change, whose answer may not have come yet
        self._screen.change(lambda database: changes.mark(database, self._before))


class KeepFilter(QUndoCommand):
    """A filter under a name; None forgets it."""

    def __init__(self, screen: Changing, name: str, before: str | None, after: str | None) -> None:
        super().__init__(f"{'forget' if after is None else 'keep'} the filter {name}")
        self._screen, self._name, self._before, self._after = screen, name, before, after

    def redo(self) -> None:
        name, after = self._name, self._after
        self._screen.change(lambda database: changes.keep_filter(database, name, after))

    def undo(self) -> None:
        name, before = self._name, self._before
        self._screen.change(lambda database: changes.keep_filter(database, name, before))


def with_tags(added: Sequence[str], removed: Sequence[str] = ()) -> Callable[[Marked], Marked]:
    """Marks with some tags more and some less."""
    return lambda one: replace(one, tags=tuple(dict.fromkeys([*(tag for tag in one.tags if tag not in removed), *added])))
