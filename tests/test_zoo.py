"""The registry of models: names, options, and adding one."""

# Annotations stay evaluated here, as where a model is added: the registry reads them.

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import pytest

from workbench import zoo
from workbench.config import ExperimentConfig, ModelConfig
from workbench.errors import ConfigError
from workbench.settings import Setting

if TYPE_CHECKING:
    from torch import nn


@pytest.fixture
def linear() -> Iterator[Callable[..., "nn.Module"]]:
    @zoo.model("linear", "Linear classifier")
    def build(
        shape: zoo.Shape,
        classes: int,
        *,
        bias: Annotated[bool, Setting(label="Bias", help="Whether each class has one.")] = True,
    ) -> "nn.Module":
        """One layer, as in logistic regression."""
        from torch import nn

        return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes, bias=bias))

    yield build
    del zoo.MODELS["linear"]


def test_that_a_model_added_by_decorator_shows_up_in_configs_and_is_built(linear: object) -> None:
    spec = zoo.spec("linear")
    assert (spec.label, spec.help) == ("Linear classifier", "One layer, as in logistic regression.")
    assert [(option.name, option.kind, option.default) for option in spec.options] == [("bias", bool, True)]
    config = ExperimentConfig.from_dict({"student": {"model": "linear", "bias": False}, "teachers": [{"model": "linear"}]})
    assert config.student == ModelConfig(model="linear", options={"bias": False})
    assert config.teachers[0].model.options == {"bias": True}
    net = zoo.build("linear", config.student.options, (1, 8, 8), 10)
    assert [tuple(weight.shape) for weight in net.parameters()] == [(10, 64)]


def test_that_wrong_options_of_an_added_model_are_refused(linear: object) -> None:
    with pytest.raises(ConfigError, match=r"student\.bais: the model linear has no such option; it has bias \(did you mean"):
        ExperimentConfig.from_dict({"student": {"model": "linear", "bais": False}})


def test_that_every_option_has_a_label_a_help_and_a_default_that_it_allows() -> None:
    for spec in zoo.MODELS.values():
        assert spec.help.endswith(".")
        assert zoo.checked_options(spec.name, {option.name: option.default for option in spec.options})
        assert all(option.setting.label and option.setting.help.endswith(".") for option in spec.options)


def test_that_an_unknown_model_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ConfigError, match=r"there is no model 'resnett'; the models are mlp, cnn, .*did you mean 'resnet'"):
        zoo.spec("resnett")


def test_that_the_classifiers_offered_are_all_that_torchvision_has() -> None:
    from torchvision import models

    assert sorted(zoo.TORCHVISION_CLASSIFIERS) == sorted(models.list_models(module=models))
