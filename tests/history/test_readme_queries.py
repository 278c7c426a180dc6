"""The queries in the README's section on SQL, as they stand there, on a real history."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.experiments import launch, tiny
from workbench.history import changes, reading
from workbench.history.curves import read_curve
from workbench.history.database import open_database, open_for_reading
from workbench.history.writing import History

README = Path(__file__).parents[2] / "README.md"


def queries() -> list[str]:
    """The statements of the section, with the sentence above each."""
    section = README.read_text(encoding="utf-8").split("\n## Your history in SQL\n")[1].split("\n## ")[0]
    return [part.strip() for part in section.split("```sql\n")[1].split("```")[0].split(";") if part.strip()]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Teachers that reach 90%, two students of other temperatures and seeds, and a deleted experiment."""
    made = tmp_path_factory.mktemp("queried") / "experiments.db"
    teachers = {"teacher_training__epochs": 15, "teacher_training__learning_rate": 0.02}
    with History(made) as history:
        launch(history, tiny(**teachers))
        launch(history, tiny(distillation__temperature=9, **teachers))
        launch(history, tiny(seed=3, **teachers))
        launch(history, tiny(seed=4, name="gone", **teachers))
    with closing(open_database(made)) as database:
        changes.delete(database, [run for (run,) in database.execute("SELECT id FROM runs WHERE experiment = 4").fetchall()], [4])
    return made


def answers(path: Path, number: int) -> list[dict[str, Any]]:
    """What a query answers to Python's own SQLite, which knows nothing of the workbench."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(queries()[number])]


def students(path: Path) -> list[reading.RunRow]:
    with closing(open_for_reading(path)) as database:
        return [row for row in reading.list_runs(database) if row.role == "student"]


def test_that_there_are_five_with_a_sentence_each() -> None:
    assert len(queries()) == 5
    assert all(query.startswith("-- ") for query in queries())


def test_that_the_first_names_the_best_students_by_validation(path: Path) -> None:
    wanted = sorted(students(path), key=lambda row: -row.figures["val_accuracy"])
    found = answers(path, 0)
    assert [one["val_accuracy"] for one in found] == [row.figures["val_accuracy"] for row in wanted]
    assert {(one["run"], one["test_errors"]) for one in found} == {(row.id, row.figures["test_errors"]) for row in wanted}
    assert {one["experiment"] for one in found} == {"tiny"}


def test_that_the_second_means_over_seeds(path: Path) -> None:
    cold, hot = answers(path, 1)
    errors = {row.id: row.figures["test_errors"] for row in students(path)}
    of = {4.0: [row.id for row in students(path) if row.temperature == 4], 9.0: [5]}
    assert (cold["temperature"], cold["runs"], cold["model"]) == (4.0, 2, "mlp 1×8")
    assert cold["errors"] == pytest.approx(sum(errors[run] for run in of[4.0]) / 2)
    assert (hot["temperature"], hot["runs"], hot["errors"]) == (9.0, 1, errors[5])


def test_that_the_third_sets_students_beside_their_teachers(path: Path) -> None:
    with closing(open_for_reading(path)) as database:
        accuracy = {row.id: row.figures["test_accuracy"] for row in reading.list_runs(database)}
    found = answers(path, 2)
    assert [one["student"] for one in found] == sorted(row.id for row in students(path))
    for one in found:
        assert (one["teachers"], one["alone"]) == (2, accuracy[one["student"]])
        assert one["theirs"] == pytest.approx((accuracy[1] + accuracy[2]) / 2)


def test_that_the_fourth_tells_how_soon_runs_are_good(path: Path) -> None:
    found = answers(path, 3)
    assert {one["run"] for one in found} >= {1, 2}
    with closing(open_for_reading(path)) as database:
        for one in found:
            curve = read_curve(database, one["run"], "val_accuracy")
            there = curve.value >= 0.9
            assert (one["epoch"], one["seconds"]) == (curve.epoch[there].min(), curve.elapsed[there].min())
    assert [one["seconds"] for one in found] == sorted(one["seconds"] for one in found)


def test_that_the_fifth_tells_what_differs(path: Path) -> None:
    assert answers(path, 4) == [{"key": "distillation.temperature", "run_4": 4.0, "run_5": 9.0}]


def test_that_the_views_are_there_and_named(path: Path) -> None:
    with closing(open_for_reading(path)) as database:
        assert set(database.view_names()) == {"run_overview", "run_settings", "curve_points", "family"}
    text = README.read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in ("run_overview", "run_settings", "curve_points", "family"))
