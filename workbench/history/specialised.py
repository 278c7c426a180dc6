"""Which runs can be generalists, and which have specialists already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from workbench.config import ExperimentConfig, SpecialistsConfig
from workbench.history.reading import SweepPoint, specialised_groups
from workbench.plan import SPECIALISED

MOST = 200
"""A list on a screen has at most so many runs without specialists."""
_REFERENCE = "SELECT run FROM tags WHERE tag = 'reference'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A finished run that is a generalist, or can be one.

    ``whole`` is the run of it together with its specialists, 0 where it has none yet; ``tables`` are those of the experiment,
    whose data are those the run was trained on.
    """

    run: int
    whole: int
    experiment: int
    name: str
    words: str
    tables: dict[str, Any]

    @property
    def specialists(self) -> SpecialistsConfig:
        """How its experiment asked for specialists, else how they are asked for where nothing is said."""
        given = dict(self.tables.get("specialists") or {})
        return SpecialistsConfig(**given | ({"by_hand": tuple(given["by_hand"])} if "by_hand" in given else {}))

    @property
    def seed(self) -> int:
        """What k-means begins with."""
        return int(self.tables.get("teacher_seed", 0))

    def with_subsets(self, subsets: Sequence[str], config: SpecialistsConfig) -> ExperimentConfig:
        """Its experiment with this run as generalist and subsets chosen by hand; a :class:`ConfigError` where it has settings
        that do not go with specialists."""
        tables = {key: value for key, value in self.tables.items() if key != "refit"}
        if not tables["data"].get("validation_fraction", 1.0):  # a run on all cases, which can choose no epoch
            for part in ("training", "teacher_training", "specialist_training"):
                tables[part] = {**tables.get(part, {}), "keep": "last", "patience": 0}
        distillation = {key: value for key, value in tables.get("distillation", {}).items() if key != "match"}
        table = ExperimentConfig(specialists=replace(config, by_hand=tuple(subsets))).to_dict()["specialists"]
        return ExperimentConfig.from_dict(
            tables | {"distillation": distillation, "teachers": [{"run": self.run}], "specialists": table}
        )


def candidates(database: Database, text: str = "", *, reference: bool = True) -> list[Candidate]:
    """Those with specialists first, each newest first; of the others the newest. ``text`` must be in name, model or data set.

    Without those that came with the workbench where ``reference`` is not wanted.
    """
    hidden = "" if reference else f" AND w.id NOT IN ({_REFERENCE})"
    matching = " AND instr(lower(e.name || ' ' || w.model || ' ' || w.dataset || ' ' || w.name), lower(:text))"
    fields = "e.id, e.name AS experiment_name, e.config, w.id, w.name, w.role, w.model, w.dataset, w.config"
    with_them = database.execute(
        f"SELECT (SELECT run FROM members WHERE experiment = e.id AND position = 0), {fields}"
        " FROM runs w JOIN experiments e ON e.id = w.experiment"
        " WHERE w.name = :whole AND w.status = 'done' AND e.deleted IS NULL AND w.id NOT IN (SELECT run FROM bin)"
        f"{hidden}{matching} ORDER BY w.id DESC",
        {"whole": SPECIALISED, "text": text},
    ).fetchall()
    others = database.execute(
        f"SELECT 0, {fields} FROM runs w JOIN experiments e ON e.id = w.experiment"
        " WHERE w.name <> :whole AND w.status = 'done' AND w.role <> 'specialist' AND e.deleted IS NULL"
        " AND w.id NOT IN (SELECT run FROM bin)"
        " AND EXISTS (SELECT 1 FROM artefacts a WHERE a.run = w.id AND a.kind = 'weights')"
        f"{hidden}{matching} ORDER BY w.id DESC LIMIT {MOST}",
        {"whole": SPECIALISED, "text": text},
    ).fetchall()
    return [_candidate(tuple(row)) for row in (*with_them, *others)]


def _candidate(row: tuple[Any, ...]) -> Candidate:
    generalist, experiment, name, config, run, run_name, role, model, dataset, own = row
    tables, dataset = json.loads(config), Path(dataset).name
    tables["data"] = json.loads(own).get("data", {})
    what = f"{model} on {dataset}" if generalist else f"{run_name if role == 'teacher' else role}, {model} on {dataset}"
    return Candidate(
        run=generalist or run,
        whole=run if generalist else 0,
        experiment=experiment,
        name=f"{name} #{experiment}" if generalist else f"run {run}, {name} #{experiment}",
        words=what,
        tables=tables,
    )


def alike(database: Database, experiment: int) -> list[SweepPoint]:
    """The experiment, and those of its sweep that differ from it in their seeds alone; itself first."""
    group = next((group for group in specialised_groups(database) if any(one.experiment == experiment for one in group)), [])
    return sorted(group, key=lambda one: one.experiment != experiment)
