"""A person's own pictures, named one by one or in folders: decoded by threads, predicted in batches, in their order."""

from __future__ import annotations

import dataclasses
import itertools
import os
import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from workbench.analysis.looking import entropy
from workbench.distill import image_folder
from workbench.distill.sources import as_own
from workbench.errors import DataError
from workbench.words import sentence

if TYPE_CHECKING:
    from workbench.questions.look import Models

BATCH_BYTES = 2**23
"""A batch of decoded pictures takes at most so much."""
BATCH = 128
DECODERS = 2
MOST = 200_000
"""Of more pictures a person is asked to choose a part."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Pictures in their order, ``paths``, with what is to be said of each, ``remarks``.

    Of each party (parties, N) the class it names, -1 of what could not be decoded, that class's probability and the
    distribution's entropy in bits, all at T = 1.
    """

    paths: tuple[Path, ...]
    remarks: tuple[str, ...]
    named: np.ndarray
    shares: np.ndarray
    bits: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    """``images`` uint8 (M, C, H, W) of those of the ``paths`` that are ``there`` (N,)."""

    paths: tuple[Path, ...]
    remarks: tuple[str, ...]
    there: np.ndarray
    images: np.ndarray


class OwnPictures:
    """Pictures on their way. :meth:`work` is called on one thread; everything else may be called from any.

    ``total`` is None until the folders are listed.
    """

    def __init__(self, named: Sequence[Path], models: Models, *, invert: bool) -> None:
        self._named, self._models = tuple(named), models
        self._config = as_own(models.config)
        self._config = dataclasses.replace(self._config, invert=self._config.invert != invert)
        self._cancelled = threading.Event()
        self._done: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self.total: int | None = None

    def cancel(self) -> None:
        """Give up after the batch that is under way; what is done stays."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether it was given up."""
        return self._cancelled.is_set()

    def take(self) -> list[Batch]:
        """The batches that have come since this was last asked."""
        found = []
        while not self._done.empty():
            found.append(self._done.get())
        return found

    def work(self) -> None:
        """Decode and predict all; a :class:`DataError` where nothing is named that could be a picture, or far too much."""
        paths = self._listed()
        self.total = len(paths)
        Image.init()  # Image.open with a list of formats does not load their readers
        channels, height, width = self._models.shape
        size = max(1, min(BATCH, BATCH_BYTES // (channels * height * width)))
        waiting: deque[Future[_Decoded]] = deque()
        with ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder") as pool:
            for part in _parts(paths, size):
                waiting.append(pool.submit(self.decoded, part))
                if len(waiting) > 2 * DECODERS:
                    self._predict(waiting.popleft().result())
                if self.cancelled:
                    break
            while waiting and not self.cancelled:
                self._predict(waiting.popleft().result())

    def look_at(self, path: Path) -> tuple[np.ndarray | None, np.ndarray, str]:
        """One picture as the models see it, uint8 (C, H, W), everybody's logits (speakers, classes), and what is to be said of
        it; None and no logits where it cannot be decoded. May be called on another thread than :meth:`work`."""
        decoded = self.decoded([path], always=True)
        if not len(decoded.images):
            return None, np.zeros(0), decoded.remarks[0]
        return decoded.images[0], self._models.logits(decoded.images)[:, 0], decoded.remarks[0]

    def _listed(self) -> list[Path]:
        found: list[Path] = []
        for path in self._named:
            below = image_folder.pictures_below(path, lambda: self.cancelled) if os.path.isdir(path) else [[path]]
            found += itertools.chain(*below)
            if len(found) > MOST:
                raise DataError(f"these are more than {MOST:,} pictures; choose a part of them")
        if self.cancelled:
            return []
        if not found:
            folder = self._named[0] if self._named else "this"
            raise DataError(f"{folder} has no pictures: choose image files, or a folder that holds some")
        return found

    def decoded(self, paths: Sequence[Path], *, always: bool = False) -> _Decoded:
        """Pictures as the models' data set has its own; what cannot be decoded is left out and remarked on, and once it was
        given up nothing more is decoded, unless ``always``."""
        channels, height, width = self._models.shape
        size = (height, width) if self._config.transpose else (width, height)
        images, remarks, there = [], [], np.zeros(len(paths), bool)
        for place, path in enumerate(paths):
            said: list[str] = []
            if always or not self.cancelled:
                try:
                    image = image_folder.picture(path, size, channels, said)
                    images.append(image.swapaxes(1, 2) if self._config.transpose else image)
                    there[place] = True
                except DataError as error:
                    said = [str(error).removeprefix(f"{path} ")]
            remarks.append(sentence("; ".join(said)))
        stacked = np.stack(images) if images else np.zeros((0, channels, height, width), np.uint8)
        if self._config.invert:
            np.subtract(255, stacked, out=stacked)
        return _Decoded(tuple(paths), tuple(remarks), there, stacked)

    def _predict(self, decoded: _Decoded) -> None:
        if self.cancelled:
            return
        line_up, count = self._models.line_up, len(decoded.paths)
        named = np.full((len(line_up.parties), count), -1)
        shares, bits = np.full(named.shape, np.nan), np.full(named.shape, np.nan)
        if len(decoded.images):
            said = line_up.at(self._models.logits(decoded.images), 1.0)
            named[:, decoded.there] = said.argmax(axis=-1)
            shares[:, decoded.there] = said.max(axis=-1)
            bits[:, decoded.there] = entropy(said)
        self._done.put(Batch(paths=decoded.paths, remarks=decoded.remarks, named=named, shares=shares, bits=bits))


def _parts(paths: Sequence[Path], size: int) -> Iterator[tuple[Path, ...]]:
    return (tuple(paths[start : start + size]) for start in range(0, len(paths), size))
