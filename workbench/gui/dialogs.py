"""Small dialogs of the window: Settings, more epochs, About, and whether a training may be stopped."""

from __future__ import annotations

import dataclasses
import platform
from pathlib import Path

import pyqtgraph
import PySide6
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QListWidget,
    QMessageBox,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from workbench import __version__
from workbench.distill.sources import data_folders
from workbench.gui.forms import label
from workbench.gui.preferences import DEVICES, THEMES, Preferences
from workbench.history.reading import RunRow


class SettingsDialog(QDialog):
    """Data folders, device, threads, executor and theme."""

    def __init__(self, preferences: Preferences, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._chosen = preferences
        self.setWindowTitle("Settings")
        self.folders = QListWidget()
        self.folders.setAccessibleName("Data folders")
        self.folders.setToolTip("Folders to look for data sets in, before the download cache.")
        self.folders.addItems([str(folder) for folder in preferences.folders])
        add, remove = QPushButton("Add…"), QPushButton("Remove")
        add.clicked.connect(self._add)
        remove.clicked.connect(lambda: self.folders.takeItem(self.folders.currentRow()))
        buttons = QVBoxLayout()
        buttons.addWidget(add)
        buttons.addWidget(remove)
        buttons.addStretch(1)
        folders = QHBoxLayout()
        folders.addWidget(self.folders, 1)
        folders.addLayout(buttons)
        self.device = QComboBox()
        self.device.addItems(list(DEVICES))
        self.device.setCurrentText(preferences.device)
        self.device.setToolTip("auto takes a CUDA or MPS device where there is one, else the CPU.")
        self.threads = QSpinBox()
        self.threads.setRange(0, 1024)
        self.threads.setSpecialValueText("chosen by the model's size")
        self.threads.setValue(preferences.threads)
        self.threads.setToolTip("CPU threads of torch. Left to itself, the workbench leaves a core to the window.")
        self.share = QCheckBox("Train though another workbench trains on the same device")
        self.share.setChecked(preferences.share)
        self.share.setToolTip("Else an experiment waits until the device is free.")
        self.executor = QComboBox()
        self.executor.setEditable(True)
        self.executor.addItems(["local", "ray"])
        self.executor.setCurrentText(preferences.executor)
        self.executor.setAccessibleName("Where runs are trained")
        self.executor.setToolTip(
            "local: one after the other in this program. ray: independent runs at the same time, on all cores of this machine.\n"
            "ray://HOST:PORT: on a Ray cluster. Both need the extra: pip install 'distillation-workbench[ray]'"
        )
        self.theme = QComboBox()
        self.theme.addItems(list(THEMES))
        self.theme.setCurrentText(preferences.theme)
        form = QFormLayout()
        form.addRow(label("Data folders"), folders)
        form.addRow("", label(f"Also looked in: {', '.join(map(str, data_folders()))}", "faint", wrap=True))
        form.addRow(label("Device"), self.device)
        form.addRow(label("Threads"), self.threads)
        form.addRow("", self.share)
        form.addRow(label("Runs are trained"), self.executor)
        form.addRow(label("Theme"), self.theme)
        box = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(
            label("A change of device, threads or where runs are trained holds from the next experiment on.", "faint", wrap=True)
        )
        layout.addWidget(box)
        self.resize(560, 380)

    def preferences(self) -> Preferences:
        """What the dialog shows."""
        return dataclasses.replace(
            self._chosen,
            folders=tuple(Path(self.folders.item(row).text()) for row in range(self.folders.count())),
            device=self.device.currentText(),
            threads=self.threads.value(),
            share=self.share.isChecked(),
            executor=self.executor.currentText().strip() or "local",
            theme=self.theme.currentText(),
        )

    def _add(self) -> None:
        if chosen := QFileDialog.getExistingDirectory(self, "A folder with data sets"):
            self.folders.addItem(chosen)


class MoreEpochsDialog(QDialog):
    """How far a run should go on, and from which checkpoint."""

    def __init__(self, row: RunRow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("More epochs")
        done = int(row.epochs)
        self.epochs = QSpinBox()
        self.epochs.setRange(done + 1, 100_000)
        self.epochs.setValue(max(done + 1, 2 * done))
        self.epochs.setSuffix(" epochs in all")
        self.epochs.setAccessibleName("Epochs in all")
        self.epochs.setToolTip("The schedule of the learning rate is that of a run of so many epochs.")
        self.start = QComboBox()
        self.start.addItem("its last checkpoint", "state")
        self.start.addItem("the checkpoint nearest to its best epoch", "best")
        self.start.setAccessibleName("Go on from")
        form = QFormLayout()
        form.addRow(label("Run"), label(f"{row.name}, run {row.id}, {done} epochs so far"))
        form.addRow(label("Go on from"), self.start)
        form.addRow(label("Train"), self.epochs)
        box = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        box.button(QDialogButtonBox.StandardButton.Ok).setText("Queue")
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(label("A new run, drawn as one curve with this one, which stays as it is.", "faint", wrap=True))
        layout.addWidget(box)

    def kind(self) -> str:
        """The checkpoint chosen, as the history calls it."""
        return str(self.start.currentData())


def show_about(parent: QWidget, torch: str, device: str, history: Path) -> None:
    """Versions and the device in use."""
    box = QMessageBox(parent)
    box.setWindowTitle("About the distillation workbench")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(f"Distillation workbench {__version__}")
    box.setInformativeText(
        "Hinton, Vinyals and Dean: Distilling the Knowledge in a Neural Network (2015), by point and click.\n\n"
        f"Device in use: {device}\ntorch {torch}\nPySide6 {PySide6.__version__}, pyqtgraph {pyqtgraph.__version__}\n"
        f"Python {platform.python_version()} on {platform.system()}\n\nHistory: {history}\nMIT licence"
    )
    box.exec()


def may_stop(parent: QWidget) -> bool:
    """Ask whether the model that is training may be stopped, and the window closed."""
    box = QMessageBox(parent)
    box.setWindowTitle("A model is training")
    box.setText("A model is still training.")
    box.setInformativeText("Stop it with a checkpoint and quit? Next time the workbench asks whether to go on.")
    stop = box.addButton("Stop and quit", QMessageBox.ButtonRole.AcceptRole)
    keep = box.addButton("Keep training", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.exec()
    return box.clickedButton() is stop
