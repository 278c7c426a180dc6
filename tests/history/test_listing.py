"""Lists of runs: groups, order, pins, means over seeds, and cells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlite_utils import Database

from tests.history import lists
from workbench.analysis.sweep_results import estimate
from workbench.history.database import open_database, open_for_reading, writing
from workbench.history.fields import Vocabulary, vocabulary
from workbench.history.listing import Listing, Question, cells, list_entries, sparks, summaries, values


@pytest.fixture
def made(history_path: Path) -> tuple[Path, dict[str, int]]:
    return history_path, lists.make(history_path)


@pytest.fixture
def database(made: tuple[Path, dict[str, int]]) -> Iterator[Database]:
    with closing(open_for_reading(made[0])) as found:
        yield found


@pytest.fixture
def known(database: Database) -> Vocabulary:
    return vocabulary(database)


def shown(listing: Listing, runs: dict[str, int]) -> dict[str, list[str]]:
    """The names of the runs by the titles of their groups, in order."""
    names = {run: name for name, run in runs.items()}
    return {group.title: [names[entry.run] for entry in listing.entries[group.start : group.stop]] for group in listing.groups}


def test_that_experiments_stand_newest_first_with_what_they_reuse(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary
) -> None:
    found = list_entries(database, known, Question())
    assert shown(found, made[1]) == {
        "waits  #7": [],
        "50% of_it  #6": ["diverged"],
        "at 8, 1  #5": ["teacher", "T8 s1"],
        "at 8, 0  #4": ["teacher", "T8 s0"],
        "at 2, 1  #3": ["teacher", "T2 s1"],
        "at 2, 0  #2": ["teacher", "T2 s0"],
        "first  #1": ["teacher"],
    }
    reused = found.entries[found.groups[2].start]
    assert (reused.reused, reused.name) == (True, "teacher 1")
    assert found.total == 6


def test_that_a_filter_leaves_out_groups_without_a_match(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary
) -> None:
    found = list_entries(database, known, Question(filter="T = 8"))
    assert shown(found, made[1]) == {"at 8, 1  #5": ["T8 s1"], "at 8, 0  #4": ["T8 s0"]}


def test_that_several_fields_order_runs_and_missing_values_come_last(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary
) -> None:
    found = list_entries(database, known, Question(group="", order=(("T", False), ("accuracy", True))))
    assert shown(found, made[1]) == {"": ["T2 s1", "T2 s0", "T8 s1", "T8 s0", "teacher", "diverged"]}
    found = list_entries(database, known, Question(group="", order=(("T", True), ("accuracy", False))))
    assert shown(found, made[1]) == {"": ["T8 s0", "T8 s1", "T2 s0", "T2 s1", "teacher", "diverged"]}


def test_that_experiments_are_ordered_by_their_students(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary
) -> None:
    found = list_entries(database, known, Question(order=(("accuracy", True),)))
    titles = [group.title.split("  ")[0] for group in found.groups]
    assert titles == ["first", "at 8, 1", "at 8, 0", "at 2, 1", "at 2, 0", "50% of_it", "waits"]


def test_that_any_field_groups(made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary) -> None:
    found = list_entries(database, known, Question(group="T"))
    assert shown(found, made[1]) == {
        "T: 2": ["T2 s1", "T2 s0"],
        "T: 8": ["T8 s1", "T8 s0"],
        "T: none": ["diverged", "teacher"],
    }
    found = list_entries(database, known, Question(group="starred"))
    assert list(shown(found, made[1])) == ["Star: no", "Star: yes"]


def test_that_groups_of_seeds_have_means_with_intervals(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary
) -> None:
    found = list_entries(database, known, Question(group="seeds", filter="role = student"))
    assert shown(found, made[1]) == {
        "student · T 8 · w 0.1 · mlp 1×8 · digits": ["T8 s1", "T8 s0"],
        "student · T 2 · w 0.1 · mlp 1×8 · digits": ["T2 s1", "T2 s0"],
    }
    groups = [found.entries[group.start : group.stop] for group in found.groups]
    high, low = summaries(database, known, groups, ["role", "T", "seed", "name", "tag", "test_accuracy", "loss"])
    for found_mean, expected in ((high, [0.96, 0.98]), (low, [0.90, 0.92])):
        exact = estimate(expected)
        assert found_mean["test_accuracy"].mean == pytest.approx(exact.mean)
        assert found_mean["test_accuracy"].half == pytest.approx(exact.half)
        assert found_mean["test_accuracy"].count == 2
    assert (high["role"], low["tag"], high["tag"]) == ("student", None, None)
    assert (high["T"], high["seed"]) == (8.0, "0…1")


def test_that_settings_other_than_the_seed_keep_groups_apart(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary
) -> None:
    with closing(open_database(made[0])) as writer:
        writer.execute("UPDATE runs SET config = json_set(config, '$.training.epochs', 99) WHERE id = ?", [made[1]["T8 s0"]])
    found = list_entries(database, known, Question(group="seeds", filter="T = 8"))
    assert [group.stop - group.start for group in found.groups] == [1, 1]


def test_that_pinned_runs_come_first_whatever_the_filter(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary
) -> None:
    with closing(open_database(made[0])) as writer:
        writer.execute("INSERT INTO marks VALUES (?, 1, 0, '')", [made[1]["teacher"]])
    found = list_entries(database, known, Question(group="", filter="T = 8"))
    assert shown(found, made[1]) == {"Pinned (1)": ["teacher"], "": ["T8 s1", "T8 s0"]}


def test_that_what_is_in_the_bin_is_not_listed(made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary) -> None:
    with closing(open_database(made[0])) as writer:
        writer.execute("INSERT INTO bin (run, deleted) VALUES (?, '')", [made[1]["T8 s1"]])
    found = list_entries(database, known, Question(filter="T = 8"))
    assert shown(found, made[1]) == {"at 8, 0  #4": ["T8 s0"]}
    assert found.total == 5
    assert made[1]["T8 s1"] not in values(database, known, []).runs


def test_that_a_text_in_the_place_of_a_number_and_a_nul_in_a_name_spoil_nothing(
    made: tuple[Path, dict[str, int]], database: Database
) -> None:
    run = made[1]["T8 s0"]
    with closing(open_database(made[0])) as writer:
        writer.execute("UPDATE params SET value = 'auto' WHERE run = ? AND key = 'training.learning_rate'", [run])
        writer.execute("INSERT INTO results VALUES (?, ?, 0.5)", [run, "a\x00b"])
    known = vocabulary(database)
    found = list_entries(database, known, Question(order=(("training.learning_rate", True),), filter="T = 8"))
    groups = [found.entries[group.start : group.stop] for group in found.groups]
    summaries(database, known, groups, list(known.fields))
    assert cells(database, known, [run], ["training.learning_rate"]) == {run: (None,)}


def test_that_cells_and_bars_are_read_for_the_runs_asked(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary
) -> None:
    run = made[1]["T8 s0"]
    assert cells(database, known, [run], ["T", "accuracy", "tag", "no such", "loss"]) == {
        run: (8.0, 0.96, "good, paper", pytest.approx(0.04))
    }
    found = list_entries(database, known, Question(bars=("test_accuracy",)))
    assert found.ranges == {"test_accuracy": (0.90, 0.99)}


def test_that_an_earlier_answer_serves_another_order_until_the_file_changes(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary
) -> None:
    question = Question(bars=("test_accuracy",))
    before = list_entries(database, known, question)
    ordered = replace(question, order=(("accuracy", True),), group="T")
    assert list_entries(database, known, ordered, before) == list_entries(database, known, ordered)
    filtered = replace(question, filter="T = 8")
    assert list_entries(database, known, filtered, before) == list_entries(database, known, filtered)
    with closing(open_database(made[0])) as writer, writing(writer):
        writer.execute("UPDATE results SET value = 0.5 WHERE name = 'test_accuracy' AND run = ?", [made[1]["T8 s0"]])
    assert list_entries(database, known, ordered, before).ranges == {"test_accuracy": (0.5, 0.99)}


@pytest.mark.parametrize("group", ["experiment", "seeds", "T", ""])
def test_that_another_order_of_an_earlier_answer_is_that_of_the_history(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary, group: str
) -> None:
    with closing(open_database(made[0])) as writer, writing(writer):
        writer.execute("INSERT INTO marks (run, pinned) VALUES (?, 1)", [made[1]["T8 s0"]])
    orders = [(), (("accuracy", True),), (("T", False), ("accuracy", True)), (("name", False),), (("seed", True), ("T", False))]
    before = list_entries(database, known, Question(group=group))
    for order in orders:
        question = Question(group=group, order=order)
        found = list_entries(database, known, question, before)
        assert found == list_entries(database, known, question)
        before = found
    with closing(open_database(made[0])) as writer, writing(writer):
        writer.execute("UPDATE runs SET name = 'other' WHERE id = ?", [made[1]["T8 s0"]])
    assert list_entries(database, known, question, before) == list_entries(database, known, question)


def test_that_a_small_curve_has_the_means_of_its_stretches(
    made: tuple[Path, dict[str, int]], database: Database, known: Vocabulary
) -> None:
    run = made[1]["T8 s0"]
    with closing(open_database(made[0])) as writer:
        writer.execute("UPDATE runs SET step = 959 WHERE id = ?", [run])
        for step in range(960):
            writer.execute("INSERT INTO metrics VALUES (?, 'loss', ?, ?)", [run, step, float(step)])
    (found,) = sparks(database, [run, made[1]["teacher"]]).values()
    np.testing.assert_allclose(found, np.arange(960.0).reshape(48, 20).mean(axis=1))
