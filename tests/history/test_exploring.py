"""Many runs as columns: which runs, which fields, what a brush says as a filter, and the settings that may have mattered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlite_utils import Database

from tests.history import lists
from workbench.analysis.brushes import Brush, expression, kept
from workbench.history.database import open_for_reading
from workbench.history.exploring import Explored, Wanted, explored, varied

STUDENTS = Wanted(roles=("student", "baseline"))


@pytest.fixture
def runs(history_path: Path) -> dict[str, int]:
    return lists.make(history_path)


@pytest.fixture
def database(runs: dict[str, int], history_path: Path) -> Iterator[Database]:
    with closing(open_for_reading(history_path)) as found:
        yield found


def shown(found: Explored, runs: dict[str, int]) -> set[str]:
    return {name for name, run in runs.items() if run in found.table.runs}


def test_that_runs_are_those_of_the_roles_the_filter_and_the_choice(database: Database, runs: dict[str, int]) -> None:
    assert shown(explored(database, [], Wanted()), runs) == set(runs)
    assert shown(explored(database, [], STUDENTS), runs) == set(runs) - {"teacher"}
    assert shown(explored(database, [], replace(STUDENTS, filter="T = 8 or diverged")), runs) == {"T8 s0", "T8 s1", "diverged"}
    assert shown(explored(database, [], replace(STUDENTS, runs=(runs["T2 s0"], runs["teacher"]))), runs) == {"T2 s0"}


def test_that_fields_are_columns_with_their_direction_and_runs_have_a_label(database: Database, runs: dict[str, int]) -> None:
    found = explored(database, ["test_accuracy", "T", "data", "starred", "no such field"], STUDENTS)
    columns = found.table.columns
    assert set(columns) == {"test_accuracy", "T", "data", "starred"}
    assert (columns["test_accuracy"].better, columns["test_accuracy"].percent, columns["T"].better) == (1, True, 0)
    assert columns["test_accuracy"].title == "test accuracy"
    assert columns["data"].names == ("digits",)
    assert columns["starred"].names == ("no", "yes")
    place = found.table.runs.tolist().index(runs["T8 s1"])
    assert columns["T"].values[place] == 8
    assert found.table.labels[place] == f"at 8, 1 #5 · student (run {runs['T8 s1']})"
    assert np.isnan(columns["T"].values[found.table.runs == runs["diverged"]]).all()


def test_that_what_is_wrong_with_a_filter_is_said_at_its_own_characters(database: Database) -> None:
    found = explored(database, ["T"], replace(STUDENTS, filter="T >= 4 and temprature > 1"))
    assert found.trouble is not None
    assert "temprature" in str(found.trouble)
    assert (found.trouble.start, found.trouble.end) == (11, 21)
    assert len(found.table) == 0


@pytest.mark.parametrize(
    "brushes",
    [
        {"T": Brush(3, 20)},
        {"T": Brush(none=True)},
        {"T": Brush(0, 4, none=True), "test_accuracy": Brush(0.91, 1.0)},
        {"test_accuracy": Brush(0.91, 0.97)},
        {"experiment": Brush(names=frozenset(["at 2, 0", "50% of_it"]))},
        {"starred": Brush(names=frozenset(["yes"]))},
        {"date": Brush(1.7e9, 9e9)},
        {"tag": Brush(none=True)},
    ],
)
def test_that_a_brush_as_a_filter_keeps_the_same_runs(database: Database, brushes: dict[str, Brush]) -> None:
    everything = explored(database, list(brushes), Wanted()).table
    again = explored(database, [], Wanted(filter=expression(everything, brushes)))
    assert again.trouble is None
    assert again.table.runs.tolist() == everything.runs[kept(everything, brushes)].tolist()


def test_that_settings_come_with_the_figure_for_the_runs_that_have_it(database: Database, runs: dict[str, int]) -> None:
    found = varied(database, "test_accuracy", STUDENTS)
    assert shown(found, runs) == set(runs) - {"teacher", "diverged"}
    assert {"role", "seed", "distillation.temperature", "model.units"} <= set(found.settings)
    assert sorted(found.table.columns["distillation.temperature"].values) == [2, 2, 8, 8]
    assert set(found.settings) <= set(found.table.columns)
    assert len(varied(database, "no such figure", STUDENTS).table) == 0
