"""Reading one experiment as a report: who stands in it, and what the predictions kept with its runs come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sqlite_utils import Database

from workbench.analysis.bias import shifted
from workbench.analysis.report import (
    Figures,
    Labels,
    NoReport,
    Party,
    Report,
    Timed,
    combined,
    fidelity,
    judge,
    kept_interval,
    log_softmax,
)
from workbench.history import reading
from workbench.history.reading import RunRow
from workbench.plan import ALONE, SPECIALISED

_REFERENCE = "SELECT r.experiment FROM tags t JOIN runs r ON r.id = t.run WHERE t.tag = 'reference'"


@dataclass(frozen=True, slots=True)
class Reportable:
    """An experiment as the list to choose from shows it."""

    experiment: int
    name: str
    status: str
    dataset: str = ""

    def words(self) -> str:
        """Name, number and, where it is not done, how it stands."""
        return f"{self.name}  #{self.experiment}" + ("" if self.status == "done" else f"  ({self.status})")


def reportable(database: Database, *, reference: bool = True) -> list[Reportable]:
    """The experiments that have runs, finished ones first, then newest first; those that came with the workbench only where
    ``reference`` is wanted."""
    rows = database.execute(
        "SELECT e.id, e.name, e.status, (SELECT r.dataset FROM members m JOIN runs r ON r.id = m.run WHERE m.experiment = e.id"
        " ORDER BY m.position LIMIT 1) FROM experiments e WHERE e.deleted IS NULL"
        " AND EXISTS (SELECT 1 FROM members m WHERE m.experiment = e.id AND m.run NOT IN (SELECT run FROM bin))"
        + ("" if reference else f" AND e.id NOT IN ({_REFERENCE})")
        + " ORDER BY e.status <> 'done', e.id DESC"
    ).fetchall()
    return [Reportable(*tuple(row)) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """Whose runs are what. ``members`` are those the student learned from, ``whole`` the run of a generalist together with
    its specialists, ``combination`` a run that says how these are combined."""

    members: tuple[RunRow, ...]
    whole: RunRow | None
    combination: int
    baseline: RunRow | None
    student: RunRow | None
    alone: RunRow | None
    mean: str

    @property
    def anchor(self) -> RunRow | None:
        """The run whose data are the experiment's."""
        return next((one for one in (self.student, self.baseline, self.whole, *self.members) if one is not None), None)


def labels_wanted(database: Database, experiment: int) -> int | None:
    """The run whose data set has the labels that a report needs; None where no run has begun."""
    anchor = cast_of(database, experiment).anchor
    return anchor.id if anchor is not None and digests(database, [anchor.id])[anchor.id] else None


def report_of(database: Database, experiment: int, labels: Labels | None = None, why: str = "") -> Report:
    """The report of an experiment; :class:`NoReport` where there is none of that number.

    Without ``labels`` nothing that needs predictions is computed, and ``why`` is said of it where it is not empty.
    """
    row = database.execute(
        "SELECT e.name, e.status, e.message, e.sweep, s.name AS sweep_name,"
        " (SELECT count(*) FROM experiments o WHERE o.sweep = e.sweep AND o.deleted IS NULL) AS points"
        " FROM experiments e LEFT JOIN sweeps s ON s.id = e.sweep WHERE e.id = ? AND e.deleted IS NULL",
        [experiment],
    ).fetchone()
    if row is None:
        raise NoReport(f"there is no experiment {experiment} in this history; see `workbench runs`")
    cast = cast_of(database, experiment)
    parties, notes = _parties(database, cast), [why] if why else []
    if labels is not None:
        parties, more = _judged(database, cast, parties, labels)
        notes += more
    report = Report(
        experiment=experiment,
        name=row["name"],
        status=row["status"],
        message=row["message"],
        dataset=Path(cast.anchor.dataset).name if cast.anchor else "",
        parties=tuple(parties),
        timed=_timed(cast),
        ensemble=_word(cast),
        classes=labels.classes if labels is not None and any(one.judged for one in parties) else (),
        notes=tuple(notes),
        sweep=(row["sweep"], row["sweep_name"], row["points"] - 1) if row["sweep"] else None,
    )
    return replace(report, kept=_kept(report))


def cast_of(database: Database, experiment: int) -> Cast:
    """Who stands in an experiment; nobody where there is none of that number."""
    binned = {row[0] for row in database.execute("SELECT run FROM bin").fetchall()}
    rows = reading.experiment_rows(database, experiment)
    (config,) = database.execute("SELECT config FROM experiments WHERE id = ?", [experiment]).fetchone() or ("{}",)

    def last(role: str, *, alone: bool = False) -> RunRow | None:
        """The last one, which is the refitted one where there are two."""
        found = [one for one in rows if one.role == role and one.id not in binned and (one.name == ALONE) == alone]
        return found[-1] if found else None

    student, alone = last("student"), last("student", alone=True)
    whole = next((one for one in rows if one.name == SPECIALISED and one.id not in binned), None)
    learned = _parents(database, student) or _parents(database, whole) or _parents(database, alone)
    if not learned:
        teachers = [one for one in rows if one.role in ("teacher", "generalist") and one is not whole]
        learned = [one.id for one in teachers if one.name.endswith(", refitted")] or [one.id for one in teachers]
    here = {one.id: one for one in rows} | {one.id: one for one in reading.list_runs(database, learned)}
    here |= {one.id: one for one in rows}
    how = next((one for one in (student, whole) if one is not None and _combines(database, one)), None)
    return Cast(
        members=tuple(here[run] for run in learned if run in here),
        whole=whole,
        combination=how.id if how else 0,
        baseline=last("baseline"),
        student=student,
        alone=alone,
        mean=json.loads(config).get("distillation", {}).get("mean", "arithmetic"),
    )


def _parents(database: Database, run: RunRow | None) -> list[int]:
    return list(reading.parents(database, run.id)) if run is not None else []


def _combines(database: Database, run: RunRow) -> bool:
    row = database.execute("SELECT json_extract(config, '$.combination') IS NOT NULL FROM runs WHERE id = ?", [run.id]).fetchone()
    return bool(row[0])


def digests(database: Database, runs: Sequence[int]) -> dict[int, str]:
    """The digest of each run's data set, without that of own images; empty where it has not begun."""
    marks = ", ".join("?" * len(runs))
    rows = database.execute(f"SELECT id, coalesce(data_digest, '') FROM runs WHERE id IN ({marks})", list(runs)).fetchall()
    return {row[0]: row[1].partition(":")[0] for row in rows}


def _word(cast: Cast) -> str:
    if cast.combination:
        return "combination"
    return "teacher" if len(cast.members) == 1 else "ensemble"


# The parties, with the figures recorded


def _parties(database: Database, cast: Cast) -> list[Party]:
    found = [_ensemble(cast)] if cast.members else []
    if len(cast.members) > 1:
        names = member_names(cast)
        found += [_alone(one, f"member {one.id}", name, inside="ensemble") for one, name in zip(cast.members, names, strict=True)]
    if cast.baseline is not None:
        found.append(_alone(cast.baseline, "baseline", "baseline"))
    if cast.student is not None:
        found.append(_alone(cast.student, "student", "student"))
        correction = reading.correction(database, cast.student.id)
        if correction is not None:
            party = replace(_alone(cast.student, "corrected", "student, its bias corrected"), figures=Figures())
            found.append(party)
    if cast.alone is not None:
        found.append(_alone(cast.alone, "alone", ALONE))
    return found


def member_names(cast: Cast) -> list[str]:
    """What the members of the ensemble are called, in their order."""
    if cast.combination:
        return ["generalist alone", *(f"specialist {place}" for place in range(1, len(cast.members)))]
    return [f"teacher {place}" for place in range(1, len(cast.members) + 1)]


def _alone(run: RunRow, key: str, name: str, *, inside: str = "") -> Party:
    figures = {} if name.startswith("specialist") else run.figures  # a specialist's are on its own classes
    return Party(
        key=key,
        name=name,
        runs=(run.id,),
        status=run.status,
        message=run.message,
        inside=inside,
        figures=_figures(figures, "") if key != "alone" else replace(_figures(figures, ""), agreement=None, kl=None),
        parameters=run.parameters,
        multiply_adds=run.multiply_adds,
        trained_latency=run.figures.get("latency_ms"),
    )


def _ensemble(cast: Cast) -> Party:
    """What the student learned from, as one: with what was recorded of it beside the student."""
    beside = cast.student.figures if cast.student is not None else {}
    own = cast.whole.figures if cast.whole is not None else cast.members[0].figures if len(cast.members) == 1 else {}
    figures = _figures(own, "") if "test_errors" in own else _figures(beside, "ensemble_")
    statuses = [one.status for one in ((cast.whole,) if cast.whole else cast.members)]
    undone = [status for status in statuses if status != "done"]
    cost: list[float | None] = [one.multiply_adds for one in cast.members]
    latency = [one.figures.get("latency_ms") for one in cast.members]
    if cast.combination:
        cost = [own.get("multiply_adds_per_image")]
        latency = [own.get("latency_ms")]
    count = len(cast.members)
    specialists = f"combination with {count - 1} specialist{'s' * (count > 2)}"
    what = specialists if cast.combination else f"ensemble of {count}"
    return Party(
        key="ensemble",
        name=what if count > 1 else "teacher",
        about=f"The {cast.mean} mean of their distributions." if count > 1 and not cast.combination else "",
        runs=tuple(one.id for one in cast.members),
        status=undone[0] if undone else "done",
        message=next((one.message for one in cast.members if one.status != "done"), ""),
        figures=replace(figures, agreement=None, kl=None),
        parameters=_sum([one.parameters for one in cast.members]),
        multiply_adds=_sum(cost),
        trained_latency=_sum(latency),
    )


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _figures(stored: dict[str, float], before: str) -> Figures:
    def whole(name: str) -> int | None:
        value = stored.get(f"{before}{name}")
        return None if value is None else round(value)

    return Figures(
        errors=whole("test_errors"),
        cases=whole("test_size"),
        nll=stored.get(f"{before}test_nll"),
        ece=stored.get(f"{before}test_ece"),
        agreement=stored.get("teacher_agreement"),
        kl=stored.get("teacher_kl"),
    )


def _timed(cast: Cast) -> tuple[Timed, ...]:
    """What latency can be measured of: done runs."""
    found = []
    if cast.members and all(one.status == "done" for one in cast.members):
        parts = tuple(f"member {one.id}" for one in cast.members) if len(cast.members) > 1 and not cast.combination else ()
        runs = tuple(one.id for one in cast.members)
        found.append(Timed(key="ensemble", runs=runs, parts=parts, combination=cast.combination))
        if cast.combination:
            found.append(Timed(key=f"member {runs[0]}", runs=runs[:1]))
    for key, run in (("baseline", cast.baseline), ("student", cast.student), ("alone", cast.alone)):
        if run is not None and run.status == "done":
            found.append(Timed(key=key, runs=(run.id,)))
    return tuple(found)


# What the predictions come to


def _judged(database: Database, cast: Cast, parties: list[Party], labels: Labels) -> tuple[list[Party], list[str]]:
    """The parties with what their predictions come to, and what is to be said of those that have none."""
    notes = list[str]()
    runs = [run for one in parties for run in one.runs]
    of_run = digests(database, runs)

    def logs(run: RunRow) -> np.ndarray | None:
        kept = reading.predictions(database, run.id) if of_run.get(run.id, labels.digest) == labels.digest else None
        if kept is None or kept.shape != (len(labels.labels), len(labels.classes)) or not np.isfinite(kept).all():
            return None
        return log_softmax(kept)

    members = [None if cast.combination and place else logs(one) for place, one in enumerate(cast.members)]
    said = {f"member {one.id}": own for one, own in zip(cast.members, members, strict=True)}
    whole = logs(cast.whole) if cast.whole is not None else None
    together = [one for one in members if one is not None]
    if whole is None and not cast.combination and together and len(together) == len(members):
        whole = combined(together, cast.mean)
    said["ensemble"] = whole
    for key, run in (("baseline", cast.baseline), ("student", cast.student), ("alone", cast.alone)):
        said[key] = logs(run) if run is not None else None
    if (student := said["student"]) is not None and cast.student is not None:
        correction = reading.correction(database, cast.student.id)
        if correction is not None:
            said["corrected"] = log_softmax(shifted(student, correction.classes, correction.shift))
            moved = ", ".join(labels.classes[number] for number in correction.classes)
            notes.append(f"A bias correction kept with run {cast.student.id} shifts {moved} by {correction.shift:+.2f}.")
    found = [_with(one, said.get(one.key), whole, labels) for one in parties]
    lacking = [one.name for one in found if one.judged is None and one.status == "done" and not one.inside]
    if lacking:
        notes.append(f"No predictions on these test images were kept of: {', '.join(lacking)}.")
    apart = [abs((one.figures.errors or 0) - one.judged.errors) for one in found if one.judged and not one.inside]
    if any(apart):
        count = "an error" if max(apart) == 1 else f"up to {max(apart):,} errors"
        notes.append(f"Predictions are kept in half precision, by which the pictures differ from the table by {count}.")
    return found, notes


def _with(party: Party, logs: np.ndarray | None, ensemble: np.ndarray | None, labels: Labels) -> Party:
    """A party with what its predictions come to; what was recorded goes before what is computed."""
    if logs is None:
        return party
    judged, figures = judge(logs, labels.labels), party.figures
    if figures.errors is None:
        cases = len(labels.labels)
        figures = replace(figures, errors=judged.errors, cases=cases, nll=judged.nll, ece=judged.reliability.error)
    if ensemble is not None and party.key != "ensemble" and figures.agreement is None:
        agreement, divergence = fidelity(logs, ensemble)
        figures = replace(figures, agreement=agreement, kl=divergence)
    return replace(party, figures=figures, judged=judged)


def _kept(report: Report) -> tuple[float, float] | None:
    found = [report.party(key) for key in ("ensemble", "baseline", "student")]
    wrong = [one.judged.wrong for one in found if one is not None and one.judged is not None]
    ensemble, baseline = report.errors("ensemble"), report.errors("baseline")
    if len(wrong) < 3 or ensemble is None or baseline is None or ensemble >= baseline:
        return None
    return kept_interval(*wrong)
