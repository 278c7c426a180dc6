"""The data sets known by name: what they are, where their files may lie, and how CIFAR and the digits are read."""

from __future__ import annotations

import importlib.util
import os
import string
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.distill import idx
from workbench.distill.raw_data import Arrays
from workbench.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIn:
    """A data set known by name. ``torchvision`` is its class there; ``layout`` the folder in which that class keeps it."""

    title: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    train_cases: int
    test_cases: int
    torchvision: str = ""
    layout: str = ""
    download_mb: int = 0
    files: tuple[str, ...] = ()
    transposed: bool = False

    @property
    def is_idx(self) -> bool:
        """Whether it comes as IDX files (else as CIFAR's batches, or with scikit-learn)."""
        return self.layout.endswith("/raw")


TEN = tuple(string.digits)
FORTY_SEVEN = tuple(string.digits + string.ascii_uppercase + "abdefghnqrt")
"""EMNIST's balanced classes: capital and small letters that look alike are one class."""
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
HIRAGANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100 = tuple(
    """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
    forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
    mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
    sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm""".split()
)

BUILT_IN = {
    "digits": BuiltIn(title="Digits of scikit-learn", classes=TEN, shape=(1, 8, 8), train_cases=1297, test_cases=500),
    "mnist": BuiltIn(
        title="MNIST", classes=TEN, shape=(1, 28, 28), train_cases=60_000, test_cases=10_000, torchvision="MNIST",
        layout="MNIST/raw", download_mb=12,
    ),
    "fashion-mnist": BuiltIn(
        title="Fashion-MNIST", classes=CLOTHES, shape=(1, 28, 28), train_cases=60_000, test_cases=10_000,
        torchvision="FashionMNIST", layout="FashionMNIST/raw", download_mb=31,
    ),
    "kmnist": BuiltIn(
        title="Kuzushiji-MNIST", classes=HIRAGANA, shape=(1, 28, 28), train_cases=60_000, test_cases=10_000,
        torchvision="KMNIST", layout="KMNIST/raw", download_mb=21,
    ),
    "emnist-balanced": BuiltIn(
        title="EMNIST balanced", classes=FORTY_SEVEN, shape=(1, 28, 28), train_cases=112_800, test_cases=18_800,
        torchvision="EMNIST", layout="EMNIST/raw", download_mb=562, transposed=True,
    ),
    "cifar10": BuiltIn(
        title="CIFAR-10", classes=CIFAR10, shape=(3, 32, 32), train_cases=50_000, test_cases=10_000, torchvision="CIFAR10",
        layout="cifar-10-batches-py", download_mb=170,
        files=(*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"),
    ),
    "cifar100": BuiltIn(
        title="CIFAR-100", classes=CIFAR100, shape=(3, 32, 32), train_cases=50_000, test_cases=10_000, torchvision="CIFAR100",
        layout="cifar-100-python", download_mb=169, files=("train", "test", "meta"),
    ),
}  # fmt: skip


def candidates(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    """Where under ``folders`` the files may lie: torchvision's layout, a folder of this name, then the folder itself."""
    about = BUILT_IN[name]
    for folder in folders:
        yield folder / about.layout
        yield folder / name if about.is_idx else folder / name / about.layout
        if _may_be(name, folder) if about.is_idx else folder.name == about.layout:
            yield folder


def locate(name: str, folders: Sequence[Path]) -> Path | None:
    """The folder that holds all files of a built-in data set, the first of :func:`candidates`; None where none does."""
    about = BUILT_IN[name]
    for place in candidates(name, folders):
        if not (idx.missing_files(place) if about.is_idx else any(not os.path.isfile(place / file) for file in about.files)):
            return place
    return None


def _may_be(name: str, folder: Path) -> bool:
    """Whether IDX files in ``folder`` itself are this data set: its name says so, or its labels fit no other one's.

    Ten digits, ten garments and ten kana look alike to a program: without a name they are none of them.
    """
    count = len(BUILT_IN[name].classes)
    alone = [len(about.classes) for about in BUILT_IN.values() if about.is_idx].count(count) == 1
    if _named_after(folder) not in ((name, None) if alone else (name,)) or idx.missing_files(folder):
        return False
    try:
        return max(int(labels.max()) for labels in idx.read_labels(folder)) == count - 1
    except DataError:
        return True  # load() says what is wrong with the file


def _named_after(folder: Path) -> str | None:
    """The data set whose name, or torchvision's name for it, a folder's own name has in it; of several the longest."""
    owner = _letters((folder.parent if folder.name == "raw" else folder).name)
    names = {_letters(word): name for name, about in BUILT_IN.items() if about.is_idx for word in (name, about.torchvision)}
    return names.get(max((word for word in names if word in owner), key=len, default=""))


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def read_digits() -> tuple[Arrays, Arrays]:
    """scikit-learn's 1,797 digits, uint8 (N, 1, 8, 8): the first 1,297 to train on, the last 500 for the test."""
    table = _digits_table()
    images = np.rint(table[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    labels = table[:, -1].astype(np.int64)
    first = BUILT_IN["digits"].train_cases
    return Arrays(images=images[:first], labels=labels[:first]), Arrays(images=images[first:], labels=labels[first:])


def _digits_table() -> np.ndarray:
    """64 pixels from 0 to 16 and the class, a row a digit.

    Read from scikit-learn's own file where it is found: importing scikit-learn for it takes two seconds and more.
    """
    package = importlib.util.find_spec("sklearn")
    for folder in package.submodule_search_locations or () if package else ():
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])


def read_cifar(name: str, folder: Path) -> tuple[Arrays, Arrays]:
    """CIFAR-10 or CIFAR-100, uint8 (N, 3, 32, 32).

    The batches are pickles, so torchvision reads them, and only after each file has the published MD5; another
    content is a :class:`DataError`.
    """
    from torchvision import datasets

    reader = getattr(datasets, BUILT_IN[name].torchvision)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)  # the pickles were made by an old NumPy
            parts = [reader(folder.parent, train=train, download=False) for train in (True, False)]
    except (RuntimeError, OSError):
        raise DataError(
            f"{folder} is damaged or not the published {BUILT_IN[name].title}: remove the folder and get it anew"
        ) from None
    train, test = (
        Arrays(images=np.ascontiguousarray(part.data.transpose(0, 3, 1, 2)), labels=np.array(part.targets, np.int64))
        for part in parts
    )
    return train, test
