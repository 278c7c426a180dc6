"""The generated history of the benchmarks is one that the workbench could have written."""

from contextlib import closing
from pathlib import Path

import pytest

from tests.benchmarks.big_history import make_history
from workbench.history.curves import read_curve
from workbench.history.database import open_for_reading
from workbench.history.doctor import examine
from workbench.history.reading import list_experiments, list_runs, list_sweeps


def test_that_a_generated_history_is_sound_and_as_large_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    make_history(path, runs=300, points=60_000)
    with closing(open_for_reading(path)) as database:
        assert examine(database, path) == []
        assert len(list_runs(database)) == 300
        assert 60_000 <= database.execute("SELECT count(*) FROM metrics").fetchone()[0] < 60_600
        assert {row.role for row in list_runs(database)} == {"teacher", "baseline", "student"}
        assert {row.status for row in list_runs(database)} == {"done", "failed", "stopped", "interrupted"}
        assert len(list_sweeps(database)) == 1
        assert sum(len(one.rows) for one in list_experiments(database)) > 300


def test_that_long_runs_have_the_points_that_were_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    make_history(path, runs=20, points=100_000, long_runs=1)
    with closing(open_for_reading(path)) as database:
        ((run,),) = database.execute("SELECT run FROM tags WHERE tag = 'long'").fetchall()
        assert len(read_curve(database, run, "loss", points=10_000).value) == 5000


def test_that_a_continued_run_goes_on_where_the_other_ended(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    make_history(path, runs=13, points=2600)
    with closing(open_for_reading(path)) as database:
        run, start = database.execute("SELECT id, continued_step FROM runs WHERE continued_from IS NOT NULL").fetchone()
        found = read_curve(database, run, "loss")
    assert list(found.step[found.step > start]) == [start + 1 + place for place in range(len(found.step) - start)]
    assert found.epoch[-1] == 2 * found.epoch[found.step == start][0]


def test_that_the_same_seed_makes_the_same_history(tmp_path: Path) -> None:
    contents = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_history(tmp_path / f"{name}.db", runs=20, points=2000, seed=seed)
        with closing(open_for_reading(tmp_path / f"{name}.db")) as database:
            tables = [database.execute(f"SELECT * FROM {table}").fetchall() for table in database.table_names()]
            contents.append([tuple(row) for rows in tables for row in rows])
    assert contents[0] == contents[1] != contents[2]


def test_that_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "h.db").write_text("mine")
    with pytest.raises(FileExistsError):
        make_history(tmp_path / "h.db", runs=10, points=1000)
    assert (tmp_path / "h.db").read_text() == "mine"
