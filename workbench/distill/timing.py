"""How long models take to answer, measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

View = TypeVar("View")

WARM_UP = 3
FEWEST, MOST = 20, 2000
MOST_SECONDS = 8.0
"""Slow models are measured for so long at most, though that be fewer than :data:`FEWEST` goes."""


def times(
    members: Sequence[Callable[[View], object]], views: Sequence[View], seconds: float, go_on: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Milliseconds that each member takes to answer, (goes, members): one after the other on one of the ``views`` at a time,
    for about ``seconds``, after a few goes that do not count. An answer has to be on the CPU when it is given.

    ``go_on`` is called between goes; what it raises ends the measurement.
    """
    taken: list[list[float]] = []
    begun = time.perf_counter()
    while len(taken) < MOST + WARM_UP:
        go_on()
        view = views[len(taken) % len(views)]
        row = []
        for member in members:
            start = time.perf_counter()
            member(view)
            row.append(1000 * (time.perf_counter() - start))
        taken.append(row)
        if len(taken) == WARM_UP:
            begun = time.perf_counter()
        passed, counted = time.perf_counter() - begun, len(taken) - WARM_UP
        if counted > 0 and ((passed > seconds and counted >= FEWEST) or passed > MOST_SECONDS):
            break
    return np.array(taken[WARM_UP:])
