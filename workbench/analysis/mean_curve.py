"""The mean of several seeds' curves, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class MeanCurve:
    """``count`` curves in one: at each ``x`` their mean and standard deviation, arrays of one length."""

    x: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    count: int


def mean_curve(curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> MeanCurve:
    """The mean of curves (x, y), where all of them exist; those without a point are left out.

    Curves at other x are read by linear interpolation at those of the one that has the most.
    """
    there = [(x, y) for x, y in curves if len(x)]
    if not there:
        return MeanCurve(np.array([]), np.array([]), np.array([]), 0)
    grid = max((x for x, _ in there), key=len)
    if not all(np.array_equal(x, grid) for x, _ in there):
        first, last = max(x[0] for x, _ in there), min(x[-1] for x, _ in there)
        grid = grid[(grid >= first) & (grid <= last)]
        if first <= last and not len(grid):
            grid = np.unique([first, last])
    values = np.array([y if x is grid else np.interp(grid, x, y) for x, y in there])
    deviation = values.std(axis=0, ddof=1) if len(there) > 1 else np.zeros(len(grid))
    return MeanCurve(grid, values.mean(axis=0), deviation, len(there))
