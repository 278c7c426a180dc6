"""Times, numbers and sentences as a person says them."""

from __future__ import annotations

import math

LEAST = 1e-6
SMALLEST = "<0.0001%"
"""What is said of a smaller probability; no other takes more room."""


def duration(seconds: float) -> str:
    """A stretch of time as a person says it."""
    if seconds < 1:
        return "1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def percent(probability: float) -> str:
    """A probability to a tenth of a percent, smaller ones to their first digit; a dash for what is no number."""
    if math.isnan(probability):
        return "–"
    if probability >= 0.0005:
        return f"{probability:.1%}"
    return f"{100 * probability:.1g}%" if probability >= LEAST else SMALLEST


def many(count: int, noun: str) -> str:
    """A number of things as a person says it."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def capital(words: str) -> str:
    """The words with a large first letter."""
    return words[:1].upper() + words[1:]


def sentence(words: object) -> str:
    """What is said, or an error, as a sentence: a large first letter and a full stop; nothing where nothing is said."""
    said = capital(str(words))
    return said if not said or said.endswith(".") else f"{said}."
