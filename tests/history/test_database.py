"""What may be opened as a history, and that whatever else it is stays as it was."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.experiments import tree
from tests.history.processes import Start, ended, go_on, said
from workbench.errors import HistoryError
from workbench.history import reading
from workbench.history.database import (
    APPLICATION_ID,
    SCHEMA_VERSION,
    SqliteError,
    check_history,
    open_database,
    open_for_reading,
    writing,
)
from workbench.history.writing import History

Open = Callable[[Path], object]


def png(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))


def empty_text(path: Path) -> None:
    path.write_text("hello")


def without_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")


def of_another_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
        connection.execute("INSERT INTO bookmarks VALUES ('x')")
        connection.commit()


def of_an_application_with_a_number(path: Path) -> None:
    of_another_application(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 77")


def of_a_newer_workbench(path: Path) -> None:
    open_database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.execute("PRAGMA journal_mode = DELETE")


def a_folder(path: Path) -> None:
    path.mkdir()


def in_a_folder_that_is_not_there(path: Path) -> None:
    path.parent.rmdir()


def read_only(path: Path) -> None:
    open_database(path).close()
    path.chmod(0o444)


def in_a_read_only_folder(path: Path) -> None:
    path.parent.chmod(0o555)


def torn(path: Path) -> None:
    open_database(path).close()
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(len(content) - 100))


UNUSABLE = {
    png: "is not a history: it is not an SQLite file",
    empty_text: "is not a history: it is not an SQLite file",
    of_another_application: "is an SQLite file of another application",
    of_an_application_with_a_number: "is an SQLite file of another application",
    of_a_newer_workbench: rf"was written by a newer workbench \(schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION}\)",
    a_folder: "is a folder; name a file in it, such as",
    in_a_folder_that_is_not_there: "the folder .* of the history does not exist; make it first",
}
UNWRITABLE = {
    read_only: "is read-only; make it writable or name another",
    in_a_read_only_folder: "the folder .* is read-only",
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "some where #1?"
    folder.mkdir()
    yield folder / "my history.db"
    if folder.exists():
        folder.chmod(0o755)


@pytest.mark.parametrize("opens", [open_database, check_history, History])
@pytest.mark.parametrize(("prepare", "words"), (UNUSABLE | UNWRITABLE).items(), ids=lambda part: getattr(part, "__name__", ""))
def test_that_what_is_no_history_is_refused_in_a_sentence_and_left_byte_for_byte(
    prepare: Open, words: str, opens: Open, place: Path
) -> None:
    prepare(place)
    before = tree(place.parent.parent)
    with pytest.raises(HistoryError, match=words) as caught:
        opens(place)
    assert "\n" not in str(caught.value)
    assert tree(place.parent.parent) == before


@pytest.mark.parametrize(("prepare", "words"), UNUSABLE.items(), ids=lambda part: getattr(part, "__name__", ""))
def test_that_what_is_no_history_is_not_read_either(prepare: Open, words: str, place: Path) -> None:
    prepare(place)
    before = tree(place.parent.parent)
    with pytest.raises(HistoryError):
        open_for_reading(place)
    assert tree(place.parent.parent) == before


def test_that_a_live_database_of_another_application_is_refused_though_its_log_is_not_yet_merged(place: Path) -> None:
    with closing(sqlite3.connect(place)) as theirs:
        theirs.execute("PRAGMA journal_mode = WAL")
        theirs.execute("CREATE TABLE bookmarks (url TEXT)")
        theirs.commit()
        for opens in (open_database, check_history, open_for_reading):
            with pytest.raises(HistoryError, match="is an SQLite file of another application"):
                opens(place)
        tables = [row[0] for row in theirs.execute("SELECT name FROM sqlite_master")]
        assert tables == ["bookmarks"]
        assert theirs.execute("PRAGMA application_id").fetchone() == (0,)


def test_that_a_torn_history_is_a_sentence(place: Path) -> None:
    torn(place)
    with pytest.raises(HistoryError, match=r"cannot be (used|read) as a history"):
        open_database(place)


def test_that_a_history_to_be_is_fine_and_checking_it_makes_nothing(place: Path) -> None:
    check_history(place)
    assert tree(place.parent) == {}


def test_that_a_history_is_fine_and_checking_it_changes_nothing(place: Path) -> None:
    with History(place):
        pass
    before = tree(place.parent)
    check_history(place)
    assert tree(place.parent) == before


def test_that_a_history_that_is_open_elsewhere_and_was_just_made_is_fine(place: Path) -> None:
    with closing(open_database(place)):
        check_history(place)
        with closing(open_database(place)) as second, closing(open_for_reading(place)) as third:
            assert reading.list_runs(second) == reading.list_runs(third) == []


@pytest.mark.parametrize("make", [Path.touch, without_tables])
def test_that_an_empty_file_becomes_a_history(make: Open, place: Path) -> None:
    make(place)
    with closing(open_database(place)) as database:
        assert database.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID


def test_that_an_empty_database_that_another_process_is_just_making_becomes_a_history(place: Path) -> None:
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA user_version = 0")
    check_history(place)
    with closing(open_database(place)) as database:
        assert database.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION


def test_that_reading_needs_a_history_that_is_there(place: Path) -> None:
    with pytest.raises(HistoryError, match=r"there is no history at .*; run an experiment first"):
        open_for_reading(place)
    assert tree(place.parent) == {}


@pytest.mark.parametrize("make", [Path.touch, without_tables])
def test_that_a_history_that_is_not_yet_made_is_not_read(make: Open, place: Path) -> None:
    make(place)
    before = tree(place.parent)
    with pytest.raises(HistoryError, match="there is no history at"):
        open_for_reading(place)
    assert tree(place.parent) == before


def test_that_a_reader_cannot_write(place: Path) -> None:
    open_database(place).close()
    with closing(open_for_reading(place)) as database, pytest.raises(Exception, match="readonly"):
        database.execute("DELETE FROM runs")


def test_that_a_read_only_history_can_be_read(place: Path) -> None:
    read_only(place)
    with closing(open_for_reading(place)) as database:
        assert reading.list_runs(database) == []


def test_that_tables_are_strict_and_foreign_keys_are_on(place: Path) -> None:
    with closing(open_database(place)) as database:
        assert database.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        tables = database.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        strict = {row[0]: row[1] for row in tables.fetchall()}
        assert set(strict.values()) == {1}
        assert {"runs", "experiments", "metrics", "points", "summary", "nonfinite", "params", "artefacts"} <= strict.keys()
        assert {"queue", "bin", "tags", "run_notes", "lineage", "predictions", "results", "members", "processes"} <= strict.keys()


def test_that_each_commit_is_on_the_disk_before_it_returns(place: Path) -> None:
    with closing(open_database(place)) as database:
        assert database.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert database.execute("PRAGMA journal_mode").fetchone()[0] in ("wal", "truncate")


def test_that_a_transaction_is_whole_or_not_at_all(place: Path) -> None:
    with closing(open_database(place)) as database:
        insert = "INSERT INTO processes (lock, host, started) VALUES (?, 'h', 's')"
        with pytest.raises(SqliteError), writing(database):
            [database.execute(insert, [lock]) for lock in ("a", "a")]
        with writing(database):
            database.execute(insert, ["b"])
        assert [row[0] for row in database.execute("SELECT lock FROM processes").fetchall()] == ["b"]


OPEN_AT_ONCE = """
import sys
from pathlib import Path
from workbench.history.writing import History
print("ready", flush=True)
for name in sys.argv[1:]:
    sys.stdin.readline()
    with History(Path(name)) as history:
        print("open", flush=True)
        sys.stdin.readline()
"""


def test_that_several_processes_may_make_the_same_history_at_once(tmp_path: Path, python: Start) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(5)]
    processes = [python(OPEN_AT_ONCE, *paths) for _ in range(3)]
    for process in processes:
        said(process, "ready")
    for path in paths:
        for process in processes:
            go_on(process)
        for process in processes:
            said(process, "open")
        for process in processes:
            go_on(process)
        assert path.exists()
    for process in processes:
        ended(process)
    with closing(open_for_reading(paths[0])) as database:
        assert database.execute("SELECT count(*) FROM processes").fetchone()[0] == 3
    assert os.listdir(tmp_path / "0.files" / "locks") == []


WRITES_AND_READS = """
import sys
from contextlib import closing
from pathlib import Path
from tests.experiments import tiny
from workbench.history.database import check_history, open_for_reading
from workbench.history.writing import History
path = Path(sys.argv[1])
with History(path) as history:
    check_history(path)
    with closing(open_for_reading(path)):
        pass
    print("open", flush=True)
    sys.stdin.readline()
    history.enqueue(tiny())
    print("written", flush=True)
    sys.stdin.readline()
"""


def test_that_what_is_written_beside_one_who_leaves_is_there_for_all(tmp_path: Path, python: Start) -> None:
    path = tmp_path / "experiments.db"
    process = python(WRITES_AND_READS, path)
    said(process, "open")
    with closing(sqlite3.connect(path)) as other:  # Python's own SQLite, as datasette's and other tools'
        other.execute("SELECT count(*) FROM runs").fetchone()
    go_on(process)
    said(process, "written")
    process.kill()
    process.wait()
    with closing(open_for_reading(path)) as database:
        assert database.execute("SELECT count(*) FROM experiments").fetchone()[0] == 1
