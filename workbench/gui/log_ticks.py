"""Where a logarithmic axis has labels: as many as there is room for, and some however little it spans."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

DIGITS = (tuple(range(1, 10)), (1, 2, 5), (1,))
"""Of each power of ten, the multiples that have labels: the first of these that leave room between them."""
MOST_POWERS = 50
"""Over more powers of ten only some of these have labels."""
LARGEST = 300.0
"""Beyond this power of ten values are no numbers of the machine."""


def labelled(low: float, high: float, size: float, apart: float) -> list[float]:
    """Places of labels from ``low`` to ``high``, all of them powers of ten: at least ``apart`` pixels from each other on an axis
    that is ``size`` pixels long. Over less than a power of ten they may be even steps of the values."""
    if not high > low:
        return []
    pixels = size / (high - low)
    found: list[float] = []
    for places in _round(low, high):
        if len(places) < 2:
            break
        found = places
        if min(after - before for before, after in itertools.pairwise(places)) * pixels >= apart:
            break
    kept: list[float] = []
    for place in found or _even(low, high, max(2, int(size / apart))):
        if not kept or (place - kept[-1]) * pixels >= apart:
            kept.append(place)
    return kept


def between(low: float, high: float) -> list[float]:
    """Places of small ticks without labels: the multiples of each power of ten, where these are few."""
    return _multiples(low, high, DIGITS[0], 1) if high - low < MOST_POWERS / 10 else []


def written(place: float, scale: float = 1.0) -> str:
    """The value at a place times ``scale``, as a label."""
    return f"{10.0**place * scale:g}" if abs(place) < LARGEST else f"1e{place:+g}"


def _round(low: float, high: float) -> Iterator[list[float]]:
    if high - low <= MOST_POWERS:
        for digits in DIGITS:
            yield _multiples(low, high, digits, 1)
    power = 10 ** max(0, math.floor(math.log10(high - low)) - 1)
    for step in (2 * power, 5 * power, 10 * power, 20 * power, 50 * power):
        yield _multiples(low, high, (1,), step)


def _multiples(low: float, high: float, digits: Sequence[int], step: int) -> list[float]:
    first, last = math.floor(low / step), math.floor(high / step)
    places = [power * step + math.log10(digit) for power in range(first, last + 1) for digit in digits]
    return [place for place in places if low <= place <= high]


def _even(low: float, high: float, most: int) -> list[float]:
    """Logarithms of about so many even values with few digits."""
    if max(abs(low), abs(high)) > LARGEST:
        return []
    start, end = 10.0**low, 10.0**high
    rough = (end - start) / most
    if rough < start * 1e-9:
        return []
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [math.log10(place * step) for place in range(max(1, math.ceil(start / step)), math.floor(end / step) + 1)]
