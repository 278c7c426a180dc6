"""The short form of the fault suite, in a process of its own, since it forks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NAMES = (
    "kills cold_kills batches power_cuts resumes full_disk doors histories checkpoints recipes pictures names closes signals"
    " many_runs"
).split()


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.faults", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False, timeout=600)
    assert done.stdout, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="forks, limits and /proc")
@pytest.mark.timeout(600)  # the first one waits for all of them, on a machine that may be busy
@pytest.mark.parametrize("name", NAMES)
def test_that_no_promise_is_broken(name: str, outcomes: dict[str, Any]) -> None:
    assert outcomes[name]["broken"] == []
    assert outcomes[name]["done"] > 0
