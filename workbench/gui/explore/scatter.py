"""The scatter of any field against any, such as test accuracy against parameters."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from workbench.analysis.explore import Table, groups, spans
from workbench.gui.explore.field_box import FieldBox
from workbench.gui.explore.scatter_plot import ScatterPlot
from workbench.gui.forms import label
from workbench.gui.pictures import Plotted, SaveButton
from workbench.history.fields import Field

DECADES = 100.0
"""Values further apart than by this factor come on a logarithmic axis, unless a person wants otherwise."""

HINT = "A click chooses a run, Ctrl and a click one more, Shift and a drag those in a box. Arrows go along them, Space chooses."


class ScatterPage(QWidget):
    """Two fields against each other, coloured by a third. ``wanted`` asks for a table with :meth:`names`."""

    wanted = Signal()
    chosen_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._table: Table | None = None

        self.x_choice = FieldBox("Horizontal axis", "What the horizontal axis shows.")
        self.y_choice = FieldBox("Vertical axis", "What the vertical axis shows.")
        self.colour_choice = FieldBox("Colour", "What the runs are coloured by.", first="no colours")
        self.log_x, self.log_y = QCheckBox("log"), QCheckBox("log")
        self.front = QCheckBox("Pareto front")
        self.front.setChecked(True)
        self.plot = ScatterPlot()
        self.readout = label(HINT, "faint", wrap=True)
        self.readout.setMinimumHeight(self.readout.fontMetrics().height() * 2)
        for box, name in ((self.x_choice, "parameters"), (self.y_choice, "test_accuracy"), (self.colour_choice, "role")):
            box.set_name(name)
        top = QHBoxLayout()
        against, coloured = label("against"), label("coloured by")
        plot = self.plot
        self.save = SaveButton(Plotted(plot, plot.dress, plot.title, plot.samples, plot.values))
        shown = (self.y_choice, self.log_y, against, self.x_choice, self.log_x, coloured, self.colour_choice, self.front)
        for widget in shown:
            top.addWidget(widget)
        top.addStretch(1)
        top.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.readout)
        for log, name in ((self.log_x, "Logarithmic horizontal axis"), (self.log_y, "Logarithmic vertical axis")):
            log.setAccessibleName(name)
            log.clicked.connect(lambda _: self._draw())
        for box in (self.x_choice, self.y_choice, self.colour_choice):
            box.chosen.connect(lambda _: self.wanted.emit())
        self.front.clicked.connect(lambda _: self._draw())
        self.plot.pointed.connect(self._read)
        self.plot.chosen_changed.connect(self.chosen_changed)
        self._log_of: tuple[str, str] = ("", "")

    def names(self) -> list[str]:
        """The fields shown."""
        return [name for name in self.fields() if name]

    def fields(self) -> list[str]:
        """Those of the horizontal and the vertical axis and of the colour, which may be empty."""
        return [box.name for box in (self.x_choice, self.y_choice, self.colour_choice)]

    def set_fields(self, names: Sequence[str]) -> None:
        """Choose them, without asking for a table."""
        for box, name in zip((self.x_choice, self.y_choice, self.colour_choice), names, strict=False):
            box.set_name(name)

    def offer(self, fields: Sequence[Field]) -> None:
        """The fields to choose among."""
        for box in (self.x_choice, self.y_choice, self.colour_choice):
            box.offer(fields)

    def show_fields(self, x: str, y: str) -> None:
        """Put these on the axes and ask for them."""
        self.set_fields([x, y])
        self.wanted.emit()

    def show_table(self, table: Table) -> None:
        """Show the runs of a table that has the fields asked for, as far as there are such."""
        self._table = table
        columns = table.columns
        for place, (box, log) in enumerate(((self.x_choice, self.log_x), (self.y_choice, self.log_y))):
            one = columns.get(box.name)
            apart = one is not None and not one.names and not one.date and spans(one.values, DECADES)
            positive = one is not None and not one.names and not one.date and bool((one.values > 0).any())
            log.setEnabled(positive)
            if self._log_of[place] != box.name or not positive:
                log.setChecked(apart)
        self._log_of = (self.x_choice.name, self.y_choice.name)
        self._draw()

    def chosen(self) -> list[int]:
        """The runs chosen, in their order."""
        return sorted(self.plot.chosen)

    def clear_chosen(self) -> None:
        """Choose none."""
        self.plot.choose(set())

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.plot.dress()

    def summary(self) -> str:
        """How many of the runs are points."""
        missing = len(self._table) - self.plot.points() if self._table is not None else 0
        return f"{missing:,} of them without both values" if missing else ""

    def _draw(self) -> None:
        table = self._table
        if table is None or self.x_choice.name not in table.columns or self.y_choice.name not in table.columns:
            return
        x, y = table.columns[self.x_choice.name], table.columns[self.y_choice.name]
        colour = table.columns.get(self.colour_choice.name)
        known = bool(x.better and y.better)
        self.front.setEnabled(known)
        said = "The runs that no other one beats in both." if known else "Needs two figures of which more or less is better."
        self.front.setToolTip(said)
        self.plot.show_table(
            table,
            x,
            y,
            groups(colour) if colour is not None else None,
            log=(self.log_x.isChecked(), self.log_y.isChecked()),
            front=known and self.front.isChecked(),
        )

    def _read(self, at: int) -> None:
        table = self._table
        if table is None or at < 0:
            self.readout.setText(HINT)
            return
        values = "   ".join(
            f"{one.title} {one.say(float(one.values[at]))}"
            for name in self.names()
            if (one := table.columns.get(name)) is not None
        )
        self.readout.setText(f"{table.labels[at]}:   {values}")
