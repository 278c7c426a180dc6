"""Files that are not what they should be: histories, checkpoints, weights, recipes, names; and runs broken off anywhere."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import hypothesis
import numpy as np
import torch
from hypothesis import strategies as st

from tests.experiments import any_config, engine, launch, tiny
from tests.faults.outcome import Outcome, alone, clear, eager, fresh, seeded, weights
from workbench import zoo
from workbench.config import ExperimentConfig
from workbench.distill import checkpoints
from workbench.errors import CheckpointError, ConfigError, WorkbenchError
from workbench.events import Metrics
from workbench.history import reading
from workbench.history.database import SqliteError, check_history, open_database, open_for_reading
from workbench.history.doctor import examine
from workbench.history.writing import History
from workbench.recipes import experiment_of
from workbench.running.driver import Control
from workbench.running.experiment import run_experiment

FREELY: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(hypothesis.HealthCheck)}
FIXTURES = Path(__file__).parents[1] / "history" / "fixtures"


def resumes(count: int, folder: Path) -> Outcome:
    """Runs of any optimiser, schedule, model and jitter, broken off at random steps and resumed, against ones left alone."""
    eager()
    outcome = Outcome()
    for number in range(count):
        random = np.random.default_rng(number)
        config = any_config(random)
        wanted = alone(folder, config)
        path = fresh(folder, number)
        with History(path) as history:
            experiment, breaks = history.enqueue(config), 0
            while True:
                left, control = int(random.integers(1, 40)) if breaks < 4 else -1, Control()
                status = run_experiment(engine(), history, experiment, control, _interrupt_after(left, control))
                if status == "done":
                    break
                breaks += 1
                history.resume(experiment)
        if weights(path) != wanted:
            outcome.broken.append(f"{number}: other weights after {breaks} breaks")
        outcome.done += 1
        clear(path)
    return outcome


def _interrupt_after(left: int, control: Control) -> Callable[[object], None]:
    def emit(event: object) -> None:
        nonlocal left
        if isinstance(event, Metrics):
            left -= 1
            if left == 0:
                control.interrupt()

    return emit


def histories(count: int, folder: Path) -> Outcome:
    """Histories with flipped bytes, cut short, foreign, newer and older: a sentence or a sound answer, and the file untouched."""
    outcome, random = Outcome(), seeded(5)
    good = folder / "good" / "experiments.db"
    good.parent.mkdir()
    with History(good) as history:
        launch(history, tiny())
    with closing(open_database(good)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        metrics = [tuple(row) for row in database.execute("SELECT * FROM metrics ORDER BY 1, 2, 3").fetchall()]
    older = [gzip.decompress(path.read_bytes()) for path in FIXTURES.glob("*.gz")]
    content, refused, found = good.read_bytes(), 0, 0
    for number in range(count):
        path = fresh(folder, number)
        damaged = _damaged(content, older, random)
        path.write_bytes(damaged)
        try:
            check_history(path)
            with closing(open_for_reading(path)) as database:
                read = [tuple(row) for row in database.execute("SELECT * FROM metrics ORDER BY 1, 2, 3").fetchall()]
                reading.list_experiments(database)
                findings = examine(database, path)
            seen = any("not what was written" in one.what or "itself is damaged" in one.what for one in findings)
            found += seen
            if read != metrics and not seen and damaged not in older:
                outcome.broken.append(f"{number}: metrics differ and nothing was found")
        except (WorkbenchError, SqliteError, ValueError):
            refused += 1
            if path.read_bytes() != damaged and not list(path.parent.rglob("*schema*.db")):
                outcome.broken.append(f"{number}: a refused file was changed")
        except Exception as error:
            outcome.broken.append(f"{number}: {type(error).__name__}: {error}")
        outcome.done += 1
        clear(path)
    outcome.note = f"{refused} refused, {found} with a finding, {outcome.done - refused - found} unharmed"
    return outcome


def _damaged(content: bytes, older: list[bytes], random: Random) -> bytes:
    kind = random.randrange(6)
    changed = bytearray(content)
    if kind <= 2:
        for _ in range(random.choice([1, 1, 2, 50])):
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    elif kind == 3:
        changed = changed[: random.randrange(len(changed))]
    elif kind == 4:
        changed[60:72] = random.choice([b"\0\0\0\x63DWRB", b"\0\0\0\x02none"]).rjust(12, b"\0")
    else:
        changed = bytearray(random.choice([*older, b"\x89PNG\r\n" * 300, b"SQLite format 3\0" + bytes(400), b"x"]))
    return bytes(changed)


def checkpoint_files(count: int, folder: Path) -> Outcome:
    """Checkpoints with a flipped bit or cut short are refused."""
    outcome, random = Outcome(), seeded(6)
    path = folder / "state.safetensors"
    _, sha256 = checkpoints.write(path, {"a": torch.randn(40, 30), "b": torch.arange(9)}, {"step": 3})
    content = path.read_bytes()
    for number in range(count):
        changed = bytearray(content)
        if number % 4 == 3:
            changed = changed[: random.randrange(len(changed))]
        else:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
        path.write_bytes(changed)
        try:
            checkpoints.read(path, sha256)
            outcome.broken.append(f"{number}: it was loaded")
        except CheckpointError:
            pass
        outcome.done += 1
    return outcome


def recipes(count: int, folder: Path) -> Outcome:
    """Recipes made by hypothesis: an experiment, or the config error with its key or line, and nothing else."""
    outcome = Outcome()
    path = folder / "recipe.toml"
    keys = st.sampled_from(
        ["name", "seed", "data", "dataset", "teachers", "student", "model", "units", "layers", "distillation", "temperature",
         "hard_weight", "training", "epochs", "batch_size", "transfer", "fraction", "keep", "leave_out", "count", "run"]
    ) | st.text(max_size=8)  # fmt: skip
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([*zoo.MODELS, "sgd"])
    values = st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=12
    )

    @hypothesis.settings(
        max_examples=count // 2, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(st.dictionaries(keys, values, max_size=6))
    def tables(table: dict[str, Any]) -> None:
        outcome.done += 1
        try:
            config = ExperimentConfig.from_dict(table)
        except ConfigError:
            pass
        else:
            assert ExperimentConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config

    @hypothesis.settings(
        max_examples=count // 2, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(st.binary(max_size=80) | st.text(alphabet="[]={}\"'\n#.abc019-,", max_size=80).map(str.encode))
    def texts(content: bytes) -> None:
        outcome.done += 1
        path.write_bytes(content)
        try:
            experiment_of(str(path))
        except ConfigError as error:
            if str(path) not in str(error) and not error.path:
                outcome.broken.append(f"no place in {error}")

    for check in (tables, texts):
        try:
            check()
        except Exception as error:
            outcome.broken.append(f"{type(error).__name__}: {str(error)[:300]}")
    return outcome


NAMES = (
    "<b>bold</b><script>alert(1)</script>",
    "'; DROP TABLE runs; --",
    "two\nlines",
    "tab\tand\rreturn",
    "nul\0inside",
    "\u202eright to left",
    "שלום עולם",
    "مرحبا",
    "\U0001f642\U0001f9ea\U0001f469\u200d\U0001f52c",
    "x" * 10_000,
    "a" * 200 + "\n" * 50,
    "&amp; &lt;",
    "%s %d {0}",
    "../../etc/passwd",
    "C:\\con\\nul",
    "'\"`",
    "\u200b\u200d\ufeff",
    "\u00e9 and e\u0301",
    "=1+1",
    "-- -1",
)


def names(count: int, folder: Path) -> Outcome:
    """Names with markup, SQL, line breaks, NUL and other scripts come back byte for byte."""
    outcome = Outcome()
    with History(folder / "experiments.db") as history:
        for name in NAMES[:count]:
            config = tiny(name=name)
            experiment = history.enqueue(config)
            with closing(open_for_reading(history.path)) as database:
                row = next(row for row in reading.list_experiments(database) if row.id == experiment)
                queued = next(row for row in reading.list_queue(database) if row.experiment == experiment)
            path = folder / "recipe.toml"
            path.write_text(config.to_toml(), encoding="utf-8", newline="")
            back = {row.name, queued.name, history.experiment_config(experiment).name, experiment_of(str(path)).name}
            if back != {name}:
                outcome.broken.append(f"{name[:30]!r} came back as {[one[:30] for one in back]!r}")
            outcome.done += 1
    shutil.rmtree(folder, ignore_errors=True)
    return outcome
