"""Many runs at once: fields as columns, scales to draw them on, the Pareto front, and groups to be coloured.

Arithmetic on numpy arrays alone. A column's numbers are float64 with nan where a run has no value; texts are numbers into
the names that there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

NONE = "none"
"""How a missing value is called."""

LONGEST_NAME = 18
"""A name is cut to so many characters where it stands at an axis."""

HOURS = (1 / 12, 0.25, 0.5, 1, 3, 6, 12, 24, 48, 168, 336, 720, 2184, 4368, 8760)
"""Ticks of dates stand so many hours apart."""

MOST_TICKS = 12
"""Of more names, or values, than that only some stand at an axis."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Column:
    """One field of many runs. ``better`` is 1 where more is better, -1 where less is, 0 where neither is known; a ``date`` is
    in seconds since 1970."""

    name: str
    title: str
    values: np.ndarray
    names: tuple[str, ...] = ()
    better: int = 0
    percent: bool = False
    date: bool = False

    @property
    def whole(self) -> bool:
        """Whether every number is a whole one."""
        there = self.values[np.isfinite(self.values)]
        return bool((there == np.round(there)).all())

    def say(self, value: float) -> str:
        """One of its values as a person reads it."""
        if not math.isfinite(value):
            return NONE
        if self.names:
            return self.names[int(value)]
        if self.percent:
            return f"{value:.2%}"
        if self.date:
            return datetime.fromtimestamp(value).strftime("%d %b %Y %H:%M")
        return f"{value:,.0f}" if self.whole and abs(value) < 1e15 else f"{value:.4g}"

    def plain(self, value: float) -> str | float | None:
        """One of its values as another program reads it."""
        if not math.isfinite(value):
            return None
        if self.names:
            return self.names[int(value)]
        return datetime.fromtimestamp(value).isoformat(" ", "seconds") if self.date else value

    def tick(self, value: float) -> str:
        """One of its values as it stands at an axis."""
        if self.names:
            return shortened(self.names[round(value)], LONGEST_NAME)
        if self.date:
            moment = datetime.fromtimestamp(value)
            return moment.strftime("%d %b\n%H:%M" if moment.hour or moment.minute else "%d %b\n%Y")
        if self.percent:
            return f"{100 * value:.6g}%"
        return f"{value:,.0f}" if abs(value) < 1e9 and value == round(value) else f"{value:,.6g}"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Table:
    """Columns of one length by name, a run's number and what it is called for each place."""

    runs: np.ndarray
    labels: tuple[str, ...]
    columns: Mapping[str, Column]

    def __len__(self) -> int:
        """How many runs."""
        return len(self.runs)


def column(name: str, title: str, given: Sequence[Any], *, better: int = 0, percent: bool = False, date: bool = False) -> Column:
    """A column of plain values; None and numbers that are not finite become nan, and any text makes all of them texts.

    Dates are given as ISO texts.
    """
    if date:
        given = [None if value is None else datetime.fromisoformat(value).timestamp() for value in given]
    if all(value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in given):
        values = np.array([math.nan if value is None else value for value in given], np.float64)
        values[~np.isfinite(values)] = math.nan
        return Column(name=name, title=title, values=values, better=better, percent=percent, date=date)
    texts = [None if value is None else _text(value) for value in given]
    names = tuple(sorted({text for text in texts if text is not None}))
    places = {text: float(place) for place, text in enumerate(names)}
    values = np.array([math.nan if text is None else places[text] for text in texts], np.float64)
    return Column(name=name, title=title, values=values, names=names)


def varies(column: Column) -> bool:
    """Whether runs differ in it, be it that some have no value."""
    return len(np.unique(column.values)) > 1


def shortened(text: str, longest: int) -> str:
    """A text of so many characters at most: cut in its middle, since names often differ at their ends."""
    if len(text) <= longest:
        return text
    return f"{text[: longest // 2]}…{text[len(text) - (longest - 1) // 2 :]}"


def _text(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


# Scales


@dataclass(frozen=True, slots=True)
class Scale:
    """Where on an axis from 0 to 1 values stand; ``low`` and ``high`` are its ends."""

    low: float
    high: float
    log: bool = False
    names: tuple[str, ...] = ()
    date: bool = False

    def places(self, values: np.ndarray) -> np.ndarray:
        """Places from 0 to 1; nan where there is no value, or none that a logarithm has."""
        if self.low == self.high:
            return np.asarray(np.where(np.isfinite(values), 0.5, math.nan))
        if not self.log:
            return np.asarray((values - self.low) / (self.high - self.low))
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.log(values / self.low) / math.log(self.high / self.low)
        return np.asarray(np.where(np.isfinite(found), found, math.nan))

    def value(self, place: float) -> float:
        """The value at a place."""
        if self.log:
            return float(self.low * (self.high / self.low) ** place)
        return self.low + place * (self.high - self.low)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values to be written at the axis, at most about so many."""
        if self.names:
            each = max(1, -(-len(self.names) // MOST_TICKS))
            return [float(at) for at in range(0, len(self.names), each)]
        if self.low == self.high:
            return [self.low]
        ticks = _decades if self.log else _days if self.date else _steps
        found = ticks(self.low, self.high, most)
        return found or [self.low, self.high]


def spans(values: np.ndarray, ratio: float) -> bool:
    """Whether positive numbers lie further apart than that ratio, so that a logarithmic axis shows more."""
    there = values[np.isfinite(values)]
    return len(there) > 1 and bool(there.min() > 0) and bool(there.max() / there.min() > ratio)


def scale(column: Column, *, log: bool = False) -> Scale:
    """From a column's least to its greatest value."""
    if column.names:
        return Scale(0.0, float(len(column.names) - 1), names=column.names)
    there = column.values[np.isfinite(column.values)]
    if not len(there):
        return Scale(0.0, 0.0)
    log = log and bool(there.min() > 0) and bool(there.max() > there.min())
    return Scale(float(there.min()), float(there.max()), log, date=column.date)


def _steps(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * round_ for round_ in (1, 2, 5, 10) if power * round_ >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [at * step for at in range(first, math.floor(high / step + 1e-9) + 1)]


def _days(low: float, high: float, most: int) -> list[float]:
    """Midnights of this machine's time zone, or round hours and minutes where there are too few of them."""
    span = (high - low) / 3600
    hours = next((one for one in HOURS if span / one <= most), HOURS[-1] * math.ceil(span / HOURS[-1] / most))
    first = datetime.fromtimestamp(low).replace(hour=0, minute=0, second=0, microsecond=0)
    count = int((high - first.timestamp()) / 3600 / hours) + 1
    moments = [(first + timedelta(hours=at * hours)).timestamp() for at in range(count + 1)]
    return [at for at in moments if low <= at <= high]


def _decades(low: float, high: float, most: int) -> list[float]:
    for within in ((1, 2, 5), (1, 3), (1,)):
        found = [
            round_ * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for round_ in within
            if low * 0.999999 <= round_ * 10.0**power <= high * 1.000001
        ]
        if len(found) <= most:
            break
    return found[:: max(1, -(-len(found) // most))]


def few(column: Column) -> np.ndarray:
    """Its values where they are few enough to be told one by one, else none."""
    values = np.unique(column.values[np.isfinite(column.values)])
    return values if len(values) <= MOST_TICKS else np.empty(0)


def spread(column: Column, scale: Scale, by: np.ndarray, most: float) -> np.ndarray:
    """How far aside of its place on an axis each run is drawn where few values would lay the runs over each other.

    Those of one value stand in the order of ``by``, at most ``most`` to either side, and apart from those of the next value.
    """
    values = scale.places(few(column))
    if not len(values):
        return np.zeros(len(column.values))
    half = min(most, 0.35 * float(np.diff(values).min())) if len(values) > 1 else most
    ranks = np.argsort(np.argsort(by, kind="stable"))
    return np.asarray((2 * ranks / (len(ranks) - 1) - 1) * half if len(ranks) > 1 else np.zeros(1))


# Better in one and in the other


def pareto_front(x: Column, y: Column) -> np.ndarray:
    """Places of the runs that no other run is as good as in both figures and better than in one, by rising x.

    Runs alike in both stand there together; a run without one of the values does not. Needs ``better`` of both to be known.
    """
    if not x.better or not y.better:
        raise ValueError("a front needs two figures of which more or less is better")
    there = np.flatnonzero(np.isfinite(x.values) & np.isfinite(y.values))
    if not len(there):
        return there
    good, also = x.values[there] * x.better, y.values[there] * y.better
    order = np.lexsort((-also, -good))
    good, also = good[order], also[order]
    first = np.flatnonzero(np.r_[True, good[1:] != good[:-1]])
    most = np.maximum.accumulate(also[first])
    before = np.r_[-math.inf, most[:-1]]
    group = np.cumsum(np.r_[False, good[1:] != good[:-1]])
    on = (also == also[first][group]) & (also > before[group])
    found = there[order[on]]
    return np.asarray(found[np.lexsort((y.values[found], x.values[found]))])


def staircase(x: np.ndarray, y: np.ndarray, better: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The border of what a front, in the order of x, reaches: between two of its points the worse x and the worse y of both."""
    if len(x) < 2:
        return x, y
    pairs = [
        (np.minimum if sign > 0 else np.maximum)(values[:-1], values[1:]) for values, sign in zip((x, y), better, strict=True)
    ]
    drawn = []
    for values, corners in zip((x, y), pairs, strict=True):
        line = np.empty(2 * len(values) - 1)
        line[::2], line[1::2] = values, corners
        drawn.append(line)
    return drawn[0], drawn[1]


# Colours


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Runs in a few groups to be coloured: a name for each, the group of each run (-1: no value), and whether they are ordered.

    The last of groups that are not ordered may be what is left: ``rest``.
    """

    names: tuple[str, ...]
    of: np.ndarray
    ordered: bool = False
    rest: bool = False


def groups(column: Column, most: int = 7) -> Groups:
    """The commonest names and the rest, or numbers in stretches of about as many runs each."""
    there = np.isfinite(column.values)
    if column.names:
        counts = np.bincount(column.values[there].astype(int), minlength=len(column.names))
        shown = np.sort(np.argsort(-counts, kind="stable")[: most if len(column.names) <= most else most - 1])
        place = np.full(len(column.names), len(shown))
        place[shown] = np.arange(len(shown))
        of = np.where(there, place[np.where(there, column.values, 0).astype(int)], -1)
        rest = len(shown) < len(column.names)
        names = [column.names[at] for at in shown] + [f"{len(column.names) - len(shown):,} others"] * rest
        return Groups(tuple(names), of, rest=rest)
    values = np.unique(column.values[there])
    if len(values) <= most:
        of = np.where(there, np.searchsorted(values, np.where(there, column.values, 0)), -1)
        return Groups(tuple(column.say(value) for value in values), of, ordered=True)
    edges = np.unique(np.quantile(column.values[there], np.linspace(0, 1, most + 1)[1:-1], method="higher"))
    of = np.where(there, np.searchsorted(edges, np.where(there, column.values, 0), side="right"), -1)
    names = []
    for at in range(len(edges) + 1):
        inside = column.values[of == at]
        names.append(f"{column.say(inside.min())} – {column.say(inside.max())}" if len(inside) else "")
    return Groups(tuple(names), of, ordered=True)
