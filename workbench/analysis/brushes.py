"""Ranges of fields that keep some of many runs, and what they are as a filter of the history."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from workbench.analysis.explore import Column, Scale, Table


@dataclass(frozen=True, slots=True)
class Brush:
    """What is kept of a field: numbers from ``low`` to ``high``, or these ``names``; runs without a value where ``none``."""

    low: float = math.inf
    high: float = -math.inf
    names: frozenset[str] = field(default_factory=frozenset)
    none: bool = False

    def keeps(self, column: Column) -> np.ndarray:
        """Which runs it keeps, as bools."""
        missing = ~np.isfinite(column.values)
        if column.names:
            kept = np.array([name in self.names for name in column.names])
            inside = kept[np.where(missing, 0, column.values).astype(int)]
        else:
            with np.errstate(invalid="ignore"):
                inside = (column.values >= self.low) & (column.values <= self.high)
        return np.asarray(np.where(missing, self.none, inside))


def brush(scale: Scale, low: float, high: float, *, none: bool = False) -> Brush:
    """What lies between two places of an axis."""
    if scale.names:
        places = scale.places(np.arange(len(scale.names), dtype=np.float64))
        return Brush(names=frozenset(n for n, at in zip(scale.names, places, strict=True) if low <= at <= high), none=none)
    if high < 0 or low > 1:
        return Brush(none=none)
    if scale.low == scale.high:
        return Brush(scale.low, scale.high, none=none) if low <= 0.5 <= high else Brush(none=none)
    return Brush(
        -math.inf if low <= 0 else scale.value(low),
        math.inf if high >= 1 else scale.value(high),
        none=none,
    )


def kept(table: Table, brushes: Mapping[str, Brush]) -> np.ndarray:
    """Which runs every brush keeps, as bools."""
    found = np.ones(len(table), bool)
    for name, one in brushes.items():
        found &= one.keeps(table.columns[name])
    return found


def expression(table: Table, brushes: Mapping[str, Brush]) -> str:
    """The brushes as a filter of the history that keeps the same runs of the table: ``T >= 4 and accuracy > 0.95``."""
    return " and ".join(part for name, one in brushes.items() if (part := _part(table.columns[name], one)))


def _part(column: Column, one: Brush) -> str:
    missing = ~np.isfinite(column.values)
    said = _names(column, one) if column.names else _bounds(column, one)
    if not missing.any():
        return said
    if not one.none:
        return said or f"{column.name} is not none"
    if (column.names and not one.names) or (not column.names and one.low > one.high):
        return f"{column.name} is none"
    return f"({column.name} is none or ({said}))" if said else ""


def _names(column: Column, one: Brush) -> str:
    chosen = [_quoted(name) for name in column.names if name in one.names]
    if len(chosen) == len(column.names):
        return ""
    return f"{column.name} = {chosen[0]}" if len(chosen) == 1 else f"{column.name} in ({', '.join(chosen)})"


def _bounds(column: Column, one: Brush) -> str:
    there = np.unique(column.values[np.isfinite(column.values)])
    inside = there[(there >= one.low) & (there <= one.high)]
    if not len(inside):
        return f"{column.name} >= {one.low:g} and {column.name} <= {one.high:g}"
    below, above = there[there < inside[0]], there[there > inside[-1]]
    parts = []
    if len(below):
        parts.append(f"{column.name} >= {_between(column, float(below[-1]), float(inside[0]))}")
    if len(above):
        parts.append(f"{column.name} <= {_between(column, float(above[0]), float(inside[-1]))}")
    return " and ".join(parts)


def _between(column: Column, outside: float, inside: float) -> str:
    """The inner value, or the shortest number that still has the outer one outside."""
    if column.date:
        return datetime.fromtimestamp(inside).strftime("%Y-%m-%dT%H:%M:%S")
    if column.whole and abs(inside) < 1e15:
        return f"{inside:.0f}"
    for places in range(-math.floor(math.log10(abs(inside - outside))) - 1, 17):
        for towards in (math.floor, math.ceil):
            short = round(towards(inside * 10.0**places) / 10.0**places, max(0, places))
            if outside < short <= inside or inside <= short < outside:
                return repr(short).removesuffix(".0")
    return repr(inside)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
