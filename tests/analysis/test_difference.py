"""Groups of seeds in a history, what they are called, and whether their errors differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
import pytest
from sqlite_utils import Database

from tests.experiments import add_run, tiny
from workbench.analysis.difference import checked_labels, names_in_sentences, sentence, telling
from workbench.config import DataConfig, DistillationConfig, ModelConfig, RunConfig
from workbench.errors import DataError
from workbench.history import reading
from workbench.history.database import open_for_reading
from workbench.history.seed_groups import Sides, seed_groups, sides
from workbench.history.writing import History, Started

CASES = 200
LABELS = np.arange(CASES) % 10


@pytest.fixture
def database(history: History) -> Iterator[Database]:
    with closing(open_for_reading(history.path)) as opened:
        yield opened


def student(history: History, seed: int, temperature: float, parents: Sequence[int] = ()) -> int:
    config = RunConfig(seed=seed, distillation=DistillationConfig(temperature=temperature))
    return add_run(history, history.enqueue(tiny()), "student", config, parents)


def done(history: History, run: int, wrong: int, *, digest: str = "d" * 64, last: bool = False, keep: bool = True) -> None:
    """The run ends with so many errors, on the first test cases or the ``last`` ones."""
    history.start_runs([Started(run=run, fingerprint=f"f{run}", data_digest=digest, steps=1, environment={})])
    history.record_figures(run, {"test_errors": wrong, "test_size": CASES})
    predicted = LABELS.copy()
    part = slice(CASES - wrong, None) if last else slice(wrong)
    predicted[part] = (predicted[part] + 1) % 10
    if keep:
        history.record_predictions(run, "test", CASES, 10, np.eye(10, dtype=np.float16)[predicted].tobytes())
    history.finish_run(run, "done", "")


def rows_of(database: Database, groups: Sequence[Sequence[int]]) -> list[list[reading.RunRow]]:
    return [reading.list_runs(database, group) for group in groups]


def said(database: Database, found: Sides, labels: np.ndarray | None = None) -> str:
    groups = [found.first, found.second]
    settings = reading.run_settings(database, [row.id for group in groups for row in group])
    return sentence(found, names_in_sentences(groups, settings), labels)


def test_that_runs_that_differ_in_their_seeds_alone_are_a_group(history: History, database: Database) -> None:
    hot = [student(history, seed, 8.0) for seed in (0, 1)]
    cold = student(history, 0, 1.0)
    hot.append(student(history, 2, 8.0))
    baseline = add_run(history, history.enqueue(tiny()), "baseline", RunConfig())
    teacher = add_run(history, history.enqueue(tiny()), "teacher", RunConfig(seed=3))
    runs = [baseline, hot[0], cold, hot[2], teacher, hot[1], hot[0]]
    assert seed_groups(database, runs) == [(baseline,), (hot[0], hot[2], hot[1]), (cold,), (teacher,)]
    assert seed_groups(database, []) == []
    assert seed_groups(database, [hot[0], 999]) == [(hot[0],)]


def test_that_students_of_other_teachers_are_another_group_but_not_those_of_other_seeds(
    history: History, database: Database
) -> None:
    def teacher(units: int, seed: int) -> int:
        config = RunConfig(model=ModelConfig(options={"units": units}), seed=seed)
        return add_run(history, history.enqueue(tiny()), "teacher", config)

    small, again, large = teacher(16, 0), teacher(16, 7), teacher(32, 0)
    runs = [student(history, seed, 4.0, [parent]) for seed, parent in ((0, small), (1, again), (2, large))]
    assert seed_groups(database, runs) == [(runs[0], runs[1]), (runs[2],)]


def test_that_groups_are_called_by_what_tells_them_apart(history: History, database: Database) -> None:
    runs = [student(history, 0, 8.0), student(history, 1, 8.0), student(history, 0, 1.0)]
    runs.append(add_run(history, history.enqueue(tiny()), "baseline", RunConfig(seed=0)))
    runs.append(add_run(history, history.enqueue(tiny()), "baseline", RunConfig(seed=1)))
    groups = rows_of(database, seed_groups(database, runs))
    settings = reading.run_settings(database, runs)
    assert telling(groups, settings) == ["temperature 8", "temperature 1", ""]
    assert names_in_sentences(groups, settings) == ["the students with temperature 8", "student (3)", "the baselines"]
    twice = [groups[0], groups[0]]
    assert names_in_sentences(twice, settings)[0] == "the students (runs 2, 1)"


def test_that_seeds_in_common_are_paired(history: History, database: Database) -> None:
    groups: list[list[int]] = [[], []]
    for seed, errors in enumerate([(30, 41), (33, 40), (31, 44)]):
        for group, temperature, wrong in zip(groups, (8.0, 1.0), errors, strict=True):
            group.append(student(history, seed, temperature))
            done(history, group[-1], wrong)
    found = sides(database, *groups)
    assert found.by_seed is not None
    assert (found.cases, found.by_seed.way, found.by_seed.mean) == (CASES, "paired", pytest.approx(-31 / 3))
    text = said(database, found)
    assert text.startswith(
        "The students with temperature 8 make 10.3 fewer errors of 200 than the students with temperature 1 (95%"
    )
    assert text.endswith("the difference is real.")


def test_that_of_one_seed_each_the_test_images_are_compared(history: History, database: Database) -> None:
    first, second = student(history, 5, 8.0), student(history, 5, 1.0)
    done(history, first, 4)
    done(history, second, 20, last=True)
    found = sides(database, [first], [second])
    assert (found.by_seed, found.data, found.digest) == (None, DataConfig(), "d" * 64)
    assert said(database, found, LABELS) == (
        "One seed each says nothing about other seeds. Student (1) makes 4 errors, student (2) makes 20 errors of 200. "
        "On the same 200 test images student (1) is right where student (2) is wrong 20 times, the reverse 4 times "
        "(McNemar's exact test, p = 0.002): the difference is real."
    )
    assert said(database, found, LABELS[:-1]).endswith("of other images than the test split has now.")


def test_that_of_several_seeds_against_one_those_of_a_common_seed_are_compared(history: History, database: Database) -> None:
    many = [student(history, seed, 8.0) for seed in (0, 1, 2)]
    one = student(history, 1, 1.0)
    for run in [*many, one]:
        done(history, run, run)
    found = sides(database, many, [one])
    assert [row.id for row in found.pair] == [many[1], one]
    assert said(database, found, LABELS).startswith("One seed on a side says nothing about other seeds. Student (2) makes")


def test_that_what_cannot_be_compared_is_said(history: History, database: Database) -> None:
    runs = [student(history, seed, 4.0 + seed) for seed in range(4)]
    done(history, runs[0], 10)
    done(history, runs[1], 10, digest="e" * 64)
    done(history, runs[2], 10, keep=False)
    assert "tested on different images" in said(database, sides(database, [runs[0]], [runs[1]]))
    assert "predictions were not kept" in said(database, sides(database, [runs[0]], [runs[2]]))
    assert "none yet" in sides(database, [runs[0]], [runs[3]]).obstacle
    own = add_run(history, history.enqueue(tiny()), "specialist", RunConfig())
    done(history, own, 3)
    assert "its own classes alone" in said(database, sides(database, [runs[0]], [own]))


def test_that_labels_of_other_data_are_refused() -> None:
    assert checked_labels(DataConfig(), "a", "a", LABELS) is LABELS
    with pytest.raises(DataError, match="digits is no longer what these runs were tested on; put the files back"):
        checked_labels(DataConfig(), "a", "b", LABELS)
