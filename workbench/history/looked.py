"""Who says something of an experiment's test images, and what they said when they were trained: the predictions kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlite_utils import Database

from workbench.analysis.looking import LineUp, Speaker
from workbench.history import reading
from workbench.history.reading import RunRow
from workbench.history.reported import cast_of, digests, member_names
from workbench.plan import ALONE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """The done runs of an experiment, those whose data are the experiment's first, and the test logits kept with them,
    float16 (cases, classes), by speaker. ``anchor`` is the run whose data set is looked at, 0 where none is done.

    ``combined`` are the runs of a generalist and its specialists, in the order in which they are combined.
    """

    line_up: LineUp
    anchor: int
    logits: dict[str, np.ndarray]
    combined: tuple[int, ...] = ()


def kept(database: Database, experiment: int) -> Kept:
    """Everybody who is done in an experiment: its ensemble's members, its student, its baseline."""
    cast = cast_of(database, experiment)
    singles = [("student", "student", cast.student), ("alone", ALONE, cast.alone), ("baseline", "baseline", cast.baseline)]
    done = [Speaker(key=key, name=name, run=run.id) for key, name, run in singles if run is not None and run.status == "done"]
    members, whole = _members(cast.members, member_names(cast), combined=bool(cast.combination)), None
    if cast.combination and cast.whole is not None and cast.whole.status == "done":
        whole = Speaker(key="whole", name="generalist and specialists", run=cast.whole.id)
    (name,) = database.execute("SELECT name FROM experiments WHERE id = ?", [experiment]).fetchone() or ("",)
    line_up = LineUp(
        experiment=experiment,
        name=name,
        members=members,
        whole=whole,
        singles=tuple(done),
        temperature=(cast.student.temperature if cast.student else None) or 4.0,
        mean=cast.mean,
    )
    speakers = line_up.speakers
    anchor = next((one.run for one in reversed(speakers)), 0)
    of = digests(database, [one.run for one in speakers])
    found = {one.key: reading.predictions(database, one.run) for one in speakers if of[one.run] == of.get(anchor)}
    return Kept(
        line_up=line_up,
        anchor=anchor,
        logits={key: logits for key, logits in found.items() if logits is not None and np.isfinite(logits).all()},
        combined=tuple(one.id for one in cast.members) if whole else (),
    )


def _members(members: Sequence[RunRow], names: Sequence[str], *, combined: bool) -> tuple[Speaker, ...]:
    """The members of an ensemble, none where one is not done; of a combination the generalist alone, since specialists have
    other classes."""
    if combined:
        members = members[:1]
    if any(one.status != "done" for one in members):
        return ()
    return tuple(Speaker(key=f"member {one.id}", name=name, run=one.id) for one, name in zip(members, names, strict=False))
