"""Two groups of runs compared in words: what they are called, and whether the difference of their errors is real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from workbench.analysis.significance import case_test, cases_sentence, seeds_sentence
from workbench.config import DataConfig
from workbench.errors import DataError
from workbench.history.reading import RunRow, differing_settings
from workbench.history.seed_groups import Sides
from workbench.plan import SPECIALISED
from workbench.sweep import words
from workbench.words import capital

MOST_SAID = 3
"""Settings in a name."""


def called(row: RunRow) -> str:
    """One run by its name and number."""
    return f"{row.name} ({row.id})"


def kind(rows: Sequence[RunRow]) -> str:
    """What runs of one group are: their role, or the name that they share where it says more."""
    names = {row.name.removesuffix(", refitted") for row in rows}
    refitted = ", refitted" * all(row.name.endswith(", refitted") for row in rows)
    own = next(iter(names)) if len(names) == 1 else rows[0].role
    return (rows[0].role if own.startswith(rows[0].role) else own) + refitted


def telling(groups: Sequence[Sequence[RunRow]], settings: Mapping[int, Mapping[str, Any]], *, seeds: bool = False) -> list[str]:
    """Of each group the settings that tell it from others of its kind, such as ``temperature 8 · units 30``, those with the most
    values first; without ``seeds`` the seed is left out."""
    kinds: dict[str, list[int]] = {}
    for group in groups:
        kinds.setdefault(kind(group), []).append(group[0].id)
    found: dict[int, str] = {}
    for same in kinds.values():
        differing = differing_settings({run: dict(settings.get(run, {})) for run in same})
        kept = [(key, values) for key, values in differing.items() if seeds or key != "seed"]
        kept.sort(key=lambda pair: -len(set(map(repr, pair[1].values()))))
        more = " …" if len(kept) > MOST_SAID else ""
        shown = kept[:MOST_SAID]
        for run in same:
            found[run] = words({key: "–" if values[run] is None else values[run] for key, values in shown}) + more
    return [found[group[0].id] for group in groups]


def names_in_sentences(groups: Sequence[Sequence[RunRow]], settings: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """Each group as the subject of a sentence: ``the students with temperature 8``, or one run by its name and number."""
    found = []
    for group, own in zip(groups, telling(groups, settings), strict=True):
        if len(group) == 1:
            found.append(called(group[0]))
            continue
        head, comma, tail = kind(group).partition(",")
        many = "combined runs" if head == SPECIALISED else f"{head}s"
        found.append(f"the {many}{comma}{tail}" + (f" with {own.replace(' · ', ', ')}" if own else ""))
    return [
        f"{name} (runs {', '.join(str(row.id) for row in group)})" if found.count(name) > 1 else name
        for name, group in zip(found, groups, strict=True)
    ]


def checked_labels(config: DataConfig, digest: str, found: str, labels: np.ndarray) -> np.ndarray:
    """The labels of a test split; a :class:`DataError` where its data set, by its digest, is not the one of the runs."""
    if digest != found:
        raise DataError(f"{config.dataset} is no longer what these runs were tested on; put the files back as they were")
    return labels


def no_labels(error: Exception) -> str:
    """Why two runs are not compared image by image, in a sentence."""
    return f"They cannot be compared image by image: {str(error).rstrip('.')}."


def sentence(sides: Sides, names: Sequence[str], labels: np.ndarray | None = None, reason: str = "") -> str:
    """Whether the difference of two groups is real, for a person; ``names`` are those of :func:`names_in_sentences`, ``labels``
    are those of the test split, or ``reason`` says in a sentence why they are not there."""
    if sides.obstacle:
        return sides.obstacle
    if sides.by_seed:
        return seeds_sentence(sides.by_seed, names[0], names[1], sides.cases)
    one, other = sides.pair
    seeds = [len({row.seed for row in group}) for group in (sides.first, sides.second)]
    alone = "One seed each says" if max(seeds) == 1 else "One seed on a side says"
    errors = ", ".join(f"{called(row)} makes {row.figures['test_errors']:,.0f} errors" for row in (one, other))
    begun = f"{alone} nothing about other seeds. {capital(errors)} of {sides.cases:,}."
    if sides.predicted is None:
        return f"{begun} Their predictions were not kept, so that they cannot be compared image by image."
    if labels is None:
        return f"{begun} {reason}".rstrip()
    if len(labels) != len(sides.predicted[0]):
        return f"{begun} Their predictions are of other images than the test split has now."
    return f"{begun} {cases_sentence(case_test(*sides.predicted, labels), called(one), called(other))}"
