"""What a sweep finds, while it finds it: a metric against a setting with its interval, a heat map of two, a table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from sqlite_utils import Database

from workbench.analysis.study import HEADER, MEASURE, Part, cells, parts, table
from workbench.analysis.sweep_results import Estimate, Result, estimates, results
from workbench.gui import theme
from workbench.gui.forms import label
from workbench.gui.later import Screen
from workbench.gui.pictures import Plotted, SaveButton, legend_of
from workbench.gui.run_feed import AskHistory
from workbench.gui.sweeps.study_plot import draw_study
from workbench.history import reading
from workbench.history.reading import SweepRow
from workbench.sweep import words

FOLLOW_MILLISECONDS = 1500
METRICS = {
    "test_errors": ("Test errors", ",.1f"),
    "test_accuracy": ("Test accuracy", ".2%"),
    "val_accuracy": ("Validation accuracy", ".2%"),
    "test_nll": ("Test loss (nats)", ".4f"),
    "teacher_agreement": ("Agrees with its teachers", ".2%"),
    "teacher_kl": ("KL from its teachers (nats)", ".4f"),
}
LOWER = ("test_errors", "test_nll", "teacher_kl")
STUDY = "study"
Found = tuple[list[SweepRow], int | None, list[Result], list[Part]]
"""The sweeps, the number of the one chosen, its combinations, and where it takes parts away what each of these is worth."""


class SweepScreen(Screen):
    """Reads sweeps through ``ask_history``, again while one of them goes on."""

    compare_wanted = Signal(list)
    said = Signal(str)

    def __init__(self, ask_history: AskHistory) -> None:
        super().__init__()
        self._ask = ask_history
        self.reference = True
        self._sweeps: list[SweepRow] = []
        self._found: Found | None = None
        self.results: list[Result] = []
        self.parts: list[Part] = []
        self._studied = False
        self._progress = ""
        self.pages = QStackedWidget()
        empty = label("No sweeps yet.\n\nIn Set up, vary a setting or take several seeds, and press Launch.", "faint")
        empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pages.addWidget(empty)
        self.pages.addWidget(self._page())
        QVBoxLayout(self).addWidget(self.pages)
        self._searched = False
        self._wanted = 0
        self._following = QTimer(self)
        self._following.setInterval(FOLLOW_MILLISECONDS)
        self._following.timeout.connect(lambda: self.reload() if self.isVisible() and self._goes_on() else None)
        self._following.start()

    def _page(self) -> QWidget:
        self.choice, self.metric_choice, self.against, self.each = QComboBox(), QComboBox(), QComboBox(), QComboBox()
        for box, name in (
            (self.choice, "Sweep"),
            (self.metric_choice, "Metric"),
            (self.against, "Against"),
            (self.each, "For each"),
        ):
            box.setAccessibleName(name)
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        for name, (title, _) in METRICS.items():
            self.metric_choice.addItem(title, name)
        self.compare = QPushButton("Compare")
        self.compare.setToolTip("Lay the curves of the selected combinations over each other.")
        top = QHBoxLayout()
        for widget in (label("Sweep"), self.choice, label("Show"), self.metric_choice, label("against"), self.against,
                       label("for each"), self.each):  # fmt: skip
            top.addWidget(widget)
        top.addStretch(1)
        top.addWidget(self.compare)
        self.plot = pg.PlotWidget()
        self.plot.setAccessibleName("Metric against setting")
        self.plot.setMenuEnabled(False)
        self.legend = self.plot.addLegend(offset=(-8, 8), labelTextSize="8pt")
        self.save = SaveButton(Plotted(self.plot, self.dress, self._title, lambda: legend_of(self.plot), self._values))
        self.save.said.connect(self.said)
        top.addWidget(self.save)
        self.heat = _table("Heat map")
        self.table = _table("Combinations")
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.upper = QStackedWidget()
        self.upper.addWidget(self.plot)
        self.upper.addWidget(self.heat)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.setObjectName("sweep-rows")
        self.splitter.addWidget(self.upper)
        self.splitter.addWidget(self.table)
        self.splitter.setSizes([420, 260])
        self.state = label("", "faint", wrap=True)
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.splitter, 1)
        layout.addWidget(self.state)
        self.choice.activated.connect(lambda _: self.reload())
        for box in (self.metric_choice, self.against, self.each):
            box.activated.connect(lambda _: self._draw())
        self.compare.clicked.connect(self._compare)
        return page

    # Reading

    def reload(self) -> None:
        """Read the sweeps, and the results of the one chosen."""
        wanted, reference = self._wanted or self.choice.currentData(), self.reference

        def read(database: Database) -> Found:
            sweeps = reading.list_sweeps(database, reference=reference)
            chosen = wanted if any(one.id == wanted for one in sweeps) else sweeps[0].id if sweeps else None
            points = reading.sweep_points(database, chosen) if chosen else []
            return sweeps, chosen, results(points), parts(points)

        self._ask("sweeps", read, self._show)

    def showEvent(self, event: Any) -> None:
        """Read anew when the screen comes to the front."""
        self.reload()
        super().showEvent(event)

    def show_newest(self) -> None:
        """Choose the newest sweep, once it is read."""
        self.choice.setCurrentIndex(-1)
        self._found = None
        self.reload()

    def _goes_on(self) -> bool:
        return any(one.id == self.choice.currentData() and one.done < one.experiments for one in self._sweeps)

    def _show(self, found: Found) -> None:
        if found == self._found:
            return
        before = self._found[1] if self._found else None
        self._found = found
        self._sweeps, chosen, self.results, self.parts = found
        self._wanted = 0
        self.pages.setCurrentIndex(1 if self._sweeps else 0)
        self.choice.clear()
        for one in self._sweeps:
            self.choice.addItem(f"{one.name}  #{one.id}", one.id)
        self.choice.setCurrentIndex(self.choice.findData(chosen))
        now = next((one for one in self._sweeps if one.id == chosen), None)
        self._searched = now is not None and now.at_most > 0
        paths = list(dict.fromkeys(path for one in self.results for path in one.point))
        _offer(self.against, [(path, path) for path in paths], "")
        study = [("what each part is worth", STUDY)] if self.parts else []
        _offer(
            self.each,
            [*study, ("–", ""), *((path, path) for path in paths), ("as a heat map", "heat")],
            paths[1] if paths[1:] and not self._searched else "",
        )
        if study and chosen != before:
            self.each.setCurrentIndex(0)
        self._progress = now.words() if now else ""
        self._draw()

    def show_sweep(self, sweep: int) -> None:
        """Choose a sweep."""
        self._wanted = sweep
        self._found = None
        self.reload()

    # Drawing

    def dress(self) -> None:
        """Take the colours of the theme."""
        self._draw()

    def _title(self) -> str:
        sweep = " ".join(self.choice.currentText().split())
        if self._studied:
            return f"{sweep}: {self.each.currentText()}"
        return f"{sweep}: {self.metric_choice.currentText()} against {self.against.currentText()}"

    def _values(self) -> tuple[list[str], list[list[Any]]]:
        return table(self.parts) if self._studied else estimates(self.results)

    def _draw(self) -> None:
        metric = self.metric_choice.currentData()
        against, each = self.against.currentData(), self.each.currentData()
        paths = [self.against.itemData(place) for place in range(self.against.count())]
        heat = each == "heat" and len(paths) >= 2
        self.upper.setCurrentIndex(1 if heat else 0)
        for box in (self.metric_choice, self.against):
            box.setEnabled(each != STUDY)
        if self._studied != (each == STUDY):
            self._studied = each == STUDY
            self.plot.enableAutoRange()
            self.plot.getAxis("left").setTicks(None)
        if self._studied:
            self._clear()
            draw_study(self.plot, self.parts)
        elif heat:
            self._draw_heat(metric, against, next(path for path in paths if path != against))
        else:
            self._draw_lines(metric, against, each if each not in ("heat", against) else "")
        self._fill()

    def _clear(self) -> None:
        colours = theme.current()
        self.plot.clear()
        self.plot.setBackground(colours.base)
        self.legend.clear()
        self.legend.setLabelTextColor(colours.text)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setPen(colours.line)
            self.plot.getAxis(side).setTextPen(colours.text)

    def _draw_lines(self, metric: str, against: str | None, each: str) -> None:
        colours = theme.current()
        self._clear()
        self.plot.setLabel("left", METRICS[metric][0] if metric else "")
        if not against or not metric:
            why = "Only seeds are varied here: the table below has their means." if self.results else "No results yet."
            self.plot.setTitle(why, color=colours.faint, size="9pt")
            return
        mixed = [
            path for path in (self.against.itemData(at) for at in range(self.against.count())) if path not in (against, each)
        ]
        mean = f"each point is the mean over {', '.join(mixed)}" if mixed and not self._searched else None
        self.plot.setTitle(mean, color=colours.faint, size="9pt")
        values = list(dict.fromkeys(_key(one.point.get(against)) for one in self.results))
        numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        log = numeric and len(values) > 1 and min(values) > 0 and max(values) / min(values) >= 20
        place = {value: float(np.log10(value) if log else value) if numeric else float(at) for at, value in enumerate(values)}
        shown = [(place[value], f"{value:g}" if numeric else str(value)) for value in values]
        if self._searched and log:
            shown = _round_ticks(min(values), max(values))
        own = not numeric or (log if self._searched else len(values) <= 12)  # a search comes to any numbers
        self.plot.getAxis("bottom").setTicks([shown] if own else None)
        self.plot.setLabel("bottom", against + (", logarithmic" if log else ""))
        others = list(dict.fromkeys(_key(one.point.get(each)) for one in self.results)) if each else [None]
        number = 0
        for role, dashed in (("student", False), ("baseline", True)):
            for other in others:
                rows = [one for one in self.results if not each or _key(one.point.get(each)) == other]
                points: dict[float, list[Estimate]] = {}
                for one in rows:
                    if metric in one.figures.get(role, {}):
                        points.setdefault(place[_key(one.point.get(against))], []).append(one.figures[role][metric])
                if points:
                    name = role if other is None else f"{role}, {each.rpartition('.')[2]} {other}"
                    aside = (number % 6 - 2.5) * 0.004 * (max(place.values()) - min(place.values()))
                    self._line(points, name, colours.curves[number % len(colours.curves)], aside, dashed=dashed)
                    number += 1

    def _line(self, points: dict[float, list[Estimate]], name: str, colour: str, aside: float, *, dashed: bool) -> None:
        """A role's means with their intervals, drawn a little ``aside`` so that those of several do not hide each other."""
        places = sorted(points)
        y = np.array([np.mean([one.mean for one in points[at]]) for at in places])
        half = np.array([np.mean([one.half or 0.0 for one in points[at]]) for at in places])
        x = np.array(places) + aside
        style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
        pen = None if self._searched else pg.mkPen(colour, width=2, style=style)  # a search has no line to follow
        if half.any():
            self.plot.addItem(pg.ErrorBarItem(x=x, y=y, height=2 * half, beam=0.0, pen=pg.mkPen(colour)))
        self.plot.plot(
            x,
            y,
            pen=pen,
            name=name,
            symbol="o",
            symbolSize=6,
            symbolBrush=None if dashed and self._searched else colour,
            symbolPen=colour,
        )

    def _draw_heat(self, metric: str, across: str, down: str) -> None:
        columns = list(dict.fromkeys(_key(one.point.get(across)) for one in self.results))
        rows = list(dict.fromkeys(_key(one.point.get(down)) for one in self.results))
        cells: dict[tuple[int, int], Estimate] = {}
        for one in self.results:
            if metric in one.figures.get("student", {}):
                at = (rows.index(_key(one.point.get(down))), columns.index(_key(one.point.get(across))))
                cells.setdefault(at, one.figures["student"][metric])
        self.heat.clear()
        self.heat.setRowCount(len(rows))
        self.heat.setColumnCount(len(columns))
        self.heat.setHorizontalHeaderLabels([f"{across.rpartition('.')[2]} {value}" for value in columns])
        self.heat.setVerticalHeaderLabels([f"{down.rpartition('.')[2]} {value}" for value in rows])
        means = [found.mean for found in cells.values()]
        low, high = (min(means), max(means)) if means else (0.0, 1.0)
        for (row, column), found in cells.items():
            share = (found.mean - low) / (high - low) if high > low else 0.5
            good = 1 - share if metric in LOWER else share
            item = QTableWidgetItem(found.words(METRICS[metric][1]))
            item.setBackground(QColor.fromHsvF(0.57, 0.15 + 0.65 * good, 0.95))
            item.setForeground(QColor("#101010"))
            item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
            self.heat.setItem(row, column, item)
        self.heat.resizeColumnsToContents()

    def _fill(self) -> None:
        titles, lines = (list(HEADER), [cells(one) for one in self.parts]) if self._studied else self._combinations()
        selected = {index.row() for index in self.table.selectionModel().selectedRows()}
        self.table.setRowCount(len(self.results))
        self.table.setColumnCount(len(titles))
        self.table.setHorizontalHeaderLabels(titles)
        for row, line in enumerate(lines):
            for column, text in enumerate(line):
                self.table.setItem(row, column, QTableWidgetItem(text))
        self.state.setText(f"{self._progress}. {MEASURE}" if self._studied else self._progress)
        self.table.resizeColumnsToContents()
        for row in selected & set(range(len(self.results))):
            self.table.selectRow(row)

    def _combinations(self) -> tuple[list[str], list[list[str]]]:
        """The table of a sweep's combinations: its header, and the cells of each."""
        names = [name for name in METRICS if any(name in one.figures.get("student", {}) for one in self.results)]
        titles = ["Combination", "Seeds", *(METRICS[name][0] for name in names), "Baseline: test errors"]
        lines = []
        for one in self.results:
            student, baseline = one.figures.get("student", {}), one.figures.get("baseline", {})
            best = "   ★ best on validation" if one.best and not self._goes_on() else ""
            done = student["test_errors"].count if "test_errors" in student else 0
            seeds = str(done) if done == len(one.experiments) else f"{done} of {len(one.experiments)}"
            line = [f"{words(one.point) or 'all'}{best}", seeds]
            line += [student[name].words(METRICS[name][1]) if name in student else "–" for name in names]
            line.append(baseline["test_errors"].words(",.1f") if "test_errors" in baseline else "–")
            lines.append(line)
        return titles, lines

    def _compare(self) -> None:
        rows = [index.row() for index in self.table.selectionModel().selectedRows()]
        chosen = [self.results[row] for row in rows if row < len(self.results)] or [one for one in self.results if one.best]
        if runs := [run for one in chosen for run in one.runs]:
            self.compare_wanted.emit(runs)


def _table(name: str) -> QTableWidget:
    table = QTableWidget()
    table.setAccessibleName(name)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setAlternatingRowColors(True)
    table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 6)
    return table


def _offer(box: QComboBox, items: list[tuple[str, str]], otherwise: str) -> None:
    """Offer these choices, keeping the one made where it is still offered."""
    before = box.currentData()
    if [(box.itemText(place), box.itemData(place)) for place in range(box.count())] == items:
        return
    box.clear()
    for text, data in items:
        box.addItem(text, data)
    place = box.findData(before if before is not None else otherwise)
    box.setCurrentIndex(max(0, place))


def _round_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """1, 2 and 5 times powers of ten between two numbers, by their logarithm."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [(math.log10(at), f"{at:g}") for power in powers for at in (10.0**power, 2 * 10.0**power, 5 * 10.0**power)]


def _key(value: Any) -> Any:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else value
