"""A teacher that was trained elsewhere, made to answer as those that are trained here: for this data's images and classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.config import ElsewhereConfig, ModelConfig
from workbench.distill.data import ResidentData
from workbench.distill.deployed import GREY
from workbench.distill.models import build, with_weights
from workbench.distill.onnx_teacher import OnnxNet
from workbench.errors import CheckpointError
from workbench.zoo import ONNX, Shape

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SMALLEST = 1e-12
"""Probability below which no logarithm is taken."""
PIXELS = 2**22
"""So many values are shown to such a network at once, for which ImageNet's take some hundred megabytes."""


class Elsewhere(nn.Module):
    """``net`` asked about views of this data: (N, C, H, W), standardised as here, to logits of this data's classes.

    The views' pixels are brought back, scaled, cropped and given the channels and range that ``config`` says. The logit of a
    class for which several outputs stand is that of their probabilities' sum.
    """

    mean: Tensor
    deviation: Tensor
    members: Tensor

    def __init__(self, net: nn.Module, config: ElsewhereConfig, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.net, self.config = net, config
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        members = torch.full((len(config.outputs), config.logits), -torch.inf)
        for place, numbers in enumerate(config.numbers()):
            members[place, list(numbers)] = 0.0
        self.register_buffer("members", members.to(mean.device))
        self._one_each = all(len(numbers) == 1 for numbers in config.numbers())

    def at_once(self, shape: Sequence[int]) -> int:
        """How many images of a ``shape`` (C, H, W) the network itself is shown together."""
        channels, height, width = shape
        return max(1, PIXELS // math.prod(shape_seen(self.config, (channels, height, width))))

    def forward(self, view: Tensor) -> Tensor:
        """(N, C, H, W) to (N, classes)."""
        return torch.cat([self._said(part) for part in torch.split(view, self.at_once(view.shape[1:]))])

    def _said(self, view: Tensor) -> Tensor:
        logits: Tensor = self.net(self.seen(view))
        if logits.shape != (len(view), self.config.logits):
            shown = "×".join(map(str, logits.shape))
            raise CheckpointError(f"{self.config.source} gives {shown} for {len(view)} images, not {self.config.logits} outputs")
        if self.config.gives == "probabilities":
            logits = logits.clamp_min(SMALLEST).log()
        if self._one_each:
            return logits[:, self.members.argmax(dim=1)]
        return torch.stack([torch.logsumexp(logits + row, dim=1) for row in self.members], dim=1)

    def seen(self, view: Tensor) -> Tensor:
        """What the network itself is shown."""
        config = self.config
        x = _whole(view * self.deviation + self.mean)
        if config.invert:
            x = 255 - x
        if config.transpose:
            x = x.transpose(2, 3)
        if config.channels == 3 and x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        elif config.channels == 1 and x.shape[1] == 3:
            x = _whole((x * x.new_tensor(GREY).reshape(3, 1, 1)).sum(dim=1, keepdim=True) / 65536)
        wanted = _scaled(x, config.resize) if config.resize else (config.size, config.size)
        if config.size and x.shape[2:] != wanted:
            x = _whole(F.interpolate(x, wanted, mode=config.interpolation, align_corners=False, antialias=True))
        if config.size and x.shape[2:] != (config.size, config.size):
            top, left = round((x.shape[2] - config.size) / 2), round((x.shape[3] - config.size) / 2)
            x = x[:, :, top : top + config.size, left : left + config.size]
        return self._in_range(x).contiguous()

    def _in_range(self, x: Tensor) -> Tensor:
        match self.config.pixels:
            case "0..255":
                return x
            case "0..1":
                return x / 255
            case "-1..1":
                return x / 127.5 - 1
            case "imagenet":
                mean, deviation = (x.new_tensor(values).reshape(3, 1, 1) for values in IMAGENET)
                if x.shape[1] == 1:
                    mean, deviation = mean.mean(), deviation.mean()
                x = (x / 255 - mean) / deviation
                return x
        if x.shape[1] != len(self.mean):
            return (x - self.mean.mean()) / self.deviation.mean()
        return (x - self.mean) / self.deviation


def brought_in(model: ModelConfig, config: ElsewhereConfig, tensors: dict[str, Tensor], data: ResidentData) -> nn.Module:
    """The teacher whose weights are ``tensors``, of which an ONNX file has one, its bytes.

    A :class:`CheckpointError` where they do not fit the model, or a class has no output.
    """
    if len(config.outputs) != len(data.classes) or not all(config.numbers()):
        raise CheckpointError(f"{config.source} has no output for some of the {len(data.classes)} classes of {data.name}")
    if model.model == ONNX.name:
        net: nn.Module = OnnxNet(tensors[ONNX.name].cpu().numpy().tobytes(), config.output, config.source)
    else:
        net = with_weights(build(model, shape_seen(config, data.shape), config.logits, data.device), tensors)
    return Elsewhere(net, config, data.mean, data.deviation).eval().requires_grad_(False)


def shape_seen(config: ElsewhereConfig, shape: Shape) -> Shape:
    """The images that the network itself is shown, where the data's have a ``shape``."""
    channels, height, width = shape
    if config.transpose:
        height, width = width, height
    return config.channels or channels, config.size or height, config.size or width


def _scaled(x: Tensor, side: int) -> tuple[int, int]:
    """Height and width whose shorter is ``side``."""
    height, width = x.shape[2:]
    return (side, int(side * width / height)) if height <= width else (int(side * height / width), side)


def _whole(x: Tensor) -> Tensor:
    return x.round().clamp(0, 255)
