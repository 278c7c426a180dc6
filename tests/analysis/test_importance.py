"""What mattered: settings that made a figure, those that did not, and when there is too little to say."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.analysis.explore import Column, Table, column
from workbench.analysis.importance import MOST_RUNS, mattered, sample


def table(figure: np.ndarray, **settings: list[object]) -> Table:
    columns: dict[str, Column] = {name: column(name, name, values) for name, values in settings.items()}
    columns["accuracy"] = Column(name="accuracy", title="accuracy", values=np.asarray(figure, float), better=1)
    return Table(runs=np.arange(len(figure)), labels=("",) * len(figure), columns=columns)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


def test_that_the_setting_that_made_the_figure_comes_first_and_one_that_did_not_has_none(random: np.random.Generator) -> None:
    temperature, seed = random.permutation(np.arange(120) % 6), random.permutation(np.arange(120) % 4)
    found = mattered(table(-(temperature**2.0), T=temperature.tolist(), seed=seed.tolist()), "accuracy", ["seed", "T"])
    assert [row.name for row in found.rows] == ["T", "seed"]
    first, second = found.rows
    assert first.importance > 0.5 > 0.05 > abs(second.importance)
    assert first.correlation == pytest.approx(-1)
    assert (first.values, second.values) == (6, 4)
    assert found.explained > 0.95
    assert found.words().startswith("A forest of trees explains")


def test_that_texts_have_an_importance_and_no_rank_correlation(random: np.random.Generator) -> None:
    data = random.permutation(np.arange(90) % 3)
    found = mattered(table(data == 1, data=[("a", "b", "c")[one] for one in data]), "accuracy", ["data"])
    assert found.rows[0].importance > 0.5
    assert found.rows[0].correlation is None


def test_that_constant_settings_are_left_out_and_those_that_vary_alike_stand_together(
    random: np.random.Generator,
) -> None:
    units = random.integers(1, 5, 60)
    settings: dict[str, list[object]] = {
        "units": units.tolist(),
        "width": [f"{one} wide" for one in units],
        "epochs": [40] * 60,
        "T": [None if one == 2 else 4 for one in units],
    }
    found = mattered(table(units * 1.0, **settings), "accuracy", list(settings))
    assert {row.name for row in found.rows} == {"units", "T"}
    assert next(row for row in found.rows if row.name == "units").alike == ("width",)
    assert next(row for row in found.rows if row.name == "T").values == 2


def test_that_settings_that_went_together_are_told_to_share_their_importance(random: np.random.Generator) -> None:
    units = random.integers(1, 9, 80)
    batch = units + (random.random(80) < 0.1)
    found = mattered(table(units * 1.0, units=units.tolist(), batch=batch.tolist()), "accuracy", ["units", "batch"])
    assert found.together[0][:2] == ("units", "batch")
    assert "share their importance" in found.words()


def test_that_noise_is_told_to_say_next_to_nothing(random: np.random.Generator) -> None:
    settings: list[object] = list(range(8)) * 5
    found = mattered(table(random.normal(size=40), T=settings), "accuracy", ["T"])
    assert "next to nothing" in found.words()


@pytest.mark.parametrize(
    ("figure", "settings", "said"),
    [
        ([0.9] * 3 + [np.nan] * 20, list(range(23)), "3 of these runs have accuracy; at least 10 are needed"),
        ([0.9] + [np.nan] * 20, list(range(21)), "1 of these runs has accuracy"),
        ([0.9] * 12, list(range(12)), "All 12 runs have the same accuracy"),
        (list(range(12)), [4] * 12, "No setting varies among these runs"),
    ],
)
def test_that_it_says_when_there_is_too_little_to_say(figure: list[float], settings: list[object], said: str) -> None:
    found = mattered(table(np.array(figure), T=settings), "accuracy", ["T"])
    assert found.words().startswith(said)
    assert not found.rows


def test_that_of_very_many_runs_always_the_same_sample_is_taken() -> None:
    runs = list(range(10, 20_000))
    first = sample(runs)
    assert len(first) == MOST_RUNS
    assert first == sorted(set(first)) == sample(runs)
    assert sample(runs[:50]) == runs[:50]
