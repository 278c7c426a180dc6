"""Lists of many runs: which, in which order and groups; and what their cells hold, for those alone that are looked at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from sqlite_utils import Database

from workbench.analysis.sweep_results import Estimate, interval_factor
from workbench.history.database import tuples
from workbench.history.fields import Field, Vocabulary
from workbench.history.filters import Condition, condition
from workbench.history.reading import REFERENCE, USED_NAME, data_version

EXPERIMENT, SEEDS, NONE = "experiment", "seeds", ""
"""Groups that are no field's: by experiment with what each reuses, by settings but for the seed, and none at all."""

PINNED = "pinned"
"""The key of the group of pinned runs."""

SPARK_POINTS = 48
"""A small curve in a table's cell has at most so many points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a list shows: a filter, the fields it is ordered by and whether from the greatest on, and by what it is grouped.

    Of those ``bars`` that are shares the lowest and highest value are wanted. Where the filter cannot be understood, asking
    raises :class:`FilterError`.
    """

    filter: str = ""
    order: tuple[tuple[str, bool], ...] = ()
    group: str = EXPERIMENT
    reference: bool = True
    bars: tuple[str, ...] = ()


class Entry(NamedTuple):
    """A run in a list; in the group of an experiment that reuses it (1 or 0), with the name and the role it has there.

    ``experiment`` and ``position`` together tell the entries of a list apart.
    """

    run: int
    experiment: int
    role: str
    name: str
    status: str
    reused: int
    position: int = 0


class Head(NamedTuple):
    """What a list says of an experiment itself. ``rank`` is its place in the queue, None where it is not in it."""

    experiment: int
    name: str
    status: str
    message: str
    created: str
    rank: float | None
    held: int
    sweep: int | None
    reference: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A stretch of a list, from entry ``start`` up to ``stop``. ``value`` is what its runs have in common."""

    key: str
    title: str
    start: int
    stop: int
    value: Any = None
    head: Head | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The runs a list shows, in its order. ``heads`` are the experiments by number, ``total`` counts the runs of the whole
    history, ``found`` those listed, and ``ranges`` are those of the bars."""

    question: Question
    version: int
    entries: tuple[Entry, ...] = ()
    groups: tuple[Group, ...] = ()
    heads: dict[int, Head] = field(default_factory=dict)
    total: int = 0
    found: int = 0
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns of values, one a run in the order of ``runs``; None where a run does not have it."""

    runs: tuple[int, ...]
    columns: dict[str, list[Any]]


def list_entries(database: Database, known: Vocabulary, question: Question, before: Listing | None = None) -> Listing:
    """Answer a question: the pinned runs first, whatever the filter, then the groups.

    ``before`` is an earlier answer from the same file: what is the same in another order or other groups is taken from it.
    """
    version = data_version(database)
    wanted = condition(question.filter, known)
    order = [(one, down) for name, down in question.order if (one := known.get(name))]
    by = known.get(question.group) if question.group not in (EXPERIMENT, SEEDS, NONE) else None
    key = {EXPERIMENT: "e.id", SEEDS: _SEEDLESS, NONE: "''"}.get(question.group) or (by.sql if by else "''")
    rows = _reordered(database, question, wanted, order, version, before) or _rows(database, question, wanted, key, order)
    groups = _grouped(rows, order)
    heads = _heads(database, question)
    if question.group == EXPERIMENT:
        there = [(key, part) for key, part in groups if key in heads]
        bare = [] if question.filter.strip() else _without_runs(database)
        groups = there + [(number, []) for number in bare if number in heads]
        if not order:
            groups.sort(key=lambda group: -group[0])
    elif by is not None and not order:
        groups.sort(key=lambda group: _comparable(group[0]))
    entries: list[Entry] = []
    stretches: list[Group] = []
    pinned = _rows(database, question, Condition("r.id IN (SELECT run FROM marks WHERE pinned)"), "''", order, own=True)
    if pinned:
        entries += [row[1] for row in pinned]
        stretches.append(Group(key=PINNED, title=f"Pinned ({len(pinned)})", start=0, stop=len(pinned)))
    for key_value, part in groups:
        start = len(entries)
        entries += [row[1] for row in part]
        about = {"start": start, "stop": len(entries), "value": key_value}
        if question.group == EXPERIMENT:
            head = heads[key_value]
            stretches.append(Group(key=f"e{key_value}", title=f"{head.name}  #{head.experiment}", head=head, **about))
        else:
            stretches.append(Group(key=f"g{key_value!r}", title=_title(by, key_value), **about))
    (total,) = database.execute("SELECT (SELECT count(*) FROM runs) - (SELECT count(*) FROM bin)").fetchone()
    runs = {entry.run for entry in entries}
    bars = [one for name in question.bars if (one := known.get(name)) and one.form == "percent"]
    return Listing(
        question=question,
        version=version,
        entries=tuple(entries),
        groups=tuple(stretches),
        heads=heads,
        total=total,
        found=len(runs),
        ranges=before.ranges if before and _same_runs(before, version, question, len(runs)) else _ranges(database, bars, runs),
    )


def _same_runs(before: Listing, version: int, question: Question, found: int) -> bool:
    then = replace(before.question, order=question.order, group=question.group)
    return before.version == version and then == question and before.found == found


def cells(database: Database, known: Vocabulary, runs: Iterable[int], names: Sequence[str]) -> dict[int, tuple[Any, ...]]:
    """The values of these fields of these runs, by run."""
    found = [one for name in names if (one := known.get(name))]
    columns = ", ".join(["r.id", *(one.sql for one in found)])
    sql = f"SELECT {columns} FROM json_each(?) j CROSS JOIN runs r ON r.id = j.value JOIN experiments e ON e.id = r.experiment"
    return {row[0]: row[1:] for row in tuples(database, sql, [json.dumps(list(runs))])}


def table_rows(database: Database, known: Vocabulary, listing: Listing, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """All runs of a listing, each once in its order, with their values of these fields as they are: a table to take out."""
    found = cells(database, known, {entry.run for entry in listing.entries}, names)
    return [found[run] for run in dict.fromkeys(entry.run for entry in listing.entries) if run in found]


def summaries(
    database: Database, known: Vocabulary, groups: Sequence[Sequence[Entry]], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Of each group, over those of its runs that speak for it, what they have in common; where what was measured differs the
    mean with its 95% interval, an :class:`Estimate`, and where other numbers do their range, a text."""
    spoken = [[entry.run for entry in speaking(group)] for group in groups]
    fields = [one for name in names if (one := known.get(name))]
    found = cells(database, known, {run for group in spoken for run in group}, [one.name for one in fields])
    result = []
    for group in spoken:
        columns = zip(*(found[run] for run in group if run in found), strict=True)
        result.append({one.name: _summary(one, column) for one, column in zip(fields, columns, strict=False)})
    return result


def speaking(entries: Sequence[Entry]) -> list[Entry]:
    """The runs whose figures stand for a group: its students where there are any, the finished ones where there are any."""
    for wanted in (
        [entry for entry in entries if entry.role == "student" and entry.status == "done"],
        [entry for entry in entries if entry.role == "student"],
        [entry for entry in entries if entry.status == "done"],
    ):
        if wanted:
            return wanted
    return list(entries)


def saved_filters(database: Database) -> dict[str, str]:
    """The filters kept, by name."""
    return {row[0]: row[1] for row in database.execute("SELECT name, expression FROM filters ORDER BY name").fetchall()}


def sparks(database: Database, runs: Iterable[int], metric: str = "loss") -> dict[int, np.ndarray]:
    """A small curve of each run that has the metric: the mean of each of at most 48 stretches, float64."""
    rows = database.execute(
        "SELECT m.run, avg(m.value) FROM json_each(?) j CROSS JOIN runs r ON r.id = j.value"
        " JOIN metrics m ON m.run = r.id AND m.metric = ?"
        f" GROUP BY m.run, m.step * {SPARK_POINTS} / (max(r.step, 1) + 1) ORDER BY m.run, min(m.step)",
        [json.dumps(list(runs)), metric],
    ).fetchall()
    found: dict[int, list[float]] = {}
    for run, value in rows:
        found.setdefault(run, []).append(value)
    return {run: np.array(values) for run, values in found.items()}


def values(
    database: Database,
    known: Vocabulary,
    names: Sequence[str],
    runs: Iterable[int] | None = None,
    filter: str = "",
    *,
    reference: bool = True,
) -> Table:
    """Fields of many runs not in the bin, newest last: those of a filter, and of the given ones only where ``runs`` is said."""
    wanted = condition(filter, known)
    found = {one.name: one for name in names if (one := known.get(name))}
    own = f" AND r.id IN ({', '.join(str(int(run)) for run in runs)})" if runs is not None else ""
    sql = f"SELECT {', '.join(['r.id', *(one.sql for one in found.values())])} FROM runs r JOIN experiments e"
    shown = f" ON e.id = r.experiment WHERE {_shown(reference)} AND ({wanted.sql}){own} ORDER BY r.id"
    rows = tuples(database, sql + shown, wanted.values)
    columns = list(zip(*rows, strict=True)) if rows else [()] * (len(found) + 1)
    return Table(runs=tuple(columns[0]), columns={name: list(part) for name, part in zip(found, columns[1:], strict=True)})


_SEEDLESS = (
    "r.role || iif(r.temperature IS NULL, '', format(' · T %g · w %g', r.temperature, r.hard_weight)) || ' · ' || r.model"
    " || ' · ' || r.dataset || char(10) || json_remove(r.config, '$.seed')"
    " || coalesce((SELECT group_concat(json_remove(p.config, '$.seed'), '+') FROM lineage l JOIN runs p ON p.id = l.parent"
    " WHERE l.child = r.id), '')"
)
"""What runs have in common that differ in seeds alone, be it their own or their teachers'; its first line says it in short."""


def _shown(reference: bool) -> str:
    return "r.id NOT IN (SELECT run FROM bin)" + ("" if reference else f" AND e.id NOT IN ({REFERENCE})")


def _rows(
    database: Database, question: Question, wanted: Condition, key: str, order: Sequence[tuple[Field, bool]], *, own: bool = False
) -> list[tuple[Any, Entry, tuple[Any, ...]]]:
    """(group, entry, values it is ordered by) of each row, in order."""
    if question.group == EXPERIMENT and not own:
        columns = f"{key}, r.id, e.id, m.role, {USED_NAME}, r.status, m.reused, m.position"
        found = _in_order(database, columns, _REUSING, question, wanted, order)
    else:
        columns = f"{key}, r.id, e.id, r.role, r.name, r.status, 0, r.id"
        found = _in_order(database, columns, _OWN, question, wanted, order)
    return [(row[0], Entry._make(row[1:8]), row[8:]) for row in found]


def _reordered(
    database: Database,
    question: Question,
    wanted: Condition,
    order: Sequence[tuple[Field, bool]],
    version: int,
    before: Listing | None,
) -> list[tuple[Any, Entry, tuple[Any, ...]]]:
    """The rows of an earlier answer in another order, as :func:`_rows` has them; none where others may have come."""
    if before is None or before.version != version or replace(before.question, order=question.order) != question:
        return []
    there = {
        (entry.experiment, entry.position): (group.value, entry)
        for group in before.groups
        if group.key != PINNED
        for entry in before.entries[group.start : group.stop]
    }
    columns, source = ("e.id, m.position", _REUSING) if question.group == EXPERIMENT else ("e.id, r.id", _OWN)
    found = _in_order(database, columns, source, question, wanted, order)
    if len(found) != len(there):
        return []
    try:
        return [(*there[row[:2]], row[2:]) for row in found]
    except KeyError:
        return []


_REUSING = (
    "members m JOIN runs r ON r.id = m.run JOIN experiments e ON e.id = m.experiment AND e.deleted IS NULL",
    ("m.experiment DESC", "m.position"),
)
_OWN = ("runs r JOIN experiments e ON e.id = r.experiment", ("r.experiment DESC", "r.id"))
"""Where rows come from, and the order of those that are alike in what they are ordered by."""


def _in_order(
    database: Database,
    columns: str,
    source: tuple[str, tuple[str, ...]],
    question: Question,
    wanted: Condition,
    order: Sequence[tuple[Field, bool]],
) -> list[tuple[Any, ...]]:
    """These columns, and what they are ordered by, of each row in order."""
    sorted_by = "".join(f", {one.sql} AS o{place}" for place, (one, _) in enumerate(order))
    terms = [f"o{place} {'DESC' if down else 'ASC'} NULLS LAST" for place, (_, down) in enumerate(order)]
    shown = f"{_shown(question.reference)} AND ({wanted.sql})"
    sql = f"SELECT {columns}{sorted_by} FROM {source[0]} WHERE {shown} ORDER BY {', '.join((*terms, *source[1]))}"
    return tuples(database, sql, wanted.values)


def _grouped(rows: list[Any], order: Sequence[tuple[Field, bool]]) -> list[tuple[Any, list[Any]]]:
    """The rows by group; groups are ordered by what those of their runs have that speak for them."""
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    groups = list(found.items())
    for place, (one, down) in reversed(list(enumerate(order))):
        ranked = [(_middle(one, place, part), key, part) for key, part in groups]
        there = sorted((row for row in ranked if row[0] is not None), key=lambda row: _comparable(row[0]), reverse=down)
        groups = [(key, part) for _, key, part in there + [row for row in ranked if row[0] is None]]
    return groups


def _middle(one: Field, place: int, part: list[Any]) -> Any:
    spoken = [row for row in part if row[1].role == "student"] or part
    found = [row[2][place] for row in spoken if row[2][place] is not None]
    if not found:
        return None
    return sum(found) / len(found) if one.kind == "number" else found[0]


def _comparable(value: Any) -> tuple[int, Any]:
    """Values of any kinds in one order: numbers, then texts, then what is not there."""
    return (2, 0) if value is None else (0, value) if isinstance(value, (int, float)) else (1, str(value).lower())


def _heads(database: Database, question: Question) -> dict[int, Head]:
    rows = tuples(
        database,
        "SELECT e.id, e.name, e.status, e.message, e.created, q.rank, coalesce(q.held, 0) > 0, e.sweep,"
        f" e.id IN ({REFERENCE}) AS reference FROM experiments e LEFT JOIN queue q ON q.experiment = e.id"
        " WHERE e.deleted IS NULL",
    )
    heads = [Head._make(row) for row in rows]
    return {head.experiment: head for head in heads if question.reference or not head.reference}


def _without_runs(database: Database) -> list[int]:
    """Experiments that have no runs yet, such as those that wait."""
    rows = database.execute("SELECT id FROM experiments WHERE id NOT IN (SELECT experiment FROM members)").fetchall()
    return [row[0] for row in rows]


def _title(by: Field | None, value: Any) -> str:
    if by is None:  # of what differs in seeds alone, the first line of its key
        return str(value).split("\n", 1)[0]
    if by.kind == "truth":
        value = None if value is None else "yes" if value else "no"
    shown = "none" if value is None or value == "" else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{by.title}: {shown}"


def _ranges(database: Database, bars: Sequence[Field], runs: set[int]) -> dict[str, tuple[float, float]]:
    if not bars or not runs:
        return {}
    columns = ", ".join(f"{one.sql} AS c{place}" for place, one in enumerate(bars))
    ends = ", ".join(f"min(c{place}), max(c{place})" for place in range(len(bars)))
    source = "json_each(?) j CROSS JOIN runs r ON r.id = j.value JOIN experiments e ON e.id = r.experiment"
    (found,) = tuples(database, f"SELECT {ends} FROM (SELECT {columns} FROM {source})", [json.dumps([*runs])])
    pairs = zip(bars, found[::2], found[1::2], strict=True)
    return {one.name: (low, high) for one, low, high in pairs if low is not None}


def _summary(one: Field, column: Sequence[Any]) -> Any:
    if one.kind != "number" or len(set(column)) == 1:
        return column[0] if len(set(column)) == 1 else None
    there = np.asarray([value for value in column if value is not None], dtype=np.float64)
    if not one.measured:
        return f"{there.min():g}…{there.max():g}"
    mean = float(there.mean())
    if len(there) < 2:
        return Estimate(mean=mean, half=None, count=1)
    return Estimate(mean=mean, half=interval_factor(len(there)) * float(there.std(ddof=1)), count=len(there))
