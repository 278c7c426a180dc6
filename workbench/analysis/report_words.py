"""A report in words: the sentence about what distilling kept, and the table as a screen, a file and a terminal show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.analysis.report import BATCHES, Latencies, Party, Report
from workbench.words import sentence


def summed_up(report: Report) -> str:
    """What came of the experiment, in a sentence."""
    ensemble, baseline, student = (report.errors(key) for key in ("ensemble", "baseline", "student"))
    name, cost = report.ensemble, _cost(report)
    if student is None:
        return _without_student(report, ensemble, baseline)
    if ensemble is None:
        beside = f", the baseline {baseline:,}" if baseline is not None else ""
        return f"The student makes {_errors(report, student)}{beside}; the errors of what it learned from are not known."
    if baseline is None:
        return (
            f"The student makes {_errors(report, student)}, the {name} {ensemble:,}{_comma(cost)}. "
            "There is no baseline beside it, so what distilling gained is not known."
        )
    of = f" (errors{_of(report)}: {name} {ensemble:,}, student {student:,}, baseline {baseline:,})"
    if ensemble >= baseline:
        return f"The {name} is no better than the baseline, so there is no gain to keep{of}{_comma(cost)}."
    if student > baseline:
        return f"The student is worse than the baseline: it kept nothing of the {name}'s gain{of}."
    share = (baseline - student) / (baseline - ensemble)
    if student < ensemble:
        return f"The student kept all of the {name}'s gain over the baseline and went beyond it{of}{cost}."
    words = "all" if share == 1 else "nothing" if not share else f"{share:.0%}"
    return f"The student kept {words} of the {name}'s gain over the baseline{of}{cost}."


def chance(report: Report) -> str:
    """How far the share of the gain may be chance, empty where that is not known."""
    if report.kept is None:
        return ""
    low, high = report.kept
    share = f"{low:.0%} to {high:.0%}".replace("-", "−")
    return f"Drawn from as many other test images the share would be {share} (95%); other seeds are not in this."


ENDS = {
    "waiting": "has not begun",
    "running": "is being trained",
    "stopped": "was stopped",
    "interrupted": "was interrupted",
    "failed": "failed",
    "skipped": "was not trained",
}


def notes(report: Report) -> list[str]:
    """How the experiment ended where it did not go well, and what is left out and why."""
    ended = f"The experiment {ENDS.get(report.status, report.status)}: {report.message}."
    return [*([ended] if report.message else []), *report.notes]


def _without_student(report: Report, ensemble: int | None, baseline: int | None) -> str:
    there = report.party("student")
    if there is None:
        what = "There is no student in this experiment"
    elif there.status in ENDS:
        what = f"The student {ENDS[there.status]}" + (f" ({there.message})" if there.message else "")
    else:
        what = "The errors of the student are not known"
    known = [
        f"the {name} makes {_errors(report, errors)}"
        for name, errors in ((report.ensemble, ensemble), ("baseline", baseline))
        if errors is not None
    ]
    return f"{what}{': ' if known else ''}{', '.join(known)}."


def _errors(report: Report, errors: int) -> str:
    return f"{errors:,} error{'' if errors == 1 else 's'}{_of(report)}"


def _of(report: Report) -> str:
    cases = next((one.figures.cases for one in report.parties if one.figures.cases), None)
    return f" of {cases:,} test images" if cases else ""


def _comma(cost: str) -> str:
    return f",{cost}" if cost else ""


def _cost(report: Report) -> str:
    """`` at 1/38 of its multiply-adds``, its being the ensemble's."""
    ensemble, student = report.party("ensemble"), report.party("student")
    if not (ensemble and student and ensemble.multiply_adds and student.multiply_adds):
        return ""
    ratio = ensemble.multiply_adds / student.multiply_adds
    if 0.95 < ratio < 1.05:
        return " at as many multiply-adds"
    if ratio < 1:
        return f" at {1 / ratio:,.1f} times its multiply-adds"
    return f" at 1/{ratio:,.0f} of its multiply-adds" if ratio >= 9.5 else f" at 1/{ratio:.2g} of its multiply-adds"


COLUMNS = {
    "": "",
    "errors": "Test images with a wrong class first.",
    "accuracy": "Share of the test images that are right.",
    "NLL": "Mean negative log-likelihood of the right class, in nats: lower is better.",
    "ECE": "Expected calibration error: the mean distance of confidence from accuracy, over 15 bins of confidence.",
    "agrees": "Share of the test images on which it says the same class as the ensemble.",
    "KL": "KL(ensemble ‖ model) at T = 1, the mean over the test images in nats: how far it is from what it learned.",
    "parameters": "Trainable numbers.",
    "multiply-adds": "For one image.",
    "1 image": "Milliseconds for one image at a time: the median, and the 95th percentile behind the slash.",
    "64 images": "Milliseconds for 64 images at once: the median, and the 95th percentile behind the slash.",
}
"""The columns of a report's table, and what they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A party as a row of the table, a cell for each of :data:`COLUMNS`."""

    party: Party
    cells: tuple[str, ...]


def lines(report: Report, latencies: Latencies | None = None) -> list[Line]:
    """The rows of the table. Before latency was measured, that of one image stands in as it was when a run ended, marked *."""
    return [Line(party=one, cells=(one.name, *_cells(one, latencies))) for one in report.parties]


def _cells(party: Party, latencies: Latencies | None) -> list[str]:
    of = party.figures
    cells = [
        _said(of.errors, ",.0f") if of.errors is not None or party.status == "done" else party.status,
        _said(of.accuracy, ".2%"),
        _said(of.nll, ".4f"),
        _said(of.ece, ".4f"),
        _said(of.agreement, ".2%"),
        _said(of.kl, ".4f"),
        _said(party.parameters, ",.0f"),
        _said(party.multiply_adds, ",.0f"),
    ]
    if latencies is not None:
        measured = latencies.of.get("student" if party.key == "corrected" else party.key, {})
        return cells + [
            f"{_short(measured[batch].median)} / {_short(measured[batch].p95)}" if batch in measured else "–" for batch in BATCHES
        ]
    trained = party.trained_latency
    return [*cells, f"{_short(trained)}*" if trained is not None else "–", "–"]


def latency_notes(report: Report, latencies: Latencies | None) -> list[str]:
    """What is to be said of the latencies below the table, a sentence each."""
    if latencies is None:
        note = trained_latency_note(report)
        return [note] if note else []
    of = [latencies.of.get(key, {}) for key in ("ensemble", "student")]
    ratios = {batch: of[0][batch].median / of[1][batch].median for batch in BATCHES if all(batch in one for one in of)}
    faster = " and ".join(
        f"{_images(batch)} in {f'1/{ratio:.2g}' if ratio >= 1 else f'{1 / ratio:.2g} times'}" for batch, ratio in ratios.items()
    )
    compared = [f"The student names the class of {faster} of the {report.ensemble}'s time."] if faster else []
    return [*compared, latencies.words(), *map(sentence, latencies.missing)]


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def trained_latency_note(report: Report) -> str:
    """What the * in the table means, empty where there is none."""
    there = any(one.trained_latency is not None for one in report.parties)
    return "* the median as each run ended, on the machine and beside the work of that time." if there else ""


def spread(parties: Sequence[Party]) -> str:
    """The errors of several parties in few words, ``14 to 22 errors each``; empty where they are not known of several."""
    errors = [one.figures.errors for one in parties if one.figures.errors is not None]
    return f"{min(errors):,} to {max(errors):,} errors each" if len(errors) > 1 else ""


def _said(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _short(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"


def confusions(report: Report) -> dict[str, tuple[np.ndarray, str]]:
    """The confusion matrices to choose from by name, each with what it is a difference from, empty where it is none."""
    there = {one.key: one for one in report.judged}
    names = {key: report.ensemble if key == "ensemble" else party.name for key, party in there.items()}
    order = [key for key in ("student", "ensemble", "baseline", "corrected", "alone") if key in there]
    found = {names[key]: (_matrix(there[key]), "") for key in order}
    for one, other in (("student", "ensemble"), ("corrected", "student"), ("student", "alone"), ("student", "baseline")):
        if one in there and other in there:
            found[f"{names[one]} − {names[other]}"] = (_matrix(there[one]) - _matrix(there[other]), f"the {names[other]}")
    return found


def _matrix(party: Party) -> np.ndarray:
    assert party.judged is not None
    return party.judged.confusion
