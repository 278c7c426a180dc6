"""What generalists and their specialists reach over seeds, in words and numbers: the paper's tables 3 and 4."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.history.reading import SweepPoint
from workbench.plan import ALONE, SPECIALISED
from workbench.words import many


@dataclass(frozen=True, slots=True)
class Covered:
    """Test cases whose right class so many specialists have, all seeds together, and errors on them; ``gain`` is the relative
    gain of accuracy, None where the generalist has none right."""

    specialists: int
    cases: int
    generalist: int
    combined: int

    @property
    def gain(self) -> float | None:
        """(combined accuracy − the generalist's) / the generalist's."""
        right = self.cases - self.generalist
        return (self.generalist - self.combined) / right if right else None


def coverage(points: Sequence[SweepPoint]) -> list[Covered]:
    """The paper's table 4: by how many specialists have the right class."""
    sums: dict[int, list[int]] = {}
    for figures in _figures(points, SPECIALISED):
        for name in figures:
            if name.startswith("test_covered_") and name.endswith("_cases"):
                number = int(name.split("_")[2])
                row = sums.setdefault(number, [0, 0, 0])
                for place, what in enumerate(("cases", "errors_generalist", "errors_combined")):
                    row[place] += round(figures[f"test_covered_{number}_{what}"])
    return [Covered(number, *sums[number]) for number in sorted(sums)]


def summary(points: Sequence[SweepPoint]) -> dict[str, str]:
    """What is to be said of experiments with specialists that differ in their seeds, by what it is: test figures."""
    together = _figures(points, SPECIALISED)
    cases = together[0]["test_size"]
    alone, combined = ([one[f"test_errors_{name}"] for one in together] for name in ("generalist", "combined"))
    fewer = [one - other for one, other in zip(alone, combined, strict=True)]
    found = {
        f"errors of the generalist alone, of {cases:,.0f}": _mean(alone),
        "errors of generalist and specialists combined": _mean(combined),
        "fewer errors, combined": f"{_mean(fewer)}, {statistics.fmean(fewer) / max(1e-9, statistics.fmean(alone)):.1%} of them",
    }
    for name, words in {
        "p-q": "with KL(p, q) instead",
        "q-p": "with KL(q, p) instead",
        "arithmetic": "arithmetic mean in closed form",
        "geometric": "geometric mean in closed form",
    }.items():
        if errors := [one[f"test_errors_{name}"] for one in together if f"test_errors_{name}" in one]:
            found[f"errors {words}"] = _mean(errors)
    for name in ("generalist", "specialists"):
        if shares := [one[f"test_conditional_{name}"] for one in together if f"test_conditional_{name}" in one]:
            found[f"accuracy of the {name} among a subset's own classes"] = _mean(shares, "{:.2%}")
    found["specialists run for an image"] = _mean([one["test_specialists_per_image"] for one in together], "{:.2f}")
    found["multiply-adds for an image"] = _mean([one["multiply_adds_per_image"] for one in together], "{:,.0f}")
    found["milliseconds for an image alone"] = _mean([one["latency_ms"] for one in together], "{:.2f}")
    students = {"student": "distilled from all", ALONE: "distilled from the generalist", "baseline": "on hard targets"}
    for role, words in students.items():
        if errors := [one["test_errors"] for one in _figures(points, role)]:
            found[f"errors of the student {words}"] = _mean(errors)
    for role in (ALONE, "baseline"):
        pairs = [
            one.runs[role].figures["test_errors"] - one.runs["student"].figures["test_errors"]
            for one in points
            if all("test_errors" in one.runs[name].figures if name in one.runs else False for name in (role, "student"))
        ]
        if pairs:
            found[f"  fewer than that {students[role]}"] = _mean(pairs)
    return found


def generalists(points: Sequence[SweepPoint]) -> int:
    """How many generalists have been combined with their specialists."""
    return len(_figures(points, SPECIALISED))


def seeds_in_words(points: Sequence[SweepPoint]) -> str:
    """How many seeds there are: ``3 seeds``, or ``3 seeds of the student, 1 of the generalist``."""
    students = len(_figures(points, "student"))
    of_all = generalists(points)
    return many(of_all, "seed") if students <= of_all else f"{many(students, 'seed')} of the student, {of_all} of the generalist"


def _figures(points: Sequence[SweepPoint], role: str) -> list[dict[str, float]]:
    """Of each model once: of a generalist that several seeds of the student share, what it is with its specialists, too."""
    found: dict[Any, dict[str, float]] = {}
    for one in points:
        if role in one.runs and "test_errors" in one.runs[role].figures:
            found.setdefault(one.point.get("teacher_seed") if role == SPECIALISED else one.runs[role].id, one.runs[role].figures)
    return list(found.values())


def _mean(values: Sequence[float], form: str = "{:.1f}") -> str:
    """A mean with its standard error, which one value has not."""
    mean = form.format(statistics.fmean(values))
    return f"{mean} ± {form.format(statistics.stdev(values) / math.sqrt(len(values)))}" if len(values) > 1 else mean
