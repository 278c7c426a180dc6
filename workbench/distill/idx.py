"""Folders of IDX files, gzipped or plain, under the names that MNIST uses."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from workbench.distill.raw_data import Arrays, Pixels
from workbench.errors import DataError

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def found_files(folder: Path) -> dict[str, Path]:
    """Which of :data:`NAMES` the folder holds, under which path; plain files are preferred to gzipped ones."""
    found = {}
    for name in NAMES:
        path = next((folder / spelt for spelt in _spellings(name) if os.path.isfile(folder / spelt)), None)
        if path is not None:
            found[name] = path
    return found


def missing_files(folder: Path) -> list[str]:
    """Those of :data:`NAMES` that the folder does not hold in any spelling."""
    found = found_files(folder)
    return [name for name in NAMES if name not in found]


def read_folder(folder: Path, classes: int = 0) -> tuple[Arrays, Arrays]:
    """The training and test split, images (N, 1, H, W).

    A file that is absent, damaged or no IDX file, counts that differ, and a label that is not below ``classes`` (where
    known, else 0) are a :class:`DataError` with the file's name.
    """
    missing = missing_files(folder)
    if missing:
        raise DataError(
            f"{folder} lacks {' and '.join(missing)} (or the same with .gz): put all four IDX files of MNIST's names there"
        )
    files = found_files(folder)
    train, test = (_split(files[images], files[labels], classes) for images, labels in (NAMES[:2], NAMES[2:]))
    if train.images.shape[1:] != test.images.shape[1:]:
        (_, high, wide), (_, height, width) = train.images.shape[1:], test.images.shape[1:]
        raise DataError(
            f"{files[NAMES[2]]} has images of {height}x{width} but the training images are {high}x{wide}: both must have one size"
        )
    return train, test


def read_labels(folder: Path) -> tuple[Pixels, ...]:
    """The labels of both splits of a folder that has all files, without their images."""
    files = found_files(folder)
    return tuple(read_idx(files[name], 1) for name in (NAMES[1], NAMES[3]))


def image_shapes(folder: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(N, H, W) of both splits as the headers claim, without reading the images."""
    files = found_files(folder)
    return _claimed(files[NAMES[0]], 3), _claimed(files[NAMES[2]], 3)


def read_idx(path: Path, dimensions: int) -> Pixels:
    """The unsigned bytes of an IDX file of that many dimensions, gzipped or plain.

    No more is allocated than the file really holds, whatever its header claims.
    """
    content = bytearray()
    try:
        with _opened(path) as file:
            shape = _header(path, file, dimensions)
            size = math.prod(shape)
            while len(content) <= size and (chunk := file.read(1 << 20)):
                content += chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged or incomplete ({error}): get a fresh copy of it") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) != size:
        relation = "is cut short: it has only" if len(content) < size else "is longer than it says: it has more than"
        held = len(content) if len(content) < size else size
        raise DataError(f"{path} {relation} {held:,} bytes after a header that claims {size:,}, so get a fresh copy of it")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _spellings(name: str) -> Iterator[str]:
    emnist = "emnist-balanced-" + name.replace("t10k", "test")
    for stem in (name, name.replace("-idx", ".idx"), emnist):
        yield stem
        yield stem + ".gz"


def _split(images_path: Path, labels_path: Path, classes: int) -> Arrays:
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path} has {len(labels):,} labels for the {len(images):,} images of {images_path.name}: they must pair up"
        )
    if classes and labels.max() >= classes:
        raise DataError(f"{labels_path} has the label {labels.max()}, but this data set's labels are 0 to {classes - 1}")
    return Arrays(images=images[:, None], labels=labels.astype(np.int64))


def _claimed(path: Path, dimensions: int) -> tuple[int, ...]:
    try:
        with _opened(path) as file:
            return _header(path, file, dimensions)
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _opened(path: Path) -> IO[bytes]:
    """The file ready to read, unpacked on the way where it begins as gzip does."""
    with open(path, "rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    if path.suffix == ".gz" and not zipped:
        raise DataError(f"{path} is not a gzip file, though its name says so: get a fresh copy of it or drop the .gz")
    return gzip.open(path, "rb") if zipped else open(path, "rb")  # type: ignore[return-value]


def _header(path: Path, file: IO[bytes], dimensions: int) -> tuple[int, ...]:
    """The shape that the header claims; a wrong magic number or an empty array is a :class:`DataError`."""
    header = file.read(4 + 4 * dimensions)
    magic = bytes((0, 0, 8, dimensions))
    if len(header) < 4 + 4 * dimensions or header[:4] != magic:
        content = "images" if dimensions == 3 else "labels"
        raise DataError(
            f"{path} is not an IDX file of {content}: it must begin with the bytes {magic.hex(' ')}, not {header[:4].hex(' ')}"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if not all(shape):
        raise DataError(f"{path} is empty: its header says {' x '.join(map(str, shape))}")
    return shape
