"""A person's own pictures, good and bad, in their order."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.experiments import engine, launch, tiny
from workbench.errors import DataError
from workbench.history.database import open_for_reading
from workbench.history.looked import kept
from workbench.history.writing import History
from workbench.questions.look import Models, look, models
from workbench.questions.own_pictures import Batch, OwnPictures


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[History, Models]]:
    """A tiny experiment that is done, and its models."""
    with History(tmp_path_factory.mktemp("own") / "experiments.db") as history:
        assert launch(history, tiny())[0] == "done"
        with closing(open_for_reading(history.path)) as database:
            there = kept(database, 1)
        yield history, models(there)(engine(), history)


def predicted(named: list[Path], there: Models, *, invert: bool = False) -> list[Batch]:
    pictures = OwnPictures(named, there, invert=invert)
    pictures.work()
    found = pictures.take()
    assert sum(len(batch.paths) for batch in found) == pictures.total
    return found


def one(path: Path, there: Models) -> tuple[str, bool]:
    """What is remarked of a picture, and whether it was predicted."""
    (batch,) = predicted([path], there)
    return batch.remarks[0], bool(batch.named[0, 0] >= 0)


def save(path: Path, mode: str = "L", size: tuple[int, int] = (8, 8), colour: object = 120, **about: object) -> Path:
    Image.new(mode, size, colour).save(path, **about)  # type: ignore[arg-type]
    return path


def test_that_the_test_images_as_pictures_are_predicted_as_the_test_images(
    trained: tuple[History, Models], tmp_path: Path
) -> None:
    history, there = trained
    images = there.data.test.images.cpu().numpy()
    for case, image in enumerate(images):
        Image.fromarray(image[0]).save(tmp_path / f"{case:04}.png")
    found = predicted([tmp_path], there)
    assert len(found) > 1
    assert [path.name for batch in found for path in batch.paths] == [f"{case:04}.png" for case in range(len(images))]
    assert all(not any(batch.remarks) for batch in found)
    with closing(open_for_reading(history.path)) as database:
        looked = look(there, kept(database, 1))
    named = np.concatenate([batch.named for batch in found], axis=1)
    assert (named == looked.predicted).mean() > 0.995  # predictions are kept in half precision
    shares = np.concatenate([batch.shares for batch in found], axis=1)
    np.testing.assert_allclose(shares, looked.line_up.at(looked.logits, 1.0).max(axis=-1), atol=2e-3)


def test_that_bad_pictures_have_a_sentence_each_and_the_good_ones_between_are_predicted(
    trained: tuple[History, Models], tmp_path: Path
) -> None:
    there = trained[1]
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    save(tmp_path / "bomb.png", "1", (20_000, 20_000), 0)
    named = [tmp_path / name for name in ("cut.png", "whole.png", "empty.png", "text.png", "bomb.png", "gone.png", "whole.png")]
    os.mkfifo(tmp_path / "pipe.png")
    (batch,) = predicted([*named, tmp_path / "pipe.png"], there)
    assert [path.name for path in batch.paths] == [*(path.name for path in named), "pipe.png"]
    assert (batch.named[0] >= 0).tolist() == [False, True, False, False, False, False, True, False]
    assert batch.remarks == (
        "Is cut off and is not a picture that can be decoded: replace or remove it.",
        "",
        "Is not a picture that can be decoded: replace or remove it.",
        "Is not a picture that can be decoded: replace or remove it.",
        "Is too large: a picture may have 64 megapixels.",
        "Is not there.",
        "",
        "Is not a file that can be read: replace or remove it.",
    )
    assert np.isnan(batch.shares[:, 0]).all()
    assert not np.isnan(batch.bits[:, 1]).any()


def test_that_odd_pictures_are_predicted_and_what_was_done_is_said(trained: tuple[History, Models], tmp_path: Path) -> None:
    there = trained[1]
    assert one(save(tmp_path / "dot.png", size=(1, 1)), there) == ("A single pixel.", True)
    assert one(save(tmp_path / "long.png", size=(3000, 1)), there) == ("", True)
    assert one(save(tmp_path / "cmyk.jpg", "CMYK", (9, 9), (0, 9, 99, 3)), there) == ("", True)
    assert one(save(tmp_path / "deep.png", "I;16", (9, 9), 40_000), there) == ("", True)
    assert one(save(tmp_path / "clear.png", "RGBA", (9, 9), (1, 2, 3, 0)), there) == ("", True)
    assert one(save(tmp_path / "palette.png", "P", (9, 9), 3), there) == ("", True)
    frames = [Image.new("L", (9, 9), grey) for grey in (0, 255)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert one(tmp_path / "moving.gif", there) == ("The first of several frames.", True)
    exif = Image.Exif()
    exif[0x0112] = 6
    assert one(save(tmp_path / "turned.jpg", size=(9, 12), exif=exif), there) == ("Turned upright.", True)


def test_that_dark_pictures_on_light_can_be_turned_round(trained: tuple[History, Models], tmp_path: Path) -> None:
    there = trained[1]
    digit = there.data.test.images[3, 0].cpu().numpy()
    Image.fromarray(255 - digit).save(tmp_path / "paper.png")
    pictures = OwnPictures([tmp_path], there, invert=True)
    image, logits, remark = pictures.look_at(tmp_path / "paper.png")
    assert image is not None
    np.testing.assert_array_equal(image[0], digit)
    assert logits.shape == (4, 10)
    assert remark == ""
    assert pictures.look_at(tmp_path / "gone.png")[0] is None


def test_that_a_folder_without_pictures_is_a_sentence(trained: tuple[History, Models], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(DataError, match="has no pictures: choose image files"):
        OwnPictures([tmp_path], trained[1], invert=False).work()


def test_that_cancelling_keeps_what_is_done_and_ends_soon(trained: tuple[History, Models], tmp_path: Path) -> None:
    there = trained[1]
    path = save(tmp_path / "one.png")
    pictures = OwnPictures([path] * 20_000, there, invert=False)
    worker = threading.Thread(target=pictures.work)
    worker.start()
    while not (first := pictures.take()):
        assert worker.is_alive()
    pictures.cancel()
    worker.join(20)
    assert not worker.is_alive()
    done = sum(len(batch.paths) for batch in [*first, *pictures.take()])
    assert 0 < done < 20_000
