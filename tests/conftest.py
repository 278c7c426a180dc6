"""Shared by all tests; imports no Qt, so that they run where PySide6 is absent."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from workbench.history.writing import History

os.environ["WORKBENCH_LOCKS"] = tempfile.mkdtemp(prefix="workbench-locks-")  # a training elsewhere is none of ours
atexit.register(shutil.rmtree, os.environ["WORKBENCH_LOCKS"], ignore_errors=True)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch loads: faster on a busy machine

hypothesis.settings.register_profile("workbench", deadline=None, derandomize=True)
hypothesis.settings.load_profile("workbench")


@pytest.fixture
def history_path(tmp_path: Path) -> Path:
    """Where a test's history will be."""
    return tmp_path / "experiments.db"


@pytest.fixture
def history(history_path: Path) -> Iterator[History]:
    """A history without anything in it."""
    with History(history_path) as opened:
        yield opened


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Gives the signal handlers back that a command installs in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
