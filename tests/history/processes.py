"""Other processes that use a history."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def python() -> Iterator[Start]:
    """Starts Python processes with pipes; the code finds its arguments in ``sys.argv[1:]``. None outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", code, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        with process:
            pass


def said(process: subprocess.Popen[str], word: str) -> None:
    """Wait until the process has written a line ``word``."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if line != word:
        process.kill()
        raise AssertionError(f"{line!r} and not {word!r}: {process.communicate()}")


def go_on(process: subprocess.Popen[str]) -> None:
    """Let a process that waits for a line go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def ended(process: subprocess.Popen[str]) -> None:
    """Wait for a process to end well."""
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, out + err
