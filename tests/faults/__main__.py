"""The fault suite: every promise about runs that are left alone, made to be broken, many times.

    uv run python -m tests.faults [--long] [--only NAME]… [--json]

The short form takes about two minutes and is what CI does; the long form about an hour, and prints README's table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("WORKBENCH_LOCKS", tempfile.mkdtemp(prefix="workbench-locks-"))

from tests.faults import batches, contents, pictures, power, processes
from tests.faults.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, how often it is made in the short and the long form, and what is promised."""

    what: str
    make: Callable[[int, Path], Outcome]
    short: int
    long: int
    promise: str


FAULTS = {
    "kills": Fault("kill −9 at random instants of training, checkpoints and commits", processes.kills, 20, 1000,
                   "no acknowledged metric lost, every history opens, every recorded checkpoint sound"),
    "cold_kills": Fault("the same, of a command line just started", processes.cold_kills, 1, 50, "the same"),
    "batches": Fault("kill −9 of students trained together, and of the recording of their results", batches.batches, 6, 500,
                     "no acknowledged metric lost, checkpoints sound and of one moment; one resumed, all equal by hash"),
    "power_cuts": Fault("power cut, simulated below SQLite, WAL and TRUNCATE", power.power_cuts, 60, 1000,
                        "not corrupt, nothing committed lost"),
    "resumes": Fault("broken off at random steps and resumed, against left alone", contents.resumes, 4, 100, "equal by hash"),
    "full_disk": Fault("no room at every write of a run", processes.full_disk, 8, 300,
                       "history and checkpoints intact, resumed to the same weights"),
    "doors": Fault("eight writers, killed at last, two windows and another program on one history, seconds",
                   processes.doors, 5, 60, "no error, every row there"),
    "histories": Fault("histories flipped, cut short, foreign, newer, older", contents.histories, 100, 1000,
                       "no crash, refused files untouched, a changed metric is found"),
    "checkpoints": Fault("checkpoints flipped or cut short", contents.checkpoint_files, 200, 1000, "all refused"),
    "recipes": Fault("recipes made by hypothesis", contents.recipes, 400, 5000, "the config error and nothing else"),
    "pictures": Fault("picture folders with something wrong in them", pictures.pictures, 25, 25,
                      "the file named in a sentence, memory bounded"),
    "names": Fault("names with markup, SQL, NUL, other scripts", contents.names, 20, 20, "byte for byte back"),
    "closes": Fault("the window closed while a model trains", processes.closes, 1, 100,
                    "exit status 0, a checkpoint, no warning"),
    "signals": Fault("SIGINT and SIGTERM in training", processes.signals, 1, 30, "within 10 s, nothing committed lost"),
    "many_runs": Fault("runs in one process", processes.many_runs, 40, 200,
                       "at most 100 kB a run, threads and handles as before"),
}  # fmt: skip


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", action="append", choices=[*FAULTS])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: dict[str, dict[str, object]] = {}
    if not asked.json:
        print("| fault | made | broken | | promise | seconds |\n|---|---|---|---|---|---|", flush=True)
    for name in asked.only or FAULTS:
        fault, begun = FAULTS[name], time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            outcome = fault.make(fault.long if asked.long else fault.short, Path(folder))
        seconds = time.perf_counter() - begun
        found[name] = {**asdict(outcome), "seconds": seconds}
        if not asked.json:
            row = (fault.what, f"{outcome.done:,}", len(outcome.broken), outcome.note, fault.promise, f"{seconds:.0f}")
            print(f"| {' | '.join(map(str, row))} |", flush=True)
        for one in outcome.broken[:10]:
            print(f"{name}: {one}", file=sys.stderr, flush=True)
    if asked.json:
        print(json.dumps(found))
    return int(any(outcome["broken"] for outcome in found.values()))


if __name__ == "__main__":
    sys.exit(main())
