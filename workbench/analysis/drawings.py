"""A drawing as a model sees the images of its data set: as large, and with its centre of mass in the middle."""

from __future__ import annotations

import numpy as np
from PIL import Image

from workbench.zoo import Shape


def prepared(drawing: np.ndarray, shape: Shape, fill: float) -> np.ndarray:
    """A drawing, white on black, uint8 (side, side), as an image (C, H, W) of a ``shape``.

    What is drawn is made as large as ``fill`` of the image's shorter side, its proportions kept, and laid with its centre of
    mass in the middle, as far as it stays inside: MNIST's images were made so, 20 of 28 pixels large. Nothing drawn is black.
    """
    channels, height, width = shape
    image = np.zeros((height, width), np.uint8)
    rows, columns = (np.flatnonzero(drawing.any(axis=axis)) for axis in (1, 0))
    if len(rows):
        cut = drawing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        scale = max(1.0, round(fill * min(height, width))) / max(cut.shape)
        size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
        small = np.asarray(Image.fromarray(cut).resize(size, Image.Resampling.BOX))
        top, left = (_place(small.sum(axis=1 - axis, dtype=float), side) for axis, side in ((0, height), (1, width)))
        image[top : top + size[1], left : left + size[0]] = small
    return np.repeat(image[None], channels, axis=0)


def _place(mass: np.ndarray, side: int) -> int:
    """Where a part begins along an axis so that its centre of mass is the middle of ``side`` pixels."""
    centre = float((mass * np.arange(len(mass))).sum() / max(1e-9, mass.sum()))
    return int(np.clip(round((side - 1) / 2 - centre), 0, side - len(mass)))
