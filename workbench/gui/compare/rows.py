"""The lines of the table below the curves: settings, and figures with their means over seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.gui.compare.found import Compared, Shown
from workbench.history.reading import RunRow
from workbench.words import duration

NONE = "–"
FIGURES = {
    "val_accuracy": ("validation accuracy", ".2%"),
    "test_accuracy": ("test accuracy", ".2%"),
    "test_errors": ("test errors", ",.0f"),
    "test_nll": ("test loss (nats)", ".4f"),
    "test_ece": ("calibration error", ".3f"),
    "teacher_agreement": ("agrees with its teachers", ".2%"),
    "teacher_kl": ("KL from its teachers (nats)", ".4f"),
}
COUNTS: dict[str, Callable[[RunRow], int | None]] = {
    "parameters": lambda row: row.parameters,
    "multiply-adds": lambda row: row.multiply_adds,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a text a column, what it is sorted by (None comes last), and which cells are marked as not what most have.

    ``differs`` says that a setting is not the same in all columns.
    """

    name: str
    texts: tuple[str, ...]
    order: tuple[Any, ...]
    setting: bool = False
    differs: bool = False
    marked: tuple[bool, ...] = ()


def rows_of(found: Compared, shown: Sequence[Shown], *, all_settings: bool) -> list[Row]:
    """Settings that differ, or all of them, and below them the figures; a column for each of ``shown``."""
    keys = sorted({key for one in shown for row in one.rows for key in found.settings.get(row.id, {})})
    settings = [_setting(key, found, shown) for key in keys]
    return [row for row in settings if row.differs or all_settings] + _figures(shown)


def _setting(key: str, found: Compared, shown: Sequence[Shown]) -> Row:
    values = [list(dict.fromkeys(found.settings[row.id].get(key) for row in one.rows)) for one in shown]
    texts = tuple(", ".join(map(said, of)) for of in values)
    alike = Counter(texts)
    usual, count = alike.most_common(1)[0]
    differs = len(alike) > 1
    most = usual if 2 * count > len(texts) else None
    order = tuple(of[0] if isinstance(of[0], (int, float)) and not isinstance(of[0], bool) else said(of[0]) for of in values)
    return Row(key, texts, order, setting=True, differs=differs, marked=tuple(differs and text != most for text in texts))


def _figures(shown: Sequence[Shown]) -> list[Row]:
    found = [
        _row("status", [_statuses(one.rows) for one in shown]),
        _row("experiment", [_experiments(one.rows) for one in shown]),
    ]
    for name, (title, form) in FIGURES.items():
        estimates = [one.figures.get(name) for one in shown]
        texts = tuple(NONE if of is None else of.words(form.replace(".0f", ".1f") if of.count > 1 else form) for of in estimates)
        found.append(Row(title, texts, tuple(None if of is None else of.mean for of in estimates)))
    for title, count in COUNTS.items():
        numbers = [count(one.rows[0]) for one in shown]
        found.append(Row(title, tuple(f"{number:,}" if number else NONE for number in numbers), tuple(numbers)))
    times = [one.figures["train_seconds"].mean if "train_seconds" in one.figures else None for one in shown]
    found.append(Row("time in training", tuple(NONE if time is None else duration(time) for time in times), tuple(times)))
    return found


def _row(name: str, texts: Sequence[str]) -> Row:
    return Row(name, tuple(texts), tuple(texts))


def _statuses(rows: Sequence[RunRow]) -> str:
    if len(rows) == 1:
        return rows[0].status
    return ", ".join(f"{count} {status}" for status, count in Counter(row.status for row in rows).items())


def _experiments(rows: Sequence[RunRow]) -> str:
    first = f"{rows[0].experiment_name} #{rows[0].experiment}"
    others = len({row.experiment for row in rows}) - 1
    return f"{first} and {others} more" if others else first


def said(value: Any) -> str:
    """A setting's value as a cell shows it."""
    return NONE if value is None or value == "" else f"{value:g}" if isinstance(value, float) else str(value)
