"""What the Live screen watches, one experiment or several of a sweep that are done at once, and what it reads of them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sqlite_utils import Database

from workbench.events import RunStarted
from workbench.gui.curve_plot import Line, Reference
from workbench.history import reading
from workbench.history.curves import Curve, read_curve
from workbench.history.reading import RunRow
from workbench.plan import ALONE
from workbench.progress import under_way
from workbench.sweep import Point, words

POINTS = 800
LOSSES = (("loss", "total"), ("soft_loss", "soft part, unscaled"), ("hard_loss", "hard part, unscaled"))
ORDER = {"teacher": 0, "baseline": 1, "student": 2}
NAMED_CURVES = 6
"""Of so many runs each student and baseline has its colour and its name in the legend; of more, each role."""
TEACHERS, STUDENT, BASELINE, ENSEMBLE = 0, 1, 2, 3
OWN_COLOURS = (STUDENT, 4, 5, 6, 7, BASELINE)
"""Students take them from the front, baselines from the back."""


@dataclass(slots=True)
class Watched:
    """The experiments on the screen, with the runs of each in the order of its plan.

    ``going`` are the runs under way, several where they are trained together; ``running`` is the one that is followed.
    ``settled`` are the roles of the runs that are over; ``ends`` how experiments ended, and may have others.
    """

    name: str = ""
    experiments: dict[int, tuple[int, ...]] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)
    going: dict[int, RunStarted] = field(default_factory=dict)
    running: int = 0
    settled: dict[int, str] = field(default_factory=dict)
    finished: bool = True

    @property
    def experiment(self) -> int:
        """The first of the experiments, 0 where there is none yet."""
        return next(iter(self.experiments), 0)

    @property
    def runs(self) -> tuple[int, ...]:
        """Each run once, whoever shares it."""
        return tuple(dict.fromkeys(itertools.chain(*self.experiments.values())))

    @property
    def results(self) -> list[int]:
        """The runs to compare: of several experiments not their teachers."""
        return [run for run in self.runs if len(self.experiments) == 1 or self.settled.get(run) != "teacher"]

    @property
    def end(self) -> str:
        """How all of it ended: as the worst of them did."""
        return next(end for end in ("failed", "interrupted", "stopped", "done") if end in self.ends.values())

    def under_way(self, run: int = 0) -> str:
        """The runs under way in words, that of ``run`` first: ``Run 3 of 4``, ``6 students together``, ``3 runs at once: …``."""
        if len(self.going) > 1:
            words, names = under_way(self.going, run)
            return f"{words}: {names}" if names else f"{words} together"
        return f"Run {min(len(self.settled) + 1, len(self.runs))} of {len(self.runs)}"

    @property
    def at_once(self) -> bool:
        """Whether several runs are trained each for itself at the same time, one of which the progress is of."""
        return len(self.going) > 1 and next(iter(self.going.values())).together == 1

    def title(self, sweep: str) -> str:
        """What it is called; ``sweep`` is the name of the sweep that they are of, as far as it is known."""
        more = len(self.experiments) - 1
        if more < 1:
            return self.name
        return f"{sweep} · {more + 1} experiments at once" if sweep else f"{self.name} and {more} more"


@dataclass(frozen=True, slots=True, eq=False)
class LiveCurves:
    """What the live plots show, read from the history in one go.

    ``points`` are, in words, what is varied and tells a run from the others of its role; ``sweep`` is the name of the
    sweep with what is the same in all that are watched.
    """

    sweep: str
    rows: dict[int, RunRow]
    points: dict[int, str]
    losses: tuple[Curve, ...]
    accuracies: tuple[Curve, ...]

    def name(self, run: int) -> str:
        """A run's name among the others: a student with several values is called by these."""
        row, point = self.rows[run], self.points[run]
        if row.role == "student" and " · " in point:
            return point + row.name.removeprefix("student")
        return f"{row.name} · {point}" if point else row.name


def read_live(experiments: Sequence[int], running: int) -> Callable[[Database], LiveCurves]:
    """The runs' rows, teachers first and refits last, the running one's losses and everybody's validation accuracy."""

    def answer(database: Database) -> LiveCurves:
        members, found = reading.rows_of(database, experiments), reading.points_of(database, experiments)
        rows: dict[int, RunRow] = {}
        points: dict[int, list[Point]] = {}
        for experiment in experiments:
            for row in members[experiment]:
                if row.id not in rows or not row.reused:
                    rows[row.id] = row
                points.setdefault(row.id, []).append(found[experiment][1] if experiment in found else {})
        everywhere = _shared([point for _, point in found.values()])
        order = sorted(rows.values(), key=lambda row: (row.name.endswith(", refitted"), ORDER.get(row.role, 0)))
        return LiveCurves(
            " · ".join(filter(None, [*{name for name, _ in found.values()}, words(everywhere)])),
            {row.id: row for row in order},
            {run: words(_telling(rows[run].role, _shared(of), everywhere)) for run, of in points.items()},
            tuple(read_curve(database, running, metric, POINTS) for metric, _ in LOSSES) if running else (),
            tuple(read_curve(database, row.id, "val_accuracy", POINTS) for row in order),
        )

    return answer


def _shared(points: Sequence[Point]) -> Point:
    """What is the same in all of some points."""
    first, *others = points or [{}]
    return {path: value for path, value in first.items() if all(path in one and one[path] == value for one in others)}


def _telling(role: str, point: Point, everywhere: Point) -> Point:
    """Of a run's point what tells it from others: no teacher depends on the student, no baseline on teachers."""

    def concerns(path: str) -> bool:
        if role == "teacher":
            return path.startswith(("teacher", "data"))
        return role == "student" or not path.startswith(("teacher", "distillation"))

    return {path: value for path, value in point.items() if path not in everywhere and concerns(path)}


def accuracy_lines(found: LiveCurves, followed: int) -> list[Line]:
    """Everybody's validation accuracy, the followed run's in front; of many runs the legend names each role once."""
    few, lines = len(found.rows) <= NAMED_CURVES, list[Line]()
    named, count = set[str](), Counter[str]()
    for curve in found.accuracies:
        row, front = found.rows[curve.run], curve.run == followed
        colour = {"student": STUDENT, "baseline": BASELINE}.get(row.role, TEACHERS)
        if few and colour != TEACHERS:
            colour = OWN_COLOURS[count[row.role] if row.role == "student" else -1 - count[row.role]]
        count[row.role] += 1
        legend = None
        if len(curve.value) and not front and (row.role == "teacher" or not few):
            legend = "" if row.role in named else f"{row.role}s"
            named.add(row.role)
        if len(curve.value):
            lines.append(Line(row.id, found.name(row.id), curve.epoch, curve.value, colour, front=front, legend=legend))
    return lines


def references(rows: Iterable[RunRow]) -> list[Reference]:
    """The ensemble's and the baseline's validation accuracy, of the runs of one experiment; with specialists the ensemble is
    all of them."""
    found: dict[str, Reference] = {}
    for row in rows:
        ensemble = row.figures.get("ensemble_val_accuracy")
        if ensemble is not None and row.name != ALONE:
            found["ensemble"] = Reference("ensemble", "ensemble", ensemble, ENSEMBLE)
        if row.role == "baseline" and "val_accuracy" in row.figures:
            found["baseline"] = Reference("baseline", "baseline", row.figures["val_accuracy"], BASELINE)
    return list(found.values())
