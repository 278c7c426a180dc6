"""Errors that can happen to a person, kept apart from bugs."""

from __future__ import annotations


class WorkbenchError(Exception):
    """Something a person can put right: its text is one sentence that says what, where and what to do."""


class ConfigError(WorkbenchError):
    """A setting that cannot be used.

    ``path`` is the dotted path of the setting (``student.units``), empty where the whole is meant;
    ``reason`` is the sentence without the path, as a form shows it beside the field.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


class DataError(WorkbenchError):
    """A data set that is absent, incomplete or not what it says it is."""


class NotHere(DataError):
    """A built-in data set that is in none of the folders looked in, and that a download may bring."""


class Cancelled(WorkbenchError):
    """A person pressed Cancel; nothing half done is left behind."""


class HistoryError(WorkbenchError):
    """A history file that cannot be opened or written."""


class CannotWrite(WorkbenchError):
    """A disk that is full, or a file that somebody else holds: what may go if it is tried again later."""


class CheckpointError(WorkbenchError):
    """A checkpoint that is absent, damaged or of another model."""


class Diverged(WorkbenchError):
    """A loss that is no longer a finite number."""
