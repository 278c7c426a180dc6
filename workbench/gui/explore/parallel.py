"""Parallel coordinates with the choice of their axes, the count of what the ranges keep, and the ranges as a filter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from workbench.analysis.brushes import expression
from workbench.analysis.explore import Table, varies
from workbench.gui.explore.field_box import FieldBox
from workbench.gui.explore.parallel_plot import ParallelPlot
from workbench.gui.forms import label
from workbench.history.fields import Field

AXES = ("data", "T", "w", "student.units", "transfer.fraction", "training.epochs", "seed", "test_accuracy")
"""The axes until a person chooses others; of these only those that vary are shown."""

MOST_AXES = 14
HINT = (
    "Drag along an axis for a range, a title for another order; × or Delete takes an axis away, a double click its range."
    " Arrows choose an axis and move the upper end of its range, with Shift the lower one."
)


class ParallelPage(QWidget):
    """A line a run through the axes chosen. ``wanted`` asks for a table with :meth:`names`."""

    wanted = Signal()
    chosen_changed = Signal()
    filter_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._table: Table | None = None
        self.axes = list(AXES)
        self._own = False
        self.add = FieldBox("Add an axis", "Another field as an axis; drag its title to where you want it.", first="add an axis…")
        self.colour = FieldBox("Colour", "What the lines are coloured by.", first="the last axis")
        self.clear = QPushButton("Clear ranges")
        self.clear.setToolTip("Keep all runs again (Escape).")
        self.filter = QPushButton("Filter the history")
        self.filter.setToolTip("Show in the history what the ranges keep, as a filter that you can change there.")
        self.plot = ParallelPlot()
        self.readout = label(HINT, "faint", wrap=True)
        self.readout.setMinimumHeight(self.readout.fontMetrics().height() * 2)
        top = QHBoxLayout()
        for widget in (self.add, label("coloured by"), self.colour, self.clear, self.filter):
            top.addWidget(widget)
        top.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.readout)
        self.add.chosen.connect(self._add)
        self.colour.chosen.connect(lambda _: self.wanted.emit())
        self.clear.clicked.connect(self.plot.clear_brushes)
        self.filter.clicked.connect(self._ask_filter)
        self.plot.changed.connect(self._tell)
        self.plot.axes_changed.connect(self._own_axes)
        self.plot.pointed.connect(self._read)

    def names(self) -> list[str]:
        """The fields shown."""
        return [*self.axes, *([self.colour.name] if self.colour.name else [])]

    def offer(self, fields: Sequence[Field]) -> None:
        """The fields to choose among."""
        self.add.offer([one for one in fields if one.name not in self.plot.names])
        self.colour.offer(fields)

    def own_axes(self) -> list[str]:
        """The axes where a person chose them, else none."""
        return self.axes if self._own else []

    def set_axes(self, names: Sequence[str]) -> None:
        """Choose the axes, without asking for a table."""
        self.axes, self._own = list(dict.fromkeys(names))[:MOST_AXES], True

    def show_axes(self, names: Sequence[str]) -> None:
        """Put these fields on the axes and ask for them."""
        self.set_axes(names)
        self.plot.brushes = {}
        self.wanted.emit()

    def show_table(self, table: Table) -> None:
        """Show the runs of a table that has the fields asked for, as far as there are such."""
        self._table = table
        self.plot.show_table(
            table, self.axes if self._own else self._telling(table), self.colour.name if self.colour.name in table.columns else ""
        )
        self._tell()

    def chosen(self) -> list[int]:
        """The runs that the ranges keep; none where there is no range."""
        if self._table is None or not self.plot.brushes:
            return []
        return [int(run) for run in self._table.runs[self.plot.kept]]

    def clear_chosen(self) -> None:
        """Keep all runs again."""
        self.plot.clear_brushes()

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.plot.dress()

    def summary(self) -> str:
        """Nothing: the ranges say it."""
        return ""

    def _add(self, name: str) -> None:
        self.add.set_name("")
        if name and name not in self.plot.names and len(self.plot.names) < MOST_AXES:
            self.axes, self._own = [*self.plot.names, name], True
            self.wanted.emit()

    def _telling(self, table: Table) -> list[str]:
        """Of the axes those that vary, or all that have a value where too few do."""
        there = [name for name in self.axes if name in table.columns and np.isfinite(table.columns[name].values).any()]
        found = [name for name in there if varies(table.columns[name])]
        return found if len(found) > 1 else there

    def _own_axes(self) -> None:
        self.axes, self._own = list(self.plot.names), True
        self._tell()

    def _tell(self) -> None:
        self.clear.setEnabled(bool(self.plot.brushes))
        self.filter.setEnabled(bool(self.plot.brushes))
        self.add.setEnabled(len(self.plot.names) < MOST_AXES)
        self.chosen_changed.emit()

    def _ask_filter(self) -> None:
        if self._table is not None and (text := expression(self._table, self.plot.brushes)):
            self.filter_wanted.emit(text)

    def _read(self, at: int) -> None:
        if self._table is None or at < 0:
            self.readout.setText(HINT)
            return
        shown = [self._table.columns[name] for name in self.plot.names]
        values = "   ".join(f"{one.title} {one.say(float(one.values[at]))}" for one in shown)
        self.readout.setText(f"{self._table.labels[at]}:   {values}")
