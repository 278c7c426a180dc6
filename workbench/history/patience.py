"""Waiting where a write does not go: a full disk, a file that somebody holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from workbench.errors import CannotWrite

R = TypeVar("R")


class Patience:
    """What is done where a write does not go: nothing, and so the error is raised."""

    def wait(self, error: CannotWrite) -> bool:
        """Wait a while; whether to try again."""
        return False

    def over(self) -> None:
        """A write that had to wait has gone."""


def patiently(patience: Patience, write: Callable[[], R]) -> R:
    """The value of ``write``, tried again for as long as there is patience."""
    waited = False
    while True:
        try:
            value = write()
        except CannotWrite as error:
            if not patience.wait(error):
                raise
            waited = True
        else:
            if waited:
                patience.over()
            return value
