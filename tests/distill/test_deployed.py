"""Pixels prepared inside a file that is taken away are those that training saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.config import DataConfig
from workbench.distill.deployed import Deployed, Prepared
from workbench.distill.raw_data import Arrays, with_options

SIDES = st.integers(1, 40)


def prepared(config: DataConfig, shape: tuple[int, int, int], **more: Any) -> Prepared:
    out = config.channels or shape[0]
    given = {"mean": [0.0] * out, "deviation": [1.0] * out} | more
    return Prepared(shape=shape, transpose=config.transpose, out=out, invert=config.invert, side=config.image_size, **given)


@settings(max_examples=150)
@given(
    channels=st.sampled_from([1, 3]),
    height=SIDES,
    width=SIDES,
    side=st.integers(0, 50),
    out=st.sampled_from([0, 1, 3]),
    transpose=st.booleans(),
    invert=st.booleans(),
    seed=st.integers(0, 99),
)
def test_that_pixels_are_those_of_training_to_the_last_bit(
    channels: int, height: int, width: int, side: int, out: int, transpose: bool, invert: bool, seed: int
) -> None:
    config = DataConfig(image_size=side, channels=out, transpose=transpose, invert=invert)
    images = np.random.default_rng(seed).integers(0, 256, (3, channels, height, width), dtype=np.uint8)
    wanted = with_options(Arrays(images=images, labels=np.zeros(3, np.int64)), config).images
    found = prepared(config, (channels, height, width)).pixels(torch.from_numpy(images)).numpy()
    np.testing.assert_array_equal(found, wanted)


def test_that_the_batch_is_normalised_by_the_channel() -> None:
    images = torch.tensor([[[[10]], [[20]], [[30]]]], dtype=torch.uint8)
    view = prepared(DataConfig(), (3, 1, 1), mean=[10.0, 10.0, 10.0], deviation=[1.0, 2.0, 4.0])(images)
    assert view.flatten().tolist() == [0.0, 5.0, 5.0]


@pytest.mark.parametrize("shift", [None, [0.0, 3.0]])
def test_that_a_correction_shifts_the_logits_and_the_probabilities_are_their_softmax(shift: list[float] | None) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2))
    images = torch.zeros((5, 1, 2, 2), dtype=torch.uint8)
    logits, probabilities = Deployed(prepared(DataConfig(), (1, 2, 2)), net, ["a", "b"], shift)(images)
    bare = net(torch.zeros(5, 1, 2, 2))
    torch.testing.assert_close(logits, bare if shift is None else bare + torch.tensor(shift))
    torch.testing.assert_close(probabilities, logits.softmax(dim=1))
