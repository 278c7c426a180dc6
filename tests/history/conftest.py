"""Fixtures of the history's tests."""

from tests.history.processes import python

__all__ = ["python"]
