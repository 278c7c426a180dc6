"""torchvision's classifiers, fitted to the data's channels, size and classes.

Imports nothing of the workbench, for this file goes with weights that are taken away.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Resized(nn.Module):
    """Enlarges images to ``side`` on the device before the network sees them."""

    def __init__(self, side: int, net: nn.Module) -> None:
        super().__init__()
        self.side = side
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to logits."""
        logits: Tensor = self.net(F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False))
        return logits


def adapted(architecture: str, shape: tuple[int, int, int], classes: int, resize: int) -> nn.Module:
    """The classifier of that name without trained weights, for images of ``shape`` resized to ``resize`` (0: as they are)."""
    from torchvision.models import get_model

    side = resize or shape[1]
    extra: dict[str, object] = {}
    if architecture in ("googlenet", "inception_v3"):
        extra = {"aux_logits": False, "init_weights": True, "transform_input": False}
    elif architecture.startswith("vit_"):
        extra = {"image_size": side}
    elif architecture.startswith("maxvit"):
        extra = {"input_size": (side, side)}
    net = get_model(architecture, weights=None, num_classes=classes, **extra)
    if shape[0] != 3:
        _replace_first_convolution(net, shape[0])
    return Resized(resize, net) if resize else net


def _replace_first_convolution(net: nn.Module, channels: int) -> None:
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            parent = net.get_submodule(name.rpartition(".")[0])
            new = nn.Conv2d(
                channels,
                module.out_channels,
                module.kernel_size,  # type: ignore[arg-type]
                module.stride,  # type: ignore[arg-type]
                module.padding,  # type: ignore[arg-type]
                bias=module.bias is not None,
            )
            setattr(parent, name.rpartition(".")[2], new)
            return
