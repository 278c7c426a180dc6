"""Many runs as columns, for the plots of many runs: read in one go, for the fields that a plot shows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlite_utils import Database

from workbench.analysis.explore import Column, Table, column
from workbench.analysis.importance import sample
from workbench.history.fields import Field, Vocabulary, vocabulary
from workbench.history.filters import FilterError, condition
from workbench.history.listing import values
from workbench.history.reading import data_version, run_settings

UNCOUNTABLE = ("note", "message")
"""Texts that differ from run to run, and make no axis."""

LABEL = ("experiment", "experiment_id", "name")
BETTER = {"": 0, "more": 1, "less": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs: of these roles (all where none is said), satisfying a filter, and of ``runs`` alone where these are given."""

    runs: tuple[int, ...] | None = None
    roles: tuple[str, ...] = ()
    filter: str = ""
    reference: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explored:
    """The runs found with the columns asked for, the fields that there are, and what is wrong with the filter, if anything.

    ``settings`` names columns whose importance can be asked for; ``version`` is another one when the history has changed.
    """

    table: Table
    known: Vocabulary
    settings: tuple[str, ...] = ()
    version: int = 0
    trouble: FilterError | None = None

    @property
    def fields(self) -> list[Field]:
        """The fields that make an axis."""
        return [one for one in self.known.fields.values() if one.name not in UNCOUNTABLE]


def title(one: Field) -> str:
    """A field as an axis names it: figures and settings by the names that filters use."""
    return one.title if one.group == "Run" else one.name if one.group == "Settings" else one.name.replace("_", " ")


def explored(database: Database, names: Sequence[str], wanted: Wanted, known: Vocabulary | None = None) -> Explored:
    """The runs and, of the fields named, those that there are; a vocabulary read before saves reading it."""
    known = known or vocabulary(database)
    asked = [one for one in known.fields.values() if one.name in names]
    version = data_version(database)
    try:
        return Explored(table=_table(database, known, asked, wanted), known=known, version=version)
    except FilterError as error:
        return Explored(table=_table(database, known, asked, Wanted(runs=())), known=known, version=version, trouble=error)


def varied(database: Database, figure: str, wanted: Wanted, known: Vocabulary | None = None) -> Explored:
    """The figure and every setting of the runs that have it, or of a sample of very many: what
    :mod:`workbench.analysis.importance` is about."""
    found = explored(database, [figure, "role"], wanted, known)
    there = np.flatnonzero(np.isfinite(found.table.columns[figure].values)) if figure in found.table.columns else np.empty(0, int)
    table = _only(found.table, sample(there.tolist()))
    runs = table.runs.tolist()
    settings = run_settings(database, runs)
    keys = sorted({key for one in settings.values() for key in one})
    columns = {key: column(key, key, [settings[run].get(key) for run in runs]) for key in keys}
    return replace(found, table=replace(table, columns={**columns, **table.columns}), settings=("role", *keys))


def _only(table: Table, places: Sequence[int]) -> Table:
    """Some of the runs of a table."""
    chosen = np.array(places, int)
    columns = {name: replace(one, values=one.values[chosen]) for name, one in table.columns.items()}
    return Table(runs=table.runs[chosen], labels=tuple(table.labels[place] for place in places), columns=columns)


def _table(database: Database, known: Vocabulary, fields: Sequence[Field], wanted: Wanted) -> Table:
    condition(wanted.filter, known)  # by itself, so that an error counts its characters
    text = f"({wanted.filter})" if wanted.filter.strip() else ""
    role = f"role in ({', '.join(wanted.roles)})" if wanted.roles else ""
    names = [*LABEL, *(one.name for one in fields if one.name not in LABEL)]
    both = " and ".join(part for part in (role, text) if part)
    found = values(database, known, names, wanted.runs, both, reference=wanted.reference)
    labels = zip(*(found.columns[name] for name in LABEL), found.runs, strict=True)
    return Table(
        runs=np.array(found.runs, np.int64),
        labels=tuple(f"{experiment} #{number} · {name} (run {run})" for experiment, number, name, run in labels),
        columns={one.name: _column(one, found.columns[one.name]) for one in fields},
    )


def _column(one: Field, given: Sequence[Any]) -> Column:
    if one.kind == "truth":
        given = [None if value is None else bool(value) for value in given]
    elif one.kind in ("text", "tags"):
        given = [None if value in (None, "") else str(value) for value in given]
    return column(one.name, title(one), given, better=BETTER[one.better], percent=one.form == "percent", date=one.kind == "date")
