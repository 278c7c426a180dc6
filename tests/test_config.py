"""Experiments and runs as frozen, checked values."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiments import tiny
from workbench import zoo
from workbench.config import (
    ENGINE_VERSION,
    DataConfig,
    DistillationConfig,
    ExperimentConfig,
    ModelConfig,
    RunConfig,
    TeacherConfig,
    TrainingConfig,
    TransferConfig,
    fingerprint,
    flat,
)
from workbench.errors import ConfigError
from workbench.recipes import load_recipe, recipe_paths, recipe_tables, with_values
from workbench.settings import options_of
from workbench.sweep import expand


def run_config(**parts: Any) -> RunConfig:
    return RunConfig(**parts)


def reason(tables: dict[str, Any]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        ExperimentConfig.from_dict(tables)
    return caught.value


CHANGED: dict[str, Any] = {
    "name": "x",
    "description": "y",
    "seed": 3,
    "teacher_seed": 4,
    "data": {"dataset": "mnist", "split_seed": 2, "channels": 3, "transpose": True, "standardise": False},
    "teachers": [{"model": "cnn", "channels": 8, "count": 3}, {"model": "mlp", "run": 12}],
    "teacher_training": {"epochs": 7, "optimizer": "sgd"},
    "student": {"model": "mlp", "units": 30, "max_norm": 3.0},
    "distillation": {
        "temperature": 2.5,
        "hard_weight": 0.25,
        "match": "logits",
        "mean": "geometric",
        "baseline": False,
        "teacher_view": "clean",
    },
    "transfer": {"fraction": 0.5, "leave_out": [3, "seven"]},
    "training": {"epochs": 9, "schedule": "step", "jitter": 2, "flip": True},
}


@pytest.mark.parametrize("tables", [{}, CHANGED], ids=["defaults", "changed"])
def test_that_an_experiment_survives_tables_json_and_toml(tables: dict[str, Any]) -> None:
    config = ExperimentConfig.from_dict(tables)
    assert ExperimentConfig.from_dict(config.to_dict()) == config
    assert ExperimentConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert ExperimentConfig.from_dict(tomllib.loads(config.to_toml())) == config


def test_that_defaults_are_left_out_of_what_is_written() -> None:
    assert ExperimentConfig().to_dict() == {"teachers": [{"model": "mlp"}], "student": {"model": "mlp"}}


@given(
    temperature=st.floats(0.001, 1000),
    hard_weight=st.floats(0, 1),
    seed=st.integers(0, 2**31 - 1),
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    leave_out=st.lists(st.one_of(st.integers(0, 99), st.text(st.characters(exclude_categories=["Cs"]), max_size=5)), max_size=4),
)
def test_that_any_values_survive_toml(
    temperature: float, hard_weight: float, seed: int, name: str, leave_out: list[int | str]
) -> None:
    config = ExperimentConfig(
        name=name,
        seed=seed,
        distillation=DistillationConfig(temperature=temperature, hard_weight=hard_weight),
        transfer=TransferConfig(leave_out=tuple(leave_out)),
    )
    assert ExperimentConfig.from_dict(tomllib.loads(config.to_toml())) == config


def test_that_a_config_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExperimentConfig().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize("recipe", recipe_paths().values(), ids=lambda path: path.stem)
def test_that_a_built_in_recipe_is_an_experiment_under_its_own_name(recipe: Path) -> None:
    assert {config.name.partition(" · ")[0] for _, config in expand(recipe_tables(recipe.stem))} == {recipe.stem}


@pytest.mark.parametrize(
    ("tables", "path", "words"),
    [
        ({"distillation": {"temperature": 0}}, "distillation.temperature", "must be above 0 and at most 1000, not 0"),
        ({"distillation": {"temperature": -1}}, "distillation.temperature", "must be above 0 and at most 1000, not -1"),
        ({"distillation": {"temperature": float("nan")}}, "distillation.temperature", "not nan"),
        ({"distillation": {"temperature": float("inf")}}, "distillation.temperature", "not inf"),
        ({"distillation": {"temperature": "4"}}, "distillation.temperature", "must be a number, not '4'"),
        ({"distillation": {"temperature": True}}, "distillation.temperature", "must be a number"),
        ({"distillation": {"hard_weight": 1.01}}, "distillation.hard_weight", "at least 0 and at most 1"),
        ({"distillation": {"mean": "harmonic"}}, "distillation.mean", "not one of arithmetic, geometric"),
        ({"distillation": {"temprature": 4}}, "distillation.temprature", "did you mean 'temperature'?"),
        ({"distillation": 4}, "distillation", "must be a table"),
        ({"teachers": []}, "teachers", "at least one teacher"),
        ({"teachers": {"model": "mlp"}}, "teachers", "[[teachers]]"),
        ({"teachers": ["mlp"]}, "teachers.0", "must be a table"),
        ({"teachers": [{"count": 0}]}, "teachers.0.count", "at least 1"),
        ({"teachers": [{}, {"model": "mlpp"}]}, "teachers.1.model", "did you mean 'mlp'?"),
        ({"teachers": [{"unitss": 3}]}, "teachers.0.unitss", "did you mean 'units'?"),
        ({"teachers": [{"run": 3, "count": 2}]}, "teachers.0.count", "must be 1 where a past run is picked"),
        ({"teachers": [{"count": 60}, {"count": 60}]}, "teachers", "at most 100 members"),
        ({"student": {"units": 0}}, "student.units", "at least 1"),
        ({"student": {"units": 3.5}}, "student.units", "must be a whole number, not 3.5"),
        ({"student": {"model": 3}}, "student.model", "there is no model 3"),
        ({"student": {"model": "resnet", "depth": 9}}, "student.depth", "must be 8, 14, 20 and so on, not 9"),
        ({"student": {"model": "torchvision", "architecture": "resnet19"}}, "student.architecture", "did you mean 'resnet18'?"),
        ({"training": {"epochs": 0}}, "training.epochs", "at least 1"),
        ({"training": {"epochs": 10**400}}, "training.epochs", "at least 1 and at most 100000"),
        ({"training": {"learning_rate": 10**400}}, "training.learning_rate", "too large"),
        ({"training": {"flip": 1}}, "training.flip", "must be true or false, not 1"),
        ({"data": {"channels": 2}}, "data.channels", "must be 0, 1 or 3"),
        ({"data": {"dataset": "  "}}, "data.dataset", "must name a data set"),
        ({"data": {"dataset": 5}}, "data.dataset", "must be a text"),
        ({"transfer": {"leave_out": 3}}, "transfer.leave_out", "must be a list of class names or numbers, not 3"),
        ({"transfer": {"leave_out": [True]}}, "transfer.leave_out", "must be a list"),
        ({"transfer": {"leave_out": [1], "keep": [2]}}, "transfer.keep", "not both"),
        ({"transfer": {"fraction": 0}}, "transfer.fraction", "above 0"),
        ({"transfer": {"fraction": -0.1, "images": "mine"}}, "transfer.fraction", "at least 0 and at most 1"),
        ({"transfer": {"fraction": 0, "images": "mine"}}, "distillation.baseline", "switch it off"),
        ({"transfer": {"images": 3}}, "transfer.images", "must be a text, not 3"),
        ({"transfer": {"labelled": False}}, "distillation.hard_weight", "must be 0 where the transfer set has no labels"),
        ({"tranfser": {}}, "tranfser", "did you mean 'transfer'?"),
        ({"seed": -1}, "seed", "at least 0"),
        ({"name": ["a"]}, "name", "must be a text"),
    ],
)
def test_that_a_wrong_value_is_refused_with_its_path_and_what_would_be_right(
    tables: dict[str, Any], path: str, words: str
) -> None:
    error = reason(tables)
    assert error.path == path
    assert words in error.reason
    assert "\n" not in str(error)


def test_that_own_images_may_be_all_that_the_student_sees() -> None:
    tables = {"transfer": {"fraction": 0, "images": "mine"}, "distillation": {"baseline": False}}
    config = ExperimentConfig.from_dict(tables)
    assert ExperimentConfig.from_dict(tomllib.loads(config.to_toml())) == config
    assert (config.transfer.fraction, config.transfer.images) == (0.0, "mine")


def test_that_an_unlabelled_transfer_set_is_allowed_with_soft_targets_alone() -> None:
    config = ExperimentConfig.from_dict({"transfer": {"labelled": False}, "distillation": {"hard_weight": 0}})
    assert not config.transfer.labelled


def test_that_every_range_names_its_setting_when_it_is_left() -> None:
    classes: list[type] = [DataConfig, TransferConfig, DistillationConfig, TrainingConfig, TeacherConfig]
    for cls in classes:
        for option in options_of(cls):
            if option.setting.high is not None:
                with pytest.raises(ConfigError) as caught:
                    cls(**{option.name: option.kind(option.setting.high + 1)})
                assert caught.value.path == option.name


class TestRecipeFiles:
    def test_that_a_syntax_error_names_the_file_and_the_line(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text('name = "x"\n[student\nunits = 3\n')
        with pytest.raises(ConfigError, match=r"mine\.toml is not valid TOML: .*line 2"):
            load_recipe(path)

    def test_that_a_file_that_is_no_text_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
        with pytest.raises(ConfigError, match=r"mine\.toml is not a recipe"):
            load_recipe(path)

    def test_that_a_file_that_is_gone_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"gone\.toml cannot be read"):
            load_recipe(tmp_path / "gone.toml")

    def test_that_a_number_of_ten_thousand_digits_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.toml"
        path.write_text(f"seed = {'9' * 10_000}\n")
        with pytest.raises(ConfigError, match=r"mine\.toml is not valid TOML"):
            load_recipe(path)


class TestDottedPaths:
    def test_that_values_are_set_where_the_path_says_and_the_given_tables_stay(self) -> None:
        before = {"teachers": [{"model": "mlp", "units": 3}], "student": {"units": 4}}
        after = with_values(before, [("teachers.0.count", 3), ("student.units", 30), ("distillation.temperature", 4)])
        assert after == {
            "teachers": [{"model": "mlp", "units": 3, "count": 3}],
            "student": {"units": 30},
            "distillation": {"temperature": 4},
        }
        assert before == {"teachers": [{"model": "mlp", "units": 3}], "student": {"units": 4}}

    def test_that_a_teacher_can_be_added_at_the_end(self) -> None:
        assert with_values({"teachers": [{}]}, [("teachers.1.model", "cnn")]) == {"teachers": [{}, {"model": "cnn"}]}

    def test_that_another_model_drops_the_options_of_the_old_one_and_keeps_the_count(self) -> None:
        tables = {"teachers": [{"model": "mlp", "units": 3, "count": 5}], "student": {"units": 9}}
        changes = [("teachers.0.model", "cnn"), ("student.model", "cnn")]
        assert with_values(tables, changes) == {"teachers": [{"model": "cnn", "count": 5}], "student": {"model": "cnn"}}

    def test_that_the_same_model_keeps_its_options(self) -> None:
        assert with_values({"student": {"units": 9}}, [("student.model", "mlp")]) == {"student": {"units": 9, "model": "mlp"}}

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("", "is not a dotted path"),
            ("student..units", "is not a dotted path"),
            ("name.x", "name is a single value"),
            ("teachers.7.count", "numbered from 0"),
            ("teachers.x.count", "numbered from 0"),
            ("teachers.0", "name a setting of the item too"),
        ],
    )
    def test_that_a_path_that_leads_nowhere_is_refused(self, path: str, words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            with_values({"name": "x", "teachers": [{}]}, [(path, 1)])

    def test_that_a_date_in_a_recipe_is_refused_as_a_value_and_not_a_crash(self) -> None:
        with pytest.raises(ConfigError, match="seed: must be a whole number"):
            ExperimentConfig.from_dict(with_values(tomllib.loads("seed = 2020-01-01"), [("name", "x")]))


class TestFingerprint:
    def test_that_it_is_the_same_whether_or_not_defaults_are_spelled_out(self) -> None:
        short = run_config(model=ModelConfig(model="mlp", options={"units": 30}))
        options = {
            "units": 30,
            "layers": 2,
            "dropout": 0,
            "input_dropout": 0.0,
            "max_norm": 0,
            "activation": "relu",
            "bias": True,
        }
        long = RunConfig.from_dict(
            {
                "data": {"dataset": "digits", "validation_fraction": 0.1, "channels": 0},
                "model": {"model": "mlp"} | options,
                "training": {"epochs": 20, "optimizer": "adamw", "learning_rate": 0.001},
                "transfer": {"fraction": 1, "leave_out": []},
                "seed": 0,
            }
        )
        assert fingerprint(short, "d", ()) == fingerprint(long, "d", ())

    def test_that_it_survives_being_stored(self) -> None:
        config = run_config(transfer=TransferConfig(keep=(7, "8")), distillation=DistillationConfig(), seed=5)
        again = RunConfig.from_dict(json.loads(json.dumps(config.to_dict())))
        assert again == config
        assert fingerprint(again, "d", ("p",)) == fingerprint(config, "d", ("p",))

    def test_that_every_setting_of_a_run_changes_it(self) -> None:
        base = run_config(distillation=DistillationConfig())
        seen = {fingerprint(base, "d", ())}
        count = 1
        for part in ("data", "training", "transfer", "distillation"):
            for field in dataclasses.fields(getattr(base, part)):
                changed = dataclasses.replace(getattr(base, part), **{field.name: another(field)})
                seen.add(fingerprint(dataclasses.replace(base, **{part: changed}), "d", ()))
                count += 1
        for option in zoo.spec("mlp").options:
            changed = {int: 3, float: 0.5, bool: False, str: "none"}[option.kind]
            model = ModelConfig(model="mlp", options={option.name: changed})
            seen.add(fingerprint(dataclasses.replace(base, model=model), "d", ()))
            count += 1
        others = [
            dataclasses.replace(base, seed=1),
            dataclasses.replace(base, distillation=None),
            run_config(model=ModelConfig(model="cnn")),
        ]
        seen |= {fingerprint(other, "d", ()) for other in others}
        assert len(seen) == count + len(others)

    def test_that_the_data_and_the_parents_in_their_order_change_it(self) -> None:
        config = run_config()
        ways = [("d", ()), ("e", ()), ("d", ("a",)), ("d", ("a", "b")), ("d", ("b", "a"))]
        assert len({fingerprint(config, data, parents) for data, parents in ways}) == len(ways)

    def test_that_it_is_that_of_the_histories_written_with_this_version_of_the_engine(self) -> None:
        assert ENGINE_VERSION == 2
        assert fingerprint(run_config(), "d", ()) == "f16b703ef852a19bd81ba91ba895f5286a70c7e5f2190ed74c397500c67ee0ce"
        cnn = run_config(model=ModelConfig(model="cnn", options={"channels": 16, "batch_norm": False}))
        assert fingerprint(cnn, "d", ()) == "5b97896fbf3646d9f2d9d1e3f31e1869e41c5d6b892bcb3a376ba8d5b626a5a7"


def another(field: dataclasses.Field[Any]) -> Any:
    """A value that the setting allows and that is not its default."""
    about = field.metadata["setting"]
    if about.choices:
        return next(choice for choice in about.choices if choice != field.default)
    if isinstance(field.default, bool):
        return not field.default
    if isinstance(field.default, tuple):
        return (1,)
    if isinstance(field.default, str):
        return "other"
    if isinstance(field.default, float):
        return 0.5 if field.default != 0.5 else 0.4
    return 3 if field.default != 3 else 1


def test_that_the_settings_of_a_run_are_listed_flat_with_defaults() -> None:
    config = run_config(transfer=TransferConfig(keep=(7, 8)), model=ModelConfig(model="mlp", options={"units": 30}))
    listed = flat(config)
    assert listed["model"] == "mlp"
    assert listed["model.units"] == 30
    assert listed["model.layers"] == 2
    assert listed["training.learning_rate"] == 0.001
    assert listed["transfer.keep"] == "7, 8"
    assert "distillation.temperature" not in listed
    assert flat(dataclasses.replace(config, distillation=DistillationConfig()))["distillation.temperature"] == 4.0


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ModelConfig(options={"layers": 3, "units": 300}), "mlp 3×300"),
        (ModelConfig(options={"activation": "none", "bias": False}), "mlp 2×100 linear without bias"),
        (ModelConfig(model="cnn"), "cnn 32×128"),
        (ModelConfig(model="cnn", options={"convolutions": 2, "batch_norm": False}), "cnn 2·32×128 without norm"),
        (ModelConfig(model="resnet"), "resnet 20×16"),
        (ModelConfig(model="torchvision", options={"architecture": "resnet18"}), "resnet18"),
    ],
)
def test_that_a_model_is_described_in_a_few_words(config: ModelConfig, words: str) -> None:
    assert config.describe() == words


def test_that_the_tiny_experiment_of_these_tests_is_changed_by_dotted_paths() -> None:
    assert tiny(student__units=5).student.options["units"] == 5
