"""Splits, transfer sets and views of data that lives on the device."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.distill.digits import digits, raw
from workbench.config import DataConfig, TransferConfig
from workbench.distill.data import ResidentData, class_numbers, resident, transfer_cases, views
from workbench.distill.sources import Arrays, RawData
from workbench.errors import ConfigError, DataError

CLASSES = ("cat", "dog", "eel")


def made(count: int = 30, shape: tuple[int, int, int] = (3, 4, 5), validation: Arrays | None = None) -> RawData:
    """Random pictures of three classes."""
    random = np.random.default_rng(0)

    def arrays(count: int) -> Arrays:
        images = random.integers(0, 256, (count, *shape)).astype(np.uint8)
        return Arrays(images=images, labels=np.arange(count, dtype=np.int64) % 3)

    return RawData(name="made", classes=CLASSES, train=arrays(count), validation=validation, test=arrays(6), digest="d")


def keys(data: ResidentData, split: str) -> Counter[bytes]:
    return Counter(image.numpy().tobytes() for image in getattr(data, split).images)


def cases(data: ResidentData, seed: int = 0, **settings: Any) -> torch.Tensor:
    return transfer_cases(data.train.labels, data.classes, TransferConfig(**settings), seed)


def counts(data: ResidentData, chosen: torch.Tensor) -> list[int]:
    found: list[int] = torch.bincount(data.train.labels[chosen], minlength=len(data.classes)).tolist()
    return found


class TestSplits:
    def test_that_training_and_validation_share_no_case_and_lose_none(self) -> None:
        data = digits()
        assert keys(data, "train") + keys(data, "validation") == Counter(image.tobytes() for image in raw().train.images)
        assert len(data.train) + len(data.validation) == len(raw().train.labels)

    def test_that_the_validation_split_is_stratified(self) -> None:
        data = digits()
        every = np.bincount(raw().train.labels)
        assert torch.bincount(data.validation.labels).tolist() == [round(0.1 * count) for count in every]

    def test_that_the_split_seed_alone_picks_the_validation_cases(self) -> None:
        first, again = resident(raw(), DataConfig(), "cpu"), resident(raw(), DataConfig(standardise=False), "cpu")
        other = resident(raw(), DataConfig(split_seed=1), "cpu")
        assert torch.equal(first.validation.images, again.validation.images)
        assert keys(first, "validation") != keys(other, "validation")

    def test_that_a_validation_split_of_its_own_is_taken_as_it_is(self) -> None:
        own = Arrays(images=np.full((2, 3, 4, 5), 9, np.uint8), labels=np.array([0, 1]))
        data = resident(made(validation=own), DataConfig(), "cpu")
        assert (len(data.train), len(data.validation)) == (30, 2)
        assert bool((data.validation.images == 9).all())

    def test_that_every_class_keeps_a_training_case_and_small_ones_give_one_to_validation(self) -> None:
        data = resident(made(count=6), DataConfig(validation_fraction=0.5), "cpu")
        assert torch.bincount(data.train.labels).tolist() == [1, 1, 1]
        assert torch.bincount(data.validation.labels).tolist() == [1, 1, 1]

    def test_that_data_too_small_to_split_is_refused(self) -> None:
        with pytest.raises(DataError, match="made is too small"):
            resident(made(count=3), DataConfig(), "cpu")

    def test_that_the_validation_cases_are_in_no_transfer_set(self) -> None:
        data = digits()
        validation = keys(data, "validation")
        for settings in ({}, {"fraction": 0.3}, {"keep": (7, 8)}):
            chosen = data.train.images[cases(data, **settings)]
            assert not validation & Counter(image.numpy().tobytes() for image in chosen)


class TestNormalising:
    def test_that_training_cases_have_mean_0_and_deviation_1_in_each_channel(self) -> None:
        data = resident(made(300), DataConfig(), "cpu")
        view = data.view(data.train.images)
        assert view.dtype == torch.float32
        torch.testing.assert_close(view.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(view.std(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)

    def test_that_without_it_pixels_run_from_0_to_1(self) -> None:
        data = resident(made(), DataConfig(standardise=False), "cpu")
        torch.testing.assert_close(data.view(data.train.images), data.train.images / 255.0)

    def test_that_images_of_one_colour_stay_finite(self) -> None:
        blank = Arrays(images=np.full((6, 1, 4, 4), 7, np.uint8), labels=np.arange(6) % 3)
        data = resident(
            RawData(name="b", classes=CLASSES, train=blank, validation=None, test=blank, digest="d"), DataConfig(), "cpu"
        )
        assert bool((data.view(data.train.images) == 0).all())

    def test_that_a_view_leaves_the_images_as_they_were(self) -> None:
        data = resident(made(), DataConfig(), "cpu")
        before = data.train.images.clone()
        data.view(data.train.images)
        assert torch.equal(data.train.images, before)


class TestTransferSets:
    def test_that_everything_is_all_training_cases_in_order(self) -> None:
        assert cases(digits()).tolist() == list(range(len(digits().train)))

    @given(st.floats(0.001, 1.0), st.integers(0, 5))
    def test_that_a_fraction_is_taken_of_each_class_on_its_own(self, fraction: float, seed: int) -> None:
        data = digits()
        every = torch.bincount(data.train.labels).tolist()
        chosen = cases(data, seed, fraction=fraction)
        assert counts(data, chosen) == [max(1, round(fraction * count)) for count in every]
        assert chosen.tolist() == sorted(set(chosen.tolist()))

    def test_that_the_seed_picks_the_cases(self) -> None:
        data = digits()
        assert torch.equal(cases(data, 3, fraction=0.1), cases(data, 3, fraction=0.1))
        assert not torch.equal(cases(data, 3, fraction=0.1), cases(data, 4, fraction=0.1))

    def test_that_leaving_a_class_out_leaves_the_cases_of_the_others(self) -> None:
        data = digits()
        every, without = cases(data, fraction=0.2), cases(data, fraction=0.2, leave_out=(3,))
        kept = every[data.train.labels[every] != 3]
        assert torch.equal(without, kept)
        assert counts(data, without)[3] == 0

    def test_that_only_the_classes_kept_are_seen(self) -> None:
        found = counts(digits(), cases(digits(), keep=(7, 8)))
        assert [number for number, count in enumerate(found) if count] == [7, 8]

    def test_that_classes_are_named_by_name_or_number(self) -> None:
        data = resident(made(), DataConfig(), "cpu")
        assert torch.equal(cases(data, keep=("dog",)), cases(data, keep=(1,)))
        assert torch.equal(cases(data, leave_out=("cat", 2)), cases(data, keep=("dog",)))
        assert class_numbers(("3", 4), digits().classes, "x") == [3, 4]

    @pytest.mark.parametrize("setting", ["leave_out", "keep"])
    @pytest.mark.parametrize("unknown", ["cow", 3, -1])
    def test_that_an_unknown_class_is_refused_with_the_classes_there_are(self, setting: str, unknown: object) -> None:
        data = resident(made(), DataConfig(), "cpu")
        with pytest.raises(ConfigError, match=f"there is no class {unknown!r}; the 3 classes are cat, dog, eel") as caught:
            cases(data, 0, **{setting: (unknown,)})
        assert caught.value.path == f"transfer.{setting}"

    def test_that_an_empty_transfer_set_is_refused(self) -> None:
        data = resident(made(), DataConfig(), "cpu")
        with pytest.raises(ConfigError, match="the transfer set is empty") as caught:
            cases(data, leave_out=CLASSES)
        assert caught.value.path == "transfer"

    def test_that_a_kept_class_without_training_cases_is_an_empty_set(self) -> None:
        labels = torch.tensor([0, 1, 0, 1])
        with pytest.raises(ConfigError, match="the transfer set is empty"):
            transfer_cases(labels, CLASSES, TransferConfig(keep=("eel",)), 0)


class TestViews:
    def test_that_without_jitter_and_flips_a_batch_is_the_cases_as_they_are(self) -> None:
        data = resident(made(), DataConfig(), "cpu")
        chosen = torch.tensor([4, 9, 2])
        seen = views(data, chosen, jitter=0, flip=False, seed=0)
        assert seen.order(0)[1:] == (None, None)
        torch.testing.assert_close(seen.batch(torch.tensor([2, 0]), None, None), data.view(data.train.images[[2, 4]]))

    @pytest.mark.parametrize("jitter", [1, 2, 5])
    @pytest.mark.parametrize("flip", [False, True])
    def test_that_jittered_views_equal_a_naive_shift_and_flip_of_the_image(self, jitter: int, flip: bool) -> None:
        data = resident(made(), DataConfig(), "cpu")
        chosen = torch.tensor([4, 9, 2, 7, 20, 11])
        seen = views(data, chosen, jitter=jitter, flip=flip, seed=3)
        positions, shifts, flips = seen.order(0)
        assert shifts is not None
        batch = seen.batch(positions, shifts, flips)
        for row, position in enumerate(positions.tolist()):
            down, right = shifts[row].tolist()
            wanted = moved(data.train.images[chosen[position]].numpy(), jitter - down, jitter - right)
            view = data.view(torch.from_numpy(wanted)[None])[0]
            if flips is not None and flips[row]:
                view = view.flip(-1)
            torch.testing.assert_close(batch[row], view)

    def test_that_shifts_reach_every_offset_and_no_further(self) -> None:
        seen = views(digits(), cases(digits()), jitter=2, flip=False, seed=0)
        _, shifts, _ = seen.order(0)
        assert shifts is not None
        assert {tuple(pair) for pair in shifts.tolist()} == {(y, x) for y in range(5) for x in range(5)}

    def test_that_about_half_are_flipped(self) -> None:
        _, _, flips = views(digits(), cases(digits()), jitter=0, flip=True, seed=0).order(0)
        assert flips is not None
        assert 0.4 < float(flips.float().mean()) < 0.6

    def test_that_order_shifts_and_flips_are_decided_by_seed_and_epoch(self) -> None:
        def order(seed: int, epoch: int) -> list[bytes]:
            parts = views(digits(), cases(digits()), jitter=2, flip=True, seed=seed).order(epoch)
            return [part.numpy().tobytes() for part in parts if part is not None]

        torch.manual_seed(1)
        first = order(0, 0)
        torch.manual_seed(2)
        assert order(0, 0) == first
        assert all(one != other for one, other in zip(first, order(0, 1), strict=True))
        assert all(one != other for one, other in zip(first, order(1, 0), strict=True))

    def test_that_an_order_takes_every_case_once(self) -> None:
        positions, _, _ = views(digits(), cases(digits(), fraction=0.1), jitter=0, flip=False, seed=0).order(5)
        assert sorted(positions.tolist()) == list(range(len(cases(digits(), fraction=0.1))))


def moved(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """The image with its content moved, background where there is none."""
    result = np.zeros_like(image)
    _, height, width = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[:, row, column] = image[:, row - down, column - right]
    return result
