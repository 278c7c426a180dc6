"""Report: one experiment's ensemble, baseline and student side by side, on a page that can be sent to somebody."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from sqlite_utils import Database

from workbench.analysis.report import Labels, Latencies, NoReport, Report
from workbench.analysis.report_words import chance, confusions, latency_notes, notes, spread, summed_up
from workbench.gui.confusion import ConfusionMap
from workbench.gui.forms import Wheelless, label
from workbench.gui.later import Screen
from workbench.gui.report.choice import ExperimentChoice
from workbench.gui.report.plots import Calibration, ClassBars
from workbench.gui.report.saving import Saving
from workbench.gui.report.table import MOST_UNFOLDED, PartyTable
from workbench.gui.run_feed import AskHistory
from workbench.history.reported import Reportable, labels_wanted, report_of, reportable
from workbench.questions.report import labels_of, latencies
from workbench.words import sentence

AskEngine = Callable[[Hashable, Any, Callable[[Any], None], Callable[[Exception], None] | None], None]
WIDE = 1650
"""Pixels from which on there is room for three confusion matrices."""
NONE_YET = "No experiment yet.\n\nLaunch one in Set up: its ensemble, baseline and student are laid beside each other here."
AWAITED = "What needs the labels of the test images comes as soon as the engine has read them."
MOST_COMPARED = 12
"""Curves of more runs than these over each other show little: then the ensemble's are left out."""
Read = tuple[Report | None, int | None]


def read(experiment: int, labels: Labels | None = None, why: str = "") -> Callable[[Database], Read]:
    """A report and the run whose data have the labels it needs; no report where the experiment is gone."""

    def answer(database: Database) -> Read:
        try:
            return report_of(database, experiment, labels, why), labels_wanted(database, experiment)
        except NoReport:
            return None, None

    return answer


class ReportScreen(Screen):
    """Reads experiments through ``ask_history``; asks labels and latencies through ``ask_engine``."""

    compare_wanted = Signal(list)
    select_wanted = Signal(list)
    sweep_wanted = Signal(int)
    take_wanted = Signal(int, str)
    said = Signal(str)
    told = Signal(str)

    def __init__(self, ask_history: AskHistory, ask_engine: AskEngine) -> None:
        super().__init__()
        self._ask_history, self._ask_engine = ask_history, ask_engine
        self.reference = True
        self.report: Report | None = None
        self._wanted: int | None = None
        self._run: int | None = None
        self._latencies: dict[int, Latencies] = {}
        self._measuring = self._came = False
        self._saving = Saving(self, ask_history)
        self._saving.said.connect(self.said)
        self._saving.told.connect(self.told)
        self.pages = QStackedWidget()
        hint = label(NONE_YET, "faint", wrap=True)
        hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pages.addWidget(hint)
        self.pages.addWidget(self._page())
        QVBoxLayout(self).addWidget(self.pages)

    def _page(self) -> QWidget:
        self.choice = ExperimentChoice()
        self.choice.chosen.connect(self.show_experiment)
        self.measure = _button("Measure latency", "How long ensemble, baseline and student take with their stored weights, on "
                               "this machine, for 1 and for 64 images. Not while a model trains.", self._measure)  # fmt: skip
        self.compare = _button("Compare", "Lay the curves of these runs over each other.", self._compare)
        self.select = _button("Show in the history", "Select these runs in the history.", self._select)
        self.take = _button("Take away…", "Write the student to a file that gives the same answers elsewhere.", self._take_away)
        self.save = _button("Save as…", "Write the page into an HTML or a PDF file, pictures and all.", self._save)
        top = QHBoxLayout()
        top.addWidget(label("Experiment"))
        top.addWidget(self.choice, 1)
        for button in (self.measure, self.compare, self.select, self.take, self.save):
            top.addWidget(button)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setAccessibleName("Report")
        self.area.setWidget(self._inside())
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.area, 1)
        return page

    def _inside(self) -> QWidget:
        self.headline, self.chance = label("", "title", wrap=True), label("", "faint", wrap=True)
        self.headline.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.notes = label("", wrap=True)
        self.sweep = label("", "faint", wrap=True)
        self.show_sweep = _button("Show in Sweeps", "All points of the sweep, seeds taken together.", self._to_sweep)
        row = QHBoxLayout()
        row.addWidget(self.show_sweep)
        row.addWidget(self.sweep, 1)
        self.table, self.under_table = PartyTable(), label("", "faint", wrap=True)
        self.table.wanted.connect(self.select_wanted)
        self.calibration, self.bars = Calibration(), ClassBars()
        self.judged = self._pictures()
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(2, 6, 10, 6)
        for words in (self.headline, self.chance, self.notes):
            layout.addWidget(words)
        layout.addLayout(row)
        for part in (self.table, self.under_table, self.judged):
            layout.addWidget(part)
        layout.addStretch(1)
        return inside

    def _pictures(self) -> QWidget:
        """What needs labels."""
        made = QWidget()
        layout = QVBoxLayout(made)
        layout.setContentsMargins(0, 0, 0, 0)
        for words, about, widget in (
            (
                "Calibration",
                "Bars: the share that is right, by how sure a model is; fainter where fewer images are. Outlined: how far that is"
                " from the confidence.",
                self.calibration,
            ),
            ("Confusions", "Rows: the right class; columns: what the model said. A click says more.", self._three_maps()),
            ("Accuracy by class", "", self.bars),
        ):
            layout.addSpacing(10)
            layout.addWidget(_heading(words))
            if about:
                layout.addWidget(label(about, "faint", wrap=True))
            layout.addWidget(widget)
        return made

    def _three_maps(self) -> QWidget:
        """Confusion matrices to choose, the one in the middle only where there is room for it."""
        self.maps, self.map_choices = [ConfusionMap() for _ in range(3)], [QComboBox() for _ in range(3)]
        self._columns = [QWidget() for _ in self.maps]
        made = QWidget()
        row = QHBoxLayout(made)
        row.setContentsMargins(0, 0, 0, 0)
        for place, (column, chosen, shown) in enumerate(zip(self._columns, self.map_choices, self.maps, strict=True)):
            chosen.setAccessibleName(f"Confusion matrix {place + 1}")
            Wheelless(chosen)
            chosen.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
            chosen.activated.connect(lambda _: self._fill_maps())
            layout = QVBoxLayout(column)
            layout.setContentsMargins(0, 0, 0, 0)
            layout.addWidget(chosen, 0, Qt.AlignmentFlag.AlignLeft)
            layout.addWidget(shown, 1)
            row.addWidget(column, 1)
        return made

    def resizeEvent(self, event: Any) -> None:
        """As many confusion matrices as there is room for."""
        super().resizeEvent(event)
        self._show_columns()

    def _show_columns(self) -> None:
        offered = self.map_choices[0].count()
        self._columns[1].setVisible(self.width() >= WIDE and offered > 2)
        self._columns[2].setVisible(offered > 1)

    # Reading

    def showEvent(self, event: Any) -> None:
        """Read anew when the screen comes to the front."""
        super().showEvent(event)
        self._came = True
        self.reload()

    def reload(self) -> None:
        """Read the experiments and the one shown anew, where somebody looks."""
        if self.isVisible():
            reference = self.reference
            self._ask_history("reports", lambda database: reportable(database, reference=reference), self._offer)

    def forget(self) -> None:
        """Expect no answers any more: whoever was asked is gone, and the experiments may be others."""
        self.report = self._wanted = self._run = None
        self._latencies.clear()
        self._measured()
        self.choice.show_experiments([], None)
        self.pages.setCurrentIndex(0)

    def show_experiment(self, experiment: int) -> None:
        """Show the report of an experiment."""
        self._wanted = experiment
        self.choice.set_current(experiment)
        self._ask_history("report", read(experiment), partial(self._begin, experiment))

    def _offer(self, experiments: list[Reportable]) -> None:
        if self._wanted is None and experiments:
            self._wanted = experiments[0].experiment
        if experiments != self.choice.experiments:
            self.choice.show_experiments(experiments, self._wanted)
        self.pages.setCurrentIndex(1 if experiments else 0)
        came, self._came = self._came, False
        if self._wanted is not None and (came or not self._settled()):
            self.show_experiment(self._wanted)

    def _settled(self) -> bool:
        """Whether all of the experiment is there and shown, so that others that end meanwhile change nothing of it."""
        report = self.report
        return bool(report and report.experiment == self._wanted and report.status == "done" and report.judged)

    def _begin(self, experiment: int, found: Read) -> None:
        """Show what is recorded, and ask for the labels that the rest needs; of one that is shown already the rest stays."""
        report, self._run = found
        if report is None:
            self._wanted = None
            self.reload()
            return
        if self.report is None or self.report.experiment != experiment:
            self._show(report)
            self.area.verticalScrollBar().setValue(0)
            for one in self.maps:
                one.forget_choice()
            if self._run is not None:
                _say(self.notes, "\n".join(filter(None, [self.notes.text(), AWAITED])))
        if self._run is None:
            self._complete(experiment, None, "Nothing of it has begun yet.")
            return
        failed = partial(self._without_labels, experiment)
        self._ask_engine("report labels", labels_of(self._run), partial(self._complete, experiment), failed)

    def _without_labels(self, experiment: int, error: Exception) -> None:
        self._complete(experiment, None, f"What needs the labels of the test images is left out: {error}.")

    def _complete(self, experiment: int, labels: Labels | None, why: str = "") -> None:
        def show(found: Read) -> None:
            if found[0] is not None and experiment == self._wanted:
                self._show(found[0])

        if experiment == self._wanted:
            self._ask_history("report", read(experiment, labels, why), show)

    # Showing

    def dress(self) -> None:
        """Take the colours of the theme."""
        self.calibration.dress()
        self.bars.dress()
        for one in self.maps:
            one.dress()

    def _show(self, report: Report) -> None:
        self.report = report
        self.headline.setText(summed_up(report))
        _say(self.chance, chance(report))
        _say(self.notes, "\n".join(notes(report)))
        _say(self.sweep, _sweep_words(report))
        self.show_sweep.setVisible(report.sweep is not None)
        self._fill_table()
        self.judged.setVisible(bool(report.judged))
        self.calibration.show_parties(report.judged)
        self.bars.show_parties(report.judged, report.classes)
        offered = confusions(report)
        wanted = (next(iter(offered), ""), "baseline" if "baseline" in offered else "ensemble", next(reversed(offered), ""))
        for chosen, default in zip(self.map_choices, wanted, strict=True):
            before = chosen.currentText()
            chosen.clear()
            chosen.addItems(list(offered))
            chosen.setCurrentIndex(max(0, chosen.findText(before if before in offered else default)))
        self._show_columns()
        self._fill_maps()
        self.measure.setEnabled(bool(report.timed) and not self._measuring)
        student = report.party("student")
        self.take.setEnabled(student is not None and student.status == "done")

    def _fill_table(self) -> None:
        report = self.report
        if report is None:
            return
        measured = self._latencies.get(report.experiment)
        self.table.show_report(report, measured)
        members = [one for one in report.parties if one.inside]
        folded = [f"One by one: {words}."] if len(members) > MOST_UNFOLDED and (words := spread(members)) else []
        _say(self.under_table, "\n".join([*folded, *latency_notes(report, measured)]))

    def _fill_maps(self) -> None:
        if self.report is None:
            return
        offered = confusions(self.report)
        for chosen, shown in zip(self.map_choices, self.maps, strict=True):
            if (name := chosen.currentText()) in offered:
                matrix, than = offered[name]
                shown.show_matrix(matrix, self.report.classes, than)
                shown.setAccessibleName(f"Confusion matrix: {name}")

    # What the buttons do

    def _measure(self) -> None:
        if self.report is None or self._run is None:
            return
        experiment = self.report.experiment
        self._measuring = True
        self.measure.setEnabled(False)
        self.measure.setText("Measuring…")

        def answered(measured: Latencies) -> None:
            self._measured()
            self._latencies[experiment] = measured
            self._fill_table()

        def failed(error: Exception) -> None:
            self._measured()
            self.said.emit(sentence(error))

        self._ask_engine("latency", latencies(self._run, self.report.timed), answered, failed)

    def _measured(self) -> None:
        self._measuring = False
        self.measure.setText("Measure latency")
        self.measure.setEnabled(bool(self.report and self.report.timed))

    def _runs(self, *, ensemble: bool = True) -> list[int]:
        """The runs of the report, each once."""
        parties = self.report.parties if self.report else ()
        wanted = [one for one in parties if ensemble or (one.key != "ensemble" and not one.inside)]
        return list(dict.fromkeys(run for one in wanted for run in one.runs))

    def _compare(self) -> None:
        runs = self._runs()
        self.compare_wanted.emit(runs if len(runs) <= MOST_COMPARED else self._runs(ensemble=False))

    def _select(self) -> None:
        self.select_wanted.emit(self._runs())

    def _take_away(self) -> None:
        if self.report and (student := self.report.party("student")):
            self.take_wanted.emit(student.runs[0], student.name)

    def _to_sweep(self) -> None:
        if self.report and self.report.sweep:
            self.sweep_wanted.emit(self.report.sweep[0])

    def _save(self) -> None:
        if self.report is not None:
            self._saving.ask(self.report, self._latencies.get(self.report.experiment))


def _button(text: str, help_: str, act: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(help_)
    button.clicked.connect(lambda _: act())
    return button


def _heading(text: str) -> QLabel:
    made = label(text)
    font = made.font()
    font.setBold(True)
    font.setPointSizeF(font.pointSizeF() * 1.15)
    made.setFont(font)
    return made


def _say(place: QLabel, text: str) -> None:
    place.setText(text)
    place.setVisible(bool(text))


def _sweep_words(report: Report) -> str:
    if report.sweep is None:
        return ""
    number, name, others = report.sweep
    beside = f"beside {others} other{'s' * (others != 1)}" if others else "alone by now"
    return f"A point of the sweep {name} #{number}, {beside}; seeds are taken together there."
