"""Folders of pictures, ``class/image.png``, with or without ``train/ val/ test/`` above the classes."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from workbench.config import DataConfig
from workbench.distill.raw_data import Arrays, Pixels, Tell, space, spread, stop_if
from workbench.errors import DataError
from workbench.zoo import Shape

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
FORMATS = frozenset({"PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"})
VALIDATION = ("val", "valid", "validation")
TEST_SHARE = 0.2
ORIENTATION = 0x0112
"""The EXIF tag that says how a camera was held."""
LARGEST = 64_000_000
"""Pixels of the largest picture that is decoded."""

Cases = list[tuple[Path, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which pictures a folder has: paths with the number of their class, split by split, nothing decoded."""

    classes: tuple[str, ...]
    train: Cases
    validation: Cases | None
    test: Cases


def list_folder(folder: Path, split_seed: int) -> Listing:
    """The pictures of ``folder``; without a ``test/`` a stratified fifth of each class, drawn by ``split_seed``, is the test.

    Fewer than two classes, a class without pictures, one too small to split, and classes that ``train/`` does not have
    are a :class:`DataError`.
    """
    inner = _folders(folder)
    if not _holds_classes(inner.get("train")):
        for name in ("test", *VALIDATION):
            if _holds_classes(inner.get(name)):
                raise DataError(f"{folder} has {name}/ but no train/ with a folder for each class")
        classes, train = _classes(folder)
        return _without_test(folder, classes, train, None, split_seed)
    classes, train = _classes(inner["train"])
    chosen = next((inner[name] for name in VALIDATION if name in inner), None)
    validation = None if chosen is None else _other_split(chosen, classes)
    if "test" not in inner:
        return _without_test(inner["train"], classes, train, validation, split_seed)
    return Listing(classes=classes, train=train, validation=validation, test=_other_split(inner["test"], classes))


def load_folder(
    folder: Path, config: DataConfig, tell: Tell, cancelled: Callable[[], bool]
) -> tuple[tuple[str, ...], Arrays, Arrays | None, Arrays]:
    """Class names, training, validation (None without ``val/``) and test split, decoded into one array."""
    listing = list_folder(folder, config.split_seed)
    cases = listing.train + (listing.validation or []) + listing.test
    images = decode([path for path, _ in cases], config, tell, cancelled)
    labels = np.array([label for _, label in cases], np.int64)
    first, second = len(listing.train), len(cases) - len(listing.test)
    train, middle, test = (
        Arrays(images=images[part], labels=labels[part]) for part in (slice(first), slice(first, second), slice(second, None))
    )
    return listing.classes, train, None if listing.validation is None else middle, test


def preview_folder(
    folder: Path, config: DataConfig, count: int, tell: Tell, cancelled: Callable[[], bool]
) -> tuple[Pixels, tuple[str, ...]]:
    """``count`` training images spread over the classes, with their class names; the others are not decoded."""
    listing = list_folder(folder, config.split_seed)
    chosen = [listing.train[index] for index in spread(np.array([label for _, label in listing.train]), count)]
    images = decode([path for path, _ in chosen], config, tell, cancelled)
    return images, tuple(listing.classes[label] for _, label in chosen)


def pictures_below(folder: Path, given_up: Callable[[], bool] = lambda: False) -> tuple[list[Path], list[Path]]:
    """The pictures at any depth, folder by folder in the order of their names, and those that cannot be followed.

    A folder that links lead to again, such as one above it, is looked into once. One that cannot be read is a
    :class:`DataError`. ``given_up`` is asked before each folder, since a network's or a whole disk's can be many.
    """
    found: list[Path] = []
    lost: list[Path] = []
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting and not given_up():
        here = waiting.pop()
        try:
            status = here.stat()
        except OSError as error:
            raise DataError(f"{here} cannot be read: {error.strerror}") from None
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        inner = []
        for entry in _entries(here):
            picture = os.path.splitext(entry.name)[1].lower() in EXTENSIONS
            try:
                if entry.is_dir():
                    inner.append(Path(entry.path))
                elif picture:
                    (found if entry.is_file() else lost).append(Path(entry.path))
            except OSError:  # a link to itself
                lost += [Path(entry.path)] if picture else []
        waiting += reversed(inner)
    return found, lost


def decode(
    paths: Sequence[Path],
    config: DataConfig,
    tell: Tell,
    cancelled: Callable[[], bool],
    *,
    shape: Shape | None = None,
    broken: list[Path] | None = None,
) -> Pixels:
    """The pictures, uint8 (N, C, H, W): upright by their EXIF, scaled and centre-cropped to the ``shape`` (C, H, W), by
    default the square that ``config`` asks for.

    A picture that is damaged, not readable or beyond :data:`LARGEST` is a :class:`DataError` with its name; where
    ``broken`` is given it is left out and added there.
    """
    Image.init()  # Image.open with a list of formats does not load their readers
    size = config.image_size or 32
    channels, height, width = shape or (config.channels or 3, size, size)
    fitted = (height, width) if config.transpose else (width, height)
    images = space((len(paths), channels, height, width))
    done = 0
    for index, path in enumerate(paths):
        stop_if(cancelled, "Decoding pictures")
        if index % 50 == 0:
            tell("Decoding pictures", index, len(paths), "pictures")
        try:
            image = picture(path, fitted, channels)
        except DataError:
            if broken is None:
                raise
            broken.append(path)
            continue
        images[done] = image.swapaxes(1, 2) if config.transpose else image
        if config.invert:
            np.subtract(255, images[done], out=images[done])
        done += 1
    tell("Decoding pictures", len(paths), len(paths), "pictures")
    return images[:done]


def picture(path: Path, size: tuple[int, int], channels: int, remarks: list[str] | None = None) -> Pixels:
    """One picture (C, H, W) of a ``size`` given as Pillow does, width first; :func:`decode` says of what it makes it.

    What a person may not expect, such as an animation of which the first frame is taken, is said in ``remarks``.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe waits for whoever writes into it
            raise DataError(f"{path} is not a file that can be read: replace or remove it")
        with Image.open(path, formats=tuple(FORMATS & Image.OPEN.keys())) as opened:
            if opened.width * opened.height > LARGEST:
                raise Image.DecompressionBombError
            turned = opened.getexif().get(ORIENTATION, 1) != 1
            if remarks is not None:
                remarks += _remarks(opened, turned)
            opened.draft(opened.mode, (2 * size[0], 2 * size[1]))
            opened.load()
            upright = _eight_bit(path, ImageOps.exif_transpose(opened) if turned else opened)
            mode = "L" if channels == 1 else "RGB"
            plain = upright if upright.mode == mode else upright.convert(mode)
        fitted = np.asarray(plain if plain.size == size else ImageOps.fit(plain, size, method=Image.Resampling.BILINEAR))
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{path} is too large: a picture may have {LARGEST / 1e6:.0f} megapixels") from None
    except FileNotFoundError:
        raise DataError(f"{path} is not there") from None
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:  # on a damaged file Pillow's readers raise nearly anything
        cut = "is cut off and " if "truncated" in str(error) else ""
        raise DataError(f"{path} {cut}is not a picture that can be decoded: replace or remove it") from None
    return fitted[None] if channels == 1 else fitted.transpose(2, 0, 1)


def _remarks(opened: Image.Image, turned: bool) -> list[str]:
    """What is said of a picture before it is decoded."""
    found = []
    if getattr(opened, "is_animated", False):
        found.append("the first of several frames")
    if max(opened.size) == 1:
        found.append("a single pixel")
    if turned:
        found.append("turned upright")
    return found


def _eight_bit(path: Path, picture: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits, and transparency laid on white, both of which ``convert`` would spoil."""
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).clip(0, 65535) // 257).astype(np.uint8))
    if picture.mode == "F":
        raise DataError(f"{path} has floating-point pixels: save it with 8 or 16 bits per channel")
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is visible in the folder, by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from None


def _folders(folder: Path) -> dict[str, Path]:
    return {entry.name: Path(entry.path) for entry in _entries(folder) if _is(entry, "folder")}


def _pictures(folder: Path) -> list[Path]:
    found = []
    for entry in _entries(folder):
        if os.path.splitext(entry.name)[1].lower() in EXTENSIONS and not _is(entry, "folder"):
            if not _is(entry, "file"):
                raise DataError(f"{entry.path} is not a file that can be read: replace or remove it")
            found.append(Path(entry.path))
    return found


def _is(entry: os.DirEntry[str], kind: str) -> bool:
    try:
        return entry.is_dir() if kind == "folder" else entry.is_file()
    except OSError as error:
        raise DataError(f"{entry.path} cannot be followed ({error.strerror}): replace or remove it") from None


def _holds_classes(folder: Path | None) -> bool:
    """Whether this is a split with classes in it, and not a class that happens to be called train or test."""
    return folder is not None and bool(_folders(folder)) and not _pictures(folder)


def _classes(folder: Path) -> tuple[tuple[str, ...], Cases]:
    """Names and pictures of the training classes."""
    folders = _folders(folder)
    if not folders:
        raise DataError(f"{folder} has neither MNIST-style IDX files nor a folder of pictures for each class")
    cases: Cases = []
    for label, path in enumerate(folders.values()):
        pictures = _pictures(path)
        if not pictures:
            raise DataError(f"The class folder {path} has no pictures directly inside: add some or remove the folder")
        cases += [(picture, label) for picture in pictures]
    if len(folders) < 2:
        raise DataError(f"{folder} has only the class {next(iter(folders))}: at least two are needed, a folder for each")
    return tuple(folders), cases


def _other_split(folder: Path, classes: tuple[str, ...]) -> Cases:
    """The pictures of ``test/`` or ``val/``, numbered as ``train/`` numbers the classes."""
    folders = _folders(folder)
    unknown = [name for name in folders if name not in classes]
    if unknown:
        raise DataError(f"{folder} has the class {unknown[0]}, which train/ does not have: its classes are {some(classes)}")
    cases = [(picture, classes.index(name)) for name, path in folders.items() for picture in _pictures(path)]
    if not cases:
        raise DataError(f"{folder} has no pictures: put them into a folder for each class, or remove {folder.name}/")
    return cases


def some(names: Sequence[str]) -> str:
    """A list that does not grow beyond what one reads."""
    return ", ".join(names) if len(names) <= 10 else f"{', '.join(names[:10])} and {len(names) - 10} more"


def _without_test(folder: Path, classes: tuple[str, ...], cases: Cases, validation: Cases | None, seed: int) -> Listing:
    """A fifth of each class, at least one picture, moved from the training cases to the test."""
    random = np.random.default_rng(seed)
    labels = np.array([label for _, label in cases])
    in_test = np.zeros(len(cases), bool)
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise DataError(f"The class folder {folder / name} has one picture: a class needs at least 2 where there is no test/")
        in_test[random.permutation(members)[: max(1, round(TEST_SHARE * len(members)))]] = True
    train = [case for case, tested in zip(cases, in_test, strict=True) if not tested]
    test = [case for case, tested in zip(cases, in_test, strict=True) if tested]
    return Listing(classes=classes, train=train, validation=validation, test=test)
