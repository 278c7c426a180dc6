"""Folders of pictures, good and bad."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.distill.data_files import (
    digit_pictures,
    left_in,
    load,
    move_cache,
    picture_folder,
    write_idx,
    write_picture,
)
from workbench.config import DataConfig
from workbench.distill import raw_data, sources
from workbench.errors import Cancelled, DataError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, moved to where the test may write."""
    return move_cache(tmp_path, monkeypatch)


class TestImageFolder:
    def test_that_a_fifth_of_each_class_is_the_test(self, tmp_path: Path) -> None:
        data = load(picture_folder(tmp_path / "pets", cat=10, dog=5, eel=2))
        assert data.name == "pets"
        assert data.classes == ("cat", "dog", "eel")
        assert np.bincount(data.test.labels).tolist() == [2, 1, 1]
        assert np.bincount(data.train.labels).tolist() == [8, 4, 1]
        assert data.train.images.shape == (13, 3, 32, 32)
        assert data.validation is None
        everything = np.concatenate([data.train.images, data.test.images])[:, :, 0, 0]
        assert len({tuple(colour) for colour in everything.tolist()}) == 17

    def test_that_the_split_seed_decides_the_test(self, tmp_path: Path) -> None:
        folder = picture_folder(tmp_path, cat=20, dog=20)
        assert load(folder).digest == load(folder).digest
        assert load(folder, split_seed=1).digest != load(folder).digest

    @pytest.mark.parametrize("name", ["val", "valid", "validation"])
    def test_that_given_splits_are_kept(self, tmp_path: Path, name: str) -> None:
        picture_folder(tmp_path / "train", cat=3, dog=3)
        picture_folder(tmp_path / name, dog=2)
        with_val = load(tmp_path)
        assert with_val.validation is not None
        assert with_val.validation.labels.tolist() == [1, 1]
        assert len(with_val.test.labels) == 2
        picture_folder(tmp_path / "test", cat=1, dog=2)
        data = load(tmp_path)
        assert np.bincount(data.train.labels).tolist() == [3, 3]
        assert data.test.labels.tolist() == [0, 1, 1]
        assert data.digest != with_val.digest

    def test_that_classes_may_be_called_train_and_test(self, tmp_path: Path) -> None:
        assert load(picture_folder(tmp_path, plane=2, test=2, train=2)).classes == ("plane", "test", "train")

    def test_that_hidden_files_and_other_files_are_skipped(self, tmp_path: Path) -> None:
        picture_folder(tmp_path, cat=2, dog=2)
        for path in (tmp_path / "cat" / ".hidden.png", tmp_path / "cat" / "Thumbs.db", tmp_path / "notes.txt"):
            path.write_bytes(b"no picture")
        (tmp_path / ".git").mkdir()
        assert len(load(tmp_path).train.labels) == 2

    def test_that_pictures_are_centre_cropped_and_not_squeezed(self, tmp_path: Path) -> None:
        picture_folder(tmp_path, cat=2, dog=2)
        wide = Image.new("RGB", (300, 100), "red")
        wide.paste("blue", (100, 0, 200, 100))
        for index in range(2):
            wide.save(tmp_path / "cat" / f"{index:02}.png")
        first = load(tmp_path, image_size=20).train.images[0]
        assert first.shape == (3, 20, 20)
        assert (first[2] > 200).all()

    def test_that_the_exif_orientation_is_applied(self, tmp_path: Path) -> None:
        picture_folder(tmp_path, cat=2, dog=2)
        picture = Image.new("L", (64, 64))
        picture.paste(255, (0, 0, 64, 32))
        exif = Image.Exif()
        exif[0x0112] = 6
        for path in (tmp_path / "cat").iterdir():
            path.unlink()
        for index in range(2):
            picture.save(tmp_path / "cat" / f"{index}.jpg", exif=exif)
        turned = load(tmp_path, channels=1, image_size=16).train.images[0, 0]
        assert turned[:, 12:].min() > 200
        assert turned[:, :4].max() < 50

    @pytest.mark.parametrize(
        ("mode", "colour", "suffix", "seen"),
        [
            ("L", 90, "png", (90, 90, 90)),
            ("1", 1, "tif", (255, 255, 255)),
            ("P", 0, "gif", (0, 0, 0)),
            ("RGBA", (0, 0, 255, 0), "webp", (255, 255, 255)),
            ("LA", (10, 255), "png", (10, 10, 10)),
            ("I;16", 257 * 100, "png", (100, 100, 100)),
            ("CMYK", (0, 0, 0, 0), "tiff", (255, 255, 255)),
            ("RGB", (1, 2, 3), "bmp", (1, 2, 3)),
            ("RGB", (1, 2, 3), "ppm", (1, 2, 3)),
            ("L", 7, "pgm", (7, 7, 7)),
        ],
    )
    def test_that_every_kind_of_picture_keeps_its_colour(
        self, tmp_path: Path, mode: str, colour: object, suffix: str, seen: tuple[int, ...]
    ) -> None:
        picture_folder(tmp_path, dog=2)
        for index in range(2):
            write_picture(tmp_path / "cat" / f"{index}.{suffix.upper()}", colour, mode=mode)
        assert tuple(load(tmp_path).train.images[0, :, 5, 5]) == seen

    def test_that_options_are_applied(self, tmp_path: Path) -> None:
        picture_folder(tmp_path, cat=2, dog=2)
        gradient = Image.linear_gradient("L").resize((32, 32))
        for index in range(2):
            gradient.save(tmp_path / "cat" / f"{index:02}.png")
        plain = load(tmp_path, channels=1).train.images[0, 0]
        assert (load(tmp_path, channels=1, transpose=True).train.images[0, 0] == plain.T).all()
        assert (load(tmp_path, channels=1, invert=True).train.images[0, 0] == 255 - plain).all()

    def test_that_a_large_set_is_mapped_from_the_disk(self, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = picture_folder(tmp_path / "pets", cat=3, dog=3)
        small = load(folder)
        monkeypatch.setattr(raw_data, "IN_MEMORY", 1000)
        large = load(folder)
        assert isinstance(large.train.images, np.memmap)
        assert large.digest == small.digest
        assert left_in(cache) == []

    def test_that_a_full_disk_is_a_sentence(self, cache: Path) -> None:
        with pytest.raises(DataError, match=r"do not fit into .* they need 3[\d.]+ GB"):
            raw_data.space((1 << 55,))

    def test_that_a_preview_decodes_only_what_it_shows(self, tmp_path: Path) -> None:
        picture_folder(tmp_path, cat=9, dog=9)
        images, labels = sources.preview(DataConfig(dataset=str(tmp_path), image_size=8), (), 4)
        assert images.shape == (4, 3, 8, 8)
        assert labels == ("cat", "dog", "cat", "dog")

    def test_that_decoding_tells_and_can_be_cancelled(self, tmp_path: Path) -> None:
        config = DataConfig(dataset=str(picture_folder(tmp_path, cat=60, dog=60)))
        heard: list[int] = []
        sources.load(config, (), tell=lambda text, done, total, unit: heard.append(done))
        assert heard == [0, 50, 100, 120]
        heard.clear()
        with pytest.raises(Cancelled):
            sources.load(config, (), tell=lambda text, done, total, unit: heard.append(done), cancelled=lambda: len(heard) > 1)
        assert heard == [0, 50]


def broken(tmp_path: Path, name: str, content: bytes) -> Path:
    path = picture_folder(tmp_path, cat=2, dog=2) / "cat" / name
    path.write_bytes(content)
    return path


class TestBadImageFolder:
    @pytest.mark.parametrize(
        ("pictures", "sentence"),
        [
            ({}, "has neither MNIST-style IDX files nor a folder of pictures for each class"),
            ({"cat": 3}, "has only the class cat"),
            ({"cat": 3, "dog": 1}, "dog has one picture"),
            (
                {"train/cat": 2, "train/dog": 2, "test/fox": 1},
                "test has the class fox, which train/ does not have: its classes are cat, dog",
            ),
            ({"train/cat": 2, "train/dog": 2, "val/fox": 1}, "val has the class fox"),
            ({"train/cat": 2, "test/cat": 2}, "train has only the class cat"),
            ({"train/cat": 2, "train/dog": 2, "test": 2}, "test has no pictures: put them into a folder for each class"),
            ({"test/cat": 2, "test/dog": 2}, "has test/ but no train/"),
        ],
    )
    def test_that_wrong_folders_are_a_sentence(self, tmp_path: Path, pictures: dict[str, int], sentence: str) -> None:
        picture_folder(tmp_path, **pictures)
        with pytest.raises(DataError) as caught:
            load(tmp_path)
        assert sentence in str(caught.value)
        assert str(tmp_path) in str(caught.value)

    def test_that_an_empty_class_is_named(self, tmp_path: Path) -> None:
        (picture_folder(tmp_path, cat=2, dog=2) / "eel").mkdir()
        with pytest.raises(DataError, match="eel has no pictures"):
            load(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
    def test_that_what_is_not_a_picture_is_named(self, tmp_path: Path, content: bytes) -> None:
        path = broken(tmp_path, "01.png", content)
        with pytest.raises(DataError) as caught:
            load(tmp_path)
        assert str(caught.value) == f"{path} is not a picture that can be decoded: replace or remove it"

    @pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif"])
    def test_that_a_cut_picture_is_named(self, tmp_path: Path, suffix: str) -> None:
        noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), dtype=np.uint8))
        noise.save(tmp_path / f"whole.{suffix}")
        whole = (tmp_path / f"whole.{suffix}").read_bytes()
        path = broken(tmp_path / "pets", f"cut.{suffix}", whole[: len(whole) // 2])
        with pytest.raises(DataError, match="is not a picture that can be decoded") as caught:
            load(tmp_path / "pets")
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("side", [8_001, 10_000, 20_000])
    def test_that_a_picture_of_too_many_pixels_is_named(self, tmp_path: Path, side: int) -> None:
        picture_folder(tmp_path, cat=2, dog=2)
        path = tmp_path / "cat" / "vast.png"
        write_picture(path, 1, (side, side), "1")
        with pytest.raises(DataError) as caught:
            load(tmp_path)
        assert str(caught.value) == f"{path} is too large: a picture may have 64 megapixels"

    def test_that_floating_point_pixels_are_refused(self, tmp_path: Path) -> None:
        picture_folder(tmp_path, cat=2, dog=2)
        write_picture(tmp_path / "cat" / "height.tif", 0.5, mode="F")
        with pytest.raises(DataError, match=r"height.tif has floating-point pixels"):
            load(tmp_path)

    @pytest.mark.parametrize("name", ["loop.png", "loop"])
    @pytest.mark.parametrize("target", ["itself", "nothing", "."])
    def test_that_links_that_lead_nowhere_are_named(self, tmp_path: Path, name: str, target: str) -> None:
        folder = picture_folder(tmp_path, cat=2, dog=2) / ("cat" if name.endswith(".png") else ".")
        (folder / name).symlink_to(name if target == "itself" else target)
        if (target, name) in (("nothing", "loop"), (".", "loop.png")):
            assert load(tmp_path).classes == ("cat", "dog")
            return
        with pytest.raises(DataError, match="loop"):
            load(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
    @pytest.mark.parametrize("name", ["cat", "cat/00.png"])
    def test_that_what_may_not_be_read_is_named(self, tmp_path: Path, name: str) -> None:
        path = picture_folder(tmp_path, cat=2, dog=2) / name
        path.chmod(0)
        try:
            with pytest.raises(DataError, match="cannot be read: Permission denied") as caught:
                load(tmp_path)
        finally:
            path.chmod(0o700)
        assert str(path) in str(caught.value)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
    def test_that_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        picture_folder(tmp_path, cat=2, dog=2)
        os.mkfifo(tmp_path / "cat" / "pipe.png")
        with pytest.raises(DataError, match=r"pipe.png is not a file that can be read"):
            load(tmp_path)


def own(folder: Path, shape: tuple[int, int, int] = (3, 8, 8), **settings: object) -> sources.OwnImages:
    return sources.load_own(str(folder), DataConfig(**settings), shape)  # type: ignore[arg-type]


class TestOwnImages:
    def test_that_pictures_of_the_size_of_the_data_set_are_taken_as_they_are(self, tmp_path: Path) -> None:
        read = own(digit_pictures(tmp_path, 5), (1, 8, 8))
        assert np.array_equal(read.images, load("digits").train.images[:5])
        assert (read.broken, read.note()) == ((), "")

    def test_that_pictures_at_any_depth_are_read_and_a_loop_of_links_once(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "b.png", (1, 1, 1))
        write_picture(tmp_path / "inside" / "deep" / "c.jpg", (250, 1, 1))
        write_picture(tmp_path / ".hidden" / "d.png")
        (tmp_path / "notes.txt").write_text("no picture")
        (tmp_path / "inside" / "up").symlink_to(tmp_path)
        assert own(tmp_path).images.shape == (2, 3, 8, 8)

    def test_that_files_that_cannot_be_read_are_counted_and_named(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "good.png")
        (tmp_path / "inside").mkdir()
        (tmp_path / "inside" / "torn.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
        (tmp_path / "none.png").symlink_to(tmp_path / "gone.png")
        (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
        read = own(tmp_path)
        assert len(read.images) == 1
        torn = os.path.join("inside", "torn.png")
        assert read.broken == (torn, "none.png", "self.png")
        assert read.note() == f"3 pictures of {tmp_path} cannot be read and are left out: {torn}, none.png, self.png"

    def test_that_a_picture_too_large_to_decode_is_left_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("workbench.distill.image_folder.LARGEST", 100)
        write_picture(tmp_path / "bomb.png", size=(40, 40))
        write_picture(tmp_path / "good.png", size=(9, 9))
        assert own(tmp_path).broken == ("bomb.png",)

    @pytest.mark.parametrize(
        ("made", "words"),
        [
            (lambda path: None, "mine is not there: name a folder of images"),
            (lambda path: path.write_text("x"), "mine is a file: name a folder of images"),
            (lambda path: path.mkdir(), "mine has no images: name a folder that holds some"),
            (lambda path: (path.mkdir(), (path / "a.png").write_text("x")), "has no image that can be read: a.png cannot"),
        ],
        ids=["absent", "file", "empty", "broken"],
    )
    def test_that_a_folder_without_images_is_refused_in_a_sentence(self, tmp_path: Path, made: Any, words: str) -> None:
        made(tmp_path / "mine")
        with pytest.raises(DataError, match=re.escape(words)):
            own(tmp_path / "mine")

    def test_that_they_are_inverted_with_the_data_set_and_transposed_beside_an_image_folder_alone(self, tmp_path: Path) -> None:
        half = Image.new("L", (10, 6), 0)
        half.paste(255, (0, 0, 5, 6))
        (tmp_path / "mine").mkdir()
        half.save(tmp_path / "mine" / "half.png")
        plain = own(tmp_path / "mine", (1, 6, 10)).images[0, 0]
        assert np.array_equal(plain, np.asarray(half))
        assert np.array_equal(own(tmp_path / "mine", (1, 6, 10), invert=True).images[0, 0], 255 - plain)
        beside_idx = str(write_idx(tmp_path / "idx"))
        assert np.array_equal(own(tmp_path / "mine", (1, 6, 10), dataset=beside_idx, transpose=True).images[0, 0], plain)
        beside_pictures = str(picture_folder(tmp_path / "pictures", cat=2, dog=2))
        turned = own(tmp_path / "mine", (1, 10, 6), dataset=beside_pictures, transpose=True).images[0, 0]
        assert np.array_equal(turned, plain.T)

    def test_that_reading_can_be_cancelled(self, tmp_path: Path) -> None:
        with pytest.raises(Cancelled):
            sources.load_own(str(digit_pictures(tmp_path, 2)), DataConfig(), (1, 8, 8), cancelled=lambda: True)

    def test_that_the_stamp_changes_with_a_file_written_in_place(self, tmp_path: Path) -> None:
        digit_pictures(tmp_path, 2)
        before = sources.own_stamp(str(tmp_path))
        assert sources.own_stamp(str(tmp_path)) == before
        os.utime(tmp_path / "0000.png", ns=(1, 1))
        assert sources.own_stamp(str(tmp_path)) != before
