"""One training at a time on a device: a lock that whoever trains on it holds, on this machine, whatever the history."""

from __future__ import annotations

import os
import re
from pathlib import Path

import platformdirs

from workbench.history.liveness import ProcessLock, host
from workbench.paths import APP


def lease_path(device: str) -> Path:
    """The file that is locked while somebody trains on ``device`` (cpu, cuda, mps); ``WORKBENCH_LOCKS`` names its folder."""
    folder = Path(os.environ.get("WORKBENCH_LOCKS") or platformdirs.user_cache_path(APP) / "locks")
    machine = re.sub(r"[^A-Za-z0-9.-]", "_", host())  # a home folder may be shared by several machines
    return folder / f"{machine or 'here'}-{device}.lock"


def take(device: str) -> ProcessLock | None:
    """The device, until the lock is released or the process dies; None where somebody else has it.

    Raises :class:`OSError` where no lock can be made at all.
    """
    try:
        return ProcessLock(lease_path(device))
    except BlockingIOError:
        return None
