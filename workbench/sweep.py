"""A sweep: an experiment done for many values of some of its settings, times seeds.

It is written as a ``[sweep]`` table of dotted paths beside an experiment; the experiment itself never holds alternatives.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.config import ExperimentConfig
from workbench.errors import ConfigError
from workbench.recipes import with_values
from workbench.settings import closest

WAYS = ("grid", "zip", "random", "bayes")
COUNTED = ("random", "bayes")
"""Those that try ``count`` combinations of all there are."""
LARGEST = 2000
"""Experiments that one sweep may have."""

SEEDS = ("seed", "teacher_seed")
"""The settings that tell repetitions of one combination apart."""
GENERALISTS_APART = 100
"""From one seed of an experiment with specialists to the next the teacher seed goes so far: its specialists have the seeds
after their generalist's."""

Point = dict[str, Any]
"""The values of the settings that a sweep varies, by dotted path."""

WITHOUT = "without"
"""The axis whose values are parts by name, each taken away by several settings."""
NOTHING = "nothing"
"""Its first value: the experiment as it stands."""

PLACES = 1_000_001
"""So many values of a continuous range are told apart where combinations are counted or drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What a search may take for a setting: any number from ``low`` to ``high``, a whole one where both ends are whole."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def __len__(self) -> int:
        if self.low == self.high:
            return 1
        return min(int(self.high - self.low) + 1, 2**62) if self.whole else PLACES

    def __getitem__(self, place: int) -> float:
        """One of its values in their order."""
        if self.whole:
            return self.low + place
        share = place / (PLACES - 1)
        return self.near(self.low * (self.high / self.low) ** share if self.log else self.low + (self.high - self.low) * share)

    def near(self, value: float) -> float:
        """A value within the range as names and tables show it, so that what is read is what was done."""
        return value if self.whole else min(max(float(f"{value:g}"), float(self.low)), float(self.high))


Values = tuple[Any, ...] | Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is varied: ``axes`` are dotted paths with their values.

    ``grid`` takes every combination, ``zip`` the first values together, then the second ones…, ``random`` ``count``
    combinations of the grid without repeating one. ``bayes`` tries ``count`` combinations one after the other, each
    chosen after those before, see :mod:`workbench.running.search`; its ranges are not cut into a few values. Each combination is
    done for ``seeds`` seeds from the experiment's own on; teachers stay the runs they are, but for a generalist, which is
    another one for each seed with its specialists. ``without`` names parts and the settings that take each away: one more
    axis, whose first value is :data:`NOTHING`.
    """

    axes: tuple[tuple[str, Values], ...] = ()
    how: str = "grid"
    seeds: int = 1
    count: int = 0
    without: Mapping[str, Point] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Sweep:
        """The ``[sweep]`` table; anything wrong is a :class:`ConfigError` with its path."""
        if not isinstance(given, Mapping):
            raise ConfigError("sweep", "must be a table of dotted paths and their values")
        own = {"how": given.get("how", "grid"), "seeds": given.get("seeds", 1), "count": given.get("count", 0)}
        if own["how"] not in WAYS:
            raise ConfigError(
                "sweep.how", f"must be grid, zip, random or bayes, not {own['how']!r}{closest(str(own['how']), WAYS)}"
            )
        for name in ("seeds", "count"):
            if not isinstance(own[name], int) or isinstance(own[name], bool) or not 0 <= own[name] <= LARGEST:
                raise ConfigError(f"sweep.{name}", f"must be a whole number from 0 to {LARGEST}")
        axes = tuple((path, _values(path, value, search=own["how"] == "bayes")) for path, value in axes_of(given))
        if parts := parts_of(given):
            axes += ((WITHOUT, (NOTHING, *parts)),)
        made = cls(axes=axes, how=own["how"], seeds=max(1, own["seeds"]), count=own["count"], without=parts)
        if made.how == "zip" and len({len(values) for _, values in axes}) > 1:
            raise ConfigError("sweep", "zip needs as many values of each setting; use grid for every combination")
        if made.how == "random" and not made.count:
            raise ConfigError("sweep.count", "say how many random combinations are wanted")
        if made.how == "bayes":
            made._check_search()
        if made.size > LARGEST:
            raise ConfigError("sweep", f"{made.size:,} experiments are too many; at most {LARGEST:,} go into one sweep")
        return made

    def _check_search(self) -> None:
        if not self.count:
            raise ConfigError("sweep.count", "say how many combinations the Bayesian search tries")
        if not self.axes:
            raise ConfigError("sweep", "the Bayesian search needs a setting to vary")
        if any(path == "seed" for path, _ in self.axes):
            raise ConfigError("sweep.seed", "the Bayesian search takes no seeds as values; say with seeds = 3 how many each gets")

    @property
    def combinations(self) -> int:
        """How many there are to choose from, the seeds apart."""
        lengths = [len(values) for _, values in self.axes]
        return lengths[0] if self.how == "zip" and lengths else math.prod(lengths)

    @property
    def size(self) -> int:
        """How many experiments it means; a search at most."""
        return self.seeds * self.tries

    @property
    def tries(self) -> int:
        """How many combinations it means; a search at most."""
        return min(self.count, self.combinations) if self.how in COUNTED else self.combinations

    def points(self, seed: int = 0) -> list[Point]:
        """The values of each experiment, the seeds of a combination together; ``seed`` is the first, and draws random ones.

        Of a search it is what it might come to, drawn at random too.
        """
        chosen: Iterable[int] = range(self.combinations)
        if self.how in COUNTED:
            draw, wanted = random.Random(seed), set[int]()
            while len(wanted) < self.tries:
                wanted.add(draw.randrange(self.combinations))
            chosen = sorted(wanted)
        return [point for place in chosen for point in self.with_seeds(self.combination(place), seed)]

    def with_seeds(self, point: Point, seed: int) -> list[Point]:
        """A combination once for each of the seeds from ``seed`` on."""
        return [point | {"seed": seed + more} for more in range(self.seeds)] if self.seeds > 1 else [point]

    def combination(self, place: int) -> Point:
        """The combination at a place, the last setting changing fastest: the whole grid may be too large to be made."""
        if self.how == "zip":
            return {path: values[place] for path, values in self.axes}
        found: list[tuple[str, Any]] = []
        for path, values in reversed(self.axes):
            place, at = divmod(place, len(values))
            found.append((path, values[at]))
        return dict(reversed(found))


def expand(tables: Mapping[str, Any]) -> list[tuple[Point, ExperimentConfig]]:
    """The experiments of a recipe: one with an empty point where it has no ``[sweep]``, of a search the first combination.

    A :class:`ConfigError` says what is wrong with any of the values.
    """
    base = base_of(tables)
    if "sweep" not in tables:
        return [({}, base)]
    sweep = Sweep.from_dict(tables["sweep"])
    if sweep.how != "bayes":
        return at_points(tables, sweep.points(base.seed))
    from workbench.running.search import first_points

    return first_points(tables)


def sketch(tables: Mapping[str, Any]) -> list[tuple[Point, ExperimentConfig]]:
    """As many experiments as :func:`expand`, or a search, comes to; of a search they are any ones that might be done."""
    found = expand(tables)
    sweep = Sweep.from_dict(tables.get("sweep", {}))
    if sweep.how != "bayes":
        return found
    drawn = list[tuple[Point, ExperimentConfig]]()
    for point in sweep.points(found[0][1].seed):
        with contextlib.suppress(ConfigError):  # settings that do not go together: a search passes them by
            drawn += at_points(tables, [point])
    return drawn or found


def base_of(tables: Mapping[str, Any]) -> ExperimentConfig:
    """The experiment that stands beside the ``[sweep]`` of a recipe."""
    return ExperimentConfig.from_dict({key: value for key, value in tables.items() if key != "sweep"})


def at_points(tables: Mapping[str, Any], points: Iterable[Point]) -> list[tuple[Point, ExperimentConfig]]:
    """The experiments of a recipe at some points, each with what is varied in its name.

    With specialists each seed has a generalist of its own, unless the sweep says which seeds there are.
    """
    rest, base = {key: value for key, value in tables.items() if key != "sweep"}, base_of(tables)
    table = tables.get("sweep", {})
    seeds_by_hand, parts = any(path in SEEDS for path, _ in axes_of(table)), parts_of(table)
    found = []
    for point in points:
        config = ExperimentConfig.from_dict(with_values(rest, _changes(point, parts)))
        if config.specialists and "seed" in point and not seeds_by_hand:
            further = (config.seed - base.seed) * GENERALISTS_APART
            point = point | {"teacher_seed": (config.teacher_seed + further) % 2**31}
            config = dataclasses.replace(config, teacher_seed=point["teacher_seed"])
        found.append((point, dataclasses.replace(config, name=f"{base.name} · {words(point)}") if point else config))
    return found


def _changes(point: Point, parts: Mapping[str, Point]) -> list[tuple[str, Any]]:
    """The settings that a point changes, what takes a part away after all others; a model before its options."""
    own = [(path, value) for path, value in point.items() if path != WITHOUT]
    away = parts.get(point.get(WITHOUT, NOTHING), {})
    return own + sorted(away.items(), key=lambda change: not change[0].endswith(".model"))


def varied(point: Point) -> Point:
    """A point without its seeds."""
    return {path: value for path, value in point.items() if path not in SEEDS}


def words(point: Point) -> str:
    """A point as a person reads it: ``temperature 4 · units 30 · seed 1``."""
    return " · ".join(f"{path.rpartition('.')[2].replace('_', ' ')} {_said(value)}" for path, value in point.items())


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def axes_of(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(dotted path, values as written) of a ``[sweep]`` table, whose keys may be dotted or nested; ``without`` is none."""
    rest = {key: value for key, value in table.items() if key not in ("how", "seeds", "count", WITHOUT)}
    return _paths(rest)


def parts_of(table: Mapping[str, Any]) -> dict[str, Point]:
    """The parts by name in the ``without`` of a ``[sweep]`` table, each with the dotted paths that take it away."""
    given = table.get(WITHOUT, {})
    if not isinstance(given, Mapping):
        raise ConfigError(f"sweep.{WITHOUT}", "must be a table of parts, each with the settings that take it away")
    found = {}
    for part, settings in given.items():
        where = f"sweep.{WITHOUT}.{part}"
        if part == NOTHING:
            raise ConfigError(where, "stands for the experiment as it is; call the part something else")
        found[part] = dict(_paths(settings)) if isinstance(settings, Mapping) else {}
        if not found[part]:
            raise ConfigError(where, 'must be a table of settings that take it away, such as {"student.layers" = 1}')
        if any(path in SEEDS for path in found[part]):
            raise ConfigError(where, "may not set a seed: each part is tried with the same seeds")
    return found


def _paths(given: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in given.items():
        path = f"{before}{key}"
        if isinstance(value, Mapping) and not {"from", "to"} & value.keys():
            found += _paths(value, f"{path}.")
        else:
            found.append((path, value))
    return found


def _values(path: str, given: Any, *, search: bool) -> Values:
    where = f"sweep.{path}"
    if isinstance(given, list):
        if not given:
            raise ConfigError(where, "needs at least one value")
        return tuple(given)
    if isinstance(given, Mapping):
        return _range(where, given, search=search)
    raise ConfigError(
        where, 'must be a list, such as [1, 2, 4], or a range, such as {from = 1, to = 16, count = 5, scale = "log"}'
    )


def _range(where: str, given: Mapping[str, Any], *, search: bool) -> Values:
    unknown = [key for key in given if key not in ("from", "to", "count", "scale")]
    if unknown:
        raise ConfigError(where, f"a range has from, to, count and scale, and no {unknown[0]}")
    low, high, count, scale = (
        given.get("from"),
        given.get("to"),
        given.get("count", 2 if search else 0),
        given.get("scale", "linear"),
    )
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one) for one in (low, high))
    if not numbers or not isinstance(count, int) or not 2 <= count <= LARGEST or scale not in ("linear", "log"):
        raise ConfigError(where, 'a range needs two numbers, a count of 2 or more, and a scale of "linear" or "log"')
    assert isinstance(low, (int, float))
    assert isinstance(high, (int, float))
    if scale == "log" and min(low, high) <= 0:
        raise ConfigError(where, "a logarithmic range needs numbers above 0")
    if search:
        return Range(low=min(low, high), high=max(low, high), log=scale == "log")
    share = [place / (count - 1) for place in range(count)]
    exact = [low * (high / low) ** part if scale == "log" else low + (high - low) * part for part in share]
    whole = isinstance(low, int) and isinstance(high, int)
    values: Sequence[Any] = [round(one) for one in exact] if whole else [float(f"{one:.12g}") for one in exact]
    return tuple(dict.fromkeys(values))
