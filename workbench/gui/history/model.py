"""The history as lines: groups of runs, and below each its runs. Only what is on the screen is read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor, QFont
from sqlite_utils import Database

from workbench.analysis.sweep_results import Estimate
from workbench.gui import theme
from workbench.gui.forms import plain_tooltip
from workbench.history.fields import OWN, Field, Vocabulary
from workbench.history.listing import EXPERIMENT, Entry, Group, Listing, Question, cells, list_entries, sparks, summaries
from workbench.words import duration, many

Index = QModelIndex | QPersistentModelIndex
Key = tuple[str, int]
LINE_ROLE = Qt.ItemDataRole.UserRole
"""What the delegate draws besides text: a share from 0 to 1, or a small curve."""

UNFOLDED = 50
"""So many of the newest experiments are shown with their runs at first, those of sweeps apart."""
FOUND = 500
"""What a filter finds is unfolded up to so many runs."""
ALWAYS = ("starred", "pinned", "colour", "message", "tag")
"""Fields that are read with every line, whichever columns are chosen."""
CURVE = Field(name="curve", title="Loss curve", help="The training loss from first to last step.", kind="text", sql="NULL")
NAME = OWN[0]


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What some lines hold: cells of runs and summaries of groups, by field."""

    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ShownList:
    """A listing, its lines (the place of an entry, or −1 − the place of a group) with what each stands for, and a first page.

    ``toggled`` is what was folded or unfolded by hand when it was asked for.
    """

    listing: Listing
    lines: tuple[int, ...]
    keys: list[Key]
    page: Page
    toggled: Mapping[str, bool] = field(default_factory=dict)


def lines_of(listing: Listing, toggled: Mapping[str, bool]) -> tuple[int, ...]:
    """The lines of a listing: all groups, and the entries of those unfolded; ``toggled`` is what the person did by hand."""
    lines: list[int] = []
    for place, group in enumerate(listing.groups):
        if group.title:
            lines.append(-1 - place)
        if toggled.get(group.key, _open_at_first(listing, place)):
            lines.extend(range(group.start, group.stop))
    return tuple(lines)


def _open_at_first(listing: Listing, place: int) -> bool:
    group = listing.groups[place]
    if group.key == "pinned" or not group.title:
        return True
    if listing.question.filter.strip():
        return len(listing.entries) <= FOUND
    return listing.question.group == EXPERIMENT and place < UNFOLDED and (group.head is None or group.head.sweep is None)


def read_shown(
    known: Vocabulary,
    question: Question,
    names: Sequence[str],
    toggled: Mapping[str, bool],
    first: int,
    count: int,
    before: Listing | None = None,
) -> Callable[[Database], ShownList]:
    """A reading: the listing that answers a question, with what ``count`` of its lines from ``first`` on hold; ``before`` is
    the one shown."""

    def read(database: Database) -> ShownList:
        listing = list_entries(database, known, question, before)
        lines = lines_of(listing, toggled)
        return ShownList(
            listing, lines, keys_of(listing, lines), _page(database, known, listing, lines[first : first + count], names)
        )

    return read


def read_page(known: Vocabulary, listing: Listing, lines: Sequence[int], names: Sequence[str]) -> Callable[[Database], Page]:
    """A reading: what these lines hold."""
    return lambda database: _page(database, known, listing, lines, names)


def read_curves(runs: Sequence[int]) -> Callable[[Database], dict[int, np.ndarray]]:
    """A reading: small curves of these runs' losses."""
    return lambda database: sparks(database, runs)


def _page(database: Database, known: Vocabulary, listing: Listing, lines: Iterable[int], names: Sequence[str]) -> Page:
    names = list(dict.fromkeys([name for name in (*names, *ALWAYS) if known.get(name)]))
    runs = [listing.entries[line].run for line in lines if line >= 0]
    groups = [group for line in lines if line < 0 and (group := listing.groups[-1 - line]).key != "pinned"]
    parts = [listing.entries[group.start : group.stop] for group in groups]
    return Page(
        {run: dict(zip(names, values, strict=True)) for run, values in cells(database, known, runs, names).items()},
        {group.key: found for group, found in zip(groups, summaries(database, known, parts, names), strict=True)},
    )


class HistoryModel(QAbstractTableModel):
    """Lines of a listing over chosen fields; the first column is the name. Lines not read yet are empty."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.columns: tuple[Field, ...] = (NAME,)
        self.listing = Listing(question=Question(), version=-1)
        self.lines: tuple[int, ...] = ()
        self.keys: list[Key] = []
        """What each line stands for, whatever else comes and goes: (group, run), run 0 for the group itself."""
        self.toggled: dict[str, bool] = {}
        self.page = Page()
        self.curves: dict[int, np.ndarray] = {}

    def take(self, shown: ShownList) -> bool:
        """Show this; whether it has other lines than before, and the views were told so."""
        if shown.toggled != self.toggled:  # folded or unfolded since it was asked for
            lines = lines_of(shown.listing, self.toggled)
            shown = replace(shown, lines=lines, keys=keys_of(shown.listing, lines))
        same = shown.keys == self.keys
        before = {entry.run: entry.status for entry in self.listing.entries}
        for entry in shown.listing.entries:
            if before.get(entry.run) != entry.status:  # its curve has grown, or is another's
                self.curves.pop(entry.run, None)
        if not same:
            self.beginResetModel()
        self.listing, self.lines, self.keys, self.page = shown.listing, shown.lines, shown.keys, shown.page
        if same:
            self._all_changed()
        else:
            self.endResetModel()
        return not same

    def add(self, page: Page) -> None:
        """Fill in what has been read since."""
        self.page.runs.update(page.runs)
        self.page.groups.update(page.groups)
        self._all_changed()

    def add_curves(self, curves: dict[int, np.ndarray]) -> None:
        """Draw these small curves."""
        self.curves.update(curves)
        self._all_changed()

    def set_columns(self, columns: Sequence[Field]) -> None:
        """Show these fields after the name."""
        self.beginResetModel()
        self.columns = (NAME, *(one for one in columns if one.name != NAME.name))
        self.page = Page()
        self.endResetModel()

    def fold(self, line: int, *, unfolded: bool) -> None:
        """Show the runs of the group at a line, or hide them."""
        group = self.group_at(line)
        if group is None or group.start == group.stop or self.is_unfolded(line) == unfolded:
            return
        self.toggled[group.key] = unfolded
        if unfolded:
            self.beginInsertRows(QModelIndex(), line + 1, line + group.stop - group.start)
        else:
            self.beginRemoveRows(QModelIndex(), line + 1, line + group.stop - group.start)
        self._take_lines()
        (self.endInsertRows if unfolded else self.endRemoveRows)()

    def fold_all(self, *, unfolded: bool) -> None:
        """The same of all groups."""
        self.beginResetModel()
        self.toggled = {group.key: unfolded for group in self.listing.groups}
        self._take_lines()
        self.endResetModel()

    def _take_lines(self) -> None:
        self.lines = lines_of(self.listing, self.toggled)
        self.keys = keys_of(self.listing, self.lines)

    def is_unfolded(self, line: int) -> bool:
        """Whether the group at a line shows its runs; one without any does."""
        group = self.listing.groups[-1 - self.lines[line]]
        return group.start == group.stop or (line + 1 < len(self.lines) and self.lines[line + 1] == group.start)

    def entry_at(self, line: int) -> Entry | None:
        """The run at a line, None for a group."""
        return self.listing.entries[self.lines[line]] if self.lines[line] >= 0 else None

    def group_at(self, line: int) -> Group | None:
        """The group at a line, None for a run."""
        return self.listing.groups[-1 - self.lines[line]] if self.lines[line] < 0 else None

    def group_of(self, line: int) -> Group:
        """The group at a line, or that of the run there."""
        place = self.lines[line]
        if place < 0:
            return self.listing.groups[-1 - place]
        return self.listing.groups[bisect_right([group.start for group in self.listing.groups], place) - 1]

    def entries_of(self, group: Group) -> tuple[Entry, ...]:
        """The runs of a group."""
        return self.listing.entries[group.start : group.stop]

    def find(self, runs: Iterable[int]) -> list[int]:
        """The lines of runs where they were made, their groups unfolded for it; what is not shown is left out."""
        wanted = set(runs)
        places = [n for n, entry in enumerate(self.listing.entries) if entry.run in wanted and not entry.reused]
        starts = [group.start for group in self.listing.groups]
        for group in {bisect_right(starts, place) - 1 for place in places}:
            if -1 - group in self.lines:
                self.fold(self.lines.index(-1 - group), unfolded=True)
        lines = {place: line for line, place in enumerate(self.lines)}
        return [lines[place] for place in places]

    def missing(self, first: int, last: int) -> list[int]:
        """Those of the lines from ``first`` to ``last`` that have not been read."""
        return [
            line
            for line in self.lines[max(0, first) : last + 1]
            if (self.listing.entries[line].run not in self.page.runs if line >= 0
                else (key := self.listing.groups[-1 - line].key) not in self.page.groups and key != "pinned")
        ]  # fmt: skip

    # QAbstractTableModel

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """The lines."""
        return 0 if parent.isValid() else len(self.lines)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """The chosen fields."""
        return 0 if parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles with the order's arrows, and help as tooltips."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        one = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{one.title}{self._arrow(one)}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tooltip(f"{one.help}\nIn a filter: {one.name}\nClick: order by it; Shift: then by it.")
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Texts and what the delegate draws."""
        if not index.isValid() or index.row() >= len(self.lines):
            return None
        one, group = self.columns[index.column()], self.group_at(index.row())
        if role == Qt.ItemDataRole.TextAlignmentRole:
            right = one.kind == "number"
            return int((Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter)
        if group is not None:
            return self._of_group(group, index.row(), one, role)
        entry = self.listing.entries[self.lines[index.row()]]
        return self._of_run(entry, self.page.runs.get(entry.run, {}), one, role)

    def _of_run(self, entry: Entry, held: dict[str, Any], one: Field, role: int) -> Any:
        value = {"name": entry.name, "role": entry.role}.get(one.name, held.get(one.name))
        if role == Qt.ItemDataRole.DisplayRole:
            if one is NAME:
                return f"      {'★ ' * bool(held.get('starred'))}{entry.name}"
            return "reused" if one.name == "status" and entry.reused else written(one, value)
        if role == LINE_ROLE:
            return self.curves.get(entry.run) if one is CURVE else self._share(one, value)
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tooltip(held.get("message") or (str(value) if one.kind in ("text", "tags", "date") and value else ""))
        if role == Qt.ItemDataRole.DecorationRole and one is NAME and held.get("colour") in theme.COLOURS:
            return QColor(theme.current().curves[theme.COLOURS.index(held["colour"])])
        return None

    def _of_group(self, group: Group, line: int, one: Field, role: int) -> Any:
        held = self.page.groups.get(group.key, {})
        if role == Qt.ItemDataRole.DisplayRole:
            return self._title(group, line) if one is NAME else _said_of_group(group, one, held.get(one.name))
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tooltip(_told_of_group(group, one, held.get(one.name)))
        if role == LINE_ROLE:
            value = held.get(one.name)
            return self._share(one, value.mean if isinstance(value, Estimate) else value)
        if role == Qt.ItemDataRole.FontRole and one is NAME:
            font = QFont()
            font.setBold(True)
            return font
        return QColor(theme.current().raised) if role == Qt.ItemDataRole.BackgroundRole else None

    def _title(self, group: Group, line: int) -> str:
        size = group.stop - group.start
        arrow = "▾" if self.is_unfolded(line) and size else "▸" if size else " "
        count = "" if group.key == "pinned" or self.is_unfolded(line) else f"  ({size})"
        return f"{arrow} {group.title}{count}"

    def _share(self, one: Field, value: Any) -> float | None:
        """Where a value stands between the lowest and the highest of the list."""
        low, high = self.listing.ranges.get(one.name, (0.0, 0.0))
        return (value - low) / (high - low) if isinstance(value, (int, float)) and high > low else None

    def _arrow(self, one: Field) -> str:
        names = [name for name, _ in self.listing.question.order]
        if one.name not in names:
            return ""
        place = names.index(one.name)
        return (" ↓" if self.listing.question.order[place][1] else " ↑") + (str(place + 1) if len(names) > 1 else "")

    def _all_changed(self) -> None:
        if self.lines:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.lines) - 1, len(self.columns) - 1))


def keys_of(listing: Listing, lines: Sequence[int]) -> list[Key]:
    """(group, run) of each line, run 0 for a group itself."""
    starts = [group.start for group in listing.groups]
    return [
        (listing.groups[bisect_right(starts, line) - 1].key, listing.entries[line].run)
        if line >= 0
        else (listing.groups[-1 - line].key, 0)
        for line in lines
    ]


def written(one: Field, value: Any) -> str:
    """A value as a cell shows it."""
    if value is None or value == "":
        return ""
    if isinstance(value, Estimate):
        return written(one, value.mean) + (f" ± {written(one, value.half)}" if value.half is not None else "")
    if one.kind == "date":
        return datetime.fromisoformat(value).astimezone().strftime("%d %b %H:%M")
    if one.kind == "truth":
        return ("★" if one.name == "starred" else "yes") if value else ""
    if isinstance(value, str):
        return " ".join(str(value).split())
    if one.form == "duration":
        return "–" if value <= 0 else "<1 s" if value < 1 else duration(value)
    return {"percent": f"{value:.2%}", "count": f"{value:,.4g}" if value % 1 else f"{value:,.0f}", "rate": f"{value:,.0f}/s"}.get(
        one.form, f"{value:.4g}"
    )


def _said_of_group(group: Group, one: Field, value: Any) -> str:
    if group.head is not None:
        if one.name == "status":
            return "held" if group.head.held and group.head.status == "waiting" else group.head.status
        if one.name == "date":
            return written(one, group.head.created)
    return "" if one.name == "run" else written(one, value)


def _told_of_group(group: Group, one: Field, value: Any) -> str:
    if isinstance(value, Estimate):
        interval = ", with the 95% interval of the mean" if value.half is not None else ""
        return f"{one.title}: mean over {many(value.count, 'run')}{interval} – its students where it has any."
    head = group.head
    came = "\nCame with the workbench as a reference." if head and head.reference else ""
    return f"{group.title}{came}\n{head.message if head else ''}".strip()
