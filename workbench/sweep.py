"""A sweep: an experiment done for many values of some of its settings, times seeds.

It is written as a ``[sweep]`` table of dotted paths beside an experiment; the experiment itself never holds alternatives.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.config import ExperimentConfig
from workbench.errors import ConfigError
from workbench.recipes import with_values
from workbench.settings import closest

WAYS = ("grid", "zip", "random")
LARGEST = 2000
"""Experiments that one sweep may have."""

Point = dict[str, Any]
"""The values of the settings that a sweep varies, by dotted path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is varied: ``axes`` are dotted paths with their values.

    ``grid`` takes every combination, ``zip`` the first values together, then the second ones…, ``random`` ``count``
    combinations of the grid without repeating one. Each is done for ``seeds`` seeds from the experiment's own on.
    """

    axes: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    how: str = "grid"
    seeds: int = 1
    count: int = 0

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Sweep:
        """The ``[sweep]`` table; anything wrong is a :class:`ConfigError` with its path."""
        if not isinstance(given, Mapping):
            raise ConfigError("sweep", "must be a table of dotted paths and their values")
        own = {"how": given.get("how", "grid"), "seeds": given.get("seeds", 1), "count": given.get("count", 0)}
        if own["how"] not in WAYS:
            raise ConfigError("sweep.how", f"must be grid, zip or random, not {own['how']!r}{closest(str(own['how']), WAYS)}")
        for name in ("seeds", "count"):
            if not isinstance(own[name], int) or isinstance(own[name], bool) or not 0 <= own[name] <= LARGEST:
                raise ConfigError(f"sweep.{name}", f"must be a whole number from 0 to {LARGEST}")
        axes = tuple((path, _values(path, value)) for path, value in axes_of(given))
        made = cls(axes=axes, how=own["how"], seeds=max(1, own["seeds"]), count=own["count"])
        if made.how == "zip" and len({len(values) for _, values in axes}) > 1:
            raise ConfigError("sweep", "zip needs as many values of each setting; use grid for every combination")
        if made.how == "random" and not made.count:
            raise ConfigError("sweep.count", "say how many random combinations are wanted")
        if made.size > LARGEST:
            raise ConfigError("sweep", f"{made.size:,} experiments are too many; at most {LARGEST:,} go into one sweep")
        return made

    @property
    def combinations(self) -> int:
        """How many there are to choose from, the seeds apart."""
        lengths = [len(values) for _, values in self.axes]
        return lengths[0] if self.how == "zip" and lengths else math.prod(lengths)

    @property
    def size(self) -> int:
        """How many experiments it means."""
        return self.seeds * (min(self.count, self.combinations) if self.how == "random" else self.combinations)

    def points(self, seed: int = 0) -> list[Point]:
        """The values of each experiment, the seeds of a combination together; ``seed`` is the first, and draws random ones."""
        chosen: Iterable[int] = range(self.combinations)
        if self.how == "random":
            draw, wanted = random.Random(seed), set[int]()
            while len(wanted) < min(self.count, self.combinations):
                wanted.add(draw.randrange(self.combinations))
            chosen = sorted(wanted)
        seeds = [{"seed": seed + more} for more in range(self.seeds)] if self.seeds > 1 else [{}]
        return [self._combination(place) | own for place in chosen for own in seeds]

    def _combination(self, place: int) -> Point:
        """The combination at a place, the last setting changing fastest: the whole grid may be too large to be made."""
        if self.how == "zip":
            return {path: values[place] for path, values in self.axes}
        found: list[tuple[str, Any]] = []
        for path, values in reversed(self.axes):
            place, at = divmod(place, len(values))
            found.append((path, values[at]))
        return dict(reversed(found))


def expand(tables: Mapping[str, Any]) -> list[tuple[Point, ExperimentConfig]]:
    """The experiments of a recipe: one with an empty point where it has no ``[sweep]``."""
    rest = {key: value for key, value in tables.items() if key != "sweep"}
    base = ExperimentConfig.from_dict(rest)
    if "sweep" not in tables:
        return [({}, base)]
    sweep = Sweep.from_dict(tables["sweep"])
    found = []
    for point in sweep.points(base.seed):
        named = {"name": f"{base.name} · {words(point)}"} if point else {}
        found.append((point, ExperimentConfig.from_dict(with_values(rest, [*point.items(), *named.items()]))))
    return found


def words(point: Point) -> str:
    """A point as a person reads it: ``temperature 4 · units 30 · seed 1``."""
    return " · ".join(f"{path.rpartition('.')[2].replace('_', ' ')} {_said(value)}" for path, value in point.items())


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def axes_of(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(dotted path, values as written) of a ``[sweep]`` table, whose keys may be dotted or nested."""
    return [(path, values) for path, values in _paths(table) if path not in ("how", "seeds", "count")]


def _paths(given: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in given.items():
        path = f"{before}{key}"
        if isinstance(value, Mapping) and not {"from", "to"} & value.keys():
            found += _paths(value, f"{path}.")
        else:
            found.append((path, value))
    return found


def _values(path: str, given: Any) -> tuple[Any, ...]:
    where = f"sweep.{path}"
    if isinstance(given, list):
        if not given:
            raise ConfigError(where, "needs at least one value")
        return tuple(given)
    if isinstance(given, Mapping):
        return _range(where, given)
    raise ConfigError(
        where, 'must be a list, such as [1, 2, 4], or a range, such as {from = 1, to = 16, count = 5, scale = "log"}'
    )


def _range(where: str, given: Mapping[str, Any]) -> tuple[Any, ...]:
    unknown = [key for key in given if key not in ("from", "to", "count", "scale")]
    if unknown:
        raise ConfigError(where, f"a range has from, to, count and scale, and no {unknown[0]}")
    low, high, count, scale = given.get("from"), given.get("to"), given.get("count", 0), given.get("scale", "linear")
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one) for one in (low, high))
    if not numbers or not isinstance(count, int) or not 2 <= count <= LARGEST or scale not in ("linear", "log"):
        raise ConfigError(where, 'a range needs two numbers, a count of 2 or more, and a scale of "linear" or "log"')
    assert isinstance(low, (int, float))
    assert isinstance(high, (int, float))
    if scale == "log" and min(low, high) <= 0:
        raise ConfigError(where, "a logarithmic range needs numbers above 0")
    share = [place / (count - 1) for place in range(count)]
    exact = [low * (high / low) ** part if scale == "log" else low + (high - low) * part for part in share]
    whole = isinstance(low, int) and isinstance(high, int)
    values: Sequence[Any] = [round(one) for one in exact] if whole else [float(f"{one:.12g}") for one in exact]
    return tuple(dict.fromkeys(values))
