"""What the person chose and where things stood: read so that nothing wrong in it can block the start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QSettings
from PySide6.QtWidgets import QMainWindow, QSplitter, QWidget

from workbench.errors import WorkbenchError
from workbench.running.ray_executor import checked

THEMES = ("system", "light", "dark")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """The Settings dialog's values. ``threads`` 0 chooses by the size of the model."""

    folders: tuple[Path, ...] = ()
    device: str = "auto"
    threads: int = 0
    share: bool = False
    executor: str = "local"
    theme: str = "system"
    reference: bool = True

    def engine(self, folders: tuple[Path, ...] = (), device: str = "") -> dict[str, Any]:
        """The engine's settings, with what the command line said put first."""
        return {
            "device": device or self.device,
            "threads": self.threads,
            "folders": (*folders, *self.folders),
            "share": self.share,
            "executor": self.executor,
        }


def load() -> Preferences:
    """The stored preferences; whatever is not usable is left at its default."""
    stored = QSettings()
    folders = stored.value("folders", [])
    folders = [folders] if isinstance(folders, str) else folders if isinstance(folders, list) else []
    try:
        threads = max(0, min(1024, int(str(stored.value("threads", 0)))))
    except ValueError:
        threads = 0
    try:
        executor = checked(str(stored.value("executor", "local")))
    except WorkbenchError:
        executor = "local"
    device, theme = str(stored.value("device", "auto")), str(stored.value("theme", "system"))
    return Preferences(
        folders=tuple(Path(str(folder)) for folder in folders if folder),
        device=device if device in DEVICES else "auto",
        threads=threads,
        share=str(stored.value("share", "false")).lower() == "true",
        executor=executor,
        theme=theme if theme in THEMES else "system",
        reference=str(stored.value("reference", "true")).lower() == "true",
    )


def save(preferences: Preferences) -> None:
    """Store the preferences."""
    stored = QSettings()
    stored.setValue("folders", [str(folder) for folder in preferences.folders])
    stored.setValue("device", preferences.device)
    stored.setValue("threads", preferences.threads)
    stored.setValue("theme", preferences.theme)
    stored.setValue("share", preferences.share)
    stored.setValue("executor", preferences.executor)
    stored.setValue("reference", preferences.reference)


def remember_layout(window: QMainWindow) -> None:
    """Store the window's place and how its parts are divided."""
    stored = QSettings()
    stored.setValue("window/geometry", window.saveGeometry())
    for splitter in window.findChildren(QSplitter):
        if splitter.objectName():
            stored.setValue(f"window/{splitter.objectName()}", splitter.saveState())


def restore_splitters(widget: QWidget) -> None:
    """Divide the parts of a widget as they were."""
    stored = QSettings()
    for splitter in widget.findChildren(QSplitter):
        state = stored.value(f"window/{splitter.objectName()}")
        if splitter.objectName() and isinstance(state, QByteArray):
            splitter.restoreState(state)


def restore_layout(window: QMainWindow) -> bool:
    """Put the window where it was; False where nothing is stored."""
    restore_splitters(window)
    geometry = QSettings().value("window/geometry")
    return isinstance(geometry, QByteArray) and window.restoreGeometry(geometry)
