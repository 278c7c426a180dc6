"""What the benchmarks ask of the machine: its cores, and how busy other programs keep them."""

from __future__ import annotations

import os
import time
from pathlib import Path


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Elsewhere:
    """How many cores other programs keep busy, from its making on; ``/proc/stat`` tells it on Linux alone."""

    def __init__(self) -> None:
        self._start, self._busy, self._own = time.perf_counter(), busy_seconds(), time.process_time()

    def cores(self, child_seconds: float = 0.0) -> float:
        """Cores busy for others so far; ``child_seconds`` are the processor's seconds that a child of this process took."""
        own = time.process_time() - self._own + child_seconds
        return max(0.0, busy_seconds() - self._busy - own) / (time.perf_counter() - self._start)


def busy_seconds() -> float:
    """Seconds that all cores together have worked, the host's other guests included."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    except OSError:
        return float("nan")
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
