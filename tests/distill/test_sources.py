"""Data sets found by name and read from real and generated IDX files."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.distill.data_files import (
    SHARED,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    idx_bytes,
    idx_files,
    load,
    move_cache,
    picture_folder,
    write_idx,
    write_picture,
)
from workbench.config import DataConfig
from workbench.distill import raw_data, sources
from workbench.errors import DataError, NotHere


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared data is not on this machine")
    return SHARED


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, moved to where the test may write."""
    return move_cache(tmp_path, monkeypatch)


class TestBuiltIn:
    def test_that_digits_need_no_file(self) -> None:
        digits = load("digits")
        assert digits.train.images.shape == (1297, 1, 8, 8)
        assert digits.test.images.shape == (500, 1, 8, 8)
        assert digits.train.images.dtype == np.uint8
        assert digits.train.labels.dtype == np.int64
        assert digits.train.images.max() == 255
        assert set(np.unique(digits.train.images)) == {round(value * 255 / 16) for value in range(17)}
        assert digits.classes == tuple("0123456789")
        assert digits.validation is None
        assert digits.digest == load("digits").digest

    def test_that_mnist_is_read_whole_and_fast(self, shared: Path) -> None:
        start = time.perf_counter()
        mnist = load("mnist", shared)
        assert time.perf_counter() - start < 5
        assert mnist.train.images.shape == (60_000, 1, 28, 28)
        assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
        assert mnist.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
        assert 33.3 < mnist.train.images.mean() < 33.4

    def test_that_emnist_balanced_is_upright(self, shared: Path) -> None:
        """Letters I and l-like strokes stand: classes 1 and I are taller than wide, only when transposed."""
        emnist = load("emnist-balanced", shared / "emnist47")
        assert len(emnist.classes) == 47
        assert emnist.classes[10] == "A"
        assert emnist.classes[46] == "t"
        ones = emnist.train.images[emnist.train.labels == 1][:50, 0] > 100
        assert ones.any(axis=2).sum() > 1.5 * ones.any(axis=1).sum()
        again = load("emnist-balanced", shared / "emnist47", transpose=True)
        assert (again.train.images.swapaxes(2, 3) == emnist.train.images).all()
        as_folder = load(shared / "emnist47")
        assert (as_folder.train.images == again.train.images).all()
        assert as_folder.classes == emnist.classes

    @pytest.mark.parametrize("layout", ["FashionMNIST/raw", "fashion-mnist"])
    def test_that_a_built_in_name_is_found_in_each_layout(self, tmp_path: Path, layout: str) -> None:
        write_idx(tmp_path / "here" / layout)
        fashion = load("fashion-mnist", tmp_path / "empty", tmp_path / "here")
        assert fashion.classes[0] == "T-shirt/top"
        assert fashion.train.images.shape == (40, 1, 6, 5)

    def test_that_emnist_is_found_under_its_own_file_names(self, tmp_path: Path) -> None:
        files = {f"emnist-balanced-{name.replace('t10k', 'test')}": content for name, content in idx_files(47, 94, 47).items()}
        write_idx(tmp_path / "EMNIST" / "raw", files, plain=True)
        assert load("emnist-balanced", tmp_path).train.images.shape == (94, 1, 5, 6)

    @pytest.mark.parametrize("name", ["fashion-mnist", "my Fashion MNIST (copy)", "FashionMNIST/raw"])
    def test_that_a_folder_that_says_what_it_holds_is_taken_at_its_word(self, tmp_path: Path, name: str) -> None:
        write_idx(tmp_path / name)
        assert load("fashion-mnist", tmp_path / name).classes[0] == "T-shirt/top"

    @pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist"])
    def test_that_ten_classes_of_no_name_are_not_taken_for_a_built_in_set(self, tmp_path: Path, name: str) -> None:
        write_idx(tmp_path / "pictures")
        with pytest.raises(NotHere, match="name their folder as the data set"):
            load(name, tmp_path / "pictures")

    @pytest.mark.parametrize(
        ("folder", "classes", "taken"), [("letters", 47, True), ("emnist-letters", 27, False), ("mnist", 47, False)]
    )
    def test_that_only_the_labels_of_emnist_balanced_are_taken_for_it(
        self, tmp_path: Path, folder: str, classes: int, taken: bool
    ) -> None:
        write_idx(tmp_path / folder, idx_files(classes, 94, 94))
        with nullcontext() if taken else pytest.raises(NotHere):
            assert load("emnist-balanced", tmp_path / folder).train.labels.max() == 46

    def test_that_a_damaged_built_in_set_is_not_said_to_be_absent(self, tmp_path: Path) -> None:
        (write_idx(tmp_path / "mnist") / TEST_LABELS).write_bytes(b"nothing")
        with pytest.raises(DataError, match="is not a gzip file") as caught:
            load("mnist", tmp_path)
        assert not isinstance(caught.value, NotHere)

    @pytest.mark.parametrize("place", ["mnist", "kmnist", "MNIST/raw"])
    def test_that_a_folder_named_after_another_data_set_is_not_taken_for_this_one(self, tmp_path: Path, place: str) -> None:
        write_idx(tmp_path / place)
        with pytest.raises(DataError, match="fashion-mnist was not found"):
            load("fashion-mnist", tmp_path / place)

    def test_that_a_folder_with_labels_of_more_classes_is_passed_over(self, tmp_path: Path) -> None:
        write_idx(tmp_path / "letters", idx_files(30))
        write_idx(tmp_path / "good" / "mnist")
        assert load("mnist", tmp_path / "letters", tmp_path / "good").train.labels.max() == 9

    def test_that_what_was_not_found_names_every_folder_and_what_to_put_there(self, tmp_path: Path) -> None:
        folders = [tmp_path / name for name in "ABC"]
        with pytest.raises(DataError) as caught:
            load("mnist", *folders)
        looked = f"{folders[0]}, {folders[1]} or {folders[2]}"
        advice = (
            f"put train-images-idx3-ubyte.gz and the other three files into {folders[0] / 'mnist'}, "
            "or name their folder as the data set"
        )
        assert str(caught.value) == f"mnist was not found in {looked}: {advice}"
        with pytest.raises(DataError, match=r"put the unpacked folder cifar-10-batches-py into .*A$"):
            load("cifar10", *folders)

    def test_that_an_incomplete_folder_says_which_file_is_missing(self, tmp_path: Path) -> None:
        (write_idx(tmp_path / "mnist") / TEST_LABELS).unlink()
        with pytest.raises(DataError, match="mnist lacks t10k-labels-idx1-ubyte"):
            load("mnist", tmp_path)

    def test_that_the_catalogue_says_where_each_was_found(self, tmp_path: Path) -> None:
        write_idx(tmp_path / "kmnist")
        found = {info.name: info for info in sources.catalogue([tmp_path])}
        assert tuple(found) == sources.DATASETS
        assert found["digits"].where == "built in"
        assert found["kmnist"].where == str(tmp_path / "kmnist")
        assert (found["kmnist"].shape, found["kmnist"].train_cases, found["kmnist"].test_cases) == ((1, 6, 5), 40, 20)
        assert found["mnist"].where == ""
        assert found["mnist"].train_cases == 60_000
        assert found["cifar100"].classes == 100

    def test_that_folders_are_looked_in_once_and_in_order(
        self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a, b = tmp_path / "a", tmp_path / "b"
        monkeypatch.setenv("WORKBENCH_DATA", os.pathsep.join([str(b), str(a), ""]))
        assert sources.data_folders([a])[:3] == (a, b, cache)
        assert len(set(sources.data_folders([a, a]))) == len(sources.data_folders([a, a]))

    def test_that_an_unknown_name_gets_the_closest_one(self) -> None:
        with pytest.raises(DataError, match=r"fashionmnist is neither .*did you mean 'fashion-mnist'.*digits, mnist"):
            load("fashionmnist")

    def test_that_a_file_is_no_data_set(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"cat.png is a file"):
            load(write_picture(tmp_path / "cat.png"))

    @pytest.mark.parametrize("dataset", ["~nobody-of-this-name/x", "a\0b", "x" * 5000])
    def test_that_an_impossible_path_is_a_sentence(self, dataset: str) -> None:
        with pytest.raises(DataError, match="neither a built-in data set nor a folder"):
            load(dataset)

    def test_that_a_stamp_changes_when_files_do_and_only_then(self, tmp_path: Path) -> None:
        idx, pictures = write_idx(tmp_path / "idx"), picture_folder(tmp_path / "pictures", cat=2, dog=2)
        for folder, change in (
            (idx, lambda: os.utime(idx / TEST_LABELS, (1, 1))),
            (pictures, lambda: write_picture(pictures / "dog" / "new.png")),
        ):
            before = sources.stamp(DataConfig(dataset=str(folder)), ())
            assert sources.stamp(DataConfig(dataset=str(folder)), ()) == before
            change()
            assert sources.stamp(DataConfig(dataset=str(folder)), ()) != before

    def test_that_a_stamp_of_what_is_not_there_is_none(self, tmp_path: Path) -> None:
        assert sources.stamp(DataConfig(dataset="mnist"), [tmp_path]) is None
        assert sources.stamp(DataConfig(dataset=str(tmp_path / "gone")), ()) is None

    def test_that_torch_is_not_imported(self) -> None:
        code = (
            "import sys, workbench.distill.sources as s; s.catalogue([]); sys.exit(bool({'torch', 'PySide6'} & {*sys.modules}))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestIdx:
    def test_that_gzipped_and_plain_files_have_one_digest(self, tmp_path: Path) -> None:
        gzipped, plain = load(write_idx(tmp_path / "a")), load(write_idx(tmp_path / "b", plain=True))
        assert gzipped.digest == plain.digest
        assert (gzipped.name, plain.name) == ("a", "b")

    def test_that_the_digest_is_that_of_other_machines(self, tmp_path: Path) -> None:
        files = {name: idx_bytes(np.arange(24).reshape(2, 4, 3) if "images" in name else np.arange(2)) for name in idx_files()}
        digest = load(write_idx(tmp_path, files)).digest
        pixels, labels = bytes(range(24)), struct.pack("<2q", 0, 1)
        about = b'{"classes":["0","1"],"shapes":[[2,1,4,3],null,[2,1,4,3]]}'
        assert digest == hashlib.sha256(about + pixels + labels + pixels + labels).hexdigest()

    def test_that_every_part_of_the_content_changes_the_digest(self, tmp_path: Path) -> None:
        seen = {load(write_idx(tmp_path / "given")).digest}
        for index, name in enumerate(idx_files()):
            files = idx_files()
            files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])
            seen.add(load(write_idx(tmp_path / str(index), files)).digest)
        seen |= {load(tmp_path / "given", **{option: True}).digest for option in ("transpose", "invert")}
        assert len(seen) == 7

    def test_that_the_dotted_spelling_is_accepted(self, tmp_path: Path) -> None:
        files = {name.replace("-idx", ".idx"): content for name, content in idx_files().items()}
        assert load(write_idx(tmp_path, files, plain=True)).train.images.shape == (40, 1, 6, 5)

    def test_that_unknown_classes_are_numbered_and_47_are_those_of_emnist(self, tmp_path: Path) -> None:
        assert load(write_idx(tmp_path / "a", idx_files(3))).classes == ("0", "1", "2")
        letters = load(write_idx(tmp_path / "b", idx_files(47, 47, 47))).classes
        assert "".join(letters) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"

    def test_that_options_are_applied(self, tmp_path: Path) -> None:
        folder = write_idx(tmp_path)
        stored = load(folder).train.images
        assert (load(folder, transpose=True).train.images == stored.swapaxes(2, 3)).all()
        assert (load(folder, invert=True).train.images == 255 - stored).all()
        assert (load(folder, channels=3).train.images == stored.repeat(3, axis=1)).all()
        assert load(folder, image_size=9).test.images.shape == (20, 1, 9, 9)
        assert load(folder, image_size=9, channels=3).train.images.flags.c_contiguous

    def test_that_grey_is_what_pillow_makes_of_a_colour(self) -> None:
        colours = np.random.default_rng(0).integers(0, 256, (1100, 3, 4, 5), dtype=np.uint8)
        stored = sources.Arrays(images=colours, labels=np.zeros(1100, np.int64))
        grey = raw_data.with_options(stored, DataConfig(channels=1)).images
        for index in (0, 1099):
            picture = Image.fromarray(np.ascontiguousarray(colours[index].transpose(1, 2, 0)))
            assert (np.asarray(picture.convert("L")) == grey[index, 0]).all()

    def test_that_a_preview_is_spread_over_the_classes(self, tmp_path: Path) -> None:
        write_idx(tmp_path)
        images, labels = sources.preview(DataConfig(dataset=str(tmp_path), transpose=True), (), 12)
        assert images.shape == (12, 1, 5, 6)
        assert labels == (*"0123456789", "0", "1")
        assert sources.preview(DataConfig(dataset=str(tmp_path)), (), 3)[1] == ("0", "4", "9")

    @pytest.mark.parametrize(
        ("name", "change", "sentence"),
        [
            (TRAIN_IMAGES, lambda content: content[:-7], "cut short"),
            (TRAIN_LABELS, lambda content: content[:6], "not an IDX file of labels"),
            (TEST_IMAGES, lambda content: b"", "not an IDX file of images"),
            (TEST_IMAGES, lambda content: content + b"x", "longer than it says"),
            (TRAIN_IMAGES, lambda content: b"\0\0\x0d\3" + content[4:], "must begin with the bytes 00 00 08 03"),
            (TRAIN_LABELS, lambda content: idx_bytes(np.zeros((4, 2, 2))), "not an IDX file of labels"),
            (TRAIN_IMAGES, lambda content: b"\0\0\x08\3" + b"\xff" * 12 + content[16:], "claims 79,228"),
            (TRAIN_IMAGES, lambda content: idx_bytes(np.zeros((0, 6, 5))), "is empty"),
            (TRAIN_LABELS, lambda content: idx_bytes(np.zeros(39)), "39 labels for the 40 images"),
            (TEST_LABELS, lambda content: idx_bytes(np.arange(20)), "label 19, but this data set's labels are 0 to 9"),
            (TEST_IMAGES, lambda content: idx_bytes(np.zeros((20, 7, 5))), "images of 7x5 but the training images are 6x5"),
        ],
    )
    @pytest.mark.parametrize("plain", [False, True])
    def test_that_a_wrong_file_is_named(
        self, tmp_path: Path, name: str, change: Callable[[bytes], bytes], sentence: str, plain: bool
    ) -> None:
        files = idx_files()
        files[name] = change(files[name])
        write_idx(tmp_path / "mnist", files, plain)
        with pytest.raises(DataError) as caught:
            load("mnist", tmp_path)
        assert sentence in str(caught.value)
        assert str(tmp_path / "mnist" / name.removesuffix(".gz")) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_that_a_file_that_is_not_gzip_is_named(self, tmp_path: Path) -> None:
        write_idx(tmp_path)
        (tmp_path / TRAIN_LABELS).write_bytes(b"<html>404</html>")
        with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz is not a gzip file"):
            load(tmp_path)

    @pytest.mark.parametrize(
        "damage", [lambda raw: raw[:-40], lambda raw: raw[:60] + bytes(20) + raw[80:], lambda raw: raw[:-8] + bytes(8)]
    )
    def test_that_a_damaged_gzip_file_is_named(self, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
        path = write_idx(tmp_path) / TRAIN_IMAGES
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is damaged or incomplete"):
            load(tmp_path)

    def test_that_one_class_is_too_few(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="only one class"):
            load(write_idx(tmp_path, idx_files(1)))
