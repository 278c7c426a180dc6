"""What the models of the zoo give, and what they cost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from workbench import zoo
from workbench.config import ModelConfig
from workbench.distill.models import build, build_on_meta, constrain, model_size
from workbench.errors import ConfigError

DIGITS, MNIST, CIFAR = (1, 8, 8), (1, 28, 28), (3, 32, 32)
SMALL_ENOUGH = ("mobilenet_v3_small", "shufflenet_v2_x0_5", "regnet_x_400mf", "squeezenet1_1")

ONE_OF_EACH_FAMILY = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5",
    "mobilenet_v2", "regnet_x_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_0", "swin_t", "swin_v2_t", "vgg11",
    "vit_b_32",
)  # fmt: skip


def config(model: str, **options: object) -> ModelConfig:
    return ModelConfig(model=model, options=options)


@pytest.mark.parametrize("shape", [DIGITS, MNIST, CIFAR], ids=["digits", "mnist", "cifar"])
@pytest.mark.parametrize(
    "chosen",
    [
        config("mlp"),
        config("mlp", layers=0),
        config("mlp", layers=3, units=7, dropout=0.5, input_dropout=0.2, max_norm=2.0),
        config("cnn"),
        config("cnn", channels=3, units=5, dropout=0.5, batch_norm=False),
        config("mlp", activation="none", bias=False),
        config("cnn", channels=3, units=5, convolutions=2),
        config("cnn", channels=3, units=5, activation="none", bias=False),
        config("resnet", depth=8, width=4),
    ],
    ids=lambda chosen: chosen.describe(),
)
def test_that_a_model_gives_logits_for_every_class_that_learn(chosen: ModelConfig, shape: zoo.Shape) -> None:
    model = build(chosen, shape, 7)
    logits = model(torch.randn(4, *shape))
    assert logits.shape == (4, 7)
    logits.logsumexp(dim=1).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("architecture", SMALL_ENOUGH)
def test_that_a_torchvision_classifier_takes_one_channel_and_the_classes_of_the_data(architecture: str) -> None:
    model = build(config("torchvision", architecture=architecture, resize=32), DIGITS, 3)
    logits = model.eval()(torch.randn(2, *DIGITS))
    assert logits.shape == (2, 3)
    logits.logsumexp(dim=1).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


@pytest.mark.parametrize("shape", [MNIST, CIFAR], ids=["mnist", "cifar"])
def test_that_a_torchvision_classifier_takes_images_as_they_are_where_they_are_large_enough(shape: zoo.Shape) -> None:
    model = build(config("torchvision"), shape, 7).eval()
    assert model(torch.randn(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("architecture", zoo.TORCHVISION_CLASSIFIERS)
def test_that_every_torchvision_classifier_is_built_for_grey_images_and_few_classes(architecture: str) -> None:
    model = build_on_meta(config("torchvision", architecture=architecture, resize=224), MNIST, 3)
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    last = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))][-1]
    assert first.in_channels == 1
    assert last.weight.shape[0] == 3
    assert all(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


@pytest.mark.parametrize("architecture", ONE_OF_EACH_FAMILY)
def test_that_a_torchvision_classifier_is_counted_without_computing_it(architecture: str) -> None:
    side = 299 if architecture == "inception_v3" else 224
    size = model_size(config("torchvision", architecture=architecture, resize=side), MNIST, 10)
    assert size.parameters > 300_000
    assert size.multiply_adds > 30_000_000


def test_that_the_size_of_an_mlp_is_what_a_hand_counts() -> None:
    size = model_size(config("mlp", units=30), MNIST, 10)
    assert size.parameters == 784 * 30 + 30 + 30 * 30 + 30 + 30 * 10 + 10
    assert size.multiply_adds == 784 * 30 + 30 * 30 + 30 * 10


def test_that_the_size_of_a_cnn_is_what_a_hand_counts() -> None:
    size = model_size(config("cnn", channels=2, units=5, batch_norm=False), DIGITS, 10)
    assert size.parameters == (9 * 2 + 2) + (9 * 2 * 4 + 4) + (4 * 2 * 2 * 5 + 5) + (5 * 10 + 10)
    assert size.multiply_adds == 9 * 2 * 64 + 9 * 2 * 4 * 16 + 16 * 5 + 50


def test_that_the_size_of_a_cnn_with_parts_taken_away_is_what_a_hand_counts() -> None:
    chosen = {"channels": 2, "units": 5, "bias": False}
    convolved = 9 * 2 + 9 * 2 * 2 + 9 * 2 * 4 + 9 * 4 * 4
    deep = model_size(config("cnn", convolutions=2, batch_norm=False, **chosen), DIGITS, 10)
    assert deep.parameters == convolved + 4 * 2 * 2 * 5 + 5 * 10
    assert model_size(config("cnn", convolutions=2, **chosen), DIGITS, 10) == deep
    assert model_size(config("mlp", layers=1, units=5, bias=False), DIGITS, 10).parameters == 64 * 5 + 5 * 10


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_that_a_model_without_its_activation_is_linear_in_the_image(model: str) -> None:
    torch.manual_seed(0)
    one, other = torch.randn(2, 8, *DIGITS)
    for activation, linear in (("none", True), ("relu", False)):
        net = build(config(model, activation=activation), DIGITS, 10).eval()
        with torch.no_grad():
            apart = net(one + other) - (net(one) + net(other) - net(torch.zeros_like(one)))
        assert bool(apart.abs().max() < 1e-5) is linear


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_that_a_model_without_bias_gives_nothing_for_nothing(model: str) -> None:
    net = build(config(model, bias=False, **({"batch_norm": False} if model == "cnn" else {})), DIGITS, 10)
    assert not net(torch.zeros(1, *DIGITS)).any()
    assert not any(name.endswith("bias") for name in build(config(model, bias=False), DIGITS, 10).state_dict())


def test_that_counting_a_large_model_gives_what_building_it_gives() -> None:
    chosen = config("torchvision", architecture="regnet_x_400mf")
    built = sum(weight.numel() for weight in build(chosen, CIFAR, 10).parameters())
    assert model_size(chosen, CIFAR, 10).parameters == built


def test_that_a_resnet_of_depth_20_has_as_many_weighted_layers() -> None:
    model = build(config("resnet", depth=20), CIFAR, 10)
    weighted = [
        m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear)) and getattr(m, "kernel_size", (3, 3)) == (3, 3)
    ]
    assert len(weighted) == 20
    assert 260_000 < model_size(config("resnet", depth=20), CIFAR, 10).parameters < 290_000


@pytest.mark.parametrize("architecture", ["vgg11", "densenet121", "vit_b_16"])
def test_that_a_classifier_too_deep_for_small_images_is_refused_with_what_to_do(architecture: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{architecture} does not suit 8×8 images of 1 channel; set its resize option"
    ) as caught:
        model_size(config("torchvision", architecture=architecture), DIGITS, 10)
    assert "\n" not in str(caught.value)


def test_that_the_weight_constraint_shortens_long_rows_and_leaves_short_ones() -> None:
    model = build(config("mlp", layers=1, units=2, max_norm=1.0), (1, 1, 2), 3)
    hidden, last = (module for module in model.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        hidden.weight.copy_(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
        last.weight.fill_(50.0)
    constrain(model)
    torch.testing.assert_close(hidden.weight.detach(), torch.tensor([[0.6, 0.8], [0.3, 0.4]]))
    assert bool((last.weight == 50.0).all())


def test_that_without_a_limit_weights_stay() -> None:
    model = build(config("mlp"), DIGITS, 10)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    constrain(model)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_that_the_same_seed_gives_the_same_model() -> None:
    first, second, third = (built(seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first)


def built(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    state: dict[str, torch.Tensor] = build(config("cnn"), DIGITS, 10).state_dict()
    return state
