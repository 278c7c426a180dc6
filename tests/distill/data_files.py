"""Data sets for the tests: where the real ones are, and small ones written to order."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench.config import DataConfig
from workbench.distill import sources

SHARED = Path(__file__).parents[3] / "shared" / "data"
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def idx_files(classes: int = 10, train: int = 40, test: int = 20, seed: int = 0) -> dict[str, bytes]:
    random = np.random.default_rng(seed)
    return {
        TRAIN_IMAGES: idx_bytes(random.integers(0, 256, (train, 6, 5))),
        TRAIN_LABELS: idx_bytes(np.arange(train) % classes),
        TEST_IMAGES: idx_bytes(random.integers(0, 256, (test, 6, 5))),
        TEST_LABELS: idx_bytes(np.arange(test) % classes),
    }


def write_idx(folder: Path, files: dict[str, bytes] | None = None, plain: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (files or idx_files()).items():
        (folder / (name.removesuffix(".gz") if plain else name)).write_bytes(content if plain else gzip.compress(content))
    return folder


def write_picture(path: Path, colour: object = (200, 30, 30), size: tuple[int, int] = (40, 40), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)  # type: ignore[arg-type]
    return path


def picture_folder(folder: Path, **counts: int) -> Path:
    for number, (name, count) in enumerate(counts.items()):
        for index in range(count):
            write_picture(folder / name / f"{index:02}.png", (50 * number, 10 * index, 7))
    return folder


def digit_pictures(folder: Path, cases: int) -> Path:
    """The first training cases of digits as pictures, flat, without their labels."""
    images = sources.load(DataConfig(), (), download=False).train.images[:cases]
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image[0]).save(folder / f"{index:04}.png")
    return folder


def load(dataset: object, *folders: Path, **settings: object) -> sources.RawData:
    return sources.load(DataConfig(dataset=str(dataset), **settings), folders, download=False)  # type: ignore[arg-type]


def move_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, from now on below ``tmp_path``."""
    for name in ("XDG_CACHE_HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return sources.cache_folder()


def left_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*")) if folder.exists() else []
