"""Moving averages of curves."""

from __future__ import annotations

import numpy as np

NEGLIGIBLE = 1e-17
"""What weighs less in a moving average changes none of its digits."""


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average, debiased, so that it starts at the first value; ``weight`` 0 leaves values as they are.

    Each pass adds to every value the one ``reach`` before it, then reach and weight are doubled: a few passes over arrays
    instead of a step a value.
    """
    if not weight or not len(values):
        return values
    result = (1 - weight) * values
    reach, share = 1, weight
    while reach < len(values) and share > NEGLIGIBLE:
        result[reach:] += share * result[:-reach].copy()
        reach, share = 2 * reach, share * share
    whole: np.ndarray = result / (1 - weight ** np.arange(1, len(values) + 1))
    return whole
