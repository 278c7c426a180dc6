"""What a fault's many repetitions came to, and what they share."""

from __future__ import annotations

import os
import random
import shutil
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.experiments import engine, tiny
from workbench.config import ExperimentConfig
from workbench.distill import checkpoints
from workbench.history.database import files_folder, open_for_reading
from workbench.history.writing import History
from workbench.running import driver
from workbench.running.driver import Control
from workbench.running.experiment import run_experiment


@dataclass(slots=True)
class Outcome:
    """How often a fault was made, and the sentences about each time a promise was broken."""

    done: int = 0
    broken: list[str] = field(default_factory=list)
    note: str = ""


def eager() -> None:
    """Commit every metric at once and write a checkpoint at every epoch, so that more can go wrong."""
    driver.FLUSH_SECONDS = 0.0
    driver.EPOCH_CHECKPOINT_SECONDS = 0.0
    driver.RETRY_SECONDS = 0.05


def small() -> ExperimentConfig:
    """An experiment of a few hundred steps and a second or less."""
    return tiny(teacher_training__epochs=4, training__epochs=8, distillation__baseline=False)


def fresh(folder: Path, number: int) -> Path:
    """A new history's path."""
    place = folder / f"{number:05}"
    place.mkdir(parents=True)
    return place / "experiments.db"


def clear(path: Path) -> None:
    """Remove a history with its folder."""
    shutil.rmtree(path.parent, ignore_errors=True)


def look(path: Path) -> list[str]:
    """What is wrong with a history after a fault: it opens, is sound, and every checkpoint recorded verifies."""
    if not path.exists():
        return []
    broken = []
    with History(path):
        pass
    with closing(open_for_reading(path)) as database:
        found = database.execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            broken.append(f"integrity: {found}")
        if database.execute("SELECT count(*) FROM runs WHERE status = 'running'").fetchone()[0]:
            broken.append("a run is still said to be running")
        for run, kind, place, sha256 in database.execute("SELECT run, kind, path, sha256 FROM artefacts").fetchall():
            if not checkpoints.verifies(files_folder(path) / place, sha256):
                broken.append(f"the {kind} of run {run} does not verify")
    return broken


def weights(path: Path) -> list[Any]:
    """The hashes of all weights, in the order of the plan."""
    with closing(open_for_reading(path)) as database:
        sql = "SELECT weights_sha256 FROM members JOIN runs ON runs.id = run WHERE members.experiment = 1 ORDER BY position"
        return [row[0] for row in database.execute(sql).fetchall()]


def go_on(path: Path) -> str:
    """Go on with the first experiment to its end; how it ended."""
    with History(path) as history:
        history.resume(1)
        return run_experiment(engine(), history, 1, Control(), lambda _: None)


def alone(folder: Path, config: ExperimentConfig) -> list[Any]:
    """The hashes of the weights of an experiment that nothing happens to."""
    path = fresh(folder, 99_999)
    with History(path) as history:
        run_experiment(engine(), history, history.enqueue(config), Control(), lambda _: None)
    found = weights(path)
    clear(path)
    return found


def seeded(seed: int) -> random.Random:
    """A generator of its own."""
    return random.Random(seed)


def forked(work: Any) -> int:
    """A child process that does ``work`` and ends without cleaning up; its number."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    return pid
