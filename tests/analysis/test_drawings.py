"""Drawings as the models see the images of their data set."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.analysis.drawings import prepared


def centre(image: np.ndarray) -> tuple[float, float]:
    mass = image.astype(float)
    return tuple(float((mass.sum(axis=1 - axis) * np.arange(mass.shape[axis])).sum() / mass.sum()) for axis in (0, 1))  # type: ignore[return-value]


@pytest.mark.parametrize("corner", [(0, 0), (20, 150), (150, 30)])
def test_that_a_drawing_is_twenty_of_mnists_pixels_large_with_its_mass_in_the_middle(corner: tuple[int, int]) -> None:
    drawing = np.zeros((224, 224), np.uint8)
    row, column = corner
    drawing[row : row + 60, column : column + 20] = 255
    drawing[row : row + 20, column : column + 50] = 255
    image = prepared(drawing, (1, 28, 28), 20 / 28)
    assert image.shape == (1, 28, 28)
    rows = np.flatnonzero(image[0].any(axis=1))
    assert rows[-1] - rows[0] + 1 == 20
    assert centre(image[0]) == pytest.approx((13.5, 13.5), abs=0.55)
    assert image.max() == 255


def test_that_a_drawing_wherever_it_is_becomes_the_same_image() -> None:
    images = []
    for row, column in ((3, 5), (100, 90)):
        drawing = np.zeros((224, 224), np.uint8)
        drawing[row : row + 100, column : column + 80] = np.arange(8000).reshape(100, 80) % 251 + 1
        images.append(prepared(drawing, (1, 28, 28), 20 / 28))
    np.testing.assert_array_equal(*images)


def test_that_a_drawing_that_fills_the_image_stays_inside() -> None:
    drawing = np.zeros((224, 224), np.uint8)
    drawing[:, 100:110] = 255
    drawing[200:, 60:110] = 255
    image = prepared(drawing, (1, 8, 8), 1.0)
    assert np.flatnonzero(image[0].any(axis=1)).tolist() == list(range(8))


def test_that_a_dot_and_nothing_at_all_are_images_too() -> None:
    drawing = np.zeros((224, 224), np.uint8)
    assert not prepared(drawing, (3, 32, 32), 1.0).any()
    drawing[10, 10] = 255
    assert prepared(drawing, (3, 32, 32), 0.5).shape == (3, 32, 32)
