"""Emptying the bin: what is needed stays, the rest goes, and nothing that is not in it is touched."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from tests.experiments import add_run, launch, rows, tiny
from workbench.analysis.bias import Correction
from workbench.config import RunConfig
from workbench.errors import CannotWrite
from workbench.events import Metrics
from workbench.history import changes, emptying, reading
from workbench.history.bundle import write_experiment
from workbench.history.curves import read_curve
from workbench.history.database import files_folder, open_database, open_for_reading, writing
from workbench.history.doctor import examine
from workbench.history.emptying import GIVEN_UP, Emptied, empty_bin, read_bin, would_empty
from workbench.history.unbundle import read_experiment
from workbench.history.writing import History
from workbench.running.experiment import continue_run

TABLES = ("runs", "members", "lineage", "params", "results", "bin", "queue", "sweeps", *GIVEN_UP, "artefacts")


def with_writer(history: History, change: Callable[[Database], Any]) -> Any:
    with closing(open_database(history.path)) as database:
        return change(database)


def emptied(history: History) -> Emptied:
    """Empty the bin, as foretold, into a sound history."""

    def empty(database: Database) -> Emptied:
        foretold = would_empty(database)
        assert empty_bin(database, history.path) == foretold
        assert examine(database, history.path) == []
        return foretold

    found: Emptied = with_writer(history, empty)
    return found


def content(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(map(repr, map(tuple, database.execute(f"SELECT * FROM {table}").fetchall()))) for table in TABLES}  # type: ignore[misc]


def numbers(history: History, sql: str) -> list[int]:
    with closing(open_for_reading(history.path)) as database:
        return [row[0] for row in database.execute(sql).fetchall()]


def delete(history: History, runs: list[int], experiments: list[int] | None = None) -> None:
    with_writer(history, lambda database: changes.delete(database, runs, experiments or []))


def visible(history: History) -> Any:
    """What the screens list, and what the views show."""
    with closing(open_for_reading(history.path)) as database:
        views = [
            sorted(map(repr, map(tuple, database.execute(f"SELECT * FROM {view}").fetchall())))
            for view in ("run_overview", "run_settings", "curve_points", "family")
        ]
        return (
            reading.list_runs(database),
            [(one.id, one.rows) for one in reading.list_experiments(database)],
            reading.list_sweeps(database),
            reading.finished_experiments(database),
            views,
        )


@pytest.fixture
def two(history: History) -> History:
    """Experiment 1 with runs 1 to 4, and 2 whose student 5 learns from the same teachers, reused as the baseline is."""
    launch(history, tiny())
    launch(history, tiny(distillation__temperature=9))
    launch(history, tiny(name="apart", seed=8, teacher_seed=8))
    return history


def test_that_an_experiment_goes_wholly_with_its_files(two: History) -> None:
    before = visible(two)
    delete(two, [5], [2])
    after = visible(two)
    assert after != before
    folder = two.run_folder(5)
    assert any(folder.iterdir())
    found = emptied(two)
    assert (found.experiments, found.runs, found.hollow, found.kept) == (1, 1, 0, 0)
    assert found.size > 0
    assert visible(two) == after
    assert numbers(two, "SELECT id FROM experiments") == [1, 3]
    assert not folder.exists()
    for table in ("members", "params", "metrics", "points", "results", "predictions", "artefacts", "bin"):
        assert numbers(two, f"SELECT count(*) FROM {table} WHERE run = 5") == [0]


def test_that_what_others_came_from_keeps_its_row_and_gives_up_its_curves_and_files(two: History) -> None:
    delete(two, [1, 2, 3, 4], [1])
    before = visible(two)
    found = emptied(two)
    assert (found.experiments, found.runs, found.hollow) == (0, 1, 3)
    assert visible(two) == before
    assert numbers(two, "SELECT run FROM bin WHERE emptied IS NOT NULL ORDER BY run") == [1, 2, 3]
    for table in (*GIVEN_UP, "artefacts"):
        assert numbers(two, f"SELECT count(*) FROM {table} WHERE run < 5") == [0]
    assert numbers(two, "SELECT count(*) FROM params WHERE run = 1") != [0]
    with closing(open_for_reading(two.path)) as database:
        assert reading.run_details(database, 5).parents == (1, 2)
        assert reading.run_details(database, 1).row.figures
    assert "; emptied but for name, settings and figures, as others refer to it: 3 runs" in found.words()


def test_that_a_hollow_run_goes_once_nothing_needs_it(two: History) -> None:
    delete(two, [1, 2, 3, 4], [1])
    emptied(two)
    delete(two, [5], [2])
    found = emptied(two)
    assert (found.experiments, found.runs, found.hollow) == (2, 1, 0)
    assert numbers(two, "SELECT min(id) FROM runs") == [6]
    assert emptied(two).nothing


def test_that_of_the_newest_run_nothing_stays_but_its_number(history: History) -> None:
    launch(history, tiny())
    delete(history, [1, 2, 3, 4], [1])
    found = emptied(history)
    assert (found.experiments, found.runs, found.hollow) == (1, 4, 0)
    assert numbers(history, "SELECT id FROM runs") == [4]
    assert numbers(history, "SELECT count(*) FROM members") == [0]
    assert emptied(history).nothing
    launch(history, tiny())
    assert emptied(history).nothing
    assert numbers(history, "SELECT id FROM runs") == [5, 6, 7, 8]
    assert numbers(history, "SELECT id FROM experiments") == [2]


def test_that_an_emptied_teacher_is_never_reused(two: History) -> None:
    delete(two, [1, 2, 3, 4], [1])
    emptied(two)
    status, _ = launch(two, tiny(distillation__temperature=3))
    assert status == "done"
    assert [row.reused for row in rows(two, 4)] == [False] * 4


def test_that_a_continued_run_keeps_what_it_continues(two: History) -> None:
    continue_run(two, 4, 6)
    delete(two, [1, 2, 3, 4], [1])
    with closing(open_database(two.path)) as database, writing(database):
        database.execute("UPDATE runs SET status = 'stopped' WHERE status = 'waiting'")
        database.execute("DELETE FROM queue")
    found = emptied(two)
    assert (found.runs, found.hollow) == (0, 4)
    with closing(open_for_reading(two.path)) as database:
        assert list(read_curve(database, numbers(two, "SELECT max(id) FROM runs")[0], "loss").step) == []


def test_that_what_a_run_under_way_learns_from_stays(history: History) -> None:
    first = history.enqueue(tiny())
    teacher = add_run(history, first, "teacher", RunConfig())
    history.finish_run(teacher, "done", "")
    history.write_metrics([Metrics(teacher, 1, 1.0, 1.0, (("loss", 1.0),))])
    history.finish_experiment(first, "done", "")
    add_run(history, history.enqueue(tiny(name="second")), "student", RunConfig(), [teacher])
    delete(history, [teacher], [first])
    found = emptied(history)
    assert (found.runs, found.hollow, found.kept) == (0, 0, 1)
    assert numbers(history, "SELECT count(*) FROM metrics") == [1]
    assert "Left in the bin, as a run under way learns from it: 1 run" in found.words()
    with_writer(history, lambda database: changes.take_back(database, [teacher], [first]))
    assert numbers(history, "SELECT count(*) FROM bin") == [0]


def test_that_a_deleted_run_of_an_experiment_that_stays_leaves_its_place(two: History) -> None:
    delete(two, [4])
    before = visible(two)
    assert emptied(two).hollow == 1
    assert visible(two) == before
    assert [member.run for member in two.members(1)] == [1, 2, 3, 4]
    launch(two, tiny())  # the claims count such an experiment as not done, and it can be done anew
    assert [row.reused for row in rows(two, 4)] == [True, True, True, False]


def test_that_numbers_are_never_given_again(history: History) -> None:
    launch(history, tiny())
    delete(history, [1, 2, 3, 4], [1])
    emptied(history)
    launch(history, tiny())
    assert [row.id for row in rows(history, 2)] == [5, 6, 7, 8]
    alone = history.enqueue(tiny())
    with_writer(history, lambda database: changes.dequeue(database, [alone]))
    emptied(history)
    assert history.enqueue(tiny()) == alone + 1


def test_that_undo_and_redo_of_what_was_emptied_do_nothing(two: History) -> None:
    with closing(open_database(two.path)) as database:
        changes.delete(database, [4, 5, 6, 7, 8, 9], [2, 3])
        alone = two.enqueue(tiny())
        taken = changes.dequeue(database, [alone])
        empty_bin(database, two.path)
        before, seen = content(database), visible(two)
        changes.take_back(database, [4, 5, 6, 7, 8, 9], [2, 3])
        changes.delete(database, [5, 6], [2])
        changes.put_back(database, taken)
        for number in (5, 6):
            changes.keep_correction(database, number, Correction(classes=(1,), shift=1.0, way="mass"))
            changes.keep_correction(database, number, None)
        changes.mark(database, [changes.Marked(run=5, starred=True, colour="red", tags=("a",), note="b")])
        assert visible(two) == seen
        assert content(database) == before
        assert read_bin(database) == []


def test_that_the_bin_lists_what_can_be_taken_back(two: History) -> None:
    delete(two, [5], [2])
    delete(two, [8])
    with closing(open_database(two.path)) as database:
        found = read_bin(database)
        assert [(one.experiment, one.name, one.run) for one in found] == [(3, "apart", 8), (2, "tiny", 0), (2, "tiny", 5)]
        assert found[0].words == "baseline · mlp 1×8 · digits"
        assert found[0].size > 0
        changes.take_back(database, [5, 8], [2])
        assert read_bin(database) == []
        assert would_empty(database).nothing


def test_that_an_exported_experiment_comes_back_after_emptying(two: History, tmp_path: Path) -> None:
    with closing(open_database(two.path)) as database:
        file = write_experiment(database, two.path, [2], tmp_path / "x.distilled", states=True).path
        before = visible(two)
        changes.delete(database, [5], [2])
        empty_bin(database, two.path)
        brought = read_experiment(database, two.path, file)
    assert (brought.there, len(brought.runs)) == (4, 1)
    after = visible(two)
    assert len(after[0]) == len(before[0])
    with closing(open_for_reading(two.path)) as database:
        assert reading.run_details(database, brought.runs[0]).parents == (1, 2)
        assert examine(database, two.path) == []


@pytest.mark.parametrize("all_of_them", [True, False])
def test_that_the_newest_experiment_and_hollow_runs_come_back_whole_too(all_of_them: bool, two: History, tmp_path: Path) -> None:
    experiments = numbers(two, "SELECT id FROM experiments") if all_of_them else [1]
    before = visible(two)
    with closing(open_database(two.path)) as database:
        file = write_experiment(database, two.path, experiments, tmp_path / "x.distilled", states=True).path
        known = database.execute("SELECT count(*) FROM artefacts").fetchone()[0]
        own = [row[0] for row in database.execute("SELECT id FROM runs").fetchall() if all_of_them or row[0] <= 4]
        changes.delete(database, own, experiments)  # of one alone they are hollow: the student of 2 came from them
        empty_bin(database, two.path)
        brought = read_experiment(database, two.path, file)
        assert (len(brought.runs), brought.there) == (len(own), 0)
        assert set(brought.runs) <= {one.id for one in reading.list_runs(database)}
        assert database.execute("SELECT count(*) FROM artefacts").fetchone()[0] == known
        assert examine(database, two.path) == []
    after = visible(two)
    assert [len(part) for part in after[:2]] == [len(part) for part in before[:2]]


def test_that_files_that_an_import_has_put_back_meanwhile_stay(
    two: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_database(two.path)) as database, closing(open_database(two.path)) as other:
        file = write_experiment(database, two.path, [2], tmp_path / "x.distilled").path
        changes.delete(database, [5], [2])
        unlink = emptying._unlink

        def later(given: Database, history: Path, paths: list[str]) -> None:
            with writing(other):  # the same paths are recorded again, as an import does
                for path in paths:
                    row = [1, "again", 1, path, 1, "0", ""]
                    other.execute("INSERT OR IGNORE INTO artefacts (run, kind, step, path, size, sha256, created) VALUES"
                                  " (?, ? || random(), ?, ?, ?, ?, ?)", row)  # fmt: skip
            unlink(given, history, paths)

        monkeypatch.setattr(emptying, "_unlink", later)
        empty_bin(database, two.path)
        missing = [row[0] for row in other.execute("SELECT path FROM artefacts WHERE kind LIKE 'again%'").fetchall()]
        assert missing
        assert all((files_folder(two.path) / path).exists() for path in missing)
    assert file.exists()


def test_that_a_disk_that_fills_while_curves_go_has_given_up_the_files_first(
    two: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_database(two.path)) as database:
        paths = [row[0] for row in database.execute("SELECT DISTINCT path FROM artefacts WHERE run = 5").fetchall()]
        changes.delete(database, [5], [2])
        monkeypatch.setattr(emptying, "GIVEN_UP", ("no_such_table",))
        with pytest.raises(CannotWrite):
            empty_bin(database, two.path)
        assert paths
        assert not any((files_folder(two.path) / path).exists() for path in paths)
        monkeypatch.undo()
        empty_bin(database, two.path)
        assert examine(database, two.path) == []


@pytest.mark.parametrize("seed", range(40))
def test_that_whatever_is_deleted_what_is_seen_stays(seed: int, history: History) -> None:
    """Random families, random deletions: what was visible before is visible after, unchanged, and the history is sound."""
    draw = random.Random(seed)
    runs: list[int] = []
    for number in range(draw.randrange(2, 9)):
        experiment = history.enqueue(tiny(name=str(number)))
        above = draw.sample(runs, min(len(runs), draw.randrange(3)))
        run = add_run(history, experiment, "student" if above else "teacher", RunConfig(seed=number), above)
        history.write_metrics([Metrics(run, 1, 1.0, 1.0, (("loss", 1.0),))])
        history.finish_run(run, "done", "")
        history.finish_experiment(experiment, "done", "")
        runs.append(run)
    with closing(open_database(history.path)) as database:
        for _ in range(3):
            chosen = draw.sample(runs, draw.randrange(len(runs) + 1))
            changes.delete(database, chosen, chosen if draw.random() < 0.5 else [])
            before = visible(history)
            empty_bin(database, history.path)
            assert visible(history) == before
            assert read_bin(database) == []
            assert examine(database, history.path) == []
            assert would_empty(database).nothing
            changes.take_back(database, runs, runs)
            shown = {one.id for one in visible(history)[0]}
            assert shown == {one.id for one in before[0]}


def test_that_a_kill_in_between_loses_nothing_outside_the_bin(two: History, tmp_path: Path, python: Callable[..., Any]) -> None:
    code = """
import sys, os
from pathlib import Path
from workbench.history import emptying
from workbench.history.database import open_database
path, left = Path(sys.argv[1]), int(sys.argv[2])
class Counting:
    def __init__(self, database):
        self.database, self.conn = database, database.conn
    def execute(self, *a):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return self.database.execute(*a)
unlink = Path.unlink
def counted(self, *a, **k):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)
    unlink(self, *a, **k)
Path.unlink = counted
emptying.empty_bin(Counting(open_database(path)), path)
"""
    delete(two, [1, 2, 3, 4, 5], [1, 2])
    before, ends, whole = visible(two), [], []
    for left in (5, 14, 20, 24, 30, 38, 41, 44, 50, 500):
        copy = tmp_path / f"{left}.db"
        with closing(open_for_reading(two.path)) as database:
            database.execute("VACUUM INTO ?", [str(copy)])
        shutil.copytree(files_folder(two.path), files_folder(copy))
        process = python(code, copy, left)
        process.communicate(timeout=100)
        ends.append(process.returncode)
        with History(copy) as history, closing(open_for_reading(copy)) as database:
            assert visible(history) == before
            assert all(finding.what.endswith("that nothing refers to") for finding in examine(database, copy))
            assert all(history.weights_of(run).path.exists() for run in (6, 7, 8, 9))
            whole.append(len(numbers(history, "SELECT id FROM runs")))
            with_writer(history, lambda database, copy=copy: empty_bin(database, copy))  # type: ignore[misc]
            assert numbers(history, "SELECT id FROM runs ORDER BY id") == [6, 7, 8, 9]
    assert ends == [-9] * 9 + [0]
    assert whole[:3] == [9] * 3
    assert whole[-1] == 4
