"""Copies of the history: before a migration, daily, and put back."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.experiments import add_run, tiny
from workbench.errors import CannotWrite, HistoryError
from workbench.history import backups, reading
from workbench.history.backups import back_up_daily, list_backups, restore
from workbench.history.database import (
    SCHEMA_VERSION,
    backups_folder,
    check_history,
    files_folder,
    open_database,
    open_for_reading,
)
from workbench.history.fields import vocabulary
from workbench.history.listing import Question, list_entries
from workbench.history.liveness import ProcessLock
from workbench.history.writing import History

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(params=sorted(FIXTURES.glob("schema-*.db.gz")), ids=lambda path: path.name)
def older(request: pytest.FixtureRequest, history_path: Path) -> Path:
    """A history of each older version, made by the program of that time."""
    history_path.write_bytes(gzip.decompress(request.param.read_bytes()))
    return history_path


def columns(path: Path) -> dict[str, set[str]]:
    with closing(sqlite3.connect(path)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: {row[1] for row in database.execute(f"PRAGMA table_info({table})")} for table in tables}


def test_that_there_is_a_fixture_for_each_older_version() -> None:
    assert [path.name for path in sorted(FIXTURES.glob("*.gz"))] == [f"schema-{n}.db.gz" for n in range(1, SCHEMA_VERSION)]


def test_that_an_older_history_is_backed_up_byte_for_byte_in_content_and_then_has_the_newest_tables(
    older: Path, tmp_path: Path
) -> None:
    before = columns(older)
    History(older).close()
    History(tmp_path / "new.db").close()
    assert columns(older) == columns(tmp_path / "new.db")
    (backup,) = list_backups(older)
    assert backup.reason.startswith("schema-")
    assert columns(backup.path) == before


def test_that_nothing_of_an_older_history_is_lost_and_what_waited_is_held(older: Path) -> None:
    with closing(sqlite3.connect(older)) as database:
        metrics = database.execute("SELECT * FROM metrics ORDER BY run, metric, step").fetchall()
    with History(older) as history:
        assert history.next_in_queue() is None
    with closing(open_for_reading(older)) as database:
        assert [tuple(row) for row in database.execute("SELECT * FROM metrics ORDER BY run, metric, step")] == metrics
        assert [(one.name, one.status, one.held) for one in reading.list_experiments(database)] == [
            ("waits", "waiting", True),
            ("tiny", "done", False),
        ]


def test_that_an_older_history_can_be_read_at_once(older: Path) -> None:
    with closing(open_for_reading(older)) as database:
        assert {row.status for row in reading.list_runs(database)} == {"done"}


def test_that_older_runs_are_found_by_options_that_came_later(older: Path) -> None:
    with closing(open_for_reading(older)) as database:
        runs = [row.id for row in reading.list_runs(database)]
        for settings in reading.run_settings(database, runs).values():
            assert (settings["model.activation"], settings["model.bias"]) == ("relu", "true")
        assert len(list_entries(database, vocabulary(database), Question(filter="student.bias = true")).entries) == 2


def test_that_checking_an_older_history_changes_nothing(older: Path) -> None:
    content = older.read_bytes()
    check_history(older)
    assert older.read_bytes() == content
    assert not backups_folder(older).exists()


def test_that_an_older_history_that_cannot_be_backed_up_is_left_as_it_is(older: Path) -> None:
    content, before = older.read_bytes(), columns(older)
    backups_folder(older).parent.mkdir()
    backups_folder(older).write_text("not a folder")
    with pytest.raises(CannotWrite, match="the history cannot be copied to"):
        open_database(older)
    assert columns(older) == before
    assert len(content) == older.stat().st_size


def test_that_a_history_that_an_older_workbench_has_open_is_left_to_it(older: Path) -> None:
    before = columns(older)
    lock = ProcessLock(files_folder(older) / "locks" / "0123456789abcdef.lock")
    for opened in (open_database, open_for_reading):
        with pytest.raises(HistoryError, match=r"an older workbench has .* open; close it first"):
            opened(older)
    assert (columns(older), list_backups(older)) == (before, [])
    lock.release()
    open_database(older).close()
    assert columns(older) != before


@pytest.fixture
def filled(history_path: Path) -> Path:
    with History(history_path) as history:
        add_run(history, history.enqueue(tiny(name="kept")), "teacher")
    return history_path


def test_that_there_is_one_copy_a_day_and_the_oldest_go(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert back_up_daily(filled) is not None
    assert back_up_daily(filled) is None
    first = list_backups(filled)[0].path
    for days in range(1, 12):
        made = datetime.now(UTC) - timedelta(days=days)
        shutil.copy(first, first.with_name(f"{made:%Y%m%dT%H%M%S%f}-daily.db"))
    first.unlink()
    assert back_up_daily(filled) is not None
    assert len(list_backups(filled)) == backups.DAILY
    assert list_backups(filled)[0].made.date() == datetime.now(UTC).date()


def test_that_an_empty_history_is_not_copied(history_path: Path) -> None:
    History(history_path).close()
    assert back_up_daily(history_path) is None


def test_that_a_copy_takes_the_historys_place_and_what_was_there_is_kept(filled: Path) -> None:
    copy = back_up_daily(filled)
    assert copy is not None
    with History(filled) as history:
        add_run(history, history.enqueue(tiny(name="later")), "teacher")
    kept = restore(filled, copy)
    assert kept is not None
    for path, names in ((filled, ["kept"]), (kept, ["later", "kept"])):
        with closing(open_for_reading(path)) as database:
            assert [one.name for one in reading.list_experiments(database)] == names


def test_that_a_damaged_history_is_kept_as_it_is_and_the_copy_takes_its_place(filled: Path) -> None:
    copy = back_up_daily(filled)
    assert copy is not None
    filled.write_bytes(b"damaged")
    kept = restore(filled, copy)
    assert kept is not None
    assert kept.read_bytes() == b"damaged"
    with closing(open_for_reading(filled)) as database:
        assert [one.name for one in reading.list_experiments(database)] == ["kept"]


def test_that_the_log_of_a_damaged_history_is_kept_with_it(filled: Path) -> None:
    copy = back_up_daily(filled)
    assert copy is not None
    filled.write_bytes(b"damaged")
    Path(f"{filled}-wal").write_bytes(b"its newest part")
    kept = restore(filled, copy)
    assert kept is not None
    assert Path(f"{kept}-wal").read_bytes() == b"its newest part"
    assert not Path(f"{filled}-wal").exists()


def test_that_a_history_in_use_is_not_replaced(filled: Path) -> None:
    copy = back_up_daily(filled)
    assert copy is not None
    with History(filled), pytest.raises(HistoryError, match=r"another workbench has .* open; close it"):
        restore(filled, copy)


def test_that_what_is_no_history_does_not_take_its_place(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "picture.db").write_bytes(b"\x89PNG" * 50)
    before = filled.read_bytes()
    with pytest.raises(HistoryError, match="is not a history"):
        restore(filled, tmp_path / "picture.db")
    assert filled.read_bytes() == before
