"""Where data comes from: a built-in name, a folder of IDX files or a folder of pictures, as uint8 arrays.

Nothing here imports torch or torchvision before a download or CIFAR needs them.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.config import DataConfig
from workbench.distill import builtin, downloads, idx, image_folder
from workbench.distill.builtin import BUILT_IN
from workbench.distill.raw_data import (
    Arrays,
    Pixels,
    RawData,
    Tell,
    cache_folder,
    digest,
    never,
    quiet,
    spread,
    stop_if,
    with_options,
)
from workbench.errors import DataError, NotHere
from workbench.settings import closest
from workbench.zoo import Shape

__all__ = [
    "DATASETS",
    "Arrays",
    "DatasetInfo",
    "OwnImages",
    "RawData",
    "Tell",
    "as_own",
    "cache_folder",
    "catalogue",
    "data_folders",
    "load",
    "load_own",
    "never",
    "own_stamp",
    "preview",
    "quiet",
    "stamp",
    "stored_test",
]

DATASETS = tuple(BUILT_IN)
"""The built-in names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """A built-in data set as a list shows it. ``where`` is its folder, "built in", or empty where it would be downloaded."""

    name: str
    title: str
    classes: int
    shape: tuple[int, int, int]
    train_cases: int
    test_cases: int
    where: str
    download_mb: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnImages:
    """A person's unlabelled images as the data set's are: uint8 (N, C, H, W), and the SHA-256 (hex) of these.

    ``broken`` names, as below ``folder``, the files that could not be read.
    """

    folder: Path
    images: Pixels
    digest: str
    broken: tuple[str, ...]

    def note(self) -> str:
        """What is to be said of those left out, or nothing."""
        if not self.broken:
            return ""
        count = len(self.broken)
        many, are = ("1 picture", "is") if count == 1 else (f"{count:,} pictures", "are")
        return f"{many} of {self.folder} cannot be read and {are} left out: {image_folder.some(self.broken)}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stored:
    """A data set as its files have it."""

    name: str
    classes: tuple[str, ...]
    train: Arrays
    test: Arrays
    transposed: bool = False


def data_folders(given: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The folders to look in, absolute and each once: those given, ``WORKBENCH_DATA``, the cache, Debian's packages."""
    places = [os.fspath(path) for path in given]
    places += [part for part in os.environ.get("WORKBENCH_DATA", "").split(os.pathsep) if part]
    places.append(os.fspath(cache_folder()))
    if sys.platform == "linux":
        places.append("/usr/share/datasets")
    return tuple(dict.fromkeys(Path(os.path.abspath(os.path.expanduser(place))) for place in places))


def catalogue(folders: Sequence[Path]) -> list[DatasetInfo]:
    """The built-in data sets and where they were found; sizes are those of the files found, else the published ones."""
    return [_info(name, folders) for name in DATASETS]


def _info(name: str, folders: Sequence[Path]) -> DatasetInfo:
    about = BUILT_IN[name]
    place = builtin.locate(name, folders) if about.torchvision else None
    shape, cases = about.shape, (about.train_cases, about.test_cases)
    if place is not None and about.is_idx:
        try:
            train, test = idx.image_shapes(place)
            shape, cases = (1, train[1], train[2]), (train[0], test[0])
        except DataError:
            pass  # load() says what is wrong with the file
    return DatasetInfo(
        name=name,
        title=about.title,
        classes=len(about.classes),
        shape=shape,
        train_cases=cases[0],
        test_cases=cases[1],
        where="built in" if not about.torchvision else "" if place is None else str(place),
        download_mb=about.download_mb,
    )


def load(
    config: DataConfig,
    folders: Sequence[Path],
    *,
    download: bool = True,
    tell: Tell = quiet,
    cancelled: Callable[[], bool] = never,
) -> RawData:
    """The data set that ``config`` names, with its settings for size, channels, transposing and inverting applied.

    Built-in names are looked for in ``folders`` (see :func:`data_folders`) and, where ``download`` allows, fetched into
    the cache folder. Data that is damaged or unusable is a :class:`DataError` of one sentence that names the file or
    folder, a built-in set that is absent :class:`NotHere`; :class:`Cancelled` leaves nothing half done.
    """
    folder = None if config.dataset in BUILT_IN else _folder(config.dataset)
    validation = None
    if folder is not None and not idx.found_files(folder):
        name = folder.resolve().name
        classes, train, validation, test = image_folder.load_folder(folder, config, tell, cancelled)
    else:
        stored = _stored(config.dataset, folder, folders, download, tell, cancelled)
        name, classes = stored.name, stored.classes
        train, test = (with_options(part, config, stored.transposed, tell, cancelled) for part in (stored.train, stored.test))
    stop_if(cancelled, f"Reading {name}")
    content = digest(classes, (train, validation, test))
    return RawData(name=name, classes=classes, train=train, validation=validation, test=test, digest=content)


def load_own(
    images: str, config: DataConfig, shape: Shape, *, tell: Tell = quiet, cancelled: Callable[[], bool] = never
) -> OwnImages:
    """The pictures below a person's folder in the ``shape`` of the data set's, inverted where the data set's are.

    They are transposed only beside an image folder: IDX files are transposed to stand upright, as pictures do already.
    Pictures that cannot be read are left out; a folder that has no other is a :class:`DataError`.
    """
    folder = Path(os.path.expanduser(images))
    if not os.path.isdir(folder):
        raise DataError(f"{folder} is {'a file' if os.path.exists(folder) else 'not there'}: name a folder of images")
    found, broken = image_folder.pictures_below(folder)
    if not found and not broken:
        raise DataError(f"{folder} has no images: name a folder that holds some")
    pixels = image_folder.decode(found, as_own(config), tell, cancelled, shape=shape, broken=broken)
    names = tuple(sorted(str(path.relative_to(folder)) for path in broken))
    if not len(pixels):
        raise DataError(f"{folder} has no image that can be read: {image_folder.some(names)} cannot")
    content = digest((), (Arrays(images=pixels, labels=np.full(len(pixels), -1, np.int64)),))
    return OwnImages(folder=folder, images=pixels, digest=content, broken=names)


def as_own(config: DataConfig) -> DataConfig:
    """How a person's own pictures are read beside a data set: see :func:`load_own`."""
    upright = config.dataset in BUILT_IN or bool(idx.found_files(Path(os.path.expanduser(config.dataset))))
    return dataclasses.replace(config, transpose=config.transpose and not upright)


def stored_test(config: DataConfig, folders: Sequence[Path]) -> tuple[Pixels, DataConfig]:
    """The test images as the files have them, uint8 (N, C, H, W), and what of ``config`` is still to be done to them.

    Pictures are decoded, scaled and given their channels, for they have no one size before; never downloads.
    """
    folder = None if config.dataset in BUILT_IN else _folder(config.dataset)
    if folder is not None and not idx.found_files(folder):
        paths = [path for path, _ in image_folder.list_folder(folder, config.split_seed).test]
        as_they_are = dataclasses.replace(config, transpose=False, invert=False)
        images = image_folder.decode(paths, as_they_are, quiet, never)
        return images, dataclasses.replace(config, image_size=0, channels=0)
    stored = _stored(config.dataset, folder, folders, False, quiet, never)
    return stored.test.images, dataclasses.replace(config, transpose=config.transpose != stored.transposed)


def own_stamp(images: str) -> Hashable:
    """What changes when a folder of a person's own images does: names, sizes and times. Reads no content."""
    try:
        found, lost = image_folder.pictures_below(Path(os.path.expanduser(images)))
    except (DataError, ValueError):  # a name with a zero in it
        return None
    return (*(((path, status.st_size, status.st_mtime_ns)) for path in found if (status := _status(path))), len(lost))


def stamp(config: DataConfig, folders: Sequence[Path]) -> Hashable:
    """What changes when the files behind a data set do: where they are, their sizes and times, or their folders' times.

    Reads no content. A picture that is replaced in place, by a program that keeps its folder's time, is not noticed.
    """
    if config.dataset == "digits":
        return None
    place = builtin.locate(config.dataset, folders) if config.dataset in BUILT_IN else Path(os.path.expanduser(config.dataset))
    if place is None:
        return None
    found: list[Path] = list(idx.found_files(place).values())
    if not found:
        try:
            found = [place, *(Path(inner) for top in _folders_in(place) for inner in (top, *_folders_in(top)))]
        except OSError:
            return None
    return (place, *(((path, status.st_size, status.st_mtime_ns)) for path in found if (status := _status(path))))


def _folders_in(folder: str | Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.path for entry in entries if entry.is_dir())


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def preview(config: DataConfig, folders: Sequence[Path], count: int = 16) -> tuple[Pixels, tuple[str, ...]]:
    """At most ``count`` training images spread over the classes, uint8 (n, C, H, W), and their class names.

    Of an image folder only these are decoded. Never downloads: what is not there is :class:`NotHere`.
    """
    folder = None if config.dataset in BUILT_IN else _folder(config.dataset)
    if folder is not None and not idx.found_files(folder):
        return image_folder.preview_folder(folder, config, count, quiet, never)
    stored = _stored(config.dataset, folder, folders, False, quiet, never)
    chosen = spread(stored.train.labels, count)
    part = with_options(Arrays(images=stored.train.images[chosen], labels=stored.train.labels[chosen]), config, stored.transposed)
    return part.images, tuple(stored.classes[label] for label in part.labels)


def _folder(dataset: str) -> Path:
    """The folder that a config names, or a sentence with the built-in names."""
    path = Path(os.path.expanduser(dataset))
    if os.path.isdir(path):
        return path
    if os.path.exists(path):
        raise DataError(f"{path} is a file: name the folder that holds the data")
    known = f"the built-in data sets are {', '.join(DATASETS)}"
    raise DataError(f"{dataset} is neither a built-in data set nor a folder{closest(dataset, DATASETS)}: {known}")


def _stored(
    dataset: str, folder: Path | None, folders: Sequence[Path], download: bool, tell: Tell, cancelled: Callable[[], bool]
) -> _Stored:
    """A built-in data set, or the IDX files of ``folder`` where that is given."""
    if folder is not None:
        tell(f"Reading {folder}", 0, 0, "")
        return _idx_folder(folder)
    about = BUILT_IN[dataset]
    if dataset == "digits":
        train, test = builtin.read_digits()
        return _Stored(name=dataset, classes=about.classes, train=train, test=test)
    place = builtin.locate(dataset, folders)
    if place is None:
        place = _downloaded(dataset, folders, download, tell, cancelled)
    tell(f"Reading {about.title}", 0, 0, "")
    stop_if(cancelled, f"Reading {about.title}")
    train, test = idx.read_folder(place, len(about.classes)) if about.is_idx else builtin.read_cifar(dataset, place)
    return _Stored(name=dataset, classes=about.classes, train=train, test=test, transposed=about.transposed)


def _idx_folder(folder: Path) -> _Stored:
    """IDX files of no known name: as many classes as the labels need."""
    train, test = idx.read_folder(folder)
    count = int(max(train.labels.max(), test.labels.max())) + 1
    if count < 2:
        raise DataError(f"{folder} has only one class, 0: at least two are needed")
    classes = builtin.FORTY_SEVEN if count == len(builtin.FORTY_SEVEN) else tuple(map(str, range(count)))
    return _Stored(name=folder.resolve().name, classes=classes, train=train, test=test)


def _downloaded(name: str, folders: Sequence[Path], download: bool, tell: Tell, cancelled: Callable[[], bool]) -> Path:
    """The folder of a fresh download, or a sentence that names every folder looked in and what to put there."""
    reason = ""
    if download:
        try:
            return downloads.download(name, cache_folder(), tell, cancelled)
        except DataError as error:
            reason = f" and could not be downloaded ({error})"
    looked = [str(folder) for folder in folders]
    words = (
        f"in {' or '.join([', '.join(looked[:-1]), looked[-1]] if len(looked) > 1 else looked)}" if looked else "in any folder"
    )
    first = folders[0] if folders else cache_folder()
    about = BUILT_IN[name]
    started = (
        next((place for place in builtin.candidates(name, folders) if idx.found_files(place)), None) if about.is_idx else None
    )
    if started is not None:
        advice = f"{started} lacks {' and '.join(idx.missing_files(started))}"
    elif about.is_idx:
        file = f"emnist-balanced-{idx.NAMES[0]}.gz" if name == "emnist-balanced" else f"{idx.NAMES[0]}.gz"
        advice = f"put {file} and the other three files into {first / name}, or name their folder as the data set"
    else:
        advice = f"put the unpacked folder {about.layout} into {first}"
    raise NotHere(f"{name} was not found {words}{reason}: {advice}")
