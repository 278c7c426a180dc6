"""What the Compare screen shows, read from the history in one go and kept where it has not changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from workbench.analysis.difference import called, kind, names_in_sentences, telling
from workbench.analysis.sweep_results import Estimate, estimate, interval_factor
from workbench.gui.theme import curve_numbers
from workbench.history import reading
from workbench.history.changes import marked
from workbench.history.curves import CURVE_POINTS, EVERY_POINT, Curve, Detail, read_curve
from workbench.history.reading import RunRow
from workbench.history.seed_groups import seed_groups

MANY_POINTS = 51_300
"""All curves together have about so many points at most, where they are thinned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A run, or a group of runs that differ in nothing but their seeds: one curve, one column.

    ``number`` is that of its colour, which is the one that a person gave the run where there is one; ``name`` is short, and
    ``detail`` is what tells it from the others.
    """

    key: Hashable
    number: int
    name: str
    detail: str
    rows: tuple[RunRow, ...]
    figures: dict[str, Estimate]

    @property
    def title(self) -> str:
        """Name and detail in one."""
        return " · ".join(filter(None, (self.name, self.detail)))

    @property
    def about(self) -> str:
        """What a person wants to know beside the title."""
        experiments = dict.fromkeys(f"{row.experiment_name} #{row.experiment}" for row in self.rows)
        of = f"of {', '.join(experiments)}"
        if len(self.rows) == 1:
            return f"{self.title}\n{of}"
        seeds = ", ".join(str(row.seed) for row in self.rows)
        runs = ", ".join(str(row.id) for row in self.rows)
        return (
            f"{self.title}\nThe mean over seeds {seeds} (runs {runs})\n{of}\n"
            f"The band is the 95% interval of the mean by Student's t (n = {len(self.rows)})."
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """Runs beside each other. ``curves`` are those of ``metric`` in the order of ``rows``, of ``points`` each at most,
    and as many once more where they were looked at.

    ``singles`` are the runs one by one and ``groups`` those of a group together; ``choices`` are names and runs of what can be
    tested against each other, ``usual`` the runs of the two to begin with; ``factors`` times a standard deviation of so many
    values is half the interval of their mean.
    """

    rows: tuple[RunRow, ...]
    metric: str
    metrics: tuple[str, ...]
    curves: tuple[Curve, ...]
    points: int
    detail: Detail
    settings: dict[int, dict[str, Any]]
    singles: tuple[Shown, ...]
    groups: tuple[Shown, ...]
    choices: tuple[tuple[str, tuple[int, ...]], ...]
    usual: tuple[tuple[int, ...], ...]
    factors: dict[int, float]

    @property
    def grouped(self) -> bool:
        """Whether any runs are a group of seeds."""
        return len(self.groups) < len(self.rows)


def read_compared(
    runs: tuple[int, ...], metric: str, *, whole: bool, detail: Detail, before: Compared | None
) -> Callable[[Database], Compared]:
    """The runs that are still there with one metric's curves; those of ``before`` are taken where their run has not gone on.

    A mean over seeds wants curves ``whole``, since thinning keeps the extremes alone.
    """

    def answer(database: Database) -> Compared:
        by_number = {row.id: row for row in reading.list_runs(database, runs)}
        rows = tuple(by_number[run] for run in dict.fromkeys(runs) if run in by_number)
        there = [row.id for row in rows]
        metrics = tuple(reading.metric_names(database, there))
        chosen = metric if metric in metrics or not metrics else "val_accuracy" if "val_accuracy" in metrics else metrics[0]
        points = EVERY_POINT if whole else min(CURVE_POINTS, MANY_POINTS // max(1, len(rows)))
        known = _known(before, chosen, points, detail)
        curves = tuple(known.get(_state(row)) or read_curve(database, row.id, chosen, points, detail) for row in rows)
        settings = reading.run_settings(database, there)
        marks = {one.run: one.colour for one in marked(database, there)}
        groups = [tuple(by_number[run] for run in group) for group in seed_groups(database, there)]
        return Compared(
            rows=rows,
            metric=chosen,
            metrics=metrics,
            curves=curves,
            points=points,
            detail=detail,
            settings=settings,
            singles=_singles(rows, settings, marks),
            groups=_groups(groups, settings, marks),
            choices=_choices(groups, settings),
            usual=_usual(groups),
            factors={count: interval_factor(count) for count in range(2, 1 + max(map(len, groups), default=0))},
        )

    return answer


def _state(row: RunRow) -> tuple[int, str, int]:
    """What stays the same while a run has no new points."""
    return row.id, row.status, row.step


def _known(before: Compared | None, metric: str, points: int, detail: Detail) -> dict[tuple[int, str, int], Curve]:
    if before is None or before.metric != metric:
        return {}
    same = before.points >= points and before.detail == detail
    return {_state(row): curve for row, curve in zip(before.rows, before.curves, strict=True) if same or not curve.thinned}


def _singles(rows: tuple[RunRow, ...], settings: dict[int, dict[str, Any]], marks: dict[int, str]) -> tuple[Shown, ...]:
    details = telling([[row] for row in rows], settings, seeds=True)
    numbers = curve_numbers([marks[row.id] for row in rows])
    return tuple(
        Shown(key=row.id, number=number, name=called(row), detail=detail, rows=(row,), figures=_figures((row,)))
        for number, row, detail in zip(numbers, rows, details, strict=True)
    )


def _groups(groups: list[tuple[RunRow, ...]], settings: dict[int, dict[str, Any]], marks: dict[int, str]) -> tuple[Shown, ...]:
    found = []
    colours = [{marks[row.id] for row in group} for group in groups]
    numbers = curve_numbers([one.pop() if len(one) == 1 else "" for one in colours])
    for number, group, detail in zip(numbers, groups, telling(groups, settings), strict=True):
        alone = len(group) == 1
        name = called(group[0]) if alone else f"{kind(group)} ×{len(group)}"
        key: Hashable = group[0].id if alone else tuple(row.id for row in group)
        found.append(Shown(key=key, number=number, name=name, detail=detail, rows=group, figures=_figures(group)))
    return tuple(found)


def _figures(rows: tuple[RunRow, ...]) -> dict[str, Estimate]:
    """Means over finished runs; a run alone shows what it has so far."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row.status == "done" or len(rows) == 1:
            for name, value in (*row.figures.items(), ("train_seconds", row.train_seconds)):
                values.setdefault(name, []).append(value)
    return {name: estimate(of) for name, of in values.items()}


ORDER = {"student": 0, "baseline": 1}
"""Whose difference is asked about first."""


def _usual(groups: list[tuple[RunRow, ...]]) -> tuple[tuple[int, ...], ...]:
    """The two groups to begin with: students and baselines before others, larger ones before smaller ones."""
    first = sorted(groups, key=lambda group: (group[0].role not in ORDER, -len(group)))[:2]
    first.sort(key=lambda group: ORDER.get(group[0].role, 0))
    return tuple(tuple(row.id for row in group) for group in first)


def _choices(groups: list[tuple[RunRow, ...]], settings: dict[int, dict[str, Any]]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The groups first, then single runs of those that are larger."""
    singles = [(row,) for group in groups if len(group) > 1 for row in group]
    names = names_in_sentences(groups, settings) + [called(row) for (row,) in singles]
    return tuple((name, tuple(row.id for row in group)) for name, group in zip(names, [*groups, *singles], strict=True))
