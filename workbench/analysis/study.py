"""What each part of a student is worth: a sweep that takes one away at a time, distilled and on hard targets.

Errors are compared seed by seed with the student that has all its parts: the same seed sees the same cases. What soft targets
give back of a part's cost is the share of the errors added on hard targets that distilling the student without the part
takes away again; 100% makes it as good as the whole student on hard targets.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.analysis.sweep_results import Estimate, estimate, interval_factor
from workbench.history.reading import RunRow, SweepPoint
from workbench.sweep import NOTHING, SEEDS, WITHOUT, Point, words

ROLES = ("baseline", "student")
"""On hard targets, and distilled."""
MEASURE = (
    "Each ± and range is a 95% interval over seeds. Given back: of the errors that the loss of a part adds on hard targets, the"
    " share that distilling takes away again; – where that cost could be nothing."
)

Errors = Mapping[int, float]
"""Test errors by seed."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share with the ends of its 95% interval."""

    mean: float
    low: float
    high: float

    def words(self) -> str:
        """``62% (40% to 90%)``."""
        return f"{self.mean:.0%} ({self.low:.0%} to {self.high:.0%})".replace("-", "−")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A student without a part, or with all where ``part`` is :data:`~workbench.sweep.NOTHING`; ``beside`` is what else the
    sweep varies.

    ``errors`` of the test split and their ``cost``, errors more than of the whole student with the same seeds, are by role;
    ``cost`` has none for the whole student, and ``given_back`` is None where the cost on hard targets is not above zero by
    more than its interval.
    """

    part: str
    beside: Point
    parameters: int | None
    multiply_adds: int | None
    errors: dict[str, Estimate]
    cost: dict[str, Estimate]
    given_back: Share | None

    @property
    def name(self) -> str:
        """``without depth``, ``whole``, with what else is varied."""
        own = "whole" if self.part == NOTHING else f"without {self.part}"
        return " · ".join(filter(None, [own, words(self.beside)]))


def is_study(points: Sequence[SweepPoint]) -> bool:
    """Whether a sweep takes parts away."""
    return any(WITHOUT in one.point for one in points)


def parts(points: Sequence[SweepPoint]) -> list[Part]:
    """A sweep's combinations in its order, from the runs of each that are done; none where it takes no part away."""
    if not is_study(points):
        return []
    groups: dict[str, list[SweepPoint]] = {}
    for one in points:
        groups.setdefault(repr((_part(one), _beside(one))), []).append(one)
    wholes = {repr(_beside(group[0])): _errors(group) for group in groups.values() if _part(group[0]) == NOTHING}
    return [_found(group, wholes.get(repr(_beside(group[0])), {})) for group in groups.values()]


def _part(one: SweepPoint) -> str:
    return str(one.point[WITHOUT])


def _beside(one: SweepPoint) -> Point:
    return {path: value for path, value in one.point.items() if path not in (WITHOUT, *SEEDS)}


def _errors(group: Sequence[SweepPoint]) -> dict[str, Errors]:
    """By role and seed."""
    found: dict[str, dict[int, float]] = {role: {} for role in ROLES}
    for one in group:
        for role in ROLES:
            run = one.runs.get(role)
            if run is not None and run.status == "done" and "test_errors" in run.figures:
                found[role][run.seed] = run.figures["test_errors"]
    return {role: errors for role, errors in found.items() if errors}


def _found(group: Sequence[SweepPoint], whole: Mapping[str, Errors]) -> Part:
    own, part = _errors(group), _part(group[0])
    run: RunRow | None = next((one.runs[role] for one in group for role in ROLES if role in one.runs), None)
    cost = {}
    for role in ROLES if part != NOTHING else ():
        if seeds := sorted(own.get(role, {}).keys() & whole.get(role, {}).keys()):
            cost[role] = estimate([own[role][seed] - whole[role][seed] for seed in seeds])
    return Part(
        part=part,
        beside=_beside(group[0]),
        parameters=run.parameters if run else None,
        multiply_adds=run.multiply_adds if run else None,
        errors={role: estimate(list(errors.values())) for role, errors in own.items()},
        cost=cost,
        given_back=given_back(whole.get("baseline", {}), own.get("baseline", {}), own.get("student", {})) if cost else None,
    )


def given_back(whole: Errors, hard: Errors, soft: Errors) -> Share | None:
    """The share of what a part costs that soft targets give back: (hard − soft) / (hard − whole), errors by seed of the whole
    student on hard targets and of the one without the part on hard and on soft ones.

    Over the seeds that all three have, two or more, as a ratio of means with Fieller's interval for pairs; None where the
    denominator's own 95% interval reaches zero, beyond which that interval has no ends, or lies below.
    """
    seeds = sorted(whole.keys() & hard.keys() & soft.keys())
    if len(seeds) < 2:
        return None
    gains, costs = [hard[seed] - soft[seed] for seed in seeds], [hard[seed] - whole[seed] for seed in seeds]
    gain, cost, factor = statistics.fmean(gains), statistics.fmean(costs), interval_factor(len(seeds)) ** 2
    # the shares r for which (gain − r·cost)² is at most factor · the variance of gains − r·costs
    a = cost**2 - factor * statistics.variance(costs)
    if cost <= 0 or a <= 0:
        return None
    b = gain * cost - factor * statistics.covariance(gains, costs)
    c = gain**2 - factor * statistics.variance(gains)
    half = math.sqrt(max(0.0, b**2 - a * c)) / a
    return Share(gain / cost, b / a - half, b / a + half)


HEADER = (
    "Student", "Parameters", "Multiply-adds", "Errors, hard", "Errors, distilled", "Cost, hard", "Cost, distilled", "Given back",
)  # fmt: skip


def cells(found: Part) -> list[str]:
    """A line of the table below :data:`HEADER`."""
    counts = [f"{count:,}" if count is not None else "–" for count in (found.parameters, found.multiply_adds)]
    errors = [found.errors[role].words(".1f") if role in found.errors else "–" for role in ROLES]
    costs = [_signed(found.cost[role]) if role in found.cost else "–" for role in ROLES]
    return [found.name, *counts, *errors, *costs, found.given_back.words() if found.given_back else "–"]


def table(found: Sequence[Part]) -> tuple[list[str], list[list[Any]]]:
    """Every figure as a table: its header and a row for each part."""
    half = " half of the 95% interval"
    figures = [f"{what} {role}{end}" for what in ("errors", "cost") for role in ROLES for end in ("", half)]
    header = ["student", "parameters", "multiply-adds", *figures, "given back", "given back from", "given back to"]
    rows: list[list[Any]] = []
    for one in found:
        estimates = [of.get(role) for of in (one.errors, one.cost) for role in ROLES]
        numbers = [number for of in estimates for number in ((of.mean, of.half) if of else (None, None))]
        share = one.given_back
        ends = (share.mean, share.low, share.high) if share else (None, None, None)
        rows.append([one.name, one.parameters, one.multiply_adds, *numbers, *ends])
    return header, rows


def _signed(cost: Estimate) -> str:
    return cost.words("+.1f").replace("± +", "± ").replace("-", "−")
