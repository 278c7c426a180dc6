"""Images and labels as NumPy arrays, what the settings do to them, and the digest of their content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from PIL import Image, ImageOps

from workbench.config import DataConfig
from workbench.errors import Cancelled, DataError

Tell = Callable[[str, int, int, str], None]
"""Hears of progress: text, done, total (0 where unknown), unit."""

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Labels = np.ndarray[Any, np.dtype[np.int64]]

IN_MEMORY = 2 * 1024**3
"""Bytes above which pictures go to a memory-mapped temporary file."""


def quiet(text: str, done: int, total: int, unit: str) -> None:
    """The :data:`Tell` of whoever does not want to know."""


def never() -> bool:
    """Not cancelled."""
    return False


def stop_if(cancelled: Callable[[], bool], doing: str) -> None:
    """Raise :class:`Cancelled` where a person no longer wants what is being done."""
    if cancelled():
        raise Cancelled(f"{doing} was cancelled")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrays:
    """One split: ``images`` uint8 (N, C, H, W), ``labels`` int64 (N,)."""

    images: Pixels
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawData:
    """A data set after the settings for size, channels, transposing and inverting.

    ``validation`` is None except for image folders with a ``val/``. ``digest`` is the SHA-256 (hex) of the content as
    it stands here: shapes, pixels, labels and class names, the same on every machine and for gzipped and plain files.
    """

    name: str
    classes: tuple[str, ...]
    train: Arrays
    validation: Arrays | None
    test: Arrays
    digest: str


def cache_folder() -> Path:
    """The folder of this user that downloads go into."""
    return Path(platformdirs.user_cache_path("distillation-workbench")) / "data"


def digest(classes: Sequence[str], splits: Sequence[Arrays | None]) -> str:
    """SHA-256 (hex) over class names, shapes, pixels and labels of the splits, in their order."""
    shapes = [None if split is None else list(split.images.shape) for split in splits]
    result = hashlib.sha256(json.dumps({"classes": list(classes), "shapes": shapes}, separators=(",", ":")).encode())
    for split in splits:
        if split is not None:
            result.update(np.ascontiguousarray(split.images).data)
            result.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    return result.hexdigest()


def space(shape: tuple[int, ...]) -> Pixels:
    """An unfilled uint8 array, in a temporary file of the cache folder's disk where it would exceed :data:`IN_MEMORY`."""
    size = int(np.prod(shape, dtype=object))
    if size <= IN_MEMORY:
        return np.empty(shape, np.uint8)
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache_folder()) as file:
            if hasattr(os, "posix_fallocate"):  # a sparse file on a full disk would kill the process while it is filled
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return np.memmap(file, np.uint8, mode="r+", shape=shape)
    except OSError as error:
        needed = f"{size / 1e9:.1f} GB of free disk or a smaller image size"
        raise DataError(f"The pictures do not fit into {cache_folder()} ({error.strerror}): they need {needed}") from None


def with_options(
    stored: Arrays, config: DataConfig, transposed: bool = False, tell: Tell = quiet, cancelled: Callable[[], bool] = never
) -> Arrays:
    """``stored`` transposed, in the channels asked for, inverted and resized; ``transposed`` says how the file has it."""
    images = stored.images
    if config.transpose != transposed:
        images = np.ascontiguousarray(images.swapaxes(2, 3))
    if config.channels == 1 and images.shape[1] == 3:
        images = _grey(images)
    elif config.channels == 3 and images.shape[1] == 1:
        images = images.repeat(3, axis=1)
    if config.invert:
        images = 255 - images
    if config.image_size and images.shape[2:] != (config.image_size, config.image_size):
        images = _resized(images, config.image_size, tell, cancelled)
    return Arrays(images=images, labels=stored.labels)


def spread(labels: Labels, count: int) -> list[int]:
    """Indices of at most ``count`` cases, the first ones of each class in turn; of evenly spaced classes where they are many."""
    present = np.unique(labels)
    if len(present) > count:
        present = present[np.linspace(0, len(present) - 1, count).round().astype(int)]
    each = -(-count // max(1, len(present)))
    firsts = [np.flatnonzero(labels == label)[:each].tolist() for label in present]
    return [found[turn] for turn in range(each) for found in firsts if turn < len(found)][:count]


def _grey(images: Pixels) -> Pixels:
    """Luminance as Pillow computes it (ITU-R 601-2, 16-bit fixed point), a thousand images at a time."""
    weights = np.array([19595, 38470, 7471], np.uint32)
    result = np.empty((len(images), 1, *images.shape[2:]), np.uint8)
    for start in range(0, len(images), 1000):
        part = images[start : start + 1000].astype(np.uint32)
        result[start : start + 1000, 0] = (np.einsum("nchw,c->nhw", part, weights) + 0x8000) >> 16
    return result


def _resized(images: Pixels, size: int, tell: Tell, cancelled: Callable[[], bool]) -> Pixels:
    result = space((len(images), images.shape[1], size, size))
    for index, image in enumerate(images):
        if index % 500 == 0:
            stop_if(cancelled, "Resizing")
            tell("Resizing", index, len(images), "pictures")
        picture = Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
        fitted = np.asarray(ImageOps.fit(picture, (size, size), method=Image.Resampling.BILINEAR))
        result[index] = fitted if len(image) == 1 else fitted.transpose(2, 0, 1)
    tell("Resizing", len(images), len(images), "pictures")
    return result
