"""Runs that differ in nothing but their seeds, and what their errors can be compared by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlite_utils import Database

from workbench.analysis.significance import SeedTest, seed_test
from workbench.config import DataConfig, RunConfig
from workbench.history import reading
from workbench.history.reading import RunRow


def seed_groups(database: Database, runs: Sequence[int]) -> list[tuple[int, ...]]:
    """The runs in groups that differ in nothing but the seed, those of their teachers included, each where its first stands."""
    marks = ", ".join("?" * len(runs))
    own = database.execute(
        f"SELECT id, role || json_remove(config, '$.seed') FROM runs WHERE id IN ({marks})", list(runs)
    ).fetchall()
    taught = database.execute(
        "SELECT l.child, json_remove(r.config, '$.seed') FROM lineage l JOIN runs r ON r.id = l.parent"
        f" WHERE l.child IN ({marks}) ORDER BY l.child, l.position",
        list(runs),
    ).fetchall()
    keys = {run: [config] for run, config in own}
    for run, config in taught:
        keys[run].append(config)
    groups: dict[tuple[str, ...], list[int]] = {}
    for run in dict.fromkeys(runs):
        if run in keys:
            groups.setdefault(tuple(keys[run]), []).append(run)
    return [tuple(group) for group in groups.values()]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sides:
    """Two groups of runs and what there is to compare them by.

    ``cases`` is the size of their common test split and ``by_seed`` the test over seeds, None where a group has one seed.
    ``predicted`` are the classes that one run of each predicts on the test split, (cases,), where it is not a matter of seeds
    alone and both are kept; ``data`` and ``digest`` say which data set has their labels. ``obstacle`` is a sentence that says why
    nothing can be compared.
    """

    first: tuple[RunRow, ...]
    second: tuple[RunRow, ...]
    cases: int = 0
    by_seed: SeedTest | None = None
    predicted: tuple[np.ndarray, np.ndarray] | None = None
    data: DataConfig | None = None
    digest: str = ""
    obstacle: str = ""

    @property
    def pair(self) -> tuple[RunRow, RunRow]:
        """The runs whose predictions are compared: of a common seed where there is one."""
        return next(
            ((one, other) for one in self.first for other in self.second if one.seed == other.seed),
            (self.first[0], self.second[0]),
        )


def sides(database: Database, first: Sequence[int], second: Sequence[int]) -> Sides:
    """Two groups of runs, as far as their test errors can be compared."""
    rows = {row.id: row for row in reading.list_runs(database, [*first, *second])}
    tested = [
        tuple(rows[run] for run in group if run in rows and {"test_errors", "test_size"} <= rows[run].figures.keys())
        for group in (first, second)
    ]
    found = Sides(first=tested[0], second=tested[1])
    if obstacle := _obstacle(database, *tested):
        return replace(found, obstacle=obstacle)
    found = replace(found, cases=int(tested[0][0].figures["test_size"]), by_seed=seed_test(*map(_errors, tested)))
    return found if found.by_seed else _with_predictions(database, found)


def _obstacle(database: Database, first: Sequence[RunRow], second: Sequence[RunRow]) -> str:
    """Why errors cannot be compared, or nothing."""
    rows = [*first, *second]
    if not first or not second:
        return "Test errors are there once a run is done; one of the two sides has none yet."
    if any(row.role == "specialist" for row in rows):
        return "A specialist answers for its own classes alone: its errors compare with no other run's."
    if len({(_digest(database, row.id), row.figures["test_size"]) for row in rows}) > 1:
        return "They were tested on different images: their errors cannot be compared."
    return ""


def _digest(database: Database, run: int) -> str:
    """That of a run's data set, without own images that it learned from too."""
    (found,) = database.execute("SELECT data_digest FROM runs WHERE id = ?", [run]).fetchone()
    return str(found or "").partition(":")[0]


def _with_predictions(database: Database, found: Sides) -> Sides:
    """What one run of each side predicts, and where the labels are."""
    pair = found.pair
    one, other = (reading.predictions(database, row.id) for row in pair)
    (config,) = database.execute("SELECT config FROM runs WHERE id = ?", [pair[0].id]).fetchone()
    kept = one is not None and other is not None and one.shape == other.shape
    return replace(
        found,
        predicted=(one.argmax(axis=1), other.argmax(axis=1)) if kept else None,  # type: ignore[union-attr]
        data=RunConfig.from_dict(json.loads(config)).data,
        digest=_digest(database, pair[0].id),
    )


def _errors(rows: Sequence[RunRow]) -> dict[int, float]:
    """Test errors by seed; of several runs of one seed their mean."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        by_seed.setdefault(row.seed, []).append(row.figures["test_errors"])
    return {seed: float(np.mean(errors)) for seed, errors in by_seed.items()}
