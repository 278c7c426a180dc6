"""Looking a history over: what is found, what a repair does, and which files may go."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.experiments import add_run, tiny
from workbench.events import Metrics
from workbench.history.backups import restore
from workbench.history.database import back_up, files_folder, open_database, open_for_reading
from workbench.history.doctor import clean_up, examine, forget_states, repair, usage
from workbench.history.writing import Artefact, History, Started


@pytest.fixture
def history(history_path: Path) -> Iterator[History]:
    """Two finished runs with weights, a state and metrics."""
    with History(history_path) as history:
        for _ in range(2):
            run = add_run(history, history.enqueue(tiny()), "teacher")
            history.start_runs([Started(run=run, fingerprint="f", data_digest="d", steps=1, environment={})])
            history.write_metrics(
                [
                    Metrics(run, step, step / 10, step / 100, (("loss", 1 / (step + 0.137)), ("val_loss", 2.0)))
                    for step in range(1, 300)
                ]
            )
            for kind in ("weights", "state"):
                write(history, run, kind, f"{kind} {run}".encode())
            history.finish_run(run, "done", "")
        yield history


def write(history: History, run: int, kind: str, content: bytes) -> Path:
    path = history.run_folder(run) / f"{kind}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    history.record_artefacts([Artefact(run, [kind], 1, path, len(content), hashlib.sha256(content).hexdigest())])
    return path


def findings(history: History) -> list[str]:
    with closing(open_for_reading(history.path)) as database:
        return [finding.what for finding in examine(database, history.path)]


def test_that_a_sound_history_has_no_findings(history: History) -> None:
    assert findings(history) == []


def test_that_a_changed_or_missing_metric_is_found(history: History) -> None:
    with closing(open_database(history.path)) as database:
        database.execute("UPDATE metrics SET value = value + 1e-9 WHERE run = 1 AND metric = 'loss' AND step = 77")
        database.execute("DELETE FROM metrics WHERE run = 2 AND metric = 'val_loss' AND step = 5")
    assert findings(history) == [
        "loss of run 1 is not what was written (299 of 299 points)",
        "val_loss of run 2 is not what was written (298 of 299 points)",
    ]


def test_that_damaged_missing_and_unused_files_are_found_and_repaired(history: History) -> None:
    weights, state = history.artefact(1, "weights"), history.artefact(2, "state")
    assert weights is not None
    assert state is not None
    weights.path.write_bytes(b"other")
    state.path.unlink()
    stray = history.run_folder(1) / ".state.safetensors.99.part"
    stray.write_bytes(b"half")
    age(stray)
    assert findings(history) == [
        f"the weights of run 1 is damaged: {weights.path}",
        f"the state of run 2 is gone: {state.path}",
        "1 files (0.0 MB) that nothing refers to",
    ]
    with closing(open_database(history.path)) as database:
        repair(database, history.path, examine(database, history.path))
    assert not stray.exists()
    assert history.artefact(1, "weights") is None
    assert history.artefact(2, "weights") is not None
    with closing(open_for_reading(history.path)) as database:
        rest = [finding.what for finding in examine(database, history.path)]
    assert rest == ["1 files (0.0 MB) that nothing refers to"] or rest == []


def test_that_metrics_and_checkpoints_of_a_run_that_goes_on_are_not_called_damaged(history: History) -> None:
    run = add_run(history, history.enqueue(tiny()), "teacher")
    history.start_runs([Started(run=run, fingerprint="f", data_digest="d", steps=1, environment={})])
    step = 0

    def go_on(*_: object) -> None:
        nonlocal step
        step += 1
        history.write_metrics([Metrics(run, step, 0.1, 0.1, (("loss", 1 / step),))])
        old = write(history, run, f"state{step}", b"x" * step)
        history.record_artefacts([Artefact(run, ["state"], step, old, step, hashlib.sha256(b"x" * step).hexdigest())])

    go_on()
    with closing(open_for_reading(history.path)) as database:
        assert examine(database, history.path, go_on) == []
    assert step > 2


def test_that_a_damaged_file_is_one_finding(history: History, tmp_path: Path) -> None:
    history.close()
    content = bytearray(history.path.read_bytes())
    content[8192:12288] = b"\xff" * 4096
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(content)
    with closing(open_for_reading(damaged)) as database:
        (finding,) = examine(database, damaged)
    assert finding.what.startswith("the file itself is damaged: ")
    assert finding.what.endswith("restore a backup")
    history.__init__(history.path)  # type: ignore[misc]


def test_that_the_files_of_a_run_under_way_are_never_called_unused(history: History) -> None:
    run = add_run(history, history.enqueue(tiny()), "teacher")
    history.start_runs([Started(run=run, fingerprint="f", data_digest="d", steps=1, environment={})])
    path = history.run_folder(run) / "state-1.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not yet recorded")
    assert findings(history) == []


def test_that_cleaning_up_keeps_weights_and_what_unfinished_runs_need(history: History) -> None:
    stopped = add_run(history, history.enqueue(tiny()), "teacher")
    kept = write(history, stopped, "state", b"needed")
    history.finish_run(stopped, "stopped", "")
    with closing(open_database(history.path)) as database:
        assert forget_states(database, history.path) == len(b"state 1") + len(b"state 2")
        assert kept.exists()
        assert history.artefact(1, "weights") is not None
        assert history.artefact(1, "state") is None
    assert {one.kind for one in files(history)} == {"state", "weights"}
    assert findings(history) == []


def age(path: Path, seconds: float = 3600.0) -> None:
    """Let a file have been written some time ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_that_what_a_restored_backup_replaced_keeps_its_files(history: History) -> None:
    path = history.path
    history.close()
    with closing(open_database(path)) as database:
        older = back_up(database, path, "by-hand")
    with History(path) as later:
        run = add_run(later, later.enqueue(tiny()), "teacher")
        weights = write(later, run, "weights", b"only the newer history knows these")
        later.finish_run(run, "done", "")
    age(weights)
    replaced = restore(path, older)
    with closing(open_database(path)) as database:
        repair(database, path, examine(database, path))
        assert weights.exists()
        assert replaced is not None
    restore(path, replaced)
    with closing(open_for_reading(path)) as database:
        assert examine(database, path) == []


def test_that_an_import_under_way_is_left_alone(history: History) -> None:
    part = files_folder(history.path) / "runs" / ".import-0123456789abcdef" / "0"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"unpacked")
    age(part)
    assert "unused" not in {one.kind for one in files(history)}
    age(part, 100_000.0)
    assert "unused" in {one.kind for one in files(history)}


def files(history: History) -> list:  # type: ignore[type-arg]
    with closing(open_for_reading(history.path)) as database:
        return usage(database, history.path)


def test_that_usage_names_each_file_and_only_chosen_kinds_are_removed(history: History) -> None:
    (files_folder(history.path) / "runs" / "stray").mkdir()
    (files_folder(history.path) / "runs" / "stray" / "x.safetensors").write_bytes(b"12345")
    assert len(files(history)) == 4  # whoever wrote it may be about to record it
    age(files_folder(history.path) / "runs" / "stray" / "x.safetensors")
    found = files(history)
    assert sorted(one.kind for one in found) == ["state", "state", "unused", "weights", "weights"]
    assert clean_up(found, {"unused"}) == 5
    assert len(files(history)) == 4


@pytest.mark.parametrize("seed", range(30))
def test_that_a_flipped_bit_is_found_or_is_outside_the_metrics(seed: int, history: History, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    with closing(open_database(history.path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        step = int(random.integers(1, 300))
        before = [tuple(row) for row in database.execute("SELECT * FROM metrics").fetchall()]
        (value,) = database.execute("SELECT value FROM metrics WHERE run = 1 AND metric = 'loss' AND step = ?", [step]).fetchone()
    content = bytearray(history.path.read_bytes())
    place = content.find(struct.pack(">d", value))
    assert place > 0
    content[place + int(random.integers(8))] ^= 1 << int(random.integers(8))
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(content)
    with closing(open_for_reading(damaged)) as database:
        found = examine(database, history.path)
        if not found:
            assert [tuple(row) for row in database.execute("SELECT * FROM metrics").fetchall()] == before
