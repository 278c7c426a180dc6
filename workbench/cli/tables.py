"""Runs and sweeps as the command line shows them: JSON objects, and aligned text."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from workbench.history import reading
from workbench.sweep import varied, words

if TYPE_CHECKING:
    from workbench.analysis.claims import Score


TITLES = ("run", "experiment", "name", "status", "model", "T", "w", "val %", "test %", "errors", "seconds")
LEFT = ("experiment", "name", "status", "model")
NARROWEST, WIDEST = 18, 80
"""Characters of the experiment's column on a terminal, and of any column: what is longer is not aligned."""


def run_object(database: Any, row: reading.RunRow) -> dict[str, Any]:
    """A run as the command line's JSON shows it."""
    figures = row.figures
    shown: dict[str, Any] = {
        "run": row.id,
        "experiment": row.experiment,
        "role": row.role,
        "name": row.name,
        "status": row.status,
        "parents": list(reading.parents(database, row.id)),
        "reused": row.reused,
        "dataset": row.dataset,
        "model": row.model,
        "parameters": row.parameters,
        "temperature": row.temperature,
        "hard_weight": row.hard_weight,
        "seed": row.seed,
        "epochs": row.epochs,
        "train_seconds": row.train_seconds,
        "samples_per_second": row.samples_per_second,
        "val_accuracy": figures.get("val_accuracy"),
        "test_accuracy": figures.get("test_accuracy"),
        "test_errors": _whole(figures.get("test_errors")),
        "test_size": _whole(figures.get("test_size")),
    }
    if row.role == "student":
        shown |= {key: figures.get(key) for key in ("teacher_agreement", "teacher_kl")}
    return shown


def table(rows: Sequence[reading.RunRow], columns: int | None = None) -> str:
    """Runs as aligned text, with names whole.

    Where there is room for so many ``columns``, those of the terminal if nothing is said and 0 without bound, the names of
    experiments give up what is too much, down to ``NARROWEST``.
    """
    if columns is None:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    lines = [TITLES, *(cells for row in rows for cells in _cells(row))]
    longest = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths = [min(WIDEST, width) for width in longest]
    if columns:
        room = columns - (sum(widths) - widths[1] + len(widths) - 1)
        widths[1] = min(longest[1], max(NARROWEST, room))
        lines = [(number, _cut(name, widths[1]), *rest) for number, name, *rest in lines]
    sides = ["<" if title in LEFT else ">" for title in TITLES]
    return "\n".join(
        " ".join(f"{text:{side}{width}}" for text, side, width in zip(cells, sides, widths, strict=True)) for cells in lines
    )


def _cells(row: reading.RunRow) -> Iterator[tuple[str, ...]]:
    """A run's line, and below a student one of its teachers together."""
    figures = row.figures
    names = (f"#{row.experiment} {_on_a_line(row.experiment_name)}", _on_a_line(row.name), row.status, _on_a_line(row.model))
    numbers = (_number(row.temperature, "g"), _number(row.hard_weight, "g"), _percent(figures.get("val_accuracy")))
    errors = _number(figures.get("test_errors"), ".0f")
    yield str(row.id), *names, *numbers, _percent(figures.get("test_accuracy")), errors, f"{row.train_seconds:.1f}"
    together = figures.get("ensemble_test_errors")
    if row.role == "student" and together is not None:
        yield "", "", "(its teachers)", *[""] * 5, _percent(figures.get("ensemble_test_accuracy")), f"{together:.0f}", ""


def _percent(share: float | None) -> str:
    return _number(share, ".2%").removesuffix("%")


def _on_a_line(name: str) -> str:
    """A name without what begins another line, or moves a terminal's cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in name)


def _cut(name: str, width: int) -> str:
    return name if len(name) <= width else f"{name[: width - 1]}…"


def sweep_table(points: Sequence[reading.SweepPoint]) -> str:
    """The combinations of a sweep as aligned text: means over seeds with their 95% intervals."""
    from workbench.analysis.study import is_study
    from workbench.analysis.sweep_results import results

    if is_study(points):
        return _study_table(points)
    lines = [f"{'combination':40} {'seeds':>5} {'student errors':>18} {'baseline errors':>18} {'val accuracy':>18}"]
    for one in results(points):
        student, baseline = one.figures.get("student", {}), one.figures.get("baseline", {})
        cells = [
            of[name].words(form) if name in of else "–"
            for of, name, form in (
                (student, "test_errors", ".1f"),
                (baseline, "test_errors", ".1f"),
                (student, "val_accuracy", ".2%"),
            )
        ]
        best = "  best on validation" if one.best else ""
        lines.append(
            f"{words(one.point) or 'all':40} {len(one.experiments):>5} {cells[0]:>18} {cells[1]:>18} {cells[2]:>18}{best}"
        )
    return "\n".join(lines)


def _study_table(points: Sequence[reading.SweepPoint]) -> str:
    """What each part that a sweep takes away costs, and how much of it soft targets give back, as aligned text."""
    from workbench.analysis.study import HEADER, MEASURE, cells, parts

    lines = [HEADER, *(cells(one) for one in parts(points))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [f"{name:{widths[0]}}  " + "  ".join(map(str.rjust, rest, widths[1:])) for name, *rest in lines]
    return "\n".join([*rows, MEASURE])


def specialists_table(points: Sequence[reading.SweepPoint]) -> str:
    """What a generalist and its specialists reach, over seeds, as aligned text: the paper's tables 3 and 4, and the students."""
    from workbench.analysis.specialist_results import coverage, seeds_in_words, summary

    seeds = seeds_in_words(points)
    title = " · ".join(filter(None, [points[0].name.split(" · ")[0], words(varied(points[0].point))]))
    lines = [f"{title}: {seeds}{'' if seeds == '1 seed' else ', means ± standard errors'}"]
    lines += [f"  {name:58} {value}" for name, value in summary(points).items()]
    lines += [
        "",
        f"  {'specialists with the right class':34} {'cases':>8} {'generalist':>11} {'combined':>9} {'gain of accuracy':>17}",
    ]
    for row in coverage(points):
        gain = f"{row.gain:+.1%}" if row.gain is not None else "–"
        lines.append(f"  {row.specialists:<34} {row.cases:>8,} {row.generalist:>11,} {row.combined:>9,} {gain:>17}")
    return "\n".join(lines)


def scoreboard(scores: Sequence[Score]) -> str:
    """The paper's claims as text: the paper's figure, ours in each form, and whether it holds."""
    lines: list[str] = []
    for claim in dict.fromkeys(score.claim for score in scores):
        lines += [f"{claim.name}: {claim.statement} (section {claim.section})", f"  {'paper':14} {claim.figures}"]
        for score in scores:
            if score.claim == claim:
                form = "in its form" if score.form == "paper" else "short form"
                ours = score.verdict.ours if score.verdict else f"`workbench paper --run {claim.name} --form {score.form}`"
                lines.append(f"  {form:14} {score.standing}: {ours}")
                if score.runs:
                    lines.append(f"  {'':14} {_span(score.runs)}")
        lines += [f"  {'measure':14} {claim.measure}", ""]
    return "\n".join(lines).rstrip()


def score_object(score: Score) -> dict[str, Any]:
    """A claim in one form as the command line's JSON shows it."""
    return {
        "claim": score.claim.name,
        "section": score.claim.section,
        "statement": score.claim.statement,
        "form": score.form,
        "recipe": score.recipe,
        "paper": score.claim.figures,
        "ours": score.verdict.ours if score.verdict else None,
        "holds": score.verdict.holds if score.verdict else None,
        "standing": score.standing,
        "runs": list(score.runs),
    }


def _span(runs: Sequence[int]) -> str:
    """Numbers of runs in few words: ``runs 3 to 9, 12``."""
    parts: list[list[int]] = []
    for run in sorted(runs):
        if parts and run == parts[-1][-1] + 1:
            parts[-1].append(run)
        else:
            parts.append([run])
    return "runs " + ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]} to {part[-1]}" for part in parts)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
