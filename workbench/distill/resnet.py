"""The CIFAR-style residual network (He et al. 2016, section 4.2).

Imports nothing of the workbench, for this file goes with weights that are taken away.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Two 3×3 convolutions beside an identity, which a 1×1 convolution replaces where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(out)
        self.second = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(out)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            if stride != 1 or channels != out
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H / stride, W / stride)."""
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class ResNet(nn.Module):
    """Three stages of ``blocks`` blocks each, of ``width``, 2 and 4 times ``width`` channels: 6 blocks + 2 layers."""

    def __init__(self, channels: int, classes: int, blocks: int, width: int) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        last = width
        for stage in range(3):
            for index in range(blocks):
                stride = 2 if stage and not index else 1
                parts.append(Block(last, width * 2**stage, stride))
                last = width * 2**stage
        self.body = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, channels, H, W) to logits (N, classes)."""
        logits: Tensor = self.head(self.body(x))
        return logits
