"""How long models take to answer, measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

WARM_UP = 3
FEWEST, MOST = 20, 2000
MOST_SECONDS = 8.0
"""Slow models are measured for so long at most, though that be fewer than :data:`FEWEST` goes."""


@torch.no_grad()
def times(
    members: Sequence[nn.Module], views: Sequence[Tensor], seconds: float, go_on: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Milliseconds that each member takes to name the classes of a batch, (goes, members): one after the other on one of the
    normalised ``views`` at a time, for about ``seconds``, after a few goes that do not count.

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
            member(view).argmax(dim=1).tolist()  # to the CPU, which waits for an accelerator
            row.append(1000 * (time.perf_counter() - start))
        taken.append(row)
        if len(taken) == WARM_UP:
            begun = time.perf_counter()
        passed, counted = time.perf_counter() - begun, len(taken) - WARM_UP
        if counted > 0 and ((passed > seconds and counted >= FEWEST) or passed > MOST_SECONDS):
            break
    return np.array(taken[WARM_UP:])
