"""Set up an experiment by point and click: recipe, data, teachers, student, distillation, training, Launch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tomli_w
from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from workbench.config import DataConfig, ExperimentConfig, TeacherConfig
from workbench.distill.builtin import BUILT_IN
from workbench.distill.sources import DATASETS
from workbench.errors import ConfigError, DataError, NotHere
from workbench.gui.forms import Wheelless, label
from workbench.gui.setup.model_form import ModelForm
from workbench.gui.setup.parts import (
    DataPart,
    DistillationPart,
    ExperimentPart,
    SpecialistsPart,
    TrainingPart,
    TransferPart,
)
from workbench.gui.setup.sweep_part import SweepPart
from workbench.gui.setup.teachers import TeachersPanel
from workbench.questions import images, plans
from workbench.recipes import experiment_of, naming, recipe_paths, recipe_tables
from workbench.settings import options_of
from workbench.sweep import Sweep

Ask = Callable[[Hashable, Any, Callable[[Any], None], Callable[[Exception], None] | None], None]
SETTLE_MILLISECONDS = 200
CHECKING = "the plan is being checked"


class SetupScreen(QWidget):
    """Emits ``launched`` with an experiment that the plan has been checked for; asks the engine through ``ask``."""

    launched = Signal(object)
    sweep_launched = Signal(object)
    past_run_wanted = Signal()
    said = Signal(str)

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._description = ""
        self._config: ExperimentConfig | None = None
        self._checked: ExperimentConfig | None = None
        self._checked_sweep: dict[str, Any] = {}
        self._why_not = ""
        self._launch_awaits_plan = False
        self._engine_there = False
        self._why_no_engine = "the engine is starting"
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MILLISECONDS)
        self._settle.timeout.connect(self.refresh)
        self.experiment, self.data, self.transfer = ExperimentPart(), DataPart(), TransferPart()
        self.teachers, self.student = TeachersPanel(), ModelForm()
        self.distillation, self.training, self.sweep = DistillationPart(), TrainingPart(), SweepPart()
        self.specialists = SpecialistsPart()
        layout = QVBoxLayout(self)
        layout.addLayout(self._top())
        layout.addWidget(self._columns(), 1)
        layout.addWidget(self._bottom())
        for part in (self.experiment, self.data, self.transfer, self.teachers, self.student, self.distillation, self.training,
                     self.sweep, self.specialists):  # fmt: skip
            part.changed.connect(self._changed)
        self.specialists.toggled.connect(self.training.show_specialists)
        self.show_recipe("digits")

    def _top(self) -> QHBoxLayout:
        self.recipe = QComboBox()
        self.recipe.setAccessibleName("Recipe")
        Wheelless(self.recipe)
        self.recipe.setToolTip("Start from a built-in recipe; everything can be changed below.")
        for name in recipe_paths():
            self.recipe.addItem(name)
        self.recipe.textActivated.connect(self.show_recipe)
        opened = QPushButton("Open…")
        opened.setToolTip("Open a recipe from a TOML file.")
        opened.clicked.connect(self.open_file)
        past = QPushButton("Past run…")
        past.setToolTip("Start from the experiment of a run in the history.")
        past.clicked.connect(self.past_run_wanted)
        saved = QPushButton("Save as…")
        saved.setToolTip("Save this set-up as a recipe that `workbench run` takes too.")
        saved.clicked.connect(self.save_file)
        self.about = label("", "faint", wrap=True)
        self.about.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout()
        row.addWidget(label("Recipe"))
        row.addWidget(self.recipe)
        row.addWidget(opened)
        row.addWidget(past)
        row.addWidget(saved)
        row.addSpacing(10)
        row.addWidget(self.about, 1)
        return row

    def _columns(self) -> QSplitter:
        teachers = QGroupBox("2  Teachers")
        QVBoxLayout(teachers).addWidget(self.teachers)
        student = QGroupBox("3  Student")
        QVBoxLayout(student).addWidget(self.student)
        columns = QSplitter()
        columns.setChildrenCollapsible(False)
        columns.setObjectName("setup-columns")
        left, middle, right = (
            (self.data, self.transfer, self.experiment),
            (teachers, student, self.specialists, self.sweep),
            (self.distillation, self.training),
        )
        for parts in (left, middle, right):
            columns.addWidget(_scrolling(parts))
        columns.setSizes([400, 400, 460])
        self.splitter = columns
        return columns

    def _bottom(self) -> QFrame:
        bar = QFrame()
        bar.setFrameShape(QFrame.Shape.NoFrame)
        self.plan = label("", wrap=True)
        self.plan.setAccessibleName("Plan")
        self.launch = QPushButton("Launch")
        self.launch.setProperty("role", "primary")
        self.launch.setAccessibleName("Launch")
        self.launch.clicked.connect(self._launch)
        row = QHBoxLayout(bar)
        row.setContentsMargins(4, 2, 4, 2)
        row.addWidget(self.plan, 1)
        row.addWidget(self.launch)
        return bar

    # What stands on the screen

    def table(self) -> dict[str, Any]:
        """The set-up as a recipe's tables, unchecked."""
        specialists = self.specialists.value()
        beside = {"specialists": specialists, "specialist_training": self.training.specialists.values()}
        return {
            **self.experiment.form.values(),
            "description": self._description,
            "data": self.data.value(),
            "teachers": self.teachers.value(),
            "student": self.student.value(),
            "distillation": self.distillation.value(),
            "transfer": self.transfer.form.values(),
            "training": self.training.student.values(),
            "teacher_training": self.training.teachers.values(),
        } | (beside if specialists else {})

    def show_config(self, config: ExperimentConfig, sweep: Mapping[str, Any] = MappingProxyType({})) -> None:
        """Show an experiment, and the ``[sweep]`` table beside it."""
        self.sweep.show_table(sweep)
        self._description = config.description
        self.about.setText(config.description)
        self.experiment.form.set_values(_values(config))
        self.data.show_config(config.data)
        self.teachers.set_teachers(config.teachers)
        self.student.set_model(config.student)
        self.distillation.show_config(config.distillation)
        self.transfer.form.set_values(_values(config.transfer))
        self.training.student.set_values(_values(config.training))
        self.training.teachers.set_values(_values(config.teacher_training))
        self.training.specialists.set_values(_values(config.specialist_training))
        self.specialists.show_config(config.specialists)
        self.refresh()

    def tables(self) -> dict[str, Any]:
        """What stands on the screen as a recipe, its sweep too."""
        sweep = self.sweep.value()
        return (self._config.to_dict() if self._config else {}) | ({"sweep": sweep} if sweep else {})

    def show_recipe(self, name: str) -> None:
        """Show a built-in recipe."""
        self.recipe.setCurrentText(name)
        self.open_path(recipe_paths()[name])

    def open_file(self) -> None:
        """Choose a TOML file and show it."""
        chosen, _ = QFileDialog.getOpenFileName(self, "Open a recipe", "", "Recipes (*.toml)")
        if chosen:
            self.open_path(Path(chosen))

    def open_path(self, path: Path) -> None:
        """Show the recipe of a file, or say in a sentence what is wrong with it."""
        try:
            tables = recipe_tables(str(path))
            with naming(str(path), ()):
                Sweep.from_dict(tables.get("sweep", {}))
            self.show_config(experiment_of(str(path)), tables.get("sweep", {}))
        except ConfigError as error:
            self.said.emit(str(error))

    def save_file(self) -> None:
        """Choose a file and write the set-up into it."""
        if self._config is None:
            self.said.emit("Something in the set-up is wrong; put it right before you save it as a recipe.")
            return
        chosen, _ = QFileDialog.getSaveFileName(self, "Save as a recipe", f"{self._config.name}.toml", "Recipes (*.toml)")
        if chosen:
            path = Path(chosen if chosen.endswith(".toml") else f"{chosen}.toml")
            if path != Path(chosen) and path.exists():
                self.said.emit(f"{path} is there already; choose it by its whole name to replace it.")
                return
            try:
                path.write_text(tomli_w.dumps(self.tables()), encoding="utf-8")
            except OSError as error:
                self.said.emit(f"{path} cannot be written: {error.strerror}.")

    def add_past_run(self, run: int, words: str) -> None:
        """Add a finished run of the history to the ensemble."""
        self.teachers.add(TeacherConfig(run=run), words)

    def data_config(self) -> DataConfig | None:
        """The data set that stands on the screen, None where its settings are wrong."""
        return self._config.data if self._config else None

    def set_engine_there(self, there: bool, why_not: str = "") -> None:
        """Say whether the engine answers, and why not."""
        self._engine_there, self._why_no_engine = there, why_not
        self.refresh()

    # Checking, and asking the engine

    def _changed(self) -> None:
        self._checked = None
        self._settle.start()
        self._take_launch_back("the set-up was changed before its plan was there")
        self._show_launch(CHECKING)

    def refresh(self) -> None:
        """Check what stands on the screen, and ask the engine what it makes of it."""
        self._settle.stop()
        self._clear_errors()
        forms = (self.experiment.form, self.data.form, self.transfer.form, self.training.student, self.training.teachers)
        right = all([form.check() for form in (*forms, self.distillation.form, self.student.form)])
        right &= all([group.model.form.check() for group in self.teachers.groups])
        if self.specialists.isChecked():
            right &= all([form.check() for form in (self.specialists.form, self.training.specialists)])
        try:
            Sweep.from_dict(self.sweep.value())
            self._config = ExperimentConfig.from_dict(self.table())
        except ConfigError as error:
            self._config = None
            self._show_error(error)
            self._show_launch(str(error))
            return
        if not right:
            self._show_launch("a field above is wrong")
        elif self.transfer.form.unfinished:
            self._show_launch("press Enter where the folder of own images is named")
        elif not self._engine_there:
            self._show_launch(self._why_no_engine)
        else:
            self._ask_engine(self._config)

    def _ask_engine(self, config: ExperimentConfig) -> None:
        self._show_launch(CHECKING)
        models = (config.student, *(group.model for group in config.teachers))
        if config.data.dataset not in DATASETS:
            self._ask("glimpse", images.glimpse(config.data), lambda found: self.data.sheet.show_images(*found), lambda _: None)
        self._ask("preview", images.preview(config.data), self.data.show_preview, self._no_data)
        self._ask("sizes", images.model_sizes(config.data, models), self._show_sizes, self._no_sizes)
        if self.sweep.value():
            tables = self.tables()
            self._ask(
                "plan",
                plans.summarise_sweep(tables),
                partial(self._planned_sweep, config, tables),
                partial(self._refused, config, tables),
            )
            self._ask("cases", plans.summarise(config), self.transfer.show_summary, lambda _: None)
        else:
            self._ask("plan", plans.summarise(config), partial(self._planned, config), partial(self._refused, config, {}))
        self._ask("samples", images.soft_samples(config), self.distillation.show_samples, self._no_samples)

    def _show_sizes(self, sizes: tuple[Any, ...]) -> None:
        self.student.show_size(sizes[0])
        for group, size in zip(self.teachers.groups, sizes[1:], strict=False):
            group.model.show_size(size)

    def _no_samples(self, _: Exception) -> None:
        self.distillation.show_samples(None)

    def _no_sizes(self, _: Exception) -> None:
        """Without data no size is known; what is wrong with the data is said where the data is."""
        self._show_sizes(("",) * (1 + len(self.teachers.groups)))
        self.transfer.counts.setText("")

    def _planned(self, config: ExperimentConfig, summary: plans.PlanSummary) -> None:
        if config == self._config and not self._settle.isActive():
            self.transfer.show_summary(summary)
            self._checked, self._checked_sweep = config, {}
            self.plan.setText(summary.words())
            self._show_launch("")

    def _planned_sweep(self, config: ExperimentConfig, tables: dict[str, Any], summary: plans.SweepSummary) -> None:
        if config == self._config and tables == self.tables() and not self._settle.isActive():
            self._checked, self._checked_sweep = config, tables
            self.plan.setText(summary.words())
            self._show_launch("")

    def _refused(self, config: ExperimentConfig, tables: dict[str, Any], error: Exception) -> None:
        if config != self._config or self._settle.isActive():
            return
        if isinstance(error, NotHere):
            self._checked, self._checked_sweep = config, tables
            size = BUILT_IN[config.data.dataset].download_mb
            self.plan.setText(f"Launch first downloads {config.data.dataset} ({size} MB), then says more.")
            self._show_launch("")
            return
        if isinstance(error, ConfigError):
            self._show_error(error)
        elif isinstance(error, DataError):
            self.data.show_error("", str(error))
        self._show_launch(str(error))

    def _no_data(self, error: Exception) -> None:
        self.data.sheet.clear()
        name = self.data.dataset.currentText()
        if isinstance(error, NotHere):
            self.data.say(
                f"{name} is not on this machine. Launch downloads it ({BUILT_IN[name].download_mb} MB), "
                "or name a folder that has it in File → Settings."
            )
        else:
            self.data.show_error("", str(error))

    def _show_launch(self, reason: str) -> None:
        self._why_not = reason
        self.launch.setEnabled(not reason)
        self.launch.setToolTip(f"Not yet: {reason}" if reason else "Start this experiment (Ctrl+Return).")
        if reason:
            self.plan.setText(f"Not ready: {reason}.".replace("..", "."))
        if self._launch_awaits_plan and not reason:
            self._launch_awaits_plan = False
            self._launch()
        elif reason == CHECKING and self._launch_awaits_plan:
            self.plan.setText("Launches as soon as the plan is there.")
        else:
            self._take_launch_back(reason)

    def launch_when_checked(self) -> None:
        """Launch what stands on the screen, as soon as its plan is there; where there can be none, say why."""
        self._launch_awaits_plan = True
        self._show_launch(self._why_not)

    def _take_launch_back(self, why: str) -> None:
        if self._launch_awaits_plan:
            self._launch_awaits_plan = False
            self.said.emit(f"Not launched: {why.rstrip('.')}.")

    def _launch(self) -> None:
        if self._checked is not None and self._checked_sweep:
            self.sweep_launched.emit(self._checked_sweep)
        elif self._checked is not None:
            self.launched.emit(self._checked)

    def _clear_errors(self) -> None:
        for part in (self.distillation, self.transfer, self.specialists):
            part.show_error("", "")
        self.teachers.show_error("")
        self.sweep.show_error("")
        for group in self.teachers.groups:
            group.show_error("", "")

    def _show_error(self, error: ConfigError) -> None:
        part, _, name = error.path.partition(".")
        places: dict[str, Callable[[str, str], Any]] = {
            "data": self.data.show_error,
            "distillation": self.distillation.show_error,
            "transfer": self.transfer.show_error,
            "training": self.training.student.show_error,
            "teacher_training": self.training.teachers.show_error,
            "specialist_training": self.training.specialists.show_error,
            "specialists": self.specialists.show_error,
            "student": self._in_model,
            "teachers": self._in_teacher,
            "sweep": lambda name, reason: self.sweep.show_error(f"{name}: {reason}" if name else reason),
        }
        if part in places:
            places[part](name, error.reason)
        else:
            self.experiment.form.show_error(part, error.reason)

    def _in_model(self, name: str, reason: str) -> None:
        if not self.student.form.show_error(name, reason):
            self.student.show_size(reason)

    def _in_teacher(self, name: str, reason: str) -> None:
        index, _, option = name.partition(".")
        if index.isdecimal() and int(index) < len(self.teachers.groups):
            self.teachers.groups[int(index)].show_error(option, reason)
        else:
            self.teachers.show_error(reason)


def _values(config: Any) -> dict[str, Any]:
    return {option.name: getattr(config, option.name) for option in options_of(type(config))}


def _scrolling(parts: tuple[QWidget, ...]) -> QScrollArea:
    inside = QWidget()
    column = QVBoxLayout(inside)
    column.setContentsMargins(2, 2, 8, 2)
    for part in parts:
        column.addWidget(part)
    column.addStretch(1)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidget(inside)
    return area
