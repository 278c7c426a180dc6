"""Building a model of the zoo, its size, and what is done to its weights after each step."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from workbench import zoo
from workbench.config import ModelConfig
from workbench.errors import CheckpointError, ConfigError
from workbench.zoo import Shape


@dataclass(frozen=True, slots=True)
class ModelSize:
    """Trainable parameters, and multiply-adds for one image."""

    parameters: int
    multiply_adds: int


def build(config: ModelConfig, shape: Shape, classes: int, device: torch.device | str = "cpu") -> nn.Module:
    """A fresh model on ``device``; a :class:`ConfigError` where the data's shape does not suit it."""
    try:
        return zoo.build(config.model, config.options, shape, classes).to(device)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError("model", _unsuitable(config, shape, error)) from None


def with_weights(net: nn.Module, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """The model with these weights; a :class:`CheckpointError` where they are not its."""
    try:
        net.load_state_dict(tensors)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise CheckpointError(f"weights do not fit the model: {' '.join(str(error).split())[:200]}") from None
    return net


class _WeightsOnMeta(TorchFunctionMode):
    """Makes weights without storage; what a network works out while it is built (RegNet its widths) is still computed."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def build_on_meta(config: ModelConfig, shape: Shape, classes: int) -> nn.Module:
    """A model on the meta device, where nothing is stored or computed; errors as of :func:`build`."""
    with _WeightsOnMeta():
        return build(config, shape, classes, "meta")


def model_size(config: ModelConfig, shape: Shape, classes: int) -> ModelSize:
    """Counted on the meta device, where nothing is computed; a :class:`ConfigError` where the shape does not suit."""
    return _model_size(config.model, json.dumps(config.options, sort_keys=True), shape, classes)


@functools.lru_cache(maxsize=512)
def _model_size(name: str, options: str, shape: Shape, classes: int) -> ModelSize:
    config = ModelConfig(model=name, options=json.loads(options))
    net = build_on_meta(config, shape, classes).eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            net(torch.empty(1, *shape, device="meta"))
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError("model", _unsuitable(config, shape, error)) from None
    parameters = sum(weight.numel() for weight in net.parameters() if weight.requires_grad)
    return ModelSize(parameters, counter.get_total_flops() // 2)


def constrain(model: nn.Module) -> None:
    """Project the incoming weights of every hidden unit onto the model's ``max_norm`` (the paper's weight constraint)."""
    limit = getattr(model, "max_norm", 0.0)
    if not limit:
        return
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    for layer in layers[:-1]:
        norm_limited(layer.weight, limit)


@torch.no_grad()
def norm_limited(weight: Tensor, limit: float) -> None:
    """Scale down each unit's incoming weights, the last dimension, where their norm is above ``limit``."""
    norms = weight.norm(dim=-1, keepdim=True).clamp_min_(1e-12)
    weight.mul_((limit / norms).clamp_(max=1.0))


def _unsuitable(config: ModelConfig, shape: Shape, error: Exception) -> str:
    size = f"{shape[1]}×{shape[2]} images of {shape[0]} channel{'s' if shape[0] > 1 else ''}"
    hint = "; set its resize option to a larger side, such as 224" if config.model == "torchvision" else ""
    reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
    return f"{config.describe()} does not suit {size}{hint} ({reason})"
