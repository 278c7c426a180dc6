"""Numbers as a person says them."""

from __future__ import annotations

import math

import pytest

from workbench.words import SMALLEST, percent


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        *[(1.0, "100.0%"), (0.6951, "69.5%"), (0.0022, "0.2%"), (0.0005, "0.1%"), (0.00049, "0.05%"), (8e-5, "0.008%")],
        *[(1e-6, "0.0001%"), (9.9e-7, "<0.0001%"), (0.0, "<0.0001%"), (math.nan, "–")],
    ],
)
def test_that_every_probability_is_a_percentage(probability: float, words: str) -> None:
    assert percent(probability) == words
    assert len(words) <= len(SMALLEST)
