"""torchvision's pretrained weights: by name, downloaded or from a file that is there, and how they see images."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from workbench.distill import downloads
from workbench.distill.elsewhere import IMAGENET
from workbench.distill.raw_data import Tell, cache_folder
from workbench.errors import CheckpointError, ConfigError, DataError
from workbench.settings import closest
from workbench.zoo import TORCHVISION_CLASSIFIERS

HASHED = re.compile(r"-([0-9a-f]{8,64})\.pth$")
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Heads of GoogLeNet and Inception that only training needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """Weights by torchvision's name: where they come from, the names of their classes, and the settings of
    ``ElsewhereConfig`` by which they see images."""

    architecture: str
    name: str
    url: str
    classes: tuple[str, ...]
    settings: dict[str, Any]

    @property
    def file(self) -> str:
        """The name of their file."""
        return self.url.rpartition("/")[2]


def pretrained(architecture: str, name: str) -> Pretrained:
    """The weights called ``name`` (DEFAULT: torchvision's best); a :class:`ConfigError` names those there are."""
    from torchvision.models import get_model_weights

    if architecture not in TORCHVISION_CLASSIFIERS:
        near = closest(architecture, TORCHVISION_CLASSIFIERS)
        raise ConfigError("torchvision", f"there is no architecture {architecture!r}{near}; such are resnet18 and vit_b_16")
    known = get_model_weights(architecture)
    if name not in known.__members__:
        raise ConfigError("weights", f"{architecture} has no weights {name!r}; it has {', '.join(known.__members__)}")
    found = known[name]
    preset = found.transforms()
    ((side,), (first,)) = preset.crop_size, preset.resize_size
    halves = architecture in ("googlenet", "inception_v3") or tuple(preset.mean) == (0.5, 0.5, 0.5)
    if not halves and (tuple(preset.mean), tuple(preset.std)) != IMAGENET:
        raise ConfigError("weights", f"{architecture} {name} wants pixels in a way that is not known here; choose others")
    return Pretrained(
        architecture=architecture,
        name=found.name,
        url=found.url,
        classes=tuple(found.meta["categories"]),
        settings={
            "size": side,
            "resize": first,
            "channels": 3,
            "pixels": "-1..1" if halves else "imagenet",
            "interpolation": preset.interpolation.value,
        },
    )


def file_of(weights: Pretrained, given: Path | None, tell: Tell, cancelled: Callable[[], bool]) -> Path:
    """The file of the weights: the ``given`` one, or that of the cache folder, downloaded where it is not there yet.

    It has the hash that torchvision's name for it ends with. Else a :class:`CheckpointError`, for a download that fails a
    :class:`DataError`; nothing half done is left behind.
    """
    hashed = HASHED.search(weights.file)
    sha256 = hashed.group(1) if hashed else ""
    path = given or cache_folder() / "weights" / weights.file
    if given is None and not path.exists():
        try:
            downloads.fetch_file(weights.url, path, sha256, tell, cancelled)
        except DataError as error:
            raise DataError(
                f"the weights {weights.name} of {weights.architecture} could not be downloaded ({error}): try again later, "
                f"or get {weights.file} in another way and name that file"
            ) from None
    tell(f"reading {path.name}", 0, 0, "")
    try:
        found = downloads.sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    if not found.startswith(sha256):
        advice = "name the whole file" if given else "remove it, and it is downloaded anew"
        raise CheckpointError(
            f"{path} is not torchvision's {weights.file}, or is damaged or cut short, for its SHA-256 does "
            f"not begin with {sha256}; {advice}"
        )
    return path


def as_built(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of torchvision's file as its classifiers name them now: DenseNet's had other names once."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", name): tensor
        for name, tensor in tensors.items()
        if not name.startswith(AUXILIARY)
    }
