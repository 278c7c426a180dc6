"""The models, by name: their options and how each is built.

Adding a model is one function with the :func:`model` decorator: its keyword arguments, annotated with a
:class:`~workbench.settings.Setting`, become options in the form, the TOML and the command line. The builders import
torch themselves, so that reading names and options costs nothing and the window needs no torch.
"""

# Annotations stay evaluated here (no ``from __future__ import annotations``): the registry reads them.

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args

from workbench.errors import ConfigError
from workbench.settings import Option, Setting, checked, closest

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]
"""Channels, height and width of one image."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model of the zoo: what it is called, what it is, its options and its builder."""

    name: str
    label: str
    help: str
    options: tuple[Option, ...]
    build: Callable[..., "nn.Module"]


MODELS: dict[str, ModelSpec] = {}


def model(name: str, label: str) -> Callable[[Callable[..., "nn.Module"]], Callable[..., "nn.Module"]]:
    """Enter a builder ``(shape, classes, *, options…) -> nn.Module`` into the zoo; its docstring becomes the help."""

    def enter(build: Callable[..., "nn.Module"]) -> Callable[..., "nn.Module"]:
        options = []
        for parameter in inspect.signature(build).parameters.values():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                kind, about = get_args(parameter.annotation)
                options.append(Option(parameter.name, kind, parameter.default, about))
        MODELS[name] = ModelSpec(name, label, (build.__doc__ or "").strip(), tuple(options), build)
        return build

    return enter


def spec(name: str, path: str = "model") -> ModelSpec:
    """The model called ``name``; a :class:`ConfigError` at ``path`` names the known ones."""
    if name == ONNX.name:
        return ONNX
    if not isinstance(name, str) or name not in MODELS:
        raise ConfigError(path, f"there is no model {name!r}; the models are {', '.join(MODELS)}{closest(str(name), MODELS)}")
    return MODELS[name]


def checked_options(name: str, given: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """All options of the model, defaults filled in; an unknown or wrong one is a :class:`ConfigError`."""
    known = {option.name: option for option in spec(name, f"{path}.model".lstrip(".")).options}
    for key in given:
        if key not in known:
            where = f"{path}.{key}".lstrip(".")
            raise ConfigError(where, f"the model {name} has no such option; it has {', '.join(known)}{closest(key, known)}")
    return {
        key: checked(option, given[key], f"{path}.{key}".lstrip(".")) if key in given else option.default
        for key, option in known.items()
    }


def build(name: str, options: Mapping[str, Any], shape: Shape, classes: int) -> "nn.Module":
    """A freshly initialised model for images of ``shape`` and ``classes`` logits (torch's default generator)."""
    return spec(name).build(shape, classes, **options)


ACTIVATIONS = ("relu", "none")

Activation = Annotated[
    str,
    Setting(
        label="Activation",
        help="What a hidden layer's outputs pass through; with none the network is linear, pooling by averages where it pools.",
        choices=ACTIVATIONS,
        advanced=True,
    ),
]
Bias = Annotated[
    bool,
    Setting(
        label="Bias",
        help="Learned constants that are added in each layer; without them batch norm neither scales nor shifts.",
        advanced=True,
    ),
]


@model("mlp", "Multilayer perceptron")
def mlp(
    shape: Shape,
    classes: int,
    *,
    layers: Annotated[int, Setting(label="Hidden layers", help="Number of hidden layers.", low=0, high=16)] = 2,
    units: Annotated[int, Setting(label="Units", help="ReLU units in each hidden layer.", unit="units", low=1, high=16384)] = 100,
    dropout: Annotated[
        float, Setting(label="Dropout", help="Share of hidden units dropped in training.", low=0, high=0.95)
    ] = 0.0,
    input_dropout: Annotated[
        float, Setting(label="Input dropout", help="Share of input pixels dropped in training.", low=0, high=0.95)
    ] = 0.0,
    max_norm: Annotated[
        float,
        Setting(
            label="Weight-norm limit",
            help="Largest norm of a unit's incoming weights, projected after every step (the paper's constraint); 0: none.",
            low=0,
            high=1000,
        ),
    ] = 0.0,
    activation: Activation = "relu",
    bias: Bias = True,
) -> "nn.Module":
    """Fully connected ReLU layers, as in the paper's MNIST experiment (section 3)."""
    from torch import nn

    width = shape[0] * shape[1] * shape[2]
    parts: list[nn.Module] = [nn.Flatten()]
    if input_dropout:
        parts.append(nn.Dropout(input_dropout))
    for _ in range(layers):
        parts.append(nn.Linear(width, units, bias=bias))
        if activation == "relu":
            parts.append(nn.ReLU())
        if dropout:
            parts.append(nn.Dropout(dropout))
        width = units
    parts.append(nn.Linear(width, classes, bias=bias))
    net = nn.Sequential(*parts)
    net.max_norm = max_norm  # type: ignore[assignment]
    return net


@model("cnn", "Small convolutional network")
def cnn(
    shape: Shape,
    classes: int,
    *,
    channels: Annotated[
        int, Setting(label="Channels", help="Channels of the first block; doubled in the second.", low=1, high=1024)
    ] = 32,
    units: Annotated[
        int, Setting(label="Units", help="Units of the fully connected layer.", unit="units", low=1, high=16384)
    ] = 128,
    dropout: Annotated[
        float, Setting(label="Dropout", help="Share of fully connected units dropped in training.", low=0, high=0.95)
    ] = 0.0,
    batch_norm: Annotated[bool, Setting(label="Batch norm", help="Normalise each convolution's output over the batch.")] = True,
    convolutions: Annotated[
        int, Setting(label="Convolutions", help="3×3 convolutions in each of the two blocks.", low=1, high=16, advanced=True)
    ] = 1,
    activation: Activation = "relu",
    bias: Bias = True,
) -> "nn.Module":
    """Two blocks of 3×3 convolution, ReLU and 2×2 pooling, then one fully connected layer."""
    from torch import nn

    linear = activation == "none"

    parts: list[nn.Module] = []
    last, (height, width) = shape[0], shape[1:]
    for out in (channels, 2 * channels):
        for _ in range(convolutions):
            parts.append(nn.Conv2d(last, out, 3, padding=1, bias=bias and not batch_norm))
            if batch_norm:
                parts.append(nn.BatchNorm2d(out, affine=bias))
            if not linear:
                parts.append(nn.ReLU())
            last = out
        if min(height, width) >= 2:
            parts.append(nn.AvgPool2d(2) if linear else nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    parts += [nn.Flatten(), nn.Linear(last * height * width, units, bias=bias)]
    if not linear:
        parts.append(nn.ReLU())
    if dropout:
        parts.append(nn.Dropout(dropout))
    parts.append(nn.Linear(units, classes, bias=bias))
    return nn.Sequential(*parts)


@model("resnet", "ResNet for small images")
def resnet(
    shape: Shape,
    classes: int,
    *,
    depth: Annotated[
        int,
        Setting(
            label="Depth", help="Weighted layers: 6 n + 2 for n residual blocks a stage.", unit="layers", low=8, high=1202, step=6
        ),
    ] = 20,
    width: Annotated[int, Setting(label="Width", help="Channels of the first stage, doubled twice.", low=1, high=1024)] = 16,
) -> "nn.Module":
    """The CIFAR-style residual network: three stages of basic blocks, global average pooling, one linear layer."""
    from workbench.distill.resnet import ResNet

    return ResNet(shape[0], classes, (depth - 2) // 6, width)


def _onnx(shape: Shape, classes: int, **options: Any) -> "nn.Module":
    raise ConfigError("model", "an ONNX file is not trained here; bring it in as a teacher with `workbench import`")


ONNX = ModelSpec(
    "onnx",
    "ONNX file",
    "A network that was trained elsewhere and is run by ONNX Runtime; it can only teach.",
    (Option("weights", int, 0, Setting(label="Weights", help="How many numbers the file has learned.", low=0)),),
    _onnx,
)
"""What stands in the history for an ONNX file; no model of the zoo, for it cannot be trained."""


TORCHVISION_CLASSIFIERS = (
    "alexnet", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny", "densenet121", "densenet161",
    "densenet169", "densenet201", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
    "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_l", "efficientnet_v2_m",
    "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5", "mnasnet0_75", "mnasnet1_0",
    "mnasnet1_3", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "regnet_x_16gf", "regnet_x_1_6gf",
    "regnet_x_32gf", "regnet_x_3_2gf", "regnet_x_400mf", "regnet_x_800mf", "regnet_x_8gf", "regnet_y_128gf",
    "regnet_y_16gf", "regnet_y_1_6gf", "regnet_y_32gf", "regnet_y_3_2gf", "regnet_y_400mf", "regnet_y_800mf",
    "regnet_y_8gf", "resnet101", "resnet152", "resnet18", "resnet34", "resnet50", "resnext101_32x8d",
    "resnext101_64x4d", "resnext50_32x4d", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0", "squeezenet1_0", "squeezenet1_1", "swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s",
    "swin_v2_t", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "vit_b_16",
    "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32", "wide_resnet101_2", "wide_resnet50_2",
)  # fmt: skip


@model("torchvision", "torchvision classifier")
def torchvision_classifier(
    shape: Shape,
    classes: int,
    *,
    architecture: Annotated[
        str, Setting(label="Architecture", help="The network's name in torchvision.models.", choices=TORCHVISION_CLASSIFIERS)
    ] = "mobilenet_v3_small",
    resize: Annotated[
        int,
        Setting(
            label="Resize to",
            help="Side to which images are enlarged on the device first; 0 keeps them as they are.",
            unit="px",
            low=0,
            high=1024,
        ),
    ] = 0,
) -> "nn.Module":
    """One of torchvision's classifiers, untrained, its first layer adapted to the data's channels and its last to the classes."""
    from workbench.distill.torchvision_models import adapted

    return adapted(architecture, shape, classes, resize)
