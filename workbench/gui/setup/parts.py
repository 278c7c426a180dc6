"""The parts of the set-up screen: each shows one part of an experiment and gives it back as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from workbench.config import (
    CombinationConfig,
    DataConfig,
    DistillationConfig,
    ExperimentConfig,
    SpecialistsConfig,
    TrainingConfig,
    TransferConfig,
)
from workbench.distill.sources import DATASETS
from workbench.gui.forms import Form, Wheelless, label
from workbench.gui.setup.pictures import ImageSheet, SoftTargetPicture
from workbench.gui.setup.temperature import TemperatureSlider
from workbench.questions.images import DataPreview, SoftSamples
from workbench.questions.plans import PlanSummary
from workbench.settings import options_of
from workbench.words import many


class DataPart(QGroupBox):
    """The data set, how it is read and split, and some of its images."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("1  Data")
        self.dataset = QComboBox()
        self.dataset.setEditable(True)
        self.dataset.addItems(list(DATASETS))
        self.dataset.setAccessibleName("Data set")
        Wheelless(self.dataset)
        self.dataset.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.dataset.setToolTip("A built-in name, or a folder of MNIST-style IDX files or of class/image.png.")
        self.browse = QPushButton("Folder…")
        self.browse.setToolTip("Use a folder of IDX files under MNIST's names, or of images in a folder for each class.")
        self.browse.clicked.connect(self._browse)
        row = QHBoxLayout()
        row.addWidget(self.dataset, 1)
        row.addWidget(self.browse)
        self.message = label("", "faint", wrap=True)
        self.sheet = ImageSheet()
        self.form = Form(options_of(DataConfig), leave_out=("dataset",))
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.message)
        layout.addWidget(self.sheet)
        layout.addWidget(self.form)
        self.dataset.currentTextChanged.connect(lambda _: self.changed.emit())
        self.form.changed.connect(self.changed)

    def value(self) -> dict[str, Any]:
        """The ``data`` table."""
        return {"dataset": self.dataset.currentText().strip()} | self.form.values()

    def show_config(self, config: DataConfig) -> None:
        """Show a data set's settings."""
        self.dataset.setCurrentText(config.dataset)
        self.form.set_values({option.name: getattr(config, option.name) for option in options_of(DataConfig)})

    def show_preview(self, preview: DataPreview) -> None:
        """Show images and numbers."""
        channels, height, width = preview.shape
        kind = "grey" if channels == 1 else "colour"
        self.say(
            f"{len(preview.classes)} classes, {width}×{height} {kind}; {preview.training:,} training, "
            f"{preview.validation:,} validation and {preview.test:,} test cases"
        )
        self.sheet.show_images(preview.images, preview.labels)

    def say(self, text: str, *, wrong: bool = False) -> None:
        """A sentence below the data set's name."""
        self.message.setText(text)
        self.message.setProperty("role", "error" if wrong else "faint")
        self.message.style().polish(self.message)

    def show_error(self, name: str, reason: str) -> None:
        """Say what is wrong beside the field it is about."""
        if not self.form.show_error(name, reason):
            self.say(reason, wrong=True)

    def _browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "A folder of IDX files or of images by class", str(Path.home()))
        if chosen:
            self.dataset.setCurrentText(chosen)
            self.form.unfold()


class TransferPart(QGroupBox):
    """The cases the student sees."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Transfer set: what the student sees")
        self.form = Form(options_of(TransferConfig))
        self.counts = label("", "faint", wrap=True)
        layout = QVBoxLayout(self)
        self.error = label(role="error", wrap=True)
        self.error.hide()
        layout.addWidget(self.form)
        layout.addWidget(self.error)
        layout.addWidget(self.counts)
        self.form.changed.connect(self.changed)

    def show_error(self, name: str, reason: str) -> None:
        """Say what is wrong beside the field it is about, or below them all."""
        if not self.form.show_error(name, reason):
            self.error.setText(reason)
            self.error.setVisible(bool(reason))

    def show_summary(self, summary: PlanSummary) -> None:
        """Say how many cases of each class remain, and how many own images there are."""
        classes = summary.cases_by_class
        shown = ", ".join(f"{name}: {count:,}" for name, count in classes[:12]) + (" …" if len(classes) > 12 else "")
        own = f" and {many(summary.own_images, 'own image')}" if summary.own_images else ""
        note = f". {summary.own_note}" if summary.own_note else ""
        self.counts.setText(f"{summary.transfer_cases:,} of {summary.training_cases:,} cases ({shown}){own}{note}")


class DistillationPart(QGroupBox):
    """Temperature, hard weight, the ensemble's mean, and what they do to one real image."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("4  Distillation")
        self.temperature = TemperatureSlider()
        self.form = Form(options_of(DistillationConfig), leave_out=("temperature",))
        self.error = label("", "error", wrap=True)
        self.error.hide()
        self.picture = SoftTargetPicture()
        top = QFormLayout()
        top.addRow(label("Temperature T"), self.temperature)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.error)
        layout.addWidget(self.form)
        layout.addWidget(self.picture, 1)
        self.temperature.changed.connect(self._moved)
        self.form.changed.connect(self._moved)

    def value(self) -> dict[str, Any]:
        """The ``distillation`` table."""
        return {"temperature": self.temperature.value()} | self.form.values()

    def show_config(self, config: DistillationConfig) -> None:
        """Show the settings."""
        self.temperature.set_value(config.temperature)
        self.form.set_values({option.name: getattr(config, option.name) for option in options_of(DistillationConfig)})

    def show_samples(self, samples: SoftSamples | None) -> None:
        """Show what the teachers think of one image."""
        self.picture.show_samples(samples)

    def show_error(self, name: str, reason: str) -> None:
        """Say what is wrong beside the field it is about."""
        if not self.form.show_error(name, reason):
            self.error.setText(reason)
            self.error.setVisible(bool(reason))

    def _moved(self) -> None:
        self.picture.set_temperature(self.temperature.value(), self.form.editors["mean"].value())
        self.changed.emit()


class SpecialistsPart(QGroupBox):
    """Specialists beside the one teacher, where it is checked; off, it says what that is for."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Specialists")
        self.setCheckable(True)
        self.setChecked(False)
        self.setToolTip("Train specialists for subsets of classes that the teacher, then their generalist, confuses (section 5).")
        combining = [option.name for option in options_of(CombinationConfig)]
        self.form = Form(sorted(options_of(SpecialistsConfig), key=lambda option: option.name in combining))
        self.error = label(role="error", wrap=True)
        self.error.hide()
        self.inside = QWidget()
        column = QVBoxLayout(self.inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(label("Beside one teacher, their generalist, and trained from its weights.", "faint", wrap=True))
        column.addWidget(self.form)
        column.addWidget(self.error)
        self.inside.hide()
        self.hint = label("Check it to train models for those classes too that the one teacher confuses.", "faint", wrap=True)
        layout = QVBoxLayout(self)
        layout.addWidget(self.hint)
        layout.addWidget(self.inside)
        self.toggled.connect(self.inside.setVisible)
        self.toggled.connect(self.hint.setHidden)
        self.toggled.connect(lambda _: self.changed.emit())
        self.form.changed.connect(self.changed)

    def value(self) -> dict[str, Any] | None:
        """The ``specialists`` table, None where there are to be none."""
        return self.form.values() if self.isChecked() else None

    def show_config(self, config: SpecialistsConfig | None) -> None:
        """Show the settings; None leaves those that were there, switched off."""
        if config:
            self.form.set_values({option.name: getattr(config, option.name) for option in options_of(SpecialistsConfig)})
        self.setChecked(config is not None)

    def show_error(self, name: str, reason: str) -> None:
        """Say what is wrong beside the field it is about, or below them all."""
        if not self.form.show_error(name.partition(".")[0], reason):
            self.error.setText(reason)
            self.error.setVisible(bool(reason))


class TrainingPart(QGroupBox):
    """How the student and its baseline, how the teachers, and how specialists, where there are any, are optimised."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("5  Training")
        self.student = Form(options_of(TrainingConfig))
        self.teachers = Form(options_of(TrainingConfig))
        self.specialists = Form(options_of(TrainingConfig))
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        titles = {self.student: "Student and baseline", self.teachers: "Teachers", self.specialists: "Specialists"}
        for form, title in titles.items():
            page = QWidget()
            inside = QVBoxLayout(page)
            inside.setContentsMargins(0, 8, 0, 0)
            inside.addWidget(form)
            inside.addStretch(1)
            self.tabs.addTab(page, title)
            form.changed.connect(self.changed)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs)
        self.show_specialists(False)

    def show_specialists(self, there: bool) -> None:
        """Whether specialists are to be trained."""
        self.tabs.setTabVisible(2, there)


class ExperimentPart(QGroupBox):
    """The experiment's name and seeds."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__("Experiment")
        self.form = Form(options_of(ExperimentConfig), leave_out=("description",))
        layout = QVBoxLayout(self)
        layout.addWidget(self.form)
        self.form.changed.connect(self.changed)
