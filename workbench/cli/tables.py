"""Runs and sweeps as the command line shows them: JSON objects, and aligned text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.history import reading
from workbench.sweep import varied, words

if TYPE_CHECKING:
    from workbench.claims import Score


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


def table(rows: Sequence[reading.RunRow]) -> str:
    """Runs as aligned text."""
    lines = [
        f"{'run':>5} {'experiment':18} {'name':11} {'status':11} {'model':16} {'T':>5} {'w':>5}"
        f" {'val %':>7} {'test %':>7} {'errors':>7} {'seconds':>8}"
    ]
    for row in rows:
        figures = row.figures
        lines.append(
            f"{row.id:>5} {row.experiment_name[:18]:18} {row.name[:11]:11} {row.status:11} {row.model[:16]:16}"
            f" {_number(row.temperature, 'g'):>5} {_number(row.hard_weight, 'g'):>5}"
            f" {_number(figures.get('val_accuracy'), '.2%')[:-1]:>7} {_number(figures.get('test_accuracy'), '.2%')[:-1]:>7}"
            f" {_number(figures.get('test_errors'), '.0f'):>7} {row.train_seconds:>8.1f}"
        )
        ensemble = figures.get("ensemble_test_errors")
        if row.role == "student" and ensemble is not None:
            accuracy = _number(figures.get("ensemble_test_accuracy"), ".2%")[:-1]
            lines.append(f"{'':5} {'':18} {'(its teachers together)':68} {accuracy:>7} {ensemble:>7.0f}")
    return "\n".join(lines)


def sweep_table(points: Sequence[reading.SweepPoint]) -> str:
    """The combinations of a sweep as aligned text: means over seeds with their 95% intervals."""
    from workbench.sweep_results import results

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


def specialists_table(points: Sequence[reading.SweepPoint]) -> str:
    """What a generalist and its specialists reach, over seeds, as aligned text: the paper's tables 3 and 4, and the students."""
    from workbench.specialist_results import coverage, seeds_in_words, summary

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
    return "– " if value is None else format(value, form)
