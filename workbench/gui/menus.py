"""The menus of the window: what each entry is called, its keys, and what it calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMenu

from workbench.gui import files, launching, preferences

if TYPE_CHECKING:
    from workbench.gui.main_window import MainWindow


def fill_menus(window: MainWindow) -> dict[str, QAction]:
    """Fill the menu bar; the themes' entries by name, of which one is checked."""
    file, edit, run, view, help_ = (window.menuBar().addMenu(name) for name in ("&File", "&Edit", "&Run", "&View", "&Help"))
    _act(window, file, "Open recipe…", "Ctrl+O", window.open_recipe)
    _act(window, file, "Save as recipe…", "Ctrl+S", window.setup.save_file)
    file.addSeparator()
    _act(window, file, "Export experiment…", "", partial(files.export_selected, window))
    _act(window, file, "Import experiment…", "", partial(files.import_experiments, window))
    file.addSeparator()
    _act(window, file, "Restore a backup…", "", partial(files.show_backups, window))
    _act(window, file, "Disk usage…", "", partial(files.show_disk_usage, window))
    file.addSeparator()
    _act(window, file, "Settings…", "Ctrl+,", window.show_settings)
    _act(window, file, "Quit", "Ctrl+Q", window.close)
    undo = window.undo_group.createUndoAction(window, "Undo")
    undo.setShortcut(QKeySequence.StandardKey.Undo)
    redo = window.undo_group.createRedoAction(window, "Redo")
    redo.setShortcuts([QKeySequence("Ctrl+Shift+Z"), QKeySequence("Ctrl+Y")])
    edit.addAction(undo)
    edit.addAction(redo)
    _act(window, edit, "Bin…", "", partial(files.show_bin, window))
    _act(window, edit, "Filter the history", "Ctrl+F", window.filter_history)
    _act(window, run, "Launch", "Ctrl+Return", partial(launching.launch_what_is_seen, window))
    _act(window, run, "Pause or resume", "Ctrl+P", window.live.pause.click)
    _act(window, run, "Stop", "Ctrl+.", window.live.stop.click)
    _act(window, run, "Compare selected runs", "Ctrl+K", window.history.buttons["compare"].click)
    for place in range(window.tabs.count()):
        name = window.tabs.tabText(place)
        _act(window, view, name, f"Ctrl+{(place + 1) % 10}", partial(window.tabs.setCurrentIndex, place))
    view.addSeparator()
    shown = _act(window, view, "Reference runs", "", window.toggle_reference)
    shown.setCheckable(True)
    shown.setChecked(window.preferences.reference)
    shown.setToolTip("Show the runs that came with the workbench, of the paper's claims.")
    view.addSeparator()
    themes = QActionGroup(window)
    for name in preferences.THEMES:
        action = _act(window, view, f"{name.capitalize()} theme", "", partial(window.choose_theme, name))
        action.setCheckable(True)
        action.setChecked(name == window.preferences.theme)
        themes.addAction(action)
    _act(window, help_, "Open the log file", "", partial(files.open_log, window))
    _act(window, help_, "About", "", window.show_about)
    return dict(zip(preferences.THEMES, themes.actions(), strict=True))


def _act(window: MainWindow, menu: QMenu, text: str, keys: str, slot: Callable[[], object]) -> QAction:
    action = QAction(text, window)
    if keys:
        action.setShortcut(QKeySequence(keys))
    action.triggered.connect(lambda _: slot())
    menu.addAction(action)
    return action
