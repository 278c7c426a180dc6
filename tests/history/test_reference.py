"""The reference runs that a new history begins with."""

from __future__ import annotations

import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from workbench.analysis.claims import scoreboard
from workbench.distill import checkpoints
from workbench.history import reading, reference
from workbench.history.curves import read_curve
from workbench.history.database import open_for_reading
from workbench.history.doctor import examine
from workbench.history.reference import begin_with_reference
from workbench.history.writing import History
from workbench.paths import resources_folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "experiments.db"


def test_that_a_new_history_has_the_claims_of_the_paper_tried(path: Path) -> None:
    assert begin_with_reference(path)
    with History(path), closing(open_for_reading(path)) as database:
        short = scoreboard(database, ["short"])
        assert all(score.verdict is not None for score in short)
        assert all(one.reference for one in reading.list_experiments(database))
        assert reading.list_experiments(database, reference=False) == []
        assert reading.list_sweeps(database)
        assert reading.list_sweeps(database, reference=False) == []
        assert examine(database, path) == []


def test_that_small_students_have_sound_weights_and_curves(path: Path) -> None:
    begin_with_reference(path)
    with History(path) as history, closing(open_for_reading(path)) as database:
        runs = [row[0] for row in database.execute("SELECT run FROM artefacts WHERE kind = 'weights'").fetchall()]
        assert len(runs) > 50
        for run in runs:
            stored = history.weights_of(run)
            assert checkpoints.verifies(stored.path, stored.sha256)
            assert len(read_curve(database, run, "loss", 100).value) > 10


def test_that_it_is_small() -> None:
    assert (resources_folder() / "reference.zip").stat().st_size < 10_000_000


def test_that_what_is_launched_afterwards_is_no_reference(path: Path) -> None:
    from tests.experiments import launch, tiny

    begin_with_reference(path)
    with History(path) as history:
        assert launch(history, tiny())[0] == "done"
        with closing(open_for_reading(path)) as database:
            (own,) = reading.list_experiments(database, reference=False)
            assert [row.role for row in own.rows] == ["teacher", "teacher", "baseline", "student"]
            assert not any(row.reused for row in own.rows)


@pytest.mark.parametrize("extra", ["-wal", "-journal"])
def test_that_nothing_is_put_beside_the_log_of_another_file(extra: str, path: Path) -> None:
    Path(f"{path}{extra}").write_bytes(b"of a history that is gone")
    assert not begin_with_reference(path)
    assert not path.exists()


def test_that_a_history_that_is_there_stays_as_it_is(path: Path) -> None:
    with History(path):
        pass
    before = path.read_bytes()
    assert not begin_with_reference(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["absent", "no archive", "another archive"])
def test_that_without_sound_reference_runs_a_history_begins_empty(
    damage: str, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "resources"
    folder.mkdir()
    if damage == "no archive":
        (folder / "reference.zip").write_bytes(b"nothing")
    elif damage == "another archive":
        with zipfile.ZipFile(folder / "reference.zip", "w") as archive:
            archive.writestr("a.txt", "b")
    monkeypatch.setattr(reference, "resources_folder", lambda: folder)
    assert not begin_with_reference(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["resources"]
    with History(path), closing(open_for_reading(path)) as database:
        assert reading.list_experiments(database) == []
