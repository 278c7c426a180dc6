"""What is entered whole or not at all, wherever the program is killed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.experiments import engine, launch, tiny
from workbench.config import ModelConfig, RunConfig
from workbench.distill import checkpoints
from workbench.exchange.bringing import Wanted
from workbench.exchange.importing import enter, measured
from workbench.history import reading
from workbench.history.database import open_for_reading
from workbench.history.writing import History
from workbench.running.experiment import continue_run


@pytest.fixture
def history(history_path: Path) -> Iterator[History]:
    """The tiny experiment, done."""
    folder = history_path.parent / "own"
    folder.mkdir()
    with History(folder / history_path.name) as opened:
        launch(opened, tiny())
        yield opened


@contextmanager
def left_behind(history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Histories as a kill would leave them after every file written, before every change, and at the end."""
    found: list[Path] = []

    def keep() -> None:
        found.append(tmp_path / f"left {len(found)}" / history.path.name)
        shutil.copytree(history.path.parent, found[-1].parent, ignore=shutil.ignore_patterns("*-shm"))

    def changed(statement: str) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "INSERT INTO PARAMS")):
            keep()

    def written(*arguments: Any) -> tuple[int, str]:
        result = write(*arguments)
        keep()
        return result

    write = checkpoints.write
    monkeypatch.setattr(checkpoints, "write", written)
    connection = history._database.conn
    connection.set_trace_callback(changed)
    yield found
    connection.set_trace_callback(None)
    keep()


def content(history: History) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("experiments", "runs", "members", "queue", "artefacts", "results", "lineage", "run_notes")
    with closing(open_for_reading(history.path)) as database:
        found = {name: [tuple(row) for row in database.execute(f"SELECT * FROM {name}").fetchall()] for name in tables}
        predicted = "SELECT run, split, cases, classes FROM predictions"
        return found | {"predictions": [tuple(row) for row in database.execute(predicted).fetchall()]}


def assert_whole_or_none(left: list[Path], before: dict[str, Any], whole: Callable[[History], None]) -> None:
    """In every history left behind there is nothing new, or all; none goes on by itself; both are met with."""
    entered = []
    for path in left:
        with History(path) as history:
            assert history.next_in_queue() is None
            entered.append(content(history) != before)
            if entered[-1]:
                whole(history)
    assert entered == sorted(entered)
    assert set(entered) == {False, True}


def test_that_a_killed_continuation_is_queued_whole_or_not_at_all(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(history)
    with left_behind(history, tmp_path, monkeypatch) as left:
        continue_run(history, 4, 9)

    def whole(found: History) -> None:
        (new,) = (member for member in found.members(2) if not member.reused)
        state = found.artefact(new.run, "state")
        assert state is not None
        assert checkpoints.read(state.path, state.sha256)[1]["epochs_done"] == 3
        assert new.config.training.epochs == 9
        assert new.continues
        with closing(open_for_reading(found.path)) as database:
            assert [(row.experiment, row.held) for row in reading.list_queue(database)] == [(2, True)]

    assert_whole_or_none(left, before, whole)


def test_that_a_killed_import_is_entered_whole_or_not_at_all(
    history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig(model=ModelConfig(options={"layers": 1, "units": 16}))
    weights = shutil.copy(history.weights_of(1).path, tmp_path / "mine.safetensors")
    before = content(history)
    with left_behind(history, tmp_path, monkeypatch) as left:
        enter(history, measured(engine(), Wanted(data=config.data, model=config.model, file=Path(weights))))
    at_the_end = content(history)

    def whole(found: History) -> None:
        stored = found.weights_of(5)
        assert checkpoints.verifies(stored.path, stored.sha256)
        assert content(found) == at_the_end
        with closing(open_for_reading(found.path)) as database:
            assert reading.list_queue(database) == []
            assert {"val_accuracy", "test_errors"} <= reading.list_runs(database, [5])[0].figures.keys()

    assert_whole_or_none(left, before, whole)
