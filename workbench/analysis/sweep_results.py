"""What a sweep found: means with 95% intervals over seeds, and which combination is best on validation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.history.reading import SweepPoint
from workbench.sweep import varied


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over seeds with half the width of its 95% interval, None where there is one seed only."""

    mean: float
    half: float | None
    count: int

    def words(self, form: str = ".4g") -> str:
        """``45.7 ± 3.1``, the interval left out where there is none."""
        return format(self.mean, form) + (f" ± {format(self.half, form)}" if self.half is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One combination of a sweep, its seeds together. ``best`` says that its student is best on validation."""

    point: dict[str, Any]
    experiments: tuple[int, ...]
    runs: tuple[int, ...]
    figures: dict[str, dict[str, Estimate]]
    best: bool = False


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95% interval by Student's t."""
    mean, count = statistics.fmean(values), len(values)
    if count < 2:
        return Estimate(mean=mean, half=None, count=count)
    return Estimate(mean=mean, half=interval_factor(count) * statistics.stdev(values), count=count)


def interval_factor(count: int) -> float:
    """Times the standard deviation of ``count`` values, two or more, it is half of the 95% interval of their mean."""
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, 0.975)) / math.sqrt(count)


def results(points: Sequence[SweepPoint], *, role: str = "student") -> list[Result]:
    """The combinations in the order of the sweep; ``figures`` are by role and name, from finished runs alone."""
    groups: dict[str, list[SweepPoint]] = {}
    for one in points:
        groups.setdefault(repr(varied(one.point)), []).append(one)
    found = []
    for group in groups.values():
        figures: dict[str, dict[str, list[float]]] = {}
        for one in group:
            for name_of_role, run in one.runs.items():
                if run.status == "done":
                    for name, value in run.figures.items():
                        figures.setdefault(name_of_role, {}).setdefault(name, []).append(value)
        found.append(
            Result(
                point=varied(group[0].point),
                experiments=tuple(one.experiment for one in group),
                runs=tuple(one.runs[role].id for one in group if role in one.runs),
                figures={part: {name: estimate(values) for name, values in of.items()} for part, of in figures.items()},
            )
        )
    scored = [(one.figures[role]["val_accuracy"].mean, one) for one in found if "val_accuracy" in one.figures.get(role, {})]
    if not scored:
        return found
    top = max(score for score, _ in scored)
    winners = [one for score, one in scored if score == top]
    best = min(winners, key=lambda one: one.figures[role].get("val_nll", Estimate(mean=0.0, half=None, count=0)).mean)
    return [replace(one, best=one is best) for one in found]


def estimates(found: Sequence[Result]) -> tuple[list[str], list[list[Any]]]:
    """Every estimate of a sweep as a table: its header and a row for each combination, role and figure."""
    paths = list(dict.fromkeys(path for one in found for path in one.point))
    rows = [
        [*(_cell(one.point.get(path)) for path in paths), role, name, value.mean, value.half, value.count]
        for one in found
        for role, figures in one.figures.items()
        for name, value in figures.items()
    ]
    return [*paths, "role", "figure", "mean", "half of the 95% interval", "seeds"], rows


def _cell(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value
