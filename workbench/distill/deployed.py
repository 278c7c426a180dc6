"""A trained network with all that stands around it: from images as the data set's files have them to probabilities.

Plain torch and nothing of the workbench, for this file is written beside the weights that a person takes away.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

PRECISION = 1 << 22
"""Pillow's weights are whole multiples of 1 / PRECISION."""
GREY = (19595, 38470, 7471)
"""Luminance (ITU-R 601-2) in 1 / 65536."""


class Prepared(nn.Module):
    """uint8 images (N, ``channels``, ``height``, ``width``) of a file to the float32 batch that the network was trained on.

    They are transposed, made grey or given three channels where ``out`` asks for another number of them, inverted, scaled and
    cropped to the square ``side`` (0: as they are) to the very pixels that Pillow gives, and then less ``mean`` and by
    ``deviation``, which have a number a channel.
    """

    rows: Tensor
    columns: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        *,
        shape: tuple[int, int, int],
        transpose: bool,
        out: int,
        invert: bool,
        side: int,
        mean: list[float],
        deviation: list[float],
    ) -> None:
        super().__init__()
        channels, height, width = shape
        self.transpose, self.channels, self.out, self.invert = transpose, channels, out, invert
        rows, columns = (width, height) if transpose else (height, width)
        self.resize = bool(side) and (rows, columns) != (side, side)
        if self.resize:
            top, left, bottom, right = centred(rows, columns)
            self.register_buffer("rows", pillow_weights(rows, side, top, bottom), persistent=False)
            self.register_buffer("columns", pillow_weights(columns, side, left, right).T.contiguous(), persistent=False)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32).reshape(-1, 1, 1), persistent=False)

    def pixels(self, images: Tensor) -> Tensor:
        """The same in whole numbers from 0 to 255, before mean and deviation."""
        x = images.to(torch.float32)
        if self.transpose:
            x = x.transpose(2, 3)
        if self.out == 1 and self.channels == 3:
            red, green, blue = (x[:, channel : channel + 1] * share for channel, share in enumerate(GREY))
            x = torch.floor((red + green + blue + 0x8000) / 0x10000)
        elif self.out == 3 and self.channels == 1:
            x = torch.cat([x, x, x], dim=1)
        if self.invert:
            x = 255 - x
        if self.resize:
            x = _rounded(x.to(torch.float64) @ self.columns)  # in the order of Pillow, which rounds in between
            x = _rounded(self.rows @ x).to(torch.float32)
        return x

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W) to float32 (N, ``out``, H, W)."""
        view: Tensor = (self.pixels(images) - self.mean) / self.deviation
        return view


class Deployed(nn.Module):
    """Images to logits and probabilities at T = 1, (N, classes) each; ``shift`` is a bias correction of the logits."""

    shift: Tensor

    def __init__(self, prepared: Prepared, net: nn.Module, classes: list[str], shift: list[float] | None = None) -> None:
        super().__init__()
        self.prepared, self.net, self.classes = prepared, net, classes
        self.corrected = shift is not None
        self.register_buffer("shift", torch.tensor(shift or [], dtype=torch.float32), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (N, C, H, W) as the data set's files have them."""
        logits = self.net(self.prepared(images))
        if self.corrected:
            logits = logits + self.shift
        return logits, logits.softmax(dim=1)


def centred(rows: int, columns: int) -> tuple[float, float, float, float]:
    """Top, left, bottom and right of the largest square in the middle."""
    side = min(rows, columns)
    top, left = (rows - side) * 0.5, (columns - side) * 0.5
    return top, left, top + side, left + side


def pillow_weights(size: int, side: int, first: float, last: float) -> Tensor:
    """What each of ``size`` pixels from ``first`` to ``last`` gives to each of ``side``: (side, size), times PRECISION.

    Pillow's bilinear weights (its Resample.c): a triangle that is as wide as the pixels it makes one of, and whole numbers.
    """
    scale = (last - first) / side
    wide = max(scale, 1.0)
    weights = np.zeros((side, size))
    for at in range(side):
        centre = first + (at + 0.5) * scale
        low, high = max(0, int(centre - wide + 0.5)), min(size, int(centre + wide + 0.5))
        own = np.maximum(0.0, 1.0 - np.abs((np.arange(low, high) - centre + 0.5) / wide))
        weights[at, low:high] = np.floor(own / own.sum() * PRECISION + 0.5)
    return torch.from_numpy(weights)


def _rounded(sums: Tensor) -> Tensor:
    return torch.floor((sums + PRECISION // 2) / PRECISION).clamp(0, 255)
