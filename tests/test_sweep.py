"""Sweeps: which experiments a [sweep] table means, and what is wrong with one that means none."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tests.experiments import TINY, specialised
from workbench.errors import ConfigError
from workbench.recipes import recipe_tables
from workbench.sweep import Sweep, expand, words


def sweep(text: str) -> Sweep:
    return Sweep.from_dict(tomllib.loads(text))


def points(text: str, seed: int = 0) -> list[dict[str, Any]]:
    return sweep(text).points(seed)


def test_that_a_grid_is_every_combination_in_order() -> None:
    found = points('"distillation.temperature" = [1, 4]\n"student.units" = [8, 16]')
    assert found == [
        {"distillation.temperature": 1, "student.units": 8},
        {"distillation.temperature": 1, "student.units": 16},
        {"distillation.temperature": 4, "student.units": 8},
        {"distillation.temperature": 4, "student.units": 16},
    ]


def test_that_nested_tables_are_dotted_paths_too() -> None:
    assert points("[distillation]\ntemperature = [1, 4]") == points('"distillation.temperature" = [1, 4]')


def test_that_zip_takes_values_together_and_seeds_multiply() -> None:
    found = points('how = "zip"\nseeds = 2\n"distillation.temperature" = [1, 4]\n"student.units" = [8, 16]', seed=5)
    assert [(point["distillation.temperature"], point["student.units"], point["seed"]) for point in found] == [
        (1, 8, 5),
        (1, 8, 6),
        (4, 16, 5),
        (4, 16, 6),
    ]


def test_that_random_takes_so_many_different_combinations_and_the_same_ones_again() -> None:
    text = 'how = "random"\ncount = 5\n"student.units" = [1, 2, 3, 4]\n"distillation.temperature" = [1, 2, 3, 4]'
    found = points(text)
    assert len({tuple(point.items()) for point in found}) == 5
    assert points(text) == found
    assert points(text, seed=1) != found
    assert sweep(text).size == 5


def test_that_a_grid_too_large_to_be_made_is_refused_or_drawn_from() -> None:
    axes = "\n".join(f'"student.a{number}" = {{from = 1, to = 2000, count = 2000}}' for number in range(40))
    with pytest.raises(ConfigError, match="are too many"):
        sweep(axes)
    found = points(f'how = "random"\ncount = 3\n{axes}')
    assert len(found) == 3
    assert all(len(point) == 40 for point in found)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ('{from = 1, to = 16, count = 5, scale = "log"}', [1, 2, 4, 8, 16]),
        ("{from = 0.0, to = 1.0, count = 5}", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ('{from = 1e-4, to = 1e-2, count = 3, scale = "log"}', [1e-4, 1e-3, 1e-2]),
        ("{from = 8, to = 1, count = 3}", [8, 4, 1]),
        ("{from = 1, to = 2, count = 9}", [1, 2]),
    ],
)
def test_that_ranges_are_linear_or_logarithmic_and_whole_where_their_ends_are(given: str, values: list[Any]) -> None:
    found = [point["student.units"] for point in points(f'"student.units" = {given}')]
    assert found == pytest.approx(values)
    assert [type(one) for one in found] == [type(one) for one in values]


def test_that_each_experiment_is_the_recipe_with_its_values_and_says_so_in_its_name() -> None:
    found = expand(TINY | {"sweep": {"seeds": 2, "distillation.temperature": [1, 2.5], "transfer.leave_out": [[], [3]]}})
    assert len(found) == 8
    point, config = found[-1]
    assert (config.distillation.temperature, config.transfer.leave_out, config.seed) == (2.5, (3,), 1)
    assert config.name == "tiny · temperature 2.5 · leave out 3 · seed 1"
    assert words(point) == "temperature 2.5 · leave out 3 · seed 1"


PARTS = {
    "depth": {"student.layers": 0},
    "convolution": {"student": {"units": 9, "model": "mlp"}},
    "width and rate": {"student.channels": 2, "training.learning_rate": 0.5},
}


def test_that_one_part_at_a_time_is_taken_away_from_the_experiment_as_it_is() -> None:
    tables = TINY | {"student": {"model": "cnn", "channels": 4}}
    parts = {name: PARTS[name] for name in ("convolution", "width and rate")}
    found = expand(tables | {"sweep": {"seeds": 2, "without": parts}})
    assert [(point["without"], config.seed) for point, config in found] == [
        (part, seed) for part in ("nothing", *parts) for seed in (0, 1)
    ]
    whole, without, narrow = (found[place][1] for place in (1, 3, 5))
    assert whole.student.options["channels"] == 4
    assert (without.student.model, without.student.options["units"], without.training) == ("mlp", 9, whole.training)
    assert (narrow.student.options["channels"], narrow.training.learning_rate) == (2, 0.5)
    assert all(config.teachers == whole.teachers for _, config in found)
    assert without.name == "tiny · without convolution · seed 1"


def test_that_parts_are_one_more_setting_of_a_grid_and_the_last_word() -> None:
    found = expand(TINY | {"sweep": {"student.layers": [1, 2], "without": {"depth": PARTS["depth"]}}})
    assert [(point, config.student.options["layers"]) for point, config in found] == [
        ({"student.layers": 1, "without": "nothing"}, 1),
        ({"student.layers": 1, "without": "depth"}, 0),
        ({"student.layers": 2, "without": "nothing"}, 2),
        ({"student.layers": 2, "without": "depth"}, 0),
    ]


def test_that_a_recipe_without_a_sweep_is_one_experiment() -> None:
    ((point, config),) = expand(TINY)
    assert (point, config.name) == ({}, "tiny")


def test_that_teachers_stay_the_runs_they_are() -> None:
    found = expand(TINY | {"sweep": {"seeds": 3}})
    assert {config.teacher_seed for _, config in found} == {0}


def test_that_seeds_beside_specialists_are_also_those_of_the_generalist() -> None:
    tables = specialised(seed=3, teacher_seed=7).to_dict()
    found = expand(tables | {"sweep": {"seeds": 3, "specialists.top": [1, 2]}})
    assert [(config.seed, config.teacher_seed) for _, config in found] == [(3, 7), (4, 107), (5, 207)] * 2
    assert words(found[1][0]) == "top 1 · seed 4 · teacher seed 107"
    assert found[1][1].name == "tiny · top 1 · seed 4 · teacher seed 107"
    by_hand = expand(tables | {"sweep": {"seeds": 2, "teacher_seed": [1, 2]}})
    assert [(config.seed, config.teacher_seed) for _, config in by_hand] == [(3, 1), (4, 1), (3, 2), (4, 2)]
    last = 2**31 - 1
    wrapped = expand(specialised(teacher_seed=last).to_dict() | {"sweep": {"seeds": 2}})
    assert [config.teacher_seed for _, config in wrapped] == [last, 99]


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ('how = "all"', "sweep.how", "must be grid, zip, random or bayes"),
        ('how = "bayes"\n"student.units" = [1, 2]', "sweep.count", "say how many"),
        ('how = "bayes"\ncount = 3', "sweep", "needs a setting to vary"),
        ('how = "bayes"\ncount = 3\nseed = [1, 2]', "sweep.seed", "takes no seeds"),
        ('how = "bayes"\ncount = 3\n"student.units" = {from = 0, to = 9, scale = "log"}', "sweep.student.units", "above 0"),
        ('how = "bayes"\ncount = 900\nseeds = 3\n"student.units" = {from = 1, to = 999}', "sweep", "2,700 experiments"),
        ('"student.units" = 3', "sweep.student.units", "must be a list"),
        ('"student.units" = []', "sweep.student.units", "at least one value"),
        ('"student.units" = {from = 1, to = 2}', "sweep.student.units", "a count of 2 or more"),
        ('"student.units" = {from = 1, to = 2, count = 3, step = 1}', "sweep.student.units", "and no step"),
        ('"student.units" = {from = 0, to = 2, count = 3, scale = "log"}', "sweep.student.units", "above 0"),
        ('"student.units" = {from = nan, to = 2, count = 3}', "sweep.student.units", "two numbers"),
        ('how = "zip"\n"student.units" = [1, 2]\n"student.layers" = [1]', "sweep", "as many values of each"),
        ('how = "random"\n"student.units" = [1, 2]', "sweep.count", "say how many"),
        ("without = 3", "sweep.without", "a table of parts"),
        ("[without]\ndepth = 1", "sweep.without.depth", "a table of settings"),
        ("[without]\ndepth = {}", "sweep.without.depth", "a table of settings"),
        ('[without]\nnothing = {"student.layers" = 1}', "sweep.without.nothing", "call the part something else"),
        ("[without]\nluck = {seed = 3}", "sweep.without.luck", "may not set a seed"),
        ("seeds = -1", "sweep.seeds", "must be a whole number"),
        ("seeds = true", "sweep.seeds", "must be a whole number"),
        ('seeds = 2000\n"student.units" = [1, 2]', "sweep", "4,000 experiments are too many"),
    ],
)
def test_that_a_wrong_table_is_a_sentence_with_its_path(text: str, path: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        sweep(text)
    assert caught.value.path == path


def test_that_a_wrong_value_is_a_sentence_with_the_settings_path() -> None:
    with pytest.raises(ConfigError) as caught:
        expand(TINY | {"sweep": {"distillation.temperature": [1, 0]}})
    assert caught.value.path == "distillation.temperature"


@pytest.mark.parametrize(("recipe", "shape"), [("without-a-part-short", (1, 8, 8)), ("without-a-part", (1, 28, 28))])
def test_that_the_perceptron_of_the_study_has_as_many_parameters_as_the_whole_student(
    recipe: str, shape: tuple[int, int, int]
) -> None:
    from workbench.distill.models import model_size

    found = {point["without"]: config.student for point, config in expand(recipe_tables(recipe))}
    assert set(found) == {"nothing", "non-linearity", "depth", "width", "bias", "normalisation", "convolution"}
    whole, perceptron = (model_size(found[part], shape, 10).parameters for part in ("nothing", "convolution"))
    assert perceptron == pytest.approx(whole, rel=0.01)
