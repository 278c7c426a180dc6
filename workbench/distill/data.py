"""A data set resident on the device as uint8: its splits, transfer sets, and views normalised and jittered in batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.config import DataConfig, TransferConfig
from workbench.distill.sources import Arrays, OwnImages, RawData
from workbench.errors import ConfigError, DataError
from workbench.zoo import Shape


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """uint8 images (N, C, H, W) and int64 labels (N,) on the device; a label of -1 is none."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, eq=False)
class ResidentData:
    """One data set on one device. ``mean`` and ``deviation`` are (C, 1, 1), measured on the training split."""

    name: str
    classes: tuple[str, ...]
    digest: str
    train: Split
    validation: Split
    test: Split
    mean: Tensor
    deviation: Tensor

    @property
    def shape(self) -> Shape:
        """Channels, height and width of an image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @property
    def device(self) -> torch.device:
        """Where the data lives."""
        return self.train.labels.device

    def view(self, images: Tensor) -> Tensor:
        """uint8 images as the normalised float32 batch that a model sees."""
        return images.to(torch.float32).sub_(self.mean).div_(self.deviation)


def resident(raw: RawData, config: DataConfig, device: torch.device | str) -> ResidentData:
    """Split and move a data set; a :class:`DataError` where a split would be empty."""
    train, validation = (raw.train, raw.validation) if raw.validation else _validation_split(raw.train, config)
    if not config.validation_fraction:
        train, validation = _all_cases(train, validation)
    wanted = (train, validation, raw.test) if config.validation_fraction else (train, raw.test)
    if not all(len(split.labels) for split in wanted):
        raise DataError(f"{raw.name} is too small: training, validation and test each need at least one case")
    moved = _moved(train, device)
    mean, deviation = _measured(moved.images) if config.standardise else ([0.0], [255.0])

    def per_channel(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).reshape(-1, 1, 1)

    return ResidentData(
        name=raw.name,
        classes=raw.classes,
        digest=raw.digest,
        train=moved,
        validation=_moved(validation, device),
        test=_moved(raw.test, device),
        mean=per_channel(mean),
        deviation=per_channel(deviation),
    )


def with_own(data: ResidentData, own: OwnImages) -> ResidentData:
    """``data`` with a person's own images, without labels, behind its training cases; the digest names both."""
    images = torch.cat([data.train.images, torch.from_numpy(own.images).to(data.device)])
    labels = torch.cat([data.train.labels, data.train.labels.new_full((len(own.images),), -1)])
    return dataclasses.replace(data, train=Split(images, labels), digest=f"{data.digest}:{own.digest}")


def class_numbers(chosen: Sequence[int | str], classes: Sequence[str], path: str) -> list[int]:
    """Class names, else numbers, as numbers; a :class:`ConfigError` at ``path`` names the classes there are."""
    numbers = []
    for item in chosen:
        if str(item) in classes:
            numbers.append(list(classes).index(str(item)))
        elif isinstance(item, int) and 0 <= item < len(classes):
            numbers.append(item)
        else:
            shown = ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")
            raise ConfigError(path, f"there is no class {item!r}; the {len(classes)} classes are {shown}")
    return numbers


def transfer_cases(labels: Tensor, classes: Sequence[str], config: TransferConfig, seed: int) -> Tensor:
    """Which training cases the student sees: sorted int64 numbers on the device of ``labels``.

    The fraction is taken of each class on its own, rounded, at least one case of each class that is kept where it is not
    0; ``seed`` picks them. Cases without a label, see :func:`with_own`, are all seen. Raises :class:`ConfigError` for a
    class that does not exist and for an empty set.
    """
    out = class_numbers(config.leave_out, classes, "transfer.leave_out")
    kept = class_numbers(config.keep, classes, "transfer.keep") or list(range(len(classes)))
    generator = np.random.default_rng([seed, 0x7261])
    known = labels.cpu().numpy()
    chosen = []
    for number in range(len(classes)):
        cases = np.flatnonzero(known == number)
        picked = generator.permutation(cases)[: max(1, round(config.fraction * len(cases)))]
        if number in kept and number not in out:
            chosen.append(picked)
    cases = np.sort(np.concatenate(chosen)) if chosen and config.fraction else np.empty(0, np.int64)
    if config.fraction and not len(cases):
        raise ConfigError("transfer", "the transfer set is empty: no class is left; keep at least one class")
    return torch.from_numpy(np.concatenate([cases, np.flatnonzero(known < 0)])).to(labels.device)


Batch = tuple[Tensor, Tensor | None, Tensor | None]
"""Positions of some cases, with their shifts and flips where there are any, as of :meth:`Views.order`."""


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Batches of some cases of a data set, in an order and with shifts and flips that (seed, epoch) alone decide.

    With ``own`` above 0 an epoch is the first ``own`` of the cases, and after each one a random one of the others, so that
    half of a batch is of either kind.
    """

    data: ResidentData
    cases: Tensor
    jitter: int
    flip: bool
    seed: int
    padded: Tensor
    own: int = 0

    def order(self, epoch: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """For one epoch: positions in ``cases``, their shifts (N, 2) in pixels and their flips (N,), or None."""
        generator = torch.Generator().manual_seed(_mixed(self.seed, epoch))
        count, device = (2 * self.own or len(self.cases)), self.data.device
        positions = (self._half_and_half(generator) if self.own else torch.randperm(count, generator=generator)).to(device)
        shifts = torch.randint(0, 2 * self.jitter + 1, (count, 2), generator=generator).to(device) if self.jitter else None
        flips = (torch.rand(count, generator=generator) < 0.5).to(device) if self.flip else None
        return positions, shifts, flips

    def _half_and_half(self, generator: torch.Generator) -> Tensor:
        others = len(self.cases) - self.own
        rounds = -(-self.own // others)
        drawn = torch.cat([torch.randperm(others, generator=generator) for _ in range(rounds)])[: self.own]
        return torch.stack([torch.randperm(self.own, generator=generator), self.own + drawn], dim=1).flatten()

    def batches(self, epoch: int, count: int) -> list[Batch]:
        """An epoch's order in ``count`` batches of nearly equal size."""
        none = [None] * count
        parts = [none if part is None else part.tensor_split(count) for part in self.order(epoch)]
        return list(zip(*parts, strict=True))

    def batch(self, positions: Tensor, shifts: Tensor | None, flips: Tensor | None) -> Tensor:
        """The normalised float32 batch (N, C, H, W) at those positions of ``cases``."""
        cases = self.cases[positions]
        images = self.padded.index_select(0, cases) if shifts is None else self._shifted(cases, shifts)
        view = self.data.view(images)
        return view if flips is None else torch.where(flips[:, None, None, None], view.flip(-1), view)

    def _shifted(self, cases: Tensor, shifts: Tensor) -> Tensor:
        channels, height, width = self.data.shape
        _, _, rows, columns = self.padded.shape
        start = ((cases * channels)[:, None] + torch.arange(channels, device=cases.device)) * (rows * columns)
        start = start + (shifts[:, 0] * columns + shifts[:, 1])[:, None]
        window = torch.arange(height, device=cases.device)[:, None] * columns + torch.arange(width, device=cases.device)
        places = start[:, :, None] + window.reshape(-1)
        return self.padded.reshape(-1)[places.reshape(-1)].reshape(len(cases), channels, height, width)


def views(data: ResidentData, cases: Tensor, *, jitter: int, flip: bool, seed: int, own: int = 0) -> Views:
    """Views of the training cases ``cases``; shifts of up to ``jitter`` pixels bring in background (0)."""
    padded = torch.nn.functional.pad(data.train.images, (jitter,) * 4) if jitter else data.train.images
    return Views(data, cases, jitter, flip, seed, padded, own)


def _mixed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _all_cases(train: Arrays, validation: Arrays) -> tuple[Arrays, Arrays]:
    """All cases to train on, none for validation."""
    images, labels = np.concatenate([train.images, validation.images]), np.concatenate([train.labels, validation.labels])
    return Arrays(images=images, labels=labels), Arrays(images=images[:0], labels=labels[:0])


def _validation_split(train: Arrays, config: DataConfig) -> tuple[Arrays, Arrays]:
    if not config.validation_fraction:
        return train, Arrays(images=train.images[:0], labels=train.labels[:0])
    generator = np.random.default_rng([config.split_seed, 0x73706C])
    aside = np.zeros(len(train.labels), bool)
    for number in np.unique(train.labels):
        cases = generator.permutation(np.flatnonzero(train.labels == number))
        aside[cases[: min(len(cases) - 1, max(1, round(config.validation_fraction * len(cases))))]] = True
    return (
        Arrays(images=train.images[~aside], labels=train.labels[~aside]),
        Arrays(images=train.images[aside], labels=train.labels[aside]),
    )


def _measured(images: Tensor) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel of uint8 images (N, C, H, W), from sums that are exact at any thread count."""
    count = images[:, 0].numel()
    total = torch.zeros(images.shape[1], dtype=torch.int64, device=images.device)
    squares = torch.zeros_like(total)
    for chunk in torch.split(images, 2048):
        values = chunk.to(torch.int32)
        total += values.sum(dim=(0, 2, 3))
        squares += (values * values).sum(dim=(0, 2, 3))
    means = [value / count for value in total.tolist()]
    return means, [max(1.0, (value / count - mean**2) ** 0.5) for value, mean in zip(squares.tolist(), means, strict=True)]


def _moved(arrays: Arrays, device: torch.device | str) -> Split:
    images = np.require(arrays.images, requirements=["C", "W"])
    return Split(torch.from_numpy(images).to(device), torch.from_numpy(arrays.labels.astype(np.int64)).to(device))
